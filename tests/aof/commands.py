"""Helpers for tests of commands: a strict reader, and a form in which two rewrites of the same data are equal."""

from __future__ import annotations

import io
from typing import Any

Command = tuple[bytes, ...]


def parse(data: bytes) -> list[Command]:
    """Read RESP strictly."""
    file, out = io.BytesIO(data), []
    while line := file.readline():
        assert line[:1] == b"*"
        args = []
        for _ in range(int(line[1:-2])):
            head = file.readline()
            assert head[:1] == b"$"
            assert head[-2:] == b"\r\n"
            args.append(file.read(int(head[1:-2])))
            assert file.read(2) == b"\r\n"
        out.append(tuple(args))
    return out


def by_key(commands: list[Command], times: bool = False) -> dict[tuple[int, bytes], list[Any]]:
    """Commands by key, sorted independently of hash tables; without `times` the times of deliveries are left out."""
    db = 0
    keys: dict[tuple[int, bytes], list[Any]] = {}
    for command in commands:
        if command[0] == b"SELECT":
            db = int(command[1])
        elif command[0] != b"FUNCTION":
            key = command[2] if command[0] == b"XGROUP" else command[1]
            keys.setdefault((db, key), []).extend(_items(command, times))
    return {key: _ordered(commands) for key, commands in keys.items()}


def _items(command: Command, times: bool) -> list[Any]:
    verb, key, *rest = command
    if verb == b"XCLAIM" and not times:
        return [(*command[:7], *command[8:])]
    if verb == b"XNACK":
        return [(verb, key, at) for at in sorted(rest[4:-3])]
    if verb in (b"ZADD", b"HMSET"):
        return [len(rest), *[(verb, *pair) for pair in zip(rest[::2], rest[1::2])]]
    if verb == b"SADD":
        return [len(rest), *[(verb, member) for member in rest]]
    if verb == b"RESTORE":
        # The template's id may be in this place, too.
        return [(verb, len(rest[1]))]
    return [command]


def _ordered(commands: list[Any]) -> list[Any]:
    first = commands[0]
    return commands if isinstance(first, tuple) and first[0] in (b"RPUSH", b"XADD") else sorted(commands, key=repr)
