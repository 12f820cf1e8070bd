# cython: language_level=3, annotation_typing=False, boundscheck=False, wraparound=False
# cython: cdivision=True, initializedcheck=False
r"""The framing of an append-only file: records, annotations, and the first framing error.

    *<argc>\r\n  { $<length>\r\n  <bytes>\r\n } * argc            #<annotation>\r\n   (where a record may start)

Two programs read this format, with different rules (both measured with Redis 7.0.15):

    dialect     CHECKER: redis-check-aof                LOADER: the server at start
    header      fgets of 128, then \r\n at once         fgets of 1024 (128 before 7.0), whatever follows the number
    value       followed by \r\n                        followed by any two bytes
    argc < 1    an empty record                         bad format
    error       what, and the offset of the element     "format", or "short": the file ends in the middle

A record as written by servers is the same for both and takes the fast path; any deviation is handled by the dialect's
own header parser. Values of any length are skipped; `keep` bytes of each are kept if requested.
"""

from __future__ import annotations

import re
from typing import Any

from rdbkit.wire.cursor import Cursor

CHECKER, LOADER = 0, 1
_CHECKER, _LOADER = CHECKER, LOADER
#: Results of `next` and `scan`.
END, RECORD, ANNOTATION, ERROR = 0, 1, 2, 3
_END, _RECORD, _ANNOTATION, _ERROR = END, RECORD, ANNOTATION, ERROR

#: Maximum line length of each reader: its buffer without the final NUL.
CHECKER_LINE = 127
LOADER_LINE = 1023
OLD_LOADER_LINE = 127
ANNOTATION_LINE = 1023

#: Maximum number of arguments, and approximate bytes of them, kept of a record; `args` may be shorter than `argc`.
_MOST = 1 << 16
_ROOM = 1 << 20

_LONG_MAX = (1 << 63) - 1
_STRTOL = re.compile(rb"[ \t\n\v\f\r]*([+-]?[0-9]+)")

#: (what, offset of the element, two details). what: "prefix" (wanted, got) · "newline" (byte, byte or -1) ·
#: "bytes" (wanted, got) · "range" (length, 0) · "multi" · "exec" · "format" · "short" · "eof" (not reported).
RespProblem = tuple[str, int, int, int]
#: offset, end, arguments (each cut to `keep`) or an annotation's line, full lengths if an argument was cut.
Item = tuple[int, int, Any, Any]


def strtol(text: bytes) -> tuple[int, int]:
    """Return the result of C's strtol for a line: a number, limited to 64 bits, and where it stopped."""
    match = _STRTOL.match(text.split(b"\0", 1)[0])
    if match is None:
        return 0, 0
    # Twenty digits are already out of range; more would only take time.
    digits = match[1]
    sign = -1 if digits[:1] == b"-" else 1
    digits = digits.lstrip(b"+-").lstrip(b"0")
    number = sign * (int(digits or b"0") if len(digits) < 20 else 1 << 64)
    return max(-_LONG_MAX - 1, min(_LONG_MAX, number)), match.end()


class Resp:
    """Reads the records of one file from a cursor, in one of the dialects.

    After RECORD: `start`, `argc`, `args`, `lengths`; after ANNOTATION: `start`, `line_text`; after ERROR: `problem`.
    `element` is the offset of the last header or value begun, `lines` the number of complete ones, `multi` the
    transaction depth of the checker, `good` the end of the last record outside of a transaction.
    """

    def __init__(self, cursor: Cursor, dialect: int = CHECKER, line: int = 0, lines: int = 0) -> None:
        self.cursor = cursor
        self.dialect = dialect
        self.line = line or (CHECKER_LINE if dialect == _CHECKER else LOADER_LINE)
        self.lines = lines
        self.start = cursor.tell()
        self.good = self.start
        self.element = self.start
        self.argc = 0
        self.multi = 0
        self.args: list[bytes] = []
        self.lengths: list[int] = []
        self.cut = False
        self.line_text = b""
        self.problem: RespProblem | None = None
        self.failed = False
        self.verb = 0
        self.room = 0

    # -- many at a time --------------------------------------------------------------------------------------------

    def scan(self, annotations: bool = False) -> int:
        """Read to END or ERROR, or with `annotations` to the next ANNOTATION, keeping nothing.

        MULTI and EXEC are counted as in redis-check-aof; `good` remains before an open transaction.
        """
        while True:
            self._plain()
            if not self.multi:
                self.good = self.cursor.tell()
            status = self.next(0)
            if status == _RECORD:
                continue
            if status != _ANNOTATION or annotations:
                return status

    def _plain(self) -> None:
        """Skip records as written by servers, up to the first other record or the end of the window.

        Gives the same result as `next` at an eighth of the cost; a possible MULTI or EXEC is left to `next`.
        """
        cursor = self.cursor
        view = cursor.view
        end = cursor.end
        # This far before the end, a header needs no bounds check.
        safe = end - 16
        pos = cursor.pos
        while pos < safe and view[pos] == 0x2A:
            argc = 0
            at = pos + 1
            digit = view[at]
            while digit >= 0x30 and digit <= 0x39 and at < pos + 10:
                argc = argc * 10 + digit - 0x30
                at += 1
                digit = view[at]
            if digit != 0x0D or view[at + 1] != 0x0A or argc == 0:
                break
            at += 2
            left = argc
            while left > 0 and at < safe and view[at] == 0x24:
                mark = at
                size = 0
                at += 1
                digit = view[at]
                while digit >= 0x30 and digit <= 0x39 and at < mark + 10:
                    size = size * 10 + digit - 0x30
                    at += 1
                    digit = view[at]
                if digit != 0x0D or view[at + 1] != 0x0A or at == mark + 1:
                    break
                at += 2
                if size > end - at - 2 or view[at + size] != 0x0D or view[at + size + 1] != 0x0A:
                    break
                # One of M and E, then one of D, E, L and M.
                if left == argc and size > 3 and (view[at] | 0x28) == 0x6D and (view[at + 2] | 0x29) == 0x6D:
                    break
                self.element = cursor.base + at
                at += size + 2
                left -= 1
            if left > 0:
                break
            self.lines += 1 + 2 * argc
            pos = at
        cursor.pos = pos

    def batch(self, limit: int, keep: int, out: list[Item]) -> int:
        """Append up to `limit` records and annotations to `out`; return RECORD, or END or ERROR when one was met."""
        cursor = self.cursor
        held = 0
        while limit > 0 and held < 1048576:
            status = self.next(keep)
            if status == _RECORD:
                out.append((self.start, cursor.tell(), self.args, self.lengths if self.cut else None))
                held += cursor.tell() - self.start if keep else 0
            elif status == _ANNOTATION:
                out.append((self.start, cursor.tell(), self.line_text, None))
            else:
                return status
            limit -= 1
        return _RECORD

    # -- one at a time ---------------------------------------------------------------------------------------------

    def next(self, keep: int) -> int:
        """Read one record or annotation; keep up to `keep` bytes of each argument (0: none)."""
        cursor = self.cursor
        if cursor.pos >= cursor.end and cursor.at_end():
            self.start = cursor.tell()
            return _END
        self.start = cursor.base + cursor.pos
        first = cursor.view[cursor.pos]
        if first == 0x23:
            return self._annotation()
        if first != 0x2A:
            return self._fail("format", self.start, first, 0)
        self.failed = False
        argc = self._number(0x2A)
        if self.failed:
            return _ERROR
        if self.dialect == _LOADER:
            # The server keeps it in an int.
            argc &= 0xFFFFFFFF
            if argc > 0x7FFFFFFF:
                argc -= 0x100000000
            if argc < 1:
                return self._fail("format", self.start, 0, 0)
        self.argc = argc
        self.cut = False
        if keep:
            self.room = _ROOM
            self.args = []
            self.lengths = []
        index = 0
        while index < argc:
            if not self._argument(index, keep):
                return _ERROR
            index += 1
        return _RECORD

    def _annotation(self) -> int:
        """Skip a line that starts with #; text beyond the buffer counts as the next line."""
        self.element = self.start
        self.line_text = self._line(ANNOTATION_LINE)
        return _ANNOTATION

    def _line(self, limit: int) -> bytes:
        """Read like fgets: up to and including a line feed, at most `limit` bytes."""
        cursor = self.cursor
        while cursor.end - cursor.pos < limit and cursor.more(limit):
            pass
        text = cursor.data[cursor.pos : min(cursor.end, cursor.pos + limit)]
        size = text.find(b"\n") + 1
        return cursor.take(size or len(text))

    def _number(self, prefix: int) -> int:
        """Read a header; on a problem set `failed`."""
        cursor = self.cursor
        pos = cursor.pos
        # The fast path: the mark, one to nine digits, CR LF, all in the window.
        if cursor.end - pos > 12 and cursor.view[pos] == prefix:
            number = 0
            at = pos + 1
            digit = cursor.view[at]
            while digit >= 0x30 and digit <= 0x39 and at < pos + 10:
                number = number * 10 + digit - 0x30
                at += 1
                digit = cursor.view[at]
            if digit == 0x0D and at > pos + 1 and cursor.view[at + 1] == 0x0A:
                self.element = cursor.base + pos
                cursor.pos = at + 2
                self.lines += 1
                return number
        return self._odd_number(prefix)

    def _odd_number(self, prefix: int) -> int:
        """Read any header by the rules of the dialect."""
        self.element = self.cursor.tell()
        if self.cursor.at_end():
            return self._fail_number("eof", self.element, 0, 0)
        text = self._line(self.line)
        if text[0] != prefix:
            what = "prefix" if self.dialect == _CHECKER else "format"
            return self._fail_number(what, self.element, prefix, text[0])
        number, end = strtol(text[1:])
        if self.dialect == _LOADER:
            if len(text) == 1 and prefix == 0x2A:
                return self._fail_number("short", self.element, 0, 0)
            self.lines += 1
            return number
        rest = text[1 + end : 3 + end]
        if rest != b"\r\n":
            return self._fail_number("newline", self.element, rest[0] if rest else 0, rest[1] if len(rest) > 1 else -1)
        self.lines += 1
        return number

    def _argument(self, index: int, keep: int) -> bool:
        """Read one argument; False on a problem."""
        cursor = self.cursor
        size = self._number(0x24)
        if self.failed:
            return False
        if size < 0 or (size > _LONG_MAX - 2 and self.dialect == _CHECKER):
            self._fail("range" if self.dialect == _CHECKER else "format", self.element, size, 0)
            return False
        start = cursor.base + cursor.pos
        self.element = start
        if size <= cursor.end - cursor.pos - 2:
            at = cursor.pos
            # Only if it starts with M or E can it be MULTI or EXEC.
            if index == 0 and size > 3 and (cursor.view[at] | 0x28) == 0x6D:
                self._transaction(cursor.view[at : at + min(size, 6)])
            if keep and (index >= _MOST or self.room <= 0):
                self.cut = True
            elif keep:
                self.room -= size
                self.lengths.append(size)
                if size > keep:
                    self.cut = True
                    self.args.append(cursor.view[at : at + keep])
                else:
                    self.args.append(cursor.view[at : at + size])
            cursor.pos = at + size + 2
            if self.dialect == _CHECKER and not (cursor.view[at + size] == 0x0D and cursor.view[at + size + 1] == 0x0A):
                self._fail("newline", start, cursor.view[at + size], cursor.view[at + size + 1])
                return False
            self.lines += 1
        elif not self._long_argument(index, size, keep):
            return False
        return self._balanced(index)

    def _long_argument(self, index: int, size: int, keep: int) -> bool:
        """Read an argument that is not completely in the window."""
        cursor = self.cursor
        start = self.element
        wanted = min(size, keep if keep > 6 else 6)
        while cursor.end - cursor.pos < wanted and cursor.more(wanted):
            pass
        head = cursor.data[cursor.pos : min(cursor.end, cursor.pos + wanted)]
        if index == 0:
            self._transaction(head[:6])
        got = self._step(size)
        if got == size:
            while cursor.end - cursor.pos < 2 and cursor.more(2):
                pass
            tail = cursor.data[cursor.pos : min(cursor.end, cursor.pos + 2)]
            got += len(tail)
            cursor.pos += len(tail)
        if got - size < 2:
            wanted = size if size > _LONG_MAX - 2 else size + 2
            self._fail("bytes" if self.dialect == _CHECKER else "short", start, wanted, got)
            return False
        if self.dialect == _CHECKER and tail != b"\r\n":
            self._fail("newline", start, tail[0], tail[1])
            return False
        self.lines += 1
        if keep and (index >= _MOST or self.room <= 0):
            self.cut = True
        elif keep:
            self.room -= len(head)
            self.lengths.append(size)
            self.cut = self.cut or size > keep
            self.args.append(head[:keep])
        return True

    def _step(self, size: int) -> int:
        """Skip up to `size` bytes; return how many there were."""
        cursor = self.cursor
        # If the total length is known, a claim beyond it can be rejected without reading.
        if cursor.size >= 0 and size > cursor.size - cursor.base - cursor.pos:
            return cursor.size - cursor.base - cursor.pos
        left = size
        while left > cursor.end - cursor.pos:
            left -= cursor.end - cursor.pos
            cursor.pos = cursor.end
            if not cursor.more(1):
                return size - left
        cursor.pos += left
        return size

    # -- transactions and problems ---------------------------------------------------------------------------------

    def _transaction(self, name: bytes) -> None:
        """Record whether a first argument is MULTI (1) or EXEC (-1): compared up to a NUL, in any case."""
        word = name.split(b"\0", 1)[0].lower()
        self.verb = 1 if word == b"multi" else -1 if word == b"exec" else 0

    def _balanced(self, index: int) -> bool:
        """Count the transaction that the first argument opened or closed; False if that is not allowed."""
        if index or not self.verb:
            return True
        verb, self.verb = self.verb, 0
        if self.dialect == _LOADER:
            return True
        if verb > 0:
            self.multi += 1
            if self.multi > 1:
                self._fail("multi", self.element, 0, 0)
                return False
            return True
        self.multi -= 1
        if self.multi:
            self._fail("exec", self.element, 0, 0)
            return False
        return True

    def _fail(self, what: str, offset: int, first: int, second: int) -> int:
        self.failed = True
        self.problem = (what, offset, first, second)
        return _ERROR

    def _fail_number(self, what: str, offset: int, first: int, second: int) -> int:
        self._fail(what, offset, first, second)
        return 0
