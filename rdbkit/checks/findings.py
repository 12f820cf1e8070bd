"""What `check` reports: findings, one row each, with the remedy that their code has."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from rdbkit.aof.remark import Remark
from rdbkit.checks.remedies import REMEDIES
from rdbkit.errors import RdbkitError

#: Of a finding that repeats, this many are reported one by one.
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
    """The file that is meant, where several are checked as one: those of a set or a directory."""
    advice: str = ""
    """What to do next, where that does not follow from the code."""

    @property
    def hint(self) -> str:
        """What to do next."""
        return self.advice or REMEDIES.get(self.code, REMEDIES[""] if self.severity == "error" else "")

    @classmethod
    def of(cls, error: RdbkitError) -> Finding:
        """Turn what a decoder raised into a row."""
        return cls("error", error.code, error.message, error.offset, error.db, error.key, advice=error.hint)

    @classmethod
    def of_remark(cls, remark: Remark, *, file: str | None = None) -> Finding:
        """Turn a remark on an AOF, or on its set, into a row."""
        return cls(remark.severity, remark.code, remark.message, remark.offset, remark.db, remark.key, file)


def limited(findings: Iterable[Finding], counts: Counter[str]) -> Iterator[Finding]:
    """Yield findings, of one code that repeats the first hundred and then a count; count all by severity."""
    told: Counter[str] = Counter()
    for finding in findings:
        counts[finding.severity] += 1
        told[finding.code] += 1
        if told[finding.code] <= _REPEATS:
            yield finding
    for code, count in told.items():
        if count > _REPEATS:
            yield Finding("note", "more-of-the-same", f"{count - _REPEATS} more findings of code {code}")
