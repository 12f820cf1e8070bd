# cython: language_level=3, annotation_typing=False
# cython: boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""LZF, the compression inside RDB strings.

A stream of instructions, without header or end mark; c is the first byte of one:

    c < 32     [c] [c + 1 bytes]               copy them (1 to 32)
    c >= 32    [c] [more, if c >> 5 == 7] [d]  copy (c >> 5) + more + 2 bytes (3 to 264) from what was unpacked already,
                                               ((c & 31) << 8 | d) + 1 bytes back (1 to 8192); the two may overlap

The unpacked size is stored outside, in the string's head, and can be wrong. Three packed bytes unpack to at most 264,
so no memory is allocated for a size that the packed bytes cannot fill. All functions here raise Corrupt("bad-lzf") with
the offset that they were given: the one at which the string starts.

One kernel, `_unpack`, unpacks from one position to another; whole strings, heads of strings and streams differ only in
where it stops.
"""

from __future__ import annotations

from array import array
from typing import Any, NoReturn

from rdbkit import _build
from rdbkit.errors import Corrupt

#: No instruction yields more than this many bytes for each of its own.
RATIO = 88
#: How far back a reference can go, and how many bytes one instruction yields at most.
_REACH = 8192
_LONGEST = 264
#: Bytes that an Unpacker unpacks at a time.
_STEP = 1 << 16
#: Strings whose stored size is larger than this are unpacked in steps.
_LARGE = 1 << 24

_COMPILED = _build.compiled()
#: Where the bytes that hash to a number were seen last, counted on from string to string, so that nothing is cleared;
#: filled by `compress`, and what it says is only a hint. And the bytes that were counted.
_slots: array[int] = array("q")
_packed = 0
#: python-lzf's function, None where it is not installed, False until it is asked for.
_lzf: Any = False


def _unpack(data: bytes, at: int, room: bytearray, o: int, stop: int, size: int, offset: int) -> tuple[int, int]:
    """Unpack data[at:] into `room` after its first o bytes, until `stop` (at most `size`) is reached.

    Returns the new (at, o). Stops before an instruction that is not complete in `data`. The last one may write past
    `stop`; past `size` it raises. Compiled, `room` has its full length, stop + _LONGEST, from the start; interpreted,
    it grows. One function, because a call per instruction would dominate the run time.
    """
    view = data
    out = room
    end = len(data)
    while at < end and o < stop:
        run = view[at]
        if run < 32:
            after = at + 2 + run
            if after > end:
                break
            run += 1
            # A byte loop is faster when compiled (600 MB/s of JSON, slices 100), and slower when interpreted.
            if _COMPILED:
                for i in range(run):
                    out[o + i] = view[at + 1 + i]
            else:
                room += view[at + 1 : after]
        else:
            after = at + 2 if run < 224 else at + 3
            if after > end:
                break
            back = ((run & 31) << 8) + view[after - 1] + 1
            run = (run >> 5) + 2 if run < 224 else view[at + 1] + 9
            if back > o:
                _before_start(back, offset)
            if _COMPILED:
                for i in range(run):
                    out[o + i] = out[o - back + i]
            elif run <= back:
                room += room[o - back : o - back + run]
            else:
                room += (room[o - back :] * (run // back + 1))[:run]
        at = after
        o += run
    if o > size:
        _overrun(size, offset)
    return at, o


def _overrun(size: int, offset: int) -> NoReturn:
    raise Corrupt(f"LZF data unpacks to more than the {size} bytes claimed", offset=offset, code="bad-lzf")


def _before_start(back: int, offset: int) -> NoReturn:
    raise Corrupt(f"an LZF reference goes {back} bytes back, before the string's start", offset=offset, code="bad-lzf")


def _unfinished(left: int, got: int, size: int, offset: int) -> NoReturn:
    message = f"LZF data gives {got} of {size} bytes and leaves {left} packed ones over"
    raise Corrupt(message, offset=offset, code="bad-lzf")


def _room(size: int) -> bytearray:
    return bytearray(size + _LONGEST) if _COMPILED else bytearray()


def _cut(room: bytearray, start: int, end: int) -> bytes:
    out = room
    piece = out[start:end]
    return piece if _COMPILED else bytes(piece)  # type: ignore[return-value]  # compiled, it is bytes already


def decompress(data: bytes, size: int, offset: int = -1) -> bytes:
    """Unpack a whole string; raise Corrupt unless that uses all of `data` and gives exactly `size` bytes."""
    if size < 0 or size // RATIO > len(data):
        raise Corrupt(f"{len(data)} packed bytes cannot hold the {size} claimed", offset=offset, code="bad-lzf")
    if size > _LARGE:
        return _gradually(data, size, offset)
    if not _COMPILED:
        quick = _quick(data, size)
        if quick is not None:
            return quick
    room = _room(size)
    at, o = _unpack(data, 0, room, 0, size, size, offset)
    if at != len(data) or o != size:
        _unfinished(len(data) - at, o, size, offset)
    return _cut(room, 0, size)


def _gradually(data: bytes, size: int, offset: int) -> bytes:
    """Unpack a long string step by step: memory is allocated for the actual output, not for the stored size."""
    unpacker = Unpacker(size, offset)
    pieces = [unpacker.feed(data[at : at + _STEP]) for at in range(0, len(data), _STEP)]
    unpacker.finish()
    return b"".join(pieces)


def _quick(data: bytes, size: int) -> bytes | None:
    """Unpack with python-lzf, if it is installed; None if it fails: the kernel then raises an error with the reason."""
    global _lzf
    if _lzf is False:
        try:
            from lzf import decompress as _lzf
        except ImportError:
            _lzf = None
    if _lzf is None or not size:
        return None
    try:
        out: bytes | None = _lzf(data, size)
    except ValueError:
        return None
    return out if out is not None and len(out) == size else None


def head(data: bytes, n: int, size: int, offset: int = -1) -> bytes:
    """Unpack the first min(n, size) bytes; `data` needs to have only as many packed bytes as that takes."""
    want = n if n < size else size
    room = _room(want)
    at, o = _unpack(data, 0, room, 0, want, size, offset)
    if o < want:
        # A part of a literal run is enough.
        missing = want - o
        if at >= len(data) or data[at] >= 32 or missing >= len(data) - at:
            _unfinished(len(data) - at, o, size, offset)
        room[o:] = data[at + 1 : at + 1 + missing]
    return _cut(room, 0, want)


class Unpacker:
    """Unpacks a string of `size` bytes as its packed bytes arrive; keeps the bytes that references can still use."""

    def __init__(self, size: int, offset: int = -1) -> None:
        self.size = size
        self.offset = offset
        self.got = 0
        self._kept = 0
        self._room = _room(min(size, _STEP))
        self._rest = b""

    def feed(self, packed: bytes) -> bytes:
        """Return all bytes that can be unpacked now: at most RATIO times the bytes passed in."""
        data = self._rest + packed
        at = 0
        pieces = []
        while True:
            start = self._kept
            size = start + self.size - self.got
            room = self._room
            at, o = _unpack(data, at, room, start, min(size, start + _STEP), size, self.offset)
            pieces.append(_cut(room, start, o))
            self.got += o - start
            self._kept = min(o, _REACH)
            self._room = room[o - self._kept : o] + _room(min(self.size - self.got, _STEP))
            if o - start < _STEP:
                break
        self._rest = data[at:]
        if self._rest and self.got == self.size:
            self.finish()
        return b"".join(pieces)

    def finish(self) -> None:
        """Raise Corrupt unless exactly `size` bytes came out and no packed ones are left over."""
        if self._rest or self.got != self.size:
            _unfinished(len(self._rest), self.got, self.size, self.offset)


def compress(data: bytes) -> bytes | None:
    """Pack a string as liblzf does, to the byte; None where that would not save at least 4 bytes.

    That is the servers' rule: then a string is stored raw.
    """
    global _slots, _packed
    view = data
    size = len(data)
    room = size - 4
    if not _slots:
        _slots = array("q", bytes(8 << 16))
    slots = _slots
    base = _packed
    _packed += size
    out = bytearray()
    done = at = 0
    while at < size - 2:
        triple = view[at]
        triple = (triple << 8 | view[at + 1]) << 8 | view[at + 2]
        slot = ((triple >> 8) - triple * 5) & 0xFFFF
        seen = slots[slot] - 1 - base
        slots[slot] = base + at + 1
        # The first byte is never referred to.
        if (
            seen <= 0
            or seen >= at
            or at - seen > _REACH
            or view[seen] != view[at]
            or view[seen + 1] != view[at + 1]
            or view[seen + 2] != view[at + 2]
        ):
            at += 1
            continue
        if not _fits(len(out), at - done, room):
            return None
        # Two bytes fewer than there are, but for the first 19, which are compared without counting.
        longest = size - at - 2 if size - at - 2 < _LONGEST else _LONGEST
        if longest > 16 and longest < 19:
            longest = 19
        run = 3
        while run < longest and view[seen + run] == view[at + run]:
            run += 1
        _literals(out, data, done, at)
        _reference(out, run - 2, at - seen - 1)
        at += run
        done = at
        if at >= size - 2:
            break
        # Of the positions that were stepped over, the last two are remembered.
        at -= 2
        while at < done:
            triple = view[at]
            triple = (triple << 8 | view[at + 1]) << 8 | view[at + 2]
            slots[((triple >> 8) - triple * 5) & 0xFFFF] = base + at + 1
            at += 1
    at = at - done
    if len(out) + at + at // 32 + 1 + 3 > room:
        return None
    _literals(out, data, done, size)
    return bytes(out)


def _fits(size: int, run: int, room: int) -> bool:
    """Return whether liblzf begins a reference after `size` packed bytes and `run` others: it wants 4 bytes more."""
    at = size + run + run // 32 + 1
    return at + 4 < room or (run % 32 == 0 and at + 3 < room)


def _literals(out: bytearray, data: bytes, at: int, end: int) -> None:
    while at < end:
        run = min(32, end - at)
        out.append(run - 1)
        out += data[at : at + run]
        at += run


def _reference(out: bytearray, run: int, back: int) -> None:
    if run < 7:
        out.append(run << 5 | back >> 8)
    else:
        out.append(7 << 5 | back >> 8)
        out.append(run - 7)
    out.append(back & 255)
