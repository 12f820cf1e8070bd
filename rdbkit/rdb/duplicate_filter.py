"""Finds duplicates among hundreds of millions of names, in bounded memory and without missing any.

For each name a 64-bit fingerprint is kept. Python's own hash of bytes is used: SipHash with a key that is random for
each process, so that no file can be built to cause collisions; names too long for memory have digests with such a key.
Fingerprints are collected in small sorted runs and distributed by their highest bits to shares; above `BUDGET` the
shares are written to temporary files. At the end each share is searched separately. Equal fingerprints are only
candidates: the caller confirms them by reading again.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from itertools import pairwise, repeat
from typing import BinaryIO, Self

from rdbkit.wire.spool import Item

#: Bytes of fingerprints held in memory before shares are written to disk.
BUDGET = 1 << 24
_SHARES = 256
_RUN = 1 << 16
#: The first fingerprint of each share, as a signed 64-bit number.
_BOUNDS = [(share << 56) - (1 << 63) for share in range(1, _SHARES)]
#: The most candidates returned: a file with more consists of copies, which the first ones show.
_MOST = 1 << 14


def fingerprint(name: Item, salt: int = 0) -> int:
    """Return 64 bits, signed, that depend on the name, the salt and this process."""
    return hash((name, salt)) if salt else hash(name)


def _twice(fingerprints: Sequence[int]) -> set[int]:
    """Return what occurs more than once. For few a set is fastest; many are sorted, to save memory."""
    if len(fingerprints) <= _RUN and len(set(fingerprints)) == len(fingerprints):
        return set()
    return {a for a, b in pairwise(sorted(fingerprints)) if a == b}


class DuplicateFilter:
    """Collects fingerprints of names. Use as a context manager: it may hold temporary files.

    Raises OSError if the temporary directory cannot hold them.
    """

    def __init__(self, budget: int = BUDGET) -> None:
        self._budget = budget
        self._run = array("q")
        self._shares: list[array[int]] = []
        self._files: list[BinaryIO] = []
        self._stack = ExitStack()
        self._held = 0
        self._spilled = 0

    def add(self, names: Iterable[Item], salt: int = 0) -> None:
        """Add names; the same name with another salt is another name."""
        if salt:
            self._run.extend(map(hash, zip(names, repeat(salt))))
        else:
            self._run.extend(map(hash, names))
        if len(self._run) >= _RUN:
            self._deal()

    def _deal(self) -> None:
        run = array("q", sorted(self._run))
        self._run = array("q")
        self._shares = self._shares or [array("q") for _ in range(_SHARES)]
        start = 0
        for share, bound in zip(self._shares, [*_BOUNDS, None]):
            end = len(run) if bound is None else bisect_left(run, bound, start)
            share.extend(run[start:end])
            start = end
        self._held += 8 * len(run)
        if self._held > self._budget:
            self._spill()

    def _spill(self) -> None:
        if not self._files:
            self._files = [self._temporary() for _ in range(_SHARES // 16)]
        for number, share in enumerate(self._shares):
            # Sixteen shares in a file keep the number of open files low; each run is stored with its share and length.
            out = self._files[number >> 4]
            out.write(array("q", [number, len(share)]).tobytes())
            out.write(share.tobytes())
        self._shares = []
        self._held = 0
        self._spilled += 1

    def _temporary(self) -> BinaryIO:
        # Imported here, because few runs need it, and an import at the top would slow the start of all.
        import tempfile

        return self._stack.enter_context(tempfile.TemporaryFile())

    def candidates(self) -> set[int]:
        """Return the fingerprints that occurred more than once (the first 16,384 of them)."""
        if not self._shares and not self._spilled and 8 * len(self._run) <= self._budget:
            return _twice(self._run)
        self._deal()
        found: set[int] = set()
        for number, share in enumerate(self._shares or [array("q")] * _SHARES):
            found |= _twice([*self._stored(number), *share])
            if len(found) > _MOST:
                break
        return found

    def _stored(self, wanted: int) -> Iterable[int]:
        if not self._spilled:
            return
        file = self._files[wanted >> 4]
        file.seek(0)
        while head := array("q", file.read(16)):
            number, length = head
            if number == wanted:
                yield from array("q", file.read(8 * length))
            else:
                file.seek(8 * length, 1)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()
