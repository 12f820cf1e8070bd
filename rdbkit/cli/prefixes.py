"""`rdbkit prefixes`: memory and key counts by prefix."""

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
#: Column headings in tables that differ from the column names.
_HEADINGS = {"no_expiry": "no expiry"}


@click.command(
    "prefixes",
    short_help="Memory and key counts by prefix (user:1:cart and user:2:cart are one).",
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
@click.option("--heap", is_flag=True, help="Memory actually allocated, instead of MEMORY USAGE.")
@click.option("--no-fold", is_flag=True, help="Do not replace numbers, hashes and dates by *.")
@click.option("--separator", metavar="TEXT", multiple=True, help="Separators for --depth (: and /); repeatable.")
@click.option("--depth", metavar="N", type=click.IntRange(1), help="Only the first N parts of a key (default: all).")
@click.option("--sort", type=click.Choice(["memory", "keys"]), default="memory", help="Default: memory.")
@click.option("-n", "--limit", metavar="N", type=click.IntRange(0), default=50, help="Rows; then the rest as one (50).")
@bytes_option
@reading_options(select=True, damage=True, state=True)
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
    """Group keys by prefix: number of keys, memory, and share without expiry.

    Numbers, dates, UUIDs and hashes in keys become `*`, so that user:1:cart and user:2:cart are both user:*:cart;
    --depth then keeps only the first parts. The last row, without a prefix, is the sum of all prefixes not listed.
    Several files are counted together.

    Only the head of each value is read. The contents of values, and duplicate keys, members or fields, are not checked;
    use `rdbkit check` for that. A key with a damaged head counts with its size in the file.
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
        _say_gaps(fold, rows, writer, reading.quiet)
        if run.cut and rows:
            say("INCOMPLETE: these sums do not include what could not be read")
        run.end()


def separators_of(texts: Sequence[str]) -> tuple[bytes, ...]:
    """Return the separators given as options, or the default ones."""
    if "" in texts:
        raise click.BadParameter("a separator cannot be empty.", param_hint="--separator")
    return tuple(text.encode("utf-8", "surrogateescape") for text in texts) or SEPARATORS


def _read(reading: Reading, run: CommandRun, path: str, fold: Prefixes, heap: bool) -> None:
    with reading.open(path, Plan(level=walker.SHAPE)) as snapshot:
        reading.say_target(snapshot)
        snapshot.model(heap)
        reading.say_memory(snapshot)
        with run.watching(path, snapshot, heads_only), reading.progress_of(snapshot) as progress:
            for entries in snapshot.batches():
                progress.update(snapshot.cursor.tell())
                rows = key_rows(snapshot, entries, True)
                if reading.min_memory is not None:
                    _, rows = kept(entries, rows, reading.heavy)
                if rows:
                    fold.feed(Batch(rows))
        if not snapshot.stopped:
            reading.say_trailing(snapshot)


def _shown(prefixes: Sequence[Prefix], form: str) -> tuple[tuple[Column, ...], list[OutputRow]]:
    """Return columns and rows for a table: without empty columns, and with "(others)" for the missing prefix."""
    text = encoder(form)
    rows = list(_rows(prefixes))
    kept = [at for at, column in enumerate(_COLUMNS) if at < 2 or any(row[at] for row in rows)]
    named = [(terminal("(others)" if row[0] is None else text(row[0])), *row[1:]) for row in rows]
    columns = [column._replace(name=_HEADINGS.get(column.name, column.name)) for column in _COLUMNS]
    columns[0] = Column("prefix", "text")
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


def _say_gaps(fold: Prefixes, rows: Sequence[Prefix], writer: RowWriter, quiet: bool) -> None:
    """Report hidden columns, unknown memory and inexact sums."""
    if isinstance(writer, Table) and writer.hidden:
        say(f"columns hidden: {', '.join(writer.hidden)} (use -f csv, or a pipe, for all columns)", quiet=quiet)
    unknown = sum(prefix.unknown for prefix in rows)
    if unknown:
        say(f"memory is unknown for {units.plural(unknown, 'key')}: size in the file is used instead", quiet=quiet)
    if not fold.is_exact:
        absent = fold.absent
        say(
            "too many prefixes for exact counts: keys and memory may be higher by up to keys_error and memory_error; "
            f"a prefix that is not listed has at most {units.plural(absent[KEYS], 'key')} and "
            f"{units.size(absent[MEMORY] + absent[UNKNOWN_SIZE])}",
            quiet=quiet,
        )
