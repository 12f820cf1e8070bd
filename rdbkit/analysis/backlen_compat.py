"""Keys that some servers do not load, because of the width of a back-length in a listpack.

An entry of exactly 16383 bytes (a string of 16378; also 2097151 and 268435455) ends in a back-length that older servers
write one byte wider than newer ones. Each generation treats the other's form as damage: Valkey 9.1 does not start with
a file that contains the older form, and older servers crash on, or refuse, the newer one.

Source: measured. Default lists of Redis 7.2.6 and streams of Valkey 8.1.1 with such an element stop Valkey 9.1.2 at
startup; the form written by 9.1.2 crashes Redis 8.6.3 at the first LRANGE.
"""

from __future__ import annotations

from collections.abc import Iterator
from heapq import nsmallest
from typing import Any, NamedTuple

from rdbkit.analysis.rows import Batch, file_name, label_bytes, label_text, numbers
from rdbkit.format.spec import TYPES
from rdbkit.rdb.walker import EXTRA

#: Maximum number of keys named, and bytes of a name.
_NAMED, _KEPT = 3, 4096
OLD, NEW = "old", "new"


class Named(NamedTuple):
    """A named key."""

    db: int
    key: bytes
    file: str
    type: str


class Width(NamedTuple):
    """Keys with back-lengths of one generation ("old" or "new"): their number, and the first ones by name."""

    generation: str
    keys: int
    named: tuple[Named, ...]


class BacklenCompat:
    """The fold; needs a walk with Plan.watches."""

    name = "widths"

    def __init__(self) -> None:
        self._keys = {OLD: 0, NEW: 0}
        self._named: dict[str, list[Named]] = {OLD: [], NEW: []}

    def feed(self, batch: Batch, file: str = "") -> None:
        """Add keys, with the walker's tuples, of a file."""
        for at in [at for at, entry in enumerate(batch.entries) if entry[EXTRA] is not None]:
            extra = batch.entries[at][EXTRA]
            if "widths" in extra:
                named = Named(batch.db[at], batch.key[at][:_KEPT], file, batch.type[at])
                for generation, count in zip((OLD, NEW), extra["widths"]):
                    if count:
                        self._add(generation, 1, [named])

    def merge(self, other: BacklenCompat) -> None:
        """Add another fold."""
        for generation, keys in other._keys.items():
            self._add(generation, keys, other._named[generation])

    def result(self) -> list[Width]:
        """Return the generations that have keys."""
        return [Width(name, keys, tuple(self._named[name])) for name, keys in self._keys.items() if keys]

    def dump(self) -> Iterator[list[Any]]:
        """Yield serialised rows."""
        for width in self.result():
            yield [width.generation, width.keys, *([one.db, label_text(one.key), *one[2:]] for one in width.named)]

    def load(self, row: list[Any]) -> None:
        """Add a row of `dump`. Raises ValueError or TypeError for anything else."""
        generation, keys, *named = row
        if generation not in self._keys or not named:
            raise ValueError("no such generation, or no key of it")
        for *_, kind in named:
            if kind not in TYPES:
                raise ValueError("not a key")
        found = [Named(numbers([db], 1)[0], label_bytes(key), file_name(file), kind) for db, key, file, kind in named]
        self._add(generation, numbers([keys], 1)[0], found)

    def _add(self, generation: str, keys: int, named: list[Named]) -> None:
        self._keys[generation] += keys
        self._named[generation] = nsmallest(_NAMED, self._named[generation] + named)
