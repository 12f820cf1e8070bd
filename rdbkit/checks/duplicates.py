"""Find duplicate keys in bounded memory; candidates are confirmed by reading the file again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Self

from rdbkit.checks.findings import Finding, counted
from rdbkit.errors import Passed, RdbkitError
from rdbkit.rdb import walker
from rdbkit.rdb.duplicate_filter import DuplicateFilter, fingerprint
from rdbkit.snapshot.snapshot import Snapshot


class KeyNames:
    """Collects the keys of one snapshot; use it as a context manager, because it may use temporary files."""

    def __init__(self) -> None:
        self._unique = DuplicateFilter()
        self._failure: OSError | None = None

    def add(self, batch: list[walker.EntryTuple]) -> None:
        """Add the keys of a batch."""
        if self._failure is not None or not batch:
            return
        try:
            db = batch[0][walker.DB]
            if db == batch[-1][walker.DB]:
                # Databases are in sequence; returning to one within a batch is rare.
                names = [row[walker.KEY] for row in batch if row[walker.DB] == db]
                self._unique.add(names, db)
                if len(names) == len(batch):
                    return
                batch = [row for row in batch if row[walker.DB] != db]
            for db in {row[walker.DB] for row in batch}:
                self._unique.add([row[walker.KEY] for row in batch if row[walker.DB] == db], db)
        except OSError as error:
            # No temporary space: reported at the end.
            self._failure = error

    def findings(self, snapshot: Snapshot) -> Iterator[Finding]:
        """Yield each repeated key; equal fingerprints are confirmed by reading the file again."""
        try:
            suspects: set[int] = set() if self._failure else self._unique.candidates()
        except OSError as error:
            self._failure = error
        if self._failure is not None:
            yield Finding("warning", "not-unique", f"uniqueness of keys not checked: {self._failure.strerror}")
            return
        if not suspects:
            return
        now = snapshot.target.now
        seen: dict[tuple[int, bytes], int] = {}
        living: set[tuple[int, bytes]] = set()
        try:
            for row in _again(snapshot):
                db, key, due = row[walker.DB], row[walker.KEY], row[walker.EXPIRES_AT]
                if fingerprint(key, db) not in suspects:
                    continue
                lives = due is None or now is None or due >= now or snapshot.is_head
                if (db, key) in seen:
                    message = f"duplicate key, first at offset {seen[db, key]}"
                    if lives and (db, key) in living:
                        found = Finding("error", "duplicate-key", f"{message}: servers refuse the file")
                    else:
                        message += (
                            ", and one of the two has expired: a master drops that one, a replica refuses the file"
                        )
                        found = Finding("warning", "duplicate-key", message)
                    yield replace(found, offset=row[walker.OFFSET], db=db, key=key)
                seen[db, key] = row[walker.OFFSET]
                if lives:
                    living.add((db, key))
        except Passed:
            number = counted(len(suspects), "duplicate key")
            message = f"{number}, according to 64-bit fingerprints (a pipe cannot be read again)"
            yield Finding("error", "duplicate-key", message)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._unique.__exit__(*exception)


def _again(snapshot: Snapshot) -> Iterator[walker.EntryTuple]:
    """Read the file again, as far as it was read, for the keys that the plan selects."""
    source = snapshot.source.reopen(snapshot.source.start)
    plan = replace(snapshot.walker.plan, level=walker.HEAD, retain=False, watches=False)
    with Snapshot(source, plan=plan, verify=False) as again:
        try:
            for batch in again.batches():
                yield from batch
        except RdbkitError:
            # Already reported in the first pass.
            return
