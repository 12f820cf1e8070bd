"""Which server a file is about, and what its settings are."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rdbkit.releases.settings import DIRECTIVES, SPELLINGS, Settings
from rdbkit.releases.target import ALLOCATORS, RELEASES, Target, read_config

PARSED = [
    ("redis:7.2.6", "redis:7.2.6"),
    ("valkey:9.1.2", "valkey:9.1.2"),
    ("7.2.6", "redis:7.2.6"),
    ("7.2.3", "redis:7.2.3"),
    (" Redis:6.2 ", "redis:6.2.16"),
    ("redis:2.4", "redis:2.4.18"),
    ("8.10", "redis:8.10.2"),
    ("valkey:7.2", "valkey:7.2.7"),
    ("redis:9.0", "redis:9.0.0"),
    ("valkey:9.2.1", "valkey:9.2.1"),
    ("redis:6.9.240", "redis:7.0.0"),
]


@pytest.mark.parametrize(("text", "target"), PARSED)
def test_parse(text, target):
    found = Target.parse(text)
    assert str(found) == target
    assert found.origin == "given"
    assert Target.parse(str(found)) == found


REFUSED = [
    ("", "accepted: redis:7.2.6"),
    ("redis", "accepted: redis:7.2.6"),
    ("redis:7", "accepted: redis:7.2.6"),
    ("keydb:6.3.4", "accepted: redis:7.2.6"),
    ("redis:7.2.6.1", "accepted: redis:7.2.6"),
    ("redis:255.255.255", "accepted: redis:7.2.6"),
    ("redis:\u0667.2", "accepted: redis:7.2.6"),
    ("redis:7.2\n\n6", "accepted: redis:7.2.6"),
    ("redis:2.2.15", "no redis release 2.2"),
    ("redis:6.4", "no redis release 6.4"),
    ("redis:6.4.1", "8.12 and newer"),
    ("valkey:7.0", "7.2, 8.0, 8.1, 9.0, 9.1, 9.2 and newer"),
]


@pytest.mark.parametrize(("text", "message"), REFUSED)
def test_parse_refuses(text, message):
    with pytest.raises(ValueError) as caught:
        Target.parse(text)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


ASSUMED = "assumed for RDB {}"
PRODUCER = "the file's producer"
FILES = [
    # product, producer, RDB version, target, origin
    ("redis", "7.2.6", 11, "redis:7.2.6", PRODUCER),
    ("redis", "2.8.24", 6, "redis:2.8.24", PRODUCER),
    ("redis", "8.10.2", 15, "redis:8.10.2", PRODUCER),
    ("valkey", "8.1.1", 11, "valkey:8.1.1", PRODUCER),
    ("valkey", "9.1.2", 80, "valkey:9.1.2", PRODUCER),
    ("redis", "7.4", 12, "redis:7.4.0", PRODUCER),
    ("redis", "7.4.2-dev", 12, "redis:7.4.2", PRODUCER),
    ("redis", "8.12.0", 16, "redis:8.12.0", PRODUCER),
    ("valkey", "9.2.0", 81, "valkey:9.2.0", PRODUCER),
    # candidates carry numbers below the release
    ("redis", "6.9.240", 10, "redis:7.0.0", PRODUCER + " (6.9.240)"),
    ("redis", "7.1.241", 11, "redis:7.2.0", PRODUCER + " (7.1.241)"),
    ("redis", "7.3.240", 12, "redis:7.4.0", PRODUCER + " (7.3.240)"),
    ("redis", "7.9.224", 12, "redis:8.0.0", PRODUCER + " (7.9.224)"),
    ("valkey", "7.9.240", 11, "valkey:8.0.0", PRODUCER + " (7.9.240)"),
    # no producer
    *(("redis", None, n, "redis:2.4.18", ASSUMED.format(n)) for n in range(1, 6)),
    ("redis", None, 6, "redis:2.8.24", ASSUMED.format(6)),
    ("redis", None, 7, "redis:3.2.13", ASSUMED.format(7)),
    ("redis", None, 8, "redis:4.0.14", ASSUMED.format(8)),
    ("redis", None, 9, "redis:5.0.14", ASSUMED.format(9)),
    ("redis", None, 10, "redis:7.0.15", ASSUMED.format(10)),
    ("redis", None, 11, "redis:7.2.6", ASSUMED.format(11)),
    ("redis", None, 12, "redis:7.4.1", ASSUMED.format(12)),
    ("redis", None, 13, "redis:8.6.3", ASSUMED.format(13)),
    ("redis", None, 14, "redis:8.8.0", ASSUMED.format(14)),
    ("redis", None, 15, "redis:8.10.2", ASSUMED.format(15)),
    ("redis", None, 16, "redis:8.12.0", ASSUMED.format(16)),
    ("valkey", None, 11, "valkey:7.2.7", ASSUMED.format(11)),
    ("valkey", None, 80, "valkey:9.0.4", ASSUMED.format(80)),
    ("valkey", None, 81, "valkey:9.2.1", ASSUMED.format(81)),
    # development builds
    ("redis", "255.255.255", 12, "redis:8.0.6", ASSUMED.format(12)),
    ("valkey", "255.255.255", 11, "valkey:8.0.1", ASSUMED.format(11)),
    ("redis", "255.255.255", 9, "redis:6.2.16", ASSUMED.format(9)),
    ("redis", "999.999.999", 9, "redis:6.2.16", ASSUMED.format(9)),
    ("redis", "255.255.255", 10, "redis:7.0.15", ASSUMED.format(10)),
    ("valkey", "255.255.255", 80, "valkey:9.1.2", ASSUMED.format(80)),
    # texts that tell nothing, and contradictions
    ("redis", "", 11, "redis:7.2.6", ASSUMED.format(11)),
    ("redis", "unknown", 11, "redis:7.2.6", ASSUMED.format(11)),
    ("redis", "999999999.1.1", 11, "redis:7.2.6", ASSUMED.format(11)),
    ("redis", "7.2.999999999", 11, "redis:7.2.6", ASSUMED.format(11)),
    ("redis", "5.0.5.7", 9, "redis:5.0.5", PRODUCER),
    ("redis", "1.2.6", 1, "redis:2.4.18", ASSUMED.format(1)),
    ("redis", "6.4.0", 9, "redis:5.0.14", ASSUMED.format(9)),
    ("redis", "6.2.14", 12, "redis:7.4.1", ASSUMED.format(12)),
    ("valkey", "8.1.1", 80, "valkey:9.0.4", ASSUMED.format(80)),
    # relatives
    ("keydb", "6.0.9", 9, "redis:6.0.9", PRODUCER),
    ("keydb", "6.2.2", 9, "redis:6.2.2", PRODUCER),
    ("keydb", "6.3.4", 9, "redis:6.2.6", PRODUCER + " (6.3.4)"),
    ("keydb", "5.3.3", 9, "redis:5.0.14", PRODUCER + " (5.3.3)"),
    ("keydb", "0.10.1", 9, "redis:5.0.14", PRODUCER + " (0.10.1)"),
    ("keydb", "255.255.255", 9, "redis:6.2.6", PRODUCER + " (255.255.255)"),
    ("keydb", None, 9, "redis:6.2.6", "assumed for keydb"),
    ("dragonfly", "6.2.11", 9, "redis:7.2.6", PRODUCER + " (6.2.11)"),
    ("dragonfly", "7.4.0", 9, "redis:7.4.0", PRODUCER),
    ("dragonfly", None, 9, "redis:7.2.6", "assumed for dragonfly"),
]


@pytest.mark.parametrize(("product", "producer", "rdb", "target", "origin"), FILES)
def test_of_file(product, producer, rdb, target, origin):
    found = Target.of_file(product, producer, rdb)
    assert (str(found), found.origin) == (target, origin)
    assert found.settings == Settings.of(found.product, found.version)


@given(
    st.sampled_from(["redis", "valkey", "keydb", "dragonfly"]),
    st.none() | st.text(max_size=20) | st.from_regex(r"[0-9]{1,6}(\.[0-9]{1,6}){0,3}", fullmatch=True),
    st.integers(0, 9999),
)
def test_of_file_takes_what_a_file_may_hold(product, producer, rdb):
    found = Target.of_file(product, producer, rdb)
    assert found.version >= RELEASES[found.product][0].line


def test_of_aof():
    assert str(Target.of_aof(in_parts=False)) == "redis:6.2.16"
    assert str(Target.of_aof(in_parts=True)) == "redis:8.12.0"


def test_target_is_a_value():
    target = Target.parse("redis:7.2.6", allocator="glibc", now=5)
    assert (target.allocator, target.now) == ("glibc", 5)
    assert target == Target.of("redis", (7, 2, 6), allocator="glibc", now=5)
    assert hash(target) == hash(Target.of("redis", (7, 2, 6), allocator="glibc", now=5))
    assert target.with_settings({"databases": "1"}).settings.databases == 1
    assert target.settings.databases == 16


def test_allocators():
    for allocator in ALLOCATORS:
        assert Target.parse("7.2.6", allocator=allocator).allocator == allocator
    with pytest.raises(ValueError, match=r"unknown allocator 'tcmalloc': one of jemalloc, .*glibc"):
        Target.parse("7.2.6", allocator="tcmalloc")


def test_product():
    with pytest.raises(ValueError, match="unknown product 'keydb'"):
        Target.of("keydb", (6, 3, 4))


@pytest.mark.parametrize("product", RELEASES)
def test_releases_ascend(product):
    rows = RELEASES[product]
    assert [row.line for row in rows] == sorted({row.line for row in rows})
    assert [row.writes for row in rows] == sorted(row.writes for row in rows)


RDB_VERSIONS = [
    ("2.4", 2),
    ("2.6", 6),
    ("3.2", 7),
    ("4.0", 8),
    ("6.2", 9),
    ("7.0", 10),
    ("7.2", 11),
    ("8.4", 12),
    ("8.6", 13),
    ("8.8", 14),
    ("8.10", 15),
    ("8.12", 16),
    ("9.0", 16),
    ("valkey:7.2", 11),
    ("valkey:8.1", 11),
    ("valkey:9.0", 80),
    ("valkey:9.1", 80),
    ("valkey:9.2", 81),
]


@pytest.mark.parametrize(("text", "version"), RDB_VERSIONS)
def test_rdb_version(text, version):
    assert Target.parse(text).rdb_version == version


# -- settings -------------------------------------------------------------------------------------------------------


def test_defaults():
    assert Settings.of("redis", (2, 8, 24)).maxmemory_policy == "volatile-lru"
    for product, version in [("redis", (3, 0, 0)), ("redis", (8, 10, 2)), ("valkey", (8, 1, 1))]:
        assert Settings.of(product, version) == Settings()
    plain = Settings()
    assert (plain.hash_max_listpack_entries, plain.hash_max_listpack_value) == (512, 64)
    assert (plain.list_max_ziplist_entries, plain.list_max_ziplist_value, plain.list_max_listpack_size) == (512, 64, -2)
    assert (plain.set_max_intset_entries, plain.set_max_listpack_entries, plain.set_max_listpack_value) == (
        512,
        128,
        64,
    )
    assert (plain.zset_max_listpack_entries, plain.zset_max_listpack_value) == (128, 64)
    assert (plain.stream_node_max_bytes, plain.stream_node_max_entries, plain.databases) == (4096, 100, 16)


VALUES = [
    ("hash-max-listpack-entries", "128", 128),
    ("HASH-MAX-LISTPACK-ENTRIES", "0", 0),
    ("hash-max-listpack-value", "1k", 1000),
    ("hash-max-listpack-value", "1KB", 1024),
    ("zset-max-listpack-value", "1m", 1000000),
    ("stream-node-max-bytes", "64mb", 64 << 20),
    ("maxmemory", "1g", 1000**3),
    ("maxmemory", "1gb", 1 << 30),
    ("maxmemory", "5b", 5),
    ("maxmemory", str((1 << 63) - 1), (1 << 63) - 1),
    ("list-max-listpack-size", "-5", -5),
    ("list-max-listpack-size", "-1000", -1000),
    ("list-compress-depth", "2", 2),
    ("cluster-enabled", "YES", True),
    ("cluster-enabled", "no", False),
    ("maxmemory-policy", "AllKeys-LFU", "allkeys-lfu"),
]


@pytest.mark.parametrize(("name", "text", "value"), VALUES)
def test_with_settings(name, text, value):
    changed = Settings().with_settings({name: text})
    assert getattr(changed, name.lower().replace("-", "_")) == value


@pytest.mark.parametrize("old", SPELLINGS)
def test_old_spellings(old):
    assert SPELLINGS[old] in DIRECTIVES
    assert Settings().with_settings({old: "7"}) == Settings().with_settings({SPELLINGS[old]: "7"})


BAD_VALUES = [
    ("hash-max-listpack-entries", "-1"),
    ("hash-max-listpack-entries", ""),
    ("hash-max-listpack-entries", "1 k"),
    ("hash-max-listpack-entries", "1kib"),
    ("hash-max-listpack-entries", "\u0663"),
    ("maxmemory", "9223372036854775808"),
    ("maxmemory", "9223372036854775807k"),
    ("maxmemory", "9" * 5000),
    ("list-max-listpack-size", "8kb"),
    ("list-max-listpack-size", "2147483648"),
    ("list-compress-depth", "-1"),
    ("databases", "0"),
    ("cluster-enabled", "1"),
    ("maxmemory-policy", "lru"),
]


@pytest.mark.parametrize(("name", "text"), BAD_VALUES)
def test_bad_values(name, text):
    with pytest.raises(ValueError, match=rf"^{name}: expected .*, not '"):
        Settings().with_settings({name: text})


UNKNOWN = [
    ("hash-max-listpack-entry", "hash-max-listpack-entries"),
    ("hash-max-entries", "hash-max-zipmap-entries"),
    ("list-max-ziplist-siz", "list-max-ziplist-size"),
    ("x", "known are hash-max-listpack-entries"),
]


@pytest.mark.parametrize(("name", "hint"), UNKNOWN)
def test_unknown_settings(name, hint):
    with pytest.raises(ValueError) as caught:
        Settings().with_settings({name: "1"})
    assert str(caught.value).startswith(f"unknown setting {name!r}: ")
    assert hint in str(caught.value)


# -- config files ---------------------------------------------------------------------------------------------------

CONFIG = """# a comment: databases 3
   # hash-max-ziplist-entries 1

include /etc/redis/common.conf
INCLUDE "/etc/redis/with \\"quotes\\" and \\x41.conf"
port 6379
save 900 1 300 10
rename-command CONFIG ""
user default on "unbalanced
hash-max-ziplist-entries 100
hash-max-listpack-entries 200
\thash-max-listpack-value\t1kb  \t
Zset-Max-Ziplist-Entries "64"
list-max-ziplist-size '-1'
maxmemory-policy allkeys-lru
"""


@pytest.mark.parametrize("text", [CONFIG, CONFIG.encode(), CONFIG.replace("\n", "\r\n"), b"# \xff\n" + CONFIG.encode()])
def test_read_config(text):
    config = read_config(text)
    assert config.settings == {
        "hash-max-listpack-entries": "200",
        "hash-max-listpack-value": "1kb",
        "zset-max-listpack-entries": "64",
        "list-max-listpack-size": "-1",
        "maxmemory-policy": "allkeys-lru",
    }
    assert config.includes == ["/etc/redis/common.conf", '/etc/redis/with "quotes" and A.conf']
    changed = Settings().with_settings(config.settings)
    assert (changed.hash_max_listpack_value, changed.list_max_listpack_size) == (1024, -1)


def test_read_config_of_nothing():
    assert read_config("") == ({}, [], {}, None)
    assert read_config(b"\x00\xff\n\n") == ({}, [], {}, None)


def test_read_config_of_what_is_no_setting():
    found = read_config(
        b'appendonly YES\nrename-command FLUSHALL "x\\xffy"\nRENAME-command KEYS ""\nrename-command a b\n'
    )
    assert (found.settings, found.appendonly) == ({}, True)
    assert found.renamed == {b"x\xffy": b"flushall", b"b": b"a"}
    for line in ("rename-command a", "rename-command", "rename-command a b c", 'rename-command "a b'):
        with pytest.raises(ValueError, match=r"^line 1: rename-command takes two values"):
            read_config(line)


@pytest.mark.parametrize("line", ["databases", "databases 3 # three", 'databases "3', 'databases "3"4', "include a b"])
def test_read_config_refuses(line):
    with pytest.raises(ValueError, match=r"^line 2: \w+ takes one value, not '"):
        read_config(f"port 1\n{line}\n")


@given(st.binary(max_size=200) | st.text("databases include\n\t\"'\\x4#", max_size=60))
def test_read_config_of_anything(text):
    with suppress(ValueError):
        assert set(read_config(text).settings) <= set(DIRECTIVES)
