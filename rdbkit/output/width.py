"""Display width of text on a terminal: wide characters take two columns, combining ones none."""

from __future__ import annotations

from textwrap import wrap

#: Follows each wide character while lines are wrapped; text for a terminal never contains it.
_FILL = "\x00"


def display_width(text: str) -> int:
    """Return the display width of text: two columns for wide characters, none for combining ones."""
    if text.isascii():
        return len(text)
    from unicodedata import combining, east_asian_width

    return sum(0 if combining(char) else 2 if east_asian_width(char) in "WF" else 1 for char in text)


def cut(text: str, width: int) -> str:
    """Return text cut to at most `width` columns, with "…" if something was cut."""
    if display_width(text) <= width:
        return text
    kept = text[: width - 1]
    while display_width(kept) > width - 1:
        kept = kept[:-1]
    return kept + "…"


def pad(text: str, width: int, left: bool) -> str:
    """Return text padded with spaces to `width` columns."""
    fill = " " * (width - display_width(text))
    return text + fill if left else fill + text


def wrapped(text: str, width: int, first: str, later: str, *, breaks: bool = True) -> list[str]:
    """Return text wrapped to `width` columns, with these indents; `breaks`: words longer than a line are split."""
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
