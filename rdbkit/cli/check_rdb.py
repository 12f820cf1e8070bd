"""`rdbkit check-rdb`: imitates redis-check-rdb, with the same output."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TextIO

import click

from rdbkit.cli.check_aof import PassThrough, take_tool
from rdbkit.dropin import check_rdb
from rdbkit.output.text import printable, terminal
from rdbkit.releases.check_tools import DEFAULT, find


@click.command(
    "check-rdb",
    short_help="Drop-in replacement for redis-check-rdb.",
    cls=PassThrough,
    options_metavar="[--as TOOL]",
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="FILE")
def command(arguments: list[str]) -> int:
    """Check an RDB exactly as redis-check-rdb does: arguments, output, exit status. `rdbkit check` reports more.

    --as TOOL imitates another release than redis-8.10.2, such as redis-7.0.15 or valkey-9.1.2.
    """
    named, rest = take_tool(arguments)
    try:
        tool = find(named or DEFAULT)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    status = check_rdb.main(rest, tool, writer(sys.stdout), writer(sys.stderr))
    sys.stdout.flush()
    return status


def writer(stream: TextIO) -> Callable[[bytes], object]:
    """Return a write function: a pipe gets the exact bytes, a terminal gets control characters escaped."""
    if not stream.isatty():
        return stream.buffer.write

    def write(data: bytes) -> None:
        for line in data.split(b"\n")[:-1]:
            stream.write(terminal(printable(line)) + "\n")

    return write
