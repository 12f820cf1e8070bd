"""Writes records to the bytes of an RDB file, in the order in which the methods are called.

    magic aux* module_aux* function* hash_template* slot_import*
    { select_db resize_db { slot_info [expire_ms] [idle | freq] [key_meta] entry }* }*
    module_aux* end

That is the order of the servers. The Writer does not enforce it; it raises ValueError only for a record that does not
exist in the version that it writes. All output goes through one buffer and into the running CRC64.

A body is made by `encode`, or copied from another file if the type is the same in both. The layouts of the types are in
`encoders` and `stream_encoder`, their parts in `primitives`.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal

from rdbkit.format import spec
from rdbkit.format.versions import CHECKSUM_SINCE, Product, dialect_of, magic
from rdbkit.rdb import encoders, stream_encoder
from rdbkit.rdb.encoders import PLAINLY, Encoder, Options, template_order
from rdbkit.rdb.modules import module_name
from rdbkit.rdb.primitives import (
    ModulePart,
    class_name,
    class_spec,
    encode_double,
    encode_f64,
    encode_length,
    encode_module_parts,
    encode_ms,
    encode_signed,
    encode_string,
    module_id,
    rawid,
    score_text,
)
from rdbkit.rdb.stream_encoder import encode_stream
from rdbkit.wire import crc64

__all__ = [
    "ENCODERS",
    "ModulePart",
    "Options",
    "Writer",
    "class_name",
    "class_spec",
    "dump_payload",
    "encode",
    "encode_double",
    "encode_f64",
    "encode_key_meta",
    "encode_length",
    "encode_module_parts",
    "encode_ms",
    "encode_signed",
    "encode_stream",
    "encode_string",
    "magic",
    "module_id",
    "module_name",
    "rawid",
    "score_text",
    "writable",
]

#: Bytes collected before they are added to the checksum and written.
BUFFER = 1 << 16
#: One encoder for every type id that can be written.
ENCODERS: dict[int, Encoder] = encoders.ENCODERS | stream_encoder.ENCODERS


def encode(type_id: int, value: Any, **options: Any) -> bytes:
    """Return the body of an entry of this type; `options` are the fields of Options.

    To write many values of a type, make the Options once and call ENCODERS[type_id](value, options).

    Raises ValueError if the type cannot hold the value, or cannot be written at all.
    """
    encoder = ENCODERS.get(type_id)
    if encoder is None:
        name = spec.BY_ID[type_id].name if type_id in spec.BY_ID else "unknown"
        raise ValueError(f"type {type_id & 0xFF} ({name}) cannot be written")
    return encoder(value, Options(**options) if options else PLAINLY)


def writable(record: int, version: int, product: Product = "redis") -> bool:
    """Return whether this type or opcode id exists in files of that version."""
    number = record & 0xFF
    dialect = spec.dialect(dialect_of(product, version))
    return dialect[number] == record and spec.BY_ID[record].since <= version


def encode_key_meta(classes: Sequence[tuple[int, Iterable[ModulePart]]], compress: bool = True) -> bytes:
    """Return a KEY_META record, the opcode included: (class spec, values) for 1 to 7 classes."""
    if not 1 <= len(classes) <= 7:
        raise ValueError(f"a key has metadata of 1 to 7 classes, not {len(classes)}")
    out = [bytes((spec.KEY_META,)), encode_length(len(classes))]
    for number, parts in classes:
        # The servers copy the spec from memory; every machine that runs them is little-endian.
        out += [number.to_bytes(4, "little"), encode_module_parts(parts, compress)]
    return b"".join(out)


def dump_payload(type_id: int, body: bytes, version: int, checksum: bool = True, meta: bytes = b"") -> bytes:
    """Return the payload of DUMP, which RESTORE accepts: no key, no expiry.

    Without `checksum` the sum is zero, which Redis accepts from 8.4 on. `meta` is a KEY_META record.
    """
    payload = meta + bytes((type_id & 0xFF,)) + body + version.to_bytes(2, "little")
    return payload + (crc64.update()(payload, 0) if checksum else 0).to_bytes(8, "little")


class Writer:
    """Write one RDB file, record by record, through `write`, which must write all bytes passed to it.

    Output may be buffered until `end` or `flush`. `compress` applies to the strings written here; bodies are compressed
    by `encode`.
    """

    def __init__(
        self,
        write: Callable[[bytes], object],
        version: int,
        product: Product = "redis",
        checksum: bool = True,
        compress: bool = True,
    ) -> None:
        self.version = version
        self.product: Product = product
        self.compress = compress
        self._head = magic(version, product)
        known = [record for record in spec.BY_ID if writable(record, version, product)]
        self._bytes = {record: bytes((record & 0xFF,)) for record in known}
        self._write = write
        self._update = crc64.update() if checksum and version >= CHECKSUM_SINCE else None
        self._crc = 0
        self._parts: list[bytes] = []
        self._held = 0
        self._passed = 0

    def tell(self) -> int:
        """Return how many bytes have been written: the offset of the next record."""
        return self._passed + self._held

    def put(self, data: bytes) -> None:
        """Write bytes as they are, for records copied from elsewhere."""
        self._parts.append(data)
        self._held += len(data)
        if self._held >= BUFFER:
            self.flush()

    def flush(self) -> None:
        """Write the buffered bytes."""
        data = b"".join(self._parts)
        if self._update is not None:
            self._crc = self._update(data, self._crc)
        self._write(data)
        self._passed += self._held
        self._parts.clear()
        self._held = 0

    def _op(self, record: int, *parts: bytes) -> None:
        """Write a record: its byte, then its parts."""
        byte = self._bytes.get(record)
        if byte is None:
            row = spec.BY_ID.get(record)
            name = row.name if row else f"record {record}"
            raise ValueError(f"{name} does not exist in RDB version {self.version} of {self.product}")
        self.put(b"".join((byte, *parts)))

    def _string(self, data: bytes) -> bytes:
        return encode_string(data, self.compress)

    # -- the head --------------------------------------------------------------------------------------------------

    def magic(self) -> None:
        """Write the nine bytes with product and version."""
        self.put(self._head)

    def aux(self, name: bytes, value: bytes | int) -> None:
        """Write a field about the file; a number as its decimal text."""
        text = b"%d" % value if isinstance(value, int) else value
        self._op(spec.AUX, self._string(name), self._string(text))

    def module_aux(self, name: str, version: int, when: Literal[1, 2], parts: Iterable[ModulePart]) -> None:
        """Write a module's own data, to be loaded before (1) or after (2) the keys."""
        marker = encode_length(spec.MODULE_UINT) + encode_length(when)
        values = encode_module_parts(parts, self.compress)
        self._op(spec.MODULE_AUX, encode_length(module_id(name, version)), marker, values)

    def function(self, source: bytes) -> None:
        """Write a function library: its source, the `#!` line included."""
        self._op(spec.FUNCTION2, self._string(source))

    def function_pre_ga(self, name: bytes, engine: bytes, code: bytes, description: bytes | None = None) -> None:
        """Write a function library as Redis 7.0-rc1 did; no release loads it."""
        about = encode_length(0) if description is None else encode_length(1) + self._string(description)
        self._op(spec.FUNCTION_PRE_GA, self._string(name), self._string(engine), about, self._string(code))

    def hash_template(self, template: int, fields: Sequence[bytes]) -> None:
        """Write the field names to which template hashes refer by this id, in the order that the format requires."""
        names = map(self._string, template_order(fields))
        self._op(spec.HASH_TEMPLATE, encode_length(template), encode_length(len(fields)), *names)

    def slot_import(self, job: bytes, ranges: Sequence[tuple[int, int]]) -> None:
        """Write an unfinished slot import (Valkey): job name of 40 characters, ranges of slots, both ends included."""
        ends = [encode_length(slot) for pair in ranges for slot in pair]
        self._op(spec.SLOT_IMPORT, self._string(job), encode_length(len(ranges)), *ends)

    # -- databases and keys ----------------------------------------------------------------------------------------

    def select_db(self, db: int) -> None:
        """Write the number of the database to which the following keys belong."""
        self._op(spec.SELECTDB, encode_length(db))

    def resize_db(self, keys: int, expires: int) -> None:
        """Write how many keys the database has, and how many of them expire."""
        self._op(spec.RESIZEDB, encode_length(keys), encode_length(expires))

    def slot_info(self, slot: int, keys: int, expires: int) -> None:
        """Write how many keys a cluster slot has, before the first of them."""
        self._op(spec.SLOT_INFO, encode_length(slot), encode_length(keys), encode_length(expires))

    def expire_ms(self, ms: int) -> None:
        """Write when the next key expires, in ms since the epoch."""
        self._op(spec.EXPIRETIME_MS, encode_ms(ms))

    def expire_seconds(self, s: int) -> None:
        """Write when the next key expires, in seconds since the epoch (signed 32-bit), as Redis <= 2.4 did."""
        self._op(spec.EXPIRETIME, struct.pack("<i", s))

    def idle(self, s: int) -> None:
        """Write for how many seconds the next key was not used."""
        self._op(spec.IDLE, encode_length(s))

    def freq(self, n: int) -> None:
        """Write how often the next key is used: the LFU counter, 0 to 255."""
        self._op(spec.FREQ, bytes((n,)))

    def key_meta(self, classes: Sequence[tuple[int, Iterable[ModulePart]]]) -> None:
        """Write the metadata of the next key, directly before it: (class spec, values)."""
        self._op(spec.KEY_META, encode_key_meta(classes, self.compress)[1:])

    def entry(self, type_id: int, key: bytes, body: bytes) -> None:
        """Write a key and its value's body."""
        self._op(type_id, self._string(key), body)

    def end(self) -> None:
        """Write the end mark and, from version 5 on, the checksum (zero for none)."""
        self._op(spec.EOF)
        self.flush()
        if self.version >= CHECKSUM_SINCE:
            self._write(self._crc.to_bytes(8, "little"))
            self._passed += 8
