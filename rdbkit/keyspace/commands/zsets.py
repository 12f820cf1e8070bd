"""Commands of sorted sets, and the encodings that they lead to: a skiplist stays one, but a new set may be compact.

Source: `zaddGenericCommand`, `zsetAdd`, `zunionInterDiffGenericCommand` and `zrangeGenericCommand` of the BSD-licensed
versions, and what OBJECT ENCODING answered after loads.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from operator import itemgetter

from rdbkit.keyspace.arguments import MOST, SYNTAX, Words, bound, double, integer, lex_bound, positions
from rdbkit.keyspace.loader import WRONG_TYPE, CommandError, Loader
from rdbkit.keyspace.values import Set, ZSet

NOT_A_NUMBER = "ERR resulting score is not a number (NaN)"
POSITIVE = "ERR value is out of range, must be positive"
_ADD_OPTIONS = frozenset((b"NX", b"XX", b"CH", b"INCR", b"GT", b"LT"))
_score_of = itemgetter(0)
_member_of = itemgetter(1)


def zadd(loader: Loader, args: list[bytes]) -> None:
    """ZADD key [NX | XX] [GT | LT] [CH] [INCR] score member [score member …]."""
    at, options = 2, set()
    while at < len(args) and (word := args[at].upper()) in _ADD_OPTIONS:
        options.add(word)
        at += 1
    texts, members = args[at::2], args[at + 1 :: 2]
    if len(texts) != len(members) or not texts:
        raise CommandError(SYNTAX)
    if len(options & {b"NX", b"XX"}) > 1 or len(options & {b"NX", b"GT", b"LT"}) > 1:
        raise CommandError("ERR GT, LT, XX and/or NX options at the same time are not compatible")
    if b"INCR" in options and len(texts) > 1:
        raise CommandError("ERR INCR option supports a single increment-element pair")
    add(loader, args[1], [double(text) for text in texts], members, options)


def zincrby(loader: Loader, args: list[bytes]) -> None:
    """ZINCRBY key increment member."""
    add(loader, args[1], [double(args[2])], args[3:], {b"INCR"})


def add(
    loader: Loader, key: bytes, scores: Sequence[float], members: Sequence[bytes], options: set[bytes] | None = None
) -> None:
    """Add pairs to the sorted set of a key, which is made if need be; `options` are those of ZADD."""
    value = loader.find(key, ZSet)
    options = options or set()
    if value is None:
        if b"XX" in options:
            return
        value = loader.db[key] = _created(loader, members)
    elif value.encoding != "skiplist":
        _expect(loader, value, members)
    if options:
        for score, member in zip(scores, members):
            if (result := _result(value, score, member, options)) is not None:
                put(loader, value, member, result)
    else:
        for score, member in zip(scores, members):
            put(loader, value, member, score)
    loader.wrote(key, value)


def _result(value: ZSet, score: float, member: bytes, options: set[bytes]) -> float | None:
    """Return the score that ZADD with options gives a member, None if it changes nothing."""
    known = value.scores.get(member)
    if known is None:
        return None if b"XX" in options else score
    if b"NX" in options:
        return None
    if b"INCR" in options:
        score += known
        if math.isnan(score):
            raise CommandError(NOT_A_NUMBER)
    if (b"LT" in options and score >= known) or (b"GT" in options and score <= known):
        return None
    return score


def put(loader: Loader, value: ZSet, member: bytes, score: float) -> None:
    """Give a member a score; a new one may need a skiplist."""
    known = value.scores.get(member)
    if known is None:
        if value.encoding != "skiplist" and not _fits(loader, len(value.scores) + 1, len(member)):
            value.encoding = "skiplist"
        value.set(member, _stored(value, score))
    elif known != score:
        value.set(member, _stored(value, score))


def _stored(value: ZSet, score: float) -> float:
    """Return a score as it is stored: a listpack holds -0 as the integer 0."""
    return 0.0 if not score and value.encoding == "listpack" else score


def compact(loader: Loader) -> str:
    """Return the name of the compact encoding."""
    return "listpack" if loader.target.has("listpack") else "ziplist"


def _fits(loader: Loader, count: int, longest: int) -> bool:
    settings = loader.settings
    return count <= settings.zset_max_listpack_entries and longest <= settings.zset_max_listpack_value


def _created(loader: Loader, members: Sequence[bytes]) -> ZSet:
    """Return an empty sorted set for these members, of which servers look at the first, or at all."""
    value, has = ZSet(), loader.target.has
    longest = max(map(len, members)) if has("zadd-looks-at-all") else len(members[0])
    value.encoding = compact(loader) if _fits(loader, len(members) if has("size-hints") else 1, longest) else "skiplist"
    return value


def _expect(loader: Loader, value: ZSet, members: Sequence[bytes]) -> None:
    """Make a sorted set a skiplist if a command has more, or longer, members than a compact one may have."""
    has = loader.target.has
    longest = max(map(len, members)) if has("zadd-looks-at-all") else 0
    if has("size-hints") and not _fits(loader, len(members), longest):
        value.encoding = "skiplist"


def built(loader: Loader, scores: dict[bytes, float]) -> ZSet:
    """Return a new sorted set with the encoding that its content allows."""
    value = ZSet()
    value.scores = scores
    longest = max(map(len, scores), default=0)
    value.encoding = compact(loader) if _fits(loader, len(scores), longest) else "skiplist"
    return value


# -- removal -----------------------------------------------------------------------------------------------------------


def zrem(loader: Loader, args: list[bytes]) -> None:
    """ZREM key member [member …]."""
    value = loader.find(args[1], ZSet)
    if value is None:
        return
    for member in args[2:]:
        value.remove(member)
    loader.wrote(args[1], value)


Range = Callable[[ZSet], tuple[int, int]]


def _by_rank(first: bytes, last: bytes) -> Range:
    start, stop = integer(first), integer(last)
    return lambda value: positions(start, stop, len(value))


def _by_score(least: bytes, most: bytes) -> Range:
    low, high = bound(least), bound(most)

    def find(value: ZSet) -> tuple[int, int]:
        order = value.order()
        start = (bisect_right if low.exclusive else bisect_left)(order, low.score, key=_score_of)
        end = (bisect_left if high.exclusive else bisect_right)(order, high.score, key=_score_of)
        return start, max(start, end)

    return find


def _by_lex(least: bytes, most: bytes) -> Range:
    low, high = lex_bound(least), lex_bound(most)

    def find(value: ZSet) -> tuple[int, int]:
        order, size = value.order(), len(value)
        start = {-1: 0, 1: size}.get(low.infinite)
        if start is None:
            start = (bisect_right if low.exclusive else bisect_left)(order, low.member, key=_member_of)
        end = {-1: 0, 1: size}.get(high.infinite)
        if end is None:
            end = (bisect_left if high.exclusive else bisect_right)(order, high.member, key=_member_of)
        return start, max(start, end)

    return find


def zremrangebyrank(loader: Loader, args: list[bytes]) -> None:
    """ZREMRANGEBYRANK key start stop."""
    _remove(loader, args[1], _by_rank(args[2], args[3]))


def zremrangebyscore(loader: Loader, args: list[bytes]) -> None:
    """ZREMRANGEBYSCORE key min max."""
    _remove(loader, args[1], _by_score(args[2], args[3]))


def zremrangebylex(loader: Loader, args: list[bytes]) -> None:
    """ZREMRANGEBYLEX key min max."""
    _remove(loader, args[1], _by_lex(args[2], args[3]))


def _remove(loader: Loader, key: bytes, find: Range) -> None:
    value = loader.find(key, ZSet)
    if value is not None:
        value.cut(*find(value))
        loader.wrote(key, value)


def zpop(loader: Loader, args: list[bytes]) -> None:
    """ZPOPMIN key [count], ZPOPMAX key [count]."""
    if len(args) > 3:
        raise CommandError(SYNTAX)
    count = integer(args[2], POSITIVE) if len(args) > 2 else 1
    if count < 0:
        raise CommandError(POSITIVE)
    _pop(loader, args[1:2], count, is_last=args[0].lower().endswith(b"max"))


def bzpop(loader: Loader, args: list[bytes]) -> None:
    """BZPOPMIN key [key …] timeout, BZPOPMAX: a load never waits."""
    _pop(loader, args[1:-1], 1, is_last=args[0].lower().endswith(b"max"))


def zmpop(loader: Loader, args: list[bytes]) -> None:
    """ZMPOP count key [key …] MIN | MAX [COUNT n], BZMPOP timeout count key …."""
    keys, side, count = mpop_options(args, (b"MIN", b"MAX"))
    _pop(loader, keys, count, is_last=side == b"MAX")


def mpop_options(args: list[bytes], sides: tuple[bytes, bytes]) -> tuple[list[bytes], bytes, int]:
    """Return keys, side and count of ZMPOP, LMPOP, and their variants that begin with B and have a timeout."""
    words = Words(args, 2 if args[0][:1].lower() == b"b" else 1)
    number = integer(words.next(), "ERR numkeys should be greater than 0")
    if number < 1:
        raise CommandError("ERR numkeys should be greater than 0")
    if number > len(args):
        raise CommandError(SYNTAX)
    keys = [words.next() for _ in range(number)]
    side, count = words.next().upper(), 1
    if side not in sides:
        raise CommandError(SYNTAX)
    if words:
        if words.next().upper() != b"COUNT":
            raise CommandError(SYNTAX)
        count = integer(words.next(), "ERR count should be greater than 0")
        if count < 1 or words:
            raise CommandError("ERR count should be greater than 0" if count < 1 else SYNTAX)
    return keys, side, count


def _pop(loader: Loader, keys: Iterable[bytes], count: int, *, is_last: bool) -> None:
    """Remove members from an end of the first sorted set that is there."""
    for key in keys:
        value = loader.find(key, ZSet)
        if value is not None:
            size = len(value)
            value.cut(*((max(size - count, 0), size) if is_last else (0, min(count, size))))
            loader.wrote(key, value)
            return


# -- new sorted sets ---------------------------------------------------------------------------------------------------

Source = Mapping[bytes, float]


class _Ones(Mapping[bytes, float]):
    """The members of a set, each with the score 1."""

    def __init__(self, value: Set) -> None:
        self._members = value.members

    def __getitem__(self, member: bytes) -> float:
        if member in self._members:
            return 1.0
        raise KeyError(member)

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._members)

    def __len__(self) -> int:
        return len(self._members)


def _source(loader: Loader, key: bytes) -> Source:
    """Return members and scores of a sorted set, or of a set; no key is an empty one."""
    value = loader.open(key)
    if value is None:
        return {}
    if isinstance(value, ZSet):
        return value.scores
    if isinstance(value, Set):
        return _Ones(value)
    raise CommandError(WRONG_TYPE)


def _sum(one: float, other: float) -> float:
    total = one + other
    return 0.0 if math.isnan(total) else total


def _least(one: float, other: float) -> float:
    return other if other < one else one


def _most(one: float, other: float) -> float:
    return other if other > one else one


_AGGREGATES = {b"SUM": _sum, b"MIN": _least, b"MAX": _most, b"COUNT": _sum}
Aggregate = Callable[[float, float], float]


def _sources(loader: Loader, args: list[bytes]) -> tuple[list[Source], Words]:
    """Return the inputs of a command with a destination, and the words after them."""
    words = Words(args, 2)
    number = words.integer()
    if number < 1:
        raise CommandError(f"ERR at least 1 input key is needed for '{args[0].decode('latin-1').lower()}' command")
    if number > len(args) - 3:
        raise CommandError(SYNTAX)
    return [_source(loader, words.next()) for _ in range(number)], words


def _weighted(loader: Loader, args: list[bytes]) -> tuple[list[tuple[Source, float]], Aggregate]:
    """Return the inputs of ZUNIONSTORE and ZINTERSTORE with their weights, the smallest first, and the aggregate."""
    sources, words = _sources(loader, args)
    weights, aggregate, counts = [1.0] * len(sources), _sum, False
    for word in words:
        if word == b"WEIGHTS":
            weights = [double(words.next(), "ERR weight value is not a float") for _ in sources]
        elif word == b"AGGREGATE" and (name := words.next().upper()) in _AGGREGATES:
            aggregate = _AGGREGATES[name]
            counts = name == b"COUNT"
        else:
            raise CommandError(SYNTAX)
    if counts:
        if not loader.target.has("zset-aggregate-count"):
            raise CommandError(SYNTAX)
        sources = [dict.fromkeys(source, 1.0) for source in sources]
    return sorted(zip(sources, weights), key=lambda pair: len(pair[0])), aggregate


def _times(score: float, weight: float) -> float:
    product = score * weight
    return 0.0 if math.isnan(product) else product


def zunionstore(loader: Loader, args: list[bytes]) -> None:
    """ZUNIONSTORE destination count key [key …] [WEIGHTS n [n …]] [AGGREGATE SUM | MIN | MAX | COUNT]."""
    inputs, aggregate = _weighted(loader, args)
    scores: dict[bytes, float] = {}
    for source, weight in inputs:
        for member, score in source.items():
            known, product = scores.get(member), _times(score, weight)
            scores[member] = product if known is None else aggregate(known, product)
    loader.put(args[1], built(loader, scores))


def zinterstore(loader: Loader, args: list[bytes]) -> None:
    """ZINTERSTORE destination count key [key …] [WEIGHTS n [n …]] [AGGREGATE SUM | MIN | MAX | COUNT]."""
    ((first, weight), *rest), aggregate = _weighted(loader, args)
    scores: dict[bytes, float] = {}
    for member, score in first.items():
        total = _times(score, weight)
        for source, factor in rest:
            other = source.get(member)
            if other is None:
                break
            total = aggregate(total, other * factor)
        else:
            scores[member] = total
    loader.put(args[1], built(loader, scores))


def zdiffstore(loader: Loader, args: list[bytes]) -> None:
    """ZDIFFSTORE destination count key [key …]."""
    (first, *rest), words = _sources(loader, args)
    if words:
        raise CommandError(SYNTAX)
    scores = {member: score for member, score in first.items() if not any(member in other for other in rest)}
    loader.put(args[1], built(loader, scores))


_RANGES = {b"": _by_rank, b"BYSCORE": _by_score, b"BYLEX": _by_lex}


def zrangestore(loader: Loader, args: list[bytes]) -> None:
    """ZRANGESTORE destination source min max [BYSCORE | BYLEX] [REV] [LIMIT offset count]."""
    kind, is_reversed, offset, count = b"", False, 0, -1
    words = Words(args, 5)
    for word in words:
        if word == b"LIMIT":
            offset, count = words.integer(), words.integer()
        elif word == b"REV":
            is_reversed = True
        elif word in (b"BYSCORE", b"BYLEX") and not kind:
            kind = word
        else:
            raise CommandError(SYNTAX)
    if count != -1 and not kind:
        raise CommandError("ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX")
    find = _RANGES[kind](*(args[4:2:-1] if is_reversed and kind else args[3:5]))
    value = loader.find(args[2], ZSet)
    if value is None:
        loader.drop(args[1])
        return
    pairs = value.order()[::-1] if is_reversed and not kind else value.order()
    start, end = find(value)
    pairs = pairs[start:end][::-1] if is_reversed and kind else pairs[start:end]
    if kind:
        pairs = pairs[offset : offset + (MOST if count < 0 else count)] if offset >= 0 else []
    stored = built(loader, {member: score for score, member in pairs})
    if kind and not loader.target.has("zrangestore-compact"):
        stored.encoding = "skiplist"
    loader.put(args[1], stored)


COMMANDS = {
    b"zadd": zadd,
    b"zincrby": zincrby,
    b"zrem": zrem,
    b"zremrangebyrank": zremrangebyrank,
    b"zremrangebyscore": zremrangebyscore,
    b"zremrangebylex": zremrangebylex,
    b"zpopmin": zpop,
    b"zpopmax": zpop,
    b"bzpopmin": bzpop,
    b"bzpopmax": bzpop,
    b"zmpop": zmpop,
    b"bzmpop": zmpop,
    b"zunionstore": zunionstore,
    b"zinterstore": zinterstore,
    b"zdiffstore": zdiffstore,
    b"zrangestore": zrangestore,
}
