"""Long items wherever a file can have one: decoded, checked and written as shorter ones are, in both builds."""

from __future__ import annotations

import io
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest

_SOURCE = Path(__file__).parent.parent.parent / "benchmarks" / "long_items.py"
_SPEC = spec_from_file_location("long_items", _SOURCE)
assert _SPEC is not None
assert _SPEC.loader is not None
long_items = module_from_spec(_SPEC)
sys.modules["long_items"] = long_items
_SPEC.loader.exec_module(long_items)

SIZE = (1 << 19) + 5000
#: Those that no reader takes, whatever the length.
DAMAGED = (
    "zset-ziplist-score",
    "zset-listpack-score",
    "hash-ex-expiry",
    "stream-key",
    "stream-number",
    "template-id-lp",
)
SOUND = [name for name in long_items.CASES if name not in DAMAGED]


def made(name: str, form: str, size: int = SIZE) -> bytes:
    parts = long_items.records(name, form, size)
    return b"".join(b"a" * part.size if isinstance(part, long_items.Run) else part for part in parts)


class Trickle(io.RawIOBase):
    """A pipe: bytes come once, some at a time."""

    def __init__(self, data: bytes, step: int) -> None:
        self.data, self.at, self.step = data, 0, step

    def readable(self) -> bool:
        return True

    def readinto(self, room: Any) -> int:
        piece = self.data[self.at : self.at + min(self.step, len(room))]
        room[: len(piece)] = piece
        self.at += len(piece)
        return len(piece)


def exported(build: Any, what: Any, output: str, form: str) -> str:
    out: list[str] = []
    writer = build("output.export").export_writer(output, out.append, form=form)
    with build.rdbkit.open(what) as snapshot:
        build("output.entries").Exporter(writer).run(snapshot)
    writer.finish()
    return "".join(out)


def plainly(build: Any, data: bytes, output: str, form: str) -> str:
    """The same from values that are decoded whole."""
    out: list[str] = []
    writer = build("output.export").export_writer(output, out.append, form=form)
    module = build("rdb.values")
    with build.rdbkit.open(data) as snapshot:
        for entry in snapshot:
            decoder = entry.decoder()
            batches = list(decoder.parts())
            found, due = module.value(entry.decoder())
            if entry.type in ("hash", "list", "set"):
                # In the order of the file, as parts come.
                found = [part for batch in batches for part in batch]
            writer.rows([(entry.db, entry.key, entry.type, entry.expires_at, found, due)])
    writer.finish()
    return "".join(out)


@pytest.mark.parametrize("form", ["raw", "lzf"])
@pytest.mark.parametrize("name", [name for name in SOUND if name != "string"])
def test_an_export_is_that_of_whole_values(build, name, form):
    data = made(name, form)
    for output, kind in (("jsonl", "escape"), ("csv", "escape"), ("json", "base64")):
        expected = plainly(build, data, output, kind)
        assert (len(expected) > SIZE) == (name not in ("aux-name", "aux-value", "function", "module-aux"))
        assert exported(build, data, output, kind) == expected, output
        assert exported(build, Trickle(data, 70_000), output, kind) == expected, output


@pytest.mark.parametrize("form", ["raw", "lzf"])
@pytest.mark.parametrize("name", long_items.CASES)
def test_a_check_finds_what_it_finds_of_short_items(build, name, form):
    def findings(size: int) -> list[Any]:
        return [(one.severity, one.code) for one in build.rdbkit.check(made(name, form, size)).findings]

    short = findings(1000)
    assert findings(SIZE) == short
    assert any(severity == "error" for severity, _ in short) == (name in DAMAGED)


@pytest.mark.parametrize("name", [name for name in SOUND if name != "key"])
def test_values_come_whole_to_who_asks_for_them(build, name):
    with build.rdbkit.open(made(name, "lzf")) as snapshot:
        first = next(iter(snapshot))
        assert "LongItem" not in repr(first.value)
        assert not any("LongItem" in repr(part)[:200] for part in first.parts())


def commands(build: Any, what: Any, server: str = "redis:8.8", **options: Any) -> bytes:
    out: list[bytes] = []
    with build.rdbkit.open(what) as snapshot:
        target = build("releases.target").Target.parse(server)
        rewriter = build("aof.rewrite").Rewriter(out.append, target, modules=True, **options)
        for entry in snapshot:
            rewriter.entry(entry)
    return b"".join(out)


@pytest.mark.parametrize("form", ["raw", "lzf"])
@pytest.mark.parametrize("name", SOUND)
def test_commands_are_those_of_short_items(build, name, form):
    """Compressed, except for the number of letters in the count before them."""
    if name in ("cron-script", "cron-key", "module"):
        return
    short, long = 1000, SIZE
    server = "valkey:9.2" if name.startswith("path-hash") else "redis:8.8"
    expected = commands(build, made(name, form, short), server).replace(b"$%d\r\n%b" % (short, b"a" * short), b"LONG")
    found = commands(build, made(name, form, long), server).replace(b"$%d\r\n%b" % (long, b"a" * long), b"LONG")
    assert found == expected
    assert (b"LONG" in found) == (name not in ("aux-name", "aux-value", "function", "module-aux"))


@pytest.mark.parametrize("form", ["raw", "lzf"])
@pytest.mark.parametrize("name", [name for name in SOUND if name not in ("string", "key")])
def test_damage_of_a_long_item_is_found_where_that_of_a_value_read_whole_is(build, name, form):
    """Cut short, or with a byte changed near its start and near its end."""
    data = made(name, form)

    def outcome(data: bytes, spool: Any) -> Any:
        try:
            with build.rdbkit.open(data) as snapshot:
                for entry in snapshot:
                    for _ in entry.decoder(spool).parts():
                        pass
        except build.errors.RdbkitError as error:
            return type(error).__name__, error.code, error.offset, error.message
        return "sound"

    spoiled = [data[: len(data) // 2], data[:-30]]
    places = (40, len(data) - 25, len(data) - 60)
    spoiled += [data[:at] + bytes((data[at] ^ 0x55,)) + data[at + 1 :] for at in places]
    for one in spoiled:
        assert outcome(one, build("wire.spool").Spool()) == outcome(one, None)


# -- keys --------------------------------------------------------------------------------------------------------------


def test_a_key_that_is_too_long_is_stepped_over(build):
    data = made("key", "raw", 5 << 20)
    for what in (data, Trickle(data, 70_000), made("key", "lzf", 5 << 20)):
        with build.rdbkit.open(what) as snapshot:
            assert [entry.key for entry in snapshot] == [b"last"]
            assert snapshot.databases[0].keys == 2
            assert snapshot.unkept["key"] == 1
            [error] = snapshot.long_keys
            assert (error.code, error.offset, error.db) == ("limit-exceeded", 11, 0)
            assert str(5 << 20) in error.message
            assert len(error.message) < 200
    with build.rdbkit.open(data, max_item=6 << 20) as snapshot:
        assert [len(entry.key) for entry in snapshot] == [5 << 20, 4]
    with build.rdbkit.open(data, max_item=3) as snapshot:
        # An item with a length of one byte is never too long.
        assert [entry.key for entry in snapshot] == [b"last"]


def test_it_is_named_only_where_it_may_be_among_what_is_asked_for(build):
    data = made("key", "lzf", 5 << 20)
    plan = build("rdb.walker").Plan
    for given, expected in (
        ({"types": frozenset(["string"])}, 1),
        ({"types": frozenset(["list"])}, 0),
        ({"dbs": frozenset([3])}, 0),
        ({"pattern": b"last".__eq__}, 1),
        ({"ttl": ((0, 10),)}, 0),
    ):
        with build.rdbkit.open(data, plan=plan(**given)) as snapshot:
            list(snapshot)
            assert snapshot.unkept["key"] == expected, given


def test_a_check_warns_of_it(build):
    result = build.rdbkit.check(made("key", "raw", 5 << 20))
    [warning, _] = result.findings
    assert (warning.severity, warning.code, warning.offset, warning.db) == ("warning", "limit-exceeded", 11, 0)
    assert "--max-item" in warning.hint
    assert (result.sound, result.complete, result.keys) == (True, True, 2)
    assert not build.rdbkit.check(made("key", "raw", 5 << 20), strict=True).sound
    assert len(build.rdbkit.check(made("key", "raw", 5 << 20), max_item=6 << 20).findings) == 1


def test_members_that_are_there_twice(build):
    """Digests distinguish items that differ only in their last byte."""
    run = b"a" * SIZE
    for other, twice in ((run, True), (run[:-1] + b"b", False), (run + b"a", False)):
        parts = [b"\x80" + len(text).to_bytes(4, "big") + text for text in (run, other)]
        for kind, data in (
            (2, b"".join(parts)),
            (4, b"\x01v".join(parts) + b"\x01v"),
            (5, (b"\0" * 8).join([*parts, b""])),
        ):
            file = b"REDIS0004" + bytes((kind,)) + b"\x01k\x02" + data + b"\xff"
            codes = [one.code for one in build.rdbkit.check(file).findings if one.severity == "error"]
            assert codes == ([f"duplicate-{'field' if kind == 4 else 'member'}"] if twice else []), kind
