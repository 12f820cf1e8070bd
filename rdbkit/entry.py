"""One key of a snapshot: the fields that are known at once, and those that are read from its body on request."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from rdbkit.errors import LimitExceeded, Passed, RdbkitError
from rdbkit.format import spec
from rdbkit.format.shape import BLOB, COST, DETAIL, ELEMENTS, LENGTH, REPLAYED, Replayed
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


class EntrySource(Protocol):
    """What an entry needs of the reading of its file: a Snapshot."""

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
        """Return a second reader of the file, at an offset."""

    def note(self, error: RdbkitError, /, *, of_entry: bool = True) -> None:
        """Record damage, of an entry or of another record."""

    @property
    def stopped(self) -> bool:
        """Whether damage has ended the reading."""


class Sink(Protocol):
    """An object to which bytes are written."""

    def write(self, data: bytes, /) -> object:
        """Write bytes."""


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
    size: int | None
    memory: int | None
    memory_sd: int | None
    value: Any
    field_expires_at: dict[bytes, int] = field(default_factory=dict)


class _Live(Decoder):
    """Reads an open body from the file itself. After damage the walk continues, or ends (Walker.leave_damaged)."""

    def __init__(self, kind: int, snapshot: EntrySource, start: int, spool: Spool | None) -> None:
        super().__init__(kind, snapshot.cursor, snapshot.templates, spool)
        # The file's cursor may still have the spool of an earlier entry.
        self.cursor.spool = spool
        self._snapshot = snapshot
        self._start = start

    def parts(self) -> Parts:
        """Return the lists of parts; if they are damaged, the snapshot's walk skips the rest, or ends."""
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
    """One key of a snapshot, valid until the next one is read.

    `offset` (bytes, absolute), `db`, `key`, `type` (one of format.spec.TYPES), `expires_at` (ms since epoch), `idle`
    (s) and `freq` (0 to 255) are known at once; the last three are None if the file has none. Everything else is read
    from the body.

    Reading a damaged value raises Corrupt, Truncated or Unsupported, with code, offset, db and key; the next entry can
    usually be read after that (see Snapshot for the exceptions).
    """

    __slots__ = ("_copy", "_damaged", "_fields", "_live", "_passed", "_row", "_shape", "_size", "_snapshot")

    def __init__(self, snapshot: EntrySource, row: walker.EntryTuple) -> None:
        self._snapshot = snapshot
        self._row = row
        self._size = row[walker.SIZE]
        self._shape = row[walker.SHAPE_OF]
        self._fields: dict[bytes, int] | None = None
        # An open body can be read once from the file's position: by a decoder, or by a walk for its shape.
        self._live: Decoder | None = None
        self._passed = False
        self._copy: Copy | None = None
        # Whether its damage is counted. If the entry was walked and has no shape, the walk has counted it.
        self._damaged = self._shape is None and self._size >= 0 and snapshot.walker.level == walker.SHAPE

    def __repr__(self) -> str:
        return f"<Entry {self.type} {self.key!r} db={self.db} offset={self.offset}>"

    @property
    def snapshot(self) -> EntrySource:
        """The snapshot to which the entry belongs."""
        return self._snapshot

    @property
    def row(self) -> walker.EntryTuple:
        """The walker's tuple."""
        return self._row

    @property
    def offset(self) -> int:
        """Offset at which the entry starts: its first attribute, else its type; after a replay, of its last write."""
        found = self.replayed
        return self._row[walker.OFFSET] if found is None else found.offset

    @property
    def replayed(self) -> Replayed | None:
        """What a replay knows of the key; None for an entry of an RDB."""
        extra = self._row[walker.EXTRA]
        return None if extra is None else extra.get(REPLAYED)

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
        """The reply of TYPE; "module" for vector sets, JSON and other modules' types."""
        return spec.BY_ID[self._row[walker.TYPE]].type

    @property
    def type_id(self) -> int:
        """Id of the row in format.spec for the type as which the entry was written."""
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
        """The retained bytes of the body; None if there were too many, or if retaining was not requested."""
        return self._row[walker.BODY]

    @property
    def size(self) -> int | None:
        """Serialized bytes, attributes and key included; None after a replay."""
        return None if self.replayed is not None else self._length()

    def _length(self) -> int:
        if self._size < 0:
            self._finish()
        return self._size

    @property
    def elements(self) -> int | None:
        """Elements as LLEN, SCARD, ZCARD, HLEN, XLEN, ARCOUNT, PHCARD, BITCOUNT count them; None for a module.

        For a string 1.
        """
        count: int = self._measured()[ELEMENTS]
        return None if count < 0 else count

    @property
    def encoding(self) -> str | None:
        """OBJECT ENCODING after the target loaded the file; None if no server of that version has the type."""
        found = self.replayed
        if found is not None and found.encoding is not None:
            return found.encoding
        return self._snapshot.encode(
            self._row[walker.TYPE], self._measured(), len(self.key), self.expires_at is not None
        )

    @property
    def memory(self) -> int | None:
        """Bytes that MEMORY USAGE would return after the target loaded the file; None: unknown.

        This is an expected value if `memory_sd` is not 0.
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
            shape = self._priced()
        row = self._row
        expires = row[walker.EXPIRES_AT] is not None
        return model.of(row[walker.TYPE], shape, len(self.key), expires, self.encoding, row[walker.EXTRA])

    @property
    def value(self) -> Any:
        """The whole value, in the shapes of rdb.values; the expiries of hash fields are in `field_expires_at`.

        Raises for a damaged value. This includes a value that can be decoded but has a duplicate member or field, a
        score that is not a number, or bytes after its end: `parts()` yields what is in it.
        """
        with self.located():
            found, self._fields = whole_value(self.decoder(), self._decoder_again, self.end, self.offset)
        return found

    @property
    def end(self) -> int | None:
        """Offset at which the entry ends; None while it is not known."""
        return None if self._size < 0 else self._row[walker.OFFSET] + self._size

    def errors(self) -> list[RdbkitError]:
        """Return the errors of a value that can be decoded but has contents that no valid value has.

        These are the findings of severity "error" that `check` reports for it. Raises if it cannot be decoded.
        """
        with self.located():
            found = errors(self._decoder_again, self.end, self.offset)
        for error in found:
            error.locate(self.db, self.key)
        return found

    @property
    def field_expires_at(self) -> dict[bytes, int]:
        """Expiries of a hash's fields (in files of KeyDB also of a set's members), in ms since epoch."""
        if self._fields is None:
            _ = self.value
        return {**(self._fields or {}), **self.members()}

    @property
    def meta(self) -> tuple[int, ...]:
        """Class specs of the key's metadata (KEY_META, Redis 8.6)."""
        extra = self._row[walker.EXTRA]
        found: tuple[int, ...] = extra.get("meta", ()) if extra else ()
        return found

    def members(self) -> dict[bytes, int]:
        """Return the expiries of the value's members from KeyDB's records, in ms since epoch."""
        extra = self._row[walker.EXTRA]
        found: dict[bytes, int] = extra.get("members", {}) if extra else {}
        return found

    def decoder(self, spool: Spool | None = None) -> Decoder:
        """Return a reader of the body: its `parts()` in batches, and after them the other contents of the body.

        With a spool, byte strings that are too long for memory are LongItems. Raises Passed if the input is a pipe and
        the body was already passed.
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
        """Return a second reader of the body, after one from `decoder`, for what rdb.value_checks examines."""
        row = self._row
        body = row[walker.BODY]
        cursor = self._again() if body is None else Cursor(body, base=row[walker.BODY_OFFSET])
        return Decoder(row[walker.TYPE], cursor, self._snapshot.templates, Spool(level_of(row[walker.TYPE])))

    def settle(self) -> None:
        """Make the body readable as often as needed, and move the walk past it, so that damage in it stays separate.

        A body over 1 MiB in an input that cannot be read again is copied to temporary space, until the next entry.
        Raises RdbkitError for damage of the framing, OSError if no temporary space is left.
        """
        if not self._passed and self._snapshot.is_open(self):
            self._passed = True
            try:
                self._copy = self._snapshot.pass_open()
            except RdbkitError as error:
                error.locate(self.db, self.key)
                raise
            self._size = self._snapshot.cursor.tell() - self._row[walker.OFFSET]

    def parts(self) -> Iterator[Any]:
        """Yield the value one part at a time, in file order, for values that do not fit in memory.

        The parts by type: chunks of bytes (string), elements (list), members (set), (member, score) (zset),
        (field, value, expires_at | None) (hash), (id, fields) (stream), (index, value) (array), (kind, value) (module),
        (path, [(field, value), …]) (path hash; a path with many fields has several parts, of which only the first has
        the path, and the others None), (first, last) of bits that are 1 (bitmap).
        """
        with self.located():
            for batch in self.decoder().parts():
                yield from batch

    def copy_to(self, out: Sink) -> int:
        """Write the body's bytes as they are in the file; return how many."""
        body = self._row[walker.BODY]
        if body is not None:
            out.write(body)
            return len(body)
        # Passed is raised first, while an open body can still be read in another way.
        self._again()
        size = self._row[walker.OFFSET] + self._length() - self._row[walker.BODY_OFFSET]
        for piece in self._again().pieces(size):
            out.write(piece)
        return size

    def detach(self) -> Record:
        """Return a frozen record of all fields, including the value."""
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
        """Return about how many bytes a retained body has with its strings unpacked.

        Only heads are read. If they contradict themselves, returns the most bytes that the body can have.
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
        """Add this entry to the errors that reading its body raises, and make the snapshot count its damage."""
        try:
            yield
        except RdbkitError as error:
            error.locate(self.db, self.key)
            self.note(error)
            raise

    def note(self, error: RdbkitError) -> None:
        """Make the snapshot count the value's damage, unless that was counted already, or ends the whole reading."""
        fatal = error is self._snapshot.walker.error and self._snapshot.on_damage != "stop"
        if not (self._damaged or fatal or isinstance(error, Passed | LimitExceeded)):
            self._damaged = True
            self._snapshot.note(error)

    def _again(self) -> Cursor:
        """Return a new cursor at the start of the body."""
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
        """Walk the body for its shape and size: the retained bytes, at the file's position, or by a second reading."""
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
                self._size = cursor.tell() - self._row[walker.OFFSET]
            raise
        self._size = cursor.tell() - self._row[walker.OFFSET]
        if here:
            snapshot.walker.is_open = False

    def _priced(self) -> Any:
        """Walk the body again with the target's prices: it had been walked before memory was requested."""
        body = self._row[walker.BODY]
        cursor = self._again() if body is None else Cursor(body, base=self._row[walker.BODY_OFFSET])
        with self.located():
            self._shape = self._snapshot.measure(cursor).shape(self._row[walker.TYPE])
        return self._shape

    def leave(self) -> None:
        """Read the rest of an open body of which a part was read; the snapshot calls this before it continues."""
        if self._live is not None:
            try:
                with self.located():
                    for _ in self._live.parts():
                        pass
            except RdbkitError as error:
                if self._snapshot.walker.error is error:
                    raise
            self._snapshot.walker.is_open = False
