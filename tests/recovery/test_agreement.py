"""Repair and check agree on a file: what is valid, what is lost, and what is not an AOF."""

from __future__ import annotations

import os
import random
import re
from pathlib import Path

import pytest

import rdbkit
from rdbkit.aof.writer import command
from rdbkit.errors import Corrupt, RdbkitError, Truncated, Unsupported
from rdbkit.recovery.account import PLACES, Repaired
from rdbkit.releases.target import Target

SET = command(b"SET", b"k", b"v")
FOREIGN = {"not-rdb", "foreign-format"}


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    """No fsync: it is slow, and no test here needs it."""
    monkeypatch.setattr(os, "fsync", lambda _: None)


def log(rng: random.Random) -> bytes:
    values = [b"v", b"x" * 60, b"a\r\nb", b"$3\r\nabc\r\n", b"*1\r\n$4\r\nPING\r\n"]
    records = [command(b"SELECT", b"0")]
    for _ in range(rng.randrange(1, 25)):
        key = b"k%d" % rng.randrange(9)
        records.append(
            rng.choice(
                [
                    command(b"SET", key, rng.choice(values)),
                    command(b"RPUSH", key, *(b"e%d" % n for n in range(rng.randrange(1, 5)))),
                    command(b"MULTI") + command(b"INCR", key) + command(b"DEL", key) + command(b"EXEC"),
                    command(b"DEL", key),
                ]
            )
        )
    return b"#TS:1700000000\r\n" * (rng.random() < 0.2) + b"".join(records)


def damaged(rng: random.Random, data: bytes) -> bytes:
    hurt = bytearray(data)
    for _ in range(rng.choice([0, 1, 1, 1, 2, 3])):
        at = rng.randrange(len(hurt)) if hurt else 0
        how = rng.randrange(7)
        if how == 0 and hurt:
            hurt[at] ^= 1 << rng.randrange(8)
        elif how == 1:
            del hurt[at : at + rng.randrange(1, 40)]
        elif how == 2:
            hurt[at:at] = rng.randbytes(rng.randrange(1, 20))
        elif how == 3:
            del hurt[at:]
        elif how == 4:
            hurt[at : at + rng.randrange(1, 60)] = bytes(rng.randrange(1, 60))
        elif how == 5 and hurt:
            hurt[at] = rng.choice(b"*$\r\n0123456789#")
        else:
            hurt[:0] = rng.choice([b"\xef\xbb\xbf", b"\n", b"1:M 01 Jan 2026 00:00:00.000 * Ready\n", bytes(100)])
    return bytes(hurt)


def lost(message: str) -> int:
    """The number of lost commands in a finding of check."""
    reported = re.search(r"losing (.*?) \(", message)
    assert reported is not None
    numbers = re.findall(r"(\d+|one|a) (?:damaged|torn|command)", reported[1])
    return sum(int(number) if number.isdigit() else 1 for number in numbers)


def attempted(path: Path, out: Path) -> Repaired | RdbkitError:
    try:
        return rdbkit.repair(path, output=out, force=True)
    except RdbkitError as error:
        return error


@pytest.mark.parametrize("seed", range(6))
def test_random_damage(seed, tmp_path):
    """One verdict before, one after; the same number of lost commands; the same class of error."""
    rng = random.Random(seed)
    path, out = tmp_path / "a.aof", tmp_path / "b.aof"
    for _ in range(120):
        data = damaged(rng, log(rng))
        path.write_bytes(data)
        before = rdbkit.check(path)
        codes = {finding.code for finding in before.findings}
        halves = codes & {"exec-without-multi", "nested-multi"}
        account = attempted(path, out)
        if isinstance(account, RdbkitError):
            errors = {finding.code for finding in before.findings if finding.severity == "error"}
            assert not before.sound, data
            assert isinstance(account, Unsupported) == (errors <= FOREIGN), (data, account)
            continue
        # What is left of half a transaction is taken off, although servers load it.
        assert account.changed or account.sound == before.sound, data
        assert not account.changed or not before.sound or halves, data
        assert rdbkit.check(out).sound == account.sound, data
        cut = [
            finding.message for finding in before.findings if finding.code == "fix-cut" and "losing" in finding.message
        ]
        if cut:
            fixed = rdbkit.repair(path, policy="fix", dry_run=True)
            assert lost(cut[0]) == sum(file.lost_commands for file in fixed.files), data


@pytest.mark.parametrize("tail", [SET[:-4], SET[:9], b"*3\r\n$3\r\nSET\r\n$9", b"*3"])
def test_a_torn_command_is_one_command(tail, tmp_path):
    path = tmp_path / "a.aof"
    path.write_bytes(SET + tail)
    (file,) = rdbkit.repair(path, dry_run=True).files
    assert (file.lost_commands, file.dropped[0].damaged) == (1, 1)
    message = next(finding.message for finding in rdbkit.check(path).findings if finding.code == "fix-cut")
    assert "losing one torn command" in message


@pytest.mark.parametrize(("between", "commands"), [
    (b"3\r\n$3\r\nSET\r\n$1\r\nx\r\n$1\r\ny\r\n", 1), (b"some text\n", 0), (bytes(50), 0), (b"\xef\xbb\xbf", 0),
    (b"*3\r\n$3\r\nS#T\r\n$9\r\nx\r\n", 1),
])  # fmt: skip
def test_remains_of_commands_are_counted(between, commands, tmp_path):
    path = tmp_path / "a.aof"
    path.write_bytes(SET * 5 + between + SET * 5)
    (file,) = rdbkit.repair(path, dry_run=True).files
    assert (file.places, file.lost_commands, file.commands) == (1, commands, 10)


def test_a_command_that_nobody_knows_is_no_success(tmp_path):
    path, out = tmp_path / "a.aof", tmp_path / "b.aof"
    path.write_bytes(SET + command(b"WET", b"a", b"b") + SET + SET[:-3])
    account = rdbkit.repair(path, output=out)
    assert (account.changed, account.complete, account.sound) == (True, False, False)
    assert [fault.code for fault in account.files[0].faults] == ["unknown-command"]
    assert not rdbkit.check(out).sound


def test_nothing_left(tmp_path):
    path = tmp_path / "a.aof"
    for data in (SET[:-3], b"#TS:1\r\n" + SET[:-3], bytes(9) + SET[5:-3]):
        path.write_bytes(data)
        with pytest.raises(Corrupt) as caught:
            rdbkit.repair(path, output=tmp_path / "b.aof")
        assert caught.value.code == "nothing-left"
    assert [file.name for file in tmp_path.iterdir()] == ["a.aof"]


@pytest.mark.parametrize(("target", "sound"), [(None, False), ("redis:6.2.14", True), ("redis:7.0.15", True)])
def test_an_empty_file_by_target(target, sound, tmp_path):
    goal = None if target is None else Target.parse(target)
    path = tmp_path / "a.aof"
    path.write_bytes(b"")
    assert rdbkit.check(str(path), target=goal).sound == sound
    if sound:
        assert not rdbkit.repair(path, target=goal).changed
    else:
        with pytest.raises(Truncated):
            rdbkit.repair(path, target=goal)
    # Nothing but its name says that it is no RDB, with which no server starts.
    other = tmp_path / "dump.rdb"
    other.write_bytes(b"")
    assert not rdbkit.check(str(other), target=goal).sound


def test_timestamps_prove_the_release(tmp_path):
    """Assumed and given, check and repair mean the same server."""
    path = tmp_path / "a.aof"
    for data in (b"#TS:1700000000\r\n" + SET, SET + b"#TS:1700000000\r\n" + SET):
        path.write_bytes(data)
        assert rdbkit.check(path).sound
        assert rdbkit.check(path, target="redis:7.0.15").sound
        assert not rdbkit.check(path, target="redis:6.2.16").sound
        path.write_bytes(data + SET[:-3])
        account = rdbkit.repair(path, policy="server", dry_run=True)
        cut = next(finding for finding in rdbkit.check(path).findings if finding.code == "server-cut")
        assert "redis:7.0.15 cuts the file to" in cut.message
        assert (cut.offset, account.files[0].kept) == (len(data), len(data))
        with pytest.raises(Corrupt, match="timestamp line at offset"):
            rdbkit.repair(path, policy="server", dry_run=True, target=Target.parse("redis:6.2.16"))


def test_many_damaged_places(tmp_path):
    """All are dropped, and all are in the index; the account names the first of them, and sums up the rest."""
    hurt = b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$9\r\nb\r\n"
    count = PLACES + 50
    path, out = tmp_path / "a.aof", tmp_path / "b.aof"
    path.write_bytes((SET * 4 + hurt) * count + SET * 4)
    (file,) = rdbkit.repair(path, output=out).files
    assert (len(file.dropped), file.rest.places, file.places) == (PLACES, 50, count)
    assert (file.lost_size, file.lost_commands, file.commands) == (len(hurt) * count, count, 4 * count + 4)
    assert out.read_bytes() == SET * 4 * (count + 1)
    assert (tmp_path / "b.aof.dropped").read_bytes() == hurt * count
    assert (tmp_path / "b.aof.dropped.jsonl").read_bytes().count(b"\n") == count


def test_progress_is_reported_by_calls(tmp_path):
    path = tmp_path / "a.aof"
    path.write_bytes(command(b"SET", b"k", b"x" * 10_000) * 2000 + SET[:-3])
    seen: list[tuple[int, int]] = []
    rdbkit.repair(path, dry_run=True, progress=lambda done, total: seen.append((done, total)))
    size = path.stat().st_size
    assert seen
    assert {total for _, total in seen} == {size}
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert seen[-1][0] > size - (8 << 20)


@pytest.mark.parametrize(("data", "code", "kind"), [
    (b"PK\x03\x04" + bytes(50), "foreign-format", Unsupported), (b"hello\n", "not-rdb", Unsupported),
    (bytes(500), "nul-run", Corrupt), (b"REDIS0009\xef\xbf\xbd\x09redis-ver", "text-copy", Corrupt),
    (b"+FULLRESYNC a 1\r\n$18\r\nREDIS0009\xff" + bytes(8), "framed", Unsupported),
])  # fmt: skip
def test_what_is_no_aof(data, code, kind, tmp_path):
    path = tmp_path / "a.aof"
    path.write_bytes(data)
    with pytest.raises(kind) as caught:
        rdbkit.repair(path, output=tmp_path / "b.aof")
    assert caught.value.code == code
