"""The files at a path, and which of them a server would load: recorded from real servers, and for made directories."""

from __future__ import annotations

import errno
import gzip
import io
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from rdbkit.aof import layout

RDB = b"REDIS0010\xfa\x08aof-base\xc0\x01\xff" + bytes(8)
PLAIN = b"REDIS0009\xfa\x0caof-preamble\xc0\x00\xff" + bytes(8)
VALKEY = b"VALKEY080\xff" + bytes(8)
AOF = b"*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n"
SET = b"file a.aof.1.base.rdb seq 1 type b\nfile a.aof.1.incr.aof seq 1 type i\n"

Tree = dict[str, Any]


def make(root: Path, tree: Tree) -> Path:
    root.mkdir(exist_ok=True)
    for name, content in tree.items():
        if isinstance(content, dict):
            make(root / name, content)
        else:
            (root / name).write_bytes(content)
    return root


def a_set(manifest: bytes = SET) -> Tree:
    return {"a.aof.manifest": manifest, "a.aof.1.base.rdb": RDB, "a.aof.1.incr.aof": AOF}


def codes(found: Any) -> list[str]:
    return [remark.code for remark in found.warnings]


def errors(found: Any) -> list[str]:
    return [remark.code for remark in found.warnings if remark.severity == "error"]


def roles(files: Any) -> list[tuple[str, str, str]]:
    return [(file.name.decode(), file.role, file.format) for file in files]


LOADED = [("a.aof.1.base.rdb", "base", "rdb"), ("a.aof.1.incr.aof", "incr", "aof")]


# -- a file ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (RDB, "rdb"),
        (VALKEY, "rdb"),
        (RDB + AOF, "rdb"),
        (AOF, "aof"),
        (b"#TS:1\r\n" + AOF, "aof"),
        (b"# nothing\n", "aof"),
        (b"", "empty"),
        (bytes(100), "unknown"),
        (b"REDI", "unknown"),
    ],
)
def test_content_decides(build, tmp_path, content, expected):
    path = tmp_path / "dump.rdb.aof"
    path.write_bytes(content)
    layout = build("aof.layout")
    found = layout.find(path)
    assert found == layout.AofFile(str(path), b"dump.rdb.aof", 0, "single", expected, len(content))
    assert layout.would_load(found) == (found,)


def test_packed_file(build, tmp_path):
    path = tmp_path / "x"
    path.write_bytes(gzip.compress(RDB))
    found = build("aof.layout").find(path)
    assert (found.format, found.packing, found.size) == ("rdb", ("gzip",), path.stat().st_size)


def test_no_regular_file_is_left_alone(build, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    found = build("aof.layout").find(tmp_path / "pipe")
    assert (found.format, found.size) == ("special", None)


def test_nothing_there(build, tmp_path):
    find = build("aof.layout").find
    with pytest.raises(FileNotFoundError) as missing:
        find(tmp_path / "x")
    assert missing.value.filename == str(tmp_path / "x")
    make(tmp_path, {"redis.conf": b"# *\nappendonly yes\n", "notes": b"* one\n", "list": b"REDIS is fine", "d": {}})
    with pytest.raises(build.errors.Unsupported) as nothing:
        find(tmp_path)
    assert nothing.value.code == "nothing-found"


# -- a set -------------------------------------------------------------------------------------------------------------


def test_set_directory(build, tmp_path):
    layout = build("aof.layout")
    found = layout.find(make(tmp_path / "any name", a_set()))
    assert isinstance(found, layout.AofSet)
    assert roles(found.files) == LOADED
    assert [file.size for file in found.files] == [len(RDB), len(AOF)]
    assert [file.path for file in found.files] == [str(tmp_path / "any name" / row[0]) for row in LOADED]
    assert (found.prefix, found.append_name, found.next_incr_name) == (
        b"a.aof",
        b"a.aof.1.incr.aof",
        b"a.aof.2.incr.aof",
    )
    assert (found.stray, found.temporary, found.history, found.warnings) == ((), (), (), ())
    assert layout.would_load(found) == found.files
    assert layout.find(found.manifest_path) == found


def test_manifest_by_its_bytes_in_the_current_directory(build, tmp_path, monkeypatch):
    make(tmp_path, {"list.txt": b"# mine\n" + SET, **a_set()})
    monkeypatch.chdir(tmp_path)
    found = build("aof.layout").find("list.txt")
    assert (found.directory, found.prefix, roles(found.files)) == ("", b"a.aof", LOADED)
    assert found.stray == (b"a.aof.manifest",)


def test_names_with_blanks_and_bytes(build, tmp_path):
    directory = tmp_path / "append only dir"
    directory.mkdir()
    (directory / "my file.manifest").write_bytes(b'file "my file" seq 1 type b\nfile "\\xff x" seq 3 type i\n')
    (directory / "my file").write_bytes(AOF)
    (directory / os.fsdecode(b"\xff x")).write_bytes(b"")
    found = build("aof.layout").find(directory)
    assert [(file.name, file.role, file.format) for file in found.files] == [
        (b"my file", "base", "aof"),
        (b"\xff x", "incr", "empty"),
    ]
    assert (found.prefix, found.append_name, found.next_incr_name) == (b"my file", b"\xff x", b"my file.4.incr.aof")
    assert found.warnings == ()


def test_history_temporary_and_stray_files(build, tmp_path):
    manifest = SET + b"file a.aof.0.incr.aof seq 9 type h\nfile gone seq 1 type h\n"
    more = {"a.aof.0.incr.aof": AOF, "temp-a.aof.manifest": b"", "temp-a.aof.incr": AOF}
    make(tmp_path / "d", {**a_set(manifest), **more, "a.aof.7.incr.aof": AOF, "old.txt": b"x", "deeper": {}})
    found = build("aof.layout").find(tmp_path / "d")
    assert roles(found.files) == LOADED
    assert roles(found.history) == [("a.aof.0.incr.aof", "history", "aof"), ("gone", "history", "missing")]
    assert found.temporary == (b"temp-a.aof.incr", b"temp-a.aof.manifest")
    assert found.stray == (b"a.aof.7.incr.aof", b"old.txt")
    assert codes(found) == ["history", "stray-files", "temporary-files"]
    assert {remark.severity for remark in found.warnings} == {"note"}


@pytest.mark.parametrize(
    ("manifest", "files", "expected"),
    [
        (SET, {"a.aof.1.base.rdb": None}, ["missing-file"]),
        (SET, {"a.aof.1.incr.aof": None}, ["missing-file"]),
        (SET, {"a.aof.1.incr.aof": {}}, ["not-a-file"]),
        (SET, {"a.aof.1.incr.aof": RDB}, ["increment-is-rdb"]),
        (SET, {"a.aof.1.incr.aof": b"", "a.aof.1.base.rdb": b""}, ["all-empty"]),
        (SET + b"file a.aof.1.base.rdb seq 3 type h\n", {}, ["history-is-live", "history"]),
        (SET + b"file a.aof.1.incr.aof seq 3 type i\n", {}, ["listed-twice"]),
        (SET.split(b"\n")[0] + b"\n", {}, ["appends-to-stray", "stray-files"]),
        (b"# nothing\n", {}, ["manifest-no-files"]),
        (b"file a.aof.1.base.rdb seq 1 type h\n", {}, ["manifest-no-files"]),
        (None, {}, ["manifest-missing"]),
    ],
)
def test_remarks_of_a_set(build, tmp_path, manifest, files, expected):
    tree = {**a_set(), "a.aof.manifest": manifest, **files}
    make(tmp_path / "d", {name: content for name, content in tree.items() if content is not None})
    found = build("aof.layout").find(tmp_path / "d")
    assert codes(found) == expected
    fatal = {"missing-file", "not-a-file", "history-is-live", "manifest-no-files", "manifest-missing"}
    assert errors(found) == [code for code in expected if code in fatal]


def test_lost_manifest(build, tmp_path):
    tree = a_set()
    del tree["a.aof.manifest"]
    found = build("aof.layout").find(make(tmp_path / "d", tree))
    assert (found.manifest, found.manifest_path, found.files) == (None, None, ())
    assert found.stray == (b"a.aof.1.base.rdb", b"a.aof.1.incr.aof")
    assert found.append_name == b"a.aof.1.incr.aof"
    assert "overwrites a.aof.1.base.rdb and appends to a.aof.1.incr.aof" in found.warnings[0].message


def test_a_manifest_without_files_and_nothing_beside_it(build, tmp_path):
    found = build("aof.layout").find(make(tmp_path / "d", {"x.manifest": b"#\n"}))
    assert (codes(found), errors(found)) == (["manifest-no-files"], [])


@pytest.mark.parametrize("content", [b"", b"rubbish\n", b"file a.aof.1.base.rdb seq 1 type b", bytes(50)])
def test_damaged_manifest(build, tmp_path, content):
    layout, module = build("aof.layout"), build("aof.manifest")
    make(tmp_path / "d", a_set(content))
    for path in (tmp_path / "d", tmp_path / "d" / "a.aof.manifest", tmp_path):
        with pytest.raises(module.ManifestError) as caught:
            layout.find(path)
    found = layout.find(tmp_path / "d", keep_errors=True)
    assert (found.manifest, found.files, errors(found)) == (None, (), ["bad-manifest"])
    assert found.error.reason == caught.value.reason
    assert caught.value.path == found.manifest_path == str(tmp_path / "d" / "a.aof.manifest")
    with pytest.raises(module.ManifestError):
        layout.would_load(found)
    with pytest.raises(module.ManifestError):
        layout.would_load(layout.find(tmp_path, keep_errors=True))


def test_quotes_that_only_valkey_9_reads(build, tmp_path):
    found = build("aof.layout").find(make(tmp_path / "d", a_set(SET.replace(b"a.aof.1.b", b'"a"".aof".1.b'))))
    assert (roles(found.files), codes(found)) == (LOADED, ["quotes-joined"])


def test_two_sets_in_one_directory(build, tmp_path):
    other = {"b.manifest": b"file b.1.base.aof seq 1 type b\n", "b.1.base.aof": AOF, "junk": b"x"}
    layout = build("aof.layout")
    found = layout.find(make(tmp_path / "d", {**a_set(), **other}))
    assert isinstance(found, layout.DataDir)
    assert [(one.prefix, len(one.files), one.stray) for one in found.sets] == [
        (b"a.aof", 2, (b"junk",)),
        (b"b", 1, (b"junk",)),
    ]
    assert codes(found) == ["several"]
    with pytest.raises(build.errors.Unsupported, match="2 AOF sets") as caught:
        layout.would_load(found)
    assert caught.value.code == "ambiguous"


# -- a data directory --------------------------------------------------------------------------------------------------


def test_data_directory(build, tmp_path):
    layout = build("aof.layout")
    tree = {"dump.rdb": PLAIN, "adir": a_set(), "temp-12.rdb": RDB, "temp-rewriteaof-bg-3.aof": AOF, "log": b"x"}
    found = layout.find(make(tmp_path, tree))
    assert isinstance(found, layout.DataDir)
    assert roles(found.rdbs) == [("dump.rdb", "single", "rdb")]
    assert (found.aofs, [roles(one.files) for one in found.sets]) == ((), [LOADED])
    assert found.temporary == (b"temp-12.rdb", b"temp-rewriteaof-bg-3.aof")
    assert codes(found) == ["rdb-no-fallback"]
    assert layout.would_load(found) == found.sets[0].files
    assert layout.would_load(found, appendonly=False) == found.rdbs
    assert layout.would_load(found, multipart=False) == ()


def test_rdb_alone_is_no_fallback(build, tmp_path):
    layout = build("aof.layout")
    found = layout.find(make(tmp_path, {"dump.rdb": PLAIN}))
    assert (codes(found), layout.would_load(found)) == (["rdb-only"], ())
    assert layout.would_load(found, appendonly=False) == found.rdbs


@pytest.mark.parametrize(
    ("name", "content", "where"),
    [
        ("x", RDB, "aofs"),  # it says that it begins an AOF
        ("x", PLAIN, "rdbs"),
        ("x", VALKEY, "rdbs"),
        ("x", AOF, "aofs"),
        ("x", b"#TS:17\r\n", "aofs"),
        ("x.aof", PLAIN, "aofs"),
        ("x.aof", b"", "aofs"),
        ("x.aof", bytes(9), "aofs"),
        ("x.rdb", b"", "rdbs"),
        ("x.rdb", bytes(9), "rdbs"),
        ("x.rdb", AOF, "aofs"),
        ("x.RDB", b"?", "rdbs"),
    ],
)
def test_single_files_of_a_data_directory(build, tmp_path, name, content, where):
    found = build("aof.layout").find(make(tmp_path, {name: content}))
    assert {kind: len(getattr(found, kind)) for kind in ("rdbs", "aofs")} == {"rdbs": 0, "aofs": 0} | {where: 1}


OLD = [("a.aof", "base", "aof")]


@pytest.mark.parametrize(
    ("inner", "loaded", "remarks"),
    [
        (a_set(), LOADED, ["old-aof-ignored"]),
        (a_set(b"# nothing\n"), OLD, ["aof-upgrade", "appends-to-stray", "stray-files"]),
        ({"a.aof.1.incr.aof": AOF}, OLD, ["aof-upgrade", "appends-to-stray", "stray-files"]),
        ({"a.aof.manifest": b"file a.aof seq 1 type b\n"}, OLD, ["aof-upgrade"]),
        (
            {"a.aof.manifest": b"file a.aof seq 1 type b\n", "a.aof": RDB},
            [("a.aof", "base", "rdb")],
            ["old-aof-ignored"],
        ),
    ],
)
def test_old_single_file_beside_a_set(build, tmp_path, inner, loaded, remarks):
    layout = build("aof.layout")
    found = layout.find(make(tmp_path, {"adir": inner, "a.aof": AOF}))
    assert roles(layout.would_load(found)) == loaded
    assert codes(found.sets[0]) == remarks
    assert len(found.aofs) == ("old-aof-ignored" in remarks)
    assert roles(layout.would_load(found, multipart=False)) == [("a.aof", "single", "aof")]


def test_old_single_file_is_not_taken_in_beside_listed_increments(build, tmp_path):
    manifest = b"file a.aof seq 1 type b\nfile a.aof.1.incr.aof seq 1 type i\n"
    found = build("aof.layout").find(make(tmp_path, {"adir": a_set(manifest), "a.aof": AOF}))
    assert codes(found.sets[0])[:2] == ["old-aof-ignored", "missing-file"]


def test_old_single_file_of_another_name(build, tmp_path):
    layout = build("aof.layout")
    found = layout.find(make(tmp_path, {"adir": a_set(), "b.aof": AOF, "c.aof": AOF}))
    assert codes(found) == ["several", "old-aof", "old-aof"]
    with pytest.raises(build.errors.Unsupported, match="appendfilename"):
        layout.would_load(found, multipart=False)


def test_set_and_rdb_in_one_directory(build, tmp_path):
    layout = build("aof.layout")
    found = layout.find(make(tmp_path, {**a_set(), "dump.rdb": PLAIN}))
    assert isinstance(found, layout.DataDir)
    assert (len(found.rdbs), len(found.sets), layout.would_load(found)) == (1, 1, found.sets[0].files)


def test_an_error_of_reading_has_the_file_name(build, tmp_path, monkeypatch):
    sets = build("aof.aof_set")

    class Broken(io.BytesIO):
        def read(self, size=-1):
            raise OSError(errno.EIO, "broken")

    monkeypatch.setattr(sets, "open", lambda *args, **more: Broken(), raising=False)
    with pytest.raises(OSError, match="broken") as caught:
        build("aof.layout").find(make(tmp_path, {"dump.rdb": PLAIN}))
    assert caught.value.filename == str(tmp_path / "dump.rdb")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_what_cannot_be_read(build, tmp_path):
    find = build("aof.layout").find
    make(tmp_path, {"dump.rdb": PLAIN, "shut": {"x": b""}, "secret": RDB})
    (tmp_path / "shut").chmod(0)
    (tmp_path / "secret").chmod(0)
    found = find(tmp_path)
    assert codes(found)[0] == "unreadable"
    (tmp_path / "dump.rdb").unlink()
    with pytest.raises(PermissionError) as caught:
        find(tmp_path)
    assert caught.value.filename == str(tmp_path / "shut")
    make(tmp_path, {"dump.rdb": PLAIN})
    (tmp_path / "dump.rdb").chmod(0)
    with pytest.raises(PermissionError) as caught:
        find(tmp_path)
    assert caught.value.filename == str(tmp_path / "dump.rdb")
    (tmp_path / "shut").chmod(0o700)


def test_only_first_bytes_are_read(build, tmp_path, monkeypatch):
    sets = build("aof.aof_set")
    asked = []
    real = sets.head_of
    for module in (sets, build("aof.layout")):
        monkeypatch.setattr(module, "head_of", lambda path, size=64: asked.append(size) or real(path, size))
    make(tmp_path, {"dump.rdb": PLAIN + bytes(100_000), "d": a_set(), "x.aof": AOF * 9000})
    build("aof.layout").find(tmp_path)
    assert sum(asked) < 100_000


def test_nothing_is_touched(build, tmp_path):
    make(tmp_path, {"d": a_set(), "dump.rdb": PLAIN})
    before = subprocess.check_output(["ls", "-lRac", "--time-style=full-iso", tmp_path])
    build("aof.layout").find(tmp_path)
    assert subprocess.check_output(["ls", "-lRac", "--time-style=full-iso", tmp_path]) == before


@pytest.mark.parametrize("name", [
    "a.aof.bak-1", "a.aof.bak-12", "a.aof.dropped", "a.aof.dropped-3", "a.aof.dropped.jsonl", "a.aof.dropped-3.jsonl",
    "a.aof.repaired", "a.aof.partial", ".a.aof.rdbkit-x1", "dump.rdb.partial",
])  # fmt: skip
def test_what_repairs_leave_is_ignored_and_said(name, tmp_path):
    (tmp_path / "a.aof").write_bytes(AOF)
    (tmp_path / name).write_bytes(AOF)
    found = layout.find(tmp_path)
    assert [file.name for file in found.aofs] == [b"a.aof"]
    notes = [remark.message for remark in found.warnings if remark.code == "by-products"]
    assert notes == [f"created by rdbkit, ignored: {name}"]
    assert layout.find(tmp_path / name).format == "aof"


@pytest.mark.parametrize("name", ["a.aof.bak", "bak-1", "a.dropped.aof", "repaired", "partial.rdb", "a.aof.bak-1x"])
def test_other_names_are_not(name, tmp_path):
    (tmp_path / name).write_bytes(AOF)
    assert [file.name for file in layout.find(tmp_path).aofs] == [name.encode()]


def test_a_repaired_set_beside_the_set(tmp_path):
    for home in (tmp_path / "appendonlydir", tmp_path / "appendonlydir.repaired"):
        home.mkdir()
        (home / "a.aof.1.incr.aof").write_bytes(AOF)
        (home / "a.aof.manifest").write_bytes(b"file a.aof.1.incr.aof seq 1 type i\n")
    (tmp_path / "appendonlydir" / "a.aof.1.incr.aof.bak-1").write_bytes(AOF)
    found = layout.find(tmp_path)
    assert [one.directory for one in found.sets] == [str(tmp_path / "appendonlydir")]
    assert found.sets[0].stray == ()
    [note] = [remark.message for remark in found.warnings if remark.code == "by-products"]
    assert "appendonlydir.repaired" in note
    assert "appendonlydir/a.aof.1.incr.aof.bak-1" in note
    assert layout.find(tmp_path / "appendonlydir.repaired").files[0].format == "aof"
