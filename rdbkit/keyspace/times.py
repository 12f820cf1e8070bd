"""Expiries: absolute ones, and times to live that count from the load of the file."""

from __future__ import annotations

from rdbkit.keyspace.arguments import LEAST, MOST
from rdbkit.keyspace.loader import CommandError, Loader
from rdbkit.keyspace.values import Relative

INVALID = "ERR invalid expire time"


def absolute(number: int, unit: int) -> int:
    """Return an expiry in ms from a time in units of so many ms. Past ones are kept: a load removes nothing."""
    if not LEAST <= number * unit <= MOST:
        raise CommandError(INVALID)
    return number * unit


def wrapped(loader: Loader, number: int) -> int:
    """Return the expiry for a time to live in ms that RESTORE adds to its clock without a check."""
    loader.relative += 1
    return Relative(number) if loader.now is None else (loader.now + number - LEAST) % (1 << 64) + LEAST


def relative(loader: Loader, number: int, unit: int) -> int:
    """Return the expiry for a time to live, which counts from the load of the file."""
    at = absolute(number, unit)
    if at > MOST - (loader.now or 0):
        raise CommandError(INVALID)
    loader.relative += 1
    return Relative(at) if loader.now is None else loader.now + at
