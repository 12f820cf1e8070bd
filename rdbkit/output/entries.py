"""From a snapshot to the export writers: small values are decoded whole, in batches of rows; others part by part.

Nothing of a value is written before all of it was checked: a small value is decoded whole, a longer one is read twice,
first with the checks of `check` (Entry.errors). So damage inside a value never leaves half a row: the value is skipped,
the snapshot counts and records what is wrong (Snapshot.problems), and the next value is written. A value with
duplicates, such as a member twice, is written as it is, and also counted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import Any, NamedTuple

from rdbkit.checks.duplicates import KeyNames
from rdbkit.entry import Entry
from rdbkit.errors import Corrupt, LimitExceeded, RdbkitError
from rdbkit.format import spec
from rdbkit.output.export import ExportWriter
from rdbkit.output.values import Expiries, Pairs, ValueWriter, stream_rest
from rdbkit.rdb import walker
from rdbkit.rdb.streams import Stream
from rdbkit.rdb.value_checks import Watch, doubtful, left_over
from rdbkit.rdb.values import Decoder, assembled
from rdbkit.snapshot.snapshot import Snapshot
from rdbkit.wire import lzf
from rdbkit.wire.spool import Spool

#: Values up to this many bytes are decoded whole; longer ones are processed part by part.
_WHOLE = 1 << 19
#: Lower bound for the length of a body that was not kept.
_LONGER = 1 << 20
#: Maximum such bytes, and rows, that are held before they are written.
_HELD, _ROWS = 1 << 20, 256
#: First byte of a length: from here on it has a second byte; from here on it has more, or is not a length.
_TWO_BYTES, _LONG = 0x40, 0x80
#: Hashes whose field names are elsewhere in the file.
_TEMPLATED = (spec.HASH_TMPL_LP_REF, spec.HASH_TMPL_ARRAY_REF)
_STRING = spec.STRING
#: Bytes that the runs of a bitmap may take in memory, for each of its own: four runs of two numbers.
_PER_BIT = 512

Admits = Callable[[Entry], bool]


class Examined(NamedTuple):
    """A value that was checked to be readable.

    `parts` are all its parts, and `found` its value and its fields' expiries as values.assembled gives them; both are
    None for a long value, whose parts come from `decoder`. `wrong` holds the codes of its non-fatal problems.
    """

    entry: Entry
    decoder: Decoder
    parts: list[Any] | None
    found: tuple[Any, Any] | None
    wrong: set[str]

    @property
    def twice(self) -> bool:
        """Whether a name is there twice, so that a JSON object cannot hold the value."""
        return not self.wrong.isdisjoint(("duplicate-field", "duplicate-path"))


class ValueReader:
    """Iterates over the keys of snapshots and passes readable values to `string` and `value` of a subclass.

    `count` is the number of keys passed on, `left_out` the number of unreadable values, `marked` the number of keys
    passed on although their value has a problem. Problems are recorded in the snapshot.
    """

    #: How a value with a problem is written, for messages.
    manner = "as stored"
    #: Whether short raw strings are passed to `string`, and whether values are assembled for `value`.
    takes_strings = True
    assembles = True

    def __init__(self) -> None:
        self.count = 0
        self.left_out = 0
        self.marked = 0
        self.not_unique = ""
        """Why the last snapshot was not checked for duplicate keys; empty if it was."""
        self.weight = 0
        """Approximate size in bytes of the parts of the current value."""

    def read(
        self, snapshot: Snapshot, admits: Admits | None = None, advance: Callable[[int], object] | None = None
    ) -> None:
        """Read a snapshot to its end; `admits` returns whether a key is wanted.

        Raises at damage that hides the rest, after everything before it was passed on. Duplicate keys are recorded at
        the end, or at that damage.
        """
        failure: RdbkitError | None = None
        with KeyNames() as names:
            try:
                for batch in snapshot.batches():
                    if advance is not None:
                        advance(snapshot.cursor.tell())
                    names.add(batch)
                    self.begin(snapshot)
                    self._batch(snapshot, batch, admits)
            except RdbkitError as error:
                failure = error
            finally:
                self.flush()
            self.not_unique = _note_duplicates(names, snapshot)
        if failure is not None:
            raise failure

    def begin(self, snapshot: Snapshot) -> None:
        """Process what the snapshot read before the keys of a batch."""

    def _batch(self, snapshot: Snapshot, batch: list[walker.EntryTuple], admits: Admits | None) -> None:
        quick = self.takes_strings and admits is None
        for row in batch:
            body = row[10]
            if quick and body is not None and row[3] == _STRING and body[0] < _LONG and row[11] is None:
                # A raw string of less than 16 KiB is a length of one or two bytes, then the text.
                self.count += 1
                self.string(row[1], row[2], row[4], body[1:] if body[0] < _TWO_BYTES else body[2:])
                continue
            entry = snapshot.enter(row)
            if admits is None or admits(entry):
                self.entry(entry)

    def entry(self, entry: Entry) -> None:
        """Pass one entry on, or record why its value is skipped. Raises at damage that hides the rest."""
        entry.settle()
        try:
            self._examine(entry)
        except RdbkitError as error:
            error.locate(entry.db, entry.key)
            self.left_out += 1
            entry.note(error)
            if isinstance(error, LimitExceeded):
                entry.snapshot.note(error, of_entry=False)
            if entry.snapshot.stopped:
                raise

    def _examine(self, entry: Entry) -> None:
        body = entry.body
        size = _LONGER if body is None else len(body)
        packs = body is not None and b"\xc3" in body and size * lzf.RATIO > _WHOLE
        if packs or (body is not None and entry.type_id in _TEMPLATED):
            # Its strings may be compressed, or elsewhere in the file.
            size = max(size, entry.unpacked())
            if entry.type_id != spec.BITMAP and size <= _WHOLE and self.piecewise(entry):
                self.count += 1
                return
        if entry.type_id == spec.BITMAP:
            size *= _PER_BIT
        if body is None or size > _WHOLE:
            self._give(entry, lambda: entry.decoder(Spool()), None, None, entry.errors())
            return
        self.weight = size
        decoder = entry.decoder()
        batches = decoder.parts()
        parts = next(batches, [])
        for batch in batches:
            parts += batch
        found = assembled(decoder, parts) if self.assembles else None
        doubt = doubtful(decoder, parts, found and found[0]) or left_over(decoder, entry.end)
        self._give(entry, lambda: decoder, parts, found, entry.errors() if doubt else [])

    def _give(
        self,
        entry: Entry,
        decoder: Callable[[], Decoder],
        parts: list[Any] | None,
        found: tuple[Any, Any] | None,
        wrong: list[RdbkitError],
    ) -> None:
        if wrong:
            self._mark(entry, wrong)
        self.count += 1
        self.value(Examined(entry, decoder(), parts, found, {error.code for error in wrong}))

    def piecewise(self, entry: Entry) -> bool:
        """Write a value of medium size while it is decoded, revocably; return False if it was not written."""
        return False

    def _mark(self, entry: Entry, wrong: list[RdbkitError]) -> None:
        entry.note(wrong[0])
        for error in wrong[1:]:
            entry.snapshot.note(error, of_entry=False)
        if entry.snapshot.stopped:
            raise wrong[0]
        self.marked += 1

    def string(self, db: int, key: bytes, expires_at: int | None, text: bytes) -> None:
        """Handle a key that is a short raw string."""
        raise NotImplementedError

    def value(self, one: Examined) -> None:
        """Handle any other key."""
        raise NotImplementedError

    def flush(self) -> None:
        """Write the buffered rows."""


class Exporter(ValueReader):
    """Writes entries to an export writer."""

    def __init__(self, writer: ExportWriter) -> None:
        super().__init__()
        self.writer = writer
        self._rows: list[Any] = []
        self._held = 0

    def run(self, entries: Iterable[Entry]) -> None:
        """Write entries; entries before an error are written too."""
        try:
            for entry in entries:
                self.entry(entry)
        finally:
            self.flush()

    def flush(self) -> None:
        """Write the buffered rows."""
        rows, self._rows, self._held = self._rows, [], 0
        if rows:
            self.writer.rows(rows)

    def string(self, db: int, key: bytes, expires_at: int | None, text: bytes) -> None:
        """Write a key that is a short raw string."""
        self._add((db, key, "string", expires_at, text, None), len(text))

    def value(self, one: Examined) -> None:
        """Write any other key."""
        entry, decoder, parts, found, wrong = one
        if found is None or parts is None:
            self.flush()
            cell = self.writer.head(entry.db, entry.key, entry.type, entry.expires_at)
            expiries = write_value(cell, decoder, twice=one.twice)
            self.writer.tail(expiries)
            return
        text, due = found
        members = entry.members()
        if one.twice:
            text = Pairs(parts)
            due = Pairs((name, at) for name, _, at in parts if at is not None) if decoder.type == "hash" else {}
        elif "duplicate-member" in wrong and decoder.type == "set":
            text = parts
        if members:
            due = {**due, **members}
        self._add((entry.db, entry.key, entry.type, entry.expires_at, text, due), self.weight)

    def piecewise(self, entry: Entry) -> bool:
        """Write a value of medium size, unless it has a problem; one batch of its parts is held at a time."""
        decoder = entry.decoder()
        watch = Watch(decoder)
        held: list[str] = []
        expiries = write_value(self.writer.value(held.append), decoder, watch.parts())
        if watch.doubtful or left_over(decoder, entry.end) or entry.members():
            if expiries is not None:
                expiries.close()
            return False
        self.flush()
        self.writer.head(entry.db, entry.key, entry.type, entry.expires_at)
        self.writer.text("".join(held))
        self.writer.tail(expiries)
        return True

    def _add(self, row: Any, weight: int) -> None:
        self._rows.append(row)
        self._held += weight
        if self._held > _HELD or len(self._rows) >= _ROWS:
            self.flush()


def _note_duplicates(names: KeyNames, snapshot: Snapshot) -> str:
    """Record duplicate keys; return why they could not be determined, or ""."""
    unknown = ""
    for finding in names.findings(snapshot):
        if finding.severity == "error":
            error = Corrupt(finding.message, offset=finding.offset, code=finding.code, db=finding.db, key=finding.key)
            snapshot.note(error, of_entry=False)
        else:
            unknown = finding.message
    return unknown


def write_value(
    cell: ValueWriter, decoder: Decoder, parts: Iterator[list[Any]] | None = None, twice: bool = False
) -> Expiries | None:
    """Write the value that a decoder reads; return the expiries of a hash's fields, None if there are none.

    `twice`: the hash has a duplicate field, or the path hash a duplicate.
    """
    cell.spool = decoder.spool
    batches = decoder.parts() if parts is None else parts
    if decoder.type == "string":
        cell.string(chain.from_iterable(batches))
    elif decoder.type == "module":
        # A module's name is known once its parts are being read.
        first = next(batches, [])
        cell.module(*decoder.module, chain(first, chain.from_iterable(batches)))
    elif decoder.type == "stream":
        cell.stream(batches, lambda: stream_rest(decoder.tail or Stream()))
    elif decoder.type == "hash":
        return cell.hash(batches, twice)
    elif decoder.type == "path-hash":
        cell.path_hash(batches, twice)
    elif decoder.type == "bitmap":
        # Its length is known once its runs are being read.
        runs = next(batches, [])
        cell.bitmap(decoder.size, chain([runs], batches))
    else:
        getattr(cell, decoder.type)(batches)
    return None
