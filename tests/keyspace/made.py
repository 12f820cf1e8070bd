"""An AOF in memory, and the keys that it leads to."""

from __future__ import annotations

from typing import Any

import rdbkit
from rdbkit.aof.writer import command


def aof(*commands: tuple[Any, ...] | str) -> bytes:
    """Commands as tuples of bytes, str or int, or as one text with blanks between the words."""
    return b"".join(command(*_words(words)) for words in commands)


def _words(words: tuple[Any, ...] | str) -> list[bytes]:
    parts = words.split(" ") if isinstance(words, str) else words
    return [part if isinstance(part, bytes) else str(part).encode() for part in parts]


def replayed(*commands: tuple[Any, ...] | str, target: str = "redis:8.10.2", **options: Any) -> dict[bytes, Any]:
    """The keys of database 0 after the commands."""
    with rdbkit.open(aof(("SELECT", 0), *commands), target=target, **options) as snapshot:
        return {entry.key: Found(entry) for entry in snapshot if entry.db == 0}


class Found:
    """What is known of a key."""

    def __init__(self, entry: Any) -> None:
        self.type = entry.type
        self.value = entry.value
        self.due = dict(entry.field_expires_at or {})
        self.expires_at = entry.expires_at
        self.encoding = entry.encoding
        self.memory = entry.memory
