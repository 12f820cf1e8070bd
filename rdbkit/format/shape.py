"""The shape of an entry, known without building its value: a flat tuple per key, filled in the compiled loop.

Encoding, memory and every statistic use only this. The names below are the positions in the tuple; lengths are bytes.
A blob is a listpack, ziplist, intset or zipmap held in one string. Only its head is read, unless its count is "unknown"
or a target's rule depends on its items.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

#: The thirteen positions up to DETAIL; of a walk for memory (memory_walk.py) also those after it, except for strings.
Shape = tuple[Any, ...]

#: Elements as the type's length command counts them (a string is 1; fields, entries, members); -1: unknown (modules).
ELEMENTS: Final = 0
#: String: logical length. Otherwise the sum of the logical lengths of the items walked one by one (0 for blobs).
LENGTH: Final = 1
#: Longest item walked: member, field or value (template hashes: values only).
LONGEST: Final = 2
#: Index of the first element with an item longer than the target's `*-max-*-value` for the type; -1: none.
OVER: Final = 3
#: Index of the first item that is not a canonical 64-bit decimal; -1: all are. For strings and sets.
TEXT: Final = 4
#: Smallest and greatest of the integers before it (strings, sets); 0, 0 if there are none. For an intset, LOW only.
LOW: Final = 5
HIGH: Final = 6
#: Logical bytes of all blobs and PLAIN nodes.
BLOB: Final = 7
#: The same as stored: compressed where they are.
STORED: Final = 8
#: Quicklist nodes, stream nodes; 1 for a type that is one blob; 0 for a type that is written item by item.
NODES: Final = 9
#: How many quicklist nodes are PLAIN.
PLAIN: Final = 10
#: Bytes as listpacks: blobs after a server >= 7.0 converted them, lists of type 1 as such a server pushes them (sum of
#: nodes).
LISTPACK: Final = 11
#: With memory: for a stream a StreamDetail, for a hash the number of fields with an expiry (None: there are none), for
#: an array whether COST is known. For a hash that refers to a template of the file, the template's id. Else None.
DETAIL: Final = 12
#: Sums of the target's prices (memory/price_tables.py), in 1/65536 byte: members of a set or sorted set, pairs of a
#: hash, if the target allocates them one by one; values of a hash with a template; nodes of a quicklist; listpacks of a
#: stream; an array as a whole.
COST: Final = 13
#: Variance of COST, in 1/65536 byte².
VARIANCE: Final = 14
#: Bytes of the entries of the blob that the target makes of a collection written item by item, without the blob's head.
PACKED: Final = 15
#: The shape by a second set of prices, if the walk was given one (Walker.beside) and the body was short enough.
BESIDE: Final = 16

EMPTY: Shape = (0, 0, 0, -1, -1, 0, 0, 0, 0, 0, 0, 0, None)


class Idempotency(NamedTuple):
    """A stream's idempotency data: number of ids and length of the name of each producer."""

    producers: int
    ids: tuple[int, ...]
    names: tuple[int, ...]
    #: The tree of the producers' names.
    tree: int


class StreamDetail(NamedTuple):
    """A stream's trees, groups and consumers; costs in 1/65536 byte."""

    #: Keys and nodes of the main tree and of all trees of pending entries.
    keys: int
    nodes: int
    #: Cost of the nodes of the main tree.
    main: int
    groups: int
    #: The tree of the groups' names.
    group_tree: int
    #: Entries pending in all groups, those of them that a consumer owns, consumers, bytes of their names, and the cost
    #: of these names as strings.
    pending: int
    owned: int
    consumers: int
    name_bytes: int
    names: int
    #: Trees of pending entries by group and by consumer, and of consumers' names.
    group_pending: int
    own_pending: int
    consumer_trees: int
    #: One tree of all groups' pending entries; -1: unknown.
    union: int
    idempotency: Idempotency | None


#: The name under which `extra` of an entry has a Replayed.
REPLAYED: Final = "replayed"


class Replayed(NamedTuple):
    """What a replay knows of a key beside its value.

    `offset` is that of the command that wrote it last; `encoding` is None where the value decides; `slots` is the
    number of slots of its hash table with its variance (negative: unknown), None where a load decides; `room` is the
    number of bytes that were requested for a string that was changed in place, or for the last listpack of a stream,
    which has `tail` bytes, 0 for others; `reserved`: the object has space for an expiry, though the key has none.
    `emptied` is the number of a stream's trees with ids of which all were removed, `drained` those of pending entries
    among them, `linked`: so is the one of all pending entries.
    """

    offset: int
    encoding: str | None
    slots: tuple[float, float] | None = None
    room: int = 0
    reserved: bool = False
    tail: int = 0
    emptied: int = 0
    drained: int = 0
    linked: bool = False
