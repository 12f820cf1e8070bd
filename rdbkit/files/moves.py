"""System calls for creating files: renaming without replacing, locks, and holding signals back."""

from __future__ import annotations

import errno
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count

from rdbkit.files.names import Name

try:
    import fcntl
except ImportError:  # Windows: there is no lock, and names are still created exclusively
    fcntl = None  # type: ignore[assignment]

#: Names that this process has given to files that hold data; an interrupted process prints them before it ends.
finished: list[str] = []

#: Seconds to wait for the lock of a directory.
_PATIENCE = 2.0
_NO_LINK = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK, errno.EXDEV, errno.EACCES)
_NO_SYNC = (errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS)


# -- names -------------------------------------------------------------------------------------------------------------


def move_new(source: str, target: str) -> None:
    """Rename a file to a name that must be free. Raises FileExistsError if it is not."""
    try:
        os.link(source, target)
    except OSError as error:
        if error.errno not in _NO_LINK:
            raise
    else:
        os.unlink(source)  # noqa: PTH108  see names.py
        return
    if _rename_new(source, target):
        return
    # Create an empty file at the name, then replace it: there is no other way without links and without renameat2.
    os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    try:
        os.replace(source, target)  # noqa: PTH105  as above
    except BaseException:
        os.unlink(target)  # noqa: PTH108  as above
        raise


def _rename_new(source: str, target: str) -> bool:
    """Rename by Linux' renameat2, which replaces nothing; return False if there is no such call."""
    # Imported here: only file systems without hard links need it.
    import ctypes

    call = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None) if os.name == "posix" else None
    if call is None:
        return False
    here, no_replace = -100, 1
    if call(here, os.fsencode(source), here, os.fsencode(target), no_replace) == 0:
        return True
    number = ctypes.get_errno()
    if number in (errno.EINVAL, errno.ENOSYS):
        return False
    raise OSError(number, os.strerror(number), target)


def second_name(target: str, suffix: str) -> str | None:
    """Give a file the first free name NAME<suffix>-<n> as well, by a hard link; None if there are no such links."""
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
        finished.append(found)
        return found
    raise AssertionError


def move_aside(target: str, suffix: str) -> str:
    """Rename a file to the first free name NAME<suffix>-<n>; return that name."""
    for number in count(1):
        with suppress(FileExistsError):
            move_new(target, f"{target}{suffix}-{number}")
            return f"{target}{suffix}-{number}"
    raise AssertionError


# -- around a change ---------------------------------------------------------------------------------------------------


@contextmanager
def named(name: Name) -> Iterator[None]:
    """Make an OSError name the file that the caller gave, not the temporary one."""
    try:
        yield
    except OSError as error:
        if error.filename2 is not None:
            raise OSError(error.errno, error.strerror, name.path) from error
        error.filename = name.path
        raise


@contextmanager
def locked(directory: str) -> Iterator[None]:
    """Prevent other runs from publishing in a directory between the check of a name and its replacement."""
    handle = -1
    try:
        if fcntl is not None:
            with suppress(OSError):
                handle = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
                _wait_for_lock(handle)
        yield
    finally:
        if handle >= 0:
            os.close(handle)


def _wait_for_lock(handle: int) -> None:
    """Lock a directory; go on without the lock after a timeout, because any reader of the directory can hold it."""
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                return
            time.sleep(0.01)
        else:
            return


@contextmanager
def signals_held() -> Iterator[None]:
    """Block the signals that would interrupt this thread, so that a change that has begun is completed."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM, signal.SIGHUP))
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def sync(fd: int) -> None:
    """Make a file's content durable, if the file system supports it."""
    try:
        os.fsync(fd)
    except OSError as error:
        if error.errno not in _NO_SYNC:
            raise


def sync_directory(path: str | os.PathLike[str]) -> None:
    """Make new names durable, if the system can open a directory."""
    with suppress(OSError):
        directory = os.open(path, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
