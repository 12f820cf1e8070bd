"""Prefixes: the keys with one prefix, and what is known of a prefix if there are too many of them."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.made import batches, rows, splits
from rdbkit.analysis.prefixes import Naming, Prefixes, folded
from rdbkit.analysis.rows import Batch, weigh


@pytest.mark.parametrize(
    ("key", "name"),
    [
        (b"user:1234:profile", b"user:*:profile"),
        (b"user123", b"user*"),
        (b"1", b"*"),
        (b"", b""),
        (b"plain", b"plain"),
        (b"0", b"*"),
        (b"{cart42}:x", b"{cart*}:x"),
        (b"s:5f3e0a4c-1b2d-4e6f-8a9b-0c1d2e3f4a5b", b"s:*"),
        (b"S:5F3E0A4C-1B2D-4E6F-8A9B-0C1D2E3F4A5B:x", b"S:*:x"),
        (b"p/d41d8cd98f00b204e9800998ecf8427e", b"p/*"),
        (b"p/0123456789abcde", b"p/*abcde"),
        (b"p/0123456789abcdef", b"p/*"),
        (b"page1234567890123456", b"page*"),
        (b"xdeadbeefdeadbeef", b"xdeadbeefdeadbeef"),
        (b"deadbeefdeadbeefx", b"deadbeefdeadbeefx"),
        (b"deadbeefdeadbeef_deadbeefdeadbeef", b"*_*"),
        (b"cache/2026-11-20/x", b"cache/*/x"),
        (b"cache:20261120", b"cache:*"),
        (b"2026-11-20T03:10:00", b"*T*:*:*"),
        (b"12026-11-20", b"*-*-*"),
        (b"2026-11-201", b"*-*-*"),
        (b"1-2-3", b"*-*-*"),
        (b"a*b", b"a*b"),
        ("größe:7".encode(), "größe:*".encode()),
        (b"a\n1:12", b"a\n*:*"),
    ],
)
def test_folding(key: bytes, name: bytes) -> None:
    assert folded(key) == name
    assert Naming().names([key, b"x:1", key]) == [name, b"x:*", name]
    assert Naming(fold=False).names([key]) == [key]


@pytest.mark.parametrize(
    ("depth", "separators", "names"),
    [
        (1, (b":", b"/"), [b"a:", b"a/", b"plain", b"a:", b":"]),
        (2, (b":", b"/"), [b"a:b/", b"a/b:", b"plain", b"a:", b"::"]),
        (1, (b"/",), [b"a:b/", b"a/", b"plain", b"a:", b":::"]),
        (1, (b"lai",), [b"a:b/c", b"a/b:c:d", b"plai", b"a:", b":::"]),
        (9, (b":",), [b"a:b/c", b"a/b:c:d", b"plain", b"a:", b":::"]),
    ],
)
def test_depth(depth: int, separators: tuple[bytes, ...], names: list[bytes]) -> None:
    keys = [b"a:b/c", b"a/b:c:d", b"plain", b"a:", b":::"]
    assert Naming(True, separators, depth).names(keys) == names


def test_depth_takes_no_time_where_separators_are_few() -> None:
    assert Naming(True, (b":",), 60).names([b":" * 59 + b"x" * 150]) == [b":" * 59 + b"x" * 150]


_pieces = st.sampled_from([b"0", b"17", b"deadbeef", b"-", b":", b"/", b"\n", b"x", b"2026-11-20", b"\xff", b"0123abc"])
_keys = st.lists(_pieces, max_size=12).map(b"".join)
_LETTER = rb"[0-9A-Za-z]"
_REFERENCE = [
    (rb"(?<!%b)(?:[0-9a-fA-F]{16,}|[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12})(?!%b)" % (_LETTER, _LETTER)),
    rb"(?<![0-9])[0-9]{4}-[0-9]{2}-[0-9]{2}(?![0-9])",
    rb"[0-9]+",
]


@given(st.lists(_keys, min_size=1, max_size=6))
def test_folding_is_a_rule_for_each_key_alone(keys: list[bytes]) -> None:
    names = Naming().names(keys)
    for key, name in zip(keys, names):
        expected = key
        for rule in _REFERENCE:
            expected = re.sub(rule, b"0" if rule is not _REFERENCE[-1] else b"*", expected)
        assert name == expected
        assert Naming().names([key]) == [name]


def test_a_long_key_is_cut() -> None:
    names = Naming().names([b"x" * 256, b"x" * 257, b"1" * 100_000])
    assert names == [b"x" * 256, b"x" * 256 + "…".encode(), "*…".encode()]


# -- more names than fit -----------------------------------------------------------------------------------------------


def _truth(keys: list[Any]) -> dict[bytes, list[int]]:
    sums: dict[bytes, list[int]] = defaultdict(lambda: [0] * 6)
    for _, key, _, _, _, memory, _, size, expires_at, _, _ in keys:
        name = Naming().names([key])[0]
        unknown = memory is None
        facts = (1, memory or 0, size, int(unknown), size if unknown else 0, int(expires_at is None))
        sums[name] = [mine + more for mine, more in zip(sums[name], facts)]
    return sums


@settings(max_examples=150)
@given(data=st.data(), keys=st.lists(rows(), min_size=1, max_size=60), capacity=st.integers(2, 12))
def test_the_true_number_is_in_the_interval(data: Any, keys: list[Any], capacity: int) -> None:
    by = data.draw(st.sampled_from(["memory", "keys"]))
    parts = []
    for part in data.draw(splits(keys)):
        fold = Prefixes(capacity=data.draw(st.integers(2, capacity)), by=by)
        for batch in batches(part, data.draw(st.integers(1, 5))):
            fold.feed(batch)
        parts.append(fold)
    while len(parts) > 1:
        parts = data.draw(st.permutations(parts))
        other = parts.pop()
        if data.draw(st.booleans()):
            loaded = Prefixes(capacity=capacity, by=by)
            loaded.load_all(list(other.dump()))
            other = loaded
        parts[0].merge(other)
    fold, truth = parts[0], _truth(keys)
    found = {prefix.name: prefix for prefix in fold.result() if prefix.name is not None}
    assert len(found) <= capacity
    for name, sums in truth.items():
        if name not in found:
            assert all(real <= most for real, most in zip(sums, fold.absent))
            continue
        prefix = found[name]
        low = (prefix.keys, prefix.memory or 0, prefix.size, prefix.unknown, prefix.unknown_size, prefix.no_expiry)
        error = prefix.error or (0,) * 6
        assert all(least <= real <= least + more for least, real, more in zip(low, sums, error))
    # Whatever is shown, the rest makes it whole.
    for limit in (None, 0, 1):
        shown = fold.result(limit)
        assert sum(prefix.keys for prefix in shown) == len(keys)
        assert sum(prefix.size for prefix in shown) == sum(row[7] for row in keys)
        assert sum(prefix.weight for prefix in shown) == sum(map(weigh, truth.values()))
    if fold.is_exact:
        assert not any(prefix.error for prefix in found.values())


def test_heavy_names_stay_and_the_table_stays_small() -> None:
    fold = Prefixes(Naming(fold=False), capacity=1000)
    for start in range(0, 50_000, 500):
        keys = [b"one:%d" % number if number % 5 else b"heavy" for number in range(start, start + 500)]
        fold.feed(Batch([(0, key, "string", "raw", 1, 50, 0, 40, None, None, None) for key in keys]))
        assert len(fold) <= 1000
    heavy, *others = fold.result(1)
    assert (heavy.name, heavy.keys, heavy.memory, heavy.error) == (b"heavy", 10_000, 500_000, None)
    assert others[0].keys == 40_000
    assert fold.absent[0] < 100
