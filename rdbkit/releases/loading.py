"""Which RDBs a release loads: by magic and version, and by the types and records in them.

Sources: empty RDBs of every version that 18 servers were started with; the types that each server wrote or refused.
Settings can change the answer: `rdb-version-check relaxed` (Valkey 8.1 and newer) is not taken into account here.
"""

from __future__ import annotations

from collections.abc import Callable

from rdbkit.format import spec
from rdbkit.releases import encodings
from rdbkit.releases.table import RELEASES, row_of
from rdbkit.releases.target import Target


def reads(target: Target, magic: str, version: int) -> bool:
    """Return whether a release loads files of an RDB version; `magic` is "redis" or "valkey" (format.versions)."""
    row = row_of(target.product, target.version)
    if magic == "valkey":
        return row.valkey is not None and row.valkey[0] <= version <= row.valkey[1]
    return version <= row.redis


def loads_record(target: Target, kind: int) -> bool:
    """Return whether a release loads an opcode or a type, by its id in format.spec."""
    row = spec.BY_ID[kind]
    if kind == spec.FUNCTION_PRE_GA:
        return target.has("loads-pre-ga-functions")
    if row.type:
        return encodings.loads(target, kind)
    # Opcodes of one product that another product's servers do not know are met in no file that they read.
    return row.status != "refused" and row.since <= target.rdb_version


def loaders(loads: Callable[[Target], bool]) -> str:
    """Return the lines of which something holds, for a message: "redis 7.4 and newer, valkey 9.0 and newer"; "": none.

    Each product's are given from the first to the last one: no feature has come back after it was gone.
    """
    found = []
    for product, rows in RELEASES.items():
        having = [row for row in rows if loads(Target.of(product, row.version))]
        if not having:
            continue
        first, last = (".".join(map(str, row.line)) for row in (having[0], having[-1]))
        until = " and newer" if having[-1] is rows[-1] else f" to {last}" if first != last else ""
        found.append(f"{product} {first}{until}")
    return ", ".join(found)
