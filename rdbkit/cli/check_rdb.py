"""rdbkit check-rdb: in place of redis-check-rdb."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import NoReturn, TextIO

import click

from rdbkit.dropin import check_rdb, tools
from rdbkit.report.text import printable, terminal

HELP = """\
Check an RDB file as redis-check-rdb does: the same arguments, words and exit status.

\b
Imitates Redis 8.10; --as TOOL, before the other arguments, another one:
redis-7.0.15, redis-6.2.16, valkey-9.1.2, ...
`rdbkit check` says more, and clearer.
"""


@click.command(
    "check-rdb",
    help=HELP,
    add_help_option=False,
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="[--as TOOL] FILE")
@click.pass_context
def command(ctx: click.Context, arguments: tuple[str, ...]) -> int:
    """Take `--as` off the front, and hand on the rest untouched: everything else is the imitated tool's."""
    name, rest = as_tool(arguments)
    if rest in (("--help",), ("-h",)):
        click.echo(ctx.get_help())
        return 0
    try:
        tool = tools.find(name)
    except ValueError as error:
        raise click.UsageError(f"{error}.", ctx) from None
    return check_rdb.main(rest, tool, writer(sys.stdout), writer(sys.stderr))


def as_tool(arguments: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
    """Return the tool that is asked for, and the other arguments."""
    if arguments[:1] == ("--as",) and len(arguments) > 1:
        return arguments[1], arguments[2:]
    if arguments and arguments[0].startswith("--as="):
        return arguments[0][5:], arguments[1:]
    return tools.DEFAULT, arguments


def writer(stream: TextIO) -> Callable[[bytes], object]:
    """Return what writes to a stream: a pipe gets the tool's very bytes, a terminal none that could steer it."""
    if not stream.isatty():
        return stream.buffer.write

    def write(data: bytes) -> None:
        for line in data.splitlines(keepends=True):
            stream.write(terminal(printable(line.rstrip(b"\n"))) + "\n" * line.endswith(b"\n"))

    return write


def main(args: Sequence[str] | None = None) -> NoReturn:
    """Run as `rdbkit-check-rdb`."""
    from rdbkit.cli import main as run

    run(["check-rdb", *(sys.argv[1:] if args is None else args)])
