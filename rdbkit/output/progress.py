"""Progress on standard error: bytes, rate, time left; by default only on a terminal.

On a terminal a line is redrawn at most ten times a second and removed at the end. It is drawn by `rich`, which is
imported only after a third of a second, so that short runs are not slowed down. If progress is requested explicitly on
another stream, a plain line is written every ten seconds. Otherwise `Progress` does nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from time import monotonic
from typing import Any, Protocol, TextIO

from rdbkit.output import units

#: Active displays: they are hidden before another line is written.
_active: list[Progress] = []

_REDRAW = 0.1
_FIRST = 0.3
_LINE = 10.0


class _Display(Protocol):
    def show(self, done: int, total: int | None, note: str) -> None: ...
    def close(self) -> None: ...


class Progress:
    """Shows the progress of a pass over `total` bytes (None: unknown); by default only if `stream` is a terminal."""

    def __init__(
        self,
        total: int | None = None,
        stream: TextIO | None = None,
        enabled: bool | None = None,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._stream = sys.stderr if stream is None else stream
        self._total = total if total and total > 0 else None
        self._clock = clock
        self._start = clock()
        self._terminal = self._stream.isatty()
        self.enabled = self._terminal if enabled is None else enabled
        self._every = _REDRAW if self._terminal else _LINE
        self._next = self._start + (_FIRST if self._terminal else _LINE) if self.enabled else float("inf")
        self._display: _Display | None = None

    def __enter__(self) -> Progress:
        _active.append(self)
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def update(self, done: int) -> None:
        """Set the number of bytes read since the start."""
        now = self._clock()
        if now < self._next:
            return
        self._next = now + self._every
        if self._display is None:
            self._display = _Bar(self._stream, self._total) if self._terminal else _Lines(self._stream)
        self._display.show(done, self._total, self._note(done, now - self._start))

    def close(self) -> None:
        """Remove the line; later updates do nothing."""
        self._next = float("inf")
        if self in _active:
            _active.remove(self)
        self.pause()

    def pause(self) -> None:
        """Remove the line until the next update."""
        display, self._display = self._display, None
        if display is not None:
            display.close()

    def _note(self, done: int, seconds: float) -> str:
        rate = done / seconds if seconds > 0 else 0.0
        of = f"{units.size(done)} of {units.size(self._total)}" if self._total else units.size(done)
        left = (
            f", {units.duration((self._total - done) / rate)} left" if self._total and 0 < done <= self._total else ""
        )
        return f"{of}, {units.size(rate)}/s{left}"


def pause() -> None:
    """Hide all progress lines until their next update, before something else is written."""
    for progress in _active:
        progress.pause()


class _Lines:
    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def show(self, done: int, total: int | None, note: str) -> None:
        share = f"{done * 100 // total}%, " if total else ""
        self._stream.write(f"{share}{note}\n")
        self._stream.flush()

    def close(self) -> None:
        """Do nothing: plain lines remain."""


class _Bar:
    def __init__(self, stream: TextIO, total: int | None) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, TextColumn
        from rich.progress import Progress as RichProgress

        self._bar: Any = RichProgress(
            BarColumn(bar_width=24),
            TextColumn("{task.fields[note]}", markup=False),
            console=Console(file=stream),
            auto_refresh=False,
            transient=True,
        )
        self._bar.start()
        self._task = self._bar.add_task("", total=total, note="")

    def show(self, done: int, total: int | None, note: str) -> None:
        self._bar.update(self._task, completed=done, note=note)
        self._bar.refresh()

    def close(self) -> None:
        self._bar.stop()
