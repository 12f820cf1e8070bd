"""Packed structures, validated as the imitated tools do.

The codecs of rdbkit/wire are used first: they are compiled, and the tools accept everything that they accept. Blobs
that they refuse are walked again here, byte by byte, because the tools are less strict in a few cases: a listpack's
back-length may extend into the entry's own zero bytes, six bits of a ziplist's 32-bit length are ignored, and a zipmap
may continue after its end mark. In one case they are stricter: each accepts one generation of back-length widths.

Blobs above `WHOLE` are read in batches, and for them the codec's result is final.

An invalid blob raises Corrupt, which the caller replaces by the tool's message. Source: BSD Valkey 7.2, listpack.c
(lpValidateIntegrity), ziplist.c, zipmap.c, t_stream.c (streamValidateListpackIntegrity).
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from types import ModuleType
from typing import NoReturn

from rdbkit.errors import Corrupt
from rdbkit.releases.check_tools import Tool
from rdbkit.wire import listpack, ziplist
from rdbkit.wire.cursor import Cursor

#: Bytes of a blob that are unpacked and held at once.
WHOLE = 1 << 22
#: Items read at a time; an even number.
BATCH = 1536

Items = list[bytes]


def _bad() -> NoReturn:
    raise Corrupt("a packed structure contradicts itself", code="bad-blob")


def batches(codec: ModuleType, blob: bytes | Cursor, size: int, tool: Tool) -> Iterator[Items]:
    """Yield the items of a blob: held whole, or read from a cursor over its content."""
    if not isinstance(blob, bytes):
        yield from _judged(codec, blob, size, tool.new_widths)
        return
    try:
        yield list(chain.from_iterable(_judged(codec, Cursor(blob, blob=0), size, tool.new_widths)))
    except Corrupt:
        if codec is listpack:
            yield listpack_items(blob, tool.new_widths)
        else:
            yield ziplist_items(blob) if codec is ziplist else zipmap_items(blob, tool.hardened)


def _judged(codec: ModuleType, cursor: Cursor, size: int, new_widths: bool) -> Iterator[Items]:
    reader = codec.Reader(cursor, size)
    while items := reader.read(BATCH):
        yield items
    if codec is listpack and (reader.old_widths if new_widths else reader.new_widths):
        _bad()


# -- listpack --------------------------------------------------------------------------------------------------------


def listpack_items(data: bytes, new_widths: bool) -> Items:
    """Return the entries of a listpack that lpValidateIntegrity accepts."""
    items, end = _walk_listpack(data, new_widths)
    if end != len(data) - 1 or int.from_bytes(data[4:6], "little") not in (listpack.UNKNOWN, len(items)):
        _bad()
    return items


def _walk_listpack(data: bytes, new_widths: bool) -> tuple[Items, int]:
    """Return the entries up to the first end mark, and its position; the count in the header is ignored."""
    size = len(data)
    if size < 7 or int.from_bytes(data[:4], "little") != size or data[-1] != 0xFF:
        _bad()
    items: Items = []
    at = 6
    while data[at] != 0xFF:
        head = _head(data[at])
        if at + head >= size:
            _bad()
        length = _length(data, at)
        width = _width(length, new_widths)
        after = at + length + width
        if after >= size or _back(data, after - 1) != length:
            _bad()
        items.append(_item(data, at, length))
        at = after
    return items, at


def are_numbers(data: bytes, step: int, new_widths: bool) -> bool:
    """Return whether every `step`-th entry of a valid listpack is stored as a number."""
    at, left = 6, step
    while data[at] != 0xFF:
        left = (left or step) - 1
        if not left and (0x80 <= data[at] < 0xC0 or 0xE0 <= data[at] <= 0xF0):
            return False
        length = _length(data, at)
        at += length + _width(length, new_widths)
    return True


def _head(first: int) -> int:
    """Return how many bytes encode the length of the entry."""
    if first < 0xE0 or 0xF0 < first < 0xF5:
        return 1
    if first > 0xF0:
        _bad()
    return 2 if first < 0xF0 else 5


def _length(data: bytes, at: int) -> int:
    first = data[at]
    if first < 0xC0:
        return 1 if first < 0x80 else 1 + (first & 0x3F)
    if first < 0xF0:
        return 2 if first < 0xE0 else 2 + ((first & 0xF) << 8 | data[at + 1])
    if first == 0xF0:
        return 5 + int.from_bytes(data[at + 1 : at + 5], "little")
    return (3, 4, 5, 9)[first - 0xF1]


def _item(data: bytes, at: int, length: int) -> bytes:
    first = data[at]
    if first < 0x80:
        return b"%d" % first
    if first < 0xC0:
        return data[at + 1 : at + length]
    if first < 0xE0:
        number = (first & 0x1F) << 8 | data[at + 1]
        return b"%d" % (number - 0x2000 if number > 0xFFF else number)
    if first <= 0xF0:
        return data[at + _head(first) : at + length]
    return b"%d" % int.from_bytes(data[at + 1 : at + length], "little", signed=True)


def _width(length: int, new: bool) -> int:
    """Return the bytes of a back-length."""
    if length < 0x80:
        return 1
    length += 0 if new else 1
    return next((width for width in (2, 3, 4) if length < 1 << 7 * width), 5)


def _back(data: bytes, at: int) -> int:
    """Read a back-length from its last byte to its first, which may be before the entry's end; -1 if there is none."""
    number = 0
    for i in range(5):
        number |= (data[at - i] & 0x7F) << 7 * i
        if data[at - i] < 0x80:
            return number
    return -1


# -- ziplist, zipmap ---------------------------------------------------------------------------------------------------


def ziplist_items(data: bytes) -> Items:
    """Return the entries of a ziplist that ziplistValidateIntegrity accepts."""
    end = len(data) - 1
    if end < 10 or data[-1] != 0xFF:
        _bad()
    total, tail, count = ziplist.header(data)
    if total != end + 1 or tail > end:
        _bad()
    items: Items = []
    at, last, previous = 10, -1, 0
    while data[at] != 0xFF:
        kind = at + (1 if data[at] < 0xFE else 5)
        if kind > end:
            _bad()
        head, length = _ziplist_entry(data, kind, end)
        stated = data[at] if kind == at + 1 else int.from_bytes(data[at + 1 : kind], "little")
        after = kind + head + length
        if after > end or stated != previous:
            _bad()
        items.append(_ziplist_item(data[kind], data[kind + head : after]))
        at, last, previous = after, at, after - at
    if at != end or last not in (-1, tail) or count not in (ziplist.UNKNOWN, len(items)):
        _bad()
    return items


def _ziplist_entry(data: bytes, at: int, end: int) -> tuple[int, int]:
    """Return the sizes of an entry's encoding and of its data."""
    kind = data[at]
    head = (1, 2, 5, 1)[kind >> 6]
    if at + head > end:
        _bad()
    if kind < 0x40:
        return head, kind
    if kind < 0x80:
        return head, (kind & 0x3F) << 8 | data[at + 1]
    if kind < 0xC0:
        return head, int.from_bytes(data[at + 1 : at + 5])
    if 0xF1 <= kind <= 0xFD:
        return head, 0
    width = {0xFE: 1, 0xC0: 2, 0xF0: 3, 0xD0: 4, 0xE0: 8}.get(kind, 0)
    if not width:
        _bad()
    return head, width


def _ziplist_item(kind: int, data: bytes) -> bytes:
    if kind < 0xC0:
        return data
    return b"%d" % (int.from_bytes(data, "little", signed=True) if data else kind - 0xF1)


def zipmap_items(data: bytes, hardened: bool) -> Items:
    """Return alternating fields and values of a zipmap that zipmapValidateIntegrity accepts.

    `hardened`: a length must be in its shortest form.
    """
    size = len(data)
    if size < 2 or data[-1] != 0xFF:
        _bad()
    items: Items = []
    at = 1
    while data[at] != 0xFF:
        for free in (0, 1):
            at, length = _zipmap_length(data, at, hardened)
            skipped = data[at] if free else 0
            at += free
            items.append(data[at : at + length])
            # The tool adds in 32 bits.
            at += length + skipped & 0xFFFFFFFF
            if at >= size:
                _bad()
    if not items or data[0] not in (254, len(items) // 2):
        _bad()
    return items


def _zipmap_length(data: bytes, at: int, hardened: bool) -> tuple[int, int]:
    """Read a length; return where it ends, and its value."""
    if data[at] < 254:
        after, length = at + 1, data[at]
    else:
        after = at + 5
        length = int.from_bytes(data[at + 1 : after], "little")
        if hardened and length < 254:
            _bad()
    if after >= len(data):
        _bad()
    return after, length


# -- a stream's node -------------------------------------------------------------------------------------------------


def stream_node(blob: bytes | Cursor, size: int, tool: Tool) -> int:
    """Check a stream's listpack; return the number of live entries that it states.

    Streams are validated item by item: the header's count and bytes after the first end mark are ignored, unless the
    tool is exact.
    """
    new_widths, exact = tool.new_widths, tool.exact_streams
    if isinstance(blob, bytes):
        try:
            return _node(chain.from_iterable(_judged(listpack, Cursor(blob, blob=0), size, new_widths)), exact)
        except Corrupt:
            items = listpack_items(blob, new_widths) if exact else _walk_listpack(blob, new_widths)[0]
            return _node(iter(items), exact)
    return _node(chain.from_iterable(_judged(listpack, blob, size, new_widths)), exact)


def _node(items: Iterator[bytes], exact: bool) -> int:
    live, deleted, width = _number(items), _number(items), _number(items)
    _pass(items, width)
    if _number(items) != 0:
        _bad()
    left = live + deleted
    marked = 0
    while left != 0:
        left -= 1
        flags = _number(items)
        marked += flags & 1
        _number(items)
        _number(items)
        fields, others = width, 3
        if not flags & 2:
            fields = _number(items)
            _pass(items, fields)
            others += fields + 1
        _pass(items, fields)
        if _number(items) != fields + others:
            _bad()
    if next(items, None) is not None or (exact and marked != deleted):
        _bad()
    return live


def _pass(items: Iterator[bytes], count: int) -> None:
    while count > 0:
        if next(items, None) is None:
            _bad()
        count -= 1


def _number(items: Iterator[bytes]) -> int:
    item = next(items, None)
    if item is None or len(item) > 20 or not listpack.is_integer(item):
        _bad()
    return int(item)
