# cython: language_level=3, annotation_typing=False, boundscheck=False, wraparound=False
# cython: cdivision=True, initializedcheck=False
"""The walk over one entry's body: it finds the end and the shape of a value, without building the value.

There are two depths. `skip` finds the end and trusts every length; `shape` also counts and sums (format/shape.py). A
blob is read only if its head does not have the numbers: an LZF string's unpacked size is in its header, a listpack's
and a ziplist's byte size and count are in their first six or ten bytes, so unpacking these is enough.

Types are grouped by layout, not by meaning: a set written item by item and a list are the same walk.
"""

from __future__ import annotations

from typing import Any

from rdbkit.errors import Corrupt, Unsupported
from rdbkit.format import spec
from rdbkit.format.shape import Shape
from rdbkit.wire import listpack, lzf, roaring, ziplist, zipmap
from rdbkit.wire.cursor import Cursor, digits
from rdbkit.wire.spool import MEASURED, Spool

# The numbers that the walk compares with, as machine words where it is compiled (the .pxd types them).
_STRING = spec.STRING
_LIST = spec.LIST
_SET = spec.SET
_ZSET = spec.ZSET
_HASH = spec.HASH
_ZSET_2 = spec.ZSET_2
_MODULE_2 = spec.MODULE_2
_HASH_ZIPMAP = spec.HASH_ZIPMAP
_SET_INTSET = spec.SET_INTSET
_LIST_QUICKLIST = spec.LIST_QUICKLIST
_LIST_QUICKLIST_2 = spec.LIST_QUICKLIST_2
_HASH_2 = spec.HASH_2
_HASH_METADATA = spec.HASH_METADATA
_HASH_METADATA_PRE_GA = spec.HASH_METADATA_PRE_GA
_HASH_LISTPACK_EX = spec.HASH_LISTPACK_EX
_ARRAY = spec.ARRAY
_HASH_TMPL_ARRAY_REF = spec.HASH_TMPL_ARRAY_REF
_HASH_TMPL_ARRAY = spec.HASH_TMPL_ARRAY
_HASH_TMPL_LP = spec.HASH_TMPL_LP
_HASH_TMPL_LP_REF = spec.HASH_TMPL_LP_REF
_CRON = spec.CRON
_PATH_HASH = spec.PATH_HASH
_BITMAP = spec.BITMAP
_STREAM_LISTPACKS = spec.STREAM_LISTPACKS
_STREAM_LISTPACKS_3 = spec.STREAM_LISTPACKS_3
_STREAM_LISTPACKS_4 = spec.STREAM_LISTPACKS_4
_STREAM_LISTPACKS_5 = spec.STREAM_LISTPACKS_5
_MODULE_EOF = spec.MODULE_EOF
_MODULE_SINT = spec.MODULE_SINT
_MODULE_UINT = spec.MODULE_UINT
_MODULE_FLOAT = spec.MODULE_FLOAT
_MODULE_DOUBLE = spec.MODULE_DOUBLE
_MODULE_STRING = spec.MODULE_STRING
_PLAIN = spec.PLAIN
_PACKED = spec.PACKED
_ARRAY_STRING = spec.ARRAY_STRING
_ARRAY_INT = spec.ARRAY_INT
_ARRAY_FLOAT = spec.ARRAY_FLOAT
_ARRAY_SMALL_STRING = spec.ARRAY_SMALL_STRING

#: Packed bytes that are enough to unpack the ten bytes of a ziplist's head: one literal run, or a few short ones.
_HEAD = 48
#: Types whose body is one string.
_ONE_STRING = {
    spec.STRING,
    spec.HASH_ZIPMAP,
    spec.LIST_ZIPLIST,
    spec.SET_INTSET,
    spec.ZSET_ZIPLIST,
    spec.HASH_ZIPLIST,
    spec.HASH_LISTPACK,
    spec.ZSET_LISTPACK,
    spec.SET_LISTPACK,
    spec.HASH_LISTPACK_EX_PRE_GA,
    spec.HASH_TMPL_LP_REF,
}
_STREAMS = {
    spec.STREAM_LISTPACKS,
    spec.STREAM_LISTPACKS_2,
    spec.STREAM_LISTPACKS_3,
    spec.STREAM_LISTPACKS_4,
    spec.STREAM_LISTPACKS_5,
}
#: Blobs by kind of container, and how many items make one element.
_ZIPLISTS = {spec.LIST_ZIPLIST: 1, spec.ZSET_ZIPLIST: 2, spec.HASH_ZIPLIST: 2}
_LISTPACKS = {
    spec.HASH_LISTPACK: 2,
    spec.ZSET_LISTPACK: 2,
    spec.SET_LISTPACK: 1,
    spec.HASH_LISTPACK_EX_PRE_GA: 3,
    spec.HASH_LISTPACK_EX: 3,
    spec.HASH_TMPL_LP_REF: 1,
}
#: A blob's count if the number does not fit: the items have to be counted.
_UNKNOWN = 0xFFFF
#: Items read at a time in a blob.
_BATCH = 1024
#: Only blobs this long can hold an entry of 16383 bytes or more, whose back-length shows the generation of its writer.
_TELLING = 1 << 14
#: Longer texts are not integers.
_DIGITS = 20
#: For items of which a target limits no length.
_NO_LIMIT = 1 << 62
#: For items that are too long for memory: only their lengths matter here.
_MEASURE = Spool(MEASURED)


class Body:
    """Walks the bodies of entries on one cursor.

    `limits` are the target's longest compact items for hash, set, zset and list (Shape.OVER); `converts`: whether the
    target converts ziplists to listpacks; `lists` (releases.limits.ListLimits): how it builds nodes from an old list's
    elements, None for targets that do not.
    `templates` maps a hash template's id to its field names (RDB 15), and is filled by the walker.

    If `watches` is set, listpacks of 16 KiB and more are walked: `old_widths` and `new_widths` count, in the current
    body, the back-lengths that only servers before, or from, Valkey 9.1 and Redis 8.8 write (wire.listpack).
    """

    def __init__(
        self,
        cursor: Cursor,
        limits: tuple[int, int, int, int] = (64, 64, 64, 64),
        converts: bool = False,
        lists: tuple[int, int, int, int, int] | None = None,
        templates: dict[int, tuple[bytes, ...]] | None = None,
    ) -> None:
        self.cursor = cursor
        self.aim(limits, converts, lists)
        self.templates: dict[int, tuple[bytes, ...]] = {} if templates is None else templates
        self.watches = False
        self._clear()

    def aim(
        self, limits: tuple[int, int, int, int], converts: bool, lists: tuple[int, int, int, int, int] | None
    ) -> None:
        """Set what depends on the target."""
        self.hash_limit, self.set_limit, self.zset_limit, self.list_limit = limits
        self.converts = converts
        self.lists = lists
        self.push_bytes, self.push_count, self.push_plain = (0, 0, 0) if lists is None else lists[:3]

    def _clear(self) -> None:
        self.elements = 0
        self.length = 0
        self.longest = 0
        self.over = -1
        self.text = -1
        self.low = 0
        self.high = 0
        self.blob = 0
        self.stored = 0
        self.nodes = 0
        self.plain = 0
        self.listpack = 0
        self.detail: Any = None
        self.old_widths = 0
        self.new_widths = 0
        # Of the current blob: its first bytes, its offset, its size, how many bytes are stored (-1: as many).
        self.head = b""
        self.start = 0
        self.size = 0
        self.packed = -1

    # -- skip ------------------------------------------------------------------------------------------------------

    def skip(self, kind: int) -> int:
        """Skip a body, trusting its lengths."""
        cursor = self.cursor
        if kind in _ONE_STRING:
            cursor.skip_string()
        elif kind == _HASH:
            self._skip_items(cursor.claim() * 2, 1, 0)
        elif kind in (_LIST, _SET, _LIST_QUICKLIST):
            self._skip_items(cursor.claim(), 1, 0)
        elif kind == _ZSET_2:
            self._skip_items(cursor.claim(), 1, 8)
        elif kind == _HASH_2:
            self._skip_items(cursor.claim(), 2, 8)
        elif kind == _HASH_LISTPACK_EX:
            cursor.skip(8)
            cursor.skip_string()
        elif kind == _LIST_QUICKLIST_2:
            for _ in range(cursor.claim()):
                cursor.length()
                cursor.skip_string()
        elif kind in _STREAMS:
            self._skip_items(cursor.claim(), 2, 0)
            self._behind_nodes(kind)
        elif kind == _BITMAP:
            cursor.length()
            cursor.skip_string()
        elif kind == _HASH_TMPL_LP:
            self._skip_names()
            cursor.skip_string()
        else:
            # Their shape needs only lengths and tags, so the same walk serves here.
            self.shape(kind)
        return 0

    def _skip_names(self) -> int:
        cursor = self.cursor
        start = cursor.tell()
        form = cursor.length()
        if form > 1:
            raise Corrupt(f"form {form} of template names", offset=start, code="bad-template")
        if form:
            self._skip_items(cursor.claim(), 1, 0)
        else:
            cursor.skip_string()
        return 0

    def _skip_items(self, count: int, strings: int, tail: int) -> int:
        cursor = self.cursor
        while count > 0:
            for _ in range(strings):
                cursor.skip_string()
            if tail:
                cursor.skip(tail)
            count -= 1
        return 0

    # -- shape -----------------------------------------------------------------------------------------------------

    def shape(self, kind: int) -> Shape:
        """Walk a body and return its shape."""
        self._clear()
        if kind == _STRING:
            self._string()
        elif kind < _LIST_QUICKLIST:
            self._early(kind)
        else:
            self._late(kind)
        return (
            self.elements,
            self.length,
            self.longest,
            self.over,
            self.text,
            self.low,
            self.high,
            self.blob,
            self.stored,
            self.nodes,
            self.plain,
            self.listpack,
            self.detail,
        )

    def _early(self, kind: int) -> None:
        if kind == _HASH:
            self._items(self.cursor.claim(), 2, 0, self.hash_limit)
        elif kind == _SET:
            self._set()
        elif kind == _LIST:
            self._list()
        elif kind == _ZSET_2:
            self._items(self.cursor.claim(), 1, 8, self.zset_limit)
        elif kind == _ZSET:
            self._items(self.cursor.claim(), 1, -1, self.zset_limit)
        elif kind == _MODULE_2:
            self._module()
        elif kind == _SET_INTSET:
            self._intset()
        elif kind == _HASH_ZIPMAP:
            self._zipmap()
        elif kind in _ZIPLISTS:
            self.elements = self._ziplist() // _ZIPLISTS[kind]
            self.nodes = 1
        else:
            self._unknown(kind)

    def _late(self, kind: int) -> None:
        cursor = self.cursor
        if kind in _LISTPACKS:
            if kind == _HASH_LISTPACK_EX:
                cursor.skip(8)
            self.elements = self._listpack() // _LISTPACKS[kind]
            self.nodes = 1
            if kind == _HASH_TMPL_LP_REF:
                self.elements -= 1
                self.detail = listpack.first_number(self.head)
        elif kind == _LIST_QUICKLIST or kind == _LIST_QUICKLIST_2:
            self._quicklist(kind == _LIST_QUICKLIST_2)
        elif kind in _STREAMS:
            self._stream(kind)
        elif kind == _HASH_2:
            self._items(cursor.claim(), 2, 8, self.hash_limit)
        elif kind == _HASH_METADATA or kind == _HASH_METADATA_PRE_GA:
            if kind == _HASH_METADATA:
                cursor.skip(8)
            self._items(cursor.claim(), 2, -2, self.hash_limit)
        elif kind == _ARRAY:
            self._array()
        elif kind in (_HASH_TMPL_ARRAY_REF, _HASH_TMPL_ARRAY, _HASH_TMPL_LP):
            self._template(kind)
        elif kind == _PATH_HASH:
            self._path_hash()
        elif kind == _BITMAP:
            self._bitmap()
        elif kind == _CRON:
            self._cron()
        else:
            self._unknown(kind)

    def _unknown(self, kind: int) -> None:
        row = spec.BY_ID[kind]
        raise Unsupported(
            f"type {row.number} {row.name} ({row.server}) is known by name only",
            offset=self.cursor.tell(),
            code="unsupported-type",
        )

    def _string(self) -> int:
        cursor = self.cursor
        start = cursor.pos
        if start < cursor.end:
            first = cursor.view[start]
            if first > 20 and first < 0x40 and first < cursor.end - start:
                cursor.pos = start + 1 + first
                self.length = first
                self.stored = 1 + first
                self.elements = 1
                self.text = 0
                return 0
        before = cursor.tell()
        cursor.need(1)
        first = cursor.view[cursor.pos]
        self.elements = 1
        if first <= 20:
            text = cursor.take(1 + first)[1:]
            self.length = first
            self._number(text)
        elif first >= 0xC0 and first < 0xC3:
            self.low = self.high = cursor.small()
            self.length = digits(self.low)
        else:
            self.length = self._long_string()
        self.stored = cursor.tell() - before
        return 0

    def _long_string(self) -> int:
        """Skip a string that is not in its short raw form; it can be a short text in a long form, so a number."""
        cursor = self.cursor
        start = cursor.tell()
        if cursor.view[cursor.pos] == 0xC3:
            packed, size = cursor.packed()
            if size > 20:
                cursor.skip(packed)
            else:
                self._number(cursor.unpack(packed, size, start))
                return size
        else:
            size = cursor.claim()
            if size <= 20:
                self._number(cursor.take(size))
                return size
            cursor.skip(size)
        self.text = 0
        return size

    def _number(self, text: bytes) -> int:
        """Record whether a short string is a number, and which."""
        if listpack.is_integer(text):
            self.low = self.high = int(text)
        else:
            self.text = 0
        return 0

    def _items(self, count: int, strings: int, tail: int, limit: int) -> int:
        """Walk `count` elements of `strings` strings each.

        `tail` bytes follow each element; -1: the text double of an old sorted set; -2: a length comes before each
        element instead (a field's expiry). One function, because the compiled loop must not make a call per item.
        """
        cursor = self.cursor
        view = cursor.view
        pos = cursor.pos
        end = cursor.end
        length = self.length
        longest = self.longest
        index = self.elements
        count += index
        while index < count:
            if tail == -2:
                cursor.pos = pos
                cursor.length()
                view = cursor.view
                pos = cursor.pos
                end = cursor.end
            for _ in range(strings):
                size = view[pos] if pos < end else 0xFF
                if size < 0x40 and size < end - pos:
                    pos += 1 + size
                elif size == 0xC0 and end - pos > 1:
                    # A number from -128 to 127, the most common one; two's complement. Only its length matters.
                    size = view[pos + 1]
                    if size < 0x80:
                        size = 1 if size < 10 else 2 if size < 100 else 3
                    else:
                        size = 2 if size > 246 else 3 if size > 156 else 4
                    pos += 2
                else:
                    cursor.pos = pos
                    size = cursor.skip_string()
                    view = cursor.view
                    pos = cursor.pos
                    end = cursor.end
                length += size
                if size > longest:
                    longest = size
                    if size > limit and self.over < 0:
                        self.over = index
            if tail > 0:
                if tail <= end - pos:
                    pos += tail
                else:
                    cursor.pos = pos
                    cursor.skip(tail)
                    view = cursor.view
                    pos = cursor.pos
                    end = cursor.end
            elif tail == -1:
                cursor.pos = pos
                size = cursor.u8()
                if size < 253:
                    cursor.skip(size)
                view = cursor.view
                pos = cursor.pos
                end = cursor.end
            index += 1
        cursor.pos = pos
        self.elements = index
        self.length = length
        self.longest = longest
        return 0

    def _set(self) -> int:
        """Walk a set: member by member while they are integers, then like any other items."""
        cursor = self.cursor
        count = cursor.claim()
        while self.elements < count:
            cursor.need(1)
            first = cursor.view[cursor.pos]
            if first > 20 and first < 0xC0:
                self.text = self.elements
                break
            if first >= 0xC0 and first < 0xC3:
                number = cursor.small()
                size = digits(number)
                self.elements += 1
                self.length += size
                if size > self.longest:
                    self.longest = size
            else:
                member = cursor.string_up_to(_DIGITS)
                self._measure(cursor.passed if member is None else len(member), self.set_limit)
                if member is None or not listpack.is_integer(member):
                    self.text = self.elements - 1
                    break
                number = int(member)
            if self.elements == 1 or number < self.low:
                self.low = number
            if self.elements == 1 or number > self.high:
                self.high = number
        return self._items(count - self.elements, 1, 0, self.set_limit)

    def _measure(self, size: int, limit: int) -> None:
        self.length += size
        if size > self.longest:
            self.longest = size
            if size > limit and self.over < 0:
                self.over = self.elements
        self.elements += 1

    def _list(self) -> int:
        cursor = self.cursor
        count = cursor.claim()
        if self.lists is None:
            return self._items(count, 1, 0, self.list_limit)
        node = held = 0
        while count > 0:
            start = cursor.tell()
            entry = self._pushed()
            if self.size > self.push_plain:
                self.plain += 1
                self.nodes += 1
                self.blob += self.size
                node = 0
            else:
                if not node or node + self.size + 8 > self.push_bytes or held >= self.push_count:
                    self.nodes += 1
                    self.listpack += 7
                    node = 7
                    held = 0
                node += entry
                held += 1
                self.listpack += entry
            self.stored += cursor.tell() - start
            count -= 1
        return 0

    def _pushed(self) -> int:
        """Skip one element of an old list; return its size as a listpack entry."""
        item = self.cursor.string_up_to(_DIGITS)
        self.size = self.cursor.passed if item is None else len(item)
        self._measure(self.size, self.list_limit)
        return listpack.string_entry(self.size) if item is None else listpack.measure([item]) - 7

    # -- blobs -----------------------------------------------------------------------------------------------------

    def _open(self, least: int, what: str) -> bytes:
        """Read a blob's head and return the first bytes of its unpacked data; call `_pass` or `_inside` next."""
        cursor = self.cursor
        start = cursor.tell()
        cursor.need(1)
        first = cursor.view[cursor.pos]
        if first >= 0xC0 and first < 0xC3:
            raise Corrupt(f"a number where a {what} is due", offset=start, code=f"bad-{what}")
        size, packed = cursor.head()
        if size < least:
            raise Corrupt(f"a {what} of {size} bytes", offset=start, code=f"bad-{what}")
        if packed < 0:
            ahead = min(size, 16)
            cursor.need(ahead)
            head = cursor.view[cursor.pos : cursor.pos + ahead]
        else:
            ahead = min(packed, _HEAD)
            cursor.need(ahead)
            head = lzf.head(cursor.view[cursor.pos : cursor.pos + ahead], 16, size, start)
        self.head = head
        self.start = start
        self.size = size
        self.packed = packed
        self.blob += size
        self.stored += size if packed < 0 else packed
        return head

    def _pass(self) -> int:
        return self.cursor.skip(self.size if self.packed < 0 else self.packed)

    def _inside(self) -> Cursor:
        inside = self.cursor.inner(self.size, self.packed, self.start)
        inside.spool = _MEASURE
        return inside

    def _listpack(self) -> int:
        """Skip a listpack; return how many items it holds."""
        head = self._open(7, "listpack")
        total = _word(head, 0)
        count = head[4] | head[5] << 8
        self._agree("listpack", total)
        self.listpack += total
        return self._held(count, True)

    def _ziplist(self) -> int:
        """Skip a ziplist; return how many items it holds."""
        head = self._open(11, "ziplist")
        total = _word(head, 0)
        count = head[8] | head[9] << 8
        self._agree("ziplist", total)
        if self.converts:
            return self._convert()
        return self._held(count, False)

    def _held(self, count: int, packed_list: bool) -> int:
        """Skip the current blob, whose head states `count` items; return how many it holds."""
        if count == _UNKNOWN or (self.watches and packed_list and self.size >= _TELLING):
            return self._count((listpack.Reader if packed_list else ziplist.Reader)(self._inside(), self.size))
        self._pass()
        return count

    def _agree(self, what: str, total: int) -> None:
        if total != self.size:
            raise Corrupt(
                f"a {what} of {self.size} bytes says that it has {total}", offset=self.start, code=f"bad-{what}"
            )

    def _count(self, reader: Any) -> int:
        """Count the items of a blob whose head does not have the number."""
        count = 0
        while True:
            got = len(reader.read(_BATCH))
            if not got:
                self._widths(reader)
                return count
            count += got

    def _widths(self, reader: Any) -> None:
        if isinstance(reader, listpack.Reader):
            self.old_widths += reader.old_widths
            self.new_widths += reader.new_widths

    def _convert(self) -> int:
        """Walk a ziplist; add the size of the target's listpack of the same items; return their count."""
        reader = ziplist.Reader(self._inside(), self.size)
        count = 0
        self.listpack += 7
        while True:
            items = reader.read(_BATCH)
            if not items:
                return count
            count += len(items)
            self.listpack += listpack.measure(items) - 7

    def _intset(self) -> None:
        self._intset_head(self._open(8, "intset"))
        self._pass()

    def _intset_head(self, head: bytes) -> tuple[int, int]:
        """Check an intset's head; return its integers' width and their number."""
        width = _word(head, 0)
        count = _word(head, 4)
        if width not in (2, 4, 8) or self.size != 8 + width * count or not count:
            raise Corrupt(
                f"an intset of {self.size} bytes says that it has {count} integers of {width}",
                offset=self.start,
                code="bad-intset",
            )
        self.elements = count
        self.nodes = 1
        if len(head) >= 8 + width:
            self.low = int.from_bytes(head[8 : 8 + width], "little", signed=True)
        return width, count

    def _zipmap(self) -> None:
        self._open(2, "zipmap")
        reader = zipmap.Reader(self._inside(), self.size)
        self.listpack += 7
        while True:
            items = reader.read(_BATCH)
            if not items:
                break
            self._zipped(items)
        self.nodes = 1

    def _zipped(self, items: list[Any]) -> None:
        """Measure some pairs of a zipmap."""
        limit = self.hash_limit
        for index in range(0, len(items), 2):
            self._measure(len(items[index]), limit)
            self.elements -= 1
            self._measure(len(items[index + 1]), limit)
        self.listpack += listpack.measure(items) - 7

    def _quicklist(self, containers: bool) -> int:
        cursor = self.cursor
        nodes = cursor.claim()
        while nodes > 0:
            nodes -= 1
            start = cursor.tell()
            container = cursor.length() if containers else 0
            if container == _PLAIN:
                size = cursor.skip_string()
                self.blob += size
                self.stored += cursor.tell() - start
                self.plain += 1
                count = 1
            elif containers and container != _PACKED:
                raise Corrupt(f"quicklist container {container}", offset=start, code="bad-quicklist")
            else:
                count = self._listpack() if containers else self._ziplist()
            # The loader drops empty nodes.
            if count:
                self.nodes += 1
                self.elements += count
        return 0

    # -- streams, modules, arrays, templates -----------------------------------------------------------------------

    def _stream(self, kind: int) -> None:
        cursor = self.cursor
        for _ in range(cursor.claim()):
            self._stream_key()
            self._listpack()
            self.nodes += 1
        self._behind_nodes(kind)

    def _behind_nodes(self, kind: int) -> None:
        cursor = self.cursor
        self.elements = cursor.claim()
        for _ in range(2 if kind == _STREAM_LISTPACKS else 7):
            cursor.length()
        for _ in range(cursor.claim()):
            self._group(kind)
        if kind >= _STREAM_LISTPACKS_4:
            self._idmp()

    def _stream_key(self) -> None:
        start = self.cursor.tell()
        size = self.cursor.skip_string()
        if size != 16:
            raise Corrupt(f"a stream node's key of {size} bytes instead of 16", offset=start, code="bad-stream")

    def _group(self, kind: int) -> None:
        cursor = self.cursor
        cursor.skip_string()
        for _ in range(2 if kind == _STREAM_LISTPACKS else 3):
            cursor.length()
        for _ in range(cursor.claim()):
            cursor.skip(24)
            cursor.length()
        for _ in range(cursor.claim()):
            cursor.skip_string()
            cursor.skip(16 if kind >= _STREAM_LISTPACKS_3 else 8)
            cursor.skip(16 * cursor.claim())
        if kind >= _STREAM_LISTPACKS_5:
            cursor.skip(16 * cursor.claim())

    def _idmp(self) -> None:
        cursor = self.cursor
        cursor.length()
        cursor.length()
        for _ in range(cursor.claim()):
            cursor.skip_string()
            for _ in range(cursor.claim()):
                cursor.skip_string()
                cursor.length()
                cursor.length()
        cursor.length()
        cursor.length()

    def _module(self) -> None:
        self.cursor.length()
        self.elements = -1
        self.module_parts()

    def module_parts(self) -> int:
        """Skip a module's data up to and including its end mark."""
        cursor = self.cursor
        while True:
            start = cursor.tell()
            part = cursor.length()
            if part == _MODULE_EOF:
                return 0
            if part == _MODULE_SINT or part == _MODULE_UINT:
                cursor.length()
            elif part == _MODULE_FLOAT:
                cursor.skip(4)
            elif part == _MODULE_DOUBLE:
                cursor.skip(8)
            elif part == _MODULE_STRING:
                self.length += cursor.skip_string()
            else:
                raise Corrupt(f"module part {part}", offset=start, code="bad-module")

    def _array(self) -> None:
        cursor = self.cursor
        count = cursor.claim()
        start = cursor.tell()
        flag = cursor.length()
        if flag > 1:
            raise Corrupt(f"array flag {flag}", offset=start, code="bad-array")
        if flag:
            cursor.length()
        for _ in range(count):
            self._element(cursor.length())
            self.elements += 1

    def _element(self, index: int) -> int:
        """Skip an element of an array; return the length of one that is a separate string, else -1."""
        cursor = self.cursor
        start = cursor.tell()
        tag = cursor.length()
        if tag == _ARRAY_INT or tag == _ARRAY_FLOAT:
            cursor.skip(8)
            return -1
        if tag != _ARRAY_STRING and tag != _ARRAY_SMALL_STRING:
            raise Corrupt(f"array element tag {tag}", offset=start, code="bad-array")
        size = cursor.skip_string()
        self.length += size
        return size if tag == _ARRAY_STRING else -1

    def _template(self, kind: int) -> None:
        cursor = self.cursor
        if kind == _HASH_TMPL_ARRAY_REF:
            self.detail = cursor.length()
            fields = self.fields_of(self.detail, cursor.tell())
            self._items(len(fields), 1, 0, self.hash_limit)
            return
        start = cursor.tell()
        form = cursor.length()
        if form > 1:
            raise Corrupt(f"form {form} of template names", offset=start, code="bad-template")
        if form:
            count = cursor.claim()
            self._skip_items(count, 1, 0)
        else:
            count = self._listpack()
            self.blob = self.stored = self.listpack = 0
        if kind == _HASH_TMPL_LP:
            self.elements = self._listpack() - 1
            self.nodes = 1
        else:
            self._items(count, 1, 0, self.hash_limit)

    def fields_of(self, template: int, offset: int) -> tuple[bytes, ...]:
        """Return the field names of a template of this file."""
        fields = self.templates.get(template)
        if fields is None:
            raise Corrupt(f"no hash template {template} in this file", offset=offset, code="bad-template")
        return fields

    def _path_hash(self) -> None:
        cursor = self.cursor
        paths = cursor.claim()
        left = paths
        while left > 0:
            self.length += cursor.skip_string()
            self._items(cursor.claim(), 2, 0, _NO_LIMIT)
            left -= 1
        self.elements = paths

    def _bitmap(self) -> None:
        self.cursor.length()
        self._open(roaring.LEAST, "bitmap")
        self.elements = roaring.count(self._inside(), self.size)
        self.nodes = 1

    def _cron(self) -> None:
        cursor = self.cursor
        cursor.skip_string()
        cursor.skip(16)
        self._skip_items(cursor.claim(), 1, 0)
        self._skip_items(cursor.claim(), 1, 0)
        self.elements = -1


def _word(data: bytes, at: int) -> int:
    """Return the 32-bit number at data[at]."""
    # Widened before it is shifted, because in C a byte shifted by 24 sets the sign bit.
    number = data[at + 3]
    return number << 24 | data[at + 2] << 16 | data[at + 1] << 8 | data[at]
