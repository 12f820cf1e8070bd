"""Commands of positions. GEOADD is in files as ZADD; the others store what they find in a sorted set.

Source: geo.c of the BSD-licensed versions.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from operator import itemgetter

from rdbkit.keyspace.arguments import SYNTAX, Words, double, integer
from rdbkit.keyspace.commands.zsets import add, built
from rdbkit.keyspace.geohash import LATITUDE, LONGITUDE, Shape, centroid, position_of, score_of
from rdbkit.keyspace.loader import CommandError, Loader
from rdbkit.keyspace.values import ZSet

_UNITS = {b"m": 1.0, b"km": 1000.0, b"ft": 0.3048, b"mi": 1609.34}
_ADD_OPTIONS = frozenset((b"NX", b"XX", b"CH"))
_MEMBER = "ERR could not decode requested zset member"
_score_of = itemgetter(0)


@dataclass(slots=True)
class _Search:
    """The options of a search. `store` is the destination; lengths are in `unit` metres."""

    centre: tuple[float, float] | None = None
    radius: float | None = None
    width: float = 0.0
    height: float = 0.0
    is_box: bool = False
    corners: tuple[tuple[float, float], ...] = ()
    unit: float = 1.0
    count: int = 0
    is_any: bool = False
    order: bytes = b""
    store: bytes | None = None
    by_distance: bool = False
    shows: bool = False


def geoadd(loader: Loader, args: list[bytes]) -> None:
    """GEOADD key [NX | XX] [CH] longitude latitude member [longitude latitude member …]."""
    at, options = 2, set()
    while at < len(args) and (word := args[at].upper()) in _ADD_OPTIONS:
        options.add(word)
        at += 1
    if (len(args) - at) % 3 or at == len(args) or options >= {b"NX", b"XX"}:
        raise CommandError(SYNTAX)
    scores = [float(score_of(*_position(args[n], args[n + 1]))) for n in range(at, len(args), 3)]
    add(loader, args[1], scores, args[at + 2 :: 3], options - {b"CH"})


def _position(longitude: bytes, latitude: bytes) -> tuple[float, float]:
    east, north = double(longitude), double(latitude)
    if not (LONGITUDE[0] <= east <= LONGITUDE[1] and LATITUDE[0] <= north <= LATITUDE[1]):
        raise CommandError(f"ERR invalid longitude,latitude pair {east:f},{north:f}")
    return east, north


def _member(source: ZSet, member: bytes) -> tuple[float, float]:
    score = source.scores.get(member)
    if score is None:
        raise CommandError(_MEMBER)
    return position_of(score)


def _length(text: bytes, what: str) -> float:
    length = double(text, f"ERR need numeric {what}")
    if length < 0:
        raise CommandError(f"ERR {what} cannot be negative")
    return length


def _unit(loader: Loader, text: bytes) -> float:
    unit = _UNITS.get(text.lower() if loader.target.has("geo-units-in-any-case") else text)
    if unit is None:
        raise CommandError("ERR unsupported unit provided. please use M, KM, FT, MI")
    return unit


def georadius(loader: Loader, args: list[bytes]) -> None:
    """GEORADIUS key longitude latitude radius unit … STORE | STOREDIST destination, GEORADIUSBYMEMBER key member …."""
    source = loader.find(args[1], ZSet)
    by_member = args[0].lower() == b"georadiusbymember"
    search, at = _Search(), 5 if by_member else 6
    if not by_member:
        search.centre = _position(args[2], args[3])
    elif source is not None:
        search.centre = _member(source, args[2])
    search.radius, search.unit = _length(args[at - 2], "radius"), _unit(loader, args[at - 1])
    words = Words(args, at)
    for word in words:
        if word in (b"STORE", b"STOREDIST"):
            search.store, search.by_distance = words.next(), word == b"STOREDIST"
        elif not _common(search, word, words):
            raise CommandError(SYNTAX)
    if search.store is None:
        return
    if source is None and not loader.target.has("geo-store-of-nothing"):
        return
    _store(loader, search, source)


def geosearchstore(loader: Loader, args: list[bytes]) -> None:
    """GEOSEARCHSTORE destination source FROMMEMBER m | FROMLONLAT … BYRADIUS r unit | BYBOX w h unit [STOREDIST] ….

    Valkey has BYPOLYGON n longitude latitude …, without FROM.
    """
    source = loader.find(args[2], ZSet)
    search = _Search(store=args[1])
    has_centre = has_shape = False
    words = Words(args, 3)
    for word in words:
        if word == b"STOREDIST":
            search.by_distance = True
        elif word in (b"FROMMEMBER", b"FROMLONLAT"):
            has_centre = True
            if word == b"FROMLONLAT":
                search.centre = _position(words.next(), words.next())
            elif (member := words.next()) and source is not None:
                search.centre = _member(source, member)
        elif word == b"BYRADIUS":
            has_shape = True
            search.radius, search.unit = _length(words.next(), "radius"), _unit(loader, words.next())
        elif word == b"BYBOX":
            has_shape = search.is_box = True
            search.width, search.height = _length(words.next(), "width"), _length(words.next(), "height")
            search.unit = _unit(loader, words.next())
        elif word == b"BYPOLYGON" and loader.target.has("geo-polygons"):
            has_centre = has_shape = True
            search.corners = _corners(words)
            search.centre = centroid(search.corners)
        elif not _common(search, word, words):
            raise CommandError(SYNTAX)
    if not has_centre or not has_shape:
        raise CommandError("ERR exactly one of FROMMEMBER or FROMLONLAT, BYRADIUS or BYBOX can be specified")
    _store(loader, search, source)


def _corners(words: Words) -> tuple[tuple[float, float], ...]:
    count = integer(words.next(), "ERR invalid number of vertices")
    if count < 3 or count > len(words.args):
        raise CommandError("ERR GEOSEARCH BYPOLYGON must have at least 3 vertices")
    return tuple(_position(words.next(), words.next()) for _ in range(count))


def _common(search: _Search, word: bytes, words: Words) -> bool:
    """Take an option that all searches have; return whether it is one."""
    if word == b"COUNT":
        search.count = integer(words.next())
        if search.count <= 0:
            raise CommandError("ERR COUNT must be > 0")
    elif word == b"ANY":
        search.is_any = True
    elif word in (b"ASC", b"DESC"):
        search.order = word
    elif word in (b"WITHDIST", b"WITHHASH", b"WITHCOORD"):
        search.shows = True
    else:
        return False
    return True


def _store(loader: Loader, search: _Search, source: ZSet | None) -> None:
    """Make what a search finds the value of its destination."""
    assert search.store is not None
    if search.shows:
        raise CommandError("ERR STORE is not compatible with WITHDIST, WITHHASH and WITHCOORD options")
    if search.is_any and not search.count:
        raise CommandError("ERR the ANY argument requires COUNT argument")
    if source is None:
        loader.drop(search.store)
        return
    found = list(_found(source, _shape(loader, search), search.count if search.is_any else 0))
    if search.order or (search.count and not search.is_any):
        found.sort(key=_score_of, reverse=search.order == b"DESC")
    if search.count:
        del found[search.count :]
    unit = search.unit
    scores = {member: away / unit if search.by_distance else score for away, score, member in found}
    loader.put(search.store, built(loader, scores))


def _shape(loader: Loader, search: _Search) -> Shape:
    assert search.centre is not None
    return Shape(
        search.centre,
        (search.radius or 0.0) * search.unit,
        search.width * search.unit,
        search.height * search.unit,
        search.is_box,
        is_old=not loader.target.has("geo-bounds-by-hemisphere"),
        is_short=loader.target.has("geo-short-meridians"),
        corners=search.corners,
    )


def _found(source: ZSet, shape: Shape, limit: int) -> Iterator[tuple[float, float, bytes]]:
    """Yield distance, score and member of what is in a shape, in the order in which servers find it."""
    order = source.order()
    count = 0
    for cell in shape.cells():
        first, after = cell.scores()
        at = bisect_left(order, first, key=_score_of)
        while at < len(order) and order[at][0] < after:
            score, member = order[at]
            away = shape.within(position_of(score))
            if away is not None:
                yield away, score, member
                count += 1
                if count == limit:
                    return
            at += 1


COMMANDS = {
    b"geoadd": geoadd,
    b"georadius": georadius,
    b"georadiusbymember": georadius,
    b"geosearchstore": geosearchstore,
}
