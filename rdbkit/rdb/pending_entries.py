"""Pending entries of a stream's consumer group, of which there can be as many as the stream has entries.

    group     id time count   id time count   …        ids ascend
    consumer  name  id id …                            each of them one of the group's
    nobody    id id …                                  (XNACK, Redis 8.8)

They are kept in arrays, with 40 bytes each, and objects are made on access.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from operator import eq
from typing import overload

from rdbkit.rdb.stream_nodes import StreamID


@dataclass(slots=True)
class Pending:
    """A delivered and unacknowledged entry. `consumer` is None if it has no owner (XNACK, Redis 8.8); times in ms."""

    id: StreamID
    consumer: bytes | None
    delivered_at: int
    deliveries: int


class PendingEntries(Sequence[Pending]):
    """A group's pending entries in the order of the file; equal to a list of the same.

    A reader calls `enter` for each entry, and then for each consumer `owner`, and `find` and `give` for its entries.
    """

    def __init__(self) -> None:
        self._ids = bytearray()
        self._times = array("q")
        self._counts = array("Q")
        self._names: list[bytes] = []
        self._owners = array("q")
        """Positions in names; -1: nobody."""
        self._places: dict[bytes, int] | None = None
        """The position of each id, if they do not ascend (which no server writes)."""
        self._hint = 0

    # -- as a sequence -------------------------------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self._times)

    @overload
    def __getitem__(self, at: int) -> Pending: ...
    @overload
    def __getitem__(self, at: slice) -> list[Pending]: ...
    def __getitem__(self, at: int | slice) -> Pending | list[Pending]:
        if isinstance(at, slice):
            return [self[one] for one in range(*at.indices(len(self)))]
        time, count, owner = self._times[at], self._counts[at], self._owners[at]
        return Pending(id_of(self._raw(at % len(self))), None if owner < 0 else self._names[owner], time, count)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and len(self) == len(other) and all(map(eq, self, other))

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return repr(list(self))

    @property
    def unowned(self) -> int:
        """The number of entries without an owner."""
        return self._owners.count(-1)

    # -- reading -------------------------------------------------------------------------------------------------------

    def enter(self, raw: bytes, time: int, count: int) -> bool:
        """Add an entry by its id's 16 bytes; False if there is already one with this id."""
        size = len(self)
        if self._places is None and size and raw <= self._raw(size - 1):
            self._places = {self._raw(at): at for at in range(size)}
        if self._places is not None:
            if raw in self._places:
                return False
            self._places[raw] = size
        self._ids += raw
        self._times.append(time)
        self._counts.append(count)
        self._owners.append(-1)
        return True

    def owner(self, name: bytes) -> int:
        """Add a consumer; return its position."""
        self._hint = 0
        self._names.append(name)
        return len(self._names) - 1

    def find(self, raw: bytes) -> int:
        """Return the position of an entry; -1: there is none."""
        if self._places is not None:
            return self._places.get(raw, -1)
        # A consumer's ids ascend as the group's do, so the next one is usually near the last.
        low, step, count = self._hint, 1, len(self)
        if low >= count or self._raw(low) > raw:
            low = 0
        while low + step < count and self._raw(low + step) <= raw:
            low += step
            step *= 2
        self._hint = at = bisect_left(range(count), raw, low, min(low + step, count), key=self._raw)
        return at if at < count and self._raw(at) == raw else -1

    def is_owned(self, at: int) -> bool:
        """Return whether the entry at this position has an owner."""
        return self._owners[at] >= 0

    def give(self, at: int, owner: int) -> None:
        """Make a consumer the owner of the entry at this position."""
        self._owners[at] = owner

    def _raw(self, at: int) -> bytes:
        return bytes(self._ids[16 * at : 16 * at + 16])


def id_of(raw: bytes) -> StreamID:
    """Return the id of 16 bytes, big endian."""
    return StreamID(int.from_bytes(raw[:8]), int.from_bytes(raw[8:]))
