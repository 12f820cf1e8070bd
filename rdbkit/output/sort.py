"""External sorting: more rows than fit in memory.

Rows are collected up to a budget, then sorted and written as a *run*: chunks of pickled rows in an unlinked temporary
file. Runs are organised in levels: when a level has FAN runs, they are merged into one run of the next level. So the
number of open files, and of rows in memory while merging, is bounded. A higher level has older rows, and merging
prefers the older of equal rows, so the sort is stable, also in reverse.

A key of None sorts last in either direction.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, islice
from sys import getsizeof, maxsize
from typing import Any

from rdbkit.wire.spool import LongItem

SortRow = tuple[Any, ...]
Key = Callable[[Any], Any]

MEMORY = 16 << 20
FAN = 32
_CHUNK, _CHUNK_BYTES = 64, 1 << 16  # rows per pickle, fewer if they are long; FAN chunks are in memory while merging
_TRIMMED = 4096  # minimum number of buffered rows before rows beyond the limit are dropped


def _none_last(key: Key | None, reverse: bool) -> Key | None:
    """Return a sort key with None last in either direction; without a key, whole rows are compared."""
    if key is None:
        return None
    by = key

    def placed(row: Any) -> tuple[bool, Any]:
        value = by(row)
        return (value is None) != reverse, value

    return placed


class _Run:
    """Sorted rows in an unnamed temporary file."""

    def __init__(self, rows: Iterable[SortRow]) -> None:
        # Imported here, because it slows the start and most runs do not need it.
        import pickle
        from tempfile import TemporaryFile

        self._file = TemporaryFile()  # noqa: SIM115 - lives as long as the run
        self._load: Callable[[], list[SortRow]] = lambda: pickle.load(self._file)
        self._long: list[LongItem] = []
        """LongItems, which are in temporary files already; rows refer to them."""
        for chunk in chunks(rows):
            pickler = pickle.Pickler(self._file, pickle.HIGHEST_PROTOCOL)
            pickler.dispatch_table = {LongItem: self._keep}
            pickler.dump(chunk)

    def _keep(self, item: LongItem) -> Any:
        self._long.append(item)
        return item.__reduce__()

    def __iter__(self) -> Iterator[SortRow]:
        # The file has one position, so only one iterator can read a run at a time; each starts at the beginning.
        self._file.seek(0)
        while True:
            try:
                chunk = self._load()
            except EOFError:
                return
            yield from chunk

    def close(self) -> None:
        self._file.close()


def chunks(rows: Iterable[SortRow], most: int = _CHUNK, most_bytes: int = _CHUNK_BYTES) -> Iterator[list[SortRow]]:
    """Yield rows in lists of up to `most` rows, fewer if they are long."""
    chunk: list[SortRow] = []
    used = 0
    for row in rows:
        chunk.append(row)
        used += sum(map(getsizeof, row))
        if len(chunk) >= most or used >= most_bytes:
            yield chunk
            chunk, used = [], 0
    if chunk:
        yield chunk


class Sorter:
    """Sorts rows in about `memory` bytes; with a `limit`, keeps only the first rows.

    `key` returns the sort key (None last), or is None to compare whole rows. Rows must be picklable tuples. Iterate
    once or more after the last `add`; `close` (or the end of a `with`) frees the temporary space. Raises OSError if
    there is no temporary space.
    """

    def __init__(
        self, key: Key | None = None, reverse: bool = False, memory: int = MEMORY, limit: int | None = None
    ) -> None:
        self._key = _none_last(key, reverse)
        self._reverse = reverse
        self._memory = memory
        self._limit = None if limit is None else min(limit, maxsize)
        self._most = None if limit is None else max(2 * limit, _TRIMMED)
        self._last: Any = None
        """The sort key of the last row within `limit`, once there are that many."""
        self._rows: list[SortRow] = []
        self._used = 0
        self._levels: list[list[_Run]] = []

    def __enter__(self) -> Sorter:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def add(self, row: SortRow) -> None:
        """Add one row."""
        self.add_batch((row,))

    def add_batch(self, rows: Sequence[SortRow]) -> None:
        """Add several rows; the budget is checked once for all of them."""
        if self._last is not None and self._key is not None:
            key, last = self._key, self._last
            before = last.__lt__ if self._reverse else last.__gt__
            rows = [row for row in rows if before(key(row))]
        self._rows += rows
        self._used += _size(rows)
        if self._most is not None and len(self._rows) >= self._most:
            self._trim()
        if self._used > self._memory:
            self._spill()

    def __iter__(self) -> Iterator[SortRow]:
        self._rows.sort(key=self._key, reverse=self._reverse)
        if not self._levels:
            return islice(self._rows, self._limit)
        return islice(self._merge([*chain.from_iterable(reversed(self._levels)), self._rows]), self._limit)

    def _trim(self) -> None:
        """Drop rows that cannot be within the limit; rows equal to the last one within it came later."""
        self._rows.sort(key=self._key, reverse=self._reverse)
        del self._rows[self._limit :]
        self._used = _size(self._rows)
        if self._key is not None and self._rows:
            self._last = self._key(self._rows[-1])

    def close(self) -> None:
        """Free the rows and the temporary files."""
        for run in chain.from_iterable(self._levels):
            run.close()
        self._levels.clear()
        self._rows.clear()
        self._used = 0

    def _merge(self, runs: Sequence[Iterable[SortRow]]) -> Iterator[SortRow]:
        return heapq.merge(*runs, key=self._key, reverse=self._reverse)

    def _spill(self) -> None:
        self._rows.sort(key=self._key, reverse=self._reverse)
        run = _Run(islice(self._rows, self._limit))
        self._rows.clear()
        self._used = 0
        self._keep(run, 0)

    def _keep(self, run: _Run, level: int) -> None:
        if level == len(self._levels):
            self._levels.append([])
        runs = self._levels[level]
        runs.append(run)
        if len(runs) == FAN:
            merged = _Run(islice(self._merge(runs), self._limit))
            for old in runs:
                old.close()
            runs.clear()
            self._keep(merged, level + 1)


def _size(rows: Sequence[SortRow]) -> int:
    return sum(map(getsizeof, chain.from_iterable(rows))) + sum(map(getsizeof, rows))


def ordered(
    batches: Iterable[Sequence[SortRow]], key: Key, reverse: bool = False, limit: int | None = None
) -> Iterator[SortRow]:
    """Yield the first `limit` rows of all batches in order (None: all of them)."""
    with Sorter(key, reverse, limit=limit) as sorter:
        for batch in batches:
            sorter.add_batch(batch)
        yield from sorter
