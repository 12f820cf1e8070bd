r"""The manifest of a multi-part AOF: the files of the set, one per line, and the order of loading.

    file appendonly.aof.2.base.rdb seq 2 type b                     at most one base
    file appendonly.aof.1.incr.aof seq 1 type h                     history: to be deleted, never loaded
    file "my file.3.incr.aof" seq 3 type i startoffset 35           increments, with ascending numbers

A line is at most 1024 bytes including the LF, which is required; `#` in the first column starts a comment. It is
trimmed, split like a command line (arguments.py) and parsed as pairs of key and value in any order. Values are C
strings in a server: they end at a NUL, which only an escape can produce.

Servers refuse a manifest at its first error; `ManifestError` has their message. Unknown pairs, which servers ignore and
drop, are kept; comments are not.

Sources: aof.c, sds.c and valkey-check-aof.c of the BSD-licensed Valkey 8; recorded runs of the
check tools from 7.0.15 to 8.10.2.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import BinaryIO

from rdbkit.aof.arguments import integer, quoted, split_args
from rdbkit.errors import Corrupt, LimitExceeded

#: Size of the servers' line buffer; a line with its LF must fit.
MAX_LINE = 1024
#: Maximum number of files, more than any set has; bounds the memory for malicious files.
MAX_FILES = 100_000

#: Messages of servers that refuse a manifest.
FORMAT = "Invalid AOF manifest file format"
TOO_LONG = "The AOF manifest file contains too long line"
PATH = "File can't be a path, just a filename"
DUPLICATE_BASE = "Found duplicate base file information"
NOT_MONOTONIC = "Found a non-monotonic sequence number"
UNKNOWN_TYPE = "Unknown AOF file type"
EMPTY = "Found an empty AOF manifest"


class ManifestError(Corrupt):
    """A manifest that servers refuse; `reason` is their message.

    `number` counts lines from 1 as a server does (a chunk of 1024 bytes is one). `line` is the trimmed line that it
    prints, None if it prints none: an empty file, or a line that is too long, lacks its LF or contains a NUL.
    `path` is the path of the manifest, if it was read from a directory.
    """

    code = "bad-manifest"

    def __init__(self, reason: str, *, number: int, line: bytes | None, offset: int) -> None:
        shown = f", line {number}" if number else ""
        shown += "" if line is None else f": '{_text(line[:80])}'"
        super().__init__(f"{reason} (manifest{shown})", offset=offset)
        self.reason = reason
        self.number = number
        self.line = line
        self.path: str | None = None


@dataclass(frozen=True, slots=True)
class ManifestEntry:
    """One file of a set: `kind` is "b" (base), "h" (history) or "i" (increment); `extra` are all other pairs.

    `line` counts from 1, `offset` is that of the line; both are ignored in comparisons.
    """

    name: bytes
    seq: int
    kind: str
    extra: tuple[tuple[bytes, bytes], ...] = ()
    line: int = field(default=0, compare=False)
    offset: int = field(default=0, compare=False)

    @property
    def start_offset(self) -> int | None:
        """The replication offset at which an increment begins (written by Redis 8.0 and newer)."""
        return self._offset(b"startoffset")

    @property
    def end_offset(self) -> int | None:
        """The replication offset at which the last increment ended, after a clean shutdown (as above)."""
        return self._offset(b"endoffset")

    def _offset(self, key: bytes) -> int | None:
        found = [value for name, value in self.extra if name.lower() == key]
        return integer(found[-1]) if found else None

    def without(self, key: bytes) -> ManifestEntry:
        """Return the entry without an extra pair."""
        return replace(self, extra=tuple(pair for pair in self.extra if pair[0].lower() != key))


@dataclass(frozen=True, slots=True)
class Manifest:
    """The entries in file order. Without entries (comments only), a server behaves as without a manifest."""

    entries: tuple[ManifestEntry, ...] = ()

    def _of(self, kind: str) -> tuple[ManifestEntry, ...]:
        return tuple(entry for entry in self.entries if entry.kind == kind)

    @property
    def base(self) -> ManifestEntry | None:
        """The snapshot that is loaded first."""
        return next(iter(self._of("b")), None)

    @property
    def incrs(self) -> tuple[ManifestEntry, ...]:
        """The increments, loaded in this order."""
        return self._of("i")

    @property
    def history(self) -> tuple[ManifestEntry, ...]:
        """The files that are not loaded, and deleted after the load."""
        return self._of("h")

    @property
    def last_seq(self) -> int:
        """The highest number of an increment; the next one follows it."""
        return max((entry.seq for entry in self.incrs), default=0)

    @property
    def loaded(self) -> tuple[ManifestEntry, ...]:
        """The files that a server loads, in order."""
        return self._of("b") + self._of("i")


# -- reading -----------------------------------------------------------------------------------------------------------


def parse(data: bytes, *, joined: bool = False) -> Manifest:
    """Read a manifest; see `read`."""
    return read(io.BytesIO(data), joined=joined)


def read(file: BinaryIO, *, joined: bool = False) -> Manifest:
    """Read a manifest from the current position of a file, up to its first error.

    `joined`: text may follow a closing quote, as in Valkey 9.0 and newer. Raises ManifestError, and LimitExceeded for
    more than a hundred thousand files.
    """
    entries: list[ManifestEntry] = []
    highest = number = 0
    has_base = False
    for number, offset, chunk in _lines(file):
        if chunk.startswith(b"#"):
            continue
        entry = _entry(chunk, number, offset, joined)
        reason = _misplaced(entry, has_base, highest)
        if reason:
            raise ManifestError(reason, number=number, line=_trimmed(chunk), offset=offset)
        has_base |= entry.kind == "b"
        highest = entry.seq if entry.kind == "i" else highest
        entries.append(entry)
        if len(entries) > MAX_FILES:
            raise LimitExceeded(f"a manifest with more than {MAX_FILES} files", offset=offset, code="too-many-files")
    if not number:
        raise ManifestError(EMPTY, number=0, line=None, offset=0)
    return Manifest(tuple(entries))


def _lines(file: BinaryIO) -> Iterator[tuple[int, int, bytes]]:
    """Yield (number, offset, bytes) of the chunks that fgets() returns with the servers' buffer."""
    number = offset = 0
    while chunk := file.readline(MAX_LINE):
        number += 1
        yield number, offset, chunk
        offset += len(chunk)


def _trimmed(chunk: bytes) -> bytes:
    return chunk.strip(b" \t\r\n")


def _entry(chunk: bytes, number: int, offset: int, joined: bool) -> ManifestEntry:
    if b"\0" in chunk or not chunk.endswith(b"\n"):
        raise ManifestError(TOO_LONG, number=number, line=None, offset=offset)
    line = _trimmed(chunk)
    try:
        words = split_args(line, joined=joined)
    except ValueError:
        words = []
    try:
        return _of_words(words, number, offset)
    except ValueError as error:
        raise ManifestError(str(error), number=number, line=line, offset=offset) from None


def _of_words(words: list[bytes], number: int, offset: int) -> ManifestEntry:
    """Return the entry for the words of a line. Raises ValueError with the server's message."""
    if len(words) < 6 or len(words) % 2:
        raise ValueError(FORMAT)
    name: bytes | None = None
    seq, kind = 0, b""
    extra = []
    for key, value in zip(words[::2], words[1::2], strict=True):
        known, text = _c_string(key).lower(), _c_string(value)
        if known == b"file":
            name = text
            if b"/" in name or b"\\" in name:
                raise ValueError(PATH)
        elif known == b"seq":
            seq = integer(text)
        elif known == b"type":
            kind = text[:1]
        else:
            extra.append((key, value))
    if name is None or not seq or not kind:
        raise ValueError(FORMAT)
    return ManifestEntry(name, seq, kind.decode("latin-1"), tuple(extra), number, offset)


def _c_string(data: bytes) -> bytes:
    return data.partition(b"\0")[0]


def _misplaced(entry: ManifestEntry, has_base: bool, highest: int) -> str | None:
    """Return the server's message for an entry that does not fit the previous ones."""
    if entry.kind == "b":
        return DUPLICATE_BASE if has_base else None
    if entry.kind == "i":
        return NOT_MONOTONIC if entry.seq <= highest else None
    return None if entry.kind == "h" else UNKNOWN_TYPE


def looks_like_manifest(head: bytes, *, strict: bool = True) -> bool:
    """Return whether the check tools would treat a file with this start as a manifest; see `is_manifest`."""
    return is_manifest(io.BytesIO(head), strict=strict)


def is_manifest(file: BinaryIO, *, strict: bool = True) -> bool:
    """Return whether the check tools would treat a file, from its current position on, as a manifest.

    `strict`: as in Redis 7.2.5, 7.4 and newer and Valkey 7.2.7 and newer: the first line that is not a comment begins
    with `file`. Otherwise as before: any line, or any chunk of 1024 bytes, begins with it, which is possible in an AOF
    too. Uses bounded memory; without `strict`, reads up to the first such chunk, or the whole file.
    """
    for _, _, chunk in _lines(file):
        if chunk.startswith(b"file"):
            return True
        if strict and not chunk.startswith(b"#"):
            return False
    return False


# -- writing -----------------------------------------------------------------------------------------------------------


def encode(manifest: Manifest) -> bytes:
    """Return a manifest's bytes in the order in which servers write it: base, history, increments.

    Extra pairs follow the three standard pairs. Raises ValueError for entries that a server would refuse or parse
    differently: a name with a `/`, numbers that do not ascend, a line that is too long, no entries.
    """
    ordered = (*manifest._of("b"), *manifest.history, *manifest.incrs)
    data = b"".join(map(encode_entry, ordered))
    try:
        again = parse(data)
    except ManifestError as error:
        raise ValueError(f"servers would refuse this manifest: {error}") from None
    if again.entries != ordered or len(ordered) != len(manifest.entries):
        raise ValueError("a server would parse this manifest differently")
    return data


def encode_entry(entry: ManifestEntry) -> bytes:
    """Return an entry's line, unchecked."""
    pairs = [(b"file", entry.name), (b"seq", b"%d" % entry.seq), (b"type", entry.kind.encode("latin-1")), *entry.extra]
    return b" ".join(quoted(word) for pair in pairs for word in pair) + b"\n"


def incr_name(prefix: bytes, seq: int) -> bytes:
    """Return a server's name for an increment."""
    return b"%b.%d.incr.aof" % (prefix, seq)


def _text(data: bytes) -> str:
    return data.decode("utf-8", "backslashreplace")
