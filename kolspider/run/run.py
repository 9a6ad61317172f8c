"""One run of the crawl command: what it was asked, its store and database, and whether it must stop."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from kolspider.console.wording import counted
from kolspider.db.check import check_follows, check_source, check_target, warnings
from kolspider.errors import NotAsked, StopRun
from kolspider.follows.emptied import emptied, empty_tables
from kolspider.live.work import Work
from kolspider.load.commits import Loads
from kolspider.load.repeats import Repeats
from kolspider.run.job import Job
from kolspider.store.damage import is_damage, mark_damaged
from kolspider.store.database import FILE_NAME, connect, target_id, transaction
from kolspider.store.forecast import Forecast
from kolspider.store.kols import Kols
from kolspider.store.ledger import target_label
from kolspider.store.lock import DirectoryLock
from kolspider.store.pages import Pages
from kolspider.store.rejects import RejectsFile
from kolspider.store.runs import Runs
from kolspider.store.salvage import salvage_if_damaged
from kolspider.store.selection import Selection
from kolspider.watch.history import History

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from scrapy.crawler import Crawler

    from kolspider.db.base import Database, Table
    from kolspider.load.writer import Writer
    from kolspider.options.arguments import Arguments
    from kolspider.options.config import Config

__all__ = ["Run", "choose_due", "run_of"]

logger = logging.getLogger(__name__)

_LOOK_EVERY = 0.2
"""Seconds between two looks at whether a waiting request should give up because the run stops."""
_REJECTS_SIZE = "rejects_size"
_Answer = TypeVar("_Answer")


class Run:
    """Opened by the crawl command before the crawl starts, closed by it afterwards.

    Whatever can't be used raises UserError here, before anything is called or paid.
    """

    def __init__(self, arguments: Arguments, config: Config, database: Database, asked: Sequence[str]) -> None:
        self.arguments = arguments
        self.config = config
        self.error: StopRun | None = None
        """Why the run was stopped early, if it was."""
        self.writer: Writer | None = None
        """Set by the pipeline; a dry run has none."""
        self.work = Work()
        self.loads = Loads(self)
        self.repeats = Repeats()
        self.bugs = 0
        """Pages that a pipeline of ours failed at."""
        self._crawler: Crawler | None = None
        self._closing: asyncio.Task[None] | None = None
        self.database = database
        self.lock = DirectoryLock(config.cache_dir)
        try:
            self._tell_of_losses()
            self._connection = connect(config.cache_dir)
        except (sqlite3.Error, OSError) as error:
            self.lock.release()
            raise self._unusable(error) from None
        except BaseException:
            self.lock.release()
            raise
        try:
            self._open()
            self.history = History(self, asked)
        except (sqlite3.Error, OSError) as error:
            self.close()
            raise self._unusable(error) from None
        except BaseException:
            self.close()
            raise

    def _tell_of_losses(self) -> None:
        """Say what earlier runs have bought and this one will not find."""
        path, provider = self.config.cache_dir / FILE_NAME, self.config.provider
        page = provider.price(provider.page_size, provider.page_size) * self.config.credit_usd
        if salvaged := salvage_if_damaged(self.config.cache_dir):
            logger.warning(
                "%s was damaged: %s and %s could be read and are kept; what could not is bought again (%s); the "
                "damaged file is now %s",
                path, counted(salvaged.pages, "page"), counted(salvaged.kols, "KOL"),
                f"nobody can tell how many pages, about ${page:.4f} each" if salvaged.lost_pages is None else
                f"{counted(salvaged.lost_pages, 'page')} of whole lists, about ${salvaged.lost_pages * page:.2f}, "
                "and what unfinished ones had",
                salvaged.aside,
            )  # fmt: skip
        elif not self.lock.is_new and not (path.exists() and path.stat().st_size):
            logger.warning(
                "%s is missing, and there were runs in this directory: what they bought is bought again "
                "(about $%.4f a page); put the file back to avoid that",
                path, page,
            )  # fmt: skip

    def _open(self) -> None:
        config = self.config
        target = target_id(self._connection, target_label(config, self.database))
        name = config.provider.name
        self.pages = Pages(self._connection, name, target)
        self.kols = Kols(self._connection, name, target, self.pages)
        self.selection = Selection(self._connection, name, target)
        self.forecast = Forecast(self._connection, config.provider)
        self.runs = Runs(self._connection, name, target)
        self.rejects = RejectsFile(config.cache_dir / "rejects.jsonl")
        noted = self._connection.execute("SELECT value FROM note WHERE key = ?", (_REJECTS_SIZE,)).fetchone()
        if noted:
            self.rejects.cut_to(noted[0])
        else:  # a new store beside an older store's file
            self.note_loaded([], self.rejects.size())
        self.table = self._check_tables()
        self._select()

    def _check_tables(self) -> Table:
        database, follows = self.database, self.config.follows_table
        try:
            database.connect()
            table = check_target(database, self.config.target_table)
            check_follows(database, follows)
            empty = empty_tables(database, follows)
            if not (self.arguments.replay or self.arguments.kols):
                check_source(database, self.config.source_table)
        except database.errors as error:
            raise StopRun(f"{database.explain(error)}; {database.advice(error)}") from None
        for warning in warnings(table):
            logger.warning(warning)
        if self.arguments.replay != "all" and (warning := emptied(empty, self.kols, self.pages)):
            logger.warning(warning)
        return table

    def _select(self) -> None:
        arguments, selection = self.arguments, self.selection
        job = Job.load(self.config.jobdir, arguments.of_job()) if self.config.jobdir else None
        if arguments.replay:
            selection.read_cached(waiting_only=arguments.replay == "pending")
            if job or arguments.kols:
                selection.keep_only(
                    (name.lower() for name in job.kols) if job else (kol.handle for kol in arguments.kols)
                )
            selection.choose_all(None if job else arguments.limit)
        else:
            choose_due(selection, arguments, job, self._source, follows=bool(self.config.follows_table))
        if self.config.jobdir and not job:
            Job.begin(self.config.jobdir, arguments.of_job(), selection.handles())

    def _source(self) -> Iterator[str | None]:
        """The handles of the source table."""
        try:
            yield from self.database.handles(self.config.source_table)
        except self.database.errors as error:
            raise StopRun(self.database.explain(error)) from None

    def attach(self, crawler: Crawler) -> None:
        """Tell the run which crawl is its own."""
        self._crawler = crawler

    def announce(self) -> None:
        """Say what this run is about to work on."""
        selection, skipped = self.selection, self.selection.skipped
        by_why = selection.count_by_why()
        whys = ", ".join(f"{count:,} {why}" for why, count in by_why.items())
        left = f"; {counted(selection.left, 'more KOL')} left for the next run" if selection.left else ""
        logger.info("%s to work on%s%s", counted(sum(by_why.values()), "KOL"), f" ({whys})" if whys else "", left)
        if gone := selection.count_gone():
            logger.warning(
                "%s complete in another database or table only, and the cached pages are deleted: "
                "-a refresh=0s buys them anew",
                "1 KOL is" if gone == 1 else f"{gone:,} KOLs are",
            )
        told = []
        for name, number in (("blank", skipped.blank), ("repeated", skipped.repeated), ("invalid", skipped.invalid)):
            if number:
                self.count(f"skipped/{name}", number)
                told.append(f"{number:,} {name}")
        if skipped.invalid:
            told.append(f"such as {skipped.invalid_example!r}")
        if told:
            level = logging.WARNING if skipped.invalid else logging.INFO
            logger.log(level, "rows of %s skipped: %s", self.config.source_table, ", ".join(told))

    def count(self, name: str, by: int = 1) -> None:
        """Add to one of Scrapy's stats, `kol/<name>`."""
        if self._crawler is not None:
            self._crawler.stats.inc_value(f"kol/{name}", by)

    def note_loaded(self, seqs: list[int], rejects_size: int | None) -> None:
        """These pages are committed in the target, and their rejects on disk (the file's size, when it grew)."""
        with transaction(self._connection):
            self.pages.mark_loaded(seqs)
            if rejects_size is not None:
                self._connection.execute(
                    "INSERT OR REPLACE INTO note (key, value) VALUES (?, ?)", (_REJECTS_SIZE, rejects_size)
                )

    @property
    def stopping(self) -> bool:
        """Whether no more requests are to be sent: the run was stopped, or a Ctrl-C arrived."""
        return self.error is not None or (self._crawler is not None and not self._crawler.crawling)

    def stop(self, error: StopRun) -> None:
        """End the run early: nothing more is sent, what has arrived is loaded. The first reason counts."""
        if self.error is not None:
            return
        self.error = error
        logger.error(str(error))
        crawler = self._crawler
        if crawler is not None and crawler.crawling and self._closing is None:
            self._closing = asyncio.ensure_future(crawler.engine.close_spider_async(reason="stopped"))

    @contextmanager
    def disk(self) -> Iterator[None]:
        """Around work with the cache directory: what goes wrong with it ends the run, and raises NotAsked."""
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            self.stop_for_disk(error)
            raise NotAsked("the cache directory can't be used") from None

    async def ask(self, question: Callable[[Database], _Answer]) -> _Answer:
        """What the database answers, asked beside the writer's work. Raises StopRun."""
        if self.writer is not None:
            return await self.writer.ask(question)
        try:
            return question(self.database)
        except self.database.errors as error:
            raise StopRun(self.database.explain(error)) from None

    def stop_for_disk(self, error: sqlite3.Error | OSError) -> None:
        """End the run because the cache directory can't be written."""
        self.stop(self._unusable(error))

    def _unusable(self, error: sqlite3.Error | OSError) -> StopRun:
        if is_damage(error):
            mark_damaged(self.config.cache_dir / FILE_NAME)
            return StopRun(
                f"{self.config.cache_dir / FILE_NAME} is damaged ({error}); run the same command again: it keeps "
                "what can be read of it, and buys the rest anew"
            )
        return StopRun(
            f"the cache directory {self.config.cache_dir} can't be written ({error}); "
            "make room or mend its permissions, then run the same command again"
        )

    async def wait(self, seconds: float) -> None:
        """Sleep, but not past the moment when the run stops: then raise NotAsked."""
        until = time.monotonic() + seconds
        while not self.stopping:
            left = until - time.monotonic()
            if left <= 0:
                return
            await asyncio.sleep(min(left, _LOOK_EVERY))
        raise NotAsked("the run is stopping")

    def close(self) -> None:
        """Give back the database, the store and the lock."""
        if self.writer is not None:
            self.writer.end()
        self.database.close()
        self._connection.close()
        self.lock.release()


def choose_due(
    selection: Selection,
    arguments: Arguments,
    job: Job | None,
    source: Callable[[], Iterable[str | None]],
    *,
    follows: bool,
) -> None:
    """Select the KOLs that a run with these arguments, or of this job, works on."""
    if job:
        selection.read(job.kols)
    elif arguments.kols:
        selection.read(kol.user_name for kol in arguments.kols)
    else:
        selection.read(source())
        selection.is_the_source = True
    selection.choose_due(
        now=job.began_at if job else time.time(),
        refresh=arguments.refresh,
        retry=arguments.retry,
        limit=None if job else arguments.limit,
        keep_done=job is not None,
        incremental=arguments.incremental,
        full_every=arguments.full_every,
        follows=follows,
    )


def run_of(crawler: Crawler) -> Run:
    """The run that this crawl belongs to."""
    run = getattr(crawler.spider, "run", None)
    if not isinstance(run, Run):
        raise TypeError("the followings spider is started by `scrapy crawl followings`, which opens its run")
    return run
