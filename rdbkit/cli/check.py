"""`rdbkit check`: is this file sound."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

import click

from rdbkit.analysis.check import Check
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
from rdbkit.rdb.check import Finding
from rdbkit.report.rows import Column, RowWriter, row_writer
from rdbkit.report.units import count, size

COLUMNS = (
    Column("severity", "text"),
    Column("code", "text"),
    Column("offset"),
    Column("file", "path"),
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
    with open_output(output) as out:
        run = Run(out, reading.quiet)
        width = out.width if out.is_terminal else None
        writer = row_writer(output_format, COLUMNS, out.text, form=form, width=width, color=out.color)
        for path in paths:
            with run.input(path):
                _check(reading, path, run, writer, strict, require_checksum)
        if output_format != "table" or run.told:
            writer.finish()
        if exit_zero:
            run.statuses &= {4}
        # What is found wrong with the input does not make this result incomplete.
        run.end(complete=True)


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
        run.told = True
        writer.write([(f.severity, f.code, f.offset, path, f.db, f.key, f.message, f.hint or None) for f in batch])
    bad = check.counts["error"] + (check.counts["warning"] if strict else 0)
    if bad:
        foreign = check.counts["error"] and codes <= _FOREIGN
        run.statuses.add(3 if foreign else 4 if codes == {"missing-extra"} else 1)
    say(f"{path}: {_verdict(check, bad)}", quiet=reading.quiet)


def _recorded(check: Check, codes: set[str]) -> Iterator[Finding]:
    for finding in check.findings():
        if finding.severity == "error":
            codes.add(finding.code)
        yield finding


def _verdict(check: Check, bad: int) -> str:
    snapshot = check.snapshot
    if snapshot is None:
        return "not read"
    what = f"{snapshot.product.upper()} RDB {snapshot.version}" + (
        f" by {snapshot.producer}" if snapshot.producer else ""
    )
    keys = f"{count(check.keys)} keys in {size(check.offset)}"
    if not check.complete:
        return f"DAMAGED: {keys} of {what} could be read; what follows is lost to this reader"
    state = f"{what}, {keys}, checksum {check.checksum}"
    if bad:
        return f"DAMAGED: {state}, {bad} finding{'s' if bad > 1 else ''}"
    warnings = check.counts["warning"]
    return f"sound: {state}" + (f", {warnings} warning{'s' if warnings > 1 else ''}" if warnings else "")
