"""The edge of the network: the last place before a request is sent.

Requests that waited in the downloader's queue pass here, too. So only here can the key, the cap, the pause and the stop
be exact.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from scrapy.core.downloader.handlers.http11 import HTTP11DownloadHandler
from scrapy.exceptions import DownloadTimeoutError

from kolspider.crawl.api_call import ApiCall
from kolspider.crawl.awake import within
from kolspider.crawl.network_errors import never_left
from kolspider.crawl.page_request import PageRequest
from kolspider.crawl.retry_after import retry_after
from kolspider.crawl.unpacking import UnpackMiddleware, header_texts
from kolspider.errors import NotAsked, StopRun
from kolspider.providers.base import ApiError, ApiErrorKind
from kolspider.run.run import run_of

if TYPE_CHECKING:
    from scrapy import Request
    from scrapy.crawler import Crawler
    from scrapy.http import Response

__all__ = ["ApiDownloadHandler"]

logger = logging.getLogger(__name__)

_IDLE_SECS = 4
"""Seconds after which an idle connection is not used again: servers drop theirs after 5 s or more, and a request on a
dropped connection may have been received and charged."""
_NEVER = 86_400.0
_PAUSES = {
    429: ("429 (too fast)", "the API answered 429 (too fast): no request for %.0f s, then slower"),
    503: ("503", "the API answered 503 and asks for a pause: no request for %.0f s"),
}
"""What pauses all requests, and the line that says so."""


class ApiDownloadHandler(HTTP11DownloadHandler):
    """Scrapy's HTTP handler with the run's key, cap, pace and stop in front."""

    lazy = False

    def __init__(self, crawler: Crawler) -> None:
        super().__init__(crawler)
        # When a connection dies before the answer, Twisted would send a GET again by itself: a second paid call
        # that the cap does not see (twisted.web.client.HTTPConnectionPool).
        self._pool.retryAutomatically = False
        self._pool.cachedConnectionTimeout = _IDLE_SECS
        run = run_of(crawler)
        self._config, self._stop, self._tally, self._work = run.config, run.stop, run.tally, run.work
        self._store, self._kols, self._note_found_rate = run.store, run.ledger.kols, run.ledger.note_found_rate
        self._bill = run.bill
        self._unpacking = UnpackMiddleware(crawler=crawler)
        self._pace, self._turns = run.pace, run.turns

    async def download_request(self, request: Request) -> Response:
        """Send the request when its turn comes. Raises NotAsked if the run stops first.

        A 429 that is not the KOL's own pauses all requests; then this one is sent again, while it has a retry left.
        """
        keyed, asked = self._with_key(request), ApiCall.of(request)
        dearest = asked.dearest(self._config.provider) if asked else self._bill.dearest_page
        while True:
            again = bool(asked and asked.asked_again)
            async with self._pace.turn(asked.who if asked else "", again=again):
                if again:  # others go first
                    await self._stop.sleep(self._pace.next_at - time.monotonic())
                page = PageRequest.of(request)
                sent_at = await self._turns.take(page.kol.handle if page else "", dearest)
            if asked is None:
                self._bill.charge(dearest, dearest)  # a request of a team's own code: nobody will say what it cost
            response = await self._send(request, keyed, dearest)
            if asked is None or not await self._pauses(asked, request, response, sent_at):
                return response
            asked.asked_again += 1
            self._tally.errors["rate_limit"] += 1
            self._bill.charge(self._config.provider.failed_call_price, dearest)

    async def _send(self, request: Request, keyed: Request, dearest: int) -> Response:
        self._note_call(request, 1)
        if asked := ApiCall.of(request):
            asked.sent_at = time.monotonic()
        keyed.meta["download_timeout"] = _NEVER  # Scrapy's own timer would fire as soon as a stopped process goes on
        try:
            return await within(self._config.timeout, super().download_request(keyed))
        except TimeoutError:
            raise DownloadTimeoutError(f"no answer within {self._config.timeout:g} s") from None
        except Exception as error:
            if never_left(error) and asked:
                self._bill.take_back(dearest)
                self._note_call(request, -1)
            raise

    def _note_call(self, request: Request, calls: int) -> None:
        """Count the call in the ledger before it is made: if that fails, its page could not be stored either."""
        if asked := PageRequest.of(request):
            self._store.soon(lambda: self._kols.add_calls(asked.kol.handle, calls))

    def _with_key(self, request: Request) -> Request:
        """Return a copy with the key: the request that is logged, cached and retried never has it."""
        if not request.url.startswith(f"{self._config.api_url}/"):
            raise NotAsked(f"{request.url} is not at the API's address")
        keyed = request.copy()
        for name, template in self._config.provider.headers.items():
            keyed.headers[name] = template.replace("{key}", self._config.api_key)
        return keyed

    async def _pauses(self, asked: ApiCall, request: Request, response: Response, sent_at: float) -> bool:
        """Take in what an answer says about the pace. Tell whether its request is sent again after the pause."""
        status, wait = response.status, retry_after(response)
        if status not in _PAUSES or (status == 503 and not wait):
            await self._turns.change(lambda pace, _: pace.answered(asked.who, sent_at, well=status == 200))
            return False
        is_own = await self._turns.change(lambda pace, now: pace.is_own(asked.who, now))
        if is_own or (status == 429 and not self._is_too_fast(asked, request, response)):
            return False
        try:
            if status == 503:
                pause = await self._turns.change(lambda pace, now: pace.unavailable(now, wait or 0.0))
            else:
                pause = await self._turns.change(lambda pace, now: pace.refused(sent_at, now, wait))
        except StopRun as error:
            self._stop.fail(error)
            return False
        await self._store.ask(lambda: self._note_found_rate(self._pace.found))
        what, line = _PAUSES[status]
        logger.warning(line, pause)
        self._work.wait("the API", f"{what}: next request", pause)
        return status == 429 and asked.asked_again < self._config.retry_times

    def _is_too_fast(self, asked: ApiCall, request: Request, response: Response) -> bool:
        """Tell whether a 429 is about the pace: some APIs say so, too, that a plan is used up, and no wait helps."""
        unpacked = self._unpacking.process_response(request, response)
        answer = asked.read(self._config.provider, 429, unpacked.body, header_texts(response))
        return not isinstance(answer, ApiError) or answer.kind is ApiErrorKind.RATE_LIMIT
