"""What an allocator really hands out for a request of n bytes: z(n).

MEMORY USAGE counts by allocation, not by request, nearly everywhere, so the classes of the server's allocator are part
of every answer. Which one it is stands in no RDB file; INFO says it (mem_allocator).

    jemalloc         bundled with the servers, configured with a quantum of 8
    jemalloc-debian  a distribution's, with a quantum of 16
    jemalloc-5.3.1   the same, newer: above 14 KiB its classes are whole pages
    glibc            chunks of 16 bytes, 8 of them overhead. Not exact: a remainder too small to split stays in it

jemalloc's classes: multiples of the quantum at first, then four to each doubling.

Source: measured, by MEMORY USAGE of strings of every length.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable
from functools import lru_cache

Sizes = Callable[[int], int]

_PAGE = 4096
_WHOLE_PAGES_FROM = 14 << 10
_MAPPED_FROM = 128 << 10


def _quarters(size: int) -> int:
    """Round up to one of four classes between two powers of two."""
    step = 1 << (size - 1).bit_length() - 3
    return (size + step - 1) & -step


def jemalloc(size: int) -> int:
    """Return the class of the bundled jemalloc."""
    if size <= 64:
        return max(8, (size + 7) & ~7)
    return _quarters(size)


def jemalloc_debian(size: int) -> int:
    """Return the class of jemalloc with a quantum of 16."""
    if size <= 8:
        return 8
    return (size + 15) & ~15 if size <= 128 else _quarters(size)


def jemalloc_5_3_1(size: int) -> int:
    """Return the class of jemalloc 5.3.1 as distributed."""
    return jemalloc_debian(size) if size <= _WHOLE_PAGES_FROM else (size + _PAGE - 1) & -_PAGE


def glibc(size: int) -> int:
    """Return the usable size of a glibc chunk."""
    if size >= _MAPPED_FROM:
        return ((size + 16 + _PAGE - 1) & -_PAGE) - 16
    return max(24, ((size + 8 + 15) & ~15) - 8)


ALLOCATORS: dict[str, Sizes] = {
    "jemalloc": jemalloc,
    "jemalloc-debian": jemalloc_debian,
    "jemalloc-5.3.1": jemalloc_5_3_1,
    "glibc": glibc,
}


def request(size: int) -> int:
    """Return the request itself: what servers count where they do not ask the allocator."""
    return size


@lru_cache(maxsize=64)
def table(sizes: Sizes, bound: int, unit: int = 1) -> array[int]:
    """Return sizes(n) * unit for every n below `bound`. Sizes are classes, or each request its own."""
    out = array("q")
    while len(out) < bound:
        size = sizes(len(out))
        run = max(1, min(size + 1, bound) - len(out))
        out.extend(array("q", [size * unit]) * run)
    return out
