"""Writing what a repair came to: beside the input, as a file or a directory with a set, or in its place.

A directory appears when all in it is complete. In place all new files are written before the first old one is replaced;
a manifest that changes goes first, and what it no longer lists is then put out of a server's way.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from rdbkit.aof.manifest import Manifest, ManifestEntry, encode
from rdbkit.aof.sets import AofFile, AofSet
from rdbkit.repair.account import Doubt, Repaired, RepairedFile
from rdbkit.repair.file import File
from rdbkit.repair.inplace import (
    Range,
    System,
    Written,
    at_rest,
    back_up,
    free_name,
    kept_pieces,
    need_room,
    need_room_for,
    prepare,
    put,
    sync_directory,
    unchanged,
)
from rdbkit.repair.keep import Lost


@dataclass(slots=True)
class Job:
    """One file on its way: where its commands start, what is given up, whether it is left out altogether."""

    file: File
    member: AofFile
    start: int = 0
    lost: Sequence[Lost] = ()
    account: RepairedFile | None = None
    absent: bool = False

    @property
    def ranges(self) -> list[Range]:
        """What is kept."""
        kept, at = [], 0
        for lost in self.lost:
            if lost.start > at:
                kept.append((at, lost.start))
            at = max(at, lost.end)
        if at < self.file.size:
            kept.append((at, self.file.size))
        return kept

    @property
    def told(self) -> RepairedFile:
        """Its account."""
        assert self.account is not None
        return self.account


def account_of(path: str, policy: str, jobs: list[Job], dry_run: bool) -> Repaired:
    """Put the accounts of all files together."""
    return Repaired(path, policy, tuple(job.told for job in jobs), dry_run=dry_run)


# -- writing beside ----------------------------------------------------------------------------------------------------


def write_file(account: Repaired, job: Job, output: str, system: System) -> Repaired:
    """Write a new file; what was dropped goes beside it."""
    target = Path(output).resolve() if Path(output).is_symlink() else Path(output)
    if target.exists() and target.samefile(job.file.path):
        raise ValueError("the output is the input: use in-place for that")
    need_room(str(target.parent), job.told.kept, system)
    written = prepare(target, kept_pieces(job.file, job.ranges), job.file, system, replacing=False)
    job.account = replace(job.told, output=output, side=_write_side(job, account.policy, target, "", system))
    put(written, system)
    return replace(account_of(account.path, account.policy, [job], False), output=output, doubts=_growing([job]))


def _growing(jobs: list[Job]) -> tuple[Doubt, ...]:
    """Tell of files that changed while they were read."""
    try:
        for job in jobs:
            unchanged(job.file)
    except OSError:
        return (Doubt("being-written", "the input changed while it was read: the result is of its state before"),)
    return ()


def _write_side(job: Job, policy: str, target: Path, suffix: str, system: System) -> str | None:
    """Write what was dropped as damaged, and an index of it, beside a target; return the name."""
    lost = [one for one in job.told.dropped if one.reason != "cut"]
    if policy != "keep-most" or not lost:
        return None
    side = free_name(target, ".dropped") if suffix else target.with_name(f"{target.name}.dropped")
    index, at = [], 0
    for one in lost:
        size = one.end - one.start
        row = {"file": job.file.path, "offset": one.start, "size": size, "reason": one.reason, "at": at}
        index.append(json.dumps({**row, "commands": one.commands}).encode() + b"\n")
        at += size
    ranges = [(one.start, one.end) for one in lost]
    for place, pieces in ((side, kept_pieces(job.file, ranges)), (Path(f"{side}.jsonl"), index)):
        put(prepare(place, pieces, job.file, system, replacing=False), system)
    return str(side)


def write_set(account: Repaired, jobs: list[Job], found: AofSet, output: str, system: System) -> Repaired:
    """Write all files and the manifest into a new directory, which appears when it is complete."""
    target = Path(output)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise FileExistsError(errno.EEXIST, "exists and is not an empty directory", output)
    partial = target.with_name(f"{target.name}.partial")
    need_room(str(target.parent), sum(job.told.kept for job in jobs), system)
    partial.mkdir()
    for job in jobs:
        if not job.absent:
            name = os.fsdecode(job.member.name)
            put(prepare(partial / name, kept_pieces(job.file, job.ranges), job.file, system, replacing=False), system)
            side = _write_side(job, account.policy, partial / name, "", system)
            job.account = replace(job.told, output=str(target / name), side=side and str(target / Path(side).name))
    assert found.manifest_path is not None
    with File(found.manifest_path) as old:
        data = _manifest(found, jobs, history=False)
        pieces = [data] if data is not None else kept_pieces(old, [(0, old.size)])
        put(prepare(partial / Path(found.manifest_path).name, pieces, old, system, replacing=False), system)
    partial.replace(target)
    sync_directory(target.parent)
    made = account_of(account.path, account.policy, jobs, False)
    return replace(made, output=output, doubts=_growing(jobs))


def _manifest(found: AofSet, jobs: list[Job], *, history: bool) -> bytes | None:
    """Return the manifest for what is left; None: the one that is there will do."""
    assert found.manifest is not None
    absent = {job.member.name for job in jobs if job.absent}
    short = {job.member.name for job in jobs if job.told.dropped}
    entries = tuple(_entries(found.manifest.entries, absent, short, history))
    return None if entries == found.manifest.entries else encode(Manifest(entries))


def _entries(
    entries: Sequence[ManifestEntry], absent: set[bytes], short: set[bytes], history: bool
) -> Iterator[ManifestEntry]:
    for entry in entries:
        if entry.kind == "h":
            if history:
                yield entry
        elif entry.name not in absent:
            # It no longer ends where its endoffset says.
            yield entry.without(b"endoffset") if entry.name in short else entry


# -- in place ----------------------------------------------------------------------------------------------------------


def replace_all(account: Repaired, jobs: list[Job], found: AofSet | None, force: bool, system: System) -> Repaired:
    """Replace what has changed; the old files stay as backups. Up to the first replacement nothing is touched."""
    changed = [job for job in jobs if job.told.changed]
    if not changed:
        return account
    with ExitStack() as stack:
        manifest, data = None, None
        if found is not None and found.manifest_path is not None:
            data = _manifest(found, jobs, history=True)
            manifest = stack.enter_context(File(found.manifest_path)) if data is not None else None
        if not force:
            for job in jobs:
                at_rest(job.file, system)
        ready = _prepare_all(jobs, manifest, data, force, system)
        for one in ready:
            put(one, system)
        for job in changed:
            if job.absent:
                _put_aside(job)
    for job in changed:
        written = next((one for one in ready if one.old is job.file), None)
        if written is not None:
            side = _write_side(job, account.policy, written.target, "-", system)
            job.account = replace(job.told, output=str(written.target), backup=str(written.backup), side=side)
    return replace(account_of(account.path, account.policy, jobs, False), output=account.path)


def _prepare_all(
    jobs: list[Job], manifest: File | None, data: bytes | None, force: bool, system: System
) -> list[Written]:
    """Write the new files beside the old ones, and back these up; the manifest first: so it is replaced first."""
    ready: list[Written] = []
    try:
        if manifest is not None and data is not None:
            ready.append(prepare(Path(manifest.path).resolve(), [data], manifest, system))
        for job in jobs:
            if job.told.changed and not job.absent:
                target = Path(job.file.path).resolve()
                need_room_for(target, job.told.kept, job.file.size, system)
                ready.append(prepare(target, kept_pieces(job.file, job.ranges), job.file, system))
        if not force:
            for job in jobs:
                unchanged(job.file)
        for one in ready:
            back_up(one, system)
    except Exception:
        for one in ready:
            one.partial.unlink(missing_ok=True)
            if one.backup is not None:
                one.backup.unlink()
        raise
    return ready


def _put_aside(job: Job) -> None:
    """Rename a file that the manifest no longer lists: under its name a server could append to it one day."""
    target = Path(job.file.path)
    backup = free_name(target, ".bak")
    target.rename(backup)
    job.account = replace(job.told, backup=str(backup))
    sync_directory(target.parent)
