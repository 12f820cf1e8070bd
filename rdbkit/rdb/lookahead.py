"""Second readings for data that is later in a file than it is needed; made only on request.

These are: how many keys share each hash template, because its memory is divided among them; and whether the writer left
strings raw that can be packed, because then a list's packed nodes are packed in memory, too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from rdbkit.errors import RdbkitError
from rdbkit.format import spec
from rdbkit.format.shape import DETAIL
from rdbkit.memory.price_tables import PriceTables
from rdbkit.rdb.list_compression import CompressionEvidence
from rdbkit.rdb.memory_walk import MemoryWalker
from rdbkit.rdb.walker import SHAPE, SHAPE_OF, TYPE, EntryTuple, Plan, Walker
from rdbkit.wire.cursor import Cursor

#: Bytes of a file that are searched for a raw string.
_SEARCHED = 1 << 20
_TEMPLATED = (spec.HASH_TMPL_LP_REF, spec.HASH_TMPL_ARRAY_REF)


def template_users(cursor: Cursor) -> Counter[int] | None:
    """Return how many keys have each template, from the magic at the cursor on; None if damage hides some."""
    users: Counter[int] = Counter()
    walker = Walker(cursor, Plan(level=SHAPE, types=frozenset(("hash",))), verify=False)
    for batch in _batches(walker):
        shapes = [row[SHAPE_OF] for row in batch if row[TYPE] in _TEMPLATED]
        if None in shapes:
            return None
        users.update(shape[DETAIL] for shape in shapes)
    return users if walker.checksum != "not reached" else None


def shows_raw(cursor: Cursor, prices: PriceTables) -> bool:
    """Return whether the first 1 MiB from the magic at the cursor shows `rdbcompression no` (list_compression.py)."""
    evidence = CompressionEvidence()
    walker = Walker(cursor, Plan(level=SHAPE), verify=False)
    walker.body = MemoryWalker(cursor, prices, walker.body.templates, evidence)
    for _ in _batches(walker):
        if evidence.raw or not evidence.tries or cursor.tell() > _SEARCHED:
            break
    return evidence.raw


def _batches(walker: Walker) -> Iterator[list[EntryTuple]]:
    """Yield the batches before any damage, which the reader of the file itself reports."""
    try:
        while not walker.done:
            yield walker.batch()
            walker.records.clear()
            walker.damages.clear()
    except RdbkitError:
        pass
