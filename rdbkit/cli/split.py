"""`rdbkit split`: a mixed AOF into its RDB and its AOF part."""

from __future__ import annotations

import sys

import click

from rdbkit.aof.reader import has_preamble, skip_preamble
from rdbkit.cli.options import (
    PATH,
    Examples,
    explain,
    open_output,
    path_argument,
    refuse_inputs,
    say,
    say_partial,
    status_of,
)
from rdbkit.errors import RdbkitError, Unsupported
from rdbkit.report.output import Output
from rdbkit.report.text import path_text
from rdbkit.report.units import size
from rdbkit.source import open_source
from rdbkit.wire import crc64
from rdbkit.wire.cursor import WINDOW, Cursor


@click.command(
    "split",
    short_help="A mixed AOF into its RDB and its AOF part.",
    cls=Examples,
    examples="""
rdbkit split appendonly.aof --rdb head.rdb --aof tail.aof
""",
)
@path_argument
@click.option("--rdb", required=True, metavar="FILE", type=PATH, help="Where the RDB part goes.")
@click.option("--aof", required=True, metavar="FILE", type=PATH, help="Where the commands go.")
@click.option("--force", is_flag=True, help="Replace files that exist.")
@click.option("-q", "--quiet", is_flag=True, help="No talk on standard error, errors excepted.")
def command(path: str, rdb: str, aof: str, force: bool, quiet: bool) -> None:
    """Write the two parts of an AOF with an RDB preamble to two files, byte by byte.

    The RDB part is verified on the way. Both files appear only when both are complete; files that exist are not
    replaced without --force.
    """
    refuse_inputs([rdb, aof], [path], option="--rdb and --aof")
    with (
        open_output(rdb, [path], option="--rdb", data=True, force=force) as head,
        open_output(aof, [path], option="--aof", data=True, force=force) as tail,
    ):
        try:
            end, rest = split(path, head, tail)
            _finish(head, tail)
        except BrokenPipeError:
            raise
        except (RdbkitError, OSError) as error:
            named = path if not isinstance(error, OSError) or error.filename is None else error.filename
            say(explain(named, error))
            for out in (head, tail):
                say_partial(out)
            sys.exit(status_of(error))
    told = f"{size(end)} of RDB to {path_text(rdb)}, {size(rest)} of commands to {path_text(aof)}"
    say(f"{path_text(path)}: {told}", quiet=quiet)


def _finish(head: Output, tail: Output) -> None:
    """Put both files in place, or none."""
    head.prepare()
    tail.prepare()
    try:
        head.publish()
        tail.publish()
    except BaseException:
        head.withdraw()
        tail.withdraw()
        raise


def split(path: str, head: Output, tail: Output) -> tuple[int, int]:
    """Copy the parts; return their sizes in bytes."""
    with open_source(path) as source:
        if not has_preamble(source.peek):
            raise Unsupported("no RDB preamble: there is nothing to split", offset=source.start, code="no-preamble")
        plain = crc64.update()

        def copied(data: memoryview, crc: int) -> int:
            # Every byte goes through the checksum once, in order: the best place to take a copy.
            head.write(bytes(data))
            return plain(data, crc)

        cursor = Cursor(source=source, base=source.start, update=copied)
        skip_preamble(cursor)
        cursor.checksum()
        cursor.update = None
        end = cursor.tell()
        while not cursor.at_end():
            tail.write(cursor.take(min(WINDOW, cursor.end - cursor.pos)))
        return end - source.start, cursor.tell() - end
