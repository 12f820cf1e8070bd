"""What a server does with an AOF at start: check and repair --policy server agree on any bytes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import rdbkit
from rdbkit.aof.writer import command
from rdbkit.releases.table import RELEASES
from rdbkit.releases.target import Target

TARGETS = [
    *(f"{product}:{'.'.join(map(str, row.version))}" for product, rows in RELEASES.items() for row in rows),
    "redis:2.8.14",
    "redis:2.8.15",
    "redis:4.0.11",
    "redis:4.0.12",
    "valkey:9.1.1",
    "valkey:9.1.2",
]
NAMES = [
    b"SET",
    b"set",
    b"RPUSH",
    b"MULTI",
    b"EXEC",
    b"DISCARD",
    b"SELECT",
    b"HPEXPIREAT",
    b"CONFIG",
    b"NOPE",
    b"JSON.SET",
]
WORDS = st.sampled_from([b"", b"k", b"0", b"1", b"99", b"v" * 40, b"\r\n", b"GET", b"NOPE", b"$3\r\nabc\r\n"])
COMMANDS = st.builds(lambda name, args: command(name, *args), st.sampled_from(NAMES), st.lists(WORDS, max_size=3))
PIECES = st.one_of(
    COMMANDS,
    COMMANDS,
    st.just(command(b"SET", b"k", b"v")),
    st.sampled_from([b"#TS:1700000000\r\n", b"#\n", b"*1\n$4\nPING\n", b"*0\r\n", bytes(20), b"garbage"]),
    st.builds(
        lambda n: b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$%d\r\nab" % n,
        st.sampled_from([9, 1 << 33, 1 << 46, 1 << 48, 1 << 62]),
    ),
    st.binary(max_size=12),
)


@st.composite
def logs(draw: Any) -> bytes:
    data = b"".join(draw(st.lists(PIECES, max_size=7)))
    how = draw(st.integers(0, 3))
    if how == 1:
        return data[: draw(st.integers(0, len(data)))]
    if how == 2 and data:
        at = draw(st.integers(0, len(data) - 1))
        return data[:at] + draw(st.binary(max_size=3)) + data[at + 1 :]
    return data


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """No fsync: it is slow, and no test here needs it."""
    monkeypatch.setattr(os, "fsync", lambda _: None)


def attempted(path: Path, target: Target) -> int | str:
    """Return the size that a repair leaves, or the code with which it refuses."""
    try:
        return rdbkit.repair(path, policy="server", target=target, dry_run=True).files[0].kept
    except rdbkit.RdbkitError as error:
        return error.code


@example(data=command(b"MULTI") + command(b"EXEC", b""), target="redis:2.4.18")
@example(data=command(b"MULTI") + command(b"EXEC", b""), target="valkey:9.1.2")
@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=logs(), target=st.sampled_from(TARGETS))
def test_check_and_repair_agree(tmp_path: Path, data: bytes, target: str) -> None:
    from rdbkit.checks.file import FileCheck

    path = tmp_path / "a.aof"
    path.write_bytes(data)
    goal = Target.parse(target)
    part = FileCheck(str(path), target=goal, commands=True)
    codes = [finding.code for finding in part.findings()]
    if part.aof is None:
        assert part.is_empty or codes
        return
    start = part.aof.start
    left = len(data) if start.cut is None else start.cut
    if start.starts:
        assert attempted(path, goal) in ((left,) if left else (0, "nothing-left"))
    else:
        assert isinstance(attempted(path, goal), str)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=logs(), target=st.sampled_from(TARGETS))
def test_what_a_server_leaves_it_starts_with(tmp_path: Path, data: bytes, target: str) -> None:
    """After the cut the verdict is a start without a cut, but for a transaction that was left open."""
    from rdbkit.checks.file import FileCheck

    path = tmp_path / "a.aof"
    path.write_bytes(data)
    part = FileCheck(str(path), target=Target.parse(target), commands=True)
    list(part.findings())
    if part.aof is None or not part.aof.start.starts or not part.aof.start.cut:
        return
    path.write_bytes(data[: part.aof.start.cut])
    again = FileCheck(str(path), target=Target.parse(target), commands=True)
    list(again.findings())
    assert again.aof is not None
    assert again.aof.start.starts
    assert again.aof.start.cut is None or again.aof.startup.multi is not None
