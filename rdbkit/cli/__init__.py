"""The command line: each command reads options, calls the library, shows a report.

Data goes to standard output, talk to standard error. What an exit status means is decided here, once (EXIT).
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

#: Command: module under rdbkit.cli, imported only when it is called.
COMMANDS = (
    *("info", "check", "compat", "report", "prefixes", "keys", "get", "export"),
    *("commands", "split", "repair", "check-aof", "check-rdb"),
)

EPILOG = """
\b
Examples:
  rdbkit info dump.rdb                 what is this file
  rdbkit check dump.rdb                is it sound: the exit status tells
  rdbkit report dump.rdb               who uses the memory
  rdbkit keys dump.rdb --match 'user:*' --sort size --limit 20
  rdbkit get dump.rdb user:1
  rdbkit export dump.rdb > dump.jsonl
  zcat dump.rdb.gz | rdbkit keys - -f csv
"""


class ReaderGone(BaseException):
    """Nobody reads what we write any more. No OSError: of that click would make exit status 1."""


class Commands(click.Group):
    """The group; commands are loaded by name, and a file in the place of one is recognised."""

    def make_context(self, *args: Any, **extra: Any) -> click.Context:
        """Read the arguments; --help and --version write here."""
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
        """Return the names, in the order in which one needs them."""
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
        """Find the command that the first argument names, or say what was probably meant."""
        name = args[0]
        if name not in COMMANDS and not name.startswith("-"):
            raise click.UsageError(_no_command(name), ctx)
        return super().resolve_command(ctx, args)

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the help: what it is, examples, then commands and options."""
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
    hint = f"did you mean `rdbkit {near[0]}`?" if near else f"there are {', '.join(COMMANDS)}."
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
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    no_args_is_help=False,
    invoke_without_command=True,
)
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_version, help="Version and build."
)
@click.pass_context
def cli(ctx: click.Context) -> None:
    """Read, check and explain the files in which Redis and Valkey keep their data.

    Works on files, without a server. Inputs are opened read-only.
    """
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())
        ctx.exit()


def main(args: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit with its status."""
    if sys.stderr is None:  # closed by the caller: nobody is to hear us
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
    """Run the command line and return its status; leave at once where nothing is to be written any more."""
    try:
        status = _status(args)
        if sys.stdout is not None:
            sys.stdout.flush()
        with suppress(OSError):
            sys.stderr.flush()
    except (ReaderGone, BrokenPipeError):
        interrupts.leave(141)
    except OSError as error:
        _tell(f"rdbkit: {path_text(error.filename or 'output')}: {error.strerror}")
        interrupts.leave(4)
    except Exception as error:
        if os.environ.get("RDBKIT_DEBUG"):
            raise
        place = traceback.extract_tb(error.__traceback__)[-1]
        what = f"{type(error).__name__}: {error} ({Path(place.filename).name}:{place.lineno})"
        _tell(f"rdbkit: a bug of rdbkit, please report it: {what}; RDBKIT_DEBUG=1 shows more")
        interrupts.leave(70)
    return status


def _status(args: Sequence[str] | None) -> int:
    try:
        status = cli.main(args, prog_name="rdbkit", standalone_mode=False)
    except click.exceptions.Exit as error:
        return error.exit_code
    except click.UsageError as error:
        command = error.ctx.command_path if error.ctx else "rdbkit"
        _tell(f"{command}: {error.format_message()} See {command} --help")
        return 2
    except click.ClickException as error:
        _tell(f"rdbkit: {error.format_message()}")
        return 2
    except SystemExit as error:
        return error.code if isinstance(error.code, int) else 0
    return status if isinstance(status, int) else 0


def _tell(line: str) -> None:
    with suppress(OSError):
        click.echo(terminal(" ".join(line.split("\n"))), err=True)
