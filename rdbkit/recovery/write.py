"""Writing what a repair came to: beside the input, as a file or a directory with a set, or in its place.

All names are planned and compared with the inputs before a byte is written (rdbkit.files.names). What was dropped as
damaged goes to NAME.dropped beside the result, with an index of it in NAME.dropped.jsonl.

In place all new files are written before the first old one is replaced; a manifest that changes is replaced first, and
files that it no longer lists are then renamed. Where one replacement of several fails, those before it are taken back.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path

from rdbkit.aof.aof_set import AofFile, AofSet
from rdbkit.aof.manifest import Manifest, ManifestEntry, encode
from rdbkit.files import names
from rdbkit.files.moves import move_aside, signals_held, sync_directory
from rdbkit.files.names import Name, plan
from rdbkit.files.new import NOTHING, SEEN, NewDirectory, NewFile, publish_all
from rdbkit.recovery.account import Doubt, Repaired, RepairedFile
from rdbkit.recovery.file import DamagedFile
from rdbkit.recovery.inplace import (
    Range,
    System,
    at_rest,
    back_up,
    copy_ranges,
    need_room,
    need_room_for,
    total,
    unchanged,
)
from rdbkit.recovery.ranges import Lost

#: What is put beside a result: the bytes that were dropped, and an index of them.
DROPPED, INDEX = ".dropped", ".dropped.jsonl"
#: Names that a repair may create beside its result.
BESIDE = (DROPPED, INDEX, ".partial")


@dataclass(slots=True)
class Job:
    """One file on its way: where its commands start, what is given up, whether it is left out altogether."""

    file: DamagedFile
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
    def dropped(self) -> list[Lost]:
        """What is given up and nobody asked to cut off."""
        return [one for one in self.lost if one.reason != "cut"]

    @property
    def told(self) -> RepairedFile:
        """Its account."""
        assert self.account is not None
        return self.account


def account_of(path: str, policy: str, jobs: list[Job], dry_run: bool) -> Repaired:
    """Put the accounts of all files together."""
    return Repaired(path, policy, tuple(job.told for job in jobs), dry_run=dry_run)


# -- names -------------------------------------------------------------------------------------------------------------


def planned(output: str) -> list[Name]:
    """Return all names that a repair with this output may create."""
    name = plan(output)
    return [name, *(name.beside(suffix) for suffix in BESIDE)]


def refuse_output(output: str, reserved: Sequence[names.Reserved], *, directory: bool, force: bool) -> None:
    """Raise Clash, FileExistsError or OSError for an output that must not be written."""
    if directory:
        names.compare([names.plan_directory(output)], reserved)
        return
    found = planned(output)
    names.compare(found, reserved)
    names.refuse_existing(found[0], force=force)


# -- writing beside ----------------------------------------------------------------------------------------------------


def write_file(account: Repaired, job: Job, output: str, *, force: bool, system: System) -> Repaired:
    """Write a new file; what was dropped goes beside it."""
    name = plan(output)
    names.refuse_existing(name, force=force)
    sides = [name.beside(suffix) for suffix in (DROPPED, INDEX)] if job.dropped else []
    for side in sides:
        names.refuse_existing(side, force=force)
    need_room(name.directory, total(job.ranges) + sum(one.end - one.start for one in job.dropped), system)
    with ExitStack() as stack:
        replaces = SEEN if force else NOTHING
        main = stack.enter_context(NewFile(name, replaces=replaces, like=job.file, owner=False, step=system.step))
        copy_ranges(main, job.file, job.ranges, system)
        files = [*_dropped(job, sides, replaces, stack, system), main]
        # The result comes last: where it is, all that belongs to it is.
        publish_all(files)
    job.account = replace(job.told, output=output, side=sides[0].path if sides else None)
    doubts = (*_growing([job]), *(() if sides else _stale(name)))
    return replace(account_of(account.path, account.policy, [job], False), output=output, doubts=doubts)


def _stale(name: Name) -> Iterator[Doubt]:
    """Yield a doubt for what an earlier repair put beside a result that nothing was dropped from."""
    for side in (name.beside(DROPPED), name.beside(INDEX)):
        if side.seen is not None:
            yield Doubt("stale-dropped", f"{side.path} is of an earlier repair: nothing was dropped from this result")


def _growing(jobs: list[Job]) -> tuple[Doubt, ...]:
    """Return a doubt where files changed while they were read."""
    try:
        for job in jobs:
            unchanged(job.file)
    except OSError:
        return (Doubt("being-written", "the input changed while it was read: the result is of its state before"),)
    return ()


def _dropped(job: Job, sides: Sequence[Name], replaces: str, stack: ExitStack, system: System) -> list[NewFile]:
    """Write what was dropped as damaged, and an index of it, for these two names (none: nothing was dropped)."""
    if not sides:
        return []
    data, index = (
        stack.enter_context(NewFile(side, replaces=replaces, like=job.file, owner=False, step=system.step))
        for side in sides
    )
    copy_ranges(data, job.file, ((one.start, one.end) for one in job.dropped), system)
    commands = {one.start: one.commands for one in job.told.dropped}
    at = 0
    for one in job.dropped:
        size = one.end - one.start
        row = {"file": _shown(job.file.path), "offset": one.start, "size": size, "reason": one.reason, "at": at}
        index.write(json.dumps({**row, "commands": commands.get(one.start)}).encode() + b"\n")
        at += size
    return [data, index]


def _shown(path: str) -> str:
    """Return a path as text: bytes that are none are written as hexadecimal digits."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def write_set(account: Repaired, jobs: list[Job], found: AofSet, output: str, system: System) -> Repaired:
    """Write all files and the manifest into a new directory, which appears when it is complete."""
    name = names.plan_directory(output)
    need_room(name.directory, sum(total(job.ranges) for job in jobs), system)
    assert found.manifest_path is not None
    mode = os.stat(found.directory or os.curdir).st_mode & 0o7777  # noqa: PTH116  the path is what the caller gave
    with NewDirectory(name, mode=mode, step=system.step) as directory, ExitStack() as stack:
        target = Path(output)
        for job in jobs:
            if not job.absent:
                side = _write_member(job, Path(directory.path), stack, system)
                result = str(target / os.fsdecode(job.member.name))
                job.account = replace(job.told, output=result, side=side and str(target / side))
        _write_manifest(found, jobs, Path(directory.path), stack, system)
        directory.publish()
    made = account_of(account.path, account.policy, jobs, False)
    return replace(made, output=output, doubts=_growing(jobs))


def _write_member(job: Job, directory: Path, stack: ExitStack, system: System) -> str | None:
    """Write one file of a set; return the name of the file with what was dropped, if anything was."""
    name = plan(directory / os.fsdecode(job.member.name))
    out = stack.enter_context(NewFile(name, like=job.file, owner=False, step=system.step))
    copy_ranges(out, job.file, job.ranges, system)
    sides = [name.beside(suffix) for suffix in (DROPPED, INDEX)] if job.dropped else []
    publish_all([out, *_dropped(job, sides, NOTHING, stack, system)])
    return Path(sides[0].path).name if sides else None


def _write_manifest(found: AofSet, jobs: list[Job], directory: Path, stack: ExitStack, system: System) -> None:
    assert found.manifest_path is not None
    data = _manifest(found, jobs, history=False)
    with DamagedFile(found.manifest_path) as old:
        name = plan(directory / Path(found.manifest_path).name)
        out = stack.enter_context(NewFile(name, like=old, owner=False, step=system.step))
        if data is None:
            copy_ranges(out, old, [(0, old.size)], system)
        else:
            out.write(data)
        out.publish()


def _manifest(found: AofSet, jobs: list[Job], *, history: bool) -> bytes | None:
    """Return the manifest for what is left; None: the one that is there will do."""
    assert found.manifest is not None
    absent = {job.member.name for job in jobs if job.absent}
    short = {job.member.name for job in jobs if job.lost}
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


@dataclass(slots=True)
class _Replacement:
    """A new file ready to replace an old one, and the second name of that."""

    new: NewFile
    old: DamagedFile
    backup: str | None = None


def replace_all(account: Repaired, jobs: list[Job], found: AofSet | None, force: bool, system: System) -> Repaired:
    """Replace what has changed; the old files stay as backups. Up to the first replacement nothing is touched."""
    changed = [job for job in jobs if job.told.changed]
    if not changed:
        return account
    doubts = tuple(_other_names(changed))
    with ExitStack() as stack:
        manifest, data = None, None
        if found is not None and found.manifest_path is not None:
            data = _manifest(found, jobs, history=True)
            manifest = stack.enter_context(DamagedFile(found.manifest_path)) if data is not None else None
        if not force:
            for job in jobs:
                at_rest(job.file, system)
        ready: list[_Replacement] = []
        if manifest is not None and data is not None:
            ready.append(_Replacement(_replacing(manifest, stack, system), manifest))
            ready[0].new.write(data)
        sides = [side for job in changed if not job.absent for side in _prepare(job, ready, stack, system)]
        for one in ready:
            one.new.close()
        if not force:
            for job in jobs:
                unchanged(job.file)
        with signals_held():
            _put_in_place(ready, sides, system)
            for job in changed:
                if job.absent:
                    _put_aside(job)
        doubts += tuple(_written_meanwhile(job) for job in changed if os.fstat(job.file.fd).st_size != job.file.size)
    for job in changed:
        put = next((one for one in ready if one.old is job.file), None)
        if put is not None:
            job.account = replace(job.told, output=put.new.name.target, backup=put.backup)
    return replace(account_of(account.path, account.policy, jobs, False), output=account.path, doubts=doubts)


def _other_names(jobs: list[Job]) -> Iterator[Doubt]:
    for job in jobs:
        if job.file.seen.st_nlink > 1:
            others = job.file.seen.st_nlink - 1
            message = f"{job.file.path} has {others} other name{'s' if others > 1 else ''} (hard links): "
            yield Doubt("hard-links", message + "the repaired file is at this name only, the others keep the old one")


def _written_meanwhile(job: Job) -> Doubt:
    message = f"{job.file.path} was written to while it was replaced: what was added is in the backup only"
    return Doubt("being-written", message)


def _replacing(old: DamagedFile, stack: ExitStack, system: System) -> NewFile:
    name = plan(os.path.realpath(old.path))
    # What is replaced is what was read, whatever was renamed to its name meanwhile.
    return stack.enter_context(NewFile(replace(name, seen=old.seen), replaces=SEEN, like=old, step=system.step))


def _prepare(job: Job, ready: list[_Replacement], stack: ExitStack, system: System) -> list[NewFile]:
    """Write the new file and what was dropped of the old one; return the files that come beside it."""
    target = os.path.realpath(job.file.path)
    need_room_for(target, total(job.ranges) + sum(one.end - one.start for one in job.dropped), job.file.size, system)
    new = _replacing(job.file, stack, system)
    copy_ranges(new, job.file, job.ranges, system)
    ready.append(_Replacement(new, job.file))
    sides = _free_names(target) if job.dropped else []
    if sides:
        job.account = replace(job.told, side=sides[0].path)
    return _dropped(job, sides, NOTHING, stack, system)


def _free_names(target: str) -> list[Name]:
    """Return names with the least number for which neither is there."""
    for number in count(1):
        found = [plan(f"{target}{DROPPED}-{number}{suffix}") for suffix in ("", ".jsonl")]
        if not any(os.path.lexists(name.path) for name in found):
            return found
    raise AssertionError


def _put_in_place(ready: list[_Replacement], sides: list[NewFile], system: System) -> None:
    """Back the old files up and replace them: all of them, or none."""
    try:
        for one in ready:
            one.backup = back_up(one.old, one.new.name.target, system)
            sync_directory(one.new.name.directory)
        publish_all(sides)
        for one in ready:
            one.new.publish()
    except BaseException:
        if not all(one.new.published for one in ready):
            _take_back(ready, sides)
        raise


def _take_back(ready: list[_Replacement], sides: list[NewFile]) -> None:
    """Put the old files where they were, by their backups."""
    for side in sides:
        side.withdraw()
    for one in ready:
        if one.backup is None:
            continue
        # Nothing more can be done where this fails, and the first error is the one to report.
        with suppress(OSError):
            if one.new.published:
                os.replace(one.backup, one.new.name.target)  # noqa: PTH105  as in files.new
            elif _is_there(one.old):
                os.unlink(one.backup)  # noqa: PTH108  as above


def _is_there(old: DamagedFile) -> bool:
    """Return whether the old file is still at its name: only then can its second name go."""
    found = names.status_of(os.path.realpath(old.path))
    return found is not None and os.path.samestat(found, old.seen)


def _put_aside(job: Job) -> None:
    """Rename a file that the manifest no longer lists: under its name a server could append to it one day."""
    backup = move_aside(job.file.path, ".bak")
    job.account = replace(job.told, backup=backup)
    sync_directory(os.path.dirname(job.file.path) or os.curdir)  # noqa: PTH120  the path is what the caller gave
