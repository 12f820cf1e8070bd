"""Statistics of the commands of an AOF: number by name and database, number of keys, time range.

One pass over batches of commands, in bounded memory; results of parts can be merged, in any order.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rdbkit.aof.cardinality import CardinalityCounter, Count
from rdbkit.aof.reader import AofReader, Command
from rdbkit.aof.resp import LOADER, Resp
from rdbkit.releases.commands import COMMANDS, CONTAINERS, COUNTED, keys_of, spec_of
from rdbkit.source import Source
from rdbkit.wire.cursor import Cursor

#: Maximum number of command names counted; more than servers have, but bounded for malicious files.
_NAMES = 2048
_LONGEST = 64
_CONTROL = (b"select", b"multi", b"exec")
#: Commands whose keys depend on all arguments.
_STORING = frozenset((b"sort", b"georadius", b"georadiusbymember"))
_ALONE = 1
#: Bytes by which keys are distinguished.
_KEPT = 4096
#: Name for all commands beyond those.
OTHER = "(other)"


@dataclass(frozen=True, slots=True)
class Commands:
    """The statistics.

    `names`: commands by lower-case name, container commands with their subcommand ("xgroup|create"). `keys`: number of
    distinct (database, key) pairs, with its error. `size`: bytes of the commands. `databases`: commands by database,
    without SELECT, MULTI and EXEC. `first` and `last`: timestamps, ms since the epoch, None if there are none.
    """

    commands: int
    names: dict[str, int]
    databases: dict[int, int]
    keys: Count
    size: int
    transactions: int
    annotations: int
    first: int | None
    last: int | None


class CommandFold:
    """Counts commands: `feed` batches, `merge` other folds, read `result`."""

    def __init__(self) -> None:
        self.annotations = 0
        self._names: Counter[bytes] = Counter()
        self._databases: Counter[int] = Counter()
        self._keys = CardinalityCounter()
        self._size = 0
        self._transactions = 0
        self._first: int | None = None
        self._last: int | None = None
        self._control: Counter[int] = Counter()
        self._known: dict[bytes, tuple[bytes, int]] = {}

    def feed(self, batch: Sequence[Command]) -> None:
        """Add commands."""
        names = self._names
        keys: dict[int, set[bytes]] = {}
        known = self._known
        for _, _, db, _, transaction, args, _ in batch:
            name, at = known.get(args[0]) or self._learn(args[0])
            if at == _ALONE and len(args) > 1:
                names[name] += 1
                keys.setdefault(db, set()).add(args[1])
                continue
            if name in CONTAINERS and len(args) > 1 and spec_of(args) is not None:
                name += b"|" + args[1].lower()
            names[name if name in names or len(names) < _NAMES else OTHER.encode()] += 1
            if name == b"exec":
                self._transactions += transaction is not None
            if name in _CONTROL:
                self._control[db] += 1
            else:
                keys.setdefault(db, set()).update(keys_of(args))
        for db, found in keys.items():
            self._keys.add(found, db)
        self._measure(batch)

    def _learn(self, name: bytes) -> tuple[bytes, int]:
        """Return a name in lower case, and whether its first argument is its only key."""
        lower = name[:_LONGEST].lower()
        row = COMMANDS.get(lower)
        plain = (
            row is not None
            and row.first == row.last == row.step == 1
            and lower not in COUNTED
            and lower not in _STORING
        )
        found = lower, _ALONE if plain else 0
        if len(self._known) < _NAMES:
            self._known[name] = found
        return found

    def _measure(self, batch: Sequence[Command]) -> None:
        self._size += sum(command.end - command.offset for command in batch)
        self._databases.update([command.db for command in batch])
        times = [command.time for command in batch if command.time is not None]
        if times:
            self._first = min(times) if self._first is None else min(self._first, *times)
            self._last = max(times) if self._last is None else max(self._last, *times)

    def merge(self, other: CommandFold) -> None:
        """Add another fold."""
        self.annotations += other.annotations
        self._names.update(other._names)
        self._databases.update(other._databases)
        self._control.update(other._control)
        self._keys.merge(other._keys)
        self._size += other._size
        self._transactions += other._transactions
        self._first = min((t for t in (self._first, other._first) if t is not None), default=None)
        self._last = max((t for t in (self._last, other._last) if t is not None), default=None)

    def result(self) -> Commands:
        """Return the statistics; commands by number, then name."""
        ordered = sorted(self._names.items(), key=lambda item: (-item[1], item[0]))
        return Commands(
            sum(self._names.values()),
            {name.decode("utf-8", "backslashreplace"): number for name, number in ordered},
            dict(sorted((self._databases - self._control).items())),
            self._keys.result(),
            self._size,
            self._transactions,
            self.annotations,
            self._first,
            self._last,
        )


class TailReader(AofReader):
    """The commands from a cursor's position to the end, as AofReader yields those of a whole file."""

    def __init__(self, source: Source, cursor: Cursor, *, keep: int) -> None:
        self.source = source
        self.cursor = cursor
        self.preamble = None
        self.start = self.good = cursor.tell()
        self.resp = Resp(cursor, LOADER)
        self.keep = keep
        self.db = 0
        self.time = None
        self.transaction = None
        self.annotations = 0


def fold_commands(
    source: Source, cursor: Cursor, fold: CommandFold, advance: Callable[[int], object] | None = None
) -> None:
    """Feed a fold with the commands from a cursor to the end; raises at damage, after feeding everything before it."""
    reader = TailReader(source, cursor, keep=_KEPT)
    try:
        for batch in reader.batches():
            fold.feed(batch)
            if advance is not None:
                advance(cursor.tell())
    finally:
        fold.annotations += reader.annotations
