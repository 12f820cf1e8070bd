"""What to keep of one file: three policies, each a function from a file to the ranges that it drops.

    fix         exactly what redis-check-aof --fix leaves: everything before the first error, without open transactions
    server      what a server leaves when it cuts a torn file at startup; files that it refuses are refused here too
    keep-most   everything except the damage: torn tails are cut as with `fix`; reading continues after other damage
                (damage.py)

The result is the file without these ranges; nothing else is ever written. An RDB preamble is kept unchanged; a damaged
one cannot be repaired.

Sources: recorded starts of servers (where one cuts, by version) and runs of the check tool (where it cuts).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from rdbkit.aof.reader import skip_preamble
from rdbkit.aof.resp import END, ERROR, Resp
from rdbkit.aof.startup import Start, Startup
from rdbkit.checks.needs import Needs
from rdbkit.checks.target import blockers
from rdbkit.errors import Corrupt, RdbkitError, Unsupported
from rdbkit.rdb.walker import Plan, Walker
from rdbkit.recovery.account import Doubt
from rdbkit.recovery.file import DamagedFile
from rdbkit.recovery.keep_most import KeepMost
from rdbkit.recovery.ranges import Lost, Ranges
from rdbkit.releases.loading import envelope_need
from rdbkit.releases.target import Target
from rdbkit.source import Source, open_source
from rdbkit.wire import crc64
from rdbkit.wire.cursor import Cursor

POLICIES = ("keep-most", "fix", "server")
#: With what a VCS envelope begins.
_ENVELOPE = b"VCS\x01"
_HALVES = ("nested-multi", "exec-without-multi")


@dataclass(slots=True)
class Judged:
    """The result of a policy: `lost` ascending and disjoint, `commands` kept if they were counted."""

    lost: Ranges = field(default_factory=Ranges)
    doubts: list[Doubt] = field(default_factory=list)
    commands: int | None = None
    loads: bool = False
    """Whether a server is known to load the result."""


def start_of(file: DamagedFile, *, as_tool: bool = False, increment: bool = False) -> int:
    """Return where the commands of a file begin: after its RDB part, which is verified.

    `as_tool`: the check tool does not recognise an RDB of less than eight bytes. Raises Corrupt (code
    "damaged-preamble"), and Unsupported for a newer RDB format.
    """
    head = file.at(0, 8)
    if not head.startswith((b"REDIS", b"VALKEY", _ENVELOPE)) or (as_tool and len(head) < 8):
        return 0
    if as_tool and increment:
        raise Unsupported(
            "an increment that is an RDB: redis-check-aof --fix would empty it, but servers load it",
            offset=0,
            code="increment-is-rdb",
        )
    try:
        with _head(file) as (cursor, source):
            cursor.update = crc64.update()
            skip_preamble(cursor)
            return cursor.tell() if source is None else _after_envelope(cursor, source)
    except Unsupported:
        raise
    except RdbkitError as error:
        raise Corrupt(
            f"the RDB part is damaged and cannot be repaired: {error.message}",
            offset=error.offset,
            code="damaged-preamble",
        ) from None


def has_envelope(file: DamagedFile) -> bool:
    """Return whether a file begins with an RDB in a VCS envelope."""
    return file.at(0, len(_ENVELOPE)) == _ENVELOPE


@contextmanager
def _head(file: DamagedFile) -> Iterator[tuple[Cursor, Source | None]]:
    """Return a cursor over the RDB with which a file begins, and, if it is in an envelope, what unpacks it."""
    if not has_envelope(file):
        yield file.cursor(0), None
        return
    with open_source(file.path) as source:
        yield Cursor(source=source), source


def _after_envelope(cursor: Cursor, source: Source) -> int:
    """Return where in the file the byte is that follows the RDB at which the cursor ended."""
    end = cursor.tell()
    if not cursor.at_end() and source.envelope is not None and source.envelope.spans(end):
        raise Corrupt("bytes follow its end in the compressed data", offset=end, code="trailing-bytes")
    return source.stored(end)


# -- fix ---------------------------------------------------------------------------------------------------------------


def fix(file: DamagedFile, start: int) -> Judged:
    """Drop everything from the first error, or from the MULTI that is open there."""
    resp = Resp(file.cursor(start))
    status = resp.scan()
    good = resp.good
    if status == END and not resp.multi:
        return Judged()
    if good >= file.end:
        return Judged()
    return Judged(Ranges([Lost(good, file.end, reason_of(resp))]))


def reason_of(resp: Resp) -> str:
    """Return the reason why reading ended."""
    if resp.problem is None:
        return "open-transaction"
    what = resp.problem[0]
    if what in ("eof", "bytes", "short"):
        return "torn"
    return "stray-exec" if what == "exec" else "transaction" if what == "multi" else "damaged"


# -- server ------------------------------------------------------------------------------------------------------------


def server(file: DamagedFile, start: int, target: Target, *, last: bool = True) -> Judged:
    """Drop what a server of this version cuts off at startup (with aof-load-truncated yes, the default).

    Raises Corrupt (code "server-refuses") if it does not start, or if that is not certain.
    """
    if start and target.origin == "given":
        _preamble(file, target)
    startup = Startup(file.cursor(start), target, last=last)
    for _ in startup.load():
        pass
    found = startup.verdict()
    if found.cut is None:
        if not found.starts:
            raise _refusal(found, startup)
        return Judged(commands=startup.commands)
    judged = Judged(commands=startup.commands)
    torn = startup.problem is not None
    if found.cut < file.end:
        reason = "wiped" if found.cut < start else "torn" if torn else "open-transaction"
        judged.lost.add(Lost(found.cut, file.end, reason))
    if torn and startup.multi is not None and startup.rules.runs_at_exec and found.cut > startup.multi:
        message = "a transaction remains open: data written after it is lost at the next start"
        judged.doubts.append(Doubt("left-open", message, found.cut))
    if found.cut < start:
        message = "this server empties the file, including its RDB part: use another policy"
        judged.doubts.append(Doubt("wiped", message, found.cut))
    return judged


def _preamble(file: DamagedFile, target: Target) -> None:
    """Raise Corrupt if the target does not load the RDB with which a file begins."""
    needs = Needs()
    with _head(file) as (cursor, source):
        walker = Walker(cursor, Plan(), verify=False)
        if source is not None:
            needs.add(envelope_need(source.packing[-1]))
        needs.version(walker.product, walker.version, 0)
        while not walker.done:
            batch = walker.batch()
            needs.records(walker.records)
            needs.keys(None, batch)
            walker.records.clear()
    lacking = blockers(target, needs)
    if lacking:
        message = f"{target} does not load the RDB at its beginning: it lacks {lacking[0]}"
        raise Corrupt(message, offset=0, code="server-refuses")


def _refusal(found: Start, startup: Startup) -> Corrupt:
    offset = startup.resp.start if found.at is None else found.at
    verb = "does not start with this file" if found.certain else "may not start with this file"
    return Corrupt(f"{startup.target} {verb} and does not cut it: {found.why}", offset=offset, code="server-refuses")


# -- keep most ---------------------------------------------------------------------------------------------------------


def keep_most(file: DamagedFile, start: int) -> Judged:
    """Drop only what is damaged. Raises Unsupported (code "not-aof") if nothing looks like a command."""
    target = Target.of_aof(in_parts=True)
    return loads_as_it_is(file, start, target) or keep_readable(file, start)


def keep_readable(file: DamagedFile, start: int) -> Judged:
    """Read the records as the check tool does, which is stricter than a server; see keep_most."""
    keeper = KeepMost(file, start)
    keeper.run()
    judged = Judged(keeper.lost, keeper.doubts, keeper.commands)
    if not start and file.end and not keeper.commands and file.at(0, 1) not in (b"*", b"#"):
        raise Unsupported("not an AOF: nothing in it looks like a command", offset=0, code="not-aof")
    return judged


def loads_as_it_is(file: DamagedFile, start: int, target: Target, *, last: bool = True) -> Judged | None:
    """Return a result that drops nothing if a server loads the file without any message; else None.

    redis-check-aof reports damage in some files that servers load, for example line ends other than CR LF.
    """
    startup = Startup(file.cursor(start), target, last=last)
    for remark in startup.load():
        # A server loads an extra or missing EXEC, but a part of a transaction is missing.
        if remark.severity == "error" or remark.code in _HALVES:
            return None
    if startup.problem is not None or startup.multi is not None or not (startup.commands or start):
        return None
    doubts = []
    resp = Resp(file.cursor(start))
    if resp.scan() == ERROR or resp.multi:
        message = "servers load this file, but redis-check-aof reports damage"
        doubts.append(Doubt("checker-refuses", message, resp.start))
    return Judged(doubts=doubts, commands=startup.commands, loads=True)
