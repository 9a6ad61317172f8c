"""What each answer of the API means for the run: a page goes on, a passing failure is asked for again after a
growing wait, a bad key stops everything. What it means for the KOL is the spider's business."""

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

from kolspider.errors import NotAsked, StopRun
from kolspider.options.secrets import redacted, redacted_body
from kolspider.providers.base import ApiError, ApiErrorKind, Page, one_line
from kolspider.run.run import run_of

if TYPE_CHECKING:
    from scrapy import Request
    from scrapy.crawler import Crawler
    from scrapy.http import Response

    from kolspider.run.run import Run

__all__ = ["AnswerMiddleware", "UnpackMiddleware", "network_error"]

logger = logging.getLogger(__name__)

_A_LITTLE = 2
"""How often a failure inside a 200 is asked for again: the server is up and has charged for it."""
_LONGEST_WAIT = 120.0

_NEVER_ARRIVED = (DownloadConnectionRefusedError, CannotResolveHostError)
"""Nothing reached the API, so nothing was charged."""

_STOPS = {
    ApiErrorKind.AUTH: "the API refuses the key{said}; check KOL_API_KEY",
    ApiErrorKind.NO_CREDIT: "the API account has no credit left{said}; recharge it, then run the same command again",
    ApiErrorKind.WRONG_PATH: "there is no followings API at {url}{said}; check KOL_API_URL",
}


def network_error(exception: BaseException | None, run: Run) -> str:
    """What went wrong between us and the API, on one line."""
    config = run.config
    said: dict[type, str] = {
        DownloadConnectionRefusedError: f"{config.api_url} refuses the connection (KOL_API_URL)",
        CannotResolveHostError: f"the host of {config.api_url} can't be found (KOL_API_URL)",
        DownloadTimeoutError: f"no answer within {config.timeout:g} s (DOWNLOAD_TIMEOUT)",
        ResponseDataLossError: "the answer was cut off",
    }
    text = said.get(type(exception), "") or f"the connection failed: {type(exception).__name__}: {exception}"
    return one_line(redacted(text, (config.api_key,)))


class UnpackMiddleware(HttpCompressionMiddleware):
    """Scrapy's, but an answer that can't be unpacked becomes one that is not JSON: it is asked for again like any
    broken answer, instead of failing where no middleware sees it."""

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
    """Reads each response once; `request.meta["answer"]` is the page or the error for all who come after."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._provider = run.config.provider

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> AnswerMiddleware:
        """Wire it to the run."""
        return cls(run_of(crawler))

    async def process_response(self, request: Request, response: Response) -> Response | Request:
        """Pass a page or the last word on a KOL; ask again, or stop the run, for everything else."""
        if "kol" not in request.meta:
            return response  # not from the API
        body = redacted_body(response.body, self._run.config.api_key)
        if body != response.body:
            response = response.replace(body=body)
        answer = self._provider.parse(response.status, body, request.meta["cursor"])
        request.meta["answer"] = answer
        if "cached" in response.flags:
            if isinstance(answer, Page):
                return response
            logger.warning("KOL %s: a cached page is no page any more; asking again", request.meta["kol"].user_name)
            with self._run.disk():
                self._run.pages.drop(request.meta.pop("seq"))
            return request.copy()
        users = len(answer.users) if isinstance(answer, Page) else 0
        self._run.count("api/credits_estimated", self._provider.price(users, self._provider.page_size))
        if isinstance(answer, Page):
            self._run.count("api/pages")
            return response
        self._run.count(f"api/errors/{answer.kind}")
        if answer.kind in _STOPS:
            said = f" ({answer.message})"
            self._run.stop(StopRun(_STOPS[answer.kind].format(said=said, url=self._run.config.api_url)))
            raise NotAsked("the run is stopping")
        return await self._again(request, answer) or response

    async def process_exception(self, request: Request, exception: Exception) -> Request | None:
        """A network failure is asked for again, until the retries are used up: then the errback gets it."""
        if isinstance(exception, NotAsked) or "kol" not in request.meta:
            return None
        self._run.count("api/errors/network")
        if not isinstance(exception, _NEVER_ARRIVED):
            self._run.count("api/credits_estimated", self._provider.price(0, self._provider.page_size))
        return await self._again(request, ApiError(ApiErrorKind.TRANSIENT, network_error(exception, self._run)))

    async def _again(self, request: Request, error: ApiError) -> Request | None:
        times = request.meta.get("asked_again", 0)
        if times >= self._retries(error.kind):
            return None
        wait = min(self._run.config.retry_secs * 2**times, _LONGEST_WAIT)
        logger.warning(
            "KOL %s: page %d: %s; asking again in %.3g s (%d of %d)",
            request.meta["kol"].user_name, request.meta["number"], error.message, wait, times + 1,
            self._retries(error.kind),
        )  # fmt: skip
        name, number = request.meta["kol"].user_name, request.meta["number"]
        self._run.work.wait(name, f"{name} asks for page {number} again", wait, why=error.message)
        await self._run.wait(wait)
        again = request.copy()
        again.meta["asked_again"] = times + 1
        return again

    def _retries(self, kind: ApiErrorKind) -> int:
        if kind is ApiErrorKind.TRANSIENT:
            return self._run.config.retry_times
        if kind in {ApiErrorKind.ERROR_IN_200, ApiErrorKind.CONTRACT_DRIFT}:
            return min(self._run.config.retry_times, _A_LITTLE)
        return 0
