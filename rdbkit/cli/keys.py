"""`rdbkit keys`: one row per key."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

import click

from rdbkit.cli.options import (
    Examples,
    Reading,
    Run,
    bytes_option,
    format_option,
    open_output,
    output_option,
    paths_argument,
    reading_options,
    say,
)
from rdbkit.rdb import spec, walker
from rdbkit.rdb.walker import Plan
from rdbkit.report.progress import Progress
from rdbkit.report.rows import KEY_COLUMNS, Column, RowWriter, row_writer
from rdbkit.report.sort import ordered
from rdbkit.snapshot import Snapshot

_TYPE_NAMES = {row.id: row.type for row in spec.ROWS}
_NAMES = [column.name for column in KEY_COLUMNS]
#: Text ascends, numbers descend: who sorts by size wants the largest.
_ASCENDING = frozenset(("db", "key", "type", "encoding", "expires_at"))

Row = tuple[Any, ...]


def key_rows(snapshot: Snapshot, batch: list[walker.Entry]) -> list[Row]:
    """Turn the walker's tuples into rows of KEY_COLUMNS."""
    encode = snapshot.encode
    names = _TYPE_NAMES
    return [
        (
            db,
            key,
            names[kind],
            encode(kind, shape, len(key), expires_at is not None),
            shape[0] if shape[0] >= 0 else None,
            None,
            None,
            size,
            expires_at,
            idle,
            freq,
        )
        for _, db, key, kind, expires_at, idle, freq, _, size, shape, _, _ in batch
    ]


def _batches(snapshot: Snapshot, progress: Progress) -> Iterator[list[Row]]:
    for batch in snapshot.batches():
        progress.update(snapshot.cursor.tell())
        yield key_rows(snapshot, batch)


class _Listing:
    """Writes the rows of several inputs; counts them."""

    def __init__(self, writer: RowWriter, limit: int | None, sort: str | None, several: bool) -> None:
        self.writer = writer
        self.limit = limit
        self.sort = sort
        self.several = several
        self.count = 0

    def add(self, snapshot: Snapshot, batches: Iterator[list[Row]]) -> None:
        """Write one input's rows."""
        if self.sort is None:
            self._write_all(snapshot, batches)
            return
        at = _NAMES.index(self.sort)
        rows = ordered(batches, lambda row: row[at], self.sort not in _ASCENDING, self.limit)
        while batch := list(islice(rows, 512)):
            self._write(snapshot, batch)

    def _write_all(self, snapshot: Snapshot, batches: Iterator[list[Row]]) -> None:
        left = self.limit
        for batch in batches:
            if left is not None and left <= len(batch):
                self._write(snapshot, batch[:left])
                return
            self._write(snapshot, batch)
            if left is not None:
                left -= len(batch)

    def _write(self, snapshot: Snapshot, rows: list[Row]) -> None:
        self.count += len(rows)
        self.writer.write([(snapshot.name, *row) for row in rows] if self.several else rows)


@click.command(
    "keys",
    cls=Examples,
    examples="""
rdbkit keys dump.rdb
rdbkit keys dump.rdb --type hash --match 'user:*' --sort size --limit 20
rdbkit keys dump.rdb --ttl none --format csv -o immortal.csv
zcat dump.rdb.gz | rdbkit keys - -f jsonl | jq .key
""",
)
@paths_argument
@format_option("table", "json", "jsonl", "csv")
@output_option
@click.option("--sort", type=click.Choice(_NAMES), help="Order: text ascends, numbers descend.")
@click.option("-n", "--limit", type=click.IntRange(0), help="At most so many rows.")
@click.option("--verify", is_flag=True, help="With --limit, read on to the checksum.")
@bytes_option
@reading_options(select=True)
def command(
    reading: Reading,
    paths: tuple[str, ...],
    output_format: str,
    output: str | None,
    sort: str | None,
    limit: int | None,
    verify: bool,
    form: str,
) -> None:
    """List keys: database, name, type, encoding, elements, size, expiry."""
    several = len(paths) > 1
    with open_output(output) as out:
        columns = ([Column("file", "path")] if several else []) + list(KEY_COLUMNS)
        width = out.width if out.is_terminal else None
        writer = row_writer(output_format, columns, out.text, form=form, width=width, color=out.color)
        listing = _Listing(writer, limit, sort, several)
        run = Run(out, reading.quiet)
        for path in paths:
            with run.input(path):
                _list(reading, path, listing, verify)
        if not run.statuses - {0, 5}:
            writer.finish()
            if not listing.count and reading.selection:
                say("no key matches", quiet=reading.quiet)
        elif output_format == "table":
            writer.finish()
        run.end()


def _list(reading: Reading, path: str, listing: _Listing, verify: bool) -> None:
    with reading.open(path, Plan(level=walker.SHAPE)) as snapshot, reading.progress_of(snapshot) as progress:
        reading.tell_target(snapshot)
        batches = _batches(snapshot, progress)
        listing.add(snapshot, batches)
        if verify:
            for _ in batches:
                pass
        if snapshot.checksum == "not reached":
            say(f"{path}: stopped at --limit: checksum not reached", quiet=reading.quiet)
