"""The names that a run will create, compared with its inputs before a byte is written.

Files are compared by identity (device and inode), not by name: so links, other spellings of a path, and file systems
that fold case are recognised.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

#: Paths that mean an open descriptor.
_DESCRIPTOR = re.compile(r"/dev/(?:std(?P<name>in|out|err)|fd/(?P<fd>[0-9]{1,9}))|/proc/self/fd/(?P<proc>[0-9]{1,9})")
_STANDARD = {"in": 0, "out": 1, "err": 2}
#: An input or another file that must not be overwritten: a path, or a file descriptor.
Reserved = str | int


class Clash(ValueError):
    """A name that would be created is an input, or two such names are one file."""


@dataclass(frozen=True, slots=True)
class Name:
    """A name for a new file: `path` as given, `target` with all links followed, `seen` its status, if it exists."""

    path: str
    target: str
    seen: os.stat_result | None

    @property
    def directory(self) -> str:
        """The directory of the target."""
        return os.path.dirname(self.target) or os.curdir  # noqa: PTH120  a Path would normalise what the caller gave

    @property
    def descriptor(self) -> int | None:
        """The open descriptor that the path means, as in /dev/fd/3; None for a file."""
        return descriptor_of(self.path)

    @property
    def is_special(self) -> bool:
        """Whether the target exists and is written directly: a device, a FIFO, a socket, an open descriptor."""
        if self.seen is None:
            return False
        mode = self.seen.st_mode
        return self.descriptor is not None or not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))

    @property
    def other_names(self) -> int:
        """How many other names (hard links) the regular file has that this name leads to now."""
        regular = self.seen is not None and stat.S_ISREG(self.seen.st_mode) and not self.is_special
        return self.seen.st_nlink - 1 if self.seen is not None and regular else 0

    def beside(self, suffix: str) -> Name:
        """Return the plan for NAME<suffix> in the same directory."""
        found = plan(self.target + suffix)
        return Name(self.path + suffix if self.path == self.target else found.path, found.target, found.seen)


def plan(path: str | os.PathLike[str]) -> Name:
    """Return the plan for a path: a link is followed, as a shell's ">" does.

    Raises ValueError for an empty path, OSError if its status cannot be read.
    """
    shown = os.fspath(path)
    if not shown:
        raise ValueError("the file name is empty")
    try:
        seen = os.stat(shown)  # noqa: PTH116  a Path would normalise what the caller gave
    except OSError as error:
        # No file can have a name that is too long; a suffix that we add can make a name too long.
        if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG):
            raise
        seen = None
    # The links in /dev/fd do not lead to a path. Any other name is kept as given, because messages repeat it.
    special = seen is not None and not (stat.S_ISREG(seen.st_mode) or stat.S_ISDIR(seen.st_mode))
    followed = os.path.islink(shown) and not special and descriptor_of(shown) is None  # noqa: PTH114  as above
    target = os.path.realpath(shown) if followed else shown
    return Name(shown, target, seen)


def descriptor_of(path: str) -> int | None:
    """Return the descriptor that a path such as /dev/stdout or /dev/fd/3 means, else None."""
    found = _DESCRIPTOR.fullmatch(path)
    if found is None:
        return None
    return _STANDARD[found["name"]] if found["name"] else int(found["fd"] or found["proc"])


def plan_directory(path: str | os.PathLike[str]) -> Name:
    """Return the plan for a new directory, or for an empty one that exists already, given by any path to it."""
    shown = os.fspath(path)
    name = plan(shown.rstrip(os.sep) or shown)
    if name.seen is not None and stat.S_ISDIR(name.seen.st_mode):
        return Name(shown, os.path.realpath(shown), name.seen)
    return Name(shown, name.target, name.seen)


def compare(names: Sequence[Name], reserved: Iterable[Reserved]) -> None:
    """Raise Clash if a planned name is a reserved file, or if two planned names are one file."""
    taken = [status for one in reserved if (status := status_of(one)) is not None]
    for number, name in enumerate(names):
        if name.seen is not None and not stat.S_ISCHR(name.seen.st_mode):
            for status in taken:
                if os.path.samestat(status, name.seen):
                    raise Clash(f"{name.path} is an input, and would be overwritten")
        for other in names[:number]:
            if _is_same(name, other):
                raise Clash(f"{other.path} and {name.path} are the same file")
            if name.seen is None and other.seen is None and _is_alike(name, other):
                raise Clash(f"{other.path} and {name.path} differ in case only: one file on some file systems")


def _is_same(one: Name, other: Name) -> bool:
    if one.descriptor is not None and one.descriptor == other.descriptor:
        return True
    if one.seen is not None and other.seen is not None:
        return os.path.samestat(one.seen, other.seen) and not stat.S_ISCHR(one.seen.st_mode)
    base, others = os.path.basename(one.target), os.path.basename(other.target)  # noqa: PTH119  as above
    return base == others and one.seen is None and other.seen is None and _is_beside(one, other)


def _is_alike(one: Name, other: Name) -> bool:
    return _folded(one) == _folded(other) and _is_beside(one, other)


def _folded(name: Name) -> str:
    base = os.path.basename(name.target)  # noqa: PTH119  as above
    if base.isascii():
        return base.lower()
    import unicodedata

    return unicodedata.normalize("NFC", base.casefold())


def _is_beside(one: Name, other: Name) -> bool:
    seen, others = status_of(one.directory), status_of(other.directory)
    same = seen is not None and others is not None and os.path.samestat(seen, others)
    return same or one.directory == other.directory


def status_of(file: Reserved) -> os.stat_result | None:
    """Return the status of a path or descriptor; None if nothing is there or the status cannot be read."""
    try:
        return os.stat(file)  # noqa: PTH116  may be a descriptor
    except (OSError, ValueError):
        return None


def refuse_existing(name: Name, *, force: bool) -> None:
    """Raise FileExistsError, IsADirectoryError or OSError if a result that holds data must not be written there."""
    if name.path.endswith(os.sep):
        raise IsADirectoryError(errno.EISDIR, "is the name of a directory: name a file", name.path)
    if name.seen is None:
        return
    if stat.S_ISDIR(name.seen.st_mode):
        raise IsADirectoryError(errno.EISDIR, "is a directory: name a file", name.path)
    if name.is_special:
        raise OSError(errno.EINVAL, "is a device, pipe or socket: name a regular file", name.path)
    if not force:
        raise FileExistsError(errno.EEXIST, "exists already: name another file, or use --force", name.path)
