"""Count distinct names: exact while there are few, then an estimate with its error.

Each name has a 64-bit name_hash. The number is estimated from the LEAST smallest hashes: if they cover the share x of
the range, there are about LEAST / x names (a "k minimum values" sketch). They do not depend on the order of the names
or on how they were split, so parts can be merged and give the result of the whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from hashlib import blake2b
from math import sqrt
from struct import Struct
from typing import NamedTuple

#: Up to this many names the count is exact; about 20 MB.
EXACT = 1 << 18
#: Size of the sketch; its relative standard error is 1 / sqrt(LEAST).
LEAST = 1 << 16
_SCALE = 1 << 64
_NUMBER: Callable[[bytes], tuple[int]] = Struct("<Q").unpack


class Count(NamedTuple):
    """A number of names; `error` is its relative standard error, 0.0 if exact."""

    number: int
    error: float


def name_hash(name: bytes, db: int) -> int:
    """Return a 64-bit hash of a key in its database, the same in every process."""
    return _NUMBER(blake2b(b"%d:%b" % (db, name), digest_size=8).digest())[0]


class CardinalityCounter:
    """Counts distinct names in bounded memory."""

    def __init__(self) -> None:
        self._found: set[int] = set()
        self._below = _SCALE

    def add(self, names: Iterable[bytes], db: int = 0) -> None:
        """Add names; the same name in another database is a different name."""
        below = self._below
        self._found.update([mark for mark in [name_hash(name, db) for name in names] if mark < below])
        if len(self._found) > EXACT:
            self._shrink()

    def merge(self, other: CardinalityCounter) -> None:
        """Add another counter."""
        self._below = min(self._below, other._below)
        self._found |= other._found
        if self._below < _SCALE or len(self._found) > EXACT:
            self._shrink()

    def _shrink(self) -> None:
        kept = sorted(self._found)[:LEAST]
        self._found = set(kept)
        if len(kept) == LEAST:
            # New hashes must be smaller than the greatest of these.
            self._below = min(self._below, kept[-1] + 1)

    def result(self) -> Count:
        """Return the number of distinct names so far."""
        if self._below == _SCALE:
            return Count(len(self._found), 0.0)
        kept = sorted(self._found)[:LEAST]
        # The k-th smallest of n hashes is at about k / (n + 1) of the range.
        return Count(round((LEAST - 1) * _SCALE / (kept[-1] + 1)), 1 / sqrt(LEAST))
