"""From a path, bytes or a file object to a snapshot, and from a DUMP payload to a record."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from dataclasses import replace as changed
from functools import partial
from typing import TYPE_CHECKING, Any

from rdbkit.aof.aof_set import AofFile, AofSet, is_part
from rdbkit.aof.cut import Cut
from rdbkit.aof.layout import DataDir, files_at, would_load
from rdbkit.entry import Record
from rdbkit.errors import Unsupported
from rdbkit.format import spec
from rdbkit.format.shape import ELEMENTS
from rdbkit.rdb.body import Body
from rdbkit.rdb.dump import Payload, read_payload
from rdbkit.rdb.value_checks import whole_value
from rdbkit.rdb.values import Decoder
from rdbkit.rdb.walker import Plan
from rdbkit.releases import encodings, limits
from rdbkit.releases.target import Target
from rdbkit.snapshot.preamble import refuse_others, target_of_head
from rdbkit.snapshot.snapshot import DEFAULT_PLAN, OnDamage, Openable, Snapshot
from rdbkit.source import open_source
from rdbkit.wire.cursor import Cursor

if TYPE_CHECKING:
    from rdbkit.snapshot.replay import Input, Progress
    from rdbkit.snapshot.replayed import ReplayedSnapshot


@dataclass(frozen=True, slots=True)
class Replaying:
    """How an AOF is replayed; the fields are described at `open`."""

    until: Cut = field(default_factory=Cut)
    renamed: dict[bytes, bytes] = field(default_factory=dict)
    lenient: bool = False
    progress: Progress | None = None


def open(  # noqa: A001  rdbkit.open is to be called by that name
    what: Openable,
    *,
    target: Target | str | None = None,
    settings: dict[str, str] | None = None,
    allocator: str = "jemalloc",
    now: int | None = None,
    plan: Plan | None = None,
    verify: bool = True,
    max_item: int | None = None,
    on_damage: OnDamage = "skip",
    appendonly: bool | None = None,
    until_time: int | None = None,
    until_offset: int | None = None,
    before: bytes | str | None = None,
    before_db: int | None = None,
    renamed: dict[bytes, bytes] | None = None,
    lenient: bool = False,
    progress: Progress | None = None,
) -> Snapshot:
    """Open a snapshot: a path, "-" for standard input, bytes, or a binary file object; packed or not.

    An AOF, the manifest or directory of a set, and a data directory are replayed: see ReplayedSnapshot. Of a data
    directory the files count that a server loads with `appendonly yes` or `no`; default: the AOF if there is one.

    `target` ("redis:7.2.6") and `settings` (as in redis.conf) determine the server for which encodings are computed;
    default: the one that wrote the file. `plan` determines the selection and depth of reading; `verify=False` ignores
    the checksum.

    `on_damage` determines what happens at a damaged value: with "skip", iteration continues after it (see Snapshot);
    with "stop" it ends there and raises the error, as it does at damage that hides what follows.

    For an AOF only, as it was earlier: `until_time` (ms since epoch) ends the replay at the first newer annotation,
    `until_offset` at a byte of a single file, `before` before the last command that begins with these words, in any
    case, such as "FLUSHALL", with `before_db` the last one that acts on that database. `renamed` has the names of
    commands by those that `rename-command` gave them. With `lenient` a command that the target does not know makes the
    keys that it names uncertain, instead of ending the replay. `progress` takes the number of bytes to replay (None:
    unknown), and returns a context manager whose object has a method `update(bytes done)`.

    Raises TypeError for any other kind of input, ValueError for another `on_damage`, for an offset in several files,
    and for an end that is requested for an RDB; OSError, Unsupported (another format, a newer version; code
    "no-timestamps" for `until_time`), Truncated, Corrupt, RdbkitError with code "nothing-to-cut" if there is no such
    end, Passed if `before` is given for a pipe, which can be read only once.
    """
    if on_damage not in ("skip", "stop"):
        raise ValueError(f'on_damage is "skip" or "stop", not {on_damage!r}')
    if max_item is not None:
        plan = changed(plan or DEFAULT_PLAN, max_item=max_item)
    words = before.encode("utf-8", "surrogateescape") if isinstance(before, str) else before
    replaying = Replaying(Cut(until_time, until_offset, words, before_db), renamed or {}, lenient, progress)
    options: dict[str, Any] = {
        "target": Target.parse(target) if isinstance(target, str) else target,
        "settings": settings,
        "allocator": allocator,
        "now": now,
        "plan": plan,
        "verify": verify,
        "on_damage": on_damage,
    }
    found = files_at(what)
    if not isinstance(found, AofSet | DataDir):
        return _open_one(what, replaying, options)
    files = files_of(found, appendonly=appendonly)
    if files[0].role == "single":
        # The files of a data directory are known by what the server takes them for.
        return _open_one(files[0].path, replaying, options, is_aof=files[0].path not in _rdbs(found))
    return _replayed(files, os.fspath(what), replaying, **options)  # type: ignore[arg-type]


def replay(
    what: Openable,
    *,
    target: Target | str | None = None,
    settings: dict[str, str] | None = None,
    now: int | None = None,
    appendonly: bool | None = None,
    until_time: int | None = None,
    until_offset: int | None = None,
    before: bytes | str | None = None,
    before_db: int | None = None,
    renamed: dict[bytes, bytes] | None = None,
    lenient: bool = False,
    progress: Progress | None = None,
) -> ReplayedSnapshot:
    """Return the state to which an AOF leads: as `open`, whose parameters these are, for what must be an AOF.

    Beside its keys it has `replay`: how many `commands` were run and `failed`, the first `errors`, where it ended
    (`end`), and the `error` that ended it, which iteration raises after the keys; and `uncertain`, the keys that are
    not known. Raises as `open`, and Unsupported (code "not-aof") for an RDB.

        >>> with rdbkit.replay("appendonlydir", before="FLUSHALL") as state:
        ...     print([entry.key for entry in state], state.replay.end)
    """
    from rdbkit.snapshot.replayed import ReplayedSnapshot

    found = open(
        what,
        target=target,
        settings=settings,
        now=now,
        appendonly=appendonly,
        until_time=until_time,
        until_offset=until_offset,
        before=before,
        before_db=before_db,
        renamed=renamed,
        lenient=lenient,
        progress=progress,
    )
    if not isinstance(found, ReplayedSnapshot):
        found.close()
        raise Unsupported("an RDB: it has no commands to replay", code="not-aof")
    return found


def _rdbs(found: AofSet | DataDir) -> list[str]:
    return [file.path for file in found.rdbs] if isinstance(found, DataDir) else []


def _open_one(what: Openable, replaying: Replaying, options: dict[str, Any], *, is_aof: bool | None = None) -> Snapshot:
    """Open a single file; `is_aof`: what it is for the server, None if that is to be seen from its contents."""
    source = open_source(what)
    try:
        if source.recognise().kind == "aof":
            return _replayed((source,), source.name, replaying, **options)
        refuse_others(source)
        snapshot = Snapshot(source, **options)
        if is_aof or (is_aof is None and snapshot.aux.get("aof-preamble") == b"1"):
            return _replayed((snapshot,), source.name, replaying, **options)
        if replaying.until:
            raise ValueError("only the state of an append-only file can be that of an earlier point; this is an RDB")
        return snapshot
    except BaseException:
        source.close()
        raise


def files_of(found: AofSet | DataDir, *, appendonly: bool | None) -> tuple[AofFile, ...]:
    """Return the files that a server loads from a set or a data directory; `appendonly` as for `open`.

    Raises Unsupported if there are none, or if that depends on its file name settings, ManifestError.
    """
    if isinstance(found, DataDir) and appendonly is None:
        appendonly = bool(found.sets or found.aofs)
    files = would_load(found, appendonly=appendonly is not False)
    if not files:
        what = "RDB" if appendonly is False else "AOF"
        raise Unsupported(f"no {what} in it: a server that loads it starts empty", code="nothing-found")
    return files


def _replayed(
    files: Sequence[Input],
    name: str,
    replaying: Replaying,
    *,
    target: Target | None,
    settings: dict[str, str] | None,
    allocator: str,
    now: int | None,
    **options: Any,
) -> Snapshot:
    """Return the state to which files lead."""
    # Imported here, because most commands are about an RDB.
    from rdbkit.snapshot.replay import replay as load
    from rdbkit.snapshot.replayed import ReplayedSnapshot
    from rdbkit.snapshot.until import end_of

    goal = changed(target or _assumed(files[0]), allocator=allocator, now=now)
    if settings:
        goal = goal.with_settings(settings)
    point = end_of(files, replaying.until, replaying.progress)
    result = load(
        files,
        goal,
        verify=options.pop("verify"),
        lenient=replaying.lenient,
        renamed=replaying.renamed,
        until=replaying.until,
        point=point,
        progress=replaying.progress,
    )
    return ReplayedSnapshot(result, name, allocator=allocator, **options)


def _assumed(file: Input) -> Target:
    """Return the target of an AOF by its first file: the server that wrote its RDB, or the one to be assumed."""
    if isinstance(file, Snapshot):
        return file.target
    if isinstance(file, AofFile):
        head = target_of_head(file.path) if file.format == "rdb" else None
        return head or Target.of_aof(in_parts=file.role != "single" or is_part(file.path))
    return Target.of_aof(in_parts=is_part(file.name))


def load_dump(payload: bytes, *, target: Target | str | None = None) -> Record:
    """Read the payload of a DUMP command: a Record with an empty key, db 0 and no expiry.

    `target` as for `open`; default: the oldest server of the product that writes this RDB version. Raises Truncated,
    Corrupt (also for a duplicate member or field, and for a score that is not a number), Unsupported.
    """
    if not isinstance(payload, bytes | bytearray | memoryview):
        raise TypeError(f"cannot read {type(payload).__name__} as a DUMP payload: expected bytes")
    found = read_payload(bytes(payload))
    goal = Target.parse(target) if isinstance(target, str) else target
    goal = goal or Target.of_file(found.product, None, found.version)
    body = Body(
        Cursor(found.body, base=found.offset),
        limits.item_limits(goal),
        goal.has("listpack"),
        limits.list_limits(goal) if goal.has("list-listpack") else None,
    )
    if found.type_id == spec.FUNCTION2:
        raise Unsupported("a FUNCTION DUMP payload holds no value", offset=0, code="function-dump")
    shape = body.shape(found.type_id)
    again = partial(_payload_decoder, found)
    text, due = whole_value(again(), again, found.offset + len(found.body), 0)
    kind = spec.BY_ID[found.type_id]
    count = None if shape[ELEMENTS] < 0 else shape[ELEMENTS]
    name = encodings.rules(goal)(found.type_id, shape, 0, False)
    return Record(0, 0, b"", kind.type, name, None, None, None, count, len(payload), None, None, text, due)


def _payload_decoder(found: Payload) -> Decoder:
    return Decoder(found.type_id, Cursor(found.body, base=found.offset), {})
