"""Commands of sets in a replay: the values, and the encodings that real servers had after them."""

from __future__ import annotations

import pytest

import rdbkit
from keyspace.made import aof, replayed

OLD, NEW = "redis:7.0.15", "redis:8.0.2"
EACH = ("redis:2.4.18", "redis:2.8.24", "redis:6.2.14", OLD, NEW, "redis:8.10.2", "valkey:9.1.2")


def made(*commands, target=NEW, **options):
    """The key s, None if there is none."""
    return replayed(*commands, target=target, **options).get(b"s")


def numbers(key, count, first=0):
    return ("SADD", key, *range(first, first + count))


def words(key, count, first=0):
    return ("SADD", key, *[f"m{n}" for n in range(first, first + count)])


@pytest.mark.parametrize("target", EACH)
@pytest.mark.parametrize(
    ("commands", "members"),
    [
        (["SADD s a b a", "SADD s c 1"], "1abc"),
        (["SADD s a b c", "SREM s a x c a"], "b"),
        (["SADD k a b", "SADD s c", "SMOVE k s a", "SMOVE k s x", "SMOVE s s c", "SMOVE none s b"], "ac"),
        (["SADD k a", "SMOVE k s a"], "a"),
        (["SADD a a b c", "SADD b b c d", "SINTERSTORE s a b"], "bc"),
        (["SADD s x", "SADD a a", "SADD b b", "SUNIONSTORE s s a none b"], "abx"),
        (["SADD a a b c d", "SADD b b", "SADD c c x", "SDIFFSTORE s a b none c"], "ad"),
        (["SADD s a", "SET k x", "SADD k y", "SUNIONSTORE s s k", "SINTERSTORE s k s", "SDIFFSTORE s s k"], "a"),
    ],
)
def test_values(commands, members, target):
    assert b"".join(sorted(made(*commands, target=target).value)).decode() == members


@pytest.mark.parametrize("target", EACH)
@pytest.mark.parametrize(
    "commands",
    [
        ["SADD s a", "SREM s a"],
        ["SADD s a", "SMOVE s k a"],
        ["SADD s a b", "SPOP s 2"],
        ["SADD s a", "SPOP s"],
        ["SADD s a", "SADD a a", "SINTERSTORE s a none"],
        ["SADD s a", "SADD a a", "SADD b b", "SINTERSTORE s a b"],
        ["SADD s a", "SDIFFSTORE s none s"],
        ["SADD s a b", "SDIFFSTORE s s s"],
        ["SADD s a", "SUNIONSTORE s none"],
    ],
)
def test_no_members_are_no_key(commands, target):
    assert made(*commands, target=target) is None


def test_a_new_set_does_not_expire():
    assert made("SADD s a", "PEXPIREAT s 9999999999999", "SADD s b").expires_at == 9999999999999
    assert made("SADD s a", "PEXPIREAT s 9999999999999", "SUNIONSTORE s s").expires_at is None


def test_a_random_member_is_not_known():
    with rdbkit.open(aof("SADD s a b c", "SADD t a", "SPOP s", "SADD s d"), target="redis:2.4.18") as snapshot:
        assert [entry.key for entry in snapshot] == [b"t"]
        assert [tuple(row)[:3] for row in snapshot.uncertain] == [(0, b"s", b"spop")]
    assert sorted(made("SADD s a b", "SPOP s 0", "SPOP s -1").value) == [b"a", b"b"]


def test_the_first_missing_key_ended_sinterstore():
    commands = ["SADD s a", "SET k x", "SINTERSTORE s none k"]
    assert made(*commands, target="redis:5.0.14") is None
    assert made(*commands, target="redis:6.0.20").value


# -- encodings ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("commands", "old", "new"),
    [
        ([numbers("s", 512)], "intset", "intset"),
        ([numbers("s", 512), "SADD s 512", "SREM s 512"], "hashtable", "hashtable"),
        (["SADD s 1 02"], "hashtable", "listpack"),
        (["SADD s 1 9223372036854775808", "SREM s 9223372036854775808"], "hashtable", "listpack"),
        ([words("s", 128)], "hashtable", "listpack"),
        ([words("s", 128), "SADD s x", words("s", 3)], "hashtable", "hashtable"),
        ([("SADD", "s", "x" * 64)], "hashtable", "listpack"),
        ([("SADD", "s", "x" * 65)], "hashtable", "hashtable"),
        ([numbers("s", 127), "SADD s x"], "hashtable", "listpack"),
        ([numbers("s", 128), "SADD s x"], "hashtable", "hashtable"),
        # The command has more members than a compact set may have, although they are no more than that.
        ([("SADD", "s", *["a"] * 129)], "hashtable", "hashtable"),
        ([("SADD", "s", *["1"] * 513)], "intset", "hashtable"),
        (["SADD s a", ("SADD", "s", *["a"] * 129)], "hashtable", "hashtable"),
        (["SADD k 1 2", "SADD s x", "SMOVE k s 1"], "hashtable", "listpack"),
        (["SADD k 1 2", "SMOVE k s 1"], "intset", "intset"),
        (["SADD s a", "COPY s k", "DEL s", "RENAME k s"], "hashtable", "listpack"),
    ],
)
def test_encodings(commands, old, new):
    assert [made(*commands, target=target).encoding for target in (OLD, NEW)] == [old, new]


@pytest.mark.parametrize(
    ("commands", "old", "new"),
    [
        ([numbers("a", 600), numbers("b", 5), "SINTERSTORE s a b"], "intset", "intset"),
        ([words("a", 200), numbers("a", 5), numbers("b", 5), "SINTERSTORE s a b"], "intset", "intset"),
        ([words("a", 200), words("b", 200, 100), "SINTERSTORE s a b"], "hashtable", "listpack"),
        ([words("a", 200), words("b", 300), "SINTERSTORE s a b"], "hashtable", "hashtable"),
        ([numbers("a", 600), numbers("b", 700), "SINTERSTORE s a b"], "hashtable", "hashtable"),
        ([numbers("a", 300), numbers("b", 212, 300), "SUNIONSTORE s a b"], "intset", "intset"),
        ([numbers("a", 300), numbers("b", 213, 300), "SUNIONSTORE s a b"], "hashtable", "hashtable"),
        ([words("a", 100), words("b", 100), "SUNIONSTORE s a b"], "hashtable", "listpack"),
        # One set of words is subtracted from another in one way, or, if there are many others, in another one, which
        # adds all members first.
        ([words("a", 200), words("b", 190), "SDIFFSTORE s a b"], "hashtable", "listpack"),
        ([words("a", 200), words("b", 190), "SADD c x", "SADD d x", "SDIFFSTORE s a b c d"], "hashtable", "hashtable"),
        ([words("a", 9), numbers("a", 5), words("b", 9), "SDIFFSTORE s a b"], "intset", "intset"),
        (
            [words("a", 9), numbers("a", 5), words("b", 9), "SADD c x", "SADD d x", "SDIFFSTORE s a b c d"],
            "hashtable",
            "listpack",
        ),
    ],
)
def test_encodings_of_new_sets(commands, old, new):
    assert [made(*commands, target=target).encoding for target in (OLD, NEW)] == [old, new]


def test_settings():
    settings = {"set-max-intset-entries": "3", "set-max-listpack-entries": "2", "set-max-listpack-value": "1"}
    assert made("SADD s 1 2 3", settings=settings).encoding == "intset"
    assert made("SADD s 1 2", "SADD s 3 4", settings=settings).encoding == "hashtable"
    assert made("SADD s 1 a", settings=settings).encoding == "listpack"
    # A number of the intset would be too long for a listpack.
    assert made("SADD s 10", "SADD s a", settings=settings).encoding == "hashtable"
