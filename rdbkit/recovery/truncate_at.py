"""Requested cuts: at a point in time, at an offset, before a command.

A cut lowers the end of the file; the policy then makes sure that no command and no transaction is cut in half.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rdbkit.aof.resp import Item
from rdbkit.errors import RdbkitError, Unsupported
from rdbkit.recovery.damage import AofRecords, Damage
from rdbkit.recovery.file import DamagedFile


class NothingThere(RdbkitError):
    """The cut point is not in the file, or there is nothing before it."""

    code = "nothing-to-cut"


@dataclass(frozen=True, slots=True)
class Cut:
    """The requested cut; of several the first.

    `until_time`: at the first newer annotation (ms since epoch). `until_offset`: in bytes. `before`: at the last
    command that begins with these words, in any case; with `db` only in that database.
    """

    until_time: int | None = None
    until_offset: int | None = None
    before: bytes | None = None
    db: int | None = None

    def __bool__(self) -> bool:
        return any(one is not None for one in (self.until_time, self.until_offset, self.before))


Point = tuple[int, int]


def find_cut(files: Sequence[tuple[DamagedFile, int]], cut: Cut) -> Point | None:
    """Return the index of the file to cut and the offset, None for no cut; files as (file, start of its commands).

    Raises NothingThere, and Unsupported (code "no-timestamps") for a time if the files have no timestamps.
    """
    points = [
        point
        for point in (_by_time(files, cut.until_time), _by_command(files, cut.before, cut.db), _by_offset(files, cut))
        if point is not None
    ]
    return min(points, default=None)


def _by_offset(files: Sequence[tuple[DamagedFile, int]], cut: Cut) -> Point | None:
    if cut.until_offset is None or cut.until_offset >= files[0][0].size:
        return None
    if cut.until_offset < files[0][1]:
        raise NothingThere("the offset is inside the RDB part, which cannot be cut", offset=cut.until_offset)
    return 0, cut.until_offset


def _by_time(files: Sequence[tuple[DamagedFile, int]], until: int | None) -> Point | None:
    if until is None:
        return None
    some = False
    for index, (file, start) in enumerate(files):
        for offset, _, args, _ in _items(file, start):
            if isinstance(args, bytes) and args.startswith(b"#TS:"):
                text = args[4:].strip()
                some = some or text.isdigit()
                if text.isdigit() and len(text) < 16 and int(text) * 1000 > until:
                    return index, offset
    if not some:
        raise Unsupported("no timestamps in the file (aof-timestamp-enabled was off)", code="no-timestamps")
    return None


def _by_command(files: Sequence[tuple[DamagedFile, int]], before: bytes | None, db: int | None) -> Point | None:
    if before is None:
        return None
    words = before.lower().split()
    found: Point | None = None
    for index, (file, start) in enumerate(files):
        now = 0
        for offset, _, args, _ in _items(file, start):
            if not isinstance(args, list) or not args:
                continue
            name = args[0].lower()
            if name == words[0] and (db is None or db == now) and [arg.lower() for arg in args[: len(words)]] == words:
                found = index, offset
            if name == b"select" and len(args) == 2 and args[1].isdigit():
                now = int(args[1])
    if found is None:
        raise NothingThere(f"no {before.decode('utf-8', 'backslashreplace')} found to cut before")
    return found


def _items(file: DamagedFile, start: int) -> Iterator[Item]:
    for found in AofRecords(file, start):
        if not isinstance(found, Damage):
            yield from found
