"""Commands: their bytes, and those that restore an entry, compared with real servers and read by a reader."""

from __future__ import annotations

import gzip
import io
import math
import tracemalloc
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st
from strategies import File, Key, damages, files, write

from aof.commands import Command, by_key, parse
from rdbkit.format import spec
from rdbkit.rdb import writer as rdb_writer
from rdbkit.rdb.pending_entries import Pending
from rdbkit.rdb.streams import Consumer, Group, Idmp, Stream

FIXTURES = Path(__file__).parent.parent.parent / "fixtures"
FAR = 4102444800123  # 2100-01-01, in ms
quick = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


class Rewritten:
    """The commands for a file, or for its bytes, for a target."""

    def __init__(self, build: Any, file: File | bytes, target: str, source: Any = None, **options: Any) -> None:
        data = file if isinstance(file, bytes) else write(file).data
        self.writes: list[bytes] = []
        with build("snapshot").open(source or data) as snapshot:
            rewriter = build("aof.rewrite").Rewriter(
                self.writes.append, build("releases.target").Target.parse(target), **options
            )
            for entry in snapshot:
                rewriter.entry(entry)
            for code in snapshot.functions:
                rewriter.function(code)
        self.lost = dict(rewriter.lost)
        self.data = b"".join(self.writes)

    @property
    def commands(self) -> list[Command]:
        return parse(self.data)

    @property
    def texts(self) -> list[str]:
        """Commands after the first SELECT, with words separated by blanks."""
        first, *rest = self.commands
        assert first == (b"SELECT", b"0")
        return [b" ".join(command).decode() for command in rest]


def one(type_id: int, value: Any, version: int = 15, product: str = "redis", **more: Any) -> File:
    return File(version, product, (Key(0, b"k", type_id, value, **more),), compress=False)


# -- bytes -------------------------------------------------------------------------------------------------------------


def test_command(build):
    writer = build("aof.writer")
    assert writer.command(b"SET", b"", b"\r\n\xff") == b"*3\r\n$3\r\nSET\r\n$0\r\n\r\n$3\r\n\r\n\xff\r\n"
    apart = writer.array_head(2) + writer.bulk(b"GET") + writer.bulk_head(1) + b"k" + writer.CRLF
    assert apart == writer.command(b"GET", b"k")


#: Value, text up to 7.0, text since 7.2: from AOFs that servers rewrote, and from the rule at its borders.
DOUBLES = [
    (0.1, "0.10000000000000001", "0.1"),
    (-0.0, "-0", "-0"),
    (0.0, "0", "0"),
    (1e17, "1e+17", "1e+17"),
    (123456789012345678.0, "1.2345678901234568e+17", "123456789012345680"),
    (12345678901234567000.0, "1.2345678901234567e+19", "12345678901234567000"),
    (1e300, "1.0000000000000001e+300", "1e+300"),
    (-1e-300, "-1e-300", "-1e-300"),
    (5e-324, "4.9406564584124654e-324", "5e-324"),
    (1.7976931348623157e308, "1.7976931348623157e+308", "1.7976931348623157e+308"),
    (1234567.891, "1234567.8910000001", "1234567.891"),
    (1700000000.123456, "1700000000.123456", "1700000000.123456"),
    (2.0**53, "9007199254740992", "9007199254740992"),
    (10.96, "10.960000000000001", "10.96"),
    (102.75000000000001, "102.75000000000001", "102.75000000000001"),
    (1e7, "10000000", "10000000"),
    (1e8, "100000000", "1e+8"),
    (12345.6789123, "12345.6789123", "1.23456789123e+4"),
    (0.00012345678, "0.00012345678000000001", "1.2345678e-4"),
    (0.00001, "1.0000000000000001e-05", "0.00001"),
    (math.inf, "inf", "inf"),
    (-math.inf, "-inf", "-inf"),
]


@pytest.mark.parametrize(("value", "long", "short"), DOUBLES)
def test_double_text(build, value, long, short):
    text = build("aof.writer").double_text
    assert (text(value, False).decode(), text(value, True).decode()) == (long, short)


@given(st.floats(allow_nan=False), st.booleans())
@example(9999.999999999998, True)
@example(0.0009999999999999998, True)
def test_double_text_reads_back(value, shortest):
    from rdbkit.aof.writer import double_text

    back = float(double_text(value, shortest))
    assert (back, math.copysign(1, back)) == (value, math.copysign(1, value))


# -- the commands of one value ---------------------------------------------------------------------------------------

TTL = [(b"a", b"1", FAR), (b"b", b"2", None), (b"c", b"3", FAR + 1)]
ONE_BY_ONE = [
    "HMSET k a 1",
    f"HPEXPIREAT k {FAR} FIELDS 1 a",
    "HMSET k b 2",
    "HMSET k c 3",
    f"HPEXPIREAT k {FAR + 1} FIELDS 1 c",
]
APART = [f"HSETEX k PXAT {FAR} FIELDS 1 a 1", f"HSETEX k PXAT {FAR + 1} FIELDS 1 c 3", "HMSET k b 2"]
ARRAY = [(0, b"a"), (1, 4), (2, 5.5), (9, 1.0)]

#: Type, value, target, commands.
FORMS: list[tuple[int, Any, str, list[str]]] = [
    (spec.STRING, b"-12", "7.0", ["SET k -12"]),
    (spec.STRING, b"", "2.4", ["SET k "]),
    (spec.LIST_QUICKLIST_2, [b"a", b"", b"12"], "7.0", ["RPUSH k a  12"]),
    (spec.LIST, [b"a", b"b"], "2.4", ["RPUSH k a", "RPUSH k b"]),
    (spec.SET_INTSET, {b"1", b"300"}, "7.0", ["SADD k 1 300"]),
    (spec.ZSET_LISTPACK, [(b"x", 0.1), (b"y", 2.0)], "7.0", ["ZADD k 0.10000000000000001 x 2 y"]),
    (spec.ZSET_2, [(b"x", 0.1), (b"y", math.inf)], "valkey:8.0", ["ZADD k inf y 0.1 x"]),
    (spec.HASH_LISTPACK, [(b"f", b"v", None), (b"g", b"", None)], "7.0", ["HMSET k f v g "]),
    (spec.HASH, [(b"f", b"v", None), (b"g", b"w", None)], "2.4", ["HSET k f v", "HSET k g w"]),
    (spec.HASH_METADATA, TTL, "7.4", ONE_BY_ONE),
    (spec.HASH_METADATA, TTL, "valkey:9.0", APART),
    (spec.HASH_METADATA, TTL, "valkey:8.1", ["HMSET k a 1 b 2 c 3"]),
    (spec.HASH_METADATA, TTL, "7.2", ["HMSET k a 1 b 2 c 3"]),
    (spec.ARRAY, ARRAY, "8.8", ["ARMSET k 0 a 1 4 2 5.5 9 1.0"]),
    (spec.HASH_TMPL_ARRAY_REF, [(b"b", b"2", None), (b"aa", b"1", None)], "8.8", ["HMSET k b 2 aa 1"]),
]


@pytest.mark.parametrize(("type_id", "value", "target", "expected"), FORMS)
def test_forms(build, type_id, value, target, expected):
    assert Rewritten(build, one(type_id, value), target).texts == expected


def test_valkeys_own_hash(build):
    file = one(spec.HASH_2, TTL, 80, "valkey")
    assert Rewritten(build, file, "valkey:9.1").texts == APART
    assert Rewritten(build, file, "8.0").texts == ONE_BY_ONE
    assert Rewritten(build, file, "7.2").lost == {"field expiry": 2}


def test_path_hashes(build):
    """Field by field, as the source of Valkey 9.2 has it; no other server has them."""
    paths = [(b"", [(b"f", b"v")]), (b"/a", [(b"f", b"1"), (b"g", b"")])]
    file = one(spec.PATH_HASH, paths, 81, "valkey", expires_at=FAR)
    texts = ["PHSET k  FIELDS 1 f v", "PHSET k /a FIELDS 1 f 1", "PHSET k /a FIELDS 1 g ", f"PEXPIREAT k {FAR}"]
    assert Rewritten(build, file, "valkey:9.2").texts == texts
    for target in ("valkey:9.1", "8.10"):
        assert (Rewritten(build, file, target).commands, Rewritten(build, file, target).lost) == ([], {"path-hash": 1})
    [_, restore, expiry] = Rewritten(build, file, "valkey:9.2", restore=True).commands
    body = rdb_writer.encode(spec.PATH_HASH, paths, compress=False)
    assert restore == restored(spec.PATH_HASH, body, 81)
    assert expiry[0] == b"PEXPIREAT"
    assert Rewritten(build, file, "valkey:9.1", restore=True).lost == {"path-hash": 1}


def test_bitmaps(build):
    """As RESTORE, for a server that has them; there are no commands for them."""
    value = 40, [(0, 0), (9, 17), (300, 300)]
    file = one(spec.BITMAP, value, 16, expires_at=FAR)
    body = rdb_writer.encode(spec.BITMAP, value, compress=False)
    for restore in (False, True):
        _, command, expiry = Rewritten(build, file, "8.12", restore=restore).commands
        assert command == (*restored(spec.BITMAP, body, 16), b"REPLACE")
        assert expiry == (b"PEXPIREAT", b"k", b"%d" % FAR)
        for target in ("8.10", "valkey:9.2"):
            rewritten = Rewritten(build, file, target, restore=restore)
            assert (rewritten.commands, rewritten.lost) == ([], {"bitmap": 1})


def test_databases_expiries_and_functions(build):
    keys = [Key(0, b"a", spec.STRING, b"1", expires_at=FAR), Key(0, b"b", spec.STRING, b"2")]
    keys.append(Key(9, b"c", spec.LIST, [b"x"], expires_at=1))
    file = File(10, "redis", tuple(keys), functions=(b"#!lua name=x\n",))
    head = ["SET a 1", f"PEXPIREAT a {FAR}", "SET b 2", "SELECT 9", "RPUSH c x", "PEXPIREAT c 1"]
    assert Rewritten(build, file, "7.0").texts == [*head, "FUNCTION LOAD #!lua name=x\n"]
    older = Rewritten(build, file, "6.2")
    assert (older.texts, older.lost) == (head, {"function": 1})
    assert f"EXPIREAT a {FAR // 1000}" in Rewritten(build, file, "2.4").texts


def test_array_goes_on_where_it_was(build):
    body = rdb_writer.encode(spec.ARRAY, [(0, b"a")], insert_index=101)
    assert Rewritten(build, raw(spec.ARRAY, body), "8.10").texts == ["ARMSET k 0 a", "ARSEEK k 102"]


def raw(type_id: int, body: bytes, version: int = 15, key: bytes = b"k") -> bytes:
    """A file of one key with this body."""
    out: list[bytes] = []
    to = rdb_writer.Writer(out.append, version)
    to.magic()
    to.select_db(0)
    to.entry(type_id, key, body)
    to.end()
    return b"".join(out)


@pytest.mark.parametrize(
    ("type_id", "value", "verb", "args", "width"),
    [
        (spec.LIST_QUICKLIST_2, [b"%d" % n for n in range(200)], b"RPUSH", 64, 1),
        (spec.LIST, [b"%d" % n for n in range(128)], b"RPUSH", 64, 1),
        (spec.SET, {b"m%d" % n for n in range(2000)}, b"SADD", 64, 1),
        (spec.ZSET_2, [(b"m%d" % n, n / 8) for n in range(300)], b"ZADD", 128, 2),
        (spec.HASH, [(b"f%d" % n, b"", None) for n in range(1600)], b"HMSET", 128, 2),
        (spec.ARRAY, [(n, n) for n in range(70)], b"ARMSET", 64, 2),
    ],
)
def test_batches(build, type_id, value, verb, args, width):
    file = File(15, "redis", (Key(0, b"k", type_id, value),), node_size=7)
    commands = Rewritten(build, file, "8.10").commands[1:]
    sizes = [len(command) - 2 for command in commands]
    assert {command[:2] for command in commands} == {(verb, b"k")}
    assert sizes == [args] * (len(value) * width // args) + ([left] if (left := len(value) * width % args) else [])


# -- streams -----------------------------------------------------------------------------------------------------------

ENTRIES = [((n, 0), [(b"n", b"%d" % n), (b"t", b"")]) for n in (1, 2, 3, 4)]
OWNED = [Pending((1, 0), b"c1", FAR, 2), Pending((3, 0), b"c1", FAR, 1)]
CONSUMERS = [Consumer(b"c1", FAR, FAR), Consumer(b"idle", FAR, None)]
GROUPS = [Group(b"g", (3, 0), 3, OWNED, CONSUMERS), Group(b"h", (0, 0), None)]
STREAM = Stream(ENTRIES, (7, 7), (1, 0), (0, 0), 4, GROUPS)
XADDS = [f"XADD k {n}-0 n {n} t " for n in (1, 2, 3, 4)]
CLAIM = "XCLAIM k g {} 0 {}-0 TIME {} RETRYCOUNT {} JUSTID FORCE"
CLAIMS = [CLAIM.format("c1", 1, FAR, 2), CLAIM.format("c1", 3, FAR, 1)]
IDLE = "XGROUP CREATECONSUMER k g idle"


def test_stream(build):
    file = one(spec.STREAM_LISTPACKS_3, STREAM)
    newer = [*XADDS, "XSETID k 7-7 ENTRIESADDED 4 MAXDELETEDID 0-0", "XGROUP CREATE k g 3-0 ENTRIESREAD 3", *CLAIMS]
    newer += [IDLE, "XGROUP CREATE k h 0-0 ENTRIESREAD -1"]
    older = [*XADDS, "XSETID k 7-7", "XGROUP CREATE k g 3-0", *CLAIMS, IDLE, "XGROUP CREATE k h 0-0"]
    for target, texts, lost in [
        ("7.0", newer, {}),
        ("valkey:9.1", newer, {}),
        ("6.2", older, {}),
        ("5.0", [text for text in older if text != IDLE], {"consumer": 1}),
    ]:
        rewritten = Rewritten(build, file, target)
        assert (rewritten.texts, rewritten.lost) == (texts, lost)


def test_empty_stream(build):
    value = Stream([], (10, 10), (0, 0), (10, 10), 1, [])
    state = "XSETID k 10-10 ENTRIESADDED 1 MAXDELETEDID 10-10"
    rewritten = Rewritten(build, one(spec.STREAM_LISTPACKS_2, value), "7.0")
    assert rewritten.texts == ["XADD k MAXLEN 0 0-1 x y", state]


def test_pending_entries_of_deleted_messages_are_lost(build):
    pending = [*OWNED, Pending((5, 0), b"c1", FAR, 1)]
    group = Group(b"g", (5, 0), 5, pending, CONSUMERS)
    value = Stream(ENTRIES, (7, 7), (1, 0), (5, 0), 5, [group, Group(b"h", (5, 0), 5, pending, CONSUMERS)])
    assert Rewritten(build, one(spec.STREAM_LISTPACKS_3, value), "7.0").lost == {"pending entry": 2}
    assert Rewritten(build, one(spec.STREAM_LISTPACKS, value), "7.0").lost == {"pending entry": 2}
    assert Rewritten(build, one(spec.STREAM_LISTPACKS_3, value), "7.2", restore=True).lost == {}
    # A server that read it from an RDB 9 took its entries as all that were ever added.
    value = replace(value, entries_added=len(ENTRIES), max_deleted_id=(0, 0))
    assert Rewritten(build, one(spec.STREAM_LISTPACKS_3, value), "7.0").lost == {"pending entry": 2}


def test_idempotent_producers_and_unowned_entries(build):
    pending = [Pending((1, 0), None, 0, 1), Pending((2, 0), None, 0, 1), Pending((3, 0), None, 0, 0)]
    idmp = Idmp(3600, 50, [(b"p", [(b"i", (2, 0)), (b"j", (3, 0))])], 2, 0)
    value = Stream(ENTRIES, (4, 0), (1, 0), (0, 0), 4, [Group(b"g", (4, 0), 4, pending, [])], idmp)
    file = one(spec.STREAM_LISTPACKS_5, value)
    state = "XSETID k 4-0 ENTRIESADDED 4 MAXDELETEDID 0-0"
    group = "XGROUP CREATE k g 4-0 ENTRIESREAD 4"
    records = ["XCFGSET k IDMP-DURATION 3600 IDMP-MAXSIZE 50", "XIDMPRECORD k p i 2-0", "XIDMPRECORD k p j 3-0"]
    nacks = ["XNACK k g FAIL IDS 2 1-0 2-0 RETRYCOUNT 1 FORCE", "XNACK k g FAIL IDS 1 3-0 RETRYCOUNT 0 FORCE"]
    for target, texts, lost in [
        ("8.8", [*XADDS, state, *records, group, *nacks], {}),
        ("8.6", [*XADDS, state, *records, group], {"pending entry": 3}),
        ("valkey:9.1", [*XADDS, state, group], {"pending entry": 3, "idempotency": 1}),
    ]:
        rewritten = Rewritten(build, file, target)
        assert (rewritten.texts, rewritten.lost) == (texts, lost)


# -- what a target lacks ---------------------------------------------------------------------------------------------


def test_lost(build):
    keys = [
        Key(0, b"s", spec.STREAM_LISTPACKS_2, STREAM, expires_at=FAR),
        Key(0, b"a", spec.ARRAY, ARRAY),
        Key(0, b"m", spec.MODULE_2, ("ReJSON-RL", 3, [("uint", 5)])),
        Key(0, b"h", spec.HASH_METADATA, TTL),
        Key(0, b"kept", spec.STRING, b"v"),
    ]
    rewritten = Rewritten(build, File(15, "redis", tuple(keys)), "4.0")
    assert rewritten.lost == {"stream": 1, "array": 1, "module": 1, "field expiry": 2}
    assert rewritten.texts == ["HMSET h a 1 b 2 c 3", "SET kept v"]


def test_modules(build):
    file = one(spec.MODULE_2, ("ReJSON-RL", 3, [("uint", 5), ("string", b"abc")]), 11)
    assert Rewritten(build, file, "7.2", restore=True).lost == {"module": 1}
    assert Rewritten(build, file, "3.2", modules=True).lost == {"module": 1}
    rewritten = Rewritten(build, file, "7.2", modules=True)
    body = bytes.fromhex("8145e25238df912c03 0205 0503616263 00")
    assert rewritten.commands[1:] == [restored(spec.MODULE_2, body, 11)]
    assert rewritten.lost == {}


def test_keydbs_own_are_lost(build):
    body = rdb_writer.encode(spec.CRON, (b"return 1", 1, 2, [], []))
    rewritten = Rewritten(build, raw(spec.CRON, body, 9), "6.2", modules=True, restore=True)
    assert (rewritten.commands, rewritten.lost) == ([], {"module": 1})


# -- RESTORE -----------------------------------------------------------------------------------------------------------


def restored(type_id: int, body: bytes, version: int) -> Command:
    return b"RESTORE", b"k", b"0", rdb_writer.dump_payload(type_id, body, version)


@pytest.mark.parametrize(
    ("type_id", "value", "target", "version"),
    [
        (spec.STRING, b"v" * 99, "2.6", 6),
        (spec.LIST_QUICKLIST_2, [b"a", b"b"], "7.0", 10),
        (spec.HASH_METADATA, TTL, "8.0", 12),
        (spec.STREAM_LISTPACKS_3, STREAM, "valkey:8.1", 11),
        (spec.ZSET_2, [(b"x", 0.1)], "valkey:9.0", 80),
        (spec.ARRAY, ARRAY, "8.8", 14),
    ],
)
def test_restore(build, type_id, value, target, version):
    rewritten = Rewritten(build, one(type_id, value, expires_at=FAR), target, restore=True)
    body = rdb_writer.encode(type_id, value, compress=False, short_scores=True)
    assert rewritten.commands[1:] == [restored(type_id, body, version), (b"PEXPIREAT", b"k", b"%d" % FAR)]


BROAD = Stream([((1, 1), [(b"f", b"x" * 16378)])], (1, 1), (1, 1), (0, 0), 1)


@pytest.mark.parametrize(
    ("type_id", "value", "target", "verb"),
    [
        (spec.STRING, b"v", "2.4", b"SET"),
        (spec.LIST_QUICKLIST_2, [b"a"], "6.2", b"RPUSH"),
        (spec.STREAM_LISTPACKS_3, STREAM, "7.0", b"XADD"),
        (spec.HASH_METADATA, TTL, "valkey:9.0", b"HSETEX"),
        (spec.HASH_TMPL_LP_REF, TTL[1:2], "8.8", b"HMSET"),
        (spec.LIST_QUICKLIST_2, [b"a", b"x" * 16378], "7.2", b"RPUSH"),
        (spec.HASH_LISTPACK, [(b"a", b"x" * 16378, None)], "7.2", b"HMSET"),
        (spec.STREAM_LISTPACKS_2, BROAD, "7.2", b"XADD"),
    ],
)
def test_restore_is_not_for_all(build, type_id, value, target, verb):
    file = File(15, "redis", (Key(0, b"k", type_id, value),))
    rewritten = Rewritten(build, file, target, restore=True)
    assert rewritten.commands[1][:2] == (verb, b"k")
    assert rewritten.lost == {}


def test_templates_take_their_names_along(build):
    """As 8.10.2 wrote them, but for the template's id, which means nothing there."""
    file = one(spec.HASH_TMPL_LP_REF, [(b"f", b"v2", None)])
    payload = bytes.fromhex("1d 00 0a 0a00000001008166 02ff 0d 0d000000020000 01 827632 03 ff 0f00 0000000000000000")
    assert Rewritten(build, file, "8.10").commands[1:] == [(b"RESTORE", b"k", b"0", payload, b"REPLACE")]
    long = [(b"\x00\xff", b"v", None), (b"12", b"", None), (b"f" * 100, b"1", None)]
    file = one(spec.HASH_TMPL_ARRAY_REF, long)
    body = bytes.fromhex("1f 01 03 0200ff c00c 4064") + b"f" * 100 + bytes.fromhex("0176 00 c001 0f00") + bytes(8)
    # Names go by length, then by bytes.
    assert Rewritten(build, file, "8.10").commands[1:] == [(b"RESTORE", b"k", b"0", body, b"REPLACE")]


# -- any size ----------------------------------------------------------------------------------------------------------

LONG = bytes(range(256)) * 12288  # 3 MiB
PIECE = (1 << 18) + 64  # a window, and the head of the command


class Pipe(io.BytesIO):
    """Bytes that come once."""

    def seekable(self) -> bool:
        return False

    def seek(self, *_: Any) -> int:
        raise OSError("a pipe")


STRINGS = [b"%d" % n * 50 for n in range(20000)]
#: Type, value, arguments of its commands.
LONG_VALUES = [
    (spec.STRING, LONG, [LONG]),
    (spec.LIST, STRINGS, STRINGS),
    (spec.HASH, [(text, b"", None) for text in STRINGS], [item for text in STRINGS for item in (text, b"")]),
]


@pytest.mark.parametrize("which", range(3))
def test_long_values_go_in_pieces(build, tmp_path, which):
    type_id, value, expected = LONG_VALUES[which]
    path = tmp_path / "dump.rdb"
    path.write_bytes(write(one(type_id, value)).data)
    for source in (path, Pipe(path.read_bytes())):
        rewritten = Rewritten(build, b"", "7.0", source)
        assert max(map(len, rewritten.writes)) <= PIECE
        same = [item for command in rewritten.commands[1:] for item in command[2:]] == expected
        assert same  # without pytest's own attempt to show where they differ
        assert rewritten.lost == {}


def test_long_bodies_are_restored_from_files(build, tmp_path):
    path = tmp_path / "dump.rdb"
    body = rdb_writer.encode(spec.STRING, LONG, compress=False)
    path.write_bytes(raw(spec.STRING, body))
    rewritten = Rewritten(build, b"", "7.0", path, restore=True)
    assert max(map(len, rewritten.writes)) <= PIECE
    assert rewritten.commands[1:] == [restored(spec.STRING, body, 10)]


def test_long_bodies_on_a_pipe_are_never_lost_silently(build):
    rewritten = Rewritten(build, b"", "7.0", Pipe(write(one(spec.STRING, LONG)).data), restore=True)
    whole = rewritten.commands[1:] == [(b"SET", b"k", LONG)]
    assert rewritten.lost == ({} if whole else {"not rereadable on a pipe": 1})


@pytest.mark.parametrize("restore", [False, True])
def test_memory_is_bounded(build, tmp_path, restore):
    path = tmp_path / "dump.rdb"
    path.write_bytes(write(one(spec.STRING, LONG * 8)).data)
    sink = io.FileIO(tmp_path / "out.resp", "w")
    with build("snapshot").open(path) as snapshot:
        rewriter = build("aof.rewrite").Rewriter(
            sink.write, build("releases.target").Target.parse("7.0"), restore=restore
        )
        tracemalloc.start()
        for entry in snapshot:
            rewriter.entry(entry)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    sink.close()
    assert (tmp_path / "out.resp").stat().st_size > len(LONG) * 8
    assert peak < 6 << 20


# -- any file ----------------------------------------------------------------------------------------------------------


def replayed(commands: list[Command]) -> dict[tuple[int, bytes], Any]:
    """Do what the commands say, for values that are no streams, and put them into comparable form."""
    db, keys = 0, {}
    for verb, *args in commands:
        if verb == b"SELECT":
            db = int(args[0])
            continue
        key, *rest = args
        value = keys.setdefault((db, key), {})
        if verb == b"SET":
            keys[db, key] = rest[0]
        elif verb in (b"RPUSH", b"SADD"):
            value.update({len(value) + n if verb == b"RPUSH" else x: x for n, x in enumerate(rest)})
        elif verb == b"ZADD":
            value.update({member: repr(float(score)) for score, member in zip(rest[::2], rest[1::2])})
        elif verb in (b"HMSET", b"HSET", b"ARMSET"):
            value.update({name: (text, None) for name, text in zip(rest[::2], rest[1::2])})
        elif verb == b"PHSET":
            value.setdefault(rest[0], {})[rest[3]] = rest[4]
        elif verb == b"HPEXPIREAT":
            value[rest[3]] = (value[rest[3]][0], int(rest[0]))
        elif verb == b"HSETEX":
            value[rest[4]] = (rest[5], int(rest[1]))
    return keys


def as_replayed(key: Key) -> Any:
    kind, value = spec.BY_ID[key.type_id].type, key.value
    if kind == "list":
        return dict(enumerate(value))
    if kind == "set":
        return {member: member for member in value}
    if kind == "zset":
        return {member: repr(float(score)) for member, score in value}
    if kind == "hash":
        return {name: (text, due) for name, text, due in value}
    if kind == "path-hash":
        return {path: dict(pairs) for path, pairs in value}
    if kind == "array":
        return {b"%d" % at: (x if isinstance(x, bytes) else repr(x).encode(), None) for at, x in value}
    return value


@quick
@given(file=files())
def test_values_survive(build, file):
    target = "valkey:9.2" if file.product == "valkey" else "8.8"
    simple = [key for key in file.keys if spec.BY_ID[key.type_id].type not in ("stream", "module", "bitmap")]
    assume(simple)
    keys = replayed(Rewritten(build, file, target).commands)
    assert {(key.db, key.key): as_replayed(key) for key in simple}.items() <= keys.items()


@quick
@given(file=files(), target=st.sampled_from(["2.4", "5.0", "7.0", "8.10", "valkey:8.1", "valkey:9.1"]), data=st.data())
def test_only_our_errors_escape(build, file, target, data):
    damaged = data.draw(damages(write(file).data))
    flags = {"restore": data.draw(st.booleans()), "modules": data.draw(st.booleans())}
    with suppress(build.errors.RdbkitError):
        parse(Rewritten(build, damaged.data, target, **flags).data)


def test_damage_names_the_key(build):
    body = rdb_writer.encode(spec.HASH_LISTPACK, [(b"f", b"v", None)], compress=False)
    odd = body[:5] + b"\x01" + body[6:9] + body[12:]
    broken = bytearray(raw(spec.HASH_LISTPACK, bytes([len(odd) - 1]) + bytes([len(odd) - 1]) + odd[2:], key=b"broken"))
    with pytest.raises(build.errors.Corrupt) as caught:
        Rewritten(build, bytes(broken), "7.0")
    assert (caught.value.db, caught.value.key) == (0, b"broken")


# -- real servers ------------------------------------------------------------------------------------------------------


def _bases() -> list[Path]:
    """RESP bases that servers rewrote, compared with an RDB of the same data."""
    found = [*FIXTURES.glob("*/aof-rewritten/appendonly.aof.gz"), *FIXTURES.glob("*/aof-rewritten/*/*.base.aof.gz")]
    return sorted(path for path in found if _dump_of(path).exists())


def _dump_of(base: Path) -> Path:
    return FIXTURES / base.relative_to(FIXTURES).parts[0] / "rdb-canonical" / "dump.rdb"


@pytest.mark.parametrize("base", _bases(), ids=lambda path: path.relative_to(FIXTURES).parts[0])
def test_same_commands_as_the_server(build, base):
    target = base.relative_to(FIXTURES).parts[0].replace("-", ":")
    ours = by_key(Rewritten(build, _dump_of(base).read_bytes(), target).commands)
    theirs = by_key(parse(gzip.decompress(base.read_bytes())))
    # Times of their own; what the test did to the server afterwards; how 5.0 makes an empty stream.
    apart = {b"stream:idmp", b"stream:idmp:cfg", b"after:rewrite", b"ttl:str"}
    apart |= {b"stream:empty", b"stream:mkstream"} if "redis:5" in target else set()
    assert ours.keys() - theirs.keys() == set()
    for (db, key), commands in theirs.items():
        if key not in apart:
            assert ours.get((db, key)) == commands, key
