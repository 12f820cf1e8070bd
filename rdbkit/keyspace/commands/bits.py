"""Commands of bit strings: bit 0 is the highest one of the first byte."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from rdbkit.keyspace.arguments import SYNTAX, Words, integer
from rdbkit.keyspace.commands.strings import LONGEST
from rdbkit.keyspace.loader import CommandError, Loader
from rdbkit.keyspace.values import String

_OFFSET = "ERR bit offset is not an integer or out of range"
_TYPE = "ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is."


def _offset(text: bytes, bits: int = 1) -> int:
    """Return an offset in bits."""
    number = integer(text, _OFFSET) * bits
    if not 0 <= number >> 3 < LONGEST:
        raise CommandError(_OFFSET)
    return number


def _room(loader: Loader, key: bytes, last: int) -> bytearray:
    """Return the bytes of a string, which is made and extended so that it has this bit."""
    size = (last >> 3) + 1
    value = loader.find(key, String)
    if value is None:
        value = loader.allocations.made(bytearray(size))
        loader.put(key, value)
    text = loader.allocations.unshare(value)
    if size > len(text):
        loader.allocations.grow(value, size)
        text.extend(bytes(size - len(text)))
    loader.wrote(key, value)
    return text


def setbit(loader: Loader, args: list[bytes]) -> None:
    """SETBIT key offset 0|1."""
    at, bit = _offset(args[2]), integer(args[3], "ERR bit is not an integer or out of range")
    if bit not in (0, 1):
        raise CommandError("ERR bit is not an integer or out of range")
    text, mask = _room(loader, args[1], at), 128 >> (at & 7)
    text[at >> 3] = text[at >> 3] | mask if bit else text[at >> 3] & ~mask


class _Write(NamedTuple):
    """One SET or INCRBY of a BITFIELD."""

    adds: bool
    signed: bool
    bits: int
    at: int
    number: int
    overflow: bytes


def bitfield(loader: Loader, args: list[bytes]) -> None:
    """BITFIELD key [GET type offset | [OVERFLOW WRAP | SAT | FAIL] SET type offset n | INCRBY type offset n …]."""
    writes = _writes(Words(args, 2))
    if not writes:
        loader.find(args[1], String)
        return
    text = _room(loader, args[1], max(write.at + write.bits - 1 for write in writes))
    for write in writes:
        _write(text, write)


def _writes(words: Words) -> list[_Write]:
    overflow, found = b"WRAP", []
    for word in words:
        if word == b"OVERFLOW":
            overflow = words.next().upper()
            if overflow not in (b"WRAP", b"SAT", b"FAIL"):
                raise CommandError("ERR Invalid OVERFLOW type specified")
            continue
        if word not in (b"GET", b"SET", b"INCRBY"):
            raise CommandError(SYNTAX)
        signed, bits = _type(words.next())
        offset = words.next()
        at = _offset(offset[1:], bits) if offset[:1] == b"#" else _offset(offset)
        if word != b"GET":
            found.append(_Write(word == b"INCRBY", signed, bits, at, words.integer(), overflow))
    return found


def _type(text: bytes) -> tuple[bool, int]:
    signed = text[:1] == b"i"
    bits = integer(text[1:], _TYPE)
    if text[:1] not in (b"i", b"u") or not 1 <= bits <= (64 if signed else 63):
        raise CommandError(_TYPE)
    return signed, bits


def _write(text: bytearray, write: _Write) -> None:
    first, last = write.at >> 3, write.at + write.bits - 1 >> 3
    whole = int.from_bytes(text[first : last + 1], "big")
    shift = (last + 1) * 8 - write.at - write.bits
    mask = (1 << write.bits) - 1
    number = write.number
    if write.adds:
        old = whole >> shift & mask
        number += old - (mask + 1) if write.signed and old >> (write.bits - 1) else old
    elif not write.signed:
        # A negative number is taken for the great one that has the same 64 bits.
        number &= (1 << 64) - 1
    least, most = (-(mask + 1) >> 1, mask >> 1) if write.signed else (0, mask)
    if not least <= number <= most:
        if write.overflow == b"FAIL":
            return
        if write.overflow == b"SAT":
            number = min(max(number, least), most)
    whole = whole & ~(mask << shift) | (number & mask) << shift
    text[first : last + 1] = whole.to_bytes(last + 1 - first, "big")


def bitop(loader: Loader, args: list[bytes]) -> None:
    """BITOP AND | OR | XOR | NOT | DIFF | DIFF1 | ANDOR | ONE destination key [key …]."""
    name = args[1].upper()
    operation = _OPERATIONS.get(name)
    if operation is None or (name in _NEWER and not loader.target.has("bitop-diff")):
        raise CommandError(SYNTAX)
    if name == b"NOT" and len(args) != 4:
        raise CommandError("ERR BITOP NOT must be called with a single source key.")
    if name in _NEWER and name != b"ONE" and len(args) < 5:
        raise CommandError(f"ERR BITOP {name.decode()} must be called with at least two source keys.")
    found = [loader.find(key, String) for key in args[3:]]
    texts = [b"" if value is None else value.data for value in found]
    size = max(map(len, texts))
    if not size:
        loader.drop(args[2])
        return
    numbers = [int.from_bytes(text.ljust(size, b"\0"), "big") for text in texts]
    result = operation(numbers, (1 << size * 8) - 1)
    loader.put(args[2], loader.allocations.made(bytearray(result.to_bytes(size, "big"))))


def _and(numbers: list[int], _ones: int) -> int:
    result = numbers[0]
    for number in numbers[1:]:
        result &= number
    return result


def _or(numbers: list[int], _ones: int = 0) -> int:
    result = 0
    for number in numbers:
        result |= number
    return result


def _xor(numbers: list[int], _ones: int) -> int:
    result = 0
    for number in numbers:
        result ^= number
    return result


def _one(numbers: list[int], _ones: int) -> int:
    """Return the bits that are set in exactly one of the numbers."""
    once = more = 0
    for number in numbers:
        more |= once & number
        once |= number
    return once & ~more


_OPERATIONS: dict[bytes, Callable[[list[int], int], int]] = {
    b"AND": _and,
    b"OR": _or,
    b"XOR": _xor,
    b"NOT": lambda numbers, ones: numbers[0] ^ ones,
    b"DIFF": lambda numbers, _: numbers[0] & ~_or(numbers[1:]),
    b"DIFF1": lambda numbers, _: _or(numbers[1:]) & ~numbers[0],
    b"ANDOR": lambda numbers, _: numbers[0] & _or(numbers[1:]),
    b"ONE": _one,
}
_NEWER = (b"DIFF", b"DIFF1", b"ANDOR", b"ONE")

COMMANDS = {
    b"setbit": setbit,
    b"bitfield": bitfield,
    b"bitop": bitop,
}
