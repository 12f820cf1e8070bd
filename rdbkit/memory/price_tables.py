"""The memory that each item of a collection adds to a key on one target: tables by length, which the walk sums up.

The walk (rdb/memory_walk.py) knows lengths; the cost of a length depends on the target (prices.py). So the walk gets
the target's tables, and adds table[length], in compiled code and without calls. Lengths beyond a table are computed one
by one, by `above(which, length)`.

Costs are integers in units of 1/65536 byte, so that expectations (skiplist levels are random) add up exactly, in any
order; variances are bytes² in the same units.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Final

#: Units per byte in which costs are counted.
UNIT: Final = 1 << 16

#: The table of the price that `above` computes.
MEMBERS, RANKED, SPREAD, FIELDS, VALUES, FIELDS_TTL, NODES, PACKS, TREES = range(9)


def _empty() -> array[int]:
    return array("q", [0])


@dataclass(frozen=True, slots=True)
class PriceTables:
    """Tables of one target; tables for structures that it does not have may be omitted.

    `members`: of a set's hash table. `ranked`, `spread`: of a sorted set's skiplist, expectation and variance.
    `fields`, `values`: of a hash; but if embeds[field] + value is at most `embed`, both share a block of that many
    bytes, whose cost is blocks[that]. `…_ttl`: of a field with an expiry. `nodes`: of a quicklist's node by its bytes,
    `packs`: of a stream's. `trees`: of a radix tree's node.

    `most`: by type, the number of elements up to which a blob is kept; larger ones are walked item by item.
    `packs_up_to`: by type, the number of elements up to which a collection written item by item becomes a blob;
    `ziplists`: whether that is a ziplist. `score` returns the text of a score in it. `push` (bytes, count, plain) are
    the limits when a list is built element by element. `depth`: list-compress-depth, -1: as the file shows it;
    `lzf_head`: bytes around a compressed node. `union`: pending entries are also counted as one tree over all groups.
    `inline`: leaves of radix trees take no memory.
    """

    above: Callable[[int, int], int]
    members: array[int] = field(default_factory=_empty)
    ranked: array[int] = field(default_factory=_empty)
    spread: array[int] = field(default_factory=_empty)
    fields: array[int] = field(default_factory=_empty)
    values: array[int] = field(default_factory=_empty)
    fields_ttl: array[int] = field(default_factory=_empty)
    embeds: array[int] = field(default_factory=_empty)
    embeds_ttl: array[int] = field(default_factory=_empty)
    blocks: array[int] = field(default_factory=_empty)
    embed: int = -1
    nodes: array[int] = field(default_factory=_empty)
    packs: array[int] = field(default_factory=_empty)
    trees: array[int] = field(default_factory=_empty)
    most: dict[int, int] = field(default_factory=dict)
    packs_up_to: dict[int, int] = field(default_factory=dict)
    ziplists: bool = False
    score: Callable[[float], bytes] = lambda score: b"%.17g" % score
    push: tuple[int, int, int] = (0, 0, 0)
    depth: int = 0
    lzf_head: int = 8
    union: bool = False
    inline: bool = False

    def agrees(self, other: PriceTables) -> bool:
        """Return whether other tables give the same sums, because they are equal."""
        return all(
            getattr(self, one.name) == getattr(other, one.name)
            for one in fields(self)
            if one.name not in ("above", "score")
        )
