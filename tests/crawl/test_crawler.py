"""A run that fails closes its spider, and Ctrl-C stops the run."""

from __future__ import annotations

import asyncio
import logging
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest
from scrapy import Spider
from scrapy.crawler import Crawler

from kolspider.crawl.crawler import RunCrawler
from kolspider.crawl.logformatter import PageLogFormatter
from kolspider.errors import StopRun
from kolspider.items import FollowingsPage, Kol, MappedPage
from kolspider.live.stop import Stop

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.mark.parametrize(
    ("is_crawling", "stop", "closed"),
    [
        (True, lambda stop: stop.fail(StopRun("why")), ["stopped"]),
        (False, lambda stop: stop.fail(StopRun("why")), []),
        (True, lambda stop: stop.set(), []),
    ],
)
def test_a_run_that_fails_while_it_crawls_closes_its_spider(
    is_crawling: bool, stop: Callable[[Stop], None], closed: list[str]
) -> None:
    reasons: list[str] = []

    async def close(reason: str) -> None:
        reasons.append(reason)

    async def story() -> None:
        run = Stop()
        crawler = RunCrawler(Spider)
        crawler.crawling = is_crawling
        crawler.engine = cast("Any", SimpleNamespace(close_spider_async=close))
        crawler.stop_with(run)
        stop(run)
        await asyncio.sleep(0)

    asyncio.run(story())
    assert reasons == closed


def test_ctrl_c_stops_the_run_and_then_the_crawl(monkeypatch: pytest.MonkeyPatch) -> None:
    run = Stop()
    stopped: list[bool] = []

    async def stop(_: object) -> None:
        stopped.append(run.is_set())

    monkeypatch.setattr(Crawler, "stop_async", stop)
    crawler = RunCrawler(Spider)
    crawler.stop_with(run)
    asyncio.run(crawler.stop_async())
    assert (stopped, run.error) == ([True], None)


def test_a_page_takes_one_short_line_and_any_other_item_is_shown() -> None:
    page = MappedPage(FollowingsPage(Kol("btc", "BTC"), 3, "", [], last=False), [])
    line = PageLogFormatter().scraped(page, None, Spider("a"))
    assert line["level"] == logging.DEBUG
    assert line["msg"] % line["args"] == "KOL BTC: page 3 handed to the database, 0 rows"
    assert "{'a': 1}" in str(PageLogFormatter().scraped({"a": 1}, None, Spider("a")))
