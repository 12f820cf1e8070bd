"""Commands of keys of any type, and of databases."""

from __future__ import annotations

from copy import deepcopy

from rdbkit.errors import RdbkitError
from rdbkit.format import spec
from rdbkit.keyspace.arguments import MOST, SYNTAX, Words, integer
from rdbkit.keyspace.decoding import decoded
from rdbkit.keyspace.loader import CommandError, Database, Loader
from rdbkit.keyspace.tables import Table
from rdbkit.keyspace.times import absolute, relative, wrapped
from rdbkit.keyspace.values import Stored, String, Tabled, Value
from rdbkit.rdb.dump import Payload, read_payload
from rdbkit.releases.loading import loads_record, reads
from rdbkit.releases.target import Target

_NO_KEY = "ERR no such key"
_BAD_PAYLOAD = "ERR DUMP payload version or checksum are wrong"


def select(loader: Loader, args: list[bytes]) -> None:
    """SELECT db: if the server does not have it, the following commands run in the database before."""
    loader.select(integer(args[1], "ERR invalid DB index"))


def del_(loader: Loader, args: list[bytes]) -> None:
    """DEL key [key …], UNLINK."""
    for key in args[1:]:
        loader.drop(key)


def expire(loader: Loader, args: list[bytes]) -> None:
    """EXPIRE, PEXPIRE, EXPIREAT, PEXPIREAT key time [NX | XX | GT | LT]."""
    name = args[0].lower()
    # Before, a loader did not look at what is behind the time.
    options = [] if loader.lacks("expire-options") else _expire_options(args[3:])
    number, unit = integer(args[2]), 1 if name[:1] == b"p" else 1000
    at = absolute(number, unit) if name.endswith(b"at") else relative(loader, number, unit)
    value = loader.look(args[1])
    if value is None or not may_expire(options, value.expires_at, at):
        return
    loader.expire(args[1], value, at)


def _expire_options(words: list[bytes]) -> list[bytes]:
    options = [word.upper() for word in words]
    for option in options:
        if option not in (b"NX", b"XX", b"GT", b"LT"):
            raise CommandError(f"ERR Unsupported option {option[:40].decode('utf-8', 'backslashreplace')}")
    if b"NX" in options and len(set(options)) > 1:
        raise CommandError("ERR NX and XX, GT or LT options at the same time are not compatible")
    if b"GT" in options and b"LT" in options:
        raise CommandError("ERR GT and LT options at the same time are not compatible")
    return options


def may_expire(options: list[bytes], known: int | None, at: int) -> bool:
    """Return whether the options of EXPIRE allow a new expiry; no expiry counts as one that is never reached."""
    for option in options:
        if option == b"NX":
            allowed = known is None
        elif option == b"XX":
            allowed = known is not None
        elif option == b"GT":
            allowed = known is not None and at > known
        else:
            allowed = known is None or at < known
        if not allowed:
            return False
    return True


def persist(loader: Loader, args: list[bytes]) -> None:
    """PERSIST key."""
    value = loader.look(args[1])
    if value is not None and value.expires_at is not None:
        loader.expire(args[1], value, None)


def rename(loader: Loader, args: list[bytes]) -> None:
    """RENAME key newkey, RENAMENX."""
    _, old, new = args
    value = loader.db.get(old) if old in loader.db else loader.look(old)
    if value is None:
        raise CommandError(_NO_KEY)
    if old == new or (len(args[0]) == 8 and loader.look(new) is not None):
        return
    loader.drop(old)
    loader.drop(new)
    loader.place(new, value, loader.db, copied=True)


def move(loader: Loader, args: list[bytes]) -> None:
    """MOVE key db [REPLACE]."""
    key, target = args[1], loader.database(integer(args[2]))
    value = loader.db.get(key)
    if target is loader.db:
        raise CommandError("ERR source and destination objects are the same")
    if value is None or (key in target and len(args) < 4):
        return
    loader.drop(key)
    loader.place(key, value, target)


def copy(loader: Loader, args: list[bytes]) -> None:
    """COPY source destination [DB db] [REPLACE]."""
    target, replaces = loader.db, False
    words = Words(args, 3)
    for word in words:
        if word == b"REPLACE":
            replaces = True
        elif word == b"DB":
            target = loader.database(words.integer())
        else:
            raise CommandError(SYNTAX)
    value = loader.db.get(args[1]) if args[1] in loader.db else loader.look(args[1])
    if target is loader.db and args[1] == args[2]:
        raise CommandError("ERR source and destination objects are the same")
    if value is None or (not replaces and loader.look(args[2], target) is not None):
        return
    twin = deepcopy(value)
    if isinstance(twin, Tabled) and twin.table is not None:
        twin.table = Table.loaded(len(twin))
    if isinstance(twin, String):
        twin.data, twin.loaded = bytes(twin.data), True
        twin.room = twin.capacity = 0
    loader.place(args[2], twin, target, copied=True)


def swapdb(loader: Loader, args: list[bytes]) -> None:
    """SWAPDB a b."""
    first, second = (integer(arg, "ERR invalid DB index") for arg in args[1:3])
    one, other = loader.database(first), loader.database(second)
    loader.databases[first], loader.databases[second] = other, one
    loader.select(loader.number)


def flushdb(loader: Loader, _args: list[bytes]) -> None:
    """FLUSHDB [ASYNC | SYNC]."""
    _flush(loader.db)


def flushall(loader: Loader, _args: list[bytes]) -> None:
    """FLUSHALL [ASYNC | SYNC]."""
    for db in loader.databases.values():
        _flush(db)


def _flush(db: Database) -> None:
    db.clear()
    db.doubt = b""
    db.certain.clear()


def restore(loader: Loader, args: list[bytes]) -> None:
    """RESTORE key ttl payload [REPLACE] [ABSTTL] [IDLETIME s] [FREQ n], RESTORE-ASKING."""
    key, is_absolute, replaces = args[1], False, False
    idle: int | None = None
    freq: int | None = None
    words = Words(args, 4)
    for word in words:
        if word == b"REPLACE":
            replaces = True
        elif loader.lacks("restore-options"):
            raise CommandError(SYNTAX)
        elif word == b"ABSTTL":
            is_absolute = True
        elif word == b"IDLETIME" and words and freq is None:
            idle = _number(words.integer(), MOST, "ERR Invalid IDLETIME value, must be >= 0")
        elif word == b"FREQ" and words and idle is None:
            freq = _number(words.integer(), 255, "ERR Invalid FREQ value, must be >= 0 and <= 255")
        else:
            raise CommandError(SYNTAX)
    if not replaces and loader.look(key) is not None:
        raise CommandError("BUSYKEY Target key name already exists.")
    ttl = _number(integer(args[2]), MOST, "ERR Invalid TTL value, must be >= 0")
    expires_at = None if not ttl else absolute(ttl, 1) if is_absolute else wrapped(loader, ttl)
    try:
        payload = read_payload(args[3])
        if not _reads(loader.target, payload):
            loader.assume(payload.product, payload.version)
        unsigned = payload.checksum == "disabled" and not loader.target.has("payload-without-checksum")
        if unsigned or not _reads(loader.target, payload):
            raise CommandError(_BAD_PAYLOAD)
        stored = Stored(payload.type_id, payload.body)
        stored.idle, stored.freq, stored.expires_at = idle, freq, expires_at
        value: Value = stored
        if spec.BY_ID[payload.type_id].type != "module":
            value = decoded(stored, loader.target, {}, len(key))
    except RdbkitError as error:
        raise CommandError(f"ERR Bad data format: {error.message}") from None
    loader.drop(key)
    loader.put(key, value, expires_at)


def _reads(target: Target, payload: Payload) -> bool:
    return reads(target, payload.product, payload.version) and loads_record(target, payload.type_id)


def _number(number: int, most: int, error: str) -> int:
    if not 0 <= number <= most:
        raise CommandError(error)
    return number


COMMANDS = {
    b"select": select,
    b"del": del_,
    b"unlink": del_,
    b"expire": expire,
    b"pexpire": expire,
    b"expireat": expire,
    b"pexpireat": expire,
    b"persist": persist,
    b"rename": rename,
    b"renamenx": rename,
    b"move": move,
    b"copy": copy,
    b"swapdb": swapdb,
    b"flushdb": flushdb,
    b"flushall": flushall,
    b"restore": restore,
    b"restore-asking": restore,
}
