"""`keys`: rows, order, limits, selection, and what the options of the target change."""

from __future__ import annotations

import base64
import re
from pathlib import Path
from time import time
from typing import Any

import pytest
from rdb.files import entry, made

from cli.run import Ran, rdbkit
from rdbkit.format import spec

FIXTURES = Path(__file__).parent.parent.parent / "fixtures"
COLUMNS = ["db", "key", "type", "encoding", "elements", "memory", "memory_sd", "size", "expires_at", "idle", "freq"]


def keys(*args: object) -> list[Any]:
    ran = rdbkit("keys", *args, "-f", "jsonl")
    assert ran.status == 0, ran.err
    return ran.rows


@pytest.fixture(scope="module")
def everything(dump: Path) -> list[Any]:
    return keys(dump)


def test_a_row(everything: list[Any]) -> None:
    rows = everything
    assert [list(row) for row in rows] == [COLUMNS] * 154
    row = next(row for row in rows if row["key"] == "ttl:set")
    assert row == {
        "db": 0, "key": "ttl:set", "type": "set", "encoding": "listpack", "elements": 2, "memory": row["memory"],
        "memory_sd": row["memory_sd"], "size": 32, "expires_at": 4102444800126, "idle": None, "freq": None,
    }  # fmt: skip


@pytest.mark.parametrize("column", COLUMNS)
def test_sort_with_a_limit_gives_the_head_of_the_whole_order(dump: Path, column: str) -> None:
    whole = keys(dump, "--sort", column)
    assert len(whole) == 154
    assert keys(dump, "--sort", column, "-n", 20) == whole[:20]
    values = [row[column] for row in whole]
    known = [value for value in values if value is not None]
    assert values[len(known) :] == [None] * (len(values) - len(known))
    if column in ("elements", "size", "memory"):
        assert known == sorted(known, reverse=True)
    elif column in ("type", "encoding", "db", "expires_at"):
        assert known == sorted(known)


def test_sort_goes_over_all_inputs(dump: Path, files: Path) -> None:
    rows = keys(dump, files / "many.rdb", "--sort", "size", "-n", 3)
    assert [row["key"] for row in rows] == ["hash:big", "list:biglen", "list:manyints"]
    assert {row["file"] for row in rows} == {str(dump)}
    assert len(keys(dump, dump, "--limit", 200)) == 200


def _limited(files: Path, *args: str) -> Ran:
    return rdbkit("keys", files / "many.rdb", "-f", "jsonl", *args)


@pytest.mark.slow
def test_limit_says_what_it_did_not_read(files: Path) -> None:
    line = f"rdbkit: {files}/many.rdb: stopped at --limit; checksum not verified (use --verify to read to the end)"
    ran = _limited(files, "-n", "5")
    assert (ran.status, len(ran.rows), ran.lines) == (0, 5, [line])
    assert _limited(files, "-n", "5", "--verify").lines == []
    assert _limited(files, "-n", "5", "-q").err == ""
    assert _limited(files, "-n", "5", "--sort", "key").lines == []
    assert _limited(files, "-n", "0").out == ""
    assert _limited(files, "-n", "20000").lines == []
    several = rdbkit("keys", files / "many.rdb", files / "good.rdb", "-n", 1)
    assert several.lines == [line, f"rdbkit: not opened because of --limit: {files}/good.rdb"]


def test_limit_with_verify_finds_later_damage(files: Path, tmp_path: Path) -> None:
    (tmp_path / "cut.rdb").write_bytes((files / "many.rdb").read_bytes()[:-100])
    assert rdbkit("keys", tmp_path / "cut.rdb", "-n", 1).status == 0
    assert rdbkit("keys", tmp_path / "cut.rdb", "-n", 1, "--verify").status == 1


SELECTIONS: list[tuple[list[str], Any]] = [
    (["--db", "1"], lambda row: row["db"] == 1),
    (["--db", "1", "--db", "15"], lambda row: row["db"] in (1, 15)),
    (["--type", "stream"], lambda row: row["type"] == "stream"),
    (["--type", "set", "--type", "list"], lambda row: row["type"] in ("set", "list")),
    (["--match", "str:*"], lambda row: row["key"].startswith("str:")),
    (["--match", "str:int:*", "--match", "db:?:key"], lambda row: re.match("str:int:|db:.:key$", row["key"])),
    (["--regex", "^str:.*8$"], lambda row: re.search("^str:.*8$", row["key"])),
    (["--exclude", "str:*"], lambda row: not row["key"].startswith("str:")),
    (
        ["--match", "str:*", "--exclude", "*:int*"],
        lambda row: row["key"].startswith("str:") and ":int" not in row["key"],
    ),
    (["--ttl", "none"], lambda row: row["expires_at"] is None),
    (["--ttl", "any"], lambda row: row["expires_at"] is not None),
    (
        ["--db", "0", "--type", "string", "--ttl", "any"],
        lambda r: (r["db"], r["type"]) == (0, "string") and r["expires_at"],
    ),
    (["--ttl", "over:30d", "--now", "2099-12-01T00:00:00Z"], lambda row: (row["expires_at"] or 0) > 4102358400000),
    (
        ["--ttl", "under:40d", "--now", "4102358400000"],
        lambda row: 4102358400000 < (row["expires_at"] or 0) < 4105814400001,
    ),
]


@pytest.mark.parametrize(
    ("options", "wanted"), SELECTIONS, ids=lambda value: " ".join(value) if isinstance(value, list) else ""
)
def test_selection(dump: Path, everything: list[Any], options: list[str], wanted: Any) -> None:
    expected = [row for row in everything if wanted(row)]
    assert expected
    assert keys(dump, *options) == expected


@pytest.mark.slow
def test_a_selection_that_matches_nothing(dump: Path) -> None:
    for command, formats in (("keys", ("table", "json", "jsonl", "csv")), ("export", ("json", "jsonl", "csv"))):
        for output in formats:
            ran = rdbkit(command, dump, "--match", "nothing*", "-f", output)
            assert ran.status == 0
            assert ran.lines == ["rdbkit: no key matches"]
            assert len(ran.out.splitlines()) == (1 if output in ("table", "csv", "json") else 0)


def test_times_are_measured_from_what_is_said(dump: Path) -> None:
    said = rdbkit("keys", dump, "--ttl", "expired").err
    assert "expiry is relative to 2026-11-20 08:06:48Z (the file's ctime)" in said
    assert "2030-01-01 00:00:00Z (given)" in rdbkit("keys", dump, "--ttl", "expired", "--now", "2030-01-01").err


def test_forms_of_bytes(files: Path) -> None:
    plain = keys(files / "hostile.rdb")
    assert plain[3]["key"] == "\\xff\\xfe"
    assert [row["key"] for row in keys(files / "hostile.rdb", "--bytes", "hex")][1:4:2] == [b"=1+1".hex(), "fffe"]
    in_base64 = [row["key"] for row in keys(files / "hostile.rdb", "--bytes", "base64")]
    assert base64.b64decode(in_base64[3]) == b"\xff\xfe"
    cells = rdbkit("keys", files / "hostile.rdb", "-f", "csv").out
    assert ",\\x3d1+1,string," in cells.replace("\r", "")


@pytest.mark.slow
def test_settings_change_encodings(dump: Path, tmp_path: Path) -> None:
    def encodings(*options: object) -> dict[str, str]:
        return {row["key"]: row["encoding"] for row in keys(dump, "--db", "0", "--type", "hash", *options)}

    config = tmp_path / "redis.conf"
    config.write_text("# ours\nhash-max-listpack-entries 1\nmaxmemory 1gb\ninclude other.conf\n")
    default, changed = encodings(), encodings("--set", "hash-max-listpack-entries=1")
    assert default["hash:small"] == "listpack"
    assert changed["hash:small"] == "hashtable"
    assert changed["hash:one"] == "listpack"
    assert encodings("--config", config) == changed
    # What is set by hand wins over the file.
    assert encodings("--config", config, "--set", "hash-max-listpack-entries=512") == default
    assert "include other.conf is not followed" in rdbkit("keys", dump, "--config", config, "-n", 0).err


@pytest.mark.slow
def test_the_target_is_said(dump: Path) -> None:
    assert rdbkit("keys", dump, "-n", 1).err == f"rdbkit: {dump}: target redis:7.2.6 (the file's producer)\n"
    assert "target redis:6.2" in rdbkit("keys", dump, "-n", 1, "--target", "redis:6.2.0").err
    assert rdbkit("keys", dump, "-n", 1, "-q").err == ""
    old = FIXTURES / "redis-6.2.16" / "rdb-canonical" / "dump.rdb"
    for options, name in (
        ((), "ziplist"),
        (("--target", "redis:7.2.6"), "listpack"),
        (("--target", "valkey:9.1.2"), "listpack"),
    ):
        assert {row["encoding"] for row in keys(old, "--type", "hash", *options)} == {name, "hashtable"}


def test_no_checksum(files: Path) -> None:
    assert len(keys(files / "checksum.rdb", "--no-checksum")) == 154


def test_expiry_without_any_time_is_measured_by_the_clock() -> None:
    now = int(time() * 1000)
    calls = [("expire_ms", now - 10**7), entry(0, b"old"), ("expire_ms", now + 10**7), entry(0, b"new")]
    ran = rdbkit("keys", "-", "--ttl", "expired", "-f", "jsonl", stdin=made(*calls, version=6))
    assert [row["key"] for row in ran.rows] == ["old"]
    assert "(the current time; the file has no timestamp)" in ran.err


def test_times_beyond_the_calendar(tmp_path: Path) -> None:
    path = tmp_path / "dump.rdb"
    path.write_bytes(made(("aux", b"ctime", b"9" * 12), entry(0)))
    ran = rdbkit("keys", path, "--ttl", "none", "--ttl", "expired", "-f", "jsonl")
    assert (ran.status, len(ran.rows)) == (0, 1)
    assert "relative to 999999999999000 ms (the file's ctime)" in ran.err
    for now, status in (("²", 2), ("9" * 30, 2), ("9" * 18, 0)):
        assert rdbkit("keys", path, "--now", now, "--ttl", "none").status == status


def test_the_last_spelling_of_a_setting_counts(tmp_path: Path) -> None:
    path = tmp_path / "dump.rdb"
    path.write_bytes(made(entry(spec.HASH_ZIPLIST), version=9))
    new, old = "hash-max-listpack-entries", "Hash-Max-Ziplist-Entries"
    for settings, encoding in (((f"{new}=1", f"{old}=9"), "ziplist"), ((f"{old}=9", f"{new}=1"), "hashtable")):
        options = [word for text in (f"{new}=9", *settings) for word in ("--set", text)]
        assert rdbkit("keys", path, *options, "-f", "jsonl").rows[0]["encoding"] == encoding
    path.write_bytes(made(("select_db", 40), entry(0)))
    assert rdbkit("check", path, "--set", "DATABASES=64", "-f", "jsonl").out == ""
