"""Hash tables after a load: the number of their slots, as far as it is random with its expectation and variance.

The old kind (dict) is an array, whose size is a power of two, with chains. It doubles when it has as many keys as
slots, moves one bucket to the new array with each further insert, and until then has both arrays. A loader that knows
the number of keys makes the array large enough at once, but does not always do so: then the progress of the moving
depends on which buckets are empty, so on the hash.

The new kind (hashtable, Valkey from 8.1) has buckets of one cache line with seven places; a bucket that gets an eighth
key uses one place for a pointer to a further bucket. The number of these is random, too.

Sizes are in slots or bytes.

Source: `dict.c` of the BSD-licensed versions and Valkey's `hashtable.c` and `rdbLoadObject`; for fields with expiries
measured on Redis 8.2.3.
"""

from __future__ import annotations

from array import array
from functools import lru_cache
from math import ceil, erf, sqrt

_SMALLEST = 4
#: Tables up to this size are computed exactly, larger ones with the normal distribution.
_EXACT = 256
#: With a smaller probability than this, the expected number is the usual one: an average of both would never be seen.
_RARE = 1e-3
#: Smaller probabilities are taken as 0, so the number is called exact.
_NEVER = 1e-6


def slots(count: int) -> int:
    """Return the slots of the array for that many keys: a power of two, at least four."""
    return max(_SMALLEST, 1 << max(count - 1, 0).bit_length())


def _still_moving(size: int, keys: int, steps: int) -> float:
    """Return the probability that `keys` keys are in more than `steps` of `size` slots.

    One step empties one bucket. (A step also ends after ten empty buckets, which is too rare to matter.)
    """
    if steps >= min(size, keys):
        return 0.0
    if size > _EXACT:
        mean, scale = _normal(size, keys)
        return 0.5 - 0.5 * erf((steps + 0.5 - mean) / scale)
    return _exact(size, keys)[steps]


@lru_cache(maxsize=4096)
def _normal(size: int, keys: int) -> tuple[float, float]:
    """Return the expected number of slots that keys are in, and its deviation times the square root of 2."""
    empty = (1 - 1 / size) ** keys
    both = (1 - 2 / size) ** keys
    variance = size * empty + size * (size - 1) * both - (size * empty) ** 2
    return size * (1 - empty), sqrt(2 * max(variance, 1e-9))


@lru_cache(maxsize=4096)
def _exact(size: int, keys: int) -> array[float]:
    """Return the probabilities that keys are in more than 0, 1, 2, … slots."""
    taken = [1.0] + [0.0] * size
    for _ in range(keys):
        for count in range(size, 0, -1):
            taken[count] = taken[count] * count / size + taken[count - 1] * (size - count + 1) / size
        taken[0] = 0.0
    return array("d", [sum(taken[steps + 1 :]) for steps in range(size)])


class Dict:
    """A dict to which keys are added: `size` and `used` of its (new) array, `old` the size of one being moved from."""

    def __init__(self) -> None:
        self.size = 0
        self.used = 0
        self.old = 0
        self.moved = 0
        self.moving = 0
        self.doubt = 0.0

    def expand(self, count: int) -> None:
        """Make it large enough for `count` keys, as dictExpand does: not while it moves, not for fewer than it has."""
        size = slots(count)
        self.doubt += self._variance(size)
        if self._moves() or self.used > count or size == self.size:
            return
        self.old, self.moved, self.moving = (self.size, 0, self.used) if self.used else (0, 0, 0)
        self.size = size

    def _moves(self) -> bool:
        return self._chance() > 0.5

    def _chance(self) -> float:
        return _still_moving(self.old, self.moving, self.moved) if self.old else 0.0

    def _variance(self, size: int) -> float:
        """Return the variance of a number that is `size` only while it moves, or only after that."""
        chance = self._chance()
        return chance * (1 - chance) * size**2 if _NEVER < chance < 1 - _NEVER else 0.0

    def add(self, count: int) -> None:
        """Add keys one by one."""
        while count > 0:
            if self.old:
                room = min(count, self.old)
                self.moved += room
            else:
                room = 1
            if not self._moves() and self.used + room > self.size:
                room = self._until_full(room)
            self.used += room
            count -= room

    def _until_full(self, room: int) -> int:
        if self.used < self.size:
            self.moved -= room - (self.size - self.used) if self.old else 0
            return self.size - self.used
        # The key for which it is full starts the move, but is not yet a step of it.
        self.old, self.moved, self.moving = self.size, 0, self.used
        self.size = slots(self.used + 1)
        if not self.used:
            self.old = 0
        return 1

    def slots(self) -> tuple[float, float]:
        """Return expectation and variance of all slots."""
        chance = self._chance()
        usual = round(chance) if chance < _RARE or chance > 1 - _RARE else chance
        return self.size + usual * self.old, self._variance(self.old) + self.doubt


@lru_cache(maxsize=4096)
def grown(count: int) -> tuple[float, float]:
    """Return the slots of a dict to which `count` keys were added one by one."""
    table = Dict()
    table.add(count)
    return table.slots()


@lru_cache(maxsize=4096)
def converted(compact: int, count: int, presize: bool, expand: bool, early: bool = False) -> tuple[float, float]:
    """Return the slots of a hash that the loader converted to a dict at element number `compact` (from 0).

    `presize`: the dict is made for the elements of the compact form. `expand`: it is enlarged for the rest, after that
    element or, with `early`, before it.
    """
    table = Dict()
    if presize and compact:
        table.expand(compact)
    rest = count - compact - 1
    more = expand and rest > _SMALLEST
    table.add(compact)
    if more and early:
        table.expand(rest)
    table.add(1)
    if more and not early:
        table.expand(rest)
    table.add(rest)
    return table.slots()


@lru_cache(maxsize=4096)
def after_integers(integers: int, count: int) -> tuple[float, float]:
    """Return the slots of a set that was an intset of `integers` until the next member converted it to a dict."""
    table = Dict()
    table.expand(integers)
    table.add(integers)
    table.expand(count)
    table.add(count - integers)
    return table.slots()


# -- buckets ---------------------------------------------------------------------------------------------------------

_BUCKET = 64
_ROOM = 7


def _further(keys: int) -> int:
    """Return how many further buckets are chained to one with `keys` keys."""
    return max(0, (keys - _ROOM + _ROOM - 2) // (_ROOM - 1)) if keys > _ROOM else 0


def buckets(count: int) -> int:
    """Return the buckets of a hashtable made for `count` keys: a power of two, at most 32 keys per 5 buckets."""
    return 1 << max(ceil(5 * count / 32) - 1, 0).bit_length()


@lru_cache(maxsize=4096)
def hashtable(count: int, size: int) -> tuple[float, float]:
    """Return expectation and variance of the bytes of a hashtable of `size` buckets with `count` keys."""
    mean, variance = _chained(size, (count, size))
    return _BUCKET * (size + mean), _BUCKET**2 * variance


@lru_cache(maxsize=4096)
def refilled(compact: int, count: int) -> tuple[float, float]:
    """Return the same for a hash that the loader converted to a table at element number `compact` (from 0).

    The table is made for the elements of the compact form; after that element it is enlarged for the rest, if these are
    not fewer. A full table doubles. Each further element moves one bucket, and until the end both tables exist.
    """
    size, used, rest = buckets(compact), compact + 1, count - compact - 1
    larger = moving = moved = 0
    if rest >= used and buckets(rest) != size:
        larger, moving = buckets(rest), used
    while rest:
        if larger:
            steps = min(rest, size - moved - 1)
            moved, used, rest = moved + steps, used + steps, rest - steps
            if not rest:
                break
            size, larger = larger, 0
        # No move is in progress at the next element: there is space for it, or it starts one.
        room = min(rest, _ROOM * size - used)
        if room <= 0:
            larger, moving, moved, room = buckets(used + 1), used, 0, 1
        used, rest = used + room, rest - room
    if not larger:
        return hashtable(used, size)
    # The keys of the first `moved` buckets are in the larger array, and so are all new ones.
    both = moved * larger // size
    parts = (
        _chained(size - moved, (moving, size)),
        _chained(both, (moving, larger), (used - moving, larger)),
        _chained(larger - both, (used - moving, larger)),
    )
    return _BUCKET * (size + larger + sum(part[0] for part in parts)), _BUCKET**2 * sum(part[1] for part in parts)


def _chained(size: int, *groups: tuple[int, int]) -> tuple[float, float]:
    """Return expectation and variance of the number of buckets that are chained to `size` of them.

    Each group is a number of keys, and the number of buckets over which they are spread at random.
    """
    chances = [1.0]
    spread = shared = 0.0
    for keys, among in groups:
        chances = _sums(chances, _fallen(keys, among))
        spread += keys / among * (1 - 1 / among)
        shared += keys / among**2
    mean = square = product = rate = 0.0
    for keys, chance in enumerate(chances):
        further = _further(keys)
        mean += further * chance
        square += further * further * chance
        product += further * keys * chance
        rate += keys * chance
    variance = square - mean * mean
    if spread:
        # The more keys in one bucket, the fewer in the others.
        variance -= (size - 1) * shared * ((product - mean * rate) / spread) ** 2
    return size * mean, size * max(variance, 0.0)


def _fallen(keys: int, among: int) -> list[float]:
    """Return the probabilities that 0, 1, ... of the keys are in one particular bucket of `among`."""
    if among == 1:
        return [0.0] * keys + [1.0]
    rate = keys / among
    chances = [(1 - 1 / among) ** keys]
    for number in range(1, min(keys, int(rate + 12 * sqrt(rate) + 40)) + 1):
        chances.append(chances[-1] * (keys - number + 1) / number / (among - 1))
    return chances


def _sums(one: list[float], other: list[float]) -> list[float]:
    """Return the distribution of the sum of two random numbers, from the distribution of each."""
    found = [0.0] * (len(one) + len(other) - 1)
    for at, chance in enumerate(one):
        for by, more in enumerate(other):
            found[at + by] += chance * more
    return found


def full_buckets(count: int, size: int) -> tuple[float, float]:
    """Return expectation and variance of how many of `size` slots have at least one of `count` keys."""
    empty = (1 - 1 / size) ** count
    both = (1 - 2 / size) ** count if size > 1 else 0.0
    mean = size * (1 - empty)
    return mean, max(0.0, size * empty + size * (size - 1) * both - (size * empty) ** 2)
