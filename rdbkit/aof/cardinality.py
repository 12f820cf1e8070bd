"""How many different names are there? Exact while there are few, then an estimate that states its error.

Each name leaves a 64-bit name_hash. The LEAST smallest of all fingerprints tell the number: if they reach up to the
share x of the scale, there are about LEAST / x (a "k minimum values" sketch). Which they are depends neither on the
order of the names nor on how they were dealt out, so parts can be merged, and give what the whole would.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from hashlib import blake2b
from math import sqrt
from struct import Struct
from typing import NamedTuple

#: Up to so many names the count is exact; about 20 MB.
EXACT = 1 << 18
#: Fingerprints of the sketch; its relative standard error is 1 / sqrt(LEAST).
LEAST = 1 << 16
_SCALE = 1 << 64
_NUMBER: Callable[[bytes], tuple[int]] = Struct("<Q").unpack


class Count(NamedTuple):
    """A number of names; `error` is its relative standard error, 0.0 where it is exact."""

    number: int
    error: float


def name_hash(name: bytes, db: int) -> int:
    """Return 64 bits of a key's name in its database, the same in every process."""
    return _NUMBER(blake2b(b"%d:%b" % (db, name), digest_size=8).digest())[0]


class CardinalityCounter:
    """Counts different names in bounded memory."""

    def __init__(self) -> None:
        self._found: set[int] = set()
        self._below = _SCALE

    def add(self, names: Iterable[bytes], db: int = 0) -> None:
        """Take names; the same name in another database is another name."""
        below = self._below
        self._found.update([mark for mark in [name_hash(name, db) for name in names] if mark < below])
        if len(self._found) > EXACT:
            self._shrink()

    def merge(self, other: CardinalityCounter) -> None:
        """Take what another one has counted."""
        self._below = min(self._below, other._below)
        self._found |= other._found
        if self._below < _SCALE or len(self._found) > EXACT:
            self._shrink()

    def _shrink(self) -> None:
        kept = sorted(self._found)[:LEAST]
        self._found = set(kept)
        if len(kept) == LEAST:
            # The next one must be smaller than the greatest of these.
            self._below = min(self._below, kept[-1] + 1)

    def result(self) -> Count:
        """Return the number of different names so far."""
        if self._below == _SCALE:
            return Count(len(self._found), 0.0)
        kept = sorted(self._found)[:LEAST]
        # The greatest of the k least of n marks lies at about k / (n + 1) of the scale.
        return Count(round((LEAST - 1) * _SCALE / (kept[-1] + 1)), 1 / sqrt(LEAST))
