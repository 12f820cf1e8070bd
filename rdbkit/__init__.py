"""Read, check and explain the files in which Redis and Valkey keep their data.

    with rdbkit.open("dump.rdb") as snapshot:
        for entry in snapshot:
            print(entry.db, entry.key, entry.type, entry.value)

What stands in `__all__` is the promised door; modules behind it may move.
"""

from rdbkit import _face  # first: it decides which face the other modules show

from rdbkit.analysis.checking import check  # isort: skip
from rdbkit.entry import Entry, Record
from rdbkit.errors import Corrupt, LimitExceeded, Passed, RdbkitError, Truncated, Unsupported
from rdbkit.rdb.check import Finding
from rdbkit.rdb.modules import Module
from rdbkit.rdb.streams import Stream, StreamID
from rdbkit.rdb.values import Array
from rdbkit.repair import Repaired, repair
from rdbkit.snapshot import Snapshot, load_dump, open  # noqa: A004
from rdbkit.target import Target

compiled = _face.compiled

__all__ = [
    "Array",
    "Corrupt",
    "Entry",
    "Finding",
    "LimitExceeded",
    "Module",
    "Passed",
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
]
