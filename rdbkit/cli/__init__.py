"""The command line: each command parses options, calls the library and prints the result.

Data goes to standard output, messages go to standard error. Uncaught errors are mapped to exit statuses here.
"""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NoReturn

import click

from rdbkit.cli import interrupts
from rdbkit.cli.interrupts import Interrupted, Terminated
from rdbkit.output.text import path_text, terminal

#: Command names; each is a module under rdbkit.cli, imported only when the command is used.
COMMANDS = (
    *("info", "check", "compat", "report", "prefixes", "keys", "get", "export"),
    *("commands", "split", "repair", "check-aof", "check-rdb"),
)

EPILOG = """
\b
Examples:
  rdbkit info dump.rdb                 identify the file
  rdbkit check dump.rdb                check it; see the exit status
  rdbkit report dump.rdb               memory by type, prefix and key
  rdbkit keys dump.rdb --match 'user:*' --sort size --limit 20
  rdbkit get dump.rdb user:1
  rdbkit export dump.rdb > dump.jsonl
  zcat dump.rdb.gz | rdbkit keys - -f csv
"""


class ReaderGone(BaseException):
    """The reader of our output is gone. Not an OSError, because click would turn that into exit status 1."""


class CommandGroup(click.Group):
    """The command group: loads commands by name, and detects a file name given instead of a command."""

    def make_context(self, *args: Any, **extra: Any) -> click.Context:
        """Parse the arguments; --help and --version print here."""
        try:
            return super().make_context(*args, **extra)
        except BrokenPipeError:
            raise ReaderGone from None

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            raise ReaderGone from None

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names, in the order of the help."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"rdbkit.cli.{cmd_name.replace('-', '_')}").command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command named by the first argument, or suggest one."""
        name = args[0]
        if name not in COMMANDS and not name.startswith("-"):
            raise click.UsageError(_no_command(name), ctx)
        return super().resolve_command(ctx, args)

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the help: description, examples, then commands and options."""
        self.format_help_text(ctx, formatter)
        self.format_epilog(ctx, formatter)
        self.format_options(ctx, formatter)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples."""
        formatter.write(EPILOG.replace("\n\b\n", "\n"))


def _no_command(name: str) -> str:
    shown = path_text(name)
    if os.path.exists(name):  # noqa: PTH110
        likely = "report" if "report" in COMMANDS else "info"
        return f"{shown} is a file, not a command: did you mean `rdbkit {likely} {shown}`?"
    near = get_close_matches(name, COMMANDS, 1)
    hint = f"did you mean `rdbkit {near[0]}`?" if near else f"the commands are {', '.join(COMMANDS)}."
    return f"no command '{shown}': {hint}"


def _version(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    if not value or ctx.resilient_parsing:
        return
    from importlib.metadata import PackageNotFoundError, version

    from rdbkit import compiled
    from rdbkit.format.versions import HEADERS, LAST_AS_REDIS

    try:
        number = version("rdbkit")
    except PackageNotFoundError:
        number = "(not installed)"
    redis, valkey = HEADERS["redis"], HEADERS["valkey"]
    build = "compiled" if compiled() else "pure Python"
    click.echo(
        f"rdbkit {number} ({build}; reads RDB 1 to {redis.last} of Redis, "
        f"{LAST_AS_REDIS['valkey']}, {valkey.first}, {valkey.last} of Valkey)"
    )
    ctx.exit()


@click.group(
    cls=CommandGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    no_args_is_help=False,
    invoke_without_command=True,
)
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_version, help="Show version and build."
)
@click.pass_context
def cli(ctx: click.Context) -> None:
    """Read, check and explain Redis and Valkey RDB and AOF files.

    Works on files, without a server. Inputs are opened read-only.
    """
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())
        ctx.exit()


def main(args: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit with its status."""
    if sys.stderr is None:  # closed by the caller
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    try:
        interrupts.install()
        status = _guarded(args)
    except (Interrupted, KeyboardInterrupt, click.Abort):
        interrupts.leave_interrupted()
    except Terminated as signal:
        interrupts.leave_terminated(signal.number)
    sys.exit(status)


def _guarded(args: Sequence[str] | None) -> int:
    """Run the command line and return its status; exit at once if output is no longer possible."""
    try:
        status = _status(args)
        if sys.stdout is not None:
            sys.stdout.flush()
        with suppress(OSError):
            sys.stderr.flush()
    except (ReaderGone, BrokenPipeError):
        interrupts.leave(141)
    except OSError as error:
        _say(f"rdbkit: {path_text(error.filename or 'output')}: {error.strerror}")
        interrupts.leave(4)
    except Exception as error:
        if os.environ.get("RDBKIT_DEBUG"):
            raise
        place = traceback.extract_tb(error.__traceback__)[-1]
        what = f"{type(error).__name__}: {error} ({Path(place.filename).name}:{place.lineno})"
        _say(f"rdbkit: internal error, please report it: {what}; RDBKIT_DEBUG=1 shows the traceback")
        interrupts.leave(70)
    return status


def _status(args: Sequence[str] | None) -> int:
    try:
        status = cli.main(args, prog_name="rdbkit", standalone_mode=False)
    except click.exceptions.Exit as error:
        return error.exit_code
    except click.UsageError as error:
        command = error.ctx.command_path if error.ctx else "rdbkit"
        _say(f"{command}: {error.format_message()} See {command} --help")
        return 2
    except click.ClickException as error:
        _say(f"rdbkit: {error.format_message()}")
        return 2
    except SystemExit as error:
        return error.code if isinstance(error.code, int) else 0
    return status if isinstance(status, int) else 0


def _say(line: str) -> None:
    with suppress(OSError):
        click.echo(terminal(" ".join(line.split("\n"))), err=True)
