"""What the lists to come are expected to cost: by the last list, by the average, less what is in the cache."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from kolspider.items import Kol, State
from kolspider.providers import provider
from kolspider.providers.base import Profile
from kolspider.store.database import empty_in_memory
from kolspider.store.forecast import Expected, rest_of_list
from kolspider.store.ledger import Ledger

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterator

    from kolspider.store.forecast import Forecast

API = "twitterapi_io"


class History:
    """What earlier runs have left in the store."""

    def __init__(self, store: sqlite3.Connection, ledger: Ledger) -> None:
        self.store = store
        self.ledger = ledger

    def add_kol(
        self, handle: str, state: str, *, pages: int = 0, users: int = 0, generation: int = 0, restarts: int = 0
    ) -> None:
        """Add a KOL and the last reading of its list; a list that ended is in the target."""
        self.store.execute(
            "INSERT INTO kol (provider, handle, user_name, generation, state, pages, users, restarts, finished_at) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, 1)",
            (API, handle, handle, generation, state, pages, users, restarts),
        )
        self.store.execute("INSERT INTO kol_load VALUES (1, ?, ?, ?, 1)", (API, handle, generation))
        self.add_reading(handle, state, pages, users, generation=generation)

    def add_reading(
        self, handle: str, state: str, pages: int, users: int, *, generation: int = 0, new: int | None = None
    ) -> None:
        """Add a reading of a KOL's list; an incremental one if `new` is set."""
        self.store.execute(
            "INSERT INTO crawl (provider, handle, generation, kind, state, started_at, ended_at, pages, users) "
            "VALUES (?, ?, ?, ?, ?, 1, 1, ?, ?)",
            (API, handle, generation, "full" if new is None else "incremental", state, pages, users),
        )
        if new is not None:
            self.store.execute("INSERT INTO increment VALUES (?, ?, ?, ?)", (API, handle, generation, new))

    def add_pages(self, handle: str, *users: int, generation: int = 0, loaded: bool = True) -> None:
        """Add pages to the cache."""
        for number, count in enumerate(users, 1):
            done = self.store.execute(
                "INSERT INTO page (provider, handle, generation, cursor, number, users, fetched_at, body) "
                "VALUES (?, ?, ?, ?, ?, ?, 1, x'')",
                (API, handle, generation, str(number), number, count),
            )
            if loaded:
                self.store.execute("INSERT INTO page_load (seq, target) VALUES (?, 1)", (done.lastrowid,))

    def forecast(self, *names: str, refresh: int | None = None, retry: str = "", incremental: bool = False) -> Forecast:
        """Select these KOLs, and return what they are expected to take."""
        selection = self.ledger.selection
        selection.read(names)
        states = [State(retry)] if retry else []
        selection.choose_due(
            now=100,
            refresh_before=None if refresh is None else 100 - refresh,
            retry=states,
            limit=None,
            keep_done=False,
            incremental=incremental,
            follows=True,
        )
        return self.ledger.forecast


@pytest.fixture
def history(store: sqlite3.Connection, ledger: Ledger) -> History:
    return History(store, ledger)


def test_new_kols_are_expected_to_be_average(history: History) -> None:
    expected = history.forecast("a", "b")
    assert expected.of("a") == Expected(10, None)
    total = expected.total()
    assert (total.kols_average, total.calls, expected.average.lists) == (2, 20, 0)
    # 9 full pages, and the average of what 1 to 200 users cost
    last_page = (20 * 60 + 3 * sum(range(21, 100)) + 2 * sum(range(100, 200)) + 200) / 200
    assert total.credits == pytest.approx(2 * (9 * 200 + last_page))


def test_twenty_lists_are_enough_for_an_average_of_their_own(history: History) -> None:
    for number in range(19):
        history.add_kol(f"k{number}", "fetched", pages=3, users=450)
    history.add_kol("empty", "fetched", pages=1, users=0)
    expected = history.forecast("new")
    assert expected.average.lists == 20
    assert expected.total().calls == pytest.approx((19 * 3 + 1) / 20)
    assert expected.total().credits == pytest.approx((19 * 550 + 60) / 20)  # 200 + 200 + 150 for the last 50
    assert expected.average.spread > 0


@pytest.mark.parametrize(
    ("pages", "users", "credits_"),
    [
        (1, 0, 60),
        (1, 199, 398),
        (1, 200, 200),
        (2, 201, 260),
        (3, 450, 550),
        (5, 1000, 1000),
        (4, 400, 520),
        (2, 900, 400),
    ],
)
def test_a_refresh_costs_what_the_last_list_did(history: History, pages: int, users: int, credits_: int) -> None:
    history.add_kol("a", "fetched", pages=pages, users=users)
    history.add_pages("a", *[200] * pages)  # no help: these are bought again
    expected = history.forecast("a", refresh=0)
    assert expected.of("a") == Expected(pages, pages)
    total = expected.total()
    assert (total.kols_known, total.calls, total.credits, total.cached) == (1, pages, credits_, 0)


def test_cached_pages_of_an_unfinished_list_are_not_bought(history: History) -> None:
    history.add_kol("a", "fetching")
    history.add_pages("a", 200, 200, 200, 200)
    expected = history.forecast("a")
    assert expected.of("a") == Expected(6, None)
    total = expected.total()
    assert (total.calls, total.cached) == (6, 4)
    assert total.credits == pytest.approx(expected.average.credits * 0.6)


def test_an_interrupted_refresh_is_as_long_as_the_older_reading(history: History) -> None:
    history.add_kol("a", "fetching", generation=1)
    history.add_reading("a", "fetched", 3, 450)
    history.add_pages("a", 200, 200, 50)
    history.add_pages("a", 200, 200, generation=1)
    expected = history.forecast("a")
    assert expected.of("a") == Expected(1, 3)
    assert (expected.total().calls, expected.total().credits, expected.total().cached) == (1, 150, 2)


def test_an_interrupted_refresh_has_what_incremental_readings_found(history: History) -> None:
    history.add_kol("a", "fetching", generation=5)
    history.add_reading("a", "fetched", 3, 450, generation=1)  # 900 accounts in generation 0 were gone by then
    history.add_reading("a", "fetched", 5, 900, generation=0)
    history.add_reading("a", "fetched", 2, 400, generation=2, new=160)
    history.add_reading("a", "partial", 1, 200, generation=3, new=200)  # what broke off is not known
    history.add_reading("a", "fetched", 3, 600, generation=4, new=250)
    history.add_pages("a", 200, 200, 50, generation=1)
    history.add_pages("a", 200, 200, 200, generation=4)
    history.add_pages("a", 200, 200, generation=5)
    expected = history.forecast("a")
    assert expected.of("a") == Expected(3, 5)  # of 860 accounts
    assert expected.total().credits == 200 + 200 + 3 * 60


@pytest.mark.parametrize(
    ("pages", "users", "calls", "credits_"),
    [(1, 0, 1, 60), (1, 1, 1, 60), (1, 150, 1, 300), (2, 201, 2, 260), (2, 400, 2, 400), (10, 1900, 2, 400)],
)
def test_an_incremental_reading_costs_no_more_than_the_full_list(
    history: History, pages: int, users: int, calls: int, credits_: int
) -> None:
    history.add_kol("a", "fetched", pages=pages, users=users)
    expected = history.forecast("a", refresh=0, incremental=True)
    assert expected.of("a") == Expected(calls, calls)
    assert (expected.total().calls, expected.total().credits) == (calls, credits_)
    assert credits_ <= expected.cost(pages, users)


@pytest.mark.parametrize(("readings", "long", "short"), [(19, 2, 1), (20, 4, 1)])
def test_twenty_incremental_readings_are_enough_for_an_average_unless_the_list_is_shorter(
    history: History, readings: int, long: int, short: int
) -> None:
    history.add_kol("long", "fetched", pages=10, users=2000)
    history.add_kol("short", "fetched", pages=1, users=9)
    for number in range(readings):
        history.add_reading(f"k{number}", "fetched", 4, 800, new=650)
    expected = history.forecast("long", "short", refresh=0, incremental=True)
    assert (expected.of("long").calls, expected.of("short").calls) == (long, short)
    assert (expected.total().calls, expected.total().credits) == (long + short, long * 200 + 60)


def test_an_interrupted_incremental_reading_takes_the_rest_of_it(history: History) -> None:
    history.add_kol("a", "fetched", pages=10, users=1900)
    history.store.execute("UPDATE kol SET generation = 1, state = 'fetching'")
    history.add_reading("a", "fetching", 0, 0, generation=1, new=0)
    history.add_pages("a", 200, generation=1)
    expected = history.forecast("a")
    assert expected.of("a") == Expected(1, 2)
    assert (expected.total().credits, expected.total().cached) == (200, 1)


def test_an_older_reading_that_was_shorter_is_not_used(history: History) -> None:
    history.add_kol("a", "fetching", generation=1)
    history.add_pages("a", 200)
    history.add_pages("a", 200, 200, generation=1)
    assert history.forecast("a").of("a") == Expected(8, None)


def test_a_list_that_is_all_in_the_cache_is_only_loaded(history: History) -> None:
    history.add_kol("a", "fetched", pages=2, users=201)
    history.add_pages("a", 200, 1, loaded=False)
    expected = history.forecast("a")
    assert expected.of("a").calls == 0
    total = expected.total()
    assert (total.kols_whole, total.calls, total.credits, total.cached) == (1, 0, 0, 2)


def test_an_incremental_reading_whose_base_is_missing_is_not_only_loaded(history: History) -> None:
    history.add_kol("a", "fetched", pages=10, users=1920)
    history.add_kol("b", "fetched", pages=10, users=1920)
    history.store.execute("UPDATE kol SET generation = 1")
    for handle in ("a", "b"):
        history.add_reading(handle, "fetched", 2, 400, generation=1, new=20)
        history.add_pages(handle, 200, 200, generation=1, loaded=False)
    # Only b's full list is in this target; the pages of both lists were deleted.
    history.store.execute("UPDATE kol_load SET target = 2 WHERE handle = 'a'")
    expected = history.forecast("a", "b")
    assert (expected.of("a"), expected.of("b")) == (Expected(10, 10), Expected(0, 2))
    total = expected.total()
    assert (total.kols_whole, total.calls, total.credits) == (1, 10, 9 * 200 + 2 * 140)


@pytest.mark.parametrize("state", ["fetching", "failed", "partial", "not_found"])
def test_a_list_whose_incremental_reading_broke_off_and_whose_base_is_missing_is_read_in_full(
    history: History, state: str
) -> None:
    history.add_kol("a", "fetched", pages=10, users=1920)
    history.add_reading("a", "fetched", 3, 600, generation=1, new=250)
    history.add_reading("a", state, 1, 200, generation=2, new=0)
    history.add_pages("a", 200, generation=2)
    ends = state not in {"fetching", "failed"}  # 0 from the beginning of a reading to its end
    history.store.execute(
        "UPDATE kol SET generation = 2, state = ?, pages = ?, users = ?", (state, 11 * ends, 2170 * ends)
    )
    history.store.execute("UPDATE kol_load SET target = 2")
    expected = history.forecast("a", retry="" if state == "fetching" else state)
    whole = (Expected(11, 11), 11, 10 * 200 + 2 * 170)
    assert (expected.of("a"), expected.total().calls, expected.total().credits) == (
        (Expected(1, 1), 1, 0) if state == "not_found" else whole
    )


def test_a_refresh_of_a_list_whose_base_is_missing_is_as_long_as_the_list(history: History) -> None:
    history.add_kol("a", "fetched", pages=10, users=1940)
    history.add_reading("a", "fetched", 2, 400, generation=1, new=20)
    history.store.execute("UPDATE kol SET generation = 1")
    history.store.execute("UPDATE kol_load SET generation = -1")
    assert history.forecast("a", refresh=0).total().credits == 9 * 200 + 2 * 140


def test_a_kol_who_is_gone_is_expected_to_be_still_gone_at_the_price_of_a_failed_call(history: History) -> None:
    history.add_kol("gone", "not_found")
    total = history.forecast("gone", retry="not_found").total()
    assert (total.calls, total.credits, total.kols_known) == (1, 0, 1)


def test_a_broken_list_keeps_all_but_the_page_that_broke_it(history: History) -> None:
    history.add_kol("a", "partial", pages=3, users=600)
    history.add_pages("a", 200, 200, 200)
    assert history.forecast("a", retry="partial").of("a") == Expected(8, None)


@pytest.mark.parametrize(("restarts", "calls"), [(0, 7), (2, 10)])
def test_a_failed_list_goes_on_unless_its_cursor_was_refused_twice(history: History, restarts: int, calls: int) -> None:
    history.add_kol("a", "failed", restarts=restarts)
    history.add_pages("a", 200, 200, 200)
    assert history.forecast("a", retry="failed").of("a") == Expected(calls, None)


def test_no_kol_due_costs_nothing(history: History) -> None:
    history.add_kol("a", "fetched", pages=1)
    total = history.forecast("a").total()
    assert (total.calls, total.credits, total.cached) == (0, 0, 0)


@pytest.mark.parametrize(("read", "rest"), [(0, 10), (4, 6), (9, 5), (30, 5)])
def test_a_long_list_is_likely_to_be_longer_still(read: int, rest: int) -> None:
    assert rest_of_list(10, read) == rest
    assert rest_of_list(1, read) == 1


@pytest.fixture
def elsewhere(store: sqlite3.Connection) -> Iterator[Callable[..., Ledger]]:
    """The same store as a provider sees it that sells pages of 50 users and asks by id, with these KOLs selected."""
    with closing(empty_in_memory()) as copy:

        def selected(*names: str) -> Ledger:
            store.backup(copy)
            ledger = Ledger(copy, Path(), provider("socialdata"), 1)
            ledger.selection.read(names)
            ledger.selection.choose_due(now=100, refresh_before=None, retry=(), limit=None, keep_done=False)
            return ledger

        yield selected


def test_a_list_that_another_provider_sold_is_as_long_here(
    store: sqlite3.Connection, ledger: Ledger, elsewhere: Callable[..., Ledger]
) -> None:
    history = History(store, ledger)
    history.add_kol("a", "fetched", pages=3, users=450)
    history.add_kol("b", "fetched", pages=1, users=0)
    history.add_kol("c", "fetching")
    forecast = elsewhere("a", "b").forecast
    assert (forecast.of("a"), forecast.of("b")) == (Expected(9, 9), Expected(1, 1))
    assert (forecast.total().calls_known, forecast.total().credits_known) == (10, 450)


def test_look_ups_are_calls_too(store: sqlite3.Connection, ledger: Ledger, elsewhere: Callable[..., Ledger]) -> None:
    History(store, ledger).add_kol("a", "fetched", pages=1, users=50)
    other = elsewhere("a")
    total, more = other.forecast.total(), other.forecast.total(more=250)
    assert (total.lookups, total.credits_lookups, total.kols_without_id) == (1, 1, 1)
    assert (total.calls, total.credits) == (2, 51)
    assert (more.lookups, more.credits_lookups, more.kols_without_id) == (3, 251, 251)
    other.accounts.note(Kol("a", "a"), Profile("12", "a", None, None, "", {}))
    total = other.forecast.total()
    assert (total.lookups, total.credits_lookups, total.calls) == (0, 0, 1)
    assert History(store, ledger).forecast("new").total().lookups == 0, "twitterapi.io asks by name"
