"""Text in columns, each as wide as the cells of its first rows."""

from __future__ import annotations

from itertools import chain, islice
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

__all__ = ["in_columns", "labelled", "plain"]


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


def plain(text: str | None) -> str:
    """Return the text on one line, without control characters."""
    return "".join(char if char.isprintable() else " " for char in text or "").strip()
