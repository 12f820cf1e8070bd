cimport cython
from rdbkit.rdb.body cimport Body
from rdbkit.rdb.rax cimport Rax
from rdbkit.wire.cursor cimport Cursor

cdef int _MEMBERS, _PACKS, _STREAM_LISTPACKS, _STREAM_LISTPACKS_3, _STREAM_LISTPACKS_4, _STREAM_LISTPACKS_5
cdef long long _NAME, _UNITED, _MOVED

cdef class StreamMemory:
    cdef public Cursor cursor
    cdef public object above
    cdef const long long[::1] members, pack_costs
    cdef public bint unites, is_united
    cdef public Rax main, names, pel, own, consumer_names, union
    cdef public long long cost, pending, owned, consumers, name_bytes, name_cost, keys, nodes, group_pending, own_pending, consumer_trees, moved
    cdef public bytearray united

    cpdef _clear(self)
    @cython.locals(cursor=Cursor, size="long long", groups="long long", union="long long")
    cpdef measure(self, Body body, int kind)
    @cython.locals(cursor=Cursor)
    cpdef bytes _id(self)
    cpdef tuple _name(self)
    @cython.locals(cursor=Cursor, pel=Rax, count="long long")
    cpdef _group(self, int kind)
    @cython.locals(cursor=Cursor, before=bytearray, after=bytearray, at=Py_ssize_t, place=Py_ssize_t, key=bytes, count="long long")
    cpdef _pending(self)
    cpdef _give_up(self)
    @cython.locals(end=Py_ssize_t, step=Py_ssize_t, low=Py_ssize_t, high=Py_ssize_t, middle=Py_ssize_t)
    cpdef Py_ssize_t _place(self, bytearray ids, Py_ssize_t at, bytes key) except -1
    @cython.locals(cursor=Cursor, own=Rax)
    cpdef _consumer(self, int kind)
    @cython.locals(tree=Rax)
    cpdef _union(self)
    @cython.locals(cursor=Cursor, tree=Rax, count="long long", producers="long long")
    cpdef _idmp(self)
