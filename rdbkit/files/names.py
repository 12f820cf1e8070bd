"""The names that a run will create, compared with its inputs before a byte is written.

Files are compared by identity (device and inode), not by name: so links, other spellings of a path, and file systems
that fold case are seen through.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

#: An input or another file that must not be overwritten: a path, or a file descriptor.
Reserved = str | int


class Clash(ValueError):
    """A name that would be created is an input, or two such names are one file."""


@dataclass(frozen=True, slots=True)
class Name:
    """A name for a new file: `path` as it was given, `target` with all links followed, `seen` what was there."""

    path: str
    target: str
    seen: os.stat_result | None

    @property
    def directory(self) -> str:
        """The directory of the target."""
        return os.path.dirname(self.target) or os.curdir  # noqa: PTH120  a Path would normalise what the caller gave

    @property
    def is_special(self) -> bool:
        """Whether the target is there and is neither a regular file nor a directory: a device, a FIFO, a socket."""
        return self.seen is not None and not (stat.S_ISREG(self.seen.st_mode) or stat.S_ISDIR(self.seen.st_mode))

    @property
    def other_names(self) -> int:
        """How many other names (hard links) the regular file has that this name stands for now."""
        return self.seen.st_nlink - 1 if self.seen is not None and stat.S_ISREG(self.seen.st_mode) else 0

    def beside(self, suffix: str) -> Name:
        """Return the plan for NAME<suffix> in the same directory."""
        found = plan(self.target + suffix)
        return Name(self.path + suffix if self.path == self.target else found.path, found.target, found.seen)


def plan(path: str | os.PathLike[str]) -> Name:
    """Return the plan for a path: a link is followed, as a shell's ">" does. Raises OSError where it cannot be seen."""
    shown = os.fspath(path)
    try:
        seen = os.stat(shown)  # noqa: PTH116  a Path would normalise what the caller gave
    except (FileNotFoundError, NotADirectoryError):
        seen = None
    # The links to open files in /dev/fd lead to no path; any other name is kept as given, because messages repeat it.
    followed = os.path.islink(shown) and (seen is None or stat.S_ISREG(seen.st_mode))  # noqa: PTH114  as above
    target = os.path.realpath(shown) if followed else shown
    return Name(shown, target, seen)


def compare(names: Sequence[Name], reserved: Iterable[Reserved]) -> None:
    """Raise Clash where a planned name is a reserved file, or where two planned names are one file."""
    taken = [status for one in reserved if (status := status_of(one)) is not None]
    for number, name in enumerate(names):
        if name.seen is not None and not stat.S_ISCHR(name.seen.st_mode):
            for status in taken:
                if os.path.samestat(status, name.seen):
                    raise Clash(f"{name.path} is an input, and would be overwritten")
        for other in names[:number]:
            if _is_same(name, other):
                raise Clash(f"{other.path} and {name.path} are the same file")


def _is_same(one: Name, other: Name) -> bool:
    if one.seen is not None and other.seen is not None:
        return os.path.samestat(one.seen, other.seen) and not stat.S_ISCHR(one.seen.st_mode)
    if (one.seen is None) != (other.seen is None):
        return False
    # Neither is there yet. Names that differ in case only are one file on some file systems, and nobody means that.
    return _folded(one) == _folded(other) and _is_same_directory(one.directory, other.directory)


def _folded(name: Name) -> str:
    base = os.path.basename(name.target)  # noqa: PTH119  as above
    if base.isascii():
        return base.lower()
    import unicodedata

    return unicodedata.normalize("NFC", base.casefold())


def _is_same_directory(one: str, other: str) -> bool:
    seen, others = status_of(one), status_of(other)
    return one == other or (seen is not None and others is not None and os.path.samestat(seen, others))


def status_of(file: Reserved) -> os.stat_result | None:
    """Return what is at a path or descriptor; None where nothing is, or where it cannot be seen."""
    try:
        return os.stat(file)  # noqa: PTH116  may be a descriptor
    except (OSError, ValueError):
        return None


def refuse_existing(name: Name, *, force: bool) -> None:
    """Raise FileExistsError, IsADirectoryError or OSError where a result that holds data must not be put."""
    if name.seen is None:
        return
    if stat.S_ISDIR(name.seen.st_mode):
        raise IsADirectoryError(errno.EISDIR, "is a directory: name a file", name.path)
    if name.is_special:
        raise OSError(errno.EINVAL, "is a device, pipe or socket: name a regular file", name.path)
    if not force:
        raise FileExistsError(errno.EEXIST, "exists already: name another file, or use --force", name.path)
