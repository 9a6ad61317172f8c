"""Spending over time: by run within one day, otherwise by day, week or month, so that bars stay readable."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

from kolspider.console.wording import clock, day

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from kolspider.store.runs import RunRecord

__all__ = ["Period", "Spent", "by_period"]

_MOST = 62
"""Bars, at most."""


@dataclass(frozen=True, slots=True)
class Spent:
    """Dollars and pages bought at one moment (unix seconds)."""

    at: float
    dollars: float
    pages: int


@dataclass(slots=True)
class Period:
    """One bar: a run, day, week or month."""

    label: str
    name: str
    dollars: float = 0.0
    pages: int = 0


def by_period(spent: Iterable[Spent], runs: Sequence[RunRecord]) -> tuple[str, list[Period]]:
    """What a bar stands for (run, day, week, month), and the bars in order of time, empty ones included.

    `runs` are the latest runs, newest first.
    """
    found = sorted(spent, key=lambda one: one.at)
    days = [_date(one.at) for one in found] + [_date(run.started_at) for run in runs]
    if not days:
        return "run", []
    if min(days) == max(days) and runs:
        bought = [run for run in runs if run.done.calls][: _MOST // 2]
        return "run", [
            Period(f"run {run.id}", f"run {run.id}, {clock(run.started_at)}", run.done.dollars, run.done.pages)
            for run in reversed(bought)
        ]
    for what, name, begin in _PERIODS:  # noqa: B007 - the one that fits is used
        periods = _periods(min(days), max(days), name, begin)
        if len(periods) <= _MOST:
            break
    for one in found:
        period = periods[begin(_date(one.at))]
        period.dollars += max(one.dollars, 0.0)
        period.pages += max(one.pages, 0)
    return what, list(periods.values())[-_MOST:]


def _periods(first: date, last: date, name: str, begin: Callable[[date], date]) -> dict[date, Period]:
    starts = dict.fromkeys(begin(first + timedelta(days=n)) for n in range((last - first).days + 1))
    labels = {start: day(datetime(start.year, start.month, start.day, tzinfo=UTC).timestamp()) for start in starts}
    return {start: Period(label, name.format(label)) for start, label in labels.items()}


def _date(time: float) -> date:
    return datetime.fromtimestamp(time, UTC).date()


def _same(any_day: date) -> date:
    return any_day


def _monday(any_day: date) -> date:
    return any_day - timedelta(days=any_day.weekday())


def _first(any_day: date) -> date:
    return any_day.replace(day=1)


_PERIODS: tuple[tuple[str, str, Callable[[date], date]], ...] = (
    ("day", "{}", _same),
    ("week", "week of {}", _monday),
    ("month", "month of {}", _first),
)
