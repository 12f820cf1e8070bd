"""RDBs in the envelope of Valkey 9.2: as a file, as the head of an AOF, as the base of a set."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from rdb.files import entry, made, read
from test_source import vcs

from rdbkit.aof.writer import command
from rdbkit.conversion.compat import compat

SET = command(b"SET", b"k", b"v")
PREAMBLE = ("aux", b"valkey-ver", b"9.2.1"), ("aux", b"aof-base", b"1")


def rdb(*more: Any, head: Any = PREAMBLE[:1]) -> bytes:
    """Return an RDB as it is in an envelope: without a checksum."""
    return made(*head, entry(0, b"a"), *more, version=81, product="valkey", checksum=False)


def errors(result: Any) -> list[tuple[str, str]]:
    return [(one.code, one.message) for one in result.findings if one.severity == "error"]


def codes(result: Any) -> list[str]:
    return [one.code for one in result.findings]


codecs = pytest.mark.parametrize("codec", [1, 2])


@codecs
def test_a_file(build, codec):
    """Its checksums are those of the compressed data; what follows it is ignored, as after a plain one."""
    for checked in (False, True):
        data = vcs(rdb(), codec=codec, checksum=checked)
        result = build.rdbkit.check(data, target="valkey:9.2", require_checksum=True)
        assert errors(result) == ([] if checked else errors(result)[:1])
        assert ("checksum-disabled" in codes(result)) is not checked
        assert (result.keys, result.complete) == (1, True)
    result = build.rdbkit.check(vcs(rdb(), codec=codec) + b"junk of some length")
    assert [one.code for one in result.findings if one.severity == "warning"] == ["trailing-bytes"]
    assert result.sound
    assert read(build, vcs(rdb(), codec=codec)).keys == [b"a"]


@codecs
def test_bytes_after_the_rdb_in_the_compressed_data(build, codec):
    for more in (b"x", SET):
        result = build.rdbkit.check(vcs(rdb() + more, codec=codec) + SET)
        assert [code for code, _ in errors(result)] == ["trailing-bytes"]
        assert "in its compressed data" in errors(result)[0][1]


def test_a_cut_envelope(build):
    data = vcs(rdb())
    for cut in range(8, len(data)):
        assert not build.rdbkit.check(data[:cut]).sound, cut


def test_who_loads_it(build):
    data = vcs(made(entry(0, b"a"), version=11, checksum=False), codec=2)
    assert errors(build.rdbkit.check(data, target="valkey:9.2")) == []
    [(code, message)] = errors(build.rdbkit.check(data, target="valkey:9.1"))
    assert (code, message) == (
        "target-envelope",
        "valkey:9.1.2 does not load VCS envelope (zstd); loaded by valkey 9.2 and newer",
    )
    loading = [str(one.target) for one in compat(data).answers if one.loads]
    assert loading == ["valkey:9.2.1"]


@codecs
def test_commands_after_an_envelope(build, tmp_path: Path, codec):
    """An AOF with such a head: offsets go on in the unpacked data, the size of a cut is that of the file."""
    head = rdb(head=PREAMBLE)
    packed = vcs(head, codec=codec)
    path = tmp_path / "appendonly.aof"
    path.write_bytes(packed + SET + SET)
    result = build.rdbkit.check(str(path))
    assert (result.sound, result.keys, result.commands) == (True, 1, 2)
    path.write_bytes(packed + SET + SET[:-3])
    result = build.rdbkit.check(str(path))
    [torn] = [one for one in result.findings if one.severity == "error"]
    assert (torn.code, torn.offset) == ("truncated", len(head) + len(SET))
    [cut] = [one for one in result.findings if one.code == "server-cut"]
    assert f"cuts the file to {len(packed) + len(SET)} bytes" in cut.message
    with build("source").open_source(str(path)) as source:
        assert build("aof.reader").AofReader(source).start == len(head)


@codecs
def test_a_set_with_such_a_base(build, tmp_path: Path, codec):
    manifest = b"file appendonly.aof.1.base.rdb seq 1 type b\nfile appendonly.aof.1.incr.aof seq 1 type i\n"
    (tmp_path / "appendonly.aof.manifest").write_bytes(manifest)
    (tmp_path / "appendonly.aof.1.base.rdb").write_bytes(vcs(rdb(head=PREAMBLE), codec=codec))
    (tmp_path / "appendonly.aof.1.incr.aof").write_bytes(SET)
    found = build("aof.layout").find(tmp_path)
    assert [file.format for file in found.files] == ["rdb", "aof"]
    result = build.rdbkit.check(str(tmp_path))
    assert (result.sound, result.keys, result.commands) == (True, 1, 1)
    assert [code for code, _ in errors(build.rdbkit.check(str(tmp_path), target="valkey:9.1"))] == [
        "target-envelope",
        "target-version",
    ]


def test_a_data_directory(build, tmp_path: Path):
    """Recognised by its first bytes, whatever its name."""
    (tmp_path / "snapshot").write_bytes(vcs(rdb()))
    found = build("aof.layout").find(tmp_path)
    assert [file.name for file in found.rdbs] == [b"snapshot"]
