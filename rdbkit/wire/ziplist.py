# cython: language_level=3, annotation_typing=False
# cython: boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Ziplist: the compact list format that listpacks replaced in Redis 7.0.

    [total bytes: u32] [offset of the last entry: u32] [entries: u16, 65535 = unknown] [entry …] [ff]
    entry = [size of the entry before: u8 below 254, or fe u32] [encoding] [data]

Sizes are chained: each entry has the size of the one before it, and the header the offset of the last one, so damage is
rarely missed. (The long form of a small size is legal: an entry that shrinks in place keeps it.)

One kernel, `_entries`, walks over the entries that are complete in a range of bytes, and either decodes them or adds up
what they would take in a listpack: servers since 7.0 convert every ziplist that they load. All functions here raise
Corrupt("bad-ziplist"), with the offset at which the string starts, for every contradiction.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any, NoReturn

from rdbkit.errors import Corrupt
from rdbkit.wire import listpack
from rdbkit.wire.cursor import HELD, Cursor
from rdbkit.wire.spool import LONG

#: The count in the header that means "unknown".
UNKNOWN = 65535
_HEAD = 10
#: Bytes around the entries: header and end mark.
_AROUND = 11
_ENDLESS = 1 << 62
_HEADER = struct.Struct("<IIH")


def header(data: bytes, offset: int = -1) -> tuple[int, int, int]:
    """Return total bytes, offset of the last entry and number of entries as stated in the first 10 bytes."""
    if len(data) < _HEAD:
        _bad("a ziplist shorter than its header", offset)
    total, tail, count = _HEADER.unpack_from(data)
    return total, tail, count


def items(data: bytes, offset: int = -1) -> list[bytes]:
    """Return every entry, integers as their decimal text."""
    out: list[bytes] = []
    _whole(data, out, offset)
    return out


def as_listpack(data: bytes, offset: int = -1) -> int:
    """Return the bytes of the listpack that a server since 7.0 converts this ziplist to (older back-lengths)."""
    return 7 + _whole(data, None, offset)


def _whole(data: bytes, out: list[bytes] | None, offset: int) -> int:
    """Walk over a whole ziplist with every check; return what `_entries` added up."""
    total, tail, count = header(data, offset)
    size = len(data)
    view = data
    if total != size or size < _AROUND or view[size - 1] != 0xFF:
        _bad(f"a ziplist of {size} bytes claims {total}, or lacks its end mark", offset)
    at, previous, seen, added = _entries(view, _HEAD, size - 1, out, _ENDLESS, 0, offset, _ENDLESS)
    if at != size - 1:
        _bad("a ziplist entry runs over the end", offset)
    _agree(size, previous, tail, count, seen, offset)
    return added


def _agree(size: int, previous: int, tail: int, count: int, seen: int, offset: int) -> None:
    """Compare the header with the entries that were read."""
    if tail != size - 1 - previous:
        _bad(f"a ziplist's last entry starts at {size - 1 - previous}, its header says {tail}", offset)
    if count != UNKNOWN and count != seen:
        _bad(f"a ziplist counts {count} entries and holds {seen}", offset)


def _entries(
    view: bytes, at: int, end: int, out: list[bytes] | None, limit: int, previous: int, offset: int, longest: int
) -> tuple[int, int, int, int]:
    """Walk over the entries in view[at:end], at most `limit`; `previous` is the size of the entry before them.

    Stops before a string of more than `longest` bytes. Appends the entries to `out` or, if that is None, adds up what
    they take in a listpack. Returns the offset of the first entry not walked over, the size of the one before it, how
    many there were and that sum. One function, because the compiled loop must not make a call per entry.
    """
    seen = added = 0
    while at < end and seen < limit:
        start = at
        number = view[at]
        at += 1
        if number >= 0xFE:
            if number > 0xFE:
                _bad("a ziplist ends before its last byte", offset)
            if end - at < 4:
                return start, previous, seen, added
            number = view[at + 3]
            number = number << 24 | view[at + 2] << 16 | view[at + 1] << 8 | view[at]
            at += 4
        if number != previous:
            _bad("a ziplist entry disagrees about the size of the one before it", offset)
        if at >= end:
            return start, previous, seen, added
        kind = view[at]
        at += 1
        if kind < 0xC0:
            if kind < 0x40:
                size = kind
            elif kind < 0x80:
                if at >= end:
                    return start, previous, seen, added
                size = (kind & 0x3F) << 8 | view[at]
                at += 1
            else:
                if kind > 0x80:
                    _bad_kind(kind, offset)
                if end - at < 4:
                    return start, previous, seen, added
                size = view[at]
                size = size << 24 | view[at + 1] << 16 | view[at + 2] << 8 | view[at + 3]
                at += 4
            if size > end - at or size > longest:
                return start, previous, seen, added
            if out is not None:
                out.append(view[at : at + size])
            else:
                # An integer starts with a digit or a minus (a point or a slash passes too; is_integer rejects it).
                maybe = 0 < size <= 20 and 0x2D <= view[at] <= 0x39
                added += _entry_size(view[at : at + size]) if maybe else listpack.string_entry(size)
            at += size
        else:
            if 0xF1 <= kind <= 0xFD:
                number = kind - 0xF1
            else:
                size = _integer_width(kind)
                if size == 0:
                    _bad_kind(kind, offset)
                if size > end - at:
                    return start, previous, seen, added
                number = listpack.number_at(view, at, size)
                at += size
            if out is not None:
                out.append(listpack.decimal(number))
            else:
                added += listpack.integer_size(number) + 1
        previous = at - start
        seen += 1
    return at, previous, seen, added


def _integer_width(kind: int) -> int:
    """Return the bytes of data after an integer's encoding byte, 0 if there is no such encoding."""
    if kind == 0xFE:
        return 1
    if kind == 0xC0:
        return 2
    if kind == 0xF0:
        return 3
    if kind == 0xD0:
        return 4
    return 8 if kind == 0xE0 else 0


def _entry_size(text: bytes) -> int:
    """Return the bytes of a string's entry in a listpack, which stores it as an integer if it is one."""
    return listpack.integer_size(int(text)) + 1 if listpack.is_integer(text) else listpack.string_entry(len(text))


def _bad(message: str, offset: int) -> NoReturn:
    raise Corrupt(message, offset=offset, code="bad-ziplist")


def _bad_kind(kind: int, offset: int) -> NoReturn:
    _bad(f"a ziplist entry of unknown encoding {kind:#04x}", offset)


class Reader:
    """Reads the entries of a ziplist of `size` bytes at a cursor, some at a time.

    Memory holds one window and the returned entries.
    """

    def __init__(self, cursor: Cursor, size: int) -> None:
        self.cursor = cursor
        self.offset = cursor.blob
        if size < _AROUND:
            _bad(f"a ziplist of {size} bytes", self.offset)
        total, self.tail, self.count = header(cursor.take(_HEAD), self.offset)
        if total != size:
            _bad(f"a ziplist of {size} bytes claims {total}", self.offset)
        self.size = size
        self.left = size - _AROUND
        self.previous = 0
        self.seen = 0
        self.spool: Any = cursor.spool
        self.longest = _ENDLESS if self.spool is None else LONG

    def read(self, limit: int) -> list[Any]:
        """Return up to `limit` further entries, [] at the end, where end mark, count and last offset are checked.

        If they are long, returns fewer, but a multiple of six, so that no pair and no triple is split. Entries that are
        too long for memory are LongItems if the cursor has a spool.
        """
        cursor = self.cursor
        out: list[Any] = []
        room = HELD if limit < _ENDLESS else _ENDLESS
        while self.left > 0 and len(out) < limit:
            start = cursor.pos
            left = self.left
            held = min(cursor.end - start, left)
            at, self.previous, seen, _ = _entries(
                cursor.view, start, start + held, out, limit - len(out), self.previous, self.offset, self.longest
            )
            self.left -= at - start
            self.seen += seen
            cursor.pos = at
            if seen == 0 and not self._long(held, out):
                self._fetch(held)
            room -= left - self.left
            if room < 0:
                limit = min(limit, (len(out) + 5) // 6 * 6)
        if self.left == 0 and len(out) < limit:
            self.left = -1
            # Only at the end of a compressed string is it known whether its stored size is right.
            if cursor.u8() != 0xFF or not cursor.at_end():
                _bad("a ziplist lacks its end mark, or has bytes behind it", self.offset)
            _agree(self.size, self.previous, self.tail, self.count, self.seen, self.offset)
        return out

    def all(self) -> list[Any]:
        """Return all entries that are left."""
        return self.read(_ENDLESS)

    def _long(self, held: int, out: list[Any]) -> bool:
        """Append the next entry if it is too long for memory; False if it is not, or if its head is not complete."""
        if self.spool is None or held < 6:
            return False
        cursor = self.cursor
        kind = 5 if cursor.view[cursor.pos] == 0xFE else 1
        if held < kind + 5 or cursor.view[cursor.pos + kind] != 0x80:
            return False
        entry = _wanted(cursor.view, cursor.pos, held)
        size = entry - kind - 5
        if size <= self.longest:
            return False
        if entry > self.left:
            _bad("a ziplist entry runs over the end", self.offset)
        cursor.skip(kind + 5)
        out.append(self.spool.take(cursor, size))
        self.left -= entry
        self.previous = entry
        self.seen += 1
        return True

    def _fetch(self, held: int) -> None:
        """Get the whole next entry into the window, which has `held` bytes of it."""
        wanted = max(held + 1, _wanted(self.cursor.view, self.cursor.pos, held))
        if wanted > self.left:
            _bad("a ziplist entry runs over the end", self.offset)
        self.cursor.need(wanted)


def _wanted(view: bytes, at: int, held: int) -> int:
    """Return an entry's length, as far as the `held` bytes at view[at] show it: only strings are long."""
    if held < 1:
        return 0
    head = 5 if view[at] == 0xFE else 1
    if held <= head:
        return 0
    kind = view[at + head]
    if kind < 0x40:
        return head + 1 + kind
    if kind < 0x80:
        return head + 2 + ((kind & 0x3F) << 8 | view[at + head + 1]) if held > head + 1 else 0
    if kind != 0x80 or held < head + 5:
        return 0
    size = view[at + head + 1]
    size = size << 24 | view[at + head + 2] << 16 | view[at + head + 3] << 8 | view[at + head + 4]
    return head + 5 + size


# -- writing -----------------------------------------------------------------------------------------------------------


def encode(items: Sequence[bytes], wide: bool = False) -> bytes:
    """Return the ziplist that a server writes for the items; `wide` leaves out the integer forms that RDB <= 5 lacks.

    Canonical integers take the smallest integer form. Raises OverflowError beyond 4 GiB.
    """
    out = bytearray()
    previous = 0
    for text in items:
        start = len(out)
        out += bytes((previous,)) if previous < 0xFE else b"\xfe" + previous.to_bytes(4, "little")
        out += _encode_integer(int(text), wide) if listpack.is_integer(text) else _encode_string(text)
        previous = len(out) - start
    size = len(out) + _AROUND
    head = size.to_bytes(4, "little") + (size - 1 - previous).to_bytes(4, "little")
    return head + min(len(items), UNKNOWN).to_bytes(2, "little") + bytes(out) + b"\xff"


def _encode_integer(number: int, wide: bool) -> bytes:
    if not wide:
        if 0 <= number <= 12:
            return bytes((0xF1 + number,))
        if -0x80 <= number < 0x80:
            return b"\xfe" + number.to_bytes(1, "little", signed=True)
    if -0x8000 <= number < 0x8000:
        return b"\xc0" + number.to_bytes(2, "little", signed=True)
    if not wide and -0x800000 <= number < 0x800000:
        return b"\xf0" + number.to_bytes(3, "little", signed=True)
    if -0x80000000 <= number < 0x80000000:
        return b"\xd0" + number.to_bytes(4, "little", signed=True)
    return b"\xe0" + number.to_bytes(8, "little", signed=True)


def _encode_string(text: bytes) -> bytes:
    size = len(text)
    if size < 0x40:
        return bytes((size,)) + text
    if size < 0x4000:
        return (0x4000 | size).to_bytes(2, "big") + text
    return b"\x80" + size.to_bytes(4, "big") + text
