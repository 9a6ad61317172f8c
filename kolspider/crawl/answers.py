"""What each answer of the API means for the run.

A page passes to the spider, a temporary failure is retried after a growing wait, and a wrong key stops the run. What
an answer means for its KOL is decided in the spider.
"""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING

from kolspider.console.columns import LOG_COLUMNS, cut
from kolspider.crawl.api_call import ApiCall
from kolspider.crawl.network_errors import Fault, is_refused, network_failure, never_left
from kolspider.crawl.page_request import PageRequest
from kolspider.crawl.retry_after import retry_after
from kolspider.crawl.unpacking import TOO_LARGE, header_texts
from kolspider.errors import NotAsked, StopRun, out_of_memory
from kolspider.live.pace import LONGEST_ASKED
from kolspider.options.secrets import redacted_body
from kolspider.providers.base import ApiError, ApiErrorKind
from kolspider.run.run import run_of

if TYPE_CHECKING:
    from scrapy import Request
    from scrapy.crawler import Crawler
    from scrapy.http import Response

    from kolspider.live.bill import Bill
    from kolspider.live.stop import Stop
    from kolspider.live.store import Store
    from kolspider.live.tally import Tally
    from kolspider.live.work import Work
    from kolspider.options.config import Config
    from kolspider.store.pages import Pages

__all__ = ["AnswerMiddleware"]

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
_RETRIES_AT_A_CLOSED_PORT = 1
"""The most retries while nobody listens at an address that never answered in this run: it may be a wrong one."""
_LONGEST_WAIT = 120.0
_LEAST = 12
"""Columns of the reason at least: `HTTP 502: ...`"""


class AnswerMiddleware:
    """Reads each response once, into the `answer` of its ApiCall, which the later stages use."""

    def __init__(
        self, config: Config, pages: Pages, store: Store, stop: Stop, tally: Tally, bill: Bill, work: Work
    ) -> None:
        self._config = config
        self._provider = config.provider
        self._pages = pages
        self._store = store
        self._stop = stop
        self._tally = tally
        self._bill = bill
        self._work = work
        self._has_answered = False
        """Whether the API answered in this run: its address is right, then."""

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> AnswerMiddleware:
        """Take the parts of the run that it needs."""
        run = run_of(crawler)
        return cls(run.config, run.ledger.pages, run.store, run.stop, run.tally, run.bill, run.work)

    async def process_response(self, request: Request, response: Response) -> Response | Request:
        """Pass on what was asked for, or the final answer about a KOL; otherwise retry the request, or stop the run."""
        asked = ApiCall.of(request)
        if asked is None:
            return response  # not from the API
        body = redacted_body(response.body, self._config.api_key)
        if body != response.body:
            response = response.replace(body=body)
        answer = asked.answer = self._read(asked, response, body)
        if "cached" in response.flags and isinstance(asked, PageRequest):
            return await self._buy_again(request, asked) if isinstance(answer, ApiError) else response
        self._has_answered = True
        dearest = asked.dearest(self._provider)
        if not isinstance(answer, ApiError):
            if isinstance(asked, PageRequest):
                self._tally.pages += 1
            else:
                self._tally.profiles += 1
            self._bill.charge(asked.price(self._provider), dearest)
            return response
        arrived_broken = response.status == 200 and answer.kind in {ApiErrorKind.TRANSIENT, ApiErrorKind.CONTRACT_DRIFT}
        self._bill.charge(dearest if arrived_broken else self._provider.failed_call_price, dearest)
        self._tally.errors[answer.kind] += 1
        if answer.kind is ApiErrorKind.AUTH:
            self._stop.fail(StopRun(f"the API refuses the key ({answer.message}); check KOL_API_KEY"))
            raise NotAsked("the run is stopping")
        return await self._again(request, asked, answer, retry_after(response) or 0.0) or response

    async def process_exception(self, request: Request, exception: Exception) -> Request | None:
        """Retry after a network failure. When no retry is left, the spider gets the failure."""
        asked = ApiCall.of(request)
        if isinstance(exception, NotAsked) or asked is None:
            return None
        if isinstance(exception, MemoryError):
            self._stop.fail(out_of_memory())
            raise NotAsked("the run is stopping")
        self._tally.errors["network"] += 1
        if not never_left(exception):
            dearest = asked.dearest(self._provider)
            self._bill.charge(dearest, dearest)
        failure = network_failure(exception, self._config)
        again = None
        if failure.fault is not Fault.OURS:
            closed = is_refused(exception) and not self._has_answered
            most = _RETRIES_AT_A_CLOSED_PORT if closed else sys.maxsize
            again = await self._again(request, asked, ApiError(ApiErrorKind.TRANSIENT, failure.text), most=most)
        lasts = failure.fault is not Fault.CALL and not (failure.fault is Fault.ADDRESS and self._has_answered)
        if again is None and lasts:
            self._stop.fail(StopRun(f"{failure}; then run the same command again"))
            raise NotAsked("the run is stopping")
        return again

    def _read(self, asked: ApiCall, response: Response, body: bytes) -> object | ApiError:
        if TOO_LARGE in response.flags:
            said = f"HTTP {response.status}: the answer is too large for a page"
            return ApiError(ApiErrorKind.CONTRACT_DRIFT, said)
        try:
            return asked.read(self._provider, response.status, body, header_texts(response))
        except MemoryError:
            self._stop.fail(out_of_memory())
            raise NotAsked("the run is stopping") from None

    async def _buy_again(self, request: Request, asked: PageRequest) -> Request:
        """Drop a cached page that the provider no longer reads as a page."""
        logger.warning("KOL %s: page %d in the cache can't be read; buying it again", asked.kol.user_name, asked.number)
        seq, asked.seq = asked.seq, None
        if seq is not None:
            await self._store.ask(lambda: self._pages.drop(seq))
        return request.copy()

    async def _again(
        self, request: Request, asked: ApiCall, error: ApiError, least: float = 0.0, most: int = sys.maxsize
    ) -> Request | None:
        """Return a copy of the request after a growing wait, or the `least` one that the API asks for.

        None if no retry is left, or the API asks for hours.
        """
        asked.failures[error.kind] += 1
        failed, most = asked.failures[error.kind], min(most, self._config.retry_times)
        retries = min(_RETRIES.get(error.kind, most), most)
        if asked.asked_again >= most or failed > retries or least > LONGEST_ASKED:
            return None
        wait = max(min(self._config.retry_secs * 2**asked.asked_again, _LONGEST_WAIT), least)
        asked.asked_again += 1
        where = f"{asked.label}: "
        what = f"; retry {failed} of {retries} in {wait:.3g} s"
        # The whole reason is shown while it waits, and when no retry is left.
        logger.warning("%s%s%s", where, cut(error.message, max(LOG_COLUMNS - len(where + what), _LEAST)), what)
        self._work.wait(asked.who, f"{asked.who} retries {asked.what}", wait, why=error.message)
        await self._stop.sleep(wait)
        return request.copy()
