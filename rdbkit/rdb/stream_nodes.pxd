cimport cython
from rdbkit.wire.listpack cimport Reader

cdef Py_ssize_t _BATCH
cdef long long HELD
cdef int _DELETED, _SAMEFIELDS
cdef dict _SMALL

cdef class Node:
    cdef public object ms, seq, count, deleted, width, left
    cdef public long long start, gone, live
    cdef public Py_ssize_t at
    cdef public bint done, bare
    cdef public list items, names
    cdef public Reader reader

    @cython.locals(out=list, enough="long long")
    cpdef list batch(self)
    cpdef _finish(self)
    @cython.locals(items=list, flat=list, at=Py_ssize_t, size=Py_ssize_t, same=bint)
    cdef int _entry(self, list out) except -1
    cpdef int _need(self, object count) except -1
    cpdef object _number(self, object item)
