r"""Split a line into words, as redis-cli, redis.conf and manifests do: separated by blanks, with quoting.

    bare   "with \x41, \n \r \t \b \a, \\ and \""   'with \' and nothing else'

A bare word may continue with a quoted part, which ends it: a blank or the end of the line must follow. From Valkey 9.0
on the word continues after the quote, as in a shell (`joined`). Any other escaped character is the character itself.

Sources: sds.c of the BSD-licensed Valkey 8 (sdssplitargs, sdscatrepr); for Valkey 9 its pull request #2098 and a
recorded run.
"""

from __future__ import annotations

import re

# \v and \f separate words (isspace), but they do not end a bare word and are not trimmed from a line.
_SPACE = b" \t\n\v\f\r"
_BARE = re.compile(rb"[^ \t\n\r\"']*")
# Possessive: no backtracking into an escape sequence to match the closing quote.
_DOUBLE = re.compile(rb'"((?:\\.|[^"\\])*+)"', re.DOTALL)
_SINGLE = re.compile(rb"'((?:\\'|[^'])*+)'", re.DOTALL)
_ESCAPE = re.compile(rb"\\(?:x([0-9a-fA-F]{2})|(.))", re.DOTALL)
_LETTERS = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"b": b"\b", b"a": b"\a"}
_ESCAPED = {value[0]: b"\\" + name for name, value in _LETTERS.items()} | {ord('"'): b'\\"', ord("\\"): b"\\\\"}
# Printable, and not a blank, quote or backslash. Servers do not quote ' either, and then cannot read their own output.
_PLAIN = re.compile(rb"[!#-&(-\[\]-~]+")
_NUMBER = re.compile(rb"[ \t\n\v\f\r]*([+-]?[0-9]+)")
_LLONG_MAX = (1 << 63) - 1


def split_args(line: bytes, *, joined: bool = False) -> list[bytes]:
    """Return the words of a line. Raises ValueError for an open quote, and for text after a closing one.

    `joined`: such text is part of the word (Valkey 9.0 and newer).
    """
    words = []
    at = _skip_blanks(line, 0)
    while at < len(line):
        word, at = _word(line, at, joined)
        words.append(word)
        at = _skip_blanks(line, at)
    return words


def _skip_blanks(line: bytes, at: int) -> int:
    while at < len(line) and line[at] in _SPACE:
        at += 1
    return at


def _word(line: bytes, at: int, joined: bool) -> tuple[bytes, int]:
    """Return the word that begins at a position, and where it ends."""
    word = b""
    while True:
        bare = _BARE.match(line, at)
        assert bare is not None  # it also matches the empty string
        word += bare[0]
        at = bare.end()
        if at == len(line) or line[at] not in b"\"'":
            return word, at
        part, at = _quoted_part(line, at)
        word += part
        if joined:
            continue
        if at < len(line) and line[at] not in _SPACE:
            raise ValueError("a closing quote is followed by text")
        return word, at


def _quoted_part(line: bytes, at: int) -> tuple[bytes, int]:
    double = line[at] == ord('"')
    match = (_DOUBLE if double else _SINGLE).match(line, at)
    if match is None:
        raise ValueError("a quote is not closed")
    return _ESCAPE.sub(_unescaped, match[1]) if double else match[1].replace(b"\\'", b"'"), match.end()


def _unescaped(match: re.Match[bytes]) -> bytes:
    return bytes.fromhex(match[1].decode()) if match[1] else _LETTERS.get(match[2], match[2])


def quoted(word: bytes) -> bytes:
    """Return the inverse of `split_args` for a word: unquoted if possible, else "…" as servers write it."""
    if _PLAIN.fullmatch(word):
        return word
    return b'"%b"' % b"".join(_ESCAPED.get(c) or (b"%c" if 32 <= c < 127 else b"\\x%02x") % c for c in word)


def integer(text: bytes) -> int:
    """Parse a number as atoll() does: text after the digits is ignored, no digits give 0, overflow gives the limit.

    `text` is part of a line of bounded length.
    """
    match = _NUMBER.match(text)
    return max(-_LLONG_MAX - 1, min(_LLONG_MAX, int(match[1]))) if match else 0
