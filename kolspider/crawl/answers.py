"""What each answer of the API means for the run.

A page passes to the spider, a temporary failure is retried after a growing wait, and a refused key stops the run. What
an answer means for its KOL is decided in the spider.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from scrapy.downloadermiddlewares.httpcompression import HttpCompressionMiddleware
from scrapy.exceptions import (
    CannotResolveHostError,
    DownloadConnectionRefusedError,
    DownloadTimeoutError,
    ResponseDataLossError,
)

from kolspider.crawl.page_request import PageRequest
from kolspider.errors import NotAsked, StopRun
from kolspider.options.secrets import redacted, redacted_body
from kolspider.providers.base import ApiError, ApiErrorKind, Page, one_line
from kolspider.run.run import run_of
from kolspider.watch.words import cut

if TYPE_CHECKING:
    from scrapy import Request
    from scrapy.crawler import Crawler
    from scrapy.http import Response

    from kolspider.live.disk import Disk
    from kolspider.live.stop import Stop
    from kolspider.live.tally import Tally
    from kolspider.live.work import Work
    from kolspider.options.config import Config
    from kolspider.store.pages import Pages

__all__ = ["AnswerMiddleware", "UnpackMiddleware", "network_error"]

logger = logging.getLogger(__name__)

_RETRIES_OF_200 = 2
"""The most retries of a failure inside a 200: the server works, and charges for each."""
_LONGEST_WAIT = 120.0
_COLUMNS = 69
"""Of a message: a log line, which begins with time and level, fits a terminal of 80."""
_LEAST = 12
"""Columns of the reason at least: `HTTP 502: ...`"""

_NEVER_ARRIVED = (DownloadConnectionRefusedError, CannotResolveHostError)
"""Failures that nothing was charged for, because nothing reached the API."""

_STOPS = {
    ApiErrorKind.AUTH: "the API refuses the key{said}; check KOL_API_KEY",
    ApiErrorKind.NO_CREDIT: "the API account has no credit left{said}; recharge it, then run the same command again",
    ApiErrorKind.WRONG_PATH: "there is no followings API at {url}{said}; check KOL_API_URL",
}


def network_error(exception: BaseException | None, config: Config) -> str:
    """Describe a network failure in one line."""
    texts: dict[type, str] = {
        DownloadConnectionRefusedError: f"{config.api_url} refuses the connection (KOL_API_URL)",
        CannotResolveHostError: f"the host of {config.api_url} can't be found (KOL_API_URL)",
        DownloadTimeoutError: f"no answer within {config.timeout:g} s (DOWNLOAD_TIMEOUT)",
        ResponseDataLossError: "the answer was cut off",
    }
    text = texts.get(type(exception)) or f"the connection failed: {type(exception).__name__}: {exception}"
    return one_line(redacted(text, (config.api_key,)))


class UnpackMiddleware(HttpCompressionMiddleware):
    """Turns an answer that can't be unpacked into an empty one, so that it is retried like any broken answer."""

    def process_response(  # type: ignore[override]  # Scrapy's old `spider` argument is gone in 2.19
        self, request: Request, response: Response
    ) -> Response | Request:
        """Unpack, whatever Content-Encoding says."""
        try:
            return super().process_response(request=request, response=response)
        except Exception as error:  # noqa: BLE001 - zlib, gzip, brotli and zstd each have errors of their own
            logger.debug("%s can't be unpacked: %r", request.url, error)
            return response.replace(body=b"")


class AnswerMiddleware:
    """Parses each response once, into the `answer` of its PageRequest, which the later stages use."""

    def __init__(self, config: Config, pages: Pages, disk: Disk, stop: Stop, tally: Tally, work: Work) -> None:
        self._config = config
        self._provider = config.provider
        self._pages = pages
        self._disk = disk
        self._stop = stop
        self._tally = tally
        self._work = work

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> AnswerMiddleware:
        """Take the parts of the run that it needs."""
        run = run_of(crawler)
        return cls(run.config, run.ledger.pages, run.disk, run.stop, run.tally, run.work)

    async def process_response(self, request: Request, response: Response) -> Response | Request:
        """Pass on a page, or the final answer about a KOL; otherwise retry the request, or stop the run."""
        asked = PageRequest.of(request)
        if asked is None:
            return response  # not from the API
        body = redacted_body(response.body, self._config.api_key)
        if body != response.body:
            response = response.replace(body=body)
        answer = asked.answer = self._provider.parse(response.status, body, asked.cursor)
        if "cached" in response.flags:
            return response if isinstance(answer, Page) else self._buy_again(request, asked)
        users = len(answer.users) if isinstance(answer, Page) else 0
        self._tally.credits += self._provider.price(users, self._provider.page_size)
        if isinstance(answer, Page):
            self._tally.pages += 1
            return response
        self._tally.errors[answer.kind] += 1
        if answer.kind in _STOPS:
            reason = _STOPS[answer.kind].format(said=f" ({answer.message})", url=self._config.api_url)
            self._stop.fail(StopRun(reason))
            raise NotAsked("the run is stopping")
        return await self._again(request, asked, answer) or response

    async def process_exception(self, request: Request, exception: Exception) -> Request | None:
        """Retry after a network failure. When no retry is left, the spider gets the failure."""
        asked = PageRequest.of(request)
        if isinstance(exception, NotAsked) or asked is None:
            return None
        self._tally.errors["network"] += 1
        if not isinstance(exception, _NEVER_ARRIVED):
            self._tally.credits += self._provider.price(0, self._provider.page_size)
        error = ApiError(ApiErrorKind.TRANSIENT, network_error(exception, self._config))
        return await self._again(request, asked, error)

    def _buy_again(self, request: Request, asked: PageRequest) -> Request:
        """Drop a cached page that the provider no longer reads as a page."""
        logger.warning("KOL %s: page %d in the cache can't be read; buying it again", asked.kol.user_name, asked.number)
        seq, asked.seq = asked.seq, None
        if seq is not None:
            with self._disk.guard():
                self._pages.drop(seq)
        return request.copy()

    async def _again(self, request: Request, asked: PageRequest, error: ApiError) -> Request | None:
        """Return a copy of the request after a growing wait; None if no retry is left."""
        retries = self._retries(error.kind)
        if asked.asked_again >= retries:
            return None
        wait = min(self._config.retry_secs * 2**asked.asked_again, _LONGEST_WAIT)
        asked.asked_again += 1
        name = asked.kol.user_name
        where = f"KOL {name}: page {asked.number}: "
        what = f"; retry {asked.asked_again} of {retries} in {wait:.3g} s"
        # The whole reason is shown while it waits, and when no retry is left.
        logger.warning("%s%s%s", where, cut(error.message, max(_COLUMNS - len(where + what), _LEAST)), what)
        self._work.wait(name, f"{name} retries page {asked.number}", wait, why=error.message)
        await self._stop.sleep(wait)
        return request.copy()

    def _retries(self, kind: ApiErrorKind) -> int:
        if kind is ApiErrorKind.TRANSIENT:
            return self._config.retry_times
        if kind in {ApiErrorKind.ERROR_IN_200, ApiErrorKind.CONTRACT_DRIFT}:
            return min(self._config.retry_times, _RETRIES_OF_200)
        return 0
