"""How far a run has come, and what is left of it."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from itertools import repeat
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest
from scrapy.settings import Settings

from kolspider.errors import NotAsked
from kolspider.extensions.periodic import after_each
from kolspider.items import Kol, State
from kolspider.live.stop import Stop
from kolspider.live.tally import Tally
from kolspider.live.work import Work
from kolspider.options.arguments import Arguments
from kolspider.options.config import Config
from kolspider.providers.base import Page
from kolspider.providers.paging import Paging
from kolspider.store.forecast import Average, Expected, Total
from kolspider.watch.progress import Pace, RunProgress
from kolspider.watch.words import ListProgress

if TYPE_CHECKING:
    from kolspider.store.ledger import Ledger

BTC, ETH, NEW = Kol("btc", "BTC"), Kol("eth", "eth"), Kol("new", "new")
AVERAGE = Average(lists=30, users=2000, pages=10, credits=2000, spread=1000)


class Watched:
    """A run of two known lists of 5 pages and two new ones, seen at times that the test sets."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, to_load: int = 0, delay: float = 0, **typed: str) -> None:
        settings = Settings()
        settings.setmodule("kolspider.settings")
        self.config = replace(Config.from_settings(settings), delay=delay, credit_usd=0.00001)
        total = Total(kols_known=2, calls_known=10, kols_average=2, calls_average=20)
        ledger = SimpleNamespace(
            selection=SimpleNamespace(count_by_why=lambda: {"begun": 2, "new": 2}),
            forecast=SimpleNamespace(total=lambda: total, average=AVERAGE),
            pages=SimpleNamespace(to_load=to_load),
        )
        self.tally, self.work, self.stop, self.at = Tally(), Work(), Stop(), 1000.0
        monkeypatch.setattr("time.monotonic", lambda: self.at)
        arguments = Arguments.parse(typed)
        self.progress = RunProgress(
            arguments, self.config, cast("Ledger", ledger), self.tally, self.work, self.stop, lambda: 7
        )

    def begin(self, kol: Kol, expected: Expected) -> Paging:
        self.work.begin(kol, paging := Paging(), expected)
        return paging


def read(paging: Paging, pages: int) -> None:
    for _ in range(pages):
        number = paging.pages + 1
        paging.take(str(number), Page([], str(number + 1), more=True), [str(number)])


KNOWN, UNKNOWN = Expected(5, 1000, 5, 200), Expected(10, 2000, None, 200)


def test_a_run_that_has_just_begun_takes_what_the_ledger_expects_at_its_delay(monkeypatch: pytest.MonkeyPatch) -> None:
    now = Watched(monkeypatch, delay=2).progress.now()
    assert (now.due, now.pace, now.left, now.waiting, now.seconds) == (4, None, 30 * 2, 7, 0)
    assert Watched(monkeypatch).progress.now().left is None, "without a delay nobody knows"


def test_what_is_read_is_left_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    run = Watched(monkeypatch, delay=1)
    read(run.begin(BTC, KNOWN), 3)
    assert run.progress.now().left == 2 + 5 + 20
    run.work.end(BTC)
    assert run.progress.now().left == 5 + 20
    read(run.begin(ETH, KNOWN), 9)  # longer than it was: at least one page is left
    assert run.progress.now().left == 1 + 20


def test_lists_read_in_this_run_change_what_is_expected_of_new_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    run = Watched(monkeypatch, delay=1)
    read(run.begin(NEW, UNKNOWN), 70)
    run.work.end(NEW)
    mean = (10 * 5 + 70) / (5 + 1)
    assert run.progress.now().left == pytest.approx(10 + mean)
    read(run.begin(Kol("new2", "new2"), UNKNOWN), 4)
    mean = (10 * 5 + 70 + 10) / (5 + 2)
    assert run.progress.now().left == pytest.approx(10 + mean - 4)


def test_a_cap_bounds_what_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    run = Watched(monkeypatch, delay=1, max_calls="12")
    run.tally.calls = 4
    assert run.progress.now().left == 8
    run.tally.calls = 12
    assert run.progress.now().left is None


def test_the_time_left_goes_by_the_pace_of_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    run = Watched(monkeypatch, delay=2)
    run.at, run.tally.calls, run.tally.credits = 1010.0, 20, 4000
    now = run.progress.now()
    assert (now.pace, now.left, now.seconds, now.dollars) == (2, 15, 10, 0.04)
    run.stop.set()
    assert run.progress.now().left is None


def test_a_replay_counts_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    run = Watched(monkeypatch, to_load=100, delay=2, replay="pending")
    assert run.progress.now().left is None
    run.at, run.tally.cache_hits = 1010.0, 40
    now = run.progress.now()
    assert (now.pace, now.left, now.to_load) == (4, 15, 100)


def test_lists_and_waits_are_shown_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    run = Watched(monkeypatch)
    read(run.begin(BTC, KNOWN), 2)
    run.work.done[State.FAILED] += 1
    run.work.wait("BTC", "BTC retries page 3", 5, why="502")
    run.work.wait("eth", "eth retries page 1", 1)
    run.work.wait("the database", "the database is away")
    run.at += 2
    now = run.progress.now()
    assert now.lists == [ListProgress("BTC", 2, 5, 2)]
    assert now.done == {State.FAILED: 1}
    assert now.waits == ["the database is away: 2 s so far", "BTC retries page 3 in 3 s: 502"]
    run.work.resume("the database")
    run.work.end(BTC)
    assert run.progress.now().waits == []


def test_the_pace_is_that_of_the_last_minutes() -> None:
    pace = Pace()
    assert pace.a_second is None
    for second in range(4):
        pace.note(float(second), second)
    assert pace.a_second is None  # too early
    for second in range(4, 1000):
        pace.note(float(second), second)
    assert pace.a_second == pytest.approx(1)
    for half in range(1200):  # nothing happens for ten minutes
        pace.note(1000 + half / 2, 999)
    assert pace.a_second is None
    assert len(pace._seen) < 400


def test_what_is_done_every_few_seconds_ends_with_the_run() -> None:
    calls = list[int]()

    async def do() -> None:
        calls.append(1)
        if len(calls) == 3:
            raise NotAsked("the run is stopping")

    asyncio.run(asyncio.wait_for(after_each(repeat(0.001), do), 60))
    assert len(calls) == 3
