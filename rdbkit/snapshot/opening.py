"""From a path, bytes or a file object to a snapshot, and from a DUMP payload to a record."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace as changed
from functools import partial
from typing import Any

from rdbkit.aof.aof_set import AofFile, AofSet, is_part
from rdbkit.aof.layout import DataDir, Found, files_at, would_load
from rdbkit.aof.reader import has_preamble
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
from rdbkit.source import Source, open_source
from rdbkit.wire.cursor import Cursor


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
    appendonly: bool = True,
) -> Snapshot:
    """Open a snapshot: a path, "-" for standard input, bytes, or a binary file object; packed or not.

    An AOF, the manifest or directory of a set, and a data directory are replayed: see ReplayedSnapshot. Of a data
    directory the files count that a server loads with `appendonly yes` or `no`.

    `target` ("redis:7.2.6") and `settings` (as in redis.conf) determine the server for which encodings are computed;
    default: the one that wrote the file. `plan` determines the selection and depth of reading; `verify=False` ignores
    the checksum.

    `on_damage` determines what happens at a damaged value: with "skip", iteration continues after it (see Snapshot);
    with "stop" it ends there and raises the error, as it does at damage that hides what follows.

    Raises TypeError for any other kind of input, ValueError for another `on_damage`, OSError, Unsupported (another
    format, a newer version), Truncated, Corrupt.
    """
    if on_damage not in ("skip", "stop"):
        raise ValueError(f'on_damage is "skip" or "stop", not {on_damage!r}')
    if max_item is not None:
        plan = changed(plan or DEFAULT_PLAN, max_item=max_item)
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
    if isinstance(found, AofSet | DataDir):
        files = files_of(found, appendonly=appendonly)
        if files[0].role == "single" and files[0].format == "rdb":
            return open(files[0].path, **options)
        return replayed(files, found, os.fspath(what), **options)  # type: ignore[arg-type]
    source = open_source(what)
    try:
        if source.recognise().kind == "aof":
            return replayed((source,), found, source.name, **options)
        refuse_others(source)
        snapshot = Snapshot(source, **options)
        if snapshot.aux.get("aof-preamble") == b"1" and source.rereads:
            with source, source.reopen(source.start) as again:
                return replayed((again,), found, source.name, **options)
        return snapshot
    except BaseException:
        source.close()
        raise


def files_of(found: AofSet | DataDir, *, appendonly: bool) -> tuple[AofFile, ...]:
    """Return the files that a server loads from a set or a data directory.

    Raises Unsupported if there are none, or if that depends on its file name settings, ManifestError.
    """
    if isinstance(found, DataDir):
        appendonly = appendonly and bool(found.sets or found.aofs)
    files = would_load(found, appendonly=appendonly)
    if not files:
        raise Unsupported("a server loads no file from it: it starts empty", code="nothing-found")
    return files


def replayed(
    files: Sequence[AofFile | Source],
    found: Found | None,
    name: str,
    *,
    target: Target | None,
    settings: dict[str, str] | None,
    allocator: str,
    now: int | None,
    **options: Any,
) -> Snapshot:
    """Return the state to which files lead."""
    # Imported here, because most commands are about an RDB.
    from rdbkit.snapshot.replay import replay
    from rdbkit.snapshot.replayed import ReplayedSnapshot

    goal = changed(target or _assumed(files[0]), allocator=allocator, now=now)
    if settings:
        goal = goal.with_settings(settings)
    result = replay(files, goal, verify=options.pop("verify"))
    return ReplayedSnapshot(result, name, allocator=allocator, **options)


def _assumed(file: AofFile | Source) -> Target:
    """Return the target of an AOF by its first file: the server that wrote its RDB, or the one to be assumed."""
    if isinstance(file, AofFile):
        head = target_of_head(file.path) if file.format == "rdb" else None
        return head or Target.of_aof(in_parts=file.role != "single" or is_part(file.path))
    if has_preamble(file.peek) and file.rereads:
        with file.reopen(file.start) as again:
            return Snapshot(again, verify=False).target
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
