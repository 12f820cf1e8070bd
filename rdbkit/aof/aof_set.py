"""A multi-part AOF in a directory: the files in its manifest, the files present, and what a server does with them.

    P.manifest  P.<n>.base.rdb | .aof  P.<n>.incr.aof     the set of the prefix P; P itself after an upgrade from 6.2
    temp-P.manifest  temp-P.incr                          being written; ignored
    anything else                                         stray; ignored

A server loads exactly the files in the manifest, by content and not by name; it never uses dump.rdb instead. Only the
first bytes of files are read here, and nothing is written.

Sources: aof.c of the BSD-licensed Valkey 8; recorded starts of servers.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from rdbkit.aof.manifest import Manifest, ManifestEntry, ManifestError, incr_name, read
from rdbkit.aof.remark import Remark

SUFFIX = b".manifest"
#: A server's name for a file of a set: prefix, number, role.
MEMBER = re.compile(rb"(?P<prefix>.+)\.(?P<seq>[0-9]+)\.(?:base\.(?:rdb|aof)|incr\.aof)", re.DOTALL)
#: What is in the name of any file of a set, whatever it was renamed to, or packed with.
_PART = re.compile(r"\.(?:incr|base)\.(?:aof|rdb)(?:\.|$)")
#: Temporary files of a server, which are renamed later or remain after a crash.
TEMPORARY = re.compile(rb"temp-(?:.+\.(?:manifest|incr)|rewriteaof-.*\.aof|[0-9.-]+\.rdb)", re.DOTALL)
#: Files that rdbkit writes next to a file: results, backups, dropped bytes, and partial files.
BYPRODUCT = re.compile(
    rb".+\.(?:bak-[0-9]+|dropped(?:-[0-9]+)?(?:\.jsonl)?|repaired|partial)|\..+\.rdbkit-.+", re.DOTALL
)
#: Bytes read to identify a file.
HEAD = 64
#: Redis 8.10 writes the manifest of a backup when it is sealed; before, the directory has its base alone.
_UNSEALED = " (if BACKUP of Redis 8.10 wrote it: the backup was not sealed, and holds the data of its start)"
_ROLES = {"b": "base", "i": "incr", "h": "history"}


def is_part(path: str) -> bool:
    """Return whether a file is one of a set by its name: such files are there from Redis 7.0 on."""
    return _PART.search(os.path.basename(path)) is not None  # noqa: PTH119  paths stay text here


@dataclass(frozen=True, slots=True)
class AofFile:
    """One file. `role`: "base", "incr", "history" or "single"; `seq` is 0 for a single file.

    `format` by its first bytes: "rdb" (commands may follow), "aof", "empty", "unknown", "missing", or "special": not a
    regular file. `size` in bytes, None if unknown. `packing`: as Source.packing.
    """

    path: str
    name: bytes
    seq: int
    role: str
    format: str
    size: int | None
    packing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class AofSet:
    """A set. `files` are the files that a server loads, in order; empty: it would start empty, or not at all.

    `manifest` is None if it is missing, or damaged (then `error` is set). `history` files are listed and deleted after
    the load; `stray` and `temporary` files are not listed. `append_name` is the file that a server would append to,
    `next_incr_name` the one it would create next.
    """

    directory: str
    prefix: bytes
    manifest_path: str | None
    manifest: Manifest | None
    files: tuple[AofFile, ...]
    history: tuple[AofFile, ...]
    stray: tuple[bytes, ...]
    temporary: tuple[bytes, ...]
    append_name: bytes
    next_incr_name: bytes
    warnings: tuple[Remark, ...]
    error: ManifestError | None = None


def text(name: bytes) -> str:
    """Return a file name for a message."""
    return name.decode("utf-8", "backslashreplace")


# -- files -------------------------------------------------------------------------------------------------------------


@contextmanager
def named(path: str) -> Iterator[None]:
    """Add the file's name to an OSError without one, such as a read error."""
    try:
        yield
    except OSError as error:
        error.filename = error.filename or path
        raise


def head_of(path: str, size: int = HEAD) -> bytes:
    """Return a regular file's first bytes."""
    with named(path), open(path, "rb", buffering=0) as file:
        return file.read(size)


def format_of(head: bytes) -> str:
    """Return the format of a file, as a server determines it."""
    # VCS is the envelope in which Valkey 9.2 can write an RDB.
    if head.startswith((b"REDIS", b"VALKEY", b"VCS\x01")):
        return "rdb"
    if head.startswith((b"*", b"#")):
        return "aof"
    return "unknown" if head else "empty"


def look(path: str, name: bytes, role: str = "single", seq: int = 0) -> AofFile:
    """Examine a file. Raises OSError if it exists and cannot be read."""
    try:
        seen = os.stat(path)  # noqa: PTH116  a Path does not take names as bytes
    except (FileNotFoundError, NotADirectoryError):
        return AofFile(path, name, seq, role, "missing", None)
    if not stat.S_ISREG(seen.st_mode):
        return AofFile(path, name, seq, role, "special", None)
    return AofFile(path, name, seq, role, format_of(head_of(path)), seen.st_size)


def is_file(path: str) -> bool:
    """Return whether a path is a regular file; links are followed."""
    return look_safely(path, stat.S_ISREG)


def look_safely(path: str, test: Callable[[int], bool]) -> bool:
    """Apply a test to a file's mode; False if it does not exist or is not accessible."""
    try:
        return test(os.stat(path).st_mode)  # noqa: PTH116  as above
    except OSError:
        return False


# -- sets --------------------------------------------------------------------------------------------------------------


def prefix_of(path: str, manifest: Manifest | None) -> bytes:
    """Return the appendfilename for a manifest: by its name, or by the names that it lists."""
    name = os.fsencode(os.path.basename(path))  # noqa: PTH119  as above
    if name.endswith(SUFFIX) and name != SUFFIX:
        return name[: -len(SUFFIX)]
    for entry in manifest.loaded if manifest else ():
        match = MEMBER.fullmatch(entry.name)
        return match["prefix"] if match else entry.name
    return name


def read_manifest(path: str) -> tuple[Manifest, tuple[Remark, ...]]:
    """Read a manifest from a file as the most lenient server does. Raises ManifestError with the path, OSError."""
    with named(path), open(path, "rb") as file:
        try:
            return read(file), ()
        except ManifestError as error:
            strict = error
            strict.path = path
        file.seek(0)
        try:
            manifest = read(file, joined=True)
        except ManifestError:
            raise strict from None
    message = f"only Valkey 9.0 and newer reads this manifest: {strict.message}"
    return manifest, (Remark("warning", "quotes-joined", message),)


def load_set(
    directory: str,
    names: Collection[bytes],
    *,
    manifest_path: str | None = None,
    prefix: bytes | None = None,
    old: AofFile | None = None,
    keep_error: bool = False,
) -> AofSet:
    """Build a set from a directory's file names and its manifest, if it has one.

    `old` is the single AOF next to the directory, if there is one: Redis 7.0 and newer may move it into the set.
    Raises ManifestError, or with `keep_error` keeps it in the set; OSError.
    """
    manifest: Manifest | None = None
    remarks: tuple[Remark, ...] = ()
    error: ManifestError | None = None
    if manifest_path is not None:
        try:
            manifest, remarks = read_manifest(manifest_path)
        except ManifestError as refused:
            if not keep_error:
                raise
            error = refused
            remarks = (Remark("error", error.code, f"no server starts with this manifest: {error.message}"),)
    prefix = prefix or prefix_of(manifest_path or "", manifest)
    found = _collect(directory, names, manifest_path, manifest, prefix)
    found = replace(found, warnings=remarks, error=error)
    if error is None:
        found = _with_old(found, old)
    return replace(found, warnings=(*found.warnings, *_remarks(found)))


def _collect(
    directory: str, names: Collection[bytes], manifest_path: str | None, manifest: Manifest | None, prefix: bytes
) -> AofSet:
    """Return the set without remarks."""
    listed = manifest or Manifest()
    known = {entry.name for entry in listed.entries}
    known.add(os.fsencode(os.path.basename(manifest_path or "")))  # noqa: PTH119  as above
    loose = sorted(name for name in names if name not in known)
    next_name = incr_name(prefix, listed.last_seq + 1)
    return AofSet(
        directory=directory,
        prefix=prefix,
        manifest_path=manifest_path,
        manifest=manifest,
        files=tuple(_listed(directory, listed.loaded)),
        history=tuple(_listed(directory, listed.history)),
        stray=tuple(name for name in loose if not TEMPORARY.fullmatch(name)),
        temporary=tuple(name for name in loose if TEMPORARY.fullmatch(name)),
        append_name=listed.incrs[-1].name if listed.incrs else next_name,
        next_incr_name=next_name,
        warnings=(),
    )


def _listed(directory: str, entries: Iterable[ManifestEntry]) -> Iterator[AofFile]:
    for entry in entries:
        path = os.path.join(directory, os.fsdecode(entry.name))  # noqa: PTH118  as above
        yield look(path, entry.name, _ROLES[entry.kind], entry.seq)


def _with_old(found: AofSet, old: AofFile | None) -> AofSet:
    """Decide as a server does whether it moves the old single AOF into the set as its base, or ignores it."""
    if old is None:
        return found
    base = found.manifest.base if found.manifest else None
    pending = (
        base is not None
        and base.name == old.name
        and [file.format in ("missing", "special") for file in found.files] == [True]
    )
    if found.files and not pending:
        message = f"{text(old.name)} is ignored; the AOF set {text(found.prefix)} is loaded instead"
        remark = Remark("warning", "old-aof-ignored", message, name=old.name)
        return replace(found, warnings=(*found.warnings, remark))
    message = f"Redis 7.0 and newer moves {text(old.name)} into the set as its base and loads it"
    remark = Remark("note", "aof-upgrade", message, name=old.name)
    return replace(found, files=(replace(old, role="base", seq=1),), warnings=(*found.warnings, remark))


# -- remarks -----------------------------------------------------------------------------------------------------------


def _remarks(found: AofSet) -> Iterator[Remark]:
    if found.error is None and not found.files:
        yield from _starts_empty(found)
    for file in found.files:
        yield from _of_file(file)
    yield from _of_names(found)
    if found.files and all(file.format == "empty" for file in found.files):
        yield Remark("note", "all-empty", "every file of the set is empty: a server starts empty")
    if found.files and found.append_name in found.stray:
        name = found.append_name
        message = f"{text(name)} is not listed and not loaded, but a server would append to it"
        yield Remark("warning", "appends-to-stray", message, name=name)
    yield from _of_rest(found)


def _starts_empty(found: AofSet) -> Iterator[Remark]:
    state, code = ("lists no files", "manifest-no-files") if found.manifest_path else ("is missing", "manifest-missing")
    members = [name for name in found.stray if name == found.prefix or MEMBER.fullmatch(name)]
    backup = _UNSEALED if found.manifest_path is None and [*map(_is_base, members)] == [True] else ""
    members += [file.name for file in found.history if file.format != "missing"]
    if not members:
        yield Remark("warning", code, f"the manifest {state}: a server starts empty")
        return
    yield Remark(
        "error",
        code,
        f"the manifest {state}, but {_present(len(members))}: a server starts empty, overwrites "
        f"{text(found.prefix)}.1.base.rdb and appends to {text(found.append_name)}; restore the manifest first{backup}",
    )


def _is_base(name: bytes) -> bool:
    return name.endswith(b".base.rdb")


def _present(count: int) -> str:
    return "one file of the set exists" if count == 1 else f"{count} files of the set exist"


def _of_file(file: AofFile) -> Iterator[Remark]:
    name = text(file.name)
    if file.format == "missing":
        yield Remark("error", "missing-file", f"{name} is listed but missing: no server starts", name=file.name)
    elif file.format == "special":
        yield Remark("error", "not-a-file", f"{name} is listed but is not a regular file", name=file.name)
    elif file.role == "incr" and file.format == "rdb":
        message = f"{name} is an increment but is an RDB: a server loads it, but redis-check-aof reports damage"
        yield Remark("warning", "increment-is-rdb", message, name=file.name)


def _of_names(found: AofSet) -> Iterator[Remark]:
    seen: set[bytes] = set()
    for file in found.files:
        if file.name in seen:
            message = f"{text(file.name)} is listed more than once: a server loads it each time"
            yield Remark("warning", "listed-twice", message, name=file.name)
        seen.add(file.name)
    for file in found.history:
        if file.name in seen:
            message = f"{text(file.name)} is also listed as history: a server deletes it after loading it"
            yield Remark("error", "history-is-live", message, name=file.name)


def _of_rest(found: AofSet) -> Iterator[Remark]:
    there = [text(file.name) for file in found.history if file.format != "missing"]
    if found.files and there:
        yield Remark("note", "history", f"history, not loaded and deleted after the load: {some(there)}")
    if found.stray and found.files:
        yield Remark("note", "stray-files", f"not listed and ignored: {some(map(text, found.stray))}")
    if found.temporary:
        message = f"temporary files of a rewrite, ignored: {some(map(text, found.temporary))}"
        yield Remark("note", "temporary-files", message)


def some(names: Iterable[str], limit: int = 10) -> str:
    """Return names for a message, only the first if there are many."""
    shown = list(names)
    more = f" and {len(shown) - limit} more" if len(shown) > limit else ""
    return ", ".join(shown[:limit]) + more
