"""Commands of HyperLogLogs: strings with 16384 registers of six bits, each the greatest rank of a hashed element.

    header   HYLL, encoding (0: dense, 1: sparse), three bytes 0, the last count (little endian; its highest bit: stale)
    dense    the registers, from the lowest bits on
    sparse   runs of equal registers: 00nnnnnn n+1 zeros, 01nnnnnn nnnnnnnn the same, 1vvvvvnn n+1 registers of v+1

Source: hyperloglog.c of the BSD-licensed versions, whose bytes these are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from math import floor, inf, log, sqrt

from rdbkit.keyspace.loader import CommandError, Loader
from rdbkit.keyspace.values import String

_REGISTERS = 1 << 14
_RANKS = 64 - 14
_HEADER = 16
_DENSE_SIZE = _HEADER + _REGISTERS * 6 // 8
_MAGIC = b"HYLL"
_NEW = _MAGIC + b"\1" + bytes(11) + b"\x7f\xff"
_MOST_ZEROS, _GREATEST, _LONGEST_RUN = 64, 32, 4
_MASK = (1 << 64) - 1

_CORRUPT = "INVALIDOBJ Corrupted HLL object detected"
_WRONG = "WRONGTYPE Key is not a valid HyperLogLog string value."


# -- elements --------------------------------------------------------------------------------------------------------


def murmur(data: bytes, seed: int = 0xADC83B19) -> int:
    """Return MurmurHash64A (MurmurHash2 for 64 bits, by Austin Appleby; public domain)."""
    factor = 0xC6A4A7935BD1E995
    result = seed ^ len(data) * factor & _MASK
    whole = len(data) & ~7
    for at in range(0, whole, 8):
        part = int.from_bytes(data[at : at + 8], "little") * factor & _MASK
        part = (part ^ part >> 47) * factor & _MASK
        result = (result ^ part) * factor & _MASK
    if whole < len(data):
        result = (result ^ int.from_bytes(data[whole:], "little")) * factor & _MASK
    result = (result ^ result >> 47) * factor & _MASK
    return result ^ result >> 47


def rank(element: bytes) -> tuple[int, int]:
    """Return the register of an element, and its rank: one more than the number of zeros at the end of its hash."""
    number = murmur(element)
    rest = number >> 14 | 1 << _RANKS
    return number & _REGISTERS - 1, (rest & -rest).bit_length()


# -- registers -------------------------------------------------------------------------------------------------------


def registers(text: bytes | bytearray) -> bytearray:
    """Return a byte for each register. Raises CommandError if the runs are not as many."""
    if text[4]:
        found = bytearray()
        for _, _, value, count in _runs(text, _HEADER):
            found += bytes((value,)) * count
            if len(found) > _REGISTERS:
                break
        if len(found) != _REGISTERS:
            raise CommandError(_CORRUPT)
        return found
    found = bytearray(_REGISTERS)
    for part in range(0, _REGISTERS, 4):
        at = _HEADER + part * 3 // 4
        four = text[at] | text[at + 1] << 8 | text[at + 2] << 16
        found[part] = four & 63
        found[part + 1] = four >> 6 & 63
        found[part + 2] = four >> 12 & 63
        found[part + 3] = four >> 18
    return found


def _runs(text: bytes | bytearray, at: int) -> Iterator[tuple[int, int, int, int]]:
    """Yield the runs from there on: position, size in bytes, value of the registers, number of registers."""
    end = len(text)
    while at < end:
        code = text[at]
        if code >= 0x80:
            yield at, 1, (code >> 2 & 31) + 1, (code & 3) + 1
        elif code < 0x40:
            yield at, 1, 0, code + 1
        else:
            # The byte after the text is a zero.
            yield at, 2, 0, ((code & 63) << 8 | (text[at + 1] if at + 1 < end else 0)) + 1
            at += 1
        at += 1


def _zeros(count: int) -> bytes:
    if not count:
        return b""
    return bytes((count - 1,)) if count <= _MOST_ZEROS else (0x4000 | count - 1).to_bytes(2, "big")


def _values(value: int, count: int) -> bytes:
    return bytes((0x80 | value - 1 << 2 | count - 1,)) if count else b""


class _Sketch:
    """A HyperLogLog that is being changed."""

    def __init__(self, loader: Loader, key: bytes) -> None:
        value = found(loader, key)
        if value is None:
            value = loader.allocations.made(bytearray(_NEW))
            loader.put(key, value)
        self.loader = loader
        self.value = value
        self.text = loader.allocations.unshare(value)
        self._most = loader.settings.hll_sparse_max_bytes
        self._hint = _HEADER, 0

    def raise_to(self, index: int, count: int) -> bool:
        """Set a register, unless it is at least as great; return whether it was set."""
        return self._sparse(index, count) if self.text[4] else self._dense(index, count)

    def _dense(self, index: int, count: int) -> bool:
        at, shift = _HEADER + index * 6 // 8, index * 6 % 8
        pair = int.from_bytes(self.text[at : at + 2], "little")
        if pair >> shift & 63 >= count:
            return False
        size = len(self.text[at : at + 2])
        self.text[at : at + 2] = (pair & ~(63 << shift) | count << shift).to_bytes(size, "little")
        return True

    def _sparse(self, index: int, count: int) -> bool:
        if count > _GREATEST:
            return self._promoted(index, count)
        self._make_room()
        text = self.text
        before, at, size, value, run, first = self._locate(index)
        if value >= count:
            return False
        if run == 1:
            text[at] = _values(count, 1)[0]
        else:
            left, right = index - first, first + run - 1 - index
            if value:
                parts = _values(value, left) + _values(count, 1) + _values(value, right)
            else:
                parts = _zeros(left) + _values(count, 1) + _zeros(right)
            if len(parts) > size and len(text) + len(parts) - size > self._most:
                return self._promoted(index, count)
            length = len(text) + len(parts) - size
            text[at : at + size] = parts
            # A run of two bytes of which the file has one is read with the zero behind the text; the length ignores it.
            del text[length:]
        self._merge(before)
        text[15] |= 0x80
        return True

    def _locate(self, index: int) -> tuple[int, int, int, int, int, int]:
        """Return the run with a register: position of the run before it, its own, size, value, number, and first."""
        before, first = -1, 0
        start, skipped = self._hint
        if index < skipped:
            start = skipped = 0
        start, first = max(start, _HEADER), skipped
        previous = first
        for at, size, value, run in _runs(self.text, start):
            if index < first + run:
                if before < 0 and start > _HEADER:
                    # What is before it is needed, too.
                    self._hint = _HEADER, 0
                    return self._locate(index)
                self._hint = (before, previous) if before >= 0 else (_HEADER, 0)
                return before, at, size, value, run, first
            before, previous = at, first
            first += run
        raise CommandError(_CORRUPT)

    def _merge(self, before: int) -> None:
        """Merge neighbours with the same value, from the run before the changed one on: five attempts."""
        text, at = self.text, before if before >= 0 else _HEADER
        for _ in range(5):
            if at >= len(text):
                break
            code = text[at]
            if code < 0x80:
                at += 2 if code >= 0x40 else 1
                continue
            after = text[at + 1] if at + 1 < len(text) else 0
            run = (code & 3) + (after & 3) + 2
            if after >= 0x80 and (code ^ after) < 4 and run <= _LONGEST_RUN:
                text[at : at + 2] = bytes((code & 0xFC | run - 1,))
            else:
                at += 1

    def _make_room(self) -> None:
        value, size = self.value, len(self.text)
        if not self.loader.target.has("hll-grows-by-size"):
            self.loader.allocations.grow(value, size + 3)
        elif value.capacity < self._most and value.capacity < size + 3:
            self.loader.allocations.resize(value, min(size + 3 + min(size + 3, 300), self._most))

    def _promoted(self, index: int, count: int) -> bool:
        self.to_dense()
        return self._dense(index, count)

    def to_dense(self) -> None:
        """Make it a dense one."""
        text = self.text
        if not text[4]:
            return
        all_of = registers(text)
        packed = bytearray()
        for part in range(0, _REGISTERS, 4):
            one, two, three, four = all_of[part : part + 4]
            packed += (one | two << 6 | three << 12 | four << 18).to_bytes(3, "little")
        text[4] = 0
        text[_HEADER:] = packed
        self.loader.allocations.renew(self.value)

    def changed(self, key: bytes) -> None:
        """Note that its count is stale."""
        self.text[15] |= 0x80
        self.loader.wrote(key, self.value)


def found(loader: Loader, key: bytes) -> String | None:
    """Return the string of a key if it is a HyperLogLog, None if there is no key. Raises CommandError."""
    value = loader.find(key, String)
    if value is not None:
        text = value.data
        if text[:4] != _MAGIC or len(text) < _HEADER or text[4] > 1 or (not text[4] and len(text) != _DENSE_SIZE):
            raise CommandError(_WRONG)
    return value


# -- counts ----------------------------------------------------------------------------------------------------------


def estimate(loader: Loader, text: bytes | bytearray) -> int:
    """Return the count, by the formula of the server's release."""
    counts = Counter(registers(text))
    if loader.target.has("pfcount-histogram"):
        return _by_histogram(counts)
    total = sum(number * 2.0**-value for value, number in counts.items())
    zeros, every = counts[0], float(_REGISTERS)
    alpha = 0.7213 / (1 + 1.079 / every)
    if loader.target.has("pfcount-beta"):
        each = log(zeros + 1)
        beta = -0.370393911 * zeros + 0.070471823 * each
        for power, factor in enumerate(_BETA, 2):
            beta += factor * each**power
        return floor(alpha * every * (every - zeros) * (1 / (total + beta)) + 0.5)
    result = (1 / total) * alpha * every * every
    if result < every * 2.5 and zeros:
        result = every * log(every / zeros)
    elif result < 72000:
        bias = 5.9119e-18 * (result**4) - 1.4253e-12 * (result**3) + 1.2940e-7 * (result**2)
        result -= result * ((bias - 5.2921e-3 * result + 83.3216) / 100)
    return int(result)


#: The factors of LogLog-Beta (arXiv:1612.02284) from the second power of the logarithm on.
_BETA = (0.17393686, 0.16339839, -0.09237745, 0.03738027, -0.005384159, 0.00042419)


def _by_histogram(counts: Counter[int]) -> int:
    """Return the estimate of Otmar Ertl, arXiv:1702.01284."""
    every = float(_REGISTERS)
    total = every * _tau((every - counts[_RANKS + 1]) / every)
    for value in range(_RANKS, 0, -1):
        total = (total + counts[value]) * 0.5
    total += every * _sigma(counts[0] / every)
    return floor(0.721347520444481703680 * every * every / total + 0.5)


def _sigma(part: float) -> float:
    if part == 1:
        return inf
    factor, total, last = 1.0, part, -1.0
    while total != last:
        part *= part
        last = total
        total += part * factor
        factor += factor
    return total


def _tau(part: float) -> float:
    if part in (0, 1):
        return 0.0
    factor, total, last = 1.0, 1 - part, -1.0
    while total != last:
        part = sqrt(part)
        last = total
        factor *= 0.5
        total -= (1 - part) ** 2 * factor
    return total / 3


# -- commands --------------------------------------------------------------------------------------------------------


def pfadd(loader: Loader, args: list[bytes]) -> None:
    """PFADD key [element …]."""
    is_new = found(loader, args[1]) is None
    sketch = _Sketch(loader, args[1])
    changes = [sketch.raise_to(*rank(element)) for element in args[2:]]
    if is_new or any(changes):
        sketch.changed(args[1])


def pfcount(loader: Loader, args: list[bytes]) -> None:
    """PFCOUNT key: the count is kept in the value. With several keys it changes nothing."""
    value = found(loader, args[1]) if len(args) == 2 else None
    if value is None:
        return
    text = loader.allocations.unshare(value)
    if text[15] & 0x80:
        text[8:16] = estimate(loader, text).to_bytes(8, "little")
        loader.wrote(args[1], value)


def pfmerge(loader: Loader, args: list[bytes]) -> None:
    """PFMERGE destination [source …]."""
    values = [value for key in args[1:] if (value := found(loader, key)) is not None]
    merged = bytearray(_REGISTERS)
    for value in values:
        merged = bytearray(map(max, merged, registers(value.data)))
    dense = any(not value.data[4] for value in values) or not loader.target.has("pfmerge-sparse")
    sketch = _Sketch(loader, args[1])
    if dense:
        sketch.to_dense()
    for index, count in enumerate(merged):
        if count:
            sketch.raise_to(index, count)
    sketch.changed(args[1])


def pfdebug(loader: Loader, args: list[bytes]) -> None:
    """PFDEBUG TODENSE key, PFDEBUG GETREG key: both make it a dense one."""
    if found(loader, args[2]) is None:
        raise CommandError("ERR The specified key does not exist")
    sketch = _Sketch(loader, args[2])
    if args[1].upper() in (b"TODENSE", b"GETREG"):
        sketch.to_dense()
        loader.wrote(args[2], sketch.value)


COMMANDS = {
    b"pfadd": pfadd,
    b"pfcount": pfcount,
    b"pfmerge": pfmerge,
    b"pfdebug": pfdebug,
}
