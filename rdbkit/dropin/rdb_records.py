"""The records of an RDB, read in the order and with the state of the main loop in redis-check-rdb.

`doing`, `key` and `type` are printed if the next step fails. "Doing" is the last step that set it, not always the one
that failed; the type is 0 before the first key (up to Valkey 8).

Source: BSD Valkey 7.2, valkey-check-rdb.c; 3.2 and 4.0 from the same file of those releases; recorded runs.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from rdbkit.dropin.names import KEPT, SeenNames
from rdbkit.dropin.rdb_loaders import LOADERS
from rdbkit.dropin.rdb_values import ValueSteps
from rdbkit.dropin.reader import Ended, Failure, RdbReader, Refused, Reported
from rdbkit.format import spec
from rdbkit.format.versions import CHECKSUM_SINCE
from rdbkit.rdb.modules import module_name
from rdbkit.releases.check_tools import Tool
from rdbkit.wire.spool import Item

#: RDB versions that Valkey does not use itself, and the first type that has another meaning in these.
_FOREIGN = range(12, 80)
_FOREIGN_TYPE = 22
#: The first opcode that it accepts in any version.
_ANYWHERE = 243
#: Bytes in the name of a slot import.
_JOB_NAME = 40


def shown(text: Item) -> bytes:
    """Return the text that `%s` prints; of a text that is too long for memory, at most the length of a line."""
    return (text if isinstance(text, bytes) else text.head).split(b"\0", 1)[0]


def _atoi(text: bytes) -> int:
    """Read a number as in C: blanks, a sign, digits; the rest is ignored."""
    text = text.lstrip(b" \t\n\v\f\r")
    sign = text[:1] in (b"+", b"-")
    digits = text[sign : len(text) - len(text[sign:].lstrip(b"0123456789"))]
    return int(digits or b"0") * (-1 if text[:1] == b"-" else 1)


class RdbRecords:
    """Reads the records of one file. `say` gets lines of progress, `complain` problems that do not end the check."""

    def __init__(
        self, reader: RdbReader, tool: Tool, say: Callable[[bytes], None], complain: Callable[[str], None]
    ) -> None:
        self.reader = reader
        self.tool = tool
        self.say = say
        self.complain = complain
        self.doing = "start"
        self.key: Item | None = None
        self.type = -1 if tool.foreign else 0
        self.version = 0
        #: The tool's counters.
        self.keys = self.expires = self.expired = self.subexpires = self.functions = self.scripts = 0
        #: When the next key expires, in ms; -1: never.
        self.due = -1
        # Computed once, because it is needed for each record.
        self._opcodes = tool.opcodes
        self._types = frozenset(range(tool.last + 1)) - set(range(8 if tool.words64 else 5, 9))
        self._early = tool.expiry_records
        self._now = int(time.time() * 1000)
        self._templates: dict[int, tuple[bytes, ...]] = {}
        self._values = ValueSteps(reader, SeenNames(), self._templates, LOADERS)

    def all(self) -> None:
        """Read the file to its end, or raise a Failure."""
        self._header()
        while self._record():
            pass
        self._checksum()

    def unknown_version(self) -> str:
        """Return whether the file's version is "foreign" or "future" for the tool, "" for neither."""
        if self.version in _FOREIGN:
            return "foreign"
        return "future" if self.version > self.tool.rdb else ""

    def _header(self) -> None:
        magic = self.reader.take(9)
        if not self.tool.foreign:
            if magic[:5] != b"REDIS":
                raise Refused("Wrong signature trying to load DB from file")
            self.version = _atoi(magic[5:])
            accepted = self.version in range(1, self.tool.rdb + 1)
        elif magic[:6] == b"REDIS0":
            self.version = _atoi(magic[6:])
            accepted = self.version in range(1, _FOREIGN.stop)
        elif magic[:6] == b"VALKEY":
            self.version = _atoi(magic[6:])
            accepted = self.version >= _FOREIGN.start
        else:
            raise Refused("Wrong signature trying to load DB from file")
        if not accepted:
            raise Refused(f"Can't handle RDB format version {self.version}")
        if self.tool.foreign and self.unknown_version():
            self.say(f"{self.unknown_version().capitalize()} RDB version {self.version} detected".encode())

    def _record(self) -> bool:
        """Read one record; False at the end mark."""
        self.doing = "read-type"
        kind = self.reader.u8()
        if self._early:
            self.due = -1
            if kind in (spec.EXPIRETIME, spec.EXPIRETIME_MS):
                self._expiring_entry(kind)
                return True
        if kind == spec.EOF:
            return False
        if self.tool.foreign and self._is_strange(kind):
            version = f"{self.unknown_version()} version {self.version}"
            raise Refused(f"Unknown object type {kind} in RDB file with {version}")
        if kind in self._opcodes:
            _OPCODES[kind](self)
        else:
            self._typed_entry(kind)
        return True

    def _is_strange(self, kind: int) -> bool:
        """Return whether a byte may have a meaning that the tool does not know, by the file's version."""
        unknown_version = self.unknown_version()
        first = _FOREIGN_TYPE if unknown_version == "foreign" else self.tool.last + 1
        return bool(unknown_version) and first <= kind < _ANYWHERE

    def _expiring_entry(self, kind: int) -> None:
        """Up to 4.0 an expiry and its key are one record, -1 is an error, and the type is not checked."""
        self.doing = "read-expire"
        due = self.reader.signed(4 if kind == spec.EXPIRETIME else 8)
        if due == -1:
            raise Ended
        self.doing = "read-type"
        kind, self.due = self.reader.u8(), due * (1000 if kind == spec.EXPIRETIME else 1)
        self._entry(kind)

    def _typed_entry(self, kind: int) -> None:
        if kind not in self._types:
            raise Refused(f"Invalid object type: {kind}")
        self.type = kind
        self._entry(kind)

    def _entry(self, kind: int) -> None:
        self.doing = "read-key"
        self.key = self.reader.string()
        self.keys += 1
        self.doing = "read-object-value"
        if kind not in self._types:
            raise Reported(f"Unknown RDB encoding type {kind}")
        self._value(spec.HASH_2 if kind == 22 and self.tool.hash_2 else kind)
        if self.due != -1:
            self.expires += 1
            self.expired += self.due < self._now
        self.key, self.type, self.due = None, -1, -1

    def _value(self, kind: int) -> None:
        """Read a value; read it again if not all of its names could be held and some may be duplicates."""
        if kind == spec.STRING:
            self.reader.skip_string()
            return
        start = self.reader.offset
        names = SeenNames(kept=KEPT if self.reader.source.seekable else None)
        self._values.names = names
        try:
            self._values.load(kind)
        except Failure:
            self._reread(kind, start, names)
            raise
        self._reread(kind, start, names)
        self.subexpires += self._values.expiring

    def _reread(self, kind: int, start: int, names: SeenNames) -> None:
        suspects = names.suspects()
        if not suspects:
            return
        second = self.reader.again(start)
        try:
            ValueSteps(second, SeenNames(suspects), self._templates, LOADERS).load(kind)
        except Failure:
            # The error found now is before that of the first reading, or is the same.
            self.reader = second
            raise
        finally:
            second.source.close()

    def _checksum(self) -> None:
        if self.version < CHECKSUM_SINCE:
            return
        self.doing = "check-sum"
        expected = self.reader.cursor.checksum()
        stored = int.from_bytes(self.reader.take(8), "little")
        if stored == 0:
            self.say(b"RDB file was saved with checksum disabled: no check performed.")
        elif stored == expected:
            self.say(b"Checksum OK")
        elif self.tool.words64:
            raise Refused("RDB CRC error")
        else:
            # 3.2 continues, and then prints that the RDB looks OK.
            self.complain("RDB CRC error")

    # -- records other than keys -------------------------------------------------------------------------------------

    def _expiretime(self) -> None:
        self.doing = "read-expire"
        self.due = self.reader.signed(4) * 1000

    def _expiretime_ms(self) -> None:
        self.doing = "read-expire"
        self.due = self.reader.signed(8)

    def _freq(self) -> None:
        self.reader.u8()

    def _idle(self) -> None:
        self.reader.length()

    def _selectdb(self) -> None:
        self.doing = "read-len"
        self.say(b"Selecting DB ID %d" % self.reader.length())

    def _resizedb(self) -> None:
        self.doing = "read-len"
        self.reader.length()
        self.reader.length()

    def _aux(self) -> None:
        self.doing = "read-aux"
        name, value = self.reader.string(), self.reader.string()
        self.say(b"AUX FIELD %s = '%s'" % (shown(name), shown(value)))
        self.scripts += shown(name).lower() == b"lua"

    def _module_aux(self) -> None:
        self.doing = "read-module-aux"
        name, _ = module_name(self.reader.length())
        when = self.reader.length()
        self.reader.length()
        if when != spec.MODULE_UINT and self.tool.strict:
            raise Refused("bad when_opcode")
        self.say(f"MODULE AUX for: {name}".encode())
        self._values.parts(name)

    def _function(self) -> None:
        self.doing = "read-functions"
        self._library_part("payload")
        self.functions += 1

    def _library_part(self, what: str) -> None:
        try:
            self.reader.skip_string()
        except Ended as error:
            raise Refused(f"Failed loading library, Failed loading library {what}") from error

    def _function_pre_ga(self) -> None:
        if self.tool.refuses_pre_release:
            raise Refused(f"Pre-release function format not supported {self.version}")
        self.doing = "read-functions"
        self._library_part("name")
        try:
            self.reader.skip_string()
        except Ended as error:
            raise Refused("Failed loading library, Failed loading engine name") from error
        try:
            described = self.reader.length()
        except Ended as error:
            raise Refused("Failed loading library, Failed loading library description indicator") from error
        if described:
            self._library_part("description")
        self._library_part("blob")

    def _slot_info(self) -> None:
        for _ in range(3):
            self.reader.length()

    def _slot_import(self) -> None:
        if self.reader.skip_string() != _JOB_NAME and self.tool.checks_slot_imports:
            raise Refused("Invalid slot import job name length in RDB")
        left = self.reader.length()
        while left > 0:
            self.reader.length()
            self.reader.length()
            left -= 1

    def _x243(self) -> None:
        if self.tool.slot_imports:
            self._slot_import()
            return
        left = self.reader.length()
        while left > 0:
            name, _ = module_name(int.from_bytes(self.reader.take(4), "little") << 10)
            self._values.parts(name)
            left -= 1

    def _hash_template(self) -> None:
        try:
            self._templates.update([self._template()])
        except Ended as error:
            raise Refused("Failed loading hash templates") from error

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


_OPCODES: dict[int, Callable[[RdbRecords], None]] = {
    spec.HASH_TEMPLATE: RdbRecords._hash_template,
    spec.KEY_META: RdbRecords._x243,
    spec.SLOT_INFO: RdbRecords._slot_info,
    spec.FUNCTION2: RdbRecords._function,
    spec.FUNCTION_PRE_GA: RdbRecords._function_pre_ga,
    spec.MODULE_AUX: RdbRecords._module_aux,
    spec.IDLE: RdbRecords._idle,
    spec.FREQ: RdbRecords._freq,
    spec.AUX: RdbRecords._aux,
    spec.RESIZEDB: RdbRecords._resizedb,
    spec.EXPIRETIME_MS: RdbRecords._expiretime_ms,
    spec.EXPIRETIME: RdbRecords._expiretime,
    spec.SELECTDB: RdbRecords._selectdb,
}
