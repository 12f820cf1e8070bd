"""Random access to a regular file for repair, in bounded memory.

Both passes use one descriptor, so the data copied is the data examined, even if the file is renamed meanwhile.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

from rdbkit.errors import Unsupported
from rdbkit.source import Recognised
from rdbkit.source.packing import packing_of
from rdbkit.wire.cursor import Cursor, Readable

#: Bytes per read.
CHUNK = 1 << 18
_NEAR = 1 << 12
#: Bytes between two progress calls.
_STEP = 1 << 22


class DamagedFile:
    """An open file; `end` may be set lower than its size and is then the end for all reads.

    Raises OSError with its filename, and Unsupported (code "not-a-file", "packed") for a pipe or a compressed file,
    which cannot be repaired.

    `advance` is called with the current offset at intervals; `recognised` is the file's format, if it was determined.
    """

    advance: Callable[[int], object] | None = None
    recognised: Recognised | None = None
    packing: tuple[str, ...] = ()

    def __init__(self, path: str) -> None:
        self.path = path
        self.fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            self.seen = os.fstat(self.fd)
            self._refuse()
        except BaseException:
            os.close(self.fd)
            raise
        self.size = self.end = self.seen.st_size
        self._near = (0, b"")
        self._reached = _STEP

    def _refuse(self) -> None:
        if stat.S_ISDIR(self.seen.st_mode):
            raise IsADirectoryError(21, "is a directory", self.path)
        if not stat.S_ISREG(self.seen.st_mode):
            raise Unsupported("not a regular file: only regular files can be repaired", code="not-a-file")
        packing = packing_of(os.pread(self.fd, 64, 0))
        # What follows a VCS envelope is not compressed: the commands of an AOF that begins with an RDB in one.
        if packing and not packing.startswith("vcs-"):
            raise Unsupported(f"compressed with {packing}: decompress it first", offset=0, code="packed")

    def close(self) -> None:
        """Close it."""
        os.close(self.fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def at(self, offset: int, n: int) -> bytes:
        """Return up to n bytes from an offset, fewer only at the end; n is small."""
        n = min(n, self.end - offset)
        if n <= 0:
            return b""
        base, data = self._near
        if not base <= offset <= offset + n <= base + len(data):
            base, data = self._near = (offset, self._pread(max(n, _NEAR), offset))
        return data[offset - base : offset - base + n]

    def chunk(self, offset: int, n: int = CHUNK) -> bytes:
        """Return up to n bytes from an offset, fewer only at the end."""
        return self._pread(min(n, self.end - offset), offset) if offset < self.end else b""

    def _pread(self, n: int, offset: int) -> bytes:
        if offset > self._reached and self.advance is not None:
            self._reached = offset + _STEP
            self.advance(offset)
        pieces = []
        while n > 0:
            try:
                piece = os.pread(self._descriptor(), n, offset)
            except OSError as error:
                error.filename = self.path
                raise
            if not piece:
                break
            pieces.append(piece)
            n -= len(piece)
            offset += len(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _descriptor(self) -> int:
        return self.fd

    def pieces(self, start: int, end: int) -> Iterator[bytes]:
        """Yield the bytes of a range."""
        while start < end:
            piece = self._pread(min(CHUNK, end - start), start)
            if not piece:
                raise OSError(5, "the file became shorter while it was read", self.path)
            yield piece
            start += len(piece)

    @contextmanager
    def reopen(self, offset: int, /) -> Iterator[Readable]:
        """Return a reader from an offset on."""
        yield _From(self, offset, self.end)

    def cursor(self, start: int, end: int | None = None) -> Cursor:
        """Return a cursor over a range."""
        return Cursor(source=_From(self, start, self.end if end is None else min(end, self.end)), base=start)


class _From:
    """The source of a cursor: a range of a file."""

    def __init__(self, file: DamagedFile, start: int, end: int) -> None:
        self.size = end
        self._file = file
        self._at = start
        # Most cursors of a damaged file read only a few records.
        self._step = _NEAR

    def read(self, n: int, /) -> bytes:
        """Return up to n bytes, b"" only at the end."""
        piece = self._file.chunk(self._at, max(0, min(n, self._step, self.size - self._at)))
        self._step *= 4
        self._at += len(piece)
        return piece
