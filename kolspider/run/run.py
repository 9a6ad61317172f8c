"""The parts of a run of the crawl command."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scrapy.crawler import Crawler

    from kolspider.alerts.sender import Sender
    from kolspider.db.base import Table
    from kolspider.db.thread import DatabaseThread
    from kolspider.live.bill import Bill
    from kolspider.live.crew import Crew
    from kolspider.live.pace import Pace
    from kolspider.live.statement import Statement
    from kolspider.live.stop import Stop
    from kolspider.live.store import Store
    from kolspider.live.tally import Tally
    from kolspider.live.turns import Turns
    from kolspider.live.work import Work
    from kolspider.load.commits import Commits
    from kolspider.load.repeats import Repeats
    from kolspider.load.writer import Writer
    from kolspider.options.arguments import Arguments
    from kolspider.options.config import Config
    from kolspider.store.ledger import Ledger
    from kolspider.watch.history import History

__all__ = ["Run", "run_of"]


class Run(Struct, frozen=True):
    """Holds the parts of one run. Scrapy builds its components itself; each takes the parts it needs from here."""

    arguments: Arguments
    config: Config
    table: Table
    """The target table."""
    ledger: Ledger
    database: DatabaseThread
    stop: Stop
    store: Store
    crew: Crew
    tally: Tally
    bill: Bill
    pace: Pace
    turns: Turns
    work: Work
    repeats: Repeats
    commits: Commits
    writer: Writer | None
    """None in a dry run."""
    sender: Sender | None
    """None in a dry run, which sends nothing."""
    history: History
    statement: Statement
    lost: Sequence[str]
    """Lost accounts that `-a why` asks for, by their ids."""


def run_of(crawler: Crawler) -> Run:
    """Return the run that this crawl belongs to."""
    run = getattr(crawler.spider, "run", None)
    if not isinstance(run, Run):
        raise TypeError("start the followings spider with `scrapy crawl followings`, which opens its run")
    return run
