"""The report: one pass over any number of files into all folds, and merging of partial reports.

    files ─► Report.read ─► folds ─► Report.result
    partial ─► Report.load ──┘  └──► Report.dump ─► partial

In a partial (partial.py) bytes are written as one character per byte. Partials with the same options can be merged in
any order and give the result of reading all files at once; only the error bounds of prefixes and tags, if there were
too many for exact counts, depend on the order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Any, Protocol

from rdbkit.analysis import expiry
from rdbkit.analysis.backlen_compat import BacklenCompat
from rdbkit.analysis.biggest import Biggest
from rdbkit.analysis.files import FileSummary
from rdbkit.analysis.limit_advice import LimitAdvice
from rdbkit.analysis.notable import notes
from rdbkit.analysis.partial import Lines, write
from rdbkit.analysis.picture import Picture
from rdbkit.analysis.prefixes import REPORT_CAPACITY, SEPARATORS, Naming, Prefixes
from rdbkit.analysis.rows import Batch, allocated, file_name, kept, key_rows, label_bytes, label_text
from rdbkit.analysis.slots import Tags
from rdbkit.analysis.totals import Totals
from rdbkit.errors import Corrupt, Passed, RdbkitError
from rdbkit.memory.model import Model
from rdbkit.rdb import walker
from rdbkit.rdb.walker import Plan
from rdbkit.releases.target import Target
from rdbkit.snapshot.opening import open as open_snapshot
from rdbkit.snapshot.snapshot import Openable, Snapshot

#: Maximum rows of one fold in a partial.
_MOST_ROWS = 1 << 20
#: Maximum number of prefixes in a result.
_PREFIXES = 50


class _Ticks(Protocol):
    def update(self, done: int) -> None: ...


class Report:
    """All folds. `limit`: number of biggest keys kept per type; `heap` as for Snapshot.model."""

    def __init__(
        self,
        limit: int = 10,
        fold: bool = True,
        separators: Sequence[bytes] = SEPARATORS,
        depth: int | None = None,
        heap: bool = False,
    ) -> None:
        if limit < 0:
            raise ValueError("a negative limit")
        self.heap = heap
        self.files: list[FileSummary] = []
        self.unread: list[tuple[str, str]] = []
        """Files of which nothing could be read, and why; added by the caller that fails to open them."""
        self.prefixes = Prefixes(Naming(fold, separators, depth), REPORT_CAPACITY)
        self.biggest = Biggest(limit)
        self.expiry = expiry.expiry()
        self.idle = expiry.idle()
        self.freq = expiry.freq()
        self.tags = Tags()
        self.raising = LimitAdvice()
        self.widths = BacklenCompat()

    # -- reading -------------------------------------------------------------------------------------------------------

    def read(
        self,
        snapshot: Snapshot,
        *,
        filtered: bool = False,
        keep: Callable[[int | None], bool] | None = None,
        progress: Callable[[Snapshot], AbstractContextManager[_Ticks]] | None = None,
    ) -> FileSummary:
        """Read a snapshot from beginning to end into all folds; its memory must not have been requested before.

        `keep` returns, by its memory, whether a key counts; `filtered`: the selection excludes keys. At damage the data
        before it is kept, `error` of the file is set, and the error is raised.
        """
        file = FileSummary.of(snapshot)
        file.filtered = filtered or keep is not None
        self.files.append(file)
        try:
            with progress(snapshot) if progress else nullcontext() as ticks:
                # Independent of how it was opened: no body is kept, so none is too long.
                snapshot.select(replace(snapshot.walker.plan, level=walker.SHAPE, retain=False, watches=True))
                model = snapshot.model(self.heap)
                beside = model if self.heap else snapshot.model_beside()
                file.allocated = None if model.prices is None else 0
                for entries in snapshot.batches():
                    if ticks is not None:
                        ticks.update(snapshot.cursor.tell())
                    rows = key_rows(snapshot, entries, True)
                    if keep is not None:
                        entries, rows = kept(entries, rows, keep)
                    if file.allocated is not None:
                        file.allocated = _more(file.allocated, beside, snapshot, entries)
                    if rows:
                        self._feed(Batch(rows, entries), file, snapshot.target)
        except (RdbkitError, OSError) as error:
            file.stop(error)
            raise
        finally:
            file.finish(snapshot)
        return file

    def _feed(self, batch: Batch, file: FileSummary, target: Target) -> None:
        file.totals.feed(batch)
        self.prefixes.feed(batch)
        self.biggest.feed(batch, file.file)
        self.expiry.feed(batch, batch.expires_at, target.now or 0)
        self.idle.feed(batch, batch.idle)
        self.freq.feed(batch, batch.freq)
        self.tags.feed(batch)
        self.raising.feed(batch, target)
        self.widths.feed(batch, file.file)

    # -- merging -------------------------------------------------------------------------------------------------------

    def _simple(self) -> dict[str, Any]:
        """Return the folds that are loaded row by row."""
        folds = (self.biggest, self.expiry, self.idle, self.freq, self.raising, self.widths)
        return {fold.name: fold for fold in folds}

    def merge(self, other: Report) -> None:
        """Add another report with the same options."""
        self.files += other.files
        self.unread += other.unread
        self.prefixes.merge(other.prefixes)
        self.tags.merge(other.tags)
        theirs = other._simple()
        for name, fold in self._simple().items():
            fold.merge(theirs[name])

    def result(self) -> Picture:
        """Return the result for all files together; files are sorted by name."""
        totals = Totals()
        for file in self.files:
            totals.merge(file.totals)
        picture = Picture(
            self.heap,
            tuple(sorted(self.files, key=lambda file: (file.file, file.ctime or 0, file.size or 0))),
            tuple(sorted(self.unread)),
            totals.total(),
            totals.databases(),
            totals.types(),
            totals.encodings(),
            self.biggest.result(),
            self.prefixes.result(_PREFIXES),
            self.prefixes.is_exact,
            self.prefixes.absent,
            self.expiry.result(),
            self.idle.result(),
            self.freq.result(),
            self.tags.result(),
            self.raising.result(),
            self.widths.result(),
            [],
        )
        picture.notes.extend(notes(picture))
        return picture

    # -- partials ------------------------------------------------------------------------------------------------------

    @property
    def _options(self) -> dict[str, Any]:
        naming = self.prefixes.naming
        return {
            "fold": naming.fold,
            "separators": sorted(map(label_text, naming.separators)),
            "depth": naming.depth,
            "heap": self.heap,
        }

    def dump(self) -> Iterator[str]:
        """Yield the lines of a partial."""
        return write(self._options, self._rows())

    def _rows(self) -> Iterator[list[Any]]:
        for at, file in enumerate(self.files):
            yield ["file", file.dump()]
            yield from (["totals", at, *row] for row in file.totals.dump())
        yield from (["unread", *pair] for pair in self.unread)
        for name, fold in self._simple().items():
            yield from ([name, *row] for row in fold.dump())
        for name, several in (("prefixes", self.prefixes), ("tags", self.tags)):
            yield from ([name, *row] for row in several.dump())

    @classmethod
    def load(cls, lines: Iterable[bytes]) -> Report:
        """Return the report of a partial, given line by line.

        Raises Unsupported for another format or a newer version, Truncated if the end is missing, Corrupt for invalid
        rows.
        """
        source = Lines(lines)
        head = source.head()
        try:
            options = head["options"]
            report = cls._with(options)
            report._load(source)
        except RdbkitError:
            raise
        except (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError) as error:
            raise Corrupt(f"not a valid partial report: {error}", code="partial") from None
        return report

    @classmethod
    def _with(cls, options: dict[str, Any]) -> Report:
        """Return an empty report with the options of a partial; ValueError if they are invalid."""
        fold, heap, depth = options["fold"], options["heap"], options["depth"]
        separators = [label_bytes(text) for text in options["separators"]]
        if not isinstance(fold, bool) or not isinstance(heap, bool) or b"" in separators:
            raise ValueError("options of a partial")
        if depth is not None and (type(depth) is not int or depth < 1):
            raise ValueError("options of a partial")
        return cls(1 << 30, fold, separators, depth, heap)

    def _load(self, source: Lines) -> None:
        folds = self._simple()
        whole: dict[str, list[list[Any]]] = {"prefixes": [], "tags": []}
        for name, *row in source.rows():
            if name == "file":
                self.files.append(FileSummary.load(row[0]))
            elif name == "totals":
                self.files[row[0]].totals.load(row[1:])
            elif name == "unread":
                self.unread.append((file_name(row[0]), file_name(row[1])))
            elif name in whole:
                whole[name].append(row)
                if len(whole[name]) > _MOST_ROWS:
                    raise ValueError("too many rows")
            else:
                folds[name].load(row)
        self.prefixes.load_all(whole["prefixes"])
        self.tags.load_all(whole["tags"])

    def fits(self, other: Report) -> bool:
        """Return whether another report was made with the same options."""
        return self._options == other._options


def _more(known: int, beside: Model, snapshot: Snapshot, entries: list[walker.EntryTuple]) -> int | None:
    """Return what a server allocates in total for these keys; None if unknown."""
    try:
        return known + allocated(beside, snapshot, entries)
    except Passed:
        return None


def report(
    *what: Openable,
    target: Target | str | None = None,
    settings: dict[str, str] | None = None,
    allocator: str = "jemalloc",
    now: int | None = None,
    limit: int = 10,
    fold: bool = True,
    separators: Sequence[bytes] = SEPARATORS,
    depth: int | None = None,
    heap: bool = False,
    verify: bool = True,
    max_item: int = walker.MAX_ITEM,
) -> Picture:
    """Read files and return the report; options as for `rdbkit.open`.

    `limit` is the number of biggest keys per type; `fold`, `separators` and `depth` control the naming of prefixes
    (prefixes.Naming). `heap`: memory actually allocated, instead of MEMORY USAGE. Raises as `rdbkit.open`, and at the
    first damage; for the readable part of a damaged file, call Report.read, and Report.result after the error.
    """
    found = Report(limit, fold, separators, depth, heap)
    for one in what:
        plan = Plan(level=walker.SHAPE, max_item=max_item)
        with open_snapshot(
            one, target=target, settings=settings, allocator=allocator, now=now, plan=plan, verify=verify
        ) as snapshot:
            found.read(snapshot)
    return found.result()
