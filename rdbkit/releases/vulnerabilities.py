"""Bytes in a file that harm a server when it loads them, or later, and the releases in which that was mended.

A row is the code of the finding that names the bytes, an identifier, the releases of Redis and of Valkey that are safe
(table.py), and what happens in the others. Releases without the structure are among the safe ones.

Sources: the release notes and advisories of Redis and Valkey up to November 2026. For lines whose notes do not say that
it was mended, it counts as not mended.
"""

from __future__ import annotations

from typing import NamedTuple

from rdbkit.releases.table import within
from rdbkit.releases.target import Target


class Vulnerability(NamedTuple):
    """A row: `redis` and `valkey` are the safe releases as ranges, `harm` is what happens in the others."""

    code: str
    name: str
    redis: str
    valkey: str
    harm: str

    def affects(self, target: Target) -> bool:
        """Return whether a release is not safe."""
        return not within(self.valkey if target.product == "valkey" else self.redis, target.version)

    def mended(self, target: Target) -> str:
        """Return the first safe releases of the target's product, after those that never had the problem."""
        ranges = self.valkey if target.product == "valkey" else self.redis
        parts = [part.partition("-") for part in ranges.split(",")]
        return ", ".join(first for first, _, _ in parts if first != "*")


_ROWS = (
    Vulnerability(
        "bad-slot",
        "slot number of SLOT_INFO",
        "*-7.2,7.4.11-7.4,8.2.9-8.2,8.4.6-8.4,8.6.6-8.6,8.8.2-8.8,8.10.1",
        "*",
        "writes outside of its memory in cluster mode",
    ),
    Vulnerability(
        "zipmap-overlong",
        "CVE-2026-25243",
        "6.2.22-6.2,7.2.14-7.2,7.4.9-7.4,8.2.6-8.2,8.4.3-8.4,8.6.3-8.6,8.8",
        "8.0.9-8.0,8.1.8-8.1,9.1",
        "reads and writes outside of the zipmap",
    ),
    Vulnerability(
        "pending-shared",
        "CVE-2026-66373, CVE-2026-63639",
        "*-4.0,7.4.10-7.4,8.2.8-8.2,8.4.5-8.4,8.6.5-8.6,8.8",
        "8.0.10-8.0,8.1.9-8.1,9.0.5-9.0,9.1.1",
        "uses freed memory when such a consumer is deleted",
    ),
    Vulnerability(
        "nan-score", "valkey-io/valkey#3921", "*", "8.1.9-8.1,9.0.5-9.0,9.1.1", "aborts when it converts the sorted set"
    ),
)
VULNERABILITIES = {row.code: row for row in _ROWS}
