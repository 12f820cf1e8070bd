"""A server that loads commands: its keyspace, the current database, its release, and its clock.

The functions of commands/ get it as first argument. They look values up with `find` and `need`, which decode a stored
value when it is first used, and end with `wrote`, which removes a value that became empty. An error of a command is a
CommandError: the server logs it and goes on.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

from rdbkit.format import spec
from rdbkit.keyspace.allocations import Allocations
from rdbkit.keyspace.decoding import decoded
from rdbkit.keyspace.errors import CommandError, UnknownValueError
from rdbkit.keyspace.quicklist import Quicklists
from rdbkit.keyspace.tables import Tables
from rdbkit.keyspace.values import Stored, String, Tabled, Uncertain, Value
from rdbkit.releases.target import Target

__all__ = ["WRONG_TYPE", "CommandError", "Database", "Loader", "UnknownValueError"]

V = TypeVar("V", bound=Value)


WRONG_TYPE = "WRONGTYPE Operation against a key holding the wrong kind of value"


class Database(dict[bytes, Value]):
    """The keys of one database. `doubt`: the command that may have written any key, b"": none.

    `certain` has the keys that are known not to be there since then.
    """

    __slots__ = ("certain", "doubt")

    def __init__(self) -> None:
        super().__init__()
        self.doubt = b""
        self.certain: set[bytes] = set()


class Loader:
    """The state of a load. `offset` is that of the current command, `now` the clock in ms, None if it is not known."""

    def __init__(self, target: Target, now: int | None) -> None:
        self.target = target
        self.words = 0
        """The number of words of the current command."""
        self.now = now
        self.clock = now or 0
        """The clock in ms, or the best guess of it so far."""
        self.offset = 0
        self.databases: dict[int, Database] = {}
        self.functions: dict[bytes, bytes] = {}
        """The source of each function library, by its name."""
        self.templates: dict[int, tuple[bytes, ...]] = {}
        self.fieldsets: dict[bytes, tuple[bytes, ...]] = {}
        """The field sets of HIMPORT PREPARE in the current file."""
        self.scripts: dict[bytes, bytes] = {}
        self.relative = 0
        """How many times to live counted from the load."""
        self.number = 0
        self.db = self.database(0)

    def database(self, number: int) -> Database:
        """Return a database, which is made if need be. Raises CommandError for one that the server does not have."""
        found = self.databases.get(number)
        if found is None:
            if not 0 <= number < self.settings.databases:
                raise CommandError("ERR DB index is out of range")
            found = self.databases[number] = Database()
        return found

    def select(self, number: int) -> None:
        """Make a database the current one."""
        self.db = self.database(number)
        self.number = number

    @property
    def target(self) -> Target:
        """The server; it can change while a file of an unknown one is read."""
        return self._target

    @target.setter
    def target(self, target: Target) -> None:
        self._target = target
        self.settings = target.settings
        self.allocations = Allocations(target)
        self.tables = Tables(target)
        self.lists = Quicklists(target)

    def lacks(self, feature: str) -> bool:
        """Return whether the server does not have a feature. If it was not named, it has what the file needs."""
        return not self._target.has(feature) and self._target.origin == "given"

    def assume(self, product: str, version: int) -> None:
        """Take the oldest release that writes an RDB version, where the server was not named: it wrote a payload."""
        known = self._target
        if known.origin != "given":
            goal = Target.of_file(product, None, version, allocator=known.allocator, now=known.now)
            self.target = replace(goal, settings=known.settings, origin=f"assumed: a payload of RDB version {version}")

    # -- keys ------------------------------------------------------------------------------------------------------

    def look(self, key: bytes, db: Database | None = None) -> Value | None:
        """Return the value of a key, of any type, or None. Raises UnknownValueError."""
        db = self.db if db is None else db
        value = db.get(key)
        if value is None and db.doubt and key not in db.certain:
            raise UnknownValueError(db.doubt)
        if value.__class__ is Uncertain:
            raise UnknownValueError(value.command)
        return value

    def find(self, key: bytes, kind: type[V]) -> V | None:
        """Return the value of a key, which must be of this type, or None. Raises CommandError, UnknownValueError."""
        value = self.db.get(key)
        if value.__class__ is kind:
            return value
        value = self.open(key)
        if value is None:
            return None
        if value.__class__ is not kind:
            raise CommandError(WRONG_TYPE)
        return value

    def open(self, key: bytes) -> Value | None:
        """Return the value of a key, of any type and decoded, or None. Raises UnknownValueError."""
        value = self.look(key)
        if value.__class__ is Stored:
            value = self.db[key] = decoded(value, self.target, self.templates, len(key))
        return value

    def need(self, key: bytes, kind: type[V]) -> V:
        """Return the value of a key, which is made if need be; end with `wrote`."""
        value = self.find(key, kind)
        if value is None:
            value = self.db[key] = kind()
        return value

    def wrote(self, key: bytes, value: Value) -> None:
        """Note that a command has changed a value that is in the database; remove it if it is empty."""
        if len(value) or value.type == "stream":
            value.offset = self.offset
            self._note(value)
        else:
            self.drop(key)

    def put(self, key: bytes, value: Value, expires_at: int | None = None) -> None:
        """Make a value the one of a key, whatever was there, with this expiry; an empty one only removes the key."""
        if value.__class__ is not String:
            if not len(value) and value.type != "stream":
                self.drop(key)
                return
            self._note(value)
        value.expires_at = expires_at
        value.offset = self.offset
        if self.allocations.in_object:
            old = self.db.get(key)
            if old.__class__ is Stored and old.expires_at is not None:
                old = self._as_string(key, old)
            self.allocations.overwrite(key, old, value)
        self.db[key] = value

    def place(self, key: bytes, value: Value, db: Database, copied: bool = False) -> None:
        """Make a value, with its expiry, the one of a key of a database, where it is a new one."""
        value.offset = self.offset
        if self.allocations.in_object:
            self.allocations.overwrite(key, None, value, copied)
        db[key] = value

    def expire(self, key: bytes, value: Value, expires_at: int | None) -> None:
        """Set or remove the expiry of a key."""
        if self.allocations.in_object:
            value = self._as_string(key, value)
            value.reserved = value.reserved or value.expires_at is not None
        value.expires_at, value.offset = expires_at, self.offset
        if expires_at is not None and self.allocations.in_object:
            self.allocations.place(key, value)

    def _note(self, value: Value) -> None:
        if isinstance(value, Tabled):
            self.tables.note(value, self.words - 2 if value.type == "set" else (self.words - 2) // 2)

    def _as_string(self, key: bytes, value: V) -> V | String:
        """Return a value of the current database; one that is stored and a string is decoded."""
        if isinstance(value, Stored) and value.kind == spec.STRING:
            return self.find(key, String) or value
        return value

    def drop(self, key: bytes) -> bool:
        """Remove a key; return whether it was there."""
        found = self.db.pop(key, None) is not None
        if self.db.doubt:
            self.db.certain.add(key)
        return found
