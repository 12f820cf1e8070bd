"""Repair, from a path to a report: find the files, decide what each one loses, and write the result.

    path ─► files in loading order ─► [cut] ─► policy ─► report ─► new files, or replacement in place

All files are examined before anything is written (write.py). A set is repaired as a whole: files after a cut are
removed from its manifest.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace

from rdbkit.aof.aof_set import AofFile, AofSet, is_part
from rdbkit.aof.cut import Cut, NothingThere, find_cut
from rdbkit.aof.layout import find, would_load
from rdbkit.aof.resp import Item
from rdbkit.aof.startup import starts_empty
from rdbkit.errors import Corrupt, RdbkitError, Truncated, Unsupported
from rdbkit.files.names import descriptor_of
from rdbkit.recovery import policies
from rdbkit.recovery.account import Repaired, RepairedFile, describe_all
from rdbkit.recovery.damage import AofRecords, Damage
from rdbkit.recovery.file import DamagedFile
from rdbkit.recovery.inplace import System
from rdbkit.recovery.line_ends import Restored
from rdbkit.recovery.policies import POLICIES, Judged
from rdbkit.recovery.ranges import Lost, Ranges
from rdbkit.recovery.verdict import faults_of
from rdbkit.recovery.write import Job, account_of, refuse_output, replace_all, write_file, write_set
from rdbkit.releases.target import Target
from rdbkit.snapshot.preamble import target_of_head
from rdbkit.source import Recognised, open_source

_REAL = System()


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
    progress: Callable[[int, int], object] | None = None,
    system: System = _REAL,
) -> Repaired:
    """Make a valid AOF or set out of a damaged one, and report what was kept and what was lost.

    path          a file, a manifest, or a directory with a set
    output        path of the result: a file, for a set a directory; default: PATH.repaired, which is written only if
                  something had to be changed. Existing files are not overwritten without `force`
    policy        "keep-most", "fix" (as redis-check-aof --fix) or "server" (as `target` cuts at start)
    in_place      replace the files, and keep the old ones as NAME.bak-<n>; `force`: even if they are in use
    until_time    ms since epoch · until_offset: bytes · before: a command's name, with `db` in that database
    progress      called with the bytes read so far and the total bytes, while files are examined

    Raises Corrupt if it cannot be repaired (codes "damaged-preamble", "not-last", "missing-file", "server-refuses",
    "nothing-left", and those of `rdbkit check` for a text copy or a file of NUL bytes), Truncated for an empty file,
    NothingThere if the cut point does not exist, Unsupported if it is not an AOF, ValueError for contradicting
    arguments and for an output that is an input, OSError (EBUSY for a file in use, EEXIST for an existing output). Then
    nothing was changed.
    """
    path = os.fspath(path)
    if policy not in POLICIES:
        raise ValueError(f"no policy {policy!r}: use one of {', '.join(POLICIES)}")
    if in_place and output is not None:
        raise ValueError("output and in_place contradict each other")
    cut = Cut(until_time, until_offset, before, db)
    found, members = _members(path)
    if output is None and not in_place and descriptor_of(path) is not None:
        raise ValueError(f"{path} is a root directory: name an output")
    if output is None:
        result = _beside(members[0].path) if found is None else _beside_directory(found.directory)
    else:
        result = os.fspath(output)
    if not in_place and not dry_run:
        # An existing file with the default name does not matter if no repair is needed.
        refuse_output(
            result, _reserved(path, found, members), directory=found is not None, force=force or output is None
        )
    with ExitStack() as stack:
        jobs = [Job(stack.enter_context(_opened(member, policy, in_place)), member) for member in members]
        if until_offset is not None and policies.has_envelope(jobs[0].file):
            raise ValueError("offsets after a VCS envelope are those of the unpacked data: cut by time or by a command")
        goal = target or _assumed(members, found is not None)
        alone = jobs[0] if policy == "keep-most" and found is None else None
        if alone is not None:
            _refuse_empty(alone, goal)
        _watch(jobs, progress)
        _judge(jobs, policy, cut, goal)
        if alone is not None:
            _refuse_nothing(alone)
        account = account_of(path, policy, jobs, dry_run)
        if dry_run:
            return account
        if in_place:
            return replace_all(account, jobs, found, force, system)
        if not account.changed and output is None:
            return account
        if found is not None:
            return write_set(account, jobs, found, result, system)
        return write_file(account, jobs[0], result, force=force, system=system)


def _beside(path: str) -> str:
    return f"{path.rstrip(os.sep) or path}.repaired"


def _beside_directory(path: str) -> str:
    """Return the default output for a set; a directory given as dots or empty gets its real name."""
    base = os.path.basename(path.rstrip(os.sep))  # noqa: PTH119  the path is what the caller gave
    return _beside(os.path.realpath(path or os.curdir) if base in ("", ".", "..") else path)


def _reserved(path: str, found: AofSet | None, members: list[AofFile]) -> list[str]:
    """Return the files that must not be overwritten: all that belong to the input."""
    files = [path, *(member.path for member in members)]
    if found is not None:
        files += [file.path for file in (*found.files, *found.history)]
        files += [one for one in (found.manifest_path, found.directory) if one]
    return files


# -- the files ---------------------------------------------------------------------------------------------------------


def _members(path: str) -> tuple[AofSet | None, list[AofFile]]:
    """Return the set, if it is one, and the files that a server loads, each once."""
    found = find(path)
    files = would_load(found)
    sets = (found,) if isinstance(found, AofSet) else getattr(found, "sets", ())
    for one in sets:
        if one.manifest is not None and one.files == files and one.manifest.loaded:
            missing = next((file for file in files if file.format in ("missing", "special")), None)
            if missing is not None:
                raise Corrupt(f"{_text(missing.name)} is listed in the manifest but missing", code="missing-file")
            return one, list({file.path: file for file in files}.values())
    if len(files) != 1:
        message = next((remark.message for one in sets for remark in one.warnings if remark.severity != "note"), "")
        raise Unsupported(message or "a server would load nothing from this path", code="nothing-found")
    return None, list(files)


def _text(name: bytes) -> str:
    return name.decode("utf-8", "backslashreplace")


def _opened(member: AofFile, policy: str, in_place: bool) -> DamagedFile:
    """Open a file; with policy keep-most, restore its line ends if they were converted.

    Raises an error that says what the file is, if it is not an AOF.
    """
    file = DamagedFile(member.path)
    try:
        with open_source(member.path) as source:
            found, packing = source.recognise(), source.packing
        if member.role == "single":
            _refuse(found, packing)
        file.recognised = found
        if found.kind != "line-ends" or policy != "keep-most":
            return file
        if in_place:
            message = "line ends cannot be restored with --in-place"
            raise Corrupt(f"{found.message}: {message}", offset=found.offset, code="line-ends")
        return Restored(file)
    except BaseException:
        file.close()
        raise


def _refuse(found: Recognised, packing: tuple[str, ...]) -> None:
    if packing and not packing[0].startswith("vcs-"):
        message = "a captured replication transfer, not an AOF: `rdbkit split` extracts its two parts"
        raise Unsupported(message, offset=0, code="framed")
    if found.kind in ("foreign", "damaged"):
        raise found.error()


def _assumed(members: list[AofFile], manifest: bool) -> Target:
    head = target_of_head(members[0].path) if members[0].format == "rdb" else None
    return head or Target.of_aof(in_parts=manifest or is_part(members[0].path))


class _Advance:
    """Progress of one of several files."""

    def __init__(self, progress: Callable[[int, int], object], before: int, total: int) -> None:
        self.progress, self.before, self.total = progress, before, total

    def __call__(self, at: int) -> None:
        self.progress(self.before + at, self.total)


def _watch(jobs: list[Job], progress: Callable[[int, int], object] | None) -> None:
    """Connect each file to the progress callback."""
    if progress is None:
        return
    total = sum(job.file.size for job in jobs)
    before = 0
    for job in jobs:
        job.file.advance = _Advance(progress, before, total)
        before += job.file.size


def _refuse_empty(job: Job, target: Target) -> None:
    """Refuse an empty single file, as `check` does, unless the target is known to start with it."""
    if not job.file.size and not starts_empty(job.member.path, target):
        raise Truncated("the file is empty", offset=0, code="empty")


def _refuse_nothing(job: Job) -> None:
    """Refuse to write a file without any command."""
    if job.report.lost and not (job.start or job.report.commands):
        raise _nothing()


def _nothing() -> Corrupt:
    return Corrupt("it has no complete command: nothing to keep", offset=0, code="nothing-left")


# -- examining ---------------------------------------------------------------------------------------------------------


def _judge(jobs: list[Job], policy: str, cut: Cut, target: Target) -> None:
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
                "use the policy keep-most",
                offset=job.lost[0].start,
                code="not-last",
            )
    results = {id(job): result for job, result in judged}
    for job in jobs:
        job.account = _account(job, results.get(id(job), Judged()))
    for job, result in judged:
        if result.loads:
            continue
        faults = faults_of(job.file, job.lost, job.start, target, last=job is judged[-1][0])
        job.account = replace(job.report, faults=faults)


def _judged(job: Job, jobs: list[Job], policy: str, target: Target) -> Judged:
    with _named(job, jobs):
        if policy == "fix":
            return policies.fix(job.file, job.start)
        last = job is [one for one in jobs if not one.absent][-1]
        if policy == "server":
            return policies.server(job.file, job.start, target, last=last)
        loads = policies.loads_as_it_is(job.file, job.start, target, last=last)
        return loads or _kept(job)


def _kept(job: Job) -> Judged:
    """Keep what is readable; if nothing is, raise the error that `check` reports."""
    kind = job.file.recognised
    try:
        judged = policies.keep_readable(job.file, job.start)
    except Unsupported as error:
        raise (_nothing() if kind is None or kind.holds_commands else kind.error()) from error
    if kind is not None and kind.kind == "unknown" and job.member.role == "single" and not judged.commands:
        raise kind.error()
    return judged


class _named:  # noqa: N801  used in a with
    """Adds the file name to an error, if there are several files."""

    def __init__(self, job: Job, jobs: list[Job]) -> None:
        self.name = _text(job.member.name) if len(jobs) > 1 else ""

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: object, error: BaseException | None, _at: object) -> None:
        if self.name and isinstance(error, RdbkitError):
            error.message = f"{self.name}: {error.message}"


class _Records:
    """The commands of a file for find_cut: all that are readable, also after damage."""

    def __init__(self, file: DamagedFile, start: int) -> None:
        self.file, self.start, self.size = file, start, file.size

    def items(self) -> Iterator[Item]:
        for found in AofRecords(self.file, self.start):
            if not isinstance(found, Damage):
                yield from found


def _cut(jobs: list[Job], cut: Cut) -> None:
    """Lower the end of the file with the cut; drop the files after it."""
    if not cut:
        return
    point = find_cut([_Records(job.file, job.start) for job in jobs], cut)
    if point is None:
        return
    index, offset = point
    if not offset and not any(job.file.size for job in jobs[:index]):
        raise NothingThere("there is nothing before that point", offset=offset)
    jobs[index].file.end = offset
    for job in jobs[index + 1 :]:
        job.absent = True


def _with_cut(job: Job, result: Judged) -> Ranges:
    """Return what is dropped; what the policy drops at the edge of a cut counts as cut."""
    file, lost = job.file, result.lost
    if file.end == file.size:
        return lost
    at = file.end
    file.end = file.size
    if lost and lost[-1].end == at:
        at = lost.pop().start
    lost.push(Lost(at, file.size, "cut"))
    return lost


def _account(job: Job, result: Judged) -> RepairedFile:
    file = job.file
    doubts = list(result.doubts)
    if job.absent:
        job.lost = Ranges([Lost(0, file.size, "cut")] if file.size else [])
    dropped, rest = describe_all(file, job.lost)
    before, places = (file.before, file.places) if isinstance(file, Restored) else (file.size, 0)
    return RepairedFile(
        job.member.path,
        job.member.role,
        before,
        file.size - sum(lost.end - lost.start for lost in job.lost),
        result.commands,
        dropped,
        tuple(doubts),
        job.absent,
        rest=rest,
        restored=places,
    )
