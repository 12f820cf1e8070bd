"""The packings. An unpacker is a generator of pieces, to the end of its data; it raises if that is cut or damaged.

Memory bounds: gzip, bz2 and xz return at most CHUNK bytes at a time. zstd and lz4 are split into their blocks here,
because their libraries have no limit (zstd) or hold output back (lz4): a block has at most 128 KiB (zstd) or 4 MiB
(lz4). The memory of a library's window is limited to MEMORY.

Before an error, everything that precedes it is returned. So that this does not depend on the sizes of a pipe's reads,
packed bytes are collected to equal steps. gzip is exact to the byte, zstd and lz4 to the block; bz2 and xz lose the
output for the last _STEP packed bytes.

Sources: RFC 1952 (gzip), RFC 8878 §3.1 (zstd), the LZ4 frame format 1.6, the BSD-licensed Valkey 9.2 (VCS envelope).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any, NamedTuple

from rdbkit.errors import Corrupt, LimitExceeded, RdbkitError, Unsupported
from rdbkit.source.layers import CHUNK, READ, Ahead, Envelope, cut

#: The most memory for a library's window, in bytes: `xz -9` needs 65 MiB, `zstd --ultra` 128 MiB, special options more.
MEMORY = 1 << 28
#: The largest block of an LZ4 frame.
_LZ4_BLOCK = 1 << 22
# The libraries drop the output of a call that meets damage, so bz2 and lzma, which cannot be copied, get small steps.
_STEP = 512


def _damage(name: str, error: Exception) -> RdbkitError:
    """Return our error for an error of an unpacking library."""
    text = str(error)
    if isinstance(error, MemoryError) or "emory" in text:
        return LimitExceeded(
            f"unpacking the {name} data needs over {MEMORY >> 20} MiB of memory: unpack it to a file first"
        )
    if "ictionary" in text or "nsupported" in text:
        return Unsupported(f"the {name} data cannot be unpacked here ({text})", code="unsupported-compression")
    return Corrupt(f"the {name} data is damaged ({text or type(error).__name__})", code="bad-compression")


def _module(module: str, name: str, extra: str = "") -> Any:
    try:
        return import_module(module)
    except ImportError as error:
        remedy = f"pip install 'rdbkit[{extra}]'" if extra else f"this Python was built without {module}"
        message = f"the library that unpacks {name} is missing: {remedy}"
        raise Unsupported(message, offset=0, code="missing-extra") from error


def _another(below: Ahead, name: str) -> bool:
    """Skip zero padding (tapes, preallocated files); return whether more data of the same packing follows."""
    piece = b""
    while not piece:
        piece = below.read(READ)
        if not piece:
            return False
        piece = piece.lstrip(b"\0")
    below.unread(piece)
    magic = PACKINGS[name].magic
    head = below.peek(len(magic))
    # Both lz4 and zstd know skippable frames.
    if head == magic[: len(head)] or (name in ("lz4", "zstd") and _is_skippable(below.peek(4))):
        return True
    raise Corrupt(f"bytes that are not {name} data follow the {name} data", code="bad-compression")


class _Inflater:
    """zlib with the interface of bz2 and lzma: bytes before damage are returned, and the next call raises."""

    def __init__(self, zlib: Any) -> None:
        self.error: type[Exception] = zlib.error
        self.engine = zlib.decompressobj(31)
        self.failure: Exception | None = None
        self.needs_input = True

    @property
    def eof(self) -> bool:
        return bool(self.engine.eof)

    @property
    def unused_data(self) -> bytes:
        return bytes(self.engine.unused_data)

    def decompress(self, data: bytes, limit: int) -> bytes:
        if self.failure is not None:
            raise self.failure
        data = self.engine.unconsumed_tail + data
        before = self.engine.copy()
        try:
            piece: bytes = self.engine.decompress(data, limit)
        except self.error as error:
            self.failure = error
            self.needs_input = False
            return self._salvage(before, data)
        self.needs_input = not self.engine.unconsumed_tail and len(piece) < limit
        return piece

    def _salvage(self, engine: Any, data: bytes) -> bytes:
        """Unpack the damaged input byte by byte, because zlib drops its output for the bytes before the damage."""
        pieces = []
        try:
            for i in range(len(data)):
                pieces.append(engine.decompress(data[i : i + 1]))  # noqa: PERF401  what came before an error is kept
        except self.error:
            pass
        return b"".join(pieces)


def _members(below: Ahead, name: str, make: Callable[[], Any], errors: type[Exception], step: int) -> Iterator[bytes]:
    """Unpack one member after another, `step` packed bytes at a time."""
    more = True
    while more:
        engine = make()
        while not engine.eof:
            packed = below.gather(step) if engine.needs_input else b""
            if engine.needs_input and not packed:
                raise cut(name)
            try:
                yield engine.decompress(packed, CHUNK)
            except (errors, EOFError, MemoryError) as error:
                raise _damage(name, error) from error
        below.unread(engine.unused_data)
        more = _another(below, name)


def _gzip(below: Ahead) -> Iterator[bytes]:
    zlib = _module("zlib", "gzip")
    return _members(below, "gzip", lambda: _Inflater(zlib), zlib.error, READ)


def _bz2(below: Ahead) -> Iterator[bytes]:
    return _members(below, "bz2", _module("bz2", "bz2").BZ2Decompressor, OSError, _STEP)


def _xz(below: Ahead) -> Iterator[bytes]:
    lzma = _module("lzma", "xz")
    return _members(below, "xz", lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, MEMORY), lzma.LZMAError, _STEP)


def _is_skippable(head: bytes) -> bool:
    return head[1:4] == b"\x2a\x4d\x18" and head[0] >> 4 == 5


def _skip_frame(below: Ahead, name: str) -> None:
    left = int.from_bytes(below.exactly(8, name)[4:], "little")
    while left:
        left -= len(below.exactly(min(left, READ), name))


def _zstd_parts(below: Ahead) -> Iterator[bytes]:
    """Split a zstd frame (RFC 8878 §3.1.1) into header, blocks and checksum: a block unpacks to at most 128 KiB."""
    head = below.exactly(5, "zstd")
    flags = head[4]
    single = flags >> 5 & 1
    yield head + below.exactly(1 - single + (0, 1, 2, 4)[flags & 3] + (single, 2, 4, 8)[flags >> 6], "zstd")
    last = 0
    while not last:
        head = below.exactly(3, "zstd")
        block = int.from_bytes(head, "little")
        last = block & 1
        repeated = block >> 1 & 3 == 1
        yield head + below.exactly(1 if repeated else block >> 3, "zstd")
    if flags & 4:
        yield below.exactly(4, "zstd")


def _zstd_frame(below: Ahead) -> Iterator[bytes]:
    zstandard = _module("zstandard", "zstd", "zstd")
    engine = zstandard.ZstdDecompressor(max_window_size=MEMORY).decompressobj()
    for part in _zstd_parts(below):
        try:
            yield engine.decompress(part)
        except (zstandard.ZstdError, MemoryError) as error:
            raise _damage("zstd", error) from error


def _zstd(below: Ahead) -> Iterator[bytes]:
    more = True
    while more:
        if _is_skippable(below.peek(4)):
            _skip_frame(below, "zstd")
        else:
            yield from _zstd_frame(below)
        more = _another(below, "zstd")


def _lz4_parts(below: Ahead) -> Iterator[bytes]:
    """Split an LZ4 frame into header, blocks and end mark."""
    head = below.exactly(6, "lz4")
    flags = head[4]
    yield head + below.exactly((flags >> 3 & 1) * 8 + (flags & 1) * 4 + 1, "lz4")
    while any(head := below.exactly(4, "lz4")):
        size = int.from_bytes(head, "little") & 0x7FFFFFFF
        if size > _LZ4_BLOCK:
            raise Corrupt(f"the lz4 data is damaged (a block of {size} bytes)", code="bad-compression")
        yield head + below.exactly(size + (flags >> 4 & 1) * 4, "lz4")
    yield head + below.exactly((flags >> 2 & 1) * 4, "lz4")


def _lz4_frame(below: Ahead) -> Iterator[bytes]:
    engine = _module("lz4.frame", "lz4", "lz4").LZ4FrameDecompressor()
    room = 0
    for part in _lz4_parts(below):
        # Space for a whole block: with less, the library keeps the rest until the next call, which may fail.
        room = room or 1 << 8 + 2 * (part[5] >> 4 & 7)
        try:
            yield engine.decompress(part, room)
        except (RuntimeError, EOFError, MemoryError) as error:
            raise _damage("lz4", error) from error


def _lz4(below: Ahead) -> Iterator[bytes]:
    more = True
    while more:
        if _is_skippable(below.peek(4)):
            _skip_frame(below, "lz4")
        else:
            yield from _lz4_frame(below)
        more = _another(below, "lz4")


#: Offset, name and known values of the fields of an envelope. Codecs are LZ4 and zstd; stream kinds an RDB in a file,
#: and one in a replication stream.
_VCS_FIELDS = ((3, "version", (1,)), (4, "codec", (1, 2)), (5, "reserved byte", (0,)), (6, "stream kind", (1, 2)))
_ZSTD_CODEC = 2
#: The frame of each codec, its magic, and the bits in the byte after that which say that it has checksums.
_VCS_CODECS = {1: (_lz4_frame, b"\x04\x22\x4d\x18", 0x14), _ZSTD_CODEC: (_zstd_frame, b"\x28\xb5\x2f\xfd", 0x04)}


def _vcs(below: Ahead) -> Iterator[bytes]:
    """Unpack Valkey's envelope: seven bytes and one frame. What follows is as in a plain file, and not compressed."""
    head = below.exactly(7, "VCS envelope")
    for at, field, known in _VCS_FIELDS:
        if head[at] not in known:
            values = " and ".join(map(str, known)) + (" are known" if len(known) > 1 else " is known")
            message = f"VCS envelope with {field} {head[at]} (only {values})"
            raise Unsupported(message, offset=0, code="unsupported-envelope")
    unpack, magic, checksums = _VCS_CODECS[head[4]]
    frame = below.peek(5)
    if not frame.startswith(magic[: len(frame)]):
        raise Corrupt("a VCS envelope without a frame of its codec", code="bad-compression")
    envelope = below.envelope = Envelope(checked=bool(frame[4:] and frame[4] & checksums))
    size = 0
    for piece in unpack(below):
        size += len(piece)
        yield piece
    envelope.end, envelope.stored = size, below.passed
    while piece := below.read(READ):
        yield piece


class Packing(NamedTuple):
    """A packing: the first bytes of its data, and its unpacker."""

    magic: bytes
    unpack: Callable[[Ahead], Iterator[bytes]]


PACKINGS = {
    "gzip": Packing(b"\x1f\x8b", _gzip),
    "bz2": Packing(b"BZh", _bz2),
    "xz": Packing(b"\xfd7zXZ\0", _xz),
    "zstd": Packing(b"\x28\xb5\x2f\xfd", _zstd),
    "lz4": Packing(b"\x04\x22\x4d\x18", _lz4),
    "vcs-lz4": Packing(b"VCS", _vcs),
    "vcs-zstd": Packing(b"VCS\x01\x02", _vcs),
}


def packing_of(head: bytes) -> str:
    """Return the name of the packing that begins with these bytes; "" if there is none."""
    if _is_skippable(head[:4]):
        return "zstd"  # pzstd begins with one; no lz4 tool does
    if head.startswith(PACKINGS["vcs-zstd"].magic):
        return "vcs-zstd"
    return next((name for name, packing in PACKINGS.items() if head.startswith(packing.magic)), "")
