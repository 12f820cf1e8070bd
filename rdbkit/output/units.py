"""Human-readable sizes, times and counts: formatting and parsing.

Sizes are parsed as in redis.conf: 1k = 1,000, 1kb = 1,024, in any case; 1KiB is 1,024 too. They are written in binary
units only (KiB). Times are milliseconds since the epoch in files and machine formats, and UTC text here.
"""

from __future__ import annotations

import re
from time import gmtime

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]*)", re.ASCII)
_PREFIXES = ("k", "m", "g", "t", "p", "e")
_SIZE_UNITS = {
    "": 1,
    "b": 1,
    **{letter: 1000 ** (power + 1) for power, letter in enumerate(_PREFIXES)},
    **{f"{letter}b": 1024 ** (power + 1) for power, letter in enumerate(_PREFIXES)},
    **{f"{letter}ib": 1024 ** (power + 1) for power, letter in enumerate(_PREFIXES)},
}
_LARGER = ("KiB", "MiB", "GiB", "TiB", "PiB", "EiB")
_YEAR_1, _YEAR_10000 = -62_135_596_800, 253_402_300_800  # their first seconds
#: Whole numbers below this are seconds since the epoch, others milliseconds: seconds have fewer digits until 5138.
_SECONDS = 100_000_000_000
_STEPS = (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1))


def parse_size(text: str) -> int:
    """Parse a size such as "1MB", "64k", "1.5GiB" or "100" to bytes; the ValueError lists the accepted forms."""
    match = _SIZE.fullmatch(text.strip().lower())
    if match is None or match[2] not in _SIZE_UNITS:
        raise ValueError(f"not a size: {text!r} (write 100, 64k, 64kb, 1MB, 1.5GiB; kb and KiB are 1024, k is 1000)")
    return _times(match[1], _SIZE_UNITS[match[2]])


def _times(number: str, unit: int) -> int:
    return int(number) * unit if number.isdecimal() else round(float(number) * unit)


def size(n: float) -> str:
    """Return "512 B", "1.2 KiB", "3.0 GiB"."""
    if n < 1023.5:
        return f"{round(n)} B"
    value, at = n / 1024, 0
    while value >= 1023.95 and at < len(_LARGER) - 1:  # 1023.95 would be rounded to 1024.0
        value, at = value / 1024, at + 1
    return f"{value:.1f} {_LARGER[at]}"


def count(n: int) -> str:
    """Return "12,345"."""
    return f"{n:,}"


def plural(n: int, noun: str) -> str:
    """Return "1 key", "12,345 keys"."""
    return f"{n:,} {noun}{'' if n == 1 else 's'}"


def time(ms: int) -> str:
    """Return "2033-05-18 03:33:19Z" for milliseconds since the epoch; outside the years 1 to 9999 the number itself."""
    seconds = ms // 1000
    if not _YEAR_1 <= seconds < _YEAR_10000:
        return f"{ms} ms"
    year, month, day, hour, minute, second, *_ = gmtime(seconds)
    return f"{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}Z"


def parse_time(text: str) -> int:
    """Parse a time to milliseconds since the epoch; the ValueError lists the accepted forms.

    Seconds (whole numbers below 10^11), milliseconds, or ISO 8601, in UTC if no zone is given.
    """
    if re.fullmatch("[0-9]{1,18}", text):
        number = int(text)
        return number * 1000 if number < _SECONDS else number
    from datetime import UTC, datetime, timedelta

    try:
        moment = datetime.fromisoformat(text)
        since = moment.replace(tzinfo=moment.tzinfo or UTC) - datetime(1970, 1, 1, tzinfo=UTC)
        return since // timedelta(milliseconds=1)
    except (ValueError, OverflowError):
        message = f"not a time: {text!r} (seconds or milliseconds since the epoch, or 2026-11-20T03:10:00Z)"
        raise ValueError(message) from None


def duration(seconds: float) -> str:
    """Return the two largest units: "45s", "3m 20s", "2d 3h"."""
    rest = int(seconds)
    parts: list[str] = []
    for unit, length in _STEPS:
        amount, rest = divmod(rest, length)
        if amount or parts or unit == "s":
            parts.append(f"{amount}{unit}")
    return " ".join(parts[:2])
