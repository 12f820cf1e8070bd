"""Repair, from a path to an account: what lies there, what each file gives up, and what is written where.

    path ─► files in the order of loading ─► [cut] ─► policy ─► account ─► new files beside, or in place

First all is judged, then something is written. A set is repaired as one: what a cut leaves out is taken out of its
manifest, and a directory appears, or a manifest changes, only when all its new files are complete.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from rdbkit.aof.layout import find, would_load
from rdbkit.aof.manifest import Manifest, ManifestEntry, encode
from rdbkit.aof.sets import AofFile, AofSet
from rdbkit.errors import Corrupt, RdbkitError, Unsupported
from rdbkit.repair import policies
from rdbkit.repair.account import Doubt, Repaired, RepairedFile, describe
from rdbkit.repair.cuts import Cut, NothingThere, find_cut
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
from rdbkit.repair.policies import POLICIES, Judged
from rdbkit.target import Target

_REAL = System()


@dataclass(slots=True)
class _Job:
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


def repair(
    path: str | os.PathLike[str],
    *,
    output: str | os.PathLike[str] | None = None,
    policy: str = "keep-most",
    in_place: bool = False,
    force: bool = False,
    dry_run: bool = False,
    until_time: int | None = None,
    until_offset: int | None = None,
    before: bytes | None = None,
    db: int | None = None,
    target: Target | None = None,
    system: System = _REAL,
) -> Repaired:
    """Make a sound AOF, or set of AOFs, of a damaged one, and tell what was kept and what was lost.

    path          a file, a manifest, or a directory with a set
    output        where the result goes: a file, for a set a directory; default: beside the input, PATH.repaired,
                  and then only if something had to be changed
    policy        "keep-most", "fix" (as redis-check-aof --fix) or "server" (as `target` cuts at start)
    in_place      replace the files, and keep the old ones as NAME.bak-<n>; `force`: even while they are in use
    until_time    ms since epoch · until_offset: bytes · before: a command's name, with `db` in that database

    Raises Corrupt where it cannot be repaired (codes "damaged-preamble", "not-last", "missing-file", "server-refuses"),
    NothingThere for a cut at what is not there, Unsupported for what is no AOF, ValueError for arguments that
    contradict each other, OSError (EBUSY for a file in use). Then nothing was changed.
    """
    path = os.fspath(path)
    if policy not in POLICIES:
        raise ValueError(f"no policy {policy!r}: there are {', '.join(POLICIES)}")
    if in_place and output is not None:
        raise ValueError("a repair in place has no output")
    cut = Cut(until_time, until_offset, before, db)
    found, members = _members(path)
    with ExitStack() as stack:
        jobs = [_Job(stack.enter_context(_opened(member)), member) for member in members]
        _judge(jobs, policy, cut, target or Target.of_aof(manifest=found is not None))
        account = _account(path, policy, jobs, dry_run)
        if dry_run:
            return account
        if in_place:
            return _replace_all(account, jobs, found, force, system)
        if not account.changed and output is None:
            return account
        if found is not None:
            return _write_set(account, jobs, found, os.fspath(output or _beside(found.directory)), system)
        return _write_file(account, jobs[0], os.fspath(output or f"{members[0].path}.repaired"), system)


def _beside(directory: str) -> str:
    return f"{directory.rstrip(os.sep) or directory}.repaired"


# -- what lies there ---------------------------------------------------------------------------------------------------


def _members(path: str) -> tuple[AofSet | None, list[AofFile]]:
    """Return the set, if it is one, and the files that are loaded, each once."""
    found = find(path)
    files = would_load(found)
    sets = (found,) if isinstance(found, AofSet) else getattr(found, "sets", ())
    for one in sets:
        if one.manifest is not None and one.files == files and one.manifest.loaded:
            missing = next((file for file in files if file.format in ("missing", "special")), None)
            if missing is not None:
                raise Corrupt(f"{_text(missing.name)} is listed in the manifest and not there", code="missing-file")
            return one, list({file.path: file for file in files}.values())
    if len(files) != 1:
        told = next((remark.message for one in sets for remark in one.warnings if remark.severity != "note"), "")
        raise Unsupported(told or "a server would load nothing from here", code="nothing-found")
    return None, list(files)


def _text(name: bytes) -> str:
    return name.decode("utf-8", "backslashreplace")


def _opened(member: AofFile) -> File:
    return File(member.path)


# -- judging -----------------------------------------------------------------------------------------------------------


def _judge(jobs: list[_Job], policy: str, cut: Cut, target: Target) -> None:
    for job in jobs:
        with _named(job, jobs):
            increment = job.member.role == "incr"
            job.start = policies.start_of(job.file, as_tool=policy == "fix", increment=increment)
    _cut(jobs, cut)
    judged = [(job, _judged(job, jobs, policy, target)) for job in jobs if not job.absent]
    for job, result in judged:
        job.lost = _with_cut(job, result)
        if policy == "fix" and job is not judged[-1][0] and any(one.reason != "cut" for one in job.lost):
            raise Corrupt(
                f"{_text(job.member.name)} is damaged and not the last file: redis-check-aof --fix refuses; "
                "the policy keep-most repairs it",
                offset=job.lost[0].start,
                code="not-last",
            )
    results = {id(job): result for job, result in judged}
    for job in jobs:
        job.account = _told(job, results.get(id(job), Judged()))


def _judged(job: _Job, jobs: list[_Job], policy: str, target: Target) -> Judged:
    with _named(job, jobs):
        if policy == "fix":
            return policies.fix(job.file, job.start)
        if policy == "server":
            return policies.server(job.file, job.start, target)
        return policies.keep_most(job.file, job.start)


class _named:  # noqa: N801  reads as a word in a with
    """Adds to an error which file of several it is about."""

    def __init__(self, job: _Job, jobs: list[_Job]) -> None:
        self.name = _text(job.member.name) if len(jobs) > 1 else ""

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: object, error: BaseException | None, _at: object) -> None:
        if self.name and isinstance(error, RdbkitError):
            error.message = f"{self.name}: {error.message}"


def _cut(jobs: list[_Job], cut: Cut) -> None:
    """Lower the end of the file in which the cut lies; leave out those behind it."""
    if not cut:
        return
    if cut.until_offset is not None and len(jobs) > 1:
        raise ValueError("an offset needs one file: name the one in which it lies")
    point = find_cut([(job.file, job.start) for job in jobs], cut)
    if point is None:
        return
    index, offset = point
    if not offset and not any(job.file.size for job in jobs[:index]):
        raise NothingThere("nothing lies before that point", offset=offset)
    jobs[index].file.end = offset
    for job in jobs[index + 1 :]:
        job.absent = True


def _with_cut(job: _Job, result: Judged) -> list[Lost]:
    """Return what is given up: what the policy gives up at a cut's edge is cut too."""
    file = job.file
    if file.end == file.size:
        return result.lost
    lost, at = list(result.lost), file.end
    file.end = file.size
    if lost and lost[-1].end == at:
        at = lost.pop().start
    return [*lost, Lost(at, file.size, "cut")]


def _told(job: _Job, result: Judged) -> RepairedFile:
    size = job.file.size
    doubts = list(result.doubts)
    if job.absent:
        job.lost = [Lost(0, size, "cut")] if size else []
    dropped = tuple(describe(job.file, *one) for one in job.lost)
    kept = sum(end - start for start, end in job.ranges)
    return RepairedFile(
        job.member.path, job.member.role, size, kept, result.commands, dropped, tuple(doubts), job.absent
    )


def _account(path: str, policy: str, jobs: list[_Job], dry_run: bool) -> Repaired:
    return Repaired(path, policy, tuple(job.told for job in jobs), dry_run=dry_run)


# -- writing beside ----------------------------------------------------------------------------------------------------


def _write_file(account: Repaired, job: _Job, output: str, system: System) -> Repaired:
    target = Path(output).resolve() if Path(output).is_symlink() else Path(output)
    if target.exists() and target.samefile(job.file.path):
        raise ValueError("the output is the input: use in-place for that")
    need_room(str(target.parent), job.told.kept, system)
    written = prepare(target, kept_pieces(job.file, job.ranges), job.file, system, replacing=False)
    job.account = replace(job.told, output=output, side=_write_side(job, account.policy, target, "", system))
    put(written, system)
    return replace(_account(account.path, account.policy, [job], False), output=output, doubts=_growing([job]))


def _growing(jobs: list[_Job]) -> tuple[Doubt, ...]:
    """Tell of files that changed while they were read."""
    try:
        for job in jobs:
            unchanged(job.file)
    except OSError:
        return (Doubt("being-written", "the input changed while it was read: the result is of its state before"),)
    return ()


def _write_side(job: _Job, policy: str, target: Path, suffix: str, system: System) -> str | None:
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


def _write_set(account: Repaired, jobs: list[_Job], found: AofSet, output: str, system: System) -> Repaired:
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
    made = _account(account.path, account.policy, jobs, False)
    return replace(made, output=output, doubts=_growing(jobs))


def _manifest(found: AofSet, jobs: list[_Job], *, history: bool) -> bytes | None:
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


def _replace_all(account: Repaired, jobs: list[_Job], found: AofSet | None, force: bool, system: System) -> Repaired:
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
        ready = _prepare_all([job for job in changed if not job.absent], manifest, data, system)
        if not force:
            for job in jobs:
                unchanged(job.file)
        _swap(ready, [job for job in changed if job.absent], system)
    for job in changed:
        written = next((one for one in ready if one.old is job.file), None)
        if written is not None:
            side = _write_side(job, account.policy, written.target, "-", system)
            job.account = replace(job.told, output=str(written.target), backup=str(written.backup), side=side)
    return replace(_account(account.path, account.policy, jobs, False), output=account.path)


def _prepare_all(jobs: list[_Job], manifest: File | None, data: bytes | None, system: System) -> list[Written]:
    """Write the new files beside the old ones: the manifest first, because it is to be replaced first."""
    ready: list[Written] = []
    try:
        if manifest is not None and data is not None:
            ready.append(prepare(Path(manifest.path).resolve(), [data], manifest, system))
        for job in jobs:
            target = Path(job.file.path).resolve()
            need_room_for(target, job.told.kept, job.file.size, system)
            ready.append(prepare(target, kept_pieces(job.file, job.ranges), job.file, system))
    except Exception:
        for one in ready:
            one.partial.unlink(missing_ok=True)
        raise
    return ready


def _swap(ready: list[Written], absent: list[_Job], system: System) -> None:
    for one in ready:
        back_up(one, system)
    for one in ready:
        put(one, system)
    for job in absent:
        # Were it left under its name, a server could append to it one day.
        target = Path(job.file.path)
        backup = free_name(target, ".bak")
        target.rename(backup)
        job.account = replace(job.told, backup=str(backup))
        sync_directory(target.parent)
