"""What commands there are, how many arguments they take, and which of those are keys.

A row is name:arity:first:last:step, as COMMAND tells it: a negative arity is a least number; the name counts; keys are
the arguments first, first + step … last (negative: from the end). Rows without positions have no keys, or keys that a
count among the arguments gives (COUNTED). Read from Redis 7.0.15, with what later releases of both products added; of
those whose arity was not seen, the least that makes sense.
"""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

_REDIS_7_0 = """
acl|cat:-2 acl|deluser:-3 acl|dryrun:-4 acl|genpass:-2 acl|getuser:3 acl|help:2 acl|list:2 acl|load:2 acl|log:-2
acl|save:2 acl|setuser:-3 acl|users:2 acl|whoami:2 append:3:1:1:1 asking:1 auth:-2 bgrewriteaof:1 bgsave:-1
bitcount:-2:1:1:1 bitfield:-2:1:1:1 bitfield_ro:-2:1:1:1 bitop:-4:2:-1:1 bitpos:-3:1:1:1 blmove:6:1:2:1
blmpop:-5 blpop:-3:1:-2:1 brpop:-3:1:-2:1 brpoplpush:4:1:2:1 bzmpop:-5 bzpopmax:-3:1:-2:1 bzpopmin:-3:1:-2:1
client|caching:3 client|getname:2 client|getredir:2 client|help:2 client|id:2 client|info:2 client|kill:-3
client|list:-2 client|no-evict:3 client|pause:-3 client|reply:3 client|setname:3 client|tracking:-3
client|trackinginfo:2 client|unblock:-3 client|unpause:2 cluster|addslots:-3 cluster|addslotsrange:-4
cluster|bumpepoch:2 cluster|count-failure-reports:3 cluster|countkeysinslot:3 cluster|delslots:-3
cluster|delslotsrange:-4 cluster|failover:-2 cluster|flushslots:2 cluster|forget:3 cluster|getkeysinslot:4
cluster|help:2 cluster|info:2 cluster|keyslot:3 cluster|links:2 cluster|meet:-4 cluster|myid:2 cluster|nodes:2
cluster|replicas:3 cluster|replicate:3 cluster|reset:-2 cluster|saveconfig:2 cluster|set-config-epoch:3
cluster|setslot:-4 cluster|shards:2 cluster|slaves:3 cluster|slots:2 command|count:2 command|docs:-2
command|getkeys:-4 command|getkeysandflags:-4 command|help:2 command|info:-2 command|list:-2 config|get:-3
config|help:2 config|resetstat:2 config|rewrite:2 config|set:-4 copy:-3:1:2:1 dbsize:1 debug:-2 decr:2:1:1:1
decrby:3:1:1:1 del:-2:1:-1:1 discard:1 dump:2:1:1:1 echo:2 eval:-3 eval_ro:-3 evalsha:-3 evalsha_ro:-3 exec:1
exists:-2:1:-1:1 expire:-3:1:1:1 expireat:-3:1:1:1 expiretime:2:1:1:1 failover:-1 fcall:-3 fcall_ro:-3
flushall:-1 flushdb:-1 function|delete:3 function|dump:2 function|flush:-2 function|help:2 function|kill:2
function|list:-2 function|load:-3 function|restore:-3 function|stats:2 geoadd:-5:1:1:1 geodist:-4:1:1:1
geohash:-2:1:1:1 geopos:-2:1:1:1 georadius:-6:1:1:1 georadius_ro:-6:1:1:1 georadiusbymember:-5:1:1:1
georadiusbymember_ro:-5:1:1:1 geosearch:-7:1:1:1 geosearchstore:-8:1:2:1 get:2:1:1:1 getbit:3:1:1:1
getdel:2:1:1:1 getex:-2:1:1:1 getrange:4:1:1:1 getset:3:1:1:1 hdel:-3:1:1:1 hello:-1 hexists:3:1:1:1
hget:3:1:1:1 hgetall:2:1:1:1 hincrby:4:1:1:1 hincrbyfloat:4:1:1:1 hkeys:2:1:1:1 hlen:2:1:1:1 hmget:-3:1:1:1
hmset:-4:1:1:1 hrandfield:-2:1:1:1 hscan:-3:1:1:1 hset:-4:1:1:1 hsetnx:4:1:1:1 hstrlen:3:1:1:1 hvals:2:1:1:1
incr:2:1:1:1 incrby:3:1:1:1 incrbyfloat:3:1:1:1 info:-1 keys:2 lastsave:1 latency|doctor:2 latency|graph:3
latency|help:2 latency|histogram:-2 latency|history:3 latency|latest:2 latency|reset:-2 lcs:-3:1:2:1
lindex:3:1:1:1 linsert:5:1:1:1 llen:2:1:1:1 lmove:5:1:2:1 lmpop:-4 lolwut:-1 lpop:-2:1:1:1 lpos:-3:1:1:1
lpush:-3:1:1:1 lpushx:-3:1:1:1 lrange:4:1:1:1 lrem:4:1:1:1 lset:4:1:1:1 ltrim:4:1:1:1 memory|doctor:2
memory|help:2 memory|malloc-stats:2 memory|purge:2 memory|stats:2 memory|usage:-3:2:2:1 mget:-2:1:-1:1
migrate:-6:3:3:1 module|help:2 module|list:2 module|load:-3 module|loadex:-3 module|unload:3 monitor:1
move:3:1:1:1 mset:-3:1:-1:2 msetnx:-3:1:-1:2 multi:1 object|encoding:3:2:2:1 object|freq:3:2:2:1 object|help:2
object|idletime:3:2:2:1 object|refcount:3:2:2:1 persist:2:1:1:1 pexpire:-3:1:1:1 pexpireat:-3:1:1:1
pexpiretime:2:1:1:1 pfadd:-2:1:1:1 pfcount:-2:1:-1:1 pfdebug:3:2:2:1 pfmerge:-2:1:-1:1 pfselftest:1 ping:-1
psetex:4:1:1:1 psubscribe:-2 psync:-3 pttl:2:1:1:1 publish:3 pubsub|channels:-2 pubsub|help:2 pubsub|numpat:2
pubsub|numsub:-2 pubsub|shardchannels:-2 pubsub|shardnumsub:-2 punsubscribe:-1 quit:-1 randomkey:1 readonly:1
readwrite:1 rename:3:1:2:1 renamenx:3:1:2:1 replconf:-1 replicaof:3 reset:1 restore:-4:1:1:1
restore-asking:-4:1:1:1 role:1 rpop:-2:1:1:1 rpoplpush:3:1:2:1 rpush:-3:1:1:1 rpushx:-3:1:1:1 sadd:-3:1:1:1 save:1
scan:-2 scard:2:1:1:1 script|debug:3 script|exists:-3 script|flush:-2 script|help:2 script|kill:2 script|load:3
sdiff:-2:1:-1:1 sdiffstore:-3:1:-1:1 select:2 set:-3:1:1:1 setbit:4:1:1:1 setex:4:1:1:1 setnx:3:1:1:1
setrange:4:1:1:1 shutdown:-1 sinter:-2:1:-1:1 sintercard:-3 sinterstore:-3:1:-1:1 sismember:3:1:1:1 slaveof:3
slowlog|get:-2 slowlog|help:2 slowlog|len:2 slowlog|reset:2 smembers:2:1:1:1 smismember:-3:1:1:1 smove:4:1:2:1
sort:-2:1:1:1 sort_ro:-2:1:1:1 spop:-2:1:1:1 spublish:3:1:1:1 srandmember:-2:1:1:1 srem:-3:1:1:1 sscan:-3:1:1:1
ssubscribe:-2:1:-1:1 strlen:2:1:1:1 subscribe:-2 substr:4:1:1:1 sunion:-2:1:-1:1 sunionstore:-3:1:-1:1
sunsubscribe:-1:1:-1:1 swapdb:3 sync:1 time:1 touch:-2:1:-1:1 ttl:2:1:1:1 type:2:1:1:1 unlink:-2:1:-1:1
unsubscribe:-1 unwatch:1 wait:3 watch:-2:1:-1:1 xack:-4:1:1:1 xadd:-5:1:1:1 xautoclaim:-6:1:1:1 xclaim:-6:1:1:1
xdel:-3:1:1:1 xgroup|create:-5:2:2:1 xgroup|createconsumer:5:2:2:1 xgroup|delconsumer:5:2:2:1
xgroup|destroy:4:2:2:1 xgroup|help:2 xgroup|setid:-5:2:2:1 xinfo|consumers:4:2:2:1 xinfo|groups:3:2:2:1
xinfo|help:2 xinfo|stream:-3:2:2:1 xlen:2:1:1:1 xpending:-3:1:1:1 xrange:-4:1:1:1 xread:-4 xreadgroup:-7
xrevrange:-4:1:1:1 xsetid:-3:1:1:1 xtrim:-4:1:1:1 zadd:-4:1:1:1 zcard:2:1:1:1 zcount:4:1:1:1 zdiff:-3
zdiffstore:-4:1:1:1 zincrby:4:1:1:1 zinter:-3 zintercard:-3 zinterstore:-4:1:1:1 zlexcount:4:1:1:1 zmpop:-4
zmscore:-3:1:1:1 zpopmax:-2:1:1:1 zpopmin:-2:1:1:1 zrandmember:-2:1:1:1 zrange:-4:1:1:1 zrangebylex:-4:1:1:1
zrangebyscore:-4:1:1:1 zrangestore:-5:1:2:1 zrank:3:1:1:1 zrem:-3:1:1:1 zremrangebylex:4:1:1:1
zremrangebyrank:4:1:1:1 zremrangebyscore:4:1:1:1 zrevrange:-4:1:1:1 zrevrangebylex:-4:1:1:1
zrevrangebyscore:-4:1:1:1 zrevrank:3:1:1:1 zscan:-3:1:1:1 zscore:3:1:1:1 zunion:-3 zunionstore:-4:1:1:1
"""

_LATER = """
hexpire:-6:1:1:1 hpexpire:-6:1:1:1 hexpireat:-6:1:1:1 hpexpireat:-6:1:1:1 hpersist:-5:1:1:1 httl:-5:1:1:1
hpttl:-5:1:1:1 hexpiretime:-5:1:1:1 hpexpiretime:-5:1:1:1 hgetdel:-5:1:1:1 hgetex:-5:1:1:1 hsetex:-6:1:1:1
waitaof:4 vadd:-5:1:1:1 vrem:3:1:1:1 vsetattr:4:1:1:1 vgetattr:3:1:1:1 vsim:-4:1:1:1 vcard:2:1:1:1 vdim:2:1:1:1
vemb:-3:1:1:1 vinfo:2:1:1:1 vlinks:-3:1:1:1 vrandmember:-2:1:1:1 vismember:3:1:1:1 vrange:-4:1:1:1
xdelex:-5:1:1:1 xackdel:-6:1:1:1 delex:-2:1:1:1 delifeq:3:1:1:1 digest:2:1:1:1 msetex:-4 xcfgset:-2:1:1:1
xidmprecord:5:1:1:1 xnack:-5:1:1:1 arset:-4:1:1:1 armset:-4:1:1:1 arinsert:-3:1:1:1 arring:-3:1:1:1
ardel:-3:1:1:1 ardelrange:-4:1:1:1 arseek:3:1:1:1 arget:-3:1:1:1 armget:-3:1:1:1 arlen:2:1:1:1 arcount:2:1:1:1
arscan:-2:1:1:1 arpop:-2:1:1:1 trimslots:-2 sflush:-3 himport:-2 commandlog:-2 clusterscan:-2 script|show:3
cluster|migrateslots:-4 cluster|getslotmigrations:2 cluster|cancelslotmigrations:2 cluster|flushslot:-3
cluster|migration:-2 hotkeys:-2
"""

#: Commands whose keys follow a count: at which argument that stands; with True a destination key comes before it.
COUNTED = {
    b"lmpop": (1, False), b"zmpop": (1, False), b"blmpop": (2, False), b"bzmpop": (2, False), b"msetex": (1, False),
    b"zdiffstore": (2, True), b"zinterstore": (2, True), b"zunionstore": (2, True),
    b"eval": (2, False), b"evalsha": (2, False), b"eval_ro": (2, False), b"evalsha_ro": (2, False),
    b"fcall": (2, False), b"fcall_ro": (2, False),
}  # fmt: skip


class Spec(NamedTuple):
    """A row of the table; first 0: no keys at fixed places."""

    arity: int
    first: int = 0
    last: int = 0
    step: int = 0


def _rows(text: str) -> dict[bytes, Spec]:
    found = {}
    for row in text.split():
        name, *numbers = row.split(":")
        found[name.encode()] = Spec(*map(int, numbers))
    return found


COMMANDS = _rows(_REDIS_7_0) | _rows(_LATER)
#: Commands that have subcommands: the table lists "name|subcommand".
CONTAINERS = frozenset(name.split(b"|")[0] for name in COMMANDS if b"|" in name)


def spec_of(args: list[bytes]) -> Spec | None:
    """Return the row for a command, None for one that the table does not know."""
    name = args[0].lower()
    if name in CONTAINERS and len(args) > 1:
        return COMMANDS.get(name + b"|" + args[1].lower())
    return COMMANDS.get(name)


def arity_fits(spec: Spec, count: int) -> bool:
    """Return whether a command of so many words, its name included, is well-formed."""
    return count == spec.arity if spec.arity >= 0 else count >= -spec.arity


def keys_of(args: list[bytes]) -> list[bytes]:
    """Return the keys that a command names; [] where it names none, or is not known."""
    if not args:
        return []
    counted = COUNTED.get(args[0].lower())
    if counted is not None:
        return _counted(args, *counted)
    spec = spec_of(args)
    if spec is None or not spec.first:
        return []
    last = spec.last if spec.last >= 0 else len(args) + spec.last
    keys = args[spec.first : last + 1 : spec.step]
    if args[0].lower() == b"sort" or args[0].lower().startswith(b"georadius"):
        keys = keys + _stored(args)
    return keys


def _counted(args: list[bytes], at: int, destination: bool) -> list[bytes]:
    text = args[at] if at < len(args) else b""
    count = int(text) if text.isdigit() and len(text) < 10 else 0
    step = 2 if args[0].lower() == b"msetex" else 1
    return args[1:2] * destination + args[at + 1 : at + 1 + step * count : step]


def _stored(args: list[bytes]) -> list[bytes]:
    """Return the key behind STORE or STOREDIST."""
    return [key for word, key in pairwise(args[2:]) if word.lower() in (b"store", b"storedist")]
