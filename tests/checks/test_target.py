"""What a given server does not load of an RDB, and which releases do. Held to starts of real servers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from cli.run import rdbkit as run
from rdb.files import FUNCTION, entry, made

from rdbkit.aof.writer import command
from rdbkit.format import spec

FIELDS = [(b"f", b"v", None)]


def codes(build: Any, data: bytes, target: str) -> list[tuple[str, str]]:
    found = build.rdbkit.check(data, target=target).findings
    return [(one.code, one.message) for one in found if one.severity == "error"]


# Empty RDBs, by version: what each server did with them at start.
VERSIONS = [
    (("redis", 12), "redis:7.0.15", "redis 7.4 and newer"),
    (("redis", 12), "redis:7.2.6", "redis 7.4 and newer"),
    (("redis", 12), "redis:7.4.1", None),
    (("redis", 12), "valkey:9.1.2", "redis 7.4 and newer"),
    (("redis", 11), "valkey:9.1.2", None),
    (("redis", 15), "redis:8.6.3", "redis 8.10 and newer"),
    (("redis", 9), "redis:4.0.14", "redis 5.0 and newer, valkey 7.2 and newer"),
    (("valkey", 80), "valkey:9.0.0", None),
    (("valkey", 80), "valkey:8.1.1", "valkey 9.0 and newer"),
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
