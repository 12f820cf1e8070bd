"""SORT: it stores what it finds as a list. Without STORE it only makes the sorted set that it reads a skiplist.

Source: sort.c of the BSD-licensed versions.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from rdbkit.keyspace.arguments import SYNTAX, Words, double
from rdbkit.keyspace.loader import WRONG_TYPE, CommandError, Loader
from rdbkit.keyspace.values import Hash, List, Set, String, Uncertain, Value, ZSet

_NOT_NUMBERS = "ERR One or more scores can't be converted into double"
_BLANK = b" \t\n\v\f\r"


@dataclass(slots=True)
class _Options:
    """The options of SORT; `by` is None if the elements themselves are compared."""

    by: bytes | None = None
    is_sorted: bool = True
    start: int = 0
    count: int = -1
    patterns: list[bytes] = field(default_factory=list)
    is_reversed: bool = False
    is_text: bool = False
    store: bytes | None = None


def sort(loader: Loader, args: list[bytes]) -> None:
    """SORT key [BY pattern] [LIMIT start count] [GET pattern …] [ASC | DESC] [ALPHA] [STORE destination]."""
    options = _options(args)
    value = loader.open(args[1])
    if value is not None and not isinstance(value, List | Set | ZSet):
        raise CommandError(WRONG_TYPE)
    if not options.is_sorted:
        _force(loader, options, value)
    if isinstance(value, ZSet):
        value.encoding = "skiplist"
    if options.store is None:
        return
    items = _chosen(loader, value, options)
    if items is None:
        loader.put(options.store, Uncertain(b"sort"))
        return
    if options.patterns:
        items = [_looked_up(loader, pattern, item) or b"" for item in items for pattern in options.patterns]
    loader.put(options.store, loader.lists.built(items))


def _chosen(loader: Loader, value: Value | None, options: _Options) -> list[bytes] | None:
    """Return the elements that are stored, in their order, None if that is not known."""
    items = _elements(loader, value, options)
    if options.is_sorted:
        items = _sorted(loader, items, options)
    start = max(options.start, 0)
    chosen = items[start : start + options.count] if options.count >= 0 else items[start:]
    by = options.by if options.is_sorted and options.is_text else None
    is_stable = isinstance(value, List) and len(chosen) == len(items)
    # The order of what compares equal depends on the hash table, or on the algorithm that sorts a part.
    return chosen if by is None or is_stable or not _has_ties(loader, items, chosen, by) else None


def _options(args: list[bytes]) -> _Options:
    options, words = _Options(), Words(args, 2)
    for word in words:
        if word in (b"ASC", b"DESC"):
            options.is_reversed = word == b"DESC"
        elif word == b"ALPHA":
            options.is_text = True
        elif word == b"LIMIT":
            options.start, options.count = words.integer(), words.integer()
        elif word == b"STORE":
            options.store = words.next()
        elif word == b"BY":
            options.by = words.next()
            options.is_sorted = options.is_sorted and b"*" in options.by
        elif word == b"GET":
            options.patterns.append(words.next())
        else:
            raise CommandError(SYNTAX)
    return options


def _force(loader: Loader, options: _Options, value: Value | None) -> None:
    """Sort what has no order of its own, although BY says that there is nothing to sort by."""
    if isinstance(value, Set) or (isinstance(value, List) and loader.target.has("sort-forces-lists")):
        options.is_sorted = options.is_text = True
        options.by = None


def _elements(loader: Loader, value: Value | None, options: _Options) -> list[bytes]:
    """Return the elements in the order in which they are sorted, or stored."""
    if isinstance(value, ZSet):
        items = [member for _, member in value.order()]
    elif isinstance(value, Set):
        items = sorted(value.members, key=int) if value.encoding == "intset" else list(value.members)
    else:
        items = list(value) if isinstance(value, List) else []
    has_order = isinstance(value, ZSet) or (isinstance(value, List) and loader.target.has("sort-reverses-lists"))
    if options.is_reversed and not options.is_sorted and has_order:
        items.reverse()
    return items


def _sorted(loader: Loader, items: Sequence[bytes], options: _Options) -> list[bytes]:
    by = options.by
    if options.is_text:
        if by is None:
            return sorted(items, reverse=options.is_reversed)
        texts = {item: _looked_up(loader, by, item) for item in items}
        # What is not there comes first.
        return sorted(
            items, key=lambda item: (texts[item] is not None, texts[item] or b""), reverse=options.is_reversed
        )
    scores = {item: _number(item if by is None else _looked_up(loader, by, item)) for item in items}
    return sorted(items, key=lambda item: (scores[item], item), reverse=options.is_reversed)


def _has_ties(loader: Loader, items: Sequence[bytes], chosen: Sequence[bytes], by: bytes) -> bool:
    """Return whether one of the chosen elements compares equal to another element."""
    texts = Counter(_looked_up(loader, by, item) for item in set(items))
    return any(texts[_looked_up(loader, by, item)] > 1 for item in chosen)


def _number(text: bytes | None) -> float:
    """Return a number as strtod reads it; nothing counts as 0."""
    if text is None:
        return 0.0
    text = text.split(b"\0", 1)[0]
    return double(text.lstrip(_BLANK), _NOT_NUMBERS) if text else 0.0


def _looked_up(loader: Loader, pattern: bytes, item: bytes) -> bytes | None:
    """Return what a pattern of BY or GET stands for: the element, a string, or a field of a hash."""
    if pattern == b"#":
        return item
    before, star, after = pattern.partition(b"*")
    if not star:
        return None
    after, arrow, name = after.partition(b"->")
    if not name:
        after, name = after + arrow, b""
    value = loader.open(before + item + after)
    if name:
        return value.fields.get(name) if isinstance(value, Hash) else None
    return bytes(value.data) if isinstance(value, String) else None


COMMANDS = {
    b"sort": sort,
}
