"""JSON of what is nested: a stream's entries, and what follows them, piece by piece.

A stream may hold a million entries that nobody acknowledged: its groups are written as they are walked, never put
together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any

from rdbkit.report.text import json_joined, json_number, json_quote, json_string

if TYPE_CHECKING:
    from rdbkit.rdb.streams import Group, Idmp, Stream

StreamID = tuple[int, int]
StreamEntry = tuple[StreamID, Sequence[tuple[bytes, bytes]]]


def id_text(stream_id: StreamID) -> str:
    """Return a stream ID as "ms-seq"."""
    return f"{stream_id[0]}-{stream_id[1]}"


def _lists(pairs: Iterable[Sequence[bytes]], form: str) -> str:
    return ",".join([f"[{json_joined(pair, form)}]" for pair in pairs])


def stream_entries(entries: Iterable[StreamEntry], form: str) -> str:
    """Return entries as the inside of a JSON list."""
    return ",".join(
        [f'{{"id":"{id_text(stream_id)}","fields":[{_lists(fields, form)}]}}' for stream_id, fields in entries]
    )


def stream_rest(stream: Stream) -> dict[str, Any]:
    """Return what follows "entries" in the JSON of a stream; the lists in it are made while they are written.

    "idmp" (idempotent producers, Redis 8.6) is there only where the stream has them.
    """
    rest: dict[str, Any] = {
        "last_id": id_text(stream.last_id),
        "entries_added": stream.entries_added,
        "max_deleted_id": id_text(stream.max_deleted_id),
        "groups": map(_group, stream.groups),
    }
    if stream.idmp is not None:
        rest["idmp"] = _idmp(stream.idmp)
    return rest


def _group(group: Group) -> dict[str, Any]:
    return {
        "name": group.name,
        "last_delivered_id": id_text(group.last_delivered_id),
        "entries_read": group.entries_read,
        "pending": (
            {
                "id": id_text(pending.id),
                "consumer": pending.consumer,
                "delivered_at": pending.delivered_at,
                "deliveries": pending.deliveries,
            }
            for pending in group.pending
        ),
        "consumers": (
            {"name": consumer.name, "seen_at": consumer.seen_at, "active_at": consumer.active_at}
            for consumer in group.consumers
        ),
    }


def _idmp(idmp: Idmp) -> dict[str, Any]:
    return {
        "duration": idmp.duration,
        "max_entries": idmp.max_entries,
        "producers": (
            {"id": name, "entries": ([iid, id_text(stream_id)] for iid, stream_id in entries)}
            for name, entries in idmp.producers
        ),
        "added": idmp.added,
        "duplicates": idmp.duplicates,
    }


def pieces(value: Any, form: str = "escape") -> Iterator[str]:
    """Yield the JSON of plain nested data; bytes become strings, any iterable a list that is never held whole.

    Recursion is as deep as the shape that the caller built, never as anything in a file says.
    """
    if isinstance(value, Mapping):
        yield from _nested(value.items(), "{}", lambda pair: chain((f"{json_quote(pair[0])}:",), pieces(pair[1], form)))
    elif isinstance(value, bytes):
        yield json_string(value, form)
    elif isinstance(value, str):
        yield json_quote(value)
    elif value is None or isinstance(value, bool):
        yield {None: "null", True: "true", False: "false"}[value]
    elif isinstance(value, int | float):
        yield json_number(value)
    else:
        yield from _nested(value, "[]", lambda item: pieces(item, form))


def _nested(items: Iterable[Any], brackets: str, inside: Callable[[Any], Iterable[str]]) -> Iterator[str]:
    before = brackets[0]
    for item in items:
        yield before
        yield from inside(item)
        before = ","
    yield brackets if before == brackets[0] else brackets[1]
