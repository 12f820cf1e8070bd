"""Zipmap: a small hash in one byte string, as Redis 2.2 to 2.4 kept it.

    [pairs: u8, 254 = unknown] [length] [field] [length] [free: u8] [value] [free bytes of garbage] … [ff]
    length = u8 below 254, or fe u32

All functions here raise Corrupt("bad-zipmap"), with the offset at which the string starts, for every contradiction.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rdbkit.errors import Corrupt
from rdbkit.wire.cursor import HELD, Cursor
from rdbkit.wire.spool import LONG

#: From this value on a first byte is not a length: 254 is followed by a length of four bytes, 255 ends the map.
_LONG = 254
_END = 255
_ENDLESS = 1 << 62


def items(data: bytes, offset: int = -1) -> list[bytes]:
    """Return alternating fields and values."""
    return Reader(Cursor(data, blob=offset), len(data)).all()


class Reader:
    """Reads the pairs of a zipmap of `size` bytes at a cursor, some at a time."""

    def __init__(self, cursor: Cursor, size: int) -> None:
        self.cursor = cursor
        self.offset = cursor.blob
        self.left = size
        self.count = self._byte()
        self.seen = 0
        self._ended = False

    def read(self, limit: int) -> list[Any]:
        """Return up to `limit` further fields and values, alternating, but never half a pair; [] at the end.

        Returns fewer if they are long. Those that are too long for memory are LongItems if the cursor has a spool.
        """
        out: list[Any] = []
        enough = self.left - HELD if limit < _ENDLESS else -1
        while not self._ended and len(out) < limit and (self.left > enough or not out):
            length = self._length()
            if length < 0:
                self._finish()
                break
            out.append(self._item(length))
            length = self._length()
            if length < 0:
                raise self._corrupt("a zipmap ends between a field and its value")
            free = self._byte()
            out.append(self._item(length))
            self._skip(free)
            self.seen += 1
        return out

    def all(self) -> list[Any]:
        """Return all fields and values that are left."""
        return self.read(_ENDLESS)

    def _finish(self) -> None:
        self._ended = True
        # Only at the end of a compressed string is it known whether its stored size is right.
        if self.left or not self.cursor.at_end():
            raise self._corrupt("a zipmap ends before its last byte")
        if not self.seen or (self.count != _LONG and self.count != self.seen):
            raise self._corrupt(f"a zipmap counts {self.count} pairs and holds {self.seen}")

    def _length(self) -> int:
        """Read a length; -1 if the end mark is in its place."""
        length = self._byte()
        if length == _END:
            return -1
        if length == _LONG:
            length = int.from_bytes(self._take(4), "little")
            if length < _LONG:
                message = "a zipmap spells a short length in the long form"
                raise Corrupt(message, offset=self.offset, code="zipmap-overlong")
        return length

    def _byte(self) -> int:
        return self._take(1)[0]

    def _item(self, n: int) -> Any:
        if n <= LONG or self.cursor.spool is None:
            return self._take(n)
        self._spend(n)
        return self.cursor.spool.take(self.cursor, n)

    def _take(self, n: int) -> bytes:
        self._spend(n)
        return self.cursor.take(n)

    def _skip(self, n: int) -> None:
        self._spend(n)
        self.cursor.skip(n)

    def _spend(self, n: int) -> None:
        if n > self.left:
            raise self._corrupt("a zipmap runs over its end")
        self.left -= n

    def _corrupt(self, message: str) -> Corrupt:
        return Corrupt(message, offset=self.offset, code="bad-zipmap")


def encode(items: Sequence[bytes]) -> bytes:
    """Return the zipmap of these alternating fields and values, without free bytes."""
    pairs = zip(items[::2], items[1::2])
    body = b"".join(_length(field) + field + _length(value) + b"\0" + value for field, value in pairs)
    return bytes((min(len(items) // 2, _LONG),)) + body + b"\xff"


def _length(text: bytes) -> bytes:
    size = len(text)
    return bytes((size,)) if size < _LONG else b"\xfe" + size.to_bytes(4, "little")
