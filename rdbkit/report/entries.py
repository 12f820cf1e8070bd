"""From entries to the export writers: the small ones decoded whole, in batches of rows; the others part by part."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any

from rdbkit.entry import Entry
from rdbkit.rdb import spec
from rdbkit.rdb.streams import Stream
from rdbkit.rdb.values import Decoder, value
from rdbkit.report.export import ExportWriter
from rdbkit.report.values import Expiries, ValueWriter, stream_rest
from rdbkit.wire import lzf
from rdbkit.wire.spool import Spool

#: A body that may come to so many bytes is decoded whole; a longer one passes part by part.
_WHOLE = 1 << 19
#: Bytes of that kind, and rows, whose decoded values are held before they are written.
_HELD, _ROWS = 1 << 20, 256
#: First bytes of lengths: from which on they have a second byte, and from which on more, or are none.
_TWO_BYTES, _LONG = 0x40, 0x80
#: Hashes whose field names stand elsewhere in the file.
_TEMPLATED = (spec.HASH_TMPL_LP_REF, spec.HASH_TMPL_ARRAY_REF)


class Exporter:
    """Writes entries to an export writer."""

    def __init__(self, writer: ExportWriter) -> None:
        self.writer = writer
        self.count = 0
        self._rows: list[Any] = []
        self._held = 0

    def run(self, entries: Iterable[Entry]) -> None:
        """Write entries; what came before an error is written."""
        try:
            for entry in entries:
                self._entry(entry)
        finally:
            self._flush()

    def _flush(self) -> None:
        rows, self._rows, self._held = self._rows, [], 0
        if rows:
            self.writer.rows(rows)

    def _entry(self, entry: Entry) -> None:
        body = entry.body
        self.count += 1
        if body is not None and entry.type_id == spec.STRING and body[0] < _LONG:
            # A raw string of less than 16 KiB is its length, in one byte or two, and itself; the walk has measured it.
            text = body[1:] if body[0] < _TWO_BYTES else body[2:]
            self._add((entry.db, entry.key, "string", entry.expires_at, text, {}), len(text))
            return
        weight = 0 if body is None else _unpacked(body)
        if body is None or weight > _WHOLE or (entry.type_id in _TEMPLATED and entry.names_are_long):
            self._flush()
            self._parts(entry)
            return
        with entry.located():
            found, due = value(entry.decoder())
        members = entry.members()
        row = (entry.db, entry.key, entry.type, entry.expires_at, found, {**due, **members} if members else due)
        self._add(row, weight + (sum(map(len, found)) if entry.type_id in _TEMPLATED else 0))

    def _add(self, row: Any, weight: int) -> None:
        self._rows.append(row)
        self._held += weight
        if self._held > _HELD or len(self._rows) >= _ROWS:
            self._flush()

    def _parts(self, entry: Entry) -> None:
        with entry.located():
            decoder = entry.decoder(Spool())
            # The first batch may already tell that the value cannot be read: then no row was begun.
            batches = decoder.parts()
            first = next(batches, [])
            cell = self.writer.head(entry.db, entry.key, entry.type, entry.expires_at)
            expiries = write_value(cell, decoder, chain([first], batches))
            self.writer.tail(expiries)


def _unpacked(body: bytes) -> int:
    """Return the most bytes that a body may come to: where there is an LZF string, there may be nothing else."""
    return len(body) * lzf.RATIO if b"\xc3" in body else len(body)


def write_value(cell: ValueWriter, decoder: Decoder, parts: Iterator[list[Any]] | None = None) -> Expiries | None:
    """Write what a decoder reads; return the expiries of a hash's fields, None if there are none."""
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
        return cell.hash(batches)
    else:
        getattr(cell, decoder.type)(batches)
    return None
