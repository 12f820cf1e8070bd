"""`rdbkit info`: identify a file."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from rdbkit.analysis.aof import CommandFold, Commands, fold_commands
from rdbkit.aof.aof_set import is_part
from rdbkit.aof.layout import AofFile, AofSet, DataDir, files_at
from rdbkit.aof.reader import has_preamble
from rdbkit.aof.startup import proven
from rdbkit.checks.needs import Needs
from rdbkit.checks.target import blockers
from rdbkit.cli.info_sheet import sheet
from rdbkit.cli.options import (
    CommandRun,
    Examples,
    Reading,
    format_option,
    heads_only,
    open_output,
    output_option,
    paths_argument,
    reading_options,
)
from rdbkit.entry import Record
from rdbkit.output.output import Output
from rdbkit.output.progress import Progress
from rdbkit.output.text import json_safe, path_text, printable
from rdbkit.rdb.dump import read_payload
from rdbkit.rdb.modules import module_name
from rdbkit.releases.loading import multi_part_need
from rdbkit.releases.target import Target
from rdbkit.snapshot.opening import load_dump
from rdbkit.snapshot.preamble import target_of
from rdbkit.snapshot.snapshot import Snapshot
from rdbkit.source import Source, open_source
from rdbkit.wire.cursor import Cursor

#: Fields that a set takes from its base file.
_OF_BASE = ("product", "version", "producer", "aux", "functions", "modules", "databases", "counts", "checksum")


@click.command(
    "info",
    short_help="Identify a file: product, version, databases, checksum; files and commands of an AOF.",
    cls=Examples,
    examples="""
rdbkit info dump.rdb
rdbkit info --quick huge.rdb.zst
rdbkit info /var/lib/redis/appendonlydir
redis-cli --raw dump key | head -c -1 | rdbkit info --dump-payload -
""",
)
@paths_argument
@format_option("table", "json", "jsonl")
@output_option
@click.option("--quick", is_flag=True, help="Read only the start; counts are those declared in the file.")
@click.option("--dump-payload", is_flag=True, help="PATH holds the payload of a DUMP command.")
@reading_options(damage=True)
def command(
    reading: Reading, paths: tuple[str, ...], output_format: str, output: str | None, quick: bool, dump_payload: bool
) -> None:
    """Show what a file is: product, version, producer, databases, functions, checksum; for an AOF its commands.

    Keys are counted by skipping over their values. Values and duplicate keys are not checked; use `rdbkit check` for
    that. With --target, also whether that server loads the file, as far as its types and commands decide that.
    """
    with open_output(output, paths) as out:
        run = CommandRun(out, reading.quiet)
        documents: list[dict[str, Any]] = []
        for path in paths:
            facts: dict[str, Any] = {}
            with run.input(path):
                try:
                    _payload(reading, path, facts) if dump_payload else _file(reading, run, path, quick, facts)
                finally:
                    _finish(reading, facts)
                    if facts:
                        documents.append(facts)
        _write(out, documents, output_format, len(paths) > 1)
        run.end(complete=True)


def _finish(reading: Reading, facts: dict[str, Any]) -> None:
    """Replace what was collected by the answer for a given target; null where it was not read to its end."""
    facts.pop("fold", None)
    needs = facts.pop("needs", None)
    if reading.target is not None and needs is not None:
        goal = reading.target.with_settings(reading.settings) if reading.settings else reading.target
        why = blockers(goal, needs)
        facts["loads"] = False if why else True if needs.complete else None
        facts["blockers"] = why


def _file(reading: Reading, run: CommandRun, path: str, quick: bool, facts: dict[str, Any]) -> None:
    found = files_at(path)
    if isinstance(found, AofSet | DataDir):
        _several(reading, run, found, path, quick, facts)
        return
    with open_source(path) as source:
        _source(reading, run, source, quick, facts)


def _source(
    reading: Reading, run: CommandRun, source: Source, quick: bool, facts: dict[str, Any], role: str = "single"
) -> None:
    """Add the facts about an RDB, an AOF, or an RDB followed by commands."""
    in_set = role != "single"
    log = in_set or source.recognise().kind == "aof"
    if not (in_set and not source.peek) and (has_preamble(source.peek) or not log):
        _rdb(reading, run, source, quick, facts, in_set)
        return
    target = reading.target or Target.of_aof(in_parts=in_set or is_part(source.name))
    facts["needs"] = Needs()
    facts.update(
        file=path_text(source.name),
        kind="aof",
        product=None,
        version=None,
        producer=None,
        target=str(target),
        target_origin=target.origin,
        aux={},
        functions=[],
        databases=[],
        checksum=None,
        size=source.file_size,
        packing=list(source.packing),
    )
    if not quick:
        _commands(reading, source, Cursor(source=source, base=source.start), facts, target)
        facts["needs"].complete = True


def _rdb(reading: Reading, run: CommandRun, source: Source, quick: bool, facts: dict[str, Any], in_set: bool) -> None:
    snapshot = reading.preamble(source, in_set)
    needs = facts["needs"] = Needs()
    needs.header(snapshot)
    with run.watching(source.name, snapshot, heads_only), reading.progress_of(snapshot) as progress:
        try:
            for batch in snapshot.batches():
                progress.update(snapshot.cursor.tell())
                needs.records(snapshot.take_records())
                needs.keys(None, batch)
                # The first batch includes the declared counts of the first database.
                if quick and not snapshot.walker.done:
                    break
        finally:
            needs.records(snapshot.take_records())
            facts.update(_facts(snapshot, quick))
    follows = snapshot.commands and not snapshot.cursor.at_end()
    if follows or (snapshot.commands and snapshot.aux.get("aof-preamble") == b"1" and not in_set):
        facts["kind"] = "mixed"
        if not quick:
            _commands(reading, source, snapshot.cursor, facts, snapshot.target)
    elif snapshot.aux.get("aof-base") == b"1" and not in_set:
        reading.say_base(source.name)
    needs.complete = not quick


def _commands(reading: Reading, source: Source, cursor: Cursor, facts: dict[str, Any], target: Target) -> None:
    fold = CommandFold()
    start = cursor.tell()
    facts["fold"] = fold
    with Progress(source.size if source.size >= 0 else None, enabled=reading.shows_progress) as progress:
        try:
            fold_commands(source, cursor, fold, progress.update)
        finally:
            found = fold.result()
            facts["commands"] = {"offset": start, **_sums(found)}
            for name in found.names:
                facts["needs"].command(name.encode(), start)
            if found.annotations:
                facts["needs"].annotation(start)
            # As `check` assumes it: the commands prove a release.
            proved = proven(target, map(str.encode, found.names), annotations=bool(found.annotations))
            facts.update(target=str(proved), target_origin=proved.origin)


def _sums(found: Commands) -> dict[str, Any]:
    return {
        "commands": found.commands,
        "bytes": found.size,
        "keys": found.keys.number,
        "keys_error": round(found.keys.error, 6),
        "transactions": found.transactions,
        "annotations": found.annotations,
        "first_time": found.first,
        "last_time": found.last,
        "databases": [{"db": db, "commands": number} for db, number in found.databases.items()],
        "names": found.names,
    }


# -- sets and directories ----------------------------------------------------------------------------------------------


def _several(
    reading: Reading, run: CommandRun, found: AofSet | DataDir, path: str, quick: bool, facts: dict[str, Any]
) -> None:
    if isinstance(found, AofSet):
        _set(reading, run, found, path, quick, facts)
        return
    facts.update(file=path_text(path), kind="data-dir", rdbs=[], aofs=[], sets=[], size=None)
    _remark(found, facts)
    for name, files in (("rdbs", found.rdbs), ("aofs", found.aofs)):
        for file in files:
            with run.input(file.path), _part(reading, facts[name]) as inner, open_source(file.path) as source:
                _source(reading, run, source, quick, inner)
    for one in found.sets:
        path = one.manifest_path or one.directory
        with run.input(path), _part(reading, facts["sets"]) as inner:
            _set(reading, run, one, path, quick, inner)


def _set(reading: Reading, run: CommandRun, found: AofSet, path: str, quick: bool, facts: dict[str, Any]) -> None:
    target = target_of(found, reading.target, reading.settings)
    facts.update(file=path_text(path), kind="aof-set", product=None, version=None, producer=None, checksum=None)
    facts.update(target=str(target), target_origin=target.origin)
    facts["size"] = sum(file.size or 0 for file in found.files)
    facts["files"] = [_listed(file) for file in (*found.files, *found.history)]
    facts["stray"] = [printable(name) for name in found.stray]
    facts["temporary"] = [printable(name) for name in found.temporary]
    facts["appends_to"] = printable(found.append_name)
    _remark(found, facts)
    fold = CommandFold()
    needs = facts["needs"] = Needs()
    needs.add(multi_part_need())
    for file, row in zip(found.files, facts["files"]):
        if file.format in ("missing", "special", "empty"):
            continue
        inner: dict[str, Any] = {}
        with run.input(file.path), open_source(file.path) as source:
            _source(reading, run, source, quick, inner, file.role)
        _from_file(facts, row, inner, fold)
    needs.complete = not quick and found.error is None
    if not quick:
        facts["commands"] = _sums(fold.result())
    if found.error is not None:
        raise found.error


def _from_file(facts: dict[str, Any], row: dict[str, Any], inner: dict[str, Any], fold: CommandFold) -> None:
    """Add the facts about one file of a set: its commands, and for the base file its product and version."""
    for need in inner.pop("needs", ()):
        facts["needs"].add(need)
    if "fold" in inner:
        fold.merge(inner.pop("fold"))
        row["commands"] = inner["commands"]["commands"]
    if inner.get("version") is not None:
        row["keys"] = sum(one["keys"] or 0 for one in inner["databases"])
        if row["role"] == "base":
            facts.update({name: inner[name] for name in _OF_BASE})


@contextmanager
def _part(reading: Reading, documents: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Collect the facts about one of several files, also if it is damaged."""
    inner: dict[str, Any] = {}
    try:
        yield inner
    finally:
        _finish(reading, inner)
        if inner:
            documents.append(inner)


def _listed(file: AofFile) -> dict[str, Any]:
    return {
        "role": file.role,
        "name": printable(file.name),
        "format": file.format,
        "size": file.size,
        "seq": file.seq,
        "keys": None,
        "commands": None,
    }


def _remark(found: AofSet | DataDir, facts: dict[str, Any]) -> None:
    facts["remarks"] = [
        {"severity": remark.severity, "code": remark.code, "message": remark.message} for remark in found.warnings
    ]


# -- one RDB -----------------------------------------------------------------------------------------------------------


def _facts(snapshot: Snapshot, quick: bool) -> dict[str, Any]:
    claimed = quick and not snapshot.walker.done
    databases = [
        {
            "db": number,
            "keys": database.claimed_keys if claimed else database.keys,
            "expires": database.claimed_expires if claimed else database.expires,
        }
        for number, database in sorted(snapshot.databases.items())
    ]
    return {
        "file": path_text(snapshot.name),
        "kind": snapshot.kind,
        "product": snapshot.product,
        "version": snapshot.version,
        "producer": snapshot.producer,
        "target": str(snapshot.target),
        "target_origin": snapshot.target.origin,
        "aux": {name: printable(text) for name, text in snapshot.aux.items()},
        "functions": [_function(source) for source in snapshot.functions],
        "modules": sorted({module_name(number)[0] for number, _ in snapshot.modules_aux}),
        "databases": databases,
        "counts": "claimed" if claimed else "read",
        "checksum": snapshot.checksum,
        "size": snapshot.source.file_size,
        "packing": list(snapshot.source.packing),
        "tail": None if snapshot.tail is None else {"kind": snapshot.tail.kind, "size": snapshot.tail.size},
    }


def _function(source: bytes) -> dict[str, str | None]:
    words = source.split(b"\n", 1)[0].split()
    options = dict(word.split(b"=", 1) for word in words if b"=" in word)
    engine = words[0][2:] if words and words[0].startswith(b"#!") else b""
    name = options.get(b"name")
    return {
        "name": None if name is None else printable(name),
        "engine": printable(engine) or None,
        "code": printable(source),
    }


def _payload(reading: Reading, path: str, facts: dict[str, Any]) -> None:
    data = sys.stdin.buffer.read() if path == "-" else _read(path)
    payload = read_payload(data)
    facts.update(
        file=path_text(path),
        kind="dump-payload",
        product=payload.product,
        version=payload.version,
        checksum=payload.checksum,
        size=len(data),
    )
    if payload.functions:
        facts["functions"] = [_function(source) for source in payload.functions]
        return
    record: Record = load_dump(data, target=reading.target)
    facts.update(type=record.type, encoding=record.encoding, elements=record.elements)


def _read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


# -- output ------------------------------------------------------------------------------------------------------------


def _write(out: Output, documents: list[dict[str, Any]], output_format: str, several: bool) -> None:
    if output_format == "table":
        out.text("\n".join(map(sheet, documents)))
        return
    if output_format == "jsonl":
        text = "".join(f"{json.dumps(facts, ensure_ascii=False)}\n" for facts in documents)
    elif several or documents:
        text = json.dumps(documents if several else documents[0], ensure_ascii=False, indent=2) + "\n"
    else:
        text = ""
    out.text(json_safe(text) if out.is_terminal else text)
