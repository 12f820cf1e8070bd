"""Selection of keys by database, type, name and expiry, compiled to a plan for the walker.

All kinds of conditions must match; of several values of one kind, one is enough. A key's name is matched as bytes, by a
glob as in KEYS and SCAN or by a regular expression anywhere in it; keys matching an exclusion are skipped.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from rdbkit.rdb.walker import Plan

_DAYS = 86_400_000
_UNITS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": _DAYS, "w": 7 * _DAYS}
_DURATION = re.compile(r"([0-9]{1,12})(ms|[smhdw])")
#: Expiries are signed 64-bit numbers.
_FIRST, _LAST = -(1 << 63), (1 << 63) - 1


@dataclass(frozen=True, slots=True)
class Selection:
    """Conditions as given by the user; `ttl` holds texts: none, any, expired, under:7d, over:30d."""

    dbs: tuple[int, ...] = ()
    types: tuple[str, ...] = ()
    match: tuple[bytes, ...] = ()
    regex: tuple[bytes, ...] = ()
    exclude: tuple[bytes, ...] = ()
    ttl: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return any((self.dbs, self.types, self.match, self.regex, self.exclude, self.ttl))

    def applied(self, plan: Plan, now: int) -> Plan:
        """Return the plan with these conditions; expiries are relative to `now` (ms since epoch).

        Raises ValueError for an invalid condition.
        """
        return replace(
            plan,
            dbs=frozenset(self.dbs) or None,
            types=frozenset(self.types) or None,
            pattern=self._pattern(),
            ttl=tuple(window(text, now) for text in self.ttl),
        )

    def _pattern(self) -> Callable[[bytes], object] | None:
        wanted = [*map(glob, self.match), *map(_compiled, self.regex)]
        unwanted = list(map(glob, self.exclude))
        if not unwanted:
            return _any(wanted) if wanted else None
        admits, refuses = _any(wanted) if wanted else None, _any(unwanted)
        return lambda key: (admits is None or admits(key)) and not refuses(key)


def _any(patterns: Sequence[re.Pattern[bytes]]) -> Callable[[bytes], object]:
    if len(patterns) == 1:
        return patterns[0].search
    return lambda key: any(pattern.search(key) for pattern in patterns)


def _compiled(text: bytes) -> re.Pattern[bytes]:
    try:
        return re.compile(text, re.DOTALL)
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(f"not a regular expression: {text.decode(errors='backslashreplace')!r}: {error}") from None


def glob(pattern: bytes) -> re.Pattern[bytes]:
    """Compile a glob with the rules of Redis (stringmatchlen): * ? [abc] [^a-z] and a backslash before any of them."""
    # Between two stars the first match of a piece is as good as any later one, so atomic groups avoid backtracking.
    pieces: list[list[bytes]] = [[]]
    at = 0
    while at < len(pattern):
        out = pieces[-1]
        byte = pattern[at : at + 1]
        if byte == b"*":
            pieces.append([])
        elif byte == b"?":
            out.append(b".")
        elif byte == b"[":
            piece, at = _set(pattern, at + 1)
            out.append(piece)
            continue
        else:
            if byte == b"\\" and at + 1 < len(pattern):
                at += 1
                byte = pattern[at : at + 1]
            out.append(re.escape(byte))
        at += 1
    first, *inner = map(b"".join, pieces)
    last = b".*" + inner.pop() if inner else b""
    between = b"".join(b"(?>.*?" + piece + b")" for piece in inner if piece)
    return re.compile(rb"\A" + first + between + last + rb"\Z", re.DOTALL)


def _set(pattern: bytes, at: int) -> tuple[bytes, int]:
    """Compile the inside of a [set] from `at`; return it and where it ends.

    As in Redis, an unclosed set ends with the pattern.
    """
    negated = pattern[at : at + 1] == b"^"
    at += negated
    members: set[int] = set()
    while at < len(pattern) and pattern[at : at + 1] != b"]":
        if pattern[at : at + 1] == b"\\" and at + 1 < len(pattern):
            members.add(pattern[at + 1])
            at += 2
        elif pattern[at + 1 : at + 2] == b"-" and at + 2 < len(pattern):
            low, high = sorted((pattern[at], pattern[at + 2]))
            members.update(range(low, high + 1))
            at += 3
        else:
            members.add(pattern[at])
            at += 1
    inside = b"".join(b"\\x%02x" % member for member in sorted(members))
    if negated:
        return (b"[^" + inside + b"]" if inside else b"."), at + 1
    return (b"[" + inside + b"]" if inside else b"(?!)"), at + 1


def window(text: str, now: int) -> tuple[int, int] | None:
    """Return the range of expiry times (inclusive) that a --ttl condition accepts; None: keys without expiry."""
    if text == "none":
        return None
    if text == "any":
        return _FIRST, _LAST
    if text == "expired":
        return _FIRST, now
    side, _, length = text.partition(":")
    match = _DURATION.fullmatch(length)
    if side not in ("under", "over") or match is None:
        raise ValueError(f"not a ttl: {text!r} (none, any, expired, under:7d, over:30d; units ms s m h d w)")
    limit = now + int(match[1]) * _UNITS[match[2]]
    return (now + 1, limit) if side == "under" else (limit + 1, _LAST)
