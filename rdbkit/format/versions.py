"""RDB versions: how a file begins, which product writes which version, and what changed between them.

    REDIS0012      five letters, four digits       VALKEY080      six letters, three digits

Valkey kept Redis' magic and numbers up to RDB 11; since 9.0 it has its own magic, and its own numbers from 80 on, so
that 12 to 79 are left to Redis. Dragonfly and KeyDB write REDIS and are recognised by their AUX fields.

Sources: the version fields of files that 26 servers wrote; rdb.h of the BSD-licensed versions.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

Product = Literal["redis", "valkey"]


class Header(NamedTuple):
    """The files with one magic: its letters, and the first and last RDB version known here."""

    magic: bytes
    first: int
    last: int


#: By product.
HEADERS: dict[str, Header] = {"redis": Header(b"REDIS", 1, 16), "valkey": Header(b"VALKEY", 80, 81)}
#: In the order in which their numbers begin.
_PRODUCTS: tuple[Product, ...] = ("redis", "valkey")
#: The last version that a product writes with the magic REDIS.
LAST_AS_REDIS = {"redis": HEADERS["redis"].last, "valkey": 11}
#: Bytes of a magic with its digits.
MAGIC_SIZE = 9

#: From this version on a file ends with a checksum.
CHECKSUM_SINCE = 5
#: From this version on RESIZEDB counts the keys in the file; before, also keys that had expired and were left out.
EXACT_RESIZEDB_SINCE = 8
#: From this version on times are little-endian; before, in the writer's byte order.
LITTLE_ENDIAN_SINCE = 9


def product_of_magic(magic: bytes) -> str | None:
    """Return the product whose magic is at the start of the bytes, None if there is no magic."""
    return next((product for product, header in HEADERS.items() if magic.startswith(header.magic)), None)


def may_be_magic(begin: bytes) -> bool:
    """Return whether these bytes, too few for a magic, may be the beginning of one."""
    return any(header.magic.startswith(begin[: len(header.magic)]) for header in HEADERS.values())


def product_of_version(version: int) -> Product:
    """Return the product that writes an RDB version, for data without a magic (the footer of a DUMP payload)."""
    return [product for product in _PRODUCTS if version >= HEADERS[product].first][-1] if version else _PRODUCTS[0]


def is_known(product: str, version: int) -> bool:
    """Return whether files with that product's magic and this version are known here."""
    header = HEADERS[product]
    return header.first <= version <= header.last


def magic(version: int, product: Product = "redis") -> bytes:
    """Return the nine bytes at the start of a product's file of this version. Raises ValueError if it has none."""
    own = HEADERS[product]
    letters = own.magic if own.first <= version <= own.last else HEADERS["redis"].magic
    if not own.first <= version <= own.last and version not in range(1, LAST_AS_REDIS[product] + 1):
        raise ValueError(f"{product} has no RDB version {version}")
    return letters + b"%0*d" % (MAGIC_SIZE - len(letters), version)


def dialect_of(product: Product, version: int) -> Product:
    """Return the product whose table of types applies to a product's file of this version."""
    own = HEADERS[product]
    return product if own.first <= version <= own.last else "redis"
