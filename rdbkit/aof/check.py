"""What becomes of the commands of one file when a server starts with it, and when redis-check-aof --fix is let loose.

    what is wrong             a server                                     redis-check-aof --fix
    torn last command         cuts behind the last command                 cuts there too
    MULTI without EXEC        cuts before MULTI                            cuts before MULTI
    torn inside of MULTI      cuts behind the last queued command          cuts before MULTI
    torn behind annotations   cuts before them                             cuts behind them
    first one torn behind     cuts to nothing                              cuts behind the RDB
      an RDB preamble
    not a command             does not start                               cuts there, whatever follows
    unknown command           does not start                               sees nothing wrong

Of a set only the last file can be cut: for any other the server cuts and then exits, the tool refuses. Valkey 9.1.2 no
longer leaves a MULTI open and keeps the preamble. Some of what a server takes, the tool does not (resp.py).

Both verdicts are reached by reading as the two programs do. A pipe is read once, as a server reads it; the tool's
verdict is then what it makes of the same place.

Sources: aof-and-check.md §1 and §2; recorded starts of Redis 7.0.15 and 8.10.2.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from rdbkit.aof.behind import Behind
from rdbkit.aof.resp import CHECKER, ERROR, LOADER, LOADER_LINE, OLD_LOADER_LINE, RECORD, Problem, Resp
from rdbkit.aof.table import COMMANDS, CONTAINERS, Spec, arity_fits, keys_of
from rdbkit.errors import RdbkitError
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
#: Fewer NULs than this may well belong to a value.
_SOME_ZEROS = 16


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


class AofCheck:
    """The commands of one file being checked: go through `findings()`, then read what was counted.

    `cursor` stands at the first command, `source` can read the same again (or is a pipe). `last`: no file of the set
    comes after it. `strange_base`: in front stands an RDB that the tools do not know as one. `databases` is that
    setting of the server, None where it is not known. `commands`, `annotations`, `transactions` count; `problem` says
    what ended the reading; `start` what a server does; `fixed` the size that --fix leaves, None: all is well to it.
    """

    def __init__(
        self,
        source: Source,
        cursor: Cursor,
        target: Target,
        *,
        last: bool = True,
        strange_base: bool = False,
        databases: int | None = None,
        advance: Callable[[int], object] | None = None,
    ) -> None:
        self.source = source
        self.cursor = cursor
        self.target = target
        self.ways = Ways.of(target)
        self.last = last
        self.strange_base = strange_base
        self.databases = databases
        self.advance = advance
        self.begin = cursor.tell()
        self.commands = 0
        self.annotations = 0
        self.transactions = 0
        self.problem: Problem | None = None
        self.failure: RdbkitError | None = None
        self.start = Start(True, None)
        self.fixed: int | None = None
        self.refused: str | None = None
        self.resp = Resp(cursor, LOADER, LOADER_LINE if self.ways.annotations else OLD_LOADER_LINE)
        # As the server's valid_up_to: older than Valkey 9.1.2 it does not know of the preamble.
        self._valid = self.begin if self.ways.careful else source.start
        self._before_multi = self._valid
        self._multi: int | None = None
        self._db = 0
        self._known: dict[bytes, tuple[int, Spec | None]] = {}
        self._modules: set[bytes] = set()

    @property
    def end(self) -> int:
        """How far the file was read."""
        return self.cursor.tell()

    def findings(self) -> Iterator[Finding]:
        """Yield what is wrong, then what would be cut."""
        if self.strange_base:
            message = "redis-check-aof and valkey-check-aof take this RDB for damage: their --fix would leave nothing"
            yield Finding("note", "tool-blind", message, self.source.start)
        try:
            yield from self._load()
        except RdbkitError as error:
            self.failure = error
            yield Finding.of(error)
            return
        self.start = self._server()
        self.fixed = self._tool()
        if self.problem is not None or self._multi is not None:
            yield from self._damage()
        elif self.fixed is not None and not self.strange_base:
            yield from self._disagreement()

    # -- reading as a server ---------------------------------------------------------------------------------------

    def _load(self) -> Iterator[Finding]:
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
                    yield from self._refused_annotation(offset)
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
            if self._multi is not None:
                message = f"MULTI inside of the transaction from offset {self._multi}: the server logs an error"
                yield Finding("warning", "nested-multi", message, offset)
                return
            self._multi = offset
        elif self._multi is None:
            name = "EXEC" if role == _EXEC else "DISCARD"
            message = f"{name} without MULTI: the server logs an error and goes on"
            yield Finding("warning", "exec-without-multi", message, offset)
        elif role == _EXEC:
            # DISCARD is queued like any other command while a file is loaded.
            self._multi = None
            self.transactions += 1

    def _select(self, offset: int, text: bytes) -> Iterator[Finding]:
        wanted = int(text) if text.isdigit() and len(text) < 10 else -1
        if wanted < 0:
            message = f"SELECT {shown(text)} fails: what follows is loaded into database {self._db}"
            yield Finding("error", "bad-select", message, offset)
            return
        limit = 16 if self.databases is None else self.databases
        if wanted >= limit:
            severity = "warning" if self.databases is None else "error"
            message = f"database {wanted}: of {limit} databases SELECT fails, and what follows lands in {self._db}"
            yield Finding(severity, "db-out-of-range", message, offset, wanted)
        self._db = wanted

    def _unknown(self, offset: int, args: list[bytes]) -> Iterator[Finding]:
        name = b" ".join(args[:2]) if args[0].lower() in CONTAINERS else args[0]
        message = f"unknown command {shown(name)}: no server starts with it, and redis-check-aof does not see it"
        self.refused = self.refused or f"it does not know the command at offset {offset}"
        yield Finding("error", "unknown-command", message, offset, self._db, self._key(args))

    def _module(self, offset: int, args: list[bytes]) -> Iterator[Finding]:
        """Tell once of each command that a module brings."""
        if args[0].lower() not in self._modules and len(self._modules) < _CACHED:
            self._modules.add(args[0].lower())
            message = f"command {shown(args[0])} of a module: a server without it does not start"
            yield Finding("note", "module-needed", message, offset, self._db, self._key(args))

    def _bad_arity(self, offset: int, args: list[bytes]) -> Finding:
        message = f"{shown(args[0])} with {len(args) - 1} arguments: a server does not look, and may crash"
        return Finding("error", "bad-arity", message, offset, self._db, self._key(args))

    def _refused_annotation(self, offset: int) -> Iterator[Finding]:
        # An assumed server is no reason to call a file damaged that a later one loads.
        if self.target.origin == "given" and self.refused is None:
            self.refused = f"it does not know the annotation at offset {offset}"
            yield Finding("error", "annotation-refused", f"{self.target} refuses lines that begin with #", offset)

    def _key(self, args: list[bytes]) -> bytes | None:
        return next(iter(keys_of(args)), None)

    # -- the two verdicts ------------------------------------------------------------------------------------------

    def _server(self) -> Start:
        """Tell what the target does with the file."""
        if self.refused is not None:
            return Start(False, None, self.refused)
        if self.problem is None and (self._multi is None or not self.ways.waits):
            return Start(True, None)
        if self.problem is not None and self.problem[0] not in ("short", "eof"):
            return Start(False, None, "this is no command to it")
        if self.problem is not None and self.problem[2] > _NO_MEMORY:
            return Start(False, None, f"it cannot get the {self.problem[2]} bytes of memory that the length claims")
        if not self.ways.repairs:
            return Start(False, None, "it does not repair files")
        in_transaction = self._multi is not None and (self.problem is None or self.ways.careful)
        cut = self._before_multi if in_transaction else self._valid
        return Start(self.last, cut, "" if self.last else "the file is not the last of its set")

    def _tool(self) -> int | None:
        """Return the size that redis-check-aof --fix leaves, None where it finds nothing wrong."""
        if self.strange_base:
            return self.source.start
        if not self.source.seekable:
            if self.problem is None and self._multi is None:
                return None
            return self.resp.start if self._multi is None else self._multi
        with self.source.reopen(self.begin) as again:
            resp = Resp(Cursor(source=again, base=self.begin), CHECKER)
            return resp.good if resp.scan() == ERROR or resp.multi else None

    # -- what there is to tell -------------------------------------------------------------------------------------

    def _damage(self) -> Iterator[Finding]:
        torn = self.problem is None or self.problem[0] in ("short", "eof")
        if torn and self.source.changed():
            message = "the last command is not complete: the file is being written"
            yield Finding("error", "being-written", message, self.resp.start, self._db)
            return
        yield self._what()
        if not self.last and torn:
            message = "torn, yet not the last file of its set: a server cuts it, exits, and starts the next time"
            yield Finding("error", "torn-not-last", message, self._place())
        yield self._server_cut()
        yield from self._losses()
        yield self._fix_cut()

    def _place(self) -> int:
        """Return the offset that helps most: of the command, or transaction, that is not whole."""
        if self.problem is None:
            assert self._multi is not None
            return self._multi
        return self.resp.start

    def _what(self) -> Finding:
        zeros = self._zeros()
        if zeros:
            start, count = zeros
            message = (
                f"the file ends in {count} NUL bytes, from offset {start}: "
                "space that was allotted but never written, as a loss of power leaves it"
            )
            return Finding("error", "nul-tail", message, self._place(), self._db)
        if self.problem is None:
            message = "the file ends inside a transaction (MULTI without EXEC)"
            return Finding("error", "open-transaction", message, self._multi, self._db)
        what, offset, _, _ = self.problem
        # Where not even the record's own header is whole, these are the arguments of the one before.
        args = self.resp.args if offset > self.resp.start else []
        if what in ("short", "eof"):
            name = f" ({shown(args[0])})" if args else ""
            inside = "" if self._multi is None else f" inside the transaction from offset {self._multi}"
            message = f"the file ends in the middle of a command{name}{inside}"
            return Finding("error", "truncated", message, self.resp.start, self._db, self._key(args))
        return Finding(
            "error", "bad-aof", "not a command, where one should start or go on", offset, self._db, self._key(args)
        )

    def _zeros(self) -> tuple[int, int] | None:
        """Return where the NULs at the file's end begin, if they are what is wrong with it, and how many there are."""
        if not self.source.seekable or self.problem is None:
            return None
        start = self.resp.start
        first = at = start
        with self.source.reopen(start) as again:
            while piece := again.read(1 << 18):
                kept = len(piece.rstrip(b"\0"))
                if kept:
                    first = at + kept
                at += len(piece)
        # Not of the zeros that a value in a torn command may hold.
        bad = self.problem[0] == "format" and first <= self.problem[1]
        return (first, at - first) if at > first and (bad or at - first >= _SOME_ZEROS) else None

    def _server_cut(self) -> Finding:
        cut = self.start.cut
        if cut is None:
            message = f"{self.target} does not start with this file, and leaves it alone: {self.start.why}"
            return Finding("note", "server-cut", message)
        then = "starts" if self.start.starts else f"exits ({self.start.why})"
        return Finding("note", "server-cut", f"{self.target} {self._cut_to(cut)} and {then}, {self._lost(cut)}", cut)

    def _cut_to(self, cut: int) -> str:
        return f"cuts the file to {cut} bytes"

    def _fix_cut(self) -> Finding:
        assert self.fixed is not None or self.problem is not None
        if self.fixed is None:
            message = "redis-check-aof finds nothing wrong with the file: --fix does not help"
            return Finding("note", "fix-cut", message)
        lost = self._lost(self.fixed)
        if not self.last:
            message = "redis-check-aof --fix refuses: the file is not the last of its set; it would cut to"
            return Finding("note", "fix-cut", f"{message} {self.fixed} bytes, {lost}", self.fixed)
        return Finding("note", "fix-cut", f"redis-check-aof --fix {self._cut_to(self.fixed)}, {lost}", self.fixed)

    def _losses(self) -> Iterator[Finding]:
        """Warn where a server's own repair loses what is sound, or what is yet to come."""
        cut = self.start.cut
        if cut is None or self.ways.careful or not self.last:
            return
        if cut == self.source.start < self.begin:
            message = (
                f"the cut to nothing throws away {self.begin - cut} bytes of sound RDB: "
                "the server has the data in memory, and no longer on the disk"
            )
            yield Finding("warning", "cut-to-nothing", message, cut)
        elif self.problem is not None and self._multi is not None and self.ways.waits and cut > self._multi:
            message = (
                f"that cut leaves the MULTI at offset {self._multi} open: all that the server writes from then on "
                "is taken back at its next start"
            )
            yield Finding("warning", "multi-stays-open", message, self._multi)

    def _disagreement(self) -> Iterator[Finding]:
        assert self.fixed is not None
        message = (
            f"a server loads this, but redis-check-aof calls it damaged: --fix {self._cut_to(self.fixed)}, "
            f"{self._lost(self.fixed)}"
        )
        yield Finding("warning", "tool-disagrees", message, self.fixed)

    def _lost(self, cut: int) -> str:
        """Say what is behind a cut."""
        if not self.source.seekable:
            return "losing what cannot be told of a pipe"
        behind = Behind(cut)
        try:
            behind.read(self.source)
        except RdbkitError as error:
            return f"losing what cannot be told ({error.message})"
        return _losing(behind)


def _losing(behind: Behind) -> str:
    """Return "losing 2 commands and a torn one (30 bytes; keys 'a', 'b')"."""
    about = "about " if behind.damaged else ""
    parts = [f"{about}{behind.commands} command{'' if behind.commands == 1 else 's'}"] if behind.commands else []
    parts += ["a torn one" if parts else "one torn command"] if behind.torn else []
    lost = " and ".join(parts) or "no command"
    names = ", ".join(map(shown, behind.keys))
    number = behind.distinct.result()
    more = f" and {number.number - len(behind.keys)} more" if number.number > len(behind.keys) else ""
    keys = f"; keys {names}{more}" if names else ""
    return f"losing {lost} ({behind.size} bytes{keys})"
