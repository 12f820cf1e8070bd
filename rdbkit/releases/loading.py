"""What keeps a release from loading a file: each thing that a file needs, with the question whether a release has it.

    RDB version · type · opcode · module · database · command · … ─► Need ─► met(target)?

`check`, `info` and `compat` all ask these. Settings of the target count: `databases`, `cluster-enabled`,
`rdb-version-check`.

Sources: empty RDBs of every version that 18 servers were started with, with and without `rdb-version-check relaxed`;
the types that each server wrote or refused; starts in cluster mode of Redis 7.0.15 and 8.2.3, Valkey 9.0.0 and 9.1.2.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import cache

from rdbkit.format import spec
from rdbkit.format.versions import HEADERS, LAST_AS_REDIS
from rdbkit.releases import commands, encodings, features
from rdbkit.releases.table import RELEASES, Version, boundaries, row_of
from rdbkit.releases.target import Target

#: Modules' types that some servers have built in: the feature that says which.
_BUILT_IN = {"vectorset": "vector-sets"}
#: A module type of KeyDB itself: the target of a KeyDB file is a Redis.
_KEYDB_CRON = "CRON"
#: What a type is for a user, where its name does not say it.
_ABOUT = {
    **dict.fromkeys(
        (
            spec.HASH_METADATA_PRE_GA,
            spec.HASH_LISTPACK_EX_PRE_GA,
            spec.HASH_METADATA,
            spec.HASH_LISTPACK_EX,
            spec.HASH_2,
        ),
        "hash with field expiries",
    ),
    **dict.fromkeys(
        (spec.HASH_TMPL_LP, spec.HASH_TMPL_LP_REF, spec.HASH_TMPL_ARRAY, spec.HASH_TMPL_ARRAY_REF),
        "hash with a template",
    ),
    spec.PATH_HASH: "hash of hashes by path",
    spec.BITMAP: "bitmap that is no string",
    spec.FUNCTION2: "function library",
    spec.FUNCTION_PRE_GA: "function of a release candidate of 7.0",
    spec.SLOT_IMPORT: "slot import under way",
}


@dataclass(slots=True)
class Need:
    """Something in a file that a server must have.

    `kind` is "version", "envelope", "type", "opcode", "module", "vector-set", "setting", "back-length", "multi-part",
    "annotation" or "command"; `name` says which; `count` how often; `about` explains the name. `offset`, `db` and `key`
    are those of the first, None where that has no answer.
    """

    kind: str
    name: str
    met: Callable[[Target], bool] = field(repr=False)
    count: int = 1
    offset: int | None = None
    db: int | None = None
    key: bytes | None = None
    about: str = ""

    def at(self, offset: int | None, db: int | None = None, key: bytes | None = None) -> Need:
        """Return the same need with a place."""
        return replace(self, offset=offset, db=db, key=key)

    def loaders(self) -> str:
        """Return the releases that meet it, as of `loaders`."""
        return loaders(self.met)


# -- needs of an RDB -------------------------------------------------------------------------------------------------


def version_need(magic: str, version: int) -> Need:
    """Return the need to read an RDB version; `magic` is "redis" or "valkey" (format.versions)."""
    letters = HEADERS[magic].magic.decode()
    return Need("version", f"{letters} RDB version {version}", lambda target: reads(target, magic, version))


def envelope_need(packing: str) -> Need:
    """Return the need to read an RDB that is compressed as a whole; `packing` as in Source.packing."""
    name = f"VCS envelope ({packing.removeprefix('vcs-')})"
    return Need("envelope", name, lambda target: target.has("vcs-envelope"))


@cache
def record_need(kind: int) -> Need:
    """Return the need to load an opcode or a type, by its id in format.spec. Copy it before you change it."""
    row = spec.BY_ID[kind]
    about = _ABOUT.get(kind, "")
    return Need("type" if row.type else "opcode", row.name, lambda target: loads_record(target, kind), about=about)


def module_need(name: str) -> Need | None:
    """Return the need of a module's type; None where no module is needed."""
    if name == _KEYDB_CRON:
        return None
    feature = _BUILT_IN.get(name)
    return Need("module", name, lambda target: feature is not None and target.has(feature))


def vector_set_need(version: int) -> Need | None:
    """Return the need to read the nodes of a vector set, by the version of their layout (rdb/modules.py)."""
    if not version:
        return None
    return Need("vector-set", f"vector set nodes of version {version}", lambda target: target.has("vector-set-nodes-1"))


def database_need(db: int) -> Need:
    """Return the need of an RDB with keys in a database: in cluster mode there is only 0, or the server crashes."""
    return Need("setting", f"databases {db + 1}", lambda target: db < database_limit(target))


def import_need() -> Need:
    """Return the need of an RDB that was written during the import of slots."""
    return Need("setting", "cluster-enabled yes", lambda target: target.settings.cluster_enabled)


def back_length_need(generation: str) -> Need:
    """Return the need to read the back-lengths of one generation ("old" or "new"): wire/listpack.py."""
    return Need(
        "back-length",
        f"listpack back-lengths of the {generation} form",
        lambda target: target.has("new-back-lengths") is (generation == "new"),
        about="entries of exactly 16383, 2097151 or 268435455 bytes",
    )


# -- needs of an AOF -------------------------------------------------------------------------------------------------


def multi_part_need() -> Need:
    """Return the need to load a manifest with several files."""
    return Need("multi-part", "AOF in several files", lambda target: target.has("aof-multi-part"))


def annotation_need() -> Need:
    """Return the need to skip lines that begin with #."""
    return Need("annotation", "#", lambda target: target.has("aof-annotations"))


def command_name(args: list[bytes]) -> bytes:
    """Return the name of a command as in the table of commands: in lower case, with its subcommand."""
    name = args[0].lower()
    return name + b"|" + args[1].lower() if name in commands.CONTAINERS and len(args) > 1 else name


def command_need(full: bytes) -> Need:
    """Return the need to know a command, by the name of `command_name`."""
    name, _, part = full.partition(b"|")
    shown = full.replace(b"|", b" ").upper().decode("utf-8", "backslashreplace")
    command, row = commands.COMMANDS.get(name), commands.COMMANDS.get(full)
    if command is None and b"." in name[1:-1]:
        return Need("module", f"command {shown}", lambda _: False)

    def met(target: Target) -> bool:
        if command is None or not commands.knows(target, command):
            return False
        if not part or not target.has("aof-checks-subcommands"):
            return True
        return row is not None and commands.knows(target, row)

    return Need("command", shown, met)


# -- answers ---------------------------------------------------------------------------------------------------------


def reads(target: Target, magic: str, version: int) -> bool:
    """Return whether a release loads files of an RDB version; `magic` is "redis" or "valkey" (format.versions)."""
    row = row_of(target.product, target.version)
    ranges = row.relaxed if row.relaxed and target.settings.rdb_version_check == "relaxed" else (row.redis, row.valkey)
    redis, valkey = ranges
    if magic == "valkey":
        return valkey is not None and valkey[0] <= version <= valkey[1]
    return version <= redis


def loads_record(target: Target, kind: int) -> bool:
    """Return whether a release loads an opcode or a type, by its id in format.spec."""
    row = spec.BY_ID[kind]
    if kind == spec.FUNCTION_PRE_GA:
        return target.has("loads-pre-ga-functions")
    if kind == spec.SLOT_INFO:
        return target.has("slot-info-opcode")
    if row.type:
        return encodings.loads(target, kind)
    # Opcodes of one product that another product's servers do not know are met in no file that they read, except by
    # Valkey with relaxed checks: what Redis added after they separated is unknown to it.
    foreign = target.product == "valkey" and kind < spec.VALKEY_OWN and row.since > LAST_AS_REDIS["valkey"]
    return row.status != "refused" and row.since <= target.rdb_version and not foreign


def database_limit(target: Target) -> int:
    """Return how many databases a server has when it loads an RDB."""
    return 1 if target.settings.cluster_enabled else target.settings.databases


def loaders(loads: Callable[[Target], bool]) -> str:
    """Return the lines of which something holds, for a message: "redis 7.4 and newer, valkey 9.0 and newer"; "": none.

    Each product's are given from the first to the last one: no feature has come back after it was gone.
    """
    found = []
    for product, rows in RELEASES.items():
        having = [row for row in rows if loads(Target.of(product, row.version))]
        if not having:
            continue
        first, last = (".".join(map(str, row.line)) for row in (having[0], having[-1]))
        until = " and newer" if having[-1] is rows[-1] else f" to {last}" if first != last else ""
        found.append(f"{product} {first}{until}")
    return ", ".join(found)


def related(target: Target) -> Iterator[Target]:
    """Yield the other patches of a target's line whose behaviour differs, then the newer lines of its product.

    They have the target's settings.
    """
    line = target.version[:2]
    row = row_of(target.product, target.version)
    versions = {(*line, 0), row.version if row.line == line else target.version}
    versions |= {version for version in _changes(target.product) if version[:2] == line}
    newer = {row.version for row in RELEASES[target.product] if row.line > line}
    for version in (*sorted(versions - {target.version}), *sorted(newer)):
        yield replace(target, version=version)


@cache
def _changes(product: str) -> frozenset[Version]:
    """Return the patches with which the tables say that something began."""
    return frozenset(
        version for ranges in (*features.ranges(product), *commands.ranges(product)) for version in boundaries(ranges)
    )


def unmet(needs: Iterable[Need], target: Target) -> tuple[Need, ...]:
    """Return what a release lacks."""
    return tuple(need for need in needs if not need.met(target))
