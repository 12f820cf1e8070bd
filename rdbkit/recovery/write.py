"""Write the result of a repair: as a new file, as a new directory for a set, or in place.

All names are planned and compared with the inputs before anything is written (rdbkit.files.names). Dropped damaged
bytes are written to NAME.dropped next to the result, with an index in NAME.dropped.jsonl.

In place, all new files are written before the first old one is replaced; a changed manifest is replaced first, and
files that it no longer lists are then renamed. If a replacement fails, the previous ones are undone.
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
    need_room_for,
    need_space,
    total,
    unchanged,
)
from rdbkit.recovery.ranges import Lost

#: Files written next to a result: the dropped bytes, and an index of them.
DROPPED, INDEX = ".dropped", ".dropped.jsonl"
#: Names that a repair may create next to its result.
BESIDE = (DROPPED, INDEX, ".partial")


@dataclass(slots=True)
class Job:
    """One file being repaired: where its commands start, what is dropped, whether the whole file is dropped."""

    file: DamagedFile
    member: AofFile
    start: int = 0
    lost: Sequence[Lost] = ()
    account: RepairedFile | None = None
    absent: bool = False

    @property
    def ranges(self) -> list[Range]:
        """The ranges that are kept."""
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
        """The ranges that are dropped without being requested."""
        return [one for one in self.lost if one.reason != "cut"]

    @property
    def report(self) -> RepairedFile:
        """Its report."""
        assert self.account is not None
        return self.account


def account_of(path: str, policy: str, jobs: list[Job], dry_run: bool) -> Repaired:
    """Combine the reports of all files."""
    return Repaired(path, policy, tuple(job.report for job in jobs), dry_run=dry_run)


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


# -- writing new files -------------------------------------------------------------------------------------------------


def write_file(account: Repaired, job: Job, output: str, *, force: bool, system: System) -> Repaired:
    """Write a new file, and the dropped bytes next to it."""
    name = plan(output)
    names.refuse_existing(name, force=force)
    sides = [name.beside(suffix) for suffix in (DROPPED, INDEX)] if job.dropped else []
    for side in sides:
        names.refuse_existing(side, force=force)
    need_space(name.directory, total(job.ranges) + sum(one.end - one.start for one in job.dropped), system)
    with ExitStack() as stack:
        replaces = SEEN if force else NOTHING
        main = stack.enter_context(NewFile(name, replaces=replaces, like=job.file, owner=False, step=system.step))
        copy_ranges(main, job.file, job.ranges, system)
        files = [*_dropped(job, sides, replaces, stack, system), main]
        # The result is put in place last: once it exists, everything that belongs to it exists.
        publish_all(files)
    job.account = replace(job.report, output=output, side=sides[0].path if sides else None)
    doubts = (*_growing([job]), *(() if sides else _stale(name)))
    return replace(account_of(account.path, account.policy, [job], False), output=output, doubts=doubts)


def _stale(name: Name) -> Iterator[Doubt]:
    """Yield a warning for stale by-products of an earlier repair, if this one dropped nothing."""
    for side in (name.beside(DROPPED), name.beside(INDEX)):
        if side.seen is not None:
            yield Doubt("stale-dropped", f"{side.path} is from an earlier repair; this one dropped nothing")


def _growing(jobs: list[Job]) -> tuple[Doubt, ...]:
    """Return a warning if files changed while they were read."""
    try:
        for job in jobs:
            unchanged(job.file)
    except OSError:
        return (Doubt("being-written", "the input changed while it was read; the result has its earlier state"),)
    return ()


def _dropped(job: Job, sides: Sequence[Name], replaces: str, stack: ExitStack, system: System) -> list[NewFile]:
    """Write the dropped damaged bytes and their index to these two names (none: nothing was dropped)."""
    if not sides:
        return []
    data, index = (
        stack.enter_context(NewFile(side, replaces=replaces, like=job.file, owner=False, step=system.step))
        for side in sides
    )
    copy_ranges(data, job.file, ((one.start, one.end) for one in job.dropped), system)
    commands = {one.start: one.commands for one in job.report.dropped}
    at = 0
    for one in job.dropped:
        size = one.end - one.start
        row = {"file": _shown(job.file.path), "offset": one.start, "size": size, "reason": one.reason, "at": at}
        index.write(json.dumps({**row, "commands": commands.get(one.start)}).encode() + b"\n")
        at += size
    return [data, index]


def _shown(path: str) -> str:
    """Return a path as text, with non-UTF-8 bytes in hexadecimal."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def write_set(account: Repaired, jobs: list[Job], found: AofSet, output: str, system: System) -> Repaired:
    """Write all files and the manifest into a new directory, which is put in place when it is complete."""
    name = names.plan_directory(output)
    need_space(name.directory, sum(total(job.ranges) for job in jobs), system)
    assert found.manifest_path is not None
    mode = os.stat(found.directory or os.curdir).st_mode & 0o7777  # noqa: PTH116  the path is what the caller gave
    with NewDirectory(name, mode=mode, step=system.step) as directory, ExitStack() as stack:
        target = Path(output)
        for job in jobs:
            if not job.absent:
                side = _write_member(job, Path(directory.path), stack, system)
                result = str(target / os.fsdecode(job.member.name))
                job.account = replace(job.report, output=result, side=side and str(target / side))
        _write_manifest(found, jobs, Path(directory.path), stack, system)
        directory.publish()
    made = account_of(account.path, account.policy, jobs, False)
    return replace(made, output=output, doubts=_growing(jobs))


def _write_member(job: Job, directory: Path, stack: ExitStack, system: System) -> str | None:
    """Write one file of a set; return the name of the file with the dropped bytes, if any."""
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
    """Return the manifest for the remaining files; None if the existing one is unchanged."""
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
            # Its endoffset is no longer right.
            yield entry.without(b"endoffset") if entry.name in short else entry


# -- in place ----------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Replacement:
    """A new file ready to replace an old one, and the backup of the old one."""

    new: NewFile
    old: DamagedFile
    backup: str | None = None


def replace_all(account: Repaired, jobs: list[Job], found: AofSet | None, force: bool, system: System) -> Repaired:
    """Replace changed files, keeping backups. Nothing is changed before the first replacement."""
    changed = [job for job in jobs if job.report.changed]
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
            job.account = replace(job.report, output=put.new.name.target, backup=put.backup)
    return replace(account_of(account.path, account.policy, jobs, False), output=account.path, doubts=doubts)


def _other_names(jobs: list[Job]) -> Iterator[Doubt]:
    for job in jobs:
        if job.file.seen.st_nlink > 1:
            others = job.file.seen.st_nlink - 1
            message = f"{job.file.path} has {others} other hard link{'s' if others > 1 else ''}: "
            yield Doubt("hard-links", message + "only this name has the repaired file, the others have the old one")


def _written_meanwhile(job: Job) -> Doubt:
    message = f"{job.file.path} was written to while it was replaced; the added data is only in the backup"
    return Doubt("being-written", message)


def _replacing(old: DamagedFile, stack: ExitStack, system: System) -> NewFile:
    name = plan(os.path.realpath(old.path))
    # Only the file that was read may be replaced, not one renamed to its name meanwhile.
    return stack.enter_context(NewFile(replace(name, seen=old.seen), replaces=SEEN, like=old, step=system.step))


def _prepare(job: Job, ready: list[_Replacement], stack: ExitStack, system: System) -> list[NewFile]:
    """Write the new file and the dropped bytes; return the additional files."""
    target = os.path.realpath(job.file.path)
    need_room_for(target, total(job.ranges) + sum(one.end - one.start for one in job.dropped), job.file.size, system)
    new = _replacing(job.file, stack, system)
    copy_ranges(new, job.file, job.ranges, system)
    ready.append(_Replacement(new, job.file))
    sides = _free_names(target) if job.dropped else []
    if sides:
        job.account = replace(job.report, side=sides[0].path)
    return _dropped(job, sides, NOTHING, stack, system)


def _free_names(target: str) -> list[Name]:
    """Return names with the lowest number for which neither exists."""
    for number in count(1):
        found = [plan(f"{target}{DROPPED}-{number}{suffix}") for suffix in ("", ".jsonl")]
        if not any(os.path.lexists(name.path) for name in found):
            return found
    raise AssertionError


def _put_in_place(ready: list[_Replacement], sides: list[NewFile], system: System) -> None:
    """Back up and replace the old files: all of them, or none."""
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
    """Restore the old files from their backups."""
    for side in sides:
        side.withdraw()
    for one in ready:
        if one.backup is None:
            continue
        # If this fails nothing more can be done; the first error is reported.
        with suppress(OSError):
            if one.new.published:
                os.replace(one.backup, one.new.name.target)  # noqa: PTH105  as in files.new
            elif _is_there(one.old):
                os.unlink(one.backup)  # noqa: PTH108  as above


def _is_there(old: DamagedFile) -> bool:
    """Return whether the old file still has its name; only then may the backup be removed."""
    found = names.status_of(os.path.realpath(old.path))
    return found is not None and os.path.samestat(found, old.seen)


def _put_aside(job: Job) -> None:
    """Rename a file that the manifest no longer lists, because a server might append to it later."""
    backup = move_aside(job.file.path, ".bak")
    job.account = replace(job.report, backup=backup)
    sync_directory(os.path.dirname(job.file.path) or os.curdir)  # noqa: PTH120  the path is what the caller gave
