cimport cython
from rdbkit.wire.cursor cimport Cursor

cdef int _CHECKER, _LOADER, _END, _RECORD, _ANNOTATION, _ERROR
cdef long long _LONG_MAX, _MOST, _ROOM

cdef class Resp:
    cdef public Cursor cursor
    cdef public int dialect, line, verb
    cdef public long long room, lines, start, good, element, argc, multi
    cdef public list args, lengths
    cdef public bint cut, failed
    cdef public bytes line_text
    cdef public object problem

    @cython.locals(status=int)
    cpdef int scan(self, bint annotations=*) except -1
    @cython.locals(
        cursor=Cursor, view="const unsigned char*", end=Py_ssize_t, safe=Py_ssize_t, pos=Py_ssize_t, at=Py_ssize_t,
        mark=Py_ssize_t, digit=int, argc="long long", size="long long", left="long long",
    )
    cpdef _plain(self)
    @cython.locals(cursor=Cursor, held="long long", status=int)
    cpdef int batch(self, long long limit, long long keep, list out) except -1
    @cython.locals(cursor=Cursor, first=int, argc="long long", index="long long")
    cpdef int next(self, long long keep) except -1
    cpdef int _annotation(self) except -1
    @cython.locals(cursor=Cursor, text=bytes, size=Py_ssize_t)
    cpdef bytes _line(self, long long limit)
    @cython.locals(cursor=Cursor, pos=Py_ssize_t, at=Py_ssize_t, number="long long", digit=int)
    cpdef long long _number(self, int prefix) except? -1
    cpdef long long _odd_number(self, int prefix) except? -1
    @cython.locals(cursor=Cursor, size="long long", start="long long", at=Py_ssize_t)
    cpdef bint _argument(self, long long index, long long keep) except -1
    @cython.locals(cursor=Cursor)
    cpdef bint _long_argument(self, long long index, long long size, long long keep) except -1
    @cython.locals(cursor=Cursor, left="long long")
    cpdef long long _step(self, long long size) except -1
    cpdef _transaction(self, bytes name)
    cpdef bint _balanced(self, long long index) except -1
    cpdef int _fail(self, str what, object offset, object first, object second) except -1
    cpdef int _fail_number(self, str what, object offset, object first, object second) except -1
