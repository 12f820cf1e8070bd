"""The reply of MEMORY USAGE key SAMPLES 0 after the target has loaded the file.

    row of the walker ── encoding ──► rule of (kind, encoding) ──► (bytes, standard deviation)
         └ shape, walked with the target's prices ┘

The figure is a formula over lengths and counts. It is exact (deviation 0) if the server's allocations are not random.
The levels of a skiplist and the fill of buckets are random: then the figure is an expectation, with its deviation. With
glibc every allocation can be larger, depending on what was freed before (releases/allocators.py), so no figure that
counts one is exact. If only a module knows the size, or it is not known how the server counts, the figure is None:
never a guess, never 0.

The figures apply directly after a load: a server that has run for a while has unused space in its strings and
pre-allocated stream nodes.

The tables are in releases/memory_layouts.py, which names the sources, releases/allocators.py, hash_tables.py and
prices.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import ceil, sqrt
from typing import Any

from rdbkit.format import spec
from rdbkit.format.shape import (
    BLOB,
    COST,
    DETAIL,
    ELEMENTS,
    HIGH,
    LENGTH,
    LISTPACK,
    LOW,
    NODES,
    OVER,
    PACKED,
    REPLAYED,
    TEXT,
    VARIANCE,
    Replayed,
    StreamDetail,
)
from rdbkit.memory import hash_tables
from rdbkit.memory.price_tables import UNIT, PriceTables
from rdbkit.memory.prices import Prices, inner_sds, sds
from rdbkit.releases import encodings
from rdbkit.releases.allocators import chance
from rdbkit.releases.limits import count_limit
from rdbkit.releases.memory_layouts import generation, heap_generation
from rdbkit.releases.target import Target
from rdbkit.wire import listpack

#: Bytes and their standard deviation (0: exact); None, None: unknown.
Figure = tuple[int | None, int | None]
#: A value's memory without its object: bytes, variance, and separately, if there is one, an average times a number (the
#: server adds it last, in doubles, and truncates the sum to a whole number); None: unknown.
ValueCost = tuple[float, float] | tuple[float, float, float] | None
#: (type id, shape) -> part.
CostRule = Callable[[int, Any], ValueCost]

UNKNOWN: Figure = (None, None)
_KEYS = 1024
_OBJECT = 16
#: The encodings with a hash table.
_TABLED = ("hashtable", "skiplist", "btree")
#: Integers from 0 to below this have one object shared by all keys.
SHARED = 10_000
#: A hash template without its names.
_TEMPLATE = 80
_INTEGERS = (1 << 15, 1 << 31)


class Model:
    """The memory of keys on one target: call it with one of the walker's tuples, walked with `prices`.

    `heap`: the actual allocations, instead of the reply of MEMORY USAGE; what keys share is in heap.overhead.
    `prices` is None if the target has no MEMORY USAGE (before 4.0): then every key's memory is unknown.
    """

    def __init__(
        self,
        target: Target,
        encode: encodings.Encoding | None = None,
        heap: bool = False,
        templates: TemplateUse | None = None,
    ) -> None:
        self.target = target
        self.encode = encode or encodings.rules(target)
        self.templates = templates or TemplateUse({})
        self.prices: PriceTables | None = None
        self.known: dict[int, tuple[str | None, int | None, int | None]] = {}
        """Encoding, bytes and deviation of strings that were computed before (rows.key_rows)."""
        self.settled = not chance(target.allocator, 1, 0)
        """Whether the allocator always returns the same size for the same request."""
        gen = heap_generation(target) if heap else generation(target)
        if gen is not None:
            prices = Prices(target, gen)
            self.prices = prices.tables()
            self._strings = _Strings(prices)
            self._values = _Values(prices, self.templates)

    def __call__(self, row: tuple[Any, ...]) -> Figure:
        """Return bytes and standard deviation of an entry, which must have a shape."""
        kind, shape, key, expires = row[3], row[9], len(row[2]), row[4] is not None
        return self.of(kind, shape, key, expires, self.encode(kind, shape, key, expires), row[11])

    def of(self, kind: int, shape: Any, key: int, expires: bool, encoding: str | None, extra: Any = None) -> Figure:
        """Return the same for a key of `key` bytes whose encoding is known already."""
        if self.prices is None or encoding is None:
            return UNKNOWN
        # Module metadata of a key is stored before its object, eight bytes for each class.
        more = 8 * len(extra["meta"]) if extra and "meta" in extra else 0
        replayed = extra.get(REPLAYED) if extra else None
        expires = expires or (replayed is not None and replayed.reserved)
        if kind == spec.STRING:
            length = shape[LENGTH]
            size = self._strings.of(encoding, length, key, expires, more, 0 <= shape[LOW] < SHARED)
            if replayed is not None and replayed.room:
                size += self._strings.room(replayed.room, length)
            pieces = 0 if self.settled else self._strings.pieces(encoding)
            return size, self._deviation(chance(self.target.allocator, pieces, key + length)) if pieces else 0
        rule = self._values.rules.get(encoding)
        found = self._values.replayed = extra.get(REPLAYED) if extra else None
        is_known = found is None or found.slots is None or found.slots[1] >= 0 or encoding not in _TABLED
        part = rule(kind, shape) if rule and is_known else None
        if part is None:
            return UNKNOWN
        variance = part[1]
        head = self._strings.head(key, expires, more)
        if len(part) > 2:
            # The object is in the sum that is truncated, a separate key is not.
            inside = self._strings.inside or head
            memory = int(part[0] + inside + part[2]) + head - inside
        else:
            memory = round(part[0] + head) if variance else int(part[0] + head)
        if not self.settled:
            pieces, size, nodes = self._values.pieces(encoding, kind, shape)
            variance += chance(self.target.allocator, pieces + self._strings.pieces("int"), size + key, nodes)
        return memory, self._deviation(variance)

    @staticmethod
    def _deviation(variance: float) -> int:
        return max(1, ceil(sqrt(variance))) if variance else 0


# -- keys and strings ------------------------------------------------------------------------------------------------


class _Strings:
    """Objects: the memory of a key of some length without its value, and of whole strings."""

    def __init__(self, prices: Prices) -> None:
        self.prices = prices
        gen = self.gen = prices.gen
        self.entry = prices.z(24)
        self.inside = 0 if gen.key == "object" else _OBJECT
        """The bytes of a key and its object that are summed up together with the value's; 0: all of them."""
        entry = self.entry if gen.heap else 24
        settings = prices.target.settings
        evicts = settings.maxmemory and settings.maxmemory_policy.endswith(("-lru", "-lfu", "-lrm"))
        # Keys with the same number from 0 to 9999 share one object, unless it must record its use (LRU, LFU).
        self.shares = gen.heap and gen.key in ("stored", "entry") and not evicts
        self.cluster = gen.key_extra if prices.target.settings.cluster_enabled else 0
        heads: dict[str, Callable[[int, bool, int], int]] = {
            "word": lambda key, expires, more: _OBJECT + 33,
            "argument": lambda key, expires, more: _OBJECT + 24 + (key + 4 if key <= 44 else sds(key)),
            "stored": lambda key, expires, more: _OBJECT + entry + self.cluster + prices.text(key),
            "entry": lambda key, expires, more: _OBJECT + prices.z(17 + inner_sds(key)),
            "object": self._object,
            "none": lambda key, expires, more: _OBJECT,
        }
        self._head = heads[gen.key]
        self.heads = [[self._head(key, expires, 0) for key in range(_KEYS)] for expires in (False, True)]
        shared: dict[str, Callable[[int, int, bool, int], int]] = {
            "sum": lambda value, key, expires, more: 2 + value + self.head(key, expires),
            "value": lambda value, key, expires, more: prices.z(20 + value) - _OBJECT + self.head(key, expires),
            "shared": self._with_key,
            "compact": self._compact,
        }
        self._shared = shared[gen.embedded]

    def _object(self, key: int, expires: bool, more: int) -> int:
        # With a long key, space for its expiry is allocated in advance.
        room = 8 if expires or key >= 128 else 0
        return self.prices.object(17 + room + more + inner_sds(key))

    def _with_key(self, value: int, key: int, expires: bool, more: int) -> int:
        return self.prices.z(21 + value + (8 if expires else 0) + more + inner_sds(key))

    def _compact(self, value: int, key: int, expires: bool, more: int) -> int:
        return self.prices.z(9 + (8 if expires else 0) + more + inner_sds(key) + max(8, value + 4))

    def head(self, key: int, expires: bool, more: int = 0) -> int:
        """Return the bytes of the key and the value's object, with `more` bytes before it."""
        if self.gen.heap and expires and self.prices.gen.key in ("stored", "entry"):
            return self.heads[0][key] + self.entry if key < _KEYS else self._head(key, False, more) + self.entry
        return self.heads[expires][key] if key < _KEYS and not more else self._head(key, expires, more)

    def of(self, encoding: str, value: int, key: int, expires: bool, more: int = 0, shared: bool = False) -> int:
        """Return the bytes of a string of `value` bytes with its key; `shared`: if a number, it is from 0 to 9999."""
        if encoding == "int":
            return self.head(key, expires, more) - (_OBJECT if shared and self.shares else 0)
        if encoding == "embstr":
            return self._shared(value, key, expires, more)
        return self.head(key, expires, more) + self.prices.text(value)

    def room(self, requested: int, value: int) -> int:
        """Return how much more than usual a string takes for which so many bytes were requested."""
        size = requested if self.gen.text == "request" else self.prices.z(requested)
        return size - self.prices.text(value)

    def pieces(self, encoding: str) -> int:
        """Return how many allocations of a key and its string are counted by the size that the allocator returned."""
        gen = self.gen
        if encoding == "embstr" and gen.embedded in ("shared", "compact"):
            return 1
        by_class = {"stored": gen.text != "request", "entry": True, "object": gen.object_by == "class"}
        head = int(by_class.get(gen.key, False)) + (1 if gen.heap else 0)
        if encoding == "embstr":
            return head + (1 if gen.embedded == "value" else 0)
        return head + (1 if encoding == "raw" and gen.text != "request" else 0)


# -- collections -----------------------------------------------------------------------------------------------------


class TemplateUse:
    """The hash templates of a file: `fields` by id, and how many keys have each (`users`, None: not known)."""

    def __init__(self, fields: Mapping[int, tuple[bytes, ...]]) -> None:
        self.fields = fields
        self.users: Mapping[int, int] | None = None

    def share(self, template: int, z: Callable[[int], int]) -> int | None:
        """Return a key's share of the bytes of its template, as the server divides them; None: not known."""
        users = self.users
        if not users or template not in self.fields or not users.get(template):
            return None
        return sum((8 + z(sds(len(name))) for name in self.fields[template]), _TEMPLATE) // users[template]


class _Values:
    """A rule per encoding; each returns the value's memory without its object."""

    def __init__(self, prices: Prices, templates: TemplateUse) -> None:
        self.prices = prices
        self.templates = templates
        self.shares: dict[int, int | None] = {}
        """A key's share of its template, by the template's id."""
        self.replayed: Replayed | None = None
        """What a replay knows of the key that is computed."""
        gen = self.gen = prices.gen
        self.dict = gen.table == "dict"
        self.target = prices.target
        header = gen.header or (24 + 16 * 32 if gen.ranks == "node" and not gen.header_in else 0)
        self.header = prices.z(header) if header else 0
        beside = prices.z(gen.listpackex) if gen.listpackex_by == "class" else gen.listpackex
        self.rules: dict[str, CostRule] = {
            "quicklist": self._quicklist,
            "listpack": self._compact,
            "ziplist": self._compact,
            "listpackex": lambda kind, shape: self._plus(self._compact(kind, shape), beside),
            "intset": self._intset,
            "hashtable": self._hashtable,
            "skiplist": self._skiplist,
            "stream": self._stream,
            "unknown": self._stream,
            "template-listpack": self._templated,
            "template-array": self._templated,
            "sliced-array": lambda kind, shape: (shape[COST] // UNIT, 0) if shape[DETAIL] else None,
        }

    def pieces(self, encoding: str, kind: int, shape: Any) -> tuple[int, int, int]:
        """Return about how many allocations are counted by the size that the allocator returned, and the largest size.

        The third number is how many of them are nodes of radix trees.
        """
        gen, count = self.gen, shape[ELEMENTS]
        blob = gen.blob == "class"
        size = max(shape[BLOB], shape[LISTPACK], shape[LENGTH])
        text = count if gen.text != "request" else 0
        if encoding == "quicklist":
            return shape[NODES] if blob else 0, size, 0
        if encoding == "hashtable":
            return text if kind in _SETS else 2 * text, size, 0
        if encoding == "skiplist":
            return count + (text if gen.ranks == "apart" else 0), size, 0
        if encoding not in ("stream", "unknown"):
            return 1 if blob else 0, size, 0
        packs = shape[NODES] if gen.pack == "class" else 0
        if gen.stream_trees == "recipe":
            return packs, size, 0
        detail = shape[DETAIL]
        return packs + detail.nodes + 1 + detail.groups + detail.consumers, size, detail.nodes

    @staticmethod
    def _plus(part: ValueCost, size: float) -> ValueCost:
        return None if part is None else (part[0] + size, part[1])

    def _average(self, base: float, cost: int, count: int, variance: float) -> ValueCost:
        """Add the memory of the elements, as the server does: average times number, in doubles.

        `cost` and `variance` are in units.
        """
        if variance or cost % UNIT:
            return base + cost / UNIT, max(variance / UNIT, 1.0)
        return base, 0.0, cost / UNIT / count * count if count else 0.0

    # -- lists, blobs --

    def _quicklist(self, kind: int, shape: Any) -> ValueCost:
        gen = self.gen
        nodes = shape[NODES]
        if shape[COST] < 0:
            # It has nodes that the target compresses, and what becomes of them is not known.
            return None
        cost = shape[COST] // UNIT + nodes * gen.node
        base = gen.quicklist
        count = nodes
        if gen.average == "elements":
            count = shape[ELEMENTS]
        elif gen.average == "times elements":
            return base, 0.0, cost / nodes * shape[ELEMENTS] if nodes else 0.0
        return self._average(base, cost * UNIT, count, 0)

    def _compact(self, kind: int, shape: Any) -> ValueCost:
        """One blob: as it was in the file, converted by the load, or made of items that were written one by one."""
        if kind == spec.HASH_2:
            # Valkey 9.2 keeps expiries in the listpack; how long its entries are is not known.
            return None
        blob = self.prices.blob
        if kind in _LOOSE:
            size = shape[PACKED] + (11 if not self.target.has("listpack") else 7)
            if kind == spec.SET and shape[TEXT] > 0:
                size = max(size, _room_for_integers(shape[TEXT], shape[LOW], shape[HIGH]))
            return blob(size), 0
        return blob(shape[LISTPACK] if self.target.has("listpack") else shape[BLOB]), 0

    def _intset(self, kind: int, shape: Any) -> ValueCost:
        size = shape[BLOB]
        if kind == spec.SET:
            low, high = shape[LOW], shape[HIGH]
            width = next((w for w, top in zip((2, 4), _INTEGERS) if -top <= low and high < top), 8)
            size = 8 + width * shape[ELEMENTS]
        return self.prices.blob(size), 0

    def _templated(self, kind: int, shape: Any) -> ValueCost:
        """The values alone, after the template's id in a listpack or one by one; and a share of the template."""
        template = shape[DETAIL]
        # Servers number templates from 0, so an id that does not fit in a signed word was not written by one.
        if template is None or not 0 <= template < 1 << 63:
            return None
        if template not in self.shares:
            self.shares[template] = self.templates.share(template, self.prices.z)
        share = self.shares[template]
        if share is None:
            return None
        packs = shape[ELEMENTS] <= count_limit(self.target, kind)
        if kind == spec.HASH_TMPL_LP_REF:
            return (self.prices.blob(shape[BLOB]) + share, 0) if packs else None
        if packs and shape[OVER] < 0:
            return self.prices.blob(8 + listpack.integer_size(template) + shape[PACKED]) + share, 0
        return 16 + 8 * shape[ELEMENTS] + shape[COST] // UNIT + share, 0

    # -- hash tables --

    def _hashtable(self, kind: int, shape: Any) -> ValueCost:
        is_set = kind in _SETS
        count = shape[ELEMENTS]
        if not self.dict:
            if kind == spec.HASH_2 and count <= count_limit(self.target, kind):
                # Converted from a listpack when the first long item was met: its table is not known.
                return None
            part = self._buckets(kind, shape, self.gen.dict + (0 if is_set else self.gen.expiring_set))
            return self._volatile(part, shape[DETAIL] or 0) if kind == spec.HASH_2 else part
        if self.replayed is not None and self.replayed.slots is not None:
            size, variance = self.replayed.slots
        else:
            size, variance = self._set_slots(kind, shape) if is_set else self._hash_slots(kind, shape)
        if self.gen.heap:
            size = self.prices.z(round(8 * size)) / 8
        entry = self.gen.set_entry if is_set else self.gen.hash_entry
        base = self.gen.dict + 8 * size
        variance *= 64
        cost = shape[COST] + count * entry * UNIT
        if self.gen.set_tails if is_set else self.gen.hash_tails:
            # The last of the members that share a slot needs no separate entry.
            taken, spread = hash_tables.full_buckets(count, int(size))
            return base + cost / UNIT + 16 * (count - taken), max(1.0, variance + 256 * spread)
        return self._average(base, cost, count, variance * UNIT)

    def _volatile(self, part: ValueCost, expiring: int) -> ValueCost:
        """Add the index of a hash's fields with expiries: nothing for one field, a vector of pointers for more.

        Fitted on vectors of three and four; above the limit it is a tree of vectors by time, whose size is not known.
        """
        if expiring > self.gen.expiring_vector:
            return None
        return self._plus(part, self.prices.z(8 + 8 * expiring)) if expiring > 1 else part

    def _buckets(self, kind: int, shape: Any, base: float) -> ValueCost:
        count = shape[ELEMENTS]
        if kind in _LOOSE_HASHES and count <= count_limit(self.target, kind):
            # It was a listpack until its first long item.
            size, variance = hash_tables.refilled(shape[OVER], count)
        else:
            size, variance = hash_tables.hashtable(count, hash_tables.buckets(count))
        return base + size + shape[COST] / UNIT, max(1.0, variance + shape[VARIANCE] / UNIT)

    def _set_slots(self, kind: int, shape: Any) -> tuple[float, float]:
        count, integers = shape[ELEMENTS], shape[TEXT]
        loose = kind == spec.SET and count <= count_limit(self.target, spec.SET)
        if self.gen.presize_set or not loose or integers <= 0:
            return hash_tables.slots(count), 0.0
        return hash_tables.after_integers(integers, count)

    def _hash_slots(self, kind: int, shape: Any) -> tuple[float, float]:
        gen, count = self.gen, shape[ELEMENTS]
        expiring = kind in (spec.HASH_METADATA, spec.HASH_METADATA_PRE_GA)
        if kind in _LOOSE:
            if count > count_limit(self.target, kind):
                # From 7.4 on, the table into which fields with expiries are loaded is not enlarged in advance.
                return (
                    hash_tables.grown(count) if expiring or not gen.presize_loose else (hash_tables.slots(count), 0.0)
                )
            if gen.presize_all:
                return hash_tables.slots(count), 0.0
            # Measured on 8.2.3: with expiries the table is enlarged for the rest before the long field is added.
            return hash_tables.converted(shape[OVER], count, gen.presize_hash, gen.presize_loose, expiring)
        return (hash_tables.slots(count), 0.0) if gen.presize_hash else hash_tables.grown(count)

    # -- sorted sets --

    def _skiplist(self, kind: int, shape: Any) -> ValueCost:
        gen, count = self.gen, shape[ELEMENTS]
        # Before 5.0.6 the structs of the skiplist and of the dict were not counted.
        base = float(gen.zset + self.header + (gen.dict if self.header or gen.header_in else 0))
        if not self.dict:
            return self._buckets(kind, shape, base)
        presized = gen.presize_loose if kind in _LOOSE else gen.presize_zset
        size, variance = (hash_tables.slots(count), 0.0) if presized else hash_tables.grown(count)
        if self.replayed is not None and self.replayed.slots is not None:
            size, variance = self.replayed.slots
        base += 8 * size + count * gen.zset_entry + shape[COST] / UNIT
        variance = 64 * variance + shape[VARIANCE] / UNIT
        if gen.zset_tails:
            taken, spread = hash_tables.full_buckets(count, int(size))
            return base + 16 * (count - taken), max(1.0, variance + 256 * spread)
        return base, max(1.0, variance)

    # -- streams --

    def _stream(self, kind: int, shape: Any) -> ValueCost:
        detail, packs = shape[DETAIL], shape[COST] // UNIT
        if self.replayed is not None and self.replayed.room and self.gen.pack == "class":
            packs += self.prices.pack(self.replayed.room) - self.prices.pack(self.replayed.tail)
        if self.gen.stream_trees == "recipe":
            return self._recipe(detail, packs), 0
        return self._with_emptied(self._real_stream(detail, packs))

    def _with_emptied(self, part: ValueCost) -> ValueCost:
        """Add what trees have allocated that commands filled and emptied, to the memory of a stream."""
        if part is None or self.replayed is None or not self.replayed.emptied:
            return part
        replayed, size = self.replayed, part[0]
        step = self.prices.z(_EMPTIED) - self.prices.z(_EMPTY)
        size += replayed.emptied * step
        if replayed.linked and self.gen.pending_union:
            size += self.gen.tree + self.prices.z(_EMPTIED)
        if not self.gen.group_trees or not (replayed.linked or replayed.drained):
            return size, 0
        # The root of a tree that had several keys may have less.
        variance = (replayed.emptied + 1) * step**2
        return (size, variance) if variance < (size / 100) ** 2 else None

    def _recipe(self, detail: StreamDetail, packs: int) -> int:
        """The reply of servers that count a fixed size for each key and node of a radix tree."""
        gen = self.gen
        size = gen.stream + 16 * detail.keys + 244 * detail.nodes + packs
        size += detail.groups * gen.group + detail.pending * gen.nack
        return size + detail.consumers * gen.consumer + detail.name_bytes

    def _real_stream(self, detail: StreamDetail, packs: int) -> ValueCost:
        gen = self.gen
        size = gen.stream + (detail.main + detail.group_pending + detail.own_pending) // UNIT + packs
        size += detail.groups * gen.group + detail.pending * gen.nack + detail.consumers * gen.consumer
        if not gen.group_trees:
            tree = self.prices.z(gen.tree) if gen.tree_by == "class" else gen.tree
            return size + tree * (1 + detail.groups + detail.consumers) + detail.name_bytes, 0
        # The size of idempotency data is not known.
        if detail.union < 0 or (detail.idempotency is not None and detail.idempotency.producers):
            return None
        if detail.owned < detail.pending and not gen.zone_known:
            return None
        if gen.heap:
            size += gen.tree * (1 + 2 * detail.groups + detail.consumers)
            if detail.pending and gen.pending_id:
                # The sizes of the trees give the number of different ids.
                ids = detail.pending * detail.union // detail.group_pending
                size += gen.tree + detail.union // UNIT + gen.pending_id * ids + gen.pending_link * detail.pending
        if detail.groups:
            size += gen.tree + (detail.group_tree + detail.consumer_trees + detail.names) // UNIT
        if detail.pending and not gen.heap:
            size += gen.tree + detail.union // UNIT
        return size, 0


#: The root of a tree that never had a key, and of one that lost all its keys of 16 bytes.
_EMPTY, _EMPTIED = 8, 32

#: Types written item by item.
_LOOSE = (
    spec.SET,
    spec.ZSET,
    spec.ZSET_2,
    spec.HASH,
    spec.HASH_ZIPMAP,
    spec.HASH_METADATA,
    spec.HASH_METADATA_PRE_GA,
)
_LOOSE_HASHES = (spec.HASH, spec.HASH_ZIPMAP)
_SETS = (spec.SET, spec.SET_INTSET, spec.SET_LISTPACK)


def _room_for_integers(count: int, low: int, high: int) -> int:
    """Return the capacity with which a listpack is made when a member that is not an integer converts an intset."""
    return 7 + count * (1 + max(listpack.integer_size(low), listpack.integer_size(high)))
