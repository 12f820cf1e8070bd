"""Data that is too large to be kept, and bytes after the end of the file, are reported when they are left out."""

from __future__ import annotations

from typing import Any

import pytest
from rdb.files import FUNCTION, MS, entry, made

from cli.run import rdbkit
from rdbkit.format import spec

MEMBERS = [b"%07d" % number + b"m" * 20 for number in range(50_000)]


def expiry(member: bytes) -> list[Any]:
    """Return KeyDB's pair of records that follows a key."""
    return [("aux", b"keydb-subexpire-key", member), ("aux", b"keydb-subexpire-when", b"%d" % MS)]


def test_members_expiries_of_large_sets_are_left_out(build: Any) -> None:
    """KeyDB writes them after the value, which has been written by then: the export reports that it is incomplete."""
    file = made(entry(spec.SET, b"s", MEMBERS, compress=False), *expiry(MEMBERS[3]), entry(0), version=9)
    with build.rdbkit.open(file) as snapshot:
        assert len(list(snapshot)) == 2
        assert snapshot.unkept == {"member expiry": 1}
    for args in (("-f", "jsonl"), ("-f", "resp", "-q")):
        ran = rdbkit("export", "-", *args, stdin=file)
        assert ran.status == 5
        assert "1 expiries of members" in ran.err or "1 member expiry" in ran.err
    ran = rdbkit("export", "-", "--type", "string", stdin=file)
    assert (ran.status, len(ran.rows)) == (0, 1)


def test_members_expiries_are_bounded(build: Any) -> None:
    """A set of one member with many expiries: of those beyond 16 MiB only the number is kept."""
    pairs = [call for member in MEMBERS for call in expiry(member + b"x" * 300)]
    with build.rdbkit.open(made(entry(spec.SET, b"s", [b"a"]), *pairs, entry(0), version=9)) as snapshot:
        first, _ = [(len(found.members()), found.key) for found in snapshot]
        assert first[0] + snapshot.unkept["member expiry"] == len(MEMBERS)
        assert 10_000 < first[0] < 40_000


def test_functions_that_are_not_kept(build: Any) -> None:
    """A library over 16 MiB is left out, not cut to its beginning."""
    large = FUNCTION.replace(b"name=lib", b"name=large") + b" " * (1 << 24)
    file = made(("function", large), ("function", FUNCTION), entry(0))
    with build.rdbkit.open(file) as snapshot:
        assert len(list(snapshot)) == 1
        assert snapshot.functions == [FUNCTION]
        assert snapshot.unkept == {"function": 1}
    ran = rdbkit("export", "-", "-f", "resp", "-q", stdin=file)
    assert ran.status == 5
    assert "skipped 1 function library that is too large" in ran.err


@pytest.mark.parametrize("command", ["keys", "export"])
def test_bytes_after_the_end_are_reported(command: str) -> None:
    file = made(entry(0))
    ran = rdbkit(command, "-", stdin=file + file)
    assert ran.status == 0
    assert f"{len(file)} bytes (another RDB) follow the end at offset {len(file)}; ignored" in ran.err
    assert "follow" not in rdbkit(command, "-", stdin=b"$%d\r\n%b" % (len(file), file)).err
