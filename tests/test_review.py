"""Ways to lose data, or to be told less than the truth, that were once open: each stays shut."""

from __future__ import annotations

import io
import os
import tempfile
import tracemalloc
from pathlib import Path
from time import process_time, time
from typing import Any

import pytest
from cli.run import rdbkit, start
from rdb.files import FUNCTION, MS, Trickle, entry, made
from rdb.test_walker import giant_file

from rdbkit.conversion.selection import glob
from rdbkit.format import spec

MEMBERS = [b"%07d" % number + b"m" * 20 for number in range(50_000)]


def expiry(member: bytes) -> list[Any]:
    """Return KeyDB's pair of records behind a key."""
    return [("aux", b"keydb-subexpire-key", member), ("aux", b"keydb-subexpire-when", b"%d" % MS)]


# -- inputs are not overwritten ----------------------------------------------------------------------------------------


@pytest.fixture
def data() -> bytes:
    return made(entry(0), ("expire_ms", MS), entry(spec.SET))


def spared(path: Path, data: bytes, *args: object) -> None:
    """Run a command that must refuse to write over the file at this path."""
    ran = rdbkit(*args)
    assert (ran.status, ran.out) == (2, "")
    assert "is an input, and would be overwritten" in ran.err
    assert path.read_bytes() == data


def test_output_is_not_put_in_the_place_of_an_input(tmp_path: Path, data: bytes) -> None:
    """Also not of one that lies in the directory, or is called as the output is until it is complete."""
    path = tmp_path / "dump.rdb"
    partial = tmp_path / "out.partial"
    link = tmp_path / "link"
    for file in (path, partial):
        file.write_bytes(data)
    link.symlink_to(path)
    for command in ("keys", "check", "info", "export"):
        spared(path, data, command, path, "-o", path)
        spared(path, data, command, path, "-o", link)
        spared(partial, data, command, partial, "-o", tmp_path / "out")
    partial.unlink()
    spared(path, data, "keys", tmp_path, "-o", path)
    spared(path, data, "check", tmp_path, "-o", path)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["dump.rdb", "link"]
    link.unlink()
    assert rdbkit("keys", tmp_path, "-o", tmp_path / "keys.txt").status == 0


def test_output_is_not_put_in_the_place_of_standard_input(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "dump.rdb"
    path.write_bytes(data)
    with path.open("rb") as file:
        process = start("keys", "-", "-o", path, stdin=file)
        assert process.wait(60) == 2
    assert path.read_bytes() == data
    with open(os.devnull, "rb") as nothing:
        assert start("keys", "-", "-o", os.devnull, stdin=nothing).wait(60) == 1


# -- what time it is ---------------------------------------------------------------------------------------------------


def test_expiry_without_any_time_is_measured_by_the_clock() -> None:
    now = int(time() * 1000)
    calls = [("expire_ms", now - 10**7), entry(0, b"old"), ("expire_ms", now + 10**7), entry(0, b"new")]
    ran = rdbkit("keys", "-", "--ttl", "expired", "-f", "jsonl", stdin=made(*calls, version=6))
    assert [row["key"] for row in ran.rows] == ["old"]
    assert "(the current time; the file has no timestamp)" in ran.err


def test_times_beyond_the_calendar(tmp_path: Path) -> None:
    path = tmp_path / "dump.rdb"
    path.write_bytes(made(("aux", b"ctime", b"9" * 12), entry(0)))
    ran = rdbkit("keys", path, "--ttl", "none", "--ttl", "expired", "-f", "jsonl")
    assert (ran.status, len(ran.rows)) == (0, 1)
    assert "relative to 999999999999000 ms (the file's ctime)" in ran.err
    for now, status in (("²", 2), ("9" * 30, 2), ("9" * 18, 0)):
        assert rdbkit("keys", path, "--now", now, "--ttl", "none").status == status


# -- a part is not the whole -------------------------------------------------------------------------------------------


def test_members_expiries_of_large_sets_are_missed(build: Any) -> None:
    """KeyDB writes them behind the value, which is gone by then: the export says so, and is incomplete."""
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
    """A set of one member with any number of expiries: of those beyond 16 MiB only their number is kept."""
    pairs = [call for member in MEMBERS for call in expiry(member + b"x" * 300)]
    with build.rdbkit.open(made(entry(spec.SET, b"s", [b"a"]), *pairs, entry(0), version=9)) as snapshot:
        first, _ = [(len(found.members()), found.key) for found in snapshot]
        assert first[0] + snapshot.unkept["member expiry"] == len(MEMBERS)
        assert 10_000 < first[0] < 40_000


def test_functions_that_are_not_kept(build: Any) -> None:
    """A library over 16 MiB is not taken for its beginning."""
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
def test_what_follows_the_end_is_told(command: str) -> None:
    file = made(entry(0))
    ran = rdbkit(command, "-", stdin=file + file)
    assert ran.status == 0
    assert f"{len(file)} bytes (another RDB) follow the end at offset {len(file)}; ignored" in ran.err
    assert "follow" not in rdbkit(command, "-", stdin=b"$%d\r\n%b" % (len(file), file)).err


def test_keydb_is_known_by_what_stands_before_its_first_key(build: Any) -> None:
    """6.3 is a number of KeyDB's own: no Redis ever had it, and the next one keeps hashes in listpacks."""
    head = [("aux", b"redis-ver", b"6.3.4"), ("select_db", 0), ("resize_db", 1, 0)]
    for attributes in ([], [("expire_ms", MS)]):
        file = made(*head, *attributes, ("aux", b"mvcc-tstamp", b"1"), entry(spec.HASH_ZIPLIST), version=9)
        with build.rdbkit.open(file) as snapshot:
            assert (snapshot.product, str(snapshot.target)) == ("keydb", "redis:6.2.6")
            [found] = snapshot
            assert (found.encoding, found.expires_at) == ("ziplist", MS if attributes else None)
            assert {db: (d.claimed_keys, d.keys) for db, d in snapshot.databases.items()} == {0: (1, 1)}


# -- check -------------------------------------------------------------------------------------------------------------


def test_damage_inside_a_stream_hides_nothing(build: Any) -> None:
    """Whatever is wrong with a node, its framing tells where the next key stands."""
    nodes = [b"\x05short\x01x", b"\x10" + bytes(16) + b"\x03bad", b"\xc0\x05\xc0\x06"]
    for node in nodes:
        stream = b"\x01" + node + bytes(4)
        result = build.rdbkit.check(made(("entry", spec.STREAM_LISTPACKS, b"s", stream), entry(0, b"k"), version=9))
        assert [finding.severity for finding in result.findings] == ["error"]
        assert (result.findings[0].key, result.keys, result.complete) == (b"s", 2, True)


@pytest.mark.parametrize("type_id", [15, 19, 21, 26, 27])
def test_streams_are_stepped_over_to_their_end(build: Any, type_id: int) -> None:
    file = made(entry(type_id, b"s"), entry(0, b"k"), version=14)
    with build.rdbkit.open(file, plan=build("rdb.walker").Plan()) as snapshot:
        assert [found.key for found in snapshot] == [b"s", b"k"]


def test_uniqueness_without_temporary_space_in_the_middle(build: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is given up for keys and said at the end; the walk goes on."""
    unique = build("rdb.duplicate_filter")
    monkeypatch.setattr(unique.DuplicateFilter.__init__, "__defaults__", (64,))
    monkeypatch.setattr(unique, "_RUN", 100)

    def full(*_: Any, **__: Any) -> Any:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tempfile, "TemporaryFile", full)
    names = [b"%d" % number for number in range(5000)]
    result = build.rdbkit.check(made(entry(spec.SET, b"s", names), *(entry(0, name) for name in names)))
    assert [(found.code, found.severity) for found in result.findings] == [("not-unique", "warning")] * 2
    assert (result.complete, result.keys) == (True, 5001)


def test_equal_fingerprints_are_no_verdict(build: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Members that only look equal are told apart by reading again, of a pipe from a copy."""
    check, unique = build("rdb.value_checks"), build("rdb.duplicate_filter")
    data = giant_file(spec.SET)
    path = tmp_path / "dump.rdb"
    path.write_bytes(data)
    with build.rdbkit.open(data) as snapshot:
        name = next(next(found.parts()) for found in snapshot if found.body is None)
    monkeypatch.setattr(
        unique.DuplicateFilter, "candidates", lambda self: {unique.fingerprint(name)} if self._run else set()
    )
    assert check.DuplicateFilter is unique.DuplicateFilter
    for what in (data, path, Trickle(data, 1 << 16)):
        assert "duplicate-member" not in [found.code for found in build.rdbkit.check(what).findings]


class Failing(io.BytesIO):
    """A disk that cannot be read beyond a place."""

    def read(self, n: int | None = -1, /) -> bytes:
        if self.tell() > 500_000:
            raise OSError(5, "Input/output error")
        return super().read(n)

    read1 = read  # type: ignore[assignment]


def test_a_disk_that_fails_is_no_question_of_uniqueness(build: Any) -> None:
    """What cannot be read is not checked: an OSError, and no verdict."""
    file = Failing(giant_file(spec.SET))
    with pytest.raises(OSError, match="Input/output error"):
        build.rdbkit.check(file)


def test_an_end_that_no_checksum_vouches_for(tmp_path: Path) -> None:
    """A stray end mark hides the keys behind it: also where the checksum was not asked for."""
    path = tmp_path / "dump.rdb"
    path.write_bytes(made(entry(0, b"a"), ("put", b"\xff" + b"x" * 8), entry(0, b"hidden")))
    for command in ("keys", "export", "check", "info"):
        ran = rdbkit(command, path, "--no-checksum")
        assert ran.status == 1
        assert "keys may be hidden" in ran.out + ran.err


# -- entries -----------------------------------------------------------------------------------------------------------


def test_readings_of_one_value_do_not_disturb_each_other(build: Any, tmp_path: Path) -> None:
    """A value that was not kept is read again, and again while the first of these readings is still under way."""
    path = tmp_path / "dump.rdb"
    path.write_bytes(giant_file(spec.SET))
    with build.rdbkit.open(path) as snapshot:
        for found in snapshot:
            if found.body is None:
                assert found.size > 1 << 20
                parts = found.parts()
                first = next(parts)
                assert {first, *parts} == found.value
                begun = found.parts()
                next(begun)
                for _ in range(3):
                    assert len(found.value) == found.elements
                assert len(list(begun)) == found.elements - 1
        assert snapshot.checksum == "good"


# -- memory and time ---------------------------------------------------------------------------------------------------


def test_a_flood_of_records_is_not_collected_at_opening(build: Any) -> None:
    """Records without text weigh nothing in the file, and a tuple each in memory."""
    file = made(("put", b"\xfa\x00\x00" * 100_000), entry(0))
    with build.rdbkit.open(file) as snapshot:
        assert 0 < len(snapshot.take_records()) < 20_000
        assert len(list(snapshot)) == 1


def test_a_claim_of_unpacked_bytes_is_no_allocation(build: Any) -> None:
    """Three bytes can stand for 264, so a short string may claim much, and break its word at once."""
    lzf = build("wire.lzf")
    size = 100 << 20
    tracemalloc.start()
    with pytest.raises(build.errors.Corrupt) as caught:
        lzf.decompress(b"\xff" * (size // 80), size, 7)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (caught.value.code, caught.value.offset) == ("bad-lzf", 7)
    assert peak < 10 << 20
    text = b"0123456789" * (1 << 21)
    packed = lzf.compress(text)
    assert lzf.decompress(packed, len(text)) == text
    for damaged, claim in ((packed[:-1], len(text)), (packed, len(text) + 1), (packed, len(text) - 1)):
        with pytest.raises(build.errors.Corrupt):
            lzf.decompress(damaged, claim)


def test_a_pipe_that_gives_little_is_gathered_once(build: Any) -> None:
    """A long string is not moved anew for each piece of it."""
    size = 16 << 20
    stream = Trickle(b"\x80" + size.to_bytes(4, "big") + bytes(size), 1 << 11)
    with build("source").open_source(stream) as source:
        begin = process_time()
        assert len(build("wire.cursor").Cursor(source=source).string()) == size
        assert process_time() - begin < 5


def test_globs_do_not_try_every_combination() -> None:
    begin = process_time()
    assert glob(b"*a" * 12 + b"*b").search(b"a" * 2000) is None
    assert process_time() - begin < 5
    for pattern, key, expected in [
        (b"*ab*ab", b"ababab", True), (b"a*b*c", b"abbbc", True), (b"a*b*c", b"acb", False), (b"**", b"", True),
        (b"*a*", b"bab", True), (b"*a*a*", b"ba", False), (b"*[ab]?c*c", b"xaacbbcc", True), (b"a**b", b"ab", True),
        (b"*[]*", b"x", False), (b"h*llo", b"hllo", True), (b"*\n", b"a\n\n", True),
    ]:  # fmt: skip
        assert bool(glob(pattern).search(key)) is expected, (pattern, key)


# -- settings ----------------------------------------------------------------------------------------------------------


def test_the_last_spelling_of_a_setting_counts(tmp_path: Path) -> None:
    path = tmp_path / "dump.rdb"
    path.write_bytes(made(entry(spec.HASH_ZIPLIST), version=9))
    new, old = "hash-max-listpack-entries", "Hash-Max-Ziplist-Entries"
    for settings, encoding in (((f"{new}=1", f"{old}=9"), "ziplist"), ((f"{old}=9", f"{new}=1"), "hashtable")):
        options = [word for text in (f"{new}=9", *settings) for word in ("--set", text)]
        assert rdbkit("keys", path, *options, "-f", "jsonl").rows[0]["encoding"] == encoding
    path.write_bytes(made(("select_db", 40), entry(0)))
    assert rdbkit("check", path, "--set", "DATABASES=64", "-f", "jsonl").out == ""
