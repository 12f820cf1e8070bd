"""redis-check-aof up to 6.2: a single file (even if it is a manifest), since 4.0 with an RDB at its start.

Annotations are damage for it.
"""

from __future__ import annotations

import os

from rdbkit.aof.resp import ANNOTATION, ERROR, Resp
from rdbkit.dropin.aof_errors import error_line
from rdbkit.dropin.aof_files import CheckedFile
from rdbkit.dropin.aof_run import PROGRAM, CheckRun


class OldChecker(CheckRun):
    """One run of the tool, up to 6.2."""

    def run(self, args: list[bytes]) -> None:
        """Run the tool with these arguments."""
        if not args:
            self.end(b"Usage: %b [--fix] <file.aof>" % PROGRAM)
        if len(args) > 2:
            self.end(b"Invalid arguments")
        if len(args) == 2 and args[0] != b"--fix":
            self.end(b"Invalid argument: " + args[0])
        self.fix = len(args) == 2
        path = args[-1]
        try:
            file = CheckedFile(path, os.O_RDWR)
        except OSError:
            self.end(b"Cannot open file: " + path)
        with file:
            if not file.length:
                self.end(b"Empty file: " + path)
            # Here the tool prints its first argument as the file's name.
            resp = self.reader(file, self._preamble(file, args[0]))
            self._say_error(resp, self.scan(resp, path, annotations=True))
            self._analyzed(file, resp.good)

    def _preamble(self, file: CheckedFile, shown: bytes) -> int:
        if not self.tool.aof_preamble or file.length < 8 or file.head(5) != b"REDIS":
            return 0
        self.say(b"The AOF appears to start with an RDB preamble.\nChecking the RDB preamble to start:")
        return self.preamble(file, shown)

    def _say_error(self, resp: Resp, status: int) -> None:
        if status == ANNOTATION:
            status = ERROR
            resp.problem = ("format", resp.start, ord("#"), 0)
        offset, text = self.said(resp, status)
        if text:
            self.say(error_line(offset, text))
        elif resp.multi:
            self.say(error_line(resp.cursor.tell(), b"Reached EOF before reading EXEC for MULTI"))

    def _analyzed(self, file: CheckedFile, good: int) -> None:
        size, lost = file.length, file.length - good
        line = b"ok_up_to_line=%d, " % self.line if self.tool.counts_lines else b""
        self.say(b"AOF analyzed: size=%d, ok_up_to=%d, %bdiff=%d" % (size, good, line, lost))
        if lost <= 0:
            self.say(b"AOF is valid")
        elif self.fix:
            self.say(b"This will shrink the AOF from %d bytes, with %d bytes, to %d bytes" % (size, lost, good))
            self.cut(file, good, b"")
            self.say(b"Successfully truncated AOF")
        else:
            hint = b". Use the --fix option to try fixing it." if self.tool.aof_preamble else b""
            self.end(b"AOF is not valid" + hint)
