"""What a file needs of the server that loads it, collected while the file is read: its RDB, and its commands.

Needs are kept once each, with a count and the first place. Source: releases/loading.py.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from operator import itemgetter
from typing import Any

from rdbkit.errors import Passed, RdbkitError
from rdbkit.format import spec
from rdbkit.rdb import walker
from rdbkit.rdb.modules import module_name, vector_set_version
from rdbkit.releases import loading
from rdbkit.releases.commands import keys_of
from rdbkit.releases.loading import Need
from rdbkit.snapshot.snapshot import Snapshot
from rdbkit.wire.cursor import Cursor

#: Bytes of a key that is named.
_NAMED = 256
#: Needs of different names that are kept: more than there are commands and types, so that what a malicious file has
#: beyond these changes no answer.
_MOST = 4096

_VECTOR_SET = "vectorset"
#: Types with listpacks, and the least size with which one can have an entry of 16383 bytes: LZF makes of 88 bytes one.
_PACKED = frozenset(
    (
        *spec.LISTPACKED,
        spec.HASH_TMPL_LP_REF,
        spec.STREAM_LISTPACKS,
        spec.STREAM_LISTPACKS_2,
        spec.STREAM_LISTPACKS_3,
        spec.STREAM_LISTPACKS_4,
        spec.STREAM_LISTPACKS_5,
    )
)
_TELLING = 16383 // 88
_kind_of = itemgetter(walker.TYPE)
_db_of = itemgetter(walker.DB)
_extra_of = itemgetter(walker.EXTRA)


class Needs:
    """Collects needs; `modules` are the names, in lower case, of modules that the server has.

    `complete` is for the caller: whether the whole file was read.
    """

    def __init__(self, modules: frozenset[str] = frozenset()) -> None:
        self.modules = modules
        self.complete = False
        self.database = 0
        """The greatest number of a database with keys in the RDB; `selected`: of one selected by a command."""
        self.selected = 0
        self._found: dict[tuple[str, str], Need] = {}
        self._types: dict[int, Need] = {}
        self._commands: dict[bytes, Need] = {}

    def __iter__(self) -> Iterator[Need]:
        return iter(self._found.values())

    def add(self, need: Need | None) -> Need | None:
        """Count a need; return the one that is kept."""
        if need is None:
            return None
        known = self._found.get((need.kind, need.name))
        if known is None and len(self._found) < _MOST:
            self._found[need.kind, need.name] = need
            return need
        if known is not None:
            known.count += need.count
        return known

    # -- RDB -------------------------------------------------------------------------------------------------------

    def header(self, snapshot: Snapshot) -> None:
        """Add the RDB version of a snapshot, and its envelope."""
        if snapshot.source.envelope is not None:
            self.add(loading.envelope_need(snapshot.source.packing[-1]).at(snapshot.source.start))
        self.version(snapshot.magic, snapshot.version, snapshot.source.start)

    def version(self, magic: str, number: int, offset: int) -> None:
        """Add an RDB version; `magic` is "redis" or "valkey" (format.versions)."""
        self.add(loading.version_need(magic, number).at(offset))

    def records(self, records: Iterable[tuple[int, int, Any]]) -> None:
        """Add opcodes, from Snapshot.take_records."""
        for offset, kind, payload in records:
            if kind >= 0:
                self.add(loading.record_need(kind).at(offset))
            if kind == spec.SLOT_IMPORT:
                self.add(loading.import_need().at(offset))
            elif kind == spec.MODULE_AUX:
                self._module(module_name(payload[0])[0], (offset, None, None))

    def keys(self, snapshot: Snapshot | None, batch: Sequence[walker.EntryTuple]) -> None:
        """Add the types of keys, their databases, modules, and, where the plan watches them, back-lengths.

        Without a snapshot modules are left out: to name one, its value must be read.
        """
        for kind, count in Counter(map(_kind_of, batch)).items():
            known = self._types.get(kind)
            if known is not None:
                known.count += count
            else:
                first = next(row for row in batch if row[walker.TYPE] == kind)
                need = loading.record_need(kind).at(*_place(first))
                need.count = count
                self._types[kind] = self.add(need) or need
            if kind == spec.MODULE_2 and snapshot is not None:
                for row in batch:
                    if row[walker.TYPE] == kind:
                        name, version = _module_of(snapshot, row)
                        self._module(name, _place(row))
                        self._vector_set(version, _place(row))
        if max(map(_db_of, batch), default=0) > self.database:
            self._database(batch)
        if any(map(_extra_of, batch)):
            self._extras(batch)

    def _database(self, batch: Sequence[walker.EntryTuple]) -> None:
        self.database = max(map(_db_of, batch))
        first = next(row for row in batch if row[walker.DB] == self.database)
        # The greatest number is the one that counts.
        self._found["setting", "databases"] = loading.database_need(self.database).at(*_place(first))

    def _extras(self, batch: Sequence[walker.EntryTuple]) -> None:
        for row in batch:
            extra = row[walker.EXTRA] or {}
            if "meta" in extra:
                self.add(loading.record_need(spec.KEY_META).at(*_place(row)))
            for generation, count in zip(("old", "new"), extra.get("widths", ())):
                if count:
                    self.add(loading.back_length_need(generation).at(*_place(row)))

    def value(self, snapshot: Snapshot, row: walker.EntryTuple) -> None:
        """Add the back-lengths of a value that can be decoded, for a walk that reads heads only."""
        if row[walker.TYPE] not in _PACKED or 0 <= row[walker.SIZE] < _TELLING:
            return
        start, body = row[walker.BODY_OFFSET], row[walker.BODY]
        try:
            cursor = Cursor(source=snapshot.reopen(start), base=start) if body is None else Cursor(body, base=start)
            measured = snapshot.measure(cursor)
            measured.shape(row[walker.TYPE])
        except RdbkitError:
            # It cannot be read again, or the walk finds damage of which there is a finding.
            return
        for generation, count in (("old", measured.old_widths), ("new", measured.new_widths)):
            if count:
                self.add(loading.back_length_need(generation).at(*_place(row)))

    def _module(self, name: str, place: tuple[int, int | None, bytes | None]) -> None:
        need = None if name.lower() in self.modules else loading.module_need(name)
        if need is not None:
            self.add(need.at(*place))

    def _vector_set(self, version: int, place: tuple[int, int | None, bytes | None]) -> None:
        need = loading.vector_set_need(version)
        if need is not None:
            self.add(need.at(*place))

    # -- commands --------------------------------------------------------------------------------------------------

    def annotation(self, offset: int) -> None:
        """Add a line that begins with #."""
        self.add(loading.annotation_need().at(offset))

    def command(self, full: bytes, offset: int, args: list[bytes] | None = None) -> None:
        """Add a command, by its name in the table of commands; `args` are its words, where they are known."""
        known = self._commands.get(full)
        if known is not None:
            known.count += 1
            return
        need = loading.command_need(full).at(offset, None, next(iter(keys_of(args or [])), None))
        if len(self._commands) < _MOST:
            self._commands[full] = need
        self.add(need)


def _place(row: walker.EntryTuple) -> tuple[int, int, bytes]:
    return row[walker.OFFSET], row[walker.DB], row[walker.KEY][:_NAMED]


def _module_of(snapshot: Snapshot, row: walker.EntryTuple) -> tuple[str, int]:
    """Return the name of the module that a value belongs to, and of a vector set the version of its nodes.

    The name is "(unknown)" if its body cannot be read again.
    """
    body = row[walker.BODY]
    if body is not None:
        return _named(Cursor(body))
    try:
        start = row[walker.BODY_OFFSET]
        with snapshot.source.reopen(start) as again:
            return _named(Cursor(source=again, base=start))
    except Passed:
        return "(unknown)", 0


def _named(cursor: Cursor) -> tuple[str, int]:
    name = module_name(cursor.length())[0]
    if name != _VECTOR_SET:
        return name, 0
    try:
        return name, vector_set_version(cursor)
    except RdbkitError:
        # Damage, of which `check` has its own finding.
        return name, 0
