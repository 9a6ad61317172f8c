"""The one thread that talks to the database during a crawl: batches and questions in turn, never two at once."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar, TypeVarTuple

from kolspider.db.resilient import Refused, Upserter

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from collections.abc import Set as AbstractSet

    from kolspider.db.base import Database, Table
    from kolspider.db.follow_tables import Span
    from kolspider.items import Row

__all__ = ["DatabaseThread"]

_Arguments = TypeVarTuple("_Arguments")
_Answer = TypeVar("_Answer")


class DatabaseThread:
    """Owns the database from here on. The coroutines raise StopRun when the database can't be used any longer.

    on_retry: called in the event loop's thread, before each wait for a database that is away.
    """

    def __init__(self, database: Database, table: Table, *, retry_secs: float, on_retry: Callable[[], None]) -> None:
        self._database = database
        self._give_up = threading.Event()
        self._on_retry = on_retry
        self._loop: asyncio.AbstractEventLoop | None = None
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="database")
        self._upserter = Upserter(
            database, table, retry_secs=retry_secs, give_up=self._give_up, on_retry=self._report_retry
        )

    async def upsert(self, rows: Sequence[Row], again: AbstractSet[Row] = frozenset()) -> list[Refused]:
        """Commit rows of distinct ids, of which some were refused `again`; returns those that the database refuses."""
        return await self._run(self._upserter.upsert, rows, again)

    async def widen(
        self,
        table: str,
        span: Span,
        rows: Sequence[tuple[str, ...]],
        again: AbstractSet[tuple[str, ...]] = frozenset(),
    ) -> list[tuple[tuple[str, ...], str]]:
        """Commit rows of distinct keys to a table of spans; returns those that the database refuses."""
        return await self._run(self._upserter.widen, table, span, rows, again)

    async def ask(self, question: Callable[[Database], _Answer]) -> _Answer:
        """Call the question with the database and return its answer."""
        return await self._run(self._upserter.ask, question)

    @property
    def label(self) -> str:
        """The database, as its errors name it."""
        return self._database.label

    @property
    def receipts(self) -> list[str]:
        """The database's own words about the last upsert, for the log."""
        return [text for text in self._upserter.receipts if text]

    def give_up(self) -> None:
        """From now on wait for no database that is away: it gets one more attempt."""
        self._give_up.set()

    def close(self) -> None:
        """Finish the batch on its way, end the thread and disconnect. Needs no running event loop."""
        self.give_up()
        self._executor.shutdown()
        self._database.close()

    async def _run(self, work: Callable[[*_Arguments], _Answer], *args: *_Arguments) -> _Answer:
        self._loop = asyncio.get_running_loop()
        return await self._loop.run_in_executor(self._executor, work, *args)

    def _report_retry(self) -> None:
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._on_retry)
