"""A command refuses to write its output over one of its inputs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from rdb.files import MS, entry, made

from cli.run import rdbkit, start
from rdbkit.format import spec


@pytest.fixture
def data() -> bytes:
    return made(entry(0), ("expire_ms", MS), entry(spec.SET))


def spared(path: Path, data: bytes, *args: object) -> None:
    """Run a command that must refuse to write over the file at this path."""
    ran = rdbkit(*args)
    assert (ran.status, ran.out) == (2, "")
    assert "is an input, and would be overwritten" in ran.err
    assert path.read_bytes() == data


def test_output_does_not_overwrite_an_input(tmp_path: Path, data: bytes) -> None:
    """Nor of an input in the directory, nor of one that has the temporary name of the output."""
    path = tmp_path / "dump.rdb"
    partial = tmp_path / "out.partial"
    link = tmp_path / "link"
    for file in (path, partial):
        file.write_bytes(data)
    link.symlink_to(path)
    for command in ("keys", "check", "info", "export"):
        spared(path, data, command, path, "-o", path)
        spared(path, data, command, path, "-o", link)
        spared(partial, data, command, partial, "-o", tmp_path / "out")
    partial.unlink()
    spared(path, data, "keys", tmp_path, "-o", path)
    spared(path, data, "check", tmp_path, "-o", path)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["dump.rdb", "link"]
    link.unlink()
    assert rdbkit("keys", tmp_path, "-o", tmp_path / "keys.txt").status == 0


def test_output_does_not_overwrite_standard_input(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "dump.rdb"
    path.write_bytes(data)
    with path.open("rb") as file:
        process = start("keys", "-", "-o", path, stdin=file)
        assert process.wait(60) == 2
    assert path.read_bytes() == data
    with open(os.devnull, "rb") as nothing:
        assert start("keys", "-", "-o", os.devnull, stdin=nothing).wait(60) == 1
