"""Read the files of an AOF as a server does when it starts, and apply their commands to a keyspace.

    files ─► [RDB: stored values] ─► commands ─► table ─► Loader

Errors of single commands are counted and ignored, as on a server; nothing expires; a transaction takes effect at its
EXEC. What cannot be known is never guessed: commands of modules and scripts make the keys that they name uncertain.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from time import time_ns
from typing import Any, Protocol

from rdbkit.aof.aof_set import AofFile
from rdbkit.aof.cut import Cut, NothingThere, Point, annotation_time
from rdbkit.aof.reader import TORN_AOF, has_preamble
from rdbkit.aof.resp import ERROR, LOADER, RECORD, Resp
from rdbkit.aof.startup import shown
from rdbkit.errors import Corrupt, RdbkitError, Truncated, Unsupported
from rdbkit.keyspace.arguments import MOST
from rdbkit.keyspace.commands import TABLE, Function
from rdbkit.keyspace.decoding import made
from rdbkit.keyspace.loader import CommandError, Loader, UnknownValueError
from rdbkit.keyspace.stream_value import StreamValue
from rdbkit.keyspace.values import Hash, Relative, Stored, Uncertain, Value
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
#: What servers reply to them inside and outside of a transaction; they write a lone EXEC at times.
_MISPLACED = {_MULTI: "ERR MULTI calls can not be nested", _EXEC: "ERR EXEC without MULTI"}
#: The most spellings of commands that are kept.
_READY = 1024
_SCRIPTS = (b"eval", b"evalsha", b"fcall")
#: What to do about an unknown command.
_UNKNOWN = "if the server renames it, give its redis.conf with --config; --lenient leaves out the keys that it names"
#: The most errors of commands of which the text is kept.
_ERRORS = 20
#: Bytes of a key in such a text.
_KEY = 40


@dataclass(slots=True)
class Replayed:
    """The result: the loader with its keyspace, and what was met on the way.

    `error` is what ended the reading of the last file, None if it was read to its end; `commands` and `failed` are
    counts; `errors` are the first errors of commands, with their offsets and files. `end` is where it ended as
    requested, as file and offset; None: it was read to its end. `now_origin` says where the clock is from. `size` is
    that of all files, None if it is not known, and `changed` are those that changed while they were read.
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
    end: tuple[str, int] | None = None
    now_origin: str = "given"
    size: int | None = None
    packing: tuple[str, ...] = ()
    changed: list[str] = field(default_factory=list)


class Ticks(Protocol):
    """A progress display."""

    def update(self, done: int, /) -> object:
        """Set the number of bytes read."""


#: From the number of bytes to read (None: unknown) to a display.
Progress = Callable[[int | None], AbstractContextManager[Ticks]]
#: A file of a set, an open file, or the opened RDB with which one begins.
Input = AofFile | Source | Snapshot


def replay(
    files: Iterable[Input],
    target: Target,
    *,
    verify: bool = True,
    lenient: bool = False,
    renamed: dict[bytes, bytes] | None = None,
    until: Cut | None = None,
    point: Point | None = None,
    progress: Progress | None = None,
) -> Replayed:
    """Load the files, in this order, as `target` would.

    `target.now` is the clock, None if it is not known; `renamed` has the names of commands by those that
    `rename-command` gave them. With `lenient` unknown commands make their keys uncertain instead of ending the load.
    The load ends at a time or an offset of `until`, whose `before` does not count here; or at a `point`, the index of
    a file and an offset in it.

    Raises Unsupported for other formats, and (code "no-timestamps") for a time if the files have none; NothingThere if
    nothing is before the requested end; OSError.
    """
    files = list(files)
    with _collector_paused():
        return _Replay(target, verify, lenient, renamed or {}, until or Cut(), point, progress).run(files)


@contextmanager
def _collector_paused() -> Iterator[None]:
    """Pause the collector of reference cycles: a state makes none, and is walked again and again while it grows."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


class _Replay:
    """One replay. `source` is the file that is being read."""

    def __init__(
        self,
        target: Target,
        verify: bool,
        lenient: bool,
        renamed: dict[bytes, bytes],
        until: Cut,
        point: Point | None,
        progress: Progress | None,
    ) -> None:
        self.loader = Loader(target, target.now)
        self.found = Replayed(self.loader)
        self.source: Source | None = None
        self._verify = verify
        self._lenient = lenient
        self._renamed = {name.lower(): word.lower() for name, word in renamed.items()}
        self._until = until
        self._point = point
        self._last = _WHOLE
        """The offset at which the replay ends, in the file that is being read."""
        self._progress = progress
        self._cuts = bool(until) or point is not None
        self._queue: list[tuple[int, list[bytes]]] | None = None
        self._multi = 0
        """The offset of the MULTI of the commands in the queue."""
        self._ready: dict[bytes, tuple[Function, int, int]] = {}
        """Commands that the target knows, by their names as they are in the file, with the numbers of their words."""

    def run(self, files: list[Input]) -> Replayed:
        found = self.found
        found.size = _size(files)
        # Offsets in packed files are not those of which the size is known.
        total = None if any(_packing(file) for file in files) else found.size
        with self._progress(total) if self._progress else nullcontext() as shown:
            done = 0
            for index, file in enumerate(files):
                self._ends(index)
                self._file(file, _advance(shown, done))
                done += _size([file]) or 0
                if found.error is not None and len(files) > 1 and self.source is not None:
                    found.error.message = f"{self.source.name}: {found.error.message}"
                    found.error.args = (found.error.message,)
                if found.error is not None or found.end is not None:
                    break
        self._judge_end()
        self._settle()
        return found

    def _judge_end(self) -> None:
        """Raise if the requested end is none."""
        found = self.found
        timed = self._until.until_time is not None and self._point is None
        if timed and found.end is None and found.error is None and found.first_time is None:
            raise Unsupported("no timestamps in the file (aof-timestamp-enabled was off)", code="no-timestamps")
        if found.end is not None and not found.commands and not found.preamble:
            raise NothingThere("there is nothing before that point", offset=found.end[1])

    def _ends(self, index: int) -> None:
        """Note where the replay ends in a file."""
        if self._point is not None and self._point[0] == index:
            self._last = self._point[1]
        elif self._point is None and self._until.until_offset is not None:
            self._last = self._until.until_offset

    def _file(self, file: Input, advance: Callable[[int], object]) -> None:
        in_set = isinstance(file, AofFile) and file.role != "single"
        if isinstance(file, AofFile) and file.format in ("missing", "special"):
            name = file.name.decode("utf-8", "backslashreplace")
            self.source = None
            self.found.error = Corrupt(f"{name} is listed in the manifest but missing", code="missing-file")
            return
        opened = file if isinstance(file, Snapshot) else None
        source = file.source if isinstance(file, Snapshot) else file
        source = self.source = open_source(source.path) if isinstance(source, AofFile) else source
        with source:
            self.found.modified = source.modified
            self.found.packing = source.packing or self.found.packing
            self.loader.clock = self._clock()
            self._read(source, in_set, advance, opened)
            if source.changed():
                self.found.changed.append(source.name)

    def _read(self, source: Source, in_set: bool, advance: Callable[[int], object], opened: Snapshot | None) -> None:
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
        if opened is None:
            opened = open_preamble(source, in_set=in_set, plan=plan, verify=self._verify, target=target)
        else:
            opened.in_aof = in_set
            opened.select(plan)
        with opened as snapshot:
            self._refuse_later(snapshot)
            try:
                self._rdb(snapshot, advance)
            except RdbkitError as error:
                # No server starts with a damaged RDB; its readable keys are shown, as those of any damaged RDB.
                self.found.error = error
                return
            self._about(snapshot)
            if self._last < snapshot.cursor.tell():
                raise NothingThere("the offset is inside the RDB part, which cannot be cut", offset=self._last)
            if snapshot.commands:
                self._select(0)
                self._commands(source, snapshot.cursor, advance)

    def _refuse_later(self, snapshot: Snapshot) -> None:
        """Raise NothingThere if the RDB is of a time after the requested end."""
        until, ctime = self._until.until_time, snapshot.ctime
        if until is not None and ctime is not None and ctime > until:
            text = datetime.fromtimestamp(ctime // 1000, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
            raise NothingThere(f"it begins with an RDB of {text}, which is later than the requested time")

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
        loader, ready, last = self.loader, self._ready, self._last
        for offset, end, args, _ in items:
            if args.__class__ is bytes:
                if offset >= last or self._is_over(args):
                    self._end(offset)
                    return False
                continue
            if end > last:
                self._end(offset)
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
                self._failed(offset, args, str(error))
            except UnknownValueError as error:
                self._uncertain(args, error.command)
        return True

    def _is_over(self, line: bytes) -> bool:
        """Take a line that begins with #; return whether the replay ends there."""
        time = annotation_time(line)
        if time is None:
            return False
        found, until = self.found, self._until.until_time
        if until is not None and self._point is None and time > until:
            return True
        if found.first_time is None:
            found.first_time = time
        found.last_time = time
        self.loader.clock = self._clock()
        return False

    def _end(self, offset: int) -> None:
        """Note that the replay ends at an offset, as requested; a transaction that is open there has no effect."""
        assert self.source is not None
        if self._queue is not None:
            offset, self._queue = self._multi, None
        self.found.end = self.source.name, offset

    def _command(self, offset: int, args: list[bytes]) -> None:
        name = args[0].lower()
        if name in self._renamed:
            name = self._renamed[name]
            args = [name, *args[1:]]
        if name == _MULTI and self._queue is None and (self._cuts or self.loader.target.has("aof-runs-at-exec")):
            self._queue, self._multi = [], offset
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
            if 0 < row.arity < len(args) and not loader.target.has("aof-checks-arity"):
                # A loader does not count the arguments, and the command does not look at those behind its own.
                args = args[: row.arity]
            if not arity_fits(row, len(args)):
                raise CommandError(f"ERR wrong number of arguments for {shown(name)}")
            if function is not None:
                function(loader, args)
            elif name in _SCRIPTS or full in _LEFT_TO_SERVERS:
                self._any(full, args)
            elif name in _VECTOR_SETS:
                self.found.modules.add(name)
                self._uncertain(args, name)
            elif name in _MISPLACED and loader.target.has("aof-runs-at-exec"):
                raise CommandError(_MISPLACED[name])
        except CommandError as error:
            self._failed(offset, args, str(error))
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
            self._failed(offset, args, f"ERR unknown subcommand {shown(full)}")
        elif self._lenient:
            self._uncertain(args, name)
        else:
            message = f"unknown command {shown(full.replace(b'|', b' '))}: {self.loader.target} does not start with it"
            error = Corrupt(message, offset=offset, code="unknown-command")
            error.hint = _UNKNOWN
            raise error
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

    def _failed(self, offset: int, args: list[bytes], message: str) -> None:
        self.found.failed += 1
        if len(self.found.errors) < _ERRORS:
            assert self.source is not None
            words = args[0].upper() + b"".join(b" " + key[:_KEY] for key in keys_of(args)[:1])
            text = words.decode("utf-8", "backslashreplace")
            self.found.errors.append((self.source.name, offset, f"{text}: {message}"))

    # -- the end ---------------------------------------------------------------------------------------------------

    def _settle(self) -> None:
        """Turn times to live into expiries, now that the time of the load is known."""
        loader = self.loader
        if loader.now is None:
            self._date()
        # A file may have been copied long after it was written: then its mtime is no reason to remove anything.
        expires = self.found.now_origin in _CERTAIN
        for db in loader.databases.values():
            for value in db.values():
                self._date_value(value, loader.now or 0)
                if expires and isinstance(value, StreamValue) and value.idmp is not None:
                    value.idmp.expire(loader.now or 0)

    @staticmethod
    def _date_value(value: Value, now: int) -> None:
        if value.expires_at.__class__ is Relative:
            value.expires_at = min(now + int(value.expires_at), MOST)
        if isinstance(value, Hash):
            for field, at in value.due.items():
                if at.__class__ is Relative:
                    value.due[field] = now + int(at)

    def _clock(self) -> int:
        """Return the time of the load: the clock if it is known, else by the files, as far as they are read."""
        return next((now for now, _ in self._times() if now is not None), 0)

    def _times(self) -> Iterator[tuple[int | None, str]]:
        """Yield the times that may be that of the load, and what they are, the best first."""
        found = self.found
        yield self.loader.now, found.now_origin
        aux = found.preamble.get("aux", {}).get("ctime", b"")
        yield (int(aux) * 1000 if aux.isdigit() and len(aux) < 13 else None), _CTIME
        yield found.last_time, _NEWEST
        yield found.modified, "the file's mtime"

    def _date(self) -> None:
        """Determine the time of the load from the files."""
        loader, found = self.loader, self.found
        for now, origin in self._times():
            if now is not None:
                loader.now, found.now_origin = now, origin
                return
        found.now_origin = "unknown"
        if loader.relative:
            loader.now, found.now_origin = time_ns() // 1_000_000, "the current time; the file has no timestamp"


def _advance(shown: Ticks | None, before: int) -> Callable[[int], object]:
    """Return a function of an offset in a file that shows the progress in all files."""
    return (lambda _: None) if shown is None else (lambda at: shown.update(before + at))


def _size(files: Iterable[Input]) -> int | None:
    """Return the bytes of all files; None if that is not known."""
    sizes = [file.source.file_size if isinstance(file, Snapshot) else _stored(file) for file in files]
    return None if None in sizes else sum(size or 0 for size in sizes)


def _stored(file: AofFile | Source) -> int | None:
    return file.size if isinstance(file, AofFile) else file.file_size


def _packing(file: Input) -> tuple[str, ...]:
    return file.source.packing if isinstance(file, Snapshot) else file.packing


_CTIME, _NEWEST = "the file's ctime", "the newest #TS in the file"
#: The origins of a time at which the file was in use.
_CERTAIN = ("given", _CTIME, _NEWEST)
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
