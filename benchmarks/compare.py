"""Compare commands by CPU time on one file, run in turn (A B A B …), so that other load affects all of them.

    Command   name, arguments, environment              COMMANDS of rdbkit with each build, PEERS if installed
    Run       CPU, wall and peak RSS of one execution   from wait4: the child and all descendants it waited for
    table     medians over the rounds                   a ratio is taken within each round, then median and range

CPU is user + system, in seconds. The output of commands is discarded. A command that is not installed is skipped with a
message; one that fails is skipped with its exit code and its last line on stderr.

On Linux, a child's peak RSS includes that of its parent up to exec. So no figure can be lower than this program's own
peak, and one that is not higher is printed with "<=".
"""

from __future__ import annotations

import argparse
import gzip
import os
import resource
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import IO, Any

ROOT = Path(__file__).resolve().parents[1]
COMMANDS = {
    "keys": "keys {file} -f jsonl",
    "report": "report {file} -f json",
    "check": "check {file}",
    "export": "export {file} -f jsonl",
    "check-rdb": "check-rdb {file}",
    "check-aof": "check-aof {file}",
}
PEERS = {
    "redis-check-rdb": "redis-check-rdb {file}",
    "redis-check-aof": "redis-check-aof {file}",
    "rdbtools": "rdb -c memory {file}",
    "rdbtools-json": "rdb -c json {file}",
}
BUILDS = {"compiled": "", "pure": "1"}  # value of RDBKIT_PURE
MB = 1_000_000


@dataclass(frozen=True, slots=True)
class Command:
    """A command to run; {file} in an argument is replaced by the path."""

    name: str
    arguments: tuple[str, ...]
    environment: dict[str, str]

    def over(self, file: str) -> list[str]:
        """Return the argument list for one file."""
        return [argument.replace("{file}", file) for argument in self.arguments]


@dataclass(frozen=True, slots=True)
class Run:
    """The cost of one execution: seconds and bytes."""

    cpu: float
    wall: float
    rss: int


class FailedError(Exception):
    """The command ended with a non-zero exit code, or could not be started."""


def rdbkit(name: str, build: str, python: str) -> Command:
    environment = {
        **os.environ,
        "RDBKIT_PURE": BUILDS[build],
        "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])),
    }
    return Command(f"rdbkit {name} ({build})", (python, "-m", "rdbkit", *COMMANDS[name].split()), environment)


def peer(name: str, rdbtools: str) -> Command:
    first, *rest = PEERS[name].split()
    return Command(name, (rdbtools if first == "rdb" else first, *rest), dict(os.environ))


def run(command: Command, file: str, stdin: IO[bytes] | int = subprocess.DEVNULL) -> Run:
    """Execute once; raises FailedError."""
    with tempfile.TemporaryFile() as errors:
        began = time.perf_counter()
        try:
            child = subprocess.Popen(
                command.over(file), stdin=stdin, stdout=subprocess.DEVNULL, stderr=errors, env=command.environment
            )
        except OSError as error:
            raise FailedError(f"{command.name}: {error}") from None
        _, status, used = os.wait4(child.pid, 0)
        wall = time.perf_counter() - began
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode:
            raise FailedError(f"{command.name}: exit code {child.returncode}: {last_line(errors)}")
    return Run(used.ru_utime + used.ru_stime, wall, used.ru_maxrss * 1024)


def last_line(errors: IO[bytes]) -> str:
    errors.seek(0)
    lines = errors.read().decode(errors="backslashreplace").split("\n")
    return next((line for line in reversed(lines) if line.strip()), "nothing on stderr")


def rounds(commands: Sequence[Command], file: str, times: int) -> dict[str, list[Run]]:
    """Run all commands in turn, `times` times; one that fails is dropped."""
    results: dict[str, list[Run]] = {command.name: [] for command in commands}
    for _ in range(times):
        for command in commands:
            if command.name in results:
                try:
                    results[command.name].append(run(command, file))
                except FailedError as failure:
                    say(f"skipped: {failure}")
                    del results[command.name]
    return results


def table(results: dict[str, list[Run]], size: int, base: str) -> Iterator[list[str]]:
    """Yield a heading and a row per command; the last column compares with `base`."""
    yield ["command", "CPU s", "wall s", "peak MB", "MB/s of CPU", f"times the speed of {base}"]
    for name, runs in results.items():
        cpu = median(one.cpu for one in runs)
        ratios = [other.cpu / max(one.cpu, 1e-6) for one, other in zip(runs, results[base])]
        yield [
            name,
            f"{cpu:.3f}",
            f"{median(one.wall for one in runs):.3f}",
            peak(one.rss for one in runs),
            f"{size / MB / max(cpu, 1e-6):.1f}" if size else "-",
            f"{median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})",
        ]


def peak(sizes: Iterable[int]) -> str:
    """Render the largest peak in MB."""
    highest = max(sizes)
    floor = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return f"{'<= ' if highest <= floor else ''}{highest / MB:.1f}"


def show(rows: Iterable[list[str]]) -> None:
    """Print a Markdown table with aligned columns, numbers right-aligned."""
    lines = list(rows)
    widths = [max(map(len, column)) for column in zip(*lines)]
    lines.insert(1, ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])])
    for first, *rest in lines:
        cells = [first.ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(rest, widths[1:]))]
        print("| " + " | ".join(cells) + " |")


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def warm(file: Path) -> int:
    """Read the file once, so that it is cached for every run; return its size."""
    with file.open("rb") as stream:
        while stream.read(MB):
            pass
        return stream.tell()


def available_builds(wanted: Sequence[str], python: str) -> list[str]:
    """Skip the compiled build if it was not built."""
    if "compiled" not in wanted:
        return list(wanted)
    probe = rdbkit("keys", "compiled", python)
    code = [python, "-c", "import rdbkit; print(rdbkit.compiled())"]
    answer = subprocess.run(code, env=probe.environment, capture_output=True, text=True, check=False)
    if answer.stdout.strip() == "True":
        return list(wanted)
    say("skipped: the compiled build, which is not built")
    return [build for build in wanted if build != "compiled"]


def chosen(options: argparse.Namespace) -> list[Command]:
    """Expand --commands: each rdbkit command once per build, each peer if it is installed."""
    commands = []
    own = [name for name in options.commands if name in COMMANDS]
    builds = available_builds(options.builds, options.python) if own else []
    for name in options.commands:
        if name in COMMANDS:
            commands += [rdbkit(name, build, options.python) for build in builds]
            continue
        command = peer(name, options.rdbtools)
        if shutil.which(command.arguments[0]):
            commands.append(command)
        else:
            say(f"skipped: {name}, because {command.arguments[0]} is not installed")
    return commands


def pair(texts: Sequence[str]) -> list[Command]:
    """Make commands from the two texts of --pair; if they are equal, the table shows the noise."""
    names = texts if texts[0] != texts[1] else (texts[0], texts[1] + " (again)")
    return [Command(name, tuple(shlex.split(text)), dict(os.environ)) for name, text in zip(names, texts)]


def compare(commands: Sequence[Command], file: Path | None, options: argparse.Namespace) -> bool:
    """Print one file's table; False if a command failed or none is left."""
    size = warm(file) if file else 0
    results = rounds(commands, str(file), options.runs)
    if not results:
        say("nothing to compare")
        return False
    base = options.against or next((name for name in results if name in PEERS), next(iter(results)))
    if base not in results:
        say(f"nothing to compare with: {base} did not run; available: {', '.join(results)}")
        return False
    title = f"{file.name}, {size / MB:.1f} MB, " if file else ""
    print(f"\n{title}median of {options.runs} runs in turn\n")
    show(table(results, size, base))
    return len(results) == len(commands)


def compare_rss(commands: Sequence[Command], file: Path) -> bool:
    """Print the peak RSS of each command for the file by name, from a pipe, and compressed."""
    size = warm(file)
    rows = [["command", "by name", "from a pipe", "gzip by name"]]
    with tempfile.TemporaryDirectory() as folder:
        packed = Path(folder, file.name + ".gz")
        with file.open("rb") as source, gzip.open(packed, "wb", compresslevel=1) as target:
            shutil.copyfileobj(source, target, MB)
        rows += [
            [command.name, rss(command, str(file)), rss_piped(command, file), rss(command, str(packed))]
            for command in commands
        ]
    print(f"\n{file.name}, {size / MB:.1f} MB, peak RSS in MB\n")
    show(rows)
    return not any("failed" in row for row in rows)


def rss(command: Command, file: str, **how: Any) -> str:
    try:
        return peak([run(command, file, **how).rss])
    except FailedError as failure:
        say(str(failure))
        return "failed"


def rss_piped(command: Command, file: Path) -> str:
    with subprocess.Popen(["cat", str(file)], stdout=subprocess.PIPE) as cat:
        assert cat.stdout is not None
        return rss(command, "-", stdin=cat.stdout)


def names(known: Iterable[str]) -> Any:
    """Return a parser of comma-separated names."""
    allowed = list(known)

    def parse(text: str) -> list[str]:
        if unknown := [name for name in text.split(",") if name not in allowed]:
            raise argparse.ArgumentTypeError(f"unknown: {', '.join(unknown)} (known: {', '.join(allowed)})")
        return text.split(",")

    return parse


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Compare commands by CPU time over the same file.")
    add = parser.add_argument
    add("files", nargs="*", type=Path, metavar="FILE", help="one table each; optional with --pair")
    add("--commands", type=names({**COMMANDS, **PEERS}), default=["keys", "check", "redis-check-rdb", "rdbtools"],
        metavar="A,B,…", help=f"of {', '.join([*COMMANDS, *PEERS])}")  # fmt: skip
    add("--builds", type=names(BUILDS), default=list(BUILDS), metavar="A,B", help="compiled,pure (default: both)")
    add("--pair", nargs=2, metavar="COMMAND", help="compare these two instead; {file} is replaced by FILE")
    add("--runs", type=int, default=5, help="rounds (default: %(default)s)")
    add("--against", metavar="NAME", help="as the table names it (default: the first peer, else the first command)")
    add("--rss", action="store_true", help="only peak RSS, by name, from a pipe, and from gzip; once each")
    add("--python", default=sys.executable, help="interpreter that runs rdbkit (default: this one)")
    add("--rdbtools", default="rdb", metavar="PATH", help="the `rdb` program of rdbtools, if it is not on the PATH")
    options = parser.parse_args()
    if not options.files and (options.rss or not options.pair):
        parser.error("which FILE?")
    if missing := [str(file) for file in options.files if not file.is_file()]:
        parser.error(f"no such file: {', '.join(missing)}")
    if options.runs < 1:
        parser.error("--runs must be at least 1")
    return options


def main() -> int:
    options = arguments()
    commands = pair(options.pair) if options.pair else chosen(options)
    if options.rss:
        own = [command for command in commands if command.name not in PEERS]
        complete = [compare_rss(own, file) for file in options.files]
    else:
        complete = [compare(commands, file, options) for file in options.files or [None]]
    return 0 if all(complete) else 1


if __name__ == "__main__":
    sys.exit(main())
