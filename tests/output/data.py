"""Data for the tests of output."""

from __future__ import annotations

from hypothesis import strategies as st

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
