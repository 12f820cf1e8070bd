cimport cython

cdef int _STRING, _ELEMENTS, _LENGTH, _TEXT
cdef long long _SHORT
cdef Py_ssize_t _KNOWN
cdef dict _TYPE_NAMES

@cython.locals(
    known=dict, out=list, entry=tuple, shape=tuple, figure=tuple, key=bytes, size="long long", length="long long",
    code="long long", expires=bint, kind=int, text="long long", elements=object,
)
cpdef list key_rows(object snapshot, list batch)
