"""JSON of nested values: a stream's entries, groups and other fields, piece by piece.

A stream may have a million pending entries, so its groups are written while they are read and never held whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any

from rdbkit.output.text import TextStream, json_joined, json_number, json_quote, json_string, json_woven
from rdbkit.wire.spool import Item, LongItem

if TYPE_CHECKING:
    from rdbkit.rdb.pending_entries import Pending
from rdbkit.rdb.streams import Group, Idmp, Stream

StreamID = tuple[int, int]
Fields = Sequence[tuple[bytes, bytes]]
EntryPair = tuple[StreamID, Fields]


def id_text(stream_id: StreamID) -> str:
    """Return a stream ID as "ms-seq"."""
    return f"{stream_id[0]}-{stream_id[1]}"


def stream_entries(entries: Sequence[EntryPair], form: str) -> str:
    """Return entries as the elements of a JSON list, without brackets."""
    return ",".join(
        [
            f'{{"id":"{ms}-{seq}","fields":[{fields}]}}'
            for ((ms, seq), _), fields in zip(entries, _fields([fields for _, fields in entries], form))
        ]
    )


def _fields(lists: Sequence[Fields], form: str) -> list[str]:
    """Return the fields of each entry as the elements of a JSON list of pairs."""
    if form == "escape" and all(lists):
        joined = b'"]\x7f["'.join([b'"],["'.join(map(b'","'.join, fields)) for fields in lists])
        text = json_woven(joined, 4 * sum(map(len, lists)) + len(lists) - 3)
        if text is not None:
            return f'["{text}"]'.split("\x7f")
    return [",".join([f"[{json_joined(pair, form)}]" for pair in fields]) for fields in lists]


def stream_rest(stream: Stream) -> dict[str, Any]:
    """Return the members after "entries" in the JSON of a stream; lists are generated while they are written.

    "idmp" (idempotent producers, Redis 8.6) is present only if the stream has them.
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
        "pending": partial(_pending, group.pending),
        "consumers": (
            {"name": consumer.name, "seen_at": consumer.seen_at, "active_at": consumer.active_at}
            for consumer in group.consumers
        ),
    }


def _pending(entries: Iterable[Pending], form: str) -> Iterator[str]:
    """Yield the list of a group's pending entries, which may be as long as the stream."""
    names: dict[bytes | None, str] = {None: "null"}
    before = "["
    for entry in entries:
        ms, seq = entry.id
        consumer: Any = entry.consumer
        start = f'{before}{{"id":"{ms}-{seq}","consumer":'
        end = f',"delivered_at":{entry.delivered_at},"deliveries":{entry.deliveries}}}'
        if isinstance(consumer, LongItem):
            yield from chain((start,), quoted(consumer, form), (end,))
        else:
            name = names.get(consumer)
            if name is None:
                name = names[consumer] = json_string(consumer or b"", form)
            yield start + name + end
        before = ","
    yield "[]" if before == "[" else "]"


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


def quoted(item: Item, form: str) -> Iterator[str]:
    """Yield the JSON string of bytes, or of a LongItem."""
    if isinstance(item, bytes):
        yield json_string(item, form)
        return
    yield '"'
    for text in TextStream(form).texts(item.pieces()):
        yield json_quote(text)[1:-1]
    yield '"'


def pieces(value: Any, form: str = "escape") -> Iterator[str]:
    """Yield the JSON of nested data; bytes become strings, any iterable becomes a list that is never held whole.

    A function is called with the form of bytes and yields JSON text.

    The recursion depth is given by the caller's structure, never by the contents of a file.
    """
    if isinstance(value, Mapping):
        yield from _nested(value.items(), "{}", lambda pair: chain((f"{json_quote(pair[0])}:",), pieces(pair[1], form)))
    elif isinstance(value, bytes):
        yield json_string(value, form)
    elif isinstance(value, LongItem):
        yield from quoted(value, form)
    elif callable(value):
        yield from value(form)
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
