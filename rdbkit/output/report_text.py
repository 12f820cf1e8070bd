"""A report as text: the most important facts first, on one screen; then all details.

Lines are at most 80 columns wide, less on a narrower terminal. Text from the file (keys, prefixes) is last on its line
and is cut only on a terminal. Colour never carries information by itself.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from rdbkit.analysis.expiry import Bucket
from rdbkit.analysis.files import FileSummary
from rdbkit.analysis.picture import Note, Picture
from rdbkit.analysis.totals import Total
from rdbkit.output import units
from rdbkit.output.text import encoder, path_text, terminal
from rdbkit.output.width import cut, display_width, pad, wrapped

_WIDTH = 80
_BAR = 10
_EIGHTHS = " ▏▎▍▌▋▊▉█"
_PREFIXES = 10
_TYPES = {
    "string": ("string", "strings"),
    "list": ("list", "lists"),
    "set": ("set", "sets"),
    "zset": ("sorted set", "sorted sets"),
    "hash": ("hash", "hashes"),
    "stream": ("stream", "streams"),
    "array": ("array", "arrays"),
    "path-hash": ("path hash", "path hashes"),
    "bitmap": ("bitmap", "bitmaps"),
    "module": ("module value", "module values"),
}
_PRODUCTS = {"redis": "Redis", "valkey": "Valkey", "keydb": "KeyDB", "dragonfly": "Dragonfly"}
#: Columns of the comparison of several files.
_COLUMN = 13

TextCells = Sequence[str]


def shows_blocks() -> bool:
    """Return whether the terminal can show Unicode blocks: by its locale and TERM."""
    locale = os.environ.get("LC_ALL") or os.environ.get("LC_CTYPE") or os.environ.get("LANG") or ""
    return "utf" in locale.lower() and os.environ.get("TERM") != "dumb"


def bar(part: float, blocks: bool) -> str:
    """Return a bar of fixed width for a share from 0 to 1; blocks have a resolution of one eighth."""
    return _drawn(part, blocks).ljust(_BAR)


def _drawn(part: float, blocks: bool) -> str:
    if not blocks:
        return "#" * min(_BAR, round(part * _BAR))
    eighths = min(8 * _BAR, max(round(part * 8 * _BAR), int(part > 0)))
    return "█" * (eighths // 8) + _EIGHTHS[eighths % 8].strip()


def percent(part: int, whole: int) -> str:
    """Return "12.3%"."""
    return f"{100 * part / whole:.1f}%" if whole else "-"


class Screen:
    """Formats a report line by line. `width` None: not a terminal, nothing is cut."""

    def __init__(self, found: Picture, form: str, width: int | None, color: bool, blocks: bool) -> None:
        self._found = found
        self._text = encoder(form)
        self._cut = width
        self._width = min(width or _WIDTH, _WIDTH)
        self._color = color
        self._blocks = blocks
        self._weight = found.total.weight
        self._measure = "memory" if found.total.memory is not None or not found.total.keys else "size"

    def lines(self) -> Iterator[str]:
        """Yield the lines, without their ends."""
        found = self._found
        yield from self._damage()
        yield from self._heads()
        yield from self._notes()
        yield from self._types()
        yield from self._prefixes()
        yield from self._buckets("Expiry", found.expiry)
        yield from self._buckets("Idle for", found.idle)
        yield from self._buckets("Access frequency (LFU counter)", found.freq)
        yield from self._databases()
        yield from self._encodings()
        yield from self._biggest()
        if not found.complete or any(file.error or file.damaged for file in found.files):
            yield ""
            yield from self._damage()

    # -- files and totals ----------------------------------------------------------------------------------------------

    def _damage(self) -> Iterator[str]:
        stopped = [
            (file.error_code == "needs-replay", file.file, file.error)
            for file in self._found.files
            if file.error and not file.whole
        ]
        yield from self._alarm(
            "DAMAGED: this report does not include data after the damage.",
            [(name, why) for replay, name, why in stopped if not replay],
        )
        yield from self._alarm(
            "RDB PART ONLY: this report does not include the effects of the commands after it.",
            [(name, why) for replay, name, why in stopped if replay],
        )
        yield from self._alarm(
            "WRONG CHECKSUM: everything was read, but the contents cannot be trusted.",
            [(file.file, file.error) for file in self._found.files if file.error and file.whole],
        )
        yield from self._alarm(
            "DAMAGED VALUES: the elements and memory of these keys are unknown.",
            [(file.file, _number(file.damaged, "key")) for file in self._found.files if file.damaged],
        )
        yield from self._alarm("NOT READ: this report does not include these files.", self._found.unread)

    def _alarm(self, what: str, files: Sequence[tuple[str, str]]) -> Iterator[str]:
        if files:
            yield self._strong(what, "1;31")
        for name, why in files:
            yield from self._wrapped(f"{path_text(name)}: {why}")

    def _heads(self) -> Iterator[str]:
        files = self._found.files
        if len(files) == 1:
            yield from self._head(files[0])
        else:
            yield from self._several(files)
        total = self._found.total
        yield self._fact("keys", f"{total.keys:,}, with {_number(total.elements, 'element')}")
        yield self._fact("memory", self._memory(total))
        yield from self._heap(files, total)
        if len(files) == 1 and files[0].used_mem is not None:
            used = units.size(files[0].used_mem)
            yield self._fact("used-mem", f"{used} (reported by the server when it wrote the file)")

    def _heap(self, files: Sequence[FileSummary], total: Total) -> Iterator[str]:
        """Yield what servers allocate after loading the files, one server per file."""
        keys = [file.allocated for file in files]
        beside = [file.overhead for file in files]
        if not total.keys or None in keys:
            return
        known = sum(size or 0 for size in keys)
        missing = f", without {_keys(total.unknown)} of unknown size" if total.unknown else ""
        if None in beside:
            if not self._found.heap:
                yield self._fact("heap", f"{units.size(known)} (allocated for these keys{missing})")
            return
        more = sum(size or 0 for size in beside)
        parts = f"keys {units.size(known)}{missing} plus about {units.size(more)} server overhead"
        yield self._fact("heap", f"{units.size(known + more)}: {parts}")

    def _head(self, file: FileSummary) -> Iterator[str]:
        yield self._strong(path_text(file.file))
        yield self._fact("file", _described(file))
        if file.ctime is not None:
            yield self._fact("written" if file.kind == "rdb" else "RDB of", units.time(file.ctime))
        yield self._fact("target", f"{file.target} ({file.target_origin})")

    def _memory(self, total: Total) -> str:
        if not total.keys:
            return "-"
        if total.memory is None:
            return f"unknown; ranked by size in the file instead, {units.size(total.size)} in total"
        spread = f" ± {units.size(total.memory_sd)}" if total.memory_sd else ""
        missing = f", without {_keys(total.unknown)}" if total.unknown else ""
        what = "actually allocated" if self._found.heap else "sum of MEMORY USAGE"
        return f"{units.size(total.memory)}{spread} ({what}{missing})"

    def _fact(self, name: str, text: str) -> str:
        return self._line(f"  {name:<9} {text}")

    def _several(self, files: Sequence[FileSummary]) -> Iterator[str]:
        yield self._strong(f"{len(files):,} files")
        columns = (self._width - _COLUMN) // _COLUMN
        if not files or len(files) + 1 > columns:
            rows = [
                (f"{file.total.keys:,}", self._amount(file.total), _state(file), path_text(file.file)) for file in files
            ]
            yield from self._grid(("keys", self._measure, "state", "file"), rows, "state")
            return
        for number, file in enumerate(files, 1):
            yield self._line(f"  [{number}] {path_text(file.file)}")
            yield self._line(f"      {_described(file)}")
        yield from self._compared(files)

    def _compared(self, files: Sequence[FileSummary]) -> Iterator[str]:
        totals = [*(file.total for file in files), self._found.total]
        rows: list[tuple[str, list[str]]] = [
            ("", [*(f"[{number}]" for number in range(1, len(files) + 1)), "total"]),
            ("keys", [f"{total.keys:,}" for total in totals]),
            ("no expiry", [_forever(total) for total in totals]),
            (self._measure, [self._amount(total) for total in totals]),
        ]
        kinds = [*(file.totals.types() for file in files), self._found.types]
        rows += [
            (f"  {name}", [self._amount(of[name]) if name in of else "-" for of in kinds]) for name in self._found.types
        ]
        used = [file.used_mem for file in files]
        if any(size is not None for size in used):
            everything = None if None in used else sum(size or 0 for size in used)
            rows.append(("used-mem", ["-" if size is None else units.size(size) for size in [*used, everything]]))
        for name, cells in rows:
            yield f"{name:<{_COLUMN}}" + "".join(f"{cell:>{_COLUMN}}" for cell in cells)

    # -- notable -------------------------------------------------------------------------------------------------------

    def _notes(self) -> Iterator[str]:
        # If all memory is unknown, this was already reported above.
        notes = [note for note in self._found.notes if note.code != "memory-unknown" or self._measure == "memory"]
        if not notes:
            return
        yield from self._title("Notable")
        for note in notes:
            yield from self._wrapped(self._sentence(note))

    def _sentence(self, note: Note) -> str:
        facts = note.facts
        makers: dict[str, Any] = {
            "big-key": self._say_big_key,
            "no-expiry": self._say_no_expiry,
            "expired": lambda of: (
                f"{_keys(of['keys'])} ({self._part(of)}) {'has' if of['keys'] == 1 else 'have'} expired and "
                f"{'is' if of['keys'] == 1 else 'are'} still in the file"
            ),
            "hash-tag": self._say_tag,
            "backlen": self._say_backlen,
            "limit": _say_limit,
            "memory-unknown": lambda of: (
                f"the memory of {of['keys']:,} of {_keys(of['of'])} is unknown (?); they count with their size in the "
                f"file, {units.size(of['size'])}"
            ),
        }
        return str(makers[note.code](facts))

    def _part(self, facts: dict[str, Any]) -> str:
        return f"{units.size(facts['weight'])}, {100 * facts['share']:.1f}%"

    def _say_big_key(self, facts: dict[str, Any]) -> str:
        key = self._text(facts["key"][:100])
        return f"one {_TYPES[facts['type']][0]} uses {100 * facts['share']:.1f}% of the total: db {facts['db']} '{key}'"

    def _say_no_expiry(self, facts: dict[str, Any]) -> str:
        return f"{percent(facts['keys'], facts['of'])} of the keys ({self._part(facts)}) never expire"

    def _say_tag(self, facts: dict[str, Any]) -> str:
        tag = self._text(facts["tag"][:100])
        return f"hash tag {{{tag}}} keeps {_keys(facts['keys'])} ({self._part(facts)}) in one slot, {facts['slot']}"

    def _say_backlen(self, facts: dict[str, Any]) -> str:
        kind = _TYPES[facts["type"]][0]
        first = f"{kind} '{self._text(facts['key'][:100])}' (db {facts['db']})"
        others = facts["keys"] - 1
        who = f"{first} and {others:,} other keys" if others > 1 else f"{first} and one other key" if others else first
        has = "have" if others else "has"
        if facts["generation"] == "old":
            return (
                f"{who} {has} an element of a size whose back-length encoding changed: Valkey 9.1 and newer do not "
                "start with this file; change that element before an upgrade"
            )
        return (
            f"{who} {has} an element of a size whose back-length encoding changed: servers before Valkey 9.1 and "
            "Redis 8.8 refuse it or crash on it"
        )

    # -- tables --------------------------------------------------------------------------------------------------------

    def _types(self) -> Iterator[str]:
        yield from self._totals("Types", "type", ((name, total) for name, total in self._found.types.items()))

    def _databases(self) -> Iterator[str]:
        rows = [(f"db {db}", total) for db, total in self._found.databases.items()]
        if len(rows) > 1:
            yield from self._totals("Databases", "database", rows)

    def _encodings(self) -> Iterator[str]:
        rows = [(f"{kind} {name or '-'}", total) for (kind, name), total in self._found.encodings.items()]
        yield from self._totals("Encodings", "encoding", rows)

    def _totals(self, title: str, name: str, rows: Iterable[tuple[str, Total]]) -> Iterator[str]:
        cells = [
            (self._amount(total), *self._share(total.weight), f"{total.keys:,}", f"{total.elements:,}", label)
            for label, total in rows
        ]
        if cells:
            yield from self._title(title)
            yield from self._grid((self._measure, "share", "", "keys", "elements", name), cells)

    def _prefixes(self) -> Iterator[str]:
        rows = [prefix for prefix in self._found.prefixes if prefix.name is not None][:_PREFIXES]
        if not rows:
            return
        total = self._found.total
        rest_keys = total.keys - sum(prefix.keys for prefix in rows)
        rest = self._weight - sum(prefix.weight for prefix in rows)
        cells = [
            (
                units.size(prefix.weight) + ("+" if prefix.error else ""),
                *self._share(prefix.weight),
                f"{prefix.keys:,}",
                units.size(prefix.weight / prefix.keys),
                percent(prefix.no_expiry, prefix.keys),
                self._text(prefix.name or b"") or "(the empty key)",
            )
            for prefix in rows
        ]
        if rest_keys:
            cells.append(
                (units.size(rest), *self._share(rest), f"{rest_keys:,}", units.size(rest / rest_keys), "", "(others)")
            )
        yield from self._title("Prefixes")
        yield from self._grid((self._measure, "share", "", "keys", "average", "no expiry", "prefix"), cells)
        if not self._found.prefixes_exact:
            most = self._found.absent[1] + self._found.absent[4]
            yield from self._wrapped(
                f"too many prefixes for exact counts: values with + may be up to {units.size(most)} higher; a prefix "
                "that is not listed has at most that"
            )

    def _buckets(self, title: str, buckets: Sequence[Bucket]) -> Iterator[str]:
        if not any(bucket.keys for bucket in buckets):
            return
        cells = [
            (
                units.size(bucket.weight),
                *self._share(bucket.weight),
                f"{bucket.keys:,}",
                "never" if bucket.name == "none" else bucket.name,
            )
            for bucket in buckets
            if bucket.keys
        ]
        yield from self._title(title + (self._since() if title == "Expiry" else ""))
        yield from self._grid((self._measure, "share", "", "keys", "when" if title == "Expiry" else ""), cells)

    def _since(self) -> str:
        files = self._found.files
        if len({file.now for file in files}) == 1 and files[0].now is not None:
            return f", from {units.time(files[0].now)} ({files[0].now_origin})"
        return ", from each file's own time"

    def _biggest(self) -> Iterator[str]:
        several = len(self._found.files) > 1
        for kind, bigs in self._found.biggest.items():
            cells = [
                (
                    units.size(big.weight),
                    percent(big.weight, self._weight),
                    "-" if big.elements is None else f"{big.elements:,}",
                    big.encoding or "-",
                    str(big.db),
                    self._text(big.key) + (f"  ({path_text(big.file)})" if several else ""),
                )
                for big in bigs
            ]
            yield from self._title(f"Biggest {_TYPES[kind][1]}")
            yield from self._grid((self._measure, "share", "elements", "encoding", "db", "key"), cells, "encoding")

    # -- layout --------------------------------------------------------------------------------------------------------

    def _amount(self, total: Total) -> str:
        return units.size(total.weight) + ("?" if total.unknown and self._measure == "memory" else "")

    def _share(self, weight: int) -> tuple[str, str]:
        return percent(weight, self._weight), bar(weight / self._weight if self._weight else 0.0, self._blocks)

    def _title(self, text: str) -> Iterator[str]:
        yield ""
        yield self._strong(text)

    def _strong(self, text: str, code: str = "1") -> str:
        line = self._line(text)
        return f"\x1b[{code}m{line}\x1b[0m" if self._color else line

    def _line(self, text: str) -> str:
        safe = terminal(text).rstrip()
        return safe if self._cut is None else cut(safe, self._cut)

    def _wrapped(self, text: str) -> list[str]:
        return wrapped(terminal(text), self._width, "  ", "    ", breaks=self._cut is not None)

    def _grid(self, names: TextCells, rows: Sequence[TextCells], *left: str) -> Iterator[str]:
        """Yield a table: numbers right-aligned; bars, the named columns and the last one left-aligned."""
        widths = [max(map(display_width, column)) for column in zip(names, *rows)]
        for cells in (names, *rows):
            parts = [
                pad(cell, width, left=not name or name in left) for cell, width, name in zip(cells[:-1], widths, names)
            ]
            yield self._line("  " + "  ".join((*parts, cells[-1])))


def _number(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def _keys(count: int) -> str:
    return _number(count, "key")


def _forever(total: Total) -> str:
    return percent(total.no_expiry, total.keys)


def _described(file: FileSummary) -> str:
    product = _PRODUCTS.get(file.product, file.product)
    size = "" if file.size is None else f", {units.size(file.size)}"
    chosen = ", only the selected keys" if file.filtered else ""
    who = f"{product} {file.producer}" if file.producer else product
    if file.kind == "aof":
        commands = "" if file.commands is None else f", {_number(file.commands, 'command')} replayed"
        rdb = "" if file.version is None else f", with an RDB {file.version} of {who}, checksum {file.checksum}"
        return f"AOF{size}{commands}{rdb}{chosen}"
    return f"{who}, RDB {file.version}{size}, checksum {file.checksum}{chosen}"


def _state(file: FileSummary) -> str:
    if file.error:
        return "RDB part only" if file.error_code == "needs-replay" else "DAMAGED"
    if file.kind == "aof" and file.version is None:
        return "AOF"
    return f"checksum {file.checksum}"


def _say_limit(facts: dict[str, Any]) -> str:
    kind = facts["setting"].split("-")[0]
    known = facts["saved"] is not None
    saving = f", saving about {units.size(facts['saved'])} of {units.size(facts['memory'])}" if known else ""
    number = f"{facts['keys']:,} {_TYPES[kind][1]}" if facts["keys"] > 1 else f"one {_TYPES[kind][0]}"
    return f"{number} just over {facts['setting']} {facts['limit']:,}: compact at {facts['needed']:,}{saving}"
