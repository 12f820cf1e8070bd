# cython: language_level=3, annotation_typing=False, boundscheck=False, cdivision=True, initializedcheck=False
"""The memory of an array's elements in Redis 8.8 and newer, computed without building the array.

    directory of slices ─► slice: 4096 indexes ─┬ sparse: head 32, and 10 bytes for each of 4 or 8 elements
                                                └ dense:  head 32, and 8 bytes for each index of a window
    far slices: directory of blocks ─► block: 2048 slices

A slice with few elements is sparse, one with more is a window, whose number of indexes is a power of two. Short strings
(those with that tag in the file) and most numbers are stored in the slice itself; any other string has an allocation.

Source: measured on 13 arrays of 8.10.2, for which the result is exact. If these do not show which of two forms applies,
`known` becomes false.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

#: Indexes in a slice, and slices in a block.
_SLICE, _BLOCK = 12, 11
_HEAD, _SPARSE, _INDEX = 32, 10, 8
#: Elements up to which a slice is always sparse, and from which on it is always a window; between these, from _EVEN on,
#: both have the same size if the window is the smallest.
_FEW, _EVEN, _MANY = 5, 9, 15
_SMALLEST = 16
#: The array itself.
_ARRAY = 80
#: A string's head, and a length up to which it is known to have two bytes.
_STRING, _SURE = 2, 255
_LONGER_HEAD = 10
#: Slices up to which there is always a plain directory; from which on there are always blocks; the only number of
#: blocks that was measured, and the directory's size for each.
_PLAIN, _FAR = 1 << 10, 1 << 20
_BLOCKS, _ENTRY = 4, 24


class ArrayMemory:
    """Sums up elements that are added in ascending order; call `finish` after the last of them.

    `classes` and `above` are as for rax.Rax. Then `real` is the sum (allocated, in the same units), if `known` is true.
    """

    def __init__(self, classes: Any, above: Callable[[int], int]) -> None:
        self.classes = classes
        self.bound = len(classes)
        self.above = above
        self.clear()

    def clear(self) -> None:
        """Start another array."""
        self.real = 0
        self.known = True
        self.held = 0
        self.first = 0
        self.last = 0
        self.blocks = 0

    def add(self, index: int, size: int) -> int:
        """Add an element; `size` is the length of a string that has its own allocation, else -1."""
        if self.held and index <= self.last:
            # No server writes this.
            self.known = False
            return 0
        if self.held and index >> _SLICE != self.last >> _SLICE:
            self._close()
            if index >> _SLICE >> _BLOCK != self.last >> _SLICE >> _BLOCK:
                self.blocks += 1
        if self.held == 0:
            self.first = index
        self.held += 1
        self.last = index
        if size >= 0:
            self._count(size + _STRING)
            if size > _SURE and self._class(size + _STRING) != self._class(size + _LONGER_HEAD):
                self.known = False
        return 0

    def finish(self) -> None:
        """Count the last slice, the directory, the array itself."""
        top = self.last >> _SLICE
        self._close()
        self._count(_ARRAY)
        if top < _PLAIN:
            self._count(8 * _power(top + 1))
            return
        self.blocks += 1
        self._count(_ENTRY * self.blocks)
        self.real += self.blocks * self._class(8 << _BLOCK)
        if top < _FAR or self.blocks != _BLOCKS:
            self.known = False

    def _close(self) -> int:
        held, low = self.held, self.first & (1 << _SLICE) - 1
        high = self.last & (1 << _SLICE) - 1
        self.held = 0
        if held <= _FEW:
            return self._count(_HEAD + _SPARSE * (4 if held <= 4 else 8))
        window = max(_SMALLEST, _power(high - low + 1))
        # It was not measured whether a window starts at its first element or at a boundary for its size.
        if window != max(_SMALLEST, _power(high + 1)) or held < _EVEN or (held < _MANY and window > _SMALLEST):
            self.known = False
        return self._count(_HEAD + _INDEX * window)

    def _class(self, request: int) -> int:
        size: int = self.classes[request] if request < self.bound else self.above(request)
        return size

    def _count(self, request: int) -> int:
        self.real += self._class(request)
        return 0


def _power(count: int) -> int:
    """Return the smallest power of two that is not less than `count`."""
    power = 1
    while power < count:
        power *= 2
    return power
