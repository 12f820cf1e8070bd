"""Values as JSON, in the shapes of `export`: at once where they are small, part by part where they are not.

    string  "…"                          hash    {"field":"value"}, and beside it {"field":ms} where fields expire
    list    ["…"]                        zset    [["member",1.5], …] ascending by score, then member bytes set
    ["…"]                        array   [[index, "text" or number], …] stream
    {"entries":[{"id":"1-1","fields":[["f","v"]]}],"last_id":…,"entries_added":…,"max_deleted_id":…,"groups":[…]}
    module  {"module":"name","version":n,"parts":[["uint",7],["string","…"], …]}

`json_value` and its neighbours take a decoded value and return text. `ValueWriter` takes iterators of batches of
parts, in file order, and writes as they come; what it must hold back (the order of a zset, the expiry of a hash's
fields) goes to temporary space above a budget. Both give the same text for the same value.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import Any

from rdbkit.report.sort import Sorter
from rdbkit.report.text import TextStream, json_joined, json_number, json_quote, json_string, json_strings

Write = Callable[[str], object]
Member = tuple[bytes, float]
Field = tuple[bytes, bytes, int | None]
StreamEntry = tuple[Any, Sequence[tuple[bytes, bytes]]]  # the ID as (ms, seq) or as its text
Item = tuple[int, bytes | int | float]
Part = tuple[str, Any]

_SPOOL = 1 << 20
_PIECE = 1 << 16
_BATCH = 512


def _pairs(items: Iterable[tuple[Any, ...]], form: str) -> str:
    """Return `"a":"b","c":"d"` for [(a, b), (c, d)]."""
    strings = json_strings([*chain.from_iterable(items)], form)
    return ",".join(map(":".join, zip(strings[::2], strings[1::2])))


def _zset(members: Sequence[Member], form: str) -> str:
    names = json_strings([member for member, _ in members], form)
    return ",".join([f"[{name},{json_number(member[1])}]" for name, member in zip(names, members)])


def _scalar(value: bytes | float, form: str) -> str:
    return json_string(value, form) if isinstance(value, bytes) else json_number(value)


def _array(items: Iterable[Item], form: str) -> str:
    return ",".join([f"[{index},{_scalar(value, form)}]" for index, value in items])


def id_text(stream_id: Any) -> str:
    """Return a stream ID as "ms-seq"; what is text already stays."""
    return stream_id if isinstance(stream_id, str) else "%d-%d" % stream_id


def _entries(entries: Iterable[StreamEntry], form: str) -> str:
    return ",".join(
        [
            f'{{"id":"{id_text(stream_id)}","fields":[{",".join([f"[{json_joined(pair, form)}]" for pair in fields])}]}}'
            for stream_id, fields in entries
        ]
    )


def stream_rest(stream: Any) -> dict[str, Any]:
    """Return what follows "entries" in the JSON of a stream, from its decoded metadata; lists in it are lazy."""
    rest = {
        "last_id": id_text(stream.last_id),
        "entries_added": stream.entries_added,
        "max_deleted_id": None if stream.max_deleted_id is None else id_text(stream.max_deleted_id),
        "groups": map(_group, stream.groups),
    }
    if stream.idmp is not None:
        rest["idmp"] = _idmp(stream.idmp)
    return rest


def _group(group: Any) -> dict[str, Any]:
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


def _idmp(idmp: Any) -> dict[str, Any]:
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


def _json_hash(value: Any, form: str) -> str:
    return f"{{{_pairs(value.items() if isinstance(value, Mapping) else (item[:2] for item in value), form)}}}"


def _json_set(value: Iterable[bytes], form: str) -> str:
    # A Python set has another order in each process; a list is in the order of the file.
    return f"[{json_joined(sorted(value) if isinstance(value, set | frozenset) else list(value), form)}]"


def _json_stream(stream: Any, form: str) -> str:
    return f'{{"entries":[{_entries(stream.entries, form)}],{"".join(pieces(stream_rest(stream), form))[1:]}'


def _json_module(module: Any, form: str) -> str:
    parts = ",".join([f"[{json_quote(kind)},{_scalar(value, form)}]" for kind, value in module.parts])
    return f'{{"module":{json_quote(module.name)},"version":{module.version},"parts":[{parts}]}}'


_VALUES: dict[str, Callable[[Any, str], str]] = {
    "string": json_string,
    "list": lambda value, form: f"[{json_joined(value, form)}]",
    "set": _json_set,
    "zset": lambda value, form: f"[{_zset(value, form)}]",
    "hash": _json_hash,
    "array": lambda value, form: f"[{_array(value, form)}]",
    "stream": _json_stream,
    "module": _json_module,
}


def json_value(type_name: str, value: Any, form: str = "escape") -> str:
    """Return a decoded value as JSON.

    Taken as given: bytes; sequences of bytes; a zset in ZRANGE order; a hash as a mapping, or as (field, value, …)
    tuples; an array as (index, value) pairs; a stream or module with the attributes of the library's classes. A
    Python set is sorted.
    """
    return _VALUES[type_name](value, form)


def json_expiries(expires: Mapping[bytes, int], form: str = "escape") -> str:
    """Return {"field":ms} for the fields that expire."""
    return "{" + ",".join([f"{json_string(field, form)}:{ms}" for field, ms in expires.items()]) + "}"


class Expiries:
    """The expiry times of a hash's fields as the JSON object that follows its value; above a megabyte on disk."""

    def __init__(self, form: str) -> None:
        self._form = form
        self._spool = tempfile.SpooledTemporaryFile(_SPOOL, "w+", encoding="utf-8", newline="")  # noqa: SIM115
        self._before = "{"

    def __bool__(self) -> bool:
        return self._before != "{"

    def add(self, fields: Iterable[Field]) -> None:
        """Note the fields that have an expiry time."""
        for field, _, ms in fields:
            if ms is not None:
                self._spool.write(f"{self._before}{json_string(field, self._form)}:{ms}")
                self._before = ","

    def __iter__(self) -> Iterator[str]:
        """Yield the object's text, once; the space is free afterwards."""
        self._spool.seek(0)
        while piece := self._spool.read(_PIECE):
            yield piece
        yield "}" if self else "{}"
        self._spool.close()


class ValueWriter:
    """Writes one value after another as JSON from parts, in bounded memory; each method consumes its iterator."""

    def __init__(self, write: Write, form: str = "escape") -> None:
        self._write = write
        self._form = form

    def string(self, chunks: Iterable[bytes]) -> None:
        """Write a string from its bytes in pieces."""
        self._write('"')
        for text in TextStream(self._form).texts(chunks):
            self._write(json_quote(text)[1:-1])
        self._write('"')

    def list(self, batches: Iterable[Sequence[bytes]]) -> None:
        """Write a list."""
        self._batches("[", batches, json_joined, "]")

    def set(self, batches: Iterable[Sequence[bytes]]) -> None:
        """Write a set, in the order given."""
        self._batches("[", batches, json_joined, "]")

    def zset(self, batches: Iterable[Sequence[Member]]) -> None:
        """Write a zset, ascending by (score, member) whatever the order given: in memory if it came as one batch."""
        with Sorter() as sorter:
            self._batches("[", _ascending(batches, sorter), _zset, "]")

    def hash(self, batches: Iterable[Sequence[Field]]) -> Expiries | None:
        """Write a hash; return the expiry times of its fields, None if none expires."""
        expiries = Expiries(self._form)

        def noted(batch: Sequence[Field], form: str) -> str:
            expiries.add(batch)
            return _pairs((item[:2] for item in batch), form)

        self._batches("{", batches, noted, "}")
        return expiries or None

    def array(self, batches: Iterable[Sequence[Item]]) -> None:
        """Write an array."""
        self._batches("[", batches, _array, "]")

    def stream(
        self, batches: Iterable[Sequence[StreamEntry]], rest: Mapping[str, Any] | Callable[[], Mapping[str, Any]]
    ) -> None:
        """Write a stream: its entries, then `rest` (see stream_rest), asked for after the last entry if it is callable."""
        self._batches('{"entries":[', batches, _entries, "],")
        tail = pieces(rest() if callable(rest) else rest, self._form)
        self._write(next(tail)[1:])  # its opening brace
        for piece in tail:
            self._write(piece)

    def module(self, name: str, version: int, parts: Iterable[Part]) -> None:
        """Write a module's value; the bytes of a part may be an iterator of pieces."""
        self._write(f'{{"module":{json_quote(name)},"version":{version},"parts":[')
        before = ""
        for kind, value in parts:
            self._write(f"{before}[{json_quote(kind)},")
            if isinstance(value, bytes | int | float):
                self._write(_scalar(value, self._form))
            else:
                self.string(value)
            self._write("]")
            before = ","
        self._write("]}")

    def _batches(self, start: str, batches: Iterable[Sequence[Any]], join: Callable[[Any, str], str], end: str) -> None:
        self._write(start)
        before = ""
        for batch in filter(None, batches):
            self._write(before + join(batch, self._form))
            before = ","
        self._write(end)


def _ascending(batches: Iterable[Sequence[Member]], sorter: Sorter) -> Iterator[Sequence[Member]]:
    """Yield the members by (score, member), as ZRANGE does."""
    source = filter(None, batches)
    first, second = next(source, ()), next(source, ())
    if not second:
        yield sorted(first, key=lambda member: (member[1], member[0]))
        return
    for given in chain((first, second), source):
        sorter.add_batch([(score, member) for member, score in given])
    rows = iter(sorter)
    while batch := [(member, score) for score, member in islice(rows, _BATCH)]:
        yield batch
