"""The window over a source: a stored size does not determine the memory used."""

from __future__ import annotations

from time import process_time
from typing import Any

import pytest
from rdb.files import Trickle


class Zeros:
    """A pipe full of zeros."""

    size = -1

    def __init__(self, length):
        self.left = length

    def read(self, n):
        given = min(n, self.left)
        self.left -= given
        return bytes(given)


@pytest.mark.parametrize("length", [100, 600])
def test_what_is_too_long_to_be_held_is_passed(build, length):
    """A stored size of 600 MiB on a pipe is never allocated; if it is wrong, the error is that of any wrong size."""
    cursor = build("wire.cursor").Cursor(source=Zeros(length << 20))
    error = build.errors.LimitExceeded if length == 600 else build.errors.Truncated
    with pytest.raises(error) as caught:
        cursor.take(600 << 20)
    assert caught.value.offset == (0 if length == 600 else length << 20)
    assert len(cursor.data) < 1 << 20


def test_what_unpacks_to_too_much_is_passed(build):
    """The head of an LZF string has a size of 600 MiB, to which its packed bytes could unpack."""
    packed = (600 << 20) // 80
    head = b"\xc3\x80" + packed.to_bytes(4, "big") + b"\x80" + (600 << 20).to_bytes(4, "big")
    cursor = build("wire.cursor").Cursor(head + bytes(packed) + b"\x01x")
    with pytest.raises(build.errors.LimitExceeded) as caught:
        cursor.string()
    assert caught.value.offset == 0
    assert cursor.string() == b"x"


def test_short_reads_are_gathered(build: Any) -> None:
    """A long string is not moved for each piece of it."""
    size = 16 << 20
    stream = Trickle(b"\x80" + size.to_bytes(4, "big") + bytes(size), 1 << 11)
    with build("source").open_source(stream) as source:
        begin = process_time()
        assert len(build("wire.cursor").Cursor(source=source).string()) == size
        assert process_time() - begin < 5
