"""Writes the run's counters, and the states of its KOLs, into Scrapy's stats when the crawl is over."""

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
    """Sets the stats `kol/...`: the counters of live/tally.py, `kol/selected`, and `kol/<state>` for each state."""

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Outcome:
        """Connect it to the end of the crawl, and to errors that are bugs of ours."""
        extension = cls(crawler)
        crawler.signals.connect(extension.spider_closed, signal=signals.spider_closed)
        crawler.signals.connect(extension.item_error, signal=signals.item_error)
        crawler.signals.connect(extension.spider_error, signal=signals.spider_error)
        return extension

    def __init__(self, crawler: Crawler) -> None:
        self._crawler = crawler

    def spider_closed(self) -> None:
        """Write the stats: all pipelines are closed, and what is committed is committed."""
        run, stats = run_of(self._crawler), self._crawler.stats
        run.tally.write_to(stats)
        try:
            with run.disk.guard():
                states = run.ledger.kols.states_of_selected()
        except NotAsked:
            return
        stats.set_value("kol/selected", sum(states.values()))
        for state in State:
            if state in states or state in {State.COMPLETE, State.PARTIAL, State.NOT_FOUND, State.FAILED}:
                stats.set_value(f"kol/{state}", states.get(state, 0))

    def item_error(self) -> None:
        """Count an error in a pipeline: Scrapy only logs it and goes on."""
        run_of(self._crawler).tally.bugs += 1

    def spider_error(self) -> None:
        """Stop after an error in the spider: its KOL would never end, and hold the place of another for ever."""
        run_of(self._crawler).stop.fail(
            StopRun("a bug stopped the run (see ERROR above); nothing is lost, the pages are cached")
        )
