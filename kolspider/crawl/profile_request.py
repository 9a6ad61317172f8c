"""A call for the profiles of accounts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kolspider.crawl.api_call import ApiCall

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kolspider.providers.base import ApiError, Profile, ProfileCall, Provider

__all__ = ["ProfileRequest"]


@dataclass(slots=True)
class ProfileRequest(ApiCall):
    """The profiles of some accounts."""

    call: ProfileCall
    accounts: Sequence[str]
    """Their handles, or their ids, as the call takes them."""

    @property
    def who(self) -> str:
        """Return the account, or how many there are."""
        return self.accounts[0] if len(self.accounts) == 1 else f"{len(self.accounts)} accounts"

    @property
    def what(self) -> str:
        """Return what is asked of them."""
        return "profile" if len(self.accounts) == 1 else "profiles"

    @property
    def label(self) -> str:
        """Return what the call is for, because it need not be about a KOL."""
        return f"{self.what} of {self.who}"

    def read(
        self, provider: Provider, status: int, body: bytes, headers: Mapping[str, str]
    ) -> list[Profile] | ApiError:
        """Return the profiles, or the error."""
        return self.call.parse(status, body, headers)

    def price(self, provider: Provider) -> int:
        """Return the credits of the profiles that came."""
        return self.call.price(len(self.accounts), len(self.answer))

    def dearest(self, provider: Provider) -> int:
        """Return the credits of the call, however many of the profiles come."""
        asked = len(self.accounts)
        return max(self.call.price(asked, found) for found in range(asked + 1))
