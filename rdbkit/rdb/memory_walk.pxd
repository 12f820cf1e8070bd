cimport cython
from rdbkit.rdb.body cimport Body
from rdbkit.memory.array_memory cimport ArrayMemory
from rdbkit.rdb.stream_memory cimport StreamMemory
from rdbkit.wire.cursor cimport Cursor, digits
from rdbkit.wire cimport listpack

cdef int _NOTHING, _SET, _ZSET, _HASH, _VALUE, _MEMBERS, _RANKED, _SPREAD, _FIELDS, _VALUES, _FIELDS_TTL, _NODES
cdef int _DETAIL, _STRING, _PLAIN, _PACKED, _HASH_2
cdef dict _WHAT, _PER
cdef long long _UNKNOWN, _BATCH, _LEAST, _GAIN, _REMEMBERED, _NO_LIMIT, _DISTANT, _DIGITS, _SQUEEZED

cdef class MemoryWalker(Body):
    cdef public object prices, above
    cdef const long long[::1] members, ranked, spread, fields, values, fields_ttl, embeds, embeds_ttl, blocks, node_costs
    cdef public long long embed, depth, lzf_head, push_limit, push_most, push_alone
    cdef public dict most_of, packs_of
    cdef public bint ziplists, in_list
    cdef public StreamMemory streams
    cdef public ArrayMemory slices
    cdef public object evidence
    cdef public bint looks, squeezes
    cdef public long long squeezed
    cdef public int kind, what
    cdef public long long most, packs, cost, variance, pack, previous, expiring

    cpdef _reset(self, int kind)
    @cython.locals(plain=tuple)
    cpdef tuple shape(self, int kind)
    cdef int _member(self, long long size) except -1
    cdef int _pair(self, long long field, long long value, bint expires) except -1
    cdef int _pack(self, long long entry) except -1
    cdef int _pack_text(self, bytes text) except -1
    cdef int _pack_string(self, long long size) except -1
    cdef int _pack_number(self, long long number) except -1
    @cython.locals(
        cursor=Cursor, view="const unsigned char*", pos=Py_ssize_t, end=Py_ssize_t, length="long long",
        longest="long long", index="long long", size="long long", i=int, packing=bint, expires=bint, first="long long",
        cost="long long", members="const long long[::1]", fields="const long long[::1]", values="const long long[::1]",
        embeds="const long long[::1]", lookups="long long", embedding="long long", embed="long long",
        spread="const long long[::1]", variance="long long", spreads=bint, plain_tail=bint,
    )
    cpdef int _items(self, long long count, int strings, int tail, long long limit) except -1
    @cython.locals(cursor=Cursor, start="long long", first=int, number="long long", size="long long", packed="long long", stored="long long")
    cpdef long long _packed_item(self) except -1
    @cython.locals(cursor=Cursor, size=int)
    cpdef bint _tail(self, int tail, bint packing) except -1
    cpdef _pack_score(self, double score)
    @cython.locals(cursor=Cursor, first=int, count="long long", member=bytes, number="long long", size="long long", packing=bint)
    cpdef int _set(self) except -1
    @cython.locals(cursor=Cursor, count="long long", node="long long", held="long long", start="long long", size="long long", text=bytes)
    cpdef int _list(self) except -1
    cpdef tuple _push(self, bytes text, long long size, long long node, long long held)
    cpdef long long _around(self, long long size) except -1
    cpdef int _close_node(self, long long node) except -1
    cpdef long long _node_cost(self, long long size) except? -1
    @cython.locals(per=int)
    cpdef long long _held(self, long long count, bint packed_list) except -1
    @cython.locals(cursor=Cursor)
    cpdef _look(self)
    @cython.locals(cursor=Cursor)
    cpdef _squeeze(self, long long size)
    @cython.locals(count="long long", items=list)
    cpdef long long _apart(self, object reader, int per) except -1
    @cython.locals(index=Py_ssize_t, first="long long")
    cpdef _weigh_items(self, list items, int per)
    @cython.locals(head=bytes, count="long long", width=int, inside=Cursor, start="long long")
    cpdef _intset(self)
    @cython.locals(size="long long")
    cpdef _zipped(self, list items)
    cpdef _early(self, int kind)
    @cython.locals(items=list, size="long long", node="long long", held="long long")
    cpdef _pushed_ziplist(self)
    @cython.locals(
        cursor=Cursor, nodes="long long", count="long long", start="long long", size="long long",
        container="unsigned long long", before="long long", packed="long long", cost="long long", saved="long long",
        index="long long", last="long long", known=bint,
    )
    cpdef int _quicklist(self, bint containers) except -1
    @cython.locals(cursor=Cursor, first=int, size="long long", packed="long long")
    cpdef tuple _plain_node(self)
    cpdef _stream(self, int kind)
    cpdef _array(self)
    @cython.locals(size="long long")
    cpdef long long _element(self, unsigned long long index) except? -1

cpdef int zip_number(long long number) noexcept
