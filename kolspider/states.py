"""The states of a KOL's list, as the ledger, the stats and the commands name them."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["State"]


class State(StrEnum):
    """Where a KOL stands: on the way (new, fetching, fetched) or ended (the other four)."""

    NEW = "new"
    """Chosen, nothing asked yet."""
    FETCHING = "fetching"
    """Begun; the list is not whole in the cache."""
    FETCHED = "fetched"
    """The list is whole in the cache, not yet in this target."""
    COMPLETE = "complete"
    """The whole list is committed in the target; 0 users is complete too."""
    PARTIAL = "partial"
    """The API stopped making sense before the end of the list: what came is kept, the rest is unknown."""
    NOT_FOUND = "not_found"
    """The API says that there is no such account, or that it is suspended."""
    FAILED = "failed"
    """Network or server errors outlasted the retries."""
