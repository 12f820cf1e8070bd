"""What the bytes around damage say of its cause: text copies, NUL bytes, converted line ends.

    error ─► [ bytes at its offset ] ─► EF BF BD · NUL bytes
          └► [ the strings read last ] ─► would the walk go on, had each LF in them been CR LF (or the other way round)?

Only what can be seen is said: the error keeps its offset, and where nothing is seen it is left as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rdbkit.errors import RdbkitError
from rdbkit.rdb import spec
from rdbkit.rdb.walker import BODY_OFFSET, TYPE, Entry, Plan, Walker
from rdbkit.source.recognise import NUL_CAUSES, NULS, nul_run
from rdbkit.wire.cursor import Cursor

#: Entries before the damage whose strings are looked at, and bytes from each of them on.
ENTRIES = 8
_LOOK = 1 << 18
#: Entries that must follow in a row before a shifted end is believed.
_SURE = 3
_REPLACED = b"\xef\xbf\xbd"
_KNOWN = frozenset(("checksum-mismatch", "text-copy", "nul-run", "needs-replay", "trailing-bytes", "empty"))

#: Returns bytes of the file from an offset on; b"" where they are gone.
Fetch = Callable[[int, int], bytes]


def explain(error: RdbkitError, fetch: Fetch, last: Sequence[Entry]) -> None:
    """Say in an error what caused it, if that can be seen; `last` are the entries that were read before it."""
    if error.code in _KNOWN or error.offset is None:
        return
    found = _at(error.offset, fetch) or _line_ends(fetch, last)
    if found is not None:
        error.code, cause = found
        error.message = f"{cause} ({error.message})"
        error.args = (error.message,)


def _at(offset: int, fetch: Fetch) -> tuple[str, str] | None:
    before = min(offset, 1 << 12)
    data = fetch(offset - before, _LOOK) or fetch(offset, _LOOK)
    at = before if len(data) > before else 0
    if _REPLACED in data[max(0, at - 2) : at + 3]:
        return "text-copy", "copied as text: bytes became UTF-8 replacement characters (EF BF BD)"
    run = nul_run(data, at)
    if run is not None and run[1] - run[0] >= NULS:
        start = offset - at + run[0]
        more = "at least " if run[1] == len(data) == _LOOK else ""
        return "nul-run", f"a run of {more}{run[1] - run[0]} NUL bytes at offset {start}: {NUL_CAUSES}"
    return None


def _line_ends(fetch: Fetch, last: Sequence[Entry]) -> tuple[str, str] | None:
    """Test whether one of the last strings has its stated length only with other line ends, and the walk goes on."""
    for entry in last[::-1]:
        if entry[TYPE] != spec.STRING:
            continue
        data = fetch(entry[BODY_OFFSET], _LOOK)
        start, size = _raw(data)
        if size <= 0 or start + size > len(data):
            continue
        for made, was, end in (("LF", "CR LF", _grown(data, start, size)), ("CR LF", "LF", _shrunk(data, start, size))):
            if end > 0 and _goes_on(data[end:]):
                where = f"the string at offset {entry[BODY_OFFSET]} has its length only so"
                return "text-copy", f"copied as text: {was} became {made} ({where})"
    return None


def _raw(data: bytes) -> tuple[int, int]:
    """Return where the bytes of a string begin and how many there are said to be; -1 for one that is encoded."""
    first = data[0] if data else 0xC0
    if first < 0x40:
        return 1, first
    if first < 0x80:
        return 2, (first & 0x3F) << 8 | int.from_bytes(data[1:2], "big")
    return (5, int.from_bytes(data[1:5], "big")) if first == 0x80 else (0, -1)


def _grown(data: bytes, start: int, size: int) -> int:
    """Return where a string ends whose every LF was CR LF; -1: nowhere."""
    left = size - (data.count(b"\n", start, start + size))
    end = start + max(left, 0)
    while end <= start + size:
        had = end - start + data.count(b"\n", start, end)
        if had >= size:
            return end if had == size and end < start + size else -1
        end += 1
    return -1


def _shrunk(data: bytes, start: int, size: int) -> int:
    """Return where a string ends whose every CR LF was LF; -1: nowhere."""
    end, had = start + size, -1
    while end <= len(data):
        had = end - start - data.count(b"\r\n", start, end)
        if had >= size:
            return end if had == size and end > start + size else -1
        end += size - had
    return -1


def _goes_on(data: bytes) -> bool:
    """Tell whether entries, or the end of a file, follow here."""
    walker = Walker(Cursor(b"REDIS0009" + data), Plan(), verify=False)
    count = 0
    try:
        while not walker.done and count < _SURE:
            count += len(walker.batch())
    except RdbkitError as error:
        # The bytes at hand may end in the middle of an entry.
        return count > 0 and error.code == "truncated" and len(data) > 1 << 10
    return True
