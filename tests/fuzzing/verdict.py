"""The conditions for every mutant (fuzz.py has the list)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fuzzing.accounts import (
    Line,
    check_file,
    export_file,
    list_file,
    load_payload,
    read_rows,
    read_values,
    rewrite_file,
    run_command,
)
from fuzzing.mutants import Mutant, pack

_ERRORS = ("Truncated", "Corrupt", "Unsupported", "LimitExceeded", "Passed")


def judge(case: Mutant, begin: Callable[[], object] = int) -> tuple[list[Line], list[str]]:
    """Read a mutant by every method, with a call of `begin` before each; return the account and the problems."""
    wrong: list[str] = []
    if case.base.dump:
        lines = load_payload(case.data)
        ended = lines[0][1][0] == "end"
        if ended and case.data != case.base.data and not case.forged and any(case.data[-8:]):
            wrong.append("clean end of a changed payload with a checksum")
        return lines, wrong + _offsets(lines, len(case.data))
    levels: dict[str, list[Line]] = {"values": read_values(case.delivery, _order(case))}
    values = levels["values"]
    for level, depth in (("head", 0), ("shape", 1)):
        begin()
        levels[level] = read_rows(case.delivery, depth)
    for level, lines in levels.items():
        wrong += _before(case, level, lines)
    begin()
    check = check_file(case.delivery)
    begin()
    export = export_file(case.delivery, "jsonl")
    wrong += _checksum(case, values) + _agree(values, check, export) + _nothing_lost(check, export)
    lines = [line for part in (*levels.values(), check, export) for line in part]
    form = ("jsonl", "csv", "json")[int(case.extra * 100) % 3]
    if form != "jsonl":
        begin()
        other = export_file(case.delivery, form)
        if other[0][1][:2] + other[0][1][3:4] != export[0][1][:2] + export[0][1][3:4]:
            wrong.append(f"export -f {form} delivers {other[0][1][:2]}, -f jsonl {export[0][1][:2]}")
        lines += other
    begin()
    if case.extra < 0.3:
        lines += rewrite_file(case.delivery, case.extra < 0.15)
    elif case.extra < 0.5:
        lines += list_file(case.delivery, ("table", "csv", "json", "jsonl")[int(case.extra * 1000) % 4])
    elif case.extra > 0.98:
        lines += run_command(case.data, (case.extra - 0.98) * 50)
    return lines, wrong + _offsets(lines, -1 if case.packing else len(case.data))


def _order(case: Mutant) -> int:
    """Return in which order an entry is asked (accounts.entry_account)."""
    if case.how[0] == "bomb":
        return 0  # it alone looks at the size of a value before it asks for it whole
    # A pipe is asked for values first: nothing else of a long one is to be had afterwards.
    return 2 if case.delivery.chunk else int(case.extra * 1000) % 3


def _before(case: Mutant, level: str, lines: list[Line]) -> list[str]:
    """Compare the entries before the first changed byte with those of the base."""
    expected = _untouched(case, level)
    got = [account for end, account in lines if end is not None][: len(expected)]
    for (_, wanted), found in zip(expected, got):
        if not _equal(wanted, found, case.delivery.chunk > 0):
            return [f"{level}: the key {wanted[2]!r} before the damage (byte {case.at}) became {found}, was {wanted}"]
    if len(got) < len(expected):
        missing = len(expected) - len(got)
        return [f"{level}: {missing} of {len(expected)} keys before the damage (byte {case.at}) are missing"]
    return []


def _untouched(case: Mutant, level: str) -> list[tuple[int, Any]]:
    at = _plain_before(case) if case.packing else case.at
    expected = [pair for pair in case.base.before[level] if pair[0] <= at]
    # A KeyDB key is complete only with the records after it.
    return expected[:-1] if case.base.keydb or b"keydb-subexpire" in case.data else expected


def _plain_before(case: Mutant) -> int:
    """Return how many unpacked bytes are in complete members or frames before the damage."""
    total = 0
    packed = 0
    for start in range(0, len(case.base.data), 700):
        piece = case.base.data[start : start + 700] if start < 14000 else b""
        packed += len(pack(piece, case.packing)) - len(pack(b"", case.packing)) if piece else 1 << 60
        # These libraries drop what they made of the last packed bytes.
        if packed + (1024 if case.packing in ("bz2", "xz") else 0) > case.at:
            break
        total += len(piece)
    return total


def _equal(wanted: Any, found: Any, pipe: bool) -> bool:
    if wanted == found:
        return True
    if not pipe or len(wanted) != len(found):
        return False
    # A pipe cannot go back: what was not asked for in time is Passed.
    return all(
        a == b or (isinstance(b, tuple) and b[0] == "error" and b[1][0] == "Passed") for a, b in zip(wanted, found)
    )


def _checksum(case: Mutant, values: list[Line]) -> list[str]:
    last = values[-1][1]
    if last[0] == "end" and case.base.data[: case.base.end].startswith(case.data) and len(case.data) < case.base.end:
        return ["clean end of a file that was cut off"]
    if last[0] != "end" or last[1] != "good" or case.forged or not case.base.checksum:
        return []
    data = _unpacked_data(case) if case.packing else case.data
    end = last[5]
    # Two excerpts of one file can be spliced to a third, whose checksum is right.
    right = "splice" in case.how and crc64(data[: end - 8]) == int.from_bytes(data[end - 8 : end], "little")
    if data[:end] == case.base.data[:end] or right:
        return []
    return ["clean end of a changed file with a checksum"]


def crc64(data: bytes) -> int:
    """CRC-64/Jones, bit by bit, as in redis' crc64.c, without code of rdbkit."""
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ 0x95AC9329AC4BC9B5 if crc & 1 else crc >> 1
    return crc


def _unpacked_data(case: Mutant) -> bytes:
    from rdbkit.source import open_source

    with open_source(case.data) as source:
        pieces = list(iter(lambda: source.read(1 << 16), b""))
    return b"".join(pieces)


def _agree(values: list[Line], check: list[Line], export: list[Line]) -> list[str]:
    """Compare the methods of reading with each other."""
    broken = values[-1][1][0] == "stop" or any(_broken(account) for end, account in values if end is not None)
    found = any(line[1][0] == "error" for line in check)
    how, problems = export[0][1][0], export[0][1][3]
    wrong = []
    if broken and not found:
        wrong.append("check finds no error where reading does")
    if broken and how == "end" and not any(problems):
        wrong.append("export says end, reading says damaged")
    return wrong


#: Errors that check gives and export does not, with the reason.
_NOT_EXPORTED: dict[str, str] = {}


def _nothing_lost(check: list[Line], export: list[Line]) -> list[str]:
    """Compare what export delivers with what check counts as readable; and see that it is not silent about the rest."""
    how, rows, _, problems, elements = export[0][1]
    _, keys, _, _, _, _, unreadable, readable = check[-1][1]
    # A value that cannot be read is left out, whatever else is wrong with it: it is named once.
    left_out = {problem[3:5] for problem in problems[2:] if problem[3] is not None}
    errors = {line[1][1] for line in check if line[1][0] == "error" and line[1][3:5] not in left_out}
    errors -= _NOT_EXPORTED.keys()
    named = {problem[1] for problem in problems[2:]} | ({how[1]} if how != "end" else set())
    wrong = []
    if (rows, elements) != (keys - unreadable, readable):
        wrong.append(f"export delivers {rows} keys, {elements} elements; check: {keys} - {unreadable}, {readable}")
    if errors - named and problems[1] <= len(problems[2:]):
        wrong.append(f"check says {sorted(errors - named)}, and export does not")
    return wrong


def _broken(account: tuple[Any, ...]) -> bool:
    return any(isinstance(item, tuple) and item[0] == "error" and item[1][0] != "Passed" for item in account[7:])


def _offsets(lines: list[Line], size: int) -> list[str]:
    """Look for errors whose offset is missing, or not in the file."""
    wrong = []
    for _, account in lines:
        for item in account:
            error = item[1] if isinstance(item, tuple) and item and item[0] == "error" else item
            if not (isinstance(error, tuple) and len(error) == 6 and error[0] in _ERRORS):
                continue
            if error[2] is None or error[2] < 0 or 0 <= size < error[2]:
                wrong.append(f"offset {error[2]} in a file of {size} bytes: {error}")
    return wrong
