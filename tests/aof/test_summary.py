"""The summary of a log of commands; the count of different names, exact and estimated."""

from __future__ import annotations

import random
from typing import Any

import pytest

from rdbkit.aof.writer import command

LOG = [
    command(b"SELECT", b"0"),
    command(b"set", b"a", b"1"),
    command(b"SET", b"b", b"1"),
    command(b"MULTI"),
    command(b"DEL", b"a", b"b", b"c"),
    command(b"XGROUP", b"CREATE", b"s", b"g", b"$"),
    command(b"EXEC"),
    b"#TS:1700000000\r\n",
    command(b"SELECT", b"3"),
    command(b"SET", b"a", b"1"),
    b"#TS:1700000005\r\n",
    command(b"ZUNIONSTORE", b"z", b"2", b"x", b"y"),
    command(b"SORT", b"l", b"STORE", b"m"),
    command(b"NOSUCH", b"thing"),
]


def folded(build: Any, data: bytes) -> Any:
    fold = build("analysis.aof").CommandFold()
    source = build("source").open_source(data)
    cursor = build("wire.cursor").Cursor(source=source)
    build("analysis.aof").fold_commands(source, cursor, fold)
    return fold


def test_sums(build):
    found = folded(build, b"".join(LOG)).result()
    assert found.commands == 12
    assert list(found.names.items())[:2] == [("set", 3), ("select", 2)]
    assert found.names["xgroup|create"] == 1
    assert found.databases == {0: 4, 3: 4}
    # a, b, c, s; a, z, x, y, l, m
    assert tuple(found.keys) == (10, 0.0)
    assert (found.transactions, found.annotations) == (1, 2)
    assert (found.first, found.last) == (1700000000000, 1700000005000)
    assert found.size == sum(len(one) for one in LOG if not one.startswith(b"#"))


def test_parts_merge_to_the_whole(build):
    parts = [b"".join(LOG[:8]), b"".join(LOG[8:])]
    whole = folded(build, parts[0])
    whole.merge(folded(build, parts[1]))
    again = folded(build, parts[1])
    again.merge(folded(build, parts[0]))
    assert whole.result() == again.result()
    assert whole.result().names == folded(build, b"".join(LOG)).result().names


def test_hostile_names_do_not_fill_memory(build):
    fold = folded(build, b"".join(command(b"X%d" % n) for n in range(5000)))
    found = fold.result()
    assert found.commands == 5000
    assert len(found.names) <= 2049
    assert found.names["(other)"] > 2900


@pytest.mark.parametrize("number", [0, 1, 1000])
def test_few_names_are_counted(build, number):
    counter = build("aof.cardinality").CardinalityCounter()
    for _ in range(2):
        counter.add([b"%d" % n for n in range(number)])
    assert tuple(counter.result()) == (number, 0.0)
    counter.add([b"%d" % n for n in range(number)], 1)
    assert counter.result().number == 2 * number


def test_many_names_are_estimated(build, monkeypatch):
    module = build("aof.cardinality")
    monkeypatch.setattr(module, "EXACT", 5000)
    monkeypatch.setattr(module, "LEAST", 1024)
    names = [b"%d" % n for n in range(40_000)]
    whole = module.CardinalityCounter()
    for at in range(0, len(names), 700):
        whole.add(names[at : at + 700])
    number, error = whole.result()
    assert error == 1 / 32
    assert abs(number / 40_000 - 1) < 4 * error
    random.Random(1).shuffle(names)
    parts = [module.CardinalityCounter() for _ in range(3)]
    for at, part in zip((0, 3000, 10_000), parts):
        part.add(names[at : {0: 3000, 3000: 10_000, 10_000: 40_000}[at]])
    for order in ((0, 1, 2), (2, 1, 0)):
        total = module.CardinalityCounter()
        for which in order:
            total.merge(parts[which])
        assert total.result() == (number, error)
