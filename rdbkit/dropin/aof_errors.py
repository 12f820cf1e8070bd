r"""The messages of redis-check-aof for an invalid record: the findings of aof/resp.py in its words.

    0x              5d: Expected to read 5 bytes, got 2 bytes
    ↑ offset of the element, padded with blanks

Bytes are printed as in C: a char is signed, so %02x of one above 127 has eight digits, and text ends at a NUL. If the
tool prints memory that it did not write, a 0 is printed here; if it cannot allocate memory, OutOfMemory is raised.
"""

from __future__ import annotations

from rdbkit.aof.resp import Resp, RespProblem, strtol
from rdbkit.releases.check_tools import Tool

#: Sizes of the tools' buffers for an error, and for a line of their log.
TEXT = 1023
#: No process has more memory: x86-64 has addresses of 47 bits.
_ADDRESSES = 1 << 47
_LONG = 1 << 63


class OutOfMemory(Exception):
    """The tool fails to allocate `size` bytes, and crashes."""

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self.size = size


def error_line(offset: int, text: bytes) -> bytes:
    """Return an error as the tool prints it, cut to its buffers."""
    return (b"0x%16x: %b" % (offset, text[:TEXT])).partition(b"\0")[0]


def described(tool: Tool, problem: RespProblem, resp: Resp) -> tuple[int, bytes]:
    """Return the offset and text of a problem; no text if the tool prints nothing. Raises OutOfMemory."""
    what, offset, first, second = problem
    if what == "range":
        return _range(tool, resp, offset, first)
    if what == "bytes" and first >= _ADDRESSES:
        raise OutOfMemory(first)
    if what == "prefix" or what == "format":
        wanted, got = (first, second) if what == "prefix" else (ord("*"), first)
        # Up to 3.2 the tool swaps them.
        shown = (got, wanted) if tool.swapped_prefixes else (wanted, got)
        return offset, b"Expected prefix '%c', got: '%c'" % shown
    if what == "newline":
        return offset, _no_newline(first, max(second, 0))
    if what == "bytes":
        return offset, b"Expected to read %d bytes, got %d bytes" % (first, second)
    return offset, {"multi": b"Unexpected MULTI", "exec": b"Unexpected EXEC"}.get(what, b"")


def _range(tool: Tool, resp: Resp, offset: int, size: int) -> tuple[int, bytes]:
    """Describe an impossible length; before 7.0 the value is read in any case, with two bytes for its CR LF."""
    if tool.aof_sets:
        return offset, b"Expected to read string of %d bytes, which is not in the suitable range" % size
    start = resp.cursor.tell()
    if size not in (-1, -2):
        raise OutOfMemory((size + 2) % (2 * _LONG))
    if size == -2:
        return start, _no_newline(0, 0)
    if resp.cursor.at_end():
        return start, b"Expected to read 1 bytes, got 0 bytes"
    return start, _no_newline(0, resp.cursor.u8())


def _no_newline(first: int, second: int) -> bytes:
    return b"Expected \\r\\n, got: " + _hex(first) + _hex(second)


def _hex(byte: int) -> bytes:
    return b"%02x" % (byte if byte < 0x80 else byte | 0xFFFFFF00)


def to_long(text: bytes) -> tuple[int, int, bool]:
    """Return the result of strtol for a text: the number, where it stopped, and whether it fits in a long."""
    number, end = strtol(text)
    if -_LONG < number < _LONG - 1:
        return number, end, True
    return number, end, text[:end].lstrip(b" \t\n\v\f\r+-0") == b"%d" % abs(number)
