# cython: language_level=3, annotation_typing=False, boundscheck=False, wraparound=False
"""One row per key, and batches of them by column: the input of every fold.

    walker's tuples ─► key_rows ─► rows of KEY_COLUMNS ─► Batch ─► folds

A fold has `feed(batch)`, `merge(other)`, `result()`, and `dump()` and `load(row)` for its part of a serialised report.
All sums are integers, so any split of the keys, in any order, gives the same result.

The weight of a key is its memory or, if that is unknown (modules, targets before 4.0), its size in the file, so that
large keys of unknown memory still appear in rankings.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any, TypeVar

from rdbkit.format import spec
from rdbkit.format.shape import BESIDE, ELEMENTS, LENGTH, LOW, REPLAYED, TEXT
from rdbkit.memory.model import SHARED, Model
from rdbkit.rdb import walker
from rdbkit.releases.encodings import Encoding
from rdbkit.snapshot.snapshot import Snapshot

#: db key type encoding elements memory memory_sd size expires_at idle freq
KeyRow = tuple[Any, ...]
Label = TypeVar("Label", bound=Hashable)

_MEMORY = 5
_STRING, _ELEMENTS, _LENGTH, _TEXT, _LOW, _BESIDE = spec.STRING, ELEMENTS, LENGTH, TEXT, LOW, BESIDE
_SHARED = SHARED
#: Cache of results for strings: maximum length of key and value, and maximum number of results.
_SHORT, _KNOWN = 1 << 20, 1 << 15
_TYPE_NAMES = {row.id: row.type for row in spec.ROWS}


def key_rows(snapshot: Snapshot, batch: list[walker.EntryTuple], sized: bool = False) -> list[KeyRow]:
    """Turn the walker's tuples into rows of output.rows.KEY_COLUMNS.

    Snapshot.model must have been called before they were read. For a key whose value is too damaged for a shape,
    encoding, elements and memory are None. So is, after a replay, the size; `sized`: it is that of the key as an RDB
    would have it, uncompressed, for sums.
    """
    model = snapshot.model()
    encode = snapshot.encode
    out: list[KeyRow] = []
    for entry in batch:
        kind, key, due, shape = entry[3], entry[2], entry[4], entry[9]
        name, length = _TYPE_NAMES[kind], entry[8] if sized else _size(entry)
        if shape is None:
            out.append((entry[1], key, name, None, None, None, None, length, due, entry[5], entry[6]))
            continue
        encoding, value, deviation = _figure(model, encode, kind, shape, len(key), due is not None, entry[11])
        elements = shape[_ELEMENTS] if shape[_ELEMENTS] >= 0 else None
        out.append((entry[1], key, name, encoding, elements, value, deviation, length, due, entry[5], entry[6]))
    return out


def _size(entry: walker.EntryTuple) -> int | None:
    """Return the size in the file; None after a replay."""
    return None if entry[11] is not None and REPLAYED in entry[11] else entry[8]


def _figure(
    model: Model, encode: Encoding, kind: int, shape: Any, size: int, expires: bool, extra: Any
) -> tuple[str | None, int | None, int | None]:
    """Return encoding, memory and standard deviation of a key of `size` bytes.

    The memory of a string depends on a few small numbers, so results are cached.
    """
    code = -1
    if kind == _STRING and extra is None:
        length = shape[_LENGTH]
        known = model.known
        if length < _SHORT and size < _SHORT:
            code = (length << 20 | size) << 3 | (1 if expires else 0)
            if shape[_TEXT] < 0:
                code |= 6 if 0 <= shape[_LOW] < _SHARED else 2
            found: tuple[str | None, int | None, int | None] | None = known.get(code)
            if found is not None:
                return found
    replayed = extra.get(REPLAYED) if extra is not None else None
    encoding = None if replayed is None else replayed.encoding
    if encoding is None:
        encoding = encode(kind, shape, size, expires)
    figure = (encoding, *model.of(kind, shape, size, expires, encoding, extra))
    if code >= 0:
        if len(model.known) >= _KNOWN:
            model.known.clear()
        model.known[code] = figure
    return figure


def allocated(beside: Model, snapshot: Snapshot, batch: list[walker.EntryTuple]) -> int:
    """Return the known sum of what keys actually allocate; `beside` is Snapshot.model_beside.

    Raises Passed if a second pass is needed and not possible.
    """
    encode = snapshot.encode
    differs = snapshot.walker.beside is not None
    total = 0
    for entry in batch:
        shape, size, expires = entry[9], len(entry[2]), entry[4] is not None
        if shape is None:
            continue
        if len(shape) > _BESIDE:
            shape = shape[_BESIDE]
        elif differs and entry[3] != _STRING:
            shape = snapshot.shape_beside(entry)
        value = _figure(beside, encode, entry[3], shape, size, expires, entry[11])[1]
        if value is not None:
            total += value
    return total


def kept(
    entries: list[walker.EntryTuple], rows: list[KeyRow], keep: Callable[[int | None], bool]
) -> tuple[list[walker.EntryTuple], list[KeyRow]]:
    """Return the entries and rows of keys whose memory `keep` accepts."""
    both = [(entry, row) for entry, row in zip(entries, rows) if keep(row[_MEMORY])]
    return [entry for entry, _ in both], [row for _, row in both]


#: Upper limit of any sum in a valid partial.
_MOST = 1 << 120
#: Indexes in a list of sums: number of keys, known memory, size in the file, number of keys of unknown memory, and
#: the size of those.
KEYS, MEMORY, SIZE, UNKNOWN, UNKNOWN_SIZE = range(5)
SUMS = 5


class Batch:
    """Some keys, column by column; not empty. `entries` are the walker's tuples, for folds that look at shapes."""

    __slots__ = (
        "count", "db", "elements", "encoding", "entries", "expires_at", "freq", "idle", "key", "known", "memory",
        "memory_sd", "size", "type", "unsized", "weight",
    )  # fmt: skip

    def __init__(self, rows: Sequence[KeyRow], entries: Sequence[walker.EntryTuple] = ()) -> None:
        (
            self.db,
            self.key,
            self.type,
            self.encoding,
            self.elements,
            self.memory,
            self.memory_sd,
            self.size,
            self.expires_at,
            self.idle,
            self.freq,
        ) = zip(*rows)
        self.entries = entries
        self.count = len(rows)
        self.known: Sequence[int] = self.memory
        self.weight: Sequence[int] = self.memory
        self.unsized: Sequence[int] | None = None
        """Size for keys of unknown memory, else 0; None if all memory is known."""
        if None in self.memory:
            self.known = [memory or 0 for memory in self.memory]
            self.unsized = [size if memory is None else 0 for memory, size in zip(self.memory, self.size)]
            self.weight = [size if memory is None else memory for memory, size in zip(self.memory, self.size)]

    def total(self) -> list[int]:
        """Return the sums (KEYS …) of all keys."""
        unknown = self.memory.count(None) if self.unsized is not None else 0
        return [self.count, sum(self.known), sum(self.size), unknown, sum(self.unsized or ())]

    def sums(self, labels: Sequence[Label]) -> dict[Label, list[int]]:
        """Return the sums (KEYS …) of the keys under each label, one for each key."""
        if labels.count(labels[0]) == self.count:
            return {labels[0]: self.total()}
        found: dict[Label, list[int]] = {}
        get = found.get
        for label, memory, size in zip(labels, self.known, self.size):
            sums = get(label)
            if sums is None:
                found[label] = [1, memory, size, 0, 0]
            else:
                sums[0] += 1
                sums[1] += memory
                sums[2] += size
        if self.unsized is not None:
            for label, memory, size in zip(labels, self.memory, self.unsized):
                if memory is None:
                    found[label][UNKNOWN] += 1
                    found[label][UNKNOWN_SIZE] += size
        return found


def add(into: list[int], sums: Sequence[int]) -> None:
    """Add sums to sums."""
    for at, value in enumerate(sums):
        into[at] += value


def merged(into: dict[Label, list[int]], other: dict[Label, list[int]]) -> None:
    """Add sums by label to sums by label."""
    for label, sums in other.items():
        mine = into.get(label)
        if mine is None:
            into[label] = list(sums)
        else:
            add(mine, sums)


def weigh(sums: Sequence[int]) -> int:
    """Return the total weight: known memory, plus the size of keys of unknown memory."""
    return sums[MEMORY] + sums[UNKNOWN_SIZE]


def file_name(name: Any) -> str:
    """Return a serialised file name; ValueError for an invalid one."""
    if not isinstance(name, str):
        raise ValueError("not a file's name")
    # Names that are not UTF-8 have their bytes escaped; other lone surrogates are invalid.
    name.encode("utf-8", "surrogateescape")
    return name


def label_text(text: bytes) -> str:
    """Return bytes for a serialised report: one character per byte."""
    return text.decode("latin-1")


def label_bytes(text: Any) -> bytes:
    """Return the bytes of `label_text`; ValueError for anything else."""
    if not isinstance(text, str):
        raise ValueError("not a text")
    return text.encode("latin-1")


def numbers(values: Any, count: int) -> list[int]:
    """Return a serialised list of `count` non-negative integers; ValueError for anything else."""
    if not isinstance(values, list) or len(values) != count or any(type(value) is not int for value in values):
        raise ValueError("not a list of numbers")
    if min(values, default=0) < 0 or max(values, default=0) > _MOST:
        raise ValueError("a negative sum, or one that no files come to")
    return values
