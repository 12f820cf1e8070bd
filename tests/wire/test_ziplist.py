"""Ziplists, and what a server makes of them that has only listpacks."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wire.asserts import (
    DAMAGE,
    ITEMS,
    OFFSET,
    assert_cut,
    assert_ends,
    assert_parity,
    assert_reads,
    assert_refuses,
    assert_sane,
    damaged,
    outcome,
)

# name, encoding and data, item, whether a server would write it so since RDB 6, and whether before
ENTRIES = [
    ("immediate 0", "f1", b"0", True, False),
    ("immediate 12", "fd", b"12", True, False),
    ("8 bit, 13", "fe 0d", b"13", True, False),
    ("8 bit, -128", "fe 80", b"-128", True, False),
    ("8 bit, -1", "fe ff", b"-1", True, False),
    ("16 bit, 128", "c0 8000", b"128", True, True),
    ("16 bit, -32768", "c0 0080", b"-32768", True, True),
    ("16 bit, 5", "c0 0500", b"5", False, True),
    ("24 bit, 32768", "f0 008000", b"32768", True, False),
    ("24 bit, -8388608", "f0 000080", b"-8388608", True, False),
    ("32 bit, 8388608", "d0 00008000", b"8388608", True, True),
    ("32 bit, 32768", "d0 00800000", b"32768", False, True),
    ("32 bit, -2147483648", "d0 00000080", b"-2147483648", True, True),
    ("64 bit, 2^31", "e0 0000008000000000", b"2147483648", True, True),
    ("64 bit, greatest", "e0 ffffffffffffff7f", b"9223372036854775807", True, True),
    ("64 bit, least", "e0 0000000000000080", b"-9223372036854775808", True, True),
    ("6 bit string", "03 616263", b"abc", True, True),
    ("6 bit string, empty", "00", b"", True, True),
    ("6 bit string, a number", "01 35", b"5", False, False),
    ("6 bit string, longest", "3f" + "78" * 63, b"x" * 63, True, True),
    ("14 bit string", "4040" + "78" * 64, b"x" * 64, True, True),
    ("14 bit string, two bytes of length", "412c" + "78" * 300, b"x" * 300, True, True),
    ("14 bit string, longest", "7fff" + "78" * 16383, b"x" * 16383, True, True),
    ("32 bit string", "80 00004000" + "78" * 16384, b"x" * 16384, True, True),
    ("32 bit string, shorter than need be", "80 00000003 616263", b"abc", False, False),
]
NAMES = [row[0] for row in ENTRIES]


def blob(*entries: bytes, tail: int | None = None, count: int | None = None) -> bytes:
    """Chain entries, given without the size of the one before."""
    body = b""
    previous = 0
    for entry in entries:
        whole = (bytes([previous]) if previous < 254 else b"\xfe" + previous.to_bytes(4, "little")) + entry
        body += whole
        previous = len(whole)
    size = len(body) + 11
    tail = size - 1 - previous if tail is None else tail
    count = len(entries) if count is None else count
    return size.to_bytes(4, "little") + tail.to_bytes(4, "little") + count.to_bytes(2, "little") + body + b"\xff"


@pytest.mark.parametrize(("name", "wire", "item", "newer", "older"), ENTRIES, ids=NAMES)
def test_entry(build, name, wire, item, newer, older):
    ziplist = build("wire.ziplist")
    entry = bytes.fromhex(wire)
    assert_reads(build, "ziplist", blob(entry), [item])
    assert_reads(build, "ziplist", blob(entry, entry, entry), [item] * 3)
    assert (ziplist.encode([item, item]) == blob(entry, entry)) == newer
    assert (ziplist.encode([item, item], wide=True) == blob(entry, entry)) == older
    assert ziplist.as_listpack(blob(entry, entry), OFFSET) == len(build("wire.listpack").encode([item, item]))


@pytest.mark.parametrize("wire", [row[1] for row in ENTRIES if len(row[1]) < 300], ids=lambda wire: wire[:12])
def test_cut(build, wire):
    data = blob(b"\x03abc", bytes.fromhex(wire), b"\xf1")
    assert_cut(build, "ziplist", data)
    for end in range(len(data)):
        assert isinstance(outcome(lambda n=end: build("wire.ziplist").as_listpack(data[:n], OFFSET)), tuple)


def test_empty(build):
    assert blob() == bytes.fromhex("0b000000 0a000000 0000 ff")
    assert_reads(build, "ziplist", blob(), [])
    assert build("wire.ziplist").encode([]) == blob()
    assert build("wire.ziplist").as_listpack(blob()) == 7


def test_long_form_of_a_short_size(build):
    """The long form stays when an entry shrinks in place."""
    data = bytearray(blob(b"\x03abc", b"\x03abc"))
    data[15:16] = b"\xfe\x05\x00\x00\x00"
    data[0] += 4
    assert_reads(build, "ziplist", bytes(data), [b"abc", b"abc"])


def test_long_form_of_a_long_size(build):
    items = [b"x" * 251, b"x" * 252, b"y" * 252, b"1"]
    data = build("wire.ziplist").encode(items)
    assert data == blob(b"\x40\xfb" + items[0], b"\x40\xfc" + items[1], b"\x40\xfc" + items[2], b"\xf2")
    assert data[10 + 254 : 10 + 259] == b"\xfe\xfe\x00\x00\x00"
    assert_reads(build, "ziplist", data, items)
    assert_refuses(build, "ziplist", data[: 10 + 255] + b"\xff" + data[10 + 256 :])


ABC = b"\x03abc"
BAD = [
    ("empty string", b""),
    ("header only", blob()[:10]),
    ("total too large", b"\x0c" + blob()[1:]),
    ("total too small", b"\x0a" + blob()[1:]),
    ("no end mark", blob(ABC)[:-1] + b"\x00"),
    ("end mark early", blob(ABC + b"\xff", ABC)),
    ("bytes after the end mark", blob(ABC) + b"\xff"),
    ("tail offset of another entry", blob(ABC, ABC, tail=10)),
    ("tail offset after the last entry", blob(ABC, ABC, tail=20)),
    ("tail offset far away", blob(ABC, tail=0xFFFFFFFF)),
    ("tail offset without entries", blob(tail=11)),
    ("first entry with a size before it", blob()[:10] + b"\x01" + ABC + b"\xff"),
    ("size before it too small", blob(ABC, ABC)[:15] + b"\x04" + ABC + b"\xff"),
    ("size before it is an end mark", blob(ABC, ABC)[:15] + b"\xff" + ABC + b"\xff"),
    ("entry without an encoding", blob(b"")),
    ("entry over the end", blob(b"\x04abc")),
    ("entry far over the end", blob(b"\x80\xff\xff\xff\xffabc")),
    ("integer over the end", blob(b"\xe0abc")),
    ("count too small", blob(ABC, ABC, count=1)),
    ("count too large", blob(ABC, ABC, count=3)),
    *((f"encoding {kind:#x}", blob(bytes([kind]) + b"\x00\x00\x00\x00\x01abc")) for kind in (0x81, 0xBF, 0xC1, 0xEF)),
]


@pytest.mark.parametrize(("name", "data"), BAD, ids=[row[0] for row in BAD])
def test_bad(build, name, data):
    assert_refuses(build, "ziplist", data)
    assert isinstance(outcome(lambda: build("wire.ziplist").as_listpack(data, OFFSET)), tuple)


def test_every_encoding_byte(build):
    """What is no encoding is refused; what is one is read as it should be."""
    legal = {*range(0x80), 0x80, 0xC0, 0xD0, 0xE0, 0xF0, 0xFE, *range(0xF1, 0xFE)}
    for kind in range(256):
        data = blob(bytes([kind]) + b"\0" * 20000)
        message = str(outcome(lambda d=data: build("wire.ziplist").items(d, OFFSET)))
        assert ("unknown encoding" in message) == (kind not in legal)


def test_unknown_count(build):
    assert_reads(build, "ziplist", blob(ABC, ABC, count=65535), [b"abc", b"abc"])
    many = [b"7"] * 65536
    data = build("wire.ziplist").encode(many)
    assert build("wire.ziplist").header(data)[2] == 65535
    assert build("wire.ziplist").items(data) == many


def test_ends(build):
    assert_ends(build, "ziplist", build("wire.ziplist").encode([b"abc", b"5"]))


@given(items=ITEMS, wide=st.booleans())
def test_round_trip(build, items, wide):
    ziplist = build("wire.ziplist")
    data = ziplist.encode(items, wide)
    assert_reads(build, "ziplist", data, items)
    assert ziplist.as_listpack(data, OFFSET) == len(build("wire.listpack").encode(items))
    assert ziplist.header(data) == (len(data), int.from_bytes(data[4:8], "little"), len(items))


@given(items=ITEMS, damage=DAMAGE)
def test_damage(build, items, damage):
    data = damaged(build("wire.ziplist").encode(items), damage)
    assert_sane(build, "ziplist", data)
    read = outcome(lambda: build("wire.ziplist").items(data, OFFSET))
    size = outcome(lambda: build("wire.ziplist").as_listpack(data, OFFSET))
    assert size == (read if isinstance(read, tuple) else len(build("wire.listpack").encode(read)))


@given(items=ITEMS, damage=DAMAGE)
def test_parity(items, damage):
    from rdbkit.wire import ziplist

    assert_parity("ziplist", ziplist.encode(items))
    assert_parity("ziplist", damaged(ziplist.encode(items), damage))
