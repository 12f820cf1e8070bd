"""A stream as commands change it: the nodes of a server, groups with pending entries, idempotency records.

    StreamValue ─► Node, Node, …   entries in listpacks, the last node being filled
               └─► Group ─► Nack by id, Consumer by name

A node is divided as a server divides it, because `~` trims whole nodes, and because the nodes make up the memory. Only
nodes that are being changed are held entry by entry; all others are listpacks, as in the file.

Source: the BSD-licensed versions; 8.6 and newer as observed.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from rdbkit.errors import Corrupt
from rdbkit.format import spec
from rdbkit.keyspace.values import Value
from rdbkit.rdb import streams
from rdbkit.rdb.pending_entries import Pending
from rdbkit.rdb.stream_encoder import DELETED, SAME_FIELDS
from rdbkit.rdb.stream_nodes import StreamID
from rdbkit.rdb.streams import ZERO
from rdbkit.wire import listpack

ID = StreamID
_MASK = (1 << 64) - 1
LAST_ID = StreamID(_MASK, _MASK)
#: Bytes around the entries of a listpack: before the first, and in all.
_HEAD, _AROUND = 6, 7
#: What becomes of the pending entries of an entry that is deleted.
KEEPREF, DELREF, ACKED = b"KEEPREF", b"DELREF", b"ACKED"
#: A node's size limit if the setting is 0.
_LONGEST = 1 << 30


class NodeLimits(NamedTuple):
    """When a node is full, how many bytes a new one has allocated (0: as many as it holds), and the listpacks' form."""

    entries: int
    size: int
    room: int
    generation: str


class Node:
    """A node: either `packed`, its listpack, or, while it is changed, the entries apart.

    `ids` are those of all entries, `parts` their bytes in the listpack, `gone` has the positions of deleted ones.
    `room` is the size of its allocation, 0: that of the listpack.
    """

    __slots__ = ("gone", "head", "id", "ids", "items", "names", "packed", "parts", "room", "size")

    def __init__(self, first: ID, packed: bytes | None = None) -> None:
        self.id = first
        self.packed = packed
        self.room = 0
        self._empty()

    def _empty(self) -> None:
        self.names: list[bytes] = []
        self.head = b""
        self.ids: list[ID] = []
        self.parts: list[bytes] = []
        self.gone: set[int] = set()
        self.items = 0
        self.size = 0

    def _begin(self, names: list[bytes], generation: str) -> None:
        self.names = names
        self.head = _bytes([b"%d" % len(names), *names, b"0"], generation)
        self.items = len(names) + 4
        self.size = len(self.head)

    @classmethod
    def begun(cls, first: ID, names: list[bytes], limits: NodeLimits) -> Node:
        """Return an empty node for an entry with this id and these field names."""
        node = cls(first)
        node.room = limits.room
        node._begin(names, limits.generation)
        return node

    @property
    def live(self) -> int:
        """The number of entries that are not deleted. Raises Corrupt."""
        if self.packed is None:
            return len(self.ids) - len(self.gone)
        count = listpack.first_number(self.packed[:16])
        if count < 0:
            raise _bad()
        return count

    @property
    def length(self) -> int:
        """The size of the listpack."""
        if self.packed is not None:
            return len(self.packed)
        return self._measured()

    def _measured(self) -> int:
        counts = listpack.integer_size(len(self.ids) - len(self.gone)) + listpack.integer_size(len(self.gone))
        return _AROUND + counts + 2 + self.size

    def open(self) -> Node:
        """Hold the entries apart from now on. Raises Corrupt."""
        if self.packed is not None:
            self._unpack(self.packed, "old")
            if self._measured() != len(self.packed):
                self._unpack(self.packed, "new")
            self.packed = None
        return self

    def _unpack(self, packed: bytes, generation: str) -> None:
        items = listpack.items(packed)
        self._empty()
        try:
            count, width = int(items[0]) + int(items[1]), int(items[2])
            self._begin(items[3 : 3 + width], generation)
            at = width + 4
            for position in range(count):
                flags, ms, seq = map(int, items[at : at + 3])
                size = width + 4 if flags & SAME_FIELDS else 5 + 2 * int(items[at + 3])
                self._append(ID(self.id.ms + ms & _MASK, self.id.seq + seq & _MASK), items[at : at + size], generation)
                if flags & DELETED:
                    self.gone.add(position)
                at += size
        except (IndexError, ValueError):
            raise _bad() from None
        if at != len(items):
            raise _bad()

    def is_full(self, added: int, limits: NodeLimits) -> bool:
        """Return whether an entry, whose names and values have so many bytes, needs a new node."""
        if self.length + added >= (limits.size or _LONGEST):
            return True
        return bool(limits.entries) and len(self.ids) >= limits.entries

    def add(self, stream_id: ID, fields: Sequence[bytes], generation: str) -> None:
        """Append an entry; `fields` are names and values in turn."""
        ms = (stream_id[0] - self.id[0] + (1 << 63)) % (1 << 64) - (1 << 63)
        seq = (stream_id[1] - self.id[1] + (1 << 63)) % (1 << 64) - (1 << 63)
        if fields[::2] == self.names:
            items = [b"2", b"%d" % ms, b"%d" % seq, *fields[1::2], b"%d" % (len(self.names) + 3)]
        else:
            items = [b"0", b"%d" % ms, b"%d" % seq, b"%d" % (len(fields) >> 1), *fields, b"%d" % (len(fields) + 4)]
        self._append(stream_id, items, generation)
        if self.length > self.room:
            self.room = 0

    def _append(self, stream_id: ID, items: list[bytes], generation: str) -> None:
        part = _bytes(items, generation)
        self.ids.append(stream_id)
        self.parts.append(part)
        self.items += len(items)
        self.size += len(part)

    def find(self, stream_id: ID) -> int:
        """Return the position of an entry of an open node, -1 if there is none, or it is deleted."""
        at = bisect_left(self.ids, stream_id)
        return at if at < len(self.ids) and self.ids[at] == stream_id and at not in self.gone else -1

    def delete(self, at: int) -> None:
        """Mark the entry at a position as deleted: it stays in the listpack."""
        part = self.parts[at]
        self.parts[at] = bytes((part[0] | DELETED,)) + part[1:]
        self.gone.add(at)

    def alive(self) -> list[tuple[int, ID]]:
        """Return positions and ids of the entries of an open node that are not deleted."""
        return [(at, stream_id) for at, stream_id in enumerate(self.ids) if at not in self.gone]

    def pack(self) -> bytes:
        """Return the listpack."""
        if self.packed is not None:
            return self.packed
        counts = _bytes([b"%d" % self.live, b"%d" % len(self.gone)], "new")
        body = b"".join((counts, self.head, *self.parts))
        count = min(self.items, listpack.UNKNOWN)
        return (len(body) + _AROUND).to_bytes(4, "little") + count.to_bytes(2, "little") + body + b"\xff"

    def close(self) -> None:
        """Hold it as a listpack, of which nothing is allocated beyond its end: another node begins."""
        self.packed = self.pack()
        self.room = 0
        self._empty()


def _bytes(items: Sequence[bytes], generation: str) -> bytes:
    return listpack.encode(items, generation)[_HEAD:-1]


def _bad() -> Corrupt:
    return Corrupt("a stream node is damaged", code="bad-stream")


@dataclass(slots=True)
class Nack:
    """A delivered entry that is not acknowledged; `consumer` None: no one owns it (XNACK)."""

    consumer: bytes | None
    time: int
    count: int


@dataclass(slots=True)
class Consumer:
    """A consumer: ms when it was seen, and when it was last given an entry (-1: never).

    `used`: it has or had pending entries.
    """

    seen_at: int
    active_at: int = -1
    used: bool = False


@dataclass(slots=True)
class Group:
    """A consumer group; `entries_read` None: not known. Pending entries are in no order.

    `used`: there are or were any.
    """

    last_id: ID
    entries_read: int | None = None
    pending: dict[ID, Nack] = field(default_factory=dict)
    consumers: dict[bytes, Consumer] = field(default_factory=dict)
    used: bool = False


class Content(bytes):
    """The record of an entry that XADD IDMPAUTO added: its fields. A server keeps a hash of them instead."""

    __slots__ = ()

    @classmethod
    def of(cls, fields: Sequence[bytes]) -> Content:
        """Return the record of these names and values, in any order of the pairs."""
        return cls(repr(sorted(zip(fields[::2], fields[1::2]))).encode("ascii"))


@dataclass(slots=True)
class Producers:
    """Idempotency records: for each producer the ids that it gave, in the order in which they came."""

    duration: int = 100
    most: int = 100
    records: dict[bytes, dict[bytes, ID]] = field(default_factory=dict)
    added: int = 0
    duplicates: int = 0

    def knows(self, producer: bytes, record: bytes) -> bool:
        """Return whether a producer has given this id."""
        return record in self.records.get(producer, ())

    def add(self, producer: bytes, record: bytes, stream_id: ID) -> None:
        """Add a record; the oldest one of a producer with too many is removed."""
        found = self.records.setdefault(producer, {})
        found[record] = stream_id
        if len(found) > self.most:
            del found[next(iter(found))]
        self.added += 1

    def plain(self) -> streams.Idmp:
        """Return what the encoder takes; records of which only a server knows the hash are left out."""
        producers = []
        for name, found in sorted(self.records.items()):
            known = [(record, at) for record, at in found.items() if record.__class__ is not Content]
            if known:
                producers.append((name, known))
        return streams.Idmp(self.duration, self.most, producers, self.added, self.duplicates)

    def expire(self, now: int) -> None:
        """Remove, from the oldest on, the records that are older than the duration."""
        limit = now - self.duration * 1000
        for producer, found in list(self.records.items()):
            while found and (first := next(iter(found.items())))[1].ms < limit:
                del found[first[0]]
            if not found:
                del self.records[producer]


class StreamValue(Value):
    """A stream. `nodes` ascend; the last one is open while entries are added."""

    __slots__ = (
        "_seen",
        "entries_added",
        "first_id",
        "groups",
        "idmp",
        "last_id",
        "length",
        "linked",
        "max_deleted_id",
        "nodes",
        "used",
    )
    type = "stream"

    def __init__(self) -> None:
        super().__init__()
        self.nodes: list[Node] = []
        self.length = 0
        self.last_id = self.first_id = self.max_deleted_id = ZERO
        self.entries_added = 0
        self.groups: dict[bytes, Group] = {}
        self.idmp: Producers | None = None
        self.used = False
        """There are or were nodes."""
        self.linked = False
        """There are or were pending entries."""
        self._seen: tuple[bytes, Node] | None = None
        """The listpack of the node that was searched last, and the same node open."""

    def __len__(self) -> int:
        return self.length

    # -- entries ---------------------------------------------------------------------------------------------------

    def append(self, stream_id: ID, fields: Sequence[bytes], limits: NodeLimits) -> None:
        """Add an entry with an id that is greater than the last; `fields` are names and values in turn."""
        node = self.nodes[-1].open() if self.nodes else None
        if node is None or node.is_full(sum(map(len, fields)), limits):
            if node is not None:
                node.close()
            node = Node.begun(stream_id, list(fields[::2]), limits)
            self.nodes.append(node)
            self.used = True
        node.add(stream_id, fields, limits.generation)
        self.length += 1
        self.entries_added += 1
        self.last_id = stream_id
        if self.length == 1:
            self.first_id = stream_id

    def has(self, stream_id: ID) -> bool:
        """Return whether an entry is in the stream."""
        node = self._node(stream_id)
        return node is not None and self._view(node).find(stream_id) >= 0

    def _node(self, stream_id: ID) -> Node | None:
        at = bisect_right(self.nodes, stream_id, key=_id_of)
        return self.nodes[at - 1] if at else None

    def _view(self, node: Node) -> Node:
        """Return the node, or, if it is packed, an open copy of it."""
        if node.packed is None:
            return node
        if self._seen is None or self._seen[0] is not node.packed:
            self._seen = node.packed, Node(node.id, node.packed).open()
        return self._seen[1].open()

    def after(self, stream_id: ID) -> Iterator[ID]:
        """Yield the ids of the entries behind this one."""
        at = max(bisect_right(self.nodes, stream_id, key=_id_of) - 1, 0)
        for node in self.nodes[at:]:
            yield from (found for _, found in self._view(node).alive() if found > stream_id)

    def delete(self, stream_id: ID) -> bool:
        """Delete an entry; return whether it was there. `first_id` is not changed."""
        at = bisect_right(self.nodes, stream_id, key=_id_of) - 1
        if at < 0:
            return False
        node = self.nodes[at]
        if node.packed is not None and self._view(node).find(stream_id) < 0:
            return False
        position = node.open().find(stream_id)
        if position < 0:
            return False
        node.delete(position)
        if not node.live:
            del self.nodes[at]
        self.length -= 1
        return True

    def top(self) -> ID:
        """Return the greatest id of an entry."""
        for node in reversed(self.nodes):
            alive = self._view(node).alive()
            if alive:
                return alive[-1][1]
        return ZERO

    def may_lack(self, after: ID) -> bool:
        """Return whether entries from this id on may have been deleted."""
        return self.max_deleted_id != ZERO and self.length > 0 and self.max_deleted_id >= after

    def rank(self, stream_id: ID) -> int | None:
        """Return how many entries were ever added up to this one, as far as a server knows without counting."""
        if not self.entries_added:
            return 0
        if stream_id == self.last_id or (not self.length and stream_id < self.last_id):
            return self.entries_added
        if stream_id > self.last_id or self.max_deleted_id >= self.first_id > ZERO:
            return None
        before = self.entries_added - self.length
        return before if stream_id < self.first_id else before + 1 if stream_id == self.first_id else None

    def find_first(self) -> None:
        """Set `first_id` after a deletion or a trim."""
        self.first_id = next(self.after(ZERO), ZERO) if self.length else ZERO

    # -- trimming --------------------------------------------------------------------------------------------------

    def trim(self, most: int | None, least: ID, *, approximate: bool = False, policy: bytes = KEEPREF) -> bool:
        """Remove the oldest entries until there are `most`, else those below `least`; return whether there were any.

        If it is approximate, only whole nodes are removed, unless there is a `policy` for pending entries.
        """
        before, kept = self.length, 0
        while kept < len(self.nodes):
            if most is not None and self.length <= most:
                break
            node = self.nodes[kept]
            whole = self.length - node.live >= most if most is not None else self._last(node) < least
            if whole and policy == KEEPREF:
                self.length -= node.live
            elif whole or policy != KEEPREF or not approximate:
                self._trim_within(node, most, least, policy)
            # A node that is not trimmed as a whole stays, as on a server, even if all its entries are deleted.
            if whole and (policy == KEEPREF or not node.live):
                del self.nodes[kept]
            else:
                kept += 1
            if not whole:
                break
        if self.length != before:
            self.find_first()
        return self.length != before

    def _last(self, node: Node) -> ID:
        """Return the greatest id in a node, deleted ones included."""
        return self._view(node).ids[-1]

    def _trim_within(self, node: Node, most: int | None, least: ID, policy: bytes) -> None:
        for at, stream_id in node.open().alive():
            if self.length <= most if most is not None else stream_id >= least:
                break
            if self.may_go(stream_id, policy):
                node.delete(at)
                self.length -= 1

    # -- groups ----------------------------------------------------------------------------------------------------

    def may_go(self, stream_id: ID, policy: bytes) -> bool:
        """Return whether a policy allows to delete an entry; with DELREF no group has it pending any longer."""
        if policy == ACKED:
            return not any(stream_id > group.last_id or stream_id in group.pending for group in self.groups.values())
        if policy == DELREF:
            for group in self.groups.values():
                group.pending.pop(stream_id, None)
        return True

    def room(self, reserved: bool) -> tuple[int, bool, int]:
        """Return the bytes that are allocated for the last node, and those that it has; 0 and 0 if they are the same.

        Between them is what is given.
        """
        last = self.nodes[-1] if self.nodes else None
        return (last.room, reserved, last.length) if last is not None and last.room else (0, reserved, 0)

    def emptied(self) -> tuple[int, int, bool]:
        """Return how many trees with ids have lost all of them, since those have more allocated than new ones.

        The second number is those of pending entries; the third tells whether the tree of all pending entries has.
        """
        count = 0
        for group in self.groups.values():
            owners = {nack.consumer for nack in group.pending.values()}
            count += group.used and not group.pending
            count += sum(one.used and name not in owners for name, one in group.consumers.items())
        linked = self.linked and not any(group.pending for group in self.groups.values())
        return count + (self.used and not self.nodes), count, linked

    def add_pending(self, group: Group, stream_id: ID, nack: Nack) -> Nack:
        """Make an entry pending in a group."""
        group.pending[stream_id] = nack
        self.linked = group.used = True
        return nack

    def __deepcopy__(self, memo: dict[int, Any]) -> StreamValue:
        # A copy has new trees, and no allocation for more than there is.
        twin = loaded(spec.STREAM_LISTPACKS_5, [(node.id, node.pack()) for node in self.nodes], self.plain())
        twin.idmp = deepcopy(self.idmp, memo)
        twin.expires_at, twin.offset, twin.reserved = self.expires_at, self.offset, self.reserved
        return twin

    # -- from and to the RDB format ----------------------------------------------------------------------------------

    def plain(self) -> streams.Stream:
        """Return what the encoder takes; names are in their order, as on a server."""
        return streams.Stream(
            nodes=[(node.id, node.pack()) for node in self.nodes],
            length=self.length,
            last_id=self.last_id,
            first_id=self.first_id,
            max_deleted_id=self.max_deleted_id,
            entries_added=self.entries_added,
            groups=[_plain_group(name, group) for name, group in sorted(self.groups.items())],
            idmp=None if self.idmp is None else self.idmp.plain(),
        )


def _plain_group(name: bytes, group: Group) -> streams.Group:
    pending = [Pending(at, nack.consumer, nack.time, nack.count) for at, nack in sorted(group.pending.items())]
    consumers = [streams.Consumer(name, one.seen_at, one.active_at) for name, one in sorted(group.consumers.items())]
    return streams.Group(name, group.last_id, group.entries_read, pending, consumers)


def loaded(kind: int, nodes: list[tuple[ID, bytes]], tail: streams.Stream) -> StreamValue:
    """Return a stream of an RDB: its nodes as id and listpack, and what follows them.

    What an older type lacks is set as a server does.
    """
    value = StreamValue()
    value.nodes = [Node(*node) for node in nodes]
    value.used = bool(nodes)
    value.length, value.entries_added = tail.length, tail.entries_added
    value.last_id, value.first_id, value.max_deleted_id = tail.last_id, tail.first_id, tail.max_deleted_id
    if value.length and value.first_id == ZERO:
        value.find_first()
    elif kind == spec.STREAM_LISTPACKS:
        value.first_id = LAST_ID
    for group in tail.groups:
        value.groups[group.name] = Group(
            group.last_delivered_id,
            value.rank(group.last_delivered_id) if kind == spec.STREAM_LISTPACKS else group.entries_read,
            {item.id: Nack(item.consumer, item.delivered_at, item.deliveries) for item in group.pending},
            {
                one.name: Consumer(one.seen_at, one.seen_at if one.active_at is None else one.active_at)
                for one in group.consumers
            },
        )
        value.groups[group.name].used = bool(group.pending)
        value.linked |= bool(group.pending)
        for item in group.pending:
            if item.consumer is not None:
                value.groups[group.name].consumers[item.consumer].used = True
    if tail.idmp is not None:
        found = tail.idmp
        records = {producer: dict(entries) for producer, entries in found.producers}
        value.idmp = Producers(found.duration, found.max_entries, records, found.added, found.duplicates)
    return value


def _id_of(node: Node) -> ID:
    return node.id
