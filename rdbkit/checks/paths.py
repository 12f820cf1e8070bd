"""Check everything at a path: a single file, the files of an AOF set, or those of a data directory.

    path ─► files at the path ─► parts: the directory itself, then each file in the order in which a server loads them

Each part yields findings; its counts are complete when all findings were read. Nothing is written; only read permission
is needed.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from rdbkit.aof.aof_set import text
from rdbkit.aof.layout import AofFile, AofSet, DataDir, files_at, would_load
from rdbkit.aof.remark import Remark
from rdbkit.checks.file import FileCheck
from rdbkit.checks.findings import Finding, limited
from rdbkit.checks.target import refusals
from rdbkit.errors import RdbkitError, Unsupported
from rdbkit.rdb.walker import MAX_ITEM
from rdbkit.releases.loading import multi_part_need
from rdbkit.releases.target import Target
from rdbkit.snapshot.preamble import target_of
from rdbkit.snapshot.snapshot import Openable

_DEFAULT_NAMES = {"dbfilename": b"dump.rdb", "appenddirname": b"appendonlydir", "appendfilename": b"appendonly.aof"}
_FORMATS = {"rdb": "RDB", "aof": "commands", "empty": "empty", "unknown": "unknown"}


class Listing:
    """Findings about a directory or a manifest itself: missing files, and which files a server loads."""

    def __init__(self, found: AofSet | DataDir, path: str, target: Target | None = None) -> None:
        self.found = found
        self.target = target
        self.name = path
        self.counts: Counter[str] = Counter()
        self.codes: set[str] = set()

    def findings(self) -> Iterator[Finding]:
        """Yield the findings."""
        for finding in limited(self._found(), self.counts):
            if finding.severity == "error":
                self.codes.add(finding.code)
            yield finding

    def _found(self) -> Iterator[Finding]:
        found = self.found
        sets = (found,) if isinstance(found, AofSet) else found.sets
        for one in sets:
            yield from _findings_of(one.warnings, one.manifest_path or one.directory, one.directory)
            if self.target is not None:
                where = one.manifest_path or one.directory
                yield from (replace(f, file=where) for f in refusals(self.target, [multi_part_need()], 0))
        if isinstance(found, DataDir):
            yield from _findings_of(found.warnings, found.path, found.path)
        yield from _loads(found, self.name)


def _findings_of(remarks: Iterable[Remark], where: str, directory: str) -> Iterator[Finding]:
    for remark in remarks:
        file = where if remark.name is None else os.path.join(directory, os.fsdecode(remark.name))  # noqa: PTH118
        yield Finding(remark.severity, remark.code, remark.message, file=file)


def _loads(found: AofSet | DataDir, where: str) -> Iterator[Finding]:
    """Yield which files a server would load, for each value of appendonly."""
    for appendonly in (True, False) if isinstance(found, DataDir) else (True,):
        try:
            files = would_load(found, appendonly=appendonly)
        except RdbkitError:
            # Already reported: it depends on settings, or the manifest is damaged.
            continue
        if files:
            listed = ", then ".join(f"{text(file.name)} ({_described(file)})" for file in files)
            settings = [f"appendonly {'yes' if appendonly else 'no'}"]
            names = _named(found, appendonly, files) if isinstance(found, DataDir) else []
            message = f"with {' and '.join(settings + names)} a server loads {listed}"
            if names:
                message += f"; with a different {' or '.join(name.split()[0] for name in names)} it does not find it"
            yield Finding("note", "loads", message, file=where)


def _named(found: DataDir, appendonly: bool, files: tuple[AofFile, ...]) -> list[str]:
    """Return the file name settings that a server needs for these files, if they are not the default."""
    if not appendonly:
        wanted = [("dbfilename", files[0].name)]
    elif found.sets:
        one = found.sets[0]
        home = os.fsencode(os.path.basename(one.directory))  # noqa: PTH119  paths stay text here
        wanted = [("appenddirname", home)] if one.directory != found.path else []
        wanted.append(("appendfilename", one.prefix))
    else:
        wanted = [("appendfilename", files[0].name)]
    return [f"{name} {text(value)}" for name, value in wanted if value != _DEFAULT_NAMES[name]]


def _described(file: AofFile) -> str:
    kind = _FORMATS.get(file.format, file.format)
    return kind if file.size is None or file.format == "empty" else f"{kind}, {file.size} bytes"


class Checking:
    """The check of all files at a path: iterate over `parts()`, and over the findings of each.

    Options as for Check. Raises OSError if the path itself cannot be read; an unreadable file of a set raises from its
    part.
    """

    def __init__(
        self,
        what: Openable,
        *,
        target: Target | None = None,
        settings: dict[str, str] | None = None,
        progress: Callable[[Any], Any] | None = None,
        **options: Any,
    ) -> None:
        self.what = what
        self.given = target
        self.settings = settings
        self.options = {"target": target, "settings": settings, "progress": progress, **options}

    def parts(self) -> Iterator[FileCheck | Listing]:
        """Yield the parts, in order; the findings of each must be read before the next."""
        found = files_at(self.what)
        if found is None or isinstance(found, AofFile):
            yield FileCheck(self.what, **self.options)
            return
        yield Listing(found, os.fspath(self.what), self.given)  # type: ignore[arg-type]
        if isinstance(found, AofSet):
            yield from self._set(found)
            return
        for file in found.rdbs:
            yield FileCheck(file.path, **self.options)
        for file in found.aofs:
            yield FileCheck(file.path, commands=True, **self.options)
        for one in found.sets:
            yield from self._set(one)

    def _set(self, found: AofSet) -> Iterator[FileCheck]:
        assumed = target_of(found, self.given, self.settings)
        there = [file for file in found.files if file.format not in ("missing", "special")]
        for file in there:
            last = file is found.files[-1]
            yield FileCheck(file.path, role=file.role, last=last, assumed=assumed, **self.options)


@dataclass(frozen=True, slots=True)
class Checked:
    """The result of `check`: `sound` is true if no finding is an error; the counts say what was read.

    `keys` counts the keys of RDBs, `expires` those with an expiry. `unreadable` counts keys whose value cannot be
    decoded (or is too long to be checked); the others are `readable`. `elements` counts the contents of these: 1 for a
    string or a module value; the elements of a list, set, zset, hash or array, duplicates included; the entries of a
    stream; the paths of a path hash; the bits of a bitmap that are 1. `export` writes exactly the readable keys, with
    exactly these elements.

    `assumed` names settings of the server that were not given and decide about a file.

    `checksum` is that of the RDB, or of the first of several; "none" if there is no RDB.
    """

    sound: bool
    findings: tuple[Finding, ...]
    keys: int
    expires: int
    offset: int
    complete: bool
    checksum: str
    commands: int = 0
    elements: int = 0
    unreadable: int = 0
    assumed: tuple[str, ...] = ()

    @property
    def readable(self) -> int:
        """The number of keys with a readable value."""
        return self.keys - self.unreadable


def check(
    what: Openable,
    *,
    target: Target | str | None = None,
    settings: dict[str, str] | None = None,
    require_checksum: bool = False,
    strict: bool = False,
    max_item: int = MAX_ITEM,
) -> Checked:
    """Check a file, an AOF set or a data directory as `rdbkit check` does; `strict` counts warnings as errors.

    Keys of more than `max_item` bytes are skipped, with a warning. `target` is the server whose handling of damage is
    reported. Damage is a finding, not an exception; raises OSError if something cannot be read.
    """
    goal = Target.parse(target) if isinstance(target, str) else target
    findings: list[Finding] = []
    parts: list[FileCheck] = []
    counts: Counter[str] = Counter()
    try:
        checking = Checking(what, target=goal, settings=settings, require_checksum=require_checksum, max_item=max_item)
        for part in checking.parts():
            several = isinstance(part, Listing) or bool(findings and findings[0].file) or part.role != "single"
            findings += (replace(f, file=f.file or part.name) if several else f for f in part.findings())
            counts.update(part.counts)
            if isinstance(part, FileCheck):
                parts.append(part)
    except Unsupported as error:
        findings.append(Finding.of(error))
        counts["error"] += 1
    bad = counts["error"] + (counts["warning"] if strict else 0)
    states = [part.checksum for part in parts if part.aof is None or part.snapshot is not None]
    return Checked(
        not bad,
        tuple(findings),
        sum(part.keys for part in parts),
        sum(part.expires for part in parts),
        sum(part.offset for part in parts),
        bool(parts) and all(part.complete for part in parts),
        states[0] if states else "none",
        sum(part.aof.commands for part in parts if part.aof is not None),
        sum(part.elements for part in parts),
        sum(part.unreadable for part in parts),
        tuple(dict.fromkeys(setting for part in parts for setting in part.settings_assumed)),
    )
