"""The followings APIs that can be asked: one file an API, found by name here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kolspider.errors import WrongUsage
from kolspider.providers.twitterapi_io import TwitterApiIo

if TYPE_CHECKING:
    from kolspider.providers.base import Provider

__all__ = ["provider"]

_PROVIDERS: dict[str, Provider] = {adapter.name: adapter for adapter in (TwitterApiIo(),)}


def provider(name: str) -> Provider:
    """Return the adapter of this name. Raises WrongUsage if there is none."""
    try:
        return _PROVIDERS[name]
    except KeyError:
        known = ", ".join(sorted(_PROVIDERS))
        raise WrongUsage(f"KOL_API_PROVIDER: no provider {name!r}; known: {known}") from None
