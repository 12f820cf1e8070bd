"""Hash tables of values after a replay: their slots depend on the order of the commands, not only on the elements.

A dict (memory/hash_tables.py) has two arrays while it moves from one to the other, a bucket with each access. Which of
both it has at the end is counted here, from the numbers of elements that commands added and removed. Valkey's newer
tables are not counted: their memory is an expectation in any case.

Source: dict.c, t_set.c, t_hash.c and t_zset.c of the BSD-licensed versions; the recorded memory of keys of loaded AOFs.
"""

from __future__ import annotations

from rdbkit.keyspace.values import Hash, Set, Tabled, ZSet
from rdbkit.memory.hash_tables import Dict, slots
from rdbkit.releases.target import Target

LARGE = ("hashtable", "skiplist")
_SMALLEST = 4
#: A table that had this many times as many elements may have become smaller.
_FAR = 4
#: With fewer buckets than this, relative to all, a move to a smaller array has surely not ended; with more it has.
_SURELY_MOVES, _SURELY_ENDED = 0.6, 1.5


class Table(Dict):
    """A dict from which elements are removed, too. `shrinks`: the move is to a smaller array."""

    def __init__(self) -> None:
        super().__init__()
        self.shrinks = False
        self.guessed = False
        """Whether elements were removed, or the numbers of a command's arguments decided on the size."""
        self.place = 0.0
        """How far a move to a smaller array has come, on average."""

    @classmethod
    def loaded(cls, count: int) -> Table:
        """Return the table of a value that came with an RDB: large enough for all elements."""
        table = cls()
        table.size, table.used = slots(count), count
        return table

    def _chance(self) -> float:
        if not self.shrinks:
            return super()._chance()
        if not self.old or self.place >= _SURELY_ENDED * self.old:
            return 0.0
        return 1.0 if self.place < _SURELY_MOVES * self.old else 0.5

    def _moves(self) -> bool:
        return self._chance() >= 0.5

    def add(self, count: int) -> None:
        """Add elements one by one."""
        if self.shrinks and not self._moves():
            self.shrinks, self.old = False, 0
        super().add(count)

    def slots(self) -> tuple[float, float]:
        """Return expectation and variance of all slots.

        How often other commands looked elements up, and where in the array they were, is not counted: a move that may
        have ended, and a size that followed removals, are uncertain.
        """
        mean, variance = super().slots()
        if self.old and (self.place if self.shrinks else self.moved) < 2 * self.old:
            variance = max(variance, self.old**2 / 4)
        if self.guessed:
            variance = max(variance, (max(self.size, self.old) / 2) ** 2)
        return mean, variance

    def touch(self, count: int = 1) -> None:
        """Look elements up: each is a step of a move."""
        if self.old:
            self.moved += count
            if self.shrinks:
                # A step goes on to the next bucket with elements, but not over more than ten without.
                density = max(self.moving, 1) / self.old
                self.place += count * (1 - (1 - density) ** 11) / density

    def remove(self, count: int, fill: int) -> None:
        """Remove elements one by one; the array shrinks when it is filled to less than 1 in `fill`."""
        self.guessed = True
        for _ in range(count):
            self.touch()
            self.used -= 1
            if self.shrinks:
                self.moving = self.used
            if self.size > _SMALLEST and self.used * fill < self.size and not self._moves():
                self.old, self.moved, self.moving = self.size, 0, self.used
                self.shrinks, self.place = True, 0.0
                self.size = slots(self.used)


class Tables:
    """The rules of a target for the tables of its values."""

    def __init__(self, target: Target) -> None:
        self.exist = target.has("memory-usage") and not target.has("bucket-tables")
        settings = target.settings
        self._counts = {
            "set": settings.set_max_listpack_entries,
            "hash": settings.hash_max_listpack_entries,
            "zset": settings.zset_max_listpack_entries,
        }
        self._lengths = {
            "set": settings.set_max_listpack_value,
            "hash": settings.hash_max_listpack_value,
            "zset": settings.zset_max_listpack_value,
        }
        self._integers = settings.set_max_intset_entries
        self._set_listpack = target.has("set-listpack")
        self._hash_looks_first = target.has("hash-sets-after-search")
        self._presized_hash = target.has("presized-hash")
        self._fill = 8 if target.has("shrinks-below-eighth") else 10

    def note(self, value: Tabled, hint: int) -> None:
        """Follow the change of a value by a command with `hint` elements."""
        now = len(value)
        if not self.exist:
            # When a table of buckets becomes smaller is not known: its memory is not, once it has had far more.
            value.shrank = value.shrank or now * _FAR < value.known
            value.known = max(value.known, now)
            return
        if value.encoding in LARGE:
            table: Table | None = value.table
            if table is None:
                value.table = self._converted(value, value.known, now, hint)
            elif now > value.known:
                more = now - value.known
                if not table.old and table.used + more <= table.size:
                    table.used += more
                else:
                    self._add(table, value.type, more)
            elif now < value.known:
                table.remove(value.known - now, self._fill)
            else:
                table.touch()
        value.known = now

    def _converted(self, value: Tabled, before: int, now: int, hint: int) -> Table:
        """Return the table of a value that was compact, or new, before a command."""
        table = Table()
        kind, newer = value.type, self._set_listpack
        if newer and hint > self._counts[kind]:
            # The number of arguments decides, before any is added.
            table.expand(hint)
            table.guessed = hint > now
            self._add(table, kind, now)
            return table
        if kind == "set" and not newer:
            integers = min(now, self._integers + 1) if self._are_integers(value) else before
            if integers:
                table.expand(integers)
            table.add(now)
            return table
        limit = self._integers if kind == "set" and self._are_integers(value) else self._counts[kind]
        at = min(now, limit) if self._are_short(value) else before
        if kind == "hash":
            at = min(now, limit + 1) if self._are_short(value) else before
            if self._presized_hash and at:
                table.expand(at)
        elif newer:
            table.expand(at + 1)
        table.add(min(at, now))
        self._add(table, kind, max(now - at, 0))
        return table

    def _add(self, table: Table, kind: str, count: int) -> None:
        """Add elements: where a command looks each one up first, that is another step."""
        if kind == "zset" or (kind == "hash" and self._hash_looks_first):
            for _ in range(count):
                table.touch()
                table.add(1)
            return
        table.add(count)

    def _are_short(self, value: Tabled) -> bool:
        longest = self._lengths[value.type]
        if isinstance(value, Hash):
            return all(len(name) <= longest and len(text) <= longest for name, text in value.fields.items())
        names = value.members if isinstance(value, Set) else value.scores if isinstance(value, ZSet) else ()
        return all(len(name) <= longest for name in names)

    @staticmethod
    def _are_integers(value: Tabled) -> bool:
        return isinstance(value, Set) and all(name.lstrip(b"-").isdigit() for name in value.members)
