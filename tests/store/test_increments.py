"""How long a list is as it is known: its last whole reading, and what increments found since, wherever that is told."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from kolspider.items import Kol, State
from kolspider.providers import provider
from kolspider.store.database import empty_in_memory
from kolspider.store.forecast import Forecast
from kolspider.store.kols import Kols
from kolspider.store.overview import Overview
from kolspider.store.pages import Pages
from kolspider.store.selection import Selection

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator

API = provider("twitterapi_io")
BTC = Kol("btc", "BTC")


@pytest.fixture
def store() -> Iterator[sqlite3.Connection]:
    with closing(empty_in_memory()) as connection:
        yield connection


@pytest.fixture
def kols(store: sqlite3.Connection) -> Kols:
    """The ledger, when BTC's 1,000 accounts were read whole."""
    kols = Kols(store, API.name, 1, Pages(store, API.name, 1))
    kols.begin(BTC)
    end(kols, 5, 1000)
    return kols


def end(kols: Kols, pages: int, users: int, *, new: int | None = None, state: State = State.FETCHED) -> None:
    kols.end("btc", state, "", pages, users, bought=True, page_size=200, new=new)


def begin_increment(kols: Kols) -> None:
    kols.begin_anew(BTC, keep_good_pages=False, incremental=True)


def told(store: sqlite3.Connection, kols: Kols) -> tuple[int, int]:
    """Pages and users, by `scrapy kols` and by both numbers of the report."""
    overview, found = Overview(store, API.name, 1), kols.find("btc")
    assert found
    assert [(kol.pages, kol.users) for kol in overview.largest(9)] == [(found.pages, found.users)]
    assert overview.users() == found.users
    return found.pages, found.users


@pytest.mark.parametrize(("new", "pages"), [(0, 5), (1, 6), (200, 6), (250, 7), (2000, 15)])
def test_a_list_is_as_long_as_its_whole_reading_and_what_was_new_since(
    store: sqlite3.Connection, kols: Kols, new: int, pages: int
) -> None:
    begin_increment(kols)
    assert told(store, kols) == (5, 1000), "as long as nothing new is known"
    end(kols, new // 200 + 2, new + 200, new=new)
    assert told(store, kols) == kols.size("btc") == (pages, 1000 + new)

    # and so long a full refresh is expected to be
    selection = Selection(store, API.name, 1)
    selection.read(["btc"])
    selection.choose_due(now=1e12, refresh=0, retry=[], limit=None, keep_done=False)
    forecast = Forecast(store, API)
    assert forecast.of("btc").calls == pages
    assert forecast.total().credits == forecast.cost(pages, 1000 + new)


def test_each_increment_counts_once_and_those_that_broke_off_do_not(store: sqlite3.Connection, kols: Kols) -> None:
    begin_increment(kols)
    end(kols, 2, 400, new=30)
    begin_increment(kols)
    end(kols, 1, 200, state=State.PARTIAL)
    assert told(store, kols) == (6, 1030)
    begin_increment(kols)
    end(kols, 3, 600, new=300)
    assert told(store, kols) == (7, 1330)

    kols.begin(BTC)  # a page of it was damaged, and is bought again
    assert told(store, kols) == (7, 1330)
    end(kols, 3, 600, new=301)
    assert told(store, kols) == (7, 1331)
    assert [crawl.new for crawl in kols.crawls("btc")] == [None, 30, None, 301]


def test_a_whole_reading_begins_the_count_anew(store: sqlite3.Connection, kols: Kols) -> None:
    begin_increment(kols)
    end(kols, 2, 400, new=30)
    begin_increment(kols)
    end(kols, 4, 780)  # it came to the end of the list
    assert told(store, kols) == (4, 780)
    begin_increment(kols)
    end(kols, 2, 400, new=30)
    assert told(store, kols) == (5, 810)
    assert [crawl.new for crawl in kols.crawls("btc")] == [None, 30, None, 30]


def test_the_first_accounts_of_an_empty_list_are_on_its_page(store: sqlite3.Connection, kols: Kols) -> None:
    kols.begin_anew(BTC, keep_good_pages=False)
    end(kols, 1, 0)
    begin_increment(kols)
    end(kols, 2, 3, new=3)
    assert told(store, kols) == (1, 3)
