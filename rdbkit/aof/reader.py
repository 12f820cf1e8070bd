"""The commands of an AOF as a server at start takes them: with database, transaction and time.

    source ─► [RDB preamble: walked over] ─► resp ─► commands

The database is 0 at the start of every file and again right behind a preamble; a SELECT holds until the next. A
`#TS:` line gives its time to the commands that follow it. Each file stands alone: neither an open transaction nor a
SELECT carries into the next.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from rdbkit.aof.resp import ERROR, LOADER, RECORD, Resp
from rdbkit.errors import Corrupt, RdbkitError, Truncated
from rdbkit.rdb.walker import Plan, Walker
from rdbkit.source import Source
from rdbkit.wire import crc64
from rdbkit.wire.cursor import Cursor

#: Bytes kept of an argument.
KEEP = 1 << 16
_BATCH = 512


#: What to do about a torn AOF.
TORN_AOF = "`rdbkit repair` removes the torn command and keeps a copy; or fetch the file again, if it was copied"


class Command(NamedTuple):
    """One command: where it stands, in which database, of what time (ms since epoch), in which transaction.

    `transaction` is the offset of its MULTI, None outside of one. `args` are cut to what was to be kept; `lengths`
    tells their full sizes where that happened, else it is None.
    """

    offset: int
    end: int
    db: int
    time: int | None
    transaction: int | None
    args: list[bytes]
    lengths: list[int] | None


def has_preamble(peek: bytes) -> bool:
    """Return whether a file starts with an RDB, by the magics of both products."""
    return peek.startswith((b"REDIS", b"VALKEY"))


def skip_preamble(cursor: Cursor, *, verify: bool = True) -> Walker:
    """Walk over the RDB at a cursor, which then stands at the first command; raises what is wrong with it."""
    walker = Walker(cursor, Plan(), verify=verify)
    while not walker.done:
        walker.batch()
        walker.records.clear()
    return walker


class AofReader:
    """Reads one file: an AOF, or an AOF behind an RDB preamble.

    `preamble` is the walker of the RDB part, None where there is none; `start` where the commands start; `annotations`
    counts the lines that are no commands. Raises Truncated where the file ends in the middle of a command or of a
    transaction, Corrupt where it is no AOF; `good` is then the end of the last command that a server executes.
    """

    def __init__(self, source: Source, *, keep: int = KEEP, verify: bool = True) -> None:
        self.source = source
        self.cursor = Cursor(source=source, base=source.start, update=crc64.update() if verify else None)
        self.preamble: Walker | None = None
        if has_preamble(source.peek):
            self.preamble = skip_preamble(self.cursor, verify=verify)
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
        return Corrupt("not a command, where one should start or go on", offset=offset, code="bad-aof")
