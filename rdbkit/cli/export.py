"""`rdbkit export`: every key with its value."""

from __future__ import annotations

from typing import Any

import click

from rdbkit.cli.options import (
    CommandRun,
    Examples,
    Reading,
    bytes_option,
    format_option,
    open_output,
    output_option,
    paths_argument,
    reading_options,
    say,
)
from rdbkit.errors import RdbkitError
from rdbkit.output import units
from rdbkit.output.entries import Exporter, ValueReader
from rdbkit.output.export import export_writer
from rdbkit.output.output import Output
from rdbkit.output.text import path_text
from rdbkit.rdb import walker
from rdbkit.rdb.walker import Plan
from rdbkit.snapshot.snapshot import Snapshot


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
@reading_options(select=True, damage=True)
def command(
    reading: Reading, paths: tuple[str, ...], output_format: str, output: str | None, restore: bool, form: str
) -> None:
    """Write every key with its value, losslessly.

    A damaged value hides nothing else: it is left out, and named on standard error (the first 20), all other keys are
    written, and the exit status is 1. So it is where a key, member or field is there twice, which is written as the
    file has it. Damage that hides what follows ends the output; with -o it is then left in FILE.partial.

    RESP holds the commands that a server's own AOF rewrite would write for the target. Module values are written as
    RESTORE if --target says who is to load them; else they are left out, counted, and the exit status is 5.
    """
    if restore and output_format != "resp":
        raise click.UsageError("--restore goes with --format resp.")
    with open_output(output, paths) as out:
        if output_format == "resp" and out.is_terminal:
            raise click.UsageError("RESP holds bytes as they are, and goes to no terminal: use a pipe, or -o FILE.")
        run = CommandRun(out, reading.quiet)
        if output_format == "resp":
            _resp(reading, paths, run, out, restore)
        else:
            _rows(reading, paths, run, out, output_format, form)
        run.end()


def _rows(
    reading: Reading, paths: tuple[str, ...], run: CommandRun, out: Output, output_format: str, form: str
) -> None:
    width = out.width if out.is_terminal else None
    writer = export_writer(output_format, out.text, form=form, width=width, file=paths[0] if len(paths) > 1 else None)
    exporter = Exporter(writer)
    count = 0
    for path in paths:
        with run.input(path), reading.open(path, Plan(retain=True)) as snapshot:
            if len(paths) > 1:
                writer.file = path
            _read(reading, run, path, snapshot, exporter)
            _tell_lost(run, path, snapshot.unkept["member expiry"], "expiries of members of sets over 1 MiB")
            count += sum(database.keys for database in snapshot.databases.values())
    if not run.cut:
        writer.finish()
    if not count and reading.selection and not run.statuses:
        say("no key matches", quiet=reading.quiet)


def _read(reading: Reading, run: CommandRun, path: str, snapshot: Snapshot, exporter: ValueReader) -> None:
    """Read a snapshot into an exporter; name what is wrong with it."""
    given, left_out, marked = exporter.count, exporter.left_out, exporter.marked

    def closing(_: Snapshot) -> str:
        return _summary(exporter.count - given, exporter.left_out - left_out, exporter.marked - marked, exporter.manner)

    admits = None if reading.min_memory is None else lambda entry: reading.heavy(entry.memory)
    with run.watching(path, snapshot, closing), reading.progress_of(snapshot) as progress:
        exporter.read(snapshot, admits, progress.update)
    if exporter.not_unique:
        say(f"{path_text(path)}: {exporter.not_unique}")
    if not snapshot.stopped:
        reading.tell_end(snapshot)


def _summary(given: int, left_out: int, marked: int, manner: str) -> str:
    """Return what became of damaged values."""
    said = []
    if left_out:
        said.append(
            f"{units.plural(left_out, 'value')} left out, for {'it' if left_out == 1 else 'they'} cannot be read"
        )
    if marked:
        said.append(f"{units.plural(marked, 'damaged value')} written {manner}")
    return f"{units.plural(given, 'key')} written; {'; '.join(said)}" if said else ""


def _tell_lost(run: CommandRun, path: str, count: int, what: str) -> None:
    """Say what is missing in the output although the input is sound."""
    if count:
        run.statuses.add(5)
        say(f"{path_text(path)}: left out: {count} {what}")


def _resp(reading: Reading, paths: tuple[str, ...], run: CommandRun, out: Output, restore: bool) -> None:
    from rdbkit.output.commands import CommandExporter

    for path in paths:
        with run.input(path), reading.open(path, Plan(level=walker.HEAD, retain=True)) as snapshot:
            reading.tell_target(snapshot)
            exporter = CommandExporter(out.write, snapshot, restore=restore, modules=reading.target is not None)
            try:
                _read(reading, run, path, snapshot, exporter)
            except RdbkitError:
                _tell_unwritten(run, path, snapshot, exporter.rewriter)
                raise
            _tell_unwritten(run, path, snapshot, exporter.rewriter)


def _tell_unwritten(run: CommandRun, path: str, snapshot: Snapshot, rewriter: Any) -> None:
    """Say what no command was written for."""
    _tell_lost(run, path, snapshot.unkept["function"], "function libraries, for their size")
    rewriter.lose("member expiry", snapshot.unkept["member expiry"])
    if rewriter.lost:
        run.statuses.add(5)
        told = ", ".join(f"{count} {what}" for what, count in rewriter.lost.items())
        say(f"{path_text(path)}: left out, because {snapshot.target} cannot be given it as commands: {told}")
