"""The releases in which a server has a feature: ranges by product, down to patches, because fixes are backported.

A row is a name and the releases of Redis and of Valkey that have it, in the notation of table.py. Code calls
`Target.has("name")`; no other package compares a version.

Sources: files that 14 servers wrote and rewrote; recorded starts of 18; the BSD-licensed versions.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

from rdbkit.releases.table import Version, within

_TABLE = """
# how keys are kept in memory, and what a load converts
zipmap-converted           2.6          *      a zipmap is read pair by pair
quicklist                  3.2          *      a list is a quicklist
memory-usage               4.0          *      the command
bucket-tables              -            8.1    hash tables of buckets with seven places; before, dicts
hash-sets-after-search     2.4-7.0      -      a new field costs two steps of a table's move, a search and an insertion
presized-hash              7.0          *      a compact hash becomes a dict that is made for its fields
shrinks-below-eighth       7.4          8.0    a dict shrinks below 1/8 of its slots; before, below 1/10
binary-scores              4.0          *      a sorted set is written with scores as doubles, before as texts
hash-2                     -            9.0    a hash with field expiries is written as type 22
stream-counters            7.0          *      streams are written with first id, max deleted id, entries added and read
stream-active-time         7.2          *      and with the active times of consumers
stream-idmp                8.6          -      and with idempotency records
stream-unowned             8.8          -      and with pending entries that no consumer owns
stream-room                6.2-8.2      *      a stream's last node has 4096 bytes allocated
stream-encoding-name       6.0          *      OBJECT ENCODING of a stream is "stream", before "unknown"
listpack                   7.0          *      hashes, sorted sets and lists use listpacks, before ziplists
set-listpack               7.2          *      small sets with texts are listpacks
listpackex                 7.4          -      a listpack of a hash with field expiries; in Valkey it is a hash table
hash-templates             8.10         -      hashes share the names of their fields
hash-counts-arguments      7.2          *      more fields in one HSET than fit convert it, also repeated ones
hides-expired-fields       7.4          -      from HINCRBY, HSETNX, HPERSIST … also while an AOF is loaded
increments-convert-hashes  7.0          *      HINCRBY of a field with a long name converts a hash
list-listpack              7.2          *      a short list is a listpack without a quicklist
plain-nodes-by-size        7.4          8.0    an element over list-max-listpack-size has a node; before, over 1 GiB
zset-btree                 -            9.2    a big sorted set is a "btree", before a "skiplist"
hash-2-listpack            -            9.2    a small hash with field expiries is a listpack
short-scores               7.2          *      scores as text have as few digits as are needed; before, 17

# what commands do to values
size-hints                 7.2          *      a set or sorted set is made for all members of the command
quicklist-insert-at-ends   7.0          *      LINSERT at the end of a full node tries the next one; before, it splits
zadd-looks-at-all          -            8.0    ZADD decides by its longest member, before by its first
zrangestore-compact        6.2-7.0,7.2.5 7.2.6 a range by scores or members may be compact; 7.2 made a skiplist
sinterstore-checks-all     6.0          *      SINTERSTORE looks at all keys before it ends at one that is not there
sdiff-filters              2.8          *      SDIFFSTORE may add only what remains; before, all of the first set
sort-forces-lists          2.6-2.6      -      SORT with BY of no pattern compares texts, also for a list
sort-reverses-lists        3.2          *      SORT with BY of no pattern and DESC reverses a list
zset-aggregate-count       8.8          -      AGGREGATE COUNT: sums of weights
geo-store-of-nothing       6.2          *      GEORADIUS with STORE of a key that is not there removes the destination
geo-units-in-any-case      7.0          *      M and KM are units, too
geo-polygons               -            9.0    GEOSEARCH BYPOLYGON
geo-bounds-by-hemisphere   6.2          *      the bounding box of a search is that at its wider end
geo-short-meridians        7.0          *      distances along a meridian are computed without sines
key-in-object              8.2          8.1    an object contains its key, its expiry, and a short text
expiry-kept-by-overwrite   -            8.1    a value that replaces an expiring one has space for an expiry
string-usable-size         6.2          *      a string knows the size that the allocator returned
texts-of-116               -            9.1    the longest text that an object holds beside a short key; before, 44
string-trimmed             6.2-7.0      -      SET gives an argument with much unused space the capacity of its length
string-trimmed-if-long     7.2-8.0      7.2-8.0 the same, from 32 KiB on
expiry-in-free-end         8.2-8.4      8.1    an expiry that is set later is put into the free end of an allocation
string-header-by-size      8.2          8.1    if that is too much for its header, it has a larger one
hll-grows-by-size          7.2          *      a sparse HyperLogLog is enlarged by its size; before, by any change

# what commands do
set-keepttl                6.0          *
set-get                    6.2          *
set-get-nx                 7.0          *      SET with both GET and a condition
set-exat                   6.2          *      SET and GETEX with EXAT, PXAT
set-ifeq                   8.4          8.1
set-ifne                   8.4          -      SET IFNE, IFDEQ, IFDNE
expire-options             7.0          *
payload-without-checksum   8.6          -      RESTORE takes one whose checksum is 0
decrby-checks-least        7.0          *      DECRBY of the least integer is refused
restore-options            5.0          *      RESTORE with ABSTTL, IDLETIME, FREQ
pfmerge-sparse             4.0          *      PFMERGE of sparse HyperLogLogs makes a sparse one; before, a dense one
pfcount-beta               4.0          *      PFCOUNT estimates with LogLog-Beta
pfcount-histogram          5.0          *      and later from the histogram of the registers
bitop-diff                 8.2          -      BITOP DIFF, DIFF1, ANDOR, ONE

# what a server's AOF rewrite emits
rewrite-pexpireat          2.6          *
rewrite-restore            2.6          *
rewrite-many-items         2.6          *      several items in a command
rewrite-xadd               5.0          *
rewrite-createconsumer     6.2          *
rewrite-function           7.0          *
rewrite-entriesadded       7.0          *
rewrite-hpexpireat         7.4          -
rewrite-hsetex             -            9.0
rewrite-phset              -            9.2    path hashes, field by field
rewrite-xidmprecord        8.6          -
rewrite-xnack              8.8          -
rewrite-armset             8.8          -
rewrite-templates          8.10         -

# what commands do when they are loaded
xclaim-drops-deleted       7.0          *      XCLAIM of a deleted entry makes it no longer pending
entries-read-capped        8.2          -      ENTRIESREAD over the number of entries ever added means that number
xreadgroup-checks-last     7.4          8.0    its count minds trims and deletions; 7.2: not tried
xsetid-checks-deleted      7.2          *      an id below the greatest deleted one is refused; 7.2: not tried
idle-consumer-added        7.2          *      XCLAIM and XREADGROUP add a consumer even if it gets nothing

# what a server loads
new-back-lengths           8.8          9.1    listpack entries of 16383 bytes; the other form crashes, or is refused
sanitize-dump-payload      6.2          *      a setting: without it, a load does not look into packed values
checks-packed-values       -            9.1.2  it does, whatever that setting is
slot-info-opcode           7.4          9.0    opcode 244; Valkey 8 has an AUX field for that
vector-set-nodes-1         8.0.6        -      8.0.2 does not load what 8.0.6 writes; between, not tried
vector-sets                8.0          -      values of the module "vectorset", which is built in
aof-multi-part             7.0          *      a manifest, a base and increments
vcs-envelope               -            9.2    an RDB compressed as a whole, also as the base of an AOF
loads-pre-ga-functions     7.0-7.0      -      opcode 246, of the release candidates of 7.0

# what a server does with an AOF at start
aof-cuts-torn-tail         2.8.15       *      aof-load-truncated
aof-runs-at-exec           4.0.12       *      commands in MULTI wait for EXEC; before they run at once
aof-annotations            7.0          *      a line that begins with # is skipped
aof-checks-subcommands     7.0          *      an unknown subcommand stops the start; before, it is logged
aof-checks-arity           -            9.0    too few arguments stop the start; else it may crash
aof-cuts-before-multi      -            9.1.2  a torn transaction is cut as a whole, and a preamble is kept
"""


@cache
def _features() -> dict[str, dict[str, str]]:
    rows = [line.split(None, 3) for line in _TABLE.splitlines() if line and not line.startswith("#")]
    return {name: {"redis": redis, "valkey": valkey} for name, redis, valkey, *_ in rows}


@cache
def has_feature(name: str, product: str, version: Version) -> bool:
    """Return whether a release has a feature. Raises KeyError for a name that is not in the table."""
    return within(_features()[name][product], version)


def ranges(product: str) -> Iterator[str]:
    """Yield the releases of a product that have a feature, for each feature."""
    return (row[product] for row in _features().values())


def feature_names() -> frozenset[str]:
    """Return the names in the table."""
    return frozenset(_features())
