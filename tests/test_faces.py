"""The two faces of one process: each raises the errors of its own classes, whoever imported the package first."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import rdbkit  # on purpose: the ambient import must not disturb the faces

ROOT = Path(__file__).parent.parent

#: Every hot module raises what it found, on a face that was asked for by name.
PROGRAM = """
import sys
{first}
import conftest
for name in {order}:
    face = conftest._load(name)
    if face("_face").compiled() != (name == "compiled"):
        print("no", name)
        continue
    errors = face.errors
    cursor = face("wire.cursor").Cursor
    calls = [
        (errors.Truncated, lambda: cursor(b"").u8()),
        (errors.Corrupt, lambda: cursor(b"\\xff").length()),
        (errors.Corrupt, lambda: face("wire.lzf").decompress(b"\\x20\\x00", 9, 0)),
        (errors.Corrupt, lambda: face("wire.listpack").items(b"\\0" * 7, 0)),
        (errors.Corrupt, lambda: face("wire.ziplist").items(b"\\0" * 11, 0)),
        (errors.Corrupt, lambda: face("rdb.body").Body(cursor(b"\\x01\\x07")).shape(18)),
        (errors.Unsupported, lambda: face.rdbkit.open(b"GARBAGE-GARBAGE")),
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


def test_each_raises_its_own(face):
    cursor = face("wire.cursor").Cursor
    with pytest.raises(face.errors.Truncated):
        cursor(b"").u8()
    with pytest.raises(face.errors.Corrupt):
        face("wire.listpack").items(b"\0" * 7, 0)
    with pytest.raises(face.errors.Corrupt):
        face.rdbkit.open(b"REDIS00xx")


def test_what_runs_here_is_one_of_them(faces):
    ambient = faces[rdbkit.compiled()]
    assert ambient.rdbkit is rdbkit
    assert ambient.errors.Corrupt is rdbkit.Corrupt
    assert faces[not rdbkit.compiled()].errors.Corrupt is not rdbkit.Corrupt


@pytest.mark.parametrize("pure", ["0", "1"])
@pytest.mark.parametrize("first", ["", "import rdbkit"])
@pytest.mark.parametrize("order", [("pure", "compiled"), ("compiled", "pure", "compiled")], ids=["pure", "compiled"])
def test_any_order_of_imports(pure, first, order, faces):
    program = PROGRAM.format(first=first, order=order)
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    environment = {**os.environ, "RDBKIT_PURE": pure, "PYTHONPATH": path}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split() == [word for name in order for word in ("good", name)]
