"""Keys just over a `*-max-*` limit, which a higher limit would make compact.

This considers hashes, sets and sorted sets that the target stores as hash table or skiplist. It applies the rule of
rdb.encoding for targets with one limit doubled; the first limit that helps is reported.

If the key's memory is known, the saving is estimated: its memory minus an upper bound for the compact form. The cost in
time (a compact value is searched linearly) is not considered.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, NamedTuple

from rdbkit.analysis.rows import Batch, numbers
from rdbkit.format import spec
from rdbkit.format.shape import BLOB, ELEMENTS, HIGH, LENGTH, LONGEST, LOW, TEXT
from rdbkit.rdb import walker
from rdbkit.releases import encodings
from rdbkit.releases.settings import Settings
from rdbkit.releases.target import Target

_LOOSE = frozenset(("hashtable", "skiplist"))
#: By type: its settings, and for each the index of the limited value in the shape.
_SETTINGS: dict[str, tuple[tuple[str, int], ...]] = {
    "hash": (("hash_max_listpack_entries", ELEMENTS), ("hash_max_listpack_value", LONGEST)),
    "zset": (("zset_max_listpack_entries", ELEMENTS), ("zset_max_listpack_value", LONGEST)),
    "set": (
        ("set_max_intset_entries", ELEMENTS),
        ("set_max_listpack_entries", ELEMENTS),
        ("set_max_listpack_value", LONGEST),
    ),
}
_NAMES = tuple(dict.fromkeys(name for rows in _SETTINGS.values() for name, _ in rows))
_SPELLINGS = {text.replace("_", "-") for name in _NAMES for text in (name, name.replace("listpack", "ziplist"))}
#: Listpack items per element, and the maximum bytes of a score in it.
_ITEMS = {"hash": 2, "zset": 2, "set": 1}
_SCORE = 24
#: Bytes around a key and its compact value: dict entry, object, string header, head of the listpack.
_AROUND = 64
KEYS, MEMORY, SAVED, UNKNOWN, NEEDED = range(5)


class Raise(NamedTuple):
    """The effect of raising a setting from `limit` to `needed`: number of keys that would become compact.

    `memory` is their current memory, `saved` the estimated reduction, in bytes; both exclude keys of `unknown` memory.
    Targets with different limits have separate rows.
    """

    setting: str
    limit: int
    needed: int
    keys: int
    memory: int | None
    saved: int | None
    unknown: int


class LimitAdvice:
    """The fold: sums by setting and its current limit."""

    name = "raising"

    def __init__(self) -> None:
        self._sums: dict[tuple[str, int], list[int]] = {}
        self._rules: dict[Target, list[tuple[str, str, int, int, encodings.Encoding]]] = {}

    def feed(self, batch: Batch, target: Target) -> None:
        """Add keys, with the walker's tuples, of a file for this target."""
        if _LOOSE.isdisjoint(batch.encoding):
            return
        rules = self._rules_of(target)
        for at, name in enumerate(batch.encoding):
            if name in _LOOSE and batch.type[at] in _SETTINGS:
                self._key(batch, at, rules)

    def merge(self, other: LimitAdvice) -> None:
        """Add another fold."""
        for label, sums in other._sums.items():
            self._add(label, sums)

    def result(self) -> list[Raise]:
        """Return the settings, the largest saving first."""
        found = [
            Raise(
                setting,
                limit,
                sums[NEEDED],
                sums[KEYS],
                sums[MEMORY] if sums[KEYS] > sums[UNKNOWN] else None,
                sums[SAVED] if sums[KEYS] > sums[UNKNOWN] else None,
                sums[UNKNOWN],
            )
            for (setting, limit), sums in self._sums.items()
        ]
        return sorted(found, key=lambda row: (-(row.saved or 0), -row.keys, row.setting, row.limit))

    def dump(self) -> Iterator[list[Any]]:
        """Yield serialised rows."""
        yield from ([*label, sums] for label, sums in sorted(self._sums.items()))

    def load(self, row: list[Any]) -> None:
        """Add a row of `dump`. Raises ValueError for anything else."""
        setting, limit, sums = row
        if setting not in _SPELLINGS:
            raise ValueError("no such setting")
        self._add((setting, numbers([limit], 1)[0]), numbers(sums, 5))

    def _rules_of(self, target: Target) -> list[tuple[str, str, int, int, encodings.Encoding]]:
        """Return, for each setting of the target: type, name, limit, index of the limited value, the doubled rule."""
        if target not in self._rules:
            self._rules[target] = [
                (
                    kind,
                    _spelt(name, target),
                    getattr(target.settings, name),
                    what,
                    encodings.rules(_doubled(target, name)),
                )
                for kind, rows in _SETTINGS.items()
                for name, what in rows
            ]
        return self._rules[target]

    def _key(self, batch: Batch, at: int, rules: list[tuple[str, str, int, int, encodings.Encoding]]) -> None:
        entry = batch.entries[at]
        shape: Any = entry[walker.SHAPE_OF]
        kind, key, has_ttl = batch.type[at], batch.key[at], batch.expires_at[at] is not None
        for of, setting, limit, what, rule in rules:
            if of != kind or not limit < shape[what] <= 2 * limit:
                continue
            if rule(entry[walker.TYPE], shape, len(key), has_ttl) not in _LOOSE:
                memory = batch.memory[at]
                saved = 0 if memory is None else max(0, memory - _compact(entry[walker.TYPE], kind, len(key), shape))
                self._add((setting, limit), [1, memory or 0, saved, int(memory is None), shape[what]])
                return

    def _add(self, label: tuple[str, int], sums: list[int]) -> None:
        mine = self._sums.setdefault(label, [0] * 5)
        for at in range(NEEDED):
            mine[at] += sums[at]
        mine[NEEDED] = max(mine[NEEDED], sums[NEEDED])


def _spelt(name: str, target: Target) -> str:
    """Return a setting's name as in the target's documentation."""
    return (name if target.has("listpack") else name.replace("listpack", "ziplist")).replace("_", "-")


def _doubled(target: Target, name: str) -> Target:
    settings: Settings = target.settings
    changes: dict[str, Any] = {name: 2 * getattr(settings, name)}
    return replace(target, settings=replace(settings, **changes))


def _compact(type_id: int, kind: str, key: int, shape: Any) -> int:
    """Return an upper bound for the bytes of a compact key; `key` is the length of its name."""
    if type_id == spec.SET and shape[TEXT] < 0:
        width = next(width for width in (2, 4, 8) if -1 << 8 * width - 1 <= min(shape[LOW], ~shape[HIGH]))
        return _AROUND + key + (8 + width * int(shape[ELEMENTS])) * 5 // 4
    if shape[BLOB]:
        return _AROUND + key + int(shape[BLOB]) * 5 // 4
    head = 2 if shape[LONGEST] < 64 else 4
    bytes_of_scores = (_SCORE - head) * shape[ELEMENTS] if kind == "zset" else 0
    # The size classes of an allocator differ by up to a quarter.
    return _AROUND + key + int(shape[LENGTH] + head * _ITEMS[kind] * shape[ELEMENTS] + bytes_of_scores) * 5 // 4
