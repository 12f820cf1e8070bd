"""Commands of keys and databases: EXPIRE and its options, RENAME, MOVE, COPY, SWAPDB, RESTORE."""

from __future__ import annotations

from typing import Any

import pytest

import rdbkit
from keyspace.made import aof, replayed
from rdbkit.format import spec
from rdbkit.rdb.writer import dump_payload, encode
from rdbkit.wire import crc64

DUE = 4102444800123
NEW, OLD = "redis:8.10.2", "redis:7.0.15"


def everywhere(*commands: Any, target: str = NEW) -> dict[tuple[int, bytes], Any]:
    with rdbkit.open(aof("SELECT 0", *commands), target=target) as snapshot:
        return {(entry.db, entry.key): entry.value for entry in snapshot}


def due(*commands: Any, target: str = NEW) -> int | None:
    found: int | None = replayed(*commands, target=target, now=1_000_000)[b"k"].expires_at
    return found


EXPIRIES = [
    ("EXPIRE k 5", 1_005_000),
    ("PEXPIRE k 5", 1_000_005),
    ("EXPIREAT k 5", 5000),
    ("PEXPIREAT k 5", 5),
    ("PEXPIREAT k -5", -5),
    ("PEXPIRE k -1000002", -2),
    ("EXPIRE k 9223372036854775", DUE),
    ("EXPIREAT k 9223372036854775", 9223372036854775000),
    ("EXPIREAT k 9223372036854776", DUE),
    ("PEXPIREAT k 9223372036854775807", (1 << 63) - 1),
    ("PEXPIREAT k -9223372036854775808", -(1 << 63)),
    ("PEXPIREAT k 9223372036854775808", DUE),
    ("EXPIRE k x", DUE),
    ("PEXPIREAT k 5 NX", DUE),
    ("PEXPIREAT k 5 xx", 5),
    ("PEXPIREAT k 5 GT", DUE),
    ("PEXPIREAT k 5 LT", 5),
    ("PEXPIREAT k 5 XX LT", 5),
    ("PEXPIREAT k 5 NX LT", DUE),
    ("PEXPIREAT k 5 GT LT", DUE),
    ("PEXPIREAT k 5 LT FOO", DUE),
    ("PEXPIREAT k 4102444800124 GT", 4102444800124),
    ("PERSIST k", None),
    ("PERSIST other", DUE),
]


@pytest.mark.parametrize(("words", "expected"), EXPIRIES)
def test_expire(words: str, expected: int | None) -> None:
    assert due(f"SET k a PXAT {DUE}", words) == expected


def test_expire_of_a_key_without_expiry() -> None:
    assert due("SET k a", "PEXPIREAT k 5 GT") is None
    assert due("SET k a", "PEXPIREAT k 5 XX") is None
    assert due("SET k a", "PEXPIREAT k 5 NX") == 5
    assert due("SET k a", "PEXPIREAT k 5 LT") == 5


def test_older_loaders_ignore_what_is_behind_the_time() -> None:
    assert due("SET k a", "PEXPIREAT k 5 GT FOO", target="redis:6.2.16") == 5


def test_rename() -> None:
    first = f"SET a 1 PXAT {DUE}"
    found = replayed(first, "SET k 2", "RENAME a k")
    assert (list(found), found[b"k"].value, found[b"k"].expires_at) == ([b"k"], b"1", DUE)
    assert everywhere("SET k 1", "RENAME k k") == {(0, b"k"): b"1"}
    assert everywhere("SET k 1", "RENAME none k") == {(0, b"k"): b"1"}
    assert everywhere("SET k 1", "SET j 2", "RENAMENX k j") == {(0, b"k"): b"1", (0, b"j"): b"2"}
    assert everywhere("SET k 1", "RENAMENX k j") == {(0, b"j"): b"1"}


def test_move() -> None:
    assert everywhere("SET k 1", "MOVE k 3") == {(3, b"k"): b"1"}
    for words in ("MOVE k 0", "MOVE k 99", "MOVE k x", "MOVE none 3"):
        assert everywhere("SET k 1", words) == {(0, b"k"): b"1"}
    both = ("SELECT 3", "SET k 2", "SELECT 0", "SET k 1")
    assert everywhere(*both, "MOVE k 3") == {(0, b"k"): b"1", (3, b"k"): b"2"}


def test_copy() -> None:
    first = f"SET k 1 PXAT {DUE}"
    found = replayed(first, "COPY k j", "APPEND j 2")
    assert (found[b"k"].value, found[b"j"].value, found[b"j"].expires_at) == (b"1", b"12", DUE)
    assert everywhere("SET k 1", "COPY k j DB 3") == {(0, b"k"): b"1", (3, b"j"): b"1"}
    assert everywhere("SET k 1", "SET j 2", "COPY k j")[0, b"j"] == b"2"
    assert everywhere("SET k 1", "SET j 2", "COPY k j REPLACE REPLACE")[0, b"j"] == b"1"
    for words in ("COPY k k", "COPY k j DB 99", "COPY k j DB", "COPY k j FOO", "COPY none j"):
        assert everywhere("SET k 1", words) == {(0, b"k"): b"1"}


def test_copy_keeps_the_encoding() -> None:
    assert replayed("APPEND j 1", "APPEND j 2", "COPY j k")[b"k"].encoding == "raw"
    assert replayed("SET j 12", "COPY j k")[b"k"].encoding == "int"


def test_swapdb() -> None:
    assert everywhere("SET k 1", "SWAPDB 0 3", "SET j 2") == {(3, b"k"): b"1", (0, b"j"): b"2"}
    for words in ("SWAPDB 0 99", "SWAPDB x 1", "SWAPDB 0 0"):
        assert everywhere("SET k 1", words) == {(0, b"k"): b"1"}


def test_select_of_a_database_that_is_not_there() -> None:
    assert everywhere("SELECT 3", "SELECT 99", "SET k 1", "SELECT x", "SET j 2") == {(3, b"k"): b"1", (3, b"j"): b"2"}


def test_extra_arguments_are_not_counted() -> None:
    assert everywhere("SET k 1", "MOVE k 3 REPLACE", target=OLD) == {(3, b"k"): b"1"}
    assert everywhere("SET k 1", "MOVE k", target=OLD) == {(0, b"k"): b"1"}


# -- RESTORE ---------------------------------------------------------------------------------------------------------


def payload(body: bytes, version: int, checksum: bool = True) -> bytes:
    data = body + version.to_bytes(2, "little")
    return data + (crc64.update()(data, 0) if checksum else 0).to_bytes(8, "little")


HELLO = b"\0\5hello"


def restored(data: bytes, *options: Any, ttl: Any = 0, target: str = NEW) -> Any:
    found = replayed("SET k a", ("RESTORE", "k", ttl, data, "REPLACE", *options), target=target, now=1_000_000)
    return found[b"k"].value, found[b"k"].expires_at


@pytest.mark.parametrize("version", [1, 6, 9, 10])
def test_restore_of_older_payloads(version: int) -> None:
    assert restored(payload(HELLO, version), target=OLD) == (b"hello", None)


def test_restore_of_older_types() -> None:
    ziplist = b"\x0d\x11" + (17).to_bytes(4, "little") + (13).to_bytes(4, "little") + b"\2\0\0\1a\3\1b\xff"
    for body, value, encoding in (
        (b"\2\2\1a\1b", {b"a", b"b"}, "hashtable"),
        (b"\1\2\1a\1b", [b"a", b"b"], "quicklist"),
        (b"\3\1\1a\0011", [(b"a", 1.0)], "listpack"),
        (b"\4\1\1a\1b", {b"a": b"b"}, "listpack"),
        (ziplist, {b"a": b"b"}, "listpack"),
    ):
        found = replayed(("RESTORE", "k", 0, payload(body, 6)), target=OLD)[b"k"]
        plain = set(found.value) if isinstance(value, set) else found.value
        assert (plain, found.encoding) == (value, encoding)


@pytest.mark.parametrize(
    ("data", "target"),
    [
        (payload(HELLO, 11), OLD),
        (payload(HELLO, 80), NEW),
        (payload(HELLO, 12), "valkey:9.1.2"),
        (payload(HELLO, 9)[:-1] + b"\0", OLD),
        (payload(HELLO, 9, checksum=False), OLD),
        (payload(HELLO, 9, checksum=False), "redis:8.2.3"),
        (payload(HELLO, 9, checksum=False), "valkey:9.1.2"),
        (payload(b"\xfa\0", 9), OLD),
        (payload(b"\x14\r\r\0\0\0\2\0\x81a\2\x81b\2\xff", 9), OLD),
        (b"", OLD),
        (b"abc", OLD),
    ],
)
def test_restore_refused(data: bytes, target: str) -> None:
    assert restored(data, target=target) == (b"a", None)


def test_restore_without_a_checksum() -> None:
    assert restored(payload(HELLO, 9, checksum=False), target="redis:8.6.3") == (b"hello", None)


def test_restore_of_the_newest_payload() -> None:
    assert restored(payload(HELLO, 80), target="valkey:9.1.2") == (b"hello", None)
    assert restored(payload(HELLO, 10), target=OLD) == (b"hello", None)


OPTIONS = [
    ((), 5, (b"hello", 1_000_005)),
    (("ABSTTL",), 5, (b"hello", 5)),
    (("absttl", "IDLETIME", 5), DUE, (b"hello", DUE)),
    (("FREQ", 255), 0, (b"hello", None)),
    (("FREQ", 256), 0, (b"a", None)),
    (("FREQ", -1), 0, (b"a", None)),
    (("IDLETIME", -1), 0, (b"a", None)),
    (("IDLETIME", 1, "FREQ", 1), 0, (b"a", None)),
    (("IDLETIME",), 0, (b"a", None)),
    (("FOO",), 0, (b"a", None)),
    ((), -1, (b"a", None)),
    ((), "x", (b"a", None)),
]


@pytest.mark.parametrize(("options", "ttl", "expected"), OPTIONS)
def test_restore_options(options: tuple[Any, ...], ttl: Any, expected: tuple[bytes, int | None]) -> None:
    assert restored(payload(HELLO, 10), *options, ttl=ttl, target=OLD) == expected


def test_restore_adds_its_time_without_a_check() -> None:
    # 64 bits are not enough for the sum, so it is far in the past.
    assert restored(payload(HELLO, 10), ttl=(1 << 63) - 1, target=OLD) == (b"hello", -(1 << 63) + 999_999)


def test_restore_over_a_key() -> None:
    data = payload(HELLO, 10)
    assert replayed("SET k a", ("RESTORE", "k", 0, data), target=OLD)[b"k"].value == b"a"
    assert replayed("SET k a", ("RESTORE-ASKING", "k", 0, data, "REPLACE"), target=OLD)[b"k"].value == b"hello"


def test_old_restore_has_one_option() -> None:
    data = payload(HELLO, 8)
    assert restored(data, target="redis:4.0.14") == (b"hello", None)
    assert restored(data, "ABSTTL", target="redis:4.0.14") == (b"a", None)


def test_a_payload_proves_a_release() -> None:
    """A server that was not named reads the payloads in its file; a named one does not read newer ones."""
    payload = dump_payload(spec.STRING, encode(spec.STRING, b"v"), 10)
    data = aof(("RESTORE", "k", 0, payload))
    with rdbkit.open(data) as snapshot:
        assert str(snapshot.target).startswith("redis:7.0.")
        assert [entry.value for entry in snapshot] == [b"v"]
    with rdbkit.open(data, target="redis:6.2.16") as snapshot:
        assert list(snapshot) == []
        assert snapshot.replay.failed == 1
