"""The payload of DUMP: a value without its key, followed by the RDB version and a checksum.

    [KEY_META] TYPE body | version: u16 | crc64 of all before it: u64          and of FUNCTION DUMP: (f5 str)* | …

There is no magic. The version identifies the product: up to 11 both read it, 12 to 79 is Redis, from 80 on Valkey.
"""

from __future__ import annotations

from dataclasses import dataclass

from rdbkit.errors import Corrupt, Truncated, Unsupported
from rdbkit.format import spec, versions
from rdbkit.rdb.body import Body
from rdbkit.wire import crc64
from rdbkit.wire.cursor import Cursor

_FOOTER = 10


@dataclass(frozen=True, slots=True)
class Payload:
    """The parts of a payload.

    `type_id` is the id of a row in format.spec (FUNCTION2 for FUNCTION DUMP, whose libraries are in `functions`),
    `body` the value's bytes, `offset` where they start; `checksum` is "good" or "disabled".
    """

    type_id: int
    body: bytes
    offset: int
    version: int
    product: str
    checksum: str
    functions: tuple[bytes, ...] = ()


def read_payload(data: bytes) -> Payload:
    """Parse a DUMP payload. Raises Truncated, Corrupt (checksum, framing) or Unsupported (version, type)."""
    if len(data) <= _FOOTER:
        raise Truncated(f"{len(data)} bytes are no DUMP payload", offset=len(data))
    version = int.from_bytes(data[-10:-8], "little")
    product = versions.product_of_version(version)
    state = _verify(data)
    if version > versions.HEADERS[product].last:
        raise Unsupported(f"DUMP payload of version {version}", offset=len(data) - _FOOTER, code="unsupported-version")
    cursor = Cursor(data[:-_FOOTER])
    table = spec.dialect(product)
    functions = []
    while not cursor.at_end() and table[data[cursor.pos]] == spec.FUNCTION2:
        cursor.skip(1)
        functions.append(cursor.string())
    if functions:
        if not cursor.at_end():
            raise Corrupt("bytes after the last function library", offset=cursor.pos, code="bad-payload")
        return Payload(spec.FUNCTION2, b"", 0, version, product, state, tuple(functions))
    return _value(cursor, table, version, product, state)


def _verify(data: bytes) -> str:
    stored = int.from_bytes(data[-8:], "little")
    if not stored:
        return "disabled"
    computed = crc64.update()(data[:-8], 0)
    if stored != computed:
        message = f"checksum {computed:016x} instead of {stored:016x}: not a DUMP payload, or a damaged one"
        raise Corrupt(message, offset=len(data) - 8, code="checksum-mismatch")
    return "good"


def _value(cursor: Cursor, table: list[int], version: int, product: str, state: str) -> Payload:
    number = cursor.u8()
    if table[number] == spec.KEY_META:
        classes = cursor.length()
        if not 1 <= classes <= 7:
            raise Corrupt(f"{classes} classes of key metadata", offset=1, code="bad-key-meta")
        for _ in range(classes):
            cursor.skip(4)
            Body(cursor).module_parts()
        number = cursor.u8()
    kind = table[number]
    if kind < 0 or kind not in spec.BY_ID or not spec.BY_ID[kind].type:
        raise Corrupt(f"unknown type {number}", offset=cursor.pos - 1, code="unknown-type")
    start = cursor.pos
    Body(cursor).skip(kind)
    if not cursor.at_end():
        raise Corrupt("bytes are left over after the value", offset=cursor.pos, code="bad-payload")
    return Payload(kind, cursor.data[start:], start, version, product, state)
