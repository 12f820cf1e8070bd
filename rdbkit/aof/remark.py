"""Something to say about an AOF or a set: what checks.findings turns into a finding."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Remark:
    """`severity` is "error" (no start, or data lost), "warning" or "note"; codes are stable.

    `offset`, `db` and `key` say where in a file, `name` which file of the set; None where that has no answer.
    """

    severity: str
    code: str
    message: str
    offset: int | None = None
    db: int | None = None
    key: bytes | None = None
    name: bytes | None = None
