"""What a repair kept and what it lost: the records that `rdbkit.recovery` returns and `rdbkit repair` shows.

Offsets are those of the damaged file, in bytes; what was dropped of it is told by `Dropped`, what is doubtful in what
was kept by `Doubt`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rdbkit.aof.discarded import REMAINS, Discarded
from rdbkit.aof.resp import ERROR, RECORD, Item
from rdbkit.recovery.damage import KEEP, RecordReader, resync
from rdbkit.recovery.file import DamagedFile
from rdbkit.recovery.ranges import Lost
from rdbkit.releases.commands import keys_of

#: Dropped ranges that are described one by one; of those after them there are only sums.
PLACES = 1000
#: Keys that are named for a dropped range, and bytes of each.
KEYS = 100
#: How far damaged bytes are looked through for the remains of a command.
_SEEN = 1 << 12
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
    """A range that is not in the result: why, how many commands are lost with it, and which keys they name.

    `commands` counts those that can be read and those that are damaged, of which there are at least `damaged`. `keys`
    are the first hundred, each cut to 64 bytes; `more_keys`: there are others.
    """

    start: int
    end: int
    reason: str
    commands: int
    keys: tuple[bytes, ...]
    more_keys: bool = False
    damaged: int = 0

    @property
    def message(self) -> str:
        """What was wrong, in a sentence."""
        return REASONS[self.reason]


@dataclass(frozen=True, slots=True)
class Rest:
    """The sums of the dropped ranges after those that are described: how many, their bytes and commands."""

    places: int = 0
    size: int = 0
    commands: int = 0
    damaged: int = 0
    damage: bool = False
    """Whether any of them was dropped that nobody asked to drop."""


@dataclass(frozen=True, slots=True)
class Doubt:
    """Something to be told of what was kept: a stable code, a message, the offset that it starts at."""

    code: str
    message: str
    offset: int | None = None


@dataclass(frozen=True, slots=True)
class RepairedFile:
    """One file. `size` before, `kept` bytes after; `commands` kept, None where they were not counted.

    `dropped` holds the first thousand ranges, `rest` the sums of the others. `restored` counts the line ends that were
    restored; offsets are then those of the restored file. `faults` is what keeps a server from loading the result: no
    repair of the framing mends it. `output` is where the result is (None: none was written, or the file is left out),
    `backup` where the old file is, `side` where what was dropped is.
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
    rest: Rest = Rest()
    restored: int = 0
    faults: tuple[Doubt, ...] = ()

    @property
    def changed(self) -> bool:
        """Whether the result differs from the file."""
        return bool(self.dropped) or self.absent or bool(self.restored)

    @property
    def lost(self) -> bool:
        """Whether something was dropped that nobody asked to drop."""
        return self.rest.damage or any(one.reason != "cut" for one in self.dropped)

    @property
    def places(self) -> int:
        """How many ranges were dropped."""
        return len(self.dropped) + self.rest.places

    @property
    def lost_size(self) -> int:
        """How many bytes were dropped."""
        return sum(one.end - one.start for one in self.dropped) + self.rest.size

    @property
    def lost_commands(self) -> int:
        """How many commands were dropped, damaged ones included."""
        return sum(one.commands for one in self.dropped) + self.rest.commands


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

    @property
    def sound(self) -> bool:
        """Whether a server loads the result, as far as `rdbkit check` can say it."""
        return not any(file.faults for file in self.files)


def describe_all(file: DamagedFile, lost: Sequence[Lost]) -> tuple[tuple[Dropped, ...], Rest]:
    """Describe the first ranges, and sum up the others."""
    shown = tuple(describe(file, *lost[at]) for at in range(min(len(lost), PLACES)))
    if len(lost) <= PLACES:
        return shown, Rest()
    size = commands = damaged = 0
    damage = False
    for at in range(PLACES, len(lost)):
        start, end, reason = lost[at]
        found, hurt = _count(file, start, end, {})
        size += end - start
        commands += found + hurt
        damaged += hurt
        damage = damage or reason != "cut"
    return shown, Rest(len(lost) - PLACES, size, commands, damaged, damage)


def describe(file: DamagedFile, start: int, end: int, reason: str) -> Dropped:
    """Return what is lost with a range."""
    keys = dict[bytes, None]()
    if end == file.size and reason != "cut":
        commands, damaged = _count_tail(file, start, keys)
    else:
        commands, damaged = _count(file, start, end, keys)
    if reason in ("torn", "damaged") and end == file.end and not file.at(max(start, end - _ZEROS), _ZEROS).strip(b"\0"):
        reason = "zeros"
    shown = tuple(keys)[:KEYS]
    return Dropped(start, end, reason, commands + damaged, shown, len(keys) > KEYS, damaged)


def _count(file: DamagedFile, at: int, end: int, keys: dict[bytes, None]) -> tuple[int, int]:
    """Return how many commands in a range can be read and how many are damaged; add the keys that they name."""
    commands = damaged = 0
    while at < end:
        reader = RecordReader(file, at, end)
        status = RECORD
        while status == RECORD:
            items: list[Item] = []
            status = reader.batch(256, items)
            found = [args for _, _, args, _ in items if isinstance(args, list)]
            commands += len(found)
            if status == ERROR and reader.problem[0] != "format" and reader.resp.args:
                found.append(reader.resp.args)
            for args in found:
                _name(keys_of(args), keys)
        if status != ERROR:
            break
        at = resync(file, reader.start + 1, limit=end)
        damaged += _is_command(file, reader.start, min(at, end))
    return commands, damaged


def _count_tail(file: DamagedFile, at: int, keys: dict[bytes, None]) -> tuple[int, int]:
    """Return the same of all that follows an offset, as `check` counts it."""
    behind = Discarded(at, KEYS + 1)
    behind.read(file)
    _name(behind.keys, keys)
    return behind.commands, behind.broken + behind.torn


def _is_command(file: DamagedFile, start: int, end: int) -> bool:
    """Return whether damaged bytes are the remains of a command."""
    return REMAINS.search(file.at(start, min(end - start, _SEEN))) is not None


def _name(found: Sequence[bytes], keys: dict[bytes, None]) -> None:
    for key in found:
        if len(keys) > KEYS:
            return
        keys[key[:KEEP]] = None
