"""The network's edge: the last place before a request is sent, so only here the key, the cap, the pause and
the stop can be exact. Requests that waited in the downloader's queue pass here too."""

from __future__ import annotations

import asyncio
import logging
import re
import time
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from scrapy.core.downloader.handlers.http11 import HTTP11DownloadHandler

from kolspider.errors import NotAsked, StopRun
from kolspider.run.run import run_of

if TYPE_CHECKING:
    from scrapy import Request
    from scrapy.crawler import Crawler
    from scrapy.http import Response

__all__ = ["ApiDownloadHandler", "Pace"]

logger = logging.getLogger(__name__)

_IDLE_SECS = 4
"""A kept-alive connection idle for longer is not used again: servers drop theirs after 5 s or more, and a
request on a dropped one may have been received and charged."""
_LONGEST_WAIT = 300.0
_LONGEST_ASKED = 3600.0
"""Seconds of Retry-After that a run waits; for longer it ends, and is run again when the time has come."""
_MOST_REFUSALS = 10
"""This many 429 in a row, each after a longer wait, and the run stops: every one may be charged."""


class Pace:
    """When the next request may be sent. Times are seconds on a monotonic clock.

    A 429 pauses everything, doubles the interval between requests, and each good answer afterwards takes a
    tenth of what was added off again.
    """

    def __init__(self, interval: float, first_wait: float) -> None:
        self._usual = interval
        self._interval = interval
        self._first_wait = first_wait
        self._refusals = 0
        self._paused_at = float("-inf")
        self.next_at = float("-inf")

    def sent(self, now: float) -> None:
        """A request is sent now."""
        self.next_at = now + self._interval

    def answered(self) -> None:
        """An answer came that was not a 429."""
        self._refusals = 0
        self._interval = self._usual + (self._interval - self._usual) * 0.9

    def refused(self, sent_at: float, now: float, retry_after: float | None) -> float:
        """A 429 came for a request sent at sent_at. Returns for how many seconds nothing may be sent.

        Raises StopRun when refusals do not end.
        """
        if sent_at >= self._paused_at:  # else it was under way when the pause began: the same refusal
            self._refusals += 1
            self._paused_at = now
            self._interval = min(max(self._interval * 2, 0.1), _LONGEST_WAIT)
            if self._refusals > _MOST_REFUSALS:
                raise StopRun(
                    f"the API answered 429 (too fast) {self._refusals} times in a row; wait, check the balance "
                    "(it sets the allowed rate), or raise DOWNLOAD_DELAY"
                )
        growing = min(self._first_wait * 2 ** max(self._refusals - 1, 0), _LONGEST_WAIT)
        wait = growing if retry_after is None else retry_after
        self.next_at = max(self.next_at, now + wait)
        return self.next_at - now


class ApiDownloadHandler(HTTP11DownloadHandler):
    """Scrapy's HTTP handler with the run's key, cap, pace and stop in front."""

    lazy = False

    def __init__(self, crawler: Crawler) -> None:
        super().__init__(crawler)
        # Twisted would send a GET again by itself when its connection dies before the answer: a second paid
        # call that no cap sees (twisted.web.client.HTTPConnectionPool).
        self._pool.retryAutomatically = False
        self._pool.cachedConnectionTimeout = _IDLE_SECS
        self._run = run_of(crawler)
        self._turn = asyncio.Lock()
        config = self._run.config
        self._pace = Pace(config.delay, config.retry_secs)
        self._calls = 0

    async def download_request(self, request: Request) -> Response:
        """Send the request when its turn comes; a 429 is waited out here, so nobody else meets one.

        Raises NotAsked when the run stops first.
        """
        while True:
            sent_at = await self._take_turn()
            self._note_call(request)
            response = await super().download_request(self._with_key(request))
            if response.status != 429:
                self._pace.answered()
                return response
            self._pause(response, sent_at)

    async def _take_turn(self) -> float:
        async with self._turn:
            while (wait := self._pace.next_at - time.monotonic()) > 0:
                await self._run.wait(wait)
            self._check_allowed()
            self._calls += 1
            self._run.count("api/calls")
            now = time.monotonic()
            self._pace.sent(now)
            return now

    def _note_call(self, request: Request) -> None:
        """A call is in the ledger before it is made; when it can't be written, the page couldn't be, either."""
        with self._run.disk():
            self._run.kols.add_calls(request.meta["kol"].handle, 1)

    def _check_allowed(self) -> None:
        cap = self._run.arguments.max_calls
        if not self._run.stopping and cap is not None and self._calls >= cap:
            self._run.stop(StopRun(f"the cap of {cap} API calls is reached and work is left; run again to go on"))
        if self._run.stopping:
            self._empty_queue()
            raise NotAsked("the run is stopping")

    def _empty_queue(self) -> None:
        """What still waits in the downloader's queue is refused at once, not one by one in the usual pace."""
        for slot in self._crawler.engine.downloader.slots.values():
            slot.delay = 0

    def _with_key(self, request: Request) -> Request:
        """A copy with the key: the request that others log, keep and retry never has it."""
        config = self._run.config
        if not request.url.startswith(f"{config.api_url}/"):
            raise NotAsked(f"{request.url} is not at the API's address")
        keyed = request.copy()
        keyed.headers[config.provider.key_header] = config.api_key
        return keyed

    def _pause(self, response: Response, sent_at: float) -> None:
        config = self._run.config
        self._run.count("api/errors/rate_limit")
        self._run.count("api/credits_estimated", config.provider.price(0, config.provider.page_size))
        asked = _retry_after(response)
        try:
            if asked is not None and asked > _LONGEST_ASKED:
                raise StopRun(
                    f"the API answered 429 and asks to wait {asked / 3600:.1f} h; run the same command again after that"
                )
            wait = self._pace.refused(sent_at, time.monotonic(), asked)
        except StopRun as error:
            self._run.stop(error)
            return
        logger.warning("the API answered 429 (too fast): no request for %.0f s, then slower", wait)
        self._run.work.wait("the API", "429 (too fast): next request", wait)


def _retry_after(response: Response) -> float | None:
    """Seconds from the Retry-After header, which holds seconds or a date (RFC 9110, 10.2.3)."""
    raw = (response.headers.get("Retry-After") or b"").decode("latin-1").strip()
    if re.fullmatch(r"[0-9]+(\.[0-9]*)?", raw, re.ASCII):  # RFC 9110 has no decimals; that is no reason to hurry
        return float(raw)
    try:
        return max(0.0, parsedate_to_datetime(raw).timestamp() - time.time())
    except (TypeError, ValueError, OverflowError):
        return None
