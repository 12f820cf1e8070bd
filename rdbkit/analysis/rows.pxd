cimport cython

cdef int _STRING, _ELEMENTS, _LENGTH, _TEXT, _LOW, _BESIDE
cdef long long _SHORT, _SHARED
cdef Py_ssize_t _KNOWN
cdef dict _TYPE_NAMES

@cython.locals(out=list, entry=tuple, shape=tuple, key=bytes, figure=tuple, kind=int)
cpdef list key_rows(object snapshot, list batch, bint sized=*)
@cython.locals(known=dict, found=tuple, figure=tuple, length="long long", code="long long")
cdef tuple _figure(object model, object encode, int kind, tuple shape, long long size, bint expires, object extra)
@cython.locals(entry=tuple, shape=tuple, key=bytes, size="long long", expires=bint, differs=bint)
cpdef object allocated(object beside, object snapshot, list batch)
