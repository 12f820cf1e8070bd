"""Commands that fill a server with data of all types, made from a seed, for what that server's release can do.

settings    its configuration: limits of encodings, compression, policy
early       commands that are run while other limits hold (`before`), so that keys are larger than the limits allow
commands    the data; keys with a time to live that ends in the far future
doomed      commands that give keys and fields an expiry which passes between the save and the load
later       commands for the AOF, after its rewrite

The same seed and release give the same commands, except for the arguments of `doomed`.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

from live.servers import Build

Arg = bytes | str | int | float
#: A command, and the number of the database that it is for.
Command = tuple[int, tuple[Arg, ...]]
Args = Iterator[tuple[Arg, ...]]

FAR = 4102444800000  # 2100-01-01, in ms
DATABASES = (0, 0, 0, 1, 7, 15)
LENGTHS = (0, 1, 7, 11, 20, 21, 43, 44, 45, 52, 63, 64, 65, 100, 127, 128, 254, 255, 256, 1023, 1024, 4090)
LONG_LENGTHS = (16377, 16378, 16379, 16384, 65535, 65536, 70_000, 140_000)
KEY_LENGTHS = (0, 1, 5, 12, 28, 31, 32, 40, 44, 46, 52, 60, 64, 100, 127, 128, 129, 250, 253, 256, 1000)
NUMBERS = (0, 1, 12, 13, 127, 128, 255, 256, 4095, 4096, 9999, 10000, 32767, 32768, 1 << 23, 1 << 31, 1 << 32, 1 << 62)
SCORES = (
    "0", "-0", "inf", "-inf", "1.5", "-3.25", "0.1", "1e300", "-1e-300", "5e-324", "9007199254740993", "17", "4096",
    "0.30000000000000004", "1e21", "-123456789012",
)  # fmt: skip
ODD = (b"", b"0", b"-0", b"007", b"-1", b" 1", b"1.5", b"9223372036854775807", b"9223372036854775808", b"\0\xff\r\n")
LIBRARY = "#!lua name={0}\nredis.register_function('{0}', function(keys, args) return {1} end)"


class Workload:
    """What one seed makes for one release."""

    def __init__(self, seed: int, build: Build) -> None:
        self.seed = seed
        self.build = build
        self.draw = random.Random(seed)
        self._number = 0
        self.fields_expire = build.since((7, 4), (9,))
        self.settings = self._settings()
        self.before = self._limits()
        self.early = self._data(30, 4)
        self.commands = [*self._data(90, 14), *self._specials(), *self._functions()]
        #: Names of what `doomed` makes.
        self.doomed_key = b"doomed"
        self.doomed_hashes = (b"doomed:fields", b"doomed:all fields") if self.fields_expire else ()
        self.doomed_field = b"doomed"
        self.later = self._later()

    # -- settings --------------------------------------------------------------------------------------------------

    def _limits(self) -> dict[str, str]:
        """Return limits of encodings, as far as the release has them."""
        draw = self.draw
        word = "listpack" if self.build.since((7,)) else "ziplist"
        entries, sizes = ("0", "1", "16", "128", "512", "2000"), ("0", "8", "64", "64", "200", "70000")
        found = {
            f"hash-max-{word}-entries": draw.choice(entries),
            f"hash-max-{word}-value": draw.choice(sizes),
            f"zset-max-{word}-entries": draw.choice(entries),
            f"zset-max-{word}-value": draw.choice(sizes),
            f"list-max-{word}-size": draw.choice(("-2", "-2", "-1", "-5", "4", "128", "1")),
            "list-compress-depth": draw.choice(("0", "0", "1", "2")),
            "set-max-intset-entries": draw.choice(entries),
        }
        if self.build.since((7, 2)):
            found |= {
                "set-max-listpack-entries": draw.choice(entries),
                "set-max-listpack-value": draw.choice(sizes),
            }
        return {name: text for name, text in found.items() if draw.random() < 0.5}

    def _settings(self) -> dict[str, str]:
        draw = self.draw
        found = self._limits()
        found["rdbcompression"] = draw.choice(("yes", "yes", "no"))
        found["rdbchecksum"] = draw.choice(("yes", "yes", "yes", "no"))
        found["hll-sparse-max-bytes"] = draw.choice(("3000", "0"))
        found["stream-node-max-entries"] = draw.choice(("100", "3", "0"))
        found["stream-node-max-bytes"] = draw.choice(("4096", "500", "0"))
        found["maxmemory-policy"] = draw.choice(("noeviction", "noeviction", "allkeys-lfu", "volatile-lru"))
        found["lfu-decay-time"] = "0"
        found["aof-use-rdb-preamble"] = draw.choice(("yes", "yes", "no"))
        found["auto-aof-rewrite-percentage"] = "0"
        if self.build.since((7,)):
            found["aof-timestamp-enabled"] = draw.choice(("yes", "no"))
        return found

    # -- parts -----------------------------------------------------------------------------------------------------

    def _key(self, kind: str) -> bytes:
        self._number += 1
        size = self.draw.choice(KEY_LENGTHS) if self.draw.random() < 0.5 else self.draw.randrange(70)
        tail = b"%s:%d" % (kind.encode(), self._number)
        return b"k" * (size - len(tail)) + tail

    def _word(self, most: int = 0) -> bytes:
        """Return a string; `most`: not much longer than that."""
        draw = self.draw
        how = draw.random()
        if how < 0.15:
            number = draw.choice(NUMBERS)
            return b"%d" % draw.choice((number, -number, number - 1))
        if how < 0.2:
            return draw.choice(ODD)
        size = draw.choice(LENGTHS) if how < 0.5 else draw.randrange(90)
        if most:
            size = min(size, most)
        return draw.randbytes(size) if draw.random() < 0.5 else b"abc" * (size // 3) + b"x" * (size % 3)

    def _words(self, count: int, most: int = 0) -> list[bytes]:
        """Return so many different ones."""
        found: dict[bytes, None] = {}
        while len(found) < count:
            found[self._word(most) + b"%d" % len(found) * self.draw.randrange(2)] = None
        return list(found)

    def _count(self) -> int:
        draw = self.draw
        return draw.choice((1, 2, 3, 8, 16, 17, 30, 127, 128, 129, 130, draw.randrange(1, 50), draw.randrange(1, 700)))

    def _data(self, strings: int, rounds: int) -> list[Command]:
        """Return commands that make so many strings, and so many times one key of each other type."""
        made: list[Command] = []
        kinds = (self._list, self._integers, self._set, self._hash, self._zset, self._stream)
        for number in range(strings):
            made += self._placed(self._key("s"), self._string)
            if number < rounds:
                for kind in kinds:
                    made += self._placed(self._key(kind.__name__[1]), kind)
        return made

    def _placed(self, key: bytes, kind: object) -> Iterator[Command]:
        """Yield the commands of one key, in one database, with an expiry or without."""
        assert callable(kind)
        db = self.draw.choice(DATABASES)
        for args in kind(key):
            yield db, args
        if self.draw.random() < 0.3:
            yield db, ("PEXPIREAT", key, FAR + self.draw.randrange(10**9))

    # -- types -----------------------------------------------------------------------------------------------------

    def _string(self, key: bytes) -> Args:
        word = self.draw.randbytes(self.draw.choice(LONG_LENGTHS)) if self.draw.random() < 0.02 else self._word()
        yield "SET", key, word
        if self.draw.random() < 0.1:
            yield "APPEND", key, self._word(50)

    def _list(self, key: bytes) -> Args:
        draw = self.draw
        most = draw.choice((5, 40, 200, 0))
        yield "RPUSH", key, *(self._word(most) for _ in range(self._count()))
        if draw.random() < 0.3:
            yield "LPUSH", key, draw.choice((draw.randbytes(9000), b"y" * 9000, b"z" * 70_000)), "end"
        if draw.random() < 0.3:
            yield "LSET", key, -1, self._word(most)
            yield "LTRIM", key, draw.randrange(2), -1

    def _integers(self, key: bytes) -> Args:
        low = -(1 << self.draw.choice((7, 15, 31, 62)))
        yield "SADD", key, *(self.draw.randrange(low, 99) for _ in range(self._count()))

    def _set(self, key: bytes) -> Args:
        words = self._words(self._count(), self.draw.choice((9, 40, 64, 66, 200)))
        yield "SADD", key, *words
        if len(words) > 2 and self.draw.random() < 0.3:
            yield "SREM", key, *words[1 : len(words) // 2 + 1]

    def _hash(self, key: bytes) -> Args:
        draw = self.draw
        most = draw.choice((9, 40, 64, 66, 200, 0))
        fields = self._words(self._count(), most)
        yield "HSET", key, *(text for field in fields for text in (field, self._word(most)))
        if len(fields) > 2 and draw.random() < 0.2:
            yield "HDEL", key, *fields[1 : len(fields) // 2 + 1]
            del fields[1 : len(fields) // 2 + 1]
        if self.fields_expire and draw.random() < 0.5:
            yield from self._field_expiries(key, fields)

    def _field_expiries(self, key: bytes, fields: list[bytes]) -> Args:
        draw = self.draw
        some = draw.sample(fields, draw.randrange(1, min(len(fields), 140) + 1))
        for start in range(0, len(some), 9):
            part = some[start : start + 9]
            due = draw.choice((FAR, FAR + draw.randrange(10**9), (1 << 46) - 1 - draw.randrange(5)))
            yield "HPEXPIREAT", key, due, "FIELDS", len(part), *part
        if draw.random() < 0.3:
            gone = draw.choice((some, some[: len(some) // 2 + 1]))
            yield "HPERSIST", key, "FIELDS", len(gone), *gone
        if self.build.since((8,), (9,)) and draw.random() < 0.5:
            pairs = "set with expiry", "v", self._word(40) + b"#", self._word(40)
            yield "HSETEX", key, "PXAT", FAR + 7, "FIELDS", 2, *pairs

    def _zset(self, key: bytes) -> Args:
        draw = self.draw
        members = self._words(self._count(), draw.choice((9, 40, 64, 66, 200)))
        yield "ZADD", key, *(text for member in members for text in (self._score(), member))
        if len(members) > 2 and draw.random() < 0.3:
            yield "ZREM", key, *members[1 : len(members) // 2 + 1]

    def _score(self) -> str:
        if self.draw.random() < 0.4:
            return self.draw.choice(SCORES)
        return self.draw.choice((str(self.draw.randrange(-5000, 5000)), repr(self.draw.uniform(-1e6, 1e6))))

    def _stream(self, key: bytes) -> Args:
        draw = self.draw
        top = draw.choice((99, 1 << 20, 1 << 40))
        numbers = sorted({draw.randrange(1, top) for _ in range(draw.choice((1, 3, 40, 250)))})
        ids = [f"{number}-{draw.randrange(9)}" for number in numbers]
        names = self._words(draw.randrange(1, 4), 20)
        for one in ids:
            fields = names if draw.random() < 0.8 else self._words(draw.randrange(1, 5), 20)
            yield "XADD", key, one, *(text for name in fields for text in (name, self._word(300)))
        for group in self._words(draw.randrange(4), 30):
            yield from self._group(key, group, ids)
        if draw.random() < 0.5:
            yield "XDEL", key, *draw.sample(ids, draw.randrange(1, len(ids) + 1) // draw.choice((1, 3)) or 1)
        if draw.random() < 0.2:
            yield "XTRIM", key, "MAXLEN", len(ids) // 2
        if draw.random() < 0.2:
            yield "XSETID", key, f"{(1 << 41) + draw.randrange(9)}-5"

    def _group(self, key: bytes, group: bytes, ids: list[str]) -> Args:
        draw = self.draw
        yield "XGROUP", "CREATE", key, group, draw.choice(("0", "0", "$", draw.choice(ids)))
        for consumer in self._words(draw.randrange(4), 30):
            count = draw.choice((1, 7, 60, 500))
            noack = ("NOACK",) if draw.random() < 0.1 else ()
            yield "XREADGROUP", "GROUP", group, consumer, "COUNT", count, *noack, "STREAMS", key, ">"
            if draw.random() < 0.4:
                yield "XACK", key, group, *draw.sample(ids, min(len(ids), draw.choice((1, 5, 200))))
            if draw.random() < 0.3:
                options = ("TIME", FAR - 5, "RETRYCOUNT", draw.randrange(300), "FORCE")
                yield "XCLAIM", key, group, b"claimer", 0, draw.choice(ids), *options
        if draw.random() < 0.3:
            yield "XGROUP", "CREATECONSUMER", key, group, "idle"
        if draw.random() < 0.2:
            more = ("ENTRIESREAD", draw.randrange(9)) if self.build.since((7,)) else ()
            yield "XGROUP", "SETID", key, group, draw.choice(ids), *more

    def _specials(self) -> Iterator[Command]:
        """Yield what is stored as a type that it is not: HyperLogLogs, bitmaps, places; and odd keys."""
        draw = self.draw
        for name, count in ((b"hll", 40), (b"hll:dense", 2500)):
            yield 0, ("PFADD", name, *(b"%d" % draw.getrandbits(40) for _ in range(count)))
            yield 0, ("PFCOUNT", name)
        yield 0, ("SETBIT", b"bits", draw.choice((7, 100, 70_000)), 1)
        yield 0, ("BITFIELD", b"bits:field", "SET", "u16", draw.choice((0, 64, 999)), 1234)
        yield 0, ("GEOADD", b"geo", "13.361389", "38.115556", "Palermo", "15.087269", "37.502669", "Catania")
        yield 0, ("SET", b"", "of the empty key")
        yield 0, ("XGROUP", "CREATE", b"x:never written", b"g", "0", "MKSTREAM")
        yield 15, ("SET", b"\r\n\0\xff", draw.randbytes(9))
        yield 7, ("SET", b"key of 16390 bytes" + b"k" * 16372, "1")

    def _functions(self) -> Iterator[Command]:
        if self.build.since((7,)):
            for number in range(self.draw.randrange(3)):
                text = LIBRARY.format(f"lib{number}", number).encode()
                yield 0, ("FUNCTION", "LOAD", text + b"\n-- %s" % (b"x" * self.draw.randrange(300)))

    # -- expiries that pass, and the AOF ---------------------------------------------------------------------------

    def doomed(self, due: int) -> list[Command]:
        """Return commands for keys and fields that expire at `due`, ms since epoch, and are not touched before."""
        made: list[Command] = [(0, ("SET", self.doomed_key, "v")), (0, ("PEXPIREAT", self.doomed_key, due))]
        for key, fields in zip(self.doomed_hashes, ((self.doomed_field, b"stays"), (self.doomed_field,))):
            made.append((0, ("HSET", key, *(text for field in fields for text in (field, b"v")))))
            made.append((0, ("HPEXPIREAT", key, due, "FIELDS", 1, self.doomed_field)))
        return made

    def _later(self) -> list[Command]:
        made: list[Command] = []
        for key, kind in (
            (b"later:s", self._string),
            (b"later:l", self._list),
            (b"later:h", self._hash),
            (b"later:z", self._zset),
            (b"later:x", self._stream),
        ):
            made += self._placed(key, kind)
        made += [
            (0, ("MULTI",)),
            (0, ("SET", "later:in", "1")),
            (0, ("INCRBYFLOAT", "later:float", "1.5")),
            (0, ("EXEC",)),
            (0, ("SET", "later:ex", "v", "EX", 10**8)),
            (0, ("EVAL", "redis.call('SET', KEYS[1], 'v') redis.call('INCR', KEYS[2])", 2, "later:e", "later:i")),
            (0, ("SADD", "later:pop", "a", "b", "c")),
            (0, ("SPOP", "later:pop")),
            (0, ("DEL", "hll")),
            (1, ("SET", "later:db", "v")),
        ]
        return made


def stream_of(commands: list[Command]) -> Iterator[tuple[Arg, ...]]:
    """Yield the commands with a SELECT whenever the database changes, and before the first one."""
    at = -1
    for db, args in commands:
        if db != at:
            yield "SELECT", db
            at = db
        yield args
