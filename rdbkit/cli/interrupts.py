"""Signals that end a command: Ctrl-C, SIGTERM and SIGHUP.

The first signal raises an exception, so that `with` blocks can name or remove unfinished files. A second one ends the
process at once. Signals that were ignored when the process started (nohup, background jobs) remain ignored.
"""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from types import FrameType
from typing import NoReturn

from rdbkit.output.text import path_text, terminal

_SIGNALS = ("SIGTERM", "SIGHUP")


class Interrupted(BaseException):
    """Ctrl-C. Not a KeyboardInterrupt, for which click prints its own message."""


class Terminated(BaseException):
    """SIGTERM or SIGHUP."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def install() -> None:
    """Make signals raise exceptions from now on."""
    if signal.getsignal(signal.SIGINT) not in (signal.SIG_IGN, None):
        signal.signal(signal.SIGINT, _interrupt)
    for name in _SIGNALS:
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) == signal.SIG_DFL:
            signal.signal(number, _terminate)


def _interrupt(number: int, frame: FrameType | None) -> None:
    _expect_no_more()
    raise Interrupted


def _terminate(number: int, frame: FrameType | None) -> None:
    _expect_no_more()
    raise Terminated(number)


def _expect_no_more() -> None:
    """Make the next signal end the process at once."""
    for name in ("SIGINT", *_SIGNALS):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) in (_interrupt, _terminate):
            signal.signal(number, _end_at_once)


def _end_at_once(number: int, frame: FrameType | None) -> None:
    clean_up()
    os._exit(128 + number)


def clean_up() -> None:
    """Remove unfinished files and restore the terminal cursor."""
    # Only modules that were imported can have anything to clean up.
    progress = sys.modules.get("rdbkit.output.progress")
    files = sys.modules.get("rdbkit.files.new")
    with suppress(Exception):
        if progress is not None:
            progress.pause()
    with suppress(Exception):
        if files is not None:
            files.discard_all()


def _say_finished() -> None:
    """Name the files (results and backups) that were completed before the interrupt."""
    files = sys.modules.get("rdbkit.files.moves")
    names = ", ".join(files.finished) if files is not None else ""
    if names:
        with suppress(OSError, ValueError, AttributeError):
            sys.stderr.write(f"rdbkit: interrupted; complete files: {terminal(path_text(names))}\n")


def leave(status: int) -> NoReturn:
    """Exit at once without a message: the reader of the output is gone, or the user interrupted."""
    _expect_no_more()
    clean_up()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):
            stream.flush()
    os._exit(status)


def leave_interrupted() -> NoReturn:
    """Exit with 130; on a terminal print a newline after the ^C."""
    _expect_no_more()
    clean_up()
    _say_finished()
    with suppress(OSError, ValueError, AttributeError):
        if sys.stderr.isatty():
            sys.stderr.write("\n")
    leave(130)


def leave_terminated(number: int) -> NoReturn:
    """End the process by the signal itself, as the sender expects."""
    _expect_no_more()
    clean_up()
    _say_finished()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):
            stream.flush()
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
    leave(128 + number)
