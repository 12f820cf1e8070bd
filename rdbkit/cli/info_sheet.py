"""`rdbkit info` as text: a name and a value on each line, files separated by blank lines."""

from __future__ import annotations

from typing import Any

from rdbkit.cli.options import PRODUCTS
from rdbkit.output import units
from rdbkit.output.text import terminal

#: AUX fields that are shown with a unit.
_UNITS = {"ctime": lambda n: units.time(1000 * n), "used-mem": units.size}
_SHOWN = 100
_NAMES = 20
_KINDS = {
    "aof": "aof: commands only",
    "mixed": "mixed: an RDB followed by commands",
    "aof-set": "aof-set: a multi-part AOF",
    "data-dir": "data-dir: a server's data directory",
}


def sheet(facts: dict[str, Any]) -> str:
    """Return an `info` document as lines of name and value."""
    lines = "".join(f"{terminal(f'{name:<12}{value}')}\n" for name, value in _lines(facts) if value not in (None, ""))
    inner = [one for name in ("rdbs", "aofs", "sets") for one in facts.get(name, [])]
    return "\n".join((lines, *map(sheet, inner)))


def _lines(facts: dict[str, Any]) -> Any:
    yield "file", facts["file"]
    yield "kind", _kind(facts)
    if facts.get("product") is not None:
        yield "producer", facts.get("producer") or ("-" if "aux" in facts else None)
    if "target" in facts:
        yield "target", f"{facts['target']} ({facts['target_origin']})"
    if facts.get("blockers"):
        yield "loads", "no"
        yield from (("  lacks", text) for text in facts["blockers"])
    elif facts.get("loads"):
        yield "loads", "yes"
    if "type" in facts:
        elements = "" if facts["elements"] is None else f", {units.plural(facts['elements'], 'element')}"
        yield "value", f"{facts['type']}, {facts['encoding']}{elements}"
    yield "packing", ", ".join(facts.get("packing", []))
    if facts["size"] is not None:
        yield "size", f"{units.size(facts['size'])} ({facts['size']:,} bytes)"
    yield "checksum", facts.get("checksum")
    yield from (("  " + name, text) for name, text in _aux(facts.get("aux", {})))
    for function in facts.get("functions", []):
        yield (
            "function",
            f"{function['name'] or '(no name)'} ({function['engine'] or '?'}, {len(function['code']):,} characters)",
        )
    for name in facts.get("modules", []):
        yield "module", name
    if facts.get("tail"):
        yield "trailing", f"{facts['tail']['size']:,} bytes: {facts['tail']['kind']}"
    yield from _databases(facts)
    yield from _of_set(facts)
    yield from _log(facts.get("commands"))


def _kind(facts: dict[str, Any]) -> str:
    kind = _KINDS.get(facts["kind"], facts["kind"])
    if facts.get("product") is None:
        return str(kind)
    return f"{kind}, {PRODUCTS.get(facts['product'], facts['product'])}, RDB version {facts['version']}"


def _of_set(facts: dict[str, Any]) -> Any:
    for row in facts.get("files", []):
        size = "" if row["size"] is None else f", {units.size(row['size'])}"
        keys = "" if row["keys"] is None else f", {units.plural(row['keys'], 'key')}"
        commands = "" if row["commands"] is None else f", {units.plural(row['commands'], 'command')}"
        yield f"{row['role']} {row['seq']}", f"{row['name']}: {row['format']}{size}{keys}{commands}"
    yield "appends to", facts.get("appends_to")
    for remark in facts.get("remarks", []):
        yield remark["severity"], remark["message"]


def _log(found: dict[str, Any] | None) -> Any:
    """Yield the lines about the commands of an AOF."""
    if found is None:
        return
    start = f", from offset {found['offset']:,}" if found.get("offset") else ""
    yield "commands", f"{found['commands']:,} in {units.size(found['bytes'])}{start}"
    error = f" (± {found['keys_error']:.1%})" if found["keys_error"] else ""
    yield "keys used", f"{found['keys']:,}{error}"
    if found["transactions"]:
        yield "MULTI/EXEC", f"{found['transactions']:,}"
    if found["first_time"] is not None:
        yield "time", f"{units.time(found['first_time'])} to {units.time(found['last_time'])}"
    elif found["annotations"]:
        yield "annotations", f"{found['annotations']:,}"
    for row in found["databases"]:
        yield f"db {row['db']}", units.plural(row["commands"], "command")
    names = list(found["names"].items())
    width = max((len(name) for name, _ in names[:_NAMES]), default=0)
    for name, number in names[:_NAMES]:
        yield f"  {name:<{width}} ", f"{number:,}"
    if len(names) > _NAMES:
        yield "  …", f"{len(names) - _NAMES} more commands (all with -f json)"


def _aux(aux: dict[str, str]) -> Any:
    for name, text in aux.items():
        unit = _UNITS.get(name)
        numeric = text.isascii() and text.isdigit() and len(text) < 16
        shown = f"{text}  ({unit(int(text))})" if unit and numeric else text
        yield f"{name[:_SHOWN]:<9} ", shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}… ({len(text):,} characters)"


def _databases(facts: dict[str, Any]) -> Any:
    if "databases" not in facts:
        return
    if not facts["databases"] and facts.get("version") is not None:
        yield "keys", "none"
    for row in facts["databases"]:
        keys = "?" if row["keys"] is None else f"{row['keys']:,}"
        expires = "?" if row["expires"] is None else f"{row['expires']:,}"
        noun = "key" if row["keys"] == 1 else "keys"
        claim = ", as declared in the file" if facts["counts"] == "claimed" else ""
        yield f"db {row['db']}", f"{keys} {noun}, {expires} with an expiry{claim}"
