"""Every fold: its result for a few keys; any split, in any order, also through a file, gives the same."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.made import batches, rows, splits
from rdbkit.analysis import expiry
from rdbkit.analysis.biggest import Biggest
from rdbkit.analysis.prefixes import Prefixes
from rdbkit.analysis.rows import Batch
from rdbkit.analysis.slots import Tags
from rdbkit.analysis.totals import Total, Totals
from rdbkit.format.slots import slot_of, tag_of

NOW = 1_700_000_000_000


class Fold:
    """One kind of fold: how it is made, fed and loaded."""

    def __init__(self, make: Callable[[], Any], feed: Callable[[Any, Batch], None]) -> None:
        self.make = make
        self.feed = feed

    def of(self, keys: list[Any], size: int = 3) -> Any:
        fold = self.make()
        for batch in batches(keys, size):
            self.feed(fold, batch)
        return fold

    def again(self, fold: Any) -> Any:
        """The fold as it comes back from a file."""
        loaded = self.make()
        lines = [json.loads(json.dumps(row)) for row in fold.dump()]
        if hasattr(loaded, "load_all"):
            loaded.load_all(lines)
        else:
            for line in lines:
                loaded.load(line)
        return loaded


FOLDS = {
    "totals": Fold(Totals, lambda fold, batch: fold.feed(batch)),
    "biggest": Fold(lambda: Biggest(2), lambda fold, batch: fold.feed(batch, "f")),
    "prefixes": Fold(Prefixes, lambda fold, batch: fold.feed(batch)),
    "expiry": Fold(expiry.expiry, lambda fold, batch: fold.feed(batch, batch.expires_at, NOW)),
    "idle": Fold(expiry.idle, lambda fold, batch: fold.feed(batch, batch.idle)),
    "freq": Fold(expiry.freq, lambda fold, batch: fold.feed(batch, batch.freq)),
    "tags": Fold(Tags, lambda fold, batch: fold.feed(batch)),
}


@pytest.mark.parametrize("name", FOLDS)
@settings(max_examples=40)
@given(data=st.data(), keys=st.lists(rows(), min_size=1, max_size=20))
def test_any_split_and_order_gives_the_same(name: str, data: Any, keys: list[Any]) -> None:
    kind = FOLDS[name]
    whole = kind.of(keys, len(keys))
    parts = [kind.of(part, data.draw(st.integers(1, 4))) for part in data.draw(splits(keys))]
    parts = [kind.again(part) if data.draw(st.booleans()) else part for part in parts]
    first, *others = data.draw(st.permutations(parts))
    for other in others:
        first.merge(other)
    assert first.result() == whole.result()
    assert list(first.dump()) == list(whole.dump())
    if name == "totals":
        assert (first.databases(), first.types(), first.encodings()) == (
            whole.databases(), whole.types(), whole.encodings()
        )  # fmt: skip


@pytest.mark.parametrize("name", FOLDS)
@settings(max_examples=40)
@given(keys=st.lists(rows(), min_size=1, max_size=8), data=st.data())
def test_what_is_no_dump_is_refused(name: str, keys: list[Any], data: Any) -> None:
    kind = FOLDS[name]
    lines = [json.loads(json.dumps(row)) for row in kind.of(keys).dump()]
    if not lines:
        return
    line = lines[data.draw(st.integers(0, len(lines) - 1))]
    line[data.draw(st.integers(0, len(line) - 1))] = data.draw(
        st.sampled_from([-1, None, "x", [], {}, 1.5, True, [[]], "\u20ac"])
    )
    fold = kind.make()
    try:
        fold.load_all(lines) if hasattr(fold, "load_all") else [fold.load(row) for row in lines]
        fold.result()
        list(fold.dump())
    except (ValueError, TypeError, IndexError, KeyError, AttributeError):
        pass


KEYS = [
    (0, b"a", "string", "raw", 1, 100, 0, 20, None, None, None),
    (0, b"b", "hash", "hashtable", 7, 300, 3, 50, NOW + 1, None, None),
    (1, b"c", "hash", "hashtable", 5, 301, 4, 51, NOW, None, None),
    (1, b"m", "module", "raw", None, None, None, 1000, None, None, None),
]


def test_totals() -> None:
    fold = FOLDS["totals"].of(KEYS)
    assert fold.total() == Total(4, 13, 701, 5, 1121, 1, 1000, 2)
    assert fold.total().no_expiry == 2
    assert fold.databases()[1] == Total(2, 5, 301, 4, 1051, 1, 1000, 1)
    assert list(fold.types()) == ["module", "hash", "string"]
    assert fold.types()["module"] == Total(1, 0, None, None, 1000, 1, 1000, 0)
    assert fold.encodings()[("hash", "hashtable")] == Total(2, 12, 601, 5, 101, 0, 0, 2)


def test_biggest_breaks_ties_by_database_and_key() -> None:
    keys = [(db, key, "string", "raw", 1, 5, 0, 1, None, None, None) for key in (b"c", b"a", b"b") for db in (1, 0)]
    assert [(big.db, big.key) for big in FOLDS["biggest"].of(keys).result()["string"]] == [(0, b"a"), (0, b"b")]
    none = Biggest(0)
    none.feed(Batch(keys))
    assert none.result() == {}


def test_expiry_counts_from_now() -> None:
    times = [NOW, NOW + 1, NOW + 3_600_000, NOW + 86_400_000, NOW + 30 * 86_400_000, None]
    keys = [(0, b"k", "string", "raw", 1, 10, 0, 5, time, None, None) for time in times]
    found = {bucket.name: bucket.keys for bucket in FOLDS["expiry"].of(keys).result()}
    assert found == {"expired": 1, "<1h": 1, "<1d": 1, "<7d": 1, "<30d": 0, "later": 1, "none": 1}


def test_usage_is_reported_only_if_the_file_has_it() -> None:
    assert FOLDS["idle"].of(KEYS).result() == []
    keys = [(0, b"k", "string", "raw", 1, 10, 0, 5, None, 59, 255), (0, b"l", "string", "raw", 1, 9, 0, 5, None, 60, 0)]
    assert [bucket.keys for bucket in FOLDS["idle"].of(keys).result()] == [1, 1, 0, 0, 0, 0]
    assert [bucket.keys for bucket in FOLDS["freq"].of(keys).result()] == [1, 0, 0, 0, 0, 1]


@pytest.mark.parametrize(
    ("key", "tag", "slot"),
    [
        (b"123456789", None, 12739),
        (b"{user1000}.following", b"user1000", 3443),
        (b"foo{}{bar}", None, 8363),
        (b"foo{{bar}}zap", b"{bar", 4015),
        (b"foo{bar}{zap}", b"bar", 5061),
    ],
)
def test_slots(key: bytes, tag: bytes | None, slot: int) -> None:
    """12739 is the specification's own example; the others are what CLUSTER KEYSLOT answers."""
    assert tag_of(key) == tag
    assert slot_of(key) == slot


def test_tags() -> None:
    keys = [(0, key, "string", "raw", 1, 10, 0, 5, None, None, None) for key in (b"{a}1", b"{a}2", b"{b}", b"c", b"{}")]
    assert [(tag.tag, tag.slot, tag.keys, tag.memory) for tag in FOLDS["tags"].of(keys).result()] == [
        (b"a", 15495, 2, 20), (b"b", 3300, 1, 10)
    ]  # fmt: skip
