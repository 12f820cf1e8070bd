"""Commands of strings: options, conditions, limits; what a server of the release replied and held."""

from __future__ import annotations

from typing import Any

import pytest

import rdbkit
from keyspace.made import aof, replayed

DUE = 4102444800123
NEW, OLD = "redis:8.10.2", "redis:7.0.15"


def text(*commands: Any, target: str = NEW) -> tuple[bytes, int | None] | None:
    found = replayed(*commands, target=target, now=1_000_000).get(b"k")
    return None if found is None else (bytes(found.value), found.expires_at)


ACCEPTED = [
    ("SET k b", (b"b", None)),
    ("SET k b EX 100", (b"b", 1_100_000)),
    ("SET k b px 100", (b"b", 1_000_100)),
    ("SET k b EX 5 EX 100", (b"b", 1_100_000)),
    ("SET k b EXAT 4102444800", (b"b", 4102444800000)),
    ("SET k b PXAT 1", (b"b", 1)),
    ("SET k b KEEPTTL", (b"b", DUE)),
    ("SET k b XX", (b"b", None)),
    ("SET k b NX", (b"a", DUE)),
    ("SET k b NX GET", (b"a", DUE)),
    ("SET k b GET", (b"b", None)),
    ("SET k b IFEQ a", (b"b", None)),
    ("SET k b IFEQ x", (b"a", DUE)),
    ("SET k b IFEQ x IFEQ a", (b"b", None)),
    ("SET k b IFNE x KEEPTTL", (b"b", DUE)),
    ("SET k b IFNE a", (b"a", DUE)),
    ("SET k b IFDEQ e6c632b61e964e1f", (b"b", None)),
]


@pytest.mark.parametrize(("words", "expected"), ACCEPTED)
def test_set(words: str, expected: tuple[bytes, int | None]) -> None:
    assert text(f"SET k a PXAT {DUE}", words) == expected


REFUSED = [
    "SET k b FOO",
    "SET k b NX XX",
    "SET k b NX IFEQ a",
    "SET k b IFEQ a IFNE c",
    "SET k b EX 1 PX 1",
    "SET k b EX 1 KEEPTTL",
    "SET k b KEEPTTL PXAT 1",
    "SET k b PERSIST",
    "SET k b EX",
    "SET k b IFEQ",
    "SET k b EX 0",
    "SET k b EX -1",
    "SET k b PXAT 0",
    "SET k b EX x",
    "SET k b EX 9223372036854775807",
    "SET k b PX 9223372036854775807",
    "SET k b EXAT 9223372036854776",
    "SET k b IFDEQ a",
    "SETEX k 0 b",
    "PSETEX k -1 b",
    "SETEX k 9223372036854776 b",
    "PSETEX k 9223372036854775807 b",
    "GETEX k EX 0",
    "GETEX k EX 1 PERSIST",
    "GETEX k KEEPTTL",
    "GETEX k FOO",
    "MSET k b j",
    "MSETEX 0 k b",
    "MSETEX 2 k b",
    "MSETEX x k b",
    "MSETEX 1 k b NX XX",
    "MSETEX 1 k b IFEQ a",
    "MSETEX 1 k b EX 0",
    "SETRANGE k -1 x",
    "SETRANGE k x x",
    "SETRANGE k 536870912 x",
    "INCR k",
    "INCRBYFLOAT k 1",
    "INCREX k",
]


@pytest.mark.parametrize("words", REFUSED)
def test_refused(words: str) -> None:
    assert text(f"SET k a PXAT {DUE}", words) == (b"a", DUE)


@pytest.mark.parametrize(
    "words",
    [
        "SET k b GET",
        "GETDEL k",
        "GETEX k PERSIST",
        "GETSET k b",
        "APPEND k b",
        "SETRANGE k 0 b",
        "INCR k",
        "SET k b IFEQ a",
    ],
)
def test_another_type_is_refused(words: str) -> None:
    assert replayed("RPUSH k a", words)[b"k"].type == "list"


def test_set_replaces_any_type() -> None:
    for words in ("SET k b", "MSET k b", "SETEX k 5 b", "SET k b XX"):
        assert replayed("RPUSH k a", words)[b"k"].type == "string"
    assert replayed("RPUSH k a", "SETNX k b", "MSETNX k b")[b"k"].type == "list"


LACKING = [
    ("SET k b IFEQ a", "redis:8.2.3"),
    ("SET k b IFEQ a", "valkey:8.0.1"),
    ("SET k b IFNE x", "valkey:9.1.2"),
    ("SET k b IFDNE 0000000000000000", "redis:8.2.3"),
    ("SET k b XX GET", "redis:6.2.16"),
    ("SET k b GET", "redis:6.0.20"),
    ("SET k b PXAT 5", "redis:6.0.20"),
    ("SET k b KEEPTTL", "redis:5.0.14"),
]


@pytest.mark.parametrize(("words", "target"), LACKING)
def test_option_that_the_release_lacks(words: str, target: str) -> None:
    assert text("SET k a", words, target=target) == (b"a", None)


def test_option_is_taken_where_the_release_is_not_given() -> None:
    with rdbkit.open(aof("SELECT 0", "SET k a", "SET k b IFEQ a")) as snapshot:
        assert [bytes(entry.value) for entry in snapshot] == [b"b"]


def test_getex() -> None:
    first = f"SET k a PXAT {DUE}"
    assert text(first, "GETEX k") == (b"a", DUE)
    assert text(first, "GETEX k PERSIST") == (b"a", None)
    assert text(first, "GETEX k PXAT 7") == (b"a", 7)
    assert text(first, "GETEX k EX 7") == (b"a", 1_007_000)
    assert text("GETEX k EX 7") is None


def test_msetex() -> None:
    first = f"SET k a PXAT {DUE}"
    assert text(first, "MSETEX 1 k b") == (b"b", None)
    assert text(first, "MSETEX 2 k b j c KEEPTTL") == (b"b", DUE)
    assert text(first, "MSETEX 2 k b j c NX") == (b"a", DUE)
    assert text(first, "MSETEX 2 k b j c XX") == (b"a", DUE)
    assert text(first, "MSETEX 2 k b k c EX 9 EX 5") == (b"c", 1_005_000)


COUNTED = [
    ("INCR k", b"1"),
    ("DECRBY k 5", b"-5"),
    ("INCRBY k 9223372036854775807", b"9223372036854775807"),
    ("DECRBY k 9223372036854775807", b"-9223372036854775807"),
    ("DECRBY k -9223372036854775808", None),
    ("INCRBY k +1", None),
    ("INCRBY k 01", None),
    ("INCRBY k 9223372036854775808", None),
]


@pytest.mark.parametrize(("words", "expected"), COUNTED)
def test_integers(words: str, expected: bytes | None) -> None:
    found = text(words)
    assert (None if found is None else found[0]) == expected


def test_integers_at_their_limits() -> None:
    assert text("SET k 9223372036854775807", "INCR k") == (b"9223372036854775807", None)
    assert text("SET k -9223372036854775808", "DECR k") == (b"-9223372036854775808", None)
    assert text("SET k -9223372036854775808", "INCRBY k 9223372036854775807") == (b"-1", None)
    assert text("DECRBY k -9223372036854775808", target="redis:6.2.14") == (b"-9223372036854775808", None)


FLOATS = [
    ("0", "0.1", b"0.1"),
    ("0.1", "0.2", b"0.3"),
    ("5", "1.0", b"6"),
    ("3.0e3", "2", b"3002"),
    ("-5", "5", b"0"),
    ("1", "-1.5", b"-0.5"),
    ("0x10", "0", b"16"),
    ("12345678901234567890", "0", b"12345678901234567890"),
    ("99999999999999999999.5", "0", b"100000000000000000000"),
    ("1", "1e-17", b"1.00000000000000001"),
    ("1e-18", "0", b"0"),
    ("-1e-18", "0", b"0"),
    ("1", "inf", b"1"),
    ("1", "nan", b"1"),
    ("x", "1", b"x"),
    ("1", "", b"1"),
    (" 1", "1", b" 1"),
    ("1e99999", "1", b"1e99999"),
]


@pytest.mark.parametrize(("first", "second", "expected"), FLOATS)
def test_incrbyfloat(first: str, second: str, expected: bytes) -> None:
    assert text(("SET", "k", first), ("INCRBYFLOAT", "k", second)) == (expected, None)


def test_incrbyfloat_makes_a_text() -> None:
    found = replayed("INCRBYFLOAT k 1", f"PEXPIREAT k {DUE}", "INCRBYFLOAT k 1", target=OLD)[b"k"]
    assert (found.value, found.encoding, found.expires_at) == (b"2", "embstr", DUE)
    assert replayed("INCRBYFLOAT k 1e60", target=OLD)[b"k"].encoding == "raw"


INCREASED = [
    ("INCREX k", (b"11", DUE)),
    ("INCREX k BYINT -5", (b"5", DUE)),
    ("INCREX k UBOUND 10", (b"10", DUE)),
    ("INCREX k UBOUND 5 SATURATE EX 9", (b"5", 1_009_000)),
    ("INCREX k UBOUND 5 BYINT -1 EX 9", (b"10", DUE)),
    ("INCREX k LBOUND 20 SATURATE", (b"20", DUE)),
    ("INCREX k BYFLOAT 0.5", (b"10.5", DUE)),
    ("INCREX k BYFLOAT 1 UBOUND inf", (b"11", DUE)),
    ("INCREX k PERSIST", (b"11", None)),
    ("INCREX k EX 9", (b"11", 1_009_000)),
    ("INCREX k EX 9 ENX", (b"11", DUE)),
    ("INCREX k BYINT 9223372036854775807", (b"10", DUE)),
    ("INCREX k BYINT 9223372036854775807 SATURATE", (b"9223372036854775807", DUE)),
]


@pytest.mark.parametrize(("words", "expected"), INCREASED)
def test_increx(words: str, expected: tuple[bytes, int | None]) -> None:
    assert text(f"SET k 10 PXAT {DUE}", words) == expected


def test_increx_of_a_new_key() -> None:
    assert text("INCREX k") == (b"1", None)
    assert text("INCREX k EX 9 ENX") == (b"1", 1_009_000)
    assert text("INCREX k UBOUND 5 BYINT 7") is None
    assert text("INCREX k LBOUND 1.5 BYFLOAT 1 SATURATE") == (b"1.5", None)
    assert replayed("INCREX k BYFLOAT 5")[b"k"].encoding == "embstr"


@pytest.mark.parametrize(
    "words",
    [
        "BYINT 1 BYINT 1",
        "BYINT 1 BYFLOAT 1",
        "BYINT 1.5",
        "LBOUND 9 UBOUND 5",
        "LBOUND 1.5",
        "UBOUND 20 UBOUND 21",
        "SATURATE SATURATE",
        "ENX",
        "PERSIST ENX",
        "EX 1 PX 1",
        "EX 1 EX 1",
        "EX 0",
        "BYFLOAT inf",
        "KEEPTTL",
        "NX",
        "BYINT",
    ],
)
def test_increx_refused(words: str) -> None:
    assert text("SET k 10", f"INCREX k {words}") == (b"10", None)


DELETED = [
    ("DELEX k", True),
    ("DELEX k IFEQ a", True),
    ("DELEX k IFEQ b", False),
    ("DELEX k ifne b", True),
    ("DELEX k IFNE a", False),
    ("DELEX k IFDEQ e6c632b61e964e1f", True),
    ("DELEX k IFDEQ a", False),
    ("DELEX k IFEQ", False),
    ("DELEX k FOO a", False),
    ("DELEX k IFEQ a IFEQ a", False),
]


@pytest.mark.parametrize(("words", "gone"), DELETED)
def test_delex(words: str, gone: bool) -> None:
    assert (text("SET k a", words) is None) is gone


def test_delex_of_another_type() -> None:
    assert list(replayed("RPUSH k a", "DELEX k IFEQ a")) == [b"k"]
    assert list(replayed("RPUSH k a", "DELEX k")) == []


def test_delifeq() -> None:
    assert text("SET k a", "DELIFEQ k b", target="valkey:9.1.2") == (b"a", None)
    assert text("SET k a", "DELIFEQ k a", target="valkey:9.1.2") is None


def test_append_and_setrange() -> None:
    assert text("APPEND k a", "APPEND k b") == (b"ab", None)
    assert text("SETRANGE k 2 ab", "SETRANGE k 0 x") == (b"x\0ab", None)
    assert text(("SETRANGE", "k", 5, "")) is None
    encodings = replayed("APPEND a 1", "SETRANGE b 0 1", "SET c 1", "APPEND c 2", ("APPEND", "a", ""), "APPEND d 12")
    assert {key: row.encoding for key, row in encodings.items()} == {b"a": "raw", b"b": "raw", b"c": "raw", b"d": "int"}


def test_time_beyond_all_clocks() -> None:
    # Without a clock of the load, the sum is only known at the end.
    with rdbkit.open(aof("SELECT 0", "SET k a PX 9223372036854775807"), target=NEW) as snapshot:
        assert [entry.expires_at for entry in snapshot] == [(1 << 63) - 1]
