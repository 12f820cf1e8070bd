from __future__ import annotations

import csv
import io
import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rdbkit.output import row_formats, text
from rdbkit.output.rows import KEY_COLUMNS, Column

from .data import DATA

NUMBER = st.none() | st.integers(-(2**63), 2**63)
CELLS: dict[str, st.SearchStrategy[Any]] = {
    "int": NUMBER,
    "count": NUMBER,
    "size": NUMBER,
    "ms": NUMBER,
    "seconds": NUMBER,
    "float": st.none() | st.floats(),
    "bool": st.none() | st.booleans(),
    "text": st.none() | st.sampled_from(["string", "100%", "a,b", "ä", ""]),
    "path": st.none() | st.sampled_from(["dump.rdb", "d\udcff.rdb", "%s"]),
    "bytes": DATA | st.none(),
    "json": st.none() | st.sampled_from(['{"a":[1,"x%"]}', "[]", '"s"']),
}
COLUMNS = tuple(Column(f"c-{kind}", kind) for kind in CELLS)
ROW = st.tuples(*CELLS.values())
BATCHES = st.lists(st.lists(ROW, max_size=4), max_size=4)
FORMS = st.sampled_from(text.FORMS)

EXAMPLE = (0, b"user:1", "hash", "listpack", 3, 120, 0, 57, None, None, None)


def render(output_format: str, columns: Any, batches: Any, **options: Any) -> str:
    out: list[str] = []
    writer = row_formats.row_writer(output_format, columns, out.append, **options)
    for batch in batches:
        writer.write(batch)
    writer.finish()
    return "".join(out)


def as_text(kind: str, value: Any, form: str) -> Any:
    """What JSON should hold for a cell."""
    if value is None:
        return None
    if kind == "bytes":
        return text.encoder(form)(value)
    if kind == "path":
        return text.path_text(value)
    if kind == "json":
        return json.loads(value)
    if kind == "float" and not math.isfinite(value):
        return str(value)
    return value


@given(BATCHES, FORMS)
def test_json_holds_the_rows(batches: list[list[Any]], form: str) -> None:
    expected = [
        {column.name: as_text(column.kind, value, form) for column, value in zip(COLUMNS, row)}
        for batch in batches
        for row in batch
    ]
    lines = render("jsonl", COLUMNS, batches, form=form)
    assert [json.loads(line) for line in lines.split("\n")[:-1]] == expected
    array = render("json", COLUMNS, batches, form=form)
    assert json.loads(array) == expected
    assert array.count("\n") == len(expected) + 2 if expected else array == "[]\n"
    shown = render("jsonl", COLUMNS, batches, form=form, width=80)
    assert [json.loads(line) for line in shown.split("\n")[:-1]] == expected
    assert text.terminal(shown.replace("\n", "")) == shown.replace("\n", "")


@given(BATCHES, FORMS, st.sampled_from([None, 80]))
def test_csv_reads_back(batches: list[list[Any]], form: str, width: int | None) -> None:
    written = render("csv", COLUMNS, batches, form=form, width=width)
    header, *read = csv.reader(io.StringIO(written, newline=""), strict=True)
    assert header == [column.name for column in COLUMNS]
    given_rows = [row for batch in batches for row in batch]
    assert len(read) == len(given_rows)
    for cells, row in zip(read, given_rows):
        for cell, column, value in zip(cells, COLUMNS, row):
            assert_csv_cell(cell, column.kind, value, form)


def assert_csv_cell(cell: str, kind: str, value: Any, form: str) -> None:
    if value is None:
        assert cell == ""
    elif kind == "bytes":
        assert cell[:1] not in set("=+-@\t\r")
        assert text.undo(cell) == text.undo(text.encoder(form)(value))
    elif kind == "bool":
        assert cell == str(value).lower()
    elif kind == "float":
        assert repr(float(cell)) == repr(value)
    elif kind == "path":
        assert cell == text.path_text(value)
    else:
        assert cell == str(value)


def test_csv_distinguishes_empty_and_null() -> None:
    assert render("csv", [Column("a", "bytes"), Column("b", "bytes")], [[(b"", None)]]) == 'a,b\n"",\n'


def test_the_row_of_the_manual() -> None:
    assert render("jsonl", KEY_COLUMNS, [[EXAMPLE]]) == (
        '{"db":0,"key":"user:1","type":"hash","encoding":"listpack","elements":3,"memory":120,"memory_sd":0,"size":57,'
        '"expires_at":null,"idle":null,"freq":null}\n'
    )


@pytest.mark.parametrize(
    ("output_format", "written"), [("json", "[]\n"), ("jsonl", ""), ("csv", "a,b\n"), ("table", "a  b\n")]
)
def test_no_rows(output_format: str, written: str) -> None:
    assert render(output_format, [Column("a"), Column("b")], []) == written
    assert render(output_format, [Column("a"), Column("b")], [[], []]) == written


def test_a_large_batch_is_written_in_parts() -> None:
    out: list[str] = []
    writer = row_formats.row_writer("jsonl", [Column("n")], out.append)
    writer.write([(n,) for n in range(10_000)])
    assert len(out) > 1
    assert [json.loads(line)["n"] for line in "".join(out).split()] == list(range(10_000))


def test_many_words_do_not_fill_the_cache() -> None:
    lines = render("jsonl", [Column("t", "text")], [[(f"word {n}",) for n in range(6000)]])
    assert [json.loads(line)["t"] for line in lines.split("\n")[:-1]] == [f"word {n}" for n in range(6000)]
