"""When a list is complete: by what is loaded of its own generation, into this target."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from kolspider.items import Kol, State
from kolspider.store.selection import Why

if TYPE_CHECKING:
    from collections.abc import Callable

    from kolspider.store.connection import Connection
    from kolspider.store.ledger import Ledger

BTC = Kol("btc", "BTC")


def read(ledger: Ledger, *numbers: int, new: int | None = None) -> list[int]:
    """Store the pages of BTC's current reading, and its end."""
    generation = ledger.kols.generation("btc")
    seqs = [ledger.pages.put(BTC, generation, str(n), n, 200, b"{}", fetched_at=float(n)) for n in numbers]
    ledger.kols.end("btc", State.FETCHED, "", len(numbers), 200 * len(numbers), bought=True, new=new)
    return seqs


def states(ledger: Ledger) -> dict[State, int]:
    return ledger.kols.states()


def why(ledger: Ledger) -> list[Why]:
    ledger.selection.read(["btc"])
    ledger.selection.choose_due(now=1e12, refresh_before=None, retry=[], limit=None, keep_done=False)
    return [due.why for due in ledger.selection.due()]


def test_a_list_is_complete_when_all_pages_of_its_generation_are_loaded(ledger: Ledger) -> None:
    ledger.kols.begin(BTC)
    first, second = read(ledger, 1, 2)
    ledger.note_loaded([first], None)
    assert ledger.kols.settle("btc", evict=True) is None
    assert states(ledger) == {State.FETCHED: 1}
    assert why(ledger) == [Why.BEGUN]
    ledger.note_loaded([second], None)
    assert ledger.kols.settle("btc", evict=True) is State.COMPLETE
    assert states(ledger) == {State.COMPLETE: 1}


@pytest.mark.usefixtures("alone")
def test_the_older_list_in_the_target_does_not_make_the_newer_one_complete(ledger: Ledger) -> None:
    ledger.kols.begin(BTC)
    ledger.note_loaded(read(ledger, 1, 2), None)
    assert ledger.kols.settle("btc", evict=False) is State.COMPLETE
    ledger.kols.begin_generation("btc")
    newer = read(ledger, 1)
    assert ledger.kols.settle("btc", evict=False) is None
    assert states(ledger) == {State.FETCHED: 1}
    assert len(ledger.pages) == 3, "the older pages stay until the newer list is whole and in the target"
    ledger.note_loaded(newer, None)
    assert states(ledger) == {State.FETCHED: 1}, "it is loaded, and not settled yet"
    assert why(ledger) == [Why.BEGUN]
    assert ledger.kols.settle("btc", evict=False) is State.COMPLETE
    assert len(ledger.pages) == 1


def test_an_increment_is_complete_with_its_base_only(ledger: Ledger) -> None:
    ledger.kols.begin(BTC)
    base = read(ledger, 1, 2)
    ledger.kols.begin_generation("btc", incremental=True)
    increment = read(ledger, 1, new=3)
    ledger.note_loaded(increment, None)
    assert ledger.kols.settle("btc", evict=False) is None
    assert states(ledger) == {State.FETCHED: 1}
    ledger.note_loaded(base, None)
    assert ledger.kols.settle("btc", evict=False) is State.COMPLETE


@pytest.mark.usefixtures("alone")
def test_a_list_is_not_complete_while_a_page_of_its_increments_waits(ledger: Ledger) -> None:
    ledger.kols.begin(BTC)
    ledger.note_loaded(read(ledger, 1, 2), None)
    assert ledger.kols.settle("btc", evict=False) is State.COMPLETE
    increments = []
    for _ in range(2):
        ledger.kols.begin_generation("btc", incremental=True)
        increments += read(ledger, 1, new=3)
    for increment in increments:
        assert ledger.kols.settle("btc", evict=False) is None
        assert states(ledger) == {State.FETCHED: 1}
        ledger.note_loaded([increment], None)
    assert ledger.kols.settle("btc", evict=False) is State.COMPLETE
    assert len(ledger.pages) == 4, "its base and what was new since"


def test_an_increment_whose_base_is_gone_is_not_complete(ledger: Ledger, store: Connection) -> None:
    ledger.kols.begin(BTC)
    base = read(ledger, 1, 2)
    ledger.kols.begin_generation("btc", incremental=True)
    ledger.note_loaded(read(ledger, 1, new=3), None)
    store.execute("DELETE FROM page WHERE seq = ?", base[:1])
    ledger.note_loaded(base[1:], None)
    assert ledger.readings.base_is_missing("btc")
    assert ledger.kols.settle("btc", evict=False) is State.FETCHED
    assert states(ledger) == {State.FETCHED: 1}


def test_a_base_of_an_older_full_reading_in_the_target_is_no_base(ledger: Ledger, store: Connection) -> None:
    ledger.kols.begin(BTC)
    ledger.note_loaded(read(ledger, 1), None)
    assert ledger.kols.settle("btc", evict=False) is State.COMPLETE
    ledger.kols.begin_generation("btc")
    read(ledger, 1, 2)  # never loaded, and its pages are lost
    store.execute("DELETE FROM page WHERE generation = 1")
    ledger.kols.begin_generation("btc", incremental=True)
    ledger.note_loaded(read(ledger, 1, new=3), None)
    assert ledger.readings.base_is_missing("btc")
    assert ledger.kols.settle("btc", evict=False) is State.FETCHED


def test_what_is_loaded_into_another_target_counts_for_nothing_here(
    ledger: Ledger, beside: Callable[..., Ledger]
) -> None:
    ledger.kols.begin(BTC)
    pages = read(ledger, 1, 2)
    ledger.note_loaded(pages, None)
    assert ledger.kols.settle("btc", evict=False) is State.COMPLETE
    elsewhere = beside(target=2)
    assert states(elsewhere) == {State.FETCHED: 1}
    assert why(elsewhere) == [Why.BEGUN]
    assert elsewhere.kols.settle("btc", evict=False) is None
    elsewhere.note_loaded(pages, None)
    assert elsewhere.kols.settle("btc", evict=False) is State.COMPLETE


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize("state", [State.FETCHING, State.FAILED, State.NOT_FOUND])
def test_a_list_that_has_not_ended_well_is_never_complete(ledger: Ledger, state: State) -> None:
    ledger.kols.begin(BTC)
    seq = ledger.pages.put(BTC, 0, "", 1, 200, b"{}", fetched_at=1.0)
    if state is not State.FETCHING:
        ledger.kols.end("btc", state, "why", 1, 200, bought=True)
    ledger.note_loaded([seq], None)
    assert ledger.kols.settle("btc", evict=True) is state
    assert states(ledger) == {state: 1}
    assert len(ledger.pages) == 1


def test_a_list_that_is_complete_may_be_begun_again_once_more(ledger: Ledger) -> None:
    """A page of it may be damaged later, and the cursor with which it is bought again be refused."""
    ledger.kols.begin(BTC)
    assert ledger.kols.restart("btc") == 1
    ledger.note_loaded(read(ledger, 1), None)
    ledger.kols.settle("btc", evict=False)
    ledger.kols.begin(BTC)
    assert ledger.kols.restart("btc") == 2
    assert ledger.kols.restart("btc") is None
    assert ledger.kols.cursor_refused_twice("btc")


def test_each_reading_may_be_begun_again_once(ledger: Ledger) -> None:
    ledger.kols.begin(BTC)
    ledger.kols.restart("btc")
    ledger.kols.restart("btc")
    assert ledger.kols.cursor_refused_twice("btc")
    assert ledger.kols.begin_generation("btc") == 2
    assert not ledger.kols.cursor_refused_twice("btc")
    assert ledger.kols.restart("btc") == 3
