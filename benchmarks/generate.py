"""Write large RDB files without a server and without rdbkit: an independent writer for benchmarks and tests.

    encodings   length, string, LZF, listpack, ziplist, intset, stream      pure functions, bytes out
    Out         the file, its running CRC and the format version            the only part with side effects
    mixed …     one function per KIND                                       seeded generator, written to an Out

Only one value is held at a time (one node of a list or stream, one batch of a large collection), so memory does not
grow with the file. Counts that precede their keys (RESIZEDB) are exact because the number of keys is fixed first; the
size follows from it and matches `--size` within a few per cent. The same KIND, options and seed give the same bytes, if
python-lzf is installed both times or neither time (it and the fallback find different matches, both valid).

Times are fixed: the files were saved on 2030-03-17, and no key expires before that day.
"""

from __future__ import annotations

import argparse
import random
import struct
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib import import_module
from itertools import islice
from typing import Any


def optional(module: str, name: str) -> Any:
    try:
        return getattr(import_module(module), name)
    except ImportError:
        return None


c_lzf = optional("lzf", "compress")
crc_function = optional("crcmod", "mkCrcFun")

Item = bytes | int  # an element of a collection; numbers take the integer encodings
Value = tuple[int, bytes]  # RDB type, serialized body
Words = list[bytes]

SAVED_AT = 1_900_000_000_000  # ms since epoch, 2030-03-17
SERVERS = {9: b"6.2.14", 10: b"7.0.15", 11: b"7.2.5", 12: b"7.4.1"}
STRING, SET, HASH, ZSET_2, SET_INTSET = 0, 2, 4, 5, 11
FLUSH = 1 << 20


# --- primitive encodings --------------------------------------------------------------------------------------------


def length(n: int) -> bytes:
    """Encode a length in its shortest form: 6, 14, 32 or 64 bits, big-endian."""
    if n < 64:
        return bytes((n,))
    if n < 16384:
        return bytes((0x40 | n >> 8, n & 0xFF))
    return b"\x80" + n.to_bytes(4, "big") if n < 1 << 32 else b"\x81" + n.to_bytes(8, "big")


def integer(n: int) -> bytes:
    """Encode a 32-bit integer as a string in its 8, 16 or 32 bit form."""
    if -128 <= n <= 127:
        return b"\xc0" + n.to_bytes(1, "little", signed=True)
    if -32768 <= n <= 32767:
        return b"\xc1" + n.to_bytes(2, "little", signed=True)
    return b"\xc2" + n.to_bytes(4, "little", signed=True)


def string(data: Item) -> bytes:
    """Encode a string as servers do: integer form, else LZF if it saves four bytes, else raw."""
    if isinstance(data, int):
        if -(1 << 31) <= data < 1 << 31:
            return integer(data)
        data = b"%d" % data
    if len(data) > 20:
        packed = lzf(data)
        if packed is not None and len(packed) <= len(data) - 4:
            return b"\xc3" + length(len(packed)) + length(len(data)) + packed
    return length(len(data)) + data


def milliseconds(ms: int) -> bytes:
    return ms.to_bytes(8, "little", signed=True)


def lzf(data: bytes) -> bytes | None:
    """Compress to an LZF stream; None if nothing is saved."""
    if c_lzf is not None:
        packed: bytes | None = c_lzf(data)
        return packed
    stream = greedy_lzf(data)
    return stream if len(stream) < len(data) else None


def greedy_lzf(data: bytes) -> bytes:
    """Compress with the latest earlier occurrence of each three bytes, within 8,192 bytes."""
    out, seen = bytearray(), dict[bytes, int]()
    at = literals = 0
    while at < len(data) - 2:
        three = data[at : at + 3]
        earlier = seen.get(three, -8193)
        seen[three] = at
        if at - earlier > 8192:
            at += 1
            continue
        matched = match_length(data, earlier, at)
        put_literals(out, data[literals:at])
        put_match(out, at - earlier - 1, matched - 2)
        at += matched
        literals = at
    put_literals(out, data[literals:])
    return bytes(out)


def match_length(data: bytes, earlier: int, at: int) -> int:
    limit = min(264, len(data) - at)
    matched = 3
    while matched < limit and data[earlier + matched] == data[at + matched]:
        matched += 1
    return matched


def put_literals(out: bytearray, data: bytes) -> None:
    for at in range(0, len(data), 32):
        run = data[at : at + 32]
        out.append(len(run) - 1)
        out += run


def put_match(out: bytearray, distance: int, code: int) -> None:
    """Append a back reference of code + 2 bytes to `distance` + 1 bytes ago."""
    if code < 7:
        out += bytes((code << 5 | distance >> 8, distance & 0xFF))
    else:
        out += bytes((0xE0 | distance >> 8, code - 7, distance & 0xFF))


# --- blobs ----------------------------------------------------------------------------------------------------------


class Cache(dict[Item, bytes]):
    """A cache of encoded elements, for recurring words; limited to 100,000."""

    def __init__(self, encode: Callable[[Item], bytes]) -> None:
        super().__init__()
        self.encode = encode

    def __missing__(self, item: Item) -> bytes:
        encoded = self.encode(item)
        if len(self) < 100_000:
            self[item] = encoded
        return encoded


def listpack_entry(item: Item) -> bytes:
    body = listpack_integer(item) if isinstance(item, int) else listpack_string(item)
    return body + backlen(len(body))


def listpack_integer(n: int) -> bytes:
    if 0 <= n <= 127:
        return bytes((n,))
    if -4096 <= n <= 4095:
        return bytes((0xC0 | (n & 0x1FFF) >> 8, n & 0xFF))
    for code, width in ((0xF1, 2), (0xF2, 3), (0xF3, 4)):
        if -(1 << 8 * width - 1) <= n < 1 << 8 * width - 1:
            return bytes((code,)) + n.to_bytes(width, "little", signed=True)
    return b"\xf4" + n.to_bytes(8, "little", signed=True)


def listpack_string(data: bytes) -> bytes:
    n = len(data)
    if n < 64:
        return bytes((0x80 | n,)) + data
    if n < 4096:
        return bytes((0xE0 | n >> 8, n & 0xFF)) + data
    return b"\xf0" + n.to_bytes(4, "little") + data


def backlen(size: int) -> bytes:
    """Encode an entry's size for backward iteration.

    16,383 takes three bytes here, as in every server up to Redis 8.6 and Valkey 9.0. ValueError from 2,097,151 on.
    """
    if size <= 127:
        return bytes((size,))
    if size < 16383:
        return bytes((size >> 7, size & 0x7F | 0x80))
    if size < 2097151:
        return bytes((size >> 14, size >> 7 & 0x7F | 0x80, size & 0x7F | 0x80))
    raise ValueError("listpack entry too large")


def ziplist_entry(item: Item) -> bytes:
    """Encode an element without the length of its predecessor, which `ziplist` puts before it."""
    return ziplist_integer(item) if isinstance(item, int) else ziplist_string(item)


def ziplist_integer(n: int) -> bytes:
    if 0 <= n <= 12:
        return bytes((0xF1 + n,))
    for code, width in ((0xFE, 1), (0xC0, 2), (0xF0, 3), (0xD0, 4)):
        if -(1 << 8 * width - 1) <= n < 1 << 8 * width - 1:
            return bytes((code,)) + n.to_bytes(width, "little", signed=True)
    return b"\xe0" + n.to_bytes(8, "little", signed=True)


def ziplist_string(data: bytes) -> bytes:
    n = len(data)
    if n < 64:
        return bytes((n,)) + data
    if n < 16384:
        return bytes((0x40 | n >> 8, n & 0xFF)) + data
    return b"\x80" + n.to_bytes(4, "big") + data


_listpack_entries = Cache(listpack_entry)
_ziplist_entries = Cache(ziplist_entry)
_PREVLEN = [bytes((n,)) for n in range(254)]


def listpack(items: Sequence[Item]) -> bytes:
    body = b"".join(map(_listpack_entries.__getitem__, items))
    return struct.pack("<IH", len(body) + 7, min(len(items), 0xFFFF)) + body + b"\xff"


def ziplist(items: Sequence[Item]) -> bytes:
    parts: list[bytes] = []
    previous = 0
    for entry in map(_ziplist_entries.__getitem__, items):
        before = _PREVLEN[previous] if previous < 254 else b"\xfe" + previous.to_bytes(4, "little")
        parts += (before, entry)
        previous = len(before) + len(entry)
    body = b"".join(parts)
    return struct.pack("<IIH", len(body) + 11, 10 + len(body) - previous, min(len(items), 0xFFFF)) + body + b"\xff"


def intset(members: Iterable[int]) -> bytes:
    ordered = sorted(members)
    widest = max(-ordered[0] - 1, ordered[-1])
    width = 2 if widest < 1 << 15 else 4 if widest < 1 << 31 else 8
    code = {2: "h", 4: "i", 8: "q"}[width]
    return struct.pack(f"<II{len(ordered)}{code}", width, len(ordered), *ordered)


# --- the file -------------------------------------------------------------------------------------------------------


class Out:
    """An RDB file being written: a buffer, the CRC of the written bytes, and the type numbers of this version."""

    def __init__(self, path: str, version: int, checksum: bool) -> None:
        self.file = open(path, "wb")  # noqa: SIM115 - closed by finish()
        self.version = version
        self.buffer = bytearray()
        self.size = self.crc = self.keys = 0
        # CRC-64/Jones, reflected, initial value and final XOR 0.
        self.update = crc_function(0x1AD93D23594C935A9, initCrc=0, rev=True, xorOut=0) if checksum else None
        packed = version >= 10
        self.blob = listpack if packed else ziplist
        self.hash_blob, self.zset_blob, self.list_nodes = (16, 17, 18) if packed else (13, 12, 14)
        self.set_blob = 20 if version >= 11 else None
        self.stream = 21 if version >= 11 else 19 if version == 10 else 15

    def put(self, data: bytes) -> None:
        """Append bytes."""
        self.buffer += data
        if len(self.buffer) >= FLUSH:
            self.flush()

    def flush(self) -> None:
        """Write the buffer to the file and update the CRC."""
        if self.update is not None:
            self.crc = self.update(bytes(self.buffer), self.crc)
        self.file.write(self.buffer)
        self.size += len(self.buffer)
        self.buffer.clear()

    def header(self) -> None:
        """Write the magic and the AUX fields."""
        self.put(b"REDIS%04d" % self.version)
        base = b"aof-base" if self.version >= 10 else b"aof-preamble"
        for name, value in (
            (b"redis-ver", SERVERS[self.version]),
            (b"redis-bits", 64),
            (b"ctime", SAVED_AT // 1000),
            (b"used-mem", 1 << 30),
            (base, 0),
        ):
            self.put(b"\xfa" + string(name) + string(value))

    def database(self, number: int, keys: int, expiring: int = 0) -> None:
        """Select a database and write the number of its keys."""
        self.put(b"\xfe" + length(number) + b"\xfb" + length(keys) + length(expiring))

    def key(self, key: bytes, kind: int, body: bytes = b"", expires_at: int | None = None) -> None:
        """Write a key and its value; the body of a value in pieces is written by `put`."""
        expiry = b"" if expires_at is None else b"\xfc" + milliseconds(expires_at)
        self.put(expiry + bytes((kind,)) + string(key) + body)
        self.keys += 1

    def finish(self) -> None:
        """Write EOF and the CRC, and close the file."""
        self.put(b"\xff")
        self.flush()
        self.file.write(self.crc.to_bytes(8, "little"))
        self.file.close()
        self.size += 8

    def node(self, items: Sequence[Item]) -> bytes:
        """Encode one node of a list; from RDB 10 on, a container number (2, packed) precedes it."""
        return (b"\x02" if self.version >= 10 else b"") + string(self.blob(items))


# --- values ---------------------------------------------------------------------------------------------------------


def hash_value(out: Out, pairs: Sequence[tuple[Item, Item]]) -> Value:
    """Serialize a hash: a blob up to 128 fields, else plain."""
    flat = [item for pair in pairs for item in pair]
    if len(pairs) <= 128:
        return out.hash_blob, string(out.blob(flat))
    return HASH, length(len(pairs)) + b"".join(map(string, flat))


def set_value(out: Out, members: Sequence[Item]) -> Value:
    """Serialize distinct members: intset up to 512 integers, listpack up to 128 from RDB 11 on, else plain."""
    numbers = [member for member in members if isinstance(member, int)]
    if len(numbers) == len(members) <= 512:
        return SET_INTSET, string(intset(numbers))
    if out.set_blob is not None and len(members) <= 128:
        return out.set_blob, string(listpack(members))
    return SET, length(len(members)) + b"".join(map(string, members))


def score_item(score: float) -> Item:
    return int(score) if score.is_integer() else b"%.17g" % score


def zset_value(out: Out, scores: dict[bytes, float]) -> Value:
    """Serialize a sorted set: a blob in ascending order up to 128 members, else plain with the highest score first."""
    pairs = sorted((score, member) for member, score in scores.items())
    if len(pairs) <= 128:
        flat = [item for score, member in pairs for item in (member, score_item(score))]
        return out.zset_blob, string(out.blob(flat))
    pairs.reverse()
    return ZSET_2, length(len(pairs)) + b"".join(string(member) + struct.pack("<d", score) for score, member in pairs)


def list_value(out: Out, items: Sequence[Item], per_node: int) -> Value:
    nodes = [out.node(items[at : at + per_node]) for at in range(0, len(items), per_node)]
    return out.list_nodes, length(len(nodes)) + b"".join(nodes)


StreamEntry = tuple[int, int, list[Item]]  # ms, seq, values


def stream_id(ms: int, seq: int) -> bytes:
    return struct.pack(">QQ", ms, seq)


def stream_node(fields: Words, entries: Sequence[StreamEntry], deleted: frozenset[int] = frozenset()) -> bytes:
    """Encode one node: its key, which is the id of its first entry, and a listpack of a master entry and the entries.

    Entries have the master's fields (flag 2), except every tenth, which repeats them and adds one. `deleted` holds the
    indexes of entries that are marked as deleted (flag 1); at least one entry must remain.
    """
    base_ms, base_seq, _ = entries[0]
    items: list[Item] = [len(entries) - len(deleted), len(deleted), len(fields), *fields, 0]
    for index, (ms, seq, values) in enumerate(entries):
        delta = (ms - base_ms, seq - base_seq)
        gone = int(index in deleted)
        if index % 10 == 9:
            own = [item for pair in zip(fields, values) for item in pair] + [b"note", b"retried"]
            items += (gone, *delta, len(own) // 2, *own, len(own) + 4)
        else:
            items += (gone | 2, *delta, *values, len(values) + 3)
    return string(stream_id(base_ms, base_seq)) + string(listpack(items))


def stream_counts(out: Out, live: int, added: int, ids: Sequence[tuple[int, int]]) -> bytes:
    """Encode the part between the nodes and the groups; `ids` are the first, the last and the greatest deleted."""
    first, last, deleted = ids
    counts = length(live) + length(last[0]) + length(last[1])
    if out.version >= 10:
        counts += b"".join(map(length, (*first, *deleted, added)))
    return counts


def stream_group(out: Out, name: bytes, read: int, pending: Sequence[StreamEntry], last: StreamEntry) -> bytes:
    """Encode a group that read up to `last`, its pending entries assigned to two consumers in turn."""
    group = string(name) + length(last[0]) + length(last[1])
    if out.version >= 10:
        group += length(read)
    group += length(len(pending))
    for index, (ms, seq, _) in enumerate(pending):
        group += stream_id(ms, seq) + milliseconds(ms + 5) + length(1 + index % 3)
    times = milliseconds(last[0] + 1000) * (2 if out.version >= 11 else 1)
    group += length(2)
    for index in range(2):
        mine = pending[index::2]
        group += string(b"worker-%d" % index) + times + length(len(mine))
        group += b"".join(stream_id(ms, seq) for ms, seq, _ in mine)
    return group


def stream_value(out: Out, fields: Words, entries: Sequence[StreamEntry]) -> Value:
    """Serialize a stream of nodes of up to 100 entries, with one group that has some entries pending."""
    nodes = [entries[at : at + 100] for at in range(0, len(entries), 100)]
    # The second entry of a node is deleted, if there is one: the first remains, so the first id is known.
    deleted = [frozenset({1} if len(node) > 2 else ()) for node in nodes]
    gone = [node[1][:2] for node, indexes in zip(nodes, deleted) if indexes]
    first, last = entries[0], entries[-1]
    body = length(len(nodes)) + b"".join(stream_node(fields, node, indexes) for node, indexes in zip(nodes, deleted))
    body += stream_counts(out, len(entries) - len(gone), len(entries), (first[:2], last[:2], max(gone, default=(0, 0))))
    return out.stream, body + length(1) + stream_group(out, b"billing", len(entries), entries[-8:], last)


# --- content --------------------------------------------------------------------------------------------------------

SYLLABLES = b"ba be co da di el en fa ga ha in ka lo ma mi na no or pa ra re sa si ta te ti to un va vi wa zo".split()
CITIES = b"Berlin Tokyo Lagos Lima Oslo Paris Quito Rome Seoul Sydney Toronto Vienna".split()
STATES = b"new paid packed shipped delivered returned cancelled".split()
METRICS = b"temperature humidity pressure luminance vibration voltage".split()
PROFILE = b"""name email city country phone plan visits balance created_at last_login locale timezone newsletter
avatar theme referrer signup_ip score level karma""".split()


class Content:
    """Realistic text from a seeded generator: pseudo-words, names, JSON documents, HTML."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        distinct = {b"".join(rng.choices(SYLLABLES, k=rng.randint(2, 4))) for _ in range(6000)}
        self.words = sorted(distinct)
        self.noise = rng.randbytes(FLUSH)

    def below(self, n: int) -> int:
        """Draw an integer from 0 to n - 1; faster than randrange."""
        return int(self.rng.random() * n)

    def sized(self, smallest: int, largest: int) -> int:
        """Draw a heavy-tailed count: most are near `smallest`, few reach `largest`."""
        return min(largest, int(smallest * self.rng.paretovariate(1.1)))

    def token(self, digits: int = 32) -> bytes:
        """Draw hexadecimal digits."""
        return b"%0*x" % (digits, self.rng.getrandbits(4 * digits))

    def text(self, words: int) -> bytes:
        """Draw pseudo-words with blanks between them."""
        return b" ".join(self.rng.choices(self.words, k=words))

    def binary(self, size: int) -> bytes:
        """Draw incompressible bytes."""
        at = self.below(len(self.noise) - size)
        return self.noise[at : at + size]

    def email(self) -> bytes:
        """Draw an address."""
        first, last = self.rng.choices(self.words, k=2)
        return b"%s.%s@example.com" % (first, last)

    def document(self, items: int) -> bytes:
        """Draw a JSON order of 240 bytes and about 125 more per item."""
        first, last, *titles = self.rng.choices(self.words, k=2 + 2 * items)
        lines = b",".join(
            b'{"sku":"%s-%04d","title":"%s %s","quantity":%d,"unit_price":%d.%02d,"currency":"EUR","discount":null}'
            % (a[:3].upper(), self.below(10000), a, b, 1 + self.below(5), self.below(300), self.below(100))
            for a, b in zip(titles[::2], titles[1::2])
        )
        return (
            b'{"id":%d,"type":"order","status":"%s","created_at":"2030-0%d-1%dT1%d:%02d:%02dZ","customer":{"id":%d,'
            b'"first_name":"%s","last_name":"%s","email":"%s.%s@example.com","city":"%s"},"items":[%s],"paid":true}'
        ) % (
            self.below(10**9), self.rng.choice(STATES), 1 + self.below(3), self.below(10), self.below(10),
            self.below(60), self.below(60), self.below(10**6), first, last, first, last, self.rng.choice(CITIES), lines,
        )  # fmt: skip

    def readings(self, count: int) -> bytes:
        """Draw a JSON document of telemetry: 140 bytes and about 85 for each reading; at 8 of them LZF halves it."""
        lines = b",".join(
            b'{"metric":"%s","value":%d.%02d,"unit":"SI","valid":true,"flags":[],"sensor":%d}'
            % (self.rng.choice(METRICS), self.below(300), self.below(100), self.below(10_000))
            for _ in range(count)
        )
        place, city = self.rng.choice(self.words), self.rng.choice(CITIES)
        return (
            b'{"device":"%s","site":"%s","city":"%s","at":"2030-0%d-1%dT1%d:%02d:%02dZ","firmware":"4.%d.1","readings":[%s]}'
        ) % (
            self.token(12), place, city, 1 + self.below(3), self.below(10), self.below(10), self.below(60),
            self.below(60), self.below(20), lines,
        )  # fmt: skip

    def page(self) -> bytes:
        """Draw an HTML page of 1 to 40 kB."""
        rows = b"".join(
            b'  <li class="product"><a href="/products/%d">%s</a> <span class="price">%d.99</span></li>\n'
            % (self.below(10**5), self.text(4), self.below(200))
            for _ in range(self.sized(8, 400))
        )
        head = b"<!doctype html><html><head><title>%s</title></head>" % self.text(3)
        return head + b"<body><ul>\n" + rows + b"</ul></body></html>"

    def profile(self, fields: int) -> list[tuple[Item, Item]]:
        """Draw the first `fields` of a user's 20 fields."""
        below, now = self.below, SAVED_AT // 1000
        address = b"10.%d.%d.%d" % (below(256), below(256), below(256))
        values: list[Item] = [
            self.text(2), self.email(), self.rng.choice(CITIES), b"NL", b"+49 30 %07d" % below(10**7), b"premium",
            below(5000), b"%d.%02d" % (below(900), below(100)), now - below(10**8), now - below(10**6), b"en_GB",
            b"Europe/Berlin", below(2), b"https://cdn.example.com/" + self.token(), b"dark", b"search", address,
            below(10**6), below(100), -below(50),
        ]  # fmt: skip
        return list(zip(PROFILE[:fields], values))

    def events(self, count: int, ms: int) -> list[StreamEntry]:
        """Draw entries in id order from `ms` on, some within the same millisecond."""
        entries: list[StreamEntry] = []
        seq = 0
        for _ in range(count):
            step = self.below(400) if self.rng.random() < 0.8 else 0
            ms, seq = ms + step, 0 if step else seq + 1
            amount = b"%d.50" % self.below(500)
            entries.append((ms, seq, [self.rng.choice(STATES), self.below(10**6), amount, self.token(12)]))
        return entries


EVENT_FIELDS = [b"state", b"user", b"amount", b"trace"]


# --- mixed: one function per sort of key ----------------------------------------------------------------------------


def counter(out: Out, content: Content) -> Value:
    return STRING, string(content.sized(1, 2**31 - 1))


def session(out: Out, content: Content) -> Value:
    return STRING, string(content.token(40))


def mail_address(out: Out, content: Content) -> Value:
    return STRING, string(content.email())


def json_cache(out: Out, content: Content) -> Value:
    return STRING, string(content.document(content.sized(3, 60)))


def page_cache(out: Out, content: Content) -> Value:
    return STRING, string(content.page())


def thumbnail(out: Out, content: Content) -> Value:
    return STRING, string(content.binary(content.sized(1800, 60_000)))


def profile(out: Out, content: Content) -> Value:
    return hash_value(out, content.profile(content.rng.randint(6, len(PROFILE))))


def stock(out: Out, content: Content) -> Value:
    return hash_value(out, [(b"sku-%06d" % (7 * n), content.below(2000)) for n in range(content.sized(100, 20_000))])


def timeline(out: Out, content: Content) -> Value:
    return list_value(out, [content.below(10**9) for _ in range(content.sized(40, 5000))], 1000)


def queue(out: Out, content: Content) -> Value:
    return list_value(out, [content.document(1) for _ in range(content.sized(3, 300))], 20)


def friends(out: Out, content: Content) -> Value:
    return set_value(out, list({content.below(10**6) for _ in range(content.sized(30, 8000))}))


def tags(out: Out, content: Content) -> Value:
    return set_value(out, content.rng.sample(content.words, content.sized(12, 3000)))


def leaderboard(out: Out, content: Content) -> Value:
    members = content.rng.sample(range(10**6), content.sized(40, 10_000))
    return zset_value(out, {b"player:%d" % member: float(content.below(10**5)) for member in members})


def distances(out: Out, content: Content) -> Value:
    names = content.rng.sample(content.words, content.sized(15, 2000))
    return zset_value(out, {name: content.rng.random() * 1000 for name in names})


def orders(out: Out, content: Content) -> Value:
    return stream_value(out, EVENT_FIELDS, content.events(content.sized(60, 5000), SAVED_AT - content.below(10**9)))


Maker = Callable[[Out, Content], Value]
MIXED: list[tuple[int, bytes, Maker]] = [  # weight, key, value
    (9, b"rate:api:%d", counter),
    (8, b"session:%d:token", session),
    (8, b"user:%d:email", mail_address),
    (13, b"cache:order:%d", json_cache),
    (4, b"cache:page:/products/%d", page_cache),
    (3, b"img:thumb:%d", thumbnail),
    (18, b"user:%d:profile", profile),
    (3, b"shop:%d:stock", stock),
    (7, b"user:%d:timeline", timeline),
    (4, b"queue:mail:%d", queue),
    (7, b"user:%d:friends", friends),
    (5, b"article:%d:tags", tags),
    (5, b"game:%d:leaderboard", leaderboard),
    (3, b"geo:%d:distances", distances),
    (3, b"events:orders:%d", orders),
]


# --- kinds ----------------------------------------------------------------------------------------------------------


def mixed(out: Out, content: Content, scale: float, options: argparse.Namespace) -> None:
    """Write 70,000 keys of all types in three databases, a third of them with an expiry within 90 days."""
    total = max(100, round(70_000 * scale))
    shares = {1: total // 8, 5: total // 40}
    shares = {0: total - sum(shares.values()), **shares}
    weights = [weight for weight, _, _ in MIXED]
    for number, keys in shares.items():
        out.database(number, keys, (keys + 2) // 3)
        for index, (_, pattern, make) in enumerate(content.rng.choices(MIXED, weights, k=keys)):
            expires_at = None if index % 3 else SAVED_AT + 1000 + content.below(90 * 86_400_000)
            kind, body = make(out, content)
            out.key(pattern % (100 + index), kind, body, expires_at)


def small(out: Out, content: Content, scale: float, options: argparse.Namespace) -> None:
    """Write 5 million keys `user:N:field` with values of 20 to 60 bytes; they are incompressible, like tokens."""
    total = max(5, round(5_000_000 * scale))
    fields = [b"name", b"email", b"city", b"token", b"last_seen"]
    noise = content.noise.hex().encode()
    chance, span = content.rng.random, len(noise) - 60
    out.database(0, total)
    for index in range(total):
        key = b"user:%d:%s" % (1 + index // 5, fields[index % 5])
        size, at = 20 + int(chance() * 41), int(chance() * span)
        out.put(b"\x00%c%s%c%s" % (len(key), key, size, noise[at : at + size]))
    out.keys += total


def documents(out: Out, content: Content, scale: float, options: argparse.Namespace) -> None:
    """Write 150,000 JSON documents of 0.4 to 1.4 kB, compressed about 2.3 to 1."""
    total = max(1, round(150_000 * scale))
    out.database(0, total)
    for index in range(total):
        out.key(b"doc:%08d" % index, STRING, string(content.readings(content.rng.randint(3, 14))))


def batches(out: Out, parts: Iterator[bytes]) -> None:
    while batch := b"".join(islice(parts, 1000)):
        out.put(batch)


def big_lists(out: Out, content: Content, scale: float) -> None:
    """Write two lists with nodes of the default size, about 8 kB: words with a number, and integers."""
    makers: list[tuple[bytes, int, Callable[[int], Item]]] = [
        (b"big:list:text", 450, lambda n: b"%s-%d" % (content.words[n % len(content.words)], n)),
        (b"big:list:int", 1200, lambda n: content.below(1 << 31)),
    ]
    for key, per_node, make in makers:
        count = max(1, round(1_000_000 * scale))
        starts = range(0, count, per_node)
        out.key(key, out.list_nodes, length(len(starts)))
        batches(out, (out.node([make(n) for n in range(at, min(at + per_node, count))]) for at in starts))


def big_plain(out: Out, content: Content, scale: float) -> None:
    """Write two sets, two hashes and two sorted sets, plain."""
    chance, words = content.rng.random, content.words
    text, noise = string, content.noise.hex().encode()
    makers: list[tuple[bytes, int, int, Callable[[int, int], bytes]]] = [
        (b"big:set:text", SET, 1_200_000, lambda n, of: text(b"%s:%d" % (words[n % len(words)], n))),
        (b"big:set:int", SET, 1_500_000, lambda n, of: integer(n * 1000 + content.below(1000))),
        (b"big:hash:short", HASH, 1_500_000, lambda n, of: text(b"field:%d" % n) + integer(n)),
        (b"big:hash:text", HASH, 750_000, lambda n, of: text(b"user:%d" % n) + b"\x28" + noise[n : n + 40]),
        (b"big:zset:int", ZSET_2, 1_000_000, lambda n, of: text(b"player:%d" % n) + struct.pack("<d", of - n)),
        (b"big:zset:real", ZSET_2, 750_000, lambda n, of: integer(n) + struct.pack("<d", (of - n - chance()) / 7)),
    ]
    for key, kind, size, make in makers:
        count = max(200, round(size * scale))
        out.key(key, kind, length(count))
        batches(out, (make(n, count) for n in range(count)))


def big_stream(out: Out, content: Content, scale: float) -> None:
    """Write a stream with nodes of 100 entries and two groups, one of which has pending entries."""
    count = max(1, round(7500 * scale))
    out.key(b"big:stream", out.stream, length(count))
    first = entries = content.events(100, SAVED_AT - 10**10)
    for number in range(count):
        entries = content.events(100, SAVED_AT - 10**10 + number * 10**6) if number else first
        out.put(stream_node(EVENT_FIELDS, entries))
    last = entries[-1]
    out.put(stream_counts(out, count * 100, count * 100, (first[0][:2], last[:2], (0, 0))) + length(2))
    out.put(stream_group(out, b"billing", count * 100, entries[-50:], last))
    out.put(stream_group(out, b"audit", 0, [], (0, 0, [])))


def big(out: Out, content: Content, scale: float, options: argparse.Namespace) -> None:
    """Write 9 keys: collections of 0.75 to 1.5 million elements."""
    out.database(0, 9)
    big_lists(out, content, scale)
    big_plain(out, content, scale)
    big_stream(out, content, scale)


def giant(out: Out, content: Content, scale: float, options: argparse.Namespace) -> None:
    """Write a hash of 5 million fields and a string of 500 MB: random bytes, or with --lzf-giant compressed text."""
    out.database(0, 2)
    fields = max(1, round(5_000_000 * scale))
    noise = content.noise.hex().encode()
    span = len(noise) - 16
    out.key(b"giant:hash", HASH, length(fields))
    batches(out, (b"\x0d" + b"field:%07d" % n + b"\x10" + noise[n % span : n % span + 16] for n in range(fields)))
    put = giant_text if options.lzf_giant else giant_noise
    put(out, content, max(1 << 17, round(500_000_000 * scale)))


def giant_noise(out: Out, content: Content, size: int) -> None:
    out.key(b"giant:string", STRING, length(size))
    while size:
        piece = content.noise[:size]
        out.put(piece)
        size -= len(piece)


def giant_text(out: Out, content: Content, size: int) -> None:
    """Write one LZF string of 24 repeated pieces: LZF streams can be joined, because references are relative."""
    plain = 1 << 17
    pieces = []
    for _ in range(24):
        text = b"\n".join(content.document(5) for _ in range(plain // 600))[:plain]
        packed = lzf(text)
        if len(text) < plain or packed is None:
            raise AssertionError("text too short or not compressible")
        pieces.append(packed)
    times = [pieces[n % 24] for n in range(size // plain)]
    out.key(b"giant:string", STRING, b"\xc3" + length(sum(map(len, times))) + length(plain * len(times)))
    for packed in times:
        out.put(packed)


KINDS: dict[str, tuple[Callable[[Out, Content, float, argparse.Namespace], None], float]] = {  # function, MB at scale 1
    "mixed": (mixed, 100),
    "small": (small, 300),
    "lzf": (documents, 60),
    "big": (big, 160),
    "giant": (giant, 655),
}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Write a large RDB file without a server.")
    parser.add_argument("kind", choices=KINDS, help="what to write; see benchmarks/README.md")
    parser.add_argument("out", help="file to write; an existing one is replaced")
    parser.add_argument("--size", type=float, metavar="MB", help="about this many million bytes (default by kind)")
    parser.add_argument("--rdb", type=int, choices=SERVERS, default=10, help="RDB version (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of the generator (default: %(default)s)")
    parser.add_argument("--no-crc", action="store_true", help="write a zero checksum; needed without crcmod-plus")
    parser.add_argument("--lzf-giant", action="store_true", help="giant only: a compressible string, stored compressed")
    options = parser.parse_args()
    if crc_function is None and not options.no_crc:
        parser.error("the checksum needs crcmod-plus (pip install crcmod-plus); or pass --no-crc")
    return options


def main() -> None:
    options = arguments()
    write, usual = KINDS[options.kind]
    started = time.process_time()
    out = Out(options.out, options.rdb, checksum=not options.no_crc)
    out.header()
    write(out, Content(random.Random(options.seed)), (options.size or usual) / usual, options)
    out.finish()
    seconds = time.process_time() - started
    print(f"{options.out}: {out.size / 1e6:.1f} MB, {out.keys:,} keys, {seconds:.1f} s of CPU", file=sys.stderr)


if __name__ == "__main__":
    main()
