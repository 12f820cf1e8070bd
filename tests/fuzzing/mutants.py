"""Mutant number i of a seed: which base, which damage, and how it is handed to rdbkit."""

from __future__ import annotations

import bz2
import gzip
import lzma
import random
from dataclasses import dataclass

from fuzzing.accounts import Delivery
from fuzzing.bases import Base, Bases, version_of
from fuzzing.mutations import (
    MUTATORS,
    bomb,
    byte,
    delete,
    flip,
    flood,
    insert,
    nasty,
    nasty_entry,
    overwrite,
    record,
    truncate,
    version,
)

#: One mutant in so many carries a bomb or a flood: they take a hundred times as long.
_BOMBS = 400


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
    forged = forging < 0.4 and (base.dump or version_of(data) >= 5) and len(data) > 20
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
    names = list(MUTATORS)
    for _ in range(rng.choice((1, 1, 1, 1, 2, 2, 3, 5))):
        mutator = rng.choices(names, list(MUTATORS.values()))[0]
        if base.dump and mutator in (record, nasty, version):
            data, mutator = nasty_entry(rng, None) + data[-10:], nasty
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
    """Make the last eight bytes the checksum of the others, or zero, which means none."""
    from rdbkit.wire import crc64

    return data[:-8] + (bytes(8) if zero else crc64.update()(data[:-8], 0).to_bytes(8, "little"))


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
    """Pack in several members or frames, so that some are before the damage."""
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
