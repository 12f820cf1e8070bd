# cython: language_level=3, annotation_typing=False, boundscheck=False, wraparound=False
# cython: cdivision=True, initializedcheck=False
"""The walk over a body that also sums up the memory of its items on the target.

As body.Body, with a target's `PriceTables`: when the plain walk skips an item, this one adds the price for its length.
More is read only if a load converts the value: a blob with more elements than the target keeps in a blob, a collection
written item by item that becomes one, an old list that is pushed element by element.

The shape is the plain one followed by COST, VARIANCE and PACKED (format/shape.py).
"""

from __future__ import annotations

import struct
from functools import partial
from typing import Any

from rdbkit.errors import Corrupt
from rdbkit.format import spec
from rdbkit.format.shape import DETAIL, Shape
from rdbkit.memory import price_tables as tables
from rdbkit.memory.array_memory import ArrayMemory
from rdbkit.memory.price_tables import PriceTables
from rdbkit.rdb.body import Body
from rdbkit.rdb.list_compression import CompressionEvidence, PackedNodes
from rdbkit.rdb.stream_memory import StreamMemory
from rdbkit.wire import listpack, lzf, ziplist
from rdbkit.wire.cursor import Cursor, digits

_NOTHING, _SET, _ZSET, _HASH, _VALUE = range(5)
_MEMBERS, _RANKED, _SPREAD = tables.MEMBERS, tables.RANKED, tables.SPREAD
_FIELDS, _VALUES, _FIELDS_TTL = tables.FIELDS, tables.VALUES, tables.FIELDS_TTL
_NODES = tables.NODES
_DETAIL = DETAIL
_STRING = spec.STRING
_PLAIN = spec.PLAIN
_PACKED = spec.PACKED
_HASH_2 = spec.HASH_2

#: The kinds of items.
_WHAT = {
    spec.SET: _SET,
    spec.SET_INTSET: _SET,
    spec.SET_LISTPACK: _SET,
    spec.ZSET: _ZSET,
    spec.ZSET_2: _ZSET,
    spec.ZSET_ZIPLIST: _ZSET,
    spec.ZSET_LISTPACK: _ZSET,
    spec.HASH: _HASH,
    spec.HASH_ZIPMAP: _HASH,
    spec.HASH_ZIPLIST: _HASH,
    spec.HASH_LISTPACK: _HASH,
    spec.HASH_METADATA: _HASH,
    spec.HASH_METADATA_PRE_GA: _HASH,
    spec.HASH_LISTPACK_EX: _HASH,
    spec.HASH_LISTPACK_EX_PRE_GA: _HASH,
    spec.HASH_2: _HASH,
    spec.HASH_TMPL_ARRAY_REF: _VALUE,
}
#: Items of a blob that make one element.
_PER = {
    spec.SET_LISTPACK: 1,
    spec.ZSET_ZIPLIST: 2,
    spec.ZSET_LISTPACK: 2,
    spec.HASH_ZIPLIST: 2,
    spec.HASH_LISTPACK: 2,
    spec.HASH_LISTPACK_EX: 3,
    spec.HASH_LISTPACK_EX_PRE_GA: 3,
}
_UNKNOWN = 0xFFFF
#: Longer texts are not integers.
_DIGITS = 20
#: Items read at a time in a blob: a multiple of 2 and 3, so that elements of one, two or three items are whole.
_BATCH = 1020
#: Nodes shorter than this are never compressed, and others only if it saves more than _GAIN bytes (quicklist.c).
_LEAST, _GAIN = 48, 8
#: Raw blobs up to this size are examined as evidence.
_REMEMBERED = 1 << 14
#: Raw nodes up to this size are compressed to see what the target makes of them.
_SQUEEZED = 1 << 24
_NO_LIMIT = 1 << 62
_F64 = struct.Struct("<d")


class MemoryWalker(Body):
    """Walks bodies as Body does, and sums up a target's prices."""

    def __init__(
        self,
        cursor: Cursor,
        prices: PriceTables,
        templates: dict[int, tuple[bytes, ...]] | None = None,
        evidence: CompressionEvidence | None = None,
    ) -> None:
        Body.__init__(self, cursor, templates=templates)
        self.prices = prices
        self.evidence = evidence or CompressionEvidence()
        self.above = prices.above
        self.members = prices.members
        self.ranked = prices.ranked
        self.spread = prices.spread
        self.fields = prices.fields
        self.values = prices.values
        self.fields_ttl = prices.fields_ttl
        self.embeds = prices.embeds
        self.embeds_ttl = prices.embeds_ttl
        self.blocks = prices.blocks
        self.embed = prices.embed
        self.node_costs = prices.nodes
        self.most_of = prices.most
        self.packs_of = prices.packs_up_to
        self.ziplists = prices.ziplists
        self.depth = prices.depth
        self.lzf_head = prices.lzf_head
        self.looks = self.depth < 0 and not self.evidence.raw and self.evidence.tries > 0
        self.push_limit, self.push_most, self.push_alone = prices.push
        self.streams = StreamMemory(cursor, prices)
        self.slices = ArrayMemory(prices.trees, partial(prices.above, tables.TREES))
        self._reset(0)

    def _reset(self, kind: int) -> None:
        self.kind = kind
        self.what = _WHAT.get(kind, _NOTHING)
        self.most = self.most_of.get(kind, _NO_LIMIT)
        self.packs = self.packs_of.get(kind, -1)
        self.cost = 0
        self.variance = 0
        self.expiring = 0
        self.pack = 0
        self.previous = 0
        self.in_list = False
        self.squeezes = False
        self.squeezed = -1

    def shape(self, kind: int) -> Shape:
        """Walk a body and return its shape, followed by the sums."""
        if kind == _STRING:
            return Body.shape(self, kind)
        self._reset(kind)
        plain = Body.shape(self, kind)
        if self.expiring:
            return plain[:_DETAIL] + (self.expiring, self.cost, self.variance, self.pack)
        return plain + (self.cost, self.variance, self.pack)

    # -- prices ----------------------------------------------------------------------------------------------------

    def _member(self, size: int) -> int:
        if self.what == _SET:
            self.cost += self.members[size] if size < len(self.members) else self.above(_MEMBERS, size)
        elif self.what == _VALUE:
            self.cost += self.values[size] if size < len(self.values) else self.above(_VALUES, size)
        else:
            self.cost += self.ranked[size] if size < len(self.ranked) else self.above(_RANKED, size)
            self.variance += self.spread[size] if size < len(self.spread) else self.above(_SPREAD, size)
        return 0

    def _pair(self, field: int, value: int, expires: bool) -> int:
        if expires:
            self.expiring += 1
            if field < len(self.embeds_ttl) and self.embeds_ttl[field] + value <= self.embed:
                self.cost += self.blocks[self.embeds_ttl[field] + value]
                return 0
            self.cost += self.fields_ttl[field] if field < len(self.fields_ttl) else self.above(_FIELDS_TTL, field)
        else:
            if field < len(self.embeds) and self.embeds[field] + value <= self.embed:
                self.cost += self.blocks[self.embeds[field] + value]
                return 0
            self.cost += self.fields[field] if field < len(self.fields) else self.above(_FIELDS, field)
        self.cost += self.values[value] if value < len(self.values) else self.above(_VALUES, value)
        return 0

    # -- a collection written item by item, as a blob ----------------------------------------------------------------

    def _pack(self, entry: int) -> int:
        """Add an entry to the blob; a ziplist's entries also have the size of the one before."""
        if self.ziplists:
            entry += 1 if self.previous < 254 else 5
            self.previous = entry
        self.pack += entry
        return 0

    def _pack_text(self, text: bytes) -> int:
        if listpack.is_integer(text):
            return self._pack_number(int(text))
        return self._pack_string(len(text))

    def _pack_string(self, size: int) -> int:
        if self.ziplists:
            return self._pack(size + (1 if size < 64 else 2 if size < 0x4000 else 5))
        return self._pack(listpack.string_entry(size))

    def _pack_number(self, number: int) -> int:
        return self._pack(zip_number(number) if self.ziplists else listpack.integer_size(number) + 1)

    # -- items one by one --------------------------------------------------------------------------------------------

    def _items(self, count: int, strings: int, tail: int, limit: int) -> int:
        if self.what == _NOTHING:
            return Body._items(self, count, strings, tail, limit)
        cursor = self.cursor
        view = cursor.view
        pos = cursor.pos
        end = cursor.end
        length = self.length
        longest = self.longest
        index = self.elements
        count += index
        packing = count <= self.packs
        expires = False
        first = size = 0
        # The price of the usual element is looked up here, others by functions: the loop must not make a call per item,
        # which is also why this function is long.
        cost = 0
        members = self.members
        fields = self.fields
        values = self.values
        embeds = self.embeds
        spread = self.spread
        variance = 0
        spreads = self.what == _ZSET
        if self.what == _VALUE:
            members = values
        if spreads:
            members = self.ranked
            lookups = min(len(members), len(spread))
        elif strings == 1:
            lookups = len(members)
        else:
            lookups = min(len(fields), len(values))
        embedding = len(embeds)
        if 0 < embedding < lookups:
            lookups = embedding
        embed = self.embed
        # A binary score that is not needed can be skipped; during the loop `packing` can end, but not begin.
        plain_tail = tail > 0 and not packing and self.kind != _HASH_2
        while index < count:
            if tail == -2:
                cursor.pos = pos
                expires = cursor.length() != 0
                view = cursor.view
                pos = cursor.pos
                end = cursor.end
            for i in range(strings):
                size = view[pos] if pos < end else 0xFF
                if size < 0x40 and size < end - pos:
                    if packing:
                        # An integer starts with a digit or a minus.
                        if 0 < size <= 20 and 0x2D <= view[pos + 1] <= 0x39:
                            self._pack_text(view[pos + 1 : pos + 1 + size])
                        else:
                            self._pack_string(size)
                    pos += 1 + size
                elif size == 0xC0 and not packing and end - pos > 1:
                    # A number from -128 to 127, the most common one; two's complement. Only its length matters.
                    size = view[pos + 1]
                    if size < 0x80:
                        size = 1 if size < 10 else 2 if size < 100 else 3
                    else:
                        size = 2 if size > 246 else 3 if size > 156 else 4
                    pos += 2
                else:
                    cursor.pos = pos
                    size = self._packed_item() if packing else cursor.skip_string()
                    view = cursor.view
                    pos = cursor.pos
                    end = cursor.end
                length += size
                if size > longest:
                    longest = size
                    if size > limit and self.over < 0:
                        self.over = index
                        packing = False
                if i == 0:
                    first = size
            if plain_tail and tail <= end - pos:
                pos += tail
            elif tail != 0 and tail != -2:
                cursor.pos = pos
                expires = self._tail(tail, packing)
                view = cursor.view
                pos = cursor.pos
                end = cursor.end
            if strings == 1:
                if first < lookups:
                    cost += members[first]
                    if spreads:
                        variance += spread[first]
                else:
                    self._member(first)
            else:
                if (
                    first < lookups
                    and size < lookups
                    and not expires
                    and (embedding == 0 or embeds[first] + size > embed)
                ):
                    cost += fields[first] + values[size]
                else:
                    self._pair(first, size, expires)
                if packing and tail == -2:
                    self._pack_number(_DISTANT if expires else 0)
            index += 1
        cursor.pos = pos
        self.cost += cost
        self.variance += variance
        self.elements = index
        self.length = length
        self.longest = longest
        return 0

    def _packed_item(self) -> int:
        """Skip a string and add it to the blob; return its length."""
        cursor = self.cursor
        start = cursor.tell()
        cursor.need(1)
        first = cursor.view[cursor.pos]
        if first >= 0xC0 and first < 0xC3:
            number = cursor.small()
            self._pack_number(number)
            return digits(number)
        size, packed = cursor.head()
        stored = size if packed < 0 else packed
        if size > 20:
            cursor.skip(stored)
            self._pack_string(size)
        else:
            self._pack_text(cursor.take(size) if packed < 0 else cursor.unpack(packed, size, start))
        return size

    def _tail(self, tail: int, packing: bool) -> bool:
        """Skip the bytes that follow an element; return whether they are an expiry."""
        cursor = self.cursor
        if self.kind == _HASH_2:
            return cursor.take(8) != b"\xff\xff\xff\xff\xff\xff\xff\xff"
        if tail > 0:
            if packing:
                self._pack_score(_F64.unpack(cursor.take(8))[0])
            else:
                cursor.skip(tail)
            return False
        size = cursor.u8()
        if size >= 253:
            if packing:
                self._pack_string(4 if size == 255 else 3)
        elif packing:
            self._pack_score(_number(cursor.take(size)))
        else:
            cursor.skip(size)
        return False

    def _pack_score(self, score: float) -> None:
        self._pack_text(self.prices.score(score))

    def _set(self) -> int:
        """As Body._set; the prices of the integers at the start are added, too."""
        cursor = self.cursor
        count = cursor.claim()
        packing = count <= self.packs
        while self.elements < count:
            cursor.need(1)
            first = cursor.view[cursor.pos]
            if first > 20 and first < 0xC0:
                self.text = self.elements
                break
            if first >= 0xC0 and first < 0xC3:
                number = cursor.small()
                size = digits(number)
                self.elements += 1
                self.length += size
                if size > self.longest:
                    self.longest = size
            else:
                member = cursor.string_up_to(_DIGITS)
                size = cursor.passed if member is None else len(member)
                self._measure(size, self.set_limit)
                if member is None or not listpack.is_integer(member):
                    self.text = self.elements - 1
                    self._member(size)
                    if packing:
                        self._pack_string(size)
                    break
                number = int(member)
            self._member(size)
            if packing:
                self._pack_number(number)
            if self.elements == 1 or number < self.low:
                self.low = number
            if self.elements == 1 or number > self.high:
                self.high = number
        return self._items(count - self.elements, 1, 0, self.set_limit)

    def _list(self) -> int:
        """Push an old list element by element, as the target's quicklist does."""
        cursor = self.cursor
        count = cursor.claim()
        node = held = 0
        while count > 0:
            count -= 1
            start = cursor.tell()
            text = cursor.string_up_to(_DIGITS)
            size = cursor.passed if text is None else len(text)
            self.stored += cursor.tell() - start
            self._measure(size, self.list_limit)
            node, held = self._push(text, size, node, held)
        return self._close_node(node)

    def _push(self, text: bytes | None, size: int, node: int, held: int) -> tuple[int, int]:
        """Add an element to the last node, of `node` bytes (0: there is none) and `held` elements, or to a new one.

        `text` may be None for one that is too long to be an integer.
        """
        if size > self.push_alone:
            self._close_node(node)
            self.plain += 1
            self.nodes += 1
            self.blob += size
            self.cost += self._node_cost(size)
            return 0, 0
        if not node or node + size + self._around(size) > self.push_limit or held >= self.push_most:
            self._close_node(node)
            self.nodes += 1
            node = 11 if self.ziplists else 7
            held = 0
            self.previous = 0
        self.pack = 0
        if text is not None and size <= _DIGITS:
            self._pack_text(text)
        else:
            self._pack_string(size)
        node += self.pack
        self.pack = 0
        return node, held + 1

    def _around(self, size: int) -> int:
        """Return the bytes that a quicklist adds for an entry's head when it checks whether the entry fits."""
        if not self.ziplists:
            return 8
        return (1 if size < 254 else 5) + (1 if size < 64 else 2 if size < 0x4000 else 5)

    def _close_node(self, node: int) -> int:
        if node:
            self.listpack += node
            self.cost += self._node_cost(node)
        return 0

    # -- blobs -----------------------------------------------------------------------------------------------------

    def _node_cost(self, size: int) -> int:
        cost: int = self.node_costs[size] if size < len(self.node_costs) else self.above(_NODES, size)
        return cost

    def _held(self, count: int, packed_list: bool) -> int:
        """Skip the current blob; walk its items if the target converts it."""
        per = _PER.get(self.kind, 0)
        if per and (count == _UNKNOWN or count // per > self.most):
            reader = (listpack if packed_list else ziplist).Reader(self._inside(), self.size)
            return self._apart(reader, per)
        if self.packed < 0 and self.looks and _LEAST <= self.size <= _REMEMBERED:
            self._look()
        if self.squeezes and self.packed < 0:
            self._squeeze(self.size)
        return Body._held(self, count, packed_list)

    def _look(self) -> None:
        """Examine a raw blob as evidence."""
        cursor = self.cursor
        cursor.need(self.size)
        self.evidence.judge(cursor.view[cursor.pos : cursor.pos + self.size])
        self.looks = self.depth < 0 and not self.evidence.raw and self.evidence.tries > 0

    def _squeeze(self, size: int) -> None:
        """Find out what a raw node at hand measures that the target compresses: `squeezed`, below 0 if unknown."""
        cursor = self.cursor
        if _LEAST <= size <= _SQUEEZED:
            cursor.need(size)
            packed = lzf.compress(cursor.view[cursor.pos : cursor.pos + size])
            self.squeezed = size if packed is None else len(packed)

    def _apart(self, reader: Any, per: int) -> int:
        """Add the prices of a blob's items; return how many items there were."""
        count = 0
        while True:
            items = reader.read(_BATCH)
            if not items:
                self._widths(reader)
                return count
            count += len(items)
            self._weigh_items(items, per)

    def _weigh_items(self, items: list[Any], per: int) -> None:
        index = 0
        while index + per <= len(items):
            first = len(items[index])
            if self.what == _HASH:
                self._pair(first, len(items[index + 1]), per == 3 and items[index + 2] != b"0")
            else:
                self._member(first)
            index += per

    def _intset(self) -> None:
        start = self.cursor.tell()
        head = self._open(8, "intset")
        width, count = self._intset_head(head)
        if count <= self.most:
            self._pass()
            return
        inside = self.cursor.inner(self.size, self.packed, start)
        inside.skip(8)
        for _ in range(count):
            self._member(len(b"%d" % inside.fixed_signed(width)))

    def _zipped(self, items: list[Any]) -> None:
        Body._zipped(self, items)
        self._weigh_items(items, 2)
        for item in items:
            size = len(item)
            if size <= _DIGITS:
                self._pack_text(item)
            else:
                self._pack_string(size)

    def _early(self, kind: int) -> None:
        if kind == spec.LIST_ZIPLIST:
            self._pushed_ziplist()
        else:
            Body._early(self, kind)

    def _pushed_ziplist(self) -> None:
        """A list of one ziplist is pushed element by element, too."""
        self._open(11, "ziplist")
        reader = ziplist.Reader(self._inside(), self.size)
        node = held = 0
        while True:
            items = reader.read(_BATCH)
            if not items:
                break
            self.elements += len(items)
            for item in items:
                size = len(item)
                node, held = self._push(item if size <= _DIGITS else None, size, node, held)
        self._close_node(node)

    # -- quicklists ------------------------------------------------------------------------------------------------

    def _quicklist(self, containers: bool) -> int:
        cursor = self.cursor
        nodes = cursor.claim()
        compressed = PackedNodes(self.depth)
        self.in_list = nodes > 2
        index = 0
        known = True
        last = nodes - self.depth
        while nodes > 0:
            nodes -= 1
            start = cursor.tell()
            self.squeezes = self.depth > 0 and index >= self.depth and index < last
            self.squeezed = -1
            index += 1
            container = cursor.length() if containers else 0
            if container == _PLAIN:
                size, packed = self._plain_node()
                self.stored += cursor.tell() - start
                count = 1
            elif containers and container != _PACKED:
                raise Corrupt(f"quicklist container {container}", offset=start, code="bad-quicklist")
            else:
                before = self.listpack
                count = self._listpack() if containers else self._ziplist()
                size = self.listpack - before if containers or self.converts else self.size
                packed = self.packed if containers or not self.converts else -1
            # The loader drops empty nodes.
            if count:
                self.nodes += 1
                self.elements += count
                cost = self._node_cost(size)
                self.cost += cost
                if self.in_list:
                    saved = 0
                    if packed < 0 and self.squeezes and size >= _LEAST:
                        packed = self.squeezed
                        known = known and packed >= 0
                    if packed >= 0 and size >= _LEAST and packed + _GAIN < size:
                        saved = cost - self._node_cost(packed + self.lzf_head)
                    compressed.add(saved)
        if self.in_list:
            self.cost -= compressed.saved(self.evidence)
        if not known:
            self.cost = -1
        self.squeezes = False
        return 0

    def _plain_node(self) -> tuple[int, int]:
        """Skip a node of one long element; return its size, and how many bytes are stored if it is packed."""
        cursor = self.cursor
        cursor.need(1)
        first = cursor.view[cursor.pos]
        packed = -1
        if first >= 0xC0 and first < 0xC3:
            size = cursor.skip_string()
        else:
            size, packed = cursor.head()
            if self.squeezes and packed < 0:
                self._squeeze(size)
            cursor.skip(size if packed < 0 else packed)
        self.blob += size
        self.plain += 1
        return size, packed

    # -- streams ---------------------------------------------------------------------------------------------------

    def _stream(self, kind: int) -> None:
        self.detail = self.streams.measure(self, kind)
        self.cost = self.streams.cost

    # -- arrays ----------------------------------------------------------------------------------------------------

    def _array(self) -> None:
        self.slices.clear()
        Body._array(self)
        self.slices.finish()
        self.cost = self.slices.real
        self.detail = self.slices.known

    def _element(self, index: int) -> int:
        size = Body._element(self, index)
        self.slices.add(index, size)
        return size


#: A value for the time of any expiry in a listpack: it takes eight bytes.
_DISTANT = 1 << 40


def _number(text: bytes) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0


def zip_number(number: int) -> int:
    """Return the bytes of an integer in a ziplist, without the size of the entry before it."""
    if 0 <= number <= 12:
        return 1
    if -0x80 <= number < 0x80:
        return 2
    if -0x8000 <= number < 0x8000:
        return 3
    if -0x800000 <= number < 0x800000:
        return 4
    return 5 if -0x80000000 <= number < 0x80000000 else 9
