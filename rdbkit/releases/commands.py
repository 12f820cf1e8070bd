"""The commands: the releases that have them, how many arguments they take, and which of these are keys.

A row is name:arity:first:last:step, as in COMMAND: a negative arity is a minimum; the name counts; keys are the
arguments first, first + step … last (negative: from the end). Rows without positions have no keys, or keys whose number
is an argument (COUNTED). Rows follow a line "@ REDIS VALKEY", the releases that have them (table.py). If the arity of a
command differs between releases, the row has the smallest.

Source: COMMAND and COMMAND DOCS of Redis 8.10.2 and Valkey 9.1.2, and COMMAND of 16 older servers: if one of these has
a command earlier than the documentation says, the row has the earlier release. Valkey 9.2: its command definitions; of
subcommands of ACL and CONFIG that are new there only the names are known, so they have the smallest arity, -2. Redis
8.12: its documentation; where that gives no arity, the fewest words that the syntax allows. BITCONVERT and BITROAROP
are internal: they are met in an AOF only.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

from rdbkit.releases.table import RELEASES, Version, first_of, within
from rdbkit.releases.target import Target

_TABLE = """
@ * *
append:3:1:1:1 auth:-2 bgrewriteaof:1 bgsave:-1 blpop:-3:1:-2:1 brpop:-3:1:-2:1 brpoplpush:4:1:2:1 client:-2
client|kill:-3 client|list:-2 config:-2 config|get:-3 config|resetstat:2 config|set:-4 dbsize:1 debug:-2 decr:2:1:1:1
decrby:3:1:1:1 del:-2:1:-1:1 discard:1 echo:2 exec:-1 exists:-2:1:-1:1 expire:-3:1:1:1 expireat:-3:1:1:1 flushall:-1
flushdb:-1 get:2:1:1:1 getbit:3:1:1:1 getrange:4:1:1:1 getset:3:1:1:1 hdel:-3:1:1:1 hexists:3:1:1:1 hget:3:1:1:1
hgetall:2:1:1:1 hincrby:4:1:1:1 hkeys:2:1:1:1 hlen:2:1:1:1 hmget:-3:1:1:1 hmset:-4:1:1:1 hset:-4:1:1:1 hsetnx:4:1:1:1
hvals:2:1:1:1 incr:2:1:1:1 incrby:3:1:1:1 info:-1 keys:2 lastsave:1 lindex:3:1:1:1 linsert:5:1:1:1 llen:2:1:1:1
lpop:-2:1:1:1 lpush:-3:1:1:1 lpushx:-3:1:1:1 lrange:4:1:1:1 lrem:4:1:1:1 lset:4:1:1:1 ltrim:4:1:1:1 mget:-2:1:-1:1
monitor:1 move:-3:1:1:1 mset:-3:1:-1:2 msetnx:-3:1:-1:2 multi:1 object:-2 object|encoding:3:2:2:1
object|idletime:3:2:2:1 object|refcount:3:2:2:1 persist:2:1:1:1 ping:-1 psubscribe:-2 publish:3 punsubscribe:-1
randomkey:1 rename:3:1:2:1 renamenx:3:1:2:1 rpop:-2:1:1:1 rpoplpush:3:1:2:1 rpush:-3:1:1:1 rpushx:-3:1:1:1
sadd:-3:1:1:1 save:1 scard:2:1:1:1 sdiff:-2:1:-1:1 sdiffstore:-3:1:-1:1 select:2 set:-3:1:1:1 setbit:4:1:1:1
setex:4:1:1:1 setnx:3:1:1:1 setrange:4:1:1:1 shutdown:-1 sinter:-2:1:-1:1 sinterstore:-3:1:-1:1 sismember:3:1:1:1
slaveof:3 slowlog:-2 slowlog|get:-2 slowlog|len:2 slowlog|reset:2 smembers:2:1:1:1 smove:4:1:2:1 sort:-2:1:1:1
spop:-2:1:1:1 srandmember:-2:1:1:1 srem:-3:1:1:1 strlen:2:1:1:1 subscribe:-2 substr:4:1:1:1 sunion:-2:1:-1:1
sunionstore:-3:1:-1:1 sync:1 ttl:2:1:1:1 type:2:1:1:1 unsubscribe:-1 unwatch:1 watch:-2:1:-1:1 zadd:-4:1:1:1
zcard:2:1:1:1 zcount:4:1:1:1 zincrby:4:1:1:1 zinterstore:-4:1:1:1 zrange:-4:1:1:1 zrangebyscore:-4:1:1:1
zrank:-3:1:1:1 zrem:-3:1:1:1 zremrangebyrank:4:1:1:1 zremrangebyscore:4:1:1:1 zrevrange:-4:1:1:1
zrevrangebyscore:-4:1:1:1 zrevrank:-3:1:1:1 zscore:3:1:1:1 zunionstore:-4:1:1:1
@ 2.6 *
bitcount:-2:1:1:1 bitop:-4:2:-1:1 dump:2:1:1:1 eval:-3 evalsha:-3 hincrbyfloat:4:1:1:1 incrbyfloat:3:1:1:1
migrate:-6:3:3:1 pexpire:-3:1:1:1 pexpireat:-3:1:1:1 psetex:4:1:1:1 pttl:2:1:1:1 restore:-4:1:1:1 script:-2
script|exists:-3 script|flush:-2 script|kill:2 script|load:3 time:1
@ 2.6.9 *
client|getname:2 client|setname:3
@ 2.8 *
config|rewrite:2 hscan:-3:1:1:1 psync:-3 pubsub:-2 pubsub|channels:-2 pubsub|numpat:2 pubsub|numsub:-2 replconf:-1
scan:-2 sscan:-3:1:1:1 zscan:-3:1:1:1
@ 2.8.7 *
bitpos:-3:1:1:1
@ 2.8.9 *
pfadd:-2:1:1:1 pfcount:-2:1:-1:1 pfdebug:3:2:2:1 pfmerge:-2:1:-1:1 pfselftest:1 zlexcount:4:1:1:1 zrangebylex:-4:1:1:1
zremrangebylex:4:1:1:1 zrevrangebylex:-4:1:1:1
@ 2.8.12 *
role:1
@ 2.8.13 *
command:-1 command|count:2 command|getkeys:-3 command|info:-2 latency:-2 latency|doctor:2 latency|graph:3
latency|help:2 latency|history:3 latency|latest:2 latency|reset:-2
@ 2.9.50 *
client|pause:-3
@ 3.0 *
asking:1 cluster:-2 cluster|addslots:-3 cluster|bumpepoch:2 cluster|count-failure-reports:3 cluster|countkeysinslot:3
cluster|delslots:-3 cluster|failover:-2 cluster|flushslots:2 cluster|forget:3 cluster|getkeysinslot:4 cluster|info:2
cluster|keyslot:3 cluster|meet:-4 cluster|myid:2 cluster|nodes:2 cluster|replicate:3 cluster|reset:-2
cluster|saveconfig:2 cluster|set-config-epoch:3 cluster|setslot:-4 cluster|slaves:3 cluster|slots:2 readonly:1
readwrite:1 restore-asking:-4:1:1:1 wait:3
@ 3.2 *
bitfield:-2:1:1:1 client|reply:3 geoadd:-5:1:1:1 geodist:-4:1:1:1 geohash:-2:1:1:1 geopos:-2:1:1:1 georadius:-6:1:1:1
georadiusbymember:-5:1:1:1 hstrlen:3:1:1:1 script|debug:3
@ 3.2.1 *
touch:-2:1:-1:1
@ 3.2.10 *
georadius_ro:-6:1:1:1 georadiusbymember_ro:-5:1:1:1
@ 4.0 *
memory:-2 memory|doctor:2 memory|help:2 memory|malloc-stats:2 memory|purge:2 memory|stats:2 memory|usage:-3:2:2:1
module:-2 module|list:2 module|load:-3 module|unload:3 object|freq:3:2:2:1 swapdb:3 unlink:-2:1:-1:1
@ 5.0 *
bzpopmax:-3:1:-2:1 bzpopmin:-3:1:-2:1 client|help:2 client|id:2 client|unblock:-3 cluster|help:2 cluster|replicas:3
command|help:2 config|help:2 lolwut:-1 module|help:2 replicaof:3 script|help:2 xack:-4:1:1:1 xadd:-5:1:1:1
xclaim:-6:1:1:1 xdel:-3:1:1:1 xgroup:-2 xgroup|create:-5:2:2:1 xgroup|delconsumer:5:2:2:1 xgroup|destroy:4:2:2:1
xgroup|help:2 xgroup|setid:-5:2:2:1 xinfo:-2 xinfo|consumers:4:2:2:1 xinfo|groups:3:2:2:1 xinfo|help:2
xinfo|stream:-3:2:2:1 xlen:2:1:1:1 xpending:-3:1:1:1 xrange:-4:1:1:1 xread:-4 xreadgroup:-7 xrevrange:-4:1:1:1
xsetid:-3:1:1:1 xtrim:-4:1:1:1 zpopmax:-2:1:1:1 zpopmin:-2:1:1:1
@ 6.0 *
acl:-2 acl|cat:-2 acl|deluser:-3 acl|genpass:-2 acl|getuser:3 acl|help:2 acl|list:2 acl|load:2 acl|log:-2 acl|save:2
acl|setuser:-3 acl|users:2 acl|whoami:2 bitfield_ro:-2:1:1:1 client|caching:3 client|getredir:2 client|tracking:-3
hello:-1
@ 6.0.0-6.2 -
stralgo:-2
@ 6.0.6 *
lpos:-3:1:1:1
@ 6.2 *
blmove:6:1:2:1 client|info:2 client|trackinginfo:2 client|unpause:2 copy:-3:1:2:1 failover:-1 geosearch:-7:1:1:1
geosearchstore:-8:1:2:1 getdel:2:1:1:1 getex:-2:1:1:1 hrandfield:-2:1:1:1 lmove:5:1:2:1 object|help:2 pubsub|help:2
reset:1 slowlog|help:2 smismember:-3:1:1:1 xautoclaim:-6:1:1:1 xgroup|createconsumer:5:2:2:1 zdiff:-3
zdiffstore:-4:1:1:1 zinter:-3 zmscore:-3:1:1:1 zrandmember:-2:1:1:1 zrangestore:-5:1:2:1 zunion:-3
@ 7.0 *
acl|dryrun:-4 blmpop:-5 bzmpop:-5 client|no-evict:3 cluster|addslotsrange:-4 cluster|delslotsrange:-4 cluster|links:2
cluster|shards:2 command|docs:-2 command|getkeysandflags:-3 command|list:-2 eval_ro:-3 evalsha_ro:-3
expiretime:2:1:1:1 fcall:-3 fcall_ro:-3 function:-2 function|delete:3 function|dump:2 function|flush:-2
function|help:2 function|kill:2 function|list:-2 function|load:-3 function|restore:-3 function|stats:2
latency|histogram:-2 lcs:-3:1:2:1 lmpop:-4 module|loadex:-3 pexpiretime:2:1:1:1 pubsub|shardchannels:-2
pubsub|shardnumsub:-2 quit:-1 sintercard:-3 sort_ro:-2:1:1:1 spublish:3:1:1:1 ssubscribe:-2:1:-1:1
sunsubscribe:-1:1:-1:1 zintercard:-3 zmpop:-4
@ 7.2 *
client|no-touch:3 client|setinfo:4 cluster|myshardid:2 waitaof:4
@ 7.4 9.0
hexpire:-6:1:1:1 hexpireat:-6:1:1:1 hexpiretime:-5:1:1:1 hpersist:-5:1:1:1 hpexpire:-6:1:1:1 hpexpireat:-6:1:1:1
hpexpiretime:-5:1:1:1 hpttl:-5:1:1:1 httl:-5:1:1:1
@ 8.0 9.0
hgetex:-5:1:1:1 hsetex:-6:1:1:1
@ 8.0 9.1
hgetdel:-5:1:1:1
@ 8.0 -
sflush:-3 vadd:-5:1:1:1 vcard:2:1:1:1 vdim:2:1:1:1 vemb:-3:1:1:1 vgetattr:3:1:1:1 vinfo:2:1:1:1 vismember:3:1:1:1
vlinks:-3:1:1:1 vrandmember:-2:1:1:1 vrem:3:1:1:1 vsetattr:4:1:1:1 vsim:-4:1:1:1
@ 8.2 8.0
cluster|slot-stats:-4
@ 8.2 9.2
xackdel:-6:1:1:1 xdelex:-5:1:1:1
@ 8.4 9.0
cluster|syncslots:-3
@ 8.4 9.1
msetex:-4
@ 8.4 9.2
delex:-2:1:1:1
@ 8.4 -
cluster|migration:-4 digest:2:1:1:1 trimslots:-5 vrange:-4:1:1:1
@ 8.6 9.2
hotkeys:-2 hotkeys|get:2 hotkeys|reset:2
@ 8.6 -
hotkeys|start:-2 hotkeys|stop:2 xcfgset:-2:1:1:1
@ 8.6.1 9.2
hotkeys|help:2
@ 8.6.2 -
xidmprecord:5:1:1:1
@ 8.8 9.2
increx:-2:1:1:1
@ 8.8 -
arcount:2:1:1:1 ardel:-3:1:1:1 ardelrange:-4:1:1:1 arget:3:1:1:1 argetrange:4:1:1:1 argrep:-6:1:1:1 arinfo:-2:1:1:1
arinsert:-3:1:1:1 arlastitems:-3:1:1:1 arlen:2:1:1:1 armget:-3:1:1:1 armset:-4:1:1:1 arnext:2:1:1:1 arop:-5:1:1:1
arring:-4:1:1:1 arscan:-4:1:1:1 arseek:3:1:1:1 arset:-4:1:1:1 xnack:-7:1:1:1
@ 8.10 -
backup:2 backup|abort:2 backup|cleanup:2 backup|help:2 backup|list:2 backup|seal:2 backup|start:2 backup|status:2
blmovem:-6:1:2:1 himport:-2 himport|discard:3 himport|discardall:2 himport|prepare:-4 himport|set:-5:2:2:1
lmovem:-5:1:2:1 sdiffcard:-3 sunioncard:-3
@ 8.12 -
bitconvert:2:1:1:1 bitrangeintarray:-4:1:1:1 bitroarop:-4:2:-1:1 bless:-2 bless|clear:4:2:2:1 bless|get:3:2:2:1
bless|scan:-4 bless|set:4:2:2:1 bzmove:-5:1:2:1 saddex:-5:1:1:1 sexpire:-6:1:1:1 sexpireat:-6:1:1:1
sexpiretime:-5:1:1:1 spersist:-5:1:1:1 spexpire:-6:1:1:1 spexpireat:-6:1:1:1 spexpiretime:-5:1:1:1 spttl:-5:1:1:1
sttl:-5:1:1:1 zmove:-4:1:2:1 zmovemember:-6:1:2:1
@ - 8.0
client|capa:-3 script|show:3
@ - 8.1
client|import-source:3 commandlog:-2 commandlog|get:4 commandlog|help:2 commandlog|len:3 commandlog|reset:3
@ - 9.0
cluster|cancelslotmigrations:2 cluster|flushslot:-3 cluster|getslotmigrations:2 cluster|migrateslots:-4
delifeq:3:1:1:1
@ - 9.1
clusterscan:-2:1:1:1
@ - 9.2
acl|delrole:-2 acl|digest:-2 acl|getrole:-2 acl|roles:-2 acl|setrole:-2 config|info:-2 phcard:2:1:1:1 phdel:-3:1:1:1
phdelprefix:3:1:1:1 phexists:3:1:1:1 phget:-4:1:1:1 phgetall:3:1:1:1 phlongest:-3:1:1:1 phmget:-6:1:1:1
phmset:-7:1:1:1 phprefixes:-3:1:1:1 phscan:-3:1:1:1 phset:-7:1:1:1
"""

#: Commands whose keys follow a count: the position of the count, and whether a destination key comes before it.
COUNTED = {
    b"lmpop": (1, False), b"zmpop": (1, False), b"blmpop": (2, False), b"bzmpop": (2, False), b"msetex": (1, False),
    b"zdiffstore": (2, True), b"zinterstore": (2, True), b"zunionstore": (2, True),
    b"eval": (2, False), b"evalsha": (2, False), b"eval_ro": (2, False), b"evalsha_ro": (2, False),
    b"fcall": (2, False), b"fcall_ro": (2, False),
}  # fmt: skip


class Spec(NamedTuple):
    """A row of the table; first 0: no keys at fixed places. `redis`, `valkey`: the releases that have it (table.py)."""

    arity: int
    first: int = 0
    last: int = 0
    step: int = 0
    redis: str = "*"
    valkey: str = "*"


def _rows() -> dict[bytes, Spec]:
    found = {}
    redis = valkey = "*"
    for line in _TABLE.splitlines():
        if line.startswith("@"):
            _, redis, valkey = line.split()
            continue
        for row in line.split():
            name, *numbers = row.split(":")
            first, last, step = map(int, numbers[1:] or (0, 0, 0))
            found[name.encode()] = Spec(int(numbers[0]), first, last, step, redis, valkey)
    return found


COMMANDS = _rows()
#: Commands that have subcommands: the table lists "name|subcommand".
CONTAINERS = frozenset(name.split(b"|")[0] for name in COMMANDS if b"|" in name)


def spec_of(args: list[bytes]) -> Spec | None:
    """Return the row for a command, None for one that is not in the table."""
    name = args[0].lower()
    if name in CONTAINERS and len(args) > 1:
        return COMMANDS.get(name + b"|" + args[1].lower())
    return COMMANDS.get(name)


def arity_fits(spec: Spec, count: int) -> bool:
    """Return whether a command with `count` words, including its name, has the right number of arguments."""
    return count == spec.arity if spec.arity >= 0 else count >= -spec.arity


def keys_of(args: list[bytes]) -> list[bytes]:
    """Return the keys of a command; [] if it has none, or is not known."""
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
    """Return the key after STORE or STOREDIST."""
    return [key for word, key in pairwise(args[2:]) if word.lower() in (b"store", b"storedist")]


def knows(target: Target, spec: Spec) -> bool:
    """Return whether a release has a command."""
    return within(spec.valkey if target.product == "valkey" else spec.redis, target.version)


def ranges(product: str) -> Iterator[str]:
    """Yield the releases of a product that have a command, for each command."""
    return (getattr(row, product) for row in COMMANDS.values())


def first_releases(spec: Spec) -> dict[str, Version]:
    """Return the first release of each product that has a command; products that never had it are left out."""
    found = {product: first_of(getattr(spec, product), product) for product in RELEASES}
    return {product: version for product, version in found.items() if version is not None}
