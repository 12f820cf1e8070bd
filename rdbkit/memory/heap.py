"""What a loaded data set takes beside its keys: the tables that hold them, and what the server itself needs.

`used_memory` after a load, less `used_memory_startup`, is about

    sum over keys (memory.Model with heap=True)  +  tables of each database  +  what any load leaves behind

Source: measured, on servers of these releases that had just loaded a file.
"""

from __future__ import annotations

from collections.abc import Iterable

from rdbkit.memory import hash_tables
from rdbkit.releases.allocators import ALLOCATORS
from rdbkit.releases.memory_layouts import heap_generation
from rdbkit.releases.table import Version
from rdbkit.releases.target import Target

#: Bytes of used_memory above used_memory_startup that no key accounts for, from a release on: buffers of a client, and
#: from 7.0 on a latency histogram for each command that was used, which is why this is an estimate there. Fitted to
#: servers that had loaded a file and answered a dozen kinds of commands; after fewer it is up to half as much.
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
    """Return the bytes beside the keys' own; `databases` gives the keys and, of these, those with an expiry."""
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
                # Entries without a value: the last one in a slot is the key itself.
                total += 16 * (count - hash_tables.full_buckets(count, size)[0])
    return base(target) + round(total)


def base(target: Target) -> int:
    """Return what a server takes after a load even if nothing was in the file."""
    rows = [size for product, since, size in _BASE if product == target.product and since <= target.version]
    return rows[-1] if rows else 0
