from __future__ import annotations

import tracemalloc
from operator import itemgetter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rdbkit.output import sort
from rdbkit.output.sort import Sorter, ordered

KEYS = st.lists(st.none() | st.integers(0, 5), max_size=60)


def expected(rows: list[Any], reverse: bool) -> list[Any]:
    """Sorted, stable, None last in either direction."""
    there = sorted((row for row in rows if row[0] is not None), key=itemgetter(0), reverse=reverse)
    return there + [row for row in rows if row[0] is None]


@given(KEYS, st.booleans(), st.sampled_from([200, 1000, 1 << 20]))
@settings(max_examples=60, deadline=None)
def test_sorted_stable_none_last(keys: list[int | None], reverse: bool, memory: int) -> None:
    rows = [(key, at) for at, key in enumerate(keys)]
    with Sorter(itemgetter(0), reverse, memory) as sorter:
        for row in rows:
            sorter.add(row)
        assert list(sorter) == expected(rows, reverse)
        assert list(sorter) == expected(rows, reverse)  # and once more


@given(st.lists(st.tuples(st.floats(allow_nan=False), st.binary(max_size=3)), max_size=40))
@settings(deadline=None)
def test_whole_rows(rows: list[tuple[float, bytes]]) -> None:
    with Sorter(memory=500) as sorter:
        sorter.add_batch(rows)
        assert list(sorter) == sorted(rows)


@pytest.mark.parametrize("reverse", [False, True])
def test_many_runs_in_levels(monkeypatch: pytest.MonkeyPatch, reverse: bool) -> None:
    monkeypatch.setattr(sort, "FAN", 3)
    rows = [(at * 7919 % 101, at) for at in range(4000)]
    with Sorter(itemgetter(0), reverse, memory=10_000) as sorter:
        for at in range(0, 4000, 10):
            sorter.add_batch(rows[at : at + 10])
        assert len(sorter._levels) >= 3
        assert sum(map(len, sorter._levels)) <= 3 * len(sorter._levels)
        assert list(sorter) == expected(rows, reverse)


@given(KEYS, st.booleans(), st.integers(0, 70), st.sampled_from([1, 7, 4096]), st.sampled_from([200, 1 << 20]))
def test_the_first_of_them(keys: list[int | None], reverse: bool, n: int, trimmed: int, memory: int) -> None:
    rows = [(key, at) for at, key in enumerate(keys)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sort, "_TRIMMED", trimmed)
        with Sorter(itemgetter(0), reverse, memory, limit=n) as sorter:
            for at in range(0, len(rows), 3):
                sorter.add_batch(rows[at : at + 3])
            assert list(sorter) == expected(rows, reverse)[:n]


@pytest.mark.parametrize("limit", [None, 0, 5, 1000])
def test_ordered(limit: int | None) -> None:
    rows = [(at % 7 or None, at) for at in range(50)]
    batches = [rows[:20], [], rows[20:]]
    assert list(ordered(batches, itemgetter(0), reverse=True, limit=limit)) == expected(rows, True)[:limit]


def test_long_rows_are_held_in_no_great_number() -> None:
    tracemalloc.start()
    with Sorter(itemgetter(0), memory=1 << 20) as sorter:
        for at in range(600):
            sorter.add((at * 7919 % 601, b"x" * 50_000))
        assert [row[0] for row in sorter] == sorted(at * 7919 % 601 for at in range(600))
    assert tracemalloc.get_traced_memory()[1] < 8 << 20
    tracemalloc.stop()
