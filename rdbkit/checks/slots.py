"""Compare the keys of a cluster node's file with its slot information.

A server in cluster mode writes, before the first key of each slot, the slot's number and its number of keys; when it
loads the file, it sizes its tables by that. A number beyond the last slot is outside of those tables; other mistakes
only waste memory, but no server makes them.

Sources: rdb.c of the BSD-licensed Valkey 8 (slot-info); the cluster specification (which slot a key is in).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from rdbkit.checks.findings import Finding, counted
from rdbkit.format.slots import SLOTS, slot_of
from rdbkit.rdb import walker


class Announced(NamedTuple):
    """A slot announcement at an offset: slot number, number of keys, and how many of them expire."""

    offset: int
    slot: int
    keys: int
    expires: int


class SlotCheck:
    """Compares announcements and keys, in file order; yields findings."""

    def __init__(self) -> None:
        self._ahead: list[Announced] = []
        self._now: Announced | None = None
        self._db = 0
        self._keys = self._expires = 0
        self._stray = False

    @property
    def idle(self) -> bool:
        """Whether there was no slot information so far."""
        return self._now is None and not self._ahead

    def announce(self, offset: int, found: tuple[int, int, int] | None) -> None:
        """Add a slot announcement (rdb.check.announced_slot); its keys follow."""
        if found is not None:
            self._ahead.append(Announced(offset, *found))

    def feed(self, batch: Sequence[walker.EntryTuple]) -> Iterator[Finding]:
        """Add keys."""
        for row in batch:
            while self._ahead and self._ahead[0].offset < row[walker.OFFSET]:
                yield from self._close()
                self._now = self._ahead.pop(0)
                self._db = row[walker.DB]
            if self._now is None or self._now.slot >= SLOTS:
                continue
            if row[walker.DB] != self._db:
                yield from self._close()
                self._now = None
                continue
            self._keys += 1
            self._expires += row[walker.EXPIRES_AT] is not None
            slot = slot_of(row[walker.KEY])
            if slot != self._now.slot and not self._stray:
                self._stray = True
                message = f"the key is in slot {slot}, but the file announces slot {self._now.slot} for it"
                yield Finding("warning", "slot-mismatch", message, row[walker.OFFSET], row[walker.DB], row[walker.KEY])

    def finish(self) -> Iterator[Finding]:
        """Check the last slot, of a file that was read to its end."""
        yield from self._close()
        for announced in self._ahead:
            self._now = announced
            yield from self._close()

    def _close(self) -> Iterator[Finding]:
        now = self._now
        if now is not None and now.slot < SLOTS and (now.keys, now.expires) != (self._keys, self._expires):
            message = (
                f"slot {now.slot} is announced with {counted(now.keys, 'key')}, {now.expires} with an expiry; "
                f"the file has {self._keys} and {self._expires}"
            )
            yield Finding("warning", "slot-counts", message, now.offset)
        self._keys = self._expires = 0
        self._stray = False
