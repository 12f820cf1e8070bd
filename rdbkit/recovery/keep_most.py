"""Keep-most: read the records of a file (found by damage.py) and decide what is dropped along with the damage.

A transaction is kept completely or dropped completely. After damage, the next MULTI, EXEC or end of file decides:

    EXEC comes first               it closes a transaction that includes the damage: everything up to it is dropped
    MULTI or the end comes first   what follows the damage is not part of it and is kept

An EXEC without MULTI, or a MULTI in an open transaction, means that its counterpart is present but unreadable; an
unknown command with a name of the right length is taken to be that counterpart.
"""

from __future__ import annotations

import re

from rdbkit.aof.resp import Item
from rdbkit.recovery.account import Doubt
from rdbkit.recovery.damage import BAD, PLAIN, UNKNOWN, AofRecords, Damage, RecordReader, judge
from rdbkit.recovery.file import DamagedFile
from rdbkit.recovery.ranges import Lost, Ranges
from rdbkit.releases.commands import COMMANDS, CONTAINERS

#: Cache size: names and argument counts whose classification is remembered.
_REMEMBERED = 4096
_SHORT = ("eof", "bytes")
_SELECT = re.compile(rb"select", re.IGNORECASE)


class KeepMost:
    """Collects what is dropped from a file from `start` on: `lost`, `doubts`, and the number of kept `commands`.

    During the run, `_multi` is the offset of the open transaction; `_pending` is damage whose extent is not yet known;
    `_since` is the start of the transaction that contains that damage, if any. `_odd` is the first unknown command in
    the open transaction, or after the last one, that may be its EXEC or MULTI.
    """

    def __init__(self, file: DamagedFile, start: int) -> None:
        self.file = file
        self.start = start
        self.lost = Ranges()
        self.doubts: list[Doubt] = []
        self.commands = 0
        self._records = AofRecords(file, start)
        self._multi: tuple[int, int] | None = None
        self._pending = Ranges()
        self._since: tuple[int, int] | None = None
        self._odd: tuple[int, int, int] | None = None
        self._known: set[tuple[bytes, int]] = set()
        self._unknown: Doubt | None = None
        self._blind: tuple[int, int] | None = None
        self._kept_before = self._kept_after = 0

    def run(self) -> None:
        """Read the file."""
        for found in self._records:
            if isinstance(found, Damage):
                self._damage(found)
            else:
                self._take(found)
        self._settle()
        if self._multi is not None:
            self._unclosed(self.file.end, "open-transaction")
        self._see_again(self.file.end)
        if self._unknown:
            self.doubts.append(self._unknown)

    # -- records ---------------------------------------------------------------------------------------------------

    def _take(self, items: list[Item]) -> None:
        known = self._known
        for item in items:
            args = item[2]
            if type(args) is bytes:
                continue
            if args and (args[0], len(args)) in known:
                self.commands += 1
                if self._multi is not None and args[-1] == b"EXEC":
                    self._strange(args[-1], item[0], item[1])
            elif judge(args) == BAD:
                self._damage(self._records.void(item))
                if self._records.moved:
                    return
            else:
                self._look(item, args)

    def _look(self, item: Item, args: list[bytes]) -> None:
        offset, end, _, _ = item
        verdict = judge(args)
        before = self.commands
        self.commands += 1
        name = args[0].lower()
        if verdict == PLAIN:
            if len(self._known) < _REMEMBERED and name not in CONTAINERS:
                self._known.add((args[0], len(args)))
        elif verdict == UNKNOWN:
            self._strange(name, offset, end)
        elif name == b"multi":
            self._open(offset, before)
        elif name == b"exec":
            self._close(offset, end)
        else:
            self._see_again(offset)

    def _strange(self, name: bytes, offset: int, end: int) -> None:
        """Remember a possible MULTI or EXEC: an unknown name, or an EXEC that ends another command."""
        # Damage that leaves the framing intact also keeps the length of the name.
        if len(name) == (5 if self._multi is None else 4) and (self._multi is None or self._odd is None):
            self._odd = (offset, end, self.commands)
        if self._unknown is None and b"." not in name and name != b"EXEC":
            shown = name.decode("utf-8", "backslashreplace")
            message = f"{shown!r} is not a known command: a server without it refuses the whole file"
            self._unknown = Doubt("unknown-command", message, offset)

    def _open(self, offset: int, before: int) -> None:
        """Begin a transaction."""
        self._settle()
        if self._multi is not None:
            self._unclosed(offset, "transaction", before)
        self._multi, self._odd = (offset, self.commands - 1), None

    def _close(self, offset: int, end: int) -> None:
        """End a transaction, complete or not."""
        if self._pending:
            begin, _ = self._since or (self._pending[0].start, 0)
            self._drop(Lost(begin, end, "transaction"), self._kept_before)
            self._pending, self._since = Ranges(), None
        elif self._multi is None:
            begin, _, kept = self._odd or (offset, end, self.commands)
            self._drop(Lost(begin, end, "transaction" if self._odd else "stray-exec"), kept - 1)
        self._multi = self._odd = None

    def _unclosed(self, until: int, reason: str, commands: int | None = None) -> None:
        """Drop a transaction without EXEC; an unknown command in it may have been the EXEC."""
        assert self._multi is not None
        begin, before = self._multi
        commands = self.commands if commands is None else commands
        if self._odd is None:
            self._drop(Lost(begin, until, reason), self.commands - (commands - before))
            return
        _, end, kept = self._odd
        self._drop(Lost(begin, end, "transaction"), self.commands - (kept - before))

    # -- damage ----------------------------------------------------------------------------------------------------

    def _damage(self, found: Damage) -> None:
        torn = found.end >= self.file.end and found.problem[0] in _SHORT
        self._give_up(Lost(found.start, found.end, "torn" if torn else "damaged"))

    def _give_up(self, lost: Lost) -> None:
        """Record damage; its extent is known at the next MULTI or EXEC."""
        if self._pending and self._pending[-1].end == lost.start:
            self._pending.push(lost._replace(start=self._pending.pop().start))
            return
        if not self._pending:
            self._since, self._multi = self._multi, None
            self._kept_before = self._since[1] if self._since else self.commands
            self._kept_after = self.commands
        self._pending.push(lost)
        self._lose_sight(lost)

    def _settle(self) -> None:
        """Drop the pending damage when no EXEC followed: only the transaction around the first piece is included."""
        if not self._pending:
            return
        first = self._pending[0]
        if self._since is not None:
            reason = "transaction" if first.end < self.file.end else "open-transaction"
            first = Lost(self._since[0], first.end, reason)
        self._drop(first, self.commands - (self._kept_after - self._kept_before))
        for at in range(1, len(self._pending)):
            self._drop(self._pending[at], self.commands)
        self._pending, self._since = Ranges(), None

    def _drop(self, lost: Lost, commands: int) -> None:
        """Drop a range, with the number of commands kept so far."""
        self.lost.add(lost)
        self.commands = commands
        if lost.reason in ("transaction", "open-transaction"):
            self._lose_sight(lost)

    def _lose_sight(self, lost: Lost) -> None:
        """Record that after this range the selected database is uncertain."""
        if self._blind is None and may_select(self.file, lost.start, lost.end):
            self._blind = (lost.end, self.commands)

    def _see_again(self, offset: int) -> None:
        """Record that from here on the selected database is known."""
        if self._blind is None:
            return
        start, before = self._blind
        self._blind = None
        count = self.commands - before - (0 if offset == self.file.end else 1)
        if count > 0 and start < self.file.end:
            noun = "command" if count == 1 else "commands"
            message = f"a SELECT may be lost before it: {count} {noun} may act on the wrong database"
            self.doubts.append(Doubt("lost-select", message, start))


def may_select(file: DamagedFile, start: int, end: int) -> bool:
    """Return whether the bytes may have included a SELECT: its name is there, or no command is recognisable."""
    reader = RecordReader(file, start, end)
    items: list[Item] = []
    reader.batch(1, items)
    args = items[0][2] if items else reader.resp.args
    if not isinstance(args, list) or not _known_name(args):
        return True
    rest = b""
    for piece in file.pieces(start, end):
        if _SELECT.search(rest + piece):
            return True
        rest = piece[-8:]
    return False


def _known_name(args: list[bytes]) -> bool:
    return bool(args) and args[0].lower() in COMMANDS
