"""Which KOLs, which page next; nothing else."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from scrapy import Request, Spider

from kolspider.console.wording import moment
from kolspider.crawl.answers import network_error
from kolspider.db.spans import known_ids
from kolspider.errors import NotAsked, StopRun
from kolspider.items import FollowingsPage, Kol, State
from kolspider.load.mapping import usable_id
from kolspider.providers.base import ApiError, ErrorKind, Page
from kolspider.providers.paging import Next, Paging
from kolspider.store.selection import Due, Why

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Generator, Iterator

    from scrapy.crawler import Crawler
    from scrapy.http import Response
    from twisted.python.failure import Failure

    from kolspider.run.run import Run
    from kolspider.store.pages import CachedPage

__all__ = ["FollowingsSpider"]

logger = logging.getLogger(__name__)

_LOOK_EVERY = 0.01
"""Seconds between two looks at whether the cached pages are all on their way to the table."""


@dataclass(slots=True)
class _List:
    """A KOL's list on its way, page by page."""

    kol: Kol
    generation: int
    paging: Paging = field(default_factory=Paging)
    bought: int = 0
    """Pages that came from the API in this run."""


class FollowingsSpider(Spider):
    """Buys the followings of each selected KOL, after what the cache already holds is on its way to the table."""

    name = "followings"
    run: Run

    @classmethod
    def from_crawler(cls, crawler: Crawler, *args: Any, **kwargs: Any) -> FollowingsSpider:
        """Takes `run`, which the crawl command opened."""
        run: Run = kwargs.pop("run")
        spider = super().from_crawler(crawler, *args, **kwargs)
        spider.run = run
        run.attach(crawler)
        return spider

    async def start(self) -> AsyncIterator[Request]:
        """Cached pages first, then KOL after KOL, as many at once as CONCURRENT_REQUESTS says."""
        self._provider = self.run.config.provider
        self._places = asyncio.Semaphore(self.run.config.concurrency)
        self._damaged: set[str] = set()
        self._with_gaps: set[tuple[str, int]] = set()
        """Lists, by generation, of which a page in the cache is damaged: that they end tells nothing of who is lost."""
        self._cache_is_loaded = asyncio.Event()
        self.run.announce()
        if not self.run.arguments.dry_run:
            # Not as items of start(): Scrapy 2.19 never closes a spider while one of those is in a pipeline
            # (Scraper looks whether it may close when a response is done, not when such an item is).
            yield Request("data:,", callback=self.load_cached_pages)
            await self._cache_is_loaded.wait()
        if self.run.arguments.replay:
            return
        with suppress(NotAsked), self.run.disk():
            async for request in self._first_requests():
                yield request

    async def load_cached_pages(self, response: Response) -> AsyncIterator[FollowingsPage]:
        """In the order of fetching, so that a newer profile is never overwritten by an older one."""
        run, pages, sent = self.run, self.run.pages, 0
        try:
            with suppress(NotAsked), self.run.disk():
                for cached in pages.of_selected() if self.run.arguments.replay == "all" else pages.waiting():
                    if self.run.stopping:
                        return
                    if page := self._page_of(cached):
                        sent += 1
                        yield page
            # Scrapy takes pages from here ahead of the pipelines, and no page bought now may overtake them.
            while run.loads.pages + run.bugs < sent and not run.stopping:  # noqa: ASYNC110 - for some milliseconds
                await asyncio.sleep(_LOOK_EVERY)
        finally:
            self._cache_is_loaded.set()  # after a bug, too: start() would wait for ever

    def _page_of(self, cached: CachedPage) -> FollowingsPage | None:
        body = cached.body
        answer = None if body is None else self._provider.parse(200, body, cached.cursor)
        if isinstance(answer, Page):
            self.run.count("cache/hits")
            kol = Kol(cached.handle, cached.user_name)
            return FollowingsPage(
                kol,
                cached.number,
                cached.cursor,
                answer.users,
                not answer.more,
                cached.seq,
                cached.fetched_at,
                None if answer.more else self._whole_since(cached.handle, cached.generation),
            )
        self._with_gaps.add((cached.handle, cached.generation))
        self.run.count("cache/damaged")
        logger.warning("KOL %s: page %d in the cache is damaged", cached.user_name, cached.number)
        if self.run.kols.will_ask_again(cached.handle, cached.generation):
            self._damaged.add(cached.handle)
        else:
            self.run.pages.drop(cached.seq)
        return None

    def _whole_since(self, handle: str, generation: int) -> float | None:
        """For the last page of a list."""
        if (handle, generation) in self._with_gaps:
            return None
        with suppress(NotAsked), self.run.disk():
            return self.run.pages.whole_since(handle, generation)
        return None

    async def _first_requests(self) -> AsyncIterator[Request]:
        for due in self.run.selection.due():
            if self._needs_nothing(due):
                self.run.loads.list_had_ended(due.kol)  # only its cached pages had to be loaded
                continue
            await self._places.acquire()
            if self.run.stopping:
                return
            expected = self.run.forecast.of(due.kol.handle)
            followings = _List(due.kol, self._begin(due))
            if self.run.kols.is_incremental(due.kol.handle):
                followings.paging = Paging(await self._known(due.kol), self.run.config.known_stop)
            self.run.work.begin(due.kol, followings.paging, expected)
            yield self._request(followings, "")

    def _needs_nothing(self, due: Due) -> bool:
        """Whether only its cached pages had to be loaded."""
        handle = due.kol.handle
        ended = due.why is Why.BEGUN and due.state != State.FETCHING
        return ended and handle not in self._damaged and not self.run.kols.lacks_base(handle)

    async def _known(self, kol: Kol) -> frozenset[int]:
        """Whom the KOL was known to follow before this crawl: by the cache, or else by the follows table.

        What is missing here costs calls, and loses nobody.
        """
        kols, account_id, table = self.run.kols, self._provider.account_id, self.run.config.follows_table
        if (pages := kols.known_pages(kol.handle)) is not None:
            answers = (self._provider.parse(200, body, cursor) for cursor, body in pages)
            users = (user for page in answers if isinstance(page, Page) for user in page.users)
            return frozenset(int(id_) for user in users if (id_ := usable_id(account_id(user))))
        if not table:
            return frozenset()
        before = moment(kols.known_before(kol.handle))
        try:
            return await self.run.ask(lambda database: known_ids(database, table, kol.handle, before))
        except StopRun as error:
            self.run.stop(error)
            raise NotAsked("the run is stopping") from None

    def _begin(self, due: Due) -> int:
        kols, kol = self.run.kols, due.kol
        if due.why is Why.REFRESH:
            return kols.begin_anew(kol, keep_good_pages=False, incremental=due.incremental)
        if due.why is not Why.NEW and kols.lacks_base(kol.handle):
            logger.warning(
                "KOL %s: the whole list that its last crawl adds to is not in this table, nor in the cache: "
                "reading it whole", kol.user_name,
            )  # fmt: skip
            return kols.begin_anew(kol, keep_good_pages=False)
        if due.why is Why.RETRY and due.state == State.PARTIAL:
            return kols.begin_anew(kol, keep_good_pages=True)
        if due.why is Why.RETRY and due.state == State.FAILED and kols.cursor_refused_twice(kol.handle):
            return kols.begin_anew(kol, keep_good_pages=False)
        return kols.begin(kol)

    def _request(self, followings: _List, cursor: str) -> Request:
        config = self.run.config
        return Request(
            self._provider.url(config.api_url, followings.kol.user_name, cursor),
            callback=self.parse_page,
            errback=self.no_answer,
            cb_kwargs={"followings": followings},
            meta={
                "kol": followings.kol,
                "generation": followings.generation,
                "cursor": cursor,
                "number": followings.paging.pages + 1,
                # The key must not pass through an HTTP proxy in clear; to https:// a proxy sees only a tunnel.
                **({"proxy": None} if config.api_url.startswith("http:") else {}),
            },
        )

    def parse_page(self, response: Response, followings: _List) -> Iterator[Any]:
        """Hand over the page, then ask for the next one, or say how the list ended."""
        more = None
        try:
            answer = response.meta["answer"]
            if isinstance(answer, ApiError):
                more = self._after_error(answer, followings)
            else:
                more = yield from self._after_page(response, answer, followings)
        except NotAsked:
            return  # the cache directory can't be used, and the run stops
        finally:
            if more is None:
                self._give_back(followings)
        if more is not None:
            yield more

    def _after_page(
        self, response: Response, page: Page, followings: _List
    ) -> Generator[FollowingsPage, None, Request | None]:
        cursor = response.meta["cursor"]
        ids = [id_ for raw in map(self._provider.account_id, page.users) if (id_ := usable_id(raw))]
        kept = "cached" in response.flags
        outcome = followings.paging.take(cursor, page, ids, kept=kept)
        if not kept:
            followings.bought += 1
            yield FollowingsPage(
                followings.kol,
                followings.paging.pages,
                cursor,
                page.users,
                not page.more,
                response.meta.get("seq"),
                response.meta["fetched_at"],
                None if page.more else self._whole_since(followings.kol.handle, followings.generation),
            )
        if isinstance(outcome, Next):
            return self._request(followings, outcome.cursor)
        if "seq" not in response.meta:
            return None  # the page could not be stored, so the list is not whole in the cache; the run stops
        state = State.FETCHED if outcome.state is State.COMPLETE else outcome.state
        self._end(followings, state, outcome.reason, known=not outcome.whole)
        return None

    def _after_error(self, error: ApiError, followings: _List) -> Request | None:
        if error.kind is ErrorKind.BAD_CURSOR:
            with self.run.disk():
                generation = self.run.kols.restart(followings.kol.handle)
            if generation is not None:
                logger.warning(
                    "KOL %s: the API no longer takes its cursor (%s); buying the list again from page 1, once",
                    followings.kol.user_name, error.message,
                )  # fmt: skip
                again = _List(followings.kol, generation, bought=followings.bought)
                self.run.work.begin_again(again.kol, again.paging)
                return self._request(again, "")
            self._end(
                followings,
                State.FAILED,
                f"cursor refused again ({error.message}); -a retry=failed begins anew",
            )
        elif error.kind is ErrorKind.NOT_FOUND:
            self._end(followings, State.NOT_FOUND, f'the API says "{error.message}"')
        else:
            self._end(followings, State.FAILED, f"page {followings.paging.pages + 1}: {error.message}")
        return None

    def no_answer(self, failure: Failure) -> None:
        """The network failed for good, or the request was never sent because the run stops."""
        followings: _List = failure.request.cb_kwargs["followings"]  # type: ignore[attr-defined]
        self._give_back(followings)
        if isinstance(failure.value, NotAsked):
            return
        reason = f"page {followings.paging.pages + 1}: {network_error(failure.value, self.run)}"
        self._end(followings, State.FAILED, reason)

    def _give_back(self, followings: _List) -> None:
        """Nothing more is asked of this list: another may begin."""
        self.run.work.end(followings.kol)
        self._places.release()

    def _end(self, followings: _List, state: State, reason: str, *, known: bool = False) -> None:
        """known: everybody behind its last page is known."""
        self.run.loads.list_ended(
            followings.kol,
            state,
            reason,
            pages=followings.paging.pages,
            users=followings.paging.users,
            bought=followings.bought,
            new=followings.paging.new if known else None,
        )
