"""A dump of a real server, written as commands, makes the same data in another one; and they are the server's own."""

from __future__ import annotations

import random
import time
from pathlib import Path
from typing import Any

import pytest
from aof.commands import by_key, parse

import rdbkit
from rdbkit.aof.rewrite import Rewriter
from rdbkit.aof.writer import command

LIBRARY = b"#!lua name=mylib\nredis.register_function('hello', function(keys, args) return 'hi' end)"
FAR = 4102444800123  # 2100-01-01, in ms
SCORES = ["0.1", "-0", "0", "1e300", "-1e-300", "5e-324", "inf", "-inf", "12345678901234567890", "1.5", "3", "-17"]
SCORES += ["9007199254740993", "0.30000000000000004", "1234567.891", "1e8", "0.00012345678"]
ODD = [b"", b"0", b"-0", b"007", b"-12", b"2147483648", b"9223372036854775807", b"\x00\xff\r\n", b"x" * 16378, b"1.5"]
#: A stream whose consumer holds a message that was deleted since.
ORPHANED = b"stream:orphaned"


def data() -> list[tuple[Any, ...]]:
    """Commands that make something of every type and encoding that Redis 5 has."""
    rng = random.Random(7)
    noise = rng.randbytes
    words = [*ODD, *(b"%d" % rng.getrandbits(rng.randrange(1, 63)) for _ in range(300)), *map(noise, range(1, 90))]
    made: list[tuple[Any, ...]] = [("SET", b"str:%d" % n, word) for n, word in enumerate(words)]
    made += [("SET", "str:long", noise(1 << 21)), ("SET", "str:packed", b"abc" * 500000), ("PFADD", "hll", *words[:99])]
    for size in (1, 9, 200, len(words)):
        some = words[:size]
        made.append(("RPUSH", f"list:{size}", *some))
        made.append(("SADD", f"set:{size}", *some))
        made.append(("SADD", f"set:int:{size}", *range(0, 7 * size, 7)))
        made.append(("HSET", f"hash:{size}", *[x for word in some for x in (word, word[::-1][:70])]))
        made.append(("ZADD", f"zset:{size}", *[x for n, word in enumerate(some) for x in (n * 1.37, word)]))
    made.append(("RPUSH", "list:longer than a window", *[noise(2000) for _ in range(1200)]))
    made.append(("ZADD", "zset:odd", *[x for score in SCORES for x in (score, f"of {score}")]))
    made.append(("ZADD", "zset:odd:skiplist", *[x for score in SCORES for x in (score, "m" * 70 + score)]))
    made += streams()
    made += [("SELECT", 5), ("SET", "str:0", "in another"), ("SELECT", 15), ("RPUSH", "list:1", "a"), ("SELECT", 0)]
    expiring = ("str:3", "list:9", "set:9", "zset:200", "hash:200", "stream:big")
    return made + [("PEXPIREAT", key, FAR + n) for n, key in enumerate(expiring)]


def streams() -> list[tuple[Any, ...]]:
    made: list[tuple[Any, ...]] = [
        ("XADD", "stream:big", f"{1000 + n // 3}-{n % 3}", "f", n, "g", "x" * (n % 50)) for n in range(350)
    ]
    made += [("XADD", "stream:small", f"{n}-1", "n", n, *(("more", -n) if n % 2 else ())) for n in range(1, 9)]
    made += [("XADD", ORPHANED, f"{n}-1", "n", n) for n in range(1, 5)]
    made += [("XDEL", "stream:big", f"{1000 + n}-0") for n in (0, 50, 51)]
    made += [("XADD", "stream:empty", "5-5", "a", "b"), ("XDEL", "stream:empty", "5-5")]
    made += [("XGROUP", "CREATE", "stream:never written", "g", "0", "MKSTREAM"), ("XTRIM", "stream:small", "MAXLEN", 6)]
    for key in ("stream:big", "stream:small", ORPHANED):
        made += [("XGROUP", "CREATE", key, group, "0") for group in ("g", "h\r\n")]
        for consumer, count in (("alice", 3), ("bob", 100)):
            made.append(("XREADGROUP", "GROUP", "g", consumer, "COUNT", count, "STREAMS", key, ">"))
        made += [("XACK", key, "g", "4-1", "1001-0"), ("XREADGROUP", "GROUP", "h\r\n", "", "STREAMS", key, ">")]
        made.append(("XREADGROUP", "GROUP", "g", "idle", "STREAMS", key, ">"))
    made += [("XDEL", ORPHANED, "2-1"), ("XSETID", "stream:small", "77-7")]
    return made


@pytest.fixture
def filled(server, tmp_path):
    """A server with data, which is in its dump.rdb too."""
    place = tmp_path / "filled"
    place.mkdir()
    running = server(place, aof_use_rdb_preamble="no")
    words = [[x if isinstance(x, bytes) else str(x).encode() for x in one] for one in data()]
    assert not refused(running.pipe(b"".join([command(*one) for one in words])))
    if running.version >= (7,):
        running.command("FUNCTION", "LOAD", LIBRARY)
    if running.version >= (7, 4):
        running.command("HPEXPIREAT", "hash:9", FAR, "FIELDS", 2, "007", "-12")
    assert running.command("SAVE") == b"OK"
    return running


def refused(replies: list[Any]) -> list[Any]:
    return [reply for reply in replies if isinstance(reply, Exception)]


def exported(path: Path, **options: Any) -> tuple[bytes, dict[str, int]]:
    out: list[bytes] = []
    with rdbkit.open(path) as snapshot:
        rewriter = Rewriter(out.append, snapshot.target, **options)
        for entry in snapshot:
            rewriter.entry(entry)
        for source in snapshot.functions:
            rewriter.function(source)
    return b"".join(out), dict(rewriter.lost)


def keys(server: Any) -> dict[tuple[int, bytes], Any]:
    """A server's replies about each key in addition to its value's digest: type, expiry, and all fields of a stream."""
    found = {}
    for db in range(16):
        server.command("SELECT", db)
        for key in server.command("KEYS", "*"):
            kind = server.command("TYPE", key)
            due = server.command("PEXPIRETIME", key) if server.version >= (7,) else server.command("TTL", key) // 10
            found[db, key] = kind, due, server.command("DEBUG", "DIGEST-VALUE", key), about(server, key, kind)
    server.command("SELECT", 0)
    return found


def about(server: Any, key: bytes, kind: bytes) -> Any:
    if kind == b"stream":
        return plain(server.command("XINFO", "STREAM", key, "FULL", "COUNT", 0))
    if kind == b"hash" and server.version >= (7, 4):
        return server.command("HPEXPIRETIME", key, "FIELDS", 2, "007", "-12")
    return None


#: Fields about its form in memory, and those that no rewrite keeps.
PASSING = (b"radix-tree-keys", b"radix-tree-nodes", b"seen-time", b"active-time")


def plain(reported: Any) -> Any:
    """Lists of names and values as dicts, without what passes."""
    if isinstance(reported, list) and reported and reported[0] in (b"length", b"name"):
        return {name: plain(value) for name, value in zip(reported[::2], reported[1::2]) if name not in PASSING}
    return [plain(one) for one in reported] if isinstance(reported, list) else reported


@pytest.mark.parametrize("restore", [False, True])
def test_another_server_gets_the_same(server, filled, tmp_path, restore):
    commands, lost = exported(filled.directory / "dump.rdb", restore=restore)
    assert (b"\r\nRESTORE\r\n" in commands) == restore
    other = server(tmp_path)
    assert not refused(other.pipe(commands))
    assert other.command("DEBUG", "DIGEST") == filled.command("DEBUG", "DIGEST")
    ours, theirs = keys(other), keys(filled)
    if not restore:
        # XCLAIM makes no pending entry of a message that is gone; each group had one.
        assert lost.pop("pending entry") == 2
        assert ours.pop((0, ORPHANED))[:3] == theirs.pop((0, ORPHANED))[:3]
    assert not lost
    assert ours == theirs
    if filled.version >= (7,):
        assert other.command("FCALL", "hello", 0) == b"hi"


def test_the_server_rewrites_as_we_do(filled):
    filled.command("BGREWRITEAOF")
    until = time.monotonic() + 20
    while b"aof_rewrite_in_progress:1" in filled.command("INFO", "persistence") and time.monotonic() < until:
        time.sleep(0.05)
    if filled.version < (7,):
        base = filled.directory / "appendonly.aof"
    else:
        (base,) = (filled.directory / "appendonlydir").glob("*.base.aof")
    theirs, ours = parse(base.read_bytes()), parse(exported(filled.directory / "dump.rdb")[0])
    assert sum(one[0] == b"FUNCTION" for one in ours) == sum(one[0] == b"FUNCTION" for one in theirs)
    assert by_key(ours, times=True) == by_key(theirs, times=True)
