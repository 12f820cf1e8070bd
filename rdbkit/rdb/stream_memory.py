# cython: language_level=3, annotation_typing=False, boundscheck=False, wraparound=False
"""The memory of a stream: its nodes, the radix trees that hold them, its groups, their consumers and pending entries.

    trees   main: nodes' ids   names: groups   pel: a group's pending ids   own: a consumer's   consumers: their names
            union: the pending ids of all groups (what servers keep from Redis 8.6 on)

Ids are in order, so no tree is built (rax.py). Nodes are walked by the body; all that follows them is walked here.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from rdbkit.errors import Corrupt
from rdbkit.format import spec
from rdbkit.format.shape import Idempotency, StreamDetail
from rdbkit.memory import price_tables as tables
from rdbkit.memory.price_tables import PriceTables
from rdbkit.rdb.rax import Rax
from rdbkit.wire.cursor import Cursor

if TYPE_CHECKING:
    from rdbkit.rdb.body import Body

_MEMBERS, _PACKS = tables.MEMBERS, tables.PACKS
_STREAM_LISTPACKS = spec.STREAM_LISTPACKS
_STREAM_LISTPACKS_3 = spec.STREAM_LISTPACKS_3
_STREAM_LISTPACKS_4 = spec.STREAM_LISTPACKS_4
_STREAM_LISTPACKS_5 = spec.STREAM_LISTPACKS_5
#: Names of groups and consumers matter up to this length.
_NAME = 1 << 12
#: Ids of pending entries of several groups are merged up to this many bytes.
_UNITED = 1 << 24
#: The most bytes that are moved for merging.
_MOVED = 1 << 28


class StreamMemory:
    """Measures streams by a target's prices: `measure` walks one, and puts the sum of its listpacks in `cost`."""

    def __init__(self, cursor: Cursor, prices: PriceTables) -> None:
        self.cursor = cursor
        self.above = prices.above
        self.members = prices.members
        self.pack_costs = prices.packs
        self.unites = prices.union
        above = partial(prices.above, tables.TREES)
        self.main, self.names, self.pel, self.own, self.consumer_names, self.union = [
            Rax(prices.trees, above, prices.inline) for _ in range(6)
        ]
        self._clear()

    def _clear(self) -> None:
        for tree in (self.main, self.names):
            tree.clear()
        self.cost = 0
        self.pending = 0
        self.owned = 0
        self.consumers = 0
        self.name_bytes = 0
        self.name_cost = 0
        # Keys and nodes, and the memory of the nodes, of all trees of a kind.
        self.keys = 0
        self.nodes = 0
        self.group_pending = 0
        self.own_pending = 0
        self.consumer_trees = 0
        # The sorted ids of all groups so far, if they are needed, else None; and whether they are known.
        self.united: bytearray | None = None
        self.is_united = True
        self.moved = 0

    def measure(self, body: Body, kind: int) -> StreamDetail:
        """Walk a stream; the body counts its nodes and entries."""
        cursor = self.cursor
        self._clear()
        for _ in range(cursor.claim()):
            self.main.add(self._id())
            body._listpack()
            size = body.size
            self.cost += self.pack_costs[size] if size < len(self.pack_costs) else self.above(_PACKS, size)
            body.nodes += 1
        self.main.finish()
        body.elements = cursor.claim()
        for _ in range(2 if kind == _STREAM_LISTPACKS else 7):
            cursor.length()
        groups = cursor.claim()
        if groups > 1 and self.unites:
            self.united = bytearray()
        for _ in range(groups):
            self._group(kind)
        self.names.finish()
        union = self._union()
        return StreamDetail(
            keys=self.main.keys + self.keys,
            nodes=self.main.nodes + self.nodes,
            main=self.main.real,
            groups=groups,
            group_tree=self.names.real,
            pending=self.pending,
            owned=self.owned,
            consumers=self.consumers,
            name_bytes=self.name_bytes,
            names=self.name_cost,
            group_pending=self.group_pending,
            own_pending=self.own_pending,
            consumer_trees=self.consumer_trees,
            union=union,
            idempotency=self._idmp() if kind >= _STREAM_LISTPACKS_4 else None,
        )

    def _id(self) -> bytes:
        cursor = self.cursor
        start = cursor.tell()
        size, inside = cursor.open_string()
        if size != 16:
            raise Corrupt(f"a stream node's key of {size} bytes instead of 16", offset=start, code="bad-stream")
        return inside.take(16)

    def _name(self) -> tuple[bytes, int]:
        """Read a name, or the beginning of a long one; return it and the name's length."""
        size, inside = self.cursor.open_string()
        text = inside.take(min(size, _NAME))
        inside.skip(size - len(text))
        return text, size

    # -- groups ----------------------------------------------------------------------------------------------------

    def _group(self, kind: int) -> None:
        cursor = self.cursor
        pel = self.pel
        self.names.add(self._name()[0])
        for _ in range(2 if kind == _STREAM_LISTPACKS else 3):
            cursor.length()
        pel.clear()
        self._pending()
        pel.finish()
        self.pending += pel.keys
        self.keys += pel.keys
        self.nodes += pel.nodes
        self.group_pending += pel.real
        self.consumer_names.clear()
        count = cursor.claim()
        for _ in range(count):
            self._consumer(kind)
        self.consumer_names.finish()
        self.consumers += count
        self.consumer_trees += self.consumer_names.real
        if kind >= _STREAM_LISTPACKS_5:
            cursor.skip(16 * cursor.claim())

    def _pending(self) -> None:
        cursor = self.cursor
        count = cursor.claim()
        before = self.united
        after = bytearray()
        at = 0
        if before is not None and count > 0:
            self.moved += len(before)
            if self.moved > _MOVED:
                before = None
                self._give_up()
        while count > 0:
            count -= 1
            key = cursor.take(16)
            self.pel.add(key)
            if before is not None:
                # Both ascend, so this is a merge in which equal ids are taken once.
                place = self._place(before, at, key)
                after += before[at:place]
                at = place + 16 if before[place : place + 16] == key else place
                after += key
                if len(after) > _UNITED:
                    before = None
                    self._give_up()
            cursor.skip(8)
            cursor.length()
        if before is not None and after:
            after += before[at:]
            self.united = after

    def _give_up(self) -> None:
        self.united = None
        self.is_united = False

    def _place(self, ids: bytearray, at: int, key: bytes) -> int:
        """Return the position of the first sorted id from `at` on that is not less than a key; it is often near."""
        end = len(ids)
        step = 16
        while at + step <= end and ids[at + step - 16 : at + step] < key:
            at += step
            step *= 2
        # It is in [at, at + step).
        low, high = at, min(at + step - 16, end)
        while low < high:
            middle = low + (high - low) // 32 * 16
            if ids[middle : middle + 16] < key:
                low = middle + 16
            else:
                high = middle
        return low

    def _consumer(self, kind: int) -> None:
        cursor = self.cursor
        own = self.own
        name, size = self._name()
        self.consumer_names.add(name)
        cursor.skip(16 if kind >= _STREAM_LISTPACKS_3 else 8)
        own.clear()
        for _ in range(cursor.claim()):
            own.add(cursor.take(16))
        own.finish()
        self.owned += own.keys
        self.keys += own.keys
        self.nodes += own.nodes
        self.own_pending += own.real
        self.name_bytes += size
        self.name_cost += self.members[size] if size < len(self.members) else self.above(_MEMBERS, size)

    def _union(self) -> int:
        """Return the memory of the tree of all groups' pending entries; -1 if there were too many to compute it."""
        united = self.united
        if united is None:
            return self.group_pending if self.is_united else -1
        tree = self.union
        tree.clear()
        for at in range(0, len(united), 16):
            tree.add(bytes(united[at : at + 16]))
        self.united = None
        tree.finish()
        real: Any = tree.real
        return int(real)

    def _idmp(self) -> Idempotency:
        cursor = self.cursor
        cursor.length()
        cursor.length()
        tree = self.names
        tree.clear()
        producers = cursor.claim()
        ids: list[int] = []
        lengths: list[int] = []
        for _ in range(producers):
            name, size = self._name()
            tree.add(name)
            count = cursor.claim()
            if len(ids) < _NAME:
                ids.append(count)
                lengths.append(size)
            for _ in range(count):
                self._name()
                cursor.length()
                cursor.length()
        tree.finish()
        cursor.length()
        cursor.length()
        return Idempotency(producers, tuple(ids), tuple(lengths), tree.real)
