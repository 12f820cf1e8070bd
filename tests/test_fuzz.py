"""A short run of the fuzzer on both builds: the long one is `python tests/fuzz.py --runs 100000`."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import fuzz
import pytest
from fuzzing.bases import Bases
from fuzzing.mutants import Mutant, mutant
from fuzzing.verdict import judge

from rdbkit import _build

SEED = 20261120
RUNS = 400


@pytest.fixture(scope="module")
def bases(fixtures: Path) -> Bases:
    return Bases(fixtures)


def _builds() -> tuple[str, ...]:
    if all(map(_build._is_built, _build.HOT)):
        return fuzz.BUILDS
    if os.environ.get("RDBKIT_REQUIRE_COMPILED"):
        pytest.fail("the compiled build is required here and was not built")
    return ("pure",)


@pytest.mark.slow
def test_damaged_files_keep_the_promises(fixtures: Path, tmp_path: Path) -> None:
    builds = _builds()
    report = fuzz.campaign(fixtures, SEED, builds, RUNS, out=tmp_path)
    assert not report.failures
    assert report.mutants == dict.fromkeys(builds, RUNS)


def test_a_mutant_depends_on_seed_and_number_alone(fixtures: Path, bases: Bases) -> None:
    def essence(case: Mutant) -> object:
        return case.data, case.how, case.delivery, case.tuned, case.extra

    numbers = range(40)
    again = Bases(fixtures)
    backwards = {number: essence(mutant(again, SEED, number)) for number in reversed(numbers)}
    assert {number: essence(mutant(bases, SEED, number)) for number in numbers} == backwards
    assert essence(mutant(bases, SEED + 1, 0)) != backwards[0]


def _valid(bases: Bases) -> Mutant:
    """Return an unchanged mutant: an undamaged excerpt with a checksum and keys, with its own base."""
    for number in range(1000):
        case = mutant(bases, SEED, number)
        odd = case.base.dump or case.packing or case.delivery.chunk or case.base.keydb
        if not odd and case.base.checksum and len(case.base.before["values"]) > 2:
            before = {level: list(lines) for level, lines in case.base.before.items()}
            case.base = replace(case.base, before=before)
            case.data = case.delivery.data = case.base.data
            case.at, case.forged, case.how = len(case.data), False, ["nothing"]
            return case
    raise AssertionError("no such mutant")


def test_a_valid_file_passes(bases: Bases) -> None:
    assert judge(_valid(bases))[1] == []


def test_a_clean_end_of_a_changed_file_is_seen(bases: Bases) -> None:
    case = _valid(bases)
    # As if the file had been another one before it was "changed".
    case.base.data = case.base.data[:9] + b"\0" + case.base.data[9:]
    case.at = 9
    assert judge(case)[1] == ["clean end of a changed file with a checksum"]


def test_a_changed_and_a_missing_key_before_the_damage_are_seen(bases: Bases) -> None:
    case = _valid(bases)
    before = case.base.before["values"]
    end, account = before[0]
    before[0] = end, (*account[:2], b"another key", *account[3:])
    before.append((end, account))
    wrong = judge(case)[1]
    assert len(wrong) == 1
    assert "another key" in wrong[0]
    before[0] = end, account
    del before[-1]
    case.base.before["head"].append((end, account))
    assert [text.split(" (")[0] for text in judge(case)[1]] == [f"head: 1 of {len(before) + 1} keys before the damage"]


def test_a_worker_that_dies_fails_its_mutant_and_is_replaced(fixtures: Path) -> None:
    worker = fuzz.Worker("pure", fixtures, SEED)
    try:
        worker.begin(0, 3)
        assert worker.hear()["n"] == 0
        assert worker._process is not None
        worker._process.kill()
        results = [worker.hear() for _ in range(2)]
    finally:
        worker.close()
    assert [result["n"] for result in results] == [1, 2]
    assert sum(bool(result["w"]) for result in results) <= 1
