"""RESTORE: an entry's body as stored in the file, between its type byte and the target's version and checksum.

    RESTORE key 0 [type byte][body][u16 RDB version][u64 CRC64]

A body is copied only if it means the same to the target. Template ids have no meaning outside of their file. And two
generations of servers encode listpack entries of exactly three sizes differently (listpack.py): a server refuses the
other form, or crashes when reading it, and an entry does not show which form is used.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from types import SimpleNamespace
from typing import Any

from rdbkit.aof.rewrite_entry import RewriteEntry
from rdbkit.aof.writer import CRLF, array_head, bulk, bulk_head, command
from rdbkit.format import spec
from rdbkit.rdb.values import Decoder
from rdbkit.rdb.writer import dump_payload, encode, writable
from rdbkit.releases.target import Target
from rdbkit.wire import crc64, listpack
from rdbkit.wire.spool import MEASURED, Item, Spool

#: Types that refer to a template in their file, and the types with inline names that Redis 8.10 rewrites them as.
TEMPLATES = {spec.HASH_TMPL_LP_REF: spec.HASH_TMPL_LP, spec.HASH_TMPL_ARRAY_REF: spec.HASH_TMPL_ARRAY}

#: Bytes of version and checksum.
_FOOTER = 10
#: Lengths of strings whose entries have one of these three sizes.
_DIVIDED = frozenset((16378, 2097146, 268435450))
#: A shorter body cannot contain one of them: LZF compresses at most 88 bytes to one.
_UNDIVIDED = min(_DIVIDED) // 88
#: Items of a stream node examined at once.
_BATCH = 4096


def loads(target: Target, type_id: int) -> bool:
    """Return whether the target accepts this type in a payload."""
    return (
        writable(type_id, target.rdb_version, target.product)
        and type_id != spec.CRON  # No server is a KeyDB here.
        and type_id not in TEMPLATES
    )


def restore(write: Callable[[bytes], object], entry: RewriteEntry, version: int, *, replace: bool = False) -> bool:
    """Write an entry as RESTORE with this RDB version; return False, and write nothing, if only commands are safe.

    `replace`: with the option REPLACE.

    A body that is not in memory is read twice, because its length is written before it. Raises Passed if that is not
    possible.
    """
    if entry.body is None:
        return _restore_long(write, entry, version, replace)
    if len(entry.body) > _UNDIVIDED and _divided(entry):
        return False
    options = [b"REPLACE"] if replace else []
    write(command(b"RESTORE", entry.key, b"0", dump_payload(entry.type_id, entry.body, version), *options))
    return True


def _restore_long(write: Callable[[bytes], object], entry: RewriteEntry, version: int, replace: bool) -> bool:
    head, foot = bytes((entry.type_id & 0xFF,)), version.to_bytes(2, "little")
    measured = _Measured()
    measured.write(head)
    entry.copy_to(measured)
    if _divided(entry):
        return False
    size = bulk_head(measured.size + _FOOTER)
    write(array_head(5 if replace else 4) + bulk(b"RESTORE") + bulk(entry.key) + bulk(b"0") + size + head)
    entry.copy_to(SimpleNamespace(write=write))
    measured.write(foot)
    write(foot + measured.crc.to_bytes(8, "little") + CRLF + (bulk(b"REPLACE") if replace else b""))
    return True


class _Measured:
    """Counts bytes and computes their checksum."""

    def __init__(self) -> None:
        self.size = 0
        self.crc = 0
        self._update = crc64.update()

    def write(self, data: bytes) -> None:
        self.size += len(data)
        self.crc = self._update(data, self.crc)


def template_payload(type_id: int, fields: Sequence[tuple[bytes, bytes, None]], target: Target) -> bytes:
    """Return a template hash with inline names, as Redis 8.10 writes it to its AOF: without a checksum."""
    names = [name for name, _, _ in fields]
    few = len(names) <= target.settings.hash_max_listpack_entries
    short = all(len(name) <= target.settings.hash_max_listpack_value for name in names)
    kind = TEMPLATES[type_id]
    body = encode(kind, fields, compress=False, generation="new", template_format=0 if few and short else 1)
    return dump_payload(kind, body, target.rdb_version, checksum=False)


# -- back-lengths ------------------------------------------------------------------------------------------------------


def _divided(entry: RewriteEntry) -> bool:
    """Return whether a body contains an item that the two generations encode differently."""
    batches: Iterator[Sequence[Item]]
    if entry.type == "stream":
        batches = _stream_items(entry.decoder(Spool(MEASURED)))
    elif entry.type_id in spec.LISTPACKED:
        batches = map(_texts, entry.decoder(Spool(MEASURED)).parts())
    else:
        return False
    return any(not _DIVIDED.isdisjoint(map(len, batch)) for batch in batches)


def _stream_items(decoder: Decoder) -> Iterator[Sequence[Item]]:
    """Yield all items in a stream's nodes, including deleted entries."""
    cursor = decoder.cursor
    for _ in range(cursor.claim()):
        cursor.skip_string()
        size, inside = cursor.open_string()
        reader = listpack.Reader(inside, size)
        while items := reader.read(_BATCH):
            yield items


def _texts(batch: list[Any]) -> list[Item]:
    """Return the strings among the parts of a list, set, zset or hash."""
    if batch and isinstance(batch[0], tuple):
        return [item for part in batch for item in part if isinstance(item, Item)]
    return batch
