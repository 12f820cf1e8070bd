"""`rdbkit export`: every key with its value."""

from __future__ import annotations

from collections.abc import Iterator
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
from rdbkit.entry import Entry
from rdbkit.rdb import walker
from rdbkit.rdb.walker import Plan
from rdbkit.report.entries import Exporter
from rdbkit.report.export import export_writer
from rdbkit.report.output import Output
from rdbkit.report.text import path_text
from rdbkit.snapshot import Snapshot


@click.command(
    "export",
    short_help="Every key with its value: JSON Lines, JSON, CSV or RESP.",
    cls=Examples,
    examples="""
rdbkit export dump.rdb > dump.jsonl
rdbkit export dump.rdb --type hash --match 'user:*' -f csv -o users.csv
rdbkit export dump.rdb -f resp | redis-cli --pipe
""",
)
@paths_argument
@format_option("jsonl", "json", "csv", "resp")
@output_option
@click.option("--restore", is_flag=True, help="With -f resp: RESTORE commands instead of each type's own.")
@bytes_option
@reading_options(select=True)
def command(
    reading: Reading, paths: tuple[str, ...], output_format: str, output: str | None, restore: bool, form: str
) -> None:
    """Write every key with its value, losslessly.

    RESP holds the commands that a server's own AOF rewrite would write for the target. Module values are written as
    RESTORE if --target says who is to load them; else they are left out, counted, and the exit status is 5.
    """
    if restore and output_format != "resp":
        raise click.UsageError("--restore goes with --format resp.")
    with open_output(output, paths) as out:
        if output_format == "resp" and out.is_terminal:
            raise click.UsageError("RESP holds bytes as they are, and goes to no terminal: use a pipe, or -o FILE.")
        run = Run(out, reading.quiet)
        if output_format == "resp":
            _resp(reading, paths, run, out, restore)
        else:
            _rows(reading, paths, run, out, output_format, form)
        run.end()


def _rows(reading: Reading, paths: tuple[str, ...], run: Run, out: Output, output_format: str, form: str) -> None:
    width = out.width if out.is_terminal else None
    writer = export_writer(output_format, out.text, form=form, width=width, file=paths[0] if len(paths) > 1 else None)
    exporter = Exporter(writer)
    count = 0
    for path in paths:
        with run.input(path), reading.open(path, Plan(retain=True)) as snapshot:
            if len(paths) > 1:
                writer.file = path
            with run.account(snapshot):
                exporter.run(_watched(reading, snapshot))
            _tell_lost(run, path, snapshot.unkept["member expiry"], "expiries of members of sets over 1 MiB")
            count += sum(database.keys for database in snapshot.databases.values())
    if not run.statuses - {5}:
        writer.finish()
        if not count and reading.selection:
            say("no key matches", quiet=reading.quiet)


def _watched(reading: Reading, snapshot: Snapshot) -> Iterator[Entry]:
    with reading.progress_of(snapshot) as progress:
        for entry in snapshot:
            progress.update(snapshot.cursor.tell())
            if reading.min_memory is None or reading.heavy(entry.memory):
                yield entry
    reading.tell_end(snapshot)


def _tell_lost(run: Run, path: str, count: int, what: str) -> None:
    """Say what is missing in the output although the input is sound."""
    if count:
        run.statuses.add(5)
        say(f"{path_text(path)}: left out: {count} {what}")


def _resp(reading: Reading, paths: tuple[str, ...], run: Run, out: Output, restore: bool) -> None:
    from rdbkit.aof.rewrite import Rewriter

    for path in paths:
        with run.input(path), reading.open(path, Plan(level=walker.HEAD, retain=True)) as snapshot:
            reading.tell_target(snapshot)
            rewriter = Rewriter(out.write, snapshot.target, restore=restore, modules=reading.target is not None)
            written = 0
            with run.account(snapshot):
                for entry in _watched(reading, snapshot):
                    written = _functions(rewriter, snapshot, written)
                    with entry.located():
                        rewriter.entry(entry)
            _functions(rewriter, snapshot, written)
            _tell_lost(run, path, snapshot.unkept["function"], "function libraries, for their size")
            rewriter.lose("member expiry", snapshot.unkept["member expiry"])
            if rewriter.lost:
                run.statuses.add(5)
                told = ", ".join(f"{count} {what}" for what, count in rewriter.lost.items())
                say(f"{path_text(path)}: left out, because {snapshot.target} cannot be given it as commands: {told}")


def _functions(rewriter: Any, snapshot: Snapshot, written: int) -> int:
    for source in snapshot.functions[written:]:
        rewriter.function(source)
    return len(snapshot.functions)
