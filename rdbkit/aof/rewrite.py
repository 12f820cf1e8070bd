"""What a server's own rewrite would write for an entry: the shortest list of commands that makes it again.

    SELECT db   { SET | RPUSH | SADD | ZADD | HMSET | XADD XSETID XGROUP XCLAIM … | ARMSET ARSEEK | RESTORE }   PEXPIREAT

Collections go out in commands of 64 items, as the servers do it, so memory depends neither on the number of items nor on
the length of a string; a string longer than a few windows is passed on piece by piece behind its length.

The target decides which commands there are. What it has none for is left out and counted in `Rewriter.lost`, by reason:
"module", "stream", "array", "function" (one each), "field expiry", "member expiry", "consumer", "idempotency", "pending
entry" (of a message that was deleted: XCLAIM refuses it), "behind us on a pipe". What no server's rewrite keeps is not
counted: idle times, frequencies, when a consumer was seen.

Two departures from what servers write: an empty stream is made with the ID 0-1 for 5.0 too (with the 0-0 that 5.0 may
write, its own loader loses the key), and field expiries precede the other fields only as far as they do in the file.

Sources: aof-and-check.md §5, and files that eleven servers rewrote.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, groupby
from types import SimpleNamespace
from typing import Any, Protocol

from rdbkit.aof.writer import CRLF, array_head, bulk, bulk_head, command, double_text, id_text
from rdbkit.errors import Passed, RdbkitError
from rdbkit.rdb import spec
from rdbkit.rdb.stream_encoder import NO_IDMP
from rdbkit.rdb.streams import Group, Idmp, Pending, Stream
from rdbkit.rdb.values import Decoder, Parts
from rdbkit.rdb.writer import dump_payload, encode, writable
from rdbkit.target import Target
from rdbkit.wire import crc64, listpack

#: AOF_REWRITE_ITEMS_PER_CMD; pairs of index and value in an ARMSET; before 2.6 every item had a command of its own.
ITEMS = 64
ARRAY_ITEMS = 32
#: Strings up to this are one write.
WHOLE = 1 << 16
#: Version and checksum behind a payload.
FOOTER = 10

_Since = tuple[int, int] | None
_ALWAYS = (0, 0)
#: The first Redis and the first Valkey whose rewrite uses the command, the argument or the form.
_SINCE: dict[str, tuple[_Since, _Since]] = {
    "PEXPIREAT": ((2, 6), _ALWAYS),
    "RESTORE": ((2, 6), _ALWAYS),
    "variadic": ((2, 6), _ALWAYS),
    "XADD": ((5, 0), _ALWAYS),
    "CREATECONSUMER": ((6, 2), _ALWAYS),
    "FUNCTION": ((7, 0), _ALWAYS),
    "ENTRIESADDED": ((7, 0), _ALWAYS),
    "shortest": ((7, 2), _ALWAYS),
    "HPEXPIREAT": ((7, 4), None),
    "HSETEX": (None, (9, 0)),
    "XIDMPRECORD": ((8, 6), None),
    "XNACK": ((8, 8), None),
    "ARMSET": ((8, 8), None),
    "template": ((8, 10), None),
}

_EXPIRING = (
    spec.HASH_METADATA_PRE_GA,
    spec.HASH_LISTPACK_EX_PRE_GA,
    spec.HASH_METADATA,
    spec.HASH_LISTPACK_EX,
    spec.HASH_2,
)
#: References into a file's templates, and the type that brings its names along: what 8.10 writes and restores.
_TEMPLATES = {spec.HASH_TMPL_LP_REF: spec.HASH_TMPL_LP, spec.HASH_TMPL_ARRAY_REF: spec.HASH_TMPL_ARRAY}

#: Types that are, or hold, a listpack.
_PACKED = (
    spec.HASH_LISTPACK,
    spec.ZSET_LISTPACK,
    spec.SET_LISTPACK,
    spec.LIST_QUICKLIST_2,
    spec.HASH_LISTPACK_EX_PRE_GA,
    spec.HASH_LISTPACK_EX,
    spec.HASH_TMPL_LP,
)
#: Strings whose back-length in a listpack the two generations of servers write differently (rdb-format.md §10.2).
_DIVIDED = frozenset((16378, 2097146, 268435450))
#: No body shorter than this holds one of them, however well it is packed.
_UNDIVIDED = 16378 // 88


class Entry(Protocol):
    """What is asked of an entry; snapshot.Entry has it."""

    @property
    def db(self) -> int: ...  # noqa: D102
    @property
    def key(self) -> bytes: ...  # noqa: D102
    @property
    def type(self) -> str: ...  # noqa: D102
    @property
    def type_id(self) -> int: ...  # noqa: D102
    @property
    def expires_at(self) -> int | None: ...  # noqa: D102
    @property
    def body(self) -> bytes | None:
        """The body's bytes, where they are at hand."""

    def decoder(self) -> Decoder:
        """Return a reader of the body; Passed where it cannot be read (again)."""

    def copy_to(self, out: Any) -> int:
        """Write the body's bytes to `out`; Passed as above."""

    def members(self) -> dict[bytes, int]:
        """Return the expiries of single members (KeyDB)."""


class Rewriter:
    """Write entries as commands for a target, through `write`, which must take all it is given.

    `restore` makes everything that the target can load a RESTORE; `modules` those values that nothing else can express.
    """

    def __init__(
        self, write: Callable[[bytes], object], target: Target, *, restore: bool = False, modules: bool = False
    ) -> None:
        which = 1 if target.product == "valkey" else 0
        self.lost: Counter[str] = Counter()
        self._write = write
        self._target = target
        self._has = {name for name, since in _SINCE.items() if (first := since[which]) and target.version >= first}
        self._has |= {name for name, since in _SINCE.items() if since[which] == _ALWAYS}
        self._restore = restore and "RESTORE" in self._has
        self._modules = modules and "RESTORE" in self._has
        self._items = ITEMS if "variadic" in self._has else 1
        self._db: int | None = None

    def function(self, source: bytes) -> None:
        """Write a function library."""
        if "FUNCTION" in self._has:
            self._put(b"FUNCTION", b"LOAD", source)
        else:
            self._lose("function")

    def entry(self, entry: Entry) -> None:
        """Write one key: its value, and when it expires.

        Raises what reading the body raises, with key and db; the command at hand may then have been written in part.
        """
        missing = self._missing(entry)
        if missing:
            self._lose(missing)
            return
        if entry.db != self._db:
            self._db = entry.db
            self._put(b"SELECT", b"%d" % entry.db)
        try:
            self._value(entry)
        except Passed:
            self._lose("behind us on a pipe")
            return
        except RdbkitError as error:
            error.locate(entry.db, entry.key)
            raise
        self._lose("member expiry", len(entry.members()))
        self._expiry(entry.key, entry.expires_at)

    def _missing(self, entry: Entry) -> str:
        """Return the reason why the target cannot have this value at all, or ""."""
        kind = entry.type
        if kind == "module" and not (self._modules and self._loads(entry.type_id)):
            return kind
        if kind == "stream" and "XADD" not in self._has or kind == "array" and "ARMSET" not in self._has:
            return kind
        return ""

    def _value(self, entry: Entry) -> None:
        if entry.type == "module":
            self._dump(entry)
        elif not (self._restore and self._restored(entry)):
            _FORMS[entry.type](self, entry)

    def _expiry(self, key: bytes, at: int | None) -> None:
        if at is None:
            return
        if "PEXPIREAT" in self._has:
            self._put(b"PEXPIREAT", key, b"%d" % at)
        else:
            self._put(b"EXPIREAT", key, b"%d" % (at // 1000))

    def _put(self, *args: bytes) -> None:
        self._write(command(*args))

    def _lose(self, reason: str, count: int = 1) -> None:
        if count:
            self.lost[reason] += count

    # -- values ----------------------------------------------------------------------------------------------------

    def _string(self, entry: Entry) -> None:
        decoder = entry.decoder()
        pieces = chain.from_iterable(decoder.parts())
        first = next(pieces, b"")
        if decoder.size <= WHOLE:
            # Whole before the first byte is written: damage then leaves no half command.
            self._put(b"SET", entry.key, first + b"".join(pieces))
            return
        self._write(array_head(3) + bulk(b"SET") + bulk(entry.key) + bulk_head(decoder.size) + first)
        for piece in pieces:
            self._write(piece)
        self._write(CRLF)

    def _list(self, entry: Entry) -> None:
        self._collection(b"RPUSH", entry.key, entry.decoder().parts())

    def _set(self, entry: Entry) -> None:
        self._collection(b"SADD", entry.key, entry.decoder().parts())

    def _collection(self, verb: bytes, key: bytes, batches: Parts) -> None:
        for items in _chunks(batches, self._items):
            self._put(verb, key, *items)

    def _zset(self, entry: Entry) -> None:
        shortest = "shortest" in self._has
        for pairs in _chunks(entry.decoder().parts(), self._items):
            texts = [item for member, score in pairs for item in (double_text(score, shortest), member)]
            self._put(b"ZADD", entry.key, *texts)

    def _array(self, entry: Entry) -> None:
        decoder = entry.decoder()
        for pairs in _chunks(decoder.parts(), ARRAY_ITEMS):
            texts = [item for index, value in pairs for item in (b"%d" % index, _array_text(value))]
            self._put(b"ARMSET", entry.key, *texts)
        if decoder.insert_index is not None:
            # The file holds where the last insert went.
            self._put(b"ARSEEK", entry.key, b"%d" % ((decoder.insert_index + 1) % (1 << 64)))

    # -- hashes ----------------------------------------------------------------------------------------------------

    def _hash(self, entry: Entry) -> None:
        key, batches = entry.key, entry.decoder().parts()
        if entry.type_id in _TEMPLATES and "template" in self._has:
            self._template(entry, [part for batch in batches for part in batch])
        elif entry.type_id not in _EXPIRING:
            self._fields(key, batches)
        elif "HPEXPIREAT" in self._has:
            self._fields_one_by_one(key, batches)
        else:
            self._fields(key, self._expiring_apart(key, batches))

    def _fields(self, key: bytes, batches: Iterable[list[Any]]) -> None:
        verb = b"HMSET" if self._items > 1 else b"HSET"
        for triples in _chunks(batches, self._items):
            self._put(verb, key, *[item for name, value, _ in triples for item in (name, value)])

    def _fields_one_by_one(self, key: bytes, batches: Parts) -> None:
        for name, value, due in chain.from_iterable(batches):
            self._put(b"HMSET", key, name, value)
            if due is not None:
                self._put(b"HPEXPIREAT", key, b"%d" % due, b"FIELDS", b"1", name)

    def _expiring_apart(self, key: bytes, batches: Parts) -> Parts:
        """Write the fields that expire, as Valkey does, and yield the others; without HSETEX all are others."""
        for batch in batches:
            expiring = [part for part in batch if part[2] is not None]
            if "HSETEX" not in self._has:
                self._lose("field expiry", len(expiring))
                yield batch
                continue
            for name, value, due in expiring:
                self._put(b"HSETEX", key, b"PXAT", b"%d" % due, b"FIELDS", b"1", name, value)
            yield [part for part in batch if part[2] is None]

    def _template(self, entry: Entry, fields: list[Any]) -> None:
        """Write a template hash with its names, so that it becomes one again."""
        names = {name for name, _, _ in fields}
        if len(names) < len(fields):
            self._fields(entry.key, [fields])
            return
        kind, limits = _TEMPLATES[entry.type_id], self._target.settings
        few = len(names) <= limits.hash_max_listpack_entries
        short = max(map(len, names)) <= limits.hash_max_listpack_value
        form = 0 if few and short else 1
        body = encode(kind, fields, compress=False, generation="new", template_format=form)
        payload = dump_payload(kind, body, self._target.rdb_version, checksum=False)
        self._put(b"RESTORE", entry.key, b"0", payload, b"REPLACE")

    # -- streams ---------------------------------------------------------------------------------------------------

    def _stream(self, entry: Entry) -> None:
        key, decoder = entry.key, entry.decoder()
        empty = True
        for stream_id, fields in chain.from_iterable(decoder.parts()):
            empty = False
            self._put(b"XADD", key, id_text(stream_id), *chain.from_iterable(fields))
        if empty:
            self._put(b"XADD", key, b"MAXLEN", b"0", b"0-1", b"x", b"y")
        stream = decoder.tail
        assert stream is not None  # it stands behind the last part
        self._stream_state(key, stream)
        for group in stream.groups:
            self._group(key, group)
        self._lose("pending entry", _orphans(entry, stream))

    def _stream_state(self, key: bytes, stream: Stream) -> None:
        counters: tuple[bytes, ...] = ()
        if "ENTRIESADDED" in self._has:
            added = b"%d" % stream.entries_added
            counters = (b"ENTRIESADDED", added, b"MAXDELETEDID", id_text(stream.max_deleted_id))
        self._put(b"XSETID", key, id_text(stream.last_id), *counters)
        if stream.idmp is not None:
            self._idmp(key, stream.idmp)

    def _idmp(self, key: bytes, idmp: Idmp) -> None:
        settings = idmp.duration, idmp.max_entries
        if "XIDMPRECORD" not in self._has:
            self._lose("idempotency", int(settings != NO_IDMP or bool(idmp.producers)))
            return
        if settings != NO_IDMP:
            self._put(b"XCFGSET", key, b"IDMP-DURATION", b"%d" % settings[0], b"IDMP-MAXSIZE", b"%d" % settings[1])
        for producer, records in idmp.producers:
            for record, stream_id in records:
                self._put(b"XIDMPRECORD", key, producer, record, id_text(stream_id))

    def _group(self, key: bytes, group: Group) -> None:
        read = -1 if group.entries_read is None else group.entries_read
        counters = (b"ENTRIESREAD", b"%d" % read) if "ENTRIESADDED" in self._has else ()
        self._put(b"XGROUP", b"CREATE", key, group.name, id_text(group.last_delivered_id), *counters)
        owned: dict[bytes | None, list[Pending]] = {}
        for item in group.pending:
            owned.setdefault(item.consumer, []).append(item)
        for consumer in group.consumers:
            self._consumer(key, group.name, consumer.name, owned.get(consumer.name, []))
        self._unowned(key, group.name, owned.get(None, []))

    def _consumer(self, key: bytes, group: bytes, name: bytes, pending: list[Pending]) -> None:
        for item in pending:
            times = (b"TIME", b"%d" % item.delivered_at, b"RETRYCOUNT", b"%d" % item.deliveries)
            self._put(b"XCLAIM", key, group, name, b"0", id_text(item.id), *times, b"JUSTID", b"FORCE")
        if not pending and "CREATECONSUMER" in self._has:
            self._put(b"XGROUP", b"CREATECONSUMER", key, group, name)
        elif not pending:
            self._lose("consumer")

    def _unowned(self, key: bytes, group: bytes, pending: list[Pending]) -> None:
        if "XNACK" not in self._has:
            self._lose("pending entry", len(pending))
            return
        for deliveries, run in groupby(pending, lambda item: item.deliveries):
            for items in _chunks([list(run)], ITEMS):
                ids = (b"IDS", b"%d" % len(items), *[id_text(item.id) for item in items])
                self._put(b"XNACK", key, group, b"FAIL", *ids, b"RETRYCOUNT", b"%d" % deliveries, b"FORCE")

    # -- RESTORE ---------------------------------------------------------------------------------------------------

    def _loads(self, type_id: int) -> bool:
        """Tell whether the target takes this type in a payload."""
        known = writable(type_id, self._target.rdb_version, "valkey" if self._target.product == "valkey" else "redis")
        return known and spec.BY_ID[type_id].status == "verified" and type_id not in _TEMPLATES

    def _restored(self, entry: Entry) -> bool:
        """Write the value as a payload, unless it needs commands."""
        if not self._loads(entry.type_id):
            return False
        try:
            return self._dump(entry)
        except Passed:
            return False

    def _dump(self, entry: Entry) -> bool:
        body = entry.body
        if body is None:
            return self._dump_from_file(entry)
        if len(body) > _UNDIVIDED and _divided(entry):
            return False
        self._put(b"RESTORE", entry.key, b"0", dump_payload(entry.type_id, body, self._target.rdb_version))
        return True

    def _dump_from_file(self, entry: Entry) -> bool:
        """Write a long body in two readings: the first measures it, for its length stands in front."""
        measured = _Measured(bytes((entry.type_id & 0xFF,)))
        entry.copy_to(measured)
        if _divided(entry):
            return False
        head = array_head(4) + bulk(b"RESTORE") + bulk(entry.key) + bulk(b"0") + bulk_head(measured.size + FOOTER)
        self._write(head + measured.head)
        entry.copy_to(SimpleNamespace(write=self._write))
        measured.write(self._target.rdb_version.to_bytes(2, "little"))
        self._write(self._target.rdb_version.to_bytes(2, "little") + measured.crc.to_bytes(8, "little") + CRLF)
        return True


_FORMS: dict[str, Callable[[Rewriter, Entry], None]] = {
    "string": Rewriter._string,
    "list": Rewriter._list,
    "set": Rewriter._set,
    "zset": Rewriter._zset,
    "hash": Rewriter._hash,
    "stream": Rewriter._stream,
    "array": Rewriter._array,
}


class _Measured:
    """Takes bytes and keeps their number and checksum."""

    def __init__(self, head: bytes) -> None:
        self.head = head
        self.size = 0
        self.crc = 0
        self._update = crc64.update()
        self.write(head)

    def write(self, data: bytes) -> None:
        self.size += len(data)
        self.crc = self._update(data, self.crc)


def _chunks(batches: Iterable[list[Any]], size: int) -> Iterator[list[Any]]:
    """Yield the items of all batches, `size` at a time; the last may be fewer."""
    held: list[Any] = []
    for batch in batches:
        held += batch
        full = len(held) - len(held) % size
        for at in range(0, full, size):
            yield held[at : at + size]
        del held[:full]
    if held:
        yield held


def _array_text(value: bytes | int | float) -> bytes:
    """Return an element of an array; servers keep as numbers only those that are written in just this way."""
    return value if isinstance(value, bytes) else repr(value).encode()


def _orphans(entry: Entry, stream: Stream) -> int:
    """Return how many owned pending entries are of messages that are no longer there; all that may be, if none can tell."""
    owned = [item.id for group in stream.groups for item in group.pending if item.consumer is not None]
    # A stream that has all it ever was given lacks nothing. (RDB 9 does not say how much it was given.)
    if not owned or entry.type_id != spec.STREAM_LISTPACKS and stream.entries_added == stream.length:
        return 0
    missing = set(owned)
    try:
        for batch in entry.decoder().parts():
            missing.difference_update([stream_id for stream_id, _ in batch])
    except Passed:
        pass
    return sum(map(missing.__contains__, owned))


# -- back-lengths ------------------------------------------------------------------------------------------------------


def _divided(entry: Entry) -> bool:
    """Tell whether a body holds an entry that the other generation of servers could not read."""
    if entry.type == "stream":
        items = _stream_items(entry.decoder())
    elif entry.type_id in _PACKED:
        items = map(_texts, entry.decoder().parts())
    else:
        return False
    return any(not _DIVIDED.isdisjoint(map(len, batch)) for batch in items)


def _stream_items(decoder: Decoder) -> Iterator[Sequence[bytes]]:
    """Yield all that stands in a stream's nodes, what was deleted included."""
    cursor = decoder.cursor
    for _ in range(cursor.claim()):
        cursor.skip_string()
        size, inside = cursor.open_string()
        reader = listpack.Reader(inside, size)
        while items := reader.read(ITEMS * ITEMS):
            yield items


def _texts(batch: list[Any]) -> list[bytes]:
    """Return the strings among the parts of a list, set, zset or hash."""
    if batch and isinstance(batch[0], tuple):
        return [item for part in batch for item in part if isinstance(item, bytes)]
    return batch
