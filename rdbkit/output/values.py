"""Values as JSON, in the forms of `export`: whole if they are small, else part by part.

    string  "…"
    list    ["…"]
    set     ["…"]
    zset    [["member",1.5], …] ascending by score, then member bytes
    hash    {"field":"value"}, with a separate {"field":ms} if fields expire
    array   [[index, "text" or number], …]
    path hash  {"path":{"field":"value"}}
    bitmap  {"length":bytes,"runs":[[first bit, last bit], …]}
    stream  {"entries":[{"id":"1-1","fields":[["f","v"]]}], "last_id":…, "entries_added":…, "max_deleted_id":…,
             "groups":[…]}
    module  {"module":"name","version":n,"parts":[["uint",7],["string","…"], …]}

A hash with a duplicate field does not fit a JSON object and is a list of all pairs in file order:
[["field","value"], …], with a separate [["field",ms], …] (Pairs). So is a path hash with a duplicate path or field:
[["path",[["field","value"], …]], …].

`json_value` and related functions take a decoded value and return text. `ValueWriter` takes iterators of batches of
parts, in file order, and writes them as they arrive; what it must hold back (the order of a zset, the expiry of a
hash's fields) goes to temporary files above a budget. LongItems (wire/spool.py) are written piece by piece. Both give
the same text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

from rdbkit.output.nested import EntryPair, id_text, pieces, quoted, stream_entries
from rdbkit.output.nested import stream_rest as stream_rest
from rdbkit.output.sort import Sorter
from rdbkit.output.text import TextStream, json_joined, json_numbers, json_pairs, json_quote, json_string, json_strings
from rdbkit.wire.spool import LongItem, Spool

if TYPE_CHECKING:
    from tempfile import SpooledTemporaryFile

    from rdbkit.rdb.modules import Module
    from rdbkit.rdb.streams import Stream

Write = Callable[[str], object]
# Any is bytes or a LongItem; of an array's element also a number.
Member = tuple[Any, float]
Field = tuple[Any, Any, int | None]
Element = tuple[int, Any]
PathPart = tuple[Any, Sequence[tuple[Any, Any]]]
TextPart = tuple[str, Any]

_SPOOL = 1 << 20
_PIECE = 1 << 16
_BATCH = 512


class Pairs(list[Any]):
    """The parts of a hash or path hash with a duplicate, or the (field, ms) of fields that expire."""


def _zset(members: Sequence[Member], form: str) -> str:
    names = json_strings([member for member, _ in members], form)
    scores = json_numbers([score for _, score in members])
    return ",".join([f"[{name},{score}]" for name, score in zip(names, scores)])


def _scalar(value: bytes | float, form: str) -> str:
    if isinstance(value, bytes):
        return json_string(value, form)
    # Integers and floats are different kinds of elements: 1 is not 1.0.
    text = repr(value)
    return f'"{text}"' if text[-1] in "fn" else text


def _array(items: Iterable[Element], form: str) -> str:
    return ",".join([f"[{index},{_scalar(value, form)}]" for index, value in items])


def _runs(runs: Iterable[tuple[int, int]], _form: str) -> str:
    return ",".join([f"[{first},{last}]" for first, last in runs])


def _pairs(fields: Iterable[Sequence[Any]], form: str) -> str:
    return ",".join([f"[{json_joined(field[:2], form)}]" for field in fields])


def _json_hash(value: Any, form: str) -> str:
    if isinstance(value, Pairs):
        return f"[{_pairs(value, form)}]"
    return (
        f"{{{json_pairs(list(value.items()) if isinstance(value, Mapping) else [item[:2] for item in value], form)}}}"
    )


def _json_paths(value: Any, form: str) -> str:
    if isinstance(value, Pairs):
        return "".join(_path_pieces(value, form, pairs=True))
    return "".join(_path_pieces([(path, list(fields.items())) for path, fields in value.items()], form))


def _path_pieces(parts: Iterable[PathPart], form: str, pairs: bool = False) -> Iterator[str]:
    """Yield a path hash, with `pairs` as a list of pairs; a part without a path has more fields of the path before."""
    start, before, after, close, end = ("[", "[", ",[", "]]", "]") if pairs else ("{", "", ":{", "}", "}")
    opened = False
    yield start
    for path, fields in parts:
        if path is None:
            yield ","
        else:
            yield f"{close},{before}" if opened else before
            yield from quoted(path, form)
            yield after
            opened = True
        if any(isinstance(item, LongItem) for pair in fields for item in pair):
            yield from _long_fields(fields, form, pairs)
        else:
            yield _pairs(fields, form) if pairs else json_pairs(fields, form)
    yield close + end if opened else end


def _long_fields(fields: Sequence[tuple[Any, Any]], form: str, pairs: bool) -> Iterator[str]:
    before, between, after = ("[", ",", "]") if pairs else ("", ":", "")
    for number, (field, value) in enumerate(fields):
        yield f",{before}" if number else before
        yield from quoted(field, form)
        yield between
        yield from quoted(value, form)
        yield after


def _json_set(value: Iterable[bytes], form: str) -> str:
    # The order of a Python set differs between processes; a list is in file order.
    return f"[{json_joined(sorted(value) if isinstance(value, set | frozenset) else list(value), form)}]"


def _json_stream(stream: Stream, form: str) -> str:
    return f'{{"entries":[{stream_entries(stream.entries, form)}],{"".join(pieces(stream_rest(stream), form))[1:]}'


def _json_module(module: Module, form: str) -> str:
    parts = ",".join([f"[{json_quote(kind)},{_scalar(value, form)}]" for kind, value in module.parts])
    return f'{{"module":{json_quote(module.name)},"version":{module.version},"parts":[{parts}]}}'


_VALUES: dict[str, Callable[[Any, str], str]] = {
    "string": json_string,
    "list": lambda value, form: f"[{json_joined(value, form)}]",
    "set": _json_set,
    "zset": lambda value, form: f"[{_zset(value, form)}]",
    "hash": _json_hash,
    "array": lambda value, form: f"[{_array(value.elements, form)}]",
    "path-hash": _json_paths,
    "bitmap": lambda value, form: f'{{"length":{value.length},"runs":[{_runs(value.runs, form)}]}}',
    "stream": _json_stream,
    "module": _json_module,
}


def json_value(type_name: str, value: Any, form: str = "escape") -> str:
    """Return a decoded value as JSON.

    A zset must be in ZRANGE order, as from the library. A set may also be a list, whose order is kept (a Python set is
    sorted), and a hash may be a list of parts.
    """
    return _VALUES[type_name](value, form)


def json_expiries(expires: Mapping[bytes, int] | Pairs, form: str = "escape") -> str:
    """Return {"field":ms} for the fields that expire."""
    if isinstance(expires, Pairs):
        return "[" + ",".join([f"[{json_string(field, form)},{ms}]" for field, ms in expires]) + "]"
    return "{" + ",".join([f"{json_string(field, form)}:{ms}" for field, ms in expires.items()]) + "}"


class Expiries:
    """The expiry times of a hash's fields as JSON text, on disk if longer than a megabyte.

    An object, or with `pairs` a list of pairs.
    """

    def __init__(self, form: str, pairs: bool = False) -> None:
        self._form = form
        self._start, self._before, self._after, self._end = ("[", "[", "]", "]") if pairs else ("{", "", "", "}")
        self._between = "," if pairs else ":"
        self._spool: SpooledTemporaryFile[str] | None = None

    def __bool__(self) -> bool:
        return self._spool is not None

    def add(self, fields: Iterable[Field]) -> None:
        """Record the fields that have an expiry time."""
        for field, _, ms in fields:
            if ms is None:
                continue
            name = quoted(field, self._form) if isinstance(field, LongItem) else (json_string(field, self._form),)
            self._note(chain((self._before,), name, (f"{self._between}{ms}{self._after}",)))

    def __iter__(self) -> Iterator[str]:
        """Yield the text, once; the space is freed afterwards."""
        if self._spool is None:
            yield self._start + self._end
            return
        self._spool.seek(0)
        while piece := self._spool.read(_PIECE):
            yield piece
        yield self._end
        self.close()

    def close(self) -> None:
        """Free the space without reading the text."""
        if self._spool is not None:
            self._spool.close()

    def _note(self, member: Iterable[str]) -> None:
        before = ","
        if self._spool is None:
            from tempfile import SpooledTemporaryFile

            self._spool = SpooledTemporaryFile(_SPOOL, "w+", encoding="utf-8", newline="")  # noqa: SIM115
            before = self._start
        self._spool.write(before)
        # One by one: only a write checks whether to move to disk.
        for piece in member:
            self._spool.write(piece)


class ValueWriter:
    """Writes one value after another as JSON from parts, in bounded memory; each method consumes its iterator."""

    def __init__(self, write: Write, form: str = "escape") -> None:
        self._write = write
        self._form = form
        self.spool: Spool | None = None
        """The spool of the decoder whose parts are being written; None if there are no LongItems."""

    def string(self, chunks: Iterable[bytes]) -> None:
        """Write a string from its bytes in pieces."""
        self._write('"')
        for text in TextStream(self._form).texts(chunks):
            self._write(json_quote(text)[1:-1])
        self._write('"')

    def list(self, batches: Iterable[Sequence[bytes]]) -> None:
        """Write a list."""
        self._batches("[", batches, json_joined, quoted, "]")

    def set(self, batches: Iterable[Sequence[bytes]]) -> None:
        """Write a set, in the order given."""
        self._batches("[", batches, json_joined, quoted, "]")

    def zset(self, batches: Iterable[Sequence[Member]]) -> None:
        """Write a zset, sorted by (score, member); in memory if it is a single batch."""
        with Sorter() as sorter:
            self._batches("[", _ascending(batches, sorter), _zset, pieces, "]")

    def hash(self, batches: Iterable[Sequence[Field]], pairs: bool = False) -> Expiries | None:
        """Write a hash, with `pairs` as a list of pairs; return the expiry times of its fields.

        None if no field expires.
        """
        expiries = Expiries(self._form, pairs)

        def noted(batch: Sequence[Field], form: str) -> str:
            expiries.add(batch)
            return _pairs(batch, form) if pairs else json_pairs([(field, value) for field, value, _ in batch], form)

        def noted_long(part: Field, form: str) -> Iterator[str]:
            expiries.add([part])
            before, between, after = ("[", ",", "]") if pairs else ("", ":", "")
            return chain((before,), quoted(part[0], form), (between,), quoted(part[1], form), (after,))

        try:
            if pairs:
                self._batches("[", batches, noted, noted_long, "]")
            else:
                self._batches("{", batches, noted, noted_long, "}")
        except BaseException:
            expiries.close()
            raise
        return expiries or None

    def array(self, batches: Iterable[Sequence[Element]]) -> None:
        """Write an array."""
        self._batches("[", batches, _array, _item_pieces, "]")

    def bitmap(self, length: int, batches: Iterable[Sequence[tuple[int, int]]]) -> None:
        """Write a bitmap of `length` bytes from its runs."""
        self._write(f'{{"length":{length},"runs":[')
        before = ""
        for batch in filter(None, batches):
            self._write(before + _runs(batch, self._form))
            before = ","
        self._write("]}")

    def path_hash(self, batches: Iterable[Sequence[PathPart]], pairs: bool = False) -> None:
        """Write a path hash, with `pairs` as a list of pairs."""
        for piece in _path_pieces(chain.from_iterable(batches), self._form, pairs):
            self._write(piece)

    def stream(
        self, batches: Iterable[Sequence[EntryPair]], rest: Mapping[str, Any] | Callable[[], Mapping[str, Any]]
    ) -> None:
        """Write a stream: its entries, then `rest` (see stream_rest), called after the last entry if it is callable."""
        self._batches('{"entries":[', batches, stream_entries, _entry_pieces, "],")
        tail = pieces(rest() if callable(rest) else rest, self._form)
        self._write(next(tail)[1:])  # its opening brace
        while batch := list(islice(tail, 1 if self._has_long else _BATCH)):
            self._write("".join(batch))

    def module(self, name: str, version: int, parts: Iterable[TextPart]) -> None:
        """Write a module's value; the bytes of a part may be an iterator of pieces."""
        self._write(f'{{"module":{json_quote(name)},"version":{version},"parts":[')
        before = ""
        for kind, value in parts:
            self._write(f"{before}[{json_quote(kind)},")
            if isinstance(value, bytes | int | float):
                self._write(_scalar(value, self._form))
            elif isinstance(value, LongItem):
                for piece in quoted(value, self._form):
                    self._write(piece)
            else:
                self.string(value)
            self._write("]")
            before = ","
        self._write("]}")

    def _batches(
        self,
        start: str,
        batches: Iterable[Sequence[Any]],
        join: Callable[[Any, str], str],
        each: Callable[[Any, str], Iterable[str]],
        end: str,
    ) -> None:
        """Write batches joined or, if there may be LongItems, each part in pieces."""
        self._write(start)
        before = ""
        for batch in filter(None, batches):
            if not self._has_long:
                self._write(before + join(batch, self._form))
                before = ","
                continue
            for part in batch:
                self._write(before)
                for piece in each(part, self._form):
                    self._write(piece)
                before = ","
        self._write(end)

    @property
    def _has_long(self) -> bool:
        return self.spool is not None and self.spool.count > 0


def _item_pieces(item: Element, form: str) -> Iterator[str]:
    """Yield an element of an array."""
    index, value = item
    text = quoted(value, form) if isinstance(value, LongItem) else (_scalar(value, form),)
    return chain((f"[{index},",), text, ("]",))


def _entry_pieces(entry: EntryPair, form: str) -> Iterator[str]:
    """Yield an entry of a stream."""
    return pieces({"id": id_text(entry[0]), "fields": entry[1]}, form)


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
