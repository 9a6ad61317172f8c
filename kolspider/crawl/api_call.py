"""What a request asks the API for, and its answer: the one object of ours in `request.meta`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Mapping

    from scrapy import Request

    from kolspider.providers.base import ApiError, ApiErrorKind, Provider

__all__ = ["ApiCall"]

_KEY = "kolspider_call"


@dataclass(slots=True, kw_only=True)
class ApiCall(ABC):
    """A call of the API. Copies of a request share it, so a repeated request knows what came before."""

    asked_again: int = 0
    """Retries of the request so far."""
    sent_at: float = 0.0
    """When it was sent last, in seconds on the monotonic clock; 0 if it never was."""
    failures: Counter[ApiErrorKind] = field(default_factory=Counter)
    """How often it was answered with each kind of error."""
    answer: Any = None
    """The last answer of the API or the cache, as the provider reads it: what was asked for, or an ApiError."""

    @property
    @abstractmethod
    def who(self) -> str:
        """Whom the call is about: the name of a KOL, or what a call for several has in its place."""

    @property
    @abstractmethod
    def what(self) -> str:
        """What the call is for, such as `page 3`."""

    @property
    def label(self) -> str:
        """The beginning of a line about the call."""
        return f"KOL {self.who}: {self.what}"

    @abstractmethod
    def read(self, provider: Provider, status: int, body: bytes, headers: Mapping[str, str]) -> object | ApiError:
        """Return the answer as the provider reads it."""

    @abstractmethod
    def price(self, provider: Provider) -> int:
        """Return the credits of the good answer that came."""

    @abstractmethod
    def dearest(self, provider: Provider) -> int:
        """Return the most credits that the call can cost."""

    def meta(self, api_url: str) -> dict[str, object]:
        """Return the meta of a request for this call to the API at this address."""
        # An HTTP proxy would see the key; of https:// it sees only a tunnel.
        no_proxy: dict[str, object] = {"proxy": None} if api_url.startswith("http:") else {}
        return {_KEY: self, **no_proxy}

    @classmethod
    def of(cls, request: Request) -> Self | None:
        """Return the call of this kind that a request makes; None if it makes none."""
        found = request.meta.get(_KEY)
        return found if isinstance(found, cls) else None
