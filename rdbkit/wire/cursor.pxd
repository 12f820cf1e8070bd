cimport cython
from rdbkit.wire cimport lzf

cdef long long _WHOLE, _LONG

cdef class Cursor:
    cdef public bytes data
    cdef const unsigned char* view
    cdef public Py_ssize_t pos, end, summed, pinned
    cdef public long long base, size, blob, passed
    cdef public object source, update, spool
    cdef public unsigned long long crc

    cpdef long long tell(self)
    @cython.locals(keep=Py_ssize_t, held=Py_ssize_t, chunk=bytes)
    cpdef bint more(self, long long want) except -1
    @cython.locals(pieces=list)
    cpdef bytes _gathered(self, bytes chunk, long long want)
    cpdef _sum(self, Py_ssize_t until)
    cpdef unsigned long long checksum(self) except? 0
    @cython.locals(start="long long")
    cpdef int need(self, long long n) except -1
    cpdef int short(self, long long where) except -1
    cpdef int _too_long(self, long long n, long long start) except -1
    cpdef int skip(self, long long n) except -1
    cpdef bint at_end(self) except -1
    cpdef unsigned char u8(self) except? 0
    @cython.locals(number="unsigned long long", byte="unsigned long long", i=int)
    cpdef unsigned long long fixed(self, int width) except? 0
    cpdef bytes take(self, long long n)
    @cython.locals(number="unsigned long long", byte="unsigned long long", i=int, width=int)
    cpdef unsigned long long length(self) except? 0
    @cython.locals(number="unsigned long long")
    cpdef long long claim(self) except? -1
    @cython.locals(first=int, at=Py_ssize_t, packed="long long", size="long long")
    cpdef bytes string(self)
    @cython.locals(size="long long", packed="long long", start="long long")
    cpdef item(self)
    cpdef tuple head(self)
    @cython.locals(inside=Cursor)
    cpdef Cursor inner(self, long long size, long long packed, long long start)
    cpdef bytes unpack(self, long long packed, long long size, long long start)
    cpdef int _promised(self, long long n) except -1
    @cython.locals(size="long long", packed="long long", start="long long")
    cpdef bytes string_up_to(self, long long most)
    @cython.locals(width=int, i=int, number="long long", byte="long long")
    cpdef long long small(self) except? -1
    cpdef bytes _integer(self)
    @cython.locals(packed="long long", size="long long")
    cpdef tuple packed(self)
    @cython.locals(out=list, first=int, at=Py_ssize_t, text=object, room="long long")
    cpdef list strings(self, long long count, int width=*)
    @cython.locals(first=int, size="long long", packed="long long")
    cpdef long long skip_string(self) except? -1

@cython.locals(size=int)
cpdef int digits(long long number) noexcept
