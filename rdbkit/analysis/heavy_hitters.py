"""Sums under names in bounded memory: exact while all names fit, then the heavy ones with a bound of error.

    names ≤ capacity    a plain table: every sum is exact
    more                the lighter half of the table is thrown out, and the names in it forgotten

Each name carries the error that it entered with. Nobody knows what a forgotten name had, but it was at most what the
heaviest forgotten one had: that is `absent`, per column, and the error of every name that comes (again) from then on.
So for each name and column the truth lies in [sum, sum + error], and that of a name not in the table in [0, absent].
A name that came early and stayed is exact for ever. This is the Space-Saving / Lossy Counting family of summaries
(Metwally, Agrawal, El Abbadi 2005; Manku, Motwani 2002), which can be merged: where a table lacks a name, its `absent`
is added to the error.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from rdbkit.analysis.rows import label_bytes, label_text, numbers

#: Columns, then a bit set, then the error that the name entered with (one tuple shared by all that came together).
_Entry = list[Any]


class Hitter(NamedTuple):
    """A name: its sums, the bits that its keys set, and how much each sum may be too small."""

    name: bytes
    sums: tuple[int, ...]
    bits: int
    error: tuple[int, ...]


class Hitters:
    """Sums of `columns` non-negative numbers under names, for at most `capacity` names.

    `weigh` tells of a list of sums which names are kept: the heavier ones.
    """

    def __init__(self, capacity: int, columns: int, weigh: Callable[[Sequence[int]], int]) -> None:
        self.capacity = capacity
        self.columns = columns
        self.absent = (0,) * columns
        self._weigh = weigh
        self._table: dict[bytes, _Entry] = {}

    def __len__(self) -> int:
        return len(self._table)

    @property
    def is_exact(self) -> bool:
        """Return whether nothing was ever forgotten."""
        return not any(self.absent)

    def add(self, found: Mapping[bytes, list[int]], bits: Mapping[bytes, int]) -> None:
        """Add sums under names, and set bits; takes the lists over."""
        table = self._table
        for name, sums in found.items():
            entry = table.get(name)
            if entry is None:
                table[name] = [*sums, bits.get(name, 0), self.absent]
            else:
                for at, value in enumerate(sums):
                    entry[at] += value
                entry[-2] |= bits.get(name, 0)
        if len(table) > self.capacity:
            self._forget()

    def merge(self, other: Hitters) -> None:
        """Add another summary of the same columns; the smaller capacity counts."""
        self._join({hitter.name: hitter for hitter in other.hitters()}, other.absent)
        self.capacity = min(self.capacity, other.capacity)
        if len(self._table) > self.capacity:
            self._forget()

    def hitters(self) -> Iterator[Hitter]:
        """Yield all names in the table, in no order."""
        for name, entry in self._table.items():
            yield Hitter(name, tuple(entry[:-2]), entry[-2], entry[-1])

    def heaviest(self, limit: int | None = None) -> list[Hitter]:
        """Return the names with the greatest weight, of equals the smaller name first."""
        ranked = sorted(self._table.items(), key=self._rank)[:limit]
        return [Hitter(name, tuple(entry[:-2]), entry[-2], entry[-1]) for name, entry in ranked]

    def dump(self) -> Iterator[list[Any]]:
        """Yield serialised rows: the bound for absent names, then every name."""
        yield ["", self.capacity, list(self.absent)]
        for name, sums, bits, error in sorted(self.hitters()):
            yield [label_text(name), list(sums), bits, list(error) if any(error) else []]

    def load(self, rows: Sequence[list[Any]]) -> None:
        """Merge rows of `dump`, the bound first. Raises ValueError, TypeError or IndexError for anything else."""
        _, capacity, absent = rows[0]
        bound = tuple(numbers(absent, self.columns))
        self.capacity = min(self.capacity, *numbers([capacity], 1))
        found = {}
        for text, sums, bits, error in rows[1:]:
            name = label_bytes(text)
            errors = tuple(numbers(error, self.columns)) if error else (0,) * self.columns
            found[name] = Hitter(name, tuple(numbers(sums, self.columns)), numbers([bits], 1)[0], errors)
        self._join(found, bound)
        if len(self._table) > self.capacity:
            self._forget()

    def _join(self, theirs: Mapping[bytes, Hitter], absent: tuple[int, ...]) -> None:
        table = self._table
        if any(absent):
            for name, entry in table.items():
                if name not in theirs:
                    entry[-1] = _sum(entry[-1], absent)
        for name, sums, bits, error in theirs.values():
            entry = table.get(name, [])
            if entry:
                entry[:] = [*_sum(entry[:-2], sums), entry[-2] | bits, _sum(entry[-1], error)]
            else:
                table[name] = [*sums, bits, _sum(self.absent, error)]
        self.absent = _sum(self.absent, absent)

    def _rank(self, item: tuple[bytes, _Entry]) -> tuple[int, bytes]:
        return -self._weigh(item[1]), item[0]

    def _forget(self) -> None:
        """Keep what is heavier than the median: at most half, and of names that are all alike none."""
        weights = list(map(self._weigh, self._table.values()))
        median = sorted(weights, reverse=True)[self.capacity // 2]
        kept = {}
        gone: dict[tuple[int, ...], list[_Entry]] = {}
        for weight, (name, entry) in zip(weights, self._table.items()):
            if weight > median:
                kept[name] = entry
            else:
                gone.setdefault(entry[-1], []).append(entry)
        self._table = kept
        for error, entries in gone.items():
            most = [max(column) for column in list(zip(*entries))[: self.columns]]
            self.absent = tuple(map(max, self.absent, _sum(most, error)))


def _sum(left: Sequence[int], right: Sequence[int]) -> tuple[int, ...]:
    return tuple(map(int.__add__, left, right))
