"""Commands of positions in a replay: scores, what searches find, and distances, to the last bit as on real servers."""

from __future__ import annotations

import pytest

from keyspace.made import replayed
from rdbkit.keyspace.geohash import Cell, area_of, cell_at, position_of, score_of

EACH = ("redis:6.2.14", "redis:7.0.15", "redis:8.10.2", "valkey:9.1.2")
NEW = "redis:8.10.2"
PLACES = (
    "GEOADD p 13.361389 38.115556 Palermo 15.087269 37.502669 Catania 12.496366 41.902782 Rome "
    "2.352222 48.856613 Paris 15.08 37.5 Etna"
)
SCORES = {
    b"Palermo": 3479099956230698.0,
    b"Etna": 3479447184714206.0,
    b"Catania": 3479447370796909.0,
    b"Rome": 3480343273965391.0,
    b"Paris": 3663832779125283.0,
}


def made(*commands, target=NEW):
    """Members and scores of the key o, None if there is none."""
    found = replayed(*commands, target=target).get(b"o")
    return found and {member.decode(): score for member, score in found.value}


@pytest.mark.parametrize("target", EACH)
def test_scores(target):
    found = replayed(PLACES, "GEOADD p XX 0 0 Berlin", "GEOADD p NX CH 0 0 Rome", target=target)[b"p"]
    assert dict(found.value) == SCORES
    assert found.encoding == ("ziplist" if target == EACH[0] else "listpack")


@pytest.mark.parametrize(
    "command",
    [
        "GEOADD p 181 0 x",
        "GEOADD p 0 85.06 x",
        "GEOADD p 0 0",
        "GEOADD p NX XX 0 0 x",
        "GEOADD p 0 x y",
        "GEOADD p 0 0 x 1",
    ],
)
def test_errors_of_geoadd(command):
    assert dict(replayed(PLACES, command)[b"p"].value) == SCORES


@pytest.mark.parametrize("target", EACH)
@pytest.mark.parametrize(
    ("command", "found"),
    [
        (
            "GEORADIUS p 15 37 200 km STOREDIST o",
            {"Etna": 56.06228335503841, "Catania": 56.4412578701582, "Palermo": 190.44242984775784},
        ),
        ("GEORADIUS p 15 37 200 km COUNT 1 STORE o", {"Etna": 3479447184714206}),
        (
            "georadiusbymember p Rome 1100 km desc count 2 storedist o",
            {"Catania": 537.2151152203995, "Etna": 537.2313951943111},
        ),
        (
            "GEOSEARCHSTORE o p FROMMEMBER Rome BYBOX 800 1000 km STOREDIST",
            {"Rome": 0, "Palermo": 427.62946254294206, "Catania": 537.2151152203995, "Etna": 537.2313951943111},
        ),
        (
            "GEOSEARCHSTORE o p FROMLONLAT 15 37 BYRADIUS 100 mi ASC COUNT 2",
            {"Etna": 3479447184714206, "Catania": 3479447370796909},
        ),
        (
            "GEOSEARCHSTORE o p FROMLONLAT 15 37 BYBOX 400 300 km",
            {"Palermo": 3479099956230698, "Etna": 3479447184714206, "Catania": 3479447370796909},
        ),
        ("GEOSEARCHSTORE o p FROMLONLAT 15 37 BYBOX 180 200 km COUNT 9 ANY", {"Etna", "Catania"}),
        ("GEOSEARCHSTORE o p FROMMEMBER Palermo BYRADIUS 0 m STOREDIST", {"Palermo": 0}),
        (
            "GEOSEARCHSTORE o p FROMLONLAT 15 37 BYRADIUS 20000 km STOREDIST",
            {
                "Etna": 56.06228335503841,
                "Catania": 56.4412578701582,
                "Palermo": 190.44242984775784,
                "Rome": 586.1049718485142,
                "Paris": 1668.6773498255607,
            },
        ),
        (
            "GEOSEARCHSTORE o p FROMLONLAT 13.361389 30 BYRADIUS 1000 km STOREDIST",
            {"Etna": 849.1534406086973, "Catania": 849.5701890650923, "Palermo": 902.6633103123982},
        ),
    ],
)
def test_searches(command, found, target):
    stored = made(PLACES, "SET o x", command, target=target)
    assert (set(stored) if isinstance(found, set) else stored) == found


@pytest.mark.parametrize("target", EACH)
@pytest.mark.parametrize(
    "command",
    [
        "GEORADIUS p 15 37 0 m STORE o",
        "GEOSEARCHSTORE o none FROMMEMBER x BYRADIUS 1 m",
        "GEORADIUS none 0 0 1 m STORE o",
    ],
)
def test_nothing_is_no_key(command, target):
    assert made(PLACES, "ZADD o 1 x", command, target=target) is None


def test_before_6_2_a_search_of_nothing_changed_nothing():
    assert made("ZADD o 1 x", "GEORADIUS none 0 0 1 m STORE o", target="redis:6.0.20") == {"x": 1}


@pytest.mark.parametrize(
    "command",
    [
        "GEORADIUS p 15 37 200 km WITHDIST STORE o",
        "GEORADIUS p 15 37 200 parsec STORE o",
        "GEORADIUS p 15 37 -1 km STORE o",
        "GEORADIUS p 15 37 x km STORE o",
        "GEORADIUS p 15 97 1 km STORE o",
        "GEORADIUS p 15 37 200 km COUNT 0 STORE o",
        "GEORADIUS p 15 37 200 km ANY STORE o",
        "GEORADIUS p 15 37 200 km",
        "GEORADIUSBYMEMBER p Berlin 200 km STORE o",
        "GEOSEARCHSTORE o p FROMMEMBER Rome COUNT 1 ASC DESC",
        "GEOSEARCHSTORE o p BYRADIUS 100 km COUNT 1 ASC",
        "GEOSEARCHSTORE o p FROMMEMBER Rome BYRADIUS 1 km STORE x",
    ],
)
def test_errors_change_nothing(command):
    assert made(PLACES, "ZADD o 1 x", command) == {"x": 1}


def test_units_in_capitals_are_of_7_0():
    commands = [
        PLACES,
        "GEORADIUS p 15 37 1 KM STORE o",
        "GEORADIUS p 15 37 200 M STORE o",
        "GEORADIUS p 15 37 60 KM STORE o",
    ]
    assert made(*commands, target="redis:6.2.14") is None
    assert set(made(*commands, target="redis:7.0.15")) == {"Etna", "Catania"}


def test_polygons_of_valkey():
    command = "GEOSEARCHSTORE o p BYPOLYGON 4 12 37 16 37 16 39 12 43 STOREDIST"
    assert made(PLACES, command, target="valkey:9.1.2") == {
        "Palermo": 115830.65791928775,
        "Etna": 192005.3628191956,
        "Catania": 192048.33975273065,
        "Rome": 346244.8764790994,
    }
    assert made(PLACES, "GEOSEARCHSTORE o p BYPOLYGON 2 12 37 16 37", target="valkey:9.1.2") is None
    assert made(PLACES, command, target="valkey:8.1.1") is None


def test_a_cell_contains_its_position():
    for longitude, latitude in ((0, 0), (-180, -85.05), (179.99, 85.05), (13.361389, 38.115556), (-0.000001, 0.000001)):
        for steps in (1, 2, 13, 26):
            area = area_of(cell_at(longitude, latitude, steps))
            assert area.west <= longitude <= area.east
            assert area.south <= latitude <= area.north
        east, north = position_of(score_of(longitude, latitude))
        assert abs(east - longitude) < 1e-5
        assert abs(north - latitude) < 1e-5
    assert Cell(0b1101, 2).scores() == (0b1101 << 48, 0b1110 << 48)
