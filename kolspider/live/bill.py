"""What the calls of a run cost, by the provider's price list, and whether its caps leave room for another one."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from kolspider.console.wording import counted
from kolspider.providers.base import dearest_page

if TYPE_CHECKING:
    from kolspider.live.stop import Stop
    from kolspider.live.tally import Tally
    from kolspider.options.arguments import Arguments
    from kolspider.options.config import Config

__all__ = ["Bill"]


class Bill:
    """Counts calls and credits. A call costs the dearest that its answer can until that is known."""

    def __init__(self, arguments: Arguments, config: Config, stop: Stop, tally: Tally) -> None:
        self._tally = tally
        self.dearest_page = dearest_page(config.provider, config.provider.page_size)
        self._credit_usd = config.credit_usd
        self._max_calls, self._max_usd = arguments.max_calls, arguments.max_usd
        self._max_credits = arguments.max_credits(config.credit_usd)
        self._open = 0
        """Calls whose price is not known yet."""
        self._reserved = 0
        """Credits that they can cost at most."""
        self._news = asyncio.Event()
        stop.on_stop(self._news.set)

    def send(self, dearest: int) -> None:
        """Count a call that is about to be sent; `dearest` is the most credits that it can cost."""
        self._tally.calls += 1
        self._open += 1
        self._reserved += dearest

    def take_back(self, dearest: int) -> None:
        """Count a call as none: it never left the machine."""
        self._tally.calls -= 1
        self.charge(0, dearest)

    def charge(self, credits_: int, dearest: int) -> None:
        """Record what a call cost.

        It is the dearest, too, if the call was perhaps charged, and nobody knows what: its answer was lost, or arrived
        broken.
        """
        self._open -= 1
        self._reserved -= dearest
        self._tally.credits += credits_
        self._news.set()

    def close(self) -> None:
        """Charge the calls that a second Ctrl-C cut off: their answers are lost."""
        self._tally.credits += self._reserved
        self._open = self._reserved = 0

    @property
    def is_open(self) -> bool:
        """Whether the price of a call is not known yet, so that there may be more room soon."""
        return self._open > 0

    async def settled(self) -> None:
        """Wait until the price of an open call is known, or the run stops."""
        self._news.clear()
        await self._news.wait()

    def reached_cap(self, dearest: int) -> str:
        """Say which cap leaves no room for a call that can cost this much; empty if none does."""
        return self.reached(self._tally.calls, self._tally.credits, self._reserved, dearest)

    def reached(self, calls: int, credits_: int, reserved: int, dearest: int) -> str:
        """Say so of a run with so many calls and credits, and credits that are reserved for open calls."""
        if self._max_calls == 0:
            return "no API call is allowed (-a max_calls=0), and work is left"
        if self._max_calls is not None and calls >= self._max_calls:
            return f"the cap of {counted(self._max_calls, 'API call')} is reached and work is left (-a max_calls)"
        if credits_ + reserved + dearest > self._max_credits:
            spent = credits_ * self._credit_usd
            return (
                f"the next call could cost more than is left of the cap of ${self._max_usd:g}, of which ${spent:.4f} "
                "is spent, and work is left (-a max_usd)"
            )
        return ""
