"""The files of redis-check-aof, opened and recognised in the same way as by the tool."""

from __future__ import annotations

import os
from contextlib import suppress

from rdbkit.aof.manifest import MAX_LINE
from rdbkit.wire.cursor import WINDOW


class CheckedFile:
    """An open file, which a cursor reads and which can be cut. `length` is as of opening. Raises OSError."""

    size = -1

    def __init__(self, path: bytes, flags: int = os.O_RDONLY) -> None:
        self.fd = os.open(path, flags | getattr(os, "O_BINARY", 0) | os.O_CLOEXEC)
        self.length = os.fstat(self.fd).st_size

    def read(self, n: int, /) -> bytes:
        """Return up to n bytes."""
        return os.read(self.fd, n)

    def head(self, n: int) -> bytes:
        """Return the first bytes, b"" if they cannot be read; the position is 0 before and after."""
        data = b""
        with suppress(OSError):
            data = os.read(self.fd, n)
            os.lseek(self.fd, 0, os.SEEK_SET)
        return data

    def __enter__(self) -> CheckedFile:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.fd)


def mentions_file(file: CheckedFile) -> bool:
    """Return whether a line, or a chunk of 1024 bytes of one, begins with `file`: the older test for a manifest.

    The same as manifest.is_manifest(strict=False), but at the speed of a search, because it reads whole AOFs.
    """
    line = base = 0
    data = b""
    while chunk := file.read(WINDOW):
        data = data[-3:] + chunk
        at = data.find(b"file")
        while at >= 0:
            begin = data.rfind(b"\n", 0, at) + 1
            if (base + at - (base + begin if begin else line)) % MAX_LINE == 0:
                return True
            at = data.find(b"file", at + 1)
        begin = data.rfind(b"\n") + 1
        line = base + begin if begin else line
        base += max(len(data) - 3, 0)
    return False


def is_valkey_rdb(path: bytes) -> bool:
    """Return whether a file begins as an RDB of Valkey 9, which none of the tools recognises."""
    with suppress(OSError), CheckedFile(path) as file:
        head = file.head(9)
        return head.startswith(b"VALKEY") and head[6:].isdigit()
    return False


def beside(path: bytes, name: bytes) -> bytes:
    """Return the path of another file of a set, made with dirname() and a slash."""
    parent, slash, _ = path.rstrip(b"/").rpartition(b"/")
    parent = parent.rstrip(b"/")
    return (parent or (b"/" if slash else b".")) + b"/" + name
