"""Reports of real files, in parts and at once; notable findings; and invalid partials."""

from __future__ import annotations

import json
from collections import Counter
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import rdbkit
from rdbkit.analysis.report import Picture, Report
from rdbkit.format import spec
from rdbkit.rdb import walker
from rdbkit.rdb.walker import Plan
from rdbkit.rdb.writer import Writer, encode

FIXTURES = Path(__file__).parent.parent.parent / "fixtures"
DUMPS = sorted(FIXTURES.glob("*/rdb-canonical/dump.rdb"))


def report(*paths: Path) -> Report:
    found = Report()
    for path in paths:
        with rdbkit.open(path) as snapshot:
            found.read(snapshot)
    return found


def loaded(found: Report) -> Report:
    return Report.load(line.encode() for line in found.dump())


def made(*entries: tuple[int, bytes, Any], version: int = 11) -> bytes:
    buffer = BytesIO()
    writer = Writer(buffer.write, version)
    writer.magic()
    writer.select_db(0)
    for kind, key, value in entries:
        writer.entry(kind, key, encode(kind, value))
    writer.end()
    return buffer.getvalue()


def codes(picture: Picture) -> dict[str, Any]:
    return {note.code: note.facts for note in reversed(picture.notes)}


@pytest.mark.parametrize("path", DUMPS, ids=lambda path: path.parent.parent.name)
def test_sums_are_those_of_the_entries(path: Path) -> None:
    picture = rdbkit.report(path)
    with rdbkit.open(path) as snapshot:
        entries = [(entry.db, entry.type, entry.encoding, entry.size, entry.elements) for entry in snapshot]
    assert picture.complete
    assert picture.total.keys == len(entries)
    assert picture.total.size == sum(size for *_, size, _ in entries)
    assert picture.total.elements == sum(elements or 0 for *_, elements in entries)
    assert {db: total.keys for db, total in picture.databases.items()} == Counter(db for db, *_ in entries)
    assert {kind: total.keys for kind, total in picture.types.items()} == Counter(kind for _, kind, *_ in entries)
    assert {both: total.keys for both, total in picture.encodings.items()} == Counter(
        (kind, encoding) for _, kind, encoding, *_ in entries
    )
    assert sum(prefix.keys for prefix in picture.prefixes) == len(entries)
    assert sum(bucket.keys for bucket in picture.expiry) == len(entries)


@pytest.mark.parametrize("path", DUMPS, ids=lambda path: path.parent.parent.name)
def test_allocations_are_reported_in_addition_to_memory_usage(path: Path) -> None:
    file = rdbkit.report(path).files[0]
    heap = rdbkit.report(path, heap=True)
    if not heap.total.memory:
        assert file.allocated is file.overhead is None
    else:
        assert file.allocated == heap.files[0].allocated == heap.total.memory
        assert file.overhead
        assert file.overhead == heap.files[0].overhead


def test_a_file_without_keys_has_nothing_allocated() -> None:
    for heap in (False, True):
        file = rdbkit.report(FIXTURES / "redis-8.10.2" / "rdb-empty" / "dump.rdb", heap=heap).files[0]
        assert file.total.keys == file.allocated == 0
        assert file.overhead


def test_however_a_snapshot_was_opened() -> None:
    data = made((spec.LIST_QUICKLIST_2, b"long", [b"x" * 8000] * 300), (spec.STRING, b"s", b"v"))
    pictures = []
    for plan in (None, Plan(), Plan(level=walker.SHAPE)):
        found = Report()
        with rdbkit.open(data, plan=plan) as snapshot:
            found.read(snapshot)
        pictures.append(found.result())
    assert pictures == [rdbkit.report(data)] * 3
    assert pictures[0].total.keys == 2


def test_files_in_parts_are_the_files_at_once() -> None:
    whole = report(*DUMPS)
    parts = [loaded(report(path)) for path in reversed(DUMPS)]
    first, *others = parts
    for other in others:
        assert first.fits(other)
        first.merge(other)
    assert first.result() == whole.result()
    assert loaded(first).result() == whole.result()
    assert rdbkit.report(*DUMPS) == whole.result()


def test_damage_is_reported_and_earlier_entries_are_kept() -> None:
    data = DUMPS[-1].read_bytes()[:3000]
    with pytest.raises(rdbkit.Truncated):
        rdbkit.report(data)
    found = Report()
    with rdbkit.open(data) as snapshot, pytest.raises(rdbkit.Truncated):
        found.read(snapshot)
    picture = loaded(found).result()
    assert not picture.complete
    assert "offset" in (picture.files[0].error or "")
    assert 0 < picture.total.keys < 50


# -- what is notable ---------------------------------------------------------------------------------------------------


def test_a_big_key_and_keys_that_never_expire() -> None:
    notes = codes(rdbkit.report(made((0, b"a", bytes(range(256))), (0, b"b", b"y"), (0, b"c", b"z"))))
    assert notes["big-key"]["key"] == b"a"
    assert notes["big-key"]["share"] > 0.5
    assert notes["no-expiry"]["keys"] == 3


def test_a_hash_tag_that_holds_much() -> None:
    strings = [(0, b"{cart}:%d" % number, b"x" * 100) for number in range(5)]
    others = [(0, b"{%d}" % number, b"x" * 100) for number in range(60)]
    notes = [note for note in rdbkit.report(made(*strings, *others)).notes if note.code == "hash-tag"]
    assert [(note.facts["tag"], note.facts["slot"], note.facts["keys"]) for note in notes] == [(b"cart", 15997, 5)]


@pytest.mark.parametrize("length", [16377, 16378, 16379, 2097146])
@pytest.mark.parametrize("generation", ["old", "new"])
def test_back_lengths_that_not_every_server_takes(length: int, generation: Any) -> None:
    pairs = [(b"f", b"v" * length, None), (b"g", b"1", None)]
    found = Report()
    data = BytesIO()
    writer = Writer(data.write, 11)
    writer.magic()
    writer.select_db(0)
    for key in (b"d", b"b", b"c", b"a"):
        writer.entry(spec.HASH_LISTPACK, key, encode(spec.HASH_LISTPACK, pairs, generation=generation))
    writer.end()
    with rdbkit.open(data.getvalue()) as snapshot:
        found.read(snapshot)
    picture = loaded(found).result()
    if length in (16377, 16379):
        assert not picture.widths
        return
    (width,) = picture.widths
    assert (width.generation, width.keys) == (generation, 4)
    assert [one.key for one in width.named] == [b"a", b"b", b"c"]
    assert codes(picture)["backlen"]["key"] == b"a"


def test_limits_that_are_only_just_exceeded() -> None:
    def items(count: int, length: int = 3) -> list[tuple[bytes, bytes, None]]:
        return [(b"%d" % number, b"v" * length, None) for number in range(count)]

    data = made(
        (spec.HASH, b"h:600", items(600)),
        (spec.HASH, b"h:1024", items(1024)),
        (spec.HASH, b"h:1025", items(1025)),
        (spec.HASH, b"h:512", items(512)),
        (spec.HASH, b"h:long", items(3, 128)),
        (spec.HASH, b"h:longer", items(3, 129)),
        (spec.SET, b"s", {b"m%d" % number for number in range(200)}),
    )
    found = {row.setting: row for row in rdbkit.report(data, target="redis:7.2").raising}
    entries = found["hash-max-listpack-entries"]
    assert (entries.keys, entries.limit, entries.needed) == (2, 512, 1024)
    value = found["hash-max-listpack-value"]
    assert (value.keys, value.limit, value.needed) == (1, 64, 128)
    assert found["set-max-listpack-entries"].needed == 200
    old = {row.setting for row in rdbkit.report(data, target="redis:6.2").raising}
    assert old == {"hash-max-ziplist-entries", "hash-max-ziplist-value"}
    assert (
        not rdbkit.report(data, settings={"hash-max-listpack-entries": "2000"})
        .raising[0]
        .setting.startswith("hash-max-listpack-entries")
    )


# -- partials ----------------------------------------------------------------------------------------------------------

LINES = [line.encode() for line in report(DUMPS[0]).dump()]


def test_a_partial_that_ends_early_is_truncated() -> None:
    for cut in (1, 2, len(LINES) // 2, len(LINES) - 1):
        with pytest.raises(rdbkit.Truncated):
            Report.load(LINES[:cut])
    with pytest.raises(rdbkit.Truncated):
        Report.load([*LINES[:5], LINES[5][:-3]])
    with pytest.raises(rdbkit.Corrupt):
        Report.load([*LINES[:5], *LINES[6:]])


@pytest.mark.parametrize(
    "head", [b"", b"REDIS0011", b"{}\n", b"[]\n", b'{"format":"rdbkit partial report","version":99}\n', b"[" * 100_000]
)
def test_what_is_no_partial_is_refused(head: bytes) -> None:
    with pytest.raises((rdbkit.Unsupported, rdbkit.Truncated)):
        Report.load([head, *LINES[1:]])


_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(1 << 70), 1 << 70)
    | st.floats()
    | st.sampled_from(["", "\u20ac", "end", "\ud800", "\udcff", "hash_max_listpack_entries", 10**400, -1, 1.5]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "options"]), inner, max_size=2),
    max_leaves=5,
)


@pytest.mark.parametrize(
    "row",
    [
        ["biggest", 9, 0, "k", "f", "novel", None, 1, 9, 0, 9],
        ["biggest", 9, 0, "k", "\ud800", "hash", None, 1, 9, 0, 9],
        ["widths", "old", 1, [0, "k", "f", "novel"]],
        ["widths", "old", 1],
        ["raising", "hash_max_listpack_entries", 512, [1, 1, 1, 0, 600]],
        ["totals", 0, 0, "string", "raw", [10**400] * 8],
        ["unread", "\ud800", "why"],
    ],
)
def test_rows_of_a_partial_that_nobody_wrote(row: list[Any]) -> None:
    with pytest.raises(rdbkit.Corrupt):
        Report.load(
            [*LINES[:-1], json.dumps(row).encode() + b"\n", json.dumps(["end", len(LINES) - 1]).encode() + b"\n"]
        )


@pytest.mark.parametrize("change", [{"separators": [""]}, {"depth": 0}, {"depth": 1.5}, {"fold": 3}, {"heap": None}])
def test_options_of_a_partial_that_cannot_be(change: dict[str, Any]) -> None:
    head = json.loads(LINES[0])
    head["options"] |= change
    with pytest.raises(rdbkit.Corrupt):
        Report.load([json.dumps(head).encode() + b"\n", *LINES[1:]])


def test_nothing_may_follow_the_end_of_a_partial() -> None:
    with pytest.raises(rdbkit.Corrupt, match="data after the end"):
        Report.load([*LINES, *LINES])


@given(data=st.data())
def test_any_partial_is_loaded_or_refused(data: Any) -> None:
    lines = list(LINES)
    at = data.draw(st.integers(0, len(lines) - 1))
    row = json.loads(lines[at])
    place = row
    while isinstance(place, list | dict) and place:
        key = data.draw(st.sampled_from(list(place) if isinstance(place, dict) else range(len(place))))
        if data.draw(st.booleans()) or not isinstance(place[key], list | dict) or not place[key]:
            place[key] = data.draw(_JSON)
            break
        place = place[key]
    lines[at] = json.dumps(row).encode() + b"\n"
    try:
        found = Report.load(lines)
    except rdbkit.RdbkitError:
        return
    found.result()
    assert list(found.dump())


def test_names_of_functions_are_functions() -> None:
    """No package has the name of one: importing a submodule would take its place."""
    import rdbkit.output.text
    import rdbkit.recovery.run

    assert [callable(function) for function in (rdbkit.report, rdbkit.repair, rdbkit.check)] == [True] * 3
    assert rdbkit.report(DUMPS[0]).total.keys > 100
