"""Write an entry as a server's AOF rewrite does: the shortest list of commands that recreates it.

    SELECT db    { SET | RPUSH | SADD | ZADD | HMSET | XADD … | ARMSET ARSEEK | PHSET | RESTORE }    PEXPIREAT

Collections are written in commands of 64 items, as servers do, and long strings in pieces after their length, so memory
does not depend on the number of items or on the length of a string.

The commands depend on the target. Data without a command is skipped and counted in `Rewriter.lost`, by reason:
"module", "stream", "array", "path-hash", "bitmap" (keys), "function", "field expiry", "member expiry", "consumer",
"idempotency" (streams), "pending entry", "key metadata", "not rereadable on a pipe" (keys), "key of an invalid
database", "member without a score". Data that server rewrites never keep is not counted: idle times, frequencies, when
a consumer was seen.

Source: files that eleven servers rewrote; for path hashes the BSD-licensed Valkey 9.2, for bitmaps the
documentation of Redis 8.12.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from itertools import chain
from typing import Any

from rdbkit.aof import payload
from rdbkit.aof.rewrite_entry import ITEMS, RewriteEntry, chunks
from rdbkit.aof.stream_rewrite import StreamRewriter
from rdbkit.aof.writer import CRLF, array_head, bulk, bulk_head, command, command_pieces, double_text
from rdbkit.errors import Passed, RdbkitError
from rdbkit.format import spec
from rdbkit.rdb.records import MAX_DB
from rdbkit.rdb.values import Parts
from rdbkit.releases.target import Target
from rdbkit.wire.spool import LongItem, Spool

#: Pairs of index and value in one ARMSET.
ARRAY_ITEMS = 32
#: Strings, and arguments of a command, up to this many bytes are joined before they are written.
WHOLE = 1 << 16
#: A body up to this many bytes is less than a megabyte, even if compressed; this many arguments are a few.
_SMALL = 1 << 13
_FEW = 16

_WORD = (1 << 64) - 1
_EXPIRING = (
    spec.HASH_METADATA_PRE_GA,
    spec.HASH_LISTPACK_EX_PRE_GA,
    spec.HASH_METADATA,
    spec.HASH_LISTPACK_EX,
    spec.HASH_2,
)


class Rewriter:
    """Write entries as commands for a target, through `write`, which must accept all bytes.

    `restore`: write RESTORE for every type that the target can load that way; `modules`: for module values.
    """

    def __init__(
        self, write: Callable[[bytes], object], target: Target, *, restore: bool = False, modules: bool = False
    ) -> None:
        self.lost: Counter[str] = Counter()
        self._write = write
        self._target = target
        self._restore = restore and self._target.has("rewrite-restore")
        self._modules = modules and self._target.has("rewrite-restore")
        self._items = ITEMS if self._target.has("rewrite-many-items") else 1
        self._streams = StreamRewriter(self._put, target, self.lose)
        self._db: int | None = None
        self._careful = False
        """Whether a command with many arguments may be large."""
        self._spool = Spool()
        """For LongItems of the current entry."""

    def function(self, source: bytes) -> None:
        """Write a function library."""
        if self._target.has("rewrite-function"):
            self._put(b"FUNCTION", b"LOAD", source)
        else:
            self.lose("function")

    def entry(self, entry: RewriteEntry) -> None:
        """Write one key: its value and its expiry.

        Raises read errors with key and db; the value may then have been written in part.
        """
        if not self._has(entry):
            self.lose(entry.type)
            return
        if not self._select(entry.db):
            return
        try:
            self._value(entry)
        except Passed:
            self.lose("not rereadable on a pipe")
            return
        except RdbkitError as error:
            error.locate(entry.db, entry.key)
            raise
        self.lose("member expiry", len(entry.members()))
        self.lose("key metadata", len(entry.meta))
        if entry.expires_at is not None:
            self._expiry(entry.key, entry.expires_at)

    def short_string(self, db: int, key: bytes, expires_at: int | None, text: bytes) -> None:
        """Write one key that is a short string, without RESTORE."""
        if self._select(db):
            self._put(b"SET", key, text)
            if expires_at is not None:
                self._expiry(key, expires_at)

    def _select(self, db: int) -> bool:
        """Select a database for the next commands; for an invalid one count a lost key and return False."""
        if db != self._db:
            if db > MAX_DB:
                # The server would refuse the SELECT and write the following keys to the previous database.
                self.lose("key of an invalid database")
                return False
            self._db = db
            self._put(b"SELECT", b"%d" % db)
        return True

    def _has(self, entry: RewriteEntry) -> bool:
        """Return whether the target supports values of this type."""
        if entry.type == "module":
            return self._modules and payload.loads(self._target, entry.type_id)
        if entry.type == "bitmap":
            return self._target.has("rewrite-restore") and payload.loads(self._target, entry.type_id)
        needed = _NEEDED.get(entry.type)
        return needed is None or self._target.has(needed)

    def _value(self, entry: RewriteEntry) -> None:
        if entry.type == "module":
            payload.restore(self._write, entry, self._target.rdb_version)
        elif entry.type == "bitmap":
            payload.restore(self._write, entry, self._target.rdb_version, replace=True)
        elif not (self._restore and self._restored(entry)):
            if entry.type != "string":
                body = entry.body
                self._careful = body is None or len(body) > _SMALL
                self._spool = Spool()
            _FORMS[entry.type](self, entry)

    def _restored(self, entry: RewriteEntry) -> bool:
        if not payload.loads(self._target, entry.type_id):
            return False
        try:
            return payload.restore(self._write, entry, self._target.rdb_version)
        except Passed:
            # RESTORE needs two passes; commands need one.
            return False

    def _expiry(self, key: bytes, at: int) -> None:
        if self._target.has("rewrite-pexpireat"):
            self._put(b"PEXPIREAT", key, b"%d" % at)
        else:
            self._put(b"EXPIREAT", key, b"%d" % (at // 1000))

    def _put(self, *args: Any) -> None:
        if self._spool.count or (len(args) > _FEW and self._careful and sum(map(len, args)) > WHOLE):
            for piece in command_pieces(args):
                self._write(piece)
        else:
            self._write(command(*args))

    def lose(self, reason: str, count: int = 1) -> None:
        """Count skipped data."""
        if count:
            self.lost[reason] += count

    # -- values ----------------------------------------------------------------------------------------------------

    def _string(self, entry: RewriteEntry) -> None:
        decoder = entry.decoder()
        pieces = chain.from_iterable(decoder.parts())
        first = next(pieces, b"")
        if decoder.size <= WHOLE:
            # Read completely before anything is written, so that damage leaves no partial command.
            self._write(command(b"SET", entry.key, first + b"".join(pieces)))
            return
        self._write(array_head(3) + bulk(b"SET") + bulk(entry.key) + bulk_head(decoder.size) + first)
        for piece in pieces:
            self._write(piece)
        self._write(CRLF)

    def _list(self, entry: RewriteEntry) -> None:
        for items in chunks(entry.decoder(self._spool).parts(), self._items):
            self._put(b"RPUSH", entry.key, *items)

    def _set(self, entry: RewriteEntry) -> None:
        for items in chunks(entry.decoder(self._spool).parts(), self._items):
            self._put(b"SADD", entry.key, *items)

    def _zset(self, entry: RewriteEntry) -> None:
        short = self._target.has("short-scores")
        for pairs in chunks(self._numbered(entry.decoder(self._spool).parts()), self._items):
            self._put(b"ZADD", entry.key, *[x for member, score in pairs for x in (double_text(score, short), member)])

    def _numbered(self, batches: Parts) -> Parts:
        """Yield members except those with a NaN score, for which a server refuses the whole command."""
        for batch in batches:
            kept = [pair for pair in batch if pair[1] == pair[1]]
            self.lose("member without a score", len(batch) - len(kept))
            yield kept

    def _array(self, entry: RewriteEntry) -> None:
        decoder = entry.decoder(self._spool)
        for pairs in chunks(decoder.parts(), ARRAY_ITEMS):
            self._put(b"ARMSET", entry.key, *[x for index, value in pairs for x in (b"%d" % index, _element(value))])
        if decoder.insert_index is not None:
            # The file stores the position of the last insert.
            self._put(b"ARSEEK", entry.key, b"%d" % (decoder.insert_index + 1 & _WORD))

    def _stream(self, entry: RewriteEntry) -> None:
        self._streams.entry(entry, self._spool)

    def _path_hash(self, entry: RewriteEntry) -> None:
        path: Any = b""
        for found, pairs in chain.from_iterable(entry.decoder(self._spool).parts()):
            path = path if found is None else found
            for field, value in pairs:
                self._put(b"PHSET", entry.key, path, b"FIELDS", b"1", field, value)

    # -- hashes ----------------------------------------------------------------------------------------------------

    def _hash(self, entry: RewriteEntry) -> None:
        key, batches = entry.key, entry.decoder(self._spool).parts()
        if entry.type_id in payload.TEMPLATES and self._target.has("rewrite-templates"):
            fields = [part for batch in batches for part in batch]
            if self._spool.count:
                # A payload is built whole; commands are not.
                self._fields(key, [fields])
            else:
                self._template(entry, fields)
        elif entry.type_id not in _EXPIRING:
            self._fields(key, batches)
        elif self._target.has("rewrite-hpexpireat"):
            self._fields_one_by_one(key, batches)
        else:
            self._fields(key, self._expiring_apart(key, batches))

    def _fields(self, key: bytes, batches: Iterable[list[Any]]) -> None:
        verb = b"HMSET" if self._items > 1 else b"HSET"
        for triples in chunks(batches, self._items):
            self._put(verb, key, *[item for name, value, _ in triples for item in (name, value)])

    def _fields_one_by_one(self, key: bytes, batches: Parts) -> None:
        for name, value, due in chain.from_iterable(batches):
            self._put(b"HMSET", key, name, value)
            if due is not None:
                self._put(b"HPEXPIREAT", key, b"%d" % due, b"FIELDS", b"1", name)

    def _expiring_apart(self, key: bytes, batches: Parts) -> Parts:
        """Write expiring fields as Valkey does, and yield the others; yield all for a target without HSETEX."""
        for batch in batches:
            expiring = [part for part in batch if part[2] is not None]
            if not self._target.has("rewrite-hsetex"):
                self.lose("field expiry", len(expiring))
                yield batch
                continue
            for name, value, due in expiring:
                self._put(b"HSETEX", key, b"PXAT", b"%d" % due, b"FIELDS", b"1", name, value)
            yield [part for part in batch if part[2] is None]

    def _template(self, entry: RewriteEntry, fields: list[Any]) -> None:
        if len({name for name, _, _ in fields}) < len(fields):
            # No server would accept such a template.
            self._fields(entry.key, [fields])
            return
        made = payload.template_payload(entry.type_id, fields, self._target)
        self._put(b"RESTORE", entry.key, b"0", made, b"REPLACE")


_FORMS: dict[str, Callable[[Rewriter, RewriteEntry], None]] = {
    "string": Rewriter._string,
    "list": Rewriter._list,
    "set": Rewriter._set,
    "zset": Rewriter._zset,
    "hash": Rewriter._hash,
    "stream": Rewriter._stream,
    "array": Rewriter._array,
    "path-hash": Rewriter._path_hash,
}
#: The feature that a target must have for keys of a type.
_NEEDED = {"stream": "rewrite-xadd", "array": "rewrite-armset", "path-hash": "rewrite-phset"}


def _element(value: Any) -> Any:
    """Return an array element as text, in the only form that servers store as a number again."""
    return value if isinstance(value, bytes | LongItem) else repr(value).encode()
