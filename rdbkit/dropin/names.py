"""Is this name there already? Asked for every member of a value while it is read, in bounded memory.

The first `KEPT` names of a value are held (long ones as a digest), and a repetition is told at once: the offset at
which it is told is part of what the imitated tools print. Beyond that, fingerprints are collected (rdb/unique.py), and
nothing is told until the value ends. Whoever reads asks `suspects()` then: if there are any, the value is read again
from its beginning with `SeenNames(suspects)`, which holds no other names, and so finds the very place.
"""

from __future__ import annotations

from hashlib import blake2b

from rdbkit.rdb.duplicate_filter import DuplicateFilter, fingerprint
from rdbkit.wire.spool import Item, LongItem

#: SeenNames held: some 30 MB.
KEPT = 1 << 18
_SHORT = 32
_BATCH = 1 << 12
#: A longer name does not wait for others.
_LONG = 1 << 12


def _form(name: Item) -> bytes:
    """Return a key for a name: digests of either kind have a length of their own."""
    if isinstance(name, LongItem):
        return name.digest.ljust(_SHORT + 2)
    return name if len(name) <= _SHORT else blake2b(name, digest_size=_SHORT + 1).digest()


class SeenNames:
    """The names of one value; `kept` bounds how many are held, None: no bound (what cannot be read twice)."""

    def __init__(self, suspects: set[int] | None = None, kept: int | None = KEPT) -> None:
        self._suspects = suspects
        self._kept = kept
        self._held: set[bytes] = set()
        self._unique: DuplicateFilter | None = None
        self._waiting: list[Item] = []

    def clear(self) -> None:
        """Start another list of names, within the same value: suspects stay suspects."""
        self._held.clear()

    def add(self, name: Item) -> bool:
        """Take a name; True if it is certain that it was there."""
        held = self._held
        form = _form(name)
        if self._suspects is not None:
            if fingerprint(name) not in self._suspects:
                return False
        elif self._kept is not None and len(held) >= self._kept:
            if form in held:
                return True
            self._waiting.append(name)
            if len(self._waiting) >= _BATCH or len(name) > _LONG:
                self._pour()
            return False
        before = len(held)
        held.add(form)
        return len(held) == before

    def _pour(self) -> None:
        if self._unique is None:
            self._unique = DuplicateFilter()
        self._unique.add(self._waiting)
        self._waiting = []

    def suspects(self) -> set[int]:
        """Return the fingerprints of names that may have occurred twice without being told; ends the collection."""
        if self._unique is None and not self._waiting:
            return set()
        self._pour()
        assert self._unique is not None
        with self._unique as unique:
            found = unique.candidates()
        self._unique = None
        return found
