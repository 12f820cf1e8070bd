"""MEMORY USAGE of strings after an AOF was loaded: figures of servers that had loaded these commands."""

from __future__ import annotations

from typing import Any

import pytest

import rdbkit
from keyspace.made import aof, replayed
from rdbkit.rdb.writer import Writer

DUE = 4102444800123
#: The allocators of the servers that were asked.
BUILDS = {
    "redis:7.0.15": "jemalloc-debian",
    "redis:8.0.2": "jemalloc-debian",
    "redis:8.2.3": "jemalloc",
    "valkey:8.1.1": "jemalloc-debian",
}

ROOM: list[tuple[list[Any], list[int]]] = [
    (["SET k v", "APPEND k w"], [56, 56, 32, 24]),
    (["SET k " + "x" * 50, "APPEND k yy"], [160, 112, 80, 80]),
    (["SET k " + "x" * 63, "APPEND k y"], [208, 128, 104, 96]),
    (["SETRANGE k 3 XX", "SETRANGE k 60 y"], [176, 176, 152, 144]),
    (["SETBIT k 100 1"], [64, 64, 40, 32]),
    (["SETBIT k 100 1", "SETBIT k 300 1"], [128, 128, 104, 96]),
    (["BITFIELD k SET u8 #40 1", "BITFIELD k SET u8 #41 1"], [96, 96, 72, 64]),
    (["PFADD k a"], [96, 96, 72, 64]),
    (["PFADD k " + " ".join(map(str, range(30)))], [272, 240, 248, 240]),
    (["SET k " + "x" * 600_000, "APPEND k " + "y" * 500_000], [2621488, 2621488, 2621464, 2621456]),
    (["SET k " + "x" * 1_048_570, "APPEND k " + "y" * 10], [2621488, 2621488, 1310744, 1310736]),
    (["SET j " + "x" * 45, "APPEND j y", "COPY j k"], [112, 112, 80, 80]),
    (["SET j " + "x" * 45, "APPEND j y", "RENAME j k"], [144, 112, 80, 80]),
    (["SET k 1", "SETBIT k 0 0"], [56, 56, 32, 24]),
    (["SET j abc", "BITOP NOT k j"], [56, 56, 32, 24]),
    (["SET k " + "x" * 255, "APPEND k yy", "SETBIT k 8 1"], [688, 688, 344, 336]),
]


def state(commands: list[Any], target: str, key: bytes = b"k") -> tuple[str, int]:
    found = replayed(*commands, target=target, allocator=BUILDS.get(target, "jemalloc"))[key]
    return found.encoding, found.memory


@pytest.mark.parametrize(("commands", "figures"), ROOM, ids=[f"{row[0][-1][:30]}-{row[1][0]}" for row in ROOM])
def test_room(commands: list[Any], figures: list[int]) -> None:
    assert [state(commands, target) for target in BUILDS] == [("raw", figure) for figure in figures]


def test_until_6_0_exactly_twice_the_length_is_requested() -> None:
    # The object, the entry, the key, and the string: its header, twice its length, a zero byte.
    assert state(["SET k v", "APPEND k vw"], "redis:5.0.14")[1] == 16 + 24 + 3 + (3 + 6 + 1)


PXAT = f"SET k v PXAT {DUE}"
#: Commands; encoding and figure of Redis 8.2.3, and of Valkey 8.1.1.
OBJECTS: list[tuple[list[Any], tuple[str, int], tuple[str, int]]] = [
    (["SET k v"], ("embstr", 32), ("embstr", 32)),
    ([PXAT], ("embstr", 40), ("embstr", 48)),
    ([PXAT, "PERSIST k"], ("embstr", 40), ("embstr", 48)),
    ([PXAT, "SET k w"], ("embstr", 32), ("embstr", 48)),
    ([PXAT, "PERSIST k", "SET k w"], ("embstr", 32), ("embstr", 32)),
    ([PXAT, "SET k w KEEPTTL", "PERSIST k"], ("embstr", 40), ("embstr", 48)),
    (["SET k 12345"], ("int", 24), ("int", 16)),
    ([f"SET k 12345 PXAT {DUE}", "PERSIST k"], ("int", 32), ("int", 16)),
    ([f"SET k 12345 PXAT {DUE}", "SET k 23456"], ("int", 32), ("int", 16)),
    ([f"SET k 12345 PXAT {DUE}", "SET k v"], ("embstr", 32), ("embstr", 48)),
    ([PXAT, "SET k 23456"], ("int", 24), ("int", 16)),
    ([f"SET k 12345 PXAT {DUE}", "PERSIST k", "INCR k"], ("int", 32), ("int", 16)),
    ([f"SET k 12345 PXAT {DUE}", "PERSIST k", "APPEND k x"], ("raw", 48), ("raw", 32)),
    ([PXAT, "PERSIST k", "APPEND k x"], ("raw", 32), ("raw", 24)),
    ([f"SET j v PXAT {DUE}", "PERSIST j", "RENAME j k"], ("embstr", 32), ("embstr", 32)),
    ([f"SET j v PXAT {DUE}", "RENAME j k"], ("embstr", 40), ("embstr", 48)),
    ([f"SET j 12345 PXAT {DUE}", "PERSIST j", "RENAME j k"], ("int", 24), ("int", 16)),
    ([f"SET j v PXAT {DUE}", "PERSIST j", "COPY j k"], ("embstr", 32), ("embstr", 32)),
    (["SET j v", PXAT, "RENAME j k"], ("embstr", 32), ("embstr", 32)),
    ([PXAT, "PERSIST k", "MOVE k 1", "SELECT 1", "MOVE k 0"], ("embstr", 32), ("embstr", 32)),
]


def longer(command: Any) -> Any:
    """The same with a key of three bytes, as it was measured."""
    return " ".join("key" if word == "k" else word for word in command.split(" "))


@pytest.mark.parametrize(("commands", "redis", "valkey"), OBJECTS, ids=["; ".join(row[0]) for row in OBJECTS])
def test_space_of_an_expiry(commands: list[Any], redis: tuple[str, int], valkey: tuple[str, int]) -> None:
    commands = [longer(command) for command in commands]
    assert state(commands, "redis:8.2.3", b"key") == redis
    assert state(commands, "valkey:8.1.1", b"key") == valkey


#: By length of the key: the encoding and figure of a text of three bytes with an expiry that came later, or at once.
LENGTHS = {
    30: (("embstr", 64), ("embstr", 64)),
    31: (("raw", 72), ("raw", 72)),
    36: (("raw", 88), ("raw", 88)),
    37: (("embstr", 80), ("raw", 88)),
    38: (("embstr", 80), ("raw", 88)),
    39: (("raw", 88), ("raw", 88)),
}


@pytest.mark.parametrize("size", LENGTHS)
def test_expiry_in_the_free_end_of_an_allocation(size: int) -> None:
    key, (later, at_once) = "k" * size, LENGTHS[size]
    name = key.encode()
    assert state([f"SET {key} xxx", f"PEXPIREAT {key} {DUE}"], "redis:8.2.3", name) == later
    assert state([f"SET {key} xxx PXAT {DUE}"], "redis:8.2.3", name) == later
    assert state([f"SET {key} 1 PXAT {DUE}", f"SET {key} xxx KEEPTTL"], "redis:8.2.3", name) == at_once
    assert state([f"SET j xxx PXAT {DUE}", f"RENAME j {key}"], "redis:8.2.3", name) == at_once
    assert state([f"SET j xxx PXAT {DUE}", f"COPY j {key}"], "redis:8.2.3", name) == at_once


def test_a_separate_text_stays_separate() -> None:
    key = "k" * 33
    commands = [f"SET {key} xxx PXAT {DUE}", f"PERSIST {key}"]
    assert state(commands, "redis:8.2.3", key.encode())[0] == "raw"
    assert state([*commands, f"RENAME {key} k"], "redis:8.2.3")[0] == "raw"
    assert state([*commands, f"SET {key} xxx"], "redis:8.2.3", key.encode())[0] == "embstr"


def test_objects_of_other_types() -> None:
    persisted = ["RPUSH k a", f"PEXPIREAT k {DUE}", "PERSIST k"]
    assert state(persisted, "redis:8.2.3")[1] == state(["RPUSH k a"], "redis:8.2.3")[1] + 8
    assert state(persisted, "redis:7.0.15")[1] == state(["RPUSH k a"], "redis:7.0.15")[1]


def test_strings_of_an_rdb() -> None:
    out = bytearray()
    writer = Writer(out.extend, 12, "redis", checksum=False)
    writer.magic()
    writer.aux(b"aof-preamble", 1)
    writer.select_db(0)
    writer.expire_ms(DUE)
    writer.entry(0, b"key", b"\5hello")
    writer.expire_ms(DUE)
    writer.entry(0, b"num", b"\xc1\x39\x30")
    writer.end()
    writer.flush()

    def after(*commands: str) -> dict[bytes, tuple[Any, Any]]:
        data = bytes(out) + aof("SELECT 0", *commands)
        with rdbkit.open(data, target="redis:8.2.3") as snapshot:
            return {entry.key: (entry.encoding, entry.memory) for entry in snapshot}

    assert after() == {b"key": ("embstr", 40), b"num": ("int", 32)}
    assert after("PERSIST key", "PERSIST num") == after()
    assert after("SET key hello", "SET num 12345") == {b"key": ("embstr", 32), b"num": ("int", 32)}
    assert after("SET num hello")[b"num"] == ("embstr", 32)
