"""Tables: column widths from the first 1,000 rows (fewer if they are long), then row by row.

In a pipe nothing is cut or hidden; a cell wider than its column, such as one key of 300 bytes among short ones, shifts
the rest of its line. On a terminal the table is fitted to the width: columns that are null in all of those rows are
hidden, then columns are hidden by their priority, then text columns shrink and their cells are cut with "…". Numbers
are never cut.

Control characters are always escaped, because a table in a pipe often ends up in a pager.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from rdbkit.output import units
from rdbkit.output.rows import Cells, Column, OutputRow, Values, Write, each
from rdbkit.output.text import path_text, terminal, texts
from rdbkit.output.width import cut, display_width, pad

_SAMPLE = 1000
_SAMPLED = 1 << 20  # maximum bytes of keys and other text in the buffered rows
_WIDEST = 200  # maximum width to which columns are padded
_GAP = "  "
_NARROW = 24  # columns are hidden before another one shrinks below this
_LEAST = 8
_FLEXIBLE = frozenset(["text", "path", "bytes", "json"])
_LONG = frozenset(["bytes", "json"])
_SENSIBLE = 40  # in a pipe, a longer cell shifts only its own line
_LEFT = _FLEXIBLE | {"ms", "bool"}

_MAKE: dict[str, Callable[[Any], str]] = {
    "int": str,
    "count": units.count,
    "size": units.size,
    "ms": units.time,
    "seconds": units.duration,
    "float": "{:,.2f}".format,
    "share": "{:.1%}".format,
    "bool": lambda value: "yes" if value else "no",
    "text": terminal,
    "path": lambda name: terminal(path_text(name)),
    "json": terminal,
}


def _usual(column: Column, cells: Values, widest: int) -> int:
    """Return the width of a column in a pipe; for bytes from a file, which may be huge, what 95% of the cells need."""
    if column.kind not in _LONG or widest <= _SENSIBLE:
        return widest
    widths = sorted(map(display_width, cells))
    return max(len(column.name), min(widths[(len(widths) - 1) * 19 // 20], _WIDEST))


def fit(columns: Sequence[Column], widths: Sequence[int], empty: Sequence[bool], available: int) -> dict[int, int]:
    """Return which columns fit on a terminal of `available` characters: position and width of each.

    `widths` are the preferred widths; `empty` says which columns are all null.
    """
    shown = {at: min(width, available) for at, width in enumerate(widths) if not empty[at]}

    def total(least: int) -> int:
        flexible = [min(width, least) if columns[at].kind in _FLEXIBLE else width for at, width in shown.items()]
        return sum(flexible) + len(_GAP) * (len(flexible) - 1)

    droppable = sorted((at for at in shown if columns[at].drop), key=lambda at: columns[at].drop)
    while droppable and total(_NARROW) > available:
        del shown[droppable.pop()]
    while total(available) > available:
        widest = max((at for at in shown if columns[at].kind in _FLEXIBLE), key=shown.__getitem__, default=None)
        if widest is None or shown[widest] <= _LEAST:
            break
        shown[widest] -= 1
    return shown


class Table:
    """A table; `width` is the width of the terminal, None if the output is not a terminal."""

    def __init__(
        self,
        columns: Sequence[Column],
        write: Write,
        form: str = "escape",
        width: int | None = None,
        color: bool = False,
    ) -> None:
        self.hidden: list[str] = []
        """Non-empty columns that were hidden to fit the width; set once rows were written."""
        self._columns = columns
        self._write = write
        self._room = width
        self._color = color
        self._cells: list[Cells] = [_cells(column.kind, form) for column in columns]
        self._sample: list[OutputRow] | None = []
        self._sampled = 0
        self._texts = [at for at, column in enumerate(columns) if column.kind in _LONG]
        self._shown: dict[int, int] = {}

    def write(self, batch: Sequence[OutputRow]) -> None:
        """Write rows; the first thousand (fewer if they are long) are buffered to measure them."""
        if self._sample is None:
            self._rows(batch)
            return
        self._sample += batch
        self._sampled += sum(len(row[at] or b"") for row in batch for at in self._texts)
        if len(self._sample) >= _SAMPLE or self._sampled > _SAMPLED:
            self._start()

    def finish(self) -> None:
        """Write the buffered rows."""
        if self._sample is not None:
            self._start()

    def _start(self) -> None:
        sample, self._sample = self._sample or [], None
        first = sample[:_SAMPLE]
        texts_by_column = [cells(values) for cells, values in zip(self._cells, zip(*first))] or [[]] * len(
            self._columns
        )
        widths = [
            max(map(display_width, [column.name, *cells])) for column, cells in zip(self._columns, texts_by_column)
        ]
        if self._room is None:
            self._shown = {at: _usual(self._columns[at], texts_by_column[at], width) for at, width in enumerate(widths)}
        else:
            empty = [bool(first) and all(row[at] is None for row in first) for at in range(len(self._columns))]
            self._shown = fit(self._columns, widths, empty, self._room)
            self.hidden = [c.name for at, c in enumerate(self._columns) if at not in self._shown and not empty[at]]
        self._header()
        self._rows(sample)

    def _header(self) -> None:
        line = self._lines([[self._columns[at].name] for at in self._shown])
        self._write(f"\x1b[1m{line[:-1]}\x1b[0m\n" if self._color else line)

    def _rows(self, batch: Sequence[OutputRow]) -> None:
        if batch:
            columns = list(zip(*batch))
            self._write(self._lines([self._cells[at](columns[at]) for at in self._shown]))

    def _lines(self, columns: Sequence[Values]) -> str:
        laid = [self._laid(cells, at) for cells, at in zip(columns, self._shown)]
        return "".join([_GAP.join(cells).rstrip() + "\n" for cells in zip(*laid)])

    def _laid(self, cells: Values, at: int) -> list[str]:
        """Return the cells of a column, padded or cut to its width."""
        kind, width = self._columns[at].kind, self._shown[at]
        if self._room is not None and kind in _FLEXIBLE:
            cells = [cut(cell, width) for cell in cells]
        if kind in _LEFT:
            return [cell.ljust(width) if cell.isascii() else pad(cell, width, left=True) for cell in cells]
        return [cell.rjust(width) for cell in cells]


def _cells(kind: str, form: str) -> Cells:
    if kind != "bytes":
        return each(_MAKE[kind], "-")
    return lambda values: [
        "-" if value is None else terminal(text)
        for value, text in zip(values, texts([value or b"" for value in values], form))
    ]
