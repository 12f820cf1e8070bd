"""Random values of every type, whole files of them, and damage: for the property tests.

Contents:

    values(type_id)               a value that this type can hold, in the shape that writer.encode takes
    files(version, product)       File: keys, functions, aux, and how to write them; types as that version has them
    write(file)                   Written: its bytes, and where each key starts
    damages(data)                 Damage: the same bytes with one thing wrong, and from where on they differ
    normal(type_id, value)        what two equal values agree in, whichever build and whichever order they came in
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import astuple, dataclass, is_dataclass
from typing import Any

from hypothesis import strategies as st

from rdbkit.format import spec, versions
from rdbkit.rdb import writer as default_writer
from rdbkit.rdb.pending_entries import Pending
from rdbkit.rdb.streams import Consumer, Group, Idmp, Stream

WORD = (1 << 64) - 1
#: The greatest field expiry that Redis takes, in ms.
LAST_EXPIRY = (1 << 48) - 1
VERSIONS = [("redis", n) for n in range(1, versions.HEADERS["redis"].last + 1)]
VERSIONS += [("valkey", n) for n in (11, 80, 81)]

# -- what values are made of -------------------------------------------------------------------------------------------

_EDGES = [b"", b"0", b"-0", b"+1", b"007", b"12345678901", b"-2147483648", b"2147483648", b"\xff", b"\x00", b"inf"]
_EDGES += [b"9223372036854775807", b"-9223372036854775808", b"9223372036854775808", b"a" * 63, b"b" * 64, b"c" * 300]
_INTEGERS = st.one_of(st.integers(-130, 130), st.integers(-(1 << 63), (1 << 63) - 1))

integers = _INTEGERS.map(lambda n: b"%d" % n)
strings = st.one_of(st.binary(max_size=10), integers, st.sampled_from(_EDGES), st.binary(min_size=20, max_size=40))
scores = st.one_of(st.integers(-100, 100).map(float), st.floats(allow_nan=False), st.sampled_from([1e17, 0.1, -0.0]))
_words = st.one_of(st.integers(0, 5), st.integers(0, WORD))
stream_ids = st.tuples(_words, _words)
times = st.one_of(st.integers(1, 1000), st.integers(1, LAST_EXPIRY))
_SMALL = 6

lists = st.lists(strings, min_size=1, max_size=_SMALL)
sets = st.lists(strings, min_size=1, max_size=_SMALL, unique=True).map(set)
intsets = st.lists(integers, min_size=1, max_size=_SMALL, unique=True).map(set)
zsets = st.dictionaries(strings, scores, min_size=1, max_size=_SMALL).map(
    lambda scored: sorted(scored.items(), key=lambda pair: (pair[1], pair[0]))
)
hashes = st.dictionaries(strings, strings, min_size=1, max_size=_SMALL).map(
    lambda pairs: [(field, value, None) for field, value in pairs.items()]
)


@st.composite
def expiring_hashes(draw: Any) -> list[tuple[bytes, bytes, int | None]]:
    """At least one field expires."""
    fields = draw(st.lists(strings, min_size=1, max_size=_SMALL, unique=True))
    expiries = [draw(times), *(draw(st.one_of(st.none(), times)) for _ in fields[1:])]
    return [(field, draw(strings), expiry) for field, expiry in zip(fields, draw(st.permutations(expiries)))]


arrays = st.dictionaries(
    st.one_of(st.integers(0, 20), st.integers(0, WORD - 1)),
    st.one_of(strings, _INTEGERS, st.floats(allow_nan=False)),
    min_size=1,
    max_size=_SMALL,
).map(lambda elements: sorted(elements.items()))

path_hashes = st.dictionaries(
    strings, st.dictionaries(strings, strings, min_size=1, max_size=3), min_size=1, max_size=_SMALL
).map(lambda paths: [(path, list(fields.items())) for path, fields in sorted(paths.items())])


@st.composite
def bitmaps(draw: Any) -> tuple[int, list[tuple[int, int]]]:
    """Few runs, which do not touch, near each other or far apart, and a length that may be longer than they need."""
    runs: list[tuple[int, int]] = []
    at = 0
    for gap, more in draw(st.lists(st.tuples(_gaps, st.integers(0, 20) | st.just(70000)), max_size=_SMALL)):
        runs.append((at + gap, at + gap + more))
        at += gap + more + 2
    return (runs[-1][1] // 8 + 1 if runs else 0) + draw(st.integers(0, 3)), runs


_gaps = st.integers(0, 20) | st.sampled_from([1 << 16, 1 << 32, 1 << 48])

_module_parts = st.lists(
    st.one_of(
        st.tuples(st.just("sint"), _INTEGERS),
        st.tuples(st.just("uint"), st.integers(0, WORD)),
        st.tuples(st.just("float"), st.floats(allow_nan=False, width=32)),
        st.tuples(st.just("double"), st.floats(allow_nan=False)),
        st.tuples(st.just("string"), strings),
    ),
    max_size=_SMALL,
)
module_names = st.text("ABCXYZabcxyz0189-_", min_size=9, max_size=9)
modules = st.tuples(module_names, st.integers(0, 1023), _module_parts)

# -- streams -----------------------------------------------------------------------------------------------------------


@st.composite
def streams(draw: Any, type_id: int) -> Stream:
    """Values that this type can hold and a strict reader accepts; fields that it lacks have the loader's values."""
    ids = sorted(draw(st.lists(stream_ids, max_size=_SMALL, unique=True)))
    names = draw(st.lists(strings, min_size=1, max_size=3))
    entries = [(stream_id, draw(_pairs(names))) for stream_id in ids]
    last = max(draw(stream_ids), ids[-1] if ids else (0, 0))
    newer = type_id >= spec.STREAM_LISTPACKS_2
    added = len(ids) + (draw(st.integers(0, 5)) if newer else 0)
    group_names = draw(st.lists(strings, max_size=2, unique=True))
    return Stream(
        entries=entries,
        last_id=last,
        first_id=ids[0] if ids else (0, 0),
        max_deleted_id=min(draw(stream_ids), last) if newer else (0, 0),
        entries_added=added,
        groups=[draw(_groups(name, type_id, added)) for name in group_names],
        idmp=draw(_idmps()) if type_id >= spec.STREAM_LISTPACKS_4 else None,
        length=len(ids),
    )


@st.composite
def _pairs(draw: Any, names: list[bytes]) -> list[tuple[bytes, bytes]]:
    fields = draw(st.one_of(st.just(names), st.lists(strings, min_size=1, max_size=3)))
    return [(field, draw(strings)) for field in fields]


@st.composite
def _groups(draw: Any, name: bytes, type_id: int, added: int) -> Group:
    consumers = []
    for consumer in draw(st.lists(strings, max_size=2, unique=True)):
        seen = draw(times)
        active = draw(st.one_of(st.just(-1), times)) if type_id >= spec.STREAM_LISTPACKS_3 else None
        consumers.append(Consumer(consumer, seen, active))
    owners: list[bytes | None] = [consumer.name for consumer in consumers]
    if type_id >= spec.STREAM_LISTPACKS_5:
        owners.append(None)
    waiting = sorted(draw(st.lists(stream_ids, max_size=3, unique=True))) if owners else []
    pending = [Pending(i, draw(st.sampled_from(owners)), draw(times), draw(st.integers(0, 99))) for i in waiting]
    read = draw(st.one_of(st.none(), st.integers(0, added))) if type_id >= spec.STREAM_LISTPACKS_2 else None
    return Group(name, draw(stream_ids), read, pending, consumers)


@st.composite
def _idmps(draw: Any) -> Idmp:
    entries = st.dictionaries(strings, stream_ids, min_size=1, max_size=2).map(lambda known: list(known.items()))
    producers = draw(st.dictionaries(strings, entries, max_size=2))
    counters = draw(st.tuples(st.integers(0, 99), st.integers(0, 99)))
    return Idmp(draw(st.integers(1, 86400)), draw(st.integers(1, 10000)), list(producers.items()), *counters)


# -- values by type ----------------------------------------------------------------------------------------------------

_TTL_TYPES = {
    spec.HASH_METADATA_PRE_GA,
    spec.HASH_LISTPACK_EX_PRE_GA,
    spec.HASH_METADATA,
    spec.HASH_LISTPACK_EX,
    spec.HASH_2,
}
_BY_TYPE: dict[str, st.SearchStrategy[Any]] = {
    "string": strings,
    "list": lists,
    "set": sets,
    "zset": zsets,
    "hash": hashes,
    "array": arrays,
    "path-hash": path_hashes,
    "bitmap": bitmaps(),
    "module": modules,
}


def values(type_id: int) -> st.SearchStrategy[Any]:
    """Values that this type can hold, never empty (a stream or a bitmap may be)."""
    if type_id == spec.SET_INTSET:
        return intsets
    if type_id == spec.CRON:
        names = st.lists(strings, max_size=2)
        return st.tuples(strings, times, times, names, names)
    if type_id in _TTL_TYPES:
        return expiring_hashes()
    kind = spec.BY_ID[type_id].type
    return streams(type_id) if kind == "stream" else _BY_TYPE[kind]


def normal(type_id: int, value: Any) -> Any:
    """The same for equal values: plain tuples and dicts, floats by their bits, the order of unordered things gone."""
    kind = spec.BY_ID[type_id].type
    if kind == "set":
        return frozenset(value)
    if kind == "zset":
        return {member: struct.pack("<d", score) for member, score in value}
    if kind == "hash":
        return {field: (data, expiry) for field, data, expiry in value}
    return _bits(value)


def _bits(value: Any) -> Any:
    if isinstance(value, float):
        return ("float", struct.pack("<d", value))
    if is_dataclass(value) and not isinstance(value, type):
        return _bits(astuple(value))
    if isinstance(value, Sequence) and not isinstance(value, (bytes, str)):
        return tuple(map(_bits, value))
    return value


# -- files -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Key:
    """One key: `value` as in `values`, `expires_at` in ms, `idle` in seconds."""

    db: int
    key: bytes
    type_id: int
    value: Any
    expires_at: int | None = None
    idle: int | None = None
    freq: int | None = None


@dataclass(frozen=True)
class File:
    """What a file holds (keys in file order: databases ascending), and how it is to be written."""

    version: int
    product: str
    keys: tuple[Key, ...]
    functions: tuple[bytes, ...] = ()
    aux: tuple[tuple[bytes, bytes], ...] = ()
    checksum: bool = True
    compress: bool = True
    generation: str = "old"
    node_size: int = 100


@dataclass(frozen=True)
class Written:
    """A file's bytes; `starts` holds the offset at which each key's first record starts, `end` that of the end mark."""

    data: bytes
    starts: tuple[int, ...]
    end: int


def types(version: int, product: str = "redis") -> list[int]:
    """The ids of all types that a server of that version could read (KeyDB's are left out)."""
    return [t for t in default_writer.ENCODERS if default_writer.writable(t, version, product) and t != spec.CRON]


@st.composite
def keys(draw: Any, version: int, product: str, db: int, name: bytes) -> Key:
    type_id = draw(st.sampled_from(types(version, product)))
    seconds = st.integers(1, (1 << 31) - 1).map(lambda s: s * 1000)
    expiry = draw(st.one_of(st.none(), times if version >= 3 else seconds))
    usage: tuple[int | None, int | None] = (None, None)
    if version >= 9:
        idle, freq = st.integers(0, 1 << 33), st.integers(0, 255)
        usage = draw(st.one_of(st.just(usage), st.tuples(idle, st.none()), st.tuples(st.none(), freq)))
    return Key(db, name, type_id, draw(values(type_id)), expiry, *usage)


@st.composite
def files(draw: Any, version: int | None = None, product: str | None = None, max_keys: int = 6) -> File:
    """Whole files, of the given version and product or of any."""
    known = [(p, v) for p, v in VERSIONS if version in (None, v) and product in (None, p)]
    maker, number = draw(st.sampled_from(known))
    names = draw(st.lists(st.tuples(st.sampled_from([0, 0, 1, 9, 300]), strings), max_size=max_keys, unique=True))
    names.sort(key=lambda name: name[0])
    aux = draw(st.lists(st.tuples(strings.map(b"x-".__add__), strings), max_size=2)) if number >= 7 else []
    sources = draw(st.sets(st.integers(0, 9), max_size=2)) if number >= 10 else ()
    return File(
        version=number,
        product=maker,
        keys=tuple(draw(keys(number, maker, db, name)) for db, name in names),
        functions=tuple(b"#!lua name=lib%d\nredis.register_function('f%d', function() end)" % (n, n) for n in sources),
        aux=tuple(aux),
        checksum=draw(st.booleans()),
        compress=draw(st.booleans()),
        generation=draw(st.sampled_from(["old", "new"])),
        node_size=draw(st.sampled_from([1, 2, 100])),
    )


def write(file: File, writer: Any = default_writer) -> Written:
    """Write the file, with the default build's writer or the one given."""
    out: list[bytes] = []
    to = writer.Writer(out.append, file.version, file.product, file.checksum, file.compress)
    to.magic()
    for name, value in file.aux:
        to.aux(name, value)
    for source in file.functions:
        to.function(source)
    templates = _templates(file)
    for fields, number in templates.items():
        to.hash_template(number, fields)
    starts = []
    db = None
    for key in file.keys:
        if key.db != db:
            db = key.db
            _open_db(to, file, db)
        starts.append(to.tell())
        _write_key(to, file, key, templates, writer)
    end = to.tell()
    to.end()
    return Written(b"".join(out), tuple(starts), end)


def _templates(file: File) -> dict[tuple[bytes, ...], int]:
    """Ids of the templates that the keys refer to: sparse, as they are in real files."""
    referring = [key for key in file.keys if key.type_id in (spec.HASH_TMPL_LP_REF, spec.HASH_TMPL_ARRAY_REF)]
    return {_fields(key.value): 3 * number for number, key in enumerate(referring)}


def _fields(value: list[tuple[bytes, bytes, None]]) -> tuple[bytes, ...]:
    return tuple(sorted((field for field, _, _ in value), key=lambda field: (len(field), field)))


def _open_db(to: Any, file: File, db: int) -> None:
    to.select_db(db)
    if file.version >= 7:
        held = [key for key in file.keys if key.db == db]
        to.resize_db(len(held), sum(key.expires_at is not None for key in held))


def _write_key(to: Any, file: File, key: Key, templates: dict[tuple[bytes, ...], int], writer: Any) -> None:
    if key.expires_at is not None:
        if file.version >= 3:
            to.expire_ms(key.expires_at)
        else:
            to.expire_seconds(key.expires_at // 1000)
    if key.idle is not None:
        to.idle(key.idle)
    if key.freq is not None:
        to.freq(key.freq)
    options: dict[str, Any] = {"compress": file.compress, "node_size": file.node_size, "generation": file.generation}
    options |= {"wide": file.version <= 5, "short_scores": file.version >= 11}
    if spec.BY_ID[key.type_id].type == "hash":
        options["template"] = templates.get(_fields(key.value), 0)
    to.entry(key.type_id, key.key, writer.encode(key.type_id, key.value, **options))


# -- damage ------------------------------------------------------------------------------------------------------------

#: Impossible lengths and counts, in the forms that files have.
HUGE = [b"\x81" + b"\xff" * 8, b"\x81\x7f" + b"\xff" * 7, b"\x80\xff\xff\xff\xff", b"\x80\x7f\xff\xff\xff"]
HUGE += [b"\xc3\x81" + b"\xff" * 8, b"\xc3\x05\x80\x40\x00\x00\x00", b"\x81" + b"\0" * 8]
HUGE += [b"\xff\xff", b"\xff" * 4, b"\xff\xff\xff\x7f"]


@dataclass(frozen=True)
class Damage:
    """Damaged bytes; before `at` they are those of the valid file."""

    data: bytes
    at: int
    how: str


@st.composite
def damages(draw: Any, data: bytes) -> Damage:
    """One thing wrong somewhere in `data` (not empty): cut, changed, longer, shorter, or a huge length claimed."""
    at = draw(st.integers(0, len(data) - 1))
    how = draw(st.sampled_from(["truncate", "flip", "overwrite", "insert", "delete", "huge"]))
    head, tail = data[:at], data[at:]
    if how == "truncate":
        tail = b""
    elif how == "flip":
        tail = bytes((tail[0] ^ draw(st.integers(1, 255)),)) + tail[1:]
    elif how == "insert":
        tail = draw(st.binary(min_size=1, max_size=12)) + tail
    elif how == "delete":
        tail = tail[draw(st.integers(1, 12)) :]
    else:
        over = draw(st.binary(min_size=1, max_size=12) if how == "overwrite" else st.sampled_from(HUGE))
        tail = over + tail[len(over) :]
    return Damage(head + tail, at, how)
