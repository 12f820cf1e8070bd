"""Files of real servers, and the servers' own account of their keys: reading and comparing both (fixtures/README.md).

cases()                  the files with an account: one Case each
case.account()           the keys that the file should hold, in the shapes that rdbkit gives
case.described(entry, row)    the same of an entry that was read; equal to the account's row of its key
"""

from __future__ import annotations

import gzip
import json
import math
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from conftest import FIXTURES

Row = dict[str, Any]
Where = tuple[int, bytes]

_BASIC = {"string", "list", "set", "zset", "hash", "stream", "array"}
#: Elsewhere the server counted too, but the file does not hold it.
_POLICIES = ("rdb-lru", "rdb-lfu")


@cache
def manifest() -> list[Row]:
    """The rows of MANIFEST.toml."""
    with (FIXTURES / "MANIFEST.toml").open("rb") as file:
        rows: list[Row] = tomllib.load(file)["file"]
    return rows


def raw(text: str) -> bytes:
    """Return the bytes for their text in an account."""
    return text.encode("latin-1")


@dataclass(frozen=True)
class Case:
    """One file that has an account."""

    server: str
    case: str

    def __str__(self) -> str:
        return f"{self.server}/{self.case}"

    @property
    def path(self) -> str:
        return str(FIXTURES / self.server / self.case / "dump.rdb")

    @property
    def number(self) -> tuple[int, ...]:
        return tuple(map(int, self.server.split("-")[1].split(".")))

    @property
    def options(self) -> Row:
        """Options for data that is not in the file: the server (up to 3.0), and the settings that change encodings."""
        words = ("hash-max", "list-max", "set-max", "zset-max")
        settings = {name: str(value) for name, value in self.oracle["conf"].items() if name.startswith(words)}
        silent = self.number < (3, 2)
        return {"settings": settings, "target": self.server.replace("-", ":") if silent else None}

    @property
    def oracle(self) -> Row:
        return _oracle(self)

    def account(self) -> dict[Where, Row]:
        """The server's replies for each key: type and others, as `described` returns them."""
        return dict(self._rows())

    def _rows(self) -> Iterator[tuple[Where, Row]]:
        for db, keys in self.oracle["dbs"].items():
            for key in keys:
                yield (int(db), raw(key["k"])), self._key(key)
        # Up to 3.2 expired keys are left out of the file.
        lost = self.oracle.get("expired_in_file", {}) if self.number >= (4, 0) else {}
        for name, ms in lost.get("keys", {}).items():
            yield (0, raw(name)), {"expires_at": ms}
        for name, fields in lost.get("hash_fields", {}).items():
            due = {raw(field): ms for field, ms in fields.items()}
            yield (0, raw(name)), {"type": "hash", "field_expires_at": due}
        for name, kind in self._hidden():
            yield (0, raw(name)), {"type": kind}

    def _hidden(self) -> Iterator[tuple[str, str]]:
        """Keys in the slots of an unfinished import: a server hides them until it is done."""
        if "source_keys" not in self.oracle:
            return
        words = self.oracle["migration"][0]
        ranges = dict(zip(words[::2], words[1::2]))["slot_ranges"]
        pairs = [tuple(map(int, pair.split("-"))) for pair in ranges.split()]
        for name, (kind, slot) in self.oracle["source_keys"].items():
            if any(first <= slot <= last for first, last in pairs):
                yield name, kind

    def _key(self, key: Row) -> Row:
        kind = key["type"] if key["type"] in _BASIC else "module"
        row: Row = {"type": kind, "expires_at": key.get("expire_at_ms")}
        if "expire_at_ms_approx" in key:
            row["expires_at"] = key["expire_at_ms_approx"]
        if self.case in _POLICIES:
            row["idle"], row["freq"] = key.get("idle_s", 0), key.get("freq")
        if "value" in key:
            row["value"] = _VALUES[kind](key["value"])
        if kind == "hash":
            row["field_expires_at"] = {raw(field): ms for field, ms in key.get("field_expire_at_ms", {}).items()}
        if kind != "module":
            if "len" in key and kind != "string":
                row["elements"] = key["len"]
            if kind != "stream" and self.oracle.get("reload_ok"):
                row["encoding"] = key.get("encoding_reloaded") or key["encoding"]
        return row

    def described(self, entry: Any, row: Row) -> Row:
        """Return the values in the account's row for an entry that was read, in the same form."""
        found: Row = {name: getattr(entry, name) for name in row if name not in ("value", "idle")}
        if "idle" in row:
            found["idle"] = entry.idle or 0
        # Before 7.0 the account of an expiry is good to two milliseconds.
        if self.number < (7, 0) and None not in (due := row["expires_at"], entry.expires_at):
            found["expires_at"] = due if abs(entry.expires_at - due) <= 2 else entry.expires_at
        if "value" in row:
            found["value"] = _FOUND.get(entry.type, lambda value, _: value)(entry.value, row["value"])
        return found

    def functions(self) -> list[bytes]:
        """The sources of the libraries."""
        return sorted(raw(library["library_code"]) for library in self.oracle.get("functions") or [])


@cache
def _oracle(case: Case) -> Row:
    path = FIXTURES / case.server / case.case / "oracle.json.gz"
    found: Row = json.loads(gzip.decompress(path.read_bytes()))
    return found


def cases() -> list[Case]:
    """Every dump.rdb of the manifest."""
    return [Case(*row["path"].split("/")[:2]) for row in manifest() if row["path"].endswith("/dump.rdb")]


# -- values: of the account, and the same of entries that were read ----------------------------------------------------


def _stream(value: Row) -> Row:
    """A stream's account: the server's replies depend on its version, so absent fields are left out."""
    info = value["info"]
    row: Row = {"entries": [(i, [raw(text) for text in fields]) for i, fields in value["entries"]]}
    names = {
        "last_id": "last-generated-id",
        "max_deleted_id": "max-deleted-entry-id",
        "entries_added": "entries-added",
        "first_id": "recorded-first-entry-id",
    }
    row |= {ours: info[theirs] for ours, theirs in names.items() if theirs in info}
    row["groups"] = {raw(group["name"]): _group(group) for group in value["groups"]}
    return row


def _group(group: Row) -> Row:
    row: Row = {"last_delivered_id": group["last-delivered-id"]}
    if "entries-read" in group:
        row["entries_read"] = group["entries-read"]
    exact = isinstance(group["pending"], list)
    pending = group["pending"] if exact else group["pel_approx"]
    row["pending"] = [(i, raw(owner) if owner else None, at if exact else None, n) for i, owner, at, n in pending]
    times = ("seen-time", "active-time")
    row["consumers"] = {raw(c["name"]): {name: c[name] for name in times if name in c} for c in group["consumers"]}
    return row


def _found_stream(stream: Any, row: Row) -> Row:
    found: Row = {"entries": [(str(i), [text for pair in fields for text in pair]) for i, fields in stream.entries]}
    for name in row:
        if name not in ("entries", "groups"):
            value = getattr(stream, name)
            found[name] = value if name == "entries_added" else str(value)
    found["groups"] = {group.name: _found_group(group, row["groups"].get(group.name)) for group in stream.groups}
    assert len(found["groups"]) == len(stream.groups)
    return found


def _found_group(group: Any, row: Row | None) -> Row:
    found: Row = {"last_delivered_id": str(group.last_delivered_id)}
    if row is None:
        return found
    if "entries_read" in row:
        found["entries_read"] = group.entries_read
    timed = {i: at is not None for i, _, at, _ in row["pending"]}
    found["pending"] = [
        (str(p.id), p.consumer, p.delivered_at if timed.get(str(p.id)) else None, p.deliveries) for p in group.pending
    ]
    found["consumers"] = {
        consumer.name: {
            name: getattr(consumer, name.replace("-time", "_at")) for name in row["consumers"].get(consumer.name, ())
        }
        for consumer in group.consumers
    }
    return found


def _array(value: Row) -> list[tuple[int, Any]]:
    return [(int(index), raw(item) if isinstance(item, str) else item) for index, item in value["scan"]]


def _found_array(array: Any, row: list[tuple[int, Any]]) -> list[tuple[int, Any]]:
    """The account shows numbers as text; which of them are numbers is not in it."""
    shown = []
    for (index, item), (_, text) in zip(array.elements, row, strict=True):
        same = not isinstance(item, bytes) and isinstance(text, bytes) and _same_number(item, text)
        shown.append((index, text if same else item))
    return shown


def _same_number(item: float, text: bytes) -> bool:
    if isinstance(item, int):
        return b"%d" % item == text
    return float(text) == item or (math.isnan(item) and text == b"nan")


def _module(value: Any) -> Any:
    """The corpus' own module type: an unsigned and a signed number, a double, a string; others are not compared."""
    if not isinstance(value, list):
        return None
    number, signed, double, text = value
    return [int(number), int(signed), float(double), raw(text)]


def _found_module(module: Any, row: Any) -> Any:
    if row is None:
        return None
    kinds = dict(zip(("uint", "sint", "double", "string"), range(4)))
    first = [value for kind, value in module.parts if kind in kinds][:2]
    number, signed = first[0], first[1] - (first[1] >> 63 << 64)
    double = next(value for kind, value in module.parts if kind == "double")
    return [number, signed, double, next(value for kind, value in module.parts if kind == "string")]


_VALUES: dict[str, Any] = {
    "string": raw,
    "list": lambda value: list(map(raw, value)),
    "set": lambda value: set(map(raw, value)),
    "zset": lambda value: [(raw(member), float(score)) for member, score in value],
    "hash": lambda value: {raw(field): raw(text) for field, text in value},
    "stream": _stream,
    "array": _array,
    "module": _module,
}
_FOUND: dict[str, Any] = {"stream": _found_stream, "array": _found_array, "module": _found_module}
