"""Files to run the commands on: a real one, and damaged or converted copies of it."""

from __future__ import annotations

import gzip
from io import BytesIO
from pathlib import Path

import pytest

from rdbkit.format import spec
from rdbkit.rdb.writer import Writer, encode

REAL = Path(__file__).parent.parent.parent / "fixtures" / "redis-7.2.6" / "rdb-canonical" / "dump.rdb"
AOF = b"*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\n1\r\n"
#: A key that would clear the screen, change its title, fake a line, and turn the reading order.
HOSTILE = b"\x1b[2J\x1b]0;owned\x07\r\nfake\xc2\x9b\xe2\x80\xae\x7f"


def made(*keys: tuple[bytes, bytes], version: int = 11, aux: tuple[tuple[bytes, bytes], ...] = ()) -> bytes:
    """Return an RDB file of string keys, with a checksum."""
    buffer = BytesIO()
    writer = Writer(buffer.write, version)
    writer.magic()
    for name, text in aux:
        writer.aux(name, text)
    writer.select_db(0)
    for key, text in keys:
        writer.entry(spec.STRING, key, encode(spec.STRING, text))
    writer.end()
    return buffer.getvalue()


@pytest.fixture(scope="session")
def dump() -> Path:
    """A real dump of Redis 7.2.6: 154 keys, every type, four databases."""
    return REAL


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with files of many kinds, valid and not."""
    home = tmp_path_factory.mktemp("files")
    good = REAL.read_bytes()
    contents = {
        "good.rdb": good,
        "good.rdb.gz": gzip.compress(good),
        "empty.rdb": b"",
        "text.rdb": b"# Notes\nnot a dump\n",
        "newer.rdb": b"REDIS0099" + good[9:],
        "plain.aof": AOF,
        "mixed.aof": made((b"k", b"v"), aux=((b"aof-preamble", b"1"),)) + AOF,
        "cut.rdb": good[:3000],
        "checksum.rdb": good[:-3] + bytes([good[-3] ^ 1]) + good[-2:],
        "hostile.rdb": made((HOSTILE, HOSTILE), (b"=1+1", b"@x"), (b"k" * 300, b"long"), (b"\xff\xfe", b"\x00")),
        "liar.rdb": made((b"k", b"v"), aux=((b"redis-ver", b"7.2.6\ndb 0  a million keys\x1b[2J"),)),
        "many.rdb": made(*((b"key:%d" % n, b"x" * 40) for n in range(20_000))),
    }
    for name, content in contents.items():
        (home / name).write_bytes(content)
    return home
