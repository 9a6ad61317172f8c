"""What each answer of the API means for the run.

A page passes to the spider, a temporary failure is retried after a growing wait, and a wrong key stops the run. What
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

from kolspider.crawl.pace import LONGEST_ASKED
from kolspider.crawl.page_request import PageRequest
from kolspider.crawl.retry_after import retry_after
from kolspider.errors import NotAsked, StopRun
from kolspider.options.secrets import redacted, redacted_body
from kolspider.providers.base import ApiError, ApiErrorKind, Page, one_line
from kolspider.run.run import run_of

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

__all__ = ["AnswerMiddleware", "UnpackMiddleware", "network_error", "never_left"]

logger = logging.getLogger(__name__)

_RETRIES = {
    ApiErrorKind.ERROR_IN_200: 2,  # the server works, and charges for each
    ApiErrorKind.CONTRACT_DRIFT: 2,
    ApiErrorKind.BAD_CURSOR: 1,  # before the list is bought again: a server in between may have refused it
    ApiErrorKind.FORBIDDEN: 0,
    ApiErrorKind.BLOCKED: 0,
    ApiErrorKind.NO_CREDIT: 0,
    ApiErrorKind.WRONG_PATH: 0,
    ApiErrorKind.REDIRECTED: 0,
    ApiErrorKind.NOT_FOUND: 0,
    ApiErrorKind.BAD_REQUEST: 0,
}
"""The most retries after each kind of error; RETRY_TIMES bounds them all, and the other kinds."""
_LONGEST_WAIT = 120.0

_NEVER_ARRIVED = (DownloadConnectionRefusedError, CannotResolveHostError)


def never_left(exception: BaseException) -> bool:
    """Tell whether the request was not sent at all, because there was no connection: that is no call."""
    return isinstance(exception, _NEVER_ARRIVED)


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
        if answer.kind is ApiErrorKind.AUTH:
            self._stop.fail(StopRun(f"the API refuses the key ({answer.message}); check KOL_API_KEY"))
            raise NotAsked("the run is stopping")
        return await self._again(request, asked, answer, retry_after(response) or 0.0) or response

    async def process_exception(self, request: Request, exception: Exception) -> Request | None:
        """Retry after a network failure. When no retry is left, the spider gets the failure."""
        asked = PageRequest.of(request)
        if isinstance(exception, NotAsked) or asked is None:
            return None
        self._tally.errors["network"] += 1
        if not never_left(exception):
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

    async def _again(self, request: Request, asked: PageRequest, error: ApiError, least: float = 0.0) -> Request | None:
        """Return a copy of the request after a growing wait, or the `least` one that the API asks for.

        None if no retry is left, or the API asks for hours.
        """
        asked.failures[error.kind] += 1
        failed, most = asked.failures[error.kind], self._config.retry_times
        retries = min(_RETRIES.get(error.kind, most), most)
        if asked.asked_again >= most or failed > retries or least > LONGEST_ASKED:
            return None
        wait = max(min(self._config.retry_secs * 2**asked.asked_again, _LONGEST_WAIT), least)
        asked.asked_again += 1
        name = asked.kol.user_name
        logger.warning(
            "KOL %s: page %d: %s; retry %d of %d in %.3g s",
            name,
            asked.number,
            error.message,
            failed,
            retries,
            wait,
        )
        self._work.wait(name, f"{name} retries page {asked.number}", wait, why=error.message)
        await self._stop.sleep(wait)
        return request.copy()
