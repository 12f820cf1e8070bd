"""The functions that check a value, by the id of its type."""

from __future__ import annotations

from rdbkit.dropin import rdb_hashes, rdb_streams
from rdbkit.dropin.rdb_values import Loaders, ValueSteps
from rdbkit.format import spec

LOADERS: Loaders = {
    spec.STRING: ValueSteps.string,
    spec.LIST: ValueSteps.list_,
    spec.SET: ValueSteps.set_,
    spec.ZSET: ValueSteps.zset,
    spec.HASH: rdb_hashes.load,
    spec.ZSET_2: ValueSteps.zset,
    spec.MODULE_PRE_GA: ValueSteps.module_pre_ga,
    spec.MODULE_2: ValueSteps.module,
    spec.HASH_ZIPMAP: rdb_hashes.load_zipmap,
    spec.LIST_ZIPLIST: ValueSteps.list_ziplist,
    spec.SET_INTSET: ValueSteps.set_intset,
    spec.ZSET_ZIPLIST: ValueSteps.zset_ziplist,
    spec.HASH_ZIPLIST: rdb_hashes.load_ziplist,
    spec.LIST_QUICKLIST: ValueSteps.quicklist,
    spec.STREAM_LISTPACKS: rdb_streams.load,
    spec.HASH_LISTPACK: rdb_hashes.load_listpack,
    spec.ZSET_LISTPACK: ValueSteps.zset_listpack,
    spec.LIST_QUICKLIST_2: ValueSteps.quicklist,
    spec.STREAM_LISTPACKS_2: rdb_streams.load,
    spec.SET_LISTPACK: ValueSteps.set_listpack,
    spec.STREAM_LISTPACKS_3: rdb_streams.load,
    spec.HASH_METADATA_PRE_GA: rdb_hashes.load_metadata,
    spec.HASH_LISTPACK_EX_PRE_GA: rdb_hashes.load_listpack,
    spec.HASH_METADATA: rdb_hashes.load_metadata,
    spec.HASH_LISTPACK_EX: rdb_hashes.load_listpack,
    spec.STREAM_LISTPACKS_4: rdb_streams.load,
    spec.STREAM_LISTPACKS_5: rdb_streams.load,
    spec.ARRAY: ValueSteps.decoded,
    spec.HASH_TMPL_LP: ValueSteps.decoded,
    spec.HASH_TMPL_LP_REF: rdb_hashes.load_template_listpack,
    spec.HASH_TMPL_ARRAY: ValueSteps.decoded,
    spec.HASH_TMPL_ARRAY_REF: ValueSteps.decoded,
    spec.HASH_2: rdb_hashes.load,
}
