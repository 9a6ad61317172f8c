"""Text in columns, each as wide as the cells of its first rows; and texts of strangers, fit to be printed."""

from __future__ import annotations

import re
import unicodedata
from itertools import chain, islice
from textwrap import wrap
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

__all__ = ["LOG_COLUMNS", "UNSEEN", "cut", "in_columns", "labelled", "plain", "spreadsheet_cell", "width", "wrapped"]

UNSEEN = "\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
"""Characters, for a pattern, that command a terminal or turn the text around: C1 and bidi."""
_COMMANDS = re.compile(f"[\0-\x08\x0b\x0c\x0e-\x1f{UNSEEN}]")
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\N{FULLWIDTH EQUALS SIGN}", "\N{FULLWIDTH COMMERCIAL AT}")

LOG_COLUMNS = 69
"""Of a message: a log line, which begins with time and level, fits a terminal of 80."""
_LOOKED_AT = 1000
"""Rows that set the widths; a wider cell below them only widens its own line."""


def in_columns(heads: Sequence[str], rows: Iterable[Sequence[str]], *, numbers: Collection[str]) -> Iterator[str]:
    """Yield the lines of a table, with two spaces between columns; `numbers` are the heads of right-aligned ones."""
    rest = iter(rows)
    first = list(islice(rest, _LOOKED_AT))
    widths = list(map(len, heads))
    for row in first:
        widths = list(map(max, widths, map(len, row)))
    layout = "  ".join(
        f"{{:{'>' if head in numbers else '<'}{width}}}" for head, width in zip(heads, widths, strict=True)
    )
    for row in chain([heads], first, rest):
        yield layout.format(*row).rstrip()


def labelled(label: str, text: str) -> str:
    """Return a line of a table with two columns, such as the closing table."""
    return f"{label:<9} {text}"


def wrapped(label: str, text: str) -> Iterator[str]:
    """Yield the lines of such a table for a long text: with its label it fits a terminal of 80."""
    for nth, line in enumerate(wrap(text, 68)):
        yield labelled("" if nth else label, line)


def plain(text: str | None) -> str:
    """Return the text on one line, without control characters."""
    return "".join(char if char.isprintable() else " " for char in text or "").strip()


def spreadsheet_cell(value: object) -> object:
    """Return the value of a cell of a CSV: text that a spreadsheet would take for a formula begins with an apostrophe.

    Characters that would command a terminal are replaced. Numbers stay as they are.
    """
    if not isinstance(value, str):
        return value
    text = value if value.isprintable() else _COMMANDS.sub("\N{REPLACEMENT CHARACTER}", value)
    return f"'{text}" if text.startswith(_FORMULA) else text


def width(text: str) -> int:
    """Return how many columns of a terminal the text takes."""
    return len(text) if text.isascii() else sum(map(_width, text))


def _width(char: str) -> int:
    if unicodedata.category(char) in {"Mn", "Me", "Cf"}:
        return 0
    return 2 if unicodedata.east_asian_width(char) in {"W", "F"} else 1


def cut(text: str, columns: int) -> str:
    """Return the text cut to this many columns, with a space for each control character."""
    if not text.isprintable():
        text = "".join(char if char.isprintable() else " " for char in text)
    if width(text) <= columns:
        return text
    room = max(columns - 3, 0)
    kept = 0
    for place, char in enumerate(text):
        kept += _width(char)
        if kept > room:
            return text[:place] + "..."[: max(columns, 0)]
    return text
