"""Which files each server that is found loads: `compat` says so exactly where the server starts with the file."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from conftest import FIXTURES

from live import servers
from live.servers import Build
from live.starts import starts
from rdbkit.conversion.compat import compat
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


@pytest.mark.parametrize("build", servers.found(), ids=str)
def test_compat_of_append_only_files(build: Build, tmp_path: Path) -> None:
    target = Target.parse(f"{build.product}:{build.name.split('-')[1]}")
    differ = []
    for number, path in enumerate(AOFS):
        home = tmp_path / str(number)
        shutil.copytree(path, home)
        if not build.since((7, 0)) and not (home / "appendonly.aof").exists():
            # It does not look into appendonlydir, and starts empty.
            continue
        found = compat(home, target=target).asked
        assert found is not None
        if found.loads is not starts(build, home, "--appendonly", "yes"):
            differ.append((str(path.relative_to(FIXTURES)), found.loads, [need.name for need in found.blockers]))
    assert differ == []
