"""SORT in a replay: what it stores, and what it does to the key that it reads."""

from __future__ import annotations

import pytest

import rdbkit
from keyspace.made import aof, replayed

EACH = ("redis:2.8.24", "redis:6.2.14", "redis:7.0.15", "redis:8.10.2", "valkey:9.1.2")
NEW = "redis:8.10.2"
FILLED = [
    "RPUSH l 3 10 -1 2.5",
    "RPUSH words b a C b",
    "SADD s 3 1 2",
    "ZADD z 3 1 2 3 1 2",
    "MSET w_3 30 w_10 5 w_-1 x w_2.5 1 t_3 c t_10 a t_-1 b",
    "HSET h_3 f three",
    "HSET h_10 f ten g x",
]


def made(*commands, target=NEW, **options):
    """The key o, None if there is none."""
    return replayed(*FILLED, *commands, target=target, **options).get(b"o")


def shown(found):
    return b" ".join(found.value).decode()


@pytest.mark.parametrize("target", EACH)
@pytest.mark.parametrize(
    ("command", "value"),
    [
        ("SORT l STORE o", "-1 2.5 3 10"),
        ("sort l desc store o", "10 3 2.5 -1"),
        ("SORT l ALPHA STORE o", "-1 10 2.5 3"),
        ("SORT l LIMIT 1 2 STORE o", "2.5 3"),
        ("SORT l LIMIT -5 1 STORE o", "-1"),
        ("SORT l LIMIT 2 -1 DESC STORE o", "2.5 -1"),
        ("SORT words ALPHA STORE o", "C a b b"),
        ("SORT s DESC STORE o", "3 2 1"),
        ("SORT z STORE o", "1 2 3"),
        ("SORT z BY nosort STORE o", "2 3 1"),
        ("SORT z BY nosort DESC LIMIT 0 2 STORE o", "1 3"),
        ("SORT s BY nosort STORE o", "1 2 3"),
        ("SORT l BY nosort STORE o", "3 10 -1 2.5"),
        ("SORT l BY none_* STORE o", "-1 10 2.5 3"),
        ("SORT l BY t_* ALPHA STORE o", "2.5 10 -1 3"),
        ("SORT l BY h_*->f ALPHA LIMIT 2 2 STORE o", "10 3"),
        ("SORT l GET # GET w_* GET h_*->f GET w_3 LIMIT 2 2 STORE o", "3 30 three  10 5 ten "),
        ("SORT l BY w_* STORE o", None),
        ("SORT words STORE o", None),
        ("SORT none STORE o", None),
        ("SORT l LIMIT 9 1 STORE o", None),
        ("SORT l LIMIT 0 0 STORE o", None),
    ],
)
def test_values(command, value, target):
    found = made(command, target=target)
    assert (found and shown(found)) == value


def test_the_destination_is_replaced_or_removed():
    assert shown(made("SET o x", "SORT s STORE o")) == "1 2 3"
    assert made("SET o x", "SORT none STORE o") is None
    assert shown(made("SORT s STORE s", "RENAME s o")) == "1 2 3"


@pytest.mark.parametrize(
    "command", ["SORT l BY", "SORT l LIMIT 1", "SORT l UP STORE o", "SORT w_3 STORE o", "SORT words STORE o"]
)
def test_errors_change_nothing(command):
    assert made("SET o x", command).value == b"x"


def test_a_list_is_reversed_since_3_2():
    assert shown(made("SORT l BY nosort DESC STORE o", target="redis:3.0.7")) == "3 10 -1 2.5"
    assert shown(made("SORT l BY nosort DESC STORE o", target="redis:3.2.13")) == "2.5 -1 10 3"


@pytest.mark.parametrize("target", EACH)
def test_texts_are_numbers_as_strtod_reads_them(target):
    assert shown(made("RPUSH k 6 inf 1e1 -INF +5 .5 5.", "SORT k STORE o", target=target)) == "-INF .5 +5 5. 6 1e1 inf"
    assert made("RPUSH k 1 1e", "SORT k STORE o", target=target) is None


def test_a_sorted_set_that_is_read_becomes_a_skiplist():
    for command in ("SORT z", "SORT z STORE o", "SORT z BY nosort LIMIT 0 0"):
        assert replayed(*FILLED, command)[b"z"].encoding == "skiplist"


@pytest.mark.parametrize(
    ("target", "short", "long"),
    [
        ("redis:2.8.24", "ziplist", "linkedlist"),
        ("redis:7.0.15", "quicklist", "quicklist"),
        (NEW, "listpack", "quicklist"),
    ],
)
def test_encodings(target, short, long):
    assert made("SORT s STORE o", target=target).encoding == short
    assert made(("SADD", "k", *range(2000, 5000)), "SORT k STORE o", target=target).encoding == long
    assert made(("SADD", "k", "x" * 9000), "SORT k ALPHA STORE o", target=target).encoding == long


def test_the_order_of_what_compares_equal_is_not_known():
    """It depends on the hash table, or on how a part of a list is sorted; a list as a whole is sorted stably."""
    commands = [*FILLED, "SADD k a b c", "SORT k BY none_* ALPHA STORE o", "SORT l BY none_* ALPHA LIMIT 0 2 STORE p"]
    with rdbkit.open(aof(*commands), target=NEW) as snapshot:
        assert not {b"o", b"p"} & {entry.key for entry in snapshot}
        assert [tuple(row)[:3] for row in snapshot.uncertain] == [(0, b"o", b"sort"), (0, b"p", b"sort")]
    assert shown(made("SORT l BY none_* ALPHA STORE o")) == "3 10 -1 2.5"
