"""Scrapy's HTTP cache with our storage and policy: whole good pages only, in the store's SQLite file."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING

from scrapy.http import TextResponse

from kolspider.crawl.page_request import PageRequest
from kolspider.errors import NotAsked
from kolspider.providers.base import Page
from kolspider.run.run import run_of

if TYPE_CHECKING:
    from scrapy import Request, Spider
    from scrapy.http import Response
    from scrapy.settings import BaseSettings

__all__ = ["PageStorage", "WholePagePolicy"]


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
    """The store's pages behind Scrapy's cache interface; PageRequest names KOL, generation and cursor."""

    def __init__(self, settings: BaseSettings) -> None:
        pass

    def open_spider(self, spider: Spider) -> None:
        """Take the parts of the run that it needs; the store was opened before the crawl."""
        run = run_of(spider.crawler)
        self._pages, self._disk, self._tally = run.ledger.pages, run.disk, run.tally
        self._dry_run = run.arguments.dry_run

    def close_spider(self, spider: Spider) -> None:
        """Do nothing: the store is closed after the crawl."""

    def retrieve_response(self, spider: Spider, request: Request) -> Response | None:
        """Return the stored page as a response; None if there is none, or it is damaged."""
        asked = PageRequest.of(request)
        found = None
        if asked is not None:
            with suppress(NotAsked), self._disk.guard():
                found = self._pages.get(asked.kol.handle, asked.generation, asked.cursor)
        if asked is None or found is None:
            return None
        asked.seq, body = found
        if self._dry_run or not self._pages.will_load(asked.seq):
            self._tally.cache_hits += 1  # pages to be loaded are counted then
        return TextResponse(request.url, body=body, encoding="utf-8")

    def store_response(self, spider: Spider, request: Request, response: Response) -> None:
        """Store a page. If that fails, the page still goes to the target, and the run stops."""
        asked = PageRequest.of(request)
        if asked is None or not isinstance(asked.answer, Page):
            return
        asked.fetched_at = time.time()
        with suppress(NotAsked), self._disk.guard():
            asked.seq = self._pages.put(
                asked.kol,
                asked.generation,
                asked.cursor,
                asked.number,
                len(asked.answer.users),
                response.body,
                fetched_at=asked.fetched_at,
            )
