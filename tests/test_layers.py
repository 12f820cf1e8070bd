"""Imports follow the layers without circles, release rules are in one package, the library loads no command line."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "rdbkit"

#: From the bottom up; a module may import its own row and those before it.
LAYERS = [
    ["rdbkit.errors", "rdbkit._build"],
    ["rdbkit.wire", "rdbkit.files"],
    ["rdbkit.format"],
    ["rdbkit.releases"],
    ["rdbkit.source"],
    ["rdbkit.memory"],
    ["rdbkit.rdb"],
    ["rdbkit.aof"],
    ["rdbkit.entry"],
    ["rdbkit.keyspace"],
    ["rdbkit.snapshot"],
    ["rdbkit.checks"],
    ["rdbkit.analysis", "rdbkit.recovery", "rdbkit.conversion", "rdbkit.dropin"],
    ["rdbkit.output"],
    ["rdbkit.cli"],
    ["rdbkit", "rdbkit.__main__"],
]
ALONE = {"rdbkit.analysis", "rdbkit.recovery", "rdbkit.conversion", "rdbkit.dropin"}
#: These name modules of all layers, to find or to load them.
INDEXES = {"rdbkit", "rdbkit._build", "rdbkit.__main__"}


def _modules() -> dict[str, Path]:
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = _modules()
TREES = {name: ast.parse(path.read_text()) for name, path in MODULES.items()}


def _layer(module: str) -> int:
    """The row that a module belongs to: that of the longest name in LAYERS that it starts with."""
    best, row = "", -1
    for number, names in enumerate(LAYERS):
        for name in names:
            inside = module == name or (name != "rdbkit" and module.startswith(name + "."))
            if inside and len(name) > len(best):
                best, row = name, number
    return row


def _imports(module: str) -> Iterator[tuple[int, str]]:
    """Yield line and full name of what a module of ours imports from us, anywhere in it and however it is spelled."""
    for node in ast.walk(TREES[module]):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names if alias.name.split(".")[0] == "rdbkit")
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}:{node.lineno}: a relative import"
            if (node.module or "").split(".")[0] == "rdbkit":
                names = (f"{node.module}.{alias.name}" for alias in node.names)
                yield from ((node.lineno, name if name in MODULES else str(node.module)) for name in names)
        elif isinstance(node, ast.Constant) and node.value in MODULES and module not in INDEXES:
            # import_module, or a table that something imports by.
            yield node.lineno, node.value


GRAPH = {module: sorted({name for _, name in _imports(module)} - {module}) for module in MODULES}


def test_every_module_has_its_layer() -> None:
    assert [name for name in MODULES if _layer(name) < 0] == []


@pytest.mark.parametrize("module", MODULES)
def test_imports_follow_the_layers(module: str) -> None:
    own = _layer(module)
    against = [f"{MODULES[module]}:{line} imports {name}" for line, name in _imports(module) if _layer(name) > own]
    if module.startswith("rdbkit.cli"):
        # The version is an attribute of the package itself.
        against = [text for text in against if not text.endswith(" imports rdbkit")]
    assert against == []


def test_modules_are_not_named_in_parts() -> None:
    """No f-string or concatenation builds the name of a module of ours, which the tests here could not see."""
    for module, tree in TREES.items():
        for node in ast.walk(tree):
            is_import = isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module")
            if is_import and module not in {*INDEXES, "rdbkit.source.packing"} and not module.startswith("rdbkit.cli"):
                # packing imports libraries that unpack.
                assert isinstance(node, ast.Call)
                assert isinstance(node.args[0], ast.Constant), f"{module}:{node.lineno}"


def _circles() -> list[list[str]]:
    """Return the groups of modules that import each other (Tarjan), those for types alone included."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(module: str) -> None:
        index[module] = low[module] = len(index)
        stack.append(module)
        for name in GRAPH[module]:
            if name not in index:
                visit(name)
                low[module] = min(low[module], low[name])
            elif name in stack:
                low[module] = min(low[module], index[name])
        if low[module] == index[module]:
            group = stack[stack.index(module) :]
            del stack[stack.index(module) :]
            if len(group) > 1:
                found.append(sorted(group))

    for module in MODULES:
        if module not in index and module not in INDEXES:
            visit(module)
    return found


def test_no_circles() -> None:
    assert _circles() == []


def test_questions_do_not_import_each_other() -> None:
    """analysis, recovery, conversion and dropin are independent."""
    for module in MODULES:
        home = next((name for name in ALONE if module == name or module.startswith(name + ".")), None)
        for line, name in _imports(module) if home else ():
            other = next((room for room in ALONE if name == room or name.startswith(room + ".")), home)
            assert other == home, f"{MODULES[module]}:{line} imports {name}"


def test_selection_imports_the_walker_alone() -> None:
    assert set(GRAPH["rdbkit.conversion.selection"]) <= {"rdbkit.rdb.walker"}


def test_no_package_has_the_name_of_a_public_function() -> None:
    """Importing a submodule would bind that name to the package."""
    import rdbkit

    packages = {name.split(".")[1] for name in MODULES if name.count(".")}
    functions = {name for name in rdbkit.__all__ if name not in ("Snapshot",)}
    assert packages & functions == set()


# -- release knowledge ------------------------------------------------------------------------------------------------

PRODUCTS = {"redis", "valkey", "keydb", "dragonfly"}


def _is_version(node: ast.expr) -> bool:
    """Return whether an expression is a tuple of two or three integers."""
    return isinstance(node, ast.Tuple) and len(node.elts) in (1, 2, 3) and all(map(_is_integer, node.elts))


def _is_integer(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and type(node.value) is int


def _named(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def _judgements(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield where versions and products are compared, looked up in a pair, or passed to a test of versions."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
            ordered = any(isinstance(op, ast.Lt | ast.LtE | ast.Gt | ast.GtE | ast.Eq | ast.NotEq) for op in node.ops)
            if ordered and any(map(_is_version, sides)):
                yield node.lineno, "a tuple of integers is compared"
            texts = [one for side in sides for one in ast.walk(side) if isinstance(one, ast.Constant)]
            if any(one.value in PRODUCTS for one in texts if isinstance(one.value, str)):
                yield node.lineno, "a product is compared"
            if any(_named(side).endswith("version") for side in sides) and any(map(_is_integer, sides)):
                yield node.lineno, "a version is compared with a number"
        elif isinstance(node, ast.Call):
            name = _named(node.func)
            values = [*node.args, *(keyword.value for keyword in node.keywords)]
            if name in ("since", "before", "at_least", "within", "newer", "older") and any(map(_is_version, values)):
                yield node.lineno, f"a version is passed to {name}"
            if name == "index" and any(isinstance(one, ast.Constant) and one.value in PRODUCTS for one in values):
                yield node.lineno, "a product is looked up"
        elif isinstance(node, ast.Match) and "product" in ast.unparse(node.subject):
            yield node.lineno, "a product is matched"


@pytest.mark.parametrize("module", [name for name in MODULES if not name.startswith("rdbkit.releases")])
def test_release_knowledge_has_one_home(module: str) -> None:
    """Outside of releases no version is compared and no product; rules of RDB versions are rows of format."""
    assert list(_judgements(TREES[module])) == []


@pytest.mark.parametrize(
    "text",
    [
        "target.version >= (7, 2)",
        "if (4, 0) > version: pass",
        "product == 'valkey'",
        "x = 1 if self.target.product in ('redis', 'keydb') else 2",
        "tool.since((7,), None)",
        "self.version < 5",
        "('redis', 'valkey').index(product) if False else names.index('valkey')",
    ],
)
def test_what_the_search_finds(text: str) -> None:
    assert list(_judgements(ast.parse(text)))


def test_features_are_asked_for_by_their_names() -> None:
    """Every name given to `has` is in the table, and every row of the table has a caller."""
    from rdbkit.releases.features import feature_names

    asked = {
        node.args[0].value
        for tree in TREES.values()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and _named(node.func) == "has"
        and node.args
        and isinstance(node.args[0], ast.Constant)
    }
    named = {node.value for tree in TREES.values() for node in ast.walk(tree) if isinstance(node, ast.Constant)}
    assert asked <= feature_names()
    assert feature_names() <= named


# -- what is loaded ---------------------------------------------------------------------------------------------------


def _loaded(*statements: str, environment: dict[str, str] | None = None) -> set[str]:
    code = "; ".join(("import sys", *statements, "print(*sorted(sys.modules))"))
    env = {**os.environ, "PYTHONPATH": str(PACKAGE.parent), **(environment or {})}
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=env, timeout=600)
    return set(ran.stdout.split())


@pytest.mark.parametrize("pure", ["0", "1"])
def test_the_library_loads_no_command_line(pure: str) -> None:
    loaded = _loaded("import rdbkit", environment={"RDBKIT_PURE": pure})
    assert not loaded & {"click", "rich", "crcmod", "rdbkit.cli", "rdbkit.output.table", "lzf", "zstandard", "lz4"}
    assert "rdbkit.output" not in loaded


def test_a_command_in_a_pipe_loads_no_rich() -> None:
    assert "rich" not in _loaded("import rdbkit.cli.keys", "import rdbkit.cli.check", "import rdbkit.cli.export")
