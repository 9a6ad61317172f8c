"""What the customer's account says that a run cost: what it held before, less what it holds afterwards."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from kolspider.providers.base import Balance

__all__ = ["Statement"]


class Statement(Struct):
    """The account before and after a run. It is everybody's who has the key, so it may tell of others' calls, too."""

    credit_usd: float
    before: Balance | None = None
    """None if it was not asked for, or did not come."""
    after: Balance | None = None
    next_call_at: float = float("-inf")
    """When the next call may follow the one for the balance, in seconds on the monotonic clock."""

    @property
    def credits(self) -> float | None:
        """Credits that went; None where that is not known, as of an account that was topped up meanwhile."""
        if self.before is None or self.after is None or self.after.credits > self.before.credits:
            return None
        return self.before.credits - self.after.credits

    @property
    def usd(self) -> float | None:
        """The same in dollars."""
        if self.credits is None or self.before is None or self.after is None:
            return None
        return self.before.worth(self.credit_usd) - self.after.worth(self.credit_usd)
