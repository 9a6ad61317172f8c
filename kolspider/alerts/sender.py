"""Sends what is in the outbox, during the run and after its crawl, without ever holding the crawl up.

Each receiver has a task of its own, and a delivery runs in a thread of its own: a receiver that hangs holds up neither
the others nor the end of the process.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

from kolspider.errors import NotAsked

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kolspider.alerts.receivers import Receiver
    from kolspider.live.crew import Crew
    from kolspider.live.store import Store
    from kolspider.live.tally import Tally
    from kolspider.store.ledger import Ledger
    from kolspider.store.outbox import Parcel

__all__ = ["Sender"]

logger = logging.getLogger(__name__)

_LOOK_EVERY = 1.0
"""Seconds between two looks into the outbox."""
_FIRST_WAIT, _LONGEST_WAIT = 1.0, 300.0
"""Seconds between two attempts; the wait doubles."""
_LAST_TRIES = 3
"""Attempts in a row that may fail once the crawl is over; what is left waits for the next run."""
_LAST_SECS = 10.0
"""Seconds in which everything must be over once the crawl is."""


class Sender:
    """Delivers to each receiver what it has not got, oldest first."""

    def __init__(self, receivers: Sequence[Receiver], ledger: Ledger, store: Store, crew: Crew, tally: Tally) -> None:
        self._receivers = receivers
        self._keys = [receiver.key for receiver in receivers]
        self._outbox = ledger.outbox
        self._store = store
        self._crew = crew
        self._tally = tally
        self._over = asyncio.Event()
        """Is set when the crawl is over: no more alerts will come."""
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Begin to send, in the crawl's event loop."""
        with suppress(NotAsked):  # close what only a receiver lacks that is no longer named
            await self._store.ask(lambda: self._outbox.close_for(self._keys))
        self._tasks = [asyncio.ensure_future(self._serve(receiver)) for receiver in self._receivers]

    async def close(self) -> None:
        """Send what is left, as far as that is quickly done, and count what stays for the next run."""
        self._over.set()
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=_LAST_SECS)
            for task in late:
                task.cancel()
        with suppress(NotAsked):
            self._tally.alerts_pending = await self._store.ask(lambda: self._outbox.count_pending(self._keys))

    async def _serve(self, receiver: Receiver) -> None:
        try:
            with suppress(NotAsked):
                await self._deliver_all(receiver)
        except Exception:
            logger.exception("sending to %s has a bug; the alerts are kept", receiver)

    async def _deliver_all(self, receiver: Receiver) -> None:
        wait, tries, problem = _FIRST_WAIT, 0, ""
        while True:
            is_over = self._over.is_set()
            parcel = await self._store.ask(lambda: self._next(receiver, is_over=is_over))  # noqa: B023 - it is called at once
            if parcel is None:
                if is_over:
                    return
                await self._pause(_LOOK_EVERY)
                continue
            found = await _in_thread(receiver, parcel)
            if not found:
                wait, tries, problem = _FIRST_WAIT, 0, ""
                await self._store.ask(lambda: self._outbox.note_sent(parcel, receiver.key, self._keys))  # noqa: B023 - as above
                self._tally.alerts_sent += parcel.count
                continue
            if found != problem:
                logger.warning("%s %s; its alerts are kept", receiver, found)
            problem = found
            if is_over:
                wait = wait if tries else _FIRST_WAIT
                tries += 1
                if tries >= _LAST_TRIES:
                    return
            await self._pause(wait)
            wait = min(wait * 2, _LONGEST_WAIT)

    def _next(self, receiver: Receiver, *, is_over: bool) -> Parcel | None:
        if not self._crew.leads:
            return None  # whoever loads, sends
        if receiver.is_webhook:
            return self._outbox.next_single(receiver.key)
        return self._outbox.next_group(receiver.key, over=is_over)

    async def _pause(self, seconds: float) -> None:
        """Wait; the end of the crawl cuts it short."""
        if self._over.is_set():
            await asyncio.sleep(seconds)
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._over.wait()


async def _in_thread(receiver: Receiver, parcel: Parcel) -> str:
    """Deliver in a thread that the process does not wait for when it ends. Returns what went wrong."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[str] = loop.create_future()

    def tell(result: str | Exception) -> None:
        if not done.cancelled():
            done.set_exception(result) if isinstance(result, Exception) else done.set_result(result)

    def work() -> None:
        result: str | Exception
        try:
            result = receiver.deliver(parcel)
        except Exception as error:  # noqa: BLE001 - raised again in the event loop
            result = error
        with suppress(RuntimeError):  # the loop is closed: nobody waits any longer
            loop.call_soon_threadsafe(tell, result)

    threading.Thread(target=work, name=f"alerts {receiver.number}", daemon=True).start()
    return await done
