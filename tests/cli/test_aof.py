"""AOFs on the command line: `commands`, `check` and `info` of files, sets and directories."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from cli.run import raw, rdbkit, terminal
from rdbkit.aof.writer import command

RDB = b"REDIS0010\xfa\x08aof-base\xc0\x01\xff" + bytes(8)
SET = command(b"SET", b"a", b"1")
LOG = b"".join(
    [
        command(b"SELECT", b"0"),
        command(b"SET", b"user:1", b"two words"),
        b"#TS:1700000000\r\n",
        command(b"del", b"user:1", b"user:2"),
        command(b"SELECT", b"3"),
        b"#TS:1700000009\r\n",
        command(b"SET", b"other", b'\xff\n"=\x1b'),
        command(b"FLUSHALL"),
    ]
)
MANIFEST = (
    b"file a.aof.1.base.rdb seq 1 type b\nfile a.aof.1.incr.aof seq 1 type i\nfile a.aof.2.incr.aof seq 2 type i\n"
)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "log.aof"
    path.write_bytes(LOG)
    return path


@pytest.fixture
def aofs(tmp_path: Path) -> Path:
    """A data directory with a set, an RDB, and a temporary file."""
    inner = tmp_path / "data" / "appendonlydir"
    inner.mkdir(parents=True)
    (inner.parent / "dump.rdb").write_bytes(b"REDIS0010\xff" + bytes(8))
    (inner / "a.aof.manifest").write_bytes(MANIFEST)
    (inner / "a.aof.1.base.rdb").write_bytes(RDB)
    (inner / "a.aof.1.incr.aof").write_bytes(LOG)
    (inner / "a.aof.2.incr.aof").write_bytes(SET)
    (inner / "temp-a.aof.incr").write_bytes(SET)
    return inner.parent


def names(*args: object) -> list[str]:
    ran = rdbkit("commands", *args, "-f", "jsonl")
    assert ran.status == 0, ran.err
    return [row["name"] for row in ran.rows]


# -- commands ----------------------------------------------------------------------------------------------------------


def test_rows(log: Path) -> None:
    ran = rdbkit("commands", log, "-f", "jsonl")
    assert (ran.status, ran.err) == (0, "")
    assert [row["name"] for row in ran.rows] == ["SELECT", "SET", "del", "SELECT", "SET", "FLUSHALL"]
    assert [row["db"] for row in ran.rows] == [0, 0, 0, 0, 3, 3]
    assert [row["time"] for row in ran.rows] == [None, None, *[1700000000000] * 2, *[1700000009000] * 2]
    assert ran.rows[1] == {
        "file": str(log),
        "offset": 23,
        "db": 0,
        "time": None,
        "name": "SET",
        "arguments": ["user:1", "two words"],
        "lengths": None,
    }
    assert ran.rows[4]["arguments"] == ["other", '\\xff\n"=\x1b']
    assert json.loads(rdbkit("commands", log, "-f", "json").out) == ran.rows


def test_text_forms(log: Path) -> None:
    lines = rdbkit("commands", log).out.splitlines()
    assert lines[0].split() == ["file", "offset", "db", "time", "name", "arguments"]
    assert lines[2].endswith('SET       user:1 "two words"')
    assert "\\x1b" in lines[5]
    assert "\x1b" not in terminal("commands", log, env={"NO_COLOR": "1"}).out
    assert rdbkit("commands", log, "--bytes", "hex", "-f", "jsonl").rows[1]["arguments"][0] == b"user:1".hex()
    header, *rows = rdbkit("commands", log, "-f", "csv", "-n", 2).out.splitlines()
    assert header == "file,offset,db,time,name,arguments,lengths"
    assert rows[1].endswith(',SET,"user:1 ""two words""",')


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--command", "set"], ["SET", "SET"]),
        (["--command", "DEL", "--command", "flushall"], ["del", "FLUSHALL"]),
        (["--match", "user:*"], ["SET", "del"]),
        (["--match", "user:*", "--exclude", "*2"], ["SET"]),
        (["--db", "3"], ["SET", "FLUSHALL"]),
        (["--from-offset", "24", "--to-offset", "130"], ["del", "SELECT"]),
        (["--from-time", "1700000001000"], ["SET", "FLUSHALL"]),
        (["--to-time", "2023-11-14T22:13:20Z"], ["del", "SELECT"]),
        (["-n", "2"], ["SELECT", "SET"]),
        (["-n", "0"], []),
        (["--command", "nosuch"], []),
    ],
)
def test_filters(log: Path, options: list[str], expected: list[str]) -> None:
    assert names(log, *options) == expected


def test_what_is_said(log: Path) -> None:
    assert rdbkit("commands", log, "--command", "nosuch").err == "rdbkit: no command matches\n"
    assert rdbkit("commands", log, "-n", 2).err == f"rdbkit: stopped at --limit: {log}\n"
    assert rdbkit("commands", log, "-n", 2, "-q").err == ""
    assert rdbkit("commands", log, "-n", 6).err == ""


def test_sets_are_read_in_load_order(aofs: Path) -> None:
    ran = rdbkit("commands", aofs, "-f", "jsonl")
    assert ran.status == 0
    assert f"an RDB of {len(RDB)} B ({len(RDB)} bytes) precedes the commands" in ran.err
    assert [row["file"].rpartition("/")[2] for row in ran.rows] == ["a.aof.1.incr.aof"] * 6 + ["a.aof.2.incr.aof"]
    # Each file starts in database 0.
    assert ran.rows[-1]["db"] == 0
    for path in ("appendonlydir", "appendonlydir/a.aof.manifest"):
        assert len(names(aofs / path)) == 7


def test_a_mixed_file_and_a_packed_one(tmp_path: Path) -> None:
    path = tmp_path / "mixed.aof"
    path.write_bytes(RDB + SET)
    assert rdbkit("commands", path, "-f", "jsonl").rows[0]["offset"] == len(RDB)
    status, out, _ = raw("commands", "-", "-f", "jsonl", stdin=gzip.compress(RDB + SET))
    assert (status, json.loads(out)["arguments"]) == (0, ["a", "1"])


@pytest.mark.parametrize(
    ("content", "status", "words"),
    [
        (b"", 1, "the file is empty"),
        (b"REDIS0010\xff" + bytes(8), 3, "it contains no commands"),
        (b"text", 3, "not a Redis or Valkey file"),
        (SET + SET[:5], 1, "in the middle of a command (offset 27)"),
        (SET + b"x", 1, "not a valid command (offset 27)"),
        (SET + command(b"MULTI"), 1, "inside a transaction"),
    ],
)
def test_what_cannot_be_read_to_its_end(tmp_path: Path, content: bytes, status: int, words: str) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    ran = rdbkit("commands", path, "-f", "jsonl")
    assert ran.status == status
    assert len(ran.lines) == 1
    assert words in ran.lines[0]
    assert len(ran.rows) == content.count(SET) + content.count(b"MULTI")


def test_a_damaged_file_of_a_set_does_not_hide_the_others(aofs: Path) -> None:
    (aofs / "appendonlydir" / "a.aof.1.incr.aof").write_bytes(SET + b"x")
    ran = rdbkit("commands", aofs, "-f", "jsonl")
    assert ran.status == 1
    assert len(ran.rows) == 2


def test_long_arguments(tmp_path: Path) -> None:
    path = tmp_path / "long.aof"
    path.write_bytes(command(b"SET", b"k", b"v" * 70_000))
    (row,) = rdbkit("commands", path, "-f", "jsonl").rows
    assert (len(row["arguments"][1]), row["lengths"]) == (65_536, [1, 70_000])
    assert rdbkit("commands", path).out.endswith("v…(70000 bytes)\n")


# -- check -------------------------------------------------------------------------------------------------------------


def test_check_of_a_valid_log(log: Path) -> None:
    ran = rdbkit("check", log)
    assert (ran.status, ran.out) == (0, "")
    target = "redis:7.0.15 (assumed: timestamp lines need Redis 7.0 or newer)"
    assumed = "assumed: cluster-enabled no (more than database 0)"
    assert ran.lines == [f"rdbkit: {log}: valid: AOF, for {target}: 6 commands in {len(LOG)} B; {assumed}"]


def test_check_of_a_torn_log(tmp_path: Path) -> None:
    path = tmp_path / "torn.aof"
    path.write_bytes(SET + SET[:-4])
    ran = rdbkit("check", path, "-f", "jsonl", "--target", "redis:7.0")
    assert ran.status == 1
    assert [(row["code"], row["offset"], row["key"]) for row in ran.rows] == [
        ("truncated", 27, "a"),
        ("server-cut", 27, None),
        ("fix-cut", 27, None),
    ]
    assert all(row["file"] == str(path) for row in ran.rows)
    assert "DAMAGED: AOF, for redis:7.0.15 (given): 1 command in" in ran.err


def test_check_of_a_directory(aofs: Path) -> None:
    ran = rdbkit("check", aofs, "-f", "jsonl")
    assert ran.status == 0
    assert [row["code"] for row in ran.rows if row["severity"] != "note"] == []
    assert {row["code"] for row in ran.rows} >= {"loads", "rdb-no-fallback", "temporary-files"}
    assert len(ran.lines) == 5
    assert ran.lines[-1] == f"rdbkit: {aofs}: valid: 4 files in total"
    (aofs / "appendonlydir" / "a.aof.2.incr.aof").write_bytes(SET + bytes(100))
    ran = rdbkit("check", aofs)
    assert ran.status == 1
    assert ran.lines[-1] == f"rdbkit: {aofs}: DAMAGED: 4 files in total, 1 finding"
    assert "nul-tail" in ran.out
    assert "nul-tail" in terminal("check", aofs).out


def test_check_of_a_set_without_its_manifest(aofs: Path) -> None:
    (aofs / "appendonlydir" / "a.aof.manifest").unlink()
    ran = rdbkit("check", aofs / "appendonlydir", "-f", "jsonl")
    assert ran.status == 1
    assert [row["code"] for row in ran.rows if row["severity"] == "error"] == ["manifest-missing"]
    assert ran.lines[-1].startswith(f"rdbkit: {aofs}/appendonlydir: DAMAGED: 0 files in total")


def test_check_of_a_directory_of_nothing(tmp_path: Path) -> None:
    ran = rdbkit("check", tmp_path)
    assert (ran.status, ran.out) == (3, "")
    assert "no RDB, AOF or AOF set" in ran.err


# -- info --------------------------------------------------------------------------------------------------------------


def test_info_of_a_log(log: Path) -> None:
    (facts,) = rdbkit("info", log, "-f", "jsonl").rows
    assert (facts["kind"], facts["target"], facts["size"]) == ("aof", "redis:7.0.15", len(LOG))
    assert facts["commands"] == {
        "offset": 0,
        "commands": 6,
        "bytes": len(LOG) - 32,
        "keys": 3,
        "keys_error": 0.0,
        "transactions": 0,
        "annotations": 2,
        "first_time": 1700000000000,
        "last_time": 1700000009000,
        "databases": [{"db": 0, "commands": 2}, {"db": 3, "commands": 2}],
        "names": {"select": 2, "set": 2, "del": 1, "flushall": 1},
    }
    sheet = rdbkit("info", log).out
    assert "kind        aof: commands only\n" in sheet
    assert "time        2023-11-14 22:13:20Z to 2023-11-14 22:13:29Z\n" in sheet
    assert "commands" not in rdbkit("info", "--quick", log, "-f", "jsonl").rows[0]


def test_info_of_a_mixed_file(tmp_path: Path) -> None:
    path = tmp_path / "mixed.aof"
    path.write_bytes(RDB + SET)
    (facts,) = rdbkit("info", path, "-f", "jsonl").rows
    assert (facts["kind"], facts["version"], facts["commands"]["offset"]) == ("mixed", 10, len(RDB))
    path.write_bytes(RDB)
    assert rdbkit("info", path, "-f", "jsonl").rows[0]["kind"] == "rdb"


def test_info_of_a_directory(aofs: Path) -> None:
    (facts,) = rdbkit("info", aofs, "-f", "jsonl").rows
    assert facts["kind"] == "data-dir"
    assert [one["kind"] for one in facts["rdbs"]] == ["rdb"]
    (one,) = facts["sets"]
    assert (one["kind"], one["commands"]["commands"], one["appends_to"]) == ("aof-set", 7, "a.aof.2.incr.aof")
    assert [(row["role"], row["seq"], row["commands"]) for row in one["files"]] == [
        ("base", 1, None),
        ("incr", 1, 6),
        ("incr", 2, 1),
    ]
    assert one["temporary"] == ["temp-a.aof.incr"]
    sheet = rdbkit("info", aofs).out
    assert "kind        aof-set: a multi-part AOF, Redis, RDB version 10\n" in sheet
    assert "incr 2      a.aof.2.incr.aof: aof, 27 B, 1 command\n" in sheet


def test_info_of_a_damaged_set_shows_what_was_read(aofs: Path) -> None:
    (aofs / "appendonlydir" / "a.aof.1.incr.aof").write_bytes(SET + b"x")
    ran = rdbkit("info", aofs / "appendonlydir", "-f", "jsonl")
    assert ran.status == 1
    assert "not a valid command" in ran.err
    assert ran.rows[0]["commands"]["commands"] == 2
