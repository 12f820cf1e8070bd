"""What lies behind a cut: how many commands, which keys. What a repair by truncation would throw away.

Commands are read from the cut on. At damage the reading starts anew at the next place where a command of a known name
and a fitting number of arguments stands. That may be inside a value, so behind damage the numbers say about how much
there is, not exactly what. The work is bounded by a multiple of the bytes behind the cut.
"""

from __future__ import annotations

import re
from contextlib import AbstractContextManager
from typing import Any, Protocol

from rdbkit.aof.cardinality import CardinalityCounter
from rdbkit.aof.resp import END, LOADER, RECORD, Resp
from rdbkit.releases.commands import arity_fits, keys_of, spec_of
from rdbkit.wire.cursor import Cursor, Readable

#: Bytes of each argument that are kept.
KEEP = 128
#: Keys that are named.
NAMED = 10
_BATCH = 512
_START = re.compile(rb"\*[1-9][0-9]{0,8}\r\n\$[1-9][0-9]?\r\n[A-Za-z]")
#: What makes bytes that cannot be read the remains of a command, and how far they are looked through for that.
REMAINS = re.compile(rb"[$*][0-9]|\r\n")
_SEEN = 1 << 12
#: Longer than what _START matches.
_OVERLAP = 32
#: Bytes read again and again, as multiples of the whole, before the rest is left uncounted.
_REREAD = 3
_FREE = 1 << 26


class Again(Protocol):
    """What can be read once more from an offset on: a Source."""

    @property
    def packing(self) -> tuple[str, ...]:
        """As Source.packing."""

    def reopen(self, offset: int, /) -> AbstractContextManager[Readable]:
        """Return another reader."""


class Discarded:
    """Counts what stands from an offset to the end; `read` it first.

    `commands` complete, of which `keys` names the first ten keys and `distinct` counts them all; `torn`: there is an
    incomplete one too; `damaged`: something was skipped, so the counts are estimates; `broken`: how many stretches of
    it are the remains of commands.
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
        """How many bytes there are."""
        return self.end - self.offset

    def read(self, source: Again) -> None:
        """Read a source again from the offset on. Raises Passed where that is a pipe, and what reading raises."""
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
            # What is packed is unpacked from its beginning each time.
            self._spent += cursor.tell() - start + (at if source.packing else 0)
            if self._spent > _FREE + _REREAD * self.size:
                return
            first = False
            at = start + 1

    def _run(self, cursor: Cursor, *, sure: bool) -> int:
        """Count commands up to the end (-1) or to damage; return where the damaged one starts."""
        resp = Resp(cursor, LOADER)
        if not sure and not self._is_command(resp):
            return resp.start
        status = RECORD
        while status == RECORD:
            items: list[Any] = []
            status = resp.batch(_BATCH, KEEP, items)
            self._count([args for _, _, args, _ in items if isinstance(args, list)])
        if status == END:
            return -1
        assert resp.problem is not None
        if resp.problem[0] in ("short", "eof"):
            self.torn = True
            # Unless not even the header is whole: then these are the arguments of the one before.
            self._name(resp.args if resp.problem[1] > resp.start else [])
        else:
            self.damaged = True
            self.broken += self._is_broken(cursor, resp.start)
        return resp.start

    @staticmethod
    def _is_broken(cursor: Cursor, start: int) -> bool:
        """Return whether damaged bytes are the remains of a command, and not something that got in between."""
        at = start - cursor.base
        if at < 0:
            return True
        found = _START.search(cursor.data, at + 1, cursor.end)
        end = min(cursor.end if found is None else found.start(), at + _SEEN)
        return REMAINS.search(cursor.data, at, end) is not None

    def _is_command(self, resp: Resp) -> bool:
        """Read one record; count it if it is a command."""
        if resp.next(KEEP) != RECORD:
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
        """Put a cursor where the next command may start; False at the end."""
        while True:
            match = _START.search(cursor.data, cursor.pos, cursor.end)
            if match is not None:
                cursor.pos = match.start()
                return True
            cursor.pos = max(cursor.pos, cursor.end - _OVERLAP)
            if not cursor.more(1):
                cursor.pos = cursor.end
                return False
