"""Open a file, learn what it is, go through its entries.

    source ─► walker ─► batches of tuples ─► Entry, one at a time
                 └────► records ─► what the snapshot knows of itself: aux, functions, databases, checksum

A Snapshot is read once, from front to back, in constant memory. Entries are cursors on it, valid until the next one;
what their bodies hold is decoded when asked for.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from dataclasses import replace as changed
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, Self

from rdbkit.entry import Entry
from rdbkit.errors import Corrupt, LimitExceeded, RdbkitError, Unsupported
from rdbkit.format import spec
from rdbkit.memory.price_tables import PriceTables
from rdbkit.rdb import cause, lookahead, walker
from rdbkit.rdb.body import Body
from rdbkit.rdb.list_compression import CompressionEvidence
from rdbkit.rdb.memory_walk import MemoryWalker
from rdbkit.rdb.records import CHECKED_RECORDS, RecordChecks
from rdbkit.rdb.walker import Plan, Walker
from rdbkit.releases import encodings, limits
from rdbkit.releases.target import Target
from rdbkit.source import Source, classify_tail
from rdbkit.source.copied import Copy, copied
from rdbkit.wire import crc64
from rdbkit.wire.cursor import Cursor

if TYPE_CHECKING:
    from rdbkit.memory.model import Model

#: Function libraries and aux fields are remembered up to this many bytes in all.
_REMEMBERED = 1 << 26
#: Further readings of the file that may be open at a time, for values that were not kept.
_READINGS = 8
#: Entries whose keys are too long to be held are named up to this many.
_LONG_KEYS = 20
#: Bytes by which what follows an RDB is recognised.
_TAIL_SEEN = 64
#: What is wrong with values is remembered for the first so many; all are counted.
_PROBLEMS = 100
#: So much of what follows is read: no server reads any of it.
_TAIL_READ = 1 << 26

#: What is read of a snapshot, unless the caller says otherwise.
DEFAULT_PLAN = Plan(level=walker.SHAPE, retain=True)

OnDamage = Literal["skip", "stop"]
Openable = str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryIO


@dataclass(slots=True)
class Database:
    """What a file says of one database: RESIZEDB's claim (None before RDB 7), and what was met so far."""

    claimed_keys: int | None = None
    claimed_expires: int | None = None
    keys: int = 0
    expires: int = 0


@dataclass(frozen=True, slots=True)
class Tail:
    """Bytes after the end of the RDB: how many, and what they look like (source.classify_tail).

    `cut`: there are more, of which there is no telling without unpacking or waiting for all of them.
    """

    kind: str
    size: int
    offset: int
    cut: bool = False

    @property
    def count(self) -> str:
        """The size for a message."""
        return f"{'at least ' if self.cut else ''}{self.size} bytes"


class Snapshot:
    """An RDB file being read; make one with `rdbkit.open`.

    Damage is of two kinds. That of the *framing* (the end of the file is missing, an unknown type or opcode, a length
    that cannot be one) hides what follows: iteration raises there, after everything before it. That of a *value* does
    not: its length is known, so iteration goes on after it. `value` and `parts()` of a damaged entry raise, and nothing
    else does. Of a value over 1 MiB that is in the middle of being read, the end is found only in a plain file: in a
    pipe, or a packed file, its damage is one of the framing. `on_damage="stop"` ends the reading at either kind.

    `damaged` counts the entries whose value was met as damaged: by the walk, which looks at heads (with
    `Plan(level=HEAD)` at lengths only), and by whoever read `value`, `parts()`, `encoding` or `memory`; each entry
    counts once. It counts what cannot be decoded and, where `value` was asked for, what cannot be given whole: a member
    or field twice, a score that is no number, bytes left over after the value. `problems` holds what was wrong, as
    errors with code, offset, db and key: of those entries, and of records such as a database number that no server has,
    the first hundred; `problem_count` counts all.

    `kind` is "rdb"; `product` is "redis", "valkey", "keydb" or "dragonfly"; `version` the RDB version; `producer` the
    text of the server version that wrote it, None where the file does not say; `target` the server that encodings are
    told for. `aux`, `functions`, `databases` and `checksum` fill up while the file is read; `unkept` counts what was
    too much to be remembered: "function" (libraries over 16 MiB, or 64 MiB of them in all), "aux field", "member
    expiry" (KeyDB: of sets over 1 MiB), and "key" (entries whose keys are longer than the plan's `max_item`: they are
    counted in `databases` and nowhere else; `long_keys` has an error for each of the first twenty).

    `in_aof` is for an RDB with which an AOF begins: True: whatever follows is for a server to execute; False: commands
    may follow, and are recognised by how they begin; None: they are refused (code "needs-replay"). Where they follow,
    `commands` is set at the end, and the cursor is at the first of them.
    """

    def __init__(
        self,
        source: Source,
        *,
        target: Target | None = None,
        settings: dict[str, str] | None = None,
        allocator: str = "jemalloc",
        now: int | None = None,
        plan: Plan | None = None,
        verify: bool = True,
        on_damage: OnDamage = "skip",
        in_aof: bool | None = None,
    ) -> None:
        self.source = source
        self.name = source.name
        self.kind = "rdb"
        self.in_aof = in_aof
        self.commands = False
        self.aux: dict[str, bytes] = {}
        self.functions: list[bytes] = []
        self.unkept: Counter[str] = Counter()
        self.long_keys: list[LimitExceeded] = []
        self.databases: dict[int, Database] = {}
        self.modules_aux: list[tuple[int, int]] = []
        self.slot_imports: list[tuple[bytes, list[tuple[int, int]]]] = []
        self.tail: Tail | None = None
        self.end: int | None = None
        self._prices: PriceTables | None = None
        self._prices_beside: PriceTables | None = None
        self._evidence = CompressionEvidence()
        self._counted = False
        self._model: Model | None = None
        self._remembered = 0
        self._records: list[walker.Record] = []
        self._again: list[Source] = []
        self._copy: Copy | None = None
        self._current: Entry | None = None
        self._failure: RdbkitError | None = None
        self.untrusted = False
        """All of the file was read, and its checksum is wrong."""
        self.on_damage = on_damage
        self.damaged = 0
        self.problems: list[RdbkitError] = []
        self.problem_count = 0
        self._checks = RecordChecks(settings)
        self._last: list[walker.EntryTuple] = []
        update = crc64.update() if verify else None
        self.cursor = Cursor(source=source, base=source.start, update=update)
        self.walker = Walker(self.cursor, plan or DEFAULT_PLAN, verify=verify)
        self.walker.stops = on_damage == "stop"
        self.walker.again = self._beside if source.rereads else None
        self.templates = self.walker.body.templates
        self.version = self.walker.version
        self.magic = self.walker.product
        """The product whose magic the file begins with: "redis" or "valkey"."""
        self.walker.prologue()
        self._collect()
        self._aim(target, settings, allocator, now)

    # -- what the file is ------------------------------------------------------------------------------------------

    @property
    def product(self) -> str:
        """Who wrote the file: "redis", "valkey", "keydb" or "dragonfly"."""
        if "valkey-ver" in self.aux:
            return "valkey"
        return self.walker.product

    @property
    def producer(self) -> str | None:
        """Text of the version of the server that wrote the file."""
        text = self.aux.get("valkey-ver", self.aux.get("redis-ver"))
        return None if text is None else text.decode("utf-8", "backslashreplace")

    @property
    def checksum(self) -> str:
        """State: good, wrong, disabled (stored as zero), absent (before RDB 5), not verified, not reached."""
        return self.walker.checksum

    @property
    def ctime(self) -> int | None:
        """When the file was written, in ms since epoch, as its `ctime` field says."""
        text = self.aux.get("ctime", b"")
        return int(text) * 1000 if text.isdigit() and len(text) < 13 else None

    def _aim(self, target: Target | None, settings: dict[str, str] | None, allocator: str, now: int | None) -> None:
        found = target or Target.of_file(self.product, self.producer, self.version)
        self.now_origin = "given" if now is not None else "the file's ctime"
        if now is None:
            now = self.ctime
        if now is None:
            now = self.source.modified
            self.now_origin = "unknown" if now is None else "the file's mtime"
        found = changed(found, allocator=allocator, now=now)
        self.target = found.with_settings(settings) if settings else found
        self.encode = encodings.rules(self.target)
        self.limits = limits.item_limits(self.target)
        self.walker.body.aim(self.limits, self.target.has("listpack"), self._lists())

    def _lists(self) -> limits.ListLimits | None:
        return limits.list_limits(self.target) if self.target.has("list-listpack") else None

    def model(self, heap: bool = False) -> Model:
        """Return the model of a key's memory on the target; from its first use on, the walk sums up what it needs.

        `heap`: real allocations, instead of MEMORY USAGE; the first call decides. Ask before the first entry: bodies
        that were walked without it are read again.
        """
        if self._model is None:
            # Here, as most commands do not ask for memory.
            from rdbkit.memory.model import Model, TemplateUse

            self._model = Model(self.target, self.encode, heap, TemplateUse(self.templates))
            self._prices = self._model.prices
            self._look_ahead()
            self.walker.body = self.measure(self.cursor)
        return self._model

    def model_beside(self) -> Model:
        """Return a model of the real allocations of a key, beside `model`, which is of MEMORY USAGE.

        Its keys' shapes are in the walker's tuples (shape.BESIDE), where bodies are short; else `shape_beside` has
        them. Ask before the first entry.
        """
        from rdbkit.memory.model import Model

        first = self.model()
        found = Model(self.target, self.encode, True, first.templates)
        if first.prices is not None and found.prices is not None and not first.prices.agrees(found.prices):
            self._prices_beside = found.prices
            beside = self._memory_walker(self.cursor, found.prices)
            # Evidence is taken once.
            beside.looks = False
            self.walker.beside = beside
        return found

    def _look_ahead(self) -> None:
        """Find out, by second readings, what comes later in the file and is needed before."""
        if self._prices is None or not self.source.seekable:
            return
        types = self.walker.plan.types
        has_nodes = spec.BY_ID[spec.LIST_QUICKLIST].since <= self.version
        if has_nodes and self._prices.depth < 0 and (types is None or "list" in types):
            with self.source.reopen(self.source.start) as again:
                self._evidence.raw = lookahead.shows_raw(Cursor(source=again, base=again.start), self._prices)
        self._count_template_users()

    def _count_template_users(self) -> None:
        if self._model is not None and self.templates and not self._counted and self.source.seekable:
            self._counted = True
            with self.source.reopen(self.source.start) as again:
                self._model.templates.users = lookahead.template_users(Cursor(source=again, base=again.start))

    def reopen(self, offset: int) -> Source:
        """Return the file once more, at an absolute offset; open until the next entry, or the eighth such call.

        Raises Passed where there is only one reading, as from a pipe.
        """
        if len(self._again) >= _READINGS:
            self._again.pop(0).close()
        self._again.append(self.source.reopen(offset))
        return self._again[-1]

    def shape_beside(self, row: walker.EntryTuple) -> Any:
        """Return the shape by the prices of `model_beside`, of a body that was too long to be walked twice.

        Raises Passed where there is no second reading.
        """
        assert self._prices_beside is not None
        start = row[walker.BODY_OFFSET]
        with self.source.reopen(start) as again:
            return self._memory_walker(Cursor(source=again, base=start), self._prices_beside).shape(row[walker.TYPE])

    def measure(self, cursor: Cursor) -> Body:
        """Return a walker of bodies on this cursor, aimed at the same target."""
        converts, lists = self.target.has("listpack"), self._lists()
        if self._prices is not None:
            return self._memory_walker(cursor, self._prices)
        body = Body(cursor, self.limits, converts, lists, self.templates)
        body.watches = self.walker.plan.watches
        return body

    def _memory_walker(self, cursor: Cursor, prices: PriceTables) -> MemoryWalker:
        body = MemoryWalker(cursor, prices, self.templates, self._evidence)
        body.aim(self.limits, self.target.has("listpack"), self._lists())
        body.watches = self.walker.plan.watches
        return body

    def select(self, plan: Plan) -> None:
        """Take over another plan, before the first entry is asked for."""
        self.walker.select(plan)

    # -- records ---------------------------------------------------------------------------------------------------

    def _collect(self) -> None:
        self._records, self.walker.records = self.walker.records, []
        for record in self._records:
            self._note(record)
            if record[1] in CHECKED_RECORDS:
                for severity, code, message in self._checks.problems(record, self.templates):
                    if severity == "error":
                        self.note(Corrupt(message, offset=record[0], code=code), of_entry=False)
        if self.walker.damages:
            damages, self.walker.damages = self.walker.damages, []
            for error in damages:
                self.note(error)
        self._count_template_users()

    def note(self, error: RdbkitError, *, of_entry: bool = True) -> None:
        """Count damage that hides nothing else; under on_damage="stop" reading ends with it."""
        self.damaged += of_entry
        self.problem_count += 1
        if len(self.problems) < _PROBLEMS:
            self.problems.append(error)
        if self.on_damage == "stop" and self._failure is None:
            self._failure = error

    @property
    def stopped(self) -> bool:
        """Whether on_damage="stop" has ended the reading."""
        return self._failure is not None

    def _beside(self, offset: int) -> Cursor:
        return Cursor(source=self.reopen(offset), base=offset)

    def pass_open(self) -> Copy | None:
        """Walk over the open body; return a copy of it, if the input cannot be read again.

        What this raises is damage of the framing. Raises OSError where there is no temporary space for the copy.
        """
        try:
            if self.source.rereads:
                self.walker.finish()
                return None
            self._copy = copied(self.cursor, self.walker.finish)
            return self._copy
        except RdbkitError as error:
            self.walker.error = error
            raise
        except OSError:
            # Where its end is, nobody knows now.
            self._failure = LimitExceeded("no temporary space for a long value", offset=self.cursor.tell())
            raise

    def take_records(self) -> list[walker.Record]:
        """Return what was met besides keys since the last batch, as (offset, id of its row, what it says)."""
        records, self._records = self._records, []
        return records

    def enter(self, row: walker.EntryTuple) -> Entry:
        """Return the entry of one of the walker's tuples, as the current one."""
        self._forget()
        self._current = Entry(self, row)
        return self._current

    def _forget(self) -> None:
        """Close what was opened again for the entry before."""
        while self._again:
            self._again.pop().close()
        if self._copy is not None:
            self._copy.close()
            self._copy = None

    def _note(self, record: walker.Record) -> None:
        _, kind, payload = record
        if kind == walker.LONG_KEY:
            self._note_long_key(*payload)
        elif kind == spec.AUX:
            self._note_aux(payload)
        elif kind == spec.SELECTDB:
            self.databases.setdefault(payload, Database())
        elif kind == spec.RESIZEDB:
            database = self.databases.setdefault(payload[0], Database())
            database.claimed_keys, database.claimed_expires = payload[1:]
        elif kind in (spec.FUNCTION2, spec.FUNCTION_PRE_GA):
            text, size = payload
            if len(text) == size and self._remember(size):
                self.functions.append(text)
            else:
                self.unkept["function"] += 1
        elif kind == spec.MODULE_AUX and self._remember(16):
            self.modules_aux.append(payload)
        elif kind == spec.SLOT_IMPORT and self._remember(128 * len(payload[1])):
            self.slot_imports.append(payload)

    def _note_long_key(self, error: LimitExceeded, expires: bool) -> None:
        """Take note of an entry whose key was too long to be held: it counts, and is left out."""
        database = self.databases.setdefault(error.db or 0, Database())
        database.keys += 1
        database.expires += expires
        self.unkept["key"] += 1
        if len(self.long_keys) < _LONG_KEYS:
            self.long_keys.append(error)

    def _note_aux(self, payload: tuple[bytes, bytes, int]) -> None:
        name, text, _ = payload
        # Valkey writes one of these for each slot, between the keys.
        if name == b"slot-info":
            return
        if name.lower() == b"keydb-subexpire-when":
            self.unkept["member expiry"] += 1
            return
        printable = name.decode("utf-8", "backslashreplace")
        if printable in self.aux:
            return
        if self._remember(len(name) + len(text)):
            self.aux[printable] = text
        else:
            self.unkept["aux field"] += 1

    def _remember(self, size: int) -> bool:
        self._remembered += size + 64
        return self._remembered <= _REMEMBERED

    # -- entries ---------------------------------------------------------------------------------------------------

    def batches(self) -> Iterator[list[walker.EntryTuple]]:
        """Yield entries as the walker's tuples, some hundreds at a time: the quick way for those who fold over all.

        A batch may be empty: then records came that are no keys (take_records). The shape of an entry is None where its
        value is so damaged that it cannot be told (`problems` says why).

        Raises Truncated, Corrupt or Unsupported at damage of the framing, after all that came before it was yielded.
        """
        if self._failure is not None:
            raise self._failure
        try:
            while not self.walker.done:
                try:
                    batch = self.walker.batch()
                finally:
                    self._collect()
                self._count(batch)
                if batch:
                    self._last = batch[-cause.ENTRIES :]
                if batch or self._records:
                    yield batch
                if self._failure is not None:
                    raise self._failure
            self._finish()
        except RdbkitError as error:
            found = cause.explained(error, self._bytes_at, self.source.start, self._last)
            # Asked once more, a damaged file must not look like one that is at its end.
            self._failure = found
            self.untrusted = error.code == "checksum-mismatch" and self._is_over()
            if found is error:
                raise
            raise found from error

    def _bytes_at(self, offset: int, size: int) -> bytes:
        """Return bytes from an offset on, as far as they are available: in the window, or by a second reading."""
        cursor, source = self.cursor, self.source
        if cursor.base <= offset <= cursor.base + cursor.end:
            at = offset - cursor.base
            found = cursor.data[at : min(cursor.end, at + size)]
            if len(found) == size or not source.seekable:
                return found
        if not source.seekable or offset < source.start:
            return b""
        with source.reopen(offset) as again:
            return again.look(size)

    def _is_over(self) -> bool:
        """Return whether nothing follows what was read."""
        try:
            return self.cursor.at_end()
        except RdbkitError:
            return False

    def _count(self, batch: list[walker.EntryTuple]) -> None:
        numbers = [row[1] for row in batch]
        for number in set(numbers):
            database = self.databases.setdefault(number, Database())
            keys = numbers.count(number)
            mine = batch if keys == len(batch) else [row for row in batch if row[1] == number]
            database.keys += keys
            database.expires += keys - [row[4] for row in mine].count(None)

    def __iter__(self) -> Iterator[Entry]:
        for batch in self.batches():
            for row in batch:
                entry = self.enter(row)
                yield entry
                if self._failure is not None:
                    raise self._failure
                if self.walker.is_open:
                    entry.leave()
        self._current = None

    def is_open(self, entry: Entry) -> bool:
        """Return whether this entry's body is what the file is open at."""
        return self.walker.is_open and self._current is entry and entry._row[walker.SIZE] < 0

    def _finish(self) -> None:
        """Look at what follows the end, and refuse what the end cannot vouch for."""
        if self.end is not None:
            return
        cursor = self.cursor
        self.end = cursor.tell()
        if self.in_aof is not None and self._commands_follow():
            # They are read from the cursor, and the checksum is not theirs.
            self.commands = True
            cursor.update = None
            return
        while cursor.end - cursor.pos < _TAIL_SEEN and cursor.more(_TAIL_SEEN):
            pass
        first = cursor.take(min(_TAIL_SEEN, cursor.end - cursor.pos))
        zeros = not first.strip(b"\0")
        while cursor.tell() - self.end < _TAIL_READ and not cursor.at_end():
            zeros = zeros and not cursor.data[cursor.pos : cursor.end].strip(b"\0")
            cursor.pos = cursor.end
        size = cursor.tell() - self.end
        cut = size >= _TAIL_READ and not cursor.at_end()
        if cut and cursor.size >= 0:
            size, cut = cursor.size - self.end, False
        if not size and self.source.trailing:
            first, size = self.source.trailing
            cut = size >= _TAIL_READ
            zeros = not first.strip(b"\0")
        if size:
            kind = classify_tail(first, size, self.source.mark)
            if kind == "zeros" and not zeros:
                kind = "zeros, then other bytes"
            self.tail = Tail(kind, size, self.end, cut)
            self._judge(self.tail)

    @property
    def is_head(self) -> bool:
        """Whether this is the head of an AOF, by its place or by what it says itself."""
        return bool(self.in_aof) or b"1" in (self.aux.get("aof-base"), self.aux.get("aof-preamble"))

    def _commands_follow(self) -> bool:
        at_end = self.cursor.at_end()
        first = b"" if at_end else self.cursor.data[self.cursor.pos : self.cursor.pos + 1]
        return self.is_head or first in (b"*", b"#")

    def _judge(self, tail: Tail) -> None:
        if tail.kind == "AOF commands":
            raise Unsupported(
                f"an AOF with an RDB preamble: {tail.count} of commands follow, and its state needs replay",
                offset=tail.offset,
                code="needs-replay",
            )
        # Where no checksum vouches for it, a stray end mark in the middle of a file looks just like this.
        if self.checksum != "good" and tail.kind not in ("replication mark", "nothing"):
            raise Corrupt(
                f"{tail.count} ({tail.kind}) follow the end of an RDB whose checksum is {self.checksum}: "
                "keys may be hidden in them",
                offset=tail.offset,
                code="trailing-bytes",
            )

    def close(self) -> None:
        """Close the file."""
        self._forget()
        self.source.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
