"""The server's own RDB checker compared with ours, on damaged files: exit status and text."""

from __future__ import annotations

import random
import subprocess
from pathlib import Path

import pytest
from conftest import FIXTURES
from dropin.recorded import masked

from live.server import executable, version_of
from rdbkit.dropin import check_rdb as ours
from rdbkit.releases.check_tools import Tool, find

SEED = 20240711
RUNS = 150
#: A release of which every build that was met agrees; others may have fixes that ours do not know of.
KNOWN = (7, 0)
INTERESTING = (0, 1, 2, 9, 14, 18, 0x3F, 0x40, 0x7F, 0x80, 0x81, 0xC0, 0xC3, 0xC4, 0xF5, 0xFA, 0xFC, 0xFE, 0xFF)


@pytest.fixture
def tool() -> Tool:
    """Return the release that is installed, as we imitate it."""
    program = executable("server")
    if program is None:
        pytest.skip("no server that reports its version")
    product = "valkey" if "valkey" in Path(program).name else "redis"
    return find(f"{product}-{'.'.join(map(str, version_of(program)))}")


def damaged(rng: random.Random, data: bytes) -> bytes:
    """Return the data with bytes changed, removed or inserted, or cut; mostly after the header."""
    out = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        at = rng.randrange(0 if rng.random() < 0.03 else 9, len(out))
        how = rng.randrange(7)
        if how == 0:
            out[at] ^= 1 << rng.randrange(8)
        elif how == 1:
            out[at] = rng.choice(INTERESTING)
        elif how == 2:
            out[at] = rng.randrange(256)
        elif how == 3:
            del out[at : at + rng.choice((1, 1, 2, 4, 50))]
        elif how == 4:
            out[at:at] = rng.randbytes(rng.choice((1, 1, 2, 4)))
        elif how == 5:
            start = rng.randrange(len(out))
            out[at:at] = out[start : start + rng.randrange(1, 40)]
        else:
            del out[at:]
        if len(out) < 10:
            break
    return bytes(out)


def theirs(program: str, path: Path) -> tuple[int, bytes] | None:
    """Return the output of the real tool; None if it does not end."""
    try:
        done = subprocess.run([program, path.name], capture_output=True, cwd=path.parent, timeout=5)
    except subprocess.TimeoutExpired:
        return None
    return done.returncode, masked(done.stdout + done.stderr)


def test_damaged_files(check_rdb, tool, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng = random.Random(SEED)
    files = [path for path in sorted(FIXTURES.glob("redis-*/rdb-*/*.rdb")) if path.stat().st_size < 20000]
    whole = [data for data in (path.read_bytes() for path in files) if data[:9] <= b"REDIS%04d" % min(tool.rdb, 10)]
    path = tmp_path / "dump.rdb"
    different = []
    for _ in range(RUNS):
        data = damaged(rng, rng.choice(whole))
        path.write_bytes(data)
        out: list[bytes] = []
        status = ours.main(["dump.rdb"], tool, out.append, out.append)
        want = theirs(check_rdb, path)
        if want is None:
            # A module's value that is cut off: the original reads the end of the file for ever.
            assert status == 1
        elif want != (status, masked(b"".join(out))):
            different.append((data, want, out))
    assert len(different) <= (0 if tool.version[:2] == KNOWN and tool.product == "redis" else RUNS // 20), different[:3]


def test_arguments(check_rdb, tool):
    for args in ([], ["a", "b"], ["--version"], ["-v"], ["/no/such/file"], ["/tmp"]):
        done = subprocess.run([check_rdb, *args], capture_output=True, check=False)
        out: list[bytes] = []
        status = ours.main(args, tool, out.append, out.append)
        assert (status, masked(b"".join(out))) == (done.returncode, masked(done.stdout + done.stderr)), args
