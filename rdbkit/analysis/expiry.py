"""Histograms of expiry, idle time and access frequency.

Expiries are relative to the `now` of their own file. A file contains idle times or frequencies only if the server used
an LRU or LFU eviction policy.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from rdbkit.analysis.rows import KEYS, MEMORY, SIZE, SUMS, UNKNOWN, UNKNOWN_SIZE, Batch, merged, numbers

_HOUR, _DAY = 3_600_000, 86_400_000
#: Upper bounds (exclusive) of expiry, in ms from now. A server deletes a key at its expiry time.
EXPIRY_BUCKETS = ("expired", "<1h", "<1d", "<7d", "<30d", "later")
_EXPIRY_BOUNDS = (1, _HOUR, _DAY, 7 * _DAY, 30 * _DAY)
#: Seconds since the last access.
IDLE_BUCKETS = ("<1m", "<1h", "<1d", "<7d", "<30d", "longer")
_IDLE_BOUNDS = (60, 3600, 86_400, 7 * 86_400, 30 * 86_400)
#: LFU counters, which grow with the logarithm of the number of accesses; a new key starts at 5.
FREQ_BUCKETS = ("0", "1-4", "5-9", "10-49", "50-99", "100-255")
_FREQ_BOUNDS = (1, 5, 10, 50, 100)


@dataclass(frozen=True, slots=True)
class Bucket:
    """Sums over the keys of one bucket, as in totals.Total."""

    name: str
    keys: int
    memory: int | None
    size: int
    unknown: int
    unknown_size: int

    @property
    def weight(self) -> int:
        """As in totals.Total."""
        return (self.memory or 0) + self.unknown_size


class Histogram:
    """A fold of sums by bucket; `none` is the bucket of keys without a value, "" if they are not counted."""

    def __init__(self, name: str, buckets: Sequence[str], bounds: Sequence[int], none: str = "") -> None:
        self.name = name
        self._names = (*buckets, none) if none else tuple(buckets)
        self._bounds = bounds
        self._none = bool(none)
        self._sums: dict[int, list[int]] = {}

    def feed(self, batch: Batch, values: Sequence[int | None], now: int = 0) -> None:
        """Add keys with a value of each, from which `now` is subtracted."""
        missing = values.count(None) == batch.count
        if missing and not self._none:
            return
        bounds = [now + bound for bound in self._bounds]
        none = len(bounds) + 1
        if missing:
            found = {none: batch.total()}
        else:
            found = batch.sums([none if value is None else bisect_right(bounds, value) for value in values])
        if not self._none:
            found.pop(none, None)
        merged(self._sums, found)

    def merge(self, other: Histogram) -> None:
        """Add another fold."""
        merged(self._sums, other._sums)

    def result(self) -> list[Bucket]:
        """Return all buckets in ascending order; none if no key had a value."""
        if not self._sums:
            return []
        empty = [0] * SUMS
        return [_bucket(name, self._sums.get(at, empty)) for at, name in enumerate(self._names)]

    def dump(self) -> Iterator[list[Any]]:
        """Yield serialised rows."""
        yield from ([at, sums] for at, sums in sorted(self._sums.items()))

    def load(self, row: list[Any]) -> None:
        """Add a row of `dump`. Raises ValueError for anything else."""
        at, sums = row
        if numbers([at], 1)[0] >= len(self._names):
            raise ValueError("no such bucket")
        merged(self._sums, {at: numbers(sums, SUMS)})


def expiry() -> Histogram:
    """Return the fold over expiries; its last bucket is "none"."""
    return Histogram("expiry", EXPIRY_BUCKETS, _EXPIRY_BOUNDS, "none")


def idle() -> Histogram:
    """Return the fold over the seconds since the last access."""
    return Histogram("idle", IDLE_BUCKETS, _IDLE_BOUNDS)


def freq() -> Histogram:
    """Return the fold over LFU counters."""
    return Histogram("freq", FREQ_BUCKETS, _FREQ_BOUNDS)


def _bucket(name: str, sums: Sequence[int]) -> Bucket:
    known = sums[KEYS] > sums[UNKNOWN] or not sums[KEYS]
    return Bucket(name, sums[KEYS], sums[MEMORY] if known else None, sums[SIZE], sums[UNKNOWN], sums[UNKNOWN_SIZE])
