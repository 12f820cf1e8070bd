"""`rdbkit info`: what is this file."""

from __future__ import annotations

import json
import sys
from typing import Any

import click

from rdbkit.cli.options import (
    PRODUCTS,
    Examples,
    Reading,
    Run,
    format_option,
    open_output,
    output_option,
    paths_argument,
    reading_options,
)
from rdbkit.entry import Record
from rdbkit.rdb.dump import read_payload
from rdbkit.rdb.modules import module_name
from rdbkit.rdb.walker import Plan
from rdbkit.report import units
from rdbkit.report.output import Output
from rdbkit.report.text import json_safe, path_text, printable, terminal
from rdbkit.snapshot import Snapshot, load_dump

#: AUX fields that are numbers with a unit, for people.
_UNITS = {"ctime": lambda n: units.time(1000 * n), "used-mem": units.size}
_SHOWN = 100


@click.command(
    "info",
    short_help="What is this file: product, version, databases, checksum.",
    cls=Examples,
    examples="""
rdbkit info dump.rdb
rdbkit info --quick huge.rdb.zst
redis-cli --raw dump key | head -c -1 | rdbkit info --dump-payload -
""",
)
@paths_argument
@format_option("table", "json", "jsonl")
@output_option
@click.option("--quick", is_flag=True, help="Read only the start; counts are then the file's own claim.")
@click.option("--dump-payload", is_flag=True, help="PATH holds the payload of a DUMP command.")
@reading_options()
def command(
    reading: Reading, paths: tuple[str, ...], output_format: str, output: str | None, quick: bool, dump_payload: bool
) -> None:
    """Tell what a file is: product, version, producer, databases, functions, checksum."""
    with open_output(output, paths) as out:
        run = Run(out, reading.quiet)
        documents: list[dict[str, Any]] = []
        for path in paths:
            facts: dict[str, Any] = {}
            with run.input(path):
                try:
                    _payload(reading, path, facts) if dump_payload else _file(reading, path, quick, facts)
                finally:
                    if facts:
                        documents.append(facts)
        _write(out, documents, output_format, len(paths) > 1)
        run.end(complete=True)


def _file(reading: Reading, path: str, quick: bool, facts: dict[str, Any]) -> None:
    with reading.open(path, Plan()) as snapshot, reading.progress_of(snapshot) as progress:
        try:
            for _ in snapshot.batches():
                progress.update(snapshot.cursor.tell())
                # With the first batch came the first database's claim.
                if quick and not snapshot.walker.done:
                    break
        finally:
            facts.update(_facts(snapshot, quick))


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


# -- for people ------------------------------------------------------------------------------------------------------


def _write(out: Output, documents: list[dict[str, Any]], output_format: str, several: bool) -> None:
    if output_format == "table":
        out.text("\n".join(map(_sheet, documents)))
        return
    if output_format == "jsonl":
        text = "".join(f"{json.dumps(facts, ensure_ascii=False)}\n" for facts in documents)
    elif several or documents:
        text = json.dumps(documents if several else documents[0], ensure_ascii=False, indent=2) + "\n"
    else:
        text = ""
    out.text(json_safe(text) if out.is_terminal else text)


def _sheet(facts: dict[str, Any]) -> str:
    return "".join(f"{terminal(f'{name:<12}{value}')}\n" for name, value in _lines(facts) if value not in (None, ""))


def _lines(facts: dict[str, Any]) -> Any:
    yield "file", facts["file"]
    yield "kind", f"{facts['kind']}, {PRODUCTS.get(facts['product'], facts['product'])}, RDB version {facts['version']}"
    yield "producer", facts.get("producer") or ("-" if "aux" in facts else None)
    if "target" in facts:
        yield "target", f"{facts['target']} ({facts['target_origin']})"
    if "type" in facts:
        yield "value", f"{facts['type']}, {facts['encoding']}, {facts['elements']} elements"
    yield "packing", ", ".join(facts.get("packing", []))
    if facts["size"] is not None:
        yield "size", f"{units.size(facts['size'])} ({facts['size']:,} bytes)"
    yield "checksum", facts["checksum"]
    yield from (("  " + name, text) for name, text in _aux(facts.get("aux", {})))
    for function in facts.get("functions", []):
        yield (
            "function",
            f"{function['name'] or '(no name)'} ({function['engine'] or '?'}, {len(function['code']):,} characters)",
        )
    for name in facts.get("modules", []):
        yield "module", name
    if facts.get("tail"):
        yield "behind it", f"{facts['tail']['size']:,} bytes: {facts['tail']['kind']}"
    yield from _databases(facts)


def _aux(aux: dict[str, str]) -> Any:
    for name, text in aux.items():
        unit = _UNITS.get(name)
        numeric = text.isascii() and text.isdigit() and len(text) < 16
        shown = f"{text}  ({unit(int(text))})" if unit and numeric else text
        yield f"{name[:_SHOWN]:<9} ", shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}… ({len(text):,} characters)"


def _databases(facts: dict[str, Any]) -> Any:
    if "databases" not in facts:
        return
    if not facts["databases"]:
        yield "keys", "none"
    for row in facts["databases"]:
        keys = "?" if row["keys"] is None else f"{row['keys']:,}"
        expires = "?" if row["expires"] is None else f"{row['expires']:,}"
        claim = ", as the file claims" if facts["counts"] == "claimed" else ""
        yield f"db {row['db']}", f"{keys} keys, {expires} with an expiry{claim}"
