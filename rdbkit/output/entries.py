"""From a snapshot to the export writers: small values decoded whole, in batches of rows; the others part by part.

Nothing is written of a value before all of it was seen to be readable: a small one is decoded whole, and a longer one
is read twice, the first time by what `check` asks of it (Entry.errors). So damage inside a value never leaves half a
row: the value is left out, the snapshot counts and remembers what is wrong (Snapshot.problems), and the next one is
written. A value that has more in it than a value can, such as a member twice, is written as it is, and counted too.
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

#: A value that comes to so many bytes is decoded whole; a longer one passes part by part.
_WHOLE = 1 << 19
#: What a body that was not kept is longer than.
_LONGER = 1 << 20
#: Bytes of that kind, and rows, whose decoded values are held before they are written.
_HELD, _ROWS = 1 << 20, 256
#: First bytes of lengths: from which on they have a second byte, and from which on more, or are none.
_TWO_BYTES, _LONG = 0x40, 0x80
#: Hashes whose field names stand elsewhere in the file.
_TEMPLATED = (spec.HASH_TMPL_LP_REF, spec.HASH_TMPL_ARRAY_REF)
_STRING = spec.STRING

Admits = Callable[[Entry], bool]


class Examined(NamedTuple):
    """A value that was seen to be readable.

    `parts` are all its parts, and `found` its value and its fields' expiries as values.assembled gives them; both are
    None for a long one, whose parts `decoder` gives. `wrong` holds the codes of what is wrong with it all the same.
    """

    entry: Entry
    decoder: Decoder
    parts: list[Any] | None
    found: tuple[Any, Any] | None
    wrong: set[str]


class ValueReader:
    """Goes over the keys of snapshots, and gives what is sound to `string` and `value`, for a subclass to write.

    `count` is how many keys were given, `left_out` how many values could not be read, `marked` how many keys were given
    although something is wrong with their value. What is wrong is noted in the snapshot.
    """

    #: How a value is written although something is wrong with it, for messages.
    manner = "with all that is in the file"
    #: Whether short raw strings are given to `string`, and whether values are put together for `value`.
    takes_strings = True
    assembles = True

    def __init__(self) -> None:
        self.count = 0
        self.left_out = 0
        self.marked = 0
        self.not_unique = ""
        """Why the last snapshot's keys were not looked at for being there twice; empty: they were."""
        self.weight = 0
        """About how many bytes the parts of the current value come to."""

    def read(
        self, snapshot: Snapshot, admits: Admits | None = None, advance: Callable[[int], object] | None = None
    ) -> None:
        """Read a snapshot to its end; `admits` says whether a key is wanted.

        Raises at damage that hides what follows, after everything before it was given. Keys that are there twice are
        noted at the end, or there.
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
        """Take what the snapshot knows before the keys of a batch."""

    def _batch(self, snapshot: Snapshot, batch: list[walker.EntryTuple], admits: Admits | None) -> None:
        quick = self.takes_strings and admits is None
        for row in batch:
            body = row[10]
            if quick and body is not None and row[3] == _STRING and body[0] < _LONG and row[11] is None:
                # A raw string of less than 16 KiB is its length, in one byte or two, and itself; the walk measured it.
                self.count += 1
                self.string(row[1], row[2], row[4], body[1:] if body[0] < _TWO_BYTES else body[2:])
                continue
            entry = snapshot.enter(row)
            if admits is None or admits(entry):
                self.entry(entry)

    def entry(self, entry: Entry) -> None:
        """Give one entry, or note why its value is left out. Raises at damage that hides what follows."""
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
            # Strings in it may be packed, or elsewhere.
            size = max(size, entry.unpacked())
            if size <= _WHOLE and self.piecewise(entry):
                self.count += 1
                return
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
        """Write a value of medium size as it is decoded, so that it can be taken back; False: it was not written."""
        return False

    def _mark(self, entry: Entry, wrong: list[RdbkitError]) -> None:
        entry.note(wrong[0])
        for error in wrong[1:]:
            entry.snapshot.note(error, of_entry=False)
        if entry.snapshot.stopped:
            raise wrong[0]
        self.marked += 1

    def string(self, db: int, key: bytes, expires_at: int | None, text: bytes) -> None:
        """Take a key that is a short raw string."""
        raise NotImplementedError

    def value(self, one: Examined) -> None:
        """Take any other key."""
        raise NotImplementedError

    def flush(self) -> None:
        """Write what waits."""


class Exporter(ValueReader):
    """Writes entries to an export writer."""

    def __init__(self, writer: ExportWriter) -> None:
        super().__init__()
        self.writer = writer
        self._rows: list[Any] = []
        self._held = 0

    def run(self, entries: Iterable[Entry]) -> None:
        """Write entries; what came before an error is written."""
        try:
            for entry in entries:
                self.entry(entry)
        finally:
            self.flush()

    def flush(self) -> None:
        """Write the rows that wait."""
        rows, self._rows, self._held = self._rows, [], 0
        if rows:
            self.writer.rows(rows)

    def string(self, db: int, key: bytes, expires_at: int | None, text: bytes) -> None:
        """Write a key that is a short raw string."""
        self._add((db, key, "string", expires_at, text, None), len(text))

    def value(self, one: Examined) -> None:
        """Write any other key."""
        entry, decoder, parts, found, wrong = one
        twice = "duplicate-field" in wrong
        if found is None or parts is None:
            self.flush()
            cell = self.writer.head(entry.db, entry.key, entry.type, entry.expires_at)
            expiries = write_value(cell, decoder, twice=twice)
            self.writer.tail(expiries)
            return
        text, due = found
        members = entry.members()
        if twice:
            text, due = Pairs(parts), Pairs((name, at) for name, _, at in parts if at is not None)
        elif "duplicate-member" in wrong and decoder.type == "set":
            text = parts
        if members:
            due = {**due, **members}
        self._add((entry.db, entry.key, entry.type, entry.expires_at, text, due), self.weight)

    def piecewise(self, entry: Entry) -> bool:
        """Write a value of medium size, unless something is wrong with it; one batch of its parts is held at a time."""
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
    """Note the keys that are there twice; return why that is not known, or ""."""
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
    """Write what a decoder reads; return the expiries of a hash's fields, None if there are none.

    `twice`: a field of the hash is there twice.
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
    else:
        getattr(cell, decoder.type)(batches)
    return None
