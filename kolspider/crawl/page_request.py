"""A call for a page of a list."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kolspider.crawl.api_call import ApiCall
from kolspider.providers.base import ApiError, ApiErrorKind, Page, dearest_page
from kolspider.providers.users import ids_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kolspider.items import Kol
    from kolspider.providers.base import Provider

__all__ = ["PageRequest"]

_ENOUGH = 5
"""So many users without an id, and none with one, are no accident: the API has it elsewhere."""
_MOST_PAGES = 10
"""An answer with the users of more pages than this was not asked for."""


@dataclass(slots=True)
class PageRequest(ApiCall):
    """A page of a KOL's list."""

    kol: Kol
    generation: int
    cursor: str
    """The cursor of the page; empty for the first one."""
    number: int
    """The number of the page in its list, from 1."""
    size: int
    """Number of users that are asked for."""
    seq: int | None = None
    """The number of the page in the cache; None if it is not stored."""
    fetched_at: float = 0.0
    """When the page was bought, in unix seconds."""

    @property
    def who(self) -> str:
        """Return the KOL's name."""
        return self.kol.user_name

    @property
    def what(self) -> str:
        """Return which page it is."""
        return f"page {self.number}"

    def read(self, provider: Provider, status: int, body: bytes, headers: Mapping[str, str]) -> Page | ApiError:
        """Return the page, or the error."""
        answer = provider.parse(status, body, self.cursor, headers)
        if isinstance(answer, Page) and self.seq is None and len(answer.users) > _MOST_PAGES * provider.page_size:
            return ApiError(ApiErrorKind.CONTRACT_DRIFT, f"HTTP {status}: the answer is too large for a page")
        if isinstance(answer, Page) and self.seq is None and self._has_no_ids(answer, provider):
            paths = " or ".join(provider.user_paths["id"])
            return ApiError(ApiErrorKind.CONTRACT_DRIFT, f"none of {len(answer.users)} users has an id, at {paths}")
        return answer

    @staticmethod
    def _has_no_ids(page: Page, provider: Provider) -> bool:
        if len(page.users) < _ENOUGH or any(ids_of(page.users, provider.account_id)):
            return False
        return all(provider.account_id(user) is None for user in page.users)

    def price(self, provider: Provider) -> int:
        """Return the credits of the page that came."""
        return provider.price(len(self.answer.users))

    def dearest(self, provider: Provider) -> int:
        """Return the credits of the dearest page of this size."""
        return dearest_page(provider, self.size)
