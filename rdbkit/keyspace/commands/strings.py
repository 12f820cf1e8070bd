"""Commands of strings, bit strings excepted."""

from __future__ import annotations

import re
from fractions import Fraction

from rdbkit.keyspace.arguments import LEAST, MOST, SYNTAX, Words, integer, is_integer
from rdbkit.keyspace.floats import NOT_FINITE, long_double, rounded, text_of
from rdbkit.keyspace.floats import add as plus
from rdbkit.keyspace.loader import CommandError, Loader
from rdbkit.keyspace.times import INVALID, absolute, relative
from rdbkit.keyspace.values import String

LONGEST = 512 << 20
_OVERFLOW = "ERR increment or decrement would overflow"


class _Options:
    """The options of SET and its relatives; `expiry` is EX, PX, EXAT, PXAT, KEEPTTL, PERSIST or empty."""

    def __init__(self, loader: Loader, words: Words, names: tuple[bytes, ...]) -> None:
        self.condition = self.wanted = self.expiry = self.time = b""
        self.gets = False
        for word in words:
            feature = _FEATURES.get(word)
            if word not in names or (feature is not None and loader.lacks(feature)):
                raise CommandError(SYNTAX)
            if word == b"GET":
                self.gets = True
            elif word in _CONDITIONS:
                if self.condition not in (b"", word):
                    raise CommandError(SYNTAX)
                self.condition = word
                if word not in (b"NX", b"XX"):
                    self.wanted = words.next()
            else:
                if self.expiry not in (b"", word):
                    raise CommandError(SYNTAX)
                self.expiry = word
                if word in _UNITS:
                    self.time = words.next()

    def due(self, loader: Loader) -> int | None:
        """Return the expiry that is given. Raises CommandError."""
        return _due(loader, self.expiry, self.time)


def _due(loader: Loader, option: bytes, time: bytes) -> int | None:
    """Return the expiry by EX, PX, EXAT, PXAT; None for any other option."""
    unit = _UNITS.get(option)
    if unit is None:
        return None
    number = integer(time)
    if number <= 0:
        raise CommandError(INVALID)
    return absolute(number, unit) if option.endswith(b"AT") else relative(loader, number, unit)


_DIGEST = re.compile(rb"[0-9a-fA-F]{16}")
_CONDITIONS = (b"NX", b"XX", b"IFEQ", b"IFNE", b"IFDEQ", b"IFDNE")
_UNITS = {b"EX": 1000, b"PX": 1, b"EXAT": 1000, b"PXAT": 1}
_FEATURES = {
    b"GET": "set-get",
    b"EXAT": "set-exat",
    b"PXAT": "set-exat",
    b"KEEPTTL": "set-keepttl",
    b"IFEQ": "set-ifeq",
    b"IFNE": "set-ifne",
    b"IFDEQ": "set-ifne",
    b"IFDNE": "set-ifne",
}
_OF_SET = (*_CONDITIONS, *_UNITS, b"KEEPTTL", b"GET")
_OF_GETEX = (*_UNITS, b"PERSIST")
_OF_MSETEX = (b"NX", b"XX", *_UNITS, b"KEEPTTL")


def set_(loader: Loader, args: list[bytes]) -> None:
    """SET key value [NX | XX | IFEQ value | IFNE value …] [GET] [KEEPTTL | EX s | PX ms | EXAT s | PXAT ms]."""
    key = args[1]
    if len(args) == 3:
        loader.put(key, String(args[2]))
        return
    if len(args) == 5 and args[3] == b"PXAT" and not loader.lacks("set-exat"):
        # Servers write it so.
        loader.put(key, String(args[2]), _due(loader, b"PXAT", args[4]))
        return
    options = _Options(loader, Words(args, 3), _OF_SET)
    if options.gets and options.condition and loader.lacks("set-get-nx"):
        raise CommandError(SYNTAX)
    expires_at = options.due(loader)
    if options.gets:
        loader.find(key, String)
    if options.condition and not _holds(loader, key, options.condition, options.wanted):
        return
    if options.expiry == b"KEEPTTL" and (old := loader.look(key)) is not None:
        expires_at = old.expires_at
    loader.put(key, String(args[2]), expires_at)


def _holds(loader: Loader, key: bytes, condition: bytes, wanted: bytes) -> bool:
    """Return whether a condition of SET holds. Those on digests are in a file because they held."""
    if condition in (b"NX", b"XX"):
        return (loader.look(key) is None) is (condition == b"NX")
    value = loader.find(key, String)
    if value is None:
        return condition in (b"IFNE", b"IFDNE")
    if condition in (b"IFDEQ", b"IFDNE"):
        if not _DIGEST.fullmatch(wanted):
            raise CommandError("ERR must be exactly 16 hexadecimal characters")
        return True
    return (bytes(value.data) == wanted) is (condition == b"IFEQ")


def setex(loader: Loader, args: list[bytes]) -> None:
    """SETEX key s value, PSETEX key ms value."""
    unit, number = 1 if args[0][:1].lower() == b"p" else 1000, integer(args[2])
    if number <= 0:
        raise CommandError(INVALID)
    loader.put(args[1], String(args[3]), relative(loader, number, unit))


def setnx(loader: Loader, args: list[bytes]) -> None:
    """SETNX key value."""
    if loader.look(args[1]) is None:
        loader.put(args[1], String(args[2]))


def getset(loader: Loader, args: list[bytes]) -> None:
    """GETSET key value."""
    loader.find(args[1], String)
    loader.put(args[1], String(args[2]))


def getdel(loader: Loader, args: list[bytes]) -> None:
    """GETDEL key."""
    if loader.find(args[1], String) is not None:
        loader.drop(args[1])


def getex(loader: Loader, args: list[bytes]) -> None:
    """GETEX key [EX s | PX ms | EXAT s | PXAT ms | PERSIST]."""
    options = _Options(loader, Words(args, 2), _OF_GETEX)
    value = loader.find(args[1], String)
    if value is None or not options.expiry:
        return
    expires_at = options.due(loader)
    if expires_at is not None or value.expires_at is not None:
        loader.expire(args[1], value, expires_at)


def mset(loader: Loader, args: list[bytes]) -> None:
    """MSET key value [key value …], MSETNX."""
    if len(args) % 2 == 0:
        raise CommandError("ERR wrong number of arguments for MSET")
    keys = args[1::2]
    if args[0].lower() == b"msetnx" and any(loader.look(key) is not None for key in keys):
        return
    for key, data in zip(keys, args[2::2]):
        loader.put(key, String(data))


def msetex(loader: Loader, args: list[bytes]) -> None:
    """MSETEX numkeys key value [key value …] [NX | XX] [KEEPTTL | EX s | PX ms | EXAT s | PXAT ms]."""
    count = integer(args[1], "ERR invalid numkeys value")
    end = 2 + 2 * count
    if count < 1 or end > len(args):
        raise CommandError("ERR invalid numkeys value")
    keys = args[2:end:2]
    options = _Options(loader, Words(args, end), _OF_MSETEX)
    expires_at = options.due(loader)
    if options.condition:
        there = [loader.look(key) is not None for key in keys]
        if any(there) if options.condition == b"NX" else not all(there):
            return
    for key, data in zip(keys, args[3:end:2]):
        old = loader.look(key) if options.expiry == b"KEEPTTL" else None
        loader.put(key, String(data), old.expires_at if old is not None else expires_at)


def append(loader: Loader, args: list[bytes]) -> None:
    """APPEND key value."""
    value = loader.find(args[1], String)
    if value is None:
        loader.put(args[1], String(args[2]))
        return
    _overwrite(loader, args[1], value, len(value.data), args[2])


def setrange(loader: Loader, args: list[bytes]) -> None:
    """SETRANGE key offset value."""
    start = integer(args[2])
    if start < 0:
        raise CommandError("ERR offset is out of range")
    value = loader.find(args[1], String)
    if not args[3]:
        return
    if value is None:
        _check(start, args[3])
        loader.put(args[1], loader.allocations.made(bytearray(start) + args[3]))
        return
    _overwrite(loader, args[1], value, start, args[3])


def _check(start: int, data: bytes) -> None:
    if start + len(data) > LONGEST:
        raise CommandError("ERR string exceeds maximum allowed size (proto-max-bulk-len)")


def _overwrite(loader: Loader, key: bytes, value: String, start: int, data: bytes) -> None:
    """Write into a string, which from then on is raw."""
    _check(start, data)
    text = loader.allocations.unshare(value)
    loader.allocations.grow(value, start + len(data))
    if start > len(text):
        text.extend(bytes(start - len(text)))
    text[start : start + len(data)] = data
    loader.wrote(key, value)


def incr(loader: Loader, args: list[bytes]) -> None:
    """INCR key, INCRBY key n, DECR key, DECRBY key n."""
    step = integer(args[2]) if len(args) > 2 else 1
    if args[0][:1].lower() == b"d":
        step = LEAST if step == LEAST and loader.lacks("decrby-checks-least") else -step
    add(loader, args[1], step)


def add(loader: Loader, key: bytes, step: int) -> None:
    """Add to the number in a string; its expiry stays."""
    value = loader.find(key, String)
    number = (0 if value is None else integer(value.data)) + step
    if not LEAST <= number <= MOST or not LEAST <= step <= MOST:
        raise CommandError(_OVERFLOW)
    _replace(loader, key, value, b"%d" % number)


def incrbyfloat(loader: Loader, args: list[bytes]) -> None:
    """INCRBYFLOAT key n: servers write the result as SET, so this is only in files made by hand."""
    value = loader.find(args[1], String)
    number = Fraction(0) if value is None else long_double(value.data)
    found = String(text_of(plus(number, long_double(args[2]))))
    found.is_text = is_integer(found.data)
    loader.put(args[1], found, None if value is None else value.expires_at)


def _replace(loader: Loader, key: bytes, value: String | None, data: bytes) -> None:
    loader.put(key, String(data), None if value is None else value.expires_at)


class _Increment:
    """The options of INCREX; numbers are fractions, where BYFLOAT is given, else integers."""

    def __init__(self, words: Words) -> None:
        self.is_float = False
        self.expiry = self.time = b""
        found: dict[bytes, bytes] = {}
        for word in words:
            group = b"BY" if word in (b"BYINT", b"BYFLOAT") else b"EXPIRY" if word in _OF_GETEX else word
            if group in found or (group == word and word not in (b"LBOUND", b"UBOUND", b"SATURATE", b"ENX")):
                raise CommandError(SYNTAX)
            found[group] = b"" if word in (b"SATURATE", b"ENX", b"PERSIST") else words.next()
            if group == b"EXPIRY":
                self.expiry, self.time = word, found[group]
            self.is_float = self.is_float or word == b"BYFLOAT"
        self.saturates, self.keeps = b"SATURATE" in found, b"ENX" in found
        if self.keeps and self.expiry not in _UNITS:
            raise CommandError(SYNTAX if self.expiry else "ERR ENX flag requires an expiration")
        least, most = (None, None) if self.is_float else (LEAST, MOST)
        self.low = self._number(found[b"LBOUND"]) if b"LBOUND" in found else least
        self.high = self._number(found[b"UBOUND"]) if b"UBOUND" in found else most
        if self.low is not None and self.high is not None and self.low > self.high:
            raise CommandError("ERR LBOUND can't be greater than UBOUND")
        step = self._number(found.get(b"BY", b"1"))
        if step is None:
            raise CommandError("ERR BYFLOAT increment cannot be Infinity")
        self.step = step

    def _number(self, text: bytes | bytearray) -> int | Fraction | None:
        return long_double(text) if self.is_float else integer(text)

    def result(self, old: bytes | bytearray) -> int | Fraction | None:
        """Return the new number, None if it is out of bounds."""
        number = self._number(old)
        if number is None:
            raise CommandError(NOT_FINITE)
        result = rounded(Fraction(number + self.step)) if self.is_float else number + self.step
        if self.low is not None and result < self.low:
            return self.low if self.saturates else None
        if self.high is not None and result > self.high:
            return self.high if self.saturates else None
        return result


def increx(loader: Loader, args: list[bytes]) -> None:
    """INCREX key [BYINT n | BYFLOAT n] [LBOUND n] [UBOUND n] [SATURATE] [EX s | PX ms | … | PERSIST] [ENX]."""
    options = _Increment(Words(args, 2))
    value = loader.find(args[1], String)
    due = _due(loader, options.expiry, options.time)
    result = options.result(b"0" if value is None else value.data)
    if result is None:
        return
    expires_at = None if value is None else value.expires_at
    if options.expiry and not (options.keeps and expires_at is not None):
        expires_at = due
    found = String(text_of(result) if isinstance(result, Fraction) else b"%d" % result)
    found.is_text = options.is_float and is_integer(found.data)
    loader.put(args[1], found, expires_at)


def delex(loader: Loader, args: list[bytes]) -> None:
    """DELEX key [IFEQ | IFNE | IFDEQ | IFDNE value], DELIFEQ key value."""
    if len(args) == 2:
        loader.drop(args[1])
        return
    if args[0].lower() == b"delifeq":
        condition, wanted = b"IFEQ", args[2]
    elif len(args) == 4:
        condition, wanted = args[2].upper(), args[3]
    else:
        raise CommandError("ERR wrong number of arguments for DELEX")
    if loader.find(args[1], String) is None:
        return
    if condition not in _CONDITIONS[2:]:
        raise CommandError("ERR Invalid condition. Use IFEQ, IFNE, IFDEQ, or IFDNE")
    if _holds(loader, args[1], condition, wanted):
        loader.drop(args[1])


COMMANDS = {
    b"set": set_,
    b"setex": setex,
    b"psetex": setex,
    b"setnx": setnx,
    b"getset": getset,
    b"getdel": getdel,
    b"getex": getex,
    b"mset": mset,
    b"msetnx": mset,
    b"msetex": msetex,
    b"append": append,
    b"setrange": setrange,
    b"incr": incr,
    b"incrby": incr,
    b"decr": incr,
    b"decrby": incr,
    b"incrbyfloat": incrbyfloat,
    b"increx": increx,
    b"delex": delex,
    b"delifeq": delex,
}
