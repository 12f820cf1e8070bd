"""Read, check and explain the files in which Redis and Valkey keep their data.

    with rdbkit.open("dump.rdb") as snapshot:
        for entry in snapshot:
            print(entry.db, entry.key, entry.type, entry.value)

What stands in `__all__` is the promised door; modules behind it may move. Each name is imported when it is first used:
on a small file, a command's start-up is most of its time.
"""

from __future__ import annotations

from importlib import import_module

from rdbkit import _face  # first: it decides which face the other modules show

# Not on demand: the packages of the same names would take their places.
from rdbkit.repair import repair

# As typing has it, which takes longer to import than all of this.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from rdbkit.analysis.checking import check
    from rdbkit.analysis.report import Picture, report
    from rdbkit.entry import Entry, Record
    from rdbkit.errors import Corrupt, LimitExceeded, Passed, RdbkitError, Truncated, Unsupported
    from rdbkit.rdb.check import Finding
    from rdbkit.rdb.modules import Module
    from rdbkit.rdb.stream_nodes import StreamID
    from rdbkit.rdb.streams import Stream
    from rdbkit.rdb.values import Array
    from rdbkit.repair.account import Repaired
    from rdbkit.snapshot import Snapshot, load_dump, open  # noqa: A004
    from rdbkit.target import Target

compiled = _face.compiled

_HOMES = {
    "Array": "rdb.values",
    "Corrupt": "errors",
    "Entry": "entry",
    "Finding": "rdb.check",
    "LimitExceeded": "errors",
    "Module": "rdb.modules",
    "Passed": "errors",
    "Picture": "analysis.report",
    "RdbkitError": "errors",
    "Record": "entry",
    "Repaired": "repair.account",
    "Snapshot": "snapshot",
    "Stream": "rdb.streams",
    "StreamID": "rdb.stream_nodes",
    "Target": "target",
    "Truncated": "errors",
    "Unsupported": "errors",
    "check": "analysis.checking",
    "load_dump": "snapshot",
    "open": "snapshot",
}

__all__ = [
    "Array",
    "Corrupt",
    "Entry",
    "Finding",
    "LimitExceeded",
    "Module",
    "Passed",
    "Picture",
    "RdbkitError",
    "Record",
    "Repaired",
    "Snapshot",
    "Stream",
    "StreamID",
    "Target",
    "Truncated",
    "Unsupported",
    "check",
    "compiled",
    "load_dump",
    "open",
    "repair",
    "report",
]


def __getattr__(name: str) -> Any:
    if name == "report":
        return import_module(f"{__name__}.report")  # a package that can be called
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(f"{__name__}.{home}"), name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES, "report"})
