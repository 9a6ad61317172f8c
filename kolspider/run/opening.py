"""Opens a run, and finds whatever it can't use before the first API call."""

from __future__ import annotations

import logging
import sqlite3
import time
from contextlib import ExitStack, closing, contextmanager
from typing import TYPE_CHECKING

from kolspider.console.wording import counted
from kolspider.db.check import check_follows, check_names, check_source, check_target, warnings
from kolspider.db.thread import DatabaseThread
from kolspider.errors import StopRun
from kolspider.follows.emptied import emptied, empty_tables
from kolspider.live.disk import Disk, unusable
from kolspider.live.stop import Stop
from kolspider.live.tally import Tally
from kolspider.live.work import Work
from kolspider.load.commits import Commits
from kolspider.load.repeats import Repeats
from kolspider.load.writer import Writer
from kolspider.options.arguments import Replay
from kolspider.run.job import Job
from kolspider.run.run import Run
from kolspider.run.source import read_source, source_handles
from kolspider.store.database import FILE_NAME
from kolspider.store.ledger import Ledger
from kolspider.store.lock import DirectoryLock
from kolspider.store.salvage import salvage_if_damaged
from kolspider.watch.history import History

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from kolspider.db.base import Database, Table
    from kolspider.options.arguments import Arguments
    from kolspider.options.config import Config
    from kolspider.store.selection import Selection

__all__ = ["choose_due", "open_run", "read_ledger", "target_label"]

logger = logging.getLogger(__name__)


@contextmanager
def open_run(arguments: Arguments, config: Config, database: Database, command: Sequence[str]) -> Iterator[Run]:
    """Open a run, and close all its parts afterwards. `command` is what was typed. Raises UserError."""
    with ExitStack() as stack:
        try:
            run = _open(stack, arguments, config, database, command)
        except (sqlite3.Error, OSError) as error:
            raise unusable(config.cache_dir, error) from None
        try:
            yield run
        except sqlite3.Error as error:
            reason = unusable(config.cache_dir, error)  # marks a damaged store for the next run to salvage
            raise run.stop.error or reason from None


def target_label(config: Config, database: Database) -> str:
    """Name the tables that rows are loaded into; the ledger knows them by this name."""
    return database.target_label(config.target_table, config.follows_table)


def read_ledger(config: Config, database: Database) -> AbstractContextManager[Ledger]:
    """Open the ledger beside a run; it is empty before the first run. Raises StopRun, WrongUsage."""
    return Ledger.read(config.cache_dir, config.provider, target_label(config, database))


def _open(stack: ExitStack, arguments: Arguments, config: Config, database: Database, command: Sequence[str]) -> Run:
    lock = stack.enter_context(DirectoryLock(config.cache_dir))
    _warn_of_losses(config, lock)
    ledger = stack.enter_context(
        closing(Ledger.open(config.cache_dir, config.provider, target_label(config, database)))
    )
    ledger.drop_unnoted_rejects()
    stack.callback(database.close)
    table = _check_tables(arguments, config, database, ledger)
    _select(arguments, config, database, ledger.selection)
    tally, work, stop, repeats = Tally(), Work(), Stop(), Repeats()
    _announce(config, ledger.selection, tally)

    def retrying() -> None:
        tally.db_retries += 1
        work.wait("the database", f"the database is away, waiting up to {config.db_retry_secs:g} s")

    thread = stack.enter_context(
        closing(DatabaseThread(database, table, retry_secs=config.db_retry_secs, on_retry=retrying))
    )
    stop.on_stop(thread.give_up)  # a run that stops does not wait until the database is back
    disk = Disk(config.cache_dir, stop)
    commits = Commits(ledger, disk, tally, work, dry_run=arguments.dry_run, evict=config.cache_evict)
    writer = None if arguments.dry_run else Writer(config, thread, commits, repeats, ledger.pages, stop, tally, work)
    history = History(ledger, tally, config.credit_usd, arguments.mode, command)
    return Run(arguments, config, table, ledger, thread, stop, disk, tally, work, repeats, commits, writer, history)


def _warn_of_losses(config: Config, lock: DirectoryLock) -> None:
    """Warn of pages that earlier runs bought and this one will not find."""
    path, provider = config.cache_dir / FILE_NAME, config.provider
    page = provider.price(provider.page_size, provider.page_size) * config.credit_usd
    if salvaged := salvage_if_damaged(config.cache_dir):
        lost = f"an unknown number of pages, about ${page:.4f} each"
        if salvaged.lost_pages is not None:
            cost = f"about ${salvaged.lost_pages * page:.2f}"
            lost = f"{counted(salvaged.lost_pages, 'page')} of whole lists, {cost}, and pages of unfinished lists"
        logger.warning(
            "%s was damaged: %s and %s could be read and are kept, the rest is bought again (%s); the damaged file is "
            "now %s",
            path,
            counted(salvaged.pages, "page"),
            counted(salvaged.kols, "KOL"),
            lost,
            salvaged.aside,
        )
    elif not lock.is_new and not (path.exists() and path.stat().st_size):
        logger.warning(
            "%s is missing, although there were runs in this directory: what they bought is bought again (about $%.4f "
            "a page); to avoid that, stop this run and put the file back",
            path,
            page,
        )


def _check_tables(arguments: Arguments, config: Config, database: Database, ledger: Ledger) -> Table:
    try:
        database.connect()
        check_names(database, config.source_table, config.target_table, config.follows_table)
        table = check_target(database, config.target_table)
        check_follows(database, config.follows_table)
        empty = empty_tables(database, config.follows_table)
        if not (arguments.replay or arguments.kols):
            check_source(database, config.source_table, config.source_column, config.source_where)
    except database.errors as error:
        raise StopRun(f"{database.explain(error)}; {database.advice(error)}") from None
    for warning in warnings(table):
        logger.warning(warning)
    if arguments.replay is not Replay.ALL and (warning := emptied(empty, ledger.kols, ledger.pages)):
        logger.warning(warning)
    return table


def _select(arguments: Arguments, config: Config, database: Database, selection: Selection) -> None:
    job = Job.load(config.jobdir, arguments.of_job()) if config.jobdir else None
    if arguments.replay:
        selection.read_cached(waiting_only=arguments.replay is Replay.PENDING)
        if job or arguments.kols:
            selection.keep_only((name.lower() for name in job.kols) if job else (kol.handle for kol in arguments.kols))
        selection.choose_all(None if job else arguments.limit)
    else:

        def source() -> Iterator[str | None]:
            with database.explained_errors():
                yield from source_handles(config, database)

        choose_due(selection, arguments, config, job, source)
    if config.jobdir and not job:
        Job.begin(config.jobdir, arguments.of_job(), selection.handles())


def choose_due(
    selection: Selection,
    arguments: Arguments,
    config: Config,
    job: Job | None,
    source: Callable[[], Iterable[str | None]],
) -> None:
    """Select the KOLs that a run with these arguments, or of this job, works on.

    `source` returns the handles of the source table. Raises WrongUsage if that names no KOL.
    """
    if job:
        selection.read(job.kols)
    elif arguments.kols:
        selection.read(kol.user_name for kol in arguments.kols)
    else:
        read_source(selection, source(), config)
    selection.choose_due(
        now=job.began_at if job else time.time(),
        refresh=arguments.refresh,
        retry=arguments.retry,
        limit=None if job else arguments.limit,
        keep_done=job is not None,
        incremental=arguments.incremental,
        full_every=arguments.full_every,
        follows=bool(config.follows_table),
    )


def _announce(config: Config, selection: Selection, tally: Tally) -> None:
    """Log which KOLs this run works on, and count the rows of the source table that name none."""
    by_why = selection.count_by_why()
    whys = ", ".join(f"{count:,} {why}" for why, count in by_why.items())
    left = f"; {counted(selection.left, 'more KOL')} left for the next run" if selection.left else ""
    logger.info("%s due%s%s", counted(sum(by_why.values()), "KOL"), f" ({whys})" if whys else "", left)
    if gone := selection.count_gone():
        logger.warning(
            "%s complete only in another database or table, and no longer in the cache; "
            "-a refresh=0s buys the lists again",
            "1 KOL is" if gone == 1 else f"{gone:,} KOLs are",
        )
    skipped = selection.skipped
    tally.skipped.update(skipped)
    if skipped:
        texts = [f"{skipped[why]:,} {why}" for why in ("blank", "repeated", "invalid") if why in skipped]
        if "invalid" in skipped:
            texts.append(f"such as {selection.invalid_example!r}")
        level = logging.WARNING if "invalid" in skipped else logging.INFO
        logger.log(level, "rows of %s skipped: %s", config.source_table, ", ".join(texts))
