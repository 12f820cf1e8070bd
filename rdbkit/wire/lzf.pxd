cimport cython

cdef bint _COMPILED

@cython.locals(
    view="const unsigned char*", out="unsigned char*", end=Py_ssize_t, run=Py_ssize_t, after=Py_ssize_t, back=Py_ssize_t, i=Py_ssize_t,
)
cdef (Py_ssize_t, Py_ssize_t) _unpack(
    bytes data, Py_ssize_t at, bytearray room, Py_ssize_t o, Py_ssize_t stop, Py_ssize_t size, long long offset
) except *
cdef int _overrun(long long size, long long offset) except -1
cdef int _before_start(long long back, long long offset) except -1
cdef int _unfinished(long long left, long long got, long long size, long long offset) except -1
cdef bytearray _room(Py_ssize_t size)
@cython.locals(out="unsigned char*")
cdef bytes _cut(bytearray room, Py_ssize_t start, Py_ssize_t end)

@cython.locals(room=bytearray, at=Py_ssize_t, o=Py_ssize_t)
cpdef bytes decompress(bytes data, long long size, long long offset=*)
@cython.locals(room=bytearray, at=Py_ssize_t, o=Py_ssize_t, want=Py_ssize_t, missing=Py_ssize_t)
cpdef bytes head(bytes data, long long n, long long size, long long offset=*)

@cython.locals(
    view="const unsigned char*", size=Py_ssize_t, slots="long long[::1]", out=bytearray, done=Py_ssize_t, at=Py_ssize_t,
    triple="unsigned long long", slot="unsigned long long", seen="long long", longest=Py_ssize_t, run=Py_ssize_t,
    room=Py_ssize_t, base="long long",
)
cpdef object compress(bytes data)
@cython.locals(at=Py_ssize_t)
cdef bint _fits(Py_ssize_t size, Py_ssize_t run, Py_ssize_t room) except -1
@cython.locals(run=Py_ssize_t)
cdef _literals(bytearray out, bytes data, Py_ssize_t at, Py_ssize_t end)
cdef _reference(bytearray out, int run, int back)
