"""Writes the run's counters and the states of its KOLs into Scrapy's stats when the crawl is over."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from scrapy import signals

from kolspider.errors import NotAsked, StopRun, out_of_memory
from kolspider.items import State
from kolspider.run.run import run_of

if TYPE_CHECKING:
    from scrapy.crawler import Crawler
    from twisted.python.failure import Failure

    from kolspider.run.run import Run

__all__ = ["Outcome"]


class Outcome:
    """Sets the stats `kol/...`: the counters of live/tally.py, `kol/selected`, `kol/not_reached`, and `kol/<state>`."""

    def __init__(self, run: Run, crawler: Crawler) -> None:
        self._run = run
        self._crawler = crawler

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Outcome:
        """Connect the extension to the end of the crawl, and to errors that are bugs of ours."""
        extension = cls(run_of(crawler), crawler)
        crawler.signals.connect(extension.spider_closed, signal=signals.spider_closed)
        crawler.signals.connect(extension.item_error, signal=signals.item_error)
        crawler.signals.connect(extension.spider_error, signal=signals.spider_error)
        return extension

    async def spider_closed(self) -> None:
        """Write the stats: all pipelines are closed, so no batch is left to commit."""
        stats = self._crawler.stats
        self._run.tally.write_to(stats)
        kols, selection = self._run.ledger.kols, self._run.ledger.selection
        with suppress(NotAsked):
            await self._run.store.ask(self._run.crew.show)
            states, selected, not_reached = await self._run.store.ask(
                lambda: (kols.states_of_selected(), selection.count(), selection.count_not_reached())
            )
            stats.set_value("kol/selected", selected)
            stats.set_value("kol/not_reached", not_reached)
            for state in {State.COMPLETE, State.PARTIAL, State.NOT_FOUND, State.FAILED, *states}:
                stats.set_value(f"kol/{state}", states.get(state, 0))

    def item_error(self, failure: Failure) -> None:
        """Count an error in a pipeline: Scrapy only logs it and continues."""
        if isinstance(failure.value, MemoryError):
            self._run.stop.fail(out_of_memory())
        else:
            self._run.tally.bugs += 1

    def spider_error(self, failure: Failure) -> None:
        """Stop after an error in the spider: its KOL would never end, and never make room for another."""
        if isinstance(failure.value, MemoryError):
            self._run.stop.fail(out_of_memory())
        self._run.stop.fail(StopRun("a bug stopped the run (see ERROR above); nothing is lost, the pages are cached"))
