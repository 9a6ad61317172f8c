"""`-a estimate=1`: the cost of a run, estimated from the ledger without an API call or a write."""

from __future__ import annotations

import shlex
import time
from functools import partial
from math import inf, sqrt
from typing import TYPE_CHECKING

from kolspider.alerts.rules import rules_file, rules_of
from kolspider.console.columns import labelled, wrapped
from kolspider.console.wording import counted, rough
from kolspider.db.check import check_source
from kolspider.errors import StopRun, UserError
from kolspider.options.arguments import without
from kolspider.run.balance import ask_balance
from kolspider.run.job import Job
from kolspider.run.opening import job_place, lost_accounts, read_ledger, select_due
from kolspider.run.source import source_handles
from kolspider.run.switch import switch

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from kolspider.db.base import Database
    from kolspider.options.arguments import Arguments
    from kolspider.options.config import Config
    from kolspider.store.ledger import Ledger

__all__ = ["estimate"]


def estimate(arguments: Arguments, config: Config, database: Database, command: Sequence[str]) -> None:
    """Print what the command would cost without estimate=1. Safe during a run, because it only reads."""
    try:
        with read_ledger(config, database) as ledger:
            place = job_place(config, ledger)
            job = Job.load(place, arguments.of_job()) if place else None
            ledger.forecast.known_stop = config.known_stop
            now = job.began_at if job else time.time()
            if arguments.why:
                database.connect()
            lost = lost_accounts(arguments, config, database, ledger, now)
            ledger.forecast.lost = len({*lost, *ledger.unexplained()})
            if not arguments.why:
                source = partial(_source, arguments, config, database)
                select_due(ledger.selection, arguments, config, job, source, now=now)
            table = _Estimate(arguments, config, ledger)
            print("\n".join(table.lines(shlex.join(without(command, ["estimate"])))))
    finally:
        database.close()


def _source(arguments: Arguments, config: Config, database: Database) -> Iterator[str | None]:
    """Yield the handles of the source table; the sandbox's may not exist yet."""
    try:
        if not arguments.sandbox:
            database.connect()
            check_source(database, config.source_table, config.source_column, config.source_where)
        yield from source_handles(config, database)
    except database.errors as error:
        if not arguments.sandbox:
            raise StopRun(f"{database.explain(error)}; {database.advice(error)}") from None
    if arguments.sandbox:
        from kolspider.sandbox import SAMPLE_KOLS  # noqa: PLC0415 - its HTTP server takes a quarter of a second

        yield from SAMPLE_KOLS


class _Estimate:
    """The lines of an estimate, in the style of the closing table."""

    def __init__(self, arguments: Arguments, config: Config, ledger: Ledger) -> None:
        self._arguments = arguments
        self._config = config
        self._selection, forecast = ledger.selection, ledger.forecast
        self._average = forecast.average
        self._found_rate = ledger.found_rate()
        self._asks = config.provider.profiles_by_id if any(rule.why for rule in rules_of(config)) else None
        self._total, self._lost = forecast.total(), forecast.lost
        self._switch = "" if arguments.sandbox else switch(config, ledger)
        max_credits = arguments.max_credits(config.credit_usd)
        self._part = self._total.share(arguments.max_calls, max_credits)
        """The share of the calls that the caps allow."""
        self._cap = "max_usd" if self._part < self._total.share(arguments.max_calls, inf) else "max_calls"

    def lines(self, command: str) -> Iterator[str]:
        """Yield the table of this command."""
        total, config, part = self._total, self._config, self._part
        by_why, left = self._selection.count_by_why(), self._selection.left
        due, whys = sum(by_why.values()), ", ".join(f"{count:,} {why}" for why, count in by_why.items())
        beyond = f"; {counted(left, 'more KOL')} beyond the limit" if left else ""
        if not self._arguments.why:
            yield labelled("KOLs", (f"{due:,} due ({whys})" if due else "none are due") + beyond)
        if gone := self._selection.count_gone():
            yield labelled("", f"{gone:,} complete in another database only, and not cached: -a refresh=0s")
        if not (due or total.questions):
            yield labelled("next", "nothing to do")
            return
        if self._switch:
            yield from wrapped("provider", f"{self._switch}; the run needs -a fresh=1")
        if due:
            yield labelled("cache", self._cached)
        calls, credits_ = round(total.calls * part), round(total.credits * part)
        if calls:
            capped = f" ({self._cap}; all of it takes about {total.calls:,.0f})" if part < 1 else ""
            yield labelled("calls", f"about {calls:,}{capped}, retries not counted")
            for text in self._grounds():
                yield labelled("", text)
            if due and self._asks:
                call, rules = self._asks, rules_file(config).name
                price = f"{call.price(call.most):,} credits for {call.most:,} lost follows"
                yield from wrapped("", f"to which why in {rules} adds at most {price}")
            dollars = credits_ * config.credit_usd
            yield labelled("cost", f"about {credits_:,} credits, ${dollars:,.2f}{self._range}")
            if config.api_key and not self._arguments.sandbox:
                yield from wrapped("balance", self._balance(credits_))
            yield labelled("time", self._time(calls))
            yield from wrapped("rate", f"the API takes {config.provider.allowed_rate}")
        else:
            yield labelled("calls", "none, so nothing to pay")
        fresh = " -a fresh=1" if self._switch and not self._arguments.fresh else ""
        yield labelled("next", command + fresh)

    def _time(self, calls: int) -> str:
        config, found = self._config, self._found_rate
        if config.rate == "auto":
            known = f", {found:.3g} a second last time" if found else ""
            about = f"about {rough(calls / found)}, " if found else ""
            return f"{about}as fast as the API allows (KOL_RATE=auto){known}"
        if config.rate:
            return f"about {rough(calls * config.interval)} at {config.rate:g} calls a second (KOL_RATE)"
        if not config.delay:
            return "no delay (DOWNLOAD_DELAY=0)"
        return f"about {rough(calls * config.delay)} at one call in {config.delay:g} s (DOWNLOAD_DELAY)"

    @property
    def _cached(self) -> str:
        total = self._total
        if not total.cached:
            return "no page of these lists is cached yet"
        whole = f"; {counted(total.kols_whole, 'KOL')} with every page cached" if total.kols_whole else ""
        return f"{counted(total.cached, 'page')} of these lists, at no cost{whole}"

    def _grounds(self) -> Iterator[str]:
        total, average = self._total, self._average
        if total.looks:
            yield f"{total.looks:,} for profiles (fewer, if the target table has the ids of new KOLs)"
        if total.kols_known:
            is_incremental = self._arguments.incremental or self._arguments.watch
            by = "what was read last time" if is_incremental else "the list read last time"
            yield f"{total.calls_known:,.0f} for {counted(total.kols_known, 'KOL')}, by {by}"
        if total.kols_average:
            by = (
                f"the {average.users:,.0f} users of {average.lists:,} lists on average"
                if average.lists
                else f"the usual {average.users:,.0f} users (too few lists are known)"
            )
            yield f"{total.calls_average:,.0f} for {counted(total.kols_average, 'KOL')}, by {by}"
        if total.questions:
            yield f"{total.questions:,} to ask why {counted(self._lost, 'account')} were lost"
        if total.lookups:
            yield f"{total.lookups:,} to look up the ids of {counted(total.kols_without_id, 'KOL')}"

    @property
    def _spread(self) -> float:
        """Credits by which 19 in 20 such runs differ at most from the estimate.

        As far as lists differ by chance, that is; an average of few lists is less certain.
        """
        kols, lists = self._total.kols_average, self._average.lists
        return 2 * self._average.spread * sqrt(kols * (1 + kols / lists if lists else 1))

    @property
    def _range(self) -> str:
        total, price = self._total, self._config.credit_usd
        if not total.kols_average or self._part < 1:
            return ""
        least = total.credits_known + total.credits_looks + total.kols_average * self._config.provider.price(0)
        low, high = max(total.credits - self._spread, least), total.credits + self._spread
        return f" (probably ${low * price:,.2f} to ${high * price:,.2f})"

    def _balance(self, cost: int) -> str:
        """Say whether what the account holds is enough, in credits."""
        try:
            held = ask_balance(self._config)
        except UserError as error:
            return str(error)
        text = f"{held.credits:,.0f} credits, ${held.worth(self._config.credit_usd):,.2f}"
        if held.credits < cost:
            return f"{text}: too little, about {cost - held.credits:,.0f} credits are missing"
        most = min(self._total.credits + self._spread, self._arguments.max_credits(self._config.credit_usd))
        return text if self._part < 1 or held.credits >= most else f"{text}: perhaps too little"
