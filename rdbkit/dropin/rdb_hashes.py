"""Hashes, checked in the order in which rdb.c loads them.

A hash of few and short pairs is loaded into a compact form first, where the message for a duplicate field is another
one than later, in the table.

Source: BSD Valkey 7.2, rdb.c; hashes whose fields expire: recorded runs of redis-check-rdb 8.2.3 and valkey-check-rdb
9.0.0 to 9.1.2.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from rdbkit.dropin.packed import are_numbers, batches
from rdbkit.dropin.reader import Ended, Reported, times
from rdbkit.errors import Corrupt
from rdbkit.format import spec
from rdbkit.rdb.values import MAX_FIELD_EXPIRY
from rdbkit.wire import listpack, ziplist, zipmap
from rdbkit.wire.cursor import Cursor

if TYPE_CHECKING:
    from rdbkit.dropin.rdb_values import ValueSteps

#: With more pairs, or more bytes in a field or value, a hash is a table.
_COMPACT_PAIRS, _COMPACT_BYTES = 512, 64
_NO_LISTPACK = "Hash listpack integrity check failed."


def load(values: ValueSteps, kind: int) -> None:
    """HASH, and Valkey's with expiries (-1 for none), which is a table from the start.

    There are two messages for duplicates, depending on the present form of the hash.
    """
    reader = values.reader
    count = values.nonzero(reader.length())
    compact = count <= _COMPACT_PAIRS and kind != spec.HASH_2
    if not compact:
        values.table(count)
    names = values.new_names()
    for _ in times(count):
        name = reader.string()
        value_size = reader.skip_string()
        if kind == spec.HASH_2 and reader.signed(8) < -1:
            raise Ended
        if names.add(name):
            _twice(values, compact)
        if len(name) > _COMPACT_BYTES or value_size > _COMPACT_BYTES:
            compact = False


def _twice(values: ValueSteps, compact: bool) -> None:
    if values.tool.deep:
        raise Reported("Hash with dup elements" if compact else "Duplicate hash fields detected")
    if not compact:
        raise Reported("Duplicate keys detected")


def load_zipmap(values: ValueSteps, kind: int) -> None:
    """HASH_ZIPMAP: duplicate fields are searched for after the structure was found valid."""
    twice: list[int] = []

    def judge(inside: bytes | Cursor, size: int) -> int:
        names = values.new_names()
        for batch in batches(zipmap, inside, size, values.tool):
            twice.extend(len(name) for name in batch[::2] if names.add(name))
        return 1

    values.judged(judge, "Zipmap integrity check failed.")
    if twice:
        raise Reported(f"Hash zipmap with dup elements, or big length ({twice[0]})")


def load_ziplist(values: ValueSteps, kind: int) -> None:
    """HASH_ZIPLIST."""
    values.nonzero(values.items(ziplist, "Hash ziplist integrity check failed.", 2))


def load_listpack(values: ValueSteps, kind: int) -> None:
    """HASH_LISTPACK, and those with expiries: the smallest expiry before them is ignored."""
    if kind == spec.HASH_LISTPACK:
        values.nonzero(values.items(listpack, _NO_LISTPACK, 2))
        return
    if kind == spec.HASH_LISTPACK_EX:
        try:
            values.reader.take(8)
        except Ended as error:
            raise Reported("Short read of listpackex min expiration time.") from error
    values.nonzero(values.judged(lambda inside, size: _triples(values, inside, size), _NO_LISTPACK))


def _triples(values: ValueSteps, inside: bytes | Cursor, size: int) -> int:
    """Check field, value, expiry: numbers that ascend, then 0 for none; return how many items there are."""
    names = values.new_names()
    total, last = 0, 0.0
    for batch in batches(listpack, inside, size, values.tool):
        if any(map(names.add, batch[::3])):
            raise Corrupt("names twice", code="bad-blob")
        for text in batch[2::3]:
            due = int(text) if len(text) <= 20 and listpack.is_integer(text) else -1
            if not 0 <= due <= MAX_FIELD_EXPIRY or (due or math.inf) < last:
                raise Corrupt("no expiry, or a smaller one than before", code="bad-blob")
            values.expiring |= due > 0
            last = due or math.inf
        total += len(batch)
    if total % 3 or (isinstance(inside, bytes) and not are_numbers(inside, 3, values.tool.new_widths)):
        raise Corrupt("an item that is missing, or no number", code="bad-blob")
    return total


def load_metadata(values: ValueSteps, kind: int) -> None:
    """HASH_METADATA and its pre-release form: expiry, field, value. No table is allocated for the stated count."""
    reader = values.reader
    base = _smallest(values) - 1 if kind == spec.HASH_METADATA else 0
    count = values.nonzero(reader.length())
    compact = count <= _COMPACT_PAIRS
    names = values.new_names()
    doing = ""
    try:
        for _ in times(count):
            doing = "TTL"
            due = reader.number()
            due = due and (due + base) % (1 << 64)
            if due > MAX_FIELD_EXPIRY:
                raise Reported(f"invalid expireAt time: {due}")
            doing = "field"
            name = reader.string()
            doing = "value"
            value_size = reader.skip_string()
            values.expiring |= due > 0
            if names.add(name):
                _twice(values, compact)
            if len(name) > _COMPACT_BYTES or value_size > _COMPACT_BYTES:
                compact = False
    except Ended as error:
        raise Ended(logged=f"failed reading hash {doing}") from error


def _smallest(values: ValueSteps) -> int:
    """Read the smallest expiry; the greatest possible one plus 1 means none."""
    try:
        smallest = int.from_bytes(values.reader.take(8), "little")
    except Ended as error:
        raise Reported("Hash failed loading minExpire") from error
    if smallest > MAX_FIELD_EXPIRY + 1:
        raise Reported("Hash read invalid minExpire value")
    return smallest


def load_template_listpack(values: ValueSteps, kind: int) -> None:
    """HASH_TMPL_LP_REF: the template's id, then a value for each field."""

    def judge(inside: bytes | Cursor, size: int) -> int:
        first: list[bytes] = []
        total = 0
        for batch in batches(listpack, inside, size, values.tool):
            first = first or batch[:1]
            total += len(batch)
        known = first and len(first[0]) <= 20 and listpack.is_integer(first[0]) and values.templates.get(int(first[0]))
        if not known or len(known) != total - 1:
            raise Corrupt("no such template", code="bad-template")
        return total

    values.judged(judge, "template-listpack integrity check failed.")
