"""Sources: every packing, whole and by the byte, cut at every length, damaged, framed, read again."""

import bz2
import gzip
import io
import lzma
import os
import random
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path

import pytest

lz4_frame = pytest.importorskip("lz4.frame")
zstandard = pytest.importorskip("zstandard")

MARK = b"0123456789abcdef0123456789abcdef01234567"
RDB = b"REDIS0011\xfa\x09redis-ver\x057.2.6\xff" + bytes(range(1, 9))


def vcs(data, version=1, codec=1, reserved=0, kind=1, linked=True, checksum=True):
    # As the server writes it: blocks of 64 KiB, each with a checksum; a zstd frame without its size.
    if codec == 2:
        engine = zstandard.ZstdCompressor(write_content_size=False, write_checksum=checksum).compressobj()
        frame = engine.compress(data) + engine.flush()
    else:
        frame = lz4_frame.compress(data, block_size=4, block_linked=linked, block_checksum=checksum, store_size=False)
    return b"VCS" + bytes((version, codec, reserved, kind)) + frame


PACK = {
    "gzip": lambda data: gzip.compress(data, mtime=0),
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "zstd": zstandard.ZstdCompressor(write_checksum=True).compress,
    "lz4": lambda data: lz4_frame.compress(data, content_checksum=True),
    "vcs-lz4": vcs,
    "vcs-zstd": lambda data: vcs(data, codec=2),
}
MEMBERS = [name for name in PACK if not name.startswith("vcs-")]
packings = pytest.mark.parametrize("name", PACK)


def noise(size, seed=1):
    """Bytes of which about a third can be packed away."""
    words = random.Random(seed)
    return b"".join(words.choice((b"user:", b"profile", words.randbytes(6))) for _ in range(size // 5))[:size]


BIG = RDB + noise(300_000)


@pytest.fixture
def source(build):
    return build("source")


@pytest.fixture
def errors(build):
    return build.errors


@contextmanager
def pipe(data, step):
    """Give the reading end of a pipe that gets `step` bytes at a time."""
    reader, writer = os.pipe()

    def feed():
        with open(writer, "wb", buffering=0) as end:
            try:
                for at in range(0, len(data), step):
                    end.write(data[at : at + step])
            except BrokenPipeError:
                pass

    thread = threading.Thread(target=feed)
    thread.start()
    try:
        with open(reader, "rb", buffering=0) as file:
            yield file
    finally:
        thread.join()


class Trickle(io.RawIOBase):
    """A file object, not seekable, that gives one byte at a time."""

    def __init__(self, data):
        self.bytes = io.BytesIO(data)

    def readable(self):
        return True

    def read(self, n=-1):
        return self.bytes.read(min(n, 1))


def drain(opened, n=1 << 18):
    out = []
    while piece := opened.read(n):
        assert len(piece) <= n
        out.append(piece)
    assert opened.read(n) == b""
    return b"".join(out)


def outcome(source, errors, what, n=1 << 18):
    """Return what a source gave before it ended or failed, and how it failed."""
    out = []
    try:
        opened = source.open_source(what)
    except errors.RdbkitError as error:
        return b"", described(error)
    with opened:
        try:
            while piece := opened.read(n):
                out.append(piece)
            failure = None
        except errors.RdbkitError as error:
            failure = described(error)
        data = b"".join(out)
        if failure is not None:
            assert failure[2] == opened.start + len(data)
            with pytest.raises(errors.RdbkitError):
                opened.read(1)
        return data, failure


def described(error):
    return type(error).__name__, error.code, error.offset, error.message


# -- where it comes from -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_bytes(source, kind):
    with source.open_source(kind(RDB)) as opened:
        assert (opened.name, opened.size, opened.file_size, opened.start) == ("<bytes>", len(RDB), len(RDB), 0)
        assert (opened.packing, opened.seekable, opened.mark, opened.framed_length) == ((), True, None, None)
        assert opened.peek == RDB[:64]
        assert not opened.changed()
        assert opened.envelope is None
        assert drain(opened, 5) == RDB


def test_path(source, tmp_path):
    path = tmp_path / "dump.rdb"
    path.write_bytes(BIG)
    for what in (path, str(path)):
        with source.open_source(what) as opened:
            assert (opened.name, opened.size, opened.file_size) == (str(path), len(BIG), len(BIG))
            assert opened.seekable
            assert opened.peek == BIG[:64]
            assert drain(opened) == BIG


@pytest.mark.parametrize("empty", [b"", "path", "pipe"])
def test_empty(source, tmp_path, empty):
    (tmp_path / "empty").touch()
    with pipe(b"", 1) as end, source.open_source({"path": tmp_path / "empty", "pipe": end}.get(empty, b"")) as opened:
        assert (opened.peek, opened.size, drain(opened)) == (b"", -1 if empty == "pipe" else 0, b"")


def test_errors_of_paths(source, tmp_path):
    with pytest.raises(IsADirectoryError) as caught:
        source.open_source(tmp_path)
    assert caught.value.filename == str(tmp_path)
    with pytest.raises(FileNotFoundError) as caught:
        source.open_source(str(tmp_path / "none"))
    assert caught.value.filename == str(tmp_path / "none")
    with pytest.raises(TypeError, match="binary"):
        source.open_source(io.StringIO("REDIS"))


def test_an_input_that_fails(source):
    class Failing(io.RawIOBase):
        name = "disk"
        calls = 0

        def read(self, n=-1):
            self.calls += 1
            if self.calls > 1:
                raise OSError(5, "Input/output error")
            return gzip.compress(BIG)[:100_000]

    opened = source.open_source(Failing())
    for _ in range(3):  # an input that failed never looks as if it had ended
        with pytest.raises(OSError, match="disk"):
            drain(opened)


def test_non_blocking(source):
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    with open(reader, "rb", buffering=0) as end, open(writer, "wb"), pytest.raises(BlockingIOError):
        source.open_source(end)


def test_stdin(source, monkeypatch, tmp_path):
    path = tmp_path / "in"
    path.write_bytes(RDB)
    with path.open() as text, monkeypatch.context() as patch:
        patch.setattr(sys, "stdin", text)
        with source.open_source("-") as opened:
            assert (opened.name, opened.size, opened.seekable, drain(opened)) == ("<stdin>", len(RDB), True, RDB)
        assert not text.closed
    with pipe(RDB, 4) as end, monkeypatch.context() as patch, io.TextIOWrapper(io.BufferedReader(end)) as text:
        patch.setattr(sys, "stdin", text)
        opened = source.open_source("-")
        assert (opened.name, opened.size, opened.seekable, drain(opened)) == ("<stdin>", -1, False, RDB)
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(OSError, match="closed"):
        source.open_source("-")


def test_fifo(source, tmp_path):
    os.mkfifo(tmp_path / "fifo")
    thread = threading.Thread(target=(tmp_path / "fifo").write_bytes, args=(RDB,))
    thread.start()
    with source.open_source(tmp_path / "fifo") as opened:
        assert (opened.size, opened.file_size, opened.seekable, opened.changed()) == (-1, None, False, False)
        assert drain(opened) == RDB
    thread.join()


def test_file_object_from_its_position(source, tmp_path):
    (tmp_path / "f").write_bytes(b"before" + RDB)
    with (tmp_path / "f").open("rb") as buffered, (tmp_path / "f").open("rb", buffering=0) as raw:
        for file in (buffered, raw, io.BytesIO(b"before" + RDB)):
            file.seek(6)
            opened = source.open_source(file)
            assert (opened.size, opened.seekable, opened.peek) == (len(RDB), True, RDB[:64])
            assert opened.name == (str(tmp_path / "f") if hasattr(file, "name") else "<file>")
            again = opened.reopen(9)
            assert (drain(opened, 7), drain(again, 7)) == (RDB, RDB[9:])
            opened.close()
            assert not file.closed


def test_other_file_objects(source):
    packed = gzip.compress(BIG)
    with gzip.open(io.BytesIO(packed)) as file:
        opened = source.open_source(file)
        assert (opened.size, opened.packing, drain(opened)) == (-1, (), BIG)
        assert drain(opened.reopen(20)) == BIG[20:]


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="no /proc")
def test_a_file_that_denies_its_size(source):
    with source.open_source("/proc/self/status") as opened:
        assert opened.size == -1
        assert drain(opened).startswith(b"Name:")


# -- packings ----------------------------------------------------------------------------------------------------------


@packings
@pytest.mark.parametrize("data", [b"", RDB, BIG], ids=["empty", "small", "big"])
def test_packed(source, tmp_path, name, data):
    path = tmp_path / "wrong.name"
    path.write_bytes(PACK[name](data))
    with source.open_source(path) as opened:
        assert (opened.packing, opened.size, opened.start) == ((name,), -1, 0)
        assert opened.file_size == path.stat().st_size
        assert opened.peek == data[:64]
        assert drain(opened) == data
    assert drain(source.open_source(PACK[name](data)), 1000) == data


@packings
def test_packed_through_a_pipe(source, name):
    for data, step in ((RDB, 1), (BIG, 5000)):
        with pipe(PACK[name](data), step) as end:
            opened = source.open_source(end)
            assert (opened.packing, opened.seekable, opened.file_size) == ((name,), False, None)
            assert drain(opened) == data


@packings
def test_read_by_the_byte(source, name):
    with source.open_source(PACK[name](RDB)) as opened:
        assert drain(opened, 1) == RDB


@pytest.mark.parametrize("name", MEMBERS)
@pytest.mark.parametrize("padding", [0, 8, 100_000])
def test_members_and_padding(source, name, padding):
    packed = PACK[name](RDB) + PACK[name](b"") + bytes(padding) + PACK[name](BIG) + bytes(padding)
    assert drain(source.open_source(packed)) == RDB + BIG


@pytest.mark.parametrize("name", MEMBERS)
@pytest.mark.parametrize("tail", [b"junk", b"\0\0junk", b"\x1f\x00", RDB])
def test_junk_after_packed_data(source, errors, name, tail):
    got, failure = outcome(source, errors, PACK[name](RDB) + tail)
    assert got == RDB
    assert failure[:3] == ("Corrupt", "bad-compression", len(RDB))


@pytest.mark.parametrize("name", ["zstd", "lz4"])
def test_skippable_frames(source, name):
    skip = b"\x5a\x2a\x4d\x18" + (70_000).to_bytes(4, "little") + bytes(70_000)
    assert drain(source.open_source(PACK[name](RDB) + skip + PACK[name](RDB))) == RDB + RDB
    assert drain(source.open_source(PACK["zstd"](b"") + skip)) == b""
    first = source.open_source(skip + PACK["zstd"](RDB))
    assert (first.packing, drain(first)) == (("zstd",), RDB)


@pytest.mark.parametrize(
    "options",
    [
        {"block_size": 4, "block_linked": False},
        {"block_size": 5, "block_linked": True, "block_checksum": True},
        {"block_size": 6, "content_checksum": True, "compression_level": 9},
        {"block_size": 7, "block_linked": True, "auto_flush": True},
    ],
)
def test_lz4_options(source, options):
    with lz4_frame.LZ4FrameCompressor(**options) as engine:
        packed = engine.begin() + b"".join(engine.compress(BIG[i : i + 999]) for i in range(0, len(BIG), 999))
        packed += engine.flush()
    assert drain(source.open_source(packed)) == BIG


@pytest.mark.parametrize("size", [0, 1, 255, 256, 70_000])
@pytest.mark.parametrize("checksum", [False, True])
@pytest.mark.parametrize("known", [False, True])
def test_zstd_headers(source, size, checksum, known):
    data = BIG[:size]
    engine = zstandard.ZstdCompressor(write_checksum=checksum, write_content_size=known)
    for packed in (engine.compress(data), (stream := engine.compressobj()).compress(data) + stream.flush()):
        assert drain(source.open_source(packed)) == data
    assert drain(source.open_source(engine.compress(bytes(1 << 20)))) == bytes(1 << 20)


@packings
@pytest.mark.parametrize("outer", MEMBERS)
def test_nested(source, errors, name, outer):
    with source.open_source(PACK[outer](PACK[name](BIG))) as opened:
        assert (opened.packing, drain(opened)) == ((outer, name), BIG)
    with pytest.raises(errors.Unsupported, match=f"{name} inside of {outer} inside of gzip") as caught:
        source.open_source(PACK["gzip"](PACK[outer](PACK[name](RDB))))
    assert (caught.value.code, caught.value.offset) == ("nested-packing", 0)


@packings
def test_an_archive_that_grows(source, name):
    import tracemalloc

    packed = PACK[name](bytes(64 << 20))
    with source.open_source(packed) as opened:
        opened.read(1000)
        tracemalloc.start()
        try:
            total = 1000
            while piece := opened.read(1 << 16):
                total += len(piece)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert total == 64 << 20
    assert peak < 4 << 20


# -- cut and damaged ---------------------------------------------------------------------------------------------------


@packings
def test_cut_everywhere(source, errors, name):
    data = RDB * 3 + noise(200)
    packed = PACK[name](data)
    for end in range(6, len(packed)):
        got, failure = outcome(source, errors, packed[:end])
        assert data.startswith(got)
        assert failure[:3] == ("Truncated", "truncated", len(got)), end
        assert outcome(source, errors, Trickle(packed[:end]), 3) == (got, failure)


@pytest.mark.parametrize("name", MEMBERS)
def test_cut_in_a_later_member(source, errors, name):
    packed = PACK[name](RDB)
    for end in range(1, len(packed)):
        got, failure = outcome(source, errors, packed + packed[:end])
        assert got.startswith(RDB)
        assert failure[:3] == ("Truncated", "truncated", len(got))


@packings
def test_cut_when_nested(source, errors, name):
    packed = PACK["gzip"](PACK[name](BIG))
    for end in (len(packed) // 2, len(packed) - 9, len(packed) - 1):
        got, failure = outcome(source, errors, packed[:end])
        assert BIG.startswith(got)
        # Also where the inner data is complete, and only the trailer of the outer is missing.
        assert failure[0] == "Truncated"


@packings
def test_damaged_everywhere(source, errors, name):
    data = RDB * 3 + noise(200)
    packed = PACK[name](data)
    seen = set()
    for at in range(6, len(packed)):
        broken = bytearray(packed)
        broken[at] ^= 0x11
        got, failure = outcome(source, errors, bytes(broken))
        assert outcome(source, errors, Trickle(bytes(broken)), 50) == (got, failure), at
        seen.add(failure[0] if failure else None)
        assert failure is None or failure[0] in ("Corrupt", "Truncated", "Unsupported", "LimitExceeded")
    assert "Corrupt" in seen


def test_what_precedes_damage_is_given(source, errors):
    packed = bytearray(gzip.compress(BIG))
    packed[-8] ^= 1  # the checksum
    got, failure = outcome(source, errors, bytes(packed))
    assert (got, failure[:3]) == (BIG, ("Corrupt", "bad-compression", len(BIG)))
    for name, block in (("zstd", 1 << 17), ("vcs-lz4", 1 << 16)):
        packed = bytearray(PACK[name](BIG))
        packed[-5 if name == "zstd" else -20] ^= 1  # in the last block
        got, failure = outcome(source, errors, bytes(packed))
        assert got == BIG[: len(BIG) // block * block], name
        assert failure[:3] == ("Corrupt", "bad-compression", len(got))


def test_lz4_block_that_claims_too_much(source, errors):
    packed = bytearray(PACK["vcs-lz4"](RDB))
    packed[14:18] = b"\xff\xff\xff\x7f"
    got, failure = outcome(source, errors, bytes(packed))
    assert (got, failure[:3]) == (b"", ("Corrupt", "bad-compression", 0))
    assert "2147483647" in failure[3]


def test_windows_that_need_too_much_memory(build, source, errors, monkeypatch):
    monkeypatch.setattr(build("source.packing"), "MEMORY", 1 << 20)
    xz = lzma.compress(RDB, filters=[{"id": lzma.FILTER_LZMA2, "dict_size": 1 << 22}])
    options = zstandard.ZstdCompressionParameters(window_log=22, write_content_size=0)
    stream = zstandard.ZstdCompressor(compression_params=options).compressobj()
    for packed in (xz, stream.compress(RDB) + stream.flush()):
        with pytest.raises(errors.LimitExceeded, match="over 1 MiB") as caught:
            source.open_source(packed)
        assert caught.value.code == "limit-exceeded"


def test_zstd_dictionary(source, errors):
    samples = [b"hello world %d" % i + random.Random(i).randbytes(50) for i in range(2000)]
    trained = zstandard.train_dictionary(2000, samples)
    with pytest.raises(errors.Unsupported, match="ictionary"):
        source.open_source(zstandard.ZstdCompressor(dict_data=trained).compress(RDB))


@pytest.mark.parametrize(
    ("name", "module", "remedy"),
    [
        ("zstd", "zstandard", r"pip install 'rdbkit\[zstd\]'"),
        ("lz4", "lz4.frame", r"pip install 'rdbkit\[lz4\]'"),
        ("vcs-lz4", "lz4.frame", r"pip install 'rdbkit\[lz4\]'"),
        ("vcs-zstd", "zstandard", r"pip install 'rdbkit\[zstd\]'"),
        ("bz2", "bz2", "built without bz2"),
        ("xz", "lzma", "built without lzma"),
    ],
)
def test_missing_extra(source, errors, monkeypatch, tmp_path, name, module, remedy):
    monkeypatch.setitem(sys.modules, module, None)
    (tmp_path / "f").write_bytes(PACK[name](RDB))
    for what in (tmp_path / "f", PACK["gzip"](PACK[name](RDB))):
        with pytest.raises(errors.Unsupported, match=remedy) as caught:
            source.open_source(what)
        assert (caught.value.code, caught.value.offset) == ("missing-extra", 0)


def test_nothing_is_imported_before_it_is_needed():
    code = "import sys, rdbkit.source; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(run.stdout.split())
    assert not loaded & {"gzip", "bz2", "_bz2", "lzma", "_lzma", "zstandard", "lz4", "click", "rich", "crcmod"}


# -- Valkey's envelope -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "word"),
    [("version", "version 9"), ("codec", "codec 9"), ("reserved", "reserved byte 9"), ("kind", "kind 9")],
)
def test_unknown_envelope(source, errors, field, word):
    with pytest.raises(errors.Unsupported, match=word) as caught:
        source.open_source(vcs(RDB, **{field: 9}))
    assert (caught.value.code, caught.value.offset) == ("unsupported-envelope", 0)


@pytest.mark.parametrize("codec", [1, 2])
@pytest.mark.parametrize("kind", [1, 2])
def test_what_follows_an_envelope(source, codec, kind):
    """It is not packed, even if it looks like a packing."""
    packed = vcs(BIG, codec=codec, kind=kind)
    for tail in (b"", b"junk", gzip.compress(b"x"), vcs(RDB), bytes(200_000)):
        for what in (packed + tail, Trickle(packed + tail), gzip.compress(packed + tail)):
            opened = source.open_source(what)
            assert (opened.packing[-1], opened.size) == ("vcs-lz4" if codec == 1 else "vcs-zstd", -1)
            assert (opened.envelope.end, opened.envelope.checked) == (None, True)
            assert opened.stored(5) == 5
            assert drain(opened) == BIG + tail
            assert (opened.envelope.end, opened.envelope.stored) == (len(BIG), len(packed))
            assert opened.stored(len(BIG) + 3) == len(packed) + 3
            assert opened.stored(len(BIG) - 1) == len(BIG) - 1
    with source.open_source(packed + b"commands") as opened:
        assert drain(opened.reopen(len(BIG) + 3)) == b"mands"


def test_envelopes_of_either_form(source):
    for linked in (False, True):
        for codec in (1, 2):
            opened = source.open_source(vcs(BIG, linked=linked, checksum=False, codec=codec))
            assert (drain(opened), opened.envelope.checked) == (BIG, False)
    assert source.open_source(RDB).envelope is None
    assert source.open_source(gzip.compress(RDB)).envelope is None


def test_an_envelope_around_something_else(source, errors):
    for head, frame in ((b"VCS\1\1\0\1", PACK["zstd"](RDB)), (b"VCS\1\2\0\1", PACK["lz4"](RDB)), (b"VCS\1\1\0\1", RDB)):
        got, failure = outcome(source, errors, head + frame)
        assert (got, failure[:3]) == (b"", ("Corrupt", "bad-compression", 0))
    for cut in range(7):
        got, failure = outcome(source, errors, b"VCS\1\1\0\1"[:3] + b"\1\2\0\1"[: max(0, cut - 3)])
        assert failure[:2] == ("Truncated", "truncated")


# -- framing -----------------------------------------------------------------------------------------------------------

framings = pytest.mark.parametrize(
    ("head", "packing"),
    [
        (b"$EOF:" + MARK + b"\r\n", "replication $EOF"),
        (b"$%d\r\n" % len(RDB), "replication $<len>"),
    ],
    ids=["mark", "length"],
)


@framings
@pytest.mark.parametrize("newlines", [0, 1, 4000])
def test_framed(source, head, packing, newlines):
    head = b"\n" * newlines + head
    stream = head + RDB + MARK
    for what in (stream, Trickle(stream)):
        with source.open_source(what) as opened:
            assert (opened.packing, opened.start) == ((packing,), len(head))
            assert opened.mark == (MARK if "EOF" in packing else None)
            assert opened.framed_length == (None if "EOF" in packing else len(RDB))
            assert opened.size == (len(stream) if what is stream else -1)
            assert opened.peek == (RDB + MARK)[:64]
            assert drain(opened) == RDB + MARK


@framings
def test_framed_and_packed(source, head, packing):
    with source.open_source(gzip.compress(head + RDB + MARK)) as opened:
        assert (opened.packing, opened.start, opened.size) == (("gzip", packing), len(head), -1)
        assert drain(opened.reopen(len(head) + 5)) == (RDB + MARK)[5:]
        assert drain(opened) == RDB + MARK
        with pytest.raises(ValueError, match="before"):
            opened.reopen(1)
    with source.open_source(head + vcs(RDB) + MARK) as opened:
        assert (opened.packing, opened.start, opened.size) == ((packing, "vcs-lz4"), 0, -1)
        assert drain(opened) == RDB + MARK
        assert drain(opened.reopen(5)) == (RDB + MARK)[5:]
        assert opened.stored(len(RDB)) == len(head + vcs(RDB))


def test_framed_and_reopened(source, tmp_path):
    head = b"\n$EOF:" + MARK + b"\r\n"
    (tmp_path / "f").write_bytes(head + RDB + MARK)
    with source.open_source(tmp_path / "f") as opened, opened.reopen(len(head) + 9) as again:
        assert (again.start, again.size, again.mark) == (len(head) + 9, opened.size, MARK)
        assert again.packing == ("replication $EOF",)
        assert (drain(again), drain(opened)) == (RDB[9:] + MARK, RDB + MARK)


@pytest.mark.parametrize(
    "plain",
    [b"\n" * 5000 + b"$5\r\n", b"$EOF:short\r\n", b"$\r\n", b"$12", b"$EOF:", b"\nREDIS0009", b"$-1\r\n", b"BZ", b"VC"],
)
def test_not_framed_and_not_packed(source, plain):
    with source.open_source(plain) as opened:
        assert (opened.packing, opened.start, drain(opened)) == ((), 0, plain)


@framings
def test_framed_once_only(source, head, packing):
    with source.open_source(head + head + RDB) as opened:
        assert (opened.packing, drain(opened)) == ((packing,), head + RDB)


def test_framing_cut_after_its_head(source):
    with source.open_source(b"$100\r\n") as opened:
        assert (opened.start, opened.peek, opened.framed_length, drain(opened)) == (6, b"", 100, b"")


# -- again, and changes ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [None, *PACK])
def test_reopen(source, tmp_path, name):
    path = tmp_path / "f"
    path.write_bytes(PACK[name](BIG) if name else BIG)
    with source.open_source(path) as opened:
        opened.read(1000)
        at = 123_456
        other = opened.reopen(at)
        # Independent: what one does is not seen by the other, also when the file has got another name, or none.
        path.unlink()
        with other, other.reopen(at + 5) as third, other.reopen(len(BIG)) as last, other.reopen(0) as whole:
            assert (other.start, other.peek, other.packing) == (at, BIG[at : at + 64], opened.packing)
            pairs = [(opened.read(10_000), other.read(10_000)) for _ in range(5)]
            assert pairs[0][1] == BIG[at : at + len(pairs[0][1])]
            opened.close()
            assert b"".join(b for _, b in pairs) + drain(other) == BIG[at:]
            assert (drain(third), drain(last), last.peek, drain(whole)) == (BIG[at + 5 :], b"", b"", BIG)


@pytest.mark.parametrize("packed", [RDB, PACK["gzip"](RDB)], ids=["plain", "gzip"])
def test_reopen_of_a_pipe(source, errors, packed):
    opened = source.open_source(Trickle(packed))
    assert not opened.seekable
    with pytest.raises(errors.Passed, match=r"save it to a file.*while they pass") as caught:
        opened.reopen(7)
    assert caught.value.offset == 7
    assert drain(opened) == RDB


def test_reopen_of_a_damaged_file(source, errors, tmp_path):
    (tmp_path / "f").write_bytes(PACK["zstd"](BIG)[:-1000])
    with source.open_source(tmp_path / "f") as opened, pytest.raises(errors.Truncated):
        opened.reopen(len(BIG))


def test_changed(source, tmp_path):
    path = tmp_path / "f"

    def fresh():
        path.write_bytes(RDB)
        os.utime(path, (1, 1))
        return source.open_source(path)

    with fresh() as opened, opened.reopen(3) as again:
        assert not opened.changed()
        assert (opened.modified, again.modified, source.open_source(RDB).modified) == (1000, 1000, None)
        path.write_bytes(RDB + b"more")
        assert opened.changed()
        assert again.changed()
    with fresh() as opened:
        os.utime(path, (2, 2))
        assert opened.changed()
    with fresh() as opened:
        (tmp_path / "g").write_bytes(RDB)
        os.utime(tmp_path / "g", (1, 1))
        (tmp_path / "g").replace(path)
        assert opened.changed()
    with fresh() as opened:
        path.unlink()
        assert opened.changed()


# -- what follows ------------------------------------------------------------------------------------------------------

TAILS = [
    (MARK, MARK, "replication mark"),
    (MARK, None, "replication mark"),
    (MARK, MARK[::-1], "unknown bytes"),
    (MARK[:39], None, "unknown bytes"),
    (MARK[:39], MARK, "unknown bytes"),
    (MARK + b"x", None, "unknown bytes"),
    (MARK + b"*1\r\n$4\r\nPING\r\n", MARK, "replication mark, then AOF commands"),
    (b"*2\r\n$6\r\nSELECT\r\n", None, "AOF commands"),
    (b"\r\n*1\r\n", None, "AOF commands"),
    (b"*", None, "AOF commands"),
    (b"#TS:1700000000\r\n", None, "AOF commands"),
    (b"*junk", None, "unknown bytes"),
    (bytes(1), None, "zeros"),
    (bytes(5000), None, "zeros"),
    (bytes(64) + b"x", None, "unknown bytes"),
    (RDB, None, "another RDB"),
    (b"VALKEY080\n\n", None, "another RDB"),
    (b"REDIS is", None, "unknown bytes"),
    (b"\n", None, "unknown bytes"),
    (b"", MARK, "nothing"),
]


@pytest.mark.parametrize(("tail", "mark", "verdict"), TAILS)
def test_tail(source, tail, mark, verdict):
    assert source.classify_tail(tail, len(tail), mark) == verdict


def test_tail_longer_than_what_is_shown(source):
    assert source.classify_tail(bytes(64), 1 << 20) == "zeros"
    assert source.classify_tail(MARK, 41) == "unknown bytes"
    assert source.classify_tail(b"*1\r\n$4", 9000, MARK) == "AOF commands"


# -- through a cursor --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [None, *PACK])
def test_offsets_of_a_cursor(build, source, name):
    data = PACK[name](BIG) if name else b"$EOF:" + MARK + b"\r\n" + BIG
    with source.open_source(data) as opened:
        cursor = build("wire.cursor").Cursor(source=opened, base=opened.start)
        cursor.skip(9)
        assert cursor.tell() == opened.start + 9
        assert cursor.take(5) == BIG[9:14]
        with pytest.raises(build.errors.Truncated) as caught:
            cursor.skip(1 << 40)
        assert caught.value.offset == opened.start + len(BIG)
