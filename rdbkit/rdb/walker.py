# cython: language_level=3, annotation_typing=False, boundscheck=False, wraparound=False
# cython: cdivision=True, initializedcheck=False
"""The walk over an RDB file: it finds where every record starts and ends, in file order. All commands use it.

    magic  [ AUX | functions | templates … ]  { SELECTDB RESIZEDB { [expiry] [idle | freq] [meta] TYPE key body }* }*
    EOF crc

Every opcode is accepted anywhere, as servers do: attributes are remembered until the next key, also across AUX fields.
Entries are returned in batches of tuples (the constants below are the positions), so that there is one call into the
compiled core for hundreds of keys. Other records are put in `records`, to be collected between batches. Entries that
the plan does not select are walked over and never built. A key that is longer than the plan's `max_item` is not held:
its entry is skipped, and has a record in place of a tuple.

The plan's `level` determines how a body is walked: HEAD finds its end, SHAPE also computes its shape. With `retain` the
tuple has the body's bytes. An entry that is too long for that is returned *open*, as the last of its batch, with the
cursor at its body: the caller may read it from there, and the rest of it is skipped before the walk continues.

Damage of the framing (a length, a tag, an opcode, the end of the file) hides what follows. It raises, but no entry
before it is lost: the current batch is returned first, the error is raised by the next call. Damage inside a value
hides nothing: the entry is returned without a shape, its error is put in `damages`, and the walk continues.
"""

from __future__ import annotations

from collections.abc import Callable, Container
from dataclasses import dataclass
from typing import Any, Final

from rdbkit.errors import Corrupt, LimitExceeded, RdbkitError, Truncated, Unsupported
from rdbkit.format import spec, versions
from rdbkit.rdb.body import Body
from rdbkit.source.recognise import NUL_CAUSES
from rdbkit.wire.cursor import Cursor, Overflow
from rdbkit.wire.listpack import is_integer
from rdbkit.wire.spool import Spool

HEAD, SHAPE = 0, 1
_SHAPE = SHAPE
_STRING = spec.STRING
#: Kind of the record of an entry whose key is too long for memory: (LimitExceeded, whether it expires).
LONG_KEY: Final = -1
#: The longest key, in bytes, that is held by default.
MAX_ITEM: Final = 1 << 22
#: The upper limit for the plan's value: the longest string that is ever held whole.
_LONGEST = 1 << 29
_LITTLE_ENDIAN_SINCE = versions.LITTLE_ENDIAN_SINCE
#: Names of products in messages, if these are not as in their magic.
_SHOWN = {"valkey": "VALKEY", "dragonfly": "Dragonfly"}
#: Products whose magic others use, too: AUX fields may name another one.
_UNSETTLED = ("redis",)
_AUX, _CRON, _EXPIRETIME_MS = spec.AUX, spec.CRON, spec.EXPIRETIME_MS

#: Positions in an entry. `size` counts from `offset` (the first attribute, else the type byte) to the end of the body.
#: For an open entry it is -1, and shape and body are None; for an entry whose shape is not known, because its value is
#: damaged, only the shape is None. `extra` is None or a dict: "meta" and "members" have the contents of KEY_META and of
#: KeyDB's records for the key, "widths" (old, new) those of Body, if the plan watches them and there are any.
OFFSET: Final = 0
DB: Final = 1
KEY: Final = 2
TYPE: Final = 3
EXPIRES_AT: Final = 4
IDLE: Final = 5
FREQ: Final = 6
BODY_OFFSET: Final = 7
SIZE: Final = 8
SHAPE_OF: Final = 9
BODY: Final = 10
EXTRA: Final = 11

EntryTuple = tuple[int, int, bytes, int, int | None, int | None, int | None, int, int, Any, bytes | None, Any]
Record = tuple[int, int, Any]

#: Entries in a batch, and bytes of keys, retained bodies and records in it.
_BATCH = 256
_BATCH_BYTES = 1 << 20
#: The most bytes walked in one batch, even if few of their entries are selected, so that a caller can show progress.
_BATCH_WALKED = 1 << 24
#: Records, and bytes of them, that `prologue` reads at most; further ones come with the first batches.
_PROLOGUE_RECORDS = 1 << 14
_PROLOGUE_BYTES = 1 << 23
#: AUX values are kept whole up to this size; of longer ones (Active-Active backlogs) only the beginning is kept.
_AUX_KEPT = 1 << 16
#: A function library is kept whole up to this size; of a longer one only the first line is kept.
_FUNCTION_KEPT = 1 << 24
_TEMPLATES_KEPT = 1 << 25
#: The most bytes of members' expiries (KeyDB) that are kept for one entry, and the bytes of a dict for each of them.
_MEMBERS_KEPT = 1 << 24
_MEMBER = 200
#: NUL bytes after a NUL type and an empty key by which a run is recognised, and how far one is counted.
_SOME_NULS = 6
_MOST_NULS = 1 << 26
# Times between 1990 and 2200, in ms, show the byte order in which a time of an old file was written.
_EARLY, _LATE = 631152000000, 7258118400000


@dataclass(frozen=True, slots=True)
class Plan:
    """The selection and depth of a walk.

    `ttl`: pairs (low, high) of expiry times in ms, both inclusive; an entry must be in one of them. None in it selects
    entries without expiry; an empty tuple selects all. `pattern` is a function of the key, such as a compiled regex'
    search. `watches` is for Body: it walks long listpacks. `max_item`: bytes of the longest key that is held.
    """

    level: int = HEAD
    watches: bool = False
    retain: bool = False
    dbs: Container[int] | None = None
    types: Container[str] | None = None
    pattern: Callable[[bytes], object] | None = None
    ttl: tuple[tuple[int, int] | None, ...] = ()
    max_item: int = MAX_ITEM


class Walker:
    """Walks one RDB file from its magic to its checksum.

    After construction `product` ("redis" or "valkey"; AUX fields can change it to "keydb" or "dragonfly") and `version`
    are known.
    """

    def __init__(self, cursor: Cursor, plan: Plan, *, verify: bool = True) -> None:
        self.cursor = cursor
        self.verify = verify
        self.product, self.version = read_magic(cursor)
        self.table = spec.dialect(self.product)
        self.body = Body(cursor)
        self.beside: Body | None = None
        """Walks each body a second time, with other prices (shape.BESIDE)."""
        self.select(plan)
        self.done = False
        self.checksum = "not reached"
        self.stored = 0
        self.computed = 0
        self.records: list[Record] = []
        self.damages: list[RdbkitError] = []
        """The errors of values whose entries were returned without a shape, to be collected between batches."""
        self.stops = False
        """Whether damage inside a value ends the walk, as that of the framing does."""
        self.again: Callable[[int], Cursor] | None = None
        """Returns a second cursor at an offset; None: the input can be read only once."""
        self.error: RdbkitError | None = None
        self.is_open = False
        self.open_kind = 0
        self.db = 0
        self.key: bytes | None = None
        self.held = 0
        self.begun = 0
        self.templates_held = 0
        self.spool: Spool | None = None
        self.member: bytes | None = None
        self.delivered = False
        self.settled = True
        self._forget()

    def _forget(self) -> None:
        """Clear the attributes that belong to the next key."""
        self.first = -1
        self.expires_at: int | None = None
        self.idle: int | None = None
        self.freq: int | None = None
        self.extra: Any = None

    def select(self, plan: Plan) -> None:
        """Use another plan."""
        self.plan = plan
        self.level = plan.level
        self.retain = plan.retain
        self.body.watches = plan.watches
        self.max_item = min(plan.max_item, _LONGEST)
        self.dbs, self.types, self.pattern, self.ttl = plan.dbs, plan.types, plan.pattern, plan.ttl
        self.selects = not (plan.dbs is None and plan.types is None and plan.pattern is None and not plan.ttl)

    def prologue(self) -> None:
        """Read the records before the first key, which name the writer of the file.

        Damage among them is raised by the first call of `batch`.
        """
        try:
            while self.held < _PROLOGUE_BYTES and len(self.records) < _PROLOGUE_RECORDS and not self.cursor.at_end():
                kind = self.table[self.cursor.view[self.cursor.pos]]
                if kind not in _PROLOGUE:
                    return
                self.cursor.pos += 1
                self._record(kind, self.cursor.tell() - 1, [])
        except RdbkitError as error:
            self.error = error

    # -- the loop --------------------------------------------------------------------------------------------------

    def batch(self) -> list[EntryTuple]:
        """Return the next entries, in file order; [] if only records were read or, with `done`, at the end.

        Raises Truncated, Corrupt, Unsupported at the damage, after everything before it was returned.
        """
        if self.error is not None:
            error, self.error = self.error, None
            self.done = True
            raise error
        out: list[EntryTuple] = []
        self.held = 0
        self.begun = self.cursor.base
        try:
            self.finish()
            self._fill(out)
        except RdbkitError as error:
            if self.key is not None:
                error.locate(self.db, self.key)
            if not out:
                self.done = True
                raise
            self.error = error
            self.done = False
        return out

    def finish(self) -> None:
        """Skip an open entry; call it only if nothing of its body was read."""
        if self.is_open:
            self.is_open = False
            self.body.skip(self.open_kind)
        self.key = None

    def _fill(self, out: list[EntryTuple]) -> int:
        cursor = self.cursor
        while not self.done and not self.is_open:
            if cursor.pos >= cursor.end:
                cursor.need(1)
            number = cursor.view[cursor.pos]
            # A KeyDB entry is followed by its members' expiries, so no batch may end between them.
            if (number != _AUX or self.settled) and (
                len(out) >= _BATCH
                or self.held >= _BATCH_BYTES
                or len(self.records) >= _BATCH
                or cursor.base - self.begun > _BATCH_WALKED
            ):
                return 0
            at = cursor.base + cursor.pos
            cursor.pos += 1
            kind = self.table[number]
            if kind < 0:
                self._stranger(number, at)
            if (kind & 0xFF) <= _CRON:
                self._entry(kind, at, out)
            elif kind == _EXPIRETIME_MS:
                if self.first < 0:
                    self.first = at
                self.expires_at = self._time()
            else:
                self._record(kind, at, out)
        return 0

    # Long, because it runs once per key and each call in it costs as much as the rest of a small entry.
    def _entry(self, kind: int, at: int, out: list[EntryTuple]) -> int:
        cursor = self.cursor
        if self.first < 0:
            self.first = at
        # Lengths of less than 16 KiB are recognised by the first byte.
        if cursor.pos < cursor.end and cursor.view[cursor.pos] < 0x80:
            key = cursor.string()
        else:
            bounded = cursor.string_up_to(self.max_item)
            if bounded is None:
                self._pass_by(kind)
                return 0
            key = bounded
        if not key and kind == _STRING:
            self._zeros(at)
        self.key = key
        self.held += len(key)
        start = cursor.base + cursor.pos
        if self.selects and not self._selected(kind, key):
            self.body.skip(kind)
            self.key = None
            self.delivered = False
            self._forget()
            return 0
        self.delivered = True
        self.settled = False
        if self.retain:
            cursor.pinned = cursor.pos
            try:
                shape = self._walked(kind, start)
            except Overflow:
                cursor.pos = cursor.pinned
                cursor.pinned = -1
                self._open(kind, key, start, out)
                return 0
            body = cursor.data[cursor.pinned : cursor.pos]
            cursor.pinned = -1
            self.held += len(body)
        else:
            shape = self._walked(kind, start)
            body = None
        size = cursor.base + cursor.pos - self.first
        if shape is not None and self.body.watches and (self.body.old_widths or self.body.new_widths):
            self.extra = {**(self.extra or {}), "widths": (self.body.old_widths, self.body.new_widths)}
        out.append(
            (
                self.first,
                self.db,
                key,
                kind,
                self.expires_at,
                self.idle,
                self.freq,
                start,
                size,
                shape,
                body,
                self.extra,
            )
        )
        self.key = None
        self.first = -1
        self.expires_at = self.idle = self.freq = self.extra = None
        return 0

    def _pass_by(self, kind: int) -> None:
        """Skip the body of an entry whose key is too long for memory, and add a record."""
        size, first = self.cursor.passed, self.first
        if not self.selects or self._selected(kind, None):
            error = LimitExceeded(
                f"a key of {size} bytes is longer than {self.max_item}: it and its value were left out",
                offset=first,
                db=self.db,
            )
            self.records.append((first, LONG_KEY, (error, self.expires_at is not None)))
        self.delivered = False
        self._forget()
        self.body.skip(kind)

    def _zeros(self, at: int) -> None:
        """Raise for a run of NUL bytes, which reads as a sequence of empty strings with the empty key.

        The first such entry, of three or four NUL bytes, can be real; the second would be a duplicate key.
        """
        cursor = self.cursor
        while cursor.end - cursor.pos < _SOME_NULS and cursor.more(_SOME_NULS):
            pass
        head = cursor.data[cursor.pos : min(cursor.end, cursor.pos + _SOME_NULS)]
        if cursor.base + cursor.pos != at + 2 or head.strip(b"\0") or len(head) < _SOME_NULS:
            return
        window = cursor.data[: cursor.pos]
        start = cursor.tell() - max(len(window) - len(window.rstrip(b"\0")), 2)
        most = cursor.tell() + _MOST_NULS
        while cursor.tell() < most:
            rest = cursor.data[cursor.pos : cursor.end]
            cursor.pos = cursor.end - len(rest.lstrip(b"\0"))
            if cursor.pos < cursor.end or not cursor.more(1):
                break
        least = "at least " if cursor.tell() >= most else ""
        count = cursor.tell() - start
        raise Corrupt(
            f"a run of {least}{count} NUL bytes at offset {start}: {NUL_CAUSES}", offset=start, code="nul-run"
        )

    def _walked(self, kind: int, start: int) -> Any:
        """Walk the body that begins at `start`; return its shape, None if it is not needed or the body is damaged."""
        if self.level != _SHAPE:
            self.body.skip(kind)
            return None
        try:
            return self._walk(kind)
        except RdbkitError as error:
            error.locate(self.db, self.key)
            if not self.stops:
                self._step_over(kind, start, error)
            self.damages.append(error)
            if self.stops:
                raise
            return None

    def _step_over(self, kind: int, start: int, error: RdbkitError) -> None:
        """Skip to the end of a body from the point at which its shape failed; raise `error` if that is not possible."""
        cursor = self.cursor
        try:
            if start >= cursor.base:
                cursor.pos = start - cursor.base
                self.body.skip(kind)
                return
            if self.again is None:
                # A part of it has left the window, and the input can be read only once.
                raise error
            beside = self.again(start)
            Body(beside, templates=self.body.templates).skip(kind)
            ahead = beside.tell() - cursor.tell()
            if ahead < 0:
                raise error
            cursor.skip(ahead)
        except RdbkitError:
            # The first error has the offset of the damage.
            raise error from None

    def leave_damaged(self, kind: int, start: int, error: RdbkitError) -> bool:
        """Leave an open body whose reading failed; False, and the walk ends, if the body's end cannot be found.

        `start` is where the body begins.
        """
        self.is_open = False
        try:
            if self.stops:
                raise error
            self._step_over(kind, start, error)
        except RdbkitError:
            self.error = error
            return False
        return True

    def _walk(self, kind: int) -> Any:
        if self.beside is not None and kind != _STRING:
            return self._walk_twice(kind)
        return self.body.shape(kind)

    def _walk_twice(self, kind: int) -> Any:
        cursor = self.cursor
        if self.retain:
            # It is pinned already, and the caller handles a body that is too long.
            return self._both(kind)
        cursor.pinned = cursor.pos
        try:
            return self._both(kind)
        except Overflow:
            cursor.pos = cursor.pinned
            cursor.pinned = -1
            return self.body.shape(kind)
        finally:
            cursor.pinned = -1

    def _both(self, kind: int) -> Any:
        """Walk the pinned body by both price tables."""
        cursor = self.cursor
        beside = self.beside
        shape = self.body.shape(kind)
        if beside is not None:
            cursor.pos = cursor.pinned
            shape += (beside.shape(kind),)
        return shape

    def _open(self, kind: int, key: bytes, start: int, out: list[EntryTuple]) -> None:
        self.is_open = True
        self.open_kind = kind
        out.append(
            (self.first, self.db, key, kind, self.expires_at, self.idle, self.freq, start, -1, None, None, self.extra)
        )
        self._forget()

    def _selected(self, kind: int, key: bytes | None) -> bool:
        """Return whether the plan selects an entry; for one whose key is not held, whether it may do so."""
        if self.dbs is not None and self.db not in self.dbs:
            return False
        if self.types is not None and spec.BY_ID[kind].type not in self.types:
            return False
        if self.ttl and not self._due():
            return False
        return self.pattern is None or key is None or bool(self.pattern(key))

    def _due(self) -> bool:
        for window in self.ttl:
            if window is None:
                if self.expires_at is None:
                    return True
            elif self.expires_at is not None and window[0] <= self.expires_at <= window[1]:
                return True
        return False

    def _stranger(self, number: int, at: int) -> None:
        cursor = self.cursor
        while cursor.end - cursor.pos < 2 and cursor.more(2):
            pass
        if number == 0xEF and cursor.data[cursor.pos : cursor.pos + 2] == b"\xbf\xbd":
            message = "copied as text: bytes became UTF-8 replacement characters (EF BF BD)"
            raise Corrupt(message, offset=at, code="text-copy")
        name = _SHOWN.get(self.product, "REDIS")
        raise Corrupt(
            f"unknown type or opcode {number} ({number:#04x}) in a {name} file of RDB version {self.version}",
            offset=at,
            code="unknown-type",
        )

    # -- records ---------------------------------------------------------------------------------------------------

    def _record(self, kind: int, at: int, out: list[EntryTuple]) -> None:
        row = spec.BY_ID[kind]
        if row.status == "refused":
            code = "unsupported-type" if row.type else "unsupported-opcode"
            raise Unsupported(f"{row.number} {row.name} ({row.server}) is known by name only", offset=at, code=code)
        handler = _RECORDS[kind]
        if kind in _ATTRIBUTES and self.first < 0:
            self.first = at
        payload = handler(self, out)
        if payload is not None:
            self.records.append((at, kind, payload))
            self.settled = True

    def _time(self) -> int | None:
        cursor = self.cursor
        if self.version >= _LITTLE_ENDIAN_SINCE:
            time = cursor.fixed_signed(8)
        else:
            raw = cursor.take(8)
            time = int.from_bytes(raw, "little", signed=True)
            swapped = int.from_bytes(raw, "big", signed=True)
            # Before RDB 9 the writer's byte order; it is not in the file, but a plausible time is plausible in one
            # order only.
            if not _EARLY <= time <= _LATE and _EARLY <= swapped <= _LATE:
                time = swapped
        return None if time == -1 else time

    def _on_expire_ms(self, out: list[EntryTuple]) -> None:
        self.expires_at = self._time()

    def _on_expire_s(self, out: list[EntryTuple]) -> None:
        time = self.cursor.fixed_signed(4)
        self.expires_at = None if time == -1 else time * 1000

    def _on_idle(self, out: list[EntryTuple]) -> None:
        self.idle = self.cursor.length()

    def _on_freq(self, out: list[EntryTuple]) -> None:
        self.freq = self.cursor.u8()

    def _on_select(self, out: list[EntryTuple]) -> int:
        self.db = self.cursor.length()
        return self.db

    def _on_resize(self, out: list[EntryTuple]) -> tuple[int, int, int]:
        return self.db, self.cursor.length(), self.cursor.length()

    def _on_aux(self, out: list[EntryTuple]) -> tuple[bytes, bytes, int] | None:
        name = self._text(_AUX_KEPT)[0]
        value, size = self._text(_AUX_KEPT)
        lower = name.lower()
        if lower in _MARKS:
            self._learn(_MARKS[lower])
            if lower == b"mvcc-tstamp" or (lower.startswith(b"keydb-subexpire") and self._subexpire(lower, value, out)):
                return None
        return name, value, size

    def _text(self, kept: int) -> tuple[bytes, int]:
        """Read a string, of which at most `kept` bytes are needed; return these, or fewer, and its size."""
        size, inside = self.cursor.open_string()
        text = inside.take(size if size <= kept else min(kept, _AUX_KEPT))
        inside.skip(size - len(text))
        self.held += len(text)
        return text, size

    def _learn(self, product: str) -> None:
        """Set the product that wrote the file, if its magic does not determine it."""
        if product and self.product in _UNSETTLED:
            self.product = product
            self.table = spec.dialect(product)

    def _subexpire(self, name: bytes, value: bytes, out: list[EntryTuple]) -> bool:
        """Add a member's expiry to the entry before it (KeyDB: the pair of records follows its key).

        Returns False if that entry was already returned (open), has too many of them, or no member was named before:
        then the record is treated as any other.
        """
        if name == b"keydb-subexpire-key":
            self.member = value
            return True
        member, self.member = self.member, None
        if not self.delivered:
            return True
        if member is None or not out or self.first >= 0 or self.held > _MEMBERS_KEPT:
            return False
        if not is_integer(value):
            raise Corrupt("a member's expiry that is no number", offset=self.cursor.tell(), code="bad-aux")
        when = int(value)
        last = len(out) - 1
        entry = out[last]
        if entry[EXTRA] is None:
            entry = out[last] = (*entry[:EXTRA], {})
        entry[EXTRA].setdefault("members", {})[member] = when
        self.held += len(member) + _MEMBER
        return True

    def _on_function(self, out: list[EntryTuple]) -> tuple[bytes, int]:
        return self._text(_FUNCTION_KEPT)

    def _on_function_pre_ga(self, out: list[EntryTuple]) -> tuple[bytes, int]:
        name = self._text(_AUX_KEPT)[0]
        engine = self._text(_AUX_KEPT)[0]
        if self.cursor.length():
            self._text(0)
        code, size = self._text(_FUNCTION_KEPT)
        head = b"#!" + engine.lower() + b" name=" + name + b"\n"
        return head + code, len(head) + size

    def _on_module_aux(self, out: list[EntryTuple]) -> tuple[int, int]:
        cursor = self.cursor
        module = cursor.length()
        start = cursor.tell()
        if cursor.length() != spec.MODULE_UINT:
            raise Corrupt("module aux data without its `when`", offset=start, code="bad-module")
        when = cursor.length()
        self.body.module_parts()
        return module, when

    def _on_slot_info(self, out: list[EntryTuple]) -> tuple[int, int, int]:
        return self.cursor.length(), self.cursor.length(), self.cursor.length()

    def _on_slot_import(self, out: list[EntryTuple]) -> tuple[bytes, list[tuple[int, int]]]:
        job = self._text(_AUX_KEPT)[0]
        ranges: list[tuple[int, int]] = []
        for _ in range(self.cursor.claim()):
            pair = (self.cursor.length(), self.cursor.length())
            if len(ranges) < 0x4000:
                ranges.append(pair)
        self.held += 128 * len(ranges)
        return job, ranges

    def _on_template(self, out: list[EntryTuple]) -> tuple[int, int]:
        cursor = self.cursor
        start = cursor.tell()
        template = cursor.length()
        count = cursor.claim()
        fields: list[Any] = []
        self.spool = cursor.spool = self.spool or Spool()
        while len(fields) < count:
            batch = cursor.strings(min(count - len(fields), _BATCH))
            self.templates_held += sum(len(name) for name in batch if isinstance(name, bytes)) + 64 * len(batch)
            if self.templates_held > _TEMPLATES_KEPT:
                raise LimitExceeded("hash templates of more than 32 MiB", offset=start)
            fields += batch
        cursor.spool = None
        if not fields or template in self.body.templates:
            problem = "twice" if fields else "without fields"
            raise Corrupt(f"hash template {template} {problem}", offset=start, code="bad-template")
        self.body.templates[template] = tuple(fields)
        return template, count

    def _on_key_meta(self, out: list[EntryTuple]) -> None:
        cursor = self.cursor
        start = cursor.tell()
        classes = cursor.length()
        if not 1 <= classes <= 7:
            raise Corrupt(f"{classes} classes of key metadata", offset=start, code="bad-key-meta")
        found = []
        for _ in range(classes):
            found.append(cursor.fixed(4))
            self.body.module_parts()
        self.extra = {**(self.extra or {}), "meta": tuple(found)}

    def _on_length(self, out: list[EntryTuple]) -> None:
        self.cursor.length()

    def _on_end(self, out: list[EntryTuple]) -> int:
        cursor = self.cursor
        if self.version < versions.CHECKSUM_SINCE:
            self.checksum = "absent"
            self.done = True
            return 0
        self.computed = cursor.checksum()
        self.stored = int.from_bytes(cursor.take(8), "little")
        self.done = True
        if not self.stored:
            self.checksum = "disabled"
        elif not self.verify:
            self.checksum = "not verified"
        elif self.stored == self.computed:
            self.checksum = "good"
        else:
            self.checksum = "wrong"
            raise Corrupt(
                f"checksum {self.computed:016x} instead of {self.stored:016x}",
                offset=cursor.tell() - 8,
                code="checksum-mismatch",
            )
        return 0


def read_magic(cursor: Cursor) -> tuple[str, int]:
    """Read the nine bytes that open an RDB file; return product and version.

    Raises Unsupported for another format or a version newer than known, Truncated if the nine bytes are not all there.
    """
    if cursor.at_end():
        raise Truncated("the file is empty", offset=cursor.tell(), code="empty")
    at = cursor.tell()
    try:
        cursor.need(9)
    except Truncated:
        if versions.may_be_magic(cursor.data[cursor.pos : cursor.pos + versions.MAGIC_SIZE]):
            raise
    magic = cursor.data[cursor.pos : cursor.pos + versions.MAGIC_SIZE]
    product = versions.product_of_magic(magic)
    if product is None:
        raise Unsupported("not an RDB file: it does not start with REDIS or VALKEY", offset=at, code="not-rdb")
    header = versions.HEADERS[product]
    digits = magic[len(header.magic) :]
    if not digits.isdigit() or not int(digits):
        raise Corrupt(f"no RDB version in {magic!r}", offset=at, code="bad-version")
    version = int(digits)
    if not versions.is_known(product, version):
        raise Unsupported(
            f"{product.upper()} RDB version {version}; this version of rdbkit reads up to {header.last}",
            offset=at,
            code="unsupported-version",
        )
    cursor.skip(9)
    return product, version


#: AUX names that identify the writer of a file, or belong to a product's own records.
_MARKS = {
    b"df-ver": "dragonfly",
    b"mvcc-tstamp": "keydb",
    b"keydb-subexpire-key": "keydb",
    b"keydb-subexpire-when": "keydb",
    b"repl-masters": "keydb",
}
_ATTRIBUTES = frozenset((spec.EXPIRETIME_MS, spec.EXPIRETIME, spec.IDLE, spec.FREQ, spec.KEY_META, spec.RAM_LRU))
_PROLOGUE = frozenset(
    (
        spec.AUX,
        spec.MODULE_AUX,
        spec.FUNCTION2,
        spec.FUNCTION_PRE_GA,
        spec.HASH_TEMPLATE,
        spec.SLOT_IMPORT,
        # KeyDB does not mark its files; an active replica marks keys, by a record directly before the key.
        spec.SELECTDB,
        spec.RESIZEDB,
        spec.EXPIRETIME_MS,
        spec.IDLE,
        spec.FREQ,
    )
)
_RECORDS: dict[int, Callable[[Walker, list[EntryTuple]], Any]] = {
    spec.EXPIRETIME_MS: Walker._on_expire_ms,
    spec.EXPIRETIME: Walker._on_expire_s,
    spec.IDLE: Walker._on_idle,
    spec.FREQ: Walker._on_freq,
    spec.SELECTDB: Walker._on_select,
    spec.RESIZEDB: Walker._on_resize,
    spec.AUX: Walker._on_aux,
    spec.FUNCTION2: Walker._on_function,
    spec.FUNCTION_PRE_GA: Walker._on_function_pre_ga,
    spec.MODULE_AUX: Walker._on_module_aux,
    spec.SLOT_INFO: Walker._on_slot_info,
    spec.SLOT_IMPORT: Walker._on_slot_import,
    spec.HASH_TEMPLATE: Walker._on_template,
    spec.KEY_META: Walker._on_key_meta,
    spec.RAM_LRU: Walker._on_length,
    spec.SLOT_NUM: Walker._on_length,
    spec.EOF: Walker._on_end,
}
