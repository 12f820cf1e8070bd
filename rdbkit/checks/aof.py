"""Check the commands of one file: what a server does with it at startup, and what redis-check-aof --fix does.

    what is wrong             a server                                     redis-check-aof --fix
    torn last command         cuts after the last complete command         same
    MULTI without EXEC        cuts before MULTI                            cuts before MULTI
    torn inside of MULTI      cuts after the last queued command           cuts before MULTI
    torn after annotations    cuts before them                             cuts after them
    first one torn after      cuts to nothing                              cuts after the RDB
      an RDB preamble
    not a command             does not start                               cuts there, whatever follows
    unknown command           does not start                               reports nothing

Only the last file of a set can be cut: for any other the server cuts and then exits, and the tool refuses. Valkey 9.1.2
no longer leaves a MULTI open, and keeps the preamble. The tool refuses some files that servers accept (resp.py).

Both results come from parsing as the two programs do. A pipe is read once, as a server reads it; the tool's result is
then computed for the same offset.

Sources: recorded runs of the tools and recorded starts of servers, Redis 7.0.15 and 8.10.2; loading.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rdbkit.aof.discarded import Discarded
from rdbkit.aof.reader import TORN_AOF
from rdbkit.aof.resp import CHECKER, ERROR, Resp
from rdbkit.aof.startup import Start, Startup, shown
from rdbkit.checks.findings import Finding, counted
from rdbkit.checks.needs import Needs
from rdbkit.errors import RdbkitError
from rdbkit.releases.target import Target
from rdbkit.source import Source
from rdbkit.source.recognise import NUL_CAUSES
from rdbkit.wire.cursor import Cursor

#: A shorter run of NULs may belong to a value.
_SOME_ZEROS = 16


class AofCheck:
    """The check of the commands of one file: iterate over `findings()`, then read the counts.

    `source` can be read again, or is a pipe; `cursor` is at the first command. `strange_base`: the file begins with an
    RDB that the tools do not recognise. `start`: what a server does; `fixed`: the size that --fix leaves, None if it
    finds no error; `failure`: the error that stopped reading.
    """

    def __init__(
        self, source: Source, cursor: Cursor, target: Target, *, strange_base: bool = False, **options: Any
    ) -> None:
        self.source = source
        self.startup = Startup(cursor, target, file_start=source.start, **options)
        self.strange_base = strange_base
        self.failure: RdbkitError | None = None
        self.start = Start(True, None)
        self.fixed: int | None = None
        self._losses_at: dict[int, str] = {}

    @property
    def target(self) -> Target:
        """The target server."""
        return self.startup.target

    @property
    def commands(self) -> int:
        """The number of complete commands."""
        return self.startup.commands

    @property
    def complete(self) -> bool:
        """Whether the file was read to its end."""
        return self.startup.problem is None and self.failure is None

    def findings(self) -> Iterator[Finding]:
        """Yield what is wrong, then what would be cut."""
        if self.strange_base:
            message = "redis-check-aof and valkey-check-aof treat this RDB as damage: their --fix would leave nothing"
            yield Finding("note", "tool-blind", message, self.source.start)
        try:
            for remark in self.startup.load():
                yield Finding.of_remark(remark)
        except RdbkitError as error:
            self.failure = error
            yield Finding.of(error)
            return
        self.start = self.startup.verdict()
        self.fixed = self._tool()
        if self.startup.problem is not None or self.startup.multi is not None:
            yield from self._damage()
        elif self.fixed is not None and not self.strange_base:
            yield from self._disagreement()

    def _tool(self) -> int | None:
        """Return the size that redis-check-aof --fix leaves, None if it finds no error."""
        if self.strange_base:
            return self.source.start
        if not self.source.seekable:
            if self.startup.problem is None and self.startup.multi is None:
                return None
            return self.startup.resp.start if self.startup.multi is None else self.startup.multi
        with self.source.reopen(self.startup.begin) as again:
            resp = Resp(Cursor(source=again, base=self.startup.begin), CHECKER)
            return resp.good if resp.scan() == ERROR or resp.multi else None

    def add_needs(self, needs: Needs) -> None:
        """Add what the commands need of a server."""
        for name, offset in self.startup.names.items():
            needs.command(name, offset)
        if self.startup.annotations:
            needs.annotation(self.startup.begin)
        needs.selected = max(needs.selected, self.startup.greatest_db)

    # -- findings --------------------------------------------------------------------------------------------------

    def _damage(self) -> Iterator[Finding]:
        torn = self.startup.problem is None or self.startup.problem[0] in ("short", "eof")
        if torn and self.source.changed():
            message = "the last command is incomplete: the file is being written"
            yield Finding("error", "being-written", message, self.startup.resp.start, self.startup.db)
            return
        yield self._what()
        if not self.startup.last and torn:
            message = "torn, but not the last file of its set: a server cuts it and exits, and starts the next time"
            yield Finding("error", "torn-not-last", message, self._place())
        yield self._server_cut()
        yield from self._losses()
        yield self._fix_cut()

    def _place(self) -> int:
        """Return the offset of the incomplete command or transaction."""
        if self.startup.problem is None:
            assert self.startup.multi is not None
            return self.startup.multi
        return self.startup.resp.start

    def _what(self) -> Finding:
        zeros = self._zeros()
        if zeros:
            start, count = zeros
            message = (
                f"the file ends in {count} NUL bytes, from offset {start}: "
                "space that was allocated but never written, as after a power loss"
            )
            return Finding("error", "nul-tail", message, self._place(), self.startup.db)
        if self.startup.problem is None:
            message = "the file ends inside a transaction (MULTI without EXEC)"
            return Finding("error", "open-transaction", message, self.startup.multi, self.startup.db)
        head = self.source.recognise() if self.startup.resp.start == self.source.start else None
        if head is not None and head.code and head.kind != "unknown":
            return Finding("error", head.code, head.message, head.offset, self.startup.db)
        what, offset, _, _ = self.startup.problem
        # If the record's header is incomplete, these are the arguments of the previous record.
        args = self.startup.resp.args if offset > self.startup.resp.start else []
        if what in ("short", "eof"):
            name = f" ({shown(args[0])})" if args else ""
            inside = "" if self.startup.multi is None else f" inside the transaction from offset {self.startup.multi}"
            message = f"the file ends in the middle of a command{name}{inside}"
            key = self.startup.key_of(args)
            return Finding(
                "error", "truncated", message, self.startup.resp.start, self.startup.db, key, advice=TORN_AOF
            )
        run = self._nul_run(offset)
        message = run or "not a valid command"
        return Finding("error", "bad-aof", message, offset, self.startup.db, self.startup.key_of(args))

    def _nul_run(self, offset: int) -> str:
        """Describe the NUL bytes at an offset where a command should be; "" if there are too few."""
        if not self.source.seekable:
            return ""
        before = min(offset - self.source.start, _SOME_ZEROS << 8)
        count = first = 0
        with self.source.reopen(offset - before) as again:
            head = again.look(before + 1)
            if head[before:] != b"\0":
                head = b""
            first = offset - before + len(head.rstrip(b"\0"))
            at = offset - before
            while head and (piece := again.read(1 << 18)):
                at += len(piece)
                if at > first and (rest := piece[max(0, first - at + len(piece)) :].lstrip(b"\0")):
                    at -= len(rest)
                    break
            count = at - first
        if count < _SOME_ZEROS:
            return ""
        return f"a run of {count} NUL bytes at offset {first} instead of a command: {NUL_CAUSES}"

    def _zeros(self) -> tuple[int, int] | None:
        """Return the offset and number of NULs at the file's end, if they are the problem, else None."""
        if not self.source.seekable or self.startup.problem is None:
            return None
        start = self.startup.resp.start
        first = at = start
        with self.source.reopen(start) as again:
            while piece := again.read(1 << 18):
                kept = len(piece.rstrip(b"\0"))
                if kept:
                    first = at + kept
                at += len(piece)
        # Zeros inside a value of a torn command do not count.
        bad = self.startup.problem[0] == "format" and first <= self.startup.problem[1]
        return (first, at - first) if at > first and (bad or at - first >= _SOME_ZEROS) else None

    def _server_cut(self) -> Finding:
        cut = self.start.cut
        if cut is None:
            message = f"{self.target} does not start with this file and does not change it: {self.start.why}"
            return Finding("note", "server-cut", message)
        then = "starts" if self.start.starts else f"exits ({self.start.why})"
        return Finding("note", "server-cut", f"{self.target} {self._cut_to(cut)} and {then}, {self._lost(cut)}", cut)

    def _cut_to(self, cut: int) -> str:
        return f"cuts the file to {self.source.stored(cut)} bytes"

    def _fix_cut(self) -> Finding:
        if self.fixed is None:
            message = "redis-check-aof finds no error in this file, so --fix does not help"
            return Finding("note", "fix-cut", message)
        lost = self._lost(self.fixed)
        if not self.startup.last:
            message = "redis-check-aof --fix refuses, because the file is not the last of its set; it would cut to"
            return Finding("note", "fix-cut", f"{message} {self.source.stored(self.fixed)} bytes, {lost}", self.fixed)
        return Finding("note", "fix-cut", f"redis-check-aof --fix {self._cut_to(self.fixed)}, {lost}", self.fixed)

    def _losses(self) -> Iterator[Finding]:
        """Warn if a server's own repair loses valid data, or data written later."""
        startup, cut = self.startup, self.start.cut
        if cut is None or startup.rules.before_multi or not startup.last:
            return
        if cut == self.source.start < startup.begin:
            message = (
                f"cutting to nothing discards {startup.begin - cut} bytes of a valid RDB: "
                "the server has the data in memory, but no longer on disk"
            )
            yield Finding("warning", "cut-to-nothing", message, cut)
        elif startup.problem and startup.multi is not None and startup.rules.runs_at_exec and cut > startup.multi:
            message = (
                f"that cut leaves the MULTI at offset {startup.multi} open: everything that the server writes "
                "afterwards is discarded at its next start"
            )
            yield Finding("warning", "multi-stays-open", message, startup.multi)

    def _disagreement(self) -> Iterator[Finding]:
        assert self.fixed is not None
        message = (
            f"a server loads this file, but redis-check-aof reports damage: --fix {self._cut_to(self.fixed)}, "
            f"{self._lost(self.fixed)}"
        )
        yield Finding("warning", "tool-disagrees", message, self.fixed)

    def _lost(self, cut: int) -> str:
        """Describe what a cut discards."""
        if cut not in self._losses_at:
            self._losses_at[cut] = self._count_lost(cut)
        return self._losses_at[cut]

    def _count_lost(self, cut: int) -> str:
        if not self.source.seekable:
            return "losing an unknown amount (a pipe cannot be read again)"
        if cut == self.source.start and self.source.recognise().kind == "line-ends":
            return "losing all of it"
        discarded = Discarded(cut)
        try:
            discarded.read(self.source)
        except RdbkitError as error:
            return f"losing an unknown amount ({error.message})"
        return _losing(discarded)


def _losing(discarded: Discarded) -> str:
    """Return "losing 2 commands and a torn one (30 bytes; keys 'a', 'b')"."""
    about = "about " if discarded.damaged else ""
    parts = [about + counted(discarded.commands, "command")] if discarded.commands else []
    if discarded.broken:
        damaged = f"{discarded.broken} damaged" if discarded.broken > 1 else "a damaged" if parts else "one damaged"
        what = "one" if parts else "command"
        parts.append(f"{damaged} {what}{'' if discarded.broken == 1 else 's'}")
    parts += ["a torn one" if parts else "one torn command"] if discarded.torn else []
    if not parts:
        return f"no complete command lost ({discarded.size} bytes)"
    lost = ", ".join(parts[:-1]) + (" and " if len(parts) > 1 else "") + parts[-1]
    names = ", ".join(map(shown, discarded.keys))
    number = discarded.distinct.result()
    more = f" and {number.number - len(discarded.keys)} more" if number.number > len(discarded.keys) else ""
    keys = f"; keys {names}{more}" if names else ""
    return f"losing {lost} ({discarded.size} bytes{keys})"
