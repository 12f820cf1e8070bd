"""Compiled or pure: one answer for the whole package.

The hot modules are plain Python that may also stand beside a compiled build of themselves. Either all of them run
compiled or none does: a compiled module reaches into the others by C layout, so a half-built install, or
`RDBKIT_PURE=1`, switches every one to its source.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib.machinery import EXTENSION_SUFFIXES, ModuleSpec, SourceFileLoader
from pathlib import Path
from types import ModuleType

#: The modules that have a .pxd; the same list stands in pyproject.toml.
HOT = (
    "rdbkit.wire.crc64",
    "rdbkit.wire.lzf",
    "rdbkit.wire.cursor",
    "rdbkit.wire.listpack",
    "rdbkit.wire.ziplist",
    "rdbkit.rdb.body",
    "rdbkit.rdb.rax",
    "rdbkit.memory.array_memory",
    "rdbkit.rdb.stream_memory",
    "rdbkit.rdb.stream_nodes",
    "rdbkit.rdb.memory_walk",
    "rdbkit.rdb.walker",
    "rdbkit.aof.resp",
    "rdbkit.analysis.rows",
)
_ROOT = Path(__file__).parent


def _source(name: str) -> Path:
    return _ROOT.joinpath(*name.split(".")[1:]).with_suffix(".py")


def _is_built(name: str) -> bool:
    source = _source(name)
    return any(source.with_name(source.stem + suffix).exists() for suffix in EXTENSION_SUFFIXES)


class _SourceFinder:
    """Finds the hot modules as source, where the ordinary finders would prefer the extension beside it."""

    @staticmethod
    def find_spec(name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name not in HOT:
            return None
        # Not above: the compiled build starts without it.
        from importlib.util import spec_from_file_location

        file = str(_source(name))
        return spec_from_file_location(name, file, loader=SourceFileLoader(name, file))


def _choose() -> bool:
    if os.environ.get("RDBKIT_PURE", "") in ("", "0") and all(map(_is_built, HOT)):
        return True
    sys.meta_path.insert(0, _SourceFinder)
    return False


_COMPILED = _choose()


def compiled() -> bool:
    """Return whether the compiled build runs (else the same source is interpreted)."""
    return _COMPILED
