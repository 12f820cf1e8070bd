"""In-place replacement of a file: not in use, enough free space, and a backup.

    check not in use ─► check space ─► write new file (rdbkit.files) ─► NAME.bak-<n> ─► replace NAME

The backup is a hard link if the file system supports it, else a copy.
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

#: A file that changed within this many seconds is checked again,
YOUNG = 2.0
#: this many seconds later.
PAUSE = 0.05
#: Additional bytes that must remain free.
_SPARE = 1 << 16

Range = tuple[int, int]


@dataclass(frozen=True, slots=True)
class System:
    """Hooks for tests: the clock, the pause, and a call at each step."""

    now: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep
    step: Callable[[str], None] = lambda _: None
    free: Callable[[str], int] = lambda directory: _free(directory)


def _free(directory: str) -> int:
    space = os.statvfs(directory)
    return space.f_bavail * space.f_frsize


class Busy(OSError):
    """The file is in use."""

    def __init__(self, why: str, path: str) -> None:
        super().__init__(errno.EBUSY, why, path)


# -- not in use --------------------------------------------------------------------------------------------------------


def at_rest(file: DamagedFile, system: System) -> None:
    """Raise Busy for a file that is growing, or that a process holds open."""
    if system.now() - file.seen.st_mtime < YOUNG:
        system.sleep(PAUSE)
    unchanged(file)
    holder = holder_of(file)
    if holder is not None:
        raise Busy(f"process {holder} has it open: stop the server first, or use --force", file.path)


def unchanged(file: DamagedFile) -> None:
    """Raise Busy for a file that is no longer the one opened."""
    try:
        now = os.stat(file.path)  # noqa: PTH116  the path is what the caller gave
    except FileNotFoundError:
        raise Busy("it was removed or renamed during the repair", file.path) from None
    if identity(now) != identity(file.seen):
        raise Busy("it is being written: stop the server first, or use --force", file.path)


def holder_of(file: DamagedFile) -> int | None:
    """Return another process that has the file open, as far as /proc shows it."""
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


# -- space and backups -------------------------------------------------------------------------------------------------


def need_space(directory: str, size: int, system: System) -> None:
    """Raise OSError (ENOSPC) if this many bytes do not fit."""
    free = system.free(directory)
    if size + _SPARE > free:
        raise OSError(errno.ENOSPC, f"{size} bytes are needed, {free} are free; nothing was changed", directory)


def need_room_for(target: str, new_size: int, old_size: int, system: System) -> None:
    """Raise OSError (ENOSPC) unless the new file fits, and a copy of the old one if it cannot be linked."""
    if not new.takes_links(target):
        new_size += old_size
    need_space(os.path.dirname(target) or os.curdir, new_size, system)  # noqa: PTH120  a Path would normalise it


def back_up(old: DamagedFile, target: str, system: System) -> str:
    """Back up the old file by a hard link or, if that fails, a copy; return the name of the backup."""
    backup = moves.second_name(target, ".bak")
    if backup is None:
        need_space(os.path.dirname(target) or os.curdir, old.size, system)  # noqa: PTH120  as above
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
