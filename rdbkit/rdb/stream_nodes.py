# cython: language_level=3, annotation_typing=False, boundscheck=False, wraparound=False
"""The entries in one node of a stream: a listpack in which counts determine the meaning of the items.

    count  deleted  n  field*n  0  { flags  ms  seq  [n field value …] or [value*n]  items }*(count + deleted)

The master entry's field names apply to every entry with SAMEFIELDS; ms and seq are added to the node's own id. Items
are read in batches, so only a part of a node is held in memory.
"""

from __future__ import annotations

from typing import Any, NamedTuple, NoReturn

from rdbkit.errors import Corrupt
from rdbkit.wire import listpack
from rdbkit.wire.cursor import HELD, Cursor
from rdbkit.wire.spool import MEASURED, Spool

_DELETED, _SAMEFIELDS = 1, 2
_MASK = (1 << 64) - 1
#: Items of a node that are read at a time, and entries in a batch.
_BATCH = 4096
#: Most numbers in a node are among these.
_SMALL = {b"%d" % number: number for number in range(1024)}

Fields = list[tuple[bytes, bytes]]


class StreamID(NamedTuple):
    """Milliseconds and sequence number; as text `ms-seq`."""

    ms: int
    seq: int

    def __str__(self) -> str:
        return f"{self[0]}-{self[1]}"


_new = tuple.__new__


class Node:
    """Reads the node whose listpack is at the cursor and whose id is `master`; call `batch` until `done`.

    `bare`: entries have no fields.
    """

    def __init__(self, cursor: Cursor, master: int, bare: bool = False) -> None:
        self.bare = bare
        self.ms, self.seq = master >> 64, master & _MASK
        self.start = cursor.tell()
        size, inside = cursor.open_string()
        if bare and inside.spool is not None:
            # Items that are too long for memory are not needed.
            inside.spool = Spool(MEASURED)
        self.reader = listpack.Reader(inside, size)
        self.items: list[bytes] = []
        self.at = 0
        self.gone = 0
        self.live = 0
        self.done = False
        self._need(3)
        self.count, self.deleted, self.width = [self._number(item) for item in self.items[:3]]
        self.at = 3
        if self.count < 0 or self.deleted < 0 or self.width < 0:
            self._bad("has negative counts")
        self._need(self.width)
        self.names = self.items[self.at : self.at + self.width]
        self.at += self.width
        self._need(1)
        if self.items[self.at] != b"0":
            self._bad("has no end of its master entry")
        self.at += 1
        self.left = self.count + self.deleted

    def batch(self) -> list[tuple[StreamID, Fields]]:
        """Return the next live entries, in order; the last batch checks counts and the end.

        Raises Corrupt at the offset of the node.
        """
        out: list[tuple[StreamID, Fields]] = []
        enough = self.reader.left - HELD
        while self.left > 0 and len(out) < _BATCH and self.reader.left >= enough:
            self.left -= 1
            self._entry(out)
        self.live += len(out)
        if self.left == 0:
            self._finish()
        return out

    def _finish(self) -> None:
        if self.gone != self.deleted or self.live != self.count:
            self._bad(f"has {self.gone} deleted entries where it says {self.deleted}")
        if self.at != len(self.items) or self.reader.read(1):
            self._bad("goes on behind its last entry")
        self.done = True

    def _entry(self, out: list[tuple[StreamID, Fields]]) -> int:
        if len(self.items) - self.at < 3:
            self._need(3)
        items = self.items
        at = self.at
        flags = self._number(items[at])
        ms = self._number(items[at + 1])
        seq = self._number(items[at + 2])
        self.at = at + 3
        if flags & _SAMEFIELDS:
            same = True
            width = self.width
            due = width + 3
        else:
            same = False
            self._need(1)
            width = self._number(self.items[self.at])
            self.at += 1
            if width < 0:
                self._bad("has an entry with a negative number of fields")
            width *= 2
            due = width + 4
        self._need(width + 1)
        # Now it is known to be small.
        size = width
        items = self.items
        at = self.at
        self.at = at + size + 1
        if self._number(items[at + size]) != due:
            self._bad("has an entry whose item count is wrong")
        if flags & _DELETED:
            self.gone += 1
            return 0
        fields: Fields = []
        if not self.bare:
            flat = items[at : at + size]
            fields = list(zip(self.names, flat)) if same else list(zip(flat[::2], flat[1::2]))
        out.append((_new(StreamID, (self.ms + ms & _MASK, self.seq + seq & _MASK)), fields))
        return 0

    def _need(self, count: int) -> int:
        """Read until `count` items are available."""
        while count > len(self.items) - self.at:
            more = self.reader.read(_BATCH)
            if not more:
                self._bad("ends in the middle of an entry")
            # In place, because an entry can have as many fields as its node has items.
            del self.items[: self.at]
            self.items += more
            self.at = 0
        return 0

    def _number(self, item: Any) -> int:
        known = _SMALL.get(item)
        if known is not None:
            return known
        if len(item) > 20 or not (item.isdigit() or (item[:1] == b"-" and item[1:].isdigit())):
            self._bad(f"has {item[:20]!r} for a number")
        return int(item)

    def _bad(self, problem: str) -> NoReturn:
        raise Corrupt(f"a stream node {problem}", offset=self.start, code="bad-stream")
