"""Imports go one way, and a library does not load a command line."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "rdbkit"

#: From the ground up; a module may import its own row and those before it.
LAYERS = [
    ["rdbkit.errors", "rdbkit._face", "rdbkit.settings", "rdbkit.target"],
    ["rdbkit.wire", "rdbkit.files"],
    ["rdbkit.source"],
    ["rdbkit.rdb"],
    ["rdbkit.aof"],
    ["rdbkit.entry", "rdbkit.snapshot"],
    ["rdbkit.analysis", "rdbkit.repair", "rdbkit.convert", "rdbkit.dropin"],
    ["rdbkit.report"],
    ["rdbkit.cli"],
    ["rdbkit", "rdbkit.__main__"],
]
ALONE = {"rdbkit.analysis", "rdbkit.repair", "rdbkit.convert", "rdbkit.dropin"}


def _modules() -> dict[str, Path]:
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = _modules()


def _layer(module: str) -> int:
    """The row that a module belongs to: that of the longest name in LAYERS that it starts with."""
    best, row = "", -1
    for number, names in enumerate(LAYERS):
        for name in names:
            inside = module == name or (name != "rdbkit" and module.startswith(name + "."))
            if inside and len(name) > len(best):
                best, row = name, number
    return row


def _imports(path: Path) -> Iterator[tuple[int, str]]:
    """Yield line and full name of what a module of ours imports from us, wherever in it that stands."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names if alias.name.split(".")[0] == "rdbkit")
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: a relative import"
            if (node.module or "").split(".")[0] == "rdbkit":
                names = (f"{node.module}.{alias.name}" for alias in node.names)
                yield from ((node.lineno, name if name in MODULES else str(node.module)) for name in names)


def test_every_module_has_its_layer() -> None:
    assert [name for name in MODULES if _layer(name) < 0] == []


@pytest.mark.parametrize("module", MODULES)
def test_imports_go_one_way(module: str) -> None:
    own = _layer(module)
    against = [
        f"{MODULES[module]}:{line} imports {name}" for line, name in _imports(MODULES[module]) if _layer(name) > own
    ]
    if module.startswith("rdbkit.cli"):
        # The version is what the package says of itself.
        against = [text for text in against if not text.endswith(" imports rdbkit")]
    assert against == []


def test_questions_do_not_lean_on_each_other() -> None:
    """analysis, repair, convert and dropin stand side by side."""
    for module, path in MODULES.items():
        home = next((name for name in ALONE if module == name or module.startswith(name + ".")), None)
        for line, name in _imports(path) if home else ():
            other = next((room for room in ALONE if name == room or name.startswith(room + ".")), home)
            assert other == home, f"{path}:{line} imports {name}"


def test_selection_stands_on_the_walker_alone() -> None:
    names = {name for _, name in _imports(MODULES["rdbkit.convert.selection"])}
    assert names <= {"rdbkit.rdb.walker"}


def _loaded(*statements: str, environment: dict[str, str] | None = None) -> set[str]:
    code = "; ".join(("import sys", *statements, "print(*sorted(sys.modules))"))
    env = {**os.environ, "PYTHONPATH": str(PACKAGE.parent), **(environment or {})}
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=env, timeout=600)
    return set(ran.stdout.split())


@pytest.mark.parametrize("pure", ["0", "1"])
def test_the_library_loads_no_command_line(pure: str) -> None:
    loaded = _loaded("import rdbkit", environment={"RDBKIT_PURE": pure})
    assert not loaded & {"click", "rich", "crcmod", "rdbkit.cli", "rdbkit.report.table", "lzf", "zstandard", "lz4"}
    assert "rdbkit.report" not in loaded


def test_a_command_in_a_pipe_loads_no_rich() -> None:
    assert "rich" not in _loaded("import rdbkit.cli.keys", "import rdbkit.cli.check", "import rdbkit.cli.export")
