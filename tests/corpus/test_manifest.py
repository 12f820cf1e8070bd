"""The manifest and the tree of real files agree."""

from __future__ import annotations

import hashlib

from conftest import FIXTURES

from corpus.oracle import manifest

#: Together they stay small enough for every checkout.
LIMIT = 5_000_000


def test_every_file_is_as_it_was():
    for row in manifest():
        data = (FIXTURES / row["path"]).read_bytes()
        assert (row["path"], len(data), hashlib.sha256(data).hexdigest()) == (row["path"], row["size"], row["sha256"])


def test_every_file_has_a_row():
    listed = {row["path"] for row in manifest()}
    # The files in cases/ name the source of their recording.
    files = {path.relative_to(FIXTURES) for path in FIXTURES.rglob("*") if path.is_file()}
    files = {path for path in files if path.parts[0] != "cases"}
    data = {str(path) for path in files if path.name not in ("README.md", "MANIFEST.toml", "oracle.json.gz")}
    assert data == listed
    assert sum((FIXTURES / path).stat().st_size for path in files if path.suffix not in (".md", ".toml")) < LIMIT


def test_every_file_says_where_it_is_from():
    for row in manifest():
        server, case = row["server"], row["case"]
        if isinstance(server, str):
            assert row["path"].startswith(f"{server}-{row['version']}/{case}/")
