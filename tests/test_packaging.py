"""What is installed: which modules are compiled, which packages there are, which build runs."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from typing import Any

import pytest

from rdbkit import _build

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "rdbkit"


@pytest.fixture(scope="module")
def project() -> Any:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def _dotted(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


def test_a_pxd_an_extension_and_a_hot_module_are_the_same_set(project: Any) -> None:
    with_types = {_dotted(path) for path in PACKAGE.rglob("*.pxd")}
    modules = project["tool"]["setuptools"]["ext-modules"]
    assert {module["name"] for module in modules} == with_types
    assert set(_build.HOT) == with_types
    for module in modules:
        assert module["sources"] == [module["name"].replace(".", "/") + ".py"]
        # Without a compiler the install goes on.
        assert module["optional"] is True
        assert (ROOT / module["sources"][0]).exists()


def test_hot_modules_are_plain_python() -> None:
    assert not list(PACKAGE.rglob("*.pyx"))
    for path in PACKAGE.rglob("*.py"):
        assert not re.search(r"^\s*(import cython|from cython)", path.read_text(), re.MULTILINE), path


def test_every_package_is_listed(project: Any) -> None:
    there = {_dotted(path.parent / "x")[:-2] for path in PACKAGE.rglob("__init__.py")}
    assert set(project["tool"]["setuptools"]["packages"]) == there
    for path in PACKAGE.rglob("*.py"):
        assert (path.parent / "__init__.py").exists(), path


def test_types_and_licence_are_shipped(project: Any) -> None:
    assert (PACKAGE / "py.typed").exists()
    assert "py.typed" in project["tool"]["setuptools"]["package-data"]["*"]
    assert "MIT License" in (ROOT / "LICENSE").read_text()
    assert project["project"]["license-files"] == ["LICENSE"]


def test_the_changelog_has_this_version(project: Any) -> None:
    assert f"## [{project['project']['version']}]" in (ROOT / "CHANGELOG.md").read_text()


# -- the build --------------------------------------------------------------------------------------------------------


def _compiled(home: Path, **environment: str) -> bool:
    """Ask a package in another directory, in a process of its own, which build runs; it must work, too."""
    code = (
        "import rdbkit, sys; data = bytes.fromhex('524544495330303039ff0000000000000000'); "
        "assert list(rdbkit.open(data)) == []; "
        "assert rdbkit.__file__.startswith(sys.argv[1]), rdbkit.__file__; print(rdbkit.compiled())"
    )
    env = {**os.environ, "PYTHONPATH": str(home), **environment}
    ran = subprocess.run(
        [sys.executable, "-c", code, str(home)],
        capture_output=True,
        text=True,
        env=env,
        cwd=home,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return {"True": True, "False": False}[ran.stdout.strip()]


def _built() -> list[Path]:
    """The extensions next to the sources, if all are there."""
    home = Path(_build.__file__).parent.parent
    stems = [home.joinpath(*name.split(".")) for name in _build.HOT]
    found = [
        stem.with_name(stem.name + suffix)
        for stem in stems
        for suffix in EXTENSION_SUFFIXES
        if stem.with_name(stem.name + suffix).exists()
    ]
    return found if len(found) == len(stems) else []


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the package as it is installed here."""
    home = tmp_path / "home"
    shutil.copytree(Path(_build.__file__).parent, home / "rdbkit", ignore=shutil.ignore_patterns("__pycache__", "*.c"))
    return home


def test_pure_on_request(copy: Path) -> None:
    assert not _compiled(copy, RDBKIT_PURE="1")


def test_pure_without_extensions(copy: Path) -> None:
    for path in copy.rglob("*"):
        if path.name.endswith(tuple(EXTENSION_SUFFIXES)):
            path.unlink()
    assert not _compiled(copy, RDBKIT_PURE="0")


@pytest.mark.slow
def test_one_missing_extension_switches_all_off(copy: Path) -> None:
    built = _built()
    if not built:
        if os.environ.get("RDBKIT_REQUIRE_COMPILED"):
            pytest.fail("the compiled build is required here and was not built")
        pytest.skip("no compiled build in this install")
    assert _compiled(copy, RDBKIT_PURE="0")
    assert _compiled(copy, RDBKIT_PURE="")
    home = Path(_build.__file__).parent.parent
    for path in built:
        here = copy / path.relative_to(home)
        kept = here.read_bytes()
        here.unlink()
        assert not _compiled(copy, RDBKIT_PURE="0"), here.name
        here.write_bytes(kept)
