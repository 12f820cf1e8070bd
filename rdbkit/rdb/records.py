"""Checks of the records of a file other than keys: databases, functions, templates, slots, modules' data.

Severities are as in value_checks.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rdbkit.format import spec
from rdbkit.format.slots import SLOTS
from rdbkit.rdb.modules import module_name

#: The result of a check: severity, code, message.
Problem = tuple[str, str, str]

#: The greatest database number that a server can be configured to have.
MAX_DB = (1 << 31) - 1
#: The records that RecordChecks checks.
CHECKED_RECORDS = frozenset(
    (
        spec.SELECTDB,
        spec.FUNCTION2,
        spec.MODULE_AUX,
        spec.SLOT_IMPORT,
        spec.SLOT_INFO,
        spec.AUX,
        spec.HASH_TEMPLATE,
    )
)


def function_problems(source: bytes, size: int, names: set[bytes]) -> Iterator[Problem]:
    """Check a function library's source: its first line names an engine and a library."""
    line = source.split(b"\n", 1)[0]
    words = line.split()
    options = dict(word.split(b"=", 1) for word in words[1:] if b"=" in word)
    name: Any = options.get(b"name")
    if not words or not words[0].startswith(b"#!") or not name:
        yield "error", "bad-function", f"a function library without `#!engine name=…`: {line[:60]!r}"
        return
    if words[0][2:].lower() != b"lua":
        yield "error", "bad-function", f"function library {name[:40]!r} asks for engine {words[0][2:][:40]!r}"
    if name in names:
        yield "error", "duplicate-function", f"function library {name[:40]!r} twice"
    names.add(name)


class RecordChecks:
    """Checks the records of one file other than keys, in the order of the file."""

    def __init__(self, settings: dict[str, str] | None = None) -> None:
        given = (settings or {}).get("databases", "")
        self._databases = int(given) if given.isdigit() else 16
        self._stated = bool(given)
        self._libraries: set[bytes] = set()
        self._seen_dbs: set[int] = set()

    def problems(self, record: tuple[int, int, Any], templates: dict[int, tuple[bytes, ...]]) -> Iterator[Problem]:
        """Yield the problems of a record (offset, id, contents); `templates` are those read so far."""
        _, kind, payload = record
        if kind == spec.SELECTDB:
            yield from self._select(payload)
        elif kind == spec.FUNCTION2:
            source, size = payload
            yield from function_problems(source, size, self._libraries)
        elif kind == spec.MODULE_AUX:
            yield from _module_aux(*payload)
        elif kind == spec.SLOT_IMPORT:
            yield from _slots(*payload)
        elif kind == spec.SLOT_INFO or (kind == spec.AUX and payload[0] == b"slot-info"):
            yield from _slot(announced_slot(kind, payload), payload)
        elif kind == spec.HASH_TEMPLATE:
            yield from _template(payload[0], templates)

    def _select(self, db: int) -> Iterator[Problem]:
        if db > MAX_DB or (self._stated and db >= self._databases):
            yield "error", "db-out-of-range", f"database {db}"
        elif db >= self._databases:
            message = f"database {db}: a server with the default of {self._databases} refuses the file"
            yield "warning", "db-out-of-range", message
        if db in self._seen_dbs:
            yield "warning", "db-twice", f"database {db} is selected again"
        self._seen_dbs.add(db)


def _module_aux(module: int, when: int) -> Iterator[Problem]:
    name = module_name(module)[0]
    yield "note", "module-needed", f"data of module {name} itself: a server without it refuses the file"
    if when not in (1, 2):
        yield "error", "bad-module", f"data of module {name} that is due at time {when}"


def announced_slot(kind: int, payload: tuple[Any, ...]) -> tuple[int, int, int] | None:
    """Return slot, keys and expires of a record that announces the keys of a slot; None if it cannot be read.

    Redis has an opcode for it, Valkey an AUX field with numbers separated by commas.
    """
    if kind == spec.SLOT_INFO:
        slot, keys, expires = payload
        return slot, keys, expires
    parts = payload[1].split(b",")
    if len(parts) not in (3, 4) or not all(part.isdigit() and len(part) < 19 for part in parts):
        return None
    return int(parts[0]), int(parts[1]), int(parts[2])


def _slot(found: tuple[int, int, int] | None, payload: tuple[Any, ...]) -> Iterator[Problem]:
    if found is None:
        yield "warning", "bad-slot", f"slot-info {payload[1][:60]!r} is not slot,keys,expires"
    elif found[0] >= SLOTS:
        message = f"slot {found[0]} does not exist (the last is {SLOTS - 1}): a server in cluster mode may crash on it"
        yield "error", "bad-slot", message


def _slots(job: bytes, ranges: list[tuple[int, int]]) -> Iterator[Problem]:
    for first, last in ranges:
        if not first <= last < SLOTS:
            yield "error", "bad-slots", f"slots {first} to {last} in an import"
    yield "note", "slot-import", f"slot import {job[:40]!r} was under way: its keys are hidden on the server"


def _template(template: int, templates: dict[int, tuple[bytes, ...]]) -> Iterator[Problem]:
    fields = templates.get(template, ())
    ordered = sorted(set(fields), key=lambda name: (len(name), name))
    if list(fields) != ordered:
        yield "error", "bad-template", f"hash template {template}: fields are not in order, or twice"
