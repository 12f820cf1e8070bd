"""MULTI and EXEC in places where a server refuses them."""

from __future__ import annotations

import rdbkit
from rdbkit.aof.writer import command

MULTI, EXEC = command(b"MULTI"), command(b"EXEC")


def errors(data: bytes, target: str = "redis:7.0") -> list[str]:
    with rdbkit.open(data + command(b"SET", b"k", b"v"), target=target) as snapshot:
        assert [entry.key for entry in snapshot] == [b"k"]
        return [message for _, _, message in snapshot.replay.errors]


def test_an_exec_without_multi_is_an_error() -> None:
    assert errors(EXEC) == ["EXEC: ERR EXEC without MULTI"]
    assert errors(MULTI + EXEC + EXEC) == ["EXEC: ERR EXEC without MULTI"]
    assert errors(MULTI + EXEC) == []


def test_a_nested_multi_is_an_error_of_its_own() -> None:
    nested = MULTI + command(b"SET", b"k", b"1") + MULTI + command(b"INCR", b"k") + EXEC
    assert errors(nested) == ["MULTI: ERR MULTI calls can not be nested"]


def test_servers_that_do_not_wait_for_the_exec() -> None:
    """Up to 4.0.11 the commands of a transaction run at once, and so no EXEC is known to be alone."""
    assert errors(MULTI + command(b"INCR", b"k") + EXEC, "redis:3.2") == []
