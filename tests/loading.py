"""The pages that a run would load, as it asks for them: one after the other."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kolspider.store.pages import CachedPage, Pages

__all__ = ["of_selected", "waiting"]


def waiting(pages: Pages) -> Iterator[CachedPage]:
    """Yield the pages that wait to be loaded."""
    pages.choose_waiting()
    yield from _chosen(pages)


def of_selected(pages: Pages) -> Iterator[CachedPage]:
    """Yield every page of the selected KOLs."""
    pages.choose_all()
    yield from _chosen(pages)


def _chosen(pages: Pages) -> Iterator[CachedPage]:
    seq = 0
    while page := pages.next_to_load(seq):
        seq = page.seq
        yield page
