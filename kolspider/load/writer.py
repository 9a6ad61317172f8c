"""Rows on their way to the database: buffered across pages and KOLs, written in batches by one thread, in order."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

from kolspider.console.wording import counted
from kolspider.db.spans import SPAN_FOLLOWS, spans
from kolspider.db.upsert import Refused, Upserter
from kolspider.errors import StopRun
from kolspider.items import Follow, Reject, WholeCrawl

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from kolspider.db.base import Database
    from kolspider.items import FollowingsPage, MappedPage, Row
    from kolspider.run.run import Run

__all__ = ["Writer"]

logger = logging.getLogger(__name__)

_Answer = TypeVar("_Answer")

_FLUSH_BYTES = 4_000_000
"""A batch is also written at about this size: MySQL's smallest usual max_allowed_packet is 16 MB, and Doris
takes 1 to 8 MB an INSERT best."""
_FLUSH_PAGES = 200
"""Or of so many pages, which may bring next to no rows: those that repeat what is in the table."""
_BATCHES_WAITING = 2
"""How many batches may wait before pages are held back: memory stays flat while the database is slow."""


_LOOK_EVERY = 0.5
"""Seconds between two looks at whether the run is stopping."""


class Writer:
    """Takes mapped pages in the order in which they are to be written. All but the upsert itself runs in the
    event loop's thread."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._loads = run.loads
        self._pages: deque[tuple[MappedPage, int, float]] = deque()
        """With its size in bytes, and the time when it came."""
        self._rows = 0
        self._rows_on_their_way = 0
        self._weight = 0
        """Rows or follows, whichever are more."""
        self._bytes = 0
        self._changed = asyncio.Condition()
        self._closing = False
        self._give_up = threading.Event()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="upsert")
        self._upserter = Upserter(
            run.database,
            run.table,
            retry_secs=run.config.db_retry_secs,
            give_up=self._give_up,
            on_retry=self._retrying,
        )
        self._task = asyncio.ensure_future(self._work())

    def add(self, page: MappedPage) -> None:
        """Take a page. Never waits, so that pages keep their order; await room() before the next one."""
        self._loads.handed_over(page.page)
        size = _size(page)
        self._pages.append((page, size, time.monotonic()))
        self._rows += len(page.rows)
        self._weight += _weight(page)
        self._bytes += size

    @property
    def rows_waiting(self) -> int:
        """How many rows are not in the table yet."""
        return self._rows + self._rows_on_their_way

    async def room(self) -> None:
        """Wait until the buffer is small enough for another page; not for an outage when the run is stopping."""
        async with self._changed:
            self._changed.notify_all()
            while self._is_full(_BATCHES_WAITING) and not self._task.done():
                if self._run.stopping:
                    self._give_up.set()
                    return
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_LOOK_EVERY):
                        await self._changed.wait()

    async def close(self) -> None:
        """Write what is left, however little, and wait for it. A run that is stopping waits out no outage."""
        if self._run.stopping:
            self._give_up.set()
        async with self._changed:
            self._closing = True
            self._changed.notify_all()
        await self._task

    def end(self) -> None:
        """Give the thread back. A batch on its way is finished first, but a database that is away not waited for."""
        self._give_up.set()
        self._thread.shutdown()

    async def _work(self) -> None:
        try:
            while await self._next_batch_is_due():
                await self._write_batch()
        except StopRun as error:
            self._run.stop(error)
        except Exception:
            logger.exception("the writer met a bug")
            self._run.stop(StopRun("a bug stopped the writer (see above); nothing is lost, the pages are cached"))
        finally:
            async with self._changed:
                self._pages.clear()
                self._changed.notify_all()

    async def _next_batch_is_due(self) -> bool:
        """Wait for enough rows, or old enough ones. False when all is written and no more will come."""
        async with self._changed:
            while not self._closing and not self._is_full(1):
                wait = None
                if self._pages:
                    wait = self._pages[0][2] + self._run.config.flush_secs - time.monotonic()
                    if wait <= 0:
                        break
                try:
                    async with asyncio.timeout(wait):
                        await self._changed.wait()
                except TimeoutError:
                    break
            return bool(self._pages) or not self._closing

    def _is_full(self, batches: int) -> bool:
        return (
            self._weight >= self._run.config.flush_rows * batches
            or self._bytes >= _FLUSH_BYTES * batches
            or len(self._pages) >= _FLUSH_PAGES * batches
        )

    async def _write_batch(self) -> None:
        pages, owners = self._take_batch()
        rows = [row for _, row in owners.values()]
        began = time.monotonic()
        refused: list[Refused] = []
        if rows:
            loop = asyncio.get_running_loop()
            self._rows_on_their_way = len(rows)
            refused = await loop.run_in_executor(self._thread, self._upserter.upsert, rows)
            self._rows_on_their_way = 0
            self._note_committed(pages, {row.id for row, _ in refused})
            self._run.work.resume("the database")
            self._run.count("rows/upserted", len(rows) - len(refused))
            self._run.count("rows/repeated", sum(len(page.rows) for page in pages) - len(rows))
            self._run.count("db/batches")
            said = "; ".join(filter(None, self._upserter.said))
            logger.info(
                "%s of %s upserted in %.0f ms%s",
                counted(len(rows) - len(refused), "row"),
                counted(len(pages), "page"),
                (time.monotonic() - began) * 1000,
                f" ({said})" if said else "",
            )
        rejects = self._rejects(pages, owners, refused)
        if self._run.config.follows_table:
            rejects += await self._write_follows(pages)
        self._loads.committed([page.page for page in pages], rejects)
        async with self._changed:
            self._changed.notify_all()

    def _note_committed(self, pages: list[MappedPage], refused: set[str]) -> None:
        committed = self._run.repeats.committed
        for page in pages:
            for row in page.rows:
                if row.id not in refused:
                    committed(row.id)

    async def _write_follows(self, pages: list[MappedPage]) -> list[tuple[FollowingsPage, Reject]]:
        """Behind the accounts, so that who is followed is there; the ends of whole lists behind the follows.

        Returns those that the database refuses.
        """
        loop, rejects = asyncio.get_running_loop(), list[tuple["FollowingsPage", Reject]]()
        follows, owners = _merged(pages)
        crawls = [page.whole for page in pages if page.whole]
        tables = spans(self._run.config.follows_table)
        rows_of: tuple[Sequence[tuple[str, ...]], ...] = (follows, _widest(crawls))
        for (table, span), rows in zip(tables, rows_of, strict=True):
            if not rows:
                continue
            refused = await loop.run_in_executor(self._thread, self._upserter.widen, table, span, rows)
            self._run.count("follows/upserted" if span is SPAN_FOLLOWS else "follows/whole", len(rows) - len(refused))
            for row, said in refused:
                owner = owners.get((row[0], row[1])) or next(p for p in pages if p.page.kol.handle == row[0])
                logger.warning("KOL %s: the database refuses %s in %s: %s", row[0], row, table, said)
                if owner.page.seq is None or not self._run.pages.is_loaded(owner.page.seq):
                    rejects.append(
                        (owner.page, Reject("follow_refused", dict(zip(span.columns, row, strict=True)), said))
                    )
        self._run.work.resume("the database")
        return rejects

    async def ask(self, question: Callable[[Database], _Answer]) -> _Answer:
        """What the database answers, in the thread that it belongs to. Raises StopRun."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._upserter.ask, question)

    def _retrying(self) -> None:
        """The database is away. In the upserting thread."""
        self._run.count("db/retries")
        secs = self._run.config.db_retry_secs
        self._run.work.wait("the database", f"the database is away, waiting up to {secs:g} s")

    def _take_batch(self) -> tuple[list[MappedPage], dict[str, tuple[FollowingsPage, Row]]]:
        """Whole pages up to a batch's size; of an id that occurs twice, the row that came last."""
        pages: list[MappedPage] = []
        owners: dict[str, tuple[FollowingsPage, Row]] = {}
        size = 0
        weight = 0
        while self._pages and weight < self._run.config.flush_rows and size < _FLUSH_BYTES:
            page, bytes_, _ = self._pages.popleft()
            self._rows -= len(page.rows)
            self._weight -= _weight(page)
            self._bytes -= bytes_
            size += bytes_
            pages.append(page)
            for row in page.rows:
                owners[row.id] = (page.page, row)
            weight = max(len(owners), weight + len(page.follows))
        return pages, owners

    def _rejects(
        self,
        pages: list[MappedPage],
        owners: dict[str, tuple[FollowingsPage, Row]],
        refused: list[Refused],
    ) -> list[tuple[FollowingsPage, Reject]]:
        """The users set aside that are not in rejects.jsonl yet: a page loaded again brings them again."""
        store = self._run.pages
        rejects = [
            (page.page, reject)
            for page in pages
            if page.rejects and not (page.page.seq is not None and store.rejects_written(page.page.seq))
            for reject in page.rejects
        ]
        for row, said in refused:
            page, _ = owners[row.id]
            logger.warning("KOL %s: the database refuses account %s: %s", page.kol.user_name, row.id, said)
            if page.seq is None or not store.is_loaded(page.seq):
                rejects.append((page, Reject("refused", row._asdict(), said)))
        return rejects


def _weight(page: MappedPage) -> int:
    return max(len(page.rows), len(page.follows))


def _merged(pages: list[MappedPage]) -> tuple[list[Follow], dict[tuple[str, str], MappedPage]]:
    """The follows of some pages, one a key, and the page that each key came with last."""
    merged: dict[tuple[str, str], Follow] = {}
    owners: dict[tuple[str, str], MappedPage] = {}
    for page in pages:
        for follow in page.follows:
            key = follow[:2]
            owners[key] = page
            if known := merged.get(key):
                follow = Follow(  # noqa: PLW2901 - both of them
                    *key, min(known.first_seen, follow.first_seen), max(known.last_seen, follow.last_seen)
                )
            merged[key] = follow
    return list(merged.values()), owners


def _widest(crawls: Iterable[WholeCrawl]) -> list[WholeCrawl]:
    """One a KOL."""
    widest: dict[str, WholeCrawl] = {}
    for crawl in crawls:
        known = widest.get(crawl.kol_user_name, crawl)
        widest[crawl.kol_user_name] = WholeCrawl(
            crawl.kol_user_name,
            min(known.first_whole, crawl.first_whole),
            max(known.last_whole, crawl.last_whole),
        )
    return list(widest.values())


def _size(page: MappedPage) -> int:
    """About how many bytes a page's rows are as SQL text or JSON: escapes are not counted."""
    size = 120 * len(page.rows)  # numbers, quotes, commas
    for row in page.rows:
        for text in (row.name, row.user_name, row.avatar, row.description, row.created_at):
            if text:
                size += len(text) if text.isascii() else len(text.encode(errors="replace"))
    return size
