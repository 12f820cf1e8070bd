"""The two builds of one process: each raises the errors of its own classes, in any order of imports."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import rdbkit  # on purpose: the ambient import must not disturb the builds

ROOT = Path(__file__).parent.parent

#: Every hot module raises what it found, on a build that was asked for by name.
PROGRAM = """
import sys
{first}
import conftest
for name in {order}:
    build = conftest._load(name)
    if build("_build").compiled() != (name == "compiled"):
        print("no", name)
        continue
    errors = build.errors
    cursor = build("wire.cursor").Cursor
    calls = [
        (errors.Truncated, lambda: cursor(b"").u8()),
        (errors.Corrupt, lambda: cursor(b"\\xff").length()),
        (errors.Corrupt, lambda: build("wire.lzf").decompress(b"\\x20\\x00", 9, 0)),
        (errors.Corrupt, lambda: build("wire.listpack").items(b"\\0" * 7, 0)),
        (errors.Corrupt, lambda: build("wire.ziplist").items(b"\\0" * 11, 0)),
        (errors.Corrupt, lambda: build("rdb.body").Body(cursor(b"\\x01\\x07")).shape(18)),
        (errors.Unsupported, lambda: build.rdbkit.open(b"GARBAGE-GARBAGE")),
    ]
    for error, call in calls:
        try:
            call()
        except error:
            continue
        except Exception as other:
            sys.exit(f"{{name}}: {{other!r}} instead of {{error}}")
        sys.exit(f"{{name}}: no error")
    print("good", name)
import rdbkit
assert rdbkit.Corrupt is sys.modules["rdbkit.errors"].Corrupt
"""


def test_each_raises_its_own(build):
    cursor = build("wire.cursor").Cursor
    with pytest.raises(build.errors.Truncated):
        cursor(b"").u8()
    with pytest.raises(build.errors.Corrupt):
        build("wire.listpack").items(b"\0" * 7, 0)
    with pytest.raises(build.errors.Corrupt):
        build.rdbkit.open(b"REDIS00xx")


def test_what_runs_here_is_one_of_them(builds):
    ambient = builds[rdbkit.compiled()]
    assert ambient.rdbkit is rdbkit
    assert ambient.errors.Corrupt is rdbkit.Corrupt
    assert builds[not rdbkit.compiled()].errors.Corrupt is not rdbkit.Corrupt


@pytest.mark.parametrize("pure", ["0", "1"])
@pytest.mark.parametrize("first", ["", "import rdbkit"])
@pytest.mark.parametrize("order", [("pure", "compiled"), ("compiled", "pure", "compiled")], ids=["pure", "compiled"])
def test_any_order_of_imports(pure, first, order, builds):
    program = PROGRAM.format(first=first, order=order)
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    environment = {**os.environ, "RDBKIT_PURE": pure, "PYTHONPATH": path}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split() == [word for name in order for word in ("good", name)]
