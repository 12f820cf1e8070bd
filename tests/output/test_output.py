from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from rdbkit.output.output import Output


def test_a_file_appears_when_it_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    with Output(path) as output:
        output.text("ä\n" * 200_000)
        output.write(b"\xff")
        assert not path.exists()
        [unfinished] = tmp_path.iterdir()
        assert unfinished.name.startswith("out.jsonl.partial-")
        output.finish()
        assert output.partial is None
        assert output.abandon() is None
    assert path.read_bytes() == "ä\n".encode() * 200_000 + b"\xff"
    assert [path.name for path in tmp_path.iterdir()] == ["out.jsonl"]


def test_what_was_delivered_stays_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    path.write_text("before")
    output = Output(str(path))
    output.text("half")
    assert output.abandon() == f"{path}.partial"
    assert output.abandon() == f"{path}.partial"
    assert path.read_text() == "before"
    assert Path(f"{path}.partial").read_text() == "half"


def test_leaving_without_finish_abandons(tmp_path: Path) -> None:
    path = tmp_path / "out"
    with Output(path) as output:
        output.text("half")
    assert [path.name for path in tmp_path.iterdir()] == ["out.partial"]
    assert output.partial == f"{path}.partial"


def test_nothing_delivered_leaves_nothing(tmp_path: Path) -> None:
    assert Output(tmp_path / "out").abandon() is None
    assert not list(tmp_path.iterdir())


def test_an_empty_result_is_a_result(tmp_path: Path) -> None:
    Output(tmp_path / "out").finish()
    assert (tmp_path / "out").read_bytes() == b""


def test_the_mode_of_the_file_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "out"
    path.touch()
    path.chmod(0o600)
    Output(path).finish()
    assert path.stat().st_mode & 0o777 == 0o600


def test_through_a_link_to_its_target(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "there" / "out")
    output = Output(tmp_path / "link")
    output.text("x")
    output.finish()
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "there" / "out").read_text() == "x"


def test_a_link_in_the_place_of_the_partial_file_is_not_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (tmp_path / "out.partial").symlink_to(victim)
    output = Output(tmp_path / "out")
    output.text("x")
    output.finish()
    assert victim.read_text() == "precious"
    assert (tmp_path / "out").read_text() == "x"


def test_no_regular_file_is_written_directly(tmp_path: Path) -> None:
    output = Output("/dev/null")
    output.text("x")
    output.finish()
    assert output.partial is None
    assert Path("/dev/null").is_char_device()
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    with Output(fifo) as output:
        output.text("through")
        output.finish()
    assert os.read(reader, 100) == b"through"
    os.close(reader)
    assert [path.name for path in tmp_path.iterdir()] == ["fifo"]


def test_of_two_writers_of_text_the_last_one_wins_whole(tmp_path: Path) -> None:
    first, second = Output(tmp_path / "out"), Output(tmp_path / "out")
    first.text("first")
    second.text("second")
    first.finish()
    assert (tmp_path / "out").read_text() == "first"
    second.finish()
    assert (tmp_path / "out").read_text() == "second"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("force", [False, True])
def test_of_two_writers_of_data_one_fails(tmp_path: Path, force: bool) -> None:
    if force:
        (tmp_path / "out").write_text("before")
    first = Output(tmp_path / "out", data=True, force=force)
    second = Output(tmp_path / "out", data=True, force=force)
    for output in (first, second):
        output.text(f"all of {output is first}")
    second.finish()
    with pytest.raises(FileExistsError):
        first.finish()
    assert (tmp_path / "out").read_text() == "all of False"
    assert first.abandon() == str(tmp_path / "out.partial")


def test_data_replaces_nothing_unless_forced(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("before")
    with pytest.raises(FileExistsError, match="--force"):
        Output(tmp_path / "out", data=True)
    Output(tmp_path / "out", data=True, force=True).finish()
    assert (tmp_path / "out").read_bytes() == b""


def test_a_partial_file_that_is_there_stays(tmp_path: Path) -> None:
    (tmp_path / "out.partial").write_text("of yesterday")
    for number in (2, 3):
        output = Output(tmp_path / "out")
        output.text("half")
        assert output.abandon() == str(tmp_path / f"out.partial-{number}")
    assert (tmp_path / "out.partial").read_text() == "of yesterday"


def test_what_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Output(tmp_path / "missing" / "out")
    with pytest.raises(IsADirectoryError):
        Output(tmp_path)


def test_standard_output_as_tests_replace_it(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii"))
    with Output("-") as output:
        assert not output.is_terminal
        assert not output.color
        sys.stdout.write("before ")
        output.flush()
        output.text("ä \udcff")
        output.finish()
    sys.stdout.flush()
    assert raw.getvalue().endswith("ä \\udcff".encode() + b"before ")


def test_a_closed_standard_output(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    with pytest.raises(OSError, match="closed"):
        Output()


SCRIPT = """
import sys
from rdbkit.output.output import Output
try:
    with Output() as output:
        for _ in range(2000):
            output.text("\\xe4" * 1000 + "\\n")
        output.finish()
except BrokenPipeError:
    sys.exit(141)
"""


def run(environment: dict[str, str]) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", SCRIPT]
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | environment,
        cwd=Path(__file__).parents[2],
    )


def test_a_reader_that_closes_the_pipe_causes_no_message() -> None:
    with run({}) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.read(10)
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 141


def test_utf8_whatever_the_locale() -> None:
    with run({"LC_ALL": "C", "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}) as process:
        out, err = process.communicate()
    assert (process.returncode, err) == (0, b"")
    assert out == ("ä" * 1000 + "\n").encode() * 2000


def test_color_is_for_terminals(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.BytesIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(Terminal()))
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "132")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert Output().color
    assert Output().width == 132
    monkeypatch.setenv("NO_COLOR", "1")
    assert not Output().color
