"""`rdbkit prefixes`: memory and counts rolled up by prefix."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import click

from rdbkit.analysis.prefixes import SEPARATORS, Naming, Prefix, Prefixes
from rdbkit.analysis.rows import KEYS, MEMORY, UNKNOWN_SIZE, Batch, kept, key_rows
from rdbkit.cli.options import (
    CommandRun,
    Examples,
    Reading,
    bytes_option,
    format_option,
    heads_only,
    open_output,
    output_option,
    paths_argument,
    reading_options,
    say,
)
from rdbkit.output import units
from rdbkit.output.row_formats import row_writer
from rdbkit.output.rows import Column, OutputRow, RowWriter
from rdbkit.output.table import Table
from rdbkit.output.text import encoder, terminal
from rdbkit.rdb import walker
from rdbkit.rdb.walker import Plan

_COLUMNS = (
    Column("prefix", "bytes"),
    Column("keys", "count"),
    Column("keys_error", "count"),
    Column("memory", "size"),
    Column("memory_error", "size"),
    Column("share", "share"),
    Column("average", "size", 1),
    Column("no_expiry", "share", 2),
    Column("types", "text", 3),
    Column("size", "size", 4),
    Column("unknown", "count", 5),
)


@click.command(
    "prefixes",
    short_help="Memory and counts by prefix: user:1:cart and user:2:cart are one.",
    cls=Examples,
    examples="""
rdbkit prefixes dump.rdb
rdbkit prefixes dump.rdb --depth 1 --sort keys
rdbkit prefixes dump.rdb --separator . --depth 2 --limit 20
rdbkit prefixes shard-*.rdb -f csv -o prefixes.csv
""",
)
@paths_argument
@format_option("table", "json", "jsonl", "csv")
@output_option
@click.option("--heap", is_flag=True, help="Memory as really allocated, not as MEMORY USAGE says.")
@click.option("--no-fold", is_flag=True, help="Leave numbers, hashes and dates in keys as they are.")
@click.option("--separator", metavar="TEXT", multiple=True, help="What --depth counts (: and /); repeatable.")
@click.option("--depth", metavar="N", type=click.IntRange(1), help="Only the first N parts of a key (default: all).")
@click.option("--sort", type=click.Choice(["memory", "keys"]), default="memory", help="Default: memory.")
@click.option("-n", "--limit", metavar="N", type=click.IntRange(0), default=50, help="Rows; then the rest in one (50).")
@bytes_option
@reading_options(select=True, damage=True)
def command(
    reading: Reading,
    paths: tuple[str, ...],
    output_format: str,
    output: str | None,
    heap: bool,
    no_fold: bool,
    separator: tuple[str, ...],
    depth: int | None,
    sort: str,
    limit: int,
    form: str,
) -> None:
    """Roll keys up by prefix: how many, their memory, and how many never expire.

    In a key numbers, dates, UUIDs and hashes become `*`, so that user:1:cart and user:2:cart are both user:*:cart;
    --depth then keeps its first parts. The last row, without a prefix, is all that is not listed. Several files are
    rolled up together.

    Of a value only the head is read. Not verified: what is inside of it, and whether a key, member or field is there
    twice; `rdbkit check` does that. A key with a damaged head counts with its size in the file.
    """
    with open_output(output, paths) as out:
        run = CommandRun(out, reading.quiet)
        fold = Prefixes(Naming(not no_fold, separators_of(separator), depth), by=sort)
        for path in paths:
            with run.input(path):
                _read(reading, run, path, fold, heap)
        rows = fold.result(limit)
        columns, lines = _shown(rows, form) if output_format == "table" else (_COLUMNS, list(_rows(rows)))
        writer = row_writer(
            output_format, columns, out.text, form=form, width=out.width if out.is_terminal else None, color=out.color
        )
        writer.write(lines)
        if output_format == "table" or not run.cut:
            writer.finish()
        if not rows and not run.statuses:
            say("no key matches" if reading.selection else "no keys", quiet=reading.quiet)
        _tell(fold, rows, writer, reading.quiet)
        if run.cut and rows:
            say("INCOMPLETE: these sums leave out what could not be read")
        run.end()


def separators_of(texts: Sequence[str]) -> tuple[bytes, ...]:
    """Return the separators that an option names, or the usual ones."""
    if "" in texts:
        raise click.BadParameter("a separator has at least one character.", param_hint="--separator")
    return tuple(text.encode("utf-8", "surrogateescape") for text in texts) or SEPARATORS


def _read(reading: Reading, run: CommandRun, path: str, fold: Prefixes, heap: bool) -> None:
    with reading.open(path, Plan(level=walker.SHAPE)) as snapshot:
        reading.tell_target(snapshot)
        snapshot.model(heap)
        reading.tell_memory(snapshot)
        with run.watching(path, snapshot, heads_only), reading.progress_of(snapshot) as progress:
            for entries in snapshot.batches():
                progress.update(snapshot.cursor.tell())
                rows = key_rows(snapshot, entries)
                if reading.min_memory is not None:
                    _, rows = kept(entries, rows, reading.heavy)
                if rows:
                    fold.feed(Batch(rows))
        if not snapshot.stopped:
            reading.tell_end(snapshot)


def _shown(prefixes: Sequence[Prefix], form: str) -> tuple[tuple[Column, ...], list[OutputRow]]:
    """Return for people the columns that say anything, with a word in the place of the prefix that is none."""
    text = encoder(form)
    rows = list(_rows(prefixes))
    kept = [at for at, column in enumerate(_COLUMNS) if at < 2 or any(row[at] for row in rows)]
    named = [(terminal("(others)" if row[0] is None else text(row[0])), *row[1:]) for row in rows]
    columns = [Column("prefix", "text"), *_COLUMNS[1:]]
    if all(prefix.memory is None for prefix in prefixes):
        columns = [column._replace(drop=0) if column.name == "size" else column for column in columns]
    return tuple(columns[at] for at in kept), [tuple(row[at] for at in kept) for row in named]


def _rows(prefixes: Sequence[Prefix]) -> Iterator[OutputRow]:
    whole = sum(prefix.weight for prefix in prefixes)
    for prefix in prefixes:
        error = prefix.error
        yield (
            prefix.name,
            prefix.keys,
            error[KEYS] if error else None,
            prefix.memory,
            error[MEMORY] if error else None,
            round(prefix.weight / whole, 6) if whole else 0.0,
            round(prefix.weight / prefix.keys),
            round(prefix.no_expiry / prefix.keys, 6),
            " ".join(prefix.types),
            prefix.size,
            prefix.unknown,
        )


def _tell(fold: Prefixes, rows: Sequence[Prefix], writer: RowWriter, quiet: bool) -> None:
    """Say what the figures are not, and which are missing."""
    if isinstance(writer, Table) and writer.hidden:
        say(f"too narrow for {', '.join(writer.hidden)} (-f csv, or a pipe, shows all columns)", quiet=quiet)
    unknown = sum(prefix.unknown for prefix in rows)
    if unknown:
        say(f"memory is not known for {unknown:,} keys: their size in the file counts in its place", quiet=quiet)
    if not fold.is_exact:
        absent = fold.absent
        say(
            "more prefixes than are counted exactly: keys and memory may be higher by keys_error and memory_error; "
            f"one that is not listed has at most {absent[KEYS]:,} keys and "
            f"{units.size(absent[MEMORY] + absent[UNKNOWN_SIZE])}",
            quiet=quiet,
        )
