"""Count what a truncation would discard: the commands and keys after a cut.

Commands are read from the cut on. After damage, reading continues at the next command with a known name and a valid
number of arguments. That may be inside a value, so after damage the numbers are estimates. The work is bounded by a
multiple of the bytes after the cut.
"""

from __future__ import annotations

import re
from contextlib import AbstractContextManager
from typing import Any, Protocol

from rdbkit.aof.cardinality import CardinalityCounter
from rdbkit.aof.resp import END, LOADER, RECORD, Resp
from rdbkit.aof.startup import KEPT_ARGUMENT
from rdbkit.releases.commands import arity_fits, keys_of, spec_of
from rdbkit.wire.cursor import Cursor, Readable

#: Maximum number of keys named.
NAMED = 10
_BATCH = 512
_START = re.compile(rb"\*[1-9][0-9]{0,8}\r\n\$[1-9][0-9]?\r\n[A-Za-z]")
#: Pattern that identifies unreadable bytes as the remains of a command, and how many bytes are searched for it.
REMAINS = re.compile(rb"[$*][0-9]|\r\n")
_SEEN = 1 << 12
#: Longer than any match of _START.
_OVERLAP = 32
#: Maximum bytes that are read repeatedly, as a multiple of the whole; the rest is not counted.
_REREAD = 3
_FREE = 1 << 26


class Reopenable(Protocol):
    """Something that can be read again from an offset: a Source."""

    @property
    def packing(self) -> tuple[str, ...]:
        """As Source.packing."""

    def reopen(self, offset: int, /) -> AbstractContextManager[Readable]:
        """Return another reader."""


class Discarded:
    """Counts the contents from an offset to the end; call `read` first.

    `commands`: number of complete commands; `keys`: the first ten keys; `distinct`: the number of distinct keys;
    `torn`: the last command is incomplete; `damaged`: something was skipped, so the counts are estimates; `broken`: the
    number of damaged ranges that are the remains of commands.
    """

    def __init__(self, offset: int, named: int = NAMED) -> None:
        self.offset = offset
        self.named = named
        self.end = offset
        self.commands = 0
        self.keys: list[bytes] = []
        self.distinct = CardinalityCounter()
        self.torn = False
        self.damaged = False
        self.broken = 0
        self._spent = 0

    @property
    def size(self) -> int:
        """The number of bytes."""
        return self.end - self.offset

    def read(self, source: Reopenable) -> None:
        """Read a source again from the offset on. Raises Passed for a pipe, and read errors."""
        at = self.offset
        first = True
        while True:
            with source.reopen(at) as again:
                cursor = Cursor(source=again, base=at)
                found = first or self._find(cursor)
                start = self._run(cursor, sure=first) if found else -1
                self.end = max(self.end, cursor.tell())
            if start < 0:
                return
            # A compressed source is decompressed from its beginning each time.
            self._spent += cursor.tell() - start + (at if source.packing else 0)
            if self._spent > _FREE + _REREAD * self.size:
                return
            first = False
            at = start + 1

    def _run(self, cursor: Cursor, *, sure: bool) -> int:
        """Count commands up to the end (return -1) or to damage (return the start of the damaged command)."""
        resp = Resp(cursor, LOADER)
        if not sure and not self._is_command(resp):
            return resp.start
        status = RECORD
        while status == RECORD:
            items: list[Any] = []
            status = resp.batch(_BATCH, KEPT_ARGUMENT, items)
            self._count([args for _, _, args, _ in items if isinstance(args, list)])
        if status == END:
            return -1
        assert resp.problem is not None
        if resp.problem[0] in ("short", "eof"):
            self.torn = True
            # If the header is incomplete, these are the arguments of the previous command.
            self._name(resp.args if resp.problem[1] > resp.start else [])
        else:
            self.damaged = True
            self.broken += self._is_broken(cursor, resp.start)
        return resp.start

    @staticmethod
    def _is_broken(cursor: Cursor, start: int) -> bool:
        """Return whether damaged bytes are the remains of a command, not foreign data."""
        at = start - cursor.base
        if at < 0:
            return True
        found = _START.search(cursor.data, at + 1, cursor.end)
        end = min(cursor.end if found is None else found.start(), at + _SEEN)
        return REMAINS.search(cursor.data, at, end) is not None

    def _is_command(self, resp: Resp) -> bool:
        """Read one record; count it if it is a command."""
        if resp.next(KEPT_ARGUMENT) != RECORD:
            return False
        row = spec_of(resp.args)
        if row is None or not arity_fits(row, resp.argc):
            return False
        self.damaged = True
        self.torn = False
        self._count([resp.args])
        return True

    def _count(self, batch: list[list[bytes]]) -> None:
        self.commands += len(batch)
        for args in batch:
            self._name(args)

    def _name(self, args: list[bytes]) -> None:
        keys = keys_of(args)
        if keys:
            self.distinct.add(keys)
            if len(self.keys) < self.named:
                self.keys += [key for key in dict.fromkeys(keys) if key not in self.keys][: self.named - len(self.keys)]

    def _find(self, cursor: Cursor) -> bool:
        """Move to where the next command may start; return False at the end."""
        while True:
            match = _START.search(cursor.data, cursor.pos, cursor.end)
            if match is not None:
                cursor.pos = match.start()
                return True
            cursor.pos = max(cursor.pos, cursor.end - _OVERLAP)
            if not cursor.more(1):
                cursor.pos = cursor.end
                return False
