"""Puts the outcome of the selected KOLs into Scrapy's stats when the crawl is over."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scrapy import signals

from kolspider.errors import NotAsked, StopRun
from kolspider.items import State
from kolspider.run.run import run_of

if TYPE_CHECKING:
    from scrapy.crawler import Crawler

__all__ = ["Outcome"]


class Outcome:
    """Sets `kol/selected` and one `kol/<state>` a state."""

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Outcome:
        """Wire it to the end of the crawl, and to what would be a bug of ours."""
        extension = cls(crawler)
        crawler.signals.connect(extension.spider_closed, signal=signals.spider_closed)
        crawler.signals.connect(extension.item_error, signal=signals.item_error)
        crawler.signals.connect(extension.spider_error, signal=signals.spider_error)
        return extension

    def __init__(self, crawler: Crawler) -> None:
        self._crawler = crawler

    def spider_closed(self) -> None:
        """All pipelines are closed: what is committed is committed."""
        run, stats = run_of(self._crawler), self._crawler.stats
        try:
            with run.disk():
                states = run.kols.states_of_selected()
        except NotAsked:
            return
        stats.set_value("kol/selected", sum(states.values()))
        for state in State:
            if state in states or state in {State.COMPLETE, State.PARTIAL, State.NOT_FOUND, State.FAILED}:
                stats.set_value(f"kol/{state}", states.get(state, 0))

    def item_error(self) -> None:
        """A pipeline raised: Scrapy only logs that and goes on."""
        run = run_of(self._crawler)
        run.bugs += 1
        run.count("bugs")

    def spider_error(self) -> None:
        """The spider raised: its KOL would never end, and hold the place of another for ever."""
        run_of(self._crawler).stop(StopRun("a bug was met (see ERROR above); nothing is lost, the pages are cached"))
