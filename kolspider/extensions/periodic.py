"""The base of extensions that do something every few seconds."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from contextlib import suppress
from typing import TYPE_CHECKING

from scrapy import signals

from kolspider.errors import NotAsked
from kolspider.run.run import run_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable
    from typing import Self

    from scrapy.crawler import Crawler

    from kolspider.run.run import Run

__all__ = ["Periodic", "after_each"]


class Periodic:
    """An extension with a task that ends with the crawl."""

    task: asyncio.Task[None] | None = None

    def __init__(self, run: Run, crawler: Crawler) -> None:
        self.run = run
        self.crawler = crawler

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Self:
        """Connect the extension to the beginning and the end of the crawl."""
        extension = cls(run_of(crawler), crawler)
        crawler.signals.connect(extension.spider_opened, signal=signals.spider_opened)
        crawler.signals.connect(extension.spider_closed, signal=signals.spider_closed)
        return extension

    @abstractmethod
    async def spider_opened(self) -> None:
        """Begin the task, in the crawl's event loop."""

    def spider_closed(self) -> None:
        """End the task."""
        if self.task is not None:
            self.task.cancel()


async def after_each(waits: Iterable[float], do: Callable[[], Awaitable[None]]) -> None:
    """Await `do` after each of these waits, in seconds, until it raises NotAsked."""
    with suppress(NotAsked):
        for seconds in waits:
            await asyncio.sleep(seconds)
            await do()
