"""MEMORY USAGE as real servers answered it after they had loaded the file, and their used_memory; on both builds."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from typing import Any

import pytest
from conftest import FIXTURES, Build

from corpus.oracle import Case, cases, raw

#: These ran on a distribution's jemalloc, the others on the one that is bundled with the server.
ALLOCATORS = dict.fromkeys(
    ("redis-8.0.6", "redis-8.2.3", "redis-8.6.3", "valkey-8.1.1", "valkey-9.1.2"), "jemalloc-5.3.1"
)
#: Memory that is not known yet: streams with idempotency data, or with pending entries without an owner (XNACK), and
#: hashes with so many expiring fields that Valkey keeps them in a tree.
UNKNOWN = {
    "redis-8.6.3": {b"stream:idmp", b"stream:idmp:cfg"},
    "redis-8.10.2": {b"stream:idmp", b"stream:idmp:cfg", b"stream:xnack"},
    "valkey-9.1.2": {b"hfe:big"},
}
CASES = [case for case in cases() if case.number >= (4, 0)]


def is_random(case: Case, encoding: str) -> bool:
    hashes = case.server.startswith("valkey") and case.number >= (8, 1)
    return encoding == "skiplist" or (hashes and encoding == "hashtable")


def opened(build: Build, case: Case) -> Any:
    options = case.options
    return build("snapshot").open(case.path, allocator=ALLOCATORS.get(case.server, "jemalloc"), **options)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_memory_is_what_the_server_said(build: Build, case: Case) -> None:
    said = {
        (int(db), raw(key["k"])): key["memory_reloaded"]
        for db, keys in case.oracle["dbs"].items()
        for key in keys
        if key.get("memory_reloaded")
    }
    seen: Counter[str] = Counter()
    with opened(build, case) as snapshot:
        snapshot.model()
        for entry in snapshot:
            truth = said.get((entry.db, entry.key))
            if truth is None or entry.type == "module":
                continue
            if entry.memory is None:
                assert entry.key in UNKNOWN.get(case.server, ()), entry.key
                seen["unknown"] += 1
            elif is_random(case, entry.encoding):
                assert entry.memory_sd
                assert abs(truth - entry.memory) <= 6 * entry.memory_sd, entry.key
                seen["random"] += 1
            else:
                assert (entry.key, entry.memory, entry.memory_sd) == (entry.key, truth, 0)
                seen["exact"] += 1
    assert seen["exact"] or len(said) <= seen["random"] + seen["unknown"]


LIMITS = ["redis-8.2.3", "valkey-9.0.0", "valkey-9.1.2"]


@pytest.mark.parametrize("server", LIMITS)
def test_keys_near_limits_are_as_the_server_said(build: Build, server: str) -> None:
    folder = FIXTURES / server / "rdb-limits"
    account = json.loads(gzip.decompress((folder / "oracle.json.gz").read_bytes()))
    said = {raw(key): (encoding, memory) for key, encoding, memory in account["keys"]}
    glibc = account["allocator"] == "glibc"
    off: list[int] = []
    zs: list[float] = []
    with build("snapshot").open(str(folder / "limits.rdb"), allocator=account["allocator"]) as snapshot:
        snapshot.model()
        for entry in snapshot:
            encoding, truth = said.pop(entry.key)
            assert (entry.key, entry.encoding) == (entry.key, encoding)
            assert abs(truth - entry.memory) <= 6 * entry.memory_sd, entry.key
            assert (entry.memory_sd > 0) is glibc or encoding == "hashtable"
            if encoding != "hashtable":
                off.append(truth - entry.memory)
            elif entry.memory_sd:
                zs.append((truth - entry.memory) / entry.memory_sd)
    assert not said
    # The extra bytes of glibc are a remainder of sixteen bytes.
    assert all(more >= 0 and more % 16 == 0 for more in off)
    assert sum(map(bool, off)) <= (len(off) / 50 if glibc else 0)
    assert not zs or abs(sum(zs) / len(zs)) < 5 / len(zs) ** 0.5
