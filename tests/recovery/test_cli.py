"""`rdbkit repair` on the command line."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from cli.run import environment, rdbkit

from rdbkit.aof.writer import command
from recovery.data import damaged, recorded, source

SET = command(b"SET", b"k\x1b[2J", b"v")
MANY = b"".join(command(b"SET", b"key:%d" % n, b"value %d" % n) for n in range(8))
HURT = b"*3\r\n$3\r\nS\0\0\r\n$1\r\nk\r\n$1\r\nv\r\n"


@pytest.fixture
def aof(tmp_path: Path) -> Path:
    path = tmp_path / "a.aof"
    path.write_bytes(MANY + HURT + MANY + SET[:-3])
    return path


def test_a_new_file_beside_the_old_one(aof):
    ran = rdbkit("repair", aof)
    assert ran.status == 5
    assert aof.read_bytes() == MANY + HURT + MANY + SET[:-3]
    assert Path(f"{aof}.repaired").read_bytes() == MANY + MANY
    assert Path(f"{aof}.repaired.dropped").read_bytes() == HURT + SET[:-3]
    rows = [json.loads(line) for line in Path(f"{aof}.repaired.dropped.jsonl").read_text().splitlines()]
    assert [(row["offset"], row["size"], row["at"], row["reason"]) for row in rows] == [
        (len(MANY), len(HURT), 0, "damaged"),
        (len(MANY + HURT + MANY), len(SET) - 3, len(HURT), "torn"),
    ]
    assert "dropped torn" in ran.out
    assert "\x1b" not in ran.out
    text = r"rdbkit: .*a\.aof: \d+ B dropped in 2 places, including 2 commands; the result is in .*a\.aof\.repaired\. "
    step = r"Next: stop the server, move \S+/a\.aof away, move \S+\.repaired to \S+, start the server\n"
    assert re.fullmatch(text + step, ran.err)


def test_json(aof, tmp_path):
    ran = rdbkit("repair", aof, "-f", "json", "-o", tmp_path / "new", "-q")
    assert (ran.status, ran.err) == (5, "")
    said = json.loads(ran.out)
    assert {name: said[name] for name in ("policy", "changed", "complete", "dry_run", "output")} == {
        "policy": "keep-most", "changed": True, "complete": False, "dry_run": False, "output": str(tmp_path / "new"),
    }  # fmt: skip
    (file,) = said["files"]
    assert (file["size"], file["kept"], file["commands"]) == (aof.stat().st_size, len(MANY + MANY), 16)
    assert [one["reason"] for one in file["dropped"]] == ["damaged", "torn"]
    assert file["dropped"][1]["keys"] == ["k\x1b[2J"]
    assert rdbkit("repair", aof, "-f", "jsonl", "--dry-run").rows[0]["dropped"] == file["dropped"]


def test_a_dry_run_reports_the_same(aof):
    ran = rdbkit("repair", aof, "--dry-run")
    assert (ran.status, [path.name for path in aof.parent.iterdir()]) == (5, ["a.aof"])
    assert "nothing written: " in ran.err
    reported = rdbkit("repair", aof, "--in-place").out
    assert ran.out.splitlines() == reported.splitlines()[: len(ran.out.splitlines())]


def test_nothing_to_repair(aof):
    aof.write_bytes(MANY)
    ran = rdbkit("repair", aof)
    assert ran.status == 0
    assert ran.err.endswith("nothing to repair\n")
    assert [path.name for path in aof.parent.iterdir()] == ["a.aof"]


def test_a_young_file_is_repaired_in_place(aof):
    for case in recorded()[0]["single"][::25]:
        aof.unlink()
        aof.write_bytes(damaged(source(recorded()[0], case["source"]), case["op"]))
        ran = rdbkit("repair", "--as-fix", "--in-place", aof)
        assert aof.stat().st_size == case["fixed_size"], (case, ran)
        assert ran.status in (0, 1, 5)


def test_a_file_in_use_is_refused(aof):
    script = "import sys; f = open(sys.argv[1], 'ab'); print(flush=True); sys.stdin.read()"
    words = [sys.executable, "-c", script, aof]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment()) as holder:
        assert holder.stdout
        holder.stdout.readline()
        ran = rdbkit("repair", aof, "--in-place")
        assert (ran.status, ran.out) == (4, "")
        assert f"process {holder.pid} has it open" in ran.err
        assert rdbkit("repair", aof, "--in-place", "--force").status == 5
        holder.communicate()


def test_cut_before_a_command(aof):
    aof.write_bytes(MANY + command(b"FLUSHALL"))
    ran = rdbkit("repair", aof, "--before", "flushall")
    assert ran.status == 0
    assert f"at offset {len(MANY)}" in ran.out
    assert Path(f"{aof}.repaired").read_bytes() == MANY


@pytest.mark.parametrize(
    ("args", "status", "words"),
    [
        (("--before", "flushall"), 1, "no flushall found"),
        (("--until-time", "2026-01-01"), 3, "no timestamps in the file"),
        (("--until-time", "yesterday"), 2, "not a time"),
        (("--policy", "server", "--as-fix"), 2, "contradict"),
        (("--policy", "server"), 1, "does not start with this file"),
        (("--in-place", "-o", "x"), 2, "contradict each other"),
        (("--db", "1"), 2, "--db needs --before"),
        (("--before", " "), 2, "needs a command name"),
        (("-o", "a.aof"), 2, "a.aof is an input, and would be overwritten"),
        (("--target", "mysql:8"), 2, "--target"),
    ],
)
def test_one_clear_line(aof, args, status, words):
    ran = rdbkit("repair", aof, *args, cwd=aof.parent)
    assert (ran.status, ran.out) == (status, "")
    assert words in ran.err
    assert len([line for line in ran.err.splitlines() if "--until-time is" not in line]) == 1
    assert [path.name for path in aof.parent.iterdir()] == ["a.aof"]


def test_other_files(aof):
    for content, status, words in (
        (b"hello, world\n" * 9, 3, "not a Redis or Valkey file"),
        (b"REDIS0011" + bytes(40), 1, "the RDB part is damaged"),
        (b"\x1f\x8b\x08" + bytes(40), 3, "decompress it first"),
        (b"", 1, "the file is empty"),
    ):
        aof.write_bytes(content)
        ran = rdbkit("repair", aof)
        assert (ran.status, words in ran.err) == (status, True), ran
    assert rdbkit("repair", aof.parent / "nowhere").status == 4


def test_the_next_step(aof):
    ran = rdbkit("repair", aof, "--in-place")
    assert ran.err.endswith(f"Next: start the server; the old file is {aof}.bak-1\n")
    assert rdbkit("repair", aof).err == f"rdbkit: {aof}: nothing to repair\n"
    aof.write_bytes(SET + b"*1\r\n$3\r\nWET\r\n" + SET[:-3])
    ran = rdbkit("repair", aof)
    assert ran.status == 1
    assert "No server starts with the result: unknown command 'WET'" in ran.err
    assert "error unknown-command" in ran.out
    assert "Next:" not in ran.err


def test_its_own_files_do_not_count(aof):
    """In a directory: not for check, repair, commands and info; named, they are read."""
    assert rdbkit("repair", aof).status == 5
    assert rdbkit("repair", aof, "--in-place").status == 5
    (aof.parent / ".a.aof.rdbkit-1x2y").write_bytes(SET)
    (aof.parent / "b.aof.partial").write_bytes(SET)
    for command_name in ("check", "repair", "commands", "info"):
        ran = rdbkit(command_name, aof.parent)
        assert ran.status == 0, ran
    ran = rdbkit("check", aof.parent, "-f", "jsonl")
    assert {row["file"] for row in ran.rows} == {str(aof.parent)}
    note = next(row["message"] for row in ran.rows if row["code"] == "by-products")
    for name in (".a.aof.rdbkit-1x2y", "a.aof.bak-1", "a.aof.dropped-1", "a.aof.repaired", "b.aof.partial"):
        assert name in note
    assert rdbkit("commands", f"{aof}.repaired").status == 0
    aof.unlink()
    ran = rdbkit("check", aof.parent)
    assert ran.status == 3
    assert "created by rdbkit" in ran.err


def test_line_ends(aof):
    aof.write_bytes(MANY.replace(b"\r\n", b"\n"))
    ran = rdbkit("repair", aof, "-f", "json")
    assert ran.status == 0
    assert Path(f"{aof}.repaired").read_bytes() == MANY
    (file,) = json.loads(ran.out)["files"]
    assert (file["restored"], file["lost"]["places"], file["kept"]) == (MANY.count(b"\r\n"), 0, len(MANY))
    assert "line ends restored; the result is in" in ran.err
