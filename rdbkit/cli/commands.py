"""`rdbkit commands`: list the commands of an AOF."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import click

from rdbkit.aof.history import History
from rdbkit.aof.layout import AofFile, files_at, would_load
from rdbkit.aof.reader import SHOWN_ARGUMENT, AofReader, Command
from rdbkit.cli.options import (
    CommandRun,
    Examples,
    bytes_option,
    format_option,
    moment_option,
    open_output,
    output_option,
    paths_argument,
    quoted,
    raw_text,
    say,
)
from rdbkit.conversion.selection import glob
from rdbkit.errors import RdbkitError, Unsupported
from rdbkit.output.progress import Progress
from rdbkit.output.row_formats import row_writer
from rdbkit.output.rows import Column, OutputRow, RowWriter
from rdbkit.output.table import Table
from rdbkit.output.text import encoder, json_joined, path_text, undo
from rdbkit.output.units import count, size
from rdbkit.rdb import walker
from rdbkit.releases.commands import keys_of
from rdbkit.snapshot.snapshot import Snapshot
from rdbkit.source import Source, open_source

_QUOTED = re.compile(r'[\s"\']|^$')


@dataclass(frozen=True, slots=True)
class Wanted:
    """Selection of commands; None and () select all. Offsets and times (ms since the epoch) are inclusive."""

    names: frozenset[bytes] = frozenset()
    dbs: frozenset[int] = frozenset()
    match: tuple[re.Pattern[bytes], ...] = ()
    exclude: tuple[re.Pattern[bytes], ...] = ()
    from_offset: int | None = None
    to_offset: int | None = None
    from_time: int | None = None
    to_time: int | None = None

    def __bool__(self) -> bool:
        return self != Wanted()

    def takes(self, command: Command) -> bool:
        """Return whether a command is selected; one without a time is not if a time range is given."""
        if self.names and command.args[0].lower() not in self.names:
            return False
        if self.dbs and command.db not in self.dbs:
            return False
        if not _within(command.offset, self.from_offset, self.to_offset):
            return False
        timed = self.from_time is not None or self.to_time is not None
        if timed and (command.time is None or not _within(command.time, self.from_time, self.to_time)):
            return False
        return not (self.match or self.exclude) or self._keys(keys_of(command.args))

    def _keys(self, keys: list[bytes]) -> bool:
        if self.match and not any(pattern.search(key) for key in keys for pattern in self.match):
            return False
        return not any(pattern.search(key) for key in keys for pattern in self.exclude)

    def passed(self, batch: list[Command]) -> bool:
        """Return whether nothing further in this file can be selected."""
        return self.to_offset is not None and batch[-1].offset > self.to_offset


def _within(number: int, low: int | None, high: int | None) -> bool:
    return (low is None or number >= low) and (high is None or number <= high)


@click.command(
    "commands",
    short_help="List the commands of an AOF.",
    cls=Examples,
    examples="""
rdbkit commands appendonlydir --command flushall --command flushdb
rdbkit commands appendonlydir --key user:1
rdbkit commands appendonly.aof --match 'user:*' -f jsonl
rdbkit commands appendonlydir --from-time 2026-11-20T03:00:00Z --limit 100
""",
)
@paths_argument
@format_option("table", "json", "jsonl", "csv")
@output_option
@click.option("--command", "names", metavar="NAME", multiple=True, help="Only this command, in any case; repeatable.")
@click.option("--key", metavar="KEY", help="Only the history of this key, also under other names.")
@click.option("--match", metavar="GLOB", multiple=True, help="Only commands on a key matching this glob.")
@click.option("--exclude", metavar="GLOB", multiple=True, help="Skip commands on a key matching this glob.")
@click.option("--db", "dbs", metavar="N", type=click.IntRange(0), multiple=True, help="Only this database; repeatable.")
@click.option("--from-offset", metavar="N", type=click.IntRange(0), help="Only commands at or after this file offset.")
@click.option("--to-offset", metavar="N", type=click.IntRange(0), help="Only commands at or before this file offset.")
@moment_option("--from-time", "Only commands timestamped at or after this time.")
@moment_option("--to-time", "Only commands timestamped at or before this time.")
@click.option("-n", "--limit", metavar="N", type=click.IntRange(0), help="Maximum number of rows in total.")
@bytes_option
@click.option("--progress/--no-progress", default=None, help="Show progress (default: on a terminal).")
@click.option("-q", "--quiet", is_flag=True, help="Suppress messages except errors.")
def command(
    paths: tuple[str, ...],
    output_format: str,
    output: str | None,
    names: tuple[str, ...],
    key: str | None,
    match: tuple[str, ...],
    exclude: tuple[str, ...],
    dbs: tuple[int, ...],
    from_offset: int | None,
    to_offset: int | None,
    from_time: int | None,
    to_time: int | None,
    limit: int | None,
    form: str,
    progress: bool | None,
    quiet: bool,
) -> None:
    r"""List the commands of an AOF: file, offset, database, time, name, arguments.

    The files of a manifest or a directory are read in the order in which a server loads them. Only the size of an RDB
    preamble is shown. Times come from timestamp annotations (aof-timestamp-enabled yes); most files have none.

    --key gives the history of one key: the commands that name it, and FLUSHALL, FLUSHDB and SWAPDB. It is followed
    through RENAME, MOVE, COPY and SWAPDB: forward to its new names, and back to those from which it came. KEY is
    matched literally and with each \xHH decoded to a byte; --db is then the database of the key.
    """
    if key is not None and "-" in paths:
        raise click.UsageError("--key reads the commands twice: save standard input to a file first.")
    if key is not None and len(dbs) > 1:
        raise click.UsageError("--key takes one --db at most.")
    wanted = Wanted(
        frozenset(raw_text(name).lower() for name in names),
        frozenset(dbs if key is None else ()),
        tuple(glob(raw_text(pattern)) for pattern in match),
        tuple(glob(raw_text(pattern)) for pattern in exclude),
        from_offset,
        to_offset,
        from_time,
        to_time,
    )
    with open_output(output, paths) as out:
        run = CommandRun(out, quiet)
        width = out.width if out.is_terminal else None
        writer = row_writer(output_format, _columns(output_format), out.text, form=form, width=width, color=out.color)
        reading = _Reading(run, writer, wanted, limit, _rows(output_format, form), False if quiet else progress)
        for path in paths:
            if key is not None:
                reading.history = History({raw_text(key), undo(key)}, next(iter(dbs), None))
            with run.input(path):
                reading.path(path)
        reading.leave()
        _finish(writer, output_format, run, reading.written)
        if (wanted or key is not None) and not reading.written and not run.statuses:
            say("no command matches", quiet=quiet)
        run.end()


def _columns(output_format: str) -> list[Column]:
    machine = output_format in ("json", "jsonl")
    columns = [Column("file", "path", 3), Column("offset"), Column("db", drop=1), Column("time", "ms", 2)]
    columns += [Column("name", "bytes"), Column("arguments", "json" if machine else "text")]
    return columns + ([Column("lengths", "json")] if output_format != "table" else [])


class _Reading:
    """Reads files and writes rows up to the limit."""

    def __init__(
        self,
        run: CommandRun,
        writer: RowWriter,
        wanted: Wanted,
        limit: int | None,
        rows: Callable[[str, list[Command]], list[OutputRow]],
        progress: bool | None,
    ) -> None:
        self.run = run
        self.writer = writer
        self.wanted = wanted
        self.left = limit
        self.rows = rows
        self.progress = progress
        self.written = 0
        self.stopped: list[str] = []
        self.history: History | None = None

    def path(self, path: str) -> None:
        """Read the files at a path."""
        found = files_at(path)
        if found is None or isinstance(found, AofFile):
            self._learn([path])
            self._file(path, in_set=False)
            return
        files = would_load(found)
        if not files:
            raise Unsupported("no AOF found: a server with appendonly yes starts empty", code="nothing-found")
        self._learn([file.path for file in files if file.format not in ("empty", "missing", "special")])
        for file in files:
            with self.run.input(file.path):
                if file.format != "empty":
                    self._file(file.path, in_set=True)

    def _learn(self, paths: list[str]) -> None:
        """Read the files a first time, for the history of a key. What is wrong with them is said by the second."""
        if self.history is None:
            return
        for path in paths:
            with suppress(RdbkitError), open_source(path) as source, self._shown(source) as progress:
                for batch in AofReader(source, keep=SHOWN_ARGUMENT, verify=False).batches():
                    progress.update(batch[-1].end)
                    for one in batch:
                        self.history.learn(one)
        self.history.settle()

    def _shown(self, source: Source) -> Progress:
        return Progress(source.size, enabled=self.progress)

    def _say_held(self, reader: AofReader) -> None:
        """Say which of the keys in the RDB before the commands belong to the history."""
        if self.history is None:
            return
        for row in reader.held:
            if self.history.holds((row[walker.DB], row[walker.KEY])):
                what = f"db {row[walker.DB]} key {quoted(row[walker.KEY])} is in it"
                say(f"{path_text(reader.source.name)}: {what} (offset {row[walker.OFFSET]})", quiet=self.run.quiet)

    def _file(self, path: str, *, in_set: bool) -> None:
        if self.left == 0:
            self.stopped.append(path)
            return
        with open_source(path) as source, self._shown(source) as progress:
            _refuse_others(source, in_set)
            pattern = None if self.history is None else self.history.at_start.__contains__
            reader = AofReader(source, keep=SHOWN_ARGUMENT, pattern=pattern)
            if reader.preamble is not None:
                self._say_preamble(reader, in_set)
                self._say_held(reader)
            for batch in reader.batches():
                progress.update(batch[-1].end)
                if not self._write(path, batch):
                    self.stopped.append(path)
                    return
                # The history counts all commands.
                if self.history is None and self.wanted.passed(batch):
                    return

    def _write(self, path: str, batch: list[Command]) -> bool:
        """Write the selected commands; return False when the limit is reached."""
        if self.history is not None:
            batch = [command for command in batch if self.history.takes(command)]
        if self.wanted:
            batch = [command for command in batch if self.wanted.takes(command)]
        full = self.left is not None and len(batch) > self.left
        batch = batch[: self.left]
        if batch:
            self.writer.write(self.rows(path, batch))
            self.written += len(batch)
        if self.left is not None:
            self.left -= len(batch)
        return not full

    def _say_preamble(self, reader: AofReader, in_set: bool) -> None:
        source = reader.source
        rdb = reader.start - source.start
        if not in_set and reader.cursor.at_end() and not _is_preamble(source):
            raise Unsupported(
                "an RDB, not an AOF: it contains no commands (`rdbkit export -f resp` creates them)",
                offset=source.start,
                code="not-aof",
            )
        text = f"{path_text(source.name)}: an RDB of {size(rdb)} ({count(rdb)} bytes) precedes the commands"
        say(text, quiet=self.run.quiet)

    def leave(self) -> None:
        """Name the files that were not read to the end because of --limit."""
        if self.stopped:
            say(f"stopped at --limit: {', '.join(map(path_text, self.stopped))}", quiet=self.run.quiet)


def _refuse_others(source: Source, in_set: bool) -> None:
    """Refuse a file that is not an AOF; files of a set are always read as AOF."""
    if not in_set:
        found = source.recognise()
        if found.kind == "manifest":
            raise Unsupported("the manifest of an AOF: name it as a file", offset=source.start, code="needs-replay")
        if found.kind not in ("aof", "rdb"):
            raise found.error()


def _is_preamble(source: Source) -> bool:
    """Return whether an RDB is an AOF preamble by its AUX fields; True for a pipe, which cannot be read again."""
    if not source.seekable:
        return True
    with Snapshot(source.reopen(source.start), verify=False) as snapshot:
        return b"1" in (snapshot.aux.get("aof-base"), snapshot.aux.get("aof-preamble"))


# -- rows --------------------------------------------------------------------------------------------------------------


def _rows(output_format: str, form: str) -> Callable[[str, list[Command]], list[OutputRow]]:
    """Return the function that turns commands into rows of the format."""
    if output_format == "table":
        return lambda path, batch: [(*_head(path, one), _text(one, form)) for one in batch]
    if output_format == "csv":
        return lambda path, batch: [(*_head(path, one), _text(one, form), _lengths(one)) for one in batch]
    return lambda path, batch: [
        (*_head(path, one), f"[{json_joined(one.args[1:], form)}]", _lengths(one)) for one in batch
    ]


def _head(path: str, one: Command) -> tuple[Any, ...]:
    return path, one.offset, one.db, one.time, one.args[0]


def _lengths(one: Command) -> str | None:
    """Return the full lengths of the arguments if one was cut, else None."""
    return None if one.lengths is None else f"[{','.join(map(str, one.lengths[1:]))}]"


def _text(one: Command, form: str) -> str:
    """Return the arguments as text, separated by blanks, quoted if needed, with a mark if one was cut."""
    encode = encoder(form)
    words = [_word(encode(arg)) for arg in one.args[1:]]
    if one.lengths is not None:
        for at, full in enumerate(one.lengths[1:]):
            if full > SHOWN_ARGUMENT:
                words[at] += f"…({full} bytes)"
    return " ".join(words)


def _word(text: str) -> str:
    if not _QUOTED.search(text):
        return text
    return '"' + text.replace('"', '\\"') + '"'


def _finish(writer: RowWriter, output_format: str, run: CommandRun, written: int) -> None:
    """End the document, unless rows may be missing; a table is always ended."""
    if (output_format == "table" and (written or not run.statuses)) or not run.statuses - {5}:
        writer.finish()
    if written and isinstance(writer, Table) and writer.hidden:
        say(f"columns hidden: {', '.join(writer.hidden)} (use -f csv, or a pipe, for all columns)", quiet=run.quiet)
