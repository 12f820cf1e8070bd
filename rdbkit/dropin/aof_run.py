"""The common parts of both generations of redis-check-aof: output, reading, the question, cutting the file."""

from __future__ import annotations

import os
from typing import BinaryIO, NoReturn

from rdbkit.aof.resp import CHECKER, ERROR, Resp
from rdbkit.dropin import check_rdb
from rdbkit.dropin.aof_errors import TEXT, OutOfMemory, described
from rdbkit.dropin.aof_files import CheckedFile
from rdbkit.releases.check_tools import Tool
from rdbkit.wire.cursor import Cursor

#: The name of this program in the usage line.
PROGRAM = b"rdbkit check-aof"


class Exit(Exception):
    """The tool ends here, with this status."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class CheckRun:
    """One run of the tool, of either generation."""

    def __init__(self, tool: Tool, out: BinaryIO, answers: BinaryIO | None, guard: bool) -> None:
        self.tool = tool
        self.out = out
        self.answers = answers
        self.guard = guard
        self.fix = False
        # Not reset between files, as in the tool.
        self.line = 1

    def say(self, line: bytes) -> None:
        """Write a line."""
        self.out.write(line + b"\n")

    def end(self, line: bytes, status: int = 1) -> NoReturn:
        """Write a line, and exit."""
        self.say(line)
        raise Exit(status)

    def log(self, text: bytes) -> None:
        """Write a line in the format of the server's log."""
        self.say(check_rdb.log_line(self.tool, "#", "")[:-1] + text[:TEXT])

    def preamble(self, file: CheckedFile, shown: bytes) -> int:
        """Check the RDB at the file's start; return where it ends."""
        try:
            end = check_rdb.check_preamble(self.tool, file, shown, self.out)
        except check_rdb.Exited:
            raise Exit(1) from None
        if end is None:
            self.end(b"RDB preamble of AOF file is not sane, aborting.")
        self.say(b"RDB preamble is OK, proceeding with AOF tail...")
        return end

    def reader(self, file: CheckedFile, start: int) -> Resp:
        """Return a reader of the records from an offset on."""
        os.lseek(file.fd, start, os.SEEK_SET)
        return Resp(Cursor(source=file, base=start), CHECKER, lines=self.line)

    def scan(self, resp: Resp, name: bytes, annotations: bool) -> int:
        """Read to the end or, with `annotations`, to the next annotation."""
        try:
            status = resp.scan(annotations)
        except OSError:
            self.end(b"Failed to read from AOF %b, aborting..." % name)
        self.line = resp.lines
        return status

    def said(self, resp: Resp, status: int) -> tuple[int, bytes]:
        """Return the offset and text of the problem that ended the reading, if the tool prints one."""
        try:
            return described(self.tool, resp.problem, resp) if status == ERROR and resp.problem else (0, b"")
        except OutOfMemory as error:
            self.log(b"Out Of Memory allocating %d bytes!" % error.size)
            raise Exit(1) from None

    def cut(self, file: CheckedFile, good: int, name: bytes) -> None:
        """Ask, read the first byte of the answer, and truncate the file."""
        self.out.write(b"Continue? [y/N]: ")
        self.out.flush()
        answer = self.answers.read(1) if self.answers else b""
        if answer not in (b"y", b"Y"):
            self.end(b"Aborting...")
        try:
            os.ftruncate(file.fd, good)
        except OSError:
            self.end(b"Failed to truncate AOF" + name)
