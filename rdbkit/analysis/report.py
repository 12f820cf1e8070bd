"""The whole picture: one pass over any number of files, all folds fed with it, and partial reports put together.

    files ─► Report.read ─► folds ─► Report.result
    partial ─► Report.load ──┘  └──► Report.dump ─► partial

A partial is JSON Lines: a head with the options, then rows [name of the fold, …] as the fold dumps them, files among
them, and last ["end", number of rows before]. Bytes stand in it as one character per byte. Partials with the same
options can be merged, in any order, with the result of reading all files at once; except that sums of prefixes and
tags, once there were too many to be counted exactly, have intervals that depend on the order.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any, Protocol

from rdbkit.analysis import expiry
from rdbkit.analysis.biggest import Big, Biggest
from rdbkit.analysis.expiry import Bucket
from rdbkit.analysis.prefixes import REPORT_CAPACITY, SEPARATORS, Naming, Prefix, Prefixes
from rdbkit.analysis.raising import Raise, Raising
from rdbkit.analysis.rows import Batch, key_rows, label_bytes, label_text
from rdbkit.analysis.slots import Tag, Tags
from rdbkit.analysis.totals import Total, Totals
from rdbkit.errors import Corrupt, RdbkitError, Truncated, Unsupported
from rdbkit.rdb import walker
from rdbkit.rdb.walker import Plan
from rdbkit.snapshot import Openable, Snapshot
from rdbkit.snapshot import open as open_snapshot
from rdbkit.target import Target

_FORMAT = "rdbkit partial report"
_VERSION = 1
#: Bytes of one line of a partial, and rows of one fold in it.
_LONGEST_LINE, _MOST_ROWS = 1 << 20, 1 << 20
#: Of all prefixes, what a result holds.
_PREFIXES = 50
#: Shares of the weight from which on something is notable.
_BIG_KEY, _BIG_TAG, _MUCH_FOREVER, _WORTH_SAVING = 0.10, 0.05, 0.5, 0.01
#: And the share of keys, where nobody can tell what would be saved.
_WORTH_RAISING = 0.001


@dataclass(slots=True)
class File:
    """One file: what it is, and its totals.

    `used_mem` is what the server said it used when it wrote the file, in bytes; `ctime` and `now` are ms since epoch,
    `now` what expiries are measured from. `error` is what stopped the reading: then everything is of the part before.
    """

    file: str
    product: str
    version: int
    producer: str | None
    target: str
    target_origin: str
    now: int | None
    now_origin: str
    size: int | None
    ctime: int | None = None
    used_mem: int | None = None
    checksum: str = "not reached"
    functions: int = 0
    filtered: bool = False
    error: str | None = None
    totals: Totals = field(default_factory=Totals)

    @property
    def total(self) -> Total:
        """Return the sums over its keys."""
        return self.totals.total()


@dataclass(frozen=True, slots=True)
class Note:
    """Something notable: a stable `code`, and a sentence's facts by name."""

    code: str
    facts: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Picture:
    """What a report says. Lists are ranked, heaviest first; `prefixes` ends in the rest, which has no name.

    `unread` are files of which nothing could be read, with the reason; `complete` is False if there are any, or if a
    file could not be read to its end. `prefixes_exact` tells whether every sum of prefixes is
    exact, `absent` how much at most a prefix that is not listed has (Prefix.error).
    """

    files: tuple[File, ...]
    unread: tuple[tuple[str, str], ...]
    total: Total
    databases: dict[int, Total]
    types: dict[str, Total]
    encodings: dict[tuple[str, str | None], Total]
    biggest: dict[str, list[Big]]
    prefixes: list[Prefix]
    prefixes_exact: bool
    absent: tuple[int, ...]
    expiry: list[Bucket]
    idle: list[Bucket]
    freq: list[Bucket]
    tags: list[Tag]
    raising: list[Raise]
    notes: list[Note]

    @property
    def complete(self) -> bool:
        """Tell whether every file was read to its end."""
        return not self.unread and not any(file.error for file in self.files)


class _Ticks(Protocol):
    def update(self, done: int) -> None: ...


class Report:
    """All folds. `limit` is how many of the biggest keys are kept per type; `naming` as for prefixes."""

    def __init__(
        self, limit: int = 10, fold: bool = True, separators: Sequence[bytes] = SEPARATORS, depth: int | None = None
    ) -> None:
        self.files: list[File] = []
        self.unread: list[tuple[str, str]] = []
        """Files of which nothing could be read, and why: whoever opens them in vain says it here."""
        self.prefixes = Prefixes(Naming(fold, separators, depth), REPORT_CAPACITY)
        self.biggest = Biggest(limit)
        self.expiry = expiry.expiry()
        self.idle = expiry.idle()
        self.freq = expiry.freq()
        self.tags = Tags()
        self.raising = Raising()

    # -- reading -------------------------------------------------------------------------------------------------------

    def read(
        self,
        snapshot: Snapshot,
        *,
        filtered: bool = False,
        progress: Callable[[Snapshot], AbstractContextManager[_Ticks]] | None = None,
    ) -> File:
        """Read a snapshot from its beginning to its end, into all folds.

        At damage what came before is kept, `error` of the file is set, and the error raised.
        """
        file = _file(snapshot)
        file.filtered = filtered
        self.files.append(file)
        try:
            with progress(snapshot) if progress else nullcontext() as ticks:
                for entries in snapshot.batches():
                    if ticks is not None:
                        ticks.update(snapshot.cursor.tell())
                    if entries:
                        self._feed(snapshot, file, entries)
        except (RdbkitError, OSError) as error:
            file.error = reason(error)
            raise
        finally:
            _finish(file, snapshot)
        return file

    def _feed(self, snapshot: Snapshot, file: File, entries: list[walker.Entry]) -> None:
        batch = Batch(key_rows(snapshot, entries), entries)
        file.totals.feed(batch)
        self.prefixes.feed(batch)
        self.biggest.feed(batch, file.file)
        self.expiry.feed(batch, batch.expires_at, snapshot.target.now or 0)
        self.idle.feed(batch, batch.idle)
        self.freq.feed(batch, batch.freq)
        self.tags.feed(batch)
        self.raising.feed(batch, snapshot.target)

    # -- putting together ----------------------------------------------------------------------------------------------

    def _simple(self) -> dict[str, Any]:
        """Return the folds that load row by row."""
        return {fold.name: fold for fold in (self.biggest, self.expiry, self.idle, self.freq, self.raising)}

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
        """Return what all files together come to; files stand in the order of their names."""
        totals = Totals()
        for file in self.files:
            totals.merge(file.totals)
        picture = Picture(
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
            [],
        )
        picture.notes.extend(_notes(picture))
        return picture

    # -- partials ------------------------------------------------------------------------------------------------------

    @property
    def _options(self) -> dict[str, Any]:
        naming = self.prefixes.naming
        return {
            "fold": naming.fold,
            "separators": sorted(map(label_text, naming.separators)),
            "depth": naming.depth,
        }

    def dump(self) -> Iterator[str]:
        """Yield the lines of a partial."""
        yield _line({"format": _FORMAT, "version": _VERSION, "options": self._options})
        count = 0
        for count, row in enumerate(self._rows(), 1):  # noqa: B007  the last number counts
            yield _line(row)
        yield _line(["end", count])

    def _rows(self) -> Iterator[list[Any]]:
        for at, file in enumerate(self.files):
            facts = {name: getattr(file, name) for name in _FACTS}
            yield ["file", facts]
            yield from (["totals", at, *row] for row in file.totals.dump())
        yield from (["unread", *pair] for pair in self.unread)
        for name, fold in self._simple().items():
            yield from ([name, *row] for row in fold.dump())
        for name, several in (("prefixes", self.prefixes), ("tags", self.tags)):
            yield from ([name, *row] for row in several.dump())

    @classmethod
    def load(cls, lines: Iterable[bytes]) -> Report:
        """Return the report of a partial, given line by line.

        Raises Unsupported for anything else or a newer version, Truncated where the end is missing, Corrupt where rows
        contradict what they should be.
        """
        source = _Lines(lines)
        head = source.head()
        try:
            options = head["options"]
            separators = [label_bytes(text) for text in options["separators"]]
            report = cls(1 << 30, bool(options["fold"]), separators, options["depth"])
            report._load(source)
        except RdbkitError:
            raise
        except (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError) as error:
            raise Corrupt(f"not what rdbkit writes in a partial report: {error}", code="partial") from None
        return report

    def _load(self, source: _Lines) -> None:
        folds = self._simple()
        whole: dict[str, list[list[Any]]] = {"prefixes": [], "tags": []}
        for name, *row in source.rows():
            if name == "file":
                self.files.append(_loaded(row[0]))
            elif name == "totals":
                self.files[row[0]].totals.load(row[1:])
            elif name == "unread":
                self.unread.append((_text(row[0]), _text(row[1])))
            elif name in whole:
                whole[name].append(row)
                if len(whole[name]) > _MOST_ROWS:
                    raise ValueError("too many rows")
            else:
                folds[name].load(row)
        self.prefixes.load_all(whole["prefixes"])
        self.tags.load_all(whole["tags"])

    def fits(self, other: Report) -> bool:
        """Tell whether another report was made with the same options."""
        return self._options == other._options


class _Lines:
    """The lines of a partial, as JSON."""

    def __init__(self, lines: Iterable[bytes]) -> None:
        self._lines = iter(lines)
        self._offset = 0

    def head(self) -> dict[str, Any]:
        line = next(self._lines, b"")
        try:
            head = self._parsed(line)
        except Corrupt:
            head = None
        if not isinstance(head, dict) or head.get("format") != _FORMAT:
            raise Unsupported("not a partial report of rdbkit", offset=0, code="not-partial")
        if head.get("version") != _VERSION:
            raise Unsupported(f"a partial report of version {head.get('version')!r}", offset=0, code="not-partial")
        return head

    def rows(self) -> Iterator[list[Any]]:
        for count, line in enumerate(self._lines):
            row = self._parsed(line)
            if not isinstance(row, list) or not row or not isinstance(row[0], str):
                raise ValueError("not a row")
            if row[0] == "end":
                if row[1:] != [count]:
                    raise ValueError("rows are missing")
                return
            yield row
        raise Truncated("the end of a partial report is missing", offset=self._offset)

    def _parsed(self, line: bytes) -> Any:
        self._offset += len(line)
        if len(line) > _LONGEST_LINE:
            raise Corrupt("a line of a partial report is too long", offset=self._offset, code="partial")
        if not line.endswith(b"\n"):
            raise Truncated("the last line of a partial report is not whole", offset=self._offset)
        try:
            return json.loads(line)
        except (ValueError, RecursionError):
            raise Corrupt("not JSON, which a partial report is made of", offset=self._offset, code="partial") from None


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("not a text")
    return value


def _line(value: Any) -> str:
    return json.dumps(value, separators=(",", ":")) + "\n"


# -- a file ------------------------------------------------------------------------------------------------------------

#: What a partial holds of a file besides its totals, and of which types.
_FACTS: dict[str, Any] = {
    "file": str,
    "product": str,
    "version": int,
    "producer": str | None,
    "target": str,
    "target_origin": str,
    "now": int | None,
    "now_origin": str,
    "size": int | None,
    "ctime": int | None,
    "used_mem": int | None,
    "checksum": str,
    "functions": int,
    "filtered": bool,
    "error": str | None,
}


def _file(snapshot: Snapshot) -> File:
    target: Target = snapshot.target
    return File(
        snapshot.name,
        snapshot.product,
        snapshot.version,
        snapshot.producer,
        str(target),
        target.origin,
        target.now,
        snapshot.now_origin,
        snapshot.source.file_size,
    )


def reason(error: RdbkitError | OSError) -> str:
    """Return what stopped the reading, and where."""
    if isinstance(error, OSError):
        return error.strerror or str(error)
    return error.message + ("" if error.offset is None else f" (offset {error.offset})")


def _finish(file: File, snapshot: Snapshot) -> None:
    """Add what is known only behind the last key: the aux fields may stand anywhere."""
    file.ctime = snapshot.ctime
    text = snapshot.aux.get("used-mem", b"")
    file.used_mem = int(text) if text.isdigit() and len(text) < 19 else None
    file.checksum = snapshot.checksum
    file.functions = len(snapshot.functions)


def _loaded(facts: Any) -> File:
    if not isinstance(facts, dict) or facts.keys() != _FACTS.keys():
        raise ValueError("not a file")
    for name, kind in _FACTS.items():
        if not isinstance(facts[name], kind) or (isinstance(facts[name], bool) and kind is not bool):
            raise ValueError(f"{name} of a file")
    return File(**facts)


# -- what is notable ---------------------------------------------------------------------------------------------------


def _notes(picture: Picture) -> Iterator[Note]:
    total = picture.total
    weight = total.weight
    yield from _big_keys(picture, weight)
    if total.keys and total.no_expiry / total.keys >= _MUCH_FOREVER:
        forever = next(bucket for bucket in picture.expiry if bucket.name == "none")
        yield Note("no-expiry", {"keys": forever.keys, "of": total.keys, **_weighed(forever.weight, weight)})
    expired = next((bucket for bucket in picture.expiry if bucket.name == "expired"), None)
    if expired and expired.keys:
        yield Note("expired", {"keys": expired.keys, **_weighed(expired.weight, weight)})
    for tag in picture.tags:
        if weight and tag.weight / weight >= _BIG_TAG:
            facts = {"tag": tag.tag, "slot": tag.slot, "keys": tag.keys}
            yield Note("hash-tag", {**facts, **_weighed(tag.weight, weight)})
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


# -- for programs ------------------------------------------------------------------------------------------------------


def report(
    *what: Openable,
    target: Target | str | None = None,
    settings: dict[str, str] | None = None,
    allocator: str = "jemalloc",
    now: int | None = None,
    limit: int = 10,
    fold: bool = True,
    separators: Sequence[bytes] = SEPARATORS,
    verify: bool = True,
) -> Picture:
    """Read files and return the whole picture; options as for `rdbkit.open`.

    `limit` is how many of the biggest keys there are per type. Raises as `rdbkit.open`, and at the first damage: for
    what can be read of a damaged file, call Report.read, and Report.result after the error.
    """
    found = Report(limit, fold, separators)
    for one in what:
        plan = Plan(level=walker.SHAPE)
        with open_snapshot(
            one, target=target, settings=settings, allocator=allocator, now=now, plan=plan, verify=verify
        ) as snapshot:
            found.read(snapshot)
    return found.result()
