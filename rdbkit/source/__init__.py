"""From a path, standard input, a file object or bytes to a stream of RDB or AOF bytes with absolute offsets.

    raw bytes ─► [ framing ] ─► [ unpacking ] ─► [ unpacking ] ─► read()
                 replication    gzip bz2 xz zstd lz4 vcs-lz4 vcs-zstd

A packing or framing is recognised by its first bytes, never by a name, and removed layer by layer: at most two
packings, and once the framing of a replication transfer, which may also be inside a packing. Offsets, including those
of errors, refer to the unpacked data of the innermost packing. A framing that is not followed by a packing is included
in them: `start` is its length. After a VCS envelope (Valkey 9.2) the uncompressed rest of the file follows, such as the
commands of an AOF; offsets continue there.

Memory holds only the first bytes that were examined and, per packing, the amounts given in packing.py. Everything
before a cut or damage is returned first; then the error is raised, and again on each further read.

Sources: replication.c of the BSD-licensed versions (what a replica receives); files of real servers.
"""

from __future__ import annotations

import os
import re
import sys
from typing import BinaryIO, Self

from rdbkit.errors import LimitExceeded, Passed, Unsupported
from rdbkit.source.layers import READ, Ahead, Envelope, Unpacked
from rdbkit.source.packing import PACKINGS, packing_of
from rdbkit.source.raw import Memory, Raw, identity, name_of, open_path, use_object
from rdbkit.source.recognise import LOOK, Recognised, recognise

__all__ = ["Recognised", "Source", "classify_tail", "open_source"]

#: The most bytes in `Source.peek` and `Source.trailing`.
PEEK = 64
#: A primary sends a newline about once a second while it prepares the transfer; newlines of an hour are skipped.
_FRAMING = 4096
# What a primary sends before the payload: newlines, status lines, and the offset if it uses a separate channel.
_FRAME = re.compile(
    rb"((?:\n|\+[ -~]{0,500}\r\n|\$ENDOFF:[ -~]{0,200}\r\n)*)(?:\$(?:EOF:([!-~]{40})|([0-9]{1,19}))\r\n)?"
)
_FRAME_STARTS = (b"\n", b"+", b"$")
_MAGICS = (b"REDIS", b"VALKEY")
_TAILS = (
    (re.compile(rb"\0+"), "zeros"),
    (re.compile(rb"REDIS[0-9]{4}.*|VALKEY[0-9]{3}.*", re.DOTALL), "another RDB"),
    (re.compile(rb"[\r\n]*(?:\*(?:[0-9].*)?|#.*)", re.DOTALL), "AOF commands"),
)


class Source:
    """A stream of unpacked, unframed bytes: a `rdbkit.wire.cursor.Readable`. Not thread-safe.

    name            the path as given, "<stdin>", "<bytes>", or the name of the file object
    size            absolute offset at which the stream ends, if known without reading (nothing is packed); else -1
    file_size       bytes of the input as stored (from the file object's position), if known; else None
    packing         the layers removed, outermost first: ("gzip",), ("vcs-lz4",), ("replication $EOF",) …
    start           absolute offset of the first byte that read() returns
    seekable        whether reopen() can work
    peek            the first bytes, at most 64, that read() returns; fewer if the stream ends or breaks there
    mark            the 40 bytes that end a `$EOF:` transfer, else None
    framed_length   the bytes that a `$<len>` transfer announced (not verified), else None
    """

    def __init__(self, raw: Raw, name: str, seen: os.stat_result | None = None, *, start: int | None = None) -> None:
        self.name = name
        self.file_size = raw.size
        self.packing: tuple[str, ...] = ()
        self.start = start or 0
        self.seekable = raw.seekable
        self.mark: bytes | None = None
        self.framed_length: int | None = None
        self._raw = raw
        self._seen = seen
        self._ahead = Ahead(raw)
        self._layers: list[Ahead] = []
        self._framed = False
        self._recognised: Recognised | None = None
        if start is None:
            self._unwrap()
        self.peek = self._look()
        self.size = -1
        # Files in /proc and similar file systems have size 0 and are not empty.
        if not self._layers and raw.size is not None and (raw.size or not self.peek):
            self.size = raw.size

    def _look(self) -> bytes:
        """Peek. Formats that rdbkit cannot read are refused here; damage is raised when it is read."""
        peek = self._ahead.peek(PEEK)
        if not peek and isinstance(self._ahead.failure, Unsupported | LimitExceeded):
            raise self._ahead.failure
        return peek

    def _unwrap(self) -> None:
        while self._unframe() or self._unpack():
            pass

    def _unframe(self) -> bool:
        if self._framed:
            return False
        first = self._ahead.peek(3)
        if first[:1] not in _FRAME_STARTS:
            return False
        found = _FRAME.match(self._ahead.peek(_FRAMING if first[:1] != b"$" or first == b"$EN" else PEEK))
        assert found is not None
        if not found[2] and not (found[3] or b"+" in found[1]):
            return False
        if not found[2] and not self._is_payload(found.end(), found[3] is not None):
            return False
        self._framed = True
        self.start = found.end()
        self._ahead.skip(found.end())
        self.mark = found[2]
        self.framed_length = int(found[3]) if found[3] else None
        self.packing += ("replication $EOF" if found[2] else "replication $<len>" if found[3] else "replication",)
        return True

    def _is_payload(self, at: int, may_end: bool) -> bool:
        """Return whether an RDB follows: an AOF without its head may begin with the length of a value, too."""
        head = self._ahead.peek(at + PEEK)[at:]
        if not head:
            return may_end
        again = _FRAME.match(head)
        if again is not None and again[3]:
            head = head[again.end() :]
        return any(head.startswith(magic[: len(head)]) for magic in _MAGICS) or bool(packing_of(head))

    def _unpack(self) -> bool:
        name = packing_of(self._ahead.peek(PEEK))
        if not name:
            return False
        if len(self._layers) == 2:
            wrapped = " inside of ".join((name, *self.packing[::-1]))
            raise Unsupported(f"packed too often: {wrapped}", offset=0, code="nested-packing")
        self._layers.append(self._ahead)
        self._ahead = Ahead(Unpacked(PACKINGS[name].unpack(self._ahead)))
        self.packing += (name,)
        self.start = 0
        self._look()
        return True

    def recognise(self) -> Recognised:
        """Return what the input is; call it before the first read(). Raises if a packing cannot be unpacked at all."""
        if not self.peek and self._ahead.failure is not None:
            raise self._ahead.failure
        if self._recognised is None:
            self._recognised = recognise(self.peek, self.start, self.look, self._last)
        return self._recognised

    def look(self, n: int) -> bytes:
        """Return the next n bytes, fewer before the end or damage, and leave them to be read."""
        return self._ahead.peek(n)

    def _last(self) -> bytes:
        """Return the last bytes of a long file; b"" if they are not available."""
        if self.size - self.start <= LOOK or not self.seekable:
            return b""
        with self.reopen(self.size - READ) as again:
            return again.look(READ)

    def read(self, n: int, /) -> bytes:
        """Return up to n (> 0) bytes, b"" only at the end.

        Raises Truncated if packed data is cut, Corrupt (code "bad-compression") if it is damaged, each with the offset
        reached; LimitExceeded if unpacking needs too much memory; OSError if the system cannot read.
        """
        return self._ahead.read(n)

    @property
    def envelope(self) -> Envelope | None:
        """The VCS envelope, as far as it was read; None if there is none. Its codec is in `packing`."""
        return self._layers[-1].envelope if self._layers else None

    def stored(self, offset: int) -> int:
        """Return where a byte after an envelope is in the file itself; without one the same offset."""
        found = self.envelope
        if found is None or found.end is None or found.stored is None or offset < found.end:
            return offset
        return offset - found.end + found.stored

    @property
    def rereads(self) -> bool:
        """Whether reopen() costs no more than a seek: nothing is packed."""
        return self.seekable and not self._layers

    def reopen(self, offset: int) -> Source:
        """Return a second, independent Source whose first byte is the one at `offset`, not before the framing's end.

        Packed data is unpacked again from its beginning. Raises Passed if the input cannot be read twice.
        """
        if not self.seekable:
            raise Passed(
                f"{self.name} cannot be read a second time: save it to a file first, or ask for values while they pass",
                offset=offset,
            )
        if not self._layers:
            other = self._again(offset)
            other.packing, other.mark, other.framed_length = self.packing, self.mark, self.framed_length
            other._framed = self._framed
            return other
        other = self._again(None)
        try:
            other._advance(offset)
        except BaseException:
            other.close()
            raise
        return other

    def _again(self, start: int | None) -> Source:
        raw = self._raw.again(start or 0)
        try:
            return Source(raw, self.name, self._seen, start=start)
        except BaseException:
            raw.close()
            raise

    def _advance(self, offset: int) -> None:
        left = offset - self.start
        if left < 0:
            raise ValueError(f"offset {offset} is before the data, which starts at {self.start}")
        while left and (piece := self.read(min(left, READ))):
            left -= len(piece)
        self.start = offset
        self.peek = self._look()

    @property
    def modified(self) -> int | None:
        """When the file at the path was modified, as of opening: ms since epoch; None if there is no such file."""
        return None if self._seen is None else self._seen.st_mtime_ns // 1_000_000

    def changed(self) -> bool:
        """Return whether the file at the path is another one, or its size or modification time has changed."""
        if self._seen is None:
            return False
        try:
            now = os.stat(self.name)  # noqa: PTH116  the name is what the caller gave
        except OSError:
            return True
        return identity(now) != identity(self._seen)

    def close(self) -> None:
        """Close what open_source() opened; a file object that the caller passed stays open."""
        self._raw.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open_source(what: str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryIO) -> Source:
    """Open a path, "-" (standard input), bytes, or a binary file object from its current position.

    Raises OSError (with its filename) if the path cannot be read, IsADirectoryError for a directory, TypeError for
    text, LimitExceeded if unpacking needs too much memory, and Unsupported for data that cannot be unpacked: with code
    "missing-extra" if a library is not installed, "unsupported-envelope" for a newer VCS envelope, "nested-packing" for
    three packings.
    """
    seen = None
    raw: Raw
    if isinstance(what, bytes | bytearray | memoryview):
        name, raw = "<bytes>", Memory(memoryview(what).cast("B"))
    elif what == "-":
        name, raw = "<stdin>", use_object(getattr(sys.stdin, "buffer", None), "<stdin>")
    elif isinstance(what, str | os.PathLike):
        name = os.fspath(what)
        raw, seen = open_path(name)
    elif callable(getattr(what, "read", None)):
        name = name_of(what)
        raw = use_object(what, name)
    else:
        accepted = 'a path (str or os.PathLike), "-", bytes, or a file object opened in binary mode'
        raise TypeError(f"cannot open {type(what).__name__}: expected {accepted}")
    try:
        return Source(raw, name, seen)
    except BaseException:
        raw.close()
        raise


def classify_tail(first: bytes, total: int, mark: bytes | None = None) -> str:
    """Name what follows the checksum: `total` bytes, by the first of them (pass 64 or more, or all).

    "replication mark" is exactly the 40 bytes of `mark` or, if none is known, 40 letters and digits; "replication mark,
    then …" is a known mark with more bytes after it. Otherwise "AOF commands", "zeros", "another RDB", "unknown bytes",
    or "nothing".
    """
    if total == 0:
        return "nothing"
    if mark is not None and first.startswith(mark):
        rest = total - len(mark)
        return "replication mark, then " + classify_tail(first[len(mark) :], rest) if rest else "replication mark"
    if mark is None and total == 40 and first[:40].isalnum():
        return "replication mark"
    return next((name for pattern, name in _TAILS if pattern.fullmatch(first)), "unknown bytes")
