"""All commands that change a keyspace: one table from names to short functions of a loader and the command's words.

To add a command, write a function in the module of its group and a row in that module's COMMANDS. A name with a
subcommand is `name|subcommand`, as in releases.commands. Commands that are known there and not here have no effect on
a keyspace; tests/keyspace/test_table.py holds the list of those that have one.
"""

from __future__ import annotations

from collections.abc import Callable

from rdbkit.keyspace.commands import (
    arrays,
    bits,
    functions,
    geo,
    hashes,
    hyperloglog,
    keys,
    lists,
    sets,
    sort,
    streams,
    strings,
    zsets,
)
from rdbkit.keyspace.loader import Loader

Function = Callable[[Loader, list[bytes]], None]

TABLE: dict[bytes, Function] = {
    **arrays.COMMANDS,
    **bits.COMMANDS,
    **functions.COMMANDS,
    **geo.COMMANDS,
    **hashes.COMMANDS,
    **hyperloglog.COMMANDS,
    **keys.COMMANDS,
    **lists.COMMANDS,
    **sets.COMMANDS,
    **sort.COMMANDS,
    **streams.COMMANDS,
    **strings.COMMANDS,
    **zsets.COMMANDS,
}
