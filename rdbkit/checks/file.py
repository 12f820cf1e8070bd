"""Is a file valid? Whatever it holds: an RDB (rdb.py), commands (aof.py), or an RDB and then commands."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from typing import Any

from rdbkit.aof.aof_set import is_part
from rdbkit.aof.reader import has_preamble
from rdbkit.aof.startup import starts_empty
from rdbkit.checks.aof import AofCheck
from rdbkit.checks.findings import Finding, limited
from rdbkit.checks.needs import Needs
from rdbkit.checks.rdb import RdbCheck
from rdbkit.checks.target import assumptions, harm, others, refusals
from rdbkit.errors import RdbkitError
from rdbkit.rdb.walker import MAX_ITEM, Plan
from rdbkit.releases.target import Target
from rdbkit.snapshot.preamble import open_preamble
from rdbkit.snapshot.snapshot import Openable, Snapshot
from rdbkit.source import Source, open_source
from rdbkit.wire.cursor import Cursor


class FileCheck:
    """One file being checked, whatever it holds: an RDB, commands, or both. Go through `findings()`, then read.

    `rdb` and `aof` are the checks of its RDB and of its commands, None where it has none or they were not reached.
    `role` as AofFile.role; `offset`: how far the file was read; `complete`: damage does not hide anything; `counts`:
    findings by severity.
    """

    def __init__(
        self,
        what: Openable,
        *,
        role: str = "single",
        last: bool = True,
        commands: bool = False,
        assumed: Target | None = None,
        settings: dict[str, str] | None = None,
        require_checksum: bool = False,
        verify: bool = True,
        progress: Callable[[Any], Any] | None = None,
        max_item: int = MAX_ITEM,
        **options: Any,
    ) -> None:
        self.what = what
        self.role = role
        self.in_set = role in ("base", "incr")
        self.last = last
        self.must_be_commands = commands or self.in_set
        self.assumed = assumed
        self.settings = settings or {}
        self.require_checksum = require_checksum
        self.progress = progress
        self.options = {"settings": settings, "verify": verify, **options}
        self.plan = Plan(retain=True, watches=True, max_item=max_item)
        self.source: Source | None = None
        self.snapshot: Snapshot | None = None
        self.rdb: RdbCheck | None = None
        self.aof: AofCheck | None = None
        self.offset = 0
        self.complete = False
        self.is_empty = False
        self.counts: Counter[str] = Counter()
        self.codes: set[str] = set()
        """Codes of its errors."""
        self.settings_assumed: tuple[str, ...] = ()
        """Settings that were not given and decide about the file."""

    @property
    def name(self) -> str:
        """The file's name, None where it could not be opened."""
        return self.what if isinstance(self.what, str) else "<input>" if self.source is None else self.source.name

    @property
    def target(self) -> Target | None:
        """The server that the answers are for."""
        return self.aof.target if self.aof else self.snapshot.target if self.snapshot else None

    @property
    def checksum(self) -> str:
        """As Snapshot.checksum."""
        return "not reached" if self.snapshot is None else self.snapshot.checksum

    @property
    def keys(self) -> int:
        """As Checked.keys, of what was read so far; likewise expires, elements, unreadable."""
        return self.rdb.keys if self.rdb else 0

    @property
    def expires(self) -> int:  # noqa: D102
        return self.rdb.expires if self.rdb else 0

    @property
    def elements(self) -> int:  # noqa: D102
        return self.rdb.elements if self.rdb else 0

    @property
    def unreadable(self) -> int:  # noqa: D102
        return self.rdb.unreadable if self.rdb else 0

    def findings(self) -> Iterator[Finding]:
        """Yield findings as they are met; of one code that repeats, the first hundred and then a count."""
        for finding in limited(self._all(), self.counts):
            if finding.severity == "error":
                self.codes.add(finding.code)
            yield finding

    def _all(self) -> Iterator[Finding]:
        try:
            source = self.source = open_source(self.what)
        except RdbkitError as error:
            yield Finding.of(error)
            return
        with closing(source):
            peek = source.peek
            if not peek and source.file_size == 0 and (self.in_set or self._starts_empty()):
                self.is_empty = self.complete = True
                if not self.in_set:
                    yield Finding("warning", "empty", "the file is empty: a server starts with it, without keys")
                return
            if peek and not has_preamble(peek) and self._is_log(source):
                target = self.options.get("target") or self.assumed or Target.of_aof(in_parts=is_part(source.name))
                yield from self._commands(source, Cursor(source=source, base=source.start), target)
            else:
                yield from self._rdb(source)
            yield from self._servers(source)
            if source.changed() and self.offset and "being-written" not in self.codes:
                message = "the file changed while it was read: it is being written, so an incomplete end is expected"
                yield Finding("warning", "being-written", message)

    def _starts_empty(self) -> bool:
        return isinstance(self.what, str) and starts_empty(self.what, self.options.get("target"))

    def _is_log(self, source: Source) -> bool:
        """Return whether a file is to be read as commands: it holds some, or a server would take it for such a file."""
        found = source.recognise()
        return found.holds_commands or (self.must_be_commands and found.kind in ("unknown", "damaged", "manifest"))

    def _rdb(self, source: Source) -> Iterator[Finding]:
        """Check an RDB, and the commands that follow it."""
        try:
            snapshot = open_preamble(source, in_set=self.must_be_commands, plan=self.plan, **self.options)
        except RdbkitError as error:
            yield Finding.of(error)
            return
        self.snapshot = snapshot
        settings, strict = self.options["settings"], self.require_checksum
        self.rdb = RdbCheck(snapshot, settings=settings, require_checksum=strict, progress=self.progress)
        with snapshot:
            yield from self.rdb.findings()
            self.complete = self.rdb.complete
            self.offset = snapshot.cursor.tell()
            if snapshot.commands:
                yield from self._commands(source, snapshot.cursor, self.options.get("target") or snapshot.target)
            elif snapshot.is_head and not self.complete:
                message = "no server starts with a damaged RDB preamble in its AOF, and no tool repairs it"
                yield Finding("note", "preamble-damaged", message, source.start)

    def _servers(self, source: Source) -> Iterator[Finding]:
        """Yield what the given target does not load; or, of a valid file, which servers like its own do not."""
        target = self.target
        if target is None:
            return
        needs = Needs() if self.rdb is None else self.rdb.needs
        if target.origin == "given":
            yield from refusals(target, needs, source.start)
        yield from harm(target, sorted(self.codes))
        if self.aof is not None:
            self.aof.add_needs(needs)
        if target.origin != "given" and self.complete and not self.codes:
            yield from others(target, needs)
        self.settings_assumed = tuple(assumptions(target, needs, self.settings, self.codes))

    def _commands(self, source: Source, cursor: Cursor, target: Target) -> Iterator[Finding]:
        self.complete = False
        with ExitStack() as stack:
            progress = stack.enter_context(self.progress(self)) if self.progress else None
            self.aof = AofCheck(
                source,
                cursor,
                target,
                last=self.last,
                strange_base=source.peek.startswith(b"VALKEY"),
                databases=int(self.settings["databases"]) if "databases" in self.settings else None,
                advance=progress.update if progress is not None else None,
            )
            yield from self.aof.findings()
        self.offset = cursor.tell()
        self.complete = self.aof.complete
