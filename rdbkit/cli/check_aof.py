"""`rdbkit check-aof`: imitates redis-check-aof, with the same output.

All arguments are passed on unchanged, including invalid ones; only a leading `--as` is handled here.
"""

from __future__ import annotations

import io
import sys
from typing import Any, BinaryIO, TextIO, cast

import click

from rdbkit.dropin import check_aof
from rdbkit.output.text import printable, terminal
from rdbkit.releases.check_tools import DEFAULT, find


class PassThrough(click.Command):
    """A command that does not parse its arguments, except for a lone --help."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Keep the arguments for the imitated tool."""
        if args == ["--help"]:
            click.echo(ctx.get_help())
            ctx.exit()
        ctx.params["arguments"] = list(args)
        return []


@click.command(
    "check-aof",
    short_help="Drop-in replacement for redis-check-aof.",
    cls=PassThrough,
    options_metavar="[--as TOOL] [--fix | --truncate-to-timestamp TIME]",
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="FILE")
def command(arguments: list[str]) -> int:
    """Check an AOF or a manifest's set exactly as redis-check-aof does: arguments, output, prompt, exit status.

    FILE needs write permission. --fix asks, then truncates it at the first error, without a backup; `rdbkit check` and
    `rdbkit repair` are safer. --as TOOL imitates another release than redis-8.10.2, such as redis-7.0.15 or
    valkey-9.1.2, including its data loss.
    """
    named, rest = take_tool(arguments)
    try:
        tool = find(named or DEFAULT)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    status = check_aof.main(rest, tool, _output(sys.stdout), _answers(), guard=named is None)
    sys.stdout.flush()
    return status


def take_tool(arguments: list[str]) -> tuple[str | None, list[str]]:
    """Remove a leading --as; return the tool that it names, if any, and the other arguments."""
    if arguments and arguments[0].startswith("--as="):
        return arguments[0][5:], arguments[1:]
    if arguments[:1] == ["--as"]:
        if len(arguments) < 2:
            raise click.UsageError("--as needs the name of a tool, such as redis-7.0.15.")
        return arguments[1], arguments[2:]
    return None, arguments


class _Screen(io.RawIOBase):
    """A terminal stream that escapes control characters."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, data: Any, /) -> int:
        """Write text with control characters escaped."""
        self._stream.write("\n".join(terminal(printable(line)) for line in bytes(data).split(b"\n")))
        return len(data)

    def flush(self) -> None:
        """Flush the stream."""
        self._stream.flush()


def _output(stream: TextIO) -> BinaryIO:
    """Return the stream that the tool writes to; a pipe gets the exact bytes."""
    return cast(BinaryIO, _Screen(stream)) if stream.isatty() else stream.buffer


def _answers() -> BinaryIO | None:
    return getattr(sys.stdin, "buffer", None)
