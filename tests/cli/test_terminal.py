"""On a terminal of 80 columns: output fits, files cannot control the terminal, messages are visible."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from cli.run import rdbkit, screen, terminal
from rdbkit.output.table import display_width

COLOR = re.compile(r"\x1b\[[0-9;]*m")
CONTROL = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def shown(text: str) -> list[str]:
    """The lines without our own colours."""
    return COLOR.sub("", text).splitlines()


@pytest.mark.parametrize("columns", [80, 60, 200])
def test_a_table_fits(dump: Path, columns: int) -> None:
    ran = terminal("keys", dump, "-q", columns=columns)
    assert ran.status == 0
    lines = shown(ran.out)
    assert len(lines) == 155
    assert max(map(display_width, lines)) <= columns
    if columns >= 80:
        assert {"db", "key", "type", "elements", "memory"} <= set(lines[0].split())


def test_what_a_table_is_sorted_by_is_shown(dump: Path) -> None:
    lines = shown(terminal("keys", dump, "-q", "--sort", "encoding", "-n", 3).out)
    assert "encoding" in lines[0].split()
    assert "columns hidden: " in terminal("keys", dump, columns=60).out
    assert "columns hidden" not in terminal("keys", dump, columns=120).out


def test_in_a_pipe_nothing_is_cut(files: Path) -> None:
    lines = rdbkit("keys", files / "hostile.rdb").out.splitlines()
    assert any("k" * 300 in line for line in lines)
    assert max(len(line) for line in lines if "k" * 300 not in line) < 160
    assert lines[0].split() == [
        "db", "key", "type", "encoding", "elements", "memory", "memory_sd", "size", "expires_at", "idle", "freq",
    ]  # fmt: skip


HOSTILE = [
    ("keys",),
    ("keys", "-f", "json"),
    ("keys", "-f", "jsonl"),
    ("keys", "-f", "csv"),
    ("export",),
    ("export", "-f", "json"),
    ("export", "-f", "csv"),
]


@pytest.mark.parametrize("args", HOSTILE, ids=" ".join)
def test_no_control_character_passes(files: Path, args: tuple[str, ...]) -> None:
    ran = terminal(*args, files / "hostile.rdb")
    assert ran.status == 0
    assert not CONTROL.search(COLOR.sub("", ran.out))


@pytest.mark.parametrize("command", ["info", "check"])
@pytest.mark.parametrize("output", ["table", "json", "jsonl"])
def test_fields_of_a_file_cannot_control_the_terminal(files: Path, command: str, output: str) -> None:
    ran = terminal(command, files / "liar.rdb", "-f", output)
    assert not CONTROL.search(COLOR.sub("", ran.out))
    # Nor can it fake a line.
    assert not any(line.startswith("db 0  a million") for line in ran.out.splitlines())


def test_nor_through_a_message(files: Path, tmp_path: Path) -> None:
    (tmp_path / "cut.rdb").write_bytes((files / "hostile.rdb").read_bytes()[:60])
    for command in ("keys", "check", "export", "info"):
        ran = terminal(command, tmp_path / "cut.rdb")
        assert ran.status == 1
        assert "\\x1b[2J" in ran.out
        assert not CONTROL.search(COLOR.sub("", ran.out))
    assert not CONTROL.search(rdbkit("get", files / "good.rdb", "no\x1b[2Jkey").err.replace("\n", ""))


def test_get_shows_json_and_keeps_raw_bytes_away(files: Path) -> None:
    key = r"\x1b[2J\x1b]0;owned\x07\x0d\x0afake\xc2\x9b\xe2\x80\xae\x7f"
    ran = terminal("get", files / "hostile.rdb", key)
    assert ran.status == 0
    assert not CONTROL.search(ran.out)
    assert "owned" in ran.out
    for args in (("get", files / "hostile.rdb", key, "--raw"), ("export", files / "hostile.rdb", "-f", "resp")):
        refused = terminal(*args)
        assert refused.status == 2
        assert len(refused.out.splitlines()) == 1
        assert "use a pipe, or -o FILE" in refused.out


@pytest.mark.parametrize("env", [{"NO_COLOR": "1"}, {"TERM": "dumb"}], ids=lambda env: next(iter(env)))
def test_no_colour_where_none_is_wanted(files: Path, env: dict[str, str]) -> None:
    for command in ("keys", "check"):
        assert "\x1b" in terminal(command, files / "cut.rdb").out
        assert "\x1b" not in terminal(command, files / "cut.rdb", env=env).out
    assert "\x1b" not in rdbkit("keys", files / "cut.rdb").out


def test_findings_are_never_cut(files: Path) -> None:
    ran = terminal("check", "cut.rdb", cwd=files, env={"NO_COLOR": "1"})
    assert ran.status == 1
    findings = ran.out[: ran.out.index("rdbkit: ")].splitlines()
    assert findings == [
        "error truncated: the file ends in the middle of a record",
        "  cut.rdb, offset 3000, db 0, key list:ints",
        "  -> fetch the file again, or wait if it is still being written",
        "note stopped: 3 keys read, up to offset 2916; the rest is unknown",
        "  cut.rdb, offset 2916",
    ]
    for columns in (20, 40, 80):
        lines = terminal("check", files / "checksum.rdb", "-q", columns=columns).out
        assert "checksum-mismatch" in lines
        assert "another copy" in " ".join(lines.split())


def test_an_error_comes_last(files: Path) -> None:
    lines = shown(terminal("keys", files / "cut.rdb").out)
    assert lines[-1].startswith(f"rdbkit: {files}/cut.rdb: the file ends")
    assert any("list:plain" in line for line in lines[:5])


def test_one_input_after_the_other(files: Path) -> None:
    """Verdicts follow the findings to which they belong."""
    out = terminal("check", files / "cut.rdb", files / "good.rdb", files / "empty.rdb", env={"NO_COLOR": "1"}).out
    at = [out.index(words) for words in ("error truncated", ": DAMAGED", ": valid", "error empty")]
    assert at == sorted(at)


@pytest.mark.parametrize("command", ["", "info", "check", "keys", "get", "export"])
def test_help_fits(command: str) -> None:
    ran = terminal(*command.split(), "--help")
    assert ran.status == 0
    assert max(map(len, ran.out.splitlines())) <= 80


def test_progress_is_erased(files: Path) -> None:
    ran = terminal("check", files / "many.rdb")
    assert ran.status == 0
    # A slow machine shows a bar meanwhile; it is gone in the end.
    said = [line for line in screen(ran.out) if line]
    assert len(said) == 1
    assert said[0].startswith(f"rdbkit: {files}/many.rdb: valid")
    assert rdbkit("check", "--progress", files / "many.rdb").status == 0
