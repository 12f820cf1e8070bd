"""What real servers do at start with random damaged AOFs, compared with the one verdict of rdbkit.aof.startup.

    RDBKIT_STARTS=500 RDBKIT_TEST_SERVERS=/path/of/a/server pytest tests/live/test_startup.py

Whether it starts, and the size of the file after that, must be the same. Left out is only what is undefined: commands
with too few arguments on servers that do not count them (Start.certain).
"""

from __future__ import annotations

import os
import random
from pathlib import Path
from typing import Any

import pytest

from live import servers
from live.servers import Build
from live.starts import starts
from rdbkit.aof.writer import command
from rdbkit.checks.file import FileCheck
from rdbkit.releases.target import Target

#: Files for each server.
STARTS = int(os.environ.get("RDBKIT_STARTS", "12"))
SEED = int(os.environ.get("RDBKIT_SEED", "0"))


def damaged(rng: random.Random, preamble: bytes) -> bytes:
    """Return an AOF, with or without an RDB at its head, mostly with something wrong at its end or inside."""
    head = preamble if rng.random() < 0.3 else b""
    records = b"".join(_record(rng) for _ in range(rng.randrange(8)))
    data = head + records
    how = rng.random()
    if how < 0.4 and records:
        return data[: rng.randrange(len(head), len(data) + 1)]
    if how < 0.5:
        at = rng.randrange(len(head), len(data) + 1)
        return data[:at] + rng.randbytes(1) + data[at:]
    if how < 0.6 and records:
        at = rng.randrange(len(head), len(data))
        return data[:at] + rng.randbytes(1) + data[at + 1 :]
    if how < 0.66:
        return data + b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$%d\r\nab" % rng.choice([10, 1 << 20, 1 << 31, 1 << 62])
    if how < 0.72:
        return data + bytes(rng.randrange(1, 40))
    if how < 0.78:
        return data + command(b"MULTI") + command(b"SET", b"m", b"1")
    if how < 0.86:
        torn = command(b"SET", b"m", b"2")[: -rng.randrange(1, 8)]
        return data + command(b"MULTI") + command(b"SET", b"m", b"1") + torn
    if how < 0.9:
        return data + b"#TS:17" + rng.choice([b"", b"\r\n", b"\n"])
    return data


def _record(rng: random.Random) -> bytes:
    chance = rng.random()
    if chance < 0.4:
        return command(b"SET", b"k%d" % rng.randrange(5), b"v" * rng.randrange(30))
    return rng.choice(
        [
            command(b"SELECT", b"%d" % rng.choice([0, 1, 20])),
            command(b"MULTI"),
            command(b"MULTI"),
            command(b"EXEC"),
            command(b"EXEC"),
            command(b"DISCARD"),
            b"#TS:1700000000\r\n",
            command(b"RPUSH", b"l", b"a", b"b"),
            command(b"INCR", b"l"),
            command(b"FLUSHALL"),
            command(b"GET", b"k1"),
            command(b"NOSUCH", b"NOPE"),
            command(b"FUNCTION", b"FLUSH"),
            command(rng.choice([b"CLIENT", b"CONFIG", b"XGROUP"]), b"NOPE"),
            command(b"HPEXPIREAT", b"h", b"1999999999999", b"FIELDS", b"1", b"f"),
            command(b"HSETEX", b"h", b"FIELDS", b"1", b"f", b"v"),
            command(rng.choice([b"SET", b"INCR", b"HSET"]), b"k"),
            b"*2\n$4\nINCR\n$1\nq\n",
        ]
    )


def _lay(build: Build, home: Path, data: bytes) -> Path:
    """Put a file where the server looks for its AOF; return it."""
    home.mkdir(parents=True)
    if not build.since((7, 0)):
        file = home / "appendonly.aof"
        file.write_bytes(data)
        return file
    directory = home / "appendonlydir"
    directory.mkdir()
    is_base = data.startswith((b"REDIS", b"VALKEY"))
    file = directory / ("appendonly.aof.1.base.rdb" if is_base else "appendonly.aof.1.incr.aof")
    file.write_bytes(data)
    manifest = f"file {file.name} seq 1 type {'b' if is_base else 'i'}\n"
    (directory / "appendonly.aof.manifest").write_text(manifest)
    return file


def started(build: Build, home: Path, data: bytes) -> tuple[bool, int]:
    """Start a server with an AOF; return whether it came up, and the size of the file then."""
    file = _lay(build, home, data)
    return starts(build, home, "--appendonly", "yes"), file.stat().st_size


def verdict(build: Build, path: Path, data: bytes) -> tuple[bool, int] | None:
    """Return what rdbkit says of the same file, None where that is undefined."""
    path.write_bytes(data)
    is_base = data.startswith((b"REDIS", b"VALKEY"))
    role = "single" if not build.since((7, 0)) else "base" if is_base else "incr"
    part = FileCheck(
        str(path), target=Target.parse(f"{build.product}:{build.name.split('-')[1]}"), role=role, commands=True
    )
    list(part.findings())
    if part.is_empty:
        return True, 0
    if part.aof is None:
        # An RDB, or what may be the begin of one, that is damaged.
        assert not part.complete
        return False, len(data)
    start = part.aof.start
    if not start.certain:
        return None
    return start.starts, len(data) if start.cut is None else start.cut


@pytest.fixture(scope="module")
def preambles(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """An RDB of each version of server, made by itself."""
    return {}


def _preamble(build: Build, home: Path, made: dict[str, bytes]) -> bytes:
    if str(build) not in made:
        home.mkdir()
        assert starts(build, home, commands=b"SET k v\r\nSAVE\r\n")
        made[str(build)] = (home / "dump.rdb").read_bytes()
    return made[str(build)]


@pytest.mark.parametrize("build", servers.found(), ids=str)
def test_the_verdict_is_what_the_server_does(build: Build, tmp_path: Path, preambles: dict[str, bytes]) -> None:
    preamble = _preamble(build, tmp_path / "preamble", preambles)
    differ: list[Any] = []
    for number in range(SEED, SEED + STARTS):
        data = damaged(random.Random(number), preamble)
        want = verdict(build, tmp_path / f"{number}.aof", data)
        got = started(build, tmp_path / f"home{number}", data)
        if want is not None and want != got:
            differ.append({"seed": number, "verdict": want, "server": got, "data": data[-400:]})
    assert differ == []
