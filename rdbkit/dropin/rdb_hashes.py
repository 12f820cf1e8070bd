"""Hashes, checked in the order in which rdb.c loads them.

A hash of few and short pairs is loaded into a compact form first, and a field that occurs twice is told in other words
there than later, in the table.

Source: BSD Valkey 7.2, rdb.c; hashes whose fields expire: recorded runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rdbkit.dropin.packed import batches
from rdbkit.dropin.reader import Reported, times
from rdbkit.errors import Corrupt
from rdbkit.format import spec
from rdbkit.rdb.values import MAX_FIELD_EXPIRY
from rdbkit.wire import listpack, ziplist, zipmap
from rdbkit.wire.cursor import Cursor

if TYPE_CHECKING:
    from rdbkit.dropin.rdb_values import Values

#: Beyond this many pairs, or bytes of a field or value, a hash is a table.
_COMPACT_PAIRS, _COMPACT_BYTES = 512, 64


def load(values: Values, kind: int) -> None:
    """HASH, and Valkey's with expiries: duplicates have two names, by the form that the hash has by then."""
    reader = values.reader
    count = values.nonzero(reader.length())
    compact = count <= _COMPACT_PAIRS
    if not compact:
        values.table(count)
    names = values.new_names()
    for _ in times(count):
        name = reader.string()
        value_size = reader.skip_string()
        if kind == spec.HASH_2 and reader.signed(8) != -1:
            values.expiring = True
        if names.add(name):
            _twice(values, compact)
        if len(name) > _COMPACT_BYTES or value_size > _COMPACT_BYTES:
            compact = False


def _twice(values: Values, compact: bool) -> None:
    if values.tool.deep:
        raise Reported("Hash with dup elements" if compact else "Duplicate hash fields detected")
    if not compact:
        raise Reported("Duplicate keys detected")


def load_zipmap(values: Values, kind: int) -> None:
    """HASH_ZIPMAP: repeated fields are looked for when the structure was found sound."""
    twice: list[int] = []

    def judge(inside: bytes | Cursor, size: int) -> int:
        names = values.new_names()
        for batch in batches(zipmap, inside, size, values.tool):
            twice.extend(len(name) for name in batch[::2] if names.add(name))
        return 1

    values.judged(judge, "Zipmap integrity check failed.")
    if twice:
        raise Reported(f"Hash zipmap with dup elements, or big length ({twice[0]})")


def load_ziplist(values: Values, kind: int) -> None:
    """HASH_ZIPLIST."""
    values.nonzero(values.items(ziplist, "Hash ziplist integrity check failed.", 2))


def load_listpack(values: Values, kind: int) -> None:
    """HASH_LISTPACK, and those with expiries: the smallest one in front is not looked at."""
    expiring = kind != spec.HASH_LISTPACK
    if kind == spec.HASH_LISTPACK_EX:
        values.reader.take(8)
    count = values.items(listpack, "Hash listpack integrity check failed.", 3 if expiring else 2)
    values.expiring = expiring
    values.nonzero(count)


def load_metadata(values: Values, kind: int) -> None:
    """HASH_METADATA and its forerunner: expiry, field, value."""
    reader = values.reader
    if kind == spec.HASH_METADATA and not 0 <= reader.signed(8) <= MAX_FIELD_EXPIRY + 1:
        raise Reported("Hash read invalid minExpire value")
    count = values.nonzero(reader.length())
    if count > _COMPACT_PAIRS:
        values.table(count)
    compact = count <= _COMPACT_PAIRS
    names = values.new_names()
    for _ in times(count):
        values.expiring |= reader.length() != 0
        name = reader.string()
        value_size = reader.skip_string()
        if names.add(name):
            _twice(values, compact)
        if len(name) > _COMPACT_BYTES or value_size > _COMPACT_BYTES:
            compact = False


def load_template_listpack(values: Values, kind: int) -> None:
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
