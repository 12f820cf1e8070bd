"""Which releases load a file, and what keeps the others from it: one pass over it, then a question to each release.

    file ─► needs: RDB version, types, opcodes, modules, databases, commands, … ─► for each release: which it lacks

A release is a row of releases.table with its default settings and without modules; `modules` names those that the
server is to have. A damaged file has no answer: reading it raises.

Source: releases.loading and releases.commands, whose answers were compared with starts of real servers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

from rdbkit.aof.aof_set import AofFile, AofSet
from rdbkit.aof.layout import DataDir, files_at, would_load
from rdbkit.aof.reader import has_preamble
from rdbkit.aof.resp import ERROR, LOADER, RECORD, Resp
from rdbkit.aof.startup import KEPT_ARGUMENT
from rdbkit.checks.duplicates import KeyNames
from rdbkit.checks.needs import Needs
from rdbkit.errors import Corrupt, Truncated
from rdbkit.rdb import walker
from rdbkit.rdb.walker import Plan
from rdbkit.releases.loading import Need, command_name, multi_part_need, unmet
from rdbkit.releases.table import RELEASES
from rdbkit.releases.target import Target
from rdbkit.snapshot.preamble import open_preamble
from rdbkit.snapshot.snapshot import Openable, Snapshot
from rdbkit.source import Source, open_source
from rdbkit.wire.cursor import Cursor

_BATCH = 512


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
    reading = _Reading(frozenset(name.lower() for name in modules), verify, max_item, progress)
    for file, in_set in _files(what, appendonly, reading.needs):
        reading.read(file, in_set)
    found = tuple(reading.needs)
    goal = Target.parse(target) if isinstance(target, str) else target
    releases = [Target.of(product, row.version) for product, rows in RELEASES.items() for row in rows]
    answers = tuple(_answer(_with(one, settings), found) for one in releases)
    return Compat(found, answers, None if goal is None else _answer(_with(goal, settings), found))


def _with(target: Target, settings: dict[str, str] | None) -> Target:
    return target.with_settings(settings) if settings else target


def _answer(target: Target, needs: Iterable[Need]) -> Answer:
    return Answer(target, unmet(needs, target))


def _files(what: Openable, appendonly: bool, needs: Needs) -> Iterator[tuple[Openable, bool]]:
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
            needs.add(multi_part_need())
        if file.format != "empty":
            yield file.path, in_set


class _Reading:
    """Reads files and collects their needs; `source` is the one that is being read."""

    def __init__(
        self,
        modules: frozenset[str],
        verify: bool,
        max_item: int,
        progress: Callable[[Any], AbstractContextManager[Any]] | None,
    ) -> None:
        self.needs = Needs(modules)
        self.source: Source | None = None
        self._verify = verify
        self._plan = Plan(level=walker.SHAPE, retain=True, watches=True, max_item=max_item)
        self._progress = progress or (lambda _: nullcontext())

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

    def _rdb(self, snapshot: Snapshot, advance: Callable[[int], object]) -> None:
        needs = self.needs
        needs.header(snapshot)
        needs.records(snapshot.take_records())
        with KeyNames() as names:
            for batch in snapshot.batches():
                needs.records(snapshot.take_records())
                needs.keys(snapshot, batch)
                names.add(batch)
                advance(snapshot.cursor.tell())
            needs.records(snapshot.take_records())
            for finding in names.findings(snapshot):
                if finding.severity == "error":
                    error = Corrupt(finding.message, offset=finding.offset, code=finding.code)
                    error.locate(finding.db, finding.key)
                    raise error

    def _aof(self, cursor: Cursor, advance: Callable[[int], object]) -> None:
        resp = Resp(cursor, LOADER)
        status, multi = RECORD, False
        while status == RECORD:
            items: list[tuple[int, int, list[bytes] | bytes, object]] = []
            status = resp.batch(_BATCH, KEPT_ARGUMENT, items)
            for offset, _, args, _ in items:
                if isinstance(args, bytes):
                    self.needs.annotation(offset)
                else:
                    self.needs.command(command_name(args), offset, args)
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
