"""What a server does at start with a file that holds nothing.

Sources: a recorded start of Redis 7.0.15.
"""

from __future__ import annotations

from rdbkit.target import Target


def starts_empty(name: str, target: Target | None) -> bool:
    """Return whether a server starts with a single empty file of this name: an AOF, for a given Redis 7.0 or Valkey.

    No byte says whether the file was to be an RDB, with which no server starts: so here, alone, the name counts.
    """
    if target is None or target.origin != "given" or not name.lower().endswith(".aof"):
        return False
    return target.product == "valkey" or target.version >= (7, 0, 0)
