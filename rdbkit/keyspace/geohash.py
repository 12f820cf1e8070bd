"""Positions as 52-bit numbers, distances, and the areas that a search goes through, with the servers' arithmetic.

A position is the score of a member: 26 bits of longitude and of latitude, interleaved. A search looks at the cell in
which its centre is, and at the eight around it.

Source: geohash.c and geohash_helper.c of the BSD-licensed versions; each operation on doubles is done in their order.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

LONGITUDE = (-180.0, 180.0)
LATITUDE = (-85.05112878, 85.05112878)
#: Bits of longitude and of latitude in a score.
STEPS = 26
_RADIANS = math.pi / 180.0
_EARTH = 6372797.560856
_MERCATOR = 20037726.37
_EVEN = 0x5555555555555555
_ODD = 0xAAAAAAAAAAAAAAAA


class Cell(NamedTuple):
    """An area: `steps` bits of each coordinate, interleaved."""

    bits: int
    steps: int

    def scores(self) -> tuple[int, int]:
        """Return the scores in the cell: the first one, and the first one after it."""
        shift = 2 * (STEPS - self.steps)
        return self.bits << shift, self.bits + 1 << shift


class Area(NamedTuple):
    """The edges of a cell, or of a search, in degrees."""

    west: float
    south: float
    east: float
    north: float


def _spread(number: int) -> int:
    """Return the 32 bits of a number at the even places of 64."""
    return int(f"{number:b}", 4)


def _gather(number: int) -> int:
    """Return the bits at the even places of a number."""
    text = f"{number & _EVEN:b}"
    return int(text[(len(text) - 1) % 2 :: 2], 2)


def cell_at(longitude: float, latitude: float, steps: int = STEPS) -> Cell:
    """Return the cell in which a position is."""
    north = (latitude - LATITUDE[0]) / (LATITUDE[1] - LATITUDE[0])
    east = (longitude - LONGITUDE[0]) / (LONGITUDE[1] - LONGITUDE[0])
    scale = float(1 << steps)
    # A position on the very edge has one bit more, which servers keep.
    return Cell(_spread(int(north * scale)) | _spread(int(east * scale)) << 1, steps)


def score_of(longitude: float, latitude: float) -> int:
    """Return the score of a position."""
    return cell_at(longitude, latitude).bits


def _edges(limits: tuple[float, float], number: int, steps: int) -> tuple[float, float]:
    low, scale, parts = limits[0], limits[1] - limits[0], float(1 << steps)
    return low + (number * 1.0 / parts) * scale, low + ((number + 1) * 1.0 / parts) * scale


def area_of(cell: Cell) -> Area:
    """Return the edges of a cell."""
    south, north = _edges(LATITUDE, _gather(cell.bits) & 0xFFFFFFFF, cell.steps)
    west, east = _edges(LONGITUDE, _gather(cell.bits >> 1) & 0xFFFFFFFF, cell.steps)
    return Area(west, south, east, north)


def position_of(score: float) -> tuple[float, float]:
    """Return longitude and latitude of a score: the middle of its cell."""
    area = area_of(Cell(int(score) & (1 << 64) - 1, STEPS))
    longitude, latitude = (area.west + area.east) / 2, (area.south + area.north) / 2
    return min(max(longitude, LONGITUDE[0]), LONGITUDE[1]), min(max(latitude, LATITUDE[0]), LATITUDE[1])


def distance(one: tuple[float, float], other: tuple[float, float], *, is_short: bool = True) -> float:
    """Return the great-circle distance of two positions in metres; `is_short`: along a meridian without sines."""
    v = math.sin((other[0] * _RADIANS - one[0] * _RADIANS) / 2)
    if is_short and v == 0.0:
        return along_meridian(one[1], other[1])
    first, second = one[1] * _RADIANS, other[1] * _RADIANS
    u = math.sin((second - first) / 2)
    root = math.sqrt(u * u + math.cos(first) * math.cos(second) * v * v)
    return 2.0 * _EARTH * math.asin(min(root, 1.0))


def along_meridian(one: float, other: float) -> float:
    """Return the distance of two latitudes in metres."""
    return _EARTH * abs(other * _RADIANS - one * _RADIANS)


class Shape(NamedTuple):
    """What is searched: everything within `radius` metres of a position, in a box around it, or in a polygon."""

    centre: tuple[float, float]
    radius: float = 0.0
    width: float = 0.0
    height: float = 0.0
    is_box: bool = False
    #: Before 6.2 the bounds did not depend on the hemisphere, and distances decided on the size of the cells.
    is_old: bool = False
    #: From 7.0 on, distances along a meridian are computed without sines.
    is_short: bool = True
    #: The corners of a polygon, of which `centre` is the centroid.
    corners: tuple[tuple[float, float], ...] = ()

    def within(self, place: tuple[float, float]) -> float | None:
        """Return the distance of a position, None if it is not in the shape."""
        if self.corners:
            return distance(self.centre, place) if self._is_inside(place) else None
        if not self.is_box:
            found = distance(self.centre, place, is_short=self.is_short)
            return None if found > self.radius else found
        here = self.centre
        if self.is_short:
            tall = along_meridian(place[1], here[1])
        else:
            tall = distance(place, (place[0], here[1]), is_short=False)
        wide = distance(place, (here[0], place[1]), is_short=self.is_short)
        if tall > self.height / 2 or wide > self.width / 2:
            return None
        return distance(here, place, is_short=self.is_short)

    def _is_inside(self, place: tuple[float, float]) -> bool:
        """Return whether a ray from a position to the east crosses an odd number of the polygon's sides."""
        longitude, latitude = place
        inside, before = False, self.corners[-1]
        for corner in self.corners:
            if (corner[1] > latitude) != (before[1] > latitude):
                across = (before[0] - corner[0]) * (latitude - corner[1]) / (before[1] - corner[1]) + corner[0]
                inside ^= longitude < across
            before = corner
        return inside

    def reach(self) -> float:
        """Return a distance from the centre within which the whole search is."""
        if self.corners:
            west, south, east, north = self.bounds()
            return max(distance(self.centre, (x, y)) for x in (west, east) for y in (south, north))
        wide, tall = self.width / 2, self.height / 2
        return math.sqrt(wide * wide + tall * tall) if self.is_box else self.radius

    def bounds(self) -> Area:
        """Return the bounding box."""
        if self.corners:
            east, north = zip(*self.corners)
            return Area(min(east), min(north), max(east), max(north))
        longitude, latitude = self.centre
        height = self.height / 2 if self.is_box else self.radius
        width = self.width / 2 if self.is_box else self.radius
        tall = height / _EARTH / _RADIANS
        if self.is_old:
            edge = latitude
        else:
            edge = latitude - tall if latitude < 0 else latitude + tall
        wide = width / _EARTH / math.cos(edge * _RADIANS) / _RADIANS
        return Area(longitude - wide, latitude - tall, longitude + wide, latitude + tall)

    def cells(self) -> Iterator[Cell]:
        """Yield the cells to search, in the order in which servers do; a neighbour that is out of reach is left out."""
        reach = self.reach()
        steps, bounds = _steps(reach, self.centre[1]), self.bounds()
        around = _neighbours(cell_at(*self.centre, steps))
        if steps > 1 and self._is_too_fine(around, bounds, reach):
            steps -= 1
            around = _neighbours(cell_at(*self.centre, steps))
        area = area_of(around[0, 0])
        last: Cell | None = None
        for place, (east, north) in enumerate(_ORDER):
            cell = around[east, north]
            if steps >= 2 and _is_out(area, bounds, east, north):
                continue
            if cell == last:
                continue
            yield cell
            # Servers do not compare with the cell in the middle.
            last = cell if place else None

    def _is_too_fine(self, around: dict[tuple[int, int], Cell], bounds: Area, reach: float) -> bool:
        """Return whether a neighbour ends before the search does."""
        north, south = area_of(around[0, 1]).north, area_of(around[0, -1]).south
        east, west = area_of(around[1, 0]).east, area_of(around[-1, 0]).west
        if not self.is_old:
            return north < bounds.north or south > bounds.south or east < bounds.east or west > bounds.west
        longitude, latitude = self.centre
        edges = ((longitude, north), (longitude, south), (east, latitude), (west, latitude))
        return any(distance(self.centre, edge, is_short=False) < reach for edge in edges)


def centroid(corners: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Return the direction of the sum of the corners as vectors from the centre of the earth."""
    x = y = z = 0.0
    for longitude, latitude in corners:
        east, north = longitude * _RADIANS, latitude * _RADIANS
        x += math.cos(north) * math.cos(east)
        y += math.cos(north) * math.sin(east)
        z += math.sin(north)
    return math.atan2(y, x) / _RADIANS, math.atan2(z, math.sqrt(x * x + y * y)) / _RADIANS


#: Columns and rows of the neighbours, in the order in which servers search them.
_ORDER = ((0, 0), (0, 1), (0, -1), (1, 0), (-1, 0), (1, 1), (-1, 1), (1, -1), (-1, -1))


def _is_out(area: Area, bounds: Area, east: int, north: int) -> bool:
    """Return whether the search does not reach the neighbour in this direction."""
    return (
        (north < 0 and area.south < bounds.south)
        or (north > 0 and area.north > bounds.north)
        or (east < 0 and area.west < bounds.west)
        or (east > 0 and area.east > bounds.east)
    )


def _steps(reach: float, latitude: float) -> int:
    """Return the steps at which a cell and its neighbours are about as large as the search."""
    if reach == 0:
        return STEPS
    steps = 1
    while reach < _MERCATOR:
        reach *= 2
        steps += 1
    steps -= 2
    if abs(latitude) > 66:
        steps -= 2 if abs(latitude) > 80 else 1
    return min(max(steps, 1), STEPS)


def _neighbours(cell: Cell) -> dict[tuple[int, int], Cell]:
    """Return a cell and those around it, by their distance to the east and to the north."""
    return {(east, north): _moved(cell, east, north) for east, north in _ORDER}


def _moved(cell: Cell, east: int, north: int) -> Cell:
    shift = 64 - 2 * cell.steps
    columns, rows = cell.bits & _ODD, cell.bits & _EVEN
    if east:
        columns = _next(columns, _EVEN >> shift, east) & _ODD >> shift
    if north:
        rows = _next(rows, _ODD >> shift, north) & _EVEN >> shift
    return Cell(columns | rows, cell.steps)


def _next(bits: int, gaps: int, direction: int) -> int:
    """Return a number, of which only every second bit counts, plus or minus 1."""
    return bits + gaps + 1 if direction > 0 else (bits | gaps) - (gaps + 1)
