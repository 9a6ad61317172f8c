"""The history of runs in the store."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from kolspider.errors import WrongUsage
from kolspider.items import State
from kolspider.providers import provider
from kolspider.store.database import FILE_NAME, connect, connect_to_read
from kolspider.store.ledger import Ledger
from kolspider.store.runs import Counters, Runs

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.mark.parametrize("version", [3, 99])
@pytest.mark.parametrize("open_store", [connect, connect_to_read])
def test_a_store_of_another_format_is_refused(
    tmp_path: Path, open_store: Callable[[Path], sqlite3.Connection], version: int
) -> None:
    connect(tmp_path).close()
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as store:
        store.execute(f"PRAGMA user_version = {version}")
    with pytest.raises(WrongUsage, match=f"format {version}"):
        open_store(tmp_path)


def test_a_run_from_its_begin_to_its_end(tmp_path: Path) -> None:
    with closing(Ledger.open(tmp_path, provider("twitterapi_io"), "sqlite:///kol.db all")) as ledger:
        runs = ledger.runs
        run = runs.begin("buy", "scrapy crawl followings -a limit=2")
        runs.note_states(run, {State.NEW: 2}, 7, 2)
        runs.note(run, Counters(calls=3, pages=2, errors={"transient": 1}))
        (killed,) = runs.latest(9)
        assert (killed.exit_code, killed.finished_at, killed.unbegun) == (None, None, 7)
        assert (killed.done.pages, killed.selected, killed.states) == (2, 2, {State.NEW: 2})

        done = Counters(5, 4, 1, 800, 790, 10, 800, 0.008, 0, {"transient": 1})
        runs.end(run, done, {State.COMPLETE: 1, State.FAILED: 1}, 5, 2, 3, "")
        (ended,) = runs.latest(9)
        assert ended.done == done == runs.total()
        assert (ended.exit_code, ended.states, ended.target) == (
            3,
            {State.COMPLETE: 1, State.FAILED: 1},
            "sqlite:///kol.db all",
        )
        assert ended.finished_at is not None
        assert ended.finished_at >= ended.started_at
        assert runs.unbegun() == 5
        assert sum(dollars for _, dollars, _ in runs.spending()) == pytest.approx(0.008)

        assert ended.billed is None
        runs.note_bill(run, 812.0, 0.00812)
        (ended,) = runs.latest(9)
        assert ended.billed == 0.00812

        ledger.clear(keep_progress=False)
        assert runs.latest(9) == [ended], "clearing the cache forgets no spending"


def test_a_run_is_told_by_its_number(tmp_path: Path) -> None:
    with closing(connect(tmp_path)) as store:
        store.execute("PRAGMA synchronous = OFF")
        runs, elsewhere = (Runs(store, provider("twitterapi_io"), target) for target in (1, 2))
        assert (runs.total(), runs.began_at(), runs.unbegun(), runs.has_bought()) == (Counters(), None, None, False)
        first, second = runs.begin("buy", "a"), elsewhere.begin("replay", "b")
        runs.note(
            first, Counters(calls=3, pages=1, users=7, dollars=0.5, credits=10, errors={"transient": 1, "refused": 5})
        )
        runs.note(second, Counters(calls=4, errors={"transient": 2}))
        assert runs.has_bought()
        runs.note_states(first, {State.NEW: 1}, 5, 9)
        for run in (first, second):
            for calls in (1, 2):
                runs.sample(run, Counters(calls=calls, pages=calls, credits=5 * calls))
        runs.end(first, Counters(calls=3, pages=1), {State.FAILED: 1}, None, 8, 3, "why")
        assert [(run.id, run.target, run.exit_code, run.stopped, run.selected) for run in runs.latest(2)] == [
            (second, "?", None, "", 0),
            (first, "?", 3, "why", 8),
        ]
        assert [run.id for run in runs.latest(1)] == [second]
        assert [run.states for run in runs.latest(2)] == [{}, {State.FAILED: 1}]
        assert list(runs.total().errors.items()) == [("transient", 2)]
        assert [sample.calls for sample in runs.samples(first)] == [1, 2, 3]
        assert [sample.calls for sample in runs.samples(second)] == [1, 2]
        assert runs.unbegun() is None
        runs.note_states(first, {}, 5, 9)
        runs.note_states(second, {}, 6, 9)
        assert runs.unbegun() == 6, "the last run that read it"
        assert runs.began_at() == min(run.started_at for run in runs.latest(2))


def test_what_a_run_has_spent_is_spread_over_its_samples(tmp_path: Path) -> None:
    with closing(connect(tmp_path)) as store:
        runs = Runs(store, provider("twitterapi_io"), 1)
        for price in (0.0, 1.0, 2.0):
            run = runs.begin("buy", "a")
            for calls in (1, 3):
                runs.sample(run, Counters(pages=calls, credits=calls))
            runs.note(run, Counters(pages=4, credits=4, dollars=price))
        store.execute("UPDATE sample SET at = run * 10 + pages")
        store.execute("UPDATE run SET updated_at = id * 10 + 4")
        spent = [(0.25, 1), (0.5, 2), (0.25, 1)]
        assert sorted(runs.spending()) == [
            (10.0 * run + at, price * share, pages)
            for run, price in ((1, 0.0), (2, 1.0), (3, 2.0))
            for at, (share, pages) in zip((1, 3, 4), spent, strict=True)
        ]


def test_samples_are_bounded(tmp_path: Path) -> None:
    with closing(connect(tmp_path)) as store:
        store.execute("PRAGMA synchronous = OFF")
        runs = Runs(store, provider("twitterapi_io"), 1)
        run, other = (runs.begin("buy", "scrapy crawl followings") for _ in range(2))
        for n in range(3):
            runs.sample(other, Counters(calls=n))
        halved = [runs.sample(run, Counters(calls=n)) for n in range(600)]
        kept = runs.samples(run)
        assert (halved.index(True), sum(halved) >= 2) == (240, True)
        assert len(kept) <= 240
        assert [sample.calls for sample in kept] == sorted(sample.calls for sample in kept)
        assert [sample.calls for sample in runs.samples(other)] == [0, 1, 2]
        while len(runs) < other + 100:
            assert len(runs.samples(other)) == 3, "those of the last hundred runs are kept"
            runs.begin("buy", "scrapy crawl followings")
        assert (runs.samples(run), runs.samples(other)) == ([], [])
