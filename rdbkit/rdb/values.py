"""From a body's bytes to Python objects: one decoder per type, each yielding parts in batches.

A decoder reads a cursor at the start of the body, which can be a retained body of forty bytes or a file with five
million fields, and yields lists of parts in file order. `value` joins them. Listpacks, ziplists and sequences of
strings are all read as flat lists of byte strings, which zip then groups, because zip is as fast interpreted as
compiled.

Decoders check everything: arity, numbers and framing, and raise Corrupt.

With a spool, byte strings that are too long for memory are LongItems (wire/spool.py) in all parts; without one they are
held whole.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import repeat
from typing import Any

from rdbkit.errors import Corrupt
from rdbkit.format import spec
from rdbkit.rdb.modules import Module, module_name, read_parts
from rdbkit.rdb.streams import Stream, StreamReader
from rdbkit.wire import intset, listpack, roaring, ziplist, zipmap
from rdbkit.wire.cursor import Cursor
from rdbkit.wire.spool import LongItem, Spool

#: Elements in a batch; a multiple of 2 and 3, so that pairs and triples are never split.
BATCH = 1536
#: Elements in the first batch if their length is not known, and the stored bytes above which batches become smaller.
_FIRST, _PACE = 16, 1 << 16
#: Blobs up to this size are decoded at once.
_WHOLE = 1 << 16
#: Redis keeps a field's expiry in 48 bits, and the next number means none; Valkey loads any that fits in 63 bits.
MAX_FIELD_EXPIRY = (1 << 48) - 1
#: The most bytes of a bitmap.
MAX_BITMAP = (1 << 60) - 1

Templates = dict[int, tuple[bytes, ...]]
Parts = Iterator[list[Any]]


@dataclass(slots=True)
class Array:
    """A sparse array (Redis 8.8): (index, value) ascending; a value is bytes, int or float.

    `insert_index` is the index of the last ARINSERT, None if there was none.
    """

    elements: list[tuple[int, bytes | int | float]] = field(default_factory=list)
    insert_index: int | None = None


@dataclass(slots=True)
class Bitmap:
    """A bitmap that is no string (Redis 8.12): its length in bytes, and (first, last) of each run of bits that are 1.

    Bits are numbered as for GETBIT: 0 is the highest bit of the first byte. Runs ascend and do not touch each other.
    """

    length: int = 0
    runs: list[tuple[int, int]] = field(default_factory=list)


class Decoder:
    """One body being read: `parts()` to their end; then the attributes have the other contents of the body."""

    def __init__(self, kind: int, cursor: Cursor, templates: Templates, spool: Spool | None = None) -> None:
        self.kind = kind
        self.cursor = cursor
        self.spool = spool
        if spool is not None:
            cursor.spool = spool
        self.templates = templates
        self.type = spec.BY_ID[kind].type
        #: Stream: everything but its entries.
        self.tail: Stream | None = None
        #: Module: name and encoding version.
        self.module: tuple[str, int] = ("", 0)
        self.insert_index: int | None = None
        #: The smallest field expiry as stated in the file (HASH_METADATA, HASH_LISTPACK_EX).
        self.min_expiry: int | None = None
        #: Elements read, set by the code that counts them (value_checks.py).
        self.count = 0
        #: The size of a string, or of a bitmap in bytes, known before its parts are read.
        self.size = 0
        #: Stream: leave out the fields of its entries; they are checked in any case.
        self.bare = False
        #: Stream: its parts are its nodes, as id and listpack, of which nothing is checked.
        self.packed = False
        self._run: Parts | None = None

    def prime(self, parts: list[Any]) -> None:
        """Make `parts` return these parts, which were read before: all parts of the value."""
        self._run = iter([parts])

    def parts(self) -> Parts:
        """Return the lists of parts, in file order; always the same iterator.

        At its end the cursor is after the body.
        """
        if self._run is None:
            self._run = DECODERS[self.kind](self)
        return self._run

    def bad(self, problem: str, start: int, code: str) -> Corrupt:
        """Return the error for a problem in the structure at offset `start` of the body."""
        return Corrupt(problem, offset=start, code=code)


# -- blobs -----------------------------------------------------------------------------------------------------------


def _items(decoder: Decoder, codec: Any, width: int, what: str) -> Parts:
    """Yield the items of the blob at the cursor as flat lists, each with whole elements of `width` items."""
    cursor = decoder.cursor
    start = cursor.tell()
    size, packed = cursor.head()
    if size <= _WHOLE:
        data = cursor.take(size) if packed < 0 else cursor.unpack(packed, size, start)
        items = codec.items(data, start)
        if width > 1 and len(items) % width:
            raise decoder.bad(f"{len(items)} items in a {what}, no multiple of {width}", start, f"bad-{what}")
        yield items
        return
    reader = codec.Reader(cursor.inner(size, packed, start), size)
    while items := reader.read(BATCH):
        if len(items) % width:
            raise decoder.bad(f"a {what} whose items are no multiple of {width}", start, f"bad-{what}")
        yield items


def _paced(cursor: Cursor, left: int, read: Callable[[int], list[Any]]) -> Parts:
    """Yield `left` elements in batches that `read` makes: small ones at first, and if elements are long."""
    count = _FIRST
    while left > 0:
        start = cursor.tell()
        count = min(count, left)
        yield read(count)
        left -= count
        count = min(4 * count, BATCH) if cursor.tell() - start < _PACE else count // 4 + 1


def _pairs(items: list[bytes]) -> list[tuple[bytes, bytes, None]]:
    return list(zip(items[::2], items[1::2], repeat(None)))


# -- strings, lists, sets --------------------------------------------------------------------------------------------


def decode_string(decoder: Decoder) -> Parts:
    """Chunks of bytes."""
    decoder.size, inside = decoder.cursor.open_string()
    for piece in inside.pieces(decoder.size):
        yield [piece]
    # Only at the end of a compressed string is it known whether its stored size is right.
    inside.at_end()


def decode_strings(decoder: Decoder) -> Parts:
    """LIST and SET."""
    cursor = decoder.cursor
    left = cursor.claim()
    while left > 0:
        batch = cursor.strings(min(left, BATCH))
        yield batch
        left -= len(batch)


def decode_list_ziplist(decoder: Decoder) -> Parts:
    """Elements in order."""
    return _items(decoder, ziplist, 1, "ziplist")


def decode_set_listpack(decoder: Decoder) -> Parts:
    """Members in order."""
    return _items(decoder, listpack, 1, "listpack")


def decode_set_intset(decoder: Decoder) -> Parts:
    """Integers as their decimal text, ascending."""
    cursor = decoder.cursor
    start = cursor.tell()
    size, packed = cursor.head()
    reader = intset.Reader(cursor.inner(size, packed, start), size)
    while numbers := reader.read(BATCH):
        yield [b"%d" % number for number in numbers]


def decode_list_quicklist(decoder: Decoder) -> Parts:
    """A ziplist per node."""
    for _, parts in quicklist_nodes(decoder):
        yield from parts


def decode_list_quicklist_2(decoder: Decoder) -> Parts:
    """A listpack, or one long element, per node."""
    for _, parts in quicklist_nodes(decoder):
        yield from parts


def quicklist_nodes(decoder: Decoder) -> Iterator[tuple[int, Parts]]:
    """Yield the container of each node, and its elements, which must be read before the next one."""
    cursor = decoder.cursor
    for _ in range(cursor.claim()):
        start = cursor.tell()
        container = cursor.length() if decoder.kind == spec.LIST_QUICKLIST_2 else spec.PACKED
        if container == spec.PLAIN:
            yield container, iter([[cursor.item()]])
        elif container == spec.PACKED:
            codec, what = (listpack, "listpack") if decoder.kind == spec.LIST_QUICKLIST_2 else (ziplist, "ziplist")
            yield container, _items(decoder, codec, 1, what)
        else:
            raise decoder.bad(f"quicklist container {container}", start, "bad-quicklist")


# -- sorted sets -----------------------------------------------------------------------------------------------------


def decode_zset(decoder: Decoder) -> Parts:
    """ZSET: the score as text, with three special lengths for NaN and the infinities."""
    cursor = decoder.cursor

    def read(count: int) -> list[Any]:
        return [(cursor.item(), _text_double(decoder)) for _ in range(count)]

    return _paced(cursor, cursor.claim(), read)


def _text_double(decoder: Decoder) -> float:
    cursor = decoder.cursor
    start = cursor.tell()
    size = cursor.u8()
    if size >= 253:
        return (math.nan, math.inf, -math.inf)[size - 253]
    return score(cursor.take(size), start)


def score(text: bytes | LongItem, start: int) -> float:
    """Read a score. Raises Corrupt for text that is not a number."""
    try:
        # float() also accepts text that C's strtod does not.
        if isinstance(text, LongItem) or b"_" in text or text != text.strip() or not text:
            raise ValueError
        return float(text)
    except ValueError:
        raise Corrupt(f"{text[:40]!r} where a score is due", offset=start, code="bad-score") from None


#: The characters of numbers. float() accepts more: blanks around them and underscores inside.
_IN_SCORES = b"0123456789+-.einfaINFATYtyE"


def decode_zset_2(decoder: Decoder) -> Parts:
    """ZSET_2: binary doubles; servers write the highest score first."""
    cursor = decoder.cursor

    def read(count: int) -> list[Any]:
        return [(cursor.item(), cursor.f64()) for _ in range(count)]

    return _paced(cursor, cursor.claim(), read)


def decode_zset_ziplist(decoder: Decoder) -> Parts:
    """Member, score, ascending."""
    return _scored(decoder, ziplist, "ziplist")


def decode_zset_listpack(decoder: Decoder) -> Parts:
    """Member, score, ascending."""
    return _scored(decoder, listpack, "listpack")


def _scored(decoder: Decoder, codec: Any, what: str) -> Parts:
    start = decoder.cursor.tell()
    for items in _items(decoder, codec, 2, what):
        try:
            if b"".join(items[1::2]).translate(None, _IN_SCORES):
                raise ValueError
            yield list(zip(items[::2], map(float, items[1::2])))
        except (ValueError, TypeError):
            # TypeError is raised for a LongItem, which is not a score.
            yield [(member, score(text, start)) for member, text in zip(items[::2], items[1::2])]


# -- hashes ----------------------------------------------------------------------------------------------------------


def decode_hash(decoder: Decoder) -> Parts:
    """HASH: field, value."""
    cursor = decoder.cursor
    left = cursor.claim()
    while left > 0:
        batch = cursor.strings(2 * min(left, BATCH), 2)
        yield _pairs(batch)
        left -= len(batch) // 2


def decode_hash_zipmap(decoder: Decoder) -> Parts:
    """Field, value."""
    return map(_pairs, _items(decoder, zipmap, 2, "zipmap"))


def decode_hash_ziplist(decoder: Decoder) -> Parts:
    """Field, value."""
    return map(_pairs, _items(decoder, ziplist, 2, "ziplist"))


def decode_hash_listpack(decoder: Decoder) -> Parts:
    """Field, value."""
    return map(_pairs, _items(decoder, listpack, 2, "listpack"))


def decode_hash_2(decoder: Decoder) -> Parts:
    """Valkey's hash with expiries: they come after the value, -1 for none."""
    cursor = decoder.cursor

    def read(count: int) -> list[Any]:
        batch = []
        for _ in range(count):
            name, value = cursor.strings(2, 2)
            start = cursor.tell()
            due = cursor.fixed_signed(8)
            if due < -1:
                raise decoder.bad(f"field expiry {due}", start, "bad-field-expiry")
            batch.append((name, value, None if due == -1 else due))
        return batch

    return _paced(cursor, cursor.claim(), read)


def decode_hash_metadata(decoder: Decoder) -> Parts:
    """HASH_METADATA: expiries relative to the smallest, plus one; 0 for none."""
    start = decoder.cursor.tell()
    smallest = decoder.cursor.fixed_signed(8)
    if not 0 <= smallest <= MAX_FIELD_EXPIRY + 1:
        raise decoder.bad(f"smallest field expiry {smallest}", start, "bad-field-expiry")
    decoder.min_expiry = smallest
    return _with_expiries(decoder, smallest - 1)


def decode_hash_metadata_pre_ga(decoder: Decoder) -> Parts:
    """The same in 7.4's release candidates: absolute expiries."""
    return _with_expiries(decoder, 0)


def _with_expiries(decoder: Decoder, base: int) -> Parts:
    cursor = decoder.cursor

    def read(count: int) -> list[Any]:
        batch = []
        for _ in range(count):
            start = cursor.tell()
            due = cursor.length()
            due = due and due + base
            if due > MAX_FIELD_EXPIRY:
                raise decoder.bad(f"field expiry {due}", start, "bad-field-expiry")
            name, value = cursor.strings(2, 2)
            batch.append((name, value, due or None))
        return batch

    return _paced(cursor, cursor.claim(), read)


def decode_hash_listpack_ex(decoder: Decoder) -> Parts:
    """HASH_LISTPACK_EX: triples field, value, expiry (absolute, 0 for none), sorted by expiry, those without last."""
    # Servers ignore the smallest one.
    decoder.min_expiry = decoder.cursor.fixed_signed(8)
    return _triples(decoder)


def decode_hash_listpack_ex_pre_ga(decoder: Decoder) -> Parts:
    """The same without the smallest expiry at the start."""
    return _triples(decoder)


def _triples(decoder: Decoder) -> Parts:
    start = decoder.cursor.tell()
    for items in _items(decoder, listpack, 3, "listpack"):
        dues = items[2::3]
        if any(len(due) > 15 or not due.isdigit() or int(due) > MAX_FIELD_EXPIRY for due in dues):
            raise decoder.bad("a field expiry that is no time", start, "bad-field-expiry")
        yield list(zip(items[::3], items[1::3], (int(due) or None for due in dues)))


def decode_hash_tmpl_lp_ref(decoder: Decoder) -> Parts:
    """Template id, then a value for each of its fields, in a listpack."""
    return _templated(decoder, None)


def decode_hash_tmpl_lp(decoder: Decoder) -> Parts:
    """The same after the names, and with an id that is not used."""
    return _templated(decoder, _names(decoder))


def _templated(decoder: Decoder, fields: tuple[bytes, ...] | None) -> Parts:
    start = decoder.cursor.tell()
    batches = iter(_items(decoder, listpack, 1, "listpack"))
    values = next(batches, [])
    if not values or len(values[0]) > 20 or not values[0].isdigit():
        raise decoder.bad("a template hash without its template's id", start, "bad-template")
    if fields is None:
        fields = _fields(decoder, int(values[0]), start)
    at = 0
    batch: list[bytes] | None = values[1:]
    while batch is not None:
        # One batch is read ahead, so that too few values of a small hash are noticed before any part of it is returned.
        after = next(batches, None)
        end = at + len(batch)
        if end > len(fields) or (after is None and end < len(fields)):
            raise decoder.bad(f"{end} values for {len(fields)} fields", start, "bad-template")
        yield list(zip(fields[at:end], batch, repeat(None)))
        at, batch = end, after


def _fields(decoder: Decoder, template: int, start: int) -> tuple[bytes, ...]:
    fields = decoder.templates.get(template)
    if fields is None:
        raise decoder.bad(f"no hash template {template} in this file", start, "bad-template")
    long = sum(isinstance(name, LongItem) for name in fields)
    if decoder.spool is None:
        return tuple(map(bytes, fields)) if long else fields
    # Long names are in the spool of the walk, but they are parts of this decoder too.
    decoder.spool.count += long
    return fields


def _names(decoder: Decoder) -> tuple[bytes, ...]:
    cursor = decoder.cursor
    start = cursor.tell()
    form = cursor.length()
    if form > 1:
        raise decoder.bad(f"form {form} of template names", start, "bad-template")
    if form:
        return tuple(name for names in decode_strings(decoder) for name in names)
    return tuple(name for names in _items(decoder, listpack, 1, "listpack") for name in names)


def decode_hash_tmpl_array_ref(decoder: Decoder) -> Parts:
    """Template id, then a string for each of its fields."""
    start = decoder.cursor.tell()
    return _named(decoder, _fields(decoder, decoder.cursor.length(), start))


def decode_hash_tmpl_array(decoder: Decoder) -> Parts:
    """Names, then a string for each."""
    return _named(decoder, _names(decoder))


def _named(decoder: Decoder, fields: tuple[bytes, ...]) -> Parts:
    at = 0
    while at < len(fields):
        batch = decoder.cursor.strings(min(len(fields) - at, BATCH))
        yield list(zip(fields[at : at + len(batch)], batch, repeat(None)))
        at += len(batch)


# -- streams, arrays, modules ----------------------------------------------------------------------------------------


def decode_stream(decoder: Decoder) -> Parts:
    """(id, fields), or nodes; groups and counters are in `tail` afterwards."""
    reader = StreamReader(decoder.cursor, decoder.kind, decoder.bare)
    yield from reader.nodes() if decoder.packed else reader.entries()
    decoder.tail = reader.tail()


def decode_array(decoder: Decoder) -> Parts:
    """(index, value), ascending."""
    cursor = decoder.cursor
    start = cursor.tell()
    left = cursor.claim()
    flag = cursor.length()
    if not left or flag > 1:
        raise decoder.bad(f"an array of {left} elements with flag {flag}", start, "bad-array")
    if flag:
        decoder.insert_index = cursor.length()

    def read(count: int) -> list[Any]:
        return [(cursor.length(), _element(decoder)) for _ in range(count)]

    return _paced(cursor, left, read)


def _element(decoder: Decoder) -> Any:
    cursor = decoder.cursor
    start = cursor.tell()
    tag = cursor.length()
    if tag == spec.ARRAY_STRING or tag == spec.ARRAY_SMALL_STRING:
        text: Any = cursor.item()
        if tag == spec.ARRAY_SMALL_STRING and len(text) > 7:
            raise decoder.bad(f"a small string of {len(text)} bytes in an array", start, "bad-array")
        return text
    if tag == spec.ARRAY_INT:
        return cursor.fixed_signed(8)
    if tag == spec.ARRAY_FLOAT:
        return cursor.f64()
    raise decoder.bad(f"array element tag {tag}", start, "bad-array")


def decode_path_hash(decoder: Decoder) -> Parts:
    """(path, [(field, value), …]); of the parts of a path with many fields, those after the first have None instead."""
    cursor = decoder.cursor
    batch: list[Any] = []
    held = 0
    for _ in range(cursor.claim()):
        start = cursor.tell()
        path = cursor.item()
        left = cursor.claim()
        if not left:
            raise decoder.bad(f"no fields at the path {path[:40]!r}", start, "bad-path-hash")
        while left > 0:
            items = cursor.strings(2 * min(left, BATCH), 2)
            left -= len(items) // 2
            batch.append((path, list(zip(items[::2], items[1::2]))))
            path = None
            held += len(items) // 2 + cursor.tell() - start
            start = cursor.tell()
            if held >= _PACE or len(batch) >= BATCH:
                yield batch
                batch, held = [], 0
    yield batch


def decode_bitmap(decoder: Decoder) -> Parts:
    """(first, last) of each run of bits that are 1; the length in bytes is in `size`."""
    cursor = decoder.cursor
    start = cursor.tell()
    length = cursor.length()
    if length > MAX_BITMAP:
        raise decoder.bad(f"a bitmap of {length} bytes", start, "bad-bitmap")
    decoder.size = length
    size, inside = cursor.open_string()
    reader = roaring.Reader(inside, size, 8 * length)
    while runs := reader.read(BATCH):
        yield runs


def decode_module(decoder: Decoder) -> Parts:
    """(kind, value); name and version are in `module` at once."""
    decoder.module = module_name(decoder.cursor.length())
    yield from read_parts(decoder.cursor)


def decode_cron(decoder: Decoder) -> Parts:
    """KeyDB's CRON, read as documented: script, start, interval, keys, arguments, as parts of a module of that name."""
    cursor = decoder.cursor
    decoder.module = ("CRON", 0)
    yield [("string", cursor.item()), ("sint", cursor.fixed_signed(8)), ("sint", cursor.fixed_signed(8))]
    for _ in range(2):
        for names in decode_strings(decoder):
            yield [("string", name) for name in names]


DECODERS: dict[int, Callable[[Decoder], Parts]] = {
    spec.STRING: decode_string,
    spec.LIST: decode_strings,
    spec.SET: decode_strings,
    spec.ZSET: decode_zset,
    spec.HASH: decode_hash,
    spec.ZSET_2: decode_zset_2,
    spec.MODULE_2: decode_module,
    spec.HASH_ZIPMAP: decode_hash_zipmap,
    spec.LIST_ZIPLIST: decode_list_ziplist,
    spec.SET_INTSET: decode_set_intset,
    spec.ZSET_ZIPLIST: decode_zset_ziplist,
    spec.HASH_ZIPLIST: decode_hash_ziplist,
    spec.LIST_QUICKLIST: decode_list_quicklist,
    spec.STREAM_LISTPACKS: decode_stream,
    spec.HASH_LISTPACK: decode_hash_listpack,
    spec.ZSET_LISTPACK: decode_zset_listpack,
    spec.LIST_QUICKLIST_2: decode_list_quicklist_2,
    spec.STREAM_LISTPACKS_2: decode_stream,
    spec.SET_LISTPACK: decode_set_listpack,
    spec.STREAM_LISTPACKS_3: decode_stream,
    spec.HASH_METADATA_PRE_GA: decode_hash_metadata_pre_ga,
    spec.HASH_LISTPACK_EX_PRE_GA: decode_hash_listpack_ex_pre_ga,
    spec.HASH_METADATA: decode_hash_metadata,
    spec.HASH_LISTPACK_EX: decode_hash_listpack_ex,
    spec.STREAM_LISTPACKS_4: decode_stream,
    spec.STREAM_LISTPACKS_5: decode_stream,
    spec.ARRAY: decode_array,
    spec.HASH_TMPL_LP: decode_hash_tmpl_lp,
    spec.HASH_TMPL_LP_REF: decode_hash_tmpl_lp_ref,
    spec.HASH_TMPL_ARRAY: decode_hash_tmpl_array,
    spec.HASH_TMPL_ARRAY_REF: decode_hash_tmpl_array_ref,
    spec.HASH_2: decode_hash_2,
    spec.CRON: decode_cron,
    spec.PATH_HASH: decode_path_hash,
    spec.BITMAP: decode_bitmap,
}


def value(decoder: Decoder) -> tuple[Any, dict[bytes, int]]:
    """Read a whole body; the result is that of `assembled`."""
    return assembled(decoder, [part for batch in decoder.parts() for part in batch])


def assembled(decoder: Decoder, parts: list[Any]) -> tuple[Any, dict[bytes, int]]:
    """Join all parts of a body: return the value as in Entry.value, and the expiries of a hash's fields in ms."""
    if decoder.type == "hash":
        due = {name: at for name, _, at in parts if at is not None}
        return {name: text for name, text, _ in parts}, due
    if decoder.type == "string":
        return b"".join(parts), {}
    return _whole(decoder, parts), {}


def _whole(decoder: Decoder, parts: list[Any]) -> Any:
    if decoder.type == "set":
        return set(parts)
    if decoder.type == "zset":
        # The order of ZRANGE: by score, then bytewise.
        parts.sort(key=lambda pair: (pair[1], pair[0]))
    elif decoder.type == "stream":
        assert decoder.tail is not None
        decoder.tail.entries = parts
        return decoder.tail
    elif decoder.type == "array":
        return Array(parts, decoder.insert_index)
    elif decoder.type == "path-hash":
        return _by_path(parts)
    elif decoder.type == "bitmap":
        return Bitmap(decoder.size, parts)
    elif decoder.type == "module":
        return Module(*decoder.module, parts)
    return parts


def _by_path(parts: list[Any]) -> dict[bytes, dict[bytes, bytes]]:
    found: dict[bytes, dict[bytes, bytes]] = {}
    at: dict[bytes, bytes] = {}
    for path, pairs in parts:
        if path is not None:
            at = found.setdefault(path, {})
        at.update(pairs)
    return found
