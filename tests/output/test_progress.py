from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

from rdbkit.output.progress import Progress


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_nobody_looks() -> None:
    stream, clock = io.StringIO(), Clock()
    with Progress(100, stream, clock=clock) as progress:
        assert not progress.enabled
        clock.now = 1000
        progress.update(50)
    assert stream.getvalue() == ""


def test_plain_lines_where_they_are_asked_for() -> None:
    stream, clock = io.StringIO(), Clock()
    with Progress(4 << 20, stream, enabled=True, clock=clock) as progress:
        for second in range(21):
            clock.now = second
            progress.update(second * 100_000)
    assert stream.getvalue() == (
        "23%, 976.6 KiB of 4.0 MiB, 97.7 KiB/s, 31s left\n47%, 1.9 MiB of 4.0 MiB, 97.7 KiB/s, 21s left\n"
    )


def test_unknown_total() -> None:
    stream, clock = io.StringIO(), Clock()
    progress = Progress(None, stream, enabled=True, clock=clock)
    clock.now = 10
    progress.update(10 << 20)
    progress.close()
    clock.now = 100
    progress.update(11 << 20)
    assert stream.getvalue() == "10.0 MiB, 1.0 MiB/s\n"


def test_a_short_run_shows_nothing() -> None:
    stream, clock = Terminal(), Clock()
    with Progress(100, stream, clock=clock) as progress:
        clock.now = 0.2
        progress.update(90)
    assert stream.getvalue() == ""


def test_a_terminal_gets_a_bar_ten_times_a_second() -> None:
    stream, clock = Terminal(), Clock()
    with Progress(100 << 20, stream, clock=clock) as progress:
        clock.now = 1.0
        progress.update(10 << 20)
        drawn = len(stream.getvalue())
        assert "10.0 MiB of 100.0 MiB, 10.0 MiB/s, 9s left" in stream.getvalue()
        clock.now = 1.05
        progress.update(11 << 20)
        assert len(stream.getvalue()) == drawn
        clock.now = 1.15
        progress.update(12 << 20)
        assert len(stream.getvalue()) > drawn


def test_switched_off_on_a_terminal() -> None:
    stream, clock = Terminal(), Clock()
    with Progress(100, stream, enabled=False, clock=clock) as progress:
        clock.now = 10
        progress.update(50)
    assert stream.getvalue() == ""


def test_reports_import_neither_click_nor_rich() -> None:
    script = (
        "import sys; from rdbkit.output import export, output, progress, rows, sort, table, text, units, values;"
        "assert not {'click', 'rich', 'csv', 'unicodedata', 'crcmod'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True, cwd=Path(__file__).parents[2])
