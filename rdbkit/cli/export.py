"""`rdbkit export`: write all keys with their values."""

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

_MEMBER_EXPIRY = ("member expiry of a set over 1 MiB", "member expiries of sets over 1 MiB")
_LARGE_FUNCTION = ("function library that is too large", "function libraries that are too large")
#: Singular and plural of the reasons in Rewriter.lost.
_LOST = {
    "module": ("module key", "module keys"),
    "stream": ("stream", "streams"),
    "array": ("array", "arrays"),
    "path-hash": ("path hash", "path hashes"),
    "bitmap": ("bitmap", "bitmaps"),
    "function": ("function library", "function libraries"),
    "field expiry": ("field expiry", "field expiries"),
    "member expiry": ("member expiry", "member expiries"),
    "consumer": ("consumer", "consumers"),
    "idempotency": ("idempotency setting of a stream", "idempotency settings of streams"),
    "pending entry": ("pending entry", "pending entries"),
    "key metadata": ("item of key metadata", "items of key metadata"),
    "not rereadable on a pipe": ("key that cannot be reread from a pipe", "keys that cannot be reread from a pipe"),
    "key of an invalid database": ("key of an invalid database", "keys of invalid databases"),
    "member without a score": ("member without a score", "members without a score"),
}


@click.command(
    "export",
    short_help="Write all keys and values as JSON Lines, JSON, CSV or RESP.",
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
@click.option("--restore", is_flag=True, help="With -f resp: write RESTORE commands only.")
@bytes_option
@reading_options(select=True, damage=True, state=True)
def command(
    reading: Reading, paths: tuple[str, ...], output_format: str, output: str | None, restore: bool, form: str
) -> None:
    """Write all keys with their values, without loss.

    A damaged value is skipped and reported on standard error (the first 20); all other keys are written, and the exit
    status is 1. Duplicate keys, members and fields are written as stored, also with exit status 1. If damage hides the
    rest of the file, the output ends there; with -o it is left in FILE.partial.

    RESP output contains the commands that a server's AOF rewrite would write for the target. Module values are written
    as RESTORE if --target is given; otherwise they are skipped and counted, and the exit status is 5.
    """
    if restore and output_format != "resp":
        raise click.UsageError("--restore goes with --format resp.")
    with open_output(output, paths) as out:
        if output_format == "resp" and out.is_terminal:
            raise click.UsageError("RESP output is binary and is not written to a terminal: use a pipe, or -o FILE.")
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
            _report_skipped(run, path, snapshot.unkept["member expiry"], *_MEMBER_EXPIRY)
            count += sum(database.keys for database in snapshot.databases.values())
    if not run.cut:
        writer.finish()
    if not count and reading.selection and not run.statuses:
        say("no key matches", quiet=reading.quiet)


def _read(reading: Reading, run: CommandRun, path: str, snapshot: Snapshot, exporter: ValueReader) -> None:
    """Read a snapshot into an exporter; report what is wrong with it."""
    given, left_out, marked = exporter.count, exporter.left_out, exporter.marked

    def closing(_: Snapshot) -> str:
        return _summary(exporter.count - given, exporter.left_out - left_out, exporter.marked - marked, exporter.manner)

    admits = None if reading.min_memory is None else lambda entry: reading.heavy(entry.memory)
    with run.watching(path, snapshot, closing), reading.progress_of(snapshot) as progress:
        exporter.read(snapshot, admits, progress.update)
    if exporter.not_unique:
        say(f"{path_text(path)}: {exporter.not_unique}")
    if not snapshot.stopped:
        reading.say_trailing(snapshot)


def _summary(given: int, left_out: int, marked: int, manner: str) -> str:
    """Return the closing line about damaged values."""
    said = []
    if left_out:
        said.append(f"{units.plural(left_out, 'unreadable value')} skipped")
    if marked:
        said.append(f"{units.plural(marked, 'damaged value')} written {manner}")
    return f"{units.plural(given, 'key')} written; {'; '.join(said)}" if said else ""


def _report_skipped(run: CommandRun, path: str, count: int, one: str, several: str) -> None:
    """Report what is missing in the output of a valid input."""
    if count:
        run.statuses.add(5)
        say(f"{path_text(path)}: skipped {count:,} {one if count == 1 else several}")


def _resp(reading: Reading, paths: tuple[str, ...], run: CommandRun, out: Output, restore: bool) -> None:
    from rdbkit.output.commands import CommandExporter

    for path in paths:
        with run.input(path), reading.open(path, Plan(level=walker.HEAD, retain=True)) as snapshot:
            reading.say_target(snapshot)
            exporter = CommandExporter(out.write, snapshot, restore=restore, modules=reading.target is not None)
            try:
                _read(reading, run, path, snapshot, exporter)
            except RdbkitError:
                _report_lost(reading, run, path, snapshot, exporter.rewriter)
                raise
            _report_lost(reading, run, path, snapshot, exporter.rewriter)


def _report_lost(reading: Reading, run: CommandRun, path: str, snapshot: Snapshot, rewriter: Any) -> None:
    """Report what could not be written as commands."""
    _report_skipped(run, path, snapshot.unkept["function"], *_LARGE_FUNCTION)
    rewriter.lose("member expiry", snapshot.unkept["member expiry"])
    lost = dict(rewriter.lost)
    modules = 0 if reading.target is not None else lost.pop("module", 0)
    if modules:
        run.statuses.add(5)
        keys = units.plural(modules, "module key")
        say(f"{path_text(path)}: {keys} skipped; pass `--target {snapshot.target}` to write RESTORE")
    if lost:
        run.statuses.add(5)
        parts = [f"{count:,} {_LOST[what][count != 1]}" for what, count in lost.items()]
        say(f"{path_text(path)}: skipped {', '.join(parts)}: {snapshot.target} has no commands for this")
