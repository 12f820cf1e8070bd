"""The recorded runs of redis-check-aof and valkey-check-aof, and the deliberate differences."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from dropin.recorded import REFERENCE, Case, Outcome, answer, cases, changed, files, masked, wanted, write_files

CASES = cases("aof-cases")
TOOLS = (
    "redis-3.2.13", "redis-6.2.16", REFERENCE, "redis-7.2.6", "redis-7.4.1", "redis-8.6.3", "redis-8.10.2",
    "valkey-8.1.1", "valkey-9.1.2",
)  # fmt: skip
#: The real tool crashes: we end with 1. (Redis 3.2 says nothing before it does, later ones what we say.)
CRASHES = {
    ("len-overflow", "redis-3.2.13"),
    ("len-overflow", "redis-6.2.16"),
    ("len-overflow-fix", "redis-3.2.13"),
    ("len-overflow-fix", "redis-6.2.16"),
}
#: Without --as the real tool is not followed here, because it destroys good data.
REFUSED = {"pre-valkey-magic"}

COMMAND = b"*1\r\n$4\r\nPING\r\n"
MANIFEST = b"seq 1 file a.aof type b\n"


def run(build: Any, tool: str, args: list[str], stdin: bytes = b"", *, guard: bool = False) -> tuple[int, bytes]:
    out = io.BytesIO()
    status = build("dropin.check_aof").main(
        args, build("releases.check_tools").find(tool), out, io.BytesIO(stdin), guard=guard
    )
    return status, out.getvalue()


def outcome(build: Any, case: Case, tool: str, root: Path, *, guard: bool = False) -> Outcome:
    """Run a case in a fresh directory."""
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir()
    write_files(case, root)
    before = files(root)
    os.chdir(root)
    try:
        status, text = run(build, tool, case["args"], answer(case), guard=guard)
    finally:
        os.chdir("/")
    return status, masked(text), changed(before, files(root))


@pytest.mark.parametrize("tool", TOOLS)
def test_recorded_runs(build, tool, tmp_path):
    different = []
    for case in CASES:
        want, got = wanted(case, tool), outcome(build, case, tool, tmp_path / "case")
        if (case["name"], tool) in CRASHES:
            assert want[0] > 100
            assert got[0] == 1
            assert got[1].endswith(b"# Out Of Memory allocating 9223372036854775809 bytes!<crash report>")
            assert not got[2]
        elif want != got:
            different.append(case["name"])
    assert different == []


def test_unasked_the_newest_is_imitated_but_where_it_destroys(build, tmp_path):
    different = set()
    for case in CASES:
        want, got = wanted(case, "redis-8.10.2"), outcome(build, case, "redis-8.10.2", tmp_path / "case", guard=True)
        if want != got:
            different.add(case["name"])
            assert got[0] == 1
            assert got[1].count(b"\n") == 1
            assert not got[2]
    assert different == REFUSED


# -- what is not destroyed ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("args", [["a.aof"], ["--fix", "a.aof"]])
def test_a_valkey_snapshot_is_not_taken_for_damage(build, args, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("a.aof").write_bytes(b"VALKEY080" + COMMAND)
    status, text = run(build, "redis-8.10.2", args, b"y", guard=True)
    assert (status, text.count(b"\n")) == (1, 1)
    assert b"Valkey 9" in text
    assert Path("a.aof").read_bytes() == b"VALKEY080" + COMMAND


@pytest.mark.parametrize("name", ["base", "incr"])
def test_nor_in_a_set(build, name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("m").write_bytes(b"file base seq 1 type b\nfile incr seq 1 type i\n")
    Path("base").write_bytes(COMMAND)
    Path("incr").write_bytes(COMMAND)
    Path(name).write_bytes(b"VALKEY080")
    status, text = run(build, "redis-8.10.2", ["--fix", "m"], b"y", guard=True)
    assert (status, text.count(b"\n")) == (1, 1)
    assert text.startswith(f"./{name} is ".encode())
    assert Path(name).read_bytes() == b"VALKEY080"


def test_a_manifest_is_not_emptied(build, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("m").write_bytes(MANIFEST)
    status, text = run(build, "redis-8.10.2", ["--fix", "m"], b"y", guard=True)
    assert (status, text.count(b"\n")) == (1, 1)
    assert Path("m").read_bytes() == MANIFEST
    assert run(build, "redis-8.10.2", ["--fix", "m"], b"y")[0] == 0
    assert Path("m").read_bytes() == b""


# -- what no case has --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tool", "size", "status", "text"),
    [
        ("redis-6.2.16", -2, 1, b"0x               9: Expected \\r\\n, got: 0000\n"),
        ("redis-6.2.16", -1, 1, b"0x               9: Expected to read 1 bytes, got 0 bytes\n"),
        ("redis-7.0.15", 1 << 40, 1, b"Expected to read 1099511627778 bytes, got 0 bytes\n"),
        ("redis-7.0.15", (1 << 63) - 3, 1, b"# Out Of Memory allocating 9223372036854775807 bytes!\n"),
        ("redis-6.2.16", -3, 1, b"# Out Of Memory allocating 18446744073709551615 bytes!\n"),
    ],
)
def test_lengths_that_cannot_be(build, tool, size, status, text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("a").write_bytes(b"*1\r\n$%d\r\n" % size)
    got = run(build, tool, ["a"])
    assert got[0] == status
    assert text in got[1]


def test_fix_leaves_alone_what_the_tool_would_crash_on(build, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data = b"*1\r\n$9223372036854775805\r\nx"
    Path("a").write_bytes(data)
    assert run(build, "redis-8.10.2", ["--fix", "a"], b"y")[0] == 1
    assert Path("a").read_bytes() == data


@pytest.mark.parametrize(
    "data",
    [
        b"*1\r\n$6\r\nx\nfile\r\n",
        b"*1\r\n$1020\r\n" + b"x" * 1020 + b"\r\n",
        b"x\n" + b"y" * 1024 + b"file",
        b"x\n" + b"y" * 1023 + b"file",
        b"#" * 1024 + b"file",
        b"fil\ne file\n",
        b"y" * (1 << 18) + b"file",
        b"y" * ((1 << 18) - 2) + b"\nfile",
        b"\n" + b"y" * ((1 << 19) - 2) + b"file",
        b"\n" + b"y" * (1 << 19) + b"file",
        b"profile\nfile",
    ],
)
def test_the_older_test_for_a_manifest(build, data, tmp_path):
    path = tmp_path / "a"
    path.write_bytes(data)
    module = build("dropin.aof_files")
    with module.CheckedFile(os.fsencode(path)) as file:
        got = module.mentions_file(file)
    assert got == build("aof.manifest").looks_like_manifest(data, strict=False)


@pytest.mark.parametrize(
    ("path", "beside"),
    [("m", "./x"), ("d/m", "d/x"), ("/m", "//x"), ("d//m", "d/x"), ("./d/m", "./d/x"), ("/d/e/m", "/d/e/x")],
)
def test_paths_of_a_set(build, path, beside):
    assert build("dropin.aof_files").beside(path.encode(), b"x") == beside.encode()


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        (b"9223372036854775807", True),
        (b"9223372036854775808", False),
        (b" -009223372036854775808", True),
        (b"-9223372036854775809", False),
        (b"", True),
        (b"12x", True),
    ],
)
def test_numbers_that_fit(build, text, fits):
    assert build("dropin.aof_errors").to_long(text)[2] == fits


def test_the_files_need_to_be_writable(build, tmp_path, monkeypatch):
    if os.geteuid() == 0:
        pytest.skip("root may write everything")
    monkeypatch.chdir(tmp_path)
    Path("a").write_bytes(COMMAND)
    Path("a").chmod(0o400)
    assert run(build, "redis-8.10.2", ["a"])[1].endswith(b"Cannot open file a: Permission denied, aborting...\n")


def test_a_path_that_is_too_long(build):
    status, text = run(build, "redis-7.0.15", ["a" * 5000])
    assert (status, text.split(b"\n")[0]) == (1, b"Error: filepath is too long (exceeds PATH_MAX)")


# -- the command -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("args", "status", "text"),
    [
        (["a"], 0, b"AOF a is valid\n"),
        (["--as", "redis-6.2.16", "a"], 0, b"AOF is valid\n"),
        (["--as=redis-6.2.16", "--", "a"], 1, b"Invalid argument: --\n"),
        (["--"], 1, b"Cannot open file --: No such file or directory\n"),
        (["-abc"], 1, b"Cannot open file -abc: No such file or directory\n"),
        (["--as", "redis-8.6.3", "--help"], 1, b"Cannot open file --help: No such file or directory\n"),
        (["-v"], 0, b"redis-check-aof v=8.10.2\n"),
        (["--as"], 2, b""),
        (["--as", "redis-1", "a"], 2, b""),
    ],
)
def test_command_line(args, status, text, tmp_path):
    (tmp_path / "a").write_bytes(COMMAND)
    root = str(Path(__file__).parent.parent.parent)
    done = subprocess.run(
        [sys.executable, "-m", "rdbkit", "check-aof", *args],
        cwd=tmp_path,
        capture_output=True,
        env=os.environ | {"PYTHONPATH": root},
    )
    assert done.returncode == status
    assert done.stdout.endswith(text)
    assert bool(done.stderr) == (status == 2)


def test_a_terminal_is_not_steered(build):
    stream = io.StringIO()
    screen = build("cli.check_aof")._Screen(stream)
    screen.write(b"got: '\x1b'\n\xffContinue? ")
    assert stream.getvalue() == "got: '\\x1b'\n\\xffContinue? "
