cimport cython

cdef long long _LONGEST

cdef class Rax:
    cdef const long long[::1] classes
    cdef public long long bound, keys, nodes, real
    cdef public object above
    cdef public bint inline
    cdef bytes last
    cdef list path

    cpdef clear(self)
    @cython.locals(last=bytes, size="long long", same="long long", most="long long", view="const unsigned char*", before="const unsigned char*")
    cpdef int add(self, bytes key) except -1
    cpdef finish(self)
    @cython.locals(path=list, node=list, parent=list)
    cdef int _close(self, long long depth) except -1
    @cython.locals(children="long long")
    cdef int _hang(self, long long distance, list parent) except -1
    cdef int _run(self, long long size) except -1
    @cython.locals(children="long long")
    cdef int _node(self, list node) except -1
    @cython.locals(request="long long")
    cdef int _count(self, long long size, long long children, long long key) except -1
