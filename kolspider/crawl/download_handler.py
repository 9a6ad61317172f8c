"""The edge of the network: the last place before a request is sent.

Requests that waited in the downloader's queue pass here, too. So only here can the key, the cap, the pause and the stop
be exact.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from scrapy.core.downloader.handlers.http11 import HTTP11DownloadHandler

from kolspider.console.wording import counted
from kolspider.crawl.pace import Pace
from kolspider.crawl.page_request import PageRequest
from kolspider.errors import NotAsked, StopRun
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
        self._disk, self._kols = run.disk, run.ledger.kols
        self._cap = run.arguments.max_calls
        self._pace = Pace(run.config.delay, run.config.retry_secs)
        self._turn = asyncio.Lock()

    async def download_request(self, request: Request) -> Response:
        """Send the request when its turn comes. Raises NotAsked if the run stops first.

        429s never leave this handler: it pauses, then sends the request again.
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
            try:
                while (wait := self._pace.next_at - time.monotonic()) > 0:
                    await self._stop.sleep(wait)
                self._check_allowed()
            except NotAsked:
                self._empty_queue()
                raise
            self._tally.calls += 1
            now = time.monotonic()
            self._pace.sent(now)
            return now

    def _note_call(self, request: Request) -> None:
        """Count the call in the ledger before it is made: if that fails, its page could not be stored either."""
        if asked := PageRequest.of(request):
            with self._disk.guard():
                self._kols.add_calls(asked.kol.handle, 1)

    def _check_allowed(self) -> None:
        if self._cap is not None and self._tally.calls >= self._cap and not self._stop.is_set():
            reason = f"the cap of {counted(self._cap, 'API call')} is reached and work is left (-a max_calls)"
            if not self._cap:
                reason = "no API call is allowed (-a max_calls=0), and work is left"
            self._stop.fail(StopRun(reason))
        if self._stop.is_set():
            raise NotAsked("the run is stopping")

    def _empty_queue(self) -> None:
        """Let every request in the downloader's queue be refused at once, not one by one at the usual pace."""
        for slot in self._crawler.engine.downloader.slots.values():
            slot.delay = 0

    def _with_key(self, request: Request) -> Request:
        """Return a copy with the key: the request that is logged, cached and retried never has it."""
        if not request.url.startswith(f"{self._config.api_url}/"):
            raise NotAsked(f"{request.url} is not at the API's address")
        keyed = request.copy()
        keyed.headers[self._config.provider.key_header] = self._config.api_key
        return keyed

    def _pause(self, response: Response, sent_at: float) -> None:
        self._tally.errors["rate_limit"] += 1
        self._tally.credits += self._config.provider.failed_call_price
        try:
            wait = self._pace.refused(sent_at, time.monotonic(), _retry_after(response))
        except StopRun as error:
            self._stop.fail(error)
            return
        logger.warning("the API answered 429 (too fast): no request for %.0f s, then slower", wait)
        self._work.wait("the API", "429 (too fast): next request", wait)


def _retry_after(response: Response) -> float | None:
    """Return the seconds to wait by the Retry-After header, which has seconds or a date (RFC 9110, 10.2.3)."""
    raw = (response.headers.get("Retry-After") or b"").decode("latin-1").strip()
    if re.fullmatch(r"[0-9]+(\.[0-9]*)?", raw, re.ASCII):  # RFC 9110 has no decimals, but some servers send them
        return float(raw)
    try:
        return max(0.0, parsedate_to_datetime(raw).timestamp() - time.time())
    except (TypeError, ValueError, OverflowError):
        return None
