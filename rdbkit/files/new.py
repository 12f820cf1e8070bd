"""A new file: created exclusively under a name of its own, and published under its real name when it is whole.

    NAME.partial-<random> (0600)  ─►  owner, mode  ─►  content  ─►  fsync  ─►  NAME  ─►  fsync of the directory

Whoever is interrupted, even by SIGKILL, leaves at NAME what was there before, or the whole new file. Of two runs that
publish one name, the second fails unless it may replace anything. What is neither published nor kept is removed, at
the latest by `discard_all`.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import count
from types import TracebackType
from typing import Self

from rdbkit.files.attributes import Like, dress, dress_lightly
from rdbkit.files.names import Name

try:
    import fcntl
except ImportError:  # Windows: there is no lock, and names are still created exclusively
    fcntl = None  # type: ignore[assignment]

#: What publishing may replace: whatever regular file is there, nothing, or only what was there at planning.
ANYTHING, NOTHING, SEEN = "anything", "nothing", "seen"

#: Bytes of a file name that leave room for a suffix of ours; file systems take 255.
_LONGEST = 200
_NO_LINK = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK, errno.EXDEV, errno.EACCES)
_NO_SYNC = (errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS)

#: Temporary names of this process that are neither published nor kept. Random names: what is there is ours.
_pending: dict[str, None] = {}

Step = Callable[[str], None]


def _no_step(_: str) -> None:
    """Take note of a step: tests replace this."""


class NewFile:
    """A file being written. Use it in a `with`: what is not published or kept when it is left is removed.

    `like` is the file whose owner, mode and attributes it takes; None: those of the file that it replaces, else the
    usual ones of a new file. `replaces`: ANYTHING, NOTHING or SEEN. Raises OSError with the target's name.
    """

    def __init__(
        self,
        name: Name,
        *,
        replaces: str = NOTHING,
        like: Like | None = None,
        owner: bool = True,
        step: Step = _no_step,
    ) -> None:
        self.name = name
        self.replaces = replaces
        self.size = 0
        self._step = step
        self._open = True
        self._old: str | None = None
        self.published = False
        """Whether the file has its name."""
        step("create")
        as_usual = like is None and name.seen is None
        self.temporary, self.fd = _create(name, 0o666 if as_usual else 0o600)
        try:
            self._made = os.fstat(self.fd)
            if like is not None:
                dress(self.fd, like, owner=owner)
            elif name.seen is not None:
                dress_lightly(self.fd, name.seen)
        except BaseException:
            self.discard()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.discard()

    def write(self, data: bytes | memoryview) -> int:
        """Write all of it; return how many bytes that are."""
        view = memoryview(data)
        while view:
            sent = os.write(self.fd, view)
            self.size += sent
            view = view[sent:]
        return len(data)

    def close(self) -> None:
        """Make the content durable; nothing can be written any more."""
        if self._open:
            _sync(self.fd)
            self._open = False
            os.close(self.fd)
            self._step("written")

    def publish(self) -> None:
        """Give the file its name; its content is made durable before, the name after.

        Raises FileExistsError where something is at the name that must not be replaced.
        """
        self.close()
        with named(self.name), _locked(self.name.directory):
            if not _is_at(self.temporary, self._made):
                raise FileExistsError(errno.EEXIST, "another process replaced the file being written", self.name.path)
            if self.replaces == NOTHING or (self.replaces == SEEN and self.name.seen is None):
                self._take()
            else:
                self._replace()
        self.published = True
        _pending.pop(self.temporary, None)
        self._step("published")
        sync_directory(self.name.directory)
        self._step("synced")

    def _take(self) -> None:
        try:
            move_new(self.temporary, self.name.target)
        except FileExistsError as error:
            error.strerror = "was created by another process meanwhile: not replaced"
            raise

    def _replace(self) -> None:
        target, seen = self.name.target, self.name.seen
        with suppress(FileNotFoundError):
            now = os.stat(target)  # noqa: PTH116  see names.py
            if not stat.S_ISREG(now.st_mode):
                raise FileExistsError(errno.EEXIST, "is no regular file any more: not replaced", self.name.path)
            if self.replaces == SEEN and seen is not None and not os.path.samestat(now, seen):
                raise FileExistsError(errno.EEXIST, "was replaced by another process meanwhile", self.name.path)
            if self.replaces == SEEN:
                # Until all that belongs together is published: `withdraw` puts it back.
                self._old = _second_temporary(self.name)
        os.replace(self.temporary, target)  # noqa: PTH105  as above

    def withdraw(self) -> None:
        """Take a published file back: what was at its name before is there again."""
        if self.published and _is_at(self.name.target, self._made):
            with suppress(OSError):
                if self._old is None:
                    os.unlink(self.name.target)  # noqa: PTH108  as above
                else:
                    os.replace(self._old, self.name.target)  # noqa: PTH105  as above
                    _pending.pop(self._old, None)

    def keep(self, suffix: str = ".partial", *, numbered: bool = False) -> str:
        """Keep what was written as NAME<suffix>, or the first NAME<suffix>-<n> that is free; return that name.

        `numbered`: the first of these is NAME<suffix>-1.
        """
        if self._open:
            self._open = False
            os.close(self.fd)
        for number in count(1):
            tail = suffix if number == 1 and not numbered else f"{suffix}-{number}"
            try:
                move_new(self.temporary, self.name.target + tail)
            except FileExistsError:
                continue
            except OSError:
                # Too long a name, most likely. What was written stays under the name that it has.
                _pending.pop(self.temporary, None)
                return self.temporary
            _pending.pop(self.temporary, None)
            return self.name.path + tail if self.name.path == self.name.target else self.name.target + tail
        raise AssertionError

    def discard(self) -> None:
        """Remove the file, unless it was published or kept."""
        if self._open:
            self._open = False
            os.close(self.fd)
        _discard(self.temporary)
        if self._old is not None:
            _discard(self._old)


class NewDirectory:
    """A directory that appears under its name with all that is in it; `path` is where it is filled until then."""

    def __init__(self, name: Name, *, mode: int | None = None, step: Step = _no_step) -> None:
        self.name = name
        self._mode = mode
        self._step = step
        if name.seen is not None:
            self._refuse()
        with named(name):
            self.path = _make_directory(name)

    def _refuse(self) -> None:
        """Raise where there is anything but an empty directory."""
        assert self.name.seen is not None
        if not stat.S_ISDIR(self.name.seen.st_mode) or os.listdir(self.name.target):  # noqa: PTH208  see names.py
            raise FileExistsError(errno.EEXIST, "exists and is not an empty directory", self.name.path)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        _discard(self.path)

    def publish(self) -> None:
        """Give the directory its name. Raises FileExistsError where another one has taken it."""
        if self._mode is not None:
            os.chmod(self.path, self._mode)  # noqa: PTH101  see names.py
        sync_directory(self.path)
        with named(self.name), _locked(self.name.directory):
            try:
                os.rename(self.path, self.name.target)  # noqa: PTH104  as above
            except OSError as error:
                if error.errno in (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR):
                    problem = "exists and is not an empty directory"
                    raise FileExistsError(errno.EEXIST, problem, self.name.path) from None
                raise
        _pending.pop(self.path, None)
        self._step("published")
        sync_directory(self.name.directory)


def publish_all(files: Sequence[NewFile]) -> None:
    """Publish new names in this order; where one of them fails, take the others back."""
    for file in files:
        file.close()
    try:
        for file in files:
            file.publish()
    except BaseException:
        for file in files:
            file.withdraw()
        raise


def discard_all() -> None:
    """Remove every unfinished file of this process; for a program that is about to end without unwinding."""
    for path in list(_pending):
        _discard(path)


# -- names and directories ---------------------------------------------------------------------------------------------


def _temporary_name(name: Name) -> str:
    directory, base = os.path.split(name.target)
    short = os.fsdecode(os.fsencode(base)[:_LONGEST])
    return os.path.join(directory, f"{short}.partial-{os.urandom(4).hex()}")  # noqa: PTH118  see names.py


def _create(name: Name, mode: int) -> tuple[str, int]:
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0)
    with named(name):
        while True:
            path = _temporary_name(name)
            # Noted before it exists: an interrupt right after the call must not leave it behind.
            _pending[path] = None
            try:
                return path, os.open(path, flags | getattr(os, "O_BINARY", 0), mode)
            except FileExistsError:
                del _pending[path]
            except OSError:
                del _pending[path]
                raise


def _make_directory(name: Name) -> str:
    while True:
        path = _temporary_name(name)
        _pending[path] = None
        try:
            os.mkdir(path, 0o700)  # noqa: PTH102  see names.py
        except FileExistsError:
            del _pending[path]
        except OSError:
            del _pending[path]
            raise
        else:
            return path


def _discard(path: str) -> None:
    if path not in _pending:
        return
    with suppress(OSError):
        if os.path.isdir(path):  # noqa: PTH112  see names.py
            from shutil import rmtree

            rmtree(path)
        else:
            os.unlink(path)  # noqa: PTH108  as above
    _pending.pop(path, None)


def _is_at(path: str, made: os.stat_result) -> bool:
    try:
        return os.path.samestat(os.lstat(path), made)
    except OSError:
        return False


def move_new(source: str, target: str) -> None:
    """Rename a file to a name at which nothing may be. Raises FileExistsError where something is."""
    try:
        os.link(source, target)
    except OSError as error:
        if error.errno not in _NO_LINK:
            raise
        # No hard links here: the name is taken by an empty file, which is then replaced.
        os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        os.replace(source, target)  # noqa: PTH105  see names.py
        return
    os.unlink(source)  # noqa: PTH108  as above


def second_name(target: str, suffix: str) -> str | None:
    """Give a file the first free name NAME<suffix>-<n> as well, by a hard link; None where there are no such links."""
    for number in count(1):
        found = f"{target}{suffix}-{number}"
        try:
            os.link(target, found)
        except FileExistsError:
            continue
        except OSError as error:
            if error.errno not in _NO_LINK:
                raise
            return None
        return found
    raise AssertionError


def move_aside(target: str, suffix: str) -> str:
    """Rename a file to the first free name NAME<suffix>-<n>; return that name."""
    for number in count(1):
        with suppress(FileExistsError):
            move_new(target, f"{target}{suffix}-{number}")
            return f"{target}{suffix}-{number}"
    raise AssertionError


def takes_links(target: str) -> bool:
    """Return whether the file can be given a second name (hard link)."""
    probe = _second_temporary(Name(target, target, None))
    if probe is not None:
        _discard(probe)
    return probe is not None


def _second_temporary(name: Name) -> str | None:
    """Give the file at a name a temporary second name; None where there are no hard links."""
    path = _temporary_name(name)
    _pending[path] = None
    try:
        os.link(name.target, path)
    except OSError:
        del _pending[path]
        return None
    return path


@contextmanager
def named(name: Name) -> Iterator[None]:
    """Let an OSError name the file that the caller asked for, not the temporary one."""
    try:
        yield
    except OSError as error:
        error.filename, error.filename2 = name.path, None
        raise


@contextmanager
def _locked(directory: str) -> Iterator[None]:
    """Keep other runs from publishing in a directory, between the look at a name and its replacement."""
    handle = -1
    if fcntl is not None:
        with suppress(OSError):
            handle = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
            fcntl.flock(handle, fcntl.LOCK_EX)
    try:
        yield
    finally:
        if handle >= 0:
            os.close(handle)


def _sync(fd: int) -> None:
    try:
        os.fsync(fd)
    except OSError as error:
        if error.errno not in _NO_SYNC:
            raise


def sync_directory(path: str | os.PathLike[str]) -> None:
    """Make new names durable, where the system lets a directory be opened."""
    with suppress(OSError):
        directory = os.open(path, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
