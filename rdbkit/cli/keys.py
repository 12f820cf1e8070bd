"""`rdbkit keys`: list keys, one row each."""

from __future__ import annotations

from collections.abc import Generator, Iterator

import click

from rdbkit.analysis.rows import KeyRow, key_rows
from rdbkit.cli.options import (
    CommandRun,
    Examples,
    Reading,
    bytes_option,
    format_option,
    heads_only,
    may_stop,
    open_output,
    output_option,
    paths_argument,
    reading_options,
    say,
)
from rdbkit.output.row_formats import row_writer
from rdbkit.output.rows import KEY_COLUMNS, Column, RowWriter
from rdbkit.output.sort import chunks, ordered
from rdbkit.output.table import Table
from rdbkit.output.text import path_text
from rdbkit.rdb import walker
from rdbkit.rdb.walker import Plan
from rdbkit.snapshot.snapshot import Snapshot

_NAMES = [column.name for column in KEY_COLUMNS]
_MEMORY = _NAMES.index("memory")
#: Columns that sort ascending; all others descend, largest first.
_ASCENDING = frozenset(("db", "key", "type", "encoding", "expires_at"))


class _Inputs:
    """The rows of all inputs in sequence, in batches; an error in one is reported and the next one is read."""

    def __init__(self, reading: Reading, paths: tuple[str, ...], run: CommandRun, heap: bool) -> None:
        self.heap = heap
        self.reading = reading
        self.paths = paths
        self.run = run
        self.snapshot: Snapshot | None = None
        """The snapshot being read; None when all are done."""
        self.unread = list(paths)

    def batches(self) -> Generator[list[KeyRow], None, None]:
        """Yield rows, starting with the name of their input if there are several."""
        for path in self.paths:
            self.unread.remove(path)
            with self.run.input(path), self.reading.open(path, Plan(level=walker.SHAPE)) as self.snapshot:
                self.reading.say_target(self.snapshot)
                with self.run.watching(path, self.snapshot, heads_only):
                    yield from self._watched(path, self.snapshot)
            self.snapshot = None

    def _watched(self, path: str, snapshot: Snapshot) -> Iterator[list[KeyRow]]:
        snapshot.model(self.heap)
        self.reading.say_memory(snapshot)
        with self.reading.progress_of(snapshot) as progress:
            for batch in snapshot.batches():
                progress.update(snapshot.cursor.tell())
                rows = key_rows(snapshot, batch)
                if self.reading.min_memory is not None:
                    rows = [row for row in rows if self.reading.heavy(row[_MEMORY])]
                yield [(path, *row) for row in rows] if len(self.paths) > 1 else rows
        self.reading.say_trailing(snapshot)

    def leave(self) -> None:
        """Name the inputs that were not read to the end because of --limit."""
        if self.snapshot is not None and self.snapshot.checksum == "not reached":
            why = "stopped at --limit; checksum not verified (use --verify to read to the end)"
            say(f"{path_text(self.snapshot.name)}: {why}", quiet=self.reading.quiet)
        if self.unread:
            say(f"not opened because of --limit: {', '.join(map(path_text, self.unread))}", quiet=self.reading.quiet)


def _first(batches: Iterator[list[KeyRow]], limit: int | None) -> Iterator[list[KeyRow]]:
    """Yield batches with at most `limit` rows in total."""
    left = limit
    for batch in batches:
        if left is None:
            yield batch
            continue
        yield batch[:left]
        left -= len(batch)
        if left <= 0:
            return


def _sorted(batches: Iterator[list[KeyRow]], at: int, descends: bool, limit: int | None) -> Iterator[list[KeyRow]]:
    return chunks(ordered(batches, lambda row: row[at], descends, limit), 512, 1 << 20)


def _columns(several: bool, sort: str | None) -> list[Column]:
    """Return the columns; the sort column is never hidden on a narrow terminal."""
    columns = [column._replace(drop=0) if column.name == sort else column for column in KEY_COLUMNS]
    return [Column("file", "path"), *columns] if several else columns


@click.command(
    "keys",
    short_help="List keys: name, type, encoding, memory, expiry.",
    cls=Examples,
    examples="""
rdbkit keys dump.rdb
rdbkit keys dump.rdb --type hash --match 'user:*' --sort memory --limit 20
rdbkit keys dump.rdb --ttl none --format csv -o immortal.csv
rdbkit keys appendonlydir --before flushall
zcat dump.rdb.gz | rdbkit keys - -f jsonl | jq .key
""",
)
@paths_argument
@format_option("table", "json", "jsonl", "csv")
@output_option
@click.option(
    "--sort",
    metavar="COLUMN",
    type=click.Choice(_NAMES),
    help=f"Sort column; text ascending, numbers descending. One of {', '.join(_NAMES)}.",
)
@click.option("-n", "--limit", metavar="N", type=click.IntRange(0), help="Maximum number of rows in total.")
@click.option("--heap", is_flag=True, help="Memory actually allocated, instead of MEMORY USAGE.")
@click.option("--verify", is_flag=True, help="With --limit, read to the end and verify the checksum.")
@bytes_option
@reading_options(select=True, damage=True, state=True)
def command(
    reading: Reading,
    paths: tuple[str, ...],
    output_format: str,
    output: str | None,
    sort: str | None,
    limit: int | None,
    verify: bool,
    heap: bool,
    form: str,
) -> None:
    """List keys: database, name, type, encoding, elements, memory, size, expiry.

    MEMORY is what MEMORY USAGE would return on the target. If that is partly random, MEMORY_SD is the standard
    deviation.

    SIZE is the size of the key in the file; there is none for an AOF, whose commands are replayed. --limit stops
    reading early, unless --sort is given.

    Only the head of each value is read. The contents of values, and duplicate keys, members or fields, are not checked;
    use `rdbkit check` for that. A key with a damaged head is listed without encoding, elements and memory.
    """
    with open_output(output, paths) as out:
        columns = _columns(len(paths) > 1, sort)
        width = out.width if out.is_terminal else None
        writer = row_writer(output_format, columns, out.text, form=form, width=width, color=out.color)
        run = CommandRun(out, reading.quiet)
        inputs = _Inputs(reading, paths, run, heap)
        source = inputs.batches()
        if sort is None:
            batches = _first(source, limit)
        else:
            at = [column.name for column in columns].index(sort)
            batches = _sorted(source, at, sort not in _ASCENDING, limit)
        count = _write(writer, batches)
        if verify or (inputs.snapshot is not None and not may_stop(inputs.snapshot)):
            for _ in source:
                pass
        inputs.leave()
        source.close()
        _finish(writer, output_format, run, count)
        if not count and not run.statuses and reading.selection:
            say("no key matches", quiet=reading.quiet)
        run.end()


def _write(writer: RowWriter, batches: Iterator[list[KeyRow]]) -> int:
    count = 0
    for batch in batches:
        count += len(batch)
        writer.write(batch)
    return count


def _finish(writer: RowWriter, output_format: str, run: CommandRun, count: int) -> None:
    """End the document, unless rows may be missing; a table is always ended."""
    if (output_format == "table" and (count or not run.statuses)) or not run.cut:
        writer.finish()
    if count and isinstance(writer, Table) and writer.hidden:
        say(f"columns hidden: {', '.join(writer.hidden)} (use -f csv, or a pipe, for all columns)", quiet=run.quiet)
