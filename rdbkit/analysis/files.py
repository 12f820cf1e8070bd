"""A file in a report: its description and totals, also as a row of a partial report."""

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
    """One file: its description and totals.

    `kind` is "rdb" or "aof". Of an AOF `commands` were replayed, and `version`, `producer`, `ctime` and `checksum` are
    those of the RDB with which it begins: None and "none" if there is none. `used_mem` is not that of its state: None.

    `used_mem` is what the server reported when it wrote the file, `allocated` what the keys actually allocate (None:
    unknown, for targets before 4.0), `overhead` an estimate of the server's other allocations (heap.overhead; None with
    a selection of keys), all in bytes. `ctime` and `now` are ms since epoch; expiries are relative to `now`. `error` is
    the error that stopped reading, `error_code` its code; the numbers then cover the part before, unless the file is
    `whole`: read to its end, with a wrong checksum. `damaged` is the number of keys with a damaged value head, whose
    elements and memory are unknown.
    """

    file: str
    product: str
    version: int | None
    producer: str | None
    target: str
    target_origin: str
    now: int | None
    now_origin: str
    size: int | None
    kind: str = "rdb"
    commands: int | None = None
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
        """Return the facts about a snapshot that are known before its keys are read."""
        target = snapshot.target
        return cls(
            snapshot.name,
            snapshot.product,
            snapshot.version if snapshot.kind == "rdb" or snapshot.aux else None,
            snapshot.producer,
            str(target),
            target.origin,
            target.now,
            snapshot.now_origin,
            snapshot.file_size,
            snapshot.kind,
            snapshot.replayed_commands,
        )

    def finish(self, snapshot: Snapshot) -> None:
        """Add the facts that are known only after the last key: AUX fields may be anywhere in the file."""
        if self.allocated is not None and not self.filtered:
            counts = [(total.keys, total.expiring) for total in self.totals.databases().values()]
            self.overhead = overhead(snapshot.target, counts)
        self.ctime = snapshot.ctime
        text = snapshot.aux.get("used-mem", b"")
        self.used_mem = int(text) if text.isdigit() and len(text) < 19 and self.kind == "rdb" else None
        self.checksum = snapshot.checksum
        self.functions = len(snapshot.functions)
        self.damaged = snapshot.damaged
        self.whole = self.error is None or snapshot.untrusted

    def stop(self, error: RdbkitError | OSError) -> None:
        """Record the error that stopped reading."""
        self.error = reason(error)
        self.error_code = error.code if isinstance(error, RdbkitError) else "unreadable"

    def dump(self) -> dict[str, Any]:
        """Return everything except the totals, for a partial report."""
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
    """Return an error's message and offset."""
    if isinstance(error, OSError):
        return error.strerror or str(error)
    return error.message + ("" if error.offset is None or error.code in _WHOLE_FILE else f" (offset {error.offset})")


#: Codes of errors about a whole file, whose messages have no offset.
_WHOLE_FILE = frozenset(("empty", "missing-extra"))
#: Upper limit of any number in a file's row.
_MOST = 1 << 80
#: Fields of a file in a partial report besides its totals, with their types.
_FACTS: dict[str, Any] = {
    "file": str,
    "product": str,
    "version": int | None,
    "producer": str | None,
    "target": str,
    "target_origin": str,
    "now": int | None,
    "now_origin": str,
    "size": int | None,
    "kind": str,
    "commands": int | None,
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
