"""A snapshot: an RDB file with its properties, read entry by entry.

    source ─► walker ─► batches of tuples ─► Entry, one at a time
                 └────► records ─► properties of the snapshot: aux, functions, databases, checksum

A Snapshot is read once, from start to end, in constant memory. Entries refer to its position and are valid until the
next one; their bodies are decoded on request.
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

#: Function libraries and aux fields are kept up to this many bytes in total.
_REMEMBERED = 1 << 26
#: The most second readings of the file that are open at a time, for values that were not kept.
_READINGS = 8
#: The most entries with keys that are too long for memory that are listed.
_LONG_KEYS = 20
#: Bytes by which the data after an RDB is recognised.
_TAIL_SEEN = 64
#: The most problems of values that are kept; all are counted.
_PROBLEMS = 100
#: The most bytes after the end that are read (servers read none of them).
_TAIL_READ = 1 << 26

#: The default plan.
DEFAULT_PLAN = Plan(level=walker.SHAPE, retain=True)

OnDamage = Literal["skip", "stop"]
Openable = str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryIO


@dataclass(slots=True)
class Database:
    """One database of a file: the numbers in RESIZEDB (None before RDB 7), and those of the entries read so far."""

    claimed_keys: int | None = None
    claimed_expires: int | None = None
    keys: int = 0
    expires: int = 0


@dataclass(frozen=True, slots=True)
class Tail:
    """Bytes after the end of the RDB: how many, and what they look like (source.classify_tail).

    `cut`: there are more, whose number is not known without unpacking, or waiting for, all of them.
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

    There are two kinds of damage. Damage of the *framing* (the end of the file is missing, an unknown type or opcode,
    an impossible length) hides what follows: iteration raises there, after all entries before it. Damage of a *value*
    does not: its length is known, so iteration continues after it, and only `value` and `parts()` of the damaged entry
    raise. If damage is found while a value over 1 MiB is being read, its end is found only in a plain file: in a pipe,
    or a packed file, this counts as damage of the framing. `on_damage="stop"` ends the reading at either kind.

    `damaged` counts the entries whose value was found damaged: by the walk, which reads heads (with `Plan(level=HEAD)`
    only lengths), or by reading `value`, `parts()`, `encoding` or `memory`; each entry is counted once. It counts
    values that cannot be decoded and, if `value` was read, those with a duplicate member or field, a score that is not
    a number, or bytes after the end. `problems` has the first hundred errors, with code, offset, db and key: of those
    entries, and of records such as a database number that no server has; `problem_count` counts all.

    `kind` is "rdb"; `product` is "redis", "valkey", "keydb" or "dragonfly"; `version` the RDB version; `producer` the
    text of the version of the server that wrote it, None if it is not in the file; `target` the server for which
    encodings are computed. `aux`, `functions`, `databases` and `checksum` are filled while the file is read. `unkept`
    counts data that was too large to be kept: "function" (libraries over 16 MiB, or 64 MiB of them in total),
    "aux field", "member expiry" (KeyDB: of sets over 1 MiB), and "key" (entries whose keys are longer than the plan's
    `max_item`: they are counted in `databases` and nowhere else; `long_keys` has an error for each of the first
    twenty).

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
        # Long, because it declares all attributes; the public ones are described above.
        self.source = source
        self.name = source.name
        self.kind = "rdb"
        self.in_aof = in_aof
        self.commands = False
        self.aux: dict[str, bytes] = {}
        self.functions: list[bytes] = []
        self.unkept: Counter[str] = Counter()
        self.long_keys: list[LimitExceeded] = []
        self.uncertain: list[tuple[int, bytes, bytes]] = []
        """After a replay: keys whose values are not known, as (database, key, command); they are left out."""
        self.doubts: list[tuple[int, bytes]] = []
        """After a replay: databases in which a script may have written any key, with its command."""
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

    # -- properties of the file ------------------------------------------------------------------------------------

    @property
    def product(self) -> str:
        """The product that wrote the file: "redis", "valkey", "keydb" or "dragonfly"."""
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
    def file_size(self) -> int | None:
        """Bytes of the input as stored; None if that is not known."""
        return self.source.file_size

    @property
    def replayed_commands(self) -> int | None:
        """How many commands were replayed; None for an RDB."""
        return None

    @property
    def pending(self) -> RdbkitError | None:
        """An error that reading raises at the end, if it is known already."""
        return None

    @property
    def ctime(self) -> int | None:
        """When the file was written, in ms since epoch, from its `ctime` field."""
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
        """Return the model of a key's memory on the target; from the first call on, the walk computes its sums.

        `heap`: actual allocations, instead of MEMORY USAGE; the first call decides. Call it before the first entry is
        read: bodies that were walked before are read again.
        """
        if self._model is None:
            # Imported here, because most commands do not need memory.
            from rdbkit.memory.model import Model, TemplateUse

            self._model = Model(self.target, self.encode, heap, TemplateUse(self.templates))
            self._prices = self._model.prices
            self._look_ahead()
            self.walker.body = self.measure(self.cursor)
        return self._model

    def model_beside(self) -> Model:
        """Return a model of a key's actual allocations, in addition to `model`, which is for MEMORY USAGE.

        The shapes for it are in the walker's tuples (shape.BESIDE) if bodies are short; else `shape_beside` returns
        them. Call it before the first entry is read.
        """
        from rdbkit.memory.model import Model

        first = self.model()
        found = Model(self.target, self.encode, True, first.templates)
        if first.prices is not None and found.prices is not None and not first.prices.agrees(found.prices):
            self._prices_beside = found.prices
            beside = self._memory_walker(self.cursor, found.prices)
            # Only one of the two walks collects evidence.
            beside.looks = False
            self.walker.beside = beside
        return found

    def _look_ahead(self) -> None:
        """Find, by second readings, data that is later in the file than it is needed."""
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
        """Return a second reader of the file, at an absolute offset; open until the next entry, or the eighth call.

        Raises Passed if the input can be read only once, such as a pipe.
        """
        if len(self._again) >= _READINGS:
            self._again.pop(0).close()
        self._again.append(self.source.reopen(offset))
        return self._again[-1]

    def shape_beside(self, row: walker.EntryTuple) -> Any:
        """Return the shape with the prices of `model_beside`, for a body that was too long to be walked twice.

        Raises Passed if the input can be read only once.
        """
        assert self._prices_beside is not None
        start = row[walker.BODY_OFFSET]
        with self.source.reopen(start) as again:
            return self._memory_walker(Cursor(source=again, base=start), self._prices_beside).shape(row[walker.TYPE])

    def measure(self, cursor: Cursor) -> Body:
        """Return a walker of bodies on this cursor, for the same target."""
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
        """Use another plan; call it before the first entry is read."""
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
        """Count damage that does not hide what follows; with on_damage="stop" the reading ends."""
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

        Raises RdbkitError for damage of the framing, OSError if no temporary space is left for the copy.
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
            # The end of the body is not known any more.
            self._failure = LimitExceeded("no temporary space for a long value", offset=self.cursor.tell())
            raise

    def take_records(self) -> list[walker.Record]:
        """Return the records other than keys since the last batch, as (offset, id of the row, contents)."""
        records, self._records = self._records, []
        return records

    def enter(self, row: walker.EntryTuple) -> Entry:
        """Return the entry of one of the walker's tuples, as the current one."""
        self._forget()
        self._current = Entry(self, row)
        return self._current

    def _forget(self) -> None:
        """Close the second readings that were opened for the entry before."""
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
        """Record an entry whose key is too long for memory: it is counted, and left out."""
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
        """Yield entries as the walker's tuples, some hundreds at a time: faster than entries, for sums over all keys.

        A batch is empty if only records other than keys were read (take_records). The shape of an entry is None if its
        value is so damaged that the shape cannot be computed (`problems` has the error).

        Raises Truncated, Corrupt or Unsupported at damage of the framing, after all entries before it were yielded.
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
            # A further call on a damaged file must not look like the end of a valid one.
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
        """Return whether no bytes follow."""
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
        """Return whether the file's position is in this entry's body, which is open."""
        return self.walker.is_open and self._current is entry and entry._row[walker.SIZE] < 0

    def _finish(self) -> None:
        """Examine the bytes after the end, and raise if the end mark is not certain."""
        if self.end is not None:
            return
        cursor = self.cursor
        self.end = cursor.tell()
        envelope = self.source.envelope
        if envelope is not None and not cursor.at_end() and envelope.spans(self.end):
            message = "bytes follow the end of the RDB in its compressed data: a server refuses it"
            raise Corrupt(message, offset=self.end, code="trailing-bytes")
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
        # Without a valid checksum this may be a wrong end mark in the middle of a file. An envelope has its own end.
        certain = self.checksum == "good" or self.source.envelope is not None
        if not certain and tail.kind not in ("replication mark", "nothing"):
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
