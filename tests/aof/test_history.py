"""The history of one key: what is followed, and what is not."""

from __future__ import annotations

import pytest

from rdbkit.aof.history import History
from rdbkit.aof.reader import Command


def commands(text: str) -> list[Command]:
    """The commands of a text, separated by semicolons; SELECT changes their database and is one of them."""
    found, db = [], 0
    for number, words in enumerate(text.split(";")):
        args = [word.encode() for word in words.split()]
        found.append(Command(number, number, db, None, None, args, None))
        if args[0].lower() == b"select":
            db = int(args[1])
    return found


def history(text: str, key: str = "k", db: int | None = None, held: tuple[tuple[int, bytes], ...] = ()) -> str:
    """The history of a key, in the same form; `held` is in the RDB before."""
    of = History({key.encode()}, db)
    for one in commands(text):
        of.learn(one)
    of.settle()
    for place in held:
        of.holds(place)
    return ";".join(b" ".join(one.args).decode() for one in commands(text) if of.takes(one))


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        # what names it
        ("SET a 1;set k 1;MSET a 1 k 2;DEL a k", "set k 1;MSET a 1 k 2;DEL a k"),
        ("SUNIONSTORE k a b;SUNIONSTORE a k b;SUNIONSTORE a b c", "SUNIONSTORE k a b;SUNIONSTORE a k b"),
        ("SORT a STORE k;SORT a STORE b;GEORADIUS g 1 1 1 m STORE k", "SORT a STORE k;GEORADIUS g 1 1 1 m STORE k"),
        ("EVAL s 1 k;EVAL s 1 a;EVAL s 0", "EVAL s 1 k"),
        ("ZUNIONSTORE a 2 k b;XREADGROUP k", "ZUNIONSTORE a 2 k b"),
        # forward
        ("SET k 1;RENAME k b;APPEND b 2;SET k 3", "SET k 1;RENAME k b;APPEND b 2;SET k 3"),
        ("SET k 1;RENAME k b;RENAMENX b c;APPEND b 2;APPEND c 2", "SET k 1;RENAME k b;RENAMENX b c;APPEND c 2"),
        ("SET k 1;RENAME k b;DEL b;SET b 2", "SET k 1;RENAME k b;DEL b"),
        ("SET k 1;RENAME k b;SET b 2;APPEND b 2", "SET k 1;RENAME k b;SET b 2"),
        ("SET k 1;RENAME k b;RENAME x b;APPEND b 2", "SET k 1;RENAME k b;RENAME x b"),
        ("SADD k 1;RENAME k b;SINTERSTORE b x y;SADD b 2", "SADD k 1;RENAME k b;SINTERSTORE b x y"),
        ("SADD k 1;RENAME k b;SINTERSTORE x b y;SADD b 2", "SADD k 1;RENAME k b;SINTERSTORE x b y;SADD b 2"),
        # a copy is another key
        ("SET k 1;COPY k b;APPEND b 2;APPEND k 3", "SET k 1;COPY k b;APPEND k 3"),
        # back
        ("SET a 1;SET b 1;RENAME a k;SET a 2", "SET a 1;RENAME a k"),
        ("SET a 1;RENAME a b;SET a 3;RENAME b k", "SET a 1;RENAME a b;RENAME b k"),
        ("SET a 1;RENAME a x;SET a 2;RENAME a k;SET a 3;RENAME a y", "SET a 2;RENAME a k"),
        ("SET a 1;COPY a k;APPEND a 2;COPY a k REPLACE;SET a 3", "SET a 1;COPY a k;APPEND a 2;COPY a k REPLACE"),
        # emptied
        ("FLUSHALL;SET k 1;FLUSHALL;FLUSHALL", "SET k 1;FLUSHALL"),
        ("SET k 1;SELECT 1;FLUSHDB;SELECT 0;FLUSHDB", "SET k 1;FLUSHDB"),
        ("SET k 1;DEL k;FLUSHALL", "SET k 1;DEL k"),
        ("SET k 1;RENAME k b;FLUSHDB;SET b 1", "SET k 1;RENAME k b;FLUSHDB"),
        # other databases
        ("SET k 1;MOVE k 2;SELECT 2;APPEND k 3;FLUSHDB", "SET k 1;MOVE k 2;APPEND k 3;FLUSHDB"),
        ("SET k 1;SWAPDB 1 2;SWAPDB 0 1;SELECT 1;FLUSHDB", "SET k 1;SWAPDB 0 1;FLUSHDB"),
    ],
)
def test_a_history(text: str, wanted: str) -> None:
    assert history(text) == wanted
    assert history(text.replace(";", ";PING;")) == wanted


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("SET k 1;SELECT 1;SET k 2", "SET k 1"),
        ("SET k 1;MOVE k 1;SELECT 1;APPEND k 2", "SET k 1;MOVE k 1;APPEND k 2"),
        ("SELECT 1;SET k 1;MOVE k 0;SET k 2;SELECT 0;APPEND k 3", "SET k 1;MOVE k 0;APPEND k 3"),
        ("SELECT 1;SET a 1;COPY a k DB 0;SET a 2;COPY a k", "SET a 1;COPY a k DB 0"),
        ("SET k 1;SWAPDB 0 1;SET k 2;SELECT 1;APPEND k 3", "SET k 1;SWAPDB 0 1;SET k 2;APPEND k 3"),
        ("SELECT 1;SET k 1;SWAPDB 1 0;SET k 2;SELECT 0;APPEND k 3", "SET k 1;SWAPDB 1 0;APPEND k 3"),
    ],
)
def test_a_history_in_one_database(text: str, wanted: str) -> None:
    assert history(text, db=0) == wanted


def test_what_was_there_before() -> None:
    assert history("FLUSHALL;FLUSHALL", held=((0, b"k"),)) == "FLUSHALL"
    assert history("FLUSHDB;FLUSHALL", held=((3, b"k"),)) == "FLUSHALL"
    assert history("FLUSHALL", held=((0, b"other"),)) == ""
    # It is the one that is renamed later.
    assert history("FLUSHDB;SET a 1;RENAME a k", held=((0, b"a"),)) == "FLUSHDB;SET a 1;RENAME a k"


def test_the_names_that_are_followed_from_the_start() -> None:
    of = History({b"k"})
    for one in commands("RENAME a b;RENAME x y;RENAME b k"):
        of.learn(one)
    of.settle()
    assert of.at_start == {b"k", b"a"}
