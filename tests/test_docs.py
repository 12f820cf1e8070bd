"""The README compared with the program: every option is named, every example is run, every shape is as described.

Run as a script, this writes what the examples now print into the README.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from importlib import import_module
from io import BytesIO
from pathlib import Path
from typing import Any

import click
import pytest

from rdbkit.aof.writer import command
from rdbkit.cli import COMMANDS
from rdbkit.cli import cli as group
from rdbkit.format import spec
from rdbkit.output.rows import KEY_COLUMNS
from rdbkit.rdb.writer import Writer, encode

ROOT = Path(__file__).parent.parent
FIXTURES = ROOT / "fixtures"
DUMP = FIXTURES / "redis-7.2.6" / "rdb-canonical" / "dump.rdb"
README = ROOT / "README.md"
TEXT = README.read_text(encoding="utf-8")
HOME = Path(str(import_module("rdbkit").__file__)).parent.parent
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
EXAMPLE = re.compile(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", re.MULTILINE)


def _blocks(language: str) -> list[str]:
    return [body for name, body in BLOCK.findall(TEXT) if name == language]


def _workplace(home: Path) -> dict[str, str]:
    """Fill a directory with what the examples use; return the environment to run them in."""
    home.joinpath("dump.rdb").write_bytes(DUMP.read_bytes())
    home.joinpath("cut.rdb").write_bytes(DUMP.read_bytes()[:3000])
    _aof_set(home / "appendonlydir")
    tools = home / "bin"
    tools.mkdir()
    script = tools / "rdbkit"
    script.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m rdbkit "$@"\n')
    script.chmod(0o755)
    path = f"{tools}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "PYTHONPATH": str(HOME), "LC_ALL": "C.UTF-8"}


def _aof_set(home: Path) -> None:
    """Make an AOF set: an RDB with two keys, then commands with timestamps, of which one is a FLUSHALL."""
    home.mkdir()
    base = BytesIO()
    writer = Writer(base.write, 10)
    writer.magic()
    for name, text in ((b"redis-ver", b"7.0.15"), (b"ctime", b"1795162000"), (b"aof-base", b"1")):
        writer.aux(name, text)
    writer.select_db(0)
    for key, text in ((b"user:1", b"anna"), (b"visits", b"41")):
        writer.entry(spec.STRING, key, encode(spec.STRING, text))
    writer.end()
    log = b"#TS:1795165210\r\n" + aof((b"SELECT", b"0"), (b"APPEND", b"user:1", b" smith"), (b"INCR", b"visits"))
    log += b"#TS:1795165803\r\n" + aof((b"SET", b"cart:1", b"3 apples", b"PXAT", b"1795252203000"))
    log += b"#TS:1795168800\r\n" + aof((b"FLUSHALL",), (b"SET", b"visits", b"1"))
    (home / "appendonly.aof.1.base.rdb").write_bytes(base.getvalue())
    (home / "appendonly.aof.1.incr.aof").write_bytes(log)
    (home / "appendonly.aof.manifest").write_text(
        "file appendonly.aof.1.base.rdb seq 1 type b\nfile appendonly.aof.1.incr.aof seq 1 type i\n"
    )


def aof(*commands: tuple[bytes, ...]) -> bytes:
    """Return commands as an AOF has them."""
    return b"".join(command(*words) for words in commands)


def _said(command: str, home: Path, environment: dict[str, str]) -> str:
    # Of a pipe only what its last command prints is looked at, and what all of them complain of.
    ran = subprocess.run(
        ["sh", "-c", command],
        cwd=home, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        timeout=600, check=False,
    )  # fmt: skip
    text = ran.stdout.decode("utf-8", "backslashreplace").replace("\r", "")
    return text if not text or text.endswith("\n") else text + "\n"


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    home = tmp_path_factory.mktemp("readme")
    return home, _workplace(home)


# -- examples --------------------------------------------------------------------------------------------------------


EXAMPLES = [found for block in _blocks("console") for found in EXAMPLE.findall(block)]


def test_there_are_examples_of_every_command() -> None:
    called = {command.split("rdbkit ")[1].split()[0] for command, _ in EXAMPLES if "rdbkit " in command}
    assert called >= {"info", "check", "keys", "get", "export"}


@pytest.mark.parametrize(("command", "shown"), EXAMPLES, ids=[command for command, _ in EXAMPLES])
def test_an_example_prints_what_is_shown(workplace: tuple[Path, dict[str, str]], command: str, shown: str) -> None:
    assert _said(command, *workplace) == shown


@pytest.mark.parametrize("code", _blocks("python"))
def test_python_runs(workplace: tuple[Path, dict[str, str]], code: str) -> None:
    home, environment = workplace
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=home, env=environment, capture_output=True, timeout=600, check=False
    )
    assert (ran.returncode, ran.stderr) == (0, b"")
    assert ran.stdout


def test_json_examples_are_json() -> None:
    for block in _blocks("json"):
        for line in block.splitlines():
            json.loads(line)


def test_the_two_commands_work_on_what_is_there() -> None:
    first, second = [
        line for block in _blocks("sh") for line in block.splitlines() if line.startswith("python3 -m venv")
    ]
    for word in shlex.split(first):
        if word.startswith("fixtures/"):
            assert (ROOT / word).is_file(), word
    assert ".venv/bin/rdbkit check " in first
    assert ".venv/bin/rdbkit keys " in first
    assert second.endswith("&& .venv/bin/pytest")
    assert "readme pytest" in (ROOT / ".ci" / "run").read_text()


def test_scripts_that_are_named_exist() -> None:
    for path in re.findall(r"\b((?:benchmarks|tests)/\w+\.py)\b", TEXT):
        assert (ROOT / path).is_file(), path
    for block in _blocks("sh"):
        for script, rest in re.findall(r"python (benchmarks/\w+\.py) (.*)", block):
            source = (ROOT / script).read_text()
            assert all(option in source for option in re.findall(r"--\w+", rest))


# -- names -----------------------------------------------------------------------------------------------------------


def _commands() -> dict[str, click.Command]:
    context = click.Context(group)
    found = {name: group.get_command(context, name) for name in COMMANDS}
    return {name: command for name, command in found.items() if command is not None}


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_and_option_is_named(name: str) -> None:
    assert f"`{name} " in TEXT, f"the README does not name the command {name}"
    for parameter in _commands()[name].params:
        if isinstance(parameter, click.Option) and not parameter.hidden:
            for option in (*parameter.opts, *parameter.secondary_opts):
                assert re.search(rf"(?<![\w-]){re.escape(option)}(?![\w-])", TEXT), f"{name} {option}"


def test_no_command_or_option_is_made_up() -> None:
    # --fix belongs to the tool that check-aof replaces.
    known = {"--help", "--version", "--fix"}
    for each in _commands().values():
        for parameter in each.params:
            known |= {*parameter.opts, *parameter.secondary_opts}
    tables = "\n".join(line for line in TEXT.splitlines() if line.startswith("| `"))
    assert set(re.findall(r"`[^`]*?(--[a-z-]+)", tables)) <= known
    assert set(re.findall(r"`rdbkit ([a-z-]+)[ `]", TEXT)) <= set(COMMANDS) | {"--version"}


def test_choices_are_spelled_out() -> None:
    for each in _commands().values():
        for parameter in each.params:
            if isinstance(parameter.type, click.Choice) and parameter.name != "sort":
                for choice in parameter.type.choices:
                    assert re.search(rf"(?<![\w-]){re.escape(str(choice))}(?![\w-])", TEXT), (
                        f"{parameter.name}: {choice}"
                    )


# -- shapes ----------------------------------------------------------------------------------------------------------


def _section(title: str) -> str:
    return TEXT.split(f"\n### {title}\n")[1].split("\n## ")[0].split("\n### ")[0]


def _columns(section: str) -> list[str]:
    """The names in the first cells of a section's table."""
    cells = [line.split(" | ")[0] for line in section.splitlines() if line.startswith("| `")]
    return [name for cell in cells for name in re.findall(r"`([^`]+)`", cell)]


def test_columns_of_keys() -> None:
    assert _columns(_section("`keys`")) == [column.name for column in KEY_COLUMNS]
    assert list(json.loads(_blocks("json")[0])) == [column.name for column in KEY_COLUMNS]


def test_columns_of_check() -> None:
    from rdbkit.cli.check import COLUMNS

    assert _columns(_section("`check`")) == [column.name for column in COLUMNS]


def test_fields_of_info(workplace: tuple[Path, dict[str, str]]) -> None:
    facts = json.loads(_said("rdbkit info dump.rdb -f json", *workplace))
    assert set(_columns(_section("`info`"))) == set(facts) | {"type", "encoding", "elements"}
    section = _section("`info`")
    for name in ("functions", "databases"):
        assert all(f'"{inner}"' in section for inner in facts[name][0])


def _names(value: Any) -> set[str]:
    if isinstance(value, dict):
        return set(value) | {name for inner in value.values() for name in _names(inner)}
    return {name for inner in value for name in _names(inner)} if isinstance(value, list) else set()


def test_shapes_of_export(workplace: tuple[Path, dict[str, str]]) -> None:
    section = _section("`export`")
    for path, type_name in ((DUMP, "stream"), (FIXTURES / "redis-8.6.3" / "rdb-canonical" / "dump.rdb", "stream"),
                            (FIXTURES / "redis-7.2.6" / "rdb-module" / "dump.rdb", "module")):  # fmt: skip
        rows = [
            json.loads(line)
            for line in _said(f"rdbkit export -q {path} --type {type_name}", *workplace).split("\n")[:-1]
        ]
        assert rows
        for row in rows:
            assert list(row)[:5] == ["db", "key", "type", "expires_at", "value"]
            missing = [name for name in _names(row["value"]) if f'"{name}"' not in section]
            assert missing == []
    expiring = _said(f"rdbkit export -q {FIXTURES}/redis-7.4.1/rdb-canonical/dump.rdb --type hash", *workplace)
    assert '"field_expires_at":{' in expiring
    assert "`field_expires_at`" in section


def test_exit_codes_are_described() -> None:
    codes = TEXT.split("\n## Exit codes\n")[1].split("\n## ")[0]
    for code in ("0", "1", "2", "3", "4", "5", "70", "130, 141"):
        assert f"\n| {code} | " in codes


def test_dependencies_are_explained() -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [
        *project["dependencies"],
        *(one for extra in ("zstd", "lz4", "lzf") for one in project["optional-dependencies"][extra]),
    ]
    for requirement in wanted:
        assert f"`{re.split('[<>=]', requirement)[0]}`" in TEXT, requirement


def _refresh() -> None:
    from tempfile import TemporaryDirectory

    with TemporaryDirectory() as name:
        home = Path(name)
        environment = _workplace(home)

        def refreshed(block: re.Match[str]) -> str:
            if block[1] != "console":
                return block[0]
            commands = [command for command, _ in EXAMPLE.findall(block[2])]
            return "```console\n" + "".join(f"$ {one}\n{_said(one, home, environment)}" for one in commands) + "```"

        README.write_text(BLOCK.sub(refreshed, TEXT), encoding="utf-8")


if __name__ == "__main__":
    _refresh()
