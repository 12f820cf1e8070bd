"""Manifests: what servers read and refuse (recorded from redis-check-aof 7.0.15 to 8.10.2), and how they write them."""

from __future__ import annotations

import io
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

quick = settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

BASE = b"file appendonly.aof.1.base.rdb seq 1 type b\n"
ONE = b"file appendonly.aof.1.incr.aof seq 1 type i\n"
FORMAT = "Invalid AOF manifest file format"
TOO_LONG = "The AOF manifest file contains too long line"
PATH = "File can't be a path, just a filename"
DUPLICATE = "Found duplicate base file information"
NOT_MONOTONIC = "Found a non-monotonic sequence number"
TYPE = "Unknown AOF file type"

#: name, bytes, then what is loaded: (name, number) of each.
READ = [
    ("base and increment", BASE + ONE, [(b"appendonly.aof.1.base.rdb", 1), (b"appendonly.aof.1.incr.aof", 1)]),
    ("base last", ONE + BASE, [(b"appendonly.aof.1.base.rdb", 1), (b"appendonly.aof.1.incr.aof", 1)]),
    ("comments", b"#\n# file x\n" + BASE + b"#\n", [(b"appendonly.aof.1.base.rdb", 1)]),
    ("comments only", b"# nothing\n", []),
    ("comment without end", BASE + b"# nothing", [(b"appendonly.aof.1.base.rdb", 1)]),
    ("NUL in a comment", b"#\0\n" + BASE, [(b"appendonly.aof.1.base.rdb", 1)]),
    ("CRLF", b"file a seq 1 type b\r\n", [(b"a", 1)]),
    ("blanks around", b" \t file a seq 1 type b \r\t\n", [(b"a", 1)]),
    ("tabs", b"file\ta\tseq\t1\ttype\tb\n", [(b"a", 1)]),
    ("vertical tab between", b"file \va seq \f1 type b\n", [(b"a", 1)]),
    ("vertical tab within", b"file a\vb seq 1 type b\n", [(b"a\vb", 1)]),
    ("any order", b"type b seq 1 file a\n", [(b"a", 1)]),
    ("keys in capitals", b"FILE a Seq 1 TYPE b\n", [(b"a", 1)]),
    ("last one counts", b"file nope file a seq 9 seq 1 type x type b\n", [(b"a", 1)]),
    ("long type", b"file a seq 1 type base\n", [(b"a", 1)]),
    ("unknown pairs", b"file a seq 1 type b foo bar startoffset 10 endoffset 20\n", [(b"a", 1)]),
    ("number with tail", b"file a seq 1x type b\n", [(b"a", 1)]),
    ("number with sign", b"file a seq +7 type b\n", [(b"a", 7)]),
    ("number after blank", b'file a seq " \v5" type b\n', [(b"a", 5)]),
    ("number too large", b"file a seq 99999999999999999999 type b\n", [(b"a", (1 << 63) - 1)]),
    ("number too small", b"file a seq -99999999999999999999 type b\n", [(b"a", -(1 << 63))]),
    ("negative base", b"file a seq -3 type b\n", [(b"a", -3)]),
    ("gap", BASE + b"file b seq 5 type i\nfile c seq 70 type i\n", [(BASE.split()[1], 1), (b"b", 5), (b"c", 70)]),
    ("history of any number", b"file z seq -9 type h\nfile y seq -9 type h\n" + ONE, [(ONE.split()[1], 1)]),
    ("double quotes", b'"file" "a b.rdb" seq "1" type "b"\n', [(b"a b.rdb", 1)]),
    ("escapes", b'file "a\\x20b\\t\\"c\\q\\xg\\n\\r\\b\\a" seq 1 type b\n', [(b'a b\t"cqxg\n\r\b\a', 1)]),
    ("escape in single quotes", b"file 'a\\'b' seq 1 type b\n", [(b"a'b", 1)]),
    ("quote within", b'file a"b c" seq 1 type b\n', [(b"ab c", 1)]),
    ("NUL by escape", b'file "a\\x00b" seq "1\\x00" type "b\\x00" "foo\\x00" bar\n', [(b"a", 1)]),
    ("empty name", b'file "" seq 1 type b\n', [(b"", 1)]),
    ("bytes", b"file \xff\xfe seq 1 type b\n", [(b"\xff\xfe", 1)]),
    ("1024 bytes", b"file %b seq 1 type b\n" % (b"x" * 1005), [(b"x" * 1005, 1)]),
    ("comment of 1024 bytes", b"#%b\n" % (b"x" * 1022) + BASE, [(b"appendonly.aof.1.base.rdb", 1)]),
]

#: name, bytes, the server's words, line number, the line that it shows.
REFUSED = [
    ("empty", b"", "Found an empty AOF manifest", 0, None),
    ("blank line", BASE + b"\n" + ONE, FORMAT, 2, b""),
    ("blank at the end", BASE + ONE + b"\n", FORMAT, 3, b""),
    ("only blanks", b" \t\r\n", FORMAT, 1, b""),
    ("only a vertical tab", b"\v\n", FORMAT, 1, b"\v"),
    ("indented comment", BASE + b" # b\n", FORMAT, 2, b"# b"),
    ("odd words", BASE + ONE[:-1] + b" foo\n", FORMAT, 2, ONE[:-1] + b" foo"),
    ("first word", b"filename a seq 1 type b\n", FORMAT, 1, b"filename a seq 1 type b"),
    ("no type", BASE + b"file a seq 1\n", FORMAT, 2, b"file a seq 1"),
    ("no type, three pairs", b"file a seq 1 foo b\n", FORMAT, 1, b"file a seq 1 foo b"),
    ("empty type", b'file a seq 1 type ""\n', FORMAT, 1, b'file a seq 1 type ""'),
    ("number is text", b"file a seq one type i\n", FORMAT, 1, b"file a seq one type i"),
    ("number zero", b"file a seq 0 type b\n", FORMAT, 1, b"file a seq 0 type b"),
    ("last number zero", b"file a seq 1 seq 0 type b\n", FORMAT, 1, b"file a seq 1 seq 0 type b"),
    ("unknown type", BASE + b"file a seq 1 type x\n", TYPE, 2, b"file a seq 1 type x"),
    ("type in capitals", b"FILE A SEQ 1 TYPE B\n", TYPE, 1, b"FILE A SEQ 1 TYPE B"),
    ("type of many bytes", "file a seq 1 type \N{EM DASH}\n".encode(), TYPE, 1, b"file a seq 1 type \xe2\x80\x94"),
    ("falling", ONE.replace(b"q 1", b"q 2") + ONE, NOT_MONOTONIC, 2, ONE[:-1]),
    ("equal", ONE + ONE, NOT_MONOTONIC, 2, ONE[:-1]),
    ("negative increment", b"file a seq -1 type i\n", NOT_MONOTONIC, 1, b"file a seq -1 type i"),
    ("two bases", BASE + BASE, DUPLICATE, 2, BASE[:-1]),
    ("slash", b"file a/b seq 1 type b\n", PATH, 1, b"file a/b seq 1 type b"),
    ("backslash", b"file a\\b seq 1 type b\n", PATH, 1, b"file a\\b seq 1 type b"),
    ("slash by escape", b'file "\\x2f" seq 1 type b\n', PATH, 1, b'file "\\x2f" seq 1 type b'),
    ("no escape in single quotes", b"file 'a\\n' seq 1 type b\n", PATH, 1, b"file 'a\\n' seq 1 type b"),
    ("slash, overridden", b"file a/b file a seq 0\n", PATH, 1, b"file a/b file a seq 0"),
    ("text after a quote", b'file "abc"d seq 1 type i\n', FORMAT, 1, b'file "abc"d seq 1 type i'),
    ("quote after a quote", b"file 'a''b' seq 1 type i\n", FORMAT, 1, b"file 'a''b' seq 1 type i"),
    ("open quote", b'file "abc seq 1 type i\n', FORMAT, 1, b'file "abc seq 1 type i'),
    ("open single quote", b"file 'a\\' seq 1 type i\n", FORMAT, 1, b"file 'a\\' seq 1 type i"),
    ("backslash at the end", b'file a seq 1 type "b\\\n', FORMAT, 1, b'file a seq 1 type "b\\'),
    ("no LF", BASE + ONE[:-1], TOO_LONG, 2, None),
    ("NUL", BASE + b"file a\0b seq 1 type i\n", TOO_LONG, 2, None),
    ("NUL first", b"\0\n", TOO_LONG, 1, None),
    ("1025 bytes", b"file %b seq 1 type b\n" % (b"x" * 1006), TOO_LONG, 1, None),
    ("comment of 1025 bytes", BASE + b"#%b\n" % (b"x" * 1023), FORMAT, 3, b""),
    ("comment of 1030 bytes", b"#%b\n" % (b"x" * 1028), FORMAT, 2, b"xxxxx"),
    ("an AOF", b"*2\r\n$6\r\nSELECT\r\n", FORMAT, 1, b"*2"),
]


def ids(rows: list[Any]) -> list[str]:
    return [row[0] for row in rows]


@pytest.mark.parametrize(("name", "data", "loaded"), READ, ids=ids(READ))
def test_read(build, name, data, loaded):
    module = build("aof.manifest")
    assert [(entry.name, entry.seq) for entry in module.parse(data).loaded] == loaded


@pytest.mark.parametrize(("name", "data", "reason", "number", "line"), REFUSED, ids=ids(REFUSED))
def test_refused(build, name, data, reason, number, line):
    module = build("aof.manifest")
    with pytest.raises(build.errors.Corrupt) as caught:
        module.parse(data)
    error = caught.value
    assert isinstance(error, module.ManifestError)
    assert (error.reason, error.number, error.line, error.code) == (reason, number, line, "bad-manifest")
    assert error.message.startswith(reason)
    if number and all(len(row) < 1024 for row in data.split(b"\n")):
        assert error.offset == sum(len(row) + 1 for row in data.split(b"\n")[: number - 1])


def test_entry(build):
    manifest = build("aof.manifest").parse(b"#\n" + BASE + ONE[:-1] + b" startoffset 35 x y Endoffset 4z\n")
    first, second = manifest.entries
    assert (first.line, first.offset, first.kind, first.extra, first.start_offset) == (2, 2, "b", (), None)
    assert (second.line, second.offset) == (3, 2 + len(BASE))
    assert second.extra == ((b"startoffset", b"35"), (b"x", b"y"), (b"Endoffset", b"4z"))
    assert (second.start_offset, second.end_offset) == (35, 4)
    assert second.without(b"endoffset").extra == second.extra[:2]
    assert (manifest.base, manifest.incrs, manifest.history, manifest.last_seq) == (first, (second,), (), 1)


def test_a_damaged_line_stops_the_reading(build):
    module = build("aof.manifest")
    file = io.BytesIO(BASE + b"\n" + b"x" * 10_000)
    with pytest.raises(module.ManifestError):
        module.read(file)
    assert file.tell() == len(BASE) + 1


def test_a_set_has_its_limits(build, monkeypatch):
    module = build("aof.manifest")
    monkeypatch.setattr(module, "MAX_FILES", 3)
    with pytest.raises(build.errors.LimitExceeded) as caught:
        module.parse(b"file a seq 1 type h\n" * 4)
    assert (caught.value.code, caught.value.offset) == ("too-many-files", 60)


def test_joined_quotes(build):
    module = build("aof.manifest")
    data = b'file "abc"d\'e\'"f" seq 1 type b\n'
    assert module.parse(data, joined=True).base.name == b"abcdef"
    with pytest.raises(module.ManifestError):
        module.parse(data.replace(b'f"', b"f"), joined=True)


#: name, bytes, strict, not strict
LOOKS = [
    ("manifest", BASE, True, True),
    ("comments before", b"#\n# x\n" + BASE, True, True),
    ("comments only", b"# nothing\n", False, False),
    ("empty", b"", False, False),
    ("value in an AOF", b"*2\r\n$3\r\nGET\r\n$6\r\nfile:1\r\n", False, True),
    ("comment begins so", b"#\n#file\n*1\r\n", False, False),
    ("indented", b" " + BASE, False, False),
    ("capitals", b"FILE a seq 1 type b\n", False, False),
    ("other key first", b"seq 1 file a type b\n", False, False),
    ("longer word", b"filename", True, True),
    ("word cut", b"fil", False, False),
    ("at the end of a chunk", b"x" * 1023 + b"file", False, False),
    ("chunk begins so", b"x" * 1024 + b"file", False, True),
    ("comment's chunk begins so", b"#" * 1024 + b"file\n", True, True),
    ("in the middle of a line", b"x" * 1000 + b"file" + b"x" * 1000, False, False),
]


@pytest.mark.parametrize(("name", "data", "strict", "lax"), LOOKS, ids=ids(LOOKS))
def test_looks_like_manifest(build, name, data, strict, lax):
    module = build("aof.manifest")
    assert module.looks_like_manifest(data) is strict
    assert module.looks_like_manifest(data, strict=True) is strict
    assert module.looks_like_manifest(data, strict=False) is lax


def test_an_aof_is_looked_through_in_bounded_pieces(build):
    class Pieces(io.BytesIO):
        def readline(self, size=-1):
            assert 0 < size <= 1024
            return super().readline(size)

    module = build("aof.manifest")
    assert module.is_manifest(Pieces(b"*" * 100_000 + b"\nfile"), strict=False)
    file = Pieces(b"*" * 100_000)
    assert not module.is_manifest(file)
    assert file.tell() == 1024


# -- writing -----------------------------------------------------------------------------------------------------------


def test_encode_orders_and_keeps_extra_pairs(build):
    module = build("aof.manifest")
    data = b"file 'i 1' endoffset 9 startoffset 5 seq 1 type i\n# x\nfile h seq 8 type h\n" + BASE
    assert module.encode(module.parse(data)) == (
        BASE + b'file h seq 8 type h\nfile "i 1" seq 1 type i endoffset 9 startoffset 5\n'
    )


@pytest.mark.parametrize(
    ("name", "written"),
    [
        (b"appendonly.aof", b"appendonly.aof"),
        (b"my aof file.aof", b'"my aof file.aof"'),
        (b'a"b', b'"a\\"b"'),
        (b"a\n\r\t\b\a", b'"a\\n\\r\\t\\b\\a"'),
        (b"a\v\x7f\xff", b'"a\\x0b\\x7f\\xff"'),
        (b"it's", b'"it\'s"'),
        (b"", b'""'),
        (b"{~}#$[]", b"{~}#$[]"),
    ],
)
def test_names_are_quoted_as_servers_do(build, name, written):
    module = build("aof.manifest")
    line = module.encode(module.Manifest((module.ManifestEntry(name, 1, "b"),)))
    assert line == b"file %b seq 1 type b\n" % written
    assert module.parse(line).base.name == name


@pytest.mark.parametrize(
    "entries",
    [
        [],
        [(b"a/b", 1, "b")],
        [(b"a\\b", 1, "b")],
        [(b"a\0b", 1, "b")],
        [(b"a", 0, "b")],
        [(b"a", 1 << 63, "b")],
        [(b"a", 1, "x")],
        [(b"a", 1, "base")],
        [(b"a", 1, "")],
        [(b"a", 1, "b"), (b"b", 2, "b")],
        [(b"a", 2, "i"), (b"b", 1, "i")],
        [(b"a", 1, "b", ((b"seq", b"2"),))],
        [(b"x" * 1006, 1, "b")],
    ],
)
def test_what_no_server_reads_is_not_written(build, entries):
    module = build("aof.manifest")
    manifest = module.Manifest(tuple(module.ManifestEntry(*entry) for entry in entries))
    with pytest.raises(ValueError, match="server"):
        module.encode(manifest)


NAMES = st.binary(max_size=40).filter(lambda name: not set(name) & {0, ord("/"), ord("\\")})
WORDS = st.binary(max_size=12).filter(lambda word: word.lower() not in (b"file", b"seq", b"type") and 0 not in word)
EXTRA = st.lists(st.tuples(WORDS, WORDS), max_size=3).map(tuple)
NUMBERS = st.integers(-(1 << 63), (1 << 63) - 1).filter(bool)


@quick
@given(data=st.data())
def test_round_trip(build, data):
    module = build("aof.manifest")
    rising = sorted(data.draw(st.sets(st.integers(1, (1 << 63) - 1), max_size=4)))
    kinds = data.draw(st.sampled_from([[], ["b"]])) + ["h"] * data.draw(st.integers(0, 3))
    rows = [(kind, data.draw(NUMBERS)) for kind in kinds] + [("i", seq) for seq in rising]
    entries = tuple(module.ManifestEntry(data.draw(NAMES), seq, kind, data.draw(EXTRA)) for kind, seq in rows)
    if not entries:
        return
    manifest = module.Manifest(entries)
    assert module.parse(module.encode(manifest)) == manifest
    shuffled = module.Manifest(tuple(data.draw(st.permutations(entries))))
    if shuffled.incrs == manifest.incrs and shuffled.history == manifest.history:
        assert module.encode(shuffled) == module.encode(manifest)


@quick
@given(st.binary(max_size=200) | st.text("file sqtypbh1\n\"'\\x0#", max_size=80).map(str.encode))
@example(b'file "\\x" seq 1 type b\n')
def test_any_bytes_give_a_manifest_or_the_one_error(build, data):
    module = build("aof.manifest")
    try:
        manifest = module.parse(data)
    except module.ManifestError:
        return
    if manifest.entries:
        again = module.parse(module.encode(manifest))
        assert (again.loaded, again.history) == (manifest.loaded, manifest.history)


# -- arguments ---------------------------------------------------------------------------------------------------------


@quick
@given(st.lists(st.binary(max_size=20), max_size=6), st.sampled_from([b" ", b"\t", b" \v ", b"\r\n"]))
def test_quoted_words_come_back(build, words, blank):
    arguments = build("aof.arguments")
    line = blank.join(map(arguments.quoted, words))
    assert arguments.split_args(line) == words
    assert arguments.split_args(line, joined=True) == words
