"""A set is repaired as one."""

from __future__ import annotations

from pathlib import Path

import pytest

import rdbkit
from rdbkit.aof.manifest import parse
from rdbkit.aof.writer import command
from rdbkit.errors import Corrupt, RdbkitError

SET = command(b"SET", b"k", b"v")
MANY = b"".join(command(b"SET", b"key:%d" % n, b"value %d" % n) for n in range(8))
HURT = b"*3\r\n$3\r\nS\0\0\r\n$1\r\nk\r\n$1\r\nv\r\n"
MANIFEST = b"""file a.aof.1.base.aof seq 1 type b
file a.aof.0.incr.aof seq 5 type h
file a.aof.1.incr.aof seq 1 type i startoffset 3
file a.aof.2.incr.aof seq 2 type i startoffset 9 endoffset 99
"""


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr("os.fsync", lambda _: None)


def made(home: Path, base: bytes = MANY, first: bytes = MANY, second: bytes = MANY) -> Path:
    """A set in the directory `set`."""
    place = home / "set"
    place.mkdir()
    (place / "a.aof.manifest").write_bytes(MANIFEST)
    for name, data in (("1.base", base), ("1.incr", first), ("2.incr", second), ("0.incr", b"old")):
        (place / f"a.aof.{name}.aof").write_bytes(data)
    return place


def contents(place: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(place.iterdir())}


@pytest.mark.parametrize("name", [".", "a.aof.manifest"])
def test_any_file_of_a_set(tmp_path, name):
    place = made(tmp_path, first=MANY + HURT + MANY, second=MANY + SET[:9])
    before = contents(place)
    account = rdbkit.repair(place / name, output=tmp_path / "out")
    assert contents(place) == before
    got = contents(tmp_path / "out")
    sides = {file: got.pop(file) for file in list(got) if ".dropped" in file}
    listed = parse(got.pop("a.aof.manifest"))
    assert got == {"a.aof.1.base.aof": MANY, "a.aof.1.incr.aof": MANY + MANY, "a.aof.2.incr.aof": MANY}
    assert [(one.name, one.extra) for one in listed.entries] == [
        (b"a.aof.1.base.aof", ()),
        (b"a.aof.1.incr.aof", ((b"startoffset", b"3"),)),
        (b"a.aof.2.incr.aof", ((b"startoffset", b"9"),)),
    ]
    assert (sides["a.aof.1.incr.aof.dropped"], sides["a.aof.2.incr.aof.dropped"]) == (HURT, SET[:9])
    assert [file.lost for file in account.files] == [False, True, True]


def test_a_valid_set_needs_no_result(tmp_path):
    place = made(tmp_path)
    assert rdbkit.repair(place).output is None
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


def test_default_output(tmp_path):
    place = made(tmp_path, second=SET[:9])
    assert rdbkit.repair(f"{place}/").output == f"{place}.repaired"
    with pytest.raises(OSError, match="not an empty directory"):
        rdbkit.repair(place)


def test_in_place(tmp_path):
    place = made(tmp_path, base=MANY + HURT + MANY)
    before = contents(place)
    rdbkit.repair(place, in_place=True)
    after = contents(place)
    assert after.pop("a.aof.1.base.aof.bak-1") == before["a.aof.1.base.aof"]
    assert after.pop("a.aof.1.base.aof.dropped-1") == HURT
    assert after.pop("a.aof.1.base.aof.dropped-1.jsonl")
    assert after == {**before, "a.aof.1.base.aof": MANY + MANY}


def test_fix_refuses_what_is_not_the_last(tmp_path):
    place = made(tmp_path, first=MANY + SET[:9])
    with pytest.raises(Corrupt) as error:
        rdbkit.repair(place, policy="fix")
    assert error.value.code == "not-last"
    place = made(tmp_path / "other" if (tmp_path / "other").mkdir() is None else tmp_path, second=MANY + SET[:9])
    rdbkit.repair(place, policy="fix", in_place=True)
    assert (place / "a.aof.2.incr.aof").read_bytes() == MANY


def test_a_cut_leaves_later_files_out(tmp_path):
    place = made(tmp_path, first=MANY + command(b"FLUSHALL") + MANY)
    account = rdbkit.repair(place, before=b"FLUSHALL", output=tmp_path / "out")
    got = contents(tmp_path / "out")
    assert [entry.name for entry in parse(got.pop("a.aof.manifest")).entries] == [
        b"a.aof.1.base.aof",
        b"a.aof.1.incr.aof",
    ]
    assert got == {"a.aof.1.base.aof": MANY, "a.aof.1.incr.aof": MANY}
    assert account.complete
    assert [file.absent for file in account.files] == [False, False, True]
    rdbkit.repair(place, before=b"FLUSHALL", in_place=True)
    left = contents(place)
    assert "a.aof.2.incr.aof" not in left
    assert left["a.aof.2.incr.aof.bak-1"] == MANY
    assert left["a.aof.manifest.bak-1"] == MANIFEST
    assert [entry.kind for entry in parse(left["a.aof.manifest"]).entries] == ["b", "h", "i"]


def test_what_cannot_be_repaired(tmp_path):
    place = made(tmp_path)
    (place / "a.aof.1.incr.aof").unlink()
    with pytest.raises(Corrupt, match="is listed in the manifest"):
        rdbkit.repair(place)
    (place / "a.aof.manifest").write_bytes(b"file x\n")
    with pytest.raises(RdbkitError, match="Invalid AOF manifest"):
        rdbkit.repair(place)
    (place / "a.aof.manifest").unlink()
    with pytest.raises(RdbkitError, match="manifest is missing"):
        rdbkit.repair(place)
    with pytest.raises(ValueError, match="an offset needs a single file"):
        rdbkit.repair(made(tmp_path / "b" if (tmp_path / "b").mkdir() is None else place), until_offset=3)
