"""Layers of readers, each of which reads from the one below.

    Ahead(raw) ◄─ an unpacker (a generator of pieces) ◄─ Unpacked ◄─ Ahead ◄─ … ◄─ Source.read

An error is raised after the bytes before it have been returned, and again on each further read, with the offset reached
in the topmost layer. The result does not depend on the sizes in which the lowest layer returns its bytes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from rdbkit.errors import RdbkitError, Truncated

#: Bytes that a layer requests from the one below.
READ = 1 << 16
#: Bytes that an unpacker makes of them before it pauses.
CHUNK = 1 << 18


class ByteStream(Protocol):
    """Bytes in order."""

    def read(self, n: int, /) -> bytes:
        """Return up to n bytes, b"" only at the end."""


@dataclass(slots=True)
class Envelope:
    """Valkey's envelope around an RDB, while it is read.

    `checked`: its compressed data has checksums. `end`: the offset in the unpacked data at which the compressed data
    ends, `stored`: the same in the data below; None until it is reached. What follows is not compressed.
    """

    checked: bool = False
    end: int | None = None
    stored: int | None = None

    def spans(self, offset: int) -> bool:
        """Return whether compressed data is left after an offset that was reached, and of which more was asked for."""
        return self.end is None or offset < self.end


class Ahead:
    """A reader that can look ahead. An error during that is kept until the bytes before it are read.

    `passed` is the number of bytes that were read, `envelope` that of the layer above, if it is one.
    """

    def __init__(self, below: ByteStream) -> None:
        self.below = below
        self.head = b""
        self.at = 0
        self.failure: RdbkitError | None = None
        self.passed = 0
        self.envelope: Envelope | None = None

    def peek(self, n: int) -> bytes:
        """Return the next n bytes, fewer before the end or an error, and leave them to be read."""
        have = len(self.head) - self.at
        if have < n:
            pieces = [self.head[self.at :]]
            while have < n and (piece := self._fetch(max(READ, n - have))):
                pieces.append(piece)
                have += len(piece)
            self.head = b"".join(pieces)
            self.at = 0
        return self.head[self.at : self.at + n]

    def _fetch(self, n: int) -> bytes:
        if self.failure is not None:
            return b""
        try:
            return self.below.read(n)
        except RdbkitError as error:
            self.failure = error
            return b""

    def read(self, n: int, /) -> bytes:
        """Return up to n bytes, b"" only at the end."""
        if self.at < len(self.head):
            piece = self.head[self.at : self.at + n]
            self.skip(len(piece))
            return piece
        if self.failure is not None:
            raise self.failure
        piece = self.below.read(n)
        self.passed += len(piece)
        return piece

    def skip(self, n: int) -> None:
        """Skip n bytes that peek() has returned."""
        self.at += n
        self.passed += n
        if self.at >= len(self.head):
            self.head = b""
            self.at = 0

    def unread(self, piece: bytes) -> None:
        """Return bytes to the reader, to be read again."""
        self.head = piece + self.head[self.at :]
        self.at = 0
        self.passed -= len(piece)

    def gather(self, n: int) -> bytes:
        """Return exactly n bytes, fewer only before the end or an error."""
        piece = self.peek(n)
        if not piece and self.failure is not None:
            raise self.failure
        self.skip(len(piece))
        return piece

    def exactly(self, n: int, name: str) -> bytes:
        """Return n bytes, or raise."""
        piece = self.gather(n)
        if len(piece) < n:
            raise self.failure or cut(name)
        return piece


class Unpacked:
    """The concatenated pieces of an unpacker; its errors get the offset reached here."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self.pieces = pieces
        self.held = b""
        self.at = 0
        self.total = 0
        self.ended = False
        self.failure: BaseException | None = None

    def read(self, n: int, /) -> bytes:
        """Return up to n bytes, b"" only at the end."""
        if self.at >= len(self.held):
            self._refill()
        piece = self.held[self.at : self.at + n]
        self.at += len(piece)
        return piece

    def _refill(self) -> None:
        pieces: list[bytes] = []
        have = 0
        try:
            while have < CHUNK and not self.ended:
                piece = next(self.pieces, None)
                self.ended = piece is None
                if piece:  # a hostile file can have any number of empty blocks
                    pieces.append(piece)
                    have += len(piece)
        except BaseException as error:  # whatever it was: after an error the generator would look as if at its end
            self.ended = True
            self.failure = error
            if isinstance(error, RdbkitError):
                error.offset = self.total + have
        self.held = b"".join(pieces)
        self.at = 0
        self.total += have
        # An interrupt is raised at once.
        if self.failure is not None and not (have and isinstance(self.failure, Exception)):
            raise self.failure


def cut(name: str) -> Truncated:
    """Return the error for packed data that is incomplete."""
    return Truncated(f"the {name} data ends too early: it was cut off")
