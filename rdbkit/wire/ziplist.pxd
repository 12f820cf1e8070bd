cimport cython
from rdbkit.wire.cursor cimport Cursor
from rdbkit.wire cimport listpack

cdef Py_ssize_t _HEAD, _AROUND
cdef long long _ENDLESS, LONG

cpdef tuple header(bytes data, long long offset=*)
cpdef list items(bytes data, long long offset=*)
cpdef long long as_listpack(bytes data, long long offset=*) except -1
@cython.locals(
    total="long long", tail="long long", count="long long", size=Py_ssize_t, view="const unsigned char*", at=Py_ssize_t,
    previous=Py_ssize_t, seen="long long", added="long long",
)
cdef long long _whole(bytes data, list out, long long offset) except -1
cdef int _agree(
    long long size, long long previous, long long tail, long long count, long long seen, long long offset
) except -1

@cython.locals(
    seen="long long", added="long long", start=Py_ssize_t, number="long long", kind=int, size="long long", maybe=bint,
)
cdef (Py_ssize_t, Py_ssize_t, long long, long long) _entries(
    const unsigned char* view, Py_ssize_t at, Py_ssize_t end, list out, long long limit, Py_ssize_t previous, long long offset,
    long long longest
) except *
cdef int _integer_width(int kind) noexcept
cdef long long _entry_size(bytes text) except -1
cdef int _bad(message, long long offset) except -1
cdef int _bad_kind(int kind, long long offset) except -1

cdef class Reader:
    cdef public Cursor cursor
    cdef public long long offset, size, left, seen, tail
    cdef public long count
    cdef public long long longest
    cdef public object spool
    cdef public Py_ssize_t previous

    @cython.locals(cursor=Cursor, out=list, start=Py_ssize_t, held=Py_ssize_t, at=Py_ssize_t, seen="long long", room="long long", left="long long")
    cpdef list read(self, long long limit)
    cpdef list all(self)
    @cython.locals(cursor=Cursor, kind=Py_ssize_t, entry="long long", size="long long")
    cdef bint _long(self, Py_ssize_t held, list out) except -1
    @cython.locals(wanted="long long")
    cdef int _fetch(self, Py_ssize_t held) except -1

@cython.locals(head=int, kind=int, size="long long")
cdef long long _wanted(const unsigned char* view, Py_ssize_t at, Py_ssize_t held) noexcept
@cython.locals(out=bytearray, text=bytes, previous="long long", start=Py_ssize_t, size="long long")
cpdef bytes encode(object items, bint wide=*)
