"""Run every command as a real process on damaged files, and check its visible results.

    python tests/fuzz_commands.py --runs 2000 --seed 1        each mutant: one command, on both builds
    python tests/fuzz_commands.py --seed 1 --only 4711        one mutant again, with the output of its processes

Mutant i is a damaged RDB (fuzzing.mutants) or, every third, a damaged AOF; the command, its options and whether the
input comes by a pipe depend on i too. What must hold:

    ending      an exit status of the README, no traceback, no bug report of rdbkit's own
    bounds      60 s of processor time, 256 MiB of memory
    input       as it was; of outputs only names that the README gives
    messages    on an exit status of 1, 3 or 4 standard error has the reason (for `check`: a finding)
    builds      both give the same status, the same output, and say the same
    nothing     lost silently: where `check` finds an error, `export` does not end with 0
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import resource
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from fuzzing.bases import Bases
from fuzzing.mutants import mutant
from recovery.damages import hit
from recovery.data import made

ROOT = Path(__file__).parent.parent
SECONDS = 60
MEBIBYTES = 256
BUILDS = ("compiled", "pure")
STATUSES = {0, 1, 3, 4, 5}
_FILES = re.compile(
    r"(?:input|result|aside)(?:\.(?:repaired|partial|dropped|dropped\.jsonl|bak-1|dropped-1(?:\.jsonl)?))*"
)
#: What differs from run to run: the process id and the time before a line of check-rdb, and the time for which a report
#: counts, where the file has none.
_STAMP = re.compile(r"^\d+:[A-Z] \d\d \w{3} \d{4} [\d:.]+ |\"now\": \d+", re.M)

#: Commands and options that are tried; IN is the input, OUT a file to create.
RDB = [
    "info IN", "info IN -f json", "check IN", "check IN -f jsonl", "check IN --strict --require-checksum",
    "keys IN", "keys IN -f jsonl --sort memory", "keys IN -f csv -n 3", "report IN", "report IN -f json",
    "report IN --partial OUT", "prefixes IN -f csv", "export IN", "export IN -f json", "export IN -f csv -o OUT",
    "export IN -f resp", "export IN -f resp --restore -o OUT", "get IN KEY", "get IN KEY -f jsonl", "get IN KEY --raw",
    "check-rdb IN", "export IN --bytes base64 --type hash", "split IN --rdb OUT --aof ASIDE", "commands IN -f jsonl",
]  # fmt: skip
AOF = [
    "info IN -f json", "check IN", "check IN -f jsonl", "commands IN", "commands IN -f jsonl -n 5", "repair IN -o OUT",
    "repair IN --in-place -f json", "repair IN --policy fix", "repair IN --policy server --target redis:7.2.6",
    "repair IN --dry-run", "check-aof IN", "keys IN", "export IN -f resp", "split IN --rdb OUT --aof ASIDE",
]  # fmt: skip


@dataclass
class Ended:
    """The result of one process."""

    status: int
    out: bytes
    err: str
    seconds: float
    mebibytes: int


@dataclass
class Case:
    """One mutant: its bytes, the command, whether the input is standard input."""

    data: bytes
    words: list[str]
    piped: bool
    how: str


def case(bases: Bases, seed: int, number: int) -> Case:
    """Return mutant `number` of a seed."""
    rng = random.Random(f"commands:{seed}:{number}")
    if number % 3 == 2:
        data = made(rng.choice((3, 40, 200)), rng.randrange(20))
        for _ in range(rng.choice((1, 1, 2, 5))):
            data = hit(rng, 0, max(len(data), 1)).done(data)
        if rng.random() < 0.3:
            data = data[: rng.randrange(len(data) + 1)]
        words, how = rng.choice(AOF).split(), "aof"
    else:
        found = mutant(bases, seed, number)
        words, how = rng.choice(RDB).split(), f"{found.base.name} {'+'.join(found.how)}"
        if found.base.dump:
            words = ["info", "IN", "--dump-payload", "-f", "json"]
        data = found.data
    piped = words[0] not in ("repair", "split", "check-aof", "check-rdb") and rng.random() < 0.2
    key = rng.choice(re.findall(rb"[ -~]{3,20}", data[9:4000]) or [b"key"])
    return Case(data, [key.decode() if word == "KEY" else word for word in words], piped, how)


def run(one: Case, build: str, home: Path) -> tuple[Ended, list[str]]:
    """Run the command of a case on a build; return what came of it, and what is wrong with the files that are left."""
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    path = home / "input"
    path.write_bytes(one.data)
    os.utime(path, (1_700_000_000, 1_700_000_000))
    places = {"IN": "-" if one.piped else "input", "OUT": "result", "ASIDE": "aside"}
    words = [places.get(word, word) for word in one.words]
    environment = {**os.environ, "RDBKIT_PURE": "1" if build == "pure" else "0", "PYTHONPATH": str(ROOT)}
    environment.pop("RDBKIT_DEBUG", None)
    with (home.parent / "out").open("wb+") as out, (home.parent / "err").open("wb+") as err, path.open("rb") as given:
        process = subprocess.Popen(
            [sys.executable, "-m", "rdbkit", *words],
            cwd=home, env=environment, stdin=given if one.piped else subprocess.DEVNULL, stdout=out, stderr=err,
            preexec_fn=_bounds,
        )  # fmt: skip
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        err.seek(0)
        ended = Ended(
            process.returncode, out.read(), err.read().decode("utf-8", "replace"), usage.ru_utime + usage.ru_stime,
            usage.ru_maxrss >> 10,
        )  # fmt: skip
    wrong = [f"left {name}" for name in sorted(found.name for found in home.iterdir()) if not _FILES.fullmatch(name)]
    if "--in-place" not in words and path.read_bytes() != one.data:
        wrong.append("the input was changed")
    return ended, wrong


def _bounds() -> None:
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS + 5))


def judge(one: Case, ended: Ended) -> list[str]:
    """Return what is wrong with one process."""
    wrong = []
    if ended.status not in (STATUSES if one.words[0] != "get" else STATUSES | {2}):
        wrong.append(f"exit status {ended.status}")
    if "Traceback" in ended.err or "internal error, please" in ended.err:
        wrong.append("a traceback")
    if ended.mebibytes > MEBIBYTES:
        wrong.append(f"{ended.mebibytes} MiB of memory")
    said = ended.err.strip() or (ended.out if one.words[0] in ("check", "check-aof", "check-rdb") else b"")
    if ended.status in (1, 3, 4) and not said:
        wrong.append(f"exit status {ended.status} without a word")
    return wrong


def attempt(bases: Bases, seed: int, number: int, home: Path, tell: bool = False) -> tuple[list[str], Ended]:
    """Judge one mutant on both builds."""
    one = case(bases, seed, number)
    wrong: list[str] = []
    ends = []
    for build in BUILDS:
        ended, left = run(one, build, home / "work")
        ends.append(ended)
        wrong += [f"{build}: {text}" for text in (*left, *judge(one, ended))]
        if tell:
            print(f"# {build}: {' '.join(one.words)}: status {ended.status}\n{ended.err}")
    first, second = ends
    if first.status != second.status:
        wrong.append(f"builds: exit status {first.status} and {second.status}")
    elif _STAMP.sub("", first.out.decode("latin-1")) != _STAMP.sub("", second.out.decode("latin-1")):
        wrong.append("builds: different output")
    elif _STAMP.sub("", first.err) != _STAMP.sub("", second.err):
        wrong.append("builds: different messages")
    if one.words[0] == "export" and first.status == 0 and not one.piped:
        checked, _ = run(Case(one.data, ["check", "IN", "-f", "jsonl", "-q"], False, ""), "compiled", home / "work")
        errors = [row for row in map(json.loads, checked.out.splitlines()) if row["severity"] == "error"]
        if errors:
            wrong.append(f"export ends with 0 where check finds {errors[0]['code']}: {errors[0]['message']}")
    return [f"{text} [{one.how}] {' '.join(one.words)}" for text in wrong], max(ends, key=lambda end: end.mebibytes)


def main() -> int:
    """Run from the command line; the exit status is 1 if anything failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=2000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", type=int)
    options = parser.parse_args()
    sys.path.insert(0, str(ROOT))
    bases = Bases(ROOT / "fixtures")
    failures, statuses, largest, slowest = 0, Counter[int](), 0, 0.0
    with tempfile.TemporaryDirectory() as place:
        numbers = range(options.first, options.first + options.runs) if options.only is None else [options.only]
        for number in numbers:
            wrong, ended = attempt(bases, options.seed, number, Path(place), options.only is not None)
            statuses[ended.status] += 1
            largest, slowest = max(largest, ended.mebibytes), max(slowest, ended.seconds)
            failures += bool(wrong)
            for text in wrong:
                print(f"FAIL seed={options.seed} mutant={number}: {text}", flush=True)
    print(
        f"{len(numbers)} mutants, {failures} failures; exit statuses {dict(statuses)}; "
        f"peak {largest} MiB, slowest {slowest:.1f} s"
    )
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
