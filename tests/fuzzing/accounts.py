"""The results of all methods of reading an input, as lists of lines by which builds or inputs can be compared.

A line is (where the entry ends, its account), or (None, anything else). Values are replaced by digests where they are
long; errors by type, code, offset, db, key and message.
"""

from __future__ import annotations

import csv
import hashlib
import importlib
import io
import json
import os
import random
import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from typing import Any, BinaryIO, TextIO

_STAMP = re.compile(rb"(?m)^[0-9]{1,7}:C [0-9]{1,2} [A-Z][a-z]+ [0-9: .]+")
#: A longer JSON document is not put together.
_DOCUMENT = 1 << 22
#: Parts of one value that are put together; of more, only the parts are read.
WHOLE = 100_000


class _Pipe:
    """A stream that cannot go back and gives at most `chunk` bytes a time."""

    def __init__(self, data: bytes, chunk: int) -> None:
        self._below = io.BytesIO(data)
        self._chunk = chunk

    def read(self, n: int = -1) -> bytes:
        return self._below.read(min(n, self._chunk) if n >= 0 else self._chunk)

    def seekable(self) -> bool:
        return False


@dataclass
class Delivery:
    """How bytes reach rdbkit: whole (`chunk` 0), or as a pipe in pieces of `chunk` bytes."""

    data: bytes
    chunk: int = 0

    def open(self) -> Any:
        """Return something to open."""
        return _Pipe(self.data, self.chunk) if self.chunk else self.data


_TUNING: dict[str, dict[str, tuple[int, ...]]] = {
    "rdbkit.wire.cursor": {"WINDOW": (16, 64, 300), "RETAIN": (0, 40, 300)},
    "rdbkit.rdb.values": {"BATCH": (6, 24), "_WHOLE": (0, 60)},
    "rdbkit.rdb.streams": {"_BATCH": (1, 3, 50)},
    "rdbkit.rdb.modules": {"_BATCH": (1, 3)},
    "rdbkit.output.entries": {"_WHOLE": (0, 100), "_HELD": (0, 200), "_ROWS": (1, 3)},
}


@contextmanager
def tuning(seed: str | None) -> Iterator[None]:
    """Make buffers and batches so small that short files reach what otherwise takes megabytes."""
    rng = random.Random(seed)
    held = []
    for name, choices in _TUNING.items() if seed is not None else ():
        module = importlib.import_module(name)
        for constant, numbers in choices.items():
            if hasattr(module, constant):
                held.append((module, constant, getattr(module, constant)))
                setattr(module, constant, rng.choice(numbers))
    try:
        yield
    finally:
        for module, constant, value in held:
            setattr(module, constant, value)


Line = tuple[int | None, Any]


def described(error: Any) -> tuple[Any, ...]:
    """Return the fields of an error."""
    assert error.code, "an error without a code"
    assert len(str(error)) < 1000, "a message of more than 1000 characters"
    return type(error).__name__, error.code, error.offset, error.db, digest(error.key), str(error)


def digest(value: Any) -> Any:
    """Return a value for an account: the value itself if it is short, else a digest."""
    if isinstance(value, set | frozenset):
        value = sorted(value)
    said = repr(value)
    return said if len(said) < 80 else hashlib.blake2b(said.encode(), digest_size=12).hexdigest()


def _ask(question: Callable[[], Any]) -> Any:
    from rdbkit.errors import RdbkitError

    try:
        return question()
    except RdbkitError as error:
        return ("error", described(error))


def _parts(entry: Any) -> tuple[int, str]:
    sums = hashlib.blake2b(digest_size=12)
    count = 0
    for part in entry.parts():
        # Where a string is cut into chunks depends on the window.
        sums.update(part if entry.type == "string" else repr(part).encode())
        count += entry.type != "string"
    return count, sums.hexdigest()


def _value(entry: Any) -> Any:
    value = entry.value
    return digest(value), digest(sorted(entry.field_expires_at.items()))


def entry_account(entry: Any, order: int = 0) -> tuple[Any, ...]:
    """Return all fields of an entry, read in one of several orders."""

    def about() -> tuple[Any, ...]:
        # Their memory depends on what follows them in the file, including damage.
        later = entry.encoding in ("quicklist", "template-listpack", "template-array")
        memory = () if later else (entry.memory, entry.memory_sd)
        return (entry.encoding, entry.elements, entry.size, *memory)

    if order == 0:
        found = [_ask(about), _ask(lambda: _parts(entry)), None]
        if found[1][0] == "error" or found[1][0] < WHOLE:
            found[2] = _ask(lambda: _value(entry))
    elif order == 1:
        value = _ask(lambda: _value(entry))
        found = [_ask(about), _ask(lambda: _parts(entry)), value]
    else:
        parts = _ask(lambda: _parts(entry))
        found = [None, parts, _ask(lambda: _value(entry))]
        found[0] = _ask(about)
    repr(entry)
    return entry.offset, entry.db, entry.key, entry.type, entry.expires_at, entry.idle, entry.freq, *found


def read_values(delivery: Delivery, order: int = 0) -> list[Line]:
    """Read every entry with its value."""
    import rdbkit
    from rdbkit.errors import RdbkitError

    lines: list[Line] = []
    try:
        snapshot = rdbkit.open(delivery.open())
    except RdbkitError as error:
        return [(None, ("stop", described(error)))]
    with snapshot:
        first = snapshot.cursor.tell()
        if order:  # else the first key that is asked for its memory finds the model missing
            snapshot.model()
        try:
            for entry in snapshot:
                lines.append((0, entry_account(entry, order)))  # noqa: PERF401  those before an error are kept
            last: tuple[Any, ...] = ("end", snapshot.checksum, first, snapshot.product, snapshot.version, snapshot.end)
        except RdbkitError as error:
            last = ("stop", described(error))
        sources = [hashlib.blake2b(source, digest_size=12).hexdigest() for source in snapshot.functions]
        facts = [snapshot.producer, snapshot.aux, sources, sorted(snapshot.databases.items()), str(snapshot.target)]
        lines.append((None, ("facts", digest(facts), snapshot.tail, snapshot.ctime)))
    return [*((end if end is None else _end(line), line) for end, line in lines), (None, last)]


def _end(line: tuple[Any, ...]) -> int:
    size = line[7][2] if line[7][0] != "error" else 0
    return int(line[0] + size)


def read_rows(delivery: Delivery, level: int) -> list[Line]:
    """Walk the file as deep as `level` says, keeping no bodies."""
    import rdbkit
    from rdbkit.errors import RdbkitError
    from rdbkit.rdb.walker import Plan

    lines: list[Line] = []
    try:
        with rdbkit.open(delivery.open(), plan=Plan(level=level)) as snapshot:
            for batch in snapshot.batches():
                lines.extend((row[0] + row[8], row) for row in batch)
            lines.append((None, ("end", snapshot.checksum)))
    except RdbkitError as error:
        lines.append((None, ("stop", described(error))))
    return lines


def check_file(delivery: Delivery) -> list[Line]:
    """Check the file."""
    from rdbkit.checks.file import FileCheck

    check = FileCheck(delivery.open())
    lines: list[Line] = []
    for finding in check.findings():
        assert len(finding.message) < 1000, "a finding of more than 1000 characters"
        assert isinstance(finding.hint, str)
        lines.append(
            (None, (finding.severity, finding.code, finding.offset, finding.db, digest(finding.key), finding.message))
        )
    sums = check.keys, check.expires, check.offset, check.complete, check.checksum, check.unreadable, check.elements
    return [*lines, (None, ("sums", *sums))]


def _problems(snapshot: Any) -> tuple[Any, ...]:
    return snapshot.damaged, snapshot.problem_count, *map(described, snapshot.problems)


def export_file(delivery: Delivery, form: str) -> list[Line]:
    """Export the file: how it ended, keys, digest, what is wrong with values, and (of JSON Lines) elements."""
    import rdbkit
    from rdbkit.errors import RdbkitError
    from rdbkit.output.entries import Exporter
    from rdbkit.output.export import export_writer
    from rdbkit.rdb.walker import Plan

    problems: tuple[Any, ...] = ()
    # On disk: what is watched is the memory of the export, not of its result.
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="backslashreplace", newline="") as said:
        writer = export_writer(form, said.write)
        exporter = Exporter(writer)
        try:
            with rdbkit.open(delivery.open(), plan=Plan(retain=True)) as snapshot:
                try:
                    exporter.read(snapshot)
                finally:
                    problems = _problems(snapshot)
            how: Any = "end"
            writer.finish()
        except RdbkitError as error:
            how = described(error)
            if form == "csv":
                writer.finish()
        said.seek(0)
        sums = hashlib.blake2b(digest_size=12)
        while piece := said.read(1 << 16):
            sums.update(piece.encode())
        said.seek(0)
        elements = _elements(said, exporter.count, form, whole=how == "end")
    return [(None, (how, exporter.count, sums.hexdigest(), problems, elements))]


def _elements(said: TextIO, keys: int, form: str, whole: bool) -> int | None:
    """See that all rows are whole; return how many elements are in those of JSON Lines, counted as by Checked."""
    count, rows = 0, 0
    if form == "csv":
        csv.field_size_limit(1 << 30)
        for row in csv.reader(said):
            rows += 1
            assert len(row) == 6, "a row of CSV that is not whole"
        assert rows == keys + 1, f"{rows} rows of CSV for {keys} keys"
        return None
    if form == "json":
        if whole and said.seek(0, io.SEEK_END) < _DOCUMENT:
            said.seek(0)
            assert len(json.load(said)) == keys, "not as many rows of JSON as keys"
        return None
    for line in said:
        assert line.endswith("\n"), "a last line that is not whole"
        row = json.loads(line)
        value, rows = row["value"], rows + 1
        if row["type"] in ("string", "module"):
            count += 1
        elif row["type"] == "bitmap":
            count += sum(last - first + 1 for first, last in value["runs"])
        else:
            count += len(value["entries"] if row["type"] == "stream" else value)
    assert rows == keys, f"{rows} lines for {keys} keys"
    return count


def rewrite_file(delivery: Delivery, restore: bool) -> list[Line]:
    """Write the commands that make the keys again; none of them may be cut."""
    import rdbkit
    from rdbkit.errors import RdbkitError
    from rdbkit.output.commands import CommandExporter
    from rdbkit.rdb.walker import Plan

    lost: Any = ()
    problems: tuple[Any, ...] = ()
    how: Any = "end"
    with tempfile.TemporaryFile() as said:
        try:
            with rdbkit.open(delivery.open(), plan=Plan(retain=True)) as snapshot:
                exporter = CommandExporter(said.write, snapshot, restore=restore, modules=restore)
                try:
                    exporter.read(snapshot)
                finally:
                    problems = _problems(snapshot)
                    lost = sorted(exporter.rewriter.lost.items())
        except RdbkitError as error:
            how = described(error)
        said.seek(0)
        sums = hashlib.blake2b(digest_size=12)
        while piece := said.read(1 << 16):
            sums.update(piece)
        said.seek(0)
        _commands(said)
    return [(None, (how, problems, lost, sums.hexdigest()))]


def _commands(said: BinaryIO) -> None:
    """Walk over commands, of which every one must be whole."""
    while head := said.readline():
        assert head[:1] == b"*", f"no command before {said.tell()}"
        assert head.endswith(b"\r\n")
        for _ in range(int(head[1:])):
            head = said.readline()
            assert head[:1] == b"$", f"no argument before {said.tell()}"
            assert head.endswith(b"\r\n")
            said.seek(int(head[1:]), io.SEEK_CUR)
            assert said.read(2) == b"\r\n", f"an argument that is cut at {said.tell()}"


def list_file(delivery: Delivery, form: str) -> list[Line]:
    """List the keys as the command line does, in a terminal of 80 columns."""
    import rdbkit
    from rdbkit.analysis.rows import key_rows
    from rdbkit.errors import RdbkitError
    from rdbkit.output.row_formats import row_writer
    from rdbkit.output.rows import KEY_COLUMNS
    from rdbkit.rdb.walker import Plan

    said: list[str] = []
    writer = row_writer(form, KEY_COLUMNS, said.append, width=80)
    try:
        with rdbkit.open(delivery.open(), plan=Plan(level=1)) as snapshot:
            snapshot.model()
            for batch in snapshot.batches():
                writer.write(key_rows(snapshot, batch))
        how: Any = "end"
    except RdbkitError as error:
        how = described(error)
    writer.finish()
    return [(None, (how, digest("".join(said))))]


def run_command(data: bytes, which: float) -> list[Line]:
    """Run a command in this process."""
    texts = (
        "info", "info -f json", "info --quick", "check", "check -f json", "keys", "keys -f csv", "export",
        "export -f csv", "export -f json --bytes hex", "export -f resp", "report", "report -f json", "prefixes",
        "check-rdb",
    )  # fmt: skip
    command = texts[int(which * len(texts))].split()
    with tempfile.NamedTemporaryFile(suffix=".rdb") as file:
        file.write(data)
        file.flush()
        os.utime(file.name, (1, 1))
        status, out, err = _called([*command, file.name])
    # The replacement for redis-check-rdb prints its process id and the time, as the tool does.
    said, talk = (_STAMP.sub(b"STAMP", text.replace(file.name.encode(), b"FILE")) for text in (out, err))
    # 5: a module's value or a member's expiry cannot be given as commands, which is said.
    fine = (0, 1, 3, 5) if command == ["export", "-f", "resp"] else (0, 1, 3)
    assert status in fine, f"{command} left with {status}: {talk[:300]!r}"
    assert b"Traceback" not in talk, talk
    assert status == 0 or said or talk, f"{command} failed without a word"
    return [(None, (command, status, digest(said), digest(talk)))]


def _called(arguments: list[str]) -> tuple[object, bytes, bytes]:
    """Run the command line; return its status and what it wrote. A bug is raised, not reported."""
    from rdbkit.cli import main

    os.environ["RDBKIT_DEBUG"] = "1"
    out, err = io.BytesIO(), io.BytesIO()
    with redirect_stdout(io.TextIOWrapper(out)) as text, redirect_stderr(io.TextIOWrapper(err)) as talk:
        try:
            main(arguments)
        except SystemExit as leave:
            status = leave.code
        text.flush()
        talk.flush()
        return status, out.getvalue(), err.getvalue()


def load_payload(data: bytes) -> list[Line]:
    """Read a DUMP payload."""
    from rdbkit import load_dump
    from rdbkit.errors import RdbkitError

    try:
        found = load_dump(data)
    except RdbkitError as error:
        return [(None, ("stop", described(error)))]
    about = (
        found.type,
        found.encoding,
        found.elements,
        found.size,
        digest(found.value),
        digest(sorted(found.field_expires_at.items())),
    )
    return [(None, ("end", about))]
