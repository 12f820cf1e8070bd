"""redis-check-rdb and valkey-check-rdb, imitated: their arguments, messages, order and exit codes.

    Checking RDB file …
    one line per AUX field, database, module aux …       read-type, read-aux, read-len, read-module-aux, read-functions
    … or what is wrong, what was being read, and where   read-expire, read-key, read-object-value, check-sum
    Checksum OK, looks OK
    the counts

If the original crashes or hangs (a file that ends in a module's parts, a NaN score in 6.2), the appropriate line is
printed, and the status is 1.

Bytes of the file are printed unchanged, up to a NUL; lines are cut at 1023 bytes if the tool cuts them. Lines that the
loader logged before it failed come before the error.

Source: BSD Valkey 7.2, valkey-check-rdb.c; recorded runs of the tools.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from enum import Enum
from typing import BinaryIO, Protocol

from rdbkit.dropin.rdb_records import RdbRecords, shown
from rdbkit.dropin.reader import Failure, Input, RdbReader, Reported
from rdbkit.releases.check_tools import Tool

Write = Callable[[bytes], object]

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
#: The longest line of the tool's messages, in bytes.
_LINE = 1023


class Descriptor(Protocol):
    """An object with the descriptor of an open file."""

    fd: int


class Outcome(Enum):
    """The result of a check. EXITED: the original exits at once, also during a check of an AOF."""

    SOUND = 0
    DAMAGED = 1
    EXITED = 2


def log_line(tool: Tool, level: str, text: str, now: float | None = None) -> bytes:
    """Return a line in the format of the server's log."""
    now = time.time() if now is None else now
    then = time.localtime(now)
    year = f" {then.tm_year}" if tool.year else ""
    clock = time.strftime("%H:%M:%S", then)
    date = f"{then.tm_mday:02} {_MONTHS[then.tm_mon - 1]}{year}"
    return f"{os.getpid()}:{tool.role} {date} {clock}.{int(now * 1000) % 1000:03} {level} {text}\n".encode()


class Check:
    """One check of one file: call `announce`, then `run`. Then `offset` is the number of bytes consumed."""

    def __init__(self, tool: Tool, write: Write) -> None:
        self.tool = tool
        self.write = write
        self.offset = 0

    def announce(self, name: bytes) -> None:
        """Write the first line."""
        self._info(b"Checking RDB file " + name)

    def run(self, source: Input) -> Outcome:
        """Check the file, and write all lines but the first."""
        self.records = RdbRecords(RdbReader(source, self.tool), self.tool, self._say, self._error)
        if self.tool.foreign:
            self._log("*", "Cleaning slot migration log in anticipation of a load operation.")
        try:
            self.records.all()
        except Reported as error:
            self._logged(error)
            middle = " offset 0," if self.tool.words64 else ""
            self._error(f"Internal error in RDB reading{middle} function at rdb.c:0 -> {error.text}")
            if self.tool.words64:
                self._log("#", "Terminating server after rdb file reading failure.")
            return Outcome.EXITED
        except Failure as error:
            self._logged(error)
            self._error(error.text)
            self.code(1)
            return Outcome.DAMAGED
        self._sound()
        return Outcome.SOUND

    def code(self, status: int) -> None:
        """Write the status, if the tool does."""
        if self.tool.foreign:
            self._info(b"Check RDB returned error code %d (0 means success)" % status)

    def _info(self, text: bytes) -> None:
        self.write(b"[offset %d] %s\n" % (self.offset, text if self.tool.long_lines else text[:_LINE]))

    def _say(self, text: bytes) -> None:
        self.offset = self.records.reader.offset
        self._info(text)

    def _logged(self, error: Failure) -> None:
        for line in error.log:
            self._log("#", line)

    def _log(self, level: str, text: str) -> None:
        self.write(log_line(self.tool, level, text))

    def _error(self, text: str) -> None:
        records = self.records
        self.write(b"--- RDB ERROR DETECTED ---\n")
        self._say(text.encode("latin-1", "replace")[:_LINE])
        self.write(f"[additional info] While doing: {records.doing}\n".encode())
        if records.key is not None:
            self.write(b"[additional info] Reading key '%s'\n" % shown(records.key))
        if records.type != -1:
            types = self.tool.types
            name = types[records.type] if records.type < len(types) else "unknown"
            self.write(f"[additional info] Reading type {records.type} ({name})\n".encode())
        self._counts()

    def _counts(self) -> None:
        records = self.records
        lines = [(records.keys, "keys read"), (records.expires, "expires"), (records.expired, "already expired")]
        if self.tool.counts_subexpires:
            lines.append((records.subexpires, "subexpires"))
        if self.tool.foreign:
            lines.append((records.functions, "functions"))
        if records.scripts and self.tool.counts_scripts:
            lines.append((records.scripts, "lua scripts read"))
        self.write("".join(f"[info] {count} {what}\n" for count, what in lines).encode())

    def _sound(self) -> None:
        self.offset = self.records.reader.offset
        self.code(0)
        looks = rb"\o/ RDB looks OK! \o/"
        if self.tool.foreign and self.records.unknown_version():
            looks = rb"\o/ RDB looks OK, but loading requires config 'rdb-version-check relaxed'"
        self._info(looks)
        self._counts()


class Exited(Exception):
    """The original exits at once, with status 1, and so must the caller that checks a preamble."""


def check_preamble(tool: Tool, file: Descriptor, name: bytes, out: BinaryIO) -> int | None:
    """Check the RDB at the start of an open file; return where it ends, None if it is damaged.

    `name` is the file's name in the first line. The file's position is not changed. Raises Exited.
    """
    check = Check(tool, out.write)
    check.announce(name)
    source = Input(file.fd)
    try:
        outcome = check.run(source)
    finally:
        source.close()
    if outcome is Outcome.EXITED:
        raise Exited
    return check.offset if outcome is Outcome.SOUND else None


def main(arguments: Sequence[str], tool: Tool, out: Write, err: Write) -> int:
    """Run the tool with these arguments; return its exit status."""
    if len(arguments) != 1:
        options = " [--format table|info|csv] [--stats] [--output <file>]" if tool.statistics_options else ""
        err(f"Usage: {tool.product}-check-rdb <rdb-file-name>{options}\n".encode())
        return 1
    if tool.version_option and arguments[0] in ("-v", "--version"):
        out(f"{tool.product}-check-rdb {tool.number}\n".encode())
        return 0
    path = os.fsencode(arguments[0])
    check = Check(tool, out)
    check.announce(path)
    try:
        source = Input(path)
    except (OSError, ValueError):
        check.code(1)
        return 1 if tool.words64 else 255
    try:
        return 0 if check.run(source) is Outcome.SOUND else 1
    finally:
        source.close()
