"""Function libraries and scripts: their code is kept, and never run."""

from __future__ import annotations

from rdbkit.errors import RdbkitError
from rdbkit.keyspace.loader import CommandError, Loader
from rdbkit.rdb.dump import read_payload


def _name(code: bytes) -> bytes:
    """Return the library's name from its first line, `#!lua name=…`."""
    words = code.split(b"\n", 1)[0].split()
    for word in words[1:]:
        if word.lower().startswith(b"name="):
            return word[5:]
    raise CommandError("ERR Missing library metadata")


def load(loader: Loader, args: list[bytes]) -> None:
    """FUNCTION LOAD [REPLACE] code."""
    name = _name(args[-1])
    if name in loader.functions and not any(word.upper() == b"REPLACE" for word in args[2:-1]):
        raise CommandError("ERR Library already exists")
    loader.functions[name] = args[-1]


def delete(loader: Loader, args: list[bytes]) -> None:
    """FUNCTION DELETE name."""
    if loader.functions.pop(args[2], None) is None:
        raise CommandError("ERR Library not found")


def flush(loader: Loader, _args: list[bytes]) -> None:
    """FUNCTION FLUSH [ASYNC | SYNC]."""
    loader.functions.clear()


def restore(loader: Loader, args: list[bytes]) -> None:
    """FUNCTION RESTORE payload [FLUSH | APPEND | REPLACE]."""
    policy = args[3].upper() if len(args) > 3 else b"APPEND"
    try:
        payload = read_payload(args[2])
    except RdbkitError as error:
        raise CommandError(f"ERR Bad data format: {error.message}") from None
    found = {_name(code): code for code in payload.functions}
    if policy == b"FLUSH":
        loader.functions.clear()
    elif policy == b"APPEND" and found.keys() & loader.functions.keys():
        raise CommandError("ERR Library already exists")
    loader.functions.update(found)


def script_flush(loader: Loader, _args: list[bytes]) -> None:
    """SCRIPT FLUSH."""
    loader.scripts.clear()


COMMANDS = {
    b"function|load": load,
    b"function|delete": delete,
    b"function|flush": flush,
    b"function|restore": restore,
    b"script|flush": script_flush,
}
