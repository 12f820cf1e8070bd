"""`report` and `prefixes`: on a terminal, in a log, as data, in parts, and of damaged files."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from cli.conftest import made
from cli.run import rdbkit, terminal
from rdbkit.output.width import display_width

FIXTURES = Path(__file__).parent.parent.parent / "fixtures"
OTHER = FIXTURES / "redis-7.4.1" / "rdb-canonical" / "dump.rdb"
_SECTIONS = ["Notable", "Types", "Prefixes", "Expiry", "Databases", "Encodings", "Biggest"]


def data(*args: object) -> Any:
    ran = rdbkit("report", *args, "-f", "json")
    assert ran.status == 0, ran.err
    return json.loads(ran.out)


def test_a_file_in_place_of_a_command_means_report(dump: Path) -> None:
    ran = rdbkit(dump)
    assert ran.status == 2
    assert f"did you mean `rdbkit report {dump}`?" in ran.err


def test_the_picture_in_a_log_is_plain(dump: Path) -> None:
    ran = rdbkit("report", dump)
    assert ran.status == 0
    assert ran.err == ""
    assert "\x1b" not in ran.out
    assert not set(ran.out) & set("▏▎▍▌▋▊▉█…")
    places = [ran.out.index(f"\n{section}") for section in _SECTIONS]
    assert places == sorted(places)
    # Keys are last on their lines, and are not cut in a pipe: one has 300 bytes.
    assert max(len(line) for line in ran.out.splitlines()[1:] if "long:key" not in line) <= 80
    assert not [line for line in ran.out.splitlines() if line != line.rstrip()]


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_the_picture_fits_the_terminal(dump: Path, columns: int) -> None:
    ran = terminal("report", dump, columns=columns)
    assert ran.status == 0
    lines = re.sub("\x1b\\[[0-9;]*m", "", ran.out).splitlines()
    assert max(map(len, lines)) <= columns
    assert "█" in ran.out
    plain = terminal("report", dump, env={"NO_COLOR": "1", "LC_ALL": "C"})
    assert "\x1b" not in plain.out
    assert "█" not in plain.out


def test_hostile_keys_do_no_harm(files: Path) -> None:
    for command in ("report", "prefixes"):
        for ran in (rdbkit(command, files / "hostile.rdb"), terminal(command, files / "hostile.rdb", columns=80)):
            assert ran.status == 0
            assert "\x1b[2J" not in ran.out
            assert "\x07" not in ran.out
            assert "\u202e" not in ran.out
    assert "\x1b[2J" not in rdbkit("report", files / "liar.rdb").out


def test_the_data(dump: Path) -> None:
    found = data(dump)
    assert found["complete"] is True
    assert found["total"]["keys"] == 154
    assert found["files"][0]["file"] == str(dump)
    assert sum(row["keys"] for row in found["databases"]) == 154
    assert sum(row["keys"] for row in found["types"]) == 154
    assert sum(row["keys"] for row in found["encodings"]) == 154
    assert sum(row["keys"] for row in found["prefixes"]["rows"]) == 154
    assert sum(row["keys"] for row in found["expiry"]) == 154
    assert sum(row["share"] for row in found["types"]) == pytest.approx(1, abs=1e-4)
    assert found["prefixes"]["exact"] is True
    assert max(map(len, found["biggest"].values())) == 10
    assert max(map(len, data(dump, "-n", 1)["biggest"].values())) == 1


def test_a_selection(dump: Path) -> None:
    found = data(dump, "--type", "zset", "--db", 0)
    assert [row["type"] for row in found["types"]] == ["zset"]
    assert found["files"][0]["filtered"] is True
    ran = rdbkit("report", dump, "--match", "no-such-key")
    assert (ran.status, ran.err) == (0, "rdbkit: no key matches\n")


def test_memory_is_that_of_keys(dump: Path) -> None:
    for option in ([], ["--heap"]):
        keys = [row["memory"] for row in rdbkit("keys", dump, "-f", "jsonl", *option).rows]
        found = data(dump, *option)
        assert found["total"]["memory"] == sum(filter(None, keys))
        assert found["total"]["unknown"] == keys.count(None)
        assert found["heap"] is bool(option)
        assert found["files"][0]["overhead"]
        assert sum(row["memory"] for row in rows(dump, *option)) == sum(filter(None, keys))
    large = [size for size in keys if size is not None and size >= 1024]
    for found in (
        data(dump, "--heap", "--min-memory", "1kb")["total"],
        *rows(dump, "--heap", "--min-memory", "1kb", "-n", 0),
    ):
        assert (found["keys"], found["memory"]) == (len(large), sum(large))


def test_several_files_are_shown_side_by_side(dump: Path, files: Path) -> None:
    ran = rdbkit("report", dump, OTHER)
    assert ran.status == 0
    rows = [line.split() for line in ran.out.splitlines()]
    assert ["[1]", "[2]", "total"] in rows
    assert ["keys", "154", "162", "316"] in rows
    many = rdbkit("report", *[dump] * 9)
    assert many.out.count(f"checksum good  {dump}") == 9


def test_partials_give_the_report_of_all(dump: Path, tmp_path: Path) -> None:
    for name, path in (("a", dump), ("b", OTHER)):
        ran = rdbkit("report", path, "--partial", tmp_path / name)
        assert (ran.status, ran.out, ran.err) == (0, "", "")
    merged = data("--merge", tmp_path / "b", tmp_path / "a")
    assert merged == data(dump, OTHER)
    both = rdbkit("report", "--merge", tmp_path / "a", tmp_path / "b", "--partial", tmp_path / "ab")
    assert both.status == 0
    assert data("--merge", tmp_path / "ab") == merged
    twice = rdbkit("report", "--merge", tmp_path / "a", tmp_path / "a")
    assert "is counted twice" in twice.err
    rdbkit("report", dump, "--partial", tmp_path / "deep", "--depth", 1)
    mixed = rdbkit("report", "--merge", tmp_path / "a", tmp_path / "deep")
    assert mixed.status == 3
    assert "other options" in mixed.err
    assert mixed.out.startswith("NOT READ")


def test_what_is_wrong_with_one_partial_is_not_passed_on(dump: Path, tmp_path: Path) -> None:
    """In any order, the options of the valid files count, and files that were not read are reported."""
    for name, path in (("a", dump), ("b", OTHER), ("none", tmp_path / "none.rdb")):
        rdbkit("report", path, "-q", "--heap", "-n", 20, "--partial", tmp_path / f"{name}.part")
    (tmp_path / "bad.part").write_bytes(b"x\n")
    parts = [tmp_path / f"{name}.part" for name in ("bad", "none", "a", "b")]
    for order in (parts, parts[::-1]):
        ran = rdbkit("report", "--merge", *order, "-f", "json", "-n", 20)
        found = json.loads(ran.out)
        assert ran.status == 3
        assert (found["complete"], found["heap"], len(found["files"])) == (False, True, 2)
        assert [Path(one["file"]).name for one in found["unread"]] == ["bad.part", "none.rdb"]
        assert max(map(len, found["biggest"].values())) == 20


def test_options_that_would_do_nothing_are_refused(dump: Path, tmp_path: Path) -> None:
    part = tmp_path / "a.part"
    assert rdbkit("report", dump, "-q", "--partial", part).status == 0
    for option in (["--type", "hash"], ["--heap"], ["--target", "redis:7.2"], ["--no-fold"], ["--min-memory", "1k"]):
        ran = rdbkit("report", "--merge", part, *option)
        assert (ran.status, ran.out) == (2, "")
        assert option[0] in ran.err
    for option in (["-f", "json"], ["-o", tmp_path / "b"], ["--bytes", "hex"]):
        assert rdbkit("report", dump, "--partial", tmp_path / "c", *option).status == 2
    assert rdbkit("report", "--merge", dump).err.count("not a partial report") == 1


def test_notes_are_broken_by_their_width(tmp_path: Path) -> None:
    wide = "\u6f22\u5b57".encode() * 30
    (tmp_path / "wide.rdb").write_bytes(made((wide, b"v" * 9000), (b"other", b"")))
    ran = rdbkit("report", tmp_path / "wide.rdb", "-q")
    notes = ran.out[ran.out.index("Notable") : ran.out.index("Types")]
    assert wide.decode()[:20] in notes.replace("\n    ", "")
    assert max(map(display_width, terminal("report", tmp_path / "wide.rdb", "-q").out.splitlines())) <= 80


def test_a_damaged_file_is_shouted_about(files: Path, dump: Path, tmp_path: Path) -> None:
    ran = rdbkit("report", files / "cut.rdb", dump)
    assert ran.status == 1
    assert ran.out.startswith("DAMAGED")
    assert ran.out.count("\nDAMAGED") == 1
    assert "middle of a record" in ran.err
    partial = tmp_path / "part"
    assert rdbkit("report", files / "cut.rdb", "--partial", partial).status == 1
    merged = rdbkit("report", "--merge", partial, "-f", "json")
    assert merged.status == 1
    assert json.loads(merged.out)["complete"] is False
    kept = rdbkit("report", files / "cut.rdb", "-o", tmp_path / "out")
    assert kept.status == 1
    assert not (tmp_path / "out").exists()
    assert (tmp_path / "out.partial").read_text().startswith("DAMAGED")


@pytest.mark.parametrize(("name", "status"), [("text.rdb", 3), ("newer.rdb", 3), ("empty.rdb", 1), ("none", 4)])
def test_what_cannot_be_read(files: Path, dump: Path, name: str, status: int) -> None:
    for command in ("report", "prefixes"):
        alone = rdbkit(command, files / name)
        assert alone.status == status
        assert len(alone.lines) == 1 + (command == "prefixes" and "INCOMPLETE" in alone.err)
    both = rdbkit("report", files / name, dump)
    assert both.status == status
    assert both.out.startswith("NOT READ")
    assert "154, with" in both.out


def test_a_mixed_aof_is_not_taken_for_its_rdb(files: Path) -> None:
    ran = rdbkit("report", files / "mixed.aof")
    assert ran.status == 0
    assert "AOF, 91 B, 2 commands replayed, with an RDB 11 of Redis, checksum good" in ran.out
    assert "keys      2, with 2 elements" in ran.out


def test_usage(dump: Path, tmp_path: Path) -> None:
    assert rdbkit("report").status == 2
    assert rdbkit("report", dump, "--partial", tmp_path / "a", "-o", tmp_path / "b").status == 2
    assert rdbkit("prefixes", dump, "--separator", "").status == 2
    assert rdbkit("prefixes", dump, "--depth", 10**20).status == 0


# -- prefixes ----------------------------------------------------------------------------------------------------------


def rows(*args: object) -> list[Any]:
    ran = rdbkit("prefixes", *args, "-f", "jsonl")
    assert ran.status == 0, ran.err
    return ran.rows


def test_prefixes(files: Path) -> None:
    (row,) = rows(files / "many.rdb")
    assert (row["prefix"], row["keys"], row["share"], row["no_expiry"], row["types"]) == (
        "key:*", 20_000, 1, 1, "string"
    )  # fmt: skip
    assert row["keys_error"] is None
    *_, rest = rows(files / "many.rdb", "--no-fold", "--limit", 3)
    assert (rest["prefix"], rest["keys"]) == (None, 19_997)
    assert [row["prefix"] for row in rows(files / "many.rdb", "--depth", 1)] == ["key:"]
    assert len(rows(files / "many.rdb", "--separator", "1", "--no-fold", "--depth", 1, "-n", 2)) == 3


def test_prefixes_by_keys(dump: Path) -> None:
    counts = [row["keys"] for row in rows(dump, "--sort", "keys", "--depth", 1) if row["prefix"] is not None]
    assert counts == sorted(counts, reverse=True)
    table = rdbkit("prefixes", dump, "-n", 1)
    assert "(others)" in table.out
    assert json.loads(rdbkit("prefixes", dump, "-f", "json").out)
    assert rdbkit("prefixes", dump, "-f", "csv").out.startswith("prefix,keys,keys_error,memory,")


def test_prefixes_of_a_damaged_file(files: Path) -> None:
    ran = rdbkit("prefixes", files / "cut.rdb")
    assert ran.status == 1
    assert "list:" in ran.out
    assert "INCOMPLETE" in ran.err
