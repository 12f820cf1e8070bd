"""Runs rdbkit as a process, in a pipe or on a terminal of 80 columns."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

#: Seconds that a process may take on a machine that is busy with other things.
PATIENCE = 600.0
SPEC = find_spec("rdbkit")
assert SPEC is not None
assert SPEC.origin is not None
#: Where this test process has rdbkit from; the processes below must have the same one.
HOME = Path(SPEC.origin).parent.parent
COMMAND = (sys.executable, "-m", "rdbkit")


class Ran(NamedTuple):
    status: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        """The lines of standard error, without the line that names the target."""
        return [line for line in self.err.splitlines() if ": target " not in line]

    @property
    def rows(self) -> list[Any]:
        """The output as JSON Lines."""
        return [json.loads(line) for line in self.out.split("\n")[:-1]]


def environment(**more: str) -> dict[str, str]:
    """The environment of a process, without variables that change the output."""
    kept = {name: text for name, text in os.environ.items() if name not in ("COLUMNS", "LINES", "NO_COLOR", "TERM")}
    return {**kept, "PYTHONPATH": str(HOME), "TERM": "xterm-256color", "LC_ALL": "C.UTF-8", **more}


def start(*args: object, **options: Any) -> subprocess.Popen[bytes]:
    """Start rdbkit; options as for Popen."""
    words = [os.fsencode(arg) if isinstance(arg, str | Path) else str(arg) for arg in args]
    return subprocess.Popen([*COMMAND, *words], env=environment(**options.pop("env", {})), **options)


def raw(*args: object, stdin: bytes = b"", **options: Any) -> tuple[int, bytes, str]:
    """Run rdbkit in pipes: status, output bytes, standard error, which must not have a traceback."""
    pipe = subprocess.PIPE
    process = start(*args, stdin=pipe, stdout=pipe, stderr=pipe, **options)
    out, err = process.communicate(stdin, PATIENCE)
    said = err.decode()
    assert "Traceback" not in said, said
    return process.returncode, out, said


def rdbkit(*args: object, **options: Any) -> Ran:
    """Run rdbkit in pipes."""
    status, out, said = raw(*args, **options)
    return Ran(status, out.decode(), said)


def terminal(*args: object, columns: int = 80, **options: Any) -> Ran:
    """Run rdbkit on a terminal: `out` is all that the terminal was sent, line ends as LF."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    process = start(*args, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True, **options)
    os.close(theirs)
    sent = b""
    try:
        while piece := _read(ours):
            sent += piece
        process.wait(PATIENCE)
    finally:
        os.close(ours)
        if process.poll() is None:
            process.kill()
            process.wait()
    text = sent.decode().replace("\r\n", "\n")
    assert "Traceback" not in text, text
    return Ran(process.returncode, text, "")


def screen(sent: str) -> list[str]:
    """Return the lines that a terminal shows at the end, without text that was erased or overwritten."""
    lines, row, column = [""], 0, 0
    for control, count, kind, text in re.findall(r"(\x1b\[\??([0-9;]*)([A-Za-z]))|([^\x1b])", sent):
        if text == "\n":
            row, column = row + 1, 0
            lines += [""] * (row + 1 - len(lines))
        elif text == "\r":
            column = 0
        elif text:
            lines[row] = lines[row][:column].ljust(column) + text + lines[row][column + 1 :]
            column += 1
        elif kind == "A":
            row = max(0, row - int(count or 1))
        elif control and kind == "K":
            lines[row] = lines[row][:column] if count in ("", "0") else ""
    return lines


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 1 << 16)
    except OSError:  # Linux says so when the last of the other side is closed
        return b""


def wait_until_read(process: subprocess.Popen[bytes]) -> None:
    """Return when the process has read all that its standard input holds, and waits for more."""
    assert process.stdin
    deadline = time.monotonic() + PATIENCE
    while process.poll() is None and time.monotonic() < deadline:
        waiting = int.from_bytes(fcntl.ioctl(process.stdin, termios.FIONREAD, bytes(4)), sys.byteorder)
        asleep = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0] == "S"
        if asleep and not waiting:
            return
        time.sleep(0.01)


def interrupt(process: subprocess.Popen[bytes]) -> tuple[int, str]:
    """Send the signal of Ctrl-C; return status and standard error."""
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=PATIENCE)
    return process.returncode, err.decode()
