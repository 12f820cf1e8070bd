"""Standard output and -o: machine formats parse, readers go away, disks fill, users lose patience."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from cli.run import COMMAND, PATIENCE, environment, interrupt, raw, rdbkit, start, wait_until_read
from rdbkit.output.text import undo


@pytest.mark.parametrize("command", ["keys", "export"])
def test_the_formats_have_the_same_content(dump: Path, command: str) -> None:
    rows = rdbkit(command, dump, "-f", "jsonl").rows
    assert len(rows) == 154
    assert json.loads(rdbkit(command, dump, "-f", "json").out) == rows
    read = list(csv.DictReader(io.StringIO(rdbkit(command, dump, "-f", "csv").out, newline="")))
    assert [undo(row["key"]) for row in read] == [undo(row["key"]) for row in rows]
    assert set(read[0]) == set(rows[0]) | ({"field_expires_at"} if command == "export" else set())


@pytest.mark.slow
def test_several_inputs_put_the_file_first(dump: Path) -> None:
    for command in ("keys", "export"):
        assert next(iter(rdbkit(command, dump, dump, "-f", "jsonl").rows[0].items())) == ("file", str(dump))
        assert rdbkit(command, dump, dump, "-f", "csv").out.startswith("file,db,key,")
    assert len(json.loads(rdbkit("info", dump, dump, "-f", "json").out)) == 2


def test_findings_parse(files: Path) -> None:
    names = ["severity", "code", "file", "offset", "db", "key", "message", "hint"]
    rows = rdbkit("check", files / "cut.rdb", "-f", "jsonl").rows
    assert [list(row) for row in rows] == [names, names]
    assert (rows[0]["code"], rows[0]["offset"], rows[0]["key"]) == ("truncated", 3000, "list:ints")
    assert json.loads(rdbkit("check", files / "cut.rdb", "-f", "json").out) == rows
    assert rdbkit("check", files / "cut.rdb", "-f", "csv").out.splitlines()[0] == ",".join(names)
    assert rdbkit("check", files / "good.rdb", "-f", "json").out == "[]\n"
    assert rdbkit("check", files / "good.rdb").out == ""


@pytest.mark.parametrize("args", [("keys",), ("export",), ("export", "-f", "resp"), ("keys", "-f", "csv")])
def test_the_reader_closes_the_pipe(files: Path, args: tuple[str, ...]) -> None:
    with start(*args, "-q", files / "many.rdb", stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stderr
        assert process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(PATIENCE) == 141


def test_the_reader_of_the_help_closes_the_pipe() -> None:
    ours, theirs = os.pipe()
    os.close(ours)
    with start("keys", "--help", stdout=theirs, stderr=subprocess.PIPE) as process:
        os.close(theirs)
        assert process.stderr
        assert process.stderr.read() == b""
        assert process.wait(PATIENCE) == 141


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_disk(files: Path) -> None:
    for args in (("keys",), ("export",), ("info",), ("export", "-f", "resp")):
        with Path("/dev/full").open("wb") as full:
            process = start(*args, "-q", files / "many.rdb", stdout=full, stderr=subprocess.PIPE)
            _, err = process.communicate(timeout=PATIENCE)
        assert (process.returncode, err) == (4, b"rdbkit: standard output: No space left on device\n")
    ran = rdbkit("export", "-q", files / "many.rdb", "-o", "/dev/full")
    assert (ran.status, ran.err) == (4, "rdbkit: /dev/full: No space left on device\n")


def test_output_appears_when_it_is_complete(dump: Path, tmp_path: Path) -> None:
    target = tmp_path / "keys.csv"
    target.write_text("before")
    target.chmod(0o600)
    ran = rdbkit("keys", dump, "-f", "csv", "-o", target)
    assert (ran.status, ran.out) == (0, "")
    assert len(list(csv.reader(io.StringIO(target.read_text(), newline="")))) == 155
    assert target.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["keys.csv"]


@pytest.mark.parametrize("command", ["keys", "export"])
def test_of_a_damaged_input_the_output_stays_partial(files: Path, tmp_path: Path, command: str) -> None:
    target = tmp_path / "out"
    target.write_text("before")
    ran = rdbkit(command, files / "cut.rdb", "-f", "jsonl", "-o", target)
    assert ran.status == 1
    assert ran.lines[-1] == f"rdbkit: partial output is in {target}.partial"
    assert target.read_text() == "before"
    partial = tmp_path / "out.partial"
    assert json.loads(partial.read_text().split("\n")[0])["key"] == "list:plain"


def test_findings_are_complete_whatever_they_say(files: Path, tmp_path: Path) -> None:
    ran = rdbkit("check", files / "cut.rdb", "-f", "json", "-o", tmp_path / "out")
    assert ran.status == 1
    assert len(json.loads((tmp_path / "out").read_text())) == 2


def test_no_output_where_none_can_be(dump: Path, tmp_path: Path) -> None:
    ran = rdbkit("keys", dump, "-o", tmp_path / "no" / "out")
    assert (ran.status, ran.lines) == (4, [f"rdbkit: {tmp_path}/no/out: No such file or directory"])


@pytest.mark.slow
def test_an_input_is_never_overwritten(files: Path, tmp_path: Path) -> None:
    copy = tmp_path / "dump.rdb"
    copy.write_bytes((files / "good.rdb").read_bytes())
    (tmp_path / "link").symlink_to(copy)
    for command in ("keys", "export", "check", "info"):
        assert rdbkit(command, copy, "-o", tmp_path / "link").status == 2
    assert rdbkit("keys", copy, "-o", copy).status == 2
    assert rdbkit("get", copy, "str:int:zero", "-o", copy).status == 2
    assert copy.read_bytes() == (files / "good.rdb").read_bytes()


@pytest.mark.parametrize("output", [False, True], ids=["stdout", "file"])
def test_an_interrupt(files: Path, tmp_path: Path, output: bool) -> None:
    """The input is a pipe that stays open, so that the command is at work for as long as we like."""
    target = tmp_path / "out"
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
    process = start("keys", "-", "-f", "jsonl", *(["-o", target] if output else []), **pipes)
    assert process.stdin
    assert process.stderr
    process.stdin.write((files / "many.rdb").read_bytes()[:-1000])
    process.stdin.flush()
    wait_until_read(process)
    status, said = interrupt(process)
    assert status == 130
    assert "Traceback" not in said
    lines = [line for line in said.splitlines() if ": target " not in line]
    assert lines == ([f"rdbkit: partial output is in {target}.partial"] if output else [])
    assert not target.exists()


def test_closed_streams(dump: Path) -> None:
    command = f'exec {" ".join(COMMAND)} keys "$0"'
    for closing, status in ((">&-", 4), ("2>&-", 0), (">&- 2>&-", 4)):
        ran = subprocess.run(
            ["sh", "-c", f"{command} {closing}", str(dump)],
            capture_output=True, env=environment(), timeout=PATIENCE, check=False,
        )  # fmt: skip
        assert ran.returncode == status, (closing, ran.stderr)
        assert b"Traceback" not in ran.stderr


def test_raw_bytes(dump: Path, files: Path) -> None:
    assert raw("get", dump, "str:int:zero", "--raw")[:2] == (0, b"0")
    status, out, _ = raw("export", files / "hostile.rdb", "-f", "resp")
    assert status == 0
    assert out.startswith(b"*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n")
    assert b"\x1b[2J\x1b]0;owned\x07\r\nfake" in out


def test_a_locale_without_utf8(dump: Path) -> None:
    ran = rdbkit("get", dump, "str:unicode", env={"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"})
    assert ran.status == 0
    assert json.loads(ran.out) == rdbkit("get", dump, "str:unicode", "-f", "jsonl").rows[0]["value"]
