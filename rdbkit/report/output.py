"""Where results go: standard output, or a file that appears only when it is complete.

`-o FILE` is written as FILE.partial beside it and moved into place, after an fsync, by `finish`. If the work stops
before, FILE is untouched and what was delivered stays as FILE.partial, whose name `abandon` returns. A FILE that is
no regular file (a pipe, /dev/null) is written directly.

Text leaves as UTF-8 whatever the locale says. When the reader of a pipe went away, BrokenPipeError reaches the
caller, and nothing is left in a buffer that Python would try to flush, and complain about, at exit.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import sys
from pathlib import Path
from typing import Any

_BUFFER = 1 << 18


class Output:
    """A sink for text and bytes; use it in a `with`, and call `finish` when everything was delivered.

    `path` None or "-" is standard output. Leaving the `with` without `finish` abandons. Raises OSError where a file
    cannot be written, BrokenPipeError when the reader went away.
    """

    def __init__(self, path: str | os.PathLike[str] | None = None) -> None:
        self.partial: str | None = None
        """Where the unfinished result lies: while it is being written, and once abandoned if it holds anything."""
        self.name = "standard output" if path is None or os.fspath(path) == "-" else os.fspath(path)
        """What messages call it; errors of writing carry it as their filename."""
        self.bytes_written = 0
        self._pieces: list[bytes] = []
        self._waiting = 0
        self._target: Path | None = None
        self._open = True
        self._raw: Any = _standard_output() if path is None or os.fspath(path) == "-" else self._create(os.fspath(path))

    def __enter__(self) -> Output:
        return self

    def __exit__(self, *exception: object) -> None:
        self.abandon()

    @property
    def is_terminal(self) -> bool:
        """Tell whether a person is looking."""
        return bool(self._raw.isatty())

    @property
    def color(self) -> bool:
        """Tell whether to use colours: on a terminal, unless NO_COLOR is set or the terminal is a dumb one."""
        return self.is_terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"

    @property
    def width(self) -> int:
        """Return the columns of the terminal (80 where they are unknown)."""
        from shutil import get_terminal_size

        return get_terminal_size((80, 24)).columns

    def text(self, text: str) -> None:
        """Write text as UTF-8."""
        self.write(text.encode("utf-8", "backslashreplace"))

    def write(self, data: bytes) -> None:
        """Write bytes; they leave when enough have come together."""
        self._pieces.append(data)
        self._waiting += len(data)
        if self._waiting >= _BUFFER:
            self.flush()

    def flush(self) -> None:
        """Send on what waits."""
        data = b"".join(self._pieces)
        # Emptied first: after an error nothing must be sent a second time.
        self._pieces.clear()
        self._waiting = 0
        view = memoryview(data)
        while view:
            view = view[self._send(view) :]

    def finish(self) -> None:
        """Flush, and put the file in place; only now does it exist under its own name."""
        self.flush()
        self._open = False
        if self._target is None:
            return
        if self.partial is not None:
            os.fsync(self._raw.fileno())
            self._put_in_place(Path(self.partial), self._target)
            self.partial = None
        self._raw.close()

    def abandon(self) -> str | None:
        """Stop without a result; return the name of the partial file, None if there is none or nothing was delivered.

        Does nothing after `finish`.
        """
        if not self._open:
            return self.partial
        self._open = False
        # Whatever went wrong is being reported already; a second error here would hide it.
        with contextlib.suppress(OSError):
            self.flush()
        if self._target is not None:
            self._raw.close()
        if self.partial is not None and self.bytes_written == 0:
            Path(self.partial).unlink(missing_ok=True)
            self.partial = None
        return self.partial

    def _create(self, path: str) -> Any:
        self._target = target = places(path)[0]
        try:
            mode = target.stat().st_mode
        except FileNotFoundError:
            return self._create_partial(target, None)
        if stat.S_ISREG(mode):
            return self._create_partial(target, stat.S_IMODE(mode))
        return target.open("wb", buffering=0)

    def _create_partial(self, target: Path, mode: int | None) -> Any:
        """Create FILE.partial anew (never through a link that lies there), with the mode of the file to be replaced."""
        partial = places(target)[1]
        partial.unlink(missing_ok=True)
        raw = partial.open("xb", buffering=0)
        if mode is not None:
            partial.chmod(mode)
        self.partial = str(partial)
        return raw

    def _put_in_place(self, partial: Path, target: Path) -> None:
        if not os.path.samestat(partial.stat(), os.fstat(self._raw.fileno())):
            raise FileExistsError(errno.EEXIST, "another process writes to the same place", str(partial))
        partial.replace(target)
        _sync_directory(target.parent)

    def _send(self, view: memoryview) -> int:
        try:
            sent = self._raw.write(view)
        except OSError as error:
            error.filename = self.name
            raise
        if sent is None:  # a terminal or pipe that someone has set to non-blocking
            from select import select

            select([], [self._raw], [])
            return 0
        self.bytes_written += sent
        return int(sent)


def places(path: str | os.PathLike[str]) -> tuple[Path, Path]:
    """Return what writing to a path replaces: the file itself, and FILE.partial beside it."""
    # Through a link, as a shell's ">" goes; any other name is kept as it was typed, because messages repeat it.
    target = Path(path)
    target = target.resolve() if target.is_symlink() else target
    return target, target.with_name(f"{target.name}.partial")


def _standard_output() -> Any:
    """Return the unbuffered stream under sys.stdout: what is not buffered cannot fail at exit."""
    if sys.stdout is None:
        raise OSError(errno.EBADF, "standard output is closed")
    sys.stdout.flush()
    stream = getattr(sys.stdout, "buffer", sys.stdout)
    return getattr(stream, "raw", stream)


def _sync_directory(path: Path) -> None:
    """Make the new name durable, where the system lets a directory be opened."""
    with contextlib.suppress(OSError):
        directory = os.open(path, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
