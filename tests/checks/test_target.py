"""What a given server does not load of an RDB, and which releases do. Held to starts of real servers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from cli.run import rdbkit as run
from conftest import FIXTURES
from rdb.files import FUNCTION, entry, made

from rdbkit.aof.writer import command
from rdbkit.format import spec
from rdbkit.rdb.writer import class_spec

FIELDS = [(b"f", b"v", None)]


def codes(build: Any, data: bytes, target: str) -> list[tuple[str, str]]:
    found = build.rdbkit.check(data, target=target).findings
    return [(one.code, one.message) for one in found if one.severity == "error"]


# Empty RDBs, by version: what each server did with them at start.
VERSIONS = [
    (("redis", 12), "redis:7.0.15", "redis 7.4 and newer"),
    (("redis", 12), "redis:7.2.6", "redis 7.4 and newer"),
    (("redis", 12), "redis:7.4.1", None),
    (("redis", 12), "valkey:8.0.1", "redis 7.4 and newer"),
    (("redis", 11), "valkey:9.1.2", None),
    (("redis", 15), "redis:8.6.3", "redis 8.10 and newer"),
    (("redis", 9), "redis:4.0.14", "redis 5.0 and newer, valkey 7.2 and newer"),
    (("valkey", 80), "valkey:9.0.0", None),
    (("valkey", 80), "valkey:8.0.1", "valkey 9.0 and newer"),
    (("valkey", 80), "redis:8.10.2", "valkey 9.0 and newer"),
]


@pytest.mark.parametrize(("version", "target", "loaded_by"), VERSIONS)
def test_versions(build: Any, version: tuple[str, int], target: str, loaded_by: str | None) -> None:
    product, number = version
    found = codes(build, made(entry(0, b"k"), version=number, product=product), target)
    letters = "VALKEY" if product == "valkey" else "REDIS"
    message = f"{target} does not load {letters} RDB version {number}; loaded by {loaded_by}"
    assert found == ([] if loaded_by is None else [("target-version", message)])


def test_types_and_opcodes_beside_the_version(build: Any) -> None:
    """A file can claim an old version and hold a newer type."""
    data = made(entry(spec.SET_LISTPACK, b"s", [b"a"]), version=11).replace(b"REDIS0011", b"REDIS0010")
    found = codes(build, data, "redis:7.0.15")
    assert [code for code, _ in found if code.startswith("target")] == ["target-type"]
    assert any(
        "type 20 (SET_LISTPACK); loaded by redis 7.2 and newer, valkey 7.2 and newer" in text for _, text in found
    )


@pytest.mark.parametrize(
    ("target", "refused"),
    [
        ("redis:7.0.15", False),
        ("redis:7.2.6", True),
        ("redis:8.2.3", True),
        ("redis:6.2.14", True),
        ("valkey:9.1.2", True),
    ],
)
def test_functions_of_release_candidates(build: Any, target: str, refused: bool) -> None:
    """Opcode 246: 7.0.15 starts; 6.2.14, 8.2.3 and Valkey 9.1.2 do not."""
    found = dict(codes(build, made(("function_pre_ga", b"n", b"LUA", b"c"), version=10), target))
    assert ("target-opcode" in found) is refused
    assert not refused or found["target-opcode"].endswith("loaded by redis 7.0")


def test_functions(build: Any) -> None:
    data = made(("function", FUNCTION), version=10)
    assert codes(build, data, "redis:7.0.15") == []
    assert [code for code, _ in codes(build, data, "redis:6.2.14")] == ["target-version", "target-opcode"]


PAST, FUTURE = ("expire_ms", 1_000_000_000_000), ("expire_ms", 9_000_000_000_000)
TIME = ("aux", b"ctime", b"1600000000")


@pytest.mark.parametrize(
    ("calls", "severity"),
    [
        ([PAST, entry(0, b"k"), entry(0, b"k")], "warning"),
        ([entry(0, b"k"), PAST, entry(0, b"k")], "warning"),
        ([PAST, entry(0, b"k"), PAST, entry(0, b"k")], "warning"),
        ([FUTURE, entry(0, b"k"), entry(0, b"k")], "error"),
        ([entry(0, b"k"), entry(0, b"k")], "error"),
        ([PAST, entry(0, b"k"), entry(0, b"k"), entry(0, b"k")], "error"),
    ],
)
def test_a_key_that_is_there_twice(build: Any, calls: list[Any], severity: str) -> None:
    """Masters of 6.2.14, 7.0.15, 8.2.3 and Valkey 9.0.0, 9.1.2 drop an expired copy; replicas refuse the file."""
    result = build.rdbkit.check(made(TIME, *calls, version=9))
    found = [one for one in result.findings if one.code == "duplicate-key"]
    assert max(found, key=lambda one: one.severity == "error").severity == severity
    assert result.sound is (severity == "warning")


def test_relaxed_versions(build: Any) -> None:
    """`rdb-version-check relaxed` (Valkey): newer versions load, but not with types that the release does not know."""

    def refused(data: bytes, target: str) -> list[str]:
        settings = {"rdb-version-check": "relaxed"}
        found = build.rdbkit.check(data, target=build.rdbkit.Target.parse(target).with_settings(settings)).findings
        return [one.code for one in found if one.severity == "error"]

    plain = made(entry(0, b"k"), version=12)
    for target, loads in (("valkey:8.1.1", False), ("valkey:9.0.0", True), ("redis:7.0.15", False)):
        assert refused(plain, target) == ["target-version"] * (not loads)
    assert refused(made(entry(0, b"k"), version=80, product="valkey"), "valkey:8.1.1") == []
    assert refused(made(entry(spec.HASH_METADATA, b"h"), version=12), "valkey:9.1.2") == ["target-type"]
    assert refused(made(("slot_info", 1, 0, 0), version=12), "valkey:9.1.2") == []
    assert refused(
        made(("key_meta", [(class_spec("KMT1", 1, 1), [])]), entry(0, b"k"), version=13), "valkey:9.1.2"
    ) == ["target-opcode"]
    assert "relaxed" in codes(build, plain, "valkey:9.1.2")[0][1]
    assert "relaxed" not in codes(build, plain, "redis:7.2.6")[0][1]


def test_rdb_81(build: Any) -> None:
    """What Valkey 9.2 writes loads nowhere else, unless with relaxed checks where no path hash is in it."""
    paths = made(entry(spec.PATH_HASH, b"p"), version=81, product="valkey")
    assert codes(build, paths, "valkey:9.2") == []
    assert [code for code, _ in codes(build, paths, "valkey:9.1")] == ["target-version", "target-type"]
    assert "loaded by valkey 9.2 and newer" in codes(build, paths, "valkey:9.1")[1][1]
    assert [code for code, _ in codes(build, paths, "redis:8.10")] == ["target-version", "target-type"]
    for version, product in ((11, "redis"), (80, "valkey")):
        assert codes(build, made(entry(0, b"k"), version=version, product=product), "valkey:9.2") == []
    assert [code for code, _ in codes(build, made(entry(0, b"k"), version=12), "valkey:9.2")] == ["target-version"]


def test_rdb_16(build: Any) -> None:
    bitmap = made(entry(spec.BITMAP, b"b"), version=16)
    assert codes(build, bitmap, "redis:8.12") == []
    assert [code for code, _ in codes(build, bitmap, "redis:8.10")] == ["target-version", "target-type"]
    message = codes(build, bitmap, "redis:8.10")[1][1]
    assert "type 33 (BITMAP), bitmap that is no string; loaded by redis 8.12" in message
    assert codes(build, made(entry(spec.HASH_METADATA, b"h"), version=16), "redis:8.12") == []
    assert codes(build, made(entry(spec.STREAM_LISTPACKS_5, b"s"), version=15), "redis:8.12") == []


def notes(build: Any, data: bytes, code: str = "refused-elsewhere") -> list[str]:
    return [one.message for one in build.rdbkit.check(data).findings if one.code == code]


def by(version: bytes) -> tuple[Any, ...]:
    return "aux", b"redis-ver", version


def test_other_releases_of_the_family(build: Any) -> None:
    """Without a target the verdict is for the producer; a note names newer releases that do not load the file."""
    assert notes(build, made(by(b"7.0.15"), entry(0, b"k"), version=10)) == []
    old = made(by(b"7.0.15"), ("function_pre_ga", b"n", b"LUA", b"c"), version=10)
    (note,) = notes(build, old)
    assert note == "redis:7.0.15 loads it, but these do not: redis 7.2 and newer (opcode OP_FUNCTION_PRE_GA)"
    wide = made(by(b"8.6.3"), entry(spec.LIST_QUICKLIST_2, b"l", [b"a" * 16378, b"b"], node_bytes=1 << 20), version=11)
    (note,) = notes(build, wide)
    assert note.endswith("redis 8.8 and newer (listpack back-lengths of the old form)")
    command_of_862 = command(b"XIDMPRECORD", b"s", b"p", b"i", b"1-1")
    (note,) = notes(build, made(by(b"8.6.3"), version=13) + command_of_862)
    assert note.endswith("redis 8.6 before 8.6.2 (command XIDMPRECORD)")
    # Damage is its own verdict, and a given target asks for that server alone.
    assert notes(build, old[:-9]) == []
    assert [one.code for one in build.rdbkit.check(old, target="redis:7.0.15").findings] == []


def test_back_lengths(build: Any) -> None:
    """Measured on 11 servers: the other form crashes them at the first read; Valkey from 9.1.2 on does not start."""
    lacking = {"old": {"redis:8.10.2", "valkey:9.1.0", "valkey:9.1.2"}, "new": {"redis:8.6.3", "valkey:9.0.0"}}
    for generation, lack in lacking.items():
        for kind in (spec.LIST_QUICKLIST_2, spec.HASH_LISTPACK, spec.ZSET_LISTPACK):
            long = b"a" * 16378
            value = {"list": [long, b"b"], "hash": [(b"f", long, None)], "zset": [(long, 1.0)]}[spec.BY_ID[kind].type]
            options = {"node_bytes": 1 << 20} if kind == spec.LIST_QUICKLIST_2 else {}
            data = made(entry(kind, b"k", value, generation=generation, **options), version=10)
            for target in ("redis:8.6.3", "redis:8.10.2", "valkey:9.0.0", "valkey:9.1.0", "valkey:9.1.2"):
                found = codes(build, data, target)
                assert [code for code, _ in found] == ["target-back-length"] * (target in lack), target
                if target in lack:
                    how = "does not start" if target == "valkey:9.1.2" else "crashes at the first read"
                    assert how in found[0][1]


def test_vector_sets_of_newer_patches(build: Any) -> None:
    """8.0.2 does not load a vector set that 8.0.6 or a newer release wrote, and says "node index loading error"."""
    for server, target in (("redis-8.0.6", "redis:8.0.2"), ("redis-8.2.3", "redis:8.0.2")):
        data = (FIXTURES / server / "rdb-canonical" / "dump.rdb").read_bytes()
        assert [code for code, _ in codes(build, data, target)] == ["target-vector-set"]
        assert codes(build, data, "redis:8.2.3") == []
    own = (FIXTURES / "redis-8.0.6" / "rdb-canonical" / "dump.rdb").read_bytes()
    assert notes(build, own)[0].endswith("redis 8.0 before 8.0.6 (vector set nodes of version 1)")


def test_cluster_mode(build: Any) -> None:
    """8.2.3, Valkey 9.0.0 and 9.1.2 exit at database 1 in cluster mode, 7.0.15 crashes."""
    data = made(("select_db", 3), entry(0, b"k"), version=10)
    result = build.rdbkit.check(data)
    assert result.sound
    assert result.assumed == ("cluster-enabled no (more than database 0)",)
    target = build.rdbkit.Target.parse("redis:7.0.15").with_settings({"cluster-enabled": "yes"})
    result = build.rdbkit.check(data, target=target, settings={"cluster-enabled": "yes"})
    assert [one.code for one in result.findings] == ["target-setting"]
    assert result.assumed == ()
    assert build.rdbkit.check(made(entry(0, b"k"), version=10)).assumed == ()


def test_a_slot_import_needs_cluster_mode(build: Any) -> None:
    data = made(("slot_import", b"j" * 40, [(0, 5)]), entry(0, b"k"), version=80, product="valkey")
    assert build.rdbkit.check(data).assumed == ("cluster-enabled yes (a slot import is under way)",)
    assert [code for code, _ in codes(build, data, "valkey:9.1.2")] == ["target-setting"]


def test_modules_are_assumed(build: Any) -> None:
    result = build.rdbkit.check(made(entry(spec.MODULE_2, b"m"), version=9))
    assert result.sound
    assert result.assumed == ("modules for kit-typeA",)


@pytest.mark.parametrize(
    ("calls", "version", "harmed", "safe"),
    [
        ([("slot_info", 20000, 1, 0), entry(0, b"k")], 12, "redis:8.2.3", "redis:8.2.9"),
        ([("put", b"\x09\x01k\x0b\x01\xfe\x01\x00\x00\x00f\x01\x00v\xff")], 10, "redis:7.4.1", "redis:7.4.9"),
        ([entry(spec.ZSET_2, b"z", [(b"m", float("nan"))])], 10, "valkey:9.0.4", "valkey:9.0.5"),
    ],
)
def test_bytes_that_harm_servers(build: Any, calls: list[Any], version: int, harmed: str, safe: str) -> None:
    data = made(*calls, version=version)
    found = dict(codes(build, data, harmed))
    assert found["harms-server"].startswith(f"{harmed} ")
    assert safe.partition(":")[2] in found["harms-server"]
    assert len(found) > 1
    assert "harms-server" not in dict(codes(build, data, safe))


def test_names_of_files_of_sets(tmp_path: Path) -> None:
    """Files with these names are there from 7.0 on."""
    import rdbkit

    for name, line in (("a.aof", "6.2"), ("a.1.incr.aof", "8.12"), ("x.incr.aof", "8.12"), ("a.2.base.aof", "8.12")):
        path = tmp_path / name
        path.write_bytes(command(b"SET", b"k", b"v") + b"*1\r\n")
        (cut,) = [one for one in rdbkit.check(str(path)).findings if one.code == "server-cut"]
        assert cut.message.startswith(f"redis:{line}."), name


def test_one_row_makes_a_release(monkeypatch: pytest.MonkeyPatch) -> None:
    """A release in which nothing is new is one row of the table."""
    import rdbkit
    from rdbkit.releases import table

    row = table.Release((12, 0), 1, 17, "REDIS", 17)
    monkeypatch.setitem(table.RELEASES, "redis", (*table.RELEASES["redis"], row))
    data = made(entry(0, b"k"), version=15)
    assert rdbkit.check(data, target="redis:12.0").sound
    assert str(rdbkit.Target.parse("redis:12.0")) == "redis:12.0.1"
    assert rdbkit.Target.parse("redis:12.0").rdb_version == 17


@pytest.mark.slow
def test_info_answers_for_a_target(tmp_path: Path) -> None:
    path = tmp_path / "dump.rdb"
    path.write_bytes(made(("function", FUNCTION), entry(spec.HASH_METADATA, b"h"), version=12))
    facts = json.loads(run("info", path, "--target", "redis:7.2.6", "-f", "json").out)
    assert facts["loads"] is False
    assert facts["blockers"] == [
        "REDIS RDB version 12; loaded by redis 7.4 and newer",
        "type 24 (HASH_METADATA), hash with field expiries; loaded by redis 7.4 and newer",
    ]
    assert "loads       no" in run("info", path, "--target", "redis:7.2.6").out
    facts = json.loads(run("info", path, "--target", "redis:8.0.6", "-f", "json").out)
    assert (facts["loads"], facts["blockers"]) == (True, [])
    # Not read to its end, it is not known; what is there already may be enough.
    assert json.loads(run("info", path, "--quick", "--target", "redis:8.0.6", "-f", "json").out)["loads"] is None
    assert json.loads(run("info", path, "--quick", "--target", "redis:7.0.1", "-f", "json").out)["loads"] is False
    assert "loads" not in json.loads(run("info", path, "-f", "json").out)
    log = tmp_path / "a.aof"
    log.write_bytes(command(b"HPEXPIREAT", b"h", b"1999999999999", b"FIELDS", b"1", b"f"))
    facts = json.loads(run("info", log, "--target", "redis:7.0.15", "-f", "json").out)
    assert facts["blockers"] == ["the command HPEXPIREAT; loaded by redis 7.4 and newer, valkey 9.0 and newer"]


@pytest.mark.slow
def test_a_set_needs_a_server_that_knows_sets(tmp_path: Path) -> None:
    (tmp_path / "a.aof.1.incr.aof").write_bytes(command(b"SET", b"k", b"v"))
    (tmp_path / "a.aof.manifest").write_bytes(b"file a.aof.1.incr.aof seq 1 type i\n")
    ran = run("check", tmp_path, "--target", "redis:6.2.16", "-f", "jsonl")
    assert ran.status == 1
    assert "target-multi-part" in ran.out
    assert "REFUSED" in ran.lines[-1]
    assert run("check", tmp_path, "--target", "redis:7.0.15").status == 0


@pytest.mark.slow
def test_the_verdict_of_the_command(tmp_path: Path) -> None:
    """What is only refused is not called damaged."""
    path = tmp_path / "dump.rdb"
    path.write_bytes(made(entry(0, b"k"), version=12))
    ran = run("check", path, "--target", "redis:7.0.15")
    assert ran.status == 1
    assert ran.lines[-1].startswith(f"rdbkit: {path}: REFUSED: redis:7.0.15 does not load it: ")
    assert run("check", path, "--target", "redis:7.4.1").status == 0
    log = tmp_path / "a.aof"
    log.write_bytes(command(b"HPEXPIREAT", b"h", b"1999999999999", b"FIELDS", b"1", b"f"))
    assert "REFUSED: redis:7.0.15 does not load it" in run("check", log, "--target", "redis:7.0.15").lines[-1]
    assert run("check", log).status == 0
