"""Commands of hashes in a replay: the values, the expiries of fields, and the encodings that real servers had."""

from __future__ import annotations

import pytest

import rdbkit
from keyspace.made import Found, aof, replayed
from rdbkit.format import spec
from rdbkit.rdb.encoders import ENCODERS, Options
from rdbkit.rdb.writer import Writer

FUTURE = 1_999_999_999_999
LATER = FUTURE + 1
OLDER, REDIS, VALKEY = "redis:7.0.15", "redis:8.10.2", "valkey:9.1.2"
EXPIRING = (REDIS, VALKEY)


def made(*commands, target=REDIS, **options):
    """The key h, None if there is none."""
    return replayed(*commands, target=target, **options).get(b"h")


def pairs(*numbers):
    return [word for number in numbers for word in (f"m{number}", number)]


@pytest.mark.parametrize(
    ("commands", "value"),
    [
        (["HSET h a 1 b 2"], {b"a": b"1", b"b": b"2"}),
        (["HSET h a 1", "hmset h a 3 c 4"], {b"a": b"3", b"c": b"4"}),
        (["HSET h a 1", "HSET h b 2 c"], {b"a": b"1"}),
        (["HSET h a 1", "HSETNX h a 2", "HSETNX h b 3"], {b"a": b"1", b"b": b"3"}),
        (["HSET h a 1 b 2", "HDEL h b c b"], {b"a": b"1"}),
        (["HINCRBY h a 5", "HINCRBY h a -7"], {b"a": b"-2"}),
        (["HSET h a x", "HINCRBY h a 5"], {b"a": b"x"}),
        (["HSET h a 9223372036854775807", "HINCRBY h a 1"], {b"a": b"9223372036854775807"}),
        (["HSET h a -9223372036854775808", "HINCRBY h a -1"], {b"a": b"-9223372036854775808"}),
        (["HINCRBYFLOAT h a 0.1", "HINCRBYFLOAT h a 0.2"], {b"a": b"0.3"}),
        (["HSET h a 9223372036854775807", "HINCRBYFLOAT h a -3"], {b"a": b"9223372036854775804"}),
        (["HINCRBYFLOAT h a 1e3", "HINCRBYFLOAT h a x", "HINCRBYFLOAT h a inf"], {b"a": b"1000"}),
        (["HINCRBYFLOAT h a -1.5", "HINCRBYFLOAT h a 1.5"], {b"a": b"0"}),
        (["SET h x", "HSET h a 1"], b"x"),
    ],
)
@pytest.mark.parametrize("target", [OLDER, REDIS, VALKEY])
def test_fields_and_values(commands, value, target):
    assert made(*commands, target=target).value == value


def test_a_hash_without_fields_is_removed_and_its_expiry_with_it():
    assert made("HSET h a 1", f"PEXPIREAT h {FUTURE}", "HDEL h a") is None
    assert made("HSET h a 1", f"PEXPIREAT h {FUTURE}", "HDEL h a", "HSET h a 2").expires_at is None
    assert made("HSET h a 1", f"PEXPIREAT h {FUTURE}", "HSET h b 2").expires_at == FUTURE


def test_a_failed_command_leaves_no_empty_hash():
    assert made("HINCRBY h a x") is None
    assert made("HSET h a") is None
    assert made("HGETDEL h FIELDS 1 a") is None


@pytest.mark.parametrize(
    ("target", "small"),
    [("redis:2.4.18", "zipmap"), ("redis:6.2.14", "ziplist"), (OLDER, "listpack"), (VALKEY, "listpack")],
)
def test_a_hash_is_compact_up_to_its_limits_and_never_again(target, small):
    assert made("HSET h a 1", target=target).encoding == small
    assert made(("HMSET", "h", *pairs(*range(512))), target=target).encoding == small
    large = ("HMSET", "h", *pairs(*range(513)))
    assert made(large, target=target).encoding == "hashtable"
    assert made(large, ("HDEL", "h", *pairs(*range(511))[::2]), target=target).encoding == "hashtable"
    assert made(("HSET", "h", "a", "x" * 64), target=target).encoding == small
    assert made(("HSET", "h", "a", "x" * 65), target=target).encoding == "hashtable"
    assert made(("HSET", "h", "x" * 65, "a"), ("HSET", "h", "b", "1"), target=target).encoding == "hashtable"
    assert made(("HSET", "h", "a", "x" * 65), "HDEL h a", "HSET h b 1", target=target).encoding == small


def test_the_limits_are_those_of_the_settings():
    settings = {"hash-max-listpack-entries": "2", "hash-max-listpack-value": "3"}
    assert made("HSET h a 1 b 2", settings=settings).encoding == "listpack"
    assert made("HSET h a 1 b 2 c 3", settings=settings).encoding == "hashtable"
    assert made("HSET h a 1234", settings=settings).encoding == "hashtable"


@pytest.mark.parametrize(("target", "encoding"), [("redis:6.2.14", "ziplist"), (OLDER, "hashtable")])
def test_the_increment_of_a_field_with_a_long_name(target, encoding):
    assert made(("HINCRBY", "h", "x" * 65, "1"), target=target).encoding == encoding


@pytest.mark.parametrize(("target", "encoding"), [(OLDER, "listpack"), ("redis:7.2.6", "hashtable")])
def test_one_field_many_times_in_a_command(target, encoding):
    assert made(("HSET", "h", *["a", "1"] * 513), target=target).encoding == encoding


@pytest.mark.parametrize(
    ("commands", "due"),
    [
        ([f"HPEXPIREAT h {FUTURE} FIELDS 2 a c"], {b"a": FUTURE}),
        (["HEXPIREAT h 1999999999 FIELDS 1 b"], {b"b": 1_999_999_999_000}),
        ([f"HPEXPIREAT h {FUTURE} FIELDS 1 a", "HSET h a 5"], {}),
        ([f"HPEXPIREAT h {FUTURE} FIELDS 1 a", "HINCRBY h a 5"], {b"a": FUTURE}),
        ([f"HPEXPIREAT h {FUTURE} FIELDS 2 a b", "HDEL h a"], {b"b": FUTURE}),
        ([f"HPEXPIREAT h {FUTURE} FIELDS 2 a b", "HPERSIST h FIELDS 2 a c"], {b"b": FUTURE}),
        ([f"HPEXPIREAT h {FUTURE} FIELDS 1 a", f"HPEXPIREAT h {LATER} NX FIELDS 2 a b"], {b"a": FUTURE, b"b": LATER}),
        ([f"HPEXPIREAT h {FUTURE} FIELDS 1 a", f"HPEXPIREAT h {LATER} xx FIELDS 2 a b"], {b"a": LATER}),
        ([f"HPEXPIREAT h {FUTURE} FIELDS 1 a", f"HPEXPIREAT h {LATER} GT FIELDS 2 a b"], {b"a": LATER}),
        ([f"HPEXPIREAT h {FUTURE} FIELDS 1 a", f"HPEXPIREAT h {LATER} LT FIELDS 2 a b"], {b"a": FUTURE, b"b": LATER}),
        ([f"HSETEX h PXAT {FUTURE} FIELDS 1 a 5"], {b"a": FUTURE}),
        ([f"HSETEX h PXAT {FUTURE} FIELDS 1 a 5", "HSETEX h FIELDS 1 a 6"], {}),
        ([f"HSETEX h PXAT {FUTURE} FIELDS 1 a 5", "HSETEX h KEEPTTL FIELDS 1 a 6"], {b"a": FUTURE}),
        ([f"HGETEX h PXAT {FUTURE} FIELDS 1 a"], {b"a": FUTURE}),
        (["HGETEX h EXAT 1999999999 FIELDS 1 a", "HGETEX h PERSIST FIELDS 1 a"], {}),
        ([f"HPEXPIREAT h {FUTURE} FIELDS 3 a b"], {}),
        ([f"HPEXPIREAT h {FUTURE} FIELDS 0"], {}),
        ([f"HPEXPIREAT h {FUTURE}"], {}),
        ([f"HPEXPIREAT h {FUTURE} FIELDS 1 a b"], {}),
        (["HPEXPIREAT h -1 FIELDS 1 a"], {}),
        ([f"HSETEX h PXAT {FUTURE} KEEPTTL FIELDS 1 a 5"], {}),
    ],
)  # fmt: skip
@pytest.mark.parametrize("target", EXPIRING)
def test_expiries_of_fields(commands, due, target):
    found = made("HSET h a 1 b 2", *commands, target=target)
    assert found.due == due


@pytest.mark.parametrize("target", EXPIRING)
def test_past_expiries_are_kept(target):
    found = made("HSET h a 1 b 2", "HPEXPIREAT h 1000 FIELDS 1 a", "HSETEX h PXAT 5 FIELDS 1 c 3", target=target)
    assert found.value == {b"a": b"1", b"b": b"2", b"c": b"3"}
    assert found.due == {b"a": 1000, b"c": 5}


@pytest.mark.parametrize("target", EXPIRING)
def test_times_to_live_of_fields_count_from_the_load(target):
    commands = ["HSET h a 1 b 2", "HEXPIRE h 10 FIELDS 1 a", "HSETEX h PX 70 FIELDS 1 c 3", "HPEXPIRE h 5 FIELDS 1 b"]
    assert made(*commands, target=target, now=1000).due == {b"a": 11_000, b"c": 1070, b"b": 1005}
    with rdbkit.open(b"#TS:3\r\n" + aof(*commands), target=target) as snapshot:
        assert [Found(entry).due for entry in snapshot] == [{b"a": 13_000, b"c": 3070, b"b": 3005}]


@pytest.mark.parametrize("target", EXPIRING)
@pytest.mark.parametrize(
    ("options", "applies"),
    [("FNX FIELDS 1 c 9", True), ("FNX FIELDS 2 a 9 c 9", False), ("FXX FIELDS 2 a 9 b 9", True),
     ("FXX FIELDS 2 a 9 c 9", False), ("FXX FIELDS 2 a 9", False), ("FIELDS 2 a 9 c 9", True)],
)  # fmt: skip
def test_conditions_of_hsetex(options, applies, target):
    found = made("HSET h a 1 b 2", f"HSETEX h {options}", target=target)
    assert (b"9" in found.value.values()) is applies


def test_hsetex_of_valkey_has_conditions_on_the_key():
    assert made("HSETEX h XX FIELDS 1 a 1", target=VALKEY) is None
    assert made("HSETEX h NX FIELDS 1 a 1", "HSETEX h NX FIELDS 1 a 2", target=VALKEY).value == {b"a": b"1"}


def test_hgetdel():
    assert made("HSET h a 1 b 2", "HGETDEL h FIELDS 2 a c").value == {b"b": b"2"}
    assert made("HSET h a 1 b 2", "HGETDEL h FIELDS 2 a b") is None


def test_a_hash_with_expiries_is_a_listpackex_in_redis():
    expire = f"HPEXPIREAT h {FUTURE} FIELDS 1 a"
    assert made("HSET h a 1", expire).encoding == "listpackex"
    assert made("HSET h a 1", expire, "HPERSIST h FIELDS 1 a", "HSET h b 2").encoding == "listpackex"
    assert made("HSET h a 1", expire, ("HSET", "h", "b", "x" * 65)).encoding == "hashtable"
    assert made(("HSET", "h", *pairs(*range(512))), "HSET h a 1", expire).encoding == "hashtable"
    assert made(("HSET", "h", *pairs(*range(511))), "HSET h a 1", expire).encoding == "listpackex"
    # It is converted even if no field gets the expiry.
    assert made("HSET h b 1", expire).encoding == "listpackex"
    assert made("HSET h b 1", "HPERSIST h FIELDS 1 b").encoding == "listpack"
    assert made("HSET h b 1", "HSETEX h FIELDS 1 b 2").encoding == "listpack"


def test_a_hash_with_expiries_is_a_table_in_valkey():
    expire = f"HPEXPIREAT h {FUTURE} FIELDS 1 a"
    assert made("HSET h a 1", expire, target=VALKEY).encoding == "hashtable"
    assert made("HSET h a 1", expire, "HPERSIST h FIELDS 1 a", target=VALKEY).encoding == "hashtable"
    assert made("HSET h b 1", expire, target=VALKEY).encoding == "listpack"
    assert made("HSETEX h KEEPTTL FIELDS 1 b 1", target=VALKEY).encoding == "listpack"


def test_the_latest_expiry_of_redis():
    latest = ((1 << 48) - 2) >> 2
    assert made("HSET h a 1", f"HPEXPIREAT h {latest} FIELDS 1 a").due == {b"a": latest}
    refused = made("HSET h a 1", f"HPEXPIREAT h {latest + 1} FIELDS 1 a")
    assert (refused.due, refused.encoding) == ({}, "listpack")
    assert made("HSET h a 1", f"HPEXPIREAT h {latest + 1} FIELDS 1 a", target=VALKEY).due == {b"a": latest + 1}


def test_an_expiry_of_0_is_none_in_a_listpackex():
    assert made("HSET h a 1", "HPEXPIREAT h 0 FIELDS 1 a").due == {}
    assert made(("HSET", "h", "a", "x" * 65), "HPEXPIREAT h 0 FIELDS 1 a").due == {b"a": 1}
    assert made("HSET h a 1", "HPEXPIREAT h 0 FIELDS 1 a", target=VALKEY).due == {b"a": 0}


@pytest.mark.parametrize(
    ("text", "redis", "valkey"),
    [
        ("HINCRBY h a 2", (b"2", 1000), (b"9", 1000)),
        ("HINCRBYFLOAT h a 2.5", (b"2.5", 1000), (b"9.5", 1000)),
        ("HSETNX h a 2", (b"2", None), (b"7", 1000)),
        ("HPERSIST h FIELDS 1 a", (b"7", 1000), (b"7", None)),
        ("HGETDEL h FIELDS 1 a", (b"7", 1000), (None, None)),
        ("HSETEX h FNX FIELDS 1 a 2", (b"2", None), (b"7", 1000)),
        (f"HGETEX h PXAT {FUTURE} FIELDS 1 a", (b"7", 1000), (b"7", FUTURE)),
        (f"HPEXPIREAT h {FUTURE} FIELDS 1 a", (b"7", FUTURE), (b"7", FUTURE)),
        ("HDEL h a", (None, None), (None, None)),
    ],
)
def test_redis_hides_expired_fields_from_some_commands(text, redis, valkey):
    commands = ["HSET h a 7 b 1", "HPEXPIREAT h 1000 FIELDS 1 a", text]
    cases = ((REDIS, 1000, redis), (REDIS, 999, valkey), (REDIS, None, valkey), (VALKEY, 1000, valkey))
    for target, now, expected in cases:
        found = made(*commands, target=target, now=now)
        assert (found.value.get(b"a"), found.due.get(b"a")) == expected, (target, now)


# -- templates ---------------------------------------------------------------------------------------------------------


def preamble(kind, values):
    """An RDB at the beginning of an AOF: the hash h with the fields a and bb of a template."""
    out = []
    writer = Writer(out.append, 15, "redis")
    writer.magic()
    writer.aux(b"redis-ver", b"8.10.2")
    writer.aux(b"aof-preamble", b"1")
    writer.hash_template(7, [b"a", b"bb"])
    writer.select_db(0)
    fields = [(b"a", values[0], None), (b"bb", values[1], None)]
    writer.entry(kind, b"h", ENCODERS[kind](fields, Options(template=7)))
    writer.end()
    return b"".join(out)


PACKED, ARRAY = "template-listpack", "template-array"
LONG = b"x" * 65


@pytest.mark.parametrize(
    ("commands", "encoding", "value"),
    [
        ([], PACKED, {b"a": b"1", b"bb": b"2"}),
        (["HSET h a 5"], PACKED, {b"a": b"5", b"bb": b"2"}),
        (["HSET h c 5"], PACKED, {b"a": b"1", b"bb": b"2", b"c": b"5"}),
        (["HDEL h a"], PACKED, {b"bb": b"2"}),
        (["HINCRBY h a 5"], PACKED, {b"a": b"6", b"bb": b"2"}),
        (["HSETEX h KEEPTTL FIELDS 1 a 5"], PACKED, {b"a": b"5", b"bb": b"2"}),
        (["HPERSIST h FIELDS 1 a"], PACKED, {b"a": b"1", b"bb": b"2"}),
        ([("HSET", "h", "a", LONG), "HSET h a 5"], ARRAY, {b"a": b"5", b"bb": b"2"}),
        ([("HSET", "h", LONG, "5")], PACKED, {b"a": b"1", b"bb": b"2", LONG: b"5"}),
        ([f"HPEXPIREAT h {FUTURE} FIELDS 1 a"], "listpackex", {b"a": b"1", b"bb": b"2"}),
        ([f"HPEXPIREAT h {FUTURE} FIELDS 1 c"], "listpackex", {b"a": b"1", b"bb": b"2"}),
        (
            [("HSET", "h", LONG, ""), f"HPEXPIREAT h {FUTURE} FIELDS 1 c"],
            "hashtable",
            {b"a": b"1", b"bb": b"2", LONG: b""},
        ),
        (["HDEL h a bb", "HSET h c 5"], "listpack", {b"c": b"5"}),
    ],
)  # fmt: skip
def test_commands_on_a_hash_with_a_template(commands, encoding, value):
    data = preamble(spec.HASH_TMPL_LP_REF, (b"1", b"2")) + aof(*commands)
    with rdbkit.open(data) as snapshot:
        (found,) = [Found(entry) for entry in snapshot]
    assert (found.encoding, found.value) == (encoding, value)


def test_a_hash_with_a_template_that_is_too_large_is_an_array():
    fields = [f"f{number}" for number in range(513)]
    data = [("HIMPORT", "PREPARE", "s", *fields[:512]), ("HIMPORT", "SET", "h", "s", *range(512))]
    assert made(*data).encoding == PACKED
    assert made(*data, "HSET h f513 1").encoding == ARRAY
    assert made(*data, "HSET h f513 1", "HDEL h f513").encoding == ARRAY
    assert made(*data, "HSET h f513 1", "HDEL h f513", f"HPEXPIREAT h {FUTURE} FIELDS 1 f1").encoding == "listpackex"
    assert made(*data, "HSET h f513 1", f"HPEXPIREAT h {FUTURE} FIELDS 1 f1").encoding == "hashtable"


def test_hashes_with_the_same_fields_share_a_template():
    found = replayed("HIMPORT PREPARE s a b", *[f"HIMPORT SET h{number} s 1 2" for number in range(4)], "HSET h3 c 1")
    assert [value.encoding for value in found.values()] == [PACKED] * 4
    # Its bytes are divided among the hashes that use it.
    assert found[b"h0"].memory == found[b"h1"].memory < found[b"h3"].memory


@pytest.mark.parametrize(
    "command",
    ["HIMPORT SET h other 1 2", "HIMPORT SET h s 1", "HIMPORT SET h s 1 2 3", "HIMPORT SET k s 1 2"],
)
def test_imports_that_fail(command):
    found = replayed("SET k v", "HIMPORT PREPARE s a b", "HIMPORT PREPARE s c c", command)
    assert [*found] == [b"k"]
    assert found[b"k"].value == b"v"


def test_an_import_replaces_a_hash_and_its_expiry():
    commands = ["HSET h x 1", f"PEXPIREAT h {FUTURE}", "HIMPORT PREPARE s b a", "HIMPORT SET h s 1 2"]
    found = made(*commands)
    assert (found.value, found.expires_at, found.encoding) == ({b"b": b"1", b"a": b"2"}, None, PACKED)


def test_discarded_field_sets_are_unknown():
    prepare = "HIMPORT PREPARE s a"
    assert made(prepare, "HIMPORT DISCARD t", "HIMPORT SET h s 1") is not None
    assert made(prepare, "HIMPORT DISCARD s", "HIMPORT SET h s 1") is None
    assert made(prepare, "HIMPORT DISCARDALL", "HIMPORT SET h s 1") is None


def test_servers_write_an_import_as_a_restore_without_a_checksum():
    kind = spec.HASH_TMPL_LP
    body = ENCODERS[kind]([(b"a", b"1", None), (b"bb", b"2", None)], Options())
    payload = b"\x1d" + body + b"\x0f\0" + bytes(8)
    found = made(("RESTORE", "h", "0", payload, "REPLACE"), "HSET h a 3")
    assert (found.value, found.encoding) == ({b"a": b"3", b"bb": b"2"}, PACKED)
