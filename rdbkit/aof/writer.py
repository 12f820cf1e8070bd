r"""Commands in AOF format: RESP arrays of bulk strings, with numbers formatted as by servers.

    *<arguments>\r\n   then for each argument   $<bytes>\r\n<the bytes>\r\n

`command` builds a command of usual size. One with a value too large for memory is written as `array_head`, `bulk` for
short arguments, and `bulk_head`, pieces, CRLF for the value, whose length must be known first.

Source: files that servers wrote, also for the format of scores.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any

from rdbkit.wire.spool import pieces_of

CRLF = b"\r\n"


def command(*args: bytes) -> bytes:
    """Return one command: a RESP array of bulk strings."""
    return b"*%d\r\n%b" % (len(args), b"".join([b"$%d\r\n%b\r\n" % (len(arg), arg) for arg in args]))


def command_pieces(args: Sequence[Any]) -> Iterator[bytes]:
    """Yield a command with large arguments or LongItems in pieces."""
    yield array_head(len(args))
    for arg in args:
        yield bulk_head(len(arg))
        yield from pieces_of(arg)
        yield CRLF


def array_head(count: int) -> bytes:
    """Return the header of a command with `count` arguments."""
    return b"*%d\r\n" % count


def bulk_head(size: int) -> bytes:
    """Return the header of an argument of `size` bytes; CRLF follows the bytes."""
    return b"$%d\r\n" % size


def bulk(data: bytes) -> bytes:
    """Return one argument."""
    return b"$%d\r\n%b\r\n" % (len(data), data)


def id_text(stream_id: tuple[int, int]) -> bytes:
    """Return a stream ID as `ms-seq`."""
    return b"%d-%d" % stream_id


def double_text(value: float, shortest: bool) -> bytes:
    """Return a score as a server's rewrite prints it: up to 7.0 with 17 digits, later with as few as needed."""
    if not shortest:
        return b"%.17g" % value
    # From 0.001 to 10000 Python's own form is the same.
    if 1e-3 <= abs(value) < 1e4:
        return b"%d" % value if value.is_integer() else repr(value).encode()
    if not math.isfinite(value):
        return repr(value).encode()
    return _shortest(value)


def _shortest(value: float) -> bytes:
    """Return 0.1, 12345678901234567000, 1e+300: an exponent if plain digits would add more than six zeros."""
    sign, figures, exponent = Decimal(repr(value)).normalize().as_tuple()
    assert isinstance(exponent, int)  # letters mean infinity or NaN
    minus = "-" * sign
    digits = "".join(map(str, figures))
    power = exponent + len(digits) - 1  # of ten, of the first digit
    if exponent >= 0 and power < len(digits) + 7:
        text = digits + "0" * exponent
    elif exponent < 0 and (exponent > -7 or abs(power) < 4):
        padded = digits.rjust(1 - exponent, "0")
        text = f"{padded[:exponent]}.{padded[exponent:]}"
    else:
        text = f"{digits[0]}{'.' * (len(digits) > 1)}{digits[1:]}e{power:+d}"
    return (minus + text).encode()
