"""Replacing files: after an interruption there is the whole old file or the whole new one."""

from __future__ import annotations

import errno
import os
import random
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
from cli.run import HOME, environment

import rdbkit
from rdbkit.aof.writer import command
from rdbkit.recovery.inplace import Busy, System
from recovery.data import made

GOOD = made(300)
TORN = GOOD + command(b"SET", b"k", b"v")[:-5]


@pytest.fixture
def torn(tmp_path: Path) -> Path:
    path = tmp_path / "appendonly.aof"
    path.write_bytes(TORN)
    return path


def names(home: Path) -> set[str]:
    return {path.name for path in home.iterdir()}


def test_the_old_file_stays_as_a_backup(torn):
    before = torn.stat()
    account = rdbkit.repair(torn, in_place=True)
    backup = torn.with_name("appendonly.aof.bak-1")
    assert (torn.read_bytes(), backup.read_bytes()) == (GOOD, TORN)
    assert backup.stat().st_ino == before.st_ino
    assert (account.files[0].backup, account.output) == (str(backup), str(torn))
    torn.write_bytes(TORN)
    rdbkit.repair(torn, in_place=True, policy="fix")
    assert names(torn.parent) == {
        "appendonly.aof", "appendonly.aof.bak-1", "appendonly.aof.bak-2",
        "appendonly.aof.dropped-1", "appendonly.aof.dropped-1.jsonl",
        "appendonly.aof.dropped-2", "appendonly.aof.dropped-2.jsonl",
    }  # fmt: skip


def test_a_valid_file_is_not_touched(tmp_path):
    path = tmp_path / "a.aof"
    path.write_bytes(GOOD)
    before = path.stat()
    assert not rdbkit.repair(path, in_place=True).changed
    assert (path.stat().st_ino, path.stat().st_mtime_ns, names(tmp_path)) == (
        before.st_ino,
        before.st_mtime_ns,
        {"a.aof"},
    )


def test_a_dry_run_writes_nothing(torn):
    account = rdbkit.repair(torn, in_place=True, dry_run=True)
    assert (account.changed, account.output, account.files[0].kept) == (True, None, len(GOOD))
    assert names(torn.parent) == {"appendonly.aof"}


def test_a_link_is_followed(torn):
    link = torn.with_name("link")
    link.symlink_to("appendonly.aof")
    rdbkit.repair(link, in_place=True)
    assert link.is_symlink()
    assert torn.read_bytes() == GOOD
    assert (torn.parent / "appendonly.aof.bak-1").exists()


def test_mode_owner_and_attributes_stay(torn):
    torn.chmod(0o640)
    if os.geteuid() == 0:
        os.chown(torn, 12345, 54321)
    try:
        os.setxattr(torn, "user.note", b"mine")
        noted = True
    except OSError:
        noted = False
    before = torn.stat()
    rdbkit.repair(torn, in_place=True)
    after = torn.stat()
    assert stat.S_IMODE(after.st_mode) == 0o640
    assert (after.st_uid, after.st_gid) == (before.st_uid, before.st_gid)
    assert after.st_ino != before.st_ino
    assert not noted or os.getxattr(torn, "user.note") == b"mine"


def test_without_links_the_backup_is_a_copy(torn, monkeypatch):
    def no_links(*_: object) -> None:
        raise OSError(errno.EPERM, "no links here")

    monkeypatch.setattr(os, "link", no_links)
    rdbkit.repair(torn, in_place=True)
    assert (torn.read_bytes(), torn.with_name("appendonly.aof.bak-1").read_bytes()) == (GOOD, TORN)
    torn.write_bytes(TORN)
    room = len(GOOD) + (1 << 16) + 10
    with pytest.raises(OSError, match="nothing was changed") as error:
        rdbkit.repair(torn, in_place=True, system=System(free=lambda _: room))
    assert error.value.errno == errno.ENOSPC
    assert torn.read_bytes() == TORN


def test_space_is_checked_first(torn):
    with pytest.raises(OSError, match="nothing was changed"):
        rdbkit.repair(torn, in_place=True, system=System(free=lambda _: 100))
    assert names(torn.parent) == {"appendonly.aof"}


def test_a_file_that_grows_is_refused(torn):
    def append(_: float) -> None:
        with torn.open("ab") as file:
            file.write(b"more")

    with pytest.raises(Busy, match="is being written"):
        rdbkit.repair(torn, in_place=True, system=System(sleep=append))
    assert torn.read_bytes() == TORN + b"more"
    rdbkit.repair(torn, in_place=True, force=True, system=System(sleep=append))
    assert torn.read_bytes() == GOOD


def test_an_old_file_needs_no_second_look(torn):
    def never(_: float) -> None:
        raise AssertionError

    os.utime(torn, (1_000_000_000, 1_000_000_000))
    rdbkit.repair(torn, in_place=True, system=System(sleep=never))
    assert torn.read_bytes() == GOOD


def test_a_file_that_changes_while_it_is_written_is_refused(torn):
    def grow(step: str) -> None:
        if step == "written":
            with torn.open("ab") as file:
                file.write(b"more")

    with pytest.raises(Busy):
        rdbkit.repair(torn, in_place=True, system=System(step=grow))
    assert torn.read_bytes() == TORN + b"more"
    assert names(torn.parent) == {"appendonly.aof"}


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="only where /proc shows who has a file open")
def test_a_file_that_is_open_elsewhere_is_refused(torn):
    script = "import sys; f = open(sys.argv[1], 'ab'); print(flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", script, torn], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout
        process.stdout.readline()
        with pytest.raises(Busy, match=f"process {process.pid} has it open"):
            rdbkit.repair(torn, in_place=True)
        process.communicate()
    rdbkit.repair(torn, in_place=True)
    assert torn.read_bytes() == GOOD


class Stop(BaseException):
    """The process ends here."""


@pytest.mark.parametrize("links", [True, False])
def test_stopped_at_each_step(torn, links, monkeypatch):
    if not links:
        monkeypatch.setattr(os, "link", lambda *_: (_ for _ in ()).throw(OSError(errno.EPERM, "no links")))
    steps, states = 0, set()
    while True:
        for path in torn.parent.iterdir():
            path.unlink()
        torn.write_bytes(TORN)
        left = steps

        def step(_: str) -> None:
            nonlocal left
            left -= 1
            if left < 0:
                raise Stop

        try:
            rdbkit.repair(torn, in_place=True, force=True, system=System(step=step))
        except Stop:
            states.add(torn.read_bytes())
            assert torn.read_bytes() in (TORN, GOOD)
            assert torn.read_bytes() == TORN or any(path.read_bytes() == TORN for path in torn.parent.glob("*.bak-1"))
            steps += 1
            continue
        break
    assert steps > 5
    assert states == {TORN, GOOD}


@pytest.mark.slow
def test_killed_at_any_instant(tmp_path):
    """Fifty kills spread over the time that a repair takes; the last ones mostly come too late."""
    path = tmp_path / "appendonly.aof"
    good = GOOD * 40
    torn = good + TORN[len(GOOD) :]
    script = (
        "import sys\nfrom rdbkit.recovery.run import repair\nprint(flush=True)\n"
        "repair(sys.argv[1], in_place=True, force=True)\n"
    )
    rng = random.Random(1)
    seen = set()
    longest = 0.0
    for number in range(51):
        path.write_bytes(torn)
        process = subprocess.Popen([sys.executable, "-c", script, path], stdout=subprocess.PIPE, env=environment())
        assert process.stdout
        process.stdout.readline()
        started = time.monotonic()
        if number == 0:
            process.wait()
            longest = time.monotonic() - started
        else:
            time.sleep(rng.random() * longest * 1.1)
            process.send_signal(signal.SIGKILL)
            process.wait()
        process.stdout.close()
        left = path.read_bytes()
        assert left in (torn, good)
        backups = list(tmp_path.glob("*.bak-*"))
        assert left == torn or any(backup.read_bytes() == torn for backup in backups)
        seen.add(left == good)
        for other in tmp_path.iterdir():
            other.unlink()
    assert seen == {True, False}


def test_home_is_what_is_tested():
    assert Path(rdbkit.__file__).parent.parent == HOME


def test_other_names_of_the_file_are_said(torn):
    os.link(torn, torn.with_name("twin"))
    account = rdbkit.repair(torn, in_place=True)
    assert [doubt.code for doubt in account.doubts] == ["hard-links"]
    assert torn.with_name("twin").read_bytes() == TORN


@pytest.mark.parametrize("in_place", [False, True])
def test_an_input_that_shrinks_leaves_nothing(torn, in_place):
    def shrink(step: str) -> None:
        if step == "create":
            os.truncate(torn, 100)

    with pytest.raises(OSError, match=r"shorter|being written"):
        rdbkit.repair(torn, in_place=in_place, force=True, system=System(step=shrink))
    assert names(torn.parent) == {"appendonly.aof"}


@pytest.mark.parametrize("in_place", [False, True])
@pytest.mark.parametrize("fault", ["create", "piece", "written", "published"])
def test_an_error_at_any_step_leaves_nothing(torn, in_place, fault):
    """As a full disk makes it, at the first step of this kind: what was there is there, and nothing else."""

    def fail(step: str) -> None:
        if step == fault:
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        rdbkit.repair(torn, in_place=in_place, system=System(step=fail))
    assert torn.read_bytes() == TORN
    assert names(torn.parent) == {"appendonly.aof"}


# -- a fault at each call that changes a name --------------------------------------------------------------------------

CALLS = ("link", "replace", "rename", "unlink", "fsync")


class At:
    """Makes the n-th of the calls that change names fail, before or after the change."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, number: int, after: bool, links: bool = True) -> None:
        self.left = number
        self.error: OSError | None = None
        for name in CALLS:
            real = getattr(os, name)

            def faulty(*args, _real=real, _name=name, **options):
                self.left -= 1
                if self.left == 0 and not after:
                    self.fail()
                if _name == "link" and not links:
                    self.error = self.error or (OSError() if self.left == 0 else None)
                    raise OSError(errno.EPERM, "no links here")
                done = _real(*args, **options)
                if self.left == 0 and after:
                    self.fail()
                return done

            monkeypatch.setattr(os, name, faulty)

    def fail(self) -> None:
        self.error = OSError(errno.EIO, "Input/output error")
        raise self.error


@pytest.mark.parametrize("links", [True, False], ids=["links", "no-links"])
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("how", ["in-place", "new", "force"])
def test_a_fault_at_each_call_loses_nothing(torn, how, after, links, monkeypatch):
    """What the file and an older result held is somewhere; the file is the old one or the repaired one."""
    home = torn.parent
    options = {"in_place": True} if how == "in-place" else {"output": home / "out", "force": how == "force"}
    older = {"out": b"older result", "out.dropped": b"older bytes", "out.dropped.jsonl": b"older index"}
    number, faults = 0, 0
    while True:
        number += 1
        monkeypatch.undo()
        for path in home.iterdir():
            path.unlink()
        torn.write_bytes(TORN)
        if how == "force":
            for name, content in older.items():
                (home / name).write_bytes(content)
        fault = At(monkeypatch, number, after, links)
        try:
            rdbkit.repair(torn, **options)
        except OSError:
            faults += 1
        monkeypatch.undo()
        if fault.error is None:
            break
        left = {path.name: path.read_bytes() for path in home.iterdir()}
        assert left[torn.name] in (TORN, GOOD)
        if left[torn.name] == GOOD:
            assert TORN in left.values(), left.keys()
        if how != "in-place":
            assert left[torn.name] == TORN
        if how == "force" and left["out"] == older["out"]:
            missing = [name for name, content in older.items() if left.get(name) != content]
            assert not missing or not links
        assert not any(content == b"" for name, content in left.items() if not name.endswith(".jsonl"))
    assert faults >= 2
