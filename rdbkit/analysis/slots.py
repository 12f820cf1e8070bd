"""Sums by hash tag: keys that a cluster stores in one slot, and so on one node, because of the {tag} in their name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from rdbkit.analysis.heavy_hitters import Hitters
from rdbkit.analysis.rows import KEYS, MEMORY, SUMS, UNKNOWN, UNKNOWN_SIZE, Batch, weigh
from rdbkit.format.slots import slot_of, tag_of

_CAPACITY = 4096
#: Maximum bytes of a tag; keys with a longer one are ignored.
_LONGEST = 256


class Tag(NamedTuple):
    """A hash tag: its slot, and sums over its keys; each may be too small by its error (0: exact).

    `weight` is as in totals.Total.
    """

    tag: bytes
    slot: int
    keys: int
    memory: int | None
    weight: int
    keys_error: int
    weight_error: int


class Tags:
    """The fold: sums by hash tag."""

    name = "tags"

    def __init__(self) -> None:
        self._hitters = Hitters(_CAPACITY, SUMS, weigh)

    def feed(self, batch: Batch) -> None:
        """Add keys."""
        if b"{" not in b"".join(batch.key):
            return
        tags = [tag if tag and len(tag) <= _LONGEST else b"" for tag in map(tag_of, batch.key)]
        found = batch.sums(tags)
        found.pop(b"", None)
        self._hitters.add(found, {})

    def merge(self, other: Tags) -> None:
        """Add another fold."""
        self._hitters.merge(other._hitters)

    def result(self, limit: int | None = 10) -> list[Tag]:
        """Return the heaviest tags."""
        return [
            Tag(
                name,
                slot_of(name),
                sums[KEYS],
                sums[MEMORY] if sums[KEYS] > sums[UNKNOWN] else None,
                weigh(sums),
                error[KEYS],
                error[MEMORY] + error[UNKNOWN_SIZE],
            )
            for name, sums, _, error in self._hitters.heaviest(limit)
        ]

    def dump(self) -> Iterator[list[Any]]:
        """Yield serialised rows."""
        yield from self._hitters.dump()

    def load_all(self, rows: Sequence[list[Any]]) -> None:
        """Add all rows of a `dump`. Raises ValueError, TypeError or IndexError for anything else."""
        self._hitters.load(rows)
