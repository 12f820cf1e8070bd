"""Finds duplicate names while a value is read, in bounded memory.

The first `KEPT` names of a value are held (long ones as a digest), and a duplicate is reported at once, because the
imitated tools print the offset at which they find it. For further names only fingerprints are collected
(rdb/duplicate_filter.py), and nothing is reported until the value ends. Then the reader calls `suspects()`: if there
are any, the value is read again from its beginning with `SeenNames(suspects)`, which holds no other names, and so
finds the exact offset.
"""

from __future__ import annotations

from hashlib import blake2b

from rdbkit.rdb.duplicate_filter import DuplicateFilter, fingerprint
from rdbkit.wire.spool import Item, LongItem

#: The most names held: some 30 MB.
KEPT = 1 << 18
_SHORT = 32
_BATCH = 1 << 12
#: Fingerprints of longer names are computed at once, not collected with others.
_LONG = 1 << 12


def _form(name: Item) -> bytes:
    """Return a key for a name; digests of different kinds have different lengths."""
    if isinstance(name, LongItem):
        return name.digest.ljust(_SHORT + 2)
    return name if len(name) <= _SHORT else blake2b(name, digest_size=_SHORT + 1).digest()


class SeenNames:
    """The names of one value; `kept` is the most names held, None: no limit (if the value cannot be read twice)."""

    def __init__(self, suspects: set[int] | None = None, kept: int | None = KEPT) -> None:
        self._suspects = suspects
        self._kept = kept
        self._held: set[bytes] = set()
        self._unique: DuplicateFilter | None = None
        self._waiting: list[Item] = []

    def clear(self) -> None:
        """Start another list of names within the same value; suspects are kept."""
        self._held.clear()

    def add(self, name: Item) -> bool:
        """Add a name; return True if it is certain that it was added before."""
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
        """Return the fingerprints of names that may be duplicates and were not reported; ends the collection."""
        if self._unique is None and not self._waiting:
            return set()
        self._pour()
        assert self._unique is not None
        with self._unique as unique:
            found = unique.candidates()
        self._unique = None
        return found
