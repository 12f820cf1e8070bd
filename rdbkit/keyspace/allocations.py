"""What a server allocates for strings that commands change, and for the objects of keys whose expiry comes and goes.

A string that is changed in place is given more room than it needs, so that the next change finds some. Up to 6.0 a
string knows only the size that it requested, from 6.2 on the size that the allocator returned.

From Redis 8.2 and Valkey 8.1 on the object of a key contains the key, an expiry if there is one, and a short value. The
space of an expiry stays when the expiry is removed, until the object is made again.

Source: `sdsMakeRoomFor`, `sdsResize` and `dbUnshareStringValue` of the BSD-licensed versions; objects: MEMORY USAGE
after AOFs were loaded.
"""

from __future__ import annotations

from rdbkit.format import spec
from rdbkit.keyspace.values import String, Value
from rdbkit.memory.prices import inner_sds
from rdbkit.releases import encodings
from rdbkit.releases.allocators import ALLOCATORS
from rdbkit.releases.target import Target

#: Up to this length twice the length is reserved, beyond it this much more.
_MOST_RESERVED = 1 << 20
#: The headers of strings by the greatest length that they can have; the first one cannot say how much is unused.
_HEADERS = ((3, (1 << 8) - 1), (5, (1 << 16) - 1), (9, (1 << 32) - 1), (17, (1 << 64) - 1))
_SHORT = 32
_LONG, _NEVER = 32 << 10, 1 << 62


def _least_trimmed(target: Target) -> int:
    """Return the length from which on an argument with much unused space is trimmed."""
    return 0 if target.has("string-trimmed") else _LONG if target.has("string-trimmed-if-long") else _NEVER


class Allocations:
    """The rules of one target. `in_object`: whether key, expiry and short values are in the object."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.in_object = target.has("key-in-object")
        self._keeps_expiring = target.has("expiry-kept-by-overwrite")
        self._usable = target.has("string-usable-size")
        self._retypes = target.has("string-header-by-size")
        self._resized_usable = target.has("string-header-by-size")
        self._trims_from = _least_trimmed(target)
        self._uses_end = target.has("expiry-in-free-end")
        self._alone = 116 if target.has("texts-of-116") else 44
        self._z = ALLOCATORS[target.allocator]
        self._encode = encodings.rules(target)

    # -- strings -----------------------------------------------------------------------------------------------

    def unshare(self, value: String) -> bytearray:
        """Return the bytes of a string for a change in place, which makes it raw."""
        data = value.data
        if not isinstance(data, bytearray):
            is_argument = not value.loaded and len(data) > self._alone
            value.reserved = value.reserved and not self.is_embedded(value)
            data = value.data = bytearray(data)
            value.is_raw = True
            self.renew(value, is_argument)
        return data

    def grow(self, value: String, length: int) -> None:
        """Make room for a length, and reserve more, if there is too little."""
        if length > value.capacity:
            self._request(value, length * 2 if length < _MOST_RESERVED else length + _MOST_RESERVED)

    def resize(self, value: String, length: int) -> None:
        """Make room for this length, if there is not exactly as much."""
        if length != value.capacity:
            self._request(value, length)
            if not self._resized_usable:
                value.capacity = length

    def made(self, data: bytearray) -> String:
        """Return a new string that is raw whatever it is."""
        value = String(data)
        value.is_raw = True
        self.renew(value)
        return value

    def renew(self, value: String, is_argument: bool = False) -> None:
        """Note that a string was made anew, with its length; `is_argument`: of a command such as SET."""
        length = len(value.data)
        if 0 < length < _SHORT:
            value.room, value.capacity = 0, length
            return
        self._request(value, length)
        if is_argument and length >= self._trims_from and value.capacity - length > length // 10:
            value.capacity = length

    def _request(self, value: String, length: int) -> None:
        header, most = next(row for row in _HEADERS if length <= row[1])
        value.room = length + header + 1
        value.capacity = length
        if self._usable:
            size = self._z(value.room)
            if self._retypes and size - header - 1 > most:
                header, most = next(row for row in _HEADERS if size - header - 1 <= row[1])
            value.capacity = min(size - header - 1, most)

    # -- objects -----------------------------------------------------------------------------------------------

    def place(self, key: bytes, value: Value, at_once: bool = False) -> None:
        """Decide whether a string is in the object; one that is separate stays so.

        `at_once`: the object is made with its expiry; else before, and a free end of its allocation can hold it.
        """
        if not isinstance(value, String) or value.is_raw:
            return
        expires = value.reserved or value.expires_at is not None
        size, length = len(key), len(value.data)
        if self._fits(size, length, expires, at_once) or value.is_number():
            return
        value.is_raw = True

    def _fits(self, key: int, length: int, expires: bool, at_once: bool) -> bool:
        if self._keeps_expiring and at_once:
            length, expires = length + 8, False
        if self._encode(spec.STRING, (1, length, length, -1, 0), key, expires) == "embstr":
            return True
        if not expires or at_once or self._keeps_expiring or not self._uses_end:
            return False
        taken = 21 + length + inner_sds(key)
        return self._z(taken) >= taken + 8 and self._fits(key, length, False, False)

    def is_embedded(self, value: Value) -> bool:
        """Return whether a value is a text in the object of its key."""
        return isinstance(value, String) and not value.is_raw and not value.is_number()

    def overwrite(self, key: bytes, old: Value | None, value: Value, copied: bool = False) -> None:
        """Note that a key's value replaces another one: the object is used again unless a text is in one of them.

        `copied`: it is an object of another key, whose expiry is known.
        """
        value.reserved = False
        was_expiring = old is not None and old.expires_at is not None
        if self._keeps_expiring:
            value.reserved = at_once = was_expiring
        else:
            at_once = value.expires_at is not None and (was_expiring or copied)
        if old is not None and (old.reserved or was_expiring) and not self.is_embedded(old):
            # A short text is in an object of its own before it gets its key.
            alone = isinstance(value, String) and self.is_embedded(value) and len(value.data) <= self._alone
            value.reserved = value.reserved or not alone
        self.place(key, value, at_once)
