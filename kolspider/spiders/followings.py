"""The spider: decides which lists are read, and which page is next."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from msgspec import Struct
from scrapy import Request, Spider, signals

from kolspider.console.wording import moment
from kolspider.crawl.network_errors import network_failure
from kolspider.crawl.page_request import PageRequest
from kolspider.errors import NotAsked, StopRun
from kolspider.follows.queries import known_ids
from kolspider.items import FollowingsPage, Kol, State
from kolspider.live.failures import Failures
from kolspider.load.cached import CachedPages
from kolspider.providers.base import Account, ApiError, ApiErrorKind, Page
from kolspider.providers.increment import IncrementPages
from kolspider.providers.paging import NOBODY, End, Known, Next, Paging
from kolspider.providers.users import ids_of
from kolspider.spiders.lookup import Lookup
from kolspider.spiders.lost import LostAccounts
from kolspider.spiders.sweep import Sweep
from kolspider.store.readings import Kind
from kolspider.store.selection import Due, Why

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from scrapy.crawler import Crawler
    from scrapy.http import Response
    from twisted.python.failure import Failure

    from kolspider.live.crew import Round
    from kolspider.run.run import Run
    from kolspider.store.forecast import Expected

__all__ = ["FollowingsSpider"]

logger = logging.getLogger(__name__)

_Generation = TypeVar("_Generation", int, "int | None")

_ITEM_DONE = (signals.item_scraped, signals.item_error, signals.item_dropped)
"""Scrapy sends one of these for each item that has left the pipelines."""
_DOUBTFUL = "doubtful"
_AT_ONCE_AT_FIRST = 8
"""Lists that are open at once until a page has come: what is wrong with the key or the address fails for each."""


class _List(Struct):
    """A KOL's list that is being read, page by page."""

    kol: Kol
    account: Account
    generation: int
    paging: Paging
    page_size: int
    """Number of users that each page is asked for."""
    bought: int = 0
    """Pages that came from the API in this run."""
    known: Known | None = None
    """Whom the KOL was known to follow, if the reading is incremental."""


_More = tuple[_List, str]
"""A list, and the cursor of the page of it that is asked for next."""


class _Verdict(Struct, frozen=True):
    """What the ledger says of a list that came to its end."""

    doubt: str = ""
    """Why it is not believed; empty if it is."""
    short: bool = False
    """Whether it came much shorter than its KOL's profile says."""
    began: float | None = None
    """When the reading began, in unix seconds; None for one that is not whole, doubted or short."""
    remark: str = ""
    """What is odd about it."""


class FollowingsSpider(Spider):
    """Loads the cached pages of the selected KOLs, then buys the rest of their lists."""

    name = "followings"
    run: Run

    @classmethod
    def from_crawler(cls, crawler: Crawler, *args: Any, **kwargs: Any) -> FollowingsSpider:
        """Take `run`, which the crawl command opened."""
        run: Run = kwargs.pop("run")
        spider = super().from_crawler(crawler, *args, **kwargs)
        crawler.settings.set("DOWNLOAD_DELAY", 0, priority="cmdline")  # the download handler keeps the pace
        spider.use(run)
        crawler.signals.connect(spider.nobody_is_left, signal=signals.spider_idle)
        return spider

    def use(self, run: Run) -> None:
        """Take the parts of the run that it needs."""
        self.run = run
        self._config, self._ledger, self._store, self._stop = run.config, run.ledger, run.store, run.stop
        self._provider = run.config.provider
        self._increments = IncrementPages(self._provider.price, self._provider.page_sizes)
        self._places = asyncio.Semaphore(min(run.config.concurrency, _AT_ONCE_AT_FIRST))
        self._failures = Failures(run.stop, run.config.stop_after, run.config.api_url)
        self._cached = CachedPages(run.ledger, run.config.provider, run.store, run.crew, run.tally)
        self._pages_on_their_way = 0
        """Cached pages that the pipelines have not finished."""
        self._none_on_their_way = asyncio.Event()
        self._none_on_their_way.set()
        self._is_prepared = asyncio.Event()
        self._sweep: Sweep | None = None
        self._has_asked_why = False

    async def start(self) -> AsyncIterator[Request]:
        """Yield a request for the cached pages first, then the first request of each list.

        CONCURRENT_REQUESTS bounds the lists that are open at once.
        """
        # The pages are not items of start(): Scrapy 2.19 never closes a spider while one of those is in a pipeline
        # (Scraper checks whether it can close when a response is done, not when such an item is).
        yield Request("data:,", callback=self.prepare)
        if not self.run.crew.loads_from_store:
            await self._is_prepared.wait()
        if self.run.arguments.replay:
            await self._say_what_was_loaded()
            return
        with suppress(NotAsked):
            async for request in self._first_requests():
                yield request

    async def _say_what_was_loaded(self) -> None:
        """Let each KOL of a replay have its line in the log."""
        if self._stop.is_set():
            return
        with suppress(NotAsked):
            async for due in self.run.crew.due():
                if due:
                    await self.run.commits.list_had_ended(due.kol)
                    await asyncio.sleep(0)  # the writer is at work

    async def prepare(self, response: Response) -> AsyncIterator[FollowingsPage]:
        """Yield the cached pages, then the profiles of the KOLs that are watched.

        Scrapy reads ahead of the pipelines here, and no page bought in this run may overtake a cached one.
        """
        self._stop.on_stop(self._none_on_their_way.set)
        for signal in _ITEM_DONE:
            self.crawler.signals.connect(self._page_is_through, signal=signal)
        try:
            with suppress(NotAsked):
                async for work in self.run.crew.rounds():
                    async for page in self._work(work):
                        self._pages_on_their_way += 1
                        self._none_on_their_way.clear()
                        yield page
                    await self._are_through()
                    if self.run.writer and self.run.crew.loads_from_store:
                        await self.run.writer.flush()
        finally:
            for signal in _ITEM_DONE:
                self.crawler.signals.disconnect(self._page_is_through, signal=signal)
            self._is_prepared.set()  # after a bug, too; otherwise start() would wait for ever

    async def _work(self, work: Round) -> AsyncIterator[FollowingsPage]:
        """Yield the pages of a round; those of profiles have users that nobody is said to follow."""
        if work.loads:
            async for page in self._cached.read(everything=work.everything, refused=work.refused):
                if self._stop.is_set():
                    return
                self.run.tally.cache_hits += 1  # not where it is read: a run that stops drops the page
                work.loaded += 1
                yield page
        by_id = self._provider.profiles_by_id
        if work.looks and by_id:
            await self._are_through()
            self._sweep = Sweep(self.crawler, self.run, by_id)
            async for page in self._sweep.profiles():
                yield page

    async def _are_through(self) -> None:
        """Wait until the pages have left the pipelines, or the run stops."""
        if not self._stop.is_set():
            await self._none_on_their_way.wait()

    async def ask_why(self, response: Response) -> AsyncIterator[FollowingsPage]:
        """Ask why follows are gone, once all that the lists tell is committed; yields the profiles, for their rows."""
        if self.run.writer and (by_id := self._provider.profiles_by_id):
            await self.run.writer.flush()
            with suppress(NotAsked):
                async for page in LostAccounts(self.crawler, self.run, by_id).profiles():
                    yield page

    def _page_is_through(self) -> None:
        self._pages_on_their_way -= 1
        if not self._pages_on_their_way:
            self._none_on_their_way.set()

    async def _first_requests(self) -> AsyncIterator[Request]:
        self._longest = await self._store.ask(self._ledger.readings.longest)
        async for due, account in Lookup(self.crawler, self.run).accounts(self._lists_to_read()):
            await self._places.acquire()
            await self.run.pace.unused(self._stop)
            expected, generation, kind = await self._store.ask(
                partial(self._begun, due, self._once(due.kol, partial(self._begin, due)))
            )
            if isinstance(account, ApiError):
                await self._after_error(account, self._list(due.kol, Account(due.kol.user_name), generation))
                self._places.release()
                continue
            known = await self._known(due.kol) if kind is Kind.INCREMENTAL else None
            followings = self._list(due.kol, account, generation, known, expected.page_size)
            self.run.work.begin(due.kol, followings.paging, expected)
            yield self._request(followings, "")

    def _begun(self, due: Due, once: Callable[[], int]) -> tuple[Expected, int, Kind | None]:
        """Begin or continue a list. Returns what was expected of it, the generation of its pages, and its kind."""
        handle = due.kol.handle
        expected, generation = self._ledger.forecast.of(handle), once()
        self.run.crew.begun(handle)
        return expected, generation, self._ledger.readings.kind(handle)

    def _once(self, kol: Kol, begin: Callable[[], _Generation]) -> Callable[[], int | _Generation]:
        """Return what begins a generation of a list once, also if the answer is lost and the ledger is asked again."""
        kols, before = self._ledger.kols, list[int]()

        def work() -> int | _Generation:
            before.append(kols.generation(kol.handle))
            return begin() if before[-1] == before[0] else before[-1]

        return work

    async def _lists_to_read(self) -> AsyncIterator[Due | None]:
        async for due in self.run.crew.due():
            needs_nothing = due is not None and await self._store.ask(partial(self._needs_nothing, due))
            if due and needs_nothing:
                await self.run.commits.list_had_ended(due.kol)
            else:
                yield due

    def _list(
        self, kol: Kol, account: Account, generation: int, known: Known | None = None, page_size: int | None = None
    ) -> _List:
        """Return a list at its beginning; `known` is set for an incremental reading, whose pages can be small."""
        full = self._provider.page_size
        size = page_size if page_size and known else full
        paging = Paging(known or NOBODY, self._config.known_stop, small_pages=size < full, longest=self._longest)
        return _List(kol, account, generation, paging, size, known=known)

    def _needs_nothing(self, due: Due) -> bool:
        """Tell whether the list had ended in an earlier run, so that only its cached pages had to be loaded."""
        handle = due.kol.handle
        ended = due.why in {Why.BEGUN, Why.REFUSED} and due.state is not State.FETCHING
        return ended and handle not in self._cached.damaged and not self._ledger.readings.base_is_missing(handle)

    async def _known(self, kol: Kol) -> Known:
        """Return the accounts that the KOL was known to follow before this reading.

        They come from the cache, or without their order from the follows table. A missing account costs calls; no user
        is lost.
        """
        readings, account_id, table = self._ledger.readings, self._provider.account_id, self._config.follows_table

        def kept() -> tuple[Known | None, float]:
            pages = readings.known_pages(kol.handle)
            if pages is None:
                return None, readings.known_until(kol.handle)
            answers = (self._provider.parse(200, body, cursor) for cursor, body in pages)  # one by one: they are large
            ids = (ids_of(page.users, account_id) for page in answers if isinstance(page, Page))
            return Known.newest_first(int(id_) for of_page in ids for id_ in of_page if id_), 0.0

        in_order, until = await self._store.ask(kept)
        if in_order is not None:
            return in_order
        if not table:
            return NOBODY
        before = moment(until)
        try:
            known = await self.run.database.ask(lambda database: known_ids(database, table, kol.handle, before))
        except StopRun as error:
            self._stop.fail(error)
            raise NotAsked("the run is stopping") from None
        self.run.work.resume("the database")
        return Known(known)

    def _begin(self, due: Due) -> int:
        """Begin or continue a list. Returns the generation of its pages."""
        kols, kol = self._ledger.kols, due.kol
        if due.why is Why.REFRESH:
            return kols.begin_generation(kol.handle, incremental=due.incremental)
        if due.why is not Why.NEW and self._ledger.readings.base_is_missing(kol.handle):
            logger.warning(
                "KOL %s: its last full list is neither in this table nor in the cache; reading it in full again",
                kol.user_name,
            )
            return kols.begin_generation(kol.handle)
        if due.state is State.FAILED and self._ledger.readings.doubted(kol.handle, kols.generation(kol.handle)):
            return kols.begin_generation(kol.handle, incremental=due.incremental)
        if due.why is Why.RETRY and due.state is State.PARTIAL:
            return kols.begin_generation(kol.handle, keep_good_pages=True)
        if due.why is Why.RETRY and due.state is State.FAILED and kols.cursor_refused_twice(kol.handle):
            return kols.begin_generation(kol.handle)
        return kols.begin(kol)

    def _request(self, followings: _List, cursor: str) -> Request:
        self.run.pace.is_coming(followings.kol.user_name)
        api_url, size = self._config.api_url, followings.page_size
        asked = PageRequest(followings.kol, followings.generation, cursor, followings.paging.pages + 1, size)
        return Request(
            self._provider.url(api_url, followings.account, cursor, size),
            callback=self.parse_page,
            errback=self.no_answer,
            cb_kwargs={"followings": followings, "asked": asked},
            meta=asked.meta(api_url),
        )

    async def parse_page(self, response: Response, followings: _List, asked: PageRequest) -> Iterator[Any]:
        """Return the page, and behind it the request for the next one, or record how the list ended."""
        page, more = None, None
        with suppress(NotAsked):  # the store can't be used, so the run stops
            if isinstance(asked.answer, Page):
                outcome, verdict = await self._take(asked, asked.answer, followings, kept="cached" in response.flags)
                if "cached" not in response.flags:
                    page = self._bought(asked, asked.answer, followings, verdict)
                if self.run.crew.loads_from_store:
                    page = None
                more = await self._after_page(asked, followings, outcome, verdict)
            elif asked.answer is not None:
                more = await self._after_error(asked.answer, followings)
        return self._passed_on(page, more, followings)

    def _passed_on(
        self, page: FollowingsPage | None, more: _More | None, followings: _List
    ) -> Iterator[FollowingsPage | Request]:
        """Yield the page, then a request: Scrapy asks for it once the pipelines are through with the page."""
        try:
            if page is not None:
                yield page
        finally:
            if more is None:
                self._give_back(followings)
        if more is not None:
            yield self._request(*more)

    async def _take(
        self, asked: PageRequest, page: Page, followings: _List, *, kept: bool
    ) -> tuple[Next | End, _Verdict]:
        """Take in a page, and ask the ledger what is to be thought of the list if it ends there."""
        ids = list(filter(None, ids_of(page.users, self._provider.account_id)))
        outcome = followings.paging.take(asked.cursor, page, ids, kept=kept)
        if isinstance(outcome, Next):
            return outcome, _Verdict()
        return outcome, await self._store.ask(lambda: self._verdict(followings, outcome))

    def _bought(self, asked: PageRequest, page: Page, followings: _List, verdict: _Verdict) -> FollowingsPage:
        followings.bought += 1
        if not self._failures.page_came:
            for _ in range(_AT_ONCE_AT_FIRST, self._config.concurrency):
                self._places.release()
        self._failures.note_page(asked.sent_at)
        return FollowingsPage(
            followings.kol,
            followings.paging.pages,
            asked.cursor,
            page.users,
            not page.more,
            asked.seq,
            asked.fetched_at,
            None if page.more else verdict.began,
        )

    async def _after_page(
        self, asked: PageRequest, followings: _List, outcome: Next | End, verdict: _Verdict
    ) -> _More | None:
        if isinstance(outcome, Next):
            if 0 < self._increments.most(followings.page_size) <= followings.paging.pages:
                return await self._begin_again(followings, f"{followings.paging.users} users, and still new ones")
            return followings, outcome.cursor
        if asked.seq is None:
            return None  # the page could not be stored, so the run stops, and the list is not whole
        if verdict.doubt:
            await self._fail(followings, _DOUBTFUL, verdict.doubt)
            return None
        if followings.bought:
            self._failures.note_good(followings.paging.users if outcome.state is State.COMPLETE else 0)
        self.run.tally.short_lists += verdict.short
        state = State.FETCHED if outcome.state is State.COMPLETE else outcome.state
        await self._end(followings, state, outcome.reason or verdict.remark, known=not outcome.full)
        return None

    def _verdict(self, followings: _List, outcome: End) -> _Verdict:
        """Judge a list that came to its end, by the ledger."""
        handle, users, ledger = followings.kol.handle, followings.paging.users, self._ledger
        is_whole = outcome.state is State.COMPLETE and outcome.full
        if is_whole and (doubt := self._doubt(followings)):
            return _Verdict(doubt)
        is_protected = ledger.accounts.is_protected(handle)
        if is_whole and not is_protected:
            following = ledger.selection.following(handle)
            if ledger.readings.note_length(handle, followings.generation, users, following):
                return _Verdict(short=True, remark=f"{users:,} of {following:,} by its profile")
        began = ledger.pages.full_reading_began(handle, followings.generation)
        return _Verdict(began=began, remark="protected" if not users and is_protected else "")

    def _doubt(self, followings: _List) -> str:
        """Say why a full list is not believed: it was much longer before. Empty if it is.

        A second reading confirms it, in a later run in which the API gives other lists as they should be.
        """
        handle, generation, readings = followings.kol.handle, followings.generation, self._ledger.readings
        if not readings.is_doubtful(handle, generation):
            return ""
        if self._failures.some_list_is_good and readings.doubted(handle, generation - 1):
            return ""
        came, known = followings.paging.users, readings.known_before(handle, generation)
        return f"only {came:,} of {known:,} users came; the list before is kept until a second reading says the same"

    async def _begin_again(self, followings: _List, why: str) -> _More:
        """Begin an incremental reading in small pages again, in full ones."""
        kol = followings.kol
        generation = await self._store.ask(self._once(kol, lambda: self._ledger.kols.begin_increment_again(kol.handle)))
        size = self._provider.page_size
        logger.info("KOL %s: %s: again from page 1, %d a page", kol.user_name, why, size)
        return self._again(followings, self._list(kol, followings.account, generation, followings.known))

    def _again(self, followings: _List, again: _List) -> _More:
        again.bought = followings.bought
        self.run.work.begin_again(again.kol, again.paging)
        return again, ""

    async def _after_error(self, error: ApiError, followings: _List) -> _More | None:
        kol = followings.kol
        if error.kind is ApiErrorKind.BAD_CURSOR and followings.page_size < self._provider.page_size:
            return await self._begin_again(followings, "its cursor was refused")
        if error.kind is ApiErrorKind.BAD_CURSOR:
            generation = await self._store.ask(self._once(kol, lambda: self._ledger.kols.restart(kol.handle)))
            if generation is not None:
                logger.warning(
                    "KOL %s: the API no longer accepts its cursor (%s); buying the list again from page 1, once",
                    kol.user_name,
                    error.message,
                )
                return self._again(followings, self._list(kol, followings.account, generation))
            reason = f"cursor refused again ({error.message}); -a retry=failed starts over from page 1"
            await self._fail(followings, error.kind, reason)
        elif error.kind is ApiErrorKind.NOT_FOUND:
            self._failures.note_good(0)
            await self._end(followings, State.NOT_FOUND, f'the API says "{error.message}"')
        elif error.kind is ApiErrorKind.WRONG_PATH and self._failures.page_came:
            # The path is right, so there is nothing at this KOL's name.
            await self._fail(followings, error.kind, f'the API says "{error.message}"', State.NOT_FOUND)
        else:
            await self._fail(followings, error.kind, error.message)
        return None

    async def no_answer(self, failure: Failure) -> None:
        """End the list after a network failure that outlasted the retries; ignore a request that was never sent."""
        followings: _List = failure.request.cb_kwargs["followings"]  # type: ignore[attr-defined]
        self._give_back(followings)
        if failure.value is not None and not isinstance(failure.value, NotAsked):
            await self._fail(followings, "network", network_failure(failure.value, self._config).text)

    def nobody_is_left(self) -> None:
        """Take stock when no request is left."""
        self._failures.note_end()
        if self._sweep and (error := self._sweep.error) and not self._stop.is_set():
            then = "run the same command again; -a refresh=1d -a incremental=1 reads their lists without profiles"
            if error.kind is ApiErrorKind.NO_CREDIT:
                then = "recharge the API account, then run the same command again"
            why = f"the API gave no profiles of some KOLs ({error.message}), which were not looked at"
            self._stop.fail(StopRun(f"{why}: {then}"))
        if not (self._has_asked_why or self._stop.is_set() or self.run.arguments.replay) and self.crawler.engine:
            self._has_asked_why = True
            if self.run.crew.leads and (self.run.lost or self.run.commits.raising.asks):
                self.crawler.engine.crawl(Request("data:,why", callback=self.ask_why))

    async def _fail(self, followings: _List, kind: str, why: str, state: State = State.FAILED) -> None:
        """Record that a list failed, and stop the run if that is not the KOL's own failure."""
        if kind == self._failures.stopped_by:
            return
        at = "" if kind == _DOUBTFUL or state is not State.FAILED else f"page {followings.paging.pages + 1}: "
        await self._end(followings, state, at + why, doubtful=kind == _DOUBTFUL)
        if self._failures.note_failed(followings.kol.handle, kind, why):
            with suppress(NotAsked):
                await self._store.ask(lambda: self._ledger.kols.are_not_missing(self._failures.in_a_row))

    def _give_back(self, followings: _List) -> None:
        """Let another list begin, because no more pages of this one are requested."""
        self.run.pace.is_through(followings.kol.user_name)
        self.run.work.end(followings.kol)
        self._places.release()

    async def _end(
        self, followings: _List, state: State, reason: str, *, known: bool = False, doubtful: bool = False
    ) -> None:
        """Record the end of a list; `known` means that it ended at a page of known accounts."""
        await self.run.commits.list_ended(
            followings.kol,
            state,
            reason,
            pages=followings.paging.pages,
            users=followings.paging.users,
            bought=followings.bought,
            new=followings.paging.new if known else None,
            doubtful=doubtful,
        )
