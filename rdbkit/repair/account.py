"""What a repair kept and what it lost: the records that `rdbkit.repair` returns and `rdbkit repair` shows.

Offsets are those of the damaged file, in bytes; what was dropped of it is told by `Dropped`, what is doubtful in what
was kept by `Doubt`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rdbkit.aof.resp import ERROR, RECORD, Item
from rdbkit.aof.table import keys_of
from rdbkit.repair.damage import KEEP, Reader, resync
from rdbkit.repair.file import File

#: Keys that are named for a dropped range, and bytes of each.
KEYS = 100
#: So many NULs at the end of a torn file are told as what they are.
_ZEROS = 16

#: Reasons (`Dropped.reason`) and what they mean.
REASONS = {
    "torn": "the file ends in the middle of a command",
    "zeros": "zeros to the end of the file, as a power loss leaves them",
    "damaged": "not a command, where one should start or go on",
    "transaction": "a transaction of which a part is damaged",
    "open-transaction": "the file ends inside a transaction (MULTI without EXEC)",
    "stray-exec": "EXEC without MULTI",
    "cut": "behind the point where the file was to be cut",
    "wiped": "the server would empty the file here",
}


@dataclass(frozen=True, slots=True)
class Dropped:
    """A range that is not in the result: why, how many commands in it are readable, and which keys they name.

    `keys` are the first hundred, each cut to 64 bytes; `more_keys`: there are others.
    """

    start: int
    end: int
    reason: str
    commands: int
    keys: tuple[bytes, ...]
    more_keys: bool = False

    @property
    def message(self) -> str:
        """What was wrong, in a sentence."""
        return REASONS[self.reason]


@dataclass(frozen=True, slots=True)
class Doubt:
    """Something to be told of what was kept: a stable code, a message, the offset that it starts at."""

    code: str
    message: str
    offset: int | None = None


@dataclass(frozen=True, slots=True)
class RepairedFile:
    """One file. `size` before, `kept` bytes after; `commands` kept, None where they were not counted.

    `output` is where the result lies (None: none was written, or the file is left out), `backup` where the old file,
    `side` where what was dropped.
    """

    path: str
    role: str
    size: int
    kept: int
    commands: int | None
    dropped: tuple[Dropped, ...]
    doubts: tuple[Doubt, ...]
    absent: bool = False
    output: str | None = None
    backup: str | None = None
    side: str | None = None

    @property
    def changed(self) -> bool:
        """Whether the result differs from the file."""
        return bool(self.dropped) or self.absent

    @property
    def lost(self) -> bool:
        """Whether something was dropped that nobody asked to drop."""
        return any(one.reason != "cut" for one in self.dropped)


@dataclass(frozen=True, slots=True)
class Repaired:
    """The account of a repair. `output` is the file or directory with the result, None where none was written."""

    path: str
    policy: str
    files: tuple[RepairedFile, ...]
    doubts: tuple[Doubt, ...] = ()
    output: str | None = None
    dry_run: bool = False

    @property
    def changed(self) -> bool:
        """Whether the result differs from what was there."""
        return any(file.changed for file in self.files)

    @property
    def complete(self) -> bool:
        """Whether all is kept that was to be kept."""
        return not any(file.lost for file in self.files)


def describe(file: File, start: int, end: int, reason: str) -> Dropped:
    """Tell what can still be read in a range."""
    commands, keys, at = 0, dict[bytes, None](), start
    while at < end:
        reader = Reader(file, at, end)
        status = RECORD
        while status == RECORD:
            items: list[Item] = []
            status = reader.batch(256, items)
            found = [args for _, _, args, _ in items if isinstance(args, list)]
            if status == ERROR and reader.problem[0] != "format" and reader.resp.args:
                found.append(reader.resp.args)
            commands += len(found)
            for args in found:
                _name(keys_of(args), keys)
        at = resync(file, reader.start + 1, limit=end) if status == ERROR else end
    if reason in ("torn", "damaged") and end == file.end and not file.at(max(start, end - _ZEROS), _ZEROS).strip(b"\0"):
        reason = "zeros"
    shown = tuple(keys)[:KEYS]
    return Dropped(start, end, reason, commands, shown, len(keys) > KEYS)


def _name(found: Sequence[bytes], keys: dict[bytes, None]) -> None:
    for key in found:
        if len(keys) > KEYS:
            return
        keys[key[:KEEP]] = None
