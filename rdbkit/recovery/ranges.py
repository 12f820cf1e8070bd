"""Dropped ranges of a file: in order, disjoint, 17 bytes each."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, overload


class Lost(NamedTuple):
    """A dropped range, and the reason (account.REASONS)."""

    start: int
    end: int
    reason: str


class Ranges(Sequence[Lost]):
    """The ranges; adjacent or overlapping ones are merged."""

    def __init__(self, ranges: Iterable[Lost] = ()) -> None:
        self._starts = array("Q")
        self._ends = array("Q")
        self._reasons = array("B")
        self._names: list[str] = []
        for one in ranges:
            self.add(one)

    def __len__(self) -> int:
        return len(self._starts)

    @overload
    def __getitem__(self, at: int) -> Lost: ...
    @overload
    def __getitem__(self, at: slice) -> list[Lost]: ...
    def __getitem__(self, at: int | slice) -> Lost | list[Lost]:
        if isinstance(at, slice):
            return [self[number] for number in range(*at.indices(len(self)))]
        return Lost(self._starts[at], self._ends[at], self._names[self._reasons[at]])

    def __iter__(self) -> Iterator[Lost]:
        names = self._names
        for start, end, reason in zip(self._starts, self._ends, self._reasons):
            yield Lost(start, end, names[reason])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]

    def pop(self) -> Lost:
        """Remove the last range and return it."""
        last = self[-1]
        del self._starts[-1], self._ends[-1], self._reasons[-1]
        return last

    def push(self, lost: Lost) -> None:
        """Append a range after the last one, not adjacent to it."""
        if lost.reason not in self._names:
            self._names.append(lost.reason)
        self._starts.append(lost.start)
        self._ends.append(lost.end)
        self._reasons.append(self._names.index(lost.reason))

    def add(self, lost: Lost) -> None:
        """Add a range, usually after the last one."""
        later: list[Lost] = []
        while self and self[-1].end >= lost.start:
            last = self.pop()
            if last.start > lost.end:
                later.append(last)
                continue
            first, second = sorted((last, lost))
            same = first.reason == second.reason or second.end <= first.end
            lost = Lost(first.start, max(first.end, second.end), first.reason if same else "damaged")
        self.push(lost)
        for one in reversed(later):
            self.push(one)
