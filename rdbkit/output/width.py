"""Text by the columns that a terminal gives it: wide characters take two, combining ones none."""

from __future__ import annotations

from textwrap import wrap

#: Stands behind each wide character while lines are broken; no text that is fit for a terminal holds it.
_FILL = "\x00"


def display_width(text: str) -> int:
    """Return how many columns a terminal gives to text: two for wide characters, none for combining ones."""
    if text.isascii():
        return len(text)
    from unicodedata import combining, east_asian_width

    return sum(0 if combining(char) else 2 if east_asian_width(char) in "WF" else 1 for char in text)


def cut(text: str, width: int) -> str:
    """Return text that takes at most `width` columns, with "…" where something was cut."""
    if display_width(text) <= width:
        return text
    kept = text[: width - 1]
    while display_width(kept) > width - 1:
        kept = kept[:-1]
    return kept + "…"


def pad(text: str, width: int, left: bool) -> str:
    """Return text filled up with spaces to `width` columns."""
    fill = " " * (width - display_width(text))
    return text + fill if left else fill + text


def wrapped(text: str, width: int, first: str, later: str, *, breaks: bool = True) -> list[str]:
    """Return the lines of text in `width` columns, with these indents; `breaks`: words longer than a line are cut."""
    if not text.isascii():
        text = "".join([char + _FILL * (display_width(char) - 1) for char in text])
    lines = wrap(
        text,
        width,
        initial_indent=first,
        subsequent_indent=later,
        break_on_hyphens=False,
        break_long_words=breaks,
    )
    return [line.replace(_FILL, "") for line in lines]
