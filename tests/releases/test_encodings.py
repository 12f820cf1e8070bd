"""Each row of the table of encodings, at its limits and one beyond them."""

from __future__ import annotations

import pytest

from rdbkit.format import spec
from rdbkit.format.shape import ELEMENTS, EMPTY, LENGTH, LISTPACK, LONGEST, NODES, PLAIN, TEXT, Shape
from rdbkit.releases.encodings import count_limit, item_limit, loads, rules
from rdbkit.releases.limits import NO_LIMIT, list_limits
from rdbkit.releases.target import Target

OLD = ("2.4.18", "2.6.17", "2.8.24", "3.0.7")
QUICKLIST = ("3.2.13", "4.0.14", "5.0.14", "6.0.20", "6.2.16", "7.0.15")
TO_6_2 = (*OLD, *QUICKLIST[:-1])
REDIS_8 = ("8.0.6", "8.2.3", "8.4.0", "8.6.3", "8.8.0", "8.10.2")
REDIS_8_12 = ("8.12.0",)
VALKEY = ("valkey:7.2.7", "valkey:8.0.1", "valkey:8.1.1", "valkey:9.0.4", "valkey:9.1.2")
VALKEY_9_2 = ("valkey:9.2.1",)
FROM_7_2 = ("7.2.6", "7.4.1", *REDIS_8, *VALKEY)
FROM_7_4 = ("7.4.1", *REDIS_8)
ALL = (*TO_6_2, "7.0.15", *FROM_7_2, *REDIS_8_12, *VALKEY_9_2)


def shape(elements: int = 1, longest: int = 1, **positions: int) -> Shape:
    row = list(EMPTY)
    names = {"text": TEXT, "nodes": NODES, "plain": PLAIN, "listpack": LISTPACK, "length": LENGTH}
    row[ELEMENTS], row[LONGEST] = elements, longest
    for name, value in positions.items():
        row[names[name]] = value
    return tuple(row)


def encoding(target: str, type_id: int, row: Shape, *settings: tuple[str, str]) -> str | None:
    return rules(Target.parse(target).with_settings(dict(settings)))(type_id, row, 3, False)


def check(targets: tuple[str, ...], type_id: int, cases: list[tuple[Shape, str]]) -> None:
    for target in targets:
        for row, name in cases:
            assert encoding(target, type_id, row) == name, (target, row)


# -- lists ----------------------------------------------------------------------------------------------------------


def test_old_lists():
    check(
        OLD,
        spec.LIST,
        [
            (shape(512, 64), "ziplist"),
            (shape(513, 64), "linkedlist"),
            (shape(512, 65), "linkedlist"),
            (shape(1, 0), "ziplist"),
        ],
    )
    check(OLD, spec.LIST_ZIPLIST, [(shape(512, 9000), "ziplist"), (shape(513, 1), "linkedlist")])


@pytest.mark.parametrize("type_id", [spec.LIST, spec.LIST_ZIPLIST])
def test_lists_in_between(type_id):
    check(QUICKLIST, type_id, [(shape(1, 1, nodes=1, listpack=9), "quicklist"), (shape(600, 1), "quicklist")])


def test_quicklists_in_between():
    check(QUICKLIST, spec.LIST_QUICKLIST, [(shape(1, nodes=1, listpack=9), "quicklist")])
    check(("7.0.15",), spec.LIST_QUICKLIST_2, [(shape(1, nodes=1, listpack=9), "quicklist")])


@pytest.mark.parametrize("type_id", [spec.LIST_QUICKLIST, spec.LIST_QUICKLIST_2])
def test_quicklists(type_id):
    check(
        FROM_7_2,
        type_id,
        [
            (shape(1, 0, nodes=1, listpack=9), "listpack"),
            (shape(5000, 0, nodes=1, listpack=8192), "listpack"),
            (shape(5000, 0, nodes=1, listpack=8193), "quicklist"),
            (shape(2, 0, nodes=2, listpack=30), "quicklist"),
            (shape(1, 0, nodes=1, plain=1, listpack=0), "quicklist"),
        ],
    )


def test_pushed_lists():
    check(
        FROM_7_2,
        spec.LIST,
        [
            (shape(1, 1, nodes=1, listpack=10), "listpack"),
            (shape(2, 8184, nodes=1, listpack=8192), "listpack"),
            (shape(1, 8182, nodes=1, listpack=8193), "quicklist"),
            (shape(700, 64, nodes=2, listpack=9000), "quicklist"),
        ],
    )


def test_ziplists_of_lists_stay_quicklists():
    check(FROM_7_2, spec.LIST_ZIPLIST, [(shape(1, 0, nodes=1, listpack=9), "quicklist")])


NODE_SIZES = [
    ("-1", (4096, NO_LIMIT, 4096, 4096, NO_LIMIT)),
    ("-2", (8192, NO_LIMIT, 8192, 8192, NO_LIMIT)),
    ("-3", (16384, NO_LIMIT, 16384, 16384, NO_LIMIT)),
    ("-4", (32768, NO_LIMIT, 32768, 32768, NO_LIMIT)),
    ("-5", (65536, NO_LIMIT, 65536, 65536, NO_LIMIT)),
    ("-99", (65536, NO_LIMIT, 65536, 65536, NO_LIMIT)),
    ("0", (8192, 1, 8192, NO_LIMIT, 1)),
    ("1", (8192, 1, 8192, NO_LIMIT, 1)),
    ("128", (8192, 128, 8192, NO_LIMIT, 128)),
    ("100000", (8192, 32767, 8192, NO_LIMIT, 100000)),
]


@pytest.mark.parametrize(("size", "limits"), NODE_SIZES)
def test_list_limits(size, limits):
    change = {"list-max-listpack-size": size}
    assert list_limits(Target.parse("7.4.1").with_settings(change)) == limits
    assert list_limits(Target.parse("valkey:8.0.1").with_settings(change)) == limits
    for early in ("7.2.6", "valkey:7.2.7"):
        assert list_limits(Target.parse(early).with_settings(change)) == (*limits[:2], (1 << 30) - 1, *limits[3:])


@pytest.mark.parametrize("size", range(1, 6))
def test_list_nodes_by_size(size):
    setting = ("list-max-ziplist-size", str(-size))
    limit = 2048 << size
    for type_id in (spec.LIST, spec.LIST_QUICKLIST, spec.LIST_QUICKLIST_2):
        assert encoding("7.4.1", type_id, shape(9, nodes=1, listpack=limit), setting) == "listpack"
        assert encoding("7.4.1", type_id, shape(9, nodes=1, listpack=limit + 1), setting) == "quicklist"


def test_list_nodes_by_count():
    setting = ("list-max-listpack-size", "5")
    for type_id in (spec.LIST, spec.LIST_QUICKLIST, spec.LIST_QUICKLIST_2):
        assert encoding("8.0.6", type_id, shape(5, nodes=1, listpack=100), setting) == "listpack"
        assert encoding("8.0.6", type_id, shape(6, nodes=1, listpack=100), setting) == "quicklist"
    # A node read whole may have any size; an element pushed may not, from 7.4 on.
    big = shape(1, 20000, nodes=1, listpack=20010)
    assert encoding("8.0.6", spec.LIST_QUICKLIST_2, big, setting) == "listpack"
    assert encoding("8.0.6", spec.LIST, big, setting) == "quicklist"
    assert encoding("7.2.6", spec.LIST, big, setting) == "listpack"


# -- sets -----------------------------------------------------------------------------------------------------------


def test_intsets():
    check(ALL, spec.SET_INTSET, [(shape(512), "intset"), (shape(513), "hashtable")])


def test_sets_of_integers():
    check(ALL, spec.SET, [(shape(512, 20, text=-1), "intset"), (shape(513, 20, text=-1), "hashtable")])


def test_sets_before_listpacks():
    check(
        (*TO_6_2, "7.0.15"),
        spec.SET,
        [(shape(1, 1, text=0), "hashtable"), (shape(100, 1, text=99), "hashtable"), (shape(513, text=0), "hashtable")],
    )


def test_sets():
    check(
        FROM_7_2,
        spec.SET,
        [
            (shape(1, 0, text=0), "listpack"),
            (shape(128, 64, text=0), "listpack"),
            (shape(128, 64, text=127), "listpack"),
            (shape(128, 65, text=0), "hashtable"),
            (shape(129, 64, text=0), "hashtable"),
            (shape(512, 64, text=511), "hashtable"),
        ],
    )
    check(FROM_7_2, spec.SET_LISTPACK, [(shape(128, 0), "listpack"), (shape(129, 0), "hashtable")])


def test_set_settings():
    loose = shape(10, 70, text=0)
    assert encoding("7.2.6", spec.SET, loose, ("set-max-listpack-value", "70")) == "listpack"
    assert encoding("7.2.6", spec.SET, loose, ("set-max-listpack-value", "69")) == "hashtable"
    assert encoding("7.2.6", spec.SET, shape(10, 1, text=0), ("set-max-listpack-entries", "9")) == "hashtable"
    # Sized as an intset, too many for one, and never asked whether it could be a listpack.
    assert encoding("7.2.6", spec.SET, shape(10, 1, text=0), ("set-max-intset-entries", "9")) == "hashtable"
    many = ("set-max-listpack-entries", "10000")
    assert encoding("7.2.6", spec.SET, shape(512, 1, text=0), many) == "listpack"
    assert encoding("7.2.6", spec.SET, shape(513, 1, text=0), many) == "hashtable"
    assert encoding("7.2.6", spec.SET_LISTPACK, shape(513, 1), many) == "listpack"
    assert encoding("7.2.6", spec.SET_LISTPACK, shape(1), ("set-max-listpack-entries", "0")) == "hashtable"


# -- sorted sets ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("type_id", [spec.ZSET, spec.ZSET_2])
def test_zsets(type_id):
    cases = [
        (shape(128, 64), "{}"),
        (shape(1, 0), "{}"),
        (shape(129, 64), "skiplist"),
        (shape(128, 65), "skiplist"),
    ]
    old = TO_6_2 if type_id == spec.ZSET else TO_6_2[5:]
    check(old, type_id, [(row, name.format("ziplist")) for row, name in cases])
    check(("7.0.15", *FROM_7_2), type_id, [(row, name.format("listpack")) for row, name in cases])


def test_packed_zsets():
    check(TO_6_2, spec.ZSET_ZIPLIST, [(shape(128, 0), "ziplist"), (shape(129, 0), "skiplist")])
    for type_id in (spec.ZSET_ZIPLIST, spec.ZSET_LISTPACK):
        check(("7.0.15", *FROM_7_2), type_id, [(shape(128, 0), "listpack"), (shape(129, 0), "skiplist")])


def test_big_zsets_of_valkey_9_2():
    for type_id in (spec.ZSET, spec.ZSET_2):
        check(VALKEY_9_2, type_id, [(shape(128, 64), "listpack"), (shape(129, 1), "btree"), (shape(1, 65), "btree")])
    for type_id in (spec.ZSET_ZIPLIST, spec.ZSET_LISTPACK):
        check(VALKEY_9_2, type_id, [(shape(128, 0), "listpack"), (shape(129, 0), "btree")])


# -- hashes ---------------------------------------------------------------------------------------------------------


def loose_hash(name: str, large: str = "hashtable") -> list[tuple[Shape, str]]:
    return [(shape(512, 64), name), (shape(1, 0), name), (shape(513, 64), large), (shape(512, 65), large)]


def packed_hash(name: str, large: str = "hashtable") -> list[tuple[Shape, str]]:
    return [(shape(512, 9000), name), (shape(513, 0), large)]


def test_hashes():
    check(("2.4.18",), spec.HASH, loose_hash("zipmap"))
    check(TO_6_2[1:], spec.HASH, loose_hash("ziplist"))
    check(("7.0.15", *FROM_7_2), spec.HASH, loose_hash("listpack"))


def test_zipmaps():
    check(("2.4.18",), spec.HASH_ZIPMAP, packed_hash("zipmap"))
    check(TO_6_2[1:], spec.HASH_ZIPMAP, loose_hash("ziplist"))
    check(("7.0.15", *FROM_7_2), spec.HASH_ZIPMAP, loose_hash("listpack"))


def test_packed_hashes():
    check(TO_6_2[1:], spec.HASH_ZIPLIST, packed_hash("ziplist"))
    check(("7.0.15", *FROM_7_2), spec.HASH_ZIPLIST, packed_hash("listpack"))
    check(("7.0.15", *FROM_7_2), spec.HASH_LISTPACK, packed_hash("listpack"))


def test_hashes_with_expiring_fields():
    for type_id in (spec.HASH_METADATA, spec.HASH_METADATA_PRE_GA):
        check(FROM_7_4, type_id, loose_hash("listpackex"))
    for type_id in (spec.HASH_LISTPACK_EX, spec.HASH_LISTPACK_EX_PRE_GA):
        check(FROM_7_4, type_id, packed_hash("listpackex"))
    check(VALKEY[3:], spec.HASH_2, [(shape(1, 1), "hashtable"), (shape(600, 1), "hashtable")])
    check(VALKEY_9_2, spec.HASH_2, loose_hash("listpack"))


def test_template_hashes():
    for type_id in (spec.HASH_TMPL_LP, spec.HASH_TMPL_LP_REF):
        check(("8.10.2",), type_id, packed_hash("template-listpack", "template-array"))
    for type_id in (spec.HASH_TMPL_ARRAY, spec.HASH_TMPL_ARRAY_REF):
        check(("8.10.2",), type_id, loose_hash("template-listpack", "template-array"))


# -- the rest -------------------------------------------------------------------------------------------------------


def test_streams():
    check(("5.0.14",), spec.STREAM_LISTPACKS, [(shape(0), "unknown")])
    check(("6.0.20", "7.0.15", *FROM_7_2), spec.STREAM_LISTPACKS, [(shape(0), "stream")])
    check(("7.0.15", *FROM_7_2), spec.STREAM_LISTPACKS_2, [(shape(0), "stream")])
    check(FROM_7_2, spec.STREAM_LISTPACKS_3, [(shape(0), "stream")])
    check(("8.6.3", "8.8.0", "8.10.2"), spec.STREAM_LISTPACKS_4, [(shape(0), "stream")])
    check(("8.8.0", "8.10.2"), spec.STREAM_LISTPACKS_5, [(shape(0), "stream")])


def test_arrays_and_modules():
    check(("8.8.0", "8.10.2"), spec.ARRAY, [(shape(1), "sliced-array")])
    check((*QUICKLIST[1:], *FROM_7_2), spec.MODULE_2, [(shape(-1), "raw")])
    check(("6.2.16", "5.0.14"), spec.CRON, [(shape(-1), "raw")])
    check(VALKEY_9_2, spec.PATH_HASH, [(shape(1), "path-hash")])
    check(REDIS_8_12, spec.BITMAP, [(shape(1), "bitmap-roaring")])


CANNOT = [
    ("2.4.18", spec.HASH_ZIPLIST),
    ("3.0.7", spec.LIST_QUICKLIST),
    ("3.2.13", spec.ZSET_2),
    ("3.2.13", spec.MODULE_2),
    ("4.0.14", spec.STREAM_LISTPACKS),
    ("6.2.16", spec.HASH_LISTPACK),
    ("7.0.15", spec.SET_LISTPACK),
    ("7.2.6", spec.HASH_METADATA),
    ("8.4.0", spec.STREAM_LISTPACKS_4),
    ("8.6.3", spec.ARRAY),
    ("8.8.0", spec.HASH_TMPL_LP_REF),
    ("8.10.2", spec.HASH_2),
    ("8.10.2", spec.BITMAP),
    ("valkey:9.2.1", spec.BITMAP),
    ("8.10.2", spec.MODULE_PRE_GA),
    ("8.10.2", spec.DRAGONFLY_OWN + 30),
    ("valkey:8.1.1", spec.HASH_2),
    ("valkey:9.1.2", spec.HASH_METADATA),
    ("valkey:9.1.2", spec.ARRAY),
    ("valkey:9.1.2", spec.PATH_HASH),
]


@pytest.mark.parametrize(("target", "type_id"), CANNOT)
def test_types_that_a_target_cannot_load(target, type_id):
    assert not loads(Target.parse(target), type_id)
    assert encoding(target, type_id, shape()) is None


@pytest.mark.parametrize("target", ALL)
def test_every_loadable_type_has_a_rule(target):
    server = Target.parse(target)
    row = shape(1, 1, text=0, nodes=1, listpack=9)
    for known in spec.ROWS:
        if known.type and loads(server, known.id):
            assert rules(server)(known.id, row, 3, False), known
    assert rules(server)(999, row, 3, False) is None


# -- strings --------------------------------------------------------------------------------------------------------


def string(target: str, key: int, value: int, has_ttl: bool, allocator: str = "jemalloc") -> str | None:
    server = Target.parse(target, allocator=allocator)
    return rules(server)(spec.STRING, shape(1, 0, text=0, length=value), key, has_ttl)


@pytest.mark.parametrize("target", ALL)
def test_integers(target):
    for has_ttl in (False, True):
        assert rules(Target.parse(target))(spec.STRING, shape(1, 0, text=-1, length=20), 900, has_ttl) == "int"


# target, key lengths, with a TTL, and the value lengths that are embedded: from, to
STRINGS = [
    *((target, (0, 200), ttl, 0, -1) for target in OLD[:3] for ttl in (False, True)),
    *(("3.0.7", (0, 200), ttl, 0, 39) for ttl in (False, True)),
    *(
        (target, (0, 200), ttl, 0, 44)
        for target in (*QUICKLIST, "7.2.6", "7.4.1", "8.0.6", *VALKEY[:2])
        for ttl in (False, True)
    ),
    *((target, (0, 1, 31, 32, 41, 42), False, 0, 41) for target in REDIS_8[1:]),
    *((target, (0, 1, 31, 32, 33, 34), True, 0, 33) for target in ("8.2.3", "8.4.0")),
    *((target, (0, 1, 31, 32, 41, 42), True, 0, 41) for target in ("8.6.3", "8.8.0", "8.10.2")),
    ("valkey:8.1.1", (0, 1, 31, 32, 41, 42), False, 0, 41),
    ("valkey:8.1.1", (0, 1, 31), True, 0, 33),
]


@pytest.mark.parametrize(("target", "keys", "has_ttl", "low", "high"), STRINGS)
def test_strings(target, keys, has_ttl, low, high):
    both = high in (41, 33)
    for key in keys:
        last = high - key if both else high
        for value in {low, last, last + 1} - {-1}:
            if value >= 0:
                assert string(target, key, value, has_ttl) == ("embstr" if value <= last else "raw"), (key, value)


def embedded(target: str, key: int, has_ttl: bool, allocator: str = "jemalloc") -> list[int]:
    """Return the lengths up to 150 of the values that are embedded with a key of that length."""
    return [value for value in range(151) if string(target, key, value, has_ttl, allocator) == "embstr"]


def test_valkey_8_1_keys_with_eight_bytes_to_spare():
    assert embedded("valkey:8.1.1", 31, True) == [0, 1, 2]
    assert embedded("valkey:8.1.1", 32, True) == [0, 1, 8, 9]
    assert embedded("valkey:8.1.1", 33, True) == [0, 7, 8]
    assert embedded("valkey:8.1.1", 40, True) == [0, 1]
    assert embedded("valkey:8.1.1", 41, True) == [0]
    assert embedded("valkey:8.1.1", 42, True) == []


def test_valkey_9():
    assert embedded("valkey:9.1.2", 3, False) == list(range(111))
    assert embedded("valkey:9.1.2", 3, True) == list(range(103))
    assert embedded("valkey:9.1.2", 31, False) == list(range(83))
    # From 32 bytes on a key's header takes two bytes more.
    assert embedded("valkey:9.1.2", 32, False) == list(range(80))
    assert embedded("valkey:9.1.2", 32, True) == list(range(72))


def test_valkey_9_0():
    assert embedded("valkey:9.0.4", 3, False) == list(range(39))
    assert embedded("valkey:9.0.4", 3, True) == list(range(31))
    assert embedded("valkey:9.0.4", 31, False) == list(range(11))
    assert embedded("valkey:9.0.4", 32, False) == list(range(8))


# Measured on 9.0.0, 9.1.0 and 9.1.2 with glibc, which always has eight bytes to spare where the expiry would not fit.
GLIBC = [
    ("valkey:9.0.0", 4, range(38)),
    ("valkey:9.0.0", 20, range(22)),
    ("valkey:9.0.0", 31, range(11)),
    ("valkey:9.0.0", 32, range(8)),
    ("valkey:9.0.0", 39, range(1)),
    ("valkey:9.0.0", 40, range(0)),
    ("valkey:9.1.2", 4, range(110)),
    ("valkey:9.1.2", 31, range(83)),
    ("valkey:9.1.2", 48, range(64)),
    ("valkey:9.1.2", 107, range(5)),
]


@pytest.mark.parametrize(("target", "key", "values"), GLIBC)
def test_with_glibc_an_expiry_always_fits(target, key, values):
    assert embedded(target, key, True, "glibc") == list(values) == embedded(target, key, False, "glibc")


def test_with_glibc_a_short_value_may_fill_the_place_of_the_expiry():
    assert embedded("valkey:9.1.2", 108, False, "glibc") == [0, 1, 2, 3]
    assert embedded("valkey:9.1.2", 108, True, "glibc") == []


def test_valkey_9_values_shorter_than_their_place():
    # s = 17 + key + value; embedded without space for the expiry if s <= 128 < s + 4 - value
    assert embedded("valkey:9.1.2", 103, True) == [0]
    assert embedded("valkey:9.1.2", 107, True) == []
    assert embedded("valkey:9.1.2", 108, True) == [0, 1, 2, 3]
    assert embedded("valkey:9.1.2", 110, True) == [0, 1]
    assert embedded("valkey:9.1.2", 111, True) == [0]
    assert embedded("valkey:9.1.2", 112, True) == []


# -- limits ---------------------------------------------------------------------------------------------------------

LIMITS = [
    # target, type, longest item, most elements
    ("3.0.7", spec.LIST, 64, 512),
    ("3.0.7", spec.LIST_ZIPLIST, NO_LIMIT, 512),
    ("3.2.13", spec.LIST, NO_LIMIT, NO_LIMIT),
    ("7.2.6", spec.LIST_QUICKLIST_2, NO_LIMIT, NO_LIMIT),
    ("7.0.15", spec.SET, NO_LIMIT, 512),
    ("7.2.6", spec.SET, 64, 512),
    ("7.2.6", spec.SET_INTSET, NO_LIMIT, 512),
    ("7.2.6", spec.SET_LISTPACK, NO_LIMIT, 128),
    ("7.2.6", spec.ZSET_2, 64, 128),
    ("7.2.6", spec.ZSET_LISTPACK, NO_LIMIT, 128),
    ("7.2.6", spec.HASH, 64, 512),
    ("7.2.6", spec.HASH_LISTPACK, NO_LIMIT, 512),
    ("2.4.18", spec.HASH_ZIPMAP, NO_LIMIT, 512),
    ("2.6.17", spec.HASH_ZIPMAP, 64, 512),
    ("7.4.1", spec.HASH_METADATA, 64, 512),
    ("8.10.2", spec.HASH_TMPL_ARRAY_REF, 64, 512),
    ("valkey:9.1.2", spec.HASH_2, NO_LIMIT, 0),
    ("7.2.6", spec.STRING, NO_LIMIT, NO_LIMIT),
]


@pytest.mark.parametrize(("target", "type_id", "longest", "count"), LIMITS)
def test_limits(target, type_id, longest, count):
    server = Target.parse(target)
    assert (item_limit(server, type_id), count_limit(server, type_id)) == (longest, count)


def test_limits_follow_the_settings():
    server = Target.parse("6.2.16").with_settings({"hash-max-ziplist-value": "1kb", "hash-max-ziplist-entries": "3"})
    assert (item_limit(server, spec.HASH), count_limit(server, spec.HASH_ZIPLIST)) == (1024, 3)
    rule = rules(server)
    assert rule(spec.HASH, shape(3, 1024), 1, False) == "ziplist"
    assert rule(spec.HASH, shape(3, 1025), 1, False) == "hashtable"
    assert rule(spec.HASH_ZIPLIST, shape(4, 0), 1, False) == "hashtable"
