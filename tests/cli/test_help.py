"""Usage: help, version, mistakes. A mistake is status 2 and one line."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from cli.run import rdbkit
from rdbkit.cli import COMMANDS

#: Commands that replace a tool of the servers behave like that tool.
STAND_INS = ("check-aof", "check-rdb")


@pytest.mark.parametrize("command", [name for name in COMMANDS if name not in STAND_INS])
@pytest.mark.parametrize("option", ["-h", "--help"])
def test_help_shows_examples_first(command: str, option: str) -> None:
    ran = rdbkit(command, option)
    assert (ran.status, ran.err) == (0, "")
    assert ran.out.index("\nExamples:\n") < ran.out.index("\nUsage: ") < ran.out.index("\nOptions:\n")
    examples = ran.out.split("\nExamples:\n")[1].split("\n\n")[0]
    assert f"rdbkit {command} " in examples


def test_help_lists_the_commands() -> None:
    for args in ((), ("--help",), ("-h",)):
        ran = rdbkit(*args)
        assert ran.status == 0
        assert ran.out.index("\nExamples:\n") < ran.out.index("\nCommands:\n")
        listed = ran.out.split("\nCommands:\n")[1]
        assert re.findall(r"^  (\S+) ", listed, re.MULTILINE) == list(COMMANDS)
        assert not [line for line in listed.splitlines() if line.endswith("...") and line.split()[0] not in STAND_INS]


def test_version_names_the_build() -> None:
    ran = rdbkit("--version")
    assert re.fullmatch(r"rdbkit \S+.* \((compiled|pure Python); reads RDB 1 to 16 of Redis, .*\)\n", ran.out)
    assert "(pure Python;" in rdbkit("--version", env={"RDBKIT_PURE": "1"}).out


def test_a_file_in_the_place_of_a_command(dump: Path, files: Path) -> None:
    ran = rdbkit(dump)
    assert ran.status == 2
    assert re.search(
        rf"{re.escape(str(dump))} is a file.*did you mean `rdbkit (info|report) {re.escape(str(dump))}`", ran.err
    )
    assert len(ran.err.splitlines()) == 1


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("chekc", "x.rdb"), "did you mean `rdbkit check`?"),
        (("frobnicate",), "the commands are info, check, "),
        (("keys",), "Missing argument 'PATH...'"),
        (("get", "x.rdb"), "Missing argument 'KEY'"),
        (("keys", "x.rdb", "--frob"), "--frob"),
        (("keys", "x.rdb", "--db", "x"), "--db"),
        (("keys", "x.rdb", "--db", "-1"), "--db"),
        (("keys", "x.rdb", "--type", "strin"), "--type"),
        (("keys", "x.rdb", "--ttl", "soon"), "--ttl: not a ttl: 'soon'"),
        (("keys", "x.rdb", "--ttl", "under:7y"), "--ttl"),
        (("keys", "x.rdb", "--regex", "("), "--regex: not a regular expression: '('"),
        (("keys", "x.rdb", "--sort", "colour"), "--sort"),
        (("keys", "x.rdb", "-n", "-1"), "-1"),
        (("keys", "x.rdb", "-f", "xml"), "xml"),
        (("keys", "x.rdb", "--bytes", "rot13"), "rot13"),
        (("keys", "x.rdb", "--target", "redis"), "--target"),
        (("keys", "x.rdb", "--target", "mysql:8"), "--target"),
        (("keys", "x.rdb", "--set", "hash-max-listpack-entries"), "NAME=VALUE"),
        (("keys", "x.rdb", "--set", "frob=1"), "unknown setting 'frob'"),
        (("keys", "x.rdb", "--set", "hash-max-listpack-entries=many"), "not 'many'"),
        (("keys", "x.rdb", "--now", "yesterday"), "--now"),
        (("keys", "x.rdb", "--allocator", "mine"), "--allocator"),
        (("keys", "x.rdb", "--min-memory", "much"), "--min-memory"),
        (("export", "x.rdb", "--restore"), "--restore goes with --format resp"),
        (("get", "x.rdb", "k", "-f", "csv"), "csv"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_a_mistake_is_one_clear_line(args: tuple[str, ...], words: str) -> None:
    ran = rdbkit(*args)
    assert (ran.status, ran.out) == (2, "")
    assert len(ran.err.splitlines()) == 1
    assert words in ran.err
    assert ran.err.startswith("rdbkit")
    assert ran.err.endswith("--help\n")


def test_a_config_that_is_not_there(dump: Path, tmp_path: Path) -> None:
    ran = rdbkit("keys", dump, "--config", tmp_path / "redis.conf")
    assert (ran.status, ran.err) == (4, f"rdbkit: {tmp_path}/redis.conf: No such file or directory\n")


@pytest.mark.parametrize(("shell", "mark"), [("bash", "complete "), ("zsh", "compdef"), ("fish", "complete ")])
def test_shells_get_their_completion(shell: str, mark: str) -> None:
    if shell == "bash":
        pytest.importorskip("click.shell_completion")
    ran = rdbkit(env={"_RDBKIT_COMPLETE": f"{shell}_source"})
    assert ran.status == 0
    assert mark in ran.out


@pytest.mark.slow
def test_completion_knows_commands_options_and_files() -> None:
    def completed(words: str, at: int) -> str:
        env = {"_RDBKIT_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(at)}
        return rdbkit(env=env).out

    assert "plain,check" in completed("rdbkit ch", 1)
    assert "plain,--match" in completed("rdbkit keys --ma", 2)
    assert "plain,jsonl" in completed("rdbkit keys -f j", 3)
    assert completed("rdbkit keys du", 2) == "file,du\n"
    assert completed("rdbkit keys -o du", 3) == "file,du\n"


def test_a_bug_is_a_line_too(dump: Path, tmp_path: Path) -> None:
    """No traceback is shown even for a bug in rdbkit, unless it is requested."""
    (tmp_path / "sitecustomize.py").write_text(
        "import rdbkit.cli.info as info\n"
        "def _facts(*_): raise KeyError('unthought of')\n"
        "info._facts = _facts\n"
    )  # fmt: skip
    env = {"PYTHONPATH": f"{tmp_path}:{Path(__file__).parents[2]}"}
    ran = rdbkit("info", dump, env=env)
    assert ran.status == 70
    assert re.fullmatch(r"rdbkit: internal error.*KeyError: 'unthought of' .*DEBUG=1 shows the traceback\n", ran.err)
