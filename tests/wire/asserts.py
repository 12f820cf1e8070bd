"""Helpers for the tests of byte-level codecs: all methods of reading a blob, and their results."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import conftest
import pytest
from hypothesis import strategies as st

#: The offset of the blob, which errors must have.
OFFSET = 4711


class Trickle:
    """A source that gives `step` bytes at a time."""

    def __init__(self, data: bytes, step: int = 1) -> None:
        self.data = data
        self.step = step
        self.at = 0
        self.size = -1

    def read(self, n: int, /) -> bytes:
        start = self.at
        self.at += min(n, self.step)
        return self.data[start : self.at]


class Packed(Trickle):
    """A source that unpacks, two packed bytes at a time."""

    def __init__(self, unpacker: Any, data: bytes) -> None:
        super().__init__(data, 2)
        self.unpacker = unpacker

    def read(self, n: int, /) -> bytes:
        while packed := super().read(n):
            if piece := self.unpacker.feed(packed):
                return bytes(piece)
        self.unpacker.finish()
        return b""


def outcome(call: Callable[[], Any]) -> Any:
    """Return what the call gives, or the account of its error; anything but an error of ours comes through."""
    try:
        return call()
    except Exception as error:
        # By name: an extension module is loaded once in a process, with the error classes of who asked for it first.
        if "RdbkitError" not in [base.__name__ for base in type(error).__mro__]:
            raise
        return type(error).__name__, error.code, error.offset, str(error)  # type: ignore[attr-defined]


def drain(reader: Any, limit: int) -> list[Any]:
    out = []
    while batch := reader.read(limit):
        assert len(batch) <= max(limit, 2)
        out += batch
    assert reader.read(limit) == []
    return out


def readings(build: Any, name: str, data: bytes) -> Iterator[Any]:
    """Read a blob whole, through a window, byte by byte: what came of each."""
    module = build(f"wire.{name}")
    cursor = build("wire.cursor").Cursor
    whole = module.members if name == "intset" else module.items
    yield outcome(lambda: whole(data, OFFSET))
    yield outcome(lambda: drain(module.Reader(cursor(data, blob=OFFSET), len(data)), 1 << 40))
    for step, limit in ((1, 1), (1, 1000), (3, 2)):
        source = Trickle(data, step)
        yield outcome(lambda s=source, n=limit: drain(module.Reader(cursor(source=s, blob=OFFSET), len(data)), n))


def assert_reads(build: Any, name: str, data: bytes, expected: list[Any]) -> None:
    for got in readings(build, name, data):
        assert got == expected


def assert_refuses(build: Any, name: str, data: bytes, *codes: str) -> None:
    for got in readings(build, name, data):
        assert isinstance(got, tuple), got
        assert got[0] == "Corrupt"
        assert got[1] in (codes or (f"bad-{name}",))
        assert got[2] == OFFSET


def assert_sane(build: Any, name: str, data: bytes) -> None:
    """Any bytes are a list or Corrupt, and that does not depend on how they are read."""
    first, *others = readings(build, name, data)
    for got in others:
        assert got == first if isinstance(first, list) else isinstance(got, tuple)
    if isinstance(first, tuple):
        assert_refuses(build, name, data, f"bad-{name}", *(["zipmap-overlong"] if name == "zipmap" else []))


def assert_ends(build: Any, name: str, data: bytes) -> None:
    """Bytes after the end of a blob, in the string or in its packed form, are an error."""
    reader = build(f"wire.{name}").Reader
    cursor = build("wire.cursor").Cursor
    lzf = build("wire.lzf")
    for end in (data + b"\0", data + b"\xff"):
        source = Trickle(end)
        got = outcome(lambda s=source: drain(reader(cursor(source=s, blob=OFFSET), len(data)), 2))
        assert got[:3] == ("Corrupt", f"bad-{name}", OFFSET)
    packed = b"".join(bytes([0, byte]) for byte in data)
    for behind, refused in ((b"", False), (b"\x05abc", True), (b"\x00a", True)):
        source = Packed(lzf.Unpacker(len(data), OFFSET), packed + behind)
        got = outcome(lambda s=source: drain(reader(cursor(source=s, blob=OFFSET), len(data)), 2))
        assert isinstance(got, tuple) == refused
        assert not refused or got[:3] == ("Corrupt", "bad-lzf", OFFSET)


def assert_cut(build: Any, name: str, data: bytes) -> None:
    """No prefix of a blob is valid; nor is one with a stored size larger than its string."""
    module = build(f"wire.{name}")
    cursor = build("wire.cursor").Cursor
    for end in range(len(data)):
        assert_refuses(build, name, data[:end])
        source = Trickle(data[:end])
        got = outcome(lambda s=source: drain(module.Reader(cursor(source=s, blob=OFFSET), len(data)), 2))
        assert isinstance(got, tuple)
        assert got[0] == "Corrupt"
        assert got[2] == OFFSET


def both_builds() -> list[Any]:
    """Return the two builds, for tests that compare them."""
    builds = []
    for name in ("pure", "compiled"):
        if name not in conftest._BUILDS:
            conftest._BUILDS[name] = conftest._load(name)
        builds.append(conftest._BUILDS[name])
    if not builds[1]("_build").compiled():
        pytest.skip("no compiled build in this install")
    return builds


def assert_parity(name: str, data: bytes) -> None:
    pure, compiled = both_builds()
    assert list(readings(pure, name, data)) == list(readings(compiled, name, data))


_INTEGERS = st.one_of(
    st.integers(-(1 << 63), (1 << 63) - 1),
    st.sampled_from(
        [s * (1 << b) + d for b in (0, 7, 8, 12, 15, 16, 23, 24, 31, 32, 62) for s in (1, -1) for d in (-1, 0, 1)]
    ),
)
_STRINGS = st.one_of(
    st.binary(max_size=70),
    st.sampled_from(
        [b"", b"-0", b"+1", b"007", b"-", b" 1", b"1 ", b"9223372036854775808", b"-9223372036854775809", b"1.5"]
    ),
    st.sampled_from([64, 121, 122, 127, 128, 253, 254, 255, 4095, 4096]).map(lambda n: b"s" * n),
)
#: Items as lists, sets and hashes hold them.
ITEMS = st.lists(st.one_of(_STRINGS, _INTEGERS.map(lambda n: b"%d" % n)), max_size=12)
#: What to do to a blob: at a fraction of its length, put these bytes, in place of that many.
DAMAGE = st.lists(st.tuples(st.floats(0, 1), st.binary(max_size=3), st.integers(0, 3)), min_size=1, max_size=3)


def damaged(data: bytes, damage: list[tuple[float, bytes, int]]) -> bytes:
    for where, put, gone in damage:
        at = int(where * len(data))
        data = data[:at] + put + data[at + gone :]
    return data
