"""HyperLogLogs, byte for byte: digests of what Redis 7.0.15, 8.10.2 and Valkey 9.1.2 held after they loaded these."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import pytest

from keyspace.made import replayed
from rdbkit.keyspace.commands.hyperloglog import murmur, rank, registers

STALE = 1 << 63
ABC = ("PFADD", "k", "a", "b", "c")


def numbers(first: int, last: int) -> Iterator[str]:
    return map(str, range(first, last))


def summary(*commands: Any, target: str = "redis:7.0.15") -> tuple[int, str, int]:
    text = replayed(*commands, target=target)[b"k"].value
    return len(text), hashlib.sha1(text).hexdigest()[:16], int.from_bytes(text[8:16], "little")


def count(*commands: Any, target: str = "redis:7.0.15") -> int:
    return summary(*commands, target=target)[2]


MADE = {
    "new": ([ABC], (27, "0faf39ba203a08de", STALE)),
    "counted": ([ABC, "PFCOUNT k"], (27, "d07322dc4f4d0c33", 3)),
    "nothing new": ([ABC, "PFCOUNT k", "PFADD k a"], (27, "d07322dc4f4d0c33", 3)),
    "empty": (["PFADD k"], (18, "e2c2a4d6f667db2d", STALE)),
    "sparse": ([("PFADD", "k", *numbers(0, 500)), "PFCOUNT k"], (1061, "8ce5bfb1fbd98ecc", 503)),
    "promoted": ([("PFADD", "k", *numbers(0, 2000)), "PFCOUNT k"], (12304, "3bed5e7faba5c63c", 2007)),
    "merged": (
        [("PFADD", "a", *numbers(0, 300)), ("PFADD", "b", *numbers(200, 600)), "PFMERGE k a b none"],
        (1238, "94e544d3c7c4b4e3", STALE),
    ),
    "merged, dense": (
        [
            ("PFADD", "a", *numbers(0, 300)),
            ("PFADD", "b", *numbers(200, 600)),
            "PFDEBUG TODENSE a",
            "PFMERGE k a b",
        ],
        (12304, "d6a6918aae4c72ac", STALE),
    ),
    "made dense": ([ABC, "PFCOUNT k", "PFDEBUG TODENSE k"], (12304, "ffb2520c042c66d9", 3)),
}


@pytest.mark.parametrize("name", MADE)
@pytest.mark.parametrize("target", ["redis:7.0.15", "redis:8.10.2", "valkey:9.1.2"])
def test_bytes(name: str, target: str) -> None:
    commands, expected = MADE[name]
    assert summary(*commands, target=target) == expected


@pytest.mark.slow
def test_bytes_of_a_full_one() -> None:
    added = [("PFADD", "k", *numbers(first, first + 1000)) for first in range(0, 50_000, 1000)]
    assert summary(*added, "PFCOUNT k") == (12304, "3457437412ed61de", 50354)


def test_ranks() -> None:
    assert murmur(b"", 0) == 0
    assert [rank(b"%d" % number)[1] for number in range(2000)].count(1) == pytest.approx(1000, abs=100)
    assert max(rank(b"%d" % number)[1] for number in range(2000)) <= 51
    assert len({rank(b"%d" % number)[0] for number in range(2000)}) > 1800


def test_sparse_and_dense_have_the_same_registers() -> None:
    added = ("PFADD", "k", *numbers(0, 400))
    sparse = replayed(added)[b"k"].value
    dense = replayed(added, "PFDEBUG TODENSE k")[b"k"].value
    assert (sparse[4], dense[4]) == (1, 0)
    assert registers(sparse) == registers(dense)
    assert replayed(added, "PFDEBUG GETREG k")[b"k"].value == dense
    assert replayed(added, "PFDEBUG ENCODING k")[b"k"].value == sparse


def test_order_of_elements_is_not_kept() -> None:
    one = replayed(("PFADD", "k", *numbers(0, 1500)), settings={"hll-sparse-max-bytes": "15000"})[b"k"].value
    other = replayed(("PFADD", "k", *reversed(list(numbers(0, 1500)))), settings={"hll-sparse-max-bytes": "15000"})
    assert registers(one) == registers(other[b"k"].value)


def test_sparse_limit_is_a_setting() -> None:
    added = ("PFADD", "k", *numbers(0, 500))
    assert replayed(added)[b"k"].value[4] == 1
    assert replayed(added, settings={"hll-sparse-max-bytes": "1000"})[b"k"].value[4] == 0


def test_estimates_by_release() -> None:
    added = ("PFADD", "k", *numbers(0, 3000))
    counts = [count(added, "PFCOUNT k", target=f"redis:{version}") for version in ("3.2.13", "4.0.14", "5.0.14")]
    assert all(2900 < found < 3100 for found in counts)
    assert len(set(counts)) > 1
    assert [count(ABC, "PFCOUNT k", target=f"redis:{version}") for version in ("2.8.24", "4.0.14", "5.0.14")] == [3] * 3


def test_empty_is_counted() -> None:
    for target in ("redis:2.8.24", "redis:4.0.14", "redis:7.0.15"):
        assert count("PFADD k", "PFCOUNT k", target=target) == 0


def test_old_merges_are_dense() -> None:
    merge = (ABC, "PFMERGE k k")
    assert replayed(*merge, target="redis:3.2.13")[b"k"].value[4] == 0
    assert replayed(*merge, target="redis:4.0.14")[b"k"].value[4] == 1


def test_count_of_several_changes_nothing() -> None:
    assert count(ABC, "PFCOUNT k other") == STALE


def test_encoding_and_expiry() -> None:
    found = replayed(ABC, "PEXPIREAT k 4102444800123", "PFCOUNT k", "PFADD k d")[b"k"]
    assert (found.encoding, found.expires_at) == ("raw", 4102444800123)


@pytest.mark.parametrize("text", [b"x", b"HYLL", b"HYLL\2" + bytes(20), b"HYLL" + bytes(100), b"12"])
def test_other_strings_are_refused(text: bytes) -> None:
    for words in ("PFADD k a", "PFCOUNT k", "PFMERGE k other", "PFMERGE other k", "PFDEBUG TODENSE k"):
        found = replayed(("SET", "k", text), words)
        assert (bytes(found[b"k"].value), b"other" in found) == (text, False)


def test_other_types_are_refused() -> None:
    for words in ("PFADD k a", "PFCOUNT k", "PFMERGE other k"):
        assert list(replayed("RPUSH k a", words)) == [b"k"]


@pytest.mark.parametrize("runs", [b"\x7f", b"\x7f\xfe", b"\x7f\xff\x00", b"\x80", b""])
def test_damaged_runs_are_not_counted(runs: bytes) -> None:
    text = b"HYLL\1" + bytes(10) + b"\x80" + runs
    for words in ("PFCOUNT k", "PFMERGE other k", "PFDEBUG TODENSE k"):
        found = replayed(("SET", "k", text), words)
        assert (bytes(found[b"k"].value), b"other" in found) == (text, False)
