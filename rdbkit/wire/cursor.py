# cython: language_level=3, annotation_typing=False, boundscheck=False, wraparound=False
# cython: cdivision=True, initializedcheck=False
"""A bounded window of bytes that moves over a source, and the primitives of which RDB records consist.

            base                 pinned          pos                 end
             ↓                     ↓              ↓                   ↓
    ……gone…… [ read, summed up …… | kept on purpose | not yet read …… ] ……still in the source……

A size that is stored in a file can be wrong. So one method fetches bytes (`more`), one requires them (`need`), and all
code that reads n bytes calls `need` first. Sizes are compared by subtraction, because a sum could overflow. The window
grows with the bytes that arrive, never with the stored size.

RDB bytes are added to the running CRC64 before they leave the window, while they are still in the processor's cache.

A cursor with `blob >= 0` reads the content of a string (a listpack, a ziplist). There, missing bytes do not mean a
short file but a structure that contradicts itself, and errors give the offset at which that string starts.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any, Protocol

from rdbkit.errors import Corrupt, LimitExceeded, Truncated
from rdbkit.wire import lzf, spool
from rdbkit.wire.crc64 import Update

#: Bytes requested from the source at a time: they fit in the second-level cache, and the cost of a call is negligible.
WINDOW = 1 << 18
#: The most bytes of an entry's body that are kept in memory (longer bodies are read while the file is there).
RETAIN = 1 << 20
#: The most bytes in a batch of parts: if the parts are long, fewer are read at a time.
HELD = 1 << 20
#: The longest string that servers accept by default (proto-max-bulk-len). A longer one is never held whole.
_WHOLE = 1 << 29
_LONG = spool.LONG
#: No file is this long; larger stored lengths are cut to it, so that a small multiple still fits in a machine word.
ENDLESS = 1 << 56

_F64 = struct.Struct("<d")
_F32 = struct.Struct("<f")


class Readable(Protocol):
    """What a cursor reads from: bytes in order, b"" at the end; `size` is the whole length if it is known, else -1."""

    size: int

    def read(self, n: int, /) -> bytes:
        """Return up to n bytes, b"" only at the end."""


class Overflow(Exception):
    """The pinned part of the window would grow beyond RETAIN."""


class Cursor:
    """Read primitives from bytes, or from a source of them through a window.

    `base + pos` is the absolute offset. Raises Truncated (offset: where the bytes end) or, inside a string, Corrupt.

    `spool`, if set, stores the strings that are too long for memory (wire/spool.py), of this cursor and of the cursors
    over the content of its strings. `passed` is the size of the last string that `string_up_to` skipped.
    """

    def __init__(
        self,
        data: bytes = b"",
        source: Readable | None = None,
        base: int = 0,
        update: Update | None = None,
        blob: int = -1,
    ) -> None:
        self.data = data
        self.view = data
        self.pos = 0
        self.end = len(data)
        self.base = base
        self.source = source
        self.size = -1 if source is None else source.size
        self.update = update
        self.crc = 0
        self.summed = 0
        self.pinned = -1
        self.blob = blob
        self.spool: spool.Spool | None = None
        self.passed = 0

    def tell(self) -> int:
        """Return the absolute offset of the next byte."""
        return self.base + self.pos

    # -- the window ------------------------------------------------------------------------------------------------

    def more(self, want: int) -> bool:
        """Fetch further bytes, about `want` of them; False at the end of the source."""
        if self.source is None:
            return False
        keep = self.pos if self.pinned < 0 else self.pinned
        if self.pinned >= 0 and self.end - keep > RETAIN:
            raise Overflow
        held = self.end - keep
        if want > held:
            want = held
        chunk = self.source.read(max(WINDOW, want))
        if not chunk:
            return False
        if len(chunk) < want:
            chunk = self._gathered(chunk, want)
        self._sum(keep)
        self.data = self.data[keep : self.end] + chunk if held else chunk
        self.view = self.data
        self.base += keep
        self.pos -= keep
        self.summed -= keep
        if self.pinned >= 0:
            self.pinned = 0
        self.end = len(self.data)
        return True

    def _gathered(self, chunk: bytes, want: int) -> bytes:
        """Read until a chunk has `want` bytes: a pipe returns few at a time, and each `more` moves the whole window."""
        pieces = [chunk]
        want -= len(chunk)
        while want > 0:
            chunk = self.source.read(want)  # type: ignore[union-attr]
            if not chunk:
                break
            pieces.append(chunk)
            want -= len(chunk)
        return b"".join(pieces)

    def _sum(self, until: int) -> None:
        if until > self.summed:
            if self.update is not None:
                self.crc = self.update(memoryview(self.data)[self.summed : until], self.crc)
            self.summed = until

    def checksum(self) -> int:
        """Return the CRC64 of everything before the next byte."""
        self._sum(self.pos)
        return self.crc

    def need(self, n: int) -> int:
        """Have n bytes in the window, or raise; returns 0."""
        if n <= self.end - self.pos:
            return 0
        if self.size >= 0 and n > self.size - self.base - self.pos:
            self.short(self.size)
        if n > _WHOLE:
            start = self.tell()
            # It is too long only if the bytes exist; otherwise the stored size is wrong, as any other.
            self.skip(n)
            self._too_long(n, start)
        while n > self.end - self.pos:
            if not self.more(n - (self.end - self.pos)):
                self.short(self.base + self.end)
        return 0

    def short(self, where: int) -> int:
        """Raise the error for missing bytes: Corrupt in the content of a string, else Truncated."""
        if self.blob >= 0:
            raise Corrupt("a packed structure runs over the end of its string", offset=self.blob, code="bad-blob")
        raise Truncated("the file ends in the middle of a record", offset=where)

    def skip(self, n: int) -> int:
        """Skip n bytes without holding them."""
        if self.size >= 0 and n > self.size - self.base - self.pos:
            self.short(self.size)
        while n > self.end - self.pos:
            n -= self.end - self.pos
            self.pos = self.end
            if not self.more(1):
                self.short(self.base + self.end)
        self.pos += n
        return 0

    def at_end(self) -> bool:
        """Return whether no byte is left."""
        return self.pos >= self.end and not self.more(1)

    # -- fixed width -----------------------------------------------------------------------------------------------

    def u8(self) -> int:
        """Read one byte."""
        if self.pos >= self.end:
            self.need(1)
        byte = self.view[self.pos]
        self.pos += 1
        return byte

    def fixed(self, width: int) -> int:
        """Read `width` (1 to 8) bytes, little endian."""
        if width > self.end - self.pos:
            self.need(width)
        number = 0
        for i in range(width):
            byte = self.view[self.pos + i]
            number |= byte << (8 * i)
        self.pos += width
        return number

    def fixed_signed(self, width: int) -> int:
        """Read `width` (1 to 8) bytes, little endian, two's complement."""
        return int.from_bytes(self.take(width), "little", signed=True)

    def f64(self) -> float:
        """Read a binary64, little endian."""
        value: float = _F64.unpack(self.take(8))[0]
        return value

    def f32(self) -> float:
        """Read a binary32, little endian (module values only)."""
        value: float = _F32.unpack(self.take(4))[0]
        return value

    def take(self, n: int) -> bytes:
        """Read n bytes."""
        if n > self.end - self.pos:
            self.need(n)
        at = self.pos
        self.pos = at + n
        return self.view[at : at + n]

    # -- length-encoded --------------------------------------------------------------------------------------------

    def length(self) -> int:
        """Read a length: 6, 14, 32 or 64 bits, 0 to 2^64 - 1."""
        if self.pos >= self.end:
            self.need(1)
        number = self.view[self.pos]
        if number < 0x40:
            self.pos += 1
            return number
        if number < 0x80:
            self.need(2)
            byte = self.view[self.pos + 1]
            self.pos += 2
            return (number & 0x3F) << 8 | byte
        if number > 0x81:
            where = self.tell() if self.blob < 0 else self.blob
            raise Corrupt(f"byte {number:#04x} where a length is due", offset=where, code="bad-length")
        width = 4 if number == 0x80 else 8
        self.need(1 + width)
        number = 0
        for i in range(1, 1 + width):
            byte = self.view[self.pos + i]
            number = number << 8 | byte
        self.pos += 1 + width
        return number

    def claim(self) -> int:
        """Read a length that counts the bytes or items that follow; one that no file can hold is cut to ENDLESS."""
        number = self.length()
        return ENDLESS if number > 0x100000000000000 else number

    def string(self) -> bytes:
        """Read a string in any of its forms: raw, integer, LZF."""
        if self.pos >= self.end:
            self.need(1)
        first = self.view[self.pos]
        if first < 0x40 and first < self.end - self.pos:
            at = self.pos + 1
            self.pos = at + first
            return self.view[at : at + first]
        if first < 0xC0:
            return self.take(self.claim())
        if first < 0xC3:
            return self._integer()
        start = self.tell()
        packed, size = self.packed()
        if size > _WHOLE:
            self.skip(packed)
            self._too_long(size, start)
        return self.unpack(packed, size, start)

    def item(self) -> Any:
        """Read a string as `string` does; with a spool, one that is too long for memory is a LongItem."""
        # Lengths of less than 16 KiB are given by the first byte.
        if self.spool is None or (self.pos < self.end and self.view[self.pos] < 0x80):
            return self.string()
        self.need(1)
        if self.view[self.pos] >= 0xC0 and self.view[self.pos] < 0xC3:
            return self._integer()
        start = self.tell()
        size, packed = self.head()
        if size <= _LONG:
            return self.take(size) if packed < 0 else self.unpack(packed, size, start)
        self._promised(size if packed < 0 else packed)
        if packed < 0:
            return self.spool.take(self, size)
        inside = self.inner(size, packed, start)
        long = self.spool.take(inside, size)
        # Only at the end of a compressed string is it known whether its stored size is right.
        inside.at_end()
        return long

    def _promised(self, n: int) -> int:
        """Raise at once where the source is known to be too short for n further bytes."""
        return self.short(self.size) if self.size >= 0 and n > self.size - self.base - self.pos else 0

    def string_up_to(self, most: int) -> bytes | None:
        """Read a string of at most `most` bytes; None for a longer one, which is skipped: `passed` is its size."""
        self.need(1)
        if self.view[self.pos] >= 0xC0 and self.view[self.pos] < 0xC3:
            return self._integer()
        start = self.tell()
        size, packed = self.head()
        if size <= most:
            return self.take(size) if packed < 0 else self.unpack(packed, size, start)
        self.skip(size if packed < 0 else packed)
        self.passed = size
        return None

    def _too_long(self, n: int, start: int) -> int:
        raise LimitExceeded(f"{n} bytes that would have to be held whole, more than 512 MiB", offset=start)

    def small(self) -> int:
        """Read a string in one of its integer forms: 8, 16 or 32 bits."""
        width = 1 << (self.view[self.pos] - 0xC0)
        if width >= self.end - self.pos:
            self.need(1 + width)
        number = self.view[self.pos + width]
        if number > 0x7F:
            number -= 0x100
        for i in range(width - 1, 0, -1):
            byte = self.view[self.pos + i]
            number = number * 256 + byte
        self.pos += 1 + width
        return number

    def _integer(self) -> bytes:
        return b"%d" % self.small()

    def packed(self) -> tuple[int, int]:
        """Read the head of an LZF string: stored and unpacked size in bytes."""
        start = self.tell()
        self.need(1)
        if self.view[self.pos] != 0xC3:
            raise Corrupt(f"unknown string encoding {self.view[self.pos]:#04x}", offset=start, code="bad-string")
        self.pos += 1
        packed = self.claim()
        size = self.claim()
        # Three bytes unpack to at most 264, so a larger stored size is wrong, and unpacking need not be tried.
        if size // lzf.RATIO > packed:
            raise Corrupt(f"{packed} packed bytes cannot hold the {size} claimed", offset=start, code="bad-lzf")
        return packed, size

    def unpack(self, packed: int, size: int, start: int) -> bytes:
        """Read the rest of an LZF string whose head was just read; `start` is its offset, for errors."""
        # No instruction yields less than half of its own size: with more packed bytes, reject it before reading them.
        if packed > 2 * size:
            self.skip(packed)
            raise Corrupt(f"{packed} packed bytes where {size} are claimed", offset=start, code="bad-lzf")
        return lzf.decompress(self.take(packed), size, start)

    def strings(self, count: int, width: int = 1) -> list[Any]:
        """Read `count` strings as `item` does.

        Returns fewer if they have more than HELD bytes in total, but always a multiple of `width`.
        """
        out: list[Any] = []
        room = HELD
        while count > 0:
            if self.pos < self.end:
                first = self.view[self.pos]
                if first < 0x40 and first < self.end - self.pos:
                    at = self.pos + 1
                    self.pos = at + first
                    out.append(self.view[at : at + first])
                    count -= 1
                    continue
            text = self.item()
            out.append(text)
            count -= 1
            room -= len(text)
            if room < 0 and len(out) % width == 0:
                break
        return out

    def skip_string(self) -> int:
        """Skip a string; return its logical length in bytes.

        For an LZF string with a stored size that its packed bytes cannot fill, returns the most that they can. Its end
        is known in any case, and unpacking it raises the error.
        """
        if self.pos >= self.end:
            self.need(1)
        first = self.view[self.pos]
        if first < 0xC0:
            size = self.claim()
            if size <= self.end - self.pos:
                self.pos += size
            else:
                self.skip(size)
            return size
        if first < 0xC3:
            return digits(self.small())
        if first == 0xC3:
            self.pos += 1
            packed = self.claim()
            size = self.claim()
            self.skip(packed)
            return size if size // lzf.RATIO <= packed else packed * lzf.RATIO
        self.packed()
        return 0

    def head(self) -> tuple[int, int]:
        """Read the head of a raw or LZF string: its size, and how many bytes are stored (-1: raw, as many)."""
        self.need(1)
        if self.view[self.pos] == 0xC3:
            packed, size = self.packed()
            return size, packed
        if self.view[self.pos] > 0xC3:
            self.packed()
        return self.claim(), -1

    def inner(self, size: int, packed: int, start: int) -> Cursor:
        """Return a cursor over the content of the string whose head was just read; read it before anything else.

        For strings of any length: the content is fetched, and unpacked, through a separate window. `start` is the
        string's offset, for errors.
        """
        source: Readable = _Inside(self, size) if packed < 0 else _Unpacked(self, packed, size, start)
        inside = Cursor(source=source, blob=start)
        inside.spool = self.spool
        return inside

    def open_string(self) -> tuple[int, Cursor]:
        """Read a string's head in any of its forms; return its size and a cursor over its content."""
        start = self.tell()
        self.need(1)
        if self.view[self.pos] >= 0xC0 and self.view[self.pos] < 0xC3:
            text = self._integer()
            return len(text), Cursor(text, blob=start)
        size, packed = self.head()
        return size, self.inner(size, packed, start)

    def pieces(self, size: int) -> Iterator[bytes]:
        """Yield the next `size` bytes in pieces of at most a window."""
        while size > 0:
            if self.pos >= self.end:
                self.need(1)
            piece = self.take(min(size, self.end - self.pos))
            size -= len(piece)
            yield piece


def digits(number: int) -> int:
    """Return how many characters a number of at most 32 bits takes as decimal text."""
    size = 0
    if number < 0:
        size = 1
        number = -number
    if number < 10:
        return size + 1
    if number < 100:
        return size + 2
    if number < 1000:
        return size + 3
    if number < 10000:
        return size + 4
    while number >= 10000:
        size += 1
        number //= 10
    return size + 4


class _Inside:
    """The bytes of a raw string, read through the cursor that is at its start."""

    def __init__(self, outer: Cursor, size: int) -> None:
        self.outer = outer
        self.size = size
        self.left = size

    def read(self, n: int, /) -> bytes:
        """Return up to n bytes of the string."""
        if self.left <= 0:
            return b""
        outer = self.outer
        outer.need(1)
        piece = outer.take(min(n, self.left, outer.end - outer.pos))
        self.left -= len(piece)
        return piece


class _Unpacked:
    """The bytes of an LZF string, unpacked on request."""

    def __init__(self, outer: Cursor, packed: int, size: int, offset: int) -> None:
        self.inside = _Inside(outer, packed)
        self.size = size
        self.unpacker = lzf.Unpacker(size, offset)

    def read(self, n: int, /) -> bytes:
        """Return the next bytes: at least one, unless the string is at its end."""
        # A packed byte unpacks to up to 88, so reading a sixteenth of the request gives about the size requested.
        while True:
            packed = self.inside.read(max(n // 16, 64))
            if not packed:
                self.unpacker.finish()
                return b""
            piece = self.unpacker.feed(packed)
            if piece:
                return piece
