"""The biggest keys of each type."""

from __future__ import annotations

from collections.abc import Iterator
from heapq import nsmallest
from typing import Any, NamedTuple

from rdbkit.analysis.rows import Batch, file_name, label_bytes, label_text, numbers
from rdbkit.format.spec import TYPES

#: Bytes kept of a key; keys may have any length.
_KEPT = 4096
#: Sort after, and before, any key.
_ANY = (-1, 0, b"")
_NONE = (1 << 80, 0, b"")


class Big(NamedTuple):
    """A big key. `weight` is its memory, or its size in the file if memory is None; sd as in Entry.memory_sd."""

    weight: int
    db: int
    key: bytes
    file: str
    type: str
    encoding: str | None
    elements: int | None
    memory: int | None
    memory_sd: int | None
    size: int


def _rank(big: Big) -> tuple[Any, ...]:
    """Order all that differ: a damaged file may have a key twice, and partial results may be merged in any order."""
    rest = [(item is None, item or 0) for item in (big.elements, big.memory, big.memory_sd)]
    return -big.weight, big.db, big.key, big.file, big.encoding or "", big.size, *rest


class Biggest:
    """The fold: for each type the `limit` biggest keys; ties are ordered by database, then key."""

    name = "biggest"

    def __init__(self, limit: int = 10) -> None:
        self.limit = limit
        self._found: dict[str, list[Big]] = {}
        self._last: dict[str, tuple[int, int, bytes]] = {}
        """By type, the weight, database and key of the last key within `limit`, once there are that many."""

    def feed(self, batch: Batch, file: str = "") -> None:
        """Add keys of a file."""
        last = self._last
        weights = batch.weight
        floor = min(last.get(kind, _ANY)[0] for kind in set(batch.type))
        if max(weights) < floor:
            return
        heavy = [at for at, weight in enumerate(weights) if weight >= floor]
        self._add([self._big(batch, at, file) for at in heavy if self._counts(batch, at)])

    def _counts(self, batch: Batch, at: int) -> bool:
        weight, db, key = self._last.get(batch.type[at], _ANY)
        mine = batch.weight[at]
        return mine > weight or (mine == weight and (batch.db[at], batch.key[at]) <= (db, key))

    def _big(self, batch: Batch, at: int, file: str) -> Big:
        return Big(
            batch.weight[at],
            batch.db[at],
            batch.key[at][:_KEPT],
            file,
            batch.type[at],
            batch.encoding[at],
            batch.elements[at],
            batch.memory[at],
            batch.memory_sd[at],
            batch.size[at],
        )

    def trim(self, limit: int) -> None:
        """Keep no more than `limit` keys of each type."""
        if limit < self.limit:
            self.limit = limit
            self._last.clear()
            self._add([])

    def merge(self, other: Biggest) -> None:
        """Add another fold; the smaller limit applies."""
        self.trim(other.limit)
        self._add([big for found in other._found.values() for big in found])

    def result(self) -> dict[str, list[Big]]:
        """Return the biggest keys by type; types and keys in descending order."""
        ranked = {kind: sorted(found, key=_rank) for kind, found in self._found.items() if found}
        return dict(sorted(ranked.items(), key=lambda item: (_rank(item[1][0]), item[0])))

    def dump(self) -> Iterator[list[Any]]:
        """Yield serialised rows, the limit first."""
        yield [self.limit]
        for found in self.result().values():
            yield from ([*big[:2], label_text(big.key), *big[3:]] for big in found)

    def load(self, row: list[Any]) -> None:
        """Add a row of `dump`. Raises ValueError or TypeError for anything else."""
        if len(row) == 1:
            self.trim(numbers(row, 1)[0])
            return
        weight, db, key, file, kind, encoding, *rest = row
        if kind not in TYPES or not isinstance(encoding, str | None):
            raise ValueError("not a key")
        file_name(file)
        numbers([weight, db, *(0 if number is None else number for number in rest)], 6)
        self._add([Big(weight, db, label_bytes(key), file, kind, encoding, *rest)])

    def _add(self, bigs: list[Big]) -> None:
        for big in bigs:
            self._found.setdefault(big.type, []).append(big)
        for kind, found in self._found.items():
            if len(found) < self.limit or (len(found) == self.limit and kind in self._last):
                continue
            found[:] = nsmallest(self.limit, found, key=_rank)
            self._last[kind] = found[-1][:3] if found else _NONE
