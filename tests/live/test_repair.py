"""Repairs against the real tool and the real server."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import subprocess
from pathlib import Path

import pytest
from recovery.data import made

import rdbkit
from rdbkit.aof.resp import RECORD, Resp
from rdbkit.wire.cursor import Cursor


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda _: None)


def mixed(server, home: Path) -> bytes:
    """An AOF with a preamble that the server wrote, followed by commands."""
    running = server(home)
    for n in range(50):
        running.command("RPUSH", f"old:{n % 7}", n)
    running.command("SAVE")
    running.stop()
    return (home / "dump.rdb").read_bytes() + made(30)


def same(check_aof: str, home: Path, data: bytes) -> None:
    """Compare a repair with that of the tool."""
    theirs, ours = home / "theirs.aof", home / "ours.aof"
    theirs.write_bytes(data)
    ours.unlink(missing_ok=True)
    ours.write_bytes(data)
    subprocess.run([check_aof, "--fix", theirs], input=b"y\n", stdout=subprocess.DEVNULL, check=False)
    with contextlib.suppress(rdbkit.Corrupt):
        rdbkit.repair(ours, policy="fix", in_place=True, force=True)
    assert ours.read_bytes() == theirs.read_bytes(), len(data)


def test_any_cut_is_mended_as_by_the_tool(check_aof, tmp_path):
    data = made(40)
    for end in random.Random(1).sample(range(len(data) + 1), 250):
        same(check_aof, tmp_path, data[:end])


def test_any_cut_of_a_mixed_file_too(check_aof, server, tmp_path):
    home = tmp_path / "server"
    home.mkdir()
    data = mixed(server, home)
    for end in random.Random(2).sample(range(9, len(data) + 1), 80):
        same(check_aof, tmp_path, data[:end])


def test_any_byte_is_mended_as_by_the_tool(check_aof, tmp_path):
    data, rng = made(25), random.Random(3)
    for _ in range(150):
        at = rng.randrange(len(data))
        same(check_aof, tmp_path, data[:at] + rng.randbytes(1) + data[at + 1 :])


def loaded(server, home: Path, data: bytes) -> bytes:
    """Start a server on an AOF; return the digest of what it then has."""
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir()
    (home / "appendonly.aof").write_bytes(data)
    running = server(home, appendonly="yes", aof_load_truncated="no")
    digest: bytes = running.command("DEBUG", "DIGEST")
    running.stop()
    return digest


def without(data: bytes, start: int, end: int) -> bytes:
    """A valid file without the records that begin in a range."""
    resp, items = Resp(Cursor(data)), []
    while resp.batch(1000, 1, items) == RECORD:
        pass
    return b"".join(data[at:until] for at, until, _, _ in items if not start <= at < end)


def test_what_is_kept_loads(server, tmp_path):
    """Only the damaged record is lost, and the server loads the same data as from a file without it."""
    data, rng = made(120), random.Random(4)
    damaged, home = tmp_path / "damaged.aof", tmp_path / "server"
    for _ in range(12):
        at = rng.randrange(len(data) - 200)
        damaged.write_bytes(data[:at] + bytes(20) + data[at + 20 :])
        account = rdbkit.repair(damaged, output=tmp_path / "repaired.aof", force=True)
        left = (tmp_path / "repaired.aof").read_bytes()
        (dropped,) = account.files[0].dropped or (None,)
        digest = loaded(server, home, left)
        if dropped is not None:
            assert digest == loaded(server, home, without(data, dropped.start, dropped.end))


def test_a_set_loads_from_its_new_directory(server, tmp_path):
    home = tmp_path / "old"
    home.mkdir()
    running = server(home, appendonly="yes")
    if running.version < (7,):
        pytest.skip("sets came with 7.0")
    for n in range(40):
        running.command("SET", f"key:{n}", n)
    running.stop()
    (increment,) = (home / "appendonlydir").glob("*.incr.aof")
    whole = increment.read_bytes()
    increment.write_bytes(whole[:300] + b"\xff\xff" + whole[302:] + b"*3\r\n$3\r\nSE")
    new = tmp_path / "new"
    new.mkdir()
    account = rdbkit.repair(home, output=new / "appendonlydir")
    assert [one.reason for one in account.files[-1].dropped] == ["damaged", "torn"]
    other = server(new, appendonly="yes", aof_load_truncated="no")
    assert other.command("DBSIZE") == 39
