"""Write a snapshot as commands; each value is checked completely before any of its commands is written."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rdbkit.aof.rewrite import Rewriter
from rdbkit.entry import Entry
from rdbkit.output.entries import Examined, ValueReader
from rdbkit.rdb.values import Decoder
from rdbkit.snapshot.snapshot import Snapshot
from rdbkit.wire.spool import Spool


class CommandExporter(ValueReader):
    """Writes entries as the commands that recreate them (aof.rewrite)."""

    manner = "as commands; a server keeps the last of duplicate members or fields"
    assembles = False

    def __init__(self, write: Callable[[bytes], object], snapshot: Snapshot, *, restore: bool, modules: bool) -> None:
        super().__init__()
        self.rewriter = Rewriter(write, snapshot.target, restore=restore, modules=modules)
        self.takes_strings = not restore
        self._functions = 0

    def begin(self, snapshot: Snapshot) -> None:
        """Write the function libraries read since the last batch."""
        for source in snapshot.functions[self._functions :]:
            self.rewriter.function(source)
        self._functions = len(snapshot.functions)

    def string(self, db: int, key: bytes, expires_at: int | None, text: bytes) -> None:
        """Write a key that is a short raw string."""
        self.rewriter.short_string(db, key, expires_at, text)

    def value(self, one: Examined) -> None:
        """Write any other key."""
        if one.parts is None:
            # A long value is read again, with the rewriter's own spool.
            self.rewriter.entry(one.entry)
            return
        one.decoder.prime(one.parts)
        self.rewriter.entry(_Primed(one.entry, one.decoder))


class _Primed:
    """An entry whose first decoder already exists."""

    def __init__(self, entry: Entry, decoder: Decoder) -> None:
        self._entry = entry
        self._decoder: Decoder | None = decoder

    def __getattr__(self, name: str) -> Any:
        return getattr(self._entry, name)

    def decoder(self, spool: Spool | None = None) -> Decoder:
        """Return a reader of the body."""
        first, self._decoder = self._decoder, None
        return first or self._entry.decoder(spool)
