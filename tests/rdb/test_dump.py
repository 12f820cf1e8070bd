"""DUMP payloads: their contents, their product, and all errors in them."""

from __future__ import annotations

from typing import Any

import pytest
from strategies import normal

from rdb.files import FUNCTION, MS, attempt, body, error_of, shaped, small
from rdbkit.format import spec
from rdbkit.rdb import writer as default_writer
from rdbkit.wire import crc64

#: Types that refer to something else in their file cannot be in a payload.
REFERRING = (spec.HASH_TMPL_LP_REF, spec.HASH_TMPL_ARRAY_REF)
TYPES = [type_id for type_id in sorted(default_writer.ENCODERS) if type_id not in (*REFERRING, spec.CRON)]
META = default_writer.encode_key_meta([(default_writer.class_spec("KMT1", 1, 1), [("uint", 7), ("string", b"x" * 40)])])


def version_of(type_id: int) -> int:
    return max(6, spec.BY_ID[type_id].since)


def payload(type_id: int, version: int | None = None, **options: Any) -> bytes:
    return default_writer.dump_payload(type_id, body(type_id), version or version_of(type_id), **options)


def signed(data: bytes, version: int = 11) -> bytes:
    """Return a payload of any bytes, with the right sum."""
    data += version.to_bytes(2, "little")
    return data + crc64.update()(data, 0).to_bytes(8, "little")


@pytest.mark.parametrize("type_id", TYPES, ids=lambda type_id: spec.BY_ID[type_id].name)
def test_every_type(build, type_id):
    data = payload(type_id)
    record = build.rdbkit.load_dump(data)
    found = shaped(type_id, record.value, record.field_expires_at)
    if record.type != "stream":
        assert normal(type_id, found) == normal(type_id, small(type_id))
    else:
        assert found.entries == small(type_id).entries
    assert (record.type, record.size, record.key, record.expires_at) == (spec.BY_ID[type_id].type, len(data), b"", None)
    assert (record.encoding is None) == (record.type == "module") or record.encoding
    taken = build("rdb.dump").read_payload(data)
    assert (taken.type_id, taken.body, taken.offset, taken.checksum) == (type_id, body(type_id), 1, "good")
    assert data[taken.offset : -10] == taken.body


@pytest.mark.parametrize("type_id", TYPES, ids=lambda type_id: spec.BY_ID[type_id].name)
def test_cut_and_changed(build, type_id):
    """No part of a payload is a payload; no byte of it can change unseen."""
    data = payload(type_id)
    for cut in range(len(data)):
        name, *_ = attempt(lambda cut=cut: build.rdbkit.load_dump(data[:cut]))
        assert name in ("Truncated", "Corrupt")
    for at in range(len(data)):
        changed = data[:at] + bytes((data[at] ^ 4,)) + data[at + 1 :]
        assert attempt(lambda changed=changed: build.rdbkit.load_dump(changed))[:2] == ("Corrupt", "checksum-mismatch")


def test_whose_it_is(build):
    """Up to 11 anyone's, to 79 Redis', from 80 on Valkey's: the same byte is another type."""
    read = build("rdb.dump").read_payload
    redis, valkey = payload(spec.HASH_METADATA_PRE_GA), payload(spec.HASH_2)
    assert redis[0] == valkey[0] == 22
    assert (read(redis).type_id, read(redis).product) == (spec.HASH_METADATA_PRE_GA, "redis")
    assert (read(valkey).type_id, read(valkey).product) == (spec.HASH_2, "valkey")
    assert build.rdbkit.load_dump(valkey).field_expires_at == {b"a": MS, b"n": MS + 5}
    assert read(payload(spec.STRING, 80)).product == "valkey"


@pytest.mark.parametrize("version", [17, 79, 82, 999])
def test_versions_that_are_not_known(build, version):
    data = payload(spec.STRING, version)
    found = attempt(lambda: build.rdbkit.load_dump(data))
    assert found[:3] == ("Unsupported", "unsupported-version", len(data) - 10)


def test_without_a_sum(build):
    data = payload(spec.STRING, checksum=False)
    assert build.rdbkit.load_dump(data).value == b"hello"
    assert build("rdb.dump").read_payload(data).checksum == "disabled"


def test_key_meta(build):
    data = payload(spec.SET, 13, meta=META)
    assert build.rdbkit.load_dump(data).value == small(spec.SET)
    assert build("rdb.dump").read_payload(data).offset == len(META) + 1


def test_the_encoding_is_the_target_s(build):
    data = payload(spec.ZSET_ZIPLIST)
    assert build.rdbkit.load_dump(data, target="redis:6.2").encoding == "ziplist"
    assert build.rdbkit.load_dump(data, target="redis:7.2").encoding == "listpack"
    assert build.rdbkit.load_dump(data).encoding == "ziplist"


@pytest.mark.parametrize(("data", "outcome"), [
    (b"", ("Truncated", "truncated", 0)),
    (bytes(10), ("Truncated", "truncated", 10)),
    (signed(b"\x00\x01v!"), ("Corrupt", "bad-payload", 3)),
    (signed(b"\x00\x05v"), ("Truncated", "truncated", 3)),
    (signed(b"\x08\x01v"), ("Corrupt", "unknown-type", 0)),
    (signed(b"\xfe\x00"), ("Corrupt", "unknown-type", 0)),
    (signed(b"\x18\x01v", 80), ("Corrupt", "unknown-type", 0)),
    (signed(b"\x21\x05", 16), ("Truncated", "truncated", 2)),
    (signed(b"\x17\x01", 81), ("Truncated", "truncated", 2)),
    (signed(b"\x06\x01v"), ("Unsupported", "unsupported-type", 1)),
    (signed(b"\xf5\x01v\x00"), ("Corrupt", "bad-payload", 3)),
    (signed(b"\xf5\x05v"), ("Truncated", "truncated", 3)),
])  # fmt: skip
def test_what_is_no_payload(build, data, outcome):
    assert attempt(lambda: build.rdbkit.load_dump(data))[:3] == outcome


@pytest.mark.parametrize("type_id", REFERRING)
def test_what_refers_to_a_file(build, type_id):
    """The ids of templates mean something in their own file only; servers refuse them here too."""
    with pytest.raises(build.errors.RdbkitError) as caught:
        build.rdbkit.load_dump(payload(type_id, 15))
    assert error_of(caught.value)[:2] == ("Corrupt", "bad-template")


def test_functions(build):
    data = signed(b"".join(b"\xf5" + default_writer.encode_string(text) for text in (FUNCTION, b"#!lua name=b\n")))
    found = build("rdb.dump").read_payload(data)
    assert (found.type_id, found.functions) == (spec.FUNCTION2, (FUNCTION, b"#!lua name=b\n"))
    assert attempt(lambda: build.rdbkit.load_dump(data))[:2] == ("Unsupported", "function-dump")


@pytest.mark.parametrize(("meta", "outcome"), [
    (b"\xf3\x00", ("Corrupt", "bad-key-meta", 1)),
    (b"\xf3\x08" + b"KMT1\x00" * 8, ("Corrupt", "bad-key-meta", 1)),
    (b"\xf3\x01KMT1\x09", ("Corrupt", "bad-module", 6)),
])  # fmt: skip
def test_metadata_that_is_wrong(build, meta, outcome):
    assert attempt(lambda: build.rdbkit.load_dump(signed(meta + b"\x00\x01v", 13)))[:3] == outcome
