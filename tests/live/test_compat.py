"""Which files each server that is found loads: `compat` says so exactly where the server starts with the file."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from conftest import FIXTURES
from corpus.aofs import laid
from rdb.files import entry, made

from live import servers
from live.servers import Build
from live.starts import starts
from rdbkit.conversion.compat import compat
from rdbkit.format import spec
from rdbkit.format.versions import CHECKSUM_SINCE
from rdbkit.rdb.streams import Stream
from rdbkit.releases.target import Target

#: What `check` calls damaged (recorded inputs of the check tools) is not here.
FILES = sorted(path for path in FIXTURES.rglob("*.rdb") if not path.parent.name.startswith("check-"))


@pytest.mark.parametrize("build", servers.found(), ids=str)
def test_compat_says_what_the_server_does(build: Build, tmp_path: Path) -> None:
    target = Target.parse(f"{build.product}:{build.name.split('-')[1]}")
    differ = []
    for number, path in enumerate(FILES):
        home = tmp_path / str(number)
        home.mkdir()
        shutil.copy(path, home / "dump.rdb")
        found = compat(path, target=target).asked
        assert found is not None
        loads = starts(build, home)
        if found.loads is not loads:
            blockers = [(need.kind, need.name) for need in found.blockers]
            differ.append((str(path.relative_to(FIXTURES)), loads, blockers))
    assert differ == []


AOFS = sorted(path for path in FIXTURES.glob("*/aof-*") if path.is_dir())
#: Of a set with names of its own.
NAMES = {"appenddirname": "append only dir", "appendfilename": "my aof file.aof"}


@pytest.mark.parametrize("build", servers.found(), ids=str)
def test_compat_of_append_only_files(build: Build, tmp_path: Path) -> None:
    target = Target.parse(f"{build.product}:{build.name.split('-')[1]}")
    differ = []
    for number, path in enumerate(AOFS):
        home = tmp_path / str(number)
        laid(path, home)
        if not build.since((7, 0)) and not (home / "appendonly.aof").exists():
            # It does not look into the directory of a set, and starts empty.
            continue
        names = NAMES if (home / NAMES["appenddirname"]).exists() else {}
        words = (word for name, value in names.items() for word in (f"--{name}", value))
        found = compat(home, target=target).asked
        assert found is not None
        if found.loads is not starts(build, home, "--appendonly", "yes", *words):
            differ.append((str(path.relative_to(FIXTURES)), found.loads, [need.name for need in found.blockers]))
    assert differ == []


def _loads(build: Build, home: Path, data: bytes, settings: dict[str, str], read: bytes = b"") -> tuple[bool, bool]:
    """Return whether compat says that a server loads an RDB, and whether it does."""
    home.mkdir()
    (home / "dump.rdb").write_bytes(data)
    target = Target.parse(f"{build.product}:{build.name.split('-')[1]}")
    found = compat(home / "dump.rdb", target=target, settings=settings).asked
    assert found is not None
    words = (word for name, value in settings.items() for word in (f"--{name}", value))
    return found.loads, starts(build, home, *words, read=read)


@pytest.mark.parametrize("build", servers.found(), ids=str)
def test_relaxed_versions(build: Build, tmp_path: Path) -> None:
    if not build.since(None, (8, 1)):
        pytest.skip("no rdb-version-check")
    for value in ("strict", "relaxed"):
        for product, version in (*(("redis", n) for n in (1, 11, 12, 15)), ("valkey", 80), ("valkey", 81)):
            files = {"empty": [], "key": [entry(0, b"k")], "slot": [("slot_info", 1, 1, 0)]}
            files["fields"] = [entry(spec.HASH_2 if product == "valkey" else spec.HASH_METADATA, b"h")]
            for name, calls in files.items():
                number = {81: 80}.get(version, version)
                data = made(*calls, version=max(number, 12) if name in ("fields", "slot") else number, product=product)
                if version >= CHECKSUM_SINCE:
                    data = data.replace(b"VALKEY080", b"VALKEY%03d" % version)[:-8] + bytes(8)
                home = tmp_path / f"{value}-{product}-{version}-{name}"
                said, does = _loads(build, home, data, {"rdb-version-check": value})
                assert said is does, (value, product, version, name)


LONG = b"a" * 16378
STREAM = Stream([((1, 1), [(b"f", LONG)])], (1, 1), (1, 1), (0, 0), 1, [])
BACK_LENGTHS = [
    (spec.LIST_QUICKLIST_2, [LONG, b"b"], b"LRANGE k 0 -1"),
    (spec.HASH_LISTPACK, [(b"f", LONG, None)], b"HGETALL k"),
    (spec.ZSET_LISTPACK, [(LONG, 1.0)], b"ZRANGE k 0 -1"),
    (spec.SET_LISTPACK, [LONG, b"b"], b"SMEMBERS k"),
    (spec.STREAM_LISTPACKS_2, STREAM, b"XRANGE k - +"),
]


@pytest.mark.parametrize("build", servers.found(), ids=str)
def test_back_lengths(build: Build, tmp_path: Path) -> None:
    """A server that starts and crashes at the first read is one that does not load the file."""
    for kind, value, read in BACK_LENGTHS:
        version = spec.BY_ID[kind].since
        if not build.since((7, 2) if version == 11 else (7, 0)):
            continue
        for generation in ("old", "new"):
            options = {"node_bytes": 1 << 20} if kind in (spec.LIST_QUICKLIST_2, spec.STREAM_LISTPACKS_2) else {}
            data = made(entry(kind, b"k", value, generation=generation, **options), version=version)
            said, does = _loads(build, tmp_path / f"{kind}-{generation}", data, {}, read)
            assert said is does, (spec.BY_ID[kind].name, generation)


@pytest.mark.parametrize("build", servers.found(), ids=str)
def test_cluster_mode(build: Build, tmp_path: Path) -> None:
    for db in (0, 1):
        data = made(("select_db", db), entry(0, b"k"), version=9)
        said, does = _loads(build, tmp_path / str(db), data, {"cluster-enabled": "yes"})
        assert said is does is (db == 0)


@pytest.mark.parametrize("build", servers.found(), ids=str)
def test_databases(build: Build, tmp_path: Path) -> None:
    for number in ("1", "16", "20"):
        data = made(("select_db", 0), entry(0, b"k"), ("select_db", 17), entry(0, b"k"), version=9)
        said, does = _loads(build, tmp_path / number, data, {"databases": number})
        assert said is does is (number == "20")
