"""Module values: typed parts that can be read, kept and written back without the module."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from rdbkit.errors import Corrupt
from rdbkit.format import spec
from rdbkit.wire.cursor import Cursor

_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
#: Parts in a batch.
_BATCH = 1024

Part = tuple[str, Any]


@dataclass(slots=True)
class Module:
    """A module's value: its type name (nine characters), encoding version, and parts.

    A part is ("sint" | "uint", int), ("float" | "double", float) or ("string", bytes). Servers write "uint" also for
    signed numbers, as two's complement.
    """

    name: str
    version: int
    parts: list[Part] = field(default_factory=list)


def module_name(number: int) -> tuple[str, int]:
    """Return name and encoding version of a module type id: nine characters of six bits, then ten bits."""
    return "".join(_ALPHABET[number >> shift & 63] for shift in range(58, 9, -6)), number & 1023


def vector_set_version(cursor: Cursor) -> int:
    """Return the version of the nodes of a value of the module "vectorset", from its first part on; 0: it has none.

    Redis 8.0.2 writes a node's level as it is; 8.0.6 puts the version of the node's layout in the bits from 24 on.
    """
    parts = (value for batch in read_parts(cursor) for _, value in batch)
    _dimensions, count, _quantisation, options = [*islice(parts, 4), 0, 0, 0, 0][:4]
    # A projection matrix and its dimensions; then the element, its attributes, its vector, a count and an id.
    before = 2 * (options & 1) + 1 + (options >> 1 & 1) + 3
    node = list(islice(parts, before + 1)) if count else []
    return node[-1] >> 24 if len(node) > before and isinstance(node[-1], int) else 0


def read_parts(cursor: Cursor) -> Iterator[list[Part]]:
    """Yield a module's parts in batches, up to its end mark."""
    batch: list[Part] = []
    while True:
        part = _part(cursor)
        if part is None:
            yield batch
            return
        batch.append(part)
        if len(batch) >= _BATCH or (part[0] == "string" and len(part[1]) > 1 << 16):
            yield batch
            batch = []


def _part(cursor: Cursor) -> Part | None:
    start = cursor.tell()
    kind = cursor.length()
    if kind == spec.MODULE_EOF:
        return None
    if kind == spec.MODULE_STRING:
        return "string", cursor.item()
    if kind == spec.MODULE_UINT:
        return "uint", cursor.length()
    if kind == spec.MODULE_SINT:
        number = cursor.length()
        return "sint", number - (number >> 63 << 64)
    if kind == spec.MODULE_DOUBLE:
        return "double", cursor.f64()
    if kind == spec.MODULE_FLOAT:
        return "float", cursor.f32()
    raise Corrupt(f"module part {kind}", offset=start, code="bad-module")
