"""The commands of an AOF as a server reads them at startup: with database, transaction and time.

    source ─► [RDB preamble: skipped] ─► resp ─► commands

The database is 0 at the start of every file and after a preamble; a SELECT applies until the next one. A `#TS:` line
sets the time of the commands after it. Files are independent: an open transaction or a SELECT does not carry over to
the next file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from rdbkit.aof.resp import ERROR, LOADER, RECORD, Resp
from rdbkit.errors import Corrupt, RdbkitError, Truncated
from rdbkit.rdb.walker import EntryTuple, Plan, Walker
from rdbkit.source import Source
from rdbkit.wire import crc64
from rdbkit.wire.cursor import Cursor

#: Bytes kept of an argument.
SHOWN_ARGUMENT = 1 << 16
_BATCH = 512


#: What to do about a torn AOF.
TORN_AOF = "`rdbkit repair` removes the torn command and keeps a copy; if the file was copied, copy it again"


class Command(NamedTuple):
    """One command: offset, database, time (ms since epoch), transaction.

    `transaction` is the offset of its MULTI, None outside of one. `args` are cut to the requested length; `lengths` are
    their full lengths if any was cut, else None.
    """

    offset: int
    end: int
    db: int
    time: int | None
    transaction: int | None
    args: list[bytes]
    lengths: list[int] | None


def has_preamble(peek: bytes) -> bool:
    """Return whether a file starts with an RDB, by the magic of either product."""
    return peek.startswith((b"REDIS", b"VALKEY"))


def skip_preamble(
    cursor: Cursor, *, verify: bool = True, plan: Plan | None = None, found: list[EntryTuple] | None = None
) -> Walker:
    """Skip the RDB at a cursor, which is then at the first command; raises if the RDB is damaged.

    The entries that the plan selects are added to `found`.
    """
    walker = Walker(cursor, plan or Plan(), verify=verify)
    while not walker.done:
        batch = walker.batch()
        walker.records.clear()
        if found is not None:
            found += batch
    return walker


class AofReader:
    """Reads one file: an AOF, possibly with an RDB preamble.

    `preamble` is the walker of the RDB part, None if there is none; `start` is the offset of the first command;
    `annotations` counts annotation lines. Raises Truncated if the file ends inside a command or a transaction, Corrupt
    if the data is not a command; `good` is then the end of the last command that a server executes. `held` has the
    entries of the RDB whose keys `pattern` accepts.
    """

    def __init__(
        self,
        source: Source,
        *,
        keep: int = SHOWN_ARGUMENT,
        verify: bool = True,
        pattern: Callable[[bytes], object] | None = None,
    ) -> None:
        self.source = source
        self.cursor = Cursor(source=source, base=source.start, update=crc64.update() if verify else None)
        self.preamble: Walker | None = None
        self.held: list[EntryTuple] = []
        if has_preamble(source.peek):
            plan, found = (None, None) if pattern is None else (Plan(pattern=pattern), self.held)
            self.preamble = skip_preamble(self.cursor, verify=verify, plan=plan, found=found)
            self.cursor.update = None
        self.start = self.cursor.tell()
        self.resp = Resp(self.cursor, LOADER)
        self.keep = keep
        self.db = 0
        self.time: int | None = None
        self.transaction: int | None = None
        self.annotations = 0
        self.good = self.start

    def batches(self) -> Iterator[list[Command]]:
        """Yield the commands, some hundreds at a time."""
        status = RECORD
        while status == RECORD:
            items: list[Any] = []
            status = self.resp.batch(_BATCH, self.keep, items)
            commands = self._commands(items)
            if commands:
                yield commands
        if status == ERROR:
            raise self._problem()
        if self.transaction is not None:
            raise Truncated(
                "the file ends inside a transaction (MULTI without EXEC)",
                offset=self.transaction,
                code="open-transaction",
            )

    def _commands(self, items: list[Any]) -> list[Command]:
        commands = []
        for offset, end, args, lengths in items:
            if isinstance(args, bytes):
                self._annotation(args)
                continue
            name = args[0]
            if self.transaction is None and len(name) == 5 and name.lower() == b"multi":
                self.transaction = offset
            commands.append(Command(offset, end, self.db, self.time, self.transaction, args, lengths))
            if len(name) == 6 and name.lower() == b"select" and len(args) == 2:
                self.db = int(args[1]) if args[1].isdigit() and len(args[1]) < 10 else self.db
            elif len(name) == 4 and name.lower() == b"exec":
                self.transaction = None
            if self.transaction is None:
                self.good = end
        return commands

    def _annotation(self, line: bytes) -> None:
        self.annotations += 1
        if line.startswith(b"#TS:"):
            text = line[4:].strip()
            if text.isdigit() and len(text) < 16:
                self.time = int(text) * 1000

    def _problem(self) -> RdbkitError:
        assert self.resp.problem is not None
        what, offset, _, _ = self.resp.problem
        if what in ("short", "eof"):
            torn = Truncated("the file ends in the middle of a command", offset=self.resp.start)
            torn.hint = TORN_AOF
            return torn
        return Corrupt("not a valid command", offset=offset, code="bad-aof")
