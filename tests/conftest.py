"""Both faces in one process, and the few things that every test needs."""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

FIXTURES = Path(__file__).parent.parent / "fixtures"


class Face:
    """One face of the package: `face("wire.lzf")` is the module rdbkit.wire.lzf, compiled or interpreted.

    Classes differ between the faces, so errors are caught as `face.errors.Corrupt`.
    """

    def __init__(self, name: str, modules: dict[str, ModuleType]) -> None:
        self.name = name
        self._modules = modules

    def __call__(self, name: str) -> Any:
        full = f"rdbkit.{name}" if name else "rdbkit"
        if full not in self._modules:
            outer = _swap(self._modules)
            try:
                importlib.import_module(full)
                self._modules = {n: m for n, m in sys.modules.items() if n.split(".")[0] == "rdbkit"}
            finally:
                _swap(outer)
        return self._modules[full]

    @property
    def errors(self) -> Any:
        return self("errors")

    @property
    def rdbkit(self) -> Any:
        return self("")


def _swap(modules: dict[str, ModuleType]) -> dict[str, ModuleType]:
    """Put these rdbkit modules in place of those loaded now, and return the latter."""
    outer = {name: module for name, module in sys.modules.items() if name.split(".")[0] == "rdbkit"}
    for name in outer:
        del sys.modules[name]
    sys.modules.update(modules)
    # A finder that switches to source belongs to one face only.
    sys.meta_path[:] = [finder for finder in sys.meta_path if getattr(finder, "__name__", "") != "_SourceFinder"]
    face = modules.get("rdbkit._face")
    if face is not None and not face.compiled():
        sys.meta_path.insert(0, face._SourceFinder)
    return outer


def _load(name: str) -> Face:
    before = os.environ.get("RDBKIT_PURE")
    os.environ["RDBKIT_PURE"] = "1" if name == "pure" else "0"
    outer = _swap({})
    try:
        importlib.import_module("rdbkit")
        modules = {n: m for n, m in sys.modules.items() if n.split(".")[0] == "rdbkit"}
    finally:
        _swap(outer)
        if before is None:
            del os.environ["RDBKIT_PURE"]
        else:
            os.environ["RDBKIT_PURE"] = before
    return Face(name, modules)


_FACES: dict[str, Face] = {}


@pytest.fixture(scope="session", params=["pure", "compiled"])
def face(request: pytest.FixtureRequest) -> Face:
    """Run the test on each face; where there is no compiled one, that half is skipped, or fails if it is required."""
    name = request.param
    if name not in _FACES:
        _FACES[name] = _load(name)
    found = _FACES[name]
    if name == "compiled" and not found("_face").compiled():
        if os.environ.get("RDBKIT_REQUIRE_COMPILED"):
            pytest.fail("the compiled face is required here and was not built")
        pytest.skip("no compiled face in this install")
    return found


@pytest.fixture(scope="session")
def fixtures() -> Path:
    """Return the directory of real files."""
    return FIXTURES


