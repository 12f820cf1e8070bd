"""Commands of strings, bit strings excepted."""

from __future__ import annotations

from rdbkit.keyspace.arguments import MOST, NOT_AN_INTEGER, SYNTAX, Words, double, integer
from rdbkit.keyspace.loader import CommandError, Loader
from rdbkit.keyspace.times import absolute, relative
from rdbkit.keyspace.values import String
from rdbkit.rdb.primitives import score_text

LONGEST = 512 << 20
_OVERFLOW = "ERR increment or decrement would overflow"


def set_(loader: Loader, args: list[bytes]) -> None:
    """SET key value [NX | XX | IFEQ value | IFNE value …] [GET] [KEEPTTL | EX s | PX ms | EXAT s | PXAT ms]."""
    key, expires_at, keeps, condition, wanted = args[1], None, False, b"", b""
    words = Words(args, 3)
    for word in words:
        if word in (b"NX", b"XX"):
            condition = word
        elif word in (b"IFEQ", b"IFNE", b"IFDEQ", b"IFDNE"):
            condition, wanted = word, words.next()
        elif word == b"KEEPTTL":
            keeps = True
        elif word in (b"EX", b"PX"):
            expires_at = relative(loader, words.integer(), 1000 if word == b"EX" else 1)
        elif word in (b"EXAT", b"PXAT"):
            expires_at = absolute(words.integer(), 1000 if word == b"EXAT" else 1)
        elif word != b"GET":
            raise CommandError(SYNTAX)
    if condition and not _holds(loader, key, condition, wanted):
        return
    if keeps and (old := loader.look(key)) is not None:
        expires_at = old.expires_at
    loader.put(key, String(args[2]), expires_at)


def _holds(loader: Loader, key: bytes, condition: bytes, wanted: bytes) -> bool:
    """Return whether a condition of SET holds. Those on digests are not in a file of a server that wrote the effect."""
    if condition in (b"NX", b"XX"):
        return (loader.look(key) is None) is (condition == b"NX")
    value = loader.find(key, String)
    if condition in (b"IFDEQ", b"IFDNE"):
        # The server wrote the command because the condition held.
        return True
    equal = value is not None and bytes(value.data) == wanted
    return equal if condition == b"IFEQ" else not equal


def setex(loader: Loader, args: list[bytes]) -> None:
    """SETEX key s value, PSETEX key ms value."""
    unit = 1 if args[0][:1].lower() == b"p" else 1000
    loader.put(args[1], String(args[3]), relative(loader, integer(args[2]), unit))


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
    value = loader.find(args[1], String)
    words = Words(args, 2)
    for word in words:
        if word == b"PERSIST":
            expires_at = None
        elif word in (b"EX", b"PX"):
            expires_at = relative(loader, words.integer(), 1000 if word == b"EX" else 1)
        elif word in (b"EXAT", b"PXAT"):
            expires_at = absolute(words.integer(), 1000 if word == b"EXAT" else 1)
        else:
            raise CommandError(SYNTAX)
        if value is not None:
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
    count = integer(args[1])
    end = 2 + 2 * count
    if count < 1 or end > len(args):
        raise CommandError(SYNTAX)
    keys, expires_at, keeps = args[2:end:2], None, False
    words = Words(args, end)
    for word in words:
        if word in (b"NX", b"XX"):
            there = [loader.look(key) is not None for key in keys]
            if any(there) if word == b"NX" else not all(there):
                return
        elif word == b"KEEPTTL":
            keeps = True
        elif word in (b"EX", b"PX"):
            expires_at = relative(loader, words.integer(), 1000 if word == b"EX" else 1)
        elif word in (b"EXAT", b"PXAT"):
            expires_at = absolute(words.integer(), 1000 if word == b"EXAT" else 1)
        else:
            raise CommandError(SYNTAX)
    for key, data in zip(keys, args[3:end:2]):
        old = loader.look(key) if keeps else None
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
        step = -step
    add(loader, args[1], step)


def add(loader: Loader, key: bytes, step: int) -> None:
    """Add to the number in a string; its expiry stays."""
    value = loader.find(key, String)
    number = (0 if value is None else integer(value.data)) + step
    if not -MOST - 1 <= number <= MOST or not -MOST - 1 <= step <= MOST:
        raise CommandError(_OVERFLOW)
    _replace(loader, key, value, b"%d" % number)


def incrbyfloat(loader: Loader, args: list[bytes]) -> None:
    """INCRBYFLOAT key n: servers write the result as SET, so this is only in files made by hand."""
    value = loader.find(args[1], String)
    number = (0.0 if value is None else double(value.data)) + double(args[2])
    _replace(loader, args[1], value, human(number))


def human(number: float) -> bytes:
    """Return a number as INCRBYFLOAT writes it: at most 17 decimals, without zeros at the end."""
    text = b"%.17f" % number
    return text.rstrip(b"0").rstrip(b".") if b"." in text else score_text(number)


def _replace(loader: Loader, key: bytes, value: String | None, data: bytes) -> None:
    loader.put(key, String(data), None if value is None else value.expires_at)


def increx(loader: Loader, args: list[bytes]) -> None:
    """INCREX key [BYINT n | BYFLOAT n] [LBOUND n] [UBOUND n] [SATURATE] [EX s | PX ms | EXAT s | PXAT ms | …]."""
    value = loader.find(args[1], String)
    step: int | float = 1
    low: float | None = None
    high: float | None = None
    saturates, expires_at = False, None if value is None else value.expires_at
    words = Words(args, 2)
    for word in words:
        if word == b"BYINT":
            step = words.integer()
        elif word == b"BYFLOAT":
            step = double(words.next())
        elif word in (b"LBOUND", b"UBOUND"):
            number = double(words.next())
            low, high = (number, high) if word == b"LBOUND" else (low, number)
        elif word == b"SATURATE":
            saturates = True
        elif word in (b"EX", b"PX"):
            expires_at = relative(loader, words.integer(), 1000 if word == b"EX" else 1)
        elif word in (b"EXAT", b"PXAT"):
            expires_at = absolute(words.integer(), 1000 if word == b"EXAT" else 1)
        elif word == b"PERSIST":
            expires_at = None
        elif word not in (b"NX", b"XX", b"ENX", b"KEEPTTL"):
            raise CommandError(SYNTAX)
    whole = isinstance(step, int)
    old = 0 if value is None else integer(value.data, NOT_AN_INTEGER) if whole else double(value.data)
    result = old + step
    if (low is not None and result < low) or (high is not None and result > high):
        if not saturates:
            return
        result = low if low is not None and result < low else high  # type: ignore[assignment]
    loader.put(args[1], String(b"%d" % result if whole else human(result)), expires_at)


def delex(loader: Loader, args: list[bytes]) -> None:
    """DELEX key [IFEQ | IFNE | IFDEQ | IFDNE value], DELIFEQ key value."""
    value = loader.find(args[1], String)
    if value is None:
        return
    if args[0].lower() == b"delifeq":
        holds = bytes(value.data) == args[2]
    else:
        holds = len(args) < 4 or _holds(loader, args[1], args[2].upper(), args[3])
    if holds:
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
