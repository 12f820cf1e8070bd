"""The walk over whole files: the same however they come, exact about where they break, lossless before that."""

from __future__ import annotations

import io
import itertools
import os
import random
import re
import threading
from functools import cache
from typing import Any

import pytest
from conftest import FIXTURES
from strategies import normal

from rdb.files import (
    FUNCTION,
    MS,
    PAIRS,
    VERSIONS,
    Slices,
    Trickle,
    body,
    entry,
    error_of,
    everything,
    fields_of,
    made,
    read,
    row_of,
    shaped,
    small,
)
from rdbkit.format import spec
from rdbkit.rdb import writer as default_writer

#: Real files of some hundred bytes, for what is done once for each byte.
TINY = [
    "redis-2.8.24/rdb-empty", "redis-3.2.13/rdb-expired", "redis-8.6.3/rdb-expired", "valkey-9.1.2/rdb-expired",
    "redis-8.10.2/rdb-keymeta", "redis-8.10.2/rdb-arrays-sparse", "valkey-9.1.2/rdb-module",
]  # fmt: skip
#: Real files of some ten thousand.
MEDIUM = ["redis-8.10.2/rdb-lru", "redis-7.2.6/rdb-lfu", "valkey-9.1.2/rdb-slot-import", "redis-3.2.13/rdb-nochecksum"]


def real(name: str) -> bytes:
    return (FIXTURES / name / "dump.rdb").read_bytes()


versions = pytest.mark.parametrize(("product", "version"), VERSIONS, ids=lambda part: str(part))


# -- however it is handed over -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [*TINY, *MEDIUM])
def test_sliced_files(build, name):
    data = real(name)
    whole = read(build, data)
    assert whole.end[0] == "end"
    for what in (io.BytesIO(data), Trickle(data), Slices(data, 1), Slices(data, 2)):
        assert read(build, what) == whole


@versions
def test_sliced_versions(build, product, version):
    data = everything(product, version)
    whole = read(build, data)
    assert whole.end == ("end", "good" if version >= 5 else "absent", None)
    for what in (io.BytesIO(data), Trickle(data), Slices(data, 3)):
        assert read(build, what) == whole


@pytest.mark.slow
@pytest.mark.parametrize("server", ["redis-2.8.24", "redis-8.10.2", "valkey-9.1.2"])
def test_sliced_canonical(build, server):
    data = real(f"{server}/rdb-canonical")
    whole = read(build, data)
    for what in (Trickle(data), Trickle(data, 3), Slices(data, 4)):
        assert read(build, what) == whole


def test_from_a_pipe(build):
    data = real("redis-7.2.6/rdb-canonical")
    ends = os.pipe()

    def write() -> None:
        with os.fdopen(ends[1], "wb") as out:
            out.write(data)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        with os.fdopen(ends[0], "rb") as file:
            assert read(build, file) == read(build, data)
    finally:
        thread.join()


@versions
def test_builds_see_the_same_records(builds, product, version):
    data = everything(product, version)
    pure, compiled = (list(walked(build, data, 0)) for build in builds)
    assert pure == compiled
    known = {
        row.id for row in spec.ROWS if row.status == "verified" and default_writer.writable(row.id, version, product)
    }
    assert known - kinds(pure) <= {
        spec.RAM_LRU,
        spec.EXPIRETIME,
        spec.EXPIRETIME_MS,
        spec.IDLE,
        spec.FREQ,
        spec.KEY_META,
    }


def walked(build: Any, data: bytes, level: int, **plan: Any) -> Any:
    """Yield batches and records as the walker hands them over, then how it ended."""
    walker = build("rdb.walker")
    try:
        with build.rdbkit.open(data, now=MS, plan=walker.Plan(level=level, **plan)) as snapshot:
            yield snapshot.take_records()
            for batch in snapshot.batches():
                yield list(batch), snapshot.take_records()
            yield snapshot.take_records(), snapshot.checksum, snapshot.walker.stored, snapshot.walker.computed
    except Exception as error:
        yield error_of(error)


def kinds(steps: Any) -> set[int]:
    records = [*steps[0], *(record for _, records in steps[1:-1] for record in records), *steps[-1][0]]
    return {record[1] for record in records} | {row[3] for batch, _ in steps[1:-1] for row in batch}


@pytest.mark.parametrize("path", sorted(str(p.relative_to(FIXTURES)) for p in FIXTURES.rglob("*.rdb")))
def test_builds_walk_real_files_alike(builds, path):
    """Entries with their shapes and bodies, records, sums: tuple by tuple."""
    data = (FIXTURES / path).read_bytes()
    for level, retain in ((0, False), (1, True)):
        pure, compiled = (list(walked(build, data, level, retain=retain)) for build in builds)
        assert pure == compiled


def test_long_keys_come_few_at_a_time(build):
    """Keys that are packed: 40 MB of them in a file of 200 kB."""
    packed = build("wire.lzf").compress(b"k" * 1_000_000)
    head = b"\xc3\x80" + len(packed).to_bytes(4, "big") + b"\x80" + (1_000_000).to_bytes(4, "big")
    data = b"REDIS0003" + b"".join(b"\x00" + head + packed + b"\x01v" for _ in range(40)) + b"\xff"
    with build.rdbkit.open(data, plan=build("rdb.walker").Plan()) as snapshot:
        assert [len(batch) for batch in snapshot.batches() if batch] == [2] * 20


def test_builds_break_alike(builds):
    """Damage in real and made files: the same entries, the same error at the same place."""
    rng = random.Random(7)
    bases = [*map(real, TINY), *(everything(*version) for version in VERSIONS)]
    for _ in range(200):
        data = bytearray(rng.choice(bases))
        for _ in range(rng.choice((1, 1, 2, 5))):
            data[rng.randrange(9, len(data))] = rng.choice(
                (0, 1, 0x40, 0x7F, 0x80, 0x81, 0xC3, 0xFF, rng.randrange(256))
            )
        pure, compiled = (read(build, bytes(data)) for build in builds)
        assert pure == compiled


# -- cut ---------------------------------------------------------------------------------------------------------------


def assert_cut(build: Any, data: bytes, steps: range, deep: bool = True, pipes: bool = True) -> None:
    whole = read(build, data, deep=True)
    ends = [row[0] + row[9] for row in whole.rows]
    rows = whole.rows if deep else [row[:7] for row in whole.rows]
    for cut in steps:
        before = [row for row, end in zip(rows, ends) if end <= cut]
        for what in (data[:cut], Trickle(data[:cut], 1000))[: 1 + pipes]:
            reading = read(build, what, deep=deep)
            assert (cut, reading.rows) == (cut, before)
            assert reading.end[:3] == ("Truncated", "truncated" if cut else "empty", cut)


@pytest.mark.parametrize("name", TINY)
def test_cut_real_files_everywhere(build, name):
    data = real(name)
    assert_cut(build, data, range(len(data)))


@versions
def test_cut_versions(build, product, version):
    """Keys at many places; the values before the cut, at some."""
    data = everything(product, version)
    assert_cut(build, data, range(0, len(data), 7), deep=False)
    assert_cut(build, data, range(3, len(data), 97))


@pytest.mark.slow
@pytest.mark.parametrize(("product", "version"), [("redis", 2), ("redis", 15), ("valkey", 80)])
def test_cut_versions_everywhere(build, product, version):
    data = everything(product, version)
    assert_cut(build, data, range(len(data)), pipes=False)


@pytest.mark.parametrize("name", MEDIUM)
def test_cut_real_files(build, name):
    data = real(name)
    assert_cut(build, data, range(11, len(data), len(data) // 10), deep=False)


def test_a_cut_names_the_key(build):
    data = made(entry(0, b"first"), entry(spec.SET, b"torn", {b"a" * 50, b"b" * 50}, compress=False))
    reading = read(build, data[:-30])
    assert reading.end[:5] == ("Truncated", "truncated", len(data) - 30, 0, b"torn")


# -- batches -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("at", [0, 1, 255, 256, 257, 700])
def test_what_came_before_damage_is_delivered(build, at):
    keys = [b"key:%d" % number for number in range(at)]
    start = made(*(entry(0, key) for key in keys), end=False)
    for damage, error in ((b"\x96", ("Corrupt", "unknown-type")), (b"\x02\x01k\xff", ("Corrupt", "bad-length"))):
        with build.rdbkit.open(start + damage + bytes(100)) as snapshot:
            got: list[bytes] = []
            with pytest.raises(getattr(build.errors, error[0])) as caught:
                got.extend(row[2] for batch in snapshot.batches() for row in batch)
            assert got == keys
            assert caught.value.code == error[1]
            assert caught.value.offset == len(start) + (3 if damage[0] == 2 else 0)
            assert caught.value.key == (b"k" if damage[0] == 2 else None)
            # An error ends the walk: there are no entries after it.
            assert snapshot.walker.done
            assert snapshot.databases[0].keys == at if at else True
            assert snapshot.checksum == "not reached"


def test_batches_are_bounded(build):
    data = made(*(entry(0, b"%d" % number, b"x" * 3000, compress=False) for number in range(2000)))
    plan = build("rdb.walker").Plan(level=1, retain=True)
    with build.rdbkit.open(data, plan=plan) as snapshot:
        sizes = [(len(batch), sum(len(row[10]) for row in batch)) for batch in snapshot.batches()]
    assert sum(count for count, _ in sizes) == 2000
    assert max(count for count, _ in sizes) <= 256
    assert max(held for _, held in sizes) <= 1 << 21


def test_unknown_bytes_are_named(build):
    for product, name, version in (("redis", "REDIS", 15), ("valkey", "VALKEY", 80)):
        start = made(entry(0), version=version, product=product, end=False)
        *_, message = read(build, start + b"\x08\x01k").end
        assert message == f"unknown type or opcode 8 (0x08) in a {name} file of RDB version {version}"


# -- giants ------------------------------------------------------------------------------------------------------------

_NOISE = random.Random(5)
TEXTS = [_NOISE.randbytes(1 << 16) for _ in range(20)]
#: Types that can be longer than what is retained.
GIANTS = [type_id for type_id in sorted(default_writer.ENCODERS) if type_id != spec.CRON]
giants = pytest.mark.parametrize("type_id", GIANTS, ids=lambda type_id: spec.BY_ID[type_id].name)


def giant_value(type_id: int) -> Any:
    """Return a value of 1.3 MB."""
    if type_id == spec.SET_INTSET:
        return {b"%d" % ((number << 32) + 1) for number in range(160_000)}
    kind = spec.BY_ID[type_id].type
    if kind == "string":
        return b"".join(TEXTS)
    if kind == "zset":
        return [(text, float(number)) for number, text in enumerate(TEXTS)]
    if kind == "hash":
        due = MS if type_id in range(22, 26) or type_id == spec.HASH_2 else None
        return [(b"f%d" % number, text, due) for number, text in enumerate(TEXTS)]
    if kind == "stream":
        base = small(type_id)
        entries = [((number + 1, 0), [(b"f", text)]) for number, text in enumerate(TEXTS)]
        changes = {"entries": entries, "last_id": (20, 0), "first_id": (1, 0), "entries_added": 20, "length": 20}
        return type(base)(**{name: changes.get(name, getattr(base, name)) for name in base.__dataclass_fields__})
    if kind == "array":
        return list(enumerate(TEXTS))
    if kind == "bitmap":
        return 1 << 40, [(first, first + (1 << 17) - 2) for first in range(0, 90 << 17, 1 << 17)]
    if kind == "path-hash":
        return [(b"p%02d" % number, [(b"f", text)]) for number, text in enumerate(TEXTS)]
    if kind == "module":
        return "kit-typeA", 3, [("string", text) for text in TEXTS]
    return TEXTS


@cache
def giant_file(type_id: int) -> bytes:
    """Return a file of a small key, a giant, and a small key."""
    value = giant_value(type_id)
    product = "valkey" if type_id >= spec.VALKEY_OWN else "redis"
    calls = []
    if spec.BY_ID[type_id].type == "hash" and product == "redis":
        calls.append(("hash_template", 5, fields_of(value)))
    giant = entry(type_id, b"giant", value, compress=False, template=5, node_bytes=1 << 15, run_containers=False)
    calls += [entry(0, b"before"), ("expire_ms", MS), giant, entry(0, b"after")]
    return made(*calls, version=16 if product == "redis" else 81, product=product)


def comes_back(type_id: int, value: Any, due: dict[bytes, int]) -> bool:
    expected = giant_value(type_id)
    if spec.BY_ID[type_id].type == "stream":
        return normal(type_id, value)[0] == normal(type_id, expected)[0]
    return bool(normal(type_id, shaped(type_id, value, due)) == normal(type_id, expected))


@giants
def test_giants(build, type_id):
    """Returned open: all their fields can be read in any order, by a second reading if needed."""
    data = giant_file(type_id)
    start = data.index(b"\xfc" + MS.to_bytes(8, "little"))
    reported: set[str] = set()
    for order in (
        ["value", "size"],
        ["elements", "encoding", "value"],
        ["size", "parts"],
        ["parts", "value", "encoding"],
        [],
    ):
        with build.rdbkit.open(data, now=MS) as snapshot:
            keys = []
            for found in snapshot:
                keys.append(found.key)
                if found.key != b"giant":
                    assert found.value == b"hello"
                    continue
                assert found.body is None
                assert (found.offset, found.expires_at) == (start, MS)
                answers = {name: ask(found, name) for name in order}
                if "value" in order:
                    assert comes_back(type_id, answers["value"], found.field_expires_at)
                assert found.size == len(data) - start - 22
                reported.add(repr((found.size, found.elements, found.encoding)))
            assert keys == [b"before", b"giant", b"after"]
            assert snapshot.checksum == "good"
    assert len(reported) == 1


def ask(entry: Any, name: str) -> Any:
    return sum(1 for _ in entry.parts()) if name == "parts" else getattr(entry, name)


@giants
def test_giants_on_a_pipe(build, type_id):
    """Once, in one direction; passed values raise Passed, and the walk continues after them."""
    data = giant_file(type_id)

    def run(use: Any) -> None:
        with build.rdbkit.open(Slices(data, type_id), now=MS) as snapshot:
            keys = []
            for found in snapshot:
                keys.append(found.key)
                if found.key == b"giant":
                    use(found)
            assert keys == [b"before", b"giant", b"after"]
            assert snapshot.checksum == "good"

    def value_once(found: Any) -> None:
        assert comes_back(type_id, found.value, found.field_expires_at)
        with pytest.raises(build.errors.Passed) as caught:
            _ = found.value
        assert caught.value.key == b"giant"
        assert re.search("save it to a file first, or ask for values while they pass", str(caught.value))

    def begin(found: Any) -> None:
        assert next(iter(found.parts())) is not None

    def measure(found: Any) -> None:
        assert found.size > 1 << 20
        assert found.encoding is not None or spec.BY_ID[type_id].type == "module"
        with pytest.raises(build.errors.Passed):
            next(iter(found.parts()))

    for use in (value_once, begin, measure, lambda found: None):
        run(use)


def test_giants_detach_and_copy(build):
    for type_id in (spec.STRING, spec.HASH_METADATA, spec.LIST_QUICKLIST_2):
        data = giant_file(type_id)
        with build.rdbkit.open(data, now=MS) as snapshot:
            entries = iter(snapshot)
            next(entries)
            giant = next(entries)
            record = giant.detach()
            out = io.BytesIO()
            size = giant.copy_to(out)
            assert data.endswith(out.getvalue() + data[-22:])
            assert size == len(out.getvalue())
            next(entries)
            assert list(entries) == []
        assert (record.key, record.size, record.expires_at) == (b"giant", len(data) - record.offset - 22, MS)
        assert comes_back(type_id, record.value, record.field_expires_at)


def use_all(snapshot: Any, keys: list[bytes], name: str) -> None:
    for found in snapshot:
        keys.append(found.key)
        if found.key == b"giant" and name:
            ask(found, name)


def test_giants_cut(build):
    """A giant whose end is missing may have been returned, if nothing read before shows it."""
    for type_id in (spec.STRING, spec.SET, spec.HASH_LISTPACK, spec.STREAM_LISTPACKS_5):
        data = giant_file(type_id)[:1_200_000]
        for name in ("", "value", "parts", "size"):
            with build.rdbkit.open(data) as snapshot:
                keys: list[bytes] = []
                with pytest.raises(build.errors.Truncated) as caught:
                    use_all(snapshot, keys, name)
                assert keys in ([b"before"], [b"before", b"giant"])
                assert (caught.value.offset, caught.value.key) == (1_200_000, b"giant")


def test_two_readings_of_one_giant_do_not_disturb_each_other(build):
    with build.rdbkit.open(giant_file(spec.SET)) as snapshot:
        for found in snapshot:
            if found.key == b"giant":
                first = found.parts()
                next(first)
                assert len(found.value) == len(TEXTS)
    assert snapshot.checksum == "good"


def test_bodies_that_were_not_kept_are_read_again(build):
    """Without `retain` every body is read from the file on request; on a pipe it was already passed."""
    plan = build("rdb.walker").Plan(level=0, retain=False)
    data = real("redis-7.2.6/rdb-lfu")
    with build.rdbkit.open(data, now=MS, plan=plan) as snapshot:
        assert [row_of(found) for found in snapshot] == read(build, data).rows
    with build.rdbkit.open(Trickle(data, 9000), plan=plan) as snapshot:
        for found in snapshot:
            with pytest.raises(build.errors.Passed):
                _ = found.value


# -- selection ---------------------------------------------------------------------------------------------------------

KEYS = [
    (0, b"user:1", spec.STRING, None), (0, b"user:2", spec.HASH, MS), (0, b"cart:1", spec.SET, MS + 10),
    (1, b"user:1", spec.LIST, None), (1, b"\xff\x00", spec.ZSET_2, 5), (7, b"", spec.STRING, MS),
]  # fmt: skip


def selected(build: Any, **plan: Any) -> list[Any]:
    calls: list[Any] = []
    for db, keys in itertools.groupby(KEYS, lambda key: key[0]):
        calls.append(("select_db", db))
        for _, name, type_id, due in keys:
            calls += [("expire_ms", due)] if due else []
            calls.append(entry(type_id, name))
    with build.rdbkit.open(made(*calls), plan=build("rdb.walker").Plan(**plan)) as snapshot:
        found = [(row[1], row[2]) for batch in snapshot.batches() for row in batch]
        assert snapshot.checksum == "good"
    return [KEYS.index(next(key for key in KEYS if key[:2] == row)) for row in found]


@pytest.mark.parametrize(("plan", "expected"), [
    ({}, [0, 1, 2, 3, 4, 5]),
    ({"dbs": {0}}, [0, 1, 2]),
    ({"dbs": {1, 7}}, [3, 4, 5]),
    ({"dbs": set()}, []),
    ({"types": {"string"}}, [0, 5]),
    ({"types": {"hash", "zset"}}, [1, 4]),
    ({"pattern": re.compile(rb"^user:").search}, [0, 1, 3]),
    ({"pattern": re.compile(rb"\xff").search}, [4]),
    ({"ttl": (None,)}, [0, 3]),
    ({"ttl": ((MS, MS),)}, [1, 5]),
    ({"ttl": ((MS + 1, 1 << 62),)}, [2]),
    ({"ttl": ((0, MS - 1), None)}, [0, 3, 4]),
    ({"dbs": {0, 1}, "types": {"string", "list"}, "pattern": re.compile(rb"1").search}, [0, 3]),
])  # fmt: skip
def test_selection(build, plan, expected):
    assert selected(build, **plan) == expected
    assert selected(build, **plan, retain=True, level=1) == expected


def test_entries_that_are_not_selected_must_be_valid(build):
    data = made(entry(0), ("put", b"\x02\x01k\x05\x01"), end=False)
    plan = build("rdb.walker").Plan(types={"hash"})
    reading = read(build, data, plan=plan)
    assert reading.rows == []
    assert reading.end[:5] == ("Truncated", "truncated", len(data), 0, b"k")


def test_attributes_of_what_is_not_selected_do_not_stick(build):
    data = made(("expire_ms", MS), ("freq", 5), entry(spec.SET, b"a"), entry(0, b"b"))
    [row] = read(build, data, plan=build("rdb.walker").Plan(types={"string"}, level=1, retain=True)).rows
    assert row[2:7] == (b"b", 0, None, None, None)
    assert row[0] == data.index(b"\x00\x01b")


# -- attributes and records --------------------------------------------------------------------------------------------


def test_attributes_in_any_order_survive_records_between(build):
    calls = [("expire_ms", MS), ("idle", 9), ("freq", 7), ("aux", b"slot-info", b"1,2,3"), ("slot_info", 1, 2, 3)]
    for order in itertools.permutations(calls, 5):
        data = made(*order, entry(0, b"k"), entry(0, b"next"), version=12)
        first, second = read(build, data).rows
        assert (first[2], *first[4:7]) == (b"k", MS, 9, 7)
        assert (second[2], *second[4:7]) == (b"next", None, None, None)
        attributes = [call for call in order if call[0] in ("expire_ms", "idle", "freq")]
        assert first[0] == data.index({"expire_ms": b"\xfc", "idle": b"\xf8", "freq": b"\xf9"}[attributes[0][0]], 9)
        assert first[0] + first[9] == second[0]


def test_times(build):
    """Milliseconds, seconds, and -1, which means none; later ones replace earlier ones."""
    for calls, due in (
        ([("expire_ms", MS)], MS),
        ([("expire_ms", -1)], None),
        ([("expire_ms", -2)], -2),
        ([("expire_ms", 0)], 0),
        ([("expire_seconds", MS // 1000)], MS),
        ([("expire_seconds", -1)], None),
        ([("expire_seconds", MS // 1000), ("expire_ms", 5)], 5),
    ):
        [row] = read(build, made(*calls, entry(0))).rows
        assert (calls, row[4]) == (calls, due)


@pytest.mark.parametrize("version", range(3, 13))
def test_byte_order_of_old_times(build, version):
    """Before RDB 9 a big-endian server wrote its own order; a time that is plausible in neither is read unchanged."""
    for time in (MS, 700_000_000_000, 1):
        data = made(("put", b"\xfc" + time.to_bytes(8, "big")), entry(0), version=version)
        [row] = read(build, data).rows
        as_it_stands = int.from_bytes(time.to_bytes(8, "big"), "little", signed=True)
        assert row[4] == (time if version < 9 and time > 1 else as_it_stands)
        data = made(("put", b"\xfc" + time.to_bytes(8, "little")), entry(0), version=version)
        assert read(build, data).rows[0][4] == time


def test_keydb(build):
    """Members' expiries follow their key; the stamp before it is ignored."""
    calls = [
        ("aux", b"mvcc-tstamp", b"123"), entry(spec.SET, b"s", {b"a", b"b"}),
        ("aux", b"keydb-subexpire-key", b"a"), ("aux", b"keydb-subexpire-when", b"%d" % MS),
        ("aux", b"keydb-subexpire-key", b"b"), ("aux", b"keydb-subexpire-when", b"%d" % (MS + 1)),
        ("aux", b"mvcc-tstamp", b"124"), entry(spec.CRON, b"c"), entry(0, b"plain"),
    ]  # fmt: skip
    data = made(*calls, version=9)
    for what in (data, Trickle(data)):
        reading = read(build, what)
        assert reading.keys == [b"s", b"c", b"plain"]
        assert [row[8] for row in reading.rows] == [[(b"a", MS), (b"b", MS + 1)], [], []]
        assert reading.facts[0] == "keydb"
    [name, number, parts] = reading.rows[1][7][1]
    assert (name, number, [value for _, value in parts]) == ("CRON", 0, [b"script", 1, 2, b"key", b"argument"])
    for plan, keys in (({"types": {"string"}}, [b"plain"]), ({"types": {"set"}}, [b"s"])):
        chosen = read(build, data, plan=build("rdb.walker").Plan(retain=True, **plan))
        assert chosen.keys == keys
    assert chosen.rows[0][8] == [(b"a", MS), (b"b", MS + 1)]


def test_keydb_across_a_batch(build):
    """A batch does not end between a key and its members' expiries."""
    sub = [("aux", b"keydb-subexpire-key", b"a"), ("aux", b"keydb-subexpire-when", b"%d" % MS)]
    keys = [b"%d" % number for number in range(600)]
    data = made(*(call for key in keys for call in (entry(spec.SET, key, {b"a"}), *sub)), version=9)
    with build.rdbkit.open(data) as snapshot:
        found = [(row[2], row[11]) for batch in snapshot.batches() for row in batch]
    assert found == [(key, {"members": {b"a": MS}}) for key in keys]


def test_keydb_oddities(build):
    """An expiry before any key, or that is no number."""
    when = ("aux", b"keydb-subexpire-when", b"%d" % MS)
    assert read(build, made(when, entry(0), version=9)).end[0] == "end"
    for text in (b"soon", b"9" * 5000, b""):
        bad = made(entry(0), ("aux", b"keydb-subexpire-key", b"a"), ("aux", b"keydb-subexpire-when", text), version=9)
        reading = read(build, bad)
        assert reading.keys == [b"key"]
        assert reading.end[:2] == ("Corrupt", "bad-aux")


def test_product_decides_what_a_byte_means(build):
    """22, 23, 242, 243: by the magic."""
    meta = "key_meta", [(default_writer.class_spec("KMT1", 1), [])]
    old = entry(spec.HASH_METADATA_PRE_GA, b"22"), entry(spec.HASH_LISTPACK_EX_PRE_GA, b"23")
    redis = made(("hash_template", 5, fields_of(PAIRS)), meta, *old, version=15)
    reading = read(build, redis)
    assert [row[3] for row in reading.rows] == [22, 23]
    assert [row[8] for row in reading.rows] == [[(b"a", MS), (b"n", MS + 5)]] * 2
    valkey = made(("slot_import", b"j" * 40, [(1, 2)]), entry(spec.HASH_2, b"22"), version=80, product="valkey")
    reading = read(build, valkey)
    assert [row[3] for row in reading.rows] == [spec.HASH_2]
    assert reading.rows[0][8] == [(b"a", MS), (b"n", MS + 5)]
    valkey = made(entry(spec.HASH_2, b"22"), entry(spec.PATH_HASH, b"23"), version=81, product="valkey")
    assert [row[3] for row in read(build, valkey).rows] == [spec.HASH_2, spec.PATH_HASH]
    *_, message = read(build, made(version=81, product="valkey", end=False) + b"\xf2\x01k").end
    assert "OP_UPDATE" in message
    # Valkey does not know Redis' later types, and Dragonfly's mark changes what 30 means.
    assert read(build, b"VALKEY080\x18\x01k").end[:2] == ("Corrupt", "unknown-type")
    dragonfly = made(("aux", b"df-ver", b"1.2"), entry(0), version=9, end=False) + b"\x1e\x01k\x02{}"
    assert read(build, dragonfly).end[1] == "unsupported-type"


def test_templates(build):
    start = ("hash_template", 5, [b"a", b"b"])
    twice = read(build, made(start, start, version=15))
    assert twice.end[:2] == ("Corrupt", "bad-template")
    empty = made(("put", b"\xf2\x05\x00"), entry(0), version=15)
    assert read(build, empty).end[:2] == ("Corrupt", "bad-template")
    for type_id in (spec.HASH_TMPL_LP_REF, spec.HASH_TMPL_ARRAY_REF):
        unknown = made(entry(0), entry(type_id, b"k", template=6), version=15)
        reading = read(build, unknown)
        assert reading.keys[0] == b"key"
        assert "no hash template 6" in repr(reading)


def test_functions(build):
    pre = ("function_pre_ga", b"old", b"LUA", b"return 1", b"described")
    reading = read(build, made(("function", FUNCTION), pre, version=10))
    assert reading.facts[3] == [FUNCTION, b"#!lua name=old\nreturn 1"]


def test_enterprise_records_are_passed_over(build):
    data = made(
        ("put", b"\x79\x40\x64"), ("expire_ms", MS), ("put", b"\x6b\x05"), entry(0, b"a"), entry(0, b"b"), version=9
    )
    first, second = read(build, data).rows
    assert (first[2], first[4]) == (b"a", MS)
    assert (second[2], second[4]) == (b"b", None)


def test_aux(build):
    """The first of a name counts; long values are kept in part; names that are no text are shown as bytes."""
    calls = [
        ("aux", b"ctime", 5),
        ("aux", b"ctime", 6),
        ("aux", b"crdtbacklog0", b"x" * 200_000),
        ("aux", b"\xff", b""),
    ]
    with build.rdbkit.open(made(*calls, entry(0), ("aux", b"late", b"1"))) as snapshot:
        # The records before the first key are known at once.
        assert snapshot.aux["ctime"] == b"5"
        assert len(snapshot.aux["crdtbacklog0"]) == 1 << 16
        assert snapshot.aux["\\xff"] == b""
        assert "late" not in snapshot.aux
        assert len(list(snapshot)) == 1
        assert snapshot.aux["late"] == b"1"
        assert snapshot.ctime == 5000


def test_key_meta(build):
    meta = default_writer.class_spec("KMT1", 1, 1)
    data = made(("key_meta", [(meta, [("uint", 7)]), (meta, [])]), entry(0, b"k"), entry(0, b"next"), version=13)
    with build.rdbkit.open(data) as snapshot:
        rows = [row for batch in snapshot.batches() for row in batch]
    assert [row[11] for row in rows] == [{"meta": (meta, meta)}, None]
    for classes in (b"\x00", b"\x08"):
        reading = read(build, b"REDIS0013\xf3" + classes)
        assert reading.end[:3] == ("Corrupt", "bad-key-meta", 10)


def test_module_aux(build):
    call = ("module_aux", "kit-typeA", 3, 2, [("string", b"x"), ("float", 1.0)])
    with build.rdbkit.open(made(call, entry(0))) as snapshot:
        assert snapshot.modules_aux == [(default_writer.module_id("kit-typeA", 3), 2)]
    broken = made(("put", b"\xf7\x01\x05\x01\x00"))
    assert read(build, broken).end[:2] == ("Corrupt", "bad-module")


# -- the start ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("head", "outcome"), [
    (b"", ("Truncated", "empty", 0)),
    (b"R", ("Truncated", "truncated", 1)),
    (b"REDIS001", ("Truncated", "truncated", 8)),
    (b"VALKEY08", ("Truncated", "truncated", 8)),
    (b"REDIS0000", ("Corrupt", "bad-version", 0)),
    (b"REDIS00 1", ("Corrupt", "bad-version", 0)),
    (b"REDIS-001", ("Corrupt", "bad-version", 0)),
    (b"VALKEY0x0", ("Corrupt", "bad-version", 0)),
    (b"REDIS0017", ("Unsupported", "unsupported-version", 0)),
    (b"REDIS0080", ("Unsupported", "unsupported-version", 0)),
    (b"REDIS9999", ("Unsupported", "unsupported-version", 0)),
    (b"VALKEY011", ("Unsupported", "unsupported-version", 0)),
    (b"VALKEY079", ("Unsupported", "unsupported-version", 0)),
    (b"VALKEY082", ("Unsupported", "unsupported-version", 0)),
    (b"redis0011", ("Unsupported", "not-rdb", 0)),
    (b"FOO", ("Unsupported", "not-rdb", 0)),
    (b"\x00" * 100, ("Corrupt", "nul-run", 0)),
    (b"file appendonly.aof.1.base.rdb seq 1 type b\n", ("Unsupported", "needs-replay", 0)),
])  # fmt: skip
def test_heads(build, head, outcome):
    with pytest.raises(build.errors.RdbkitError) as caught:
        build.rdbkit.open(head)
    assert error_of(caught.value)[:3] == outcome
    assert read(build, Trickle(head)).end[:3] == outcome


@pytest.mark.parametrize("version", [*range(1, 16), 80, 81])
def test_versions(build, version):
    product = "valkey" if version >= 80 else "redis"
    reading = read(build, made(entry(0), version=version, product=product))
    assert reading.end == ("end", "good" if version >= 5 else "absent", None)
    assert reading.facts[:2] == (product, version)


# -- the end -----------------------------------------------------------------------------------------------------------

TAILS = [
    (b"", None), (b"0123456789abcdef0123456789abcdef01234567", "replication mark"), (bytes(50), "zeros"),
    (b"junk!", "unknown bytes"), (b"REDIS0011\xff" + bytes(8), "another RDB"),
    (b"*1\r\n$4\r\nPING\r\n", "AOF commands"),
]  # fmt: skip


@pytest.mark.parametrize(("tail", "kind"), TAILS, ids=[str(kind) for _, kind in TAILS])
@pytest.mark.parametrize("state", ["good", "disabled", "absent", "not verified"])
def test_what_follows_the_end(build, tail, kind, state):
    """An AOF needs replay; a replication mark is ignored; other bytes are refused without a valid checksum."""
    data = made(entry(0), version=4 if state == "absent" else 9, checksum=state != "disabled")
    for what in (data + tail, Trickle(data + tail)):
        reading = read(build, what, verify=state != "not verified")
        assert reading.keys == [b"key"]
        if kind == "AOF commands":
            assert reading.end[:3] == ("Unsupported", "needs-replay", len(data))
        elif kind in (None, "replication mark") or state == "good":
            assert reading.end == ("end", state, (kind, len(tail), len(data)) if kind else None)
        else:
            assert reading.end[:3] == ("Corrupt", "trailing-bytes", len(data))


def test_checksums(build):
    data = made(entry(0), version=9)
    for at in range(10, len(data)):
        changed = bytearray(data)
        changed[at] ^= 0x10
        reading = read(build, bytes(changed))
        assert reading.end[0] != "end"
        if at >= len(data) - 8:
            assert reading.end[:3] == ("Corrupt", "checksum-mismatch", len(data) - 8)
            assert reading.keys == [b"key"]
    assert read(build, data[:-8] + bytes(8)).end == ("end", "disabled", None)
    assert read(build, data[:-8] + b"12345678", verify=False).end == ("end", "not verified", None)
    with build.rdbkit.open(data) as snapshot:
        assert snapshot.checksum == "not reached"
        next(iter(snapshot))
        assert list(snapshot) == []
        assert snapshot.checksum == "good"


def test_wrong_checksum_of_many_keys(build):
    """All entries are returned before the checksum at the end is known to be wrong."""
    data = made(*(entry(0, b"%d" % number) for number in range(1000)))
    with build.rdbkit.open(data[:-1] + bytes((data[-1] ^ 1,))) as snapshot:
        keys: list[bytes] = []
        with pytest.raises(build.errors.Corrupt) as caught:
            keys.extend(found.key for found in snapshot)
        assert len(keys) == 1000
        assert (caught.value.code, snapshot.checksum) == ("checksum-mismatch", "wrong")


# -- claims ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("claim", [b"\x81" + b"\xff" * 8, b"\x81\x7f" + b"\xff" * 7, b"\x80\xff\xff\xff\xff"])
@pytest.mark.parametrize("type_id", [t for t in spec.BY_ID if t in default_writer.ENCODERS and t != spec.MODULE_2])
def test_a_claimed_length_is_not_believed(build, type_id, claim):
    """The body starts with a length that no file can hold: refused at once, from bytes and from a pipe."""
    product = "valkey" if type_id == spec.HASH_2 else "redis"
    start = made(entry(0, b"before"), version=15 if product == "redis" else 80, product=product, end=False)
    data = start + bytes((type_id & 0xFF,)) + b"\x01k" + claim + bytes(300)
    for what in (data, Trickle(data, 100)):
        reading = read(build, what)
        assert reading.keys[0] == b"before"
        if reading.end[0] == "end":
            assert type_id in (spec.HASH_METADATA, spec.HASH_LISTPACK_EX)
        else:
            assert reading.end[0] in ("Truncated", "Corrupt")


BLOBS = [
    (spec.LIST_ZIPLIST, 0, 8), (spec.SET_LISTPACK, 0, 4), (spec.SET_INTSET, 0, 4), (spec.LIST_QUICKLIST, 1, 9),
    (spec.LIST_QUICKLIST_2, 2, 6), (spec.HASH_LISTPACK_EX, 8, 12),
]  # fmt: skip


@pytest.mark.parametrize(("type_id", "blob", "count"), BLOBS, ids=[spec.BY_ID[row[0]].name for row in BLOBS])
def test_numbers_in_the_heads_of_blobs_are_unsigned(builds, type_id, blob, count):
    """Sizes and counts with their highest bit set, which a narrow signed number would make negative."""
    data = body(type_id, compress=False)
    for at in (blob + 1 + 3, count + 1, count + 2):
        for byte in (0x80, 0xFF):
            changed = data[:at] + bytes((byte,)) + data[at + 1 :]
            file = made(("entry", type_id, b"k", changed), version=15)
            pure, compiled = (read(build, file) for build in builds)
            assert pure == compiled
            assert " -" not in repr(compiled.end)


def test_keydb_is_recognised_by_a_record_before_its_first_key(build: Any) -> None:
    """Only KeyDB has a release 6.3; the next release of Redis keeps hashes in listpacks."""
    head = [("aux", b"redis-ver", b"6.3.4"), ("select_db", 0), ("resize_db", 1, 0)]
    for attributes in ([], [("expire_ms", MS)]):
        file = made(*head, *attributes, ("aux", b"mvcc-tstamp", b"1"), entry(spec.HASH_ZIPLIST), version=9)
        with build.rdbkit.open(file) as snapshot:
            assert (snapshot.product, str(snapshot.target)) == ("keydb", "redis:6.2.6")
            [found] = snapshot
            assert (found.encoding, found.expires_at) == ("ziplist", MS if attributes else None)
            assert {db: (d.claimed_keys, d.keys) for db, d in snapshot.databases.items()} == {0: (1, 1)}


@pytest.mark.parametrize("type_id", [15, 19, 21, 26, 27])
def test_streams_are_skipped_to_their_end(build: Any, type_id: int) -> None:
    file = made(entry(type_id, b"s"), entry(0, b"k"), version=14)
    with build.rdbkit.open(file, plan=build("rdb.walker").Plan()) as snapshot:
        assert [found.key for found in snapshot] == [b"s", b"k"]


def test_many_records_are_not_all_collected_at_opening(build: Any) -> None:
    """A record without text has three bytes in the file, but is a tuple in memory."""
    file = made(("put", b"\xfa\x00\x00" * 100_000), entry(0))
    with build.rdbkit.open(file) as snapshot:
        assert 0 < len(snapshot.take_records()) < 20_000
        assert len(list(snapshot)) == 1
