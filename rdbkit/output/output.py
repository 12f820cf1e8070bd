"""Output to standard output, or to a file that is written atomically.

`-o FILE` is written under a temporary name (rdbkit.files); `finish` syncs and renames it. If the command stops earlier,
FILE is unchanged and the output so far is kept as FILE.partial, whose name `abandon` returns. If FILE is not a regular
file (a pipe, /dev/null) it is written directly, as with a shell's ">".

Text is always written as UTF-8, whatever the locale. If the reader of a pipe is gone, the caller gets BrokenPipeError,
and no buffer is left that Python would try to flush at exit.
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
    """A sink for text and bytes; use it in a `with`, and call `finish` when everything was written.

    `path` None or "-" is standard output. Text output replaces an existing regular file. Data output (`data`: a part of
    an input) does so only with `force`; it gets the mode of `mode_of`. Leaving the `with` without `finish` abandons the
    output. Raises ValueError for an empty path, OSError if the file cannot be written, BrokenPipeError if the reader is
    gone.
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
        """The name of the partial file, after `abandon`, if anything was written."""
        standard = path is None or os.fspath(path) == "-"
        self.name = "standard output" if path is None or standard else os.fspath(path)
        """The name for messages; also the filename of write errors."""
        self.bytes_written = 0
        self.other_names = 0
        """How many other hard links the replaced file has; they still have the old contents."""
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
        """Return whether the output is a terminal."""
        return self._file is None and bool(self._raw.isatty())

    @property
    def color(self) -> bool:
        """Return whether to use colours: on a terminal, unless NO_COLOR is set or TERM is "dumb"."""
        return self.is_terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"

    @property
    def width(self) -> int:
        """Return the columns of the terminal (80 if unknown)."""
        from shutil import get_terminal_size

        return get_terminal_size((80, 24)).columns

    def text(self, text: str) -> None:
        """Write text as UTF-8."""
        self.write(text.encode("utf-8", "backslashreplace"))

    def write(self, data: bytes) -> None:
        """Write bytes, buffered."""
        self._pieces.append(data)
        self._waiting += len(data)
        if self._waiting >= _BUFFER:
            self.flush()

    def flush(self) -> None:
        """Write the buffer."""
        data = b"".join(self._pieces)
        # Emptied first, so that nothing is written twice after an error.
        self._pieces.clear()
        self._waiting = 0
        view = memoryview(data)
        while view:
            view = view[self._send(view) :]

    def finish(self) -> None:
        """Flush, and put the file in place under its final name."""
        self.prepare()
        self.publish()

    def prepare(self) -> None:
        """Flush and sync the content, so that `publish` only has to rename it."""
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
        """Stop without a result; return the name of the partial file, None if nothing was written.

        Does nothing after `finish`.
        """
        if not self._open:
            if self._file is not None:
                self._file.discard()
            return self.partial
        self._open = False
        # The original error is being reported; a second error here would hide it.
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
    """Return the names that writing to a path may create: the file itself, and FILE.partial."""
    name = names.plan(path)
    return [name] if name.is_special else [name, name.beside(".partial")]


def _standard_output() -> Any:
    """Return the unbuffered stream under sys.stdout, which cannot fail at exit."""
    if sys.stdout is None:
        raise OSError(errno.EBADF, "standard output is closed")
    sys.stdout.flush()
    stream = getattr(sys.stdout, "buffer", sys.stdout)
    return getattr(stream, "raw", stream)
