r"""Resynchronise after damage: find where the next trusted record begins.

    … record record ██████████ record record record …
                    ↑ start    ↑ end: the first record of a run that is trusted

A run is trusted if four records in a row, or all records up to the end of the file, are well-formed and look like
commands; fewer are enough if each is a known command with the right number of arguments. The contents of a value are
never treated as records:

* if a value's header is intact, it gives the end of the value: records that end exactly there are its contents;
* a run that ends at a CR LF, followed by a record or an argument, was a value, and is skipped as a whole (unless it is
  longer than any value);
* after a record that claims more bytes than the file has (usually a torn tail), only a run up to the end of the file is
  trusted.

Damage may be detected late. A smaller argument count, or a length that now ends inside of a later record, is noticed
only where the next record should start: then the previous record is the damaged one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from rdbkit.aof.resp import END, ERROR, RECORD, Item, Resp, RespProblem
from rdbkit.recovery.file import CHUNK, DamagedFile
from rdbkit.releases.commands import COMMANDS, CONTAINERS, arity_fits, spec_of

#: Bytes kept of each argument: enough for command names and to identify keys.
KEPT_NAME = 64
#: Number of records in a row that make a run trusted.
TRUST = 4
#: Minimum bytes of a record: *1 CR LF $1 CR LF x CR LF.
LEAST = 11
#: Maximum bytes of a value that servers write by default (proto-max-bulk-len).
LONGEST = 1 << 29
_NEARLY = 1 << 20
_FIRST = 1 << 12
_BATCH = 512
_SHORT = ("eof", "bytes")

PLAIN, CONTROL, UNKNOWN, BAD = range(4)
_CONTROL = frozenset((b"multi", b"exec", b"select"))
_NAME = re.compile(rb"[A-Za-z][A-Za-z0-9._|-]*")
#: The header of a value; the start of a record with a name; an annotation before a record.
_MARK = re.compile(
    rb"\$([0-9]{1,18})\r\n|\*[1-9][0-9]{0,8}\r\n(?=\$[1-9][0-9]?\r\n[A-Za-z])|#TS:[0-9]{1,15}\r\n(?=\*[1-9])"
)
#: Longer than any match or look-ahead of _MARK.
_OVERLAP = 64
_FOLLOWS = re.compile(rb"\*[1-9][0-9]{0,8}\r\n|\$[0-9]{1,18}\r\n|#TS:")
_ARGUMENT = re.compile(rb"\$([0-9]{1,18})\r\n")
_START = re.compile(rb"\*[1-9][0-9]{0,8}\r\n\$|#TS:")


@dataclass(frozen=True, slots=True)
class Damage:
    """Bytes that are not records, from `start` to `end`, and the first problem."""

    start: int
    end: int
    problem: RespProblem


def judge(args: list[bytes]) -> int:
    """Classify a command: PLAIN, CONTROL (MULTI, EXEC, SELECT), UNKNOWN, or BAD (not written by any server)."""
    if not args or not _NAME.fullmatch(args[0]):
        return BAD
    spec = spec_of(args)
    if spec is None:
        name = args[0].lower()
        known = name in COMMANDS or (name in CONTAINERS and len(args) > 1)
        return BAD if known else UNKNOWN
    if not arity_fits(spec, len(args)):
        return BAD
    return CONTROL if args[0].lower() in _CONTROL else PLAIN


class RecordReader:
    """Reads the records of a range; a misplaced MULTI or EXEC is not treated as damage.

    `start` is the offset of the last record begun; `problem` says why reading ended.
    """

    def __init__(self, file: DamagedFile, start: int, end: int | None = None) -> None:
        self.file = file
        self.end = end
        self.resp = Resp(file.cursor(start, end))

    @property
    def start(self) -> int:
        """Offset of the record or annotation begun last."""
        return self.resp.start

    def batch(self, limit: int, out: list[Item], keep: int = KEPT_NAME) -> int:
        """Append records and annotations; RECORD when there may be more, END or ERROR."""
        status: int = self.resp.batch(limit, keep, out)
        if status == ERROR and self.problem[0] in ("multi", "exec"):
            self._again()
            return RECORD
        return status

    def next(self) -> int:
        """Skip one record or annotation."""
        status: int = self.resp.next(0)
        if status == ERROR and self.problem[0] in ("multi", "exec"):
            self._again()
            status = self.resp.next(0)
        return status

    def scan(self) -> int:
        """Read up to END or ERROR."""
        status: int = self.resp.scan()
        while status == ERROR and self.problem[0] in ("multi", "exec"):
            self._again()
            status = self.resp.scan()
        return status

    @property
    def problem(self) -> RespProblem:
        """The problem, after ERROR."""
        assert self.resp.problem is not None
        return self.resp.problem

    def _again(self) -> None:
        """Go back before a MULTI or EXEC that the checker does not expect, and make it expected."""
        start, cursor = self.resp.start, self.resp.cursor
        expected = 1 if self.problem[0] == "exec" else 0
        if start >= cursor.base:
            cursor.pos = start - cursor.base
        else:
            self.resp = Resp(self.file.cursor(start, self.end))
        self.resp.multi = expected


class AofRecords:
    """The records of a file from an offset to its end, some hundreds at a time, and the damage between them.

    The caller may reject a record (`void`): reading then continues inside of it.
    """

    def __init__(self, file: DamagedFile, start: int) -> None:
        self.file = file
        self._at = start
        self._void = False

    @property
    def moved(self) -> bool:
        """Whether reading continues elsewhere than after the last result."""
        return self._void

    def void(self, item: Item) -> Damage:
        """Reject a record; return its damaged part. If then `moved`, everything after it is rejected too."""
        start, end, args, lengths = item
        problem = ("format", start, 0, 0)
        size = lengths[0] if lengths else len(args[0]) if args else 0
        if size <= KEPT_NAME and not (args and b"\n" in args[0]):
            return Damage(start, end, problem)
        # The name is invalid because its length is wrong: it contains the following records.
        header = _ARGUMENT.search(self.file.at(start, 64))
        suspect = start + header.end() + size + 2 if header else -1
        self._at = resync(self.file, start + 1, suspect=suspect, floor=start)
        self._void = True
        return Damage(start, self._at, problem)

    def __iter__(self) -> Iterator[list[Item] | Damage]:
        while self._at < self.file.end:
            reader = RecordReader(self.file, self._at)
            self._void = False
            yield from self._run(reader)

    def _run(self, reader: RecordReader) -> Iterator[list[Item] | Damage]:
        status = RECORD
        # The last record is held back: the error after it may be its own.
        items: list[Item] = []
        while status == RECORD:
            status = reader.batch(_BATCH, items)
            if status == RECORD and len(items) > 1:
                yield items[:-1]
                if self._void:
                    return
                del items[:-1]
        damage = _damage(self.file, reader, items) if status == ERROR else None
        if items:
            yield items
            if self._void:
                return
        self._at = self.file.end if damage is None else damage.end
        if damage is not None:
            yield damage


def _damage(file: DamagedFile, reader: RecordReader, items: list[Item]) -> Damage:
    """Return which bytes are damaged, after an error; remove the last record if it is the cause."""
    start, problem = reader.start, reader.problem
    if problem[0] == "format" and items and items[-1][1] == start and _blamed(file, items[-1], start):
        start = items.pop()[0]
    suspect = problem[1] if problem[0] == "prefix" else -1
    found = resync(file, start + 1, whole=problem[0] in _SHORT, suspect=suspect, floor=start)
    return Damage(start, found, problem)


def is_break(file: DamagedFile, at: int) -> bool:
    """Return whether a value seems to end here: CR LF, then a record, an argument or the end of the file."""
    return file.at(at, 2) == b"\r\n" and follows(file, at + 2)


def follows(file: DamagedFile, at: int) -> bool:
    """Return whether a record, an annotation or an argument seems to begin here, or the file ends."""
    return at == file.end or _FOLLOWS.match(file.at(at, 24)) is not None


def _blamed(file: DamagedFile, last: Item, at: int) -> bool:
    """Return whether the record before an offset, where no record starts, is the damaged one."""
    if not isinstance(last[2], list):
        return False
    more = _arguments(file, at)
    if more and judge(last[2] + more) != BAD:
        return True
    found = resync(file, last[0] + 1, limit=last[1], floor=last[0])
    return found < last[1] and not _Claims(file, -1).nested(found, last[1] - 2)


def _arguments(file: DamagedFile, at: int) -> list[bytes]:
    """Return arguments without a record, if a record or the end of the file follows them; else [].

    Also [] if they make a complete command, because then only its count is missing.
    """
    args: list[bytes] = []
    while match := _ARGUMENT.match(file.at(at, 24)):
        start = at + match.end()
        at = start + int(match[1])
        if file.at(at, 2) != b"\r\n":
            return []
        args.append(file.at(start, min(int(match[1]), KEPT_NAME)) if len(args) < 2 else b"")
        at += 2
    sound = at == file.end or _START.match(file.at(at, 16)) is not None
    return args if args and sound and judge(args) not in (PLAIN, CONTROL) else []


# -- finding the next record -------------------------------------------------------------------------------------------


class _Claims:
    """Values whose headers were passed and whose ends are still ahead."""

    def __init__(self, file: DamagedFile, suspect: int) -> None:
        self._file = file
        self._suspect = suspect
        self._ends: list[int] = []
        self.last = (-1, -1)

    def add(self, header: int, start: int, size: int) -> None:
        """Add a header that begins and ends at these offsets, if its value has a valid end."""
        end = start + size
        self.last = (start, end)
        if size >= LEAST and end + 2 <= self._file.end and is_break(self._file, end):
            self._ends.append(end)

    def around(self, at: int) -> list[int]:
        """Return the ends of the values that contain an offset, the nearest first."""
        self._ends = sorted({end for end in self._ends if end > at})[:64]
        return self._ends

    def nested(self, at: int, end: int) -> bool:
        """Return whether the records from an offset are the contents of a value that ends at `end`."""
        # A damaged length may by chance end with the last argument of a record: it is ignored.
        borders = (end,) if end + 2 == self._suspect else (end, end + 2)
        reader = RecordReader(self._file, at)
        while True:
            if reader.next() in (END, ERROR):
                return reader.start <= end
            border = reader.resp.cursor.tell()
            if border in borders:
                return True
            if border > end + 2:
                return False


def resync(
    file: DamagedFile, start: int, *, limit: int | None = None, whole: bool = False, suspect: int = -1, floor: int = -1
) -> int:
    """Return the start of the first trusted run at or after an offset; the file's end if there is none.

    `limit`: it must begin before that. `whole`: it must extend to the file's end. `suspect`: the element at this offset
    does not match the value before it. `floor`: headers of values are trusted from here on.
    """
    claims = _Claims(file, suspect)
    stop = file.end if limit is None else limit
    at = start if floor < 0 else min(floor, start)
    size = _FIRST
    while at < stop:
        found, next_at = _look(file, at, size, start, stop, claims, whole)
        if found >= 0:
            return found
        # It is usually near; if not, chunks grow.
        size = min(size * 4, CHUNK) if next_at == at + size else _FIRST
        at = next_at
    return file.end


def _look(
    file: DamagedFile, at: int, size: int, start: int, stop: int, claims: _Claims, whole: bool
) -> tuple[int, int]:
    """Search a chunk; return the run's offset (-1: none yet) and where to continue."""
    data = file.chunk(at, size + _OVERLAP)
    for match in _MARK.finditer(data):
        place = at + match.start()
        if match.start() >= size or place >= stop:
            break
        if match[1] is not None:
            claims.add(place, at + match.end(), int(match[1]))
        elif place >= start:
            skip = _inside(file, place, claims, whole)
            if skip < 0:
                return place, place
            if skip > place:
                return -1, skip
    return -1, at + size


def _inside(file: DamagedFile, place: int, claims: _Claims, whole: bool) -> int:
    """Return -1 if a trusted run begins here, else where to continue the search (at most at the next mark)."""
    for end in claims.around(place):
        if claims.nested(place, end):
            return end
    if not _trusted(file, place):
        return place
    # A run shorter than the longest possible value is followed to its end.
    reader = RecordReader(file, place, place + LONGEST)
    if reader.scan() == END or reader.start + _NEARLY > place + LONGEST:
        return -1
    head, end = claims.last
    if head == place and end - head >= LEAST:
        # A header is directly followed by a value, even if the value's end is damaged.
        return max(reader.start, end) if end < file.end else reader.start
    return reader.start if whole or is_break(file, reader.start) else -1


def _trusted(file: DamagedFile, place: int) -> bool:
    """Return whether enough records in a row begin here."""
    reader = RecordReader(file, place)
    items: list[Item] = []
    status = RECORD
    while status == RECORD and len(items) <= TRUST:
        status = reader.batch(TRUST + 1 - len(items), items)
    verdicts = [judge(args) for _, _, args, _ in items if isinstance(args, list)]
    good = next((n for n, verdict in enumerate(verdicts) if verdict == BAD), len(verdicts))
    if good >= TRUST:
        return True
    if good == 0:
        return False
    if good == len(verdicts) and (status != ERROR or reader.problem[0] in _SHORT):
        return True
    return all(verdict in (PLAIN, CONTROL) for verdict in verdicts[:good])
