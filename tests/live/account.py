"""A server's replies about its keys, and the same from entries that rdbkit read: two equal dicts for each key.

type, encoding, expires_at, freq, value and, of a hash, field_expires_at; scores as text, for -0 is equal to 0.
"""

from __future__ import annotations

import re
from typing import Any

import rdbkit
from live.server import ReplyError, Server

Row = dict[str, Any]
_NUMBER = re.compile(rb"-?[0-9.]+(?:e[+-]?[0-9]+)?|-?inf|nan")
Where = tuple[int, bytes]


def words(*args: bytes | str | int | float) -> bytes:
    """Return a command as bytes."""
    texts = [arg if isinstance(arg, bytes) else str(arg).encode() for arg in args]
    return b"*%d\r\n" % len(texts) + b"".join(b"$%d\r\n%b\r\n" % (len(text), text) for text in texts)


def ask(server: Server, *commands: tuple[bytes | str | int | float, ...]) -> list[Any]:
    """Send commands at once; return the replies. An error reply is an assertion."""
    replies = server.pipe(b"".join(words(*one) for one in commands))
    assert len(replies) == len(commands)
    for one, reply in zip(commands, replies):
        assert not isinstance(reply, ReplyError), (one[:3], reply)
    return replies


def databases(server: Server) -> dict[int, int]:
    """Return how many keys there are, by database."""
    text = server.command("INFO", "keyspace").decode()
    return {int(db): int(keys) for db, keys in re.findall(r"^db(\d+):keys=(\d+)", text, re.MULTILINE)}


def account(server: Server, *, fields_expire: bool, freq: bool) -> dict[Where, Row]:
    """Ask of every key all that is compared, and "memory"; `freq`: whether the policy counts uses."""
    found: dict[Where, Row] = {}
    for db in databases(server):
        ask(server, ("SELECT", db))
        for key in server.command("KEYS", "*"):
            found[db, key] = _row(server, key, fields_expire=fields_expire, freq=freq)
    return found


def _row(server: Server, key: bytes, *, fields_expire: bool, freq: bool) -> Row:
    exact = server.version >= (7,)
    # The commands before this one do not count as a use of the key.
    kind, memory, encoding, used, before, due, after = ask(
        server,
        ("TYPE", key),
        ("MEMORY", "USAGE", key, "SAMPLES", 0),
        ("OBJECT", "ENCODING", key),
        ("OBJECT", "FREQ", key) if freq else ("PING",),
        ("TIME",),
        ("PEXPIRETIME" if exact else "PTTL", key),
        ("TIME",),
    )
    name = kind.decode()
    row: Row = {"type": name, "memory": memory, "encoding": encoding.decode()}
    row["freq"] = used if freq else None
    if exact or due < 0:
        row["expires_at"] = due if due >= 0 else None
    else:
        row["expires_at"] = due + _ms(before), due + _ms(after)
    row["value"] = _VALUES[name](server, key)
    if name == "hash":
        row["field_expires_at"] = _field_expiries(server, key, list(row["value"])) if fields_expire else {}
    return row


def _ms(time: list[bytes]) -> int:
    return int(time[0]) * 1000 + int(time[1]) // 1000


def _field_expiries(server: Server, key: bytes, fields: list[bytes]) -> dict[bytes, int]:
    (due,) = ask(server, ("HPEXPIRETIME", key, "FIELDS", len(fields), *fields))
    return {field: ms for field, ms in zip(fields, due, strict=True) if ms >= 0}


def _pairs(flat: list[bytes]) -> list[tuple[bytes, bytes]]:
    return list(zip(flat[::2], flat[1::2], strict=True))


def _score(text: bytes) -> str:
    return repr(float(text))


def _stream(server: Server, key: bytes) -> Row:
    entries, info = ask(server, ("XRANGE", key, "-", "+"), ("XINFO", "STREAM", key, "FULL", "COUNT", 0))
    described = dict(_pairs(info))
    row: Row = {"entries": [(i.decode(), fields) for i, fields in entries], "length": described[b"length"]}
    for name, theirs in (
        ("last_id", b"last-generated-id"),
        ("max_deleted_id", b"max-deleted-entry-id"),
        ("entries_added", b"entries-added"),
        ("first_id", b"recorded-first-entry-id"),
    ):
        if theirs in described:
            row[name] = described[theirs] if isinstance(described[theirs], int) else described[theirs].decode()
    row["groups"] = {group[b"name"]: _group(group) for group in map(dict, map(_pairs, described[b"groups"]))}
    return row


def _group(group: dict[bytes, Any]) -> Row:
    row: Row = {"last_delivered_id": group[b"last-delivered-id"].decode()}
    if b"entries-read" in group:
        row["entries_read"] = group[b"entries-read"]
    row["pending"] = [(i.decode(), owner, at, count) for i, owner, at, count in group[b"pending"]]
    row["consumers"] = {}
    for consumer in map(dict, map(_pairs, group[b"consumers"])):
        times = {f"{name}_at": consumer[b"%b-time" % name.encode()] for name in _times(consumer)}
        row["consumers"][consumer[b"name"]] = times
    return row


def _times(consumer: dict[bytes, Any]) -> list[str]:
    return [name for name in ("seen", "active") if b"%b-time" % name.encode() in consumer]


def _array(server: Server, key: bytes) -> Row:
    elements, info = ask(server, ("ARSCAN", key, 0, (1 << 64) - 2), ("ARINFO", key))
    return {"elements": [tuple(pair) for pair in elements], "next": dict(_pairs(info))[b"next-insert-index"]}


_VALUES: dict[str, Any] = {
    "string": lambda server, key: server.command("GET", key),
    "list": lambda server, key: server.command("LRANGE", key, 0, -1),
    "set": lambda server, key: set(server.command("SMEMBERS", key)),
    "zset": lambda server, key: [
        (member, _score(score)) for member, score in _pairs(server.command("ZRANGE", key, 0, -1, "WITHSCORES"))
    ],
    "hash": lambda server, key: dict(_pairs(server.command("HGETALL", key))),
    "stream": _stream,
    "array": _array,
}


# -- what rdbkit read --------------------------------------------------------------------------------------------------


def described(entry: rdbkit.Entry, row: Row) -> Row:
    """Return the values in the server's row for an entry, without the memory, in the same form."""
    found: Row = {"type": entry.type, "encoding": entry.encoding, "freq": entry.freq}
    found["expires_at"] = entry.expires_at
    due = row["expires_at"]
    if isinstance(due, tuple) and entry.expires_at is not None and due[0] <= entry.expires_at <= due[1]:
        found["expires_at"] = due
    value = entry.value
    if entry.type == "zset":
        found["value"] = [(member, repr(score)) for member, score in value]
    elif entry.type == "stream":
        found["value"] = _described_stream(value, row["value"])
    elif entry.type == "array":
        found["value"] = _described_array(value, row["value"])
    else:
        found["value"] = value
    if entry.type == "hash":
        found["field_expires_at"] = entry.field_expires_at
    return found


def _described_array(array: rdbkit.Array, row: Row) -> Row:
    """The server shows numbers as text; which elements are numbers is in the memory alone."""
    texts = dict(row["elements"])
    elements = []
    for index, item in array.elements:
        text = texts.get(index, b"")
        same = item == text if isinstance(item, bytes) else _NUMBER.fullmatch(text) and type(item)(text) == item
        elements.append((index, text if same else item))
    return {"elements": elements, "next": 0 if array.insert_index is None else array.insert_index + 1}


def _described_stream(stream: rdbkit.Stream, row: Row) -> Row:
    found: Row = {
        "entries": [(str(i), [text for pair in fields for text in pair]) for i, fields in stream.entries],
        "length": stream.length,
    }
    for name in row.keys() - found.keys() - {"groups"}:
        value = getattr(stream, name)
        found[name] = value if isinstance(value, int) else str(value)
    groups = row["groups"]
    found["groups"] = {group.name: _described_group(group, groups.get(group.name, {})) for group in stream.groups}
    return found


def _described_group(group: Any, row: Row) -> Row:
    found: Row = {"last_delivered_id": str(group.last_delivered_id)}
    if "entries_read" in row:
        found["entries_read"] = group.entries_read
    found["pending"] = [(str(one.id), one.consumer, one.delivered_at, one.deliveries) for one in group.pending]
    consumers = row.get("consumers", {})
    found["consumers"] = {
        one.name: {name: getattr(one, name) for name in consumers.get(one.name, ())} for one in group.consumers
    }
    return found
