"""`rdbkit check`: verify a file, AOF set or data directory."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

import click

from rdbkit.checks.file import FileCheck
from rdbkit.checks.findings import Finding
from rdbkit.checks.paths import Checking, Listing
from rdbkit.checks.target import CODES
from rdbkit.cli.options import (
    PRODUCTS,
    UNTRUSTED,
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
from rdbkit.output.notes import Notes
from rdbkit.output.output import Output
from rdbkit.output.row_formats import row_writer
from rdbkit.output.rows import Column, OutputRow, RowWriter
from rdbkit.output.text import path_text
from rdbkit.output.units import count, size

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
#: The verdict on a file that could not be read at all.
_NOT_READ = "NOT READ"
#: Codes for a missing or unverified checksum.
_UNVERIFIED = frozenset(("checksum-disabled", "checksum-absent", "checksum-not-verified"))
#: Codes for a file that is not damaged, but that the given target does not load.
_REFUSED = frozenset(CODES.values()) | {"unknown-command", "annotation-refused"}
#: Codes for a file format that is unknown or not supported yet.
_FOREIGN = frozenset(
    (
        "foreign-format",
        "not-rdb",
        "unsupported-version",
        "unsupported-type",
        "unsupported-opcode",
        "unsupported-envelope",
        "unsupported-compression",
        "nested-packing",
        "function-dump",
        "ambiguous",
        "needs-replay",
    )
)


@click.command(
    "check",
    short_help="Verify a file, AOF set or data directory; see the exit status.",
    cls=Examples,
    examples="""
rdbkit check dump.rdb && cp dump.rdb /backup/
rdbkit check dump.rdb -f jsonl
rdbkit check *.rdb --strict --require-checksum
rdbkit check /var/lib/redis
""",
)
@paths_argument
@format_option("table", "json", "jsonl", "csv")
@output_option
@click.option("--strict", is_flag=True, help="Warnings count as errors.")
@click.option("--require-checksum", is_flag=True, help="A file without a checksum is an error.")
@click.option("--exit-zero", is_flag=True, help="Exit with 0 even if errors are found.")
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
    """Read every structure of a file and report what is wrong and where.

    For an AOF, also report where a server would truncate it at startup, where redis-check-aof --fix would, and what
    each loses. A manifest or a directory is checked as a whole. Nothing is written.

    Exit status 0: valid (possibly with warnings) · 1: damaged, or no checksum with --require-checksum · 3: unknown or
    newer format · 4: cannot be read.
    """
    with open_output(output, paths) as out:
        run = CommandRun(out, reading.quiet)
        writer = _Counted(_writer(out, output_format, form))
        for path in paths:
            with run.input(path):
                _check(reading, path, run, writer, strict, require_checksum)
        if output_format != "table" or writer.rows:
            writer.finish()
        if exit_zero:
            run.statuses &= {4}
        # Damage in the input does not make this result incomplete.
        run.end(complete=True)


class _Counted:
    """A writer that counts its rows."""

    def __init__(self, writer: RowWriter) -> None:
        self.rows = 0
        self._writer = writer
        self.finish = writer.finish

    def write(self, batch: Sequence[OutputRow]) -> None:
        """Write rows."""
        self.rows += len(batch)
        self._writer.write(batch)


def _writer(out: Output, output_format: str, form: str) -> RowWriter:
    """Return the writer for findings; a terminal gets wrapped text instead of a table with cut cells."""
    if output_format == "table" and out.is_terminal:
        return Notes(out.text, form, out.width, out.color)
    width = out.width if out.is_terminal else None
    return row_writer(output_format, COLUMNS, out.text, form=form, width=width, color=out.color)


def _check(
    reading: Reading, path: str, run: CommandRun, writer: RowWriter, strict: bool, require_checksum: bool
) -> None:
    checking = Checking(
        path,
        settings=reading.settings,
        target=reading.target,
        allocator=reading.allocator,
        now=reading.now,
        require_checksum=require_checksum,
        verify=reading.verify,
        progress=reading.progress_of,
        max_item=reading.max_item,
    )
    whole = _Whole(strict)
    for part in checking.parts():
        with run.input(part.name if whole.several else path):
            file = path if isinstance(part, FileCheck) and part.role == "single" and not whole.several else part.name
            findings = part.findings()
            while batch := list(islice(findings, 64)):
                writer.write([_row(finding, file) for finding in batch])
            run.output.flush()
            status = whole.add(part)
            if status:
                run.statuses.add(status)
            if isinstance(part, FileCheck):
                verdict = _verdict(part, whole.bad(part), status == 3)
                if part.settings_assumed:
                    verdict += f"; assumed: {'; '.join(part.settings_assumed)}"
                # The finding on standard output already says why the file was not read.
                if verdict != _NOT_READ or run.output.name != "standard output":
                    say(f"{path_text(file)}: {verdict}", quiet=reading.quiet)
    if whole.several:
        failed = bool(run.statuses & {3, 4}) and not whole.errors
        say(f"{path_text(path)}: {whole.verdict(failed)}", quiet=reading.quiet)


def _row(finding: Finding, file: str) -> OutputRow:
    f = finding
    return (f.severity, f.code, f.file or file, f.offset, f.db, f.key, f.message, f.hint or None)


class _Whole:
    """The combined result of all parts at one path."""

    def __init__(self, strict: bool) -> None:
        self.several = False
        self.errors = 0
        self.unverified = 0
        self.refused = 0
        self.warnings = 0
        self.files = 0
        self._strict = strict

    def bad(self, part: FileCheck | Listing) -> int:
        """Return how many findings count as errors."""
        return part.counts["error"] + (part.counts["warning"] if self._strict else 0)

    def add(self, part: FileCheck | Listing) -> int:
        """Add a part; return its exit status."""
        self.several |= isinstance(part, Listing)
        self.files += isinstance(part, FileCheck)
        self.warnings += part.counts["warning"]
        bad = self.bad(part)
        self.errors += bad
        self.unverified += bad if _is_unverified(part, bad) else 0
        self.refused += bad if _is_refused(part, bad) else 0
        if not bad:
            return 0
        foreign = bool(part.codes) and part.codes <= _FOREIGN
        return 3 if foreign else 4 if part.codes == {"missing-extra"} else 1

    def verdict(self, failed: bool) -> str:
        """Return the last line for a set or a directory."""
        files = _counted(self.files, "file")
        if self.errors and self.errors == self.unverified:
            return f"NOT VERIFIED: {files} in total, {_counted(self.errors, 'finding')}"
        if self.errors and self.errors == self.refused:
            return f"REFUSED: not damaged, but the target does not load it: {files} in total"
        if self.errors:
            return f"DAMAGED: {files} in total, {_counted(self.errors, 'finding')}"
        if failed:
            return f"NOT READ: {files} in total"
        warned = f", {_counted(self.warnings, 'warning')}" if self.warnings else ""
        return f"valid: {files} in total{warned}"


def _is_unverified(part: FileCheck | Listing, bad: int) -> bool:
    """Return whether the only errors of a part are missing checksums (--require-checksum)."""
    return bool(part.codes) and part.codes <= _UNVERIFIED and part.counts["error"] == bad


def _is_refused(part: FileCheck | Listing, bad: int) -> bool:
    """Return whether the only errors of a part are of a given target, which does not load what the file has."""
    return bool(part.codes) and part.codes <= _REFUSED and part.counts["error"] == bad


def _verdict(part: FileCheck, bad: int, foreign: bool) -> str:
    """Return the verdict on a file."""
    aof = part.aof
    warnings = part.counts["warning"]
    warned = f", {_counted(warnings, 'warning')}" if warnings else ""
    if part.is_empty:
        return f"DAMAGED: empty, {_counted(bad, 'finding')}" if bad else f"valid: empty{warned}"
    if part.snapshot is None and aof is None:
        return _NOT_READ if bad else "not read"
    what, contents = _described(part)
    if not part.complete:
        state = "NOT READ TO THE END" if foreign else "DAMAGED"
        return f"{state}: {what}: {contents} readable; the rest is not"
    if part.snapshot is not None:
        contents += f", checksum {part.checksum}"
    if bad:
        if _is_unverified(part, bad):
            return f"NOT VERIFIED: {what}: {contents}: no damage found, but there is no checksum to verify the contents"
        if _is_refused(part, bad) and part.target is not None and part.target.origin == "given":
            found = _counted(bad, "finding")
            return f"REFUSED: {part.target} does not load it: {what}: {contents}, {found}"
        if part.codes == {"checksum-mismatch"} and part.snapshot is not None and part.snapshot.untrusted:
            contents += f": {UNTRUSTED}"
        return f"DAMAGED: {what}: {contents}, {_counted(bad, 'finding')}"
    return f"valid: {what}: {contents}{warned}"


def _described(part: FileCheck) -> tuple[str, str]:
    """Return what the file is and how much was read."""
    aof, snapshot = part.aof, part.snapshot
    total = size(part.offset)
    commands = "" if aof is None else _counted(aof.commands, "command")
    if snapshot is None:
        assert aof is not None
        return f"AOF, for {aof.target} ({aof.target.origin})", f"{commands} in {total}"
    product = PRODUCTS.get(snapshot.product, snapshot.product)
    what = f"{product} {snapshot.producer}" if snapshot.producer else product
    what += f", RDB version {snapshot.version}"
    keys = _counted(part.keys, "key")
    if part.unreadable:
        keys += f" ({count(part.unreadable)} unreadable)"
    if aof is None or not (aof.commands or not aof.complete):
        return what, f"{keys} in {total}"
    return f"{what} and commands", f"{keys} and {commands} in {total}"


def _counted(number: int, what: str) -> str:
    return f"{count(number)} {what}{'' if number == 1 else 's'}"
