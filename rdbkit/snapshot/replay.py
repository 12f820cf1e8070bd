"""Read the files of an AOF as a server does when it starts, and apply their commands to a keyspace.

    files ─► [RDB: stored values] ─► commands ─► table ─► Loader

Errors of single commands are counted and ignored, as on a server; nothing expires; a transaction takes effect at its
EXEC. What cannot be known is never guessed: commands of modules and scripts make the keys that they name uncertain.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Any

from rdbkit.aof.aof_set import AofFile
from rdbkit.aof.reader import TORN_AOF, has_preamble
from rdbkit.aof.resp import ERROR, LOADER, RECORD, Resp
from rdbkit.aof.startup import shown
from rdbkit.errors import Corrupt, RdbkitError, Truncated
from rdbkit.keyspace.commands import TABLE, Function
from rdbkit.keyspace.decoding import made
from rdbkit.keyspace.loader import CommandError, Loader, UnknownValueError
from rdbkit.keyspace.stream_value import StreamValue
from rdbkit.keyspace.values import Hash, Relative, Stored, Uncertain
from rdbkit.rdb import walker
from rdbkit.rdb.walker import Plan
from rdbkit.releases.commands import COMMANDS, CONTAINERS, arity_fits, first_releases, keys_of, knows
from rdbkit.releases.target import Target
from rdbkit.snapshot.preamble import open_preamble
from rdbkit.snapshot.snapshot import Snapshot
from rdbkit.source import Source, open_source
from rdbkit.wire.cursor import Cursor

_BATCH = 512
#: Arguments are kept whole: they are part of the state, or of what it is computed from.
_WHOLE = 1 << 62
_MULTI, _EXEC = b"multi", b"exec"
#: The most spellings of commands that are kept.
_READY = 1024
_SCRIPTS = (b"eval", b"evalsha", b"fcall")
#: The most errors of commands of which the text is kept.
_ERRORS = 20


@dataclass(slots=True)
class Replayed:
    """The result: the loader with its keyspace, and what was met on the way.

    `error` is what ended the reading of the last file, None if it was read to its end; `commands` and `failed` are
    counts; `errors` are the first errors of commands, with their offsets and files.
    """

    loader: Loader
    error: RdbkitError | None = None
    commands: int = 0
    failed: int = 0
    errors: list[tuple[str, int, str]] = field(default_factory=list)
    first_time: int | None = None
    last_time: int | None = None
    preamble: dict[str, Any] = field(default_factory=dict)
    modified: int | None = None
    modules: set[bytes] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Limits:
    """Where a replay ends: at a time (ms), or at an offset."""

    time: int | None = None
    offset: int | None = None


def replay(
    files: Iterable[AofFile | Source],
    target: Target,
    *,
    verify: bool = True,
    lenient: bool = False,
    renamed: dict[bytes, bytes] | None = None,
    until: Limits | None = None,
    progress: Callable[[Any], AbstractContextManager[Any]] | None = None,
) -> Replayed:
    """Load the files, in this order, as `target` would; raises Unsupported for other formats, OSError.

    `target.now` is the clock, None if it is not known; `renamed` has the names of commands by those that
    `rename-command` gave them. With `lenient` unknown commands make their keys uncertain instead of ending the load.
    """
    return _Replay(target, verify, lenient, renamed or {}, until or Limits(), progress).run(files)


class _Replay:
    """One replay. `source` is the file that is being read."""

    def __init__(
        self,
        target: Target,
        verify: bool,
        lenient: bool,
        renamed: dict[bytes, bytes],
        until: Limits,
        progress: Callable[[Any], AbstractContextManager[Any]] | None,
    ) -> None:
        self.loader = Loader(target, target.now)
        self.found = Replayed(self.loader)
        self.source: Source | None = None
        self._verify = verify
        self._lenient = lenient
        self._renamed = {name.lower(): word.lower() for name, word in renamed.items()}
        self._until = until
        self._progress = progress or (lambda _: nullcontext())
        self._queue: list[tuple[int, list[bytes]]] | None = None
        self._time: int | None = None
        self._ready: dict[bytes, tuple[Function, int, int]] = {}
        """Commands that the target knows, by their names as they are in the file, with the numbers of their words."""

    def run(self, files: Iterable[AofFile | Source]) -> Replayed:
        for file in files:
            in_set = isinstance(file, AofFile) and file.role != "single"
            source = self.source = open_source(file.path) if isinstance(file, AofFile) else file
            with source, self._progress(self) as progress:
                self.found.modified = source.modified
                self.loader.clock = self._clock()
                self._read(source, in_set, progress.update if progress else lambda _: None)
            if self.found.error is not None:
                break
        self._settle()
        return self.found

    def _read(self, source: Source, in_set: bool, advance: Callable[[int], object]) -> None:
        if not source.peek and in_set:
            return
        self._select(0)
        self.loader.fieldsets.clear()
        if source.peek and not has_preamble(source.peek):
            if not in_set and not source.recognise().holds_commands:
                raise source.recognise().error()
            self._commands(source, Cursor(source=source, base=source.start), advance)
            return
        plan = Plan(level=walker.HEAD, retain=True)
        target = self.loader.target
        with open_preamble(source, in_set=in_set, plan=plan, verify=self._verify, target=target) as snapshot:
            try:
                self._rdb(snapshot, advance)
            except RdbkitError as error:
                # No server starts with a damaged RDB; its readable keys are shown, as those of any damaged RDB.
                self.found.error = error
                return
            self._about(snapshot)
            if snapshot.commands:
                self._select(0)
                self._commands(source, snapshot.cursor, advance)

    def _about(self, snapshot: Snapshot) -> None:
        if not self.found.preamble:
            self.found.preamble = {
                "aux": snapshot.aux,
                "product": snapshot.product,
                "version": snapshot.version,
                "producer": snapshot.producer,
                "checksum": snapshot.checksum,
            }
            self.loader.clock = self._clock()

    def _select(self, number: int) -> None:
        self.loader.select(number)

    # -- RDB -------------------------------------------------------------------------------------------------------

    def _rdb(self, snapshot: Snapshot, advance: Callable[[int], object]) -> None:
        loader = self.loader
        loader.templates = snapshot.templates
        for batch in snapshot.batches():
            for row in batch:
                value = self._stored(snapshot, row)
                if value is None:
                    continue
                value.expires_at, value.offset = row[walker.EXPIRES_AT], row[walker.OFFSET]
                loader.database(row[walker.DB])[row[walker.KEY]] = value
            advance(snapshot.cursor.tell())
        for code in snapshot.functions:
            words = code.split(b"\n", 1)[0].split()
            name = next((word[5:] for word in words if word.lower().startswith(b"name=")), b"")
            loader.functions[name] = code

    def _stored(self, snapshot: Snapshot, row: walker.EntryTuple) -> Any:
        body = row[walker.BODY]
        if body is not None:
            stored = Stored(row[walker.TYPE], body, row[walker.EXTRA])
            stored.idle, stored.freq = row[walker.IDLE], row[walker.FREQ]
            return stored
        entry = snapshot.enter(row)
        decoder = entry.decoder()
        decoder.packed = True
        value = made(decoder, self.loader.target, None)
        if hasattr(value, "encoding"):
            value.encoding = entry.encoding
        return value

    # -- commands --------------------------------------------------------------------------------------------------

    def _commands(self, source: Source, cursor: Cursor, advance: Callable[[int], object]) -> None:
        resp = Resp(cursor, LOADER)
        status = RECORD
        try:
            while status == RECORD:
                items: list[Any] = []
                status = resp.batch(_BATCH, _WHOLE, items)
                if not self._apply(items):
                    return
                advance(cursor.tell())
        except RdbkitError as error:
            self.found.error = error
            return
        if status == ERROR:
            self.found.error = _problem(resp)
        elif self._queue is not None:
            at = self._queue[0][0] if self._queue else cursor.tell()
            message = "the file ends inside a transaction, which has no effect"
            self.found.error = Truncated(message, offset=at, code="open-transaction")
            self._queue = None

    def _apply(self, items: list[Any]) -> bool:
        """Run the commands of a batch; return whether the replay goes on."""
        loader, ready = self.loader, self._ready
        last = _WHOLE if self._until.offset is None else self._until.offset
        for offset, _, args, _ in items:
            if args.__class__ is bytes:
                if self._is_over(args):
                    return False
                continue
            if offset >= last:
                return False
            found = ready.get(args[0])
            if found is None or self._queue is not None or not found[1] <= len(args) <= found[2]:
                self._command(offset, args)
                continue
            loader.offset, loader.words = offset, len(args)
            self.found.commands += 1
            try:
                found[0](loader, args)
            except CommandError as error:
                self._failed(offset, str(error))
            except UnknownValueError as error:
                self._uncertain(args, error.command)
        return True

    def _is_over(self, line: bytes) -> bool:
        """Take a line that begins with #; return whether the replay ends there."""
        text = line[4:].strip()
        if line.startswith(b"#TS:") and text.isdigit() and len(text) < 16:
            self._time = int(text) * 1000
            if self._until.time is not None and self._time > self._until.time:
                return True
            if self.found.first_time is None:
                self.found.first_time = self._time
            self.found.last_time = self._time
            self.loader.clock = self._clock()
        return False

    def _command(self, offset: int, args: list[bytes]) -> None:
        name = args[0].lower()
        if name in self._renamed:
            name = self._renamed[name]
            args = [name, *args[1:]]
        if name == _MULTI and self._queue is None and self.loader.target.has("aof-runs-at-exec"):
            self._queue = []
        elif name == _EXEC and self._queue is not None:
            queue, self._queue = self._queue, None
            for at, words in queue:
                self._run(at, words[0].lower(), words)
        elif self._queue is not None:
            self._queue.append((offset, args))
        else:
            self._run(offset, name, args)

    def _run(self, offset: int, name: bytes, args: list[bytes]) -> None:
        loader = self.loader
        loader.offset, loader.words = offset, len(args)
        self.found.commands += 1
        full = name + b"|" + args[1].lower() if name in CONTAINERS and len(args) > 1 else name
        row = COMMANDS.get(full)
        if row is None or not knows(loader.target, row):
            if not self._accepts(name, full, args, offset):
                return
            row = COMMANDS[full]
        function = TABLE.get(full)
        if function is not None and name not in CONTAINERS and len(self._ready) < _READY:
            self._ready[args[0]] = function, abs(row.arity), row.arity if row.arity > 0 else _WHOLE
        try:
            if not arity_fits(row, len(args)):
                raise CommandError(f"ERR wrong number of arguments for {shown(name)}")
            if function is not None:
                function(loader, args)
            elif name in _SCRIPTS or full in _LEFT_TO_SERVERS:
                self._any(full, args)
            elif name in _VECTOR_SETS:
                self.found.modules.add(name)
                self._uncertain(args, name)
        except CommandError as error:
            self._failed(offset, str(error))
        except UnknownValueError as error:
            self._uncertain(args, error.command)

    def _accepts(self, name: bytes, full: bytes, args: list[bytes], offset: int) -> bool:
        """Handle a command that the target does not know; return whether it is to be run in spite of that."""
        row = COMMANDS.get(full)
        first = first_releases(row) if row is not None else {}
        if first and self.loader.target.origin != "given":
            self._assume(first, full)
            return True
        if b"." in name[1:-1] or name in _VECTOR_SETS:
            self.found.modules.add(name)
            self._uncertain(args, name)
        elif row is None and COMMANDS.get(name) is not None and not self.loader.target.has("aof-checks-subcommands"):
            self._failed(offset, f"ERR unknown subcommand {shown(full)}")
        elif self._lenient:
            self._uncertain(args, name)
        else:
            message = f"unknown command {shown(full.replace(b'|', b' '))}: {self.loader.target} does not start with it"
            raise Corrupt(message, offset=offset, code="unknown-command")
        return False

    def _assume(self, first: dict[str, Any], full: bytes) -> None:
        target = self.loader.target
        product = target.product if target.product in first else next(iter(first))
        line = ".".join(map(str, first[product][:2]))
        what = shown(full.replace(b"|", b" ")).upper()
        origin = f"assumed: the command {what} needs {product.capitalize()} {line} or newer"
        goal = Target.of(product, first[product], allocator=target.allocator, now=target.now, origin=origin)
        self.loader.target = replace(goal, settings=target.settings)
        self._ready.clear()

    def _any(self, name: bytes, args: list[bytes]) -> None:
        """Make the keys of a script uncertain, or of a command like one; without keys it may have written any."""
        if keys_of(args):
            self._uncertain(args, name)
            return
        db = self.loader.db
        for key in db:
            db[key] = Uncertain(name)
        db.doubt = name
        db.certain.clear()

    def _uncertain(self, args: list[bytes], command: bytes) -> None:
        """Make the keys of a command uncertain; those of an unknown one are taken to be its first argument."""
        for key in keys_of(args) or args[1:2]:
            value = Uncertain(command)
            value.offset = self.loader.offset
            self.loader.db[key] = value

    def _failed(self, offset: int, message: str) -> None:
        self.found.failed += 1
        if len(self.found.errors) < _ERRORS:
            assert self.source is not None
            self.found.errors.append((self.source.name, offset, message))

    # -- the end ---------------------------------------------------------------------------------------------------

    def _settle(self) -> None:
        """Turn times to live into expiries, now that the time of the load is known."""
        loader = self.loader
        loader.now = self._clock()
        for db in loader.databases.values():
            for value in db.values():
                if value.expires_at.__class__ is Relative:
                    value.expires_at = loader.now + int(value.expires_at)
                if value.__class__ is Hash:
                    for field, at in value.due.items():
                        if at.__class__ is Relative:
                            value.due[field] = loader.now + int(at)
                if value.__class__ is StreamValue and value.idmp is not None:
                    value.idmp.expire(loader.now)

    def _clock(self) -> int:
        """Return the time of the load: the clock if it is known, else by the files, as far as they are read."""
        if self.loader.now is not None:
            return self.loader.now
        aux = self.found.preamble.get("aux", {}).get("ctime", b"")
        ctime = int(aux) * 1000 if aux.isdigit() and len(aux) < 13 else None
        times = (ctime, self.found.last_time, self.found.modified)
        return next((time for time in times if time is not None), 0)


_VECTOR_SETS = frozenset((b"vadd", b"vrem", b"vsetattr"))
#: Commands that write what is not in them, or of which only a server knows whether they have an effect.
_LEFT_TO_SERVERS = frozenset((b"migrate", b"himport|set", b"trimslots", b"cluster|flushslot"))


def _problem(resp: Resp) -> RdbkitError:
    assert resp.problem is not None
    what, offset, _, _ = resp.problem
    if what in ("short", "eof"):
        torn = Truncated("the file ends in the middle of a command", offset=resp.start)
        torn.hint = TORN_AOF
        return torn
    return Corrupt("not a valid command", offset=offset, code="bad-aof")
