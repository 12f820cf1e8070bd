"""Functions that damage a file: each takes a random generator, the bytes, their base, and all bases."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

from fuzzing.bases import Base, Bases

_NUMBERS = [0, 1, 0x3F, 0x40, 0x7F, 0x80, 0xFD, 0xFF, 0x3FFF, 0x7FFF, 0xFFFF, 0x10000, (1 << 20) + 1, (1 << 24) - 1]
_NUMBERS += [(1 << 31) - 1, 1 << 31, (1 << 32) - 1, 1 << 32, 1 << 48, (1 << 56) - 1, 1 << 56, (1 << 56) + 1]
_NUMBERS += [(1 << 60) - 1, (1 << 62) + 7, (1 << 63) - 1, 1 << 63, (1 << 64) - 2, (1 << 64) - 1]
_OPCODES = [*range(35), 64, 100, 107, 121, 192, 200, 201, 210, 220, 224, *range(240, 256)]
_TEXTS = b"0 -1 1_0 +5 nan inf -inf 1e400 0x1p3 1e -- - =1+1 \\x41 16 3 \xd9\xa3 \xff\xfe \xc3 \x1b[2J".split()
_TEXTS += [b"", b" 1", b"1 ", b"9" * 25, b"18446744073709551616"]
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
        forms.append(bytes((number,)))
    return rng.choice(forms)


def _lengths(rng: random.Random, count: int) -> bytes:
    return b"".join(_length(rng) for _ in range(count))


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
    edges = b"\x00\x01\x3f\x40\x7f\x80\x81\x82\xbf\xc0\xc1\xc2\xc3\xc4\xdf\xe0\xf0\xf1\xf5\xfd\xfe\xff"
    return _over(data, _at(rng, data, base), bytes((rng.choice(edges),)))


def insert(rng: random.Random, data: bytes, base: Base, bases: Bases) -> bytes:
    at = _at(rng, data, base)
    return (
        data[:at] + rng.choice((rng.randbytes(rng.choice((1, 2, 5, 30))), bytes(rng.choice((1, 8, 300))))) + data[at:]
    )


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
    piece = rng.choice(
        (b"\xff\xff", b"\xff" * 4, b"\0\0", bytes(4), b"\xff\xff\xff\x7f", b"\xfe\xff", b"\x02\0\0\0", b"\xff" * 6)
    )
    return _over(data, _at(rng, data, base), piece)


def version(rng: random.Random, data: bytes, base: Base, bases: Bases) -> bytes:
    digits = rng.choice(
        (b"%04d" % rng.randrange(0, 99), b"0000", b"9999", b"00\x0012", b"-001", b"+011", b" 011", b"1_00")
    )
    return _over(data, 5, digits) if rng.random() < 0.8 else rng.choice((b"REDIS", b"VALKEY")) + digits[-3:] + data[9:]


def text(rng: random.Random, data: bytes, base: Base, bases: Bases) -> bytes:
    """A string of the file becomes one that looks like a number, or is unusual in another respect."""
    piece = rng.choice(_TEXTS)
    return _put(rng, data, _at(rng, data, base), _length(rng, len(piece)) + piece)


def record(rng: random.Random, data: bytes, base: Base, bases: Bases) -> bytes:
    """A record that is not a key, valid or not, between two entries."""
    at = rng.choice([row[0] for row in base.rows] or [base.first])
    name = rng.choice(
        (b"redis-ver", b"ctime", b"valkey-ver", b"df-ver", b"mvcc-tstamp", b"keydb-subexpire-key", b"slot-info")
    )
    name = rng.choice((name, b"keydb-subexpire-when", rng.choice(_TEXTS)))
    said = rng.choice(_TEXTS)
    piece = rng.choice((
        b"\xfa" + _length(rng, len(name)) + name + _length(rng, len(said)) + said,
        bytes((rng.choice((0xF5, 0xF6)),)) + _length(rng, len(said)) + said,
        bytes((rng.choice((0xFE, 0xF8, 0xF4, 0xF3, 0xF2, 0xFB, 0xF7)),)) + _lengths(rng, rng.randrange(1, 5)),
        b"\xfc" + rng.randbytes(8),
        b"\xfd" + rng.randbytes(4),
        b"\xf2" + _length(rng, 7) + _length(rng, 2) + b"\1a\1b",
        b"\xf7" + _length(rng) + b"\2\2\2\1" * rng.randrange(1, 4) + b"\0",
    ))  # fmt: skip
    return data[:at] + piece + data[at:]


def nasty(rng: random.Random, data: bytes, base: Base, bases: Bases) -> bytes:
    """An entry with valid framing and invalid content."""
    at = rng.choice([row[0] for row in base.rows] or [base.first])
    return data[:at] + nasty_entry(rng, b"nasty") + data[at:]


def nasty_entry(rng: random.Random, key: bytes | None) -> bytes:
    kind, body = _nasty_body(rng)
    return bytes((kind,)) + (b"" if key is None else _length(rng, len(key)) + key) + body


def _nasty_body(rng: random.Random) -> tuple[int, bytes]:
    items = [
        rng.choice(_TEXTS) if rng.random() < 0.6 else b"%d" % rng.choice(_NUMBERS)
        for _ in range(rng.choice((1, 2, 3, 4, 6, 9, 40)))
    ]
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
        return 18, _length(rng, 2) + b"\2" + _blob(rng, _nasty_listpack(rng, items)) + b"\1" + _blob(
            rng, rng.choice(_TEXTS)
        )
    if form == 5:
        head = rng.choice((2, 4, 8, 3, 0)).to_bytes(4, "little") + rng.choice((1, 3, 0, (1 << 32) - 1)).to_bytes(
            4, "little"
        )
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
    """Nodes, and a tail, with wrong numbers."""
    sound = [b"2", b"0", b"1", b"f", b"0", b"2", b"0", b"1", b"v", b"4", b"2", b"1", b"0", b"w", b"4"]
    for _ in range(rng.randrange(3)):
        sound[rng.randrange(len(sound))] = rng.choice(
            (rng.choice(_TEXTS), b"%d" % rng.choice(_NUMBERS), b"%d" % -rng.choice(_NUMBERS))
        )
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
    """A packed blob that unpacks to 88 times its size, complete and valid, or nearly so."""
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
        blob = _packed(
            total.to_bytes(4, "little") + (total - 4).to_bytes(4, "little") + b"\xff\xff", pattern, times, b"\xff"
        )
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
        pieces = [
            b"\xf5" + _packed(b"#!lua name=l%d\n" % n, b"ab", rng.choice((30, 6000, 60000)), b"") for n in range(8)
        ]
    elif form == 1:
        pieces = [b"\xfa\x03k%02d" % (n % 100) + _packed(b"", b"ab", 250, b"") for n in range(1500)]
    elif form == 2:  # templates of long names, and hashes that refer to them
        names = b"".join(_packed(b"n%d" % n, b"ab", 3000, b"") for n in range(5))
        pieces = [b"\xf2\x09\x05" + names, b"\x1e\1h\x13" + _sevens(b"\x09"), b"\x20\1i\x09" + b"\1x" * 5]
        pieces += [b"\x20\3i%02d\x09" % n + b"\1x" * 5 for n in range(60)]
    elif form == 3:
        pieces = [b"\xfe\x80" + n.to_bytes(4, "big") for n in range(20_000)]
    elif form == 4:
        pieces = [b"\xf3\1j\x80\0\0\x40\0" + b"\1\2" * 0x4000] * 8
    else:
        pieces = [b"\xf4\1\2\3", b"\xfb\1\2", b"\xf7\x81" + rng.randbytes(8) + b"\2\2\2\1\0"] * 5_000
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
    return (
        b"\xc3\x80"
        + len(packed).to_bytes(4, "big")
        + b"\x80"
        + (len(head) + _unpacked(pattern, times) + len(end)).to_bytes(4, "big")
        + packed
    )


MUTATORS: dict[Mutator, int] = {
    truncate: 8, flip: 14, overwrite: 8, byte: 12, insert: 6, delete: 8, duplicate: 5, swap: 4, splice: 4, huge: 12,
    opcode: 6,
    lzf_head: 4, blob_head: 6, version: 1, text: 6, record: 6, nasty: 25,
}  # fmt: skip
