"""What a given server does not load of an RDB: its version, types and records, each with the release that loads it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial

from rdbkit.checks.findings import Finding
from rdbkit.format import spec
from rdbkit.format.versions import HEADERS
from rdbkit.releases.loading import loaders, loads_record, reads
from rdbkit.releases.target import Target

#: Offset, database and key of the first entry or record of a kind; database and key are None for a record.
Place = tuple[int, int | None, bytes | None]


def refusals(target: Target, magic: str, version: int, kinds: Mapping[int, Place], start: int) -> Iterator[Finding]:
    """Yield an error for everything that keeps `target` from loading an RDB.

    `magic` is the product whose magic the file has, `kinds` the first place of each type and opcode in it, by the ids
    of format.spec, `start` the offset of the RDB.
    """
    if not reads(target, magic, version):
        letters = HEADERS[magic].magic.decode()
        message = f"{target} does not load {letters} RDB version {version}"
        found = loaders(lambda goal: reads(goal, magic, version))
        yield Finding("error", "target-version", _with(message, found), start)
    for kind, (offset, db, key) in kinds.items():
        if not loads_record(target, kind):
            row = spec.BY_ID[kind]
            what = "type" if row.type else "opcode"
            found = loaders(partial(loads_record, kind=kind))
            message = _with(f"{target} does not load {what} {row.number} ({row.name})", found)
            yield Finding("error", "target-type" if row.type else "target-opcode", message, offset, db, key)


def _with(message: str, found: str) -> str:
    return f"{message}; loaded by {found}" if found else message
