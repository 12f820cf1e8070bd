"""Commands of streams in a replay: entries, nodes, groups, pending entries and idempotency records of real servers."""

from __future__ import annotations

import pytest

import rdbkit
from keyspace.made import aof, replayed
from rdbkit.aof.writer import command
from rdbkit.format import spec
from rdbkit.format.shape import NODES
from rdbkit.keyspace.commands.streams import id_of
from rdbkit.keyspace.loader import CommandError
from rdbkit.keyspace.stream_value import ID, Node, NodeLimits
from rdbkit.rdb.encoders import Options
from rdbkit.rdb.stream_encoder import encode_stream
from rdbkit.rdb.streams import Consumer, Group, Idmp, Stream
from rdbkit.rdb.writer import Writer

OLDEST, OLD, OLDER, REDIS, VALKEY = "redis:5.0.14", "redis:6.2.16", "redis:7.0.15", "redis:8.10.2", "valkey:9.1.2"
ALL = (OLDEST, OLD, OLDER, REDIS, VALKEY)
THREE = ("XADD x 1-0 n 1", "XADD x 2-0 n 2", "XADD x 3-0 n 3")
GROUP = (*THREE, "XGROUP CREATE x g 0")
CLAIM = "XCLAIM x g c 0 %s TIME 1000 RETRYCOUNT 3 FORCE JUSTID LASTID 0-0"
NEWEST = (1 << 64) - 1


def made(*commands, target=REDIS, **options):
    """The stream x, None if there is none."""
    found = replayed(*commands, target=target, **options).get(b"x")
    return None if found is None else found.value


def ids(*commands, target=REDIS, **options):
    return [str(stream_id) for stream_id, _ in made(*commands, target=target, **options).entries]


def group(*commands, target=REDIS, **options):
    return made(*commands, target=target, **options).groups[0]


def pending(*commands, target=REDIS, **options):
    """The pending entries of the group g, as short texts."""
    found = group(*commands, target=target, **options)
    return [(str(one.id), one.consumer, one.delivered_at, one.deliveries) for one in found.pending]


def nodes(*commands, **settings):
    options = {"settings": {name.replace("_", "-"): str(value) for name, value in settings.items()}}
    with rdbkit.open(aof(("SELECT", 0), *commands), target=REDIS, **options) as snapshot:
        return next(entry._measured()[NODES] for entry in snapshot)


def adds(*numbers):
    return [f"XADD x {number}-0 n {number}" for number in numbers]


# -- XADD --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", ALL)
def test_entries(target):
    found = made(("XADD", "x", "5-1", b"n", b"\0\xff", "m", 70000), "xadd x 5-2 n 007", target=target)
    assert found.entries == [((5, 1), [(b"n", b"\0\xff"), (b"m", b"70000")]), ((5, 2), [(b"n", b"007")])]
    assert (found.last_id, found.first_id, found.entries_added) == ((5, 2), (5, 1), 2)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("7", "7-0"),
        ("007-03", "7-3"),
        ("+7-1", "7-1"),
        ("7-*", "7-0"),
        ("5-*", "5-6"),
        ("*", "1000-0"),
        (f"{NEWEST}-{NEWEST}", f"{NEWEST}-{NEWEST}"),
    ],
)
def test_ids_in_every_form(text, found):
    assert ids("XADD x 5-5 n 1", f"XADD x {text} n 2", now=1000) == ["5-5", found]


@pytest.mark.parametrize("text", ["5-5", "5-4", "4", "4-*", "-", "5-", "x", "5-x", f"{1 << 64}", "0-0", "5--1"])
def test_ids_that_are_refused(text):
    assert ids("XADD x 5-5 n 1", f"XADD x {text} n 2", "XADD x 6 n 3") == ["5-5", "6-0"]


def test_an_id_that_is_made_follows_the_last_one_if_the_clock_is_behind():
    assert ids("XADD x 5000-5 n 1", "XADD x * n 2", now=1000) == ["5000-5", "5000-6"]
    assert ids(f"XADD x 5000-{NEWEST} n 1", "XADD x * n 2", now=1000) == [f"5000-{NEWEST}", "5001-0"]
    full = (f"XADD x {NEWEST}-{NEWEST} n 1", "XADD x * n 2", "XADD x 6-* n 2")
    assert len(ids(*full, now=1000)) == 1


def test_a_failed_xadd_makes_no_stream():
    assert made("XADD x 0-0 n 1") is None
    assert made("XADD x 1-1 n") is None
    assert made("XADD x 1-1 n 1 m") is None
    assert made("XADD x NOMKSTREAM 1-1 n 1") is None
    assert made("XADD x 1-1 n 1", "XADD x NOMKSTREAM 1-2 n 1").length == 2


def test_an_empty_stream_of_5_0_is_lost_with_its_groups():
    assert made("XADD x MAXLEN 0 0-0 x y", "XSETID x 0-0", "XGROUP CREATE x g 0", target=OLDEST) is None


@pytest.mark.parametrize("target", ALL)
def test_an_empty_stream_stays(target):
    found = made("XADD x MAXLEN 0 0-1 x y", "XSETID x 10-10", target=target)
    assert (found.length, found.last_id) == (0, (10, 10))
    assert found.first_id == (0, 0)


def test_another_type_is_refused():
    assert replayed("SET x v", "XADD x 1-1 a b", "XDEL x 1-1", "XGROUP CREATE x g 0 MKSTREAM")[b"x"].value == b"v"


# -- trimming ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("trim", "found"),
    [
        ("MAXLEN 2", [3, 4]),
        ("MAXLEN = 2", [3, 4]),
        ("maxlen = 3 limit 1", [2, 3, 4]),
        ("MAXLEN 0", []),
        ("MAXLEN 9", [1, 2, 3, 4]),
        ("MAXLEN ~ 1", [1, 2, 3, 4]),
        ("MINID 3", [3, 4]),
        ("MINID = 2-1", [3, 4]),
        ("MINID ~ 4", [1, 2, 3, 4]),
    ],
)
def test_xadd_trims(trim, found):
    assert ids(*adds(1, 2, 3), f"XADD x {trim} 4-0 n 4") == [f"{number}-0" for number in found]
    assert ids(*adds(1, 2, 3, 4), f"XTRIM x {trim}") == [f"{number}-0" for number in found]


@pytest.mark.parametrize(
    "trim",
    [
        "MAXLEN -1",
        "MAXLEN x",
        "MAXLEN 1 LIMIT -1",
        "MAXLEN 1 MINID 3",
        "MINID x",
        "KEEPREF DELREF MAXLEN 1",
        "LIMIT 3 MAXLEN",
    ],
)
def test_trims_that_are_refused(trim):
    assert ids(*adds(1, 2), f"XADD x {trim} 4-0 n 4") == ["1-0", "2-0"]
    assert ids(*adds(1, 2), f"XTRIM x {trim}") == ["1-0", "2-0"]


def test_xtrim_needs_a_strategy_and_a_stream():
    assert ids(*adds(1, 2), "XTRIM x DELREF", "XTRIM x MAXLEN 1 more", "XTRIM y MAXLEN 1") == ["1-0", "2-0"]


@pytest.mark.parametrize(
    ("trim", "left"),
    [("MAXLEN ~ 5", 6), ("MAXLEN ~ 6", 6), ("MAXLEN ~ 7", 9), ("MINID ~ 7", 6), ("MINID ~ 8", 6), ("MAXLEN 5", 5)],
)
def test_only_whole_nodes_are_trimmed_approximately(trim, left):
    settings = {"stream-node-max-entries": "3"}
    assert len(ids(*adds(*range(1, 13)), f"XTRIM x {trim}", settings=settings)) == left


@pytest.mark.parametrize(
    ("trim", "acked", "found"),
    [
        ("MAXLEN 3", "1 2 3", "4 5 6 7 8 9 10 11 12"),
        ("MAXLEN 3", "2 4 5 6", "1 3 7 8 9 10 11 12"),
        ("MAXLEN ~ 3", "1 3", "2 4 5 6 7 8 9 10 11 12"),
        ("MAXLEN 10", "2 4 5 6", "1 3 4 5 6 7 8 9 10 11 12"),
        ("MAXLEN 10", "1 2 3", "3 4 5 6 7 8 9 10 11 12"),
        ("MINID ~ 9", "1 2 3 7 8", "4 5 6 9 10 11 12"),
        ("MINID 9", "", "1 2 3 4 5 6 7 8 9 10 11 12"),
    ],
)
def test_acked_spares_what_a_group_needs(trim, acked, found):
    claims = [CLAIM % " ".join(f"{number}-0" for number in range(1, 11)), "XGROUP SETID x g 10"]
    acks = [f"XACK x g {number}" for number in acked.split()]
    commands = [*adds(*range(1, 13)), "XGROUP CREATE x g 0", *claims, *acks, f"XTRIM x {trim} ACKED"]
    assert ids(*commands, settings={"stream-node-max-entries": "3"}) == [f"{number}-0" for number in found.split()]


def test_delref_removes_pending_entries():
    assert [one[0] for one in pending(*GROUP, CLAIM % "1-0 3-0", "XTRIM x MAXLEN 1")] == ["1-0", "3-0"]
    assert [one[0] for one in pending(*GROUP, CLAIM % "1-0 3-0", "XTRIM x MAXLEN ~ 1 DELREF")] == ["3-0"]


def test_trims_leave_the_greatest_deleted_id():
    found = made(*THREE, "XTRIM x MAXLEN 1")
    assert (found.max_deleted_id, found.first_id, found.entries_added) == ((0, 0), (3, 0), 3)


# -- deletion ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", [OLDER, REDIS, VALKEY])
def test_xdel(target):
    found = made(*THREE, "XDEL x 1 3-0 9", target=target)
    assert [str(stream_id) for stream_id, _ in found.entries] == ["2-0"]
    assert (found.max_deleted_id, found.first_id, found.last_id) == ((3, 0), (2, 0), (3, 0))
    assert ids(*THREE, "XDEL x 1 bad", target=target) == ["1-0", "2-0", "3-0"]


def test_xdel_of_all_leaves_a_stream():
    found = made(*THREE, "XDEL x 1 2 3")
    assert (found.length, found.first_id, found.entries_added) == (0, (0, 0), 3)
    assert nodes(*THREE, "XDEL x 1 2 3") == 0


def test_xdelex():
    claimed = (*GROUP, CLAIM % "1-0 2-0")
    assert ids(*claimed, "XDELEX x IDS 1 1") == ["2-0", "3-0"]
    assert [one[0] for one in pending(*claimed, "XDELEX x IDS 1 1")] == ["1-0", "2-0"]
    assert [one[0] for one in pending(*claimed, "XDELEX x DELREF IDS 1 1")] == ["2-0"]
    assert [one[0] for one in pending(*claimed, "XDEL x 1", "XDELEX x DELREF IDS 1 1")] == ["2-0"]
    assert ids(*claimed, "XDELEX x ACKED IDS 2 1 3") == ["1-0", "2-0", "3-0"]
    assert ids(*claimed, "XACK x g 1", "XGROUP SETID x g 2", "XDELEX x ACKED IDS 2 1 3") == ["2-0", "3-0"]


@pytest.mark.parametrize("words", ["IDS 2 1", "IDS 0", "IDS 1 x", "1", "DELREF ACKED IDS 1 1", "IDS 1 1 IDS 1 1"])
def test_selections_that_are_refused(words):
    claimed = (*GROUP, CLAIM % "1-0 2-0")
    assert len(ids(*claimed, f"XDELEX x {words}", f"XACKDEL x g {words}")) == 3


def test_xackdel():
    claimed = (*GROUP, "XGROUP CREATE x h 0", CLAIM % "1-0 2-0", "XCLAIM x h d 0 1-0 FORCE JUSTID")
    found = made(*claimed, "XACKDEL x g IDS 2 1 3")
    assert [str(stream_id) for stream_id, _ in found.entries] == ["2-0", "3-0"]
    assert [len(one.pending) for one in found.groups] == [1, 1]
    assert [len(one.pending) for one in made(*claimed, "XACKDEL x g DELREF IDS 1 1").groups] == [1, 0]
    found = made(*claimed, "XACKDEL x g ACKED IDS 1 1")
    assert (len(found.entries), [len(one.pending) for one in found.groups]) == (3, [1, 1])
    assert len(made(*claimed, "XACKDEL x no IDS 1 1", "XACKDEL no g IDS 1 1").entries) == 3


# -- XSETID ------------------------------------------------------------------------------------------------------------


def test_xsetid():
    found = made(*THREE, "XSETID x 9-1 ENTRIESADDED 20 MAXDELETEDID 8-3")
    assert (found.last_id, found.entries_added, found.max_deleted_id) == ((9, 1), 20, (8, 3))
    assert made(*THREE, "XSETID x 9-1 ENTRIESADDED 20 MAXDELETEDID 0-0", "XDEL x 3").max_deleted_id == (3, 0)


@pytest.mark.parametrize(
    "words",
    ["2-9", "9 ENTRIESADDED 2", "9 ENTRIESADDED -1", "9 MAXDELETEDID 9-1", "9 ENTRIESADDED", "9 MORE 1", "x"],
)
def test_xsetids_that_are_refused(words):
    found = made(*THREE, f"XSETID x {words}")
    assert (found.last_id, found.entries_added, found.max_deleted_id) == ((3, 0), 3, (0, 0))


def test_xsetid_below_a_deleted_entry():
    commands = (*THREE, "XDEL x 3", "XSETID x 2-5")
    assert made(*commands, target=OLDER).last_id == (2, 5)
    assert made(*commands).last_id == (3, 0)
    assert made("XSETID x 2-5") is None


# -- groups ------------------------------------------------------------------------------------------------------------


def test_groups():
    found = made(*THREE, "XGROUP CREATE x b $", "XGROUP CREATE x a 2-1 ENTRIESREAD 2", "XGROUP CREATE x c 0 MKSTREAM")
    assert [(one.name, one.last_delivered_id, one.entries_read) for one in found.groups] == [
        (b"a", (2, 1), 2),
        (b"b", (3, 0), None),
        (b"c", (0, 0), None),
    ]
    assert made("XGROUP CREATE x a $ MKSTREAM").groups[0].last_delivered_id == (0, 0)
    assert made("XGROUP CREATE x a $") is None
    assert made("XGROUP CREATE x a bad MKSTREAM") is None
    assert group(*GROUP, "XGROUP CREATE x g 2").last_delivered_id == (0, 0)
    assert made(*GROUP, "XGROUP DESTROY x g", "XGROUP DESTROY x g", "XGROUP DESTROY y g").groups == []


@pytest.mark.parametrize(("count", "read"), [("2", 2), ("-1", None), ("-2", "refused"), ("x", "refused")])
def test_entries_read(count, read):
    assert group(*GROUP, f"XGROUP SETID x g 2 ENTRIESREAD {count}").entries_read == (
        None if read == "refused" else read
    )
    assert len(made(*THREE, f"XGROUP CREATE x g 2 ENTRIESREAD {count}").groups) == (read != "refused")


def test_entries_read_over_the_number_of_entries():
    assert group(*THREE, "XGROUP CREATE x g 0 ENTRIESREAD 9", target="redis:8.0.6").entries_read == 9
    assert group(*THREE, "XGROUP CREATE x g 0 ENTRIESREAD 9", target=VALKEY).entries_read == 9
    assert group(*THREE, "XGROUP CREATE x g 0 ENTRIESREAD 9").entries_read == 3
    assert group(*GROUP, "XGROUP SETID x g 0 ENTRIESREAD 9").entries_read == 3


def test_setid_makes_the_number_of_read_entries_unknown():
    found = group(*THREE, "XGROUP CREATE x g 0 ENTRIESREAD 1", "XGROUP SETID x g $")
    assert (found.last_delivered_id, found.entries_read) == ((3, 0), None)


def test_consumers():
    commands = (*GROUP, "XGROUP CREATECONSUMER x g b", "XGROUP CREATECONSUMER x g a", CLAIM % "1-0")
    found = group(*commands, "XGROUP CREATECONSUMER x g c", "XGROUP CREATECONSUMER x no c", now=5000)
    assert [(one.name, one.active_at) for one in found.consumers] == [(b"a", -1), (b"b", -1), (b"c", 5000)]
    assert {one.seen_at for one in found.consumers} == {5000}
    found = group(*commands, "XGROUP DELCONSUMER x g c", "XGROUP DELCONSUMER x g a", "XGROUP DELCONSUMER x g no")
    assert ([one.name for one in found.consumers], len(found.pending)) == ([b"b"], 0)


# -- pending entries ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", ALL)
def test_xclaim_as_servers_write_it(target):
    found = (*GROUP, CLAIM % "1-0", CLAIM % "2-0", "XCLAIM x g d 0 1-0 TIME 2000 RETRYCOUNT 4 FORCE JUSTID LASTID 2-0")
    assert pending(*found, target=target) == [("1-0", b"d", 2000, 4), ("2-0", b"c", 1000, 3)]
    assert group(*found, target=target).last_delivered_id == (2, 0)
    assert [one.name for one in group(*found, target=target).consumers] == [b"c", b"d"]


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("1-0", []),
        ("1-0 FORCE", [(9000, 2)]),
        ("1-0 FORCE JUSTID", [(9000, 1)]),
        ("1-0 FORCE IDLE 500", [(8500, 2)]),
        ("1-0 FORCE TIME 500 RETRYCOUNT 7", [(500, 7)]),
        ("1-0 FORCE RETRYCOUNT -1", [(9000, 2)]),
        ("1-0 FORCE TIME -5", [(9000, 2)]),
        ("1-0 FORCE MORE", []),
        ("1-0 FORCE TIME", []),
    ],
)
def test_options_of_xclaim(words, found):
    assert [one[2:] for one in pending(*GROUP, f"XCLAIM x g c 0 {words}", now=9000)] == found


def test_xclaim_waits_for_the_idle_time():
    commands = (*GROUP, CLAIM % "1-0")
    assert pending(*commands, "XCLAIM x g d 4001 1-0 JUSTID", now=5000)[0][1] == b"c"
    assert pending(*commands, "XCLAIM x g d 4000 1-0 JUSTID", now=5000)[0][1] == b"d"


@pytest.mark.parametrize(
    ("target", "found", "consumers"),
    [
        (OLDEST, [("1-0", b"d", 1000, 3)], [b"c", b"d"]),
        (OLD, [("1-0", b"d", 1000, 3)], [b"c", b"d"]),
        (OLDER, [], [b"c"]),
        (REDIS, [], [b"c", b"d"]),
        (VALKEY, [], [b"c", b"d"]),
    ],
)
def test_xclaim_of_a_deleted_entry(target, found, consumers):
    commands = (*GROUP, CLAIM % "1-0", "XDEL x 1-0", "XCLAIM x g d 0 1-0 TIME 1000 FORCE JUSTID")
    assert pending(*commands, target=target) == found
    assert [one.name for one in group(*commands, target=target).consumers] == consumers


def test_xclaim_of_an_entry_that_never_was():
    assert pending(*GROUP, CLAIM % "9-0", target=OLD) == []
    assert pending("XADD y 1-0 a b", *GROUP, "XCLAIM x no c 0 1-0 FORCE", "XCLAIM no g c 0 1-0 FORCE") == []


def test_xack():
    assert [one[0] for one in pending(*GROUP, CLAIM % "1-0 2-0", "XACK x g 1 3", "XACK x no 2", "XACK y g 2")] == [
        "2-0"
    ]
    assert len(pending(*GROUP, CLAIM % "1-0", "XACK x g bad 1-0")) == 1


def test_xautoclaim():
    claimed = (*GROUP, CLAIM % "1-0 2-0 3-0", "XDEL x 1")
    assert [(one[0], one[1]) for one in pending(*claimed, "XAUTOCLAIM x g d 0 0 JUSTID")] == [
        ("2-0", b"d"),
        ("3-0", b"d"),
    ]
    found = pending(*claimed, "XAUTOCLAIM x g d 0 (1-0 COUNT 1", now=5000)
    assert found == [("1-0", b"c", 1000, 3), ("2-0", b"d", 5000, 4), ("3-0", b"c", 1000, 3)]
    assert pending(*claimed, "XAUTOCLAIM x g d 0 - COUNT 1 JUSTID", target=OLD)[0][:2] == ("1-0", b"d")
    for words in ("0 COUNT 0", "bad", "0 MORE"):
        assert [one[1] for one in pending(*claimed, f"XAUTOCLAIM x g d 0 {words}")] == [b"c"] * 3


def test_xreadgroup():
    read = "XREADGROUP GROUP g c COUNT 2 STREAMS x >"
    assert pending(*GROUP, read, now=5000) == [("1-0", b"c", 5000, 1), ("2-0", b"c", 5000, 1)]
    found = group(*GROUP, read)
    assert (found.last_delivered_id, found.entries_read) == ((2, 0), 2)
    assert pending(*GROUP, "XREADGROUP GROUP g c NOACK STREAMS x >") == []
    assert pending(*GROUP, read, "XDEL x 2", "XREADGROUP GROUP g c STREAMS x 0", now=5000) == [
        ("1-0", b"c", 5000, 2),
        ("2-0", b"c", 5000, 1),
    ]
    for words in ("GROUP g c STREAMS x", "GROUP g c MORE STREAMS x >", "GROUP no c STREAMS x >", "STREAMS x y >"):
        assert pending(*GROUP, f"XREADGROUP {words}") == []


@pytest.mark.parametrize(("target", "names"), [(OLD, []), (OLDER, []), (REDIS, [b"c"]), (VALKEY, [b"c"])])
def test_a_consumer_that_reads_nothing(target, names):
    found = group("XGROUP CREATE x g 0 MKSTREAM", "XREADGROUP GROUP g c STREAMS x >", target=target)
    assert [one.name for one in found.consumers] == names


@pytest.mark.parametrize(("target", "read"), [(OLDER, 1), (VALKEY, 3)])
def test_entries_read_after_a_trim(target, read):
    commands = (*THREE, "XGROUP CREATE x g 0 ENTRIESREAD 0", "XTRIM x MAXLEN 1", "XREADGROUP GROUP g c STREAMS x >")
    assert group(*commands, target=target).entries_read == read


def test_xnack():
    claimed = (*GROUP, CLAIM % "1-0 2-0")
    assert pending(*claimed, "XNACK x g FAIL IDS 1 1-0") == [("1-0", None, 0, 3), ("2-0", b"c", 1000, 3)]
    assert pending(*claimed, "XNACK x g SILENT IDS 2 1-0 3-0")[0] == ("1-0", None, 0, 2)
    assert pending(*claimed, "XNACK x g FATAL IDS 1 1-0")[0] == ("1-0", None, 0, (1 << 63) - 1)
    assert pending(*claimed, "XNACK x g FATAL RETRYCOUNT 7 IDS 1 1-0")[0] == ("1-0", None, 0, 7)
    assert pending(*claimed, "XNACK x g FAIL IDS 2 3-0 9-0 FORCE")[2:] == [("3-0", None, 0, 0)]
    for words in ("IDS 1 1-0", "MORE IDS 1 1-0", "FAIL IDS 1 1-0 RETRYCOUNT -1", "FAIL IDS 1 1-0 MORE"):
        assert pending(*claimed, f"XNACK x g {words}")[0] == ("1-0", b"c", 1000, 3)


# -- idempotency -------------------------------------------------------------------------------------------------------


def records(*commands, **options):
    found = made(*commands, **options).idmp
    return dict(found.producers), found.added, found.duplicates


def test_records():
    commands = (
        "XADD x IDMP p i 5000-0 n 1",
        "XADD x IDMP p i * n 1",
        "XADD x IDMP p i 6000-0 n 1",
        "XADD x 7000-0 a b",
    )
    assert records(*commands, now=6000) == ({b"p": [(b"i", (5000, 0))]}, 1, 2)
    assert ids(*commands, now=6000) == ["5000-0", "7000-0"]
    commands += (
        "XIDMPRECORD x p j 7000-0",
        "XIDMPRECORD x p i 7000-0",
        "XIDMPRECORD x q k 9-9",
        "XIDMPRECORD y q k 9-9",
    )
    assert records(*commands, now=6000) == ({b"p": [(b"i", (5000, 0)), (b"j", (7000, 0))]}, 2, 2)


def test_records_expire_from_the_oldest_on():
    commands = ("XADD x 5000-0 a b", "XADD x 6000-0 a b", "XIDMPRECORD x p i 5000-0", "XIDMPRECORD x p j 6000-0")
    assert len(records(*commands, now=105_000)[0][b"p"]) == 2
    assert records(*commands, now=105_001)[0] == {b"p": [(b"j", (6000, 0))]}
    assert records(*commands, now=106_001) == ({}, 2, 0)
    assert len(records(*commands)[0][b"p"]) == 2
    with_newer = (*commands[:2], "XIDMPRECORD x p j 6000-0", "XIDMPRECORD x p i 5000-0")
    assert len(records(*with_newer, now=105_001)[0][b"p"]) == 2


def test_xcfgset():
    commands = ("XADD x IDMP p i 5000-0 n 1", "XADD x IDMP p j 6000-0 n 1")
    found = made(*commands, "XCFGSET x IDMP-DURATION 500 IDMP-MAXSIZE 1", now=6000).idmp
    assert (found.duration, found.max_entries, found.producers, found.added) == (500, 1, [], 2)
    assert len(records(*commands, "XCFGSET x IDMP-DURATION 100", now=6000)[0][b"p"]) == 2
    one = ("XCFGSET x IDMP-MAXSIZE 1", "XADD x IDMP p k 7000-0 n 1", "XADD x IDMP p l 8000-0 n 1")
    assert records(*commands, *one, now=6000)[0] == {b"p": [(b"l", (8000, 0))]}
    for words in ("IDMP-MAXSIZE 0", "IDMP-DURATION 86401", "IDMP-DURATION", "MORE 1"):
        assert made(*commands, f"XCFGSET x {words}", now=6000).idmp.duration == 100


def test_records_of_which_a_server_keeps_a_hash_are_left_out():
    commands = ("XADD x IDMPAUTO p 5000-0 n 1 m 2", "XADD x IDMPAUTO p * m 2 n 1", "XADD x IDMPAUTO p 6000-0 n 2")
    assert records(*commands, now=6000) == ({}, 2, 1)
    assert ids(*commands, now=6000) == ["5000-0", "6000-0"]


# -- nodes -------------------------------------------------------------------------------------------------------------


def test_nodes_are_divided_as_by_a_server():
    assert nodes(*adds(*range(1, 101))) == 1
    assert nodes(*adds(*range(1, 102))) == 2
    assert nodes(*adds(*range(1, 8)), stream_node_max_entries=3) == 3
    assert nodes(*adds(*range(1, 7)), "XDEL x 2 3 5", "XADD x 7 n 7", stream_node_max_entries=3) == 3
    assert nodes(*adds(*range(1, 7)), "XDEL x 4 5 6", "XADD x 7 n 7", stream_node_max_entries=3) == 2
    assert nodes(*adds(*range(1, 501)), stream_node_max_entries=0) == 2
    assert nodes(*adds(*range(1, 501)), stream_node_max_entries=0, stream_node_max_bytes=0) == 1


def test_a_node_that_a_trim_empties_from_within_stays():
    commands = ("XADD x 1 n 1", "XADD x 2 n 2", "XADD x 5 n 5", "XDEL x 5", "XTRIM x MINID 4", "XADD x 6 n 6")
    assert (nodes(*commands, stream_node_max_entries=3), ids(*commands)) == (2, ["6-0"])


def test_a_node_packed_and_opened_is_the_same():
    limits = NodeLimits(0, 0, 0, "new")
    for generation, size in (("old", 16370), ("new", 16370), ("old", 5), ("new", 16378)):
        limits = limits._replace(generation=generation)
        node = Node.begun(ID(5, 9), [b"n", b"m"], limits)
        for number in range(200):
            fields = [b"n", b"%d" % number, b"m", b"v" * size] if number % 3 else [b"other", b"007"]
            node.add(ID(5 + number // 2, 9 - number % 2 + number), fields, generation)
        node.delete(0)
        node.delete(199)
        packed = node.pack()
        again = Node(ID(5, 9), packed).open()
        assert (again.pack(), again.ids, again.gone, again.length) == (packed, node.ids, {0, 199}, len(packed))
        assert (again.live, Node(ID(5, 9), packed).live) == (198, 198)


def test_deleted_entries_stay_in_their_node():
    plain = replayed(*adds(*range(1, 60)), target="redis:7.2.6")[b"x"].memory
    deleted = replayed(*adds(*range(1, 60)), "XDEL x 7 8 9 10", target="redis:7.2.6")[b"x"].memory
    assert plain == deleted


def test_the_last_node_has_room():
    before = replayed(*adds(1), target=OLDER)[b"x"].memory
    assert replayed(*adds(1, 2, 3), target=OLDER)[b"x"].memory == before > 4096
    assert replayed(*adds(1, 2, 3), "COPY x y", target=OLDER)[b"y"].memory < 1000
    assert replayed(*adds(1), target="redis:8.6.3")[b"x"].memory < 1000
    assert replayed(*adds(1), target=OLDEST)[b"x"].memory < 1000


# -- from an RDB -------------------------------------------------------------------------------------------------------


def preamble(type_id, value, *commands, version, options=None):
    parts = []
    out = Writer(parts.append, version)
    out.magic()
    out.aux(b"aof-preamble", b"1")
    out.select_db(0)
    out.entry(type_id, b"x", encode_stream(type_id, value, options or Options(node_size=3)))
    out.end()
    out.flush()
    return b"".join(parts) + b"".join(command(*words.encode().split()) for words in commands)


def stream():
    entries = [(ID(number, 0), [(b"n", b"%d" % number)]) for number in (1, 2, 4, 5, 6, 7, 8)]
    found = Stream(entries, ID(8, 0), ID(1, 0), ID(3, 0), 8)
    found.groups = [Group(b"g", ID(8, 0), 8, [], [Consumer(b"c", 7000, None)])]
    return found


def opened(data, target=REDIS, **options):
    with rdbkit.open(data, target=target, **options) as snapshot:
        return next(iter(snapshot)).value


def test_commands_change_a_stream_of_the_preamble():
    deleted = Options(node_size=3, deleted=[((3, 0), [(b"m", b"x")])])
    commands = ("XDEL x 5", "XADD x 9-0 n 9", "XCLAIM x g c 0 4-0 5-0 FORCE JUSTID TIME 1000", "XTRIM x MAXLEN 5")
    data = preamble(spec.STREAM_LISTPACKS_3, stream(), *commands, version=11, options=deleted)
    found = opened(data, "redis:7.2.6", settings={"stream-node-max-entries": "3"})
    assert [stream_id[0] for stream_id, _ in found.entries] == [4, 6, 7, 8, 9]
    assert found.entries[0] == ((4, 0), [(b"n", b"4")])
    assert [str(one.id) for one in found.groups[0].pending] == ["4-0"]
    assert (found.first_id, found.max_deleted_id, found.entries_added) == ((4, 0), (5, 0), 9)


def test_a_load_sets_what_an_older_type_lacks():
    data = preamble(spec.STREAM_LISTPACKS, stream(), version=9)
    found = opened(data, OLDER)
    assert (found.groups[0].entries_read, found.entries_added, found.first_id) == (7, 7, (1, 0))
    assert opened(data, REDIS).groups[0].consumers[0].active_at == 7000
    assert opened(data, OLD).groups[0].entries_read is None


def test_a_copy_is_independent():
    commands = (*GROUP, CLAIM % "1-0", "COPY x y", "XDEL y 1", "XACK y g 1", "XADD y 9 n 9")
    found = replayed(*commands)
    assert (found[b"x"].value.length, len(found[b"x"].value.groups[0].pending)) == (3, 1)
    assert (found[b"y"].value.length, len(found[b"y"].value.groups[0].pending)) == (3, 0)


def test_records_of_the_preamble():
    value = stream()
    value.idmp = Idmp(50, 10, [(b"p", [(b"i", ID(8, 0))])], 1, 0)
    data = preamble(spec.STREAM_LISTPACKS_5, value, "XADD x IDMP p i * n 1", "XADD x IDMPAUTO p * n 1", version=14)
    found = opened(data, REDIS, now=9)
    assert (found.length, found.idmp.duplicates, found.idmp.producers) == (7, 2, [(b"p", [(b"i", (8, 0))])])


def test_a_damaged_node_ends_the_replay_where_it_is_needed():
    data = preamble(spec.STREAM_LISTPACKS_3, stream(), "XADD x 9 n 9", "XDEL x 2", "SET k v", version=11)
    good = data.index(b"\x03\x01\x00\x01\x01\x01\x81n")
    with rdbkit.open(data[:good] + b"\x04" + data[good + 1 :], target="redis:7.2.6", verify=False) as snapshot:
        error, commands = snapshot.replay.error, snapshot.replay.commands
    assert (error.code, commands) == ("bad-stream", 2)


def test_ids_are_read_as_numbers_of_64_bits():
    assert id_of(b"5", 7) == (5, 7)
    with pytest.raises(CommandError):
        id_of(b"5-18446744073709551616")
