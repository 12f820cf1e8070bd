"""Commands with their database, time and transaction; where reading ends before the end of the file."""

from __future__ import annotations

from typing import Any

import pytest

from rdbkit.aof.writer import command

RDB = b"REDIS0010\xfa\x08aof-base\xc0\x01\xff" + bytes(8)
SET = command(b"SET", b"a", b"1")
SELECT = command(b"SELECT", b"3")
MULTI, EXEC = command(b"MULTI"), command(b"EXEC")


def read(build: Any, data: bytes, **options: Any) -> tuple[list[Any], Any]:
    """Return the commands, and the reader or the error that ended it."""
    reader = build("aof.reader").AofReader(build("source").open_source(data), **options)
    found: list[Any] = []
    try:
        for batch in reader.batches():
            found += batch
    except build.errors.RdbkitError as error:
        return found, error
    return found, reader


def test_databases_and_offsets(build):
    found, reader = read(build, SET + SELECT + SET + SELECT.replace(b"3", b"x") + SET)
    assert [one.db for one in found] == [0, 0, 3, 3, 3]
    assert [one.args[0] for one in found] == [b"SET", b"SELECT", b"SET", b"SELECT", b"SET"]
    ends = [one.end for one in found]
    assert [one.offset for one in found] == [0, *ends[:-1]]
    assert (reader.start, reader.good, reader.annotations) == (0, ends[-1], 0)


def test_a_preamble_is_walked_over_and_leaves_the_database_alone(build):
    found, reader = read(build, RDB + SET)
    assert [(one.offset, one.db) for one in found] == [(len(RDB), 0)]
    assert reader.start == len(RDB)
    assert reader.preamble.checksum == "disabled"


def test_times(build):
    found, reader = read(build, SET + b"#TS:1700000000\r\n" + SET + b"# other\n" + SET + b"#TS:no\r\n" + SET)
    assert [one.time for one in found] == [None, 1700000000000, 1700000000000, 1700000000000]
    assert reader.annotations == 3


def test_transactions(build):
    found, reader = read(build, SET + MULTI + SET + SELECT + EXEC + SET)
    start = len(SET)
    assert [one.transaction for one in found] == [None, start, start, start, start, None]
    assert found[-1].db == 3
    assert reader.transaction is None


def test_an_open_transaction(build):
    found, error = read(build, SET + MULTI + SET)
    assert len(found) == 3
    assert (type(error).__name__, error.code, error.offset) == ("Truncated", "open-transaction", len(SET))


@pytest.mark.parametrize("cut", range(1, len(SET)))
def test_a_torn_command(build, cut):
    found, error = read(build, SET + SET[:cut])
    assert len(found) == 1
    assert (type(error).__name__, error.code, error.offset) == ("Truncated", "truncated", len(SET))


@pytest.mark.parametrize("damage", [b"\0", b"\r\n", b"PING\r\n", b"*0\r\n", b"*1\r\n4\r\nPING\r\n"])
def test_what_is_no_command(build, damage):
    found, error = read(build, SET + damage)
    assert len(found) == 1
    assert (type(error).__name__, error.code) == ("Corrupt", "bad-aof")
    assert len(SET) <= error.offset <= len(SET) + 4


def test_long_arguments_are_cut(build):
    found, _ = read(build, command(b"SET", b"k" * 100, b"v" * 3_000_000) + SET, keep=10)
    assert found[0].args == [b"SET", b"k" * 10, b"v" * 10]
    assert found[0].lengths == [3, 100, 3_000_000]
    assert found[1].lengths is None


def test_many(build):
    data = command(b"INCR", b"n") * 5000
    found, reader = read(build, data)
    assert len(found) == 5000
    assert reader.good == len(data)
