"""HTML in which nothing can be forgotten to be escaped: text is text until an element says otherwise."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Html", "code", "data", "element", "join"]

_VOID = {"meta", "link", "br"}


class Html(str):
    """Text that is HTML already."""

    __slots__ = ()


def element(name: str, /, *children: str | None, **attributes: str | float | None) -> Html:
    """An element. Children that are not Html are escaped, and None is left out, among attributes too.

    An attribute's `_` stands for `-`, and a trailing one is dropped: `class_`, `aria_label`.
    """
    told = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{_escape(str(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    if name in _VOID:
        return Html(f"<{name}{told}>")
    return Html(f"<{name}{told}>{join(children)}</{name}>")


def join(parts: Iterable[str | None]) -> Html:
    """The parts one after another; those that are not Html are escaped, and None is left out."""
    return Html("".join(part if isinstance(part, Html) else _escape(part) for part in parts if part is not None))


def code(text: str) -> Html:
    """A command, or another thing to type."""
    return element("code", text)


def data(text: str) -> Html:
    """A name or a message that came from outside, in whatever script and direction."""
    return element("bdi", text)


def _escape(text: str) -> str:
    """Without control characters, which may not stand in HTML, and lone surrogates, which can't be written."""
    return html.escape("".join(char if char.isprintable() or char in "\n\t" else "\ufffd" for char in text))
