"""`rdbkit get`: print the value of one key."""

from __future__ import annotations

from collections.abc import Callable

import click

from rdbkit.cli.options import (
    CommandRun,
    Examples,
    Reading,
    bytes_option,
    format_option,
    may_stop,
    open_output,
    output_option,
    path_argument,
    quoted,
    reading_options,
    say,
)
from rdbkit.entry import Entry
from rdbkit.errors import Corrupt, RdbkitError
from rdbkit.output.entries import Examined, Exporter, ValueReader, write_value
from rdbkit.output.export import export_writer
from rdbkit.output.output import Output
from rdbkit.output.text import json_safe, path_text, undo
from rdbkit.output.values import ValueWriter
from rdbkit.rdb.walker import Plan
from rdbkit.snapshot.snapshot import Snapshot
from rdbkit.wire.spool import Spool


@click.command(
    "get",
    short_help="Print the value of one key.",
    cls=Examples,
    examples=r"""
rdbkit get dump.rdb user:1
rdbkit get dump.rdb page:home --raw > page.html
rdbkit get appendonlydir user:1 --before flushall
rdbkit get dump.rdb 'bin\x00key' --db 3 -f jsonl
""",
)
@path_argument
@click.argument("key")
@click.option("--db", metavar="N", type=click.IntRange(0), help="Database (default: the first that has the key).")
@click.option("--raw", is_flag=True, help="Raw bytes: of a string, or of the value as stored in the file.")
@format_option("json", "jsonl")
@output_option
@click.option("--verify", is_flag=True, help="Read to the end and verify the checksum.")
@bytes_option
@reading_options(memory=False, damage=True, state=True)
def command(
    reading: Reading,
    path: str,
    key: str,
    db: int | None,
    raw: bool,
    output_format: str,
    output: str | None,
    verify: bool,
    form: str,
) -> None:
    r"""Print the value of one key as JSON, or with -f jsonl the whole row as `export` writes it.

    KEY is matched literally and with each \xHH decoded to a byte; the first match is printed. Exit status 1: no such
    key, or a damaged value. Nothing is printed for an unreadable value. A value with a duplicate member or field is
    printed as stored; so is, with --raw, any value other than a string.

    The values of other keys are not verified.
    """
    with open_output(output, [path]) as out:
        if raw and out.is_terminal:
            raise click.UsageError("--raw does not write to a terminal: use a pipe, or -o FILE.")
        run = CommandRun(out, reading.quiet)
        with run.input(path):
            names = list(dict.fromkeys((key.encode("utf-8", "surrogateescape"), undo(key))))
            if not _get(reading, run, path, names, db, out, raw, output_format, form, verify):
                where = "" if db is None else f" in database {db}"
                run.fail(f"{path_text(path)}: no key {quoted(names[0])}{where}", 1)
        run.end()


def _get(
    reading: Reading,
    run: CommandRun,
    path: str,
    names: list[bytes],
    db: int | None,
    out: Output,
    raw: bool,
    output_format: str,
    form: str,
    verify: bool,
) -> bool:
    plan = Plan(retain=True, dbs=None if db is None else frozenset([db]), pattern=frozenset(names).__contains__)
    with reading.open(path, plan) as snapshot, reading.progress_of(snapshot) as progress:
        found: list[tuple[int, bytes]] = []
        said = False
        with run.watching(path, snapshot, _nothing_else):
            try:
                for entry in snapshot:
                    progress.update(snapshot.cursor.tell())
                    if (entry.db, entry.key) in found:
                        _note_twice(entry)
                    if found:
                        continue
                    found.append((entry.db, entry.key))
                    snapshot.doubts = [doubt for doubt in snapshot.doubts if doubt[0] < entry.db]
                    snapshot.uncertain = [one for one in snapshot.uncertain if one[0] < entry.db]
                    _show(entry, out, raw, output_format, form)
                    if not verify and may_stop(snapshot):
                        break
            except RdbkitError as error:
                if not found:
                    before = "" if error.code == "checksum-mismatch" else " before the damage"
                    error.message += f"; no key {quoted(names[0])}{before}"
                    said = True
                raise
        if found and snapshot.checksum == "not reached":
            out.flush()
            say(f"{path_text(path)}: checksum not verified; use --verify to read to the end", quiet=reading.quiet)
    # A key that is not known may be there.
    return bool(found or said or snapshot.uncertain or snapshot.doubts)


def _note_twice(entry: Entry) -> None:
    message = "duplicate key: the first one is printed"
    error = Corrupt(message, offset=entry.offset, code="duplicate-key", db=entry.db, key=entry.key)
    entry.snapshot.note(error, of_entry=False)


def _nothing_else(_: Snapshot) -> str:
    return ""


def _show(entry: Entry, out: Output, raw: bool, output_format: str, form: str) -> None:
    if raw:
        _raw(entry, out)
        return
    width = out.width if out.is_terminal else None
    if output_format == "jsonl":
        writer = export_writer("jsonl", out.text, form=form, width=width)
        Exporter(writer).run([entry])
        writer.finish()
        return
    _Value(out.text if width is None else lambda text: out.text(json_safe(text)), form).entry(entry)


def _raw(entry: Entry, out: Output) -> None:
    """Write the raw bytes of a string or of a stored value, and record what is wrong with it."""
    entry.settle()
    try:
        for error in entry.errors():
            entry.note(error)
    except RdbkitError:
        # Recorded. The raw bytes are all that can be written for a damaged value.
        if entry.type == "string":
            return
    if entry.type == "string":
        for piece in entry.parts():
            out.write(piece)
    else:
        entry.copy_to(out)


class _Value(ValueReader):
    """Writes a value without its key."""

    takes_strings = False

    def __init__(self, write: Callable[[str], object], form: str) -> None:
        super().__init__()
        self._write = write
        self._form = form

    def value(self, one: Examined) -> None:
        """Write the value of a key."""
        writer = ValueWriter(self._write, self._form)
        write_value(writer, one.entry.decoder(Spool()), twice=one.twice)
        self._write("\n")
