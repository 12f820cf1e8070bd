"""Sums as INCRBYFLOAT and HINCRBYFLOAT compute them: in 80-bit floating point, written with at most 17 decimals."""

from __future__ import annotations

import re
from fractions import Fraction

from rdbkit.keyspace.arguments import double
from rdbkit.keyspace.loader import CommandError

_DECIMAL = re.compile(rb"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?")
_DECIMALS = 17
_MANTISSA = 64


def added(first: bytes, second: bytes, error: str, result_error: str) -> bytes:
    """Return the text of a sum. Raises CommandError: for a text that is no number, or a sum that is not finite."""
    total = rounded(_number(first, error, result_error) + _number(second, error, result_error))
    sign, scaled = ("-" if total < 0 else ""), round(abs(total) * 10**_DECIMALS)
    whole, decimals = divmod(scaled, 10**_DECIMALS)
    text = f"{sign}{whole}.{decimals:0{_DECIMALS}}".rstrip("0").rstrip(".")
    return ("0" if text == "-0" else text).encode()


def rounded(number: Fraction) -> Fraction:
    """Return the nearest number with a mantissa of 64 bits."""
    if not number:
        return number
    power = abs(number.numerator).bit_length() - number.denominator.bit_length() - _MANTISSA
    unit = Fraction(2) ** power
    if abs(number) / unit >= 1 << _MANTISSA:
        unit *= 2
    return round(number / unit) * unit


def _number(text: bytes, error: str, result_error: str) -> Fraction:
    if _DECIMAL.fullmatch(text):
        return rounded(Fraction(text.decode()))
    value = double(text, error)
    if value in (float("inf"), float("-inf")):
        raise CommandError(result_error)
    return Fraction(value)
