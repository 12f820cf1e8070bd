"""Findings on a terminal: wrapped text, because a table would have to cut it.

    error truncated: the file ends in the middle of a record
      dump.rdb, offset 3000, db 0, key list:ints
      -> fetch the file again, or wait if it is still being written

The rows are those of `check`: severity, code, file, offset, db, key, message, hint.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rdbkit.output.rows import OutputRow, Write
from rdbkit.output.text import encoder, path_text, terminal
from rdbkit.output.width import wrapped

_COLORS = {"error": "1;31", "warning": "1;33", "note": "1;36"}
_NAMES = ("offset", "db", "key")
#: Minimum width; on a narrower terminal, the terminal itself wraps the lines.
_LEAST = 20
#: Maximum characters of a key shown.
_KEY = 200


class Notes:
    """Writes findings one by one."""

    def __init__(self, write: Write, form: str, width: int, color: bool) -> None:
        self._write = write
        self._encode = encoder(form)
        self._width = max(width, _LEAST)
        self._color = color

    def write(self, batch: Sequence[OutputRow]) -> None:
        """Write findings."""
        for row in batch:
            self._write("\n".join(self._lines(row)) + "\n")

    def finish(self) -> None:
        """Do nothing: there is no buffer."""

    def _lines(self, row: OutputRow) -> Iterator[str]:
        severity, code, file, *place, message, hint = row
        first, *more = self._wrapped(f"{severity} {code}: {message}", "", "  ")
        mark = f"\x1b[{_COLORS.get(severity, '1')}m{severity}\x1b[0m" if self._color else severity
        yield mark + first[len(severity) :]
        yield from more
        yield from self._wrapped(", ".join((path_text(file), *self._place(place))), "  ", "  ")
        if hint:
            yield from self._wrapped(hint, "  -> ", "     ")

    def _place(self, place: Sequence[object]) -> Iterator[str]:
        for name, value in zip(_NAMES, place):
            if isinstance(value, bytes):
                text = self._encode(value)
                yield f"{name} {text}" if len(text) <= _KEY else f"{name} {text[:_KEY]}…"
            elif value is not None:
                yield f"{name} {value}"

    def _wrapped(self, text: str, first: str, later: str) -> list[str]:
        return wrapped(terminal(text), self._width, first, later) or [first]
