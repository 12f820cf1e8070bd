"""Values of an RDB, checked in the order in which rdb.c loads them: one function per layout.

Nothing is built. The imitated tools print the first problem and the number of bytes consumed before it, so every loader
follows the original's steps; structures in strings are checked by dropin/packed.py. Values that only Redis after 7.2
writes are read by rdbkit's own decoders, with messages similar to those that were recorded.

The tools report an empty value as "Unexpected EOF", from 6.2 on, although a server skips it.

Source: BSD Valkey 7.2, rdb.c (rdbLoadObject), and recorded runs of later tools.
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Callable, Mapping
from types import ModuleType

from rdbkit.dropin.names import SeenNames
from rdbkit.dropin.packed import batches
from rdbkit.dropin.reader import ALLOCATABLE, Ended, RdbReader, Reported, times
from rdbkit.errors import Corrupt, Truncated
from rdbkit.format import spec
from rdbkit.rdb.modules import module_name
from rdbkit.rdb.values import Decoder
from rdbkit.wire import intset, listpack, ziplist
from rdbkit.wire.cursor import Cursor
from rdbkit.wire.spool import MEASURED, Spool

#: A set or sorted set with at least this many members gets its table at once.
_INTSET = 512
#: The text that sscanf("%lg") of glibc accepts as a number; it ignores the rest.
_NUMBER = re.compile(
    rb"[ \t-\r]*[+-]?(?:(?P<nan>nan)|inf(?!i)|infinity|0x[0-9a-f.]|(?!0x)\.?[0-9])",
    re.IGNORECASE,
)


#: Functions that check a value, by the id of its type (rdb_loaders.LOADERS).
Loaders = Mapping[int, Callable[["ValueSteps", int], None]]


class ValueSteps:
    """Checks values of one file. `names` is replaced for a second reading, which looks for suspects only."""

    def __init__(
        self, reader: RdbReader, names: SeenNames, templates: dict[int, tuple[bytes, ...]], loaders: Loaders
    ) -> None:
        self.reader = reader
        self._loaders = loaders
        self.tool = reader.tool
        self.names = names
        self.templates = templates
        #: Whether the last hash had fields that expire.
        self.expiring = False

    def load(self, kind: int) -> None:
        """Check a value of this type (an id of format.spec). Raises Failure."""
        self.expiring = False
        self._loaders[kind](self, kind)

    # -- helpers -----------------------------------------------------------------------------------------------------

    def nonzero(self, count: int) -> int:
        """Return the count. Raises Ended for 0, if that is an error for the tool."""
        if count == 0 and self.tool.deep:
            raise Ended
        return count

    def new_names(self) -> SeenNames:
        """Return the collector of names, cleared for another list of them."""
        self.names.clear()
        return self.names

    def table(self, count: int) -> None:
        """Check that a hash table of that many entries can be allocated, which the original does before the first."""
        if self.tool.buckets:
            # A bucket has 64 bytes, and there is one for 6.4 entries.
            size, what = 64 << ((count * 5 - 1) // 32).bit_length(), "hashtableTryExpand"
        else:
            size, what = 8 << max(2, (count - 1).bit_length()), "dictTryExpand"
        # From 2^64 on the size of the table overflows, and so nothing is allocated.
        if self.tool.deep and ALLOCATABLE <= size < 1 << 64:
            raise Reported(f"OOM in {what} {count}")

    def items(self, codec: ModuleType, complaint: str, step: int = 0) -> int:
        """Check a blob; return how many items it has. Every `step`-th is a name: unique, and followed by its value."""

        def judge(inside: bytes | Cursor, size: int) -> int:
            names = self.new_names()
            total = 0
            for batch in batches(codec, inside, size, self.tool):
                total += len(batch)
                if step and any(map(names.add, batch[::step])):
                    raise Corrupt("names twice", code="bad-blob")
            if step and total % step:
                raise Corrupt("a name without its value", code="bad-blob")
            return total

        return self.judged(judge, complaint)

    def judged(self, judge: Callable[[bytes | Cursor, int], int], complaint: str) -> int:
        """Read a string and check it by `judge`. Raises Reported if it is invalid; before 6.2 it is not checked."""
        if not self.tool.deep:
            self.reader.skip_string()
            return 1
        _, found = self.reader.blob(judge)
        if found is None:
            raise Reported(complaint)
        return found

    # -- strings, lists, sets ------------------------------------------------------------------------------------------

    def string(self, kind: int) -> None:
        """STRING."""
        self.reader.skip_string()

    def list_(self, kind: int) -> None:
        """LIST."""
        for _ in times(self.nonzero(self.reader.length())):
            self.reader.skip_string()

    def set_(self, kind: int) -> None:
        """SET: the table is allocated at once, or at the first member that is not an integer (from 7.2: see below)."""
        reader = self.reader
        count = self.nonzero(reader.length())
        if count > _INTSET:
            self.table(count)
        names = self.new_names()
        for _ in times(count):
            if names.add(reader.string()) and self.tool.deep:
                raise Reported("Duplicate set members detected")

    def set_intset(self, kind: int) -> None:
        """SET_INTSET."""

        def judge(inside: bytes | Cursor, size: int) -> int:
            found = intset.Reader(Cursor(inside, blob=0) if isinstance(inside, bytes) else inside, size)
            while found.read(4096):
                pass
            return found.count

        self.judged(judge, "Intset integrity check failed.")

    def list_ziplist(self, kind: int) -> None:
        """LIST_ZIPLIST."""
        self.nonzero(self.items(ziplist, "List ziplist integrity check failed."))

    def set_listpack(self, kind: int) -> None:
        """SET_LISTPACK."""
        self.nonzero(self.items(listpack, "Set listpack integrity check failed.", 1))

    def quicklist(self, kind: int) -> None:
        """LIST_QUICKLIST and LIST_QUICKLIST_2: empty nodes are skipped, unless all are empty."""
        reader = self.reader
        left = self.nonzero(reader.length())
        total = 0
        for _ in times(left):
            packed = True
            if kind == spec.LIST_QUICKLIST_2:
                container = reader.length()
                if container not in (spec.PLAIN, spec.PACKED):
                    raise Reported("Quicklist integrity check failed.")
                packed = container == spec.PACKED
            total += self._node(kind, packed)
        self.nonzero(total)

    def _node(self, kind: int, packed: bool) -> int:
        if not self.tool.deep:
            self.reader.skip_string()
            return 1
        if not packed:
            return self.filled(self.reader.skip_string())
        codec, what = (listpack, "Listpack") if kind == spec.LIST_QUICKLIST_2 else (ziplist, "Ziplist")

        def judge(inside: bytes | Cursor, size: int) -> int:
            return sum(map(len, batches(codec, inside, size, self.tool)))

        size, found = self.reader.blob(judge)
        self.filled(size)
        if found is None:
            raise Reported(f"{what} integrity check failed.")
        return found

    def filled(self, size: int) -> int:
        """Return 1. Raises Ended for a node of 0 bytes."""
        if size == 0 and self.tool.strict:
            raise Ended
        return 1

    # -- sorted sets ---------------------------------------------------------------------------------------------------

    def zset(self, kind: int) -> None:
        """ZSET and ZSET_2."""
        reader = self.reader
        count = self.nonzero(reader.length())
        self.table(count)
        names = self.new_names()
        for _ in times(count):
            name = reader.string()
            nan = self._text_score() if kind == spec.ZSET else math.isnan(struct.unpack("<d", reader.take(8))[0])
            if not self.tool.deep:
                continue
            # 6.2 aborts here and prints a crash report, so the message of its successors is used.
            if nan:
                raise Reported("Zset with NAN score detected")
            if names.add(name):
                raise Reported("Duplicate zset fields detected")

    def _text_score(self) -> bool:
        """Read an old score; return whether it is NaN."""
        size = self.reader.u8()
        if size >= 253:
            return size == 253
        text = self.reader.take(size).split(b"\0", 1)[0]
        match = _NUMBER.match(text)
        if match is None:
            raise Ended
        return match["nan"] is not None

    def zset_ziplist(self, kind: int) -> None:
        """ZSET_ZIPLIST: scores are not checked."""
        self.nonzero(self.items(ziplist, "Zset ziplist integrity check failed.", 2))

    def zset_listpack(self, kind: int) -> None:
        """ZSET_LISTPACK."""
        self.nonzero(self.items(listpack, "Zset listpack integrity check failed.", 2))

    # -- modules, and types added after 7.2 ----------------------------------------------------------------------------

    def module(self, kind: int) -> None:
        """MODULE_2: typed parts, up to the end mark."""
        self.parts(self._module_id())

    def _module_id(self) -> str:
        try:
            return module_name(self.reader.number())[0]
        except Ended as error:
            raise Reported("Short read module id") from error

    def parts(self, name: str) -> None:
        """Check a module's parts. Up to Redis 8.6 a part of unknown kind is a part without contents."""
        reader = self.reader
        while part := self._part_kind(name):
            if part in (spec.MODULE_SINT, spec.MODULE_UINT):
                self._part(reader.number, "integer", name)
            elif part == spec.MODULE_STRING:
                self._part(reader.skip_string, "string", name)
            elif part == spec.MODULE_FLOAT:
                self._part(lambda: reader.take(4), "float", name)
            elif part == spec.MODULE_DOUBLE:
                self._part(lambda: reader.take(8), "double", name)
            elif self.tool.strict_modules:
                raise Reported(f"Unknown module opcode {part} reading module {name} value")

    def _part_kind(self, name: str) -> int:
        try:
            return self.reader.number()
        except Ended as error:
            # Up to 8.6 the end of the file is read as an unknown kind, and the loop never ends.
            if self.tool.strict_modules:
                raise Reported(f"Unknown module opcode {(1 << 64) - 1} reading module {name} value") from error
            raise

    def _part(self, read: Callable[[], object], what: str, name: str) -> None:
        try:
            read()
        except Ended as error:
            raise Reported(f"Error reading {what} from module {name} value") from error

    def module_pre_ga(self, kind: int) -> None:
        """MODULE_PRE_GA: opaque."""
        if self.tool.refuses_pre_release:
            raise Reported("Pre-release module format not supported")
        name = self._module_id()
        raise Reported(f"The RDB file contains module data I can't load: no matching module type '{name}'")

    def decoded(self, kind: int) -> None:
        """All other types, as rdbkit's own decoders read them."""
        decoder = Decoder(kind, self.reader.cursor, self.templates, Spool(MEASURED))
        try:
            for _ in decoder.parts():
                pass
        except Truncated:
            raise Ended from None
        except Corrupt:
            raise Reported(f"{decoder.type.capitalize()} integrity check failed.") from None
