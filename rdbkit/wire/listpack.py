# cython: language_level=3, annotation_typing=False
# cython: boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Listpack: a byte string that holds a list of short strings and integers (Redis 5.0).

    [total bytes: u32] [entries: u16, 65535 = unknown] [entry …] [ff]
    entry = [encoding, data] [back-length: the size of these, 1 to 5 bytes]

Back-lengths are for walking backwards: 7 bits per byte, the highest bits first, bit 7 set in all but the first. When it
walks forwards, a server computes their width from the size. Two generations of servers differ at three sizes: at 16383,
2097151 and 268435455 the older one uses a byte more, and neither reads what the other wrote. We read and count both.

One kernel, `_entries`, decodes the entries that are complete in a range of bytes. `items` calls it for a string in
memory, `Reader` for each window of a string of any length. Both raise Corrupt("bad-listpack"), with the offset at which
the string starts, for every contradiction.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NoReturn

from rdbkit import _build
from rdbkit.errors import Corrupt
from rdbkit.wire.cursor import HELD, Cursor
from rdbkit.wire.spool import LONG

#: Bytes around the entries.
_AROUND = 7
#: The count in the header that means "unknown".
UNKNOWN = 65535
_ENDLESS = 1 << 62
_COMPILED = _build.compiled()
_SMALL = [b"%d" % number for number in range(128)]


def header(data: bytes, offset: int = -1) -> tuple[int, int]:
    """Return total bytes and number of entries as stated in the first 6 bytes (65535: unknown)."""
    if len(data) < 6:
        _bad("a listpack shorter than its header", offset)
    view = data
    total = view[3]
    total = total << 24 | view[2] << 16 | view[1] << 8 | view[0]
    return total, view[5] << 8 | view[4]


def first_number(data: bytes) -> int:
    """Return the first entry of a listpack that starts with these (16 or all) bytes; -1 if it is not a number."""
    first = data[6]
    if first < 0x80:
        return first
    if 0xC0 <= first < 0xE0 and len(data) > 7:
        number = (first & 0x1F) << 8 | data[7]
        return number - 0x2000 if number > 0xFFF else number
    if 0xF0 < first < 0xF5:
        width = first - 0xEF if first < 0xF4 else 8
        return number_at(data, 7, width) if len(data) >= 7 + width else -1
    return -1


def items(data: bytes, offset: int = -1) -> list[bytes]:
    """Return every entry, integers as their decimal text."""
    total, count = header(data, offset)
    size = len(data)
    view = data
    if total != size or size < _AROUND or view[size - 1] != 0xFF:
        _bad(f"a listpack of {size} bytes claims {total}, or lacks its end mark", offset)
    out: list[bytes] = []
    at = _entries(view, 6, size - 1, out, _ENDLESS, offset, None)
    if at != size - 1:
        _bad("a listpack entry runs over the end", offset)
    if count != UNKNOWN and count != len(out):
        _bad(f"a listpack counts {count} entries and holds {len(out)}", offset)
    return out


def _entries(view: bytes, at: int, end: int, out: list[bytes], limit: int, offset: int, reader: Reader | None) -> int:
    """Append the entries in view[at:end] until `out` has `limit`; return where the first one not decoded starts.

    `reader`, if it is not None, counts the back-lengths of each generation, and gives the size from which on an entry
    is not decoded here. One function, because the compiled loop must not make a call per entry.
    """
    while at < end and len(out) < limit:
        first = view[at]
        held = end - at
        if first < 0x80:
            if held < 2:
                break
            if view[at + 1] != 1:
                _bad_back(offset)
            out.append(_SMALL[first])
            at += 2
            continue
        if first < 0xC0:
            size = first - 0x7F
            if held <= size:
                break
            if view[at + size] != size:
                _bad_back(offset)
            out.append(view[at + 1 : at + size])
            at += size + 1
            continue
        if first < 0xE0:
            if held < 3:
                break
            if view[at + 2] != 2:
                _bad_back(offset)
            number = (first & 0x1F) << 8 | view[at + 1]
            out.append(decimal(number - 0x2000 if number > 0xFFF else number))
            at += 3
            continue
        if 0xF0 < first < 0xF5:
            size = first - 0xEE if first < 0xF4 else 9
            if held <= size:
                break
            if view[at + size] != size:
                _bad_back(offset)
            out.append(decimal(number_at(view, at + 1, size - 1)))
            at += size + 1
            continue
        if first > 0xF0:
            _bad(f"a listpack entry starts with {first:#04x}", offset)
        size = _size(view, at, held)
        if size >= held or (reader is not None and size > reader.longest):
            break
        width = _back(view, at + size, held - size, size, offset, reader)
        if width == 0:
            break
        out.append(view[at + (2 if first < 0xF0 else 5) : at + size])
        at += size + width
    return at


def _size(view: bytes, at: int, held: int) -> int:
    """Return the size, without back-length, of an entry that starts with e0 to f0; `held` if it is not known yet."""
    if view[at] < 0xF0:
        return held if held < 2 else 2 + ((view[at] & 0xF) << 8 | view[at + 1])
    if held < 5:
        return held
    length = view[at + 4]
    length = length << 24 | view[at + 3] << 16 | view[at + 2] << 8 | view[at + 1]
    return 5 + length


def _width(size: int) -> int:
    """Return how many bytes a back-length of the newer generation takes."""
    if size < 0x80:
        return 1
    if size < 0x4000:
        return 2
    if size < 0x200000:
        return 3
    return 4 if size < 0x10000000 else 5


def _differs(size: int) -> bool:
    """Return whether the older generation uses a byte more for this size."""
    return size == 0x3FFF or size == 0x1FFFFF or size == 0xFFFFFFF


def _back(view: bytes, at: int, held: int, size: int, offset: int, reader: Reader | None) -> int:
    """Return the width of the back-length at view[at], which must equal `size`; 0 if its bytes are not all there."""
    width = _width(size)
    older = 1 if _differs(size) and view[at] == 0 else 0
    width += older
    if held < width:
        return 0
    for i in range(width):
        byte = size >> (7 * (width - 1 - i)) & 0x7F
        if view[at + i] != (byte | 0x80 if i else byte):
            _bad_back(offset)
    if reader is not None and _differs(size):
        reader.old_widths += older
        reader.new_widths += 1 - older
    return width


def number_at(view: bytes, at: int, width: int) -> int:
    """Return the little-endian two's complement number of `width` (1 to 8) bytes at view[at]."""
    if not _COMPILED:  # 50 ns faster per integer than the loop
        return int.from_bytes(view[at : at + width], "little", signed=True)
    number = view[at + width - 1]
    if number > 0x7F:
        number -= 0x100
    for i in range(at + width - 2, at - 1, -1):
        number = number * 256 + view[i]
    return number


def decimal(number: int) -> bytes:
    """Return a 64-bit number's decimal text."""
    return f"{number}".encode("ascii")


def _bad(message: str, offset: int) -> NoReturn:
    raise Corrupt(message, offset=offset, code="bad-listpack")


def _bad_back(offset: int) -> NoReturn:
    raise Corrupt("a listpack entry's back-length is not its size", offset=offset, code="bad-listpack")


class Reader:
    """Reads the entries of a listpack of `size` bytes at a cursor, some at a time.

    Memory holds one window and the returned entries. `old_widths` and `new_widths` count the back-lengths that only the
    older and only the newer generation writes.
    """

    def __init__(self, cursor: Cursor, size: int) -> None:
        self.cursor = cursor
        self.offset = cursor.blob
        if size < _AROUND:
            _bad(f"a listpack of {size} bytes", self.offset)
        total, self.count = header(cursor.take(6), self.offset)
        if total != size:
            _bad(f"a listpack of {size} bytes claims {total}", self.offset)
        self.left = size - _AROUND
        self.seen = 0
        self.old_widths = 0
        self.new_widths = 0
        self.spool: Any = cursor.spool
        # The size of the longest entry that is held: five bytes of it are its head.
        self.longest = _ENDLESS if self.spool is None else LONG + 5

    def read(self, limit: int) -> list[Any]:
        """Return up to `limit` further entries, [] at the end, where the end mark and the count are checked.

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
            cursor.pos = _entries(cursor.view, start, start + held, out, limit, self.offset, self)
            self.left -= cursor.pos - start
            if cursor.pos == start:
                self._fetch(held, out)
            room -= left - self.left
            if room < 0:
                limit = min(limit, (len(out) + 5) // 6 * 6)
        self.seen += len(out)
        if self.left == 0 and len(out) < limit:
            self._finish()
        return out

    def all(self) -> list[Any]:
        """Return all entries that are left."""
        return self.read(_ENDLESS)

    def _fetch(self, held: int, out: list[Any]) -> int:
        """Get the whole next entry into the window, which has `held` bytes of it, or append it if it is too long."""
        wanted = held + 1
        if held > 0:
            first = self.cursor.view[self.cursor.pos]
            if 0xE0 <= first <= 0xF0:
                size = _size(self.cursor.view, self.cursor.pos, held)
                if held >= 5 and first == 0xF0 and size > self.longest:
                    return self._long(size, out)
                wanted = max(wanted, 1 + size)
            elif 0x80 <= first < 0xC0:
                wanted = max(wanted, first - 0x7E)
        if wanted > self.left:
            _bad("a listpack entry runs over the end", self.offset)
        return self.cursor.need(wanted)

    def _long(self, size: int, out: list[Any]) -> int:
        """Append the entry of `size` bytes at the cursor, which is too long for memory."""
        cursor = self.cursor
        if size >= self.left:
            _bad("a listpack entry runs over the end", self.offset)
        cursor.skip(5)
        out.append(self.spool.take(cursor, size - 5))
        # If the older generation wrote it, its back-length has a byte more than the newer one expects.
        held = min(self.left - size, _width(size) + 1)
        cursor.need(held)
        width = _back(cursor.view, cursor.pos, held, size, self.offset, self)
        if width == 0:
            _bad("a listpack entry runs over the end", self.offset)
        cursor.skip(width)
        self.left -= size + width
        return 0

    def _finish(self) -> None:
        self.left = -1
        # Only at the end of a compressed string is it known whether its stored size is right.
        if self.cursor.u8() != 0xFF or not self.cursor.at_end():
            _bad("a listpack lacks its end mark, or has bytes behind it", self.offset)
        if self.count != UNKNOWN and self.count != self.seen:
            _bad(f"a listpack counts {self.count} entries and holds {self.seen}", self.offset)


# -- writing -----------------------------------------------------------------------------------------------------------


def is_integer(text: bytes) -> bool:
    """Return whether `text` is the canonical decimal of a signed 64-bit number, which servers store as an integer."""
    size = len(text)
    if size == 0 or size > 20:
        return False
    view = text
    first = view[0]
    if first > 0x39 or first < 0x2D:
        return False
    sign = 1 if first == 0x2D else 0
    if size == sign:
        return False
    if view[sign] == 0x30:
        return size == 1
    for byte in view[sign:size]:
        if byte < 0x30 or byte > 0x39:
            return False
    if size - sign < 19:
        return True
    return size - sign == 19 and text[sign:] <= (b"9223372036854775808" if sign else b"9223372036854775807")


def integer_size(number: int) -> int:
    """Return the bytes that a 64-bit integer takes in a listpack, without the back-length (which is 1 byte)."""
    if 0 <= number < 0x80:
        return 1
    if -0x1000 <= number < 0x1000:
        return 2
    if -0x8000 <= number < 0x8000:
        return 3
    if -0x800000 <= number < 0x800000:
        return 4
    return 5 if -0x80000000 <= number < 0x80000000 else 9


def string_entry(length: int) -> int:
    """Return the bytes of a string's entry, including the back-length (older generation)."""
    if length < 0x40:
        return 2 + length
    size = 2 + length if length < 0x1000 else 5 + length
    return size + _width(size) + (1 if _differs(size) else 0)


def measure(items: Iterable[Any]) -> int:
    """Return the bytes of a listpack that holds these items, as servers would encode them (older generation)."""
    total = _AROUND
    for text in items:
        size = len(text)
        # Only short items can be integers; the others may be LongItems.
        total += integer_size(int(text)) + 1 if size <= 20 and is_integer(text) else string_entry(size)
    return total


def encode(items: Sequence[bytes], generation: str = "old") -> bytes:
    """Return the listpack that a server of that generation ("old" or "new") writes for the items.

    Canonical integers take the smallest integer form. Raises OverflowError beyond 4 GiB.
    """
    out = bytearray()
    for text in items:
        entry = _encode_integer(int(text)) if is_integer(text) else _encode_string(text)
        size = len(entry)
        out += entry
        width = _width(size) + (1 if generation == "old" and _differs(size) else 0)
        for i in range(width - 1, -1, -1):
            out.append(size >> 7 * i & 0x7F | (0x80 if i < width - 1 else 0))
    count = min(len(items), UNKNOWN)
    return (len(out) + _AROUND).to_bytes(4, "little") + count.to_bytes(2, "little") + bytes(out) + b"\xff"


def _encode_integer(number: int) -> bytes:
    size = integer_size(number)
    if size == 1:
        return bytes((number,))
    if size == 2:
        return (number & 0x1FFF | 0xC000).to_bytes(2, "big")
    kind = {3: b"\xf1", 4: b"\xf2", 5: b"\xf3", 9: b"\xf4"}[size]
    return kind + number.to_bytes(size - 1, "little", signed=True)


def _encode_string(text: bytes) -> bytes:
    size = len(text)
    if size < 0x40:
        return bytes((0x80 | size,)) + text
    if size < 0x1000:
        return (0xE000 | size).to_bytes(2, "big") + text
    return b"\xf0" + size.to_bytes(4, "little") + text
