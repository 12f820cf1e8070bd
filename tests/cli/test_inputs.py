"""What each command makes of each kind of input: exit status, one line that helps, nothing on standard output."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli.run import rdbkit

COMMANDS = {
    "info": ("info",),
    "check": ("check",),
    "keys": ("keys",),
    "get": ("get",),
    "export": ("export",),
}
#: file, exit status, words of the one line
INPUTS = [
    ("nowhere.rdb", 4, "No such file or directory"),
    ("empty.rdb", 1, "the file is empty"),
    ("text.rdb", 3, "not an RDB file"),
    ("newer.rdb", 3, "99"),
    ("cut.rdb", 1, "the file ends in the middle of a record"),
    ("checksum.rdb", 1, "checksum"),
]


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(("name", "status", "words"), INPUTS, ids=[name for name, _, _ in INPUTS])
def test_bad_input(files: Path, command: str, name: str, status: int, words: str) -> None:
    path = files / name
    ran = rdbkit(*COMMANDS[command], path, *(["no-such-key"] if command == "get" else []))
    assert ran.status == status
    if command == "check" and status != 4:
        assert words in ran.out
        assert len(ran.lines) == 1
        assert ran.lines[0].startswith(f"rdbkit: {path}: ")
        assert "sound" not in ran.lines[0]
    else:
        assert len(ran.lines) == 1, ran.err
        assert ran.lines[0].startswith(f"rdbkit: {path}: ")
        assert words in ran.lines[0]


@pytest.mark.parametrize("command", ["keys", "get", "export"])
@pytest.mark.parametrize("name", ["plain.aof", "mixed.aof", "."])
def test_what_needs_replay(files: Path, command: str, name: str) -> None:
    ran = rdbkit(command, files / name, *(["no-such-key"] if command == "get" else []))
    assert ran.status == 3
    assert len(ran.lines) == 1, ran.err
    assert ran.lines[0].startswith(f"rdbkit: {files / name}: ")
    assert "needs replay" in ran.lines[0]
    assert "`rdbkit split` gives the RDB part" in ran.lines[0]


def test_a_directory_with_one_rdb_is_that_rdb(files: Path, tmp_path: Path) -> None:
    (tmp_path / "dump.rdb").write_bytes((files / "good.rdb").read_bytes())
    ran = rdbkit("keys", tmp_path, "-f", "jsonl")
    assert ran.status == 0
    assert f"{tmp_path}: reading {tmp_path}/dump.rdb, the only file of data in it" in ran.err
    assert ran.rows == rdbkit("keys", files / "good.rdb", "-f", "jsonl").rows
    (tmp_path / "other.rdb").write_bytes((files / "good.rdb").read_bytes())
    ran = rdbkit("keys", tmp_path)
    assert (ran.status, ran.out) == (3, "")
    assert f"name one of {tmp_path}/dump.rdb, {tmp_path}/other.rdb" in ran.err


@pytest.mark.parametrize("command", ["keys", "export"])
def test_nothing_is_written_for_what_cannot_be_read(files: Path, command: str) -> None:
    for name in ("nowhere.rdb", ".", "empty.rdb", "text.rdb", "plain.aof"):
        assert rdbkit(command, files / name).out == ""


@pytest.mark.parametrize("command", ["keys", "export", "info", "get"])
def test_truncated_names_offset_db_key_and_what_to_do(files: Path, command: str) -> None:
    ran = rdbkit(command, files / "cut.rdb", *(["no-such-key"] if command == "get" else []))
    assert "offset 3000, db 0, key 'list:ints'). Fetch the file again" in ran.lines[0]


@pytest.mark.slow
def test_what_came_before_damage_is_delivered(files: Path) -> None:
    first = ["list:plain", "str:len:127", "list:plain:threshold"]
    assert [row["key"] for row in rdbkit("keys", files / "cut.rdb", "-f", "jsonl").rows] == first
    assert [row["key"] for row in rdbkit("keys", files / "cut.rdb", "-f", "jsonl", "--sort", "key").rows] == sorted(
        first
    )
    assert [row["key"] for row in rdbkit("export", files / "cut.rdb").rows] == first
    facts = rdbkit("info", files / "cut.rdb", "-f", "jsonl").rows[0]
    assert facts["databases"] == [{"db": 0, "keys": 3, "expires": 0}]
    assert facts["checksum"] == "not reached"


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
def test_standard_input(files: Path, packed: bool) -> None:
    data = (files / ("good.rdb.gz" if packed else "good.rdb")).read_bytes()
    assert len(rdbkit("keys", "-", "-f", "jsonl", stdin=data).rows) == 154
    ran = rdbkit("check", "-", stdin=data)
    assert (ran.status, ran.out) == (0, "")
    assert ran.lines[0].startswith("rdbkit: -: sound: Redis 7.2.6")
    assert rdbkit("get", "-", "str:int:zero", stdin=data).out == '"0"\n'


def test_a_packed_file_says_so(files: Path) -> None:
    assert rdbkit("info", files / "good.rdb.gz", "-f", "jsonl").rows[0]["packing"] == ["gzip"]


@pytest.mark.slow
def test_of_several_files_the_first_of_4_3_1_5_counts(files: Path) -> None:
    good, cut, text, none = (files / name for name in ("good.rdb", "cut.rdb", "text.rdb", "nowhere.rdb"))
    assert rdbkit("keys", good, good).status == 0
    for command in ("check", "keys"):
        assert rdbkit(command, good, cut).status == 1
        assert rdbkit(command, cut, text, good).status == 3
    for command in ("info", "check", "keys", "export"):
        assert rdbkit(command, cut, none, text).status == 4


def test_a_file_with_an_unreadable_name(files: Path, tmp_path: Path) -> None:
    name = b"a\xffb\x1b[2J.rdb"
    try:
        (tmp_path / name.decode(errors="surrogateescape")).write_bytes((files / "good.rdb").read_bytes())
    except OSError:
        pytest.skip("this file system wants names that are text")
    path = str(tmp_path / name.decode(errors="surrogateescape"))
    for command in ("info", "check", "keys"):
        ran = rdbkit(command, path)
        assert ran.status == 0
        assert "a\\xffb\\x1b[2J.rdb" in ran.out + ran.err
    assert rdbkit("keys", path, path, "-f", "csv", "-n", 1).out.splitlines()[1].startswith(str(tmp_path) + "/a\\xffb")


def test_the_preamble_of_an_aof_never_passes_for_its_state(files: Path) -> None:
    assert rdbkit("keys", files / "mixed.aof", "-n", 1).status == 3
    assert rdbkit("get", files / "mixed.aof", "k").status == 3


def test_a_wrong_checksum_that_was_reached_is_told_in_spite_of_limit(files: Path) -> None:
    assert rdbkit("keys", files / "checksum.rdb", "-n", 1).status == 1
    assert rdbkit("get", files / "checksum.rdb", "str:int:zero").status == 1
