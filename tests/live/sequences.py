"""Sequences of commands that change few keys many times, with arguments near limits, made from a seed.

    Sequence(seed).settings     limits of encodings, in the newest spellings, and what the AOF begins with
    Sequence(seed).commands()   commands in the order in which a client sends them

The same seed gives the same commands for every release: what a release does not know, or refuses, it does not write
into its AOF. Only times of the future are given, for a server deletes what has expired.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

Arg = bytes | str | int | float
Command = tuple[Arg, ...]

FAR = 4102444800000  # 2100-01-01, in ms
#: Strings, lists, sets, hashes, sorted sets, streams, bit strings, HyperLogLogs, places, arrays.
KINDS = "slthzxbpga"
#: Keys of each kind; a few commands get a key of another one.
KEYS = 5
SIZES = (0, 1, 11, 12, 20, 21, 43, 44, 45, 63, 64, 65, 127, 128, 253, 254, 1000)
INTEGERS = (0, 1, -1, 12, 127, 128, -129, 9999, 10000, 32767, 32768, 1 << 31, -(1 << 31) - 1, 1 << 40, (1 << 63) - 1)
SCORES = (
    "0",
    "-0",
    "1",
    "2",
    "3",
    "-1.5",
    "0.1",
    "1e300",
    "inf",
    "-inf",
    "17",
    "9007199254740993",
    "3.3333333333333335",
)
STEPS = ("1", "-1", "0.1", "2.5", "1e10", "-3")
BULKS = (1, 1, 1, 2, 3, 5, 9, 17, 40, 130)
#: Runs any command, and hides its error.
SCRIPT = "return redis.pcall(unpack(ARGV))"
RESTORED = "return redis.call('RESTORE', KEYS[2], ARGV[1], redis.call('DUMP', KEYS[1]), 'REPLACE', ARGV[2])"
LIBRARY = "#!lua name={0}\nredis.register_function('{0}', function(keys, args) return {1} end)"


class Sequence:
    """What one seed makes."""

    def __init__(self, seed: int, size: int = 900, kinds: str = KINDS) -> None:
        self.draw = random.Random(seed)
        self.size = size
        self.kinds = kinds
        self.settings = self._settings()
        pools: dict[str, list[bytes]] = {}
        for kind in KINDS + "e":
            count = KEYS if kind != "x" else 3
            pools[kind] = [b"%s%d" % (kind.encode(), n) + b"k" * self._size(40) for n in range(count)]
        self.pools = pools
        self.members = [b"m%d" % n for n in range(30)] + [self._text() for _ in range(20)]
        self.entry = 1

    def _settings(self) -> dict[str, str]:
        choose = self.draw.choice
        found = {
            "hash-max-listpack-entries": choose(("4", "16", "512")),
            "hash-max-listpack-value": choose(("8", "64")),
            "list-max-listpack-size": choose(("-2", "-1", "4", "64")),
            "list-compress-depth": choose(("0", "1", "2")),
            "set-max-intset-entries": choose(("3", "16", "512")),
            "set-max-listpack-entries": choose(("4", "16", "128")),
            "set-max-listpack-value": choose(("8", "64")),
            "zset-max-listpack-entries": choose(("4", "16", "128")),
            "zset-max-listpack-value": choose(("8", "64")),
            "stream-node-max-entries": choose(("100", "3", "0")),
            "stream-node-max-bytes": choose(("4096", "300")),
        }
        # Half of the sequences have most defaults.
        chance = choose((0.1, 0.7))
        return {name: text for name, text in found.items() if self.draw.random() < chance}

    # -- arguments -------------------------------------------------------------------------------------------------

    def key(self, kind: str) -> bytes:
        if self.draw.random() < 0.02:
            kind = self.draw.choice(self.kinds)
        return self.draw.choice(self.pools[kind])

    def any_key(self) -> bytes:
        return self.key(self.draw.choice(self.kinds))

    def _size(self, most: int) -> int:
        return self.draw.choice((0, 0, self.draw.randrange(most)))

    def _text(self) -> bytes:
        draw = self.draw
        how = draw.random()
        if how < 0.3:
            return b"%d" % draw.choice(INTEGERS)
        if how < 0.4:
            return draw.choice((b"007", b"-0", b"1.5", b" 1", b"3.0e3", b"9223372036854775808", b"\0\xff\r\n"))
        size = draw.choice(SIZES) if how < 0.8 else draw.randrange(90)
        return draw.randbytes(size) if draw.random() < 0.5 else b"v" * size

    def text(self) -> bytes:
        return self._text() if self.draw.random() < 0.99 else self.draw.randbytes(self.draw.choice((4096, 9000, 20000)))

    def number(self) -> int:
        return self.draw.choice((1, -1, 7, self.draw.choice(INTEGERS), self.draw.randrange(-99, 99)))

    def member(self) -> bytes:
        return self.draw.choice(self.members)

    def many(self, make: Callable[[], Arg]) -> list[Arg]:
        return [make() for _ in range(self.draw.choice(BULKS))]

    def some(self, make: Callable[[], Arg]) -> list[Arg]:
        return [make() for _ in range(self.draw.randrange(1, 4))]

    def pairs(self, one: Callable[[], Arg], other: Callable[[], Arg]) -> list[Arg]:
        return [word for _ in range(self.draw.choice(BULKS)) for word in (one(), other())]

    def score(self) -> str:
        return self.draw.choice(SCORES) if self.draw.random() < 0.5 else str(self.draw.randrange(-20, 200))

    def fresh(self) -> bytes:
        """Return a member that was hardly used before."""
        return b"%x" % self.draw.getrandbits(self.draw.choice((8, 16, 60)))

    def word(self) -> Arg:
        """Return a member of a set: one of few, a number, or a new one."""
        make = self.draw.choice((self.member, self.member, self.number, lambda: self.draw.randrange(300), self.fresh))
        found: Arg = make()
        return found

    def due(self, unit: int = 1) -> int:
        return (FAR + self.draw.randrange(10**6)) // unit

    def life(self, unit: int = 1) -> int:
        return (10**11 + self.draw.randrange(10**6)) // unit

    def at(self) -> int:
        return self.draw.choice((0, 1, -1, 2, -2, 5, -7, 30))

    def maybe(self, *words: Arg, chance: float = 0.3) -> tuple[Arg, ...]:
        return words if self.draw.random() < chance else ()

    def expiry(self) -> tuple[Arg, ...]:
        """Return options of SET, GETEX, HSETEX and others."""
        options: tuple[tuple[Arg, ...], ...] = (
            (), (), ("PXAT", self.due()), ("EXAT", self.due(1000)), ("PX", self.life()), ("EX", self.life(1000)),
            ("KEEPTTL",),
        )  # fmt: skip
        return self.draw.choice(options)

    def end(self) -> str:
        return self.draw.choice(("LEFT", "RIGHT"))

    # -- strings ---------------------------------------------------------------------------------------------------

    def string(self) -> Command:
        key, draw = self.key("s"), self.draw
        text = self.text()
        choices: tuple[Callable[[], Command], ...] = (
            lambda: ("SET", key, text, *self.expiry()),
            lambda: ("SET", key, text, *self.expiry(), draw.choice(("NX", "XX", "GET")),),
            lambda: ("SET", key, text, "IFEQ", self._text()),
            lambda: ("SETEX", key, self.life(1000), text),
            lambda: ("PSETEX", key, self.life(), text),
            lambda: ("SETNX", key, text),
            lambda: ("GETSET", key, text),
            lambda: ("GETDEL", key),
            lambda: ("GETEX", key, *draw.choice((self.expiry(), ("PERSIST",)))),
            lambda: ("MSET", *(word for _ in range(3) for word in (self.key("s"), self._text()))),
            lambda: ("MSETNX", key, text, self.key("s"), text),
            lambda: ("MSETEX", 2, key, text, self.key("s"), text, *self.expiry()),
            lambda: ("APPEND", key, text),
            lambda: ("APPEND", key, b"1"),
            lambda: ("SETRANGE", key, draw.choice((0, 1, 30, 44, 300)), text),
            lambda: ("INCR", key),
            lambda: ("DECR", key),
            lambda: ("INCRBY", key, self.number()),
            lambda: ("DECRBY", key, self.number()),
            lambda: ("INCRBYFLOAT", key, draw.choice(STEPS)),
            lambda: ("INCREX", key, "BYINT", self.number(), *self.maybe("UBOUND", 1000, "SATURATE"), *self.expiry()),
            lambda: ("INCREX", key, "BYFLOAT", draw.choice(STEPS), *self.maybe("LBOUND", -50)),
            lambda: ("DELEX", key, *self.maybe("IFEQ", self._text())),
            lambda: ("DELIFEQ", key, self._text()),
        )  # fmt: skip
        return draw.choice(choices)()

    def bits(self) -> Command:
        key, draw = self.key("b"), self.draw
        offset = draw.choice((0, 1, 7, 8, 100, 1000, draw.randrange(4000)))
        kind = draw.choice(("u1", "u8", "i8", "u16", "i32", "u63", "i64"))
        field = draw.choice(("GET", "SET", "INCRBY", "INCRBY"))
        choices: tuple[Callable[[], Command], ...] = (
            lambda: ("SETBIT", key, offset, draw.randrange(2)),
            lambda: ("SETBIT", key, draw.choice((offset, 70_000)), 1),
            lambda: (
                "BITFIELD", key, *self.maybe("OVERFLOW", draw.choice(("WRAP", "SAT", "FAIL"))),
                field, kind, draw.choice((offset, f"#{offset % 9}")), *(() if field == "GET" else (self.number(),)),
            ),
            lambda: ("BITOP", draw.choice(("AND", "OR", "XOR")), key, *self.some(lambda: self.key("b"))),
            lambda: ("BITOP", draw.choice(("DIFF", "DIFF1", "ANDOR", "ONE")), key, self.key("b"), self.key("b")),
            lambda: ("BITOP", "NOT", key, self.key("b")),
            lambda: ("SET", key, draw.randbytes(draw.randrange(60))),
        )  # fmt: skip
        return draw.choice(choices)()

    def cardinality(self) -> Command:
        key, draw = self.key("p"), self.draw
        choices: tuple[Callable[[], Command], ...] = (
            lambda: ("PFADD", key, *self.many(self.fresh)),
            lambda: ("PFADD", key, *(b"%d" % draw.getrandbits(40) for _ in range(draw.choice((1, 300, 1200))))),
            lambda: ("PFADD", key),
            lambda: ("PFCOUNT", key),
            lambda: ("PFCOUNT", key, self.key("p")),
            lambda: ("PFMERGE", key, *self.some(lambda: self.key("p"))),
        )
        return draw.choice(choices)()

    # -- lists, sets, hashes ---------------------------------------------------------------------------------------

    def list(self) -> Command:
        key, draw = self.key("l"), self.draw
        item = self._text if draw.random() < 0.6 else self.text
        choices: tuple[Callable[[], Command], ...] = (
            lambda: (draw.choice(("RPUSH", "LPUSH")), key, *self.many(item)),
            lambda: (draw.choice(("RPUSH", "LPUSH")), key, *self.many(self.member)),
            lambda: (draw.choice(("RPUSHX", "LPUSHX")), key, *self.some(item)),
            lambda: (draw.choice(("RPOP", "LPOP")), key, *self.maybe(draw.randrange(1, 60))),
            lambda: ("LSET", key, self.at(), item()),
            lambda: ("LINSERT", key, draw.choice(("BEFORE", "AFTER")), self.member(), item()),
            lambda: ("LREM", key, self.at(), self.member()),
            lambda: ("LTRIM", key, draw.choice((0, 0, 1, 3, -40)), draw.choice((-1, -1, -2, 60))),
            lambda: ("RPOPLPUSH", key, self.key("l")),
            lambda: ("LMOVE", key, self.key("l"), self.end(), self.end()),
            lambda: ("LMPOP", 2, key, self.key("l"), self.end(), *self.maybe("COUNT", draw.randrange(1, 30))),
            lambda: (
                "LMOVEM", key, self.key("l"), self.end(), self.end(),
                *self.maybe(draw.choice(("COUNT", "EXACTLY")), draw.randrange(1, 30), draw.choice(("OBO", "BULK"))),
            ),
        )  # fmt: skip
        return draw.choice(choices)()

    def set(self) -> Command:
        key, draw = self.key("t"), self.draw
        stores = ("SINTERSTORE", "SUNIONSTORE", "SDIFFSTORE")
        choices: tuple[Callable[[], Command], ...] = (
            lambda: ("SADD", key, *self.many(self.word)),
            lambda: ("SADD", key, *self.many(lambda: draw.randrange(40))),
            lambda: ("SADD", key, self.number()),
            lambda: ("SREM", key, *self.many(self.word)),
            lambda: ("SPOP", key, *self.maybe(draw.randrange(1, 12))),
            lambda: ("SMOVE", key, self.key("t"), self.word()),
            lambda: (draw.choice(stores), key, *self.some(lambda: self.key("t"))),
        )
        return draw.choice(choices)()

    def hash(self) -> Command:
        key, draw = self.key("h"), self.draw
        fields = draw.sample(self.members, draw.randrange(1, 6))
        last = ("FIELDS", len(fields), *fields)
        pairs = ("FIELDS", len(fields), *(word for field in fields for word in (field, self._text())))
        only = self.maybe(draw.choice(("NX", "XX", "GT", "LT")))
        choices: tuple[Callable[[], Command], ...] = (
            lambda: ("HSET", key, *self.pairs(self.member, self._text)),
            lambda: ("HSET", key, *self.pairs(self.fresh, self.member)),
            lambda: ("HMSET", key, self.member(), self.text()),
            lambda: ("HSETNX", key, self.member(), self._text()),
            lambda: ("HINCRBY", key, self.member(), self.number()),
            lambda: ("HINCRBYFLOAT", key, self.member(), draw.choice(STEPS)),
            lambda: ("HDEL", key, *fields),
            lambda: ("HDEL", key, *self.members[: draw.randrange(50)], b"f"),
            lambda: ("HPEXPIREAT", key, self.due(), *only, *last),
            lambda: ("HEXPIREAT", key, self.due(1000), *only, *last),
            lambda: ("HPEXPIRE", key, self.life(), *only, *last),
            lambda: ("HEXPIRE", key, self.life(1000), *only, *last),
            lambda: ("HPERSIST", key, *last),
            lambda: ("HSETEX", key, *self.maybe(draw.choice(("FNX", "FXX"))), *self.expiry(), *pairs),
            lambda: ("HGETEX", key, *draw.choice((self.expiry(), ("PERSIST",))), *last),
            lambda: ("HGETDEL", key, *last),
        )
        return draw.choice(choices)()

    # -- sorted sets -----------------------------------------------------------------------------------------------

    def zset(self) -> Command:
        key, draw = self.key("z"), self.draw
        flags = (*self.maybe(draw.choice(("NX", "XX", "GT", "LT"))), *self.maybe("CH"))
        low, high = sorted((draw.randrange(-20, 200), draw.randrange(-20, 200)))
        names = sorted((self.member(), self.member()))
        # Ranges of members are defined for equal scores only.
        equal = self.pools["e"]
        sources = [draw.choice((self.key("z"), self.key("z"), self.key("t"))) for _ in range(draw.randrange(1, 4))]
        weights = self.maybe("WEIGHTS", *(draw.choice(("1", "2", "-0.5", "0")) for _ in sources))
        combined = (*weights, *self.maybe("AGGREGATE", draw.choice(("SUM", "MIN", "MAX", "COUNT"))))
        limit = self.maybe("LIMIT", draw.randrange(3), draw.choice((-1, 1, 20)))
        choices: tuple[Callable[[], Command], ...] = (
            lambda: ("ZADD", key, *flags, *self.pairs(self.score, self.member)),
            lambda: ("ZADD", key, *self.pairs(self.score, self.fresh)),
            lambda: ("ZADD", key, *flags[:1], "INCR", self.score(), self.member()),
            lambda: ("ZINCRBY", key, draw.choice(STEPS), self.member()),
            lambda: ("ZREM", key, *self.many(self.member)),
            lambda: ("ZREMRANGEBYRANK", key, draw.choice((0, 3, -2)), draw.choice((0, 5, -1, -30))),
            lambda: ("ZREMRANGEBYSCORE", key, draw.choice((f"({low}", low, "-inf")), draw.choice((high, f"({high}"))),
            lambda: ("ZADD", draw.choice(equal), *self.pairs(lambda: 0, self.member)),
            lambda: ("ZREMRANGEBYLEX", draw.choice(equal), b"[" + names[0], b"(" + names[1]),
            lambda: (draw.choice(("ZPOPMIN", "ZPOPMAX")), key, *self.maybe(draw.randrange(1, 20))),
            lambda: ("ZMPOP", 2, key, self.key("z"), draw.choice(("MIN", "MAX")), "COUNT", draw.randrange(1, 9)),
            lambda: (draw.choice(("ZUNIONSTORE", "ZINTERSTORE")), key, len(sources), *sources, *combined),
            lambda: ("ZDIFFSTORE", key, len(sources), *sources),
            lambda: ("ZRANGESTORE", key, self.key("z"), draw.choice((0, 2)), draw.choice((-1, 9)), *self.maybe("REV")),
            lambda: ("ZRANGESTORE", key, self.key("z"), low, f"({high}", "BYSCORE", *limit),
            lambda: ("ZRANGESTORE", key, draw.choice(equal), "-", b"(" + names[1], "BYLEX", *limit),
        )
        return draw.choice(choices)()

    def geo(self) -> Command:
        key, draw = self.key("g"), self.draw

        def place() -> tuple[Arg, ...]:
            wide = draw.random() < 0.3
            longitude = draw.uniform(-180, 180) if wide else draw.uniform(13, 14)
            latitude = draw.uniform(-85, 85) if wide else draw.uniform(52, 53)
            return f"{longitude:.6f}", f"{latitude:.6f}"

        centre = draw.choice((("FROMMEMBER", self.member()), ("FROMLONLAT", *place())))
        shape: tuple[Arg, ...] = ("BYRADIUS", draw.choice((10, 60, 500, 9000)), draw.choice(("km", "mi")))
        shape = draw.choice((shape, ("BYBOX", draw.choice((30, 400)), draw.choice((30, 5000)), "km")))
        tail = (*self.maybe(draw.choice(("ASC", "DESC"))), *self.maybe("COUNT", draw.randrange(1, 9)))
        store = draw.choice(("STORE", "STOREDIST"))
        choices: tuple[Callable[[], Command], ...] = (
            lambda: ("GEOADD", key, *self.maybe("XX"), *(word for _ in range(6) for word in (*place(), self.member()))),
            lambda: ("GEOADD", key, *place(), self.fresh()),
            lambda: ("GEOSEARCHSTORE", key, self.key("g"), *centre, *shape, *tail, *self.maybe("STOREDIST")),
            lambda: ("GEORADIUS", self.key("g"), *place(), 300, "km", *tail, store, key),
            lambda: ("GEORADIUSBYMEMBER", self.key("g"), self.member(), 40, "mi", *tail, store, key),
        )
        return draw.choice(choices)()

    # -- streams, arrays -------------------------------------------------------------------------------------------

    def id(self) -> str:
        """Return an ID that an entry may have."""
        back = self.draw.choice((0, 1, 2, 5, self.draw.randrange(40)))
        return f"{max(1, self.entry - back)}-{self.draw.choice((0, 0, 0, 1))}"

    def next(self) -> str:
        self.entry += self.draw.choice((0, 1, 1, 1, 3))
        return self.draw.choice((f"{self.entry}-{self.draw.randrange(3)}", f"{self.entry}-0", f"{self.entry}-*"))

    def stream(self) -> Command:
        key, draw = self.key("x"), self.draw
        group, consumer = draw.choice((b"g1", b"g2")), draw.choice((b"c1", b"c2", b"c3"))
        refs = self.maybe(draw.choice(("KEEPREF", "DELREF", "ACKED")))
        ids = self.some(self.id)
        about = draw.choice(("=", "~"))
        trim: tuple[Arg, ...] = ("MAXLEN", about, draw.choice((0, 1, 5, 20)))
        trim = draw.choice((trim, ("MINID", about, self.id())))
        once = self.maybe("IDMP", draw.choice((b"p1", b"p2")), b"%d" % draw.randrange(9), chance=0.1)
        read: tuple[Arg, ...] = ("XREADGROUP", "GROUP", group, consumer, "COUNT", draw.choice((1, 3, 50)))
        claim: tuple[Arg, ...] = (*self.maybe("IDLE", 5), *self.maybe("RETRYCOUNT", 7), *self.maybe("FORCE"))
        entries = ("ENTRIESREAD", draw.randrange(9))
        choices: tuple[Callable[[], Command], ...] = (
            lambda: ("XADD", key, self.next(), *self.pairs(self.member, self._text)[:6]),
            lambda: ("XADD", key, *self.maybe("NOMKSTREAM"), self.next(), b"f", self._text(), b"g", self.text()),
            lambda: ("XADD", key, *refs, *once, *self.maybe(*trim), draw.choice((self.next(), "*")), b"f", b"v"),
            lambda: ("XADD", key, self.next(), b"f", b"v"),
            lambda: ("XDEL", key, *ids),
            lambda: ("XTRIM", key, *trim, *refs),
            lambda: ("XSETID", key, f"{self.entry + 1}-5", *self.maybe("ENTRIESADDED", 500, "MAXDELETEDID", "2-0")),
            lambda: ("XGROUP", "CREATE", key, group, draw.choice(("0", "$", self.id())), *self.maybe("MKSTREAM"),
                     *self.maybe(*entries)),
            lambda: ("XGROUP", "SETID", key, group, draw.choice(("0", "$", self.id())), *self.maybe(*entries)),
            lambda: ("XGROUP", "CREATECONSUMER", key, group, consumer),
            lambda: ("XGROUP", draw.choice(("DELCONSUMER", "DESTROY")), key, group, *self.maybe(consumer, chance=0.9)),
            lambda: (*read, *self.maybe("NOACK"), "STREAMS", key, ">"),
            lambda: (*read, "STREAMS", key, ">"),
            lambda: (*read, "STREAMS", key, "0"),
            lambda: ("XACK", key, group, *ids),
            lambda: ("XCLAIM", key, group, consumer, 0, *ids, *claim, *self.maybe("JUSTID")),
            lambda: ("XAUTOCLAIM", key, group, consumer, 0, draw.choice(("0", self.id())), *self.maybe("COUNT", 2)),
            lambda: ("XDELEX", key, *refs, "IDS", len(ids), *ids),
            lambda: ("XACKDEL", key, group, *refs, "IDS", len(ids), *ids),
            lambda: ("XNACK", key, group, draw.choice(("SILENT", "FAIL", "FATAL")), "IDS", len(ids), *ids),
            lambda: ("XCFGSET", key, "IDMP-DURATION", 86400, "IDMP-MAXSIZE", draw.choice((2, 100))),
        )  # fmt: skip
        return draw.choice(choices)()

    def array(self) -> Command:
        key, draw = self.key("a"), self.draw

        def index() -> int:
            return draw.choice((0, 1, draw.randrange(30), draw.randrange(30), 4095, 4096, 70_000))

        start, end = sorted((index(), index()))
        choices: tuple[Callable[[], Command], ...] = (
            lambda: ("ARSET", key, index(), *self.some(self._text)),
            lambda: ("ARMSET", key, *self.pairs(index, self._text)),
            lambda: ("ARDEL", key, *self.some(index)),
            lambda: ("ARDELRANGE", key, start, end),
            lambda: ("ARINSERT", key, *self.some(self._text)),
            lambda: ("ARRING", key, draw.choice((3, 10)), *self.some(self._text)),
            lambda: ("ARSEEK", key, index()),
        )
        return draw.choice(choices)()

    # -- keys ------------------------------------------------------------------------------------------------------

    def keys(self) -> Command:
        key, other, draw = self.any_key(), self.any_key(), self.draw
        alike = draw.choice(next(keys for keys in self.pools.values() if key in keys)) if draw.random() < 0.8 else other
        only = self.maybe(draw.choice(("NX", "XX", "GT", "LT")))
        expiring = (("EXPIRE", self.life(1000)), ("PEXPIRE", self.life()), ("EXPIREAT", self.due(1000)),
                    ("PEXPIREAT", self.due()))  # fmt: skip
        name, time = draw.choice(expiring)
        sources = [kind for kind in "lltz" if kind in self.kinds]
        choices: tuple[Callable[[], Command], ...] = (
            lambda: (draw.choice(("DEL", "UNLINK")), key),
            lambda: (name, key, time, *only),
            lambda: (name, key, time),
            lambda: ("PERSIST", key),
            lambda: (draw.choice(("RENAME", "RENAMENX")), key, alike),
            lambda: ("COPY", key, alike, *self.maybe("DB", draw.choice((0, 1))), *self.maybe("REPLACE", chance=0.7)),
            lambda: ("MOVE", key, draw.choice((0, 1))),
            # The order of equal weights is that of the server's sort; without ALPHA their elements are compared.
            lambda: ("SORT", self.key(draw.choice(sources)), *draw.choice((("BY", "s*"), ("BY", "nosort"), ("ALPHA",))),
                     *self.maybe("LIMIT", 0, 5), *self.maybe("GET", "#"), *self.maybe("DESC"), "STORE", other),
            lambda: ("SORT", self.key(draw.choice(sources)), "STORE", other),
            lambda: ("EVAL", RESTORED, 2, key, other, draw.choice((0, self.due())), "ABSTTL"),
        )  # fmt: skip
        if not sources:
            choices = tuple(choice for choice in choices if choice not in choices[7:9])
        return draw.choice(choices)()

    def rare(self) -> Command:
        draw = self.draw
        library = LIBRARY.format(draw.choice(("lib1", "lib2")), draw.randrange(9))
        choices: tuple[Command, ...] = (
            ("SWAPDB", 0, 1),
            ("SELECT", draw.choice((0, 0, 1))),
            ("SELECT", draw.choice((0, 0, 1))),
            ("FUNCTION", "LOAD", "REPLACE", library),
            ("FUNCTION", "LOAD", library),
            ("FUNCTION", "DELETE", "lib1"),
            ("FLUSHDB",) if draw.random() < 0.1 else ("SELECT", 0),
        )
        return draw.choice(choices)

    def blocking(self) -> Command:
        """Return a command that may block a client, but not in a transaction."""
        draw, first, second = self.draw, self.key("l"), self.key("l")
        choices: tuple[Command, ...] = (
            (draw.choice(("BLPOP", "BRPOP")), first, second, 1),
            ("BRPOPLPUSH", first, second, 1),
            ("BLMOVE", first, second, self.end(), self.end(), 1),
            ("BLMPOP", 1, 2, first, second, self.end(), "COUNT", 3),
            (draw.choice(("BZPOPMIN", "BZPOPMAX")), self.key("z"), 1),
            ("BZMPOP", 1, 1, self.key("z"), "MIN", "COUNT", 2),
        )
        return draw.choice(choices)

    # -- the sequence ----------------------------------------------------------------------------------------------

    def one(self) -> Command:
        makers: dict[str, tuple[int, Callable[[], Command]]] = {
            "s": (10, self.string), "l": (10, self.list), "t": (9, self.set), "h": (12, self.hash),
            "z": (12, self.zset), "x": (18, self.stream), "b": (5, self.bits), "p": (2, self.cardinality),
            "g": (3, self.geo), "a": (4, self.array),
        }  # fmt: skip
        rows = [makers[kind] for kind in self.kinds]
        rows += [(sum(weight for weight, _ in rows) // 7, self.keys), (1, self.rare)]
        made = self.draw.choices([make for _, make in rows], [weight for weight, _ in rows])[0]()
        return ("EVAL", SCRIPT, 0, *made) if self.draw.random() < 0.03 and made[0] != "EVAL" else made

    def commands(self) -> Iterator[Command]:
        """Yield all commands; some are in transactions."""
        for key in self.pools["x"] if "x" in self.kinds else ():
            yield "XGROUP", "CREATE", key, b"g1", "0", "MKSTREAM"
        for _ in range(self.size):
            if self.draw.random() < 0.02:
                yield ("MULTI",)
                for _ in range(self.draw.randrange(4)):
                    yield self.one()
                if set("lz") <= set(self.kinds):
                    yield self.blocking()
                yield ("EXEC",)
            else:
                yield self.one()
