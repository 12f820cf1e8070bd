"""An RDB as a snapshot, read entry by entry; and the RDB at the start of an AOF."""

from rdbkit.snapshot.opening import load_dump, open  # noqa: A004
from rdbkit.snapshot.snapshot import Snapshot

__all__ = ["Snapshot", "load_dump", "open"]
