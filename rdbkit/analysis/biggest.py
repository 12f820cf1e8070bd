"""The heaviest keys of each type."""

from __future__ import annotations

from collections.abc import Iterator
from heapq import nsmallest
from typing import Any, NamedTuple

from rdbkit.analysis.rows import Batch, label_bytes, label_text, numbers

#: Bytes of a key that are remembered: keys may be of any length.
_KEPT = 4096


class Big(NamedTuple):
    """A heavy key. `weight` is its memory, or its size in the file where memory is None; sd as in Entry.memory_sd."""

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
    expires_at: int | None


def _rank(big: Big) -> tuple[int, int, bytes, str]:
    return -big.weight, big.db, big.key, big.file


class Biggest:
    """The fold: for each type the `limit` heaviest keys; of equals the lower database, then the smaller key."""

    name = "biggest"

    def __init__(self, limit: int = 10) -> None:
        self.limit = limit
        self._found: dict[str, list[Big]] = {}
        self._least: dict[str, int] = {}
        """By type, the weight below which a key does not count any more."""

    def feed(self, batch: Batch, file: str = "") -> None:
        """Take keys of a file."""
        least = self._least
        floor = min(least.get(kind, -1) for kind in set(batch.type))
        weights = batch.weight
        if max(weights) <= floor:
            # A key that only equals the last one may still come before it by its name.
            if floor not in weights:
                return
        self._add(
            Big(
                weight,
                batch.db[at],
                batch.key[at][:_KEPT],
                file,
                kind,
                batch.encoding[at],
                batch.elements[at],
                batch.memory[at],
                batch.memory_sd[at],
                batch.size[at],
                batch.expires_at[at],
            )
            for at, (weight, kind) in enumerate(zip(weights, batch.type))
            if weight >= least.get(kind, 0)
        )

    def merge(self, other: Biggest) -> None:
        """Add another fold; the smaller limit counts."""
        self.limit = min(self.limit, other.limit)
        self._add(big for found in other._found.values() for big in found)
        self._add(())

    def result(self) -> dict[str, list[Big]]:
        """Return the heaviest keys by type, both the heaviest first."""
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
            self.limit = min(self.limit, *numbers(row, 1))
            self._add(())
            return
        weight, db, key, file, kind, encoding, *rest = row
        if not isinstance(file, str) or not isinstance(kind, str) or not isinstance(encoding, str | None):
            raise ValueError("not a key")
        numbers([weight, db, *(0 if number is None else number for number in rest)], 7)
        self._add([Big(weight, db, label_bytes(key), file, kind, encoding, *rest)])

    def _add(self, bigs: Any) -> None:
        for big in bigs:
            self._found.setdefault(big.type, []).append(big)
        for kind, found in self._found.items():
            if len(found) > self.limit:
                found[:] = nsmallest(self.limit, found, key=_rank)
            if len(found) == self.limit:
                self._least[kind] = min((big.weight for big in found), default=1 << 63)
