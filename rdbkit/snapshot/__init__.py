"""An RDB as a snapshot: opened, and gone through entry by entry; and what an AOF begins with."""

from rdbkit.snapshot.opening import load_dump, open  # noqa: A004
from rdbkit.snapshot.snapshot import Snapshot

__all__ = ["Snapshot", "load_dump", "open"]
