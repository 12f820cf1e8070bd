"""The history of one key: which commands of an AOF name it, or move, copy or remove what it holds.

A key that is renamed, moved, or swapped into another database is followed under its new name, until that is deleted or
overwritten. What came to the key by RENAME, MOVE, COPY or SWAPDB is followed back to the name that it had before. So
the commands are read twice: `learn` takes all of them, `takes` then all of them again.

    learn ─► links: (number of the command, source, destination) ─► settle, backwards ─► takes, forwards

Memory holds the links, and the places at which the key is: pairs of database and name. Whether a command such as
RENAMENX had an effect is not known; servers write only those that had.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from rdbkit.aof.reader import Command
from rdbkit.releases.commands import keys_of

Place = tuple[int, bytes]

_REMOVES = frozenset((b"del", b"unlink", b"getdel", b"delifeq", b"delex"))
#: These replace the value of each of their keys.
_REPLACES = frozenset((b"set", b"setex", b"psetex", b"getset", b"mset", b"msetex", b"restore", b"restore-asking"))
#: These replace the value of the first of their keys.
_STORES = frozenset(
    (
        b"sinterstore", b"sunionstore", b"sdiffstore", b"zinterstore", b"zunionstore", b"zdiffstore", b"zrangestore",
        b"geosearchstore", b"bitop",
    )
)  # fmt: skip


class Link(NamedTuple):
    """What a command moves: from a place to another (`keeps`: it stays there too), or two databases (`swap`)."""

    source: Place = (0, b"")
    destination: Place = (0, b"")
    keeps: bool = False
    swap: tuple[int, int] | None = None


def link_of(command: Command) -> Link | None:
    """Return what a command moves, None for nothing."""
    args, db = command.args, command.db
    name = args[0].lower()
    if name in (b"rename", b"renamenx") and len(args) == 3:
        return Link((db, args[1]), (db, args[2]))
    if name == b"move" and len(args) > 2 and (to := _number(args[2])) is not None:
        return Link((db, args[1]), (to, args[1]))
    if name == b"copy" and len(args) > 2:
        return Link((db, args[1]), (_copied_to(args, db), args[2]), keeps=True)
    if name == b"swapdb" and len(args) == 3:
        one, other = _number(args[1]), _number(args[2])
        return None if one is None or other is None else Link(swap=(one, other))
    return None


def _number(text: bytes) -> int | None:
    return int(text) if text.isdigit() and len(text) < 10 else None


def _copied_to(args: list[bytes], db: int) -> int:
    for at in range(3, len(args) - 1):
        if args[at].lower() == b"db":
            found = _number(args[at + 1])
            return db if found is None else found
    return db


class History:
    """The commands of one key, by any of its `names`, in one database or (None) in all; see the module."""

    def __init__(self, names: Iterable[bytes], db: int | None = None) -> None:
        self.names = frozenset(names)
        self.db = db
        self._links: list[tuple[int, Link]] = []
        self._count = 0
        self._back: set[Place] = set()
        """Where the value that comes to the key later is now."""
        self._steps: dict[int, tuple[set[Place], set[Place]]] = {}
        """By number of a command: what it adds to `_back` and removes from it."""
        self._ahead: set[Place] = set()
        """Where the value that was at the key is now."""
        self._alive: set[Place] = set()
        """The places, of all that are followed, at which something may be."""

    def asks(self, place: Place) -> bool:
        """Return whether a place is the key itself."""
        return place[1] in self.names and self.db in (None, place[0])

    # -- first pass: from the end back ---------------------------------------------------------------------------------

    def learn(self, command: Command) -> None:
        """Take a command in the first pass."""
        link = link_of(command)
        if link is not None:
            self._links.append((self._count, link))
        self._count += 1

    def settle(self) -> None:
        """End the first pass."""
        places: set[Place] = set()
        for number, link in reversed(self._links):
            before = self._before(places, link)
            if before != places:
                self._steps[number] = places - before, before - places
                places = before
        self._back, self._links, self._count = places, [], 0

    def _before(self, places: set[Place], link: Link) -> set[Place]:
        """Return the places to follow before a command, by those after it."""
        if link.swap is not None:
            return self._swapped(places, link.swap)
        comes = link.destination in places or self.asks(link.destination)
        found = places - {link.destination} if link.keeps else places - {link.destination, link.source}
        if comes and not self.asks(link.source):
            found.add(link.source)
        return found

    def _swapped(self, places: set[Place], swap: tuple[int, int]) -> set[Place]:
        one, other = swap
        across = {one: other, other: one}
        found = {(across.get(db, db), name) for db, name in places}
        if self.db in across:
            found.update((across[self.db], name) for name in self.names)
        return {place for place in found if not self.asks(place)}

    # -- second pass ---------------------------------------------------------------------------------------------------

    @property
    def at_start(self) -> frozenset[bytes]:
        """The names that are followed from the start of the files."""
        return self.names.union(name for _, name in self._back)

    def holds(self, place: Place) -> bool:
        """Take a key of the RDB with which a file begins; return whether it is followed."""
        if self.asks(place) or place in self._back:
            self._alive.add(place)
            return True
        return False

    def takes(self, command: Command) -> bool:
        """Take a command in the second pass; return whether it is one of the key."""
        number, link = self._count, link_of(command)
        self._count += 1
        touched = self._touched(command, link)
        if link is not None:
            self._follow(link)
        else:
            self._lose(command, touched)
        gained, left = self._steps.get(number, ((), ()))
        self._back.difference_update(left)
        self._back.update(gained)
        return bool(touched)

    def _follows(self, place: Place) -> bool:
        return self.asks(place) or place in self._back or place in self._ahead

    def _touched(self, command: Command, link: Link | None) -> set[Place]:
        """Return the places of the key that a command touches."""
        if link is not None and link.swap is not None:
            return {place for place in self._alive if place[0] in link.swap}
        name = command.args[0].lower()
        if name == b"flushall":
            return set(self._alive)
        if name == b"flushdb":
            return {place for place in self._alive if place[0] == command.db}
        named = (link.source, link.destination) if link else ((command.db, key) for key in keys_of(command.args))
        return {place for place in named if self._follows(place)}

    def _follow(self, link: Link) -> None:
        """Follow the value that a command moves."""
        if link.swap is not None:
            across = dict((link.swap, link.swap[::-1]))
            gone = {place for place in self._alive if self.asks(place) and place[0] in across}
            moved = {(across.get(db, db), name) for db, name in self._ahead}
            moved.update((across[db], name) for db, name in gone)
            self._ahead = {place for place in moved if not self.asks(place)}
            self._alive = {(across.get(db, db), name) for db, name in self._alive}
            return
        known = self._follows(link.source)
        comes = known or self._follows(link.destination)
        mine = self.asks(link.source) or link.source in self._ahead
        self._ahead.discard(link.destination)
        if not link.keeps:
            self._ahead.discard(link.source)
            self._alive.discard(link.source)
            if mine and not self.asks(link.destination):
                self._ahead.add(link.destination)
        elif known:
            self._alive.add(link.source)
        if comes and (self._follows(link.destination) or not link.keeps):
            self._alive.add(link.destination)

    def _lose(self, command: Command, touched: set[Place]) -> None:
        """Note what a command leaves at the places that it touches."""
        args = command.args
        name = args[0].lower()
        if name in (b"flushall", b"flushdb") or name in _REMOVES:
            self._alive -= touched
            self._ahead -= touched
            return
        self._alive |= touched
        if name in _REPLACES:
            self._ahead -= touched
        elif name in _STORES:
            self._ahead.difference_update((command.db, key) for key in keys_of(args)[:1])
