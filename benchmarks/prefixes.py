"""Feed the prefix analysis with distinct names and a few frequent ones; print memory and error bounds.

    python benchmarks/prefixes.py --keys 100000000

Every 64th key has one of three frequent names. At the end their sums are compared with the known true numbers.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Iterator
from itertools import islice, product

from rdbkit.analysis.prefixes import Prefixes
from rdbkit.analysis.rows import Batch

LETTERS = [bytes((letter,)) for letter in b"ghjklmnpqrstvwxz"]  # no hex digits, so nothing is folded
HEAVY = (b"heavy:a", b"heavy:b", b"heavy:c")
STRIDE, BATCH = 64, 256


def keys(count: int) -> Iterator[bytes]:
    names = map(b"".join, product(*[LETTERS] * 7))
    for at, name in enumerate(islice(names, count)):
        yield HEAVY[at // STRIDE % 3] if at % STRIDE == 0 else b"tenant:" + name


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keys", type=int, default=1_000_000)
    parser.add_argument("--by", choices=("memory", "keys"), default="memory")
    options = parser.parse_args()
    fold = Prefixes(by=options.by)
    source = keys(options.keys)
    begun = time.process_time()
    truth = dict.fromkeys(HEAVY, 0)
    while batch := list(islice(source, BATCH)):
        for name in HEAVY:
            truth[name] += batch.count(name)
        fold.feed(Batch([(0, key, "string", "raw", 1, 100, 0, 50, None, None, None) for key in batch]))
    spent = time.process_time() - begun
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    print(f"{options.keys:,} keys, {len(fold):,} names in the table: {peak} MiB at most, {spent:.0f} s")
    found = {prefix.name: prefix for prefix in fold.result(10)}
    for name, count in truth.items():
        prefix = found[name]
        error = prefix.error[0] if prefix.error else 0
        assert prefix.keys <= count <= prefix.keys + error
        print(f"{name.decode()}: {prefix.keys:,} to {prefix.keys + error:,}; the truth is {count:,}")


if __name__ == "__main__":
    main()
