"""From a path, bytes or a file object to a snapshot, and from a DUMP payload to a record."""

from __future__ import annotations

from dataclasses import replace as changed
from functools import partial

from rdbkit.entry import Record
from rdbkit.errors import RdbkitError, Unsupported
from rdbkit.format import spec
from rdbkit.format.shape import ELEMENTS
from rdbkit.rdb.body import Body
from rdbkit.rdb.dump import Payload, read_payload
from rdbkit.rdb.value_checks import whole_value
from rdbkit.rdb.values import Decoder
from rdbkit.rdb.walker import Plan
from rdbkit.releases import encodings, limits
from rdbkit.releases.target import Target
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
) -> Snapshot:
    """Open a snapshot: a path, "-" for standard input, bytes, or a binary file object; packed or not.

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
    source = open_source(what)
    try:
        refuse_others(source)
        goal = Target.parse(target) if isinstance(target, str) else target
        if max_item is not None:
            plan = changed(plan or DEFAULT_PLAN, max_item=max_item)
        return Snapshot(
            source,
            target=goal,
            settings=settings,
            allocator=allocator,
            now=now,
            plan=plan,
            verify=verify,
            on_damage=on_damage,
        )
    except BaseException:
        source.close()
        raise


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


def refuse_others(source: Source) -> None:
    """Raise the error that names the format of an input that is not an RDB, instead of calling it damaged."""
    found = source.recognise()
    if found.kind in ("aof", "manifest"):
        what = "an append-only file" if found.kind == "aof" else "the manifest of an append-only file"
        raise Unsupported(f"{what}, not an RDB: its state needs replay", offset=source.start, code="needs-replay")
    if found.kind != "rdb":
        raise found.error()


def target_of_head(path: str, settings: dict[str, str] | None = None) -> Target | None:
    """Return the server that wrote the RDB at the start of a file; None if that cannot be read."""
    try:
        with open_source(path) as source:
            return Snapshot(source, settings=settings, verify=False).target
    except RdbkitError:
        return None
