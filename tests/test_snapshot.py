"""The library's main functions: the inputs of open(), and the properties of a snapshot and its entries."""

from __future__ import annotations

import bz2
import contextlib
import dataclasses
import gzip
import io
from pathlib import Path
from typing import Any

import pytest
from conftest import FIXTURES
from rdb.files import EXPIRING, FUNCTION, MS, Trickle, attempt, entry, made
from rdb.test_walker import giant_file

from rdbkit.format import spec

FILE = FIXTURES / "redis-7.2.6" / "rdb-lfu" / "dump.rdb"
DATA = FILE.read_bytes()


@pytest.fixture
def rdbkit(build):
    return build.rdbkit


# -- opening -----------------------------------------------------------------------------------------------------------


def test_what_can_be_opened(rdbkit, tmp_path):
    packed = tmp_path / "no-name-tells-it"
    packed.write_bytes(gzip.compress(DATA))
    with FILE.open("rb") as file:
        for what in (str(FILE), FILE, DATA, bytearray(DATA), memoryview(DATA), file, io.BytesIO(DATA), str(packed),
                     bz2.compress(DATA), Trickle(DATA, 4096)):  # fmt: skip
            with rdbkit.open(what) as snapshot:
                assert sum(1 for _ in snapshot) == 17
                assert snapshot.checksum == "good"
        assert not file.closed


def test_what_cannot(rdbkit, build, tmp_path):
    with pytest.raises(FileNotFoundError) as caught:
        rdbkit.open(str(tmp_path / "none.rdb"))
    assert caught.value.filename == str(tmp_path / "none.rdb")
    with pytest.raises(build.errors.Unsupported) as unknown:
        rdbkit.open(tmp_path)
    assert unknown.value.code == "nothing-found"
    with pytest.raises(build.errors.Truncated):
        rdbkit.open(b"")
    with pytest.raises(ValueError, match="not a target"):
        rdbkit.open(DATA, target="postgres")
    with pytest.raises(ValueError, match="hash-max"):
        rdbkit.open(DATA, settings={"hash-max-listpack-entries": "many"})


def test_a_file_is_closed_even_if_it_is_none_of_ours(rdbkit, build, tmp_path, monkeypatch):
    path = tmp_path / "x"
    path.write_bytes(b"GARBAGE")
    closed = []
    source = build("source").Source
    close = source.close
    monkeypatch.setattr(source, "close", lambda self: (closed.append(self.name), close(self)))
    with pytest.raises(build.errors.Unsupported):
        rdbkit.open(path)
    # The first time to see what is at the path.
    assert closed == [str(path)] * 2


# -- properties of a snapshot ------------------------------------------------------------------------------------------


def test_what_is_known_at_once_and_what_in_the_end(rdbkit):
    with rdbkit.open(FILE) as snapshot:
        assert (snapshot.kind, snapshot.product, snapshot.version, snapshot.producer) == ("rdb", "redis", 11, "7.2.6")
        assert (snapshot.name, snapshot.checksum, snapshot.tail, snapshot.end) == (str(FILE), "not reached", None, None)
        assert list(snapshot.aux)[:4] == ["redis-ver", "redis-bits", "ctime", "used-mem"]
        assert len(snapshot.functions) == 2
        assert str(snapshot.target) == "redis:7.2.6"
        assert snapshot.ctime == int(snapshot.aux["ctime"]) * 1000 == snapshot.target.now
        assert snapshot.now_origin == "the file's ctime"
        assert {database.keys for database in snapshot.databases.values()} <= {0}
        for _ in snapshot:
            pass
        assert {db: (d.claimed_keys, d.keys) for db, d in snapshot.databases.items()} == {0: (16, 16), 3: (1, 1)}
        assert (snapshot.checksum, snapshot.end) == ("good", len(DATA))
        assert list(snapshot) == []


@pytest.mark.parametrize(("calls", "version", "product", "producer", "target"), [
    ([], 2, "redis", None, "redis:2.4.18"),
    ([], 6, "redis", None, "redis:2.8.24"),
    ([("aux", b"redis-ver", b"6.2.7")], 9, "redis", "6.2.7", "redis:6.2.7"),
    ([("aux", b"valkey-ver", b"8.1.1")], 11, "valkey", "8.1.1", "valkey:8.1.1"),
    ([("aux", b"redis-ver", b"255.255.255")], 12, "redis", "255.255.255", "redis:8.0.6"),
    ([("aux", b"redis-ver", b"5.0.3"), ("aux", b"mvcc-tstamp", b"1")], 9, "keydb", "5.0.3", "redis:5.0.3"),
    ([("aux", b"redis-ver", b"6.2.11"), ("aux", b"df-ver", b"1.2")], 9, "dragonfly", "6.2.11", "redis:7.2.6"),
    ([("aux", b"redis-ver", b"not \xff a version")], 9, "redis", "not \\xff a version", "redis:5.0.14"),
])  # fmt: skip
def test_who_wrote_it(rdbkit, calls, version, product, producer, target):
    with rdbkit.open(made(*calls, entry(0), version=version)) as snapshot:
        assert (snapshot.product, snapshot.producer, str(snapshot.target)) == (product, producer, target)
        assert len(list(snapshot)) == 1


@pytest.mark.parametrize(("ctime", "expected"), [(b"1700000000", 1_700_000_000_000), (b"", None), (b"-5", None),
                                                 (b"9" * 13, None), (b"9" * 5000, None), (b"now", None)])  # fmt: skip
def test_ctime(rdbkit, ctime, expected):
    with rdbkit.open(made(("aux", b"ctime", ctime))) as snapshot:
        assert snapshot.ctime == expected
        assert snapshot.target.now == expected


def test_now(rdbkit, tmp_path):
    path = tmp_path / "dump.rdb"
    path.write_bytes(made(entry(0)))
    with rdbkit.open(path) as snapshot:
        assert snapshot.target.now == path.stat().st_mtime_ns // 1_000_000
        assert snapshot.now_origin == "the file's mtime"
    with rdbkit.open(DATA, now=5) as snapshot:
        assert (snapshot.target.now, snapshot.now_origin) == (5, "given")


def test_targets_and_settings_change_encodings(rdbkit):
    data = made(entry(spec.HASH, b"h"), entry(spec.ZSET_ZIPLIST, b"z"), entry(spec.LIST_QUICKLIST, b"l"), version=9)

    def encodings(**options):
        with rdbkit.open(data, **options) as snapshot:
            return [found.encoding for found in snapshot]

    assert encodings() == ["ziplist", "ziplist", "quicklist"]
    assert encodings(target="redis:7.2") == ["listpack", "listpack", "listpack"]
    assert encodings(target=rdbkit.Target.parse("valkey:9.1")) == ["listpack", "listpack", "listpack"]
    small = {"hash-max-ziplist-entries": "2", "zset-max-listpack-value": "1", "zset-max-ziplist-entries": "1"}
    assert encodings(settings=small) == ["hashtable", "skiplist", "quicklist"]


def test_memory_is_bounded_by_what_is_remembered(rdbkit):
    """Aux fields and functions beyond 64 MiB are passed over: they are still counted and checked elsewhere."""
    text = FUNCTION + b" " * (1 << 20)
    with rdbkit.open(made(*(("function", text + b"%d" % number) for number in range(80)))) as snapshot:
        assert list(snapshot) == []
        assert 60 < len(snapshot.functions) <= 64


# -- properties of an entry --------------------------------------------------------------------------------------------


def test_entries_are_cursors(rdbkit):
    data = made(("expire_ms", MS), ("freq", 9), entry(spec.HASH_METADATA, b"k", EXPIRING), entry(0, b"s"), version=12)
    with rdbkit.open(data) as snapshot:
        first, second = iter(snapshot), None
        found = next(first)
        assert (found.db, found.key, found.type, found.expires_at, found.idle, found.freq) == (
            0,
            b"k",
            "hash",
            MS,
            None,
            9,
        )
        assert (found.offset, found.elements, found.encoding) == (9, 3, "listpackex")
        assert found.value == {b"a": b"x", b"bb": b"1000", b"n": b"y" * 30}
        assert found.field_expires_at == {b"a": MS, b"n": MS + 5}
        assert list(found.parts()) == EXPIRING
        assert repr(found) == "<Entry hash b'k' db=0 offset=9>"
        second = next(first)
        assert second.offset == found.offset + found.size
        out = io.BytesIO()
        assert second.copy_to(out) == len(out.getvalue()) == 6
        assert out.getvalue() == second.body == b"\x05hello"


def test_detached_entries_stay(rdbkit):
    with rdbkit.open(DATA) as snapshot:
        records = [found.detach() for found in snapshot]
    with rdbkit.open(DATA) as snapshot:
        for found, record in zip(snapshot, records, strict=True):
            for field in dataclasses.fields(record):
                assert attempt(lambda f=found, n=field.name: getattr(f, n)) == attempt(
                    lambda r=record, n=field.name: getattr(r, n)
                )
    with pytest.raises(dataclasses.FrozenInstanceError):
        records[0].key = b""


def test_types_of_values(rdbkit):
    data = made(entry(spec.MODULE_2, b"m"), entry(spec.STREAM_LISTPACKS_3, b"s"), entry(spec.STRING, b""))
    with rdbkit.open(data) as snapshot:
        module, stream, string = (found.detach() for found in snapshot)
    assert isinstance(module.value, rdbkit.Module)
    assert (module.elements, module.type) == (None, "module")
    assert isinstance(stream.value, rdbkit.Stream)
    assert isinstance(stream.value.last_id, rdbkit.StreamID)
    assert (string.value, string.elements) == (b"hello", 1)
    assert isinstance(string, rdbkit.Record)


def test_errors_name_the_key(rdbkit, build):
    """A value that is damaged inside: its own error, with db and key; its neighbours are as they were."""
    broken = ("entry", spec.SET_LISTPACK, b"broken", b"\x07" + bytes(7))
    data = made(("select_db", 3), entry(0, b"a"), broken, entry(0, b"b"))
    plan = build("rdb.walker").Plan(retain=True)
    with rdbkit.open(data, plan=plan) as snapshot:
        seen = []
        for found in snapshot:
            seen.append(found.key)
            if found.key == b"broken":
                for name in ("value", "elements", "encoding"):
                    with pytest.raises(rdbkit.Corrupt) as caught:
                        getattr(found, name)
                    assert (caught.value.db, caught.value.key, caught.value.code) == (3, b"broken", "bad-listpack")
                    assert caught.value.offset == data.index(b"broken") + 6
    assert seen == [b"a", b"broken", b"b"]


def test_select_after_opening(rdbkit, build):
    with rdbkit.open(DATA) as snapshot:
        snapshot.select(build("rdb.walker").Plan(types={"stream"}))
        assert [found.type for found in snapshot] == ["stream"]


def test_an_rdb_before_commands(rdbkit, build):
    """An AOF with a preamble: its keys come, and then the refusal, so that no part is taken for the whole."""
    seen = []
    with rdbkit.open(DATA + b"*1\r\n$4\r\nPING\r\n") as snapshot, pytest.raises(build.errors.Unsupported) as caught:
        seen.extend(found.key for found in snapshot)
    assert (caught.value.code, caught.value.offset) == ("needs-replay", len(DATA))
    assert snapshot.tail.kind == "AOF commands"


def test_memory_that_depends_on_keys_to_come(rdbkit):
    """A template's bytes are divided among its keys; the number is not known for a pipe or a damaged file."""
    data = (FIXTURES / "redis-8.10.2" / "rdb-templates" / "dump.rdb").read_bytes()

    def memories(what):
        found = []
        with rdbkit.open(what) as snapshot, contextlib.suppress(rdbkit.Truncated):
            found.extend(one.memory for one in snapshot if (one.encoding or "").startswith("template-"))
        return found

    whole = memories(data)
    assert len(whole) > 60
    assert None not in whole
    for what in (Trickle(data, 1 << 12), data[:-9]):
        assert memories(what) == [None] * len(whole)


def test_lists_before_any_sign_of_compression(rdbkit):
    """Inner nodes were kept compressed, which only a later blob shows: it is searched for, except on a pipe."""
    data = (FIXTURES / "redis-4.0.14" / "rdb-listcompress" / "dump.rdb").read_bytes()

    def memory(what):
        with rdbkit.open(what) as snapshot:
            return next(one.memory for one in snapshot if one.key == b"list:plain")

    assert memory(data) == 951
    assert memory(Trickle(data, 1 << 12)) > 40_000


def test_readings_of_one_value_do_not_disturb_each_other(build: Any, tmp_path: Path) -> None:
    """A value that was not kept is read again, and a third time while the second reading is not finished."""
    path = tmp_path / "dump.rdb"
    path.write_bytes(giant_file(spec.SET))
    with build.rdbkit.open(path) as snapshot:
        for found in snapshot:
            if found.body is None:
                assert found.size > 1 << 20
                parts = found.parts()
                first = next(parts)
                assert {first, *parts} == found.value
                unfinished = found.parts()
                next(unfinished)
                for _ in range(3):
                    assert len(found.value) == found.elements
                assert len(list(unfinished)) == found.elements - 1
        assert snapshot.checksum == "good"
