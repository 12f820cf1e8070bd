"""Every command that writes is replayed, or makes the keys that it may have written uncertain."""

from __future__ import annotations

import pytest

import rdbkit
from rdbkit.aof.writer import command
from rdbkit.keyspace.commands import TABLE
from rdbkit.releases.commands import COMMANDS

#: What servers flag as `write`: COMMAND of Redis 2.8.24 to 8.10.2 and Valkey 7.2.7 to 9.1.2, 140 names.
WRITES = """
    append ardel ardelrange arinsert armset arring arseek arset bitfield bitop blmove blmovem blmpop blpop brpop
    brpoplpush bzmpop bzpopmax bzpopmin cluster|flushslot copy decr decrby del delex delifeq expire expireat
    flushall flushdb function|delete function|flush function|load function|restore geoadd georadius
    georadiusbymember geosearchstore getdel getex getset hdel hexpire hexpireat hgetdel hgetex himport|set hincrby
    hincrbyfloat hmset hpersist hpexpire hpexpireat hset hsetex hsetnx incr incrby incrbyfloat increx linsert lmove
    lmovem lmpop lpop lpush lpushx lrem lset ltrim migrate move mset msetex msetnx persist pexpire pexpireat pfadd
    pfdebug pfmerge psetex rename renamenx restore restore-asking rpop rpoplpush rpush rpushx sadd sdiffstore set
    setbit setex setnx setrange sinterstore smove sort spop srem sunionstore swapdb trimslots unlink vadd vrem
    vsetattr xack xackdel xadd xautoclaim xcfgset xclaim xdel xdelex xgroup|create xgroup|createconsumer
    xgroup|delconsumer xgroup|destroy xgroup|setid xidmprecord xnack xreadgroup xsetid xtrim zadd zdiffstore
    zincrby zinterstore zmpop zpopmax zpopmin zrangestore zrem zremrangebylex zremrangebyrank zremrangebyscore
    zunionstore
""".split()  # noqa: SIM905  one list of 140 words
#: These may be left to a server, each with an example that may have written the key k, and the server that has it.
LEFT_TO_SERVERS = {
    "vadd": ((b"VADD", b"k", b"VALUES", b"1", b"1", b"e"), "redis:8.2"),
    "vrem": ((b"VREM", b"k", b"e"), "redis:8.2"),
    "vsetattr": ((b"VSETATTR", b"k", b"e", b"{}"), "redis:8.2"),
    "migrate": ((b"MIGRATE", b"127.0.0.1", b"1", b"k", b"0", b"1"), "redis:8.2"),
    "himport|set": ((b"HIMPORT", b"SET", b"k", b"t", b"v"), "redis:8.10"),
    "trimslots": ((b"TRIMSLOTS", b"RANGES", b"1", b"0", b"16383"), "redis:8.10"),
    "cluster|flushslot": ((b"CLUSTER", b"FLUSHSLOT", b"7629"), "valkey:9.1"),
}
#: Not flagged as `write`: databases, scripts, the cardinality in a HyperLogLog, field sets of a connection.
OTHERS = {"select", "script|load", "script|flush", "eval", "evalsha", "fcall", "pfcount"}
OTHERS |= {"himport|prepare", "himport|discard", "himport|discardall"}


def test_every_command_that_writes_is_there() -> None:
    assert len(WRITES) == len(set(WRITES)) == 140
    assert {name for name in WRITES if name.encode() not in TABLE} - LEFT_TO_SERVERS.keys() == set()


def test_no_other_command_is_there() -> None:
    assert {name.decode() for name in TABLE} - set(WRITES) <= OTHERS
    assert TABLE.keys() <= COMMANDS.keys()


@pytest.mark.parametrize("name", LEFT_TO_SERVERS)
def test_what_is_left_to_servers_is_uncertain(name: str) -> None:
    if name.encode() in TABLE:
        pytest.skip("it is replayed")
    words, target = LEFT_TO_SERVERS[name]
    with rdbkit.open(command(b"SET", b"k", b"v") + command(*words), target=target) as snapshot:
        assert [entry.key for entry in snapshot] == []
        assert [(db, key) for db, key, _ in snapshot.uncertain] == [(0, b"k")]
