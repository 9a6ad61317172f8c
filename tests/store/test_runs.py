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


def test_samples_are_bounded(tmp_path: Path) -> None:
    with closing(connect(tmp_path)) as store:
        store.execute("PRAGMA synchronous = OFF")
        runs = Runs(store, provider("twitterapi_io"), 1)
        run = runs.begin("buy", "scrapy crawl followings")
        halved = sum(runs.sample(run, Counters(calls=n)) for n in range(600))
        kept = runs.samples(run)
        assert halved >= 2
        assert len(kept) <= 240
        assert [sample.calls for sample in kept] == sorted(sample.calls for sample in kept)
        for _ in range(100):
            last = runs.begin("buy", "scrapy crawl followings")
        assert (runs.samples(run), len(runs), last) == ([], 101, 101)
