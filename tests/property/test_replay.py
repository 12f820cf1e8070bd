"""Any AOF, whole, cut or changed, is replayed without any other error than rdbkit's, and on both builds alike.

The commands are those of live/sequences.py as a client sends them, so that also refused ones are in the file. An offset
of a bit or byte that a server accepts takes as much memory as it says, so no change makes one of more than 70,000.
"""

from __future__ import annotations

import os
import random
import time
import tracemalloc
from typing import Any

import pytest
from conftest import Build
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from live.account import words
from live.sequences import Command, Sequence

quick = settings(
    max_examples=int(os.environ.get("RDBKIT_EXAMPLES", "40")), deadline=None, suppress_health_check=list(HealthCheck)
)
TARGETS = [
    "redis:2.8.24",
    "redis:4.0.14",
    "redis:6.2.16",
    "redis:7.0.15",
    "redis:7.4.1",
    "redis:8.10.2",
    "valkey:9.1.2",
]
NOW = 1_800_000_000_000
#: What takes the place of an argument.
ODD = (
    b"", b"0", b"-1", b"7", b"65536", b"8589934592", b"9223372036854775807", b"-9223372036854775808", b"1e400", b"nan",
    b"18446744073709551616", b"inf", b"abc", b"(", b"[", b"-", b"+", b"$", b"*", b">", b"5-", b"1-1", b"FIELDS",
    b"STORE", b"LIMIT", b"COUNT", b"EX", b"\0", b"k" * 300,
)  # fmt: skip
#: Seconds and bytes for a file of at most 100 KB.
TIME, MEMORY = 5.0, 40_000_000


def _changed(draw: random.Random, commands: list[Command]) -> list[Command]:
    """Return commands of which some have other arguments, fewer, or more."""
    found = []
    for one in commands:
        args = list(one)
        how = draw.random()
        if how < 0.04:
            args[draw.randrange(len(args))] = draw.choice(ODD)
        elif how < 0.07 and len(args) > 1:
            del args[draw.randrange(1, len(args))]
        elif how < 0.1:
            args.insert(draw.randrange(1, len(args) + 1), draw.choice(ODD))
        elif how < 0.12:
            args = [args[0], *(draw.choice(ODD) for _ in range(draw.randrange(6)))]
        elif how < 0.14 and len(args) > 1:
            # A key of another command, mostly of another type.
            other = draw.choice(commands)
            args[1] = other[1] if len(other) > 1 else b"k"
        found.append(tuple(args))
    return found


@st.composite
def logs(draw: Any) -> bytes:
    """Return an AOF: made commands, some changed, then cut or with a few changed bytes."""
    seed = draw(st.integers(0, 1 << 32))
    commands = list(Sequence(seed, size=draw(st.integers(1, 70))).commands())
    source = random.Random(seed)
    if draw(st.booleans()):
        commands = _changed(source, commands)
    data = b"".join(words(*one) for one in commands)
    how = draw(st.integers(0, 3))
    if how == 1:
        return data[: draw(st.integers(0, len(data)))]
    if how == 2:
        damaged = bytearray(data)
        for _ in range(draw(st.integers(1, 4))):
            at = draw(st.integers(0, len(data) - 1))
            # Another digit in place of one leaves a number as long as it was.
            damaged[at] = source.choice(b"0123456789") if data[at : at + 1].isdigit() else source.randrange(256)
        return bytes(damaged)
    return data


def read(build: Build, data: bytes, target: str | None) -> list[Any]:
    """Return all that a replay says, and the error that ended it."""
    found: list[Any] = []
    try:
        with build.rdbkit.open(data, target=target, now=NOW) as snapshot:
            snapshot.model()
            replay = snapshot.replay if hasattr(snapshot, "replay") else None
            found.append((replay.commands, replay.failed, replay.errors) if replay else None)
            for entry in snapshot:
                row = (entry.db, entry.key, entry.type, entry.encoding, entry.expires_at, entry.memory, entry.memory_sd)
                found.append((*row, repr(entry.value), repr(entry.field_expires_at)))
            found += [snapshot.uncertain, snapshot.doubts] if replay else []
    except build.errors.RdbkitError as error:
        found.append((type(error).__name__, error.code, error.offset, str(error)))
    return found


def keys(found: list[Any]) -> list[Any]:
    return [row for row in found if isinstance(row, tuple) and len(row) == 9]


@quick
@given(data=logs(), target=st.sampled_from([*TARGETS, None]))
def test_any_log(build: Build, data: bytes, target: str | None) -> None:
    start = time.process_time()
    read(build, data, target)
    assert time.process_time() - start < TIME


@quick
@given(data=logs(), target=st.sampled_from(TARGETS))
def test_the_builds_agree(builds: tuple[Build, Build], data: bytes, target: str) -> None:
    pure, compiled = (read(build, data, target) for build in builds)
    assert pure == compiled


@quick
@given(seed=st.integers(0, 1 << 32), size=st.integers(1, 60), cut=st.floats(0, 1))
def test_a_prefix_has_its_commands(build: Build, seed: int, size: int, cut: float) -> None:
    """The keys of a file that is cut are those of the whole commands before the cut."""
    parts = [words(*one) for one in Sequence(seed, size=size).commands() if one[0] not in ("MULTI", "EXEC")]
    data = b"".join(parts)
    at = int(cut * len(data))
    whole, end = 0, 0
    while whole < len(parts) and end + len(parts[whole]) <= at:
        end += len(parts[whole])
        whole += 1
    rows = read(build, data[:end], "redis:8.10.2") if end else [None]
    again = read(build, data[:at], "redis:8.10.2") if at else [None]
    if at == end:
        assert again == rows
    elif end:
        assert again[-1][0] in ("Truncated", rows[-1][0] if rows[-1] else "")
        assert keys(again) == keys(rows)


@pytest.mark.parametrize("seed", range(6))
def test_memory_is_bounded(build: Build, seed: int) -> None:
    draw = random.Random(seed)
    commands = _changed(draw, list(Sequence(seed, size=150).commands()))
    data = b"".join(words(*one) for one in commands)
    read(build, data[:500], "redis:8.10.2")
    tracemalloc.start()
    try:
        read(build, data, "redis:8.10.2")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < MEMORY
