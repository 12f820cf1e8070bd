"""The parts of a file that each policy drops."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

import rdbkit
from rdbkit.aof.writer import command
from rdbkit.errors import Corrupt, RdbkitError, Unsupported
from rdbkit.recovery.account import Repaired
from rdbkit.releases.target import Target
from recovery.damages import framed, hit, records, wrong
from recovery.data import damaged, made, recorded, source

SET = command(b"SET", b"k", b"v")


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    """No fsync: it is slow, and no test here needs it."""
    monkeypatch.setattr(os, "fsync", lambda _: None)


MULTI, EXEC = command(b"MULTI"), command(b"EXEC")


def repaired(home: Path, data: bytes, **options: object) -> tuple[Repaired, bytes]:
    path, out = home / "a.aof", home / "b.aof"
    path.write_bytes(data)
    account = rdbkit.repair(path, output=out, force=True, **options)  # type: ignore[arg-type]
    assert path.read_bytes() == data
    return account, out.read_bytes()


def many(*more: bytes) -> bytes:
    return b"".join(command(b"SET", b"key:%d" % n, b"value %d" % n) for n in range(8)) + b"".join(more)


# -- fix ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("server", recorded(), ids=lambda server: server["server"])
def test_fix_leaves_what_the_tool_left(server, tmp_path):
    path = tmp_path / "appendonly.aof"
    for case in server["single"]:
        data = damaged(source(server, case["source"]), case["op"])
        path.unlink(missing_ok=True)
        path.write_bytes(data)
        try:
            rdbkit.repair(path, policy="fix", in_place=True, force=True)
        except RdbkitError:
            assert case["fix"] == 1, case
        left = path.read_bytes()
        assert (len(left), data.startswith(left)) == (case["fixed_size"], True), case


def test_fix_knows_both_magics(tmp_path):
    """The tools treat the magic VALKEY as damage and empty the file."""
    path = tmp_path / "a.aof"
    path.write_bytes(b"VALKEY080" + bytes(30))
    with pytest.raises(RdbkitError) as error:
        rdbkit.repair(path, policy="fix", in_place=True)
    assert error.value.code == "damaged-preamble"
    assert path.stat().st_size == 39


# -- server ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("server", recorded(), ids=lambda server: server["server"])
def test_server_cuts_where_the_server_did(server, tmp_path):
    path = tmp_path / "appendonly.aof"
    target = Target.parse(server["server"].replace("-", ":"))
    for case in server["load"]:
        path.unlink(missing_ok=True)
        path.write_bytes(damaged(source(server), case["op"]))
        if case["starts"]:
            rdbkit.repair(path, policy="server", in_place=True, force=True, target=target)
            assert path.stat().st_size == case["size_after"], case
        else:
            with pytest.raises(Corrupt, match="not start with this file"):
                rdbkit.repair(path, policy="server", in_place=True, force=True, target=target)


@pytest.mark.parametrize(
    ("target", "tail", "left"),
    [
        ("redis:8.10.2", MULTI + SET + SET[:9], MULTI + SET),
        ("valkey:9.1.2", MULTI + SET + SET[:9], b""),
        ("valkey:9.1.0", MULTI + SET + SET[:9], MULTI + SET),
        ("redis:8.10.2", MULTI + SET, b""),
        ("redis:7.0.15", MULTI + SET + command(b"DISCARD") + SET, b""),
        ("redis:7.0.15", b"#TS:1\r\n" + SET[:9], b""),
    ],
)
def test_servers_differ(tmp_path, target, tail, left):
    account, data = repaired(tmp_path, SET + tail, policy="server", target=Target.parse(target))
    assert data == SET + left
    assert [one.code for one in account.files[0].doubts] == (["left-open"] if left else [])


def test_a_transaction_that_discards_crashes_a_server(tmp_path):
    with pytest.raises(Corrupt, match="crash"):
        repaired(tmp_path, SET + MULTI + SET + command(b"DISCARD") + EXEC, policy="server")


@pytest.mark.parametrize(
    ("target", "tail", "left"),
    [
        # Up to 4.0.11 the commands of a transaction run at once, and a MULTI that is open is no reason to cut.
        ("redis:4.0.11", MULTI + SET, MULTI + SET),
        ("redis:3.2.13", MULTI + SET + SET[:9], MULTI + SET),
        ("redis:4.0.12", MULTI + SET, b""),
        ("redis:4.0.12", MULTI + SET + SET[:9], MULTI + SET),
    ],
)
def test_old_servers(tmp_path, target, tail, left):
    """aof-and-check 1.3: recorded starts of 3.2.13, and the source of 4.0."""
    _, data = repaired(tmp_path, SET + tail, policy="server", target=Target.parse(target))
    assert data == SET + left


def test_servers_without_a_repair_of_their_own(tmp_path):
    with pytest.raises(Corrupt, match="it does not repair files"):
        repaired(tmp_path, SET + SET[:9], policy="server", target=Target.parse("redis:2.8.14"))


# -- keep most ---------------------------------------------------------------------------------------------------------


def test_a_valid_file_is_not_changed(tmp_path):
    account, data = repaired(tmp_path, made())
    assert (data, account.changed, account.complete) == (made(), False, True)


@pytest.mark.parametrize("seed", range(4))
def test_random_damage_takes_no_more_than_itself(seed, tmp_path):
    data = made(seed=seed)
    before = records(data)
    rng = random.Random(seed)
    for _ in range(50):
        damage = hit(rng, before[20].start, before[-20].start)
        hurt = damage.done(data)
        account, left = repaired(tmp_path, hurt)
        if not account.changed:
            # Servers are less strict than the check tool; records that they load are not reported as damaged.
            assert rdbkit.check(hurt).sound == account.sound
            continue
        after = records(left)
        # If the framing is still valid, nothing shows the damage.
        assert after is not None
        assert framed(hurt) or wrong(before, damage, after) is None, damage
        assert account.files[0].commands == sum(not one.data.startswith(b"#") for one in after)


def test_torn_tails_go_as_with_fix(tmp_path):
    data = made(60)
    for end in range(len(data) - 300, len(data)):
        assert repaired(tmp_path, data[:end])[1] == repaired(tmp_path, data[:end], policy="fix")[1], end


HURT = b"*3\r\n$3\r\nS\0\0\r\n$1\r\nk\r\n$1\r\nv\r\n"
INNER = b"".join(command(b"SET", b"inner", b"%d" % n) for n in range(9))


@pytest.mark.parametrize(
    ("damage", "left"),
    [
        # a count or a length that is noticed one record late: the one before is to blame
        (b"*2" + SET[2:], b""),
        (SET + b"$" + SET[1:], SET),
        (b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$24\r\nv\r\n" + command(b"DEL", b"abc"), command(b"DEL", b"abc")),
        # transactions stay whole
        (MULTI + SET + HURT + SET + EXEC, b""),
        (HURT + SET + EXEC, b""),
        (MULTI + SET + HURT + many(), many()),
        (b"*1\r\n$5\r\nMUXTI\r\n" + SET + EXEC, b""),
        (MULTI + SET + b"*1\r\n$4\r\nEXXC\r\n" + SET + MULTI + SET + EXEC, SET + MULTI + SET + EXEC),
        # what was inside of a value never becomes commands
        (b"*3\r\n$3\r\nSET\r\n!!\r\nk\r\n$%d\r\n%b\r\n" % (len(INNER), INNER), b""),
        (b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$3\r\n%b\r\n" % INNER, b""),
        (b"*3\r\n$3\r\nSET\r\n!!\r\nk\r\n$%d\r\n%b\r\n" % (len(INNER) - 2, INNER[:-2]), b""),
        (b"*0\r\n", b""),
        (b"\r\n", b""),
        (bytes(4096), b""),
        (b"*2\r\n$3\r\nSET\r\n$1\r\nk\r\n", b""),
    ],
)
def test_damage_in_the_middle(tmp_path, damage, left):
    account, data = repaired(tmp_path, many(damage, many()))
    assert data == many(left, many())
    assert not account.complete


def test_a_torn_value_that_holds_commands_stays_torn(tmp_path):
    torn = command(b"SET", b"k", INNER * 3)[:-40]
    assert repaired(tmp_path, many(torn))[1] == many()


def test_a_length_beyond_the_end_hides_nothing(tmp_path):
    swallowing = b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$9000001\r\nv\r\n"
    assert repaired(tmp_path, many(swallowing, many()))[1] == many(many())


def test_several_places(tmp_path):
    account, data = repaired(tmp_path, many(HURT, SET, HURT, many(), HURT, SET, SET[:9]))
    assert data == many(SET, many(), SET)
    assert [one.reason for one in account.files[0].dropped] == ["damaged", "damaged", "damaged", "torn"]


def test_a_lost_select_is_reported(tmp_path):
    select = command(b"SELECT", b"3")
    account, _ = repaired(tmp_path, many(select[:9] + b"!" + select[10:], many(), select, many()))
    (doubt,) = account.files[0].doubts
    assert (doubt.code, doubt.offset) == ("lost-select", len(many()) + len(select))
    assert "8 commands" in doubt.message


def test_the_account_names_what_went(tmp_path):
    account, _ = repaired(tmp_path, many(MULTI, command(b"SET", b"gone", b"1"), command(b"SET", b"too", b"1")[:-1]))
    (dropped,) = account.files[0].dropped
    assert (dropped.reason, dropped.commands, dropped.keys) == ("open-transaction", 3, (b"gone", b"too"))
    assert Path(account.files[0].side).read_bytes() == (tmp_path / "a.aof").read_bytes()[dropped.start : dropped.end]


def test_zeros_are_named(tmp_path):
    account, data = repaired(tmp_path, many(SET[:20] + bytes(500)))
    assert data == many()
    assert [one.reason for one in account.files[0].dropped] == ["zeros"]


def test_unknown_commands_are_kept_and_reported(tmp_path):
    account, data = repaired(tmp_path, many(command(b"FROB", b"x")))
    assert data == many(command(b"FROB", b"x"))
    assert [one.code for one in account.files[0].doubts] == ["unknown-command"]


def test_lines_that_end_in_lf_load_as_they_are(tmp_path):
    data = b"*3\n$3\nSET\r\n$1\nk\r\n$1\nv\r\n" * 3
    account, left = repaired(tmp_path, data)
    assert left == data
    assert [one.code for one in account.files[0].doubts] == ["checker-refuses"]


def test_what_is_no_aof_is_left_alone(tmp_path):
    with pytest.raises(Unsupported) as error:
        repaired(tmp_path, b"some text\nof a file\n" * 50)
    assert error.value.code == "not-rdb"


def test_any_bytes_are_an_answer(tmp_path):
    rng = random.Random(5)
    words = [
        b"*3\r\n",
        b"$3\r\n",
        b"SET",
        b"\r\n",
        b"*1\r\n$4\r\nEXEC\r\n",
        MULTI,
        SET,
        b"#TS:1\r\n",
        b"$99\r\n",
        b"\0",
        b"*",
    ]
    for _ in range(300):
        data = b"".join(rng.choices(words, k=rng.randrange(1, 40)))
        for policy in ("keep-most", "fix", "server"):
            try:
                _, left = repaired(tmp_path, data, policy=policy)
            except RdbkitError:
                continue
            if policy == "keep-most":
                assert records(left) is not None
                assert repaired(tmp_path, left)[1] == left


# -- cuts --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "left"),
    [
        ({"before": b"flushall"}, many(SET, command(b"FLUSHALL"))),
        ({"before": b"SET", "db": 2}, many(SET, command(b"FLUSHALL"), command(b"FLUSHALL"), command(b"SELECT", b"2"))),
        ({"until_offset": len(many()) + 3}, many()),
        ({"until_offset": 1 << 40}, None),
    ],
)
def test_cut(tmp_path, options, left):
    wipe = command(b"FLUSHALL")
    data = many(SET, wipe, wipe, command(b"SELECT", b"2"), SET, command(b"SELECT", b"0"), SET)
    account, got = repaired(tmp_path, data, **options)
    assert got == (data if left is None else left)
    assert account.complete
    assert account.files[0].side is None


def test_cut_in_a_transaction_takes_all_of_it(tmp_path):
    assert repaired(tmp_path, many(MULTI, SET, command(b"FLUSHALL"), EXEC), before=b"FLUSHALL")[1] == many()


def test_cut_by_time(tmp_path):
    data = b"#TS:100\r\n" + SET + b"#TS:200\r\n" + SET + b"#TS:150\r\n" + SET
    assert repaired(tmp_path, data, until_time=150_000)[1] == b"#TS:100\r\n" + SET
    assert repaired(tmp_path, data, until_time=200_000)[1] == data
    with pytest.raises(RdbkitError, match="nothing before that point"):
        repaired(tmp_path, data, until_time=1000)
    with pytest.raises(Unsupported, match="no timestamps"):
        repaired(tmp_path, SET, until_time=1000)


def test_cut_before_what_is_not_there(tmp_path):
    with pytest.raises(RdbkitError, match="no FLUSHALL found"):
        repaired(tmp_path, SET, before=b"FLUSHALL")
