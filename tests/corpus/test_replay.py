"""Every AOF that a real server wrote leads to the keys that the server held after it had loaded it, on both builds."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from conftest import Build

from corpus.aofs import AofCase, aof_cases
from corpus.oracle import Row, Where
from corpus.test_memory import ALLOCATORS, UNKNOWN, is_random

CASES = aof_cases()
#: Keys of unknown memory after a replay: an array with a layout that was not measured, and streams of which all pending
#: entries were acknowledged, whose trees depend on the order of that.
UNKNOWN_THEN = {"redis-8.10.2": (b"t:arr", b"t:x", b"t:xn")}
#: Its idempotency records are older than their duration at LOADED, and were not when the server loaded the file.
DATED = (b"stream:idmp",)


@dataclass
class Reading:
    """What rdbkit says of the keys of one AOF, in the form of the account, and of its end."""

    rows: dict[Where, Row] = field(default_factory=dict)
    #: Encoding, memory and its deviation.
    memory: dict[Where, tuple[str, int | None, float | None]] = field(default_factory=dict)
    uncertain: set[Where] = field(default_factory=set)
    doubts: list[Any] = field(default_factory=list)
    functions: list[bytes] = field(default_factory=list)
    twice: int = 0


_READ: dict[tuple[str, AofCase], Reading] = {}


@pytest.fixture
def reading(build: Build, case: AofCase, tmp_path: Path) -> Reading:
    """Replay a case once for all tests."""
    found = _READ.get((build.name, case))
    if found is None:
        found = _READ[build.name, case] = _read(build, case, case.placed(tmp_path))
    return found


def _read(build: Build, case: AofCase, path: Path) -> Reading:
    found, account = Reading(), case.account()
    allocator = ALLOCATORS.get(case.server, "jemalloc")
    with build.rdbkit.open(str(path), allocator=allocator, **case.options) as snapshot:
        snapshot.model()
        for entry in snapshot:
            where = entry.db, entry.key
            found.twice += where in found.rows
            row = account.get(where, {})
            # Of another type only that is compared: the value cannot be put into the account's form.
            same = entry.type == row.get("type")
            found.rows[where] = case.described(entry, row) if same else {"type": entry.type}
            found.memory[where] = entry.encoding, entry.memory, entry.memory_sd
        found.uncertain = {(db, key) for db, key, _ in snapshot.uncertain}
        found.doubts = snapshot.doubts
        found.functions = sorted(snapshot.functions)
    return found


def shown(row: Row) -> str:
    text = repr(row)
    return text if len(text) < 300 else f"{text[:300]}..."


@pytest.mark.parametrize("case", CASES, ids=str)
def test_keys(reading: Reading, case: AofCase) -> None:
    """Presence, type, value, expiries, encoding and number of elements."""
    account = case.account()
    assert reading.uncertain == case.server_only
    assert not reading.doubts
    assert not reading.twice
    assert reading.rows.keys() - account.keys() == set()
    assert account.keys() - reading.rows.keys() == case.server_only
    differ = [
        (where, name, shown(row.get(name)), shown(account[where][name]))
        for where, row in reading.rows.items()
        for name in account[where]
        if row.get(name) != account[where][name]
    ]
    assert differ == []
    assert reading.functions == case.functions()


@pytest.mark.parametrize("case", CASES, ids=str)
def test_memory(reading: Reading, case: AofCase) -> None:
    """MEMORY USAGE: equal, where it does not depend on chance, else within six deviations."""
    differ = []
    seen: Counter[str] = Counter()
    for where, truth in case.memory().items():
        if where in case.server_only or where not in reading.rows or where[1] in DATED:
            continue
        encoding, memory, deviation = reading.memory[where]
        if memory is None or deviation is None:
            known = where[1] in (*UNKNOWN.get(case.server, ()), *UNKNOWN_THEN.get(case.server, ()))
            seen["unknown"] += 1
        elif is_random(case, encoding):
            known = bool(deviation) and abs(truth - memory) <= 6 * deviation
            seen["random"] += 1
        elif encoding == "hashtable" and deviation:
            # A table that commands filled or emptied may be half rehashed: how far depends on the hash seed.
            known = abs(truth - memory) <= 6 * deviation
            seen["rehashed"] += 1
        else:
            known = (memory, deviation) == (truth, 0)
            seen["exact"] += 1
        if not known:
            differ.append((where, encoding, memory, deviation, truth))
    assert differ == []
    assert seen["exact"] > seen["rehashed"] or len(case.memory()) < 5


def test_the_cases_say_enough() -> None:
    """Every type was compared, after commands and after an RDB; and every kind of set."""
    assert {case.case for case in CASES} >= {"aof-plain", "aof-canonical", "aof-rewritten", "aof-preamble"}
    assert {case.case for case in CASES} >= {"aof-multi-incr", "aof-timestamps", "aof-history", "aof-upgraded"}
    rows = [row for case in CASES for row in case.account().values()]
    described = Counter(row["type"] for row in rows if row.get("value") is not None)
    assert min(described[kind] for kind in ("string", "list", "set", "zset", "hash", "stream", "array")) > 10
    assert sum(bool(row.get("field_expires_at")) for row in rows) > 20
    assert sum(row["expires_at"] is not None for row in rows) > 200
    assert sum(bool(row["type"] == "stream" and row["value"]["groups"]) for row in rows) > 50
