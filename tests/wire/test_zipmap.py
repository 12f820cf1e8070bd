"""Zipmaps: made, read, damaged."""

from __future__ import annotations

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

LONG = b"v" * 254
ROWS = [
    ("one pair", b"\x01\x01f\x01\x00v\xff", [b"f", b"v"]),
    ("two pairs", b"\x02\x01f\x01\x00v\x00\x02\x00vv\xff", [b"f", b"v", b"", b"vv"]),
    ("free bytes", b"\x02\x01f\x01\x03v\xff\xfe\x00\x01g\x01\x00w\xff", [b"f", b"v", b"g", b"w"]),
    ("unknown count", b"\xfe\x01f\x01\x00v\xff", [b"f", b"v"]),
    ("253 bytes", b"\x01\x01f\xfd\x00" + b"v" * 253 + b"\xff", [b"f", b"v" * 253]),
    ("254 bytes", b"\x01\xfe\xfe\x00\x00\x00" + LONG + b"\xfe\xfe\x00\x00\x00\x00" + LONG + b"\xff", [LONG, LONG]),
]
BAD = [
    ("empty string", b""),
    ("count only", b"\x01"),
    ("no pair", b"\x00\xff"),
    ("no pair, unknown count", b"\xfe\xff"),
    ("count too large", b"\x02\x01f\x01\x00v\xff"),
    ("count too small", b"\x00\x01f\x01\x00v\xff"),
    ("ends after a field", b"\x01\x01f\xff"),
    ("no end mark", b"\x01\x01f\x01\x00v"),
    ("bytes after the end mark", b"\x01\x01f\x01\x00v\xff\xff"),
    ("field over the end", b"\x01\x09f\x01\x00v\xff"),
    ("value over the end", b"\x01\x01f\x02\x00v"),
    ("free bytes over the end", b"\x01\x01f\x01\x03v\xff"),
    ("length far over the end", b"\x01\xfe\xff\xff\xff\xfff\x01\x00v\xff"),
]
PAIRS = st.lists(st.tuples(st.binary(max_size=9), st.sampled_from([b"", b"v", b"v" * 253, b"v" * 254])), min_size=1)


@pytest.mark.parametrize(("name", "data", "items"), ROWS, ids=[row[0] for row in ROWS])
def test_row(build, name, data, items):
    assert_reads(build, "zipmap", data, items)
    assert_cut(build, "zipmap", data)
    assert (build("wire.zipmap").encode(items) == data) == (name not in ("free bytes", "unknown count"))


@pytest.mark.parametrize(("name", "data"), BAD, ids=[row[0] for row in BAD])
def test_bad(build, name, data):
    assert_refuses(build, "zipmap", data)


def test_short_length_in_the_long_form(build):
    """It has a code of its own: servers that were not mended read and write outside of such a zipmap."""
    assert_refuses(build, "zipmap", b"\x01\xfe\x01\x00\x00\x00f\x01\x00v\xff", "zipmap-overlong")


def test_many(build):
    for count in (253, 254, 300):
        items = [b"%d" % (n // 2) for n in range(2 * count)]
        data = build("wire.zipmap").encode(items)
        assert data[0] == min(count, 254)
        assert_reads(build, "zipmap", data, items)


def test_whole_pairs(build):
    data = build("wire.zipmap").encode([b"f", b"v", b"g", b"w"])
    reader = build("wire.zipmap").Reader(build("wire.cursor").Cursor(data, blob=0), len(data))
    assert [reader.read(1), reader.read(1), reader.read(1)] == [[b"f", b"v"], [b"g", b"w"], []]


def test_ends(build):
    assert_ends(build, "zipmap", build("wire.zipmap").encode([b"abc", b"5"]))


@given(pairs=PAIRS)
def test_round_trip(build, pairs):
    items = [text for pair in pairs for text in pair]
    assert_reads(build, "zipmap", build("wire.zipmap").encode(items), items)


@given(pairs=PAIRS, damage=DAMAGE)
def test_damage(build, pairs, damage):
    blob = build("wire.zipmap").encode([text for pair in pairs for text in pair])
    assert_sane(build, "zipmap", damaged(blob, damage))


@given(pairs=PAIRS, damage=DAMAGE)
def test_parity(pairs, damage):
    from rdbkit.wire import zipmap

    assert_parity("zipmap", damaged(zipmap.encode([text for pair in pairs for text in pair]), damage))
