"""A new file: created exclusively under a temporary name, and published under its real name when it is complete.

    NAME.partial-<random> (0600)  ─►  owner, mode  ─►  content  ─►  fsync  ─►  NAME  ─►  fsync of the directory

After an interruption, even by SIGKILL, NAME is what it was before, or the whole new file. If two runs publish the same
name, the second fails unless it may replace anything. A file that is neither published nor kept is removed, at the
latest by `discard_all`.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import count
from types import TracebackType
from typing import Self

from rdbkit.files.attributes import Like, dress, dress_lightly
from rdbkit.files.moves import finished, locked, move_new, named, signals_held, sync, sync_directory
from rdbkit.files.names import Name

#: What publishing may replace: whatever regular file is there, nothing, or only what was there at planning.
ANYTHING, NOTHING, SEEN = "anything", "nothing", "seen"

#: Longest file name, in bytes, to which a suffix can be added; file systems accept 255.
_LONGEST = 200

#: Temporary names of this process that are neither published nor kept. They are random, so the files are our own.
_pending: dict[str, None] = {}

Step = Callable[[str], None]


def _no_step(_: str) -> None:
    """Do nothing: tests replace this to observe the steps."""


class NewFile:
    """A file being written. Use it in a `with`: a file that was not published or kept is removed at the end.

    `like` is the file whose owner, mode and attributes it gets, `mode_of` one whose mode it gets; None: those of the
    file that it replaces, else the usual ones of a new file. `replaces`: ANYTHING, NOTHING or SEEN. Raises OSError
    with the target's name.
    """

    def __init__(
        self,
        name: Name,
        *,
        replaces: str = NOTHING,
        like: Like | None = None,
        owner: bool = True,
        mode_of: os.stat_result | None = None,
        step: Step = _no_step,
    ) -> None:
        self.name = name
        self.replaces = replaces
        self.size = 0
        self._step = step
        self._open = True
        self._old: str | None = None
        step("create")
        as_usual = like is None and mode_of is None and name.seen is None
        self.temporary, self.fd = _create(name, 0o666 if as_usual else 0o600)
        try:
            self._made = os.fstat(self.fd)
            with named(name):
                if like is not None:
                    dress(self.fd, like, owner=owner)
                elif mode_of is not None:
                    dress_lightly(self.fd, mode_of)
                elif name.seen is not None:
                    dress_lightly(self.fd, name.seen, name.target)
        except BaseException:
            self.discard()
            raise

    @property
    def published(self) -> bool:
        """Whether the file has its name."""
        return _is_at(self.name.target, self._made)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.discard()

    def write(self, data: bytes | memoryview) -> int:
        """Write all of `data`; return its size in bytes."""
        view = memoryview(data)
        with named(self.name):
            while view:
                sent = os.write(self.fd, view)
                self.size += sent
                view = view[sent:]
        return len(data)

    def close(self) -> None:
        """Make the content durable; nothing can be written after that."""
        if self._open:
            with named(self.name):
                sync(self.fd)
                self._open = False
                os.close(self.fd)
            self._step("written")

    def publish(self) -> None:
        """Give the file its name; its content is made durable before that, the name after it.

        Raises FileExistsError if there is a file of that name that must not be replaced.
        """
        self.close()
        with signals_held():
            with named(self.name), locked(self.name.directory):
                if not _is_at(self.temporary, self._made):
                    problem = "the unfinished file was removed or replaced meanwhile"
                    raise FileExistsError(errno.EEXIST, problem, self.name.path)
                if self.replaces == NOTHING or (self.replaces == SEEN and self.name.seen is None):
                    self._take()
                else:
                    self._replace()
            _pending.pop(self.temporary, None)
            if self.replaces != ANYTHING:
                finished.append(self.name.path)
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
                # Kept until all files that belong together are published: `withdraw` restores it.
                self._old = _second_temporary(self.name)
        os.replace(self.temporary, target)  # noqa: PTH105  as above

    def withdraw(self) -> None:
        """Undo the publishing of a file: restore what was at its name before.

        If the old file could not be given a second name, the new one stays.
        """
        with signals_held(), suppress(OSError):
            if not self.published:
                return
            if self._old is not None:
                os.replace(self._old, self.name.target)  # noqa: PTH105  as above
                _pending.pop(self._old, None)
            elif self.replaces == NOTHING or (self.replaces == SEEN and self.name.seen is None):
                os.unlink(self.name.target)  # noqa: PTH108  as above
            else:
                return
            if self.name.path in finished:
                finished.remove(self.name.path)

    def keep(self, suffix: str = ".partial", *, numbered: bool = False) -> str:
        """Keep what was written as NAME<suffix>, or the first NAME<suffix>-<n> that is free; return that name.

        `numbered`: the first of these is NAME<suffix>-1.
        """
        if self._open:
            self._open = False
            os.close(self.fd)
        if self.published:
            return self.name.path
        with signals_held():
            for number in count(1):
                tail = suffix if number == 1 and not numbered else f"{suffix}-{number}"
                try:
                    move_new(self.temporary, self.name.target + tail)
                except FileExistsError:
                    continue
                except OSError:
                    # The name is probably too long. The file stays under its present name.
                    tail = self.temporary[len(self.name.target) :]
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
    """A directory that appears under its name with all its content; until then it is filled at `path`."""

    def __init__(self, name: Name, *, mode: int | None = None, step: Step = _no_step) -> None:
        self.name = name
        self._mode = mode
        self._step = step
        if name.seen is not None:
            self._refuse()
        with named(name):
            self.path = _make_directory(name)

    def _refuse(self) -> None:
        """Raise if there is anything other than an empty directory."""
        assert self.name.seen is not None
        if not stat.S_ISDIR(self.name.seen.st_mode) or os.listdir(self.name.target):  # noqa: PTH208  see names.py
            raise FileExistsError(errno.EEXIST, "exists and is not an empty directory", self.name.path)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        _discard(self.path)

    def publish(self) -> None:
        """Give the directory its name. Raises FileExistsError if the name is taken."""
        if self._mode is not None:
            os.chmod(self.path, self._mode)  # noqa: PTH101  see names.py
        sync_directory(self.path)
        with signals_held(), named(self.name), locked(self.name.directory):
            try:
                os.rename(self.path, self.name.target)  # noqa: PTH104  as above
            except OSError as error:
                if error.errno in (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR):
                    problem = "exists and is not an empty directory"
                    raise FileExistsError(errno.EEXIST, problem, self.name.path) from None
                raise
            _pending.pop(self.path, None)
            finished.append(self.name.path)
            self._step("published")
            sync_directory(self.name.directory)


def publish_all(files: Sequence[NewFile]) -> None:
    """Publish new names in this order; if one of them fails, undo the others."""
    for file in files:
        file.close()
    with signals_held():
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
            # Registered before it exists: an interrupt directly after the call must not leave the file undeleted.
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


def takes_links(target: str) -> bool:
    """Return whether the file can be given a second name (hard link)."""
    probe = _second_temporary(Name(target, target, None))
    if probe is not None:
        _discard(probe)
    return probe is not None


def _second_temporary(name: Name) -> str | None:
    """Give the file at a name a temporary second name; None if there are no hard links."""
    path = _temporary_name(name)
    _pending[path] = None
    try:
        os.link(name.target, path)
    except OSError:
        del _pending[path]
        return None
    return path
