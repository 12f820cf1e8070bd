"""Damage real files in every way that comes to mind, and hold rdbkit to its promises on what is left of them.

    python tests/fuzz.py --runs 100000 --face both --seed 1          the long run
    python tests/fuzz.py --seed 1 --only 4711 --face both            one mutant again; it is written to --out

    bases (fixtures, excerpts of them, files made by rdb.writer, DUMP payloads)
      └─► mutant number i of a seed ─► a worker per face ─► account of all that was read, verdict ─► faces compared

What must hold for every mutant, on either face:

    errors      only RdbkitError leaves rdbkit; each has a code, and an offset that lies in the file
    before      keys that lie wholly before the first changed byte are delivered as they were, attributes and value
    checksum    a changed file whose checksum is on never ends cleanly
    agreement   export and check see an error where reading the values did
    bounds      5 s of processor time, 256 MiB of memory
    faces       both give the same account: entries, errors, their codes, offsets and words

Mutant i depends on the seed, on i and on the bases, and on nothing else. A worker that hangs, dies or grows is replaced; the
mutant at hand counts as failed. A failure is one line and a file with the mutant.
"""

from __future__ import annotations

import argparse
import base64
import faulthandler
import gzip
import hashlib
import io
import json
import math
import os
import random
import resource
import select
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
SECONDS = 5.0
MEBIBYTES = 256
#: A worker that says nothing for so long hangs where no signal reaches it (seconds on the wall; other work may slow us).
SILENCE = 60.0
FACES = ("compiled", "pure")
#: Parts of one value that are put together; of more, only the parts are read.
WHOLE = 100_000
_ZEROS = bytes(8)


def _home() -> str:
    """Return the directory from which rdbkit is imported: the installed one, else the checkout."""
    found = find_spec("rdbkit")
    return str(Path(found.origin).parent.parent if found and found.origin else ROOT)


# -- bases -------------------------------------------------------------------------------------------------------------


@dataclass(eq=False)
class Base:
    """A sound file, or DUMP payload: its bytes, where its parts start, and what reading it gives."""

    name: str
    data: bytes
    #: Offsets at which something is counted, measured or named: what a mutation is likelier to hit.
    hot: list[int] = field(default_factory=list)
    #: (offset of the end, account of the entry), per level: "values", "head", "shape".
    before: dict[str, list[tuple[int, Any]]] = field(default_factory=dict)
    #: Types, offsets and lengths of the entries, for excerpts.
    rows: list[Any] = field(default_factory=list)
    first: int = 0
    checksum: bool = False
    dump: bool = False
    keydb: bool = False


class Bases:
    """The sound inputs of a run. `pick` draws one; all are made when first drawn."""

    def __init__(self, corpus: Path) -> None:
        seen: dict[bytes, Path] = {}
        for path in sorted(corpus.rglob("*.rdb")):
            if path.stat().st_size < 400_000:
                seen.setdefault(hashlib.sha256(path.read_bytes()).digest(), path)
        self.paths = list(seen.values())
        if not self.paths:
            raise SystemExit(f"no .rdb file under {corpus}")
        self.small = [path for path in self.paths if path.stat().st_size <= 20_000]
        self.payloads = _payloads(corpus)
        self.made = _made_plans()
        self.file = lru_cache(64)(self._file)
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
        return known(Base(str(path.name), path.read_bytes()))

    def _excerpt(self, path: Path, number: int) -> Base:
        whole = self.file(path)
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
    """Read a sound base once: what comes out of it is what every mutant is held against."""
    plain = Delivery(base.data)
    values = read_values(plain)
    head, shape = read_rows(plain, 0), read_rows(plain, 1)
    check = check_file(plain)
    if values[-1][1][0] != "end" or any(line[1][0] == "error" for line in check):
        raise SystemExit(f"{base.name} is not sound: {values[-1]} {[line for line in check if line[1][0] == 'error']}")
    base.rows = [line[1] for line in shape if line[0] is not None]
    for level, lines in (("values", values), ("head", head), ("shape", shape)):
        base.before[level] = [line for line in lines if line[0] is not None]
    base.first = values[-1][1][2]
    base.keydb = values[-1][1][3] == "keydb"
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
    return body + crc64.update()(body, 0).to_bytes(8, "little") if _version(body) >= 5 else body


def _version(data: bytes) -> int:
    digits = data[6:9] if data.startswith(b"VALKEY") else data[5:9]
    return int(digits) if digits.isdigit() else 0


def _made_plans() -> list[tuple[str, int, bool, bool]]:
    plans = [("redis", n) for n in range(1, 16)] + [("valkey", n) for n in (11, 80, 81)] + [("keydb", 9)] * 3
    return [(*plan, checksum, compress) for plan in plans for checksum in (True, True, False) for compress in (True, False)]


def make(product: str, version: int, checksum: bool, compress: bool) -> bytes:
    """Write a file with one small key of every type of that version, and every record: also what no server at hand has."""
    from rdbkit.rdb import spec, writer

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
            options = {"compress": compress, "wide": version <= 5, "short_scores": version >= 11}
            if spec.BY_ID[type_id].type == "hash":
                options["template"] = 7
            to.entry(type_id, b"key:%d" % type_id, writer.encode(type_id, _sample(type_id), **options))
            if product == "keydb" and number % 2 and spec.BY_ID[type_id].type == "set":
                to.aux(b"keydb-subexpire-key", b"one")
                to.aux(b"keydb-subexpire-when", b"1700000000000")
    to.end()
    return b"".join(out)


def _make_records(to: Any, version: int, own: str) -> None:
    from rdbkit.rdb import spec, writer

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
    from rdbkit.rdb import spec
    from rdbkit.rdb.streams import Consumer, Group, Idmp, Pending, Stream, StreamID

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
        "module": ("kit-typeA", 3, [("uint", 7), ("sint", -1), ("float", 1.5), ("double", 2.5), ("string", b"s")]),
    }[kind]


# -- mutations ---------------------------------------------------------------------------------------------------------

_NUMBERS = [0, 1, 0x3F, 0x40, 0x7F, 0x80, 0xFD, 0xFF, 0x3FFF, 0x7FFF, 0xFFFF, 0x10000, (1 << 20) + 1, (1 << 24) - 1]
_NUMBERS += [(1 << 31) - 1, 1 << 31, (1 << 32) - 1, 1 << 32, 1 << 48, (1 << 56) - 1, 1 << 56, (1 << 56) + 1]
_NUMBERS += [(1 << 60) - 1, (1 << 62) + 7, (1 << 63) - 1, 1 << 63, (1 << 64) - 2, (1 << 64) - 1]
_OPCODES = [*range(35), 64, 100, 107, 121, 192, 200, 201, 210, 220, 224, *range(240, 256)]
_TEXTS = [b"", b"0", b"-1", b"1_0", b" 1", b"1 ", b"+5", b"nan", b"inf", b"-inf", b"1e400", b"0x1p3", b"1e", b"--", b"-"]
_TEXTS += [b"\xd9\xa3", b"\xff\xfe", b"\xc3", b"=1+1", b"\x1b[2J", b"\\x41", b"16", b"3", b"9" * 25, b"18446744073709551616"]
_TEXTS += [b"-9223372036854775809", b"9" * 5000, b"-" + b"9" * 5000, b"0" * 5000, b"x" * 300, b"\xe2\x82" * 200]

Mutator = Callable[[random.Random, bytes, Base, Bases], bytes]


def _at(rng: random.Random, data: bytes, base: Base) -> int:
    """Draw a position: near something that is measured, or anywhere."""
    if base.hot and rng.random() < 0.5:
        return max(0, min(len(data), rng.choice(base.hot) + rng.choice((0, 0, 0, 1, 1, 2, 3, 4, 5, 6, 8, 9, 10))))
    return rng.randrange(len(data) + 1)


def _over(data: bytes, at: int, piece: bytes) -> bytes:
    return data[:at] + piece + data[at + len(piece) :]


def _put(rng: random.Random, data: bytes, at: int, piece: bytes) -> bytes:
    """Write over, or in between."""
    return _over(data, at, piece) if rng.random() < 0.7 else data[:at] + piece + data[at:]


def _length(rng: random.Random, number: int | None = None) -> bytes:
    """Return a length in a form that can hold it, not always the shortest."""
    number = rng.choice(_NUMBERS) if number is None else number
    forms = [b"\x81" + (number & (1 << 64) - 1).to_bytes(8, "big")]
    if number < 1 << 32:
        forms.append(b"\x80" + number.to_bytes(4, "big"))
    if number < 1 << 14:
        forms.append((0x4000 | number).to_bytes(2, "big"))
    if number < 1 << 6:
        forms.append(bytes((number,)) * 1)
    return rng.choice(forms)


def truncate(rng: random.Random, data: bytes, base: Base, bases: Bases) -> bytes:
    return data[: _at(rng, data, base)]


def flip(rng: random.Random, data: bytes, base: Base, bases: Bases) -> bytes:
    for _ in range(rng.choice((1, 1, 1, 2, 8))):
        at = min(_at(rng, data, base), len(data) - 1)
        data = _over(data, at, bytes((data[at] ^ 1 << rng.randrange(8),))) if data else data
    return data


def overwrite(rng: random.Random, data: bytes, base: Base, bases: Bases) -> bytes:
    return _over(data, _at(rng, data, base), rng.randbytes(rng.choice((1, 1, 2, 4, 8, 40))))


def byte(rng: random.Random, data: bytes, base: Base, bases: Bases) -> bytes:
    edges = (0, 1, 0x3F, 0x40, 0x7F, 0x80, 0x81, 0x82, 0xBF, 0xC0, 0xC1, 0xC2, 0xC3, 0xC4, 0xDF, 0xE0, 0xF0, 0xF1, 0xF5, 0xFD, 0xFE, 0xFF)
    return _over(data, _at(rng, data, base), bytes((rng.choice(edges),)))


def insert(rng: random.Random, data: bytes, base: Base, bases: Bases) -> bytes:
    at = _at(rng, data, base)
    return data[:at] + rng.choice((rng.randbytes(rng.choice((1, 2, 5, 30))), bytes(rng.choice((1, 8, 300))))) + data[at:]


def delete(rng: random.Random, data: bytes, base: Base, bases: Bases) -> bytes:
    at = _at(rng, data, base)
    return data[:at] + data[at + rng.choice((1, 1, 2, 8, 50)) :]


def duplicate(rng: random.Random, data: bytes, base: Base, bases: Bases) -> bytes:
    start, end = sorted((_at(rng, data, base), _at(rng, data, base)))
    at = _at(rng, data, base)
    return data[:at] + data[start : min(end, start + 5000)] * rng.choice((1, 1, 2, 9)) + data[at:]


def swap(rng: random.Random, data: bytes, base: Base, bases: Bases) -> bytes:
    a, b, c, d = sorted(_at(rng, data, base) for _ in range(4))
    return data[:a] + data[c:d] + data[b:c] + data[a:b] + data[d:]


def splice(rng: random.Random, data: bytes, base: Base, bases: Bases) -> bytes:
    other = bases.pick(rng)
    return data[: _at(rng, data, base)] + other.data[_at(rng, other.data, other) :]


def huge(rng: random.Random, data: bytes, base: Base, bases: Bases) -> bytes:
    return _put(rng, data, _at(rng, data, base), _length(rng))


def opcode(rng: random.Random, data: bytes, base: Base, bases: Bases) -> bytes:
    return _put(rng, data, _at(rng, data, base), bytes((rng.choice(_OPCODES),)))


def lzf_head(rng: random.Random, data: bytes, base: Base, bases: Bases) -> bytes:
    return _put(rng, data, _at(rng, data, base), b"\xc3" + _length(rng) + _length(rng))


def blob_head(rng: random.Random, data: bytes, base: Base, bases: Bases) -> bytes:
    piece = rng.choice((b"\xff\xff", b"\xff" * 4, b"\0\0", bytes(4), b"\xff\xff\xff\x7f", b"\xfe\xff", b"\x02\0\0\0", b"\xff" * 6))
    return _over(data, _at(rng, data, base), piece)


def version(rng: random.Random, data: bytes, base: Base, bases: Bases) -> bytes:
    digits = rng.choice((b"%04d" % rng.randrange(0, 99), b"0000", b"9999", b"00\x0012", b"-001", b"+011", b" 011", b"1_00"))
    return _over(data, 5, digits) if rng.random() < 0.8 else rng.choice((b"REDIS", b"VALKEY")) + digits[-3:] + data[9:]


def text(rng: random.Random, data: bytes, base: Base, bases: Bases) -> bytes:
    """A string of the file becomes one that looks like a number, or hurts in other ways."""
    piece = rng.choice(_TEXTS)
    return _put(rng, data, _at(rng, data, base), _length(rng, len(piece)) + piece)


def record(rng: random.Random, data: bytes, base: Base, bases: Bases) -> bytes:
    """A record that is not a key, sound or not, between two entries."""
    at = rng.choice([row[0] for row in base.rows] or [base.first])
    name = rng.choice((b"redis-ver", b"ctime", b"valkey-ver", b"df-ver", b"mvcc-tstamp", b"keydb-subexpire-key", b"slot-info"))
    name = rng.choice((name, b"keydb-subexpire-when", rng.choice(_TEXTS)))
    said = rng.choice(_TEXTS)
    piece = rng.choice((
        b"\xfa" + _length(rng, len(name)) + name + _length(rng, len(said)) + said,
        bytes((rng.choice((0xF5, 0xF6)),)) + _length(rng, len(said)) + said,
        bytes((rng.choice((0xFE, 0xF8, 0xF4, 0xF3, 0xF2, 0xFB, 0xF7)),)) + b"".join(_length(rng) for _ in range(rng.randrange(1, 5))),
        b"\xfc" + rng.randbytes(8),
        b"\xfd" + rng.randbytes(4),
        b"\xf2" + _length(rng, 7) + _length(rng, 2) + b"\1a\1b",
        b"\xf7" + _length(rng) + b"\2\2\2\1" * rng.randrange(1, 4) + b"\0",
    ))  # fmt: skip
    return data[:at] + piece + data[at:]


def nasty(rng: random.Random, data: bytes, base: Base, bases: Bases) -> bytes:
    """An entry whose framing is sound and whose inside is not."""
    at = rng.choice([row[0] for row in base.rows] or [base.first])
    return data[:at] + _nasty_entry(rng, b"nasty") + data[at:]


def _nasty_entry(rng: random.Random, key: bytes | None) -> bytes:
    kind, body = _nasty_body(rng)
    return bytes((kind,)) + (b"" if key is None else _length(rng, len(key)) + key) + body


def _nasty_body(rng: random.Random) -> tuple[int, bytes]:
    items = [rng.choice(_TEXTS) if rng.random() < 0.6 else b"%d" % rng.choice(_NUMBERS) for _ in range(rng.choice((1, 2, 3, 4, 6, 9, 40)))]
    form = rng.randrange(7)
    if form == 0:
        return rng.choice((16, 17, 20, 23, 30)), _blob(rng, _nasty_listpack(rng, items))
    if form == 1:
        return rng.choice((10, 12, 13)), _blob(rng, _nasty_ziplist(rng, items))
    if form == 2:
        return 25, rng.choice(_NUMBERS).to_bytes(8, "little") + _blob(rng, _nasty_listpack(rng, items))
    if form == 3:
        return rng.choice((15, 19, 21, 26, 27)), _nasty_stream(rng)
    if form == 4:
        return 18, _length(rng, 2) + b"\2" + _blob(rng, _nasty_listpack(rng, items)) + b"\1" + _blob(rng, rng.choice(_TEXTS))
    if form == 5:
        head = rng.choice((2, 4, 8, 3, 0)).to_bytes(4, "little") + rng.choice((1, 3, 0, (1 << 32) - 1)).to_bytes(4, "little")
        return 11, _blob(rng, head + rng.randbytes(rng.choice((2, 6, 24))))
    strings = b"".join(_blob(rng, item) for item in items)
    return rng.choice((0, 1, 2, 3, 4, 5, 7, 14, 22, 24, 28, 29, 31, 32, 64)), _length(rng) + strings


def _nasty_listpack(rng: random.Random, items: list[bytes]) -> bytes:
    from rdbkit.wire import listpack

    blob = listpack.encode(items, rng.choice(("old", "new")))
    return _over(blob, 4, b"\xff\xff") if rng.random() < 0.3 else blob


def _nasty_ziplist(rng: random.Random, items: list[bytes]) -> bytes:
    from rdbkit.wire import ziplist

    blob = ziplist.encode(items)
    return _over(blob, 8, b"\xff\xff") if rng.random() < 0.3 else blob


def _nasty_stream(rng: random.Random) -> bytes:
    """Nodes whose numbers lie, and a tail that does."""
    sound = [b"2", b"0", b"1", b"f", b"0", b"2", b"0", b"1", b"v", b"4", b"2", b"1", b"0", b"w", b"4"]
    for _ in range(rng.randrange(3)):
        sound[rng.randrange(len(sound))] = rng.choice((rng.choice(_TEXTS), b"%d" % rng.choice(_NUMBERS), b"%d" % -rng.choice(_NUMBERS)))
    nodes = _length(rng, 1) + b"\x10" + rng.randbytes(8) + bytes(8) + _blob(rng, _nasty_listpack(rng, sound))
    return nodes + b"".join(_length(rng) if rng.random() < 0.5 else b"\1" for _ in range(20)) + rng.randbytes(30)


def _blob(rng: random.Random, data: bytes) -> bytes:
    """Return a string: as it is, or packed as one literal after another."""
    if rng.random() < 0.6 or not data:
        return _length(rng, len(data)) + data
    packed = b"".join(bytes((len(piece) - 1,)) + piece for piece in _runs(data))
    return b"\xc3" + _length(rng, len(packed)) + _length(rng, len(data)) + packed


def _runs(data: bytes) -> Iterator[bytes]:
    return (data[at : at + 32] for at in range(0, len(data), 32))


def bomb(rng: random.Random, data: bytes, base: Base, bases: Bases) -> bytes:
    """A packed blob that unpacks to 88 times its size, whole and sound, or nearly so."""
    at = rng.choice([row[0] for row in base.rows] or [base.first])
    times = rng.choice((10, 300, 300, 3000, 3000, 20000))
    kind, body = _bomb(rng, times)
    return data[:at] + bytes((kind,)) + b"\4bomb" + body + data[at:]


def _bomb(rng: random.Random, times: int) -> tuple[int, bytes]:
    """Return type and body: head, a pattern of 2, 3, 4, 6, 8 or 11 bytes over and over, end mark."""
    form = rng.randrange(4)
    if form == 0:  # a string, or a PLAIN node
        return 0, _packed(b"", b"ab", times, b"")
    pattern = rng.choice((b"\1\1", b"\x81a\2", b"\x82ab\3", b"\x82ab\3\x31\1", b"\x84abcd\5\xc3\x01\2"))
    kind = rng.choice((16, 17, 20, 23, 18, 19, 21, 30))
    if form == 3:
        pattern = rng.choice((b"\2\xf2", b"\2\xf9", b"\3\1a", b"\4\2ab\4\xfe\x17"))
        kind = rng.choice((10, 12, 13, 14))
        total = 10 + _unpacked(pattern, times) + 1
        blob = _packed(total.to_bytes(4, "little") + (total - 4).to_bytes(4, "little") + b"\xff\xff", pattern, times, b"\xff")
    else:
        total = 6 + _unpacked(pattern, times) + 1
        blob = _packed(total.to_bytes(4, "little") + b"\xff\xff", pattern, times, b"\xff")
    around = {18: b"\1\2", 14: b"\1", 19: b"\1\x10" + bytes(16), 21: b"\1\x10" + bytes(16)}.get(kind, b"")
    return kind, around + blob + (bytes(9) if kind in (19, 21) else b"")


def flood(rng: random.Random, data: bytes, base: Base, bases: Bases) -> bytes:
    """More records of a kind, or larger ones, than any server writes: what is remembered of them must stay bounded."""
    at = rng.choice([row[0] for row in base.rows] or [base.first])
    form = rng.randrange(6)
    if form == 0:  # function libraries of up to 16 MiB each
        pieces = [b"\xf5" + _packed(b"#!lua name=l%d\n" % n, b"ab", rng.choice((30, 6000, 60000)), b"") for n in range(12)]
    elif form == 1:
        pieces = [b"\xfa\x03k%02d" % (n % 100) + _packed(b"", b"ab", 250, b"") for n in range(1500)]
    elif form == 2:  # templates of long names, and hashes that refer to them
        names = b"".join(_packed(b"n%d" % n, b"ab", 3000, b"") for n in range(5))
        pieces = [b"\xf2\x09\x05" + names, b"\x1e\1h\x13" + _sevens(b"\x09"), b"\x20\1i\x09" + b"\1x" * 5]
        pieces += [b"\x20\3i%02d\x09" % n + b"\1x" * 5 for n in range(60)]
    elif form == 3:
        pieces = [b"\xfe\x80" + n.to_bytes(4, "big") for n in range(60_000)]
    elif form == 4:
        pieces = [b"\xf3\1j\x80\0\0\x40\0" + b"\1\2" * 0x4000] * 20
    else:
        pieces = [b"\xf4\1\2\3", b"\xfb\1\2", b"\xf7\x81" + rng.randbytes(8) + b"\2\2\2\1\0"] * 15_000
    return data[:at] + b"".join(pieces) + data[at:]


def _sevens(template: bytes) -> bytes:
    """Return the listpack of a hash of five fields of value 7."""
    blob = template + b"\1" + b"\7\1" * 5 + b"\xff"
    return (6 + len(blob)).to_bytes(4, "little") + b"\6\0" + blob


def _unpacked(pattern: bytes, times: int) -> int:
    return len(pattern) * (1 + 264 // len(pattern) * times)


def _packed(head: bytes, pattern: bytes, times: int, end: bytes) -> bytes:
    """Return an LZF string: a reference of a whole number of patterns, as long as one can be, so many times."""
    first = head + pattern
    run = 264 // len(pattern) * len(pattern) - 2
    packed = bytes((len(first) - 1,)) + first + bytes((7 << 5, run - 7, len(pattern) - 1)) * times
    packed += bytes((len(end) - 1,)) + end if end else b""
    return b"\xc3\x80" + len(packed).to_bytes(4, "big") + b"\x80" + (len(head) + _unpacked(pattern, times) + len(end)).to_bytes(4, "big") + packed


_MUTATORS: dict[Mutator, int] = {
    truncate: 8, flip: 14, overwrite: 8, byte: 12, insert: 6, delete: 8, duplicate: 5, swap: 4, splice: 4, huge: 12, opcode: 6,
    lzf_head: 4, blob_head: 6, version: 1, text: 6, record: 6, nasty: 25,
}  # fmt: skip
#: One mutant in so many carries a bomb: they take a hundred times as long.
_BOMBS = 400


# -- mutants -----------------------------------------------------------------------------------------------------------


@dataclass
class Mutant:
    """Mutant `number`: its bytes, and how they are to be read. `at`: before it they are those of the base."""

    number: int
    base: Base
    data: bytes
    at: int
    how: list[str]
    #: The checksum was made to fit again, or taken away: a clean end proves nothing then.
    forged: bool
    packing: str
    delivery: Delivery
    tuned: bool
    extra: float


def mutant(bases: Bases, seed: int, number: int) -> Mutant:
    """Make mutant `number` of a seed."""
    rng = random.Random(f"{seed}:{number}")
    base = bases.pick(rng)
    data, how = _mutate(rng, base, bases)
    forging = rng.random()
    forged = forging < 0.4 and (base.dump or _version(data) >= 5) and len(data) > 20
    if forged:
        data = _forge(data, zero=forging < 0.08)
    at = _differ(base.data, data)
    packing = ""
    if not base.dump and rng.random() < 0.05:
        packing, forged = rng.choice(("gzip", "zstd", "bz2", "xz", "lz4")), False
        packed = pack(base.data, packing)
        data = rng.choice((flip, overwrite, truncate, delete, insert, byte))(rng, packed, Base("", packed), bases)
        at, how = _differ(packed, data), [packing, "packed"]
    chunk = rng.choice((1, 7, 100, 5000)) if rng.random() < 0.06 and len(data) < 30_000 else 0
    # (A key that is too long to keep does not get its members' expiries.)
    tuned = rng.random() < 0.2 and not {"bomb", "flood"} & {*how} and len(data) < 30_000 and not base.keydb
    return Mutant(number, base, data, at, how, forged, packing, Delivery(data, chunk), tuned, rng.random())


def _mutate(rng: random.Random, base: Base, bases: Bases) -> tuple[bytes, list[str]]:
    data, how = base.data, []
    names = list(_MUTATORS)
    for _ in range(rng.choice((1, 1, 1, 1, 2, 2, 3, 5))):
        mutator = rng.choices(names, list(_MUTATORS.values()))[0]
        if base.dump and mutator in (record, nasty, version):
            data, mutator = _nasty_entry(rng, None) + data[-10:], nasty
        else:
            data = mutator(rng, data, base, bases)
        how.append(mutator.__name__)
    if not base.dump and rng.randrange(_BOMBS) == 0:
        mutator = rng.choice((bomb, bomb, flood))
        data, how = base.data, []
        for _ in range(rng.choice((1, 1, 4)) if mutator is bomb else 1):
            data = mutator(rng, data, base, bases)
            how.append(mutator.__name__)
    return data, how


def _forge(data: bytes, *, zero: bool) -> bytes:
    """Make the last eight bytes the checksum of the others, or zero, which stands for none."""
    from rdbkit.wire import crc64

    return data[:-8] + (_ZEROS if zero else crc64.update()(data[:-8], 0).to_bytes(8, "little"))


def _differ(a: bytes, b: bytes) -> int:
    """Return where two byte strings begin to differ."""
    low, high = 0, min(len(a), len(b))
    while low < high:
        middle = (low + high + 1) // 2
        if a[:middle] == b[:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def pack(data: bytes, packing: str) -> bytes:
    """Pack in several members or frames, so that some lie before the damage."""
    import bz2
    import lzma

    pieces = [data[at : at + 700] for at in range(0, len(data), 700)][:20]
    pieces.append(data[14000:])
    if packing == "bz2":
        return b"".join(map(bz2.compress, pieces))
    if packing == "xz":
        return b"".join(lzma.compress(piece, preset=0) for piece in pieces)
    try:
        if packing == "zstd":
            import zstandard

            return b"".join(map(zstandard.ZstdCompressor(write_checksum=True).compress, pieces))
        if packing == "lz4":
            import lz4.frame

            return b"".join(lz4.frame.compress(piece, content_checksum=True) for piece in pieces)
    except ImportError:
        pass
    return b"".join(gzip.compress(piece, 6, mtime=0) for piece in pieces)


class _Pipe:
    """A stream that cannot go back and gives at most `chunk` bytes a time."""

    def __init__(self, data: bytes, chunk: int) -> None:
        self._below = io.BytesIO(data)
        self._chunk = chunk

    def read(self, n: int = -1) -> bytes:
        return self._below.read(min(n, self._chunk) if n >= 0 else self._chunk)

    def seekable(self) -> bool:
        return False


@dataclass
class Delivery:
    """How bytes reach rdbkit: whole (`chunk` 0), or as a pipe in pieces of `chunk` bytes."""

    data: bytes
    chunk: int = 0

    def open(self) -> Any:
        """Return something to open."""
        return _Pipe(self.data, self.chunk) if self.chunk else self.data


_TUNING = {
    "rdbkit.wire.cursor": {"WINDOW": (16, 64, 300), "RETAIN": (0, 40, 300)},
    "rdbkit.rdb.values": {"BATCH": (6, 24), "_WHOLE": (0, 60)},
    "rdbkit.rdb.streams": {"_BATCH": (1, 3, 50)},
    "rdbkit.rdb.modules": {"_BATCH": (1, 3)},
    "rdbkit.report.entries": {"_WHOLE": (0, 100), "_HELD": (0, 200), "_ROWS": (1, 3)},
}


@contextmanager
def tuning(seed: str | None) -> Iterator[None]:
    """Make buffers and batches so small that short files reach what otherwise takes megabytes."""
    rng = random.Random(seed)
    held = []
    for name, choices in _TUNING.items() if seed is not None else ():
        __import__(name)
        module = sys.modules[name]
        for constant, numbers in choices.items():
            if hasattr(module, constant):
                held.append((module, constant, getattr(module, constant)))
                setattr(module, constant, rng.choice(numbers))
    try:
        yield
    finally:
        for module, constant, value in held:
            setattr(module, constant, value)


# -- reading: each returns lines (end of the entry or None, account) ---------------------------------------------------

Line = tuple[int | None, Any]


def told(error: Any) -> tuple[Any, ...]:
    """Return what an error says."""
    assert error.code, "an error without a code"
    assert len(str(error)) < 1000, "a message of more than 1000 characters"
    return type(error).__name__, error.code, error.offset, error.db, digest(error.key), str(error)


def digest(value: Any) -> Any:
    """Return what stands for a value in an account: itself if it is short."""
    if isinstance(value, set | frozenset):
        value = sorted(value)
    said = repr(value)
    return said if len(said) < 80 else hashlib.blake2b(said.encode(), digest_size=12).hexdigest()


def _ask(question: Callable[[], Any]) -> Any:
    from rdbkit.errors import RdbkitError

    try:
        return question()
    except RdbkitError as error:
        return ("error", told(error))


def _parts(entry: Any) -> tuple[int, str]:
    sums = hashlib.blake2b(digest_size=12)
    count = 0
    for part in entry.parts():
        # Where a string is cut into chunks depends on the window.
        sums.update(part if entry.type == "string" else repr(part).encode())
        count += entry.type != "string"
    return count, sums.hexdigest()


def _value(entry: Any) -> Any:
    value = entry.value
    return digest(value), digest(sorted(entry.field_expires_at.items()))


def entry_account(entry: Any, order: int = 0) -> tuple[Any, ...]:
    """Return all that an entry tells, asked in one of several orders."""
    about = lambda: (entry.encoding, entry.elements, entry.size)  # noqa: E731
    if order == 0:
        found = [_ask(about), _ask(lambda: _parts(entry)), None]
        if found[1][0] == "error" or found[1][0] < WHOLE:
            found[2] = _ask(lambda: _value(entry))
    elif order == 1:
        value = _ask(lambda: _value(entry))
        found = [_ask(about), _ask(lambda: _parts(entry)), value]
    else:
        parts = _ask(lambda: _parts(entry))
        found = [None, parts, _ask(lambda: _value(entry))]
        found[0] = _ask(about)
    repr(entry)
    return entry.offset, entry.db, entry.key, entry.type, entry.expires_at, entry.idle, entry.freq, *found


def read_values(delivery: Delivery, order: int = 0) -> list[Line]:
    """Read every entry with its value."""
    import rdbkit
    from rdbkit.errors import RdbkitError

    lines: list[Line] = []
    try:
        snapshot = rdbkit.open(delivery.open())
    except RdbkitError as error:
        return [(None, ("stop", told(error)))]
    with snapshot:
        first = snapshot.cursor.tell()
        try:
            for entry in snapshot:
                lines.append((0, entry_account(entry, order)))
            last = ("end", snapshot.checksum, first, snapshot.product, snapshot.version, snapshot.end)
        except RdbkitError as error:
            last = ("stop", told(error))
        sources = [hashlib.blake2b(source, digest_size=12).hexdigest() for source in snapshot.functions]
        facts = [snapshot.producer, snapshot.aux, sources, sorted(snapshot.databases.items()), str(snapshot.target)]
        lines.append((None, ("facts", digest(facts), snapshot.tail, snapshot.ctime)))
    return [*((end if end is None else _end(line), line) for end, line in lines), (None, last)]


def _end(line: tuple[Any, ...]) -> int:
    size = line[7][2] if line[7][0] != "error" else 0
    return int(line[0] + size)


def read_rows(delivery: Delivery, level: int) -> list[Line]:
    """Walk the file as deep as `level` says, keeping no bodies."""
    import rdbkit
    from rdbkit.errors import RdbkitError
    from rdbkit.rdb.walker import Plan

    lines: list[Line] = []
    try:
        with rdbkit.open(delivery.open(), plan=Plan(level=level)) as snapshot:
            for batch in snapshot.batches():
                lines += [(row[0] + row[8], row) for row in batch]
            lines.append((None, ("end", snapshot.checksum)))
    except RdbkitError as error:
        lines.append((None, ("stop", told(error))))
    return lines


def check_file(delivery: Delivery) -> list[Line]:
    """Check the file."""
    from rdbkit.analysis.check import Check

    check = Check(delivery.open())
    lines: list[Line] = []
    for finding in check.findings():
        assert len(finding.message) < 1000, "a finding of more than 1000 characters"
        assert isinstance(finding.hint, str)
        lines.append((None, (finding.severity, finding.code, finding.offset, finding.db, digest(finding.key), finding.message)))
    return [*lines, (None, ("sums", check.keys, check.expires, check.offset, check.complete, check.checksum))]


def export_file(delivery: Delivery, form: str) -> list[Line]:
    """Export the file."""
    import rdbkit
    from rdbkit.errors import RdbkitError
    from rdbkit.rdb.walker import Plan
    from rdbkit.report.entries import Exporter
    from rdbkit.report.export import export_writer

    sums = hashlib.blake2b(digest_size=12)
    writer = export_writer(form, lambda text: sums.update(text.encode("utf-8", "backslashreplace")))
    exporter = Exporter(writer)
    try:
        with rdbkit.open(delivery.open(), plan=Plan(retain=True)) as snapshot:
            exporter.run(iter(snapshot))
        writer.finish()
        how: Any = "end"
    except RdbkitError as error:
        how = told(error)
    return [(None, (how, exporter.count, sums.hexdigest()))]


def rewrite_file(delivery: Delivery, restore: bool) -> list[Line]:
    """Write the commands that make the keys again."""
    import rdbkit
    from rdbkit.aof.rewrite import Rewriter
    from rdbkit.errors import RdbkitError
    from rdbkit.rdb.walker import Plan

    sums = hashlib.blake2b(digest_size=12)
    how: Any = "end"
    try:
        with rdbkit.open(delivery.open(), plan=Plan(retain=True)) as snapshot:
            rewriter = Rewriter(sums.update, snapshot.target, restore=restore, modules=restore)
            for source in snapshot.functions:
                rewriter.function(source)
            for entry in snapshot:
                rewriter.entry(entry)
            how = ("end", sorted(rewriter.lost.items()))
    except RdbkitError as error:
        how = told(error)
    return [(None, (how, sums.hexdigest()))]


def list_file(delivery: Delivery, form: str) -> list[Line]:
    """List the keys as the command line does, in a terminal of 80 columns."""
    import rdbkit
    from rdbkit.cli.keys import key_rows
    from rdbkit.errors import RdbkitError
    from rdbkit.rdb.walker import Plan
    from rdbkit.report.rows import KEY_COLUMNS, row_writer

    said: list[str] = []
    writer = row_writer(form, KEY_COLUMNS, said.append, width=80)
    try:
        with rdbkit.open(delivery.open(), plan=Plan(level=1)) as snapshot:
            for batch in snapshot.batches():
                writer.write(key_rows(snapshot, batch))
        how: Any = "end"
    except RdbkitError as error:
        how = told(error)
    writer.finish()
    return [(None, (how, digest("".join(said))))]


def run_command(data: bytes, which: float) -> list[Line]:
    """Run a command in this process."""
    from rdbkit.cli import main

    commands = (["info"], ["info", "-f", "json"], ["info", "--quick"], ["check"], ["check", "-f", "json"], ["keys"], ["keys", "-f", "csv"])
    commands += (["export"], ["export", "-f", "csv"], ["export", "-f", "json", "--bytes", "hex"])
    command = commands[int(which * len(commands))]
    out, err = io.TextIOWrapper(io.BytesIO()), io.StringIO()
    with tempfile.NamedTemporaryFile(suffix=".rdb") as file:
        file.write(data)
        file.flush()
        os.utime(file.name, (1, 1))
        with redirect_stdout(out), redirect_stderr(err):
            try:
                main([*command, file.name])
            except SystemExit as leave:
                status = leave.code
        out.flush()
    said = out.buffer.getvalue().replace(file.name.encode(), b"FILE")  # type: ignore[attr-defined]
    assert status in (0, 1, 3), f"{command} left with {status}: {err.getvalue()[:300]}"
    assert "Traceback" not in err.getvalue(), err.getvalue()
    assert status == 0 or command == ["info", "--quick"] or said or err.getvalue(), "a failure without a word"
    return [(None, (command, status, digest(said), digest(err.getvalue().replace(file.name, "FILE"))))]


def load_payload(data: bytes) -> list[Line]:
    """Read a DUMP payload."""
    from rdbkit import load_dump
    from rdbkit.errors import RdbkitError

    try:
        found = load_dump(data)
    except RdbkitError as error:
        return [(None, ("stop", told(error)))]
    about = (found.type, found.encoding, found.elements, found.size, digest(found.value), digest(sorted(found.field_expires_at.items())))
    return [(None, ("end", about))]


# -- the verdict -------------------------------------------------------------------------------------------------------


def judge(case: Mutant) -> tuple[list[Line], list[str]]:
    """Read a mutant in every way; return the account and what is wrong with it."""
    wrong: list[str] = []
    if case.base.dump:
        lines = load_payload(case.data)
        ended = lines[0][1][0] == "end"
        if ended and case.data != case.base.data and not case.forged and any(case.data[-8:]):
            wrong.append("clean end of a changed payload with a checksum")
        return lines, wrong + _offsets(lines, len(case.data))
    # A pipe is asked for values first: nothing else of a long one is to be had afterwards.
    order = 2 if case.delivery.chunk else int(case.extra * 1000) % 3
    values = read_values(case.delivery, order)
    levels = {"values": values, "head": read_rows(case.delivery, 0), "shape": read_rows(case.delivery, 1)}
    for level, lines in levels.items():
        wrong += _before(case, level, lines)
    check = check_file(case.delivery)
    export = export_file(case.delivery, ("jsonl", "csv", "json")[int(case.extra * 100) % 3])
    wrong += _checksum(case, values) + _agree(values, check, export)
    lines = [line for part in (*levels.values(), check, export) for line in part]
    if case.extra < 0.3:
        lines += rewrite_file(case.delivery, case.extra < 0.15)
    elif case.extra < 0.5:
        lines += list_file(case.delivery, ("table", "csv", "json", "jsonl")[int(case.extra * 1000) % 4])
    elif case.extra > 0.995:
        lines += run_command(case.data, (case.extra - 0.995) * 200)
    return lines, wrong + _offsets(lines, -1 if case.packing else len(case.data))


def _before(case: Mutant, level: str, lines: list[Line]) -> list[str]:
    """Compare what lies before the first changed byte with what the base has there."""
    expected = _untouched(case, level)
    got = [account for end, account in lines if end is not None][: len(expected)]
    for (_, wanted), found in zip(expected, got):
        if not _equal(wanted, found, case.delivery.chunk > 0):
            return [f"{level}: the key {wanted[2]!r} before the damage (byte {case.at}) became {found}, was {wanted}"]
    if len(got) < len(expected):
        return [f"{level}: {len(expected) - len(got)} of {len(expected)} keys before the damage are missing (byte {case.at})"]
    return []


def _untouched(case: Mutant, level: str) -> list[tuple[int, Any]]:
    at = _plain_before(case) if case.packing else case.at
    expected = [pair for pair in case.base.before[level] if pair[0] <= at]
    # A KeyDB key is complete only with the records behind it.
    return expected[:-1] if case.base.keydb or b"keydb-subexpire" in case.data else expected


def _plain_before(case: Mutant) -> int:
    """Return how many unpacked bytes lie wholly in members or frames before the damage."""
    total = 0
    packed = 0
    for start in range(0, len(case.base.data), 700):
        piece = case.base.data[start : start + 700] if start < 14000 else b""
        packed += len(pack(piece, case.packing)) - len(pack(b"", case.packing)) if piece else 1 << 60
        # The library may hold back what it made of the last packed bytes.
        if packed + 1024 > case.at:
            break
        total += len(piece)
    return total


def _equal(wanted: Any, found: Any, pipe: bool) -> bool:
    if wanted == found:
        return True
    if not pipe or len(wanted) != len(found):
        return False
    # A pipe cannot go back: what was not asked for in time is Passed.
    return all(a == b or isinstance(b, tuple) and b[0] == "error" and b[1][0] == "Passed" for a, b in zip(wanted, found))


def _checksum(case: Mutant, values: list[Line]) -> list[str]:
    last = values[-1][1]
    if last[0] != "end" or last[1] != "good" or case.forged or not case.base.checksum:
        return []
    data = _unpacked_data(case) if case.packing else case.data
    end = last[5]
    return [] if data[:end] == case.base.data[:end] else ["clean end of a changed file with a checksum"]


def _unpacked_data(case: Mutant) -> bytes:
    from rdbkit.source import open_source

    with open_source(case.data) as source:
        pieces = list(iter(lambda: source.read(1 << 16), b""))
    return b"".join(pieces)


def _agree(values: list[Line], check: list[Line], export: list[Line]) -> list[str]:
    """Hold the ways of reading against each other."""
    broken = values[-1][1][0] == "stop" or any(_broken(account) for end, account in values if end is not None)
    found = any(line[1][0] == "error" for line in check)
    wrong = []
    if broken and not found:
        wrong.append("check finds no error where reading does")
    if broken == (export[0][1][0] == "end"):
        wrong.append(f"export says {export[0][1][0]}, reading says {'damaged' if broken else 'sound'}")
    return wrong


def _broken(account: tuple[Any, ...]) -> bool:
    return any(isinstance(item, tuple) and item[0] == "error" and item[1][0] != "Passed" for item in account[7:])


def _offsets(lines: list[Line], size: int) -> list[str]:
    """Look for errors whose offset is missing, or not in the file."""
    wrong = []
    for _, account in lines:
        for item in account:
            error = item[1] if isinstance(item, tuple) and item and item[0] == "error" else item
            if not (isinstance(error, tuple) and len(error) == 6 and error[0] in _ERRORS):
                continue
            if error[2] is None or error[2] < 0 or 0 <= size < error[2]:
                wrong.append(f"offset {error[2]} in a file of {size} bytes: {error}")
    return wrong


_ERRORS = ("Truncated", "Corrupt", "Unsupported", "LimitExceeded", "Passed")


# -- a worker ----------------------------------------------------------------------------------------------------------


class Hang(BaseException):
    """The processor time for one mutant is used up."""


def _alarm(*_: object) -> None:
    raise Hang


def _peak() -> int:
    """Return the most memory that this process has had, in MiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak >> (20 if sys.platform == "darwin" else 10)


def _fence() -> None:
    """Let an allocation that no file justifies fail, instead of filling the machine."""
    try:
        held = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (held + (1 << 30), resource.RLIM_INFINITY))
    except (OSError, ValueError):
        pass


def attempt(bases: Bases, seed: int, number: int) -> dict[str, Any]:
    """Judge one mutant; return its account's digest, what it took, and what is wrong."""
    case = mutant(bases, seed, number)
    begun = time.process_time()
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    lines: list[Line] = []
    try:
        with tuning(f"{seed}:{number}" if case.tuned else None):
            lines, wrong = judge(case)
    except Hang:
        wrong = [f"more than {SECONDS} s in {_where(sys.exc_info()[2])}"]
    except Exception as error:
        wrong = [f"{type(error).__name__}: {str(error)[:200]} in {_where(error.__traceback__)}"]
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    took = time.process_time() - begun
    return {"n": number, "d": _sum(lines), "t": round(took, 4), "m": _peak(), "w": wrong, "how": case.how, "base": case.base.name}


def _sum(lines: list[Line]) -> str:
    return hashlib.blake2b(repr(lines).encode("utf-8", "backslashreplace"), digest_size=12).hexdigest()


def _where(trace: Any) -> str:
    frames = [frame for frame in traceback.extract_tb(trace) if "rdbkit" in frame.filename] or traceback.extract_tb(trace)
    return " < ".join(f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in frames[:-4:-1])


def serve(corpus: Path, seed: int) -> None:
    """Judge the mutants whose ranges ("first last step") come in on standard input; one line of JSON for each."""
    faulthandler.enable()
    signal.signal(signal.SIGPROF, _alarm)
    answer = os.fdopen(os.dup(1), "w")
    bases = Bases(corpus)
    _fence()
    for line in sys.stdin:
        for number in range(*map(int, line.split())):
            faulthandler.dump_traceback_later(SILENCE - 5, exit=True)
            result = attempt(bases, seed, number)
            faulthandler.cancel_dump_traceback_later()
            if result["m"] > MEBIBYTES:
                result["w"].append(f"memory: {result['m']} MiB")
            print(json.dumps(result), file=answer, flush=True)
            if result["m"] > MEBIBYTES:
                return


class Worker:
    """A process that judges mutants on one face; replaced when it hangs, dies or grows."""

    def __init__(self, face: str, corpus: Path, seed: int) -> None:
        self.face = face
        self._command = [sys.executable, __file__, "--serve", "--corpus", str(corpus), "--seed", str(seed)]
        path = os.pathsep.join(filter(None, (_home(), os.environ.get("PYTHONPATH", ""))))
        self._environment = {**os.environ, "RDBKIT_PURE": "1" if face == "pure" else "0", "PYTHONPATH": path}
        self._log = tempfile.TemporaryFile()
        self._process: subprocess.Popen[bytes] | None = None
        self.next = self.stop = 0
        self.heard = time.monotonic()

    def begin(self, first: int, stop: int) -> None:
        """Start on a range."""
        self.next, self.stop = first, stop
        if self._process is None:
            self._process = subprocess.Popen(
                self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log, env=self._environment
            )
        assert self._process.stdin is not None
        self._process.stdin.write(b"%d %d\n" % (first, stop))
        self._process.stdin.flush()
        self.heard = time.monotonic()

    def fileno(self) -> int:
        """For select()."""
        assert self._process is not None
        assert self._process.stdout is not None
        return self._process.stdout.fileno()

    def hear(self) -> dict[str, Any]:
        """Return the next result; a lost worker's is made up here."""
        assert self._process is not None
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        self.heard = time.monotonic()
        result: dict[str, Any] = json.loads(line) if line.endswith(b"\n") else self._lost("the process died")
        self.next = result["n"] + 1
        if result["m"] > MEBIBYTES or not line:
            self._again()
        return result

    def silent(self) -> dict[str, Any] | None:
        """Give up on a worker that says nothing; return the result for its mutant."""
        if time.monotonic() - self.heard < SILENCE:
            return None
        result = self._lost(f"nothing heard for {SILENCE} s")
        self.next += 1
        self._again()
        return result

    def _lost(self, why: str) -> dict[str, Any]:
        self._log.seek(0)
        last = self._log.read()[-1500:].decode("utf-8", "replace")
        return {"n": self.next, "d": "", "t": 0.0, "m": 0, "w": [f"{why}: {last}"], "how": [], "base": ""}

    def _again(self) -> None:
        self.close()
        if self.next < self.stop:
            self.begin(self.next, self.stop)

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None


# -- the campaign ------------------------------------------------------------------------------------------------------


@dataclass
class Report:
    """What a campaign came to: mutants judged per face, failures as lines, and the extremes."""

    mutants: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    #: (seconds, mutant), (MiB, mutant) per face.
    slowest: dict[str, tuple[float, int]] = field(default_factory=dict)
    largest: dict[str, tuple[int, int]] = field(default_factory=dict)
    seconds: float = 0.0

    def __str__(self) -> str:
        faces = [
            f"{face}: {count} mutants, slowest {self.slowest[face][0]:.2f} s (#{self.slowest[face][1]}), "
            f"peak {self.largest[face][0]} MiB (#{self.largest[face][1]})"
            for face, count in sorted(self.mutants.items())
        ]
        return "\n".join([*faces, f"{len(self.failures)} failures in {self.seconds:.0f} s"])


class Campaign:
    """Runs a range of mutants on some faces and compares the accounts."""

    def __init__(self, corpus: Path, seed: int, faces: Sequence[str], out: Path | None, tell: Callable[[str], object]) -> None:
        self.corpus, self.seed, self.faces, self.out, self.tell = corpus, seed, faces, out, tell
        self.report = Report()
        self._waiting: dict[int, tuple[str, dict[str, Any]]] = {}

    def run(self, first: int, count: int, jobs: int = 1) -> Report:
        """Judge mutants first … first + count - 1, with `jobs` processes for each face."""
        begun = time.monotonic()
        workers = []
        for face in self.faces:
            for job in range(jobs):
                worker = Worker(face, self.corpus, self.seed)
                worker.begin(first + count * job // jobs, first + count * (job + 1) // jobs)
                workers.append(worker)
        try:
            self._listen(workers)
        finally:
            for worker in workers:
                worker.close()
        self.report.seconds = time.monotonic() - begun
        return self.report

    def _listen(self, workers: list[Worker]) -> None:
        while busy := [worker for worker in workers if worker.next < worker.stop]:
            ready, _, _ = select.select(busy, [], [], 1.0)
            for worker in ready:
                self._take(worker.face, worker.hear())
            for worker in set(busy) - set(ready):
                lost = worker.silent()
                if lost is not None:
                    self._take(worker.face, lost)

    def _take(self, face: str, result: dict[str, Any]) -> None:
        number, report = result["n"], self.report
        report.mutants[face] += 1
        report.slowest[face] = max(report.slowest.get(face, (0.0, 0)), (result["t"], number))
        report.largest[face] = max(report.largest.get(face, (0, 0)), (result["m"], -number))
        for wrong in result["w"]:
            self._fail(face, result, wrong)
        if len(self.faces) < 2:
            return
        other = self._waiting.pop(number, None)
        if other is None:
            self._waiting[number] = (face, result)
        elif other[1]["d"] != result["d"] and not result["w"] and not other[1]["w"]:
            self._fail("both", result, "the faces disagree")

    def _fail(self, face: str, result: dict[str, Any], wrong: str) -> None:
        number = result["n"]
        line = f"FAIL seed={self.seed} mutant={number} face={face} base={result['base']} how={'+'.join(result['how'])}: {wrong}"
        if self.out is not None:
            self.out.mkdir(parents=True, exist_ok=True)
            path = self.out / f"{self.seed}-{number}.rdb"
            path.write_bytes(mutant(_bases(self.corpus), self.seed, number).data)
            line += f" [{path}]"
        self.report.failures.append(line)
        self.tell(line)


@lru_cache(1)
def _bases(corpus: Path) -> Bases:
    return Bases(corpus)


def campaign(
    corpus: Path, seed: int, faces: Sequence[str], runs: int, *, first: int = 0, jobs: int = 1, out: Path | None = None,
    tell: Callable[[str], object] = print,
) -> Report:  # fmt: skip
    """Judge `runs` mutants of a seed on these faces."""
    return Campaign(corpus, seed, faces, out, tell).run(first, runs, jobs)


def show(corpus: Path, seed: int, number: int, out: Path) -> None:
    """Judge one mutant in this process and print its account."""
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    case = mutant(Bases(corpus), seed, number)
    out.mkdir(parents=True, exist_ok=True)
    path = out / f"{seed}-{number}.rdb"
    path.write_bytes(case.data)
    print(f"# {path}: {case.base.name} {case.how} differs from byte {case.at}, {len(case.data)} bytes, forged={case.forged}")
    print(f"# chunk={case.delivery.chunk} tuned={case.tuned} extra={case.extra}")
    with tuning(f"{seed}:{number}" if case.tuned else None):
        lines, wrong = judge(case)
    for line in lines:
        print(line)
    print(*wrong, sep="\n")


def main() -> int:
    """Run from the command line; the exit status is 1 if anything failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=10000)
    parser.add_argument("--first", type=int, default=0, help="number of the first mutant")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--face", choices=(*FACES, "both"), default="both")
    parser.add_argument("--corpus", type=Path, default=ROOT / "fixtures", help="directory of sound files")
    parser.add_argument("--jobs", type=int, default=1, help="processes per face")
    parser.add_argument("--out", type=Path, default=Path(tempfile.gettempdir()) / "rdbkit-fuzz", help="where mutants go that failed")
    parser.add_argument("--only", type=int, help="judge this mutant alone, and tell all (--face: RDBKIT_PURE decides)")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    sys.path.insert(0, _home())
    if options.serve:
        serve(options.corpus, options.seed)
        return 0
    if options.only is not None:
        show(options.corpus, options.seed, options.only, options.out)
        return 0
    faces = FACES if options.face == "both" else (options.face,)
    report = campaign(
        options.corpus, options.seed, faces, options.runs, first=options.first, jobs=options.jobs, out=options.out
    )
    print(report)
    return 1 if report.failures else 0


if __name__ == "__main__":
    sys.exit(main())
