"""Determine what is at a path, which of its files a server would load, and in which order.

    a file                           RDB or AOF by its first bytes, an RDB followed by commands: AofFile
    a manifest                       its set: AofSet
    a directory that is a set        whatever its name (appenddirname) and its prefix (appendfilename): AofSet
    a server's data directory        RDBs, old single AOFs, and the sets in it and in its subdirectories: DataDir

With `appendonly yes` a server loads the AOF and never falls back to dump.rdb; with `no`, the other way round. If there
are several, the choice depends on dbfilename, appendfilename and appenddirname, which are not stored in any file.

Only first bytes are read, names are listed one level deep, nothing is written.

Sources: aof.c of the BSD-licensed Valkey 8; recorded starts of servers.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TypeVar

from rdbkit.aof.aof_set import (
    BYPRODUCT,
    MEMBER,
    SUFFIX,
    TEMPORARY,
    AofFile,
    AofSet,
    format_of,
    head_of,
    is_file,
    load_set,
    look,
    some,
    text,
)
from rdbkit.aof.manifest import looks_like_manifest
from rdbkit.aof.remark import Remark
from rdbkit.errors import Unsupported
from rdbkit.source import open_source

__all__ = ["AofFile", "AofSet", "DataDir", "Remark", "find", "would_load"]

#: Maximum bytes of comments read at the start of a manifest.
_COMMENTS = 1 << 16
_RDB = re.compile(rb"(?:REDIS[0-9]{4}|VALKEY[0-9]{3}|VCS\x01)")
# Stricter than a server, because a redis.conf also begins with "#".
_AOF = re.compile(rb"\*[0-9]+\r?\n|#TS:[0-9]")
# Servers mark an AOF preamble with an AUX field; a file with `aof-preamble` 0 is a plain RDB.
_PREAMBLE = re.compile(rb"aof-(?:preamble|base)(?:\xc0\x01|\x011)")
_SCANNED = 512

_Choice = TypeVar("_Choice")


@dataclass(frozen=True, slots=True)
class DataDir:
    """A server's data directory: `rdbs`, `aofs` (old single ones), and `sets`, each sorted by path.

    An old AOF that a server would move into a set is in that set's `files`, not in `aofs`.
    """

    path: str
    rdbs: tuple[AofFile, ...]
    aofs: tuple[AofFile, ...]
    sets: tuple[AofSet, ...]
    temporary: tuple[bytes, ...]
    warnings: tuple[Remark, ...]


Found = AofFile | AofSet | DataDir


def find(path: str | os.PathLike[str], *, keep_errors: bool = False) -> Found:
    """Return what is at a path.

    Raises ManifestError for a manifest that servers refuse (with `keep_errors` it is stored in the set), Unsupported
    (code "nothing-found") for a directory without RDB or AOF, the errors of `rdbkit.source.open_source` for a file that
    cannot be decompressed, and OSError with its filename.
    """
    path = os.fspath(path)
    mode = os.stat(path).st_mode  # noqa: PTH116  a Path would normalise it
    if stat.S_ISDIR(mode):
        return _directory(path, keep_errors)
    if stat.S_ISREG(mode):
        return _file(path, keep_errors)
    return AofFile(path, _base(path), 0, "single", "special", None)


def would_load(found: Found, *, appendonly: bool = True, multipart: bool = True) -> tuple[AofFile, ...]:
    """Return the files that a server would load, in order; empty if it would start empty.

    `appendonly` is its setting; `multipart`: it is Redis 7.0 or newer, or Valkey. Raises Unsupported (code "ambiguous")
    if that depends on its file name settings, and ManifestError for a set with a damaged manifest.
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


def _only(choices: tuple[_Choice, ...], what: str, setting: str) -> tuple[_Choice, ...]:
    if len(choices) > 1:
        raise Unsupported(f"{len(choices)} {what}: which one is loaded depends on {setting}", code="ambiguous")
    return choices


# -- a file ------------------------------------------------------------------------------------------------------------


def _base(path: str) -> bytes:
    return os.fsencode(os.path.basename(path))  # noqa: PTH119  as above


def _join(directory: str, name: bytes) -> str:
    return os.path.join(directory, os.fsdecode(name))  # noqa: PTH118  as above


def _file(path: str, keep_errors: bool) -> Found:
    if _is_manifest(path):
        directory = os.path.dirname(path)  # noqa: PTH120  as above
        names = _scan(directory or os.curdir)[0]
        return load_set(directory, names, manifest_path=path, keep_error=keep_errors)
    with open_source(path) as source:
        return AofFile(path, _base(path), 0, "single", format_of(source.peek), source.file_size, source.packing)


def _is_manifest(path: str) -> bool:
    """Return whether a file is a manifest by its contents; by its name if it is empty or has only comments."""
    head = head_of(path)
    if head.startswith(b"#"):
        head = head_of(path, _COMMENTS)
    return looks_like_manifest(head) or (path.endswith(os.fsdecode(SUFFIX)) and not _is_data(head))


def _is_data(head: bytes) -> bool:
    return bool(_RDB.match(head) or _AOF.match(head))


# -- a directory -------------------------------------------------------------------------------------------------------


def _scan(directory: str) -> tuple[list[bytes], list[bytes], list[bytes]]:
    """Return the names of the regular files, the directories, and rdbkit's own by-products in a directory.

    Links are followed.
    """
    files, directories, byproducts = [], [], []
    with os.scandir(directory) as entries:
        for entry in entries:
            name = os.fsencode(entry.name)
            if BYPRODUCT.fullmatch(name):
                byproducts.append(name)
            elif entry.is_file():
                files.append(name)
            elif entry.is_dir():
                directories.append(name)
    return sorted(files), sorted(directories), sorted(byproducts)


def _ignored(names: Iterable[bytes]) -> list[Remark]:
    """Return the remark about by-products of repairs."""
    listed = list(names)
    if not listed:
        return []
    shown = some(map(text, listed))
    return [Remark("note", "by-products", f"created by rdbkit, ignored: {shown}")]


def _directory(path: str, keep_errors: bool) -> Found:
    names, directories, byproducts = _scan(path)
    own = list(_sets(path, names, keep_errors))
    claimed = set[bytes]().union(*(_claimed(one, names) for one in own))
    loose = [name for name in names if name not in claimed]
    rdbs, aofs = _singles(path, loose)
    below: list[AofSet] = []
    shut: dict[bytes, PermissionError] = {}
    for name in directories:
        inner = _join(path, name)
        try:
            inside, _, more = _scan(inner)
            sets = list(_sets(inner, inside, keep_errors, path))
        except PermissionError as error:
            if error.filename != inner:
                raise
            shut[name] = error
            continue
        below += sets
        byproducts += [name + b"/" + one for one in more] if sets else []
    remarks = _ignored(byproducts)
    if len(own) == 1 and not (rdbs or aofs or below):
        return replace(own[0], warnings=(*own[0].warnings, *remarks))
    if not (own or rdbs or aofs or below):
        if shut:
            raise next(iter(shut.values()))
        ignored = f" ({remarks[0].message})" if remarks else ""
        raise Unsupported(f"no RDB, AOF or AOF set in this directory{ignored}", code="nothing-found")
    sets = [*own, *below]
    taken_in = {file.path for one in sets for file in one.files}
    kept = tuple(file for file in aofs if file.path not in taken_in)
    temporary = tuple(name for name in loose if TEMPORARY.fullmatch(name))
    remarks += [Remark("warning", "unreadable", f"no permission to read {text(name)}", name=name) for name in shut]
    found = DataDir(path, tuple(rdbs), kept, tuple(sets), temporary, ())
    return replace(found, warnings=(*remarks, *_remarks(found)))


def _claimed(one: AofSet, names: Collection[bytes]) -> set[bytes]:
    """Return which of the names in a set's directory belong to the set."""
    prefix = one.prefix
    own = {prefix, prefix + SUFFIX, b"temp-" + prefix + SUFFIX, b"temp-" + prefix + b".incr"}
    if one.manifest is not None:
        own.update(entry.name for entry in one.manifest.entries)
    matches = filter(None, map(MEMBER.fullmatch, names))
    return own.intersection(names).union(match[0] for match in matches if match["prefix"] == prefix)


def _sets(directory: str, names: list[bytes], keep_errors: bool, parent: str | None = None) -> Iterator[AofSet]:
    """Yield the sets directly in a directory: those with a manifest, then those whose manifest is missing."""
    found: list[AofSet] = []
    for name in names:
        prefix = name[: -len(SUFFIX)]
        if name.endswith(SUFFIX) and prefix and not TEMPORARY.fullmatch(name) and _is_set(directory, names, prefix):
            found.append(_set(directory, names, prefix, _join(directory, name), keep_errors, parent))
    claimed = set[bytes]().union(*(_claimed(one, names) for one in found))
    matches = filter(None, map(MEMBER.fullmatch, (name for name in names if name not in claimed)))
    prefixes = sorted({match["prefix"] for match in matches if not TEMPORARY.fullmatch(match[0])})
    found += [_set(directory, names, prefix, None, keep_errors, parent) for prefix in prefixes]
    if len(found) > 1:
        found = [_without_others(one, found, names) for one in found]
    yield from found


def _without_others(one: AofSet, sets: list[AofSet], names: list[bytes]) -> AofSet:
    """Return a set without stray files that belong to another set in the directory."""
    theirs = set[bytes]().union(*(_claimed(other, names) for other in sets if other is not one))
    return replace(one, stray=tuple(name for name in one.stray if name not in theirs))


def _set(
    directory: str, names: list[bytes], prefix: bytes, manifest: str | None, keep_errors: bool, parent: str | None
) -> AofSet:
    path = None if parent is None else _join(parent, prefix)
    old = look(path, prefix) if path is not None and is_file(path) else None
    return load_set(directory, names, manifest_path=manifest, prefix=prefix, old=old, keep_error=keep_errors)


def _is_set(directory: str, names: Collection[bytes], prefix: bytes) -> bool:
    """Return whether P.manifest belongs to a set: by its contents or the files next to it; True if there are none."""
    if looks_like_manifest(head_of(_join(directory, prefix + SUFFIX), _COMMENTS)):
        return True
    members = filter(None, map(MEMBER.fullmatch, names))
    return (
        prefix in names
        or any(match["prefix"] == prefix for match in members)
        or all(name.endswith(SUFFIX) or TEMPORARY.fullmatch(name) for name in names)
    )


def _singles(directory: str, names: list[bytes]) -> tuple[list[AofFile], list[AofFile]]:
    """Return the RDBs and the old AOFs among the files of a data directory."""
    rdbs: list[AofFile] = []
    aofs: list[AofFile] = []
    for name in names:
        named = name.rpartition(b".")[2].lower()
        path = _join(directory, name)
        try:
            head = head_of(path, _SCANNED)
        except PermissionError:
            if named not in (b"rdb", b"aof"):
                continue
            raise
        is_rdb = bool(_RDB.match(head)) or (named == b"rdb" and not _AOF.match(head))
        is_aof = bool(_AOF.match(head)) or named == b"aof" or bool(is_rdb and _PREAMBLE.search(head))
        if (is_rdb or is_aof) and not TEMPORARY.fullmatch(name):
            (aofs if is_aof else rdbs).append(look(path, name))
    return rdbs, aofs


def _remarks(found: DataDir) -> Iterator[Remark]:
    if found.rdbs and (found.sets or found.aofs):
        names = ", ".join(text(file.name) for file in found.rdbs)
        message = f"with appendonly yes a server loads only AOFs; {names} is not used as a fallback"
        yield Remark("note", "rdb-no-fallback", message)
    elif found.rdbs:
        message = "no AOF: with appendonly yes a server starts empty and does not load the RDB"
        yield Remark("note", "rdb-only", message)
    for what, count, setting in (
        ("RDB files", len(found.rdbs), "dbfilename"),
        ("AOF sets", len(found.sets), "appenddirname and appendfilename"),
        ("single AOFs", len(found.aofs), "appendfilename"),
    ):
        if count > 1:
            yield Remark("note", "several", f"{count} {what}: which one a server loads depends on {setting}")
    # AOFs named like the prefix of a set were already reported with the set.
    prefixes = {one.prefix for one in found.sets}
    for file in found.aofs:
        if found.sets and file.name not in prefixes:
            message = f"{text(file.name)}: Redis 7.0 and newer ignores it if there is an AOF set with its name"
            yield Remark("note", "old-aof", message, name=file.name)


def files_at(what: object) -> Found | None:
    """Return what is at a path; None for standard input, bytes or a device, which can be read only once.

    Raises as `find`, but stores the error of a manifest in its set.
    """
    if not isinstance(what, str | os.PathLike) or what == "-":
        return None
    path = os.fspath(what)
    mode = os.stat(path).st_mode  # noqa: PTH116  a Path would normalise it
    return find(path, keep_errors=True) if stat.S_ISREG(mode) or stat.S_ISDIR(mode) else None
