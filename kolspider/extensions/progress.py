"""Shows what a run is doing: live on a terminal, otherwise as a log line every 30 s."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from functools import partial
from itertools import repeat
from typing import TYPE_CHECKING

from kolspider.errors import NotAsked
from kolspider.extensions.periodic import Periodic, after_each
from kolspider.watch.progress import RunProgress
from kolspider.watch.terminal import LiveBlock, is_live
from kolspider.watch.words import block, log_lines

if TYPE_CHECKING:
    from collections.abc import Callable

    from kolspider.watch.words import Snapshot

__all__ = ["Progress"]

logger = logging.getLogger(__name__)

_DRAW_EVERY = 0.5
_LOG_EVERY = 30.0


class Progress(Periodic):
    """Shows the progress, unless KOL_PROGRESS=0."""

    _live: LiveBlock | None = None

    async def spider_opened(self) -> None:
        """Begin, in the crawl's event loop."""
        from twisted.internet import reactor  # noqa: PLC0415 - importing it earlier would install the wrong one

        run, writer = self.run, self.run.writer
        if not run.config.progress:
            return
        waiting = (lambda: writer.rows_waiting) if writer else None
        try:
            parts = (run.arguments, run.config, run.ledger, run.tally, run.work, run.stop, waiting)
            now = (await run.store.ask(lambda: RunProgress(*parts))).now
        except NotAsked:  # the run stops
            return
        if not is_live(sys.stderr) or self._feeds_the_terminal():
            self.task = asyncio.ensure_future(after_each(repeat(_LOG_EVERY), partial(_log, now)))
            return
        self._live = live = LiveBlock(sys.stderr)
        live.open()
        # A second Ctrl-C ends the crawl without a spider_closed.
        reactor.addSystemEventTrigger("during", "shutdown", live.close)  # type: ignore[arg-type]
        colour = not os.environ.get("NO_COLOR")

        async def draw() -> None:
            live.show(block(now(), *live.size, colour=colour))

        self.task = asyncio.ensure_future(after_each(repeat(_DRAW_EVERY), draw))

    def spider_closed(self) -> None:
        """End; the closing table follows."""
        super().spider_closed()
        if self._live is not None:
            self._live.close()

    def _feeds_the_terminal(self) -> bool:
        feeds = self.crawler.settings.getdict("FEEDS")
        return sys.stdout.isatty() and any(str(uri).startswith(("stdout:", "-")) for uri in feeds)


async def _log(now: Callable[[], Snapshot]) -> None:
    for line in log_lines(now()):
        logger.info(line)
