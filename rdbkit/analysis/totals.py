"""Totals: keys, elements, memory and size by database, type and encoding."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import compress
from math import isqrt
from typing import Any

from rdbkit.analysis.rows import KEYS, MEMORY, SIZE, SUMS, UNKNOWN, UNKNOWN_SIZE, Batch, merged, numbers

ELEMENTS, VARIANCE, EXPIRING = SUMS, SUMS + 1, SUMS + 2
_COLUMNS = SUMS + 3

Cell = tuple[int, str, str | None]


@dataclass(frozen=True, slots=True)
class Total:
    """Sums over keys: `memory` of keys with known memory, None if there are none; `unknown` counts the others.

    `memory_sd` is the standard deviation of `memory` in bytes, rounded up; 0: exact. `size` is their size in the file,
    `unknown_size` that of keys of unknown memory. `elements` excludes values without a count (modules).
    """

    keys: int = 0
    elements: int = 0
    memory: int | None = None
    memory_sd: int | None = None
    size: int = 0
    unknown: int = 0
    unknown_size: int = 0
    expiring: int = 0

    @property
    def weight(self) -> int:
        """The weight for rankings: known memory, plus the size of keys of unknown memory."""
        return (self.memory or 0) + self.unknown_size

    @property
    def no_expiry(self) -> int:
        """The number of keys without expiry."""
        return self.keys - self.expiring


class Totals:
    """The fold: one list of sums per database, type and encoding."""

    name = "totals"

    def __init__(self) -> None:
        self._cells: dict[Cell, list[int]] = {}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Totals) and self._cells == other._cells

    __hash__ = None  # type: ignore[assignment]  # it grows

    def feed(self, batch: Batch) -> None:
        """Add keys."""
        labels = list(zip(batch.db, batch.type, batch.encoding))
        found = batch.sums(labels)
        for sums in found.values():
            sums += (sums[KEYS], 0, 0)
        if batch.type.count("string") < batch.count:
            # A string counts as one element, as assumed above.
            for label, elements in zip(labels, batch.elements):
                if elements != 1:
                    found[label][ELEMENTS] += (elements or 0) - 1
        if any(batch.memory_sd):
            for label, deviation in zip(labels, batch.memory_sd):
                if deviation:
                    found[label][VARIANCE] += deviation * deviation
        if batch.expires_at.count(None) < batch.count:
            for label in compress(labels, [expiry is not None for expiry in batch.expires_at]):
                found[label][EXPIRING] += 1
        merged(self._cells, found)

    def merge(self, other: Totals) -> None:
        """Add another fold."""
        merged(self._cells, other._cells)

    def total(self) -> Total:
        """Return the sums over all keys."""
        return self._rolled(lambda cell: ()).get((), Total())

    def databases(self) -> dict[int, Total]:
        """Return the sums by database, ascending."""
        return dict(sorted(self._rolled(lambda cell: cell[0]).items()))

    def types(self) -> dict[str, Total]:
        """Return the sums by type, the heaviest first."""
        return _ranked(self._rolled(lambda cell: cell[1]))

    def encodings(self) -> dict[tuple[str, str | None], Total]:
        """Return the sums by type and encoding, the heaviest first."""
        return _ranked(self._rolled(lambda cell: cell[1:]))

    result = total

    def dump(self) -> Iterator[list[Any]]:
        """Yield serialised rows."""
        for cell, sums in sorted(self._cells.items(), key=lambda item: (item[0][0], item[0][1], item[0][2] or "")):
            yield [*cell, sums]

    def load(self, row: list[Any]) -> None:
        """Add a row of `dump`. Raises ValueError for anything else."""
        db, kind, encoding, sums = row
        if not isinstance(kind, str) or not isinstance(encoding, str | None):
            raise ValueError("not a type and an encoding")
        merged(self._cells, {(numbers([db], 1)[0], kind, encoding): numbers(sums, _COLUMNS)})

    def _rolled(self, label: Callable[[Cell], Any]) -> dict[Any, Total]:
        found: dict[Any, list[int]] = {}
        for cell, sums in self._cells.items():
            merged(found, {label(cell): sums})
        return {name: _total(sums) for name, sums in found.items()}


def _total(sums: list[int]) -> Total:
    known = sums[KEYS] > sums[UNKNOWN]
    deviation = isqrt(sums[VARIANCE] - 1) + 1 if sums[VARIANCE] else 0
    return Total(
        sums[KEYS],
        sums[ELEMENTS],
        sums[MEMORY] if known else None,
        deviation if known else None,
        sums[SIZE],
        sums[UNKNOWN],
        sums[UNKNOWN_SIZE],
        sums[EXPIRING],
    )


def _ranked(found: dict[Any, Total]) -> dict[Any, Total]:
    # An encoding without a name on the target (None) comes before others of the same weight.
    return dict(sorted(found.items(), key=lambda item: (-item[1].weight, str(item[0]))))
