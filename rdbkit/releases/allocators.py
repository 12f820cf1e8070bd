"""The size that an allocator returns for a request of n bytes: z(n).

MEMORY USAGE counts allocations, not requests, nearly everywhere, so its result depends on the size classes of the
server's allocator. An RDB file does not name the allocator; INFO does (mem_allocator).

    jemalloc         bundled with the servers, configured with a quantum of 8
    jemalloc-debian  as packaged by a distribution, with a quantum of 16
    jemalloc-5.3.1   the same, newer: above 14 KiB its classes are whole pages
    glibc            chunks of 16 bytes, 8 of them overhead. Not exact, see `chance`

jemalloc's classes are multiples of the quantum at first, then four per doubling.

glibc's result depends on what was freed before. A chunk is 16 bytes larger if it was cut from another one and the
remainder would be too small for a chunk. From 128 KiB on a chunk is mapped, in whole pages, until one has been freed:
then this limit becomes the size of that one, up to 32 MiB. z(n) is the smallest size, and between 128 KiB and 32 MiB
the mean of both.

Source: measured, by MEMORY USAGE of strings of every length; glibc's limits from its documentation (mallopt).
"""

from __future__ import annotations

from array import array
from collections.abc import Callable
from functools import lru_cache

Sizes = Callable[[int], int]

_PAGE = 4096
_WHOLE_PAGES_FROM = 14 << 10
#: The sizes of glibc's chunks, with their heads, that are mapped or not, and those that always are.
_MAPPED_FROM, _ALWAYS_MAPPED_FROM = 128 << 10, 32 << 20
#: The extra bytes of such a glibc chunk, and how many chunks have them: measured 0.1 to 6 in 100, by file.
_REMAINDER, _REMAINDERS = 16, 1 / 32
#: The same for nodes of radix trees, which grow key by key: measured 1 to 2 in 100 of those of large trees.
_GROWN = 1 / 64


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
    """Return the usable size of a glibc chunk, the least one."""
    chunk = max(32, (size + 8 + 15) & -16)
    if chunk < _MAPPED_FROM:
        return chunk - 8
    mapped = ((size + 16 + _PAGE - 1) & -_PAGE) - 16
    return mapped if chunk >= _ALWAYS_MAPPED_FROM else (chunk - 8 + mapped) // 2


def chance(allocator: str, pieces: int, size: int, nodes: int = 0) -> float:
    """Return the variance, in bytes², of the actual size of `pieces` allocations of `size` bytes together.

    `nodes` of them are nodes of radix trees; those of one tree have the same history, so they are not independent.
    """
    if allocator != "glibc":
        return 0.0
    # The sizes of a large chunk, mapped or not, differ by at most a page; its text has a header, too.
    large = min(pieces, size // (_MAPPED_FROM - 64))
    return _REMAINDER**2 * (_REMAINDERS * pieces + (_GROWN * nodes) ** 2) + large * _PAGE**2 / 12


ALLOCATORS: dict[str, Sizes] = {
    "jemalloc": jemalloc,
    "jemalloc-debian": jemalloc_debian,
    "jemalloc-5.3.1": jemalloc_5_3_1,
    "glibc": glibc,
}


def request(size: int) -> int:
    """Return the request itself, which servers count if they do not ask the allocator."""
    return size


@lru_cache(maxsize=64)
def table(sizes: Sizes, bound: int, unit: int = 1) -> array[int]:
    """Return sizes(n) * unit for every n below `bound`. `sizes` is an allocator's function, or `request`."""
    out = array("q")
    while len(out) < bound:
        size = sizes(len(out))
        run = max(1, min(size + 1, bound) - len(out))
        out.extend(array("q", [size * unit]) * run)
    return out
