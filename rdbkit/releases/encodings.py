"""What OBJECT ENCODING says of a key once the target has loaded the file.

The encoding is not in the file: a type number says how a value was written, and the loading server keeps or converts it
by limits of its own. So there is one rule per type, a small function of the shape, chosen once for a target; whoever
walks five million keys pays one call per string and two for anything else, and no rule asks for a version.

Only strings look at more than their value: from Redis 8.2 and Valkey 8.1 on key and value share one allocation, so the
key's length, and the eight bytes of an expiry, count too; for Valkey also what its allocator hands out.

Source: measured on 26 servers, 2.4 to 8.10 and Valkey 7.2 to 9.1, with default limits; with other limits, the loaders
of the BSD-licensed versions (`rdbLoadObject`, `listTypeTryConversion`, `quicklistNodeLimit`). Strings of Valkey
from 8.1 on: its `shouldEmbedStringObject` and `objectSetExpire`, and every length near the limits on 9.0.0 to 9.1.2.
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

__all__ = ["Encoding", "count_limit", "item_limit", "loads", "rules"]

#: (type id, shape, key length, has an expiry) -> the encoding; None: the target cannot load that type.
Encoding = Callable[[int, Shape, int, bool], str | None]

#: A Shape, for code that takes positions by name: mypy knows the type of a position only where its number stands.
_Row = tuple[Any, ...]
Rule = Callable[[_Row], str | None]

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
    """Return whether the target knows a type. KeyDB's own is let pass: a KeyDB file's target is called Redis."""
    row = spec.BY_ID[type_id]
    if type_id >= spec.DRAGONFLY_OWN or row.status == "refused":
        return False
    if target.product == "valkey":
        # Valkey left Redis' line at RDB 11 and gives later numbers meanings of its own.
        return row.since <= target.rdb_version and (type_id >= spec.VALKEY_OWN or row.since <= 11)
    return type_id == spec.CRON or (type_id < spec.VALKEY_OWN and row.since <= target.rdb_version)


# -- rules of one shape ---------------------------------------------------------------------------------------------


def _always(name: str) -> Rule:
    return lambda shape: name


def _by_count(count: int, small: str, large: str) -> Rule:
    return lambda shape: small if shape[ELEMENTS] <= count else large


def _by_both(count: int, longest: int, small: str, large: str) -> Rule:
    return lambda shape: small if shape[ELEMENTS] <= count and shape[LONGEST] <= longest else large


def _single_node(limits: ListLimits) -> Rule:
    """A listpack if it is one packed node within the limit; what was pushed with an over-long element is not packed."""

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


def _pushed(limits: ListLimits) -> Rule:
    single = _single_node(limits)
    return lambda shape: "quicklist" if shape[LONGEST] > limits.plain else single(shape)


def _members(integers: int, count: int, longest: int) -> Rule:
    """A plain set: too many for an intset is a hash table at once, even where a listpack could hold more."""

    def rule(shape: _Row) -> str:
        elements = shape[ELEMENTS]
        if elements > integers:
            return "hashtable"
        if shape[TEXT] < 0:
            return "intset"
        return "listpack" if elements <= count and shape[LONGEST] <= longest else "hashtable"

    return rule


# -- rules by type --------------------------------------------------------------------------------------------------


def _lists(target: Target) -> dict[int, Rule]:
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


def _sets(target: Target) -> dict[int, Rule]:
    settings = target.settings
    packed = settings.set_max_listpack_entries if target.has("set-listpack") else -1
    return {
        spec.SET: _members(settings.set_max_intset_entries, packed, settings.set_max_listpack_value),
        spec.SET_INTSET: _by_count(settings.set_max_intset_entries, "intset", "hashtable"),
        spec.SET_LISTPACK: _by_count(packed, "listpack", "hashtable"),
    }


def _compact(target: Target) -> str:
    return "listpack" if target.has("listpack") else "ziplist"


def _zsets(target: Target) -> dict[int, Rule]:
    count = count_limit(target, spec.ZSET)
    loose = _by_both(count, item_limit(target, spec.ZSET), _compact(target), "skiplist")
    packed = _by_count(count, _compact(target), "skiplist")
    return {spec.ZSET: loose, spec.ZSET_2: loose, spec.ZSET_ZIPLIST: packed, spec.ZSET_LISTPACK: packed}


def _hashes(target: Target) -> dict[int, Rule]:
    count = count_limit(target, spec.HASH)
    longest = item_limit(target, spec.HASH)
    compact = _compact(target) if target.has("zipmap-converted") else "zipmap"
    loose = _by_both(count, longest, compact, "hashtable")
    packed = _by_count(count, compact, "hashtable")
    loose_expiring = _by_both(count, longest, "listpackex", "hashtable")
    packed_expiring = _by_count(count, "listpackex", "hashtable")
    # Field names are the template's, so a template hash is measured by its values alone.
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
        spec.HASH_2: _always("hashtable"),
    }


def _others(target: Target) -> dict[int, Rule]:
    # 5.0 had streams and no word for how they are kept.
    stream = _always("stream" if target.has("stream-encoding-name") else "unknown")
    raw = _always("raw")
    return {
        **dict.fromkeys(_STREAMS, stream),
        spec.ARRAY: _always("sliced-array"),
        spec.MODULE_2: raw,
        spec.CRON: raw,
    }


# -- strings --------------------------------------------------------------------------------------------------------
# Each returns the whole rule, with the string's part first and in the same function: it is asked once per key.
# STRING is type 0.


def _unknown(_shape: _Row) -> None:
    return None


def _by_value(limit: int, bodies: dict[int, Rule], z: Sizes) -> Encoding:
    def encoding(type_id: int, shape: _Row, key_length: int, has_ttl: bool) -> str | None:
        if type_id:
            return bodies.get(type_id, _unknown)(shape)
        if shape[TEXT] < 0:
            return "int"
        return "embstr" if shape[LENGTH] <= limit else "raw"

    return encoding


def _by_key_and_value(limit: int, expiry: int, bodies: dict[int, Rule], z: Sizes) -> Encoding:
    def encoding(type_id: int, shape: _Row, key_length: int, has_ttl: bool) -> str | None:
        if type_id:
            return bodies.get(type_id, _unknown)(shape)
        if shape[TEXT] < 0:
            return "int"
        return "embstr" if key_length + shape[LENGTH] + (expiry if has_ttl else 0) <= limit else "raw"

    return encoding


def _beside_key(front: int, limit: int, least: int, header: bool, bodies: dict[int, Rule], z: Sizes) -> Encoding:
    """Key and value share an allocation up to a size. The object is made before its expiry is set (dbAddRDBLoad).

    An expiry that finds eight bytes to spare goes there and changes nothing; otherwise the object is made again, and
    the expiry counts. How much is to spare is the allocator's matter: with glibc there is always enough.

    `front`: bytes of the object before the key. `least`: what a value takes at least, its header and zero included.
    `header`: whether the decision counts the longer header of a key of 32 bytes or more.
    """

    def encoding(type_id: int, shape: _Row, key_length: int, has_ttl: bool) -> str | None:
        if type_id:
            return bodies.get(type_id, _unknown)(shape)
        if shape[TEXT] < 0:
            return "int"
        value = shape[LENGTH] + 4
        longer = 0 if key_length < 32 else 2
        # Behind the object: one byte for the size of the key's header, that header, the key, a zero.
        size = front + 3 + key_length + value
        counted = size + longer if header else size
        if counted > limit:
            return "raw"
        if not has_ttl or counted + 8 <= limit:
            return "embstr"
        taken = size + longer + max(0, least - value)
        return "embstr" if z(taken) >= taken + 8 else "raw"

    return encoding


#: Ascending by product; the last row that is not newer than the target counts. 8.4 and 8.8 are taken to be as the line
#: before them and were not measured; nor was Valkey 8.1 with glibc.
_STRINGS: tuple[tuple[str, tuple[int, int], Callable[[dict[int, Rule], Sizes], Encoding]], ...] = (
    ("redis", (2, 4), partial(_by_value, -1)),
    ("redis", (3, 0), partial(_by_value, 39)),
    ("redis", (3, 2), partial(_by_value, 44)),
    ("redis", (8, 2), partial(_by_key_and_value, 41, 8)),
    ("redis", (8, 6), partial(_by_key_and_value, 41, 0)),
    ("valkey", (7, 2), partial(_by_value, 44)),
    ("valkey", (8, 1), partial(_beside_key, 16, 64, 0, False)),
    ("valkey", (9, 0), partial(_beside_key, 16, 64, 0, True)),
    # The value lies where its pointer would be, of which there must be room for eight bytes.
    ("valkey", (9, 1), partial(_beside_key, 8, 128, 8, True)),
)


def _strings(target: Target, bodies: dict[int, Rule]) -> Encoding:
    build = [build for product, since, build in _STRINGS if product == target.product and since <= target.version][-1]
    return build(bodies, ALLOCATORS[target.allocator])
