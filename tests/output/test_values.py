from __future__ import annotations

import json
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rdbkit.output import sort, text, values
from rdbkit.output.values import Pairs, ValueWriter, json_expiries, json_value
from rdbkit.rdb.modules import Module
from rdbkit.rdb.pending_entries import Pending
from rdbkit.rdb.stream_nodes import StreamID
from rdbkit.rdb.streams import Consumer, Group, Idmp, Stream
from rdbkit.rdb.values import Array, Bitmap

from .data import DATA, write_parts

FORMS = st.sampled_from(text.FORMS)
SCORE = st.floats(allow_nan=False)
SOME = st.lists(DATA, max_size=6)


def stream() -> Stream:
    first, last = StreamID(1, 1), StreamID(5, 0)
    group = Group(b"g\xff", last, None)
    group.pending = [Pending(first, b"c", 1000, 2), Pending(last, None, 0, 1)]
    group.consumers = [Consumer(b"c", 1000, None)]
    fields = [(b"f", b"v"), (b"f", b'"')]
    return Stream([(first, fields), (last, [])], last, first, StreamID(0, 0), 7, [group])


STREAM = (
    '{"entries":[{"id":"1-1","fields":[["f","v"],["f","\\""]]},{"id":"5-0","fields":[]}],"last_id":"5-0",'
    '"entries_added":7,"max_deleted_id":"0-0","groups":[{"name":"g\\\\xff","last_delivered_id":"5-0","entries_read":null,'
    '"pending":[{"id":"1-1","consumer":"c","delivered_at":1000,"deliveries":2},'
    '{"id":"5-0","consumer":null,"delivered_at":0,"deliveries":1}],'
    '"consumers":[{"name":"c","seen_at":1000,"active_at":null}]}]}'
)
ARRAY = Array([(0, b"text"), (7, -3), (9, 1.5), (10, float("inf"))])
PATHS = '{"":{"f":"v","g":"\\\\xff"},"/a":{"f":"w"}}'
MODULE = Module("kit-typeA", 1, [("uint", 7), ("sint", -1), ("float", 1.5), ("double", 2.0), ("string", b"s\xfe")])

SHAPES = [
    ("string", b"a\xff", '"a\\\\xff"'),
    ("list", [b"b", b"a", b"b"], '["b","a","b"]'),
    ("list", [], "[]"),
    ("set", {b"b", b"a"}, '["a","b"]'),
    ("set", [b"b", b"a"], '["b","a"]'),
    ("zset", [(b"m", 1.5), (b"n", 3.0), (b"o", float("inf"))], '[["m",1.5],["n",3],["o","inf"]]'),
    ("hash", {b"f": b"v", b"g": b"\\x41"}, '{"f":"v","g":"\\\\x5cx41"}'),
    ("hash", [(b"f", b"v", None), (b"g", b"w", 5)], '{"f":"v","g":"w"}'),
    ("hash", {}, "{}"),
    ("array", ARRAY, '[[0,"text"],[7,-3],[9,1.5],[10,"inf"]]'),
    ("path-hash", {b"": {b"f": b"v", b"g": b"\xff"}, b"/a": {b"f": b"w"}}, PATHS),
    ("path-hash", {}, "{}"),
    ("bitmap", Bitmap(9, [(0, 3), (70, 70)]), '{"length":9,"runs":[[0,3],[70,70]]}'),
    ("bitmap", Bitmap(), '{"length":0,"runs":[]}'),
    (
        "module",
        MODULE,
        '{"module":"kit-typeA","version":1,"parts":[["uint",7],["sint",-1],["float",1.5],["double",2.0],["string","s\\\\xfe"]]}',
    ),
    ("stream", stream(), STREAM),
]


def parts_of(type_name: str, value: Any) -> list[Any]:
    """The parts of a value, in file order."""
    if type_name == "string":
        return [value[at : at + 1] for at in range(len(value))]
    if type_name == "hash":
        return [(*item, None)[:3] for item in (value.items() if isinstance(value, dict) else value)]
    if type_name == "set":
        return sorted(value) if isinstance(value, set) else value
    if type_name == "path-hash":
        # Each field in a part of its own.
        return [(path if n == 0 else None, [pair]) for path in value for n, pair in enumerate(value[path].items())]
    attribute = {"bitmap": "runs", "stream": "entries", "array": "elements", "module": "parts"}.get(type_name)
    return getattr(value, attribute) if attribute else value


def test_a_path_hash_with_a_duplicate_is_a_list_of_pairs() -> None:
    parts = [(b"p", [(b"f", b"v"), (b"f", b"w")]), (None, [(b"g", b"x")]), (b"p", [(b"f", b"y")])]
    shown = '[["p",[["f","v"],["f","w"],["g","x"]]],["p",[["f","y"]]]]'
    assert json_value("path-hash", Pairs(parts)) == shown
    out: list[str] = []
    ValueWriter(out.append).path_hash([parts[:2], parts[2:]], pairs=True)
    assert "".join(out) == shown


def written(type_name: str, batches: Any, value: Any, form: str = "escape") -> str:
    out: list[str] = []
    about = (lambda: (value.name, value.version)) if type_name == "module" else (lambda: value)
    expiries = write_parts(ValueWriter(out.append, form), type_name, batches, about)
    if expiries is not None:
        expiries.close()
    return "".join(out)


@pytest.mark.parametrize(("type_name", "value", "shown"), SHAPES)
def test_shapes(type_name: str, value: Any, shown: str) -> None:
    assert json_value(type_name, value) == shown
    json.loads(shown)


@pytest.mark.parametrize(("type_name", "value", "shown"), SHAPES)
@pytest.mark.parametrize("size", [1, 2, 100])
def test_parts_give_the_same(type_name: str, value: Any, shown: str, size: int) -> None:
    parts = parts_of(type_name, value)
    batches = [parts[at : at + size] for at in range(0, len(parts), size)]
    assert written(type_name, batches, value) == shown
    assert written(type_name, [[], *batches, []], value) == shown


@given(SOME, FORMS)
def test_lists(items: list[bytes], form: str) -> None:
    expected = [text.encoder(form)(item) for item in items]
    assert json.loads(json_value("list", items, form)) == expected
    assert json.loads(written("list", [[item] for item in items], None, form)) == expected


@given(DATA, FORMS, st.integers(1, 9))
def test_strings(data: bytes, form: str, size: int) -> None:
    expected = text.encoder(form)(data)
    assert json.loads(json_value("string", data, form)) == expected
    chunks = [[data[at : at + size]] for at in range(0, len(data), size)]
    assert json.loads(written("string", chunks, None, form)) == expected


@given(st.dictionaries(DATA, DATA, max_size=6), FORMS)
def test_hashes(value: dict[bytes, bytes], form: str) -> None:
    encode = text.encoder(form)
    expected = {encode(field): encode(item) for field, item in value.items()}
    assert json.loads(json_value("hash", value, form)) == expected
    batches = [[(field, item, None)] for field, item in value.items()]
    assert json.loads(written("hash", batches, None, form)) == expected


@given(st.dictionaries(DATA, SCORE, max_size=8), st.integers(1, 8))
def test_zsets_come_in_the_order_of_zrange(members: dict[bytes, float], size: int) -> None:
    parts = list(members.items())
    ascending = sorted(parts, key=lambda part: (part[1], part[0]))
    batches = [parts[at : at + size] for at in range(0, len(parts), size)]
    shown = json_value("zset", ascending)
    assert written("zset", batches, None) == shown
    back = [(text.undo(member), float(score)) for member, score in json.loads(shown)]
    assert list(map(repr, back)) == list(map(repr, ascending))


def test_a_giant_zset_is_sorted_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(values, "Sorter", lambda: sort.Sorter(memory=20_000))
    parts = [(b"m%d" % n, float(n % 97)) for n in range(3000)]
    random.Random(1).shuffle(parts)
    shown = written("zset", [parts[at : at + 100] for at in range(0, 3000, 100)], None)
    assert shown == json_value("zset", sorted(parts, key=lambda part: (part[1], part[0])))


def test_field_expiries_follow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(values, "_SPOOL", 100)
    fields = [(b"f%d" % n, b"v", n * 1000 if n % 2 else None) for n in range(300)]
    out: list[str] = []
    expiries = ValueWriter(out.append).hash([fields[:100], fields[100:]])
    assert expiries is not None
    assert json.loads("".join(expiries)) == {f"f{n}": n * 1000 for n in range(300) if n % 2}
    assert len(json.loads("".join(out))) == 300


def test_no_field_expires() -> None:
    assert ValueWriter(str).hash([[(b"f", b"v", None)]]) is None


def test_json_expiries() -> None:
    assert json_expiries({b"f\xff": 5, b"g": 6}) == '{"f\\\\xff":5,"g":6}'
    assert json_expiries({}) == "{}"


def test_a_module_string_in_pieces() -> None:
    out: list[str] = []
    ValueWriter(out.append).module("kit-typeA", 2, iter([("uint", 1), ("string", iter([b"\xc3", b"\xa4\\", b"x41"]))]))
    assert json.loads("".join(out)) == {
        "module": "kit-typeA",
        "version": 2,
        "parts": [["uint", 1], ["string", "ä\\x5cx41"]],
    }


def test_an_empty_module() -> None:
    assert written("module", [], Module("kit-typeA", 0)) == '{"module":"kit-typeA","version":0,"parts":[]}'


def test_idempotent_producers_only_where_there_are_any() -> None:
    value = stream()
    value.idmp = Idmp(100, 10, [(b"p", [(b"i", StreamID(1, 1))])], 3, 1)
    assert json.loads(json_value("stream", value))["idmp"] == {
        "duration": 100,
        "max_entries": 10,
        "producers": [{"id": "p", "entries": [["i", "1-1"]]}],
        "added": 3,
        "duplicates": 1,
    }


def test_damage_in_a_hash_leaves_nothing_open() -> None:
    def batches() -> Any:
        yield [(b"f", b"v", 5)]
        raise KeyError

    with pytest.raises(KeyError):
        ValueWriter(str).hash(batches())


@given(st.lists(st.lists(st.tuples(DATA, DATA), max_size=3), max_size=4), FORMS)
def test_stream_entries(lists: list[list[tuple[bytes, bytes]]], form: str) -> None:
    encode = text.encoder(form)
    value = Stream([(StreamID(at, 2**64 - 1), fields) for at, fields in enumerate(lists)])
    assert json.loads(json_value("stream", value, form))["entries"] == [
        {"id": f"{at}-{2**64 - 1}", "fields": [[encode(field), encode(item)] for field, item in fields]}
        for at, fields in enumerate(lists)
    ]
