"""What a rewrite works with: the entry it is given, the commands that its target knows, items by the command's worth.

Source of the table: files that eleven servers rewrote.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Protocol

from rdbkit.rdb.values import Decoder
from rdbkit.target import Target
from rdbkit.wire.spool import Spool

#: Items of a command: AOF_REWRITE_ITEMS_PER_CMD of the servers.
ITEMS = 64

Since = tuple[int, int] | None
_ALWAYS = (0, 0)
#: The first Redis and the first Valkey whose rewrite uses this command, argument or form.
_SINCE: dict[str, tuple[Since, Since]] = {
    "PEXPIREAT": ((2, 6), _ALWAYS),
    "RESTORE": ((2, 6), _ALWAYS),
    "many items": ((2, 6), _ALWAYS),
    "XADD": ((5, 0), _ALWAYS),
    "CREATECONSUMER": ((6, 2), _ALWAYS),
    "FUNCTION": ((7, 0), _ALWAYS),
    "ENTRIESADDED": ((7, 0), _ALWAYS),
    "short scores": ((7, 2), _ALWAYS),
    "HPEXPIREAT": ((7, 4), None),
    "HSETEX": (None, (9, 0)),
    "XIDMPRECORD": ((8, 6), None),
    "XNACK": ((8, 8), None),
    "ARMSET": ((8, 8), None),
    "templates": ((8, 10), None),
}


def known(target: Target) -> frozenset[str]:
    """Return which of the forms the target has."""
    product = ("redis", "valkey").index(target.product)
    first = {name: since[product] for name, since in _SINCE.items()}
    return frozenset(name for name, since in first.items() if since is not None and target.version >= since)


class Entry(Protocol):
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
