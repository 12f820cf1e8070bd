cimport cython
from rdbkit.rdb.body cimport Body
from rdbkit.wire.cursor cimport Cursor

cdef int _SHAPE, _STRING, _LITTLE_ENDIAN_SINCE, _AUX, _CRON, _EXPIRETIME_MS
cdef Py_ssize_t _BATCH, _BATCH_BYTES, _BATCH_WALKED

cdef class Walker:
    cdef public Cursor cursor
    cdef public Body body, beside
    cdef public object plan, dbs, types, pattern, error, again, key, expires_at, idle, freq, extra, spool
    cdef public str product, checksum
    cdef public int version, level, open_kind
    cdef public bint verify, retain, selects, done, is_open, delivered, settled, stops
    cdef public tuple ttl
    cdef public list table, records, damages
    cdef public unsigned long long stored, computed
    cdef public object db
    cdef public bytes member
    cdef public long long begun, held, templates_held, first, max_item

    cpdef _forget(self)
    @cython.locals(out=list)
    cpdef list batch(self)
    @cython.locals(cursor=Cursor, number=int, kind=int, at="long long")
    cpdef int _fill(self, list out) except -1
    @cython.locals(cursor=Cursor, key=bytes, start="long long", size="long long", body=bytes)
    cpdef int _entry(self, int kind, long long at, list out) except -1
    cpdef _walked(self, int kind, long long start)
    @cython.locals(cursor=Cursor)
    cpdef _step_over(self, int kind, long long start, object error)
    cpdef _walk(self, int kind)
    @cython.locals(cursor=Cursor)
    cpdef _walk_twice(self, int kind)
    @cython.locals(cursor=Cursor, beside=Body)
    cpdef _both(self, int kind)
    cpdef _pass_by(self, int kind)
    cpdef bint _selected(self, int kind, bytes key) except -1
    @cython.locals(cursor=Cursor)
    cpdef _time(self)
