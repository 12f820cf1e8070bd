"""The table of the format: each row can be read, walked and written, and is in a test file, or it is refused."""

from __future__ import annotations

import base64
import gzip
import json

import pytest
from conftest import FIXTURES
from corpus.oracle import manifest

from rdb.files import MS, body, entry, made, read
from rdbkit.format import spec
from rdbkit.rdb import writer as default_writer

TYPES = [row for row in spec.ROWS if row.type]
OPCODES = [row for row in spec.ROWS if not row.type]
REFUSED = [row for row in spec.ROWS if row.status == "refused"]
#: Types and records that are in no file of fixtures/, because no available server writes them: made in these tests.
ONLY_MADE = {
    *(spec.HASH_ZIPMAP, spec.HASH_METADATA_PRE_GA, spec.HASH_LISTPACK_EX_PRE_GA),
    *(spec.HASH_TMPL_LP, spec.HASH_TMPL_ARRAY, spec.CRON, spec.PATH_HASH, spec.BITMAP),
    *(spec.EXPIRETIME, spec.FUNCTION_PRE_GA, spec.RAM_LRU, spec.SLOT_NUM),
}


def named(row):
    return f"{row.name}-{row.number}"


def test_ids_and_names_are_unique():
    assert len(spec.BY_ID) == len(spec.ROWS) == len({row.name for row in spec.ROWS})
    assert {row.id & ~0xFF for row in spec.ROWS} == {0, spec.VALKEY_OWN, spec.DRAGONFLY_OWN}
    assert {row.type for row in TYPES} == set(spec.TYPES)


@pytest.mark.parametrize("row", TYPES, ids=named)
def test_types_have_all_they_need(build, row):
    decoders, writer = build("rdb.values").DECODERS, build("rdb.writer")
    if row.status == "refused":
        assert row.id not in decoders
        assert row.id not in writer.ENCODERS
        return
    assert row.id in decoders
    assert row.id in writer.ENCODERS
    for walk in ("skip", "shape"):
        data = body(row.id, template=5)
        walker = build("rdb.body").Body(build("wire.cursor").Cursor(data + b"next"))
        walker.templates[5] = (b"a", b"n", b"bb")
        getattr(walker, walk)(row.id)
        assert walker.cursor.take(4) == b"next"


def test_nothing_else_is_decoded_or_handled(build):
    assert set(build("rdb.values").DECODERS) <= {row.id for row in TYPES}
    assert set(build("rdb.walker")._RECORDS) <= {row.id for row in OPCODES}


@pytest.mark.parametrize("row", OPCODES, ids=named)
def test_opcodes_have_a_handler_or_are_refused(build, row):
    assert (row.id in build("rdb.walker")._RECORDS) == (row.status != "refused")


def test_every_row_is_met_in_a_file(build):
    """What real files hold, and what is left for the made ones; DUMP payloads count too."""
    met: set[int] = {spec.EOF}
    walker = build("rdb.walker")
    for row in manifest():
        if row["path"].endswith(".rdb"):
            with build.rdbkit.open(str(FIXTURES / row["path"]), plan=walker.Plan()) as snapshot:
                met.update(kind for _, kind, _ in snapshot.take_records())
                for batch in snapshot.batches():
                    met.update(kind for _, kind, _ in snapshot.take_records())
                    for entry in batch:
                        met.update(_of(walker, entry))
    payloads = json.loads(gzip.decompress((FIXTURES / "dump-payloads.json.gz").read_bytes()))
    for server in payloads.values():
        met.update(build("rdb.dump").read_payload(base64.b64decode(text)).type_id for text in server["dump"].values())
    wanted = {row.id for row in spec.ROWS if row.status != "refused"}
    assert wanted - met == ONLY_MADE


def _of(walker, entry):
    yield entry[walker.TYPE]
    if entry[walker.EXPIRES_AT] is not None:
        yield spec.EXPIRETIME_MS
    if entry[walker.IDLE] is not None:
        yield spec.IDLE
    if entry[walker.FREQ] is not None:
        yield spec.FREQ
    if (entry[walker.EXTRA] or {}).get("meta"):
        yield spec.KEY_META


def test_what_is_only_made_is_read(build):
    """The rows that no real file holds."""
    for type_id in sorted(ONLY_MADE & set(default_writer.ENCODERS)):
        if type_id != spec.CRON:
            own = {"version": 81, "product": "valkey"} if type_id >= spec.VALKEY_OWN else {"version": 16}
            assert read(build, made(entry(type_id), **own)).end[0] == "end"
    file = made(("put", b"\x6b\x05"), ("put", b"\x79\x05"), ("expire_seconds", MS // 1000), entry(0), version=9)
    [row] = read(build, file).rows
    assert row[4] == MS


def before(row):
    """The start of a file in which the row's byte has the row's meaning, with one key; and the bytes that follow."""
    product = "valkey" if row.id & spec.VALKEY_OWN else "redis"
    version = {"valkey": 81, "redis": 15}[product]
    calls = (
        [("aux", b"df-ver", b"1.30"), ("aux", b"x", b"y")]
        if row.id & spec.DRAGONFLY_OWN or row.server == "Dragonfly"
        else []
    )
    return made(*calls, entry(0), version=version, product=product, end=False)


@pytest.mark.parametrize("row", REFUSED, ids=named)
def test_the_refused_are_named(build, row):
    """Unsupported, with number, name and offset, after the entries before it."""
    start = before(row)
    reading = read(build, start + bytes((row.number,)) + b"\x01k" + bytes(40))
    assert reading.keys == [b"key"]
    name, code, offset, *_, message = reading.end
    assert (name, code) == ("Unsupported", "unsupported-type" if row.type else "unsupported-opcode")
    assert row.name in message
    assert str(row.number) in message
    assert row.server in message
    assert offset in (len(start), len(start) + 3)


def test_a_byte_means_what_its_product_says():
    redis, valkey, dragonfly = map(spec.dialect, ("redis", "valkey", "dragonfly"))
    for number in (22, 23, 242, 243):
        assert (redis[number], valkey[number]) == (number, spec.VALKEY_OWN + number)
    for number in range(30, 38):
        assert dragonfly[number] == spec.DRAGONFLY_OWN + number
    assert spec.dialect("keydb") == redis
    assert redis[spec.CRON] == spec.CRON
    # Valkey keeps what it has not given out; what all have in common stays.
    assert {valkey[number] for number in (24, 28, 32, 64, 121, 200)} == {-1}
    assert all(valkey[number] == redis[number] for number in (*range(22), *range(244, 256)))
    assert [redis[number] for number in (8, 34, 150)] == [-1, -1, -1]
