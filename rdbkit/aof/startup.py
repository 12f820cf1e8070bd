"""What a server does at start with a file that holds nothing.

Sources: recorded starts of Redis 6.2.14, 7.0.15 and 8.2.3, and of Valkey 9.0.0, 9.1.0 and 9.1.2. That redis-check-aof
refuses an empty file up to 6.2 is another matter.
"""

from __future__ import annotations

from rdbkit.target import Target


def starts_empty(name: str, target: Target | None) -> bool:
    """Return whether a given server starts with a single empty file of this name: an AOF.

    No byte says whether the file was to be an RDB, with which no server starts: so here, alone, the name counts.
    """
    return target is not None and target.origin == "given" and name.lower().endswith(".aof")
