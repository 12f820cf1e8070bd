"""The interface of entries for a rewrite, and grouping of items into commands."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Protocol

from rdbkit.rdb.values import Decoder
from rdbkit.wire.spool import Spool

#: Items per command: AOF_REWRITE_ITEMS_PER_CMD of the servers.
ITEMS = 64


class RewriteEntry(Protocol):
    """The required interface of an entry, as in snapshot.Entry."""

    @property
    def db(self) -> int: ...  # noqa: D102
    @property
    def key(self) -> bytes: ...  # noqa: D102
    @property
    def type(self) -> str: ...  # noqa: D102
    @property
    def type_id(self) -> int: ...  # noqa: D102
    @property
    def expires_at(self) -> int | None: ...  # noqa: D102
    @property
    def body(self) -> bytes | None:
        """The body's bytes, if they are in memory."""

    def decoder(self, spool: Spool | None = None, /) -> Decoder:
        """Return a reader of the body; raises Passed if it cannot be read (again)."""

    def copy_to(self, out: Any, /) -> int:
        """Write the body's bytes to `out`; raises Passed as above."""

    @property
    def meta(self) -> tuple[int, ...]:
        """Class specs of the key's metadata."""

    def members(self) -> dict[bytes, int]:
        """Return the expiries of individual members (KeyDB)."""


def chunks(batches: Iterable[list[Any]], size: int) -> Iterator[list[Any]]:
    """Yield the items of all batches, `size` at a time; the last may be fewer."""
    held: list[Any] = []
    for batch in batches:
        held += batch
        full = len(held) - len(held) % size
        for at in range(0, full, size):
            yield held[at : at + size]
        del held[:full]
    if held:
        yield held
