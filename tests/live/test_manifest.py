"""Manifests and what is loaded, against the real check tool and a real server."""

from __future__ import annotations

import random
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from live.server import Server, executable, version_of
from rdbkit.aof.layout import AofSet, DataDir, find, would_load
from rdbkit.aof.manifest import ManifestError, parse

AOF = b"*1\r\n$4\r\nPING\r\n"
FILES = [b"f1", b"f 2", b"f\v3"]
NAMES = [b"f1", b'"f 2"', b"f\v3", b"'f1'", b'"\\x66\\x31"', b'"f1\\x00z"', b'""', b"a/b", b'"a\\\\b"']
NUMBERS = [b"1", b"2", b"3", b'" 4"', b"5x", b"x", b"-1", b"0", b"+6", b"9" * 25]
TYPES = [b"b", b"i", b"i", b"i", b"h", b"x", b"I", b'""', b"incr"]
ODDS = [b'"', b"'", b"\\", b"\0", b" ", b"\n", b"\r", b"\v", b"x", b"#", b"\xff", b" a b", b"y" * 900]


def line(rng: random.Random) -> bytes:
    pairs = [
        (rng.choice([b"file", b"FILE", b'"file"']), rng.choice(NAMES)),
        (b"seq", rng.choice(NUMBERS)),
        (b"type", rng.choice(TYPES)),
    ]
    if rng.random() < 0.3:
        pairs.append(rng.choice([*pairs, (b"foo", b"bar")]))
    rng.shuffle(pairs)
    text = rng.choice([b" ", b"\t", b" \v"]).join(word for pair in pairs for word in pair)
    if rng.random() < 0.3:
        at = rng.randrange(len(text) + 1)
        text = text[:at] + rng.choice(ODDS) + text[at + rng.randrange(2) :]
    return rng.choice([b"", b"", b"", b"#", b" "]) + text + rng.choice([b"\n"] * 9 + [b"\r\n", b""])


def described(output: bytes) -> tuple[object, ...]:
    """The result of the tool for a manifest: the files that it checked, or its message, line number and line."""
    if b"MANIFEST FILE ERROR" not in output:
        return tuple(re.findall(rb"filename=(.*?), size", output, re.DOTALL))
    number = re.search(rb"at line (\d+)\n\n", output)
    shown = re.search(rb">>> '(.*)'\n\n\d+:", output, re.DOTALL)
    reason = output.rstrip(b"\n").rpartition(b" # ")[2].decode()
    return reason, number and int(number[1]), shown and shown[1]


def ours(data: bytes, joined: bool) -> tuple[object, ...]:
    try:
        return tuple(entry.name for entry in parse(data, joined=joined).loaded)
    except ManifestError as error:
        return error.reason, None if error.line is None else error.number, error.line


@pytest.mark.parametrize("seed", range(150))
def test_manifest_is_read_as_the_tool_reads_it(check_aof: str, tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    data = b"# comment\nfile f1 seq 9 type h\n" + b"".join(line(rng) for _ in range(rng.randrange(1, 4)))
    # Valkey 9 has other rules for quotes.
    server = executable("server") or ""
    joined = "valkey" in server and version_of(server) >= (9,)
    for name in FILES:
        (tmp_path / name.decode()).write_bytes(AOF)
    (tmp_path / "m").write_bytes(data)
    real = described(subprocess.run([check_aof, "m"], cwd=tmp_path, capture_output=True, check=False).stdout)
    # The tool stops at a file that is missing.
    assert ours(data, joined)[: len(real)] == real


def incr(key: str) -> bytes:
    return b"*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n*2\r\n$4\r\nINCR\r\n$%d\r\n%b\r\n" % (len(key), key.encode())


BASE, MORE = b"file appendonly.aof seq 1 type b\n", b"file appendonly.aof.1.incr.aof seq 1 type i\n"
OTHER = b"file other seq 1 type b\n"
SETS: list[tuple[str, dict[str, bytes]]] = [
    ("old file alone", {}),
    ("a set", {"manifest": OTHER + MORE, "other": incr("other"), "1.incr.aof": incr("more")}),
    ("increment without base", {"manifest": MORE, "1.incr.aof": incr("more")}),
    ("comments only", {"manifest": b"#\n", "1.incr.aof": incr("stray")}),
    ("no manifest", {"1.incr.aof": incr("stray")}),
    ("upgrade interrupted", {"manifest": BASE}),
    ("upgrade done", {"manifest": BASE, "appendonly.aof": incr("base")}),
    ("upgrade not possible", {"manifest": BASE + MORE, "1.incr.aof": incr("more")}),
    ("missing base", {"manifest": OTHER}),
    ("history only", {"manifest": OTHER.replace(b" b", b" h"), "other": incr("other")}),
    ("listed twice", {"manifest": OTHER + OTHER.replace(b" b", b" i"), "other": incr("other")}),
    ("history too", {"manifest": OTHER + OTHER.replace(b" b", b" h"), "other": incr("other")}),
    ("empty manifest", {"manifest": b""}),
]


@pytest.mark.parametrize("with_old", [False, True])
@pytest.mark.parametrize(("name", "files"), SETS, ids=[name for name, _ in SETS])
def test_a_server_loads_what_we_say(
    server: Callable[..., Server], tmp_path: Path, name: str, files: dict[str, bytes], with_old: bool
) -> None:
    if version_of(executable() or "") < (7,):
        pytest.skip("sets came with 7.0")
    if files:
        (tmp_path / "appendonlydir").mkdir()
    for file, content in files.items():
        short = file in ("manifest", "1.incr.aof")
        (tmp_path / "appendonlydir" / (f"appendonly.aof.{file}" if short else file)).write_bytes(content)
    (tmp_path / "dump.rdb").write_bytes(b"REDIS0009\xff" + bytes(8))
    if with_old:
        (tmp_path / "appendonly.aof").write_bytes(incr("old"))

    found = find(tmp_path, keep_errors=True)
    assert isinstance(found, DataDir)
    codes = {remark.code for one in found.sets for remark in one.warnings}
    fatal = codes & {"missing-file", "bad-manifest"}
    if fatal:
        with pytest.raises(RuntimeError, match="did not come up"):
            server(appendonly="yes")
        return
    keys = [re.findall(rb"INCR\r\n\$\d+\r\n(\w+)", Path(file.path).read_bytes()) for file in would_load(found)]
    running = server(appendonly="yes")
    assert sorted(running.command("KEYS", "*")) == sorted({key for one in keys for key in one})
    running.command("SET", "after", "1")
    running.stop()
    written = found.sets[0].append_name if found.sets else b"appendonly.aof.1.incr.aof"
    assert b"after" in (tmp_path / "appendonlydir" / written.decode()).read_bytes()
    again = find(tmp_path / "appendonlydir")
    assert isinstance(again, AofSet)
    # A reported error is one: after a start the set is no longer whole.
    assert ("history-is-live" in codes) == any(remark.code == "missing-file" for remark in again.warnings)
