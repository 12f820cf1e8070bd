cimport cython

cdef int _SLICE, _BLOCK
cdef long long _HEAD, _SPARSE, _INDEX, _FEW, _EVEN, _MANY, _SMALLEST, _ARRAY, _STRING, _SURE, _LONGER_HEAD, _PLAIN, _FAR, _BLOCKS, _ENTRY

cdef class ArrayMemory:
    cdef const long long[::1] classes
    cdef public long long bound, real, held, blocks
    cdef public unsigned long long first, last
    cdef public object above
    cdef public bint known

    cpdef clear(self)
    cpdef int add(self, unsigned long long index, long long size) except -1
    @cython.locals(top="unsigned long long")
    cpdef finish(self)
    @cython.locals(held="long long", low="long long", high="long long", window="long long")
    cdef int _close(self) except -1
    cdef long long _class(self, long long request) except? -1
    cdef int _count(self, long long request) except -1

@cython.locals(power="long long")
cdef long long _power(long long count) noexcept
