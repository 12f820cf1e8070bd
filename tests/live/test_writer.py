"""A file of every type of RDB version 10, loaded by a real server, whose replies are compared."""

from __future__ import annotations

import math
import subprocess
from typing import Any

import pytest
from strategies import File, Key, write

from rdbkit.format import spec
from rdbkit.rdb.pending_entries import Pending
from rdbkit.rdb.streams import Consumer, Group, Stream

LIBRARY = b"#!lua name=mylib\nredis.register_function('hello', function(keys, args) return 'hi' end)"
FAR = 4102444800000  # 2100-01-01, in ms

WORDS = [b"alpha", b"", b"-5", b"007", b"\x00\xff", b"x" * 300, b"9223372036854775807", b"12", b"12345678901234567890"]
NUMBERS = [b"-70000", b"1", b"300", b"9223372036854775807"]
FIELDS = [(word, word[::-1] + b"!", None) for word in WORDS]
SCORES = [0.1, -3.0, 1e17, math.inf, -math.inf, 0.0, 2.0**53, 5e-324, 12.0]
SCORED = sorted(zip(WORDS, SCORES), key=lambda pair: pair[1])
LONG = [*WORDS, b"y" * 9000, *(b"%d" % number for number in range(1000))]


def stream(type_id: int) -> Stream:
    """Two nodes at 100 entries each and a third; a group with a pending entry, a consumer that has none."""
    entries = [((1000 + n // 3, n % 3), [(b"f", b"%d" % n), (b"g", b"x" * (n % 40))][: 1 + n % 2]) for n in range(250)]
    older = type_id == spec.STREAM_LISTPACKS
    pending = [Pending(entries[3][0], b"alice", FAR, 2), Pending(entries[5][0], b"alice", FAR, 1)]
    consumers = [Consumer(b"alice", FAR, FAR), Consumer(b"bob", FAR, None)]
    group = Group(b"readers", entries[9][0], None if older else 10, pending, consumers)
    deleted, added = ((0, 0), 250) if older else ((1900, 1), 260)
    return Stream(entries, (2000, 7), entries[0][0], deleted, added, [group])


VALUES: dict[int, Any] = {
    spec.STRING: b"z" * 500,
    spec.LIST: LONG,
    spec.SET: set(LONG),
    spec.ZSET: SCORED,
    spec.HASH: FIELDS,
    spec.ZSET_2: SCORED,
    spec.HASH_ZIPMAP: FIELDS,
    spec.LIST_ZIPLIST: WORDS,
    spec.SET_INTSET: set(NUMBERS),
    spec.ZSET_ZIPLIST: SCORED,
    spec.HASH_ZIPLIST: FIELDS,
    spec.LIST_QUICKLIST: LONG,
    spec.HASH_LISTPACK: FIELDS,
    spec.ZSET_LISTPACK: SCORED,
    spec.LIST_QUICKLIST_2: LONG,
    spec.STREAM_LISTPACKS: stream(spec.STREAM_LISTPACKS),
    spec.STREAM_LISTPACKS_2: stream(spec.STREAM_LISTPACKS_2),
}


def file_of_all(**options: Any) -> File:
    keys = [Key(0, b"%d %s" % (t, spec.BY_ID[t].name.encode()), t, value) for t, value in VALUES.items()]
    keys.append(Key(0, b"expiring", spec.STRING, b"-12", expires_at=FAR, idle=77))
    keys.append(Key(0, b"777", spec.STRING, b"a number for a key"))
    keys.append(Key(9, b"elsewhere", spec.STRING, b"", freq=9))
    return File(10, "redis", tuple(keys), (LIBRARY,), ((b"redis-ver", b"7.0.0"), (b"x-unknown", b"1")), **options)


def described(server: Any, key: Key) -> Any:
    """The value from the server's replies, in rdbkit's shape."""
    kind = spec.BY_ID[key.type_id].type
    if kind == "string":
        return server.command("GET", key.key)
    if kind == "list":
        return server.command("LRANGE", key.key, 0, -1)
    if kind == "set":
        return set(server.command("SMEMBERS", key.key))
    if kind == "hash":
        pairs = server.command("HGETALL", key.key)
        return sorted(zip(pairs[::2], pairs[1::2], [None] * len(pairs)))
    if kind == "zset":
        pairs = server.command("ZRANGE", key.key, 0, -1, "WITHSCORES")
        return [(member, float(score)) for member, score in zip(pairs[::2], pairs[1::2])]
    return described_stream(server, key.key)


def described_stream(server: Any, key: bytes) -> Any:
    full = server.command("XINFO", "STREAM", key, "FULL", "COUNT", 0)
    about = dict(zip(full[::2], full[1::2]))
    groups = [dict(zip(group[::2], group[1::2])) for group in about[b"groups"]]
    entries = [(_id(i), list(zip(pairs[::2], pairs[1::2]))) for i, pairs in server.command("XRANGE", key, "-", "+")]
    counters = [about[name] for name in (b"entries-added", b"max-deleted-entry-id", b"last-generated-id")]
    pending = [[(_id(i), owner, at, n) for i, owner, at, n in group[b"pending"]] for group in groups]
    consumers = [[dict(zip(c[::2], c[1::2])) for c in group[b"consumers"]] for group in groups]
    seen = [[(c[b"name"], c[b"seen-time"], c[b"pel-count"]) for c in ones] for ones in consumers]
    heads = [(group[b"name"], _id(group[b"last-delivered-id"]), group[b"entries-read"]) for group in groups]
    return entries, counters, heads, pending, seen


def _id(text: bytes) -> tuple[int, int]:
    ms, seq = text.split(b"-")
    return int(ms), int(seq)


def expected(key: Key) -> Any:
    kind = spec.BY_ID[key.type_id].type
    if kind == "hash":
        return sorted(key.value)
    if kind != "stream":
        return key.value
    s = key.value
    heads = [(g.name, g.last_delivered_id, g.entries_read) for g in s.groups]
    counters = [s.entries_added, b"%d-%d" % s.max_deleted_id, b"%d-%d" % s.last_id]
    pending = [[(p.id, p.consumer, p.delivered_at, p.deliveries) for p in g.pending] for g in s.groups]
    seen = [[(c.name, c.seen_at, sum(p.consumer == c.name for p in g.pending)) for c in g.consumers] for g in s.groups]
    return s.entries, counters, heads, pending, seen


@pytest.mark.parametrize(("compress", "checksum", "node_size"), [(True, True, 100), (False, False, 7)])
def test_server_loads_what_was_written(server, check_rdb, tmp_path, compress, checksum, node_size):
    file = file_of_all(compress=compress, checksum=checksum, node_size=node_size)
    path = tmp_path / "dump.rdb"
    path.write_bytes(write(file).data)
    checked = subprocess.run([check_rdb, str(path)], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout
    assert "RDB looks OK" in checked.stdout
    running = server(sanitize_dump_payload="yes")
    if running.version < (7,):
        pytest.skip("RDB version 10 needs a server from 7.0 on")
    compare(running, file)
    digest = running.command("DEBUG", "DIGEST")
    assert running.command("DEBUG", "RELOAD") == b"OK"
    assert running.command("DEBUG", "DIGEST") == digest
    compare(running, file)


def compare(running: Any, file: File) -> None:
    assert running.command("DBSIZE") == sum(key.db == 0 for key in file.keys)
    for key in file.keys:
        running.command("SELECT", key.db)
        assert described(running, key) == expected(key), key.key
    running.command("SELECT", 0)
    assert running.command("PEXPIRETIME", "expiring") == FAR
    assert running.command("PTTL", "777") == -1
    assert running.command("FCALL", "hello", 0) == b"hi"


def test_usage_survives(server, tmp_path):
    for field, policy, question, value in (("idle", "allkeys-lru", "IDLETIME", 77), ("freq", "allkeys-lfu", "FREQ", 9)):
        place = tmp_path / field
        place.mkdir()
        key = Key(0, b"k", spec.STRING, b"v", **{field: value})
        (place / "dump.rdb").write_bytes(write(File(9, "redis", (key,))).data)
        running = server(place, maxmemory_policy=policy)
        assert running.command("OBJECT", question, "k") in (value, value + 1)


def test_restore_takes_payloads(server):
    from rdbkit.rdb.writer import dump_payload, encode

    running = server(sanitize_dump_payload="yes")
    newest = 10 if running.version >= (7,) else 9
    for type_id, value in VALUES.items():
        if spec.BY_ID[type_id].since > newest:
            continue
        key = Key(0, b"restored %d" % type_id, type_id, value)
        payload = dump_payload(type_id, encode(type_id, value, node_size=50), newest)
        assert running.command("RESTORE", key.key, 0, payload) == b"OK"
        assert described(running, key) == expected(key), key.key


def test_pipe_and_errors(server):
    from live.server import ReplyError

    running = server()
    replies = running.pipe(b"*1\r\n$4\r\nPING\r\n*1\r\n$4\r\nNOPE\r\n*2\r\n$3\r\nGET\r\n$1\r\nx\r\n")
    assert (replies[0], type(replies[1]), replies[2]) == (b"PONG", ReplyError, None)
    with pytest.raises(ReplyError, match="unknown command"):
        running.command("NOPE")
    running.stop()
    running.stop()
    assert running.process.poll() is not None
