"""Listpacks: both generations of back-lengths."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wire.asserts import (
    DAMAGE,
    ITEMS,
    OFFSET,
    Trickle,
    assert_cut,
    assert_ends,
    assert_parity,
    assert_reads,
    assert_refuses,
    assert_sane,
    damaged,
    drain,
)

# name, entry with its back-length, item, whether a server would write it so
ENTRIES = [
    ("7 bit, 0", "00 01", b"0", True),
    ("7 bit, 127", "7f 01", b"127", True),
    ("13 bit, 128", "c080 02", b"128", True),
    ("13 bit, 4095", "cfff 02", b"4095", True),
    ("13 bit, -1", "dfff 02", b"-1", True),
    ("13 bit, -4096", "d000 02", b"-4096", True),
    ("16 bit, 4096", "f1 0010 03", b"4096", True),
    ("16 bit, -32768", "f1 0080 03", b"-32768", True),
    ("16 bit, not smallest", "f1 0500 03", b"5", False),
    ("24 bit, 32768", "f2 008000 04", b"32768", True),
    ("24 bit, -8388608", "f2 000080 04", b"-8388608", True),
    ("32 bit, 8388608", "f3 00008000 05", b"8388608", True),
    ("32 bit, -2147483648", "f3 00000080 05", b"-2147483648", True),
    ("64 bit, 2^31", "f4 0000008000000000 09", b"2147483648", True),
    ("64 bit, greatest", "f4 ffffffffffffff7f 09", b"9223372036854775807", True),
    ("64 bit, least", "f4 0000000000000080 09", b"-9223372036854775808", True),
    ("64 bit, -1", "f4 ffffffffffffffff 09", b"-1", False),
    ("6 bit string", "83 616263 04", b"abc", True),
    ("6 bit string, empty", "80 01", b"", True),
    ("6 bit string, a number", "81 35 02", b"5", False),
    ("6 bit string, longest", "bf" + "78" * 63 + "40", b"x" * 63, True),
    ("12 bit string", "e040" + "78" * 64 + "42", b"x" * 64, True),
    ("12 bit string, back-length 127", "e07d" + "78" * 125 + "7f", b"x" * 125, True),
    ("12 bit string, back-length 128", "e07e" + "78" * 126 + "0180", b"x" * 126, True),
    ("12 bit string, longest", "efff" + "78" * 4095 + "2081", b"x" * 4095, True),
    ("32 bit string", "f0 00100000" + "78" * 4096 + "2085", b"x" * 4096, True),
    ("32 bit string, shorter than need be", "f0 03000000 616263 08", b"abc", False),
]
NAMES = [row[0] for row in ENTRIES]


def blob(entries: bytes, count: int = 1) -> bytes:
    return (len(entries) + 7).to_bytes(4, "little") + count.to_bytes(2, "little") + entries + b"\xff"


@pytest.mark.parametrize(("name", "wire", "item", "canonical"), ENTRIES, ids=NAMES)
def test_entry(build, name, wire, item, canonical):
    listpack = build("wire.listpack")
    entry = bytes.fromhex(wire)
    assert_reads(build, "listpack", blob(entry), [item])
    assert_reads(build, "listpack", blob(entry * 3, 3), [item] * 3)
    if canonical:
        assert listpack.encode([item]) == listpack.encode([item], "new") == blob(entry)
        assert listpack.measure([item]) == len(blob(entry))


@pytest.mark.parametrize("wire", [row[1] for row in ENTRIES if len(row[1]) < 300], ids=lambda wire: wire[:12])
def test_cut(build, wire):
    assert_cut(build, "listpack", blob(bytes.fromhex("83 616263 04" + wire), 2))


def test_long_ones_cut_in_their_heads(build):
    for head in ("e0", "e040", "f0", "f0 00", "f0 000000", "f0 ffffffff", "f0 00100000"):
        assert_refuses(build, "listpack", blob(bytes.fromhex(head)))


def test_empty(build):
    assert_reads(build, "listpack", blob(b"", 0), [])
    assert build("wire.listpack").encode([]) == blob(b"", 0)


BAD = [
    ("empty string", b""),
    ("header only", blob(b"", 0)[:6]),
    ("total too large", b"\x08" + blob(b"", 0)[1:]),
    ("total too small", b"\x06" + blob(b"", 0)[1:]),
    ("no end mark", blob(b"\x00\x01")[:-1] + b"\x00"),
    ("end mark early", blob(b"\x00\x01\xff\x00\x01", 2)),
    ("end mark instead of a back-length", blob(b"\x00\xff")),
    ("no back-length", blob(b"\x00")),
    ("back-length too small", blob(b"\x83abc\x03")),
    ("back-length too wide", blob(b"\x83abc\x00\x84")),
    ("back-length without its bit", blob(b"\xe0\x7e" + b"x" * 126 + b"\x01\x00")),
    ("back-length of another width", blob(b"\xe0\x7e" + b"x" * 126 + b"\x00\x81\x80")),
    ("entry over the end", blob(b"\x84abc\x04")),
    ("entry far over the end", blob(b"\xf0\xff\xff\xff\x7fabc\x04")),
    ("count too small", blob(b"\x00\x01\x00\x01", 1)),
    ("count too large", blob(b"\x00\x01\x00\x01", 3)),
    ("bytes after the end mark", blob(b"\x00\x01") + b"\xff"),
    *((f"encoding {first:#x}", blob(bytes([first]) + b"abc\x04")) for first in range(0xF5, 0x100)),
]


@pytest.mark.parametrize(("name", "data"), BAD, ids=[row[0] for row in BAD])
def test_bad(build, name, data):
    assert_refuses(build, "listpack", data)


def test_unknown_count(build):
    assert_reads(build, "listpack", blob(b"\x00\x01\x01\x01", 65535), [b"0", b"1"])
    many = [b"7"] * 65535
    data = build("wire.listpack").encode(many)
    assert build("wire.listpack").header(data) == (7 + 2 * 65535, 65535)
    assert build("wire.listpack").items(data) == many


@pytest.mark.parametrize("size", [16383, 2097151])
@pytest.mark.parametrize("beside", [-1, 0, 1])
def test_generations(build, size, beside):
    listpack = build("wire.listpack")
    item = b"a" * (size + beside - 5)
    old, new = listpack.encode([item, b"second"]), listpack.encode([item, b"second"], "new")
    assert len(old) - len(new) == (beside == 0)
    assert listpack.measure([item, b"second"]) == len(old)
    for data, widths in ((old, (1, 0)), (new, (0, 1))):
        assert listpack.items(data, OFFSET) == [item, b"second"]
        for step in (len(data), 5000):
            cursor = build("wire.cursor").Cursor(source=Trickle(data, step), blob=OFFSET)
            reader = listpack.Reader(cursor, len(data))
            assert drain(reader, 1) == [item, b"second"]
            assert (reader.old_widths, reader.new_widths) == (widths if beside == 0 else (0, 0))


def test_generations_as_measured(build):
    """The two spellings that real servers gave, and neither of them mixed up."""
    listpack = build("wire.listpack")
    entry = b"\xf0\xfa\x3f\x00\x00" + b"a" * 16378
    second = b"\x86second\x07"
    assert listpack.encode([b"a" * 16378, b"second"]) == blob(entry + b"\x00\xff\xff" + second, 2)
    assert listpack.encode([b"a" * 16378, b"second"], "new") == blob(entry + b"\x7f\xff" + second, 2)
    for wrong in (b"\x00\xff", b"\x7f\xff\xff", b"\x00\xff\x7f", b"\x7f\x7f", b"\x01\xff\xff"):
        assert_refuses(build, "listpack", blob(entry + wrong + second, 2))


@pytest.mark.parametrize(
    ("text", "expected"),
    [(b"%d" % n, True) for n in (0, 1, -1, 9, 10, -10, 10**18, -(10**18), 2**63 - 1, -(2**63), 2**62)]
    + [(b"%d" % n, False) for n in (2**63, -(2**63) - 1, 10**19, 2**64, -(10**19), 10**20)]
    + [(text, False) for text in (b"", b"-", b"-0", b"+1", b"007", b"00", b"-01", b" 1", b"1 ", b"1.0", b"1e3", b"0x1")]
    + [(text, False) for text in (b"1-", b"--1", b"1\x00", b"\xb2", b".5", b"/", b":", b"12a", b"9" * 19, b"9" * 25)],
)
def test_is_integer(build, text, expected):
    assert build("wire.listpack").is_integer(text) is expected


def test_sizes_of_entries(build):
    listpack = build("wire.listpack")
    for length in (0, 63, 64, 125, 126, 4095, 4096, 16378, 16379):
        assert listpack.string_entry(length) == len(listpack.encode([b"x" * length])) - 7
    for number in (0, 127, 128, -1, -4097, 32768, -8388609, 2**31, -(2**63)):
        assert listpack.integer_size(number) + 1 == len(listpack.encode([b"%d" % number])) - 7


def test_ends(build):
    assert_ends(build, "listpack", build("wire.listpack").encode([b"abc", b"5"]))


@given(items=ITEMS, generation=st.sampled_from(["old", "new"]))
def test_round_trip(build, items, generation):
    listpack = build("wire.listpack")
    data = listpack.encode(items, generation)
    assert_reads(build, "listpack", data, items)
    assert listpack.measure(items) == len(data)
    assert listpack.header(data) == (len(data), len(items))


@given(items=ITEMS, damage=DAMAGE)
def test_damage(build, items, damage):
    assert_sane(build, "listpack", damaged(build("wire.listpack").encode(items), damage))


@given(items=ITEMS, damage=DAMAGE)
def test_parity(items, damage):
    from rdbkit.wire import listpack

    assert_parity("listpack", listpack.encode(items))
    assert_parity("listpack", damaged(listpack.encode(items), damage))


@given(text=st.one_of(st.binary(max_size=24), st.from_regex(rb"\A[-+ ]?[0-9]{1,20}\Z")))
def test_is_integer_means_what_it_says(build, text):
    try:
        number = int(text.decode("ascii"))
    except ValueError:
        number = None
    canonical = number is not None and b"%d" % number == text and -(2**63) <= number < 2**63
    assert build("wire.listpack").is_integer(text) == canonical
