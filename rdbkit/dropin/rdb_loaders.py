"""The functions that check a value, by the id of its type."""

from __future__ import annotations

from rdbkit.dropin import rdb_hashes, rdb_streams
from rdbkit.dropin.rdb_values import Loaders, Values
from rdbkit.format import spec

LOADERS: Loaders = {
    spec.STRING: Values.string,
    spec.LIST: Values.list_,
    spec.SET: Values.set_,
    spec.ZSET: Values.zset,
    spec.HASH: rdb_hashes.load,
    spec.ZSET_2: Values.zset,
    spec.MODULE_PRE_GA: Values.module_pre_ga,
    spec.MODULE_2: Values.module,
    spec.HASH_ZIPMAP: rdb_hashes.load_zipmap,
    spec.LIST_ZIPLIST: Values.list_ziplist,
    spec.SET_INTSET: Values.set_intset,
    spec.ZSET_ZIPLIST: Values.zset_ziplist,
    spec.HASH_ZIPLIST: rdb_hashes.load_ziplist,
    spec.LIST_QUICKLIST: Values.quicklist,
    spec.STREAM_LISTPACKS: rdb_streams.load,
    spec.HASH_LISTPACK: rdb_hashes.load_listpack,
    spec.ZSET_LISTPACK: Values.zset_listpack,
    spec.LIST_QUICKLIST_2: Values.quicklist,
    spec.STREAM_LISTPACKS_2: rdb_streams.load,
    spec.SET_LISTPACK: Values.set_listpack,
    spec.STREAM_LISTPACKS_3: rdb_streams.load,
    spec.HASH_METADATA_PRE_GA: rdb_hashes.load_metadata,
    spec.HASH_LISTPACK_EX_PRE_GA: rdb_hashes.load_listpack,
    spec.HASH_METADATA: rdb_hashes.load_metadata,
    spec.HASH_LISTPACK_EX: rdb_hashes.load_listpack,
    spec.STREAM_LISTPACKS_4: rdb_streams.load,
    spec.STREAM_LISTPACKS_5: rdb_streams.load,
    spec.ARRAY: Values.decoded,
    spec.HASH_TMPL_LP: Values.decoded,
    spec.HASH_TMPL_LP_REF: rdb_hashes.load_template_listpack,
    spec.HASH_TMPL_ARRAY: Values.decoded,
    spec.HASH_TMPL_ARRAY_REF: Values.decoded,
    spec.HASH_2: rdb_hashes.load,
}
