"""Commands on an AOF that begins with an RDB in the envelope of Valkey 9.2."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from checks.test_envelope import PREAMBLE, SET, rdb
from test_source import vcs

from cli.run import rdbkit

HEAD = rdb(head=PREAMBLE)


@pytest.fixture(params=[1, 2], ids=["lz4", "zstd"])
def aof(request: Any, tmp_path: Path) -> Path:
    path = tmp_path / "appendonly.aof"
    path.write_bytes(vcs(HEAD, codec=request.param) + SET + SET)
    return path


def test_info(aof: Path) -> None:
    ran = rdbkit("info", aof, "-f", "json", "--target", "valkey:9.1")
    assert ran.status == 0
    assert '"kind": "mixed"' in ran.out
    assert '"commands": 2' in ran.out
    assert "VCS envelope" in ran.out


def test_commands(aof: Path) -> None:
    ran = rdbkit("commands", aof, "-f", "jsonl")
    assert ran.status == 0
    assert [row["offset"] for row in ran.rows] == [len(HEAD), len(HEAD) + len(SET)]


def test_split(aof: Path, tmp_path: Path) -> None:
    """Into a plain RDB and the commands."""
    ran = rdbkit("split", aof, "--rdb", tmp_path / "head.rdb", "--aof", tmp_path / "tail.aof")
    assert ran.status == 0, ran.err
    assert (tmp_path / "head.rdb").read_bytes() == HEAD
    assert (tmp_path / "tail.aof").read_bytes() == SET + SET


@pytest.mark.parametrize("policy", ["keep-most", "fix", "server"])
def test_repair(aof: Path, policy: str) -> None:
    """The envelope is kept as it is."""
    whole = aof.read_bytes()
    aof.write_bytes(whole[:-3])
    ran = rdbkit("repair", aof, "--policy", policy, "--target", "valkey:9.2")
    assert ran.status == 5, ran.err
    assert aof.with_name("appendonly.aof.repaired").read_bytes() == whole[: -len(SET)]


def test_repair_refuses(aof: Path) -> None:
    whole = aof.read_bytes()
    ran = rdbkit("repair", aof, "--until-offset", len(HEAD))
    assert ran.status == 2
    assert "offsets after a VCS envelope" in ran.err
    aof.write_bytes(whole[:40] + bytes(9) + whole[49:])
    assert rdbkit("repair", aof).status == 1
    aof.write_bytes(whole[:-3])
    ran = rdbkit("repair", aof, "--policy", "server", "--target", "valkey:9.1")
    assert ran.status == 1
    assert "VCS envelope" in ran.err


def test_repair_of_a_set(aof: Path) -> None:
    manifest = b"file base.rdb seq 1 type b\nfile a.1.incr.aof seq 1 type i\n"
    home = aof.parent / "set"
    home.mkdir()
    (home / "a.manifest").write_bytes(manifest)
    (home / "base.rdb").write_bytes(aof.read_bytes()[: -2 * len(SET)])
    (home / "a.1.incr.aof").write_bytes(SET + SET[:-3])
    ran = rdbkit("repair", home)
    assert ran.status == 5, ran.err
    result = aof.parent / "set.repaired"
    assert (result / "base.rdb").read_bytes() == (home / "base.rdb").read_bytes()
    assert (result / "a.1.incr.aof").read_bytes() == SET
