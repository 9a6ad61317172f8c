"""Scrapy's HTTP cache with our storage and policy: whole good pages only, in the store's SQLite file."""

from __future__ import annotations

import sqlite3
import time
from typing import TYPE_CHECKING

from scrapy.http import TextResponse

from kolspider.providers.base import Page
from kolspider.run.run import run_of

if TYPE_CHECKING:
    from scrapy import Request, Spider
    from scrapy.http import Response
    from scrapy.settings import BaseSettings

__all__ = ["PageStorage", "WholePagePolicy"]


class WholePagePolicy:
    """What is stored: pages, never errors, whatever their HTTP status. What is found is always good:
    freshness is a matter of generations, and the storage does not find a page of another generation."""

    def __init__(self, settings: BaseSettings) -> None:
        pass

    def should_cache_request(self, request: Request) -> bool:
        """Every request for a page of a KOL may be answered from the cache."""
        return "kol" in request.meta

    def should_cache_response(self, response: Response, request: Request) -> bool:
        """Only what AnswerMiddleware read as a page."""
        return isinstance(request.meta.get("answer"), Page)

    def is_cached_response_fresh(self, cachedresponse: Response, request: Request) -> bool:
        """Always: otherwise the middleware would buy the page and then may hand out the stored one."""
        return True

    def is_cached_response_valid(
        self,
        cachedresponse: Response,
        response: Response,
        request: Request,
    ) -> bool:
        """Never: what was just paid for is what counts."""
        return False


class PageStorage:
    """The store's pages behind Scrapy's cache interface. Each request's meta names KOL, generation and cursor."""

    def __init__(self, settings: BaseSettings) -> None:
        pass

    def open_spider(self, spider: Spider) -> None:
        """The store itself was opened before the crawl, where a failure stops the command."""
        self._run = run_of(spider.crawler)

    def close_spider(self, spider: Spider) -> None:
        """The run closes its store."""

    def retrieve_response(self, spider: Spider, request: Request) -> Response | None:
        """The stored page as a response, None when there is none or it is damaged."""
        meta = request.meta
        try:
            found = self._run.pages.get(meta["kol"].handle, meta["generation"], meta["cursor"])
        except sqlite3.Error as error:
            self._run.stop_for_disk(error)
            return None
        if found is None:
            return None
        meta["seq"], body = found
        if self._run.arguments.dry_run or not self._run.pages.is_coming(meta["seq"]):
            self._run.count("cache/hits")  # the others are counted when they are loaded
        return TextResponse(request.url, body=body, encoding="utf-8")

    def store_response(self, spider: Spider, request: Request, response: Response) -> None:
        """Store a page. One that can't be stored goes on to the target all the same, and the run stops."""
        meta = request.meta
        meta["fetched_at"] = time.time()
        try:
            meta["seq"] = self._run.pages.put(
                meta["kol"],
                meta["generation"],
                meta["cursor"],
                meta["number"],
                len(meta["answer"].users),
                response.body,
                fetched_at=meta["fetched_at"],
            )
        except (sqlite3.Error, OSError) as error:
            self._run.stop_for_disk(error)
