"""Encoders for the parts of every record: lengths, strings, doubles, ids. The decoders are in rdbkit.wire.cursor.

    length   6, 14, 32 or 64 bits, always in the shortest form
    string   raw, integer or LZF, chosen by the servers' own rule
    double   text after one length byte (ZSET only)
    ids      a stream id as 16 raw bytes; the names of modules and of metadata classes, with version and flags, as one
             number: six bits a character, in two alphabets that differ in their last two

Values that the format cannot hold are the caller's mistake and raise ValueError.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable

from rdbkit.format import spec
from rdbkit.wire import lzf

#: One value inside a module's: ("uint", 7). Kinds as in MODULE_KINDS.
ModulePart = tuple[str, int | float | bytes]

#: Strings up to this are not worth packing, and an integer's text is no longer than the other.
NOT_PACKED = 20
INTEGER_TEXT = 11

MODULE_KINDS = {
    "sint": spec.MODULE_SINT,
    "uint": spec.MODULE_UINT,
    "float": spec.MODULE_FLOAT,
    "double": spec.MODULE_DOUBLE,
    "string": spec.MODULE_STRING,
}

_WORD = (1 << 64) - 1
_SHORT = tuple(bytes((n,)) for n in range(64))
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
MODULE_ALPHABET = _LETTERS + "-_"
CLASS_ALPHABET = _LETTERS + "_-"


def encode_length(n: int) -> bytes:
    """Return `n` (0 to 2^64 - 1) as a length."""
    if n < 0 or n > _WORD:
        raise ValueError(f"{n} is not a length: it must be from 0 to 2^64 - 1")
    if n < 0x40:
        return _SHORT[n]
    if n < 0x4000:
        return (0x4000 | n).to_bytes(2, "big")
    if n < 1 << 32:
        return b"\x80" + n.to_bytes(4, "big")
    return b"\x81" + n.to_bytes(8, "big")


def encode_signed(n: int) -> bytes:
    """Return a signed 64-bit number as the length of its two's complement."""
    return encode_length(n & _WORD)


def encode_string(data: bytes, compress: bool = True, integers: bool = True) -> bytes:
    """Return `data` in the form that a server chooses: integer, LZF (with `compress`), else raw."""
    size = len(data)
    if size <= INTEGER_TEXT:
        if integers and (data.isdigit() or (data[:1] == b"-" and data[1:].isdigit())):
            return _integer_form(data) or _SHORT[size] + data
        return _SHORT[size] + data
    if compress and size > NOT_PACKED:
        packed = lzf.compress(data)
        if packed is not None:
            return b"\xc3" + encode_length(len(packed)) + encode_length(size) + packed
    return (_SHORT[size] if size < 0x40 else encode_length(size)) + data


def _integer_form(digits: bytes) -> bytes | None:
    """Return the integer form of digits with or without a minus, if they are canonical and fit 32 bits."""
    number = int(digits)
    if b"%d" % number != digits:  # leading zeros, -0
        return None
    for form, width in ((b"\xc0", 1), (b"\xc1", 2), (b"\xc2", 4)):
        if -1 << 8 * width - 1 <= number < 1 << 8 * width - 1:
            return form + number.to_bytes(width, "little", signed=True)
    return None


def score_text(score: float, short: bool = False) -> bytes:
    """Return the text of a score inside a packed zset: an integer if it is whole, else %.17g; inf, -inf, nan.

    `short` gives what servers from 7.2 on write: all 64-bit integers as such, and no more digits than are needed.
    """
    if abs(score) < (1 << 63 if short else 1 << 52) and score.is_integer():
        # The servers lose the sign of -0, which a reader of the score would see.
        return b"%d" % score if score or math.copysign(1, score) > 0 else b"-0"
    return repr(score).encode() if short else b"%.17g" % score


def encode_double(value: float) -> bytes:
    """Return the text double of type ZSET."""
    if math.isnan(value):
        return b"\xfd"
    if math.isinf(value):
        return b"\xfe" if value > 0 else b"\xff"
    text = score_text(value)
    return bytes((len(text),)) + text


def encode_f64(value: float) -> bytes:
    """Return a binary64, little endian."""
    return struct.pack("<d", value)


def encode_ms(ms: int) -> bytes:
    """Return milliseconds, or -1, as a signed 64-bit number, little endian."""
    return ms.to_bytes(8, "little", signed=True)


def rawid(stream_id: tuple[int, int]) -> bytes:
    """Return a stream id as the 16 bytes of a node key or a pending entry."""
    ms, seq = stream_id
    return ms.to_bytes(8, "big") + seq.to_bytes(8, "big")


# -- module ids and metadata classes -----------------------------------------------------------------------------------


def _pack(name: str, length: int, alphabet: str) -> int:
    if len(name) != length:
        raise ValueError(f"{name!r} is not a name of {length} characters")
    number = 0
    for character in name:
        place = alphabet.find(character)
        if place < 0:
            raise ValueError(f"{character!r} in {name!r} is not one of A-Z a-z 0-9 - _")
        number = number << 6 | place
    return number


def _within(what: str, number: int, limit: int) -> int:
    if not 0 <= number <= limit:
        raise ValueError(f"{what} {number} is not from 0 to {limit}")
    return number


def module_id(name: str, version: int) -> int:
    """Return the 64-bit id of a module type: nine characters and an encoding version (0 to 1023).

    The inverse is modules.module_name.
    """
    return _pack(name, 9, MODULE_ALPHABET) << 10 | _within("module version", version, 1023)


def class_spec(name: str, version: int, flags: int = 0) -> int:
    """Return the 32-bit spec of a key metadata class: four characters, version (0 to 31), flags (0 to 7)."""
    packed = _pack(name, 4, CLASS_ALPHABET)
    return packed << 8 | _within("class version", version, 31) << 3 | _within("class flags", flags, 7)


def class_name(number: int) -> tuple[str, int, int]:
    """Return name, version and flags of a key metadata class spec."""
    name = "".join(CLASS_ALPHABET[number >> shift & 63] for shift in range(26, 7, -6))
    return name, number >> 3 & 31, number & 7


def encode_module_parts(parts: Iterable[ModulePart], compress: bool = True) -> bytes:
    """Return module values as sub-opcodes and payloads, the end mark included."""
    out = [encode_length(MODULE_KINDS[kind]) + _module_payload(kind, value, compress) for kind, value in parts]
    return b"".join(out) + encode_length(spec.MODULE_EOF)


def _module_payload(kind: str, value: int | float | bytes, compress: bool) -> bytes:
    match kind, value:
        case "string", bytes(text):
            return encode_string(text, compress)
        case "sint", int(number):
            return encode_signed(number)
        case "uint", int(number):
            return encode_length(number)
        case "float", float() | int():
            return struct.pack("<f", value)
        case "double", float() | int():
            return struct.pack("<d", value)
    raise ValueError(f"{value!r} is not a module value of kind {kind}")
