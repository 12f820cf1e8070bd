"""Files with one very long item each, small on disk, and the memory needed to read them.

    python benchmarks/long_items.py --size 500000000 --work DIR [--only NAME …] [--commands keys,check …]

writes each file of CASES in each of FORMS, runs commands on it with the compiled and the pure build, and prints peak
resident memory and CPU seconds. The tests import CASES, `write` and `measure` from here.

The files are small because the items are runs of equal bytes, which LZF compresses 88:1, gzip and xz 1000:1 and more.
They are written without rdbkit, as an independent list of the places where a file can have a long item.
"""

from __future__ import annotations

import argparse
import bz2
import gzip
import lzma
import os
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

PIECE = 1 << 20


class Run(NamedTuple):
    """A run of the letter a."""

    size: int

    def pieces(self) -> Iterator[bytes]:
        """Yield the bytes, a megabyte at a time."""
        full = b"a" * min(PIECE, self.size)
        for at in range(0, self.size, PIECE):
            yield full[: min(PIECE, self.size - at)]


Rope = list[bytes | Run]
Encode = Callable[[Rope], Rope]


def size_of(rope: Iterable[bytes | Run]) -> int:
    return sum(part.size if isinstance(part, Run) else len(part) for part in rope)


# -- strings -----------------------------------------------------------------------------------------------------------


def length(n: int) -> bytes:
    if n < 64:
        return bytes((n,))
    if n < 16384:
        return bytes((0x40 | n >> 8, n & 0xFF))
    return b"\x80" + n.to_bytes(4, "big") if n < 1 << 32 else b"\x81" + n.to_bytes(8, "big")


def raw(rope: Rope) -> Rope:
    """An uncompressed string."""
    return [length(size_of(rope)), *rope]


def packed(rope: Rope) -> Rope:
    """A string compressed with LZF: literals, and for a run one letter and references to it."""
    out = bytearray()
    for part in rope:
        if isinstance(part, Run):
            out += b"\x00a"
            full, rest = divmod(part.size - 1, 264)
            if 0 < rest < 3:
                full, rest = full - 1, rest + 264
            out += b"\xe0\xff\x00" * full
            for run in (rest,) if rest < 265 else (rest - 3, 3):
                if run:
                    out += bytes((run - 2 << 5, 0)) if run < 9 else bytes((0xE0, run - 9, 0))
        else:
            for at in range(0, len(part), 32):
                piece = part[at : at + 32]
                out += bytes((len(piece) - 1,)) + piece
    return [b"\xc3" + length(len(out)) + length(size_of(rope)), bytes(out)]


# -- containers --------------------------------------------------------------------------------------------------------


def listpack(items: Sequence[bytes | Run], count: int | None = None) -> Rope:
    body: Rope = []
    for item in items:
        size = size_of([item])
        if size < 64:
            head = bytes((0x80 | size,))
        elif size < 4096:
            head = (0xE000 | size).to_bytes(2, "big")
        else:
            head = b"\xf0" + size.to_bytes(4, "little")
        entry = len(head) + size
        back = []
        while True:
            back.append(entry & 0x7F)
            entry >>= 7
            if not entry:
                break
        body += [head, item, bytes(byte | (0x80 if at else 0) for at, byte in enumerate(reversed(back)))]
    counted = len(items) if count is None else count
    return [(size_of(body) + 7).to_bytes(4, "little") + counted.to_bytes(2, "little"), *body, b"\xff"]


def ziplist(items: Sequence[bytes | Run], count: int | None = None) -> Rope:
    body: Rope = []
    previous = 0
    for item in items:
        size = size_of([item])
        before = bytes((previous,)) if previous < 254 else b"\xfe" + previous.to_bytes(4, "little")
        head = bytes((size,)) if size < 64 else b"\x80" + size.to_bytes(4, "big")
        body += [before + head, item]
        previous = len(before) + len(head) + size
    total = size_of(body) + 11
    counted = len(items) if count is None else count
    return [struct.pack("<IIH", total, total - 1 - previous, counted), *body, b"\xff"]


def zipmap(field: bytes | Run, value: bytes | Run) -> Rope:
    def sized(item: bytes | Run) -> bytes:
        size = size_of([item])
        return bytes((size,)) if size < 254 else b"\xfe" + size.to_bytes(4, "little")

    return [b"\x01", sized(field), field, sized(value), b"\x00", value, b"\xff"]


# -- files -------------------------------------------------------------------------------------------------------------

STREAM_4 = 26
MODULE_ID = sum(
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".index(letter) << shift
    for letter, shift in zip("kit-typeA", range(58, 9, -6), strict=True)
)
_ID = (5).to_bytes(8, "big") + (1).to_bytes(8, "big")


def node(names: Sequence[bytes | Run], fields: Sequence[bytes | Run]) -> Rope:
    """A stream's listpack with one entry with its own fields."""
    number = b"%d" % (len(fields) // 2)
    head = [b"1", b"0", b"%d" % len(names), *names, b"0"]
    return listpack([*head, b"0", b"0", b"0", number, *fields, b"%d" % (len(fields) + 4)])


def text(word: bytes) -> Rope:
    return [length(len(word)) + word]


_STREAM = {
    "key": [b"\x10" + _ID],
    "group": text(b"g"),
    "consumer": text(b"c"),
    "producer": text(b"p"),
    "iid": text(b"i"),
}


def stream(put: Encode, inside: Rope, **given: Rope) -> Rope:
    """A stream (RDB 13) with a node, a group with a consumer with a pending entry, and a producer."""
    key, group, consumer, producer, iid = {**_STREAM, **given}.values()
    out: Rope = [b"\x01", *key, *put(inside)]
    out += [b"\x01\x05\x01\x05\x01\x00\x00\x01", b"\x01", *group, b"\x05\x01\x01", b"\x01" + _ID + bytes(8) + b"\x01"]
    out += [b"\x01", *consumer, bytes(16), b"\x01" + _ID]
    return [*out, b"\x32\x32", b"\x01", *producer, b"\x01", *iid, b"\x05\x01", b"\x01\x00"]


def plain_stream(put: Encode, fields: Sequence[bytes | Run] = (b"f", b"v"), **long: Rope) -> Rope:
    return stream(put, node([b"f"], fields), **long)


def entry(kind: int, body: Rope, key: Rope | None = None) -> Rope:
    return [bytes((kind,)), *(key or text(b"k")), *body]


def pair(first: Rope, second: Rope) -> Rope:
    return [b"\x01", *first, *second]


def module(value: Rope) -> Rope:
    return [b"\x81" + MODULE_ID.to_bytes(8, "big"), b"\x05", *value, b"\x02\x07\x00"]


def array(value: Rope) -> Rope:
    return [b"\x01\x00\x03", b"\x00", *value]


def template(put: Encode, run: Run) -> Rope:
    """Return a template of two fields, in server order: by length."""
    return [b"\xf2\x07\x02", *text(b"b"), *put([run])]


Case = tuple[bytes, Callable[[Encode, Run], Rope]]
R, V = b"REDIS0015", b"VALKEY081"
_HALF = struct.pack("<d", 0.5)


def _cron(put: Encode, script: Rope, key: Rope, word: Rope) -> Rope:
    keydb: Rope = [b"\xfa", *text(b"mvcc-tstamp"), *text(b"1")]
    body = [*script, bytes(16), b"\x01", *key, b"\x01", *word]
    return [*keydb, *entry(64, body)]


#: By name: the magic, and a function that builds the records of the file from a string writer and the long item.
CASES: dict[str, Case] = {
    "string": (R, lambda put, run: entry(0, put([run]))),
    "key": (R, lambda put, run: entry(0, text(b"v"), put([run]))),
    "list": (R, lambda put, run: entry(1, [b"\x02", *text(b"x"), *put([run])])),
    "set": (R, lambda put, run: entry(2, [b"\x02", *put([run]), *text(b"x")])),
    "zset": (R, lambda put, run: entry(3, [b"\x02", *text(b"x"), b"\x011", *put([run]), b"\x030.5"])),
    "zset-2": (R, lambda put, run: entry(5, [b"\x02", *put([run]), _HALF, *text(b"x"), _HALF])),
    "hash-field": (R, lambda put, run: entry(4, pair(put([run]), text(b"v")))),
    "hash-value": (R, lambda put, run: entry(4, pair(text(b"f"), put([run])))),
    "zipmap-field": (R, lambda put, run: entry(9, put(zipmap(run, b"v")))),
    "zipmap-value": (R, lambda put, run: entry(9, put(zipmap(b"f", run)))),
    "list-ziplist": (R, lambda put, run: entry(10, put(ziplist([b"x", run, b"y"])))),
    "zset-ziplist": (R, lambda put, run: entry(12, put(ziplist([b"x", b"1", run, b"2"])))),
    "zset-ziplist-score": (R, lambda put, run: entry(12, put(ziplist([b"x", run])))),
    "hash-ziplist-field": (R, lambda put, run: entry(13, put(ziplist([run, b"v"])))),
    "hash-ziplist-value": (R, lambda put, run: entry(13, put(ziplist([b"f", run])))),
    "quicklist": (R, lambda put, run: entry(14, [b"\x01", *put(ziplist([b"x", run, b"y"]))])),
    "quicklist-uncounted": (R, lambda put, run: entry(14, [b"\x01", *put(ziplist([b"x", run], 65535))])),
    "quicklist-2": (R, lambda put, run: entry(18, [b"\x01\x02", *put(listpack([b"x", run, b"y"]))])),
    "quicklist-2-uncounted": (R, lambda put, run: entry(18, [b"\x01\x02", *put(listpack([b"x", run], 65535))])),
    "quicklist-2-plain": (R, lambda put, run: entry(18, [b"\x01\x01", *put([run])])),
    "set-listpack": (R, lambda put, run: entry(20, put(listpack([run, b"x"])))),
    "zset-listpack": (R, lambda put, run: entry(17, put(listpack([run, b"1", b"x", b"1"])))),
    "zset-listpack-score": (R, lambda put, run: entry(17, put(listpack([b"x", run])))),
    "hash-listpack-field": (R, lambda put, run: entry(16, put(listpack([run, b"v"])))),
    "hash-listpack-value": (R, lambda put, run: entry(16, put(listpack([b"f", run])))),
    "hash-metadata-field": (R, lambda put, run: entry(24, [bytes(8), b"\x01\x09", *put([run]), *text(b"v")])),
    "hash-metadata-value": (R, lambda put, run: entry(24, [bytes(8), b"\x01\x00", *text(b"f"), *put([run])])),
    "hash-ex-field": (R, lambda put, run: entry(25, [bytes(8), *put(listpack([run, b"v", b"0"]))])),
    "hash-ex-value": (R, lambda put, run: entry(25, [bytes(8), *put(listpack([b"f", run, b"9"]))])),
    "hash-ex-expiry": (R, lambda put, run: entry(25, [bytes(8), *put(listpack([b"f", b"v", run]))])),
    "hash-2-field": (V, lambda put, run: entry(22, [b"\x01", *put([run]), *text(b"v"), b"\x09" + bytes(7)])),
    "hash-2-value": (V, lambda put, run: entry(22, [b"\x01", *text(b"f"), *put([run]), b"\xff" * 8])),
    "path-hash-path": (V, lambda put, run: entry(23, [b"\x01", *put([run]), b"\x01", *text(b"f"), *text(b"v")])),
    "path-hash-field": (V, lambda put, run: entry(23, [b"\x01", *text(b"p"), b"\x01", *put([run]), *text(b"v")])),
    "path-hash-value": (V, lambda put, run: entry(23, [b"\x01", *text(b"p"), b"\x01", *text(b"f"), *put([run])])),
    "stream-field": (R, lambda put, run: entry(STREAM_4, plain_stream(put, [run, b"v"]))),
    "stream-value": (R, lambda put, run: entry(STREAM_4, plain_stream(put, [b"f", run]))),
    "stream-key": (R, lambda put, run: entry(STREAM_4, plain_stream(put, key=put([run])))),
    "stream-number": (R, lambda put, run: entry(STREAM_4, stream(put, listpack([run, b"0", b"0"])))),
    "stream-group": (R, lambda put, run: entry(STREAM_4, plain_stream(put, group=put([run])))),
    "stream-consumer": (R, lambda put, run: entry(STREAM_4, plain_stream(put, consumer=put([run])))),
    "stream-producer": (R, lambda put, run: entry(STREAM_4, plain_stream(put, producer=put([run])))),
    "stream-iid": (R, lambda put, run: entry(STREAM_4, plain_stream(put, iid=put([run])))),
    "module": (R, lambda put, run: entry(7, module(put([run])))),
    "array": (R, lambda put, run: entry(28, array(put([run])))),
    "template": (R, lambda put, run: [*template(put, run), *entry(32, [b"\x07", *text(b"v"), *text(b"w")])]),
    "template-names": (
        R,
        lambda put, run: entry(31, [b"\x01\x02", *text(b"b"), *put([run]), *text(b"v"), *text(b"w")]),
    ),
    "template-names-lp": (
        R,
        lambda put, run: entry(29, [b"\x00", *put(listpack([b"b", run])), *put(listpack([b"0", b"v", b"w"]))]),
    ),
    "template-value": (R, lambda put, run: [b"\xf2\x07\x01", *text(b"b"), *entry(32, [b"\x07", *put([run])])]),
    "template-value-lp": (R, lambda put, run: [b"\xf2\x07\x01", *text(b"b"), *entry(30, put(listpack([b"7", run])))]),
    "template-id-lp": (R, lambda put, run: [b"\xf2\x07\x01", *text(b"b"), *entry(30, put(listpack([run, b"v"])))]),
    "cron-script": (b"REDIS0009", lambda put, run: _cron(put, put([run]), text(b"key"), text(b"word"))),
    "cron-key": (b"REDIS0009", lambda put, run: _cron(put, text(b"s"), put([run]), text(b"word"))),
    "aux-name": (R, lambda put, run: [b"\xfa", *put([run]), *text(b"v"), *entry(0, text(b"v"))]),
    "aux-value": (R, lambda put, run: [b"\xfa", *text(b"n"), *put([run]), *entry(0, text(b"v"))]),
    "function": (R, lambda put, run: [b"\xf5", *put([b"#!lua name=x\n", run]), *entry(0, text(b"v"))]),
    "module-aux": (
        R,
        lambda put, run: [
            b"\xf7\x81" + MODULE_ID.to_bytes(8, "big"),
            b"\x02\x01\x05",
            *put([run]),
            b"\x00",
            *entry(0, text(b"v")),
        ],
    ),
}


def records(name: str, form: str, size: int) -> Rope:
    """Return a complete file, with a valid string key after the one with the long item."""
    magic, make = CASES[name]
    put = packed if form == "lzf" else raw
    return [magic, b"\xfe\x00", *make(put, Run(size)), b"\x00\x04last\x02ok", b"\xff" + bytes(8)]


FORMS = ("raw", "lzf", "gz", "xz", "bz2")
_OPENERS: dict[str, Callable[[Path], object]] = {
    "gz": lambda path: gzip.GzipFile(path, "wb", 1),
    "xz": lambda path: lzma.LZMAFile(path, "wb", preset=0),  # noqa: SIM115  closed by who calls it
    "bz2": lambda path: bz2.BZ2File(path, "wb", compresslevel=1),
}


def write(path: Path, name: str, form: str, size: int) -> Path:
    """Write the file of a case: its long string raw or compressed with LZF, or raw in a compressed file."""
    with _OPENERS.get(form, lambda path: path.open("wb"))(path) as out:  # type: ignore[attr-defined]
        for part in records(name, form, size):
            for piece in part.pieces() if isinstance(part, Run) else (part,):
                out.write(piece)
    return path


# -- commands ----------------------------------------------------------------------------------------------------------

#: By name: the arguments before the path.
COMMANDS = {
    "info": ("info",),
    "check": ("check",),
    "keys": ("keys", "-f", "jsonl"),
    "report": ("report",),
    "prefixes": ("prefixes",),
    "get": ("get", "PATH", "k"),
    "jsonl": ("export",),
    "csv": ("export", "-f", "csv"),
    "json-hex": ("export", "-f", "json", "--bytes", "hex"),
    "resp": ("export", "-f", "resp", "--target", "redis:8.10"),
    "restore": ("export", "-f", "resp", "--restore", "--target", "redis:8.10"),
    "check-rdb": ("check-rdb",),
}


class Measured(NamedTuple):
    """The result of a run of rdbkit: peak resident memory in bytes, CPU seconds."""

    status: int
    peak: int
    seconds: float
    said: str


def measure(words: Sequence[str], stdin: Path | None = None, pure: bool = False, out: Path | None = None) -> Measured:
    """Run rdbkit; return its status, peak resident memory in bytes, CPU seconds, and standard error."""
    environment = {**os.environ, "RDBKIT_PURE": "1" if pure else "0"}
    feeder = None
    if stdin is not None:
        feeder = subprocess.Popen(["cat", str(stdin)], stdout=subprocess.PIPE)
    with (out or Path(os.devnull)).open("wb") as sink:
        process = subprocess.Popen(
            [sys.executable, "-m", "rdbkit", *words],
            stdin=feeder.stdout if feeder else subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.PIPE,
            env=environment,
        )
        if feeder is not None and feeder.stdout is not None:
            feeder.stdout.close()
        assert process.stderr is not None
        said = process.stderr.read().decode(errors="replace")
        process.stderr.close()
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if feeder is not None:
        feeder.kill()
        feeder.wait()
    return Measured(process.returncode, used.ru_maxrss * 1024, used.ru_utime + used.ru_stime, said)


def words_for(command: str, path: str) -> list[str]:
    words = COMMANDS[command]
    return [path if word == "PATH" else word for word in words] if "PATH" in words else [*words, path]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--size", type=int, default=500_000_000)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--only", nargs="*", default=list(CASES))
    parser.add_argument("--forms", nargs="*", default=["raw", "lzf"])
    parser.add_argument("--commands", nargs="*", default=list(COMMANDS))
    parser.add_argument("--builds", nargs="*", default=["compiled", "pure"])
    parser.add_argument("--pipe", action="store_true", help="Feed the file to standard input.")
    given = parser.parse_args()
    for name in given.only:
        for form in given.forms:
            path = write(given.work / f"{name}.{form}", name, form, given.size)
            for command in given.commands:
                for build in given.builds:
                    file = path if given.pipe and command != "check-rdb" else None
                    words = words_for(command, "-" if file else str(path))
                    began = time.monotonic()
                    found = measure(words, file, build == "pure")
                    row = (name, form, command, build, found.status, f"{found.peak / 1e6:.0f}", f"{found.seconds:.1f}")
                    print(
                        *row,
                        f"{time.monotonic() - began:.1f}",
                        found.said[-150:].replace("\n", " | "),
                        sep="\t",
                        flush=True,
                    )
            path.unlink()


if __name__ == "__main__":
    main()
