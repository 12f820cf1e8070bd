"""Framing: each row is read on both builds, whole, a byte at a time, and cut at every offset."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

CHECKER, LOADER = 0, 1
END, RECORD, ANNOTATION, ERROR = 0, 1, 2, 3
STATUS = ("end", "record", "annotation", "error")

SET = b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$2\r\nvv\r\n"
MULTI = b"*1\r\n$5\r\nMULTI\r\n"
EXEC = b"*1\r\n$4\r\nEXEC\r\n"
LONG = b"*1\r\n$300000\r\n" + b"x" * 300000 + b"\r\n"

#: name, bytes, what the checker finds, what the loader finds: None, or (what, offset, two details).
ROWS: list[tuple[str, bytes, Any, Any]] = [
    ("nothing", b"", None, None),
    ("a record", SET, None, None),
    ("two", SET + SET, None, None),
    ("empty arguments", b"*2\r\n$0\r\n\r\n$0\r\n\r\n", None, None),
    ("a value over the window", LONG + SET, None, None),
    ("annotation", b"#TS:1\r\n" + SET, None, None),
    ("annotation, LF", b"#TS:1\n" + SET, None, None),
    ("annotation at the end", SET + b"#TS:1", None, None),
    ("annotation of 1023 bytes", b"#" + b"x" * 1021 + b"\n" + SET, None, None),
    ("annotation of 1024 bytes", b"#" + b"x" * 1022 + b"\n", ("format", 1023, 10, 0), ("format", 1023, 10, 0)),
    ("leading zeros, blanks, plus", b"* \t+001\r\n$ 01\r\nx\r\n", None, None),
    ("no digits", b"*\r\n" + SET, None, ("format", 0, 0, 0)),
    ("no length", b"*1\r\n$\r\n\r\n", None, None),
    ("argc 0", b"*0\r\n" + SET, None, ("format", 0, 0, 0)),
    ("argc -1", b"*-1\r\n" + SET, None, ("format", 0, 0, 0)),
    ("argc over an int", b"*4294967297\r\n$1\r\nx\r\n", ("eof", 20, 0, 0), None),
    ("argc over a long", b"*99999999999999999999\r\n$1\r\nx\r\n", ("eof", 30, 0, 0), ("format", 0, 0, 0)),
    ("LF after argc", b"*1\n$1\r\nx\r\n", ("newline", 0, 10, -1), None),
    ("text after argc", b"*1x\r\n$1\r\nx\r\n", ("newline", 0, 120, 13), None),
    ("blank after a length", b"*1\r\n$1 \r\nx\r\n", ("newline", 4, 32, 13), None),
    ("NUL in argc", b"*1\0\r\n$1\r\nx\r\n", ("newline", 0, 0, 13), None),
    ("value one shorter", b"*1\r\n$3\r\nabcd\r\n", ("newline", 8, 100, 13), ("format", 13, 10, 0)),
    ("two other bytes after a value", b"*1\r\n$1\r\nx--", ("newline", 8, 45, 45), None),
    ("another prefix", b"*1\r\n*1\r\n", ("prefix", 4, 36, 42), ("format", 4, 36, 42)),
    ("NUL for a prefix", b"*1\r\n\0\r\n", ("prefix", 4, 36, 0), ("format", 4, 36, 0)),
    ("no record", SET + b"PING\r\n", ("format", 28, 80, 0), ("format", 28, 80, 0)),
    ("zeros", SET + bytes(9), ("format", 28, 0, 0), ("format", 28, 0, 0)),
    ("length -1", b"*1\r\n$-1\r\n", ("range", 4, -1, 0), ("format", 4, -1, 0)),
    ("length LONG_MAX", b"*1\r\n$9223372036854775807\r\nx", ("range", 4, 2**63 - 1, 0), ("short", 26, 2**63 - 1, 1)),
    ("LONG_MAX - 2", b"*1\r\n$9223372036854775805\r\nx", ("bytes", 26, 2**63 - 1, 1), ("short", 26, 2**63 - 1, 1)),
    ("512 MB that are not there", b"*1\r\n$536870912\r\nxyz", ("bytes", 16, 536870914, 3), ("short", 16, 536870914, 3)),
    ("cut in the last CRLF", b"*1\r\n$1\r\nx\r", ("bytes", 8, 3, 2), ("short", 8, 3, 2)),
    ("only the mark", b"*", ("newline", 0, 0, -1), ("short", 0, 0, 0)),
    ("header of 127 bytes", b"*" + b" " * 123 + b"1\r\n$1\r\nx\r\n", None, None),
    ("header of 128 bytes", b"*" + b" " * 124 + b"1\r\n$1\r\nx\r\n", ("newline", 0, 13, -1), None),
    ("transaction", MULTI + SET + EXEC + SET, None, None),
    ("transaction, lower case", MULTI.lower() + EXEC.lower(), None, None),
    ("MULTI up to a NUL", b"*1\r\n$8\r\nmulti\0xx\r\n" + EXEC, None, None),
    ("MULTI in MULTI", MULTI + SET + MULTI + SET, ("multi", 51, 0, 0), None),
    ("EXEC alone", SET + EXEC + SET, ("exec", 36, 0, 0), None),
    ("EXEC as an argument", b"*2\r\n$3\r\nDEL\r\n$4\r\nEXEC\r\n", None, None),
    (
        "others with M and E",
        b"*1\r\n$4\r\nMSET\r\n*1\r\n$6\r\nEXPIRE\r\n*1\r\n$6\r\nEXECUT\r\n*1\r\n$5\r\nMULT\0\r\n",
        None,
        None,
    ),
]
IDS = [row[0] for row in ROWS]


class Bytes:
    """A source that gives at most `step` bytes at a time."""

    size = -1

    def __init__(self, data: bytes, step: int) -> None:
        self.data = data
        self.step = step
        self.at = 0

    def read(self, n: int, /) -> bytes:
        piece = self.data[self.at : self.at + min(n, self.step)]
        self.at += len(piece)
        return piece


def resp(build: Any, data: bytes, dialect: int, step: int = 1 << 20, lines: int = 0) -> Any:
    cursor = build("wire.cursor").Cursor(source=Bytes(data, step))
    return build("aof.resp").Resp(cursor, dialect, lines=lines)


def state(reader: Any, status: int) -> tuple[Any, ...]:
    problem = reader.problem if status == ERROR else None
    return STATUS[status], problem, reader.good, reader.element, reader.lines, reader.multi, reader.cursor.tell()


def scanned(build: Any, data: bytes, dialect: int, step: int = 1 << 20) -> tuple[Any, ...]:
    reader = resp(build, data, dialect, step)
    return state(reader, reader.scan())


def stepped(build: Any, data: bytes, dialect: int, keep: int, step: int = 1 << 20) -> tuple[Any, ...]:
    """Read one by one, counted as by `scan`; return its state, and what was read."""
    reader = resp(build, data, dialect, step)
    seen = []
    while True:
        if not reader.multi:
            reader.good = reader.cursor.tell()
        status = reader.next(keep)
        if status == RECORD:
            seen.append((reader.start, list(reader.args) if keep else None, list(reader.lengths) if keep else None))
        elif status == ANNOTATION:
            seen.append((reader.start, reader.line_text, None))
        else:
            return state(reader, status), seen


@pytest.mark.parametrize("dialect", [CHECKER, LOADER], ids=["checker", "loader"])
@pytest.mark.parametrize("row", ROWS, ids=IDS)
def test_rows(build, row, dialect):
    _, data, *wanted = row
    status, problem, *_ = whole = scanned(build, data, dialect)
    assert (status, problem) == (("error", wanted[dialect]) if wanted[dialect] else ("end", None))
    steps = (1, 3) if len(data) < 5000 else (40_001,)
    for step in steps:
        assert scanned(build, data, dialect, step) == whole
        assert stepped(build, data, dialect, 0, step)[0] == whole
        assert stepped(build, data, dialect, 4, step)[0] == whole


@pytest.mark.parametrize("dialect", [CHECKER, LOADER], ids=["checker", "loader"])
@pytest.mark.parametrize(
    "data", [SET + MULTI + SET + EXEC + SET, b"#TS:1\r\n" + SET + b"#TS:2\r\n" + SET], ids=["plain", "stamped"]
)
def test_cut_at_every_offset(build, dialect, data):
    """Everything before the cut is read as if nothing had been cut; `good` is the end of the last record."""
    ends = _ends(build, data, dialect)
    for cut in range(len(data) + 1):
        got = scanned(build, data[:cut], dialect)
        status, problem, good, *_ = got
        assert good == max(end for end in ends if end <= cut) or b"#" in data
        assert (status == "end") == (
            cut in _boundaries(build, data, dialect) or data[:cut].rpartition(b"\n")[2][:1] == b"#"
        )
        if problem:
            assert problem[0] in (("newline", "bytes", "eof") if dialect == CHECKER else ("short", "eof"))
            assert problem[1] <= cut
        for step in (1, 7):
            assert scanned(build, data[:cut], dialect, step) == got
            assert stepped(build, data[:cut], dialect, 9, step)[0] == got


def _boundaries(build: Any, data: bytes, dialect: int) -> list[int]:
    reader = resp(build, data, dialect)
    found = [0]
    while reader.next(0) != END:
        found.append(reader.cursor.tell())
    return found


def _ends(build: Any, data: bytes, dialect: int) -> list[int]:
    """Return where a record outside of a transaction ends."""
    reader = resp(build, data, dialect)
    found = [0]
    while reader.next(0) != END:
        if not reader.multi:
            found.append(reader.cursor.tell())
    return found


def test_what_is_kept(build):
    data = b"*2\r\n$3\r\nabc\r\n$1\r\nd\r\n"
    assert stepped(build, data, CHECKER, 2)[1] == [(0, [b"ab", b"d"], [3, 1])]
    assert stepped(build, data, CHECKER, 3, 1)[1] == [(0, [b"abc", b"d"], [3, 1])]
    assert stepped(build, LONG, LOADER, 5)[1] == [(0, [b"xxxxx"], [300000])]
    assert stepped(build, LONG, LOADER, 300001, 999)[1] == [(0, [b"x" * 300000], [300000])]


def test_batches(build):
    module = build("aof.resp")
    data = SET + b"#TS:5\r\n" + SET * 3 + b"*"
    reader = resp(build, data, CHECKER)
    out: list[Any] = []
    assert reader.batch(2, 2, out) == module.RECORD
    assert out == [(0, 28, [b"SE", b"k", b"vv"], [3, 1, 2]), (28, 35, b"#TS:5\r\n", None)]
    assert reader.batch(9, 3, out) == module.ERROR
    assert [item[:2] for item in out[2:]] == [(35, 63), (63, 91), (91, 119)]
    assert out[2][2:] == ([b"SET", b"k", b"vv"], None)


def test_annotations_stop_a_scan_that_wants_them(build):
    module = build("aof.resp")
    reader = resp(build, MULTI + b"#TS:5\r\n" + SET + EXEC, CHECKER)
    assert reader.scan(True) == module.ANNOTATION
    assert (reader.start, reader.good, reader.line_text) == (15, 0, b"#TS:5\r\n")
    assert reader.scan(True) == module.END
    assert reader.good == 15 + 7 + 28 + 14


@pytest.mark.parametrize(
    ("text", "number", "end"),
    [
        (b"12x", 12, 2),
        (b" \t-7\r\n", -7, 4),
        (b"+", 0, 0),
        (b" x", 0, 0),
        (b"1\0002", 1, 1),
        (b"9223372036854775808", 2**63 - 1, 19),
        (b"-99999999999999999999999", -(2**63), 24),
        (b"0" * 5000 + b"5", 5, 5001),
    ],
)
def test_strtol(build, text, number, end):
    assert build("aof.resp").strtol(text) == (number, end)


PIECES = st.sampled_from(
    [
        SET,
        MULTI,
        EXEC,
        b"*",
        b"$",
        b"#",
        b"\r\n",
        b"\n",
        b"\r",
        b"\0",
        b"1",
        b"0",
        b"-",
        b" ",
        b"+",
        b"9" * 9,
        b"9" * 10,
    ]
    + [
        b"#TS:1\r\n",
        b"*1\r\n",
        b"*2\r\n",
        b"$4\r\nexec\r\n",
        b"$5\r\nMulti\r\n",
        b"$6\r\nexec\0x\r\n",
        b"$1\r\nx\r\n",
        b"$-1\r\n",
    ]
    + [b"9223372036854775807", b"9223372036854775805", b" " * 130, b"#" + b"z" * 1030, b"\xff"]
)


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    pieces=st.lists(PIECES, max_size=12),
    dialect=st.sampled_from([CHECKER, LOADER]),
    step=st.sampled_from([1, 2, 17, 1 << 20]),
)
def test_builds_and_methods_agree(builds, pieces, dialect, step):
    data = b"".join(pieces)
    pure, compiled = builds
    wanted = scanned(pure, data, dialect)
    assert scanned(compiled, data, dialect) == wanted
    assert scanned(compiled, data, dialect, step) == wanted
    state, seen = stepped(pure, data, dialect, 5, step)
    assert state == wanted
    assert stepped(compiled, data, dialect, 5) == (state, seen)
