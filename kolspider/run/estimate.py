"""`-a estimate=1`: what a run would cost, from what the ledger knows, without an API call or a write."""

from __future__ import annotations

import shlex
from math import sqrt
from textwrap import wrap
from typing import TYPE_CHECKING

from kolspider.console.columns import labelled
from kolspider.console.wording import counted, rough
from kolspider.db.check import check_source
from kolspider.errors import StopRun
from kolspider.options.arguments import without
from kolspider.run.job import Job
from kolspider.run.opening import choose_due, read_ledger

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from kolspider.db.base import Database
    from kolspider.options.arguments import Arguments
    from kolspider.options.config import Config
    from kolspider.store.forecast import Forecast, Total
    from kolspider.store.selection import Selection

__all__ = ["estimate"]

_COLUMNS = 68
"""Of a line's text: with its label it fits a terminal of 80."""


def estimate(arguments: Arguments, config: Config, database: Database, command: Sequence[str]) -> None:
    """Print what the same command without estimate=1 would cost. Reads beside a run; writes nothing."""
    job = Job.load(config.jobdir, arguments.of_job()) if config.jobdir else None
    try:
        with read_ledger(config, database) as ledger:
            choose_due(
                ledger.selection,
                arguments,
                job,
                lambda: _source(arguments, config, database),
                follows=bool(config.follows_table),
            )
            lines = _Estimate(arguments, config, ledger.selection, ledger.forecast).lines(
                shlex.join(without(command, ["estimate"]))
            )
            print("\n".join(lines))
    finally:
        database.close()


def _source(arguments: Arguments, config: Config, database: Database) -> Iterator[str | None]:
    """The handles of the source table; the sandbox's may not be there yet."""
    try:
        if not arguments.sandbox:
            database.connect()
            check_source(database, config.source_table)
        yield from database.handles(config.source_table)
    except database.errors as error:
        if not arguments.sandbox:
            raise StopRun(f"{database.explain(error)}; {database.advice(error)}") from None
    if arguments.sandbox:
        from kolspider.sandbox import SAMPLE_KOLS  # noqa: PLC0415 - its HTTP server takes a quarter of a second

        yield from SAMPLE_KOLS


class _Estimate:
    """The lines, in the style of the closing table."""

    def __init__(self, arguments: Arguments, config: Config, selection: Selection, forecast: Forecast) -> None:
        self._cap = arguments.max_calls
        self._incremental = arguments.incremental
        self._config = config
        self._by_why = selection.count_by_why()
        self._left = selection.left
        self._gone = selection.count_gone()
        self._average = forecast.average
        self._total = forecast.total()

    def lines(self, command: str) -> Iterator[str]:
        """The table; command is what it is about."""
        total, config = self._total, self._config
        due = sum(self._by_why.values())
        whys = ", ".join(f"{count:,} {why}" for why, count in self._by_why.items())
        beyond = f"; {counted(self._left, 'more KOL')} beyond the limit" if self._left else ""
        yield labelled("KOLs", (f"{due:,} due ({whys})" if due else "none are due") + beyond)
        if self._gone:
            yield labelled("", f"{self._gone:,} complete in another database only, and not in the cache: -a refresh=0s")
        yield labelled("cache", self._cached(total))
        part = self._part
        calls, credits_ = round(total.calls * part), round(total.credits * part)
        capped = f" (max_calls; all of it takes about {total.calls:,.0f})" if part < 1 else ""
        yield labelled("calls", f"about {calls:,}{capped}, retries not counted" if calls else "none")
        for text in self._grounds(total):
            yield labelled("", text)
        dollars = credits_ * config.credit_usd
        yield labelled("cost", f"about {credits_:,} credits, ${dollars:,.2f}{self._range}" if calls else "nothing")
        yield labelled("time", self._time(calls))
        for nth, text in enumerate(wrap(f"the API takes {config.provider.allowed_rate}", _COLUMNS) if calls else ()):
            yield labelled("" if nth else "rate", text)
        yield labelled("next", command if due else "nothing to do")

    @property
    def _part(self) -> float:
        """How much of the calls the cap lets through."""
        calls = self._total.calls
        return 1.0 if self._cap is None or calls <= self._cap else self._cap / calls

    def _cached(self, total: Total) -> str:
        whole = (
            f"; {counted(total.kols_whole, 'KOL')} {_need(total.kols_whole)} nothing else" if total.kols_whole else ""
        )
        if not total.cached:
            return "no page of these readings is here yet"
        return f"{counted(total.cached, 'page')} of these lists {_are(total.cached)} here and cost nothing{whole}"

    def _grounds(self, total: Total) -> Iterator[str]:
        average = self._average
        if total.kols_known:
            by = "what was read last time" if self._incremental else "the list read last time"
            yield f"{total.calls_known:,.0f} for {counted(total.kols_known, 'KOL')}, by {by}"
        if not total.kols_average:
            return
        what = f"{total.calls_average:,.0f} for {counted(total.kols_average, 'KOL')}"
        if average.lists:
            yield f"{what}, by the {average.users:,.0f} users of {average.lists:,} lists on average"
        else:
            yield f"{what}, by the usual {average.users:,.0f} users (too few lists are known)"

    @property
    def _range(self) -> str:
        """What 19 in 20 such runs cost, as far as chance goes: lists differ a lot, many together do not. The average
        is the less sure the fewer lists it is of."""
        total, average = self._total, self._average
        if not total.kols_average or self._part < 1:
            return ""
        kols, lists = total.kols_average, average.lists
        spread = 2 * average.spread * sqrt(kols * (1 + kols / lists if lists else 1))
        least = total.credits_known + total.kols_average * self._config.provider.price(
            0, self._config.provider.page_size
        )
        low, high = max(total.credits - spread, least), total.credits + spread
        return f" (probably ${low * self._config.credit_usd:,.2f} to ${high * self._config.credit_usd:,.2f})"

    def _time(self, calls: int) -> str:
        delay = self._config.delay
        if not calls:
            return "no call, no wait"
        if not delay:
            return "as fast as the API answers (DOWNLOAD_DELAY=0)"
        return f"about {rough(calls * delay)} at one call in {delay:g} s (DOWNLOAD_DELAY)"


def _are(number: int) -> str:
    return "is" if number == 1 else "are"


def _need(number: int) -> str:
    return "needs" if number == 1 else "need"
