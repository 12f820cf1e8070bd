"""LZF: against strings packed by hand and against python-lzf."""

from __future__ import annotations

import random
import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wire.asserts import DAMAGE, OFFSET, both_builds, damaged, outcome

LETTERS = bytes(range(97, 123))
ROWS = [
    ("nothing", b"", b""),
    ("a byte", b"\x00a", b"a"),
    ("32 bytes", b"\x1f" + b"0123456789abcdef" * 2, b"0123456789abcdef" * 2),
    ("the example", bytes.fromhex("01 6161 e01500"), b"a" * 32),
    ("3 bytes from 3 back", b"\x02abc\x20\x02", b"abcabc"),
    ("3 bytes from 1 back", b"\x00a\x20\x00", b"aaaa"),
    ("8 bytes, the longest short form", b"\x01ab\xc0\x01", b"ab" * 5),
    ("9 bytes, the shortest long form", b"\x01ab\xe0\x00\x01", b"ab" * 5 + b"a"),
    ("264 bytes", b"\x00a\xe0\xff\x00", b"a" * 265),
    ("264 bytes from 26 back", b"\x19" + LETTERS + b"\xe0\xff\x19", (LETTERS * 12)[:290]),
    (
        "from 8192 back",
        b"\x02xyz" + b"\xe0\xff\x00" * 31 + b"\x04abcde\x3f\xff",
        b"xy" + b"z" * 8185 + b"abcde" + b"xyz",
    ),
]
SIZES = [(name, packed, size) for name, packed, data in ROWS if data for size in (0, len(data) - 1, len(data) + 1)]


@pytest.fixture(params=["own", "python-lzf"])
def lzf(request, build, monkeypatch) -> Any:
    """Return the module with the kernel alone, and unchanged: the pure build uses python-lzf if it is installed."""
    module = build("wire.lzf")
    if request.param == "own":
        monkeypatch.setattr(module, "_lzf", None)
    return module


def unpack(lzf: Any, packed: bytes, size: int, step: int) -> bytes:
    unpacker = lzf.Unpacker(size, OFFSET)
    out = [unpacker.feed(packed[at : at + step]) for at in range(0, len(packed), step)]
    unpacker.finish()
    return b"".join(out)


def every_result(build: Any, lzf: Any, packed: bytes, size: int) -> list[Any]:
    ways = [outcome(lambda: lzf.decompress(packed, size, OFFSET))]
    return ways + [outcome(lambda n=step: unpack(lzf, packed, size, n)) for step in (1, 7, 1 << 16)]


def assert_refused(build: Any, lzf: Any, packed: bytes, size: int) -> None:
    for got in every_result(build, lzf, packed, size):
        assert isinstance(got, tuple), got
        assert got[:3] == ("Corrupt", "bad-lzf", OFFSET)


@pytest.mark.parametrize(("name", "packed", "data"), ROWS, ids=[row[0] for row in ROWS])
def test_row(build, lzf, name, packed, data):
    for got in every_result(build, lzf, packed, len(data)):
        assert got == data
    for n in (*range(20), len(data), len(data) + 1):
        assert lzf.head(packed, n, len(data), OFFSET) == data[:n]
        assert lzf.head(packed[:40], min(n, 16), len(data), OFFSET) == data[: min(n, 16)]


@pytest.mark.parametrize(("name", "packed", "data"), ROWS, ids=[row[0] for row in ROWS])
def test_cut(build, lzf, name, packed, data):
    for end in range(len(packed)):
        assert_refused(build, lzf, packed[:end], len(data))
        assert outcome(lambda n=end: lzf.head(packed[:n], len(data), len(data), OFFSET))[0] == "Corrupt"


@pytest.mark.parametrize(("name", "packed", "size"), SIZES, ids=[f"{row[0]}, size {row[2]}" for row in SIZES])
def test_another_size(build, lzf, name, packed, size):
    assert_refused(build, lzf, packed, size)


@pytest.mark.parametrize(
    ("name", "packed", "size"),
    [
        ("bytes left over", b"\x00a\x00", 1),
        ("an instruction left over", b"\x00a\x00b", 1),
        ("starts with a reference", b"\x20\x00", 3),
        ("reference before the start", b"\x00a\x20\x01", 4),
        ("reference far before the start", b"\x00a\xff\xff\xff", 265),
        ("a claim that cannot be", b"\x00a", 1 << 62),
        ("a claim one too large", b"\x00a\xe0\xff\x00", 266),
        ("a negative size", b"\x00a", -1),
    ],
)
def test_bad(build, lzf, name, packed, size):
    assert_refused(build, lzf, packed, size)


def test_head_refuses_what_it_meets(build):
    lzf = build("wire.lzf")
    for packed, size in (
        (b"", 9),
        (b"\x04abc", 9),
        (b"\x20\x00", 9),
        (b"\x00a\x20\x01", 9),
        (b"\x00a\xe0\xff\x00", 20),
    ):
        assert outcome(lambda p=packed, s=size: lzf.head(p, 9, s, OFFSET))[:3] == ("Corrupt", "bad-lzf", OFFSET)


def test_head_looks_no_further(build):
    lzf = build("wire.lzf")
    assert lzf.head(b"\x02abc\xff\xff\xff", 3, 1 << 40, OFFSET) == b"abc"
    assert lzf.head(b"\x1fabc", 3, 1 << 40, OFFSET) == b"abc"


def sample(seed: int, size: int) -> bytes:
    """Text that packs: words out of a few, numbers between them, now and then far back ones."""
    rng = random.Random(seed)
    words = [bytes(rng.choices(LETTERS, k=rng.randrange(1, 12))) for _ in range(30)]
    out = bytearray()
    while len(out) < size:
        out += rng.choice(words) + (b"%d" % rng.randrange(10**6) if rng.random() < 0.3 else b" ")
        if rng.random() < 0.02:
            out += bytes([rng.randrange(256)]) * rng.randrange(600)
    return bytes(out[:size])


@pytest.mark.parametrize("size", [21, 100, 264, 8191, 8192, 8200, 20000, 200000])
def test_against_python_lzf(build, lzf, size):
    theirs = pytest.importorskip("lzf")
    data = sample(size, size)
    packed = theirs.compress(data)
    if packed is not None:
        assert lzf.decompress(packed, size) == data
        assert unpack(lzf, packed, size, 9000) == data
        assert lzf.head(packed[:40], 16, size) == data[:16]
    # Its room is one byte more than is asked for.
    own = lzf.compress(data)
    assert own == theirs.compress(data, size - 5)
    if own is not None:
        assert unpack(lzf, own, size, 9000) == data


def test_stream_keeps_little(build):
    """What an Unpacker holds between feeds does not grow with what it unpacked."""
    unpacker = build("wire.lzf").Unpacker(1 + 264 * 10000, OFFSET)
    unpacker.feed(b"\x00a")
    for _ in range(100):
        assert unpacker.feed(b"\xe0\xff\x00" * 100) == b"a" * 26400
        assert len(unpacker._room) < 80000
        assert unpacker._rest == b""
    unpacker.finish()


def test_compress(build):
    lzf = build("wire.lzf")
    for data in (b"", b"a", b"abcd", b"aaaaaa", bytes(range(256)), b"abcdefgh" * 1 + b"12345678"):
        assert lzf.compress(data) is None
    packed = lzf.compress(b"a" * 32)
    assert packed is not None
    assert len(packed) < 10
    assert lzf.decompress(packed, 32) == b"a" * 32


#: A string, and what DUMP of Redis 7.0.15 and 8.2.3 made of it.
DUMPED = [
    (b"abc" * 20, "0361626361e02d02016263"),
    (b"z" * 300, "017a7ae0ff00e01700017a7a"),
    (b"x" * 21, "017878e00a00"),
    (
        bytes(range(64)) * 2 + b"!",
        f"1f{bytes(range(32)).hex()}1f{bytes(range(32, 64)).hex()}0000e0353f013f21",
    ),
]


@pytest.mark.parametrize(("data", "packed"), DUMPED)
def test_compress_is_the_servers(build, data, packed):
    lzf = build("wire.lzf")
    for _ in range(2):
        assert lzf.compress(data).hex() == packed


@given(data=st.lists(st.sampled_from([b"a", b"ab", b"abc", b"0123456789", b"\0" * 9, b"x" * 70])).map(b"".join))
def test_compress_is_that_of_python_lzf(build, data):
    theirs = pytest.importorskip("lzf")
    assert build("wire.lzf").compress(data) == (theirs.compress(data, len(data) - 5) if len(data) > 5 else None)


TEXTS = st.one_of(
    st.binary(max_size=80),
    st.lists(st.sampled_from([b"a", b"ab", b"abc", b"0123456789", b"\0" * 40, b"x" * 300]), max_size=40).map(b"".join),
)


@given(data=TEXTS)
def test_round_trip(build, data):
    lzf = build("wire.lzf")
    packed = lzf.compress(data)
    if packed is not None:
        assert len(packed) <= len(data) - 4
        for got in every_result(build, lzf, packed, len(data)):
            assert got == data


@given(data=TEXTS, damage=DAMAGE, more=st.integers(-3, 3))
def test_parity(data, damage, more):
    pure, compiled = both_builds()
    packed = pure("wire.lzf").compress(data)
    assert packed == compiled("wire.lzf").compress(data)
    packed = damaged(packed or b"\x00a\x20\x00" + data, damage)
    size = len(data) + more
    results = []
    for build in (pure, compiled):
        lzf = build("wire.lzf")
        ways = every_result(build, lzf, packed, size)
        # However it is unpacked, it is the same string, or none.
        assert all(way == ways[0] if isinstance(ways[0], bytes) else isinstance(way, tuple) for way in ways)
        heads = [outcome(lambda m=lzf, n=n: m.head(packed[:40], n, size, OFFSET)) for n in (1, 7, 16)]
        results.append(ways + heads)
    assert results[0] == results[1]


def test_a_wrong_unpacked_size_is_not_allocated(build: Any) -> None:
    """Three bytes can unpack to 264, so a short string can have a large stored size that is wrong from the start."""
    lzf = build("wire.lzf")
    size = 100 << 20
    tracemalloc.start()
    with pytest.raises(build.errors.Corrupt) as caught:
        lzf.decompress(b"\xff" * (size // 80), size, 7)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (caught.value.code, caught.value.offset) == ("bad-lzf", 7)
    assert peak < 10 << 20
    text = b"0123456789" * (1 << 21)
    packed = lzf.compress(text)
    assert lzf.decompress(packed, len(text)) == text
    for broken, claim in ((packed[:-1], len(text)), (packed, len(text) + 1), (packed, len(text) - 1)):
        with pytest.raises(build.errors.Corrupt):
            lzf.decompress(broken, claim)
