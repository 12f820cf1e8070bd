"""Commands of sorted sets in a replay: the scores, their order, and the encodings that real servers had after them."""

from __future__ import annotations

import math

import pytest

from keyspace.made import replayed

OLD, NEW = "redis:7.0.15", "redis:8.0.2"
EACH = ("redis:2.8.24", "redis:6.2.14", OLD, NEW, "redis:8.10.2", "valkey:9.1.2")
FIVE = "ZADD z 1 a 2 b 3 c 4 d 5 e"
SAME = "ZADD z 0 a 0 b 0 c 0 d 0 e"


def made(*commands, target=NEW, **options):
    """The key z, None if there is none."""
    return replayed(*commands, target=target, **options).get(b"z")


def shown(value):
    return " ".join(f"{member.decode()}:{score:g}" for member, score in value)


def names(value):
    return "".join(member.decode() for member, _ in value)


def words(key, count, first=0):
    return ("ZADD", key, *[word for n in range(first, first + count) for word in (n, f"m{n}")])


@pytest.mark.parametrize("target", EACH)
@pytest.mark.parametrize(
    ("commands", "value"),
    [
        (["ZADD z 1 b 1 a 0.5 c"], "c:0.5 a:1 b:1"),
        (["ZADD z 1 a", "ZADD z -inf a", "ZADD z 1e300 b inf c +5 d"], "a:-inf d:5 b:1e+300 c:inf"),
        (["ZADD z 1 a", "ZADD z 2 b x c", "ZADD z 2 b 3", "ZADD z nan b", "ZADD z 1e400 b", "ZADD z NX XX 1 b"], "a:1"),
        (["ZINCRBY z 1.5 a", "ZINCRBY z -3 a", "ZINCRBY z x a"], "a:-1.5"),
        (["ZADD z inf a", "ZINCRBY z -inf a"], "a:inf"),
        ([FIVE, "ZREM z b x d"], "a:1 c:3 e:5"),
        ([FIVE, "ZREMRANGEBYRANK z 1 -2"], "a:1 e:5"),
        ([FIVE, "ZREMRANGEBYRANK z 3 1"], "a:1 b:2 c:3 d:4 e:5"),
        ([FIVE, "ZREMRANGEBYSCORE z (1 3"], "a:1 d:4 e:5"),
        ([FIVE, "ZREMRANGEBYSCORE z -inf (2"], "b:2 c:3 d:4 e:5"),
        ([FIVE, "ZREMRANGEBYSCORE z 3 1", "ZREMRANGEBYSCORE z a 3"], "a:1 b:2 c:3 d:4 e:5"),
        ([FIVE, "SADD z x", "LPUSH z x"], "a:1 b:2 c:3 d:4 e:5"),
    ],
)
def test_values(commands, value, target):
    assert shown(made(*commands, target=target).value) == value


@pytest.mark.parametrize(
    ("commands", "value"),
    [
        (["ZADD z 1 a", "ZADD z NX 2 a 2 b", "ZADD z XX CH 3 a 3 c"], "b:2 a:3"),
        (["ZADD z 2 a 2 b", "ZADD z GT 1 a 3 b 1 c", "ZADD z LT 1 a 4 b"], "a:1 c:1 b:3"),
        (["ZADD z 2 a", "ZADD z INCR 2 a", "ZADD z NX INCR 2 a", "ZADD z GT INCR -1 a", "ZADD z INCR 1 a 1 b"], "a:4"),
        (["ZADD z XX 1 a", "ZADD z 1 b", "ZADD z GT LT 2 b", "ZADD z GT NX 2 b"], "b:1"),
        ([FIVE, "ZPOPMIN z", "ZPOPMAX z 2"], "b:2 c:3"),
        ([FIVE, "ZPOPMIN z 0", "ZPOPMAX z -1", "ZPOPMAX z 1 2"], "a:1 b:2 c:3 d:4 e:5"),
        ([FIVE, "BZPOPMIN none z 0", "BZPOPMAX z 0"], "b:2 c:3 d:4"),
        ([FIVE, "ZMPOP 2 none z MIN COUNT 2", "ZMPOP 1 z MAX", "BZMPOP 0 1 z min"], "d:4"),
        ([SAME, "ZREMRANGEBYLEX z [b (d"], "a:0 d:0 e:0"),
        ([SAME, "ZREMRANGEBYLEX z - (c", "ZREMRANGEBYLEX z (d +"], "c:0 d:0"),
        ([SAME, "ZREMRANGEBYLEX z + -", "ZREMRANGEBYLEX z b c"], "a:0 b:0 c:0 d:0 e:0"),
    ],
)
def test_values_of_newer_commands(commands, value):
    assert shown(made(*commands).value) == value


@pytest.mark.parametrize(
    "commands",
    [
        ["ZADD z 1 a", "ZREM z a"],
        ["ZADD z 1 a", "ZREMRANGEBYSCORE z -inf +inf"],
        ["ZADD z XX 1 a"],
        ["ZADD z 1 a", "ZPOPMIN z 5"],
        ["ZADD z 1 a", "ZUNIONSTORE z 1 none"],
        ["ZADD z 1 a", "ZRANGESTORE z none 0 -1"],
        ["ZADD z 1 a", "ZRANGESTORE z z 5 9"],
    ],
)
def test_no_members_are_no_key(commands):
    assert made(*commands) is None


# -- new sorted sets ---------------------------------------------------------------------------------------------------

TWO = ["ZADD x 1 a 2 b 3 c", "ZADD y 10 b 20 c 30 d"]


@pytest.mark.parametrize("target", EACH)
@pytest.mark.parametrize(
    ("command", "value"),
    [
        ("ZUNIONSTORE z 2 x y", "a:1 b:12 c:23 d:30"),
        ("ZUNIONSTORE z 2 x y WEIGHTS 2 -1", "d:-30 c:-14 b:-6 a:2"),
        ("ZUNIONSTORE z 2 x y AGGREGATE MAX", "a:1 b:10 c:20 d:30"),
        ("ZUNIONSTORE z 2 x y aggregate min weights 1 0", "b:0 c:0 d:0 a:1"),
        ("ZUNIONSTORE z 3 x none s", "a:2 b:2 c:3"),
        ("ZUNIONSTORE z 2 x x", "a:2 b:4 c:6"),
        ("ZINTERSTORE z 2 x y", "b:12 c:23"),
        ("ZINTERSTORE z 3 x y x WEIGHTS 1 1 10", "b:32 c:53"),
        ("ZINTERSTORE z 2 s x WEIGHTS 5 1", "a:6"),
    ],
)
def test_unions_and_intersections(command, value, target):
    assert shown(made(*TWO, "SADD s a", command, target=target).value) == value


@pytest.mark.parametrize(
    "command",
    [
        "ZUNIONSTORE z 0 x",
        "ZUNIONSTORE z 3 x y",
        "ZUNIONSTORE z 2 x y WEIGHTS 1",
        "ZUNIONSTORE z 2 x y WEIGHTS 1 x",
        "ZUNIONSTORE z 2 x y AGGREGATE AVERAGE",
        "ZUNIONSTORE z 2 x text",
        "ZINTERSTORE z 2 none text",
        "ZDIFFSTORE z 2 x y WEIGHTS 1 1",
        "ZRANGESTORE z x 0 1 LIMIT 0 1",
        "ZRANGESTORE z x a b BYSCORE",
        "ZRANGESTORE z x 0 1 WITHSCORES",
    ],
)
def test_errors_change_nothing(command):
    assert shown(made(*TWO, "SET text x", "ZADD z 7 z", command).value) == "z:7"


def test_infinities_that_cancel_are_zero():
    commands = ["ZADD x inf a", "ZADD y -inf a"]
    assert shown(made(*commands, "ZUNIONSTORE z 2 x y").value) == "a:0"
    assert shown(made(*commands, "ZUNIONSTORE z 1 x WEIGHTS 0").value) == "a:0"


def test_aggregate_count_is_of_8_8():
    command = "ZUNIONSTORE z 2 x y WEIGHTS 1 5 AGGREGATE COUNT"
    assert shown(made(*TWO, command, target="redis:8.10.2").value) == "a:1 d:5 b:6 c:6"
    assert made(*TWO, command, target="redis:8.6.3") is None


@pytest.mark.parametrize(
    ("command", "value"),
    [
        ("ZDIFFSTORE z 2 x y", "a"),
        ("ZDIFFSTORE z 3 x none s", "bc"),
        ("ZDIFFSTORE z 2 s x", None),
        ("ZRANGESTORE z x 0 1", "ab"),
        ("ZRANGESTORE z x 0 0 REV", "c"),
        ("ZRANGESTORE z x (1 +inf BYSCORE", "bc"),
        ("ZRANGESTORE z x +inf (1 BYSCORE REV LIMIT 0 1", "c"),
        ("ZRANGESTORE z x -inf +inf BYSCORE LIMIT 1 -1", "bc"),
        ("ZRANGESTORE z x -inf +inf BYSCORE LIMIT 1 0", None),
        ("ZRANGESTORE z x -inf +inf BYSCORE LIMIT -1 2", None),
        ("ZRANGESTORE z same [b + BYLEX", "bc"),
        ("ZRANGESTORE z same + (a BYLEX REV LIMIT 1 5", "b"),
    ],
)
def test_differences_and_ranges(command, value):
    found = made(*TWO, "SADD s a", "ZADD same 0 a 0 b 0 c", command)
    assert (found and names(found.value)) == value


# -- encodings ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("commands", "old", "new"),
    [
        (["ZADD z 1 a"], "listpack", "listpack"),
        ([words("z", 128)], "listpack", "listpack"),
        ([words("z", 128), words("z", 64)], "listpack", "listpack"),
        ([words("z", 128), "ZADD z 1 x", "ZREM z x", "ZREMRANGEBYRANK z 1 -1"], "skiplist", "skiplist"),
        ([("ZADD", "z", 1, "x" * 64)], "listpack", "listpack"),
        ([("ZADD", "z", 1, "x" * 65)], "skiplist", "skiplist"),
        (["ZADD z 1 a", ("ZADD", "z", 1, "x" * 65), ("ZREM", "z", "x" * 65)], "skiplist", "skiplist"),
        # More pairs than a compact one may have, although of one member.
        ([("ZADD", "z", *[1, "a"] * 129)], "listpack", "skiplist"),
        (["ZADD z 1 a", ("ZADD", "z", *[1, "a"] * 129)], "listpack", "skiplist"),
        ([words("z", 200), "ZUNIONSTORE z 1 none", words("z", 5)], "listpack", "listpack"),
        ([words("x", 200), "ZREMRANGEBYRANK x 128 -1", "ZUNIONSTORE z 1 x"], "listpack", "listpack"),
        ([words("x", 200), "ZREMRANGEBYRANK x 129 -1", "ZUNIONSTORE z 1 x"], "skiplist", "skiplist"),
        ([words("x", 200), words("y", 150), "ZINTERSTORE z 2 x y"], "skiplist", "skiplist"),
        ([words("x", 200), words("y", 150, 90), "ZINTERSTORE z 2 x y"], "listpack", "listpack"),
        ([words("x", 200), words("y", 150, 90), "ZDIFFSTORE z 2 x y"], "listpack", "listpack"),
        ([("ZADD", "x", 1, "x" * 65, 2, "b"), "ZUNIONSTORE z 1 x"], "skiplist", "skiplist"),
        ([("ZADD", "x", 1, "x" * 65, 2, "b"), "ZRANGESTORE z x 1 1"], "listpack", "listpack"),
        ([words("x", 200), "ZRANGESTORE z x 0 127"], "listpack", "listpack"),
        ([words("x", 200), "ZRANGESTORE z x 0 128"], "skiplist", "skiplist"),
        ([words("x", 200), "COPY x z", "ZREMRANGEBYRANK z 1 -1"], "skiplist", "skiplist"),
    ],
)
def test_encodings(commands, old, new):
    assert [made(*commands, target=target).encoding for target in (OLD, NEW)] == [old, new]


def test_compact_ones_were_ziplists():
    assert made("ZADD z 1 a", target="redis:6.2.14").encoding == "ziplist"


@pytest.mark.parametrize(
    ("target", "encoding"),
    [
        ("redis:6.2.14", "ziplist"),
        ("redis:7.0.15", "listpack"),
        ("redis:7.2.4", "skiplist"),
        ("redis:7.2.6", "listpack"),
        ("redis:7.4.1", "listpack"),
        ("valkey:7.2.5", "skiplist"),
        ("valkey:7.2.6", "listpack"),
        ("valkey:8.1.1", "listpack"),
    ],
)
def test_ranges_by_score_were_skiplists(target, encoding):
    assert made("ZADD x 1 a", "ZRANGESTORE z x -inf +inf BYSCORE", target=target).encoding == encoding


def test_a_long_member_that_is_not_added():
    """Valkey decides by the longest member of the command, whatever its options are."""
    commands = ["ZADD z 1 a", ("ZADD", "z", "XX", 1, "x" * 65)]
    assert made(*commands, target=NEW).encoding == "listpack"
    assert made(*commands, target="valkey:8.1.1").encoding == "skiplist"


# -- scores ------------------------------------------------------------------------------------------------------------


def test_sums_are_those_of_doubles():
    assert made("ZINCRBY z 0.1 a", "ZINCRBY z 0.2 a").value == [(b"a", 0.1 + 0.2)]


def test_minus_zero_is_kept_by_a_skiplist():
    settings = {"zset-max-listpack-entries": "0"}
    signs = [math.copysign(1, made("ZADD z -0 a", settings=known).value[0][1]) for known in (settings, {})]
    assert signs == [-1, 1]


@pytest.mark.parametrize(
    ("score", "old", "new"),
    [
        ("0", 80, 80),
        ("0.1", 96, 80),
        ("25414.66806916862", 96, 96),
        ("1e17", 80, 80),
        ("1e300", 96, 80),
    ],
)
def test_memory_of_scores(score, old, new):
    """What real servers answered to MEMORY USAGE: a listpack has scores as integers, or as texts."""
    found = [
        made(f"ZADD z {score} abcdefghijkl", target=target, allocator=allocator).memory
        for target, allocator in ((OLD, "jemalloc-debian"), (NEW, "jemalloc-5.3.1"))
    ]
    assert found == [old, new]
