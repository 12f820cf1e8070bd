cimport cython
from rdbkit.wire.cursor cimport Cursor

cdef bint _COMPILED
cdef list _SMALL
cdef Py_ssize_t _AROUND
cdef long long _ENDLESS, LONG

cdef class Reader:
    cdef public Cursor cursor
    cdef public long long offset, left, seen, longest
    cdef public long count, old_widths, new_widths
    cdef public object spool

    @cython.locals(cursor=Cursor, out=list, start=Py_ssize_t, held=Py_ssize_t, room="long long", left="long long")
    cpdef list read(self, long long limit)
    cpdef list all(self)
    @cython.locals(wanted="long long", first=int, size="long long")
    cdef int _fetch(self, Py_ssize_t held, list out) except -1
    @cython.locals(cursor=Cursor, held=Py_ssize_t, width=int)
    cdef int _long(self, long long size, list out) except -1
    cdef int _finish(self) except -1

@cython.locals(view="const unsigned char*", total="unsigned long long")
cpdef tuple header(bytes data, long long offset=*)
@cython.locals(
    view="const unsigned char*", total="long long", count="long long", size=Py_ssize_t, at=Py_ssize_t, out=list,
)
cpdef list items(bytes data, long long offset=*)

@cython.locals(first=int, held=Py_ssize_t, size=Py_ssize_t, number="long long", width=Py_ssize_t)
cdef Py_ssize_t _entries(
    const unsigned char* view, Py_ssize_t at, Py_ssize_t end, list out, long long limit, long long offset, Reader reader
) except -1
@cython.locals(length="long long")
cdef long long _size(const unsigned char* view, Py_ssize_t at, Py_ssize_t held) noexcept
cdef int _width(long long size) noexcept
cdef bint _differs(long long size) noexcept
@cython.locals(width=int, older=int, i=int, byte=int)
cdef int _back(
    const unsigned char* view, Py_ssize_t at, Py_ssize_t held, long long size, long long offset, Reader reader
) except -1
@cython.locals(number="long long", i=Py_ssize_t)
cdef long long number_at(const unsigned char* view, Py_ssize_t at, Py_ssize_t width) noexcept
cdef bytes decimal(long long number)
cdef int _bad(message, long long offset) except -1
cdef int _bad_back(long long offset) except -1

@cython.locals(size=Py_ssize_t, view="const unsigned char*", first=int, sign=int, byte="unsigned char")
cpdef bint is_integer(bytes text) except -1
cpdef int integer_size(long long number) noexcept
cpdef long long string_entry(long long length) noexcept
@cython.locals(total="long long", size="long long")
cpdef long long measure(object items) except -1
@cython.locals(out=bytearray, text=bytes, entry=bytes, size="long long", width=int, i=int)
cpdef bytes encode(object items, str generation=*)
