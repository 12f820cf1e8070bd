"""Write a large append-only file without a server and without rdbkit: commands as a server logs them.

    python benchmarks/generate_aof.py big.aof --commands 5000000

Half of the commands are SET (a third of them with PXAT), the others HSET, INCR, ZADD, RPUSH, SADD and DEL, on keys of
which a few are written often. 5,000,000 commands are about 300 MB. The same options give the same bytes.
"""

from __future__ import annotations

import argparse
import random
import sys
import time

#: 2030-03-17, in ms: no key expires before that day.
LATER = 1_900_000_000_000
BATCH = 10_000


def command(*words: bytes) -> bytes:
    """Encode a command."""
    return b"*%d\r\n%b" % (len(words), b"".join([b"$%d\r\n%b\r\n" % (len(word), word) for word in words]))


def commands(draw: random.Random, count: int) -> list[bytes]:
    """Return some commands."""
    noise = draw.randbytes(4096).hex().encode()
    out = []
    for _ in range(count):
        kind = draw.random()
        # Squared: low numbers are frequent.
        number = int(draw.random() ** 2 * 1_000_000)
        at = number % 8000
        if kind < 0.33:
            out.append(command(b"SET", b"user:%d:name" % number, noise[at : at + 10 + number % 40]))
        elif kind < 0.5:
            due = b"%d" % (LATER + number)
            out.append(command(b"SET", b"session:%d" % number, noise[at : at + 32], b"PXAT", due))
        elif kind < 0.65:
            field = b"field:%d" % (number % 61)
            out.append(command(b"HSET", b"user:%d" % (number // 60), field, noise[at : at + 8]))
        elif kind < 0.75:
            out.append(command(b"INCR", b"counter:%d" % (number // 100)))
        elif kind < 0.82:
            out.append(command(b"ZADD", b"board:%d" % (number // 5000), b"%d" % (number % 977), b"player:%d" % number))
        elif kind < 0.89:
            out.append(command(b"RPUSH", b"queue:%d" % (number // 100), noise[at : at + 24]))
        elif kind < 0.96:
            out.append(command(b"SADD", b"tags:%d" % (number // 50), b"tag:%d" % (number % 997)))
        else:
            out.append(command(b"DEL", b"user:%d:name" % number))
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description="Write a large append-only file without a server.")
    parser.add_argument("out", help="file to write; an existing one is replaced")
    parser.add_argument("--commands", type=int, default=5_000_000, metavar="N", help="default: %(default)s")
    parser.add_argument("--seed", type=int, default=1, help="of the generator (default: %(default)s)")
    options = parser.parse_args()
    draw = random.Random(options.seed)
    started = time.process_time()
    size = 0
    with open(options.out, "wb") as file:
        size += file.write(command(b"SELECT", b"0"))
        for done in range(0, options.commands, BATCH):
            size += file.write(b"".join(commands(draw, min(BATCH, options.commands - done))))
    seconds = time.process_time() - started
    print(f"{options.out}: {size / 1e6:.1f} MB, {options.commands:,} commands, {seconds:.1f} s of CPU", file=sys.stderr)


if __name__ == "__main__":
    main()
