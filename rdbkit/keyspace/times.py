"""Expiries: absolute ones, and times to live that count from the load of the file."""

from __future__ import annotations

from rdbkit.keyspace.arguments import MOST
from rdbkit.keyspace.loader import CommandError, Loader
from rdbkit.keyspace.values import Relative

_INVALID = "ERR invalid expire time"


def absolute(number: int, unit: int) -> int:
    """Return an expiry in ms from a time in units of so many ms. Past ones are kept: a load removes nothing."""
    if not -MOST <= number * unit <= MOST:
        raise CommandError(_INVALID)
    return number * unit


def relative(loader: Loader, number: int, unit: int) -> int:
    """Return the expiry for a time to live, which counts from the load of the file."""
    at = absolute(number, unit)
    loader.relative += 1
    return Relative(at) if loader.now is None else loader.now + at
