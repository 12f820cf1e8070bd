"""From entries to the export writers: the small ones decoded whole, in batches of rows; the others part by part."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any

from rdbkit.entry import Entry
from rdbkit.rdb.streams import Stream
from rdbkit.rdb.values import Decoder, value
from rdbkit.report.export import ExportWriter
from rdbkit.report.values import Expiries, ValueWriter, stream_rest

#: A body up to this size is decoded whole; a longer one passes part by part.
_WHOLE = 1 << 16
#: Bytes of bodies, and rows, whose decoded values are held before they are written.
_HELD, _ROWS = 1 << 17, 256


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
        if body is None or len(body) > _WHOLE:
            self._flush()
            self._parts(entry)
            return
        with entry.located():
            found, due = value(entry.decoder())
        members = entry.members()
        self._rows.append(
            (entry.db, entry.key, entry.type, entry.expires_at, found, {**due, **members} if members else due)
        )
        self._held += len(body)
        if self._held > _HELD or len(self._rows) >= _ROWS:
            self._flush()

    def _parts(self, entry: Entry) -> None:
        with entry.located():
            decoder = entry.decoder()
            # The first batch may already tell that the value cannot be read: then no row was begun.
            batches = decoder.parts()
            first = next(batches, [])
            cell = self.writer.head(entry.db, entry.key, entry.type, entry.expires_at)
            expiries = write_value(cell, decoder, chain([first], batches))
            self.writer.tail(expiries)


def write_value(cell: ValueWriter, decoder: Decoder, parts: Iterator[list[Any]] | None = None) -> Expiries | None:
    """Write what a decoder reads; return the expiries of a hash's fields, None if there are none."""
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
