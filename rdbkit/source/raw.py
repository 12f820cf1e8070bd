"""The lowest layer of a source: bytes from a file, a pipe, or memory."""

from __future__ import annotations

import errno
import io
import os
import stat
from collections.abc import Callable
from typing import Any, Protocol

from rdbkit.source.layers import ByteStream


class Raw(ByteStream, Protocol):
    """The input's own bytes; `size` if it is known, `again` only if `seekable`."""

    size: int | None
    seekable: bool

    def again(self, offset: int) -> Raw:
        """Return an independent reader that starts at `offset`."""

    def close(self) -> None:
        """Close what was opened here."""


class Memory:
    """Bytes in memory."""

    seekable = True

    def __init__(self, view: memoryview, position: int = 0) -> None:
        self.view = view
        self.size: int | None = len(view)
        self.position = position

    def read(self, n: int, /) -> bytes:
        """Return up to n bytes."""
        piece = bytes(self.view[self.position : self.position + n])
        self.position += len(piece)
        return piece

    def again(self, offset: int) -> Memory:
        """Return another reader of the same bytes."""
        return Memory(self.view, offset)

    def close(self) -> None:
        """Do nothing."""


class RawFile:
    """A file from its current position. Several of these may share one position, so each seeks before it reads."""

    def __init__(self, file: Any, name: str, *, size: int | None, seekable: bool, owned: bool, origin: int = 0) -> None:
        self.file = file
        self.name = name
        self.size = size
        self.seekable = seekable
        self.owned = owned
        self.origin = origin
        self.position = origin
        # For a buffered pipe, whose read() would wait until it has all n bytes.
        self._read: Callable[[int], bytes | None] = getattr(file, "read1", file.read)

    def read(self, n: int, /) -> bytes:
        """Return up to n bytes; an OSError carries the name."""
        try:
            if self.seekable:
                self.file.seek(self.position)
            piece = self._read(n)
        except OSError as error:
            error.filename = error.filename or self.name
            raise
        if piece is None:
            raise BlockingIOError(errno.EAGAIN, "the input is in non-blocking mode", self.name)
        self.position += len(piece)
        return piece

    def again(self, offset: int) -> RawFile:
        """Return another reader of the same file."""
        # Not opened by its name again, because servers replace an old dump with a new one by renaming it.
        file = io.FileIO(os.dup(self.file.fileno())) if self.owned else self.file
        other = RawFile(file, self.name, size=self.size, seekable=True, owned=self.owned, origin=self.origin)
        other.position += offset
        return other

    def close(self) -> None:
        """Close the file, unless the caller passed it."""
        if self.owned:
            self.file.close()


def open_path(path: str) -> tuple[Raw, os.stat_result | None]:
    """Open a file; if it is not a regular one, it cannot be read twice, and has no status to compare."""
    if os.path.isdir(path):  # noqa: PTH112  opening one is "permission denied" on some systems
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
    file = io.FileIO(path)
    seen = os.fstat(file.fileno())
    if stat.S_ISREG(seen.st_mode):
        return RawFile(file, path, size=seen.st_size, seekable=True, owned=True), seen
    return RawFile(file, path, size=None, seekable=False, owned=True), None


def use_object(file: Any, name: str) -> Raw:
    """Return a reader of a file object that the caller opened, and will close."""
    if file is None:
        raise OSError(errno.EBADF, "standard input is closed", name)
    if isinstance(file, io.TextIOBase):
        raise TypeError(f"{name} is open for text: open it in binary mode")
    seekable = bool(getattr(file, "seekable", bool)())
    if not seekable:
        return RawFile(file, name, size=None, seekable=False, owned=False)
    origin = file.tell()
    size = None
    # Others (a GzipFile, a remote object) may have to read everything to find their end.
    if isinstance(file, io.FileIO | io.BufferedReader | io.BufferedRandom | io.BytesIO):
        size = max(file.seek(0, os.SEEK_END) - origin, 0)
        file.seek(origin)
    return RawFile(file, name, size=size, seekable=True, owned=False, origin=origin)


def name_of(file: Any) -> str:
    """Return the name of a file object."""
    name = getattr(file, "name", None)
    return os.fsdecode(name) if isinstance(name, str | bytes) else "<file>"


def identity(status: os.stat_result) -> tuple[int, ...]:
    """Return the values that distinguish one state of a file from another."""
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
