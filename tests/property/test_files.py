"""Random whole files: written and read back; damaged, and then refused or right; the same on both builds.

Everything is written by the default build, so that the builds read the same bytes. RDBKIT_EXAMPLES=5000 in the
environment makes a long run of it.
"""

from __future__ import annotations

import os
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rdb.files import MS, Reading, Slices, read, shaped, shown
from strategies import Damage, File, Key, Written, damages, files, normal, write

#: The fixture `build` is not made anew for each example, and need not be.
quick = settings(
    max_examples=int(os.environ.get("RDBKIT_EXAMPLES", "60")), deadline=None, suppress_health_check=list(HealthCheck)
)
# Between 1990 and 2200, in ms.
_EARLY, _LATE = 631152000000, 7258118400000


def due(file: File, key: Key) -> int | None:
    """Before RDB 9 a time that makes sense in the other byte order only is meant in that one."""
    time = key.expires_at
    if time is None or not 3 <= file.version < 9 or _EARLY <= time <= _LATE:
        return time
    swapped = int.from_bytes(time.to_bytes(8, "little"), "big", signed=True)
    return swapped if _EARLY <= swapped <= _LATE else time


@quick
@given(file=files())
def test_written_is_read(build, file):
    """Keys, values, attributes, aux and functions come back, in file order, each where it was written."""
    written = write(file)
    with build.rdbkit.open(written.data, now=MS) as snapshot:
        for key, start, entry in zip(file.keys, written.starts, snapshot, strict=True):
            assert (entry.offset, entry.db, entry.key, entry.type_id) == (start, key.db, key.key, key.type_id)
            assert (entry.expires_at, entry.idle, entry.freq) == (due(file, key), key.idle, key.freq)
            found = shaped(key.type_id, entry.value, entry.field_expires_at)
            assert normal(key.type_id, found) == normal(key.type_id, key.value)
            assert entry.elements is None or entry.elements == count(entry)
        assert snapshot.functions == list(file.functions)
        first = {name.decode("utf-8", "backslashreplace"): value for name, value in reversed(file.aux)}
        assert snapshot.aux == first
        assert snapshot.checksum == ("absent" if file.version < 5 else "good" if file.checksum else "disabled")
        assert (snapshot.product, snapshot.version) == (snapshot.product, file.version)
        kept = {db: (d.keys, d.expires) for db, d in snapshot.databases.items()}
    assert kept == {
        db: (
            sum(key.db == db for key in file.keys),
            sum(key.db == db and key.expires_at is not None for key in file.keys),
        )
        for db in {key.db for key in file.keys}
    }


def count(entry: Any) -> int:
    value = entry.value
    if entry.type == "string":
        return 1
    if entry.type == "bitmap":
        return sum(last - first + 1 for first, last in value.runs)
    return len(value.entries if entry.type == "stream" else value.elements if entry.type == "array" else value)


@quick
@given(file=files(), seed=st.integers(0, 99))
def test_any_slicing_is_the_same(build, file, seed):
    data = write(file).data
    assert read(build, Slices(data, seed)) == read(build, data)


@quick
@given(file=files())
def test_written_files_are_valid(build, file):
    """`check` has no error for what the writer writes (functions' engines, values' consistency and all)."""
    result = build.rdbkit.check(write(file).data)
    assert [finding for finding in result.findings if finding.severity == "error"] == []
    assert result.complete
    assert result.keys == len(file.keys)


@st.composite
def broken(draw: Any) -> tuple[File, Written, Damage]:
    file = draw(files(max_keys=4))
    written = write(file)
    return file, written, draw(damages(written.data))


def whole_before(reading: Reading, at: int) -> list[Any]:
    """Return the entries that end at or before an offset."""
    return [row for row in reading.rows if row[0] + row[9] <= at]


@quick
@given(case=broken(), sliced=st.booleans())
def test_damage(build, case, sliced):
    """An rdbkit error or the right result; no clean end with a wrong checksum; earlier entries are unchanged."""
    file, written, damage = case
    sound = read(build, written.data)
    reading = read(build, Slices(damage.data, 1) if sliced else damage.data)
    before = whole_before(sound, damage.at)
    assert reading.rows[: len(before)] == before
    if file.checksum and file.version >= 5 and damage.data != written.data:
        # The sum itself overwritten with zeros says that there is none.
        assert reading.end[0] != "end" or reading.end[1] == "disabled"
    if reading.end[0] != "end":
        assert 0 <= reading.end[2] <= len(damage.data)
    if damage.how == "truncate":
        assert reading.end[0] == "Truncated"
        assert reading.end[2] == damage.at
        assert reading.rows == before


@quick
@given(case=broken())
def test_damage_on_both_builds(builds, case):
    _, _, damage = case
    pure, compiled = (read(build, damage.data) for build in builds)
    assert pure == compiled


@quick
@given(case=broken())
def test_damage_is_found(build, case):
    """`check` never raises, and reports every changed file that has a checksum."""
    file, written, damage = case
    result = build.rdbkit.check(damage.data)
    if file.checksum and file.version >= 5 and damage.data != written.data and result.checksum != "disabled":
        assert not result.sound
    if result.sound:
        assert result.complete
    assert shown(result.findings) is not None


@quick
@given(
    data=st.binary(max_size=200), head=st.sampled_from([b"", b"REDIS0009", b"REDIS0015", b"VALKEY080", b"REDIS0002"])
)
def test_any_bytes(builds, head, data):
    """Bytes of any origin give entries or an error, and the builds agree about which."""
    pure, compiled = (read(build, head + data) for build in builds)
    assert pure == compiled
