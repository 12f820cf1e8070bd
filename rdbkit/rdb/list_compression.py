"""Lists whose inner nodes are compressed in memory (list-compress-depth), and how a file shows that they were."""

from __future__ import annotations

from collections import deque

from rdbkit.wire import lzf

#: The number of raw blobs that are examined: whether they could have been packed shows the writer's settings.
_TRIES = 16


class CompressionEvidence:
    """Whether the file shows that list-compress-depth was set; shared by all walks over one file.

    Servers write a compressed node as it is in memory; whether they compress anything else for the file is another
    setting. So a blob that is raw, although it could be packed, shows that this other setting was off; then every
    packed node was compressed in memory, and will be again. lookahead.shows_raw searches the beginning of a file for
    such a blob before it is walked.
    """

    def __init__(self) -> None:
        self.tries = _TRIES
        self.raw = False

    def judge(self, blob: bytes) -> None:
        """Examine a raw blob, unless an earlier one was evidence."""
        if self.raw:
            return
        self.tries -= 1
        packed = lzf.compress(blob)
        # It must save more than a few bytes, because another compressor may save slightly less.
        self.raw = packed is not None and 4 * len(packed) <= 3 * len(blob)


class PackedNodes:
    """The bytes that list-compress-depth saves on a list: all nodes but `depth` at each end are kept compressed.

    With a depth of -1 the file decides: these are the nodes that are packed in it, if there is evidence for that.
    """

    def __init__(self, depth: int) -> None:
        self.depth = depth
        self.total = 0
        self.last: deque[int] = deque(maxlen=max(depth, 0))
        self.seen = 0

    def add(self, saved: int) -> None:
        """Count a node, and the bytes that it saves if it is kept packed."""
        if self.depth > 0:
            if self.seen < self.depth:
                saved = 0
            self.last.append(saved)
        self.seen += 1
        self.total += saved

    def saved(self, evidence: CompressionEvidence) -> int:
        """Return the bytes saved in total."""
        if self.depth < 0:
            return self.total if evidence.raw else 0
        return self.total - sum(self.last) if self.seen > 2 * self.depth > 0 else 0
