"""Bodies to values: every type's example, its shape, its parts, and every contradiction that a decoder has to see."""

from __future__ import annotations

import math
from typing import Any

import pytest
from strategies import normal

from rdb.files import MS, STREAM, attempt, error_of, shaped, shown, small
from rdb.files import body as body_of
from rdb.test_writer import BODIES, unhex
from rdbkit.format import spec
from rdbkit.rdb import writer as default_writer
from rdbkit.rdb.pending_entries import Pending
from rdbkit.rdb.streams import Consumer, Group

#: The offset of the body, which errors must have.
START = 4711
TEMPLATES = {1: (b"a", b"bb"), 5: (b"a", b"bb"), 0: (b"a", b"n", b"bb")}
READABLE = sorted(default_writer.ENCODERS)
types = pytest.mark.parametrize("type_id", READABLE, ids=lambda type_id: spec.BY_ID[type_id].name)


class Dribble:
    """A source of one byte at a time."""

    size = -1

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def read(self, n: int, /) -> bytes:
        self.at += 1
        return self.data[self.at - 1 : self.at]


def decoder(build: Any, type_id: int, data: bytes, dribble: bool = False) -> Any:
    cursor = build("wire.cursor").Cursor
    source = cursor(source=Dribble(data), base=START) if dribble else cursor(data, base=START)
    return build("rdb.values").Decoder(type_id, source, TEMPLATES)


def decode(build: Any, type_id: int, data: bytes, dribble: bool = False) -> Any:
    """Return (value, expiries) as plain things, or the account of the error."""
    return attempt(lambda: build("rdb.values").value(decoder(build, type_id, data, dribble)))


# -- what comes back ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "value", "options", "wire"), BODIES, ids=[row[0] for row in BODIES])
def test_examples(build, name, value, options, wire):
    """Bodies as servers write them, whole and byte by byte; a decoder stops exactly after its body."""
    type_id = getattr(spec, name)
    for dribble in (False, True):
        reader = decoder(build, type_id, unhex(wire) + b"next", dribble)
        found, due = build("rdb.values").value(reader)
        if type_id == spec.CRON:
            assert [text for _, text in found.parts] == [*value[:3], *value[3], *value[4]]
        elif isinstance(value, type(STREAM)):
            # What a type does not hold of the value cannot come back: the bytes do.
            assert default_writer.encode(type_id, found) == unhex(wire)
        else:
            assert normal(type_id, shaped(type_id, found, due)) == normal(type_id, value)
        assert reader.cursor.take(4) == b"next"


SHAPES = [
    (spec.STRING, b"hello"), (spec.LIST, [b"a", b"-5", b"b" * 70, b""]),
    (spec.SET_INTSET, {b"-70000", b"0", b"5", b"300"}),
    (spec.ZSET, [(b"a", -1.5), (b"b", 3.0), (b"c", 3.0), (b"d", math.inf)]),
    (spec.HASH_2, {b"a": b"x", b"bb": b"1000", b"n": b"y" * 30}),
]  # fmt: skip


@pytest.mark.parametrize(("type_id", "value"), SHAPES, ids=lambda part: "")
def test_shapes(build, type_id, value):
    found, due = build("rdb.values").value(decoder(build, type_id, body_of(type_id)))
    assert found == value
    assert type(found) is type(value)
    assert due == ({b"a": MS, b"n": MS + 5} if type_id == spec.HASH_2 else {})


def test_shapes_of_our_own(build):
    values, modules, streams = build("rdb.values"), build("rdb.modules"), build("rdb.streams")
    array, _ = values.value(decoder(build, spec.ARRAY, body_of(spec.ARRAY, insert_index=9)))
    assert array == values.Array([(0, b"text"), (7, -5), (1 << 40, 2.5)], 9)
    module, _ = values.value(decoder(build, spec.MODULE_2, body_of(spec.MODULE_2)))
    kinds = [("uint", 7), ("sint", -1), ("float", 0.5), ("double", -0.5), ("string", b"s" * 30)]
    assert module == modules.Module("kit-typeA", 3, kinds)
    stream, _ = values.value(decoder(build, spec.STREAM_LISTPACKS_5, body_of(spec.STREAM_LISTPACKS_5)))
    assert isinstance(stream.entries[0][0], streams.StreamID)
    assert str(stream.entries[0][0]) == "1-1"
    assert (stream.length, stream.last_id, stream.max_deleted_id, stream.entries_added) == (3, (3, 0), (0, 5), 4)
    [group] = stream.groups
    assert [(item.id, item.consumer) for item in group.pending] == [((1, 1), b"c")]
    assert [(one.name, one.active_at) for one in group.consumers] == [(b"c", MS), (b"d", -1)]
    assert stream.idmp.producers == [(b"p", [(b"i", (MS, 0))])]


def test_paths(build):
    """In any order; the empty path is a path; a path of many fields comes in parts, of which the first names it."""
    values = build("rdb.values")
    pairs = [(b"f%d" % number, b"v") for number in range(4000)]
    data = body_of(spec.PATH_HASH, [(b"b", [(b"f", b"v")]), (b"", pairs)])
    found, due = values.value(decoder(build, spec.PATH_HASH, data))
    assert (found, due) == ({b"": dict(pairs), b"b": {b"f": b"v"}}, {})
    parts = [part for batch in decoder(build, spec.PATH_HASH, data).parts() for part in batch]
    assert [path for path, _ in parts] == [b"", None, None, b"b"]
    assert [pair for _, some in parts[:3] for pair in some] == pairs
    assert values.value(decoder(build, spec.PATH_HASH, unhex("02 0162 01 0166 0176 0161 01 0166 0177")))[0] == {
        b"b": {b"f": b"v"},
        b"a": {b"f": b"w"},
    }
    assert values.value(decoder(build, spec.PATH_HASH, b"\0"))[0] == {}


def test_bitmaps(build):
    """Never expanded: a few bytes can stand for a long range, and no memory goes with the stated length."""
    values = build("rdb.values")
    value = 1 << 57, [(0, 0), (5, 1 << 24), (1 << 59, 1 << 59)]
    data = body_of(spec.BITMAP, value)
    found, due = values.value(decoder(build, spec.BITMAP, data))
    assert (found, due) == (values.Bitmap(*value), {})
    data = unhex("80 0001e849 1e 0100000000000000 00000000 3a300000 01000000 0f00 0000 10000000 4042")
    assert values.value(decoder(build, spec.BITMAP, data))[0] == values.Bitmap(125001, [(1000000, 1000000)])
    assert values.value(decoder(build, spec.BITMAP, unhex("00 08 0000000000000000")))[0] == values.Bitmap()


def test_zsets_come_in_the_order_of_zrange(build):
    scored = [(b"b", 1.0), (b"a", 1.0), (b"z", -math.inf), (b"m", 0.0)]
    for type_id in (spec.ZSET, spec.ZSET_2):
        found, _ = build("rdb.values").value(decoder(build, type_id, body_of(type_id, scored)))
        assert found == [(b"z", -math.inf), (b"m", 0.0), (b"a", 1.0), (b"b", 1.0)]


def test_what_older_streams_lack_is_derived(build):
    found, _ = build("rdb.values").value(decoder(build, spec.STREAM_LISTPACKS, body_of(spec.STREAM_LISTPACKS)))
    assert (found.first_id, found.max_deleted_id, found.entries_added) == ((1, 1), (0, 0), 3)
    assert (found.groups[0].entries_read, found.groups[0].consumers[0].active_at, found.idmp) == (None, None, None)
    found, _ = build("rdb.values").value(decoder(build, spec.STREAM_LISTPACKS_2, body_of(spec.STREAM_LISTPACKS_2)))
    assert (found.groups[0].entries_read, found.groups[0].consumers[0].active_at) == (2, None)
    empty = unhex("00 00 0000 00")
    found, _ = build("rdb.values").value(decoder(build, spec.STREAM_LISTPACKS, empty))
    assert (found.entries, found.first_id) == ([], (0, 0))


def test_pending_entries_without_an_owner(build):
    pending = [Pending((1, 1), None, MS, 1), Pending((1, 2), b"c", MS, 2)]
    stream = type(STREAM)(groups=[Group(b"g", (1, 2), None, pending, [Consumer(b"c", MS, MS)])])
    for type_id in (spec.STREAM_LISTPACKS_3, spec.STREAM_LISTPACKS_5):
        found, _ = build("rdb.values").value(decoder(build, type_id, body_of(type_id, stream)))
        [group] = found.groups
        assert [(item.id, item.consumer, item.deliveries) for item in group.pending] == [
            ((1, 1), None, 1),
            ((1, 2), b"c", 2),
        ]
        assert group.entries_read is None


def test_min_expiry(build):
    for type_id in (spec.HASH_METADATA, spec.HASH_LISTPACK_EX):
        reader = decoder(build, type_id, body_of(type_id))
        next(reader.parts())
        assert reader.min_expiry == MS


# -- parts -------------------------------------------------------------------------------------------------------------


@types
def test_parts_are_the_value(build, type_id):
    """In pieces, from a large value: what the batches hold is what the value holds, and none of them is large."""
    value = many(type_id)
    data = body_of(type_id, value, compress=False)
    templates = {0: tuple(default_template(value))} if spec.BY_ID[type_id].type == "hash" else {}
    cursor = build("wire.cursor").Cursor(data, base=START)
    reader = build("rdb.values").Decoder(type_id, cursor, templates)
    batches = list(reader.parts())
    assert reader.parts() is reader.parts()
    assert list(reader.parts()) == []
    parts = [part for batch in batches for part in batch]
    kind = spec.BY_ID[type_id].type
    if kind == "string":
        assert b"".join(parts) == value
    elif kind == "stream":
        assert [part[0] for part in parts] == [part[0] for part in value.entries]
        assert reader.tail is not None
    elif kind == "module":
        assert len(parts) == (5 + 2 * 5000 if type_id == spec.CRON else 5000) - (2 if type_id == spec.CRON else 0)
    else:
        assert len(parts) == 5000
    if kind not in ("string", "hash") or type_id not in range(29, 33):
        assert max(map(len, batches)) <= 4096
    assert cursor.at_end()


def default_template(value: Any) -> list[bytes]:
    return sorted((field for field, _, _ in value), key=lambda field: (len(field), field))


def many(type_id: int) -> Any:
    """Return a value of five thousand elements."""
    numbers = range(5000)
    names = [b"element:%d" % number for number in numbers]
    kind = spec.BY_ID[type_id].type
    if type_id == spec.SET_INTSET:
        return {b"%d" % number for number in numbers}
    if type_id == spec.CRON:
        return b"s", 1, 2, names, names
    if kind == "stream":
        entries = [((number + 1, 0), [(b"f", b"v")]) for number in numbers]
        return type(STREAM)(entries=entries, last_id=(5000, 0), first_id=(1, 0), entries_added=5000, length=5000)
    by_kind = {
        "string": lambda: b"".join(names) * 10,
        "list": lambda: names,
        "set": lambda: names,
        "zset": lambda: [(name, float(number)) for number, name in enumerate(names)],
        "hash": lambda: [(name, b"v", None) for name in names],
        "array": lambda: list(enumerate(names)),
        "bitmap": lambda: (1 << 20, [(4 * number, 4 * number + 1) for number in numbers]),
        "path-hash": lambda: [(name, [(b"f", b"v")]) for name in names],
        "module": lambda: ("kit-typeA", 3, [("string", name) for name in names]),
    }
    return by_kind[kind]()


# -- what is wrong -----------------------------------------------------------------------------------------------------


def lp(*items: bytes) -> bytes:
    """Return a listpack as a string of the file."""
    return body_of(spec.SET_LISTPACK, list(items))


def node(*items: Any) -> bytes:
    return lp(*(item if isinstance(item, bytes) else b"%d" % item for item in items))


ID = b"\x10" + (1).to_bytes(8, "big") + (1).to_bytes(8, "big")
RAW = ID[1:]
AT = b"\x00" * 8
ONE = node(1, 0, 1, b"f", 0, 2, 0, 0, b"v", 4)
#: The bytes before a group in a stream without entries, of type 15; and a group's name and last id.
HEAD = b"\x00\x00\x00\x00"
GROUP = b"\x01g\x00\x00"

#: (type, body, code, where the offset points, from the body's start)
BAD: list[tuple[str, bytes, str, int]] = [
    ("STRING", b"\xc4", "bad-string", 0),
    ("STRING", b"\xc3\x01\x80\x00\x10\x00\x00" + b"\0", "bad-lzf", 0),
    ("STRING", b"\xc3\x02\x14\x00\x61", "bad-lzf", 0),
    ("STRING", b"\xc3\x04\x16\x00\x61\x40\x05", "bad-lzf", 0),
    ("STRING", b"\x82\x00", "bad-length", 0),
    ("LIST", b"\xc0\x01", "bad-length", 0),
    ("LIST", b"\x01\xff", "bad-string", 1),
    ("ZSET", b"\x01\x01a\x03abc", "bad-score", 3),
    ("ZSET", b"\x01\x01a\x00", "bad-score", 3),
    ("ZSET", b"\x01\x01a\x031_0", "bad-score", 3),
    ("ZSET", b"\x01\x01a\x02 1", "bad-score", 3),
    ("HASH_ZIPLIST", body_of(spec.LIST_ZIPLIST, [b"a", b"b", b"c"]), "bad-ziplist", 0),
    ("HASH_LISTPACK", lp(b"a"), "bad-listpack", 0),
    ("ZSET_LISTPACK", lp(b"a", b"1", b"b"), "bad-listpack", 0),
    ("ZSET_LISTPACK", lp(b"a", b"x"), "bad-score", 0),
    ("ZSET_LISTPACK", lp(b"a", b""), "bad-score", 0),
    ("ZSET_ZIPLIST", body_of(spec.LIST_ZIPLIST, [b"a", b"x"]), "bad-score", 0),
    ("SET_LISTPACK", b"\x07\x08\x00\x00\x00\x00\x00\xff", "bad-listpack", 0),
    ("SET_LISTPACK", b"\xc0\x01", "bad-length", 0),
    ("SET_LISTPACK", b"\x00", "bad-listpack", 0),
    ("LIST_ZIPLIST", b"\x00", "bad-ziplist", 0),
    ("SET_INTSET", b"\x08\x03\x00\x00\x00\x01\x00\x00\x00", "bad-intset", 0),
    ("SET_INTSET", b"\x0c\x02\x00\x00\x00\x02\x00\x00\x00\x05\x00\x05\x00", "bad-intset", 0),
    ("SET_INTSET", b"\x08\x02\x00\x00\x00\x00\x00\x00\x00", "bad-intset", 0),
    ("HASH_ZIPMAP", b"\x02\x01\x05", "bad-zipmap", 0),
    ("LIST_QUICKLIST", b"\x01\x00", "bad-ziplist", 1),
    ("LIST_QUICKLIST_2", b"\x01\x03\x00", "bad-quicklist", 1),
    ("LIST_QUICKLIST_2", b"\x01\x00\x00", "bad-quicklist", 1),
    ("LIST_QUICKLIST_2", b"\x01\x02\x00", "bad-listpack", 2),
    ("HASH_2", b"\x01\x01f\x01v" + (-2).to_bytes(8, "little", signed=True), "bad-field-expiry", 5),
    ("HASH_METADATA", ((1 << 48) + 1).to_bytes(8, "little") + b"\x00", "bad-field-expiry", 0),
    ("HASH_METADATA", (1 << 48).to_bytes(8, "little") + b"\x01\x01\x01f\x01v", "bad-field-expiry", 9),
    ("HASH_METADATA", (-1).to_bytes(8, "little", signed=True) + b"\x00", "bad-field-expiry", 0),
    ("HASH_METADATA", ((1 << 48) - 3).to_bytes(8, "little") + b"\x01\x05\x01f\x01v", "bad-field-expiry", 9),
    ("HASH_METADATA_PRE_GA", b"\x01\x81" + (1 << 48).to_bytes(8, "big") + b"\x01f\x01v", "bad-field-expiry", 1),
    ("HASH_LISTPACK_EX", AT + lp(b"f", b"v", b"soon"), "bad-field-expiry", 8),
    ("HASH_LISTPACK_EX", AT + lp(b"f", b"v", b"-1"), "bad-field-expiry", 8),
    ("HASH_LISTPACK_EX", AT + lp(b"f", b"v", b"%d" % (1 << 48)), "bad-field-expiry", 8),
    ("HASH_LISTPACK_EX", AT + lp(b"f", b"v"), "bad-listpack", 8),
    ("HASH_LISTPACK_EX_PRE_GA", lp(b"f", b"v", b"x"), "bad-field-expiry", 0),
    ("HASH_TMPL_LP_REF", lp(b"9", b"x", b"y"), "bad-template", 0),
    ("HASH_TMPL_LP_REF", lp(b"1", b"x"), "bad-template", 0),
    ("HASH_TMPL_LP_REF", lp(b"1", b"x", b"y", b"z"), "bad-template", 0),
    ("HASH_TMPL_LP_REF", lp(b"one", b"x", b"y"), "bad-template", 0),
    ("HASH_TMPL_LP_REF", lp(b"-1", b"x", b"y"), "bad-template", 0),
    ("HASH_TMPL_ARRAY_REF", b"\x09\x01x\x01y", "bad-template", 0),
    ("HASH_TMPL_LP", b"\x02", "bad-template", 0),
    ("HASH_TMPL_LP", b"\x00" + lp(b"a", b"bb") + lp(b"1", b"x"), "bad-template", 16),
    ("HASH_TMPL_ARRAY", b"\x05", "bad-template", 0),
    ("ARRAY", b"\x00\x00", "bad-array", 0),
    ("ARRAY", b"\x01\x02", "bad-array", 0),
    ("ARRAY", b"\x01\x00\x00\x04", "bad-array", 3),
    ("ARRAY", b"\x01\x00\x00\x03\x0812345678", "bad-array", 3),
    ("PATH_HASH", b"\x01\x01p\x00", "bad-path-hash", 1),
    ("PATH_HASH", b"\x02\x01p\x01\x01f\x01v\x01q\x00", "bad-path-hash", 8),
    ("BITMAP", b"\x01\x07" + bytes(7), "bad-bitmap", 1),
    ("BITMAP", b"\x81" + (1 << 60).to_bytes(8, "big") + b"\x08" + bytes(8), "bad-bitmap", 0),
    ("BITMAP", b"\x01" + body_of(spec.BITMAP, (2, [(8, 8)]))[1:], "bad-bitmap", 1),
    ("MODULE_2", b"\x00\x06", "bad-module", 1),
    ("STREAM_LISTPACKS", b"\x01\x0f" + RAW[:15] + ONE, "bad-stream", 1),
    ("STREAM_LISTPACKS", b"\x02" + (ID + ONE) * 2, "bad-stream", 1 + len(ID + ONE)),
    ("STREAM_LISTPACKS", b"\x01" + ID + node(1, 0, 1, b"f", 0), "bad-stream", 18),
    ("STREAM_LISTPACKS", b"\x01" + ID + node(1, 0, 1, b"f", 1, 2, 0, 0, b"v", 4), "bad-stream", 18),
    ("STREAM_LISTPACKS", b"\x01" + ID + node(1, 0, 1, b"f", 0, 2, 0, 0, b"v", 5), "bad-stream", 18),
    ("STREAM_LISTPACKS", b"\x01" + ID + node(1, 0, 1, b"f", 0, 2, 0, b"x", b"v", 4), "bad-stream", 18),
    ("STREAM_LISTPACKS", b"\x01" + ID + node(b"x", 0, 1, b"f", 0, 2, 0, 0, b"v", 4), "bad-stream", 18),
    ("STREAM_LISTPACKS", b"\x01" + ID + node(-1, 2, 1, b"f", 0, 2, 0, 0, b"v", 4), "bad-stream", 18),
    ("STREAM_LISTPACKS", b"\x01" + ID + node(1, 0, -1, 0, 2, 0, 0, b"v", 4), "bad-stream", 18),
    ("STREAM_LISTPACKS", b"\x01" + ID + node(1, 0, 1, b"f", 0, 0, 0, 0, -1, 2), "bad-stream", 18),
    ("STREAM_LISTPACKS", b"\x01" + ID + node(0, 1, 1, b"f", 0, 2, 0, 0, b"v", 4), "bad-stream", 18),
    ("STREAM_LISTPACKS", b"\x01" + ID + node(1, 0, 1, b"f", 0, 3, 0, 0, b"v", 4), "bad-stream", 18),
    ("STREAM_LISTPACKS", b"\x01" + ID + node(1, 0, 1, b"f", 0, 2, 0, 0, b"v", 4, 9), "bad-stream", 18),
    ("STREAM_LISTPACKS", b"\x01" + ID + node(2, 0, 1, b"f", 0, *(2, 0, 0, b"v", 4) * 2), "bad-stream", 1),
    ("STREAM_LISTPACKS", b"\x01" + ID + node(2, 0, 1, b"f", 0, 2, 5, 0, b"v", 4, 2, 4, 0, b"v", 4), "bad-stream", 1),
    ("STREAM_LISTPACKS", HEAD + b"\x02" + (GROUP + b"\x00\x00") * 2, "bad-stream", 11),
    ("STREAM_LISTPACKS", HEAD + b"\x01" + GROUP + b"\x02" + (RAW + AT + b"\x01") * 2 + b"\x00", "bad-stream", 35),
    ("STREAM_LISTPACKS", HEAD + b"\x01" + GROUP + b"\x00\x01\x01c" + AT + b"\x01" + RAW, "bad-stream", 22),
    ("STREAM_LISTPACKS", HEAD + b"\x01" + GROUP + b"\x00\x02" + (b"\x01c" + AT + b"\x00") * 2, "bad-stream", 22),
    ("STREAM_LISTPACKS",
     HEAD + b"\x01" + GROUP + b"\x01" + RAW + AT + b"\x01\x02\x01c" + AT + b"\x01" + RAW
     + b"\x01d" + AT + b"\x01" + RAW,
     "pending-shared", 74),
    ("STREAM_LISTPACKS_5", HEAD + bytes(5) + b"\x01" + GROUP + b"\x00\x00\x00\x01" + RAW, "bad-stream", 18),
    ("STREAM_LISTPACKS_4", HEAD + bytes(6) + b"\x01\x01\x02\x01p\x00\x01p\x00\x00\x00", "bad-stream", 16),
]  # fmt: skip


LAST = (1 << 48) - 1
#: What redis-server 8.2.3 and valkey-server 9.1.2 load.
LOADED = [
    ("HASH_METADATA", LAST.to_bytes(8, "little") + b"\x01\x01\x01f\x01v", LAST),
    ("HASH_METADATA", (LAST + 1).to_bytes(8, "little") + b"\x01\x00\x01f\x01v", None),
    ("HASH_METADATA", bytes(8) + b"\x01\x01\x01f\x01v", None),
    ("HASH_METADATA_PRE_GA", b"\x01\x81" + LAST.to_bytes(8, "big") + b"\x01f\x01v", LAST),
    ("HASH_LISTPACK_EX", bytes(8) + lp(b"f", b"v", b"%d" % LAST), LAST),
    ("HASH_LISTPACK_EX", b"\xff" * 8 + lp(b"f", b"v", b"0"), None),
    ("HASH_2", b"\x01\x01f\x01v" + ((1 << 63) - 1).to_bytes(8, "little"), (1 << 63) - 1),
]


@pytest.mark.parametrize(("name", "data", "due"), LOADED)
def test_field_expiries_that_servers_load(build, name, data, due):
    found = build("rdb.values").value(decoder(build, getattr(spec, name), data))
    assert found == ({b"f": b"v"}, {} if due is None else {b"f": due})


@pytest.mark.parametrize(("name", "data", "code", "at"), BAD, ids=[f"{row[0]}-{n}" for n, row in enumerate(BAD)])
def test_contradictions(build, name, data, code, at):
    """Corrupt, with the structure's code and place, whole and byte by byte."""
    for dribble in (False, True):
        found = decode(build, getattr(spec, name), data + bytes(64), dribble)
        assert isinstance(found, tuple), found
        assert found[:3] == ("Corrupt", code, START + at), found


@types
def test_cut_everywhere(build, type_id):
    """No prefix of a body is a body: Truncated at the cut, and nothing else."""
    data = body_of(type_id)
    for cut in range(len(data)):
        for dribble in (False, True):
            found = decode(build, type_id, data[:cut], dribble)
            assert found[:3] == ("Truncated", "truncated", START + cut), found


@types
def test_builds_read_damage_alike(builds, type_id):
    """Every byte in turn, with three changes."""
    data = body_of(type_id)
    for at in range(len(data)):
        for byte in (data[at] ^ 1, data[at] ^ 0x80, 0xFF):
            changed = data[:at] + bytes((byte,)) + data[at + 1 :]
            pure, compiled = (decode(build, type_id, changed) for build in builds)
            assert pure == compiled


@types
def test_skip_and_shape_end_where_the_value_ends(build, type_id):
    data = body_of(type_id) + b"next"
    reader = decoder(build, type_id, data)
    build("rdb.values").value(reader)
    for walk in ("skip", "shape"):
        cursor = build("wire.cursor").Cursor(data, base=START)
        getattr(build("rdb.body").Body(cursor, templates=TEMPLATES), walk)(type_id)
        assert cursor.tell() == reader.cursor.tell() == START + len(data) - 4


@pytest.mark.parametrize("count", [1 << 20, 1 << 40, (1 << 64) - 1])
@types
def test_a_claimed_count_costs_nothing(build, type_id, count):
    """A body that claims to have that many elements, and has none."""
    ahead = AT if type_id in (spec.HASH_METADATA, spec.HASH_LISTPACK_EX) else b""
    data = ahead + default_writer.encode_length(count)
    found = decode(build, type_id, data)
    assert isinstance(found, tuple)
    assert found[0] in ("Truncated", "Corrupt")


def test_numbers_of_any_length(build):
    """Digits beyond what int() takes are no time, no id, no count: never a ValueError."""
    long = b"9" * 5000
    for type_id, data in (
        (spec.HASH_LISTPACK_EX_PRE_GA, lp(b"f", b"v", long)),
        (spec.HASH_TMPL_LP_REF, lp(long, b"x", b"y")),
        (spec.STREAM_LISTPACKS, b"\x01" + ID + node(long, 0, 1, b"f", 0, 2, 0, 0, b"v", 4)),
        (spec.STREAM_LISTPACKS, b"\x01" + ID + node(1, 0, 1, b"f", 0, 2, long, 0, b"v", 4)),
        (spec.ZSET_LISTPACK, lp(b"m", b"x" + long)),
    ):
        found = decode(build, type_id, data + bytes(8))
        assert isinstance(found, tuple)
        assert found[0] == "Corrupt"
    found, _ = build("rdb.values").value(decoder(build, spec.ZSET_LISTPACK, lp(b"m", long)))
    assert found == [(b"m", math.inf)]


def test_refused_types_have_no_decoder(build):
    walker = build("rdb.body").Body
    for type_id in (spec.MODULE_PRE_GA, spec.ROR_BITMAP):
        with pytest.raises(build.errors.Unsupported) as caught:
            walker(build("wire.cursor").Cursor(b"\x01" * 40, base=START)).shape(type_id)
        assert error_of(caught.value)[:3] == ("Unsupported", "unsupported-type", START)


def test_shown_distinguishes_values():
    """The comparisons here depend on this."""
    assert shown({1.0}) != shown({b"1"})
    assert shown((0.0, -0.0)) == ["0.0", "-0.0"]
    assert shown(small(spec.STREAM_LISTPACKS_5)) == shown(STREAM)
