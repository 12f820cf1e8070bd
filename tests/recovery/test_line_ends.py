"""Converted line ends are restored if the lengths prove what they were; otherwise nothing is written."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

import rdbkit
from rdbkit.aof.writer import command
from rdbkit.errors import Corrupt, RdbkitError

SET = command(b"SET", b"k", b"v")


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    """No fsync: it is slow, and no test here needs it."""
    monkeypatch.setattr(os, "fsync", lambda _: None)


def lf(data: bytes) -> bytes:
    return data.replace(b"\r\n", b"\n")


def crcrlf(data: bytes) -> bytes:
    return data.replace(b"\n", b"\r\n")


def restored(home: Path, data: bytes) -> bytes:
    """Repair a file; return the result, in which check finds no error."""
    path, out = home / "a.aof", home / "b.aof"
    path.write_bytes(data)
    account = rdbkit.repair(path, output=out, force=True)
    assert path.read_bytes() == data
    assert account.files[0].restored
    assert account.sound
    assert rdbkit.check(out).sound
    return out.read_bytes()


def text(rng: random.Random, *ends: bytes) -> bytes:
    return b"".join(rng.choice([b"line", b"x", b"", *ends]) for _ in range(rng.randrange(20)))


VALUES = {
    "plain": lambda rng: b"value" * rng.randrange(9),
    "only CR LF": lambda rng: text(rng, b"\r\n"),
    "only LF": lambda rng: text(rng, b"\n"),
    "lone CR": lambda rng: text(rng, b"\r"),
    "binary": lambda rng: rng.randbytes(rng.randrange(200)).replace(b"\n", b"."),
    "numbers": lambda rng: b"%d" % rng.randrange(10**9),
}


@pytest.mark.parametrize("convert", [lf, crcrlf])
@pytest.mark.parametrize("kinds", [["plain"], ["only CR LF"], ["only LF", "lone CR"], list(VALUES)], ids=str)
def test_the_original_comes_back(convert, kinds, tmp_path):
    """Byte by byte, whatever the values hold, as long as no value holds both line ends."""
    rng = random.Random(str(kinds))
    refused = []
    for _ in range(60):
        records = [
            command(b"RPUSH", b"key", *(VALUES[rng.choice(kinds)](rng) for _ in range(rng.randrange(1, 5))))
            for _ in range(rng.randrange(1, 20))
        ]
        if rng.random() < 0.3:
            records.insert(rng.randrange(len(records)), b"#TS:1700000000\r\n")
        data = b"".join(records)
        try:
            assert restored(tmp_path, convert(data)) == data
        except Corrupt as error:
            # By chance what follows fits two ends of a value.
            refused.append((convert, error.code))
    assert refused in ([], [(lf, "line-ends-lost")] * len(refused))
    assert len(refused) <= 3


def test_values_with_both_line_ends_are_refused(tmp_path):
    """One of the two was CR LF; which one, no length says."""
    data = SET + command(b"SET", b"mixed", b"a\r\nb\nc") + SET
    path = tmp_path / "a.aof"
    path.write_bytes(lf(data))
    with pytest.raises(Corrupt, match="1 of the 2 in this value were CR LF") as caught:
        rdbkit.repair(path, output=tmp_path / "out")
    assert (caught.value.code, caught.value.offset) == ("line-ends-lost", lf(data).index(b"a\nb\nc"))
    assert [file.name for file in tmp_path.iterdir()] == ["a.aof"]
    assert restored(tmp_path, crcrlf(data)) == data


@pytest.mark.parametrize("value", [SET, SET * 3, b"$3\r\nabc\r\n", b"*1\r\n$4\r\nPING\r\n", b"\r\n" * 9])
def test_values_that_hold_commands(value, tmp_path):
    data = SET + command(b"SET", b"inner", value) + SET * 3
    assert restored(tmp_path, lf(data)) == data


@pytest.mark.parametrize("size", [300_000, 2_000_000])
def test_long_values(size, tmp_path):
    """Longer than what is read at a time; every other line end of them is in a value of its own kind."""
    rng = random.Random(size)
    plain = rng.randbytes(size).replace(b"\n", b".")
    many = b"0123456789\r\n" * (size // 12)
    data = SET + command(b"SET", b"big", plain) + command(b"SET", b"text", many) + command(b"SET", b"t", many) + SET
    assert restored(tmp_path, lf(data)) == data
    assert restored(tmp_path, crcrlf(data)) == data


@pytest.mark.parametrize("convert", [lf, crcrlf])
def test_torn_files(convert, tmp_path):
    """What is whole is restored; the torn command is dropped as such."""
    data = SET * 3 + command(b"SET", b"torn", b"a\r\nvalue\r\nof lines")
    whole = convert(SET * 3)
    for end in range(len(whole) + 1, len(convert(data))):
        assert restored(tmp_path, convert(data)[:end]) == SET * 3, end


def test_other_damage_as_well_is_refused(tmp_path):
    path = tmp_path / "a.aof"
    path.write_bytes(lf(SET * 3) + b"rubbish that is long enough to be no torn header\n" + lf(SET * 3))
    with pytest.raises(Corrupt, match="there is also other damage") as caught:
        rdbkit.repair(path, output=tmp_path / "out")
    # The value before is what does not end as it should.
    assert caught.value.offset == len(lf(SET * 3)) - 2


def test_random_bytes_never_give_a_wrong_result(tmp_path):
    """With values of any bytes: the original, or nothing."""
    rng = random.Random(5)
    outcomes: list[str] = []
    for _ in range(200):
        data = b"".join(
            command(b"SET", b"k", bytes(rng.choice(b"\r\n$*13ab") for _ in range(rng.randrange(30))))
            for _ in range(rng.randrange(1, 6))
        )
        try:
            assert restored(tmp_path, lf(data)) == data
            outcomes.append("")
        except RdbkitError as error:
            outcomes.append(error.code)
    assert set(outcomes) == {"", "line-ends-lost"}
    assert 20 < outcomes.count("") < 180


def test_not_in_place(tmp_path):
    path = tmp_path / "a.aof"
    path.write_bytes(lf(SET))
    with pytest.raises(Corrupt, match="cannot be restored with --in-place"):
        rdbkit.repair(path, in_place=True)
    assert path.read_bytes() == lf(SET)


def test_other_policies_do_as_other_programs(tmp_path):
    path = tmp_path / "a.aof"
    path.write_bytes(lf(SET))
    rdbkit.repair(path, output=tmp_path / "out", policy="fix")
    assert (tmp_path / "out").read_bytes() == b""
    with pytest.raises(Corrupt) as caught:
        rdbkit.repair(path, policy="server", dry_run=True)
    assert caught.value.code == "server-refuses"


def test_a_file_of_a_set(tmp_path):
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "a.aof.1.incr.aof").write_bytes(lf(SET * 2))
    (tmp_path / "d" / "a.aof.manifest").write_bytes(b"file a.aof.1.incr.aof seq 1 type i\n")
    assert [f.code for f in rdbkit.check(tmp_path / "d").findings if f.severity == "error"] == ["line-ends"]
    rdbkit.repair(tmp_path / "d", output=tmp_path / "out")
    assert (tmp_path / "out" / "a.aof.1.incr.aof").read_bytes() == SET * 2
