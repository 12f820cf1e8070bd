r"""Memory by prefix: keys that differ only in numbers, dates or hashes have the same name.

A key's name depends only on the key, so any split of the keys gives the same names:

    1. keys longer than 256 bytes are cut there, and "…" is appended
    2. unless `fold` is off, `*` replaces, in this order
         a UUID, or 16 or more hex digits, not adjacent to a letter or digit
         a date YYYY-MM-DD, not adjacent to a digit
         any run of decimal digits (so YYYYMMDD, times, counters; also inside words: user123 -> user*)
    3. with `depth` N the name ends after the Nth separator, if anything follows

    user:1234:profile                              user:*:profile      depth 1: user:
    {cart42}:5f3e0a4c-1b2d-4e6f-8a9b-0c1d2e3f4a5b  {cart*}:*           depth 1: {cart*}:
    cache/2026-11-20/d41d8cd98f00b204e9800998      cache/*/*           depth 2: cache/*/

Many keys are folded at once, joined by line ends, which no rule matches across.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import compress
from operator import or_
from typing import Any

from rdbkit.analysis.heavy_hitters import Hitter, Hitters
from rdbkit.analysis.rows import KEYS, MEMORY, SIZE, SUMS, UNKNOWN, UNKNOWN_SIZE, Batch, numbers, weigh
from rdbkit.format.spec import TYPES

SEPARATORS = (b":", b"/")
#: Maximum number of names counted exactly; a report shows few of them and needs fewer.
CAPACITY, REPORT_CAPACITY = 100_000, 32_768
_LONGEST = 256
NO_EXPIRY = SUMS
_COLUMNS = SUMS + 1
_BITS = {name: 1 << at for at, name in enumerate(TYPES)}

_DIGITS = bytes(48 if chr(byte) in "0123456789" else byte for byte in range(256))
_HEX = bytes(48 if chr(byte) in "0123456789abcdefABCDEF" else byte for byte in range(256))
_ALNUM = frozenset(b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
# For text in which all hex digits, or digits, were replaced by zeros: patterns with a literal start are fast.
_HASH = re.compile(rb"00000000(?:0{8,}+|-0000-0000-0000-000000000000)(?![0-9A-Za-z])")
_DATE = re.compile(rb"0000-00-00(?!0)")


def folded(text: bytes) -> bytes:
    """Return text (one key, or several joined by line ends) with `*` for numbers, hashes and dates."""
    zeros = text.translate(_HEX)
    if b"00000000" in zeros:
        text = _without(text, zeros, _HASH, _ALNUM)
    zeros = text.translate(_DIGITS)
    if b"0000-00-00" in zeros:
        zeros = _without(zeros, zeros, _DATE, frozenset(b"0"))
    while b"00" in zeros:
        zeros = zeros.replace(b"00000000", b"0").replace(b"0000", b"0").replace(b"00", b"0")
    return zeros.replace(b"0", b"*")


def _without(text: bytes, zeros: bytes, what: re.Pattern[bytes], beside: frozenset[int]) -> bytes:
    """Return text with a digit for each match in `zeros`, unless one of `beside` precedes it."""
    pieces = []
    done = 0
    for match in what.finditer(zeros):
        start = match.start()
        if start and zeros[start - 1] in beside:
            continue
        pieces.append(text[done:start])
        done = match.end()
    return b"0".join((*pieces, text[done:])) if pieces else text


class Naming:
    """The naming rule, for these separators (none of them empty) and this depth (None: all)."""

    def __init__(self, fold: bool = True, separators: Sequence[bytes] = SEPARATORS, depth: int | None = None) -> None:
        self.fold = fold
        self.separators = tuple(separators)
        self.depth = depth
        one = b"|".join(re.escape(text) for text in sorted(self.separators, key=len, reverse=True))
        self._head: re.Pattern[bytes] | None = None
        if one and depth is not None and depth <= _LONGEST:
            self._head = re.compile(rb"(?>.*?(?:%b)){%d}(?=.)" % (one, depth), re.DOTALL)

    def names(self, keys: Sequence[bytes]) -> list[bytes]:
        """Return the name of each key."""
        if max(map(len, keys)) > _LONGEST:
            keys = [key if len(key) <= _LONGEST else key[:_LONGEST] + b"\xe2\x80\xa6" for key in keys]
        names = self._folded(keys) if self.fold else list(keys)
        if self._head is None:
            return names
        heads = {name: self._cut(name) for name in set(names)}
        return list(map(heads.__getitem__, names))

    def _folded(self, keys: Sequence[bytes]) -> list[bytes]:
        names = folded(b"\n".join(keys)).split(b"\n")
        # More names than keys: one of the keys contains a line end.
        return names if len(names) == len(keys) else list(map(folded, keys))

    def _cut(self, name: bytes) -> bytes:
        assert self._head is not None
        match = self._head.match(name)
        return match[0] if match else name


@dataclass(frozen=True, slots=True)
class Prefix:
    """Sums over the keys of one name (None: all other keys together).

    `memory` and the others as in totals.Total. If there were too many names, every sum may be too small, by at most its
    value in `error`, in the order keys, memory, size, unknown, unknown_size, no_expiry (None: exact); `types` may then
    be incomplete.
    """

    name: bytes | None
    keys: int
    memory: int | None
    size: int
    unknown: int
    unknown_size: int
    no_expiry: int
    types: tuple[str, ...]
    error: tuple[int, ...] | None = None

    @property
    def weight(self) -> int:
        """As in totals.Total."""
        return (self.memory or 0) + self.unknown_size

    @property
    def weight_error(self) -> int:
        """By how much `weight` may be too small."""
        return self.error[MEMORY] + self.error[UNKNOWN_SIZE] if self.error else 0


class Prefixes:
    """The fold: sums by name, for at most `capacity` names; `by` "memory" or "keys" selects the names to keep."""

    name = "prefixes"

    def __init__(self, naming: Naming | None = None, capacity: int = CAPACITY, by: str = "memory") -> None:
        self.naming = naming or Naming()
        self.by = by
        self._hitters = Hitters(capacity, _COLUMNS, weigh if by == "memory" else _keys)
        self._total = [0] * _COLUMNS
        self._types = 0

    def feed(self, batch: Batch) -> None:
        """Add keys."""
        names = self.naming.names(batch.key)
        found = batch.sums(names)
        immortal = batch.expires_at.count(None)
        if immortal == batch.count:
            for sums in found.values():
                sums.append(sums[KEYS])
        else:
            forever = Counter(compress(names, [expiry is None for expiry in batch.expires_at])) if immortal else {}
            for name, sums in found.items():
                sums.append(forever.get(name, 0))
        bits: dict[bytes, int] = {}
        for name, kind in set(zip(names, batch.type)):
            bits[name] = bits.get(name, 0) | _BITS[kind]
        for at, column in enumerate(zip(*found.values())):
            self._total[at] += sum(column)
        self._types = reduce(or_, bits.values(), self._types)
        self._hitters.add(found, bits)

    def merge(self, other: Prefixes) -> None:
        """Add another fold of the same naming."""
        self._hitters.merge(other._hitters)
        self._add_total(other._total, other._types)

    @property
    def is_exact(self) -> bool:
        """Return whether all names fitted into the table."""
        return self._hitters.is_exact

    @property
    def absent(self) -> tuple[int, ...]:
        """The maximum sums of a name that is not in the result, by column as in Prefix.error."""
        return self._hitters.absent

    def __len__(self) -> int:
        return len(self._hitters)

    def result(self, limit: int | None = None) -> list[Prefix]:
        """Return the heaviest names, then one entry without a name for the rest, if any; that one is exact."""
        hitters = self._hitters.heaviest(limit)
        rest = list(self._total)
        for hitter in hitters:
            rest = [left - value for left, value in zip(rest, hitter.sums)]
        shown = [_prefix(hitter) for hitter in hitters]
        if rest[KEYS]:
            bits = self._types if not self.is_exact else self._bits_but(hitters)
            shown.append(_prefix(Hitter(b"", tuple(rest), bits, (0,) * _COLUMNS), nameless=True))
        return shown

    def dump(self) -> Iterator[list[Any]]:
        """Yield serialised rows: the total sums, then those of the table."""
        yield [self._total, self._types]
        yield from self._hitters.dump()

    def load_all(self, rows: Sequence[list[Any]]) -> None:
        """Add all rows of a `dump`. Raises ValueError, TypeError or IndexError for anything else."""
        total, types = rows[0]
        self._add_total(numbers(total, _COLUMNS), *numbers([types], 1))
        self._hitters.load(rows[1:])

    def _add_total(self, total: Sequence[int], types: int) -> None:
        self._total = [mine + theirs for mine, theirs in zip(self._total, total)]
        self._types |= types

    def _bits_but(self, hitters: Sequence[Hitter]) -> int:
        shown = {hitter.name for hitter in hitters}
        return reduce(or_, (hitter.bits for hitter in self._hitters.hitters() if hitter.name not in shown), 0)


def _keys(sums: Sequence[int]) -> int:
    return sums[KEYS]


def _prefix(hitter: Hitter, nameless: bool = False) -> Prefix:
    sums = hitter.sums
    return Prefix(
        None if nameless else hitter.name,
        sums[KEYS],
        sums[MEMORY] if sums[KEYS] > sums[UNKNOWN] else None,
        sums[SIZE],
        sums[UNKNOWN],
        sums[UNKNOWN_SIZE],
        sums[NO_EXPIRY],
        tuple(name for name, bit in _BITS.items() if hitter.bits & bit),
        hitter.error if any(hitter.error) else None,
    )
