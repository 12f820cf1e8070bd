"""A file in a report: what it is, its own totals, and both as a row of a partial report."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from rdbkit.analysis.rows import file_name
from rdbkit.analysis.totals import Total, Totals
from rdbkit.errors import RdbkitError
from rdbkit.memory.heap import overhead
from rdbkit.snapshot.snapshot import Snapshot


@dataclass(slots=True)
class FileSummary:
    """One file: what it is, and its totals.

    `used_mem` is what the server said it used when it wrote the file, `allocated` what the keys really allocate (None:
    not known, for targets before 4.0), `overhead` an estimate of what a server allocates beside them (heap.overhead;
    None where a selection leaves keys out), all in bytes. `ctime` and `now` are ms since epoch, `now` what expiries are
    measured from. `error` is what stopped the reading, `error_code` its code: then all is of the part before, unless
    the file is `whole`: read to its end, and its checksum is wrong. `damaged` is how many keys have a value whose head
    is so damaged that its elements and memory are not known.
    """

    file: str
    product: str
    version: int
    producer: str | None
    target: str
    target_origin: str
    now: int | None
    now_origin: str
    size: int | None
    ctime: int | None = None
    used_mem: int | None = None
    allocated: int | None = None
    overhead: int | None = None
    checksum: str = "not reached"
    functions: int = 0
    filtered: bool = False
    error: str | None = None
    error_code: str | None = None
    damaged: int = 0
    whole: bool = True
    totals: Totals = field(default_factory=Totals)

    @property
    def total(self) -> Total:
        """Return the sums over its keys."""
        return self.totals.total()

    @classmethod
    def of(cls, snapshot: Snapshot) -> FileSummary:
        """Return what is known of a snapshot before its keys are read."""
        target = snapshot.target
        return cls(
            snapshot.name,
            snapshot.product,
            snapshot.version,
            snapshot.producer,
            str(target),
            target.origin,
            target.now,
            snapshot.now_origin,
            snapshot.source.file_size,
        )

    def finish(self, snapshot: Snapshot) -> None:
        """Add what is known only behind the last key: the aux fields may stand anywhere."""
        if self.allocated is not None and not self.filtered:
            counts = [(total.keys, total.expiring) for total in self.totals.databases().values()]
            self.overhead = overhead(snapshot.target, counts)
        self.ctime = snapshot.ctime
        text = snapshot.aux.get("used-mem", b"")
        self.used_mem = int(text) if text.isdigit() and len(text) < 19 else None
        self.checksum = snapshot.checksum
        self.functions = len(snapshot.functions)
        self.damaged = snapshot.damaged
        self.whole = self.error is None or snapshot.untrusted

    def stop(self, error: RdbkitError | OSError) -> None:
        """Note what stopped the reading."""
        self.error = reason(error)
        self.error_code = error.code if isinstance(error, RdbkitError) else "unreadable"

    def dump(self) -> dict[str, Any]:
        """Return all but the totals for a partial report."""
        return {name: getattr(self, name) for name in _FACTS}

    @classmethod
    def load(cls, facts: Any) -> FileSummary:
        """Return the file of `dump`. Raises ValueError for anything else."""
        if not isinstance(facts, dict) or facts.keys() != _FACTS.keys():
            raise ValueError("not a file")
        for name, kind in _FACTS.items():
            if not isinstance(facts[name], kind) or (isinstance(facts[name], bool) and kind is not bool):
                raise ValueError(f"{name} of a file")
            if isinstance(facts[name], int) and abs(facts[name]) > _MOST:
                raise ValueError(f"{name} of a file")
            if isinstance(facts[name], str):
                file_name(facts[name])
        return cls(**facts)


def reason(error: RdbkitError | OSError) -> str:
    """Return what stopped the reading, and where."""
    if isinstance(error, OSError):
        return error.strerror or str(error)
    return error.message + ("" if error.offset is None or error.code in _WHOLE_FILE else f" (offset {error.offset})")


#: Codes of errors about a whole file, whose messages have no offset.
_WHOLE_FILE = frozenset(("empty", "missing-extra"))
#: Upper limit of any number in a file's row.
_MOST = 1 << 80
#: What a partial holds of a file besides its totals, and of which types.
_FACTS: dict[str, Any] = {
    "file": str,
    "product": str,
    "version": int,
    "producer": str | None,
    "target": str,
    "target_origin": str,
    "now": int | None,
    "now_origin": str,
    "size": int | None,
    "ctime": int | None,
    "used_mem": int | None,
    "allocated": int | None,
    "overhead": int | None,
    "checksum": str,
    "functions": int,
    "filtered": bool,
    "error": str | None,
    "error_code": str | None,
    "damaged": int,
    "whole": bool,
}
