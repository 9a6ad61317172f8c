"""Notes in the store what the run has done so far, until the crawl is over."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

from scrapy import signals

from kolspider.errors import NotAsked
from kolspider.run.run import run_of

if TYPE_CHECKING:
    from scrapy.crawler import Crawler

__all__ = ["KeepHistory"]

_FIRST, _LONGEST = 0.5, 10.0
"""Seconds between two notes: each wait is twice the one before, up to the longest."""


class KeepHistory:
    """Lets a killed run's row show what it did up to seconds before, and that it is dead."""

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> KeepHistory:
        """Connect it to the beginning and the end of the crawl."""
        extension = cls(crawler)
        crawler.signals.connect(extension.spider_opened, signal=signals.spider_opened)
        crawler.signals.connect(extension.spider_closed, signal=signals.spider_closed)
        return extension

    def __init__(self, crawler: Crawler) -> None:
        self._crawler = crawler
        self._task: asyncio.Task[None] | None = None

    def spider_opened(self) -> None:
        """Begin, in the crawl's event loop."""
        self._task = asyncio.ensure_future(self._keep())

    def spider_closed(self) -> None:
        """End; the crawl command writes the last note."""
        if self._task is not None:
            self._task.cancel()

    async def _keep(self) -> None:
        run, wait = run_of(self._crawler), _FIRST
        with suppress(NotAsked):  # the disk is unusable, and the run stops for that
            while True:
                await asyncio.sleep(wait)
                wait = min(wait * 2, _LONGEST)
                run.tally.write_to(self._crawler.stats)
                with run.disk.guard():
                    run.history.note()
