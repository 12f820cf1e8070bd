"""`rdbkit report`: memory by type, prefix and key; expiry; notable findings."""

from __future__ import annotations

import json
import sys
from functools import partial

import click
from click.core import ParameterSource

from rdbkit.analysis.files import reason
from rdbkit.analysis.report import Report
from rdbkit.cli.options import (
    PATH,
    CommandRun,
    Examples,
    Reading,
    bytes_option,
    format_option,
    heads_only,
    open_output,
    output_option,
    reading_options,
    say,
)
from rdbkit.cli.prefixes import separators_of
from rdbkit.errors import RdbkitError, Unsupported
from rdbkit.output.output import Output
from rdbkit.output.report_json import document
from rdbkit.output.report_text import Screen, shows_blocks
from rdbkit.output.text import json_safe, path_text
from rdbkit.rdb import walker
from rdbkit.rdb.walker import Plan

_LINE = 1 << 21


@click.command(
    "report",
    short_help="Overview: memory by type and prefix, biggest keys, expiry.",
    cls=Examples,
    examples="""
rdbkit report dump.rdb
rdbkit report dump.rdb --match 'user:*' -f json > report.json
rdbkit report shard-*.rdb
rdbkit report shard-17.rdb --partial 17.part   # on each machine; then:
rdbkit report --merge *.part
""",
)
@click.argument("paths", metavar="[PATH]...", nargs=-1, type=PATH)
@format_option("table", "json")
@output_option
@click.option("-n", "--limit", metavar="N", type=click.IntRange(0), default=10, help="Biggest keys per type (10).")
@click.option("--heap", is_flag=True, help="Memory actually allocated, instead of MEMORY USAGE.")
@click.option("--no-fold", is_flag=True, help="Prefixes: do not replace numbers, hashes and dates by *.")
@click.option("--separator", metavar="TEXT", multiple=True, help="Prefixes: separator of parts (: and /); repeatable.")
@click.option("--depth", metavar="N", type=click.IntRange(1), help="Prefixes: only the first N parts of a key.")
@click.option(
    "--partial",
    "partial_file",
    metavar="FILE",
    type=PATH,
    help="Write a partial result for --merge to FILE, instead of a report.",
)
@click.option("--merge", is_flag=True, help="PATHs are partial results: make one report of them.")
@bytes_option
@reading_options(select=True, damage=True, state=True)
def command(
    reading: Reading,
    paths: tuple[str, ...],
    output_format: str,
    output: str | None,
    limit: int,
    heap: bool,
    no_fold: bool,
    separator: tuple[str, ...],
    depth: int | None,
    partial_file: str | None,
    merge: bool,
    form: str,
) -> None:
    """Report what is in a file and what uses the memory: types, prefixes, biggest keys, expiry, notable findings.

    Memory is what MEMORY USAGE would return on the target. Several files give one report.

    Only the head of each value is read. The contents of values, and duplicate keys, members or fields, are not checked;
    use `rdbkit check` for that. A key with a damaged head counts with its size in the file.
    """
    if not paths:
        raise click.UsageError("Missing argument 'PATH...'.")
    _refuse_idle(merge, partial_file is not None)
    separators = separators_of(separator)
    with open_output(output if partial_file is None else partial_file, paths) as out:
        run = CommandRun(out, reading.quiet)
        found = _merge(run, paths) if merge else None
        if found is None:
            found = Report(limit, not no_fold, separators, depth, heap)
            for path in () if merge else paths:
                _read(run, path, found, reading)
        found.biggest.trim(limit)
        if found.files or partial_file is not None:
            _write(found, out, output_format if partial_file is None else "partial", form)
        if found.files and not any(one.total.keys for one in found.files) and not run.statuses and reading.selection:
            say("no key matches", quiet=reading.quiet)
        # A partial records what is missing in it, and must exist for the merge.
        run.end(complete=partial_file is not None)


#: Options of the report itself; all others control how dumps are read and counted.
_OF_THE_REPORT = frozenset(
    ("paths", "output", "output_format", "form", "limit", "merge", "partial_file", "quiet", "progress")
)


def _refuse_idle(merge: bool, partial_out: bool) -> None:
    """Refuse options that would have no effect."""
    context = click.get_current_context()
    given = {
        option.name: option.opts[-1]
        for option in context.command.params
        if option.name and context.get_parameter_source(option.name) is not ParameterSource.DEFAULT
    }
    if partial_out:
        for name in ("output", "output_format", "form"):
            if name in given:
                raise click.UsageError(f"--partial FILE is the output; {given[name]} has no effect.")
    if merge:
        for option in (option for name, option in given.items() if name not in _OF_THE_REPORT):
            raise click.UsageError(f"{option} applies to reading dumps and has no effect with --merge.")


def _read(run: CommandRun, path: str, found: Report, reading: Reading) -> None:
    with run.input(path):
        known = len(found.files)
        try:
            with reading.open(path, Plan(level=walker.SHAPE)) as snapshot:
                with run.watching(path, snapshot, heads_only):
                    found.read(
                        snapshot,
                        filtered=bool(reading.selection),
                        keep=None if reading.min_memory is None else reading.heavy,
                        progress=reading.progress_of,
                    )
                if not snapshot.stopped:
                    reading.say_trailing(snapshot)
        except (RdbkitError, OSError) as error:
            if len(found.files) == known:
                found.unread.append((path, reason(error)))
            raise


def _merge(run: CommandRun, paths: tuple[str, ...]) -> Report | None:
    """Return the report of all partials, None if there is none; errors recorded in them set the exit status."""
    whole: Report | None = None
    unread: list[tuple[str, str]] = []
    for path in paths:
        with run.input(path):
            try:
                whole = _merged(run, path, whole)
            except (RdbkitError, OSError) as error:
                unread.append((path, reason(error)))
                raise
    if unread:
        whole = whole or Report()
        whole.unread += unread
    if whole is not None and (whole.unread or any(file.error for file in whole.files)):
        run.statuses.add(1)
        run.cut |= bool(whole.unread) or any(not file.whole for file in whole.files)
    return whole


def _merged(run: CommandRun, path: str, whole: Report | None) -> Report:
    with open(sys.stdin.fileno() if path == "-" else path, "rb", closefd=path != "-") as file:
        part = Report.load(iter(partial(file.readline, _LINE), b""))
    if whole is None:
        return part
    if not whole.fits(part):
        raise Unsupported("made with other options than the first", code="not-partial")
    names = {(one.file, one.ctime, one.size, one.total) for one in whole.files}
    for one in part.files:
        if (one.file, one.ctime, one.size, one.total) in names:
            say(f"{path_text(path)}: {path_text(one.file)} is counted twice: another partial contains it")
    whole.merge(part)
    return whole


def _write(found: Report, out: Output, output_format: str, form: str) -> None:
    if output_format == "partial":
        for line in found.dump():
            out.text(line)
        return
    picture = found.result()
    if output_format == "json":
        text = json.dumps(document(picture, form), ensure_ascii=False, indent=2) + "\n"
        out.text(json_safe(text) if out.is_terminal else text)
        return
    width = out.width if out.is_terminal else None
    for line in Screen(picture, form, width, out.color, out.is_terminal and shows_blocks()).lines():
        out.text(line + "\n")
