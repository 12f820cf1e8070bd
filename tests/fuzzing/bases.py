"""The valid inputs from which mutants are made: real files, excerpts of them, files of every type, DUMP payloads."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import math
import random
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from fuzzing.accounts import Delivery, check_file, read_rows, read_values


@dataclass(eq=False)
class Base:
    """A valid file, or DUMP payload: its bytes, where its parts start, and the result of reading it."""

    name: str
    data: bytes
    #: Offsets at which something is counted, measured or named: what a mutation is likelier to hit.
    hot: list[int] = field(default_factory=list)
    #: (offset of the end, account of the entry), per level: "values", "head", "shape".
    before: dict[str, list[tuple[int, Any]]] = field(default_factory=dict)
    #: Types, offsets and lengths of the entries, for excerpts.
    rows: list[Any] = field(default_factory=list)
    first: int = 0
    end: int = 0
    checksum: bool = False
    dump: bool = False
    keydb: bool = False


class Bases:
    """The valid inputs of a run. `pick` returns a random one; each is made when first used."""

    def __init__(self, corpus: Path) -> None:
        seen: dict[bytes, Path] = {}
        # What is called check-… may be damaged.
        for path in sorted(path for path in corpus.rglob("*.rdb") if not path.parent.name.startswith("check-")):
            if path.stat().st_size < 400_000:
                seen.setdefault(hashlib.sha256(path.read_bytes()).digest(), path)
        self.paths = list(seen.values())
        if not self.paths:
            raise SystemExit(f"no .rdb file under {corpus}")
        self.small = [path for path in self.paths if path.stat().st_size <= 20_000]
        self.payloads = _payloads(corpus)
        self.made = _made_plans()
        self.file = lru_cache(64)(self._file)
        self.outline = lru_cache(400)(self._outline)
        self.excerpt = lru_cache(2048)(self._excerpt)
        self.makes = lru_cache(256)(self._makes)
        self.payload = lru_cache(4096)(self._payload)

    def pick(self, rng: random.Random) -> Base:
        """Draw a base: mostly small ones, for speed."""
        kind = rng.random()
        if kind < 0.12 and self.payloads:
            return self.payload(rng.randrange(len(self.payloads)))
        if kind < 0.24:
            return self.makes(rng.randrange(len(self.made)))
        if kind < 0.26:
            return self.file(rng.choice(self.small or self.paths))
        if kind < 0.262:
            return self.file(rng.choice(self.paths))
        return self.excerpt(rng.choice(self.paths), rng.randrange(12))

    def _file(self, path: Path) -> Base:
        return known(Base(path.name, path.read_bytes()))

    def _outline(self, path: Path) -> Base:
        """Return a file of which only the places of its entries are known: enough to take excerpts of."""
        import rdbkit

        base = Base(path.name, path.read_bytes())
        with rdbkit.open(base.data) as snapshot:
            base.first = snapshot.cursor.tell()
        base.rows = [row for end, row in read_rows(Delivery(base.data), 0) if end is not None]
        return base

    def _excerpt(self, path: Path, number: int) -> Base:
        whole = self.outline(path)
        rng = random.Random(f"{len(whole.data)}:{number}")
        return known(Base(f"{path.parent.parent.name}/{path.parent.name}#{number}", excerpt(whole, rng)))

    def _makes(self, number: int) -> Base:
        product, version, checksum, compress = self.made[number]
        return known(Base(f"made:{product}:{version}", make(product, version, checksum, compress)))

    def _payload(self, number: int) -> Base:
        data = self.payloads[number]
        return Base(f"dump:{number}", data, [0, 1, 2, 3, len(data) - 10], checksum=any(data[-8:]), dump=True)


def _payloads(corpus: Path) -> list[bytes]:
    """Return the DUMP payloads of `*payloads.json.gz`: base64 texts under keys called "dump"."""
    found: list[bytes] = []

    def gather(node: Any, inside: bool) -> None:
        for name, child in node.items():
            if isinstance(child, dict):
                gather(child, inside or name == "dump")
            elif inside and isinstance(child, str) and len(child) < 6000:
                found.append(base64.b64decode(child))

    for path in sorted(corpus.rglob("*payloads.json.gz")):
        gather(json.loads(gzip.decompress(path.read_bytes())), False)
    return found


def known(base: Base) -> Base:
    """Read a valid base once: every mutant is compared with the result."""
    plain = Delivery(base.data)
    values = read_values(plain)
    head, shape = read_rows(plain, 0), read_rows(plain, 1)
    check = check_file(plain)
    if values[-1][1][0] != "end" or any(line[1][0] == "error" for line in check):
        raise SystemExit(f"{base.name} is not valid: {values[-1]} {[line for line in check if line[1][0] == 'error']}")
    base.rows = [line[1] for line in shape if line[0] is not None]
    for level, lines in (("values", values), ("head", head), ("shape", shape)):
        base.before[level] = [(end, account) for end, account in lines if end is not None]
    base.first = values[-1][1][2]
    base.keydb = values[-1][1][3] == "keydb"
    base.end = values[-1][1][5]
    base.checksum = values[-1][1][1] == "good"
    base.hot = [0, 5, 8, 9, base.first, len(base.data) - 9]
    for row in base.rows:
        base.hot += [row[0], row[7] - len(row[2]) - 1, row[7], row[7], row[7] + 1]
    return base


def excerpt(whole: Base, rng: random.Random) -> bytes:
    """Return a file of what opens `whole` and a few of its entries, of as many types as possible."""
    from rdbkit.rdb.writer import encode_length
    from rdbkit.wire import crc64

    by_type: dict[int, list[Any]] = {}
    for row in whole.rows:
        if row[8] < (20_000 if rng.random() < 0.02 else 1_500):
            by_type.setdefault(row[3], []).append(row)
    out = [whole.data[: whole.first]]
    db = -1
    for _ in range(rng.randrange(1, 8) if by_type else 0):
        row = rng.choice(by_type[rng.choice(sorted(by_type))])
        if row[1] != db:
            db = row[1]
            out += [b"\xfe", encode_length(db)]
        # Keys stay unique: a number in the entry's own key would move its offsets, so each is taken once.
        by_type[row[3]].remove(row)
        if not by_type[row[3]]:
            del by_type[row[3]]
        out.append(whole.data[row[0] : row[0] + row[8]])
        if not by_type:
            break
    body = b"".join([*out, b"\xff"])
    return body + crc64.update()(body, 0).to_bytes(8, "little") if version_of(body) >= 5 else body


def version_of(data: bytes) -> int:
    digits = data[6:9] if data.startswith(b"VALKEY") else data[5:9]
    return int(digits) if digits.isdigit() else 0


def _made_plans() -> list[tuple[str, int, bool, bool]]:
    plans = [("redis", n) for n in range(1, 17)] + [("valkey", n) for n in (11, 80, 81)] + [("keydb", 9)] * 3
    return [
        (*plan, checksum, compress) for plan in plans for checksum in (True, True, False) for compress in (True, False)
    ]


def make(product: str, version: int, checksum: bool, compress: bool) -> bytes:
    """Write a file with a small key of every type of that version, and every record: also what no fixture has."""
    from rdbkit.format import spec
    from rdbkit.rdb import writer

    own = "valkey" if product == "valkey" else "redis"
    out: list[bytes] = []
    to = writer.Writer(out.append, version, own, checksum, compress)  # type: ignore[arg-type]
    to.magic()
    _make_records(to, version, own)
    fields = [b"a", b"b", b"cc"]
    if writer.writable(spec.HASH_TEMPLATE, version, own):  # type: ignore[arg-type]
        to.hash_template(7, fields)
    to.select_db(3)
    for number, type_id in enumerate(sorted(writer.ENCODERS)):
        if writer.writable(type_id, version, own) and (type_id != spec.CRON or product == "keydb"):  # type: ignore[arg-type]
            if number % 3 == 0 and version >= 3:
                to.expire_ms(1_800_000_000_000 + number)
            if number % 4 == 0 and version >= 9:
                to.freq(number)
            options: dict[str, Any] = {"compress": compress, "wide": version <= 5, "short_scores": version >= 11}
            if spec.BY_ID[type_id].type == "hash":
                options["template"] = 7
            to.entry(type_id, b"key:%d" % type_id, writer.encode(type_id, _sample(type_id), **options))
            if product == "keydb" and number % 2 and spec.BY_ID[type_id].type == "set":
                to.aux(b"keydb-subexpire-key", b"one")
                to.aux(b"keydb-subexpire-when", b"1700000000000")
    to.end()
    return b"".join(out)


def _make_records(to: Any, version: int, own: str) -> None:
    from rdbkit.format import spec
    from rdbkit.rdb import writer

    if version >= 7:
        to.aux(b"redis-ver", b"7.0.0")
        to.aux(b"ctime", 1_700_000_000)
    if writer.writable(spec.MODULE_AUX, version, own):  # type: ignore[arg-type]
        to.module_aux("kit-typeA", 1, 2, [("uint", 1), ("string", b"aux")])
    if writer.writable(spec.FUNCTION2, version, own):  # type: ignore[arg-type]
        to.function(b"#!lua name=lib\nredis.register_function('f', function() return 1 end)")
    if version >= 80:
        to.slot_import(b"a" * 40, [(0, 5), (9, 9)])


def _sample(type_id: int) -> Any:
    from rdbkit.format import spec
    from rdbkit.rdb.pending_entries import Pending
    from rdbkit.rdb.stream_nodes import StreamID
    from rdbkit.rdb.streams import Consumer, Group, Idmp, Stream

    kind = spec.BY_ID[type_id].type
    expiring = (
        spec.HASH_METADATA_PRE_GA, spec.HASH_LISTPACK_EX_PRE_GA, spec.HASH_METADATA, spec.HASH_LISTPACK_EX, spec.HASH_2
    )  # fmt: skip
    if type_id == spec.SET_INTSET:
        return {b"1", b"-2", b"70000"}
    if type_id == spec.CRON:
        return b"return 1", 1_700_000_000_000, 5000, [b"k"], [b"a", b"b"]
    if type_id in expiring:
        return [(b"f", b"v", 1_900_000_000_000), (b"g", b"w" * 30, None)]
    if kind == "stream":
        ids = [StreamID(5, 1), StreamID(6, 0)]
        newer = type_id >= spec.STREAM_LISTPACKS_3
        active = 1_700_000_000_001 if newer else None
        group = Group(b"g", ids[1], 2 if type_id >= spec.STREAM_LISTPACKS_2 else None)
        group.pending = [Pending(ids[0], b"c", 1_700_000_000_000, 1)]
        group.consumers = [Consumer(b"c", 1_700_000_000_000, active)]
        idmp = Idmp(60, 100, [(b"p", [(b"x", ids[0])])], 1, 0) if type_id >= spec.STREAM_LISTPACKS_4 else None
        pairs = [(b"a", b"1"), (b"b", b"2")]
        return Stream([(ids[0], pairs), (ids[1], pairs[:1])], ids[1], ids[0], StreamID(0, 0), 2, [group], idmp, 2)
    return {
        "string": b"hello " * 12,
        "list": [b"1", b"two", b"x" * 70, b"-4"],
        "set": {b"one", b"2", b"three"},
        "zset": [(b"a", -1.5), (b"b", 2.0), (b"c", math.inf)],
        "hash": [(b"a", b"1", None), (b"b", b"x" * 80, None), (b"cc", b"", None)],
        "array": [(0, b"x"), (5, 7), (9, 1.5), (1 << 40, b"long text of an element")],
        "bitmap": (70000, [(0, 3), (9, 9), (65530, 65540), *((bit, bit) for bit in range(70000, 80000, 2))]),
        "path-hash": [(b"", [(b"f", b"v")]), (b"/a/b", [(b"f", b"1"), (b"g", b"x" * 70)])],
        "module": ("kit-typeA", 3, [("uint", 7), ("sint", -1), ("float", 1.5), ("double", 2.5), ("string", b"s")]),
    }[kind]
