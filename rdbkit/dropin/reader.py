"""The primitives of an RDB, read in the steps and with the offsets of the imitated tools.

The tools report how many bytes they had consumed when an error occurred, and a read that fails consumes nothing. So
each primitive here has the same steps: a length's first byte, then the rest of it; a packed string's two lengths, then
all of its bytes, and only then unpacking.

There are three kinds of failure, as in the original:

    Ended       rdb.c returned nothing: "Unexpected EOF", also for problems other than an end of file
    Reported    rdb.c gave a reason, and the tool exits at once
    Refused     the check itself prints a message

None of them is raised outside this package.

Source: BSD Valkey 7.2, rdb.c (rdbLoadLenByRef, rdbGenericLoadStringObject, …).
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from typing import Any, TypeVar

from rdbkit.dropin.packed import WHOLE
from rdbkit.errors import Corrupt, Truncated
from rdbkit.releases.check_tools import Tool
from rdbkit.wire import lzf
from rdbkit.wire.crc64 import update
from rdbkit.wire.cursor import WINDOW, Cursor
from rdbkit.wire.spool import LONG, SUMMED, Spool

#: The tools allocate memory first, and the most that they get is the address space of 47 bits.
ALLOCATABLE = 1 << 47
_LENERR = (1 << 64) - 1

Verdict = TypeVar("Verdict")


class Failure(Exception):
    """The failure that ends a check; `text` is the tool's message, `logged` a line that the loader logged before."""

    def __init__(self, text: str = "Unexpected EOF reading RDB file", logged: str = "") -> None:
        super().__init__(text)
        self.text = text
        self.logged = logged

    @property
    def log(self) -> list[str]:
        """All lines that were logged: a failure that replaces another is raised from it."""
        earlier = self.__cause__.log if isinstance(self.__cause__, Failure) else []
        return [*earlier, self.logged] if self.logged else earlier


class Ended(Failure):
    """The loader returned nothing."""


class Reported(Failure):
    """The loader gave a reason and exits."""


class Refused(Failure):
    """The check gave a reason."""


class Input:
    """A file as the tools open it: by its path, never unpacked; a read error counts as its end."""

    def __init__(self, path: bytes | str | int, position: int = 0, origin: int = 0) -> None:
        """Raise OSError if it cannot be opened. `origin` is the file's offset that is offset 0 of the check."""
        self._file = os.dup(path) if isinstance(path, int) else os.open(path, os.O_RDONLY)
        status = os.fstat(self._file)
        self.seekable = stat.S_ISREG(status.st_mode)
        self._origin = origin
        self._position = origin + position
        self.size = status.st_size - origin if self.seekable else -1

    def read(self, n: int, /) -> bytes:
        """Return up to n bytes, b"" at the end."""
        try:
            if not self.seekable:
                return os.read(self._file, n)
            piece = os.pread(self._file, n, self._position)
        except OSError:
            return b""
        self._position += len(piece)
        return piece

    def again(self, offset: int) -> Input:
        """Return another reader of the same file, which starts at `offset`."""
        return Input(self._file, offset, self._origin)

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)


class RdbReader:
    """Reads primitives of one file, for one tool."""

    def __init__(self, source: Input, tool: Tool, base: int = 0) -> None:
        self.source = source
        self.tool = tool
        self.cursor = Cursor(source=source, base=base, update=None if base else update())
        self._failed = -1

    @property
    def offset(self) -> int:
        """Bytes consumed so far, as the original counts them."""
        return self.cursor.tell() if self._failed < 0 else self._failed

    def again(self, offset: int) -> RdbReader:
        """Return a second reader of the same file, from `offset` on; it does not sum."""
        return RdbReader(self.source.again(offset), self.tool, offset)

    # -- bytes -----------------------------------------------------------------------------------------------------

    def take(self, n: int) -> bytes:
        """Read n bytes, or consume nothing."""
        try:
            return self.cursor.take(n)
        except Truncated:
            raise Ended from None

    def skip(self, n: int) -> None:
        """Skip n bytes."""
        start = self.cursor.tell()
        try:
            self.cursor.skip(n)
        except Truncated:
            self._failed = start
            raise Ended from None

    def u8(self) -> int:
        """Read a byte."""
        try:
            return self.cursor.u8()
        except Truncated:
            raise Ended from None

    def signed(self, width: int) -> int:
        """Read a little-endian number of `width` bytes."""
        return int.from_bytes(self.take(width), "little", signed=True)

    # -- lengths ---------------------------------------------------------------------------------------------------

    def number(self) -> int:
        """Read a length of which every value is valid."""
        return self._coded()[0]

    def length(self) -> int:
        """Read a length; the greatest number means an error. For a special form, returns its six bits."""
        return self._sane(self._coded()[0])

    def _sane(self, number: int) -> int:
        if number == _LENERR or (not self.tool.words64 and number == 0xFFFFFFFF):
            raise Ended
        return number

    def _coded(self) -> tuple[int, bool]:
        """Return a length, and whether it marks a special form of a string."""
        first = self.u8()
        if first < 0x40:
            return first, False
        if first < 0x80:
            return (first & 0x3F) << 8 | self.u8(), False
        if first >= 0xC0:
            return first & 0x3F, True
        if first == 0x80 or not self.tool.words64:
            return int.from_bytes(self.take(4)), False
        if first == 0x81:
            return int.from_bytes(self.take(8)), False
        raise Reported("Unknown length encoding 2 in rdbLoadLen()")

    # -- strings ---------------------------------------------------------------------------------------------------

    def string(self) -> Any:
        """Read a string in any form; one that is too long for memory is a LongItem with a digest."""
        cursor = self.cursor
        at = cursor.pos
        if at < cursor.end:
            size = cursor.data[at]
            if size < 0x40 and size < cursor.end - at:
                cursor.pos = at + 1 + size
                return cursor.data[at + 1 : at + 1 + size]
        size, marked = self._coded()
        if marked and size < 3:
            return b"%d" % self.signed(1 << size)
        packed, size = self._packed(size) if marked else (-1, self._allowed(self._sane(size)))
        if size == 0 and packed > 0 and self.tool.words64:
            self.skip(packed)
            return b""
        if size > LONG or packed > LONG:
            return self._long(_summed, size, packed)
        return self.take(size) if packed < 0 else self._unpack(self.take(packed), size)

    def skip_string(self) -> int:
        """Skip a string, holding at most WHOLE bytes of it; return its size."""
        cursor = self.cursor
        at = cursor.pos
        if at < cursor.end:
            size = cursor.data[at]
            if size < 0x40 and size < cursor.end - at:
                cursor.pos = at + 1 + size
                return size
        return self.blob(_unseen)[0]

    def blob(self, judge: Callable[[bytes | Cursor, int], Verdict]) -> tuple[int, Verdict | None]:
        """Read a string and check its content by `judge`: as bytes, or a cursor if it is too long for memory.

        Returns its size and the verdict, None if `judge` raised Corrupt. A string that is incomplete, or cannot be
        unpacked, raises before the verdict counts.
        """
        size, marked = self._coded()
        packed = -1
        if not marked:
            self._allowed(self._sane(size))
        elif size < 3:
            text = b"%d" % self.signed(1 << size)
            return len(text), _judge(judge, text, len(text))
        else:
            packed, size = self._packed(size)
        if size <= WHOLE and packed <= WHOLE:
            data = self.take(size) if packed < 0 else self._unpack(self.take(packed), size)
            return len(data), _judge(judge, data, len(data))
        return size, self._long(judge, size, packed)

    def _long(self, judge: Callable[[bytes | Cursor, int], Verdict], size: int, packed: int) -> Verdict | None:
        cursor = self.cursor
        start = cursor.tell()
        end = start + (size if packed < 0 else packed)
        inside = cursor.inner(size, packed, start)
        inside.spool = Spool(SUMMED)
        found = None
        broken = ""
        try:
            if 0 <= cursor.size < end:
                raise Ended
            found = judge(inside, size)
        except Corrupt as error:
            broken = error.code
        except Truncated:
            self._failed = start
            raise Ended from None
        try:
            while packed >= 0 and broken != "bad-lzf" and inside.more(WINDOW):
                inside.pos = inside.end
        except Corrupt as error:
            found, broken = None, error.code
        except Truncated:
            # _finish finds the same end.
            pass
        self._finish(start, end)
        if broken == "bad-lzf":
            self._bad_lzf()
        return found

    def _finish(self, start: int, end: int) -> None:
        """Consume the bytes up to `end`; if they are incomplete, consume nothing from `start` on."""
        try:
            self.skip(end - self.cursor.tell())
        except Ended:
            self._failed = start
            raise

    def _packed(self, form: int) -> tuple[int, int]:
        """Read the head of a packed string: its stored and its unpacked size."""
        if form != 3:
            raise Reported(f"Unknown RDB string encoding type {form}")
        packed, size = self.length(), self.length()
        loader = "rdbLoadLzfStringObject"
        return self._allowed(packed, loader), self._allowed(size, loader)

    def _allowed(self, size: int, loader: str = "rdbGenericLoadStringObject") -> int:
        """Return the size of a string. Raises Ended if there is no memory for it."""
        if size >= ALLOCATABLE:
            raise Ended(logged=f"{loader} failed allocating {size} bytes" if self.tool.logs_allocations else "")
        return size

    def _unpack(self, data: bytes, size: int) -> bytes:
        # In the tool, the result for an empty string and for any damage is the same: nothing.
        if size == 0 and self.tool.words64:
            return b""
        try:
            return lzf.decompress(data, size)
        except Corrupt:
            self._bad_lzf()
            raise AssertionError from None

    def _bad_lzf(self) -> None:
        text = "Invalid LZF compressed string"
        raise Reported(text) if self.tool.words64 else Refused(text)


def times(count: int) -> range:
    """Return a range for a stated count, cut to a machine word: no file holds more items."""
    return range(min(count, 1 << 62))


def _summed(inside: bytes | Cursor, size: int) -> Any:
    """Return a LongItem if the string is too long for memory, or its bytes if only its packed form was too long."""
    assert isinstance(inside, Cursor)
    return Spool(SUMMED).take(inside, size) if size > LONG else inside.take(size)


def _unseen(inside: bytes | Cursor, size: int) -> None:
    """Check nothing."""


def _judge(judge: Callable[[bytes | Cursor, int], Verdict], data: bytes, size: int) -> Verdict | None:
    try:
        return judge(data, size)
    except Corrupt:
        return None
