"""Damage real files in many ways, and test that rdbkit keeps its guarantees for the results.

    python tests/fuzz.py --runs 100000 --build both --seed 1          the long run
    python tests/fuzz.py --seed 1 --only 4711 --build both            one mutant again; it is written to --out

    bases (fixtures, excerpts of them, files made by rdb.writer, DUMP payloads)
      └─► mutant number i of a seed ─► a worker per build ─► account of all that was read, verdict ─► builds compared

Conditions for every mutant, on either build:

    errors      rdbkit raises only RdbkitError; each has a code, and an offset that is in the file
    before      keys that are wholly before the first changed byte are returned unchanged, attributes and value
    checksum    a changed file whose checksum is on never ends cleanly
    agreement   export and check see an error where reading the values did
    nothing     export delivers just the keys and elements that check counts as readable, and names every error that
    lost        check finds; no row of JSON or CSV, and no command, is cut
    bounds      5 s of processor time for each method of reading, 256 MiB of memory
    builds       both give the same account: entries, errors, their codes, offsets and words

Mutant i depends on the seed, on i and on the bases, and on nothing else. A worker that hangs, dies or grows is
replaced; the current mutant counts as failed. A failure is one line, and a file with the mutant.
"""

from __future__ import annotations

import argparse
import faulthandler
import gc
import hashlib
import json
import os
import resource
import select
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from fuzzing.accounts import Line, tuning
from fuzzing.bases import Bases
from fuzzing.mutants import mutant
from fuzzing.verdict import judge

ROOT = Path(__file__).parent.parent
#: Processor time for one mutant. The slowest takes 2 s on a quiet machine; caches that others use make it more.
SECONDS = 30.0
MEBIBYTES = 256
#: A worker that says nothing for so long hangs where no signal reaches it (on the wall: other work may slow us).
SILENCE = 600.0
BUILDS = ("compiled", "pure")
#: Slow system calls are made once in so many mutants.
_STRIDE = 16


def _home() -> str:
    """Return the directory from which rdbkit is imported: the installed one, else the checkout."""
    found = find_spec("rdbkit")
    return str(Path(found.origin).parent.parent if found and found.origin else ROOT)


# -- a worker ----------------------------------------------------------------------------------------------------------


class Hang(BaseException):
    """The processor time for one mutant is used up."""


def _alarm(*_: object) -> None:
    raise Hang


def _peak() -> int:
    """Return the most memory that this process has had, in MiB. (On some systems that takes milliseconds.)"""
    try:
        # Not getrusage: there a process begins with the peak of the one that started it.
        status = Path("/proc/self/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) >> 10
    except (OSError, IndexError, ValueError):
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak >> (20 if sys.platform == "darwin" else 10)


def _fence() -> None:
    """Let an allocation that no file justifies fail, instead of filling the machine."""
    try:
        held = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (held + (1 << 30), resource.RLIM_INFINITY))
    except (OSError, ValueError):
        pass


class Watch:
    """Gives each reading its time, and starts it after a garbage collection, so that it is measured separately."""

    def __init__(self, tidy: bool) -> None:
        self.longest = 0.0
        self._tidy = tidy
        self._begun = time.process_time()

    def begin(self) -> None:
        """Start on the next reading."""
        signal.setitimer(signal.ITIMER_PROF, 0)
        self.longest = max(self.longest, time.process_time() - self._begun)
        if self._tidy:
            gc.collect()
        self._begun = time.process_time()
        signal.setitimer(signal.ITIMER_PROF, SECONDS)

    def end(self) -> None:
        """Stop."""
        self.begin()
        signal.setitimer(signal.ITIMER_PROF, 0)


def attempt(bases: Bases, seed: int, number: int) -> dict[str, Any]:
    """Judge one mutant; return its account's digest, its longest reading, the most memory, and what is wrong."""
    case = mutant(bases, seed, number)
    watch = Watch(tidy=case.how[0] in ("bomb", "flood"))
    watch.begin()
    lines: list[Line] = []
    try:
        with tuning(f"{seed}:{number}" if case.tuned else None):
            lines, wrong = judge(case, watch.begin)
    except Hang:
        wrong = [f"more than {SECONDS} s in {_where(sys.exc_info()[2])}"]
    except Exception as error:
        wrong = [f"{type(error).__name__}: {str(error)[:200]} in {_where(error.__traceback__)}"]
    finally:
        watch.end()
    memory = _peak() if case.how[0] in ("bomb", "flood") or number % _STRIDE == 0 else 0
    about = {"t": round(watch.longest, 4), "m": memory, "how": case.how, "base": case.base.name}
    return {"n": number, "d": _sum(lines), "w": wrong, **about}


def _sum(lines: list[Line]) -> str:
    return hashlib.blake2b(repr(lines).encode("utf-8", "backslashreplace"), digest_size=12).hexdigest()


def _where(trace: Any) -> str:
    frames = [frame for frame in traceback.extract_tb(trace) if "rdbkit" in frame.filename] or traceback.extract_tb(
        trace
    )
    return " < ".join(f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in frames[:-4:-1])


def serve(corpus: Path, seed: int) -> None:
    """Judge the mutants whose ranges ("first last step") come in on standard input; one line of JSON for each."""
    faulthandler.enable()
    signal.signal(signal.SIGPROF, _alarm)
    answer = os.fdopen(os.dup(1), "w")
    bases = Bases(corpus)
    _fence()
    for line in sys.stdin:
        for number in range(*map(int, line.split())):
            if number % _STRIDE == 0:
                faulthandler.dump_traceback_later(SILENCE - 10, exit=True)
            result = attempt(bases, seed, number)
            if result["m"] > MEBIBYTES:
                result["w"].append(f"memory: {result['m']} MiB")
            print(json.dumps(result), file=answer, flush=True)
            if result["m"] > MEBIBYTES:
                return
        faulthandler.cancel_dump_traceback_later()


class Worker:
    """A process that judges mutants on one build; replaced when it hangs, dies or grows."""

    def __init__(self, build: str, corpus: Path, seed: int) -> None:
        self.build = build
        self._command = [sys.executable, __file__, "--serve", "--corpus", str(corpus), "--seed", str(seed)]
        path = os.pathsep.join(filter(None, (_home(), os.environ.get("PYTHONPATH", ""))))
        self._environment = {**os.environ, "RDBKIT_PURE": "1" if build == "pure" else "0", "PYTHONPATH": path}
        # glibc: give large blocks back at once, so that the mutants before do not count.
        self._environment["MALLOC_MMAP_THRESHOLD_"] = "131072"
        self._log = tempfile.TemporaryFile()  # noqa: SIM115  it lives as long as the worker
        self._process: subprocess.Popen[bytes] | None = None
        self.next = self.stop = 0
        self.heard = time.monotonic()

    def begin(self, first: int, stop: int) -> None:
        """Start on a range."""
        self.next, self.stop = first, stop
        if self._process is None:
            # Unbuffered: of two results that came at once, select() must still see the second.
            self._process = subprocess.Popen(
                self._command,
                bufsize=0,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._log,
                env=self._environment,
            )
        assert self._process.stdin is not None
        self._process.stdin.write(b"%d %d\n" % (first, stop))
        self._process.stdin.flush()
        self.heard = time.monotonic()

    def fileno(self) -> int:
        """For select()."""
        assert self._process is not None
        assert self._process.stdout is not None
        return self._process.stdout.fileno()

    def hear(self) -> dict[str, Any]:
        """Return the next result; a lost worker's is made up here."""
        assert self._process is not None
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        self.heard = time.monotonic()
        result: dict[str, Any] = json.loads(line) if line.endswith(b"\n") else self._lost("the process died")
        self.next = result["n"] + 1
        if result["m"] > MEBIBYTES or not line:
            self._again()
        return result

    def silent(self) -> dict[str, Any] | None:
        """Give up on a worker that says nothing; return the result for its mutant."""
        if time.monotonic() - self.heard < SILENCE:
            return None
        result = self._lost(f"nothing heard for {SILENCE} s")
        self.next += 1
        self._again()
        return result

    def _lost(self, why: str) -> dict[str, Any]:
        self._log.seek(0)
        last = self._log.read()[-1500:].decode("utf-8", "replace")
        return {"n": self.next, "d": "", "t": 0.0, "m": 0, "w": [f"{why}: {last}"], "how": [], "base": ""}

    def _again(self) -> None:
        self._end()
        if self.next < self.stop:
            self.begin(self.next, self.stop)

    def _end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def close(self) -> None:
        """End the process."""
        self._end()
        self._log.close()


# -- the campaign ------------------------------------------------------------------------------------------------------


@dataclass
class Report:
    """The result of a campaign: mutants judged per build, failures as lines, and the extremes."""

    mutants: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    #: (seconds, mutant), (MiB, mutant) per build.
    slowest: dict[str, tuple[float, int]] = field(default_factory=dict)
    largest: dict[str, tuple[int, int]] = field(default_factory=dict)
    seconds: float = 0.0

    def __str__(self) -> str:
        builds = [
            f"{build}: {count} mutants, slowest {self.slowest[build][0]:.2f} s (#{self.slowest[build][1]}), "
            f"peak {self.largest[build][0]} MiB (#{self.largest[build][1]})"
            for build, count in sorted(self.mutants.items())
        ]
        return "\n".join([*builds, f"{len(self.failures)} failures in {self.seconds:.0f} s"])


class Campaign:
    """Runs a range of mutants on some builds and compares the accounts."""

    def __init__(
        self, corpus: Path, seed: int, builds: Sequence[str], out: Path | None, tell: Callable[[str], object]
    ) -> None:
        self.corpus, self.seed, self.builds, self.out, self.tell = corpus, seed, builds, out, tell
        self.report = Report()
        self._waiting: dict[int, tuple[str, dict[str, Any]]] = {}

    def run(self, first: int, count: int, jobs: int = 1) -> Report:
        """Judge mutants first … first + count - 1, with `jobs` processes for each build."""
        begun = time.monotonic()
        workers = []
        for build in self.builds:
            for job in range(jobs):
                worker = Worker(build, self.corpus, self.seed)
                worker.begin(first + count * job // jobs, first + count * (job + 1) // jobs)
                workers.append(worker)
        try:
            self._listen(workers)
        finally:
            for worker in workers:
                worker.close()
        self.report.seconds = time.monotonic() - begun
        return self.report

    def _listen(self, workers: list[Worker]) -> None:
        while busy := [worker for worker in workers if worker.next < worker.stop]:
            ready, _, _ = select.select(busy, [], [], 1.0)
            for worker in ready:
                self._take(worker.build, worker.hear())
            for worker in set(busy) - set(ready):
                lost = worker.silent()
                if lost is not None:
                    self._take(worker.build, lost)

    def _take(self, build: str, result: dict[str, Any]) -> None:
        number, report = result["n"], self.report
        report.mutants[build] += 1
        report.slowest[build] = max(report.slowest.get(build, (0.0, 0)), (result["t"], number))
        report.largest[build] = max(report.largest.get(build, (0, 0)), (result["m"], -number))
        for wrong in result["w"]:
            self._fail(build, result, wrong)
        if len(self.builds) < 2:
            return
        other = self._waiting.pop(number, None)
        if other is None:
            self._waiting[number] = (build, result)
        elif other[1]["d"] != result["d"] and not result["w"] and not other[1]["w"]:
            self._fail("both", result, "the builds disagree")

    def _fail(self, build: str, result: dict[str, Any], wrong: str) -> None:
        number = result["n"]
        made = f"base={result['base']} how={'+'.join(result['how'])}"
        line = f"FAIL seed={self.seed} mutant={number} build={build} {made}: {wrong}"
        if self.out is not None:
            self.out.mkdir(parents=True, exist_ok=True)
            path = self.out / f"{self.seed}-{number}.rdb"
            path.write_bytes(mutant(_bases(self.corpus), self.seed, number).data)
            line += f" [{path}]"
        self.report.failures.append(line)
        self.tell(line)


@lru_cache(1)
def _bases(corpus: Path) -> Bases:
    return Bases(corpus)


def campaign(
    corpus: Path, seed: int, builds: Sequence[str], runs: int, *, first: int = 0, jobs: int = 1,
    out: Path | None = None, tell: Callable[[str], object] = print,
) -> Report:  # fmt: skip
    """Judge `runs` mutants of a seed on these builds."""
    return Campaign(corpus, seed, builds, out, tell).run(first, runs, jobs)


def show(corpus: Path, seed: int, number: int, out: Path) -> None:
    """Judge one mutant in this process and print its account."""
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    case = mutant(Bases(corpus), seed, number)
    out.mkdir(parents=True, exist_ok=True)
    path = out / f"{seed}-{number}.rdb"
    path.write_bytes(case.data)
    print(f"# {path}: {len(case.data)} bytes, from {case.base.name} by {case.how}, differs from byte {case.at} on")
    print(f"# forged={case.forged} chunk={case.delivery.chunk} tuned={case.tuned} extra={case.extra}")
    with tuning(f"{seed}:{number}" if case.tuned else None):
        lines, wrong = judge(case)
    for line in lines:
        print(line)
    print(*wrong, sep="\n")


def main() -> int:
    """Run from the command line; the exit status is 1 if anything failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=10000)
    parser.add_argument("--first", type=int, default=0, help="number of the first mutant")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--build", choices=(*BUILDS, "both"), default="both")
    parser.add_argument("--corpus", type=Path, default=ROOT / "fixtures", help="directory of valid files")
    parser.add_argument("--jobs", type=int, default=1, help="processes per build")
    parser.add_argument(
        "--out", type=Path, default=Path(tempfile.gettempdir()) / "rdbkit-fuzz", help="where mutants go that failed"
    )
    parser.add_argument("--only", type=int, help="judge only this mutant, and print it (--build: RDBKIT_PURE decides)")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    sys.path.insert(0, _home())
    if options.serve:
        serve(options.corpus, options.seed)
        return 0
    if options.only is not None:
        show(options.corpus, options.seed, options.only, options.out)
        return 0
    builds = BUILDS if options.build == "both" else (options.build,)
    report = campaign(
        options.corpus, options.seed, builds, options.runs, first=options.first, jobs=options.jobs, out=options.out
    )
    print(report)
    return 1 if report.failures else 0


if __name__ == "__main__":
    sys.exit(main())
