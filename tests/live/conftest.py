"""Real servers: skipped where there is none, unless the environment says that there has to be one."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from live.server import Server, executable


def _required(name: str) -> str:
    found = executable(name)
    if found is None:
        reason = f"no redis-{name} or valkey-{name} on the PATH"
        if os.environ.get("RDBKIT_REQUIRE_SERVER", "") not in ("", "0"):
            pytest.fail(f"{reason}, and RDBKIT_REQUIRE_SERVER asks for it")
        pytest.skip(reason)
    return found


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """`server(directory, **config)` starts one, by default in the test's own directory; all are stopped afterwards."""
    program = _required("server")
    started = []

    def start(directory: Path = tmp_path, **config: object) -> Server:
        started.append(Server.start(directory, program, **config))
        return started[-1]

    yield start
    for one in started:
        one.stop()


@pytest.fixture
def check_rdb() -> str:
    """Path of the server's own RDB checker."""
    return _required("check-rdb")


@pytest.fixture
def check_aof() -> str:
    """Path of the server's own AOF checker."""
    return _required("check-aof")
