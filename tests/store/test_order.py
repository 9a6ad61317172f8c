"""In which order cached pages are loaded: of an account on several of them, the page that was fetched last must win."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from kolspider.items import Kol, State
from tests.loading import of_selected, waiting

if TYPE_CHECKING:
    from kolspider.store.connection import Connection
    from kolspider.store.ledger import Ledger

BTC, ETH, SOL = Kol("btc", "BTC"), Kol("eth", "ETH"), Kol("sol", "SOL")


def put(ledger: Ledger, *kols: Kol) -> list[int]:
    """Store a page for each of these KOLs, one after the other. Returns their places."""
    seqs = []
    for kol in kols:
        ledger.kols.begin(kol)
        number = len(ledger.pages) + 1  # in this store, the place
        seqs.append(ledger.pages.put(kol, 0, str(number), number, 200, b"{}", fetched_at=float(number)))
    return seqs


def select(ledger: Ledger, *kols: Kol) -> None:
    ledger.selection.read([kol.user_name for kol in kols])
    ledger.selection.choose_all(None)


@pytest.mark.usefixtures("alone")
def test_newer_pages_are_loaded_again_behind_an_older_one_and_are_marked_before_it_is_written(ledger: Ledger) -> None:
    loaded, oldest, newer, newest, _ = put(ledger, BTC, BTC, BTC, ETH, SOL)
    ledger.note_loaded([loaded, newer, newest], None)
    select(ledger, BTC)

    pages = waiting(ledger.pages)
    assert next(pages).seq == oldest
    marked = {page.number: page.loaded for kol in (BTC, ETH) for page in ledger.pages.of_kol(kol.handle)}
    assert marked == {loaded: True, oldest: False, newer: False, newest: False}, "the process may die now"
    assert [page.seq for page in pages] == [newer, newest], "that of a KOL who is not selected, too"
    assert ledger.pages.to_load == 3
    assert [ledger.pages.will_load(seq) for seq in (loaded, oldest, newest)] == [False, True, True]


def test_every_page_that_waits_is_loaded_from_the_oldest_on(ledger: Ledger) -> None:
    first, _, second, third = put(ledger, BTC, ETH, BTC, BTC)
    ledger.note_loaded([second], None)
    select(ledger, BTC)
    assert [page.seq for page in waiting(ledger.pages)] == [first, second, third]


def test_without_a_page_that_waits_nothing_is_loaded(ledger: Ledger) -> None:
    ledger.note_loaded(put(ledger, BTC, BTC), None)
    put(ledger, ETH)
    select(ledger, BTC)
    assert list(waiting(ledger.pages)) == []
    assert ledger.pages.to_load == 0


def test_a_replay_loads_every_page_of_the_selected_kols(ledger: Ledger) -> None:
    other, first, second, behind = put(ledger, ETH, BTC, BTC, ETH)
    ledger.note_loaded([other, first, behind], None)
    select(ledger, BTC)
    assert [page.seq for page in of_selected(ledger.pages)] == [first, second, behind]


@pytest.mark.usefixtures("alone")
def test_pages_of_another_target_stay_loaded_there(ledger: Ledger, store: Connection) -> None:
    first, second = put(ledger, BTC, BTC)
    ledger.note_loaded([second], None)
    store.execute("INSERT INTO page_load (target, seq) VALUES (2, ?)", (second,))
    select(ledger, BTC)
    assert [page.seq for page in waiting(ledger.pages)] == [first, second]
    assert store.execute("SELECT target, again FROM page_load ORDER BY target").fetchall() == [(1, 1), (2, 0)]


def test_a_loaded_list_with_a_page_behind_one_that_waits_keeps_its_pages(ledger: Ledger) -> None:
    """An older page of another KOL is still to come: the newer ones are written again behind it."""
    before, waiting, behind = put(ledger, BTC, ETH, SOL)
    for kol in (BTC, SOL):
        ledger.kols.end(kol.handle, State.FETCHED, "", 1, 200, bought=True)
    ledger.note_loaded([before, behind], None)
    for kol in (BTC, SOL):
        ledger.kols.settle(kol.handle, evict=False)
    assert ledger.pages.count_loaded() == (1, [(200, 1)])
    assert ledger.prune() == 1
    assert [bool(ledger.pages.of_kol(kol.handle)) for kol in (BTC, ETH, SOL)] == [False, True, True]

    ledger.note_loaded([waiting], None)
    assert ledger.prune() == 1
    assert [bool(ledger.pages.of_kol(kol.handle)) for kol in (BTC, ETH, SOL)] == [False, True, False]
