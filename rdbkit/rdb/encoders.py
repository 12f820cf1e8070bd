"""Values to the bodies of entries: one encode_<type> per type id, the counterpart of values.DECODERS.

    encode_<type>(value, options) -> the bytes that follow type byte and key in the file

Values have these shapes, in the order of the file:

    string  bytes                               hash   [(field, value, expires_at | None)]       ms since epoch
    list    [bytes]                             array  [(index, bytes | int | float)], ascending
    set     any iterable of bytes               module (name, version, [(kind, value)])
    zset    [(member, score)]                   stream: see stream_encoder
    CRON    (script, start, interval, [key], [argument])
    PATH_HASH  [(path, [(field, value)])]
    BITMAP  (length in bytes, [(first bit, last bit)]), ascending

The order of the value is kept if any order is valid; if the format prescribes one (scores in a packed zset, expiries in
LISTPACK_EX, integers in an intset, template fields, paths) the value is sorted. Data that a type cannot hold raises
ValueError: only the caller may decide to leave something out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from rdbkit.format import spec
from rdbkit.rdb.primitives import (
    ModulePart,
    encode_double,
    encode_f64,
    encode_length,
    encode_module_parts,
    encode_ms,
    encode_string,
    module_id,
    score_text,
)
from rdbkit.wire import intset, listpack, roaring, ziplist, zipmap

Field = tuple[bytes, bytes, int | None]
Scored = tuple[bytes, float]
Cron = tuple[bytes, int, int, Sequence[bytes], Sequence[bytes]]
Bits = tuple[int, Sequence[tuple[int, int]]]
Paths = Sequence[tuple[bytes, Sequence[tuple[bytes, bytes]]]]

#: The most bytes in a node by default: the servers' list-max-listpack-size -2.
LIST_NODE_BYTES = 8192
#: Head and end mark of an empty listpack and ziplist.
LISTPACK_AROUND, ZIPLIST_AROUND = 7, 11
#: The last moment at which a field can expire in Redis, in ms.
LAST_EXPIRY = (1 << 48) - 1
#: Longest element that an array keeps as a "small string" (64-bit builds; 32-bit builds refuse more than 3).
SMALL_STRING = 7
#: The most bytes of a bitmap.
LONGEST_BITMAP = (1 << 60) - 1


@dataclass(frozen=True, slots=True)
class Options:
    """The layout of a body, for those parts in which the format has a choice."""

    #: Pack strings and blobs with LZF if that saves enough.
    compress: bool = True
    #: Back-length rule of listpacks: "new" for Redis >= 8.8 and Valkey >= 9.1.
    generation: Literal["old", "new"] = "old"
    #: Use only the ziplist integers that RDB <= 5 has.
    wide: bool = False
    #: Elements of a quicklist node, entries of a stream node, at the most; None: any number, and 100.
    node_size: int | None = None
    #: The most bytes in a node, as servers estimate them; None: 8192 in a quicklist, 4096 in a stream. A longer element
    #: is alone in its node, which is a PLAIN node if the type has them.
    node_bytes: int | None = None
    #: Write scores of packed zsets as servers from 7.2 on do, else as those before.
    short_scores: bool = False
    #: Leave out field names that are those of the node's first entry (streams).
    same_fields: bool = True
    #: Deleted entries that are still in the nodes: (id, pairs) (streams).
    deleted: Sequence[tuple[tuple[int, int], Sequence[tuple[bytes, bytes]]]] = ()
    #: The index of an array's last insert (ARINSERT), if the body has one.
    insert_index: int | None = None
    #: Id of the hash template: the one of its HASH_TEMPLATE record, or any for the self-contained types.
    template: int = 0
    #: Field names of a self-contained template hash: 0 as a listpack, 1 one by one.
    template_format: Literal[0, 1] = 0
    #: Use containers of runs in a bitmap where they are smaller.
    run_containers: bool = True


PLAINLY = Options()

#: (element, size of the one before it in the node, options) -> the server's estimate of its bytes, and their number.
Measure = Callable[[bytes, int, Options], tuple[int, int]]


def _strings(items: Iterable[bytes], o: Options) -> bytes:
    return b"".join([encode_string(item, o.compress) for item in items])


def _counted(items: Sequence[bytes], o: Options) -> bytes:
    return encode_length(len(items)) + _strings(items, o)


def _listpack(items: Sequence[bytes], o: Options) -> bytes:
    return encode_string(listpack.encode(items, o.generation), o.compress)


def _ziplist(items: Sequence[bytes], o: Options) -> bytes:
    return encode_string(ziplist.encode(items, o.wide), o.compress)


def _members(value: Iterable[bytes]) -> list[bytes]:
    # Sorted, because the order of Python's sets differs between processes; the same input must give the same file.
    return sorted(value) if isinstance(value, (set, frozenset)) else list(value)


# -- strings, lists, sets ----------------------------------------------------------------------------------------------


def encode_string_value(value: bytes, o: Options = PLAINLY) -> bytes:
    """STRING."""
    return encode_string(value, o.compress)


def encode_list(value: Sequence[bytes], o: Options = PLAINLY) -> bytes:
    """LIST."""
    return _counted(value, o)


def encode_list_ziplist(value: Sequence[bytes], o: Options = PLAINLY) -> bytes:
    """LIST_ZIPLIST."""
    return _ziplist(value, o)


def encode_list_quicklist(value: Sequence[bytes], o: Options = PLAINLY) -> bytes:
    """LIST_QUICKLIST."""
    nodes = [_ziplist(node, o) for node in _nodes(value, o, _in_ziplist, ZIPLIST_AROUND)]
    return encode_length(len(nodes)) + b"".join(nodes)


def encode_list_quicklist_2(value: Sequence[bytes], o: Options = PLAINLY) -> bytes:
    """LIST_QUICKLIST_2: packed nodes, and PLAIN ones for elements longer than `node_bytes`."""
    limit = _list_limit(o)
    out = []
    for node in _nodes(value, o, _in_listpack, LISTPACK_AROUND):
        if len(node[0]) > limit:
            out.append(encode_length(spec.PLAIN) + encode_string(node[0], o.compress, integers=False))
        else:
            out.append(encode_length(spec.PACKED) + _listpack(node, o))
    return encode_length(len(out)) + b"".join(out)


def _list_limit(o: Options) -> int:
    return LIST_NODE_BYTES if o.node_bytes is None else o.node_bytes


def _nodes(items: Iterable[bytes], o: Options, measure: Measure, empty: int) -> Iterator[list[bytes]]:
    """Yield the elements node by node, filled as by a server that pushes one after the other.

    A server checks whether the node's actual size plus an estimate of the element's is within the limit.
    """
    limit = _list_limit(o)
    node: list[bytes] = []
    held = empty
    size = 0
    for item in items:
        estimate, size = measure(item, size if node else 0, o)
        if node and (len(node) == o.node_size or held + estimate > limit):
            yield node
            node, held = [], empty
        node.append(item)
        held += size
    if node:
        yield node


def _in_listpack(item: bytes, previous: int, o: Options) -> tuple[int, int]:
    return len(item) + 8, listpack.measure((item,)) - LISTPACK_AROUND


def _in_ziplist(item: bytes, previous: int, o: Options) -> tuple[int, int]:
    length = len(item)
    around = (1 if length < 254 else 5) + (1 if length < 64 else 2 if length < 16384 else 5)
    link = 4 if previous >= 254 else 0
    return length + around, len(ziplist.encode((item,), o.wide)) - ZIPLIST_AROUND + link


def encode_set(value: Iterable[bytes], o: Options = PLAINLY) -> bytes:
    """SET."""
    return _counted(_members(value), o)


def encode_set_intset(value: Iterable[bytes], o: Options = PLAINLY) -> bytes:
    """SET_INTSET; every member must be a canonical 64-bit integer."""
    members = list(value)
    if not members:
        raise ValueError("an intset has at least one member")
    for member in members:
        if not listpack.is_integer(member):
            raise ValueError(f"{member[:40]!r} cannot be a member of an intset")
    return encode_string(intset.encode(map(int, members)), o.compress)


def encode_set_listpack(value: Iterable[bytes], o: Options = PLAINLY) -> bytes:
    """SET_LISTPACK."""
    return _listpack(_members(value), o)


# -- zsets -------------------------------------------------------------------------------------------------------------


def encode_zset(value: Sequence[Scored], o: Options = PLAINLY) -> bytes:
    """ZSET, with text scores."""
    pairs = [encode_string(member, o.compress) + encode_double(score) for member, score in value]
    return encode_length(len(pairs)) + b"".join(pairs)


def encode_zset_2(value: Sequence[Scored], o: Options = PLAINLY) -> bytes:
    """ZSET_2; the highest score first, so that a server inserts at the head of its skiplist."""
    pairs = [encode_string(member, o.compress) + encode_f64(score) for member, score in reversed(_ranged(value))]
    return encode_length(len(pairs)) + b"".join(pairs)


def encode_zset_ziplist(value: Sequence[Scored], o: Options = PLAINLY) -> bytes:
    """ZSET_ZIPLIST."""
    return _ziplist(_scored(value, o), o)


def encode_zset_listpack(value: Sequence[Scored], o: Options = PLAINLY) -> bytes:
    """ZSET_LISTPACK."""
    return _listpack(_scored(value, o), o)


def _ranged(value: Iterable[Scored]) -> list[Scored]:
    return sorted(value, key=lambda pair: (pair[1], pair[0]))


def _scored(value: Iterable[Scored], o: Options) -> list[bytes]:
    return [item for member, score in _ranged(value) for item in (member, score_text(score, o.short_scores))]


# -- hashes ------------------------------------------------------------------------------------------------------------


def encode_hash(value: Sequence[Field], o: Options = PLAINLY) -> bytes:
    """HASH."""
    return encode_length(len(value)) + _strings(_pairs(value), o)


def encode_hash_zipmap(value: Sequence[Field], o: Options = PLAINLY) -> bytes:
    """HASH_ZIPMAP."""
    return encode_string(zipmap.encode(_pairs(value)), o.compress)


def encode_hash_ziplist(value: Sequence[Field], o: Options = PLAINLY) -> bytes:
    """HASH_ZIPLIST."""
    return _ziplist(_pairs(value), o)


def encode_hash_listpack(value: Sequence[Field], o: Options = PLAINLY) -> bytes:
    """HASH_LISTPACK."""
    return _listpack(_pairs(value), o)


def _pairs(value: Iterable[Field]) -> list[bytes]:
    out = []
    for field, data, expires_at in value:
        if expires_at is not None:
            raise ValueError(f"field {field[:40]!r} expires, which this type cannot hold")
        out += [field, data]
    return out


def encode_hash_metadata_pre_ga(value: Sequence[Field], o: Options = PLAINLY) -> bytes:
    """HASH_METADATA_PRE_GA: absolute expiries."""
    return _with_ttls(value, 0, o)


def encode_hash_metadata(value: Sequence[Field], o: Options = PLAINLY) -> bytes:
    """HASH_METADATA: expiries relative to the smallest, plus 1."""
    first = _first_expiry(value)
    fields = _with_ttls(value, first - 1, o)
    return encode_ms(first) + fields


def _with_ttls(value: Sequence[Field], base: int, o: Options) -> bytes:
    out = [encode_length(len(value))]
    for field, data, expires_at in value:
        ttl = 0 if expires_at is None else _due(expires_at, 1, LAST_EXPIRY) - base
        out += [encode_length(ttl), _strings((field, data), o)]
    return b"".join(out)


def encode_hash_listpack_ex_pre_ga(value: Sequence[Field], o: Options = PLAINLY) -> bytes:
    """HASH_LISTPACK_EX_PRE_GA: triples, the soonest expiry first, fields without one at the end."""
    items = []
    for field, data, expires_at in sorted(value, key=lambda triple: (triple[2] is None, triple[2] or 0)):
        ttl = 0 if expires_at is None else _due(expires_at, 1, LAST_EXPIRY)
        items += [field, data, b"%d" % ttl]
    return _listpack(items, o)


def encode_hash_listpack_ex(value: Sequence[Field], o: Options = PLAINLY) -> bytes:
    """HASH_LISTPACK_EX: the smallest expiry first, then the triples."""
    triples = encode_hash_listpack_ex_pre_ga(value, o)
    return encode_ms(_first_expiry(value)) + triples


def _first_expiry(value: Iterable[Field]) -> int:
    return min((expiry for _, _, expiry in value if expiry is not None), default=0)


def encode_hash_2(value: Sequence[Field], o: Options = PLAINLY) -> bytes:
    """HASH_2 (Valkey): the expiry after the value, -1 for none."""
    out = [encode_length(len(value))]
    for field, data, expires_at in value:
        due = -1 if expires_at is None else _due(expires_at, 0, (1 << 63) - 1)
        out += [_strings((field, data), o), encode_ms(due)]
    return b"".join(out)


def _due(ms: int, low: int, high: int) -> int:
    """Return a field's expiry, if the type can have it: any other would be read back as none, or refused."""
    if not low <= ms <= high:
        raise ValueError(f"a field of this type cannot expire at {ms} ms")
    return ms


# -- template hashes ---------------------------------------------------------------------------------------------------


def template_order(fields: Iterable[bytes]) -> list[bytes]:
    """Return field names in the order of a template: by length, then by bytes."""
    return sorted(fields, key=lambda field: (len(field), field))


def encode_hash_tmpl_lp(value: Sequence[Field], o: Options = PLAINLY) -> bytes:
    """HASH_TMPL_LP: names, then the same as in HASH_TMPL_LP_REF."""
    return _names(value, o) + encode_hash_tmpl_lp_ref(value, o)


def encode_hash_tmpl_lp_ref(value: Sequence[Field], o: Options = PLAINLY) -> bytes:
    """HASH_TMPL_LP_REF: the fields must be those of the template `o.template`."""
    return _listpack([b"%d" % o.template, *_template_values(value)], o)


def encode_hash_tmpl_array(value: Sequence[Field], o: Options = PLAINLY) -> bytes:
    """HASH_TMPL_ARRAY: names, then values."""
    return _names(value, o) + _strings(_template_values(value), o)


def encode_hash_tmpl_array_ref(value: Sequence[Field], o: Options = PLAINLY) -> bytes:
    """HASH_TMPL_ARRAY_REF: the fields must be those of the template `o.template`."""
    return encode_length(o.template) + _strings(_template_values(value), o)


def _template_values(value: Sequence[Field]) -> list[bytes]:
    values = dict(zip(*[iter(_pairs(value))] * 2))
    return [values[field] for field in template_order(values)]


def _names(value: Sequence[Field], o: Options) -> bytes:
    names = template_order(field for field, _, _ in value)
    form = encode_length(o.template_format)
    return form + (_counted(names, o) if o.template_format else _listpack(names, o))


# -- arrays, modules, cron jobs ----------------------------------------------------------------------------------------


def encode_array(value: Sequence[tuple[int, bytes | int | float]], o: Options = PLAINLY) -> bytes:
    """ARRAY."""
    insert = encode_length(0) if o.insert_index is None else encode_length(1) + encode_length(o.insert_index)
    elements = [encode_length(index) + _array_element(element, o) for index, element in sorted(value, key=_index)]
    return encode_length(len(elements)) + insert + b"".join(elements)


def _index(pair: tuple[int, object]) -> int:
    return pair[0]


def _array_element(element: bytes | int | float, o: Options) -> bytes:
    if isinstance(element, bytes):
        tag = spec.ARRAY_SMALL_STRING if len(element) <= SMALL_STRING else spec.ARRAY_STRING
        return encode_length(tag) + encode_string(element, o.compress)
    if isinstance(element, int):
        return encode_length(spec.ARRAY_INT) + element.to_bytes(8, "little", signed=True)
    return encode_length(spec.ARRAY_FLOAT) + encode_f64(element)


def encode_path_hash(value: Paths, o: Options = PLAINLY) -> bytes:
    """PATH_HASH (Valkey); paths ascend bytewise. Raises ValueError if there is no path, or a path without fields."""
    if not value or not all(pairs for _, pairs in value):
        raise ValueError("a path hash has at least one path, and each path at least one field")
    out = [encode_length(len(value))]
    for path, pairs in sorted(value, key=lambda item: item[0]):
        out += [encode_string(path, o.compress), encode_length(len(pairs))]
        out += [_strings(pair, o) for pair in pairs]
    return b"".join(out)


def encode_bitmap(value: Bits, o: Options = PLAINLY) -> bytes:
    """BITMAP. Raises ValueError for runs that do not ascend, and for bits beyond the length."""
    length, runs = value
    if not 0 <= length <= LONGEST_BITMAP or (runs and runs[-1][1] >= 8 * length):
        raise ValueError(f"a bitmap of {length} bytes cannot hold bit {runs[-1][1] if runs else 0}")
    return encode_length(length) + encode_string(roaring.encode(runs, o.run_containers), o.compress)


def encode_module_2(value: tuple[str, int, Iterable[ModulePart]], o: Options = PLAINLY) -> bytes:
    """MODULE_2."""
    name, version, parts = value
    return encode_length(module_id(name, version)) + encode_module_parts(parts, o.compress)


def encode_cron(value: Cron, o: Options = PLAINLY) -> bytes:
    """CRON (KeyDB); start and interval in ms."""
    script, start, interval, keys, arguments = value
    head = encode_string(script, o.compress) + encode_ms(start) + encode_ms(interval)
    return head + _counted(keys, o) + _counted(arguments, o)


Encoder = Callable[[Any, Options], bytes]

#: All but the streams.
ENCODERS: dict[int, Encoder] = {
    spec.STRING: encode_string_value,
    spec.LIST: encode_list,
    spec.SET: encode_set,
    spec.ZSET: encode_zset,
    spec.HASH: encode_hash,
    spec.ZSET_2: encode_zset_2,
    spec.MODULE_2: encode_module_2,
    spec.HASH_ZIPMAP: encode_hash_zipmap,
    spec.LIST_ZIPLIST: encode_list_ziplist,
    spec.SET_INTSET: encode_set_intset,
    spec.ZSET_ZIPLIST: encode_zset_ziplist,
    spec.HASH_ZIPLIST: encode_hash_ziplist,
    spec.LIST_QUICKLIST: encode_list_quicklist,
    spec.HASH_LISTPACK: encode_hash_listpack,
    spec.ZSET_LISTPACK: encode_zset_listpack,
    spec.LIST_QUICKLIST_2: encode_list_quicklist_2,
    spec.SET_LISTPACK: encode_set_listpack,
    spec.HASH_METADATA_PRE_GA: encode_hash_metadata_pre_ga,
    spec.HASH_LISTPACK_EX_PRE_GA: encode_hash_listpack_ex_pre_ga,
    spec.HASH_METADATA: encode_hash_metadata,
    spec.HASH_LISTPACK_EX: encode_hash_listpack_ex,
    spec.ARRAY: encode_array,
    spec.HASH_TMPL_LP: encode_hash_tmpl_lp,
    spec.HASH_TMPL_LP_REF: encode_hash_tmpl_lp_ref,
    spec.HASH_TMPL_ARRAY: encode_hash_tmpl_array,
    spec.HASH_TMPL_ARRAY_REF: encode_hash_tmpl_array_ref,
    spec.CRON: encode_cron,
    spec.HASH_2: encode_hash_2,
    spec.PATH_HASH: encode_path_hash,
    spec.BITMAP: encode_bitmap,
}
