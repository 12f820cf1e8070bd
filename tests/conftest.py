"""Both builds in one process, and the fixtures that all tests use.

An extension module loads once in a process: importing it again gives the same module, bound to the error classes and
tables of the package that imported it first. So the compiled build is loaded once: it is what `import rdbkit` gives in
this process (the ambient build) or, if that is the pure one, the single load made here. Sources can be loaded any
number of times.
"""

from __future__ import annotations

import builtins
import importlib
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import settings

# A test run in the background, or under nohup, ignores signals, and so would its child processes.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)

# Tests must not fail because the machine is busy.
settings.register_profile("rdbkit", deadline=None)
settings.load_profile("rdbkit")

FIXTURES = Path(__file__).parent.parent / "fixtures"
#: Tests that start processes, a few tenths of a second each.
PROCESSES = ("cli/", "dropin/", "live/", "recovery/test_cli.py", "test_builds.py", "test_source.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests that start processes, which are too slow for the run before a commit."""
    for item in items:
        if item.path.relative_to(Path(__file__).parent).as_posix().startswith(PROCESSES):
            item.add_marker("process")
            item.add_marker("slow")


class Build:
    """One build of the package: `build("wire.lzf")` is the module rdbkit.wire.lzf, compiled or interpreted.

    Classes differ between the builds, so errors are caught as `build.errors.Corrupt`. `modules` are those of a build
    that was loaded separately; None: the ambient one.
    """

    def __init__(self, name: str, modules: dict[str, ModuleType] | None = None) -> None:
        self.name = name
        self._modules = modules

    def __repr__(self) -> str:
        return f"<Build {self.name}>"

    def __call__(self, name: str) -> Any:
        full = f"rdbkit.{name}" if name else "rdbkit"
        if self._modules is None:
            return importlib.import_module(full)
        if full not in self._modules:
            with _in_place(self._modules):
                importlib.import_module(full)
                self._modules = _loaded()
        return self._modules[full]

    @property
    def modules(self) -> dict[str, ModuleType]:
        """Those of a build that was loaded separately."""
        return self._modules or {}

    def imported(self, *args: Any, **more: Any) -> Any:
        """Return what an import statement in one of these modules gives."""
        with _in_place(self.modules):
            found = _IMPORT(*args, **more)
            self._modules = _loaded()
        return found

    @property
    def errors(self) -> Any:
        return self("errors")

    @property
    def rdbkit(self) -> Any:
        return self("")


def _loaded() -> dict[str, ModuleType]:
    return {name: module for name, module in sys.modules.items() if name.split(".")[0] == "rdbkit"}


def _swap(modules: dict[str, ModuleType]) -> dict[str, ModuleType]:
    """Put these rdbkit modules in place of those loaded now, and return the latter."""
    outer = _loaded()
    for name in outer:
        del sys.modules[name]
    sys.modules.update(modules)
    # A finder that switches to source belongs to one build only.
    sys.meta_path[:] = [finder for finder in sys.meta_path if getattr(finder, "__name__", "") != "_SourceFinder"]
    build = modules.get("rdbkit._build")
    if build is not None and not build.compiled():
        sys.meta_path.insert(0, build._SourceFinder)
    return outer


@contextmanager
def _in_place(modules: dict[str, ModuleType]) -> Iterator[None]:
    outer = _swap(modules)
    try:
        yield
    finally:
        _swap(outer)


_BUILDS: dict[str, Build] = {}
_IMPORT = builtins.__import__


def _import(name: str, namespace: Any = None, *args: Any, **more: Any) -> Any:
    """Import for a function of a build that was loaded separately: from that build, not from the ambient one."""
    if name.split(".")[0] == "rdbkit" and namespace is not None:
        for build in _BUILDS.values():
            module = build.modules.get(namespace.get("__name__", ""))
            if module is not None and module.__dict__ is namespace:
                return build.imported(name, namespace, *args, **more)
    return _IMPORT(name, namespace, *args, **more)


builtins.__import__ = _import


def _load(name: str) -> Build:
    """Return the build, which is loaded at the first call; for "compiled" the pure one if there is no other."""
    if name not in _BUILDS:
        compiled = importlib.import_module("rdbkit._build").compiled()
        ambient = compiled == (name == "compiled")
        _BUILDS[name] = Build(name) if ambient else _load_apart(name)
    return _BUILDS[name]


def _load_apart(name: str) -> Build:
    before = os.environ.get("RDBKIT_PURE")
    os.environ["RDBKIT_PURE"] = "1" if name == "pure" else "0"
    try:
        with _in_place({}):
            package = importlib.import_module("rdbkit")
            # Its names are imported on demand; all are imported now, while this build is in sys.modules.
            for public in package.__all__:
                getattr(package, public)
            return Build(name, _loaded())
    finally:
        if before is None:
            del os.environ["RDBKIT_PURE"]
        else:
            os.environ["RDBKIT_PURE"] = before


@pytest.fixture(scope="session", params=["pure", "compiled"])
def build(request: pytest.FixtureRequest) -> Build:
    """Run the test on each build; where there is no compiled one, that half is skipped, or fails if it is required."""
    found = _load(request.param)
    if found.name == "compiled" and not found("_build").compiled():
        if os.environ.get("RDBKIT_REQUIRE_COMPILED"):
            pytest.fail("the compiled build is required here and was not built")
        pytest.skip("no compiled build in this install")
    return found


@pytest.fixture(scope="session")
def builds() -> tuple[Build, Build]:
    """Return the pure and the compiled build, for tests that compare them."""
    pure, compiled = _load("pure"), _load("compiled")
    if not compiled("_build").compiled():
        pytest.skip("no compiled build in this install")
    return pure, compiled


@pytest.fixture(scope="session")
def fixtures() -> Path:
    """Return the directory of real files."""
    return FIXTURES
