"""Which reading is so much shorter than the list was that it is not believed, and which pages stay."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from kolspider.items import Kol, State
from kolspider.store.readings import Kind
from tests.loading import waiting

if TYPE_CHECKING:
    from kolspider.store.ledger import Ledger

BTC = Kol("btc", "BTC")


def read(ledger: Ledger, users: int) -> int:
    """Store the pages of a reading in the KOL's current generation."""
    generation = ledger.kols.generation("btc")
    for number, start in enumerate(range(0, max(users, 1), 200), 1):
        count = min(users - start, 200)
        ledger.pages.put(BTC, generation, str(number), number, count, b"{}", fetched_at=1.0)
    return generation


def end(ledger: Ledger, users: int, *, doubtful: bool = False, new: int | None = None) -> None:
    state = State.FAILED if doubtful else State.FETCHED
    ledger.kols.end("btc", state, "", 1, users, bought=True, new=new, doubtful=doubtful)


def settle(ledger: Ledger) -> State | None:
    ledger.note_loaded([page.seq for page in waiting(ledger.pages)], None)
    return ledger.kols.settle("btc", evict=False)


@pytest.fixture
def known(ledger: Ledger) -> Ledger:
    """The ledger after BTC's 1,000 users were read in full."""
    ledger.selection.read(["BTC"])
    ledger.selection.choose_all(None)
    ledger.kols.begin(BTC)
    read(ledger, 1000)
    end(ledger, 1000)
    assert settle(ledger) is State.COMPLETE
    return ledger


@pytest.mark.parametrize(("users", "doubtful"), [(0, True), (499, True), (500, False), (1000, False), (5000, False)])
def test_a_list_of_less_than_half_is_doubtful(known: Ledger, users: int, doubtful: bool) -> None:
    known.kols.begin_generation("btc")
    assert known.readings.is_doubtful("btc", read(known, users)) is doubtful


@pytest.mark.parametrize(("before", "now", "doubtful"), [(1, 0, True), (21, 1, True), (20, 1, False), (0, 0, False)])
def test_a_short_list_that_lost_a_few_is_not(ledger: Ledger, before: int, now: int, doubtful: bool) -> None:
    ledger.kols.begin(BTC)
    read(ledger, before)
    end(ledger, before)
    ledger.kols.begin_generation("btc")
    assert ledger.readings.is_doubtful("btc", read(ledger, now)) is doubtful


def test_a_first_reading_is_never_doubtful(ledger: Ledger) -> None:
    ledger.kols.begin(BTC)
    assert not ledger.readings.is_doubtful("btc", read(ledger, 0))


def test_what_increments_found_counts(known: Ledger) -> None:
    known.kols.begin_generation("btc", incremental=True)
    read(known, 200)
    end(known, 200, new=150)
    known.kols.begin_generation("btc", incremental=True)
    generation = read(known, 0)
    assert known.readings.known_before("btc", generation) == 1150
    assert known.readings.is_doubtful("btc", generation), "an increment that came to the end of the list is a full one"


def test_a_doubtful_reading_leaves_the_list_as_it_was(known: Ledger) -> None:
    pages = len(known.pages)
    for incremental in (False, True):
        known.kols.begin_generation("btc", incremental=incremental)
        generation = read(known, 0)
        end(known, 0, doubtful=True)
        assert settle(known) is State.FAILED
        kol = known.kols.find("btc")
        assert kol is not None
        assert (kol.state, kol.users) == (State.FAILED, 1000)
        assert known.readings.doubted("btc", generation)
        assert known.readings.is_doubtful("btc", generation), "also when its pages are loaded again"
    assert len(known.pages) == pages + 2
    assert known.readings.of_kol("btc")[-1].kind is Kind.INCREMENTAL


@pytest.mark.usefixtures("alone")
def test_an_empty_list_that_is_believed_deletes_no_page_and_the_next_one_with_users_does(known: Ledger) -> None:
    pages = len(known.pages)
    known.kols.begin_generation("btc")
    read(known, 0)
    end(known, 0)
    assert settle(known) is State.COMPLETE
    assert len(known.pages) == pages + 1
    known.kols.begin_generation("btc")
    read(known, 200)
    end(known, 200)
    assert settle(known) is State.COMPLETE
    assert len(known.pages) == 1


def test_a_list_that_broke_off_is_not_doubted(ledger: Ledger) -> None:
    ledger.kols.begin(BTC)
    generation = read(ledger, 200)
    ledger.kols.end("btc", State.PARTIAL, "", 1, 200, bought=True)
    assert not ledger.readings.doubted("btc", generation)
