"""Which releases load a file. tests/live/test_compat.py compares the same with real servers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from cli.run import rdbkit as run
from conftest import FIXTURES
from rdb.files import FUNCTION, entry, made

from rdbkit.aof.writer import command
from rdbkit.conversion.compat import Compat, compat
from rdbkit.errors import Corrupt, Truncated, Unsupported
from rdbkit.format import spec

SET = command(b"SET", b"k", b"v")
HPEXPIREAT = command(b"HPEXPIREAT", b"h", b"1999999999999", b"FIELDS", b"1", b"f")


def loads(found: Compat) -> dict[str, list[str]]:
    """The lines that load a file, by product."""
    lines: dict[str, list[str]] = {"redis": [], "valkey": []}
    for answer in found.answers:
        if answer.loads:
            lines[answer.target.product].append(".".join(map(str, answer.target.version[:2])))
    return lines


@pytest.mark.parametrize(
    ("server", "redis", "valkey"),
    [
        ("redis-2.8.24", ("2.6", "8.12"), ("7.2", "9.2")),
        ("redis-6.2.16", ("5.0", "8.12"), ("7.2", "9.2")),
        ("redis-7.0.15", ("7.0", "8.12"), ("7.2", "9.2")),
        ("redis-7.4.1", ("7.4", "8.12"), None),
        ("redis-8.10.2", ("8.10", "8.12"), None),
        ("valkey-8.1.1", ("7.2", "8.12"), ("7.2", "9.2")),
        ("valkey-9.1.2", None, ("9.0", "9.2")),
    ],
)
def test_files_of_servers(server: str, redis: tuple[str, str] | None, valkey: tuple[str, str] | None) -> None:
    found = loads(compat(FIXTURES / server / "rdb-canonical" / "dump.rdb"))
    for lines, ends in ((found["redis"], redis), (found["valkey"], valkey)):
        assert (lines[0], lines[-1]) == ends if ends else lines == []


@pytest.mark.parametrize(
    ("data", "redis", "valkey"),
    [
        (SET, "2.4", "7.2"),
        (SET + b"#TS:1700000000\r\n" + SET, "7.0", "7.2"),
        (SET + HPEXPIREAT, "7.4", "9.0"),
        (command(b"FUNCTION", b"FLUSH"), "7.0", "7.2"),
        (command(b"DELIFEQ", b"k", b"v"), None, "9.0"),
        # Before 7.0 an unknown subcommand is an error that is logged.
        (command(b"XGROUP", b"CREATECONSUMER", b"s", b"g", b"c"), "5.0", "7.2"),
        (command(b"NOSUCH", b"k"), None, None),
    ],
)
def test_commands(tmp_path: Path, data: bytes, redis: str | None, valkey: str | None) -> None:
    path = tmp_path / "a.aof"
    path.write_bytes(data)
    found = loads(compat(path))
    assert [(lines or [None])[0] for lines in found.values()] == [redis, valkey]


def test_blockers_have_a_count_and_a_first_key(tmp_path: Path) -> None:
    path = tmp_path / "a.aof"
    path.write_bytes(SET + HPEXPIREAT * 3)
    asked = compat(path, target="redis:7.0.15").asked
    assert asked is not None
    (need,) = asked.blockers
    assert (need.kind, need.name, need.count, need.offset, need.key) == ("command", "HPEXPIREAT", 3, len(SET), b"h")


def test_settings_and_modules() -> None:
    data = made(("select_db", 20), entry(0, b"k"), version=9)
    assert [need.name for need in compat(data).answers[-1].blockers] == ["databases 21"]
    assert compat(data, settings={"databases": "32"}).answers[-1].loads
    module = FIXTURES / "valkey-9.1.2" / "rdb-module" / "dump.rdb"
    blockers = {need.name for need in compat(module).answers[-1].blockers}
    assert blockers
    assert compat(module, modules=blockers).answers[-1].loads


def test_functions() -> None:
    found = loads(compat(made(("function", FUNCTION), version=10)))
    assert (found["redis"][0], found["valkey"][0]) == ("7.0", "7.2")
    assert loads(compat(made(("function_pre_ga", b"n", b"LUA", b"c"), version=10))) == {"redis": ["7.0"], "valkey": []}


def test_sets_and_directories(tmp_path: Path) -> None:
    (tmp_path / "dump.rdb").write_bytes(made(entry(spec.SET_LISTPACK, b"s", [b"a"]), version=11))
    home = tmp_path / "appendonlydir"
    home.mkdir()
    (home / "appendonly.aof.manifest").write_bytes(b"file appendonly.aof.1.incr.aof seq 1 type i\n")
    (home / "appendonly.aof.1.incr.aof").write_bytes(SET)
    assert loads(compat(tmp_path))["redis"][0] == "7.0"
    assert loads(compat(home))["redis"][0] == "7.0"
    assert loads(compat(tmp_path, appendonly=False))["redis"][0] == "7.2"


@pytest.mark.parametrize(
    ("data", "error"), [(SET[:-4], Truncated), (SET + b"garbage", Corrupt), (b"PK\x03\x04" + bytes(40), Unsupported)]
)
def test_a_damaged_file_has_no_answer(tmp_path: Path, data: bytes, error: Any) -> None:
    path = tmp_path / "a.aof"
    path.write_bytes(data)
    with pytest.raises(error):
        compat(path)


@pytest.mark.slow
def test_the_command(tmp_path: Path) -> None:
    path = tmp_path / "a.aof"
    path.write_bytes(SET + HPEXPIREAT)
    ran = run("compat", path)
    assert ran.status == 0
    assert ran.out.splitlines()[1:] == [
        "redis    2.4 to 7.2   no     command HPEXPIREAT, first 'h'",
        "redis    7.4 to 8.12  yes    -",
        "valkey   7.2 to 8.1   no     command HPEXPIREAT, first 'h'",
        "valkey   9.0 to 9.2   yes    -",
    ]
    assert run("compat", path, "--target", "redis:7.4.1").status == 0
    refused = run("compat", path, "--target", "redis:7.0.15", "-f", "json")
    assert refused.status == 1
    assert "redis:7.0.15 does not load it: command HPEXPIREAT, first 'h'" in refused.lines[0]
    (document,) = json.loads(refused.out)
    assert (document["release"], document["loads"], document["blockers"][0]["key"]) == ("7.0.15", False, "h")
    path.write_bytes(SET[:-4])
    assert run("compat", path).status == 1
    assert run("compat", tmp_path / "none").status == 4
