"""`rdbkit check`: is this file sound."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

import click

from rdbkit.analysis.check import Check
from rdbkit.cli.options import (
    PRODUCTS,
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
from rdbkit.rdb.check import Finding
from rdbkit.report.notes import Notes
from rdbkit.report.output import Output
from rdbkit.report.rows import Column, Row, RowWriter, row_writer
from rdbkit.report.text import path_text
from rdbkit.report.units import count, size

COLUMNS = (
    Column("severity", "text"),
    Column("code", "text"),
    Column("file", "path"),
    Column("offset"),
    Column("db"),
    Column("key", "bytes"),
    Column("message", "text"),
    Column("hint", "text", 1),
)
#: Codes that say: this is no file that we know, or not yet.
_FOREIGN = frozenset(
    ("not-rdb", "unsupported-version", "unsupported-type", "unsupported-opcode", "unsupported-envelope", "needs-replay")
)


@click.command(
    "check",
    short_help="Is this file sound: the exit status tells.",
    cls=Examples,
    examples="""
rdbkit check dump.rdb && cp dump.rdb /backup/
rdbkit check dump.rdb -f jsonl
rdbkit check *.rdb --strict --require-checksum
""",
)
@paths_argument
@format_option("table", "json", "jsonl", "csv")
@output_option
@click.option("--strict", is_flag=True, help="Warnings count as errors.")
@click.option("--require-checksum", is_flag=True, help="A file without a checksum is an error.")
@click.option("--exit-zero", is_flag=True, help="Exit with 0 whatever was found.")
@bytes_option
@reading_options()
def command(
    reading: Reading,
    paths: tuple[str, ...],
    output_format: str,
    output: str | None,
    strict: bool,
    require_checksum: bool,
    exit_zero: bool,
    form: str,
) -> None:
    """Read every structure of a file; say what is wrong, where, and how much of it is certain.

    Exit status 0: sound (warnings included) · 1: damaged · 3: not a known format, or newer · 4: cannot be read.
    """
    with open_output(output, paths) as out:
        run = Run(out, reading.quiet)
        writer = _Counted(_writer(out, output_format, form))
        for path in paths:
            with run.input(path):
                _check(reading, path, run, writer, strict, require_checksum)
        if output_format != "table" or writer.rows:
            writer.finish()
        if exit_zero:
            run.statuses &= {4}
        # What is found wrong with the input does not make this result incomplete.
        run.end(complete=True)


class _Counted:
    """A writer that knows how many rows it was given."""

    def __init__(self, writer: RowWriter) -> None:
        self.rows = 0
        self._writer = writer
        self.finish = writer.finish

    def write(self, batch: Sequence[Row]) -> None:
        """Write rows."""
        self.rows += len(batch)
        self._writer.write(batch)


def _writer(out: Output, output_format: str, form: str) -> RowWriter:
    """Return the writer of findings; people get them as text, because a cell that is cut says nothing."""
    if output_format == "table" and out.is_terminal:
        return Notes(out.text, form, out.width, out.color)
    width = out.width if out.is_terminal else None
    return row_writer(output_format, COLUMNS, out.text, form=form, width=width, color=out.color)


def _check(reading: Reading, path: str, run: Run, writer: RowWriter, strict: bool, require_checksum: bool) -> None:
    check = Check(
        path,
        settings=reading.settings,
        target=reading.target,
        allocator=reading.allocator,
        now=reading.now,
        require_checksum=require_checksum,
        verify=reading.verify,
        progress=reading.progress_of,
    )
    codes: set[str] = set()
    findings = _recorded(check, codes)
    while batch := list(islice(findings, 64)):
        writer.write([(f.severity, f.code, path, f.offset, f.db, f.key, f.message, f.hint or None) for f in batch])
    bad = check.counts["error"] + (check.counts["warning"] if strict else 0)
    foreign = False
    if bad:
        foreign = bool(codes) and codes <= _FOREIGN
        run.statuses.add(3 if foreign else 4 if codes == {"missing-extra"} else 1)
    run.output.flush()
    say(f"{path_text(path)}: {_verdict(check, bad, foreign)}", quiet=reading.quiet)


def _recorded(check: Check, codes: set[str]) -> Iterator[Finding]:
    for finding in check.findings():
        if finding.severity == "error":
            codes.add(finding.code)
        yield finding


def _verdict(check: Check, bad: int, foreign: bool) -> str:
    snapshot = check.snapshot
    if snapshot is None:
        return "NOT READ" if bad else "not read"
    product = PRODUCTS.get(snapshot.product, snapshot.product)
    what = f"{product} {snapshot.producer}" if snapshot.producer else product
    what += f", RDB version {snapshot.version}"
    keys = f"{count(check.keys)} key{'' if check.keys == 1 else 's'} in {size(check.offset)}"
    if not check.complete:
        state = "NOT READ TO THE END" if foreign else "DAMAGED"
        return f"{state}: {what}: {keys} could be read, what follows could not"
    state = f"{what}: {keys}, checksum {check.checksum}"
    if bad:
        return f"DAMAGED: {state}, {_counted(bad, 'finding')}"
    warnings = check.counts["warning"]
    return f"sound: {state}" + (f", {_counted(warnings, 'warning')}" if warnings else "")


def _counted(number: int, what: str) -> str:
    return f"{count(number)} {what}{'' if number == 1 else 's'}"
