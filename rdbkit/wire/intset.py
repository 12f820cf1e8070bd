"""Intset: a sorted array of integers in one byte string.

    [width: u32, 2, 4 or 8] [count: u32] [count numbers of that width, little endian, signed, strictly ascending]

`members` decodes a string in memory, `Reader` one of any length in batches. Both raise Corrupt("bad-intset"), with the
offset at which the string starts, for every contradiction.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from itertools import islice
from operator import lt

from rdbkit.errors import Corrupt
from rdbkit.wire.cursor import Cursor

_HEADER = struct.Struct("<II")
_LETTERS = {2: "h", 4: "i", 8: "q"}
_ENDLESS = 1 << 62


def header(data: bytes, offset: int = -1) -> tuple[int, int]:
    """Return width in bytes and number of members as stated in the first 8 bytes."""
    if len(data) < _HEADER.size:
        raise _corrupt("an intset shorter than its header", offset)
    width, count = _HEADER.unpack_from(data)
    if width not in _LETTERS:
        raise _corrupt(f"an intset of numbers of {width} bytes", offset)
    return width, count


def members(data: bytes, offset: int = -1) -> list[int]:
    """Return the members in their order, which is ascending."""
    width, count = header(data, offset)
    _check_size(len(data), width, count, offset)
    numbers = list(struct.unpack_from(f"<{count}{_LETTERS[width]}", data, _HEADER.size))
    _check_order(numbers, offset)
    return numbers


class Reader:
    """Reads the members of an intset of `size` bytes at a cursor, some at a time."""

    def __init__(self, cursor: Cursor, size: int) -> None:
        self.cursor = cursor
        self.offset = cursor.blob
        if size < _HEADER.size:
            raise _corrupt("an intset shorter than its header", self.offset)
        self.width, self.count = header(cursor.take(_HEADER.size), self.offset)
        _check_size(size, self.width, self.count, self.offset)
        self.left = self.count
        self._last: list[int] = []

    def read(self, limit: int) -> list[int]:
        """Return up to `limit` further members, [] at the end."""
        count = min(limit, self.left)
        # Only at the end of a compressed string is it known whether its stored size is right.
        if self.left == 0 and not self.cursor.at_end():
            raise _corrupt("an intset with bytes after its end", self.offset)
        data = self.cursor.take(count * self.width)
        numbers = list(struct.unpack(f"<{count}{_LETTERS[self.width]}", data))
        self.left -= count
        _check_order(self._last + numbers[:1], self.offset)
        _check_order(numbers, self.offset)
        self._last = numbers[-1:]
        return numbers

    def all(self) -> list[int]:
        """Return all members that are left."""
        return self.read(_ENDLESS)


def _check_size(size: int, width: int, count: int, offset: int) -> None:
    if count < 1 or size != _HEADER.size + width * count:
        raise _corrupt(f"an intset of {size} bytes claims {count} numbers of {width} bytes", offset)


def _check_order(numbers: Sequence[int], offset: int) -> None:
    if not all(map(lt, numbers, islice(numbers, 1, None))):
        raise _corrupt("an intset whose members do not ascend", offset)


def _corrupt(message: str, offset: int) -> Corrupt:
    return Corrupt(message, offset=offset, code="bad-intset")


def width_of(number: int) -> int:
    """Return the bytes that an intset needs for a number."""
    return next((width for width in (2, 4) if -(1 << 8 * width - 1) <= number < 1 << 8 * width - 1), 8)


def encode(numbers: Iterable[int], least: int = 2) -> bytes:
    """Return the intset of these 64-bit numbers, in the smallest width from `least` on that holds them all.

    At least one number is needed.
    """
    ordered = sorted(set(numbers))
    low, high = ordered[0], ordered[-1]
    width = max(least, width_of(low), width_of(high))
    return _HEADER.pack(width, len(ordered)) + struct.pack(f"<{len(ordered)}{_LETTERS[width]}", *ordered)
