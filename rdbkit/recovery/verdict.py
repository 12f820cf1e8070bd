"""Would a server load what a repair leaves? The answer of `rdbkit check`, for bytes that are not written yet.

What keeps a server from loading a file and is no damage of the framing (a command that nobody knows, say) no policy
takes away: it is a fault of the result, and the repair says so instead of calling it sound.
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

#: Faults that are named for one file.
FAULTS = 20


class Kept:
    """The bytes of some ranges of a file as one stream: what a cursor reads from."""

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
    """Return what keeps a server from loading a file less these ranges, of which the commands begin at an offset."""
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
        faults.append(Doubt("bad-aof", "not a command to a server", startup.resp.start))
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
