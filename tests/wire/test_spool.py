"""Items that are too long for memory: their methods and comparisons."""

from __future__ import annotations

import pickle
import tempfile
from itertools import pairwise
from typing import Any

import pytest

from rdbkit.output.sort import Sorter
from rdbkit.wire.cursor import Cursor
from rdbkit.wire.spool import Spool

LONG = (1 << 19) + 1000


@pytest.fixture
def make(build: Any) -> Any:
    """Return a function that spools bytes."""
    module, cursor = build("wire.spool"), build("wire.cursor").Cursor

    def made(data: bytes, level: int = module.KEPT, spool: Any = None) -> Any:
        return (spool or module.Spool(level)).take(cursor(data), len(data))

    return made


def test_content(make: Any) -> None:
    data = bytes(range(256)) * 2500
    item = make(data)
    assert len(item) == len(data)
    assert bytes(item) == data
    assert b"".join(item.pieces(1000)) == data
    assert {len(piece) for piece in item.pieces(1000)} == {1000}
    assert item[:40] == data[:40]
    assert repr(item) == f"<{len(data)} bytes that start with {data[:40]!r}>"


def test_order_is_that_of_bytes(make: Any) -> None:
    texts = sorted(
        [b"a" * LONG, b"a" * (LONG + 1), b"a" * (LONG - 1) + b"b", b"b" * LONG, b"", b"a", b"aaab", b"a" * LONG + b"\0"]
    )
    items = [make(text) if len(text) > 1000 else text for text in texts]
    assert sorted([*items[4:], *items[:4]]) == items
    for one, other in pairwise(items):
        assert one < other
        assert other > one
        assert one <= other
        assert other >= one
        assert one != other
        assert not one > other
    for text, item in zip(texts, items, strict=True):
        assert item == text
        assert not item < text
        assert not item > text


@pytest.mark.parametrize("level", ["SUMMED", "KEPT"])
def test_equal_content_has_one_hash(build: Any, make: Any, level: str) -> None:
    level = getattr(build("wire.spool"), level)
    one, same, other = make(b"a" * LONG, level), make(b"a" * LONG, level), make(b"a" * (LONG - 1) + b"b", level)
    assert one == same
    assert hash(one) == hash(same)
    assert one != other
    assert len({one, same, other}) == 2
    assert one.digest == same.digest != other.digest
    assert one != 7


def test_levels_share_a_digest(build: Any, make: Any) -> None:
    module = build("wire.spool")
    assert make(b"a" * LONG, module.SUMMED) == make(b"a" * LONG, module.KEPT)
    assert make(b"a" * LONG, module.SUMMED) != make(b"a" * LONG, module.MEASURED)
    assert len({make(b"a" * LONG, module.MEASURED), make(b"a" * LONG, module.MEASURED)}) == 2
    with pytest.raises(ValueError, match="not kept"):
        bytes(make(b"a" * LONG, module.SUMMED))


def test_several_items_share_a_file_until_it_is_full(build: Any, make: Any, monkeypatch: Any) -> None:
    module = build("wire.spool")
    made: list[Any] = []
    real = tempfile.TemporaryFile
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda **options: made.append(real(**options)) or made[-1])
    monkeypatch.setattr(module, "_FULL", 1 << 20)
    spool = module.Spool()
    items = [make(bytes((number,)) * LONG, spool=spool) for number in range(6)]
    assert spool.count == 6
    assert [bytes(item[:1])[0] for item in items] == list(range(6))
    assert all(bytes(item) == bytes((number,)) * LONG for number, item in enumerate(items))
    assert 1 < len(made) < 6
    del items, spool
    assert all(file.closed for file in made)


def test_a_pickled_item_is_a_reference() -> None:
    # Not by build: a pickle names a module, and there is one of that name.
    item = Spool().take(Cursor(b"a" * LONG), LONG)
    written = pickle.dumps([item])
    assert len(written) < 1000
    assert pickle.loads(written)[0] is item


def test_rows_with_long_items_are_sorted_in_temporary_space() -> None:
    spool = Spool()
    texts = [bytes((letter,)) * LONG for letter in b"dacb"]
    items = [spool.take(Cursor(text), LONG) for text in texts]
    with Sorter(memory=1) as sorter:
        for number in range(3):
            sorter.add_batch([(number, item) for item in items])
        del items
        rows = [(number, bytes(item)) for number, item in sorter]
    assert rows == [(number, text) for number in range(3) for text in sorted(texts)]


def test_no_temporary_space(build: Any, make: Any, monkeypatch: Any) -> None:
    def full(*_: Any, **__: Any) -> Any:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tempfile, "TemporaryFile", full)
    with pytest.raises(build("wire.spool").SpoolError, match=f"item of {LONG} bytes: No space left on device"):
        make(b"a" * LONG)
    assert make(b"a" * LONG, build("wire.spool").SUMMED)


def test_what_is_not_there_is_truncated(build: Any) -> None:
    cursor = build("wire.cursor").Cursor(b"\x80" + LONG.to_bytes(4, "big") + b"a" * 100)
    cursor.spool = build("wire.spool").Spool()
    with pytest.raises(build.errors.Truncated) as caught:
        cursor.item()
    assert caught.value.offset == 105
