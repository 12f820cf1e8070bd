"""A report as data: one JSON document with raw numbers (bytes, ms since the epoch, shares from 0 to 1).

    complete     false: a file could not be read to its end, and its numbers cover the part before that (a file with a
                 wrong checksum was read to its end; its error_code is checksum-mismatch)
    heap         true: memory is what is actually allocated; false: what MEMORY USAGE returns
    unread       files of which nothing could be read, and why
    files        each file, with its own total
    total        keys elements memory memory_sd size unknown unknown_size no_expiry
    databases, types, encodings   the same, each with `share`
    biggest      by type, the heaviest keys
    prefixes     rows, the last of which (prefix null) is the rest; exact; absent
    expiry, idle, freq   buckets
    tags, raising, widths, notable

`share` is relative to the total weight: memory, or size in the file for keys of unknown memory.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from rdbkit.analysis.expiry import Bucket
from rdbkit.analysis.files import FileSummary
from rdbkit.analysis.picture import Picture
from rdbkit.analysis.prefixes import Prefix
from rdbkit.analysis.totals import Total
from rdbkit.output.text import encoder, path_text

_ERRORS = ("keys", "memory", "size", "unknown", "unknown_size", "no_expiry")


def share(part: int, whole: int) -> float:
    """Return a share, rounded to six digits."""
    return round(part / whole, 6) if whole else 0.0


def document(found: Picture, form: str = "escape") -> dict[str, Any]:
    """Return a report as data for json.dumps; `form` is the form of bytes (text.FORMS)."""
    text = encoder(form)
    weight = found.total.weight
    return {
        "complete": found.complete,
        "heap": found.heap,
        "unread": [{"file": path_text(file), "error": why} for file, why in found.unread],
        "files": [_file(file) for file in found.files],
        "total": _total(found.total),
        "databases": [{"db": db, **_shared(total, weight)} for db, total in found.databases.items()],
        "types": [{"type": name, **_shared(total, weight)} for name, total in found.types.items()],
        "encodings": [
            {"type": kind, "encoding": name, **_shared(total, weight)}
            for (kind, name), total in found.encodings.items()
        ],
        "biggest": {
            kind: [
                {**big._asdict(), "key": text(big.key), "file": path_text(big.file), "share": share(big.weight, weight)}
                for big in bigs
            ]
            for kind, bigs in found.biggest.items()
        },
        "prefixes": {
            "exact": found.prefixes_exact,
            "absent": dict(zip(_ERRORS, found.absent)),
            "rows": [_prefix(prefix, weight, form) for prefix in found.prefixes],
        },
        "expiry": _buckets(found.expiry, weight),
        "idle": _buckets(found.idle, weight),
        "freq": _buckets(found.freq, weight),
        "tags": [{**tag._asdict(), "tag": text(tag.tag), "share": share(tag.weight, weight)} for tag in found.tags],
        "raising": [row._asdict() for row in found.raising],
        "widths": [
            {
                **width._asdict(),
                "named": [{**one._asdict(), "key": text(one.key), "file": path_text(one.file)} for one in width.named],
            }
            for width in found.widths
        ],
        "notable": [{"code": note.code, **_plain(note.facts, form)} for note in found.notes],
    }


def _total(total: Total) -> dict[str, Any]:
    facts = asdict(total)
    facts["no_expiry"] = total.keys - facts.pop("expiring")
    return facts


def _shared(total: Total, weight: int) -> dict[str, Any]:
    return {**_total(total), "share": share(total.weight, weight)}


def _file(file: FileSummary) -> dict[str, Any]:
    return {
        "file": path_text(file.file),
        "kind": file.kind,
        "commands": file.commands,
        "product": file.product,
        "version": file.version,
        "producer": file.producer,
        "target": file.target,
        "target_origin": file.target_origin,
        "now": file.now,
        "now_origin": file.now_origin,
        "file_size": file.size,
        "ctime": file.ctime,
        "used_mem": file.used_mem,
        "allocated": file.allocated,
        "overhead": file.overhead,
        "checksum": file.checksum,
        "functions": file.functions,
        "filtered": file.filtered,
        "error": file.error,
        "error_code": file.error_code,
        "damaged": file.damaged,
        **_total(file.total),
        "types": {kind: _total(total) for kind, total in file.totals.types().items()},
    }


def _prefix(prefix: Prefix, weight: int, form: str) -> dict[str, Any]:
    return {
        "prefix": None if prefix.name is None else encoder(form)(prefix.name),
        "keys": prefix.keys,
        "memory": prefix.memory,
        "size": prefix.size,
        "unknown": prefix.unknown,
        "unknown_size": prefix.unknown_size,
        "share": share(prefix.weight, weight),
        "no_expiry": prefix.no_expiry,
        "types": list(prefix.types),
        "error": dict(zip(_ERRORS, prefix.error)) if prefix.error else None,
    }


def _buckets(buckets: Iterable[Bucket], weight: int) -> list[dict[str, Any]]:
    return [{**asdict(bucket), "share": share(bucket.weight, weight)} for bucket in buckets]


def _plain(facts: dict[str, Any], form: str) -> dict[str, Any]:
    """Return facts with bytes as text and shares rounded."""
    text = encoder(form)
    facts = {name: path_text(value) if name == "file" else value for name, value in facts.items()}
    return {
        name: text(value) if isinstance(value, bytes) else round(value, 6) if isinstance(value, float) else value
        for name, value in facts.items()
    }
