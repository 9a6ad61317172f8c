"""Scrapy's HTTP cache with our storage and policy: whole good pages only, in the store's SQLite file."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING

from scrapy.downloadermiddlewares.httpcache import HttpCacheMiddleware
from scrapy.http import TextResponse

from kolspider.crawl.page_request import PageRequest
from kolspider.errors import NotAsked
from kolspider.providers.base import Page
from kolspider.run.run import run_of

if TYPE_CHECKING:
    from scrapy import Request, Spider
    from scrapy.http import Response
    from scrapy.settings import BaseSettings

__all__ = ["PageCache", "PageStorage", "WholePagePolicy"]


class PageCache(HttpCacheMiddleware):
    """Scrapy's cache middleware with a storage that is asked without blocking the event loop."""

    storage: PageStorage

    async def process_request(  # type: ignore[override]  # Scrapy awaits what a middleware returns
        self, request: Request
    ) -> Request | Response | None:
        """Look the page up, then let Scrapy's code decide."""
        self.storage.found = await self.storage.find(request)  # nothing else runs between this and the next line
        return super().process_request(request)

    async def process_response(  # type: ignore[override]  # as above
        self, request: Request, response: Response
    ) -> Request | Response:
        """Let Scrapy's code decide, then store the page that it hands over."""
        passed = super().process_response(request, response)
        await self.storage.store()
        return passed


class WholePagePolicy:
    """Lets whole good pages be stored, and no errors, whatever their HTTP status.

    A stored page is always fresh, because the storage does not return pages of another generation.
    """

    def __init__(self, settings: BaseSettings) -> None:
        pass

    def should_cache_request(self, request: Request) -> bool:
        """Let every request for a page of a list be answered from the cache."""
        return PageRequest.of(request) is not None

    def should_cache_response(self, response: Response, request: Request) -> bool:
        """Store only what AnswerMiddleware parsed as a page."""
        asked = PageRequest.of(request)
        return asked is not None and isinstance(asked.answer, Page)

    def is_cached_response_fresh(self, cachedresponse: Response, request: Request) -> bool:
        """Use every stored page; otherwise Scrapy would buy it again, and then might return the stored one."""
        return True

    def is_cached_response_valid(
        self,
        cachedresponse: Response,
        response: Response,
        request: Request,
    ) -> bool:
        """Never prefer a stored page over one that was just paid for."""
        return False


class PageStorage:
    """The store's pages behind Scrapy's cache interface; PageRequest names KOL, generation and cursor.

    Scrapy's methods don't wait for a store, so PageCache does it before and after them, with `find` and `store`.
    """

    def __init__(self, settings: BaseSettings) -> None:
        self.found: Response | None = None
        """What `retrieve_response` returns."""
        self._bought: tuple[PageRequest, bytes] | None = None

    def open_spider(self, spider: Spider) -> None:
        """Take the parts of the run that it needs; the store was opened before the crawl."""
        run = run_of(spider.crawler)
        self._pages, self._store, self._crew, self._tally = run.ledger.pages, run.store, run.crew, run.tally
        self._dry_run = run.arguments.dry_run

    def close_spider(self, spider: Spider) -> None:
        """Do nothing: the store is closed after the crawl."""

    async def find(self, request: Request) -> Response | None:
        """Return the stored page as a response; None if there is none, or it is damaged."""
        if (asked := PageRequest.of(request)) is None:
            return None
        found = None
        with suppress(NotAsked):
            found = await self._store.ask(lambda: self._get(asked))
        if found is None:
            return None
        asked.seq, body, is_counted_later = found
        self._tally.cache_hits += not is_counted_later
        return TextResponse(request.url, body=body, encoding="utf-8")

    def _get(self, asked: PageRequest) -> tuple[int, bytes, bool] | None:
        found = self._pages.get(asked.kol.handle, asked.generation, asked.cursor)
        if found is None:
            return None
        # Pages to be loaded are counted then.
        return (*found, not self._dry_run and (self._crew.loads_from_store or self._pages.will_load(found[0])))

    def retrieve_response(self, spider: Spider, request: Request) -> Response | None:
        """Return what `find` found."""
        return self.found

    def store_response(self, spider: Spider, request: Request, response: Response) -> None:
        """Take a page that `store` stores."""
        asked = PageRequest.of(request)
        if asked is not None and isinstance(asked.answer, Page):
            self._bought = asked, response.body

    async def store(self) -> None:
        """Store a page. If that fails, the page still goes to the target, and the run stops."""
        if self._bought is None:
            return
        asked, body = self._bought
        self._bought, asked.fetched_at = None, time.time()
        put, key = self._pages.put, (asked.kol, asked.generation, asked.cursor, asked.number, len(asked.answer.users))
        with suppress(NotAsked):
            asked.seq = await self._store.ask(lambda: put(*key, body, fetched_at=asked.fetched_at))
