"""Whether the run is stopping, and why: set once, awaited by everything that waits."""

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
    """Ends a run early, after an error or a Ctrl-C: nothing more is sent, and what has arrived is loaded."""

    def __init__(self) -> None:
        self.error: StopRun | None = None
        """Why the run ends; None for a Ctrl-C, or while it goes on."""
        self._event = asyncio.Event()
        self._callbacks: list[Callable[[], object]] = []

    def is_set(self) -> bool:
        """Tell whether no more requests may be sent."""
        return self._event.is_set()

    def fail(self, error: StopRun) -> None:
        """End the run because of an error. The first error counts."""
        if self.error is None:
            self.error = error
            logger.error(str(error))
            self.set()

    def set(self) -> None:
        """End the run: wake everybody who waits, once."""
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
        """Sleep; raises NotAsked as soon as the run stops."""
        with suppress(TimeoutError):
            async with asyncio.timeout(max(seconds, 0)):
                await self._event.wait()
        if self._event.is_set():
            raise NotAsked("the run is stopping")
