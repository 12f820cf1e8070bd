"""Commands of lists in a replay: values, encodings, and the nodes on which memory depends, as on real servers."""

from __future__ import annotations

import pytest

from keyspace.made import replayed
from rdbkit.format import spec
from rdbkit.rdb.primitives import encode_length, encode_string
from rdbkit.wire import listpack
from rdbkit.wire.crc64 import update

LINKED, ZIPLISTS, NODES, LISTPACKS, VALKEY = (
    "redis:2.8.24",
    "redis:6.2.14",
    "redis:7.0.15",
    "redis:8.0.2",
    "valkey:9.1.2",
)
EACH = (LINKED, ZIPLISTS, NODES, LISTPACKS, "redis:8.10.2", VALKEY)
FULL = "RPUSH l a b c d e"
LONG = b"x" * 9000


def made(*commands, target=LISTPACKS, **options):
    """The key l, None if there is none."""
    return replayed(*commands, target=target, **options).get(b"l")


def text(value):
    return b"".join(value).decode()


@pytest.mark.parametrize("target", EACH)
@pytest.mark.parametrize(
    ("commands", "value"),
    [
        (["RPUSH l a b", "LPUSH l c d", "rpush l e"], "dcabe"),
        (["RPUSHX l a", "RPUSH l b", "RPUSHX l c", "LPUSHX l a"], "abc"),
        ([FULL, "LPOP l", "RPOP l"], "bcd"),
        ([FULL, "RPOPLPUSH l l"], "eabcd"),
        ([FULL, "BRPOPLPUSH l l 0"], "eabcd"),
        ([FULL, "LSET l 1 x", "LSET l -1 y"], "axcdy"),
        ([FULL, "LSET l 5 x"], "abcde"),
        ([FULL, "LINSERT l BEFORE c x", "LINSERT l after c y", "LINSERT l BEFORE none z"], "abxcyde"),
        ([FULL, "LINSERT l BESIDE c x"], "abcde"),
        (["RPUSH l a b a c a", "LREM l 2 a"], "bca"),
        (["RPUSH l a b a c a", "LREM l -2 a"], "abc"),
        (["RPUSH l a b a c a", "LREM l 0 a"], "bc"),
        ([FULL, "LTRIM l 1 -2"], "bcd"),
        ([FULL, "LTRIM l -3 100"], "cde"),
        ([FULL, "BLPOP none l 0", "BRPOP l 0"], "bcd"),
        ([FULL, "SADD l x", "LPOP l"], "bcde"),
    ],
)
def test_values(commands, value, target):
    assert text(made(*commands, target=target).value) == value


@pytest.mark.parametrize(
    ("commands", "value"),
    [
        ([FULL, "LPOP l 2", "RPOP l 1", "RPOP l 0", "LPOP l -1"], "cd"),
        ([FULL, "LMOVE l l LEFT RIGHT"], "bcdea"),
        ([FULL, "LMOVE l l left right", "LMOVE l l up RIGHT"], "bcdea"),
        ([FULL, "BLMOVE l l RIGHT LEFT 0"], "eabcd"),
        ([FULL, "LMPOP 2 none l LEFT COUNT 2"], "cde"),
        ([FULL, "LMPOP 1 l RIGHT", "BLMPOP 0 1 l RIGHT COUNT 2"], "ab"),
        ([FULL, "LMPOP 0 l RIGHT", "LMPOP 1 l RIGHT COUNT 0", "LMPOP 9 l RIGHT"], "abcde"),
    ],
)
def test_values_of_newer_commands(commands, value):
    assert text(made(*commands).value) == value


@pytest.mark.parametrize(
    ("sides", "how", "left", "moved"),
    [
        ("LEFT LEFT", "COUNT 3 OBO", "de", "cbaxy"),
        ("LEFT RIGHT", "COUNT 3 OBO", "de", "xyabc"),
        ("RIGHT LEFT", "COUNT 3 OBO", "ab", "cdexy"),
        ("RIGHT RIGHT", "EXACTLY 3 OBO", "ab", "xyedc"),
        ("LEFT LEFT", "COUNT 3 BULK", "de", "abcxy"),
        ("RIGHT LEFT", "COUNT 3 BULK", "ab", "cdexy"),
        ("RIGHT RIGHT", "EXACTLY 3 BULK", "ab", "xycde"),
        ("RIGHT RIGHT", "EXACTLY 6 BULK", "abcde", "xy"),
        ("LEFT RIGHT", "COUNT 3", "abcde", "xy"),
        ("LEFT RIGHT", "", "bcde", "xya"),
    ],
)
def test_lmovem(sides, how, left, moved):
    found = replayed(FULL, "RPUSH m x y", f"LMOVEM l m {sides} {how}".strip(), target="redis:8.10.2")
    assert (text(found[b"l"].value), text(found[b"m"].value)) == (left, moved)


def test_blmovem_has_a_timeout():
    found = replayed(FULL, "BLMOVEM l m LEFT RIGHT 0 COUNT 9 BULK", target="redis:8.10.2")
    assert list(found) == [b"m"]
    assert text(found[b"m"].value) == "abcde"


def test_no_elements_are_no_key():
    assert replayed("RPUSH l a b", "LPOP l", "LPOP l") == {}
    assert replayed("RPUSH l a a", "LREM l 0 a") == {}
    assert replayed("RPUSH l a a", "LTRIM l 5 9") == {}
    assert list(replayed("RPUSH l a", "RPOPLPUSH l m")) == [b"m"]
    assert replayed("RPUSH l a", "RPOPLPUSH l l")[b"l"].value == [b"a"]


def test_a_move_to_a_key_of_another_type_moves_nothing():
    assert made("RPUSH l a", "SET m x", "RPOPLPUSH l m").value == [b"a"]


# -- encodings ---------------------------------------------------------------------------------------------------------


def test_linked_lists_stay():
    longest = ("RPUSH", "l", "x" * 64)
    assert made(longest, target=LINKED).encoding == "ziplist"
    assert made(("RPUSH", "l", "x" * 65), target=LINKED).encoding == "linkedlist"
    assert made("RPUSH l a", ("LSET", "l", 0, "x" * 65), "LSET l 0 a", target=LINKED).encoding == "linkedlist"
    assert made("RPUSH l a", ("LINSERT", "l", "BEFORE", "a", "x" * 65), target=LINKED).encoding == "linkedlist"
    many = [("RPUSH", "l", *range(512))]
    assert made(*many, target=LINKED).encoding == "ziplist"
    assert made(*many, "RPUSH l x", "LPOP l", target=LINKED).encoding == "linkedlist"
    assert made(*many, "LINSERT l AFTER 7 x", target=LINKED).encoding == "linkedlist"


@pytest.mark.parametrize("target", [ZIPLISTS, NODES])
def test_quicklists_only(target):
    assert made("RPUSH l a", target=target).encoding == "quicklist"


@pytest.mark.parametrize("target", [LISTPACKS, VALKEY])
def test_a_list_falls_back_at_half_the_limit(target):
    # A listpack has 7 bytes and 103 for each of these; the limit is 8192.
    element = "x" * 100
    full = ("RPUSH", "l", *[element] * 80)
    assert made(full, target=target).encoding == "listpack"
    # Of new elements the lengths alone count: 7 + 80 * 103 + 100 are too many.
    grown = [full, ("RPUSH", "l", element)]
    assert made(*grown, target=target).encoding == "quicklist"
    assert made(*grown, "LTRIM l 0 39", target=target).encoding == "quicklist"
    assert made(*grown, "LTRIM l 0 38", target=target).encoding == "listpack"
    assert made(*grown, "RPOP l 42", target=target).encoding == "listpack"
    assert made(*grown, ("LREM", "l", -41, element), target=target).encoding == "quicklist"
    assert made(*grown, ("LREM", "l", -42, element), target=target).encoding == "listpack"
    # There are two nodes until one of them is empty.
    assert made(*grown, "LPOP l 79", target=target).encoding == "quicklist"
    assert made(*grown, "LPOP l 80", target=target).encoding == "listpack"


def test_an_element_that_is_not_there_converts_the_list_in_advance():
    full = ("RPUSH", "l", *["x" * 100] * 78)
    assert made(full, ("LINSERT", "l", "BEFORE", "none", "y" * 300)).encoding == "quicklist"


def test_a_command_is_measured_as_a_whole():
    assert made(("RPUSH", "l", *["x" * 1000] * 9), "LTRIM l 0 2").encoding == "listpack"
    assert made(("RPUSH", "l", "x" * 8185)).encoding == "listpack"
    assert made(("RPUSH", "l", "x" * 8186)).encoding == "quicklist"


def test_counts_limit_a_listpack():
    settings = {"list-max-listpack-size": "4"}
    assert made("RPUSH l a b c d", settings=settings).encoding == "listpack"
    assert made("RPUSH l a b c d", "RPUSH l e", settings=settings).encoding == "quicklist"
    assert made("RPUSH l a b c d e", "RPOP l", "RPOP l", settings=settings).encoding == "quicklist"
    assert made("RPUSH l a b c d e", "RPOP l 3", settings=settings).encoding == "listpack"


def test_a_list_as_long_element_is_no_listpack():
    assert made(("RPUSH", "l", LONG)).encoding == "quicklist"
    assert made(("RPUSH", "l", LONG), "LPUSH l a", "RPOP l").encoding == "listpack"
    # Up to 7.2, a node could hold it.
    assert made(("RPUSH", "l", LONG), "LSET l 0 a", target="redis:7.2.6").encoding == "listpack"


# -- nodes -------------------------------------------------------------------------------------------------------------


def element(number):
    return f"{number}" + "x" * 1500


FIFTEEN = ("RPUSH", "l", *map(element, range(15)))


@pytest.mark.parametrize(
    ("commands", "older", "newer"),
    [
        ([], 24784, 24784),
        ([("LINSERT", "l", "AFTER", element(2), "y" * 1500)], 26872, 26872),
        ([("LINSERT", "l", "AFTER", element(4), "y" * 900)], 25848, 25848),
        ([("LINSERT", "l", "BEFORE", element(5), "y" * 900)], 25848, 25848),
        ([("LINSERT", "l", "BEFORE", element(0), "y" * 1500)], 26360, 26360),
        (["LPOP l", ("LINSERT", "l", "BEFORE", element(5), "y" * 900)], 23760, 23760),
        ([("LSET", "l", 2, LONG)], 32976, 33056),
        ([("LSET", "l", 4, LONG)], 32976, 33016),
        ([("LSET", "l", 2, LONG), "LSET l 2 a"], 22736, 22776),
        ([("LINSERT", "l", "AFTER", element(2), LONG)], 34040, 35104),
        ([("LINSERT", "l", "AFTER", element(4), LONG)], 35064, 35064),
        (["LTRIM l 3 11"], 14544, 14544),
        ([("LREM", "l", 0, element(7)), ("LREM", "l", -1, element(0))], 20688, 20688),
    ],
)
def test_memory_of_nodes(commands, older, newer):
    """What real servers answered to MEMORY USAGE with SAMPLES 0: nodes that are split, merged, and PLAIN ones."""
    assert made(FIFTEEN, *commands, target=NODES, allocator="jemalloc-debian").memory == older
    assert made(FIFTEEN, *commands, target=LISTPACKS, allocator="jemalloc-5.3.1").memory == newer


def test_settings_limit_nodes():
    many = ("RPUSH", "l", *range(100))
    sizes = [made(many, target=NODES, settings={"list-max-listpack-size": size}).memory for size in ("1", "10", "-2")]
    assert sizes[0] > 100 * 40 > sizes[1] > 10 * 40 > sizes[2]
    # The list that SORT stores has the default limits up to 7.0.
    stored = [
        made(("RPUSH", "k", *range(100)), "SORT k STORE l", target=t, settings={"list-max-listpack-size": "1"})
        for t in (NODES, LISTPACKS)
    ]
    assert stored[0].memory < 500 < 100 * 40 < stored[1].memory


def test_a_list_of_an_rdb_keeps_its_nodes():
    """The nodes of a payload are those of the file, whatever this server's limits are."""
    nodes = [["a", "b"], ["c"]]
    body = encode_length(2) + b"".join(
        encode_length(spec.PACKED) + encode_string(listpack.encode([item.encode() for item in node])) for node in nodes
    )
    payload = bytes([spec.LIST_QUICKLIST_2]) + body + b"\x0a\0"
    payload += update()(payload, 0).to_bytes(8, "little")
    value = made(("RESTORE", "l", 0, payload), "RPUSH l d", target=NODES)
    assert text(value.value) == "abcd"
    assert value.memory - made("RPUSH l a b c d", target=NODES).memory >= 40
