"""Scrapy's crawler, connected to the stop of its run."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from scrapy.crawler import Crawler

if TYPE_CHECKING:
    from kolspider.live.stop import Stop

__all__ = ["RunCrawler"]


class RunCrawler(Crawler):
    """Closes the spider when the run fails, and stops the run on Ctrl-C.

    Scrapy has no signal for Ctrl-C itself: `spider_closed` comes only when all requests have ended.
    """

    _stop: Stop
    _closing: asyncio.Task[None] | None = None

    def stop_with(self, stop: Stop) -> None:
        """Connect this crawl to its run, before the crawl starts."""
        self._stop = stop
        stop.on_stop(self._close)

    def _close(self) -> None:
        if self._stop.error is not None and self.crawling:
            self._closing = asyncio.ensure_future(self.engine.close_spider_async(reason="stopped"))

    async def stop_async(self) -> None:
        """Stop the run, then the crawl. Scrapy calls this on Ctrl-C, and when a crawl has ended by itself."""
        self._stop.set()
        await super().stop_async()
