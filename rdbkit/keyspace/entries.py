"""A keyspace as the bytes of an RDB, and what these do not say of its keys: so that it is read as any RDB is.

    Loader ─► records in the RDB format ─► Walker ─► entries
          └─► Known: for each key its encoding after the replay, and the offset of its last write

The RDB is one of the target's. A value that no command has touched is copied as it was in the file.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from rdbkit.aof.writer import double_text
from rdbkit.errors import RdbkitError
from rdbkit.format import spec
from rdbkit.format.shape import Replayed
from rdbkit.keyspace.decoding import decoded
from rdbkit.keyspace.loader import Loader
from rdbkit.keyspace.stream_value import StreamValue
from rdbkit.keyspace.values import Array, Hash, List, Module, Set, Stored, String, Tabled, Uncertain, Value, ZSet
from rdbkit.rdb.encoders import Options, template_order
from rdbkit.rdb.primitives import encode_length, encode_string
from rdbkit.rdb.writer import ENCODERS, Writer
from rdbkit.releases.target import Target
from rdbkit.wire import intset, listpack, ziplist

#: Type id, value as its encoder takes it, and encoding of a live value; None: the encoding that a load gives it.
Plan = tuple[int, Any, str | None]
_TEMPLATED = {"template-listpack": spec.HASH_TMPL_LP_REF, "template-array": spec.HASH_TMPL_ARRAY_REF}
_HASHES = {
    "zipmap": spec.HASH_ZIPMAP,
    "ziplist": spec.HASH_ZIPLIST,
    "listpack": spec.HASH_LISTPACK,
    "listpackex": spec.HASH_LISTPACK_EX,
    **_TEMPLATED,
}
_OPTIONS = Options(compress=False)
#: Up to here, servers put scores into listpacks as integers.
_MOST_INTEGER = ((1 << 63) - 1) // 2


class Known:
    """What a replay knows of each key beside its value, by the offset of its entry in the RDB; 17 bytes for a key."""

    def __init__(self) -> None:
        self._starts = array("Q")
        self._offsets = array("Q")
        self._encodings = bytearray()
        self._names: list[str | None] = [None]
        self._details: dict[int, tuple[Any, ...]] = {}

    def add(self, start: int, found: Replayed) -> None:
        """Add a key; starts ascend."""
        if found.encoding not in self._names:
            self._names.append(found.encoding)
        if any(found[2:]):
            self._details[len(self._starts)] = found[2:]
        self._starts.append(start)
        self._offsets.append(found.offset)
        self._encodings.append(self._names.index(found.encoding))

    def at(self, start: int) -> Replayed:
        """Return what is known of the key whose entry starts there."""
        at = bisect_left(self._starts, start)
        return Replayed(self._offsets[at], self._names[self._encodings[at]], *self._details.get(at, ()))

    def around(self, at: int) -> int:
        """Return the offset of the last write of the key in whose entry an offset is."""
        index = bisect_right(self._starts, at) - 1
        return self._offsets[index] if index >= 0 else 0


def write(loader: Loader, put: Callable[[bytes], object]) -> Known:
    """Write all keys but uncertain ones as an RDB; return what is known of each beside that.

    The databases are emptied on the way, so that no key is held twice.
    """
    target, known = loader.target, Known()
    out = Writer(put, target.rdb_version, target.product, checksum=False)
    out.magic()
    for code in loader.functions.values():
        out.function(code)
    _number_templates(loader)
    for template, fields in loader.templates.items():
        out.hash_template(template, fields)
    for number in sorted(loader.databases):
        db = loader.databases[number]
        if db:
            out.select_db(number)
        for key in list(db):
            value = db.pop(key)
            if value.__class__ is not Uncertain:
                start = out.tell()
                known.add(start, _entry(out, target, key, value))
    out.end()
    out.flush()
    return known


def _entry(out: Writer, target: Target, key: bytes, value: Value) -> Replayed:
    if value.expires_at is not None:
        out.expire_ms(value.expires_at)
    if isinstance(value, Stored):
        value = _completed(value, target)
    if isinstance(value, Stored):
        if value.idle is not None:
            out.idle(value.idle)
        if value.freq is not None:
            out.freq(value.freq)
        out.entry(value.kind, key, value.body)
        return Replayed(value.offset, None, reserved=value.reserved)
    kind, plain, encoding = PLANS[value.__class__](target, value)
    is_body = isinstance(value, Module | List) or kind in (spec.ZSET_LISTPACK, spec.SET_INTSET)
    out.entry(kind, key, plain if is_body else ENCODERS[kind](plain, _options(value)))
    slots = value.table.slots() if isinstance(value, Tabled) and value.table is not None else None
    if isinstance(value, StreamValue):
        return Replayed(value.offset, encoding, None, *value.room(value.reserved), *value.emptied())
    if isinstance(value, Tabled) and value.shrank:
        slots = 0.0, -1.0
    return Replayed(value.offset, encoding, slots, value.room if isinstance(value, String) else 0, value.reserved)


def _completed(value: Stored, target: Target) -> Value:
    """Return a stream with what a load adds to one of an older type, else the value itself."""
    if value.kind == spec.STREAM_LISTPACKS and target.has("stream-counters"):
        # A damaged one is reported when it is read.
        with suppress(RdbkitError):
            return decoded(value, target, {}, 0)
    return value


def _options(value: Value) -> Options:
    if isinstance(value, Hash):
        return Options(compress=False, template=value.template)
    if isinstance(value, Array):
        return Options(compress=False, insert_index=value.insert_index)
    return _OPTIONS


def _number_templates(loader: Loader) -> None:
    """Give each hash with a template the id of the one for its fields; those of the file keep theirs."""
    if not loader.target.has("hash-templates"):
        return
    known = {fields: number for number, fields in loader.templates.items()}
    for db in loader.databases.values():
        for value in db.values():
            if isinstance(value, Hash) and value.encoding in _TEMPLATED:
                fields = tuple(template_order(value.fields))
                if fields not in known:
                    known[fields] = max(loader.templates, default=-1) + 1
                    loader.templates[known[fields]] = fields
                value.template = known[fields]


def _string(target: Target, value: Value) -> Plan:
    assert isinstance(value, String)
    encoding = "raw" if value.is_raw else "embstr" if value.is_text else None
    if encoding is None and target.has("key-in-object") and not value.is_number():
        # What a load makes of it depends on an expiry that it may have got later, or lost.
        encoding = "embstr"
    return spec.STRING, bytes(value.data), encoding


def _list(target: Target, value: Value) -> Plan:
    assert isinstance(value, List)
    if not target.has("quicklist"):
        return spec.LIST, ENCODERS[spec.LIST](list(value), _OPTIONS), value.encoding
    out = [encode_length(len(value.nodes))]
    for node in value.nodes:
        if not target.has("listpack"):
            out.append(encode_string(ziplist.encode(node.items), compress=False))
        elif node.is_plain:
            out += [encode_length(spec.PLAIN), encode_string(node.items[0], compress=False, integers=False)]
        else:
            out += [encode_length(spec.PACKED), encode_string(listpack.encode(node.items), compress=False)]
    kind = spec.LIST_QUICKLIST_2 if target.has("listpack") else spec.LIST_QUICKLIST
    return kind, b"".join(out), value.encoding


def _set(target: Target, value: Value) -> Plan:
    assert isinstance(value, Set)
    if value.encoding == "intset":
        packed = intset.encode(map(int, value.members), value.width)
        return spec.SET_INTSET, encode_string(packed, compress=False), value.encoding
    kind = spec.SET_LISTPACK if value.encoding == "listpack" else spec.SET
    return kind, list(value.members), value.encoding


def _zset(target: Target, value: Value) -> Plan:
    assert isinstance(value, ZSet)
    if value.encoding == "listpack":
        short = target.has("short-scores")
        items = [item for score, member in value.order() for item in (member, _listpack_score(score, short))]
        return spec.ZSET_LISTPACK, encode_string(listpack.encode(items), compress=False), value.encoding
    plain = spec.ZSET_2 if target.has("binary-scores") else spec.ZSET
    kind = spec.ZSET_ZIPLIST if value.encoding == "ziplist" else plain
    return kind, [(member, score) for score, member in value.order()], value.encoding


def _listpack_score(score: float, short: bool) -> bytes:
    """Return a score as commands put it into a listpack: a number without decimals, also -0, as an integer."""
    if -_MOST_INTEGER <= score <= _MOST_INTEGER and score == int(score):
        return b"%d" % int(score)
    return double_text(score, short)


def _hash(target: Target, value: Value) -> Plan:
    assert isinstance(value, Hash)
    fields = [(name, text, value.due.get(name)) for name, text in value.fields.items()]
    kind = _HASHES.get(value.encoding, spec.HASH)
    if value.due and kind != spec.HASH_LISTPACK_EX:
        kind = spec.HASH_2 if target.has("hash-2") else spec.HASH_METADATA
    return kind, fields, value.encoding


def _array(_target: Target, value: Value) -> Plan:
    assert isinstance(value, Array)
    return spec.ARRAY, list(value.elements.items()), None


def _stream(target: Target, value: Value) -> Plan:
    assert isinstance(value, StreamValue)
    kinds = (spec.STREAM_LISTPACKS_5, spec.STREAM_LISTPACKS_4, spec.STREAM_LISTPACKS_3, spec.STREAM_LISTPACKS_2)
    features = ("stream-unowned", "stream-idmp", "stream-active-time", "stream-counters")
    kind = next((kind for kind, name in zip(kinds, features) if target.has(name)), spec.STREAM_LISTPACKS)
    return kind, value.plain(), None


def _module(_target: Target, value: Value) -> Plan:
    assert isinstance(value, Module)
    return value.kind, value.body, None


#: By class of value. commands/ of further types add to it.
PLANS: dict[type[Value], Callable[[Target, Value], Plan]] = {
    String: _string,
    List: _list,
    Set: _set,
    ZSet: _zset,
    Hash: _hash,
    Array: _array,
    StreamValue: _stream,
    Module: _module,
}
