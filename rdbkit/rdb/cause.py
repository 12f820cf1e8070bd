"""Finds the cause of damage from the bytes around it: text copies, NUL bytes, converted line ends.

    error ─► [ bytes at its offset ] ─► EF BF BD · NUL bytes
          └► [ the strings read last ] ─► would the walk continue if each LF in them had been CR LF (or vice versa)?

A cause is reported only if the bytes show it. The error keeps its offset; without a cause it is returned unchanged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from rdbkit.errors import Corrupt, RdbkitError
from rdbkit.format import spec
from rdbkit.rdb.walker import BODY_OFFSET, KEY, SHAPE, TYPE, EntryTuple, Plan, Walker
from rdbkit.source.recognise import NUL_CAUSES, NULS, nul_run
from rdbkit.wire import crc64
from rdbkit.wire.cursor import Cursor

#: Entries before the damage whose strings are examined, and bytes from each of them on.
ENTRIES = 8
_LOOK = 1 << 18
#: The least number of strings that must be complete only with other line ends, and how many are searched for.
_SURE = 2
_ENOUGH = 8
#: CR bytes that a packed string may lack.
_MISSING = 12
_HEAD = b"REDIS0009"
_REPLACED = b"\xef\xbf\xbd"
_KNOWN = frozenset(("checksum-mismatch", "text-copy", "nul-run", "needs-replay", "trailing-bytes", "empty"))

#: Returns bytes of the file from an offset on; b"" if they are not available.
Fetch = Callable[[int, int], bytes]


def explained(error: RdbkitError, fetch: Fetch, start: int, last: Sequence[EntryTuple]) -> RdbkitError:
    """Return an error that gives the cause of this one, if the bytes show it, else the same error.

    The file begins at the offset `start`; `last` are the entries that were read before the damage.
    """
    if error.code in _KNOWN or error.offset is None:
        return error
    found = _at(error.offset, fetch) if isinstance(error, Corrupt) else None
    found = found or _line_ends(fetch, start, last)
    if found is None:
        return error
    code, message = found
    return Corrupt(f"{message} ({error.message})", offset=error.offset, code=code, db=error.db, key=error.key)


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


# -- converted line ends -----------------------------------------------------------------------------------------------


def _line_ends(fetch: Fetch, start: int, last: Sequence[EntryTuple]) -> tuple[str, str] | None:
    """Recognise converted line ends: undoing the conversion makes the checksum right, or several strings complete."""
    data = fetch(start, _LOOK)
    feeds = data.count(b"\n")
    if feeds and feeds == data.count(b"\r\n") and _sums_up(fetch, start):
        return "text-copy", "copied as text: LF became CR LF (the checksum is right without these CR)"
    if b"\r\n" in data:
        return None
    for entry in last[::-1]:
        fixed = _followed(fetch(entry[BODY_OFFSET], _LOOK)) if entry[TYPE] == spec.STRING else 0
        if fixed >= _SURE:
            where = f"{fixed} strings from offset {entry[BODY_OFFSET]} on have their lengths only so"
            return "text-copy", f"copied as text: CR LF became LF ({where})"
    return None


def _sums_up(fetch: Fetch, start: int) -> bool:
    """Return whether the file's checksum is right for its bytes with LF instead of CR LF."""
    update, crc, at, held = crc64.update(), 0, start, b""
    while piece := fetch(at, _LOOK):
        at += len(piece)
        held += piece
        # A CR at its end may belong to the LF of the next piece.
        whole = len(held) - held.endswith(b"\r")
        done = held[:whole].replace(b"\r\n", b"\n")
        crc = update(memoryview(done)[:-8], crc) if len(done) > 8 else crc
        held = done[-8:] + held[whole:]
    return len(held) == 8 and crc == int.from_bytes(held, "little") != 0


def _followed(data: bytes) -> int:
    """Return how many strings, from the one at `data[0]` on, have the right length only with CR LF for each LF.

    After each of them the walk must continue, up to the next such string.
    """
    fixed, at = 0, 0
    while fixed < _ENOUGH:
        found = _step(data, at)
        if found is None:
            break
        fixed += 1
        end, rows = found
        base = end - len(_HEAD)
        strings = [row[BODY_OFFSET] + base for row in rows if row[TYPE] == spec.STRING]
        at = next((place for place in strings[: -ENTRIES - 1 : -1] if _step(data, place) is not None), -1)
        if at < 0:
            break
    return fixed


def _step(data: bytes, at: int) -> tuple[int, list[EntryTuple]] | None:
    """Return where a string ends if LF in it was CR LF, and the entries after it; None if that is not possible."""
    for end in _ends(data, at):
        rows = _walk(data, end)
        if rows is not None:
            return end, rows
    return None


def _walk(data: bytes, at: int) -> list[EntryTuple] | None:
    """Return the entries from an offset up to the next damage; None if there is neither an entry nor a file's end."""
    walker = Walker(Cursor(_HEAD + data[at:]), Plan(SHAPE), verify=False)
    rows: list[EntryTuple] = []
    try:
        while not walker.done:
            rows += walker.batch()
    except RdbkitError:
        return rows if rows and all(row[KEY] for row in rows) else None
    return rows


def _ends(data: bytes, at: int) -> Iterator[int]:
    """Yield the possible ends of a string that lacks CR bytes: at most one for each LF."""
    start, size, packed = _header(data[at : at + 12])
    start += at
    if size <= 0 or start >= len(data):
        return
    if packed:
        # Some LF in packed data are numbers, and were never CR LF.
        most = min(data.count(b"\n", start, start + size), _MISSING, size - 1)
        yield from (start + size - missing for missing in range(1, most + 1))
        return
    end = start + size // 2
    while end < start + size:
        had = end - start + data.count(b"\n", start, end)
        if had >= size:
            yield from [end] if had == size else []
            return
        end += max(1, (size - had) // 2)


def _header(head: bytes) -> tuple[int, int, bool]:
    """Return where the bytes of a string begin, their stated number, and whether they are packed."""
    packed = head[:1] == b"\xc3"
    start, size = _length(head, int(packed))
    if packed:
        start, _ = _length(head, start)
    return start, size, packed


def _length(head: bytes, at: int) -> tuple[int, int]:
    """Return where a length ends, and its value; -1 for none."""
    first = head[at] if at < len(head) else 0xC0
    if first < 0x40:
        return at + 1, first
    if first < 0x80:
        return at + 2, (first & 0x3F) << 8 | int.from_bytes(head[at + 1 : at + 2], "big")
    return (at + 5, int.from_bytes(head[at + 1 : at + 5], "big")) if first == 0x80 else (at, -1)
