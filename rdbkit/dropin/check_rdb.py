"""redis-check-rdb, and valkey-check-rdb: their arguments, words, order and exit codes, over rdbkit's own reading.

    Checking RDB file …
    one line per AUX field, database, module aux …       read-type, read-aux, read-len, read-module-aux, read-functions
    … or what is wrong, what was being read, and where   read-expire, read-key, read-object-value, check-sum
    Checksum OK, looks OK
    the counts

"While doing" names the last step that set it, not always the one that failed, and the key and type shown are those that
the tool holds by then: the type is 0 before the first key (up to Valkey 8). Where the original crashes or hangs (a file
that ends among a module's parts, a NaN score in 6.2), the line that belongs there is given, and status 1.

Bytes of the file are written as they are, up to a NUL, lines cut at 1023 bytes as there. Source: BSD Valkey 7.2,
valkey-check-rdb.c; aof-and-check.md §3; recorded runs.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from enum import Enum
from typing import BinaryIO, Protocol

from rdbkit.dropin.names import KEPT, Names
from rdbkit.dropin.rdb_values import Values
from rdbkit.dropin.reader import Ended, Failure, Input, Reader, Refused, Reported
from rdbkit.dropin.tools import Tool
from rdbkit.rdb import spec
from rdbkit.rdb.modules import module_name

Write = Callable[[bytes], object]

_MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()
#: The longest line of its messages, in bytes.
_LINE = 1023
#: RDB versions that Valkey leaves to others, and the types and opcodes that mean something else there.
_FOREIGN = range(12, 80)
_FOREIGN_TYPES = range(22, 244)


class Descriptor(Protocol):
    """Something that has an open file's descriptor."""

    fd: int


class Outcome(Enum):
    """How a check ends: EXITED is a refusal upon which the original leaves at once, also from a check of an AOF."""

    SOUND = 0
    DAMAGED = 1
    EXITED = 2


def log_line(tool: Tool, level: str, text: str, now: float | None = None) -> bytes:
    """Return a line as the server's log has it."""
    now = time.time() if now is None else now
    then = time.localtime(now)
    year = f" {then.tm_year}" if tool.year else ""
    clock = time.strftime("%H:%M:%S", then)
    date = f"{then.tm_mday:02} {_MONTHS[then.tm_mon - 1]}{year}"
    return f"{os.getpid()}:{tool.role} {date} {clock}.{int(now * 1000) % 1000:03} {level} {text}\n".encode()


def _shown(text: bytes) -> bytes:
    """Return what `%s` prints of it."""
    return text.split(b"\0", 1)[0]


def _atoi(text: bytes) -> int:
    """Read a number as C does: blanks, a sign, digits, and whatever follows."""
    text = text.lstrip(b" \t\n\v\f\r")
    sign = text[:1] in (b"+", b"-")
    digits = text[sign : len(text) - len(text[sign:].lstrip(b"0123456789"))]
    return int(digits or b"0") * (-1 if text[:1] == b"-" else 1)


class Check:
    """One check of one file: `run`, once. `offset` then tells how many bytes were consumed."""

    def __init__(self, tool: Tool, write: Write) -> None:
        self.tool = tool
        self.write = write
        self.offset = 0
        self._doing = "start"
        self._key: bytes | None = None
        self._type = -1 if tool.foreign else 0
        self._keys = self._expires = self._expired = self._subexpires = self._functions = 0
        self._version = 0
        self._due = -1
        self._now = int(time.time() * 1000)
        self._templates: dict[int, tuple[bytes, ...]] = {}

    def announce(self, name: bytes) -> None:
        """Write the first line."""
        self._info(b"Checking RDB file " + name)

    def run(self, source: Input) -> Outcome:
        """Check the file, and write everything but the first line."""
        self.reader = Reader(source, self.tool)
        self.values = Values(self.reader, Names(), self._templates)
        if self.tool.foreign:
            self._log("*", "Cleaning slot migration log in anticipation of a load operation.")
        try:
            self._header()
            while self._record():
                pass
            self._checksum()
        except Reported as error:
            middle = " offset 0," if self.tool.words64 else ""
            self._error(f"Internal error in RDB reading{middle} function at rdb.c:0 -> {error.text}")
            if self.tool.words64:
                self._log("#", "Terminating server after rdb file reading failure.")
            return Outcome.EXITED
        except Failure as error:
            self._error(error.text)
            self.code(1)
            return Outcome.DAMAGED
        self._sound()
        return Outcome.SOUND

    # -- what it says ------------------------------------------------------------------------------------------------

    def _info(self, text: bytes) -> None:
        self.write(b"[offset %d] %s\n" % (self.offset, text[:_LINE]))

    def _say(self, text: bytes) -> None:
        self.offset = self.reader.offset
        self._info(text)

    def _log(self, level: str, text: str) -> None:
        self.write(log_line(self.tool, level, text))

    def code(self, status: int) -> None:
        """Write the status, where the tool does."""
        if self.tool.foreign:
            self._info(b"Check RDB returned error code %d (0 means success)" % status)

    def _error(self, text: str) -> None:
        self.write(b"--- RDB ERROR DETECTED ---\n")
        self._say(text.encode("latin-1", "replace"))
        self.write(f"[additional info] While doing: {self._doing}\n".encode())
        if self._key is not None:
            self.write(b"[additional info] Reading key '%s'\n" % _shown(self._key))
        if self._type != -1:
            types = self.tool.types
            name = types[self._type] if self._type < len(types) else "unknown"
            self.write(f"[additional info] Reading type {self._type} ({name})\n".encode())
        self._counts()

    def _counts(self) -> None:
        lines = [(self._keys, "keys read"), (self._expires, "expires"), (self._expired, "already expired")]
        if self.tool.since((7, 4), None):
            lines.append((self._subexpires, "subexpires"))
        if self.tool.foreign:
            lines.append((self._functions, "functions"))
        self.write("".join(f"[info] {count} {what}\n" for count, what in lines).encode())

    def _sound(self) -> None:
        self.offset = self.reader.offset
        self.code(0)
        looks = r"\o/ RDB looks OK! \o/"
        if self.tool.foreign and self._stranger():
            looks = r"\o/ RDB looks OK, but loading requires config 'rdb-version-check relaxed'"
        self._info(looks.encode())
        self._counts()

    # -- what it reads -----------------------------------------------------------------------------------------------

    def _stranger(self) -> str:
        if self._version in _FOREIGN:
            return "foreign"
        return "future" if self._version > self.tool.rdb else ""

    def _header(self) -> None:
        magic = self.reader.take(9)
        if not self.tool.foreign:
            if magic[:5] != b"REDIS":
                raise Refused("Wrong signature trying to load DB from file")
            self._version = _atoi(magic[5:])
            accepted = 1 <= self._version <= self.tool.rdb
        elif magic[:6] == b"REDIS0":
            self._version = _atoi(magic[6:])
            accepted = 1 <= self._version < _FOREIGN.stop
        elif magic[:6] == b"VALKEY":
            self._version = _atoi(magic[6:])
            accepted = self._version >= _FOREIGN.stop
        else:
            raise Refused("Wrong signature trying to load DB from file")
        if not accepted:
            raise Refused(f"Can't handle RDB format version {self._version}")
        if self.tool.foreign and self._stranger():
            self._say(f"{self._stranger().capitalize()} RDB version {self._version} detected".encode())

    def _record(self) -> bool:
        """Read one record; False at the end mark."""
        self._doing = "read-type"
        kind = self.reader.u8()
        if not self.tool.since((5,)):
            self._due = -1
            kind = self._early_expiry(kind)
        if kind == spec.EOF:
            return False
        if self.tool.foreign and self._stranger() and kind in _FOREIGN_TYPES:
            version = f"{self._stranger()} version {self._version}"
            raise Refused(f"Unknown object type {kind} in RDB file with {version}")
        if kind in self.tool.opcodes:
            _OPCODES[kind](self)
        else:
            self._entry(kind)
        return True

    def _early_expiry(self, kind: int) -> int:
        """Up to 4.0 an expiry and the type behind it are one step, and -1 is an error; return the type."""
        if kind not in (spec.EXPIRETIME, spec.EXPIRETIME_MS):
            return kind
        self._doing = "read-expire"
        due = self.reader.signed(4 if kind == spec.EXPIRETIME else 8)
        if due == -1:
            raise Ended
        self._doing = "read-type"
        after = self.reader.u8()
        self._due = due * (1000 if kind == spec.EXPIRETIME else 1)
        return after

    def _entry(self, kind: int) -> None:
        first_gap = 8 if self.tool.words64 else 5
        if kind > self.tool.last or kind in range(first_gap, 9):
            raise Refused(f"Invalid object type: {kind}")
        self._type = kind
        self._doing = "read-key"
        self._key = self.reader.string()
        self._keys += 1
        self._doing = "read-object-value"
        self._value(spec.HASH_2 if kind == 22 and self.tool.product == "valkey" else kind)
        if self._due != -1:
            self._expires += 1
            self._expired += self._due < self._now
        self._subexpires += self.values.expiring
        self._key, self._type, self._due = None, -1, -1

    def _value(self, kind: int) -> None:
        """Read a value; once more, if names in it could not all be held and some may be there twice."""
        start = self.reader.offset
        names = Names(kept=KEPT if self.reader.source.seekable else None)
        self.values.names = names
        try:
            self.values.load(kind)
        except Failure:
            self._reread(kind, start, names)
            raise
        self._reread(kind, start, names)

    def _reread(self, kind: int, start: int, names: Names) -> None:
        suspects = names.suspects()
        if not suspects:
            return
        second = self.reader.again(start)
        try:
            Values(second, Names(suspects), self._templates).load(kind)
        except Failure:
            # What is found now lies before what the first reading found, or is the same.
            self.reader = second
            raise
        finally:
            second.source.close()

    def _checksum(self) -> None:
        if self._version < 5:
            return
        self._doing = "check-sum"
        expected = self.reader.cursor.checksum()
        stored = int.from_bytes(self.reader.take(8), "little")
        if stored == 0:
            self._say(b"RDB file was saved with checksum disabled: no check performed.")
        elif stored == expected:
            self._say(b"Checksum OK")
        elif self.tool.words64:
            raise Refused("RDB CRC error")
        else:
            # 3.2 goes on, and then finds that it looks OK.
            self._error("RDB CRC error")

    # -- records other than keys -------------------------------------------------------------------------------------

    def _expiretime(self) -> None:
        self._doing = "read-expire"
        self._due = self.reader.signed(4) * 1000

    def _expiretime_ms(self) -> None:
        self._doing = "read-expire"
        self._due = self.reader.signed(8)

    def _freq(self) -> None:
        self.reader.u8()

    def _idle(self) -> None:
        self.reader.length()

    def _selectdb(self) -> None:
        self._doing = "read-len"
        self._say(b"Selecting DB ID %d" % self.reader.length())

    def _resizedb(self) -> None:
        self._doing = "read-len"
        self.reader.length()
        self.reader.length()

    def _aux(self) -> None:
        self._doing = "read-aux"
        name, value = self.reader.string(), self.reader.string()
        self._say(b"AUX FIELD %s = '%s'" % (_shown(name), _shown(value)))

    def _module_aux(self) -> None:
        self._doing = "read-module-aux"
        name, _ = module_name(self.reader.length())
        when = self.reader.length()
        self.reader.length()
        if when != spec.MODULE_UINT and self.tool.strict:
            raise Refused("bad when_opcode")
        self._say(f"MODULE AUX for: {name}".encode())
        self.values.parts(name)

    def _function(self) -> None:
        self._doing = "read-functions"
        self._library_part("payload")
        self._functions += 1

    def _library_part(self, what: str) -> None:
        try:
            self.reader.skip_string()
        except Ended:
            raise Refused(f"Failed loading library, Failed loading library {what}") from None

    def _function_pre_ga(self) -> None:
        if self.tool.since((7, 2)):
            raise Refused(f"Pre-release function format not supported {self._version}")
        self._doing = "read-functions"
        self._library_part("name")
        try:
            self.reader.skip_string()
        except Ended:
            raise Refused("Failed loading library, Failed loading engine name") from None
        try:
            described = self.reader.length()
        except Ended:
            raise Refused("Failed loading library, Failed loading library description indicator") from None
        if described:
            self._library_part("description")
        self._library_part("blob")

    def _slot_info(self) -> None:
        for _ in range(3):
            self.reader.length()

    def _slot_import(self) -> None:
        self.reader.skip_string()
        left = self.reader.length()
        while left > 0:
            self.reader.length()
            self.reader.length()
            left -= 1

    def _x243(self) -> None:
        if self.tool.product == "valkey":
            self._slot_import()
            return
        left = self.reader.length()
        while left > 0:
            name, _ = module_name(int.from_bytes(self.reader.take(4), "little") << 10)
            self.values.parts(name)
            left -= 1

    def _hash_template(self) -> None:
        try:
            self._templates.update([self._template()])
        except Ended:
            raise Refused("Failed loading hash templates") from None

    def _template(self) -> tuple[int, tuple[bytes, ...]]:
        number = self.reader.length()
        left = self.reader.length()
        names: list[bytes] = []
        while left > 0:
            names.append(self.reader.string())
            left -= 1
        if not names or number in self._templates:
            raise Ended
        return number, tuple(names)


_OPCODES: dict[int, Callable[[Check], None]] = {
    spec.HASH_TEMPLATE: Check._hash_template,
    spec.KEY_META: Check._x243,
    spec.SLOT_INFO: Check._slot_info,
    spec.FUNCTION2: Check._function,
    spec.FUNCTION_PRE_GA: Check._function_pre_ga,
    spec.MODULE_AUX: Check._module_aux,
    spec.IDLE: Check._idle,
    spec.FREQ: Check._freq,
    spec.AUX: Check._aux,
    spec.RESIZEDB: Check._resizedb,
    spec.EXPIRETIME_MS: Check._expiretime_ms,
    spec.EXPIRETIME: Check._expiretime,
    spec.SELECTDB: Check._selectdb,
}


class Exited(Exception):
    """The original leaves on the spot, with status 1, and so must whoever asked for the check of a preamble."""


def check_preamble(tool: Tool, file: Descriptor, shown: bytes, out: BinaryIO) -> int | None:
    """Check the RDB at the start of an open file; return where it ends, None if it is damaged.

    `shown` is how the file is called in the first line. Where the file stands is left alone. Raises Exited.
    """
    check = Check(tool, out.write)
    check.announce(shown)
    source = Input(file.fd)
    try:
        outcome = check.run(source)
    finally:
        source.close()
    if outcome is Outcome.EXITED:
        raise Exited
    return check.offset if outcome is Outcome.SOUND else None


def main(arguments: Sequence[str], tool: Tool, out: Write, err: Write) -> int:
    """Do what the tool does with these arguments; return its exit status."""
    if len(arguments) != 1:
        options = " [--format table|info|csv] [--stats] [--output <file>]" if tool.since(None, (9, 1)) else ""
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
