"""Where results go: standard output, or a file that appears only when it is complete.

`-o FILE` is written under a name of its own (rdbkit.files) and gets its name, after an fsync, by `finish`. If the work
stops before, FILE is unchanged and what was delivered is kept as FILE.partial, whose name `abandon` returns. A FILE
that is no regular file (a pipe, /dev/null) is written directly, as a shell's ">" does.

Text is written as UTF-8 whatever the locale says. When the reader of a pipe went away, BrokenPipeError reaches the
caller, and nothing is left in a buffer that Python would try to flush, and complain about, at exit.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from typing import Any

from rdbkit.files import names
from rdbkit.files.names import Name
from rdbkit.files.new import ANYTHING, NOTHING, SEEN, NewFile

_BUFFER = 1 << 18


class Output:
    """A sink for text and bytes; use it in a `with`, and call `finish` when everything was delivered.

    `path` None or "-" is standard output. Text replaces a regular file; what holds `data` (a part of an input) goes to
    a new name, with the mode of the file with this status, unless `force` lets it replace the file that is there.
    Leaving the `with` without `finish` abandons. Raises ValueError for an empty path, OSError where a file cannot be
    written, BrokenPipeError when the reader went away.
    """

    def __init__(
        self,
        path: str | os.PathLike[str] | None = None,
        *,
        data: bool = False,
        force: bool = False,
        mode_of: os.stat_result | None = None,
    ) -> None:
        self.partial: str | None = None
        """The name of the unfinished result, once it was abandoned and holds anything."""
        standard = path is None or os.fspath(path) == "-"
        self.name = "standard output" if path is None or standard else os.fspath(path)
        """What messages call it; errors of writing carry it as their filename."""
        self.bytes_written = 0
        self.other_names = 0
        """How many other names (hard links) the replaced file has: they keep the old contents."""
        self._pieces: list[bytes] = []
        self._waiting = 0
        self._file: NewFile | None = None
        self._open = True
        self._raw: Any = _standard_output() if standard else self._create(names.plan(self.name), data, force, mode_of)

    def __enter__(self) -> Output:
        return self

    def __exit__(self, *exception: object) -> None:
        self.abandon()

    @property
    def is_terminal(self) -> bool:
        """Return whether a person is looking."""
        return self._file is None and bool(self._raw.isatty())

    @property
    def color(self) -> bool:
        """Return whether to use colours: on a terminal, unless NO_COLOR is set or the terminal is a dumb one."""
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
        self.prepare()
        self.publish()

    def prepare(self) -> None:
        """Flush, and make the content durable: what `publish` then does is only to name it."""
        self.flush()
        if self._file is not None:
            self._file.close()

    def publish(self) -> None:
        """Put the prepared file in place."""
        if self._file is not None:
            self._file.publish()
        elif self._raw is not None and self.name != "standard output":
            self._raw.close()
        self._open = False

    def withdraw(self) -> None:
        """Take back a file that was put in place under a new name."""
        if self._file is not None:
            self._file.withdraw()

    def abandon(self) -> str | None:
        """Stop without a result; return the name of the partial file, None if there is none or nothing was delivered.

        After `finish` there is nothing to give up.
        """
        if not self._open:
            if self._file is not None:
                self._file.discard()
            return self.partial
        self._open = False
        # Whatever went wrong is being reported already; a second error here would hide it.
        with contextlib.suppress(OSError):
            self.flush()
        if self._file is None:
            if self.name != "standard output":
                self._raw.close()
        elif self._file.size:
            self.partial = self._file.keep()
        else:
            self._file.discard()
        return self.partial

    def _create(self, name: Name, data: bool, force: bool, mode_of: os.stat_result | None) -> Any:
        if name.descriptor is not None:
            return open(os.dup(name.descriptor), "wb", buffering=0)
        if name.is_special:
            return open(name.target, "wb", buffering=0)
        names.refuse_existing(name, force=force or not data)
        if not data and name.seen is not None and not os.access(name.target, os.W_OK):
            raise PermissionError(errno.EACCES, "is read-only", name.path)
        self.other_names = name.other_names
        replaces = ANYTHING if not data else SEEN if force else NOTHING
        self._file = NewFile(name, replaces=replaces, mode_of=mode_of if data else None)
        return self._file

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


def planned(path: str | os.PathLike[str]) -> list[Name]:
    """Return what writing to a path creates: the file itself, and FILE.partial beside it."""
    name = names.plan(path)
    return [name] if name.is_special else [name, name.beside(".partial")]


def _standard_output() -> Any:
    """Return the unbuffered stream under sys.stdout: what is not buffered cannot fail at exit."""
    if sys.stdout is None:
        raise OSError(errno.EBADF, "standard output is closed")
    sys.stdout.flush()
    stream = getattr(sys.stdout, "buffer", sys.stdout)
    return getattr(stream, "raw", stream)
