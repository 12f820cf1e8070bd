"""Streams, checked in the order in which rdb.c loads them; each step has its own message.

    nodes: (key of 16 bytes, listpack)*   length, last id [, first id, deleted id, added]
    groups: (name, id [, read], pending: (id, time, count)*,
             consumers: (name, seen [, active], ids*)* [, unowned ids*])*
    [IDMP, from Redis 8.6]

The ids of one group's pending entries are held while it is read, so that consumers can be compared with them.

Source: BSD Valkey 7.2, rdb.c; the additions of Redis 8.6 and later are read as in rdb/streams.py, and their damage is
reported as the end of the file.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rdbkit.dropin.packed import stream_node
from rdbkit.dropin.reader import Ended, RdbReader, Reported, times
from rdbkit.format import spec
from rdbkit.wire.spool import HEAD, Item

if TYPE_CHECKING:
    from rdbkit.dropin.rdb_values import ValueSteps


@contextmanager
def _or(text: str) -> Iterator[None]:
    """Report this text if the loader returns nothing."""
    try:
        yield
    except Ended as error:
        raise Reported(text) from error


def load(values: ValueSteps, kind: int) -> None:
    """Check a stream's body. Raises Failure."""
    reader = values.reader
    with _or("Stream listpacks len loading failed."):
        nodes = reader.length()
    live = _nodes(values, nodes)
    with _or("Stream object metadata loading failed."):
        length = reader.number()
        for _ in range(2 if kind == spec.STREAM_LISTPACKS else 7):
            reader.number()
    tool = values.tool
    if length != live if tool.counts_entries else length and not nodes and tool.strict:
        raise Reported("Stream length inconsistent with rax entries")
    if length != live and tool.exact_streams:
        raise Reported("Stream length inconsistent with the number of valid entries")
    with _or("Stream cgroup count loading failed."):
        groups = reader.length()
    names: set[Item] = set()
    while groups > 0:
        groups -= 1
        _group(values, kind, names)
    if kind >= spec.STREAM_LISTPACKS_4:
        _idmp(reader)


def _nodes(values: ValueSteps, count: int) -> int:
    """Check the nodes; return the number of live entries that they state."""
    reader, tool = values.reader, values.tool
    node = "primary" if tool.primary else "master"
    keys = values.new_names()
    live = 0
    while count > 0:
        count -= 1
        with _or(f"Stream {node} ID loading failed: invalid encoding or I/O error."):
            key = reader.string()
        if len(key) != 16:
            raise Reported("Stream node key entry is not the size of a stream ID")
        with _or("Stream listpacks loading failed."):
            _, found = reader.blob(lambda inside, size: stream_node(inside, size, tool))
        if found is None:
            raise Reported("Stream listpack integrity check failed.")
        live += found
        if keys.add(key):
            raise Reported("Listpack re-added with existing key")
    return live


def _group(values: ValueSteps, kind: int, names: set[Item]) -> None:
    reader = values.reader
    with _or("Error reading the consumer group name from Stream"):
        name = reader.string()
    with _or("Stream cgroup ID loading failed."):
        reader.number()
        reader.number()
    if kind != spec.STREAM_LISTPACKS:
        with _or("Stream cgroup offset loading failed."):
            reader.number()
    if name in names:
        named = " " + name[:HEAD].split(b"\0", 1)[0].decode("latin-1") if values.tool.names_groups else ""
        raise Reported("Duplicated consumer group name" + named)
    names.add(name)
    pending = _pending(reader)
    with _or("Stream consumers num loading failed."):
        consumers = reader.length()
    known: dict[Item, set[bytes]] = {}
    while consumers > 0:
        consumers -= 1
        _consumer(values, kind, pending, known)
    if kind >= spec.STREAM_LISTPACKS_5:
        for _ in times(reader.length()):
            pending[reader.take(16)] = True
    if not all(pending.values()):
        raise Reported("Stream CG PEL entry without consumer")


def _pending(reader: RdbReader) -> dict[bytes, bool]:
    """Return the ids of a group's pending entries; none has an owner yet."""
    with _or("Stream PEL size loading failed."):
        count = reader.length()
    pending: dict[bytes, bool] = {}
    for _ in times(count):
        with _or("Stream PEL ID loading failed."):
            entry = reader.take(16)
        with _or("Stream PEL NACK loading failed."):
            reader.take(8)
            reader.number()
        if entry in pending:
            raise Reported("Duplicated global PEL entry loading stream consumer group")
        pending[entry] = False
    return pending


def _consumer(values: ValueSteps, kind: int, pending: dict[bytes, bool], known: dict[Item, set[bytes]]) -> None:
    reader = values.reader
    with _or("Error reading the consumer name from Stream group."):
        name = reader.string()
    if name in known and values.tool.strict:
        raise Reported("Duplicate stream consumer detected.")
    own = known.setdefault(name, set())
    with _or("Stream short read reading seen time."):
        reader.take(8)
    if kind >= spec.STREAM_LISTPACKS_3:
        with _or("Stream short read reading active time."):
            reader.take(8)
    with _or("Stream consumer PEL num loading failed."):
        count = reader.length()
    for _ in times(count):
        with _or("Stream short read reading PEL streamID."):
            entry = reader.take(16)
        if entry not in pending:
            raise Reported("Consumer entry not found in group global PEL")
        if pending[entry] and values.tool.hardened:
            raise Reported("Stream consumer PEL entry already has a consumer assigned")
        pending[entry] = True
        if entry in own:
            raise Reported("Duplicated consumer PEL entry  loading a stream consumer group")
        own.add(entry)


def _idmp(reader: RdbReader) -> None:
    """Duration, limit, producers with their ids, two counters."""
    reader.number()
    reader.number()
    for _ in times(reader.length()):
        reader.skip_string()
        for _ in times(reader.length()):
            reader.skip_string()
            reader.number()
            reader.number()
    reader.number()
    reader.number()
