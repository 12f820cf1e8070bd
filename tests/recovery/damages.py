"""Random damage, and the allowed results of repairing it."""

from __future__ import annotations

import random
import re
from typing import NamedTuple

from rdbkit.aof.resp import END, RECORD, Resp
from rdbkit.wire.cursor import Cursor


class Record(NamedTuple):
    start: int
    end: int
    transaction: int | None  # the offset of its MULTI
    data: bytes
    name: bytes


def records(data: bytes, start: int = 0) -> list[Record] | None:
    """The records and annotations of a valid file; None for an invalid one."""
    resp = Resp(Cursor(data))
    resp.cursor.pos = start
    items: list = []
    status = RECORD
    while status == RECORD:
        status = resp.batch(1 << 30, 64, items)
    if status != END:
        return None
    found, multi = [], None
    for offset, end, args, _ in items:
        name = args[0].lower() if isinstance(args, list) and args else b""
        multi = offset if name == b"multi" else multi
        found.append(Record(offset, end, multi, data[offset:end], name))
        multi = None if name == b"exec" else multi
    return found


def framed(data: bytes, start: int = 0) -> bool:
    """Return whether all of it can be read as records of any kind."""
    argument = re.compile(rb"\$([0-9]+)\r\n")
    at = start
    while at < len(data):
        head = re.compile(rb"\*([1-9][0-9]*)\r\n|#.*\r\n").match(data, at)
        if head is None:
            return False
        at = head.end()
        for _ in range(int(head[1] or 0)):
            found = argument.match(data, at)
            if found is None:
                return False
            at = found.end() + int(found[1]) + 2
            if data[at - 2 : at] != b"\r\n":
                return False
    return True


class Hit(NamedTuple):
    """Damage: the bytes from `start` to `end` became `put`."""

    kind: str
    start: int
    end: int
    put: bytes

    def done(self, data: bytes) -> bytes:
        return data[: self.start] + self.put + data[self.end :]


def hit(rng: random.Random, low: int, high: int) -> Hit:
    """Some damage between two offsets."""
    kind = rng.choice(("set", "overwrite", "insert", "delete", "zero"))
    at = rng.randrange(low, high)
    size = min(rng.randrange(1, 41), high - at)
    if kind == "set":
        return Hit(kind, at, at + 1, rng.choice((rng.randbytes(1), b"%d" % rng.randrange(10))))
    if kind == "overwrite":
        return Hit(kind, at, at + size, rng.randbytes(size))
    if kind == "insert":
        return Hit(kind, at, at, rng.choice((rng.randbytes(size), b"\n", b"\r\n", b"0", b"7")))
    if kind == "delete":
        return Hit(kind, at, at + size, b"")
    return Hit(kind, at, at + size, bytes(size))


def wrong(before: list[Record], hit: Hit, after: list[Record] | None) -> str | None:
    """Return the mistakes of a repair: records that were lost without damage, or that were not in the file."""
    if after is None:
        return "the result is not a valid file"
    touched = [one for one in before if one.start < max(hit.end, hit.start + 1) and hit.start < one.end]
    if hit.start == hit.end:
        touched = [one for one in before if one.start < hit.start < one.end]
    groups = {one.transaction for one in touched} - {None}
    # Between two commands of a transaction, too, there may have been a third.
    groups |= (
        {one.transaction for one in before if hit.start in (one.start, one.end)} - {None} if not touched else set()
    )
    kept = [one for one in before if one not in touched and one.transaction not in groups]
    left = [one.data for one in after]
    at = 0
    extra = []
    for one in kept:
        try:
            found = left.index(one.data, at)
        except ValueError:
            return f"lost the record at {one.start}: {one.data[:60]!r}"
        extra += left[at:found]
        at = found + 1
    extra += left[at:]
    # A damaged record may still be there, if nothing shows the change.
    allowed = [one.data for one in before if one.transaction in groups and one.transaction is not None]
    news = [one for one in extra if one not in allowed]
    changed = b"".join(one.data for one in touched)
    for one in news:
        if len(news) > len(touched) or abs(len(one) - len(changed)) > 60 + len(changed) // 2:
            return f"gave {one[:60]!r}, which was not there"
    return None
