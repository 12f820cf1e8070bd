"""The server's own AOF checker compared with ours, on whole and damaged files: status, text, and the files left."""

from __future__ import annotations

import io
import os
import random
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import FIXTURES
from dropin.recorded import masked

from live.server import executable, version_of
from rdbkit.aof.writer import command
from rdbkit.dropin import check_aof as ours
from rdbkit.releases.check_tools import Tool, find

SEED = 20240711
RUNS = 200
PREAMBLE = (FIXTURES / "redis-7.0.15/rdb-canonical/dump.rdb").read_bytes()

WORDS = (b"SET", b"multi", b"EXEC", b"EXPIRE", b"mset", b"HSET", b"Multi", b"DISCARD", b"SELECT", b"exec\0x")
VALUES = (
    b"",
    b"0",
    b"file",
    b"\r\n",
    b"*2\r\n$1\r\n",
    b"\xff" * 5,
    b"x" * 200,
    b"12345678901",
    b"a\nfile\n",
    b"k" * 70000,
)
ODD = (
    b"\0", b"\n", b"\r\n", b"*", b"$", b"#", b"#TS:1\r\n", b"#TS:99999\r\n", b"#x\n", b"*0\r\n", b"*-1\r\n", b"$-1\r\n",
    b"*1\r\n", b"file x seq 1 type b\n", b"$99999999999999999999\r\n", b"*9999999999\r\n", b" ", b"+", b"0", b"9",
    b"\xe9", b"$4\r\nEXEC\r\n", b"*1\r\n$5\r\nMULTI\r\n", b"*1\r\n$4\r\nexec\r\n", b"1" * 130,
    b"#" + b"y" * 1100 + b"\r\n",
)  # fmt: skip


def record(rng: random.Random) -> bytes:
    if rng.random() < 0.1:
        return b"#TS:%d\r\n" % rng.randrange(100)
    return command(rng.choice(WORDS), *rng.choices(VALUES[:-1], k=rng.randrange(4)))


def transaction(rng: random.Random) -> bytes:
    return command(b"MULTI") + b"".join(record(rng) for _ in range(3)) + command(b"EXEC")


def whole(rng: random.Random) -> bytes:
    """Return a file, mostly one that a server could have written."""
    preamble = PREAMBLE if rng.random() < 0.02 else b""
    long = command(b"SET", b"k", VALUES[-1]) if rng.random() < 0.05 else b""
    plain = [command(b"SET", b"k%d" % i, b"v" * rng.randrange(30)) for i in range(rng.randrange(8))]
    odd = [rng.choice((record, transaction))(rng) for _ in range(rng.randrange(3))]
    return preamble + long + b"".join(rng.sample(plain + odd, len(plain + odd)))


def damaged(rng: random.Random, data: bytes, first: int = 0) -> bytes:
    """Return the data cut, or with bytes changed, removed or inserted, all after its first bytes."""
    for _ in range(rng.choice((0, 1, 1, 1, 2, 3))):
        at = rng.randrange(first, len(data) + 1)
        how = rng.randrange(6)
        if how == 0:
            data = data[:at]
        elif how == 1:
            data = data[:at] + bytes((rng.randrange(256),)) + data[at + 1 :]
        elif how == 2:
            data = data[:at] + data[at + rng.randrange(20) :]
        elif how in (3, 4):
            data = data[:at] + rng.choice(ODD) + data[at + rng.randrange(2) :]
        else:
            data += rng.choice((b"\0" * 20, b"\n", data[: rng.randrange(50)]))
    return data


def preamble_length(data: bytes) -> int:
    """Return where the commands start: damage before that is test_check_rdb's."""
    return len(PREAMBLE) if data.startswith(PREAMBLE) else 0


def arguments(rng: random.Random, name: str) -> list[str]:
    return rng.choice(
        ([name], ["--fix", name], ["--fix", name], ["--truncate-to-timestamp", str(rng.randrange(60)), name])
    )


def both(tool: Tool, program: str, args: list[str], answer: bytes, root: Path, data: dict[str, bytes]) -> list[Any]:
    """Run the real tool and ours on the same files; return what each did."""
    came = []
    for run in (_theirs(program), _ours(tool)):
        for name, content in data.items():
            (root / name).write_bytes(content)
        status, text = run(args, answer, root)
        came.append((status, masked(text), {name: (root / name).read_bytes() for name in data}))
    return came


def _theirs(program: str) -> Callable[..., tuple[int, bytes]]:
    def run(args: list[str], answer: bytes, root: Path) -> tuple[int, bytes]:
        done = subprocess.run([program, *args], input=answer, capture_output=True, cwd=root, timeout=60)
        return done.returncode, done.stdout + done.stderr

    return run


def _ours(tool: Tool) -> Callable[..., tuple[int, bytes]]:
    def run(args: list[str], answer: bytes, root: Path) -> tuple[int, bytes]:
        out = io.BytesIO()
        before = Path.cwd()
        os.chdir(root)
        try:
            return ours.main(args, tool, out, io.BytesIO(answer)), out.getvalue()
        finally:
            os.chdir(before)

    return run


@pytest.fixture
def tool() -> Tool:
    """Return the release that is installed, as we imitate it."""
    program = executable("server")
    if program is None:
        pytest.skip("no server that reports its version")
    product = "valkey" if "valkey" in Path(program).name else "redis"
    return find(f"{product}-{'.'.join(map(str, version_of(program)))}")


def test_single_files(check_aof, tool, tmp_path):
    rng = random.Random(SEED)
    for _ in range(RUNS):
        data = whole(rng)
        files = {"a.aof": damaged(rng, data, preamble_length(data))}
        theirs, mine = both(tool, check_aof, arguments(rng, "a.aof"), rng.choice((b"y\n", b"n\n")), tmp_path, files)
        assert mine == theirs, files


def test_sets(check_aof, tool, tmp_path):
    rng = random.Random(SEED)
    for _ in range(RUNS // 3):
        files = {name: whole(rng) for name in ("b", "i 1", "i2")}
        files["m"] = b"file b seq 1 type b\nfile 'i 1' seq 1 type i\nfile h seq 1 type h\nfile i2 seq 2 type i\n"
        broken = rng.choice((*files, "i2"))
        files[broken] = damaged(rng, files[broken], preamble_length(files[broken]))
        theirs, mine = both(tool, check_aof, arguments(rng, "m"), b"y\n", tmp_path, files)
        assert mine == theirs, files
