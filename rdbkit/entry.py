"""One key of a snapshot: what is known of it at once, and what is read of its body when asked for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from rdbkit.errors import LimitExceeded, Passed, RdbkitError
from rdbkit.format import spec
from rdbkit.format.shape import BLOB, COST, DETAIL, ELEMENTS, LENGTH
from rdbkit.rdb import walker
from rdbkit.rdb.value_checks import errors, level_of, whole_value
from rdbkit.rdb.values import DECODERS, Decoder, Parts
from rdbkit.releases.encodings import Encoding
from rdbkit.wire import lzf
from rdbkit.wire.cursor import Cursor
from rdbkit.wire.spool import Spool

if TYPE_CHECKING:
    from rdbkit.memory.model import Model
    from rdbkit.rdb.body import Body
    from rdbkit.source import Source
    from rdbkit.source.copied import Copy


#: Hashes whose field names are elsewhere in the file.
_TEMPLATED = (spec.HASH_TMPL_LP_REF, spec.HASH_TMPL_ARRAY_REF)


class Reading(Protocol):
    """The reading of a file that an entry belongs to: a Snapshot."""

    cursor: Cursor
    walker: walker.Walker
    templates: dict[int, tuple[bytes, ...]]
    encode: Encoding

    @property
    def on_damage(self) -> str: ...  # noqa: D102

    def model(self) -> Model:
        """Return the model of memory."""

    def measure(self, cursor: Cursor, /) -> Body:
        """Return a walker of bodies."""

    def is_open(self, entry: Entry, /) -> bool:
        """Return whether the file is at this entry's body."""

    def pass_open(self) -> Copy | None:
        """Walk over the open body."""

    def reopen(self, offset: int, /) -> Source:
        """Return the file once more, at an offset."""

    def note(self, error: RdbkitError, /, *, of_entry: bool = True) -> None:
        """Count damage, of an entry or of another record."""

    @property
    def stopped(self) -> bool:
        """Whether damage has ended the reading."""


class Sink(Protocol):
    """Anything that takes bytes."""

    def write(self, data: bytes, /) -> object:
        """Take bytes."""


@dataclass(frozen=True, slots=True)
class Record:
    """A detached entry: the same fields, independent of the file."""

    offset: int
    db: int
    key: bytes
    type: str
    encoding: str | None
    expires_at: int | None
    idle: int | None
    freq: int | None
    elements: int | None
    size: int
    memory: int | None
    memory_sd: int | None
    value: Any
    field_expires_at: dict[bytes, int] = field(default_factory=dict)


class _Live(Decoder):
    """Reads an open body from the file itself. At damage the walk goes on after it, or ends (Walker.leave_damaged)."""

    def __init__(self, kind: int, snapshot: Reading, start: int, spool: Spool | None) -> None:
        super().__init__(kind, snapshot.cursor, snapshot.templates, spool)
        # The file's cursor may have that of an earlier entry.
        self.cursor.spool = spool
        self._snapshot = snapshot
        self._start = start

    def parts(self) -> Parts:
        """Return the lists of parts; at their damage the snapshot's walk steps over the rest, or ends."""
        if self._run is None:
            self._run = self._watched()
        return self._run

    def _watched(self) -> Parts:
        try:
            yield from DECODERS[self.kind](self)
        except RdbkitError as error:
            self._snapshot.walker.leave_damaged(self.kind, self._start, error)
            raise


class Entry:
    """One key of a snapshot, valid until the next one is asked for.

    `offset` (bytes, absolute), `db`, `key`, `type` (one of rdb.spec.TYPES), `expires_at` (ms since epoch), `idle` (s)
    and `freq` (0 to 255) are known at once; the last three are None where the file has none. Everything else reads on.

    Reading a damaged value raises Corrupt, Truncated or Unsupported, with code, offset, db and key; the next entry can
    be asked for all the same (Snapshot says when not).
    """

    __slots__ = ("_copy", "_damaged", "_fields", "_live", "_passed", "_row", "_shape", "_size", "_snapshot")

    def __init__(self, snapshot: Reading, row: walker.EntryTuple) -> None:
        self._snapshot = snapshot
        self._row = row
        self._size = row[walker.SIZE]
        self._shape = row[walker.SHAPE_OF]
        self._fields: dict[bytes, int] | None = None
        # An open body can be read once from where the file stands: by a decoder, or by a walk for its shape.
        self._live: Decoder | None = None
        self._passed = False
        self._copy: Copy | None = None
        # Whether its damage is counted: an entry that was walked for its shape and has none, the walk has counted.
        self._damaged = self._shape is None and self._size >= 0 and snapshot.walker.level == walker.SHAPE

    def __repr__(self) -> str:
        return f"<Entry {self.type} {self.key!r} db={self.db} offset={self.offset}>"

    @property
    def snapshot(self) -> Reading:
        """The snapshot that it is an entry of."""
        return self._snapshot

    @property
    def offset(self) -> int:
        """Where the entry starts: its first attribute, else its type byte."""
        return self._row[walker.OFFSET]

    @property
    def db(self) -> int:
        """Number of the database."""
        return self._row[walker.DB]

    @property
    def key(self) -> bytes:
        """The key."""
        return self._row[walker.KEY]

    @property
    def type(self) -> str:
        """What TYPE answers; "module" for vector sets, JSON and other modules' types."""
        return spec.BY_ID[self._row[walker.TYPE]].type

    @property
    def type_id(self) -> int:
        """Row of rdb.spec that the entry was written as."""
        return self._row[walker.TYPE]

    @property
    def expires_at(self) -> int | None:
        """Expiry in ms since epoch."""
        return self._row[walker.EXPIRES_AT]

    @property
    def idle(self) -> int | None:
        """Seconds since the last access."""
        return self._row[walker.IDLE]

    @property
    def freq(self) -> int | None:
        """LFU counter, 0 to 255."""
        return self._row[walker.FREQ]

    @property
    def body(self) -> bytes | None:
        """The retained bytes of the body; None where there were too many, or it was not asked for."""
        return self._row[walker.BODY]

    @property
    def size(self) -> int:
        """Serialized bytes, attributes and key included."""
        if self._size < 0:
            self._finish()
        return self._size

    @property
    def elements(self) -> int | None:
        """Elements as LLEN, SCARD, ZCARD, HLEN, XLEN, ARCOUNT count them; 1 for a string, None for a module."""
        count: int = self._measured()[ELEMENTS]
        return None if count < 0 else count

    @property
    def encoding(self) -> str | None:
        """OBJECT ENCODING after the target loaded the file; None where no server of that version has the type."""
        return self._snapshot.encode(
            self._row[walker.TYPE], self._measured(), len(self.key), self.expires_at is not None
        )

    @property
    def memory(self) -> int | None:
        """Bytes that MEMORY USAGE would answer after the target loaded the file; None: unknown.

        An expectation where `memory_sd` is not 0.
        """
        return self._figure()[0]

    @property
    def memory_sd(self) -> int | None:
        """Standard deviation of `memory`; 0: exact, None: unknown."""
        return self._figure()[1]

    def _figure(self) -> tuple[int | None, int | None]:
        model = self._snapshot.model()
        if model.prices is None:
            return None, None
        shape = self._measured()
        if len(shape) <= COST and self.type_id != spec.STRING:
            shape = self._weighed()
        row = self._row
        expires = row[walker.EXPIRES_AT] is not None
        return model.of(row[walker.TYPE], shape, len(self.key), expires, self.encoding, row[walker.EXTRA])

    @property
    def value(self) -> Any:
        """The value whole, in the shapes of rdb.values; hashes' field expiries are in `field_expires_at`.

        Raises for a damaged value, also for one that can be decoded and not be given whole, because it has a member or
        field twice, a score that is no number, or bytes left over: `parts()` gives what is in it.
        """
        with self.located():
            found, self._fields = whole_value(self.decoder(), self._decoder_again, self.end, self.offset)
        return found

    @property
    def end(self) -> int | None:
        """Offset at which the entry ends; None while it is not known."""
        return None if self._size < 0 else self.offset + self._size

    def errors(self) -> list[RdbkitError]:
        """Return what is wrong with a value that can be decoded and has more in it than a value can, or less.

        These are the findings of severity "error" that `check` gives of it. Raises where it cannot be decoded.
        """
        with self.located():
            found = errors(self._decoder_again, self.end, self.offset)
        for error in found:
            error.locate(self.db, self.key)
        return found

    @property
    def field_expires_at(self) -> dict[bytes, int]:
        """Expiries of a hash's fields (in KeyDB's files of a set's members, too), ms since epoch."""
        if self._fields is None:
            _ = self.value
        return {**(self._fields or {}), **self.members()}

    @property
    def meta(self) -> tuple[int, ...]:
        """Class specs of the key's metadata (KEY_META, Redis 8.6)."""
        extra = self._row[walker.EXTRA]
        found: tuple[int, ...] = extra.get("meta", ()) if extra else ()
        return found

    @property
    def names_are_long(self) -> bool:
        """Whether the file has hash templates with field names that are too long to be held."""
        spool = self._snapshot.walker.spool
        return spool is not None and spool.count > 0

    def members(self) -> dict[bytes, int]:
        """Return the expiries that KeyDB's records give of the value's members."""
        extra = self._row[walker.EXTRA]
        found: dict[bytes, int] = extra.get("members", {}) if extra else {}
        return found

    def decoder(self, spool: Spool | None = None) -> Decoder:
        """Return a reader of the body: its `parts()` in batches, and afterwards what else the body told.

        With a spool, what is too long to be held comes as LongItems. Raises Passed where the body is behind us on a
        pipe.
        """
        row = self._row
        start = row[walker.BODY_OFFSET]
        body = row[walker.BODY]
        if body is not None:
            cursor = Cursor(body, base=start)
        elif self._snapshot.is_open(self) and not self._passed:
            self._passed = True
            self._live = _Live(row[walker.TYPE], self._snapshot, start, spool)
            return self._live
        else:
            cursor = self._again()
        return Decoder(row[walker.TYPE], cursor, self._snapshot.templates, spool)

    def _decoder_again(self) -> Decoder:
        """Return a second reader of the body, after one from `decoder`, for what `rdb.check` looks at."""
        row = self._row
        body = row[walker.BODY]
        cursor = self._again() if body is None else Cursor(body, base=row[walker.BODY_OFFSET])
        return Decoder(row[walker.TYPE], cursor, self._snapshot.templates, Spool(level_of(row[walker.TYPE])))

    def settle(self) -> None:
        """Have the body where it can be read as often as needed, and the walk after it: damage in it is its own then.

        Of a body over 1 MiB in an input that cannot be read again a copy is made, in temporary space, until the next
        entry. What this raises is damage of the framing; OSError: there is no temporary space.
        """
        if not self._passed and self._snapshot.is_open(self):
            self._passed = True
            try:
                self._copy = self._snapshot.pass_open()
            except RdbkitError as error:
                error.locate(self.db, self.key)
                raise
            self._size = self._snapshot.cursor.tell() - self.offset

    def parts(self) -> Iterator[Any]:
        """Yield the value one part at a time, in file order, for values that do not fit in memory.

        Chunks of bytes · elements · members · (member, score) · (field, value, expires_at | None) · (id, fields) ·
        (index, value) · (kind, value).
        """
        with self.located():
            for batch in self.decoder().parts():
                yield from batch

    def copy_to(self, out: Sink) -> int:
        """Write the body's bytes as they stand in the file; return how many."""
        body = self._row[walker.BODY]
        if body is not None:
            out.write(body)
            return len(body)
        # Passed comes first, while an open body is still there to be read otherwise.
        self._again()
        size = self.offset + self.size - self._row[walker.BODY_OFFSET]
        for piece in self._again().pieces(size):
            out.write(piece)
        return size

    def detach(self) -> Record:
        """Return a frozen record of everything, the value included."""
        found = self.value
        return Record(
            self.offset,
            self.db,
            self.key,
            self.type,
            self.encoding,
            self.expires_at,
            self.idle,
            self.freq,
            self.elements,
            self.size,
            self.memory,
            self.memory_sd,
            found,
            self.field_expires_at,
        )

    def unpacked(self) -> int:
        """Return about how many bytes a retained body comes to where its strings are unpacked.

        Only heads are looked at. Of a body whose heads contradict themselves: the most that it can come to.
        """
        row = self._row
        body = row[walker.BODY]
        assert body is not None
        try:
            shape = self._snapshot.measure(Cursor(body, base=row[walker.BODY_OFFSET])).shape(row[walker.TYPE])
        except RdbkitError:
            return len(body) * lzf.RATIO
        held: int = shape[LENGTH] + shape[BLOB]
        if row[walker.TYPE] in _TEMPLATED:
            held += sum(map(len, self._snapshot.templates.get(shape[DETAIL], ())))
        return held

    # -- the body --------------------------------------------------------------------------------------------------

    @contextmanager
    def located(self) -> Iterator[None]:
        """Name this entry in the errors that reading its body raises, and have the snapshot count its damage."""
        try:
            yield
        except RdbkitError as error:
            error.locate(self.db, self.key)
            self.note(error)
            raise

    def note(self, error: RdbkitError) -> None:
        """Have the snapshot count that the value is damaged, unless that ends the reading of all, or is counted."""
        fatal = error is self._snapshot.walker.error and self._snapshot.on_damage != "stop"
        if not (self._damaged or fatal or isinstance(error, Passed | LimitExceeded)):
            self._damaged = True
            self._snapshot.note(error)

    def _again(self) -> Cursor:
        """Return a cursor that stands at the body once more."""
        start = self._row[walker.BODY_OFFSET]
        if self._copy is not None:
            return self._copy.cursor()
        with self.located():
            return Cursor(source=self._snapshot.reopen(start), base=start)

    def _measured(self) -> Any:
        if self._shape is None:
            self._finish()
        return self._shape

    def _finish(self) -> None:
        """Walk the body for its shape and size: the retained one, where the file stands, or once more."""
        snapshot = self._snapshot
        body = self._row[walker.BODY]
        here = snapshot.is_open(self) and not self._passed
        if body is not None:
            cursor = Cursor(body, base=self._row[walker.BODY_OFFSET])
        else:
            cursor = snapshot.cursor if here else self._again()
            self._passed = True
        try:
            with self.located():
                self._shape = snapshot.measure(cursor).shape(self._row[walker.TYPE])
        except RdbkitError as error:
            if here and snapshot.walker.leave_damaged(self._row[walker.TYPE], self._row[walker.BODY_OFFSET], error):
                self._size = cursor.tell() - self.offset
            raise
        self._size = cursor.tell() - self.offset
        if here:
            snapshot.walker.is_open = False

    def _weighed(self) -> Any:
        """Walk the body once more, with the target's terms: it went by before anybody asked for memory."""
        body = self._row[walker.BODY]
        cursor = self._again() if body is None else Cursor(body, base=self._row[walker.BODY_OFFSET])
        with self.located():
            self._shape = self._snapshot.measure(cursor).shape(self._row[walker.TYPE])
        return self._shape

    def leave(self) -> None:
        """Read to the end what was begun of an open body; the snapshot calls it before it goes on."""
        if self._live is not None:
            try:
                with self.located():
                    for _ in self._live.parts():
                        pass
            except RdbkitError as error:
                if self._snapshot.walker.error is error:
                    raise
            self._snapshot.walker.is_open = False
