"""When a file may be replaced in its place: nobody writes to it, there is room, and the old one has a second name.

    check nobody writes ─► room ─► new file written (rdbkit.files) ─► NAME.bak-<n> ─► NAME replaced

The backup is a hard link where the file system has them, else a copy.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from rdbkit.files import moves, new
from rdbkit.files.names import plan
from rdbkit.files.new import NewFile
from rdbkit.recovery.file import DamagedFile
from rdbkit.source.raw import identity

#: A file that changed within so many seconds is looked at a second time,
YOUNG = 2.0
#: so many seconds later.
PAUSE = 0.05
#: Bytes that are left free on top.
_SPARE = 1 << 16

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


def at_rest(file: DamagedFile, system: System) -> None:
    """Raise Busy for a file that is growing, or that a process holds open."""
    if system.now() - file.seen.st_mtime < YOUNG:
        system.sleep(PAUSE)
    unchanged(file)
    holder = holder_of(file)
    if holder is not None:
        raise Busy(f"process {holder} holds it open: stop the server first, or use --force", file.path)


def unchanged(file: DamagedFile) -> None:
    """Raise Busy for a file that is no longer what was opened."""
    try:
        now = os.stat(file.path)  # noqa: PTH116  the path is what the caller gave
    except FileNotFoundError:
        raise Busy("it was removed or renamed meanwhile", file.path) from None
    if identity(now) != identity(file.seen):
        raise Busy("it is being written: stop the server first, or use --force", file.path)


def holder_of(file: DamagedFile) -> int | None:
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


# -- room and backups --------------------------------------------------------------------------------------------------


def need_room(directory: str, size: int, system: System) -> None:
    """Raise OSError (ENOSPC) where so many bytes do not fit."""
    free = system.free(directory)
    if size + _SPARE > free:
        raise OSError(errno.ENOSPC, f"{size} bytes are needed and {free} are free: nothing was changed", directory)


def need_room_for(target: str, new_size: int, old_size: int, system: System) -> None:
    """Raise OSError (ENOSPC) unless a new file fits beside the old one, and a copy of that if it cannot be linked."""
    if not new.takes_links(target):
        new_size += old_size
    need_room(os.path.dirname(target) or os.curdir, new_size, system)  # noqa: PTH120  a Path would normalise it


def back_up(old: DamagedFile, target: str, system: System) -> str:
    """Give the old file a second name, or where that cannot be, make a copy of it; return the name."""
    backup = moves.second_name(target, ".bak")
    if backup is None:
        need_room(os.path.dirname(target) or os.curdir, old.size, system)  # noqa: PTH120  as above
        with NewFile(plan(target), like=old, step=system.step) as copy:
            copy_ranges(copy, old, [(0, old.size)], system)
            copy.close()
            backup = copy.keep(".bak", numbered=True)
    system.step("backup")
    return backup


def copy_ranges(out: NewFile, file: DamagedFile, ranges: Iterable[Range], system: System) -> None:
    """Write these ranges of a file."""
    for start, end in ranges:
        for piece in file.pieces(start, end):
            out.write(piece)
            system.step("piece")


def total(ranges: Sequence[Range]) -> int:
    """Return how many bytes the ranges hold."""
    return sum(end - start for start, end in ranges)
