"""Findings of `check`, one row each, with the remedy for their code."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from rdbkit.aof.remark import Remark
from rdbkit.checks.remedies import REMEDIES
from rdbkit.errors import RdbkitError

#: Maximum number of findings of one code that are reported one by one.
_REPEATS = 100


@dataclass(frozen=True, slots=True)
class Finding:
    """One row of `check`: severity is "error", "warning" or "note"; codes are stable."""

    severity: str
    code: str
    message: str
    offset: int | None = None
    db: int | None = None
    key: bytes | None = None
    file: str | None = None
    """The affected file, if several are checked together (a set or a directory)."""
    advice: str = ""
    """What to do next, if it does not follow from the code."""

    @property
    def hint(self) -> str:
        """What to do next."""
        return self.advice or REMEDIES.get(self.code, REMEDIES[""] if self.severity == "error" else "")

    @classmethod
    def of(cls, error: RdbkitError) -> Finding:
        """Make a finding from a decoder's exception."""
        return cls("error", error.code, error.message, error.offset, error.db, error.key, advice=error.hint)

    @classmethod
    def of_remark(cls, remark: Remark, *, file: str | None = None) -> Finding:
        """Make a finding from a remark on an AOF or a set."""
        return cls(remark.severity, remark.code, remark.message, remark.offset, remark.db, remark.key, file)


def counted(number: int, noun: str) -> str:
    """Return "1 key", "2 keys"."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def limited(findings: Iterable[Finding], counts: Counter[str]) -> Iterator[Finding]:
    """Yield findings, at most a hundred of each code and then their number; count all by severity."""
    seen: Counter[str] = Counter()
    for finding in findings:
        counts[finding.severity] += 1
        seen[finding.code] += 1
        if seen[finding.code] <= _REPEATS:
            yield finding
    for code, count in seen.items():
        if count > _REPEATS:
            yield Finding("note", "more-of-the-same", f"{count - _REPEATS} more findings of code {code}")
