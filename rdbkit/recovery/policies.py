"""What of one file is to be kept: three policies, each a function from a file to the ranges that it gives up.

    fix         exactly what redis-check-aof --fix leaves: all before the first error, open transactions cut off
    server      what a server leaves when it cuts a torn file at start; what it refuses to load is refused here too
    keep-most   all but what is damaged: torn tails go as with `fix`, behind damage it reads on (damage.py)

The result is the file less the ranges: nothing is ever written that the file did not hold. An RDB preamble is kept as
it is; one that is damaged is for nobody here to mend.

Sources: recorded starts of servers (where one cuts, by version) and runs of the check tool (where it cuts).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from rdbkit.aof.reader import skip_preamble
from rdbkit.aof.resp import END, ERROR, Resp
from rdbkit.aof.startup import Start, Startup
from rdbkit.errors import Corrupt, RdbkitError, Unsupported
from rdbkit.recovery.account import Doubt
from rdbkit.recovery.file import DamagedFile
from rdbkit.recovery.keep_most import KeepMost
from rdbkit.recovery.ranges import Lost, Ranges
from rdbkit.releases.target import Target
from rdbkit.wire import crc64

POLICIES = ("keep-most", "fix", "server")
_HALVES = ("nested-multi", "exec-without-multi")


@dataclass(slots=True)
class Judged:
    """What a policy came to: `lost` ascending and apart from each other, `commands` kept where they were counted."""

    lost: Ranges = field(default_factory=Ranges)
    doubts: list[Doubt] = field(default_factory=list)
    commands: int | None = None
    loads: bool = False
    """Whether it is known that a server loads what is left."""


def start_of(file: DamagedFile, *, as_tool: bool = False, increment: bool = False) -> int:
    """Return where the commands of a file begin: behind its RDB part, which is verified.

    `as_tool`: the check tool takes fewer than eight bytes for no RDB. Raises Corrupt (code "damaged-preamble"), and
    Unsupported where it is of a newer format.
    """
    head = file.at(0, 8)
    if not head.startswith((b"REDIS", b"VALKEY")) or (as_tool and len(head) < 8):
        return 0
    if as_tool and increment:
        raise Unsupported(
            "an increment that holds an RDB: redis-check-aof --fix would empty it; servers load it as it is",
            offset=0,
            code="increment-is-rdb",
        )
    cursor = file.cursor(0)
    cursor.update = crc64.update()
    try:
        skip_preamble(cursor)
    except Unsupported:
        raise
    except RdbkitError as error:
        raise Corrupt(
            f"the RDB part is damaged, and no repair of commands mends it: {error.message}",
            offset=error.offset,
            code="damaged-preamble",
        ) from None
    return cursor.tell()


# -- fix ---------------------------------------------------------------------------------------------------------------


def fix(file: DamagedFile, start: int) -> Judged:
    """Give up all from the first error, or from the MULTI that is open there."""
    resp = Resp(file.cursor(start))
    status = resp.scan()
    good = resp.good
    if status == END and not resp.multi:
        return Judged()
    if good >= file.end:
        return Judged()
    return Judged(Ranges([Lost(good, file.end, reason_of(resp))]))


def reason_of(resp: Resp) -> str:
    """Name what ended the reading."""
    if resp.problem is None:
        return "open-transaction"
    what = resp.problem[0]
    if what in ("eof", "bytes", "short"):
        return "torn"
    return "stray-exec" if what == "exec" else "transaction" if what == "multi" else "damaged"


# -- server ------------------------------------------------------------------------------------------------------------


def server(file: DamagedFile, start: int, target: Target, *, last: bool = True) -> Judged:
    """Give up what a server of this version cuts off at start (with aof-load-truncated, which is its default).

    Raises Corrupt (code "server-refuses") where it does not start, or where it is not certain that it does.
    """
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
        message = "a transaction stays open: what is written after it is lost at the next start"
        judged.doubts.append(Doubt("left-open", message, found.cut))
    if found.cut < start:
        message = "this server empties the file, its RDB part too: take another policy"
        judged.doubts.append(Doubt("wiped", message, found.cut))
    return judged


def _refusal(found: Start, startup: Startup) -> Corrupt:
    offset = startup.resp.start if found.at is None else found.at
    verb = "does not start with this file" if found.certain else "may not start with this file"
    return Corrupt(f"{startup.target} {verb}, and cuts nothing: {found.why}", offset=offset, code="server-refuses")


# -- keep most ---------------------------------------------------------------------------------------------------------


def keep_most(file: DamagedFile, start: int) -> Judged:
    """Give up no more than what is damaged. Raises Unsupported (code "not-aof") where nothing looks like commands."""
    target = Target.of_aof(manifest=True)
    return loads_as_it_is(file, start, target) or keep_readable(file, start)


def keep_readable(file: DamagedFile, start: int) -> Judged:
    """Follow the records as the check tool reads them, which is stricter than a server; see keep_most."""
    keeper = KeepMost(file, start)
    keeper.run()
    judged = Judged(keeper.lost, keeper.doubts, keeper.commands)
    if not start and file.end and not keeper.commands and file.at(0, 1) not in (b"*", b"#"):
        raise Unsupported("no AOF: nothing in it looks like a command", offset=0, code="not-aof")
    return judged


def loads_as_it_is(file: DamagedFile, start: int, target: Target, *, last: bool = True) -> Judged | None:
    """Return that nothing is given up of a file that a server loads without a word; None for any other.

    Some of what servers load redis-check-aof calls damaged: line ends that are no CR LF, for one.
    """
    startup = Startup(file.cursor(start), target, last=last)
    for remark in startup.load():
        # An EXEC too many or too few is loaded, and still means that a part of a transaction is gone.
        if remark.severity == "error" or remark.code in _HALVES:
            return None
    if startup.problem is not None or startup.multi is not None or not (startup.commands or start):
        return None
    doubts = []
    resp = Resp(file.cursor(start))
    if resp.scan() == ERROR or resp.multi:
        message = "servers load this as it is; redis-check-aof calls it damaged"
        doubts.append(Doubt("checker-refuses", message, resp.start))
    return Judged(doubts=doubts, commands=startup.commands, loads=True)
