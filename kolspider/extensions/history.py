"""Writes what the run has done so far into the history, every few seconds."""

from __future__ import annotations

import asyncio
from itertools import chain, repeat

from kolspider.extensions.periodic import Periodic, after_each

__all__ = ["KeepHistory"]

_WAITS = (0.5, 1, 2, 4, 8)
_LONGEST_WAIT = 10.0
"""Seconds between two notes, after the first waits."""


class KeepHistory(Periodic):
    """Lets the history show what a killed run did up to a few seconds before its end."""

    async def spider_opened(self) -> None:
        """Begin; the crawl command writes the last note."""
        self.task = asyncio.ensure_future(after_each(chain(_WAITS, repeat(_LONGEST_WAIT)), self._note))

    async def _note(self) -> None:
        self.run.tally.write_to(self.crawler.stats)
        history, done = self.run.history, self.run.history.counters()
        await self.run.store.ask(lambda: history.note(done))
