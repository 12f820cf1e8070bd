from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rdbkit.output import units

SIZES = [("100", 100), ("0", 0), ("1b", 1), ("64k", 64_000), ("64kb", 65_536), ("1MB", 1 << 20), ("1m", 10**6)]
SIZES += [
    ("1GiB", 1 << 30),
    ("2gb", 2 << 30),
    ("2g", 2 * 10**9),
    ("1.5KiB", 1536),
    ("1 TB", 1 << 40),
    ("1.001k", 1001),
    (" 7 kib ", 7168),
]
SHOWN = [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (1_234_567, "1.2 MiB"), (1_048_575, "1.0 MiB")]
SHOWN += [(1 << 30, "1.0 GiB"), (2**63, "8.0 EiB"), (2**80, "1048576.0 EiB")]
TIMES = [
    (1_999_999_999_000, "2033-05-18 03:33:19Z"),
    (1_999_999_999_999, "2033-05-18 03:33:19Z"),
    (0, "1970-01-01 00:00:00Z"),
    (-1, "1969-12-31 23:59:59Z"),
    (-62_135_596_800_000, "0001-01-01 00:00:00Z"),
    (-62_135_596_800_001, "-62135596800001 ms"),
    (253_402_300_799_999, "9999-12-31 23:59:59Z"),
    (253_402_300_800_000, "253402300800000 ms"),
    (2**63 - 1, f"{2**63 - 1} ms"),
    (-(2**63), f"{-(2**63)} ms"),
]


@pytest.mark.parametrize(("text", "size"), SIZES)
def test_parse_size(text: str, size: int) -> None:
    assert units.parse_size(text) == size


@pytest.mark.parametrize("text", ["", "k", "-1", "1x", "1kk", "1.k", "0x10", "1e3", "²"])
def test_not_a_size(text: str) -> None:
    with pytest.raises(ValueError, match="not a size"):
        units.parse_size(text)


@pytest.mark.parametrize(("n", "shown"), SHOWN)
def test_size(n: int, shown: str) -> None:
    assert units.size(n) == shown


@given(st.integers(0, 2**64))
def test_sizes_read_back_closely(n: int) -> None:
    assert abs(units.parse_size(units.size(n)) - n) <= n * 0.05


@pytest.mark.parametrize(("ms", "shown"), TIMES)
def test_time(ms: int, shown: str) -> None:
    assert units.time(ms) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0, "0s"), (45.9, "45s"), (200, "3m 20s"), (3600, "1h 0m"), (183_600, "2d 3h")]
)
def test_duration(seconds: float, shown: str) -> None:
    assert units.duration(seconds) == shown


def test_count() -> None:
    assert units.count(12345) == "12,345"
