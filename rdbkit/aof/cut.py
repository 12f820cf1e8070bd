"""Requested ends of an AOF: a point in time, an offset, a command. `repair` cuts there, a replay ends there.

The files are read once, in the order in which a server loads them. What is found is the offset of a command or of an
annotation; that no command and no transaction is cut in half is left to the caller.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from rdbkit.aof.resp import Item
from rdbkit.errors import RdbkitError, Unsupported

#: Commands that act on databases other than the current one: for `db` they count in every database.
_EVERYWHERE = frozenset((b"flushall", b"swapdb", b"function", b"script"))


class NothingThere(RdbkitError):
    """The cut point is not in the file, or there is nothing before it."""

    code = "nothing-to-cut"


@dataclass(frozen=True, slots=True)
class Cut:
    """The requested end; of several the first, and `before` is looked for before the others.

    `until_time`: at the first newer annotation (ms since epoch). `until_offset`: in bytes, or before the command that
    spans it. `before`: at the last command that begins with these words, in any case; with `db` only one that acts on
    that database.
    """

    until_time: int | None = None
    until_offset: int | None = None
    before: bytes | None = None
    db: int | None = None

    def __bool__(self) -> bool:
        return any(one is not None for one in (self.until_time, self.until_offset, self.before))

    def __post_init__(self) -> None:
        if self.before is not None and not self.before.split():
            raise ValueError("before: no command name")


class Records(Protocol):
    """A file as its commands and annotations; `start` is the offset of the first, `size` that of the file's end."""

    @property
    def size(self) -> int: ...  # noqa: D102
    @property
    def start(self) -> int: ...  # noqa: D102

    def items(self) -> Iterable[Item]:
        """Yield them in order; the names and the first words of commands must be whole."""


Point = tuple[int, int]


def annotation_time(line: bytes) -> int | None:
    """Return the time of a `#TS:` line in ms since epoch; None for any other line."""
    text = line[4:].strip()
    return int(text) * 1000 if line.startswith(b"#TS:") and text.isdigit() and len(text) < 16 else None


def find_cut(files: Sequence[Records], cut: Cut) -> Point | None:
    """Return the index of the file to cut and the offset, None for no cut.

    Raises NothingThere; Unsupported (code "no-timestamps") for a time if the files have no timestamps; ValueError for
    an offset in several files.
    """
    if cut.until_offset is not None:
        if len(files) > 1:
            raise ValueError("an offset needs a single file: name the file")
        if cut.until_offset < files[0].start:
            raise NothingThere("the offset is inside the RDB part, which cannot be cut", offset=cut.until_offset)
    search = _Search(cut)
    end = next((point for point in search.points(files) if point is not None), None)
    if cut.until_time is not None and not search.timed:
        raise Unsupported("no timestamps in the file (aof-timestamp-enabled was off)", code="no-timestamps")
    if cut.before is not None:
        if search.last is None:
            raise NothingThere(f"no {cut.before.decode('utf-8', 'backslashreplace')} found to cut before")
        return search.last
    return end


class _Search:
    """One search: `last` is the place of the last command looked for, `timed`: there was a timestamp."""

    def __init__(self, cut: Cut) -> None:
        self.cut = cut
        self.words = (cut.before or b"").lower().split()
        self.last: Point | None = None
        self.timed = False

    def points(self, files: Sequence[Records]) -> Iterator[Point | None]:
        """Yield for each file the place at which to end in it, if any."""
        reads = self.cut.until_time is not None or self.cut.before is not None
        for index, file in enumerate(files):
            offset = self._read(index, file) if reads else None
            if offset is None and self.cut.until_offset is not None and self.cut.until_offset < file.size:
                offset = self.cut.until_offset
            yield None if offset is None else (index, offset)

    def _read(self, index: int, file: Records) -> int | None:
        cut, now = self.cut, 0
        for offset, end, args, _ in file.items():
            if cut.until_offset is not None and end > cut.until_offset:
                return cut.until_offset
            if isinstance(args, bytes):
                time = annotation_time(args)
                self.timed = self.timed or time is not None
                if time is not None and cut.until_time is not None and time > cut.until_time:
                    return int(offset)
            elif args:
                if self.words and self._matches(args, now):
                    self.last = index, offset
                if args[0].lower() == b"select" and len(args) == 2 and args[1].isdigit() and len(args[1]) < 10:
                    now = int(args[1])
        return None

    def _matches(self, args: Sequence[bytes], now: int) -> bool:
        name = args[0].lower()
        if name != self.words[0] or [arg.lower() for arg in args[: len(self.words)]] != self.words:
            return False
        return self.cut.db is None or self.cut.db == now or name in _EVERYWHERE
