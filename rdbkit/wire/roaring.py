"""Roaring bitmaps: a set of 63-bit numbers, in the 64-bit portable form of CRoaring, all of it little endian.

    [buckets: u64] ([high: u32, bits 32 and up] bitmap)*                     high ascending
    bitmap:  [cookie 12346: u32] [containers: u32]                           none of them is a run container
             [12347: u16] [containers - 1: u16] [a bit for each: it is one]  the first is the lowest bit of a byte
             ([key: u16, bits 16 to 31] [cardinality - 1: u16])*             key ascending
             [offset from the cookie: u32]*      not with run containers, and fewer than four of them all
             containers
    container:  run [runs: u16] ([start: u16] [length - 1: u16])* · up to 4096 numbers: u16* · more: 8192 bytes of bits,
                the lowest bit of a byte first

Read as runs (first, last) of consecutive numbers, ascending, and as long as possible: memory depends neither on a
number nor on a count that the data states. `count` reads only what the headers say. Both raise Corrupt("bad-bitmap"),
with the offset at which the string starts, for every contradiction that they meet.

Source: the RoaringFormatSpec, and its four test files.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from itertools import groupby, islice
from operator import ge, itemgetter
from typing import NamedTuple

from rdbkit.errors import Corrupt
from rdbkit.wire.cursor import Cursor

Run = tuple[int, int]

#: The smallest bitmap: no buckets.
LEAST = 8
_PLAIN_COOKIE, _RUN_COOKIE = 12346, 12347
_NO_OFFSETS = 4
#: Numbers in a container, and how many of them it lists one by one.
_SPAN, _LISTED = 1 << 16, 4096
_BITS = _SPAN // 8
_WORDS = struct.Struct("<1024Q")
#: The least bytes of a bucket: its high bits, a cookie, a count.
_BUCKET = 12


class _Container(NamedTuple):
    """What the headers say about a container: the 48 high bits of its numbers, and how many there are."""

    key: int
    cardinality: int
    is_runs: bool
    offset: int | None


class Reader:
    """Reads the runs of a bitmap of `size` bytes at a cursor, some at a time. All numbers must be below `limit`."""

    def __init__(self, cursor: Cursor, size: int, limit: int = 1 << 64) -> None:
        self._blob = _Blob(cursor, size)
        self._limit = limit
        self._runs = self._checked(_joined(self._blob.runs()))

    def read(self, limit: int) -> list[Run]:
        """Return up to `limit` further runs, [] at the end."""
        return list(islice(self._runs, limit))

    def _checked(self, runs: Iterator[Run]) -> Iterator[Run]:
        for run in runs:
            if run[1] >= self._limit:
                raise self._blob.bad(f"number {run[1]} in a bitmap of {self._limit} bits")
            yield run


def count(cursor: Cursor, size: int) -> int:
    """Return how many numbers are in a bitmap, by its headers; the cursor is then at its end."""
    return sum(_Blob(cursor, size).cardinalities())


class _Blob:
    """One bitmap being read, from its start; use one of `runs` and `cardinalities`."""

    def __init__(self, cursor: Cursor, size: int) -> None:
        self.cursor = cursor
        self.size = size
        self.offset = cursor.blob
        self.start = cursor.tell()

    def bad(self, what: str) -> Corrupt:
        return Corrupt(what, offset=self.offset, code="bad-bitmap")

    def runs(self) -> Iterator[Run]:
        """Yield the runs of each container."""
        for at in self._containers():
            yield from self._run_container(at) if at.is_runs else self._other_container(at)

    def cardinalities(self) -> Iterator[int]:
        """Yield how many numbers each container has."""
        for at in self._containers():
            if at.is_runs:
                size = 4 * self._fixed(2)
            else:
                size = 2 * at.cardinality if at.cardinality <= _LISTED else _BITS
            self._need(size)
            self.cursor.skip(size)
            yield at.cardinality

    # -- headers ---------------------------------------------------------------------------------------------------

    def _containers(self) -> Iterator[_Container]:
        """Yield what the headers say; each container must have been read when the next one is asked for."""
        buckets = self._fixed(8)
        if buckets > self._left() // _BUCKET:
            raise self.bad(f"a bitmap of {self.size} bytes claims {buckets} buckets")
        last = -1
        for _ in range(buckets):
            high = self._fixed(4)
            if high <= last:
                raise self.bad("a bitmap whose buckets do not ascend")
            last = high
            base = self.cursor.tell()
            for at in self._head(high << 16):
                if at.offset is not None and at.offset != self.cursor.tell() - base:
                    raise self.bad(f"a container at {self.cursor.tell() - base}, its offset says {at.offset}")
                yield at
        # Only at the end of a compressed string is it known whether its stored size is right.
        if self._left() or not self.cursor.at_end():
            raise self.bad("bytes after the last container of a bitmap")

    def _head(self, high: int) -> Iterator[_Container]:
        cookie = self._fixed(4)
        flags = b""
        if cookie & 0xFFFF == _RUN_COOKIE:
            size = (cookie >> 16) + 1
            flags = self._take((size + 7) // 8)
        elif cookie == _PLAIN_COOKIE:
            size = self._fixed(4)
        else:
            raise self.bad(f"cookie {cookie} in a bitmap")
        if size > _SPAN:
            raise self.bad(f"a bitmap with {size} containers of one bucket")
        described = struct.unpack(f"<{2 * size}H", self._take(4 * size))
        keys = described[::2]
        if any(map(ge, keys, keys[1:])):
            raise self.bad("a bitmap whose containers do not ascend")
        has_offsets = not flags or size >= _NO_OFFSETS
        offsets = struct.unpack(f"<{size}I", self._take(4 * size)) if has_offsets else [None] * size
        for at, (key, less, offset) in enumerate(zip(keys, described[1::2], offsets)):
            yield _Container(high | key, less + 1, bool(flags and flags[at >> 3] >> (at & 7) & 1), offset)

    # -- containers ------------------------------------------------------------------------------------------------

    def _run_container(self, at: _Container) -> Iterator[Run]:
        runs = self._fixed(2)
        numbers = struct.unpack(f"<{2 * runs}H", self._take(4 * runs))
        starts, more = numbers[::2], numbers[1::2]
        ends = tuple(map(int.__add__, starts, more))
        if sum(more) + runs != at.cardinality:
            raise self.bad(f"runs of {sum(more) + runs} numbers in a container of {at.cardinality}")
        if any(map(ge, ends, starts[1:])) or (ends and ends[-1] >= _SPAN):
            raise self.bad("runs that overlap, or leave their container")
        base = at.key << 16
        return ((base + first, base + last) for first, last in zip(starts, ends))

    def _other_container(self, at: _Container) -> Iterator[Run]:
        base = at.key << 16
        if at.cardinality <= _LISTED:
            numbers = struct.unpack(f"<{at.cardinality}H", self._take(2 * at.cardinality))
            if any(map(ge, numbers, numbers[1:])):
                raise self.bad("a container whose numbers do not ascend")
            return ((base + number, base + number) for number in numbers)
        bits = int.from_bytes(self._take(_BITS), "little")
        if bits.bit_count() != at.cardinality:
            raise self.bad(f"{bits.bit_count()} bits in a container of {at.cardinality}")
        # A run starts at a bit whose lower neighbour is 0, and ends at one whose higher neighbour is.
        firsts, lasts = _set_bits(bits & ~(bits << 1)), _set_bits(bits & ~(bits >> 1))
        return ((base + first, base + last) for first, last in zip(firsts, lasts))

    # -- bytes -----------------------------------------------------------------------------------------------------

    def _left(self) -> int:
        return self.size - (self.cursor.tell() - self.start)

    def _need(self, n: int) -> None:
        if n > self._left():
            raise self.bad(f"a bitmap of {self.size} bytes that needs {n - self._left()} more")

    def _take(self, n: int) -> bytes:
        self._need(n)
        return self.cursor.take(n)

    def _fixed(self, width: int) -> int:
        self._need(width)
        return self.cursor.fixed(width)


def _set_bits(bits: int) -> Iterator[int]:
    """Yield the numbers of the bits that are set, of 65536."""
    for at, word in enumerate(_WORDS.unpack(bits.to_bytes(_BITS, "little"))):
        while word:
            lowest = word & -word
            yield 64 * at + lowest.bit_length() - 1
            word ^= lowest


def _joined(runs: Iterable[Run]) -> Iterator[Run]:
    """Join runs between which no number is missing."""
    first, last = 0, -2
    for start, end in runs:
        if start > last + 1:
            if last >= 0:
                yield first, last
            first = start
        last = end
    if last >= 0:
        yield first, last


# -- writing -----------------------------------------------------------------------------------------------------------


def encode(runs: Iterable[Run], optimised: bool = True) -> bytes:
    """Return the bitmap of these runs, which ascend and do not overlap; `optimised`: with run containers.

    Raises ValueError for runs that do not ascend, and for numbers that are not from 0 to 2^64 - 1.
    """
    buckets = [
        high.to_bytes(4, "little") + _encode_bucket(list(parts), optimised)
        for high, parts in groupby(_pieces(runs), key=lambda piece: piece[0] >> 16)
    ]
    return len(buckets).to_bytes(8, "little") + b"".join(buckets)


def _pieces(runs: Iterable[Run]) -> Iterator[tuple[int, int, int]]:
    """Cut runs at the ends of containers: key, first and last number in it."""
    for first, last in _joined(_ascending(runs)):
        for key in range(first >> 16, (last >> 16) + 1):
            base = key << 16
            yield key, max(first - base, 0), min(last - base, _SPAN - 1)


def _ascending(runs: Iterable[Run]) -> Iterator[Run]:
    before = -1
    for first, last in runs:
        if not before < first <= last < 1 << 64:
            raise ValueError(f"a run from {first} to {last} after {before}")
        before = last
        yield first, last


def _encode_bucket(pieces: list[tuple[int, int, int]], optimised: bool) -> bytes:
    containers = [_encode_container(key, list(parts), optimised) for key, parts in groupby(pieces, key=itemgetter(0))]
    size = len(containers)
    flags = sum(1 << at for at, (_, is_runs, _) in enumerate(containers) if is_runs)
    if flags:
        head = (_RUN_COOKIE | (size - 1) << 16).to_bytes(4, "little") + flags.to_bytes((size + 7) // 8, "little")
    else:
        head = struct.pack("<II", _PLAIN_COOKIE, size)
    head += b"".join(described for described, _, _ in containers)
    if not flags or size >= _NO_OFFSETS:
        at = len(head) + 4 * size
        for _, _, data in containers:
            head += at.to_bytes(4, "little")
            at += len(data)
    return head + b"".join(data for _, _, data in containers)


def _encode_container(key: int, parts: list[tuple[int, int, int]], optimised: bool) -> tuple[bytes, bool, bytes]:
    """Return a container's description, whether it is of runs, and its bytes."""
    cardinality = sum(last - first + 1 for _, first, last in parts)
    described = struct.pack("<HH", key & 0xFFFF, cardinality - 1)
    if optimised and 2 + 4 * len(parts) < min(2 * cardinality, _BITS):
        runs = [number for _, first, last in parts for number in (first, last - first)]
        return described, True, struct.pack(f"<H{len(runs)}H", len(parts), *runs)
    if cardinality <= _LISTED:
        numbers = [number for _, first, last in parts for number in range(first, last + 1)]
        return described, False, struct.pack(f"<{cardinality}H", *numbers)
    bits = 0
    for _, first, last in parts:
        bits |= (1 << last + 1) - (1 << first)
    return described, False, bits.to_bytes(_BITS, "little")
