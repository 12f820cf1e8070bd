"""Damage inside a value hides nothing else: reading continues, and the damage is named and counted."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from typing import Any

import pytest
from checks.test_rdb import WRONG, key, lp, product_of
from rdb.files import STREAM, Trickle, entry, made

from rdbkit.format import spec

ERRORS = [row for row in WRONG if row[1] == "error"]
#: A packed string whose reference goes back before its start.
BAD_LZF = b"\xc3\x04\x16\x00\x61\x40\x05"


def exported(build: Any, what: Any, form: str = "jsonl", **options: Any) -> tuple[str, Any, Any]:
    """Export; return the text, the snapshot, and what ended it (None: its end)."""
    said: list[str] = []
    writer = build("output.export").export_writer(form, said.append)
    exporter = build("output.entries").Exporter(writer)
    ended = None
    with build.rdbkit.open(what, plan=build("rdb.walker").Plan(retain=True), **options) as snapshot:
        try:
            exporter.read(snapshot)
        except build.rdbkit.RdbkitError as error:
            ended = error
    return "".join(said), snapshot, ended


def commands(build: Any, what: Any, restore: bool = False) -> tuple[bytes, Any, Any]:
    """Write commands; return them, the snapshot and what was left out."""
    said: list[bytes] = []
    with build.rdbkit.open(what, plan=build("rdb.walker").Plan(retain=True)) as snapshot:
        exporter = build("output.commands").CommandExporter(said.append, snapshot, restore=restore, modules=False)
        exporter.read(snapshot)
    return b"".join(said), snapshot, exporter.rewriter.lost


def read_all(build: Any, snapshot: Any) -> tuple[list[bytes], list[str], Any]:
    """Read all parts; return the keys, the codes of damaged values, and what ended it."""
    keys: list[bytes] = []
    errors: list[str] = []
    try:
        for found in snapshot:
            keys.append(found.key)
            try:
                list(found.parts())
            except build.rdbkit.RdbkitError as error:
                errors.append(error.code)
    except build.rdbkit.RdbkitError as error:
        return keys, errors, error
    return keys, errors, None


def rows_of(text: str) -> list[Any]:
    assert not text or text.endswith("\n")
    return [json.loads(line) for line in text.splitlines()]


def size_of(row: Any) -> int:
    value = row["value"]
    return 1 if row["type"] in ("string", "module") else len(value["entries"] if row["type"] == "stream" else value)


@pytest.mark.parametrize(("code", "calls", "version"), [(c, k, v) for c, _, k, v in ERRORS])
def test_what_check_calls_an_error_export_names(build, code, calls, version):
    data = made(entry(0, b"before"), *calls, entry(0, b"behind"), version=version, product=product_of(version))
    checked = build.rdbkit.check(data)
    for form in ("jsonl", "csv", "json"):
        text, snapshot, ended = exported(build, data, form)
        assert ended is None
        assert [problem.code for problem in snapshot.problems] == [code]
        assert snapshot.problem_count == 1
        assert isinstance(snapshot.problems[0].offset, int)
        if form == "jsonl":
            rows = rows_of(text)
            assert [rows[0]["key"], rows[-1]["key"]] == ["before", "behind"]
            assert (len(rows), sum(map(size_of, rows))) == (checked.readable, checked.elements)
        elif form == "csv":
            assert len(list(csv.reader(io.StringIO(text)))) == 1 + checked.readable
    for restore in (False, True):
        _, snapshot, _ = commands(build, data, restore)
        assert [problem.code for problem in snapshot.problems] == [code]


def test_iteration_goes_on(build):
    data = made(entry(0, b"a"), key(spec.STRING, BAD_LZF, b"bad"), key(spec.SET_LISTPACK, b"\x07" + bytes(7), b"pack"),
                key(spec.HASH, b"\x02\x01f\x01x\x01f\x01y", b"twice"), entry(0, b"z"))  # fmt: skip
    with build.rdbkit.open(data) as snapshot:
        met = {}
        for found in snapshot:
            try:
                met[found.key] = found.value
            except build.rdbkit.Corrupt as error:
                met[found.key] = (error.code, error.db, error.key)
                with pytest.raises(build.rdbkit.Corrupt):
                    _ = found.value
        assert list(met) == [b"a", b"bad", b"pack", b"twice", b"z"]
        assert met[b"bad"] == ("bad-lzf", 0, b"bad")
        assert met[b"pack"] == ("bad-listpack", 0, b"pack")
        assert met[b"twice"] == ("duplicate-field", 0, b"twice")
        assert snapshot.damaged == 3
        assert [problem.key for problem in snapshot.problems] == [b"pack", b"bad", b"twice"]
        assert snapshot.checksum == "good"
    with build.rdbkit.open(data) as snapshot:
        # Of a value not asked for, the walk has seen the head: that of the listpack contradicts itself.
        assert [found.key for found in snapshot] == list(met)
        assert snapshot.damaged == 1
    with build.rdbkit.open(data) as snapshot:
        parts = {found.key: list(found.parts()) for found in snapshot if found.key == b"twice"}
        assert parts == {b"twice": [(b"f", b"x", None), (b"f", b"y", None)]}


def test_stop(build):
    data = made(entry(0, b"a"), key(spec.STRING, BAD_LZF, b"bad"), entry(0, b"z"))
    text, _, ended = exported(build, data, on_damage="stop")
    assert ended.code == "bad-lzf"
    assert [row["key"] for row in rows_of(text)] == ["a"]
    with build.rdbkit.open(data, on_damage="stop") as snapshot:
        keys, errors, ended = read_all(build, snapshot)
        assert (keys, errors, ended.key) == ([b"a", b"bad"], ["bad-lzf"], b"bad")
    with pytest.raises(ValueError, match="skip"):
        build.rdbkit.open(data, on_damage="halt")


@pytest.mark.parametrize("level", [0, 1])
def test_heads(build, level):
    """If the walk reads a damaged head, the entry has no shape, and all other entries are returned."""
    bad = [(spec.SET_LISTPACK, b"\x07" + bytes(7)), (spec.LIST_ZIPLIST, b"\x0b" + bytes(11)),
           (spec.HASH_ZIPMAP, b"\x02\x01\x05"), (spec.STREAM_LISTPACKS, b"\x01\x01x" + lp(b"1") + bytes(4)),
           (spec.HASH_TMPL_LP, b"\x00\x07" + bytes(7) + lp(b"0", b"x"))]  # fmt: skip
    data = made(*(key(kind, body, b"%d" % at) for at, (kind, body) in enumerate(bad)), entry(0, b"z"), version=15)
    plan = build("rdb.walker").Plan(level=level)
    with build.rdbkit.open(data, plan=plan) as snapshot:
        rows = [row for batch in snapshot.batches() for row in batch]
    assert [row[2] for row in rows] == [b"0", b"1", b"2", b"3", b"4", b"z"]
    assert snapshot.damaged == (5 if level else 0)
    if level:
        assert [row[9] is None for row in rows] == [True] * 5 + [False]
        with build.rdbkit.open(data, plan=plan) as snapshot:
            shown = [row for batch in snapshot.batches() for row in build("analysis.rows").key_rows(snapshot, batch)]
        assert [row[3:6] for row in shown[:5]] == [(None, None, None)] * 5
        assert shown[5][3] == "embstr"
        report = build("analysis.report").Report()
        with build.rdbkit.open(data, plan=plan) as snapshot:
            file = report.read(snapshot)
        assert (file.damaged, report.result().total.keys, report.result().complete) == (5, 6, True)


def long_set(*more: bytes) -> Any:
    return entry(spec.SET, b"long", [*(b"%d" % number + bytes(2000) for number in range(800)), *more], compress=False)


def test_long_values(build):
    """Above what is kept in memory: from a file, and from a pipe, which is read by means of a copy."""
    twice = made(entry(0, b"a"), long_set(b"5" + bytes(2000)), entry(0, b"z"))
    names = [b"%d" % number + bytes(2000) for number in range(800)]
    whole = made(entry(0, b"a"), entry(spec.LIST_QUICKLIST_2, b"long", names, compress=False), entry(0, b"z"))
    at = whole.rindex(b"\x02" + b"\x5f")
    damaged = whole[:at] + b"\x05" + whole[at + 1 :]
    for wrap in (bytes, lambda data: Trickle(data, 1 << 16)):
        text, snapshot, ended = exported(build, wrap(twice))
        assert (ended, snapshot.damaged, [p.code for p in snapshot.problems]) == (None, 1, ["duplicate-member"])
        assert [size_of(row) for row in rows_of(text)] == [1, 801, 1]
        text, snapshot, ended = exported(build, wrap(damaged))
        assert ended.code == "checksum-mismatch"
        assert [(p.code, p.key) for p in snapshot.problems] == [("bad-quicklist", b"long")]
        assert [row["key"] for row in rows_of(text)] == ["a", "z"]
        text, snapshot, ended = exported(build, wrap(whole[: len(whole) // 2]))
        assert (ended.code, ended.key, snapshot.damaged) == ("truncated", b"long", 0)
        assert [row["key"] for row in rows_of(text)] == ["a"]
    with build.rdbkit.open(damaged) as snapshot:
        keys, errors, ended = read_all(build, snapshot)
        assert (keys, errors) == ([b"a", b"long", b"z"], ["bad-quicklist"])
        assert (ended.code, snapshot.damaged) == ("checksum-mismatch", 1)
    with build.rdbkit.open(Trickle(damaged, 1 << 16)) as snapshot:
        keys, errors, ended = read_all(build, snapshot)
        assert (keys, errors, ended.code) == ([b"a", b"long"], ["bad-quicklist"], "bad-quicklist")
        assert snapshot.damaged == 0


def test_a_field_twice_is_written_twice(build):
    """No JSON object can hold that: such a hash is a list of pairs, and so are the expiries of its fields."""
    packed = lp(b"a", b"x", b"5", b"b", b"y", b"0", b"a", b"z", b"6")
    fields = b"".join(b"\x04%04d\x42\x00" % number + bytes(512) for number in range(1200))
    for call, pairs in (
        (key(spec.HASH_LISTPACK_EX_PRE_GA, packed), 3),
        (key(spec.HASH, b"\x44\xb1" + b"\x040007\x01x" + fields), 1201),
    ):
        text, _, _ = exported(build, made(call, version=12))
        [row] = rows_of(text)
        assert isinstance(row["value"], list)
        assert len(row["value"]) == pairs
        again, _, _ = exported(build, made(call, version=12), "csv")
        before = csv.field_size_limit(1 << 30)
        cell = list(csv.reader(io.StringIO(again)))[1][4]
        csv.field_size_limit(before)
        assert json.loads(cell) == row["value"]
        if pairs == 3:
            assert row["value"] == [["a", "x"], ["b", "y"], ["a", "z"]]
            assert row["field_expires_at"] == [["a", 5], ["a", 6]]


def test_medium_values_are_taken_back(build):
    """A packed value of some hundred kilobytes is written as it is decoded: nothing of it may stay at its damage."""
    names = [b"%05d" % number * 20 for number in range(3000)]
    data = made(entry(spec.LIST_QUICKLIST_2, b"long", names), entry(0, b"z"))
    text, _, ended = exported(build, data)
    assert (ended, [size_of(row) for row in rows_of(text)]) == (None, [3000, 1])
    at = data.index(b"\xc3", len(data) // 2)
    for form in ("jsonl", "json", "csv"):
        text, snapshot, _ = exported(build, data[: at + 20] + b"\xff\xff\xff" + data[at + 23 :], form)
        assert snapshot.damaged == 1
        assert "00000" not in text
        assert "z" in text


def test_commands_that_no_server_takes(build):
    """A member without a score, and an impossible database, are not written, so that the other data is valid."""
    zset = key(spec.ZSET_2, b"\x02\x01a" + b"\0\0\0\0\0\0\xf8\x7f" + b"\x01b" + bytes(8))
    said, _, lost = commands(build, made(zset))
    assert b"nan" not in said
    assert b"\r\n$1\r\nb\r\n" in said
    assert lost == {"member without a score": 1}
    said, _, lost = commands(
        build, made(entry(0, b"a"), ("select_db", 1 << 32), entry(0, b"k"), ("select_db", 2), entry(0, b"z"))
    )
    assert b"4294967296" not in said
    assert said.count(b"SELECT") == 2
    assert lost == {"key of an invalid database": 1}


def test_streams_without_owner(build):
    group = STREAM.groups[0]
    unowned = [replace(item, consumer=None) for item in group.pending[:1]]
    data = made(entry(spec.STREAM_LISTPACKS_3, b"k", replace(STREAM, groups=[replace(group, pending=unowned)])))
    with build.rdbkit.open(data) as snapshot:
        for found in snapshot:
            with pytest.raises(build.rdbkit.Corrupt) as caught:
                _ = found.value
            assert (caught.value.code, caught.value.key) == ("stream-pending", b"k")


def test_claims_of_packed_strings_hide_nothing(build):
    """A string with a stored size that its packed bytes cannot fill ends where they do."""
    liar = b"\xc3\x02\x80\x00\x10\x00\x00\x00\x61"
    for kind, body in ((spec.STRING, liar), (spec.LIST, b"\x01" + liar), (spec.HASH, b"\x01" + liar * 2),
                       (spec.ZSET, b"\x01" + liar + b"\xfe"), (spec.ARRAY, b"\x01\x00\x00\x00" + liar)):  # fmt: skip
        data = made(key(kind, body), entry(0, b"z"), version=14)
        text, snapshot, ended = exported(build, data)
        assert (ended, [p.code for p in snapshot.problems]) == (None, ["bad-lzf"])
        assert [row["key"] for row in rows_of(text)] == ["z"]
        with build.rdbkit.open(data, plan=build("rdb.walker").Plan(level=1)) as snapshot:
            assert [row[2] for batch in snapshot.batches() for row in batch] == [b"k", b"z"]


def test_load_dump_loses_nothing(build):
    payload = build("rdb.writer").dump_payload(spec.HASH, b"\x02\x01f\x01x\x01f\x01y", 11)
    with pytest.raises(build.rdbkit.Corrupt, match="twice"):
        build.rdbkit.load_dump(payload)


@pytest.mark.parametrize("what", [123, None, object(), ["dump.rdb"], io.StringIO("REDIS")])
def test_what_cannot_be_opened(build, what):
    for call in (build.rdbkit.open, build.rdbkit.check):
        with pytest.raises(TypeError, match=r"cannot open|binary mode"):
            call(what)
    with pytest.raises(TypeError, match="DUMP"):
        build.rdbkit.load_dump(what)


def test_memory_beside_damaged_heads(build):
    """The number of keys that share a template is not known if one of them is damaged: this raises no error."""
    template = ("put", b"\xf2\x05\x01\x01a")
    good = key(spec.HASH_TMPL_LP_REF, lp(b"5", b"x"), b"good")
    bad = key(spec.HASH_TMPL_LP_REF, b"\x07" + bytes(7), b"bad")
    with build.rdbkit.open(made(template, good, bad, good, version=15)) as snapshot:
        memory = [found.memory for found in snapshot if found.key == b"good"]
    assert len(memory) == 2
    assert snapshot.damaged == 1
