"""Check whether a server loads the result of a repair, as `rdbkit check` does, before it is written.

Policies repair only the framing. Other reasons why a server does not load a file, such as an unknown command, remain:
they are reported as faults of the result.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from rdbkit.aof.startup import Startup
from rdbkit.errors import RdbkitError
from rdbkit.recovery.account import Doubt
from rdbkit.recovery.file import DamagedFile
from rdbkit.recovery.ranges import Lost
from rdbkit.releases.target import Target
from rdbkit.wire.cursor import Cursor

#: Maximum number of faults reported for one file.
FAULTS = 20


class Kept:
    """Some ranges of a file as one stream, the source of a cursor."""

    def __init__(self, file: DamagedFile, ranges: Iterable[tuple[int, int]], size: int) -> None:
        self.size = size
        self._pieces = (piece for start, end in ranges for piece in file.pieces(start, end))
        self._held = b""

    def read(self, n: int, /) -> bytes:
        """Return up to n bytes, b"" only at the end."""
        piece = self._held or next(self._pieces, b"")
        self._held = piece[n:]
        return piece[:n]


def faults_of(file: DamagedFile, lost: Sequence[Lost], start: int, target: Target, *, last: bool) -> tuple[Doubt, ...]:
    """Return why a server does not load a file without these ranges; its commands begin at `start`."""
    size = file.size - sum(end - begin for begin, end, _ in lost)
    if size <= start:
        return ()
    cursor = Cursor(source=Kept(file, _kept(lost, start, file.size), size), base=start)
    startup = Startup(cursor, target, last=last)
    faults: list[Doubt] = []
    try:
        for remark in startup.load():
            if remark.severity == "error" and len(faults) < FAULTS:
                faults.append(Doubt(remark.code, remark.message, remark.offset))
    except RdbkitError as error:
        faults.append(Doubt(error.code, error.message, error.offset))
    if startup.problem is not None:
        faults.append(Doubt("bad-aof", "not a valid command for a server", startup.resp.start))
    elif startup.multi is not None and startup.rules.runs_at_exec:
        faults.append(Doubt("open-transaction", "the result ends inside a transaction", startup.multi))
    return tuple(faults)


def _kept(lost: Iterable[Lost], start: int, end: int) -> Iterator[tuple[int, int]]:
    """Yield the ranges from an offset to the file's end that are not lost."""
    for one in lost:
        if one.start > start:
            yield start, one.start
        start = max(start, one.end)
    if start < end:
        yield start, end
