"""What a request asks for, and what came of it: the one object that travels in `request.meta`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from scrapy import Request

    from kolspider.items import Kol
    from kolspider.providers.base import ApiError, Page

__all__ = ["AskedPage"]

_KEY = "kolspider_page"


@dataclass(slots=True)
class AskedPage:
    """A page of a KOL's list. Copies of a request share it, so a repeated request knows what came before."""

    kol: Kol
    generation: int
    cursor: str
    """Empty for the first page."""
    number: int
    """1 for the first page."""
    asked_again: int = 0
    """How often the request was repeated after a failure."""
    answer: Page | ApiError | None = None
    """What the API, or the cache, answered last."""
    seq: int | None = None
    """Where the page stands in the cache; None before it is stored, or if it could not be."""
    fetched_at: float = 0.0
    """When the page was bought, in unix seconds."""

    def meta(self) -> dict[str, object]:
        """Return the meta of a request for this page."""
        return {_KEY: self}

    @staticmethod
    def of(request: Request) -> AskedPage | None:
        """Return the page that a request asks for; None if it is not a request to the API."""
        found = request.meta.get(_KEY)
        return found if isinstance(found, AskedPage) else None
