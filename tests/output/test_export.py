from __future__ import annotations

import csv
import io
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rdbkit.output import text
from rdbkit.output.export import export_writer

from .data import DATA, write_parts

ROWS = [
    (0, b"s", "string", None, b"=1+1\n", None),
    (0, b"\xffl", "list", 5000, [b"a", b'"'], None),
    (3, b"h", "hash", None, {b"f": b"v", b"g": b"w"}, {b"g": 7}),
]


def whole(output_format: str, rows: Any, **options: Any) -> str:
    out: list[str] = []
    writer = export_writer(output_format, out.append, **options)
    writer.rows(rows)
    writer.finish()
    return "".join(out)


def streamed(output_format: str, rows: Any, **options: Any) -> str:
    """The same rows, each value in as many parts as it has."""
    out: list[str] = []
    writer = export_writer(output_format, out.append, **options)
    for db, key, type_name, expires_at, value, expires in rows:
        value_writer = writer.head(db, key, type_name, expires_at)
        if type_name == "string":
            writer.tail(write_parts(value_writer, "string", [[value[at : at + 1]] for at in range(len(value))]))
        elif type_name == "list":
            writer.tail(write_parts(value_writer, "list", [[item] for item in value]))
        else:
            parts = [(field, item, (expires or {}).get(field)) for field, item in value.items()]
            writer.tail(write_parts(value_writer, "hash", [[part] for part in parts]))
    writer.finish()
    return "".join(out)


JSON_LINES = (
    '{"db":0,"key":"s","type":"string","expires_at":null,"value":"=1+1\\n"}\n'
    '{"db":0,"key":"\\\\xffl","type":"list","expires_at":5000,"value":["a","\\""]}\n'
    '{"db":3,"key":"h","type":"hash","expires_at":null,"value":{"f":"v","g":"w"},"field_expires_at":{"g":7}}\n'
)
TABLE = [
    ["db", "key", "type", "expires_at", "value", "field_expires_at"],
    ["0", "s", "string", "", "\\x3d1+1\n", ""],
    ["0", "\\xffl", "list", "5000", '["a","\\""]', ""],
    ["3", "h", "hash", "", '{"f":"v","g":"w"}', '{"g":7}'],
]


@pytest.mark.parametrize("render", [whole, streamed])
def test_formats(render: Any) -> None:
    assert render("jsonl", ROWS) == JSON_LINES
    assert json.loads(render("json", ROWS)) == list(map(json.loads, JSON_LINES.splitlines()))
    assert list(csv.reader(io.StringIO(render("csv", ROWS), newline=""), strict=True)) == TABLE


@pytest.mark.parametrize(
    ("output_format", "empty"),
    [("jsonl", ""), ("json", "[]\n"), ("csv", "db,key,type,expires_at,value,field_expires_at\n")],
)
def test_nothing(output_format: str, empty: str) -> None:
    assert whole(output_format, []) == empty
    assert streamed(output_format, []) == empty


def test_several_inputs() -> None:
    out: list[str] = []
    writer = export_writer("jsonl", out.append, file="a.rdb")
    writer.rows(ROWS[:1])
    writer.file = "b\udcff.rdb"
    writer.rows(ROWS[:1])
    assert [json.loads(line)["file"] for line in "".join(out).splitlines()] == ["a.rdb", "b\\xff.rdb"]
    assert list(json.loads(out[0])) == ["file", "db", "key", "type", "expires_at", "value"]
    assert whole("csv", ROWS[:1], file="a,b").split("\n")[:2] == [
        "file,db,key,type,expires_at,value,field_expires_at",
        '"a,b",0,s,string,,"\\x3d1+1',
    ]


@given(st.lists(st.tuples(DATA, DATA), max_size=4), st.sampled_from(text.FORMS), st.sampled_from([None, 80]))
def test_strings_come_back(pairs: list[tuple[bytes, bytes]], form: str, width: int | None) -> None:
    rows = [(0, key, "string", None, value, None) for key, value in pairs]
    encode = text.encoder(form)
    for render in (whole, streamed):
        lines = render("jsonl", rows, form=form, width=width).split("\n")[:-1]
        assert [(row["key"], row["value"]) for row in map(json.loads, lines)] == [
            (encode(k), encode(v)) for k, v in pairs
        ]
        cells = list(csv.reader(io.StringIO(render("csv", rows, form=form, width=width), newline=""), strict=True))[1:]
        assert [(text.undo(row[1]), text.undo(row[4])) for row in cells] == [
            (text.undo(encode(k)), text.undo(encode(v))) for k, v in pairs
        ]
        assert not any(row[at][:1] in set("=+-@\t\r") for row in cells for at in (1, 4))
