"""The findings of `check`: each code from a file with just that problem, and none for valid files."""

from __future__ import annotations

import io
import os
import re
import tempfile
from binascii import crc_hqx
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rdb.files import FUNCTION, MS, STREAM, VERSIONS, Trickle, body, entry, everything, made
from rdb.test_values import ID, ONE
from rdb.test_walker import giant_file

from rdbkit.format import spec
from rdbkit.rdb import writer as default_writer

ROOT = Path(__file__).parent.parent.parent


def key(type_id: int, data: bytes, name: bytes = b"k") -> Any:
    """Return the call that writes a key with this body."""
    return "entry", type_id, name, data


def lp(*items: bytes) -> bytes:
    return body(spec.SET_LISTPACK, list(items))


def zl(*items: bytes) -> bytes:
    return body(spec.LIST_ZIPLIST, list(items))


def product_of(version: int) -> str:
    return "redis" if version < 80 else "valkey"


PATH = b"\x01p\x01\x01f\x01v"


def paths(data: bytes) -> Any:
    return "entry", spec.PATH_HASH, b"k", data


def stream(type_id: int = spec.STREAM_LISTPACKS_3, **changes: Any) -> Any:
    return entry(type_id, b"k", replace(STREAM, **changes))


def group(**changes: Any) -> Any:
    return [replace(STREAM.groups[0], **changes)]


def f64(*scores: float) -> bytes:
    parts = [b"\x01%c" % (97 + number) + default_writer.encode_f64(score) for number, score in enumerate(scores)]
    return bytes((len(scores),)) + b"".join(parts)


UNOWNED = replace(STREAM.groups[0].pending[0], consumer=None)
TWICE = b"\x02\x01a\x01x\x01a\x01y"
INTSET = b"\x0c\x02\x00\x00\x00\x02\x00\x00\x00\x05\x00\x05\x00"
EXPIRIES = MS.to_bytes(8, "little")

#: What is wrong with one key, or record: (code, severity, the calls that write it, version).
#: The finding has the offset of the key or of the record, unless the code is one of damage inside.
#: The slots of the keys "k" and "behind".
K, BEHIND = crc_hqx(b"k", 0) % 16384, crc_hqx(b"behind", 0) % 16384
WRONG: list[tuple[str, str, list[Any], int]] = [
    ("duplicate-member", "error", [key(spec.SET, b"\x02\x01a\x01a")], 11),
    ("duplicate-member", "error", [key(spec.SET_LISTPACK, lp(b"a", b"b", b"a"))], 11),
    ("duplicate-member", "error", [key(spec.ZSET_2, b"\x02" + f64(1.0)[1:] + f64(2.0)[1:])], 11),
    ("duplicate-member", "error", [key(spec.ZSET_LISTPACK, lp(b"a", b"1", b"a", b"2"))], 11),
    ("duplicate-member", "error", [key(spec.ZSET_ZIPLIST, zl(b"a", b"1", b"a", b"2"))], 9),
    ("duplicate-member", "error", [entry(spec.LIST, b"l"), key(spec.SET, b"\x48\x00" + b"\x01a" * 2048)], 11),
    ("duplicate-field", "error", [key(spec.HASH, TWICE)], 11),
    ("duplicate-field", "error", [key(spec.HASH_LISTPACK, lp(b"a", b"x", b"a", b"y"))], 11),
    ("duplicate-field", "error", [key(spec.HASH_ZIPLIST, zl(b"a", b"x", b"a", b"y"))], 9),
    ("duplicate-field", "error", [key(spec.HASH_LISTPACK_EX_PRE_GA, lp(b"a", b"x", b"5", b"a", b"y", b"6"))], 12),
    ("duplicate-field", "error", [paths(b"\x01\x01p" + TWICE)], 81),
    ("duplicate-path", "error", [paths(b"\x02" + PATH + PATH)], 81),
    ("duplicate-path", "error", [paths(b"\x03" + PATH + b"\x00\x01\x00\x00" + PATH)], 81),
    ("bad-path-hash", "error", [paths(b"\x01\x01p\x00")], 81),
    ("bad-bitmap", "error", [key(spec.BITMAP, b"\x01\x08" + b"\xff" * 8)], 16),
    ("bad-bitmap", "error", [key(spec.BITMAP, b"\x01" + body(spec.BITMAP, (2, [(8, 8)]))[1:])], 16),
    ("unverified-type", "note", [entry(spec.BITMAP, b"k")], 16),
    ("empty-key", "warning", [paths(b"\x00")], 81),
    ("empty-key", "warning", [key(spec.SET, b"\x00")], 11),
    ("empty-key", "warning", [key(spec.LIST, b"\x00")], 11),
    ("empty-key", "warning", [key(spec.ZSET_2, b"\x00")], 11),
    ("empty-key", "warning", [key(spec.HASH, b"\x00")], 11),
    ("empty-key", "warning", [key(spec.HASH_LISTPACK, lp())], 11),
    ("empty-key", "warning", [key(spec.LIST_QUICKLIST_2, b"\x01\x02" + lp())], 11),
    ("nan-score", "error", [key(spec.ZSET_2, f64(float("nan")))], 11),
    ("nan-score", "error", [key(spec.ZSET, b"\x01\x01a\xfd")], 6),
    ("nan-score", "error", [key(spec.ZSET_LISTPACK, lp(b"a", b"nan"))], 11),
    ("unsorted", "warning", [key(spec.ZSET_LISTPACK, lp(b"a", b"2", b"b", b"1"))], 11),
    ("unsorted", "warning", [key(spec.ZSET_ZIPLIST, zl(b"b", b"1", b"a", b"1"))], 9),
    ("unsorted", "warning", [key(spec.HASH_LISTPACK_EX, EXPIRIES + lp(b"a", b"x", b"0", b"b", b"y", b"%d" % MS))], 12),
    ("unsorted", "warning", [key(spec.ARRAY, b"\x02\x00\x05\x00\x01a\x04\x00\x01b")], 14),
    ("unsorted", "warning", [key(spec.ARRAY, b"\x02\x00\x05\x00\x01a\x05\x00\x01b")], 14),
    ("bad-array", "error", [key(spec.ARRAY, b"\x01\x00\x81" + b"\xff" * 8 + b"\x00\x01a")], 14),
    ("bad-min-expiry", "warning", [key(spec.HASH_LISTPACK_EX, EXPIRIES + lp(b"a", b"x", b"%d" % (MS + 1)))], 12),
    ("bad-min-expiry", "warning", [key(spec.HASH_METADATA, EXPIRIES + b"\x01\x02\x01a\x01x")], 12),
    ("stream-length", "warning", [key(spec.STREAM_LISTPACKS, b"\x00\x05\x01\x01\x00")], 9),
    ("stream-entries-added", "warning", [stream(entries_added=2, groups=[])], 11),
    ("stream-entries-added", "warning", [stream(entries_added=1 << 63)], 11),
    ("stream-last-id", "warning", [stream(last_id=(1, 5))], 11),
    ("stream-first-id", "warning", [stream(first_id=(1, 0))], 11),
    ("stream-entries-read", "warning", [stream(groups=group(entries_read=5))], 11),
    ("stream-pending", "error", [stream(groups=group(pending=[UNOWNED]))], 11),
    ("odd-expiry", "warning", [("expire_ms", -2), entry(0, b"k")], 11),
    ("newer-type", "warning", [("put", b"\x14\x01k" + lp(b"a"))], 9),
    ("unverified-type", "note", [entry(spec.CRON, b"k")], 9),
    ("unverified-type", "note", [paths(b"\x01" + PATH)], 81),
    ("newer-type", "warning", [("put", b"\x17\x01k\x01" + PATH)], 80),
    ("module-needed", "note", [entry(spec.MODULE_2, b"k")], 11),
    # Damage inside of a value whose end is known.
    ("bad-lzf", "error", [key(spec.STRING, b"\xc3\x02\x14\x00\x61")], 11),
    ("bad-lzf", "error", [key(spec.STRING, b"\xc3\x04\x16\x00\x61\x40\x05")], 11),
    ("bad-ziplist", "error", [key(spec.LIST_ZIPLIST, b"\x0b" + bytes(11))], 9),
    ("bad-ziplist", "error", [key(spec.HASH_ZIPLIST, zl(b"odd"))], 9),
    ("bad-listpack", "error", [key(spec.SET_LISTPACK, b"\x07" + bytes(7))], 11),
    ("bad-listpack", "error", [key(spec.HASH_LISTPACK, lp(b"odd"))], 11),
    ("bad-listpack", "error", [key(spec.ZSET_LISTPACK, lp(b"odd"))], 11),
    ("bad-listpack", "error", [key(spec.SET_LISTPACK, lp(b"a", b"b").replace(b"\x02\x00", b"\x03\x00", 1))], 11),
    ("bad-intset", "error", [key(spec.SET_INTSET, INTSET)], 11),
    ("bad-zipmap", "error", [key(spec.HASH_ZIPMAP, b"\x02\x01\x05")], 2),
    ("bad-score", "error", [key(spec.ZSET_LISTPACK, lp(b"a", b"high"))], 11),
    ("bad-quicklist", "error", [key(spec.LIST_QUICKLIST_2, b"\x01\x03\x01x")], 11),
    ("bad-stream", "error", [key(spec.STREAM_LISTPACKS, b"\x02" + (ID + ONE) * 2 + b"\x02\x01\x01\x00")], 9),
    ("bad-field-expiry", "error", [key(spec.HASH_LISTPACK_EX, EXPIRIES + lp(b"a", b"x", b"soon"))], 12),
    ("bad-template", "error", [key(spec.HASH_TMPL_LP_REF, lp(b"7", b"x"))], 15),
    # Records.
    ("bad-function", "error", [("function", b"return 1")], 10),
    ("bad-function", "error", [("function", b"#!lua\n")], 10),
    ("bad-function", "error", [("function", b"#!js name=x\n")], 10),
    ("duplicate-function", "error", [("function", FUNCTION), ("function", FUNCTION)], 10),
    ("module-needed", "note", [("module_aux", "kit-typeA", 3, 1, [])], 9),
    ("bad-module", "error", [("put", b"\xf7\x05\x02\x03\x00")], 9),
    ("bad-template", "error", [("put", b"\xf2\x05\x02\x02bb\x01a")], 15),
    ("bad-template", "error", [("put", b"\xf2\x05\x02\x01a\x01a")], 15),
    ("db-out-of-range", "warning", [("select_db", 16), entry(0, b"k")], 9),
    ("db-out-of-range", "error", [("select_db", 1 << 31), entry(0, b"k")], 9),
    ("db-twice", "warning", [("select_db", 3), entry(0, b"k"), ("select_db", 3), entry(0, b"l")], 9),
    ("resizedb", "warning", [("select_db", 0), ("resize_db", 5, 0), entry(0, b"k")], 9),
    ("resizedb", "note", [("select_db", 0), ("resize_db", 1, 1), entry(0, b"k")], 7),
    ("bad-slot", "error", [("slot_info", 20000, 0, 0)], 12),
    ("bad-slot", "warning", [("aux", b"slot-info", b"1,2")], 11),
    ("slot-mismatch", "warning", [("slot_info", 7, 1, 0), entry(0, b"k"), ("slot_info", BEHIND, 1, 0)], 12),
    ("slot-counts", "warning", [("slot_info", K, 2, 0), entry(0, b"k"), ("slot_info", BEHIND, 1, 0)], 12),
    ("slot-counts", "warning", [("aux", b"slot-info", b"%d,1,1" % K), entry(0, b"k"),
                                ("aux", b"slot-info", b"%d,1,0,0" % BEHIND)], 11),
    ("stray-attribute", "warning", [entry(0, b"k"), ("expire_ms", MS)], 9),
    ("duplicate-key", "error", [entry(0, b"k"), entry(0, b"k")], 9),
    ("duplicate-key", "error", [entry(0, b"k"), *(entry(0, b"%d" % n) for n in range(700)), entry(spec.SET, b"k")], 9),
]  # fmt: skip

#: Codes that need more than one file, and the name of their test.
ELSEWHERE = {
    "bad-length": "test_bytes_after_a_value", "bad-slots": "test_slot_imports", "slot-import": "test_slot_imports",
    "being-written": "test_a_file_that_changes", "checksum-mismatch": "test_checksums",
    "more-of-the-same": "test_repeats", "not-checked": "test_no_temporary_space_for_a_long_member",
    "not-unique": "test_no_temporary_space", "trailing-bytes": "test_what_follows", "stopped": "test_where_it_stopped",
    "needs-replay": "test_files_of_another_kind", "not-rdb": "test_files_of_another_kind",
    "unsupported-version": "test_files_of_another_kind", "unknown-type": "test_where_it_stopped",
    "unsupported-opcode": "test_where_it_stopped", "unsupported-type": "test_where_it_stopped",
    "slot-info": "test_slots",
    "torn-transfer": "test_a_transfer_that_is_not_what_it_announced",
}  # fmt: skip


def found(build: Any, what: Any, **options: Any) -> list[Any]:
    return list(build.rdbkit.check(what, **options).findings)


def codes(findings: list[Any]) -> list[tuple[str, str]]:
    return [(finding.code, finding.severity) for finding in findings]


def test_every_code_has_its_test():
    """The codes in the source are those of the table above."""
    text = "".join(
        (ROOT / "rdbkit" / name).read_text()
        for name in ("rdb/value_checks.py", "rdb/records.py", "checks/rdb.py", "checks/duplicates.py")
    )
    literal = set(re.findall(r'"([a-z]+(?:-[a-z]+)+)"', text)) | {"unsorted", "resizedb", "stopped"}
    literal -= set(spec.TYPES)
    made_up = {"duplicate-member", "duplicate-field", "duplicate-path"}
    assert literal | made_up <= {code for code, *_ in WRONG} | set(ELSEWHERE)
    assert set(ELSEWHERE.values()) <= set(globals())


@pytest.mark.parametrize(
    ("code", "severity", "calls", "version"), WRONG, ids=[f"{c[0]}-{n}" for n, c in enumerate(WRONG)]
)
def test_wrong(build, code, severity, calls, version):
    """Just that is found, and everything after it is read."""
    data = made(
        *calls,
        *([entry(0, b"behind")] if code != "stray-attribute" else []),
        version=version,
        product=product_of(version),
    )
    result = build.rdbkit.check(data)
    # What these bytes do to a server is one more finding: tests/checks/test_target.py. Path hashes and bitmaps
    # are read as documented, and with each comes a note that says so.
    others = {"harms-server"} | ({"unverified-type"} - {code} if version >= 16 else set())
    reported = [one for one in result.findings if not one.code.startswith("checksum") and one.code not in others]
    [finding] = [finding for finding in reported if severity == "note" or finding.severity != "note"]
    assert (finding.code, finding.severity) == (code, severity), finding
    assert result.sound == (severity != "error")
    assert result.complete
    assert result.checksum in ("good", "absent")
    assert result.offset == len(data)
    assert finding.message
    assert finding.hint or severity != "error"
    if code == "resizedb":
        assert finding.db == 0
    else:
        assert data[finding.offset] in range(256)
    if any(call[0] == "entry" for call in calls) and not code.startswith(("db-", "resizedb", "stray", "slot-c")):
        assert (finding.db, finding.key) == (0, b"k")
    assert build.rdbkit.check(data, strict=True).sound == (severity == "note")


def test_places(build):
    """Findings have the offset of their entry or record; those of damage have that of the damaged structure."""
    data = made(entry(0, b"first"), ("expire_ms", MS), key(spec.HASH, TWICE), version=9)
    [finding] = found(build, data)
    assert finding.offset == data.index(b"\xfc")
    data = made(entry(0, b"first"), ("function", b"no"), version=10)
    [finding] = found(build, data)
    assert finding.offset == data.index(b"\xf5\x02no")
    data = made(("expire_ms", MS), key(spec.SET_LISTPACK, b"\x07" + bytes(7)))
    [finding] = found(build, data)
    assert finding.offset == data.index(b"\x07" + bytes(7))
    data = made(entry(0, b"a"), entry(0, b"b"), entry(0, b"a"))
    [finding] = found(build, data)
    assert (finding.offset, finding.key) == (data.rindex(b"\x00\x01a"), b"a")
    assert str(data.index(b"\x00\x01a")) in finding.message


@pytest.mark.parametrize(("product", "version"), VERSIONS)
def test_valid_files(build, product, version):
    """A file with all types and records: only notes, except for pre-release forms that releases refuse."""
    reported = {code for code, severity in codes(found(build, everything(product, version))) if severity != "note"}
    assert reported <= {"resizedb", "slot-mismatch", "slot-counts"}


@pytest.mark.parametrize("form", ["redis", "valkey"])
def test_slots(build, form):
    """What the file says of its slots is compared with the keys, including hash tags; valid files have no finding."""

    def reported(*parts):
        calls = []
        for part in parts:
            if isinstance(part, bytes):
                calls.append(entry(0, part))
            elif form == "redis":
                calls.append(("slot_info", *part))
            else:
                calls.append(("aux", b"slot-info", b",".join(b"%d" % number for number in part)))
        data = made(*calls, version=12 if form == "redis" else 11)
        return [f.code for f in found(build, data) if f.code not in ("newer-type", "harms-server")]

    tagged = crc_hqx(b"tag", 0) % 16384
    assert reported((tagged, 3, 0), b"{tag}1", b"x{tag}{other}", b"tag") == []
    assert reported((crc_hqx(b"{}a", 0) % 16384, 1, 0), b"{}a") == []
    assert reported((tagged, 1, 0), b"a{tag") == ["slot-mismatch"]
    assert reported((tagged, 1, 0), b"tag", (K, 1, 0)) == ["slot-counts"]
    assert reported((16384, 1, 0), b"k") == ["bad-slot"]
    many = [b"{tag}%d" % number for number in range(700)]
    assert reported((tagged, 700, 0), *many, (K, 1, 0), b"k") == []
    assert reported((tagged, 701, 0), *many, (K, 1, 0), b"k") == ["slot-counts"]
    cut = made(("slot_info", tagged, 2, 0), entry(0, b"tag"), version=12)[:-10]
    assert [f.code for f in found(build, cut) if f.severity != "note"] == ["truncated"]


def test_same_key_in_two_databases(build):
    assert found(build, made(("select_db", 0), entry(0), ("select_db", 1), entry(0))) == []


def test_duplicates_on_a_pipe(build):
    """On a pipe they cannot be confirmed, and are reported by fingerprint; in a file they are named."""
    data = made(*(entry(0, b"%d" % (number % 500)) for number in range(510)))
    reported = found(build, Trickle(data, 100))
    assert codes(reported) == [("duplicate-key", "error")]
    assert reported[0].key is None
    assert "10 duplicate keys" in reported[0].message
    assert [finding.key for finding in found(build, data)] == [b"%d" % number for number in range(10)]


def test_repeats(build):
    """The first hundred of one code, then how many more."""
    data = made(*(key(spec.HASH, TWICE, b"%d" % number) for number in range(150)))
    result = build.rdbkit.check(data)
    assert codes(list(result.findings)) == [("duplicate-field", "error")] * 100 + [("more-of-the-same", "note")]
    assert "50 more" in result.findings[-1].message
    check = build("checks.file").FileCheck(data)
    list(check.findings())
    assert check.counts == {"error": 150}


def test_settings(build):
    data = made(("select_db", 5), entry(0))
    assert codes(found(build, data, settings={"databases": "4"})) == [("db-out-of-range", "error")]
    data = made(("select_db", 20), entry(0))
    assert found(build, data, settings={"databases": "32"}) == []


def test_checksums(build):
    data = made(entry(0), version=9)
    wrong = data[:-1] + bytes((data[-1] ^ 1,))
    result = build.rdbkit.check(wrong)
    assert codes(list(result.findings)) == [("checksum-mismatch", "error")]
    assert (result.sound, result.complete, result.checksum, result.keys) == (False, True, "wrong", 1)
    disabled, absent = made(entry(0), version=9, checksum=False), made(entry(0), version=4)
    for what, state in ((disabled, "disabled"), (absent, "absent")):
        assert codes(found(build, what)) == [(f"checksum-{state}", "note")]
        assert codes(found(build, what, require_checksum=True)) == [(f"checksum-{state}", "error")]
        assert not build.rdbkit.check(what, require_checksum=True).sound
    check = build("checks.file").FileCheck(data, verify=False)
    assert codes(list(check.findings())) == [("checksum-not-verified", "note")]


def test_what_follows(build):
    mark = b"0123456789abcdef0123456789abcdef01234567"
    data, unsummed = made(entry(0)), made(entry(0), checksum=False)
    assert codes(found(build, data + b"junk!")) == [("trailing-bytes", "warning")]
    assert codes(found(build, data + mark)) == [("trailing-bytes", "note")]
    assert ("trailing-bytes", "note") in codes(found(build, unsummed + mark))
    reported = codes(found(build, unsummed + b"junk!"))
    assert reported[0] == ("trailing-bytes", "error")
    assert ("stopped", "note") in reported
    assert codes(found(build, data + b"*1\r\n$4\r\nPING\r\n")) == []


@pytest.mark.parametrize(("damage", "code"), [
    (b"\x08\x01k", "unknown-type"), (b"\x96\x01k", "unknown-type"), (b"\x06\x01k\x01", "unsupported-type"),
    (b"\x64\x01k", "unsupported-opcode"), (b"\x00\xff", "bad-string"), (b"\x02\x01k\xff", "bad-length"),
    (b"\x02\x01k\x05\x01a", "truncated"), (b"\x07\x01k\x05\x09", "bad-module"), (b"\xf3\x08", "bad-key-meta"),
])  # fmt: skip
def test_where_it_stopped(build, damage, code):
    """Damage of the framing hides what follows: the walk ends and reports where; what was read is valid."""
    start = made(
        *(entry(0, b"%d" % number) for number in range(300)), key(spec.HASH, TWICE, b"twice"), end=False, version=13
    )
    result = build.rdbkit.check(start + damage)
    reported = codes(list(result.findings))
    assert reported == [("duplicate-field", "error"), (code, "error"), ("stopped", "note")]
    assert (result.sound, result.complete, result.keys, result.checksum) == (False, False, 301, "not reached")
    assert result.findings[1].offset >= len(start)
    assert "301 keys read" in result.findings[2].message


@pytest.mark.parametrize(("data", "code"), [
    (b"", "empty"), (b"REDIS", "truncated"), (b"REDIS0099", "unsupported-version"), (b"GARBAGE", "not-rdb"),
    (b"REDIS00zz", "bad-version"), (b"file a.aof seq 1 type b\n", "needs-replay"),
])  # fmt: skip
def test_files_of_another_kind(build, data, code):
    result = build.rdbkit.check(data)
    assert codes(list(result.findings)) == [(code, "error")]
    assert (result.sound, result.complete, result.keys) == (False, False, 0)
    assert result.findings[0].hint


def test_slot_imports(build):
    def reported(*ranges: tuple[int, int]) -> list[tuple[str, str]]:
        data = made(("slot_import", b"j" * 40, ranges), version=80, product="valkey")
        return codes(found(build, data))

    assert reported((0, 16383)) == [("slot-import", "note")]
    for wrong in ((5, 4), (0, 16384)):
        assert reported((0, 1), wrong) == [("bad-slots", "error"), ("slot-import", "note")]


def test_bytes_after_a_value(build, monkeypatch):
    """If walk and decoder disagree about the end of a value, this is reported."""
    snapshot = build("snapshot").Snapshot
    batches = snapshot.batches
    monkeypatch.setattr(
        snapshot,
        "batches",
        lambda self: ([(*r[:8], r[8] + 1, r[9], r[10] + b"?", r[11]) for r in b] for b in batches(self)),
    )
    assert codes(found(build, made(entry(spec.SET, b"k")))) == [("bad-length", "error")]


def test_a_file_that_changes(build, tmp_path):
    path = tmp_path / "dump.rdb"
    path.write_bytes(made(entry(0)))
    check = build("checks.file").FileCheck(str(path), progress=lambda snapshot: Touch(path))
    assert codes(list(check.findings())) == [("being-written", "warning")]
    assert found(build, str(path)) == []


class Touch:
    """A progress display during which another process writes to the file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> Touch:
        return self

    def __exit__(self, *_: object) -> None:
        os.utime(self.path, ns=(1, 1))

    def update(self, offset: int) -> None:
        assert offset > 9


def test_giants(build):
    """Values that are too long to keep are checked, too, from a pipe with a copy; their damage stays separate."""
    for type_id in (spec.SET, spec.HASH_LISTPACK, spec.ZSET_2, spec.STREAM_LISTPACKS_3, spec.ARRAY):
        data = giant_file(type_id)
        for what in (data, Trickle(data, 1 << 16)):
            result = build.rdbkit.check(what)
            assert (result.sound, result.complete, result.keys) == (True, True, 3), result.findings
    names = [b"%d" % number + bytes(2000) for number in range(800)]
    twice = made(entry(0, b"a"), entry(spec.SET, b"k", [*names, names[5]], compress=False), entry(0, b"b"))
    [finding] = found(build, twice)
    assert (finding.code, finding.key) == ("duplicate-member", b"k")
    whole = made(entry(0, b"a"), entry(spec.LIST_QUICKLIST_2, b"k", names, compress=False), entry(0, b"b"))
    at = whole.rindex(b"\x02" + b"\x5f")
    damaged = whole[:at] + b"\x05" + whole[at + 1 :]
    for what in (damaged, Trickle(damaged, 1 << 16)):
        result = build.rdbkit.check(what)
        assert (result.sound, result.keys, result.unreadable, result.elements) == (False, 3, 1, 2)
        assert codes(list(result.findings)) == [("bad-quicklist", "error"), ("checksum-mismatch", "error")]
        assert (result.findings[0].offset, result.findings[0].key) == (at, b"k")
    # If the lengths are wrong too, there is one finding.
    [finding, note] = found(build, whole[:at] + b"\x02\x82" + whole[at + 2 :])
    assert (finding.code, finding.key, note.code) == ("bad-length", b"k", "stopped")


def test_a_member_of_any_length_is_looked_into(build, tmp_path):
    """A member of 600 MiB (a hole in the file): the file is not reported as damaged."""
    path = tmp_path / "dump.rdb"
    with path.open("wb") as file:
        file.write(b"REDIS0004\xfe\x00\x02\x01k\x02\x01a\x80" + (600 << 20).to_bytes(4, "big"))
        file.seek(600 << 20, 1)
        file.write(b"\x00\x01b\x01v\xff")
    result = build.rdbkit.check(str(path))
    assert (result.sound, result.complete, result.keys) == (True, True, 2)
    assert codes(list(result.findings)) == [("checksum-absent", "note")]


def test_a_transfer_that_is_not_what_it_announced(build):
    file = made(entry(0))
    mark = b"m" * 40
    whole = [b"$%d\r\n%b" % (len(file), file), b"$EOF:%b\r\n%b%b" % (mark, file, mark)]
    for data in whole:
        assert not [found for found in build.rdbkit.check(data).findings if found.severity != "note"]
    for data in (b"$9999\r\n" + file, whole[1][:-40], whole[1][:-1]):
        result = build.rdbkit.check(data)
        assert result.sound
        assert result.findings[0].code == "torn-transfer"


# -- uniqueness --------------------------------------------------------------------------------------------------------


@pytest.fixture
def tiny_budget(build, monkeypatch):
    """Fingerprints go to disk at once."""
    monkeypatch.setattr(build("rdb.duplicate_filter").DuplicateFilter.__init__, "__defaults__", (64,))


def test_spilled(build, tiny_budget):
    """The same findings when everything went to a temporary file."""
    keys = [b"%d" % number for number in range(3000)]
    data = made(*(entry(0, name) for name in [*keys, keys[7], keys[2999]]), entry(spec.SET, b"s", [*keys, keys[9]]))
    reported = found(build, data)
    assert [(finding.code, finding.key) for finding in reported] == [
        ("duplicate-member", b"s"), ("duplicate-key", keys[7]), ("duplicate-key", keys[2999])
    ]  # fmt: skip


def test_no_temporary_space(build, tiny_budget, monkeypatch):
    """It is reported if uniqueness was not checked."""

    def full(*_: Any, **__: Any) -> Any:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tempfile, "TemporaryFile", full)
    keys = [b"%d" % number for number in range(3000)]
    result = build.rdbkit.check(made(entry(spec.SET, b"s", keys), *(entry(0, name) for name in keys)))
    assert codes(list(result.findings)) == [("not-unique", "warning")] * 2
    assert result.findings[0].key == b"s"
    assert "of keys not checked: No space left on device" in result.findings[1].message
    assert (result.sound, result.complete, result.keys) == (True, True, 3001)


def test_no_temporary_space_for_a_long_member(build, monkeypatch):
    """The order of a sorted set's members needs their bytes: it is reported if they cannot be kept."""

    def full(*_: Any, **__: Any) -> Any:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tempfile, "TemporaryFile", full)
    pairs = [(b"x" * (1 << 20), 1.0), (b"y", 2.0)]
    result = build.rdbkit.check(made(entry(spec.ZSET_LISTPACK, b"k", pairs), entry(0, b"after")))
    assert codes(list(result.findings)) == [("not-checked", "warning")]
    assert result.findings[0].key == b"k"
    assert "No space left on device" in result.findings[0].message
    assert (result.sound, result.complete, result.keys) == (True, True, 2)
    # Sets need digests only.
    assert not build.rdbkit.check(made(entry(spec.SET, b"k", [b"x" * (1 << 20), b"y"]))).findings


@pytest.mark.parametrize("budget", [1 << 10, 1 << 24])
def test_unique(build, budget):
    """Every duplicate name is a candidate, and no other; salts distinguish databases."""
    module = build("rdb.duplicate_filter")
    names = [b"name:%d" % number for number in range(150_000)]
    with module.DuplicateFilter(budget) as unique:
        for start in range(0, len(names), 1000):
            unique.add(names[start : start + 1000], start % 3)
        unique.add(names[:1000], 5)
        unique.add([names[3], names[5000]], 0)
        unique.add([names[149_999]], 149_000 % 3)
        expected = {module.fingerprint(names[n], salt) for n, salt in ((3, 0), (149_999, 149_000 % 3))}
        if 5000 % 3 == 0:
            expected.add(module.fingerprint(names[5000], 0))
        assert unique.candidates() == expected


def test_unique_finds_none_where_there_is_none(build):
    with build("rdb.duplicate_filter").DuplicateFilter(256) as unique:
        assert unique.candidates() == set()
        unique.add([b"a", b"b"], 1)
        unique.add([b"a", b"b"], 2)
        assert unique.candidates() == set()


def test_unique_of_a_file_of_copies(build):
    """Of many candidates only the first are returned."""
    with build("rdb.duplicate_filter").DuplicateFilter() as unique:
        for _ in range(2):
            unique.add(b"%d" % number for number in range(40_000))
        assert 1 << 14 < len(unique.candidates()) <= 40_000


def test_damage_inside_a_stream_hides_nothing(build: Any) -> None:
    """The framing of a damaged node shows where the next key is."""
    nodes = [b"\x05short\x01x", b"\x10" + bytes(16) + b"\x03bad", b"\xc0\x05\xc0\x06"]
    for node in nodes:
        stream = b"\x01" + node + bytes(4)
        result = build.rdbkit.check(made(("entry", spec.STREAM_LISTPACKS, b"s", stream), entry(0, b"k"), version=9))
        assert [finding.severity for finding in result.findings] == ["error"]
        assert (result.findings[0].key, result.keys, result.complete) == (b"s", 2, True)


def test_uniqueness_without_temporary_space_in_the_middle(build: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The check of keys is given up and reported at the end; the walk continues."""
    unique = build("rdb.duplicate_filter")
    monkeypatch.setattr(unique.DuplicateFilter.__init__, "__defaults__", (64,))
    monkeypatch.setattr(unique, "_RUN", 100)

    def full(*_: Any, **__: Any) -> Any:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tempfile, "TemporaryFile", full)
    names = [b"%d" % number for number in range(5000)]
    result = build.rdbkit.check(made(entry(spec.SET, b"s", names), *(entry(0, name) for name in names)))
    assert [(found.code, found.severity) for found in result.findings] == [("not-unique", "warning")] * 2
    assert (result.complete, result.keys) == (True, 5001)


def test_equal_fingerprints_are_confirmed(build: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Members with equal fingerprints are compared by reading again; for a pipe, from a copy."""
    check, unique = build("rdb.value_checks"), build("rdb.duplicate_filter")
    data = giant_file(spec.SET)
    path = tmp_path / "dump.rdb"
    path.write_bytes(data)
    with build.rdbkit.open(data) as snapshot:
        name = next(next(found.parts()) for found in snapshot if found.body is None)
    monkeypatch.setattr(
        unique.DuplicateFilter, "candidates", lambda self: {unique.fingerprint(name)} if self._run else set()
    )
    assert check.DuplicateFilter is unique.DuplicateFilter
    for what in (data, path, Trickle(data, 1 << 16)):
        assert "duplicate-member" not in [found.code for found in build.rdbkit.check(what).findings]


class Failing(io.BytesIO):
    """A file that cannot be read beyond an offset."""

    def read(self, n: int | None = -1, /) -> bytes:
        if self.tell() > 500_000:
            raise OSError(5, "Input/output error")
        return super().read(n)

    read1 = read  # type: ignore[assignment]


def test_a_read_error_is_not_a_finding(build: Any) -> None:
    """A read error raises OSError."""
    file = Failing(giant_file(spec.SET))
    with pytest.raises(OSError, match="Input/output error"):
        build.rdbkit.check(file)
