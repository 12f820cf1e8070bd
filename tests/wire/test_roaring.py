"""Roaring bitmaps: read, written, damaged; compared with a second encoder, which goes number by number."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from itertools import groupby, pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wire.asserts import DAMAGE, OFFSET, Packed, Trickle, both_builds, damaged, outcome

Run = tuple[int, int]


# -- the second encoder ------------------------------------------------------------------------------------------------


def container(low: list[int], form: str) -> bytes:
    """Return a container of the 16 low bits of numbers: "array", "bits" or "run"."""
    if form == "array":
        return b"".join(number.to_bytes(2, "little") for number in low)
    if form == "bits":
        data = bytearray(8192)
        for number in low:
            data[number // 8] |= 1 << number % 8
        return bytes(data)
    runs: list[list[int]] = []
    for number in low:
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return struct.pack("<H", len(runs)) + b"".join(struct.pack("<HH", a, b - a) for a, b in runs)


def bucket(numbers: list[int], runs: bool) -> bytes:
    """Return the 32-bit bitmap of numbers, with containers of runs, or without."""
    groups = [
        (key, [number & 0xFFFF for number in some]) for key, some in groupby(numbers, lambda number: number >> 16)
    ]
    forms = ["run" if runs else "array" if len(low) <= 4096 else "bits" for _, low in groups]
    data = [container(low, form) for (_, low), form in zip(groups, forms)]
    if runs:
        head = struct.pack("<HH", 12347, len(groups) - 1) + bytes(
            sum(1 << at for at in range(8) if first + at < len(groups)) for first in range(0, len(groups), 8)
        )
    else:
        head = struct.pack("<II", 12346, len(groups))
    head += b"".join(struct.pack("<HH", key & 0xFFFF, len(low) - 1) for key, low in groups)
    if not runs or len(groups) >= 4:
        at = len(head) + 4 * len(groups)
        for one in data:
            head += struct.pack("<I", at)
            at += len(one)
    return head + b"".join(data)


def bitmap(numbers: Iterable[int], runs: bool = False) -> bytes:
    """Return the 64-bit bitmap of numbers."""
    highs = [
        (high, [number & 0xFFFFFFFF for number in some]) for high, some in groupby(sorted(numbers), lambda n: n >> 32)
    ]
    parts = [struct.pack("<I", high) + bucket(low, runs) for high, low in highs]
    return struct.pack("<Q", len(parts)) + b"".join(parts)


def runs_of(numbers: Iterable[int]) -> list[Run]:
    found: list[Run] = []
    for number in sorted(numbers):
        if found and number == found[-1][1] + 1:
            found[-1] = found[-1][0], number
        else:
            found.append((number, number))
    return found


def numbers_of(runs: Iterable[Run]) -> set[int]:
    return {number for first, last in runs for number in range(first, last + 1)}


# -- reading -----------------------------------------------------------------------------------------------------------


def drain(build: Any, source: Any, size: int, step: int, limit: int) -> list[Run]:
    reader = build("wire.roaring").Reader(source, size, limit)
    out: list[Run] = []
    while runs := reader.read(step):
        assert len(runs) <= step
        out += runs
    return out


def readings(build: Any, data: bytes, limit: int = 1 << 64) -> list[Any]:
    """Read a bitmap whole, and a byte at a time."""
    cursor = build("wire.cursor").Cursor
    found = [outcome(lambda: drain(build, cursor(data, blob=OFFSET), len(data), 1 << 30, limit))]
    for step in (1, 3):
        source = cursor(source=Trickle(data, step), blob=OFFSET)
        found.append(outcome(lambda s=source, n=step: drain(build, s, len(data), n, limit)))
    return found


def counted(build: Any, data: bytes) -> Any:
    return outcome(lambda: build("wire.roaring").count(build("wire.cursor").Cursor(data, blob=OFFSET), len(data)))


def assert_reads(build: Any, data: bytes, runs: list[Run]) -> None:
    for found in readings(build, data):
        assert found == runs
    assert counted(build, data) == sum(last - first + 1 for first, last in runs)


def assert_refuses(build: Any, data: bytes) -> None:
    for found in readings(build, data):
        assert found[:3] == ("Corrupt", "bad-bitmap", OFFSET), found


EMPTY = bytes(8)
#: Hand-made, from the text of the specification.
ROWS = [
    ("empty", "0000000000000000", []),
    ("an empty bucket", "0100000000000000 05000000 3a300000 00000000", []),
    (
        "one number",
        "0100000000000000 00000000 3a300000 01000000 0f00 0000 10000000 4042",
        [(1000000, 1000000)],
    ),
    ("a run", "0100000000000000 00000000 3b300000 01 0000 0400 0100 0b00 0400", [(11, 15)]),
    (
        "runs that touch",
        "0100000000000000 00000000 3b300000 01 0000 0400 0200 0b00 0100 0d00 0200",
        [(11, 15)],
    ),
    (
        "two buckets",
        "0200000000000000 00000000 3b30000001ffff00000100ffff0000 01000000 3a300000 01000000 0000 0000 10000000 0000",
        [(0xFFFFFFFF, 0x100000000)],
    ),
    (
        "the last number",
        "0100000000000000 ffffffff 3a300000 01000000 ffff 0000 10000000 ffff",
        [((1 << 64) - 1, (1 << 64) - 1)],
    ),
]


@pytest.mark.parametrize(("name", "wire", "runs"), ROWS, ids=[row[0] for row in ROWS])
def test_rows(build, name, wire, runs):
    assert_reads(build, bytes.fromhex(wire), runs)


def test_each_container(build):
    """Arrays up to 4096 numbers, bits above; runs joined from container to container and bucket to bucket."""
    for numbers in (
        range(0, 8192, 2),
        range(0, 8194, 2),
        [*range(5), *range(60000, 70000), 1 << 40],
        range(65536),
        range(1, 65536),
        range((1 << 32) - 40000, (1 << 32) + 40000),
        [at << 16 for at in range(20)],
    ):
        for runs in (False, True):
            data = bitmap(numbers, runs)
            assert_reads(build, data, runs_of(numbers))
            assert build("wire.roaring").encode(runs_of(numbers), runs) == data or runs


def test_the_specification_s_own_set(build):
    """The set of its test files: multiples of 1000, multiples of three, a range; and the bit order of a bitset."""
    numbers = {*range(0, 100000, 1000), *(3 * n for n in range(100000, 200000)), *range(700000, 800000)}
    for runs in (False, True):
        data = bitmap(numbers, runs)
        source = build("wire.cursor").Cursor(data, blob=OFFSET)
        assert drain(build, source, len(data), 1000, 1 << 20) == runs_of(numbers)
        assert counted(build, data) == 200_100
    data = bitmap(range(0, 16384, 2))
    assert data[-8192:-6144] == b"\x55" * 2048


def test_a_limit(build):
    data = bitmap([7, 8])
    assert readings(build, data, 9) == [[(7, 8)]] * 3
    for limit in (8, 0):
        for found in readings(build, data, limit):
            assert found[:3] == ("Corrupt", "bad-bitmap", OFFSET)
    assert readings(build, EMPTY, 0) == [[]] * 3


def packed(*fields: Any) -> bytes:
    """Return bytes as they are, and numbers of 16 bits."""
    return b"".join(field if isinstance(field, bytes) else struct.pack("<H", field) for field in fields)


def word(number: int) -> bytes:
    return struct.pack("<I", number)


def one(*fields: Any) -> bytes:
    return struct.pack("<QI", 1, 0) + packed(*fields)


PLAIN, RUNS = word(12346), word(12347)
BAD = {
    "no length": b"",
    "cut length": bytes(7),
    "buckets that are not there": struct.pack("<Q", 1),
    "many buckets": struct.pack("<Q", (1 << 64) - 1) + bytes(100),
    "bytes after the end": EMPTY + b"\0",
    "bytes after a bucket": bitmap([1]) + b"\0",
    "cookie": one(word(12345), word(0)),
    "cookie with high bits": one(word(12346 | 1 << 16), word(0)),
    "too many containers": one(PLAIN, word(65537)),
    "containers that are not there": one(PLAIN, word(65536), bytes(100)),
    "flags that are not there": one(word(12347 | 0xFFFF << 16)),
    "buckets in the wrong order": struct.pack("<Q", 2) + bitmap([1 << 32])[8:] + bitmap([1])[8:],
    "a bucket twice": struct.pack("<Q", 2) + bitmap([1])[8:] * 2,
    "keys in the wrong order": one(PLAIN, word(2), 1, 0, 0, 0, word(24), word(26), 5, 5),
    "a key twice": one(PLAIN, word(2), 1, 0, 1, 0, word(24), word(26), 5, 5),
    "offset": one(PLAIN, word(1), 0, 0, word(17), 5),
    "offset beyond the end": one(PLAIN, word(1), 0, 0, word(0xFFFFFFFF), 5),
    "numbers in the wrong order": one(PLAIN, word(1), 0, 1, word(16), 6, 5),
    "a number twice": one(PLAIN, word(1), 0, 1, word(16), 5, 5),
    "an array that is cut": one(PLAIN, word(1), 0, 1, word(16), 5),
    "a bitset that is cut": one(PLAIN, word(1), 0, 5000, word(16), bytes(8191)),
    "a bitset of another cardinality": one(PLAIN, word(1), 0, 5000, word(16), b"\xff" * 8192),
    "no runs": one(RUNS, b"\1", 0, 0, 0),
    "runs of another cardinality": one(RUNS, b"\1", 0, 5, 1, 11, 4),
    "runs that overlap": one(RUNS, b"\1", 0, 4, 2, 11, 2, 13, 1),
    "runs in the wrong order": one(RUNS, b"\1", 0, 1, 2, 20, 0, 11, 0),
    "a run that leaves its container": one(RUNS, b"\1", 0, 1, 1, 0xFFFF, 1),
    "runs that are cut": one(RUNS, b"\1", 0, 4, 2, 11, 4),
    "no number of runs": one(RUNS, b"\1", 0, 4),
}


@pytest.mark.parametrize("data", BAD.values(), ids=BAD)
def test_contradictions(build, data):
    assert_refuses(build, data)


#: What `count`, which skips containers, cannot see.
INSIDE = {
    name
    for name in BAD
    if name.startswith(("numbers in", "a number twice", "a bitset of", "no runs", "runs", "a run "))
}
INSIDE -= {"runs that are cut"}


@pytest.mark.parametrize("name", BAD)
def test_what_the_headers_show(build, name):
    found = counted(build, BAD[name])
    if name in INSIDE:
        assert isinstance(found, int)
    else:
        assert found[:3] == ("Corrupt", "bad-bitmap", OFFSET)


def test_after_a_compressed_string(build):
    """Whether a packed string has its stated size is known at its end only."""
    data = bitmap([1, 5])
    stored = b"".join(bytes([0, byte]) for byte in data)
    for behind, refused in ((b"", False), (b"\x05abc", True)):
        source = Packed(build("wire.lzf").Unpacker(len(data), OFFSET), stored + behind)
        got = outcome(
            lambda s=source: drain(build, build("wire.cursor").Cursor(source=s, blob=OFFSET), len(data), 9, 99)
        )
        assert (got[:3] == ("Corrupt", "bad-lzf", OFFSET)) == refused


# -- laws --------------------------------------------------------------------------------------------------------------

_EDGES = [(1 << bits) + more for bits in (15, 16, 17, 31, 32, 33, 48, 62) for more in (-2, -1, 0, 1)]
#: Numbers near the ends of containers and buckets, alone and in ranges.
NUMBERS = st.lists(
    st.tuples(
        st.one_of(st.integers(0, 300), st.sampled_from(_EDGES)), st.integers(0, 40) | st.sampled_from([5000, 70000])
    ),
    max_size=6,
).map(lambda ranges: {number for first, more in ranges for number in range(first, first + more + 1)})


@settings(max_examples=60, deadline=None)
@given(numbers=NUMBERS, runs=st.booleans())
def test_the_second_encoder_is_read(numbers, runs):
    pure, _ = both_builds()
    assert_reads(pure, bitmap(numbers, runs), runs_of(numbers))


@settings(max_examples=60, deadline=None)
@given(numbers=NUMBERS, optimised=st.booleans())
def test_written_and_read(numbers, optimised):
    pure, compiled = both_builds()
    data = pure("wire.roaring").encode(runs_of(numbers), optimised)
    if not optimised:
        assert data == bitmap(numbers)
    assert len(data) <= len(bitmap(numbers)) + 8
    for build in (pure, compiled):
        assert numbers_of(readings(build, data)[0]) == numbers


@settings(max_examples=80, deadline=None)
@given(numbers=NUMBERS, runs=st.booleans(), damage=DAMAGE)
def test_any_damage_is_read_or_refused(numbers, runs, damage):
    """Equally by both builds and in all pieces; what is read ascends, and is a set that could be written."""
    pure, compiled = both_builds()
    data = damaged(bitmap(numbers, runs), damage)
    found = readings(pure, data)
    assert found == readings(compiled, data)
    for got in found:
        assert got == found[0]
    if isinstance(found[0], tuple):
        assert found[0][:3] == ("Corrupt", "bad-bitmap", OFFSET)
        return
    first = found[0]
    assert all(a <= b for a, b in first)
    assert all(last + 1 < start for (_, last), (start, _) in pairwise(first))
    assert counted(pure, data) == sum(b - a + 1 for a, b in first)
    assert readings(pure, pure("wire.roaring").encode(first))[0] == first


@pytest.mark.parametrize("runs", [[(5, 4)], [(5, 6), (6, 7)], [(5, 6), (1, 2)], [(-1, 3)], [(0, 1 << 64)]])
def test_what_cannot_be_written(build, runs):
    with pytest.raises(ValueError, match="a run from"):
        build("wire.roaring").encode(runs)


def test_touching_runs_are_joined(build):
    roaring = build("wire.roaring")
    assert roaring.encode([(1, 5), (6, 9)]) == roaring.encode([(1, 9)])
