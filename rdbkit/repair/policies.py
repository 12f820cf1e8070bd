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

from rdbkit.aof.loading import Loading, Ways, annotated
from rdbkit.aof.reader import skip_preamble
from rdbkit.aof.resp import END, ERROR, LOADER, OLD_LOADER_LINE, RECORD, Item, Resp
from rdbkit.errors import Corrupt, RdbkitError, Unsupported
from rdbkit.repair.account import Doubt
from rdbkit.repair.damage import BAD, KEEP, UNKNOWN, judge
from rdbkit.repair.file import File
from rdbkit.repair.keep import KeepMost
from rdbkit.repair.ranges import Lost, Ranges
from rdbkit.source import open_source
from rdbkit.target import Target
from rdbkit.wire import crc64

POLICIES = ("keep-most", "fix", "server")
_BATCH = 512
_HALVES = ("nested-multi", "exec-without-multi")
#: A server that is to read a value of so many bytes does not get the memory, and crashes.
_TOO_LONG = 1 << 47
_SETTLED = (4, 0)


@dataclass(slots=True)
class Judged:
    """What a policy came to: `lost` ascending and apart from each other, `commands` kept where they were counted."""

    lost: Ranges = field(default_factory=Ranges)
    doubts: list[Doubt] = field(default_factory=list)
    commands: int | None = None
    loads: bool = False
    """Whether it is known that a server loads what is left."""


def start_of(file: File, *, as_tool: bool = False, increment: bool = False) -> int:
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


def fix(file: File, start: int) -> Judged:
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


def server(file: File, start: int, target: Target) -> Judged:
    """Give up what a server of this version cuts off at start (with aof-load-truncated, which is its default).

    Raises Corrupt (code "server-refuses") for what it exits at, Unsupported for versions whose ways are not known.
    """
    if target.origin != "given" and target.product == "redis" and _has_annotation(file, start):
        target = annotated(target)
    version = target.version[:2]
    if target.product == "redis" and version < _SETTLED:
        raise Unsupported(f"where {target} cuts is not known: name 4.0 or newer", code="unknown-target")
    ways = Ways.of(target)
    old = not ways.annotations
    loader = _Loader(start, careful=ways.careful, old=old)
    resp = Resp(file.cursor(start), LOADER, OLD_LOADER_LINE if old else 0)
    status = RECORD
    while status == RECORD:
        items: list[Item] = []
        status = resp.batch(_BATCH, KEEP, items)
        for item in items:
            loader.take(item)
    if status == ERROR:
        assert resp.problem is not None
        if resp.problem[0] not in ("short", "eof"):
            raise _refusal("bad file format", resp.problem[1])
        if resp.problem[2] > _TOO_LONG:
            raise _refusal("a value longer than any memory", resp.start)
        return loader.cut(file, torn=True)
    return loader.cut(file, torn=False) if loader.multi else Judged(commands=loader.commands)


def _has_annotation(file: File, start: int) -> bool:
    """Return whether a line that begins with # is among the records."""
    resp = Resp(file.cursor(start), LOADER)
    status = RECORD
    while status == RECORD:
        items: list[Item] = []
        status = resp.batch(_BATCH, 0, items)
        if any(isinstance(args, bytes) for _, _, args, _ in items):
            return True
    return False


class _Loader:
    """Follows where a server would cut: `valid` is the end of the last command, `before` what MULTI started at."""

    def __init__(self, start: int, *, careful: bool, old: bool) -> None:
        # Servers do not count the preamble as loaded before a first command is.
        self.valid = start if careful else 0
        self.before = self.valid
        self.multi = False
        self.discards = False
        self.careful = careful
        self.old = old
        self.start = start
        self.commands = 0

    def take(self, item: Item) -> None:
        """Note a record or an annotation."""
        offset, end, args, _ = item
        if not isinstance(args, list):
            if self.old:
                raise _refusal("an annotation, which servers before 7.0 do not know", offset)
            return
        if judge(args) in (BAD, UNKNOWN):
            self._unknown(args, offset)
        name = args[0].lower() if len(args[0]) < 8 else b""
        if name == b"multi":
            self.multi, self.before = True, self.valid
        elif name == b"discard":
            # While a file is loaded it is queued, and leaves the transaction open.
            self.discards = self.multi
        elif name == b"exec":
            if self.discards:
                raise _refusal("DISCARD inside of a transaction makes it crash", offset)
            self.multi = False
        self.valid = end
        self.commands += 1

    @staticmethod
    def _unknown(args: list[bytes], offset: int) -> None:
        # A name with a dot is a module's: whoever wrote the file had it.
        if b"." not in args[0]:
            name = args[0][:KEEP].decode("utf-8", "backslashreplace")
            raise _refusal(f"{name!r} is no command that it knows, or has too few arguments", offset)

    def cut(self, file: File, *, torn: bool) -> Judged:
        """Give up what is behind the point of the cut."""
        whole = not torn or self.careful
        at = self.before if self.multi and whole else self.valid
        judged = Judged(commands=self.commands)
        if at < file.end:
            reason = "wiped" if at < self.start else "torn" if torn else "open-transaction"
            judged.lost.add(Lost(at, file.end, reason))
        if self.multi and not whole:
            judged.doubts.append(
                Doubt("left-open", "a transaction stays open: what is written behind it is lost at the next start", at)
            )
        if at < self.start:
            judged.doubts.append(
                Doubt("wiped", "this server empties the file, its RDB part too: take another policy", at)
            )
        return judged


def _refusal(what: str, offset: int) -> Corrupt:
    return Corrupt(f"a server refuses to start here, and cuts nothing: {what}", offset=offset, code="server-refuses")


# -- keep most ---------------------------------------------------------------------------------------------------------


def keep_most(file: File, start: int) -> Judged:
    """Give up no more than what is damaged. Raises Unsupported (code "not-aof") where nothing looks like commands."""
    target = Target.of_aof(manifest=True)
    return loads_as_it_is(file, start, target) or keep_readable(file, start)


def keep_readable(file: File, start: int) -> Judged:
    """Follow the records as the check tool reads them, which is stricter than a server; see keep_most."""
    keeper = KeepMost(file, start)
    keeper.run()
    judged = Judged(keeper.lost, keeper.doubts, keeper.commands)
    if not start and file.end and not keeper.commands and file.at(0, 1) not in (b"*", b"#"):
        raise Unsupported("no AOF: nothing in it looks like a command", offset=0, code="not-aof")
    return judged


def loads_as_it_is(file: File, start: int, target: Target, *, last: bool = True) -> Judged | None:
    """Return that nothing is given up of a file that a server loads without a word; None for any other.

    Some of what servers load redis-check-aof calls damaged: line ends that are no CR LF, for one.
    """
    with open_source(b"") as nothing:
        loading = Loading(nothing, file.cursor(start), target, last=last)
    for finding in loading.load():
        # An EXEC too many or too few is loaded, and still means that a part of a transaction is gone.
        if finding.severity == "error" or finding.code in _HALVES:
            return None
    if loading.problem is not None or loading.multi is not None or not (loading.commands or start):
        return None
    doubts = []
    resp = Resp(file.cursor(start))
    if resp.scan() == ERROR or resp.multi:
        message = "servers load this as it is; redis-check-aof calls it damaged"
        doubts.append(Doubt("checker-refuses", message, resp.start))
    return Judged(doubts=doubts, commands=loading.commands, loads=True)
