"""Recorded runs of the real check tools: the cases, the masked parts of their text, and a run of ours to compare.

A case is `name note args stdin input exit stdout stderr changed variants`: files in base64, `{"symlink": target}` for
what is no plain file. What Redis 7.0.15 did holds for all, unless a variant of the tool's name says otherwise.
"""

from __future__ import annotations

import base64
import gzip
import json
import os
import re
from pathlib import Path
from typing import Any

from conftest import FIXTURES

Case = dict[str, Any]
#: Exit status, text, files changed.
Outcome = tuple[int, bytes, dict[str, bytes | None]]
REFERENCE = "redis-7.0.15"

_MASKS = [
    (re.compile(rb"^\d+:[XCSM] \d{1,2} \w{3}(?: \d{4})? \d\d:\d\d:\d\d\.\d{3} ", re.M), rb"<pid>:C <time> "),
    (re.compile(rb"<pid>:[XCSM]"), rb"<pid>:C"),
    (re.compile(rb"(Out Of Memory allocating \d+ bytes!).*", re.S), rb"\1<crash report>"),
    (re.compile(rb"(=== ASSERTION FAILED ===).*", re.S), rb"\1<crash report>"),
    (re.compile(rb"\[0x[0-9a-f]+\]|0x[0-9a-f]{9,}"), rb"<addr>"),
    (re.compile(rb"(Usage: )\S*?(?:(?:redis|valkey)-check-|rdbkit check-)(aof|rdb|dump)"), rb"\1check-\2"),
    (re.compile(rb"(?:redis|valkey)-check-(aof|rdb)|rdbkit check-(aof|rdb)"), rb"check-\1\2"),
    (re.compile(rb"(check-(?:aof|rdb)) (?:v=)?\d+\.\d+\.\d+.*"), rb"\1 <version>"),
    (re.compile(rb"rdb\.c:(?:\d+|<line>)"), rb"rdb.c:<line>"),
    (re.compile(rb"got: 00[0-9a-f]{2,8}\b"), rb"got: 00??"),
    (re.compile(rb"\[info\] \d+ already expired"), rb"[info] N already expired"),
]


def masked(text: bytes) -> bytes:
    """Take out what differs from run to run, and from build to build, of the real tools."""
    for pattern, instead in _MASKS:
        text = pattern.sub(instead, text)
    return text


def cases(name: str) -> list[Case]:
    with gzip.open(FIXTURES / "cases" / f"{name}.jsonl.gz", "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def wanted(case: Case, tool: str) -> Outcome:
    """Return what the tool did."""
    seen = case["variants"].get(tool, case)
    text = masked((seen["stdout"] + seen["stderr"]).encode("latin-1"))
    return seen["exit"], text, {n: base64.b64decode(c) for n, c in seen["changed"].items() if isinstance(c, str)}


def write_files(case: Case, root: Path) -> None:
    """Write the files of a case."""
    for name, content in case["input"].items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, dict):
            path.symlink_to(content["symlink"])
        else:
            path.write_bytes(base64.b64decode(content))


def answer(case: Case) -> bytes:
    return base64.b64decode(case["stdin"]) if case.get("stdin") else b""


def files(root: Path) -> dict[str, bytes]:
    """Return every file under a directory; what a link points to counts once."""
    found = {}
    for base, _, names in os.walk(root):
        for name in names:
            path = Path(base, name)
            if not path.is_symlink():
                found[str(path.relative_to(root))] = path.read_bytes()
    return found


def changed(before: dict[str, bytes], after: dict[str, bytes]) -> dict[str, bytes | None]:
    names = before.keys() | after.keys()
    return {name: after.get(name) for name in names if before.get(name) != after.get(name)}
