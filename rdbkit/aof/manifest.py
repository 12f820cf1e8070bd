r"""The manifest of a multi-part AOF: which files make up the set, one per line, and in which order they are loaded.

    file appendonly.aof.2.base.rdb seq 2 type b                     at most one base
    file appendonly.aof.1.incr.aof seq 1 type h                     history: to be deleted, never loaded
    file "my file.3.incr.aof" seq 3 type i startoffset 35           increments, their numbers rising

A line is read with a buffer of 1024 bytes, LF included, and must end in that LF; `#` in its first column makes it a
comment. It is trimmed, split like the arguments of a command line (arguments.py) and taken as pairs of key and value in
any order. Values are C strings to a server: they end at a NUL, which only an escape can bring in.

Servers refuse a manifest at its first fault; `ManifestError` says so in their words. Unknown pairs, which they ignore
and lose, are kept; comments are not.

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

#: Bytes of the servers' line buffer; a line with its LF fits in it.
MAX_LINE = 1024
#: More files than any set has; keeps a file that only claims to be a manifest from filling the memory.
MAX_FILES = 100_000

#: What a server says of a manifest that it refuses.
FORMAT = "Invalid AOF manifest file format"
TOO_LONG = "The AOF manifest file contains too long line"
PATH = "File can't be a path, just a filename"
DUPLICATE_BASE = "Found duplicate base file information"
NOT_MONOTONIC = "Found a non-monotonic sequence number"
UNKNOWN_TYPE = "Unknown AOF file type"
EMPTY = "Found an empty AOF manifest"


class ManifestError(Corrupt):
    """A manifest that servers refuse; `reason` in their words.

    `number` counts lines from 1 as a server does (a chunk of 1024 bytes is one). `line` is the trimmed line that it
    shows, None where it shows none: an empty file, a line that is too long, lacks its LF or holds a NUL.
    `path` is that of the manifest where it was read from a directory.
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
    """One file of a set: `kind` is "b" (base), "h" (history) or "i" (increment); `extra` the pairs besides these three.

    `line` counts from 1, `offset` is that of the line; both take no part in comparisons.
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
        """Return the entry less an extra pair."""
        return replace(self, extra=tuple(pair for pair in self.extra if pair[0].lower() != key))


@dataclass(frozen=True, slots=True)
class Manifest:
    """The entries in file order. None at all (comments only): a server goes on as if there were no manifest."""

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
        """What is not loaded, and deleted after the load."""
        return self._of("h")

    @property
    def last_seq(self) -> int:
        """The number after which that of the next increment comes."""
        return max((entry.seq for entry in self.incrs), default=0)

    @property
    def loaded(self) -> tuple[ManifestEntry, ...]:
        """What a server loads, in order."""
        return self._of("b") + self._of("i")


# -- reading -----------------------------------------------------------------------------------------------------------


def parse(data: bytes, *, joined: bool = False) -> Manifest:
    """Read a manifest; see `read`."""
    return read(io.BytesIO(data), joined=joined)


def read(file: BinaryIO, *, joined: bool = False) -> Manifest:
    """Read a manifest from where a file stands, no further than to its first fault.

    `joined`: text may follow a closing quote, as Valkey takes it from 9.0 on. Raises ManifestError, and LimitExceeded
    for more than a hundred thousand files.
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
            raise LimitExceeded(f"a manifest of more than {MAX_FILES} files", offset=offset, code="too-many-files")
    if not number:
        raise ManifestError(EMPTY, number=0, line=None, offset=0)
    return Manifest(tuple(entries))


def _lines(file: BinaryIO) -> Iterator[tuple[int, int, bytes]]:
    """Yield (number, offset, bytes) of what fgets() would give with the servers' buffer."""
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
    """Return the entry that the words of a line make. Raises ValueError with the server's words."""
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
    """Tell in the server's words what is wrong with an entry behind those before it."""
    if entry.kind == "b":
        return DUPLICATE_BASE if has_base else None
    if entry.kind == "i":
        return NOT_MONOTONIC if entry.seq <= highest else None
    return None if entry.kind == "h" else UNKNOWN_TYPE


def looks_like_manifest(head: bytes, *, strict: bool = True) -> bool:
    """Return whether the check tools would take a file that begins like this for a manifest; see `is_manifest`."""
    return is_manifest(io.BytesIO(head), strict=strict)


def is_manifest(file: BinaryIO, *, strict: bool = True) -> bool:
    """Return whether the check tools would take a file, from its current position on, for a manifest.

    `strict`: as they do from 7.2.5 and 7.4 on, Valkey from 7.2.7: the first line that is no comment begins with `file`.
    Else as before: any line does, or any part that comes to begin a chunk of 1024 bytes; so may an AOF. In bounded
    memory; not strict reads up to the first such chunk, or all.
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

    Extra pairs follow the three that every server knows. Raises ValueError for what a server would refuse or read
    otherwise: a name with a `/`, numbers that do not rise, a line that is too long, no entries.
    """
    ordered = (*manifest._of("b"), *manifest.history, *manifest.incrs)
    data = b"".join(map(encode_entry, ordered))
    try:
        again = parse(data)
    except ManifestError as error:
        raise ValueError(f"no server would read this manifest: {error}") from None
    if again.entries != ordered or len(ordered) != len(manifest.entries):
        raise ValueError("a server would read this manifest otherwise")
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
