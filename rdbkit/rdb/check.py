"""What can be wrong with one entry although it can be read: one function per type.

A decoder already refuses what contradicts itself (and raises). What is left is what servers notice only later, or
never: names twice, scores out of order, counters that do not add up. `error` means that a server refuses the file or
loses data of it, `warning` that it loads and is odd.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any

from rdbkit.errors import Passed, RdbkitError
from rdbkit.rdb import spec
from rdbkit.rdb.hints import HINTS
from rdbkit.rdb.pending import PendingEntries
from rdbkit.rdb.streams import ZERO, Stream
from rdbkit.rdb.unique import Unique, fingerprint
from rdbkit.rdb.values import Decoder


@dataclass(frozen=True, slots=True)
class Finding:
    """One row of `check`: severity is "error", "warning" or "note"; codes are stable."""

    severity: str
    code: str
    message: str
    offset: int | None = None
    db: int | None = None
    key: bytes | None = None
    file: str | None = None
    """The file that is meant, where several are checked as one: those of a set or a directory."""
    advice: str = ""
    """What to do next, where that does not follow from the code."""

    @property
    def hint(self) -> str:
        """What to do next."""
        return self.advice or HINTS.get(self.code, HINTS[""] if self.severity == "error" else "")

    @classmethod
    def of(cls, error: RdbkitError) -> Finding:
        """Turn what a decoder raised into a row."""
        return cls("error", error.code, error.message, error.offset, error.db, error.key, advice=error.hint)


#: What a check of one entry yields: severity, code, message.
Problem = tuple[str, str, str]


#: Gives a second decoder of the same body; raises Passed where that cannot be.
Again = Callable[[], Decoder]


def problems(decoder: Decoder, again: Again) -> Iterator[Problem]:
    """Read a body to its end and yield what is wrong with it; raises where it cannot be read."""
    yield from _CHECKS.get(decoder.type, _check_items)(decoder, again)


class Names:
    """Tells whether a name occurs twice in one value, whatever its size; without temporary space it says so."""

    def __init__(self) -> None:
        self.first: list[bytes] | None = None
        self.more: Unique | None = None
        self.failure: OSError | None = None

    def add(self, names: list[bytes]) -> None:
        """Take the names of a batch."""
        if self.first is None:
            self.first = names
            return
        if self.failure is not None:
            return
        try:
            if self.more is None:
                self.more = Unique()
                self.more.add(self.first)
            self.more.add(names)
        except OSError as error:
            self.failure = error

    def verdict(self, what: str, again: Again) -> Iterator[Problem]:
        """Yield the finding, if there is one; equal fingerprints are looked at by reading again."""
        names = self.first or []
        if self.more is None:
            if len(set(names)) < len(names):
                twice = next(name for name, count in Counter(names).items() if count > 1)
                yield "error", f"duplicate-{what}", f"{what} {twice[:40]!r} twice"
            return
        suspects: set[int] = set()
        with self.more:
            try:
                suspects = set() if self.failure else self.more.candidates()
            except OSError as error:
                self.failure = error
        if self.failure is not None:
            yield "warning", "not-unique", f"uniqueness of its {what}s not checked: {self.failure.strerror}"
        if suspects:
            yield from _confirmed(what, suspects, again)


def _confirmed(what: str, suspects: set[int], again: Again) -> Iterator[Problem]:
    seen: set[bytes] = set()
    try:
        for part in chain.from_iterable(again().parts()):
            name = part if isinstance(part, bytes) else part[0]
            if name in seen:
                yield "error", f"duplicate-{what}", f"{what} {name[:40]!r} twice"
                return
            if fingerprint(name) in suspects:
                seen.add(name)
    except Passed:
        told = f"{len(suspects)} {what}s twice, as far as 64-bit fingerprints tell (a pipe cannot be read again)"
        yield "error", f"duplicate-{what}", told


def _empty(count: int) -> Iterator[Problem]:
    if not count:
        yield "warning", "empty-key", "an empty value: servers before 6.2.6 keep or refuse it, later ones skip the key"


def _check_items(decoder: Decoder, again: Again) -> Iterator[Problem]:
    """Lists, strings and modules: reading them is all there is to check."""
    count = sum(map(len, decoder.parts()))
    if decoder.type == "list":
        yield from _empty(count)


def _check_set(decoder: Decoder, again: Again) -> Iterator[Problem]:
    names = Names()
    count = 0
    for batch in decoder.parts():
        count += len(batch)
        names.add(batch)
    yield from _empty(count)
    yield from names.verdict("member", again)


def _check_zset(decoder: Decoder, again: Again) -> Iterator[Problem]:
    names = Names()
    count = 0
    last: tuple[float, bytes] = (-math.inf, b"")
    ordered = decoder.kind in (spec.ZSET_ZIPLIST, spec.ZSET_LISTPACK)
    sorted_so_far = True
    for batch in decoder.parts():
        count += len(batch)
        members, scores = zip(*batch) if batch else ((), ())
        names.add(list(members))
        # A sum is no number if one of them is none, or if both infinities are among them.
        if not sum(scores) <= math.inf and any(map(math.isnan, scores)):
            yield "error", "nan-score", "a score that is no number (NaN)"
        if ordered:
            pairs = [last, *((score, member) for member, score in batch)]
            sorted_so_far = sorted_so_far and pairs == sorted(pairs)
            last = pairs[-1]
    yield from _empty(count)
    yield from names.verdict("member", again)
    if not sorted_so_far:
        yield "warning", "unsorted", "members are not in the order of their scores: range commands will err"


def _check_hash(decoder: Decoder, again: Again) -> Iterator[Problem]:
    names = Names()
    count = 0
    dues: list[int] = []
    last = 0
    ordered = True
    for batch in decoder.parts():
        count += len(batch)
        names.add([name for name, _, _ in batch])
        here = [due for _, _, due in batch if due is not None]
        if here:
            dues = [min([*dues, *here])]
        if decoder.kind in (spec.HASH_LISTPACK_EX, spec.HASH_LISTPACK_EX_PRE_GA):
            times = [last, *(math.inf if due is None else due for _, _, due in batch)]
            ordered = ordered and times == sorted(times)
            last = times[-1]  # type: ignore[assignment]
    yield from _empty(count)
    yield from names.verdict("field", again)
    if not ordered:
        yield "warning", "unsorted", "fields are not in the order of their expiries: some will expire late"
    if decoder.min_expiry is not None and dues and decoder.min_expiry != dues[0]:
        yield "warning", "bad-min-expiry", f"smallest field expiry {dues[0]}, the file says {decoder.min_expiry}"


def _check_stream(decoder: Decoder, again: Again) -> Iterator[Problem]:
    live, first, last = 0, ZERO, ZERO
    decoder.bare = True
    for batch in decoder.parts():
        if batch:
            first = first if live else batch[0][0]
            last = batch[-1][0]
        live += len(batch)
    stream = decoder.tail
    assert stream is not None
    yield from _counters(stream, live)
    if last > stream.last_id:
        yield "warning", "stream-last-id", f"last id {stream.last_id}, but an entry is {last}"
    if live and stream.first_id != first:
        yield "warning", "stream-first-id", f"first id {stream.first_id}, but the first entry is {first}"
    for group in stream.groups:
        if group.entries_read is not None and group.entries_read > stream.entries_added:
            message = f"group {group.name[:40]!r} has read {group.entries_read} of {stream.entries_added} entries"
            yield "warning", "stream-entries-read", message
        entries = group.pending
        if isinstance(entries, PendingEntries) and entries.unowned and decoder.kind < spec.STREAM_LISTPACKS_5:
            yield "error", "stream-pending", f"group {group.name[:40]!r} has pending entries that nobody owns"


def _counters(stream: Stream, live: int) -> Iterator[Problem]:
    if stream.length != live:
        yield "warning", "stream-length", f"length {stream.length}, but {live} entries: Redis 8.8 and newer refuse it"
    if not live <= stream.entries_added < 1 << 63:
        yield "warning", "stream-entries-added", f"{stream.entries_added} entries ever added, {live} there"


def _check_array(decoder: Decoder, again: Again) -> Iterator[Problem]:
    last = -1
    for batch in decoder.parts():
        indexes = [last, *(index for index, _ in batch)]
        if any(map(int.__ge__, indexes, indexes[1:])):
            yield "warning", "unsorted", "array indexes do not ascend: of equal ones a server keeps the last"
        if indexes[-1] >= (1 << 64) - 1:
            yield "error", "bad-array", f"array index {indexes[-1]}"
        last = indexes[-1]


_CHECKS: dict[str, Callable[[Decoder, Again], Iterator[Problem]]] = {
    "set": _check_set,
    "zset": _check_zset,
    "hash": _check_hash,
    "stream": _check_stream,
    "array": _check_array,
}


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
