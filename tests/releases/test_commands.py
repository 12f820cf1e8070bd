"""The table of commands: which releases have a command, how many arguments it takes, and which of them are keys."""

from __future__ import annotations

import pytest

from rdbkit.releases.commands import COMMANDS, arity_fits, keys_of, knows, spec_of
from rdbkit.releases.target import Target

#: A command, its keys, a release that has it, and the last one of its product that does not.
NEW = [
    ("PHSET k p FIELDS 1 f v", "k", "valkey:9.2", "valkey:9.1"),
    ("PHMSET k p FIELDS 1 f v q FIELDS 1 f v", "k", "valkey:9.2", "valkey:9.1"),
    ("PHDEL k p f", "k", "valkey:9.2", "valkey:9.1"),
    ("PHDELPREFIX k p", "k", "valkey:9.2", "redis:8.10"),
    ("PHGETALL k p", "k", "valkey:9.2", "redis:8.10"),
    ("XACKDEL k g IDS 1 1-1", "k", "valkey:9.2", "valkey:9.1"),
    ("XDELEX k IDS 1 1-1", "k", "valkey:9.2", "valkey:9.1"),
    ("INCREX k BYINT 5", "k", "valkey:9.2", "valkey:9.1"),
    ("DELEX k IFEQ v", "k", "valkey:9.2", "valkey:9.1"),
    ("DELEX k", "k", "redis:8.4", "redis:8.2"),
    ("SEXPIRE k 9 MEMBERS 1 m", "k", "redis:8.12", "redis:8.10"),
    ("SPEXPIREAT k 9 NX MEMBERS 1 m", "k", "redis:8.12", "redis:8.10"),
    ("SPERSIST k MEMBERS 1 m", "k", "redis:8.12", "valkey:9.2"),
    ("SADDEX k EX 5 MEMBERS 1 m", "k", "redis:8.12", "valkey:9.2"),
    ("BITCONVERT k", "k", "redis:8.12", "redis:8.10"),
    ("BITROAROP AND d a b", "d a b", "redis:8.12", "redis:8.10"),
    ("BITRANGEINTARRAY k 0 -1", "k", "redis:8.12", "redis:8.10"),
    ("ZMOVE a b MIN", "a b", "redis:8.12", "redis:8.10"),
    ("BZMOVE a b MIN 0", "a b", "redis:8.12", "redis:8.10"),
    ("ZMOVEMEMBER a b MEMBERS 1 m", "a b", "redis:8.12", "redis:8.10"),
    ("BLESS SET k NO-EVICT", "k", "redis:8.12", "redis:8.10"),
    ("BLESS SCAN 0 NO-EVICT", "", "redis:8.12", "redis:8.10"),
    ("HOTKEYS GET", "", "valkey:9.2", "valkey:9.1"),
    ("CONFIG INFO", "", "valkey:9.2", "valkey:9.1"),
]


@pytest.mark.parametrize(("text", "keys", "has", "lacks"), NEW)
def test_new_commands(text: str, keys: str, has: str, lacks: str) -> None:
    args = text.encode().split()
    row = spec_of(args)
    assert row is not None
    assert arity_fits(row, len(args))
    assert keys_of(args) == keys.encode().split()
    assert knows(Target.parse(has), row)
    assert not knows(Target.parse(lacks), row)


@pytest.mark.parametrize("text", ["EXEC", "EXEC IFEQ k v", "MOVE k 1", "MOVE k 1 REPLACE"])
def test_a_row_has_the_smallest_arity(text: str) -> None:
    """Valkey 9.2 gave these options; the row is one for all releases."""
    args = text.encode().split()
    assert arity_fits(COMMANDS[args[0].lower()], len(args))


def test_rows_are_whole() -> None:
    for name, row in COMMANDS.items():
        assert row.arity, name
        # Positions are of words that every command with that arity has, or are counted from the end.
        assert row.last < 0 or max(row.first, row.last) < abs(row.arity), name
