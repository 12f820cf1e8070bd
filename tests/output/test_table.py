from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rdbkit.output import table, text
from rdbkit.output.rows import KEY_COLUMNS, Column
from rdbkit.output.table import Table, cut, display_width, pad

from .data import DATA


def shown(columns: Any, batches: Any, **options: Any) -> list[str]:
    out: list[str] = []
    writer = Table(columns, out.append, **options)
    for batch in batches:
        writer.write(batch)
    writer.finish()
    return "".join(out).split("\n")[:-1]


def key_row(key: bytes, **other: Any) -> tuple[Any, ...]:
    row = {"db": 0, "key": key, "type": "hash", "encoding": "listpack", "elements": 1234, "memory": 120, "memory_sd": 0}
    row |= {"size": 57, "expires_at": None, "idle": None, "freq": None}
    return tuple((row | other).values())


def test_units_and_alignment() -> None:
    kinds = ["int", "count", "size", "ms", "seconds", "float", "bool", "text", "bytes"]
    row = (12345, 12345, 1234567, 1_999_999_999_000, 200_000, 1.5, True, "word", b"\xff")
    lines = shown([Column(f"c{at}", kind) for at, kind in enumerate(kinds)], [[row, (None,) * 9]])
    assert lines == [
        "   c0      c1       c2  c3                       c4    c5  c6   c7    c8",
        "12345  12,345  1.2 MiB  2033-05-18 03:33:19Z  2d 7h  1.50  yes  word  \\xff",
        "    -       -        -  -                         -     -  -    -     -",
    ]


def test_a_pipe_gets_everything() -> None:
    long = b"k" * 300
    lines = shown(KEY_COLUMNS, [[key_row(b"a"), key_row(long)]])
    assert lines[0].split() == [column.name for column in KEY_COLUMNS]
    assert long.decode() in lines[2]
    assert not any("\x1b" in line or "…" in line for line in lines)


def test_a_terminal_of_80_columns() -> None:
    long = "user:" + "ä日" * 40
    batch = [key_row(b"a"), key_row(long.encode(), expires_at=1_999_999_999_000)]
    out: list[str] = []
    writer = Table(KEY_COLUMNS, out.append, width=80)
    writer.write(batch)
    writer.finish()
    lines = "".join(out).split("\n")
    assert all(display_width(line) <= 80 for line in lines)
    assert lines[0].split() == ["db", "key", "type", "elements", "memory", "expires_at"]
    assert "…" in lines[2]
    assert writer.hidden == ["encoding", "memory_sd", "size"]  # idle and freq hold nothing: nobody misses them


def test_without_expiry_more_fits() -> None:
    lines = shown(KEY_COLUMNS, [[key_row(b"user:1:profile")]], width=80)
    assert lines[0].split() == ["db", "key", "type", "encoding", "elements", "memory", "memory_sd", "size"]


def test_no_rows_on_a_terminal() -> None:
    assert len(shown(KEY_COLUMNS, [], width=80)) == 1


def test_widths_come_from_the_first_thousand_rows() -> None:
    columns = [Column("key", "bytes"), Column("n")]
    rows = [(b"short", 1)] * 1000 + [(b"a much longer key", 123456)]
    piped = shown(columns, [rows[:600], rows[600:]])
    assert piped[1] == "short  1"
    assert piped[-1] == "a much longer key  123456"
    assert shown(columns, [rows[:1000], rows[1000:]], width=80)[-1] == "a mu…  123456"


def test_rows_flow_after_the_first_thousand() -> None:
    out: list[str] = []
    writer = Table([Column("n")], out.append)
    writer.write([(1,)] * 999)
    assert not out
    writer.write([(1,)])
    count = len(out)
    assert count
    writer.write([(2,)])
    assert len(out) == count + 1


def test_only_the_header_is_bold() -> None:
    out: list[str] = []
    writer = Table([Column("n")], out.append, width=80, color=True)
    writer.write([(1,)])
    writer.finish()
    assert "".join(out) == "\x1b[1mn\x1b[0m\n1\n"


@given(st.lists(DATA, min_size=1, max_size=5), st.sampled_from([None, 20, 80]))
def test_nothing_reaches_a_terminal_unescaped(keys: list[bytes], width: int | None) -> None:
    lines = shown([Column("key", "bytes"), Column("n")], [[(key, 1) for key in keys]], width=width)
    assert len(lines) == len(keys) + 1
    assert all(text.terminal(line) == line for line in lines)


@given(st.text(max_size=30), st.integers(1, 30))
def test_cut_and_pad(value: str, width: int) -> None:
    assert display_width(cut(value, width)) <= width
    assert display_width(pad(cut(value, width), width, left=True)) == width
    if display_width(value) <= width:
        assert cut(value, width) == value


@pytest.mark.parametrize(("value", "width"), [("abc", 3), ("日本", 4), ("e\u0301", 1), ("", 0)])
def test_display_width(value: str, width: int) -> None:
    assert display_width(value) == width


def test_fit_cuts_no_number() -> None:
    columns = [Column("a"), Column("key", "bytes"), Column("b")]
    assert table.fit(columns, [10, 50, 10], [False] * 3, 30) == {0: 10, 1: 8, 2: 10}
