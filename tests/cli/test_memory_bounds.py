"""Memory depends on no item: as processes, for every place that a long item can have in a file.

The items are of 64 MB, so that holding one of them once is seen; RDBKIT_LONG_ITEMS=500000000 in the environment makes
them longer. Processes are started by a small one: Linux counts the memory of the process that starts another in its
peak.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from .run import HOME, environment

SCRIPT = Path(__file__).parent.parent.parent / "benchmarks" / "long_items.py"
SIZE = int(os.environ.get("RDBKIT_LONG_ITEMS", "64000000"))
#: An empty process of rdbkit takes 30 MB.
BOUND = 80 if SIZE < 100_000_000 else 96

#: Data with separate code paths: items one by one, in blobs, in nodes, names, records; and data that is refused.
SEVERAL = ("set", "hash-value", "zipmap-field", "quicklist-2-plain", "stream-group", "template")
FEW = ("key", "zset-listpack", "stream-value", "hash-2-field", "zset-ziplist-score")


class Row(NamedTuple):
    """A line that the script prints."""

    name: str
    form: str
    command: str
    build: str
    status: str
    peak: str
    seconds: str
    wall: str
    said: str


def measured(work: Path, *words: str) -> list[Row]:
    ran = subprocess.run(
        [sys.executable, str(SCRIPT), "--size", str(SIZE), "--work", str(work), *words],
        env=environment(PYTHONPATH=str(HOME)),
        capture_output=True,
        timeout=3600,
        check=True,
    )
    rows = [Row(*line.split("\t")) for line in ran.stdout.decode().splitlines()]
    assert rows
    assert not [row for row in rows if "Traceback" in row.said or row.status not in "015"]
    assert not [row for row in rows if float(row.peak) > BOUND]
    return rows


def test_an_export_of_every_case(tmp_path: Path) -> None:
    rows = measured(tmp_path, "--forms", "lzf", "--commands", "csv", "--builds", "compiled")
    assert len(rows) > 50
    assert {row.status for row in rows} == {"0", "1", "5"}
    assert [row.name for row in rows if row.status == "5"] == ["key"]


@pytest.mark.parametrize("command", ["check", "keys", "jsonl", "resp", "check-rdb"])
def test_a_command_over_several_cases(tmp_path: Path, command: str) -> None:
    words = ("--only", *SEVERAL, "--commands", command)
    rows = measured(tmp_path, *words, "--forms", "raw", "--builds", "compiled")
    assert {row.status for row in rows} == {"0"}
    measured(tmp_path, "--only", *FEW, "--commands", command, "--forms", "lzf", "--builds", "pure")


@pytest.mark.parametrize("command", ["info", "report", "prefixes", "get", "json-hex", "restore"])
def test_the_other_commands(tmp_path: Path, command: str) -> None:
    measured(tmp_path, "--only", "key", "hash-field", "--commands", command, "--forms", "lzf", "--builds", "compiled")


def test_from_a_pipe_and_packed(tmp_path: Path) -> None:
    words = ("--only", "key", "set", "--commands", "check", "jsonl", "--builds", "compiled")
    measured(tmp_path, *words, "--forms", "raw", "--pipe")
    measured(tmp_path, *words, "--forms", "gz", "xz")
