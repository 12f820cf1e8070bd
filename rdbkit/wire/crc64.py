# cython: language_level=3, annotation_typing=False, boundscheck=False, wraparound=False, cdivision=True
"""CRC-64/Jones, the checksum at the end of an RDB file and of a DUMP payload.

Polynomial 0xad93d23594c935a9, bits reflected, initial value and final XOR 0; "123456789" gives 0xe9c6d914c4b8d9ca
(Redis 2.5.5 and newer).

`slice_by_8` is the algorithm. Compiled, it runs at memory speed; interpreted, at about a megabyte per second, so that
build uses the same function of crcmod-plus, which has C code and wheels for all platforms.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable
from functools import cache
from typing import Any

from rdbkit import _build

POLYNOMIAL = 0x95AC9329AC4BC9B5  # 0xad93d23594c935a9 with its bits reversed

Update = Callable[[Any, int], int]


def _tables() -> array[int]:
    """Table t, entry b: the effect of byte b followed by t zero bytes."""
    table = [0] * 256
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = crc >> 1 ^ POLYNOMIAL if crc & 1 else crc >> 1
        table[byte] = crc
    entries = array("Q", table)
    for _ in range(7):
        table = [entries[crc & 0xFF] ^ crc >> 8 for crc in table]
        entries.extend(table)
    return entries


TABLES = _tables()


def slice_by_8(data, crc=0):  # type: ignore[no-untyped-def]
    """Return the checksum of bytes whose checksum is `crc`, followed by `data`."""
    table = TABLES
    at = 0
    size = len(data)
    while size - at >= 8:
        low = data[at] ^ crc & 0xFF
        crc = (
            table[1792 + low]
            ^ table[1536 + (data[at + 1] ^ crc >> 8 & 0xFF)]
            ^ table[1280 + (data[at + 2] ^ crc >> 16 & 0xFF)]
            ^ table[1024 + (data[at + 3] ^ crc >> 24 & 0xFF)]
            ^ table[768 + (data[at + 4] ^ crc >> 32 & 0xFF)]
            ^ table[512 + (data[at + 5] ^ crc >> 40 & 0xFF)]
            ^ table[256 + (data[at + 6] ^ crc >> 48 & 0xFF)]
            ^ table[data[at + 7] ^ crc >> 56]
        )
        at += 8
    while at < size:
        crc = table[data[at] ^ crc & 0xFF] ^ crc >> 8
        at += 1
    return crc


@cache
def update() -> Update:
    """Return the fastest `crc(data, crc=0)` of this build."""
    if _build.compiled():
        return slice_by_8
    from crcmod import mkCrcFun

    quick: Update = mkCrcFun(0x1AD93D23594C935A9, initCrc=0, rev=True, xorOut=0)
    return quick
