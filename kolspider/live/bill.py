"""What the calls of a run cost, by the provider's price list, and whether its caps leave room for another one."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from kolspider.console.wording import counted

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
        provider = config.provider
        self._dearest = max(map(provider.price, range(provider.page_size + 1)))
        self._credit_usd = config.credit_usd
        self._max_calls, self._max_usd = arguments.max_calls, arguments.max_usd
        self._max_credits = arguments.max_credits(config.credit_usd)
        self._open = 0
        """Calls whose price is not known yet."""
        self._news = asyncio.Event()
        stop.on_stop(self._news.set)

    def send(self) -> None:
        """Count a call that is about to be sent."""
        self._tally.calls += 1
        self._open += 1

    def take_back(self) -> None:
        """Count a call as none: it never left the machine."""
        self._tally.calls -= 1
        self._settle(0)

    def charge(self, credits_: int) -> None:
        """Record what a call cost."""
        self._settle(credits_)

    def charge_dearest(self) -> None:
        """Record that a call was perhaps charged, and nobody knows what: its answer was lost, or arrived broken."""
        self._settle(self._dearest)

    def close(self) -> None:
        """Charge the calls that a second Ctrl-C cut off: their answers are lost."""
        while self._open:
            self.charge_dearest()

    @property
    def is_open(self) -> bool:
        """Whether the price of a call is not known yet, so that there may be more room soon."""
        return self._open > 0

    async def settled(self) -> None:
        """Wait until the price of an open call is known, or the run stops."""
        self._news.clear()
        await self._news.wait()

    def reached_cap(self) -> str:
        """Say which cap leaves no room for another call; empty if none does."""
        if self._max_calls == 0:
            return "no API call is allowed (-a max_calls=0), and work is left"
        if self._max_calls is not None and self._tally.calls >= self._max_calls:
            return f"the cap of {counted(self._max_calls, 'API call')} is reached and work is left (-a max_calls)"
        if self._tally.credits + (self._open + 1) * self._dearest > self._max_credits:
            spent = self._tally.credits * self._credit_usd
            return (
                f"the next call could cost more than is left of the cap of ${self._max_usd:g}, of which ${spent:.4f} "
                "is spent, and work is left (-a max_usd)"
            )
        return ""

    def _settle(self, credits_: int) -> None:
        self._open -= 1
        self._tally.credits += credits_
        self._news.set()
