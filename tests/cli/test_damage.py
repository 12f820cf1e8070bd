"""Damaged values in the output: every command continues after them, names them, and exits with 1."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
from checks.test_rdb import key
from rdb.files import entry, made

from cli.run import raw
from cli.run import rdbkit as run
from rdbkit.format import spec

BAD_LZF = b"\xc3\x04\x16\x00\x61\x40\x05"
TWICE = b"\x02\x01f\x01x\x01f\x01y"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("damage")
    good = [entry(0, b"a"), entry(spec.LIST, b"l"), entry(0, b"z")]
    bad = [good[0], key(spec.STRING, BAD_LZF, b"bad"), key(spec.HASH, TWICE, b"twice"), *good[1:]]
    many = [part for n in range(30) for part in (key(spec.STRING, BAD_LZF, b"bad:%d" % n), entry(0, b"ok:%d" % n))]
    whole = made(*bad)
    contents = {
        "good": made(*good),
        "bad": whole,
        "cut": whole[:-12],
        "many": made(*many),
        "head": made(good[0], key(spec.SET_LISTPACK, b"\x07" + bytes(7), b"pack"), good[2]),
        "key-twice": made(entry(0, b"k"), entry(0, b"k")),
        "db": made(("select_db", 1 << 32), entry(0, b"k")),
        "function": made(("function", b"return 1"), entry(0, b"k")),
        "sum": whole[:-1] + bytes([whole[-1] ^ 1]),
        "sum-only": made(*good)[:-1] + bytes([made(*good)[-1] ^ 1]),
        "no-sum": made(*good, checksum=False),
        "old": made(*good, version=6),
    }
    for name, data in contents.items():
        (home / f"{name}.rdb").write_bytes(data)
    return home


def test_export_names_what_is_wrong_and_writes_the_rest(home: Path) -> None:
    ran = run("export", home / "bad.rdb")
    assert ran.status == 1
    assert [row["key"] for row in ran.rows] == ["a", "twice", "l", "z"]
    assert ran.rows[1]["value"] == [["f", "x"], ["f", "y"]]
    first, second, last = ran.lines
    assert "LZF" in first
    assert "db 0, key 'bad')" in first
    assert "field b'f' twice (offset" in second
    assert "db 0, key 'twice')" in second
    assert last.endswith("4 keys written; 1 unreadable value skipped; 1 damaged value written as stored")


@pytest.mark.parametrize("form", ["jsonl", "json", "csv", "resp"])
def test_the_result_is_put_in_place_and_whole(home: Path, tmp_path: Path, form: str) -> None:
    out = tmp_path / "out"
    ran = run("export", home / "bad.rdb", "-f", form, "-o", out)
    assert (ran.status, sorted(path.name for path in tmp_path.iterdir())) == (1, ["out"])
    data = out.read_bytes()
    if form == "json":
        assert [row["key"] for row in json.loads(data)] == ["a", "twice", "l", "z"]
    elif form == "csv":
        assert [row[1] for row in csv.reader(io.StringIO(data.decode()))] == ["key", "a", "twice", "l", "z"]
    elif form == "resp":
        assert b"bad" not in data
        assert data.count(b"HMSET") == 1
        assert "a server keeps the last" in ran.err


def test_the_result_of_a_cut_file_is_partial(home: Path, tmp_path: Path) -> None:
    ran = run("export", home / "cut.rdb", "-o", tmp_path / "out")
    assert (ran.status, [path.name for path in tmp_path.iterdir()]) == (1, ["out.partial"])
    assert "key 'bad'" in ran.lines[0]
    assert any("ends in the middle" in line for line in ran.lines)


def test_the_first_twenty_are_named_and_the_others_counted(home: Path) -> None:
    ran = run("export", home / "many.rdb")
    assert (ran.status, len(ran.rows)) == (1, 30)
    assert len(ran.lines) == 22
    assert [f"'bad:{n}'" in line for n, line in enumerate(ran.lines[:20])] == [True] * 20
    assert "10 more damaged values" in ran.lines[20]
    assert "30 keys written; 30 unreadable values skipped" in ran.lines[21]


@pytest.mark.parametrize("command", ["export", "keys", "report", "prefixes", "info", "get"])
def test_stop(home: Path, command: str) -> None:
    name = "bad.rdb" if command in ("export", "get") else "head.rdb"
    more = ("bad",) if command == "get" else ()
    ran = run(command, home / name, *more, "--on-damage", "stop")
    if command == "info":  # it steps over values
        assert ran.status == 0
        return
    assert ran.status == 1
    assert "stopped because of --on-damage stop" in ran.err
    assert "z" not in [row["key"] for row in ran.rows] if command == "export" else True


def test_heads(home: Path) -> None:
    ran = run("keys", home / "head.rdb", "-f", "jsonl")
    assert ran.status == 1
    assert [row["key"] for row in ran.rows] == ["a", "pack", "z"]
    assert (ran.rows[1]["encoding"], ran.rows[1]["elements"], ran.rows[1]["memory"]) == (None, None, None)
    assert ran.rows[1]["size"] > 0
    assert "db 0, key 'pack')" in ran.lines[0]
    ran = run("report", home / "head.rdb", "-f", "json")
    found = json.loads(ran.out)
    assert (ran.status, found["complete"], found["total"]["keys"]) == (1, True, 3)
    assert found["files"][0]["damaged"] == 1
    assert "key 'pack'" in ran.err
    assert "DAMAGED VALUES" in run("report", home / "head.rdb").out
    ran = run("prefixes", home / "head.rdb", "-f", "json")
    assert (ran.status, sum(row["keys"] for row in json.loads(ran.out))) == (1, 3)
    assert "INCOMPLETE" not in ran.err
    ran = run("info", home / "head.rdb", "-f", "json")
    assert (ran.status, json.loads(ran.out)["databases"][0]["keys"]) == (0, 3)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("key-twice", "duplicate key, first at offset"),
        ("db", "database 4294967296"),
        ("function", "function library without"),
    ],
)
def test_what_is_beside_values(home: Path, name: str, words: str) -> None:
    for form in ("jsonl", "csv", "resp"):
        ran = run("export", home / f"{name}.rdb", "-f", form)
        assert ran.status == 1
        assert words in ran.lines[0]
    assert len(run("export", home / f"{name}.rdb").rows) == (2 if name == "key-twice" else 1)
    if name != "key-twice":
        for command in ("keys", "report", "prefixes", "info"):
            ran = run(command, home / f"{name}.rdb")
            assert ran.status == 1, command
            assert words in ran.err


def test_get(home: Path) -> None:
    for more in ((), ("-f", "jsonl"), ("--raw",)):
        ran = run("get", home / "bad.rdb", "bad", *more)
        assert (ran.status, ran.out) == (1, "")
        assert "db 0, key 'bad')" in ran.err
    ran = run("get", home / "bad.rdb", "twice")
    assert (ran.status, json.loads(ran.out)) == (1, [["f", "x"], ["f", "y"]])
    assert "field b'f' twice" in ran.err
    status, data, err = raw("get", home / "head.rdb", "pack", "--raw")
    assert (status, data) == (1, b"\x07" + bytes(7))
    assert "key 'pack'" in err
    assert run("get", home / "bad.rdb", "z").status == 0
    ran = run("get", home / "cut.rdb", "nobody")
    assert ran.status == 1
    assert "no key 'nobody' before the damage" in ran.err
    ran = run("get", home / "key-twice.rdb", "k", "--verify")
    assert ran.status == 1
    assert "twice" in ran.err


@pytest.mark.parametrize("command", ["export", "keys", "report", "prefixes", "info"])
def test_a_checksum_that_is_wrong_alone(home: Path, tmp_path: Path, command: str) -> None:
    ran = run(command, home / "sum-only.rdb", "-o", tmp_path / "out")
    assert (ran.status, [path.name for path in tmp_path.iterdir()]) == (1, ["out"])
    assert "everything was read, but the contents cannot be trusted" in ran.err
    assert "INCOMPLETE" not in ran.err
    if command == "report":
        text = (tmp_path / "out").read_text()
        assert "WRONG CHECKSUM: everything was read, but the contents cannot be trusted" in text
        assert "what follows the damage" not in text
        assert json.loads(run("report", home / "sum-only.rdb", "-f", "json").out)["complete"] is True
    if command == "export":
        assert "everything was read" in run("get", home / "sum-only.rdb", "a", "--verify").err
        assert len(json.loads(run("export", home / "sum-only.rdb", "-f", "json").out)) == 3
        assert "checksum wrong: everything was read" in run("check", home / "sum-only.rdb").err


def test_what_follows_a_wrong_checksum_was_not_read(home: Path, tmp_path: Path) -> None:
    file = tmp_path / "mixed.aof"
    file.write_bytes((home / "sum-only.rdb").read_bytes() + b"*1\r\n$4\r\nPING\r\n")
    for command in ("export", "keys", "report", "prefixes", "info", "check"):
        ran = run(command, file)
        assert ran.status == 1, command
        assert "checksum" in ran.err + ran.out
        assert "everything was read" not in ran.err + ran.out, command
    assert json.loads(run("report", file, "-f", "json").out)["complete"] is False


def test_damage_before_a_limit_is_named(home: Path) -> None:
    ran = run("keys", home / "head.rdb", "-n", "2", "-f", "jsonl")
    assert (ran.status, [row["key"] for row in ran.rows]) == (1, ["a", "pack"])
    assert "key 'pack'" in ran.err


def test_a_file_that_is_not_verified(home: Path) -> None:
    for more in (("--require-checksum",), ("--strict", "--require-checksum")):
        ran = run("check", home / "no-sum.rdb", *more, "-f", "json")
        assert ran.status == 1
        [finding] = json.loads(ran.out)
        assert (finding["severity"], finding["code"]) == ("error", "checksum-disabled")
        assert finding["message"].startswith("not verified")
        assert "rdbchecksum yes" in finding["hint"]
        assert "NOT VERIFIED" in ran.err
        assert "DAMAGED" not in ran.err
    assert run("check", home / "no-sum.rdb").status == 0
    ran = run("check", home / "good.rdb", "--require-checksum", "--no-checksum")
    assert (ran.status, "NOT VERIFIED" in ran.err, "--no-checksum" in ran.out) == (1, True, True)


def test_a_server_without_memory_usage(home: Path) -> None:
    for command in ("keys", "prefixes"):
        ran = run(command, home / "old.rdb", "--target", "redis:3.2.13")
        assert ran.status == 0
        assert "redis:3.2.13 is older than 4.0 and has no MEMORY USAGE, so memory is null; select another" in ran.err
        assert "MEMORY USAGE" not in run(command, home / "old.rdb", "--target", "redis:4.0.14").err


@pytest.mark.parametrize("command", ["keys", "report", "prefixes", "info"])
def test_the_help_says_what_is_not_verified(command: str) -> None:
    assert "not checked" in run(command, "--help").out


def test_averages_agree(home: Path, tmp_path: Path) -> None:
    """Report and prefixes round alike."""
    file = tmp_path / "dump.rdb"
    file.write_bytes(made(*(entry(0, b"u:%d" % n + b"x" * (n % 7)) for n in range(11))))
    row = json.loads(run("prefixes", file, "-f", "json").out)[0]
    assert f" {row['average']} B" in run("report", file).out
    assert f" {row['average']} B" in run("prefixes", file).out


def test_several_files(home: Path, tmp_path: Path) -> None:
    ran = run("export", home / "bad.rdb", home / "good.rdb", "-o", tmp_path / "out")
    assert (ran.status, [path.name for path in tmp_path.iterdir()]) == (1, ["out"])
    ran = run("export", home / "cut.rdb", home / "good.rdb", "-o", tmp_path / "other")
    assert (ran.status, (tmp_path / "other.partial").exists()) == (1, True)


def test_pipes(home: Path) -> None:
    for name in ("bad", "many"):
        data = (home / f"{name}.rdb").read_bytes()
        status, out, _ = raw("export", "-", stdin=data)
        assert (status, out.decode()) == (1, run("export", home / f"{name}.rdb").out)


def test_an_end_without_a_verified_checksum(tmp_path: Path) -> None:
    """A wrong end mark hides the keys after it, and is reported also if the checksum is not verified."""
    path = tmp_path / "dump.rdb"
    path.write_bytes(made(entry(0, b"a"), ("put", b"\xff" + b"x" * 8), entry(0, b"hidden")))
    for command in ("keys", "export", "check", "info"):
        ran = run(command, path, "--no-checksum")
        assert ran.status == 1
        assert "keys may be hidden" in ran.out + ran.err
