cimport cython

@cython.locals(
    table="const unsigned long long[::1]", at=Py_ssize_t, size=Py_ssize_t, low="unsigned long long",
)
cpdef unsigned long long slice_by_8(const unsigned char[::1] data, unsigned long long crc=*) except? 0
