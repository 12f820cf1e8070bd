"""From a value in the RDB format to one that commands can change."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rdbkit.errors import Unsupported
from rdbkit.format import spec
from rdbkit.keyspace.quicklist import Quicklists
from rdbkit.keyspace.stream_value import loaded
from rdbkit.keyspace.tables import LARGE, Table
from rdbkit.keyspace.values import Array, Hash, List, Module, Set, Stored, String, Tabled, Value, ZSet
from rdbkit.rdb.body import Body
from rdbkit.rdb.values import Decoder, assembled, quicklist_nodes
from rdbkit.releases import encodings, limits
from rdbkit.releases.target import Target
from rdbkit.wire.cursor import Cursor


def decoded(stored: Stored, target: Target, templates: dict[int, tuple[bytes, ...]], key_size: int) -> Value:
    """Return the value, with the encoding that the target gives it when it loads it. Raises RdbkitError if damaged."""
    kind = stored.kind
    encoding = encoding_of(stored, target, templates, key_size)
    decoder = Decoder(kind, Cursor(stored.body), templates)
    decoder.packed = True
    value = made(decoder, target, stored.body)
    if encoding is not None and hasattr(value, "encoding"):
        value.encoding = encoding
    elif isinstance(value, String):
        value.is_raw, value.loaded = encoding == "raw", True
    if isinstance(value, Tabled):
        value.known = len(value)
        value.table = Table.loaded(len(value)) if value.encoding in LARGE else None
    value.expires_at, value.offset, value.reserved = stored.expires_at, stored.offset, stored.reserved
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


def made(decoder: Decoder, target: Target, body: bytes | None) -> Value:
    """Read a whole body, and return the value; `body` is kept for a module."""
    if decoder.type == "list":
        return _list(decoder, Quicklists(target))
    maker = MAKERS.get(decoder.type)
    if maker is None:
        if body is None:
            raise Unsupported(f"a {decoder.type} that is too long", code="needs-replay")
        return Module(decoder.kind, body)
    return maker(decoder, [part for parts in decoder.parts() for part in parts])


def _list(decoder: Decoder, lists: Quicklists) -> Value:
    """Return a list with the nodes of the file; one that was written without nodes is pushed."""
    value = List()
    # Before 7.0 the elements of a ziplist were pushed, too.
    if not lists.has_nodes or decoder.kind == spec.LIST or (decoder.kind == spec.LIST_ZIPLIST and not lists.is_packed):
        value.encoding = "quicklist" if lists.has_nodes else "linkedlist"
        for parts in decoder.parts():
            lists.push(value, parts)
        return value
    nodes = [(spec.PACKED, decoder.parts())] if decoder.kind == spec.LIST_ZIPLIST else quicklist_nodes(decoder)
    for container, batches in nodes:
        items = [item for parts in batches for item in parts]
        if items:
            value.nodes.append(lists.node(items, is_plain=container == spec.PLAIN))
            value.count += len(items)
    return value


def _string(_decoder: Decoder, parts: list[Any]) -> Value:
    return String(b"".join(parts))


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


def _stream(decoder: Decoder, parts: list[Any]) -> Value:
    assert decoder.tail is not None
    return loaded(decoder.kind, parts, decoder.tail)


#: By type: a function of the decoder, whose parts were all read, and these parts. commands/ adds to it.
MAKERS: dict[str, Callable[[Decoder, list[Any]], Value]] = {
    "string": _string,
    "set": _set,
    "zset": _zset,
    "hash": _hash,
    "array": _array,
    "stream": _stream,
}
