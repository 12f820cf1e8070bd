"""New files: created exclusively, with the right mode from the start, published whole or not at all."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from rdbkit.files import moves, names
from rdbkit.files.names import Clash, plan
from rdbkit.files.new import ANYTHING, NOTHING, SEEN, NewDirectory, NewFile, discard_all, publish_all


def listed(home: Path) -> list[str]:
    return sorted(path.name for path in home.iterdir())


def put(path: Path, content: bytes, replaces: str = NOTHING) -> None:
    with NewFile(plan(path), replaces=replaces) as file:
        file.write(content)
        file.publish()


# -- names -------------------------------------------------------------------------------------------------------------


def test_files_are_compared_by_identity(tmp_path: Path) -> None:
    one = tmp_path / "one"
    one.write_bytes(b"1")
    (tmp_path / "soft").symlink_to(one)
    os.link(one, tmp_path / "hard")
    handle = os.open(one, os.O_RDONLY)
    for path in (one, tmp_path / "soft", tmp_path / "hard", f"{tmp_path}/./one"):
        for reserved in (str(one), str(tmp_path / "hard"), handle):
            with pytest.raises(Clash, match="is an input"):
                names.compare([plan(path)], [reserved])
    os.close(handle)
    names.compare([plan(tmp_path / "two"), plan("/dev/null")], [str(one), "/dev/null", str(tmp_path / "none"), 999])


@pytest.mark.parametrize(("one", "other"), [("a", "a"), ("a", "./a"), ("a", "A"), ("\u00e4", "a\u0308"), ("a", "soft")])
def test_two_planned_names_of_one_file(tmp_path: Path, one: str, other: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where they are one file only on a file system that folds case."""
    monkeypatch.chdir(tmp_path)
    Path("soft").symlink_to("a")
    with pytest.raises(Clash, match=r"are the same file|differ in case only"):
        names.compare([plan(one), plan(other)], [])
    names.compare([plan(one), plan("b"), plan("sub/a")], [])


# -- files -------------------------------------------------------------------------------------------------------------


class Like:
    def __init__(self, path: Path) -> None:
        self.fd = os.open(path, os.O_RDONLY)
        self.seen = os.fstat(self.fd)


def test_mode_and_owner_are_set_before_content(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.touch()
    source.chmod(0o640)
    if os.geteuid() == 0:
        os.chown(source, 1234, 4321)
    like = Like(source)
    before = os.umask(0)
    try:
        with NewFile(plan(tmp_path / "out"), like=like) as file:
            seen = Path(file.temporary).stat()
            assert stat.S_IMODE(seen.st_mode) == 0o640
            assert (seen.st_uid, seen.st_gid) == (like.seen.st_uid, like.seen.st_gid)
            file.write(b"secret")
            file.publish()
    finally:
        os.umask(before)
        os.close(like.fd)
    assert stat.S_IMODE((tmp_path / "out").stat().st_mode) == 0o640


def test_a_replaced_file_lends_its_mode_from_the_start(tmp_path: Path) -> None:
    (tmp_path / "out").touch()
    (tmp_path / "out").chmod(0o600)
    with NewFile(plan(tmp_path / "out"), replaces=ANYTHING) as file:
        assert stat.S_IMODE(Path(file.temporary).stat().st_mode) == 0o600


def test_what_is_left_unpublished_is_removed(tmp_path: Path) -> None:
    with NewFile(plan(tmp_path / "out")) as file:
        file.write(b"half")
    with NewDirectory(plan(tmp_path / "dir")) as directory:
        (Path(directory.path) / "file").write_bytes(b"half")
    assert listed(tmp_path) == []
    NewFile(plan(tmp_path / "out"))
    NewDirectory(plan(tmp_path / "dir"))
    assert len(listed(tmp_path)) == 2
    discard_all()
    assert listed(tmp_path) == []


@pytest.mark.parametrize("links", [True, False])
def test_nothing_is_replaced_that_came_meanwhile(tmp_path: Path, links: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not links:
        monkeypatch.setattr(os, "link", _no_links)
    out = tmp_path / "out"
    with NewFile(plan(out)) as file:
        file.write(b"mine")
        out.write_bytes(b"theirs")
        with pytest.raises(FileExistsError) as error:
            file.publish()
    assert (error.value.filename, out.read_bytes(), listed(tmp_path)) == (str(out), b"theirs", ["out"])


def _no_links(*_: Any) -> None:
    raise OSError(errno.EPERM, "no links here")


def test_only_the_file_that_was_seen_is_replaced(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.write_bytes(b"old")
    put(out, b"new", SEEN)
    assert out.read_bytes() == b"new"
    with NewFile(plan(out), replaces=SEEN) as file:
        put(out, b"of another run", SEEN)
        with pytest.raises(FileExistsError):
            file.publish()
    assert (out.read_bytes(), listed(tmp_path)) == (b"of another run", ["out"])


def test_a_target_that_became_a_pipe_stays_one(tmp_path: Path) -> None:
    with NewFile(plan(tmp_path / "out"), replaces=ANYTHING) as file:
        os.mkfifo(tmp_path / "out")
        with pytest.raises(FileExistsError):
            file.publish()
    assert stat.S_ISFIFO((tmp_path / "out").stat().st_mode)


def test_a_removed_temporary_file_is_not_published(tmp_path: Path) -> None:
    with NewFile(plan(tmp_path / "out")) as file:
        Path(file.temporary).unlink()
        Path(file.temporary).write_bytes(b"somebody else's")
        with pytest.raises(FileExistsError):
            file.publish()
        assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("replaces", [NOTHING, SEEN])
def test_files_that_belong_together_are_published_all_or_none(tmp_path: Path, replaces: str) -> None:
    if replaces == SEEN:
        for name in "abc":
            (tmp_path / name).write_bytes(b"old " + name.encode())
    files = [NewFile(plan(tmp_path / name), replaces=replaces) for name in "abc"]
    put(tmp_path / "c", b"of another run", ANYTHING)
    with pytest.raises(FileExistsError):
        publish_all(files)
    for file in files:
        file.discard()
    left = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    old = {"a": b"old a", "b": b"old b"} if replaces == SEEN else {}
    assert left == {**old, "c": b"of another run"}


def test_kept_names_are_numbered(tmp_path: Path) -> None:
    found = []
    for _ in range(3):
        file = NewFile(plan(tmp_path / "out"))
        file.write(b"half")
        found.append(Path(file.keep()).name)
    assert found == ["out.partial", "out.partial-2", "out.partial-3"]
    assert moves.second_name(str(tmp_path / "out.partial"), ".bak") == str(tmp_path / "out.partial.bak-1")
    assert moves.second_name(str(tmp_path / "out.partial"), ".bak") == str(tmp_path / "out.partial.bak-2")
    assert moves.move_aside(str(tmp_path / "out.partial"), ".bak") == str(tmp_path / "out.partial.bak-3")


def test_a_directory_of_another_run_stays(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with NewDirectory(plan(tmp_path / "out"), mode=0o750) as first, NewDirectory(plan(tmp_path / "out")) as second:
        (Path(first.path) / "first").touch()
        (Path(second.path) / "second").touch()
        first.publish()
        with pytest.raises(FileExistsError):
            second.publish()
    assert listed(tmp_path) == ["empty", "out"]
    assert listed(tmp_path / "out") == ["first"]
    assert stat.S_IMODE((tmp_path / "out").stat().st_mode) == 0o750
    with NewDirectory(plan(tmp_path / "empty")) as third:
        third.publish()
