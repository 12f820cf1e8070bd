"""What servers do with a valid file: what a given one does not load of it, and which others of its line do not.

Without a target the verdict of `check` is for the server that wrote the file. A note then says which other patches of
that line, or newer releases of that product, do not load it; and another one, which settings were assumed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby

from rdbkit.checks.findings import Finding
from rdbkit.checks.needs import Needs
from rdbkit.format import spec
from rdbkit.releases.loading import Need, related, unmet
from rdbkit.releases.table import RELEASES
from rdbkit.releases.target import Target
from rdbkit.releases.vulnerabilities import VULNERABILITIES

#: By kind of need: the code of the finding for a target that does not meet it. Others have findings of their own.
CODES = {
    "version": "target-version",
    "envelope": "target-envelope",
    "type": "target-type",
    "opcode": "target-opcode",
    "back-length": "target-back-length",
    "vector-set": "target-vector-set",
    "setting": "target-setting",
    "multi-part": "target-multi-part",
}
#: Damage that a server does not look for while it loads, unless sanitize-dump-payload is yes.
_DEEP = frozenset(("bad-listpack", "bad-ziplist", "bad-zipmap"))
#: How the name of the need of a database begins.
_DATABASES = "databases"


def refusals(target: Target, needs: Iterable[Need], start: int) -> Iterator[Finding]:
    """Yield an error for each need of a file that keeps `target` from loading it; `start`: the offset of the file.

    Commands and modules have findings of their own.
    """
    for need in needs:
        if need.kind not in CODES or need.met(target) or _is_plain_database(need, target):
            continue
        offset = start if need.offset is None else need.offset
        yield Finding("error", CODES[need.kind], _refusal(target, need), offset, need.db, need.key)


def blockers(target: Target, needs: Iterable[Need]) -> list[str]:
    """Return why `target` does not load a file: a text for each need that it does not meet."""
    return [_lacking(need) for need in needs if need.kind != "module" and not need.met(target)]


def _lacking(need: Need) -> str:
    found = need.loaders() if need.kind != "setting" else ""
    return _what(need) + (f"; loaded by {found}" if found else "")


def _is_plain_database(need: Need, target: Target) -> bool:
    """Return whether a database is only over the setting `databases`, which has a finding of its own."""
    return need.kind == "setting" and need.name.startswith(_DATABASES) and not target.settings.cluster_enabled


def _refusal(target: Target, need: Need) -> str:
    if need.kind == "setting":
        if need.name.startswith(_DATABASES):
            return f"in cluster mode {target} has only database 0, and does not start with others (or crashes)"
        return f"{target} does not load it without {need.name} (assumed: no)"
    if need.kind == "back-length":
        how = "does not start" if target.has("checks-packed-values") else "starts, and crashes at the first read"
        message = f"{target} {how}: {_what(need)}"
    else:
        message = f"{target} does not load {_what(need)}"
    if need.kind == "version" and _loads_relaxed(target, need):
        message += "; with rdb-version-check relaxed it does, if it knows all types in it"
    found = need.loaders()
    return f"{message}; loaded by {found}" if found else message


def _what(need: Need) -> str:
    """Return what a server lacks: "type 24 (HASH_METADATA), hash with field expiries"."""
    what = need.name
    if need.kind in ("type", "opcode"):
        what = f"{need.kind} {_numbered(need.name)}"
    elif need.kind in ("command", "annotation"):
        what = "timestamp lines" if need.kind == "annotation" else f"the command {need.name}"
    return what + (f", {need.about}" if need.about else "")


def _numbered(name: str) -> str:
    row = next(row for row in spec.ROWS if row.name == name)
    return f"{row.number} ({name})"


def _loads_relaxed(target: Target, need: Need) -> bool:
    return need.met(target.with_settings({"rdb-version-check": "relaxed"}))


def others(target: Target, needs: Iterable[Need]) -> Iterator[Finding]:
    """Yield a note if other patches of the target's line, or newer releases of its product, do not load the file."""
    needs = tuple(need for need in needs if need.kind != "module" and need.met(target))
    goals = sorted((target, *related(target)), key=lambda goal: goal.version)
    named = []
    for what, group in groupby(goals, key=lambda goal: tuple(map(_short, unmet(needs, goal)))):
        if what:
            named.append(f"{target.product} {_releases(list(group), goals, target)} ({', '.join(what)})")
    if named:
        message = f"{target} loads it, but these do not: {'; '.join(named)}"
        yield Finding("note", "refused-elsewhere", message)


def _short(need: Need) -> str:
    return f"{need.kind} {need.name}" if need.kind in ("type", "opcode", "command") else need.name


def _releases(group: list[Target], goals: list[Target], target: Target) -> str:
    """Return "8.0 before 8.0.6" for patches of the target's own line, "7.2 and newer" or "7.2 to 7.4" for others."""
    first, last = group[0].version, group[-1].version
    if last[:2] == RELEASES[target.product][-1].line:
        return f"{_dotted(first if first[:2] == target.version[:2] else first[:2])} and newer"
    after = goals[goals.index(group[-1]) + 1].version
    if after[:2] == last[:2]:
        return f"{_dotted(first if first[2] else first[:2])} before {_dotted(after)}"
    return _dotted(first[:2]) + (f" to {_dotted(last[:2])}" if last[:2] != first[:2] else "")


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))


def harm(target: Target, codes: Iterable[str]) -> Iterator[Finding]:
    """Yield what bytes that are known to harm servers, named by the codes of their findings, do to this one."""
    for code in codes:
        row = VULNERABILITIES.get(code)
        if row is not None and row.affects(target):
            mended = row.mended(target)
            message = f"{target} {row.harm} ({row.name}, see {code})" + (f"; mended in {mended}" if mended else "")
            yield Finding("error", "harms-server", message)


def assumptions(target: Target, needs: Needs, given: dict[str, str], codes: Iterable[str]) -> Iterator[str]:
    """Yield the settings that were assumed and decide about this file; `given` are those that were not assumed.

    `codes` are those of its errors.
    """
    if "cluster-enabled" not in given:
        if ("setting", "cluster-enabled yes") in {(need.kind, need.name) for need in needs}:
            if target.origin != "given":
                yield "cluster-enabled yes (a slot import is under way)"
        elif needs.database or needs.selected:
            yield "cluster-enabled no (more than database 0)"
    modules = sorted({need.name for need in needs if need.kind == "module" and not need.met(target)})
    if modules:
        yield f"modules for {', '.join(modules)}"
    if _DEEP.intersection(codes) and target.has("sanitize-dump-payload") and not target.has("checks-packed-values"):
        yield "sanitize-dump-payload yes (else it may load a damaged value, and crash at the first read)"
