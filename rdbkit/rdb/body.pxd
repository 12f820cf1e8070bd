cimport cython
from rdbkit.wire.cursor cimport Cursor, digits
from rdbkit.wire cimport lzf

cdef int _STRING, _LIST, _SET, _ZSET, _HASH, _ZSET_2, _MODULE_2, _HASH_ZIPMAP, _SET_INTSET, _LIST_QUICKLIST, _LIST_QUICKLIST_2, _HASH_2, _HASH_METADATA, _HASH_METADATA_PRE_GA, _HASH_LISTPACK_EX, _ARRAY, _HASH_TMPL_ARRAY_REF, _HASH_TMPL_ARRAY, _HASH_TMPL_LP, _HASH_TMPL_LP_REF, _CRON, _PATH_HASH, _BITMAP, _STREAM_LISTPACKS, _STREAM_LISTPACKS_3, _STREAM_LISTPACKS_4, _STREAM_LISTPACKS_5, _MODULE_EOF, _MODULE_SINT, _MODULE_UINT, _MODULE_FLOAT, _MODULE_DOUBLE, _MODULE_STRING, _PLAIN, _PACKED, _ARRAY_STRING, _ARRAY_INT, _ARRAY_FLOAT, _ARRAY_SMALL_STRING
cdef long long _UNKNOWN, _HEAD, _BATCH, _TELLING, _DIGITS, _NO_LIMIT
cdef set _ONE_STRING, _STREAMS
cdef dict _ZIPLISTS, _LISTPACKS

cdef class Body:
    cdef public Cursor cursor
    cdef public long long hash_limit, set_limit, zset_limit, list_limit
    cdef public bint converts, watches
    cdef public object lists
    cdef public long long push_bytes, push_count, push_plain
    cdef public dict templates
    cdef public long long elements, length, longest, over, text, blob, stored, nodes, plain, listpack
    cdef public long long low, high, old_widths, new_widths
    cdef public object detail
    cdef public bytes head
    cdef public long long start, size, packed

    cpdef _clear(self)
    @cython.locals(cursor=Cursor)
    cpdef int skip(self, int kind) except -1
    @cython.locals(cursor=Cursor, i=int)
    cpdef int _skip_items(self, long long count, int strings, int tail) except -1
    @cython.locals(cursor=Cursor, start="long long", form="unsigned long long")
    cpdef int _skip_names(self) except -1
    cpdef tuple shape(self, int kind)
    cpdef _early(self, int kind)
    @cython.locals(cursor=Cursor)
    cpdef _late(self, int kind)
    cpdef _unknown(self, int kind)
    @cython.locals(cursor=Cursor, start=Py_ssize_t, first=int, text=bytes, before="long long")
    cpdef int _string(self) except -1
    @cython.locals(cursor=Cursor, start="long long", size="long long", packed="long long")
    cpdef long long _long_string(self) except -1
    cpdef int _number(self, bytes text) except -1
    @cython.locals(
        cursor=Cursor, view="const unsigned char*", pos=Py_ssize_t, end=Py_ssize_t, length="long long",
        longest="long long", index="long long", size="long long", i=int,
    )
    cpdef int _items(self, long long count, int strings, int tail, long long limit) except -1
    @cython.locals(cursor=Cursor, first=int, count="long long", member=bytes, number="long long", size="long long")
    cpdef int _set(self) except -1
    cpdef _measure(self, long long size, long long limit)
    @cython.locals(cursor=Cursor, count="long long", node="long long", held="long long", entry="long long", start="long long")
    cpdef int _list(self) except -1
    @cython.locals(item=bytes)
    cpdef long long _pushed(self) except -1
    @cython.locals(
        cursor=Cursor, start="long long", first=int, size="long long", packed="long long", ahead=Py_ssize_t, head=bytes,
    )
    cpdef bytes _open(self, long long least, str what)
    cpdef int _pass(self) except -1
    @cython.locals(inside=Cursor)
    cpdef Cursor _inside(self)
    @cython.locals(head=bytes, view="const unsigned char*", total="long long", count="long long")
    cpdef long long _listpack(self) except -1
    @cython.locals(head=bytes, view="const unsigned char*", total="long long", count="long long")
    cpdef long long _ziplist(self) except -1
    cpdef long long _held(self, long long count, bint packed_list) except -1
    @cython.locals(width="long long", count="long long")
    cpdef tuple _intset_head(self, bytes head)
    cpdef _intset(self)
    cpdef _zipmap(self)
    cpdef _zipped(self, list items)
    cpdef _agree(self, str what, long long total)
    cpdef long long _count(self, object reader) except -1
    cpdef _widths(self, object reader)
    cpdef long long _convert(self) except -1
    @cython.locals(cursor=Cursor, nodes="long long", count="long long", start="long long", size="long long", container="unsigned long long")
    cpdef int _quicklist(self, bint containers) except -1
    @cython.locals(cursor=Cursor, count="long long", i="long long")
    cpdef _stream(self, int kind)
    @cython.locals(cursor=Cursor, count="long long", i="long long")
    cpdef _behind_nodes(self, int kind)
    @cython.locals(size="long long", start="long long")
    cpdef _stream_key(self)
    @cython.locals(cursor=Cursor, count="long long", i="long long")
    cpdef _group(self, int kind)
    @cython.locals(cursor=Cursor, count="long long")
    cpdef _idmp(self)
    @cython.locals(cursor=Cursor, part="unsigned long long", start="long long")
    cpdef int module_parts(self) except -1
    @cython.locals(cursor=Cursor, count="long long", start="long long", flag="unsigned long long")
    cpdef _array(self)
    @cython.locals(cursor=Cursor, start="long long", tag="unsigned long long", size="long long")
    cpdef long long _element(self, unsigned long long index) except? -1
    @cython.locals(cursor=Cursor, start="long long", form="unsigned long long", count="long long")
    cpdef _template(self, int kind)
    cpdef tuple fields_of(self, object template, object offset)
    @cython.locals(cursor=Cursor, paths="long long", left="long long")
    cpdef _path_hash(self)
    cpdef _bitmap(self)

@cython.locals(number="long long")
cdef long long _word(bytes data, Py_ssize_t at) noexcept
