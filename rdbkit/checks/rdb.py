"""Check an RDB: read every structure and report what is wrong and where.

Damage inside a value does not hide the rest: the length of the value is known, so reading continues after it. Damage of
the framing hides everything after it: reading stops there, and the finding says how much was read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from rdbkit.checks.duplicates import KeyNames
from rdbkit.checks.findings import Finding, counted
from rdbkit.checks.needs import Needs
from rdbkit.checks.slots import SlotCheck
from rdbkit.entry import Entry
from rdbkit.errors import LimitExceeded, RdbkitError, Truncated
from rdbkit.format import spec
from rdbkit.format.versions import EXACT_RESIZEDB_SINCE
from rdbkit.rdb import walker
from rdbkit.rdb.records import RecordChecks, announced_slot
from rdbkit.rdb.value_checks import level_of, problems
from rdbkit.rdb.values import Decoder
from rdbkit.snapshot.snapshot import Snapshot
from rdbkit.wire.spool import Spool, SpoolError

#: The first byte of a compressed string (LZF).
_PACKED = 0xC3
#: Types that look like module types but need no module: one built into Redis 8, and KeyDB's CRON.
_BUILT_IN = ("vectorset", "CRON")


class RdbCheck:
    """The check of one RDB: iterate over `findings()`, then read the counts.

    `snapshot` is at its beginning, and retains bodies. `keys`, `expires`, `elements`, `unreadable` as in Checked, up to
    the current position; `complete`: no part of the file was hidden by damage.
    """

    def __init__(
        self,
        snapshot: Snapshot,
        *,
        settings: dict[str, str] | None = None,
        require_checksum: bool = False,
        progress: Callable[[Snapshot], Any] | None = None,
    ) -> None:
        self.snapshot = snapshot
        self.require_checksum = require_checksum
        self.progress = progress
        self.keys = 0
        self.expires = 0
        self.elements = 0
        self.unreadable = 0
        self.complete = False
        self.needs = Needs()
        self._records = RecordChecks(settings)
        self._modules: set[str] = set()
        self._slots_seen = SlotCheck()

    def findings(self) -> Iterator[Finding]:
        """Yield findings while reading."""
        with KeyNames() as names:
            try:
                yield from self._walk(self.snapshot, names)
                self.complete = True
            except RdbkitError as error:
                if isinstance(error, Truncated) and self.snapshot.source.changed():
                    error.message = f"incomplete, the file is being written: {error.message}"
                yield Finding.of(error)
                yield from self._pending_records()
                if error.code == "checksum-mismatch":
                    self.complete = True
            yield from names.findings(self.snapshot)
            yield from self._sums()

    # -- the walk --------------------------------------------------------------------------------------------------

    def _walk(self, snapshot: Snapshot, names: KeyNames) -> Iterator[Finding]:
        self.needs.header(snapshot)
        yield from self._pending_records()
        for batch in self._watched(snapshot):
            yield from self._pending_records()
            names.add(batch)
            self.needs.keys(snapshot, batch)
            if not self._slots_seen.idle:
                yield from self._slots_seen.feed(batch)
            for row in batch:
                self.keys += 1
                due = row[walker.EXPIRES_AT]
                self.expires += due is not None
                body = row[walker.BODY]
                # An uncompressed string has no inner structure to check.
                if row[walker.TYPE] != spec.STRING or body is None or body[0] >= _PACKED or (due or 0) < 0:
                    yield from self._entry(snapshot, row)
                else:
                    self.elements += 1
        yield from self._pending_records()
        if snapshot.walker.first >= 0:
            message = "an expiry or other attribute without a key"
            yield Finding("warning", "stray-attribute", message, snapshot.walker.first)

    def _watched(self, snapshot: Snapshot) -> Iterator[list[walker.EntryTuple]]:
        if self.progress is None:
            yield from snapshot.batches()
            return
        with self.progress(snapshot) as progress:
            for batch in snapshot.batches():
                progress.update(snapshot.cursor.tell())
                yield batch

    def _entry(self, snapshot: Snapshot, row: walker.EntryTuple) -> Iterator[Finding]:
        entry = snapshot.enter(row)
        where = (entry.offset, entry.db, entry.key)
        kind = spec.BY_ID[entry.type_id]
        if kind.since > snapshot.version:
            message = f"type {kind.number} {kind.name} in a file of RDB version {snapshot.version}"
            yield Finding("warning", "newer-type", message, *where)
        if kind.status == "source":
            message = f"type {kind.number} {kind.name} ({kind.server}) is read as documented, but not verified"
            yield Finding("note", "unverified-type", message, *where)
        yield from self._expiry(entry, where)
        try:
            entry.settle()
        except RdbkitError:
            # An error here hides the rest; later damage is inside the value.
            self.unreadable += 1
            raise

        def again() -> Decoder:
            return entry.decoder(Spool(level_of(entry.type_id)))

        decoder = again()
        try:
            for severity, code, message in problems(decoder, again, entry.end):
                yield Finding(severity, code, message, *where)
        except SpoolError as error:
            self.unreadable += 1
            yield Finding("warning", "not-checked", f"the value was not checked: {error.strerror}", *where)
            return
        except RdbkitError as error:
            self.unreadable += 1
            error.locate(entry.db, entry.key)
            found = Finding.of(error)
            # Exceeding a limit is not damage: what follows shows whether the length was right.
            yield replace(found, severity="warning") if isinstance(error, LimitExceeded) else found
            return
        self.elements += decoder.count
        self.needs.value(self.snapshot, entry.row)
        if decoder.type == "module":
            yield from self._module(decoder.module[0], where)

    def _expiry(self, entry: Entry, where: tuple[int, int, bytes]) -> Iterator[Finding]:
        if entry.expires_at is not None and entry.expires_at < 0:
            yield Finding("warning", "odd-expiry", f"expiry {entry.expires_at} ms", *where)

    def _module(self, name: str, where: tuple[int, int, bytes]) -> Iterator[Finding]:
        if name not in self._modules and name not in _BUILT_IN:
            self._modules.add(name)
            message = f"values of module type {name}: a server without it refuses them"
            yield Finding("note", "module-needed", message, *where)

    # -- records ---------------------------------------------------------------------------------------------------

    def _pending_records(self) -> Iterator[Finding]:
        records = self.snapshot.take_records()
        self.needs.records(records)
        for record in records:
            offset, kind, payload = record
            if kind == spec.SLOT_INFO or (kind == spec.AUX and payload[0] == b"slot-info"):
                self._slots_seen.announce(offset, announced_slot(kind, payload))
            elif kind == walker.LONG_KEY:
                error, expires = payload
                self.keys += 1
                self.unreadable += 1
                self.expires += expires
                yield replace(Finding.of(error), severity="warning")
            for severity, code, message in self._records.problems(record, self.snapshot.templates):
                yield Finding(severity, code, message, offset)

    # -- totals ----------------------------------------------------------------------------------------------------

    def _sums(self) -> Iterator[Finding]:
        state = self.snapshot.checksum
        envelope = self.snapshot.source.envelope
        if state == "disabled" and envelope is not None and envelope.checked:
            # Its compressed data was verified instead; servers do not look at the sum of the RDB.
            state = "good"
        if state in ("disabled", "absent", "not verified"):
            why = {
                "disabled": "the server wrote it without a checksum (rdbchecksum no)",
                "absent": "RDB versions before 5 have none",
                "not verified": "--no-checksum",
            }
            severity = "error" if self.require_checksum else "note"
            yield Finding(severity, f"checksum-{state.replace(' ', '-')}", f"not verified: {why[state]}")
        if not self.complete:
            where = f"{counted(self.keys, 'key')} read, up to offset {self.snapshot.cursor.tell()}; the rest is unknown"
            yield Finding("note", "stopped", where, self.snapshot.cursor.tell())
            return
        for db, claim in self.snapshot.databases.items():
            if claim.claimed_keys is not None and (claim.claimed_keys, claim.claimed_expires) != (
                claim.keys,
                claim.expires,
            ):
                message = (
                    f"RESIZEDB announces {counted(claim.claimed_keys, 'key')}, {claim.claimed_expires} with an expiry; "
                    f"the file has {claim.keys} and {claim.expires}"
                )
                # Up to 3.2 servers counted expired keys but did not write them.
                yield Finding(
                    "note" if self.snapshot.version < EXACT_RESIZEDB_SINCE else "warning", "resizedb", message, db=db
                )
        yield from self._slots_seen.finish()
        yield from self._framing(self.snapshot)
        tail = self.snapshot.tail
        if tail is not None:
            severity = "note" if tail.kind == "replication mark" else "warning"
            yield Finding(severity, "trailing-bytes", f"{tail.count} after the end: {tail.kind}", tail.offset)

    def _framing(self, snapshot: Snapshot) -> Iterator[Finding]:
        """Yield differences between a replication transfer and its announced length."""
        source, tail = snapshot.source, snapshot.tail
        if source.mark is not None and not (tail and tail.kind.startswith("replication mark")):
            yield Finding("warning", "torn-transfer", "the end mark of the transfer is missing", snapshot.end)
        if source.framed_length is not None and source.packing[-1].startswith("replication"):
            size = (snapshot.end or 0) - source.start + (tail.size if tail else 0)
            if size != source.framed_length:
                message = f"the transfer announced {source.framed_length} bytes, but has {size}"
                yield Finding("warning", "torn-transfer", message, snapshot.end)
