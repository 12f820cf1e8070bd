r"""Commands as they stand in an append-only file: RESP arrays of bulk strings, and numbers in the servers' own text.

    *<arguments>\r\n   then for each argument   $<bytes>\r\n<the bytes>\r\n

A command of usual size is made whole by `command`. One with a value too large for memory is written as `array_head`,
`bulk` for what is short, and `bulk_head`, pieces, CRLF for the value: its length has to be known before its bytes.

Source: files that servers wrote, also for how a score is printed.
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
    """Yield a command whose arguments are many bytes, or too long to be held, in pieces."""
    yield array_head(len(args))
    for arg in args:
        yield bulk_head(len(arg))
        yield from pieces_of(arg)
        yield CRLF


def array_head(count: int) -> bytes:
    """Return what stands before the first of `count` arguments."""
    return b"*%d\r\n" % count


def bulk_head(size: int) -> bytes:
    """Return what stands before an argument of `size` bytes; CRLF follows them."""
    return b"$%d\r\n" % size


def bulk(data: bytes) -> bytes:
    """Return one argument."""
    return b"$%d\r\n%b\r\n" % (len(data), data)


def id_text(stream_id: tuple[int, int]) -> bytes:
    """Return a stream ID as `ms-seq`."""
    return b"%d-%d" % stream_id


def double_text(value: float, shortest: bool) -> bytes:
    """Return a score as a rewriting server prints it: up to 7.0 with 17 digits, later with as few as will do."""
    if not shortest:
        return b"%.17g" % value
    # From a thousandth to ten thousand Python's own form is the same.
    if 1e-3 <= abs(value) < 1e4:
        return b"%d" % value if value.is_integer() else repr(value).encode()
    if not math.isfinite(value):
        return repr(value).encode()
    return _shortest(value)


def _shortest(value: float) -> bytes:
    """Return 0.1, 12345678901234567000, 1e+300: an exponent where plain digits would add more than six zeros."""
    sign, figures, exponent = Decimal(repr(value)).normalize().as_tuple()
    assert isinstance(exponent, int)  # letters stand for what is not finite
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
