"""The end of a run before its work is done: set once, awaited by everything that waits."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import TYPE_CHECKING

from kolspider.errors import NotAsked

if TYPE_CHECKING:
    from collections.abc import Callable

    from kolspider.errors import StopRun

__all__ = ["Stop"]

logger = logging.getLogger(__name__)


class Stop:
    """Ends a run early, after an error or a Ctrl-C: no more requests are sent, and what has arrived is loaded.

    What waits for it: by `sleep` the pace (crawl/download_handler.py) and the retries (crawl/answers.py), by `on_stop`
    the writer's buffer, the spider, an outage of the database (run/opening.py) and the crawl (crawl/crawler.py).
    """

    def __init__(self) -> None:
        self.error: StopRun | None = None
        """Why the run ends; None after a Ctrl-C, or while it continues."""
        self._event = asyncio.Event()
        self._callbacks: list[Callable[[], object]] = []

    def is_set(self) -> bool:
        """Tell whether no more requests may be sent."""
        return self._event.is_set()

    def fail(self, error: StopRun) -> None:
        """End the run because of an error. Only the first error counts."""
        if self.error is None:
            self.error = error
            logger.error(str(error))
            self.set()

    def set(self) -> None:
        """End the run, and wake whatever waits. Only the first call counts."""
        if not self._event.is_set():
            self._event.set()
            for callback in self._callbacks:
                callback()

    def on_stop(self, callback: Callable[[], object]) -> None:
        """Call this once when the run stops, or now if it is stopping already."""
        self._callbacks.append(callback)
        if self._event.is_set():
            callback()

    async def sleep(self, seconds: float) -> None:
        """Sleep. Raises NotAsked as soon as the run stops."""
        with suppress(TimeoutError):
            async with asyncio.timeout(max(seconds, 0)):
                await self._event.wait()
        if self._event.is_set():
            raise NotAsked("the run is stopping")
