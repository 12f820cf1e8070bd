"""The format of a partial report: JSON Lines with a head, rows, and an end with the number of rows.

{"format":"rdbkit partial report","version":4,"options":{…}}
[name of a fold, …]     one line per row
["end", number of rows]
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from rdbkit.errors import Corrupt, Truncated, Unsupported

_FORMAT = "rdbkit partial report"
_VERSION = 4
#: Bytes of one line.
_LONGEST_LINE = 1 << 20


def write(options: dict[str, Any], rows: Iterable[list[Any]]) -> Iterator[str]:
    """Yield the lines of a partial."""
    yield _line({"format": _FORMAT, "version": _VERSION, "options": options})
    count = 0
    for count, row in enumerate(rows, 1):  # noqa: B007  the last number counts
        yield _line(row)
    yield _line(["end", count])


class Lines:
    """Reads a partial: call `head` first, then `rows`."""

    def __init__(self, lines: Iterable[bytes]) -> None:
        self._lines = iter(lines)
        self._offset = 0

    def head(self) -> dict[str, Any]:
        """Return the head; raises Unsupported for anything else, or a newer version."""
        line = next(self._lines, b"")
        try:
            head = self._parsed(line)
        except (Corrupt, Truncated):
            head = None
        if not isinstance(head, dict) or head.get("format") != _FORMAT:
            raise Unsupported("not a partial report of rdbkit", offset=0, code="not-partial")
        if head.get("version") != _VERSION:
            raise Unsupported(f"unknown partial report version {head.get('version')!r}", offset=0, code="not-partial")
        return head

    def rows(self) -> Iterator[list[Any]]:
        """Yield the rows. Raises Truncated, Corrupt, and ValueError for an invalid row."""
        for count, line in enumerate(self._lines):
            row = self._parsed(line)
            if not isinstance(row, list) or not row or not isinstance(row[0], str):
                raise ValueError("not a row")
            if row[0] == "end":
                if row[1:] != [count]:
                    raise ValueError("rows are missing")
                if next(self._lines, b""):
                    problem = "data after the end of a partial report: pass several reports as separate files"
                    raise Corrupt(problem, offset=self._offset, code="partial")
                return
            yield row
        raise Truncated("the end of a partial report is missing", offset=self._offset)

    def _parsed(self, line: bytes) -> Any:
        self._offset += len(line)
        if len(line) > _LONGEST_LINE:
            raise Corrupt("a line of a partial report is too long", offset=self._offset, code="partial")
        if not line.endswith(b"\n"):
            raise Truncated("the last line of a partial report is incomplete", offset=self._offset)
        try:
            return json.loads(line)
        except (ValueError, RecursionError):
            raise Corrupt("a line of a partial report is not JSON", offset=self._offset, code="partial") from None


def _line(value: Any) -> str:
    return json.dumps(value, separators=(",", ":")) + "\n"
