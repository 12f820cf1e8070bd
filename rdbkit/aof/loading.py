"""A file's commands as a server takes them at start: what steers the loading, what stops it, and the cut it leaves.

    record ─► known? ─► queued in a transaction, or executed ─► valid up to here
                └ no: the server does not start

What was valid last is where a server cuts a file that ends too early. It is counted in the server's own way, mistakes
included: from 0 even where an RDB stands in front, and behind a command that is only queued; Valkey 9.1.2 does neither.

Sources: aof.c of the BSD-licensed Valkey 8; recorded starts of Redis 7.0.15 and 8.10.2, and of Valkey 9.1.2.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, NamedTuple

from rdbkit.aof.resp import ERROR, LOADER, LOADER_LINE, OLD_LOADER_LINE, RECORD, Problem, Resp
from rdbkit.aof.table import COMMANDS, CONTAINERS, Spec, arity_fits, keys_of
from rdbkit.rdb.check import Finding
from rdbkit.source import Source
from rdbkit.target import Target
from rdbkit.wire.cursor import Cursor

#: Bytes of each argument that are kept: enough for names, numbers, and to tell a key.
KEEP = 128
_BATCH = 512
#: Lengths above this no machine has the memory for: a server that tries to get it aborts.
_NO_MEMORY = 1 << 46
_PLAIN, _MULTI, _EXEC, _DISCARD, _SELECT, _CONTAINER, _UNKNOWN, _MODULE = range(8)
_ROLES = {b"multi": _MULTI, b"exec": _EXEC, b"discard": _DISCARD, b"select": _SELECT}
#: Names that are looked up once; more than there are commands, fewer than a hostile file could fill memory with.
_CACHED = 4096
_SHOWN = 40


class Start(NamedTuple):
    """What a server does: `starts`; `cut`: the size that it leaves, None where it does not touch the file."""

    starts: bool
    cut: int | None
    why: str = ""


class Ways(NamedTuple):
    """In what the releases differ."""

    repairs: bool
    """Cuts a torn tail at all (2.8.15 and newer)."""
    waits: bool
    """Runs a transaction at its EXEC only (4.0.12 and newer)."""
    annotations: bool
    """Knows lines that begin with # (Redis 7.0 and newer, Valkey)."""
    careful: bool
    """Leaves no MULTI open, and keeps the preamble (Valkey 9.1.2)."""

    @classmethod
    def of(cls, target: Target) -> Ways:
        """Return those of a release."""
        if target.product == "valkey":
            return cls(True, True, True, target.version >= (9, 1, 2))
        version = target.version
        return cls(version >= (2, 8, 15), version >= (4, 0, 12), version >= (7, 0, 0), False)


def shown(name: bytes) -> str:
    """Return a name for a message."""
    text = name[:_SHOWN].decode("utf-8", "backslashreplace")
    return f"'{text}'" + ("…" if len(name) > _SHOWN else "")


def annotated(target: Target) -> Target:
    """Return the server to be assumed, in place of this one, for a file that holds annotations."""
    if Ways.of(target).annotations:
        return target
    found = Target.of("redis", (7, 0, 15), allocator=target.allocator, now=target.now)
    return replace(found, origin="assumed for an AOF with timestamps, which Redis 7.0 and newer write")


class Loading:
    """Reads a file of commands as a server at start; `load` it, then ask `server` what becomes of the file.

    `cursor` stands at the first command, `source` is what it reads. `last`: no file of the set comes after it.
    `databases` is that setting of the server, None where it is not known. `commands`, `annotations`, `transactions`
    count; `problem` says what ended the reading, `refused` why the server would not start.
    """

    def __init__(
        self,
        source: Source,
        cursor: Cursor,
        target: Target,
        *,
        last: bool = True,
        databases: int | None = None,
        advance: Callable[[int], object] | None = None,
    ) -> None:
        self.source = source
        self.cursor = cursor
        self.target = target
        self.ways = Ways.of(target)
        self.last = last
        self.databases = databases
        self.advance = advance
        self.begin = cursor.tell()
        self.commands = 0
        self.annotations = 0
        self.transactions = 0
        self.problem: Problem | None = None
        self.refused: str | None = None
        self.resp = Resp(cursor, LOADER, LOADER_LINE if self.ways.annotations else OLD_LOADER_LINE)
        # As the server's valid_up_to: older than Valkey 9.1.2 it does not know of the preamble.
        self._valid = self.begin if self.ways.careful else source.start
        self._before_multi = self._valid
        self.multi: int | None = None
        self._discards: int | None = None
        self.db = 0
        self._known: dict[bytes, tuple[int, Spec | None]] = {}
        self._modules: set[bytes] = set()

    @property
    def end(self) -> int:
        """How far the file was read."""
        return self.cursor.tell()

    def load(self) -> Iterator[Finding]:
        """Read on to the end, or to damage; yield what is wrong with single commands."""
        status = RECORD
        while status == RECORD:
            items: list[Any] = []
            status = self.resp.batch(_BATCH, KEEP, items)
            yield from self._take(items)
            if self.advance is not None:
                self.advance(self.cursor.tell())
        if status == ERROR:
            self.problem = self.resp.problem

    def _take(self, items: list[Any]) -> Iterator[Finding]:
        known = self._known
        for offset, end, args, _ in items:
            if args.__class__ is bytes:
                self.annotations += 1
                if not self.ways.annotations:
                    yield from self._annotation(offset)
                continue
            role, row = known.get(args[0]) or self._learn(args[0])
            if role:
                yield from self._special(role, row, offset, args)
            elif row is not None and not arity_fits(row, len(args)):
                yield self._bad_arity(offset, args)
            self.commands += 1
            self._valid = end

    def _learn(self, name: bytes) -> tuple[int, Spec | None]:
        lower = name.lower()
        row = COMMANDS.get(lower)
        role = _ROLES.get(lower, _PLAIN)
        if lower in CONTAINERS:
            role = _CONTAINER
        elif row is None:
            role = _MODULE if b"." in name[1:-1] else _UNKNOWN
        if len(self._known) < _CACHED:
            self._known[name] = role, row
        return role, row

    def _special(self, role: int, row: Spec | None, offset: int, args: list[bytes]) -> Iterator[Finding]:
        """Deal with a command that steers the loading, or needs a second look."""
        if role == _CONTAINER:
            row = COMMANDS.get(args[0].lower() + b"|" + args[1].lower()) if len(args) > 1 else row
            role = _PLAIN if row is not None or len(args) < 2 else _UNKNOWN
        if role == _UNKNOWN:
            yield from self._unknown(offset, args)
        elif role == _MODULE:
            yield from self._module(offset, args)
        elif row is not None and not arity_fits(row, len(args)):
            yield self._bad_arity(offset, args)
        elif role in (_MULTI, _EXEC, _DISCARD):
            yield from self._transaction(role, offset)
        elif role == _SELECT:
            yield from self._select(offset, args[1])

    def _transaction(self, role: int, offset: int) -> Iterator[Finding]:
        if role == _MULTI:
            self._before_multi = self._valid
            if self.multi is not None:
                message = f"MULTI inside of the transaction from offset {self.multi}: the server logs an error"
                yield Finding("warning", "nested-multi", message, offset)
                return
            self.multi = offset
            self._discards = None
        elif self.multi is None:
            name = "EXEC" if role == _EXEC else "DISCARD"
            message = f"{name} without MULTI: the server logs an error and goes on"
            yield Finding("warning", "exec-without-multi", message, offset)
        elif role == _DISCARD:
            # It is queued like any other command while a file is loaded.
            self._discards = offset
        else:
            if self._discards is not None and self.ways.waits:
                message = "DISCARD inside of a transaction: the server runs it at EXEC (offset {}), and crashes"
                yield Finding("error", "discard-in-transaction", message.format(offset), self._discards)
                self.refused = self.refused or "a DISCARD in a transaction makes it crash"
            self.multi = None
            self.transactions += 1

    def _select(self, offset: int, text: bytes) -> Iterator[Finding]:
        wanted = int(text) if text.isdigit() and len(text) < 10 else -1
        if wanted < 0:
            message = f"SELECT {shown(text)} fails: what follows is loaded into database {self.db}"
            yield Finding("error", "bad-select", message, offset)
            return
        limit = 16 if self.databases is None else self.databases
        if wanted >= limit:
            severity = "warning" if self.databases is None else "error"
            message = f"database {wanted}: of {limit} databases SELECT fails, and what follows lands in {self.db}"
            yield Finding(severity, "db-out-of-range", message, offset, wanted)
        self.db = wanted

    def _unknown(self, offset: int, args: list[bytes]) -> Iterator[Finding]:
        name = b" ".join(args[:2]) if args[0].lower() in CONTAINERS else args[0]
        message = f"unknown command {shown(name)}: no server starts with it, and redis-check-aof does not see it"
        self.refused = self.refused or f"it does not know the command at offset {offset}"
        yield Finding("error", "unknown-command", message, offset, self.db, self.key_of(args))

    def _module(self, offset: int, args: list[bytes]) -> Iterator[Finding]:
        """Tell once of each command that a module brings."""
        if args[0].lower() not in self._modules and len(self._modules) < _CACHED:
            self._modules.add(args[0].lower())
            message = f"command {shown(args[0])} of a module: a server without it does not start"
            yield Finding("note", "module-needed", message, offset, self.db, self.key_of(args))

    def _bad_arity(self, offset: int, args: list[bytes]) -> Finding:
        message = f"{shown(args[0])} with {len(args) - 1} arguments: a server does not look, and may crash"
        return Finding("error", "bad-arity", message, offset, self.db, self.key_of(args))

    def _annotation(self, offset: int) -> Iterator[Finding]:
        """Deal with a line that the target does not know; where it was only assumed, a server that does wrote it."""
        if self.target.origin != "given":
            self.target = annotated(self.target)
            self.ways = Ways.of(self.target)
            self.resp.line = LOADER_LINE
        elif self.refused is None:
            self.refused = f"it does not know the annotation at offset {offset}"
            yield Finding("error", "annotation-refused", f"{self.target} refuses lines that begin with #", offset)

    def key_of(self, args: list[bytes]) -> bytes | None:
        """Return the first key that a command names, None where it names none."""
        return next(iter(keys_of(args)), None)

    def server(self) -> Start:
        """Tell what the target does with the file."""
        if self.refused is not None:
            return Start(False, None, self.refused)
        if self.problem is None and (self.multi is None or not self.ways.waits):
            return Start(True, None)
        if self.problem is not None and self.problem[0] not in ("short", "eof"):
            return Start(False, None, "this is no command to it")
        if self.problem is not None and self.problem[2] > _NO_MEMORY:
            return Start(False, None, f"it cannot get the {self.problem[2]} bytes of memory that the length claims")
        if not self.ways.repairs:
            return Start(False, None, "it does not repair files")
        in_transaction = self.multi is not None and (self.problem is None or self.ways.careful)
        cut = self._before_multi if in_transaction else self._valid
        return Start(self.last, cut, "" if self.last else "the file is not the last of its set")
