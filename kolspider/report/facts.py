"""Everything the page shows, read from the store at one moment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kolspider.items import State
from kolspider.report import failures, set_aside
from kolspider.report.pace import Pace, pace_of
from kolspider.report.spending import Period, Spent, by_period

if TYPE_CHECKING:
    from kolspider.options.config import Config
    from kolspider.report.failures import Failed
    from kolspider.report.follows import FollowFacts
    from kolspider.report.set_aside import SetAside
    from kolspider.store.kols import KolRecord
    from kolspider.store.ledger import Ledger
    from kolspider.store.pages import PageCount
    from kolspider.store.runs import Counters, RunRecord, Runs

__all__ = ["End", "Facts", "Remaining"]

_RUNS, _PACES, _LARGEST = 100, 6, 20
_ALIVE = 30.0
"""Seconds of silence after which a run counts as dead; it writes a sign of life every 10 seconds."""


@dataclass(frozen=True, slots=True)
class End:
    """How a run ended, in words and as a colour of the style sheet."""

    words: str
    colour: str


_ENDS = {
    0: End("done", "good"),
    3: End("done, some lists incomplete", "warn"),
    130: End("interrupted", "warn"),
}
"""By exit code."""


@dataclass(frozen=True, slots=True)
class Remaining:
    """What the unfinished lists will cost and take: what `-a estimate=1` says of the same KOLs."""

    kols: int
    dollars: float
    seconds: float | None
    """None when no run has a pace to go by."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What the page shows. Times are unix seconds, sizes are bytes."""

    now: float
    target: str
    provider: str
    cache_dir: str
    began_at: float | None
    states: dict[State, int]
    """KOLs by state. `new` includes those that the last run saw in the source table and no run has started."""
    read_again: int
    """KOLs whose lists are being read again, while the table has them as they were."""
    users: int
    total: Counters
    """Sum over all recorded runs."""
    pages_before: int
    """Pages in the cache that were bought before runs were recorded."""
    dollars_before: float
    """What these pages cost."""
    runs: list[RunRecord]
    """The latest runs, newest first."""
    run_count: int
    period: str
    periods: list[Period]
    paces: list[Pace]
    """Paces of the latest runs that have one, newest first."""
    failures: list[Failed]
    failures_beyond: int
    """KOLs in groups too small to be shown."""
    largest: list[KolRecord]
    cache: PageCount
    cache_dollars: float
    """What buying these pages again would cost."""
    set_aside: SetAside
    remaining: Remaining | None
    """None when no list is left to buy."""
    command: str
    """What writes this page again."""
    follows: FollowFacts | None = None
    """None when follows are not recorded, or the database could not be queried."""

    @classmethod
    def gather(
        cls,
        store: Ledger,
        config: Config,
        target: str,
        now: float,
        follows: FollowFacts | None = None,
        command: str = "scrapy report",
    ) -> Facts:
        """Read the store and rejects.jsonl. Raises StopRun."""
        runs = store.runs
        latest = runs.latest(_RUNS)
        before = _bought_before(store, config)
        period, periods = by_period([*before, *(Spent(*one) for one in runs.spending())], latest)
        groups, beyond = failures.group(store.kols)
        began = [time for time in (runs.began_at(), store.kols.began_at(), store.pages.began_at()) if time is not None]
        paces = _paces(runs, latest)
        return cls(
            now=now,
            target=target,
            provider=config.provider.name,
            cache_dir=str(config.cache_dir),
            began_at=min(began, default=None),
            states=_states(store),
            read_again=store.kols.count_read_again(),
            users=store.kols.count_users(),
            total=runs.total(),
            pages_before=sum(one.pages for one in before),
            dollars_before=sum(one.dollars for one in before),
            runs=latest,
            run_count=len(runs),
            period=period,
            periods=periods,
            paces=paces,
            failures=groups,
            failures_beyond=beyond,
            largest=store.kols.largest(_LARGEST),
            cache=store.pages.count(),
            cache_dollars=sum(n * _dollars(config, users) for users, n in store.pages.sizes()),
            set_aside=set_aside.read(config.cache_dir / "rejects.jsonl"),
            remaining=_remaining(store, config, now, paces),
            command=command,
            follows=None if follows is None else follows.spelled(store.kols.spellings()),
        )

    @property
    def known(self) -> int:
        """Number of KOLs, started or not."""
        return sum(self.states.values())

    @property
    def done(self) -> int:
        """Number of KOLs whose list is in the table, or that have none."""
        return self.states.get(State.COMPLETE, 0) + self.states.get(State.NOT_FOUND, 0) + self.read_again

    @property
    def spent(self) -> float:
        """Dollars spent, by list price: only the API's bill is exact."""
        return self.total.dollars + self.dollars_before

    @property
    def pages_bought(self) -> int:
        """Number of pages bought, as far as recorded."""
        return self.total.pages + self.pages_before

    @property
    def saved(self) -> float:
        """Dollars that pages read from the cache would have cost."""
        return self.total.cache_hits * self.spent / self.pages_bought if self.pages_bought else 0.0

    def is_alive(self, run: RunRecord) -> bool:
        """Whether the run is still going: it is the newest, has no end, and gave a sign of life recently."""
        return run.exit_code is None and run is self.runs[0] and self.now - run.updated_at < _ALIVE

    def end_of(self, run: RunRecord) -> End:
        """How a run ended, or that it is still running."""
        if run.exit_code is None:
            return End("running", "live") if self.is_alive(run) else End("killed, no end recorded", "bad")
        return _ENDS.get(run.exit_code, End("stopped early", "bad"))


def _states(store: Ledger) -> dict[State, int]:
    counts = store.kols.states()
    if new := store.runs.unbegun():
        counts[State.NEW] = counts.get(State.NEW, 0) + new
    return {state: counts[state] for state in State if counts.get(state)}


def _remaining(store: Ledger, config: Config, now: float, paces: list[Pace]) -> Remaining | None:
    """Estimate what the next run without arguments would buy."""
    selection = store.selection
    selection.read(kol.user_name for kol in store.kols.unfinished())
    selection.choose_due(now=now, refresh_before=None, retry=(), limit=None, keep_done=False)
    total = store.forecast.total(store.runs.unbegun() or 0)
    if not total.calls:
        return None
    bought = next((pace for pace in paces if pace.what == "pages"), None)
    return Remaining(
        total.kols_known + total.kols_average,
        total.credits * config.credit_usd,
        60 * total.calls / bought.average if bought else None,
    )


def _bought_before(store: Ledger, config: Config) -> list[Spent]:
    began = store.runs.began_at()
    found = store.pages.bought_before(float("inf") if began is None else began)
    return [Spent(day, n * _dollars(config, users), n) for day, users, n in found]


def _dollars(config: Config, users: int) -> float:
    return config.provider.price(users) * config.credit_usd


def _paces(runs: Runs, latest: list[RunRecord]) -> list[Pace]:
    found: list[Pace] = []
    for run in latest:
        pace = pace_of(run, runs.samples(run.id)) if len(found) < _PACES else None
        if pace is not None:
            found.append(pace)
    return found
