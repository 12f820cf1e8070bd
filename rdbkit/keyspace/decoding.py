"""From a value in the RDB format to one that commands can change."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rdbkit.errors import Unsupported
from rdbkit.keyspace.tables import LARGE, Table
from rdbkit.keyspace.values import Array, Hash, List, Module, Set, Stored, String, Tabled, Value, ZSet
from rdbkit.rdb.body import Body
from rdbkit.rdb.values import Decoder, assembled
from rdbkit.releases import encodings, limits
from rdbkit.releases.target import Target
from rdbkit.wire.cursor import Cursor


def decoded(stored: Stored, target: Target, templates: dict[int, tuple[bytes, ...]], key_size: int) -> Value:
    """Return the value, with the encoding that the target gives it when it loads it. Raises RdbkitError if damaged."""
    kind = stored.kind
    encoding = encoding_of(stored, target, templates, key_size)
    decoder = Decoder(kind, Cursor(stored.body), templates)
    value = made(decoder, [part for batch in decoder.parts() for part in batch], stored.body)
    if encoding is not None and hasattr(value, "encoding"):
        value.encoding = encoding
    elif isinstance(value, String):
        # One that fits into no number and no short allocation is raw; others are what a SET makes of them.
        value.is_raw = False
    if isinstance(value, Tabled):
        value.known = len(value)
        value.table = Table.loaded(len(value)) if value.encoding in LARGE else None
    value.expires_at, value.offset = stored.expires_at, stored.offset
    return value


def encoding_of(stored: Stored, target: Target, templates: dict[int, tuple[bytes, ...]], key_size: int) -> str | None:
    """Return what OBJECT ENCODING answers for a stored value."""
    body = Body(
        Cursor(stored.body),
        limits.item_limits(target),
        target.has("listpack"),
        limits.list_limits(target) if target.has("list-listpack") else None,
        templates,
    )
    shape = body.shape(stored.kind)
    return encodings.rules(target)(stored.kind, shape, key_size, stored.expires_at is not None)


def made(decoder: Decoder, parts: list[Any], body: bytes | None) -> Value:
    """Return a value of the decoder's type from all its parts; `body` is kept for a module."""
    maker = MAKERS.get(decoder.type)
    if maker is None:
        if body is None:
            raise Unsupported(f"a {decoder.type} that is too long", code="needs-replay")
        return Module(decoder.kind, body)
    return maker(decoder, parts)


def _string(_decoder: Decoder, parts: list[Any]) -> Value:
    return String(b"".join(parts))


def _list(_decoder: Decoder, parts: list[Any]) -> Value:
    value = List()
    value.items.extend(parts)
    return value


def _set(_decoder: Decoder, parts: list[Any]) -> Value:
    value = Set()
    value.members = dict.fromkeys(parts)
    return value


def _zset(_decoder: Decoder, parts: list[Any]) -> Value:
    value = ZSet()
    value.scores = dict(parts)
    return value


def _hash(decoder: Decoder, parts: list[Any]) -> Value:
    value = Hash()
    value.fields, value.due = assembled(decoder, parts)
    return value


def _array(decoder: Decoder, parts: list[Any]) -> Value:
    value = Array()
    value.replace(dict(parts))
    value.insert_index = decoder.insert_index
    return value


#: By type: a function of the decoder, whose parts were all read, and these parts. commands/ adds to it.
MAKERS: dict[str, Callable[[Decoder, list[Any]], Value]] = {
    "string": _string,
    "list": _list,
    "set": _set,
    "zset": _zset,
    "hash": _hash,
    "array": _array,
}
