"""Rows as tables, JSON, JSON Lines or CSV: columns with a kind, batches of tuples in, text out.

A batch is formatted column by column: for each kind and format there is a function from a column of values to a column
of cells. Columns with a single value in the batch (the database, a type, null) become part of the line template; the
others are inserted by one `%` over the whole batch. Machine formats contain raw numbers, tables contain units
(table.py).

    kind      holds                      in a table
    int       number                     12345
    count     number                     12,345
    size      bytes                      1.2 KiB
    ms        ms since the epoch         2033-05-18 03:33:19Z
    seconds   a span                     2d 3h
    float     number                     1.50
    share     number from 0 to 1         12.3%
    bool      True, False                yes, no
    text      our own text               as it is
    path      a file's name              its text form
    bytes     from the file              its text form
    json      finished JSON              as it is

Any cell may be None: null in JSON, empty in CSV (where an empty string is ""), "-" in a table.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from typing import Any, NamedTuple, Protocol

from rdbkit.output.text import (
    SUSPICIOUS,
    csv_cell,
    json_number,
    json_quote,
    json_strings,
    path_text,
    texts,
)

OutputRow = tuple[Any, ...]
Values = Sequence[Any]
Cells = Callable[[Values], Values]
Write = Callable[[str], object]

FORMATS = ("table", "json", "jsonl", "csv")

_BATCH = 2048  # rows formatted at once; limits the size of a template
_CACHED = 4096
_QUOTED_IN_CSV = re.compile(r'[",\r\n]')
# First characters of a CSV text cell that needs special treatment: formulas, and "" for the empty string.
_SUSPICIOUS = SUSPICIOUS | {""}


class Column(NamedTuple):
    """A column: name, kind, and priority for hiding it on a narrow terminal (0: never, highest first)."""

    name: str
    kind: str = "int"
    drop: int = 0


KEY_COLUMNS = (
    Column("db"),
    Column("key", "bytes"),
    Column("type", "text"),
    Column("encoding", "text", 2),
    Column("elements", "count", 1),
    Column("memory", "size"),
    Column("memory_sd", "size", 4),
    Column("size", "size", 3),
    Column("expires_at", "ms"),
    Column("idle", "seconds"),
    Column("freq"),
)


class RowWriter(Protocol):
    """Writes rows in batches; `finish` ends the document and must not be called for an incomplete one."""

    def write(self, batch: Sequence[OutputRow]) -> None:
        """Write rows."""

    def finish(self) -> None:
        """End the document."""


class Cache(dict[Any, str]):
    """A cache of a function's results, for columns with few distinct values."""

    def __init__(self, make: Callable[[Any], str]) -> None:
        super().__init__()
        self._make = make

    def __missing__(self, value: Any) -> str:
        text = self._make(value)
        if len(self) < _CACHED:
            self[value] = text
        return text

    def column(self, values: Values) -> list[str]:
        """Return the cells of a column."""
        return list(map(self.__getitem__, values))


def each(make: Callable[[Any], str], null: str) -> Cells:
    """Return a column function that formats cells one by one."""
    return lambda values: [null if value is None else make(value) for value in values]


def _numbers(null: str) -> Cells:
    return lambda values: [null if value is None else value for value in values] if None in values else values


def _words(make: Callable[[Any], str], null: str) -> Cells:
    return Cache(lambda value: null if value is None else make(value)).column


def _strings(many: Cells, null: str) -> Cells:
    """Return a function for columns of bytes: in one go if there is no null, else cell by cell."""
    return lambda values: [null if v is None else many((v,))[0] for v in values] if None in values else many(values)


def _json_cells(kind: str, form: str) -> Cells:
    if kind == "bytes":
        return _strings(lambda values: json_strings(values, form), "null")
    make: dict[str, Callable[[Any], str]] = {
        "float": json_number,
        "share": json_number,
        "bool": lambda value: "true" if value else "false",
        "text": json_quote,
        "path": lambda name: json_quote(path_text(name)),
        "json": str,
    }
    return _cells(kind, make, "null")


def csv_field(text: str) -> str:
    """Return a text cell: formulas escaped, quoted as RFC 4180 requires."""
    cell = csv_cell(text)
    return csv_quote(cell) if not cell or _QUOTED_IN_CSV.search(cell) else cell


def csv_quote(text: str) -> str:
    """Return text in CSV quotes."""
    return '"' + text.replace('"', '""') + '"'


def _csv_fields(cells: list[str]) -> list[str]:
    if _QUOTED_IN_CSV.search("".join(cells)) or not _SUSPICIOUS.isdisjoint([cell[:1] for cell in cells]):
        return list(map(csv_field, cells))
    return cells


def _csv_cells(kind: str, form: str, safe: Callable[[str], str]) -> Cells:
    if kind == "bytes":
        return _strings(lambda values: _csv_fields(list(map(safe, texts(values, form)))), "")
    make: dict[str, Callable[[Any], str]] = {
        "float": lambda number: json_number(number).strip('"'),
        "share": json_number,
        "bool": lambda value: "true" if value else "false",
        "text": lambda text: csv_field(safe(text)),
        "path": lambda name: csv_field(safe(path_text(name))),
        "json": lambda text: csv_field(safe(text)),
    }
    return _cells(kind, make, "")


def _cells(kind: str, make: dict[str, Callable[[Any], str]], null: str) -> Cells:
    if kind not in make:
        return _numbers(null)
    return each(make[kind], null) if kind in ("json", "float", "share") else _words(make[kind], null)


class _Weaver:
    """The template for the lines of a batch: literal, cell, literal, cell, …, end."""

    def __init__(self, columns: Sequence[Column], before: Iterable[str], cells: Iterable[Cells], end: str) -> None:
        # Equal floats may differ in text (0.0 and -0.0); bytes seldom repeat.
        folds = [column.kind not in ("float", "share", "bytes", "json") for column in columns]
        self._parts = list(zip([text.replace("%", "%%") for text in before], cells, folds))
        self._end = end

    def lines(self, batch: Sequence[OutputRow]) -> str:
        count = len(batch)
        line, woven = "", []
        for (before, cells, folds), values in zip(self._parts, zip(*batch)):
            line += before
            if folds and values.count(values[0]) == count:
                line += str(cells(values[:1])[0]).replace("%", "%%")
            else:
                line += "%s"
                woven.append(cells(values))
        return (line + self._end) * count % tuple(chain.from_iterable(zip(*woven)))


def _slices(batch: Sequence[OutputRow]) -> Iterable[Sequence[OutputRow]]:
    return (batch[at : at + _BATCH] for at in range(0, len(batch), _BATCH))


def _json_weaver(columns: Sequence[Column], form: str, end: str) -> _Weaver:
    before = [f"{',' if at else '{'}{json_quote(column.name)}:" for at, column in enumerate(columns)]
    return _Weaver(columns, before, [_json_cells(column.kind, form) for column in columns], "}" + end)


class JsonLines:
    """One compact object per line."""

    def __init__(self, columns: Sequence[Column], write: Write, form: str = "escape") -> None:
        self._write = write
        self._lines = _json_weaver(columns, form, "\n").lines

    def write(self, batch: Sequence[OutputRow]) -> None:
        """Write rows."""
        for part in _slices(batch):
            self._write(self._lines(part))

    def finish(self) -> None:
        """Do nothing: there is no buffer."""


class JsonArray:
    """An array of the same objects, one per line; it is closed (and valid JSON) only by `finish`."""

    def __init__(self, columns: Sequence[Column], write: Write, form: str = "escape") -> None:
        self._write = write
        self._lines = _json_weaver(columns, form, ",\n").lines
        self._before = "[\n"

    def write(self, batch: Sequence[OutputRow]) -> None:
        """Write rows."""
        for part in _slices(batch):
            self._write(self._before + self._lines(part)[:-2])
            self._before = ",\n"

    def finish(self) -> None:
        """Close the array."""
        self._write("[]\n" if self._before == "[\n" else "\n]\n")


class Csv:
    """RFC 4180 with a header; lines end in LF, as other Unix tools expect."""

    # With LF line ends, Python's csv module does not quote a CR in a field, which its own reader then refuses.

    def __init__(
        self, columns: Sequence[Column], write: Write, form: str = "escape", safe: Callable[[str], str] = str
    ) -> None:
        self._write = write
        before = ["," if at else "" for at in range(len(columns))]
        self._lines = _Weaver(columns, before, [_csv_cells(column.kind, form, safe) for column in columns], "\n").lines
        self._header = ",".join([csv_field(column.name) for column in columns]) + "\n"

    def write(self, batch: Sequence[OutputRow]) -> None:
        """Write rows, with the header before the first one."""
        for part in _slices(batch):
            self._write(self._header + self._lines(part))
            self._header = ""

    def finish(self) -> None:
        """Write the header if there were no rows."""
        self._write(self._header)
        self._header = ""
