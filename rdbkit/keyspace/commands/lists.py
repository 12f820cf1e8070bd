"""Commands of lists. How elements share nodes, and what that does to the encoding, is in keyspace/quicklist.py.

Source: t_list.c of the BSD-licensed versions.
"""

from __future__ import annotations

from collections.abc import Iterable

from rdbkit.keyspace.arguments import SYNTAX, integer, is_integer, positions
from rdbkit.keyspace.commands.zsets import POSITIVE, mpop_options
from rdbkit.keyspace.loader import CommandError, Loader
from rdbkit.keyspace.values import List

_SIDES = (b"LEFT", b"RIGHT")


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


def _move(loader: Loader, key: bytes, destination: bytes, *, from_head: bool, to_head: bool) -> None:
    """Move an element from an end of a list to an end of a list."""
    lists, source = loader.lists, loader.find(key, List)
    if source is None:
        return
    target = loader.find(destination, List)
    # A number that comes out of a quicklist is no text, of which the length would count.
    is_number = source.encoding == "quicklist"
    item = lists.pop(source, at_head=from_head)
    if target is None:
        target = loader.db[destination] = lists.new()
    lists.grow(target, [item], 0 if is_number and is_integer(item) else None)
    lists.push(target, [item], at_head=to_head)
    loader.wrote(destination, target)
    _shrunk(loader, key, source)


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
    b"lset": lset,
    b"linsert": linsert,
    b"lrem": lrem,
    b"ltrim": ltrim,
}
