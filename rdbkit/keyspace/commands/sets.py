"""Commands of sets, and the encodings that they lead to: these only grow, unless a command builds a new set.

Source: `setTypeAddAux`, `setTypeCreate`, `sinterGenericCommand` and `sunionDiffGenericCommand` of the BSD-licensed
versions, and what OBJECT ENCODING answered after loads.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rdbkit.keyspace.arguments import integer, is_integer
from rdbkit.keyspace.loader import CommandError, Loader, UnknownValueError
from rdbkit.keyspace.values import Set
from rdbkit.wire.intset import width_of

#: Digits of a 64-bit number with its sign.
_DIGITS = 20


def sadd(loader: Loader, args: list[bytes]) -> None:
    """SADD key member [member …]."""
    key, members = args[1], args[2:]
    value = loader.find(key, Set)
    if value is None:
        value = loader.db[key] = created(loader, members[0], len(members))
    elif loader.target.has("size-hints"):
        _expect(loader, value, len(members))
    add(loader, value, members)
    loader.wrote(key, value)


def created(loader: Loader, first: bytes, count: int) -> Set:
    """Return an empty set for so many members, of which this is the first one."""
    settings, value = loader.settings, Set()
    hint = count if loader.target.has("size-hints") else 0
    if is_integer(first) and hint <= settings.set_max_intset_entries:
        value.encoding = "intset"
    elif loader.target.has("set-listpack") and hint <= settings.set_max_listpack_entries:
        value.encoding = "listpack"
    else:
        value.encoding = "hashtable"
    return value


def _expect(loader: Loader, value: Set, count: int) -> None:
    """Make a set a hash table if a command has more members than the set's encoding may have."""
    settings = loader.settings
    most = {"intset": settings.set_max_intset_entries, "listpack": settings.set_max_listpack_entries}
    if count > most.get(value.encoding, count):
        value.encoding = "hashtable"


def add(loader: Loader, value: Set, members: Sequence[bytes]) -> None:
    """Add members one after the other, with the encodings to which each leads."""
    known = value.members
    if value.encoding != "hashtable":
        for member in members:
            if member not in known:
                value.encoding = _encoding_with(loader, value, member)
                known[member] = None
                if value.encoding == "intset":
                    value.width = max(value.width, width_of(int(member)))
    else:
        known.update(dict.fromkeys(members))


def _encoding_with(loader: Loader, value: Set, member: bytes) -> str:
    """Return the encoding of a set after a new member."""
    settings, size = loader.settings, len(value.members)
    if value.encoding == "intset":
        if is_integer(member):
            return "intset" if size < settings.set_max_intset_entries else "hashtable"
        longest = settings.set_max_listpack_value
        too_long = longest < _DIGITS and any(len(number) > longest for number in value.members)
        if not loader.target.has("set-listpack") or too_long:
            return "hashtable"
    elif value.encoding == "hashtable":
        return "hashtable"
    fits = size < settings.set_max_listpack_entries and len(member) <= settings.set_max_listpack_value
    return "listpack" if fits else "hashtable"


def built(loader: Loader, members: Iterable[bytes], encoding: str = "intset") -> Set:
    """Return a new set, to which the members were added one after the other."""
    value = Set()
    value.encoding = encoding
    add(loader, value, list(members))
    return value


def srem(loader: Loader, args: list[bytes]) -> None:
    """SREM key member [member …]."""
    value = loader.find(args[1], Set)
    if value is None:
        return
    for member in args[2:]:
        value.members.pop(member, None)
    loader.wrote(args[1], value)


def smove(loader: Loader, args: list[bytes]) -> None:
    """SMOVE source destination member."""
    _, source, destination, member = args
    value = loader.find(source, Set)
    if value is None:
        return
    target = loader.find(destination, Set)
    if source == destination or member not in value.members:
        return
    del value.members[member]
    loader.wrote(source, value)
    if target is None:
        target = loader.db[destination] = created(loader, member, 1)
    add(loader, target, [member])
    loader.wrote(destination, target)


def spop(loader: Loader, args: list[bytes]) -> None:
    """SPOP key [count]: servers write which members they removed; without that the set is uncertain."""
    value = loader.find(args[1], Set)
    count = integer(args[2], "ERR value is out of range, must be positive") if len(args) > 2 else 1
    if count < 0:
        raise CommandError("ERR value is out of range, must be positive")
    if value is None or not count:
        return
    if count < len(value):
        raise UnknownValueError(b"spop")
    loader.drop(args[1])


def _inputs(loader: Loader, keys: Sequence[bytes]) -> list[Set | None]:
    return [loader.find(key, Set) for key in keys]


def sinterstore(loader: Loader, args: list[bytes]) -> None:
    """SINTERSTORE destination key [key …]."""
    keys = args[2:]
    if not loader.target.has("sinterstore-checks-all"):
        # The first key that is not there ends the command; what comes after it may be of any type.
        keys = keys[: next((at for at, key in enumerate(keys) if loader.look(key) is None), len(keys)) + 1]
    found = _inputs(loader, keys)
    sets = sorted((value for value in found if value is not None), key=len)
    if len(sets) < len(found):
        loader.drop(args[1])
        return
    others = [value.members for value in sets[1:] if value is not sets[0]]
    members = [member for member in sets[0].members if all(member in other for other in others)]
    loader.put(args[1], _intersection(loader, members))


def _intersection(loader: Loader, members: list[bytes]) -> Set:
    """Return the new set: an intset if that holds the members, else what adding them to a listpack leads to."""
    if not loader.target.has("set-listpack"):
        return built(loader, members)
    if len(members) <= loader.settings.set_max_intset_entries and all(map(is_integer, members)):
        value = Set()
        value.encoding, value.members = "intset", dict.fromkeys(members)
        return value
    return built(loader, members, "listpack")


def sunionstore(loader: Loader, args: list[bytes]) -> None:
    """SUNIONSTORE destination key [key …]."""
    sets = [value for value in _inputs(loader, args[2:]) if value is not None]
    loader.put(args[1], built(loader, [member for value in sets for member in value.members]))


def sdiffstore(loader: Loader, args: list[bytes]) -> None:
    """SDIFFSTORE destination key [key …]."""
    first, *rest = _inputs(loader, args[2:])
    others = [value for value in rest if value is not None]
    if first is None or first in others:
        loader.drop(args[1])
    elif _filters(loader, first, others):
        kept = [member for member in first.members if not any(member in value.members for value in others)]
        loader.put(args[1], built(loader, kept))
    else:
        value = built(loader, first.members)
        for other in others:
            for member in other.members:
                value.members.pop(member, None)
        loader.put(args[1], value)


def _filters(loader: Loader, first: Set, others: list[Set]) -> bool:
    """Return whether a server adds only what remains; else it adds all members, which may need a larger encoding."""
    if not loader.target.has("sdiff-filters"):
        return False
    sizes = [len(first), *map(len, others)]
    return len(first) * len(sizes) // 2 <= sum(sizes)


COMMANDS = {
    b"sadd": sadd,
    b"srem": srem,
    b"smove": smove,
    b"spop": spop,
    b"sinterstore": sinterstore,
    b"sunionstore": sunionstore,
    b"sdiffstore": sdiffstore,
}
