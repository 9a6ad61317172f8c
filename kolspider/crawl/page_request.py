"""The page that a request is for, and its answer: the one object of ours in `request.meta`."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from scrapy import Request

    from kolspider.items import Kol
    from kolspider.providers.base import ApiError, ApiErrorKind, Page

__all__ = ["PageRequest"]

_KEY = "kolspider_page"


@dataclass(slots=True)
class PageRequest:
    """A page of a KOL's list. Copies of a request share it, so a repeated request knows what came before."""

    kol: Kol
    generation: int
    cursor: str
    """The cursor of the page; empty for the first one."""
    number: int
    """The number of the page in its list, from 1."""
    asked_again: int = 0
    """Retries of the request so far."""
    failures: Counter[ApiErrorKind] = field(default_factory=Counter)
    """How often it was answered with each kind of error."""
    answer: Page | ApiError | None = None
    """The last answer of the API or the cache."""
    seq: int | None = None
    """The number of the page in the cache; None if it is not stored."""
    fetched_at: float = 0.0
    """When the page was bought, in unix seconds."""

    def meta(self) -> dict[str, object]:
        """Return the meta of a request for this page."""
        return {_KEY: self}

    @staticmethod
    def of(request: Request) -> PageRequest | None:
        """Return the page that a request asks for; None if it is not a request to the API."""
        found = request.meta.get(_KEY)
        return found if isinstance(found, PageRequest) else None
