"""The memory of a loaded data set in addition to its keys: the hash tables of the databases, and the server's own.

`used_memory` after a load, less `used_memory_startup`, is about

    sum over keys (memory.Model with heap=True)  +  tables of each database  +  allocations that any load makes

Source: measured, on servers of these releases that had just loaded a file.
"""

from __future__ import annotations

from collections.abc import Iterable

from rdbkit.memory import hash_tables
from rdbkit.releases.allocators import ALLOCATORS
from rdbkit.releases.memory_layouts import heap_generation
from rdbkit.releases.table import Version
from rdbkit.releases.target import Target

#: Bytes of used_memory above used_memory_startup that belong to no key, from a release on: buffers of a client, and
#: from 7.0 on a latency histogram for each command that was used, so the number is only an estimate there. Fitted to
#: servers that had loaded a file and answered a dozen kinds of commands; after fewer kinds it is as low as half that.
_BASE: tuple[tuple[str, Version, int], ...] = (
    ("redis", (4, 0, 0), 62_900),
    ("redis", (5, 0, 0), 63_300),
    ("redis", (6, 0, 0), 64_500),
    ("redis", (7, 0, 0), 213_900),
    ("redis", (7, 2, 0), 215_000),
    ("redis", (7, 4, 0), 240_000),
    ("redis", (8, 0, 0), 266_000),
    ("redis", (8, 6, 0), 298_000),
    ("redis", (8, 10, 0), 367_000),
    ("valkey", (7, 2, 0), 214_500),
    ("valkey", (9, 0, 0), 218_500),
)


def overhead(target: Target, databases: Iterable[tuple[int, int]]) -> int:
    """Return the bytes in addition to the keys'. `databases` has the number of keys, and of those with an expiry."""
    gen = heap_generation(target)
    if gen is None:
        return 0
    z = ALLOCATORS[target.allocator]
    total = 0.0
    for counts in databases:
        for count in filter(None, counts):
            if gen.table == "hashtable":
                total += hash_tables.hashtable(count, hash_tables.buckets(count))[0]
                continue
            size = hash_tables.slots(count)
            total += z(8 * size)
            if gen.key == "object":
                # Entries without a value: in place of the last one in a slot there is the key itself.
                total += 16 * (count - hash_tables.full_buckets(count, size)[0])
    return base(target) + round(total)


def base(target: Target) -> int:
    """Return the bytes that a server uses after a load even if the file has no keys."""
    rows = [size for product, since, size in _BASE if product == target.product and since <= target.version]
    return rows[-1] if rows else 0
