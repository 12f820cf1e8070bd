"""Sums by name in bounded memory: exact while all names fit, then approximate for the heaviest names.

    names ≤ capacity    a plain table: every sum is exact
    more                the lighter half of the table is removed, and its names are forgotten

Each name has an error from the time it was added. The sums of a forgotten name are unknown, but at most those of the
heaviest forgotten name: this bound is `absent`, per column, and the initial error of every name added later. So for
each name and column the true sum is in [sum, sum + error], and for a name that is not in the table in [0, absent]. A
name that was added early and never removed is exact. This belongs to the Space-Saving / Lossy Counting family of
summaries (Metwally, Agrawal, El Abbadi 2005; Manku, Motwani 2002), which can be merged: if a table lacks a name, its
`absent` is added to the error.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from rdbkit.analysis.rows import label_bytes, label_text, numbers

#: Columns, then a bit set, then the initial error of the name (one tuple shared by all names added together).
_Entry = list[Any]


class Hitter(NamedTuple):
    """A name: its sums, the bits set by its keys, and by how much each sum may be too small."""

    name: bytes
    sums: tuple[int, ...]
    bits: int
    error: tuple[int, ...]


class Hitters:
    """Sums of `columns` non-negative numbers by name, for at most `capacity` names.

    `weigh` returns the weight of a list of sums; the heavier names are kept.
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
        """Return whether no name was forgotten."""
        return not any(self.absent)

    def add(self, found: Mapping[bytes, list[int]], bits: Mapping[bytes, int]) -> None:
        """Add sums by name, and set bits; takes ownership of the lists."""
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
        """Add another summary of the same columns; the smaller capacity applies."""
        self._join({hitter.name: hitter for hitter in other.hitters()}, other.absent)
        self.capacity = min(self.capacity, other.capacity)
        if len(self._table) > self.capacity:
            self._forget()

    def hitters(self) -> Iterator[Hitter]:
        """Yield all names in the table, unordered."""
        for name, entry in self._table.items():
            yield Hitter(name, tuple(entry[:-2]), entry[-2], entry[-1])

    def heaviest(self, limit: int | None = None) -> list[Hitter]:
        """Return the names with the greatest weight; ties are ordered by name."""
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
        """Keep the names heavier than the median: at most half of them, none if all are equal."""
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
