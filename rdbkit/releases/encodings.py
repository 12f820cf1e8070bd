"""The reply of OBJECT ENCODING for a key after the target has loaded the file.

The encoding is not in the file: a type number states how a value was written, and the loading server keeps or converts
it by its own limits. So there is one rule per type, a small function of the shape, chosen once for a target. A walk
over millions of keys makes one call per string and two per other value, and no rule depends on a version.

Only the rules for strings use more than the value: since Redis 8.2 and Valkey 8.1 key and value share one allocation,
so the key's length, and the eight bytes of an expiry, matter too; for Valkey also the allocator's size classes.

Source: measured on 26 servers, 2.4 to 8.10 and Valkey 7.2 to 9.1, with default limits; with other limits, the loaders
of the BSD-licensed versions (`rdbLoadObject`, `listTypeTryConversion`, `quicklistNodeLimit`). Strings of Valkey
from 8.1 on: its `shouldEmbedStringObject` and `objectSetExpire`, and every length near the limits on 9.0.0 to 9.1.2.
Valkey 9.2 and Redis 8.12 were not measured: `btree`, `path-hash` and small hashes with field expiries are read in the
source of the one, `bitmap-roaring` in the documentation of the other.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from rdbkit.format import spec
from rdbkit.format.shape import ELEMENTS, LENGTH, LISTPACK, LONGEST, NODES, PLAIN, TEXT, Shape
from rdbkit.releases.allocators import ALLOCATORS, Sizes
from rdbkit.releases.limits import ListLimits, count_limit, item_limit, list_limits
from rdbkit.releases.target import Target

__all__ = ["Encoding", "compact_hash", "count_limit", "item_limit", "loads", "rules"]

#: (type id, shape, key length, has an expiry) -> the encoding; None: the target cannot load that type.
Encoding = Callable[[int, Shape, int, bool], str | None]

#: A Shape, for code that uses named positions: mypy knows the type of a position only for a literal number.
_Row = tuple[Any, ...]
EncodingRule = Callable[[_Row], str | None]

_STREAMS = (
    spec.STREAM_LISTPACKS,
    spec.STREAM_LISTPACKS_2,
    spec.STREAM_LISTPACKS_3,
    spec.STREAM_LISTPACKS_4,
    spec.STREAM_LISTPACKS_5,
)


def rules(target: Target) -> Encoding:
    """Return the target's rule for all types. The shape must have been walked for this target (Shape.LISTPACK)."""
    bodies = {**_lists(target), **_sets(target), **_zsets(target), **_hashes(target), **_others(target)}
    return _strings(target, {type_id: rule for type_id, rule in bodies.items() if loads(target, type_id)})


def loads(target: Target, type_id: int) -> bool:
    """Return whether the target knows a type. KeyDB's own type is accepted: the target of a KeyDB file is a Redis."""
    row = spec.BY_ID[type_id]
    if type_id >= spec.DRAGONFLY_OWN or row.status == "refused":
        return False
    if target.product == "valkey":
        # Valkey separated from Redis at RDB 11, and its later numbers have other meanings.
        return row.since <= target.rdb_version and (type_id >= spec.VALKEY_OWN or row.since <= 11)
    return type_id == spec.CRON or (type_id < spec.VALKEY_OWN and row.since <= target.rdb_version)


# -- rules of one shape ---------------------------------------------------------------------------------------------


def _always(name: str) -> EncodingRule:
    return lambda shape: name


def _by_count(count: int, small: str, large: str) -> EncodingRule:
    return lambda shape: small if shape[ELEMENTS] <= count else large


def _by_both(count: int, longest: int, small: str, large: str) -> EncodingRule:
    return lambda shape: small if shape[ELEMENTS] <= count and shape[LONGEST] <= longest else large


def _single_node(limits: ListLimits) -> EncodingRule:
    """A listpack if it is one packed node within the limit; a list with an over-long element is not packed."""

    def rule(shape: _Row) -> str:
        if (
            shape[NODES] != 1
            or shape[PLAIN]
            or shape[LISTPACK] > limits.node_bytes
            or shape[ELEMENTS] > limits.node_count
        ):
            return "quicklist"
        return "listpack"

    return rule


def _pushed(limits: ListLimits) -> EncodingRule:
    single = _single_node(limits)
    return lambda shape: "quicklist" if shape[LONGEST] > limits.plain else single(shape)


def _members(integers: int, count: int, longest: int) -> EncodingRule:
    """A plain set: with too many members for an intset it becomes a hash table, even if a listpack could hold them."""

    def rule(shape: _Row) -> str:
        elements = shape[ELEMENTS]
        if elements > integers:
            return "hashtable"
        if shape[TEXT] < 0:
            return "intset"
        return "listpack" if elements <= count and shape[LONGEST] <= longest else "hashtable"

    return rule


# -- rules by type --------------------------------------------------------------------------------------------------


def _lists(target: Target) -> dict[int, EncodingRule]:
    types = (spec.LIST, spec.LIST_ZIPLIST, spec.LIST_QUICKLIST, spec.LIST_QUICKLIST_2)
    if target.has("list-listpack"):
        limits = list_limits(target)
        node = _single_node(limits)
        # The loader tries no conversion after a ziplist, however small.
        return dict(zip(types, (_pushed(limits), _always("quicklist"), node, node)))
    if target.has("quicklist"):
        return dict.fromkeys(types, _always("quicklist"))
    count = count_limit(target, spec.LIST)
    return {
        spec.LIST: _by_both(count, item_limit(target, spec.LIST), "ziplist", "linkedlist"),
        spec.LIST_ZIPLIST: _by_count(count, "ziplist", "linkedlist"),
    }


def _sets(target: Target) -> dict[int, EncodingRule]:
    settings = target.settings
    packed = settings.set_max_listpack_entries if target.has("set-listpack") else -1
    return {
        spec.SET: _members(settings.set_max_intset_entries, packed, settings.set_max_listpack_value),
        spec.SET_INTSET: _by_count(settings.set_max_intset_entries, "intset", "hashtable"),
        spec.SET_LISTPACK: _by_count(packed, "listpack", "hashtable"),
    }


def _compact(target: Target) -> str:
    return "listpack" if target.has("listpack") else "ziplist"


def compact_hash(target: Target) -> str:
    """Return the encoding of a small hash."""
    return _compact(target) if target.has("zipmap-converted") else "zipmap"


def _zsets(target: Target) -> dict[int, EncodingRule]:
    count = count_limit(target, spec.ZSET)
    large = "btree" if target.has("zset-btree") else "skiplist"
    loose = _by_both(count, item_limit(target, spec.ZSET), _compact(target), large)
    packed = _by_count(count, _compact(target), large)
    return {spec.ZSET: loose, spec.ZSET_2: loose, spec.ZSET_ZIPLIST: packed, spec.ZSET_LISTPACK: packed}


def _hashes(target: Target) -> dict[int, EncodingRule]:
    count = count_limit(target, spec.HASH)
    longest = item_limit(target, spec.HASH)
    compact = compact_hash(target)
    loose = _by_both(count, longest, compact, "hashtable")
    packed = _by_count(count, compact, "hashtable")
    loose_expiring = _by_both(count, longest, "listpackex", "hashtable")
    packed_expiring = _by_count(count, "listpackex", "hashtable")
    # Field names belong to the template, so only the values of a template hash are compared with the limits.
    loose_template = _by_both(count, longest, "template-listpack", "template-array")
    packed_template = _by_count(count, "template-listpack", "template-array")
    return {
        spec.HASH: loose,
        # Only 2.4 keeps a zipmap; later releases read it pair by pair.
        spec.HASH_ZIPMAP: loose if target.has("zipmap-converted") else packed,
        spec.HASH_ZIPLIST: packed,
        spec.HASH_LISTPACK: packed,
        spec.HASH_METADATA_PRE_GA: loose_expiring,
        spec.HASH_LISTPACK_EX_PRE_GA: packed_expiring,
        spec.HASH_METADATA: loose_expiring,
        spec.HASH_LISTPACK_EX: packed_expiring,
        spec.HASH_TMPL_LP: packed_template,
        spec.HASH_TMPL_LP_REF: packed_template,
        spec.HASH_TMPL_ARRAY: loose_template,
        spec.HASH_TMPL_ARRAY_REF: loose_template,
        spec.HASH_2: loose if target.has("hash-2-listpack") else _always("hashtable"),
    }


def _others(target: Target) -> dict[int, EncodingRule]:
    # 5.0 had streams, but no name for their encoding.
    stream = _always("stream" if target.has("stream-encoding-name") else "unknown")
    raw = _always("raw")
    return {
        **dict.fromkeys(_STREAMS, stream),
        spec.ARRAY: _always("sliced-array"),
        spec.PATH_HASH: _always("path-hash"),
        spec.BITMAP: _always("bitmap-roaring"),
        spec.MODULE_2: raw,
        spec.CRON: raw,
    }


# -- strings --------------------------------------------------------------------------------------------------------
# Each returns the whole rule, with the string's part first and in the same function, because it is called for each key.
# STRING is type 0.


def _unknown(_shape: _Row) -> None:
    return None


def _by_value(limit: int, bodies: dict[int, EncodingRule], z: Sizes) -> Encoding:
    def encoding(type_id: int, shape: _Row, key_length: int, has_ttl: bool) -> str | None:
        if type_id:
            return bodies.get(type_id, _unknown)(shape)
        if shape[TEXT] < 0:
            return "int"
        return "embstr" if shape[LENGTH] <= limit else "raw"

    return encoding


def _by_key_and_value(limit: int, expiry: int, bodies: dict[int, EncodingRule], z: Sizes) -> Encoding:
    def encoding(type_id: int, shape: _Row, key_length: int, has_ttl: bool) -> str | None:
        if type_id:
            return bodies.get(type_id, _unknown)(shape)
        if shape[TEXT] < 0:
            return "int"
        return "embstr" if key_length + shape[LENGTH] + (expiry if has_ttl else 0) <= limit else "raw"

    return encoding


def _beside_key(
    front: int, limit: int, least: int, header: bool, bodies: dict[int, EncodingRule], z: Sizes
) -> Encoding:
    """Key and value share an allocation up to a size. The object is made before its expiry is set (dbAddRDBLoad).

    If eight bytes of the allocation are free, the expiry is put there and changes nothing; otherwise the object is
    made again, and the expiry counts. How much is free depends on the allocator: with glibc there is always enough.

    `front`: bytes of the object before the key. `least`: the smallest size of a value, with its header and zero byte.
    `header`: whether the decision counts the longer header of a key of 32 bytes or more.
    """

    def encoding(type_id: int, shape: _Row, key_length: int, has_ttl: bool) -> str | None:
        if type_id:
            return bodies.get(type_id, _unknown)(shape)
        if shape[TEXT] < 0:
            return "int"
        value = shape[LENGTH] + 4
        longer = 0 if key_length < 32 else 2
        # After the object: one byte for the size of the key's header, that header, the key, a zero byte.
        size = front + 3 + key_length + value
        counted = size + longer if header else size
        if counted > limit:
            return "raw"
        if not has_ttl or counted + 8 <= limit:
            return "embstr"
        taken = size + longer + max(0, least - value)
        return "embstr" if z(taken) >= taken + 8 else "raw"

    return encoding


#: Ascending by product; the last row that is not newer than the target applies. 8.4 and 8.8 are assumed to be as the
#: line before them and were not measured; Valkey 8.1 with glibc was not measured either.
_STRINGS: tuple[tuple[str, tuple[int, int], Callable[[dict[int, EncodingRule], Sizes], Encoding]], ...] = (
    ("redis", (2, 4), partial(_by_value, -1)),
    ("redis", (3, 0), partial(_by_value, 39)),
    ("redis", (3, 2), partial(_by_value, 44)),
    ("redis", (8, 2), partial(_by_key_and_value, 41, 8)),
    ("redis", (8, 6), partial(_by_key_and_value, 41, 0)),
    ("valkey", (7, 2), partial(_by_value, 44)),
    ("valkey", (8, 1), partial(_beside_key, 16, 64, 0, False)),
    ("valkey", (9, 0), partial(_beside_key, 16, 64, 0, True)),
    # The value is stored in place of its pointer, so at least eight bytes are allocated for it.
    ("valkey", (9, 1), partial(_beside_key, 8, 128, 8, True)),
)


def _strings(target: Target, bodies: dict[int, EncodingRule]) -> Encoding:
    build = [build for product, since, build in _STRINGS if product == target.product and since <= target.version][-1]
    return build(bodies, ALLOCATORS[target.allocator])
