"""redis-check-aof, imitated: its arguments, messages, prompts, exit codes, and the files that it leaves.

    arguments ─► kind of the file ─► manifest: base, then each increment ─┐
                                   └─ else: one file ─────────────────────┴─► [RDB check] ─► records ─► verdict, cut

Two generations: OldChecker up to 6.2, for a single file; Checker from 7.0 on, with sets and annotations. Records are
read by aof/resp.py in the dialect of the check tool.

Files are opened for writing even if nothing will be written, are cut in place and without a copy, and stay unchanged if
the tool does not change them. If the tool crashes, its error line ends the run with status 1. `guard` prevents it from
destroying data that a server would load.

Sources: valkey-check-aof.c of the BSD-licensed Valkey 8; recorded runs of the tools.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from contextlib import suppress
from typing import BinaryIO, NoReturn

from rdbkit.aof import manifest
from rdbkit.aof.resp import ANNOTATION, ERROR, Resp
from rdbkit.dropin.aof_errors import error_line, to_long
from rdbkit.dropin.aof_files import CheckedFile, beside, is_valkey_rdb, mentions_file
from rdbkit.dropin.aof_old import OldChecker
from rdbkit.dropin.aof_run import PROGRAM, CheckRun, Exit
from rdbkit.errors import RdbkitError
from rdbkit.releases.check_tools import Tool

#: The longest path (PATH_MAX).
_PATH_MAX = 4096
#: `guard` does not read larger files as manifests.
_MANIFEST = 1 << 20

# The result for a file.
_OK, _EMPTY, _CUT, _CUT_AT_TIME = b"is valid", b"is empty", b"cut", b"cut at time"


def main(
    arguments: Sequence[str], tool: Tool, out: BinaryIO, answers: BinaryIO | None = None, *, guard: bool = False
) -> int:
    """Run the tool with these arguments; return its exit status.

    `answers` is the stream from which it reads the answer to its question. `guard`: the user did not choose this tool
    explicitly, so it must not destroy good data as the original does.
    """
    checker = (Checker if tool.aof_sets else OldChecker)(tool, out, answers, guard)
    try:
        checker.run([os.fsencode(argument) for argument in arguments])
    except Exit as end:
        return end.status
    except RdbkitError as error:
        out.write(os.fsencode(f"{error}\n"))
        return 1
    return 0


class Checker(CheckRun):
    """One run of the tool, from 7.0 on. `until`: the time up to which commands stay, 0: all of them."""

    until = 0

    def run(self, args: list[bytes]) -> None:
        """Run the tool with these arguments."""
        if len(args) == 1:
            if self.tool.aof_version_option and args[0] in (b"-v", b"--version"):
                self.end(b"%b-check-aof v=%b" % (self.tool.product.encode(), self.tool.number.encode()), 0)
        elif len(args) == 2 and args[0] == b"--fix":
            self.fix = True
        elif len(args) == 3 and args[0] == b"--truncate-to-timestamp":
            self.until, end, fits = to_long(args[1])
            if end != len(args[1]) or not fits:
                self.end(b"Invalid timestamp, aborting...")
        else:
            self._usage()
        if len(args[-1]) > _PATH_MAX:
            self.say(b"Error: filepath is too long (exceeds PATH_MAX)")
            self._usage()
        self._check(args[-1])

    def _usage(self) -> NoReturn:
        self.end(b"Usage: %b [--fix|--truncate-to-timestamp $timestamp] <file.manifest|file.aof>" % PROGRAM)

    def _check(self, path: bytes) -> None:
        is_set = self._is_manifest(path)
        is_rdb = not is_set and self._is_rdb(path)
        if self.guard and not is_rdb:
            self._protect(path, is_set)
        if is_set:
            self._check_set(path)
        else:
            self.say(b"Start checking Old-Style AOF")
            self._verdict(b"AOF", path, self._check_file(path, path, True, is_rdb))

    # -- the kind of a file ----------------------------------------------------------------------------------------

    def _open(self, path: bytes) -> CheckedFile:
        try:
            return CheckedFile(path)
        except OSError as error:
            self.end(b"Cannot open file %b: %b" % (path, _reason(error)))

    def _is_manifest(self, path: bytes) -> bool:
        with self._open(path) as file:
            try:
                if not self.tool.first_line_decides:
                    return file.length > 0 and mentions_file(file)
                with os.fdopen(file.fd, "rb", closefd=False) as lines:
                    return file.length > 0 and manifest.is_manifest(lines)
            except OSError:
                self.end(b"Cannot read file: %b" % path)

    def _is_rdb(self, path: bytes) -> bool:
        with self._open(path) as file:
            return file.length >= 8 and file.head(5) == b"REDIS"

    # -- data that the tool would destroy --------------------------------------------------------------------------

    def _protect(self, path: bytes, is_set: bool) -> None:
        """Exit if the tool would treat good data as damage."""
        paths = [path]
        if is_set:
            with suppress(OSError, RdbkitError):
                paths = [beside(path, entry.name) for entry in self._read_manifest(path).loaded]
        for part in filter(is_valkey_rdb, paths):
            self._refuse(part, b"an RDB file in the format of Valkey 9")
        if self.fix and not is_set and self._loads_as_manifest(path):
            self._refuse(path, b"a manifest")

    def _refuse(self, path: bytes, what: bytes) -> NoReturn:
        name = b"%b-check-aof" % self.tool.product.encode()
        said = (path, what, name, self.tool.name.encode())
        self.end(b"%b is %b, which %b takes for a damaged AOF: not touched (--as %b does as it does)" % said)

    def _loads_as_manifest(self, path: bytes) -> bool:
        with self._open(path) as file:
            if not 0 < file.length <= _MANIFEST:
                return False
        try:
            return bool(self._read_manifest(path).entries)
        except (OSError, RdbkitError):
            return False

    # -- a set -----------------------------------------------------------------------------------------------------

    def _read_manifest(self, path: bytes) -> manifest.Manifest:
        with open(path, "rb") as file:
            return manifest.read(file, joined=self.tool.joined_names)

    def _manifest(self, path: bytes) -> manifest.Manifest:
        try:
            return self._read_manifest(path)
        except OSError as error:
            self.log(b"Fatal error: can't open the AOF manifest file %b for reading: %b" % (path, _reason(error)))
        except manifest.ManifestError as error:
            self.log(b"\n*** FATAL AOF MANIFEST FILE ERROR ***\n")
            if error.line is not None:
                self.log(b"Reading the manifest file, at line %d\n" % error.number)
                self.log(b">>> '%b'\n" % error.line)
            self.log(b"%b\n" % error.reason.encode())
        raise Exit(1)

    def _check_set(self, path: bytes) -> None:
        self.say(b"Start checking Multi Part AOF")
        found = self._manifest(path)
        if found.base:
            name, part = found.base.name, beside(path, found.base.name)
            is_rdb = self._is_rdb(part)
            self.say(b"Start to check BASE AOF (%b format)." % (b"RDB" if is_rdb else b"RESP"))
            self._verdict(b"BASE AOF", name, self._check_file(name, part, not found.incrs, is_rdb))
        if found.incrs:
            self.say(b"Start to check INCR files.")
        for entry in found.incrs:
            came = self._check_file(entry.name, beside(path, entry.name), entry is found.incrs[-1], False)
            self._verdict(b"INCR AOF", entry.name, came)
        self.say(b"All AOF files and manifest are valid")

    def _verdict(self, kind: bytes, name: bytes, came: bytes) -> None:
        if came == _CUT:
            self.say(b"Successfully truncated AOF %b" % name)
        elif came == _CUT_AT_TIME:
            self.say(b"Successfully truncated AOF %b to timestamp %d" % (name, self.until))
        else:
            self.say(b"%b %b %b" % (kind, name, came))

    # -- one file --------------------------------------------------------------------------------------------------

    def _check_file(self, name: bytes, path: bytes, last: bool, is_rdb: bool) -> bytes:
        """Check a file of any kind; `last`: no file follows it. Return the result."""
        try:
            file = CheckedFile(path, os.O_RDWR)
        except OSError as error:
            self.end(b"Cannot open file %b: %b, aborting..." % (path, _reason(error)))
        with file:
            if not file.length:
                return _EMPTY
            start = self.preamble(file, path if self.tool.preamble_by_path else name) if is_rdb else 0
            resp = self.reader(file, start)
            while (status := self.scan(resp, name, bool(self.until))) == ANNOTATION:
                if self._is_newer(resp, path, last):
                    return self._cut_at_time(file, path, resp.start)
            self._say_error(resp, status, name, path)
            if resp.good == file.length and self.until:
                self.say(b"Truncate nothing in AOF %b to timestamp %d" % (name, self.until))
                return _OK
            return self._analyzed(file, name, resp.good, last)

    def _say_error(self, resp: Resp, status: int, name: bytes, path: bytes) -> None:
        offset, text = self.said(resp, status)
        what = resp.problem[0] if status == ERROR and resp.problem else ""
        if what == "format":
            self.say(b"AOF %b format error" % name)
        elif text:
            self.say(error_line(offset, text + b" in AOF " + path if what in ("multi", "exec") else text))
        elif resp.multi:
            self.say(error_line(resp.element, b"Reached EOF before reading EXEC for MULTI"))

    def _is_newer(self, resp: Resp, path: bytes, last: bool) -> bool:
        """Return whether an annotation, and so the commands after it, is newer than the time up to which to keep."""
        text = resp.line_text
        if not text.startswith(b"#TS:"):
            return False
        stamp, end, fits = to_long(text[4:])
        if not fits or text[4 + end : 5 + end] != b"\r":
            self.end(b"Invalid timestamp annotation")
        if stamp <= self.until:
            return False
        if resp.start == 0:
            self.end(b"AOF %b has nothing before timestamp %d, aborting..." % (path, self.until))
        if not last:
            why = b"to offset %d because it is not the last file." % resp.start
            self.say(b"Failed to truncate AOF %b to timestamp %d %b" % (path, self.until, why))
            self.end(
                b"If you insist, please delete all files after this file according to the manifest file and delete the "
                b"corresponding records in manifest file manually. "
                b"Then re-run %b-check-aof." % self.tool.product.encode()
            )
        return True

    def _cut_at_time(self, file: CheckedFile, path: bytes, where: int) -> bytes:
        try:
            os.ftruncate(file.fd, where)
        except OSError:
            self.end(b"Failed to truncate AOF %b to timestamp %d" % (path, self.until))
        return _CUT_AT_TIME

    def _analyzed(self, file: CheckedFile, name: bytes, good: int, last: bool) -> bytes:
        """Report up to which offset a file is valid, and cut it there if that is requested."""
        size, lost = file.length, file.length - good
        measures = b"size=%d, ok_up_to=%d, ok_up_to_line=%d, diff=%d" % (size, good, self.line, lost)
        self.say(b"AOF analyzed: filename=%b, %b" % (name, measures))
        if lost <= 0:
            return _OK
        if not self.fix:
            self.end(b"AOF %b is not valid. Use the --fix option to try fixing it." % name)
        if not last:
            self.end(b"Failed to truncate AOF %b because it is not the last file" % name)
        self.say(b"This will shrink the AOF %b from %d bytes, with %d bytes, to %d bytes" % (name, size, lost, good))
        self.cut(file, good, b" " + name)
        return _CUT


def _reason(error: OSError) -> bytes:
    return os.strerror(error.errno or errno.EIO).encode()
