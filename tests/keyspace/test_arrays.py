"""Commands of arrays in a replay, as Redis 8.10.2 answered and saved them."""

from __future__ import annotations

import pytest

from keyspace.made import replayed


def made(*commands):
    """Elements by index and the index of the last insert of the array k; None if there is none."""
    found = replayed(*commands).get(b"k")
    return None if found is None else (dict(found.value.elements), found.value.insert_index)


LAST = (1 << 64) - 2


@pytest.mark.parametrize(
    ("commands", "elements", "insert_index"),
    [
        (["ARSET k 5 a b"], {5: b"a", 6: b"b"}, None),
        (["ARSET k 5 a", "ARSET k 5 b"], {5: b"b"}, None),
        (["ARMSET k 1 a 1 b 0 c"], {0: b"c", 1: b"b"}, None),
        ([f"ARSET k {LAST} a"], {LAST: b"a"}, None),
        (["ARSET k 0 a b c", "ARDEL k 0 2 9"], {1: b"b"}, None),
        (["ARSET k 0 a b c d e", "ARDELRANGE k 3 2 0 0"], {1: b"b", 4: b"e"}, None),
        ([f"ARSET k {LAST} a", "ARSET k 3 b c", f"ARDELRANGE k 4 {LAST}"], {3: b"b"}, None),
        (["ARINSERT k a b", "ARINSERT k c"], {0: b"a", 1: b"b", 2: b"c"}, 2),
        (["ARSET k 4 a", "ARINSERT k b"], {4: b"a", 0: b"b"}, 0),
        (["ARINSERT k a", "ARSEEK k 5", "ARINSERT k b"], {0: b"a", 5: b"b"}, 5),
        (["ARINSERT k a", "ARSEEK k 0"], {0: b"a"}, None),
        ([f"ARSET k {LAST - 1} a", f"ARSEEK k {LAST}", "ARINSERT k b"], {LAST - 1: b"a", LAST: b"b"}, LAST),
        (["ARINSERT k a b", "ARDEL k 1", "ARINSERT k c"], {0: b"a", 2: b"c"}, 2),
        # a ring
        (["ARRING k 3 a b c d e"], {0: b"d", 1: b"e", 2: b"c"}, 1),
        (["ARRING k 3 a b", "ARRING k 5 c"], {0: b"a", 1: b"b", 2: b"c"}, 2),
        (["ARRING k 3 a b c d", "ARRING k 5 x"], {0: b"b", 1: b"c", 2: b"d", 3: b"x"}, 3),
        (["ARRING k 4 a b c d e", "ARRING k 2 x"], {0: b"x", 1: b"e"}, 0),
        (["ARSET k 0 a b c d e f", "ARRING k 3 x"], {0: b"x", 1: b"e", 2: b"f"}, 0),
        (["ARSET k 0 a b c d e f", "ARDEL k 4", "ARRING k 3 x"], {0: b"f", 1: b"x"}, 1),
        (["ARSET k 0 a b c d e f", "ARSEEK k 3", "ARRING k 4 x"], {0: b"x", 1: b"a", 2: b"b", 3: b"c"}, 0),
        (["ARSET k 0 a b c d", "ARSEEK k 3", "ARRING k 4 x"], {0: b"a", 1: b"b", 2: b"c", 3: b"x"}, 3),
        (["ARSET k 1 a b", "ARSEEK k 5", "ARRING k 4 x"], {1: b"x", 2: b"b"}, 1),
        (["ARSET k 0 a b c d", f"ARSEEK k {LAST + 1}", "ARRING k 3 x"], {0: b"x", 1: b"b", 2: b"c"}, 0),
    ],
)
def test_elements_and_cursor(commands, elements, insert_index):
    assert made(*commands) == (elements, insert_index)


@pytest.mark.parametrize(
    "command",
    [
        "ARSET k -1 x",
        f"ARSET k {LAST + 1} x",
        f"ARSET k {LAST} x y",
        "ARSET k x y",
        "ARMSET k 1 x 2",
        "ARMSET k 1 x y z",
        "ARDEL k 7 x",
        "ARDELRANGE k 7",
        "ARDELRANGE k 7 7 7",
        "ARDELRANGE k 7 x",
        "ARRING k 0 x",
        "ARRING k -1 x",
        "ARRING k x x",
        "ARSEEK k x",
        f"ARSEEK k {LAST + 2}",
        "SADD k x",
    ],
)
def test_commands_that_fail_change_nothing(command):
    assert made("ARSET k 7 a", command) == ({7: b"a"}, None)


def test_an_insert_after_the_last_index_fails():
    assert made("ARSET k 7 a", f"ARSEEK k {LAST}", "ARINSERT k x y") == ({7: b"a"}, LAST - 1)
    assert made("ARSET k 7 a", f"ARSEEK k {LAST + 1}", "ARINSERT k x") == ({7: b"a"}, LAST)


def test_an_array_without_elements_is_removed():
    assert made("ARSET k 0 a b", "ARDEL k 0 1") is None
    assert made("ARSET k 0 a b", "ARDELRANGE k 0 5") is None
    assert made("ARINSERT k a", "ARDEL k 0", "ARINSERT k b") == ({0: b"b"}, 0)
    assert made("ARSEEK k 5") is None
    assert made("ARRING k 0 a") is None


def test_a_command_on_another_type_fails():
    commands = [
        "SET k v",
        "ARSET k 0 a",
        "ARMSET k 0 a",
        "ARDEL k 0",
        "ARDELRANGE k 0 0",
        "ARINSERT k a",
        "ARRING k 3 a",
    ]
    assert replayed(*commands)[b"k"].value == b"v"


@pytest.mark.parametrize(
    ("text", "index"),
    [
        (b"007", 7),
        (b"+7", 7),
        (b" 7", 7),
        (b"-0", 0),
        (b"-07", (1 << 64) - 7),
        (b"-7", None),
        (b"7 ", None),
        (b"0x7", None),
    ],
)
def test_how_an_index_is_read(text, index):
    assert made(("ARSET", "k", text, "a")) == (None if index is None else ({index: b"a"}, None))


@pytest.mark.parametrize(
    ("text", "element"),
    [
        (b"0", 0), (b"-1", -1), (b"01", b"01"), (b"+1", b"+1"), (b"-0", b"-0"), (b"", b""),
        (b"2305843009213693951", (1 << 61) - 1), (b"2305843009213693952", b"2305843009213693952"),
        (b"-2305843009213693952", -(1 << 61)), (b"-2305843009213693953", b"-2305843009213693953"),
        (b"1.5", 1.5), (b"1.0", 1.0), (b"-0.5", -0.5), (b"1.50", b"1.50"), (b".5", b".5"), (b"5.", b"5."),
        (b"0.1", b"0.1"), (b"0.30000000000000004", 0.30000000000000004), (b"2.718281828459045", b"2.718281828459045"),
        (b"100000000000000000.0", 1e17), (b"18446744073709552000.0", 18446744073709552000.0),
        (b"18446744073709551616.0", b"18446744073709551616.0"), (b"10000000000000000000.0", b"10000000000000000000.0"),
        (b"2305843009213693952.0", 2305843009213693952.0), (b"9223372036854775808.0", b"9223372036854775808.0"),
        (b"0.001953125", 0.001953125), (b"0.000244140625", b"0.000244140625"), (b"1e5", b"1e5"), (b"inf", b"inf"),
    ],
)  # fmt: skip
def test_which_texts_are_stored_as_numbers(text, element):
    (found,) = made(("ARSET", "k", "0", text))[0].values()
    assert (type(found), found) == (type(element), element)
