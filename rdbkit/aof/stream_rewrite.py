"""A stream as commands: its entries, metadata, groups, consumers and pending entries.

    XADD key id field value …          per entry; if empty: XADD key MAXLEN 0 0-1 x y, which leaves an empty stream
    XSETID key last                    7.0: ENTRIESADDED n MAXDELETEDID id
    XCFGSET · XIDMPRECORD              8.6, where used
    XGROUP CREATE key group last       7.0: ENTRIESREAD n, -1 for unknown
      XCLAIM … JUSTID FORCE            per pending entry, by consumer
      XGROUP CREATECONSUMER            per consumer without any (6.2)
      XNACK … FORCE                    pending entries without an owner (8.8)

XCLAIM does nothing for a message that is no longer in the stream, so its pending entry cannot be recreated: it is
counted as lost, although a server's own rewrite loses it as well.

Redis 5.0 creates an empty stream with its last ID, and loses the key on loading if that is 0-0: here it is always 0-1.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable
from itertools import chain, groupby

from rdbkit.aof.rewrite_entry import ITEMS, RewriteEntry, chunks
from rdbkit.aof.writer import id_text
from rdbkit.errors import Passed
from rdbkit.format import spec
from rdbkit.rdb.stream_encoder import NO_IDMP
from rdbkit.rdb.stream_nodes import Fields, StreamID
from rdbkit.rdb.streams import Group, Idmp, Stream
from rdbkit.releases.target import Target
from rdbkit.wire.spool import MEASURED, Spool


class StreamRewriter:
    """Writes streams as commands for a target; calls `lose(reason, count)` for data that it cannot express."""

    def __init__(self, put: Callable[..., object], target: Target, lose: Callable[[str, int], object]) -> None:
        self._put = put
        self._target = target
        self._lose = lose

    def entry(self, entry: RewriteEntry, spool: Spool) -> None:
        """Write one stream."""
        key, decoder = entry.key, entry.decoder(spool)
        empty = True
        for stream_id, fields in chain.from_iterable(decoder.parts()):
            empty = False
            self._put(b"XADD", key, id_text(stream_id), *chain.from_iterable(fields))
        if empty:
            self._put(b"XADD", key, b"MAXLEN", b"0", b"0-1", b"x", b"y")
        stream = decoder.tail
        assert stream is not None  # set when all parts were read
        self._state(key, stream)
        for group in stream.groups:
            self._group(key, group)
        self._lose("pending entry", _orphans(entry, stream))

    def _state(self, key: bytes, stream: Stream) -> None:
        counters: tuple[bytes, ...] = ()
        if self._target.has("rewrite-entriesadded"):
            added = b"%d" % stream.entries_added
            counters = (b"ENTRIESADDED", added, b"MAXDELETEDID", id_text(stream.max_deleted_id))
        self._put(b"XSETID", key, id_text(stream.last_id), *counters)
        if stream.idmp is not None:
            self._idmp(key, stream.idmp)

    def _idmp(self, key: bytes, idmp: Idmp) -> None:
        limits = idmp.duration, idmp.max_entries
        if not self._target.has("rewrite-xidmprecord"):
            self._lose("idempotency", int(limits != NO_IDMP or bool(idmp.producers)))
            return
        if limits != NO_IDMP:
            self._put(b"XCFGSET", key, b"IDMP-DURATION", b"%d" % limits[0], b"IDMP-MAXSIZE", b"%d" % limits[1])
        for producer, records in idmp.producers:
            for record, stream_id in records:
                self._put(b"XIDMPRECORD", key, producer, record, id_text(stream_id))

    # -- groups ----------------------------------------------------------------------------------------------------

    def _group(self, key: bytes, group: Group) -> None:
        read = -1 if group.entries_read is None else group.entries_read
        counters = (b"ENTRIESREAD", b"%d" % read) if self._target.has("rewrite-entriesadded") else ()
        self._put(b"XGROUP", b"CREATE", key, group.name, id_text(group.last_delivered_id), *counters)
        # Positions instead of the entries, because there may be as many as in the stream.
        owned: dict[bytes | None, array[int]] = {}
        for at, item in enumerate(group.pending):
            owned.setdefault(item.consumer, array("q")).append(at)
        for consumer in group.consumers:
            self._consumer(key, group, consumer.name, owned.get(consumer.name, array("q")))
        self._unowned(key, group, owned.get(None, array("q")))

    def _consumer(self, key: bytes, group: Group, name: bytes, pending: array[int]) -> None:
        for item in (group.pending[at] for at in pending):
            state = (b"TIME", b"%d" % item.delivered_at, b"RETRYCOUNT", b"%d" % item.deliveries)
            self._put(b"XCLAIM", key, group.name, name, b"0", id_text(item.id), *state, b"JUSTID", b"FORCE")
        if not pending and self._target.has("rewrite-createconsumer"):
            self._put(b"XGROUP", b"CREATECONSUMER", key, group.name, name)
        elif not pending:
            self._lose("consumer", 1)

    def _unowned(self, key: bytes, group: Group, pending: array[int]) -> None:
        if not self._target.has("rewrite-xnack"):
            self._lose("pending entry", len(pending))
            return
        for deliveries, run in groupby((group.pending[at] for at in pending), lambda item: item.deliveries):
            for items in chunks([list(run)], ITEMS):
                ids = (b"IDS", b"%d" % len(items), *[id_text(item.id) for item in items])
                self._put(b"XNACK", key, group.name, b"FAIL", *ids, b"RETRYCOUNT", b"%d" % deliveries, b"FORCE")


def _orphans(entry: RewriteEntry, stream: Stream) -> int:
    """Return the number of owned pending entries whose message was deleted; of all groups if that is unknown.

    Both lists are ascending, so they are read in parallel.
    """
    lines = [line for line in map(_Line, stream.groups) if line.next is not None]
    try:
        for batch in entry.decoder(Spool(MEASURED)).parts() if lines else ():
            for line in lines:
                line.pass_by(batch)
    except Passed:
        # A stream with all entries ever added lacks none; but a server that loaded it from RDB 9 did not know how many.
        if entry.type_id != spec.STREAM_LISTPACKS and stream.entries_added == stream.length:
            return 0
    return sum(line.gone() for line in lines)


class _Line:
    """A group's pending entries, the next one to be found first."""

    def __init__(self, group: Group) -> None:
        self._entries = (item for item in group.pending if item.consumer is not None)
        self.next = next(self._entries, None)
        self._missed = 0

    def pass_by(self, batch: list[tuple[StreamID, Fields]]) -> None:
        """Process more messages of the stream."""
        if self.next is None or batch[-1:] < [(self.next.id, [])]:
            return
        for stream_id, _ in batch:
            while self.next is not None and self.next.id < stream_id:
                self._missed += 1
                self.next = next(self._entries, None)
            if self.next is None:
                return
            if self.next.id == stream_id:
                self.next = next(self._entries, None)

    def gone(self) -> int:
        """Return how many were not found, after all messages."""
        return self._missed + (self.next is not None) + sum(1 for _ in self._entries)
