"""`info`, `check`, `get`, `export` and `split`: the features of each."""

from __future__ import annotations

import base64
import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from cli.run import raw, rdbkit

FIXTURES = Path(__file__).parent.parent.parent / "fixtures"


def facts(*args: object, **options: Any) -> Any:
    ran = rdbkit("info", *args, "-f", "json", **options)
    assert ran.status == 0, ran.err
    return json.loads(ran.out)


# -- info ------------------------------------------------------------------------------------------------------------


def test_info(dump: Path) -> None:
    said = facts(dump)
    assert {name: said[name] for name in ("kind", "product", "version", "producer", "target", "checksum", "size")} == {
        "kind": "rdb", "product": "redis", "version": 11, "producer": "7.2.6", "target": "redis:7.2.6",
        "checksum": "good", "size": 93213,
    }  # fmt: skip
    assert said["aux"]["redis-ver"] == "7.2.6"
    assert {function["name"] for function in said["functions"]} == {"mylib", "ro_lib"}
    assert said["databases"][0] == {"db": 0, "keys": 145, "expires": 9}
    assert (said["counts"], said["packing"], said["tail"]) == ("read", [], None)
    assert rdbkit("info", dump, "-f", "jsonl").rows == [said]


def test_quick_reads_the_start_and_labels_its_counts(files: Path, tmp_path: Path) -> None:
    from rdbkit.format import spec
    from rdbkit.rdb.writer import Writer, encode

    path = tmp_path / "claims.rdb"
    with path.open("wb") as out:
        writer = Writer(out.write, 11)
        writer.magic()
        writer.select_db(0)
        writer.resize_db(123456, 7)
        for number in range(50_000):
            writer.entry(spec.STRING, b"%d" % number, encode(spec.STRING, b"v"))
        writer.end()
    said = facts(path, "--quick")
    assert (said["counts"], said["checksum"]) == ("claimed", "not reached")
    assert said["databases"] == [{"db": 0, "keys": 123456, "expires": 7}]
    assert "123,456 keys, 7 with an expiry, as declared in the file" in rdbkit("info", path, "--quick").out
    whole = facts(path)
    assert (whole["counts"], whole["databases"]) == ("read", [{"db": 0, "keys": 50_000, "expires": 0}])
    # A file that the start is all of is read, not believed.
    small = facts(files / "good.rdb", "--quick")
    assert (small["counts"], small["databases"][0]["keys"], small["checksum"]) == ("read", 145, "good")


def test_the_payload_of_dump(tmp_path: Path) -> None:
    payloads = json.loads(gzip.decompress((FIXTURES / "dump-payloads.json.gz").read_bytes()))
    payload = base64.b64decode(payloads["redis-7.2.6"]["dump"]["hash:one"])
    for said in (facts("--dump-payload", "-", stdin=payload), _stored(tmp_path / "payload", payload)):
        assert (said["kind"], said["type"], said["elements"], said["checksum"]) == ("dump-payload", "hash", 1, "good")
    broken = rdbkit("info", "--dump-payload", "-", stdin=payload[:-1] + b"\0")
    assert broken.status == 1
    assert len(broken.lines) == 1


def _stored(path: Path, payload: bytes) -> Any:
    path.write_bytes(payload)
    return facts("--dump-payload", path)


# -- check -----------------------------------------------------------------------------------------------------------


def test_check_of_a_valid_file(dump: Path) -> None:
    ran = rdbkit("check", dump)
    assert (ran.status, ran.out) == (0, "")
    assert ran.err == (
        f"rdbkit: {dump}: valid: Redis 7.2.6, RDB version 11: 154 keys in 91.0 KiB, checksum good; "
        "assumed: cluster-enabled no (more than database 0)\n"
    )
    assert rdbkit("check", dump, "-q").err == ""


def test_strictness(tmp_path: Path, files: Path) -> None:
    odd = tmp_path / "odd.rdb"
    odd.write_bytes((files / "good.rdb").read_bytes() + b"\0" * 8)
    assert rdbkit("check", odd).status == 0
    assert ", 1 warning" in rdbkit("check", odd).err
    assert rdbkit("check", odd, "--strict").status == 1
    assert rdbkit("check", odd, "--strict", "--exit-zero").status == 0


def test_a_checksum_can_be_required() -> None:
    path = FIXTURES / "redis-3.2.13" / "rdb-nochecksum" / "dump.rdb"
    assert rdbkit("check", path).status == 0
    ran = rdbkit("check", path, "--require-checksum", "-f", "jsonl")
    assert ran.status == 1
    assert ran.rows[0]["severity"] == "error"
    assert (
        rdbkit("check", path.parent.parent / "rdb-canonical" / "dump.rdb", "--require-checksum", "--no-checksum").status
        == 1
    )


def test_exit_zero_is_for_findings_only(files: Path) -> None:
    assert rdbkit("check", files / "cut.rdb", "--exit-zero").status == 0
    assert rdbkit("check", files / "text.rdb", "--exit-zero").status == 0
    assert rdbkit("check", files / "nowhere.rdb", "--exit-zero").status == 4


# -- get -------------------------------------------------------------------------------------------------------------


def test_get(dump: Path) -> None:
    assert rdbkit("get", dump, "str:int:zero").out == '"0"\n'
    assert (
        json.loads(rdbkit("get", dump, "list:small", "--db", 5).out)
        == rdbkit("export", dump, "--db", 5, "--match", "list:small").rows[0]["value"]
    )
    assert rdbkit("get", dump, "same:name", "--db", 15, "-f", "jsonl").rows[0]["db"] == 15
    assert rdbkit("get", dump, "same:name", "-f", "jsonl").rows[0]["db"] == 0


def test_each_text_form_leads_back_to_its_key(dump: Path, files: Path) -> None:
    for path in (dump, files / "hostile.rdb"):
        for name in [row["key"] for row in rdbkit("keys", path, "-f", "jsonl").rows]:
            if "\x00" not in name and ("\\" in name or not name.isprintable()):
                assert rdbkit("get", path, name, "-f", "jsonl").rows[0]["key"] == name
    assert rdbkit("get", dump, r"\x00\x01bin\xff\x0d\x0akey").status == 0


def test_a_key_that_is_not_there(dump: Path) -> None:
    ran = rdbkit("get", dump, "no:such\x07key")
    assert (ran.status, ran.out, ran.err) == (1, "", f"rdbkit: {dump}: no key 'no:such\\x07key'\n")
    assert rdbkit("get", dump, "list:plain", "--db", 9).err == f"rdbkit: {dump}: no key 'list:plain' in database 9\n"


def test_get_says_what_it_did_not_verify(files: Path) -> None:
    line = f"rdbkit: {files}/many.rdb: checksum not reached (--verify reads on)\n"
    # Empty if the search for the key read it to the end.
    assert rdbkit("get", files / "many.rdb", "key:7").err in (line, "")
    assert rdbkit("get", files / "many.rdb", "key:7", "--verify").err == ""
    assert rdbkit("get", files / "many.rdb", "key:7", "-q").err == ""


def test_the_bytes_themselves(dump: Path, tmp_path: Path) -> None:
    text = json.loads(rdbkit("get", dump, "str:json").out)
    assert raw("get", dump, "str:json", "--raw")[1].decode() == text
    assert raw("get", dump, "str:json", "--raw", "-o", tmp_path / "out")[1] == b""
    assert (tmp_path / "out").read_text() == text
    assert raw("get", dump, "set:intset64", "--raw")[1]
    assert json.loads(rdbkit("get", dump, "str:json", "--bytes", "hex").out) == text.encode().hex()


# -- export ----------------------------------------------------------------------------------------------------------


def test_export_as_commands(dump: Path) -> None:
    status, out, _ = raw("export", dump, "-f", "resp", "--db", 1)
    assert status == 0
    assert b"*2\r\n$6\r\nSELECT\r\n$1\r\n1\r\n" in out
    assert b"\r\nRPUSH\r\n" in out
    restored = raw("export", dump, "-f", "resp", "--restore", "--db", 1)[1]
    assert restored.count(b"\r\nRESTORE\r\n") == 3


def test_modules_are_left_out_and_counted_unless_a_target_is_named() -> None:
    path = FIXTURES / "redis-7.2.6" / "rdb-module" / "dump.rdb"
    modules = len(rdbkit("keys", path, "--type", "module", "-f", "jsonl").rows)
    status, out, said = raw("export", path, "-f", "resp")
    assert (status, out.count(b"\r\nRESTORE\r\n")) == (5, 0)
    assert "skipped; pass `--target redis:7.2.6` to write RESTORE" in said
    assert str(modules) in said
    status, out, _ = raw("export", path, "-f", "resp", "--target", "redis:7.2.6")
    assert (status, out.count(b"\r\nRESTORE\r\n")) == (0, modules)


def test_incomplete_output_is_put_in_place(tmp_path: Path) -> None:
    """Status 5: the input is valid, and a part of it was written."""
    path = FIXTURES / "redis-7.2.6" / "rdb-module" / "dump.rdb"
    assert raw("export", path, "-f", "resp", "-o", tmp_path / "out")[0] == 5
    assert [found.name for found in tmp_path.iterdir()] == ["out"]


# -- split -----------------------------------------------------------------------------------------------------------


def test_split(files: Path, tmp_path: Path) -> None:
    rdb, aof = tmp_path / "head.rdb", tmp_path / "tail.aof"
    ran = rdbkit("split", files / "mixed.aof", "--rdb", rdb, "--aof", aof)
    assert ran.status == 0
    assert rdb.read_bytes() + aof.read_bytes() == (files / "mixed.aof").read_bytes()
    assert rdbkit("check", rdb).status == 0
    assert aof.read_bytes().startswith(b"*2\r\n$6\r\nSELECT")


@pytest.mark.parametrize(
    ("name", "status"),
    [("plain.aof", 3), ("text.rdb", 3), ("empty.rdb", None), ("cut.rdb", 1), ("nowhere", 4), (".", 4)],
)
def test_what_cannot_be_split(files: Path, tmp_path: Path, name: str, status: int | None) -> None:
    rdb, aof = tmp_path / "head.rdb", tmp_path / "tail.aof"
    ran = rdbkit("split", files / name, "--rdb", rdb, "--aof", aof)
    assert ran.status in ((1, 3) if status is None else (status,))
    assert ran.lines[0].startswith(f"rdbkit: {files / name}: ")
    assert not rdb.exists()
    assert not aof.exists()


def test_split_spares_its_input(files: Path, tmp_path: Path) -> None:
    copy = tmp_path / "mixed.aof"
    copy.write_bytes((files / "mixed.aof").read_bytes())
    assert rdbkit("split", copy, "--rdb", tmp_path / "a", "--aof", copy).status == 2
    assert rdbkit("split", copy, "--rdb", tmp_path / "a", "--aof", tmp_path / "a").status == 2
    assert copy.read_bytes() == (files / "mixed.aof").read_bytes()
    assert [path.name for path in tmp_path.iterdir()] == ["mixed.aof"]
