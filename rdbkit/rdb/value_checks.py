"""Checks of one entry that can be read: one function per type (for other records see records.py).

A decoder already raises for data that contradicts itself. These checks find what servers notice only later, or never:
duplicate names, scores out of order, wrong counters. `error` means that a server refuses the file or loses data of it,
`warning` that it loads the file although a value is unusual.

All commands use these checks: `check` for every value (`problems`); `Entry.value`, `export` and `get` only if a quick
test of the decoded parts does not exclude errors (`doubtful`).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import chain
from operator import itemgetter
from typing import Any

from rdbkit.errors import Corrupt, Passed, RdbkitError
from rdbkit.format import spec
from rdbkit.rdb.duplicate_filter import DuplicateFilter, fingerprint
from rdbkit.rdb.pending_entries import PendingEntries
from rdbkit.rdb.records import Problem
from rdbkit.rdb.streams import ZERO, Group, Stream
from rdbkit.rdb.values import Decoder, assembled
from rdbkit.wire.spool import KEPT, MEASURED, SUMMED, LongItem

#: No array has an element at this index or a higher one.
_LAST_INDEX = (1 << 64) - 1

_FIRST, _SECOND = itemgetter(0), itemgetter(1)


#: Returns a second decoder of the same body; raises Passed if that is not possible.
Again = Callable[[], Decoder]


def problems(decoder: Decoder, again: Again, end: int | None = None) -> Iterator[Problem]:
    """Read a body to its end and yield its problems; raises if it cannot be read.

    `decoder.count` is then the number of its elements. `end` is the offset at which the body ends; None: it is known
    that the body ends with the value.
    """
    yield from _CHECKS.get(decoder.type, _check_items)(decoder, again)
    if left_over(decoder, end):
        yield "error", "bad-length", "bytes are left over after the value"


def doubtful(decoder: Decoder, parts: list[Any], found: Any = None) -> bool:
    """Return whether `problems` may find an error in a body of which these are all the parts.

    `found` is the value made of them, if it is known. A wrong True only costs time; a wrong False would hide an error.
    """
    kind = decoder.type
    if kind in ("string", "list", "bitmap"):
        return False
    if kind == "hash":
        return len(found or set(map(_FIRST, parts))) < len(parts)
    if kind == "zset":
        scores = dict(parts)
        # A sum is NaN if one of the scores is, or if both infinities are among them.
        return len(scores) < len(parts) or not sum(scores.values()) <= math.inf
    if kind == "set":
        return len(found or set(parts)) < len(parts)
    if kind == "stream":
        return decoder.tail is not None and any(_unowned(decoder, group) for group in decoder.tail.groups)
    if kind == "path-hash":
        paths = _Paths()
        paths.add(parts)
        return paths.twice
    return kind == "array" and any(index >= _LAST_INDEX for index, _ in parts)


class Watch:
    """Passes the parts of a body on, and computes `doubtful` for all of them."""

    def __init__(self, decoder: Decoder) -> None:
        self._decoder = decoder
        self._names: set[bytes] = set()
        self._count = 0
        self._sum = 0.0
        self._index = -1
        self._paths = _Paths()

    def parts(self) -> Iterator[list[Any]]:
        """Yield the decoder's parts."""
        kind, names = self._decoder.type, self._names
        for batch in self._decoder.parts():
            if kind == "set":
                names.update(batch)
            elif kind == "hash" or kind == "zset":
                names.update(map(_FIRST, batch))
            self._count += len(batch)
            if kind == "zset":
                self._sum += sum(map(_SECOND, batch))
            elif kind == "path-hash":
                self._paths.add(batch)
            elif kind == "array":
                self._index = max(self._index, *[index for index, _ in batch])
            yield batch

    @property
    def doubtful(self) -> bool:
        """Return whether `problems` may find an error in the body."""
        kind = self._decoder.type
        if kind in ("set", "hash", "zset"):
            return len(self._names) < self._count or not self._sum <= math.inf
        if kind == "stream":
            tail = self._decoder.tail
            return tail is not None and any(_unowned(self._decoder, group) for group in tail.groups)
        return self._paths.twice or self._index >= _LAST_INDEX


class _Paths:
    """Finds whether a path is there twice, or a field at one path (`twice`); holds the names of one value."""

    def __init__(self) -> None:
        self.twice = False
        self._paths: set[Any] = set()
        self._fields: set[Any] = set()

    def add(self, parts: list[Any]) -> None:
        """Add parts, in their order."""
        for path, pairs in parts:
            if path is not None:
                self.twice = self.twice or path in self._paths
                self._paths.add(path)
                self._fields = set()
            fields = set(map(_FIRST, pairs))
            self.twice = self.twice or len(fields) < len(pairs) or not self._fields.isdisjoint(fields)
            self._fields |= fields


def left_over(decoder: Decoder, end: int | None) -> bool:
    """Return whether bytes are left between the value that was read and the end of its body (None: not known)."""
    # Modules skip parts that they do not know.
    return end is not None and decoder.cursor.tell() != end and decoder.type != "module"


def whole_value(decoder: Decoder, again: Again, end: int | None, offset: int) -> tuple[Any, dict[bytes, int]]:
    """Read a whole body: its value as in Entry.value, and the expiries of a hash's fields in ms.

    Also raises, at `offset`, the errors that `problems` finds: then the body has contents that no valid value has.
    """
    parts = [part for batch in decoder.parts() for part in batch]
    found = assembled(decoder, parts)
    if doubtful(decoder, parts, found[0]) or left_over(decoder, end):
        for error in errors(again, end, offset):
            raise error
    return found


def errors(again: Again, end: int | None, offset: int) -> list[RdbkitError]:
    """Return the errors that `problems` finds in a body, as errors at `offset`; raises if it cannot be read."""
    found = list(problems(again(), again, end))
    return [Corrupt(message, offset=offset, code=code) for severity, code, message in found if severity == "error"]


#: Types of which only the framing of their items matters.
_PLAIN = ("string", "list", "array", "bitmap", "module")
_ORDERED = (spec.ZSET_ZIPLIST, spec.ZSET_LISTPACK)


def level_of(kind: int) -> int:
    """Return how much of an item that is too long for memory a check of this type needs (a Spool's level)."""
    if kind in _ORDERED:
        return KEPT
    return MEASURED if spec.BY_ID[kind].type in _PLAIN else SUMMED


class UniqueNames:
    """Finds duplicate names in one value of any size; reports it if no temporary space is left."""

    def __init__(self) -> None:
        self.first: list[Any] | None = None
        self.more: DuplicateFilter | None = None
        self.failure: OSError | None = None

    def add(self, names: list[Any]) -> None:
        """Add the names of a batch."""
        if self.first is None:
            self.first = names
            return
        if self.failure is not None:
            return
        try:
            if self.more is None:
                self.more = DuplicateFilter()
                self.more.add(self.first)
            self.more.add(names)
        except OSError as error:
            self.failure = error

    def verdict(self, what: str, again: Callable[[], Iterator[Any]]) -> Iterator[Problem]:
        """Yield the finding, if there is one; equal fingerprints are confirmed in the names that `again` returns."""
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


def _names(again: Again) -> Callable[[], Iterator[Any]]:
    """Return what reads the names of a value once more: members, or fields."""

    def read() -> Iterator[Any]:
        for part in chain.from_iterable(again().parts()):
            yield part if isinstance(part, bytes | LongItem) else part[0]

    return read


def _confirmed(what: str, suspects: set[int], again: Callable[[], Iterator[Any]]) -> Iterator[Problem]:
    seen: set[Any] = set()
    try:
        for name in again():
            if name in seen:
                yield "error", f"duplicate-{what}", f"{what} {name[:40]!r} twice"
                return
            if fingerprint(name) in suspects:
                seen.add(name)
    except Passed:
        message = f"{len(suspects)} {what}s twice, going by 64-bit fingerprints (a pipe cannot be read again)"
        yield "error", f"duplicate-{what}", message


def _empty(count: int) -> Iterator[Problem]:
    if not count:
        yield "warning", "empty-key", "an empty value: servers before 6.2.6 keep or refuse it, later ones skip the key"


def _check_items(decoder: Decoder, again: Again) -> Iterator[Problem]:
    """Lists, strings and modules: they only have to be readable."""
    count = sum(map(len, decoder.parts()))
    decoder.count = 1
    if decoder.type == "list":
        decoder.count = count
        yield from _empty(count)


def _check_set(decoder: Decoder, again: Again) -> Iterator[Problem]:
    names = UniqueNames()
    count = 0
    for batch in decoder.parts():
        count += len(batch)
        names.add(batch)
    decoder.count = count
    yield from _empty(count)
    yield from names.verdict("member", _names(again))


def _check_zset(decoder: Decoder, again: Again) -> Iterator[Problem]:
    names = UniqueNames()
    count = 0
    last: tuple[float, bytes] = (-math.inf, b"")
    ordered = decoder.kind in _ORDERED
    sorted_so_far = True
    for batch in decoder.parts():
        count += len(batch)
        members, scores = zip(*batch) if batch else ((), ())
        names.add(list(members))
        # A sum is NaN if one of the scores is, or if both infinities are among them.
        if not sum(scores) <= math.inf and any(map(math.isnan, scores)):
            yield "error", "nan-score", "a score that is no number (NaN)"
        if ordered:
            pairs = [last, *((score, member) for member, score in batch)]
            sorted_so_far = sorted_so_far and pairs == sorted(pairs)
            last = pairs[-1]
    decoder.count = count
    yield from _empty(count)
    yield from names.verdict("member", _names(again))
    if not sorted_so_far:
        yield "warning", "unsorted", "members are not in the order of their scores: range commands will err"


def _check_hash(decoder: Decoder, again: Again) -> Iterator[Problem]:
    names = UniqueNames()
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
    decoder.count = count
    yield from _empty(count)
    yield from names.verdict("field", _names(again))
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
    decoder.count = live
    yield from _counters(stream, live)
    if last > stream.last_id:
        yield "warning", "stream-last-id", f"last id {stream.last_id}, but an entry is {last}"
    if live and stream.first_id != first:
        yield "warning", "stream-first-id", f"first id {stream.first_id}, but the first entry is {first}"
    for group in stream.groups:
        if group.entries_read is not None and group.entries_read > stream.entries_added:
            message = f"group {group.name[:40]!r} has read {group.entries_read} of {stream.entries_added} entries"
            yield "warning", "stream-entries-read", message
        if _unowned(decoder, group):
            yield "error", "stream-pending", f"group {group.name[:40]!r} has pending entries that nobody owns"


def _unowned(decoder: Decoder, group: Group) -> bool:
    """Return whether a group has pending entries without an owner although the type cannot have them."""
    entries = group.pending
    return isinstance(entries, PendingEntries) and bool(entries.unowned) and decoder.kind < spec.STREAM_LISTPACKS_5


def _counters(stream: Stream, live: int) -> Iterator[Problem]:
    if stream.length != live:
        message = f"length {stream.length}, but {live} entries: Redis 8.8, Valkey 9.1.2 and newer refuse it"
        yield "warning", "stream-length", message
    if not live <= stream.entries_added < 1 << 63:
        yield "warning", "stream-entries-added", f"{stream.entries_added} entries ever added, {live} there"


def _check_array(decoder: Decoder, again: Again) -> Iterator[Problem]:
    last = -1
    for batch in decoder.parts():
        decoder.count += len(batch)
        indexes = [last, *(index for index, _ in batch)]
        if any(map(int.__ge__, indexes, indexes[1:])):
            yield "warning", "unsorted", "array indexes do not ascend: of equal ones a server keeps the last"
        highest = max(indexes[1:], default=-1)
        if highest >= _LAST_INDEX:
            yield "error", "bad-array", f"array index {highest}"
        last = indexes[-1]


def _check_path_hash(decoder: Decoder, again: Again) -> Iterator[Problem]:
    """Paths may be in any order, and may be empty; of the fields of one path none may be there twice."""
    paths = UniqueNames()
    fields: UniqueNames | None = None
    for batch in decoder.parts():
        paths.add([path for path, _ in batch if path is not None])
        for path, pairs in batch:
            if path is not None:
                if fields is not None:
                    yield from fields.verdict("field", _fields_at(again, decoder.count))
                fields = UniqueNames()
                decoder.count += 1
            assert fields is not None
            fields.add(list(map(_FIRST, pairs)))
    if fields is None:
        yield "warning", "empty-key", "an empty value: development versions of Valkey 9.2 kept the key"
        return
    yield from fields.verdict("field", _fields_at(again, decoder.count))
    yield from paths.verdict("path", _paths(again))


def _check_bitmap(decoder: Decoder, again: Again) -> Iterator[Problem]:
    """Its reader finds all contradictions. It may be empty, and a server keeps it then."""
    for batch in decoder.parts():
        decoder.count += sum(last - first + 1 for first, last in batch)
    yield from ()


def _paths(again: Again) -> Callable[[], Iterator[Any]]:
    return lambda: (path for path, _ in chain.from_iterable(again().parts()) if path is not None)


def _fields_at(again: Again, number: int) -> Callable[[], Iterator[Any]]:
    """Return what reads the fields at one path once more; the first path has the number 1."""

    def read() -> Iterator[Any]:
        at = 0
        for path, pairs in chain.from_iterable(again().parts()):
            at += path is not None
            if at == number:
                yield from map(_FIRST, pairs)
            elif at > number:
                return

    return read


_CHECKS: dict[str, Callable[[Decoder, Again], Iterator[Problem]]] = {
    "set": _check_set,
    "zset": _check_zset,
    "hash": _check_hash,
    "stream": _check_stream,
    "array": _check_array,
    "path-hash": _check_path_hash,
    "bitmap": _check_bitmap,
}
