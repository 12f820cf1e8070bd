"""Rows of keys, findings or commands in the requested format."""

from __future__ import annotations

from collections.abc import Sequence

from rdbkit.output.rows import Column, Csv, JsonArray, JsonLines, RowWriter, Write
from rdbkit.output.text import json_safe, terminal


def row_writer(
    output_format: str,
    columns: Sequence[Column],
    write: Write,
    *,
    form: str = "escape",
    width: int | None = None,
    color: bool = False,
) -> RowWriter:
    """Return the writer for "table", "json", "jsonl" or "csv".

    `form` is the form of bytes (text.FORMS). `width` is the number of columns of the terminal, None if the output is
    not a terminal. On a terminal, control characters are escaped in every format, and tables are cut to fit.
    """
    if output_format == "table":
        from rdbkit.output.table import Table

        return Table(columns, write, form, width, color)
    if output_format == "csv":
        return Csv(columns, write, form, str if width is None else terminal)
    shown: Write = write if width is None else lambda text: write(json_safe(text))
    return (JsonLines if output_format == "jsonl" else JsonArray)(columns, shown, form)
