"""A copy of the bytes that a cursor reads, for values that are read twice from an input that can be read only once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rdbkit.wire.cursor import Cursor, Readable

#: Bytes of a copy that stay in memory; a longer one is in an unnamed temporary file.
_MEMORY = 1 << 22


class Copy:
    """The bytes of an input from one offset on; closed by `close`, or when it is no longer referenced."""

    def __init__(self, start: int) -> None:
        # Imported here, because few runs have such a value, and an import at the top would slow the start of all.
        from tempfile import SpooledTemporaryFile

        self.start = start
        self.size = 0
        self._file: Any = SpooledTemporaryFile(_MEMORY)  # noqa: SIM115  it is there as long as the copy

    def add(self, data: bytes) -> None:
        """Append bytes. Raises OSError if no temporary space is left."""
        try:
            self._file.seek(self.size)
            self._file.write(data)
        except OSError as error:
            raise no_space(error) from None
        self.size += len(data)

    def cursor(self) -> Cursor:
        """Return a cursor at the first byte; there may be several."""
        return Cursor(source=_Reader(self), base=self.start)

    def read(self, at: int, n: int) -> bytes:
        """Return up to n bytes."""
        self._file.seek(at)
        data: bytes = self._file.read(n)
        return data

    def close(self) -> None:
        """Free the space."""
        self._file.close()


class _Reader:
    """Reads a copy from its beginning to its end."""

    size = -1

    def __init__(self, copy: Copy) -> None:
        self._copy = copy
        self._at = 0

    def read(self, n: int, /) -> bytes:
        data = self._copy.read(self._at, n)
        self._at += len(data)
        return data


class _Tee:
    """A source whose bytes are copied as they are read."""

    def __init__(self, source: Readable, copy: Copy) -> None:
        self.size = source.size
        self._source = source
        self._copy = copy

    def read(self, n: int, /) -> bytes:
        data = self._source.read(n)
        self._copy.add(data)
        return data


def copied(cursor: Cursor, go_on: Callable[[], object]) -> Copy:
    """Return a copy of the bytes that a cursor reads while `go_on` runs (with possibly some more at its end).

    Raises what `go_on` raises, and OSError if no temporary space is left.
    """
    copy = Copy(cursor.tell())
    source = cursor.source
    try:
        copy.add(cursor.data[cursor.pos : cursor.end])
        if source is not None:
            cursor.source = _Tee(source, copy)
        go_on()
    except BaseException:
        copy.close()
        raise
    finally:
        cursor.source = source
    return copy


def no_space(error: OSError) -> OSError:
    """Return the error for missing temporary space, with the reason."""
    why = error.strerror or str(error)
    message = f"no temporary space for a copy of a long value: {why} (set TMPDIR to use another directory)"
    return OSError(error.errno, message)
