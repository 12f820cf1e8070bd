"""Hash tables as a load leaves them: their slots, and the chance in them.

The old kind (dict) is an array of powers of two with chains. It doubles when as many keys are in it as slots, moves one
bucket to the new array with each further insert, and until then has both. A loader that knows the number of keys makes
the array large enough at once, but not everywhere: then how far the moving got depends on which buckets are empty, so
on the hash.

The new kind (hashtable, Valkey from 8.1) has buckets of one cache line with room for seven; a bucket that gets an
eighth gives up one place for a pointer to a further one. How many of these there are is chance, too.

Sizes are slots or bytes; chance is given as expectation and variance.

Source: `dict.c` of the BSD-licensed versions and Valkey's `hashtable.c` and `rdbLoadObject`; for fields with expiries
measured on Redis 8.2.3.
"""

from __future__ import annotations

from functools import lru_cache
from math import ceil, erf, sqrt

_SMALLEST = 4
#: Tables up to this size are reckoned exactly, larger ones by the normal distribution.
_EXACT = 256
#: What is less likely is taken never to happen.
_NEVER = 1e-3


def slots(count: int) -> int:
    """Return the array for that many keys: a power of two, at least four."""
    return max(_SMALLEST, 1 << max(count - 1, 0).bit_length())


@lru_cache(maxsize=4096)
def _still_moving(size: int, keys: int, steps: int) -> float:
    """Return the chance that more than `steps` of `size` slots are taken by `keys` keys.

    One step empties one bucket. (It also gives up after ten empty ones, which is too rare to matter.)
    """
    if steps >= min(size, keys):
        return 0.0
    if size > _EXACT:
        empty = (1 - 1 / size) ** keys
        both = (1 - 2 / size) ** keys
        mean = size * (1 - empty)
        variance = size * empty + size * (size - 1) * both - (size * empty) ** 2
        return 0.5 - 0.5 * erf((steps + 0.5 - mean) / sqrt(2 * max(variance, 1e-9)))
    taken = [1.0] + [0.0] * size
    for _ in range(keys):
        for count in range(size, 0, -1):
            taken[count] = taken[count] * count / size + taken[count - 1] * (size - count + 1) / size
        taken[0] = 0.0
    return sum(taken[steps + 1 :])


class Dict:
    """A dict to which keys are added: `size` and `used` of the array it has or moves to, `old` it moves from."""

    def __init__(self) -> None:
        self.size = 0
        self.used = 0
        self.old = 0
        self.moved = 0
        self.moving = 0
        self.doubt = 0.0

    def expand(self, count: int) -> None:
        """Make room for `count` keys, as dictExpand does: not while it moves, not for fewer than it has."""
        size = slots(count)
        chance = self._chance()
        self.doubt += chance * (1 - chance) * size**2
        if self._moves() or self.used > count or size == self.size:
            return
        self.old, self.moved, self.moving = (self.size, 0, self.used) if self.used else (0, 0, 0)
        self.size = size

    def _moves(self) -> bool:
        return self._chance() > 0.5

    def _chance(self) -> float:
        chance = _still_moving(self.old, self.moving, self.moved) if self.old else 0.0
        return 0.0 if chance < _NEVER else 1.0 if chance > 1 - _NEVER else chance

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
        # The key that finds it full starts the move, and is not yet a step of it.
        self.old, self.moved, self.moving = self.size, 0, self.used
        self.size = slots(self.used + 1)
        if not self.used:
            self.old = 0
        return 1

    def slots(self) -> tuple[float, float]:
        """Return expectation and variance of all slots."""
        chance = self._chance()
        return self.size + chance * self.old, chance * (1 - chance) * self.old**2 + self.doubt


@lru_cache(maxsize=4096)
def grown(count: int) -> tuple[float, float]:
    """Return the slots of a dict to which `count` keys were added one by one."""
    table = Dict()
    table.add(count)
    return table.slots()


@lru_cache(maxsize=4096)
def converted(compact: int, count: int, presize: bool, expand: bool, early: bool = False) -> tuple[float, float]:
    """Return the slots of a hash whose element number `compact` (from 0) made the loader turn it into a dict.

    `presize`: the dict is made for what the compact form held. `expand`: for the rest, after that one element, or,
    `early`, before it.
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
    """Return the slots of a set that was an intset of `integers`, until the next member turned it into a dict."""
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
    """Return how many buckets hang on one that `keys` keys fell into."""
    return max(0, (keys - _ROOM + _ROOM - 2) // (_ROOM - 1)) if keys > _ROOM else 0


def buckets(count: int) -> int:
    """Return the buckets of a hashtable that was made for `count` keys: none more than 32 for 5 keys each."""
    return 1 << max(ceil(5 * count / 32) - 1, 0).bit_length()


@lru_cache(maxsize=4096)
def hashtable(count: int, size: int) -> tuple[float, float]:
    """Return expectation and variance of the bytes of a hashtable of `size` buckets with `count` keys."""
    mean, variance = _chained(size, (count, size))
    return _BUCKET * (size + mean), _BUCKET**2 * variance


@lru_cache(maxsize=4096)
def refilled(compact: int, count: int) -> tuple[float, float]:
    """Return the same of a hash that its element number `compact` (from 0) made the loader turn into a table.

    The table is made for what the compact form held; once that element is in it, it is made for the rest, if this is
    no less. A full table doubles. Moving takes one bucket with each further element, and until then both are there.
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
        # The next element finds no move going on: there is room for it, or it starts one.
        room = min(rest, _ROOM * size - used)
        if room <= 0:
            larger, moving, moved, room = buckets(used + 1), used, 0, 1
        used, rest = used + room, rest - room
    if not larger:
        return hashtable(used, size)
    # The keys of the first `moved` buckets are in the larger array, into which all new ones fall, too.
    both = moved * larger // size
    parts = (
        _chained(size - moved, (moving, size)),
        _chained(both, (moving, larger), (used - moving, larger)),
        _chained(larger - both, (used - moving, larger)),
    )
    return _BUCKET * (size + larger + sum(part[0] for part in parts)), _BUCKET**2 * sum(part[1] for part in parts)


def _chained(size: int, *groups: tuple[int, int]) -> tuple[float, float]:
    """Return expectation and variance of how many buckets hang on `size` of them.

    Each group is a number of keys, and among how many buckets they fell anywhere.
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
    """Return the chances that so many of the keys fell into one of `among` buckets: 0, 1, ..., what may happen."""
    if among == 1:
        return [0.0] * keys + [1.0]
    rate = keys / among
    chances = [(1 - 1 / among) ** keys]
    for number in range(1, min(keys, int(rate + 12 * sqrt(rate) + 40)) + 1):
        chances.append(chances[-1] * (keys - number + 1) / number / (among - 1))
    return chances


def _sums(one: list[float], other: list[float]) -> list[float]:
    """Return the chances of the sum of two numbers, from those of each."""
    found = [0.0] * (len(one) + len(other) - 1)
    for at, chance in enumerate(one):
        for by, more in enumerate(other):
            found[at + by] += chance * more
    return found


def full_buckets(count: int, size: int) -> tuple[float, float]:
    """Return expectation and variance of how many of `size` slots `count` keys fall into."""
    empty = (1 - 1 / size) ** count
    both = (1 - 2 / size) ** count if size > 1 else 0.0
    mean = size * (1 - empty)
    return mean, max(0.0, size * empty + size * (size - 1) * both - (size * empty) ** 2)
