"""`rdbkit compat`: which releases load a file, and what keeps the others from it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import groupby
from typing import Any

import click

from rdbkit.cli.options import (
    CommandRun,
    Examples,
    Reading,
    format_option,
    open_output,
    output_option,
    paths_argument,
    reading_options,
    say,
)
from rdbkit.conversion.compat import Answer, Compat, compat
from rdbkit.output.output import Output
from rdbkit.output.row_formats import row_writer
from rdbkit.output.rows import Column, OutputRow
from rdbkit.output.text import path_text, printable
from rdbkit.output.units import plural
from rdbkit.releases.loading import Need, loaders, unmet
from rdbkit.releases.target import Target

_COLUMNS = (
    Column("file", "path"),
    Column("product", "text"),
    Column("releases", "text"),
    Column("loads", "text"),
    Column("blocked_by", "text"),
)
#: Kinds of needs whose names do not say what they are.
_KINDS = ("type", "opcode", "module", "command", "annotation")
#: Blockers that a cell names, and bytes of a key in one.
_NAMED, _KEY = 4, 40


@click.command(
    "compat",
    short_help="Which releases of Redis and Valkey load a file, and what blocks the others.",
    cls=Examples,
    examples="""
rdbkit compat dump.rdb
rdbkit compat dump.rdb --target redis:7.0.15 && echo loads
rdbkit compat appendonlydir -f jsonl
rdbkit compat dump.rdb --module ReJSON
""",
)
@paths_argument
@format_option("table", "json", "jsonl", "csv")
@output_option
@click.option("--module", "modules", metavar="NAME", multiple=True, help="The server has this module; repeatable.")
@click.option(
    "--source",
    type=click.Choice(["aof", "rdb"]),
    default="aof",
    show_default=True,
    help="Of a data directory: the files that a server loads with appendonly yes (aof) or no (rdb).",
)
@reading_options(memory=False, now=False)
def command(
    reading: Reading,
    paths: tuple[str, ...],
    output_format: str,
    output: str | None,
    modules: tuple[str, ...],
    source: str,
) -> None:
    """Show, for each release, whether it loads a file, and if not, what blocks it.

    A release is taken with its default settings (--set and --config give others) and without modules. The file is read
    to its end; a damaged one is an error. Duplicate keys and damage inside values are not looked for: see `rdbkit
    check`.

    Exit status 0: read; with --target: it loads the file · 1: damaged, or the target does not load it · 3: not a known
    format, or newer · 4: cannot be read.
    """
    with open_output(output, paths) as out:
        run = CommandRun(out, reading.quiet)
        rows: list[OutputRow] = []
        documents: list[dict[str, Any]] = []
        for path in paths:
            with run.input(path):
                found = compat(
                    path,
                    target=reading.target,
                    settings=reading.settings,
                    modules=modules,
                    appendonly=source == "aof",
                    verify=reading.verify,
                    max_item=reading.max_item,
                    progress=reading.progress_of,
                )
                answers = found.answers if found.asked is None else (found.asked,)
                rows += _rows(path, answers)
                documents += [_document(path, answer) for answer in answers]
                if found.asked is not None and not found.asked.loads:
                    run.statuses.add(1)
                    why = _blocked_by(found.asked)
                    say(f"{path_text(path)}: {found.asked.target} does not load it: {why}", quiet=reading.quiet)
                elif found.asked is None:
                    say(f"{path_text(path)}: loaded by {_loaders(found, reading.settings)}", quiet=reading.quiet)
        _write(out, rows, documents, output_format, several=len(paths) > 1)
        run.end(complete=True)


def _loaders(found: Compat, settings: dict[str, str]) -> str:
    """Return the releases that load a file: "redis 7.4 and newer"."""

    def loads(target: Target) -> bool:
        return not unmet(found.needs, target.with_settings(settings) if settings else target)

    return loaders(loads) or "no release"


def _rows(path: str, answers: tuple[Answer, ...]) -> Iterator[OutputRow]:
    """Yield a row for each run of releases of one product with the same answer."""
    for (product, _), same in groupby(answers, key=lambda one: (one.target.product, _blocked_by(one))):
        group = list(same)
        first, last = (
            ".".join(map(str, one.target.version[: 3 if len(answers) == 1 else 2])) for one in (group[0], group[-1])
        )
        releases = first if first == last else f"{first} to {last}"
        yield path, product, releases, "yes" if group[0].loads else "no", _blocked_by(group[0]) or None


def _blocked_by(answer: Answer) -> str:
    named = [_need(need) for need in answer.blockers[:_NAMED]]
    more = len(answer.blockers) - _NAMED
    return "; ".join(named + ([f"{more} more"] if more > 0 else []))


def _need(need: Need) -> str:
    """Return "type HASH_2: 3 keys, first 'user:1'"."""
    what = need.name if need.kind not in _KINDS else f"{need.kind} {need.name}"
    what += f" ({need.about})" if need.about else ""
    if need.kind == "type":
        what += f": {plural(need.count, 'key')}"
    elif need.kind == "command":
        what += f": {need.count} times" if need.count > 1 else ""
    return what + (f", first '{printable(need.key[:_KEY])}'" if need.key is not None else "")


def _document(path: str, answer: Answer) -> dict[str, Any]:
    return {
        "file": path_text(path),
        "product": answer.target.product,
        "release": ".".join(map(str, answer.target.version)),
        "loads": answer.loads,
        "blockers": [
            {
                "kind": need.kind,
                "name": need.name,
                "about": need.about or None,
                "count": need.count,
                "offset": need.offset,
                "db": need.db,
                "key": None if need.key is None else printable(need.key),
            }
            for need in answer.blockers
        ],
    }


def _write(
    out: Output, rows: list[OutputRow], documents: list[dict[str, Any]], output_format: str, *, several: bool
) -> None:
    if output_format == "json":
        out.text(json.dumps(documents, ensure_ascii=False) + "\n")
    elif output_format == "jsonl":
        out.text("".join(json.dumps(one, ensure_ascii=False) + "\n" for one in documents))
    elif rows or output_format != "table":
        width = out.width if out.is_terminal else None
        columns = _COLUMNS if several else _COLUMNS[1:]
        writer = row_writer(output_format, columns, out.text, width=width, color=out.color)
        writer.write([row if several else row[1:] for row in rows])
        writer.finish()
