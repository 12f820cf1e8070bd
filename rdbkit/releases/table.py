"""The table of releases: one row per line of Redis and Valkey. A new release gets a row here, and its news elsewhere.

Releases belong to lines (7.2, 8.0). Each line has its own rules, and some patch releases changed the behaviour, so a
version is always x.y.z. The features of each release are in features.py, its commands in commands.py.

A range of releases is written as text: `7.0` from that release on, `*` all, `-` none, `6.0-6.2` from 6.0.0 to the end
of line 6.2, and several of these with commas, because fixes are backported: `7.0.16-7.0,7.2.4`.

Sources: the version fields of files that these servers wrote, and which empty RDBs 18 of them loaded.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

Version = tuple[int, int, int]


class Release(NamedTuple):
    """A line of releases.

    `patch` is the release that `redis:7.2` means, `writes` the RDB version of its files, `magic` their first bytes. It
    loads RDB versions 1 to `redis` with the magic REDIS, and `valkey` (first, last; None: none) with the magic VALKEY.
    `relaxed` are these two with `rdb-version-check relaxed`, None where there is no such setting.
    """

    line: tuple[int, int]
    patch: int
    writes: int
    magic: str
    redis: int
    valkey: tuple[int, int] | None = None
    relaxed: tuple[int, tuple[int, int]] | None = None

    @property
    def version(self) -> Version:
        """The patch release that represents the line."""
        return (*self.line, self.patch)


#: Ascending. The patch is a release whose behaviour was measured, or else the line's last. Not measured, but read in
#: sources or documentation: Valkey 9.2, Redis 8.12.
RELEASES: dict[str, tuple[Release, ...]] = {
    "redis": (
        Release((2, 4), 18, 2, "REDIS", 2),
        Release((2, 6), 17, 6, "REDIS", 6),
        Release((2, 8), 24, 6, "REDIS", 6),
        Release((3, 0), 7, 6, "REDIS", 6),
        Release((3, 2), 13, 7, "REDIS", 7),
        Release((4, 0), 14, 8, "REDIS", 8),
        Release((5, 0), 14, 9, "REDIS", 9),
        Release((6, 0), 20, 9, "REDIS", 9),
        Release((6, 2), 16, 9, "REDIS", 9),
        Release((7, 0), 15, 10, "REDIS", 10),
        Release((7, 2), 6, 11, "REDIS", 11),
        Release((7, 4), 1, 12, "REDIS", 12),
        Release((8, 0), 6, 12, "REDIS", 12),
        Release((8, 2), 3, 12, "REDIS", 12),
        Release((8, 4), 0, 12, "REDIS", 12),
        Release((8, 6), 3, 13, "REDIS", 13),
        Release((8, 8), 0, 14, "REDIS", 14),
        Release((8, 10), 2, 15, "REDIS", 15),
        Release((8, 12), 0, 16, "REDIS", 16),
    ),
    "valkey": (
        Release((7, 2), 7, 11, "REDIS", 11),
        Release((8, 0), 1, 11, "REDIS", 11),
        Release((8, 1), 1, 11, "REDIS", 11, (1, 11), (11, (1, 999))),
        Release((9, 0), 4, 80, "VALKEY", 11, (80, 80), (79, (80, 999))),
        Release((9, 1), 2, 80, "VALKEY", 11, (80, 80), (79, (80, 999))),
        Release((9, 2), 1, 81, "VALKEY", 11, (80, 81), (79, (80, 999))),
    ),
}


def row_of(product: str, version: Version) -> Release:
    """Return the line that a version belongs to: the newest that is not newer."""
    rows = RELEASES[product]
    return next((row for row in reversed(rows) if row.line <= version), rows[0])


def patch_of(product: str, line: tuple[int, int]) -> int:
    """Return the patch release that represents a line; 0 for a line that is not in the table."""
    return next((row.patch for row in RELEASES[product] if row.line == line), 0)


def released(product: str, version: Version) -> Version | None:
    """Return the release of a version or, for a release candidate, the release that follows; None if there is none.

    Versions between the lines are candidates of the next one: 6.9.240 is 7.0-rc1, 7.9.224 is 8.0-m01.
    """
    rows = RELEASES[product]
    line = version[:2]
    if line > rows[-1].line or any(row.line == line for row in rows):
        return version
    # Development versions have odd numbers (6.9, 7.1, 7.3, 7.9), so an even one between the lines is a mistake.
    if line < rows[0].line or line[1] % 2 == 0:
        return None
    after = next(row for row in rows if row.line > line)
    return (*after.line, 0)


@cache
def _parsed(ranges: str) -> tuple[tuple[Version, tuple[int, int] | None], ...]:
    """Return pairs of the first release and the last line, None: no last line."""
    found = []
    for part in ranges.split(","):
        if part == "-":
            continue
        first, _, last = part.partition("-")
        numbers = [] if first == "*" else [int(number) for number in first.split(".")]
        a, b, c = (*numbers, 0, 0, 0)[:3]
        major, _, minor = last.partition(".")
        found.append(((a, b, c), (int(major), int(minor)) if last else None))
    return tuple(found)


def within(ranges: str, version: Version) -> bool:
    """Return whether a version is in a range of releases."""
    return any(first <= version and (last is None or version[:2] <= last) for first, last in _parsed(ranges))


def boundaries(ranges: str) -> Iterator[Version]:
    """Yield the releases with which something began, or with which it had ended."""
    for first, last in _parsed(ranges):
        yield first
        if last is not None:
            yield (last[0], last[1] + 1, 0)


def first_of(ranges: str, product: str) -> Version | None:
    """Return the first release of a range, None for `-`, the first one in the table for `*`."""
    found = [first for first, _ in _parsed(ranges)]
    return max(min(found), (*RELEASES[product][0].line, 0)) if found else None
