"""What a server does with an AOF at start, and which server is meant where none is given."""

from __future__ import annotations

import json
from typing import Any

import pytest

from rdbkit.aof.writer import command

SET = command(b"SET", b"k", b"v")
HPEXPIREAT = command(b"HPEXPIREAT", b"h", b"1999999999999", b"FIELDS", b"1", b"f")
ARITY = command(b"SET", b"k")


def startup(build: Any, data: bytes, target: str | None = None) -> tuple[Any, list[Any]]:
    targets = build("releases.target").Target
    goal = targets.of_aof(in_parts=False) if target is None else targets.parse(target)
    found = build("aof.startup").Startup(build("wire.cursor").Cursor(data), goal)
    return found, list(found.load())


@pytest.mark.parametrize(
    ("data", "target"),
    [
        (SET, "redis:6.2.16"),
        (SET + b"#TS:1\r\n" + SET, "redis:7.0.15"),
        (SET + HPEXPIREAT, "redis:7.4.0"),
        (HPEXPIREAT + b"#TS:1\r\n" + command(b"HSETEX", b"h", b"FIELDS", b"1", b"f", b"v"), "redis:8.0.0"),
        (command(b"DELIFEQ", b"k", b"v"), "valkey:9.0.0"),
        (command(b"FUNCTION", b"FLUSH"), "redis:7.0.0"),
        (command(b"XGROUP", b"CREATECONSUMER", b"s", b"g", b"c"), "redis:6.2.16"),
        (command(b"NOSUCH", b"k"), "redis:6.2.16"),
    ],
)
def test_commands_prove_a_release(build: Any, data: bytes, target: str) -> None:
    """A target that is only assumed becomes the first release that knows what the file holds."""
    found, _ = startup(build, data)
    assert str(found.target) == target
    given, remarks = startup(build, data, target)
    assert (found.verdict(), [remark.code for remark in remarks]) == (
        given.verdict(),
        ["unknown-command"] if b"NOSUCH" in data else [],
    )


@pytest.mark.parametrize(
    ("target", "starts", "known"),
    [
        ("redis:7.0.15", False, "available since redis:7.4.0 and valkey:9.0.0"),
        ("redis:7.4.1", True, ""),
        ("valkey:8.1.1", False, "available since redis:7.4.0 and valkey:9.0.0"),
        ("valkey:9.0.0", True, ""),
    ],
)
def test_a_command_of_a_later_release(build: Any, target: str, starts: bool, known: str) -> None:
    """hexpire.aof: 7.0.15 refuses it; each product has the command from a release of its own on."""
    found, remarks = startup(build, SET + HPEXPIREAT, target)
    assert found.verdict().starts is starts
    assert [known in remark.message for remark in remarks] == [True] * (not starts)
    assert found.verdict().at == (None if starts else len(SET))


@pytest.mark.parametrize(
    ("target", "data", "starts", "certain"),
    [
        # Recorded starts: Valkey 9.0.0, 9.1.0 and 9.1.2 stop; Redis 6.2.14, 7.0.15 and 8.2.3 run it or crash.
        ("valkey:9.0.0", SET + ARITY, False, True),
        ("redis:8.2.3", SET + ARITY, False, False),
        ("redis:8.2.3", SET + ARITY + SET[:9], False, False),
        ("redis:8.2.3", SET + ARITY + b"garbage", False, True),
        ("redis:8.2.3", SET + ARITY + command(b"NOSUCH"), False, True),
    ],
)
def test_too_few_arguments(build: Any, target: str, data: bytes, starts: bool, certain: bool) -> None:
    found, remarks = startup(build, data, target)
    assert (found.verdict().starts, found.verdict().certain, found.verdict().cut) == (starts, certain, None)
    assert remarks[0].code == "bad-arity"


@pytest.mark.parametrize(
    ("target", "starts"), [("redis:6.2.14", True), ("redis:7.0.15", False), ("valkey:9.1.2", False)]
)
def test_unknown_subcommands(build: Any, target: str, starts: bool) -> None:
    """Before 7.0 the server logs an error and goes on (recorded starts of 6.2.14)."""
    found, remarks = startup(build, SET + command(b"CONFIG", b"NOPE"), target)
    assert found.verdict().starts is starts
    assert [remark.code for remark in remarks] == ["unknown-command"]


@pytest.mark.parametrize(
    ("data", "target"),
    [(SET, "redis:6.2.16"), (SET + HPEXPIREAT, "redis:7.4.0"), (SET + b"#TS:1\r\n" + SET, "redis:7.0.15")],
)
def test_info_and_check_assume_the_same_server(tmp_path: Any, data: bytes, target: str) -> None:
    from cli.run import rdbkit as run

    path = tmp_path / "a.aof"
    path.write_bytes(data)
    found = json.loads(run("info", path, "-f", "json").out)
    assert (found["target"], found["target"] in run("check", path).lines[-1]) == (target, True)


@pytest.mark.parametrize(("target", "starts"), [("redis:6.2.14", False), ("redis:7.0.15", True)])
def test_a_command_with_subcommands_that_is_new(build: Any, target: str, starts: bool) -> None:
    """FUNCTION is no command of 6.2, whatever its subcommand: 6.2.14 does not start with it (recorded)."""
    found, remarks = startup(build, SET + command(b"FUNCTION", b"FLUSH"), target)
    assert found.verdict().starts is starts
    assert [remark.code for remark in remarks] == ([] if starts else ["unknown-command"])
