"""Recognising inputs by their first bytes, with the same result from a file and from a pipe."""

from __future__ import annotations

import base64
import gzip
import io
import random
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rdb.files import Trickle, entry, made

from rdbkit.aof.writer import command
from rdbkit.format import spec

SET = command(b"SET", b"k", b"v")
LOG = command(b"SELECT", b"0") + b"".join(command(b"SET", b"k%d" % n, b"v%d" % n) for n in range(6)) + SET
RDB = made(("aux", b"redis-ver", b"7.0.0"), ("aux", b"redis-bits", b"64"), entry(0, b"k"), version=10)
PREAMBLE = made(("aux", b"redis-ver", b"7.0.0"), ("aux", b"aof-base", 1), entry(0, b"k"), version=10)
OLD = made(entry(0, b"k"), entry(0, b"l"), version=6)
VALKEY = made(("aux", b"valkey-ver", b"9.0.0"), entry(0, b"k"), version=80, product="valkey")


@pytest.fixture(params=["file", "pipe"])
def recognised(request: Any, build: Any, tmp_path: Path) -> Callable[[bytes], Any]:
    """A function that gives what bytes are recognised as, from a file or from a pipe."""

    def ask(data: bytes) -> Any:
        if request.param == "pipe":
            with build("source").open_source(Trickle(data)) as source:
                return source.recognise()
        path = tmp_path / "input"
        path.write_bytes(data)
        with build("source").open_source(path) as source:
            return source.recognise()

    return ask


def archive(make: Callable[[Any], None]) -> bytes:
    out = io.BytesIO()
    make(out)
    return out.getvalue()


def zipped(out: Any) -> None:
    with zipfile.ZipFile(out, "w") as file:
        file.writestr("dump.rdb", RDB)


def tarred_pax(out: Any) -> None:
    """An archive with headers before that of its first member: times in fractions, and a long name."""
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as file:
        member = tarfile.TarInfo("dump" + "x" * 600)
        member.mtime = 1.5
        file.addfile(member, io.BytesIO(b""))


def tarred(out: Any) -> None:
    with tarfile.open(fileobj=out, mode="w") as file:
        member = tarfile.TarInfo("dump.rdb")
        member.size = len(RDB)
        file.addfile(member, io.BytesIO(RDB))


# -- formats that are read ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("data", "kind"), [
    (RDB, "rdb"), (OLD, "rdb"), (VALKEY, "rdb"), (b"RED", "rdb"), (b"REDIS0011", "rdb"), (RDB + SET, "rdb"),
    (gzip.compress(RDB), "rdb"),
    (SET, "aof"), (b"*", "aof"), (b"*3\r\n", "aof"), (b"#TS:1\r\n", "aof"), (b"#TS:1\r\n" + SET, "aof"),
    (b"#note\n" + SET, "aof"), (b"#" * 900 + b"\n" + SET, "aof"),
    (command(b"SET", b"k", b"a\nb\n*1\n$4\nPING\n"), "aof"),
    (b"file a.aof seq 1 type i\n", "manifest"), (b"# made by hand\nfile a.aof seq 1 type i\n", "manifest"),
    (b"", "empty"),
])  # fmt: skip
def test_what_is_read(recognised, data, kind):
    found = recognised(data)
    assert (found.kind, found.code) == (kind, "empty" if kind == "empty" else "")


# -- AOFs with damage at their head ------------------------------------------------------------------------------------


def test_a_head_that_is_cut_off_anywhere(build):
    """For any cut up to the last argument the AOF is recognised."""
    last = LOG.rindex(b"$")
    for cut in range(1, last):
        with build("source").open_source(LOG[cut:]) as source:
            found = source.recognise()
        whole = LOG[cut:].startswith(b"*")
        assert (found.kind, source.packing, source.start) == ("aof" if whole else "damaged-aof", (), 0), cut
        assert (found.code, found.error().code) == (("", "") if whole else ("bad-aof", "bad-aof")) or whole


@pytest.mark.parametrize(("head", "words"), [
    (b"\xef\xbb\xbf", "byte order mark"),
    (b"\n", "1 byte of blank space"),
    (b"\r\n\r\n", "4 bytes of blank space"),
    (bytes(4096), "4096 bytes of NUL"),
    (b"1:M 01 Jan 2026 00:00:00.000 * Ready to accept connections\n", "Ready to accept"),
    (b'{"level":"info","msg":"started"}\n', "33 bytes"),
    (b"\x00\x01\xfe\xff" * 9, "36 bytes"),
    (PREAMBLE[9:], f"{len(PREAMBLE) - 9} bytes"),
    (b"+CONTINUE abc\r\n", "15 bytes"),
    (b"$3\r\n", "4 bytes"),
    (b"#" * 1500 + b"x\n\n", "1503 bytes"),
    (b"x" * 300_000, "300000 bytes"),
])  # fmt: skip
def test_bytes_before_the_first_command(recognised, head, words):
    found = recognised(head + LOG)
    assert (found.kind, found.code, found.offset) == ("damaged-aof", "bad-aof", 0)
    assert words in found.message


def test_a_head_longer_than_what_is_looked_through(recognised, tmp_path):
    """In a file the end is examined too; in a pipe that would mean waiting."""
    data = b"x" * (3 << 20) + LOG
    assert recognised(data).kind in ("damaged-aof", "unknown")
    path = tmp_path / "long"
    path.write_bytes(data)
    from rdbkit.source import open_source

    with open_source(path) as source:
        assert source.recognise().kind == "damaged-aof"


# -- text copies -------------------------------------------------------------------------------------------------------


def replaced(data: bytes) -> bytes:
    return data.decode("utf-8", "replace").encode()


CONVERSIONS: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "utf-8": (replaced, "EF BF BD"),
    "latin-1": (lambda data: data.decode("latin-1").encode(), "Latin-1"),
    "cp437": (lambda data: data.decode("cp437").encode(), "copied as text"),
    "ascii": (lambda data: data.decode("ascii", "replace").encode("ascii", "replace"), "question marks"),
    "dropped": (lambda data: data.decode("ascii", "ignore").encode(), "left out"),
    "7 bit": (lambda data: bytes(byte & 127 for byte in data), "highest bit"),
    "utf-16": (lambda data: data.decode("latin-1").encode("utf-16"), "UTF-16"),
    "utf-16-be": (lambda data: b"\xfe\xff" + data.decode("latin-1").encode("utf-16-be"), "UTF-16"),
    "bom": (lambda data: b"\xef\xbb\xbf" + data, "byte order mark"),
    "crlf": (lambda data: data.replace(b"\n", b"\r\n"), "LF became CR LF"),
}


@pytest.mark.parametrize("how", CONVERSIONS)
@pytest.mark.parametrize("data", [RDB, VALKEY], ids=["redis", "valkey"])
def test_an_rdb_copied_as_text(recognised, build, data, how):
    convert, words = CONVERSIONS[how]
    found = recognised(convert(data))
    assert (found.kind, found.code) == ("damaged", "text-copy")
    assert words in found.message
    result = build.rdbkit.check(convert(data))
    assert [finding.code for finding in result.findings if finding.severity == "error"] == ["text-copy"]
    assert "binary mode" in result.findings[0].hint


def test_replacement_characters_further_in(build):
    """The part before is valid: a copy that was resumed in another mode."""
    data = made(*(entry(0, b"k%d" % n) for n in range(9)), version=6)
    cut = data.index(b"k5") - 2
    for hurt in (data[:cut] + b"\xef\xbf\xbd" + data[cut:], data[: cut + 1] + b"\xef\xbf\xbd" + data[cut + 2 :]):
        result = build.rdbkit.check(hurt)
        assert (result.keys, [f.code for f in result.findings if f.severity == "error"]) == (5, ["text-copy"])


def test_values_may_hold_replacement_characters(build):
    data = made(entry(0, b"\xef\xbf\xbd", b"\xef\xbf\xbd" * 9), entry(0, b"k"))
    assert build.rdbkit.check(data).sound
    # Damage elsewhere is not their fault.
    hurt = data[:-9] + b"\x7e" + data[-8:]
    assert [f.code for f in build.rdbkit.check(hurt).findings if f.severity == "error"] == ["unknown-type"]


def lines(rng: random.Random, end: bytes) -> bytes:
    return b"".join(rng.choice([b"line", b"x"]) + rng.choice([end, b""]) for _ in range(rng.randrange(2, 30)))


@pytest.mark.parametrize("version", [6, 10])
def test_converted_line_ends_of_an_rdb(build, version):
    """By the lengths of strings (CR LF became LF), or by the checksum (LF became CR LF); most are recognised."""
    rng = random.Random(version)
    reported: dict[str, int] = {"lf": 0, "crlf": 0}
    for _ in range(40):
        keys = [entry(0, b"key%d" % n, lines(rng, b"\r\n")) for n in range(30)]
        data = made(*keys, version=version)
        for name, hurt in (("lf", data.replace(b"\r\n", b"\n")), ("crlf", data.replace(b"\n", b"\r\n"))):
            result = build.rdbkit.check(hurt)
            assert not result.sound
            reported[name] += any(finding.code == "text-copy" for finding in result.findings)
    assert min(reported.values()) > 25


def test_other_damage_is_not_called_a_copy_as_text(build):
    """Cuts, flips and losses in files full of line ends."""
    rng = random.Random(7)
    for _ in range(150):
        keys = [entry(0, b"key%d" % n, lines(rng, rng.choice([b"\n", b"\r\n"]))) for n in range(12)]
        data = bytearray(made(*keys, version=10))
        at = rng.randrange(12, len(data))
        how = rng.randrange(3)
        if how == 0:
            del data[at:]
        elif how == 1:
            data[at] ^= 1 << rng.randrange(8)
        else:
            del data[at : at + rng.randrange(1, 9)]
        result = build.rdbkit.check(bytes(data))
        assert not {finding.code for finding in result.findings} & {"text-copy", "nul-run"}


@pytest.mark.parametrize(("convert", "words"), [
    (lambda data: data.replace(b"\r\n", b"\n"), "became LF"),
    (lambda data: data.replace(b"\n", b"\r\n"), "became CR CR LF"),
    (lambda data: b"#TS:1\n" + data.replace(b"\r\n", b"\n"), "became LF"),
    (lambda data: data.replace(b"\r\n", b"\n")[3:], "became LF"),
])  # fmt: skip
def test_converted_line_ends_of_an_aof(recognised, convert, words):
    found = recognised(convert(LOG))
    assert (found.kind, found.code) == ("line-ends", "line-ends")
    assert words in found.message


@pytest.mark.parametrize("data", [b"*1\n$4\nPING\r\n", b"*2\n$3\nGET\n\n$1\nk\n\n"])
def test_what_servers_take_is_no_conversion(recognised, data):
    """Two bytes after a value are enough for a server, and a header may end in LF."""
    assert recognised(data).kind == "aof"


# -- NUL bytes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 16, 100, 5000, 2 << 20])
def test_only_nul_bytes(recognised, build, size):
    found = recognised(bytes(size))
    assert (found.kind, found.code) == ("damaged", "nul-run")
    if size < 1 << 20:
        assert f"({size})" in found.message
    assert [f.code for f in build.rdbkit.check(bytes(size)).findings] == ["nul-run"]


@pytest.mark.parametrize("data", [RDB, OLD, VALKEY])
def test_nul_bytes_before_an_rdb(recognised, data):
    found = recognised(bytes(512) + data)
    assert (found.kind, found.code) == ("damaged", "leading-bytes")
    assert "at offset 512, with 512 bytes of NUL" in found.message


@pytest.mark.parametrize("data", [RDB, VALKEY, made(("aux", b"redis-ver", b"7.0.0"), entry(0, LOG), version=10)])
def test_an_rdb_with_other_bytes_for_its_first(recognised, build, data):
    for head in (b"redis" + data[5:9], b"\xff" + data[1:9], b"\x01" * 9):
        found = recognised(head + data[9:])
        assert (found.kind, found.code) == ("damaged", "bad-magic")
        assert repr(head) in found.message
    for cut in range(1, 9):
        if not b"VALKEY".startswith(data[cut : cut + 6]):
            found = recognised(data[cut:])
            assert found.code == "bad-magic"
            assert f"at offset {9 - cut} " in found.message
    with pytest.raises(build.errors.Corrupt):
        build.rdbkit.open(data[3:])
    assert recognised(PREAMBLE[3:]).code == "bad-magic"


def test_nul_bytes_in_the_middle_of_an_rdb(build):
    """Wherever they begin and however long they are: one finding with the place, no keys made of them."""
    keys = [entry(0, b"key%d" % n, b"value%d" % n) for n in range(40)]
    data = made(*keys, version=10)
    first = data.index(b"\0\x04key0")
    for start in range(first, first + 60):
        for size in (64, 100):
            hurt = data[:start] + bytes(size) + data[start + size :]
            for seen in (hurt, Trickle(hurt)):
                result = build.rdbkit.check(seen)
                assert not result.sound
                errors = [finding for finding in result.findings if finding.severity == "error"]
                assert errors[0].code in ("nul-run", "unknown-type", "bad-string"), (start, size)
                assert "duplicate-key" not in {finding.code for finding in errors}
                # Of a pipe the bytes before may be gone.
                if errors[0].code == "nul-run" and seen is hurt:
                    place = int(errors[0].message.split("at offset ")[1].split(":")[0])
                    assert start - 2 <= place <= start


def test_nul_bytes_to_the_end_of_an_rdb(build):
    data = made(entry(0, b"a"), entry(0, b"b"), version=6)
    hurt = data[: data.index(b"\0\x01b")] + bytes(70_000)
    result = build.rdbkit.check(hurt)
    [error] = [finding for finding in result.findings if finding.severity == "error"]
    assert (error.code, error.offset, result.keys) == ("nul-run", len(hurt) - 70_000, 1)
    assert "70000 NUL bytes" in error.message
    with build.rdbkit.open(hurt) as snapshot:
        entries = iter(snapshot)
        assert next(entries).key == b"a"
        with pytest.raises(build.errors.Corrupt) as caught:
            next(entries)
    assert caught.value.code == "nul-run"


def test_the_empty_key_with_the_empty_value_is_valid(build):
    for more in ([], [entry(0, b"k")], [entry(spec.SET, b"s")]):
        data = made(entry(0, b"", b""), *more)
        assert build.rdbkit.check(data).sound
    assert build.rdbkit.check(made(("select_db", 0), entry(0, b"", b""), ("select_db", 1), entry(0, b"", b""))).sound


def test_zeros_after_an_rdb_are_not_all_read(build):
    """A pipe that never ends must not be read to its end; the size of a file is reported if it is known."""

    class Endless(Trickle):
        def read(self, n: int = -1, /) -> bytes:
            return super().read(n) or bytes(min(n, 1 << 16))

    with build.rdbkit.open(Endless(RDB)) as snapshot:
        assert [entry.key for entry in snapshot] == [b"k"]
        assert (snapshot.tail.kind, snapshot.tail.cut) == ("zeros", True)
        assert snapshot.tail.size >= 1 << 26
    result = build.rdbkit.check(RDB + bytes(1000))
    assert [f.message for f in result.findings if f.severity == "warning"] == ["1000 bytes after the end: zeros"]
    result = build.rdbkit.check(RDB + bytes(1000) + b"x")
    assert "zeros, then other bytes" in next(f.message for f in result.findings if f.code == "trailing-bytes")


# -- captures of a replication transfer --------------------------------------------------------------------------------

ID = b"a" * 40
LINES = [
    b"+FULLRESYNC " + ID + b" 1\r\n", b"+PONG\r\n+OK\r\n+OK\r\n+FULLRESYNC " + ID + b" 1\r\n\n\n",
    b"\n\n+CONTINUE\r\n\n", b"$ENDOFF:77 " + ID + b" 0 9\r\n", b"+DUALCHANNELSYNC\r\n",
]  # fmt: skip


@pytest.mark.parametrize("head", LINES)
@pytest.mark.parametrize("frame", [b"$%d\r\n" % len(RDB), b"$EOF:" + ID + b"\r\n", b""])
def test_lines_before_a_transfer(build, head, frame):
    if not frame and b"+" not in head:
        return
    end = ID if b"EOF" in frame else b""
    for what in (head + frame + RDB + end, Trickle(head + frame + RDB + end), gzip.compress(head + frame + RDB + end)):
        with build("source").open_source(what) as source:
            assert source.recognise().kind == "rdb"
            assert source.start == len(head + frame)
        with build.rdbkit.open(what if isinstance(what, bytes) else Trickle(head + frame + RDB + end)) as snapshot:
            assert [entry.key for entry in snapshot] == [b"k"]


# -- others ------------------------------------------------------------------------------------------------------------

FOREIGN = [
    (archive(zipped), "zip archive"), (archive(tarred), "first member 'dump.rdb'"),
    (b"7z\xbc\xaf\x27\x1c" + bytes(90), "7z"), (b"Rar!\x1a\x07\x00" + bytes(90), "RAR"),
    (b"\x89PNG\r\n\x1a\n" + bytes(90), "PNG"), (b"\x7fELF" + bytes(90), "ELF"), (b"%PDF-1.7\n", "PDF"),
    (b"SQLite format 3\0" + bytes(90), "SQLite"), (b"Salted__" + bytes(90), "encrypted"),
    (b"<!DOCTYPE html>\n<html></html>", "HTML"), (b"\n  <html><body>404</body></html>", "HTML"),
    (b"<?xml version='1.0'?><Error><Code>NoSuchKey</Code></Error>", "XML"), (b"<Error><Code>x</Code></Error>", "XML"),
    (b'{"error": "not found"}', "JSON"), (b"[1,2]", "JSON"), (b"HTTP/1.1 404 Not Found\r\n\r\nno", "web server"),
    (b"# a comment\n\nbind 127.0.0.1\nport 6379\nsave 900 1\n", "redis.conf"),
    (b"1234:M 01 Jan 2026 00:00:00.000 * Ready\n1234:M 01 Jan 2026 00:00:01.000 * Bye\n", "a log"),
    (b"-NOAUTH Authentication required.\r\n", "error reply"), (base64.b64encode(RDB), "base64"),
    (b"-MISCONF Redis is configured to save RDB snapshots\r\n", "MISCONF"), (archive(tarred_pax), "first member 'dump"),
    (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12\n", "LFS"),
    (RDB.hex().encode(), "hexadecimal"), (b"#!/bin/sh\n", "script"), (b"\x1f\x9d\x90" + bytes(90), "compress"),
    (bytes(32769) + b"CD001" + bytes(99), "disk"),
]  # fmt: skip


@pytest.mark.parametrize(("data", "words"), FOREIGN, ids=[words for _, words in FOREIGN])
def test_foreign_formats(recognised, build, data, words):
    found = recognised(data)
    assert (found.kind, found.code) == ("foreign", "foreign-format")
    assert words in found.message
    with pytest.raises(build.errors.Unsupported) as caught:
        build.rdbkit.open(data)
    assert caught.value.code == "foreign-format"


@pytest.mark.parametrize("data", [gzip.compress(RDB)[:10], gzip.compress(RDB)[:9], b"\x1f\x8b\x08" + bytes(40)])
def test_damage_to_a_packing_is_not_an_empty_file(recognised, build, data):
    with pytest.raises(build.errors.RdbkitError) as caught:
        recognised(data)
    assert "gzip" in caught.value.message
    for call in (build.rdbkit.open, build("snapshot.preamble").open_preamble):
        what = data if call is build.rdbkit.open else build("source").open_source(data)
        with pytest.raises(build.errors.RdbkitError) as caught:
            call(what)
        assert "gzip" in caught.value.message
    assert "gzip" in build.rdbkit.check(data).findings[0].message


def test_a_packed_archive(recognised):
    assert "tar archive" in recognised(gzip.compress(archive(tarred))).message


@pytest.mark.parametrize(
    "data", [b"hello\n", b"\x00\x01\x02", struct.pack("<40d", *range(40)), b"**bold**", b"+OK\r\n"]
)
def test_what_nobody_knows(recognised, data):
    found = recognised(data)
    assert (found.kind, found.code, found.message) == ("unknown", "not-rdb", "not a Redis or Valkey file")


def test_random_bytes_are_always_something(build):
    rng = random.Random(3)
    for _ in range(400):
        data = rng.randbytes(rng.randrange(1, 200))
        with build("source").open_source(data) as source:
            found = source.recognise()
        assert found.kind in ("unknown", "foreign", "aof", "damaged", "rdb", "damaged-aof"), data
        assert found.code or found.kind in ("aof", "rdb")
