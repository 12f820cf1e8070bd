"""`rdbkit split`: a mixed AOF into its RDB and its AOF part."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from rdbkit.aof.layout import AofSet, DataDir, find
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
from rdbkit.format import spec
from rdbkit.output.output import Output
from rdbkit.output.text import path_text
from rdbkit.output.units import size
from rdbkit.rdb.walker import Plan, Walker
from rdbkit.snapshot.opening import refuse_others
from rdbkit.source import Source, open_source
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

    Only a file that holds both is split; the RDB part is verified on the way. Both files appear only when both are
    complete; files that exist are not replaced without --force.
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
                if not isinstance(error, Unsupported):
                    say_partial(out)
                elif partial := out.abandon():
                    # Nothing is lost with a copy of the input.
                    Path(partial).unlink(missing_ok=True)
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
    """Copy the parts; return their sizes in bytes.

    Raises Unsupported where there are not two: code "no-preamble", or "no-commands" after the RDB was copied.
    """
    if os.path.isdir(path):  # noqa: PTH112  paths stay text here
        _refuse_directory(path)
    with open_source(path) as source:
        _refuse(source)
        plain = crc64.update()

        def copied(data: memoryview, crc: int) -> int:
            # Every byte goes through the checksum once, in order: the best place to take a copy.
            head.write(bytes(data))
            return plain(data, crc)

        cursor = Cursor(source=source, base=source.start, update=copied)
        is_head = _walked(cursor)
        cursor.checksum()
        cursor.update = None
        end = cursor.tell()
        if not is_head and cursor.at_end():
            message = "an RDB without commands: there is nothing to split, the file is its RDB part"
            raise Unsupported(message, offset=end, code="no-commands")
        while not cursor.at_end():
            tail.write(cursor.take(min(WINDOW, cursor.end - cursor.pos)))
        return end - source.start, cursor.tell() - end


def _refuse_directory(path: str) -> None:
    """Name the files of a set, which are in two parts already; other directories are refused when they are opened."""
    found = find(path, keep_errors=True)
    one = found.sets[0] if isinstance(found, DataDir) and len(found.sets) == 1 else found
    if not isinstance(one, AofSet) or not one.files:
        return
    rdbs = ", ".join(path_text(file.path) for file in one.files if file.format == "rdb")
    logs = ", ".join(path_text(file.path) for file in one.files if file.format != "rdb")
    parts = " and ".join(filter(None, (rdbs and f"the RDB part is {rdbs}", logs and f"the commands are in {logs}")))
    raise Unsupported(f"an AOF in several files, which are apart already: {parts}", code="split-already")


def _refuse(source: Source) -> None:
    found = source.recognise()
    if found.kind == "aof":
        message = "an AOF without an RDB preamble: there is nothing to split"
        raise Unsupported(message, offset=source.start, code="no-preamble")
    refuse_others(source)


def _walked(cursor: Cursor) -> bool:
    """Step over the RDB; return whether it calls itself the head of an AOF, which may yet be without commands."""
    is_head = False
    walker = Walker(cursor, Plan())
    while not walker.done:
        walker.batch()
        is_head = is_head or any(
            kind == spec.AUX and payload[:2] == (b"aof-preamble", b"1") for _, kind, payload in walker.records
        )
        walker.records.clear()
    return is_head
