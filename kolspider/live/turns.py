"""When each call may be made: by the pace, and by the caps of the run."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, TypeVar

from kolspider.errors import CapReached, NotAsked

if TYPE_CHECKING:
    from collections.abc import Callable

    from kolspider.live.bill import Bill
    from kolspider.live.pace import Pace
    from kolspider.live.stop import Stop

__all__ = ["Turns"]

_Answer = TypeVar("_Answer")


class Turns:
    """The turns of one process. Moments are seconds on the clock of its pace."""

    def __init__(self, pace: Pace, bill: Bill, stop: Stop) -> None:
        self.pace = pace
        self._bill = bill
        self._stop = stop
        self._lock = asyncio.Lock()

    async def take(self, handle: str, dearest: int) -> float:
        """Wait for the turn of a call about a KOL, that can cost `dearest` credits; about nobody if `handle` is empty.

        Returns the moment at which it is sent. Raises NotAsked if the run stops first.
        """
        async with self._lock:
            while (wait := self.pace.next_at - time.monotonic()) > 0:
                await self._stop.sleep(wait)
            while self._bill.reached_cap(dearest) and self._bill.is_open and not self._stop.is_set():
                await self._bill.settled()
            self._refuse(self._bill.reached_cap(dearest))
            self._bill.send(dearest)
            now = time.monotonic()
            self.pace.sent(now)
            return now

    async def reached_cap(self, dearest: int) -> str:
        """Say which cap leaves no room for a call that can cost this much; empty if none does."""
        return self._bill.reached_cap(dearest)

    async def change(self, do: Callable[[Pace, float], _Answer]) -> _Answer:
        """Tell the pace what an answer says: `do` gets it with the moment that is now. Returns what it returns."""
        return do(self.pace, time.monotonic())

    def _refuse(self, reached_cap: str) -> None:
        """Stop the run for this reason, if there is one. Raises NotAsked if it is stopping, for this or another."""
        if reached_cap and not self._stop.is_set():
            self._stop.fail(CapReached(reached_cap))
        if self._stop.is_set():
            raise NotAsked("the run is stopping")
