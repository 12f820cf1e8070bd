"""State commands on an AOF: what they show, what they say, and how they end."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from keyspace.made import aof

from cli.conftest import made
from cli.run import interrupt, rdbkit, screen, start, terminal

FIRST = b"#TS:1795165210\r\n" + aof("SELECT 0", "SET user:1 anna", "SET user:2 ben PX 60000")
THEN = b"#TS:1795168800\r\n" + aof("FLUSHALL", "SET user:3 carl", "INCR user:3")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory with an RDB and a set, and single files."""
    home = tmp_path_factory.mktemp("replay")
    inner = home / "data" / "appendonlydir"
    inner.mkdir(parents=True)
    (home / "data" / "dump.rdb").write_bytes(made((b"rdb", b"1")))
    (inner / "a.aof.1.base.aof").write_bytes(FIRST)
    (inner / "a.aof.1.incr.aof").write_bytes(THEN)
    (inner / "a.aof.manifest").write_text("file a.aof.1.base.aof seq 1 type b\nfile a.aof.1.incr.aof seq 1 type i\n")
    (home / "one.aof").write_bytes(FIRST + THEN)
    (home / "plain.aof").write_bytes(aof("SET a 1", "SET b 2"))
    (home / "torn.aof").write_bytes(aof("SET a 1", "SET b 2")[:-3])
    (home / "eval.aof").write_bytes(aof("SET a 1", *(f"EVAL x 1 k{number}" for number in range(30)), "SET k3 1"))
    (home / "all.aof").write_bytes(aof("SET a 1", "EVAL x 0", "SET b 1"))
    (home / "renamed.aof").write_bytes(aof("SET a 1", "XSET b 2"))
    (home / "redis.conf").write_text("rename-command SET xset\nappendonly no\n")
    return home


def names(*args: object) -> str:
    """The keys that `keys` lists."""
    ran = rdbkit("keys", *args, "-f", "jsonl")
    assert ran.status == 0, ran.err
    return " ".join(row["key"] for row in ran.rows)


# -- what they show ----------------------------------------------------------------------------------------------------


def test_every_state_command(place: Path) -> None:
    one = place / "one.aof"
    before = ("--before", "flushall", "-q")
    assert names(one, *before) == "user:1 user:2"
    assert rdbkit("get", one, "user:1", *before).out == '"anna"\n'
    assert [row["value"] for row in rdbkit("export", one, *before).rows] == ["anna", "ben"]
    assert [row["keys"] for row in rdbkit("prefixes", one, *before, "-f", "jsonl").rows] == [2]
    report = json.loads(rdbkit("report", one, *before, "-f", "json").out)
    [file] = report["files"]
    assert (file["kind"], file["commands"], file["version"], file["checksum"]) == ("aof", 3, None, "none")
    assert (report["total"]["keys"], file["file_size"]) == (2, len(FIRST + THEN))
    assert "PEXPIREAT\r\n$6\r\nuser:2\r\n$13\r\n1795168860000\r\n" in rdbkit("export", one, *before, "-f", "resp").out


def test_a_row_of_a_replayed_key(place: Path) -> None:
    row = rdbkit("keys", place / "one.aof", "-f", "jsonl").rows[0]
    assert (row["key"], row["size"], row["elements"]) == ("user:3", None, 1)
    head = rdbkit("report", place / "one.aof", "-q").out.splitlines()[1]
    assert head == f"  file      AOF, {len(FIRST + THEN)} B, 6 commands replayed"


def test_time_travel(place: Path) -> None:
    one, data = place / "one.aof", place / "data"
    for path in (one, data, data / "appendonlydir"):
        assert names(path, "--until-time", "2026-11-20T09:30:00Z") == "user:1 user:2"
        assert names(path, "--before", "SET USER:2") == "user:1"
    assert names(one, "--until-offset", len(FIRST)) == "user:1 user:2"
    assert names(one, "--before", "flushall", "--db", 0) == "user:1 user:2"
    for option in ("--until-time", "1795165210"), ("--before", "flushall"):
        assert rdbkit("get", data, "user:1", *option, "-q").out == '"anna"\n'


def test_where_it_ended_is_said(place: Path) -> None:
    data, one = place / "data", place / "one.aof"
    assert f"rdbkit: {data}: the state before FLUSHALL at offset 16 of a.aof.1.incr.aof" in (
        rdbkit("keys", data, "--before", "flushall").lines
    )
    ran = rdbkit("keys", one, "--until-time", 1795165210)
    assert ran.lines[:2] == [
        "rdbkit: --until-time is 2026-11-20 09:00:10Z",
        f"rdbkit: {one}: the state at offset {len(FIRST)}",
    ]
    assert f"{one}: everything in it is before that point" in rdbkit("keys", one, "--until-time", 1800000000).err


# -- which files -------------------------------------------------------------------------------------------------------


def test_source(place: Path) -> None:
    data = place / "data"
    said = "reading appendonlydir (2 files), as a server does with appendonly yes; --source rdb reads dump.rdb"
    for options in ((), ("--source", "aof"), ("--source", "aof", "--config", place / "redis.conf")):
        ran = rdbkit("keys", data, *options, "-f", "jsonl")
        assert [row["key"] for row in ran.rows] == ["user:3"]
        assert f"rdbkit: {data}: {said}" in ran.lines
    for options in (("--source", "rdb"), ("--config", place / "redis.conf")):
        ran = rdbkit("keys", data, *options, "-f", "jsonl")
        assert [row["key"] for row in ran.rows] == ["rdb"]
        other = "--source aof reads appendonlydir (2 files)"
        assert f"rdbkit: {data}: reading dump.rdb, as a server does with appendonly no; {other}" in ran.lines
    assert "data/appendonlydir is an AOF set" in rdbkit("keys", data / "appendonlydir", "--source", "rdb").err


def test_standard_input(place: Path) -> None:
    mixed = made((b"k", b"v"), aux=((b"aof-preamble", b"1"),)) + aof("SET a 1", "APPEND k w")
    ran = rdbkit("export", "-", stdin=mixed)
    assert {row["key"]: row["value"] for row in ran.rows} == {"k": "vw", "a": "1"}
    assert [row["key"] for row in rdbkit("keys", "-", "-f", "jsonl", stdin=FIRST).rows] == ["user:1", "user:2"]
    ran = rdbkit("keys", "-", "--before", "set", stdin=FIRST)
    assert (ran.status, ran.out) == (4, "")
    assert "a pipe can be read only once: save it to a file" in ran.err


# -- usage -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["keys", "get", "export", "report", "prefixes"])
@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("plain.aof", ("--until-time", "5"), "no timestamps in the file (aof-timestamp-enabled was off)"),
        ("data", ("--until-offset", "5"), "an offset needs a single file"),
        ("data/dump.rdb", ("--before", "set"), "this is an RDB"),
        ("data", ("--source", "rdb", "--until-time", "5"), "this is an RDB"),
        ("plain.aof", ("--before", " "), "needs a command name"),
    ],
)
def test_usage(place: Path, command: str, name: str, options: tuple[str, ...], words: str) -> None:
    ran = rdbkit(command, place / name, *(["a"] if command == "get" else []), *options)
    assert (ran.status, ran.out) == (2, "")
    assert words in ran.err


def test_what_is_not_in_the_file(place: Path) -> None:
    ran = rdbkit("keys", place / "plain.aof", "--before", "flushall")
    assert (ran.status, ran.out) == (1, "")
    assert "no flushall found to cut before. `rdbkit commands` lists the commands" in ran.err
    assert rdbkit("keys", place / "one.aof", "--until-time", 5).status == 1


# -- what they say -----------------------------------------------------------------------------------------------------


def test_relative_times_and_errors(place: Path) -> None:
    one = place / "one.aof"
    first, second = rdbkit("keys", one).lines
    origin = "2026-11-20 10:00:00Z (the newest #TS in the file; see --now)"
    assert first == f"rdbkit: {one}: 1 relative expiry time counted from {origin}"
    offset = len(FIRST + THEN) - len(aof("INCR user:3"))
    error = "INCR user:3: ERR value is not an integer or out of range"
    assert second == f"rdbkit: {one}: {error}: ignored, as servers do (offset {offset})"
    ran = rdbkit("get", one, "user:2", "--before", "flushall", "--now", 1000, "-f", "jsonl")
    assert ran.rows[0]["expires_at"] == 1060000
    assert rdbkit("keys", one, "-q").lines == []


def test_damage(place: Path) -> None:
    path = place / "torn.aof"
    for command in (("keys",), ("keys", "-n", 1), ("get", "a"), ("export",), ("prefixes",), ("report",)):
        ran = rdbkit(command[0], path, *command[1:])
        assert ran.status == 1, command
        assert sum("`rdbkit repair`" in line for line in ran.lines) == 1, ran.err
        assert ran.out, command
    assert rdbkit("keys", path, "-f", "csv").out.splitlines()[1].startswith("0,a,")


def test_keys_that_are_not_known(place: Path) -> None:
    ran = rdbkit("keys", place / "eval.aof", "-f", "jsonl")
    assert (ran.status, [row["key"] for row in ran.rows]) == (5, ["a", "k3"])
    assert len(ran.lines) == 21
    assert ran.lines[0].endswith("db 0 key 'k0': not known, because of EVAL: left out")
    assert ran.lines[-1].endswith("9 more keys not known and left out")
    # Only those that are asked for.
    assert rdbkit("keys", place / "eval.aof", "--match", "a").status == 0
    assert rdbkit("get", place / "eval.aof", "a").status == 0
    ran = rdbkit("get", place / "eval.aof", "k4")
    assert (ran.status, ran.out, len(ran.lines)) == (5, "", 1)
    assert rdbkit("get", place / "eval.aof", "nothing").status == 1
    assert rdbkit("get", place / "all.aof", "b").status == 0
    assert rdbkit("get", place / "all.aof", "nothing").status == 5


def test_unknown_commands(place: Path) -> None:
    path = place / "renamed.aof"
    ran = rdbkit("keys", path)
    assert ran.status == 1
    assert f"unknown command 'xset': redis:6.2.16 does not start with it (offset {len(aof('SET a 1'))})" in ran.err
    assert "give its redis.conf with --config; --lenient leaves out" in ran.err
    assert names(path, "--config", place / "redis.conf") == "a b"
    ran = rdbkit("keys", path, "--lenient", "-f", "jsonl")
    assert (ran.status, [row["key"] for row in ran.rows]) == (5, ["a"])


# -- the history of a key ----------------------------------------------------------------------------------------------


def test_the_history_of_a_key(place: Path, tmp_path: Path) -> None:
    ran = rdbkit("commands", place / "data", "--key", "user:1", "-f", "jsonl")
    assert [(row["name"], row["offset"]) for row in ran.rows] == [("SET", 39), ("FLUSHALL", 16)]
    path = tmp_path / "x.aof"
    path.write_bytes(
        made((b"a\xff", b"v"), aux=((b"aof-preamble", b"1"),))
        + aof("SET b 1", ("RENAME", b"a\xff", "c"), "SELECT 1", "SET c 2", "APPEND b 2")
    )
    ran = rdbkit("commands", path, "--key", r"a\xff", "-f", "jsonl")
    assert [row["name"] for row in ran.rows] == ["RENAME"]
    assert r"db 0 key 'a\xff' is in it" in ran.err
    assert [row["name"] for row in rdbkit("commands", path, "--key", "b", "-f", "jsonl").rows] == ["SET", "APPEND"]
    ran = rdbkit("commands", path, "--key", "b", "--db", 1, "-f", "jsonl")
    assert [row["name"] for row in ran.rows] == ["APPEND"]
    ran = rdbkit("commands", path, "--key", "b", "--command", "set", "-f", "jsonl")
    assert [row["name"] for row in ran.rows] == ["SET"]
    assert "no command matches" in rdbkit("commands", path, "--key", "nothing").err
    assert rdbkit("commands", "-", "--key", "a", stdin=FIRST).status == 2


# -- on a terminal -----------------------------------------------------------------------------------------------------


@pytest.fixture
def long(tmp_path: Path) -> Iterator[Path]:
    """An AOF whose replay takes some seconds."""
    path = tmp_path / "long.aof"
    piece = aof(*(f"SET key:{number} value" for number in range(10_000)))
    with path.open("wb") as file:
        for _ in range(250):
            file.write(piece)
    yield path
    path.unlink()


def test_progress_of_a_replay(long: Path) -> None:
    ran = terminal("keys", long, "-n", 1)
    assert " MiB of " in ran.out
    assert " left" in ran.out
    lines = [line for line in screen(ran.out) if line]
    assert len(lines) == 3 + ("columns hidden" in ran.out), lines


def test_a_replay_is_interrupted(long: Path, tmp_path: Path) -> None:
    process = start("keys", long, "-o", tmp_path / "out", "--progress", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(1)
    status, said = interrupt(process)
    assert status == 130
    assert "Traceback" not in said
    assert not (tmp_path / "out").exists()
