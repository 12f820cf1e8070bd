"""An AOF that begins with an RDB: read as a snapshot up to its commands; and the default target of an AOF."""

from __future__ import annotations

from typing import Any

from rdbkit.aof.aof_set import AofFile, AofSet, is_part
from rdbkit.aof.layout import Found
from rdbkit.errors import RdbkitError, Unsupported
from rdbkit.releases.target import Target
from rdbkit.snapshot.snapshot import Snapshot
from rdbkit.source import Source, open_source


def refuse_others(source: Source) -> None:
    """Raise the error that names the format of an input that is not an RDB, instead of calling it damaged."""
    found = source.recognise()
    if found.kind in ("aof", "manifest"):
        what = "an append-only file" if found.kind == "aof" else "the manifest of an append-only file"
        raise Unsupported(f"{what}, not an RDB: its state needs replay", offset=source.start, code="needs-replay")
    if found.kind != "rdb":
        raise found.error()


def target_of_head(path: str, settings: dict[str, str] | None = None) -> Target | None:
    """Return the server that wrote the RDB at the start of a file; None if that cannot be read."""
    try:
        with open_source(path) as source:
            return Snapshot(source, settings=settings, verify=False).target
    except RdbkitError:
        return None


def target_of(found: Found, given: Target | None = None, settings: dict[str, str] | None = None) -> Target:
    """Return the target for an AOF: the given one, the server that wrote its RDB, or the one to be assumed."""
    if given is not None:
        return given.with_settings(settings) if settings else given
    files = [found] if isinstance(found, AofFile) else list(found.files) if isinstance(found, AofSet) else []
    head = target_of_head(files[0].path, settings) if files and files[0].format == "rdb" else None
    if head is not None:
        return head
    target = Target.of_aof(in_parts=isinstance(found, AofSet) or any(is_part(file.path) for file in files))
    return target.with_settings(settings) if settings else target


def open_preamble(source: Source, *, in_set: bool = False, **options: Any) -> Snapshot:
    """Return the RDB with which a source begins; `in_set`: a server would execute whatever follows it."""
    refuse_others(source)
    return Snapshot(source, in_aof=in_set, **options)
