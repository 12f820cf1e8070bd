"""The hash slots of a cluster: to which of the 16384 a key belongs.

Source: the cluster specification (key hash tags). The hash tag is the text between the first `{` and the first `}`
after it, unless that is empty; the slot is the CRC16 (XMODEM) of the tag, or else of the key, modulo 16384.
"""

from __future__ import annotations

from binascii import crc_hqx

#: How many slots there are.
SLOTS = 16384


def tag_of(key: bytes) -> bytes | None:
    """Return a key's hash tag; None if the whole key is hashed."""
    start = key.find(b"{") + 1
    end = key.find(b"}", start) if start else -1
    return key[start:end] if end > start else None


def slot_of(key: bytes) -> int:
    """Return a key's slot, 0 to 16383."""
    tag = tag_of(key)
    return crc_hqx(key if tag is None else tag, 0) % SLOTS
