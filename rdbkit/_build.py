"""Decides once for the whole package whether the compiled or the pure build runs.

The hot modules are plain Python, and may have a compiled build next to the source file. Either all of them run compiled
or none does, because a compiled module uses the C layout of the others. So an incomplete build, or `RDBKIT_PURE=1`,
switches all of them to their sources.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib.machinery import EXTENSION_SUFFIXES, ModuleSpec, SourceFileLoader
from pathlib import Path
from types import ModuleType

#: The modules that have a .pxd; pyproject.toml has the same list.
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
    """Finds the source of the hot modules; the ordinary finders would prefer the extension next to it."""

    @staticmethod
    def find_spec(name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name not in HOT:
            return None
        # Imported here, because the compiled build does not need it and starts faster without it.
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
    """Return whether the compiled build runs; if not, the same source is interpreted."""
    return _COMPILED
