"""Byte strings that are too long for memory: a member, field, value, name or list element of hundreds of megabytes.

A decoder with a `Spool` copies each byte string longer than LONG, piece by piece, into an unnamed temporary file and
returns a LongItem in its place; shorter ones stay `bytes`. This depends on the length only, not on how much of the item
is in a window, so items with equal content always have the same class.

The spool's level determines what is kept of an item:

    MEASURED  its length: the bytes are skipped                    walks that only count and measure
    SUMMED    its length and a digest, for comparison              uniqueness, in `check`
    KEPT      all of that, and its bytes in temporary space        everything that writes or orders items

Several items share a file, up to a size; the file is deleted with the last item in it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import zip_longest
from typing import Any, Final, Protocol
from weakref import WeakValueDictionary

#: Longer byte strings are not held in memory if the reader has a spool.
LONG: Final = 1 << 19
MEASURED, SUMMED, KEPT = range(3)
#: Bytes of an item that stay in memory, for messages.
HEAD: Final = 1024
#: Bytes read of an item at a time.
PIECE: Final = 1 << 16
#: No further items are added to a file of this size or more.
_FULL = 1 << 26
#: Random for each process, as for Python's own hashes of bytes, so that no file can be built to cause collisions.
_KEY = os.urandom(16)


class SpoolError(OSError):
    """No temporary space is left for an item."""


class LongItem:
    """A byte string that is not held in memory. Has `len`, `pieces`, comparisons (with bytes, too) and a hash.

    What is available depends on the level of the spool that made it: content and order need KEPT, a hash SUMMED. A
    slice is one of its first HEAD bytes, which messages show.
    """

    __slots__ = ("__weakref__", "_at", "_digest", "_file", "_size", "head")

    def __init__(self, size: int, head: bytes, digest: bytes | None, file: _File | None, at: int) -> None:
        self._size = size
        self.head = head
        self._digest = digest
        self._file = file
        self._at = at

    def __len__(self) -> int:
        return self._size

    def __repr__(self) -> str:
        return f"<{self._size} bytes that start with {self.head[:40]!r}>"

    def __getitem__(self, part: slice) -> bytes:
        return self.head[part]

    def __bytes__(self) -> bytes:
        content: bytes = b"".join(self.pieces())
        return content

    def __reduce__(self) -> Any:
        """Pickle as a reference, for as long as the item lives and within this process."""
        _PICKLED[id(self)] = self
        return _recall, (id(self),)

    def pieces(self, size: int = PIECE) -> Iterator[bytes]:
        """Yield the content in pieces of `size` bytes, the last one shorter."""
        if self._file is None:
            raise ValueError("the content of this item was not kept")
        at, end = self._at, self._at + self._size
        while at < end:
            piece = self._file.read(at, min(size, end - at))
            at += len(piece)
            yield piece

    @property
    def digest(self) -> bytes:
        """Sixteen bytes that depend on the content and on this process; b"" for MEASURED items."""
        if self._digest is None:
            self._digest = b"" if self._file is None else self._summed()
        return self._digest

    def __hash__(self) -> int:
        return int.from_bytes(self.digest[:8], "little", signed=True)

    def _summed(self) -> bytes:
        running = _digest()
        for piece in self.pieces():
            running.update(piece)
        digest: bytes = running.digest()
        return digest

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if not isinstance(other, LongItem | bytes):
            return NotImplemented
        if len(other) != self._size or other[:HEAD] != self.head:
            return False
        if isinstance(other, LongItem) and (self._file is None or other._file is None):
            # The content of an item that was only measured is not known.
            return self.digest == other.digest != b""
        return self._compare(other) == 0

    def __lt__(self, other: LongItem | bytes) -> bool:
        return self._compare(other) < 0

    def __le__(self, other: LongItem | bytes) -> bool:
        return self._compare(other) <= 0

    def __gt__(self, other: LongItem | bytes) -> bool:
        return self._compare(other) > 0

    def __ge__(self, other: LongItem | bytes) -> bool:
        return self._compare(other) >= 0

    def _compare(self, other: LongItem | bytes) -> int:
        """Return a number below, equal to or above 0 if this item sorts before, with or after another, bytewise."""
        if self.head != other[:HEAD]:
            return -1 if self.head < other[:HEAD] else 1
        for mine, theirs in zip_longest(self.pieces(), pieces_of(other), fillvalue=b""):
            if mine != theirs:
                return -1 if mine < theirs else 1
        return 0


_PICKLED: WeakValueDictionary[int, LongItem] = WeakValueDictionary()


def _recall(number: int) -> LongItem:
    return _PICKLED[number]


def pieces_of(item: LongItem | bytes) -> Iterator[bytes]:
    """Yield the content of an item of either kind in pieces of PIECE bytes, the last one shorter."""
    if isinstance(item, LongItem):
        yield from item.pieces()
    else:
        for at in range(0, len(item), PIECE):
            yield item[at : at + PIECE]


def _digest() -> Any:
    # Imported here for the reason given in _File.
    from hashlib import blake2b

    return blake2b(digest_size=16, key=_KEY)


#: A byte string in either form.
Item = bytes | LongItem


class Taker(Protocol):
    """An object that bytes are read from: a Cursor."""

    def take(self, size: int, /) -> bytes: ...  # noqa: D102
    def skip(self, size: int, /) -> object: ...  # noqa: D102
    def pieces(self, size: int, /) -> Iterator[bytes]: ...  # noqa: D102


class Spool:
    """Makes the long items of one reader; `count` is how many it has made."""

    def __init__(self, level: int = KEPT) -> None:
        self.level = level
        self.count = 0
        self._file: _File | None = None

    def take(self, cursor: Taker, size: int) -> Any:
        """Read the next `size` bytes, more than LONG, at a cursor; return the item.

        Raises what the cursor raises if bytes are missing, and SpoolError if no temporary space is left.
        """
        self.count += 1
        if self.level == MEASURED:
            head = cursor.take(HEAD)
            cursor.skip(size - HEAD)
            return LongItem(size, head, None, None, 0)
        head, digest, file, at = b"", None, None, 0
        if self.level == SUMMED:
            digest = _digest()
        else:
            file = self._room(size)
            at = file.size
        for piece in cursor.pieces(size):
            if len(head) < HEAD:
                head += piece[: HEAD - len(head)]
            if digest is not None:
                digest.update(piece)
            elif file is not None:
                file.append(piece, size)
        return LongItem(size, head, None if digest is None else digest.digest(), file, at)

    def _room(self, size: int) -> _File:
        if self._file is None or self._file.size >= _FULL:
            self._file = _File(size)
        return self._file


class _File:
    """A temporary file without a name, closed when the last item in it is gone."""

    def __init__(self, size: int) -> None:
        # Imported here, because few runs have such an item, and an import at the top would slow the start of all.
        from tempfile import TemporaryFile

        self.size = 0
        self._raw: Any = None
        try:
            self._raw = TemporaryFile(buffering=0)  # noqa: SIM115  it lives as long as the items in it
        except OSError as error:
            raise _no_space(size, error) from None

    def append(self, piece: bytes, size: int) -> None:
        """Write further bytes of an item of `size` bytes."""
        view = memoryview(piece)
        try:
            self._raw.seek(self.size)
            while view:
                written = self._raw.write(view)
                self.size += written
                view = view[written:]
        except OSError as error:
            raise _no_space(size, error) from None

    def read(self, at: int, size: int) -> bytes:
        """Return `size` bytes, of which all were written."""
        self._raw.seek(at)
        piece: bytes = self._raw.read(size)
        if not piece:
            raise SpoolError(None, "a temporary file has become shorter")
        return piece

    def __del__(self) -> None:
        if self._raw is not None:
            self._raw.close()


def _no_space(size: int, error: OSError) -> SpoolError:
    why = error.strerror or os.strerror(error.errno or 0)
    message = f"no temporary space for an item of {size} bytes: {why} (set TMPDIR to use another directory)"
    return SpoolError(error.errno, message)
