"""The state at an earlier point: before a command, at a time, at an offset; and what a replay says of its clock."""

from __future__ import annotations

import gzip
import io
from pathlib import Path
from typing import Any

import pytest

import rdbkit
from keyspace.made import aof
from rdbkit.aof.cut import NothingThere
from rdbkit.format import spec
from rdbkit.rdb.walker import Plan
from rdbkit.rdb.writer import Writer, encode

LOG = aof("SELECT 0", "SET a 1", "SET b 2", "FLUSHALL", "SET c 3", "flushall", "SET d 4")
TIMED = b"#TS:100\r\n" + aof("SET a 1") + b"#TS:200\r\n" + aof("SET b 2 EX 10") + b"#TS:300\r\n" + aof("DEL a")


def rdb(*keys: str, aux: dict[str, str]) -> bytes:
    out = io.BytesIO()
    writer = Writer(out.write, 10)
    writer.magic()
    for name, text in aux.items():
        writer.aux(name.encode(), text.encode())
    writer.select_db(0)
    for key in keys:
        writer.entry(spec.STRING, key.encode(), encode(spec.STRING, b"rdb"))
    writer.end()
    return out.getvalue()


MIXED = rdb("r", aux={"redis-ver": "7.0.15", "ctime": "150", "aof-preamble": "1"})


class Pipe(io.RawIOBase):
    """Bytes that can be read once."""

    def __init__(self, data: bytes) -> None:
        self._data = io.BytesIO(data)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return False

    def readinto(self, buffer: Any) -> int:
        return self._data.readinto(buffer)


def keys(what: Any, **options: Any) -> str:
    with rdbkit.open(what, **options) as snapshot:
        return "".join(sorted(entry.key.decode() for entry in snapshot))


# -- before a command --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "left"),
    [
        ("FLUSHALL", "c"),
        (b"flushall", "c"),
        ("set b", "a"),
        ("SET  B 2", "a"),
        ("SET D", ""),
        ("SET", ""),
        ("set c", ""),
    ],
)
def test_before(before: Any, left: str) -> None:
    """The last command that begins with these words, in any case."""
    assert keys(LOG, before=before) == left


def test_before_in_a_database() -> None:
    log = aof("SET a 1", "SELECT 1", "SET b 2", "FLUSHDB", "SELECT 0", "SET c 3", "FLUSHDB")
    assert keys(log, before="flushdb") == "ac"
    assert keys(log, before="flushdb", before_db=1) == "ab"
    with pytest.raises(NothingThere, match="no flushdb found"):
        keys(log, before="flushdb", before_db=2)
    everywhere = aof("SELECT 1", "SET b 2", "SELECT 0", "FLUSHALL")
    assert keys(everywhere, before="flushall", before_db=1) == "b"


def test_a_transaction_around_the_end_has_no_effect() -> None:
    log = aof("SET a 1", "MULTI", "SET b 2", "FLUSHALL", "EXEC", "SET c 3")
    with rdbkit.replay(log, before="flushall") as state:
        assert [entry.key for entry in state] == [b"a"]
        assert state.replay.end == ("<bytes>", len(aof("SET a 1")))
    # Also for a server that runs commands of a transaction at once.
    assert keys(log, before="flushall", target="redis:3.2.13") == "a"


def test_no_such_command() -> None:
    with pytest.raises(NothingThere, match="no nix found") as caught:
        keys(LOG, before="nix")
    assert caught.value.code == "nothing-to-cut"
    with pytest.raises(ValueError, match="no command name"):
        keys(LOG, before=" ")


def test_the_first_command_of_all() -> None:
    with pytest.raises(NothingThere, match="nothing before"):
        keys(LOG, before="SELECT")
    with rdbkit.open(MIXED + aof("FLUSHALL"), before="flushall") as snapshot:
        assert [entry.key for entry in snapshot] == [b"r"]


def test_damage_after_the_end_does_not_matter() -> None:
    assert keys(LOG + b"junk", before="flushall") == "c"


# -- at a time, at an offset -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("time", "left"), [(100_000, "a"), (199_999, "a"), (200_000, "ab"), (299_999, "ab"), (300_000, "b"), (1 << 50, "b")]
)
def test_until_a_time(time: int, left: str) -> None:
    assert keys(TIMED, until_time=time) == left
    assert keys(Pipe(TIMED), until_time=time) == left


def test_a_time_that_cannot_be_found() -> None:
    with pytest.raises(rdbkit.Unsupported) as caught:
        keys(LOG, until_time=5)
    assert caught.value.code == "no-timestamps"
    with pytest.raises(NothingThere, match="nothing before"):
        keys(TIMED, until_time=5)
    # The RDB is of the second 150.
    mixed = MIXED + b"#TS:200\r\n" + aof("SET a 1")
    with pytest.raises(NothingThere, match="begins with an RDB of 1970-01-01 00:02:30Z"):
        keys(mixed, until_time=149_000)
    assert keys(mixed, until_time=150_000) == "r"


def test_until_an_offset() -> None:
    ends = [len(aof("SELECT 0")), len(aof("SELECT 0", "SET a 1")), len(aof("SELECT 0", "SET a 1", "SET b 2"))]
    for offset, left in ((ends[0], ""), (ends[1] - 1, ""), (ends[1], "a"), (ends[2], "ab"), (len(LOG), "d")):
        assert keys(LOG, until_offset=offset) == left, offset
        assert keys(Pipe(LOG), until_offset=offset) == left, offset
    with pytest.raises(NothingThere, match="inside the RDB"):
        keys(MIXED + LOG, until_offset=len(MIXED) - 1)
    assert keys(MIXED + LOG, until_offset=len(MIXED)) == "r"


def test_several_ends() -> None:
    """A command is looked for before the others."""
    log = b"#TS:100\r\n" + aof("SET a 1", "DEL a") + b"#TS:200\r\n" + aof("SET b 1", "SET a 2", "DEL a")
    assert keys(log, before="del", until_time=150_000) == "a"
    assert keys(log, before="del", until_time=250_000) == "ab"
    assert keys(log, before="del", until_offset=len(log) - 1) == "a"


def test_an_rdb_was_never_otherwise() -> None:
    data = rdb("r", aux={"redis-ver": "7.0.15"})
    for options in ({"before": "x"}, {"until_time": 1}, {"until_offset": 1}):
        with pytest.raises(ValueError, match="this is an RDB"):
            rdbkit.open(data, **options)  # type: ignore[arg-type]
    with pytest.raises(rdbkit.Unsupported, match="no commands to replay"):
        rdbkit.replay(data)


# -- sets and data directories -----------------------------------------------------------------------------------------


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A data directory with an RDB and a set of three files."""
    home = tmp_path / "appendonlydir"
    home.mkdir()
    (tmp_path / "dump.rdb").write_bytes(rdb("s", aux={"redis-ver": "7.0.15"}))
    (home / "a.aof.1.base.rdb").write_bytes(rdb("r", aux={"redis-ver": "7.0.15", "ctime": "50", "aof-base": "1"}))
    (home / "a.aof.1.incr.aof").write_bytes(aof("SELECT 3", "SET x 1") + b"#TS:100\r\n" + aof("SELECT 0", "SET a 1"))
    (home / "a.aof.2.incr.aof").write_bytes(aof("SET b 1", "DEL r") + b"#TS:200\r\n" + aof("SET c 1"))
    lines = ["1.base.rdb seq 1 type b", "1.incr.aof seq 1 type i", "2.incr.aof seq 2 type i"]
    (home / "a.aof.manifest").write_text("".join(f"file a.aof.{line}\n" for line in lines))
    return tmp_path


def test_a_set(place: Path) -> None:
    for path in (place, place / "appendonlydir", place / "appendonlydir" / "a.aof.manifest"):
        assert keys(path) == "abcx"
        assert keys(path, before="del") == "abrx"
        assert keys(path, before="set a") == "rx"
        assert keys(path, until_time=150_000) == "abx"
        with pytest.raises(ValueError, match="needs a single file"):
            keys(path, until_offset=3)
    with rdbkit.replay(place, before="set a") as state:
        # Files after the end are not read.
        first = place / "appendonlydir" / "a.aof.1.incr.aof"
        assert state.replay.end == (str(first), first.read_bytes().index(aof("SET a 1")))


def test_which_files_of_a_data_directory(place: Path) -> None:
    assert keys(place, appendonly=True) == "abcx"
    assert keys(place, appendonly=False) == "s"
    (place / "dump.rdb").unlink()
    with pytest.raises(rdbkit.Unsupported, match="no RDB in it"):
        keys(place, appendonly=False)


def test_damage_in_a_set_names_the_file(place: Path) -> None:
    """What a server would not load is not read, and the keys before the damage are there."""
    path = place / "appendonlydir" / "a.aof.1.incr.aof"
    path.write_bytes(path.read_bytes() + b"junk")
    seen: list[bytes] = []
    with rdbkit.open(place) as snapshot, pytest.raises(rdbkit.Corrupt, match=r"a\.aof\.1\.incr\.aof: not a valid"):
        seen.extend(entry.key for entry in snapshot)
    assert sorted(seen) == [b"a", b"r", b"x"]
    path.unlink()
    with rdbkit.open(place) as snapshot, pytest.raises(rdbkit.Corrupt, match="listed in the manifest but") as caught:
        list(snapshot)
    assert caught.value.code == "missing-file"


# -- inputs ------------------------------------------------------------------------------------------------------------


def test_an_rdb_and_commands_in_one_pass() -> None:
    data = MIXED + aof("SET a 1", "DEL r", "SET b 2")
    for what in (data, Pipe(data), gzip.compress(data), Pipe(gzip.compress(data)), io.BytesIO(data)):
        with rdbkit.open(what) as snapshot:
            assert (snapshot.kind, snapshot.producer, snapshot.target.version) == ("aof", "7.0.15", (7, 0, 15))
            assert sorted(entry.key for entry in snapshot) == [b"a", b"b"]
            assert snapshot.checksum == "good"
    for what in (data, gzip.compress(data)):
        assert keys(what, before="set b") == "a"
    with pytest.raises(rdbkit.Passed, match="can be read only once"):
        keys(Pipe(data), before="set b")


def test_progress() -> None:
    seen: list[tuple[int | None, int]] = []

    class Shown:
        def __init__(self, total: int | None) -> None:
            self.total = total

        def __enter__(self) -> Shown:
            return self

        def __exit__(self, *_: object) -> None:
            pass

        def update(self, done: int) -> None:
            seen.append((self.total, done))

    data = aof(*[f"SET key:{number} value" for number in range(2000)])
    with rdbkit.open(data, progress=Shown):
        pass
    assert seen[-1] == (len(data), len(data))
    assert len(seen) >= 4
    assert sorted(seen) == seen


# -- the clock ---------------------------------------------------------------------------------------------------------


def expiry(what: Any, **options: Any) -> tuple[int | None, str]:
    with rdbkit.open(what, **options) as snapshot:
        return next(entry.expires_at for entry in snapshot if entry.key == b"b"), snapshot.now_origin


def test_what_times_to_live_count_from(tmp_path: Path) -> None:
    path = tmp_path / "x.aof"
    path.write_bytes(aof("SET b 2 EX 10"))
    modified = path.stat().st_mtime_ns // 1_000_000
    assert expiry(path) == (modified + 10_000, "the file's mtime")
    assert expiry(path, now=5) == (10_005, "given")
    assert expiry(TIMED) == (310_000, "the newest #TS in the file")
    assert expiry(MIXED + TIMED) == (160_000, "the file's ctime")
    assert expiry(TIMED, until_time=200_000) == (210_000, "the newest #TS in the file")
    found, origin = expiry(aof("SET b 2 EX 10"))
    assert found is not None
    assert found > 1_600_000_000_000
    assert origin == "the current time; the file has no timestamp"


# -- names of commands, and keys that are not known --------------------------------------------------------------------


def test_renamed_commands() -> None:
    log = aof("zap", "XSET b 2 EX 10", "xPEXPIRE b 5")
    with rdbkit.open(log) as snapshot, pytest.raises(rdbkit.Corrupt, match="unknown command 'zap'"):
        list(snapshot)
    names = {b"ZAP": b"FLUSHALL", b"xset": b"set", b"xpexpire": b"PEXPIRE"}
    assert expiry(log, renamed=names, now=1000)[0] == 1005


def test_lenient() -> None:
    log = aof("SET a 1", "SET b 2", "foo a x", "SET c 3")
    with rdbkit.open(log, lenient=True) as snapshot:
        assert [entry.key for entry in snapshot] == [b"b", b"c"]
        assert snapshot.uncertain == [(0, b"a", b"foo")]


def test_keys_that_are_not_known_are_those_selected() -> None:
    log = aof("EVAL x 2 a b", "SELECT 1", "EVAL x 1 c", "EVAL x 0")
    with rdbkit.open(log, target="redis:4.0.14") as snapshot:
        assert [(number, key) for number, key, _ in snapshot.uncertain] == [(0, b"a"), (0, b"b"), (1, b"c")]
        assert snapshot.doubts == [(1, b"eval")]
        snapshot.select(Plan(dbs={0}, pattern=b"b".__eq__))
        assert (snapshot.uncertain, snapshot.doubts) == ([(0, b"b", b"eval")], [])
