"""How each release counts memory: one table, with a row for each release that changed something.

A generation is a set of numbers and names: the sizes of structs, and for each part one of a few methods by which it is
counted. memory/model.py implements the methods and does not depend on versions. Each row of `_ROWS` holds the
differences from the row before it, from a release on.

Sources: for Redis up to 7.2 and Valkey up to 8.0 `objectComputeSize` of the BSD-licensed versions. Numbers of Redis
from 7.4 and Valkey from 8.1 on are measured; those marked "fitted" were found by matching the replies of such servers
for known keys.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from rdbkit.releases.allocators import ALLOCATORS
from rdbkit.releases.table import Version
from rdbkit.releases.target import Target


@dataclass(frozen=True, slots=True)
class Generation:
    """How a group of releases counts. Numbers are bytes, unless stated otherwise.

    `key`: how the key is counted: "word", "argument", "stored" (an sds and a dict entry), "entry" (inside the dict
    entry), "object" (inside the value's object), "none". `key_extra` is added in cluster mode.
    `text`: how an sds counts: "request", "class", or "short request" (by request where the header is one byte).
    `embedded`: how an embstr counts: "sum" (18 + length), "value" (its allocation), "shared" (with the key).
    `blob`, `pack`, `packed_object`: whether listpacks, those of streams, and objects count by "class" or "request".
    `average`: the number by which the size of a list's nodes is divided: "nodes", "elements", "times elements" (a
    mistake of 4.0).
    `table`: "dict" or "hashtable". `ranks`: where a sorted set keeps its members: "apart" (separately), or "node".
    `stream_trees`: "recipe" (a fixed sum per key and node) or "real".
    """

    key: str = "word"
    key_extra: int = 0
    text: str = "request"
    embedded: str = "sum"
    blob: str = "request"
    pack: str = "request"
    object_by: str = "class"
    table: str = "dict"
    dict: int = 96
    set_entry: int = 24
    hash_entry: int = 24
    zset_entry: int = 24
    #: Whether chained entries lose their own allocation where they are last in their slot (Valkey 8.0).
    set_tails: bool = False
    hash_tails: bool = False
    zset_tails: bool = False
    #: In addition to robj and dict: the zset struct, and from 5.0.6 on the skiplist's and its header node.
    zset: int = 16
    header: int = 0
    #: Whether skiplist and header are one struct, counted by its size (in `zset`).
    header_in: bool = False
    ranks: str = "apart"
    #: The size of a node that holds its member, without levels and text.
    rank_head: int = 16
    #: Whether pending entries are also in one tree over all groups.
    pending_union: bool = False
    rank: int = 24
    quicklist: int = 40
    node: int = 32
    average: str = "times elements"
    lzf_head: int = 0
    #: The struct for the listpack of a hash with expiries, and whether by "class" or "request".
    listpackex: int = 32
    listpackex_by: str = "request"
    #: Field of a hash: "sds", "mstr" (7.4), "entry" (one block with its value where that is small).
    field: str = "sds"
    entry_by: str = "class"
    #: The smallest header of a field's text in such an entry if its value is separate: "sds", or always 3 and a zero
    #: (fitted, on fields of up to 255 bytes).
    entry_head: str = "fitted"
    #: The bytes before a field with an expiry, and the smallest header of its text.
    field_expiry: int = 8
    expiring_header: int = 1
    stream: int = 0
    stream_trees: str = "recipe"
    #: The struct of a radix tree, where it counts, and whether by "class" or "request".
    tree: int = 0
    tree_by: str = "request"
    #: Whether the trees of names, and one of all pending entries, count (else only pending entries by group, consumer).
    group_trees: bool = False
    #: Whether leaves of a radix tree take no memory.
    inline: bool = False
    #: Whether these are allocations, not the result of MEMORY USAGE: an expiry has its own entry, small integers none.
    heap: bool = False
    #: Whether the size of pending entries without an owner (XNACK) is known.
    zone_known: bool = True
    #: Whether a hash keeps its fields with expiries in a separate set: a vector up to this number, 0: none; and the
    #: pointer to it that each hash table of a hash has.
    expiring_vector: int = 0
    expiring_set: int = 0
    group: int = 32
    consumer: int = 24
    nack: int = 24
    #: What is allocated, but not counted, for each id that any group has pending, and for each group that has it.
    pending_id: int = 0
    pending_link: int = 0
    #: Presizing: of loose hashes and sorted sets, of a hash made from a blob, of a sorted set,
    #: of sets at any conversion, of all.
    presize_loose: bool = False
    presize_hash: bool = False
    presize_zset: bool = False
    presize_set: bool = False
    presize_all: bool = False


_ROWS: tuple[tuple[str, Version, dict[str, Any]], ...] = (
    ("redis", (4, 0, 0), {"pending_union": True}),
    ("redis", (4, 0, 3), {"key": "argument"}),
    ("redis", (4, 0, 7), {"average": "nodes"}),
    ("redis", (5, 0, 0), {"presize_loose": True}),
    ("redis", (5, 0, 3), {"key": "stored"}),
    # 32 levels, but 64 in 5.0: the header node has 24 bytes, and 16 for each level.
    ("redis", (5, 0, 6), {"zset": 16 + 32, "header": 24 + 16 * 64}),
    ("redis", (6, 0, 0), {"header": 24 + 16 * 32}),
    ("redis", (6, 0, 9), {"text": "class"}),
    ("redis", (6, 2, 5), {"stream": 40}),
    ("redis", (6, 2, 12), {"pack": "class"}),
    (
        "redis",
        (7, 0, 0),
        {
            "embedded": "value",
            "blob": "class",
            "pack": "request",
            "dict": 56,
            "node": 40,
            "lzf_head": 8,
            "stream": 80,
            "group": 40,
            "key_extra": 16,
            "presize_hash": True,
        },
    ),
    ("redis", (7, 0, 10), {"pack": "class"}),
    ("redis", (7, 2, 0), {"consumer": 32, "key_extra": 8, "presize_zset": True, "presize_set": True}),
    ("redis", (7, 4, 0), {"field": "mstr", "key_extra": 0}),
    ("redis", (8, 0, 0), {"average": "elements"}),
    (
        "redis",
        (8, 2, 0),
        {
            "key": "object",
            "embedded": "shared",
            # 24 with the bundled jemalloc, 32 with one whose quantum is 16.
            "listpackex": 24,
            "listpackex_by": "class",
            "stream": 112,
            "nack": 32,
            # Fitted: a tree of the ids that any group has pending, with a list for each of the groups that have it.
            "pending_id": 48,
            "pending_link": 24,
            "zset_entry": 16,
        },
    ),
    (
        # Fitted.
        "redis",
        (8, 6, 0),
        {
            "text": "short request",
            "blob": "request",
            "pack": "request",
            "listpackex_by": "request",
            "quicklist": 48,
            "node": 48,
            "zset_entry": 24,
            "zset": 16 + 48,
            "ranks": "node",
            "field": "entry",
            "entry_by": "request",
            "stream": 192,
            "stream_trees": "real",
            "group": 128,
            "consumer": 64,
            "nack": 64,
            "pending_id": 0,
            "pending_link": 0,
            "presize_all": True,
            "field_expiry": 16 + 2,
            "group_trees": True,
            "tree": 32,
        },
    ),
    # Fitted.
    (
        "redis",
        (8, 10, 0),
        {
            "object_by": "request",
            "node": 40,
            "set_entry": 16,
            "hash_entry": 16,
            "zset_entry": 16,
            "stream": 200,
            "inline": True,
            "tree": 40,
            "group": 160,
            "consumer": 88,
            "zone_known": False,
        },
    ),
    (
        "valkey",
        (7, 2, 0),
        {
            "key": "stored",
            "text": "class",
            "embedded": "value",
            "blob": "class",
            "pack": "class",
            "dict": 56,
            "zset": 16 + 32,
            "header": 24 + 16 * 32,
            "node": 40,
            "average": "nodes",
            "lzf_head": 8,
            "stream": 80,
            "group": 40,
            "consumer": 32,
            "key_extra": 8,
            "presize_loose": True,
            "presize_hash": True,
            "presize_zset": True,
            "presize_set": True,
        },
    ),
    ("valkey", (8, 0, 0), {"key": "entry", "key_extra": 0, "set_entry": 0, "set_tails": True}),
    (
        "valkey",
        (8, 1, 0),
        {
            "key": "none",
            "embedded": "shared",
            "table": "hashtable",
            "dict": 72,
            "set_entry": 0,
            "set_tails": False,
            "hash_entry": 0,
            "zset_entry": 0,
            "field": "entry",
            "entry_head": "sds",
            "stream_trees": "real",
            "tree": 32,
            "tree_by": "class",
        },
    ),
    # Measured on 9.0.0.
    (
        "valkey",
        (9, 0, 0),
        {"key": "object", "expiring_set": 8, "expiring_header": 3, "expiring_vector": 127},
    ),
    # Fitted: structs and the node that holds its member. 9.2 has the same objects; what is new in it, model.py leaves
    # unknown.
    (
        "valkey",
        (9, 1, 0),
        {
            "embedded": "compact",
            "dict": 80,
            "ranks": "node",
            "rank_head": 17,
            "zset": 16 + 528,
            "header": 0,
            "header_in": True,
        },
    ),
)


#: Corrections for what MEMORY USAGE omits or counts differently, to get the actual allocations.
_REAL: dict[str, Any] = {
    "text": "class",
    "embedded": "value",
    "blob": "class",
    "pack": "class",
    "object_by": "class",
    "entry_by": "class",
    "average": "nodes",
    "zset": 16 + 32,
    "lzf_head": 8,
    "stream_trees": "real",
    "tree": 24,
    "group_trees": True,
    "heap": True,
}


#: Structs with a separate allocation.
_STRUCTS = (
    "dict", "set_entry", "hash_entry", "zset_entry", "quicklist", "node", "listpackex", "stream", "tree", "group",
    "consumer", "nack", "pending_id", "pending_link",
)  # fmt: skip


def heap_generation(target: Target) -> Generation | None:
    """Return how a target actually allocates, for comparison with used_memory. Close, not exact."""
    found = generation(target)
    if found is None:
        return None
    changes = dict(_REAL)
    if found.key in ("word", "argument"):
        changes["key"] = "stored"
    if found.key in ("object", "none"):
        changes["embedded"] = found.embedded if found.embedded == "compact" else "shared"
        changes["key"] = "object"
    changes["header_in"] = False
    changes["header"] = found.header or 24 + 16 * (64 if target.version[:2] == (5, 0) else 32)
    changes["stream"] = found.stream or 40
    if found.table == "dict":
        # Redis 8.2 says 16.
        changes["zset_entry"] = 24
    if target.version >= (7, 2) and found.table == "dict":
        changes |= {"set_entry": 0, "set_tails": True}
        # An entry that contains its value (hash) or its score (sorted set) needs no entry in the dict.
        if found.field == "entry":
            changes |= {"hash_entry": 0, "hash_tails": True}
        if found.ranks == "node":
            changes |= {"zset_entry": 0, "zset_tails": True}
    found = replace(found, **changes)
    z = ALLOCATORS[target.allocator]
    structs: dict[str, Any] = {name: z(getattr(found, name)) for name in _STRUCTS if getattr(found, name)}
    return replace(found, **structs)


def generation(target: Target) -> Generation | None:
    """Return how MEMORY USAGE counts on a target; None for releases without it (before 4.0)."""
    found = None
    for product, since, changes in _ROWS:
        if product == target.product and since <= target.version:
            found = replace(found or Generation(), **changes)
    return found
