"""Which releases load a file, and what keeps the others from it: one pass over it, then a question to each release.

    file ─► needs: RDB version, types, opcodes, modules, databases, commands, … ─► for each release: which it lacks

A release is a row of releases.table with its default settings and without modules; `modules` names those that the
server is to have. A damaged file has no answer: reading it raises.

Source: releases.loading and releases.commands, whose answers were compared with starts of real servers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from rdbkit.aof.aof_set import AofFile, AofSet
from rdbkit.aof.layout import DataDir, files_at, would_load
from rdbkit.aof.reader import has_preamble
from rdbkit.aof.resp import ERROR, LOADER, RECORD, Resp
from rdbkit.aof.startup import KEPT_ARGUMENT
from rdbkit.errors import Corrupt, Passed, Truncated
from rdbkit.format import spec
from rdbkit.format.versions import HEADERS
from rdbkit.rdb import walker
from rdbkit.rdb.modules import module_name
from rdbkit.rdb.walker import Plan
from rdbkit.releases.commands import COMMANDS, CONTAINERS, Spec, keys_of, knows
from rdbkit.releases.loading import loads_record, reads
from rdbkit.releases.table import RELEASES
from rdbkit.releases.target import Target
from rdbkit.snapshot.preamble import open_preamble
from rdbkit.snapshot.snapshot import Openable, Snapshot
from rdbkit.source import Source, open_source
from rdbkit.wire.cursor import Cursor

_BATCH = 512
#: Bytes of a key that is named.
_NAMED = 256
#: Needs of different names that are kept: more than there are commands and types, so that what a malicious file has
#: beyond these changes no answer.
_MOST = 4096
#: Modules' types that some servers have built in: the feature that says which.
_BUILT_IN = {"vectorset": "vector-sets"}


@dataclass(slots=True)
class Need:
    """Something in a file that a server must have.

    `kind` is "version", "type", "opcode", "module", "setting", "multi-part", "annotation" or "command"; `name` says
    which; `count` how often. `offset`, `db` and `key` are those of the first, None where that has no answer.
    """

    kind: str
    name: str
    met: Callable[[Target], bool] = field(repr=False)
    count: int = 1
    offset: int | None = None
    db: int | None = None
    key: bytes | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """Whether a release loads the file; `blockers` are the needs that it does not meet."""

    target: Target
    blockers: tuple[Need, ...]

    @property
    def loads(self) -> bool:
        """Whether nothing keeps it from loading the file."""
        return not self.blockers


@dataclass(frozen=True, slots=True)
class Compat:
    """All needs of the files at a path, and the answer for each release, ascending, one product after the other.

    `asked` is the answer for the target that was given, None where none was.
    """

    needs: tuple[Need, ...]
    answers: tuple[Answer, ...]
    asked: Answer | None = None


def compat(
    what: Openable,
    *,
    target: Target | str | None = None,
    settings: dict[str, str] | None = None,
    modules: Iterable[str] = (),
    appendonly: bool = True,
    verify: bool = True,
    max_item: int = walker.MAX_ITEM,
    progress: Callable[[Any], AbstractContextManager[Any]] | None = None,
) -> Compat:
    """Return which releases load a file, an AOF set or a data directory, and what keeps the others from it.

    `settings` are those of the server, as in redis.conf; `modules` names modules that it has. Of a data directory the
    files count that a server loads with `appendonly yes` or `no`. `verify=False` does not look at the checksum; keys of
    more than `max_item` bytes are stepped over. Raises Truncated and Corrupt for a damaged file,
    Unsupported for another format, OSError.

        >>> found = rdbkit.compat("dump.rdb")
        >>> [str(answer.target) for answer in found.answers if answer.loads]
    """
    needs = _Needs(frozenset(name.lower() for name in modules), verify, max_item, progress)
    for file, in_set in _files(what, appendonly, needs):
        needs.read(file, in_set)
    found = needs.all()
    goal = Target.parse(target) if isinstance(target, str) else target
    releases = [Target.of(product, row.version) for product, rows in RELEASES.items() for row in rows]
    answers = tuple(_answer(_with(one, settings), found) for one in releases)
    return Compat(found, answers, None if goal is None else _answer(_with(goal, settings), found))


def _with(target: Target, settings: dict[str, str] | None) -> Target:
    return target.with_settings(settings) if settings else target


def _answer(target: Target, needs: Iterable[Need]) -> Answer:
    return Answer(target, tuple(need for need in needs if not need.met(target)))


def _files(what: Openable, appendonly: bool, needs: _Needs) -> Iterator[tuple[Openable, bool]]:
    """Yield the files that a server loads, each with whether it is one of a set."""
    found = files_at(what)
    if found is None or isinstance(found, AofFile):
        yield what, False
        return
    if isinstance(found, AofSet):
        files = found.files
    else:
        assert isinstance(found, DataDir)
        appendonly = appendonly and bool(found.sets or found.aofs)
        files = would_load(found, appendonly=appendonly)
    for file in files:
        in_set = file.role != "single"
        if in_set:
            needs.add(Need("multi-part", "AOF in several files", lambda goal: goal.has("aof-multi-part")))
        if file.format != "empty":
            yield file.path, in_set


class _Needs:
    """Collects needs: each once, with a count and the first place."""

    def __init__(
        self,
        modules: frozenset[str],
        verify: bool,
        max_item: int,
        progress: Callable[[Any], AbstractContextManager[Any]] | None,
    ) -> None:
        self.modules = modules
        self.source: Source | None = None
        self._verify = verify
        self._plan = Plan(retain=True, max_item=max_item)
        self._progress = progress or (lambda _: nullcontext())
        self._found: dict[tuple[str, str], Need] = {}
        self._commands: dict[bytes, Need] = {}
        self._database = 0

    def add(self, need: Need) -> None:
        """Count a need."""
        known = self._found.get((need.kind, need.name))
        if known is None and len(self._found) < _MOST:
            self._found[need.kind, need.name] = need
        elif known is not None:
            known.count += need.count

    def all(self) -> tuple[Need, ...]:
        """Return all, in the order in which they were met."""
        return tuple(self._found.values())

    def read(self, what: Openable, in_set: bool) -> None:
        """Read a file to its end."""
        source = self.source = open_source(what)
        with source, self._progress(self) as progress:
            advance: Callable[[int], object] = progress.update if progress else lambda _: None
            if source.peek and not has_preamble(source.peek):
                if not in_set and not source.recognise().holds_commands:
                    raise source.recognise().error()
                self._aof(Cursor(source=source, base=source.start), advance)
                return
            with open_preamble(source, in_set=in_set, plan=self._plan, verify=self._verify) as snapshot:
                self._rdb(snapshot, advance)
                if snapshot.commands:
                    self._aof(snapshot.cursor, advance)

    # -- RDB -------------------------------------------------------------------------------------------------------

    def _rdb(self, snapshot: Snapshot, advance: Callable[[int], object]) -> None:
        magic, version = snapshot.magic, snapshot.version
        letters = HEADERS[magic].magic.decode()
        met = partial(_reads, magic, version)
        self.add(Need("version", f"{letters} RDB version {version}", met, offset=snapshot.source.start))
        self._records(snapshot)
        for batch in snapshot.batches():
            self._records(snapshot)
            for row in batch:
                self._entry(snapshot, row)
            advance(snapshot.cursor.tell())
        self._records(snapshot)

    def _records(self, snapshot: Snapshot) -> None:
        for offset, kind, payload in snapshot.take_records():
            if kind >= 0:
                self._record(kind, offset)
            if kind == spec.SLOT_IMPORT:
                self.add(
                    Need("setting", "cluster-enabled yes", lambda goal: goal.settings.cluster_enabled, offset=offset)
                )
            if kind == spec.MODULE_AUX:
                self._module(module_name(payload[0])[0], offset, None, None)

    def _entry(self, snapshot: Snapshot, row: walker.EntryTuple) -> None:
        kind, offset, db, key = row[walker.TYPE], row[walker.OFFSET], row[walker.DB], row[walker.KEY]
        known = self._found.get(("type", spec.BY_ID[kind].name))
        if known is not None:
            known.count += 1
        else:
            self._record(kind, offset, db, key)
        if kind == spec.MODULE_2:
            self._module(_module_of(snapshot, row), offset, db, key)
        if db > self._database:
            self._database = db
            self._databases(offset, db, key)

    def _record(self, kind: int, offset: int, db: int | None = None, key: bytes | None = None) -> None:
        row = spec.BY_ID[kind]
        met = partial(_loads_record, kind)
        self.add(Need("type" if row.type else "opcode", row.name, met, offset=offset, db=db, key=key and key[:_NAMED]))

    def _module(self, name: str, offset: int, db: int | None, key: bytes | None) -> None:
        if name.lower() not in self.modules and name != "CRON":
            met = partial(_has_module, name)
            self.add(Need("module", name, met, offset=offset, db=db, key=key and key[:_NAMED]))

    def _databases(self, offset: int, db: int, key: bytes | None) -> None:
        met = partial(_has_database, db)
        need = Need("setting", f"databases {db + 1}", met, offset=offset, db=db, key=key and key[:_NAMED])
        # The greatest number is the one that counts.
        self._found["setting", "databases"] = need

    # -- commands --------------------------------------------------------------------------------------------------

    def _aof(self, cursor: Cursor, advance: Callable[[int], object]) -> None:
        resp = Resp(cursor, LOADER)
        status, multi = RECORD, False
        while status == RECORD:
            items: list[tuple[int, int, list[bytes] | bytes, object]] = []
            status = resp.batch(_BATCH, KEPT_ARGUMENT, items)
            for offset, _, args, _ in items:
                if isinstance(args, bytes):
                    self.add(Need("annotation", "#", lambda goal: goal.has("aof-annotations"), offset=offset))
                else:
                    self._command(args, offset)
                    name = args[0].lower()
                    multi = name == b"multi" or (multi and name != b"exec")
            advance(cursor.tell())
        if status == ERROR:
            assert resp.problem is not None
            if resp.problem[0] in ("short", "eof"):
                raise Truncated("the file ends in the middle of a command", offset=resp.start)
            raise Corrupt("not a command, where one should start or go on", offset=resp.problem[1], code="bad-aof")
        if multi:
            raise Truncated("the file ends inside a transaction", offset=cursor.tell(), code="open-transaction")

    def _command(self, args: list[bytes], offset: int) -> None:
        name = args[0].lower()
        is_part = name in CONTAINERS and len(args) > 1
        full = name + b"|" + args[1].lower() if is_part else name
        known = self._commands.get(full)
        if known is not None:
            known.count += 1
            return
        shown = full.replace(b"|", b" ").upper().decode("utf-8", "backslashreplace")
        key = next(iter(keys_of(args)), None)
        if COMMANDS.get(name) is None and b"." in name[1:-1]:
            need = Need("module", f"command {shown}", lambda _: False, offset=offset, key=key)
        else:
            met = partial(_runs, COMMANDS.get(name), COMMANDS.get(full), is_part)
            need = Need("command", shown, met, offset=offset, key=key)
        if len(self._commands) < _MOST:
            self._commands[full] = need
        self.add(need)


def _module_of(snapshot: Snapshot, row: walker.EntryTuple) -> str:
    """Return the name of the module that a value belongs to; "(unknown)" if its body cannot be read again."""
    body = row[walker.BODY]
    if body is not None:
        return module_name(Cursor(body).length())[0]
    try:
        start = row[walker.BODY_OFFSET]
        with snapshot.source.reopen(start) as again:
            return module_name(Cursor(source=again, base=start).length())[0]
    except Passed:
        return "(unknown)"


def _reads(magic: str, version: int, target: Target) -> bool:
    return reads(target, magic, version)


def _loads_record(kind: int, target: Target) -> bool:
    return loads_record(target, kind)


def _has_module(name: str, target: Target) -> bool:
    return name in _BUILT_IN and target.has(_BUILT_IN[name])


def _has_database(db: int, target: Target) -> bool:
    return db < target.settings.databases


def _runs(command: Spec | None, full: Spec | None, is_part: bool, target: Target) -> bool:
    """Return whether a server starts with this command; `full` is the row of its subcommand."""
    if command is None or not knows(target, command):
        return False
    if not is_part or not target.has("aof-checks-subcommands"):
        return True
    return full is not None and knows(target, full)
