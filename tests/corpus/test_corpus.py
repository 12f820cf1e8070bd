"""Every file that a real server wrote is read as the server itself described it, on both builds."""

from __future__ import annotations

import base64
import gzip
import json
from collections import Counter
from typing import Any

import pytest
from conftest import FIXTURES

from corpus.oracle import Case, Where, cases, manifest, raw

CASES = cases()
#: Files called check-… were chosen for the findings of a check.
PATHS = [row["path"] for row in manifest() if row["path"].endswith(".rdb") and not row["case"].startswith("check-")]
PAYLOADS = json.loads(gzip.decompress((FIXTURES / "dump-payloads.json.gz").read_bytes()))
#: Data that the corpus' module keeps beside its keys: of which type, and when it is due.
AUX = [("kit-typeA", 1), ("kit-typeA", 2), ("kit-auxBB", 2)]


def compare(case: Case, snapshot: Any) -> set[Where]:
    """Compare each entry with its row of the account; return the rows."""
    account = case.account()
    seen: set[Where] = set()
    for entry in snapshot:
        where = entry.db, entry.key
        assert where in account, f"{where} is not in the account"
        assert where not in seen, f"{where} twice"
        seen.add(where)
        row = account[where]
        assert (where, case.described(entry, row)) == (where, row)
    return seen


@pytest.mark.parametrize("case", CASES, ids=str)
def test_as_the_server_said(build, case):
    with build.rdbkit.open(case.path, **case.options) as snapshot:
        assert compare(case, snapshot) == set(case.account())
        assert snapshot.checksum == ("disabled" if case.case == "rdb-nochecksum" else "good")
        if case.number < (3, 2):
            assert snapshot.producer is None
        else:
            assert f"{snapshot.product}-{snapshot.producer}" == case.server
        assert sorted(snapshot.functions) == case.functions()
        assert snapshot.tail is None
        assert {db: d.keys for db, d in snapshot.databases.items()} == Counter(db for db, _ in case.account())


def test_the_account_says_enough():
    """Of every type, values were compared, and of hashes' fields, users' idle times and groups more than none."""
    rows = [row for case in CASES for row in case.account().values()]
    described = Counter(row.get("type") for row in rows if row.get("value") is not None)
    assert min(described[kind] for kind in ("string", "list", "set", "zset", "hash", "stream", "array", "module")) > 10
    assert sum(bool(row.get("field_expires_at")) for row in rows) > 20
    assert sum(bool(row.get("idle")) for row in rows) > 5
    assert sum(bool(row.get("freq")) for row in rows) > 5
    assert sum(row.get("expires_at") is not None for row in rows) > 100


@pytest.mark.parametrize("path", PATHS)
def test_nothing_is_wrong_with_any(build, path):
    found = build.rdbkit.check(str(FIXTURES / path))
    assert [finding for finding in found.findings if finding.severity != "note"] == []
    assert found.sound
    assert found.complete


def test_from_sync(build):
    """What `redis-cli --rdb` fetched holds what the server saved later, without what came in between."""
    case = Case("redis-7.0.15", "rdb-repl")
    folder = FIXTURES / case.server / case.case
    with build.rdbkit.open(str(folder / "from-sync.rdb")) as snapshot:
        assert compare(case, snapshot) == set(case.account()) - {(3, b"after:sync")}
        assert snapshot.checksum == "good"
    with build.rdbkit.open(str(folder / "functions-only.rdb")) as snapshot:
        assert list(snapshot) == []
        assert sorted(snapshot.functions) == case.functions()


def test_slot_import(build):
    with build.rdbkit.open(Case("valkey-9.1.2", "rdb-slot-import").path) as snapshot:
        for _ in snapshot:
            pass
        [(job, ranges)] = snapshot.slot_imports
    assert (len(job), ranges) == (40, [(0, 5000), (6000, 6005)])


@pytest.mark.parametrize("server", ["redis-8.6.3", "redis-8.10.2"])
def test_key_meta(build, server):
    """Keys that have metadata in the account have records of it in the file, of the classes that the module made."""
    case = Case(server, "rdb-keymeta")
    class_name = build("rdb.primitives").class_name
    walker = build("rdb.walker")
    found = {}
    with build.rdbkit.open(case.path) as snapshot:
        for batch in snapshot.batches():
            for row in batch:
                meta = (row[walker.EXTRA] or {}).get("meta", ())
                found[row[walker.KEY]] = sorted(class_name(number)[0] for number in meta)
    described = {raw(key): sorted(f"KMT{name}" for name, value in of.items() if value is not None)
            for key, of in case.oracle["key_meta"].items()}  # fmt: skip
    assert {key: len(names) for key, names in found.items()} == {key: len(names) for key, names in described.items()}
    assert len({name for names in found.values() for name in names}) == 2


@pytest.mark.parametrize("server", ["redis-4.0.14", "redis-5.0.14", "redis-7.2.6", "redis-8.10.2", "valkey-9.1.2"])
def test_module_aux(build, server):
    with build.rdbkit.open(Case(server, "rdb-module").path) as snapshot:
        names = {entry.value.name for entry in snapshot if entry.type == "module"}
        aux = snapshot.modules_aux
    assert names == {"kit-typeA"}
    described = [(build("rdb.modules").module_name(number)[0], when) for number, when in aux]
    assert described == ([] if server in ("redis-4.0.14", "redis-5.0.14") else AUX)


@pytest.mark.parametrize("server", PAYLOADS)
def test_dump_payloads(build, server):
    """DUMP payloads have the values of the server's account of their keys."""
    case = Case(server, "rdb-canonical")
    account = Case(server, "rdb-module").account() if server != "redis-2.8.24" else {}
    account |= case.account()
    for key, text in PAYLOADS[server]["dump"].items():
        record = build.rdbkit.load_dump(base64.b64decode(text), target=server.replace("-", ":"))
        row = {name: value for name, value in account[0, raw(key)].items() if name != "expires_at"}
        # Encodings are those after the server loaded the file; an expiry, which is not in a payload, changes strings'.
        if row["type"] == "string":
            row.pop("encoding")
        row |= {"expires_at": None}
        assert (key, case.described(record, row)) == (key, row)


def test_function_dump(build):
    text = PAYLOADS["redis-7.2.6"]["function_dump"]
    payload = build("rdb.dump").read_payload(base64.b64decode(text))
    assert sorted(payload.functions) == Case("redis-7.2.6", "rdb-canonical").functions()
    with pytest.raises(build.errors.Unsupported) as caught:
        build.rdbkit.load_dump(base64.b64decode(text))
    assert caught.value.code == "function-dump"


def test_all_packed_the_same(build, tmp_path):
    """A file is the same through a packing and from bytes, a path, or an object."""
    path = FIXTURES / "redis-7.2.6" / "rdb-lfu" / "dump.rdb"
    data = path.read_bytes()

    def described(what: Any) -> list[Any]:
        with build.rdbkit.open(what) as snapshot:
            return [(entry.offset, entry.key, entry.size, entry.encoding, repr(entry.value)) for entry in snapshot]

    packed = tmp_path / "dump.rdb.gz"
    packed.write_bytes(gzip.compress(data))
    with path.open("rb") as file:
        assert described(str(path)) == described(data) == described(str(packed)) == described(file)
