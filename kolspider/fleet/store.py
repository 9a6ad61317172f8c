"""The ledger in PostgreSQL, asked in a thread of its own, and again after an outage."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, TypeVar

from kolspider.errors import NotAsked, StartAgain, StopRun, out_of_memory
from kolspider.live.store import Store
from kolspider.store.connection import LedgerAway

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from kolspider.live.stop import Stop
    from kolspider.store.postgres import PostgresConnection

__all__ = ["SharedStore"]

logger = logging.getLogger(__name__)

_Answer = TypeVar("_Answer")

_FIRST_WAIT, _LONGEST_WAIT = 0.1, 2.0
"""Seconds between two attempts; the wait doubles."""


class SharedStore(Store):
    """Asks by one connection, in one thread, so that calls keep their order and never block the event loop.

    What is asked may be asked again: after an outage nobody knows whether the last transaction was committed.
    """

    loop: asyncio.AbstractEventLoop | None = None
    """The event loop that asks; None before the crawl."""

    def __init__(self, connection: PostgresConnection, stop: Stop, retry_secs: float) -> None:
        self._connection = connection
        self._stop = stop
        self._retry_secs = retry_secs
        self._give_up = threading.Event()
        self._tasks = set[asyncio.Task[None]]()
        """What nobody waits for."""
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="ledger")
        stop.on_stop(self._give_up.set)  # a run that stops does not wait until the server is back

    @contextmanager
    def guard(self) -> Iterator[None]:
        """Turn an error of the ledger into the end of the run, outside of the event loop."""
        try:
            yield
        except StopRun as error:
            self._stop.fail(error)
            raise NotAsked("the ledger can't be used") from None

    async def ask(self, work: Callable[[], _Answer]) -> _Answer:
        """Call what asks or changes the ledger in its thread, and return its answer."""
        self.loop = asyncio.get_running_loop()
        try:
            return await self.loop.run_in_executor(self._executor, self.repeat, work)
        except StopRun as error:
            self._stop.fail(error)
        except MemoryError:
            self._stop.fail(out_of_memory())
        except Exception:
            logger.exception("the shared ledger has a bug")
            self._stop.fail(StopRun("a bug stopped the run (see above); nothing is lost, the pages are stored"))
        raise NotAsked("the ledger can't be used")

    def soon(self, work: Callable[[], object]) -> None:
        """Call it in the thread of the ledger; an error ends the run."""
        task = asyncio.ensure_future(self._try(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _try(self, work: Callable[[], object]) -> None:
        with suppress(NotAsked):
            await self.ask(work)

    def repeat(self, work: Callable[[], _Answer]) -> _Answer:
        """Call it, again while the server is away, and return its answer. Raises StopRun."""
        give_up_at, wait, was_away = time.monotonic() + self._retry_secs, _FIRST_WAIT, False
        while True:
            try:
                answer = work()
            except LedgerAway as error:
                if time.monotonic() >= give_up_at or self._give_up.is_set():
                    waited = "" if self._give_up.is_set() else f" for {self._retry_secs:g} s (KOL_DB_RETRY_SECS)"
                    raise StartAgain(
                        f"the shared ledger was away{waited}: {error}; nothing is lost: run the same command again "
                        "when it is back"
                    ) from None
                if not was_away:
                    logger.warning("%s; no call is made until it is back", error.reason)
                was_away = True
                self._give_up.wait(wait)
                wait = min(wait * 2, _LONGEST_WAIT)
                with suppress(LedgerAway):
                    self._connection.reconnect()
            else:
                if was_away:
                    logger.info("the shared ledger is back")
                return answer

    def close(self) -> None:
        """Finish what is on its way, and end the thread."""
        self._executor.shutdown()
