"""`export`: all keys with their values, as JSON Lines, JSON or CSV.

    {"db":0,"key":"…","type":"hash","expires_at":null,"value":{…},"field_expires_at":{…}}

`field_expires_at` is present only if fields expire (in CSV the cell is empty otherwise). A hash with a duplicate field
is a list of pairs (values.py). CSV contains the plain text of a string, and JSON for every other type.

Rows are written in batches with decoded values (`rows`), or as a head, a value in parts, and a tail (`head` returns the
ValueWriter for it, then `tail`), so that values may have any size.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

from rdbkit.output.rows import csv_field, csv_quote
from rdbkit.output.text import (
    TextStream,
    csv_pieces,
    encoder,
    json_quote,
    json_safe,
    json_string,
    json_strings,
    path_text,
    terminal,
)
from rdbkit.output.values import Pairs, ValueWriter, json_expiries, json_value

Write = Callable[[str], object]
#: db, key, type, expires_at, decoded value, {field: ms} or None
ExportRow = tuple[int, bytes, str, int | None, Any, Mapping[bytes, int] | Pairs | None]

FORMATS = ("jsonl", "json", "csv")


class ExportWriter(Protocol):
    """Writes keys with their values; `finish` ends the document, and must not be called if rows may be missing."""

    file: str | None
    """The input of the next rows, written as their first column; None: no such column."""

    def rows(self, batch: Sequence[ExportRow]) -> None:
        """Write rows with decoded values."""

    def head(self, db: int, key: bytes, type_name: str, expires_at: int | None) -> ValueWriter:
        """Begin a row; exactly one call of the result's methods writes its value."""

    def value(self, write: Write) -> ValueWriter:
        """Return a ValueWriter that passes the text of a value to `write` instead."""

    def text(self, text: str) -> None:
        """Write, after `head`, the text from `value`."""

    def tail(self, expiries: Iterable[str] | None = None) -> None:
        """End the row that `head` began, with what ValueWriter.hash returned."""

    def finish(self) -> None:
        """End the document."""


class JsonExport:
    """JSON Lines, or one array with a row per line, which is closed (and valid JSON) only by `finish`."""

    def __init__(self, write: Write, form: str, array: bool, file: str | None) -> None:
        self.file = file
        self._write = write
        self._form = form
        self._array = array
        self._before = "[\n" if array else ""
        self._end = "}" if array else "}\n"
        self._value = ValueWriter(write, form)

    def rows(self, batch: Sequence[ExportRow]) -> None:
        """Write rows with decoded values."""
        keys = json_strings([row[1] for row in batch], self._form)
        self._write("".join([self._row(row, key) for row, key in zip(batch, keys)]))

    def head(self, db: int, key: bytes, type_name: str, expires_at: int | None) -> ValueWriter:
        """Begin a row."""
        self._write(self._start(db, json_string(key, self._form), type_name, expires_at))
        return self._value

    def value(self, write: Write) -> ValueWriter:
        """Return a ValueWriter that passes the text of a value to `write`."""
        return ValueWriter(write, self._form)

    def text(self, text: str) -> None:
        """Write the text of a value."""
        self._write(text)

    def tail(self, expiries: Iterable[str] | None = None) -> None:
        """End a row."""
        if expiries is not None:
            self._write(',"field_expires_at":')
            for piece in expiries:
                self._write(piece)
        self._write(self._end)

    def finish(self) -> None:
        """Close the array."""
        if self._array:
            self._write("[]\n" if self._before == "[\n" else "\n]\n")

    def _row(self, row: ExportRow, key: str) -> str:
        db, _, type_name, expires_at, value, expires = row
        text = self._start(db, key, type_name, expires_at) + json_value(type_name, value, self._form)
        if expires:
            text += f',"field_expires_at":{json_expiries(expires, self._form)}'
        return text + self._end

    def _start(self, db: int, key: str, type_name: str, expires_at: int | None) -> str:
        before = self._before
        if self._array:
            self._before = ",\n"
        file = "" if self.file is None else f'"file":{json_quote(path_text(self.file))},'
        expiry = "null" if expires_at is None else expires_at
        return f'{before}{{{file}"db":{db},"key":{key},"type":"{type_name}","expires_at":{expiry},"value":'


class CsvExport:
    """CSV with a header."""

    def __init__(self, write: Write, form: str, safe: Callable[[str], str], file: str | None) -> None:
        self.file = file
        self._write = write
        self._form = form
        self._encode = encoder(form)
        self._safe = safe
        self._header = f"{'' if file is None else 'file,'}db,key,type,expires_at,value,field_expires_at\n"
        self._value = _CellWriter(write, form, safe)

    def rows(self, batch: Sequence[ExportRow]) -> None:
        """Write rows with decoded values."""
        self._write("".join(map(self._row, batch)))

    def head(self, db: int, key: bytes, type_name: str, expires_at: int | None) -> ValueWriter:
        """Begin a row and the quotes around its value."""
        self._write(self._start(db, key, type_name, expires_at) + '"')
        return self._value

    def value(self, write: Write) -> ValueWriter:
        """Return a ValueWriter that passes the text of a value, without the cell's quotes, to `write`."""
        return _CellWriter(write, self._form, self._safe)

    def text(self, text: str) -> None:
        """Write the text of a value."""
        self._write(text)

    def tail(self, expiries: Iterable[str] | None = None) -> None:
        """End the value's quotes and the row."""
        self._write('",')
        if expiries is not None:
            self._write('"')
            for piece in expiries:
                self._value.part(piece)
            self._write('"')
        self._write("\n")

    def finish(self) -> None:
        """Write the header if there were no rows."""
        self._write(self._header)
        self._header = ""

    def _row(self, row: ExportRow) -> str:
        db, key, type_name, expires_at, value, expires = row
        text = self._encode(value) if type_name == "string" else json_value(type_name, value, self._form)
        fields = csv_quote(self._safe(json_expiries(expires, self._form))) if expires else ""
        return f"{self._start(db, key, type_name, expires_at)}{csv_field(self._safe(text))},{fields}\n"

    def _start(self, db: int, key: bytes, type_name: str, expires_at: int | None) -> str:
        header, self._header = self._header, ""
        file = "" if self.file is None else csv_field(self._safe(path_text(self.file))) + ","
        expiry = "" if expires_at is None else expires_at
        return f"{header}{file}{db},{csv_field(self._safe(self._encode(key)))},{type_name},{expiry},"


class _CellWriter(ValueWriter):
    """Writes a value inside a quoted CSV cell."""

    def __init__(self, write: Write, form: str, safe: Callable[[str], str]) -> None:
        self._cell = write
        self._safe = safe
        super().__init__(self.part, form)

    def part(self, text: str) -> None:
        """Write a piece of the cell's text."""
        self._cell(self._safe(text).replace('"', '""'))

    def string(self, chunks: Iterable[bytes]) -> None:
        """Write the text of a string, without the quotes of JSON."""
        for text in csv_pieces(TextStream(self._form).texts(chunks)):
            self.part(text)


def export_writer(
    output_format: str, write: Write, *, form: str = "escape", width: int | None = None, file: str | None = None
) -> ExportWriter:
    """Return the writer for "jsonl", "json" or "csv"; `form` and `width` as for row_formats.row_writer.

    If `file` is not None the rows get a first column "file"; set the writer's attribute for each further input.
    """
    if output_format == "csv":
        return CsvExport(write, form, str if width is None else terminal, file)
    shown: Write = write if width is None else lambda text: write(json_safe(text))
    return JsonExport(shown, form, output_format == "json", file)
