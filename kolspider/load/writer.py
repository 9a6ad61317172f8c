"""Buffers mapped pages across KOLs and has them committed in batches, in order."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING

from kolspider.console.wording import counted
from kolspider.db.follow_tables import SPAN_FOLLOWS, spans
from kolspider.errors import StopRun
from kolspider.items import Reject
from kolspider.load.batch import Batch, size_of, weight_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from kolspider.db.thread import DatabaseThread
    from kolspider.items import FollowingsPage, MappedPage, Row
    from kolspider.live.stop import Stop
    from kolspider.live.tally import Tally
    from kolspider.live.work import Work
    from kolspider.load.commits import Commits
    from kolspider.load.repeats import Repeats
    from kolspider.options.config import Config
    from kolspider.store.pages import Pages

__all__ = ["Writer"]

logger = logging.getLogger(__name__)

_Rejects = list[tuple["FollowingsPage", Reject]]

_FLUSH_BYTES = 4_000_000
"""Size in bytes at which a batch is due: MySQL's smallest usual max_allowed_packet is 16 MB, and Doris prefers 1 to
8 MB an INSERT."""
_FLUSH_PAGES = 200
"""Number of pages at which a batch is due: pages that repeat what is in the table bring few rows."""
_BATCHES_WAITING = 2
"""Pages are held back while this many batches wait, so memory stays flat while the database is slow."""


class Writer:
    """Takes mapped pages in the order in which they are to be written.

    Everything runs in the event loop's thread; only the statements themselves run in the database thread.
    """

    def __init__(
        self,
        config: Config,
        database: DatabaseThread,
        commits: Commits,
        repeats: Repeats,
        pages: Pages,
        stop: Stop,
        tally: Tally,
        work: Work,
    ) -> None:
        self._config = config
        self._database = database
        self._commits = commits
        self._repeats = repeats
        self._stored = pages
        self._stop = stop
        self._tally = tally
        self._work = work
        self._waiting: deque[tuple[MappedPage, int, float]] = deque()
        """Each waiting page with its size in bytes, and its time of arrival on the monotonic clock."""
        self._rows = 0
        self._rows_in_batch = 0
        self._weight = 0
        self._bytes = 0
        self._closing = False
        self._news = asyncio.Event()
        """Is set when a batch may be due."""
        self._has_room = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        stop.on_stop(self._has_room.set)

    def start(self) -> None:
        """Begin to write, in the crawl's event loop."""
        self._task = asyncio.ensure_future(self._write())

    def add(self, page: MappedPage) -> None:
        """Take a page. Never waits, so pages keep their order; await room() before the next one."""
        self._commits.handed_over(page.page)
        size = size_of(page)
        self._waiting.append((page, size, time.monotonic()))
        self._rows += len(page.rows)
        self._weight += weight_of(page)
        self._bytes += size
        self._news.set()

    @property
    def rows_waiting(self) -> int:
        """Number of rows that are not in the table yet."""
        return self._rows + self._rows_in_batch

    async def room(self) -> None:
        """Wait until the buffer has room for another page, or the run stops."""
        while self._is_full(_BATCHES_WAITING) and not self._has_ended and not self._stop.is_set():
            self._has_room.clear()
            await self._has_room.wait()

    async def close(self) -> None:
        """Write what is left, however little, and wait for it."""
        self._closing = True
        self._news.set()
        if self._task is not None:
            await self._task

    @property
    def _has_ended(self) -> bool:
        return self._task is not None and self._task.done()

    async def _write(self) -> None:
        try:
            while await self._next_batch_is_due():
                await self._write_batch(self._take_batch())
                self._has_room.set()
        except StopRun as error:
            self._stop.fail(error)
        except Exception:
            logger.exception("the writer has a bug")
            self._stop.fail(StopRun("a bug stopped the writer (see above); nothing is lost, the pages are cached"))
        finally:
            self._waiting.clear()
            self._has_room.set()

    async def _next_batch_is_due(self) -> bool:
        """Wait until a batch is large or old enough. False if everything is written and no more will come."""
        while not self._closing and not self._is_full(1):
            wait = None
            if self._waiting:
                wait = self._waiting[0][2] + self._config.flush_secs - time.monotonic()
                if wait <= 0:
                    break
            self._news.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._news.wait()
        return bool(self._waiting) or not self._closing

    def _is_full(self, batches: int) -> bool:
        return (
            self._weight >= self._config.flush_rows * batches
            or self._bytes >= _FLUSH_BYTES * batches
            or len(self._waiting) >= _FLUSH_PAGES * batches
        )

    def _take_batch(self) -> Batch:
        batch = Batch()
        while self._waiting and batch.weight < self._config.flush_rows and batch.size < _FLUSH_BYTES:
            page, size, _ = self._waiting.popleft()
            self._rows -= len(page.rows)
            self._weight -= weight_of(page)
            self._bytes -= size
            batch.add(page, size)
        return batch

    async def _write_batch(self, batch: Batch) -> None:
        rejects = self._unmapped(batch)
        rejects += await self._write_rows(batch)
        if self._config.follows_table:
            rejects += await self._write_follows(batch)
        self._commits.committed([page.page for page in batch.pages], rejects)
        for mapped in batch.pages:
            if mapped.page.last:
                self._commits.remarks.list_is_through(mapped.page.kol)

    def _unmapped(self, batch: Batch) -> _Rejects:
        """Return the users without a row, unless an earlier load of their page put them into rejects.jsonl."""
        return [
            (page.page, reject)
            for page in batch.pages
            if page.rejects and not (page.page.seq is not None and self._stored.rejects_written(page.page.seq))
            for reject in page.rejects
        ]

    async def _write_rows(self, batch: Batch) -> _Rejects:
        """Commit the rows. Returns those that the database refuses and rejects.jsonl does not have."""
        rows = await self._without_known(batch.rows)
        if not rows:
            return []
        began = time.monotonic()
        self._rows_in_batch = len(rows)
        refused = await self._database.upsert(rows)
        self._rows_in_batch = 0
        self._note_committed(batch, {row.id for row, _ in refused})
        self._work.resume("the database")
        self._tally.rows_upserted += len(rows) - len(refused)
        self._tally.rows_repeated += sum(len(page.rows) for page in batch.pages) - len(rows)
        self._tally.batches += 1
        receipts = "; ".join(self._database.receipts)
        logger.info(
            "%s of %s upserted in %.0f ms%s",
            counted(len(rows) - len(refused), "row"),
            counted(len(batch.pages), "page"),
            (time.monotonic() - began) * 1000,
            f" ({receipts})" if receipts else "",
        )
        rejects: _Rejects = []
        for row, reason in refused:
            page = batch.page_of(row)
            self._commits.remarks.refused(page.kol, f"account {row.id}", self._without_label(reason))
            self._reject(rejects, page, "refused", row._asdict(), reason)
        return rejects

    async def _without_known(self, rows: list[Row]) -> list[Row]:
        """Leave out the bare rows of accounts that the table has: they would replace values by NULL."""
        bare = [row.id for row in rows if row.is_bare]
        if not bare:
            return rows
        known = await self._database.ask(lambda database: database.known_ids(self._config.target_table, bare))
        return [row for row in rows if not (row.is_bare and int(row.id) in known)]

    def _note_committed(self, batch: Batch, refused: set[str]) -> None:
        for page in batch.pages:
            for row in page.rows:
                if row.id not in refused:
                    self._repeats.committed(row.id)

    async def _write_follows(self, batch: Batch) -> _Rejects:
        """Commit the follows after their accounts, and the ends of full readings after their follows.

        So the account of each follow is in its table, and a full reading has all of its follows. Returns the rows that
        the database refuses and rejects.jsonl does not have.
        """
        rejects: _Rejects = []
        contents: tuple[Sequence[tuple[FollowingsPage, tuple[str, ...]]], ...] = (
            batch.follows(),
            batch.whole_readings(),
        )
        for (table, span), rows in zip(spans(self._config.follows_table), contents, strict=True):
            if not rows:
                continue
            refused = await self._database.widen(table, span, [row for _, row in rows])
            if span is SPAN_FOLLOWS:
                self._tally.follows_upserted += len(rows) - len(refused)
            else:
                self._tally.follows_whole += len(rows) - len(refused)
            owners = {row: page for page, row in rows}
            for row, reason in refused:
                self._commits.remarks.refused(owners[row].kol, f"a row of {table}", self._without_label(reason))
                fields = dict(zip(span.columns, row, strict=True))
                self._reject(rejects, owners[row], "follow_refused", fields, reason)
        self._work.resume("the database")
        return rejects

    def _without_label(self, reason: str) -> str:
        """Return an error of the database without its address, which a log line has no room for."""
        return reason.removeprefix(f"{self._database.label}: ")

    def _reject(self, rejects: _Rejects, page: FollowingsPage, reason: str, row: dict[str, Any], detail: str) -> None:
        """Set a refused row aside, unless an earlier load of its page has done so."""
        if page.seq is None or not self._stored.is_loaded(page.seq):
            rejects.append((page, Reject(reason, row, detail)))
