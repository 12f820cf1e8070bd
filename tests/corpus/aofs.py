"""AOFs of real servers, and what these held after they had loaded them (fixtures/README.md).

aof_cases()              the AOFs with an account: one AofCase each
case.placed(directory)   the files of a case, unpacked; return what is to be opened
case.account()           the keys, as of any Case; `server_only` names those that only a server can compute
"""

from __future__ import annotations

import gzip
import shutil
from collections.abc import Iterator
from pathlib import Path

from conftest import FIXTURES

from corpus.oracle import Case, Row, Where, manifest, raw

#: The time of the load: soon after the servers wrote the files, so that nothing had expired.
LOADED = 1_795_164_000_000
#: Times to live that count from the load: all in the file made by hand, and the RESTORE of servers before 7.0.
_BY_HAND, _RESTORED = 8_640_000_000, 864_000_000
#: Made by EVAL that is in the file as it was sent.
_LUA = {(0, b"t:lua1"), (0, b"t:lua2"), (0, b"t:lua3"), (0, b"t:lua5")}
_AFTER = {(0, b"mod:after")}
#: Vector sets are graphs made by lot.
_VECTORS = {(0, b"t:v")}
#: Keys that no reader of the file can compute.
_SERVER_ONLY = {
    "redis-4.0.14/aof-plain": _LUA,
    "redis-4.0.14/aof-module": _AFTER,
    "redis-6.2.16/aof-module": _AFTER,
    "redis-8.10.2/aof-module": _AFTER,
    "redis-8.10.2/aof-plain": _VECTORS,
    "redis-8.10.2/aof-timestamps": _VECTORS,
    "redis-8.10.2/aof-preamble": _VECTORS,
    "valkey-9.1.2/aof-module-nopre": {(0, b"mod:a"), (0, b"mod:b"), (0, b"mod:c"), *_AFTER},
}


class AofCase(Case):
    """One AOF that has an account."""

    @property
    def folder(self) -> Path:
        return FIXTURES / self.server / self.case

    def placed(self, directory: Path) -> Path:
        """Put the files into a directory, as they were in the server's; return the AOF, or the directory of its set."""
        return laid(self.folder, directory)

    @property
    def options(self) -> Row:
        return {**super().options, "target": self.server.replace("-", ":"), "now": LOADED}

    @property
    def server_only(self) -> set[Where]:
        return _SERVER_ONLY.get(str(self), set())

    def memory(self) -> dict[Where, int]:
        """MEMORY USAGE of each key after the load, those of modules excepted."""
        return {
            (int(db), raw(key["k"])): key["memory_reloaded"]
            for db, keys in self.oracle["dbs"].items()
            for key in keys
            if key.get("memory_reloaded") and self._key(key)["type"] != "module"
        }

    def _rows(self) -> Iterator[tuple[Where, Row]]:
        # Not all that the server had when it wrote the file is in it.
        differences = {(d["db"], d["k"]): d for d in self.oracle["reload_differences"]}
        for db, keys in self.oracle["dbs"].items():
            for key in keys:
                change = differences.get((db, key["k"]), {})
                if change.get("what") == "gone":
                    continue
                value = change.get("reloaded_value", key["value"])
                yield (int(db), raw(key["k"])), self._loaded({**key, "value": value})

    def _loaded(self, key: Row) -> Row:
        """Return the row of a key, without what no AOF holds."""
        row = self._key(key)
        if key["type"] == "stream":
            for group in row["value"]["groups"].values():
                group["consumers"] = {name: {} for name in group["consumers"]}
        if row["expires_at"] is not None and (life := self._life(key["k"])):
            row["expires_at"] = LOADED + life
        return row

    def _life(self, key: str) -> int:
        """Return the time to live that counts from the load, 0 for a time of its own."""
        if self.case == "aof-handmade-relative":
            return _BY_HAND if key != "a" else 0
        # The upgraded file is one of 6.2.
        return _RESTORED if key == "t:restored" and (self.number < (7, 0) or self.case == "aof-upgraded") else 0


def laid(folder: Path, directory: Path) -> Path:
    """Copy the files of an AOF case, unpacked; return what is to be opened."""
    for path in folder.rglob("*"):
        if not path.is_file() or path.name == "oracle.json.gz":
            continue
        copy = directory / path.relative_to(folder)
        copy.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".gz":
            copy.with_suffix("").write_bytes(gzip.decompress(path.read_bytes()))
        else:
            shutil.copyfile(path, copy)
    [found] = directory.iterdir()
    return found


def aof_cases() -> list[AofCase]:
    """Every AOF with an account."""
    names = dict.fromkeys(tuple(row["path"].split("/")[:2]) for row in manifest() if row["case"].startswith("aof-"))
    found = [AofCase(*name) for name in names]
    return [case for case in found if (case.folder / "oracle.json.gz").exists()]
