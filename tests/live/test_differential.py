"""Servers of several releases compared with rdbkit: data made from a seed, and the servers' replies about their files.

Each test is run with each server that is found (servers.py) and each seed; both are in the test's id. For a server's
files every key is compared: type, value, encoding, memory and expiries with the replies of a second server of the same
kind that has loaded the file; and the output of the server's own check tools for the files, whole and damaged, with
that of rdbkit's replacements. Known differences are in `KNOWN`, with the reason; any other difference fails.

RDBKIT_WORKLOADS    how many seeds (3)
RDBKIT_SEED         this seed only
RDBKIT_TEST_SERVERS paths of more servers
"""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import chdir
from dataclasses import dataclass, field
from difflib import unified_diff
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from dropin.recorded import masked

import rdbkit
from live.account import Row, Where, account, ask, databases, described
from live.server import PATIENCE, Server
from live.servers import Build, found
from live.test_check_aof import arguments
from live.test_check_aof import damaged as damaged_aof
from live.test_check_rdb import damaged as damaged_rdb
from live.test_memory import allocator, info
from live.workload import Workload, stream_of
from rdbkit.cli import cli

SERVERS = found()
SEEDS = (
    [int(os.environ["RDBKIT_SEED"])]
    if "RDBKIT_SEED" in os.environ
    else list(range(int(os.environ.get("RDBKIT_WORKLOADS", "3"))))
)
#: Damaged files per workload, for each of the two tools.
DAMAGES = 30
#: Longer entries are not put into a file that is to be damaged.
SHORT = 1500
#: Limits that change what a loaded file looks like; the file does not hold them.
LIMITS = ("hash-max-", "list-", "set-max-", "zset-max-")


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) < 400 else f"{text[:400]}..."


# -- known differences -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Difference:
    """Something that is not as the server has it: of a key, or of a file given to a tool."""

    what: str
    where: Any
    ours: Any
    theirs: Any
    more: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        if isinstance(self.ours, tuple) and isinstance(self.theirs, tuple) and self.what.startswith("check-"):
            texts = [text.decode("latin-1").split("\n") for text in (self.ours[1], self.theirs[1])]
            lines = "\n".join(unified_diff(*texts, "rdbkit", "the server", lineterm="", n=1))
            files = "" if self.ours[2] == self.theirs[2] else ", and the resulting files differ"
            return f"{self.where}: exit status {self.ours[0]} and {self.theirs[0]}{files}\n{lines}"
        more = {name: value for name, value in self.more.items() if name != "row"}
        return f"{self.what} of {self.where!r}: {_shown(self.ours)}, the server has {_shown(self.theirs)} {more}"


@dataclass(frozen=True)
class Known:
    """A known difference: its name, why it is not a mistake of rdbkit, and how it is recognised."""

    name: str
    reason: str
    holds: Callable[[Scene, Difference], bool]


def _is_shared_integer(scene: Scene, one: Difference) -> bool:
    value = scene.account[one.where]["value"] if one.what == "freq" else b""
    return isinstance(value, bytes) and value.isdigit() and int(value) < 10_000


def _is_packed_zero(scene: Scene, one: Difference) -> bool:
    if one.what != "value" or one.more["type"] != "zset":
        return False
    packed = scene.account[one.where]["encoding"] == "listpack"
    return packed and [(member, score.replace("-0.0", "0.0")) for member, score in one.ours] == one.theirs


def _is_tree_of_expiries(scene: Scene, one: Difference) -> bool:
    many = one.what == "memory" and len(one.more["row"].get("field_expires_at", ())) > 127
    return many and scene.build.since(None, (9,)) and one.ours is None


def _is_remainder(scene: Scene, one: Difference) -> bool:
    """Return whether there is no more than one remainder for each allocation.

    The most that was met is 17 among 65 allocations of a set. The variance of one is 16^2 / 32, so that of n is 8 n
    (releases/allocators.py); Valkey's hash tables have one of their own.
    """
    if one.what != "memory" or scene.allocator != "glibc" or not one.more["sd"] or one.more["encoding"] == "skiplist":
        return False
    more = one.theirs - one.ours
    if (one.more["encoding"], scene.build.product) == ("hashtable", "valkey"):
        texts = one.more["elements"] * (2 if one.more["type"] == "hash" else 1)
        return 0 < more <= 16 * (texts + 1)
    # Without them the figure is exact; an average in floating point may come out a byte off.
    return more % 16 in (0, 1, 15) and 0 < more <= 16 * (one.more["sd"] ** 2 / 8)


def _is_high_level(scene: Scene, one: Difference) -> bool:
    """Return whether the levels of so many nodes may come to that: less often than once in 10^9 is not believed.

    So rare is what lies more than 6 deviations off in a normal distribution, which few nodes do not have. A node has
    another level with a chance of a quarter; that is 16 bytes, of which an allocator makes 20 at the most.
    """
    if one.what != "memory" or one.more["encoding"] != "skiplist" or one.ours is None:
        return False
    nodes, levels = one.more["elements"], 0
    assert nodes < 2000  # else 0.75**nodes is none
    chance = 0.75**nodes
    beyond = 1 - chance
    while beyond > 1e-9:
        levels += 1
        chance *= 0.25 * (nodes + levels - 1) / levels
        beyond -= chance
    return 0 < one.theirs - one.ours <= 20 * (levels - nodes / 3)


def _is_ended_rehash(scene: Scene, one: Difference) -> bool:
    if one.what != "memory" or scene.build.product != "redis" or not one.more["sd"]:
        return False
    # All members were put in one by one, so the old table was the greatest power of 2 below their number. The server
    # has it or not; the figure is the expectation, so it is off by nearly all of the table, in either direction.
    old = 8 << (one.more["elements"] - 1).bit_length() - 1
    return one.more["encoding"] == "hashtable" and abs(abs(one.ours - one.theirs) - old) <= one.more["sd"]


def _is_nan_crash(scene: Scene, one: Difference) -> bool:
    if not (one.what.startswith("check-") and one.ours and one.theirs and scene.build.name.startswith("redis-6.2.")):
        return False
    return b"ASSERTION FAILED" in one.theirs[1] and b"Zset with NAN score detected" in one.ours[1] and one.ours[0] == 1


def _is_crash_for_want_of_memory(scene: Scene, one: Difference) -> bool:
    if not (one.what == "check-aof" and one.ours and one.theirs and scene.build.name.startswith("redis-6.2.")):
        return False
    said = _OUT_OF_MEMORY.search(one.ours[1])
    return bool(said) and one.ours[1:] == one.theirs[1:] and (one.ours[0], one.theirs[0]) == (1, -signal.SIGSEGV)


def _is_want_of_memory(scene: Scene, one: Difference) -> bool:
    if not (one.what.startswith("check-") and one.ours and one.theirs):
        return False
    crash = _OUT_OF_MEMORY.search(one.theirs[1])
    table = _NO_TABLE.search(one.theirs[1])
    if table:
        # It takes 8 to 20 bytes for each.
        return (one.ours[0], one.theirs[0]) == (1, 1) and 8 * int(table[1]) in _BY_MACHINE
    if crash:
        return one.ours[0] == 1 and int(crash[1]) in _BY_MACHINE
    left = [_NOT_ALLOCATED.sub(_without_size, run[1]) for run in (one.ours, one.theirs)]
    return left[0] == left[1] and (one.ours[0], one.ours[2]) == (one.theirs[0], one.theirs[2])


#: Bytes that one machine and allocator has, or promises, and another does not; what is more than this, none has.
_BY_MACHINE = range(1 << 30, 1 << 47)
_OUT_OF_MEMORY = re.compile(rb"Out Of Memory allocating (\d+) bytes!")
_NO_TABLE = re.compile(rb"OOM in (?:dict|hashtable)TryExpand (\d+)")
_NOT_ALLOCATED = re.compile(rb"<pid>:C <time> # \w+ failed allocating (\d+) bytes\n")


def _without_size(line: re.Match[bytes]) -> bytes:
    return b"" if int(line[1]) in _BY_MACHINE else line[0]


KNOWN = (
    Known(
        "shared integers",
        "keys with the same number from 0 to 9999 share one object, and with it the count of uses of the last of them",
        _is_shared_integer,
    ),
    Known(
        "packed -0",
        "a load under larger limits packs a sorted set, and a listpack holds -0 as the integer 0; the file has -0",
        _is_packed_zero,
    ),
    Known(
        "trees of expiries",
        "Valkey 9 keeps more than 127 fields with an expiry in a tree, whose size is not known: memory is None",
        _is_tree_of_expiries,
    ),
    Known(
        "remainders of glibc",
        "a remainder that is too small to be split stays in its chunk: by chance, but often in a row within one key",
        _is_remainder,
    ),
    Known(
        "levels of skiplists",
        "the levels of few nodes are drawn by lot, and no normal distribution",
        _is_high_level,
    ),
    Known(
        "ended rehashes",
        "whether a table that grows still has its old half is one of two values, and no normal distribution",
        _is_ended_rehash,
    ),
    Known(
        "NaN in 6.2",
        "the tool of 6.2 crashes at a score that is no number; rdbkit says what its successors say",
        _is_nan_crash,
    ),
    Known(
        "want of memory in 6.2",
        "the tool of 6.2 crashes while it reports, for its report tells of a server that it is not",
        _is_crash_for_want_of_memory,
    ),
    Known(
        "want of memory",
        "a damaged length of some GiB to TiB: whether a tool can allocate it depends on the allocator and the machine",
        _is_want_of_memory,
    ),
)


# -- a workload, run -------------------------------------------------------------------------------------------------


@dataclass
class Scene:
    """The files that one server wrote, and the replies of another of its kind after it had loaded them."""

    build: Build
    seed: int
    workload: Workload
    dump: Path
    #: Directory of an AOF set, or a single file.
    aof: Path
    #: What the check tool is given.
    aof_name: Path
    allocator: str = ""
    account: dict[Where, Row] = field(default_factory=dict)
    functions: list[bytes] = field(default_factory=list)
    due: int = 0

    @property
    def limits(self) -> dict[str, str]:
        found = {name: text for name, text in self.workload.settings.items() if name.startswith(LIMITS)}
        # Without it rdbkit infers it from the file, which may have been written while another depth held.
        return {"list-compress-depth": "0", **found}

    def opened(self) -> rdbkit.Snapshot:
        return rdbkit.open(self.dump, settings=self.limits, allocator=self.allocator)

    def judge(self, differences: list[Difference]) -> None:
        """Fail for what differs and is not known to."""
        rest = [one for one in differences if not any(known.holds(self, one) for known in KNOWN)]
        if rest:
            shown = "\n".join(str(one)[:1000] for one in rest[:20])
            again = f"RDBKIT_SEED={self.seed} pytest tests/live/test_differential.py -k {self.build}"
            pytest.fail(f"{len(rest)} differences; to repeat: {again}\n{shown}", pytrace=False)


def _until(holds: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < end, f"{what} took too long"
        time.sleep(0.005)


def _now(server: Server) -> int:
    seconds, micros = server.command("TIME")
    return int(seconds) * 1000 + int(micros) // 1000


def _rewritten(server: Server) -> bool:
    names = ("aof_rewrite_in_progress", "aof_rewrite_scheduled", "aof_last_bgrewrite_status")
    return [info(server, name) for name in names] == ["0", "0", "ok"]


def _fill(server: Server, workload: Workload) -> int:
    """Run the commands up to the save and the AOF; return when the doomed keys expire."""
    server.command("DEBUG", "SET-ACTIVE-EXPIRE", "0")
    usual = {name: server.command("CONFIG", "GET", name)[1] for name in workload.before}
    for limits, commands in ((workload.before, workload.early), (usual, workload.commands)):
        for name, text in limits.items():
            server.command("CONFIG", "SET", name, text)
        ask(server, *stream_of(commands))
    due = 0
    while _now(server) >= due:  # again, if it took so long that they have expired
        due = _now(server) + 150
        ask(server, *stream_of(workload.doomed(due)))
    assert server.command("SAVE") == b"OK"
    return due


def _append(server: Server, workload: Workload) -> None:
    """Have an AOF written: the data, then what comes later."""
    server.command("CONFIG", "SET", "appendonly", "yes")
    _until(lambda: _rewritten(server), "the first rewrite")
    server.command("BGREWRITEAOF")
    _until(lambda: _rewritten(server), "the rewrite")
    ask(server, *stream_of(workload.later))


def _make(build: Build, seed: int, root: Path) -> Scene:
    workload = Workload(seed, build)
    program = str(build.program)
    settings = {**workload.settings, "appendfsync": "no"}
    one = Server.start(root, program, **settings, hz="500")
    try:
        due = _fill(one, workload)
        _append(one, workload)
    finally:
        one.stop()
    several = build.since((7,))
    aof = root / "aof"
    aof.mkdir()
    name = "appendonlydir" if several else "appendonly.aof"
    (root / name).rename(aof / name)
    scene = Scene(build, seed, workload, root / "dump.rdb", aof / name, aof / name, due=due)
    if several:
        scene.aof_name = aof / name / "appendonly.aof.manifest"
    _until(lambda: time.time() * 1000 > due + 1, "an expiry")
    one = Server.start(root, program, **settings)
    try:
        _record_replies(one, scene)
    finally:
        one.stop()
    return scene


def _record_replies(server: Server, scene: Scene) -> None:
    workload = scene.workload
    assert "doomed" not in str(server.command("KEYS", "doomed"))
    scene.allocator = allocator(server)
    counts = workload.settings["maxmemory-policy"].endswith("-lfu")
    scene.account = account(server, fields_expire=workload.fields_expire, freq=counts)
    if scene.build.since((7,)):
        libraries = server.command("FUNCTION", "LIST", "WITHCODE")
        scene.functions = sorted(dict(zip(one[::2], one[1::2]))[b"library_code"] for one in libraries)


def _cases() -> list[Any]:
    cases = [pytest.param((build, seed), id=f"{build}-seed{seed}") for build in SERVERS for seed in SEEDS]
    return cases or [pytest.param(None, id="no server")]


@pytest.fixture(scope="module", params=_cases())
def scene(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    if request.param is None:
        reason = "no server was found"
        if os.environ.get("RDBKIT_REQUIRE_SERVER", "") not in ("", "0"):
            pytest.fail(f"{reason}, and RDBKIT_REQUIRE_SERVER asks for one")
        pytest.skip(reason)
    build, seed = request.param
    root = tmp_path_factory.mktemp("scene")
    yield _make(build, seed, root)
    shutil.rmtree(root)


# -- values, and memory ------------------------------------------------------------------------------------------------


def test_values(scene: Scene) -> None:
    """All comparisons of an entry are in one loop, because a scene is read once."""
    differences = []
    doomed: dict[bytes, Any] = {}
    seen = set()
    workload = scene.workload
    with scene.opened() as snapshot:
        for entry in snapshot:
            where = entry.db, entry.key
            if entry.key == workload.doomed_key:
                doomed[entry.key] = entry.expires_at, entry.value
                continue
            if entry.key in workload.doomed_hashes:
                doomed[entry.key] = entry.field_expires_at, entry.value
                continue
            assert where not in seen
            seen.add(where)
            row = scene.account.get(where)
            if row is None:
                differences.append(Difference("key", where, entry.type, None))
                continue
            mine = described(entry, row)
            differences += [
                Difference(name, where, mine[name], row[name], {"type": entry.type})
                for name in mine
                if mine[name] != row[name]
            ]
        functions = sorted(snapshot.functions)
    differences += [
        Difference("key", where, None, row["type"])
        for where, row in scene.account.items()
        if where not in seen and where[1] not in workload.doomed_hashes
    ]
    want: dict[bytes, Any] = {workload.doomed_key: (scene.due, b"v")}
    for key, fields in zip(workload.doomed_hashes, ((workload.doomed_field, b"stays"), (workload.doomed_field,))):
        want[key] = ({workload.doomed_field: scene.due}, dict.fromkeys(fields, b"v"))
    if doomed != want:
        differences.append(Difference("expired", "doomed", doomed, want))
    if functions != scene.functions:
        differences.append(Difference("functions", "the file", functions, scene.functions))
    assert len(scene.account) > 100
    assert {row["type"] for row in scene.account.values()} == {"string", "list", "set", "zset", "hash", "stream"}
    scene.judge(differences)


def test_memory(scene: Scene) -> None:
    differences = []
    compared = 0
    with scene.opened() as snapshot:
        for entry in snapshot:
            row = scene.account.get((entry.db, entry.key))
            if row is None or entry.key in scene.workload.doomed_hashes:
                continue
            compared += 1
            memory, deviation, said = entry.memory, entry.memory_sd, row["memory"]
            if memory is None or deviation is None or abs(said - memory) > 6 * deviation:
                more = {"type": entry.type, "encoding": row["encoding"], "sd": deviation}
                more |= {"expires": entry.expires_at, "elements": entry.elements, "row": row}
                differences.append(Difference("memory", (entry.db, entry.key), memory, said, more))
    assert compared > 100
    assert sum(_is_remainder(scene, one) for one in differences) <= 3
    scene.judge(differences)


# -- valid files -------------------------------------------------------------------------------------------------------


def test_valid_file(scene: Scene, tmp_path: Path) -> None:
    found = rdbkit.check(scene.dump, settings=scene.limits)
    assert found.sound, found.findings
    assert found.complete
    expected = len(scene.account.keys() | {(0, key) for key in scene.workload.doomed_hashes}) + 1
    assert (found.keys, found.unreadable) == (expected, 0)
    assert found.checksum == ("good" if scene.workload.settings["rdbchecksum"] == "yes" else "disabled")
    found = rdbkit.check(scene.aof)
    assert found.sound, found.findings
    assert found.complete
    assert found.commands > 20
    copy = shutil.copytree(scene.aof.parent, tmp_path / "copy")
    again = Server.start(copy, str(scene.build.program), appendonly="yes")
    try:
        assert sum(databases(again).values()) > 100
        assert again.command("GET", "later:in") == b"1"
    finally:
        again.stop()


# -- check tools -------------------------------------------------------------------------------------------------------

#: Exit status, text and the files as they are left; None where the tool did not end.
Outcome = tuple[int, bytes, dict[str, bytes]] | None


def _files(root: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(root.iterdir())}


def _write_files(root: Path, files: dict[str, bytes]) -> None:
    for path in root.iterdir():
        path.unlink()
    for name, data in files.items():
        (root / name).write_bytes(data)


def _theirs(tool: Path, args: list[str], answer: bytes, root: Path, files: dict[str, bytes]) -> Outcome:
    _write_files(root, files)
    try:
        ran = subprocess.run([tool, *args], input=answer, capture_output=True, cwd=root, timeout=5, check=False)
    except subprocess.TimeoutExpired:
        return None
    return ran.returncode, masked(ran.stdout + ran.stderr), _files(root)


def _ours(command: list[str], args: list[str], answer: bytes, root: Path, files: dict[str, bytes]) -> Outcome:
    _write_files(root, files)
    with chdir(root):
        ran = CliRunner().invoke(cli, [*command, *args], input=answer, standalone_mode=False)
    if ran.exception is not None and not isinstance(ran.exception, SystemExit):
        raise ran.exception
    status = ran.exit_code if ran.return_value is None else ran.return_value
    return status, masked(ran.stdout_bytes + ran.stderr_bytes), _files(root)


def _compare(scene: Scene, name: str, runs: Iterator[tuple[list[str], bytes, dict[str, bytes]]], root: Path) -> None:
    """Run the server's tool and rdbkit's on the same files; what differs is judged."""
    links = root / "links"
    work = root / "work"
    links.mkdir()
    work.mkdir()
    tool = scene.build.tool(name, links)
    command = [name, "--as", scene.build.name]
    differences = []
    for number, (args, answer, files) in enumerate(runs):
        theirs = _theirs(tool, args, answer, work, files)
        ours = _ours(command, args, answer, work, files)
        if ours != theirs:
            # The order of keys in a file is random, so the seed does not reproduce this file.
            kept = root / f"run-{number}"
            kept.mkdir()
            _write_files(kept, files)
            differences.append(Difference(name, f"{name} {' '.join(args)} in {kept}", ours, theirs))
    scene.judge(differences)


def _pieces(scene: Scene) -> list[bytes]:
    """Return the bytes of the file's short entries."""
    data = scene.dump.read_bytes()
    with scene.opened() as snapshot:
        spans = [(entry.offset, entry.offset + entry.size) for entry in snapshot]
    return [data[start:end] for start, end in spans if end - start < SHORT]


def _small(rng: random.Random, scene: Scene, pieces: list[bytes]) -> bytes:
    """Return a file of a few of the entries, without a checksum: it hides no damage of what it is made of."""
    some = rng.sample(pieces, rng.randrange(1, 7))
    return scene.dump.read_bytes()[:9] + b"\xfe\x00" + b"".join(some) + b"\xff" + bytes(8)


def test_check_rdb(scene: Scene, tmp_path: Path) -> None:
    rng = random.Random(scene.seed)
    pieces = _pieces(scene)
    whole = scene.dump.read_bytes()

    def runs() -> Iterator[tuple[list[str], bytes, dict[str, bytes]]]:
        yield ["dump.rdb"], b"", {"dump.rdb": whole}
        for number in range(DAMAGES):
            data = whole if number % 8 == 0 else _small(rng, scene, pieces)
            yield ["dump.rdb"], b"", {"dump.rdb": damaged_rdb(rng, data)}

    _compare(scene, "check-rdb", runs(), tmp_path)


def _records(scene: Scene) -> list[bytes]:
    """Return the short records of the last part of the AOF, unchanged."""
    data = max(scene.aof.glob("*.incr.aof")).read_bytes() if scene.aof.is_dir() else scene.aof.read_bytes()
    at = data.index(b"*2\r\n$6\r\nSELECT\r\n")
    found = []
    while at < len(data):
        end = data.index(b"\r\n", at) + 2
        for _ in range(int(data[at + 1 : end]) if data[at : at + 1] == b"*" else 0):
            head = data.index(b"\r\n", end) + 2
            end = head + int(data[end + 1 : head]) + 2
        if end - at < SHORT:
            found.append(data[at:end])
        at = end
    return found


def test_check_aof(scene: Scene, tmp_path: Path) -> None:
    rng = random.Random(scene.seed)
    pieces = _pieces(scene)
    records = _records(scene)
    assert len(records) > 20

    def part() -> bytes:
        at = rng.randrange(len(records))
        return b"".join(records[at : at + rng.randrange(1, 15)])

    def runs() -> Iterator[tuple[list[str], bytes, dict[str, bytes]]]:
        whole = _files(scene.aof) if scene.aof.is_dir() else {scene.aof.name: scene.aof.read_bytes()}
        yield [scene.aof_name.name], b"", whole
        for _ in range(DAMAGES):
            base = rng.choice((_small(rng, scene, pieces), part()))
            preamble = 0 if base[:1] == b"*" else len(base)
            if scene.aof.is_dir():
                files = {"b": base, "i": part(), "m": b"file b seq 1 type b\nfile i seq 1 type i\n"}
                name, broken = "m", rng.choice("biim")
            else:
                files = {"a": base + part()}
                name = broken = "a"
            # What is in an RDB, the other test damages; here it is done less often.
            first = 0 if broken == "m" or not preamble or rng.random() < 0.2 else min(preamble, len(files[broken]))
            files[broken] = damaged_aof(rng, files[broken], first if broken in "ab" else 0)
            yield arguments(rng, name), rng.choice((b"y\n", b"n\n")), files

    _compare(scene, "check-aof", runs(), tmp_path)
