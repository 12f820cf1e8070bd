"""Every file that a command creates: no other file is overwritten, and the result is complete.

The table below lists each option that names a file to create; a test fails for one that is missing in it.
"""

from __future__ import annotations

import fcntl
import importlib
import json
import os
import random
import resource
import shutil
import signal
import stat
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import click
import pytest

from cli.conftest import AOF, made
from cli.run import COMMAND, PATIENCE, environment, rdbkit, start, wait_until_read
from rdbkit.aof.writer import command as encoded
from rdbkit.cli import COMMANDS

MANY = b"".join(encoded(b"SET", b"key:%d" % n, b"value %d" % n) for n in range(2000))
TORN = MANY + b"*3\r\n$3\r\nSET\r\n$1\r\nk"
RDB = made(*((b"key:%d" % n, b"x" * 40) for n in range(2000)))
MIXED, DEXIM = (
    made(*((name % n, b"x" * 40) for n in range(2000)), aux=((b"aof-preamble", b"1"),)) + AOF * 500
    for name in (b"key:%d", b"yek:%d")
)


class Writes(NamedTuple):
    """A case with a new file: the command line with IN and OUT in it, the input, whether the result is data."""

    words: tuple[str, ...]
    content: bytes
    data: bool = False
    beside: tuple[str, ...] = (".partial",)
    status: int = 0

    def args(self, source: object, out: object) -> list[object]:
        aside = f"{source if str(out).startswith('/dev/') else out}.other"
        places = {"IN": source, "OUT": out, "ASIDE": aside}
        return [places.get(word, word) for word in self.words]


WRITES = {
    "info -o": Writes(("info", "IN", "-f", "json", "-o", "OUT"), RDB),
    "check -o": Writes(("check", "IN", "-f", "json", "-o", "OUT"), RDB),
    "compat -o": Writes(("compat", "IN", "-f", "json", "-o", "OUT"), RDB),
    "keys -o": Writes(("keys", "IN", "-f", "csv", "-o", "OUT"), RDB),
    "report -o": Writes(("report", "IN", "-f", "json", "-o", "OUT"), RDB),
    "report --partial": Writes(("report", "IN", "--partial", "OUT"), RDB),
    "prefixes -o": Writes(("prefixes", "IN", "-f", "json", "-o", "OUT"), RDB),
    "get -o": Writes(("get", "IN", "key:7", "-o", "OUT"), RDB),
    "export -o": Writes(("export", "IN", "-o", "OUT"), RDB),
    "commands -o": Writes(("commands", "IN", "-f", "json", "-o", "OUT"), MANY),
    "split --rdb": Writes(("split", "IN", "--rdb", "OUT", "--aof", "ASIDE"), MIXED, data=True),
    "split --aof": Writes(("split", "IN", "--aof", "OUT", "--rdb", "ASIDE"), MIXED, data=True),
    "repair -o": Writes(
        ("repair", "IN", "-o", "OUT"), TORN, True, (".partial", ".dropped", ".dropped.jsonl"), status=5
    ),
}
TEXT = [name for name, writes in WRITES.items() if not writes.data]
DATA = [name for name, writes in WRITES.items() if writes.data]
#: Options that take a path and create nothing there.
READ = {"--config"}


def test_the_table_lists_every_option_that_creates_a_file() -> None:
    found = set()
    for name in COMMANDS:
        found_command = importlib.import_module(f"rdbkit.cli.{name.replace('-', '_')}").command
        for option in found_command.params:
            if isinstance(option, click.Option) and isinstance(option.type, click.Path):
                opts = set(option.opts)
                if not opts & READ:
                    found.add(f"{name} {'-o' if '-o' in opts else option.opts[-1]}")
    assert found == set(WRITES)


@pytest.fixture(params=WRITES, ids=lambda name: name.replace(" ", ""))
def writes(request: pytest.FixtureRequest) -> Writes:
    found: Writes = WRITES[request.param]
    return found


@pytest.fixture
def source(writes: Writes, tmp_path: Path) -> Path:
    path = tmp_path / "input"
    path.write_bytes(writes.content)
    path.chmod(0o600)
    return path


def names(home: Path) -> list[str]:
    return sorted(path.name for path in home.iterdir())


def test_it_is_whole_and_nothing_else_is_left(writes: Writes, source: Path, tmp_path: Path) -> None:
    ran = rdbkit(*writes.args(source, tmp_path / "out"))
    assert ran.status == writes.status
    assert (tmp_path / "out").stat().st_size > 0
    left = set(names(tmp_path)) - {"input", "out", "out.other"}
    assert left == ({"out.dropped", "out.dropped.jsonl"} if writes.status == 5 else set())
    assert source.read_bytes() == writes.content


def test_an_input_is_not_overwritten_under_any_of_its_names(writes: Writes, source: Path, tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "symbolic").symlink_to(source)
    os.link(source, tmp_path / "hard")
    before = names(tmp_path)
    for out in (source, tmp_path / "symbolic", tmp_path / "hard", f"{tmp_path}/sub/../input"):
        ran = rdbkit(*writes.args(source, out))
        assert (ran.status, ran.out) == (2, ""), (out, ran)
        assert "is an input, and would be overwritten" in ran.err
        assert len(ran.err.splitlines()) == 1
    assert (names(tmp_path), source.read_bytes()) == (before, writes.content)


def test_nor_by_what_is_created_beside_the_result(writes: Writes, source: Path, tmp_path: Path) -> None:
    for suffix in writes.beside:
        path = source.rename(tmp_path / f"out{suffix}")
        ran = rdbkit(*writes.args(path, tmp_path / "out"))
        assert (ran.status, ran.out) == (2, ""), (suffix, ran)
        assert (names(tmp_path), path.read_bytes()) == ([path.name], writes.content)
        source = path.rename(source)


def test_what_is_there(writes: Writes, source: Path, tmp_path: Path) -> None:
    """Text replaces a file and keeps its mode; data needs --force."""
    out = tmp_path / "out"
    out.write_text("before")
    out.chmod(0o640)
    ran = rdbkit(*writes.args(source, out))
    if writes.data:
        assert (ran.status, out.read_text(), names(tmp_path)) == (4, "before", ["input", "out"])
        assert "--force" in ran.err
        ran = rdbkit(*writes.args(source, out), "--force")
    assert ran.status == writes.status
    assert out.read_text(errors="replace") != "before"
    if not writes.data:
        assert stat.S_IMODE(out.stat().st_mode) == 0o640


def test_other_files_are_not_overwritten(writes: Writes, source: Path, tmp_path: Path) -> None:
    for suffix in writes.beside:
        (tmp_path / f"out{suffix}").write_text("of yesterday")
    ran = rdbkit(*writes.args(source, tmp_path / "out"))
    assert ran.status == (4 if writes.status == 5 else writes.status)
    for suffix in writes.beside:
        assert (tmp_path / f"out{suffix}").read_text() == "of yesterday"


def test_other_names_of_a_replaced_file_are_said(writes: Writes, source: Path, tmp_path: Path) -> None:
    if writes.data:
        return
    (tmp_path / "out").write_text("before")
    os.link(tmp_path / "out", tmp_path / "twin")
    ran = rdbkit(*writes.args(source, tmp_path / "out"))
    assert (tmp_path / "twin").read_text() == "before"
    assert "1 other hard link" in ran.err


def test_a_directory_is_refused(writes: Writes, source: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    ran = rdbkit(*writes.args(source, tmp_path / "out"))
    assert (ran.status, names(tmp_path / "out")) == (4, [])
    assert "directory" in ran.err
    assert names(tmp_path) == ["input", "out"]


def test_no_device_and_no_pipe_is_replaced(writes: Writes, source: Path, tmp_path: Path) -> None:
    """Text and the parts of a split are written through, as a shell would; a repair needs a file."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    with start(*writes.args(source, fifo), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        if writes.status == 5:
            assert process.wait(PATIENCE) == 4
        else:
            with fifo.open("rb") as reader:
                assert reader.read()
            assert process.wait(PATIENCE) == 0
    assert stat.S_ISFIFO(fifo.stat().st_mode)
    assert set(names(tmp_path)) <= {"fifo", "fifo.other", "input"}
    assert rdbkit(*writes.args(source, "/dev/null")).status == (4 if writes.status == 5 else 0)
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)


def test_a_link_to_nothing_is_followed(writes: Writes, source: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "out")
    assert rdbkit(*writes.args(source, tmp_path / "link")).status == writes.status
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "out").stat().st_size
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    assert rdbkit(*writes.args(source, tmp_path / "loop")).status == 4


def test_the_longest_name(writes: Writes, source: Path, tmp_path: Path) -> None:
    out = tmp_path / ("ö" * 120)
    assert rdbkit(*writes.args(source, out)).status == writes.status
    assert out.stat().st_size


def _command(args: list[object]) -> str:
    return " ".join([*COMMAND, *(f"'{arg}'" for arg in args)])


def test_standard_output_is_no_input(writes: Writes, source: Path, tmp_path: Path) -> None:
    """`export x >> x` would read what it writes; also by standard input."""
    words = [word for word in writes.words if word not in ("-o", "OUT", "--partial")]
    if "split" in words:
        words = ["split", "IN", "--rdb", "-", "--aof", f"{tmp_path}/aof"]
    given = ["-"] if writes.words[0] in ("info", "check", "keys", "get", "export", "commands") else []
    for name in [source, *given]:
        line = _command([name if word == "IN" else word for word in words])
        for redirect in ("< input >> input",) if name == "-" else (">> input", "< input >> input"):
            ran = subprocess.run(
                ["sh", "-c", f"{line} {redirect}"], cwd=tmp_path, env=environment(), capture_output=True,
                timeout=PATIENCE, check=False,
            )  # fmt: skip
            assert ran.returncode == 2, (line, ran)
            assert b"standard output is" in ran.stderr
            assert source.read_bytes() == writes.content
    # A file that is printed to and put in place at once: one of the two would be lost.
    line = _command(writes.args(source, tmp_path / "out"))
    ran = subprocess.run(
        ["sh", "-c", f"{line} > '{tmp_path}/out'"], env=environment(), capture_output=True, check=False
    )
    assert ran.returncode == 2
    assert b"standard output goes to" in ran.stderr


def _limited() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 13, 1 << 13))


def test_a_full_disk(writes: Writes, source: Path, tmp_path: Path) -> None:
    """No file may grow beyond 8 KiB here: nothing is put in place, and what is left is named."""
    out = tmp_path / "out"
    if not writes.data:
        out.write_text("before")
    with start(
        *writes.args(source, out), stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=_limited
    ) as process:
        _, err = process.communicate(timeout=PATIENCE)
    if process.returncode == 0:
        return  # a short result
    assert process.returncode == 4, err
    assert b"File too large" in err
    assert writes.data or out.read_text() == "before"
    left = set(names(tmp_path)) - {"input", "out"}
    assert all(name.encode() in err for name in left), (left, err)
    assert source.read_bytes() == writes.content


# -- interrupted -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
@pytest.mark.parametrize("name", [*TEXT, "split --rdb"])
def test_a_signal(name: str, number: signal.Signals, tmp_path: Path) -> None:
    """The input is a pipe that stays open, so that the command keeps running."""
    writes = WRITES[name]
    out = tmp_path / "out"
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
    with start(*writes.args("-", out), **pipes) as process:
        assert process.stdin
        assert process.stderr
        process.stdin.write(writes.content[:-50])
        process.stdin.flush()
        wait_until_read(process)
        process.send_signal(number)
        _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == (130 if number == signal.SIGINT else -number)
    assert b"Traceback" not in err
    left = names(tmp_path)
    assert not any(name.encode() not in err for name in left), (left, err)
    assert set(left) <= {"out.partial", "out.other.partial"}


def in_child(args: list[object], home: Path) -> int:
    """Run a command in a fork of this process, which has imported it already; return its pid."""
    import rdbkit.cli

    pid = os.fork()
    if pid:
        return pid
    try:
        null = os.open(os.devnull, os.O_RDWR)
        for handle in (0, 1, 2):
            os.dup2(null, handle)
        os.chdir(home)
        rdbkit.cli.main([str(arg) for arg in args])
    except SystemExit as ended:
        os._exit(ended.code if isinstance(ended.code, int) else 98)
    finally:
        os._exit(99)


def _kills(args: list[object], home: Path, prepare: Callable[[], None], judge: Callable[[], None], count: int) -> None:
    """Kill the command `count` times, at instants spread over the time that it takes."""
    rng = random.Random(1)
    longest = 0.0
    for number in range(count + 3):
        prepare()
        began = time.monotonic()
        pid = in_child(args, home)
        if number >= 3:
            time.sleep(rng.random() * longest * 1.1)
            os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        if number < 3:
            longest = max(longest, time.monotonic() - began)
        judge()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["export -o", "repair -o", "split --rdb"])
@pytest.mark.parametrize("existing", [False, True], ids=["new", "existing"])
def test_killed_at_any_instant(name: str, existing: bool, tmp_path: Path) -> None:
    """Whatever the instant: the input is unchanged, the target is the old one or whole."""
    writes = WRITES[name]
    source, home = tmp_path / "input", tmp_path / "home"
    source.write_bytes(writes.content)
    force = ["--force"] if writes.data and existing else []
    args = [*writes.args(source, home / "out"), *force]
    home.mkdir()
    pid = in_child([*writes.args(source, home / "out")], home)
    os.waitpid(pid, 0)
    whole = (home / "out").read_bytes()
    assert whole
    seen = set()

    def prepare() -> None:
        shutil.rmtree(home)
        home.mkdir()
        if existing:
            (home / "out").write_bytes(b"before")

    def judge() -> None:
        assert source.read_bytes() == writes.content
        left = (home / "out").read_bytes() if (home / "out").exists() else None
        assert left in ((b"before", whole) if existing else (None, whole))
        seen.add(left == whole)
        for path in home.iterdir():
            # Nothing but results, and names that say what they are.
            assert path.name.startswith(("out.partial-", "out.other", "out.dropped")) or path.name == "out", path

    _kills(args, home, prepare, judge, 100)
    assert seen == {True, False}


@pytest.mark.slow
def test_repair_in_place_killed_at_any_instant(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    path = home / "a.aof"
    seen = set()

    def prepare() -> None:
        shutil.rmtree(home)
        home.mkdir()
        path.write_bytes(TORN)

    def judge() -> None:
        left = path.read_bytes()
        assert left in (TORN, MANY)
        assert left == TORN or any(backup.read_bytes() == TORN for backup in home.glob("*.bak-*"))
        seen.add(left == MANY)

    _kills(["repair", path, "--in-place", "--force"], home, prepare, judge, 200)
    assert seen == {True, False}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["repair -o", "split --rdb"])
@pytest.mark.parametrize("force", [False, True])
def test_two_runs_with_one_target(name: str, force: bool, tmp_path: Path) -> None:
    """Of runs at the same time, at most one reports success, and the result is whole."""
    writes = WRITES[name]
    sources = [tmp_path / f"input{number}" for number in range(4)]
    for number, source in enumerate(sources):
        other = DEXIM if writes.content is MIXED else writes.content.replace(b"key:", b"yek:")
        source.write_bytes(writes.content if number % 2 else other)
    for _ in range(20):
        out = tmp_path / "out"
        for path in tmp_path.glob("out*"):
            path.unlink()
        if force:
            out.write_text("before")
        words = ["--force"] if force else []
        pids = [in_child([*writes.args(source, out), *words], tmp_path) for source in sources]
        statuses = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]
        won = [number for number, status in enumerate(statuses) if status in (0, 5)]
        if not force:
            assert len(won) == 1, statuses
        assert set(statuses) <= {0, 4, 5}, statuses
        content = out.read_bytes()
        assert content != b"before" or not won
        if len(won) == 1:
            assert (b"key:" in content) == bool(won[0] % 2)


def test_repair_of_a_set_creates_a_whole_directory(tmp_path: Path) -> None:
    home = tmp_path / "appendonlydir"
    home.mkdir()
    (home / "a.aof.1.base.aof").write_bytes(MANY)
    (home / "a.aof.2.incr.aof").write_bytes(TORN)
    (home / "a.aof.manifest").write_text("file a.aof.1.base.aof seq 1 type b\nfile a.aof.2.incr.aof seq 2 type i\n")
    home.chmod(0o750)
    out = tmp_path / "out"
    assert rdbkit("repair", home, "-o", out).status == 5
    assert {"a.aof.2.incr.aof", "a.aof.2.incr.aof.dropped", "a.aof.manifest"} < set(names(out))
    assert stat.S_IMODE(out.stat().st_mode) == 0o750
    ran = rdbkit("repair", home, "-o", out, "--force")
    assert (ran.status, names(tmp_path)) == (4, ["appendonlydir", "out"])
    assert "not an empty directory" in ran.err
    for path in (home, home / "a.aof.manifest", home / "a.aof.1.base.aof"):
        ran = rdbkit("repair", home, "-o", path)
        assert (ran.status, "is an input" in ran.err) == (2, True), ran
    assert json.loads(rdbkit("repair", home, "-f", "json", "--dry-run").out)["changed"]


# -- what is an input, and what is no name -----------------------------------------------------------------------------


def test_a_configuration_is_an_input(tmp_path: Path) -> None:
    (tmp_path / "input").write_bytes(RDB)
    conf = tmp_path / "redis.conf"
    conf.write_text("maxmemory-policy noeviction\n")
    ran = rdbkit("keys", tmp_path / "input", "--config", conf, "-o", conf)
    assert (ran.status, conf.read_text()) == (2, "maxmemory-policy noeviction\n")
    assert "is an input" in ran.err


@pytest.mark.parametrize("manifest", ["garbage\n", "file a.aof.2.incr.aof seq 2 type i\n"])
def test_all_files_of_a_set_are_inputs_also_where_its_manifest_is_damaged(tmp_path: Path, manifest: str) -> None:
    home = tmp_path / "set"
    home.mkdir()
    (home / "a.aof.manifest").write_text(manifest)
    (home / "a.aof.2.incr.aof").write_bytes(MANY)
    for path in home.iterdir():
        before = path.read_bytes()
        ran = rdbkit("check", home, "-o", path)
        assert (ran.status, path.read_bytes()) == (2, before)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("keys", "input", "-o", ""), "the file name is empty"),
        (("split", "mixed", "--rdb", "", "--aof", "a"), "the file name is empty"),
        (("split", "mixed", "--rdb", "-", "--aof", "-"), "the same file"),
        (("split", "mixed", "--rdb", "a", "--aof", "A"), "differ in case only"),
        (("repair", "torn", "-o", ""), "the file name is empty"),
        (("repair", "torn", "-o", "-"), "cannot be written to standard output"),
        (("repair", "-", "-o", "x"), "cannot read standard input"),
        (("repair", "/dev/stdin"), "name an output"),
    ],
)
def test_names_that_are_none(tmp_path: Path, words: tuple[str, ...], said: str) -> None:
    for name, content in (("input", RDB), ("mixed", MIXED), ("torn", TORN)):
        (tmp_path / name).write_bytes(content)
    ran = rdbkit(*words, cwd=tmp_path)
    assert (ran.status, ran.out, len(ran.err.splitlines())) == (2, "", 1), ran
    assert said in ran.err
    assert names(tmp_path) == ["input", "mixed", "torn"]


def test_an_open_descriptor_is_written_through(tmp_path: Path) -> None:
    """As in a shell: existing content is kept before the new one, and a file without a name gets none."""
    (tmp_path / "input").write_bytes(RDB)
    line = _command(["get", "input", "key:7", "-q", "-o", "/dev/fd/7"])
    for before, after in (("7>>log", "log"), ("7>gone", "gone")):
        (tmp_path / after).write_text("earlier\n" if after == "log" else "")
        remove = "" if after == "log" else "rm gone; "
        ran = subprocess.run(
            ["bash", "-c", f"exec {before}; {remove}{line}"], cwd=tmp_path, env=environment(), capture_output=True,
            timeout=PATIENCE, check=False,
        )  # fmt: skip
        assert (ran.returncode, ran.stderr) == (0, b"")
    assert (tmp_path / "log").read_text() == 'earlier\n"' + "x" * 40 + '"\n'
    assert names(tmp_path) == ["input", "log"]


def test_no_privilege_goes_with_the_mode(tmp_path: Path) -> None:
    for name, content, words in (
        ("torn", TORN, ("repair", "torn")),
        ("mixed", MIXED, ("split", "mixed", "--rdb", "r", "--aof", "a")),
    ):
        (tmp_path / name).write_bytes(content)
        (tmp_path / name).chmod(0o6750)
        rdbkit(*words, cwd=tmp_path)
    made = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    del made["torn"], made["mixed"]
    assert made == dict.fromkeys(
        ("torn.repaired", "torn.repaired.dropped", "torn.repaired.dropped.jsonl", "r", "a"), 0o750
    )


def test_a_lock_that_another_holds_does_not_stop_the_work(tmp_path: Path) -> None:
    (tmp_path / "input").write_bytes(RDB)
    handle = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    try:
        assert rdbkit("keys", tmp_path / "input", "-o", tmp_path / "out").status == 0
    finally:
        os.close(handle)


@pytest.mark.parametrize("name", ["a directory", "a directory/", "link", "."])
def test_an_empty_directory_takes_a_set(tmp_path: Path, name: str) -> None:
    home = tmp_path / "set"
    home.mkdir()
    (home / "a.aof.manifest").write_text("file a.aof.2.incr.aof seq 2 type i\n")
    (home / "a.aof.2.incr.aof").write_bytes(TORN)
    place = tmp_path / "a directory"
    place.mkdir()
    (tmp_path / "link").symlink_to(place)
    ran = rdbkit("repair", home, "-o", name, cwd=place if name == "." else tmp_path)
    assert ran.status == 5, ran
    assert "a.aof.manifest" in names(place)
    ran = rdbkit("repair", ".", cwd=home)
    assert (ran.status, names(home)) == (5, ["a.aof.2.incr.aof", "a.aof.manifest"])
    assert (tmp_path / "set.repaired").is_dir()


def test_the_result_does_not_depend_on_whether_anybody_hears(tmp_path: Path) -> None:
    (tmp_path / "input").write_bytes(RDB)
    with Path("/dev/full").open("wb") as full:
        process = start("keys", "input", "-o", "out", cwd=tmp_path, stderr=full, stdout=subprocess.DEVNULL)
        assert process.wait(PATIENCE) == 0
    assert (tmp_path / "out").stat().st_size


def test_an_earlier_repair_s_dropped_bytes_are_not_taken_for_this_one_s(tmp_path: Path) -> None:
    (tmp_path / "input").write_bytes(MANY)
    for name in ("out", "out.dropped", "out.dropped.jsonl"):
        (tmp_path / name).write_text("of yesterday")
    ran = rdbkit("repair", tmp_path / "input", "-o", tmp_path / "out", "--force")
    assert ran.status == 0
    assert ran.out.count("is from an earlier repair") == 2
