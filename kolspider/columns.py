"""Text in columns, each as wide as what stands in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

__all__ = ["in_columns", "plain"]


def in_columns(heads: Sequence[str], rows: Collection[Sequence[str]], *, numbers: Collection[str]) -> Iterator[str]:
    """The heads and the rows, two blanks apart. numbers: the heads of the columns that are flush right."""
    widths = list(map(len, heads))
    for row in rows:
        widths = list(map(max, widths, map(len, row)))
    layout = "  ".join(
        f"{{:{'>' if head in numbers else '<'}{width}}}" for head, width in zip(heads, widths, strict=True)
    )
    for row in (heads, *rows):
        yield layout.format(*row).rstrip()


def plain(text: str | None) -> str:
    """On one line, and without what a terminal would take for a command."""
    return "".join(char if char.isprintable() else " " for char in text or "").strip()
