"""Numbers as the long double of a server's CPU (x86-64): 64 bits of mantissa. INCRBYFLOAT and its relatives add them.

Source: `string2ld`, `ld2string` of the BSD-licensed versions.
"""

from __future__ import annotations

import re
from fractions import Fraction

from rdbkit.keyspace.arguments import NOT_A_FLOAT
from rdbkit.keyspace.errors import CommandError

_DECIMAL = re.compile(rb"([+-]?)([0-9]*)\.?([0-9]*)(?:[eE]([+-]?[0-9]{1,4}))?")
_HEX = re.compile(rb"([+-]?)0[xX]([0-9a-fA-F]*)\.?([0-9a-fA-F]*)(?:[pP]([+-]?[0-9]{1,5}))?")
_INFINITE = re.compile(rb"[+-]?inf(?:inity)?", re.IGNORECASE)
_BITS = 64
_DECIMALS = 10**17

NOT_FINITE = "ERR increment would produce NaN or Infinity"


def rounded(number: Fraction) -> Fraction:
    """Return the nearest number with a mantissa of 64 bits."""
    if not number:
        return number
    power = abs(number.numerator).bit_length() - number.denominator.bit_length() - _BITS
    unit = Fraction(2) ** power
    if abs(number) / unit >= 1 << _BITS:
        unit *= 2
    return round(number / unit) * unit


def long_double(text: bytes | bytearray, error: str = NOT_A_FLOAT) -> Fraction | None:
    """Return a number as strtold reads it, None if it is infinite. Raises CommandError."""
    if len(text) < 1 << 10:
        for pattern, base in ((_DECIMAL, 10), (_HEX, 16)):
            match = pattern.fullmatch(text)
            if match is not None and (match[2] or match[3]):
                number = Fraction(int(match[2] + match[3], base), base ** len(match[3]))
                number *= Fraction(2 if base == 16 else 10) ** int(match[4] or 0)
                return rounded(-number if match[1] == b"-" else number)
        if _INFINITE.fullmatch(text):
            return None
    raise CommandError(error)


def add(one: Fraction | None, other: Fraction | None, error: str = NOT_FINITE) -> Fraction:
    """Return the sum. Raises CommandError if it is infinite."""
    if one is None or other is None:
        raise CommandError(error)
    return rounded(one + other)


def added(first: bytes, second: bytes, error: str, result_error: str) -> bytes:
    """Return the text of a sum. Raises CommandError: for a text that is no number, or a sum that is not finite."""
    return text_of(add(long_double(first, error), long_double(second, error), result_error))


def text_of(number: Fraction) -> bytes:
    """Return a number with at most 17 decimals, without zeros at the end."""
    scaled = round(number * _DECIMALS)
    whole, rest = divmod(abs(scaled), _DECIMALS)
    text = b"%d.%017d" % (whole, rest)
    return (b"-" if scaled < 0 else b"") + text.rstrip(b"0").rstrip(b".")
