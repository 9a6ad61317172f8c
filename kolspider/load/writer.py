"""Buffers mapped pages across KOLs and has them committed in batches, in order."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING

from msgspec import Struct, field

from kolspider.console.wording import counted
from kolspider.db.follow_tables import spans
from kolspider.errors import NotAsked, StopRun, out_of_memory
from kolspider.items import Reject
from kolspider.load.batch import Batch, size_of, weight_of
from kolspider.store.refusals import Refusal, What

if TYPE_CHECKING:
    from collections.abc import Sequence
    from collections.abc import Set as AbstractSet

    from kolspider.db.follow_tables import Span
    from kolspider.db.thread import DatabaseThread
    from kolspider.items import Follow, FollowingsPage, MappedPage, Row, WholeReading
    from kolspider.live.stop import Stop
    from kolspider.live.tally import Tally
    from kolspider.live.work import Work
    from kolspider.load.commits import Commits
    from kolspider.load.repeats import Repeats
    from kolspider.options.config import Config

__all__ = ["Writer"]

logger = logging.getLogger(__name__)

_FLUSH_BYTES = 4_000_000
"""Size in bytes at which a batch is due: MySQL's smallest usual max_allowed_packet is 16 MB, and Doris prefers 1 to
8 MB an INSERT."""
_FLUSH_PAGES = 200
"""Number of pages at which a batch is due: pages that repeat what is in the table bring few rows."""
_BATCHES_WAITING = 2
"""Pages are held back while this many batches wait, so memory stays flat while the database is slow."""


class _Outcome(Struct):
    """What a batch came to: which rows are in the table, and which are set aside."""

    before: dict[tuple[str, int], dict[What, set[str]]]
    """The rows that were refused when their page was loaded before, by KOL and page."""
    rejects: list[tuple[FollowingsPage, Reject]]
    """What rejects.jsonl does not have yet."""
    refused: list[Refusal] = field(default_factory=list)
    written: dict[str, int] = field(default_factory=dict)
    """The accounts that are in the table, each with the page that its row came with."""

    def refused_before(self, what: What) -> set[tuple[str, str]]:
        """Return KOL and id of the rows that were refused before."""
        return {(handle, id_) for (handle, _), of_page in self.before.items() for id_ in of_page.get(what, ())}

    def refuse(self, page: FollowingsPage, what: What, id_: str, reject: Reject) -> None:
        """Set a refused row aside; rejects.jsonl has it already if it was refused before."""
        handle, seq = page.kol.handle, page.seq
        if seq is None or id_ not in self.before[handle, seq].get(what, ()):
            self.rejects.append((page, reject))
        if seq is not None:
            self.refused.append(Refusal(handle, seq, what, id_, reject.detail))


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
        stop: Stop,
        tally: Tally,
        work: Work,
    ) -> None:
        self._config = config
        self._database = database
        self._commits = commits
        self._repeats = repeats
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
        self._flushing = False
        self._is_writing = False
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

    async def flush(self) -> None:
        """Write what has arrived, however little, and wait for it, or until the run stops."""
        self._flushing = True
        self._news.set()
        while (self._waiting or self._is_writing) and not self._has_ended and not self._stop.is_set():
            self._has_room.clear()
            await self._has_room.wait()
        self._flushing = False

    async def close(self) -> None:
        """Write what is left, however little, and wait for it."""
        self._closing = True
        self._news.set()
        if self._task is not None:
            await self._task
        await self._commits.close()

    @property
    def _has_ended(self) -> bool:
        return self._task is not None and self._task.done()

    async def _write(self) -> None:
        try:
            while await self._next_batch_is_due():
                self._is_writing = True
                await self._write_batch(self._take_batch())
                self._is_writing = False
                self._has_room.set()
        except StopRun as error:
            self._stop.fail(error)
        except NotAsked:
            pass  # the store can't be used, so the run stops
        except MemoryError:
            self._stop.fail(out_of_memory())
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
                if wait <= 0 or self._flushing:
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
        before, loaded_before, sought = await self._commits.known(batch.pages)
        outcome = _Outcome(before, self._unmapped(batch, loaded_before))
        await self._write_rows(batch, outcome)
        if self._config.follows_table:
            await self._write_follows(batch, outcome)
        alerts = await self._commits.raising.found(self._database, sought)
        pages = [page.page for page in batch.pages]
        await self._commits.committed(pages, outcome.rejects, outcome.refused, outcome.written, alerts)
        for mapped in batch.pages:
            if mapped.page.last:
                self._commits.remarks.list_is_through(mapped.page.kol)

    @staticmethod
    def _unmapped(batch: Batch, loaded_before: AbstractSet[int | None]) -> list[tuple[FollowingsPage, Reject]]:
        """Return the users without a row, unless an earlier load of their page put them into rejects.jsonl."""
        return [
            (page.page, reject) for page in batch.pages if page.page.seq not in loaded_before for reject in page.rejects
        ]

    async def _write_rows(self, batch: Batch, outcome: _Outcome) -> None:
        """Commit the rows, and note which of them are in the table."""
        read = sum(len(page.rows) for page in batch.pages)
        rows = await self._without_known(batch.rows)
        if not rows:
            self._tally.rows_repeated += read
            return
        began = time.monotonic()
        self._rows_in_batch = len(rows)
        ids = {id_ for _, id_ in outcome.refused_before(What.ACCOUNT)}
        again = frozenset(row for row in rows if row.id in ids)
        refused = {row.id: self._without_label(reason) for row, reason in await self._database.upsert(rows, again)}
        self._rows_in_batch = 0
        self._note_committed(batch, refused.keys())
        self._work.resume("the database")
        pages = batch.pages if refused else ()  # an account may be on the pages of several KOLs
        set_aside = [(page.page, row) for page in pages for row in page.rows if row.id in refused]
        written = len(rows) - len(refused)
        self._tally.rows_upserted += written
        self._tally.rows_repeated += read - len(set_aside) - written
        self._tally.batches += 1
        receipts = "; ".join(self._database.receipts)
        logger.info(
            "%s of %s upserted%s in %.0f ms%s",
            counted(written, "row"),
            counted(len(batch.pages), "page"),
            f", {len(refused):,} refused" if refused else "",
            (time.monotonic() - began) * 1000,
            f" ({receipts})" if receipts else "",
        )
        outcome.written = {id_: seq for id_, seq in batch.seqs(rows) if seq is not None and id_ not in refused}
        for page, row in set_aside:
            reject = Reject("refused", row._asdict(), refused[row.id])
            self._tally.rows_rejected[reject.reason] += 1
            outcome.refuse(page, What.ACCOUNT, row.id, reject)

    async def _without_known(self, rows: list[Row]) -> list[Row]:
        """Leave out the bare rows of accounts that the table has: they would replace values by NULL."""
        bare = [row.id for row in rows if row.is_bare]
        if not bare:
            return rows
        known = await self._database.ask(lambda database: database.known_ids(self._config.target_table, bare))
        return [row for row in rows if not (row.is_bare and int(row.id) in known)]

    def _note_committed(self, batch: Batch, refused: AbstractSet[str]) -> None:
        ids = (row.id for page in batch.pages for row in page.rows)
        self._repeats.committed(id_ for id_ in ids if id_ not in refused)

    async def _write_follows(self, batch: Batch, outcome: _Outcome) -> None:
        """Commit the follows after their accounts, and the ends of full readings after their follows.

        So the account of each follow is in its table, and a full reading has all of its follows.
        """
        (follows, follow), (readings, reading) = spans(self._config.follows_table)
        refused = await self._widen(follows, follow, What.FOLLOW, batch.follows(), outcome)
        self._tally.follows_upserted += len(batch.follows()) - len(refused)
        self._tally.follows_refused += len(refused)
        for page in batch.pages if refused else ():
            for row in page.follows:
                if row[:2] in refused:
                    reject = Reject("follow_refused", row._asdict(), refused[row[:2]])
                    outcome.refuse(page.page, What.FOLLOW, row.user_id, reject)
        refused = await self._widen(readings, reading, What.READING, batch.whole_readings(), outcome)
        self._tally.follows_whole += len(batch.whole_readings()) - len(refused)
        self._tally.follows_refused += len(refused)
        for page in batch.pages if refused else ():
            if page.whole and page.whole[:1] in refused:
                reject = Reject("follow_refused", page.whole._asdict(), refused[page.whole[:1]])
                outcome.refuse(page.page, What.READING, "", reject)
        self._work.resume("the database")

    async def _widen(
        self, table: str, span: Span, what: What, rows: Sequence[Follow] | Sequence[WholeReading], outcome: _Outcome
    ) -> dict[tuple[str, ...], str]:
        """Commit rows of a table of spans. Returns the keys of those that are refused, with the reasons."""
        if not rows:
            return {}
        before = outcome.refused_before(what)
        again = frozenset(row for row in rows if (*row[:-2], "")[:2] in before)
        return {
            row[:-2]: self._without_label(reason)
            for row, reason in await self._database.widen(table, span, rows, again)
        }

    def _without_label(self, reason: str) -> str:
        """Return an error of the database without its address, which the closing table names once."""
        return reason.removeprefix(f"{self._database.label}: ")
