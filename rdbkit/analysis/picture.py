"""The result of a report as data, which rdbkit.output formats as text or JSON."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rdbkit.analysis.backlen_compat import Width
from rdbkit.analysis.biggest import Big
from rdbkit.analysis.expiry import Bucket
from rdbkit.analysis.files import FileSummary
from rdbkit.analysis.limit_advice import Raise
from rdbkit.analysis.prefixes import Prefix
from rdbkit.analysis.slots import Tag
from rdbkit.analysis.totals import Total


@dataclass(frozen=True, slots=True)
class Note:
    """A notable finding: a stable `code`, and its facts by name."""

    code: str
    facts: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Picture:
    """The result of a report. Lists are sorted, heaviest first; `prefixes` ends with the rest, which has no name.

    `heap`: memory is the memory actually allocated. `unread` lists files of which nothing could be read, with the
    reason; `complete` is False if there are any, or if a file could not be read to its end. `prefixes_exact`: every sum
    of prefixes is exact; `absent`: the maximum sums of a prefix that is not listed (Prefix.error).
    """

    heap: bool
    files: tuple[FileSummary, ...]
    unread: tuple[tuple[str, str], ...]
    total: Total
    databases: dict[int, Total]
    types: dict[str, Total]
    encodings: dict[tuple[str, str | None], Total]
    biggest: dict[str, list[Big]]
    prefixes: list[Prefix]
    prefixes_exact: bool
    absent: tuple[int, ...]
    expiry: list[Bucket]
    idle: list[Bucket]
    freq: list[Bucket]
    tags: list[Tag]
    raising: list[Raise]
    widths: list[Width]
    notes: list[Note]

    @property
    def complete(self) -> bool:
        """Return whether every file was read to its end, even if with a wrong checksum."""
        return not self.unread and all(file.whole for file in self.files)
