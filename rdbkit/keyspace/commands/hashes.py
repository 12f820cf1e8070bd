"""Commands of hashes: fields and values, expiries of fields, and imports by field sets.

A hash is compact (zipmap, ziplist, listpack) until it has too many fields or a long item, and never becomes compact
again. Field expiries make it a listpackex, or a hash table. A hash with a template keeps it until a field expires.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from rdbkit.keyspace.arguments import LEAST, MOST, SYNTAX, Words, double, integer
from rdbkit.keyspace.commands.keys import may_expire
from rdbkit.keyspace.floats import added
from rdbkit.keyspace.loader import CommandError, Loader
from rdbkit.keyspace.times import absolute, relative
from rdbkit.keyspace.values import Hash
from rdbkit.releases.encodings import compact_hash

_TABLE = "hashtable"
_TEMPLATES = {"template-listpack": "template-array", "template-array": "template-array"}
#: What a hash becomes that is too large for its encoding.
_LARGER = dict.fromkeys(("zipmap", "ziplist", "listpack", "listpackex"), _TABLE) | _TEMPLATES
_COUNT = "ERR numfields should be greater than 0 and match the provided number of fields"
#: The latest field expiry of Redis.
_LATEST = ((1 << 48) - 2) >> 2


# -- fields ------------------------------------------------------------------------------------------------------------


def hset(loader: Loader, args: list[bytes]) -> None:
    """HSET key field value [field value …], HMSET."""
    if len(args) % 2:
        raise CommandError("ERR wrong number of arguments for HSET")
    value = _made(loader, args[1])
    _make_room(loader, value, args[2::2], args[3::2])
    _set(loader, args[1], value, zip(args[2::2], args[3::2]))


def hsetnx(loader: Loader, args: list[bytes]) -> None:
    """HSETNX key field value."""
    if _text(loader, loader.find(args[1], Hash), args[2]) is None:
        hset(loader, args)


def hdel(loader: Loader, args: list[bytes]) -> None:
    """HDEL key field [field …]."""
    _delete(loader, args[1], args[2:])


def hincrby(loader: Loader, args: list[bytes]) -> None:
    """HINCRBY key field n."""
    step, text = integer(args[3]), _text(loader, loader.find(args[1], Hash), args[2])
    number = step + (0 if text is None else integer(text, "ERR hash value is not an integer"))
    if not LEAST <= number <= MOST:
        raise CommandError("ERR increment or decrement would overflow")
    _replace(loader, args[1], args[2], b"%d" % number)


def hincrbyfloat(loader: Loader, args: list[bytes]) -> None:
    """HINCRBYFLOAT key field n: servers write the result as HSET or HSETEX, so this is only in files made by hand."""
    text = _text(loader, loader.find(args[1], Hash), args[2])
    double(args[3])
    total = added(
        b"0" if text is None else text,
        args[3],
        "ERR hash value is not a float",
        "ERR increment would produce NaN or Infinity",
    )
    _replace(loader, args[1], args[2], total)


def _text(loader: Loader, value: Hash | None, field: bytes) -> bytes | None:
    """Return the value of a field as most commands see it: Redis hides expired ones, also while it loads."""
    if value is None:
        return None
    at = value.due.get(field)
    if at is not None and loader.now is not None and at <= loader.now and loader.target.has("hides-expired-fields"):
        return None
    return value.fields.get(field)


def _made(loader: Loader, key: bytes) -> Hash:
    """Return the hash at a key; a new one is compact."""
    value = loader.need(key, Hash)
    if not value.encoding:
        value.encoding = compact_hash(loader.target)
    return value


def _set(
    loader: Loader, key: bytes, value: Hash, fields: Iterable[tuple[bytes, bytes]], keeps_expiries: bool = False
) -> None:
    """Set fields, and remove their expiries, if these are not kept."""
    for field, text in fields:
        value.fields[field] = text
        if value.due and not keeps_expiries:
            value.due.pop(field, None)
    if len(value.fields) > loader.settings.hash_max_listpack_entries:
        value.encoding = _LARGER.get(value.encoding, _TABLE)
    loader.wrote(key, value)


def _replace(loader: Loader, key: bytes, field: bytes, text: bytes) -> None:
    """Set the result of an increment; the field's expiry stays."""
    value = _made(loader, key)
    if loader.target.has("increments-convert-hashes"):
        _make_room(loader, value, (field,), (text,))
    _set(loader, key, value, ((field, text),), keeps_expiries=True)


def _make_room(loader: Loader, value: Hash, fields: Sequence[bytes], texts: Sequence[bytes]) -> None:
    """Convert a hash that will have a long item. The names of the fields of a template do not count."""
    limit, larger = loader.settings.hash_max_listpack_value, _LARGER.get(value.encoding, _TABLE)
    if larger != value.encoding and (
        any(len(text) > limit for text in texts)
        or (larger == _TABLE and any(len(field) > limit for field in fields))
        or (larger == _TABLE and _too_many(loader, fields))
    ):
        value.encoding = larger


def _too_many(loader: Loader, fields: Sequence[bytes]) -> bool:
    """Return whether one command sets so many fields that it converts a hash at once, even if it repeats them."""
    return len(fields) > loader.settings.hash_max_listpack_entries and loader.target.has("hash-counts-arguments")


def _delete(loader: Loader, key: bytes, fields: Iterable[bytes]) -> None:
    value = loader.find(key, Hash)
    if value is None:
        return
    found = [field for field in fields if value.fields.pop(field, None) is not None]
    for field in found:
        value.due.pop(field, None)
    if found:
        loader.wrote(key, value)


# -- expiries of fields ------------------------------------------------------------------------------------------------


class _Request(NamedTuple):
    """The options of a command on fields. `pairs` has the fields, and, if they are set, their values."""

    pairs: list[tuple[bytes, ...]]
    conditions: list[bytes]
    expires_at: int | None
    keeps: bool
    persists: bool


def _request(loader: Loader, args: list[bytes], at: int, width: int) -> _Request:
    """Read options in any order, and FIELDS n with so many words for each field."""
    pairs: list[tuple[bytes, ...]] = []
    conditions, expires_at, how = [], None, []
    words = Words(args, at)
    for word in words:
        if word == b"FIELDS" and not pairs:
            pairs = _fields(words, width)
        elif word in (b"EX", b"PX", b"EXAT", b"PXAT"):
            how.append(word)
            unit = 1 if word[:1] == b"P" else 1000
            expires_at = _due(loader, integer(words.next()), unit, word.endswith(b"AT"))
        elif word in (b"KEEPTTL", b"PERSIST"):
            how.append(word)
        elif word in (b"NX", b"XX", b"GT", b"LT", b"FNX", b"FXX"):
            conditions.append(word)
        else:
            raise CommandError(SYNTAX)
    if not pairs:
        raise CommandError(SYNTAX)
    if len(how) > 1:
        raise CommandError(SYNTAX)
    return _Request(pairs, conditions, expires_at, b"KEEPTTL" in how, b"PERSIST" in how)


def _fields(words: Words, width: int) -> list[tuple[bytes, ...]]:
    count = words.integer()
    if not 0 < count <= (len(words.args) - words.at) // width:
        raise CommandError(_COUNT)
    taken = [words.next() for _ in range(width * count)]
    return list(zip(*[iter(taken)] * width))


def _due(loader: Loader, number: int, unit: int, is_absolute: bool) -> int:
    """Return the expiry of fields in ms."""
    if number < 0:
        raise CommandError("ERR invalid expire time, must be >= 0")
    at = absolute(number, unit) if is_absolute else relative(loader, number, unit)
    if at > _LATEST and loader.target.has("listpackex"):
        raise CommandError("ERR invalid expire time")
    return at


def hexpire(loader: Loader, args: list[bytes]) -> None:
    """HEXPIRE key time [NX | XX | GT | LT] FIELDS n field [field …], HPEXPIRE, HEXPIREAT, HPEXPIREAT."""
    name = args[0].lower()
    at = _due(loader, integer(args[2]), 1 if name[:2] == b"hp" else 1000, name.endswith(b"at"))
    request = _request(loader, args, 3, 1)
    _expire(loader, args[1], [field for (field,) in request.pairs], at, request.conditions)


def hpersist(loader: Loader, args: list[bytes]) -> None:
    """HPERSIST key FIELDS n field [field …]."""
    _persist(loader, args[1], [field for (field,) in _request(loader, args, 2, 1).pairs])


def hgetex(loader: Loader, args: list[bytes]) -> None:
    """HGETEX key [EX s | PX ms | EXAT s | PXAT ms | PERSIST] FIELDS n field [field …]."""
    request, value = _request(loader, args, 2, 1), loader.find(args[1], Hash)
    fields = [field for (field,) in request.pairs if _text(loader, value, field) is not None]
    if request.expires_at is not None:
        _expire(loader, args[1], fields, request.expires_at, [])
    elif request.persists:
        if value is not None and loader.target.has("listpackex"):
            # Unlike HPERSIST it converts the hash first.
            _make_expiring(loader, value)
        _persist(loader, args[1], fields)


def hgetdel(loader: Loader, args: list[bytes]) -> None:
    """HGETDEL key FIELDS n field [field …]."""
    value = loader.find(args[1], Hash)
    fields = [field for (field,) in _request(loader, args, 2, 1).pairs]
    _delete(loader, args[1], [field for field in fields if _text(loader, value, field) is not None])


def hsetex(loader: Loader, args: list[bytes]) -> None:
    """HSETEX key [NX | XX] [FNX | FXX] [EX s | PX ms | EXAT s | PXAT ms | KEEPTTL] FIELDS n field value [field …]."""
    request = _request(loader, args, 2, 2)
    fields, texts = [pair[0] for pair in request.pairs], [pair[1] for pair in request.pairs]
    known = loader.find(args[1], Hash)
    there = [_text(loader, known, field) is not None for field in fields]
    for condition in request.conditions:
        if condition == b"FNX" and any(there):
            return
        if condition == b"FXX" and not all(there):
            return
        if condition in (b"NX", b"XX") and (known is None) is (condition == b"XX"):
            return
    value = _made(loader, args[1])
    if request.expires_at is not None:
        _make_expiring(loader, value)
    _make_room(loader, value, fields, texts)
    _set(loader, args[1], value, zip(fields, texts), request.keeps)
    if request.expires_at is not None:
        _set_due(loader, value, fields, request.expires_at)


def _expire(loader: Loader, key: bytes, fields: list[bytes], at: int, conditions: list[bytes]) -> None:
    value = loader.find(key, Hash)
    if value is None:
        return
    found = [field for field in fields if field in value.fields and may_expire(conditions, value.due.get(field), at)]
    if found or loader.target.has("listpackex"):
        _make_expiring(loader, value)
        _set_due(loader, value, found, at)
        loader.wrote(key, value)


def _set_due(loader: Loader, value: Hash, fields: list[bytes], at: int) -> None:
    """Set the expiry of fields. In a listpackex 0 stands for none; the RDB format of Redis has no 0 either."""
    if not at and value.encoding == "listpackex":
        for field in fields:
            value.due.pop(field, None)
        return
    value.due.update(dict.fromkeys(fields, at or int(loader.target.has("listpackex"))))


def _persist(loader: Loader, key: bytes, fields: list[bytes]) -> None:
    value = loader.find(key, Hash)
    if value is None:
        return
    seen = [field for field in fields if _text(loader, value, field) is not None]
    if [field for field in seen if value.due.pop(field, None) is not None]:
        loader.wrote(key, value)


def _make_expiring(loader: Loader, value: Hash) -> None:
    """Convert a hash whose fields are to get expiries."""
    if not loader.target.has("listpackex"):
        value.encoding = _TABLE
    elif value.encoding == "listpack":
        value.encoding = "listpackex"
    elif value.encoding in _TEMPLATES:
        value.encoding = "listpackex"
        _make_room(loader, value, list(value.fields), list(value.fields.values()))


# -- imports -----------------------------------------------------------------------------------------------------------


def prepare(loader: Loader, args: list[bytes]) -> None:
    """HIMPORT PREPARE fieldset field [field …]. Field sets belong to a connection: here to one file."""
    if len(set(args[3:])) < len(args[3:]):
        raise CommandError("ERR duplicate field name in fieldset")
    loader.fieldsets[args[2]] = tuple(args[3:])


def import_(loader: Loader, args: list[bytes]) -> None:
    """HIMPORT SET key fieldset value [value …]: a new hash with a template. Servers write it as RESTORE."""
    fields = loader.fieldsets.get(args[3])
    if fields is None:
        raise CommandError("ERR no such fieldset")
    if len(fields) != len(args) - 4:
        raise CommandError("ERR value count does not match fieldset field count")
    loader.find(args[2], Hash)
    value = Hash()
    value.encoding = "template-listpack"
    _make_room(loader, value, fields, args[4:])
    loader.drop(args[2])
    loader.db[args[2]] = value
    _set(loader, args[2], value, zip(fields, args[4:]))


def discard(loader: Loader, args: list[bytes]) -> None:
    """HIMPORT DISCARD fieldset."""
    loader.fieldsets.pop(args[2], None)


def discard_all(loader: Loader, _args: list[bytes]) -> None:
    """HIMPORT DISCARDALL."""
    loader.fieldsets.clear()


COMMANDS = {
    b"hset": hset,
    b"hmset": hset,
    b"hsetnx": hsetnx,
    b"hdel": hdel,
    b"hincrby": hincrby,
    b"hincrbyfloat": hincrbyfloat,
    b"hexpire": hexpire,
    b"hpexpire": hexpire,
    b"hexpireat": hexpire,
    b"hpexpireat": hexpire,
    b"hpersist": hpersist,
    b"hgetex": hgetex,
    b"hgetdel": hgetdel,
    b"hsetex": hsetex,
    b"himport|prepare": prepare,
    b"himport|set": import_,
    b"himport|discard": discard,
    b"himport|discardall": discard_all,
}
