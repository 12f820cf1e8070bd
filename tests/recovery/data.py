"""AOFs for the tests of repair: recorded ones with the results of the real programs, and a made one."""

from __future__ import annotations

import base64
import functools
import gzip
import json
import random
from pathlib import Path
from typing import Any

from rdbkit.aof.writer import command

RECORDED = Path(__file__).parents[2] / "fixtures" / "cases" / "repair.json.gz"


@functools.cache
def recorded() -> list[dict[str, Any]]:
    """By server: its AOFs, damage to them, and the results of its tool and its loader."""
    with gzip.open(RECORDED) as file:
        servers: list[dict[str, Any]] = json.load(file)["servers"]
    return servers


def source(server: dict[str, Any], name: str = "handmade.aof") -> bytes:
    return base64.b64decode(server["sources"][name])


def damaged(data: bytes, op: list[Any]) -> bytes:
    """Do to a file what `op` says."""
    kind, *more = op
    if kind == "truncate":
        return data[: more[0]]
    if kind == "set":
        return data[: more[0]] + bytes([more[1]]) + data[more[0] + 1 :]
    if kind == "append":
        return data + base64.b64decode(more[0])
    if kind == "insert":
        return data[: more[0]] + base64.b64decode(more[1]) + data[more[0] :]
    assert kind == "zerotail"
    return data[: more[0]] + bytes(len(data) - more[0])


def made(count: int = 400, seed: int = 3) -> bytes:
    """A file with values of all sizes and bytes, transactions, databases, and values that hold commands themselves."""
    rng = random.Random(seed)
    out = [command(b"SELECT", b"0")]
    for n in range(count):
        key = b"key:%d" % rng.randrange(50)
        value = rng.randbytes(rng.choice((0, 1, 5, 30, 200))) if n % 3 else b"text %d\r\n" % n * rng.randrange(4)
        some = [
            command(b"SET", key, value),
            command(b"RPUSH", key + b":l", *[b"%d" % x for x in range(rng.randrange(1, 9))]),
            command(b"ZADD", key + b":z", b"1.5", value),
            command(b"PEXPIREAT", key, b"4102444800123"),
            command(b"HSET", key + b":h", b"field", value, b"other", b"x"),
            command(b"DEL", key),
        ]
        one = rng.choice(some)
        if n % 17 == 0:
            one = b"".join((command(b"MULTI"), *rng.sample(some, 3), command(b"EXEC")))
        elif n % 29 == 0:
            one = command(b"SELECT", b"%d" % rng.randrange(4))
        elif n % 31 == 0:
            one = command(b"SET", key, b"".join(rng.sample(some, 2)))
        elif n % 37 == 0:
            one = b"#TS:%d\r\n" % (1795162000 + n)
        out.append(one)
    return b"".join(out)
