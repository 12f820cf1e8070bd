"""Streams to bodies: five types that differ in what follows the entries.

Entries are in nodes. A node is a listpack with the id of its first entry as key: first a master entry with the counts
and field names, then every entry with its id as difference to the key. Ids are unsigned and listpack integers are
signed, so differences wrap at 64 bits; that of the sequence numbers is often negative.

    master  live count · deleted count · fields · name … · 0
    entry   flags · ms delta · seq delta · [fields · name · value … | value …] · number of elements before this one
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

from rdbkit.format import spec
from rdbkit.rdb.encoders import LISTPACK_AROUND, PLAINLY, Encoder, Options
from rdbkit.rdb.primitives import encode_length, encode_ms, encode_string, rawid
from rdbkit.wire import listpack

if TYPE_CHECKING:
    from rdbkit.rdb.streams import Consumer, Group, Idmp, Stream

DELETED, SAME_FIELDS = 1, 2
#: The most entries and bytes in a node by default: the servers' stream-node-max-entries and -bytes.
NODE_SIZE, NODE_BYTES = 100, 4096
#: The value for "unknown" in a group's entries read.
UNKNOWN = (1 << 64) - 1
#: The values that Redis writes if a stream never used idempotent producers: duration in s, entries kept.
NO_IDMP = (100, 100)

ID = tuple[int, int]
Pairs = Sequence[tuple[bytes, bytes]]
#: An entry, and whether it is deleted.
StreamEntry = tuple[ID, Pairs, bool]


def encode_stream(type_id: int, value: Stream, o: Options = PLAINLY) -> bytes:
    """One of the five stream types; data that an older type cannot hold is left out.

    Below STREAM_LISTPACKS_5 a pending entry without an owner is only in the group's list, as old servers wrote it, so
    that it is read back unchanged.
    """
    length = len(value.entries) if value.nodes is None else value.length
    nodes = list(_nodes(value, o)) if value.nodes is None else [_node(*node, o) for node in value.nodes]
    out = [encode_length(len(nodes)), *nodes, encode_length(length), _id(value.last_id)]
    if type_id >= spec.STREAM_LISTPACKS_2:
        out += [_id(value.first_id), _id(value.max_deleted_id), encode_length(value.entries_added)]
    out.append(encode_length(len(value.groups)))
    out += [_group(type_id, group, o) for group in value.groups]
    if type_id >= spec.STREAM_LISTPACKS_4:
        out.append(_idmp(value.idmp, o))
    return b"".join(out)


def _id(stream_id: ID) -> bytes:
    return encode_length(stream_id[0]) + encode_length(stream_id[1])


# -- nodes -------------------------------------------------------------------------------------------------------------


def _nodes(value: Stream, o: Options) -> Iterator[bytes]:
    """Yield the nodes, filled as by a server that adds one entry after the other, the deleted ones among them."""
    entries: list[StreamEntry] = [(stream_id, pairs, False) for stream_id, pairs in value.entries]
    if o.deleted:
        entries += [(stream_id, pairs, True) for stream_id, pairs in o.deleted]
        entries.sort(key=lambda entry: entry[0])
    limit = NODE_BYTES if o.node_bytes is None else o.node_bytes
    node: _Node | None = None
    for entry in entries:
        if node is None or node.full(entry, o.node_size or NODE_SIZE, limit):
            yield from () if node is None else node.encode(o)
            node = _Node(entry)
        node.add(entry, o.same_fields)
    yield from () if node is None else node.encode(o)


class _Node:
    """A node being filled; `size` is that of its listpack in bytes."""

    def __init__(self, first: StreamEntry) -> None:
        self.id = first[0]
        self.names = [name for name, _ in first[1]]
        self.counts = [0, 0]
        self.items: list[bytes] = []
        self.size = listpack.measure(self._master())

    def _master(self) -> list[bytes]:
        return [*_numbers(*self.counts, len(self.names)), *self.names, b"0"]

    def full(self, entry: StreamEntry, most: int, limit: int) -> bool:
        """Return whether the entry needs a new node."""
        length = sum(len(name) + len(value) for name, value in entry[1])
        return sum(self.counts) >= most or self.size + length >= limit

    def add(self, entry: StreamEntry, same_fields: bool) -> None:
        """Append an entry."""
        (ms, seq), pairs, deleted = entry
        same = same_fields and [name for name, _ in pairs] == self.names
        items = _numbers(DELETED * deleted | SAME_FIELDS * same, _wrapped(ms - self.id[0]), _wrapped(seq - self.id[1]))
        if same:
            items += [value for _, value in pairs]
        else:
            items += [b"%d" % len(pairs), *(item for pair in pairs for item in pair)]
        items.append(b"%d" % len(items))
        self.items += items
        self.size += listpack.measure(items) - LISTPACK_AROUND
        self.counts[deleted] += 1

    def encode(self, o: Options) -> Iterator[bytes]:
        """Yield key and listpack; nothing if all entries are deleted, because such a node is not valid."""
        if self.counts[0]:
            yield _node(self.id, listpack.encode(self._master() + self.items, o.generation), o)


def _node(stream_id: ID, blob: bytes, o: Options) -> bytes:
    return encode_string(rawid(stream_id), o.compress) + encode_string(blob, o.compress)


def _numbers(*numbers: int) -> list[bytes]:
    return [b"%d" % number for number in numbers]


def _wrapped(delta: int) -> int:
    return (delta + (1 << 63)) % (1 << 64) - (1 << 63)


# -- groups ------------------------------------------------------------------------------------------------------------


def _group(type_id: int, group: Group, o: Options) -> bytes:
    owned: dict[bytes, list[ID]] = {consumer.name: [] for consumer in group.consumers}
    zone: list[ID] = []
    for pending in group.pending:
        if pending.consumer is not None and pending.consumer not in owned:
            raise ValueError(f"{pending.consumer[:40]!r} owns a pending entry but is not a consumer of the group")
        (zone if pending.consumer is None else owned[pending.consumer]).append(pending.id)
    out = [encode_string(group.name, o.compress), _id(group.last_delivered_id)]
    if type_id >= spec.STREAM_LISTPACKS_2:
        out.append(encode_length(UNKNOWN if group.entries_read is None else group.entries_read))
    out.append(encode_length(len(group.pending)))
    for pending in sorted(group.pending, key=lambda pending: pending.id):
        out += [rawid(pending.id), encode_ms(pending.delivered_at), encode_length(pending.deliveries)]
    out.append(encode_length(len(group.consumers)))
    out += [_consumer(type_id, consumer, owned[consumer.name], o) for consumer in group.consumers]
    if type_id >= spec.STREAM_LISTPACKS_5:
        out.append(_ids(zone))
    return b"".join(out)


def _consumer(type_id: int, consumer: Consumer, owned: Iterable[ID], o: Options) -> bytes:
    out = encode_string(consumer.name, o.compress) + encode_ms(consumer.seen_at)
    if type_id >= spec.STREAM_LISTPACKS_3:
        out += encode_ms(-1 if consumer.active_at is None else consumer.active_at)
    return out + _ids(sorted(owned))


def _ids(ids: Sequence[ID]) -> bytes:
    return encode_length(len(ids)) + b"".join(map(rawid, ids))


def _idmp(idmp: Idmp | None, o: Options) -> bytes:
    if idmp is None:
        return b"".join(map(encode_length, (*NO_IDMP, 0, 0, 0)))
    out = [encode_length(idmp.duration), encode_length(idmp.max_entries), encode_length(len(idmp.producers))]
    for producer, entries in idmp.producers:
        out += [encode_string(producer, o.compress), encode_length(len(entries))]
        out += [encode_string(iid, o.compress) + _id(stream_id) for iid, stream_id in entries]
    return b"".join([*out, encode_length(idmp.added), encode_length(idmp.duplicates)])


#: The stream types' part of writer.ENCODERS.
ENCODERS: dict[int, Encoder] = {
    type_id: partial(encode_stream, type_id)
    for type_id in (
        spec.STREAM_LISTPACKS,
        spec.STREAM_LISTPACKS_2,
        spec.STREAM_LISTPACKS_3,
        spec.STREAM_LISTPACKS_4,
        spec.STREAM_LISTPACKS_5,
    )
}
