"""How a server keeps lists: which elements share a node, and when a list changes its encoding.

    up to 3.0   a ziplist, or a linked list once it is too long or has a long element; it stays that
    from 3.2    a quicklist: nodes that are ziplists, from 7.0 on listpacks; a long element has a PLAIN node
    from 7.2    a listpack while it fits into one node; a quicklist with one node of half that size is a listpack again

A node is filled until its size and an estimate of the new element exceed the limit. Which elements share a node depends
on the order of all commands; memory depends on it, and the way back to a listpack.

Source: quicklist.c and t_list.c of the BSD-licensed versions.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import islice

from rdbkit.keyspace.values import List, Node
from rdbkit.releases.limits import list_limits
from rdbkit.releases.settings import Settings
from rdbkit.releases.target import Target
from rdbkit.wire.listpack import integer_size, is_integer, string_entry

#: Head and end mark of a node.
_LISTPACK, _ZIPLIST = 7, 11
#: Digits of a 64-bit number with its sign.
_DIGITS = 20
#: In a ziplist, an entry after one of 254 bytes takes four bytes more; one of so many bytes has no such entry after it.
_BIG, _SURELY_SMALL = 254, 240


class Quicklists:
    """The lists of a target: the operations that commands consist of."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.settings = target.settings
        self.has_nodes = target.has("quicklist")
        self.is_packed = target.has("listpack")
        self.has_listpacks = target.has("list-listpack")
        self.knows_ends = target.has("quicklist-insert-at-ends")
        self.limits = list_limits(target)
        self._defaults = list_limits(replace(target, settings=Settings.of(target.product, target.version)))
        self._around = _LISTPACK if self.is_packed else _ZIPLIST
        self._entry = listpack_entry if self.is_packed else ziplist_entry
        # An element up to this length changes nothing in the entry after it.
        self._simple = 1 << 62 if self.is_packed or not self.has_nodes else _SURELY_SMALL
        # A ziplist has no PLAIN nodes.
        self._plain = self.limits.plain if self.is_packed else 1 << 62

    # -- sizes ---------------------------------------------------------------------------------------------------------

    def node(self, items: Iterable[bytes], *, is_plain: bool = False) -> Node:
        """Return a node with these elements."""
        node = Node()
        node.items.extend(items)
        node.is_plain = is_plain
        self._measure(node)
        return node

    def _measure(self, node: Node) -> None:
        if node.is_plain:
            node.size = len(node.items[0])
        elif not self.has_nodes:
            node.size = 0
        elif self.is_packed:
            node.size = _LISTPACK + sum(map(listpack_entry, node.items))
        else:
            node.size = _ziplist_size(node.items)

    def _takes(self, value: List, node: Node | None, length: int) -> bool:
        """Return whether a node of a quicklist has room for one more element."""
        if node is None or node.is_plain or length > self._plain:
            return False
        estimate = 8 if self.is_packed else _ziplist_estimate(length)
        limits = self._defaults if value.has_defaults else self.limits
        return node.size + length + estimate <= limits.push_bytes and len(node.items) < limits.push_count

    def _joins(self, value: List, one: Node, other: Node) -> bool:
        """Return whether two nodes may become one."""
        if one.is_plain or other.is_plain:
            return False
        limits = self._defaults if value.has_defaults else self.limits
        size, count = one.size + other.size - self._around, len(one.items) + len(other.items)
        return size <= limits.push_bytes and count <= limits.push_count

    # -- encodings -----------------------------------------------------------------------------------------------------

    def new(self) -> List:
        """Return an empty list, as a push makes it."""
        value = List()
        value.encoding = "listpack" if self.has_listpacks else "quicklist" if self.has_nodes else "ziplist"
        return value

    def grow(self, value: List, items: Sequence[bytes], size: int | None = None) -> None:
        """Convert a list for which these new elements, of `size` bytes, may be too much."""
        if not self.has_nodes:
            longest = self.settings.list_max_ziplist_value
            if value.encoding == "ziplist" and any(len(item) > longest and not _is_short(item) for item in items):
                value.encoding = "linkedlist"
        elif value.encoding == "listpack":
            size = sum(map(len, items)) if size is None else size
            held = value.nodes[0].size if value.nodes else _LISTPACK
            limits = self.limits
            if held + size > limits.push_bytes or value.count + len(items) > limits.node_count:
                value.encoding = "quicklist"

    def shrink(self, value: List, part: int = 2) -> None:
        """Make a quicklist a listpack if its only node is at most half as large as it may be, or 1/`part`."""
        if value.encoding != "quicklist" or not self.has_listpacks or len(value.nodes) != 1:
            return
        node, limits = value.nodes[0], self.limits
        fits = node.size <= limits.node_bytes // part and value.count <= limits.node_count // part
        if fits and not node.is_plain:
            value.encoding = "listpack"

    def built(self, items: Sequence[bytes]) -> List:
        """Return a new list of these elements, with the encoding that its content allows."""
        value = self.new()
        if not self.has_nodes:
            self.grow(value, items)
        if self.has_listpacks:
            value.encoding = "quicklist"
        else:
            value.has_defaults = True
        self.push(value, items)
        self.shrink(value, 1)
        return value

    # -- the ends ------------------------------------------------------------------------------------------------------

    def push(self, value: List, items: Iterable[bytes], *, at_head: bool = False) -> None:
        """Add elements one by one at an end; `grow` comes first."""
        nodes = value.nodes
        is_one = value.encoding != "quicklist"
        if is_one and not nodes:
            nodes.append(self.node(()))
        for item in items:
            node = nodes[0 if at_head else -1] if nodes else None
            if is_one or self._takes(value, node, len(item)):
                assert node is not None
                self._put(node, item, at_head=at_head)
            else:
                node = self.node((item,), is_plain=len(item) > self._plain)
                nodes.appendleft(node) if at_head else nodes.append(node)
            value.count += 1
            if is_one and not self.has_nodes and value.count > self.settings.list_max_ziplist_entries:
                value.encoding = "linkedlist"

    def _put(self, node: Node, item: bytes, *, at_head: bool) -> None:
        """Add an element at an end of a node."""
        items = node.items
        neighbour = item if at_head else items[-1] if items else b""
        if at_head:
            items.appendleft(item)
        else:
            items.append(item)
        if len(neighbour) <= self._simple:
            node.size += self._entry(item)
        else:
            self._measure(node)

    def pop(self, value: List, *, at_head: bool) -> bytes:
        """Remove the element at an end."""
        node = value.nodes[0 if at_head else -1]
        item = node.items[0 if at_head else -1]
        self.cut(value, 1, at_head=at_head)
        return item

    def cut(self, value: List, count: int, *, at_head: bool) -> None:
        """Remove so many elements at an end."""
        nodes = value.nodes
        count = min(count, value.count)
        value.count -= count
        while count:
            node = nodes[0 if at_head else -1]
            if count >= len(node.items):
                count -= len(node.items)
                nodes.popleft() if at_head else nodes.pop()
                continue
            items = node.items
            take = items.popleft if at_head else items.pop
            is_simple = at_head or len(items[-1 - count]) <= self._simple
            for _ in range(count):
                item = take()
                is_simple = is_simple and len(item) <= self._simple
                node.size -= self._entry(item)
            if not is_simple:
                self._measure(node)
            count = 0

    # -- the middle ----------------------------------------------------------------------------------------------------

    def remove(self, value: List, item: bytes, count: int) -> int:
        """Remove elements that are equal to one: the first `count`, the last if it is negative, all if it is 0."""
        most, removed = abs(count) or value.count, 0
        kept: deque[Node] = deque()
        for node in reversed(value.nodes) if count < 0 else value.nodes:
            found = min(node.items.count(item), most - removed) if removed < most else 0
            if found:
                removed += found
                node.items = _without(node.items, item, found, from_end=count < 0)
                if not node.items:
                    continue
                self._measure(node)
            if count < 0:
                kept.appendleft(node)
            else:
                kept.append(node)
        value.nodes = kept
        value.count -= removed
        return removed

    def insert(self, value: List, pivot: bytes, item: bytes, *, after: bool) -> bool:
        """Insert an element beside the first one that is equal to `pivot`; return whether there is one."""
        for at, node in enumerate(value.nodes):
            if pivot in node.items:
                self._insert(value, at, node.items.index(pivot), item, after=after)
                return True
        return False

    def _insert(self, value: List, at: int, offset: int, item: bytes, *, after: bool) -> None:
        nodes = value.nodes
        node = nodes[at]
        value.count += 1
        if value.encoding != "quicklist" or self._takes(value, node, len(item)):
            at = offset + after
            node.items.insert(at, item)
            if len(item) <= self._simple and (not at or len(node.items[at - 1]) <= self._simple):
                node.size += self._entry(item)
            else:
                self._measure(node)
            return
        is_end = offset == (len(node.items) - 1 if after else 0)
        beside = at + (1 if after else -1)
        neighbour = nodes[beside] if 0 <= beside < len(nodes) else None
        if not self.knows_ends:
            # Up to 6.2 the end of a node was never recognised, its head only with a node before it.
            is_end = is_end and not after and neighbour is not None
        if len(item) > self._plain:
            new = self.node((item,), is_plain=True)
            if not is_end and not node.is_plain:
                self._split(nodes, at, offset + after)
                nodes.insert(at + 1, new)
            else:
                nodes.insert(at + after, new)
        elif is_end and neighbour is not None and self._takes(value, neighbour, len(item)):
            self._put(neighbour, item, at_head=after)
        elif is_end:
            nodes.insert(at + after, self.node((item,)))
        else:
            self._split(nodes, at, offset + after)
            # The part that is cut off gets the element, and the other one is the centre of the merge.
            self._put(nodes[at + after], item, at_head=after)
            self._merge(value, at if after else at + 1)

    def _split(self, nodes: deque[Node], at: int, offset: int) -> None:
        """Make two nodes of one; either may be empty."""
        node = nodes[at]
        rest = self.node(islice(node.items, offset, None))
        while len(node.items) > offset:
            node.items.pop()
        self._measure(node)
        nodes.insert(at + 1, rest)

    def _merge(self, value: List, centre: int) -> None:
        """Merge the nodes around one: the two before it, the two after it, and it with those beside it."""
        nodes = value.nodes
        if centre > 1 and self._join(value, centre - 2):
            centre -= 1
        if centre + 2 < len(nodes):
            self._join(value, centre + 1)
        if centre > 0 and self._join(value, centre - 1):
            centre -= 1
        if centre + 1 < len(nodes):
            self._join(value, centre)

    def _join(self, value: List, at: int) -> bool:
        """Make one node of two, if they fit into one; return whether they did."""
        nodes = value.nodes
        one, other = nodes[at], nodes[at + 1]
        if not self._joins(value, one, other):
            return False
        one.items.extend(other.items)
        self._measure(one)
        del nodes[at + 1]
        return True

    def replace(self, value: List, index: int, item: bytes) -> None:
        """Replace the element at a position, which is there; `grow` comes first."""
        nodes = value.nodes
        at, offset = _place(nodes, value.count, index)
        node, is_long = nodes[at], len(item) > self._plain
        if value.encoding != "quicklist" or node.is_plain == is_long:
            old, node.items[offset] = node.items[offset], item
            if len(old) <= self._simple and len(item) <= self._simple and not node.is_plain:
                node.size += self._entry(item) - self._entry(old)
            else:
                self._measure(node)
        elif node.is_plain:
            self._insert(value, at, 0, item, after=True)
            del nodes[at]
            value.count -= 1
        else:
            if offset < len(node.items) - 1:
                self._split(nodes, at, offset + 1)
            nodes.insert(at + 1, self.node((item,), is_plain=True))
            if len(node.items) == 1:
                del nodes[at]
            else:
                node.items.pop()
                self._measure(node)
                self._merge(value, at + 1)


def _is_short(item: bytes) -> bool:
    """Return whether an element is kept as a number, which is never too long."""
    return len(item) <= _DIGITS and is_integer(item)


def listpack_entry(item: bytes) -> int:
    """Return the bytes of an element in a listpack."""
    size = len(item)
    if size <= _DIGITS and is_integer(item):
        return integer_size(int(item)) + 1
    return size + 2 if size < 64 else string_entry(size)


def ziplist_entry(item: bytes) -> int:
    """Return the bytes of an element in a ziplist, after a small one."""
    size = len(item)
    if size <= _DIGITS and is_integer(item):
        number = int(item)
        return 2 if 0 <= number <= 12 else 2 + _width(number)
    return size + (2 if size < 64 else 3 if size < 16384 else 6)


def _width(number: int) -> int:
    for width in (1, 2, 3, 4):
        if -(1 << 8 * width - 1) <= number < 1 << 8 * width - 1:
            return width
    return 8


def _ziplist_size(items: Iterable[bytes]) -> int:
    total, previous = _ZIPLIST, 0
    for item in items:
        previous = ziplist_entry(item) + (4 if previous >= _BIG else 0)
        total += previous
    return total


def _ziplist_estimate(length: int) -> int:
    return (1 if length < _BIG else 5) + (1 if length < 64 else 2 if length < 16384 else 5)


def _without(items: deque[bytes], item: bytes, count: int, *, from_end: bool) -> deque[bytes]:
    """Return elements without the first, or last, `count` that are equal to one."""
    kept: deque[bytes] = deque()
    add = kept.appendleft if from_end else kept.append
    for other in reversed(items) if from_end else items:
        if count and other == item:
            count -= 1
        else:
            add(other)
    return kept


def _place(nodes: deque[Node], count: int, index: int) -> tuple[int, int]:
    """Return node and offset of a position, which is there; the walk begins at the nearer end."""
    if index <= count // 2:
        for at, node in enumerate(nodes):
            if index < len(node.items):
                return at, index
            index -= len(node.items)
    left = count - 1 - index
    for back, node in enumerate(reversed(nodes)):
        if left < len(node.items):
            return len(nodes) - 1 - back, len(node.items) - 1 - left
        left -= len(node.items)
    raise IndexError(index)
