"""The numbers and lengths up to which the target keeps a collection compact, by type.

These are the loading server's limits, from its settings (settings.py); a file does not contain the limits with which it
was saved. The walker computes Shape.OVER with `item_limit`, encodings.py uses all of them, memory those of conversions
during a load.

Source: measured on 26 servers with default limits; for lists `quicklistNodeLimit`, `isLargeElement` and
`_quicklistNodeAllowInsert` of the BSD-licensed versions.
"""

from __future__ import annotations

from typing import NamedTuple

from rdbkit.format import spec
from rdbkit.releases.target import Target

#: For limits that a type does not have.
NO_LIMIT = (1 << 63) - 1

#: Hashes written field by field, for which both limits apply, and hashes in one blob, for which only the count does.
_LOOSE_HASHES = (
    spec.HASH,
    spec.HASH_METADATA_PRE_GA,
    spec.HASH_METADATA,
    spec.HASH_TMPL_ARRAY,
    spec.HASH_TMPL_ARRAY_REF,
)
_PACKED_HASHES = (
    spec.HASH_ZIPLIST,
    spec.HASH_LISTPACK,
    spec.HASH_LISTPACK_EX_PRE_GA,
    spec.HASH_LISTPACK_EX,
    spec.HASH_TMPL_LP,
    spec.HASH_TMPL_LP_REF,
)


def item_limit(target: Target, type_id: int) -> int:
    """Return the longest item, in bytes, of a compact value of a type, or NO_LIMIT; Shape.OVER is computed with it."""
    settings = target.settings
    if type_id == spec.LIST and not target.has("quicklist"):
        return settings.list_max_ziplist_value
    if type_id == spec.SET and target.has("set-listpack"):
        return settings.set_max_listpack_value
    if type_id in (spec.ZSET, spec.ZSET_2):
        return settings.zset_max_listpack_value
    if type_id in _LOOSE_HASHES or (type_id == spec.HASH_ZIPMAP and target.has("zipmap-converted")):
        return settings.hash_max_listpack_value
    return NO_LIMIT


def item_limits(target: Target) -> tuple[int, int, int, int]:
    """Return the target's longest compact items for hash, set, zset and list."""
    types = (spec.HASH, spec.SET, spec.ZSET_2, spec.LIST)
    first, second, third, fourth = (item_limit(target, type_id) for type_id in types)
    return first, second, third, fourth


def count_limit(target: Target, type_id: int) -> int:
    """Return the greatest number of elements of a compact value of a type; NO_LIMIT if the number does not matter.

    For a plain set this is the limit for integers (which the loader uses); a listpack may have
    `set_max_listpack_entries`.
    """
    settings = target.settings
    if type_id in (spec.LIST, spec.LIST_ZIPLIST) and not target.has("quicklist"):
        return settings.list_max_ziplist_entries
    if type_id in (spec.SET, spec.SET_INTSET):
        return settings.set_max_intset_entries
    if type_id == spec.SET_LISTPACK:
        return settings.set_max_listpack_entries
    if type_id in (spec.ZSET, spec.ZSET_2, spec.ZSET_ZIPLIST, spec.ZSET_LISTPACK):
        return settings.zset_max_listpack_entries
    if type_id in _LOOSE_HASHES or type_id in _PACKED_HASHES or type_id == spec.HASH_ZIPMAP:
        return settings.hash_max_listpack_entries
    if type_id == spec.HASH_2:
        return settings.hash_max_listpack_entries if target.has("hash-2-listpack") else 0
    return NO_LIMIT


class ListLimits(NamedTuple):
    """How list-max-listpack-size is applied; sizes are bytes of a listpack.

    An element longer than `plain` gets a separate PLAIN node. Any other is pushed onto the last node unless it is the
    node's (`push_count` + 1)th, or the node's size + the element's length + 8 exceeds `push_bytes`. A list with a
    single node up to `node_bytes` and `node_count` is a listpack without a quicklist.
    """

    push_bytes: int
    push_count: int
    plain: int
    node_bytes: int
    node_count: int


_NODE_BYTES = (4096, 8192, 16384, 32768, 65536)
#: If only a count limits a node, pushing still stops at this size; loading a file does not.
_SAFE_BYTES = 8192
#: The quicklist keeps its own copy of the setting, in 16 bits.
_MOST_PUSHED = (1 << 15) - 1


def list_limits(target: Target) -> ListLimits:
    """Return the limits of a list's nodes for a target >= 7.2."""
    size = target.settings.list_max_listpack_size
    push = _NODE_BYTES[min(-size, len(_NODE_BYTES)) - 1] if size < 0 else _SAFE_BYTES
    # Before 7.4 and Valkey 8.0 only elements over a gigabyte had separate nodes.
    plain = push if target.has("plain-nodes-by-size") else (1 << 30) - 1
    if size < 0:
        return ListLimits(push, NO_LIMIT, plain, push, NO_LIMIT)
    return ListLimits(push, max(1, min(size, _MOST_PUSHED)), plain, NO_LIMIT, max(1, size))
