"""The server for which encodings, memory and compatibility are computed, as one frozen value.

A file does not determine how its keys are kept in memory; that depends on the release, settings and allocator of the
server that loads it. Encoding, memory, compat, writer and replay all use the same `Target`, so their results agree.

Releases come in lines (7.2, 8.0); a line has rules of its own, and a few patch releases changed what memory is
counted, so a target is always x.y.z. Versions between the lines are candidates of the next one: 6.9.240
is 7.0-rc1, 7.9.224 is 8.0-m01. 255.255.255 and 999.999.999 are builds of a development branch, of which only
the RDB version says which release they became.

Sources: the version fields of files that these servers wrote, and the replies of 26 of them about loaded files.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import cast

from rdbkit.format.versions import Product
from rdbkit.releases.features import has_feature
from rdbkit.releases.settings import Config, Settings, read_config
from rdbkit.releases.table import RELEASES, Release, Version, patch_of, released, row_of

__all__ = ["ALLOCATORS", "RELEASES", "Config", "Release", "Settings", "Target", "read_config"]

#: The jemalloc bundled with the servers, those of distributions (the second: from 5.3.1 on), and the C library's own.
ALLOCATORS = ("jemalloc", "jemalloc-debian", "jemalloc-5.3.1", "glibc")


#: The release assumed for an RDB version if the file names none; any other version: the oldest line that wrote it.
_ASSUMED = {("redis", 3): (2, 4), ("redis", 4): (2, 4), ("redis", 5): (2, 4), ("redis", 6): (2, 8)}
#: The releases as which two development builds (255.255.255) were measured to behave.
_DEVELOPMENT = {("redis", 12): (8, 0), ("valkey", 11): (8, 0)}
#: Development builds call themselves 255.255.255 or 999.999.999; no release comes near.
_DEVELOPMENT_MAJOR = 99
#: The last Redis release that KeyDB took in; its own numbers went on (6.3).
_KEYDB_BASE = (6, 2, 6)
#: The oldest Redis that reads everything in Dragonfly's plain snapshots, whatever version they state.
_DRAGONFLY_BASE = (7, 2, 6)

_TARGET = re.compile(r"(?:(redis|valkey):)?([0-9]{1,2})\.([0-9]{1,3})(?:\.([0-9]{1,3}))?", re.IGNORECASE)
_PRODUCER = re.compile(r"([0-9]{1,5})\.([0-9]{1,5})(?:\.([0-9]{1,5})(?![0-9])|(?!\.?[0-9]))")


@dataclass(frozen=True, slots=True)
class Target:
    """A server that loads the file: product ("redis" or "valkey"), version, settings, allocator, and its clock.

    `now` is ms since epoch, None if it is not needed; `origin` describes in a few words how the target was chosen.
    """

    product: Product
    version: Version
    settings: Settings
    allocator: str = "jemalloc"
    now: int | None = None
    origin: str = "given"

    def __post_init__(self) -> None:
        if self.product not in RELEASES:
            raise ValueError(f"unknown product {self.product!r}: redis or valkey")
        if self.allocator not in ALLOCATORS:
            raise ValueError(f"unknown allocator {self.allocator!r}: one of {', '.join(ALLOCATORS)}")

    def __str__(self) -> str:
        return f"{self.product}:{'.'.join(map(str, self.version))}"

    @classmethod
    def of(
        cls,
        product: str,
        version: Version,
        *,
        allocator: str = "jemalloc",
        now: int | None = None,
        origin: str = "given",
    ) -> Target:
        """Return a release with its default settings."""
        return cls(cast(Product, product), version, Settings.of(product, version), allocator, now, origin)

    @classmethod
    def parse(cls, text: str, *, allocator: str = "jemalloc", now: int | None = None) -> Target:
        """Read "redis:7.2.6", "valkey:9.1.2", "redis:7.2" (its best known patch release) or "7.2.6" (Redis).

        Releases newer than all known ones count as the newest. Raises ValueError, with one line that shows what is
        accepted.
        """
        match = _TARGET.fullmatch(text.strip())
        if match is None:
            raise ValueError(f"not a target: {text!r} (accepted: redis:7.2.6, valkey:9.1.2, redis:7.2, 7.2.6)")
        product = (match[1] or "redis").lower()
        line = int(match[2]), int(match[3])
        version = released(product, (*line, int(match[4]) if match[4] else patch_of(product, line)))
        if version is None:
            known = ", ".join(f"{row.line[0]}.{row.line[1]}" for row in RELEASES[product])
            raise ValueError(f"no {product} release {line[0]}.{line[1]} is known (accepted: {known} and newer)")
        return cls.of(product, version, allocator=allocator, now=now)

    @classmethod
    def of_file(
        cls,
        product: str,
        producer: str | None,
        rdb_version: int,
        *,
        allocator: str = "jemalloc",
        now: int | None = None,
    ) -> Target:
        """Return the default target for an RDB: the server that wrote it.

        `product` is "redis", "valkey", "keydb" or "dragonfly", `producer` the text of its `redis-ver` or `valkey-ver`,
        None if there is none. A text that is not a version, or a version that cannot have written this RDB version,
        counts as none. Never raises, whatever the file contains.
        """
        number = _number(producer or "")
        family = "valkey" if product == "valkey" else "redis"
        version = _BY_PRODUCT.get(product, _own)(family, number, rdb_version)
        if version is None:
            version = _assumed(family, rdb_version, development=_is_development(number))
            origin = f"assumed for RDB {rdb_version}"
        elif number is None:
            origin = f"assumed for {product}"
        else:
            origin = "the file's producer" + ("" if number == version else f" ({'.'.join(map(str, number))})")
        return cls.of(family, version, allocator=allocator, now=now, origin=origin)

    @classmethod
    def of_aof(cls, *, in_parts: bool, allocator: str = "jemalloc", now: int | None = None) -> Target:
        """Return the target assumed for an AOF without preamble: the newest for a file of a set, else Redis 6.2."""
        row = RELEASES["redis"][-1] if in_parts else row_of("redis", (6, 2, 0))
        origin = "assumed for a multi-part AOF" if in_parts else "assumed for a single AOF"
        return cls.of("redis", row.version, allocator=allocator, now=now, origin=origin)

    def has(self, feature: str) -> bool:
        """Return whether this release has a feature of releases.features, by its name there."""
        return has_feature(feature, self.product, self.version)

    def with_settings(self, changes: Mapping[str, str]) -> Target:
        """Return this target with some settings changed, values as in a redis.conf. Raises ValueError as Settings."""
        return replace(self, settings=self.settings.with_settings(changes))

    @property
    def rdb_version(self) -> int:
        """The newest RDB version that it reads, and the one that it writes."""
        return row_of(self.product, self.version).writes


def _number(text: str) -> Version | None:
    match = _PRODUCER.match(text)
    return (int(match[1]), int(match[2]), int(match[3] or 0)) if match else None


def _is_development(number: Version | None) -> bool:
    return number is not None and number[0] >= _DEVELOPMENT_MAJOR


def _own(product: str, number: Version | None, rdb_version: int) -> Version | None:
    """Return the release of that number, if it can have written this RDB version."""
    version = released(product, number) if number and not _is_development(number) else None
    if version is None:
        return None
    row = row_of(product, version)
    # For a release newer than all known lines, the RDB version that it writes is not known either.
    return version if row.writes >= rdb_version or row is RELEASES[product][-1] else None


def _keydb(_product: str, number: Version | None, _rdb_version: int) -> Version | None:
    """Return the Redis release that a KeyDB is based on: the nearest before its own number, from 5.0 on."""
    if number is None or number >= _KEYDB_BASE:
        return _KEYDB_BASE
    row = row_of("redis", max(number, (5, 0, 0)))
    return number if row.line == number[:2] else row.version


def _dragonfly(_product: str, number: Version | None, _rdb_version: int) -> Version | None:
    claimed = released("redis", number) if number and not _is_development(number) else None
    return max(claimed or _DRAGONFLY_BASE, _DRAGONFLY_BASE)


_BY_PRODUCT = {"keydb": _keydb, "dragonfly": _dragonfly}


def _assumed(product: str, rdb_version: int, *, development: bool) -> Version:
    """Return who is meant by an RDB version alone: the oldest that wrote it, of development builds the newest."""
    rows = RELEASES[product]
    if development:
        line = _DEVELOPMENT.get((product, rdb_version))
        newest = [row for row in rows if row.writes == rdb_version and line in (None, row.line)]
        if newest:
            return newest[-1].version
    line = _ASSUMED.get((product, rdb_version))
    row = next((row for row in rows if (row.line == line if line else row.writes >= rdb_version)), rows[-1])
    return row.version
