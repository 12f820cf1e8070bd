"""The values of a keyspace, one class for each type, as commands change them.

Each has `expires_at` (ms since epoch, None: no expiry) and `offset` (of the command that wrote it last). `encoding` is
what OBJECT ENCODING would answer; it depends on the history: most encodings only grow. Values that came with an RDB and
that no command has touched are kept as they are in the file (`Stored`), and decoded when a command needs them.

Source: the encodings of the keys after real servers had loaded AOFs.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any, ClassVar

from rdbkit.keyspace.arguments import is_integer

Pair = tuple[float, bytes]


class Value:
    """Base class: what all values have. `reserved`: the key's object has space for an expiry that was removed."""

    __slots__ = ("expires_at", "offset", "reserved")
    type: ClassVar[str] = ""

    def __init__(self) -> None:
        self.expires_at: int | None = None
        self.offset = 0
        self.reserved = False

    def __len__(self) -> int:
        """Return the number of elements; a value that has none is removed, unless it is a stream."""
        raise NotImplementedError


class Relative(int):
    """A time to live in ms, counted from the load of the file: it becomes an expiry when that time is known."""


class Stored(Value):
    """A value as it is in the RDB at the beginning of the AOF, or in a payload: type id and body of the RDB format.

    `row` is the walker's tuple of an entry of the RDB, None for a payload; `encoding` is the one after a RESTORE.
    """

    __slots__ = ("body", "extra", "freq", "idle", "kind")

    def __init__(self, kind: int, body: bytes, extra: dict[str, Any] | None = None) -> None:
        super().__init__()
        self.kind = kind
        self.body = body
        self.extra = extra
        self.idle: int | None = None
        self.freq: int | None = None

    def __len__(self) -> int:
        return 1


class Uncertain(Value):
    """A value that is not known, because `command`, which is not replayed, may have written it."""

    __slots__ = ("command",)

    def __init__(self, command: bytes) -> None:
        super().__init__()
        self.command = command

    def __len__(self) -> int:
        return 1


class String(Value):
    """A string. `is_raw`: it was changed in place, so its encoding is raw whatever it is now; `is_text`: it is not int.

    Of one that was changed in place, `room` is the number of bytes that were requested for it, and `capacity` the
    length that it can have there; 0: those that a load requests. `loaded`: it is not from an argument of a command.
    """

    __slots__ = ("capacity", "data", "is_raw", "is_text", "loaded", "room")
    type = "string"

    def __init__(self, data: bytes | bytearray = b"") -> None:
        super().__init__()
        self.data = data
        self.is_raw = False
        self.is_text = False
        self.loaded = False
        self.room = 0
        self.capacity = 0

    def __len__(self) -> int:
        return 1

    def is_number(self) -> bool:
        """Return whether its encoding is int."""
        return not self.is_raw and not self.is_text and is_integer(self.data)


class Node:
    """Elements of a list that are kept together, and the bytes that they take; `is_plain`: one long element."""

    __slots__ = ("is_plain", "items", "size")

    def __init__(self) -> None:
        self.items: deque[bytes] = deque()
        self.size = 0
        self.is_plain = False


class List(Value):
    """A list: the nodes of a quicklist, or one node for all elements; quicklist.py changes them.

    `has_defaults`: its nodes are filled up to the default limits, whatever the settings are (SORT, up to 7.0).
    """

    __slots__ = ("count", "encoding", "has_defaults", "nodes")
    type = "list"

    def __init__(self) -> None:
        super().__init__()
        self.nodes: deque[Node] = deque()
        self.count = 0
        self.encoding = ""
        self.has_defaults = False

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[bytes]:
        """Yield the elements."""
        for node in self.nodes:
            yield from node.items


class Tabled(Value):
    """A value that is compact or a hash table.

    `known` is its length after the last command, `table` its table; `shrank`: it had far more elements.
    """

    __slots__ = ("encoding", "known", "shrank", "table")

    def __init__(self) -> None:
        super().__init__()
        self.encoding = ""
        self.known = 0
        self.shrank = False
        self.table: Any = None


class Set(Tabled):
    """A set; the keys of `members` are the members, in the order in which they came.

    `width` is the number of bytes for each member of an intset, which stays when the wide ones are gone.
    """

    __slots__ = ("members", "width")
    type = "set"

    def __init__(self) -> None:
        super().__init__()
        self.members: dict[bytes, None] = {}
        self.width = 2
        self.encoding = ""

    def __len__(self) -> int:
        return len(self.members)


class ZSet(Tabled):
    """A sorted set: the score of each member, and, from the first question on, the order of the members."""

    __slots__ = ("_order", "scores")
    type = "zset"

    def __init__(self) -> None:
        super().__init__()
        self.scores: dict[bytes, float] = {}
        self.encoding = ""
        self._order: list[Pair] | None = None

    def __len__(self) -> int:
        return len(self.scores)

    def order(self) -> list[Pair]:
        """Return the pairs of score and member in their order; it stays valid until the next change."""
        if self._order is None:
            self._order = sorted((score, member) for member, score in self.scores.items())
        return self._order

    def set(self, member: bytes, score: float) -> None:
        """Add a member, or change its score."""
        known = self.scores.get(member)
        self.scores[member] = score
        if self._order is not None and known != score:
            if known is not None:
                del self._order[bisect_left(self._order, (known, member))]
            insort(self._order, (score, member))

    def remove(self, member: bytes) -> bool:
        """Remove a member; return whether it was there."""
        score = self.scores.pop(member, None)
        if score is not None and self._order is not None:
            del self._order[bisect_left(self._order, (score, member))]
        return score is not None

    def cut(self, start: int, end: int) -> None:
        """Remove the members at these positions of the order, the end exclusive."""
        order = self.order()
        for _, member in order[start:end]:
            del self.scores[member]
        del order[start:end]


class Hash(Tabled):
    """A hash; `due` has the expiries of fields in ms, for those that have one.

    `template` is the id of its hash template, which it gets when all keys are written (entries.py).
    """

    __slots__ = ("due", "encoding", "fields", "template")
    type = "hash"

    def __init__(self) -> None:
        super().__init__()
        self.fields: dict[bytes, bytes] = {}
        self.due: dict[bytes, int] = {}
        self.encoding = ""
        self.template = 0

    def __len__(self) -> int:
        return len(self.fields)


class Array(Value):
    """An array: its elements by index, bytes, int or float; `insert_index` is that of the last ARINSERT, or None."""

    __slots__ = ("_size", "elements", "insert_index")
    type = "array"

    def __init__(self) -> None:
        super().__init__()
        self.elements: dict[int, bytes | int | float] = {}
        self.insert_index: int | None = None
        self._size: int | None = 0

    def __len__(self) -> int:
        return len(self.elements)

    @property
    def size(self) -> int:
        """The highest index and one, as ARLEN counts."""
        if self._size is None:
            self._size = max(self.elements, default=-1) + 1
        return self._size

    def set(self, index: int, element: bytes | int | float) -> None:
        """Add an element, or replace it."""
        self.elements[index] = element
        if self._size is not None and index >= self._size:
            self._size = index + 1

    def remove(self, indexes: Iterable[int]) -> None:
        """Remove the elements at some indexes; those that have none are passed over."""
        for index in indexes:
            if self.elements.pop(index, None) is not None and index + 1 == self._size:
                self._size = None

    def replace(self, elements: dict[int, bytes | int | float]) -> None:
        """Replace all elements."""
        self.elements = elements
        self._size = None


class Module(Value):
    """A value of a module, which is kept as it is: only its key can be changed."""

    __slots__ = ("body", "kind")
    type = "module"

    def __init__(self, kind: int, body: bytes) -> None:
        super().__init__()
        self.kind = kind
        self.body = body

    def __len__(self) -> int:
        return 1
