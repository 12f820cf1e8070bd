"""What a rewrite works with: the entry it is given, and items by the command's worth."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Protocol

from rdbkit.rdb.values import Decoder
from rdbkit.wire.spool import Spool

#: Items of a command: AOF_REWRITE_ITEMS_PER_CMD of the servers.
ITEMS = 64


class RewriteEntry(Protocol):
    """What is asked of an entry; snapshot.Entry has it."""

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
        """The body's bytes, where they are at hand."""

    def decoder(self, spool: Spool | None = None, /) -> Decoder:
        """Return a reader of the body; Passed where it cannot be read (again)."""

    def copy_to(self, out: Any, /) -> int:
        """Write the body's bytes to `out`; Passed as above."""

    @property
    def meta(self) -> tuple[int, ...]:
        """Class specs of the key's metadata."""

    def members(self) -> dict[bytes, int]:
        """Return the expiries of single members (KeyDB)."""


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
