"""Streams: entries in listpack nodes, then what the stream and its consumer groups know.

    nodes * (str master id, str listpack)   length   last id   [first id  max deleted id  entries added]
    groups * (name, last delivered, [entries read], pending * (id, time, count),
              consumers * (name, seen, [active], ids), [ids nobody owns])
    [idempotency: duration, max, producers * (name, ids), added, duplicates]

A node:  count  deleted  n  field*n  0  { flags  ms  seq  [n field value …] or [value*n]  items }*(count + deleted)
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from rdbkit.errors import Corrupt
from rdbkit.rdb import spec
from rdbkit.wire import listpack
from rdbkit.wire.cursor import Cursor

_DELETED, _SAMEFIELDS = 1, 2
_MASK = (1 << 64) - 1
#: `entries read` of a group that has lost count.
_UNKNOWN = _MASK
#: Items of a node looked at in one go.
_BATCH = 4096

Fields = list[tuple[bytes, bytes]]


class StreamID(NamedTuple):
    """Milliseconds and sequence number; as text `ms-seq`."""

    ms: int
    seq: int

    def __str__(self) -> str:
        return f"{self[0]}-{self[1]}"


ZERO = StreamID(0, 0)


@dataclass(slots=True)
class Pending:
    """A delivered and unacknowledged entry. `consumer` is None where nobody owns it (XNACK, Redis 8.8); times in ms."""

    id: StreamID
    consumer: bytes | None
    delivered_at: int
    deliveries: int


@dataclass(slots=True)
class Consumer:
    """A consumer of a group; times in ms, `active_at` -1: never active; None: not in the file (before RDB 11)."""

    name: bytes
    seen_at: int
    active_at: int | None


@dataclass(slots=True)
class Group:
    """A consumer group; `entries_read` is None where the server lost count, or the file does not hold it (RDB 9)."""

    name: bytes
    last_delivered_id: StreamID
    entries_read: int | None
    pending: list[Pending] = field(default_factory=list)
    consumers: list[Consumer] = field(default_factory=list)


@dataclass(slots=True)
class Idmp:
    """What a stream remembers against double delivery (Redis 8.6): duration in s, ids by producer."""

    duration: int
    max_entries: int
    producers: list[tuple[bytes, list[tuple[bytes, StreamID]]]]
    added: int
    duplicates: int


@dataclass(slots=True)
class Stream:
    """A stream's value.

    For RDB 9 files `first_id`, `max_deleted_id` and `entries_added` are derived, as a server does.
    """

    entries: list[tuple[StreamID, Fields]] = field(default_factory=list)
    last_id: StreamID = ZERO
    first_id: StreamID = ZERO
    max_deleted_id: StreamID = ZERO
    entries_added: int = 0
    groups: list[Group] = field(default_factory=list)
    idmp: Idmp | None = None
    #: The length that the file states; equal to len(entries) in a sound one.
    length: int = 0


class StreamReader:
    """Reads one stream from a cursor: `entries()` to its end first, then `tail()`."""

    def __init__(self, cursor: Cursor, kind: int) -> None:
        self.cursor = cursor
        self.kind = kind
        self.first_id: StreamID | None = None
        self.greatest = ZERO
        self.live = 0

    def entries(self) -> Iterator[list[tuple[StreamID, Fields]]]:
        """Yield live entries, a list per run of a node; ids ascend.

        Raises Corrupt with the offset of the node at hand.
        """
        master = -1
        for _ in range(self.cursor.claim()):
            start = self.cursor.tell()
            key = self.cursor.string()
            if len(key) != 16 or int.from_bytes(key) <= master:
                problem = "out of order" if len(key) == 16 else f"of {len(key)} bytes instead of 16"
                raise Corrupt(f"a stream node's key {problem}", offset=start, code="bad-stream")
            master = int.from_bytes(key)
            for batch in _Node(self.cursor, master).entries():
                if self.first_id is None and batch:
                    self.first_id = batch[0][0]
                if batch:
                    self._follow(batch, start)
                yield batch

    def _follow(self, batch: list[tuple[StreamID, Fields]], start: int) -> None:
        ids = [entry[0] for entry in batch]
        if (ids[0] <= self.greatest and self.live) or any(map(StreamID.__ge__, ids, ids[1:])):
            raise Corrupt("stream entries out of order", offset=start, code="bad-stream")
        self.greatest = ids[-1]
        self.live += len(ids)

    def tail(self) -> Stream:
        """Read what follows the entries; the result's own `entries` are empty."""
        cursor = self.cursor
        stream = Stream(length=cursor.length())
        stream.last_id = self._id()
        if self.kind == spec.STREAM_LISTPACKS:
            stream.first_id = self.first_id or ZERO
            stream.entries_added = stream.length
        else:
            stream.first_id = self._id()
            stream.max_deleted_id = self._id()
            stream.entries_added = cursor.length()
        names: set[bytes] = set()
        for _ in range(cursor.claim()):
            start = cursor.tell()
            group = self._group()
            if group.name in names:
                raise Corrupt("two groups of one name", offset=start, code="bad-stream")
            names.add(group.name)
            stream.groups.append(group)
        if self.kind >= spec.STREAM_LISTPACKS_4:
            stream.idmp = self._idmp()
        return stream

    def _id(self) -> StreamID:
        return StreamID(self.cursor.length(), self.cursor.length())

    def _raw_id(self) -> StreamID:
        raw = self.cursor.take(16)
        return StreamID(int.from_bytes(raw[:8]), int.from_bytes(raw[8:]))

    def _group(self) -> Group:
        cursor = self.cursor
        group = Group(cursor.string(), self._id(), None)
        if self.kind != spec.STREAM_LISTPACKS:
            read = cursor.length()
            group.entries_read = None if read == _UNKNOWN else read
        pending: dict[StreamID, Pending] = {}
        for _ in range(cursor.claim()):
            start = cursor.tell()
            item = Pending(self._raw_id(), None, cursor.fixed_signed(8), cursor.length())
            if item.id in pending:
                raise Corrupt(f"{item.id} pending twice", offset=start, code="bad-stream")
            pending[item.id] = item
        group.pending = list(pending.values())
        names: set[bytes] = set()
        for _ in range(cursor.claim()):
            start = cursor.tell()
            consumer = self._consumer(pending)
            if consumer.name in names:
                raise Corrupt("two consumers of one name", offset=start, code="bad-stream")
            names.add(consumer.name)
            group.consumers.append(consumer)
        self._unowned(pending)
        return group

    def _consumer(self, pending: dict[StreamID, Pending]) -> Consumer:
        cursor = self.cursor
        consumer = Consumer(cursor.string(), cursor.fixed_signed(8), None)
        if self.kind >= spec.STREAM_LISTPACKS_3:
            consumer.active_at = cursor.fixed_signed(8)
        for _ in range(cursor.claim()):
            start = cursor.tell()
            item = pending.get(self._raw_id())
            if item is None or item.consumer is not None:
                problem = "that the group does not know" if item is None else "that another owns"
                raise Corrupt(f"a consumer's pending entry {problem}", offset=start, code="bad-stream")
            item.consumer = consumer.name
        return consumer

    def _unowned(self, pending: dict[StreamID, Pending]) -> None:
        cursor = self.cursor
        if self.kind < spec.STREAM_LISTPACKS_5:
            return
        for _ in range(cursor.claim()):
            start = cursor.tell()
            item = pending.get(self._raw_id())
            if item is None or item.consumer is not None:
                raise Corrupt("an unowned entry that is not pending, or is owned", offset=start, code="bad-stream")

    def _idmp(self) -> Idmp:
        cursor = self.cursor
        idmp = Idmp(cursor.length(), cursor.length(), [], 0, 0)
        names: set[bytes] = set()
        for _ in range(cursor.claim()):
            start = cursor.tell()
            producer = cursor.string()
            if producer in names:
                raise Corrupt("two producers of one name", offset=start, code="bad-stream")
            names.add(producer)
            idmp.producers.append((producer, [(cursor.string(), self._id()) for _ in range(cursor.claim())]))
        idmp.added = cursor.length()
        idmp.duplicates = cursor.length()
        return idmp


class _Node:
    """The listpack of one node, read item by item through a bounded look-ahead."""

    def __init__(self, cursor: Cursor, master: int) -> None:
        self.ms, self.seq = master >> 64, master & _MASK
        self.start = cursor.tell()
        size, inside = cursor.open_string()
        self.reader = listpack.Reader(inside, size)
        self.items: list[bytes] = []
        self.at = 0

    def _take(self, count: int) -> list[bytes]:
        while count > len(self.items) - self.at:
            more = self.reader.read(_BATCH)
            if not more:
                self._bad("ends in the middle of an entry")
            # In place: an entry can claim as many fields as its node has items.
            del self.items[: self.at]
            self.items += more
            self.at = 0
        at = self.at
        self.at = at + count
        return self.items[at : at + count]

    def _bad(self, problem: str) -> Any:
        raise Corrupt(f"a stream node {problem}", offset=self.start, code="bad-stream")

    def _number(self, item: bytes) -> int:
        if len(item) > 20 or not (item.isdigit() or (item[:1] == b"-" and item[1:].isdigit())):
            self._bad(f"has {item[:20]!r} for a number")
        return int(item)

    def entries(self) -> Iterator[list[tuple[StreamID, Fields]]]:
        """Yield the live entries in batches; check counts, arity and the end."""
        count, deleted, width = map(self._number, self._take(3))
        if count < 0 or deleted < 0 or width < 0:
            self._bad("has negative counts")
        names = self._take(width)
        if self._take(1) != [b"0"]:
            self._bad("has no end of its master entry")
        batch: list[tuple[StreamID, Fields]] = []
        gone = 0
        for _ in range(count + deleted):
            entry = self._entry(names)
            if entry is None:
                gone += 1
                continue
            batch.append(entry)
            if len(batch) >= _BATCH:
                yield batch
                count -= len(batch)
                batch = []
        if gone != deleted or len(batch) != count:
            self._bad(f"has {gone} deleted entries where it says {deleted}")
        if self.at != len(self.items) or self.reader.read(1):
            self._bad("goes on behind its last entry")
        yield batch

    def _entry(self, names: list[bytes]) -> tuple[StreamID, Fields] | None:
        flags, ms, seq = map(self._number, self._take(3))
        if flags & _SAMEFIELDS:
            fields = list(zip(names, self._take(len(names))))
            items = len(names) + 3
        else:
            width = self._number(self._take(1)[0])
            if width < 0:
                self._bad("has an entry with a negative number of fields")
            flat = self._take(2 * width)
            fields = list(zip(flat[::2], flat[1::2]))
            items = 2 * width + 4
        if self._number(self._take(1)[0]) != items:
            self._bad("has an entry whose item count is wrong")
        if flags & _DELETED:
            return None
        return StreamID(self.ms + ms & _MASK, self.seq + seq & _MASK), fields
