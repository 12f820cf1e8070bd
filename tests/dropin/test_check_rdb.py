"""The recorded runs of redis-check-rdb and valkey-check-rdb, and what no recorded run shows."""

from __future__ import annotations

import base64
import io
import os
import random
import shutil
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import FIXTURES

from dropin.recorded import REFERENCE, Case, Outcome, cases, changed, files, masked, wanted, write_files

CASES = cases("rdb-cases")
#: Small inputs, each for one difference between the tools whose runs it has.
MADE = cases("rdb-made")
TOOLS = (
    "redis-3.2.13", "redis-6.2.16", REFERENCE, "redis-7.2.6", "redis-7.4.1", "redis-8.6.3", "redis-8.10.2",
    "valkey-8.1.1", "valkey-9.1.2",
)  # fmt: skip
#: The real tool crashes: we say what its successors do, and end with 1.
CRASHES = {("zset1-nan", "redis-6.2.16"), ("zset2-nan", "redis-6.2.16")}
NO_CHECKSUM = b"\xff" + bytes(8)
EOF = "Unexpected EOF reading RDB file"


def run(build: Any, tool: str, args: list[str]) -> tuple[int, bytes]:
    out: list[bytes] = []
    status = build("dropin.check_rdb").main(args, build("releases.check_tools").find(tool), out.append, out.append)
    return status, b"".join(out)


def outcome(build: Any, case: Case, tool: str, root: Path) -> Outcome:
    """Run a case in a fresh directory."""
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir()
    write_files(case, root)
    before = files(root)
    os.chdir(root)
    try:
        status, text = run(build, tool, case["args"])
    finally:
        os.chdir("/")
    return status, masked(text), changed(before, files(root))


def check(build: Any, tmp_path: Path, data: bytes, tool: str = REFERENCE) -> tuple[int, list[str]]:
    """Check bytes; return the status, and the lines after the first."""
    (tmp_path / "dump.rdb").write_bytes(data)
    status, text = run(build, tool, [str(tmp_path / "dump.rdb")])
    return status, masked(text).decode("latin-1").split("\n")[1:-1]


@pytest.mark.parametrize("tool", TOOLS)
def test_recorded_runs(build, tool, tmp_path):
    different = []
    for case in CASES:
        want, got = wanted(case, tool), outcome(build, case, tool, tmp_path / "case")
        if (case["name"], tool) in CRASHES:
            assert b"ASSERTION FAILED" in want[1]
            assert got[0] == 1
            assert b"Zset with NAN score detected" in got[1]
        elif want != got:
            different.append(case["name"])
    assert different == []


@pytest.mark.parametrize("tool", sorted({tool for case in MADE for tool in case["variants"]}))
def test_made_inputs(build, tool, tmp_path):
    mine = [case for case in MADE if tool in case["variants"]]
    assert len(mine) > 50
    assert [case["name"] for case in mine if wanted(case, tool) != outcome(build, case, tool, tmp_path / "case")] == []


REFUSED = [
    ("redis-8.2.3", 97, "-> invalid expireAt time: 281474976710656", "24 (hash-hashtable-md)"),
    ("valkey-9.1.2", 101, EOF, "22 (hash-volatile-items)"),
]


@pytest.mark.parametrize(("tool", "offset", "text", "kind"), REFUSED)
def test_a_field_expiry_that_the_servers_own_tool_refuses(build, tool, offset, text, kind):
    status, said = run(build, tool, [str(FIXTURES / tool / "check-field-expiry/input.rdb")])
    lines = masked(said).decode().split("\n")
    at = lines.index("--- RDB ERROR DETECTED ---")
    assert status == 1
    assert lines[at + 1].startswith(f"[offset {offset}] ")
    assert lines[at + 1].endswith(text)
    assert lines[at + 2 : at + 7] == [
        "[additional info] While doing: read-object-value", "[additional info] Reading key 'h'",
        f"[additional info] Reading type {kind}", "[info] 1 keys read", "[info] 0 expires",
    ]  # fmt: skip


def test_a_hash_whose_fields_no_longer_expire_does_not_count(build):
    status, said = run(build, "redis-8.2.3", [str(FIXTURES / "redis-8.2.3/check-subexpires/input.rdb")])
    assert status == 0
    assert said.endswith(b"[info] 2 keys read\n[info] 0 expires\n[info] 0 already expired\n[info] 1 subexpires\n")


def test_long_strings_are_judged_as_short_ones(build, tmp_path, monkeypatch):
    monkeypatch.setattr(build("dropin.reader"), "WHOLE", 2)
    for case in CASES:
        want, got = wanted(case, REFERENCE), outcome(build, case, REFERENCE, tmp_path / "case")
        assert (case["name"], want) == (case["name"], got)


def test_files_of_servers_are_valid_for_their_own_tool_and_the_newest(build):
    found = set()
    for path in sorted(FIXTURES.glob("*/rdb-*/*.rdb")):
        own = path.parent.parent.name.replace("redis-2.8.24", "redis-3.2.13")
        newest = "valkey-9.1.2" if own.startswith("valkey") else "redis-8.10.2"
        for tool in (own, newest):
            found.add((path, tool, run(build, tool, [str(path)])[0]))
    assert {status for _, _, status in found} == {0}


# -- what real runs gave beyond the recorded ones (Debian's 7.0.15) --------------------------------------------------


def key(kind: int, value: bytes) -> bytes:
    return b"REDIS0010" + bytes((kind,)) + b"\x01k" + value + NO_CHECKSUM


def blob(data: bytes) -> bytes:
    return b"\x80" + struct.pack(">I", len(data)) + data


def wide(number: int) -> bytes:
    return b"\x81" + struct.pack(">Q", number)


def stream(*consumers: list[int]) -> bytes:
    """Return a stream without entries whose one group has these consumers' pending entries."""

    def entry(number: int) -> bytes:
        return struct.pack(">QQ", number, 1)

    known = sorted({number for consumer in consumers for number in consumer})
    body = b"\x00" + b"\x00\x05\x01" + bytes(4) + b"\x03" + b"\x01\x01g\x01\x01\x01" + bytes((len(known),))
    body += b"".join(entry(number) + bytes(8) + b"\x01" for number in known) + bytes((len(consumers),))
    for i, consumer in enumerate(consumers):
        body += b"\x02c%d" % i + bytes(8) + bytes((len(consumer),)) + b"".join(map(entry, consumer))
    return body


LOOKS_OK = r"\o/ RDB looks OK! \o/"
LONG = b"b" * 300
ROWS = [
    ("a packed string of nothing", key(0, b"\xc3\x02\x00xy"), 26, LOOKS_OK),
    ("a packed string that wants too much", key(0, b"\xc3\x01" + wide(1 << 62) + b"a"), 23, EOF),
    ("a packed string that wants much", key(0, b"\xc3\x01" + wide(1 << 40) + b"a"), 24,
     "Invalid LZF compressed string"),
    ("an unknown length", key(1, b"\x85"), 13, "Unknown length encoding 2 in rdbLoadLen()"),
    ("too large a table", key(2, wide(1 << 60) + b"\x01a"), 21, f"OOM in dictTryExpand {1 << 60}"),
    ("a table whose size overflows", key(2, wide(1 << 61) + b"\x01a\x01b" + b"\x3f"), 26, EOF),
    ("a score in hexadecimal", key(3, b"\x01\x01a\x050x1p3"), 30, LOOKS_OK),
    ("a score that ends early", key(3, b"\x01\x01a\x021e"), 27, LOOKS_OK),
    ("a score that is a prefix", key(3, b"\x01\x01a\x05infin"), 21, EOF),
    ("a score of NaN in letters", key(3, b"\x01\x01a\x03NaN"), 19, "Zset with NAN score detected"),
    ("a score after blanks", key(3, b"\x01\x01a\x03\n+1"), 28, LOOKS_OK),
    ("a score of nothing", key(3, b"\x01\x01a\x00"), 16, EOF),
    ("a long hash with a field twice", key(4, b"\x02\x01a" + blob(LONG) + b"\x01a\x00"), 323,
     "Duplicate hash fields detected"),
    ("a module without an id", b"REDIS0010\x07\x01k", 12, "Short read module id"),
    ("a module that ends", b"REDIS0010\x07\x01k" + wide(0), 21, EOF),
    ("a module that ends in a part", b"REDIS0010\x07\x01k" + wide(0) + b"\x05\x09", 23,
     "Error reading string from module AAAAAAAAA value"),
    ("a short length in the long form", key(9, blob(b"\x01\x01a\xfe" + struct.pack("<I", 1) + b"\0b\xff")), 28,
     "Zipmap integrity check failed."),
    ("a long length marked 255", key(9, blob(b"\x01\x01a\xff" + struct.pack("<I", 300) + b"\0" + LONG + b"\xff")), 336,
     LOOKS_OK),
    ("a zipmap that goes on", key(9, blob(b"\x01\x01a\x01\0b\xffzz\xff")), 36, LOOKS_OK),
    ("an owner twice", key(19, stream([1, 1])), 98, "Stream consumer PEL entry already has a consumer assigned"),
    ("two owners", key(19, stream([1], [1])), 110, "Stream consumer PEL entry already has a consumer assigned"),
    ("one consumer each", key(19, stream([1], [2])), 144, LOOKS_OK),
    ("a library without a payload", b"REDIS0010\xf5\x05ab", 11,
     "Failed loading library, Failed loading library payload"),
    ("an old library without a name", b"REDIS0010\xf6", 10, "Failed loading library, Failed loading library name"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "data", "offset", "text"), ROWS, ids=[row[0] for row in ROWS])
def test_what_real_runs_gave(build, name, data, offset, text, tmp_path):
    status, lines = check(build, tmp_path, data)
    assert status == (text != LOOKS_OK)
    assert any(line.startswith(f"[offset {offset}]") and line.endswith(text) for line in lines), lines


def test_a_line_is_cut_and_ends_at_a_nul(build, tmp_path):
    name, value = b"a\0b", b"v" * 2000
    data = b"REDIS0010\xfa" + blob(name) + blob(value) + NO_CHECKSUM
    assert check(build, tmp_path, data)[1][0] == f"[offset 2023] AUX FIELD a = '{'v' * (1023 - 15)}"


def test_later_and_foreign_versions(build, tmp_path):
    def said(data: bytes) -> list[str]:
        return check(build, tmp_path, data, "valkey-9.1.2")[1][1:]

    end = NO_CHECKSUM
    assert said(b"VALKEY080" + end)[-5] == r"[offset 18] \o/ RDB looks OK! \o/"
    assert said(b"VALKEY081" + end)[0] == "[offset 9] Future RDB version 81 detected"
    assert said(b"REDIS0013\xf2" + end)[2] == "[offset 10] Unknown object type 242 in RDB file with foreign version 13"
    assert said(b"REDIS0013\xf3" + end)[2].endswith("-> Unknown RDB string encoding type 63")
    assert said(b"VALKEY012\x16" + end)[2] == "[offset 10] Unknown object type 22 in RDB file with foreign version 12"
    assert said(b"VALKEY081\x17" + end)[2] == "[offset 10] Unknown object type 23 in RDB file with future version 81"
    assert said(b"VALKEY081\x16\x01k" + end)[1].startswith("--- RDB ERROR")
    assert said(b"VALKEY011" + end)[1] == "[offset 9] Can't handle RDB format version 11"
    assert said(b"REDIS   9" + end)[1] == "[offset 9] Wrong signature trying to load DB from file"
    assert check(build, tmp_path, b"REDIS   9" + end)[0] == 0
    assert check(build, tmp_path, b"REDIS-001" + end)[1][1] == "[offset 9] Can't handle RDB format version -1"


def test_up_to_4_0_an_expiry_belongs_to_its_key(build, tmp_path):
    data = b"REDIS0007\xfd" + struct.pack("<i", 5) + b"\x28\x01k"
    lines = check(build, tmp_path, data, "redis-3.2.13")[1]
    assert (
        lines[1] == "[offset 17] Internal error in RDB reading function at rdb.c:<line> -> Unknown RDB encoding type 40"
    )
    assert check(build, tmp_path, b"REDIS0007\xfd" + b"\xff" * 4, "redis-3.2.13")[1][2].endswith("read-expire")


def test_3_2_finds_a_wrong_checksum_and_that_all_is_well(build, tmp_path):
    status, lines = check(build, tmp_path, b"REDIS0007\xff" + b"x" * 8, "redis-3.2.13")
    assert status == 0
    assert lines[1] == "[offset 18] RDB CRC error"
    assert lines[-4] == r"[offset 18] \o/ RDB looks OK! \o/"


# -- many names ------------------------------------------------------------------------------------------------------


def counted(number: int) -> bytes:
    return b"\x80" + struct.pack(">I", number)


@pytest.mark.parametrize("twice", [(5, 900), (600, 601), (601, 998)])
def test_a_repetition_is_found_at_its_offset(build, twice, tmp_path, monkeypatch):
    first, second = twice
    names = [b"member:%d" % (first if i == second else i) + bytes(i % 60) for i in range(1000)]
    names[second] = names[first]
    data = key(2, counted(1000) + b"".join(blob(name) for name in names))
    want = check(build, tmp_path, data)
    assert want[1][1].endswith("-> Duplicate set members detected")
    records = build("dropin.rdb_records")
    monkeypatch.setattr(records, "KEPT", 100)
    assert check(build, tmp_path, data) == want
    # The end of the file after it does not hide it.
    assert check(build, tmp_path, data[:-12])[1][:3] == want[1][:3]
    names[second] = b"another"
    assert check(build, tmp_path, key(2, counted(1000) + b"".join(blob(name) for name in names)))[0] == 0


def test_names_that_are_there_once_need_no_second_reading(build, tmp_path, monkeypatch):
    monkeypatch.setattr(build("dropin.rdb_records"), "KEPT", 100)
    data = key(2, counted(1000) + b"".join(blob(b"%d" % i) for i in range(1000)))
    assert check(build, tmp_path, data)[0] == 0


# -- what a path may be ----------------------------------------------------------------------------------------------


def test_nothing_there(build):
    assert run(build, REFERENCE, ["/no/such.rdb"]) == (1, b"[offset 0] Checking RDB file /no/such.rdb\n")
    assert run(build, "redis-3.2.13", ["/no/such.rdb"])[0] == 255
    assert run(build, REFERENCE, ["a\0b"])[0] == 1


def test_a_directory_is_at_its_end_at_once(build, tmp_path):
    status, text = run(build, REFERENCE, [str(tmp_path)])
    assert status == 1
    assert b"[offset 0] " + EOF.encode() in text


@pytest.mark.skipif(not os.path.exists("/dev/fd"), reason="no /dev/fd")  # noqa: PTH110
@pytest.mark.parametrize("size", [1 << 20, 10])
def test_a_pipe(build, size):
    data = (FIXTURES / "redis-7.0.15/rdb-repl/dump.rdb").read_bytes()[:size]
    reading, writing = os.pipe()
    try:
        os.write(writing, data)
        os.close(writing)
        status, text = run(build, REFERENCE, [f"/dev/fd/{reading}"])
    finally:
        os.close(reading)
    assert (status, b"Checksum OK" in text) == ((0, True) if len(data) > 10 else (1, False))


def test_the_rdb_at_the_start_of_another_file(build, tmp_path):
    data = (FIXTURES / "redis-7.0.15/rdb-canonical/dump.rdb").read_bytes()
    tools, checks = build("releases.check_tools"), build("dropin.check_rdb")

    def preamble(content: bytes) -> int | None:
        (tmp_path / "a.aof").write_bytes(content)
        with (tmp_path / "a.aof").open("rb") as file, (tmp_path / "out").open("wb") as out:
            held = type("Held", (), {"fd": file.fileno()})()
            found: int | None = checks.check_preamble(tools.find(REFERENCE), held, b"a.aof", out)
            assert file.tell() == 0
        return found

    assert preamble(data + b"*1\r\n$4\r\nPING\r\n") == len(data)
    assert preamble(data[:-1]) is None
    with pytest.raises(checks.Exited):
        preamble(key(1, b"\x85"))
    assert (tmp_path / "out").read_bytes().endswith(b"# Terminating server after rdb file reading failure.\n")


# -- any bytes -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tool", ["redis-3.2.13", REFERENCE, "redis-8.10.2", "valkey-9.1.2"])
def test_any_damage_ends_in_words(build, tool, tmp_path):
    rng = random.Random(len(tool))
    whole = [path.read_bytes() for path in sorted(FIXTURES.glob("*/rdb-*/*.rdb")) if path.stat().st_size < 4000]
    whole += [base64.b64decode(content) for case in CASES for content in case["input"].values() if content]
    for _ in range(400):
        data = bytearray(rng.choice(whole) or b"x")
        for _ in range(rng.randrange(1, 4)):
            data[rng.randrange(len(data))] = rng.choice((0, 1, 0x7F, 0x80, 0x81, 0xC3, 0xFF, rng.randrange(256)))
        data[:9] = data[:9] if rng.random() < 0.5 else b"VALKEY080" if "valkey" in tool else b"REDIS0007"
        status, lines = check(
            build, tmp_path, bytes(data[: rng.randrange(len(data)) if rng.random() < 0.3 else None]), tool
        )
        assert status in (0, 1)
        assert lines[-1].startswith("[info]") or "Terminating" in lines[-1] or "returned error code" in lines[-1]


# -- names of tools --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "is_as"),
    [
        ("redis-7.0.15", "redis-7.0.15"), ("redis-7.0.2", "redis-7.0.15"), ("redis-7.0", "redis-7.0.15"),
        ("redis-7.2.3", "redis-7.2.6"), ("redis-8.4.0", "redis-8.2.3"), ("redis-99.1.2", "redis-8.10.2"),
        ("redis-8", "redis-8.10.2"), ("valkey-8.1.1", "valkey-8.1.1"), ("valkey-9.0.4", "valkey-9.0.0"),
    ],
)  # fmt: skip
def test_a_tool_behaves_as_the_nearest_row(build, name, is_as):
    tools = build("releases.check_tools")
    found, row = tools.find(name), tools.find(is_as)
    assert (found.rdb, found.last, found.types) == (row.rdb, row.last, row.types)


@pytest.mark.parametrize("name", ["redis", "redis-x", "redis-2.8.24", "keydb-6.3.4", "valkey-1.0.0", "redis-7.0.15-1"])
def test_other_names_are_refused(build, name):
    with pytest.raises(ValueError, match=r"redis-7\.0\.15, .*valkey-9\.1\.2"):
        build("releases.check_tools").find(name)


def test_a_log_line_is_a_servers(build):
    tools, checks = build("releases.check_tools"), build("dropin.check_rdb")
    line = checks.log_line(tools.find("valkey-9.1.2"), "*", "text", 1_700_000_000.25)
    assert line.startswith(b"%d:M 1" % os.getpid())
    assert line.endswith(b".250 * text\n")
    assert masked(line) == b"<pid>:C <time> * text\n"
    assert masked(checks.log_line(tools.find("redis-3.2.13"), "#", "text", 0.0)) == b"<pid>:C <time> # text\n"


# -- the command -----------------------------------------------------------------------------------------------------


def command(*args: str) -> tuple[int, bytes]:
    done = subprocess.run([sys.executable, "-m", "rdbkit", "check-rdb", *args], capture_output=True, check=False)
    return done.returncode, done.stdout + done.stderr


def test_the_command_reads_its_own_option_first_and_passes_the_rest():
    status, text = command("--as", "redis-6.2.16", "--version")
    assert (status, text) == (1, b"[offset 0] Checking RDB file --version\n")
    assert command("--as=redis-7.0.15", "-v") == (0, b"redis-check-rdb 7.0.15\n")
    assert command("--as", "valkey-9.1.2")[1].startswith(b"Usage: valkey-check-rdb <rdb-file-name> [--format")
    assert command("a", "--as") == (1, b"Usage: redis-check-rdb <rdb-file-name>\n")


def test_the_command_imitates_redis_8_10_by_default():
    status, text = command(str(FIXTURES / "redis-8.10.2/rdb-templates/dump.rdb"))
    assert status == 0
    assert b"subexpires" in text


def test_a_tool_that_is_not_known_is_bad_usage():
    assert command("--as", "redis-1.0", "dump.rdb")[0] == 2
    assert command("--as")[0] == 2


def test_bytes_of_a_file_do_not_steer_a_terminal():
    from rdbkit.cli.check_rdb import writer

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    writer(terminal)(b"[additional info] Reading key '\x1b[2J\xff'\n")
    assert terminal.getvalue() == "[additional info] Reading key '\\x1b[2J\\xff'\n"
