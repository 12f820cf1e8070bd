"""`rdbkit repair`: make a valid AOF or AOF set out of a damaged one."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import click

from rdbkit.checks.remedies import REMEDIES
from rdbkit.cli.options import (
    PATH,
    WHOLE_FILE,
    Examples,
    format_option,
    moment_option,
    open_output,
    path_argument,
    refuse_printed,
    say,
    say_moments,
    status_of,
)
from rdbkit.errors import RdbkitError
from rdbkit.output.progress import Progress
from rdbkit.output.text import encoder, path_text, printable, terminal
from rdbkit.output.units import count, size
from rdbkit.recovery.account import Doubt, Dropped, Repaired, RepairedFile
from rdbkit.recovery.run import repair
from rdbkit.recovery.write import planned
from rdbkit.releases.target import Target

#: What to do next, by code.
_HINTS = {
    "line-ends-lost": "fetch the file again in binary mode",
    "line-ends": "run again without --in-place",
    "nothing-left": "restore another copy",
    "framed": "",
    "damaged-preamble": "take the snapshot from another copy; `rdbkit split` extracts the commands after it",
    "server-refuses": "use another policy: keep-most or fix",
    "missing-file": "restore the file, or remove it from the manifest if it is not needed",
    "not-aof": "check that this is the file you meant",
    "no-timestamps": "use --until-offset or --before instead",
    "bad-manifest": "edit the manifest by hand; it is a text file",
}
#: Maximum number of keys named on a line.
_SHOWN = 5


def _server(ctx: click.Context, param: click.Parameter, value: str | None) -> Target | None:
    try:
        return None if value is None else Target.parse(value)
    except ValueError as error:
        raise click.BadParameter(f"{error}.") from None


@click.command(
    "repair",
    short_help="Make a valid AOF or AOF set out of a damaged one.",
    cls=Examples,
    examples="""
rdbkit repair appendonly.aof --dry-run
rdbkit repair appendonlydir --output repaired
rdbkit repair appendonly.aof --as-fix --in-place
rdbkit repair appendonly.aof --before FLUSHALL
""",
)
@path_argument
@click.option("-o", "--output", metavar="PATH", type=PATH, help="Output file or directory (default: PATH.repaired).")
@click.option(
    "--policy",
    type=click.Choice(["keep-most", "fix", "server"]),
    help="keep-most (default): read on after damage; fix: cut as redis-check-aof --fix; server: cut as a server does.",
)
@click.option("--as-fix", is_flag=True, help="The same as --policy fix.")
@click.option("--in-place", is_flag=True, help="Replace the input; the old file is kept as NAME.bak-<n>.")
@click.option("--force", is_flag=True, help="Overwrite existing files; with --in-place, also a file in use.")
@click.option("--dry-run", is_flag=True, help="Write nothing; only report what would be done.")
@moment_option("--until-time", "Cut at the first newer timestamp (seconds, ms, or an ISO time).")
@click.option(
    "--until-offset", metavar="N", type=click.IntRange(0), help="Cut at this offset, or before a command that spans it."
)
@click.option("--before", metavar="COMMAND", help="Cut before the last such command, e.g. FLUSHALL.")
@click.option("--db", metavar="N", type=click.IntRange(0), help="With --before: only commands in this database.")
@click.option("--target", metavar="SERVER", callback=_server, help="With --policy server: target, such as redis:7.2.6.")
@format_option("table", "json", "jsonl")
@click.option("--progress/--no-progress", default=None, help="Show progress (default: on a terminal).")
@click.option("-q", "--quiet", is_flag=True, help="Suppress messages except errors.")
def command(
    path: str,
    policy: str | None,
    as_fix: bool,
    output_format: str,
    quiet: bool,
    progress: bool | None,
    before: str | None,
    **options: Any,
) -> None:
    """Make a valid AOF out of a damaged one, and report what was kept and what was lost.

    The result is a new file, or a new directory for a set, unless --in-place is given. Dropped damaged bytes are saved
    in a separate file next to it. Line ends converted by a text-mode copy are restored if the lengths prove them.

    Exit status 0: nothing was lost · 5: something was dropped · 1: cannot be repaired, or servers do not load the
    result · 3: not an AOF.
    """
    if as_fix and policy not in (None, "fix"):
        raise click.UsageError(f"--as-fix and --policy {policy} contradict each other.")
    if options["db"] is not None and before is None:
        raise click.UsageError("--db needs --before.")
    words = None if before is None else before.encode("utf-8", "surrogateescape")
    if words is not None and not words.split():
        raise click.UsageError("--before needs a command name.")
    if path == "-":
        raise click.UsageError("repair cannot read standard input: save it to a file first.")
    if options["output"] == "-":
        raise click.UsageError("--output: the result cannot be written to standard output; name a file.")
    say_moments(quiet=quiet)
    output = options["output"]
    with open_output(None, [path]) as out:
        try:
            refuse_printed(planned(output) if output is not None and not options["dry_run"] else [])
            with _watched(False if quiet else progress) as watch:
                named = policy or ("fix" if as_fix else "keep-most")
                account = repair(path, policy=named, before=words, progress=watch, **options)
        except ValueError as error:
            raise click.UsageError(f"{path_text(str(error))}.") from None
        except (RdbkitError, OSError) as error:
            say(_explained(path, error))
            sys.exit(status_of(error))
        out.text(_FORMATS[output_format](account))
        out.finish()
    say(f"{path_text(path)}: {_verdict(account)}", quiet=quiet)
    sys.exit(1 if not account.sound else 0 if account.complete else 5)


@contextmanager
def _watched(enabled: bool | None) -> Iterator[Callable[[int, int], None]]:
    """Return a progress callback; the display starts with the first call, when the total is known."""
    shown: list[Progress] = []

    def watch(done: int, total: int) -> None:
        if not shown:
            shown.append(Progress(total, enabled=enabled).__enter__())
        shown[0].update(done)

    try:
        yield watch
    finally:
        for progress in shown:
            progress.close()


def _explained(path: str, error: RdbkitError | OSError) -> str:
    if isinstance(error, OSError):
        return f"{path_text(str(error.filename or path))}: {error.strerror or error}"
    where = "" if error.offset is None or error.code in WHOLE_FILE else f" (offset {error.offset})"
    hint = _HINTS.get(error.code, REMEDIES.get(error.code, ""))
    return f"{path_text(path)}: {error.message}{where}" + (f". {hint[0].upper()}{hint[1:]}" if hint else "")


def _verdict(account: Repaired) -> str:
    """Return what was lost, where the result is and what to do next."""
    done = "; ".join(filter(None, (_restored(account), _dropped(account))))
    if not account.changed:
        done = "nothing to repair" + (f", copied to {path_text(account.output)}" if account.output else "")
    elif account.dry_run:
        done = f"dry run, nothing written: would be {done}"
    elif account.output is not None:
        done += f"; the result is in {path_text(account.output)}"
    if not account.sound:
        fault = next(fault for file in account.files for fault in file.faults)
        where = "" if fault.offset is None else f" (offset {fault.offset} of the result)"
        what = "the result" if account.changed else "the file"
        return f"{done}. No server starts with {what}: {fault.message}{where}"
    step = _next(account)
    return f"{done}. Next: {step}" if step else done


def _restored(account: Repaired) -> str:
    places = sum(file.restored for file in account.files)
    return f"{_counted(places, 'line end')} restored" if places else ""


def _dropped(account: Repaired) -> str:
    places = sum(file.places for file in account.files)
    if not places:
        return "" if _restored(account) else "nothing dropped"
    lost = sum(file.lost_size for file in account.files)
    commands = sum(file.lost_commands for file in account.files)
    return f"{size(lost)} dropped in {_counted(places, 'place')}, including {_counted(commands, 'command')}"


def _next(account: Repaired) -> str:
    """Return the steps to put the result into use."""
    if not account.changed or account.dry_run or account.output is None:
        return ""
    backups = [file.backup for file in account.files if file.backup]
    if backups:
        old = path_text(backups[0]) if len(backups) == 1 else f"{len(backups)} files, NAME.bak-<n>"
        return f"start the server; {'the old file is' if len(backups) == 1 else 'the old files are'} {old}"
    target = account.files[0].path
    if len(account.files) > 1 or account.files[0].role != "single":
        target = os.path.dirname(target) or os.curdir  # noqa: PTH120  paths stay text here
    result, target = path_text(account.output), path_text(target)
    return f"stop the server, move {target} away, move {result} to {target}, start the server"


def _counted(number: int, what: str) -> str:
    return f"{count(number)} {what}{'' if number == 1 else 's'}"


# -- result ----------------------------------------------------------------------------------------------------------


def _json(account: Repaired) -> str:
    document = {
        "path": path_text(account.path),
        "policy": account.policy,
        "dry_run": account.dry_run,
        "changed": account.changed,
        "complete": account.complete,
        "sound": account.sound,
        "output": _named(account.output),
        "files": [_file(file) for file in account.files],
        "warnings": [_doubt(one) for one in account.doubts],
    }
    return json.dumps(document, ensure_ascii=False, indent=1) + "\n"


def _json_lines(account: Repaired) -> str:
    return "".join(json.dumps(_file(file), ensure_ascii=False) + "\n" for file in account.files)


def _named(path: str | None) -> str | None:
    return None if path is None else path_text(path)


def _file(file: RepairedFile) -> dict[str, Any]:
    return {
        "file": path_text(file.path),
        "role": file.role,
        "size": file.size,
        "kept": file.kept,
        "commands": file.commands,
        "absent": file.absent,
        "output": _named(file.output),
        "backup": _named(file.backup),
        "side": _named(file.side),
        "restored": file.restored,
        "lost": {"places": file.places, "bytes": file.lost_size, "commands": file.lost_commands},
        "dropped": [_range(one) for one in file.dropped],
        "faults": [_doubt(one) for one in file.faults],
        "warnings": [_doubt(one) for one in file.doubts],
    }


def _doubt(one: Doubt) -> dict[str, Any]:
    return {"code": one.code, "offset": one.offset, "message": one.message}


def _range(one: Dropped) -> dict[str, Any]:
    return {
        "offset": one.start,
        "size": one.end - one.start,
        "reason": one.reason,
        "commands": one.commands,
        "damaged": one.damaged,
        "keys": [printable(key) for key in one.keys],
        "more_keys": one.more_keys,
        "message": one.message,
    }


def _lines(account: Repaired) -> str:
    lines = [line for file in account.files for line in _of_file(file)]
    lines += [f"warning {one.code}: {one.message}" for one in account.doubts]
    return "".join(terminal(line) + "\n" for line in lines)


def _of_file(file: RepairedFile) -> Iterator[str]:
    kept = "removed" if file.absent else "unchanged" if not file.changed else f"{size(file.kept)} kept"
    commands = "" if file.commands is None or file.absent else f", {_counted(file.commands, 'command')}"
    yield f"{path_text(file.path)}: {size(file.size)}, {kept}{commands}"
    for one in file.dropped:
        keys = ", ".join(encoder("escape")(key) for key in one.keys[:_SHOWN])
        more = ", …" if len(one.keys) > _SHOWN else ""
        hurt = f" ({count(one.damaged)} damaged)" if one.damaged and one.commands > 1 else ""
        named = _counted(one.commands, "command") + hurt + (f" on {keys}{more}" if keys else "")
        yield f"  dropped {one.reason}: {size(one.end - one.start)} at offset {one.start}, {named}: {one.message}"
    if file.rest.places:
        rest = file.rest
        text = f"{size(rest.size)}, {_counted(rest.commands, 'command')}"
        yield f"  and {_counted(rest.places, 'more place')}: {text}; see the index file next to the result for all"
    if file.restored:
        yield f"  restored {_counted(file.restored, 'line end')}; offsets refer to the restored file"
    faults = {(fault.code, fault.offset) for fault in file.faults}
    for fault in file.faults:
        where = "" if fault.offset is None else f" at offset {fault.offset}"
        yield f"  error {fault.code}{where} in the result: {fault.message}"
    for doubt in file.doubts:
        if (doubt.code, doubt.offset) in faults:
            continue
        where = "" if doubt.offset is None else f" at offset {doubt.offset}"
        yield f"  warning {doubt.code}{where}: {doubt.message}"
    for what, path in (("result", file.output), ("old file", file.backup), ("dropped bytes", file.side)):
        if path is not None:
            yield f"  {what} in {path_text(path)}"


_FORMATS = {"table": _lines, "json": _json, "jsonl": _json_lines}
