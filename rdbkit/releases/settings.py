"""The server settings that affect how a loaded file is kept in memory, and how users can give them.

A file does not contain the limits of the server that wrote it, and a server that loads it applies its own. So the
target's defaults are used unless the user gives other values: with `--set name=value`, or with the target's redis.conf.

The fields of `Settings` are the directives by their newest names, with underscores. Servers renamed them twice (zipmap,
ziplist, listpack) and still accept the ziplist spellings. Here every spelling is accepted for every version, and a
setting that a version lacks is ignored. `list-max-ziplist-entries` has no newer name: it was removed in 3.2.

Sources: the tables in config.c and redis.h of the BSD-licensed versions.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, NamedTuple

Value = int | bool | str


@dataclass(frozen=True, slots=True)
class Settings:
    """One value per setting; entries are counts, values and sizes bytes. The defaults are those since Redis 3.0."""

    hash_max_listpack_entries: int = 512
    hash_max_listpack_value: int = 64
    list_max_ziplist_entries: int = 512  # up to 3.0
    list_max_ziplist_value: int = 64  # up to 3.0
    list_max_listpack_size: int = -2  # from 3.2; negative: a size class, else a count
    list_compress_depth: int | None = None  # None: what the file shows, 0 where it shows nothing
    set_max_intset_entries: int = 512
    set_max_listpack_entries: int = 128  # from 7.2
    set_max_listpack_value: int = 64
    zset_max_listpack_entries: int = 128
    zset_max_listpack_value: int = 64
    stream_node_max_bytes: int = 4096
    stream_node_max_entries: int = 100
    hll_sparse_max_bytes: int = 3000
    databases: int = 16
    cluster_enabled: bool = False
    rdb_version_check: str = "strict"  # Valkey, from 8.1
    maxmemory: int = 0
    maxmemory_policy: str = "noeviction"

    @classmethod
    def of(cls, product: str, version: tuple[int, int, int]) -> Settings:
        """Return the defaults of a release."""
        changes: dict[str, Any] = {}
        for name, since, defaults in _DEFAULTS:
            if name == product and since <= version:
                changes |= defaults
        return cls(**changes)

    def with_settings(self, changes: Mapping[str, str]) -> Settings:
        """Return these settings with some changed: names in any spelling, values as in a redis.conf.

        Raises ValueError, with one line, for an unknown name, or a value that a server refuses.
        """
        found: dict[str, Any] = {}
        for name, text in changes.items():
            directive = canonical(name)
            found[directive.replace("-", "_")] = _read(directive, text)
        return replace(self, **found)


class Config(NamedTuple):
    """What `read_config` found.

    `settings` has the text of known settings by directive (newest spelling), `includes` the files that it did not
    follow, `renamed` the names of commands by those that `rename-command` gives them, `appendonly` that setting, None
    if it is not set.
    """

    settings: dict[str, str]
    includes: list[str]
    renamed: dict[bytes, bytes]
    appendonly: bool | None = None


#: Other defaults: from this release on these are the values.
_DEFAULTS: tuple[tuple[str, tuple[int, ...], dict[str, Value]], ...] = (
    ("redis", (2, 4), {"maxmemory_policy": "volatile-lru"}),
    ("redis", (3, 0), {"maxmemory_policy": "noeviction"}),
)

DIRECTIVES = tuple(field.name.replace("_", "-") for field in fields(Settings))

#: Old spellings that servers accept, or accepted.
SPELLINGS = {
    "hash-max-zipmap-entries": "hash-max-listpack-entries",
    "hash-max-zipmap-value": "hash-max-listpack-value",
    "hash-max-ziplist-entries": "hash-max-listpack-entries",
    "hash-max-ziplist-value": "hash-max-listpack-value",
    "list-max-ziplist-size": "list-max-listpack-size",
    "zset-max-ziplist-entries": "zset-max-listpack-entries",
    "zset-max-ziplist-value": "zset-max-listpack-value",
}

POLICIES = (
    "noeviction",
    *(f"{keys}-{how}" for keys in ("allkeys", "volatile") for how in ("lru", "lfu", "lrm", "random")),
    "volatile-ttl",
)

_SIZE = re.compile(r"([0-9]{1,19})(b|k|kb|m|mb|g|gb)?", re.IGNORECASE)
_UNITS = {"": 1, "b": 1, "k": 1000, "kb": 1 << 10, "m": 1000**2, "mb": 1 << 20, "g": 1000**3, "gb": 1 << 30}
_INTEGER = re.compile(r"-?[0-9]{1,10}")
_LONG_MAX, _INT_MAX = (1 << 63) - 1, (1 << 31) - 1


def canonical(name: str) -> str:
    """Return a directive's newest spelling. Raises ValueError with similar names."""
    directive = SPELLINGS.get(name.lower(), name.lower())
    if directive in DIRECTIVES:
        return directive
    close = difflib.get_close_matches(name.lower(), [*DIRECTIVES, *SPELLINGS], n=3)
    hint = f"did you mean {' or '.join(close)}?" if close else f"known are {', '.join(DIRECTIVES)}"
    raise ValueError(f"unknown setting {name!r}: {hint}")


def _size(text: str) -> int:
    match = _SIZE.fullmatch(text)
    size = int(match[1]) * _UNITS[(match[2] or "").lower()] if match else -1
    if not 0 <= size <= _LONG_MAX:
        raise ValueError("a number such as 128, 1k (1000) or 64mb")
    return size


def _integer(low: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        number = int(text) if _INTEGER.fullmatch(text) else low - 1
        if not low <= number <= _INT_MAX:
            raise ValueError(f"a whole number from {low} on")
        return number

    return read


def _choice(choices: Mapping[str, Value]) -> Callable[[str], Value]:
    def read(text: str) -> Value:
        if text.lower() not in choices:
            raise ValueError(f"one of {', '.join(choices)}")
        return choices[text.lower()]

    return read


#: How the value of a directive is read, where it is not a size.
_READERS: dict[str, Callable[[str], Value]] = {
    "list-max-listpack-size": _integer(-_INT_MAX - 1),
    "list-compress-depth": _integer(0),
    "databases": _integer(1),
    "cluster-enabled": _choice({"yes": True, "no": False}),
    "rdb-version-check": _choice({"strict": "strict", "relaxed": "relaxed"}),
    "maxmemory-policy": _choice({policy: policy for policy in POLICIES}),
}


def _read(directive: str, text: str) -> Value:
    try:
        return _READERS.get(directive, _size)(text)
    except ValueError as error:
        raise ValueError(f"{directive}: expected {error}, not {text!r}") from None


_WORD = re.compile(r"""\s*(?:"((?:\\.|[^"\\])*)"|'((?:\\.|[^'\\])*)'|([^\s"']\S*))(?!\S)""")
_ESCAPE = re.compile(r"\\(?:x([0-9a-fA-F]{2})|(.))")
_CONTROLS = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "a": "\a"}


def read_config(text: str | bytes) -> Config:
    """Read the known settings from a redis.conf or valkey.conf; the last line that sets one counts, as for a server.

    Everything else in the file is ignored; files that it includes are listed in the result, not read. Raises ValueError
    for a known directive without exactly one value; the values themselves are checked by `with_settings`.
    """
    if isinstance(text, bytes):
        text = text.decode("utf-8", "surrogateescape")
    config = Config({}, [], {})
    appendonly = None
    for number, line in enumerate(text.split("\n"), 1):
        name, _, rest = line.strip().replace("\t", " ", 1).partition(" ")
        name = SPELLINGS.get(name.lower(), name.lower())
        if name == "include":
            config.includes.append(_only_value(name, rest, number))
        elif name in DIRECTIVES:
            config.settings[name] = _only_value(name, rest, number)
        elif name == "appendonly":
            appendonly = _only_value(name, rest, number).lower() == "yes"
        elif name == "rename-command":
            known, other = _two_values(name, rest, number)
            # An empty name disables the command.
            if other:
                config.renamed[_raw(other).lower()] = _raw(known).lower()
    return config._replace(appendonly=appendonly)


def _raw(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _two_values(name: str, rest: str, number: int) -> tuple[str, str]:
    first = _WORD.match(rest.strip())
    second = None if first is None else _WORD.fullmatch(rest.strip()[first.end() :].strip())
    if first is None or second is None:
        raise ValueError(f"line {number}: {name} takes two values, not {rest.strip()!r}")
    return _unquoted(first), _unquoted(second)


def _only_value(name: str, rest: str, number: int) -> str:
    match = _WORD.fullmatch(rest.strip())
    if match is None:
        raise ValueError(f"line {number}: {name} takes one value, not {rest.strip()!r}")
    return _unquoted(match)


def _unquoted(match: re.Match[str]) -> str:
    double, single, bare = match.groups()
    if double is not None:
        return _ESCAPE.sub(_unescape, double)
    return bare if single is None else single.replace("\\'", "'")


def _unescape(match: re.Match[str]) -> str:
    if match[1]:
        # A byte that is no ASCII is one of a file name, or of a command's name.
        code = int(match[1], 16)
        return chr(code if code < 0x80 else 0xDC00 + code)
    return _CONTROLS.get(match[2], match[2])
