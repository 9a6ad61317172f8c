"""Text in columns, each as wide as what stands in its first rows."""

from __future__ import annotations

from itertools import chain, islice
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

__all__ = ["in_columns", "labelled", "plain"]


_LOOKED_AT = 1000
"""Rows: what is wider further on pushes its own line."""


def in_columns(heads: Sequence[str], rows: Iterable[Sequence[str]], *, numbers: Collection[str]) -> Iterator[str]:
    """The heads and the rows, two blanks apart. numbers: the heads of the columns that are flush right."""
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
    """On one line, and without what a terminal would take for a command."""
    return "".join(char if char.isprintable() else " " for char in text or "").strip()
