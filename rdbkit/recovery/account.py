"""The report of a repair, as returned by `rdbkit.recovery` and shown by `rdbkit repair`.

Offsets are in bytes, in the damaged file. `Dropped` describes what was dropped, `Doubt` what is doubtful in the result.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rdbkit.aof.discarded import REMAINS, Discarded
from rdbkit.aof.resp import ERROR, RECORD, Item
from rdbkit.recovery.damage import KEPT_NAME, RecordReader, resync
from rdbkit.recovery.file import DamagedFile
from rdbkit.recovery.ranges import Lost
from rdbkit.releases.commands import keys_of

#: Maximum number of dropped ranges that are described one by one; the others are only summed up.
PLACES = 1000
#: Maximum number of keys named for a dropped range, and bytes of each.
KEYS = 100
#: Maximum damaged bytes searched for the remains of a command.
_SEEN = 1 << 12
#: Minimum number of NULs at the end of a torn file that are reported as zeros.
_ZEROS = 16

#: Reasons (`Dropped.reason`) and what they mean.
REASONS = {
    "torn": "the file ends in the middle of a command",
    "zeros": "zeros to the end of the file, as after a power loss",
    "damaged": "not a valid command",
    "transaction": "a partly damaged transaction",
    "open-transaction": "the file ends inside a transaction (MULTI without EXEC)",
    "stray-exec": "EXEC without MULTI",
    "cut": "after the requested cut",
    "wiped": "the server would empty the file here",
}


@dataclass(frozen=True, slots=True)
class Dropped:
    """A range that is not in the result: the reason, how many commands are lost with it, and their keys.

    `commands` counts readable and damaged commands; `damaged` is the minimum number of damaged ones. `keys` are the
    first hundred, each cut to 64 bytes; `more_keys`: there are others.
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
        """A description of the reason."""
        return REASONS[self.reason]


@dataclass(frozen=True, slots=True)
class Rest:
    """The dropped ranges beyond those that are described: their number, bytes and commands."""

    places: int = 0
    size: int = 0
    commands: int = 0
    damaged: int = 0
    damage: bool = False
    """Whether any of them was dropped without being requested."""


@dataclass(frozen=True, slots=True)
class Doubt:
    """A warning about what was kept: a stable code, a message, the offset where it starts."""

    code: str
    message: str
    offset: int | None = None


@dataclass(frozen=True, slots=True)
class RepairedFile:
    """One file. `size` before, `kept` bytes after; `commands` kept, None if they were not counted.

    `dropped` holds the first thousand ranges, `rest` the sums of the others. `restored` counts restored line ends;
    offsets then refer to the restored file. `faults` are the reasons why a server does not load the result, which
    repairing the framing cannot fix. `output` is the path of the result (None: none was written, or the file was
    removed from the set), `backup` that of the old file, `side` that of the dropped bytes.
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
        """Whether something was dropped without being requested."""
        return self.rest.damage or any(one.reason != "cut" for one in self.dropped)

    @property
    def places(self) -> int:
        """The number of dropped ranges."""
        return len(self.dropped) + self.rest.places

    @property
    def lost_size(self) -> int:
        """The number of dropped bytes."""
        return sum(one.end - one.start for one in self.dropped) + self.rest.size

    @property
    def lost_commands(self) -> int:
        """The number of dropped commands, damaged ones included."""
        return sum(one.commands for one in self.dropped) + self.rest.commands


@dataclass(frozen=True, slots=True)
class Repaired:
    """The report of a repair. `output` is the file or directory with the result, None if none was written."""

    path: str
    policy: str
    files: tuple[RepairedFile, ...]
    doubts: tuple[Doubt, ...] = ()
    output: str | None = None
    dry_run: bool = False

    @property
    def changed(self) -> bool:
        """Whether the result differs from the input."""
        return any(file.changed for file in self.files)

    @property
    def complete(self) -> bool:
        """Whether nothing was dropped without being requested."""
        return not any(file.lost for file in self.files)

    @property
    def sound(self) -> bool:
        """Whether a server loads the result, according to `rdbkit check`."""
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
    """Describe what is lost with a range."""
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
    """Return the number of readable and of damaged commands in a range; collect their keys."""
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
    """Return the same for everything after an offset, as `check` counts it."""
    discarded = Discarded(at, KEYS + 1)
    discarded.read(file)
    _name(discarded.keys, keys)
    return discarded.commands, discarded.broken + discarded.torn


def _is_command(file: DamagedFile, start: int, end: int) -> bool:
    """Return whether damaged bytes are the remains of a command."""
    return REMAINS.search(file.at(start, min(end - start, _SEEN))) is not None


def _name(found: Sequence[bytes], keys: dict[bytes, None]) -> None:
    for key in found:
        if len(keys) > KEYS:
            return
        keys[key[:KEPT_NAME]] = None
