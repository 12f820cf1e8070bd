"""Notable findings of a report: where to look first for memory or problems.

    code             facts
    big-key          a key with more than 10% of the total
    no-expiry        half of the keys or more never expire
    expired          keys that have expired and are still in the file
    hash-tag         a tag, and so a cluster slot, with 5% of the total or more
    backlen          keys that Valkey 9.1 does not load, or only it and newer servers (backlen_compat.py)
    limit            a limit that many keys just exceed (limit_advice.py), if raising it saves enough
    memory-unknown   keys of unknown memory

`share` is relative to the total weight (rows.weigh).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rdbkit.analysis.limit_advice import Raise
from rdbkit.analysis.picture import Note, Picture
from rdbkit.analysis.totals import Total

#: Minimum share of the total weight for a finding.
_BIG_KEY, _BIG_TAG, _MUCH_FOREVER, _WORTH_SAVING = 0.10, 0.05, 0.5, 0.01
#: Minimum share of the keys, if the saving is unknown.
_WORTH_RAISING = 0.001


def notes(picture: Picture) -> Iterator[Note]:
    """Yield the notable findings, the most important first."""
    total = picture.total
    weight = total.weight
    yield from _big_keys(picture, weight)
    buckets = {bucket.name: bucket for bucket in picture.expiry}
    forever, expired = buckets.get("none"), buckets.get("expired")
    if forever and total.keys and forever.keys / total.keys >= _MUCH_FOREVER:
        yield Note("no-expiry", {"keys": forever.keys, "of": total.keys, **_weighed(forever.weight, weight)})
    if expired and expired.keys:
        yield Note("expired", {"keys": expired.keys, **_weighed(expired.weight, weight)})
    for tag in picture.tags:
        if weight and tag.weight / weight >= _BIG_TAG:
            facts = {"tag": tag.tag, "slot": tag.slot, "keys": tag.keys}
            yield Note("hash-tag", {**facts, **_weighed(tag.weight, weight)})
    for width in picture.widths:
        first = width.named[0]
        facts = {"generation": width.generation, "keys": width.keys, "type": first.type}
        yield Note("backlen", {**facts, "file": first.file, "db": first.db, "key": first.key})
    for row in picture.raising:
        if _is_worth_it(row, total):
            yield Note("limit", row._asdict())
    if total.unknown:
        yield Note("memory-unknown", {"keys": total.unknown, "of": total.keys, "size": total.unknown_size})


def _big_keys(picture: Picture, weight: int) -> Iterator[Note]:
    everyone = (big for found in picture.biggest.values() for big in found)
    for big in sorted(everyone, key=lambda big: (-big.weight, big.db, big.key)):
        if picture.total.keys > 1 and weight and big.weight / weight > _BIG_KEY:
            facts = {"file": big.file, "db": big.db, "key": big.key, "type": big.type}
            yield Note("big-key", {**facts, **_weighed(big.weight, weight)})


def _is_worth_it(row: Raise, total: Total) -> bool:
    if row.saved is not None:
        return row.saved >= _WORTH_SAVING * total.weight
    return row.keys >= _WORTH_RAISING * total.keys


def _weighed(part: int, whole: int) -> dict[str, Any]:
    return {"weight": part, "share": part / whole if whole else 0.0}
