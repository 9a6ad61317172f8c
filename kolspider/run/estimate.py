"""`-a estimate=1`: the cost of a run, estimated from the ledger without an API call or a write."""

from __future__ import annotations

import shlex
import time
from math import inf, sqrt
from textwrap import wrap
from typing import TYPE_CHECKING

from kolspider.console.columns import labelled
from kolspider.console.wording import counted, rough
from kolspider.db.check import check_source
from kolspider.errors import StopRun
from kolspider.options.arguments import without
from kolspider.run.job import Job
from kolspider.run.opening import read_ledger, select_due
from kolspider.run.source import source_handles
from kolspider.run.switch import switch

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from kolspider.db.base import Database
    from kolspider.options.arguments import Arguments
    from kolspider.options.config import Config
    from kolspider.store.ledger import Ledger

__all__ = ["estimate"]

_COLUMNS = 68
"""The width of a long text: with its label it fits a terminal of 80."""


def estimate(arguments: Arguments, config: Config, database: Database, command: Sequence[str]) -> None:
    """Print what the command would cost without estimate=1. Safe during a run, because it only reads."""
    job = Job.load(config.jobdir, arguments.of_job()) if config.jobdir else None
    try:
        with read_ledger(config, database) as ledger:
            now = job.began_at if job else time.time()
            select_due(ledger.selection, arguments, config, job, lambda: _source(arguments, config, database), now=now)
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
        self._selection = ledger.selection
        self._average = ledger.forecast.average
        self._total = ledger.forecast.total()
        self._switch = "" if arguments.sandbox else switch(config, ledger)
        caps = {
            "max_calls": (inf if arguments.max_calls is None else arguments.max_calls) / (self._total.calls or 1),
            "max_usd": arguments.max_credits(config.credit_usd) / (self._total.credits or 1),
        }
        self._cap = min(caps, key=lambda name: caps[name])
        self._part = min(caps[self._cap], 1.0)
        """The share of the calls that this cap allows."""

    def lines(self, command: str) -> Iterator[str]:
        """Yield the table of this command."""
        total, config, part = self._total, self._config, self._part
        by_why, left = self._selection.count_by_why(), self._selection.left
        due, whys = sum(by_why.values()), ", ".join(f"{count:,} {why}" for why, count in by_why.items())
        beyond = f"; {counted(left, 'more KOL')} beyond the limit" if left else ""
        yield labelled("KOLs", (f"{due:,} due ({whys})" if due else "none are due") + beyond)
        if gone := self._selection.count_gone():
            yield labelled("", f"{gone:,} complete in another database only, and not cached: -a refresh=0s")
        if not due:
            yield labelled("next", "nothing to do")
            return
        if self._switch:
            needs = f"{self._switch}; the run needs -a fresh=1"
            for nth, text in enumerate(wrap(needs, _COLUMNS)):
                yield labelled("" if nth else "provider", text)
        yield labelled("cache", self._cached)
        calls, credits_ = round(total.calls * part), round(total.credits * part)
        if calls:
            capped = f" ({self._cap}; all of it takes about {total.calls:,.0f})" if part < 1 else ""
            yield labelled("calls", f"about {calls:,}{capped}, retries not counted")
            for text in self._grounds():
                yield labelled("", text)
            dollars = credits_ * config.credit_usd
            yield labelled("cost", f"about {credits_:,} credits, ${dollars:,.2f}{self._range}")
            pace = f"at one call in {config.delay:g} s (DOWNLOAD_DELAY)"
            time = f"about {rough(calls * config.delay)} {pace}" if config.delay else "no delay (DOWNLOAD_DELAY=0)"
            yield labelled("time", time)
            for nth, text in enumerate(wrap(f"the API takes {config.provider.allowed_rate}", _COLUMNS)):
                yield labelled("" if nth else "rate", text)
        else:
            yield labelled("calls", "none, so nothing to pay")
        yield labelled("next", command)

    @property
    def _cached(self) -> str:
        total = self._total
        if not total.cached:
            return "no page of these lists is cached yet"
        whole = f"; {counted(total.kols_whole, 'KOL')} with every page cached" if total.kols_whole else ""
        return f"{counted(total.cached, 'page')} of these lists, at no cost{whole}"

    def _grounds(self) -> Iterator[str]:
        total, average = self._total, self._average
        if total.kols_known:
            by = "what was read last time" if self._arguments.incremental else "the list read last time"
            yield f"{total.calls_known:,.0f} for {counted(total.kols_known, 'KOL')}, by {by}"
        if total.kols_average:
            by = (
                f"the {average.users:,.0f} users of {average.lists:,} lists on average"
                if average.lists
                else f"the usual {average.users:,.0f} users (too few lists are known)"
            )
            yield f"{total.calls_average:,.0f} for {counted(total.kols_average, 'KOL')}, by {by}"
        if total.lookups:
            yield f"{total.lookups:,} to look up the ids of {counted(total.kols_without_id, 'KOL')}"

    @property
    def _range(self) -> str:
        """What 19 in 20 such runs cost, as far as lists differ by chance; an average of few lists is less certain."""
        total, average, provider = self._total, self._average, self._config.provider
        if not total.kols_average or self._part < 1:
            return ""
        kols, lists = total.kols_average, average.lists
        spread = 2 * average.spread * sqrt(kols * (1 + kols / lists if lists else 1))
        least = total.credits_known + kols * provider.price(0)
        low, high = max(total.credits - spread, least), total.credits + spread
        return f" (probably ${low * self._config.credit_usd:,.2f} to ${high * self._config.credit_usd:,.2f})"
