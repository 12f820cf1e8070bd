"""Intsets: made, read, damaged."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wire.asserts import (
    DAMAGE,
    assert_cut,
    assert_ends,
    assert_parity,
    assert_reads,
    assert_refuses,
    assert_sane,
    damaged,
)

ROWS = [
    ("16 bit", "02000000 03000000 ffff 0000 0100", [-1, 0, 1]),
    ("16 bit, limits", "02000000 02000000 0080 ff7f", [-32768, 32767]),
    ("32 bit", "04000000 02000000 0000ffff 00800000", [-65536, 32768]),
    ("64 bit", "08000000 02000000 0000000000000080 ffffffffffffff7f", [-(2**63), 2**63 - 1]),
]
NUMBERS = st.sets(st.one_of(st.integers(-(2**63), 2**63 - 1), st.integers(-40000, 40000)), min_size=1, max_size=12)


@pytest.mark.parametrize(("name", "wire", "numbers"), ROWS, ids=[row[0] for row in ROWS])
def test_row(build, name, wire, numbers):
    data = bytes.fromhex(wire)
    assert_reads(build, "intset", data, numbers)
    assert_cut(build, "intset", data)
    assert build("wire.intset").encode(reversed(numbers)) == data


def test_wider_than_need_be(build):
    """A set keeps its width when its larger members go."""
    assert_reads(build, "intset", struct.pack("<IIqq", 8, 2, 1, 2), [1, 2])


@pytest.mark.parametrize(
    "data",
    [
        b"",
        struct.pack("<II", 2, 0),
        struct.pack("<IIhh", 2, 1, 1, 2),
        struct.pack("<IIh", 2, 2, 1),
        struct.pack("<IIhh", 2, 2, 2, 1),
        struct.pack("<IIhh", 2, 2, 1, 1),
        struct.pack("<IIhhh", 2, 3, 1, 3, 2),
        struct.pack("<IIh", 2, 1, 1) + b"\0",
        struct.pack("<IIb", 1, 1, 1),
        struct.pack("<II", 0, 1),
        struct.pack("<II", 8, 0xFFFFFFFF),
        struct.pack("<IIH", 0x0200, 1, 1),
    ],
    ids=lambda data: data.hex() or "empty",
)
def test_bad(build, data):
    assert_refuses(build, "intset", data)


def test_ends(build):
    assert_ends(build, "intset", build("wire.intset").encode([1, 70000]))


@given(numbers=NUMBERS)
def test_round_trip(build, numbers):
    assert_reads(build, "intset", build("wire.intset").encode(numbers), sorted(numbers))


@given(numbers=NUMBERS, damage=DAMAGE)
def test_damage(build, numbers, damage):
    assert_sane(build, "intset", damaged(build("wire.intset").encode(numbers), damage))


@given(numbers=NUMBERS, damage=DAMAGE)
def test_parity(numbers, damage):
    from rdbkit.wire import intset

    assert_parity("intset", damaged(intset.encode(numbers), damage))
