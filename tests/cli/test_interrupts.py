"""Ctrl-C at any moment: exit status 130, no traceback, a terminal as it was before."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from cli.run import COMMAND, PATIENCE, environment, rdbkit, screen, start

#: Sends SIGINT to itself when a module is imported.
SCRIPT = """
import os, signal, sys
import rdbkit.__main__
wanted = sys.argv.pop(1)
class Finder:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name == wanted:
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Finder)
rdbkit.__main__.main()
"""


@pytest.mark.parametrize(
    "module",
    ["rdbkit.cli", "click", "rdbkit.cli.report", "rdbkit.snapshot", "rdbkit.rdb.walker", "rdbkit.analysis.report"],
)
def test_while_modules_are_imported(dump: Path, module: str) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", SCRIPT, module, "report", str(dump)],
        env=environment(), capture_output=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert (ran.returncode, ran.stderr) == (130, b"")


def test_ignored_signals_stay_ignored(dump: Path) -> None:
    """As under nohup, or in the background of a script."""

    def ignoring() -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

    with start("export", "-", stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, preexec_fn=ignoring) as process:
        assert process.stdin
        process.stdin.write(dump.read_bytes()[:5000])
        process.stdin.flush()
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGHUP)
        process.stdin.write(dump.read_bytes()[5000:])
        process.stdin.close()
        assert process.wait(PATIENCE) == 0


@pytest.mark.parametrize("command", ["export", "keys", "check", "report"])
def test_a_terminal_is_left_as_it_was(command: str) -> None:
    """The bar is on the screen when the signal comes; then the cursor is back, and the prompt on a line of its own."""
    ours, theirs = pty.openpty()
    words = [*COMMAND, command, "-"]
    process = subprocess.Popen(
        words,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=theirs,
        env=environment(),
        start_new_session=True,
    )
    os.close(theirs)
    os.set_blocking(ours, False)
    assert process.stdin
    sent = b""
    process.stdin.write(b"REDIS0011\xfe\x00")
    keys = 0
    while b"\x1b[?25l" not in sent:
        assert process.poll() is None, sent
        process.stdin.write(b"".join(b"\x00\x0akey%07d\x28" % n + b"x" * 40 for n in range(keys, keys + 5000)))
        keys += 5000
        process.stdin.flush()
        sent += _available(ours)
    process.send_signal(signal.SIGINT)
    process.stdin.close()
    assert process.wait(PATIENCE) == 130
    sent += _available(ours)
    os.close(ours)
    text = sent.decode()
    assert "Traceback" not in text
    assert text.rindex("\x1b[?25h") > text.rindex("\x1b[?25l")
    assert text.endswith("\n")
    lines = screen(text.replace("\r\n", "\n"))
    assert not [line for line in lines if line.strip() and not line.startswith("rdbkit: ")], lines


def _available(terminal: int) -> bytes:
    sent = b""
    try:
        while piece := os.read(terminal, 1 << 16):
            sent += piece
    except OSError:
        pass
    return sent


def test_times_are_read_by_one_parser_and_said(files: Path, tmp_path: Path) -> None:
    aof = tmp_path / "a.aof"
    aof.write_bytes(
        b"#TS:1795761900\r\n" + (files / "plain.aof").read_bytes() + b"#TS:1795762000\r\n*1\r\n$4\r\nPING\r\n"
    )
    instant = "is 2026-11-27 06:53:19Z"
    for text in (
        "1795762399",
        "1795762399000",
        "2026-11-27T06:53:19Z",
        "2026-11-27T06:53:19",
        "2026-11-27T07:53:19+01:00",
    ):
        for words in (
            ("commands", aof, "--from-time", text),
            ("commands", aof, "--to-time", text),
            ("keys", files / "good.rdb", "--now", text),
            ("repair", aof, "--until-time", text, "--dry-run"),
        ):
            ran = rdbkit(*words)
            assert f"{words[2]} {instant}" in ran.err, (words, ran.err)
            assert ran.status == 0
    assert rdbkit("commands", aof, "--from-time", "1795761999", "-f", "jsonl").rows[0]["name"] == "PING"
    for text in ("", "yesterday", "-5", "1e9", "2026-13-01", "9" * 19):
        for words in (("commands", aof, "--to-time", text), ("repair", aof, "--until-time", text)):
            ran = rdbkit(*words)
            assert (ran.status, len(ran.err.splitlines())) == (2, 1)
            assert "not a time" in ran.err
