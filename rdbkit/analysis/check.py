"""Is this file sound? A walk that reads every structure, and says what, where, and how much is certain.

Damage inside one value does not hide the rest: its length is known, so the walk goes on behind it. Damage of the
framing hides everything after it: the walk stops there, and says how much was read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any

from rdbkit import snapshot as snapshots
from rdbkit.analysis.slotcheck import SlotCheck
from rdbkit.entry import Entry
from rdbkit.errors import LimitExceeded, Passed, RdbkitError, Truncated
from rdbkit.rdb import spec, walker
from rdbkit.rdb.check import Finding, function_problems, problems
from rdbkit.rdb.modules import module_name
from rdbkit.rdb.unique import Unique, fingerprint
from rdbkit.rdb.values import Decoder
from rdbkit.rdb.walker import Plan
from rdbkit.snapshot import Snapshot

#: The greatest database number that a server can be configured to have.
_MAX_DB = (1 << 31) - 1
_SLOTS = 16384
#: The first byte of a string that is packed (LZF).
_PACKED = 0xC3
#: Types that look like a module's and need none: one that Redis 8 brings along, and KeyDB's CRON.
_BUILT_IN = ("vectorset", "CRON")
#: Of a finding that repeats, this many are told one by one.
_REPEATS = 100


def limited(findings: Iterable[Finding], counts: Counter[str]) -> Iterator[Finding]:
    """Yield findings, of one code that repeats the first hundred and then a count; count all by severity."""
    told: Counter[str] = Counter()
    for finding in findings:
        counts[finding.severity] += 1
        told[finding.code] += 1
        if told[finding.code] <= _REPEATS:
            yield finding
    for code, count in told.items():
        if count > _REPEATS:
            yield Finding("note", "more-of-the-same", f"{count - _REPEATS} more findings of code {code}")


class Check:
    """One RDB being checked: go through `findings()`, then read the sums.

    `keys`, `expires`: read so far; `offset`: how far the file was read; `complete`: nothing hides behind damage.
    """

    def __init__(
        self,
        what: snapshots.Openable,
        *,
        settings: dict[str, str] | None = None,
        require_checksum: bool = False,
        verify: bool = True,
        progress: Callable[[Snapshot], Any] | None = None,
        **options: Any,
    ) -> None:
        self.what = what
        self.options = {"settings": settings, "verify": verify, **options}
        self.settings = settings or {}
        self.require_checksum = require_checksum
        self.progress = progress
        self.snapshot: Snapshot | None = None
        self.keys = 0
        self.expires = 0
        self.offset = 0
        self.complete = False
        self.counts: Counter[str] = Counter()
        self._libraries: set[bytes] = set()
        self._seen_dbs: set[int] = set()
        self._modules: set[str] = set()
        self._not_unique: OSError | None = None
        self._slots_seen = SlotCheck()

    @property
    def checksum(self) -> str:
        """As Snapshot.checksum."""
        return "not reached" if self.snapshot is None else self.snapshot.checksum

    def findings(self) -> Iterator[Finding]:
        """Yield findings as they are met; of one code that repeats, the first hundred and then a count."""
        yield from limited(self._all(), self.counts)

    def _all(self) -> Iterator[Finding]:
        try:
            self.snapshot = self._open()
        except RdbkitError as error:
            yield Finding.of(error)
            return
        with self.snapshot, Unique() as unique:
            try:
                yield from self._walk(self.snapshot, unique)
                self.complete = True
            except RdbkitError as error:
                if isinstance(error, Truncated) and self.snapshot.source.changed():
                    error.message = f"a torn tail, of a file that is being written: {error.message}"
                yield Finding.of(error)
                yield from self._pending_records()
                if error.code == "checksum-mismatch":
                    self.complete = True
            self.offset = self.snapshot.cursor.tell()
            yield from self._duplicates(unique)
            yield from self._sums()
            yield from self._behind(self.snapshot)
            yield from self._changes(self.snapshot)

    def _open(self) -> Snapshot:
        return snapshots.open(self.what, plan=Plan(retain=True), **self.options)

    def _behind(self, snapshot: Snapshot) -> Iterator[Finding]:
        """Yield what is wrong behind the RDB: nothing of it is looked at here."""
        return iter(())

    # -- the walk --------------------------------------------------------------------------------------------------

    def _walk(self, snapshot: Snapshot, unique: Unique) -> Iterator[Finding]:
        yield from self._pending_records()
        for batch in self._watched(snapshot):
            yield from self._pending_records()
            self._fingerprint(batch, unique)
            if not self._slots_seen.idle:
                yield from self._slots_seen.feed(batch)
            for row in batch:
                self.keys += 1
                due = row[walker.EXPIRES_AT]
                self.expires += due is not None
                body = row[walker.BODY]
                # A string that is not packed has no inside: the walk has seen all that there is to it.
                if row[walker.TYPE] != spec.STRING or body is None or body[0] >= _PACKED or (due or 0) < 0:
                    yield from self._entry(snapshot, row)
        yield from self._pending_records()
        if snapshot.walker.first >= 0:
            message = "an expiry or other attribute without a key"
            yield Finding("warning", "stray-attribute", message, snapshot.walker.first)

    def _watched(self, snapshot: Snapshot) -> Iterator[list[walker.Entry]]:
        if self.progress is None:
            yield from snapshot.batches()
            return
        with self.progress(snapshot) as progress:
            for batch in snapshot.batches():
                progress.update(snapshot.cursor.tell())
                yield batch

    def _fingerprint(self, batch: list[walker.Entry], unique: Unique) -> None:
        if self._not_unique is not None:
            return
        dbs = {row[walker.DB] for row in batch}
        for db in dbs:
            try:
                unique.add([row[walker.KEY] for row in batch if row[walker.DB] == db], db)
            except OSError as error:
                # No temporary space: said at the end.
                self._not_unique = error

    def _entry(self, snapshot: Snapshot, row: walker.Entry) -> Iterator[Finding]:
        entry = snapshot.enter(row)
        where = (entry.offset, entry.db, entry.key)
        kind = spec.BY_ID[entry.type_id]
        if kind.since > snapshot.version and kind.status == "verified":
            message = f"type {kind.number} {kind.name} in a file of RDB version {snapshot.version}"
            yield Finding("warning", "newer-type", message, *where)
        if kind.status == "source":
            message = f"type {kind.number} {kind.name} ({kind.server}) is read as documented, not as verified"
            yield Finding("note", "unverified-type", message, *where)
        yield from self._expiry(entry, where)
        # A retained body is framed: its damage is its own. So is that of a long one, if the file can be read beside the
        # walk, which steps over it. In one that streams by, what follows damage cannot be found.
        twice = row[walker.BODY] is None and snapshot.source.seekable and not snapshot.source.packing
        again = entry.reread if twice else entry.decoder
        decoder = again()
        try:
            for severity, code, message in problems(decoder, again):
                yield Finding(severity, code, message, *where)
        except RdbkitError as error:
            error.locate(entry.db, entry.key)
            if row[walker.BODY] is None and not (twice and self._steps_over(snapshot)):
                raise
            found = Finding.of(error)
            # Too long for us is no damage: what comes behind tells whether the length was true.
            yield replace(found, severity="warning") if isinstance(error, LimitExceeded) else found
            return
        if decoder.type == "module":
            yield from self._module(decoder.module[0], where)
        if self._left_over(snapshot, row, decoder, twice) and decoder.type != "module":
            yield Finding("error", "bad-length", "bytes are left over behind the value", *where)
        if snapshot.walker.is_open:
            entry.leave()

    def _left_over(self, snapshot: Snapshot, row: walker.Entry, decoder: Decoder, twice: bool) -> bool:
        """Tell whether the body goes on behind its value; leave it."""
        if twice:
            snapshot.walker.finish()
            return decoder.cursor.tell() != snapshot.cursor.tell()
        return row[walker.BODY] is not None and not decoder.cursor.at_end()

    def _steps_over(self, snapshot: Snapshot) -> bool:
        """Leave a damaged body by its lengths; tell whether they led anywhere."""
        try:
            snapshot.walker.finish()
        except RdbkitError:
            return False
        return True

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
        assert self.snapshot is not None
        for offset, kind, payload in self.snapshot.take_records():
            if kind == spec.SLOT_INFO:
                yield from self._slots_seen.announce(offset, *payload)
            elif kind == spec.AUX and payload[0] == b"slot-info":
                yield from self._slots_seen.text(offset, payload[1])
            handler = _RECORDS.get(kind)
            if handler is not None:
                for severity, code, message in handler(self, payload):
                    yield Finding(severity, code, message, offset)

    def _select(self, db: int) -> Iterator[tuple[str, str, str]]:
        databases = int(self.settings.get("databases", 16))
        if db > _MAX_DB or ("databases" in self.settings and db >= databases):
            yield "error", "db-out-of-range", f"database {db}"
        elif db >= databases:
            yield (
                "warning",
                "db-out-of-range",
                f"database {db}: a server with the default of {databases} refuses the file",
            )
        if db in self._seen_dbs:
            yield "warning", "db-twice", f"database {db} is selected again"
        self._seen_dbs.add(db)

    def _function(self, payload: tuple[bytes, int]) -> Iterator[tuple[str, str, str]]:
        yield from function_problems(*payload, self._libraries)

    def _function_pre_ga(self, payload: tuple[bytes, int]) -> Iterator[tuple[str, str, str]]:
        yield "error", "pre-ga-function", "a function in the form of 7.0's release candidates: every release refuses it"

    def _module_aux(self, payload: tuple[int, int]) -> Iterator[tuple[str, str, str]]:
        name = module_name(payload[0])[0]
        yield "note", "module-needed", f"data of module {name} itself: a server without it refuses the file"
        if payload[1] not in (1, 2):
            yield "error", "bad-module", f"data of module {name} that is due at time {payload[1]}"

    def _slots(self, payload: tuple[bytes, list[tuple[int, int]]]) -> Iterator[tuple[str, str, str]]:
        for first, last in payload[1]:
            if not first <= last < _SLOTS:
                yield "error", "bad-slots", f"slots {first} to {last} in an import"
        yield "note", "slot-import", f"slot import {payload[0][:40]!r} was under way: its keys are hidden on the server"

    def _template(self, payload: tuple[int, int]) -> Iterator[tuple[str, str, str]]:
        assert self.snapshot is not None
        fields = self.snapshot.templates.get(payload[0], ())
        ordered = sorted(set(fields), key=lambda name: (len(name), name))
        if list(fields) != ordered:
            yield "error", "bad-template", f"hash template {payload[0]}: fields are not in order, or twice"

    # -- the sums --------------------------------------------------------------------------------------------------

    def _duplicates(self, unique: Unique) -> Iterator[Finding]:
        try:
            suspects: set[int] = set() if self._not_unique else unique.candidates()
        except OSError as error:
            self._not_unique = error
        if self._not_unique is not None:
            yield Finding("warning", "not-unique", f"uniqueness of keys not checked: {self._not_unique.strerror}")
            return
        if not suspects:
            return
        seen: dict[tuple[int, bytes], int] = {}
        try:
            for row in self._again():
                db, key = row[walker.DB], row[walker.KEY]
                if fingerprint(key, db) not in suspects:
                    continue
                if (db, key) in seen:
                    message = f"the key stands already at offset {seen[db, key]}: every server refuses the file"
                    yield Finding("error", "duplicate-key", message, row[walker.OFFSET], db, key)
                seen[db, key] = row[walker.OFFSET]
        except Passed:
            message = (
                f"{len(suspects)} keys stand twice, as far as 64-bit fingerprints tell (a pipe cannot be read again)"
            )
            yield Finding("error", "duplicate-key", message)

    def _again(self) -> Iterator[walker.Entry]:
        """Walk the file once more, as far as it was read."""
        assert self.snapshot is not None
        source = self.snapshot.source.reopen(self.snapshot.source.start)
        with Snapshot(source, plan=Plan(), verify=False) as again:
            try:
                for batch in again.batches():
                    yield from batch
            except RdbkitError:
                # Told in the first pass.
                return

    def _sums(self) -> Iterator[Finding]:
        assert self.snapshot is not None
        state = self.snapshot.checksum
        if state in ("disabled", "absent", "not verified"):
            why = {
                "disabled": "the server wrote it without a checksum (rdbchecksum no)",
                "absent": "RDB versions before 5 have none",
                "not verified": "not asked for",
            }
            severity = "error" if self.require_checksum else "note"
            yield Finding(severity, f"checksum-{state.replace(' ', '-')}", f"no checksum verified: {why[state]}")
        if not self.complete:
            where = f"{self.keys} keys read, up to offset {self.offset}; what follows is unknown"
            yield Finding("note", "stopped", where, self.offset)
            return
        for db, claim in self.snapshot.databases.items():
            if claim.claimed_keys is not None and (claim.claimed_keys, claim.claimed_expires) != (
                claim.keys,
                claim.expires,
            ):
                message = (
                    f"RESIZEDB says {claim.claimed_keys} keys, {claim.claimed_expires} with an expiry; "
                    f"there are {claim.keys} and {claim.expires}"
                )
                # Up to 3.2 a server counted expired keys that it then left out.
                yield Finding("note" if self.snapshot.version < 8 else "warning", "resizedb", message, db=db)
        yield from self._slots_seen.finish()
        yield from self._framing(self.snapshot)
        tail = self.snapshot.tail
        if tail is not None:
            severity = "note" if tail.kind == "replication mark" else "warning"
            yield Finding(severity, "trailing-bytes", f"{tail.count} after the end: {tail.kind}", tail.offset)

    def _framing(self, snapshot: Snapshot) -> Iterator[Finding]:
        """Yield how a replication transfer differs from what it announced."""
        source, tail = snapshot.source, snapshot.tail
        if source.mark is not None and not (tail and tail.kind.startswith("replication mark")):
            yield Finding("warning", "torn-transfer", "the mark that ends the transfer is missing", snapshot.end)
        if source.framed_length is not None and source.packing[-1].startswith("replication"):
            size = (snapshot.end or 0) - source.start + (tail.size if tail else 0)
            if size != source.framed_length:
                message = f"the transfer announced {source.framed_length} bytes, there are {size}"
                yield Finding("warning", "torn-transfer", message, snapshot.end)

    def _changes(self, snapshot: Snapshot) -> Iterator[Finding]:
        if snapshot.source.changed():
            message = "the file changed while it was read: it is being written, and a torn end is to be expected"
            yield Finding("warning", "being-written", message)


_RECORDS: dict[int, Callable[[Check, Any], Iterator[tuple[str, str, str]]]] = {
    spec.SELECTDB: Check._select,
    spec.FUNCTION2: Check._function,
    spec.FUNCTION_PRE_GA: Check._function_pre_ga,
    spec.MODULE_AUX: Check._module_aux,
    spec.SLOT_IMPORT: Check._slots,
    spec.HASH_TEMPLATE: Check._template,
}
