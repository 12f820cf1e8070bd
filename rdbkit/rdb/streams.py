"""Streams: entries in listpack nodes, then the data of the stream and of its consumer groups.

    nodes * (str master id, str listpack)   length   last id   [first id  max deleted id  entries added]
    groups * (name, last delivered, [entries read], pending * (id, time, count),
              consumers * (name, seen, [active], ids), [ids nobody owns])
    [idempotency: duration, max, producers * (name, ids), added, duplicates]

The nodes are read by stream_nodes.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from rdbkit.errors import Corrupt
from rdbkit.format import spec
from rdbkit.rdb.pending_entries import Pending, PendingEntries, id_of
from rdbkit.rdb.stream_nodes import Fields, Node, StreamID
from rdbkit.wire.cursor import Cursor

#: `entries read` of a group that has lost count.
_UNKNOWN = (1 << 64) - 1

ZERO = StreamID(0, 0)


@dataclass(slots=True)
class Consumer:
    """A consumer of a group; times in ms, `active_at` -1: never active; None: not in the file (before RDB 11)."""

    name: bytes
    seen_at: int
    active_at: int | None


@dataclass(slots=True)
class Group:
    """A consumer group; `entries_read` is None if the server lost count, or it is not in the file (RDB 9)."""

    name: bytes
    last_delivered_id: StreamID
    entries_read: int | None
    pending: Sequence[Pending] = field(default_factory=list)
    consumers: list[Consumer] = field(default_factory=list)


@dataclass(slots=True)
class Idmp:
    """A stream's idempotency data (Redis 8.6): duration in s, ids by producer."""

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
    #: The length that the file states; equal to len(entries) in a valid stream.
    length: int = 0
    #: For the encoder: the entries in nodes, as id and listpack, instead of `entries`.
    nodes: Sequence[tuple[StreamID, bytes]] | None = None


class StreamReader:
    """Reads one stream from a cursor: `entries()` to its end first, then `tail()`; `bare`: entries without fields."""

    def __init__(self, cursor: Cursor, kind: int, bare: bool = False) -> None:
        self.cursor = cursor
        self.kind = kind
        self.bare = bare
        self.first_id: StreamID | None = None
        self.greatest = ZERO
        self.live = 0

    def entries(self) -> Iterator[list[tuple[StreamID, Fields]]]:
        """Yield live entries, a list per run of a node; ids ascend.

        Raises Corrupt with the offset of the current node.
        """
        master = -1
        for _ in range(self.cursor.claim()):
            start = self.cursor.tell()
            master = self._master(master)
            node = Node(self.cursor, master, self.bare)
            while not node.done:
                batch = node.batch()
                if self.first_id is None and batch:
                    self.first_id = batch[0][0]
                if batch:
                    self._follow(batch, start)
                yield batch

    def nodes(self) -> Iterator[list[tuple[StreamID, bytes]]]:
        """Yield the nodes as id and listpack, a list per node; what is in them is not read. Instead of `entries()`."""
        master = -1
        for _ in range(self.cursor.claim()):
            master = self._master(master)
            yield [(id_of(master.to_bytes(16)), bytes(self.cursor.item()))]

    def _master(self, before: int) -> int:
        """Read the id of a node as a number, which must be greater than that of the node before."""
        start = self.cursor.tell()
        key = self.cursor.string_up_to(16)
        size = self.cursor.passed if key is None else len(key)
        if key is None or size != 16 or int.from_bytes(key) <= before:
            problem = "out of order" if size == 16 else f"of {size} bytes instead of 16"
            raise Corrupt(f"a stream node's key {problem}", offset=start, code="bad-stream")
        return int.from_bytes(key)

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

    def _group(self) -> Group:
        cursor = self.cursor
        group = Group(cursor.item(), self._id(), None)
        if self.kind != spec.STREAM_LISTPACKS:
            read = cursor.length()
            group.entries_read = None if read == _UNKNOWN else read
        group.pending = pending = PendingEntries()
        for _ in range(cursor.claim()):
            start = cursor.tell()
            raw = cursor.take(16)
            if not pending.enter(raw, cursor.fixed_signed(8), cursor.length()):
                raise Corrupt(f"{id_of(raw)} pending twice", offset=start, code="bad-stream")
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

    def _consumer(self, pending: PendingEntries) -> Consumer:
        cursor = self.cursor
        consumer = Consumer(cursor.item(), cursor.fixed_signed(8), None)
        if self.kind >= spec.STREAM_LISTPACKS_3:
            consumer.active_at = cursor.fixed_signed(8)
        owner = pending.owner(consumer.name)
        for _ in range(cursor.claim()):
            start = cursor.tell()
            at = pending.find(cursor.take(16))
            if at < 0 or pending.is_owned(at):
                problem = "that the group does not know" if at < 0 else "that has an owner already"
                code = "bad-stream" if at < 0 else "pending-shared"
                raise Corrupt(f"a consumer's pending entry {problem}", offset=start, code=code)
            pending.give(at, owner)
        return consumer

    def _unowned(self, pending: PendingEntries) -> None:
        cursor = self.cursor
        if self.kind < spec.STREAM_LISTPACKS_5:
            return
        for _ in range(cursor.claim()):
            start = cursor.tell()
            at = pending.find(cursor.take(16))
            if at < 0 or pending.is_owned(at):
                raise Corrupt("an unowned entry that is not pending, or is owned", offset=start, code="bad-stream")

    def _idmp(self) -> Idmp:
        cursor = self.cursor
        idmp = Idmp(cursor.length(), cursor.length(), [], 0, 0)
        names: set[bytes] = set()
        for _ in range(cursor.claim()):
            start = cursor.tell()
            producer = cursor.item()
            if producer in names:
                raise Corrupt("two producers of one name", offset=start, code="bad-stream")
            names.add(producer)
            idmp.producers.append((producer, [(cursor.item(), self._id()) for _ in range(cursor.claim())]))
        idmp.added = cursor.length()
        idmp.duplicates = cursor.length()
        return idmp
