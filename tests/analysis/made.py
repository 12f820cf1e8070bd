"""Random keys as rows, the input of folds."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from hypothesis import strategies as st

from rdbkit.analysis.rows import Batch

_NAMES = st.one_of(
    st.sampled_from([b"a", b"b:1", b"b:2:x", b"{t}:1", b"{t}:2", b"{u7}/x", b"user:12:cart", b"\xff\n1", b"{}x"]),
    st.builds(lambda word, number: b"%s:%d" % (word, number), st.sampled_from([b"k", b"q/r", b""]), st.integers(0, 99)),
    st.binary(max_size=4),
)
_TYPES = st.sampled_from(
    [("string", "raw"), ("string", "int"), ("hash", "hashtable"), ("list", None), ("module", None)]
)
_sizes = st.integers(1, 200)


@st.composite
def rows(draw: Any) -> tuple[Any, ...]:
    kind, encoding = draw(_TYPES)
    known = kind != "module" and draw(st.integers(0, 5)) > 0
    return (
        draw(st.integers(0, 2)),
        draw(_NAMES),
        kind,
        encoding,
        None if kind == "module" else 1 if kind == "string" else draw(_sizes),
        draw(_sizes) if known else None,
        draw(st.integers(0, 9)) if known else None,
        draw(_sizes),
        draw(st.none() | st.integers(-(1 << 40), 1 << 43)),
        draw(st.none() | st.integers(0, 1 << 30)),
        draw(st.none() | st.integers(0, 255)),
    )


@st.composite
def splits(draw: Any, items: list[Any]) -> list[list[Any]]:
    """The same items in another order, in some parts, none of them empty."""
    order = draw(st.permutations(items))
    cuts = sorted({0, len(order), *draw(st.lists(st.integers(0, len(order)), max_size=4))})
    return [order[start:end] for start, end in pairwise(cuts)]


def batches(keys: list[tuple[Any, ...]], size: int = 3) -> list[Batch]:
    return [Batch(keys[at : at + size]) for at in range(0, len(keys), size)]
