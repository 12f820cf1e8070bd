"""Bit strings: SETBIT, BITFIELD and BITOP, as servers of 6.2 to 8.10 and Valkey 9.1 load them."""

from __future__ import annotations

from typing import Any

import pytest

from keyspace.made import replayed

OLDER = "redis:7.0.15"


def value(*commands: Any, target: str = "redis:8.10.2") -> bytes | None:
    found = replayed(*commands, target=target).get(b"k")
    return None if found is None else bytes(found.value)


def test_setbit_extends_with_zeros() -> None:
    assert value("SETBIT k 0 1") == b"\x80"
    assert value("SETBIT k 17 1") == b"\0\0\x40"
    assert value("SETBIT k 17 0") == b"\0\0\0"
    assert value("SET k a", "SETBIT k 6 1", "SETBIT k 7 0") == b"b"


def test_setbit_makes_a_string_raw() -> None:
    found = replayed("SET n 12", "SETBIT n 0 0", "SETBIT new 1 1", "SET t a", "SETBIT t 0 0")
    assert {key: row.encoding for key, row in found.items()} == {b"n": "raw", b"new": "raw", b"t": "raw"}
    assert found[b"n"].value == b"12"


def test_setbit_keeps_the_expiry() -> None:
    assert replayed("SET k a PXAT 4102444800123", "SETBIT k 100 1")[b"k"].expires_at == 4102444800123


@pytest.mark.parametrize(
    "words",
    ["SETBIT k -1 1", "SETBIT k x 1", "SETBIT k 007 1", "SETBIT k 4294967296 1", "SETBIT k 1 2", "SETBIT k 1 x"],
)
def test_setbit_refused(words: str) -> None:
    assert value("SET k a", words) == b"a"
    assert value(words) is None


def test_commands_on_another_type_are_refused() -> None:
    for words in ("SETBIT k 0 1", "BITFIELD k SET u8 0 1", "BITOP OR d k", "BITFIELD k GET u8 0"):
        found = replayed("RPUSH k a", "SET d x", words)
        assert (found[b"k"].type, found[b"d"].value) == ("list", b"x")


FIELDS = [
    ("SET u8 0 255", b"\xff"),
    ("SET u8 #1 255", b"\0\xff"),
    ("SET u5 3 9", b"\x09"),
    ("SET i64 #1 -1", bytes(8) + b"\xff" * 8),
    ("SET u63 0 9223372036854775807", b"\xff" * 7 + b"\xfe"),
    ("set I8 0 5", None),
    ("SET i8 4 -1", b"\x0f\xf0"),
    ("INCRBY u8 0 300", b"\x2c"),
    ("INCRBY i8 0 -129", b"\x7f"),
    ("OVERFLOW SAT INCRBY u8 0 300", b"\xff"),
    ("OVERFLOW sat INCRBY u8 0 -1", b"\0"),
    ("OVERFLOW SAT INCRBY i8 0 200", b"\x7f"),
    ("OVERFLOW SAT INCRBY i8 0 -200", b"\x80"),
    ("OVERFLOW FAIL INCRBY u8 0 300", b"\0"),
    ("OVERFLOW FAIL SET u8 8 300", b"\0\0"),
    ("OVERFLOW SAT SET u8 0 -1", b"\xff"),
    ("OVERFLOW SAT SET u63 0 -1", b"\xff" * 7 + b"\xfe"),
    ("SET u63 0 -1", b"\xff" * 7 + b"\xfe"),
    ("OVERFLOW SAT INCRBY i64 0 9223372036854775807 INCRBY i64 0 9", b"\x7f" + b"\xff" * 7),
    ("INCRBY i64 0 9223372036854775807 INCRBY i64 0 1", b"\x80" + bytes(7)),
    ("OVERFLOW FAIL INCRBY u8 0 255 OVERFLOW WRAP INCRBY u8 0 2", b"\1"),
    ("SET u4 0 1 GET u8 0 SET u4 4 2", b"\x12"),
    ("GET u8 100", None),
    ("OVERFLOW SAT", None),
    ("", None),
    ("SET u64 0 1", None),
    ("SET i65 0 1", None),
    ("SET u0 0 1", None),
    ("SET x8 0 1", None),
    ("SET u8 -1 1", None),
    ("SET u8 #-1 1", None),
    ("SET u8 0", None),
    ("SET u8 0 x", None),
    ("SET u8 0 1 FOO", None),
    ("OVERFLOW FOO SET u8 0 1", None),
    ("SET u8 0 1 GET u8 x", None),
]


@pytest.mark.parametrize(("words", "expected"), FIELDS)
def test_bitfield(words: str, expected: bytes | None) -> None:
    command = tuple(f"BITFIELD k {words}".split())
    assert value(command) == expected
    assert value(command, target="valkey:9.1.2") == expected


def test_bitfield_in_the_middle_of_a_string() -> None:
    assert value("SET k abcdef", "BITFIELD k SET u16 12 65535") == b"a\x6f\xff\xf4ef"
    assert value("SET k abcdef", "BITFIELD k INCRBY i16 #1 1") == b"abcdef".replace(b"d", b"e", 1)


def test_bitfield_that_only_reads_changes_nothing() -> None:
    assert replayed("SET k 12", "BITFIELD k GET u8 0")[b"k"].encoding == "int"


OPERATIONS = [
    ("AND", b"\x0c\x00"),
    ("OR", b"\x3f\x0f"),
    ("XOR", b"\x33\x0f"),
    ("and", b"\x0c\x00"),
    ("DIFF", b"\x30\x00"),
    ("DIFF1", b"\x03\x0f"),
    ("ANDOR", b"\x0c\x00"),
    ("ONE", b"\x33\x0f"),
]
BOTH = (("SET", "a", b"\x3c"), ("SET", "b", b"\x0f\x0f"))


@pytest.mark.parametrize(("name", "expected"), OPERATIONS)
def test_bitop(name: str, expected: bytes) -> None:
    assert value(*BOTH, f"BITOP {name} k a b") == expected


def test_bitop_of_three() -> None:
    three = (*BOTH, ("SET", "c", b"\x55"))
    assert value(*three, "BITOP ONE k a b c") == b"\x62\x0f"
    assert value(*three, "BITOP XOR k a b c none") == b"\x66\x0f"
    assert value(*three, "BITOP DIFF k a b c") == b"\x20\0"
    assert value(*three, "BITOP ANDOR k a b c") == b"\x1c\0"


def test_bitop_not() -> None:
    assert value(*BOTH, "BITOP NOT k b") == b"\xf0\xf0"
    assert value(*BOTH, "BITOP NOT k a b") is None


def test_bitop_of_nothing_removes_its_destination() -> None:
    assert value("SET k x", "BITOP OR k none") is None
    assert value("SET k x", "SET e ''", "BITOP AND k none k") == b"\0"


def test_bitop_makes_a_raw_string_without_an_expiry() -> None:
    found = replayed("SET k x PXAT 4102444800123", "SET a 1", "BITOP OR k a")[b"k"]
    assert (found.value, found.encoding, found.expires_at) == (b"1", "raw", None)


@pytest.mark.parametrize("target", [OLDER, "redis:8.0.6", "valkey:9.1.2"])
def test_newer_operations_are_refused_by_others(target: str) -> None:
    assert value(*BOTH, "BITOP DIFF k a b", target=target) is None
    assert value(*BOTH, "BITOP OR k a b", target=target) == b"\x3f\x0f"


@pytest.mark.parametrize("words", ["BITOP DIFF k a", "BITOP DIFF1 k a", "BITOP ANDOR k a", "BITOP FOO k a b"])
def test_bitop_refused(words: str) -> None:
    assert value(*BOTH, words) is None


def test_bitop_one_of_one() -> None:
    assert value(*BOTH, "BITOP ONE k a") == b"\x3c"
