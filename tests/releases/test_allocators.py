"""Allocation classes."""

from __future__ import annotations

import pytest

from rdbkit.releases.allocators import ALLOCATORS, chance, request, table

CLASSES = [
    ("jemalloc", [8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 16384, 20480, 24576]),
    ("jemalloc-debian", [8, 16, 32, 48, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 16384, 20480]),
    ("jemalloc-5.3.1", [8, 16, 32, 48, 64, 128, 160, 12288, 14336, 16384, 20480, 24576, 28672, 32768, 36864]),
    ("glibc", [24, 40, 56, 72, 88, 1032, 131048, 33558512]),
]
PAIRS = [
    ("jemalloc", 0, 8),
    ("jemalloc", 65, 80),
    ("jemalloc", 536, 640),
    ("jemalloc", 1048, 1280),
    ("jemalloc-debian", 24, 32),
    ("jemalloc-debian", 129, 160),
    ("jemalloc-5.3.1", 32769, 36864),
    ("glibc", 25, 40),
    # Mapped in whole pages (131056), or cut from the heap like a smaller one (131064).
    ("glibc", 131049, (131056 + 131064) // 2),
    ("glibc", 131072, (131080 + 135152) // 2),
    ("glibc", (32 << 20) - 24, (33554408 + 33554416) // 2),
    ("glibc", (32 << 20) - 23, 33554416),
]


@pytest.mark.parametrize(("name", "classes"), CLASSES, ids=lambda value: value if isinstance(value, str) else "")
def test_classes_stay_as_they_are(name: str, classes: list[int]) -> None:
    for size in classes:
        assert ALLOCATORS[name](size) == size


@pytest.mark.parametrize(("name", "size", "taken"), PAIRS)
def test_sizes_are_rounded_up(name: str, size: int, taken: int) -> None:
    assert ALLOCATORS[name](size) == taken


@pytest.mark.parametrize("name", [*ALLOCATORS])
def test_tables_say_the_same(name: str) -> None:
    sizes = ALLOCATORS[name]
    assert list(table(sizes, 20000, 3)) == [3 * sizes(size) for size in range(20000)]
    assert all(sizes(size) >= size for size in range(20000))
    assert list(table(request, 100)) == list(range(100))


def test_glibc_leaves_remainders_to_chance() -> None:
    one = chance("glibc", 1, 100)
    # One remainder of sixteen bytes is within six deviations, and nothing is certain.
    assert 16 <= 6 * one**0.5 < 32
    assert chance("glibc", 4, 100) == 4 * one
    assert chance("glibc", 4, 100, 4) > 4 * one
    # A large one is a page larger or smaller at most, and that is the mean of both sizes, half of it.
    assert 600 < (chance("glibc", 1, 200_000) - one) ** 0.5 < 2048
    assert chance("glibc", 9, 300_000) - 9 * one == 2 * (chance("glibc", 1, 200_000) - one)
    assert all(chance(name, 5, 1 << 20, 5) == 0 for name in ALLOCATORS if name != "glibc")
