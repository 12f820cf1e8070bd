"""The place at which a replay that ends before a command ends: found by reading the commands once more, before it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from functools import cached_property
from typing import TYPE_CHECKING, Any

from rdbkit.aof.aof_set import AofFile
from rdbkit.aof.cut import Cut, Point, find_cut
from rdbkit.aof.reader import has_preamble, skip_preamble
from rdbkit.aof.resp import LOADER, RECORD, Item, Resp
from rdbkit.errors import Passed
from rdbkit.snapshot.snapshot import Snapshot
from rdbkit.source import Source, open_source
from rdbkit.wire.cursor import Cursor

if TYPE_CHECKING:
    from rdbkit.snapshot.replay import Input, Progress

_BATCH = 512
#: Bytes of an argument that are kept, at least.
_KEPT = 64


def end_of(files: Sequence[Input], cut: Cut, progress: Progress | None) -> Point | None:
    """Return the index of a file and the offset at which to end there; None if the replay itself finds its end.

    Raises as `find_cut`, and Passed for an input that can be read only once.
    """
    if cut.until_offset is not None and len(files) > 1:
        raise ValueError("an offset needs a single file: name the file")
    if cut.before is None:
        return None
    sizes = [file.source.file_size if isinstance(file, Snapshot) else _size(file) for file in files]
    total = None if None in sizes else sum(size or 0 for size in sizes)
    keep = max(_KEPT, *(len(word) + 1 for word in cut.before.split()))
    with progress(total) if progress else nullcontext() as shown:
        done, records = 0, []
        for file, size in zip(files, sizes):
            records.append(_Records(file, keep, _advance(shown, done)))
            done += size or 0
        return find_cut(records, cut)


def _size(file: AofFile | Source) -> int | None:
    return file.size if isinstance(file, AofFile) else file.file_size


def _advance(shown: Any, done: int) -> Callable[[int], object]:
    return (lambda at: shown.update(done + at)) if shown is not None else lambda _: None


class _Records:
    """The commands of a file up to damage, for find_cut."""

    def __init__(self, file: Input, keep: int, advance: Callable[[int], object]) -> None:
        self._file, self._keep, self._advance = file, keep, advance

    def _again(self) -> Source:
        file = self._file
        if isinstance(file, AofFile):
            return open_source(file.path)
        source = file.source if isinstance(file, Snapshot) else file
        if not source.seekable:
            message = "the end of the replay must be found first, and a pipe can be read only once: save it to a file"
            raise Passed(message, offset=source.start)
        return source.reopen(source.start)

    @cached_property
    def start(self) -> int:
        """The offset of the first command."""
        with self._again() as source:
            cursor = Cursor(source=source, base=source.start)
            if has_preamble(source.peek):
                skip_preamble(cursor, verify=False)
            return int(cursor.tell())

    @cached_property
    def size(self) -> int:
        """The offset of the end, as far as it is known."""
        with self._again() as source:
            return source.size if source.size >= 0 else 1 << 62

    def items(self) -> Iterator[Item]:
        """Yield commands and annotations."""
        if isinstance(self._file, AofFile) and self._file.format in ("empty", "missing", "special"):
            return
        with self._again() as source:
            cursor = Cursor(source=source, base=source.start)
            if has_preamble(source.peek):
                skip_preamble(cursor, verify=False)
            resp, status = Resp(cursor, LOADER), RECORD
            while status == RECORD:
                items: list[Item] = []
                status = resp.batch(_BATCH, self._keep, items)
                yield from items
                self._advance(cursor.tell())
