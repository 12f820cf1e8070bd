"""The imitated tools, as data: what each release of redis-check-rdb and redis-check-aof reads and prints.

A tool is named by product and version: "redis-7.0.15". A version without a row behaves as the newest row that is not
newer than it. Rows marked recorded were compared with runs of that program; the others are between two recorded ones.
All else follows from the version, in the properties below. No other module uses the product or the version.

Source: recorded runs of the tools; names of types up to Redis 7.2 and Valkey 8.0 from their BSD sources, later ones
from recorded runs. If two recorded releases differ, the later one is taken as the first with the change, unless a
property says otherwise.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

ToolVersion = tuple[int, ...]

#: The tools' names for the types, by number: Redis 4.0 to 7.0 (each knows the first names of them), and since 7.2.
_OLD_NAMES = (
    "string list-linked set-hashtable zset-v1 hash-hashtable zset-v2 module-value - - hash-zipmap list-ziplist "
    "set-intset zset-ziplist hash-ziplist quicklist stream hash-listpack zset-listpack quicklist-v2"
)
_NAMES = (
    _OLD_NAMES.replace("module-value -", "module-pre-release module-value") + " stream-v2 set-listpack stream-v3 "
    "hash-hashtable-md-pre-release hash-listpack-md-pre-release hash-hashtable-md hash-listpack-md stream-v4 "
    "stream-v5 array hash-tmpl-lp hash-tmpl-lp-ref hash-tmpl-array hash-tmpl-array-ref"
)


def _types(last: int, old: bool = False) -> tuple[str, ...]:
    names = (_OLD_NAMES if old else _NAMES).split()
    return tuple("" if name == "-" else name for name in names[: last + 1])


@dataclass(frozen=True, slots=True)
class Tool:
    """One release: `rdb` is the highest RDB version it reads, `last` the highest type number, `types` their names."""

    product: str
    version: ToolVersion
    rdb: int
    last: int
    types: tuple[str, ...]
    recorded: bool = False

    @property
    def name(self) -> str:
        """The name that `--as` accepts."""
        return f"{self.product}-{self.number}"

    @property
    def number(self) -> str:
        """The version as text."""
        return ".".join(map(str, self.version))

    def _since(self, redis: ToolVersion | None, valkey: ToolVersion | None = (0,)) -> bool:
        """Return whether the tool is at least this release of its product; None: no release of it."""
        first = valkey if self.product == "valkey" else redis
        return first is not None and self.version >= first

    # -- the RDB check: what it prints -------------------------------------------------------------------------------

    @property
    def role(self) -> str:
        """The letter in its log lines."""
        return "M" if self._since(None, (8, 1)) else "C"

    @property
    def year(self) -> bool:
        """Log lines carry the year."""
        return self._since((5,))

    @property
    def version_option(self) -> bool:
        """Accepts `-v` and `--version` for an RDB check."""
        return self._since((7,)) and not self.foreign

    @property
    def statistics_options(self) -> bool:
        """Lists options for statistics in its usage line (Valkey 9.0.0)."""
        return self._since(None, (9,))

    @property
    def long_lines(self) -> bool:
        """Prints lines of success of any length, not of at most 1023 bytes (Valkey 9.0.0)."""
        return self._since(None, (9,))

    @property
    def counts_subexpires(self) -> bool:
        """Counts the hashes with fields that expire."""
        return self._since((7, 4), None)

    @property
    def counts_scripts(self) -> bool:
        """Counts AUX fields named `lua`, in any case, and prints how many if there are any (Valkey 9.0.0)."""
        return self._since(None, (9,))

    @property
    def logs_allocations(self) -> bool:
        """Logs the size of a string that cannot be allocated.

        Seen in 6.2.14, 8.2.3 and Valkey 9.0.0, not in 7.0.15; of 7.2 and Valkey 7.2 to 8.0 from the BSD source.
        """
        return self._since((6, 2)) and not self._is_7_0

    @property
    def primary(self) -> bool:
        """Calls the id of a stream's node a primary id (BSD source of Valkey 8.0)."""
        return self._since(None, (8,))

    @property
    def names_groups(self) -> bool:
        """Names a duplicate group: up to Valkey 9.1.0."""
        return not self.exact_streams

    # -- the RDB check: what it reads and refuses ----------------------------------------------------------------------

    @property
    def foreign(self) -> bool:
        """Distinguishes Redis' own RDB versions, 12 to 79, from Valkey's, and reads both magics."""
        return self._since(None, (9,))

    @property
    def expiry_records(self) -> bool:
        """Treats an expiry and its key as one record, up to 4.0."""
        return not self._since((5,))

    @property
    def hash_2(self) -> bool:
        """Type 22 is Valkey's hash with expiries."""
        return self._since(None, (9,))

    @property
    def slot_imports(self) -> bool:
        """Opcode 243 is a slot import; in Redis it is a key's metadata."""
        return self._since(None, (0,))

    @property
    def checks_slot_imports(self) -> bool:
        """Refuses a slot import whose name has not 40 bytes: seen in Valkey 9.1.2, not in 9.1.0."""
        return self._since(None, (9, 1, 2))

    @property
    def deep(self) -> bool:
        """Checks the contents of packed structures, and looks for duplicate names."""
        return self._since((6, 2))

    @property
    def strict(self) -> bool:
        """Refuses data on which 6.2 crashed, or that it accepted: NaN scores, duplicate consumers, empty nodes."""
        return self._since((7,))

    @property
    def refuses_pre_release(self) -> bool:
        """Refuses modules and functions in the form of release candidates."""
        return self._since((7, 2))

    @property
    def strict_modules(self) -> bool:
        """Refuses a module's part of unknown kind."""
        return self._since((8, 8), None)

    @property
    def words64(self) -> bool:
        """Knows lengths of 64 bits, binary scores and modules."""
        return self._since((4,))

    @property
    def buckets(self) -> bool:
        """Sets, sorted sets and hashes are tables of buckets, not of single entries: Valkey from 8.1 on."""
        return self._since(None, (8, 1))

    @property
    def new_widths(self) -> bool:
        """Accepts only the newer generation's widths of back-lengths in listpacks."""
        return self._since((8, 8), (9, 1))

    @property
    def hardened(self) -> bool:
        """Has the fixes of 2025 and later, which Debian brought to 7.0: owners of pending entries, zipmap lengths."""
        return self._since((8, 6), (9, 1)) or self._is_7_0

    @property
    def _is_7_0(self) -> bool:
        return self.product == "redis" and self.version[:2] == (7, 0)

    @property
    def counts_entries(self) -> bool:
        """Compares a stream's stated length with its entries."""
        return self._since((8, 8), None)

    @property
    def exact_streams(self) -> bool:
        """Counts a stream's entries, for each node and in total: seen in Valkey 9.1.2, not in 9.1.0."""
        return self._since(None, (9, 1, 2))

    @property
    def opcodes(self) -> frozenset[int]:
        """The bytes that open a record other than a key."""
        later = {opcode for opcode, redis, valkey in _OPCODES if self._since(redis, valkey)}
        return frozenset({*range(250, 256), *later})

    # -- of the AOF check --------------------------------------------------------------------------------------------

    @property
    def aof_sets(self) -> bool:
        """Knows sets of files, annotations, and the greatest length of a value."""
        return self._since((7,))

    @property
    def aof_version_option(self) -> bool:
        """Accepts `-v` and `--version` for an AOF check."""
        return self._since((7, 4), (8,))

    @property
    def first_line_decides(self) -> bool:
        """Decides by a file's first line only whether it is a manifest."""
        return self._since((7, 2, 5), (7, 2, 6))

    @property
    def joined_names(self) -> bool:
        """Accepts text after a closing quote in a manifest."""
        return self._since(None, (9,))

    @property
    def preamble_by_path(self) -> bool:
        """Prints the path of a set's RDB, not its name."""
        return self._since((7, 2))

    @property
    def aof_preamble(self) -> bool:
        """Reads an RDB before the commands, and mentions `--fix` if the AOF is not valid."""
        return self._since((4,))

    @property
    def swapped_prefixes(self) -> bool:
        """Swaps the byte that was read and the expected one in its message: up to 3.2."""
        return not self._since((4,))

    @property
    def counts_lines(self) -> bool:
        """Prints the line up to which the AOF is valid."""
        return self._since((6, 2))


#: Opcode, and the first release of Redis and Valkey whose check knows it.
_OPCODES: tuple[tuple[int, ToolVersion | None, ToolVersion | None], ...] = (
    (242, (8, 10), None),
    (243, (8, 6), (9,)),
    (244, (7, 4), (8, 2)),
    (245, (7,), (0,)),
    (246, (7,), (0,)),
    (247, (5,), (0,)),
    (248, (5,), (0,)),
    (249, (5,), (0,)),
)

#: Ascending within a product.
TOOLS = (
    Tool("redis", (3, 2, 13), 7, 14, _types(14, old=True), recorded=True),
    Tool("redis", (4, 0, 14), 8, 14, _types(14, old=True)),
    Tool("redis", (5, 0, 14), 9, 15, _types(15, old=True)),
    Tool("redis", (6, 2, 16), 9, 15, _types(15, old=True), recorded=True),
    Tool("redis", (7, 0, 15), 10, 19, _types(18, old=True), recorded=True),
    Tool("redis", (7, 2, 6), 11, 21, _types(21), recorded=True),
    Tool("redis", (7, 4, 1), 12, 25, _types(25), recorded=True),
    Tool("redis", (8, 0, 6), 12, 25, _types(25)),
    Tool("redis", (8, 2, 3), 12, 25, _types(25), recorded=True),
    Tool("redis", (8, 6, 3), 13, 26, _types(26), recorded=True),
    Tool("redis", (8, 8, 0), 14, 28, _types(28)),
    Tool("redis", (8, 10, 2), 15, 32, _types(32), recorded=True),
    Tool("valkey", (7, 2, 7), 11, 21, _types(21)),
    Tool("valkey", (8, 0, 1), 11, 21, _types(21)),
    Tool("valkey", (8, 1, 1), 11, 21, _types(21), recorded=True),
    Tool("valkey", (9, 0, 0), 80, 22, (*_types(21), "hash-volatile-items"), recorded=True),
    Tool("valkey", (9, 1, 0), 80, 22, (*_types(21), "hash-volatile-items"), recorded=True),
    Tool("valkey", (9, 1, 2), 80, 22, (*_types(21), "hash-volatile-items"), recorded=True),
)
DEFAULT = "redis-8.10.2"
_NAME = re.compile(r"(redis|valkey)-(\d{1,4}(?:\.\d{1,4}){0,2})")


def names() -> str:
    """Return the names of the recorded tools, for messages."""
    return ", ".join(tool.name for tool in TOOLS if tool.recorded)


def find(name: str) -> Tool:
    """Return the tool of that name, with the behaviour of its nearest older row. Raises ValueError if there is none."""
    match = _NAME.fullmatch(name)
    if match is None:
        raise ValueError(f"'{name}' is not a known tool: there are {names()}")
    product, version = match[1], tuple(map(int, match[2].split(".")))
    rows = [tool for tool in TOOLS if tool.product == product]
    # "redis-7.0" and "redis-7.0.4" both mean the release whose row is 7.0.15.
    fitting = [tool for tool in rows if tool.version <= version or tool.version[: min(2, len(version))] == version[:2]]
    if not fitting:
        raise ValueError(f"'{name}' is older than any tool that is imitated: there are {names()}")
    row = fitting[-1]
    return replace(row, version=version) if len(version) == 3 else row
