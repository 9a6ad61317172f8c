"""Tells what a run is doing while it does it: live on a terminal, else one log line every 30 s."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import time
from typing import TYPE_CHECKING

from scrapy import signals

from kolspider.errors import NotAsked
from kolspider.run.run import run_of
from kolspider.store.forecast import Total, rest_of_list
from kolspider.watch.terminal import LiveBlock, is_live
from kolspider.watch.words import List, Meter, Now, block, line

if TYPE_CHECKING:
    from collections.abc import Callable

    from scrapy.crawler import Crawler

    from kolspider.run.run import Run

__all__ = ["Progress"]

logger = logging.getLogger(__name__)

_DRAW_EVERY = 0.5
_TELL_EVERY = 30.0
_TRUST = 5
"""So many lists of unknown length must be read before the run's own average counts as much as the expected one."""


class Progress:
    """Switched off by KOL_PROGRESS=0."""

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Progress:
        """Wire it to the begin and the end of the crawl."""
        extension = cls(crawler)
        crawler.signals.connect(extension.spider_opened, signal=signals.spider_opened)
        crawler.signals.connect(extension.spider_closed, signal=signals.spider_closed)
        return extension

    def __init__(self, crawler: Crawler) -> None:
        self._crawler = crawler
        self._task: asyncio.Task[None] | None = None
        self._live: LiveBlock | None = None

    def spider_opened(self) -> None:
        """Begin, in the crawl's event loop."""
        from twisted.internet import reactor  # noqa: PLC0415 - importing it earlier would install the wrong one

        run = run_of(self._crawler)
        if not run.config.progress:
            return
        try:
            watch = Watch(run)
        except NotAsked:  # and the run stops for that
            return
        if is_live(sys.stderr) and not self._feeds_the_terminal():
            self._live = LiveBlock(sys.stderr)
            self._live.open()
            # A second Ctrl-C ends the crawl without a spider_closed.
            reactor.addSystemEventTrigger("during", "shutdown", self._live.close)  # type: ignore[arg-type]
            self._task = asyncio.ensure_future(every(_DRAW_EVERY, lambda: self._draw(watch)))
        else:
            self._task = asyncio.ensure_future(every(_TELL_EVERY, lambda: logger.info(line(watch.now()))))

    def spider_closed(self) -> None:
        """All is written: the closing table says the rest."""
        if self._task is not None:
            self._task.cancel()
        if self._live is not None:
            self._live.close()

    def _feeds_the_terminal(self) -> bool:
        feeds = self._crawler.settings.getdict("FEEDS")
        return sys.stdout.isatty() and any(str(uri).startswith(("stdout:", "-")) for uri in feeds)

    def _draw(self, watch: Watch) -> None:
        assert self._live is not None  # noqa: S101 - made before the task
        columns, rows = self._live.size
        self._live.show(block(watch.now(), columns, rows, colour=not os.environ.get("NO_COLOR")))


async def every(seconds: float, tell: Callable[[], None]) -> None:
    """Until it is cancelled."""
    while True:
        await asyncio.sleep(seconds)
        tell()


class Watch:
    """Puts together what the run, its work and Scrapy's stats know."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._began = time.monotonic()
        self._meter = Meter()
        self._meter.note(self._began, 0)
        with run.disk.guard():  # before a list is begun: what is known of it changes with that
            self._due = sum(run.ledger.selection.count_by_why().values())
            self._total = Total() if run.arguments.replay else run.ledger.forecast.total()

    def now(self) -> Now:
        """The run at this moment."""
        run, replay = self._run, bool(self._run.arguments.replay)
        tally, coming = run.tally, run.ledger.pages.to_load
        now, calls, loaded = time.monotonic(), tally.calls, tally.cache_hits
        self._meter.note(now, loaded if replay else calls)
        pace = self._meter.a_second
        to_do = max(coming - loaded, 0) if replay else self._calls_left(calls)
        return Now(
            due=self._due,
            done=dict(run.work.done),
            lists=self._lists(),
            bought=tally.pages,
            loaded=loaded,
            to_load=coming,
            calls=calls,
            credits=tally.credits,
            dollars=tally.credits * run.config.credit_usd,
            users=tally.users_read,
            written=tally.rows_upserted,
            waiting=run.writer.rows_waiting if run.writer else None,
            seconds=now - self._began,
            pace=pace,
            left=self._time_left(to_do, pace, replay=replay),
            waits=self._waits(now),
            replay=replay,
        )

    def _time_left(self, to_do: float, pace: float | None, *, replay: bool) -> float | None:
        """Before the run has a pace: at the delay that was asked for."""
        if to_do <= 0 or self._run.stop.is_set():
            return None
        if pace is not None:
            return to_do / pace
        return None if replay or not self._run.config.delay else to_do * self._run.config.delay

    def _calls_left(self, calls: int) -> float:
        """Of lists read before by their last length, of others by the average of those read in this run so far."""
        work, total = self._run.work, self._total
        usual = self._run.ledger.forecast.average.pages
        unknown = [reading.paging.pages for reading in work.reading.values() if reading.expected.pages is None]
        pages = usual * _TRUST + work.new_pages + sum(max(pages, usual) for pages in unknown)
        mean = pages / (_TRUST + work.new_lists + len(unknown))
        left = max(total.calls_known - work.begun_calls[True], 0.0)
        left += max(total.calls_average - work.begun_calls[False], 0.0) * mean / usual
        left += sum(rest_of_list(mean, pages) for pages in unknown)
        for reading in work.reading.values():
            if reading.expected.pages is not None:
                left += max(reading.expected.pages - reading.paging.pages, 1)
        cap = self._run.arguments.max_calls
        return left if cap is None else min(left, max(cap - calls, 0))

    def _lists(self) -> list[List]:
        return [
            List(reading.kol.user_name, reading.paging.pages, reading.expected.pages, reading.paging.users)
            for reading in list(self._run.work.reading.values())
        ]

    def _waits(self, now: float) -> list[str]:
        waits = []
        for _, wait in sorted(
            self._run.work.waits.copy().items(), key=lambda pair: " " not in pair[0]
        ):  # the KOLs' last
            if wait.until is None:
                waits.append(f"{wait.text}: {now - wait.since:.0f} s so far")
            elif wait.until > now:
                why = f": {wait.why}" if wait.why else ""
                waits.append(f"{wait.text} in {wait.until - now:.0f} s{why}")
        return waits
