"""The state after a replay as a snapshot: its keys are read as those of any RDB, from a temporary one."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Iterator
from typing import Any

from rdbkit.errors import RdbkitError
from rdbkit.format.shape import REPLAYED
from rdbkit.keyspace import entries
from rdbkit.keyspace.values import Uncertain
from rdbkit.memory.price_tables import PriceTables
from rdbkit.rdb import walker
from rdbkit.rdb.memory_walk import MemoryWalker
from rdbkit.rdb.walker import Plan
from rdbkit.snapshot.replay import Replayed as Replay
from rdbkit.snapshot.snapshot import Snapshot
from rdbkit.source import open_source
from rdbkit.wire.cursor import Cursor

#: Bytes of a state that are held in memory; of a larger one, they are in a temporary file.
_HELD = 1 << 24


class ReplayedSnapshot(Snapshot):
    """The state to which the commands of an AOF lead. Entries have no `size`; `offset` is that of the last write.

    `uncertain` are the keys that are left out, as (database, key, command that is not replayed), `doubts` the databases
    in which a script may have written any key; both as far as the plan selects them. `replay` is what was met on the
    way. Iteration raises at the end what ended the reading of the commands; `pending` is that error.
    """

    def __init__(self, found: Replay, name: str, **options: Any) -> None:
        loader = found.loader
        self.replay = found
        uncertain = [
            (number, key, value.command)
            for number, db in sorted(loader.databases.items())
            for key, value in db.items()
            if isinstance(value, Uncertain)
        ]
        doubts = [(number, db.doubt) for number, db in sorted(loader.databases.items()) if db.doubt]
        spool = _Spool()
        self._known = entries.write(loader, spool.write)
        source = open_source(spool.content())
        source.name = name
        options["target"] = loader.target
        options["now"] = loader.now
        options["verify"] = False
        super().__init__(source, **options)
        self.kind = "aof"
        self.now_origin = found.now_origin
        self._unknown = uncertain, doubts
        self._leave_out(self.walker.plan)
        about = found.preamble
        self.version = about.get("version", self.version)
        self.aux = dict(about.get("aux", {}))

    def select(self, plan: Plan) -> None:
        """Use another plan; call it before the first entry is read."""
        super().select(plan)
        self._leave_out(plan)

    def _leave_out(self, plan: Plan) -> None:
        """Note which keys and databases are not known, of those that the plan selects."""
        uncertain, doubts = self._unknown
        pattern = plan.pattern or (lambda _: True)
        self.uncertain = [one for one in uncertain if (plan.dbs is None or one[0] in plan.dbs) and pattern(one[1])]
        self.doubts = [one for one in doubts if plan.dbs is None or one[0] in plan.dbs]

    @property
    def replayed_commands(self) -> int | None:
        """How many commands were replayed."""
        return self.replay.commands

    @property
    def pending(self) -> RdbkitError | None:
        """What ended the reading of the commands; None if they were read to their end."""
        return self.replay.error

    @property
    def file_size(self) -> int | None:
        """Bytes of the files that were replayed, as stored; None if that is not known."""
        return self.replay.size

    def note(self, error: RdbkitError, *, of_entry: bool = True) -> None:
        """Count damage of a value; its offset becomes that of the key's last write."""
        if error.offset is not None and error not in self.problems:
            error.offset = self._known.around(error.offset)
        super().note(error, of_entry=of_entry)

    @property
    def checksum(self) -> str:
        """That of the RDB at the beginning of the AOF; "none" if there is none."""
        return str(self.replay.preamble.get("checksum", "none"))

    @property
    def product(self) -> str:
        """The product of that RDB, else the target's."""
        return str(self.replay.preamble.get("product", self.target.product))

    @property
    def producer(self) -> str | None:
        """Text of the version of the server that wrote that RDB."""
        found: str | None = self.replay.preamble.get("producer")
        return found

    def batches(self) -> Iterator[list[walker.EntryTuple]]:
        """Yield entries as the walker's tuples; what the replay knows of them is in `extra`."""
        for batch in super().batches():
            yield [self._with(row) for row in batch]
        if self.replay.error is not None:
            self._failure = self.replay.error
            raise self.replay.error

    def _look_ahead(self) -> None:
        """Look only for the users of templates: the strings here are raw whatever the server's rdbcompression is."""
        self._count_template_users()

    def _memory_walker(self, cursor: Cursor, prices: PriceTables) -> MemoryWalker:
        body = super()._memory_walker(cursor, prices)
        body.looks = False
        return body

    def _with(self, row: walker.EntryTuple) -> walker.EntryTuple:
        extra = row[walker.EXTRA] or {}
        return (*row[: walker.EXTRA], {**extra, REPLAYED: self._known.at(row[walker.OFFSET])})


class _Spool:
    """Bytes that are held in memory, or, if there are many, in a temporary file."""

    def __init__(self) -> None:
        self._file: Any = io.BytesIO()
        self._on_disk = False

    def write(self, data: bytes) -> None:
        self._file.write(data)
        if not self._on_disk and self._file.tell() > _HELD:
            held, self._file = self._file, tempfile.TemporaryFile()  # noqa: SIM115  the source closes it
            self._file.write(held.getbuffer())
            self._on_disk = True

    def content(self) -> Any:
        """Return the bytes, or the file at its beginning."""
        if not self._on_disk:
            return self._file.getvalue()
        self._file.flush()
        self._file.seek(0)
        return self._file
