"""Every opcode, type and version of the RDB format, with one row each.

A byte that opens a record means different things in the files of different products (22, 23, 242, 243 in Redis and
Valkey, 30 to 37 in Dragonfly), so a row has an `id` that is unique: the number itself in the Redis line of descent,
the number plus 0x100 for Valkey's own and plus 0x200 for Dragonfly's own. `dialect` returns the meaning of each byte in
the files of one product.

Sources: rdb.h of the BSD-licensed versions, documentation of later ones, and files of real servers. `verified` rows
were decoded from such files; `source` rows are read as documented, and reported as such; `refused` rows are recognised
and named, and reading stops there.

When you add a row, also add: a decoder in values.DECODERS, a walk in body, an encoder in encoders, a fixture.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Status = Literal["verified", "source", "refused"]

VALKEY_OWN = 0x100
DRAGONFLY_OWN = 0x200

# Types, by the names of rdb.h
STRING, LIST, SET, ZSET, HASH, ZSET_2, MODULE_PRE_GA, MODULE_2 = range(8)
HASH_ZIPMAP, LIST_ZIPLIST, SET_INTSET, ZSET_ZIPLIST, HASH_ZIPLIST = range(9, 14)
LIST_QUICKLIST, STREAM_LISTPACKS, HASH_LISTPACK, ZSET_LISTPACK, LIST_QUICKLIST_2 = range(14, 19)
STREAM_LISTPACKS_2, SET_LISTPACK, STREAM_LISTPACKS_3 = range(19, 22)
HASH_METADATA_PRE_GA, HASH_LISTPACK_EX_PRE_GA, HASH_METADATA, HASH_LISTPACK_EX = range(22, 26)
STREAM_LISTPACKS_4, STREAM_LISTPACKS_5, ARRAY = range(26, 29)
HASH_TMPL_LP, HASH_TMPL_LP_REF, HASH_TMPL_ARRAY, HASH_TMPL_ARRAY_REF, BITMAP = range(29, 34)
CRON = 64
ROR_BITMAP = 192
HASH_2, PATH_HASH = VALKEY_OWN + 22, VALKEY_OWN + 23

#: Types that are, or contain, a listpack in their file, streams and references to templates excepted.
LISTPACKED = (
    HASH_LISTPACK,
    ZSET_LISTPACK,
    SET_LISTPACK,
    LIST_QUICKLIST_2,
    HASH_LISTPACK_EX_PRE_GA,
    HASH_LISTPACK_EX,
    HASH_TMPL_LP,
)

# Opcodes
RAM_LRU, SLOT_NUM = 107, 121
HASH_TEMPLATE, KEY_META, SLOT_INFO, FUNCTION2, FUNCTION_PRE_GA, MODULE_AUX = range(242, 248)
IDLE, FREQ, AUX, RESIZEDB, EXPIRETIME_MS, EXPIRETIME, SELECTDB, EOF = range(248, 256)
UPDATE, SLOT_IMPORT = VALKEY_OWN + 242, VALKEY_OWN + 243

# Sub-opcodes of module values
MODULE_EOF, MODULE_SINT, MODULE_UINT, MODULE_FLOAT, MODULE_DOUBLE, MODULE_STRING = range(6)
# Containers of a LIST_QUICKLIST_2 node
PLAIN, PACKED = 1, 2
# Element tags of an ARRAY
ARRAY_STRING, ARRAY_INT, ARRAY_FLOAT, ARRAY_SMALL_STRING = range(4)

#: The possible values of an entry's type.
TYPES = ("string", "list", "set", "zset", "hash", "stream", "array", "path-hash", "bitmap", "module")


@dataclass(frozen=True, slots=True)
class RecordType:
    """One opcode or type: `type` is the reply of TYPE for its keys, "" for an opcode; `since` is an RDB version."""

    id: int
    name: str
    type: str
    since: int
    server: str
    layout: str
    status: Status = "verified"

    @property
    def number(self) -> int:
        """The byte in the file."""
        return self.id & 0xFF


ROWS = (
    RecordType(STRING, "STRING", "string", 1, "Redis 1.x", "str"),
    RecordType(LIST, "LIST", "list", 1, "Redis 1.x", "len n, str*n"),
    RecordType(SET, "SET", "set", 1, "Redis 1.x", "len n, str*n"),
    RecordType(ZSET, "ZSET", "zset", 1, "Redis 1.x", "len n, (str member, text double)*n"),
    RecordType(HASH, "HASH", "hash", 1, "Redis 2.0", "len n, (str field, str value)*n"),
    RecordType(ZSET_2, "ZSET_2", "zset", 8, "Redis 4.0", "len n, (str member, f64)*n"),
    RecordType(MODULE_PRE_GA, "MODULE_PRE_GA", "module", 8, "Redis 4.0-rc1 to rc3", "len id, opaque", "refused"),
    RecordType(MODULE_2, "MODULE_2", "module", 8, "Redis 4.0", "len id, (len op, payload)* until op 0"),
    RecordType(HASH_ZIPMAP, "HASH_ZIPMAP", "hash", 2, "Redis 2.4", "str zipmap"),
    RecordType(LIST_ZIPLIST, "LIST_ZIPLIST", "list", 2, "Redis 2.4", "str ziplist"),
    RecordType(SET_INTSET, "SET_INTSET", "set", 2, "Redis 2.4", "str intset"),
    RecordType(ZSET_ZIPLIST, "ZSET_ZIPLIST", "zset", 2, "Redis 2.4", "str ziplist member, score"),
    RecordType(HASH_ZIPLIST, "HASH_ZIPLIST", "hash", 4, "Redis 2.6", "str ziplist field, value"),
    RecordType(LIST_QUICKLIST, "LIST_QUICKLIST", "list", 7, "Redis 3.2", "len nodes, str ziplist*nodes"),
    RecordType(STREAM_LISTPACKS, "STREAM_LISTPACKS", "stream", 9, "Redis 5.0", "nodes, length, last id, groups"),
    RecordType(HASH_LISTPACK, "HASH_LISTPACK", "hash", 10, "Redis 7.0", "str listpack field, value"),
    RecordType(ZSET_LISTPACK, "ZSET_LISTPACK", "zset", 10, "Redis 7.0", "str listpack member, score"),
    RecordType(LIST_QUICKLIST_2, "LIST_QUICKLIST_2", "list", 10, "Redis 7.0", "len nodes, (len container, str)*nodes"),
    RecordType(
        STREAM_LISTPACKS_2, "STREAM_LISTPACKS_2", "stream", 10, "Redis 7.0", "15 + first id, max deleted id, counters"
    ),
    RecordType(SET_LISTPACK, "SET_LISTPACK", "set", 11, "Redis 7.2", "str listpack"),
    RecordType(STREAM_LISTPACKS_3, "STREAM_LISTPACKS_3", "stream", 11, "Redis 7.2", "19 + consumers' active time"),
    RecordType(HASH_METADATA_PRE_GA, "HASH_METADATA_PRE_GA", "hash", 12, "Redis 7.4-rc", "len n, (len ms, str, str)*n"),
    RecordType(
        HASH_LISTPACK_EX_PRE_GA, "HASH_LISTPACK_EX_PRE_GA", "hash", 12, "Redis 7.4-rc", "str listpack of triples"
    ),
    RecordType(HASH_METADATA, "HASH_METADATA", "hash", 12, "Redis 7.4", "ms min, len n, (len ttl, str, str)*n"),
    RecordType(HASH_LISTPACK_EX, "HASH_LISTPACK_EX", "hash", 12, "Redis 7.4", "ms min, str listpack of triples"),
    RecordType(STREAM_LISTPACKS_4, "STREAM_LISTPACKS_4", "stream", 13, "Redis 8.6", "21 + IDMP"),
    RecordType(STREAM_LISTPACKS_5, "STREAM_LISTPACKS_5", "stream", 14, "Redis 8.8", "26 + NACK zone per group"),
    RecordType(
        ARRAY, "ARRAY", "array", 14, "Redis 8.8", "len n, len flag [len insert], (len index, len tag, payload)*n"
    ),
    RecordType(HASH_TMPL_LP, "HASH_TMPL_LP", "hash", 15, "Redis 8.10, DUMP", "len fmt, names, str listpack id, values"),
    RecordType(HASH_TMPL_LP_REF, "HASH_TMPL_LP_REF", "hash", 15, "Redis 8.10", "str listpack id, values"),
    RecordType(HASH_TMPL_ARRAY, "HASH_TMPL_ARRAY", "hash", 15, "Redis 8.10, DUMP", "len fmt, names, str*fields"),
    RecordType(HASH_TMPL_ARRAY_REF, "HASH_TMPL_ARRAY_REF", "hash", 15, "Redis 8.10", "len id, str*fields"),
    RecordType(BITMAP, "BITMAP", "bitmap", 16, "Redis 8.12", "len bytes, str roaring bitmap", "source"),
    RecordType(
        CRON, "CRON", "module", 9, "KeyDB", "str script, ms start, ms interval, len n str*n, len m str*m", "source"
    ),
    RecordType(ROR_BITMAP, "ROR_BITMAP", "module", 9, "ctrip Redis-On-Rocks", "not established", "refused"),
    RecordType(HASH_2, "HASH_2", "hash", 80, "Valkey 9.0", "len n, (str field, str value, ms or -1)*n"),
    RecordType(
        PATH_HASH, "PATH_HASH", "path-hash", 81, "Valkey 9.2", "len n, (str path, len m, (str, str)*m)*n", "source"
    ),
    RecordType(DRAGONFLY_OWN + 30, "DF_JSON", "module", 9, "Dragonfly", "str JSON text", "refused"),
    RecordType(
        DRAGONFLY_OWN + 31, "DF_HASH_WITH_EXPIRY", "hash", 9, "Dragonfly", "len n, (str, str, str s)*n", "refused"
    ),
    RecordType(DRAGONFLY_OWN + 32, "DF_SET_WITH_EXPIRY", "set", 9, "Dragonfly", "len n, (str, str s)*n", "refused"),
    RecordType(DRAGONFLY_OWN + 33, "DF_SBF", "module", 9, "Dragonfly", "Bloom filter", "refused"),
    RecordType(DRAGONFLY_OWN + 34, "DF_SBF2", "module", 9, "Dragonfly", "Bloom filter in chunks", "refused"),
    RecordType(DRAGONFLY_OWN + 35, "DF_CMS", "module", 9, "Dragonfly", "count-min sketch", "refused"),
    RecordType(DRAGONFLY_OWN + 36, "DF_TOPK", "module", 9, "Dragonfly", "top-k", "refused"),
    RecordType(DRAGONFLY_OWN + 37, "DF_CUCKOO", "module", 9, "Dragonfly", "cuckoo filter", "refused"),
    RecordType(100, "OP_GD_DICT", "", 0, "Redis Labs V1006", "not established", "refused"),
    RecordType(101, "OP_GCAS", "", 0, "Redis Labs V1006", "not established", "refused"),
    RecordType(102, "OP_GFLAGS", "", 0, "Redis Labs V1006", "not established", "refused"),
    RecordType(RAM_LRU, "OP_RAM_LRU", "", 0, "Redis Enterprise", "len"),
    RecordType(SLOT_NUM, "OP_SLOT_NUM", "", 0, "Redis Enterprise", "len slot", "source"),
    RecordType(200, "OP_FULLSYNC_END", "", 9, "Dragonfly", "8 zero bytes", "refused"),
    RecordType(201, "OP_COMPRESSED_ZSTD_BLOB_START", "", 9, "Dragonfly", "str zstd frame", "refused"),
    RecordType(202, "OP_COMPRESSED_LZ4_BLOB_START", "", 9, "Dragonfly", "str LZ4 frame", "refused"),
    RecordType(203, "OP_COMPRESSED_BLOB_END", "", 9, "Dragonfly", "none", "refused"),
    RecordType(210, "OP_JOURNAL_BLOB", "", 9, "Dragonfly", "len entries, str journal", "refused"),
    RecordType(211, "OP_JOURNAL_OFFSET", "", 9, "Dragonfly", "u64", "refused"),
    RecordType(220, "OP_DF_MASK", "", 9, "Dragonfly", "u32 mask [u32 flags]", "refused"),
    RecordType(222, "OP_VECTOR_INDEX", "", 9, "Dragonfly", "HNSW graph", "refused"),
    RecordType(223, "OP_SHARD_DOC_INDEX", "", 9, "Dragonfly", "shard id, index, keys", "refused"),
    RecordType(224, "OP_TAGGED_CHUNK", "", 9, "Dragonfly", "u32 stream id, u32 size", "refused"),
    RecordType(HASH_TEMPLATE, "OP_HASH_TEMPLATE", "", 15, "Redis 8.10", "len id, len fields, str*fields"),
    RecordType(UPDATE, "OP_UPDATE", "", 81, "Valkey 9.2", "one RESP command, replication only", "refused"),
    RecordType(KEY_META, "OP_KEY_META", "", 13, "Redis 8.6", "len classes, (u32 class, module sub-opcodes, len 0)*"),
    RecordType(SLOT_IMPORT, "OP_SLOT_IMPORT", "", 80, "Valkey 9.0", "str job, len n, (len first, len last)*n"),
    RecordType(SLOT_INFO, "OP_SLOT_INFO", "", 12, "Redis 7.4", "len slot, len keys, len expires"),
    RecordType(FUNCTION2, "OP_FUNCTION2", "", 10, "Redis 7.0", "str library source"),
    RecordType(
        FUNCTION_PRE_GA, "OP_FUNCTION_PRE_GA", "", 10, "Redis 7.0-rc1, rc2", "str name, str engine, len [str], str code"
    ),
    RecordType(MODULE_AUX, "OP_MODULE_AUX", "", 9, "Redis 5.0", "len id, len 2, len when, sub-opcodes, len 0"),
    RecordType(IDLE, "OP_IDLE", "", 9, "Redis 5.0", "len seconds"),
    RecordType(FREQ, "OP_FREQ", "", 9, "Redis 5.0", "u8"),
    RecordType(AUX, "OP_AUX", "", 7, "Redis 3.2", "str name, str value"),
    RecordType(RESIZEDB, "OP_RESIZEDB", "", 7, "Redis 3.2", "len keys, len expires"),
    RecordType(EXPIRETIME_MS, "OP_EXPIRETIME_MS", "", 3, "Redis 2.6", "ms (before RDB 9 in the writer's byte order)"),
    RecordType(EXPIRETIME, "OP_EXPIRETIME", "", 1, "Redis 1.x", "i32 seconds, the writer's byte order"),
    RecordType(SELECTDB, "OP_SELECTDB", "", 1, "Redis 1.x", "len db"),
    RecordType(EOF, "OP_EOF", "", 1, "Redis 1.x", "u64 CRC64 follows from RDB 5"),
)

BY_ID = {row.id: row for row in ROWS}

#: By product: the offset of its own ids.
_OWN = {"valkey": VALKEY_OWN, "dragonfly": DRAGONFLY_OWN}
#: Numbers that a product reserves: those that it has not assigned are unknown, even if Redis uses them.
_RESERVED = {"valkey": range(22, 244)}


def dialect(product: str) -> list[int]:
    """Return, for each of the 256 bytes, the id of its row in files of this product, -1 for none."""
    own = _OWN.get(product, 0)
    shadowed = {row.number for row in ROWS if own and row.id & ~0xFF == own}
    table = [-1] * 256
    for row in ROWS:
        base = row.id & ~0xFF
        if (base == own and own) or (base == 0 and row.number not in shadowed):
            table[row.number] = row.id
    for number in _RESERVED.get(product, ()):
        if table[number] < own:
            table[number] = -1
    return table
