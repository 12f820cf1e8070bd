"""Helpers for tests of whole RDB files: making them, passing them in pieces, and an account of what was read.

made(*calls)             bytes of a file: the Writer's methods, by name, with their arguments
everything(product, n)   a file with every record and type that RDB version n of that product has
read(build, what)         Reading: a row per entry, then how it ended; equal for equal outcomes, whatever the build
Trickle, Slices          sources without seek, which give a byte, or some bytes, at a time
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

from rdbkit.format import spec
from rdbkit.rdb import writer as default_writer
from rdbkit.rdb.encoders import template_order
from rdbkit.rdb.pending_entries import Pending
from rdbkit.rdb.streams import Consumer, Group, Idmp, Stream

#: A moment that every version can hold, in ms.
MS = 1999999999000
STREAM = Stream(
    entries=[((1, 1), [(b"f", b"v")]), ((1, 2), [(b"f", b"w")]), ((3, 0), [(b"g", b"1"), (b"h", b"-70000")])],
    last_id=(3, 0),
    first_id=(1, 1),
    max_deleted_id=(0, 5),
    entries_added=4,
    groups=[Group(b"g", (1, 2), 2, [Pending((1, 1), b"c", MS, 1)], [Consumer(b"c", MS, MS), Consumer(b"d", MS, -1)])],
    idmp=Idmp(100, 100, [(b"p", [(b"i", (MS, 0))])], 1, 0),
)
PAIRS = [(b"a", b"x", None), (b"bb", b"1000", None), (b"n", b"y" * 30, None)]
EXPIRING = [(b"a", b"x", MS), (b"bb", b"1000", None), (b"n", b"y" * 30, MS + 5)]
#: A value for each type of key, in the shape that the writer takes.
SMALL: dict[str, Any] = {
    "string": b"hello",
    "list": [b"a", b"-5", b"b" * 70, b""],
    "set": {b"a", b"12", b"c" * 40},
    "zset": [(b"a", -1.5), (b"b", 3.0), (b"c", 3.0), (b"d", float("inf"))],
    "hash": PAIRS,
    "stream": STREAM,
    "array": [(0, b"text"), (7, -5), (1 << 40, 2.5)],
    "bitmap": (40, [(0, 0), (9, 17), (300, 300)]),
    "path-hash": [(b"", [(b"f", b"v")]), (b"/a", [(b"f", b"12"), (b"g", b"y" * 30)])],
    "module": ("kit-typeA", 3, [("uint", 7), ("sint", -1), ("float", 0.5), ("double", -0.5), ("string", b"s" * 30)]),
}
EXPIRING_TYPES = frozenset(
    (spec.HASH_METADATA_PRE_GA, spec.HASH_LISTPACK_EX_PRE_GA, spec.HASH_METADATA, spec.HASH_LISTPACK_EX, spec.HASH_2)
)
FUNCTION = b"#!lua name=lib\nredis.register_function('f', function() return 1 end)"

Call = tuple[Any, ...]


def small(type_id: int) -> Any:
    """Return a value of this type."""
    if type_id == spec.SET_INTSET:
        return {b"-70000", b"0", b"5", b"300"}
    if type_id == spec.CRON:
        return b"script", 1, 2, [b"key"], [b"argument"]
    return EXPIRING if type_id in EXPIRING_TYPES else SMALL[spec.BY_ID[type_id].type]


def body(type_id: int, value: Any = None, **options: Any) -> bytes:
    """Return the body of a value, by default of the small one."""
    return default_writer.encode(type_id, small(type_id) if value is None else value, **options)


def entry(type_id: int, key: bytes = b"key", value: Any = None, **options: Any) -> Call:
    """Return the call that writes a key of this type."""
    return "entry", type_id, key, body(type_id, value, **options)


def made(*calls: Call, version: int = 11, product: Any = "redis", checksum: bool = True, end: bool = True) -> bytes:
    """Return the bytes of a file with these records between its magic and its end."""
    out: list[bytes] = []
    writer = default_writer.Writer(out.append, version, product, checksum=checksum)
    writer.magic()
    for name, *arguments in calls:
        getattr(writer, name)(*arguments)
    if end:
        writer.end()
    writer.flush()
    return b"".join(out)


def fields_of(value: Any) -> list[bytes]:
    return template_order(field for field, _, _ in value)


def everything(product: str, version: int) -> bytes:
    """Return a file with every record and type of that version."""
    known = {
        row.id for row in spec.ROWS if row.status != "refused" and default_writer.writable(row.id, version, product)
    }
    calls: list[Call] = []

    def add(record: int, *call: Any) -> None:
        if record in known:
            calls.append(call)

    add(spec.AUX, "aux", b"valkey-ver" if product == "valkey" else b"redis-ver", b"255.255.255")
    add(spec.AUX, "aux", b"ctime", MS // 1000)
    add(spec.MODULE_AUX, "module_aux", "kit-typeA", 3, 1, [("string", b"before")])
    add(spec.FUNCTION2, "function", FUNCTION)
    add(spec.FUNCTION_PRE_GA, "function_pre_ga", b"old", b"LUA", b"return 1", b"described")
    add(spec.HASH_TEMPLATE, "hash_template", 5, fields_of(PAIRS))
    add(spec.SLOT_IMPORT, "slot_import", b"j" * 40, [(0, 5), (16383, 16383)])
    for db in (0, 9):
        types = sorted(known & set(default_writer.ENCODERS)) if db == 0 else [spec.STRING]
        calls.append(("select_db", db))
        add(spec.RESIZEDB, "resize_db", len(types), len(types) // 2)
        add(spec.SLOT_INFO, "slot_info", 7638, len(types), 0)
        for number, type_id in enumerate(types):
            if number % 2:
                calls.append(("expire_ms", MS + number) if version >= 3 else ("expire_seconds", MS // 1000))
            add(*((spec.IDLE, "idle", number) if number % 3 else (spec.FREQ, "freq", number)))
            add(spec.KEY_META, "key_meta", [(default_writer.class_spec("KMT1", 1, 1), [("uint", number)])])
            calls.append(entry(type_id, b"key:%d" % number, template=5))
    add(spec.MODULE_AUX, "module_aux", "kit-typeA", 3, 2, [])
    return made(*calls, version=version, product=product)


#: Product and RDB version: one of each form that files have.
VERSIONS = [("redis", 1), ("redis", 2), ("redis", 6), ("redis", 9), ("redis", 11), ("redis", 15), ("redis", 16)]
VERSIONS += [("valkey", 11), ("valkey", 80), ("valkey", 81)]


# -- handing over ------------------------------------------------------------------------------------------------------


class Trickle:
    """A file object that cannot seek and gives `step` bytes at a time."""

    def __init__(self, data: bytes, step: int = 1) -> None:
        self.data = data
        self.step = step
        self.at = 0

    def read(self, n: int = -1, /) -> bytes:
        piece = self.data[self.at : self.at + min(n, self.size())]
        self.at += len(piece)
        return piece

    def size(self) -> int:
        return self.step


class Slices(Trickle):
    """The same, with pieces of random sizes."""

    def __init__(self, data: bytes, seed: int) -> None:
        super().__init__(data)
        self.random = random.Random(seed)

    def size(self) -> int:
        return self.random.choice((1, 2, 7, 100, 5000, 70000))


# -- what was read -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Reading:
    """A row per entry in file order; then ("end", checksum, tail) or the account of an error."""

    rows: list[Any]
    end: Any
    facts: Any = None

    @property
    def keys(self) -> list[bytes]:
        return [row[2] for row in self.rows]


def shown(value: Any) -> Any:
    """Return a value in a form in which those of two builds are equal: names and plain things, floats as text."""
    if is_dataclass(value):
        return type(value).__name__, [shown(getattr(value, field.name)) for field in fields(value)]
    if isinstance(value, set | frozenset):
        return sorted(value)
    if isinstance(value, dict):
        return [(key, shown(item)) for key, item in value.items()]
    if isinstance(value, Sequence) and not isinstance(value, bytes | str):
        return [shown(item) for item in value]
    return repr(value) if isinstance(value, float) else value


def error_of(error: Any) -> Any:
    """Return the account of an error; anything but one of rdbkit's comes through."""
    if "RdbkitError" not in [base.__name__ for base in type(error).__mro__]:
        raise error
    return type(error).__name__, error.code, error.offset, error.db, error.key, str(error)


def attempt(call: Any) -> Any:
    """Return what a call gives, shown, or the account of its error."""
    try:
        return shown(call())
    except Exception as error:
        return error_of(error)


def row_of(entry: Any, deep: bool = True) -> Any:
    head = (entry.offset, entry.db, entry.key, entry.type_id, entry.expires_at, entry.idle, entry.freq)
    if not deep:
        return head
    names = ("value", "field_expires_at", "size", "elements", "encoding")
    return (*head, *(attempt(lambda name=name: getattr(entry, name)) for name in names))


def read(build: Any, what: Any, *, deep: bool = True, **options: Any) -> Reading:
    """Read a file to its end, or to what stops it. `deep`: with values and all else that reads a body."""
    rows: list[Any] = []
    try:
        with build.rdbkit.open(what, now=MS, **options) as snapshot:
            rows.extend(row_of(entry, deep) for entry in snapshot)
            tail = snapshot.tail and (snapshot.tail.kind, snapshot.tail.size, snapshot.tail.offset)
            facts = snapshot.product, snapshot.version, snapshot.aux, snapshot.functions, shown(snapshot.databases)
            return Reading(rows, ("end", snapshot.checksum, tail), facts)
    except Exception as error:
        return Reading(rows, error_of(error))


def shaped(type_id: int, found: Any, due: dict[bytes, int]) -> Any:
    """Return the reader's value in the shape that the writer takes."""
    kind = spec.BY_ID[type_id].type
    if kind == "hash":
        return [(field, data, due.get(field)) for field, data in found.items()]
    if kind == "array":
        return found.elements
    if kind == "bitmap":
        return found.length, found.runs
    if kind == "path-hash":
        return [(path, list(fields.items())) for path, fields in found.items()]
    return (found.name, found.version, found.parts) if kind == "module" else found
