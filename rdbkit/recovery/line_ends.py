r"""Undo what a copy in text mode did to the line ends of an AOF, where the lengths in it prove what they were.

    CR LF became LF      *2 LF $3 LF SET LF …    each value says how long it was: the line ends missing in it were CR LF
    LF became CR LF      *2 CR CR LF …           a CR goes from each line end

In the first case a value can have held both LF and CR LF. Its length says how many of its line ends were CR LF: none
and all can be restored, some of them cannot, and then the whole file is refused. A value ends where what follows fits
its own lengths; of several such places at the first one, if it is one of those that can be restored.

The result is a temporary file without a name, which the policies then read in place of the damaged one.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator
from typing import BinaryIO

from rdbkit.errors import Corrupt
from rdbkit.recovery.file import CHUNK, DamagedFile

#: Elements after a place at which a value may end that must fit, before it is believed.
_AHEAD = 64
#: Places looked at, in all, to decide where one value ends.
_BUDGET = 4096
#: Longer than a header.
_OVERLAP = 32
_TORN, _WHOLE = 1, 2
_LONGEST_LINE = 1 << 10
_HEADER = re.compile(rb"([$*])([0-9]{1,18})\n")
_COUNT = re.compile(rb"\*[0-9]{1,9}\n\$[0-9]")
#: A line end with the next argument, or the next record, after it.
_BEFORE_ARGUMENT = re.compile(rb"\n(?=\$[0-9]{1,18}\n)")
_AT_END = re.compile(rb"\n(?=(?:\*[0-9]{0,9}(?:\n(?:\$[0-9]{0,18})?)?|\$[0-9]{0,18}|#[^\n]{0,24})?\Z)")
_BEFORE_RECORD = re.compile(rb"\n(?=\*[1-9][0-9]{0,8}\n\$[0-9]|#)")


class Restored(DamagedFile):
    """A file as it was before its line ends were converted; path, status and attributes are those of the input.

    `before` is the size of the input, `places` how many line ends were restored.
    """

    def __init__(self, damaged: DamagedFile) -> None:
        self.path, self.fd, self.seen = damaged.path, damaged.fd, damaged.seen
        self._near = (0, b"")
        self._reached = 0
        self.before = damaged.size
        self.places = 0
        self._bytes = tempfile.TemporaryFile()  # noqa: SIM115  closed by close()
        try:
            grows = b"\r\n" not in damaged.chunk(0, _LONGEST_LINE).split(b"\n")[0] + b"\n"
            self.places = _Growing(damaged, self._bytes).run() if grows else _shrink(damaged, self._bytes)
            self._bytes.flush()
        except BaseException:
            self._bytes.close()
            raise
        self.size = self.end = os.fstat(self._bytes.fileno()).st_size

    def close(self) -> None:
        """Close both files."""
        self._bytes.close()
        super().close()

    def _descriptor(self) -> int:
        return self._bytes.fileno()


def _refusal(message: str, offset: int) -> Corrupt:
    return Corrupt(f"its line ends were converted, and {message}", offset=offset, code="line-ends-lost")


def _shrink(damaged: DamagedFile, out: BinaryIO) -> int:
    """Take the CR from each CR LF; refuse a file in which an LF has none. Return how many."""
    places, held, at, torn = 0, b"", 0, False
    for piece in damaged.pieces(0, damaged.size):
        data = held + piece
        # A CR at the end may belong to the LF of the next piece.
        held = data[len(data) - 1 :] if data.endswith(b"\r") else b""
        data = data[: len(data) - len(held)]
        found = data.count(b"\r\n")
        if found != data.count(b"\n"):
            raise _refusal("an LF without CR shows that not all of them were", at)
        out.write(data.replace(b"\r\n", b"\n"))
        places += found
        at += len(data)
        # Of CR CR at the end of a torn file the second one is not the file's own.
        torn = data.endswith(b"\r")
    if not torn:
        out.write(held)
    return places


class _Growing:
    """Follows a file whose CR LF became LF from header to header, and writes what it was."""

    def __init__(self, damaged: DamagedFile, out: BinaryIO) -> None:
        self.file = damaged
        self.end = damaged.size
        self.out = out
        self.places = 0
        self._base = 0
        self._data = b""
        self._budget = 0

    def run(self) -> int:
        """Write the restored file; return how many line ends were restored."""
        at = 0
        while 0 <= at < self.end:
            at = self._record(at)
        return self.places

    def _look(self, at: int, size: int) -> bytes:
        """Return up to so many bytes from an offset (no more than a chunk)."""
        here = at - self._base
        if here < 0 or here + size > len(self._data):
            self._base, here = at, 0
            self._data = self.file.chunk(at, 2 * CHUNK)
        return self._data[here : here + size]

    def _record(self, at: int) -> int:
        """Write a record or an annotation; return where the next one begins, -1 at a torn end."""
        if self._look(at, 1) == b"#":
            line = self._look(at, _LONGEST_LINE)
            size = line.find(b"\n")
            if size < 0:
                return self._rest(at, torn=at + len(line) >= self.end)
            self._line(line[:size])
            return at + size + 1
        header = _HEADER.match(self._look(at, _OVERLAP))
        if header is None or header[1] != b"*":
            return self._rest(at, torn=self.end - at < _OVERLAP)
        self._line(header[0][:-1])
        at += header.end()
        left = int(header[2])
        while left and 0 <= at < self.end:
            at = self._argument(at, left)
            left -= 1
        return at

    def _argument(self, at: int, left: int) -> int:
        """Write one of the arguments of which so many are left; return where the next begins."""
        header = _HEADER.match(self._look(at, _OVERLAP))
        if header is None or header[1] != b"$":
            return self._rest(at, torn=self.end - at < _OVERLAP)
        self._line(header[0][:-1])
        start, size = at + header.end(), int(header[2])
        ends = list(self._ends(start, size, left == 1))
        if len(ends) > 1:
            self._budget = _BUDGET
            fits = [self._fits(one[0] + 1, left - 1, _AHEAD) for one in ends]
            # A file that is whole is taken for that, although a torn one might read the same.
            ends = [one for one, fit in zip(ends, fits) if fit and fit == max(fits)]
        if not ends:
            return self._rest(start, torn=self._is_torn(start, size))
        # Of several the first: with any other the value would hold whole records that follow it.
        (end, missing, feeds), *others = ends
        if others and missing not in (0, feeds):
            raise _refusal("where this value ends cannot be known", start)
        if missing not in (0, feeds):
            message = f"{missing} of the {feeds} in this value were CR LF: which of them cannot be known"
            raise _refusal(message, start)
        for piece in self.file.pieces(start, end):
            self.out.write(piece.replace(b"\n", b"\r\n") if missing else piece)
        self.places += missing
        self._line(b"")
        return end + 1

    def _line(self, text: bytes) -> None:
        self.out.write(text + b"\r\n")
        self.places += 1

    def _rest(self, at: int, *, torn: bool) -> int:
        """Write what is left of a torn file as it is; refuse anything else."""
        if not torn:
            raise _refusal("the lengths do not fit here: there is other damage too", at)
        for piece in self.file.pieces(at, self.end):
            self.out.write(piece)
        return -1

    # -- where a value ends ----------------------------------------------------------------------------------------

    def _is_torn(self, start: int, size: int) -> bool:
        """Return whether the file ends inside a value, however its line ends are counted."""
        feeds, held = 0, b""
        for piece in self.file.pieces(start, self.end):
            feeds += piece.count(b"\n")
            if _BEFORE_RECORD.search(held + piece):
                return False
            held = piece[-_OVERLAP:]
        return self.end - start + feeds < size + 2

    def _ends(self, start: int, size: int, last: bool) -> Iterator[tuple[int, int, int]]:
        """Yield where a value can end: the offset, how many CR are missing before it, and how many LF there are."""
        if start + size < self.end and size < CHUNK:
            # Nearly every value holds no line end, and so has one end only.
            data = self._look(start, size + _OVERLAP)
            if data.find(b"\n", 0, size) < 0:
                if data[size : size + 1] == b"\n" and self._begins(start + size + 1, last):
                    yield start + size, 0, 0
                return
        at, feeds = start, 0
        stop = min(start + size + 1, self.end)
        while at < stop:
            data = self.file.chunk(at, min(CHUNK, stop - at))
            more = data.count(b"\n")
            # Up to here the value is too short even if each LF was CR LF.
            if at + len(data) - start + feeds + more >= size:
                yield from self._ends_in(data, at, start, size, last, feeds)
            feeds += more
            at += len(data)

    def _ends_in(
        self, data: bytes, at: int, start: int, size: int, last: bool, feeds: int
    ) -> Iterator[tuple[int, int, int]]:
        whole = data + self.file.chunk(at + len(data), _OVERLAP)
        found = (_BEFORE_RECORD if last else _BEFORE_ARGUMENT).finditer(whole)
        places = {match.start() for match in found}
        if at + len(whole) == self.end:
            # A header that is torn itself, or nothing, follows the last value.
            places.update(match.start() for match in _AT_END.finditer(whole, max(0, len(whole) - 2 * _OVERLAP)))
        counted = 0
        for place in sorted(places):
            if place >= len(data):
                return
            feeds += data.count(b"\n", counted, place)
            counted = place
            missing = start + size - (at + place)
            if 0 <= missing <= feeds:
                yield at + place, missing, feeds

    def _begins(self, at: int, last: bool) -> bool:
        """Return whether an argument, or after the last one a record, begins here, or the file ends."""
        head = self._look(at, _OVERLAP)
        if not head:
            return True
        if last:
            return head[:1] == b"#" or _COUNT.match(head) is not None or self.end - at < _OVERLAP
        return _HEADER.match(head) is not None or self.end - at < _OVERLAP

    def _fits(self, at: int, left: int, depth: int) -> int:
        """Return whether the elements from here on fit their lengths: 2 if they do, 1 if the file must be torn for it.

        `left` arguments of a record are still to come. Where there is too much to look at they may.
        """
        while depth and at < self.end:
            depth -= 1
            self._budget -= 1
            if self._budget < 0:
                return _WHOLE
            head = self._look(at, _LONGEST_LINE)
            if not left and head[:1] == b"#":
                at += head.find(b"\n") + 1 or len(head)
                continue
            header = _HEADER.match(head)
            if header is None or (header[1] == b"*") == bool(left):
                return _TORN if header is None and self.end - at < _OVERLAP else 0
            at += header.end()
            if not left:
                left = int(header[2])
                continue
            ends = list(self._ends(at, int(header[2]), left == 1))
            left -= 1
            if not ends:
                return _TORN if self._is_torn(at, int(header[2])) else 0
            if len(ends) > 1:
                return max(self._fits(end + 1, left, depth) for end, _, _ in ends)
            at = ends[0][0] + 1
        return _TORN if left and depth else _WHOLE
