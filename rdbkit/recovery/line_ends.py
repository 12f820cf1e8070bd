r"""Restore the line ends of an AOF that was copied in text mode, if the lengths in it prove what they were.

    CR LF became LF      *2 LF $3 LF SET LF …    the length of each value shows how many of its line ends were CR LF
    LF became CR LF      *2 CR CR LF …           a CR is removed from each line end

In the first case a value may have contained both LF and CR LF. Its length shows how many of its line ends were CR LF:
none or all can be restored; for some of them the positions are unknown, and the whole file is refused. A value ends
where the following elements fit their own lengths; of several such places the first one is used, if it can be restored.

The result is an unnamed temporary file, which the policies read instead of the damaged file.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator
from typing import BinaryIO

from rdbkit.errors import Corrupt
from rdbkit.recovery.file import CHUNK, DamagedFile

#: Number of elements after a possible end of a value that must fit.
_AHEAD = 64
#: Maximum number of places examined to find the end of one value.
_BUDGET = 4096
#: Longer than a header.
_OVERLAP = 32
_TORN, _WHOLE = 1, 2
_LONGEST_LINE = 1 << 10
_HEADER = re.compile(rb"([$*])([0-9]{1,18})\n")
_COUNT = re.compile(rb"\*[0-9]{1,9}\n\$[0-9]")
#: A line end followed by the next argument or the next record.
_BEFORE_ARGUMENT = re.compile(rb"\n(?=\$[0-9]{1,18}\n)")
_AT_END = re.compile(rb"\n(?=(?:\*[0-9]{0,9}(?:\n(?:\$[0-9]{0,18})?)?|\$[0-9]{0,18}|#[^\n]{0,24})?\Z)")
_BEFORE_RECORD = re.compile(rb"\n(?=\*[1-9][0-9]{0,8}\n\$[0-9]|#)")


class Restored(DamagedFile):
    """A file with restored line ends; path, status and attributes are those of the input.

    `before` is the size of the input, `places` the number of restored line ends.
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
    """Remove the CR from each CR LF, and return their number; refuse a file with an LF without CR."""
    places, held, at, torn = 0, b"", 0, False
    for piece in damaged.pieces(0, damaged.size):
        data = held + piece
        # A CR at the end may belong to an LF in the next piece.
        held = data[len(data) - 1 :] if data.endswith(b"\r") else b""
        data = data[: len(data) - len(held)]
        found = data.count(b"\r\n")
        if found != data.count(b"\n"):
            raise _refusal("an LF without CR shows that not all were converted", at)
        out.write(data.replace(b"\r\n", b"\n"))
        places += found
        at += len(data)
        # In CR CR at the end of a torn file the second CR was added by the conversion.
        torn = data.endswith(b"\r")
    if not torn:
        out.write(held)
    return places


class _Growing:
    """Reads a file whose CR LF became LF, header by header, and writes the original."""

    def __init__(self, damaged: DamagedFile, out: BinaryIO) -> None:
        self.file = damaged
        self.end = damaged.size
        self.out = out
        self.places = 0
        self._base = 0
        self._data = b""
        self._budget = 0

    def run(self) -> int:
        """Write the restored file; return the number of restored line ends."""
        at = 0
        while 0 <= at < self.end:
            at = self._record(at)
        return self.places

    def _look(self, at: int, size: int) -> bytes:
        """Return up to `n` bytes from an offset (at most a chunk)."""
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
        """Write one argument, with `left` arguments remaining; return where the next one begins."""
        header = _HEADER.match(self._look(at, _OVERLAP))
        if header is None or header[1] != b"$":
            return self._rest(at, torn=self.end - at < _OVERLAP)
        self._line(header[0][:-1])
        start, size = at + header.end(), int(header[2])
        ends = list(self._ends(start, size, left == 1))
        if len(ends) > 1:
            self._budget = _BUDGET
            fits = [self._fits(one[0] + 1, left - 1, _AHEAD) for one in ends]
            # Prefer a complete file, although a torn one might look the same.
            ends = [one for one, fit in zip(ends, fits) if fit and fit == max(fits)]
        if not ends:
            return self._rest(start, torn=self._is_torn(start, size))
        # The first of several: with any other the value would contain the complete records after it.
        (end, missing, feeds), *others = ends
        if others and missing not in (0, feeds):
            raise _refusal("the end of this value cannot be determined", start)
        if missing not in (0, feeds):
            message = f"{missing} of the {feeds} in this value were CR LF, but it is unknown which of them"
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
        """Write the rest of a torn file unchanged; refuse anything else."""
        if not torn:
            raise _refusal("the lengths do not fit here: there is also other damage", at)
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
        """Yield possible ends of a value: the offset, the number of missing CRs before it, and the number of LFs."""
        if start + size < self.end and size < CHUNK:
            # Nearly all values contain no line end and so have only one possible end.
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
            # Before this the value is too short even if each LF was a CR LF.
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
            # The last value is followed by a torn header or by nothing.
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
        """Return whether the elements from here on fit their lengths: 2 if they do, 1 only if the file is torn.

        `left` arguments of a record are still missing. If there is too much to examine, they are assumed to fit.
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
