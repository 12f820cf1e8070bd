"""From a generation and an allocator to prices: the memory of strings, keys, members and fields by their lengths.

`Prices` turns the names in releases/memory_layouts.py ("class", "request", "mstr") into functions of a length, once,
and prepares the tables that the walk adds up (price_tables.py).
"""

from __future__ import annotations

from array import array
from collections.abc import Callable
from functools import lru_cache
from math import copysign, inf, isinf

from rdbkit.format import spec
from rdbkit.memory import price_tables as names
from rdbkit.memory.price_tables import UNIT, PriceTables
from rdbkit.releases.allocators import ALLOCATORS, request, table
from rdbkit.releases.limits import NO_LIMIT, count_limit, list_limits
from rdbkit.releases.memory_layouts import Generation
from rdbkit.releases.target import Target

#: Lengths of items, and of nodes, that have a row in the tables.
_ITEMS, _NODES = 1024, 1 << 14
#: A field and its value share a block up to this many bytes (redis 8.6, valkey 8.1: fitted).
_EMBED = 128
#: The levels of a skiplist's node that are considered: one node in 4^24 is higher.
_LEVELS = 24
_CHANCES = [0.75 * 0.25**level for level in range(_LEVELS)]
_NO_EMBED = 1 << 40


def sds(length: int) -> int:
    """Return the bytes requested for a separate string: header, text, terminating zero."""
    if length < 32:
        return length + 2 if length else 4
    return length + (4 if length < 1 << 8 else 6 if length < 1 << 16 else 10 if length < 1 << 32 else 18)


def inner_sds(length: int) -> int:
    """Return the same for a string inside another allocation, where an empty one has the short header, too."""
    return sds(length) if length else 2


def mstr(length: int) -> int:
    """Return the bytes requested for a hash's field in Redis 7.4 to 8.2."""
    return length + (2 if length < 32 else 4 if length < 1 << 16 else 10)


#: Bytes before a field with an expiry: metadata and flags.
_MSTR_EXPIRY = 16 + 2


class Prices:
    """Prices of one target, in bytes; those in tables are in units of 1/65536 byte."""

    def __init__(self, target: Target, gen: Generation) -> None:
        self.target = target
        self.gen = gen
        self.z = ALLOCATORS[target.allocator]
        self.blob = self.z if gen.blob == "class" else request
        self.pack = self.z if gen.pack == "class" else request
        self.object = self.z if gen.object_by == "class" else request
        self.text = {"request": sds, "class": self._class, "short request": self._short_request}[gen.text]

    def _class(self, length: int) -> int:
        return self.z(sds(length))

    def _short_request(self, length: int) -> int:
        return sds(length) if 0 < length < 32 else self.z(sds(length))

    # -- items -----------------------------------------------------------------------------------------------------

    def field(self, length: int, expires: bool = False) -> int:
        """Return the bytes of a field that is not in one block with its value."""
        kind = self.gen.field
        if kind == "mstr":
            return self.z(mstr(length) + (_MSTR_EXPIRY if expires else 0))
        if kind == "entry":
            text = max(length + 4, sds(length)) if self.gen.entry_head == "sds" else length + 4
            size = 8 + text + (self.gen.field_expiry if expires else 0)
            return size if self.gen.entry_by == "request" else self.z(size)
        return self.text(length)

    def value(self, length: int) -> int:
        """Return the bytes of a hash's value that is not in one block with its field."""
        return self.text(length)

    def rank(self, length: int) -> tuple[float, float]:
        """Return expectation and variance of the bytes of a member of a sorted set and its node."""
        apart = self.gen.ranks == "apart"
        if apart:
            sizes = [self.z(24 + 16 * level) for level in range(1, _LEVELS + 1)]
        else:
            sizes = [self.z(self.gen.rank_head + 16 * level + inner_sds(length)) for level in range(1, _LEVELS + 1)]
        mean = sum(map(float.__mul__, _CHANCES, map(float, sizes)))
        variance = sum(chance * (size - mean) ** 2 for chance, size in zip(_CHANCES, sizes))
        return mean + (self.text(length) if apart else 0), variance

    # -- tables ----------------------------------------------------------------------------------------------------

    def above(self, which: int, length: int) -> int:
        """Return an entry of one of the tables, in units, for any length."""
        if which == names.RANKED:
            return round(self.rank(length)[0] * UNIT)
        if which == names.SPREAD:
            return round(self.rank(length)[1] * UNIT)
        simple: dict[int, Callable[[int], int]] = {
            names.MEMBERS: self.text,
            names.FIELDS: self.field,
            names.FIELDS_TTL: lambda size: self.field(size, True),
            names.VALUES: self.value,
            names.NODES: self.blob,
            names.PACKS: self.pack,
            names.TREES: self.z,
        }
        return simple[which](length) * UNIT

    def _table(self, which: int) -> array[int]:
        return array("q", [self.above(which, length) for length in range(_ITEMS)])

    def _ranks(self) -> tuple[array[int], array[int]]:
        if self.gen.ranks == "apart":
            mean, variance = self.rank(0)
            node = round((mean - self.text(0)) * UNIT)
            return (
                array("q", [self.text(length) * UNIT + node for length in range(_ITEMS)]),
                array("q", [round(variance * UNIT)]) * _ITEMS,
            )
        found = [self.rank(length) for length in range(_EMBED)]
        return array("q", [round(row[0] * UNIT) for row in found]), array("q", [round(row[1] * UNIT) for row in found])

    def _embeds(self, extra: int) -> array[int]:
        header = self.gen.expiring_header if extra else 1
        return array(
            "q",
            [
                max(inner_sds(length), length + 1 + header) + 4 + extra if length < _EMBED else _NO_EMBED
                for length in range(_ITEMS)
            ],
        )

    def tables(self) -> PriceTables:
        """Return the tables for the walk."""
        target, gen = self.target, self.gen
        entry = gen.field == "entry"
        by = request if gen.entry_by == "request" else self.z
        ranked, spread = self._ranks()
        fields = self._table(names.FIELDS)
        compact = _packed_limits(target)
        depth = target.settings.list_compress_depth
        return PriceTables(
            above=lru_cache(maxsize=1 << 12)(self.above),
            members=self._table(names.MEMBERS),
            ranked=ranked,
            spread=spread,
            fields=fields,
            values=self._table(names.VALUES),
            fields_ttl=self._table(names.FIELDS_TTL) if gen.field != "sds" else fields,
            embeds=self._embeds(0) if entry else array("q", [0]),
            embeds_ttl=self._embeds(gen.field_expiry) if entry else array("q", [0]),
            blocks=table(by, _EMBED + 1, UNIT),
            embed=_EMBED if entry else -1,
            nodes=table(self.blob, _NODES, UNIT),
            packs=table(self.pack, _NODES, UNIT),
            trees=table(self.z, _NODES, UNIT),
            most={type_id: count_limit(target, type_id) for type_id in _BLOBS},
            packs_up_to=compact,
            ziplists=not target.has("listpack"),
            score=_score_text(target),
            push=_push(target),
            depth=-1 if depth is None else depth,
            lzf_head=gen.lzf_head,
            inline=gen.inline,
            union=gen.stream_trees == "real" and gen.pending_union,
        )


_BLOBS = (
    spec.SET_INTSET,
    spec.SET_LISTPACK,
    spec.ZSET_ZIPLIST,
    spec.ZSET_LISTPACK,
    spec.HASH_ZIPLIST,
    spec.HASH_LISTPACK,
    spec.HASH_LISTPACK_EX,
    spec.HASH_LISTPACK_EX_PRE_GA,
)


def _packed_limits(target: Target) -> dict[int, int]:
    """Return, by type, the number of elements up to which a collection written item by item becomes a blob."""
    settings = target.settings
    limits = {
        type_id: count_limit(target, type_id)
        for type_id in (
            spec.ZSET,
            spec.ZSET_2,
            spec.HASH,
            spec.HASH_METADATA,
            spec.HASH_METADATA_PRE_GA,
            spec.HASH_TMPL_ARRAY_REF,
        )
    }
    if target.has("set-listpack"):
        limits[spec.SET] = min(settings.set_max_intset_entries, settings.set_max_listpack_entries)
    return {type_id: min(limit, NO_LIMIT >> 1) for type_id, limit in limits.items()}


def _push(target: Target) -> tuple[int, int, int]:
    limits = list_limits(target)
    alone = limits.plain if target.has("listpack") else NO_LIMIT >> 1
    return limits.push_bytes, min(limits.push_count, NO_LIMIT >> 1), alone


# -- scores as text --------------------------------------------------------------------------------------------------


def _score_text(target: Target) -> Callable[[float], bytes]:
    if not target.has("listpack"):
        return _ziplist_score
    return _short_score if target.has("short-scores") else _long_score


def _ziplist_score(score: float) -> bytes:
    """Return a score's text in a ziplist, where -0 keeps its sign (d2string); a listpack has the integer 0."""
    return b"-0" if score == 0 and copysign(1, score) < 0 else _long_score(score)


def _integer_score(score: float) -> bytes | None:
    """Return the text of a score that servers write as an integer: between -2^52 and 2^52, and whole."""
    return b"%d" % int(score) if abs(score) < 2**52 and score == int(score) else None


def _long_score(score: float) -> bytes:
    """Return a score's text up to Redis 7.0: 17 digits."""
    if isinf(score) or score != score:
        return b"-inf" if score == -inf else b"inf"
    return _integer_score(score) or b"%.17g" % score


def _short_score(score: float) -> bytes:
    """Return a score's text from Redis 7.2 on: with as few digits as identify it."""
    if isinf(score) or score != score:
        return b"-inf" if score == -inf else b"inf"
    return _integer_score(score) or _shortest(score)


def _shortest(score: float) -> bytes:
    """Format the shortest digits as fpconv_dtoa does: in plain notation unless that needs many zeros."""
    digits = repr(abs(score)).lower()
    head, _, exponent = digits.partition("e")
    whole, _, part = head.partition(".")
    text = (whole + part).lstrip("0")
    shift = int(exponent or 0) - (len(part) if part != "0" or exponent else 1)
    stripped = text.rstrip("0") or "0"
    shift += len(text) - len(stripped)
    text = stripped
    sign = "-" if score < 0 else ""
    magnitude = abs(shift + len(text) - 1)
    if shift >= 0 and magnitude < len(text) + 7:
        return (sign + text + "0" * shift).encode()
    if shift < 0 and (shift > -7 or magnitude < 4):
        point = len(text) + shift
        return (sign + ("0." + "0" * -point + text if point <= 0 else text[:point] + "." + text[point:])).encode()
    fraction = "." + text[1:] if len(text) > 1 else ""
    return f"{sign}{text[0]}{fraction}e{'+' if shift + len(text) > 0 else '-'}{magnitude}".encode()
