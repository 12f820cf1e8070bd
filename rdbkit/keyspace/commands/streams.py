"""Commands of streams, as a server runs them while it loads: LIMIT is ignored, and deleted entries are known.

Source: the BSD-licensed versions; XDELEX, XACKDEL, XNACK and IDMP as observed on 8.2, 8.6 and 8.10.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rdbkit.keyspace.arguments import MOST, SYNTAX, Words, integer
from rdbkit.keyspace.loader import CommandError, Loader
from rdbkit.keyspace.stream_value import (
    ACKED,
    DELREF,
    ID,
    KEEPREF,
    LAST_ID,
    Consumer,
    Content,
    Group,
    Nack,
    NodeLimits,
    Producers,
    StreamValue,
)
from rdbkit.rdb.streams import ZERO

_BAD_ID = "ERR Invalid stream ID specified as stream command argument"
_NO_KEY = "ERR no such key"
_TOO_SMALL = "ERR The ID specified in XADD is equal or smaller than the target stream top item"
_POLICIES = (KEEPREF, DELREF, ACKED)
_LARGEST = (1 << 64) - 1
#: What is allocated for a new node, if the size limit is not smaller.
_ROOM = 4096
_DURATIONS, _SIZES = range(1, 86401), range(1, 10001)


# -- ids ---------------------------------------------------------------------------------------------------------------


def id_of(text: bytes, missing: int = 0) -> ID:
    """Return an id; `missing` is the sequence number of one that has none."""
    ms, dash, seq = text.partition(b"-")
    return ID(_number(ms), _number(seq) if dash else missing)


def _number(text: bytes) -> int:
    if not text.isdigit():
        # As strtoull does, which servers use for what is not in the usual form.
        text = text.lstrip(b" \t\n\v\f\r").removeprefix(b"+")
    if text.isdigit() and len(text) < 40 and (number := int(text)) <= _LARGEST:
        return number
    raise CommandError(_BAD_ID)


def _is_id(text: bytes) -> bool:
    try:
        id_of(text)
    except CommandError:
        return False
    return True


def _next(stream: StreamValue, text: bytes, now: int) -> ID:
    """Return the id that XADD gives to an entry: `*`, `ms-*`, or the one that is stated."""
    last = stream.last_id
    if text == b"*":
        return _follower(last, "") if now <= last.ms else ID(now, 0)
    if not text.endswith(b"-*"):
        return id_of(text)
    ms = _number(text[:-2])
    if ms < last.ms or (ms == last.ms and last.seq == _LARGEST):
        raise CommandError(_TOO_SMALL)
    return ID(ms, last.seq + 1 if ms == last.ms else 0)


def _follower(last: ID, error: str) -> ID:
    if last == LAST_ID:
        raise CommandError(error or _TOO_SMALL)
    return ID(last.ms, last.seq + 1) if last.seq < _LARGEST else ID(last.ms + 1, 0)


# -- XADD, XTRIM -------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Trim:
    """How a stream is trimmed: to `most` entries, else to those from `least` on."""

    kind: bytes = b""
    most: int | None = None
    least: ID = ZERO
    approximate: bool = False
    policy: bytes = b""

    def take(self, word: bytes, words: Words) -> bool:
        """Take an option; return whether it is one of these."""
        if word in (b"MAXLEN", b"MINID"):
            if self.kind not in (b"", word):
                raise CommandError("ERR syntax error, MAXLEN and MINID options at the same time are not compatible")
            self.kind = word
            text = words.next()
            self.approximate = text == b"~"
            text = words.next() if text in (b"~", b"=") else text
            if word == b"MINID":
                self.least = id_of(text)
            else:
                self.most = _positive(integer(text), "ERR The MAXLEN argument must be >= 0.")
        elif word == b"LIMIT":
            _positive(words.integer(), "ERR The LIMIT argument must be >= 0.")
        elif word in _POLICIES and not self.policy:
            self.policy = word
        else:
            return False
        return True

    def run(self, stream: StreamValue) -> bool:
        """Trim a stream; return whether it changed."""
        if not self.kind:
            return False
        return stream.trim(self.most, self.least, approximate=self.approximate, policy=self.policy or KEEPREF)


def _positive(number: int, error: str) -> int:
    if number < 0:
        raise CommandError(error)
    return number


def xadd(loader: Loader, args: list[bytes]) -> None:
    """XADD key [NOMKSTREAM] [KEEPREF | DELREF | ACKED] [IDMP p i | IDMPAUTO p] [MAXLEN | MINID …] id field value …."""
    key, trim, makes, record = args[1], _Trim(), True, None
    words = Words(args, 2)
    text = args[2]
    for word in words:
        if word == b"NOMKSTREAM":
            makes = False
        elif word == b"IDMP":
            record = words.next(), words.next()
        elif word == b"IDMPAUTO":
            record = words.next(), b""
        elif not trim.take(word, words):
            text = args[words.at - 1]
            break
    fields = args[words.at :]
    if not fields or len(fields) % 2:
        raise CommandError("ERR wrong number of arguments for 'xadd' command")
    if text[:1] == b"0" and not text.endswith(b"-*") and id_of(text) == ZERO:
        raise CommandError("ERR The ID specified in XADD must be greater than 0-0")
    stream = loader.find(key, StreamValue)
    if stream is None:
        if not makes:
            return
        stream = StreamValue()
    if record is not None and _is_duplicate(stream, record, fields, text):
        return
    stream_id = _next(stream, text, loader.clock)
    if stream_id <= stream.last_id:
        raise CommandError(_TOO_SMALL)
    stream.append(stream_id, fields, _limits(loader))
    if record is not None:
        _producers(stream).add(record[0], record[1] or Content.of(fields), stream_id)
    trim.run(stream)
    loader.db[key] = stream
    loader.wrote(key, stream)


def _is_duplicate(stream: StreamValue, record: tuple[bytes, bytes], fields: Sequence[bytes], text: bytes) -> bool:
    """Return whether a producer gave the entry before: its record is kept until the end of the load."""
    idmp = stream.idmp
    if idmp is None:
        return False
    producer, given = record
    known = idmp.knows(producer, given or Content.of(fields))
    if not given and text == b"*" and not known:
        # A server writes `*` for duplicates only. Those of records in an RDB, which are hashes, cannot be recognized.
        known = any(name.__class__ is not Content for name in idmp.records.get(producer, ()))
    idmp.duplicates += known
    return known


def _producers(stream: StreamValue) -> Producers:
    if stream.idmp is None:
        stream.idmp = Producers()
    return stream.idmp


def _limits(loader: Loader) -> NodeLimits:
    """Return how the target divides a stream into nodes."""
    target, settings = loader.target, loader.settings
    size = settings.stream_node_max_bytes
    room = min(size or _ROOM, _ROOM) if target.has("stream-room") else 0
    generation = "new" if target.has("new-back-lengths") else "old"
    return NodeLimits(settings.stream_node_max_entries, size, room, generation)


def xtrim(loader: Loader, args: list[bytes]) -> None:
    """XTRIM key MAXLEN | MINID [= | ~] threshold [LIMIT n] [KEEPREF | DELREF | ACKED]."""
    trim, words = _Trim(), Words(args, 2)
    for word in words:
        if not trim.take(word, words):
            raise CommandError(SYNTAX)
    if not trim.kind:
        raise CommandError("ERR syntax error, XTRIM must be called with a trimming strategy")
    stream = loader.find(args[1], StreamValue)
    if stream is not None and trim.run(stream):
        loader.wrote(args[1], stream)


# -- deletion ----------------------------------------------------------------------------------------------------------


def _delete(stream: StreamValue, ids: Iterable[ID], policy: bytes = KEEPREF) -> bool:
    """Delete entries, as far as the policy allows; return whether any was deleted."""
    before = stream.length
    for stream_id in ids:
        # A policy is about what is pending, whether the entry is there or not.
        if stream.may_go(stream_id, policy) and stream.delete(stream_id):
            stream.max_deleted_id = max(stream.max_deleted_id, stream_id)
    if stream.length == before:
        return False
    stream.find_first()
    return True


def xdel(loader: Loader, args: list[bytes]) -> None:
    """XDEL key id [id …]."""
    stream = loader.find(args[1], StreamValue)
    ids = [id_of(arg) for arg in args[2:]]
    if stream is not None and _delete(stream, ids):
        loader.wrote(args[1], stream)


def xdelex(loader: Loader, args: list[bytes]) -> None:
    """XDELEX key [KEEPREF | DELREF | ACKED] IDS n id [id …]."""
    policy, ids = _selected(args, 2)
    stream = loader.find(args[1], StreamValue)
    if stream is not None and _delete(stream, ids, policy):
        loader.wrote(args[1], stream)


def xackdel(loader: Loader, args: list[bytes]) -> None:
    """XACKDEL key group [KEEPREF | DELREF | ACKED] IDS n id [id …]: entries that are not pending stay."""
    policy, ids = _selected(args, 3)
    stream = loader.find(args[1], StreamValue)
    group = stream.groups.get(args[2]) if stream is not None else None
    if stream is None or group is None:
        return
    ids = [stream_id for stream_id in ids if group.pending.pop(stream_id, None) is not None]
    _delete(stream, ids, policy)
    if ids:
        loader.wrote(args[1], stream)


def _selected(args: list[bytes], at: int) -> tuple[bytes, list[ID]]:
    """Return the policy and the ids of XDELEX and XACKDEL."""
    policy, ids = b"", None
    words = Words(args, at)
    for word in words:
        if word in _POLICIES and not policy:
            policy = word
        elif word == b"IDS" and ids is None:
            ids = _counted(words)
        else:
            raise CommandError(SYNTAX)
    if ids is None:
        raise CommandError(SYNTAX)
    return policy or KEEPREF, ids


def _counted(words: Words) -> list[ID]:
    """Take a count and as many ids."""
    count = words.integer()
    if not 0 < count <= len(words.args) - words.at:
        raise CommandError("ERR The `numids` parameter must match the number of arguments")
    return [id_of(words.next()) for _ in range(count)]


def xsetid(loader: Loader, args: list[bytes]) -> None:
    """XSETID key id [ENTRIESADDED n] [MAXDELETEDID id]."""
    last, added, deleted = id_of(args[2]), None, ZERO
    words = Words(args, 3)
    for word in words:
        if word == b"ENTRIESADDED":
            added = _positive(words.integer(), "ERR entries_added must be positive")
        elif word == b"MAXDELETEDID":
            deleted = id_of(words.next())
            if last < deleted:
                raise CommandError("ERR The ID specified in XSETID is smaller than the provided max_deleted_entry_id")
        else:
            raise CommandError(SYNTAX)
    stream = loader.find(args[1], StreamValue)
    if stream is None:
        raise CommandError(_NO_KEY)
    if last < stream.max_deleted_id and loader.target.has("xsetid-checks-deleted"):
        raise CommandError("ERR The ID specified in XSETID is smaller than current max_deleted_entry_id")
    if stream.length and last < stream.top():
        raise CommandError("ERR The ID specified in XSETID is smaller than the target stream top item")
    if stream.length and added is not None and added < stream.length:
        raise CommandError("ERR The entries_added specified in XSETID is smaller than the target stream length")
    stream.last_id = last
    stream.entries_added = stream.entries_added if added is None else added
    stream.max_deleted_id = deleted if deleted != ZERO else stream.max_deleted_id
    loader.wrote(args[1], stream)


# -- groups ------------------------------------------------------------------------------------------------------------


def _stream(loader: Loader, key: bytes) -> StreamValue:
    """Return the stream that a subcommand of XGROUP needs."""
    stream = loader.find(key, StreamValue)
    if stream is None:
        raise CommandError("ERR The XGROUP subcommand requires the key to exist")
    return stream


def _group(loader: Loader, key: bytes, name: bytes) -> tuple[StreamValue, Group]:
    """Return a stream and its group."""
    stream = loader.find(key, StreamValue)
    group = None if stream is None else stream.groups.get(name)
    if stream is None or group is None:
        raise CommandError("NOGROUP No such key or consumer group")
    return stream, group


def _read_count(words: Words) -> int | None:
    """Take the value of ENTRIESREAD, -1 for unknown."""
    number = words.integer()
    if number < -1:
        raise CommandError("ERR value for ENTRIESREAD must be positive or -1")
    return None if number < 0 else number


def _capped(loader: Loader, stream: StreamValue, read: int | None) -> int | None:
    capped = read is not None and loader.target.has("entries-read-capped")
    return min(read, stream.entries_added) if read is not None and capped else read


def xgroup_create(loader: Loader, args: list[bytes]) -> None:
    """XGROUP CREATE key group id | $ [MKSTREAM] [ENTRIESREAD n]."""
    makes, read = False, None
    words = Words(args, 5)
    for word in words:
        if word == b"MKSTREAM":
            makes = True
        elif word == b"ENTRIESREAD":
            read = _read_count(words)
        else:
            raise CommandError(SYNTAX)
    key, name = args[2], args[3]
    stream = loader.find(key, StreamValue)
    if stream is None and not makes:
        _stream(loader, key)
    last = stream.last_id if stream is not None else ZERO
    last = last if args[4] == b"$" else id_of(args[4])
    if stream is not None and name in stream.groups:
        raise CommandError("BUSYGROUP Consumer Group name already exists")
    if stream is None:
        stream = StreamValue()
        loader.put(key, stream)
    stream.groups[name] = Group(last, _capped(loader, stream, read))
    loader.wrote(key, stream)


def xgroup_setid(loader: Loader, args: list[bytes]) -> None:
    """XGROUP SETID key group id | $ [ENTRIESREAD n]."""
    read = None
    words = Words(args, 5)
    for word in words:
        if word != b"ENTRIESREAD":
            raise CommandError(SYNTAX)
        read = _read_count(words)
    stream, group = _group(loader, args[2], args[3])
    group.last_id = stream.last_id if args[4] == b"$" else id_of(args[4])
    group.entries_read = _capped(loader, stream, read)
    loader.wrote(args[2], stream)


def xgroup_destroy(loader: Loader, args: list[bytes]) -> None:
    """XGROUP DESTROY key group."""
    stream = _stream(loader, args[2])
    if stream.groups.pop(args[3], None) is not None:
        loader.wrote(args[2], stream)


def xgroup_createconsumer(loader: Loader, args: list[bytes]) -> None:
    """XGROUP CREATECONSUMER key group consumer."""
    stream, group = _group(loader, args[2], args[3])
    if args[4] not in group.consumers:
        group.consumers[args[4]] = Consumer(loader.clock)
        loader.wrote(args[2], stream)


def xgroup_delconsumer(loader: Loader, args: list[bytes]) -> None:
    """XGROUP DELCONSUMER key group consumer: what is pending for it is gone too."""
    stream, group = _group(loader, args[2], args[3])
    if group.consumers.pop(args[4], None) is None:
        return
    for stream_id in [stream_id for stream_id, nack in group.pending.items() if nack.consumer == args[4]]:
        del group.pending[stream_id]
    loader.wrote(args[2], stream)


# -- pending entries ---------------------------------------------------------------------------------------------------


def xack(loader: Loader, args: list[bytes]) -> None:
    """XACK key group id [id …]."""
    stream = loader.find(args[1], StreamValue)
    group = None if stream is None else stream.groups.get(args[2])
    if stream is None or group is None:
        return
    ids = [id_of(arg) for arg in args[3:]]
    known = len(group.pending)
    for stream_id in ids:
        group.pending.pop(stream_id, None)
    if len(group.pending) != known:
        loader.wrote(args[1], stream)


@dataclass(slots=True)
class _Claim:
    """What XCLAIM and XAUTOCLAIM make of a pending entry. `count` None: one more, unless it is `silent`."""

    loader: Loader
    group: Group
    consumer: bytes
    time: int
    idle: int = 0
    count: int | None = None
    silent: bool = False

    def seen(self) -> Consumer:
        """Return the consumer, which is added if need be."""
        found = self.group.consumers.get(self.consumer)
        if found is None:
            found = self.group.consumers[self.consumer] = Consumer(self.loader.clock)
        found.seen_at = self.loader.clock
        return found

    def take(self, nack: Nack) -> bool:
        """Claim a pending entry if it was delivered long enough ago."""
        if self.idle and nack.consumer is not None and self.loader.clock - nack.time < self.idle:
            return False
        nack.consumer, nack.time = self.consumer, self.time
        if self.count is not None:
            nack.count = self.count
        elif not self.silent:
            nack.count = min(nack.count + 1, MOST)
        consumer = self.seen()
        consumer.active_at, consumer.used = self.loader.clock, True
        return True


def xclaim(loader: Loader, args: list[bytes]) -> None:
    """XCLAIM key group consumer idle id [id …] [IDLE ms] [TIME ms] [RETRYCOUNT n] [FORCE] [JUSTID] [LASTID id]."""
    stream, group = _group(loader, args[1], args[2])
    idle = integer(args[4], "ERR Invalid min-idle-time argument for XCLAIM")
    claim = _Claim(loader, group, args[3], loader.clock, max(idle, 0))
    end = 6
    while end < len(args) and _is_id(args[end]):
        end += 1
    ids = [id_of(arg) for arg in args[5:end]]
    force, last = False, ZERO
    words = Words(args, end)
    for word in words:
        if word == b"FORCE":
            force = True
        elif word == b"JUSTID":
            claim.silent = True
        elif word == b"IDLE":
            claim.time = loader.clock - words.integer()
        elif word == b"TIME":
            claim.time = words.integer()
        elif word == b"RETRYCOUNT":
            count = words.integer()
            claim.count = count if count >= 0 else None
        elif word == b"LASTID":
            last = id_of(words.next())
        else:
            raise CommandError("ERR Unrecognized XCLAIM option")
    if claim.time < 0:
        claim.time = loader.clock
    group.last_id = max(group.last_id, last)
    _claim(stream, claim, ids, force)
    loader.wrote(args[1], stream)


def _claim(stream: StreamValue, claim: _Claim, ids: Iterable[ID], force: bool) -> None:
    target, pending = claim.loader.target, claim.group.pending
    drops = target.has("xclaim-drops-deleted")
    if target.has("idle-consumer-added"):
        claim.seen()
    for stream_id in ids:
        nack = pending.get(stream_id)
        if (drops or (force and nack is None)) and not stream.has(stream_id):
            pending.pop(stream_id, None)
            continue
        if nack is None and force:
            nack = stream.add_pending(claim.group, stream_id, Nack(None, claim.time, 1))
        if nack is not None:
            claim.take(nack)


def xautoclaim(loader: Loader, args: list[bytes]) -> None:
    """XAUTOCLAIM key group consumer idle start [COUNT n] [JUSTID]: only in files made by hand."""
    stream, group = _group(loader, args[1], args[2])
    idle = integer(args[4], "ERR Invalid min-idle-time argument for XAUTOCLAIM")
    start, count = _start(args[5]), 100
    claim = _Claim(loader, group, args[3], loader.clock, max(idle, 0))
    words = Words(args, 6)
    for word in words:
        if word == b"COUNT":
            count = words.integer()
        elif word == b"JUSTID":
            claim.silent = True
        else:
            raise CommandError(SYNTAX)
    if count < 1:
        raise CommandError("ERR COUNT must be > 0")
    if loader.target.has("idle-consumer-added"):
        claim.seen()
    drops = loader.target.has("xclaim-drops-deleted")
    for stream_id in sorted(at for at in group.pending if at >= start)[: 10 * count]:
        if drops and not stream.has(stream_id):
            del group.pending[stream_id]
        elif not claim.take(group.pending[stream_id]):
            continue
        count -= 1
        if not count:
            break
    loader.wrote(args[1], stream)


def _start(text: bytes) -> ID:
    """Return the beginning of a range: `-`, `(id` or an id."""
    if text == b"-":
        return ZERO
    return _follower(id_of(text[1:]), "ERR invalid start ID for the interval") if text[:1] == b"(" else id_of(text)


def xreadgroup(loader: Loader, args: list[bytes]) -> None:
    """XREADGROUP GROUP group consumer [COUNT n] [BLOCK ms] [NOACK] STREAMS key … id …: only in files made by hand."""
    name = consumer = None
    count, acks = 0, True
    words = Words(args, 1)
    for word in words:
        if word == b"GROUP":
            name, consumer = words.next(), words.next()
        elif word == b"COUNT":
            count = max(words.integer(), 0)
        elif word in (b"BLOCK", b"CLAIM"):
            words.integer()
        elif word == b"NOACK":
            acks = False
        elif word == b"STREAMS":
            break
        else:
            raise CommandError(SYNTAX)
    rest = words.rest()
    if name is None or consumer is None or not rest or len(rest) % 2:
        raise CommandError(SYNTAX)
    half = len(rest) // 2
    found = [(key, *_group(loader, key, name), text) for key, text in zip(rest[:half], rest[half:])]
    for key, stream, group, text in found:
        claim = _Claim(loader, group, consumer, loader.clock, silent=True)
        if text != b">" or loader.target.has("idle-consumer-added"):
            claim.seen()
        if text == b">":
            _deliver(stream, claim, count, acks)
        else:
            _deliver_again(stream, claim, id_of(text), count)
        loader.wrote(key, stream)


def _deliver(stream: StreamValue, claim: _Claim, count: int, acks: bool) -> None:
    """Give new entries to a consumer."""
    group, newer = claim.group, claim.loader.target.has("xreadgroup-checks-last")
    for number, stream_id in enumerate(stream.after(group.last_id), 1):
        trust = not newer or group.last_id >= stream.first_id
        start = group.last_id if newer else stream_id
        if group.entries_read is not None and trust and not stream.may_lack(start):
            group.entries_read += 1
        elif stream.entries_added:
            group.entries_read = stream.rank(stream_id)
        group.last_id = stream_id
        if acks:
            stream.add_pending(group, stream_id, Nack(claim.consumer, claim.time, 1))
            claim.seen().used = True
        claim.seen().active_at = claim.loader.clock
        if number == count:
            break


def _deliver_again(stream: StreamValue, claim: _Claim, after: ID, count: int) -> None:
    """Give a consumer what is pending for it; deleted entries only count."""
    pending = claim.group.pending
    mine = sorted(at for at, nack in pending.items() if nack.consumer == claim.consumer and at > after)
    for stream_id in mine[:count] if count else mine:
        if stream.has(stream_id):
            pending[stream_id].time = claim.time
            pending[stream_id].count += 1


def xnack(loader: Loader, args: list[bytes]) -> None:
    """XNACK key group SILENT | FAIL | FATAL IDS n id [id …] [RETRYCOUNT n] [FORCE]."""
    mode, ids, count, force = args[3].upper(), None, None, False
    if mode not in (b"SILENT", b"FAIL", b"FATAL"):
        raise CommandError(SYNTAX)
    words = Words(args, 4)
    for word in words:
        if word == b"IDS" and ids is None:
            ids = _counted(words)
        elif word == b"RETRYCOUNT":
            count = _positive(words.integer(), "ERR Invalid RETRYCOUNT value, must be >= 0")
        elif word == b"FORCE":
            force = True
        else:
            raise CommandError(SYNTAX)
    stream, group = _group(loader, args[1], args[2])
    for stream_id in ids or ():
        nack = group.pending.get(stream_id)
        if nack is None:
            if not force or not stream.has(stream_id):
                continue
            nack = stream.add_pending(group, stream_id, Nack(None, 0, 0))
        nack.consumer, nack.time = None, 0
        if count is not None:
            nack.count = count
        elif mode != b"FAIL":
            nack.count = MOST if mode == b"FATAL" else max(nack.count - 1, 0)
    loader.wrote(args[1], stream)


# -- idempotency -------------------------------------------------------------------------------------------------------


def xcfgset(loader: Loader, args: list[bytes]) -> None:
    """XCFGSET key [IDMP-DURATION s] [IDMP-MAXSIZE n]: another value removes all records."""
    duration = most = None
    words = Words(args, 2)
    for word in words:
        if word == b"IDMP-DURATION":
            duration = words.integer()
            if duration not in _DURATIONS:
                raise CommandError("ERR IDMP-DURATION must be between 1 and 86400 seconds")
        elif word == b"IDMP-MAXSIZE":
            most = words.integer()
            if most not in _SIZES:
                raise CommandError("ERR IDMP-MAXSIZE must be between 1 and 10000 entries")
        else:
            raise CommandError(SYNTAX)
    stream = loader.find(args[1], StreamValue)
    if stream is None:
        raise CommandError(_NO_KEY)
    idmp = _producers(stream)
    before = idmp.duration, idmp.most
    idmp.duration, idmp.most = duration or idmp.duration, most or idmp.most
    if before != (idmp.duration, idmp.most):
        idmp.records.clear()
    loader.wrote(args[1], stream)


def xidmprecord(loader: Loader, args: list[bytes]) -> None:
    """XIDMPRECORD key producer record id: the entry must be in the stream."""
    stream_id = id_of(args[4])
    stream = loader.find(args[1], StreamValue)
    if stream is None:
        raise CommandError(_NO_KEY)
    if not stream.has(stream_id):
        raise CommandError("ERR No such message in stream")
    if not _producers(stream).knows(args[2], args[3]):
        _producers(stream).add(args[2], args[3], stream_id)
        loader.wrote(args[1], stream)


COMMANDS = {
    b"xadd": xadd,
    b"xtrim": xtrim,
    b"xdel": xdel,
    b"xdelex": xdelex,
    b"xackdel": xackdel,
    b"xsetid": xsetid,
    b"xgroup|create": xgroup_create,
    b"xgroup|setid": xgroup_setid,
    b"xgroup|destroy": xgroup_destroy,
    b"xgroup|createconsumer": xgroup_createconsumer,
    b"xgroup|delconsumer": xgroup_delconsumer,
    b"xack": xack,
    b"xclaim": xclaim,
    b"xautoclaim": xautoclaim,
    b"xreadgroup": xreadgroup,
    b"xnack": xnack,
    b"xcfgset": xcfgset,
    b"xidmprecord": xidmprecord,
}
