"""The size of a list as it is known: its last full reading and what incremental ones found since."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from kolspider.items import Kol, State

if TYPE_CHECKING:
    from kolspider.store.connection import Connection
    from kolspider.store.kols import Kols
    from kolspider.store.ledger import Ledger

BTC = Kol("btc", "BTC")


@pytest.fixture
def kols(ledger: Ledger) -> Kols:
    """The KOLs of the ledger, after BTC's 1,000 users were read in full."""
    ledger.kols.begin(BTC)
    end(ledger.kols, 5, 1000)
    return ledger.kols


def end(kols: Kols, pages: int, users: int, *, new: int | None = None, state: State = State.FETCHED) -> None:
    kols.end("btc", state, "", pages, users, bought=True, new=new)


def begin_increment(kols: Kols) -> None:
    kols.begin_generation("btc", incremental=True)


def size(kols: Kols) -> tuple[int, int]:
    """Pages and users, the same in `scrapy kols` and in both numbers of the report."""
    (found,) = kols.largest(9)
    assert found == kols.find("btc")
    assert kols.count_users() == found.users
    return found.pages, found.users


@pytest.mark.parametrize(("new", "pages"), [(0, 5), (1, 6), (200, 6), (250, 7), (2000, 15)])
def test_a_list_is_as_long_as_its_full_reading_and_what_was_new_since(
    ledger: Ledger, kols: Kols, new: int, pages: int
) -> None:
    begin_increment(kols)
    assert size(kols) == (5, 1000), "as long as nothing new is known"
    end(kols, new // 200 + 2, new + 200, new=new)
    assert size(kols) == kols.size("btc") == (pages, 1000 + new)

    # A full refresh is expected to be as long.
    selection = ledger.selection
    selection.read(["btc"])
    selection.choose_due(now=1e12, refresh_before=1e12, retry=[], limit=None, keep_done=False)
    forecast = ledger.forecast
    assert forecast.of("btc").calls == pages
    assert forecast.total().credits == forecast.cost(pages, 1000 + new)


def test_each_incremental_reading_counts_once_and_those_that_broke_off_do_not(ledger: Ledger, kols: Kols) -> None:
    begin_increment(kols)
    end(kols, 2, 400, new=30)
    begin_increment(kols)
    end(kols, 1, 200, state=State.PARTIAL)
    assert size(kols) == (6, 1030)
    begin_increment(kols)
    end(kols, 3, 600, new=300)
    assert size(kols) == (7, 1330)

    kols.begin(BTC)  # a page of it was damaged, and is bought again
    assert size(kols) == (7, 1330)
    end(kols, 3, 600, new=301)
    assert size(kols) == (7, 1331)
    assert [reading.new for reading in ledger.readings.of_kol("btc")] == [None, 30, None, 301]


def test_a_full_reading_restarts_the_count(ledger: Ledger, kols: Kols) -> None:
    begin_increment(kols)
    end(kols, 2, 400, new=30)
    begin_increment(kols)
    end(kols, 4, 780)  # it reached the end of the list
    assert size(kols) == (4, 780)
    begin_increment(kols)
    end(kols, 2, 400, new=30)
    assert size(kols) == (5, 810)
    assert [reading.new for reading in ledger.readings.of_kol("btc")] == [None, 30, None, 30]


def test_the_first_users_of_an_empty_list_are_on_its_page(kols: Kols) -> None:
    kols.begin_generation("btc")
    end(kols, 1, 0)
    begin_increment(kols)
    end(kols, 2, 3, new=3)
    assert size(kols) == (1, 3)


def test_a_list_that_is_read_again_counts_as_it_is_in_the_table_until_it_is_whole(
    ledger: Ledger, store: Connection
) -> None:
    kols = ledger.kols

    def look() -> tuple[State, int, int, bool]:
        found = kols.find("btc")
        assert found
        assert kols.count_read_again() == found.has_earlier
        assert kols.count_users() == found.users
        return found.state, found.pages, found.users, found.has_earlier

    kols.begin(BTC)
    store_page(ledger, 0)
    assert look() == (State.FETCHING, 1, 200, False), "a first reading is not in the table yet"
    end(kols, 5, 1000)
    load(ledger, store)
    assert look() == (State.COMPLETE, 5, 1000, False)
    begin_increment(kols)
    end(kols, 2, 400, new=30)
    load(ledger, store)

    kols.begin_generation("btc")
    store_page(ledger, 2)
    assert look() == (State.FETCHING, 6, 1030, True)
    end(kols, 1, 200, state=State.FAILED)
    assert look() == (State.FAILED, 6, 1030, True)
    kols.begin(BTC)
    assert look() == (State.FETCHING, 6, 1030, True)
    end(kols, 4, 700)
    load(ledger, store)
    assert look() == (State.COMPLETE, 4, 700, False)


@pytest.mark.parametrize("users", [0, 1, 199, 200, 201, 250])
@pytest.mark.parametrize("new", [0, 1, 150, 151, 200, 201])
def test_a_list_that_is_read_again_has_the_size_that_it_had(
    ledger: Ledger, store: Connection, users: int, new: int
) -> None:
    """SQL and Python count the pages that new users take."""
    kols = ledger.kols
    kols.begin(BTC)
    end(kols, 3, users)
    begin_increment(kols)
    end(kols, 2, 400, new=new)
    store.execute("INSERT INTO kol_load VALUES (1, 'twitterapi_io', 'btc', 1, 1)")
    before = kols.find("btc")
    kols.begin_generation("btc")
    again = kols.find("btc")
    assert before
    assert again
    assert (again.pages, again.users, again.has_earlier) == (before.pages, before.users, True)


def store_page(ledger: Ledger, generation: int) -> None:
    ledger.pages.put(BTC, generation, "", 1, 200, b"{}", fetched_at=0.0)


def load(ledger: Ledger, store: Connection) -> None:
    """Mark all pages as loaded, and settle the list."""
    with store.transaction():
        ledger.pages.mark_loaded([seq for (seq,) in store.execute("SELECT seq FROM page").fetchall()])
    assert ledger.kols.settle("btc", evict=False) is State.COMPLETE


def test_what_a_run_did_not_reach_is_no_outcome_of_it(ledger: Ledger, kols: Kols) -> None:
    kols.begin(Kol("bad", "bad"))
    kols.end("bad", State.FAILED, "HTTP 502", 1, 200, bought=True)
    selection = ledger.selection
    selection.read(["BTC", "bad", "new"])
    selection.choose_due(now=1e12, refresh_before=1e12, retry=[], limit=None, keep_done=False)
    failed = (State.FAILED,)
    assert kols.states_of_selected() == {State.NEW: 1}
    assert (selection.count(), selection.count_not_reached()) == (3, 2)
    assert kols.selected_in(failed, 9) == []

    for due in selection.due():
        selection.mark_reached(due.kol.handle)
    assert kols.states_of_selected() == {State.NEW: 1, State.FAILED: 1, State.FETCHED: 1}
    assert (selection.count(), selection.count_not_reached()) == (3, 0)
    assert [kol.handle for kol in kols.selected_in(failed, 9)] == ["bad"]
