"""What cards are made of: a heading, tables, rows with a bar, what is folded away."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kolspider.report.html import Html, element

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["bar_row", "bars", "details", "section", "table"]


def section(name: str, title: str, *content: Html | str | None, wide: bool = False) -> Html:
    """A card with a heading."""
    return element(
        "section", element("h2", title, id=name), *content, class_="card wide" if wide else "card", aria_labelledby=name
    )


def bars(caption: str, heads: Sequence[str], rows: Sequence[Html]) -> Html:
    return table(caption, heads, rows, "bars")


def bar_row(name: Html | str, bar: Html, number: str) -> Html:
    return element(
        "tr", element("th", name, scope="row"), element("td", bar, class_="bar"), element("td", number, class_="n")
    )


def table(caption: str, heads: Sequence[str], rows: Sequence[Html], class_: str) -> Html:
    head = element("tr", *(element("th", name, scope="col") if name else element("td") for name in heads))
    return element(
        "table",
        element("caption", caption) if caption else None,
        element("thead", head),
        element("tbody", *rows),
        class_=class_,
    )


def details(summary: str, *content: Html) -> Html:
    return element("details", element("summary", summary), *content)
