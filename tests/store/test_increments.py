"""How long a list is as it is known: its last whole reading, and what increments found since, wherever that is told."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from kolspider.items import Kol, State
from kolspider.providers import provider

if TYPE_CHECKING:
    from kolspider.store.kols import Kols
    from kolspider.store.ledger import Ledger

API = provider("twitterapi_io")
BTC = Kol("btc", "BTC")


@pytest.fixture
def kols(ledger: Ledger) -> Kols:
    """The ledger, when BTC's 1,000 accounts were read whole."""
    ledger.kols.begin(BTC)
    end(ledger.kols, 5, 1000)
    return ledger.kols


def end(kols: Kols, pages: int, users: int, *, new: int | None = None, state: State = State.FETCHED) -> None:
    kols.end("btc", state, "", pages, users, bought=True, page_size=200, new=new)


def begin_increment(kols: Kols) -> None:
    kols.begin_anew(BTC, keep_good_pages=False, incremental=True)


def told(ledger: Ledger, kols: Kols) -> tuple[int, int]:
    """Pages and users, by `scrapy kols` and by both numbers of the report."""
    overview, found = ledger.overview, kols.find("btc")
    assert found
    assert [(kol.pages, kol.users) for kol in overview.largest(9)] == [(found.pages, found.users)]
    assert overview.users() == found.users
    return found.pages, found.users


@pytest.mark.parametrize(("new", "pages"), [(0, 5), (1, 6), (200, 6), (250, 7), (2000, 15)])
def test_a_list_is_as_long_as_its_whole_reading_and_what_was_new_since(
    ledger: Ledger, kols: Kols, new: int, pages: int
) -> None:
    begin_increment(kols)
    assert told(ledger, kols) == (5, 1000), "as long as nothing new is known"
    end(kols, new // 200 + 2, new + 200, new=new)
    assert told(ledger, kols) == kols.size("btc") == (pages, 1000 + new)

    # and so long a full refresh is expected to be
    selection = ledger.selection
    selection.read(["btc"])
    selection.choose_due(now=1e12, refresh=0, retry=[], limit=None, keep_done=False)
    forecast = ledger.forecast
    assert forecast.of("btc").calls == pages
    assert forecast.total().credits == forecast.cost(pages, 1000 + new)


def test_each_increment_counts_once_and_those_that_broke_off_do_not(ledger: Ledger, kols: Kols) -> None:
    begin_increment(kols)
    end(kols, 2, 400, new=30)
    begin_increment(kols)
    end(kols, 1, 200, state=State.PARTIAL)
    assert told(ledger, kols) == (6, 1030)
    begin_increment(kols)
    end(kols, 3, 600, new=300)
    assert told(ledger, kols) == (7, 1330)

    kols.begin(BTC)  # a page of it was damaged, and is bought again
    assert told(ledger, kols) == (7, 1330)
    end(kols, 3, 600, new=301)
    assert told(ledger, kols) == (7, 1331)
    assert [reading.new for reading in kols.readings("btc")] == [None, 30, None, 301]


def test_a_whole_reading_begins_the_count_anew(ledger: Ledger, kols: Kols) -> None:
    begin_increment(kols)
    end(kols, 2, 400, new=30)
    begin_increment(kols)
    end(kols, 4, 780)  # it came to the end of the list
    assert told(ledger, kols) == (4, 780)
    begin_increment(kols)
    end(kols, 2, 400, new=30)
    assert told(ledger, kols) == (5, 810)
    assert [reading.new for reading in kols.readings("btc")] == [None, 30, None, 30]


def test_the_first_accounts_of_an_empty_list_are_on_its_page(ledger: Ledger, kols: Kols) -> None:
    kols.begin_anew(BTC, keep_good_pages=False)
    end(kols, 1, 0)
    begin_increment(kols)
    end(kols, 2, 3, new=3)
    assert told(ledger, kols) == (1, 3)
