"""Commands of arrays (Redis 8.8).

Source: the commands' pages on redis.io, and what 8.10.2 answered: how indexes and numbers are read, and how a ring is
laid out anew when its size changes.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable

from rdbkit.keyspace.arguments import integer
from rdbkit.keyspace.loader import CommandError, Loader
from rdbkit.keyspace.values import Array

#: Indexes are below this; it is also the highest number to which the cursor can be set.
_LAST = (1 << 64) - 1
_INDEX = re.compile(rb"[ \t\n\v\f\r]*([+-]?)([0-9]+)")
_INTEGER = re.compile(rb"-?[1-9][0-9]{0,18}|0")
_DECIMAL = re.compile(rb"-?(?:0|[1-9][0-9]*)\.[0-9]+")
#: The integers that an array stores as such: 62 bits; and the doubles of which it writes all digits, if they are whole.
_MOST = 1 << 61
_WHOLE = 1 << 62


def arset(loader: Loader, args: list[bytes]) -> None:
    """ARSET key index value [value …]."""
    start = _index(args[2])
    if start + len(args) - 3 > _LAST:
        raise CommandError("ERR array index overflow")
    _set(loader, args[1], zip(range(start, _LAST), args[3:]))


def armset(loader: Loader, args: list[bytes]) -> None:
    """ARMSET key index value [index value …]."""
    if len(args) % 2:
        raise CommandError("ERR wrong number of arguments for 'armset' command")
    _set(loader, args[1], list(zip(map(_index, args[2::2]), args[3::2])))


def ardel(loader: Loader, args: list[bytes]) -> None:
    """ARDEL key index [index …]."""
    indexes = [_index(arg) for arg in args[2:]]
    value = loader.find(args[1], Array)
    if value is not None:
        value.remove(indexes)
        loader.wrote(args[1], value)


def ardelrange(loader: Loader, args: list[bytes]) -> None:
    """ARDELRANGE key start end [start end …]; the ends of a range are in any order."""
    if len(args) % 2:
        raise CommandError("ERR wrong number of arguments for 'ardelrange' command")
    ends = [_index(arg) for arg in args[2:]]
    value = loader.find(args[1], Array)
    if value is None:
        return
    for first, second in zip(ends[::2], ends[1::2]):
        low, high = min(first, second), max(first, second)
        if high - low < len(value):
            value.remove(range(low, high + 1))
        else:
            value.remove([index for index in value.elements if low <= index <= high])
    loader.wrote(args[1], value)


def arinsert(loader: Loader, args: list[bytes]) -> None:
    """ARINSERT key value [value …]: at the cursor, which is after the last insert."""
    known = loader.find(args[1], Array)
    start = 0 if known is None else _cursor(known)
    end = start + len(args) - 2
    if end > _LAST:
        raise CommandError("ERR insert index overflow")
    _set(loader, args[1], zip(range(start, end), args[2:]), end - 1)


def arseek(loader: Loader, args: list[bytes]) -> None:
    """ARSEEK key index: set the cursor."""
    index = _index(args[2], _LAST)
    value = loader.find(args[1], Array)
    if value is not None:
        value.insert_index = index - 1 if index else None
        loader.wrote(args[1], value)


def arring(loader: Loader, args: list[bytes]) -> None:
    """ARRING key size value [value …]: insert at the cursor, which returns to 0 at the size."""
    size = integer(args[2], "ERR invalid size")
    if size <= 0:
        raise CommandError("ERR size must be positive")
    value = loader.need(args[1], Array)
    _resize(value, size)
    for text in args[3:]:
        index = _cursor(value) % size
        value.set(index, element(text))
        value.insert_index = index
    loader.wrote(args[1], value)


def _resize(value: Array, size: int) -> None:
    """Lay a ring out from 0 if its size changes: the last elements that were inserted, back to the first gap."""
    length = value.size
    last = length - 1 if value.insert_index is None else value.insert_index
    if length == size or (length < size and last >= length - 1):
        return
    found: list[bytes | int | float] = []
    at = last % length
    while len(found) < min(size, length) and at in value.elements:
        found.append(value.elements[at])
        at = (at or length) - 1
    value.replace(dict(enumerate(reversed(found))))
    value.insert_index = len(found) - 1 if found else None


def _cursor(value: Array) -> int:
    """Return the index of the next insert."""
    return 0 if value.insert_index is None else value.insert_index + 1


def _set(loader: Loader, key: bytes, pairs: Iterable[tuple[int, bytes]], insert_index: int | None = None) -> None:
    value = loader.need(key, Array)
    for index, text in pairs:
        value.set(index, element(text))
    if insert_index is not None:
        value.insert_index = insert_index
    loader.wrote(key, value)


def _index(text: bytes, last: int = _LAST - 1) -> int:
    """Return an index as servers read it: with blanks and a sign before it, if it is not in the usual form."""
    match = _INDEX.fullmatch(text)
    if match and not (match[1] == b"-" and _INTEGER.fullmatch(text)):
        number = int(match[2])
        if number <= _LAST:
            number = -number & _LAST if match[1] == b"-" else number
            if number <= last:
                return number
    raise CommandError("ERR invalid array index")


def element(text: bytes) -> bytes | int | float:
    """Return a string as an array stores it: as a number, if that gives the same text again, and fits."""
    if _INTEGER.fullmatch(text):
        number = int(text)
        return number if -_MOST <= number < _MOST else text
    if _DECIMAL.fullmatch(text):
        real = float(text)
        # The two lowest bits of an element are its tag.
        if not struct.pack("<d", real)[0] & 3 and _decimal(real) == text:
            return real
    return text


def _decimal(real: float) -> bytes:
    """Return the text of a double, in the shortest form, but b"" in place of one with an exponent."""
    if real.is_integer() and abs(real) <= _WHOLE:
        return b"-0.0" if not real and str(real)[0] == "-" else b"%d.0" % real
    sign, digits, power = _shortest(real)
    high = abs(power + len(digits) - 1)
    if power >= 0 and high < len(digits) + 7:
        text = digits + b"0" * power + b".0"
    elif power < 0 and (power > -7 or high < 4):
        whole = len(digits) + power
        text = digits[:whole] + b"." + digits[whole:] if whole > 0 else b"0." + b"0" * -whole + digits
    else:
        return b""
    return sign + text


def _shortest(real: float) -> tuple[bytes, bytes, int]:
    """Return sign, digits without zeros at their end, and the power of ten by which they are multiplied."""
    mantissa, _, power = f"{real!r}".lstrip("-").partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = (whole + fraction).rstrip("0")
    shift = int(power or 0) - len(fraction) + len(whole + fraction) - len(digits)
    return b"-" if real < 0 else b"", digits.lstrip("0").encode(), shift


COMMANDS = {
    b"arset": arset,
    b"armset": armset,
    b"ardel": ardel,
    b"ardelrange": ardelrange,
    b"arinsert": arinsert,
    b"arseek": arseek,
    b"arring": arring,
}
