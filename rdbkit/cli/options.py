"""Options that several commands share, and the common parts of every command: inputs, output, errors, exit status."""

from __future__ import annotations

import functools
import os
import stat
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import time_ns
from typing import Any, TypeVar

import click

from rdbkit.checks.remedies import REMEDIES
from rdbkit.cli.interrupts import Interrupted, Terminated
from rdbkit.conversion.selection import Selection, window
from rdbkit.errors import LimitExceeded, Passed, RdbkitError, Unsupported
from rdbkit.files import names
from rdbkit.format.spec import TYPES
from rdbkit.output import units
from rdbkit.output.output import Output
from rdbkit.output.output import planned as output_names
from rdbkit.output.progress import Progress, pause
from rdbkit.output.text import path_text, printable, terminal
from rdbkit.rdb.walker import MAX_ITEM, Plan
from rdbkit.releases.settings import Config, canonical, read_config
from rdbkit.releases.target import ALLOCATORS, Target
from rdbkit.snapshot.opening import open as open_snapshot
from rdbkit.snapshot.snapshot import OnDamage, Snapshot
from rdbkit.source import Source

# AOF modules are imported only when needed: most inputs are RDBs, and the import is slower than reading a small file.

#: Product names for output.
PRODUCTS = {"redis": "Redis", "valkey": "Valkey", "keydb": "KeyDB", "dragonfly": "Dragonfly"}

CommandT = TypeVar("CommandT", bound=Callable[..., Any])

# With several inputs, the exit status is the first of these that occurred.
_ORDER = (4, 3, 1, 5, 0)
#: Maximum bytes of a key shown in a message.
_KEY_SHOWN = 100
#: Context key for the parsed values of time options, until they are printed.
_MOMENTS = "rdbkit.moments"
#: Maximum number of damaged values reported per input.
_NAMED = 20
#: Maximum number of files listed in a message.
_FILES = 5
#: Codes of errors about a whole file, whose messages have no offset.
WHOLE_FILE = frozenset(("empty", "missing-extra", "packed", "framed", "not-aof", "nothing-left"))
#: Meaning of a wrong checksum when no other damage was found.
UNTRUSTED = "everything was read, but the contents cannot be trusted"


# -- messages --------------------------------------------------------------------------------------------------------


def say(text: str, *, quiet: bool = False) -> None:
    """Write one line to standard error, safe for a terminal."""
    if not quiet:
        pause()
        # A closed standard error must not lose the result.
        with suppress(OSError):
            click.echo(f"rdbkit: {terminal(text)}", err=True)


def status_of(error: BaseException) -> int:
    """Return the exit status for an error."""
    if isinstance(error, Passed | LimitExceeded) or (isinstance(error, Unsupported) and error.code == "missing-extra"):
        return 4
    if isinstance(error, Unsupported):
        return 3
    if isinstance(error, RdbkitError):
        return 1
    return 4


def explain(file: str, error: BaseException) -> str:
    """Return the one-line message for an error: file, what, offset, db, key, what to do next."""
    if isinstance(error, IsADirectoryError):
        return f"{path_text(file)}: is a directory: name a file in it"
    if isinstance(error, OSError):
        return f"{path_text(file)}: {error.strerror or error}"
    assert isinstance(error, RdbkitError)
    return ". ".join(filter(None, (_placed(file, error), _hint(error))))


def _hint(error: RdbkitError) -> str:
    """Return what to do next, as a sentence."""
    general = "" if isinstance(error, Passed | LimitExceeded | Unsupported) else REMEDIES[""]
    hint = error.hint or REMEDIES.get(error.code, general)
    return hint and hint[0].upper() + hint[1:]


def _placed(file: str, error: RdbkitError) -> str:
    """Return an error's message and location."""
    where = [] if error.offset is None or error.code in WHOLE_FILE else [f"offset {error.offset}"]
    if error.db is not None:
        where.append(f"db {error.db}")
    if error.key is not None:
        where.append(f"key {quoted(error.key)}")
    return f"{path_text(file)}: {error.message}" + (f" ({', '.join(where)})" if where else "")


def quoted(key: bytes) -> str:
    """Return a key for a message in the text form that `get` accepts; long keys are cut to 100 bytes."""
    return f"'{printable(key)}'" if len(key) <= _KEY_SHOWN else f"'{printable(key[:_KEY_SHOWN])}'…"


class CommandRun:
    """Processes one or more inputs: collects exit statuses and reports errors.

    On a terminal, errors are printed at the end, because they would scroll away above a long table.

    There are two kinds of damage (see Snapshot). After damaged values the result is as complete as possible: it is put
    in place and the exit status is 1. After damage that hides the rest of an input the result is `cut`: it is not put
    in place.
    """

    def __init__(self, output: Output, quiet: bool) -> None:
        self.output = output
        self.quiet = quiet
        self.statuses: set[int] = set()
        self.cut = False
        """True if an unknown number of rows may be missing."""
        self._late: list[str] = []
        say_moments(quiet=quiet)

    @contextmanager
    def input(self, file: str) -> Iterator[None]:
        """Process one input; an error becomes a message and a status, and the next input is processed."""
        try:
            yield
        except BrokenPipeError:
            raise
        except (RdbkitError, OSError) as error:
            if isinstance(error, OSError) and error.filename == self.output.name:
                raise
            self.fail(explain(file, error), status_of(error))
        except MemoryError:
            self.fail(f"{path_text(file)}: out of memory", 4)

    @contextmanager
    def watching(self, file: str, snapshot: Snapshot, closing: Callable[[Snapshot], str]) -> Iterator[None]:
        """Read a snapshot, then report its damaged values and too long keys; a wrong checksum does not abort.

        `closing` returns a final line that says what was done with the damaged values.
        """
        try:
            yield
        except RdbkitError as error:
            known = any(error is one for one in snapshot.problems)
            self._name_damage(file, snapshot, closing)
            if known:
                # on_damage="stop": already reported, and what follows was not read.
                self.cut = True
                return
            if not snapshot.untrusted:
                raise
            self.fail(f"{_placed(file, error)}: {UNTRUSTED}. {_hint(error)}", status_of(error), cut=False)
            return
        except GeneratorExit:
            # The caller has read enough.
            self._name_damage(file, snapshot, closing)
            raise
        self._name_damage(file, snapshot, closing)

    def _name_damage(self, file: str, snapshot: Snapshot, closing: Callable[[Snapshot], str]) -> None:
        for error in snapshot.problems[:_NAMED]:
            self.fail(_placed(file, error), status_of(error), cut=False)
        more = snapshot.problem_count - _NAMED
        if more > 0:
            self.fail(f"{path_text(file)}: {more:,} more damaged values; `rdbkit check` lists them", 1, cut=False)
        if snapshot.on_damage == "stop" and snapshot.problems:
            line = "stopped because of --on-damage stop; the rest was not read"
        else:
            line = closing(snapshot)
        if snapshot.problems and line:
            self.fail(f"{path_text(file)}: {line}", 1, cut=False)
        for number, key, command in snapshot.uncertain[:_NAMED]:
            text = printable(key[:_KEY_SHOWN])
            why = f"not known, because of {command.decode('utf-8', 'backslashreplace').upper()}"
            self.fail(f"{path_text(file)}: db {number} key '{text}': {why}: left out", 5, cut=False)
        more = len(snapshot.uncertain) - _NAMED
        if more > 0:
            self.fail(f"{path_text(file)}: {units.plural(more, 'more key')} not known and left out", 5, cut=False)
        for number, command in snapshot.doubts:
            name = command.decode("utf-8", "backslashreplace").upper()
            self.fail(f"{path_text(file)}: db {number}: {name} without keys may have written others", 5, cut=False)
        for long_key in snapshot.long_keys:
            self.fail(explain(file, long_key), 5, cut=False)
        more = snapshot.unkept["key"] - len(snapshot.long_keys)
        if more > 0:
            line = f"{units.plural(more, 'more key')} skipped: longer than --max-item"
            self.fail(f"{path_text(file)}: {line}", 5, cut=False)

    def fail(self, line: str, status: int, *, cut: bool = True) -> None:
        """Record a failure and print it (on a terminal: at the end); `cut`: an unknown number of rows is missing."""
        self.statuses.add(status)
        self.cut |= cut
        if self.output.is_terminal:
            self._late.append(line)
        else:
            say(line)

    def end(self, *, complete: bool = False) -> None:
        """Put the output in place, or name the partial file; exit. `complete`: put it in place despite damage."""
        status = next((code for code in _ORDER if code in self.statuses), 0)
        done = complete or not self.cut
        try:
            self.output.finish() if done else self.output.flush()
        except BrokenPipeError:
            raise
        except OSError as error:
            self.fail(f"{path_text(error.filename or 'output')}: {error.strerror}", 4)
            status, done = 4, False
        for line in self._late:
            say(line)
        if not done:
            say_partial(self.output)
        elif self.output.other_names:
            links = units.plural(self.output.other_names, "other hard link")
            say(f"{path_text(self.output.name)} had {links}, which still have the old contents", quiet=self.quiet)
        sys.exit(status)


def heads_only(snapshot: Snapshot) -> str:
    """Return the closing line about keys with a damaged value head, for commands that list or count keys."""
    if not snapshot.damaged:
        return ""
    keys = units.plural(snapshot.damaged, "key")
    return f"{keys} with a damaged value: encoding, elements and memory are unknown; the keys are still counted"


@contextmanager
def open_output(
    path: str | None, inputs: Sequence[str] = (), *, option: str = "--output", data: bool = False, force: bool = False
) -> Iterator[Output]:
    """Open the output, or exit with 4; on an interrupt or an error, name the partial file.

    `data` and `force` as for Output; a data file gets the mode of the first input. Raises UsageError if the output is
    an input.
    """
    try:
        refuse_inputs([] if path is None else [path], inputs, option=option)
        source = names.status_of(0 if inputs[0] == "-" else inputs[0]) if data else None
        mode_of = source if source is not None and stat.S_ISREG(source.st_mode) else None
        output = Output(path, data=data, force=force, mode_of=mode_of)
    except OSError as error:
        say(f"{path_text(path or 'standard output')}: {error.strerror}")
        sys.exit(4)
    with output:
        try:
            yield output
        except BrokenPipeError:
            if output.name != "standard output":
                say_partial(output)
            raise
        except (Interrupted, KeyboardInterrupt, Terminated, OSError):
            say_partial(output)
            raise


def refuse_inputs(paths: Sequence[str], inputs: Sequence[str], *, option: str = "--output") -> None:
    """Refuse an output path (or its temporary name) that is one of the inputs.

    Also refuse if standard output is an input, because the command would read its own output. Raises UsageError.
    """
    ours = names.status_of(1)
    printed = ("-" in paths or not paths) and ours is not None and stat.S_ISREG(ours.st_mode)
    if not paths and not printed:
        return
    read = [file for one in (*inputs, *_config()) for file in _read_at(one)]
    if printed:
        _refuse_standard_output(read)
    try:
        planned = [name for path in paths for name in output_names("/dev/stdout" if path == "-" else path)]
    except ValueError as error:
        raise click.UsageError(f"{option}: {error}.") from None
    try:
        names.compare(planned, read)
    except names.Clash as clash:
        raise click.UsageError(f"{option}: {path_text(str(clash))}.") from None
    refuse_printed(planned, option=option)


def refuse_printed(planned: Sequence[names.Name], *, option: str = "--output") -> None:
    """Refuse an output file that standard output is redirected to: one would be lost. Raises UsageError."""
    ours = names.status_of(1)
    for name in planned:
        if ours is not None and name.seen is not None and not name.is_special and os.path.samestat(ours, name.seen):
            raise click.UsageError(f"{option}: standard output goes to {path_text(name.path)} already.")


def _config() -> list[str]:
    """Return the redis.conf that this command reads, if any."""
    context = click.get_current_context(silent=True)
    given = context.params.get("config") if context is not None else None
    return [given] if given else []


def _refuse_standard_output(read: Sequence[names.Reserved]) -> None:
    ours = names.status_of(1)
    if ours is None or not stat.S_ISREG(ours.st_mode):
        return
    for file in read:
        status = names.status_of(file)
        if status is not None and os.path.samestat(status, ours):
            shown = "standard input" if file == 0 else path_text(str(file))
            raise click.UsageError(f"standard output is {shown}, which is also an input: write to another file.")


def _read_at(path: str) -> list[names.Reserved]:
    """Return the files that a path refers to: itself, the files in a directory, the files listed in a manifest."""
    if path == "-":
        return [0]
    if not _may_be_several(path):
        return [path]
    from rdbkit.aof.layout import AofSet, DataDir, files_at

    try:
        found = files_at(path)
    except (OSError, RdbkitError):
        return [path, *_all_in(path)]
    sets = (found,) if isinstance(found, AofSet) else found.sets if isinstance(found, DataDir) else ()
    single = (*found.rdbs, *found.aofs) if isinstance(found, DataDir) else ()
    listed = [file.path for one in sets for file in (*one.files, *one.history)]
    # If the manifest cannot be read, any file in the directory may belong to the set.
    listed += [file for one in sets if one.error is not None for file in _all_in(one.directory)]
    return [path, *(file.path for file in single), *listed, *(one.manifest_path or one.directory for one in sets)]


def _may_be_several(path: str) -> bool:
    """Return whether a path is a directory, or a file that may be the manifest of several."""
    seen = names.status_of(path)
    if seen is None or not stat.S_ISREG(seen.st_mode) or path.endswith(".manifest"):
        # Do not open a pipe here: its data can be read only once.
        return seen is not None and not stat.S_ISFIFO(seen.st_mode)
    try:
        with open(path, "rb", buffering=0) as file:
            return file.read(4).startswith((b"file", b"#"))
    except OSError:
        return False


def _all_in(directory: str) -> list[str]:
    """Return the contents of a directory; an empty list if it is not a directory or cannot be read."""
    try:
        return [os.path.join(directory, name) for name in os.listdir(directory or os.curdir)]  # noqa: PTH118, PTH208
    except OSError:
        return []


def say_partial(output: Output) -> None:
    """Abandon an output, and name the partial file if anything was written."""
    partial = output.abandon()
    if partial:
        say(f"partial output is in {path_text(partial)}")


# -- reading ---------------------------------------------------------------------------------------------------------


ALL = Selection()


@dataclass(frozen=True, slots=True)
class Reading:
    """How inputs are read: target server, selection of keys, verification."""

    target: Target | None = None
    settings: dict[str, str] = field(default_factory=dict)
    allocator: str = "jemalloc"
    now: int | None = None
    verify: bool = True
    progress: bool | None = None
    quiet: bool = False
    selection: Selection = ALL
    min_memory: int | None = None
    max_item: int = MAX_ITEM
    on_damage: OnDamage = "skip"
    appendonly: bool | None = None
    renamed: dict[bytes, bytes] = field(default_factory=dict)
    lenient: bool = False
    until_time: int | None = None
    until_offset: int | None = None
    before: bytes | None = None
    before_db: int | None = None
    source_given: bool = False

    def open(self, file: str, plan: Plan) -> Snapshot:
        """Open an input with this plan and selection; an AOF is replayed. Raises UsageError."""
        self._say_source(file)
        plan = replace(plan, max_item=self.max_item)
        # The reference time for expiries may come from the file itself, so the selection is added after opening.
        with self._checked(file):
            snapshot = open_snapshot(
                file,
                target=self.target,
                settings=self.settings,
                allocator=self.allocator,
                now=self.now,
                plan=plan,
                verify=self.verify,
                on_damage=self.on_damage,
                appendonly=self.appendonly,
                until_time=self.until_time,
                until_offset=self.until_offset,
                before=self.before,
                before_db=self.before_db,
                renamed=self.renamed,
                lenient=self.lenient,
                progress=self._replaying,
            )
        self._say_replay(snapshot)
        if snapshot.target.now is None:
            snapshot.target = replace(snapshot.target, now=time_ns() // 1_000_000)
            snapshot.now_origin = "the current time; the file has no timestamp"
        if self.selection:
            snapshot.select(self.selection.applied(plan, snapshot.target.now or 0))
        if snapshot.aux.get("aof-base") == b"1" and snapshot.kind == "rdb":
            self.say_base(file)
        return snapshot

    @contextmanager
    def _checked(self, file: str) -> Iterator[None]:
        """Turn what makes an option impossible for a file into a usage error."""
        given = [("--until-time", self.until_time), ("--until-offset", self.until_offset), ("--before", self.before)]
        names = "/".join(name for name, one in given if one is not None)
        try:
            yield
        except Unsupported as error:
            if error.code != "no-timestamps":
                raise
            hint = "use --before, or --until-offset with a single file"
            raise click.UsageError(f"--until-time: {path_text(file)}: {error.message}; {hint}.") from None
        except ValueError as error:
            if not names:
                raise
            raise click.UsageError(f"{names}: {path_text(file)}: {error}.") from None

    def _replaying(self, total: int | None) -> Progress:
        return Progress(total, enabled=self.shows_progress)

    def say_base(self, file: str) -> None:
        """Say that a file is only the base of a multi-part AOF."""
        what = "base file of a multi-part AOF; data in the other files is not included"
        say(f"{path_text(file)}: {what}", quiet=self.quiet)

    def _say_source(self, path: str) -> None:
        """Say which files of a data directory are read, and why."""
        from rdbkit.aof.layout import AofSet, DataDir, files_at
        from rdbkit.snapshot.opening import files_of

        found = files_at(path)
        if isinstance(found, AofSet) and self.appendonly is False and self.source_given:
            raise click.UsageError(f"--source rdb: {path_text(path)} is an AOF set; name the data directory above it.")
        if isinstance(found, DataDir):
            try:
                files = files_of(found, appendonly=self.appendonly)
            except Unsupported as error:
                error.hint = error.hint or _choices(found, self.appendonly)
                raise
            say(f"{path_text(path)}: reading {_listed(path, files)}{self._setting(path, found)}", quiet=self.quiet)

    def _setting(self, path: str, found: Any) -> str:
        """Return why these files of a data directory are read, and how the others are."""
        from rdbkit.snapshot.opening import files_of

        aofs = bool(found.sets or found.aofs)
        if len(found.sets) + len(found.aofs) + len(found.rdbs) == 1:
            return ", the only data in it"
        if not (aofs and found.rdbs):
            return ""
        reads = aofs if self.appendonly is None else self.appendonly
        try:
            other = _listed(path, files_of(found, appendonly=not reads))
        except RdbkitError:
            other = "the other"
        what = "rdb" if reads else "aof"
        return f", as a server does with appendonly {'yes' if reads else 'no'}; --source {what} reads {other}"

    def _say_replay(self, snapshot: Snapshot) -> None:
        """Say at which point a replay ended, and what it assumed and ignored."""
        from rdbkit.snapshot.replayed import ReplayedSnapshot

        if not isinstance(snapshot, ReplayedSnapshot):
            return
        found, name = snapshot.replay, path_text(snapshot.name)
        self._say_end(snapshot)
        if found.loader.relative:
            at = units.time(found.loader.now or 0)
            times = units.plural(found.loader.relative, "relative expiry time")
            say(f"{name}: {times} counted from {at} ({snapshot.now_origin}; see --now)", quiet=self.quiet)
        for file, offset, message in found.errors[:_NAMED]:
            say(f"{path_text(file)}: {message}: ignored, as servers do (offset {offset})", quiet=self.quiet)
        more = found.failed - min(len(found.errors), _NAMED)
        if more > 0:
            say(f"{name}: {units.plural(more, 'more command')} failed and were ignored", quiet=self.quiet)
        for file in found.changed:
            say(f"{path_text(file)}: the file changed while it was read; it is being written", quiet=self.quiet)

    def _say_end(self, snapshot: Any) -> None:
        """Say where a replay ended as requested."""
        if self.until_time is None and self.until_offset is None and self.before is None:
            return
        name, end = path_text(snapshot.name), snapshot.replay.end
        if end is None:
            say(f"{name}: everything in it is before that point", quiet=self.quiet)
            return
        file, offset = end
        what = "" if self.before is None else f" before {printable(self.before).upper()}"
        where = "" if file == snapshot.name else f" of {path_text(Path(file).name)}"
        say(f"{name}: the state{what} at offset {offset:,}{where}", quiet=self.quiet)

    def preamble(self, source: Source, in_set: bool) -> Snapshot:
        """Return the RDB that a source holds or begins with."""
        from rdbkit.snapshot.preamble import open_preamble

        return open_preamble(
            source,
            in_set=in_set,
            target=self.target,
            settings=self.settings,
            allocator=self.allocator,
            now=self.now,
            plan=Plan(max_item=self.max_item),
            verify=self.verify,
            on_damage=self.on_damage,
        )

    @property
    def shows_progress(self) -> bool | None:
        """The `enabled` argument for Progress; None: only on a terminal."""
        return False if self.quiet else self.progress

    def say_target(self, snapshot: Snapshot) -> None:
        """Say which target server is assumed."""
        name = path_text(snapshot.name)
        say(f"{name}: target {snapshot.target} ({snapshot.target.origin})", quiet=self.quiet)
        if any("expired" in text or ":" in text for text in self.selection.ttl):
            at = units.time(snapshot.target.now or 0)
            say(f"{name}: expiry is relative to {at} ({snapshot.now_origin})", quiet=self.quiet)

    def say_memory(self, snapshot: Snapshot) -> None:
        """Say why memory is unknown, if it is unknown for all keys."""
        if snapshot.model().prices is None:
            why = (
                f"{snapshot.target} is older than 4.0 and has no MEMORY USAGE, so memory is null; "
                "select another server with --target"
            )
            say(f"{path_text(snapshot.name)}: {why}", quiet=self.quiet)

    def say_trailing(self, snapshot: Snapshot) -> None:
        """After a file was read to its end, report trailing bytes and changes during reading."""
        name, tail = path_text(snapshot.name), snapshot.tail
        if tail is not None and tail.kind != "replication mark":
            count = f"{'at least ' if tail.cut else ''}{units.count(tail.size)} bytes"
            text = f"{count} ({tail.kind}) follow the end at offset {tail.offset}"
            say(f"{name}: {text}; ignored, as servers ignore them", quiet=self.quiet)
        if snapshot.source.changed():
            say(f"{name}: the file changed while it was read; it is being written", quiet=self.quiet)

    def heavy(self, memory: int | None) -> bool:
        """Return whether --min-memory accepts a key; a key of unknown memory is not accepted."""
        return self.min_memory is None or (memory is not None and memory >= self.min_memory)

    def progress_of(self, snapshot: Snapshot) -> Progress:
        """Return a progress display for a snapshot."""
        total = snapshot.source.size if snapshot.source.size >= 0 else None
        return Progress(total, enabled=self.shows_progress)


def _choices(found: Any, appendonly: bool | None) -> str:
    """Return which files of a data directory can be named, if it does not say which one a server loads."""
    rdbs = [file.path for file in found.rdbs]
    aofs = [one.manifest_path or one.directory for one in found.sets] or [file.path for file in found.aofs]
    names = rdbs if appendonly is False or not aofs else aofs
    shown = ", ".join(path_text(name) for name in names[:_FILES]) + (", …" if len(names) > _FILES else "")
    return f"name one of {shown}" if len(names) > 1 else ""


def _listed(path: str, files: Sequence[Any]) -> str:
    """Return the files that a server loads from a data directory: a file, or the directory of a set."""
    if files[0].role == "single":
        return path_text(Path(files[0].path).name)
    home = os.path.dirname(files[-1].path)  # noqa: PTH120  paths stay text here
    name = home.removeprefix(path.rstrip(os.sep) + os.sep)
    return f"{path_text(name or home)} ({units.plural(len(files), 'file')})"


def may_stop(snapshot: Snapshot) -> bool:
    """Return whether a command that has its result may skip the rest of the file.

    False if an error is known already that is raised only when reading continues: a wrong checksum, a damaged AOF.
    """
    return snapshot.pending is None and snapshot.checksum != "wrong"


def _target(ctx: click.Context, param: click.Parameter, value: str | None) -> Target | None:
    return None if value is None else _usage(Target.parse, value)


def _usage(read: Callable[..., Any], *args: Any, option: str | None = None) -> Any:
    """Parse an option's value; a ValueError becomes a usage error."""
    try:
        return read(*args)
    except ValueError as error:
        raise click.BadParameter(f"{error}.", param_hint=option) from None


def _moment(ctx: click.Context, param: click.Parameter, value: str | None) -> int | None:
    if value is None:
        return None
    moment: int = _usage(units.parse_time, value)
    ctx.meta.setdefault(_MOMENTS, {})[param.opts[-1]] = moment
    return moment


def say_moments(*, quiet: bool = False) -> None:
    """Print the time that each time option of this command was parsed as."""
    for option, moment in click.get_current_context().meta.pop(_MOMENTS, {}).items():
        say(f"{option} is {units.time(moment)}", quiet=quiet)


def _config_of(path: str | None) -> Config:
    """Return what a redis.conf says; nothing without one."""
    if path is None:
        return Config({}, [], {})
    try:
        found: Config = _usage(read_config, Path(path).read_bytes(), option="--config")
    except OSError as error:
        say(f"{path_text(path)}: {error.strerror}")
        sys.exit(4)
    for include in found.includes:
        say(f"{path_text(path)}: include {include} is not followed")
    return found


def _settings(config: Config, pairs: tuple[str, ...]) -> dict[str, str]:
    settings = dict(config.settings)
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals:
            raise click.BadParameter(f"{pair!r} is not NAME=VALUE.", param_hint="--set")
        name = _usage(canonical, name, option="--set")
        # If a setting is given several times, the last one wins, as in redis.conf.
        settings[name] = text
    if settings:
        # Check names and values before any file is opened.
        _usage(Target.parse("redis:8.6").with_settings, settings, option="--set" if pairs else "--config")
    return settings


def raw_text(text: str) -> bytes:
    """Return an argument's raw bytes as the shell passed them."""
    return text.encode("utf-8", "surrogateescape")


def _selection(**texts: Any) -> Selection:
    for text in texts["ttl"]:
        _usage(window, text, 0, option="--ttl")
    chosen = Selection(
        texts["db"],
        texts["type"],
        tuple(map(raw_text, texts["match"])),
        tuple(map(raw_text, texts["regex"])),
        tuple(map(raw_text, texts["exclude"])),
        texts["ttl"],
    )
    _usage(chosen.applied, Plan(), 0, option="--regex")
    return chosen


def _size(ctx: click.Context, param: click.Parameter, value: str | None) -> int | None:
    return None if value is None else _usage(units.parse_size, value)


#: Paths are checked when they are opened; the type enables shell completion.
PATH = click.Path(readable=False)

_TARGET_OPTIONS = (
    click.option(
        "--target", metavar="SERVER", callback=_target, help="Target server, such as redis:7.2.6 or valkey:9.1.2."
    ),
    click.option(
        "--set", "pairs", metavar="NAME=VALUE", multiple=True, help="A server setting, as in redis.conf; repeatable."
    ),
    click.option(
        "--config", metavar="FILE", type=PATH, help="Read server settings, and rename-command, from a redis.conf."
    ),
)
_ALLOCATOR_OPTION = click.option(
    "--allocator", type=click.Choice(ALLOCATORS), default="jemalloc", help="The server's allocator."
)
_NOW_OPTION = click.option(
    "--now", metavar="TIME", callback=_moment, help="Reference time for expiry (default: the file's time)."
)
_STATE_OPTIONS = (
    click.option(
        "--source",
        type=click.Choice(["aof", "rdb"]),
        help="Of a data directory: read its AOF or its RDB (default: the AOF if there is one).",
    ),
    click.option(
        "--before", metavar="COMMAND", help="Of an AOF: the state before the last such command, e.g. FLUSHALL."
    ),
    click.option(
        "--until-time",
        metavar="TIME",
        callback=_moment,
        help="Of an AOF: the state at this time, by its timestamps.",
    ),
    click.option(
        "--until-offset", metavar="N", type=click.IntRange(0), help="Of a single AOF: the state at this offset."
    ),
    click.option("--lenient", is_flag=True, help="Of an AOF: leave out the keys of unknown commands, and go on."),
)
_SELECTION_OPTIONS = (
    click.option("--db", metavar="N", type=click.IntRange(0), multiple=True, help="Only this database; repeatable."),
    click.option("--type", type=click.Choice(TYPES), multiple=True, help="Only this type; repeatable."),
    click.option(
        "--match", metavar="GLOB", multiple=True, help="Only keys matching this glob, as in KEYS; repeatable."
    ),
    click.option("--regex", metavar="RE", multiple=True, help="Or keys matching this regular expression; repeatable."),
    click.option("--exclude", metavar="GLOB", multiple=True, help="Skip keys matching this glob; repeatable."),
    click.option("--ttl", metavar="TTL", multiple=True, help="none, any, expired, under:7d or over:30d; repeatable."),
    click.option("--min-memory", metavar="SIZE", callback=_size, help="Only keys with at least this much memory: 1MB."),
)
_DAMAGE_OPTION = click.option(
    "--on-damage",
    type=click.Choice(["skip", "stop"]),
    default="skip",
    help="At a damaged value: continue with the next key (default), or stop.",
)
_READING_OPTIONS = (
    click.option("--no-checksum", is_flag=True, help="Do not verify the checksum."),
    click.option(
        "--max-item",
        metavar="SIZE",
        callback=_size,
        default="4MB",
        show_default=True,
        help="Skip and report longer keys.",
    ),
    click.option("--progress/--no-progress", default=None, help="Show progress (default: on a terminal)."),
    click.option("-q", "--quiet", is_flag=True, help="Suppress messages except errors."),
)


def _with(options: tuple[Any, ...], command: CommandT) -> CommandT:
    for option in reversed(options):
        command = option(command)
    return command


def reading_options(
    *,
    select: bool = False,
    target: bool = True,
    memory: bool = True,
    now: bool = True,
    damage: bool = False,
    state: bool = False,
) -> Callable[[CommandT], CommandT]:
    """Add the options of Reading; the command receives them as one object, `reading`.

    `state`: those of a command that shows what a server would hold. It may have an option --db of its own.
    """

    def decorate(command: CommandT) -> CommandT:
        @functools.wraps(command)
        def wrapped(**options: Any) -> Any:
            reading = _gather(options, select, target)
            return command(reading=reading, **options)

        shared = (_SELECTION_OPTIONS if select else ()) + (_TARGET_OPTIONS if target else ())
        shared += (_ALLOCATOR_OPTION,) if target and memory else ()
        shared += (_NOW_OPTION,) if target and now else ()
        shared += _STATE_OPTIONS if state else ()
        shared += ((_DAMAGE_OPTION,) if damage else ()) + _READING_OPTIONS
        return _with(shared, wrapped)  # type: ignore[return-value]

    return decorate


def _gather(options: dict[str, Any], select: bool, target: bool) -> Reading:
    names = ("db", "type", "match", "regex", "exclude", "ttl")
    dbs = options["db"] if isinstance(options.get("db"), tuple) else (options.get("db"),)
    selection = _selection(**{name: options.pop(name) for name in names}) if select else ALL
    aimed: dict[str, Any] = {"min_memory": options.pop("min_memory")} if select else {}
    if target:
        config = _config_of(options.pop("config"))
        aimed["settings"] = _settings(config, options.pop("pairs"))
        aimed |= {name: options.pop(name) for name in ("target", "allocator", "now") if name in options}
        aimed |= {"renamed": config.renamed, "appendonly": config.appendonly}
    if "lenient" in options:
        aimed |= _state(options, dbs)
    if "on_damage" in options:
        aimed["on_damage"] = options.pop("on_damage")
    return Reading(
        verify=not options.pop("no_checksum"),
        max_item=options.pop("max_item"),
        progress=options.pop("progress"),
        quiet=options.pop("quiet"),
        selection=selection,
        **aimed,
    )


def _state(options: dict[str, Any], dbs: tuple[int | None, ...]) -> dict[str, Any]:
    """Return the fields of Reading that are about an AOF."""
    found: dict[str, Any] = {name: options.pop(name) for name in ("lenient", "until_time", "until_offset")}
    source, before = options.pop("source"), options.pop("before")
    if source is not None:
        found |= {"appendonly": source == "aof", "source_given": True}
    if before is not None:
        if not before.split():
            raise click.UsageError("--before needs a command name.")
        # With one database, the command is one that acts on it.
        found |= {"before": raw_text(before), "before_db": dbs[0] if len(dbs) == 1 else None}
    return found


# -- output ----------------------------------------------------------------------------------------------------------

paths_argument = click.argument("paths", metavar="PATH...", nargs=-1, required=True, type=PATH)
path_argument = click.argument("path", metavar="PATH", type=PATH)
output_option = click.option("-o", "--output", metavar="FILE", type=PATH, help="Write to FILE (atomically).")


def moment_option(name: str, text: str) -> Callable[[CommandT], CommandT]:
    """Add an option that takes a time (units.parse_time); the command calls `say_moments`."""
    return click.option(name, metavar="TIME", callback=_moment, help=text)


bytes_option = click.option(
    "--bytes",
    "form",
    type=click.Choice(["escape", "base64", "hex"]),
    default="escape",
    help="Text form of keys and values (default: text, other bytes as \\xHH).",
)


def format_option(*formats: str) -> Callable[[CommandT], CommandT]:
    """Add -f/--format; the first format is the default."""
    return click.option(
        "-f",
        "--format",
        "output_format",
        type=click.Choice(formats),
        default=formats[0],
        help=f"Default: {formats[0]}.",
    )


class Examples(click.Command):
    """A command whose help shows examples before options."""

    def __init__(self, *args: Any, examples: str = "", **options: Any) -> None:
        super().__init__(*args, **options)
        self.examples = examples

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the help: purpose, examples, usage, options."""
        self.format_help_text(ctx, formatter)
        formatter.write("\nExamples:\n")
        formatter.write("".join(f"  {line}\n" for line in self.examples.strip().splitlines()))
        formatter.write("\n")
        self.format_usage(ctx, formatter)
        self.format_options(ctx, formatter)
