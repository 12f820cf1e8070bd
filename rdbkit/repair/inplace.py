"""New files for old ones, so that whoever is interrupted leaves the old file or the new one whole, never a part.

    check nobody writes ─► room ─► NAME.partial written, fsync ─► NAME.bak-<n> ─► rename over NAME ─► fsync directory

The backup is a hard link where the file system has them, else a copy. Owner, mode and extended attributes (access lists
are among them) go with the name. A link is followed: it goes on pointing to where the new file is.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rdbkit.repair.file import File
from rdbkit.source.raw import identity

#: A file that changed within so many seconds is looked at a second time,
YOUNG = 2.0
#: so many seconds later.
PAUSE = 0.05
#: Bytes that are left free on top.
_SPARE = 1 << 16
_NO_LINK = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EXDEV, errno.EACCES)
_NO_XATTR = (errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.ENODATA)

Range = tuple[int, int]


@dataclass(frozen=True, slots=True)
class System:
    """What tests replace: the clock, the pause, and a call at each step, at which they may stop."""

    now: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep
    step: Callable[[str], None] = lambda _: None
    free: Callable[[str], int] = lambda directory: _free(directory)


def _free(directory: str) -> int:
    room = os.statvfs(directory)
    return room.f_bavail * room.f_frsize


class Busy(OSError):
    """Someone else is at the file."""

    def __init__(self, why: str, path: str) -> None:
        super().__init__(errno.EBUSY, why, path)


# -- is it at rest -----------------------------------------------------------------------------------------------------


def at_rest(file: File, system: System) -> None:
    """Raise Busy for a file that is growing, or that a process holds open."""
    if system.now() - file.seen.st_mtime < YOUNG:
        system.sleep(PAUSE)
    unchanged(file)
    holder = holder_of(file)
    if holder is not None:
        raise Busy(f"process {holder} holds it open: stop the server first, or use --force", file.path)


def unchanged(file: File) -> None:
    """Raise Busy for a file that is no longer what was opened."""
    try:
        now = os.stat(file.path)  # noqa: PTH116  the path is what the caller gave
    except FileNotFoundError:
        raise Busy("it was removed or renamed meanwhile", file.path) from None
    if identity(now) != identity(file.seen):
        raise Busy("it is being written: stop the server first, or use --force", file.path)


def holder_of(file: File) -> int | None:
    """Return a process that has the file open, as far as /proc lets us see; not ourselves."""
    wanted = (file.seen.st_dev, file.seen.st_ino)
    for pid in _names("/proc"):
        if pid.isdigit() and int(pid) != os.getpid() and any(_is(f"/proc/{pid}/fd/{fd}", wanted) for fd in _fds(pid)):
            return int(pid)
    return None


def _fds(pid: str) -> list[str]:
    return _names(f"/proc/{pid}/fd")


def _names(path: str) -> list[str]:
    try:
        return os.listdir(path)  # noqa: PTH208  thousands of them
    except OSError:
        return []


def _is(path: str, wanted: tuple[int, int]) -> bool:
    try:
        seen = os.stat(path)  # noqa: PTH116  as above
    except OSError:
        return False
    return (seen.st_dev, seen.st_ino) == wanted


# -- writing -----------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Written:
    """A new file that lies ready beside the one that it will replace: `target`, the name behind all links."""

    target: Path
    partial: Path
    old: File | None
    backup: Path | None = None


def prepare(
    target: Path, pieces: Iterable[bytes], like: File | None, system: System, *, replacing: bool = True
) -> Written:
    """Write NAME.partial beside a target, and make it durable.

    `like`: the file that it takes its mode and attributes from, and if it is `replacing` that, its owner.
    """
    partial = target.with_name(f"{target.name}.partial")
    partial.unlink(missing_ok=True)
    system.step("write")
    try:
        with open(partial, "xb", buffering=0) as out:
            for piece in pieces:
                _write_all(out.fileno(), piece)
                system.step("piece")
            if like is not None:
                dress(out.fileno(), like, owner=replacing)
            os.fsync(out.fileno())
    except Exception:
        partial.unlink(missing_ok=True)
        raise
    system.step("written")
    return Written(target, partial, like)


def _write_all(fd: int, piece: bytes) -> None:
    view = memoryview(piece)
    while view:
        view = view[os.write(fd, view) :]


def kept_pieces(file: File, ranges: Sequence[Range]) -> Iterable[bytes]:
    """Yield the bytes of these ranges of a file."""
    for start, end in ranges:
        yield from file.pieces(start, end)


def dress(fd: int, like: File, *, owner: bool) -> None:
    """Give a new file the mode and the extended attributes of another, and its owner."""
    mine = os.fstat(fd)
    if owner and (mine.st_uid, mine.st_gid) != (like.seen.st_uid, like.seen.st_gid):
        os.fchown(fd, like.seen.st_uid, like.seen.st_gid)
    for name in _attributes(like.fd):
        try:
            os.setxattr(fd, name, os.getxattr(like.fd, name))
        except OSError as error:
            # The labels of the security module are the system's to give.
            if error.errno not in _NO_XATTR and not name.startswith("security."):
                raise
    os.fchmod(fd, stat.S_IMODE(like.seen.st_mode))


def _attributes(fd: int) -> list[str]:
    if not hasattr(os, "listxattr"):
        return []
    try:
        return os.listxattr(fd)
    except OSError as error:
        if error.errno in _NO_XATTR:
            return []
        raise


def need_room(directory: str, size: int, system: System) -> None:
    """Raise OSError (ENOSPC) where so many bytes do not fit."""
    free = system.free(directory)
    if size + _SPARE > free:
        raise OSError(errno.ENOSPC, f"{size} bytes are needed and {free} are free: nothing was changed", directory)


def need_room_for(target: Path, new: int, old: int, system: System) -> None:
    """Raise OSError (ENOSPC) unless a new file fits beside the old one, and a copy of that if it cannot be linked."""
    probe = free_name(target, ".link")
    try:
        os.link(target, probe)
        probe.unlink()
    except OSError:
        new += old
    need_room(str(target.parent), new, system)


def free_name(path: Path, suffix: str) -> Path:
    """Return NAME<suffix>-<n> with the least number for which nothing is there."""
    number = 1
    while True:
        candidate = path.with_name(f"{path.name}{suffix}-{number}")
        if not candidate.is_symlink() and not candidate.exists():
            return candidate
        number += 1


def back_up(written: Written, system: System) -> None:
    """Give the old file a second name, or where that cannot be, a copy."""
    assert written.old is not None
    backup = free_name(written.target, ".bak")
    try:
        os.link(written.target, backup)
    except OSError as error:
        if error.errno not in _NO_LINK:
            raise
        need_room(str(written.target.parent), written.old.size, system)
        copy = prepare(backup, kept_pieces(written.old, [(0, written.old.size)]), written.old, system)
        copy.partial.replace(backup)
    written.backup = backup
    system.step("backup")


def put(written: Written, system: System) -> None:
    """Put the new file in place of the old one."""
    written.partial.replace(written.target)
    system.step("replaced")
    sync_directory(written.target.parent)
    system.step("synced")


def sync_directory(path: Path) -> None:
    """Make new names durable, where the system lets a directory be opened."""
    with contextlib.suppress(OSError):
        directory = os.open(path, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
