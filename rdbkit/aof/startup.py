"""What a server does with an AOF at startup: whether it starts, and where it truncates the file.

    record ─► known? ─► queued in a transaction, or executed ─► valid up to here
                └ no: the server does not start

A server cuts a file that ends too early at the end of the last valid command. This is computed as in the server,
including its bugs: from 0 even after an RDB preamble, and after a command that is only queued; Valkey 9.1.2 has neither
bug. `check`, `info` and `repair --policy server` all use this result.

Sources: aof.c of the BSD-licensed Valkey 8; recorded starts of Redis 6.2.14, 7.0.15, 8.2.3 and 8.10.2, and of Valkey
9.0.0, 9.1.0 and 9.1.2, each with several hundred damaged files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any, NamedTuple

from rdbkit.aof.remark import Remark
from rdbkit.aof.resp import ERROR, LOADER, LOADER_LINE, OLD_LOADER_LINE, RECORD, Resp, RespProblem
from rdbkit.releases.commands import COMMANDS, CONTAINERS, Spec, arity_fits, first_releases, keys_of, knows
from rdbkit.releases.table import Version
from rdbkit.releases.target import Target
from rdbkit.wire.cursor import Cursor

#: Bytes kept of each argument: enough for names, numbers, and to identify a key.
KEPT_ARGUMENT = 128
_BATCH = 512
#: A server can allocate a value of up to about this length, and stops at a longer one. Measured: jemalloc builds start
#: with claims of 0.6 to 0.9 times 2^47 bytes; glibc builds stop, on a machine with 24 GB, at 2^40.
_NO_MEMORY = 1 << 47
_PLAIN, _MULTI, _EXEC, _DISCARD, _SELECT, _CONTAINER, _UNKNOWN, _MODULE = range(8)
_TRANSACTION = (_MULTI, _EXEC, _DISCARD)
_ROLES = {b"multi": _MULTI, b"exec": _EXEC, b"discard": _DISCARD, b"select": _SELECT}
#: Cache size for command names: more than there are commands, but bounded for malicious files.
_CACHED = 4096
_SHOWN = 40
#: The release assumed for an AOF with annotations: it has all that a release with them must have.
_ANNOTATED: dict[str, Version] = {"redis": (7, 0, 15)}


class Start(NamedTuple):
    """What a server does.

    `starts`; `cut`: the size to which it truncates the file, None if it does not change it; `why`: the reason if it
    does not start; `at`: the offset of that. `certain` is False if a server does not check for the problem: it may run
    the command with wrong arguments, or crash.
    """

    starts: bool
    cut: int | None
    why: str = ""
    at: int | None = None
    certain: bool = True


class StartRules(NamedTuple):
    """The differences between releases, by the names of releases.features."""

    cuts: bool
    runs_at_exec: bool
    annotations: bool
    subcommands: bool
    arity: bool
    before_multi: bool

    @classmethod
    def of(cls, target: Target) -> StartRules:
        """Return the rules of a release."""
        return cls(
            target.has("aof-cuts-torn-tail"),
            target.has("aof-runs-at-exec"),
            target.has("aof-annotations"),
            target.has("aof-checks-subcommands"),
            target.has("aof-checks-arity"),
            target.has("aof-cuts-before-multi"),
        )


def shown(name: bytes) -> str:
    """Return a name for a message."""
    text = name[:_SHOWN].decode("utf-8", "backslashreplace")
    return f"'{text}'" + ("…" if len(name) > _SHOWN else "")


def starts_empty(name: str, target: Target | None) -> bool:
    """Return whether a given target starts with a single empty file, which must be an AOF by its name.

    No server starts with an empty RDB, and an empty file has no other mark: so only here the name matters.
    Source: recorded starts of all servers listed above.
    """
    return target is not None and target.origin == "given" and name.lower().endswith(".aof")


def _assumed(target: Target, first: dict[str, Version], what: str) -> Target:
    """Return the first release of those given, of the same product if it is among them, with the same settings."""
    product = target.product if target.product in first else next(iter(first))
    line = ".".join(map(str, first[product][:2]))
    origin = f"assumed: {what} {product.capitalize()} {line} or newer"
    found = Target.of(product, first[product], allocator=target.allocator, now=target.now, origin=origin)
    return replace(found, settings=target.settings)


def proven(target: Target, names: Iterable[bytes], *, annotations: bool) -> Target:
    """Return the server that an AOF with these commands ("get", "xgroup|create") is about, `target` being assumed.

    It is the one that Startup comes to: `target`, unless that has not all of them, and others do.
    """
    if target.origin == "given":
        return target
    for name in names:
        row = COMMANDS.get(name)
        if row is not None and not knows(target, row):
            shown_name = shown(name.replace(b"|", b" ")).upper()
            target = _assumed(target, first_releases(row), f"the command {shown_name} needs")
    if annotations and not target.has("aof-annotations"):
        target = _assumed(target, _ANNOTATED, "timestamp lines need")
    return target


class Startup:
    """Reads an AOF as a server does at startup: iterate over `load()`, then call `verdict()`.

    `cursor` is at the first command, `file_start` the offset of the start of the file, including an RDB before the
    commands. `last`: it is the last file of its set. `databases` is that server setting, None if unknown. `commands`,
    `annotations`, `transactions` are counts; `problem` is the framing error that ended reading, `refusal` the reason
    why the server does not start although the framing is valid.

    A `target` that was not given is only assumed: if the file needs a newer release, `target` becomes the first one
    that supports it.
    """

    def __init__(
        self,
        cursor: Cursor,
        target: Target,
        *,
        file_start: int = 0,
        last: bool = True,
        databases: int | None = None,
        advance: Callable[[int], object] | None = None,
    ) -> None:
        self.cursor = cursor
        self.target = target
        self.rules = StartRules.of(target)
        self.last = last
        self.databases = databases
        self.advance = advance
        self.begin = cursor.tell()
        self.commands = 0
        self.annotations = 0
        self.transactions = 0
        self.problem: RespProblem | None = None
        self.refusal: Start | None = None
        self.resp = Resp(cursor, LOADER, LOADER_LINE if self.rules.annotations else OLD_LOADER_LINE)
        # The server's valid_up_to; before Valkey 9.1.2 it does not include the RDB preamble.
        self._valid = self.begin if self.rules.before_multi else file_start
        self._before_multi = self._valid
        self.multi: int | None = None
        self._discard: int | None = None
        self.db = 0
        self.greatest_db = 0
        self.names: dict[bytes, int] = {}
        """The commands, by their names in the table, each with the offset of the first."""
        self._known: dict[bytes, tuple[int, Spec | None]] = {}
        self._modules: set[bytes] = set()

    def load(self) -> Iterator[Remark]:
        """Read to the end, or to damage; yield problems of individual commands."""
        status = RECORD
        while status == RECORD:
            items: list[Any] = []
            status = self.resp.batch(_BATCH, KEPT_ARGUMENT, items)
            yield from self._take(items)
            if self.advance is not None:
                self.advance(self.cursor.tell())
        if status == ERROR:
            self.problem = self.resp.problem

    def _take(self, items: list[Any]) -> Iterator[Remark]:
        for offset, end, args, _ in items:
            if args.__class__ is bytes:
                self.annotations += 1
                if not self.rules.annotations:
                    yield from self._annotation(offset)
                continue
            role, row = self._known.get(args[0]) or self._learn(args[0], offset)
            if role:
                yield from self._special(role, row, offset, args)
            elif row is not None and not arity_fits(row, len(args)):
                yield self._bad_arity(offset, args)
            self.commands += 1
            self._valid = end

    def _learn(self, name: bytes, offset: int) -> tuple[int, Spec | None]:
        lower = name.lower()
        row = COMMANDS.get(lower)
        role = _ROLES.get(lower, _PLAIN)
        if row is None:
            role = _MODULE if b"." in name[1:-1] else _UNKNOWN
        elif not knows(self.target, row):
            role = _UNKNOWN
        elif lower in CONTAINERS:
            role = _CONTAINER
        if len(self._known) < _CACHED:
            self._known[name] = role, row
            if role != _CONTAINER:
                self.names.setdefault(lower, offset)
        return role, row

    def _special(self, role: int, row: Spec | None, offset: int, args: list[bytes]) -> Iterator[Remark]:
        """Handle a command that affects loading or needs more checks."""
        if role == _CONTAINER and len(args) > 1:
            full = args[0].lower() + b"|" + args[1].lower()
            row = COMMANDS.get(full)
            if len(self.names) < _CACHED:
                self.names.setdefault(full, offset)
            if row is None or not knows(self.target, row):
                role = _UNKNOWN
        if role == _UNKNOWN:
            yield from self._unknown(row, offset, args)
        elif role == _MODULE:
            yield from self._module(offset, args)
        elif row is not None and not arity_fits(row, len(args)):
            yield self._bad_arity(offset, args)
            if role in _TRANSACTION and not self.rules.arity:
                # Their arguments are not looked at.
                yield from self._transaction(role, offset)
        elif role in _TRANSACTION:
            yield from self._transaction(role, offset)
        elif role == _SELECT:
            yield from self._select(offset, args[1])

    def _transaction(self, role: int, offset: int) -> Iterator[Remark]:
        if role == _MULTI:
            self._before_multi = self._valid
            if self.multi is not None:
                message = f"MULTI inside the transaction from offset {self.multi}: the server logs an error"
                yield Remark("warning", "nested-multi", message, offset)
                return
            self.multi = offset
            self._discard = None
        elif self.multi is None:
            name = "EXEC" if role == _EXEC else "DISCARD"
            message = f"{name} without MULTI: the server logs an error and continues"
            yield Remark("warning", "exec-without-multi", message, offset)
        elif role == _DISCARD:
            # While loading, it is queued like any other command.
            self._discard = offset
        else:
            if self._discard is not None and self.rules.runs_at_exec:
                message = f"DISCARD inside a transaction: the server runs it at EXEC (offset {offset}) and crashes"
                yield Remark("error", "discard-in-transaction", message, self._discard)
                self._refuse("it crashes at a DISCARD in a transaction", self._discard)
            self.multi = None
            self.transactions += 1

    def _select(self, offset: int, text: bytes) -> Iterator[Remark]:
        wanted = int(text) if text.isdigit() and len(text) < 10 else -1
        if wanted < 0:
            message = f"SELECT {shown(text)} fails: the following commands run in database {self.db}"
            yield Remark("error", "bad-select", message, offset)
            return
        limit = 16 if self.databases is None else self.databases
        if wanted >= limit:
            severity = "warning" if self.databases is None else "error"
            message = f"SELECT {wanted} fails with {limit} databases: the following commands run in database {self.db}"
            yield Remark(severity, "db-out-of-range", message, offset, wanted)
        self.db = wanted
        self.greatest_db = max(wanted, self.greatest_db)

    def _unknown(self, row: Spec | None, offset: int, args: list[bytes]) -> Iterator[Remark]:
        """Handle a command unknown to the target; if the target is only assumed, a newer one wrote the file."""
        name = b" ".join(args[:2]) if args[0].lower() in CONTAINERS else args[0]
        first = first_releases(row) if row is not None else {}
        if first and self.target.origin != "given":
            self._assume(first, f"the command {shown(name).upper()} needs")
            return
        # Before 7.0 a subcommand is looked at by the command itself, if the server has that.
        command = COMMANDS.get(args[0].lower())
        stops = self.rules.subcommands or command is None or not knows(self.target, command)
        what = f"{self.target} does not start with it" if stops else f"{self.target} logs an error and continues"
        if first:
            known = " and ".join(f"{product}:{'.'.join(map(str, version))}" for product, version in first.items())
            what += f"; available since {known}"
        message = f"unknown command {shown(name)}: {what}; redis-check-aof does not report it"
        if stops:
            self._refuse(f"unknown command {shown(name)} at offset {offset}", offset)
        yield Remark("error", "unknown-command", message, offset, self.db, self.key_of(args))

    def _module(self, offset: int, args: list[bytes]) -> Iterator[Remark]:
        """Report each command of a module once."""
        if args[0].lower() not in self._modules and len(self._modules) < _CACHED:
            self._modules.add(args[0].lower())
            message = f"module command {shown(args[0])}: a server without the module does not start"
            yield Remark("note", "module-needed", message, offset, self.db, self.key_of(args))

    def _bad_arity(self, offset: int, args: list[bytes]) -> Remark:
        number = len(args) - 1
        what = f"{shown(args[0])} with {number} argument{'' if number == 1 else 's'}"
        if self.rules.arity:
            self._refuse(f"{what} at offset {offset}", offset)
            message = f"wrong number of arguments, {what}: {self.target} does not start with it"
        else:
            why = f"it does not check the number of arguments: {what}, at offset {offset}, may crash it"
            self._refuse(why, offset, certain=False)
            message = f"wrong number of arguments, {what}: {self.target} does not check this and may crash"
        return Remark("error", "bad-arity", message, offset, self.db, self.key_of(args))

    def _annotation(self, offset: int) -> Iterator[Remark]:
        """Handle an annotation, which the target may not support."""
        if self.target.origin != "given":
            self._assume(_ANNOTATED, "timestamp lines need")
        elif self.refusal is None:
            self._refuse(f"timestamp line at offset {offset} (needs Redis ≥ 7.0)", offset)
            message = f"timestamp line (needs Redis ≥ 7.0): {self.target} does not start with it"
            yield Remark("error", "annotation-refused", message, offset)

    def _assume(self, first: dict[str, Version], what: str) -> None:
        """Take the first release that knows what was met, of the same product where that has it."""
        self.target = _assumed(self.target, first, what)
        self.rules = StartRules.of(self.target)
        self.resp.line = LOADER_LINE if self.rules.annotations else OLD_LOADER_LINE
        self._known.clear()

    def _refuse(self, why: str, at: int, *, certain: bool = True) -> None:
        """Record why the server does not start; a certain reason takes precedence, then the first one."""
        if self.refusal is None or (certain and not self.refusal.certain):
            self.refusal = Start(False, None, why, at, certain)

    def key_of(self, args: list[bytes]) -> bytes | None:
        """Return the first key of a command, None if it has none."""
        return next(iter(keys_of(args)), None)

    def verdict(self) -> Start:
        """Return what the target does with the file; call it after `load` has ended."""
        if self.refusal is not None and self.refusal.certain:
            return self.refusal
        found = self._of_framing()
        # A possible crash does not matter if the server does not start in any case.
        return found if self.refusal is None or (found.cut is None and not found.starts) else self.refusal

    def _of_framing(self) -> Start:
        if self.problem is None and (self.multi is None or not self.rules.runs_at_exec):
            return Start(True, None)
        if self.problem is not None and self.problem[0] not in ("short", "eof"):
            return Start(False, None, "not a valid command", self.problem[1])
        if self.problem is not None and self.problem[2] > _NO_MEMORY:
            why = f"it cannot allocate the claimed {self.problem[2]} bytes"
            return Start(False, None, why, self.resp.start)
        if not self.rules.cuts:
            return Start(False, None, "it does not repair files", self.resp.start)
        in_transaction = self.multi is not None and (self.problem is None or self.rules.before_multi)
        cut = self._before_multi if in_transaction else self._valid
        return Start(self.last, cut, "" if self.last else "the file is not the last of its set", self.resp.start)
