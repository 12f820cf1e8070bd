"""Each command with each kind of input: exit status, one helpful line, nothing on standard output."""

from __future__ import annotations

from pathlib import Path

import pytest
from rdb.files import entry, made

from cli.run import raw, rdbkit
from rdbkit.aof import writer

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
    ("text.rdb", 3, "not a Redis or Valkey file"),
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
        assert len(ran.lines) == (0 if name in ("empty.rdb", "text.rdb", "newer.rdb") else 1)
        assert all(line.startswith(f"rdbkit: {path}: ") and ": valid" not in line for line in ran.lines)
    else:
        assert len(ran.lines) == 1, ran.err
        assert ran.lines[0].startswith(f"rdbkit: {path}: ")
        assert words in ran.lines[0]


@pytest.mark.parametrize("command", ["keys", "get", "export", "report", "prefixes"])
def test_a_directory_that_does_not_say_what_a_server_loads(files: Path, command: str) -> None:
    ran = rdbkit(command, files, *(["no-such-key"] if command == "get" else []))
    assert ran.status == 3
    assert len(ran.lines) == 1, ran.err
    assert ran.lines[0].startswith(f"rdbkit: {files}: 2 AOFs: which one is loaded depends on appendfilename")
    assert ran.lines[0].endswith(f"Name one of {files}/mixed.aof, {files}/plain.aof")


def test_a_directory_with_one_rdb_is_that_rdb(files: Path, tmp_path: Path) -> None:
    (tmp_path / "dump.rdb").write_bytes((files / "good.rdb").read_bytes())
    ran = rdbkit("keys", tmp_path, "-f", "jsonl")
    assert ran.status == 0
    assert f"{tmp_path}: reading dump.rdb, the only data in it" in ran.err
    assert ran.rows == rdbkit("keys", files / "good.rdb", "-f", "jsonl").rows
    (tmp_path / "other.rdb").write_bytes((files / "good.rdb").read_bytes())
    ran = rdbkit("keys", tmp_path)
    assert (ran.status, ran.out) == (3, "")
    assert f"Name one of {tmp_path}/dump.rdb, {tmp_path}/other.rdb" in ran.err


@pytest.mark.parametrize("command", ["keys", "export"])
def test_nothing_is_written_for_what_cannot_be_read(files: Path, command: str) -> None:
    for name in ("nowhere.rdb", ".", "empty.rdb", "text.rdb"):
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
    assert ran.lines[0].startswith("rdbkit: -: valid: Redis 7.2.6")
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
    ran = rdbkit("keys", files / "mixed.aof", "-f", "jsonl")
    assert (ran.status, sorted(row["key"] for row in ran.rows)) == (0, ["a", "k"])
    assert rdbkit("get", files / "mixed.aof", "a").out == '"1"\n'


def test_a_wrong_checksum_that_was_reached_is_reported_with_limit(files: Path) -> None:
    assert rdbkit("keys", files / "checksum.rdb", "-n", 1).status == 1
    assert rdbkit("get", files / "checksum.rdb", "str:int:zero").status == 1


SET = writer.command(b"SET", b"k", b"v")
RDB = made(("aux", b"redis-ver", b"7.0.0"), entry(0, b"k"), version=10)
NAMED = {
    "a head cut off": (SET[9:] + SET * 9, 1, "a damaged AOF", "rdbkit repair"),
    "a byte order mark": (b"\xef\xbb\xbf" + SET, 1, "byte order mark", "rdbkit repair"),
    "line ends": ((SET * 9).replace(b"\r\n", b"\n"), 1, "line ends became LF", "rdbkit repair"),
    "text copy": (RDB.decode("utf-8", "replace").encode(), 1, "copied as text", "binary mode"),
    "zeros": (RDB[: RDB.index(b"\0\x01k")] + bytes(400), 1, "400 NUL bytes", "another copy"),
    "all zeros": (bytes(400), 1, "NUL bytes only", "another copy"),
    "zip": (b"PK\x03\x04" + bytes(99), 3, "a zip archive", "unpack"),
    "html": (b"<!DOCTYPE html><p>404", 3, "an HTML page", "fetch it again"),
    "unknown": (b"anything else", 3, "not a Redis or Valkey file", ""),
    "empty": (b"", 1, "the file is empty", ""),
}
EVERY = {
    **COMMANDS,
    "get": ("get",),
    "report": ("report",),
    "prefixes": ("prefixes",),
    "commands": ("commands",),
    "split": ("split",),
    "repair": ("repair", "--dry-run"),
}


@pytest.mark.parametrize("name", NAMED)
def test_every_command_names_it_and_says_what_to_do(name: str, tmp_path: Path) -> None:
    """From a file; with the same exit status, and no files left."""
    data, status, words, remedy = NAMED[name]
    path = tmp_path / "input"
    path.write_bytes(data)
    for command_name, args in EVERY.items():
        more = {"get": ["k"], "split": ["--rdb", tmp_path / "r", "--aof", tmp_path / "a"]}.get(command_name, [])
        ran = rdbkit(*args, path, *more)
        if command_name == "repair" and remedy == "rdbkit repair":
            # It is the remedy.
            assert ran.status in (0, 5), ran
            continue
        assert ran.status == status, (command_name, ran)
        said = ran.out + ran.err
        assert words in said, (command_name, ran)
        assert remedy in said, (command_name, ran)
    assert [file.name for file in tmp_path.iterdir()] == ["input"]


@pytest.mark.parametrize("name", ["a head cut off", "text copy", "zeros", "zip", "line ends"])
def test_from_a_pipe_too(name: str) -> None:
    data, status, words, _ = NAMED[name]
    for command_name in ("info", "check", "keys", "commands"):
        code, out, err = raw(command_name, "-", stdin=data)
        assert code == status
        assert words in out.decode() + err


@pytest.mark.parametrize("head", [b"", b"+FULLRESYNC " + b"a" * 40 + b" 1\r\n"])
def test_a_captured_transfer(head: bytes, tmp_path: Path) -> None:
    path = tmp_path / "capture"
    path.write_bytes(head + b"$%d\r\n" % len(RDB) + RDB)
    for command_name in ("info", "check", "keys", "export", "report"):
        assert rdbkit(command_name, path).status == 0
        assert raw(command_name, "-", stdin=path.read_bytes())[0] == 0
    ran = rdbkit("repair", path)
    assert (ran.status, "`rdbkit split`" in ran.err) == (3, True)


def test_inputs_of_split(files: Path, tmp_path: Path) -> None:
    """A plain RDB has no second part, a directory is in parts already; no files are left."""
    parts = ["--rdb", tmp_path / "r", "--aof", tmp_path / "a"]
    for name, words in (
        ("good.rdb", "an RDB without commands: nothing to split"),
        ("plain.aof", "an AOF without an RDB preamble: nothing to split"),
    ):
        ran = rdbkit("split", files / name, *parts)
        assert ran.status == 3, ran
        assert words in ran.err
        assert list(tmp_path.iterdir()) == []
    assert rdbkit("split", files / "mixed.aof", *parts).status == 0
    data = tmp_path / "d"
    data.mkdir()
    (data / "a.aof.1.base.rdb").write_bytes(RDB)
    (data / "a.aof.1.incr.aof").write_bytes(SET)
    (data / "a.aof.manifest").write_bytes(b"file a.aof.1.base.rdb seq 1 type b\nfile a.aof.1.incr.aof seq 1 type i\n")
    ran = rdbkit("split", data, "--rdb", tmp_path / "x", "--aof", tmp_path / "y")
    assert ran.status == 3
    assert f"the RDB is {data}/a.aof.1.base.rdb and the commands are in {data}/a.aof.1.incr.aof" in ran.err


def test_a_torn_aof_is_for_repair_first(tmp_path: Path) -> None:
    path = tmp_path / "a.aof"
    path.write_bytes(SET + SET[:-3])
    assert rdbkit("check", path, "-f", "jsonl").rows[0]["hint"].startswith("`rdbkit repair`")
    assert "`rdbkit repair` removes the torn command" in rdbkit("commands", path).err.replace("\n", " ")
