"""Data for the tests of output."""

from __future__ import annotations

from itertools import chain
from typing import Any

from hypothesis import strategies as st

from rdbkit.output.nested import stream_rest

# Bytes in which all characters that the rule mentions are frequent.
TRICKY = st.lists(
    st.sampled_from(
        [
            b"\\",
            b"x",
            b"4",
            b"f",
            b"F",
            b"\\x41",
            b"\\xZZ",
            b"\\x5c",
            b"\xff",
            b"\xc3\xa4",
            b"\xc3",
            b"\xe2\x82",
            b"\xac",
        ]
        + [
            b"\xed\xb2\x80",
            b"\\udcff",
            b"\xf0\x9f\x98\x80",
            b'"',
            b",",
            b"=",
            b"\r",
            b"\n",
            b"\t",
            b"\x7f",
            b"\x00",
            b"",
        ]
        + ["\u202e".encode(), "\x9b".encode(), b"plain text"]
    ),
    max_size=12,
).map(b"".join)
DATA = st.binary(max_size=40) | TRICKY | st.text(max_size=20).map(str.encode)


def write_parts(writer: Any, type_name: str, batches: Any, about: Any = None) -> Any:
    """Write a value of any type from its batches of parts with a ValueWriter; return what `hash` returns.

    `about()` returns what is not in the parts: of a stream the Stream, of a module its name and version.
    """
    source = iter(batches)
    if type_name == "hash":
        return writer.hash(source)
    if type_name == "string":
        writer.string(chain.from_iterable(source))
    elif type_name == "stream":
        writer.stream(source, lambda: stream_rest(about()))
    elif type_name == "bitmap":
        writer.bitmap(about().length, source)
    elif type_name == "module":
        first = next(source, ())
        name, version = about()
        writer.module(name, version, chain(first, chain.from_iterable(source)))
    else:
        getattr(writer, type_name.replace("-", "_"))(source)
    return None
