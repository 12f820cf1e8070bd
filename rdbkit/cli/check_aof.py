"""`rdbkit check-aof`: what redis-check-aof does, in its words.

The arguments are the tool's own, odd ones included, so they are handed on as they are. Only `--as` in front is ours.
"""

from __future__ import annotations

import io
import sys
from typing import Any, BinaryIO, TextIO, cast

import click

from rdbkit.dropin import check_aof
from rdbkit.output.text import printable, terminal
from rdbkit.releases.check_tools import DEFAULT, find


class Handed(click.Command):
    """A command that leaves its arguments alone, but for a lone --help."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Keep the arguments for the imitated tool."""
        if args == ["--help"]:
            click.echo(ctx.get_help())
            ctx.exit()
        ctx.params["arguments"] = list(args)
        return []


@click.command(
    "check-aof",
    short_help="Check an AOF in the words of redis-check-aof.",
    cls=Handed,
    options_metavar="[--as TOOL] [--fix | --truncate-to-timestamp TIME]",
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="FILE")
def command(arguments: list[str]) -> int:
    """Check an AOF or a manifest's whole set exactly as redis-check-aof does: arguments, words, prompt, exit status.

    FILE needs write permission. --fix cuts it where it stops being sound, after asking; there is no copy: see
    `rdbkit check` and `rdbkit repair` for the safer way. --as TOOL imitates another release than redis-8.10.2, such as
    redis-7.0.15 or valkey-9.1.2, also in what it destroys.
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
    """Take our own option off the front; return the tool that it names, if any, and the other arguments."""
    if arguments and arguments[0].startswith("--as="):
        return arguments[0][5:], arguments[1:]
    if arguments[:1] == ["--as"]:
        if len(arguments) < 2:
            raise click.UsageError("--as needs the name of a tool, such as redis-7.0.15.")
        return arguments[1], arguments[2:]
    return None, arguments


class _Screen(io.RawIOBase):
    """A terminal, which nothing from a file can steer."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, data: Any, /) -> int:
        """Write lines, or a part of one, with control characters escaped."""
        self._stream.write("\n".join(terminal(printable(line)) for line in bytes(data).split(b"\n")))
        return len(data)

    def flush(self) -> None:
        """Show what was written."""
        self._stream.flush()


def _output(stream: TextIO) -> BinaryIO:
    """Return what the tool writes to: into a pipe, its very bytes."""
    return cast(BinaryIO, _Screen(stream)) if stream.isatty() else stream.buffer


def _answers() -> BinaryIO | None:
    return getattr(sys.stdin, "buffer", None)
