"""Opens a run, and finds whatever it can't use before the first API call."""

from __future__ import annotations

import logging
import sqlite3
import time
from contextlib import ExitStack, closing, contextmanager
from datetime import datetime
from typing import TYPE_CHECKING

from kolspider.alerts.raising import Raising
from kolspider.alerts.receivers import receivers_of
from kolspider.alerts.rules import alert_warnings, rules_of
from kolspider.alerts.sender import Sender
from kolspider.console.wording import counted, moment
from kolspider.db.check import check_follows, check_names, check_source, check_target, warnings
from kolspider.db.thread import DatabaseThread
from kolspider.errors import StartAgain, StopRun, WrongUsage
from kolspider.follows.emptied import emptied, empty_tables
from kolspider.follows.losses import unexplained
from kolspider.follows.queries import Follows
from kolspider.live.bill import Bill
from kolspider.live.crew import Alone
from kolspider.live.disk import Disk, unusable
from kolspider.live.pace import Pace
from kolspider.live.statement import Statement
from kolspider.live.stop import Stop
from kolspider.live.tally import Tally
from kolspider.live.turns import Turns
from kolspider.live.work import Work
from kolspider.load.commits import Commits
from kolspider.load.repeats import Repeats
from kolspider.load.writer import Writer
from kolspider.options.arguments import Cutoff, Replay
from kolspider.run.balance import ask_before
from kolspider.run.job import Job, JobFile
from kolspider.run.run import Run
from kolspider.run.source import read_source, skipped_rows, source_handles
from kolspider.run.switch import switch
from kolspider.store.connection import LedgerAway
from kolspider.store.damage import is_damage
from kolspider.store.database import FILE_NAME
from kolspider.store.ledger import Ledger
from kolspider.store.lock import DirectoryLock
from kolspider.store.salvage import salvage_if_damaged
from kolspider.store.selection import Watch
from kolspider.watch.history import History

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from kolspider.db.base import Database, Table
    from kolspider.fleet.fleet import Fleet
    from kolspider.live.crew import Crew
    from kolspider.live.store import Store
    from kolspider.options.arguments import Arguments
    from kolspider.options.config import Config
    from kolspider.run.job import JobPlace
    from kolspider.store.selection import Selection

__all__ = ["is_new_beside_rows", "job_place", "lost_accounts", "open_run", "read_ledger", "select_due", "target_label"]

logger = logging.getLogger(__name__)

_MEASURED = 2_000
"""KOLs whose own rows are looked for in the target: the table has no index on names."""
_NEARLY = 0.9
"""An age that a schedule repeats is over a little before its time: runs begin some seconds earlier or later."""


@contextmanager
def open_run(arguments: Arguments, config: Config, database: Database, command: Sequence[str]) -> Iterator[Run]:
    """Open a run, and close all its parts afterwards. `command` is what was typed. Raises UserError."""
    with ExitStack() as stack:
        try:
            run = _open(stack, arguments, config, database, command)
        except LedgerAway as error:
            raise StartAgain(str(error)) from None
        except (sqlite3.Error, OSError, MemoryError) as error:
            reason = unusable(config.cache_dir, error)
            if not is_damage(error):
                raise reason from None
            stack.close()  # nothing is bought yet: begin again, with a salvage
            run = _open_salvaged(stack, arguments, config, database, command)
        try:
            yield run
        except LedgerAway as error:  # it is still away when the run is summed up
            raise run.stop.error or StartAgain(str(error)) from None
        except (sqlite3.Error, MemoryError) as error:
            reason = unusable(config.cache_dir, error)  # marks a damaged store for the next run to salvage
            raise run.stop.error or reason from None


def target_label(config: Config, database: Database) -> str:
    """Name the tables that rows are loaded into; the ledger knows them by this name."""
    return database.target_label(config.target_table, config.follows_table)


def read_ledger(config: Config, database: Database) -> AbstractContextManager[Ledger]:
    """Open the ledger beside a run; it is empty before the first run. Raises StopRun, WrongUsage."""
    label = target_label(config, database)
    return Ledger.read(config.cache_dir, config.provider, label, shared_url=config.shared_url)


def job_place(config: Config, ledger: Ledger) -> JobPlace | None:
    """Return where the named job of the settings is kept; None if they name none."""
    if config.jobdir is None or not config.shared_url:
        return JobFile(config.jobdir) if config.jobdir else None
    from kolspider.fleet.job import NamedJob  # noqa: PLC0415 - as above

    return NamedJob(ledger.connection, config.jobdir)


def _open_salvaged(
    stack: ExitStack, arguments: Arguments, config: Config, database: Database, command: Sequence[str]
) -> Run:
    try:
        return _open(stack, arguments, config, database, command)
    except (sqlite3.Error, OSError) as error:
        raise unusable(config.cache_dir, error) from None


def _open(stack: ExitStack, arguments: Arguments, config: Config, database: Database, command: Sequence[str]) -> Run:
    if not config.shared_url:
        _warn_of_losses(config, stack.enter_context(DirectoryLock(config.cache_dir)))
    rules = rules_of(config)
    label, stop = target_label(config, database), Stop()
    opened = Ledger.open(config.cache_dir, config.provider, label, fresh=arguments.fresh, shared_url=config.shared_url)
    ledger = stack.enter_context(closing(opened))
    fleet = stack.enter_context(_fleet(arguments, config, ledger, stop)) if config.shared_url else None
    store = fleet.store if fleet else Disk(config.cache_dir, stop)
    ledger.drop_unnoted_rejects()
    stack.callback(database.close)
    table = _check_tables(arguments, config, database, ledger)
    ledger.selection.is_of_job = config.jobdir is not None
    ledger.forecast.known_stop = config.known_stop
    lost = lost_accounts(arguments, config, database, ledger, time.time())
    if fleet and not fleet.open_job(label):
        fleet.job.join()
    else:
        now = _choose(arguments, config, database, ledger)
        if fleet:
            fleet.job.publish(now)
    ledger.kols.ends_from = ledger.selection.refresh_before or 0.0
    tally, work, repeats = Tally(), Work(), Repeats()
    _announce(arguments, config, ledger.selection, tally, len(lost))

    def retrying() -> None:
        tally.db_retries += 1
        work.wait("the database", f"the database is away, waiting up to {config.db_retry_secs:g} s")

    if fleet:
        database.fence = fleet.check
    thread = stack.enter_context(
        closing(DatabaseThread(database, table, retry_secs=config.db_retry_secs, on_retry=retrying))
    )
    stop.on_stop(thread.give_up)  # a run that stops does not wait until the database is back
    renamed = ledger.accounts.renamed()
    tables, asks = (config.follows_table, config.target_table), config.provider.profiles_by_id is not None
    raising = Raising([rule.of_keys(renamed) for rule in rules], *tables, ledger, asks=asks)
    crew = fleet.crew if fleet else _alone(arguments, config, ledger, store)
    commits = Commits(ledger, store, crew, tally, work, raising, arguments, evict=config.cache_evict)
    writer = sender = None
    if not arguments.dry_run:
        writer = Writer(config, thread, commits, repeats, stop, tally, work)
        sender = Sender(receivers_of(config.notify), ledger, store, crew, tally)
        for warning in alert_warnings(rules, config):
            logger.warning(warning)
    history = History(ledger, tally, config.credit_usd, arguments.mode, command)
    bill, turns = fleet.turns(tally) if fleet else _turns(arguments, config, ledger, stop, tally)
    stop.on_stop(turns.pace.wake)
    statement = Statement(config.credit_usd)
    ledger.forecast.lost = len({*lost, *ledger.unexplained()})
    if not fleet:
        _ask_balance(statement, arguments, config, ledger)
    turns.pace.next_at = statement.next_call_at
    return Run(
        *(arguments, config, table, ledger, thread, stop, store, crew, tally, bill, turns.pace, turns, work, repeats),
        *(commits, writer, sender, history, statement, lost),
    )


def _choose(arguments: Arguments, config: Config, database: Database, ledger: Ledger) -> float:
    """Select the KOLs of the run, or of its named job, and refuse what would buy all of them again.

    Returns when the run, or its job, began.
    """
    place = job_place(config, ledger)
    job = Job.load(place, arguments.of_job()) if place else None
    now = job.began_at if job else time.time()
    _select(arguments, config, database, ledger, job, now)
    if not (arguments.replay or arguments.sandbox):
        if not arguments.fresh:
            _refuse_to_buy_all_again(config, database, ledger)
        _refuse_to_switch(arguments, config, ledger)
    if place and not job:
        Job.begin(place, arguments.of_job(), now, ledger.selection.handles())
    return now


def _turns(arguments: Arguments, config: Config, ledger: Ledger, stop: Stop, tally: Tally) -> tuple[Bill, Turns]:
    bill = Bill(arguments, config, stop, tally)
    return bill, Turns(Pace.of(config, ledger.found_rate()), bill, stop)


def _ask_balance(statement: Statement, arguments: Arguments, config: Config, ledger: Ledger) -> None:
    """Ask what the account holds, if the run may make calls."""
    if arguments.replay:
        return
    total = ledger.forecast.total()
    share = total.share(arguments.max_calls, arguments.max_credits(config.credit_usd))
    if share and (total.calls or ledger.selection.watch):  # looks are calls, too
        ask_before(statement, config, total.credits * share)


def _fleet(arguments: Arguments, config: Config, ledger: Ledger, stop: Stop) -> Fleet:
    from kolspider.fleet.fleet import Fleet  # noqa: PLC0415 - psycopg is imported only where it is needed

    return Fleet(arguments, config, ledger, stop)


def _alone(arguments: Arguments, config: Config, ledger: Ledger, store: Store) -> Crew:
    looks = bool(ledger.selection.watch and config.provider.profiles_by_id)
    everything = arguments.replay is Replay.ALL
    return Alone(ledger.selection, store, loads=not arguments.dry_run, everything=everything, looks=looks)


def _warn_of_losses(config: Config, lock: DirectoryLock) -> None:
    """Warn of pages that earlier runs bought and this one will not find."""
    path, provider = config.cache_dir / FILE_NAME, config.provider
    page = provider.price(provider.page_size) * config.credit_usd
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
    elif not lock.is_new and not path.exists():
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
        if not (arguments.replay or arguments.kols or arguments.why):
            check_source(database, config.source_table, config.source_column, config.source_where)
    except database.errors as error:
        raise StopRun(f"{database.explain(error)}; {database.advice(error)}") from None
    for warning in warnings(table):
        logger.warning(warning)
    if arguments.replay is not Replay.ALL and (warning := emptied(empty, ledger.kols)):
        logger.warning(warning)
    return table


def is_new_beside_rows(config: Config, database: Database, ledger: Ledger) -> bool:
    """Tell whether this cache directory knows of no list that was bought, although the target has rows."""
    if ledger.kols.is_any_known() or ledger.runs.has_bought():
        return False
    table = database.quoted(config.target_table)
    return bool(database.query(f"SELECT {database.identifier('id')} FROM {table} LIMIT 1"))


def _refuse_to_buy_all_again(config: Config, database: Database, ledger: Ledger) -> None:
    """Raise WrongUsage if this cache directory knows of no list that was bought, although the target has rows."""
    total = ledger.forecast.total()
    with database.explained_errors():
        if not total.calls or not is_new_beside_rows(config, database, ledger):
            return
    lists, credits_ = sum(ledger.selection.count_by_why().values()), round(total.credits)
    where = f"the cache directory {config.cache_dir}"
    instead = "set KOL_CACHE_DIR to the directory of the runs that filled the table"
    if config.shared_url:
        where = "the ledger at KOL_SHARED_URL"
        instead = "take the directory of the runs that filled the table there with `scrapy cache move`"
    raise WrongUsage(
        f"{where} knows of no list that was bought, but {config.target_table} has rows: "
        f"this run would buy {counted(lists, 'list')} (about {round(total.calls):,} calls, {credits_:,} credits, "
        f"${credits_ * config.credit_usd:,.2f}); {instead}, or buy them with -a fresh=1"
    )


def _refuse_to_switch(arguments: Arguments, config: Config, ledger: Ledger) -> None:
    """Raise WrongUsage if another provider would sell lists again that are there; with fresh=1, log what is bought."""
    if not (text := switch(config, ledger)):
        return
    if not arguments.fresh:
        raise WrongUsage(f"{text}; buy them with -a fresh=1, or set KOL_API_PROVIDER as it was")
    logger.info(text)


def _select(
    arguments: Arguments, config: Config, database: Database, ledger: Ledger, job: Job | None, now: float
) -> None:
    selection = ledger.selection
    if arguments.why:
        return
    if arguments.replay:
        selection.read_cached(waiting_only=arguments.replay is Replay.PENDING)
        if job or arguments.kols:
            names = [name.lower() for name in job.kols] if job else [kol.handle for kol in arguments.kols]
            selection.keep_only(map(ledger.accounts.key_of, names))
        selection.choose_all(None if job else arguments.limit)
    else:

        def source() -> Iterator[str | None]:
            with database.explained_errors():
                yield from source_handles(config, database)

        select_due(selection, arguments, config, job, source, now=now)
        ledger.accounts.claim()
        if names := selection.to_measure(_MEASURED):
            with database.explained_errors():
                selection.measure(database.lengths_by_name(config.target_table, names))
        if arguments.watch and not selection.watch:
            logger.warning("%s tells no profiles by id: this is an incremental refresh", config.provider.name)
        if arguments.max_calls is None and arguments.max_usd is None:  # else the order is that of need
            selection.begin_long_lists_early(config.lists_at_once(ledger.found_rate()))


def select_due(
    selection: Selection,
    arguments: Arguments,
    config: Config,
    job: Job | None,
    source: Callable[[], Iterable[str | None]],
    *,
    now: float,
) -> None:
    """Select the KOLs that a run with these arguments, or of this job, works on.

    `source` returns the handles of the source table; `now` is when the job, or else the run, began. Raises WrongUsage
    if the table names no KOL.
    """
    if job:
        selection.read(job.kols)
    elif arguments.kols:
        selection.read(kol.user_name for kol in arguments.kols)
    else:
        read_source(selection, source(), config)
    watch, refresh = arguments.watch, arguments.refresh
    if watch and config.provider.profiles_by_id:
        selection.watch = Watch(_nearly(watch).moment(now), now - _NEARLY * config.watch_recheck)
    elif watch:
        refresh = watch
    selection.choose_due(
        now=now,
        refresh_before=refresh.moment(now) if refresh else None,
        retry=arguments.retry,
        limit=None if job else arguments.limit,
        keep_done=job is not None,
        incremental=arguments.incremental or watch is not None,
        full_every=arguments.full_every,
        follows=bool(config.follows_table),
    )


def _nearly(cutoff: Cutoff) -> Cutoff:
    return cutoff if cutoff.age is None else Cutoff(age=int(cutoff.age * _NEARLY))


def lost_accounts(arguments: Arguments, config: Config, database: Database, ledger: Ledger, now: float) -> list[str]:
    """Return the accounts that `-a why` asks for, by their ids. Raises WrongUsage if nobody can be asked."""
    if arguments.why is None:
        return []
    if not config.follows_table:
        raise WrongUsage("-a why needs KOL_FOLLOWS_TABLE: without the table it is not known whom a KOL followed")
    if config.provider.profiles_by_id is None:
        raise WrongUsage(f"-a why needs profiles by id, and {config.provider.name} has none")
    kols = [ledger.accounts.key_of(kol.handle) for kol in arguments.kols]
    with database.explained_errors():
        follows = Follows(database, config.follows_table, config.target_table)
        return [one.user_id for one in unexplained(follows, ledger, moment(arguments.why.moment(now)), kols)]


def _announce(arguments: Arguments, config: Config, selection: Selection, tally: Tally, lost: int) -> None:
    """Log what this run works on, KOLs or lost accounts, and count the rows of the source table that name no KOL."""
    if arguments.why:
        logger.info("%s to ask for", counted(lost, "lost account"))
        return
    by_why = selection.count_by_why()
    whys = "" if arguments.replay else ", ".join(f"{count:,} {why}" for why, count in by_why.items())
    left = f"; {counted(selection.left, 'more KOL')} left for the next run" if selection.left else ""
    today = f"{datetime.now():%Y-%m-%d}"  # noqa: DTZ005 - in the zone of the log, whose lines have the time alone
    kols = counted(sum(by_why.values()), "KOL") + (" to load from the cache" if arguments.replay else " due")
    logger.info("%s: %s%s%s", today, kols, f" ({whys})" if whys else "", left)
    count, user_name, at = selection.finished_in_the_future()
    if count:
        logger.warning(
            "the lists of %s were finished in the future (%s at %s UTC): a clock was wrong then, or is now, so "
            "their age is not known, and a refresh reads them again",
            counted(count, "KOL"),
            user_name,
            moment(at),
        )
    if gone := selection.count_gone():
        logger.warning(
            "%s complete only in another database or table, and no longer in the cache; "
            "-a refresh=0s buys the lists again",
            "1 KOL is" if gone == 1 else f"{gone:,} KOLs are",
        )
    tally.skipped.update(selection.skipped)
    if text := skipped_rows(selection, config):
        logger.log(logging.WARNING if "invalid" in selection.skipped else logging.INFO, text)
