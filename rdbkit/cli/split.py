"""`rdbkit split`: split a mixed AOF into its RDB part and its commands."""

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
from rdbkit.snapshot.preamble import refuse_others
from rdbkit.source import Source, open_source
from rdbkit.wire import crc64
from rdbkit.wire.cursor import WINDOW, Cursor


@click.command(
    "split",
    short_help="Split a mixed AOF into its RDB part and its commands.",
    cls=Examples,
    examples="""
rdbkit split appendonly.aof --rdb head.rdb --aof tail.aof
""",
)
@path_argument
@click.option("--rdb", required=True, metavar="FILE", type=PATH, help="Output file for the RDB part.")
@click.option("--aof", required=True, metavar="FILE", type=PATH, help="Output file for the commands.")
@click.option("--force", is_flag=True, help="Overwrite existing files.")
@click.option("-q", "--quiet", is_flag=True, help="Suppress messages except errors.")
def command(path: str, rdb: str, aof: str, force: bool, quiet: bool) -> None:
    """Copy the RDB preamble and the commands of a mixed AOF to two files, byte for byte.

    A file without both parts is refused. The RDB part is verified. Both files are created only when both are complete;
    existing files are not overwritten without --force.
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
                    # Only a copy of the input is deleted.
                    Path(partial).unlink(missing_ok=True)
            sys.exit(status_of(error))
    text = f"{size(end)} of RDB to {path_text(rdb)}, {size(rest)} of commands to {path_text(aof)}"
    say(f"{path_text(path)}: {text}", quiet=quiet)


def _finish(head: Output, tail: Output) -> None:
    """Put both files in place, or neither."""
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
    """Copy the two parts; return their sizes in bytes.

    Raises Unsupported if a part is missing: code "no-preamble", or "no-commands" after the RDB was copied.
    """
    if os.path.isdir(path):  # noqa: PTH112  paths stay text here
        _refuse_directory(path)
    with open_source(path) as source:
        _refuse(source)
        plain = crc64.update()

        def copied(data: memoryview, crc: int) -> int:
            # The checksum sees every byte once and in order, so the copy is made here.
            head.write(bytes(data))
            return plain(data, crc)

        cursor = Cursor(source=source, base=source.start, update=copied)
        is_head = _walked(cursor)
        cursor.checksum()
        cursor.update = None
        end = cursor.tell()
        if not is_head and cursor.at_end():
            message = "an RDB without commands: nothing to split"
            raise Unsupported(message, offset=end, code="no-commands")
        while not cursor.at_end():
            tail.write(cursor.take(min(WINDOW, cursor.end - cursor.pos)))
        return end - source.start, cursor.tell() - end


def _refuse_directory(path: str) -> None:
    """Refuse a multi-part AOF, whose parts are separate files; other directories are refused when opened."""
    found = find(path, keep_errors=True)
    one = found.sets[0] if isinstance(found, DataDir) and len(found.sets) == 1 else found
    if not isinstance(one, AofSet) or not one.files:
        return
    rdbs = ", ".join(path_text(file.path) for file in one.files if file.format == "rdb")
    logs = ", ".join(path_text(file.path) for file in one.files if file.format != "rdb")
    parts = " and ".join(filter(None, (rdbs and f"the RDB is {rdbs}", logs and f"the commands are in {logs}")))
    raise Unsupported(f"a multi-part AOF, which is already split: {parts}", code="split-already")


def _refuse(source: Source) -> None:
    found = source.recognise()
    if found.kind == "aof":
        message = "an AOF without an RDB preamble: nothing to split"
        raise Unsupported(message, offset=source.start, code="no-preamble")
    refuse_others(source)


def _walked(cursor: Cursor) -> bool:
    """Skip the RDB; return whether its AUX fields say that it is an AOF preamble (commands may still be missing)."""
    is_head = False
    walker = Walker(cursor, Plan())
    while not walker.done:
        walker.batch()
        is_head = is_head or any(
            kind == spec.AUX and payload[:2] == (b"aof-preamble", b"1") for _, kind, payload in walker.records
        )
        walker.records.clear()
    return is_head
