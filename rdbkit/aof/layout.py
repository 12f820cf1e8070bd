"""What lies at a path, and which of its files would a server load, in which order.

    a file                           RDB or AOF by its first bytes, an RDB with commands behind it: AofFile
    a manifest                       its set: AofSet
    a directory that is a set        whatever its name (appenddirname) and its prefix (appendfilename): AofSet
    a server's data directory        RDBs, old single AOFs, and the sets in it and in its subdirectories: DataDir

With `appendonly yes` a server loads the AOF and never falls back on dump.rdb; with `no`, the other way round. Which of
several it takes depends on its dbfilename, appendfilename and appenddirname, which no file tells.

Only first bytes are read, names are listed one level deep, nothing is written.

Sources: aof-and-check.md §1.5 and §6.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace

from rdbkit.aof.manifest import looks_like_manifest
from rdbkit.aof.sets import (
    MEMBER,
    SUFFIX,
    TEMPORARY,
    AofFile,
    AofSet,
    Remark,
    format_of,
    head_of,
    is_file,
    load_set,
    look,
    text,
)
from rdbkit.errors import Unsupported
from rdbkit.source import open_source

__all__ = ["AofFile", "AofSet", "DataDir", "Remark", "find", "would_load"]

#: How far the comments of a manifest are looked through.
_COMMENTS = 1 << 16
_RDB = re.compile(rb"(?:REDIS[0-9]{4}|VALKEY[0-9]{3})")
# Stricter than what a server takes: a redis.conf, too, begins with "#".
_AOF = re.compile(rb"\*[0-9]+\r?\n|#TS:[0-9]")


@dataclass(frozen=True, slots=True)
class DataDir:
    """A directory with more than one set: `rdbs`, `aofs` (old single ones), and `sets`, each by path.

    An old AOF that a server would move into a set is in that set's `files` and not in `aofs`.
    """

    path: str
    rdbs: tuple[AofFile, ...]
    aofs: tuple[AofFile, ...]
    sets: tuple[AofSet, ...]
    temporary: tuple[bytes, ...]
    warnings: tuple[Remark, ...]


Found = AofFile | AofSet | DataDir


def find(path: str | os.PathLike[str], *, keep_errors: bool = False) -> Found:
    """Tell what lies at a path.

    Raises ManifestError for a manifest that servers refuse (`keep_errors`: the set carries it), Unsupported (code
    "nothing-found") for a directory without RDB or AOF, what `rdbkit.source.open_source` raises for a packed file that
    cannot be unpacked, and OSError with its filename.
    """
    path = os.fspath(path)
    mode = os.stat(path).st_mode  # noqa: PTH116  a Path would normalise what the caller gave
    if stat.S_ISDIR(mode):
        return _directory(path, keep_errors)
    if stat.S_ISREG(mode):
        return _file(path, keep_errors)
    return AofFile(path, _base(path), 0, "single", "special", None)


def would_load(found: Found, *, appendonly: bool = True, multipart: bool = True) -> tuple[AofFile, ...]:
    """Return the files that a server would load, in order; none: it would start empty.

    `appendonly` is its setting; `multipart`: it is Redis 7.0 or newer, or Valkey. Raises Unsupported (code "ambiguous")
    where that depends on its names for files, and ManifestError for a set with a damaged manifest.
    """
    if isinstance(found, AofFile):
        return (found,)
    if isinstance(found, AofSet):
        if found.error is not None:
            raise found.error
        return found.files
    if not appendonly:
        return _only(found.rdbs, "RDB files", "dbfilename")
    if multipart and found.sets:
        return would_load(_only(found.sets, "AOF sets", "appenddirname and appendfilename")[0])
    return _only(_old_aofs(found), "AOFs", "appendfilename")


def _old_aofs(found: DataDir) -> tuple[AofFile, ...]:
    taken_in = (file for one in found.sets for file in one.files if os.path.dirname(file.path) != one.directory)  # noqa: PTH120
    return (*found.aofs, *(replace(file, role="single", seq=0) for file in taken_in))


def _only[T](choices: tuple[T, ...], what: str, setting: str) -> tuple[T, ...]:
    if len(choices) > 1:
        raise Unsupported(f"{len(choices)} {what}: which one is loaded depends on {setting}", code="ambiguous")
    return choices
