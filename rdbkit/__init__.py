"""Read, check and explain the files in which Redis and Valkey keep their data.

    with rdbkit.open("dump.rdb") as snapshot:
        for entry in snapshot:
            print(entry.db, entry.key, entry.type, entry.value)

The names in `__all__` are the public API; the modules that define them may change. Each name is imported when it is
first used, because start-up is most of a command's run time on a small file.
"""

from __future__ import annotations

from importlib import import_module

from rdbkit import _build  # first: it decides which build of the other modules is imported

# As typing.TYPE_CHECKING; importing typing takes longer than importing this whole module.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from rdbkit.analysis.picture import Picture
    from rdbkit.analysis.report import report
    from rdbkit.checks.findings import Finding
    from rdbkit.checks.paths import check
    from rdbkit.conversion.compat import compat
    from rdbkit.entry import Entry, Record
    from rdbkit.errors import Corrupt, LimitExceeded, Passed, RdbkitError, Truncated, Unsupported
    from rdbkit.rdb.modules import Module
    from rdbkit.rdb.stream_nodes import StreamID
    from rdbkit.rdb.streams import Stream
    from rdbkit.rdb.values import Array, Bitmap
    from rdbkit.recovery.account import Repaired
    from rdbkit.recovery.run import repair
    from rdbkit.releases.target import Target
    from rdbkit.snapshot import Snapshot, load_dump, open  # noqa: A004
    from rdbkit.snapshot.opening import replay
    from rdbkit.snapshot.replayed import ReplayedSnapshot

compiled = _build.compiled

_HOMES = {
    "Array": "rdb.values",
    "Bitmap": "rdb.values",
    "Corrupt": "errors",
    "Entry": "entry",
    "Finding": "checks.findings",
    "LimitExceeded": "errors",
    "Module": "rdb.modules",
    "Passed": "errors",
    "Picture": "analysis.picture",
    "RdbkitError": "errors",
    "Record": "entry",
    "Repaired": "recovery.account",
    "ReplayedSnapshot": "snapshot.replayed",
    "Snapshot": "snapshot",
    "Stream": "rdb.streams",
    "StreamID": "rdb.stream_nodes",
    "Target": "releases.target",
    "Truncated": "errors",
    "Unsupported": "errors",
    "check": "checks.paths",
    "compat": "conversion.compat",
    "load_dump": "snapshot",
    "open": "snapshot",
    "repair": "recovery.run",
    "replay": "snapshot.opening",
    "report": "analysis.report",
}

__all__ = [
    "Array",
    "Bitmap",
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
    "ReplayedSnapshot",
    "Snapshot",
    "Stream",
    "StreamID",
    "Target",
    "Truncated",
    "Unsupported",
    "check",
    "compat",
    "compiled",
    "load_dump",
    "open",
    "repair",
    "replay",
    "report",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(f"{__name__}.{home}"), name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
