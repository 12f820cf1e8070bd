# cython: language_level=3, annotation_typing=False, boundscheck=False, cdivision=True, initializedcheck=False
"""The number and memory of the nodes of a server's radix tree of sorted keys, computed without building the tree.

If keys were only inserted, the keys determine the shape of the tree, and keys that are added in order change only its
right edge. So a stack of the nodes on the path to the last key is enough; nodes that leave the path are final.

    node = [header 4] [characters, padded to 8 with the header] [a pointer per child] [8 more if a key ends here]

A node with several children holds one character and one pointer for each; a run without branches is one node with all
its characters and one pointer; a leaf is a header and its key's data. The node in which a key ends may be any of them.

Source: rax.h, rax.c of the BSD-licensed versions; node counts agree with XINFO STREAM.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

#: Longer keys are cut to this length; names of groups and consumers are rarely longer.
_LONGEST = 1 << 16


class Rax:
    """Sums up the tree of keys that are added in ascending order; call `finish` after the last of them.

    `classes` is a table of allocation sizes by request, in fractions of a byte, for requests below its length; `above`
    returns those of larger ones. `inline`: a key's data is stored in its parent, and leaves take no memory.

    Afterwards `keys`, `nodes` and `real` (allocated, in the same units).
    """

    def __init__(self, classes: Any, above: Callable[[int], int], inline: bool = False) -> None:
        self.inline = inline
        self.classes = classes
        self.bound = len(classes)
        self.above = above
        self.clear()

    def clear(self) -> None:
        """Start another tree."""
        self.keys = 0
        self.nodes = 0
        self.real = 0
        self.last = b""
        # Of each node on the path: its depth, children so far, length of the run to the first, whether a key ends here.
        self.path: list[list[int]] = [[0, 0, 0, 0]]

    def add(self, key: bytes) -> int:
        """Add a key that comes after all others."""
        last = self.last
        size = min(len(key), _LONGEST)
        same = 0
        most = min(size, len(last))
        while same < most and key[same] == last[same]:
            same += 1
        if self.keys and same == len(last) == size:
            return 0
        self._close(same)
        self.last = key[:size]
        self.keys += 1
        if size == same:
            self.path[-1][3] = 1
        else:
            self.path.append([size, 0, 0, 1])
        return 0

    def finish(self) -> None:
        """Count the nodes that are still on the path."""
        self._close(0)
        self._node(self.path[0])

    def _close(self, depth: int) -> int:
        """Remove the nodes below `depth` from the path; the last of them is a child of a node at `depth`."""
        path = self.path
        while True:
            node = path[-1]
            if node[0] <= depth:
                return 0
            path.pop()
            parent = path[-1]
            if parent[0] < depth:
                parent = [depth, 0, 0, 0]
                path.append(parent)
            self._hang(node[0] - parent[0], parent)
            self._node(node)

    def _hang(self, distance: int, parent: list[int]) -> int:
        children = parent[1]
        parent[1] = children + 1
        if children == 0:
            parent[2] = distance
            return 0
        if children == 1:
            self._run(parent[2] - 1)
        return self._run(distance - 1)

    def _run(self, size: int) -> int:
        """Count a node without branches that holds `size` characters, if there are any left."""
        if size > 0:
            self._count(size, 1, 0)
        return 0

    def _node(self, node: list[int]) -> int:
        children = node[1]
        if children == 0:
            if self.inline and node[3]:
                self.nodes += 1
                return 0
            return self._count(0, 0, node[3])
        if children == 1:
            return self._count(node[2], 1, node[3])
        return self._count(children, children, node[3])

    def _count(self, size: int, children: int, key: int) -> int:
        request = ((size + 11) & ~7) + 8 * (children + key)
        self.nodes += 1
        self.real += self.classes[request] if request < self.bound else self.above(request)
        return 0
