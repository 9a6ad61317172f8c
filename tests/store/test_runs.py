"""The history of runs in the store."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from kolspider.errors import WrongUsage
from kolspider.items import Kol, State
from kolspider.store import database
from kolspider.store.database import connect, connect_to_read, empty
from kolspider.store.kols import Kols
from kolspider.store.pages import Pages
from kolspider.store.runs import Counters, Runs

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def version_1(directory: Path) -> None:
    """A store as the first kolspider left it, with a KOL and a page."""
    with closing(sqlite3.connect(directory / database.FILE_NAME)) as store, store:
        store.executescript(f"{database._LEDGER} PRAGMA user_version = 1;")
        store.execute("INSERT INTO kol (provider, handle, user_name, state) VALUES ('api', 'btc', 'BTC', 'fetching')")
        store.execute(
            "INSERT INTO page (provider, handle, generation, cursor, number, users, fetched_at, body) "
            "VALUES ('api', 'btc', 0, '', 1, 200, 5.0, x'00')"
        )


def test_a_store_of_the_first_version_is_upgraded_and_keeps_all(tmp_path: Path) -> None:
    version_1(tmp_path)
    for _ in range(2):
        with closing(connect(tmp_path)) as store:
            assert store.execute("PRAGMA user_version").fetchone() == (database._VERSION,)
            assert store.execute("SELECT handle FROM kol").fetchall() == [("btc",)]
            assert store.execute("SELECT users FROM page").fetchall() == [(200,)]
            assert store.execute("SELECT handle, kind, state FROM crawl").fetchall() == [("btc", "full", "fetching")]
            Runs(store, "api", 1).begin("buy", "scrapy crawl followings")
    with closing(connect(tmp_path)) as store, closing(sqlite3.connect(":memory:")) as new:
        new.executescript(database._SCHEMA)
        tables = "SELECT name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite_%' ORDER BY name"
        assert store.execute(tables).fetchall() == new.execute(tables).fetchall()
        assert len(Runs(store, "api", 1)) == 2


def test_a_store_of_the_first_version_can_be_read_as_it_is(tmp_path: Path) -> None:
    version_1(tmp_path)
    store = connect_to_read(tmp_path)
    assert store is not None
    with closing(store):
        assert len(Runs(store, "api", 1)) == 0
        assert store.execute("SELECT count(*) FROM kol").fetchone() == (1,)
        assert store.execute("SELECT count(*) FROM crawl").fetchone() == (1,)
    with closing(sqlite3.connect(tmp_path / database.FILE_NAME)) as store:
        assert store.execute("PRAGMA user_version").fetchone() == (1,)


def version_3(directory: Path) -> None:
    """A store whose increments did not say how many were new."""
    with closing(sqlite3.connect(directory / database.FILE_NAME)) as store, store:
        store.executescript(f"{database._LEDGER} {database._HISTORY} {database._CRAWLS} PRAGMA user_version = 3;")
        store.execute(
            "INSERT INTO kol (provider, handle, user_name, generation, state, pages, users) "
            "VALUES ('api', 'btc', 'BTC', 1, 'fetched', 5, 1000)"
        )
        store.executemany(
            "INSERT INTO crawl (provider, handle, generation, kind, state, started_at, pages, users) "
            "VALUES ('api', 'btc', ?, ?, 'fetched', 1.0, ?, ?)",
            [(0, "full", 5, 1000), (1, "incremental", 2, 400)],
        )


@pytest.mark.parametrize("open_store", [connect_to_read, connect])
def test_a_store_of_the_third_version_tells_what_it_knows_of_increments(
    tmp_path: Path, open_store: Callable[[Path], sqlite3.Connection]
) -> None:
    version_3(tmp_path)
    with closing(open_store(tmp_path)) as store:
        kols = Kols(store, "api", 1, Pages(store, "api", 1))
        assert [(crawl.kind, crawl.users, crawl.new) for crawl in kols.crawls("btc")] == [
            ("full", 1000, None),
            ("incremental", 400, None),
        ]
        assert kols.size("btc") == (5, 1000)


def test_an_increment_in_an_upgraded_store_counts_from_there(tmp_path: Path) -> None:
    version_3(tmp_path)
    with closing(connect(tmp_path)) as store:
        kols = Kols(store, "api", 1, Pages(store, "api", 1))
        kols.begin_anew(Kol("btc", "BTC"), keep_good_pages=False, incremental=True)
        kols.end("btc", State.FETCHED, "", 2, 400, bought=True, page_size=200, new=30)
        assert kols.size("btc") == (6, 1030)


def test_a_store_of_a_later_version_is_refused(tmp_path: Path) -> None:
    connect(tmp_path).close()
    with closing(sqlite3.connect(tmp_path / database.FILE_NAME)) as store:
        store.execute("PRAGMA user_version = 99")
    with pytest.raises(WrongUsage, match="format 99"):
        connect(tmp_path)


def test_a_run_from_its_begin_to_its_end(tmp_path: Path) -> None:
    with closing(connect(tmp_path)) as store:
        runs = Runs(store, "api", database.target_id(store, "sqlite:///kol.db all"))
        run = runs.begin("buy", "scrapy crawl followings -a limit=2")
        runs.note_states(run, {State.NEW: 2}, 7)
        runs.note(run, Counters(calls=3, pages=2, errors={"transient": 1}))
        (killed,) = runs.latest(9)
        assert (killed.exit_code, killed.finished_at, killed.unbegun) == (None, None, 7)
        assert (killed.done.pages, killed.selected, killed.states) == (2, 2, {State.NEW: 2})

        done = Counters(5, 4, 1, 800, 790, 10, 800, 0.008, 0, {"transient": 1})
        runs.end(run, done, {State.COMPLETE: 1, State.FAILED: 1}, 5, 3, "")
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

        empty(store, keep_progress=False)
        assert runs.latest(9) == [ended], "clearing the cache forgets no spending"


def test_samples_are_bounded(tmp_path: Path) -> None:
    with closing(connect(tmp_path)) as store:
        store.execute("PRAGMA synchronous = OFF")
        runs = Runs(store, "api", 1)
        run = runs.begin("buy", "scrapy crawl followings")
        halved = sum(runs.sample(run, Counters(calls=n)) for n in range(600))
        kept = runs.samples(run)
        assert halved >= 2
        assert len(kept) <= 240
        assert [sample.calls for sample in kept] == sorted(sample.calls for sample in kept)
        for _ in range(100):
            last = runs.begin("buy", "scrapy crawl followings")
        assert (runs.samples(run), len(runs), last) == ([], 101, 101)
