from __future__ import annotations

import base64
import json
import unicodedata
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rdbkit.output import text

from .data import DATA

FORMS = st.sampled_from(text.FORMS)

ROWS = [
    (b"user:1", "user:1"),
    ("schlüssel".encode(), "schlüssel"),
    (b"user:\xff\n", "user:\\xff\n"),
    (b"C:\\temp", "C:\\temp"),
    (b"\\x41", "\\x5cx41"),
    (b"\\xAf", "\\x5cxAf"),
    (b"\\\\x41", "\\\\x5cx41"),
    (b"\\xg1", "\\xg1"),
    (b"\\\xff", "\\\\xff"),
    (b"\xe2\x82", "\\xe2\\x82"),
    (b"\xed\xa0\x80", "\\xed\\xa0\\x80"),  # a surrogate is not valid UTF-8
    (b"\xc0\x80", "\\xc0\\x80"),
    (b"\\udcff\xff", "\\udcff\\xff"),
    (b"", ""),
]


@pytest.mark.parametrize(("data", "shown"), ROWS)
def test_text_form(data: bytes, shown: str) -> None:
    assert text.printable(data) == shown
    assert text.undo(shown) == data


@given(DATA)
def test_undo_is_the_inverse(data: bytes) -> None:
    assert text.undo(text.printable(data)) == data
    assert text.undo(text.terminal(text.printable(data))) == data
    assert text.undo(text.csv_cell(text.printable(data))) == data
    assert text.undo(text.csv_cell(text.terminal(text.printable(data)))) == data


@given(DATA)
def test_the_fast_path_gives_the_same(data: bytes) -> None:
    plain = text._AMBIGUOUS.sub(rb"\\x5c", data).decode("utf-8", "backslashreplace")
    assert text.printable(data) == plain


@given(DATA, DATA)
def test_distinct_bytes_have_distinct_texts(one: bytes, other: bytes) -> None:
    assert (one == other) == (text.printable(one) == text.printable(other))


def test_undo_takes_what_people_type() -> None:
    assert text.undo("\\xFF\\x5Cx") == b"\xff\\x"
    assert text.undo("raw \udcfe") == b"raw \xfe"


TERMINAL = [
    ("\x1b[31m", "\\x1b[31m"),
    ("a\nb\x7f", "a\\x0ab\\x7f"),
    ("\x9b", "\\xc2\\x9b"),
    ("\u202e", "\\xe2\\x80\\xae"),
    ("\u2069", "\\xe2\\x81\\xa9"),
    ("日本 ä", "日本 ä"),
    ("a\u2028b", "a\\xe2\\x80\\xa8b"),
]


@pytest.mark.parametrize(("given", "shown"), TERMINAL)
def test_terminal(given: str, shown: str) -> None:
    assert text.terminal(given) == shown


@pytest.mark.parametrize("category", ["Cc", "Cf", "Zl", "Zp"])
def test_nothing_invisible_reaches_a_terminal(category: str) -> None:
    """Of these categories every character is escaped, in JSON too, and comes back."""
    chars = [char for char in map(chr, range(0x110000)) if unicodedata.category(char) == category]
    assert chars
    for char in chars:
        shown = text.terminal(f"a{char}b")
        assert shown.isascii()
        assert shown.isprintable()
        assert text.undo(shown) == f"a{char}b".encode()
    quoted = json.dumps("".join(chars), ensure_ascii=False)
    assert text.json_safe(quoted).isascii()
    assert json.loads(text.json_safe(quoted)) == "".join(chars)


@pytest.mark.parametrize("char", ["\ufe0f", "\u3164", "\u115f", "\U000e0061", "\U000e0100", "\u180f", "\u034f"])
def test_selectors_and_fillers_are_invisible_too(char: str) -> None:
    assert text.terminal(char) == text.hexed(char)


@pytest.mark.parametrize("seen", ["völlig", "\u00a0", "e\u0301", "日本", "😀", "\u3000"])
def test_what_is_seen_stays(seen: str) -> None:
    assert text.terminal(seen) == seen


@pytest.mark.parametrize("sign", [*"=+-@", "\uff1d"])
@pytest.mark.parametrize("before", ["", " ", "\n", '"', "'", ' \t"', "\u00a0", "\ufeff", " " * 70_000])
def test_formulas_after_blanks_and_quotes(before: str, sign: str) -> None:
    """The first character is escaped; in pieces, of any size, the cell is the same."""
    cell = f"{before}{sign}1"
    shown = text.csv_cell(cell)
    assert shown == text.hexed(cell[0]) + cell[1:]
    assert text.undo(shown) == cell.encode()
    for size in (1, 7, 1 << 16):
        pieces = [cell[at : at + size] for at in range(0, len(cell), size)]
        assert "".join(text.csv_pieces(pieces)) == shown


@pytest.mark.parametrize("cell", ["", " ", "\n", '"', "  a=1", "\nb", "'quoted'", "a\n=1"])
def test_what_is_no_formula_stays(cell: str) -> None:
    assert text.csv_cell(cell) == cell
    assert "".join(text.csv_pieces(list(cell))) == cell


@pytest.mark.parametrize("first", "=+-@\t\r")
def test_csv_cell(first: str) -> None:
    assert text.csv_cell(first + "1") == f"\\x{ord(first):02x}1"
    assert text.csv_cell("a" + first) == "a" + first
    assert text.csv_cell("") == ""


@given(st.dictionaries(st.text(max_size=5), st.text(max_size=5)))
def test_json_safe_changes_no_meaning(value: dict[str, str]) -> None:
    shown = text.json_safe(json.dumps(value, ensure_ascii=False))
    assert json.loads(shown) == value
    assert text.terminal(shown) == shown


@given(DATA)
def test_forms(data: bytes) -> None:
    assert text.encoder("escape")(data) == text.printable(data)
    assert base64.b64decode(text.encoder("base64")(data)) == data
    assert bytes.fromhex(text.encoder("hex")(data)) == data


@given(DATA, FORMS, st.lists(st.integers(0, 40), max_size=6))
def test_a_stream_gives_the_text_of_the_whole(data: bytes, form: str, cuts: list[int]) -> None:
    at = sorted({0, *(min(cut, len(data)) for cut in cuts), len(data)})
    slices = [data[a:b] for a, b in pairwise(at)]
    whole = text.encoder(form)(data)
    assert "".join(text.TextStream(form).texts(slices)) == whole
    assert "".join(text.TextStream(form).texts([data[i : i + 1] for i in range(len(data))])) == whole


@given(DATA.flatmap(lambda data: st.sampled_from([data, data * 40, b"long and clean \xc3\xa4 " * 5 + data])), FORMS)
def test_json_string(data: bytes, form: str) -> None:
    assert json.loads(text.json_string(data, form)) == text.encoder(form)(data)


@given(st.lists(DATA, max_size=6), FORMS)
def test_batches(items: list[bytes], form: str) -> None:
    shown = [text.encoder(form)(item) for item in items]
    assert text.texts(items, form) == shown
    assert list(map(json.loads, text.json_strings(items, form))) == shown
    assert json.loads(f"[{text.json_joined(items, form)}]") == shown
    pairs = list(zip(items, reversed(items)))
    members = json.loads(f"{{{text.json_pairs(pairs, form)}}}", object_pairs_hook=list)
    assert members == list(zip(shown, reversed(shown))) or (not pairs and members == [])


NUMBERS = [
    (3.0, "3"),
    (1.5, "1.5"),
    (-0.0, "-0.0"),
    (1e17, "1e+17"),
    (10, "10"),
    (5e-324, "5e-324"),
    (float("inf"), '"inf"'),
    (float("-inf"), '"-inf"'),
    (float("nan"), '"nan"'),
]


@pytest.mark.parametrize(("number", "shown"), NUMBERS)
def test_json_number(number: float, shown: str) -> None:
    assert text.json_number(number) == shown


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_json_numbers_lose_nothing(number: float) -> None:
    assert repr(float(json.loads(text.json_number(number)))) == repr(number)


@given(st.lists(st.floats() | st.sampled_from([10.0, -10.0, 0.0, -0.0, 1e16, 1e15]), max_size=5))
def test_many_numbers(numbers: list[float]) -> None:
    assert text.json_numbers(numbers) == list(map(text.json_number, numbers))


def test_path_text() -> None:
    assert text.path_text("dump.rdb") == "dump.rdb"
    assert text.path_text("d\udcff\\x41.rdb") == "d\\xff\\x5cx41.rdb"
