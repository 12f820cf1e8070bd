"""What a server and redis-check-aof would do with a file, compared with real ones; and what `check` reports."""

from __future__ import annotations

import os
import random
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from live.server import executable
from rdb.files import entry, made
from recovery.data import damaged, recorded, source

from rdbkit.aof.writer import command
from rdbkit.checks.remedies import REMEDIES

HOME = Path(__file__).parents[2]

RDB = b"REDIS0010\xfa\x08aof-base\xc0\x01\xff" + bytes(8)
VALKEY = b"VALKEY080\xff" + bytes(8)
SET = command(b"SET", b"a", b"1")
MULTI, EXEC = command(b"MULTI"), command(b"EXEC")


def checked(build: Any, data: bytes, target: str = "redis:8.10", **options: Any) -> tuple[Any, list[Any]]:
    """Return the check of one file, and its findings."""
    part = build("checks.file").FileCheck(data, target=build("releases.target").Target.parse(target), **options)
    return part, list(part.findings())


def codes(findings: list[Any]) -> list[str]:
    return [finding.code for finding in findings]


def of(findings: list[Any], code: str) -> Any:
    (found,) = [finding for finding in findings if finding.code == code]
    return found


# -- what real programs did --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [0, 1])
def test_where_a_server_cuts(build, number):
    server = recorded()[number]
    for row in server["load"]:
        data = damaged(source(server), row["op"])
        part, _ = checked(build, data, server["server"].replace("-", ":"), commands=True)
        start = part.aof.start
        assert start.starts == row["starts"], row
        if row["starts"]:
            assert (len(data) if start.cut is None else start.cut) == row["size_after"], row


@pytest.mark.parametrize("number", [0, 1])
def test_where_the_tool_cuts(build, number):
    server = recorded()[number]
    for row in server["single"]:
        data = damaged(source(server, row["source"]), row["op"])
        part, _ = checked(build, data, role="base")
        if part.aof is not None and row["fix"] in (0, 1):
            assert (len(data) if part.aof.fixed is None else part.aof.fixed) == row["fixed_size"], row


def test_the_installed_tool(build, tmp_path):
    tool = executable("check-aof")
    if tool is None:
        pytest.skip("no redis-check-aof")
    whole = (SET * 3 + MULTI + SET * 2 + EXEC + b"#TS:1700000000\r\n" + SET) * 4
    rng = random.Random(5)
    for cut in sorted(rng.sample(range(len(whole)), 40)):
        path = tmp_path / "a.aof"
        path.write_bytes(whole[:cut])
        subprocess.run([tool, "--fix", path], input=b"y\n", capture_output=True, check=False)
        part, _ = checked(build, whole[:cut], role="base")
        fixed = cut if part.aof is None or part.aof.fixed is None else part.aof.fixed
        assert path.stat().st_size == fixed


# -- releases ----------------------------------------------------------------------------------------------------------

TORN_IN_MULTI = SET + MULTI + SET + SET[:9]


@pytest.mark.parametrize(
    ("target", "data", "starts", "cut"),
    [
        ("redis:8.10", TORN_IN_MULTI, True, len(SET + MULTI + SET)),
        ("valkey:8.1.1", TORN_IN_MULTI, True, len(SET + MULTI + SET)),
        ("valkey:9.1.2", TORN_IN_MULTI, True, len(SET)),
        ("redis:8.10", RDB + SET[:9], True, 0),
        ("redis:8.10", RDB + b"#TS:1\r\n" + SET[:9], True, 0),
        ("redis:8.10", RDB + MULTI + SET, True, 0),
        ("valkey:9.1.2", RDB + SET[:9], True, len(RDB)),
        ("redis:8.10", SET + b"#TS:1\r\n" + SET[:9], True, len(SET)),
        ("redis:8.10", SET + MULTI + SET, True, len(SET)),
        ("redis:3.2", SET + MULTI + SET, True, None),
        ("redis:2.6", SET + SET[:9], False, None),
        ("redis:8.10", SET + b"garbage", False, None),
        ("redis:8.10", SET + command(b"NOSUCH", b"a"), False, None),
        ("redis:8.10", SET + command(b"XGROUP", b"NOSUCH", b"a"), False, None),
    ],
)
def test_releases_differ(build, target, data, starts, cut):
    part, _ = checked(build, data, target)
    assert (part.aof.start.starts, part.aof.start.cut) == (starts, cut)


def test_annotations_are_refused_by_older_servers_only_if_one_is_named(build):
    data = b"#TS:1700000000\r\n" + SET
    _, findings = checked(build, data, "redis:6.2")
    assert codes(findings) == ["annotation-refused"]
    part = build("checks.file").FileCheck(data)
    assert list(part.findings()) == []
    assert str(part.target) == "redis:7.0.15"


# -- what is reported --------------------------------------------------------------------------------------------------


def test_valid_file(build):
    part, findings = checked(build, SET + command(b"SELECT", b"3") + MULTI + SET + EXEC + b"#TS:1\r\n")
    assert findings == []
    assert (part.complete, part.aof.commands, part.aof.startup.transactions, part.aof.startup.annotations) == (
        True,
        5,
        1,
        1,
    )


def test_a_torn_transaction(build):
    _, findings = checked(build, TORN_IN_MULTI)
    assert codes(findings) == ["truncated", "server-cut", "multi-stays-open", "fix-cut"]
    assert [finding.offset for finding in findings] == [
        len(SET + MULTI + SET),
        len(SET + MULTI + SET),
        len(SET),
        len(SET),
    ]
    assert "losing one torn command (9 bytes)" in of(findings, "server-cut").message
    assert "losing 2 commands and a torn one" in of(findings, "fix-cut").message
    assert "keys 'a'" in of(findings, "fix-cut").message
    assert all(finding.hint for finding in findings)
    assert "multi-stays-open" not in codes(checked(build, TORN_IN_MULTI, "valkey:9.1.2")[1])


def test_an_open_transaction(build):
    _, findings = checked(build, SET + MULTI + SET)
    assert codes(findings) == ["open-transaction", "server-cut", "fix-cut"]
    assert [finding.offset for finding in findings] == [len(SET)] * 3
    assert "losing 2 commands (" in of(findings, "server-cut").message


def test_a_cut_to_nothing(build):
    _, findings = checked(build, RDB + SET[:9])
    assert codes(findings) == ["checksum-disabled", "truncated", "server-cut", "cut-to-nothing", "fix-cut"]
    assert of(findings, "fix-cut").offset == len(RDB)
    assert "cut-to-nothing" not in codes(checked(build, RDB + SET[:9], "valkey:9.1.2")[1])


def test_the_torn_command_is_named(build):
    _, findings = checked(build, SET + command(b"HSET", b"user:1", b"field", b"value")[:-9])
    assert (findings[0].key, findings[0].db, findings[0].offset) == (b"user:1", 0, len(SET))
    assert "'HSET'" in findings[0].message


def test_damage_in_the_middle_counts_what_the_tool_would_throw_away(build):
    behind = b"".join(command(b"SET", b"key:%d" % n, b"x") for n in range(100))
    _, findings = checked(build, SET + b"*3\r\n$3\r\nSET\r\n$x\r\na\r\n" + behind)
    assert codes(findings) == ["bad-aof", "server-cut", "fix-cut"]
    message = of(findings, "fix-cut").message
    assert "about 100 commands" in message
    assert "'key:0'" in message
    assert "and 90 more" in message
    assert "does not start" in of(findings, "server-cut").message


def test_a_length_that_swallows_the_rest_hides_nothing_from_the_count(build):
    behind = b"".join(command(b"SET", b"key:%d" % n, b"x") for n in range(100))
    _, findings = checked(build, SET + b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$99999999\r\nx\r\n" + behind)
    assert "about 100 commands" in of(findings, "fix-cut").message


@pytest.mark.parametrize("tail", [bytes(20), SET[:9] + bytes(300), command(b"SET", b"a", bytes(500))[:-200]])
def test_zeros_at_the_end_are_named(build, tail):
    data = SET + tail
    _, findings = checked(build, data)
    zeros = len(data) - len(data.rstrip(b"\0"))
    assert findings[0].code == "nul-tail"
    assert f"{zeros} NUL bytes, from offset {len(data) - zeros}" in findings[0].message


def test_what_a_server_takes_and_the_tool_does_not(build):
    data = SET + b"*2\n$3\nGET\r\n$1\r\na\r\n" + SET
    part, findings = checked(build, data)
    assert codes(findings) == ["tool-disagrees"]
    assert findings[0].severity == "warning"
    assert "losing 2 commands" in findings[0].message
    assert part.complete


def test_what_the_tool_does_not_see(build):
    _, findings = checked(build, SET + b"*0\r\n" + SET)
    assert codes(findings) == ["bad-aof", "server-cut", "fix-cut"]
    assert "finds no error" in of(findings, "fix-cut").message


@pytest.mark.parametrize(
    ("more", "code", "severity"),
    [
        (command(b"NOSUCH", b"a"), "unknown-command", "error"),
        (command(b"CONFIG", b"NOSUCH"), "unknown-command", "error"),
        (b"*1\r\n$0\r\n\r\n", "unknown-command", "error"),
        (command(b"GET"), "bad-arity", "error"),
        (command(b"XGROUP", b"CREATE", b"k"), "bad-arity", "error"),
        (command(b"BF.ADD", b"k", b"v") * 3, "module-needed", "note"),
        (EXEC, "exec-without-multi", "warning"),
        (MULTI + MULTI + EXEC, "nested-multi", "warning"),
        (MULTI + SET + command(b"DISCARD") + EXEC, "discard-in-transaction", "error"),
        (command(b"SELECT", b"x"), "bad-select", "error"),
        (command(b"SELECT", b"16"), "db-out-of-range", "warning"),
    ],
)
def test_wrong(build, more, code, severity):
    _, findings = checked(build, SET + more + SET)
    found = of(findings, code)
    assert found.severity == severity
    assert found.offset >= len(SET)
    assert set(codes(findings)) <= {code, "tool-disagrees"}


def test_discard_in_a_transaction_does_not_close_it(build):
    part, findings = checked(build, SET + MULTI + command(b"DISCARD") + SET)
    assert part.aof.start.cut == len(SET)
    assert "discard-in-transaction" not in codes(findings)


def test_more_databases(build):
    settings = {"databases": "20"}
    data = command(b"SELECT", b"19") + SET
    assert checked(build, data, settings=settings)[1] == []
    assert codes(checked(build, command(b"SELECT", b"20"), settings=settings)[1]) == ["db-out-of-range"]


def test_a_base_that_the_tools_do_not_know(build):
    part, findings = checked(build, VALKEY + SET, "valkey:9.1.2")
    assert of(findings, "tool-blind").severity == "note"
    assert "tool-disagrees" not in codes(findings)
    assert (part.complete, part.aof.fixed) == (True, 0)


def test_no_file_but_the_last_can_be_cut(build):
    part, findings = checked(build, SET + SET[:9], role="incr", last=False)
    assert codes(findings) == ["truncated", "torn-not-last", "server-cut", "fix-cut"]
    assert (part.aof.start.starts, part.aof.start.cut) == (False, len(SET))
    assert "--fix refuses" in of(findings, "fix-cut").message


def test_a_damaged_preamble(build):
    _, findings = checked(build, RDB[:-9] + b"\x02\x01k" + SET, role="base")
    assert "preamble-damaged" in codes(findings)


def test_a_file_that_grows(build, tmp_path):
    path = tmp_path / "a.aof"
    path.write_bytes(SET + SET[:9])

    class Grow:
        def __enter__(self) -> Any:
            with path.open("ab") as file:
                file.write(b"x")
            return self

        def __exit__(self, *_: object) -> None: ...

        def update(self, done: int) -> None: ...

    _, findings = checked(build, str(path), progress=lambda part: Grow())
    assert codes(findings) == ["being-written"]
    assert findings[0].severity == "error"


def test_a_pipe(build):
    class Pipe:
        name = "pipe"

        def __init__(self, data: bytes) -> None:
            self.data = data

        def read(self, n: int = -1) -> bytes:
            piece, self.data = self.data[:n], self.data[n:]
            return piece

    part, findings = checked(build, Pipe(TORN_IN_MULTI))
    assert codes(findings) == ["truncated", "server-cut", "multi-stays-open", "fix-cut"]
    assert part.aof.fixed == len(SET)
    assert checked(build, Pipe(RDB + SET))[1] == checked(build, RDB + SET)[1]


def test_any_bytes(build):
    """For any bytes there are findings, and no other error."""
    rng = random.Random(11)
    whole = (SET + MULTI + SET + EXEC) * 5
    for _ in range(300):
        data = bytearray(whole)
        for _ in range(rng.randrange(1, 4)):
            data[rng.randrange(len(data))] = rng.choice(b"\0\r\n*$0129x\xff")
        part, findings = checked(build, bytes(data))
        assert part.complete or any(finding.severity == "error" for finding in findings)


def test_hostile_damage_is_counted_in_bounded_time(build):
    """Each of these would swallow all that follows, and each is a place where a command may start."""
    _, findings = checked(build, SET + b"x" + b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$99999999\r\n" * 5000)
    assert codes(findings) == ["bad-aof", "server-cut", "fix-cut"]


def test_every_code_has_its_test_and_errors_a_hint():
    text = "".join((HOME / "rdbkit" / name).read_text() for name in ("checks/aof.py", "aof/startup.py"))
    found = re.findall(r'(?:Finding|Remark)\(\s*"?(\w+)"?, "([a-z-]+)"', text)
    assert len(found) > 15
    tests = Path(__file__).read_text()
    for severity, code in found:
        assert f'"{code}"' in tests
        assert severity == "note" or REMEDIES[code]


# -- sets and directories ----------------------------------------------------------------------------------------------

MANIFEST = (
    b"file a.aof.1.base.rdb seq 1 type b\nfile a.aof.1.incr.aof seq 1 type i\nfile a.aof.2.incr.aof seq 2 type i\n"
)


def a_set(root: Any, **changes: bytes | None) -> Any:
    """Make a set of a base and two increments; changes by b, i, j (increments), m (manifest), None: leave it out."""
    contents = {"m": MANIFEST, "b": RDB, "i": SET * 2, "j": SET, **changes}
    names = {"m": "a.aof.manifest", "b": "a.aof.1.base.rdb", "i": "a.aof.1.incr.aof", "j": "a.aof.2.incr.aof"}
    directory = root / "appendonlydir"
    directory.mkdir()
    for name, content in contents.items():
        if content is not None:
            (directory / names[name]).write_bytes(content)
    return directory


def check(build: Any, path: Any, **options: Any) -> tuple[Any, list[str]]:
    result = build.rdbkit.check(path, **options)
    return result, [finding.code for finding in result.findings if finding.severity != "note"]


def test_a_valid_set(build, tmp_path):
    directory = a_set(tmp_path)
    result, wrong = check(build, directory)
    assert (result.sound, wrong, result.complete, result.commands) == (True, [], True, 3)
    loads = of(list(result.findings), "loads").message
    assert loads.index("base.rdb") < loads.index("1.incr") < loads.index("2.incr")
    for path in (tmp_path, directory / "a.aof.manifest"):
        assert check(build, path)[0].commands == 3


def test_empty_files_of_a_set_are_fine(build, tmp_path):
    result, wrong = check(build, a_set(tmp_path, b=b"", i=b"", j=b""))
    assert (result.sound, wrong) == (True, [])


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"i": SET + SET[:5]}, ["truncated", "torn-not-last"]),
        ({"j": SET + SET[:5]}, ["truncated"]),
        ({"j": None}, ["missing-file"]),
        ({"m": None}, ["manifest-missing"]),
        ({"m": b"# nothing\n"}, ["manifest-no-files"]),
        ({"m": MANIFEST + b"file x seq 1 type i\n"}, ["bad-manifest"]),
        ({"b": RDB[:-20]}, ["truncated"]),
        ({"j": bytes(64)}, ["nul-tail"]),
        ({"j": b"not a command"}, ["bad-aof"]),
    ],
)
def test_what_is_wrong_with_a_set(build, tmp_path, changes, expected):
    result, wrong = check(build, a_set(tmp_path, **changes))
    assert (result.sound, wrong) == (False, expected)
    assert all(finding.file for finding in result.findings)


def test_a_data_directory(build, tmp_path):
    a_set(tmp_path)
    (tmp_path / "dump.rdb").write_bytes(b"REDIS0010\xff" + bytes(4))
    result, wrong = check(build, tmp_path)
    assert wrong == ["truncated"]
    (damage,) = [finding for finding in result.findings if finding.severity == "error"]
    assert damage.file == str(tmp_path / "dump.rdb")
    assert "rdb-no-fallback" in codes(list(result.findings))
    assert codes(list(result.findings)).count("loads") == 2


def test_a_directory_of_nothing(build, tmp_path):
    result, wrong = check(build, tmp_path)
    assert (result.sound, wrong, result.complete) == (False, ["nothing-found"], False)


def test_read_only(build, tmp_path):
    directory = a_set(tmp_path, j=SET + SET[:5])
    for path in directory.iterdir():
        path.chmod(0o444)
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in directory.iterdir()}
    assert not check(build, directory)[0].sound
    assert before == {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in directory.iterdir()}


# -- the settings that a server needs ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("home", "prefix", "words"), [
    ("appendonlydir", b"appendonly.aof", "with appendonly yes a server loads"),
    ("aof", b"appendonly.aof", "with appendonly yes and appenddirname aof a server loads"),
    ("appendonlydir", b"a.aof", "with appendonly yes and appendfilename a.aof a server loads"),
    ("x", b"y", "with appendonly yes and appenddirname x and appendfilename y a server loads"),
])  # fmt: skip
def test_names_that_are_not_the_default_are_said(build, tmp_path, home, prefix, words):
    """A server with other names does not see the files, and starts empty."""
    (tmp_path / home).mkdir()
    name = prefix + b".1.incr.aof"
    (tmp_path / home / os.fsdecode(name)).write_bytes(SET)
    (tmp_path / home / os.fsdecode(prefix + b".manifest")).write_bytes(b"file " + name + b" seq 1 type i\n")
    (tmp_path / "other.rdb").write_bytes(b"REDIS0009\xff" + bytes(8))
    reported = [finding.message for finding in build.rdbkit.check(tmp_path).findings if finding.code == "loads"]
    assert reported[0].startswith(words)
    assert ("it does not find it" in reported[0]) == (" and " in words)
    assert reported[1].startswith("with appendonly no and dbfilename other.rdb a server loads other.rdb")


@pytest.mark.parametrize("size", [16, 300, 600_000])
@pytest.mark.parametrize("before", [SET * 3, SET[:-3], b"*3\r\n$3\r\n"])
def test_nul_bytes_in_the_middle(build, before, size):
    """Their offset and number are reported, wherever in a command they begin."""
    _, findings = checked(build, before + bytes(size) + SET * 3)
    found = next(finding for finding in findings if finding.severity == "error")
    assert found.code == "bad-aof"
    # Of those that begin inside of a value, the first ones may be taken for a part of it.
    reported = re.search(r"a run of (\d+) NUL bytes at offset (\d+)", found.message)
    assert reported is not None
    assert (int(reported[1]), int(reported[2])) == (size, len(before))


# -- backups of Redis 8.10 ---------------------------------------------------------------------------------------------


def _backup(home: Path, *, sealed: bool) -> None:
    """The files of BACKUP, as documented: flat, and numbered as the live ones; the manifest is written by SEAL."""
    rdb = made(("aux", b"redis-ver", b"8.10.2"), ("aux", b"aof-base", b"1"), entry(0, b"k"), version=15)
    (home / "appendonly.aof.3.base.rdb").write_bytes(rdb)
    if sealed:
        (home / "appendonly.aof.5.incr.aof").write_bytes(command(b"SET", b"k", b"v"))
        names = ((3, "base.rdb", "b"), (5, "incr.aof", "i"))
        lines = [f"file appendonly.aof.{seq}.{name} seq {seq} type {kind}\n" for seq, name, kind in names]
        (home / "appendonly.aof.manifest").write_text("".join(lines))


def test_a_sealed_backup_is_a_set(build, tmp_path):
    _backup(tmp_path, sealed=True)
    result = build.rdbkit.check(str(tmp_path))
    assert (result.sound, result.keys, result.commands) == (True, 1, 1)


def test_a_backup_that_is_not_sealed(build, tmp_path):
    _backup(tmp_path, sealed=False)
    result = build.rdbkit.check(str(tmp_path))
    [error] = [one for one in result.findings if one.severity == "error"]
    assert error.code == "manifest-missing"
    assert "BACKUP of Redis 8.10" in error.message
    (tmp_path / "appendonly.aof.3.incr.aof").write_bytes(b"")
    [error] = [one for one in build.rdbkit.check(str(tmp_path)).findings if one.severity == "error"]
    assert "BACKUP" not in error.message
