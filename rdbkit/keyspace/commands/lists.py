"""Commands of lists. How elements share nodes, and what that does to the encoding, is in keyspace/quicklist.py.

Source: t_list.c of the BSD-licensed versions.
"""

from __future__ import annotations

from collections.abc import Iterable

from rdbkit.keyspace.arguments import SYNTAX, Words, integer, is_integer, positions
from rdbkit.keyspace.commands.zsets import POSITIVE, mpop_options
from rdbkit.keyspace.loader import CommandError, Loader
from rdbkit.keyspace.values import List

_SIDES = (b"LEFT", b"RIGHT")
_COUNT = "ERR count should be greater than 0"


def push(loader: Loader, args: list[bytes]) -> None:
    """LPUSH key element [element …], RPUSH, LPUSHX, RPUSHX."""
    key, items, name = args[1], args[2:], args[0].lower()
    value = loader.find(key, List)
    if value is None:
        if name.endswith(b"x"):
            return
        value = loader.db[key] = loader.lists.new()
    loader.lists.grow(value, items)
    loader.lists.push(value, items, at_head=name[:1] == b"l")
    loader.wrote(key, value)


def pop(loader: Loader, args: list[bytes]) -> None:
    """LPOP key [count], RPOP key [count]."""
    count = integer(args[2], POSITIVE) if len(args) > 2 else 1
    if len(args) > 3 or count < 0:
        raise CommandError(POSITIVE if count < 0 else "ERR wrong number of arguments")
    _pop(loader, args[1:2], count, at_head=args[0][:1] in b"lL")


def bpop(loader: Loader, args: list[bytes]) -> None:
    """BLPOP key [key …] timeout, BRPOP: a load never waits."""
    _pop(loader, args[1:-1], 1, at_head=args[0][1:2] in b"lL")


def mpop(loader: Loader, args: list[bytes]) -> None:
    """LMPOP count key [key …] LEFT | RIGHT [COUNT n], BLMPOP timeout count key …."""
    keys, side, count = mpop_options(args, (b"LEFT", b"RIGHT"))
    _pop(loader, keys, count, at_head=side == b"LEFT")


def _pop(loader: Loader, keys: Iterable[bytes], count: int, *, at_head: bool) -> None:
    """Remove elements from an end of the first list that is there."""
    for key in keys:
        value = loader.find(key, List)
        if value is not None:
            if count:
                loader.lists.cut(value, count, at_head=at_head)
                _shrunk(loader, key, value)
            return


def _shrunk(loader: Loader, key: bytes, value: List) -> None:
    """End a command that has removed elements."""
    loader.lists.shrink(value)
    loader.wrote(key, value)


def rpoplpush(loader: Loader, args: list[bytes]) -> None:
    """RPOPLPUSH source destination, BRPOPLPUSH source destination timeout."""
    _move(loader, args[1], args[2], from_head=False, to_head=True)


def lmove(loader: Loader, args: list[bytes]) -> None:
    """LMOVE source destination LEFT | RIGHT LEFT | RIGHT, BLMOVE … timeout."""
    sides = [side.upper() for side in args[3:5]]
    if not all(side in _SIDES for side in sides):
        raise CommandError(SYNTAX)
    _move(loader, args[1], args[2], from_head=sides[0] == b"LEFT", to_head=sides[1] == b"LEFT")


def _move(
    loader: Loader,
    key: bytes,
    destination: bytes,
    count: int = 1,
    *,
    from_head: bool,
    to_head: bool,
    in_bulk: bool = False,
) -> None:
    """Move elements from an end of a list to an end of a list."""
    lists, source = loader.lists, loader.find(key, List)
    if source is None:
        return
    target = loader.find(destination, List)
    # A number that comes out of a quicklist is no text, of which the length would count.
    has_numbers = source.encoding == "quicklist"
    items = [lists.pop(source, at_head=from_head) for _ in range(count)]
    size = sum(len(item) for item in items if not (has_numbers and is_integer(item)))
    # The element that was taken first is pushed first; in bulk it ends up as far to the left as it was.
    if in_bulk and from_head is to_head:
        items.reverse()
    if target is None:
        target = loader.db[destination] = lists.new()
    lists.grow(target, items, size)
    lists.push(target, items, at_head=to_head)
    loader.wrote(destination, target)
    _shrunk(loader, key, source)


def lmovem(loader: Loader, args: list[bytes]) -> None:
    """LMOVEM source destination LEFT | RIGHT LEFT | RIGHT [COUNT n | EXACTLY n OBO | BULK], BLMOVEM … timeout ….

    With OBO the elements are moved one by one, with BULK they keep their order.
    """
    sides = [side.upper() for side in args[3:5]]
    words = Words(args, 6 if args[0][:1] in b"bB" else 5)
    count, is_exact, in_bulk = 1, False, False
    if words:
        how, number, order = words.next().upper(), integer(words.next(), _COUNT), words.next().upper()
        if how not in (b"COUNT", b"EXACTLY") or order not in (b"OBO", b"BULK") or words:
            raise CommandError(SYNTAX)
        count, is_exact, in_bulk = number, how == b"EXACTLY", order == b"BULK"
    if not all(side in _SIDES for side in sides) or count < 1:
        raise CommandError(SYNTAX if count > 0 else _COUNT)
    source = loader.find(args[1], List)
    if source is None or (is_exact and len(source) < count):
        return
    from_head, to_head = sides[0] == b"LEFT", sides[1] == b"LEFT"
    _move(loader, args[1], args[2], min(count, len(source)), from_head=from_head, to_head=to_head, in_bulk=in_bulk)


def lset(loader: Loader, args: list[bytes]) -> None:
    """LSET key index element."""
    value = loader.find(args[1], List)
    if value is None:
        raise CommandError("ERR no such key")
    index = integer(args[2])
    loader.lists.grow(value, args[3:])
    index += len(value) if index < 0 else 0
    if not 0 <= index < len(value):
        raise CommandError("ERR index out of range")
    loader.lists.replace(value, index, args[3])
    _shrunk(loader, args[1], value)


def linsert(loader: Loader, args: list[bytes]) -> None:
    """LINSERT key BEFORE | AFTER pivot element."""
    side = args[2].upper()
    if side not in (b"BEFORE", b"AFTER"):
        raise CommandError(SYNTAX)
    value = loader.find(args[1], List)
    if value is None:
        return
    loader.lists.grow(value, args[4:])
    if loader.lists.insert(value, args[3], args[4], after=side == b"AFTER"):
        if value.encoding == "ziplist" and len(value) > loader.settings.list_max_ziplist_entries:
            value.encoding = "linkedlist"
        loader.wrote(args[1], value)


def lrem(loader: Loader, args: list[bytes]) -> None:
    """LREM key count element."""
    count, value = integer(args[2]), loader.find(args[1], List)
    if value is not None and loader.lists.remove(value, args[3], count):
        _shrunk(loader, args[1], value)


def ltrim(loader: Loader, args: list[bytes]) -> None:
    """LTRIM key start stop."""
    start, stop = integer(args[2]), integer(args[3])
    value = loader.find(args[1], List)
    if value is None:
        return
    size = len(value)
    start, end = positions(start, stop, size)
    loader.lists.cut(value, start if start < end else size, at_head=True)
    loader.lists.cut(value, size - end if start < end else 0, at_head=False)
    _shrunk(loader, args[1], value)


COMMANDS = {
    b"lpush": push,
    b"rpush": push,
    b"lpushx": push,
    b"rpushx": push,
    b"lpop": pop,
    b"rpop": pop,
    b"blpop": bpop,
    b"brpop": bpop,
    b"lmpop": mpop,
    b"blmpop": mpop,
    b"rpoplpush": rpoplpush,
    b"brpoplpush": rpoplpush,
    b"lmove": lmove,
    b"blmove": lmove,
    b"lmovem": lmovem,
    b"blmovem": lmovem,
    b"lset": lset,
    b"linsert": linsert,
    b"lrem": lrem,
    b"ltrim": ltrim,
}
