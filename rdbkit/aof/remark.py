"""A remark about an AOF or a set; checks.findings turns it into a finding."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Remark:
    """`severity` is "error" (no start, or data lost), "warning" or "note"; codes are stable.

    `offset`, `db` and `key` are the location in a file, `name` is the file of the set; None if not applicable.
    """

    severity: str
    code: str
    message: str
    offset: int | None = None
    db: int | None = None
    key: bytes | None = None
    name: bytes | None = None
