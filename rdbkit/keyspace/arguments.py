"""How servers read the arguments of commands: numbers, scores, ranges, and options in any order.

All raise CommandError with the server's text for what is not accepted.

Source: `string2ll`, `getDoubleFromObject`, `zslParseRange`, `zslParseLexRange` of the BSD-licensed versions.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import NamedTuple

from rdbkit.keyspace.errors import CommandError

_INTEGER = re.compile(rb"-?[1-9][0-9]{0,18}|0")
_FLOAT = re.compile(rb"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|[+-]?inf(?:inity)?", re.IGNORECASE)
MOST = (1 << 63) - 1
LEAST = -(1 << 63)

NOT_AN_INTEGER = "ERR value is not an integer or out of range"
NOT_A_FLOAT = "ERR value is not a valid float"
SYNTAX = "ERR syntax error"


def integer(text: bytes | bytearray, error: str = NOT_AN_INTEGER) -> int:
    """Return a signed 64-bit number as servers write it: no blank, sign + or leading zero."""
    if _INTEGER.fullmatch(text):
        number = int(text)
        if LEAST <= number <= MOST:
            return number
    raise CommandError(error)


def is_integer(text: bytes | bytearray) -> bool:
    """Return whether a string is a signed 64-bit number in the form in which servers write it."""
    return _INTEGER.fullmatch(text) is not None and LEAST <= int(text) <= MOST


def double(text: bytes | bytearray, error: str = NOT_A_FLOAT) -> float:
    """Return a number as strtod reads it; not a number (NaN) is refused."""
    if _FLOAT.fullmatch(text):
        number = float(text)
        if math.isinf(number) and b"n" not in text.lower():
            raise CommandError(error)
        return number
    if text[text[:1] in (b"+", b"-") :][:2].lower() == b"0x":
        with suppress(ValueError, OverflowError):
            return float.fromhex(bytes(text).decode("ascii"))
    raise CommandError(error)


class Words:
    """The words of a command from a position on, taken one by one; options are compared in upper case."""

    def __init__(self, args: Sequence[bytes], at: int) -> None:
        self.args = args
        self.at = at

    def __bool__(self) -> bool:
        """Return whether words are left."""
        return self.at < len(self.args)

    def __iter__(self) -> Iterator[bytes]:
        """Take all words that are left, in upper case; a loop may take further ones with `next`."""
        while self.at < len(self.args):
            self.at += 1
            yield self.args[self.at - 1].upper()

    def next(self) -> bytes:
        """Take the next word as it is. Raises CommandError if there is none."""
        if self.at >= len(self.args):
            raise CommandError(SYNTAX)
        self.at += 1
        return self.args[self.at - 1]

    def integer(self) -> int:
        """Take the next word as a number."""
        return integer(self.next())

    def rest(self) -> Sequence[bytes]:
        """Take all words that are left, as they are."""
        found = self.args[self.at :]
        self.at = len(self.args)
        return found


class Bound(NamedTuple):
    """One end of a range of scores."""

    score: float
    exclusive: bool


def bound(text: bytes) -> Bound:
    """Return the end of a range of scores: `5`, `(5`, `-inf`."""
    exclusive = text[:1] == b"("
    return Bound(double(text[1:] if exclusive else text, "ERR min or max is not a float"), exclusive)


class LexBound(NamedTuple):
    """One end of a range of members: `infinite` is -1 for `-`, 1 for `+`, else 0."""

    member: bytes
    exclusive: bool
    infinite: int = 0


def lex_bound(text: bytes) -> LexBound:
    """Return the end of a range of members: `[a`, `(a`, `-`, `+`."""
    if text in (b"-", b"+"):
        return LexBound(b"", False, -1 if text == b"-" else 1)
    if text[:1] in (b"[", b"("):
        return LexBound(text[1:], text[:1] == b"(")
    raise CommandError("ERR min or max not valid string range item")


def positions(start: int, stop: int, length: int) -> tuple[int, int]:
    """Return a range of positions, of which negative ones count from the end, as start and end (exclusive)."""
    start = max(start + length, 0) if start < 0 else start
    stop = stop + length if stop < 0 else stop
    return (start, min(stop + 1, length)) if start <= stop and start < length else (0, 0)


def is_finite(number: float) -> bool:
    """Return whether a result may be stored."""
    return not math.isnan(number) and not math.isinf(number)
